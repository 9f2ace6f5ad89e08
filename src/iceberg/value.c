/*
 * value.c: single values: their binary form (spec, appendix D), their order, and the bounds that
 * stand for a column of many values.
 */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "iceberg/schema.h"

enum { BOUND_POINTS = 16 }; /* code points or bytes that a bound keeps */

/* ---- binary form ---- */

static void put_little(struct buf *out, uint64_t bits, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        buf_putc(out, (char)(bits >> (8 * i)));
    }
}

static uint64_t get_little(struct str bytes)
{
    uint64_t bits = 0;
    for (size_t i = bytes.len; i > 0; i--) {
        bits = bits << 8 | (unsigned char)bytes.ptr[i - 1];
    }
    return bits;
}

/* Big-endian two's complement without the leading bytes that only repeat the sign. */
static struct str minimal_number(struct str bytes)
{
    while (bytes.len > 1 && ((bytes.ptr[0] == 0 && !(bytes.ptr[1] & 0x80)) ||
                             ((unsigned char)bytes.ptr[0] == 0xff && (bytes.ptr[1] & 0x80)))) {
        bytes.ptr++;
        bytes.len--;
    }
    return bytes;
}

void ice_value_write(struct buf *out, const struct ice_field *field, const struct ice_value *value)
{
    uint32_t single_bits;
    uint64_t bits;
    float single;
    switch (field->type) {
    case ICE_BOOLEAN: buf_putc(out, value->boolean ? 1 : 0); break;
    case ICE_INT:
    case ICE_DATE: put_little(out, (uint64_t)value->integer, 4); break;
    case ICE_LONG:
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ: put_little(out, (uint64_t)value->integer, 8); break;
    case ICE_FLOAT:
        single = (float)value->real;
        memcpy(&single_bits, &single, sizeof single_bits);
        put_little(out, single_bits, 4);
        break;
    case ICE_DOUBLE:
        memcpy(&bits, &value->real, sizeof bits);
        put_little(out, bits, 8);
        break;
    case ICE_DECIMAL: buf_put(out, minimal_number(value->bytes)); break;
    default: buf_put(out, value->bytes); break;
    }
}

static bool read_real(struct str bytes, bool may_be_double, double *out)
{
    if (bytes.len == 4) {
        uint32_t bits = (uint32_t)get_little(bytes);
        float single;
        memcpy(&single, &bits, sizeof single);
        *out = single;
        return true;
    }
    uint64_t bits = bytes.len == 8 ? get_little(bytes) : 0;
    memcpy(out, &bits, sizeof bits);
    return bytes.len == 8 && may_be_double;
}

static bool read_integer(struct str bytes, bool may_be_long, int64_t *out)
{
    if (bytes.len == 4) {
        *out = (int32_t)(uint32_t)get_little(bytes);
        return true;
    }
    *out = bytes.len == 8 ? (int64_t)get_little(bytes) : 0;
    return bytes.len == 8 && may_be_long;
}

static bool read_value(struct str bytes, const struct ice_field *field, struct ice_value *value)
{
    switch (field->type) {
    case ICE_BOOLEAN: value->boolean = bytes.len == 1 && bytes.ptr[0] != 0; return bytes.len == 1;
    case ICE_INT:
    case ICE_DATE: return read_integer(bytes, false, &value->integer);
    case ICE_LONG: return read_integer(bytes, true, &value->integer);
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ: return bytes.len == 8 && read_integer(bytes, true, &value->integer);
    case ICE_FLOAT: return read_real(bytes, false, &value->real);
    case ICE_DOUBLE: return read_real(bytes, true, &value->real);
    case ICE_DECIMAL: value->bytes = bytes; return bytes.len >= 1 && bytes.len <= 16;
    case ICE_UUID: value->bytes = bytes; return bytes.len == 16;
    case ICE_FIXED: /* a bound may be cut */
        value->bytes = bytes;
        return bytes.len <= (size_t)field->length;
    case ICE_STRING:
    case ICE_BINARY: value->bytes = bytes; return true;
    default: return false;
    }
}

enum kol_status ice_value_read(struct str bytes, const struct ice_field *field,
                               struct ice_value *value, struct kol_error *err)
{
    *value = (struct ice_value){.known = true};
    if (read_value(bytes, field, value)) {
        return KOL_OK;
    }
    return kol_fail(err, KOL_CORRUPT, "a value of column %d has %zu bytes, which its type has not",
                    field->id, bytes.len);
}

/* ---- order ---- */

static int compare_reals(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    if (a == 0 && b == 0) {
        return (signbit(b) != 0) - (signbit(a) != 0);
    }
    return (a > b) - (a < b);
}

