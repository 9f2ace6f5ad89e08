/*
 * page.c: pages: which copy a call with a cursor reads, and what stands around the rows.
 *
 * A page without a cursor is of the current copy. Its cursor names that copy, so that the pages
 * behind it are of the same rows, whatever is built meanwhile: each row comes exactly once.
 */
#include "api/lists.h"
#include "base/hash.h"

#define STAMP_SEED UINT64_C(0x7374616d70) /* any number, the same in every process */

uint64_t api_copy_stamp(const struct api_copy *copy)
{
    return hash_seeded(str_of(copy->info->run_id), STAMP_SEED ^ (uint64_t)copy->info->built_us);
}

/* The copy that a cursor pins. */
static enum kol_status pinned_copy(struct http_call *call, uint64_t list, struct str text,
                                   struct api_copy **copy, int64_t *place, struct kol_error *err)
{
    struct api_cursor cursor;
    if (!api_cursor_read(text, &cursor)) {
        return http_problem(call, "invalid_parameter",
                            "`cursor` is no next_cursor of a page; take one as it is.");
    }
    if (cursor.list != list) {
        return http_problem(call, "invalid_parameter",
                            "`cursor` is of another list: give it with the filters and the order "
                            "of the page that it came with.");
    }
    enum kol_status status = api_call_copy_numbered(call, cursor.copy, copy, err);
    if (status == KOL_OK && api_copy_stamp(*copy) != cursor.stamp) {
        return http_problem(call, "cursor_expired", "The snapshot %lld of the cursor is gone.",
                            (long long)cursor.copy);
    }
    *place = cursor.place;
    return status;
}

enum kol_status api_cursor_copy(struct http_call *call, uint64_t list, struct api_copy **copy,
                                int64_t *place, bool *paged, struct kol_error *err)
{
    size_t field = api_field(call, "cursor");
    *paged = http_given(call, field);
    *place = 0;
    return *paged ? pinned_copy(call, list, http_text(call, field), copy, place, err)
                  : api_call_copy(call, copy, err);
}

/* The cursor to the page behind this one. */
static void put_next(const struct api_copy *copy, const struct api_page *page,
                     char out[API_CURSOR_BYTES])
{
    const struct api_cursor cursor = {copy->info->number, api_copy_stamp(copy), page->list,
                                      page->next_place};
    api_cursor_put(&cursor, out);
}

void api_put_page_members(struct json *json, const struct api_copy *copy,
                          const struct api_page *page)
{
    char text[API_CURSOR_BYTES];
    js_member_int(json, "total", page->total);
    js_name(json, "page");
    page->paged ? js_null(json) : js_int(json, page->offset / page->limit + 1);
    js_member_int(json, "page_size", page->limit);
    js_member_bool(json, "has_next", page->more);
    js_name(json, "next_cursor");
    if (page->more) {
        put_next(copy, page, text);
        js_text(json, str_of(text));
    } else {
        js_null(json);
    }
    api_put_source(json, copy);
}

void api_put_page(struct http_call *call, struct json *json, const struct api_copy *copy,
                  const struct api_page *page)
{
    char text[API_CURSOR_BYTES];
    http_put_header(call, "X-Total-Count", "%lld", (long long)page->total);
    if (page->more) {
        put_next(copy, page, text);
        http_put_header(call, "X-Next-Cursor", "%s", text);
    }
    api_put_page_members(json, copy, page);
}
