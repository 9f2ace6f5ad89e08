/*
 * schema_json.c: schemas and partition specs as the JSON of the Iceberg spec (appendix C), which
 * stands both in a table's metadata and in the header of every manifest.
 *
 * Reading takes nothing for granted: ids are in range and given once, nesting and the number of
 * columns are bounded, and what only format version 3 has is refused by name.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "iceberg/metadata.h"
#include "iceberg/schema.h"

/* ---- writing ---- */

static void put_type(struct buf *out, const struct ice_field *field);

static void put_fields(struct buf *out, const struct ice_field *fields, size_t count)
{
    buf_puts(out, "\"fields\":[");
    for (size_t i = 0; i < count; i++) {
        const struct ice_field *field = &fields[i];
        buf_printf(out, "%s{\"id\":%d,\"name\":", i ? "," : "", field->id);
        text_put_json(out, str_of(field->name));
        buf_printf(out, ",\"required\":%s,\"type\":", field->required ? "true" : "false");
        put_type(out, field);
        if (field->doc) {
            buf_puts(out, ",\"doc\":");
            text_put_json(out, str_of(field->doc));
        }
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

/* "element-id":5,"element":...,"element-required":false */
static void put_part(struct buf *out, const char *part, const struct ice_field *field,
                     bool may_be_null)
{
    buf_printf(out, ",\"%s-id\":%d,\"%s\":", part, field->id, part);
    put_type(out, field);
    if (may_be_null) {
        buf_printf(out, ",\"%s-required\":%s", part, field->required ? "true" : "false");
    }
}

static void put_type(struct buf *out, const struct ice_field *field)
{
    switch (field->type) {
    case ICE_LIST:
        buf_puts(out, "{\"type\":\"list\"");
        put_part(out, "element", &field->children[0], true);
        break;
    case ICE_MAP:
        buf_puts(out, "{\"type\":\"map\"");
        put_part(out, "key", &field->children[0], false);
        put_part(out, "value", &field->children[1], true);
        break;
    case ICE_STRUCT:
        buf_puts(out, "{\"type\":\"struct\",");
        put_fields(out, field->children, field->child_count);
        break;
    default:
        buf_putc(out, '"');
        ice_type_write(out, field);
        buf_putc(out, '"');
        return;
    }
    buf_putc(out, '}');
}

void ice_schema_write(struct buf *out, const struct ice_schema *schema)
{
    buf_printf(out, "{\"type\":\"struct\",\"schema-id\":%d,", schema->schema_id);
    if (schema->identifier_count) {
        buf_puts(out, "\"identifier-field-ids\":[");
        for (size_t i = 0; i < schema->identifier_count; i++) {
            buf_printf(out, "%s%d", i ? "," : "", schema->identifiers[i]);
        }
        buf_puts(out, "],");
    }
    put_fields(out, schema->fields, schema->count);
    buf_putc(out, '}');
}

void ice_spec_fields_write(struct buf *out, const struct ice_partition_spec *spec)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < spec->count; i++) {
        const struct ice_partition_field *field = &spec->fields[i];
        buf_printf(out, "%s{\"source-id\":%d,\"field-id\":%d,\"name\":", i ? "," : "",
                   field->source_id, field->field_id);
        text_put_json(out, str_of(field->name));
        buf_puts(out, ",\"transform\":\"");
        ice_transform_write(out, field->transform, field->param);
        buf_puts(out, "\"}");
    }
    buf_putc(out, ']');
}

void ice_spec_write(struct buf *out, const struct ice_partition_spec *spec)
{
    buf_printf(out, "{\"spec-id\":%d,\"fields\":", spec->spec_id);
    ice_spec_fields_write(out, spec);
    buf_putc(out, '}');
}

/* ---- reading ---- */

struct reader {
    struct arena *arena;
    struct kol_error *err;
    int32_t ids[ICE_MAX_COLUMNS]; /* given so far, at every depth */
    size_t columns;
};

/* A number of 0 to 2^31 - 1 under `key`. */
static enum kol_status read_int32(const json_t *object, const char *key, int32_t *out,
                                  struct kol_error *err)
{
    const json_t *json = json_object_get(object, key);
    if (!json_is_integer(json) || json_integer_value(json) < 0 ||
        json_integer_value(json) > INT32_MAX) {
        return kol_fail(err, KOL_CORRUPT, "\"%s\" should be a number from 0 to 2147483647", key);
    }
    *out = (int32_t)json_integer_value(json);
    return KOL_OK;
}

static enum kol_status read_name(const json_t *object, struct arena *arena, const char **out,
                                 struct kol_error *err)
{
    const json_t *json = json_object_get(object, "name");
    if (!json_is_string(json)) {
        return kol_fail(err, KOL_CORRUPT, "\"name\" should be a text");
    }
    *out = arena_copy(arena, str_of(json_string_value(json))).ptr;
    return KOL_OK;
}

