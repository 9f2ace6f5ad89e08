/*
 * explain.c: what each feature adds to a row's raw score (TreeSHAP).
 */
#include <math.h>

#include "gbdt/decide.h"

void gbdt_plan_explaining(struct gbdt_model *model)
{
    (void)model;
}

void gbdt_free_explaining(struct gbdt_model *model)
{
    (void)model;
}
