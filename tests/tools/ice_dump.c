/*
 * ice_dump.c: shows a manifest or a manifest list as the program reads it, one JSON object a line,
 * and writes a sample of both, for comparison with other Iceberg libraries.
 *
 *     ice_dump manifest FILE | ice_dump list FILE | ice_dump sample FOLDER
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "iceberg/avro_file.h"
#include "iceberg/manifest.h"

/* ---- showing ---- */

/* What a manifest's header says of its table. */
struct table {
    struct ice_schema schema;
    struct ice_partition_spec spec;
};

static enum kol_status read_table(struct str bytes, struct arena *arena, struct table *out,
                                  struct kol_error *err)
{
    struct ice_avro_reader *file = NULL;
    enum kol_status status = ice_avro_open(bytes, &file, err);
    if (status) {
        return status;
    }
    json_t *schema = ice_avro_header_json(file, "schema", err);
    json_t *spec = schema ? ice_avro_header_json(file, "partition-spec", err) : NULL;
    status = spec ? ice_schema_read(schema, arena, &out->schema, err) : KOL_CORRUPT;
    status = status ? status : ice_spec_read(spec, arena, &out->spec, err);
    int64_t id = 0;
    if (str_to_int64(ice_avro_header(file, "partition-spec-id"), &id)) {
        out->spec.spec_id = (int32_t)id;
    }
    json_decref(schema);
    json_decref(spec);
    ice_avro_close(&file);
    return status;
}

static void put_hex(struct buf *out, struct str bytes)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        buf_printf(out, "%02x", (unsigned char)bytes.ptr[i]);
    }
    buf_putc(out, '"');
}

static void put_number(struct buf *out, const char *name, int64_t number)
{
    buf_printf(out, ",\"%s\":%lld", name, (long long)number);
}

