/*
 * duckdb_value.c: DuckDB's types in the words of the table format, and any value as text.
 *
 * Text here is what people and scripts read: times in RFC 3339, decimals to the last digit, reals
 * in the shortest form that reads back, nested values as JSON.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/duckdb_engine.h"

/* ---- types ---- */

/* Types that hold one value, and how the table format holds it; `exact`: it loses nothing. */
static const struct {
    duckdb_type type;
    enum ice_type as;
    int precision; /* of a decimal */
    bool exact;
} plain[] = {
    {DUCKDB_TYPE_BOOLEAN, ICE_BOOLEAN, 0, true},
    {DUCKDB_TYPE_TINYINT, ICE_INT, 0, true},
    {DUCKDB_TYPE_SMALLINT, ICE_INT, 0, true},
    {DUCKDB_TYPE_INTEGER, ICE_INT, 0, true},
    {DUCKDB_TYPE_UTINYINT, ICE_INT, 0, true},
    {DUCKDB_TYPE_USMALLINT, ICE_INT, 0, true},
    {DUCKDB_TYPE_UINTEGER, ICE_LONG, 0, true},
    {DUCKDB_TYPE_BIGINT, ICE_LONG, 0, true},
    {DUCKDB_TYPE_FLOAT, ICE_FLOAT, 0, true},
    {DUCKDB_TYPE_DOUBLE, ICE_DOUBLE, 0, true},
    {DUCKDB_TYPE_DATE, ICE_DATE, 0, true},
    {DUCKDB_TYPE_TIME, ICE_TIME, 0, true},
    {DUCKDB_TYPE_TIMESTAMP, ICE_TIMESTAMP, 0, true},
    {DUCKDB_TYPE_TIMESTAMP_TZ, ICE_TIMESTAMPTZ, 0, true},
    {DUCKDB_TYPE_VARCHAR, ICE_STRING, 0, true},
    {DUCKDB_TYPE_BLOB, ICE_BINARY, 0, true},
    {DUCKDB_TYPE_UUID, ICE_UUID, 0, true},
    /* A sum of BIGINT is a HUGEINT: a number for whoever shows it, though not every one fits. */
    {DUCKDB_TYPE_UBIGINT, ICE_DECIMAL, 20, false},
    {DUCKDB_TYPE_HUGEINT, ICE_DECIMAL, 38, false},
    {DUCKDB_TYPE_UHUGEINT, ICE_DECIMAL, 38, false},
};

static struct ice_field *one_child(struct arena *arena, duckdb_logical_type type, const char *name,
                                   struct ice_field *at, bool *exact)
{
    bool inner;
    *at = engine_field_of_(type, arena, &inner);
    at->name = name;
    *exact = *exact && inner;
    duckdb_destroy_logical_type(&type);
    return at;
}

static void add_children(struct ice_field *field, duckdb_logical_type type, struct arena *arena,
                         bool *exact)
{
    size_t count = field->type == ICE_LIST  ? 1
                   : field->type == ICE_MAP ? 2
                                            : duckdb_struct_type_child_count(type);
    field->child_count = count;
    field->children = arena_alloc(arena, (count ? count : 1) * sizeof *field->children);
    memset(field->children, 0, count * sizeof *field->children);
    if (field->type == ICE_LIST) {
        one_child(arena, duckdb_list_type_child_type(type), "element", field->children, exact);
    } else if (field->type == ICE_MAP) {
        one_child(arena, duckdb_map_type_key_type(type), "key", field->children, exact);
        one_child(arena, duckdb_map_type_value_type(type), "value", field->children + 1, exact);
    } else {
        for (size_t i = 0; i < count; i++) {
            char *name = duckdb_struct_type_child_name(type, i);
            one_child(arena, duckdb_struct_type_child_type(type, i),
                      arena_copy(arena, str_of(name)).ptr, field->children + i, exact);
            duckdb_free(name);
        }
    }
}

