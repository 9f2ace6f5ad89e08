/*
 * export.c: GET /api/v1/export/kols: all KOLs that pass the filters, as CSV, NDJSON or Parquet.
 *
 * Keys are read by the thousand, rows by the hundred, and a chunk is sent before the next is made:
 * memory does not grow with the number of rows, and a client that is slow makes the export slow.
 * The copy that was current at the start is held to the end, so that all rows are of one snapshot;
 * a session on its lists is held for a page of keys only, so that lists go on meanwhile.
 *
 * An export keeps a worker busy as long as its client reads. A few at once are worked on; beyond
 * them the answer is 503.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/lists.h"
#include "base/clock.h"

enum {
    MOST_EXPORTS = 3,  /* at once, in this process */
    KEY_PAGE = 16384,  /* keys of one look into the lists */
    ROW_CHUNK = 500,   /* rows that are made before they are sent */
    FILE_CHUNK = 65536 /* bytes of a file likewise */
};
#define SEND_WAIT_US (30 * CLOCK_US_PER_SECOND) /* that a client may take nothing */
#define SESSION_WAIT_NS INT64_C(30000000000)    /* for a session, behind the call's deadline */

static atomic_int running;

struct api_export {
    struct http_call *call;
    struct api_copy *copy;
    struct api_list list;
    struct api_row_style style;
    struct api_sheet sheet;
    struct arena keys_arena; /* of the page of keys */
    struct arena rows_arena; /* of the rows that were given last */
    struct api_keys_page page;
    size_t at;  /* keys of the page that were given */
    bool begun; /* a page was read */
    struct buf rows;
};

struct api_sheet *api_export_sheet(struct api_export *export)
{
    return &export->sheet;
}

struct arena *api_export_arena(struct api_export *export)
{
    return &export->rows_arena;
}

/* ---- rows ---- */

/* A session for a moment. The deadline of the call is that of its first byte; behind it a short
 * wait for a free session is due all the same. */
static enum kol_status take_session(struct api_export *export, struct engine_session **out,
                                    struct kol_error *err)
{
    static const struct timespec pause = {0, 20000000};
    const int64_t until_ns = clock_mono_ns() + SESSION_WAIT_NS;
    enum kol_status status = api_session_take(export->call, export->copy, out, err);
    while (status == KOL_TIMEOUT && http_streaming(export->call) && !http_cancelled(export->call) &&
           clock_mono_ns() < until_ns) {
        nanosleep(&pause, NULL);
        status = api_session_take(export->call, export->copy, out, err);
    }
    return status;
}

static enum kol_status next_page(struct api_export *export, struct kol_error *err)
{
    struct engine_session *session = NULL;
    const int64_t from = export->begun ? export->page.next_place : 0;
    arena_reset(&export->keys_arena);
    export->at = 0;
    enum kol_status status = take_session(export, &session, err);
    if (status == KOL_OK) {
        status = api_list_page(export->copy, session, &export->list, export->begun, from, KEY_PAGE,
                               &export->keys_arena, &export->page, err);
    }
    api_session_drop(export->call, &session);
    export->begun = true;
    return status;
}

enum kol_status api_export_next(struct api_export *export, size_t max, struct str *rows,
                                struct kol_error *err)
{
    struct json json = {.out = &export->rows};
    enum kol_status status = KOL_OK;
    *rows = STR("");
    arena_reset(&export->rows_arena);
    buf_clear(&export->rows);
    if (http_cancelled(export->call)) {
        return kol_fail(err, KOL_INTERRUPTED, "the client is gone");
    }
    if (export->at == export->page.count && (!export->begun || export->page.more)) {
        status = next_page(export, err);
    }
    size_t left = status == KOL_OK ? export->page.count - export->at : 0;
    size_t count = left < max ? left : max;
    if (count) {
        status = api_put_rows(&json, export->copy, &export->style, export->page.keys + export->at,
                              count, &export->rows_arena, err);
        export->at += count;
        *rows = buf_str(&export->rows);
    }
    return status;
}

/* ---- sending ---- */