static void put_columns(struct buf *out, const struct ice_data_file *file)
{
    buf_puts(out, ",\"columns\":{");
    for (size_t i = 0; i < file->column_count; i++) {
        const struct ice_column_stats *column = &file->columns[i];
        buf_printf(out, "%s\"%d\":{\"id\":%d", i ? "," : "", column->field_id, column->field_id);
        put_number(out, "size", column->size);
        put_number(out, "values", column->values);
        put_number(out, "nulls", column->nulls);
        put_number(out, "nans", column->nans);
        if (column->has_bounds) {
            buf_puts(out, ",\"lower\":");
            put_hex(out, column->lower);
            buf_puts(out, ",\"upper\":");
            put_hex(out, column->upper);
        }
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

static void put_entry(struct buf *out, const struct table *table, const struct ice_entry *entry)
{
    const struct ice_data_file *file = &entry->file;
    buf_puts(out, "{\"path\":");
    text_put_json(out, str_of(file->path));
    put_number(out, "status", entry->status);
    put_number(out, "snapshot_id", entry->snapshot_id);
    put_number(out, "sequence_number", entry->sequence_number);
    put_number(out, "file_sequence_number", entry->file_sequence_number);
    put_number(out, "rows", file->rows);
    put_number(out, "bytes", file->bytes);
    put_number(out, "spec_id", file->spec_id);
    put_number(out, "sort_order_id", file->sort_order_id);
    buf_puts(out, ",\"partition\":[");
    for (size_t i = 0; i < file->partition_count; i++) {
        struct buf bytes = {0};
        struct ice_field type;
        buf_puts(out, i ? "," : "");
        if (!file->partition[i].known) {
            buf_puts(out, "null");
        } else if (ice_partition_type(&table->schema, &table->spec.fields[i], &type)) {
            ice_value_write(&bytes, &type, &file->partition[i]);
            put_hex(out, buf_str(&bytes));
        } else {
            buf_puts(out, "true");
        }
        buf_free(&bytes);
    }
    buf_puts(out, "],\"splits\":[");
    for (size_t i = 0; i < file->split_count; i++) {
        buf_printf(out, "%s%lld", i ? "," : "", (long long)file->split_offsets[i]);
    }
    buf_putc(out, ']');
    put_columns(out, file);
    buf_puts(out, "}\n");
}

static void put_manifest(struct buf *out, const struct ice_manifest *manifest)
{
    buf_puts(out, "{\"path\":");
    text_put_json(out, str_of(manifest->path));
    put_number(out, "length", manifest->length);
    put_number(out, "spec_id", manifest->spec_id);
    put_number(out, "deletes", manifest->deletes);
    put_number(out, "sequence_number", manifest->sequence_number);
    put_number(out, "min_sequence_number", manifest->min_sequence_number);
    put_number(out, "added_snapshot_id", manifest->added_snapshot_id);
    put_number(out, "added_files", manifest->added_files);
    put_number(out, "existing_files", manifest->existing_files);
    put_number(out, "deleted_files", manifest->deleted_files);
    put_number(out, "added_rows", manifest->added_rows);
    put_number(out, "existing_rows", manifest->existing_rows);
    put_number(out, "deleted_rows", manifest->deleted_rows);
    buf_puts(out, ",\"partitions\":[");
    for (size_t i = 0; i < manifest->partition_count; i++) {
        const struct ice_field_summary *summary = &manifest->partitions[i];
        buf_printf(out, "%s{\"null\":%s,\"nan\":%s", i ? "," : "",
                   summary->contains_null ? "true" : "false",
                   summary->contains_nan ? "true" : "false");
        if (summary->has_bounds) {
            buf_puts(out, ",\"lower\":");
            put_hex(out, summary->lower);
            buf_puts(out, ",\"upper\":");
            put_hex(out, summary->upper);
        }
        buf_putc(out, '}');
    }
    buf_puts(out, "]}\n");
}

static enum kol_status show(const char *what, const char *path, struct kol_error *err)
{
    struct arena arena;
    struct buf bytes = {0}, out = {0};
    size_t count = 0;
    arena_init(&arena, 0);
    enum kol_status status = file_read(path, ICE_MAX_MANIFEST, &bytes, err);
    if (!status && strcmp(what, "manifest") == 0) {
        struct ice_entry *entries;
        struct table table = {0};
        status = read_table(buf_str(&bytes), &arena, &table, err);
        status = status ? status
                        : ice_manifest_read(buf_str(&bytes), NULL, &table.schema, &table.spec,
                                            &arena, &entries, &count, err);
        for (size_t i = 0; !status && i < count; i++) {
            put_entry(&out, &table, &entries[i]);
        }
    } else if (!status) {
        struct ice_manifest *manifests;
        status = ice_manifest_list_read(buf_str(&bytes), &arena, &manifests, &count, err);
        for (size_t i = 0; !status && i < count; i++) {
            put_manifest(&out, &manifests[i]);
        }
    }
    fwrite(out.ptr, 1, out.len, stdout);
    buf_free(&out);
    buf_free(&bytes);
    arena_free(&arena);
    return status;
}

/* ---- the sample ---- */

static struct ice_field fields[] = {
    {.id = 1, .name = "flag", .type = ICE_BOOLEAN},
    {.id = 2, .name = "i", .type = ICE_INT},
    {.id = 3, .name = "l", .type = ICE_LONG, .required = true},
    {.id = 4, .name = "f", .type = ICE_FLOAT},
    {.id = 5, .name = "d", .type = ICE_DOUBLE},
    {.id = 6, .name = "dec", .type = ICE_DECIMAL, .precision = 9, .scale = 2},
    {.id = 7, .name = "date", .type = ICE_DATE},
    {.id = 8, .name = "time", .type = ICE_TIME},
    {.id = 9, .name = "ts", .type = ICE_TIMESTAMP},
    {.id = 10, .name = "tz", .type = ICE_TIMESTAMPTZ},
    {.id = 11, .name = "s", .type = ICE_STRING, .doc = "một văn bản"},
    {.id = 12, .name = "bin", .type = ICE_BINARY},
    {.id = 13, .name = "u", .type = ICE_UUID},
    {.id = 14, .name = "fx", .type = ICE_FIXED, .length = 3},
};
static const struct ice_schema schema = {
    .schema_id = 1, .fields = fields, .count = ARRAY_LEN(fields)};

enum { PARTS = ARRAY_LEN(fields) + 2 };

static void sample_spec(struct ice_partition_field out[PARTS])
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        out[i] = (struct ice_partition_field){fields[i].id, 1000 + (int32_t)i, fields[i].name,
                                              ICE_IDENTITY, 0};
    }
    out[PARTS - 2] = (struct ice_partition_field){10, 1100, "tz day", ICE_DAY, 0};
    out[PARTS - 1] = (struct ice_partition_field){11, 1101, "s_bucket", ICE_BUCKET, 16};
}

