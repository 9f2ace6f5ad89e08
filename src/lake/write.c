/*
 * write.c: the rows of a SELECT become the data files of a table.
 *
 * Without partitions the engine writes the sorted SELECT as it comes. With them the rows are first
 * laid down once in a temporary table, ordered by partition and then by the table's sort order;
 * each partition is then a run of row numbers that the engine finds without a look at the rest. So
 * every row is sorted once and read twice however many partitions there are, and what does not fit
 * into the engine's memory is spilled by it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "base/signals.h"
#include "lake/write.h"

enum { TARGET_BYTES = 128 << 20 }; /* of a data file, unless the caller says otherwise */

#define RUNS_TABLE "kol_lake_write"
#define KEY_COLUMN "kol_partition_"

/* The rows of one partition: they stand together in RUNS_TABLE. */
struct run {
    struct ice_value *values; /* in the arena, one for each field of the spec */
    int64_t first_row, last_row, rows;
};

/* ---- SQL ---- */

static const struct ice_field *column_of(const struct lake_writer *writer, int32_t field_id)
{
    for (size_t i = 0; i < writer->schema.count; i++) {
        if (writer->schema.fields[i].id == field_id) {
            return &writer->schema.fields[i];
        }
    }
    return NULL;
}

/* The rows to write under the names of the table's columns, whatever the SELECT calls them. */
static void put_source(const struct lake_writer *writer, const char *select, struct buf *sql)
{
    buf_printf(sql, "(%s\n) AS source(", select);
    for (size_t i = 0; i < writer->schema.count; i++) {
        buf_puts(sql, i ? ", " : "");
        engine_quote_name(sql, str_of(writer->schema.fields[i].name));
    }
    buf_putc(sql, ')');
}

/* Fills writer->sort from the table's sort order. A column that the files do not have, or an order
 * by something other than a column, leaves them unsorted. */
static void read_sort_order(struct lake_writer *writer)
{
    const struct ice_metadata *metadata = writer->metadata;
    for (size_t i = 0; i < metadata->order_count; i++) {
        const struct ice_sort_order *order = &metadata->orders[i];
        if (order->order_id != metadata->default_order_id) {
            continue;
        }
        writer->order_id = order->order_id;
        for (size_t j = 0; j < order->count; j++) {
            const struct ice_sort_field *field = &order->fields[j];
            const struct ice_field *column = column_of(writer, field->source_id);
            if (!column || field->transform != ICE_IDENTITY) {
                writer->order_id = 0;
                buf_clear(&writer->sort);
                return;
            }
            buf_puts(&writer->sort, j ? ", " : "");
            engine_quote_name(&writer->sort, str_of(column->name));
            buf_printf(&writer->sort, " %s NULLS %s", field->descending ? "DESC" : "ASC",
                       field->nulls_last ? "LAST" : "FIRST");
        }
    }
}

/* The partition value of a row. Periods count from 1970 and round down before it, as the format
 * wants; the zone is taken off by hand, because the engine's own way there costs 20 times as much.
 */
static enum kol_status put_key(const struct lake_writer *writer,
                               const struct ice_partition_field *key, struct buf *sql,
                               struct kol_error *err)
{
    static const char *const periods[] = {
        [ICE_YEAR] = "year", [ICE_MONTH] = "month", [ICE_DAY] = "day", [ICE_HOUR] = "hour"};
    const struct ice_field *column = column_of(writer, key->source_id);
    struct buf value = {0};
    if (!column) {
        return kol_fail(err, KOL_UNSUPPORTED, "the table is partitioned by a column that it lost");
    }
    buf_puts(&value, "CAST(");
    engine_quote_name(&value, str_of(column->name));
    buf_puts(&value, " AS ");
    engine_type_name(column, &value);
    buf_putc(&value, ')');
    enum kol_status status = KOL_OK;
    if (key->transform == ICE_IDENTITY) {
        buf_put(sql, buf_str(&value));
    } else if (key->transform >= ARRAY_LEN(periods) || !periods[key->transform]) {
        status = kol_fail(err, KOL_UNSUPPORTED,
                          "kol writes partitions by value, year, month, day and hour; %s is none",
                          key->name);
    } else {
        buf_printf(sql, "date_diff('%s', TIMESTAMP '1970-01-01', ", periods[key->transform]);
        const char *form = column->type == ICE_TIMESTAMPTZ ? "make_timestamp(epoch_us(%s)))"
                           : column->type == ICE_DATE      ? "CAST(%s AS TIMESTAMP))"
                                                           : "%s)";
        const char *rest = strstr(form, "%s");
        buf_append(sql, form, (size_t)(rest - form));
        buf_put(sql, buf_str(&value));
        buf_puts(sql, rest + 2);
    }
    buf_free(&value);
    return status;
}

/* ---- files ---- */

void lake_writer_begin(struct lake_writer *writer, struct lake *lake,
                       struct engine_session *session, const struct lake_table *table,
                       const struct ice_metadata *metadata, struct arena *arena)
{
    *writer = (struct lake_writer){
        .lake = lake,
        .session = session,
        .metadata = metadata,
        .arena = arena,
        .target_bytes = TARGET_BYTES,
        .spec = ice_default_spec(metadata),
    };
    lake_table_schema_for(table, metadata, arena, &writer->schema);
    read_sort_order(writer);
}