struct ice_field engine_field_of_(duckdb_logical_type type, struct arena *arena, bool *exact)
{
    duckdb_type id = duckdb_get_type_id(type);
    struct ice_field field = {.type = ICE_STRING};
    *exact = false;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (plain[i].type == id) {
            field.type = plain[i].as;
            field.precision = plain[i].precision;
            *exact = plain[i].exact;
            return field;
        }
    }
    if (id == DUCKDB_TYPE_DECIMAL) {
        field.type = ICE_DECIMAL;
        field.precision = duckdb_decimal_width(type);
        field.scale = duckdb_decimal_scale(type);
        *exact = true;
    } else if (id == DUCKDB_TYPE_LIST || id == DUCKDB_TYPE_MAP || id == DUCKDB_TYPE_STRUCT) {
        field.type = id == DUCKDB_TYPE_LIST  ? ICE_LIST
                     : id == DUCKDB_TYPE_MAP ? ICE_MAP
                                             : ICE_STRUCT;
        *exact = true;
        add_children(&field, type, arena, exact);
    }
    return field;
}

bool engine_is_odd_(duckdb_logical_type type)
{
    struct arena arena;
    arena_init(&arena, 1024);
    bool exact, odd = false;
    struct ice_field field = engine_field_of_(type, &arena, &exact);
    duckdb_type id = duckdb_get_type_id(type);
    if (!exact) {
        /* Numbers beyond 64 bits are fine as they are; within a list or struct all must be known.
         */
        odd = field.type != ICE_DECIMAL;
    }
    arena_free(&arena);
    return odd && id != DUCKDB_TYPE_INVALID;
}

/* ---- values as text ---- */

bool engine_cell_valid_(duckdb_vector vector, size_t row)
{
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    return !validity || (validity[row / 64] >> row % 64 & 1);
}

struct str engine_cell_text_(const duckdb_string_t *cell)
{
    uint32_t len = cell->value.inlined.length;
    return (struct str){len <= 12 ? cell->value.inlined.inlined : cell->value.pointer.ptr, len};
}

/* A whole number of 128 bits with `scale` of its digits behind the point. */
static void put_digits(struct buf *out, bool negative, unsigned __int128 value, int scale)
{
    char text[48], *at = text + sizeof text;
    for (int digits = 0; value || digits <= scale; digits++) {
        if (digits && digits == scale) {
            *--at = '.';
        }
        *--at = (char)('0' + (int)(value % 10));
        value /= 10;
    }
    if (negative) {
        *--at = '-';
    }
    buf_append(out, at, (size_t)(text + sizeof text - at));
}

static void put_signed(struct buf *out, __int128 value, int scale)
{
    unsigned __int128 size = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    put_digits(out, value < 0, size, scale);
}

static __int128 huge_of(duckdb_hugeint value)
{
    return (__int128)((unsigned __int128)(uint64_t)value.upper << 64 | value.lower);
}

static void put_decimal(struct buf *out, duckdb_logical_type type, const void *data, size_t row)
{
    int scale = duckdb_decimal_scale(type);
    switch (duckdb_decimal_internal_type(type)) {
    case DUCKDB_TYPE_SMALLINT: put_signed(out, ((const int16_t *)data)[row], scale); break;
    case DUCKDB_TYPE_INTEGER: put_signed(out, ((const int32_t *)data)[row], scale); break;
    case DUCKDB_TYPE_BIGINT: put_signed(out, ((const int64_t *)data)[row], scale); break;
    default: put_signed(out, huge_of(((const duckdb_hugeint *)data)[row]), scale); break;
    }
}

/* JSON has no word for these: they are text there. */
static bool put_not_finite(struct buf *out, double value, bool json)
{
    if (isfinite(value)) {
        return false;
    }
    const char *word = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
    buf_printf(out, json ? "\"%s\"" : "%s", word);
    return true;
}

static void put_float(struct buf *out, float value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) {
            break;
        }
    }
    buf_puts(out, text);
}

/* DuckDB's dates and timestamps know two infinities. */
static bool put_infinite(struct buf *out, bool infinite, bool negative)
{
    if (infinite) {
        buf_puts(out, negative ? "-infinity" : "infinity");
    }
    return infinite;
}

static void put_date(struct buf *out, int32_t days)
{
    if (put_infinite(out, days == INT32_MAX || days == -INT32_MAX, days < 0)) {
        return;
    }
    /* The range of a date is wider than that of a timestamp: only its own calendar shift is. */
    duckdb_date_struct date = duckdb_from_date((duckdb_date){days});
    buf_printf(out, date.year < 0 || date.year > 9999 ? "%d-%02d-%02d" : "%04d-%02d-%02d",
               (int)date.year, date.month, date.day);
}

