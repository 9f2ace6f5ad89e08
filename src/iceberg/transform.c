/*
 * transform.c: partition transforms: what a partition keeps of a column's value.
 *
 * Every result follows the Iceberg spec to the bit, because another engine makes the same partition
 * of the same row: times floor towards minus infinity before 1970, buckets are murmur3 of the
 * spec's byte form of a value.
 */
#include <string.h>

#include "base/text.h"
#include "iceberg/schema.h"

static const char *const transform_words[] = {
    [ICE_IDENTITY] = "identity", [ICE_BUCKET] = "bucket", [ICE_TRUNCATE] = "truncate",
    [ICE_YEAR] = "year",         [ICE_MONTH] = "month",   [ICE_DAY] = "day",
    [ICE_HOUR] = "hour",         [ICE_VOID] = "void",
};

enum { TRANSFORMS = sizeof transform_words / sizeof transform_words[0] };

static bool takes_param(enum ice_transform transform)
{
    return transform == ICE_BUCKET || transform == ICE_TRUNCATE;
}

enum kol_status ice_transform_read(struct str text, enum ice_transform *transform, int32_t *param,
                                   struct kol_error *err)
{
    struct str rest = text;
    struct str word = str_cut(&rest, '[');
    *param = 0;
    for (int i = 0; i < TRANSFORMS; i++) {
        if (!str_is(word, transform_words[i])) {
            continue;
        }
        *transform = (enum ice_transform)i;
        if (!takes_param(*transform) && word.len == text.len) {
            return KOL_OK;
        }
        int64_t number = 0;
        if (takes_param(*transform) && rest.len > 1 && rest.ptr[rest.len - 1] == ']' &&
            str_to_int64((struct str){rest.ptr, rest.len - 1}, &number) && number > 0 &&
            number <= INT32_MAX) {
            *param = (int32_t)number;
            return KOL_OK;
        }
        return kol_fail(err, KOL_INVALID, "\"%.*s\" is no transform: %s", STR_FORMAT(text),
                        takes_param(*transform) ? "a number above 0 in brackets is missing"
                                                : "it takes no number");
    }
    return kol_fail(err, KOL_UNSUPPORTED, "the transform \"%.*s\"",
                    (int)(text.len < 100 ? text.len : 100), text.len ? text.ptr : "");
}

void ice_transform_write(struct buf *out, enum ice_transform transform, int32_t param)
{
    buf_puts(out, transform_words[transform]);
    if (takes_param(transform)) {
        buf_printf(out, "[%d]", param);
    }
}

struct ice_field ice_transform_result(const struct ice_field *source, enum ice_transform transform)
{
    struct ice_field result = {.type = source->type,
                               .precision = source->precision,
                               .scale = source->scale,
                               .length = source->length};
    switch (transform) {
    case ICE_BUCKET:
    case ICE_YEAR:
    case ICE_MONTH:
    case ICE_HOUR: result = (struct ice_field){.type = ICE_INT}; break;
    case ICE_DAY: result = (struct ice_field){.type = ICE_DATE}; break;
    default: break;
    }
    return result;
}

bool ice_partition_type(const struct ice_schema *schema, const struct ice_partition_field *field,
                        struct ice_field *out)
{
    const struct ice_field *source = ice_field_by_id(schema, field->source_id);
    enum ice_transform transform = field->transform;
    *out =
        ice_transform_result(source ? source : &(struct ice_field){.type = ICE_STRING}, transform);
    bool keeps_type =
        transform == ICE_IDENTITY || transform == ICE_TRUNCATE || transform == ICE_VOID;
    return out->type < ICE_LIST && (source || !keeps_type);
}

/* ---- bucket ---- */

static uint32_t rotate(uint32_t word, int by)
{
    return word << by | word >> (32 - by);
}

static uint32_t scramble(uint32_t word)
{
    return rotate(word * 0xcc9e2d51u, 15) * 0x1b873593u;
}

