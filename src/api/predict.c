/*
 * predict.c: the scorers by hand, through the same functions as `kol predict`, and which models
 * they are.
 *
 * Bodies come checked against their schema (schemas.def): here a member is a number, a flag, null
 * or absent, and null is absent.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/parts.h"
#include "base/clock.h"
#include "base/text.h"

enum { USUAL_ANSWER = 400 }; /* bytes that most answers of one score fit into */

static const char *const trending_input_names[] = {"velocity", "baseline", "market", "momentum"};

/* The struct of doubles that a score is asked with, by the names of its members. */
static void read_inputs(const struct json_value *body, const char *const *names, size_t count,
                        void *inputs)
{
    double *values = inputs;
    struct json_value *guess = NULL;
    for (size_t i = 0; i < count; i++) {
        struct json_value *value = json_value_find(body, str_of(names[i]), guess);
        values[i] = NAN;
        if (!value) {
            continue;
        }
        if (value->kind == VALUE_BOOL) {
            values[i] = value->truth;
        } else {
            json_value_number(value, &values[i]);
        }
        guess = value->next;
    }
}

static void put_kol_id(struct json *json, const struct json_value *body)
{
    const struct json_value *id = json_value_get(body, "kol_id");
    js_name(json, "kol_id");
    if (id && id->kind == VALUE_TEXT) {
        js_text(json, id->text);
    } else {
        js_null(json);
    }
}

static void put_names(struct json *json, const char *member, uint32_t bits,
                      const char *const *names, size_t count)
{
    js_name(json, member);
    js_open(json, '[');
    for (size_t i = 0; i < count; i++) {
        if (bits >> i & 1) {
            js_text(json, str_of(names[i]));
        }
    }
    js_close(json, ']');
}

static void put_domain(struct json *json, bool in_domain, uint32_t outside,
                       const char *const *features, size_t count)
{
    js_member_bool(json, "in_domain", in_domain);
    put_names(json, "out_of_domain", outside, features, count);
}

static void put_version(struct json *json, const char *version, int64_t now_us)
{
    js_member_text(json, "model_version", str_of(version));
    js_name(json, "timestamp");
    js_time(json, now_us);
}

/* ---- trust ---- */

static enum kol_status trust_model(struct http_call *call, const struct score_model **out)
{
    *out = &api_call_models(call)->by_kind[SCORE_TRUST];
    return (*out)->gbdt ? KOL_OK : http_problem(call, "no_model", "No trust model serves.");
}

static void put_trust(struct json *json, const struct json_value *body,
                      const struct trust_score *score, const struct score_model *model,
                      int64_t now_us)
{
    js_open(json, '{');
    put_kol_id(json, body);
    js_name(json, "trust_score");
    js_score(json, score->score);
    js_member_text(json, "trust_label", str_of(score->label));
    js_name(json, "is_trustworthy");
    if (isnan(score->score)) {
        js_null(json);
    } else {
        js_bool(json, score->score >= 50);
    }
    js_member_real(json, "confidence", score->confidence);
    js_member_text(json, "risk_level", str_of(score->risk));
    put_domain(json, score->in_domain, score->outside, trust_feature_names, TRUST_FEATURES);
    js_member_text(json, "prediction_source", STR("model"));
    put_version(json, model->version, now_us);
    js_close(json, '}');
}

enum kol_status api_predict_trust(struct http_call *call, struct kol_error *err)
{
    (void)err;
    const struct score_model *model;
    const struct json_value *given = http_json_body(call);
    struct trust_inputs inputs;
    struct trust_score score;
    struct buf body = {0};
    struct json json = {.out = &body};
    enum kol_status status = trust_model(call, &model);
    if (status != KOL_OK) {
        return status;
    }
    buf_reserve(&body, USUAL_ANSWER);
    read_inputs(given, trust_input_names, TRUST_INPUTS, &inputs);
    trust_score(model->gbdt, &inputs, 1, &score);
    put_trust(&json, given, &score, model, clock_now_us());
    return api_answer(call, &body);
}

