/*
 * explain.c: why the trust score of a KOL is what it is.
 *
 * The inputs are those of silver.kol_trust_features, taken from the record of the KOL; what is
 * explained is the score that the model of now gives them.
 */
#include <math.h>
#include <string.h>

#include "api/parts.h"
#include "base/clock.h"
#include "score/explain.h"

static double count_of(const struct online_record *record, int column)
{
    int64_t value;
    return online_int(record, column, &value) ? (double)value : NAN;
}

static double flag_of(const struct online_record *record, int column)
{
    bool value;
    return online_bool(record, column, &value) ? value : NAN;
}

/* Whole days up to the newest profile event, as sql/silver/kol_trust_features.sql says it. */
static double age_of(const struct api_columns *at, const struct online_record *record)
{
    int64_t created, given, given_at, newest, days;
    if (!online_int(record, at->updated_at, &newest)) {
        return NAN;
    }
    if (online_int(record, at->account_created_at, &created)) {
        days = (newest - created) / CLOCK_US_PER_DAY;
        return created <= newest ? (double)days : NAN;
    }
    if (online_int(record, at->account_age_days, &given) &&
        online_int(record, at->account_age_at, &given_at)) {
        days = given + (newest - given_at) / CLOCK_US_PER_DAY;
        return (double)days;
    }
    return NAN;
}

static void inputs_of(const struct api_copy *copy, const struct online_record *record,
                      struct trust_inputs *out)
{
    const struct api_columns *at = &copy->kol;
    *out = (struct trust_inputs){
        .followers_count = count_of(record, at->followers_count),
        .following_count = count_of(record, at->following_count),
        .post_count = count_of(record, at->post_count),
        .favorites_count = count_of(record, at->favorites_count),
        .account_age = age_of(at, record),
        .bio_length = count_of(record, at->bio_length),
        .has_bio = flag_of(record, at->has_bio),
        .has_url = flag_of(record, at->has_url),
        .has_profile_image = flag_of(record, at->has_profile_image),
        .verified = flag_of(record, at->verified),
        .default_profile = flag_of(record, at->default_profile),
        .default_profile_image = flag_of(record, at->default_profile_image),
    };
}

static void put_part(struct json *json, const struct trust_inputs *inputs,
                     const struct contribution *part)
{
    struct buf reason = {0};
    trust_reason(inputs, part, &reason);
    js_open(json, '{');
    js_member_text(json, "feature", str_of(trust_feature_names[part->feature]));
    js_member_real(json, "value", part->value);
    js_member_real(json, "phi", part->phi);
    js_member_real(json, "points", part->points);
    js_member_text(json, "reason", buf_str(&reason));
    js_close(json, '}');
    buf_free(&reason);
}

/* Points and base are not rounded: they sum to the score. Where nothing is known of the account
 * there is none; the parts then are those of an account of which nothing is known. */
static void put_explanation(struct json *json, const struct api_copy *copy,
                            const struct api_who *who, const struct score_model *model)
{
    struct trust_inputs inputs;
    struct explanation explanation;
    double features[TRUST_FEATURES];
    bool known = false;
    inputs_of(copy, &who->record, &inputs);
    trust_compute_features(&inputs, 1, features);
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        known = known || !isnan(features[i]);
    }
    score_explain(SCORE_TRUST, model->gbdt, features, &explanation);
    js_open(json, '{');
    js_member_text(json, "kol_id", who->kol_id);
    js_member_text(json, "platform", who->platform);
    js_member_real(json, "score", known ? explanation.score : NAN);
    js_member_real(json, "base", explanation.base);
    js_member_real(json, "raw", explanation.raw);
    js_member_real(json, "raw_base", explanation.raw_base);
    js_member_text(json, "model_version", str_of(model->version));
    js_name(json, "contributions");
    js_open(json, '[');
    for (size_t i = 0; i < explanation.count; i++) {
        put_part(json, &inputs, &explanation.by_weight[i]);
    }
    js_close(json, ']');
    api_put_source(json, copy);
    js_close(json, '}');
}

enum kol_status api_explain_kol(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct api_who who;
    struct buf body = {0};
    struct json json = {.out = &body};
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status == KOL_OK) {
        status = api_who(call, copy, &who, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    const struct score_model *model = &api_call_models(call)->by_kind[SCORE_TRUST];
    if (!model->gbdt) {
        return http_problem(call, "no_model", "No trust model serves.");
    }
    struct kol_error why;
    if (gbdt_can_explain(model->gbdt, &why) != KOL_OK) {
        return http_problem(call, "no_model", "The model %s cannot be explained: %s.",
                            model->version, why.message);
    }
    put_explanation(&json, copy, &who, model);
    return api_answer(call, &body);
}
