/*
 * schema.c: types by name, columns by id, and which change of a type the format allows.
 */
#include "iceberg/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "iceberg/parts.h"

static const struct {
    enum ice_type type;
    const char *name;
} type_names[] = {
    {ICE_BOOLEAN, "boolean"},
    {ICE_INT, "int"},
    {ICE_LONG, "long"},
    {ICE_FLOAT, "float"},
    {ICE_DOUBLE, "double"},
    {ICE_DATE, "date"},
    {ICE_TIME, "time"},
    {ICE_TIMESTAMP, "timestamp"},
    {ICE_TIMESTAMPTZ, "timestamptz"},
    {ICE_STRING, "string"},
    {ICE_UUID, "uuid"},
    {ICE_BINARY, "binary"},
};

/* Types of format version 3, by their first letters. */
static const char *const later_types[] = {"timestamp_ns", "timestamptz_ns", "unknown",
                                          "variant",      "geometry",       "geography"};

enum { MAX_PRECISION = 38, MAX_FIXED = 1 << 20 };

/* The numbers of "word(1, 2)" or "word[1]": how many there are, at most two; -1 for anything else.
 */
static int read_arguments(struct str text, const char *word, char open, char close, int64_t out[2])
{
    size_t len = strlen(word);
    if (text.len < len + 3 || memcmp(text.ptr, word, len) != 0 || text.ptr[len] != open ||
        text.ptr[text.len - 1] != close) {
        return -1;
    }
    struct str rest = {text.ptr + len + 1, text.len - len - 2};
    int count = 0;
    while (rest.ptr) {
        if (count == 2 || !str_to_int64(str_trim(str_cut(&rest, ',')), &out[count])) {
            return -1;
        }
        count++;
    }
    return count;
}

static bool read_decimal(struct str text, struct ice_field *field)
{
    int64_t numbers[2];
    if (read_arguments(text, "decimal", '(', ')', numbers) != 2 || numbers[0] < 1 ||
        numbers[0] > MAX_PRECISION || numbers[1] < 0 || numbers[1] > numbers[0]) {
        return false;
    }
    field->type = ICE_DECIMAL;
    field->precision = (int32_t)numbers[0];
    field->scale = (int32_t)numbers[1];
    return true;
}

static bool read_fixed(struct str text, struct ice_field *field)
{
    int64_t numbers[2];
    if (read_arguments(text, "fixed", '[', ']', numbers) != 1 || numbers[0] < 1 ||
        numbers[0] > MAX_FIXED) {
        return false;
    }
    field->type = ICE_FIXED;
    field->length = (int32_t)numbers[0];
    return true;
}

enum kol_status ice_type_read(struct str text, struct ice_field *field, struct kol_error *err)
{
    field->precision = field->scale = field->length = 0;
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
        if (str_is(text, type_names[i].name)) {
            field->type = type_names[i].type;
            return KOL_OK;
        }
    }
    if (read_decimal(text, field) || read_fixed(text, field)) {
        return KOL_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(later_types); i++) {
        if (str_starts(text, str_of(later_types[i]))) {
            return kol_fail(err, KOL_UNSUPPORTED, "type '%.*s' is of Iceberg version 3",
                            STR_FORMAT(text));
        }
    }
    struct str shown = {text.ptr, text.len < 60 ? text.len : 60};
    return kol_fail(err, KOL_INVALID, "'%.*s' is no Iceberg type", STR_FORMAT(shown));
}

void ice_type_write(struct buf *out, const struct ice_field *field)
{
    if (field->type == ICE_DECIMAL) {
        buf_printf(out, "decimal(%d, %d)", field->precision, field->scale);
        return;
    }
    if (field->type == ICE_FIXED) {
        buf_printf(out, "fixed[%d]", field->length);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
        if (type_names[i].type == field->type) {
            buf_puts(out, type_names[i].name);
            return;
        }
    }
    kol_panic("type %d is not primitive", (int)field->type);
}

bool ice_type_is_nested(enum ice_type type)
{
    return type == ICE_LIST || type == ICE_MAP || type == ICE_STRUCT;
}

