/*
 * manifest_write.c: a manifest of data files, format version 2.
 *
 * The fields and their ids are those of the spec's manifest_entry; only the partition record
 * follows the table. Beside the bytes come the figures that the manifest list keeps of them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "iceberg/avro_file.h"
#include "iceberg/manifest.h"

static const struct ice_avro_column entry_columns[] = {
    {"status", 0, ICE_AVRO_INT},
    {"snapshot_id", 1, ICE_AVRO_LONG, true},
    {"sequence_number", 3, ICE_AVRO_LONG, true},
    {"file_sequence_number", 4, ICE_AVRO_LONG, true},
};

static const struct ice_avro_column file_columns[] = {
    {"content", 134, ICE_AVRO_INT},
    {"file_path", 100, ICE_AVRO_STRING},
    {"file_format", 101, ICE_AVRO_STRING},
    /* the partition stands here */
    {"record_count", 103, ICE_AVRO_LONG},
    {"file_size_in_bytes", 104, ICE_AVRO_LONG},
    {"column_sizes", 108, ICE_AVRO_LONG_MAP, true, 117, 118},
    {"value_counts", 109, ICE_AVRO_LONG_MAP, true, 119, 120},
    {"null_value_counts", 110, ICE_AVRO_LONG_MAP, true, 121, 122},
    {"nan_value_counts", 137, ICE_AVRO_LONG_MAP, true, 138, 139},
    {"lower_bounds", 125, ICE_AVRO_BYTES_MAP, true, 126, 127},
    {"upper_bounds", 128, ICE_AVRO_BYTES_MAP, true, 129, 130},
    {"key_metadata", 131, ICE_AVRO_BYTES, true},
    {"split_offsets", 132, ICE_AVRO_LONGS, true, 133},
    {"equality_ids", 135, ICE_AVRO_INTS, true, 136},
    {"sort_order_id", 140, ICE_AVRO_INT, true},
};

enum { BEFORE_PARTITION = 3 };

/* ---- the schema ---- */

/* Avro's names are ASCII words: as Iceberg's own library does it, any other byte becomes _x and its
 * hexadecimal digits. */