enum kol_status api_predict_trust_batch(struct http_call *call, struct kol_error *err)
{
    (void)err;
    const struct score_model *model;
    const struct json_value *given = json_value_get(http_json_body(call), "kols");
    const size_t count = given->count;
    const int64_t now_us = clock_now_us();
    struct buf body = {0};
    struct json json = {.out = &body};
    enum kol_status status = trust_model(call, &model);
    if (status != KOL_OK) {
        return status;
    }
    struct arena *arena = http_call_arena(call);
    struct trust_inputs *inputs = arena_alloc(arena, count * sizeof *inputs);
    struct trust_score *scores = arena_alloc(arena, count * sizeof *scores);
    const struct json_value *one = given->first;
    for (size_t i = 0; i < count; i++, one = one->next) {
        read_inputs(one, trust_input_names, TRUST_INPUTS, &inputs[i]);
    }
    trust_score(model->gbdt, inputs, count, scores);
    js_open(&json, '{');
    js_name(&json, "predictions");
    js_open(&json, '[');
    one = given->first;
    for (size_t i = 0; i < count; i++, one = one->next) {
        put_trust(&json, one, &scores[i], model, now_us);
    }
    js_close(&json, ']');
    js_member_int(&json, "count", (int64_t)count);
    js_member_text(&json, "model_version", str_of(model->version));
    js_close(&json, '}');
    return api_answer(call, &body);
}

static int feature_place(struct str name)
{
    for (int i = 0; i < TRUST_FEATURES; i++) {
        if (str_is(name, trust_feature_names[i])) {
            return i;
        }
    }
    return -1;
}

/* The names are the model's, which no schema knows. */
static enum kol_status read_features(struct http_call *call, const struct json_value *given,
                                     double *features)
{
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        features[i] = NAN;
    }
    for (const struct json_value *value = given->first; value; value = value->next) {
        const int place = feature_place(value->name);
        if (place < 0) {
            const char *near = str_nearest(value->name, trust_feature_names, TRUST_FEATURES);
            return http_problem(call, "invalid_body",
                                "/features: the model has no feature '%.*s'%s%s%s.",
                                STR_FORMAT(text_prefix(value->name, 64)),
                                near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
        }
        if (!json_value_number(value, &features[place]) && value->kind != VALUE_NULL) {
            return http_problem(call, "invalid_body", "/features/%.*s: must be a number or null.",
                                STR_FORMAT(value->name));
        }
    }
    return KOL_OK;
}

enum kol_status api_predict_trust_features(struct http_call *call, struct kol_error *err)
{
    (void)err;
    const struct score_model *model;
    const struct json_value *given = http_json_body(call);
    double features[TRUST_FEATURES];
    struct trust_score score;
    struct buf body = {0};
    struct json json = {.out = &body};
    enum kol_status status = trust_model(call, &model);
    if (status == KOL_OK) {
        status = read_features(call, json_value_get(given, "features"), features);
    }
    if (status != KOL_OK) {
        return status;
    }
    trust_score_features(model->gbdt, features, 1, &score);
    put_trust(&json, given, &score, model, clock_now_us());
    return api_answer(call, &body);
}

/* ---- success, trending ---- */

enum kol_status api_predict_success(struct http_call *call, struct kol_error *err)
{
    (void)err;
    static const char *const rule_parts[] = {"video_views", "engagement_rate", "est_ctr",
                                             "engagement_total"};
    const struct score_model *model = &api_call_models(call)->by_kind[SCORE_SUCCESS];
    const struct json_value *given = http_json_body(call);
    struct success_inputs inputs;
    struct success_score score;
    struct buf body = {0};
    struct json json = {.out = &body};
    read_inputs(given, success_input_names, SUCCESS_INPUTS, &inputs);
    success_score(model->gbdt, &inputs, 1, &score);
    js_open(&json, '{');
    put_kol_id(&json, given);
    js_name(&json, "score");
    js_score(&json, score.score);
    js_member_text(&json, "label", str_of(score.label));
    js_member_text(&json, "method", str_of(score.method));
    put_domain(&json, score.in_domain, score.outside, success_feature_names, SUCCESS_FEATURES);
    put_names(&json, "missing", score.missing, rule_parts, ARRAY_LEN(rule_parts));
    put_version(&json, model->version, clock_now_us());
    js_close(&json, '}');
    return api_answer(call, &body);
}

