/*
 * score.c: the scores of a KOL: those of the copy, and live ones in their place where they are
 * newer.
 *
 * A live score is what the stream leaves in the live store under LIVE_SCORE, platform:kol_id: a
 * JSON object with members of KOLScore, of one event_time. Each of trust, trending and success is
 * taken whole or not at all; the composite is made anew of what there is then.
 */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "api/parts.h"
#include "base/logger.h"

static struct str text_or(const struct online_record *record, int column, const char *otherwise)
{
    struct str text;
    return online_text(record, column, &text) ? text : str_of(otherwise);
}

static double real_of(const struct online_record *record, int column)
{
    double value;
    return online_real(record, column, &value) ? value : NAN;
}

static int64_t time_of(const struct online_record *record, int column)
{
    int64_t value;
    return online_int(record, column, &value) ? value : 0;
}

static void of_copy(const struct api_copy *copy, const struct online_record *record,
                    struct api_score *out)
{
    const struct api_columns *at = &copy->kol;
    *out = (struct api_score){
        .trust = real_of(record, at->trust_score),
        .confidence = real_of(record, at->confidence),
        .success = real_of(record, at->success_score),
        .trending = real_of(record, at->trending_score),
        .composite = real_of(record, at->composite_score),
        .trust_label = text_or(record, at->trust_label, "unknown"),
        .risk_level = text_or(record, at->risk_level, "unknown"),
        .model_version = text_or(record, at->trust_model_version, "none"),
        .success_label = text_or(record, at->success_label, ""),
        .success_method = text_or(record, at->success_method, "none"),
        .success_model_version = text_or(record, at->success_model_version, "none"),
        .trending_label = text_or(record, at->trending_label, ""),
        .scored_us = time_of(record, at->computed_at),
        .trending_as_of_us = time_of(record, at->trending_as_of),
    };
    if (isnan(out->trust)) {
        out->confidence = 0;
        out->model_version = STR("none");
        out->trust_label = out->risk_level = STR("unknown");
        return;
    }
    if (!online_bool(record, at->in_domain, &out->in_domain)) {
        out->in_domain = false;
    }
    int64_t count =
        online_texts(record, at->out_of_domain, out->out_of_domain, ARRAY_LEN(out->out_of_domain));
    out->out_count = count < 0 ? 0
                     : (size_t)count < ARRAY_LEN(out->out_of_domain)
                         ? (size_t)count
                         : ARRAY_LEN(out->out_of_domain);
}

/* ---- live ones ---- */

static struct str live_text(json_t *object, const char *name, struct arena *arena,
                            const char *otherwise)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value)) {
        return str_of(otherwise);
    }
    return arena_copy(arena, (struct str){json_string_value(value), json_string_length(value)});
}

/* False, with `out` as it was, where it is no finite number. */
static bool live_real(json_t *object, const char *name, double *out)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_number(value) || !isfinite(json_number_value(value))) {
        return false;
    }
    *out = json_number_value(value);
    return true;
}

static bool live_trust(json_t *object, struct arena *arena, struct api_score *out)
{
    double trust, confidence;
    if (!live_real(object, "trust_score", &trust)) {
        return false;
    }
    out->trust = trust;
    out->confidence = live_real(object, "confidence", &confidence) ? confidence : 0;
    out->trust_label = str_of(trust_label(trust)); /* again from the score: one definition */
    out->risk_level = str_of(risk_level(trust));
    out->model_version = live_text(object, "model_version", arena, "none");
    out->in_domain = json_is_true(json_object_get(object, "in_domain"));
    const json_t *names = json_object_get(object, "out_of_domain");
    out->out_count = 0;
    for (size_t i = 0; i < json_array_size(names) && i < ARRAY_LEN(out->out_of_domain); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        out->out_of_domain[out->out_count++] = arena_copy(arena, str_of(name));
    }
    return true;
}

static bool live_trending(json_t *object, int64_t event_time_us, struct api_score *out)
{
    if (!live_real(object, "trending_score", &out->trending)) {
        return false;
    }
    out->trending_label = str_of(trending_label(out->trending));
    out->trending_as_of_us = event_time_us;
    return true;
}

static bool live_success(json_t *object, struct arena *arena, struct api_score *out)
{
    if (!live_real(object, "success_score", &out->success)) {
        return false;
    }
    out->success_label = str_of(success_label(out->success));
    out->success_method = live_text(object, "success_method", arena, "none");
    out->success_model_version = live_text(object, "success_model_version", arena, "none");
    return true;
}

void api_score_take(void *given, int64_t event_time_us, struct arena *arena, struct api_score *out)
{
    uint32_t parts;
    json_t *object = given;
    bool trust = json_is_object(object) && live_trust(object, arena, out);
    bool trending = json_is_object(object) && live_trending(object, event_time_us, out);
    bool success = json_is_object(object) && live_success(object, arena, out);
    if (trust || trending || success) {
        out->scored_us = event_time_us;
        out->composite = composite_score(out->trending, out->success, out->trust, &parts);
        out->live = true;
    }
}

/* What is no object, or tells no score, changes nothing. */
static void take_live(struct str text, int64_t event_time_us, struct arena *arena,
                      struct api_score *out)
{
    json_t *object = json_loadb(text.len ? text.ptr : "", text.len, 0, NULL);
    api_score_take(object, event_time_us, arena, out);
    json_decref(object);
}

