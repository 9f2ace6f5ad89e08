/* search.c: KOLs by any part of their name. */
#include <stdlib.h>
#include <string.h>

#include "api/lists.h"
#include "api/names.h"
#include "base/clock.h"
#include "base/fold.h"
#include "base/hash.h"
#include "base/logger.h"

/* ---- search ---- */

static void put_hit(struct json *json, const struct api_copy *copy, const struct names_hit *hit,
                    const struct online_record *record)
{
    struct str matched[2];
    size_t count = 0;
    if (hit->in_id) {
        matched[count++] = STR("kol_id");
    }
    if (hit->in_name) {
        matched[count++] = STR("display_name");
    }
    js_open(json, '{');
    js_member_text(json, "kol_id", hit->kol_id);
    js_member_text(json, "platform", str_of(platform_name((enum platform)hit->platform)));
    js_member_cell(json, "display_name", record, copy->kol.display_name, HTTP_TEXT);
    js_member_cell(json, "followers_count", record, copy->kol.followers_count, HTTP_INT);
    js_member_cell(json, "tier", record, copy->kol.tier, HTTP_TEXT);
    js_member_cell(json, "verified", record, copy->kol.verified, HTTP_BOOL);
    js_name(json, "matched");
    js_texts(json, matched, count);
    js_member_text(json, "match", str_of(names_match_words[hit->match]));
    js_close(json, '}');
}

static int platform_of(struct http_call *call)
{
    size_t choice = http_choice(call, api_field(call, "platform"));
    return choice < API_PLATFORM_COUNT ? (int)choice : NAMES_ANYWHERE;
}

/* The rows as JSON; the folded text goes with them, for whoever remembers it. */
static enum kol_status put_found(struct http_call *call, struct api_copy *copy, struct str folded,
                                 struct buf *body, struct kol_error *err)
{
    const struct api_names *names;
    struct names_hit hits[NAMES_MOST];
    struct online_record records[NAMES_MOST];
    struct json json = {.out = body};
    enum kol_status status = api_names_of(copy, &names, err);
    if (status != KOL_OK) {
        return status;
    }
    size_t count = api_names_search(names, folded, platform_of(call),
                                    (size_t)http_int(call, api_field(call, "limit")), hits);
    status = api_names_records(copy, hits, count, records, err);
    if (status != KOL_OK) {
        return status;
    }
    js_open(&json, '{');
    js_member_text(&json, "q", http_text(call, api_field(call, "q")));
    js_member_int(&json, "total", (int64_t)count);
    js_name(&json, "data");
    js_open(&json, '[');
    for (size_t i = 0; i < count; i++) {
        put_hit(&json, copy, &hits[i], &records[i]);
    }
    js_close(&json, ']');
    api_put_source(&json, copy);
    js_close(&json, '}');
    return KOL_OK;
}

enum kol_status api_search_kols(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct buf folded = {0}, body = {0};
    const size_t user = api_field(call, "user_id");
    const struct str q = http_text(call, api_field(call, "q"));
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status != KOL_OK) {
        return status;
    }
    fold_put(&folded, q);
    status = put_found(call, copy, buf_str(&folded), &body, err);
    if (status == KOL_OK && http_given(call, user)) {
        api_remember(call, http_text(call, user), http_text(call, api_field(call, "platform")), q,
                     buf_str(&folded));
    }
    buf_free(&folded);
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    return api_answer_rows(call, &body, "SearchHit", NULL);
}