enum kol_status api_predict_trending(struct http_call *call, struct kol_error *err)
{
    (void)err;
    const struct json_value *given = http_json_body(call);
    struct trending_inputs inputs;
    struct buf body = {0};
    struct json json = {.out = &body};
    read_inputs(given, trending_input_names, ARRAY_LEN(trending_input_names), &inputs);
    const double score = trending_score(&inputs, TRENDING_FLOOR_BY_HAND);
    js_open(&json, '{');
    put_kol_id(&json, given);
    js_name(&json, "score");
    js_score(&json, score);
    js_member_text(&json, "label", str_of(trending_label(score)));
    js_member_text(&json, "method", STR("formula"));
    put_version(&json, "formula", clock_now_us());
    js_close(&json, '}');
    return api_answer(call, &body);
}

/* ---- which models ---- */

static void put_metrics(struct json *json, struct str metadata)
{
    json_t *root = json_loadb(metadata.len ? metadata.ptr : "", metadata.len, 0, NULL);
    const json_t *metrics = json_object_get(root, "metrics");
    char *text = json_is_object(metrics) ? json_dumps(metrics, JSON_COMPACT) : NULL;
    js_name(json, "metrics");
    js_raw(json, text ? str_of(text) : STR("{}"));
    free(text);
    json_decref(root);
}

static void put_features(struct json *json, const char *const *names, size_t count)
{
    js_name(json, "features");
    js_open(json, '[');
    for (size_t i = 0; i < count; i++) {
        js_text(json, str_of(names[i]));
    }
    js_close(json, ']');
}

/* What the registry says of the version that this call holds, which may not be there any more. */
static enum kol_status find_version(struct http_call *call, enum score_kind kind,
                                    struct registry_version *out, struct kol_error *err)
{
    struct str version = str_of(api_call_models(call)->by_kind[kind].version);
    str_cut(&version, '/');
    *out = (struct registry_version){.source = "unknown", .aliases = "", .metadata = STR("{}")};
    enum kol_status status =
        registry_find(api_of(call)->registry, score_kind_name(kind), version.len ? version.ptr : "",
                      http_call_arena(call), out, err);
    if (status == KOL_NOT_FOUND) {
        *out = (struct registry_version){.source = "unknown", .aliases = "", .metadata = STR("{}")};
        return KOL_OK;
    }
    return status;
}

static enum kol_status model_info(struct http_call *call, enum score_kind kind,
                                  struct kol_error *err)
{
    const struct score_model *model = &api_call_models(call)->by_kind[kind];
    const bool trust = kind == SCORE_TRUST;
    struct registry_version version = {.source = "rule", .aliases = "", .metadata = STR("{}")};
    struct buf body = {0};
    struct json json = {.out = &body};
    enum kol_status status = model->gbdt ? find_version(call, kind, &version, err) : KOL_OK;
    if (status != KOL_OK) {
        return status;
    }
    js_open(&json, '{');
    js_member_text(&json, "name", str_of(score_kind_name(kind)));
    js_member_text(&json, "version", str_of(model->version));
    js_name(&json, "alias");
    if (str_has_word(str_of(version.aliases), STR(REGISTRY_PRODUCTION))) {
        js_text(&json, STR(REGISTRY_PRODUCTION));
    } else {
        js_null(&json);
    }
    put_features(&json, trust ? trust_feature_names : success_feature_names,
                 trust ? (size_t)TRUST_FEATURES : (size_t)SUCCESS_FEATURES);
    put_metrics(&json, version.metadata);
    js_member_text(&json, "source", str_of(version.source));
    js_member_time(&json, "created_at", version.created_us);
    js_close(&json, '}');
    return api_answer(call, &body);
}

enum kol_status api_trust_model_info(struct http_call *call, struct kol_error *err)
{
    const struct score_model *model;
    enum kol_status status = trust_model(call, &model);
    return status == KOL_OK ? model_info(call, SCORE_TRUST, err) : status;
}

enum kol_status api_success_model_info(struct http_call *call, struct kol_error *err)
{
    return model_info(call, SCORE_SUCCESS, err);
}

enum kol_status api_predict_health(struct http_call *call, struct kol_error *err)
{
    (void)err;
    const struct score_models *models = api_call_models(call);
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_text(&json, "status",
                   models->by_kind[SCORE_TRUST].gbdt ? STR("ok") : STR("degraded"));
    js_name(&json, "models");
    js_open(&json, '{');
    for (int kind = 0; kind < SCORE_KINDS; kind++) {
        js_member_text(&json, score_kind_name((enum score_kind)kind),
                       str_of(models->by_kind[kind].version));
    }
    js_close(&json, '}');
    js_close(&json, '}');
    return api_answer(call, &body);
}
