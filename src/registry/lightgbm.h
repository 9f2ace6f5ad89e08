/*
 * lightgbm.h: the functions of lib_lightgbm (LightGBM 4) that training needs, found at run time.
 *
 * The program neither links the library nor ships it: scoring does without. Declarations are our
 * own, of the C API that LightGBM keeps stable (LightGBM documentation, "C API").
 *
 * Where it is looked for, unless a path is given: where the system's loader looks
 * (LD_LIBRARY_PATH, ldconfig), then the Python wheel in $VIRTUAL_ENV, ./.venv, ~/.local, /usr/local
 * and /usr. Once loaded it stays until the process ends, as its threads do.
 * Threads: one at a time.
 */
#ifndef REGISTRY_LIGHTGBM_H
#define REGISTRY_LIGHTGBM_H

#include "base/error.h"
#include "base/str.h"

struct lightgbm {
    void *handle;
    char path[512];   /* of the library, as the loader knows it */
    char version[32]; /* "4.7.0", from the wheel; "4" where nothing says it */
    const char *(*last_error)(void);
    int (*log_callback)(void (*callback)(const char *));
    int (*data_from_matrix)(const void *data, int type, int32_t rows, int32_t columns,
                            int row_major, const char *parameters, void *reference, void **out);
    int (*data_set_field)(void *data, const char *field, const void *values, int count, int type);
    int (*data_set_names)(void *data, const char **names, int count);
    int (*data_free)(void *data);
    int (*booster_create)(void *data, const char *parameters, void **out);
    int (*booster_add_validation)(void *booster, void *data);
    int (*booster_update)(void *booster, int *finished);
    int (*booster_eval)(void *booster, int data, int *count, double *out);
    int (*booster_save)(void *booster, int start, int iterations, int importance, int64_t room,
                        int64_t *len, char *out);
    int (*booster_free)(void *booster);
};

/* `path`: the library or the folder that it is in, or NULL: looked for. KOL_NOT_FOUND with the
 * command that gets it; KOL_UNSUPPORTED where a library lacks a function. */
enum kol_status lightgbm_load(const char *path, struct lightgbm *out,
                              struct kol_error *err) KOL_CHECKED;

/* Rows with labels as the library keeps them; `reference` (or NULL) gives the bins. */
struct lightgbm_rows {
    const double *features; /* rows x columns, NaN missing */
    const float *labels;
    size_t rows, columns;
    const char *const *names; /* columns */
};
enum kol_status lightgbm_data(const struct lightgbm *lib, const struct lightgbm_rows *rows,
                              const char *parameters, void *reference, void **out,
                              struct kol_error *err) KOL_CHECKED;

/* A booster over `train`, which can judge itself by `validation` (or NULL) after each round. */
enum kol_status lightgbm_booster(const struct lightgbm *lib, void *train, void *validation,
                                 const char *parameters, void **out,
                                 struct kol_error *err) KOL_CHECKED;

/* One more tree. `metrics` gets the `count` metrics that the parameters name, in their order, over
 * the validation rows (`count` 0: none are computed); `finished`: no split gains anything any more.
 */
enum kol_status lightgbm_round(const struct lightgbm *lib, void *booster, double *metrics,
                               size_t count, bool *finished, struct kol_error *err) KOL_CHECKED;

/* Appends the first `trees` trees as LightGBM's text. */
enum kol_status lightgbm_save(const struct lightgbm *lib, void *booster, int64_t trees,
                              struct buf *out, struct kol_error *err) KOL_CHECKED;

/* Both take NULL. */
void lightgbm_free_data(const struct lightgbm *lib, void *data);
void lightgbm_free_booster(const struct lightgbm *lib, void *booster);

#endif