static enum kol_status read_type(struct reader *reader, const json_t *json, int depth,
                                 struct ice_field *field);

static enum kol_status new_id(struct reader *reader, int32_t id)
{
    if (reader->columns == ICE_MAX_COLUMNS) {
        return kol_fail(reader->err, KOL_UNSUPPORTED, "a schema of more than %d columns",
                        ICE_MAX_COLUMNS);
    }
    reader->ids[reader->columns++] = id;
    return KOL_OK;
}

static enum kol_status read_field(struct reader *reader, const json_t *json, int depth,
                                  struct ice_field *field)
{
    struct kol_error *err = reader->err;
    if (json_is_object(json_object_get(json, "initial-default")) ||
        json_is_string(json_object_get(json, "initial-default")) ||
        json_is_number(json_object_get(json, "initial-default")) ||
        json_is_boolean(json_object_get(json, "initial-default"))) {
        return kol_fail(err, KOL_UNSUPPORTED, "default values of columns (format version 3)");
    }
    const json_t *required = json_object_get(json, "required");
    const json_t *doc = json_object_get(json, "doc");
    if (!json_is_boolean(required)) {
        return kol_fail(err, KOL_CORRUPT, "\"required\" should be true or false");
    }
    field->required = json_is_true(required);
    field->doc =
        json_is_string(doc) ? arena_copy(reader->arena, str_of(json_string_value(doc))).ptr : NULL;
    enum kol_status status = read_int32(json, "id", &field->id, err);
    status = status ? status : new_id(reader, field->id);
    status = status ? status : read_name(json, reader->arena, &field->name, err);
    return status ? status : read_type(reader, json_object_get(json, "type"), depth, field);
}

static enum kol_status read_fields(struct reader *reader, const json_t *json, int depth,
                                   struct ice_field **out, size_t *count)
{
    const json_t *array = json_object_get(json, "fields");
    if (!json_is_array(array)) {
        return kol_fail(reader->err, KOL_CORRUPT, "\"fields\" should be an array");
    }
    size_t total = json_array_size(array);
    if (total > ICE_MAX_COLUMNS) {
        return kol_fail(reader->err, KOL_UNSUPPORTED, "a schema of more than %d columns",
                        ICE_MAX_COLUMNS);
    }
    struct ice_field *fields = arena_alloc(reader->arena, total * sizeof *fields);
    for (size_t i = 0; i < total; i++) {
        fields[i] = (struct ice_field){0};
        enum kol_status status = read_field(reader, json_array_get(array, i), depth, &fields[i]);
        if (status) {
            kol_wrap(reader->err, "fields[%zu]", i);
            return status;
        }
    }
    *out = fields;
    *count = total;
    return KOL_OK;
}

/* The element of a list, the key or the value of a map. */
static enum kol_status read_part(struct reader *reader, const json_t *json, const char *part,
                                 int depth, struct ice_field *field)
{
    char id_key[16], required_key[24];
    snprintf(id_key, sizeof id_key, "%s-id", part);
    snprintf(required_key, sizeof required_key, "%s-required", part);
    *field = (struct ice_field){.name = part};
    const json_t *required = json_object_get(json, required_key);
    bool is_key = str_is(str_of(part), "key");
    if (!is_key && !json_is_boolean(required)) {
        return kol_fail(reader->err, KOL_CORRUPT, "\"%s\" should be true or false", required_key);
    }
    field->required = is_key || json_is_true(required);
    enum kol_status status = read_int32(json, id_key, &field->id, reader->err);
    status = status ? status : new_id(reader, field->id);
    status = status ? status : read_type(reader, json_object_get(json, part), depth, field);
    if (status) {
        kol_wrap(reader->err, "%s", part);
    }
    return status;
}

static enum kol_status read_parts(struct reader *reader, const json_t *json, int depth,
                                  struct ice_field *field)
{
    bool is_map = field->type == ICE_MAP;
    field->child_count = is_map ? 2 : 1;
    field->children = arena_alloc(reader->arena, field->child_count * sizeof *field->children);
    if (!is_map) {
        return read_part(reader, json, "element", depth, &field->children[0]);
    }
    enum kol_status status = read_part(reader, json, "key", depth, &field->children[0]);
    return status ? status : read_part(reader, json, "value", depth, &field->children[1]);
}

static enum kol_status read_type(struct reader *reader, const json_t *json, int depth,
                                 struct ice_field *field)
{
    if (json_is_string(json)) {
        enum kol_status status = ice_type_read(str_of(json_string_value(json)), field, reader->err);
        return status == KOL_INVALID ? KOL_CORRUPT : status;
    }
    if (depth >= ICE_MAX_NESTING) {
        return kol_fail(reader->err, KOL_UNSUPPORTED, "types nested deeper than %d",
                        ICE_MAX_NESTING);
    }
    struct str word = str_of(json_string_value(json_object_get(json, "type")));
    if (str_is(word, "struct")) {
        field->type = ICE_STRUCT;
        return read_fields(reader, json, depth + 1, &field->children, &field->child_count);
    }
    if (!str_is(word, "list") && !str_is(word, "map")) {
        return kol_fail(reader->err, KOL_CORRUPT,
                        "\"type\" should be a text, or an object of type struct, list or map");
    }
    field->type = str_is(word, "list") ? ICE_LIST : ICE_MAP;
    return read_parts(reader, json, depth + 1, field);
}

