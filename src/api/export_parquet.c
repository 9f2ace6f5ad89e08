/*
 * export_parquet.c: the rows of an export as one Parquet file.
 *
 * A Parquet file ends in its index and cannot be sent before it is whole. An engine of its own, in
 * memory and with a bound, asks for rows as it goes and writes them by groups into a file without a
 * name, which is gone with its descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/lists.h"
#include "base/clock.h"
#include "base/file.h"

enum {
    ROWS_OF_GROUP = 20480, /* what the engine holds before it writes: 20 to 40 MB */
    ENGINE_BYTES = 268435456,
};

/* What the engine is fed from. */
struct feed {
    struct api_export *export;
    struct ice_schema schema;
    enum kol_status status; /* of the rows: the engine sees an end where they fail */
    struct kol_error err;
};

/* ---- columns ---- */

static enum ice_type type_of(enum http_kind kind)
{
    switch (kind) {
    case HTTP_BOOL: return ICE_BOOLEAN;
    case HTTP_INT: return ICE_LONG;
    case HTTP_REAL: return ICE_DOUBLE;
    case HTTP_DATE: return ICE_DATE;
    case HTTP_TIME: return ICE_TIMESTAMPTZ;
    case HTTP_WORDS: return ICE_LIST;
    default: return ICE_STRING; /* of anything else its JSON */
    }
}

static void make_schema(const struct api_sheet *sheet, struct arena *arena, struct ice_schema *out)
{
    struct ice_field *fields = arena_alloc(arena, sheet->count * sizeof *fields);
    struct ice_field *element = arena_alloc(arena, sizeof *element);
    *element = (struct ice_field){.name = "element", .type = ICE_STRING};
    for (size_t i = 0; i < sheet->count; i++) {
        enum ice_type type = type_of(sheet->columns[i].kind);
        fields[i] =
            (struct ice_field){.id = (int32_t)i + 1, .name = sheet->columns[i].name, .type = type};
        if (type == ICE_LIST) {
            fields[i].children = element;
            fields[i].child_count = 1;
        }
    }
    *out = (struct ice_schema){.fields = fields, .count = sheet->count};
}

/* ---- rows ---- */

static void put_number(struct engine_appender *rows, size_t column, enum ice_type type,
                       struct str cell)
{
    int64_t whole;
    double real;
    if (type == ICE_DOUBLE && str_to_double(cell, &real)) {
        engine_append_real(rows, column, real);
    } else if (type == ICE_LONG && str_to_int64(cell, &whole)) {
        engine_append_int(rows, column, whole);
    }
}

static void put_cell(struct engine_appender *rows, size_t column, enum ice_type type,
                     struct str cell, struct arena *arena)
{
    int64_t when;
    size_t count;
    if (!cell.len) {
        return; /* null */
    }
    switch (type) {
    case ICE_BOOLEAN: engine_append_bool(rows, column, str_is(cell, "true")); break;
    case ICE_LONG:
    case ICE_DOUBLE: put_number(rows, column, type, cell); break;
    case ICE_DATE:
        if (clock_parse_day(api_json_text(cell, arena), &when)) {
            engine_append_int(rows, column, when / CLOCK_US_PER_DAY);
        }
        break;
    case ICE_TIMESTAMPTZ:
        if (clock_parse(api_json_text(cell, arena), &when)) {
            engine_append_int(rows, column, when);
        }
        break;
    case ICE_LIST: {
        struct str *texts = api_json_texts(cell, arena, &count);
        engine_append_texts(rows, column, texts, count);
        break;
    }
    default:
        engine_append_text(rows, column, cell.ptr[0] == '"' ? api_json_text(cell, arena) : cell);
    }
}

static void fill(struct engine_appender *rows, size_t room, void *user)
{
    struct feed *feed = user;
    struct str text = {0};
    if (feed->status == KOL_OK) {
        feed->status = api_export_next(feed->export, room, &text, &feed->err);
    }
    struct api_sheet *sheet = api_export_sheet(feed->export);
    while (feed->status == KOL_OK && api_sheet_read(sheet, &text)) {
        for (size_t i = 0; i < sheet->count; i++) {
            put_cell(rows, i, feed->schema.fields[i].type, sheet->cells[i],
                     api_export_arena(feed->export));
        }
        feed->status = engine_append_row(rows, &feed->err);
    }
}

/* ---- the file ---- */

/* A file in the folder without a name. */
static enum kol_status open_nameless(const char *folder, int *fd, struct kol_error *err)
{
    char *path = file_join(folder, ".export-XXXXXX");
    *fd = mkostemp(path, O_CLOEXEC);
    enum kol_status status = KOL_OK;
    if (*fd < 0) {
        status = kol_fail_errno(err, errno, "making a file for an export in %s", folder);
    } else if (unlink(path) != 0) {
        status = kol_fail_errno(err, errno, "taking the name from %s", path);
    }
    free(path);
    return status;
}

static enum kol_status write_file(struct feed *feed, struct engine_session *session, int fd,
                                  struct kol_error *err)
{
    struct engine_source *source = NULL;
    enum kol_status status = engine_source_open(session, &feed->schema, fill, feed, &source, err);
    if (status != KOL_OK) {
        return status;
    }
    struct buf sql = {0};
    buf_puts(&sql, "COPY (SELECT * FROM ");
    engine_source_put(source, &sql);
    buf_printf(&sql,
               ") TO '/proc/self/fd/%d' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
               "ROW_GROUP_SIZE %d, USE_TMP_FILE false)",
               fd, ROWS_OF_GROUP);
    status = engine_exec(session, sql.ptr, err);
    if (feed->status != KOL_OK) {
        *err = feed->err;
        status = feed->status;
    }
    buf_free(&sql);
    engine_source_close(&source);
    return status;
}

enum kol_status api_export_parquet(struct api_export *export, const char *folder, int *fd,
                                   struct kol_error *err)
{
    const struct engine_options options = {.memory_bytes = ENGINE_BYTES, .threads = 1};
    struct feed feed = {.export = export, .status = KOL_OK};
    struct engine *engine = NULL;
    struct engine_session *session = NULL;
    struct arena arena;
    arena_init(&arena, 0);
    make_schema(api_export_sheet(export), &arena, &feed.schema);
    enum kol_status status = open_nameless(folder, fd, err);
    status = status == KOL_OK ? engine_open(&options, &engine, err) : status;
    status = status == KOL_OK ? engine_session_open(engine, &session, err) : status;
    status = status == KOL_OK ? write_file(&feed, session, *fd, err) : status;
    engine_session_close(&session);
    engine_close(&engine);
    arena_free(&arena);
    return status;
}
