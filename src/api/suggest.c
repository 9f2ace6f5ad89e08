/* suggest.c: names that begin so, the most followed first. */
#include "api/names.h"
#include "base/fold.h"

static void put_suggestion(struct json *json, const struct api_copy *copy,
                           const struct names_hit *hit, const struct online_record *record)
{
    struct str text = hit->kol_id, name;
    if (hit->in_name && online_text(record, copy->kol.display_name, &name) && name.len) {
        text = name;
    }
    js_open(json, '{');
    js_member_text(json, "text", text);
    js_member_text(json, "kol_id", hit->kol_id);
    js_member_text(json, "platform", str_of(platform_name((enum platform)hit->platform)));
    js_member_cell(json, "display_name", record, copy->kol.display_name, HTTP_TEXT);
    js_member_cell(json, "followers_count", record, copy->kol.followers_count, HTTP_INT);
    js_close(json, '}');
}

enum kol_status api_suggest_kols(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    const struct api_names *names = NULL;
    struct names_hit hits[NAMES_MOST];
    struct online_record records[NAMES_MOST];
    const struct str prefix = http_text(call, api_field(call, "prefix"));
    struct buf folded = {0}, body = {0};
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status == KOL_OK) {
        status = api_names_of(copy, &names, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    fold_put(&folded, prefix);
    size_t count = api_names_suggest(names, buf_str(&folded),
                                     (size_t)http_int(call, api_field(call, "limit")), hits);
    buf_free(&folded);
    status = api_names_records(copy, hits, count, records, err);
    if (status != KOL_OK) {
        return status;
    }
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_text(&json, "prefix", prefix);
    js_name(&json, "data");
    js_open(&json, '[');
    for (size_t i = 0; i < count; i++) {
        put_suggestion(&json, copy, &hits[i], &records[i]);
    }
    js_close(&json, ']');
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer(call, &body);
}
