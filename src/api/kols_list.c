/*
 * kols_list.c: GET /api/v1/kols and /api/v1/kols/top/{platform}: lists of KOLs with their rows.
 *
 * Keys come from the lists of the copy, rows from its records.
 */
#include <string.h>

#include "api/lists.h"

/* ---- rows ---- */

static bool has_field(const struct api_row_style *style, const char *name)
{
    for (size_t i = 0; i < style->field_count; i++) {
        if (str_is(style->fields[i], name)) {
            return true;
        }
    }
    return false;
}

enum kol_status api_row_style_of(struct http_call *call, struct api_row_style *out)
{
    *out = (struct api_row_style){0};
    out->field_count =
        http_words(call, api_field(call, "fields"), out->fields, ARRAY_LEN(out->fields));
    for (size_t i = 0; i < out->field_count; i++) {
        if (!api_profile_has(out->fields[i])) {
            return http_problem(call, "invalid_parameter",
                                "`fields`: a row has no member `%.*s`; /openapi.json has all, "
                                "under KOLRow.",
                                STR_FORMAT(out->fields[i]));
        }
    }
    /* The one value that include can have is scores. */
    out->scores = http_given(call, api_field(call, "include")) || has_field(out, "scores");
    return KOL_OK;
}

enum kol_status api_put_rows(struct json *json, const struct api_copy *copy,
                             const struct api_row_style *style, const struct online_key *keys,
                             size_t count, struct arena *arena, struct kol_error *err)
{
    const struct api_profile_options options = {
        .fields = style->field_count ? style->fields : NULL,
        .field_count = style->field_count,
        .scores = style->scores,
    };
    struct online_record *records = arena_alloc(arena, (count + 1) * sizeof *records);
    enum kol_status status = online_get_many(copy->online, ONLINE_KOL, keys, count, records, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!records[i].bytes.len) {
            return kol_fail(err, KOL_CORRUPT, "the copy lists %.*s:%.*s and has no record of it",
                            STR_FORMAT(keys[i].platform), STR_FORMAT(keys[i].id));
        }
        api_put_profile(json, copy, &records[i], &options);
        if (style->lines) {
            buf_putc(json->out, '\n');
            json->comma = false;
        }
    }
    return status;
}

/* ---- pages ---- */

enum kol_status api_read_page(struct http_call *call, struct api_copy *copy,
                              const struct api_list *list, bool paged, int64_t from, size_t limit,
                              int64_t *total, struct api_keys_page *out, struct kol_error *err)
{
    struct engine_session *session = NULL;
    enum kol_status status = api_session_take(call, copy, &session, err);
    if (status == KOL_OK) {
        status =
            api_list_page(copy, session, list, paged, from, limit, http_call_arena(call), out, err);
    }
    if (status == KOL_OK) {
        bool shown = !paged && !out->more && (out->count || from == 0);
        int64_t seen = shown ? from + (int64_t)out->count : -1;
        status = api_list_total(copy, session, list, seen, total, err);
    }
    api_session_drop(call, &session);
    return status;
}

enum kol_status api_list_kols(struct http_call *call, struct kol_error *err)
{
    struct api_list list;
    struct api_row_style style;
    struct api_copy *copy;
    int64_t total;
    struct api_keys_page keys;
    int64_t place;
    const int64_t limit = http_int(call, api_field(call, "limit"));
    struct api_page page = {.limit = limit, .offset = http_int(call, api_field(call, "offset"))};
    api_list_of(call, &list);
    enum kol_status status = api_row_style_of(call, &style);
    status = status == KOL_OK ? api_cursor_copy(call, list.hash, &copy, &place, &page.paged, err)
                              : status;
    if (status == KOL_OK) {
        status = api_read_page(call, copy, &list, page.paged, page.paged ? place : page.offset,
                               (size_t)limit, &total, &keys, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    page.total = total;
    page.more = keys.more;
    page.next_place = keys.next_place;
    page.list = list.hash;
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_name(&json, "data");
    js_open(&json, '[');
    status = api_put_rows(&json, copy, &style, keys.keys, keys.count, http_call_arena(call), err);
    js_close(&json, ']');
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    api_put_page(call, &json, copy, &page);
    js_close(&json, '}');
    return api_answer_rows(call, &body, "KOLRow", &style);
}

enum kol_status api_top_kols(struct http_call *call, struct kol_error *err)
{
    static const struct api_row_style all = {.field_count = 0};
    const struct str platform = http_text(call, api_field(call, "platform"));
    const struct str by = http_text(call, api_field(call, "by"));
    const size_t limit = (size_t)http_int(call, api_field(call, "limit"));
    struct api_list list;
    struct api_copy *copy;
    int64_t total;
    struct api_keys_page keys;
    api_list_make(http_call_arena(call),
                  str_is(by, "engagement") ? API_BY_ENGAGEMENT : API_BY_FOLLOWERS, platform, "",
                  &list);
    enum kol_status status = api_call_copy(call, &copy, err);
    status = status == KOL_OK
                 ? api_read_page(call, copy, &list, false, 0, limit, &total, &keys, err)
                 : status;
    if (status != KOL_OK) {
        return status;
    }
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_text(&json, "platform", platform);
    js_member_text(&json, "by", by);
    js_name(&json, "data");
    js_open(&json, '[');
    status = api_put_rows(&json, copy, &all, keys.keys, keys.count, http_call_arena(call), err);
    js_close(&json, ']');
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer_rows(call, &body, "KOLRow", &all);
}
