/* lightgbm.c: lib_lightgbm found, loaded and called; its words put into ours. */
#include "registry/lightgbm.h"

#include <ctype.h>
#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

#define LIBRARY_NAME "lib_lightgbm.so"
#define WHEEL "/python3*/site-packages/lightgbm/lib/" LIBRARY_NAME

enum { TYPE_FLOAT32 = 0, TYPE_FLOAT64 = 1 }; /* C_API_DTYPE_... */

#define HOW_TO_GET                                                                                 \
    "get it by `python3 -m venv .venv && .venv/bin/pip install lightgbm`, or name the library by " \
    "--lightgbm-library"

/* ---- finding ---- */

static const struct function {
    const char *name;
    size_t offset; /* of its pointer in struct lightgbm */
} functions[] = {
    {"LGBM_GetLastError", offsetof(struct lightgbm, last_error)},
    {"LGBM_RegisterLogCallback", offsetof(struct lightgbm, log_callback)},
    {"LGBM_DatasetCreateFromMat", offsetof(struct lightgbm, data_from_matrix)},
    {"LGBM_DatasetSetField", offsetof(struct lightgbm, data_set_field)},
    {"LGBM_DatasetSetFeatureNames", offsetof(struct lightgbm, data_set_names)},
    {"LGBM_DatasetFree", offsetof(struct lightgbm, data_free)},
    {"LGBM_BoosterCreate", offsetof(struct lightgbm, booster_create)},
    {"LGBM_BoosterAddValidData", offsetof(struct lightgbm, booster_add_validation)},
    {"LGBM_BoosterUpdateOneIter", offsetof(struct lightgbm, booster_update)},
    {"LGBM_BoosterGetEval", offsetof(struct lightgbm, booster_eval)},
    {"LGBM_BoosterSaveModelToString", offsetof(struct lightgbm, booster_save)},
    {"LGBM_BoosterFree", offsetof(struct lightgbm, booster_free)},
};

/* What the library prints comes with its error codes too: it stays silent. */
static void say_nothing(const char *text)
{
    (void)text;
}

/* The library's words are C strings of C++; a function is found as data and called as a function,
 * which POSIX allows. */
static enum kol_status bind_functions(struct lightgbm *lib, struct kol_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *found = dlsym(lib->handle, functions[i].name);
        if (!found) {
            return kol_fail(err, KOL_UNSUPPORTED,
                            "%s has no function %s: LightGBM 4 is needed; " HOW_TO_GET, lib->path,
                            functions[i].name);
        }
        memcpy((char *)lib + functions[i].offset, &found, sizeof found);
    }
    lib->log_callback(say_nothing);
    return KOL_OK;
}

/* A wheel has its version in lightgbm/VERSION.txt, beside the folder of the library. */
static void find_version(struct lightgbm *lib)
{
    char path[sizeof lib->path + 32];
    struct buf text = {0};
    const char *slash = strrchr(lib->path, '/');
    int folder = slash ? (int)(slash - lib->path) : 0;
    snprintf(path, sizeof path, "%.*s/../VERSION.txt", folder, lib->path);
    snprintf(lib->version, sizeof lib->version, "4");
    if (slash && file_exists(path) && file_read(path, 64, &text, NULL) == KOL_OK) {
        struct str version = str_trim(buf_str(&text));
        if (version.len && version.len < sizeof lib->version &&
            isdigit((unsigned char)*version.ptr)) {
            snprintf(lib->version, sizeof lib->version, "%.*s", STR_FORMAT(version));
        }
    }
    buf_free(&text);
}

static bool open_library(const char *path, struct lightgbm *out)
{
    /* Its threads outlive the work: it is never unloaded. */
    out->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (out->handle) {
        void *symbol = dlsym(out->handle, functions[0].name);
        Dl_info info;
        const char *real = symbol && dladdr(symbol, &info) ? info.dli_fname : path;
        snprintf(out->path, sizeof out->path, "%s", real);
    }
    return out->handle != NULL;
}

/* The first library that loads among what the pattern finds. */
static bool open_pattern(const char *folder, const char *pattern, struct lightgbm *out)
{
    struct buf path = {0};
    glob_t found;
    bool opened = false;
    buf_printf(&path, "%s%s", folder, pattern);
    if (glob(path.ptr, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && !opened; i++) {
            opened = open_library(found.gl_pathv[i], out);
        }
        globfree(&found);
    }
    buf_free(&path);
    return opened;
}

static bool open_usual(struct lightgbm *out)
{
    const char *venv = getenv("VIRTUAL_ENV"), *home = getenv("HOME");
    return open_library(LIBRARY_NAME, out) || (venv && open_pattern(venv, "/lib" WHEEL, out)) ||
           open_pattern(".venv", "/lib" WHEEL, out) ||
           (home && open_pattern(home, "/.local/lib" WHEEL, out)) ||
           open_pattern("/usr/local/lib", "/python3*/dist-packages/lightgbm/lib/" LIBRARY_NAME,
                        out) ||
           open_pattern("/usr/local/lib", WHEEL, out) ||
           open_pattern("/usr/lib", "/python3/dist-packages/lightgbm/lib/" LIBRARY_NAME, out) ||
           open_pattern("/usr/lib", WHEEL, out);
}

