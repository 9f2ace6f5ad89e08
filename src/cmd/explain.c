/*
 * explain.c: `kol explain`: why a score is what it is, feature by feature.
 *
 * The inputs come by hand, or from silver.kol_trust_features, where the score step takes them too.
 * The rows sum: the first is the base, then come the features by weight, the last is the score.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/inputs.h"
#include "lake/lake.h"
#include "score/explain.h"

static const char *const columns[] = {"feature", "value", "points", "phi", "reason"};

/* What is explained. */
struct explaining {
    const struct invocation *call;
    enum score_kind kind;
    struct given_inputs given;
    struct score_model model;
};

static double shown(const struct invocation *call, double value)
{
    return call->format == ROWS_TABLE ? score_round(value) + 0.0 : value; /* no -0 */
}

static void put_row(struct rows *rows, const struct invocation *call, const char *feature,
                    double value, double points, double phi, struct str reason)
{
    rows_text(rows, str_of(feature));
    rows_real(rows, value);
    rows_real(rows, shown(call, points));
    rows_real(rows, shown(call, phi));
    rows_text(rows, reason);
}

static void put_part(struct rows *rows, const struct explaining *of,
                     const struct contribution *part)
{
    struct buf reason = {0};
    const char *name;
    if (of->kind == SCORE_TRUST) {
        struct trust_inputs inputs;
        memcpy(&inputs, of->given.values, sizeof inputs);
        trust_reason(&inputs, part, &reason);
        name = trust_feature_names[part->feature];
    } else {
        struct success_inputs inputs;
        memcpy(&inputs, of->given.values, sizeof inputs);
        success_reason(&inputs, part, &reason);
        name = success_feature_names[part->feature];
    }
    put_row(rows, of->call, name, part->value, part->points, part->phi, buf_str(&reason));
    buf_free(&reason);
}

static void put_score(struct rows *rows, const struct explaining *of,
                      const struct explanation *explanation)
{
    struct buf text = {0};
    const char *label = of->kind == SCORE_TRUST ? trust_label(explanation->score)
                                                : success_label(explanation->score);
    buf_printf(&text, "the %s score by %s: %s", score_kind_name(of->kind), of->model.version,
               label);
    put_row(rows, of->call, "score", NAN, explanation->score, explanation->raw, buf_str(&text));
    buf_free(&text);
}

static void compute_features(const struct explaining *of, double *features)
{
    if (of->kind == SCORE_TRUST) {
        struct trust_inputs inputs;
        memcpy(&inputs, of->given.values, sizeof inputs);
        trust_compute_features(&inputs, 1, features);
    } else {
        struct success_inputs inputs;
        memcpy(&inputs, of->given.values, sizeof inputs);
        success_compute_features(&inputs, 1, features);
    }
}

static enum kol_status explain(const struct explaining *of, struct kol_error *err)
{
    const size_t count = of->kind == SCORE_TRUST ? TRUST_FEATURES : SUCCESS_FEATURES;
    double features[TRUST_FEATURES];
    struct explanation explanation;
    bool known = false;
    compute_features(of, features);
    for (size_t i = 0; i < count; i++) {
        known = known || !isnan(features[i]);
    }
    if (!known) {
        return kol_fail(err, KOL_INVALID, "nothing is known, so there is no score to explain");
    }
    score_explain(of->kind, of->model.gbdt, features, &explanation);
    struct rows *rows = rows_begin(stdout, of->call->format, columns, ARRAY_LEN(columns));
    put_row(rows, of->call, "base", NAN, explanation.base, explanation.raw_base,
            STR("where the model begins: the mean of what it was trained on"));
    for (size_t i = 0; i < explanation.count; i++) {
        put_part(rows, of, &explanation.by_weight[i]);
    }
    put_score(rows, of, &explanation);
    return rows_end(&rows, err);
}

static enum kol_status find_kind(const char *name, enum score_kind *out, struct kol_error *err)
{
    for (enum score_kind kind = 0; kind < SCORE_KINDS; kind++) {
        if (strcmp(name, score_kind_name(kind)) == 0) {
            *out = kind;
            return KOL_OK;
        }
    }
    return kol_fail(err, KOL_USAGE, "--score %s: what can be explained is trust or success", name);
}

static enum kol_status check_model(const struct explaining *of, struct kol_error *err)
{
    if (!of->model.gbdt) {
        return kol_fail(err, KOL_NOT_FOUND,
                        "no success model serves, and the rule explains itself: see "
                        "`kol predict success` and docs/scores.md");
    }
    return gbdt_can_explain(of->model.gbdt, err);
}

