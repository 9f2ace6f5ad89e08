/*
 * lists.h: what the files of lists share: which KOLs in which order, pages of them, cursors, and
 * rows as cells for CSV and Parquet. Private to the room.
 *
 *   list.c      filters and order as SQL, totals, the keys of a page
 *   cursor.c    a place in a list as text                           no I/O
 *   page.c      the copy that a cursor pins, what stands around the rows of a page
 *   csv.c       rows of JSON as cells, and these as CSV             no I/O
 *   kols_list.c GET /kols and /kols/top; export.c, export_parquet.c the whole as a file
 */
#ifndef API_LISTS_H
#define API_LISTS_H

#include "api/parts.h"

/* ---- cursor.c ---- */

/*
 * A place in a list of one copy. A copy does not change, so that the place means the same row
 * whatever happened since; `stamp` tells a copy from another one of the same number (the folder may
 * have been removed and built again), `list` one list from another.
 */
struct api_cursor {
    int64_t copy;   /* online_info.number */
    uint64_t stamp; /* api_copy_stamp() */
    uint64_t list;  /* api_list.hash, or what else tells filters and order */
    int64_t place;  /* at least 0; what it counts is the list's affair */
};

enum { API_CURSOR_BYTES = 64 }; /* of the text, with the NUL behind it */

/* base64url without padding, with a checksum: a text that was altered or cut is refused, which
 * keeps mistakes out, not attackers; whoever forges one gets another place in a list that may be
 * read anyway. */
void api_cursor_put(const struct api_cursor *cursor, char out[API_CURSOR_BYTES]);
bool api_cursor_read(struct str text, struct api_cursor *out);

/* ---- page.c ---- */

/* What tells a copy from others of its number. */
uint64_t api_copy_stamp(const struct api_copy *copy);

/* The copy for a call that may have a cursor: the current one with a place of 0 and `*paged` false,
 * or the one that the cursor pins. 422 for a text that is no cursor, or one of a list with another
 * hash than `list`; 410 `cursor_expired`. */
enum kol_status api_cursor_copy(struct http_call *call, uint64_t list, struct api_copy **copy,
                                int64_t *place, bool *paged, struct kol_error *err) KOL_CHECKED;

/* Writes what stands around the rows of a page, into an object whose "data" is written; and the
 * headers X-Total-Count and X-Next-Cursor, by which the CSV twin tells the same. */
struct api_page {
    int64_t total, offset, limit;
    bool paged;         /* by a cursor: page is null */
    bool more;          /* rows follow */
    int64_t next_place; /* of the cursor to them */
    uint64_t list;
};
void api_put_page(struct http_call *call, struct json *json, const struct api_copy *copy,
                  const struct api_page *page);
/* The members alone. */
void api_put_page_members(struct json *json, const struct api_copy *copy,
                          const struct api_page *page);

/* ---- list.c ---- */

enum api_metric {
    API_BY_FOLLOWERS, /* in the order of the choices of sort_by */
    API_BY_ENGAGEMENT,
    API_BY_TRUST,
    API_BY_TRENDING,
    API_BY_SUCCESS,
    API_BY_COMPOSITE,
    API_METRICS
};

/* Which KOLs, in which order. Highest first, unknown values last, equal ones by platform and
 * kol_id. Ascending is the reverse of that, but unknown values are last again, in the same order as
 * before. */
struct api_list {
    enum api_metric metric;
    bool ascending;
    bool sorts;       /* by what no ranked table has: the rows that pass are sorted */
    struct str where; /* SQL of the filters, in the call's arena; "" for none */
    uint64_t hash;    /* of all of it */
};

/* The filters and the order that the call gives, of those parameters that its route has. */
void api_list_of(struct http_call *call, struct api_list *out);
/* The list that GET /api/v1/kols gives of a platform when nothing else is asked for. */
void api_list_first(struct arena *arena, struct str platform, struct api_list *out);
/* One without parameters: `platform` "all" for all; only KOLs whose value is known; `more` is a
 * condition on the table kols, or "". */
void api_list_make(struct arena *arena, enum api_metric metric, struct str platform,
                   const char *more, struct api_list *out);

/* How many pass the filters, counted once for each copy and list; `seen` is what a page has shown
 * that ends with the last of them, or -1. */
enum kol_status api_list_total(struct api_copy *copy, struct engine_session *session,
                               const struct api_list *list, int64_t seen, int64_t *out,
                               struct kol_error *err) KOL_CHECKED;

