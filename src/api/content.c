/* content.c: GET /kols/{kol_id}/content, page by page, and GET /content/{content_id}. */
#include <string.h>

#include "api/value.h"
#include "base/hash.h"

#define CONTENT_SEED UINT64_C(0x636f6e74656e74) /* any number, the same in every process */

/* ---- the content of one KOL ---- */

/* The keys of a page out of the rows of one KOL, which lie together, newest first. */
struct content_page {
    struct online_key *keys;
    size_t count;
    int64_t total;
};

static void put_of_kol(struct buf *sql, const struct api_who *who)
{
    buf_puts(sql, " FROM content WHERE kol_id = ");
    engine_quote_text(sql, who->kol_id);
    buf_puts(sql, " AND platform = ");
    engine_quote_text(sql, who->platform);
}

static enum kol_status read_keys(struct engine_session *session, const struct api_who *who,
                                 int64_t pass, size_t limit, struct arena *arena,
                                 struct content_page *out, struct kol_error *err)
{
    struct buf sql = {0};
    struct engine_result *result = NULL;
    size_t rows = 0;
    out->keys = arena_alloc(arena, limit * sizeof *out->keys);
    buf_puts(&sql, "SELECT content_id");
    put_of_kol(&sql, who);
    buf_printf(&sql, " LIMIT %zu OFFSET %lld", limit, (long long)pass);
    enum kol_status status = api_lists_query(session, &sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t i = 0; i < rows; i++) {
            struct str id = arena_copy(arena, engine_text(result, 0, i));
            out->keys[out->count++] = (struct online_key){who->platform, id};
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

static enum kol_status read_page(struct http_call *call, struct api_copy *copy,
                                 const struct api_who *who, int64_t pass, size_t limit,
                                 struct content_page *out, struct kol_error *err)
{
    struct engine_session *session = NULL;
    struct buf sql = {0};
    *out = (struct content_page){0};
    buf_puts(&sql, "SELECT count(*)");
    put_of_kol(&sql, who);
    enum kol_status status = api_session_take(call, copy, &session, err);
    status = status == KOL_OK ? api_lists_int(session, &sql, &out->total, err) : status;
    if (status == KOL_OK && pass < out->total) {
        status = read_keys(session, who, pass, limit, http_call_arena(call), out, err);
    }
    api_session_drop(call, &session);
    buf_free(&sql);
    return status;
}

static enum kol_status put_contents(struct http_call *call, struct json *json,
                                    const struct api_copy *copy, const struct content_page *page,
                                    size_t count, struct kol_error *err)
{
    struct online_record *records =
        arena_alloc(http_call_arena(call), (count + 1) * sizeof *records);
    enum kol_status status =
        online_get_many(copy->online, ONLINE_CONTENT, page->keys, count, records, err);
    js_open(json, '[');
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!records[i].bytes.len) {
            status = kol_fail(err, KOL_CORRUPT,
                              "the copy lists the content %.*s and has no record of it",
                              STR_FORMAT(page->keys[i].id));
        } else {
            api_put_content(json, copy, &records[i]);
        }
    }
    js_close(json, ']');
    return status;
}

/* What tells the list of a KOL from others. */
static uint64_t list_hash(struct http_call *call)
{
    struct buf text = {0};
    buf_put(&text, http_text(call, api_field(call, "platform")));
    buf_putc(&text, '\n');
    buf_put(&text, http_text(call, api_field(call, "kol_id")));
    uint64_t hash = hash_seeded(buf_str(&text), CONTENT_SEED);
    buf_free(&text);
    return hash;
}

enum kol_status api_get_kol_content(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct api_who who;
    struct content_page found;
    int64_t place;
    struct api_page page = {
        .limit = http_int(call, api_field(call, "limit")),
        .offset = http_int(call, api_field(call, "offset")),
        .list = list_hash(call),
    };
    enum kol_status status = api_cursor_copy(call, page.list, &copy, &place, &page.paged, err);
    status = status == KOL_OK ? api_who(call, copy, &who, err) : status;
    const int64_t from = page.paged ? place : page.offset;
    if (status == KOL_OK) {
        status = read_page(call, copy, &who, from, (size_t)page.limit + 1, &found, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct buf body = {0};
    struct json json = {.out = &body};
    page.total = found.total;
    page.more = found.count > (size_t)page.limit;
    const size_t count = page.more ? (size_t)page.limit : found.count;
    page.next_place = from + (int64_t)count;
    js_open(&json, '{');
    js_name(&json, "data");
    status = put_contents(call, &json, copy, &found, count, err);
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    api_put_page(call, &json, copy, &page);
    js_close(&json, '}');
    return api_answer_rows(call, &body, "Content", NULL);
}

/* ---- one content ---- */

enum kol_status api_find_content(struct api_copy *copy, struct str platform, struct str id,
                                 struct online_record *out, struct kol_error *err)
{
    size_t count;
    return platform.len ? online_get(copy->online, ONLINE_CONTENT, platform, id, out, err)
                        : online_find(copy->online, ONLINE_CONTENT, id, out, 1, &count, err);
}

enum kol_status api_get_content(struct http_call *call, struct kol_error *err)
{
    const struct str text = http_text(call, api_field(call, "content_id"));
    const struct str asked = http_text(call, api_field(call, "platform"));
    struct str named, id;
    struct api_copy *copy;
    struct online_record record;
    api_cut_id(text, &named, &id);
    if (named.len && asked.len && !str_equal(named, asked)) {
        return http_problem(call, "invalid_parameter",
                            "content_id names the platform %.*s, platform %.*s.", STR_FORMAT(named),
                            STR_FORMAT(asked));
    }
    enum kol_status status = api_call_copy(call, &copy, err);
    status = status == KOL_OK ? api_find_content(copy, named.len ? named : asked, id, &record, err)
                              : status;
    if (status == KOL_NOT_FOUND) {
        return http_problem(call, "not_found", "No content is called '%.*s'%s%.*s.",
                            STR_FORMAT(text), asked.len ? " on " : "", STR_FORMAT(asked));
    }
    if (status != KOL_OK) {
        return status;
    }
    struct str platform = {0};
    online_text(&record, copy->content.platform, &platform);
    api_call_tag(call, "content:%.*s:%.*s", STR_FORMAT(platform), STR_FORMAT(id));
    struct buf body = {0};
    struct json json = {.out = &body};
    api_put_content(&json, copy, &record);
    return api_answer(call, &body);
}
