/* admin.c: what an operator asks of a running server, and what a key may know of itself. */
#include <string.h>

#include "api/parts.h"
#include "base/clock.h"

/* ---- usage ---- */

void api_put_scopes(struct json *json, http_scopes scopes)
{
    js_name(json, "scopes");
    js_open(json, '[');
    for (size_t i = 0; i < ARRAY_LEN(api_scope_names); i++) {
        if (scopes >> i & 1) {
            js_text(json, str_of(api_scope_names[i]));
        }
    }
    js_close(json, ']');
}

static void put_limit(struct json *json, const char *name, int64_t value)
{
    js_name(json, name);
    if (value) {
        js_int(json, value);
    } else {
        js_null(json);
    }
}

enum kol_status api_usage(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct api *api = api_of(call);
    struct str caller = http_caller(call);
    struct api_key key = {0};
    int64_t calls, errors;
    struct buf body = {0};
    struct json json = {.out = &body};
    api_usage_get(api->usage, caller, &calls, &errors);
    api_keys_find(api->keys, caller, &key);
    js_open(&json, '{');
    js_member_text(&json, "key", caller);
    api_put_scopes(&json, http_caller_scopes(call));
    js_member_int(&json, "calls", calls);
    js_member_int(&json, "errors", errors);
    js_name(&json, "since");
    js_time(&json, api->started_us);
    put_limit(&json, "rate_per_minute", key.rate_per_minute);
    put_limit(&json, "burst", key.burst);
    js_member_time(&json, "expires_at", key.expires_us);
    js_close(&json, '}');
    return api_answer(call, &body);
}

/* ---- purge ---- */

static struct str text_of(const struct json_value *object, const char *name)
{
    return json_value_text(json_value_get(object, name));
}

size_t api_purge_l1(struct api *api, struct str what, struct str name)
{
    struct l1 *l1 = api->l1;
    if (str_is(what, "key")) {
        return l1_drop_key(l1, name) + l1_drop_tag(l1, name);
    }
    return str_is(what, "prefix") ? l1_drop_prefix(l1, name)
           : str_is(what, "tag")  ? l1_drop_tag(l1, name)
           : str_is(what, "all")  ? l1_drop_all(l1)
                                  : 0;
}

enum kol_status api_admin_purge(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct api *api = api_of(call);
    const struct json_value *given = http_json_body(call);
    struct str key = text_of(given, "key"), prefix = text_of(given, "prefix");
    struct str tag = text_of(given, "tag");
    const struct json_value *whole = json_value_get(given, "all");
    const bool all = whole && whole->truth;
    if ((key.len > 0) + (prefix.len > 0) + (tag.len > 0) + all != 1) {
        return http_problem(call, "invalid_body",
                            "Name one of key, prefix, tag, or all as true, and only one.");
    }
    const struct str what = key.len      ? STR("key")
                            : prefix.len ? STR("prefix")
                            : tag.len    ? STR("tag")
                                         : STR("all");
    const struct str name = key.len ? key : prefix.len ? prefix : tag;
    const size_t removed = api->l1 ? api_purge_l1(api, what, name) : 0;
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_int(&json, "removed", (int64_t)removed);
    if (api->tier) {
        js_member_bool(&json, "told", tier_tell_purge(api->tier, what, name));
    }
    js_close(&json, '}');
    return api_answer(call, &body);
}

/* ---- reload ---- */

static void put_models(struct json *json, struct http_call *call)
{
    const struct score_models *models = api_call_models(call);
    js_name(json, "models");
    js_open(json, '{');
    for (int kind = 0; kind < SCORE_KINDS; kind++) {
        js_member_text(json, score_kind_name((enum score_kind)kind),
                       str_of(models->by_kind[kind].version));
    }
    js_close(json, '}');
}

enum kol_status api_admin_reload(struct http_call *call, struct kol_error *err)
{
    struct api *api = api_of(call);
    enum kol_status status = api_reload(api, err);
    if (status != KOL_OK) {
        return http_problem(call, "reload_failed", "%s", err->message);
    }
    struct api_copy *copy = api_copy_take(api->copies);
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_int(&json, "keys", (int64_t)api_keys_count(api->keys));
    js_name(&json, "snapshot");
    if (copy) {
        js_int(&json, copy->info->number);
    } else {
        js_null(&json);
    }
    put_models(&json, call);
    js_close(&json, '}');
    api_copy_drop(copy);
    return api_answer(call, &body);
}