/* ---- the inputs of an account ---- */

/* The name of an input in silver.kol_trust_features. */
static const char *column_of(size_t input)
{
    return strcmp(trust_input_names[input], "account_age_days") ? trust_input_names[input]
                                                                : "account_age";
}

/* One row a platform, that with most followers first, as the API answers a name on several. */
static void put_query(struct buf *sql, const char *kol)
{
    buf_puts(sql, "SELECT platform");
    for (size_t i = 0; i < TRUST_INPUTS; i++) {
        buf_printf(sql, ", CAST(%s AS DOUBLE)", column_of(i));
    }
    buf_puts(sql, " FROM silver.kol_trust_features WHERE kol_id = ");
    engine_quote_text(sql, str_of(kol));
    buf_puts(sql, " OR platform || ':' || kol_id = ");
    engine_quote_text(sql, str_of(kol));
    buf_puts(sql, " ORDER BY followers_count DESC NULLS LAST, platform");
}

static void take_row(struct explaining *of, const struct engine_result *result)
{
    for (size_t i = 0; i < TRUST_INPUTS; i++) {
        of->given.values[i] = engine_null(result, i + 1, 0) ? NAN : engine_real(result, i + 1, 0);
    }
}

static enum kol_status take_rows(struct explaining *of, struct engine_result *result,
                                 const char *kol, struct kol_error *err)
{
    size_t count;
    enum kol_status status = engine_next(result, &count, err);
    if (status != KOL_OK) {
        return status;
    }
    if (!count) {
        return kol_fail(err, KOL_NOT_FOUND,
                        "there is no KOL %s in silver.kol_trust_features; kol sql \"SELECT kol_id "
                        "FROM silver.kol_profiles WHERE ...\" finds names",
                        kol);
    }
    take_row(of, result);
    for (size_t row = 1; row < count; row++) {
        const struct str first = engine_text(result, 0, 0), other = engine_text(result, 0, row);
        fprintf(stderr, "this is %s on %.*s; there is also %.*s:%s\n", kol, STR_FORMAT(first),
                STR_FORMAT(other), kol);
    }
    return KOL_OK;
}

static enum kol_status read_kol(struct explaining *of, const char *kol, struct kol_error *err)
{
    struct lake *lake;
    struct lake_reader reader;
    struct engine_result *result = NULL;
    struct buf sql = {0};
    enum kol_status status = command_open_lake(of->call, true, &lake, err);
    if (status != KOL_OK) {
        return status;
    }
    put_query(&sql, kol);
    status = lake_reader_open(lake, "silver", "kol_trust_features", &reader, err);
    if (status == KOL_OK) {
        status = engine_query(reader.session, sql.ptr, &result, err);
        if (status == KOL_OK) {
            status = take_rows(of, result, kol, err);
        }
        engine_result_free(&result);
        lake_reader_close(&reader);
    } else if (status == KOL_NOT_FOUND) {
        status = kol_fail(err, status, "there are no features yet: `kol etl` makes them");
    }
    buf_free(&sql);
    lake_close(&lake);
    return status;
}

/* ---- the command ---- */

/* By hand or by name, not both. */
static enum kol_status read_inputs(struct explaining *of, struct kol_error *err)
{
    const char *json = flag_text(of->call, "json");
    if (!json == !of->call->arg_count) {
        return kol_fail(err, KOL_USAGE, "give a KOL, or the inputs by --json '{...}'");
    }
    if (json) {
        return inputs_read(of->kind == SCORE_TRUST ? &trust_input_table : &success_input_table,
                           str_of(json), &of->given, err);
    }
    if (of->kind != SCORE_TRUST) {
        return kol_fail(err, KOL_USAGE,
                        "the success of a KOL is a mean over its products: give the inputs of one "
                        "product by --json");
    }
    return read_kol(of, of->call->args[0], err);
}

enum kol_status cmd_explain(const struct invocation *call, struct kol_error *err)
{
    struct explaining of = {.call = call};
    enum kol_status status = find_kind(flag_text(call, "score"), &of.kind, err);
    if (status == KOL_OK) {
        status = read_inputs(&of, err);
    }
    if (status == KOL_OK) {
        status = inputs_model(call, of.kind, &of.model, err);
    }
    if (status == KOL_OK) {
        status = check_model(&of, err);
    }
    if (status == KOL_OK) {
        status = explain(&of, err);
    }
    gbdt_free(&of.model.gbdt);
    return status;
}
