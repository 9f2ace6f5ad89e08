/*
 * drift.c: `kol features drift`: the features of now beside those of training.
 *
 * Trust: the features stand in silver.kol_trust_features. Success: they are computed from the
 * inputs in gold.product_success by the function that the model is asked with.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "cmd/drift.h"
#include "lake/lake.h"
#include "registry/drift.h"
#include "registry/registry.h"

static const char *const columns[] = {"feature", "null_rate", "null_rate_training",
                                      "outside", "psi",       "verdict"};

/* What is read for a kind: features as they are, or inputs. */
static const struct source {
    const char *name_space, *table;
    const char *const *columns;
    size_t count;
} sources[SCORE_KINDS] = {
    [SCORE_TRUST] = {"silver", "kol_trust_features", trust_feature_names, TRUST_FEATURES},
    [SCORE_SUCCESS] = {"gold", "product_success", success_input_names, SUCCESS_INPUTS},
};

static void add_row(struct drift *drift, enum score_kind kind, const double *cells)
{
    if (kind == SCORE_TRUST) {
        drift_add(drift, cells, 1);
    } else {
        struct success_inputs inputs;
        double features[SUCCESS_FEATURES];
        memcpy(&inputs, cells, sizeof inputs);
        success_compute_features(&inputs, 1, features);
        drift_add(drift, features, 1);
    }
}

static enum kol_status count_rows(struct engine_session *session, enum score_kind kind,
                                  struct drift *drift, struct kol_error *err)
{
    const struct source *source = &sources[kind];
    struct engine_result *result = NULL;
    struct buf sql = {0};
    double cells[TRUST_FEATURES];
    size_t count = 0;
    buf_puts(&sql, "SELECT ");
    for (size_t i = 0; i < source->count; i++) {
        buf_printf(&sql, "%sCAST(%s AS DOUBLE)", i ? ", " : "", source->columns[i]);
    }
    buf_printf(&sql, " FROM %s.%s", source->name_space, source->table);
    enum kol_status status = engine_query(session, sql.ptr, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &count, err)) == KOL_OK && count) {
        for (size_t row = 0; row < count; row++) {
            for (size_t i = 0; i < source->count; i++) {
                cells[i] = engine_null(result, i, row) ? NAN : engine_real(result, i, row);
            }
            add_row(drift, kind, cells);
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

static enum kol_status read_rows(const struct invocation *call, enum score_kind kind,
                                 struct drift *drift, struct kol_error *err)
{
    const struct source *source = &sources[kind];
    struct lake *lake = NULL;
    struct lake_reader reader;
    enum kol_status status = command_open_lake(call, true, &lake, err);
    if (status != KOL_OK) {
        return status;
    }
    status = lake_reader_open(lake, source->name_space, source->table, &reader, err);
    if (status == KOL_NOT_FOUND) {
        status = kol_fail(err, status, "there is no %s.%s yet; `kol etl` makes it",
                          source->name_space, source->table);
    } else if (status == KOL_OK) {
        status = count_rows(reader.session, kind, drift, err);
        lake_reader_close(&reader);
    }
    if (status == KOL_OK && !drift_rows(drift)) {
        status = kol_fail(err, KOL_NOT_FOUND, "%s.%s has no rows to compare with training",
                          source->name_space, source->table);
    }
    lake_close(&lake);
    return status;
}

/* ---- the answer ---- */

/* With the score in front: both have an engagement_rate, which is not the same. */
static void set_metrics(enum score_kind kind, const struct drift_feature *feature)
{
    struct buf label = {0};
    buf_printf(&label, "%s/%s", score_kind_name(kind), feature->name);
    metrics_set(METRIC_FEATURE_NULL_RATE, label.ptr, feature->null_rate);
    metrics_set(METRIC_FEATURE_OUTSIDE, label.ptr, isnan(feature->outside) ? 0 : feature->outside);
    metrics_set(METRIC_FEATURE_DRIFT, label.ptr, feature->psi);
    buf_free(&label);
}

/* A table shows four digits, which is more than there is to see. */
static void put_share(struct rows *rows, const struct invocation *call, double share)
{
    rows_real(rows, call->format == ROWS_TABLE ? rint(share * 1e4) / 1e4 : share);
}

static enum kol_status print(const struct invocation *call, enum score_kind kind,
                             const struct drift *drift, struct kol_error *err)
{
    struct drift_feature features[TRUST_FEATURES];
    struct rows *rows = rows_begin(stdout, call->format, columns, ARRAY_LEN(columns));
    const size_t count = drift_measure(drift, features);
    for (size_t i = 0; i < count; i++) {
        rows_text(rows, str_of(features[i].name));
        put_share(rows, call, features[i].null_rate);
        put_share(rows, call, features[i].null_rate_then);
        put_share(rows, call, features[i].outside);
        put_share(rows, call, features[i].psi);
        rows_text(rows, str_of(features[i].verdict));
        set_metrics(kind, &features[i]);
    }
    return rows_end(&rows, err);
}

static enum kol_status open_drift(const struct invocation *call, enum score_kind kind,
                                  struct arena *arena, struct registry_version *version,
                                  struct drift **out, struct kol_error *err)
{
    const struct registry_options options = {.data = call->data};
    const char *model = score_kind_name(kind), *which = flag_text(call, "version");
    struct registry *registry = NULL;
    enum kol_status status = registry_open(&options, &registry, err);
    if (status != KOL_OK) {
        return status;
    }
    status =
        registry_find(registry, model, which ? which : REGISTRY_PRODUCTION, arena, version, err);
    if (status == KOL_NOT_FOUND && !which) {
        status = registry_no_model(kind, err);
    }
    registry_close(&registry);
    if (status == KOL_OK) {
        status = drift_open(kind, version->metadata, out, err);
        if (status != KOL_OK) {
            kol_wrap(err, "%s version %s", version->model, version->version);
        }
    }
    return status;
}

enum kol_status features_drift(const struct invocation *call, enum score_kind kind,
                               struct kol_error *err)
{
    struct arena arena;
    struct registry_version version;
    struct drift *drift = NULL;
    arena_init(&arena, 0);
    enum kol_status status = open_drift(call, kind, &arena, &version, &drift, err);
    if (status == KOL_OK) {
        status = read_rows(call, kind, drift, err);
    }
    if (status == KOL_OK) {
        status = print(call, kind, drift, err);
    }
    if (status == KOL_OK) {
        fprintf(stderr, "%zu rows of %s.%s beside the training of %s version %s\n",
                drift_rows(drift), sources[kind].name_space, sources[kind].table, version.model,
                version.version);
    }
    drift_close(&drift);
    arena_free(&arena);
    return status;
}
