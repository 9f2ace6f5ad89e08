/*
 * explain_lines.c: explanations of many accounts, for tests that add them up.
 *
 *   explain_lines MODEL < INPUTS
 *
 * A line of stdin has the raw inputs of one account in the order of struct trust_inputs, separated
 * by spaces; - is unknown. A line of stdout has the score, the base, and the points of each feature
 * in the order of the model.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "gbdt/gbdt.h"
#include "score/explain.h"

/* Unknown where the line has fewer. */
static void read_inputs(struct str rest, struct trust_inputs *out)
{
    double values[TRUST_INPUTS];
    _Static_assert(sizeof *out == sizeof values, "the inputs are nothing but doubles");
    for (size_t i = 0; i < TRUST_INPUTS; i++) {
        const struct str word = rest.len ? str_cut(&rest, ' ') : STR("-");
        values[i] = str_is(word, "-") ? NAN : strtod(word.ptr, NULL);
    }
    memcpy(out, values, sizeof values);
}

static void print(const struct explanation *explanation)
{
    double points[TRUST_FEATURES];
    for (size_t i = 0; i < explanation->count; i++) {
        points[explanation->by_weight[i].feature] = explanation->by_weight[i].points;
    }
    printf("%.17g %.17g", explanation->score, explanation->base);
    for (size_t i = 0; i < explanation->count; i++) {
        printf(" %.17g", points[i]);
    }
    putchar('\n');
}

static void explain_all(const struct gbdt_model *model)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        struct trust_inputs inputs;
        struct explanation explanation;
        double features[TRUST_FEATURES];
        read_inputs(str_trim((struct str){line, (size_t)len}), &inputs);
        trust_compute_features(&inputs, 1, features);
        score_explain(SCORE_TRUST, model, features, &explanation);
        print(&explanation);
    }
    free(line);
}

int main(int argc, char **argv)
{
    struct gbdt_model *model = NULL;
    struct kol_error err;
    enum kol_status status = argc == 2 ? gbdt_read(argv[1], &model, &err)
                                       : kol_fail(&err, KOL_USAGE, "explain_lines MODEL < INPUTS");
    if (status == KOL_OK) {
        status = score_check_model(SCORE_TRUST, model, &err);
    }
    if (status == KOL_OK) {
        status = gbdt_can_explain(model, &err);
    }
    if (status == KOL_OK) {
        explain_all(model);
    } else {
        fprintf(stderr, "explain_lines: %s\n", err.message);
    }
    gbdt_free(&model);
    return status == KOL_OK ? 0 : 1;
}
