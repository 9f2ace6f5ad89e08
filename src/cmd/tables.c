/* tables.c: `kol tables`: what is in the lake, and each table's columns,
 * snapshots and files. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "lake/report.h"

/* ---- all tables ---- */

static const char *const table_columns[] = {"table",     "rows",  "files",    "bytes",
                                            "snapshots", "as_of", "snapshot", "meaning"};

struct listing {
    struct lake *lake;
    struct rows *rows;
};

static enum kol_status show_table(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct listing *listing = user;
    struct lake_pin pin;
    const struct lake_table *declared = lake_table_find(ident.name_space, ident.name);
    enum kol_status status = lake_pin(listing->lake, ident.name_space, ident.name, 0, &pin, err);
    struct buf name = {0};
    buf_printf(&name, "%s.%s", ident.name_space, ident.name);
    rows_text(listing->rows, buf_str(&name));
    buf_free(&name);
    if (status != KOL_OK) { /* one table that cannot be read must not hide the others */
        for (int i = 0; i < 6; i++) {
            rows_null(listing->rows);
        }
        rows_text(listing->rows, str_of(err->message));
        return status == KOL_INTERRUPTED ? status : KOL_OK;
    }
    const struct ice_snapshot *snapshot = ice_snapshot_by_id(pin.metadata, pin.snapshot_id);
    rows_int(listing->rows, pin.files.rows);
    rows_int(listing->rows, (int64_t)pin.files.count);
    rows_int(listing->rows, pin.files.bytes);
    rows_int(listing->rows, (int64_t)pin.metadata->snapshot_count);
    if (snapshot) {
        rows_time(listing->rows, snapshot->time_ms * 1000);
        rows_int(listing->rows, snapshot->id);
    } else {
        rows_null(listing->rows);
        rows_null(listing->rows);
    }
    rows_text(listing->rows, str_of(declared ? declared->doc : ""));
    lake_unpin(&pin);
    return KOL_OK;
}

static enum kol_status list_namespace(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct listing *listing = user;
    struct catalog *catalog = listing->lake->catalog;
    return catalog->ops->list(catalog, ident.name_space, show_table, listing, err);
}

static enum kol_status list_tables(struct lake *lake, enum rows_format format,
                                   struct kol_error *err)
{
    struct listing listing = {lake,
                              rows_begin(stdout, format, table_columns, ARRAY_LEN(table_columns))};
    enum kol_status status =
        lake->catalog->ops->list(lake->catalog, NULL, list_namespace, &listing, err);
    return rows_finish(&listing.rows, status, err);
}

/* ---- one table ---- */

static const char *const field_columns[] = {"column", "type", "required", "id", "nulls", "meaning"};

static void put_type(struct buf *out, const struct ice_field *field)
{
    switch (field->type) {
    case ICE_LIST:
        buf_puts(out, "list<");
        put_type(out, &field->children[0]);
        buf_putc(out, '>');
        break;
    case ICE_MAP:
        buf_puts(out, "map<");
        put_type(out, &field->children[0]);
        buf_puts(out, ", ");
        put_type(out, &field->children[1]);
        buf_putc(out, '>');
        break;
    case ICE_STRUCT: buf_puts(out, "struct"); break;
    default: ice_type_write(out, field);
    }
}

/* Nulls of a column over all files by their statistics; -1 where a file does
 * not say. */
static int64_t nulls_of(const struct ice_files *files, int32_t field_id)
{
    int64_t nulls = 0;
    for (size_t file = 0; file < files->count; file++) {
        int64_t here = -1;
        for (size_t i = 0; i < files->files[file].column_count; i++) {
            const struct ice_column_stats *stats = &files->files[file].columns[i];
            here = stats->field_id == field_id ? stats->nulls : here;
        }
        if (here < 0) {
            return -1;
        }
        nulls += here;
    }
    return nulls;
}

static enum kol_status show_schema(const struct lake_pin *pin, enum rows_format format,
                                   struct kol_error *err)
{
    const struct ice_schema *schema = lake_pin_schema(pin);
    struct rows *rows = rows_begin(stdout, format, field_columns, ARRAY_LEN(field_columns));
    for (size_t i = 0; i < schema->count; i++) {
        const struct ice_field *field = &schema->fields[i];
        int64_t nulls = nulls_of(&pin->files, field->id);
        struct buf type = {0};
        put_type(&type, field);
        rows_text(rows, str_of(field->name));
        rows_text(rows, buf_str(&type));
        rows_bool(rows, field->required);
        rows_int(rows, field->id);
        if (nulls < 0) {
            rows_null(rows);
        } else {
            rows_int(rows, nulls);
        }
        rows_text(rows, str_of(field->doc ? field->doc : ""));
        buf_free(&type);
    }
    return rows_end(&rows, err);
}

static const char *const snapshot_columns[] = {"snapshot", "at",         "operation", "rows",
                                               "files",    "added_rows", "run"};

static void put_summary(struct rows *rows, const struct ice_snapshot *snapshot, const char *key)
{
    const char *value = ice_summary(snapshot, key);
    int64_t number;
    if (value && str_to_int64(str_of(value), &number)) {
        rows_int(rows, number);
    } else {
        rows_null(rows);
    }
}