/* A page: at most `limit` keys in `arena`, from a place that next_place of the page before gave
 * (`paged`), or from a number of rows to pass over. */
struct api_keys_page {
    struct online_key *keys;
    size_t count;
    bool more;
    int64_t next_place;
};
enum kol_status api_list_page(struct api_copy *copy, struct engine_session *session,
                              const struct api_list *list, bool paged, int64_t from, size_t limit,
                              struct arena *arena, struct api_keys_page *out,
                              struct kol_error *err) KOL_CHECKED;

/* The SQL of a list goes through here: a statement that the engine refuses is a fault of ours, not
 * of the caller's. */
enum kol_status api_lists_query(struct engine_session *session, const struct buf *sql,
                                struct engine_result **out, struct kol_error *err) KOL_CHECKED;
enum kol_status api_lists_int(struct engine_session *session, const struct buf *sql, int64_t *out,
                              struct kol_error *err) KOL_CHECKED;

/* ---- kols_list.c ---- */

/* How rows of KOLs are written: `fields` and `include` of the call. */
struct api_row_style {
    struct str fields[64];
    size_t field_count; /* 0: all */
    bool scores;
    bool lines; /* each row on a line of its own, without commas between */
};
/* 422 where `fields` names what a row has not. */
enum kol_status api_row_style_of(struct http_call *call, struct api_row_style *out);
/* KOLRow objects of the keys; a key without a record is KOL_CORRUPT. */
enum kol_status api_put_rows(struct json *json, const struct api_copy *copy,
                             const struct api_row_style *style, const struct online_key *keys,
                             size_t count, struct arena *arena, struct kol_error *err) KOL_CHECKED;

/* The total and the keys of one page, with a session that is given back. */
enum kol_status api_read_page(struct http_call *call, struct api_copy *copy,
                              const struct api_list *list, bool paged, int64_t from, size_t limit,
                              int64_t *total, struct api_keys_page *out,
                              struct kol_error *err) KOL_CHECKED;

/* ---- csv.c ---- */

/* The members of a schema as columns: a member that is an object of a schema gives a column for
 * each of its members, named a.b. */
struct api_cell_column {
    const char *name; /* in the arena */
    enum http_kind kind;
};
struct api_sheet {
    struct api_cell_column *columns;
    size_t count;
    struct str *cells; /* JSON of the row that was read, views of it; empty: null or absent */
    size_t *hints;     /* column of the n-th member of the row before */
};
/* `style` says which members of KOLRow; NULL: all members of the schema. */
void api_sheet_init(struct api_sheet *sheet, const char *schema, const struct api_row_style *style,
                    struct arena *arena);
/* Takes the next object of a JSON text of this room (a list's rows), the comma or line end before
 * it included: cuts it from `*rest` and fills the cells; false at the end. What is no JSON is a bug
 * and panics. */
bool api_sheet_read(struct api_sheet *sheet, struct str *rest);
/* A JSON string without its quotes and escapes, in the arena. */
struct str api_json_text(struct str json, struct arena *arena);
/* The elements of a JSON list of strings, in the arena. */
struct str *api_json_texts(struct str json, struct arena *arena, size_t *count);

/* A line with the names; a line of the cells. RFC 4180: lines end in CR LF, null is nothing, an
 * empty text is "", a list stands as JSON. */
void api_csv_names(const struct api_sheet *sheet, struct buf *out);
void api_csv_row(const struct api_sheet *sheet, struct buf *out);

/* Ends a handler whose answer is an object with the rows in "data": as JSON, or as CSV where the
 * call asked for it. `schema` and `style` as in api_sheet_init(). The body is freed. */
enum kol_status api_answer_rows(struct http_call *call, struct buf *body, const char *schema,
                                const struct api_row_style *style);

/* ---- export.c, export_parquet.c ---- */

struct api_export;
/* The next rows of an export, at most `max`, as JSON objects, a line each, in their order; empty at
 * the end. Valid until the next call. */
enum kol_status api_export_next(struct api_export *export, size_t max, struct str *rows,
                                struct kol_error *err) KOL_CHECKED;
/* Its columns; and an arena that the next api_export_next() empties. */
struct api_sheet *api_export_sheet(struct api_export *export);
struct arena *api_export_arena(struct api_export *export);
/* Makes a Parquet file of all its rows in the folder. The file has no name: nothing is left behind
 * however the process ends. The caller closes `*fd`. */
enum kol_status api_export_parquet(struct api_export *export, const char *folder, int *fd,
                                   struct kol_error *err) KOL_CHECKED;

#endif