/* What tests/system/test_ice_pyiceberg.py expects, value by value. */
static void sample_values(struct ice_value out[PARTS])
{
    const struct ice_value values[PARTS] = {
        {.known = true, .boolean = true},
        {.known = true, .integer = -2147483648},
        {.known = true, .integer = INT64_MAX},
        {.known = true, .real = -1.5},
        {.known = true, .real = 0.1},
        {.known = true, .bytes = STR("\xfa\xf2")}, /* -12.94 */
        {.known = true, .integer = -1},
        {.known = true, .integer = INT64_C(81068000001)},
        {.known = true, .integer = -1},
        {.known = true, .integer = INT64_C(1510871468000001)},
        {.known = true, .bytes = STR("Đặng Thị Ánh, dài hơn mười sáu")},
        {.known = true, .bytes = {"\0\xff", 2}},
        {.known = true,
         .bytes = STR("\xf7\x9c\x3e\x09\x67\x7c\x4b\xbd\xa4\x79\x3f\x34\x9c\xb7"
                      "\x85\xe7")},
        {.known = true, .bytes = STR("abc")},
        {.known = true, .integer = 17486},
        {.known = true, .integer = 7},
    };
    memcpy(out, values, sizeof values);
}

static enum kol_status write_sample(const char *folder, struct kol_error *err)
{
    struct arena arena;
    struct buf path = {0}, bytes = {0}, list = {0};
    struct ice_partition_field by[PARTS];
    struct ice_partition_spec spec = {.spec_id = 4, .fields = by, .count = PARTS};
    struct ice_value known[PARTS], nulls[PARTS] = {0};
    int64_t splits[] = {4, 5000000000};
    arena_init(&arena, 0);
    sample_spec(by);
    sample_values(known);
    struct ice_column_stats columns[] = {
        {.field_id = 3, .size = 100, .values = 7, .nulls = 0, .nans = -1, .has_bounds = true},
        {.field_id = 5, .size = 200, .values = 7, .nulls = 2, .nans = 1},
        {.field_id = 11, .size = 300, .values = 7, .nulls = -1, .nans = -1, .has_bounds = true},
    };
    struct ice_value low = {.known = true, .integer = -5};
    ice_bound_lower(&arena, &fields[2], &low, &columns[0].lower);
    ice_bound_upper(&arena, &fields[2], &known[2], &columns[0].upper);
    ice_bound_lower(&arena, &fields[10], &known[10], &columns[2].lower);
    ice_bound_upper(&arena, &fields[10], &known[10], &columns[2].upper);
    struct ice_data_file file = {.path = "file:///lake/t/data/a.parquet",
                                 .rows = 7,
                                 .bytes = 600,
                                 .spec_id = 4,
                                 .partition = known,
                                 .partition_count = PARTS,
                                 .columns = columns,
                                 .column_count = ARRAY_LEN(columns),
                                 .split_offsets = splits,
                                 .split_count = 2,
                                 .sort_order_id = 1};
    struct ice_entry entries[] = {{ICE_ADDED, 99, -1, -1, file},
                                  {ICE_EXISTING, 55, 3, 2, file},
                                  {ICE_DELETED, 99, 4, 4, file}};
    entries[1].file.path = "file:///lake/t/data/b.parquet";
    entries[1].file.partition = nulls;
    entries[1].file.column_count = entries[1].file.split_count = 0;
    struct ice_manifest manifest = {.spec_id = 4, .added_snapshot_id = 99};
    enum kol_status status =
        ice_manifest_write(&schema, &spec, entries, 3, &arena, &manifest, &bytes, err);
    buf_printf(&path, "%s/manifest.avro", folder);
    manifest.path = arena_copy(&arena, buf_str(&path)).ptr;
    status = status ? status : file_replace(path.ptr, buf_str(&bytes), err);
    status = status ? status : ice_manifest_list_write(&manifest, 1, 99, 55, 6, &list, err);
    buf_clear(&path);
    buf_printf(&path, "%s/list.avro", folder);
    status = status ? status : file_replace(path.ptr, buf_str(&list), err);
    buf_free(&path);
    buf_free(&bytes);
    buf_free(&list);
    arena_free(&arena);
    return status;
}

int main(int argc, char **argv)
{
    struct kol_error err = {0};
    if (argc != 3 || (strcmp(argv[1], "manifest") != 0 && strcmp(argv[1], "list") != 0 &&
                      strcmp(argv[1], "sample") != 0)) {
        fprintf(stderr, "usage: ice_dump manifest FILE | list FILE | sample FOLDER\n");
        return 2;
    }
    enum kol_status status =
        strcmp(argv[1], "sample") == 0 ? write_sample(argv[2], &err) : show(argv[1], argv[2], &err);
    if (status) {
        fprintf(stderr, "%s: %s\n", kol_status_text(status), err.message);
    }
    return status ? 1 : 0;
}