static int compare_ids(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static enum kol_status check_ids(struct reader *reader)
{
    qsort(reader->ids, reader->columns, sizeof *reader->ids, compare_ids);
    for (size_t i = 1; i < reader->columns; i++) {
        if (reader->ids[i] == reader->ids[i - 1]) {
            return kol_fail(reader->err, KOL_CORRUPT, "two columns have the id %d", reader->ids[i]);
        }
    }
    return KOL_OK;
}

static enum kol_status read_identifiers(struct reader *reader, const json_t *json,
                                        struct ice_schema *out)
{
    const json_t *array = json_object_get(json, "identifier-field-ids");
    size_t count = json_array_size(array); /* 0 where there is none */
    if (count > reader->columns) {
        return kol_fail(reader->err, KOL_CORRUPT, "more identifier fields than columns");
    }
    out->identifiers = arena_alloc(reader->arena, count * sizeof *out->identifiers);
    for (size_t i = 0; i < count; i++) {
        json_int_t id = json_integer_value(json_array_get(array, i));
        if (id < 0 || id > INT32_MAX) {
            return kol_fail(reader->err, KOL_CORRUPT,
                            "identifier-field-ids[%zu] should be the id of a column", i);
        }
        out->identifiers[i] = (int32_t)id;
    }
    out->identifier_count = count;
    return KOL_OK;
}

enum kol_status ice_schema_read(const struct json_t *json, struct arena *arena,
                                struct ice_schema *out, struct kol_error *err)
{
    *out = (struct ice_schema){0};
    if (!json_is_object(json)) {
        return kol_fail(err, KOL_CORRUPT, "a schema should be a JSON object");
    }
    if (json_object_get(json, "schema-id")) { /* a table of version 1 may leave it out */
        enum kol_status status = read_int32(json, "schema-id", &out->schema_id, err);
        if (status) {
            return status;
        }
    }
    struct reader *reader = mem_alloc(sizeof *reader);
    reader->arena = arena;
    reader->err = err;
    reader->columns = 0;
    enum kol_status status = read_fields(reader, json, 0, &out->fields, &out->count);
    status = status ? status : check_ids(reader);
    status = status ? status : read_identifiers(reader, json, out);
    free(reader);
    return status;
}

static enum kol_status read_spec_field(const json_t *json, size_t place, struct arena *arena,
                                       struct ice_partition_field *field, struct kol_error *err)
{
    if (json_object_get(json, "source-ids")) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "partition fields of several columns (format version 3)");
    }
    /* Version 1 counted them by place. */
    field->field_id = 1000 + (int32_t)place;
    enum kol_status status = read_int32(json, "source-id", &field->source_id, err);
    if (!status && json_object_get(json, "field-id")) {
        status = read_int32(json, "field-id", &field->field_id, err);
    }
    status = status ? status : read_name(json, arena, &field->name, err);
    if (status) {
        return status;
    }
    const char *transform = json_string_value(json_object_get(json, "transform"));
    if (!transform) {
        return kol_fail(err, KOL_CORRUPT, "\"transform\" should be a text");
    }
    status = ice_transform_read(str_of(transform), &field->transform, &field->param, err);
    return status == KOL_INVALID ? KOL_CORRUPT : status;
}

enum kol_status ice_spec_read(const struct json_t *json, struct arena *arena,
                              struct ice_partition_spec *out, struct kol_error *err)
{
    *out = (struct ice_partition_spec){0};
    const json_t *fields = json_is_array(json) ? json : json_object_get(json, "fields");
    if (!json_is_array(fields) || json_array_size(fields) > ICE_MAX_COLUMNS) {
        return kol_fail(err, KOL_CORRUPT, "a partition spec should have an array of \"fields\"");
    }
    if (json_is_object(json)) {
        enum kol_status status = read_int32(json, "spec-id", &out->spec_id, err);
        if (status) {
            return status;
        }
    }
    out->count = json_array_size(fields);
    out->fields = arena_alloc(arena, out->count * sizeof *out->fields);
    for (size_t i = 0; i < out->count; i++) {
        out->fields[i] = (struct ice_partition_field){0};
        enum kol_status status =
            read_spec_field(json_array_get(fields, i), i, arena, &out->fields[i], err);
        if (status) {
            kol_wrap(err, "fields[%zu]", i);
            return status;
        }
    }
    return KOL_OK;
}