static void newer(const struct api_copy *copy, const struct online_record *record,
                  struct live *live, struct arena *arena, struct api_score *out)
{
    struct str platform = text_or(record, copy->kol.platform, "");
    struct str kol_id = text_or(record, copy->kol.kol_id, "");
    char key[LIVE_MAX_KEY + 1];
    int len = snprintf(key, sizeof key, "%.*s:%.*s", STR_FORMAT(platform), STR_FORMAT(kol_id));
    if (len < 0 || (size_t)len >= sizeof key) {
        return; /* too long for the store: there is none */
    }
    struct buf bytes = {0};
    struct live_value value;
    struct kol_error err;
    enum kol_status status =
        live_get(live, LIVE_SCORE, (struct str){key, (size_t)len}, &bytes, &value, &err);
    if (status == KOL_OK && value.event_time_us > time_of(record, copy->kol.event_time)) {
        take_live(buf_str(&bytes), value.event_time_us, arena, out);
    } else if (status != KOL_OK && status != KOL_NOT_FOUND) {
        log_warn("the live scores cannot be read, those of the copy answer: %s", err.message);
    }
    buf_free(&bytes);
}

void api_score_of(const struct api_copy *copy, const struct online_record *record,
                  struct live *live, struct arena *arena, struct api_score *out)
{
    of_copy(copy, record, out);
    if (live) {
        newer(copy, record, live, arena, out);
    }
}

/* ---- KOLScore ---- */

static void text_or_null(struct json *json, const char *name, struct str text)
{
    js_name(json, name);
    if (text.len) {
        js_text(json, text);
    } else {
        js_null(json);
    }
}

static void put_score(struct json *json, const char *name, double value)
{
    js_name(json, name);
    js_score(json, value);
}

static void put_trust(struct json *json, const struct api_score *score)
{
    put_score(json, "trust_score", score->trust);
    js_member_text(json, "trust_label", score->trust_label);
    js_member_text(json, "risk_level", score->risk_level);
    js_member_real(json, "confidence", isnan(score->confidence) ? 0 : score->confidence);
    js_member_text(json, "model_version", score->model_version);
}

static void put_success_and_trending(struct json *json, const struct api_score *score)
{
    put_score(json, "success_score", score->success);
    text_or_null(json, "success_label", score->success_label);
    js_member_text(json, "success_method", score->success_method);
    js_member_text(json, "success_model_version", score->success_model_version);
    put_score(json, "trending_score", score->trending);
    text_or_null(json, "trending_label", score->trending_label);
    js_member_time(json, "trending_as_of", score->trending_as_of_us);
}

static void put_composite(struct json *json, const struct api_score *score)
{
    uint32_t parts = 0;
    composite_score(score->trending, score->success, score->trust, &parts);
    put_score(json, "composite_score", score->composite);
    js_name(json, "composite_parts");
    js_open(json, '[');
    for (unsigned i = 0; i < COMPOSITE_PARTS; i++) {
        if (parts >> i & 1) {
            js_text(json, str_of(composite_part_name((enum composite_part)i)));
        }
    }
    js_close(json, ']');
}

static void put_standing(struct json *json, const struct api_copy *copy,
                         const struct online_record *record)
{
    const struct api_columns *at = &copy->kol;
    int64_t sample;
    js_name(json, "percentile");
    js_open(json, '{');
    js_member_score(json, "platform", record, at->percentile_platform);
    js_member_score(json, "tier", record, at->percentile_tier);
    js_member_score(json, "category", record, at->percentile_category);
    js_close(json, '}');
    js_member_int(json, "sample_size", online_int(record, at->sample_size, &sample) ? sample : 0);
}

/* What gold.kol_standing says of the copy's score, said of a live one. */
static struct str state_of(const struct api_copy *copy, const struct online_record *record,
                           const struct api_score *score)
{
    if (!score->live) {
        return text_or(record, copy->kol.state, "not_ready");
    }
    if (isnan(score->trust)) {
        return STR("not_ready");
    }
    return score->confidence < 0.6 || !score->in_domain ? STR("low_confidence") : STR("ready");
}

void api_put_score(struct json *json, const struct api_copy *copy,
                   const struct online_record *record, const struct api_score *score)
{
    js_open(json, '{');
    js_member_cell(json, "kol_id", record, copy->kol.kol_id, HTTP_TEXT);
    js_member_cell(json, "platform", record, copy->kol.platform, HTTP_TEXT);
    put_trust(json, score);
    /* Without scores: when it was found that there are none. */
    js_name(json, "scored_at");
    js_time(json, score->scored_us ? score->scored_us : copy->info->built_us);
    put_success_and_trending(json, score);
    put_composite(json, score);
    js_member_bool(json, "in_domain", score->in_domain);
    js_name(json, "out_of_domain");
    js_texts(json, score->out_of_domain, score->out_count);
    put_standing(json, copy, record);
    js_member_text(json, "state", state_of(copy, record, score));
    js_member_bool(json, "live", score->live);
    api_put_source(json, copy);
    js_close(json, '}');
}