static enum kol_status open_named(const char *path, struct lightgbm *out, struct kol_error *err)
{
    struct stat info;
    struct buf file = {0};
    if (stat(path, &info)) {
        return kol_fail(err, KOL_NOT_FOUND, "there is no lib_lightgbm at %s; " HOW_TO_GET, path);
    }
    /* With a slash in it: the loader takes it as it is and searches nowhere. */
    buf_printf(&file, "%s%s%s", strchr(path, '/') ? "" : "./", path,
               S_ISDIR(info.st_mode) ? "/" LIBRARY_NAME : "");
    bool opened = open_library(file.ptr, out);
    buf_free(&file);
    if (!opened) {
        const char *why = dlerror();
        return kol_fail(err, KOL_NOT_FOUND, "%s is not loaded: %s", path, why ? why : "unknown");
    }
    return KOL_OK;
}

enum kol_status lightgbm_load(const char *path, struct lightgbm *out, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    *out = (struct lightgbm){0};
    if (path) {
        status = open_named(path, out, err);
    } else if (!open_usual(out)) {
        status = kol_fail(err, KOL_NOT_FOUND, "training needs lib_lightgbm: " HOW_TO_GET);
    }
    if (status == KOL_OK) {
        status = bind_functions(out, err);
    }
    if (status == KOL_OK) {
        find_version(out);
    }
    return status;
}

/* ---- calling ---- */

static enum kol_status check(const struct lightgbm *lib, int code, const char *what,
                             struct kol_error *err)
{
    return code ? kol_fail(err, KOL_INVALID, "LightGBM %s: %s", what, lib->last_error()) : KOL_OK;
}

enum kol_status lightgbm_data(const struct lightgbm *lib, const struct lightgbm_rows *rows,
                              const char *parameters, void *reference, void **out,
                              struct kol_error *err)
{
    *out = NULL;
    if (rows->rows > INT32_MAX) {
        return kol_fail(err, KOL_UNSUPPORTED, "LightGBM takes at most %d rows, not %zu", INT32_MAX,
                        rows->rows);
    }
    int columns = (int)rows->columns;
    int code = lib->data_from_matrix(rows->features, TYPE_FLOAT64, (int32_t)rows->rows, columns, 1,
                                     parameters, reference, out);
    if (code == 0) {
        code = lib->data_set_field(*out, "label", rows->labels, (int)rows->rows, TYPE_FLOAT32);
    }
    if (code == 0) { /* the library copies the names and changes none */
        code = lib->data_set_names(*out, (const char **)(uintptr_t)rows->names, columns);
    }
    enum kol_status status = check(lib, code, "takes the rows", err);
    if (status != KOL_OK) {
        lightgbm_free_data(lib, *out);
        *out = NULL;
    }
    return status;
}

enum kol_status lightgbm_booster(const struct lightgbm *lib, void *train, void *validation,
                                 const char *parameters, void **out, struct kol_error *err)
{
    *out = NULL;
    int code = lib->booster_create(train, parameters, out);
    if (code == 0 && validation) {
        code = lib->booster_add_validation(*out, validation);
    }
    enum kol_status status = check(lib, code, "begins", err);
    if (status != KOL_OK) {
        lightgbm_free_booster(lib, *out);
        *out = NULL;
    }
    return status;
}

enum kol_status lightgbm_round(const struct lightgbm *lib, void *booster, double *metrics,
                               size_t count, bool *finished, struct kol_error *err)
{
    enum { ROOM = 16, VALIDATION = 1 };
    double values[ROOM];
    int done = 0, got = 0;
    KOL_ASSERT(count <= ROOM);
    int code = lib->booster_update(booster, &done);
    *finished = done != 0;
    if (code == 0 && count) {
        code = lib->booster_eval(booster, VALIDATION, &got, values);
    }
    if (code || count == 0) {
        return check(lib, code, "trains", err);
    }
    if ((size_t)got != count) {
        return kol_fail(err, KOL_UNSUPPORTED, "LightGBM gives %d metrics where %zu were asked for",
                        got, count);
    }
    memcpy(metrics, values, count * sizeof *metrics);
    return KOL_OK;
}

enum kol_status lightgbm_save(const struct lightgbm *lib, void *booster, int64_t trees,
                              struct buf *out, struct kol_error *err)
{
    enum { GAIN = 1 }; /* what the importances in the text count */
    int64_t len = 0, room = 1 << 20;
    for (int turn = 0; turn < 2; turn++) {
        buf_reserve(out, (size_t)room);
        int code = lib->booster_save(booster, 0, (int)trees, GAIN, room, &len, out->ptr + out->len);
        if (code) {
            return check(lib, code, "writes the model", err);
        }
        if (len <= room) {
            break;
        }
        room = len;
    }
    out->len += (size_t)len - 1; /* it counts the NUL behind the text */
    return KOL_OK;
}

void lightgbm_free_data(const struct lightgbm *lib, void *data)
{
    if (data) {
        lib->data_free(data);
    }
}

void lightgbm_free_booster(const struct lightgbm *lib, void *booster)
{
    if (booster) {
        lib->booster_free(booster);
    }
}