static enum kol_status show_snapshots(const struct lake_pin *pin, enum rows_format format,
                                      struct kol_error *err)
{
    struct rows *rows = rows_begin(stdout, format, snapshot_columns, ARRAY_LEN(snapshot_columns));
    for (size_t i = pin->metadata->snapshot_count; i-- > 0;) {
        const struct ice_snapshot *snapshot = &pin->metadata->snapshots[i];
        const char *operation = ice_summary(snapshot, "operation");
        const char *run = ice_summary(snapshot, "kol.run-id");
        rows_int(rows, snapshot->id);
        rows_time(rows, snapshot->time_ms * 1000);
        rows_text(rows, str_of(operation ? operation : ""));
        put_summary(rows, snapshot, "total-records");
        put_summary(rows, snapshot, "total-data-files");
        put_summary(rows, snapshot, "added-records");
        rows_text(rows, str_of(run ? run : ""));
    }
    return rows_end(&rows, err);
}

static const char *const file_columns[] = {"file", "partition", "rows", "bytes"};

/* A partition value as text; a day as its date. */
static void put_partition(struct buf *out, const struct lake_pin *pin,
                          const struct ice_data_file *file)
{
    const struct ice_partition_spec *spec = ice_spec_by_id(pin->metadata, file->spec_id);
    for (size_t i = 0; spec && i < spec->count && i < file->partition_count; i++) {
        const struct ice_partition_field *part = &spec->fields[i];
        const struct ice_field *source =
            ice_field_by_id(ice_current_schema(pin->metadata), part->source_id);
        const struct ice_value *value = &file->partition[i];
        buf_printf(out, "%s%s=", i ? "/" : "", part->name);
        if (!value->known || !source) {
            buf_puts(out, "null");
            continue;
        }
        struct ice_field type = ice_transform_result(source, part->transform);
        if (type.type == ICE_STRING) {
            buf_put(out, value->bytes);
        } else if (part->transform == ICE_DAY) {
            struct buf day = {0};
            clock_format(&day, value->integer * CLOCK_US_PER_DAY);
            buf_append(out, day.ptr, 10);
            buf_free(&day);
        } else if (type.type == ICE_INT || type.type == ICE_LONG || type.type == ICE_DATE) {
            buf_put_int64(out, value->integer);
        } else {
            buf_putc(out, '?');
        }
    }
}

static enum kol_status show_files(const struct lake_pin *pin, enum rows_format format,
                                  struct kol_error *err)
{
    struct rows *rows = rows_begin(stdout, format, file_columns, ARRAY_LEN(file_columns));
    for (size_t i = 0; i < pin->files.count; i++) {
        const struct ice_data_file *file = &pin->files.files[i];
        struct buf partition = {0};
        put_partition(&partition, pin, file);
        rows_text(rows, str_of(file->path));
        rows_text(rows, buf_str(&partition));
        rows_int(rows, file->rows);
        rows_int(rows, file->bytes);
        buf_free(&partition);
    }
    return rows_end(&rows, err);
}

static enum kol_status show_one(struct lake *lake, const struct invocation *call,
                                struct kol_error *err)
{
    struct lake_pin pin;
    enum kol_status status =
        lake_pin_named(lake, call->args[0], flag_text(call, "as-of"), &pin, err);
    if (status != KOL_OK) {
        return status;
    }
    if (flag_bool(call, "snapshots")) {
        status = show_snapshots(&pin, call->format, err);
    } else if (flag_bool(call, "files")) {
        status = show_files(&pin, call->format, err);
    } else {
        status = show_schema(&pin, call->format, err);
    }
    lake_unpin(&pin);
    return status;
}

/* ---- the command ---- */

static enum kol_status check_flags(const struct invocation *call, struct kol_error *err)
{
    bool of_one =
        flag_bool(call, "snapshots") || flag_bool(call, "files") || flag_given(call, "as-of");
    bool of_all = flag_bool(call, "quality") || flag_bool(call, "lineage");
    if (of_one && !call->arg_count) {
        return kol_fail(err, KOL_USAGE,
                        "--snapshots, --files and --as-of need a table: "
                        "kol tables silver.kol_profiles --snapshots");
    }
    if (flag_bool(call, "snapshots") + flag_bool(call, "files") + flag_bool(call, "quality") +
                flag_bool(call, "lineage") >
            1 ||
        (of_all && of_one)) {
        return kol_fail(err, KOL_USAGE,
                        "one of --snapshots, --files, --quality and --lineage at a time");
    }
    return KOL_OK;
}

enum kol_status cmd_tables(const struct invocation *call, struct kol_error *err)
{
    struct lake *lake = NULL;
    enum kol_status status = check_flags(call, err);
    if (status == KOL_OK) {
        status = command_open_lake(call, true, &lake, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    const char *table = call->arg_count ? call->args[0] : NULL;
    if (flag_bool(call, "quality")) {
        status = lake_show_quality(lake, table, stdout, call->format, err);
    } else if (flag_bool(call, "lineage")) {
        status = lake_show_lineage(lake, table, stdout, call->format, err);
    } else if (table) {
        status = show_one(lake, call, err);
    } else {
        status = list_tables(lake, call->format, err);
    }
    lake_close(&lake);
    return status;
}