static enum kol_status send_lines(struct api_export *export, struct http_stream *stream,
                                  struct kol_error *err)
{
    struct str rows;
    enum kol_status status;
    while ((status = api_export_next(export, ROW_CHUNK, &rows, err)) == KOL_OK && rows.len) {
        status = http_stream_write(stream, rows, SEND_WAIT_US, err);
        if (status != KOL_OK) {
            break;
        }
    }
    return status;
}

static enum kol_status send_csv(struct api_export *export, struct http_stream *stream,
                                struct kol_error *err)
{
    struct str rows;
    struct buf csv = {0};
    enum kol_status status;
    api_csv_names(&export->sheet, &csv);
    while ((status = api_export_next(export, ROW_CHUNK, &rows, err)) == KOL_OK && rows.len) {
        while (api_sheet_read(&export->sheet, &rows)) {
            api_csv_row(&export->sheet, &csv);
        }
        status = http_stream_write(stream, buf_str(&csv), SEND_WAIT_US, err);
        buf_clear(&csv);
        if (status != KOL_OK) {
            break;
        }
    }
    if (status == KOL_OK && csv.len) { /* the names alone */
        status = http_stream_write(stream, buf_str(&csv), SEND_WAIT_US, err);
    }
    buf_free(&csv);
    return status;
}

static enum kol_status send_file(int fd, struct http_stream *stream, struct kol_error *err)
{
    char bytes[FILE_CHUNK];
    off_t at = 0;
    enum kol_status status = KOL_OK;
    while (status == KOL_OK) {
        ssize_t got = pread(fd, bytes, sizeof bytes, at);
        if (got < 0 && errno != EINTR) {
            return kol_fail_errno(err, errno, "reading the file of an export");
        }
        if (got == 0) {
            break;
        }
        if (got > 0) {
            status = http_stream_write(stream, (struct str){bytes, (size_t)got}, SEND_WAIT_US, err);
            at += got;
        }
    }
    return status;
}

static enum kol_status send_parquet(struct api_export *export, struct http_stream *stream,
                                    struct kol_error *err)
{
    int fd = -1;
    enum kol_status status =
        api_export_parquet(export, api_of(export->call)->options.data, &fd, err);
    if (status == KOL_OK) {
        status = send_file(fd, stream, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

/* ---- the answer ---- */

/* What can be told the client must be found before the first byte: the first page, which runs the
 * filters. */
static enum kol_status prepare(struct api_export *export, struct kol_error *err)
{
    enum kol_status status = api_row_style_of(export->call, &export->style);
    export->style.lines = true;
    api_list_of(export->call, &export->list);
    status = status == KOL_OK ? api_call_copy(export->call, &export->copy, err) : status;
    if (status == KOL_OK) {
        api_sheet_init(&export->sheet, "KOLRow", &export->style, http_call_arena(export->call));
        status = next_page(export, err);
    }
    return status;
}

static enum kol_status run_export(struct api_export *export, struct kol_error *err)
{
    struct http_stream *stream = NULL;
    const char *type = http_call_type(export->call);
    const char *form = strstr(type, "parquet")  ? "parquet"
                       : strstr(type, "ndjson") ? "ndjson"
                                                : "csv";
    enum kol_status status = prepare(export, err);
    if (status == KOL_OK) {
        http_put_header(export->call, "Content-Disposition", "attachment; filename=\"kols.%s\"",
                        form);
        status = http_stream_begin(export->call, type, &stream, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    if (strcmp(form, "parquet") == 0) {
        status = send_parquet(export, stream, err);
    } else if (strcmp(form, "ndjson") == 0) {
        status = send_lines(export, stream, err);
    } else {
        status = send_csv(export, stream, err);
    }
    http_stream_end(&stream, status);
    return status;
}

enum kol_status api_export_kols(struct http_call *call, struct kol_error *err)
{
    enum kol_status status;
    if (atomic_fetch_add(&running, 1) >= MOST_EXPORTS) {
        http_put_header(call, "Retry-After", "5");
        status = http_problem(call, "busy", "%d exports are under way already.", MOST_EXPORTS);
    } else {
        struct api_export export = {.call = call};
        arena_init(&export.keys_arena, 0);
        arena_init(&export.rows_arena, 0);
        status = run_export(&export, err);
        arena_free(&export.keys_arena);
        arena_free(&export.rows_arena);
        buf_free(&export.rows);
    }
    atomic_fetch_sub(&running, 1);
    return status;
}