/* MurmurHash3, x86 variant of 32 bits, seed 0. */
static uint32_t murmur3(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint32_t hash = 0;
    size_t i = 0;
    for (; i + 4 <= len; i += 4) {
        uint32_t word = (uint32_t)at[i] | (uint32_t)at[i + 1] << 8 | (uint32_t)at[i + 2] << 16 |
                        (uint32_t)at[i + 3] << 24;
        hash = rotate(hash ^ scramble(word), 13) * 5 + 0xe6546b64u;
    }
    uint32_t tail = 0;
    for (size_t j = len; j > i; j--) {
        tail = tail << 8 | at[j - 1];
    }
    hash ^= len > i ? scramble(tail) : 0;
    hash ^= (uint32_t)len;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

bool ice_value_hash(const struct ice_field *field, const struct ice_value *value, int32_t *out)
{
    unsigned char eight[8];
    struct buf decimal = {0};
    switch (field->type) {
    case ICE_INT: /* as a long, so that a widened column keeps its buckets */
    case ICE_LONG:
    case ICE_DATE:
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ:
        for (int i = 0; i < 8; i++) {
            eight[i] = (unsigned char)((uint64_t)value->integer >> (8 * i));
        }
        *out = (int32_t)murmur3(eight, sizeof eight);
        return true;
    case ICE_DECIMAL: /* the fewest bytes that hold it, as in the binary form */
        ice_value_write(&decimal, field, value);
        *out = (int32_t)murmur3(decimal.ptr, decimal.len);
        buf_free(&decimal);
        return true;
    case ICE_STRING:
    case ICE_UUID:
    case ICE_FIXED:
    case ICE_BINARY: *out = (int32_t)murmur3(value->bytes.ptr, value->bytes.len); return true;
    default: return false;
    }
}

/* ---- truncate ---- */

/* Down to a multiple of `width`; false where that is below the least 64-bit number. */
static bool floor_to(int64_t value, int32_t width, int64_t *out)
{
    int64_t rest = value % width;
    return !__builtin_sub_overflow(value, rest < 0 ? rest + width : rest, out);
}

/* The same for a decimal of up to 16 bytes, whose result is minimal bytes in `arena`. */
static bool truncate_decimal(struct arena *arena, const struct ice_field *source, int32_t width,
                             struct str bytes, struct str *out)
{
    if (bytes.len == 0 || bytes.len > 16) {
        return false;
    }
    unsigned __int128 raw = bytes.ptr[0] & 0x80 ? ~(unsigned __int128)0 : 0;
    for (size_t i = 0; i < bytes.len; i++) {
        raw = raw << 8 | (unsigned char)bytes.ptr[i];
    }
    __int128 value = (__int128)raw, rest = value % width, floor = 0;
    if (__builtin_sub_overflow(value, rest < 0 ? rest + width : rest, &floor)) {
        return false;
    }
    char big[16];
    for (int i = 0; i < 16; i++) {
        big[i] = (char)((unsigned __int128)floor >> (8 * (15 - i)));
    }
    struct buf minimal = {0};
    ice_value_write(&minimal, source,
                    &(struct ice_value){.known = true, .bytes = {big, sizeof big}});
    *out = arena_copy(arena, buf_str(&minimal));
    buf_free(&minimal);
    return true;
}

static bool truncate_value(struct arena *arena, const struct ice_field *source, int32_t width,
                           const struct ice_value *value, struct ice_value *out)
{
    struct str bytes = value->bytes;
    switch (source->type) {
    case ICE_INT:
        return floor_to(value->integer, width, &out->integer) && out->integer >= INT32_MIN;
    case ICE_LONG: return floor_to(value->integer, width, &out->integer);
    case ICE_DECIMAL: return truncate_decimal(arena, source, width, bytes, &out->bytes);
    case ICE_STRING: out->bytes = arena_copy(arena, text_prefix(bytes, (size_t)width)); return true;
    case ICE_BINARY:
        bytes.len = bytes.len > (size_t)width ? (size_t)width : bytes.len;
        out->bytes = arena_copy(arena, bytes);
        return true;
    default: return false;
    }
}

/* ---- times ---- */

static const int64_t micros_per_hour = INT64_C(3600000000);
static const int64_t micros_per_day = INT64_C(86400000000);

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/* Months since January 1970 of a day since 1970, in the Gregorian calendar: counted from the first
 * of March of a year 400 n, so that the day that leap years add comes last. */
static int64_t months_of_day(int64_t day)
{
    int64_t since = day + 719468; /* 1 March of the year 0 */
    int64_t era = floor_div(since, 146097);
    int64_t of_era = since - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* 0: March */
    return (era * 400 + year - 1970) * 12 + month + 2;
}

static bool time_part(const struct ice_field *source, enum ice_transform transform, int64_t value,
                      int64_t *out)
{
    bool is_date = source->type == ICE_DATE;
    if (!is_date && source->type != ICE_TIMESTAMP && source->type != ICE_TIMESTAMPTZ) {
        return false;
    }
    if (transform == ICE_HOUR) {
        *out = floor_div(value, micros_per_hour);
        return !is_date && *out >= INT32_MIN && *out <= INT32_MAX;
    }
    int64_t day = is_date ? value : floor_div(value, micros_per_day);
    switch (transform) {
    case ICE_DAY: *out = day; return true;
    case ICE_MONTH: *out = months_of_day(day); return true;
    default: *out = floor_div(months_of_day(day), 12); return true;
    }
}

static bool apply(struct arena *arena, const struct ice_field *source, enum ice_transform transform,
                  int32_t param, const struct ice_value *value, struct ice_value *out)
{
    int32_t hash = 0;
    switch (transform) {
    case ICE_BUCKET:
        if (param <= 0 || !ice_value_hash(source, value, &hash)) {
            return false;
        }
        out->integer = (hash & INT32_MAX) % param;
        return true;
    case ICE_TRUNCATE: return param > 0 && truncate_value(arena, source, param, value, out);
    case ICE_YEAR:
    case ICE_MONTH:
    case ICE_DAY:
    case ICE_HOUR: return time_part(source, transform, value->integer, &out->integer);
    default: *out = *value; return true;
    }
}

enum kol_status ice_transform_apply(struct arena *arena, const struct ice_field *source,
                                    enum ice_transform transform, int32_t param,
                                    const struct ice_value *value, struct ice_value *out,
                                    struct kol_error *err)
{
    *out = (struct ice_value){.known = value->known && transform != ICE_VOID};
    if (!out->known || apply(arena, source, transform, param, value, out)) {
        return KOL_OK;
    }
    struct buf word = {0};
    ice_transform_write(&word, transform, param);
    enum kol_status status =
        kol_fail(err, KOL_INVALID, "the transform %s cannot be made of this value of column \"%s\"",
                 word.ptr, source->name ? source->name : "");
    buf_free(&word);
    return status;
}
