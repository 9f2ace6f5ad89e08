/*
 * catalog.c: what all catalogs have in common.
 */
#include "iceberg/catalog.h"

void catalog_close(struct catalog **catalog)
{
    if (*catalog) {
        (*catalog)->ops->close(*catalog);
        *catalog = NULL;
    }
}
