/*
 * shared_models.h: the reference model and its rows, which lie beside the public data sets:
 * $KOL_SHARED_DATA/../models, else ../shared/models beside the project. Tests that need them skip
 * where they are absent.
 */
#ifndef TEST_SHARED_MODELS_H
#define TEST_SHARED_MODELS_H

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

/* Path of a file there, in memory for free(); NULL, with a line that says so, where it is not. */
static inline char *shared_model(const char *name)
{
    const char *data = getenv("KOL_SHARED_DATA"), *project = getenv("KOL_PROJECT");
    char *base = data ? mem_strdup(data) : file_join(project ? project : ".", "../shared/data");
    char *folder = file_join(base, "../models");
    char *path = file_join(folder, name);
    free(folder);
    free(base);
    if (!file_exists(path)) {
        printf("# skipped: no %s: set KOL_SHARED_DATA\n", path);
        free(path);
        return NULL;
    }
    return path;
}

#endif