bool ice_type_equal(const struct ice_field *a, const struct ice_field *b)
{
    return a->type == b->type && (a->type != ICE_FIXED || a->length == b->length) &&
           (a->type != ICE_DECIMAL || (a->precision == b->precision && a->scale == b->scale));
}

bool ice_type_may_become(const struct ice_field *from, const struct ice_field *to)
{
    return ice_type_equal(from, to) || (from->type == ICE_INT && to->type == ICE_LONG) ||
           (from->type == ICE_FLOAT && to->type == ICE_DOUBLE) ||
           (from->type == ICE_DECIMAL && to->type == ICE_DECIMAL && from->scale == to->scale &&
            from->precision <= to->precision);
}

static const struct ice_field *find_by_id(const struct ice_field *fields, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].id == id) {
            return &fields[i];
        }
        const struct ice_field *found = find_by_id(fields[i].children, fields[i].child_count, id);
        if (found) {
            return found;
        }
    }
    return NULL;
}

const struct ice_field *ice_field_by_id(const struct ice_schema *schema, int32_t id)
{
    return find_by_id(schema->fields, schema->count, id);
}

const struct ice_field *ice_field_by_name(const struct ice_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) {
            return &schema->fields[i];
        }
    }
    return NULL;
}

static int32_t highest_id(const struct ice_field *fields, size_t count)
{
    int32_t highest = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t below = highest_id(fields[i].children, fields[i].child_count);
        int32_t id = fields[i].id > below ? fields[i].id : below;
        highest = id > highest ? id : highest;
    }
    return highest;
}

int32_t ice_schema_highest_id(const struct ice_schema *schema)
{
    return highest_id(schema->fields, schema->count);
}

/* ---- copies ---- */

void *ice_copy(struct arena *arena, const void *bytes, size_t len)
{
    void *copy = arena_alloc(arena, len ? len : 1);
    if (len) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

const char *ice_copy_text(struct arena *arena, const char *text)
{
    return text ? arena_copy(arena, str_of(text)).ptr : NULL;
}

static struct ice_field *copy_fields(struct arena *arena, const struct ice_field *fields,
                                     size_t count)
{
    struct ice_field *copy = ice_copy(arena, fields, count * sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        copy[i].name = ice_copy_text(arena, fields[i].name);
        copy[i].doc = ice_copy_text(arena, fields[i].doc);
        copy[i].children = copy_fields(arena, fields[i].children, fields[i].child_count);
    }
    return copy;
}

struct ice_schema ice_schema_copy(struct arena *arena, const struct ice_schema *schema)
{
    struct ice_schema copy = *schema;
    copy.fields = copy_fields(arena, schema->fields, schema->count);
    copy.identifiers = ice_copy(arena, schema->identifiers,
                                schema->identifier_count * sizeof *schema->identifiers);
    copy.name_mapping = ice_copy_text(arena, schema->name_mapping);
    return copy;
}

struct ice_partition_spec ice_spec_copy(struct arena *arena, const struct ice_partition_spec *spec)
{
    struct ice_partition_spec copy = *spec;
    copy.fields = ice_copy(arena, spec->fields, spec->count * sizeof *spec->fields);
    for (size_t i = 0; i < spec->count; i++) {
        copy.fields[i].name = ice_copy_text(arena, spec->fields[i].name);
    }
    return copy;
}

struct ice_sort_order ice_order_copy(struct arena *arena, const struct ice_sort_order *order)
{
    struct ice_sort_order copy = *order;
    copy.fields = ice_copy(arena, order->fields, order->count * sizeof *order->fields);
    return copy;
}

struct ice_pair *ice_pairs_copy(struct arena *arena, const struct ice_pair *pairs, size_t count)
{
    struct ice_pair *copy = arena_alloc(arena, (count ? count : 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i].key = ice_copy_text(arena, pairs[i].key);
        copy[i].value = ice_copy_text(arena, pairs[i].value);
    }
    return copy;
}
