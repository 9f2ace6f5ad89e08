/* kols.c: one KOL by id, and many at once. */
#include <jansson.h>

#include "api/parts.h"

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
    api_put_profile(&json, copy, &who.record, &options);
    return api_answer(call, &body);
}

/* ---- lookup ---- */

/* The ids as keys of records: each with the platform that it names, else the one of the body. */
static void read_ids(const json_t *body, struct str *ids, struct online_key *keys, size_t count)
{
    const char *platform = json_string_value(json_object_get(body, "platform"));
    const json_t *list = json_object_get(body, "ids");
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(list, i);
        ids[i] = (struct str){json_string_value(id), json_string_length(id)};
        api_cut_id(ids[i], &keys[i].platform, &keys[i].id);
        if (!keys[i].platform.len) {
            keys[i].platform = str_of(platform);
        }
    }
}

static void put_found(struct json *json, const struct api_copy *copy, struct str id,
                      const struct online_record *record)
{
    js_open(json, '{');
    js_member_text(json, "id", id);
    js_member_int(json, "status", record->bytes.len ? 200 : 404);
    js_name(json, "kol");
    if (record->bytes.len) {
        api_put_profile(json, copy, record, NULL);
    } else {
        js_null(json);
    }
    js_close(json, '}');
}

enum kol_status api_lookup_kols(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status != KOL_OK) {
        return status;
    }
    struct arena *arena = http_call_arena(call);
    const json_t *given = http_json_body(call);
    const size_t count = json_array_size(json_object_get(given, "ids"));
    struct str *ids = arena_alloc(arena, count * sizeof *ids);
    struct online_key *keys = arena_alloc(arena, count * sizeof *keys);
    struct online_record *records = arena_alloc(arena, count * sizeof *records);
    read_ids(given, ids, keys, count);
    status = online_get_many(copy->online, ONLINE_KOL, keys, count, records, err);
    if (status != KOL_OK) {
        return status;
    }
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_name(&json, "data");
    js_open(&json, '[');
    for (size_t i = 0; i < count; i++) {
        put_found(&json, copy, ids[i], &records[i]);
    }
    js_close(&json, ']');
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer(call, &body);
}