static void put_time(struct buf *out, int64_t us)
{
    buf_printf(out, "%02d:%02d:%02d", (int)(us / 3600000000), (int)(us / 60000000 % 60),
               (int)(us / 1000000 % 60));
    if (us % 1000000) {
        buf_printf(out, ".%06d", (int)(us % 1000000));
    }
}

static void put_timestamp(struct buf *out, int64_t us, bool zone)
{
    if (!put_infinite(out, us == INT64_MAX || us == -INT64_MAX, us < 0)) {
        clock_format(out, us);
        out->len -= zone ? 0 : 1; /* the Z */
        out->ptr[out->len] = '\0';
    }
}

/* DuckDB flips the first bit, so that signed order is the order of the bytes. */
static void put_uuid(struct buf *out, duckdb_hugeint value)
{
    uint64_t high = (uint64_t)value.upper ^ UINT64_C(1) << 63, low = value.lower;
    buf_printf(out, "%08x-%04x-%04x-%04x-%012" PRIx64, (unsigned)(high >> 32),
               (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(low >> 48),
               low & UINT64_C(0xffffffffffff));
}

static void put_text(struct buf *out, struct str text, bool json)
{
    if (!json) {
        buf_put(out, text);
    } else if (text_is_utf8(text)) {
        text_put_json(out, text);
    } else {
        buf_puts(out, "\"base64:");
        text_put_base64(out, text);
        buf_putc(out, '"');
    }
}

/* Numbers and booleans: the same in JSON. False where the type is none. */
static bool put_number(struct buf *out, duckdb_type id, duckdb_logical_type type, const void *data,
                       size_t row, bool json)
{
    switch (id) {
    case DUCKDB_TYPE_BOOLEAN: buf_puts(out, ((const bool *)data)[row] ? "true" : "false"); break;
    case DUCKDB_TYPE_TINYINT: buf_put_int64(out, ((const int8_t *)data)[row]); break;
    case DUCKDB_TYPE_SMALLINT: buf_put_int64(out, ((const int16_t *)data)[row]); break;
    case DUCKDB_TYPE_INTEGER: buf_put_int64(out, ((const int32_t *)data)[row]); break;
    case DUCKDB_TYPE_BIGINT: buf_put_int64(out, ((const int64_t *)data)[row]); break;
    case DUCKDB_TYPE_UTINYINT: buf_put_int64(out, ((const uint8_t *)data)[row]); break;
    case DUCKDB_TYPE_USMALLINT: buf_put_int64(out, ((const uint16_t *)data)[row]); break;
    case DUCKDB_TYPE_UINTEGER: buf_put_int64(out, ((const uint32_t *)data)[row]); break;
    case DUCKDB_TYPE_UBIGINT: put_digits(out, false, ((const uint64_t *)data)[row], 0); break;
    case DUCKDB_TYPE_HUGEINT:
        put_signed(out, huge_of(((const duckdb_hugeint *)data)[row]), 0);
        break;
    case DUCKDB_TYPE_UHUGEINT: {
        duckdb_uhugeint value = ((const duckdb_uhugeint *)data)[row];
        put_digits(out, false, (unsigned __int128)value.upper << 64 | value.lower, 0);
        break;
    }
    case DUCKDB_TYPE_DECIMAL: put_decimal(out, type, data, row); break;
    case DUCKDB_TYPE_FLOAT: {
        float value = ((const float *)data)[row];
        if (!put_not_finite(out, (double)value, json)) {
            put_float(out, value);
        }
        break;
    }
    case DUCKDB_TYPE_DOUBLE: {
        double value = ((const double *)data)[row];
        if (!put_not_finite(out, value, json)) {
            buf_put_double(out, value);
        }
        break;
    }
    default: return false;
    }
    return true;
}

/* Times and identifiers: within quotes in JSON. False where the type is none. */
static bool put_quoted(struct buf *out, duckdb_type id, const void *data, size_t row, bool json)
{
    size_t start = out->len;
    buf_puts(out, json ? "\"" : "");
    switch (id) {
    case DUCKDB_TYPE_DATE: put_date(out, ((const int32_t *)data)[row]); break;
    case DUCKDB_TYPE_TIME: put_time(out, ((const int64_t *)data)[row]); break;
    case DUCKDB_TYPE_TIMESTAMP: put_timestamp(out, ((const int64_t *)data)[row], false); break;
    case DUCKDB_TYPE_TIMESTAMP_TZ: put_timestamp(out, ((const int64_t *)data)[row], true); break;
    case DUCKDB_TYPE_UUID: put_uuid(out, ((const duckdb_hugeint *)data)[row]); break;
    default: out->len = start; return false;
    }
    buf_puts(out, json ? "\"" : "");
    return true;
}

static void put_list(duckdb_vector vector, duckdb_logical_type type, size_t row, struct buf *out)
{
    duckdb_list_entry entry = ((const duckdb_list_entry *)duckdb_vector_get_data(vector))[row];
    duckdb_vector child = duckdb_list_vector_get_child(vector);
    duckdb_logical_type inner = duckdb_list_type_child_type(type);
    buf_putc(out, '[');
    for (size_t i = 0; i < entry.length; i++) {
        buf_puts(out, i ? "," : "");
        engine_put_value_(child, inner, entry.offset + i, true, out);
    }
    buf_putc(out, ']');
    duckdb_destroy_logical_type(&inner);
}

static void put_struct(duckdb_vector vector, duckdb_logical_type type, size_t row, struct buf *out)
{
    idx_t count = duckdb_struct_type_child_count(type);
    buf_putc(out, '{');
    for (idx_t i = 0; i < count; i++) {
        char *name = duckdb_struct_type_child_name(type, i);
        duckdb_logical_type inner = duckdb_struct_type_child_type(type, i);
        buf_puts(out, i ? "," : "");
        text_put_json(out, str_of(name));
        buf_putc(out, ':');
        engine_put_value_(duckdb_struct_vector_get_child(vector, i), inner, row, true, out);
        duckdb_destroy_logical_type(&inner);
        duckdb_free(name);
    }
    buf_putc(out, '}');
}

/* A map is a list of pairs; its keys become the names of a JSON object, as text. */
static void put_map(duckdb_vector vector, duckdb_logical_type type, size_t row, struct buf *out)
{
    duckdb_list_entry entry = ((const duckdb_list_entry *)duckdb_vector_get_data(vector))[row];
    duckdb_vector pairs = duckdb_list_vector_get_child(vector);
    duckdb_logical_type key = duckdb_map_type_key_type(type);
    duckdb_logical_type value = duckdb_map_type_value_type(type);
    struct buf name = {0};
    buf_putc(out, '{');
    for (size_t i = 0; i < entry.length; i++) {
        buf_clear(&name);
        engine_put_value_(duckdb_struct_vector_get_child(pairs, 0), key, entry.offset + i, false,
                          &name);
        buf_puts(out, i ? "," : "");
        put_text(out, buf_str(&name), true);
        buf_putc(out, ':');
        engine_put_value_(duckdb_struct_vector_get_child(pairs, 1), value, entry.offset + i, true,
                          out);
    }
    buf_putc(out, '}');
    buf_free(&name);
    duckdb_destroy_logical_type(&key);
    duckdb_destroy_logical_type(&value);
}

void engine_put_value_(duckdb_vector vector, duckdb_logical_type type, size_t row, bool json,
                       struct buf *out)
{
    duckdb_type id = duckdb_get_type_id(type);
    const void *data = duckdb_vector_get_data(vector);
    if (!engine_cell_valid_(vector, row)) {
        buf_puts(out, json ? "null" : "");
    } else if (id == DUCKDB_TYPE_LIST) {
        put_list(vector, type, row, out);
    } else if (id == DUCKDB_TYPE_STRUCT) {
        put_struct(vector, type, row, out);
    } else if (id == DUCKDB_TYPE_MAP) {
        put_map(vector, type, row, out);
    } else if (id == DUCKDB_TYPE_VARCHAR || id == DUCKDB_TYPE_BLOB) {
        put_text(out, engine_cell_text_((const duckdb_string_t *)data + row), json);
    } else if (!put_number(out, id, type, data, row, json) &&
               !put_quoted(out, id, data, row, json)) {
        kol_panic("a value of DuckDB's type %d stands where it should be text", (int)id);
    }
}
