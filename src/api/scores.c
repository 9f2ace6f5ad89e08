/* scores.c: the scores of KOLs: of one, of several side by side, and the old form of trust. */
#include "api/parts.h"

/* Whom the call names, with the scores of now. */
static enum kol_status find_scores(struct http_call *call, struct api_copy **copy,
                                   struct api_who *who, struct api_score *score,
                                   struct kol_error *err)
{
    enum kol_status status = api_call_copy(call, copy, err);
    if (status == KOL_OK) {
        status = api_who(call, *copy, who, err);
    }
    if (status == KOL_OK) {
        api_score_now(call, *copy, who, score);
    }
    return status;
}

enum kol_status api_get_kol_scores(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct api_who who;
    struct api_score score;
    enum kol_status status = find_scores(call, &copy, &who, &score, err);
    if (status != KOL_OK) {
        return status;
    }
    struct buf body = {0};
    struct json json = {.out = &body};
    api_put_score(&json, copy, &who.record, &score);
    return api_answer(call, &body);
}

enum kol_status api_get_score(struct http_call *call, struct kol_error *err)
{
    return api_get_kol_scores(call, err);
}

enum kol_status api_get_kol_trust(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct api_who who;
    struct api_score score;
    enum kol_status status = find_scores(call, &copy, &who, &score, err);
    if (status != KOL_OK) {
        return status;
    }
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_text(&json, "kol_id", who.kol_id);
    js_member_text(&json, "platform", who.platform);
    js_name(&json, "trust_score");
    js_score(&json, score.trust);
    js_member_text(&json, "trust_label", score.trust_label);
    js_member_text(&json, "risk_level", score.risk_level);
    js_member_real(&json, "confidence", score.confidence);
    js_member_text(&json, "model_version", score.model_version);
    js_name(&json, "timestamp");
    js_time(&json, score.scored_us ? score.scored_us : copy->info->built_us);
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer(call, &body);
}

enum { MOST_COMPARED = 10 };

/* Writes the rows of those that are there; the others' ids go to `missing`. */
static enum kol_status put_compared(struct http_call *call, struct api_copy *copy,
                                    struct json *json, struct str *missing, size_t *missing_count,
                                    struct kol_error *err)
{
    struct str ids[MOST_COMPARED];
    size_t count = http_words(call, api_field(call, "kol_ids"), ids, MOST_COMPARED);
    for (size_t i = 0; i < count; i++) {
        struct api_who who;
        struct api_score score;
        enum kol_status status = api_who_is(copy, ids[i], (struct str){0}, &who, err);
        if (status == KOL_NOT_FOUND) {
            missing[(*missing_count)++] = ids[i];
            continue;
        }
        if (status != KOL_OK) {
            return status;
        }
        api_call_tag(call, "kol:%.*s:%.*s", STR_FORMAT(who.platform), STR_FORMAT(who.kol_id));
        api_score_now(call, copy, &who, &score);
        api_put_score(json, copy, &who.record, &score);
    }
    return KOL_OK;
}

enum kol_status api_compare_scores(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct str missing[MOST_COMPARED];
    size_t missing_count = 0;
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status != KOL_OK) {
        return status;
    }
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_name(&json, "data");
    js_open(&json, '[');
    status = put_compared(call, copy, &json, missing, &missing_count, err);
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    js_close(&json, ']');
    js_name(&json, "missing");
    js_texts(&json, missing, missing_count);
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer(call, &body);
}
