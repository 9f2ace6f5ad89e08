/* kols.c: one KOL by id, and many at once. */
#include "api/parts.h"

enum { USUAL_PROFILE = 2000 }; /* bytes that most profiles fit into */

enum kol_status api_get_kol(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct api_who who;
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status == KOL_OK) {
        status = api_who(call, copy, &who, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct buf body = {0};
    struct json json = {.out = &body};
    const struct api_profile_options options = {.who = &who};
    buf_reserve(&body, USUAL_PROFILE);
    api_put_profile(&json, copy, &who.record, &options);
    return api_answer(call, &body);
}

/* ---- lookup ---- */

/* One row: what came of one id. */
static enum kol_status put_found(struct json *json, struct api_copy *copy, struct str id,
                                 struct str platform, struct kol_error *err)
{
    struct api_who who;
    struct str named, rest;
    api_cut_id(id, &named, &rest);
    enum kol_status status =
        api_who_is(copy, id, named.len ? (struct str){0} : platform, &who, err);
    if (status != KOL_OK && status != KOL_NOT_FOUND) {
        return status;
    }
    js_open(json, '{');
    js_member_text(json, "id", id);
    js_member_int(json, "status", status == KOL_OK ? 200 : 404);
    js_name(json, "kol");
    if (status == KOL_OK) {
        const struct api_profile_options options = {.who = &who};
        api_put_profile(json, copy, &who.record, &options);
    } else {
        js_null(json);
    }
    js_close(json, '}');
    return KOL_OK;
}

enum kol_status api_lookup_kols(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct json_value *given = http_json_body(call);
    const struct str platform = json_value_text(json_value_get(given, "platform"));
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_name(&json, "data");
    js_open(&json, '[');
    for (const struct json_value *id = json_value_get(given, "ids")->first; id && status == KOL_OK;
         id = id->next) {
        status = put_found(&json, copy, id->text, platform, err);
    }
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    js_close(&json, ']');
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer(call, &body);
}