void lake_writer_end(struct lake_writer *writer)
{
    free(writer->files);
    buf_free(&writer->sort);
}

void lake_remove_files(struct lake *lake, const struct ice_data_file *files, size_t count)
{
    struct kol_error ignored;
    for (size_t i = 0; i < count; i++) {
        /* Best effort: what stays behind is an orphan that upkeep removes. */
        enum kol_status status = lake->storage->ops->remove(lake->storage, files[i].path, &ignored);
        (void)status;
    }
}

/* Moves a written file to its place in the table. */
static enum kol_status place_file(struct lake_writer *writer, struct ice_data_file *file,
                                  struct ice_value *values, struct kol_error *err)
{
    struct storage *storage = writer->lake->storage;
    struct buf location = {0};
    ice_new_data_location(writer->metadata, &location);
    enum kol_status status = storage->ops->put_file(storage, location.ptr, file->path, err);
    if (status == KOL_OK) {
        if (writer->count == writer->cap) {
            writer->cap = writer->cap ? writer->cap * 2 : 16;
            writer->files = mem_realloc(writer->files, writer->cap * sizeof *writer->files);
        }
        file->path = arena_copy(writer->arena, buf_str(&location)).ptr;
        file->spec_id = writer->spec->spec_id;
        file->partition = values;
        file->partition_count = writer->spec->count;
        file->sort_order_id = writer->order_id;
        writer->files[writer->count++] = *file;
        FAILPOINT("write.placed");
    }
    buf_free(&location);
    return status;
}

enum kol_status lake_writer_add(struct lake_writer *writer, const char *select,
                                struct ice_value *values, struct kol_error *err)
{
    struct ice_data_file *files;
    size_t count;
    enum kol_status status =
        engine_write_parquet(writer->session, select, &writer->schema, writer->lake->staging,
                             writer->target_bytes, writer->arena, &files, &count, err);
    if (status != KOL_OK) {
        return status;
    }
    FAILPOINT("write.made");
    size_t placed = 0;
    while (placed < count && status == KOL_OK) {
        status = place_file(writer, &files[placed++], values, err);
    }
    for (size_t i = status == KOL_OK ? placed : placed - 1; i < count; i++) {
        (void)unlink(files[i].path); /* best effort, as in lake_remove_files() */
    }
    return status;
}

/* ---- partitions ---- */

/* Lays the rows down by partition. */
static enum kol_status make_runs_table(struct lake_writer *writer, const char *select,
                                       struct kol_error *err)
{
    struct buf sql = {0};
    enum kol_status status = KOL_OK;
    buf_puts(&sql, "CREATE OR REPLACE TEMPORARY TABLE " RUNS_TABLE " AS SELECT *");
    for (size_t i = 0; i < writer->spec->count && status == KOL_OK; i++) {
        buf_puts(&sql, ", ");
        status = put_key(writer, &writer->spec->fields[i], &sql, err);
        buf_printf(&sql, " AS " KEY_COLUMN "%zu", i);
    }
    if (status == KOL_OK) {
        buf_puts(&sql, " FROM ");
        put_source(writer, select, &sql);
        buf_puts(&sql, " ORDER BY ");
        for (size_t i = 0; i < writer->spec->count; i++) {
            buf_printf(&sql, "%s" KEY_COLUMN "%zu NULLS FIRST", i ? ", " : "", i);
        }
        buf_puts(&sql, writer->sort.len ? ", " : "");
        buf_put(&sql, buf_str(&writer->sort));
        status = engine_exec(writer->session, sql.ptr, err);
    }
    buf_free(&sql);
    return status;
}

static enum kol_status read_key(struct lake_writer *writer, const struct engine_result *result,
                                size_t key, size_t row, struct ice_value *out,
                                struct kol_error *err)
{
    const struct ice_partition_field *field = &writer->spec->fields[key];
    const struct ice_field *column = column_of(writer, field->source_id);
    *out = (struct ice_value){.known = !engine_null(result, key, row)};
    if (!out->known) {
        return KOL_OK;
    }
    if (field->transform != ICE_IDENTITY) {
        out->integer = engine_int(result, key, row);
        return KOL_OK;
    }
    switch (column->type) {
    case ICE_BOOLEAN: out->boolean = engine_bool(result, key, row); return KOL_OK;
    case ICE_INT:
    case ICE_LONG:
    case ICE_DATE:
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ: out->integer = engine_int(result, key, row); return KOL_OK;
    case ICE_STRING:
    case ICE_BINARY:
        out->bytes = arena_copy(writer->arena, engine_text(result, key, row));
        return KOL_OK;
    default:
        return kol_fail(err, KOL_UNSUPPORTED,
                        "kol does not partition by values such as those of %s", column->name);
    }
}

