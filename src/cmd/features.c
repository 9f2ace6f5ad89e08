/* features.c: `kol features`: the rows that models are trained on as a file, and drift from them.
 */
#include "cmd/drift.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lake/feature_rows.h"

static enum kol_status find_kind(const char *name, enum score_kind *out, struct kol_error *err)
{
    for (enum score_kind kind = 0; kind < SCORE_KINDS; kind++) {
        if (strcmp(name, score_kind_name(kind)) == 0) {
            *out = kind;
            return KOL_OK;
        }
    }
    return kol_fail(err, KOL_USAGE, "there are features of trust and of success, none of '%s'",
                    name);
}

/* A day is its first moment, as everywhere. */
static enum kol_status read_as_of(const char *text, int64_t *out, struct kol_error *err)
{
    if (clock_parse(str_of(text), out) || clock_parse_day(str_of(text), out)) {
        return KOL_OK;
    }
    return kol_fail(err, KOL_USAGE,
                    "--as-of %s: expected a time such as 2025-06-30T00:00:00Z or a day", text);
}

static bool ends_in(const char *path, const char *ending)
{
    const size_t len = strlen(path), end = strlen(ending);
    return len > end && strcmp(path + len - end, ending) == 0;
}

/* ---- rows out ---- */

static enum kol_status put_rows(struct lake_features *features, FILE *out, enum rows_format format,
                                int64_t *rows, struct kol_error *err)
{
    struct engine_result *result = NULL;
    enum kol_status status = engine_query(features->session, features->select, &result, err);
    if (status == KOL_OK) {
        status = command_put_answer(out, format, result, 0, rows, NULL, err);
    }
    engine_result_free(&result);
    return status;
}

/* The file is there whole or not at all. */
static enum kol_status write_csv(struct lake_features *features, const char *path, int64_t *rows,
                                 struct kol_error *err)
{
    struct buf part = {0};
    buf_printf(&part, "%s.part", path);
    FILE *file = fopen(part.ptr, "w");
    if (!file) {
        enum kol_status status = kol_fail_errno(err, errno, "%s: cannot be written", path);
        buf_free(&part);
        return status;
    }
    enum kol_status status = put_rows(features, file, ROWS_CSV, rows, err);
    if (status == KOL_OK && (fflush(file) != 0 || fsync(fileno(file)) != 0)) {
        status = kol_fail_errno(err, errno, "%s: cannot be written", path);
    }
    if (fclose(file) != 0 && status == KOL_OK) {
        status = kol_fail_errno(err, errno, "%s: cannot be written", path);
    }
    if (status == KOL_OK && rename(part.ptr, path) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot be written", path);
    }
    if (status != KOL_OK) {
        unlink(part.ptr);
    }
    buf_free(&part);
    return status;
}

static enum kol_status write_out(const struct invocation *call, struct lake_features *features,
                                 struct kol_error *err)
{
    const char *path = flag_text(call, "output");
    int64_t rows = 0;
    enum kol_status status;
    if (!path) {
        const enum rows_format format = call->format == ROWS_JSON ? ROWS_JSON : ROWS_CSV;
        status = put_rows(features, stdout, format, &rows, err);
    } else if (ends_in(path, ".parquet")) {
        status = lake_features_write(features, path, &rows, err);
    } else {
        status = write_csv(features, path, &rows, err);
    }
    if (status == KOL_OK) {
        fprintf(stderr, "%lld rows of %s.%s%s%s\n", (long long)rows, features->table->name_space,
                features->table->name, flag_given(call, "as-of") ? " as of " : "",
                flag_given(call, "as-of") ? flag_text(call, "as-of") : "");
    }
    return status;
}

static enum kol_status export_rows(const struct invocation *call, enum score_kind kind,
                                   struct kol_error *err)
{
    struct lake *lake = NULL;
    struct lake_features features;
    int64_t as_of_us = 0;
    const char *as_of = flag_text(call, "as-of"), *path = flag_text(call, "output");
    if (path && !ends_in(path, ".parquet") && !ends_in(path, ".csv")) {
        return kol_fail(err, KOL_USAGE,
                        "--output %s: a file that ends in .parquet or .csv is meant", path);
    }
    enum kol_status status = as_of ? read_as_of(as_of, &as_of_us, err) : KOL_OK;
    if (status == KOL_OK) {
        status = command_open_lake(call, true, &lake, err);
    }
    if (status == KOL_OK) {
        status = lake_features_open(lake, kind, as_of ? &as_of_us : NULL, &features, err);
        if (status == KOL_OK) {
            status = write_out(call, &features, err);
            lake_features_close(&features);
        }
    }
    lake_close(&lake);
    return status;
}

enum kol_status cmd_features(const struct invocation *call, struct kol_error *err)
{
    enum score_kind kind = SCORE_TRUST;
    const char *what = call->args[0];
    const bool drift = strcmp(what, "drift") == 0;
    if (!drift && strcmp(what, "export") != 0) {
        return kol_fail(err, KOL_USAGE, "kol features %s: export or drift is meant", what);
    }
    if (drift && (flag_given(call, "as-of") || flag_given(call, "output"))) {
        return kol_fail(err, KOL_USAGE, "--as-of and --output belong to kol features export");
    }
    if (!drift && flag_given(call, "version")) {
        return kol_fail(err, KOL_USAGE, "--version belongs to kol features drift");
    }
    enum kol_status status = find_kind(call->args[1], &kind, err);
    if (status == KOL_OK) {
        status = drift ? features_drift(call, kind, err) : export_rows(call, kind, err);
    }
    return status;
}