static int compare_numbers(struct str a, struct str b)
{
    a = minimal_number(a);
    b = minimal_number(b);
    bool a_negative = a.len && (a.ptr[0] & 0x80), b_negative = b.len && (b.ptr[0] & 0x80);
    if (a_negative != b_negative) {
        return a_negative ? -1 : 1;
    }
    if (a.len != b.len) {
        return (a.len > b.len) != a_negative ? 1 : -1;
    }
    return str_compare(a, b); /* equal signs and lengths: two's complement sorts by bytes */
}

int ice_value_compare(const struct ice_field *field, const struct ice_value *a,
                      const struct ice_value *b)
{
    switch (field->type) {
    case ICE_BOOLEAN: return (int)a->boolean - (int)b->boolean;
    case ICE_INT:
    case ICE_LONG:
    case ICE_DATE:
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ: return (a->integer > b->integer) - (a->integer < b->integer);
    case ICE_FLOAT:
    case ICE_DOUBLE: return compare_reals(a->real, b->real);
    case ICE_DECIMAL: return compare_numbers(a->bytes, b->bytes);
    default: return str_compare(a->bytes, b->bytes);
    }
}

/* ---- bounds ---- */

static bool put_bound(struct arena *arena, const struct ice_field *field,
                      const struct ice_value *value, struct str *out)
{
    struct buf bytes = {0};
    ice_value_write(&bytes, field, value);
    *out = arena_copy(arena, buf_str(&bytes));
    buf_free(&bytes);
    return true;
}

static bool is_real(const struct ice_field *field)
{
    return field->type == ICE_FLOAT || field->type == ICE_DOUBLE;
}

static struct str cut(const struct ice_field *field, struct str bytes)
{
    if (field->type == ICE_STRING) {
        return text_prefix(bytes, BOUND_POINTS);
    }
    if (field->type == ICE_BINARY && bytes.len > BOUND_POINTS) {
        bytes.len = BOUND_POINTS;
    }
    return bytes;
}

bool ice_bound_lower(struct arena *arena, const struct ice_field *field,
                     const struct ice_value *value, struct str *out)
{
    struct ice_value bound = *value;
    if (!value->known || (is_real(field) && isnan(value->real))) {
        return false;
    }
    if (is_real(field) && value->real == 0) {
        bound.real = -0.0; /* which of the zeros comes first, a minimum does not always tell */
    } else if (field->type == ICE_STRING || field->type == ICE_BINARY) {
        bound.bytes = cut(field, value->bytes);
    }
    return put_bound(arena, field, &bound, out);
}

/* The code point whose bytes are `bytes` up to `len`. */
static uint32_t point_of(const char *bytes, size_t len)
{
    static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t point = (unsigned char)bytes[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++) {
        point = point << 6 | ((unsigned char)bytes[i] & 0x3F);
    }
    return point;
}

static size_t put_point(char *bytes, uint32_t point)
{
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len; i > 1; i--) {
        bytes[i - 1] = (char)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    bytes[0] = (char)(leads[len] | point);
    return len;
}

/* The least text above every text that starts with `bytes`: its last code point that has a next one
 * becomes that, what follows goes away. False where all are U+10FFFF. `bytes` is well-formed UTF-8
 * with 3 bytes of room behind it. */
static bool raise_text(char *bytes, size_t *len)
{
    while (*len) {
        size_t at = *len - 1;
        while (at && ((unsigned char)bytes[at] & 0xC0) == 0x80) {
            at--;
        }
        uint32_t point = point_of(bytes + at, *len - at);
        *len = at;
        if (point < 0x10FFFF) {
            /* Surrogates are no characters. */
            *len += put_point(bytes + at, point == 0xD7FF ? 0xE000 : point + 1);
            return true;
        }
    }
    return false;
}

static bool raise_bytes(char *bytes, size_t *len)
{
    while (*len) {
        if ((unsigned char)bytes[*len - 1] != 0xFF) {
            bytes[*len - 1]++;
            return true;
        }
        (*len)--;
    }
    return false;
}

bool ice_bound_upper(struct arena *arena, const struct ice_field *field,
                     const struct ice_value *value, struct str *out)
{
    struct ice_value bound = *value;
    if (!value->known || (is_real(field) && isnan(value->real))) {
        return false;
    }
    if (is_real(field) && value->real == 0) {
        bound.real = 0.0;
        return put_bound(arena, field, &bound, out);
    }
    if (field->type != ICE_STRING && field->type != ICE_BINARY) {
        return put_bound(arena, field, &bound, out);
    }
    struct str kept = cut(field, value->bytes);
    if (kept.len == value->bytes.len) {
        return put_bound(arena, field, &bound, out);
    }
    if (field->type == ICE_STRING && !text_is_utf8(kept)) {
        return false;
    }
    char raised[4 * BOUND_POINTS + 4];
    size_t len = kept.len;
    memcpy(raised, kept.ptr, len);
    bool can = field->type == ICE_STRING ? raise_text(raised, &len) : raise_bytes(raised, &len);
    if (can) {
        *out = arena_copy(arena, (struct str){raised, len});
    }
    return can;
}