static enum kol_status read_run(struct lake_writer *writer, const struct engine_result *result,
                                size_t row, struct run *run, struct kol_error *err)
{
    const size_t keys = writer->spec->count;
    enum kol_status status = KOL_OK;
    run->values = arena_alloc(writer->arena, keys * sizeof *run->values);
    for (size_t i = 0; i < keys && status == KOL_OK; i++) {
        status = read_key(writer, result, i, row, &run->values[i], err);
    }
    run->first_row = engine_int(result, keys, row);
    run->last_row = engine_int(result, keys + 1, row);
    run->rows = engine_int(result, keys + 2, row);
    /* The order of the table is what all of this stands on. */
    KOL_ASSERT(run->last_row - run->first_row + 1 == run->rows);
    return status;
}

/* All partitions that have rows, in their order; `*runs` is for free(). */
static enum kol_status read_runs(struct lake_writer *writer, struct run **runs, size_t *count,
                                 struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t rows = 0, cap = 0;
    *runs = NULL;
    *count = 0;
    buf_puts(&sql, "SELECT ");
    for (size_t i = 0; i < writer->spec->count; i++) {
        buf_printf(&sql, KEY_COLUMN "%zu, ", i);
    }
    buf_puts(&sql, "min(rowid) AS first_row, max(rowid), count(*) FROM " RUNS_TABLE
                   " GROUP BY ALL ORDER BY first_row");
    enum kol_status status = engine_query(writer->session, sql.ptr, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t row = 0; row < rows && status == KOL_OK; row++) {
            if (*count == cap) {
                cap = cap ? cap * 2 : 64;
                *runs = mem_realloc(*runs, cap * sizeof **runs);
            }
            status = read_run(writer, result, row, &(*runs)[(*count)++], err);
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

static enum kol_status write_runs(struct lake_writer *writer, const struct run *runs, size_t count,
                                  struct kol_error *err)
{
    struct buf sql = {0};
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (signals_stop_asked()) {
            status = kol_fail(err, KOL_INTERRUPTED, "stopped while data files were written");
            break;
        }
        buf_clear(&sql);
        buf_puts(&sql, "SELECT ");
        for (size_t j = 0; j < writer->schema.count; j++) {
            buf_puts(&sql, j ? ", " : "");
            engine_quote_name(&sql, str_of(writer->schema.fields[j].name));
        }
        buf_printf(&sql, " FROM " RUNS_TABLE " WHERE rowid >= %lld AND rowid <= %lld",
                   (long long)runs[i].first_row, (long long)runs[i].last_row);
        status = lake_writer_add(writer, sql.ptr, runs[i].values, err);
    }
    buf_free(&sql);
    return status;
}

static enum kol_status write_partitions(struct lake_writer *writer, const char *select,
                                        struct kol_error *err)
{
    struct kol_error drop_err;
    struct run *runs = NULL;
    size_t count = 0;
    enum kol_status status = make_runs_table(writer, select, err);
    if (status == KOL_OK) {
        status = read_runs(writer, &runs, &count, err);
    }
    if (status == KOL_OK) {
        FAILPOINT("write.runs");
        status = write_runs(writer, runs, count, err);
    }
    free(runs);
    /* A failure to drop it wins only over success; the next call replaces the table anyway. */
    enum kol_status dropped =
        engine_exec(writer->session, "DROP TABLE IF EXISTS " RUNS_TABLE, &drop_err);
    if (status == KOL_OK && dropped != KOL_OK) {
        status = kol_fail(err, dropped, "%s", drop_err.message);
    }
    return status;
}

static enum kol_status write_whole(struct lake_writer *writer, const char *select,
                                   struct kol_error *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "SELECT * FROM ");
    put_source(writer, select, &sql);
    if (writer->sort.len) {
        buf_puts(&sql, " ORDER BY ");
        buf_put(&sql, buf_str(&writer->sort));
    }
    enum kol_status status = lake_writer_add(writer, sql.ptr, NULL, err);
    buf_free(&sql);
    return status;
}

enum kol_status lake_writer_run(struct lake_writer *writer, const char *select,
                                struct kol_error *err)
{
    enum kol_status status = writer->spec->count ? write_partitions(writer, select, err)
                                                 : write_whole(writer, select, err);
    if (status != KOL_OK) {
        lake_remove_files(writer->lake, writer->files, writer->count);
        writer->count = 0;
    }
    return status;
}

enum kol_status lake_write(struct lake *lake, struct engine_session *session,
                           const struct lake_table *table, const struct ice_metadata *metadata,
                           const char *select, struct arena *arena, struct ice_data_file **files,
                           size_t *count, struct kol_error *err)
{
    struct lake_writer writer;
    *files = NULL;
    *count = 0;
    lake_writer_begin(&writer, lake, session, table, metadata, arena);
    enum kol_status status = lake_writer_run(&writer, select, err);
    if (status != KOL_OK) {
        kol_wrap(err, "%s.%s", table->name_space, table->name);
    } else {
        *files = arena_alloc(arena, (writer.count + 1) * sizeof **files);
        if (writer.count) {
            memcpy(*files, writer.files, writer.count * sizeof **files);
        }
        *count = writer.count;
    }
    lake_writer_end(&writer);
    return status;
}