static bool put_avro_name(struct buf *json, const char *name)
{
    size_t start = json->len;
    for (const char *at = name; *at; at++) {
        bool digit = *at >= '0' && *at <= '9';
        if (digit && at == name) {
            buf_putc(json, '_');
        }
        if (digit || *at == '_' || (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z')) {
            buf_putc(json, *at);
        } else {
            buf_printf(json, "_x%02X", (unsigned char)*at);
        }
    }
    return str_is((struct str){json->ptr + start, json->len - start}, name);
}

/* Bytes that hold every decimal of that many digits. */
static int decimal_bytes(int32_t precision)
{
    return (int)ceil((precision * log2(10) + 1) / 8);
}

static void put_partition_type(struct buf *json, const struct ice_field *type, int32_t field_id)
{
    static const char *const plain[] = {
        [ICE_BOOLEAN] = "boolean", [ICE_INT] = "int",       [ICE_LONG] = "long",
        [ICE_FLOAT] = "float",     [ICE_DOUBLE] = "double", [ICE_STRING] = "string",
        [ICE_BINARY] = "bytes",
    };
    switch (type->type) {
    case ICE_DATE: buf_puts(json, "{\"type\":\"int\",\"logicalType\":\"date\"}"); break;
    case ICE_TIME: buf_puts(json, "{\"type\":\"long\",\"logicalType\":\"time-micros\"}"); break;
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ:
        buf_printf(json,
                   "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\",\"adjust-to-utc\":%s}",
                   type->type == ICE_TIMESTAMPTZ ? "true" : "false");
        break;
    case ICE_DECIMAL:
        buf_printf(json,
                   "{\"type\":\"fixed\",\"name\":\"decimal_%d\",\"size\":%d,"
                   "\"logicalType\":\"decimal\",\"precision\":%d,\"scale\":%d}",
                   field_id, decimal_bytes(type->precision), type->precision, type->scale);
        break;
    case ICE_UUID:
        buf_printf(json,
                   "{\"type\":\"fixed\",\"name\":\"uuid_%d\",\"size\":16,\"logicalType\":\"uuid\"}",
                   field_id);
        break;
    case ICE_FIXED:
        buf_printf(json, "{\"type\":\"fixed\",\"name\":\"fixed_%d\",\"size\":%d}", field_id,
                   type->length);
        break;
    default: buf_printf(json, "\"%s\"", plain[type->type]); break;
    }
}

static void put_partition(struct buf *json, const struct ice_partition_spec *spec,
                          const struct ice_field *types)
{
    buf_puts(json, ",{\"name\":\"partition\",\"type\":{\"type\":\"record\",\"name\":\"r102\","
                   "\"fields\":[");
    for (size_t i = 0; i < spec->count; i++) {
        buf_printf(json, "%s{\"name\":\"", i ? "," : "");
        bool same = put_avro_name(json, spec->fields[i].name);
        buf_puts(json, "\",\"type\":[\"null\",");
        put_partition_type(json, &types[i], spec->fields[i].field_id);
        buf_printf(json, "],\"default\":null,\"field-id\":%d", spec->fields[i].field_id);
        if (!same) {
            buf_puts(json, ",\"iceberg-field-name\":");
            text_put_json(json, str_of(spec->fields[i].name));
        }
        buf_putc(json, '}');
    }
    buf_puts(json, "]},\"field-id\":102}");
}

static void put_schema(struct buf *json, const struct ice_partition_spec *spec,
                       const struct ice_field *types)
{
    buf_puts(json, "{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":[");
    ice_avro_put_columns(json, entry_columns, ARRAY_LEN(entry_columns), false);
    buf_puts(json, ",{\"name\":\"data_file\",\"type\":{\"type\":\"record\",\"name\":\"r2\","
                   "\"fields\":[");
    ice_avro_put_columns(json, file_columns, BEFORE_PARTITION, false);
    put_partition(json, spec, types);
    ice_avro_put_columns(json, file_columns + BEFORE_PARTITION,
                         ARRAY_LEN(file_columns) - BEFORE_PARTITION, true);
    buf_puts(json, "]},\"field-id\":2}]}");
}

/* ---- entries ---- */

static void set_id(avro_value_t *record, const char *name, int64_t id)
{
    if (id < 0) {
        ice_avro_none(record, name);
    } else {
        ice_avro_set_long(ice_avro_some(record, name), id);
    }
}

/* One of the maps by column; a NULL map where no column has anything to say. */
static void set_counts(avro_value_t *file, const char *name, const struct ice_data_file *data,
                       size_t offset)
{
    avro_value_t map;
    bool any = false;
    for (size_t i = 0; i < data->column_count; i++) {
        int64_t count;
        memcpy(&count, (const char *)&data->columns[i] + offset, sizeof count);
        if (count < 0) {
            continue;
        }
        if (!any) {
            map = ice_avro_some(file, name);
            any = true;
        }
        avro_value_t pair = ice_avro_append(&map);
        ice_avro_set_long(ice_avro_get(&pair, "key"), data->columns[i].field_id);
        ice_avro_set_long(ice_avro_get(&pair, "value"), count);
    }
    if (!any) {
        ice_avro_none(file, name);
    }
}

static void set_bounds(avro_value_t *file, const char *name, const struct ice_data_file *data,
                       bool upper)
{
    avro_value_t map;
    bool any = false;
    for (size_t i = 0; i < data->column_count; i++) {
        const struct ice_column_stats *column = &data->columns[i];
        struct str bound = upper ? column->upper : column->lower;
        if (!column->has_bounds || !bound.ptr) {
            continue;
        }
        if (!any) {
            map = ice_avro_some(file, name);
            any = true;
        }
        avro_value_t pair = ice_avro_append(&map);
        ice_avro_set_long(ice_avro_get(&pair, "key"), column->field_id);
        ice_avro_set_bytes(ice_avro_get(&pair, "value"), bound);
    }
    if (!any) {
        ice_avro_none(file, name);
    }
}

/* Sign-extended to the width of the fixed. */
static void set_decimal(avro_value_t value, const struct ice_field *type, struct str bytes)
{
    char wide[32];
    size_t size = (size_t)decimal_bytes(type->precision);
    while (bytes.len > size) { /* leading bytes that only repeat the sign */
        bytes.ptr++;
        bytes.len--;
    }
    memset(wide, bytes.len && (bytes.ptr[0] & 0x80) ? 0xFF : 0, sizeof wide);
    if (bytes.len) {
        memcpy(wide + size - bytes.len, bytes.ptr, bytes.len);
    }
    KOL_ASSERT(avro_value_set_fixed(&value, wide, size) == 0);
}

static void set_partition_value(avro_value_t value, const struct ice_field *type,
                                const struct ice_value *partition)
{
    switch (type->type) {
    case ICE_BOOLEAN: KOL_ASSERT(avro_value_set_boolean(&value, partition->boolean) == 0); break;
    case ICE_FLOAT: KOL_ASSERT(avro_value_set_float(&value, (float)partition->real) == 0); break;
    case ICE_DOUBLE: KOL_ASSERT(avro_value_set_double(&value, partition->real) == 0); break;
    case ICE_STRING: ice_avro_set_text(value, partition->bytes); break;
    case ICE_BINARY: ice_avro_set_bytes(value, partition->bytes); break;
    case ICE_DECIMAL: set_decimal(value, type, partition->bytes); break;
    case ICE_UUID:
    case ICE_FIXED:
        KOL_ASSERT(avro_value_set_fixed(&value, (void *)(uintptr_t)partition->bytes.ptr,
                                        partition->bytes.len) == 0);
        break;
    default: ice_avro_set_long(value, partition->integer); break;
    }
}

static void set_file(avro_value_t *file, const struct ice_data_file *data,
                     const struct ice_field *types)
{
    ice_avro_set_long(ice_avro_get(file, "content"), 0);
    ice_avro_set_text(ice_avro_get(file, "file_path"), str_of(data->path));
    ice_avro_set_text(ice_avro_get(file, "file_format"), STR("PARQUET"));
    avro_value_t partition = ice_avro_get(file, "partition");
    for (size_t i = 0; i < data->partition_count; i++) {
        avro_value_t field;
        KOL_ASSERT(avro_value_get_by_index(&partition, i, &field, NULL) == 0);
        avro_value_t value = ice_avro_branch(&field, data->partition[i].known);
        if (data->partition[i].known) {
            set_partition_value(value, &types[i], &data->partition[i]);
        }
    }
    ice_avro_set_long(ice_avro_get(file, "record_count"), data->rows);
    ice_avro_set_long(ice_avro_get(file, "file_size_in_bytes"), data->bytes);
    set_counts(file, "column_sizes", data, offsetof(struct ice_column_stats, size));
    set_counts(file, "value_counts", data, offsetof(struct ice_column_stats, values));
    set_counts(file, "null_value_counts", data, offsetof(struct ice_column_stats, nulls));
    set_counts(file, "nan_value_counts", data, offsetof(struct ice_column_stats, nans));
    set_bounds(file, "lower_bounds", data, false);
    set_bounds(file, "upper_bounds", data, true);
    ice_avro_none(file, "key_metadata");
    ice_avro_none(file, "equality_ids");
    if (data->split_count) {
        avro_value_t offsets = ice_avro_some(file, "split_offsets");
        for (size_t i = 0; i < data->split_count; i++) {
            ice_avro_set_long(ice_avro_append(&offsets), data->split_offsets[i]);
        }
    } else {
        ice_avro_none(file, "split_offsets");
    }
    ice_avro_set_long(ice_avro_some(file, "sort_order_id"), data->sort_order_id);
}

static void write_entry(struct ice_avro_writer *writer, const struct ice_entry *entry,
                        const struct ice_field *types)
{
    avro_value_t *record = ice_avro_record(writer);
    ice_avro_set_long(ice_avro_get(record, "status"), entry->status);
    set_id(record, "snapshot_id", entry->snapshot_id);
    set_id(record, "sequence_number", entry->sequence_number);
    set_id(record, "file_sequence_number", entry->file_sequence_number);
    avro_value_t file = ice_avro_get(record, "data_file");
    set_file(&file, &entry->file, types);
    ice_avro_put(writer);
}

/* ---- what the manifest list says of them ---- */

static void count_entry(struct ice_manifest *manifest, const struct ice_entry *entry)
{
    int64_t rows = entry->file.rows;
    switch (entry->status) {
    case ICE_EXISTING:
        manifest->existing_files++;
        manifest->existing_rows += rows;
        break;
    case ICE_ADDED:
        manifest->added_files++;
        manifest->added_rows += rows;
        break;
    case ICE_DELETED:
        manifest->deleted_files++;
        manifest->deleted_rows += rows;
        return;
    }
    int64_t sequence = entry->sequence_number;
    if (sequence >= 0 &&
        (manifest->min_sequence_number < 0 || sequence < manifest->min_sequence_number)) {
        manifest->min_sequence_number = sequence;
    }
}

static bool is_nan(const struct ice_field *type, const struct ice_value *value)
{
    return (type->type == ICE_FLOAT || type->type == ICE_DOUBLE) && isnan(value->real);
}

static void summarize(const struct ice_field *type, const struct ice_entry *entries, size_t count,
                      size_t field, struct arena *arena, struct ice_field_summary *out)
{
    const struct ice_value *least = NULL, *greatest = NULL;
    *out = (struct ice_field_summary){0};
    for (size_t i = 0; i < count; i++) {
        const struct ice_value *value = &entries[i].file.partition[field];
        if (!value->known) {
            out->contains_null = true;
        } else if (is_nan(type, value)) {
            out->contains_nan = true;
        } else {
            least = !least || ice_value_compare(type, value, least) < 0 ? value : least;
            greatest = !greatest || ice_value_compare(type, value, greatest) > 0 ? value : greatest;
        }
    }
    if (least) {
        struct buf bytes = {0};
        ice_value_write(&bytes, type, least);
        out->lower = arena_copy(arena, buf_str(&bytes));
        buf_clear(&bytes);
        ice_value_write(&bytes, type, greatest);
        out->upper = arena_copy(arena, buf_str(&bytes));
        buf_free(&bytes);
        out->has_bounds = true;
    }
}

static void describe(const struct ice_partition_spec *spec, const struct ice_field *types,
                     const struct ice_entry *entries, size_t count, struct arena *arena,
                     struct ice_manifest *manifest)
{
    manifest->deletes = false;
    manifest->sequence_number = -1;
    manifest->min_sequence_number = -1;
    manifest->added_files = manifest->existing_files = manifest->deleted_files = 0;
    manifest->added_rows = manifest->existing_rows = manifest->deleted_rows = 0;
    for (size_t i = 0; i < count; i++) {
        count_entry(manifest, &entries[i]);
    }
    manifest->partition_count = spec->count;
    manifest->partitions = arena_alloc(arena, spec->count * sizeof *manifest->partitions);
    for (size_t i = 0; i < spec->count; i++) {
        summarize(&types[i], entries, count, i, arena, &manifest->partitions[i]);
    }
}

/* ---- the whole ---- */

static enum kol_status partition_types(const struct ice_schema *schema,
                                       const struct ice_partition_spec *spec, struct arena *arena,
                                       struct ice_field **out, struct kol_error *err)
{
    *out = arena_alloc(arena, spec->count * sizeof **out);
    for (size_t i = 0; i < spec->count; i++) {
        bool known = ice_partition_type(schema, &spec->fields[i], &(*out)[i]);
        /* A field that was taken out of the spec is null for ever: its column may be gone. */
        if (!known && spec->fields[i].transform == ICE_VOID) {
            (*out)[i] = (struct ice_field){.type = ICE_STRING};
        } else if (!known) {
            return kol_fail(err, KOL_UNSUPPORTED,
                            "partition field \"%s\" is made of column %d, which the schema has not",
                            spec->fields[i].name, spec->fields[i].source_id);
        }
    }
    return KOL_OK;
}

/* What does not fit into `size` bytes only repeats the sign. */
static bool decimal_fits(struct str bytes, size_t size)
{
    while (bytes.len > size) {
        bool negative = bytes.ptr[1] & 0x80;
        if ((unsigned char)bytes.ptr[0] != (negative ? 0xFF : 0)) {
            return false;
        }
        bytes.ptr++;
        bytes.len--;
    }
    return bytes.len > 0;
}

static bool fits(const struct ice_field *type, const struct ice_value *value)
{
    switch (type->type) {
    case ICE_INT:
    case ICE_DATE: return value->integer >= INT32_MIN && value->integer <= INT32_MAX;
    case ICE_UUID: return value->bytes.len == 16;
    case ICE_FIXED: return value->bytes.len == (size_t)type->length;
    case ICE_DECIMAL: return decimal_fits(value->bytes, (size_t)decimal_bytes(type->precision));
    default: return true;
    }
}

static enum kol_status check_entries(const struct ice_partition_spec *spec,
                                     const struct ice_field *types, const struct ice_entry *entries,
                                     size_t count, struct kol_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct ice_data_file *file = &entries[i].file;
        if (file->partition_count != spec->count) {
            return kol_fail(err, KOL_INVALID, "%s has %zu partition values, its spec %zu",
                            file->path, file->partition_count, spec->count);
        }
        for (size_t f = 0; f < spec->count; f++) {
            if (file->partition[f].known && !fits(&types[f], &file->partition[f])) {
                return kol_fail(err, KOL_INVALID, "partition \"%s\" of %s does not fit its type",
                                spec->fields[f].name, file->path);
            }
        }
    }
    return KOL_OK;
}

static enum kol_status write_file(const struct ice_schema *schema,
                                  const struct ice_partition_spec *spec,
                                  const struct ice_field *types, const struct ice_entry *entries,
                                  size_t count, struct buf *out, struct kol_error *err)
{
    struct buf avro = {0}, table = {0}, fields = {0}, schema_id = {0}, spec_id = {0};
    put_schema(&avro, spec, types);
    ice_schema_write(&table, schema);
    ice_spec_fields_write(&fields, spec);
    buf_put_int64(&schema_id, schema->schema_id);
    buf_put_int64(&spec_id, spec->spec_id);
    const struct ice_avro_pair pairs[] = {
        {"schema", buf_str(&table)},          {"schema-id", buf_str(&schema_id)},
        {"partition-spec", buf_str(&fields)}, {"partition-spec-id", buf_str(&spec_id)},
        {"format-version", STR("2")},         {"content", STR("data")},
    };
    struct ice_avro_writer *writer = NULL;
    enum kol_status status =
        ice_avro_create(buf_str(&avro), pairs, ARRAY_LEN(pairs), out, &writer, err);
    for (size_t i = 0; !status && i < count; i++) {
        write_entry(writer, &entries[i], types);
    }
    if (!status) {
        ice_avro_finish(&writer);
    }
    buf_free(&avro);
    buf_free(&table);
    buf_free(&fields);
    buf_free(&schema_id);
    buf_free(&spec_id);
    return status;
}

enum kol_status ice_manifest_write(const struct ice_schema *schema,
                                   const struct ice_partition_spec *spec,
                                   const struct ice_entry *entries, size_t count,
                                   struct arena *arena, struct ice_manifest *manifest,
                                   struct buf *out, struct kol_error *err)
{
    struct ice_field *types = NULL;
    size_t start = out->len;
    enum kol_status status = partition_types(schema, spec, arena, &types, err);
    status = status ? status : check_entries(spec, types, entries, count, err);
    status = status ? status : write_file(schema, spec, types, entries, count, out, err);
    if (!status) {
        describe(spec, types, entries, count, arena, manifest);
        manifest->length = (int64_t)(out->len - start);
    }
    return status;
}
