/* test_ice_value.c: single values of Iceberg: their bytes, order, bounds, hashes and transforms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "iceberg/metadata.h"
#include "iceberg/schema.h"

static struct ice_value whole(int64_t number)
{
    return (struct ice_value){.known = true, .integer = number};
}

static struct ice_value real(double number)
{
    return (struct ice_value){.known = true, .real = number};
}

static struct ice_value bytes(struct str text)
{
    return (struct ice_value){.known = true, .bytes = text};
}

static const struct ice_field boolean_field = {.type = ICE_BOOLEAN};
static const struct ice_field int_field = {.type = ICE_INT};
static const struct ice_field long_field = {.type = ICE_LONG};
static const struct ice_field float_field = {.type = ICE_FLOAT};
static const struct ice_field double_field = {.type = ICE_DOUBLE};
static const struct ice_field decimal_field = {.type = ICE_DECIMAL, .precision = 9, .scale = 2};
static const struct ice_field date_field = {.type = ICE_DATE};
static const struct ice_field time_field = {.type = ICE_TIME};
static const struct ice_field tz_field = {.type = ICE_TIMESTAMPTZ};
static const struct ice_field string_field = {.type = ICE_STRING};
static const struct ice_field uuid_field = {.type = ICE_UUID};
static const struct ice_field fixed_field = {.type = ICE_FIXED, .length = 4};
static const struct ice_field binary_field = {.type = ICE_BINARY};

/* ---- binary form ---- */

static void assert_form(const struct ice_field *field, struct ice_value value, struct str form)
{
    struct buf out = {0};
    struct ice_value back;
    ice_value_write(&out, field, &value);
    assert_int_equal(out.len, form.len);
    assert_memory_equal(out.ptr, form.ptr, form.len);
    assert_int_equal(ice_value_read(buf_str(&out), field, &back, NULL), KOL_OK);
    assert_true(back.known);
    assert_int_equal(ice_value_compare(field, &value, &back), 0);
    buf_free(&out);
}

static void test_values_have_the_bytes_of_the_spec(void **state)
{
    (void)state;
    assert_form(&boolean_field, (struct ice_value){.known = true, .boolean = true}, STR("\x01"));
    assert_form(&boolean_field, (struct ice_value){.known = true}, (struct str){"\0", 1});
    assert_form(&int_field, whole(34), (struct str){"\x22\0\0\0", 4});
    assert_form(&int_field, whole(-2), STR("\xfe\xff\xff\xff"));
    assert_form(&int_field, whole(INT32_MIN), (struct str){"\0\0\0\x80", 4});
    assert_form(&long_field, whole(INT64_MAX), STR("\xff\xff\xff\xff\xff\xff\xff\x7f"));
    assert_form(&date_field, whole(-1), STR("\xff\xff\xff\xff"));
    assert_form(&time_field, whole(1), (struct str){"\x01\0\0\0\0\0\0\0", 8});
    assert_form(&tz_field, whole(-1), STR("\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_form(&float_field, real(-4.5), (struct str){"\0\0\x90\xc0", 4});
    assert_form(&double_field, real(6.0), (struct str){"\0\0\0\0\0\0\x18\x40", 8});
    assert_form(&double_field, real(NAN), (struct str){"\0\0\0\0\0\0\xf8\x7f", 8});
    assert_form(&string_field, bytes(STR("Đ\x01")), STR("\xc4\x90\x01"));
    assert_form(&string_field, bytes(STR("")), STR(""));
    assert_form(&uuid_field, bytes(STR("0123456789abcdef")), STR("0123456789abcdef"));
    assert_form(&fixed_field, bytes(STR("abcd")), STR("abcd"));
    assert_form(&binary_field, bytes((struct str){"\0\xff", 2}), (struct str){"\0\xff", 2});
    /* Decimals take as few bytes as hold them: 123456 is 12.3456 of scale 4. */
    assert_form(&decimal_field, bytes((struct str){"\0\0\x01\xe2\x40", 5}), STR("\x01\xe2\x40"));
    assert_form(&decimal_field, bytes((struct str){"\0\x80", 2}), (struct str){"\0\x80", 2});
    assert_form(&decimal_field, bytes(STR("\xff\xff\x80")), STR("\x80"));
    assert_form(&decimal_field, bytes(STR("\xff\xff")), STR("\xff"));
    assert_form(&decimal_field, bytes((struct str){"\0\0", 2}), (struct str){"\0", 1});
}

static void test_a_wrong_length_is_corrupt_and_a_widened_column_is_read(void **state)
{
    (void)state;
    struct kol_error err;
    struct ice_value value;
    const struct {
        const struct ice_field *field;
        size_t good[3]; /* lengths that are read, 99 ends */
    } cases[] = {
        {&boolean_field, {1, 99}}, {&int_field, {4, 99}},       {&long_field, {4, 8, 99}},
        {&float_field, {4, 99}},   {&double_field, {4, 8, 99}}, {&date_field, {4, 99}},
        {&time_field, {8, 99}},    {&tz_field, {8, 99}},        {&uuid_field, {16, 99}},
    };
    char raw[32] = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t len = 0; len < sizeof raw; len++) {
            bool good = len == cases[i].good[0] || len == cases[i].good[1];
            enum kol_status status =
                ice_value_read((struct str){raw, len}, cases[i].field, &value, &err);
            assert_int_equal(status, good ? KOL_OK : KOL_CORRUPT);
        }
    }
    assert_int_equal(ice_value_read(STR("\xfe\xff\xff\xff"), &long_field, &value, &err), KOL_OK);
    assert_int_equal(value.integer, -2);
    assert_int_equal(ice_value_read((struct str){"\0\0\x90\xc0", 4}, &double_field, &value, &err),
                     KOL_OK);
    assert_true(value.real == -4.5);
    assert_int_equal(ice_value_read((struct str){raw, 0}, &decimal_field, &value, &err),
                     KOL_CORRUPT);
    assert_int_equal(ice_value_read((struct str){raw, 17}, &decimal_field, &value, &err),
                     KOL_CORRUPT);
}

/* ---- order ---- */

/* Each value of a row is below the next. */
static void assert_ascending(const struct ice_field *field, const struct ice_value *values,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = ice_value_compare(field, &values[i], &values[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void test_values_sort_as_the_format_says(void **state)
{
    (void)state;
    const struct ice_value longs[] = {whole(INT64_MIN), whole(-1), whole(0), whole(INT64_MAX)};
    const struct ice_value doubles[] = {real(-INFINITY), real(-1), real(-0.0),     real(0.0),
                                        real(5e-324),    real(1),  real(INFINITY), real(NAN)};
    const struct ice_value texts[] = {bytes(STR("")),
                                      bytes(STR("a")),
                                      bytes(STR("ab")),
                                      bytes(STR("b")),
                                      bytes(STR("\x7f")),
                                      bytes(STR("Đ")),
                                      bytes(STR("\xef\xbf\xbf")),
                                      bytes(STR("\xf0\x90\x80\x80"))};
    const struct ice_value decimals[] = {
        bytes(STR("\x80\x01\x01")), bytes(STR("\xff\x00")),           bytes(STR("\x80")),
        bytes(STR("\xff\xff\xff")), bytes((struct str){"\0\0", 2}),   bytes(STR("\x01")),
        bytes(STR("\x7f")),         bytes((struct str){"\0\x80", 2}), bytes(STR("\x7f\x01"))};
    assert_ascending(&long_field, longs, ARRAY_LEN(longs));
    assert_ascending(&double_field, doubles, ARRAY_LEN(doubles));
    assert_ascending(&string_field, texts, ARRAY_LEN(texts));
    assert_ascending(&decimal_field, decimals, ARRAY_LEN(decimals));
    struct ice_value other_nan = real(-NAN);
    assert_int_equal(ice_value_compare(&double_field, &doubles[7], &other_nan), 0);
}

/* ---- bounds ---- */

static void assert_text_bounds(const char *value, const char *lower, const char *upper)
{
    struct arena arena;
    struct str out;
    struct ice_value of = bytes(str_of(value));
    arena_init(&arena, 0);
    assert_true(ice_bound_lower(&arena, &string_field, &of, &out));
    assert_string_equal(out.ptr, lower);
    assert_int_equal(ice_bound_upper(&arena, &string_field, &of, &out), upper != NULL);
    if (upper) {
        assert_string_equal(out.ptr, upper);
        assert_true(text_is_utf8(out));
    }
    arena_free(&arena);
}

#define FIFTEEN "abcdefghijklmno"
#define MOST "\xf4\x8f\xbf\xbf" /* U+10FFFF */
#define MOST_4 MOST MOST MOST MOST

static void test_texts_are_cut_at_16_code_points_and_the_upper_bound_is_raised(void **state)
{
    (void)state;
    assert_text_bounds("", "", "");
    assert_text_bounds(FIFTEEN "p", FIFTEEN "p", FIFTEEN "p"); /* whole */
    assert_text_bounds(FIFTEEN "pq", FIFTEEN "p", FIFTEEN "q");
    assert_text_bounds(FIFTEEN "\x7fq", FIFTEEN "\x7f", FIFTEEN "\xc2\x80");
    assert_text_bounds(FIFTEEN "\xdf\xbfq", FIFTEEN "\xdf\xbf", FIFTEEN "\xe0\xa0\x80");
    assert_text_bounds(FIFTEEN "\xef\xbf\xbfq", FIFTEEN "\xef\xbf\xbf", FIFTEEN "\xf0\x90\x80\x80");
    /* U+D7FF is followed by U+E000. */
    assert_text_bounds(FIFTEEN "\xed\x9f\xbfq", FIFTEEN "\xed\x9f\xbf", FIFTEEN "\xee\x80\x80");
    /* U+10FFFF has no next one: the code point before it is raised. */
    assert_text_bounds(FIFTEEN MOST "q", FIFTEEN MOST, "abcdefghijklmnp");
    assert_text_bounds(MOST_4 MOST_4 MOST_4 MOST_4, MOST_4 MOST_4 MOST_4 MOST_4,
                       MOST_4 MOST_4 MOST_4 MOST_4);
    assert_text_bounds(MOST_4 MOST_4 MOST_4 MOST_4 "x", MOST_4 MOST_4 MOST_4 MOST_4, NULL);
    assert_text_bounds("Đặng Thị Ánh Nguyệt", "Đặng Thị Ánh Ngu", "Đặng Thị Ánh Ngv");
}

static void test_bounds_of_other_types(void **state)
{
    (void)state;
    struct arena arena;
    struct str out;
    arena_init(&arena, 0);
    struct ice_value value = bytes(STR("\x01\x01\x01\x01\x01\x01\x01\x01"
                                       "\x01\x01\x01\x01\x01\x01\x01\xff\x05"));
    assert_true(ice_bound_lower(&arena, &binary_field, &value, &out));
    assert_int_equal(out.len, 16);
    assert_true(ice_bound_upper(&arena, &binary_field, &value, &out));
    assert_int_equal(out.len, 15);
    assert_int_equal(out.ptr[14], 2);
    char most[17];
    memset(most, 0xff, sizeof most);
    value = bytes((struct str){most, sizeof most});
    assert_false(ice_bound_upper(&arena, &binary_field, &value, &out));
    assert_true(ice_bound_lower(&arena, &binary_field, &value, &out));
    /* Which zero is the least is not always told: the lower bound is -0.0, the upper one +0.0. */
    for (int sign = 0; sign < 2; sign++) {
        value = real(sign ? -0.0 : 0.0);
        struct ice_value bound;
        assert_true(ice_bound_lower(&arena, &double_field, &value, &out));
        assert_int_equal(ice_value_read(out, &double_field, &bound, NULL), KOL_OK);
        assert_true(bound.real == 0 && signbit(bound.real));
        assert_true(ice_bound_upper(&arena, &double_field, &value, &out));
        assert_int_equal(ice_value_read(out, &double_field, &bound, NULL), KOL_OK);
        assert_true(bound.real == 0 && !signbit(bound.real));
    }
    value = real(NAN);
    assert_false(ice_bound_lower(&arena, &double_field, &value, &out));
    assert_false(ice_bound_upper(&arena, &double_field, &value, &out));
    value = (struct ice_value){0};
    assert_false(ice_bound_lower(&arena, &long_field, &value, &out));
    arena_free(&arena);
}

/* A text that is no UTF-8 comes from a broken writer: it has no upper bound once it is cut. */
static void test_a_long_text_that_is_no_utf8_has_no_upper_bound(void **state)
{
    (void)state;
    struct arena arena;
    struct str out;
    arena_init(&arena, 0);
    char broken[200];
    memset(broken, 0x80, sizeof broken);
    memset(broken + 150, 'a', 50);
    struct ice_value value = bytes((struct str){broken, sizeof broken});
    assert_false(ice_bound_upper(&arena, &string_field, &value, &out));
    assert_true(ice_bound_lower(&arena, &string_field, &value, &out));
    assert_true(out.len <= sizeof broken && memcmp(out.ptr, broken, out.len) == 0);
    arena_free(&arena);
}

/* ---- hashes (appendix B of the spec) ---- */

static void assert_hash(const struct ice_field *field, struct ice_value value, int32_t hash)
{
    int32_t out = 0;
    assert_true(ice_value_hash(field, &value, &out));
    assert_int_equal(out, hash);
}

static void test_hashes_are_those_of_the_spec(void **state)
{
    (void)state;
    int64_t time = 0;
    assert_hash(&int_field, whole(34), 2017239379);
    assert_hash(&long_field, whole(34), 2017239379);
    assert_hash(&decimal_field, bytes(STR("\x05\x8c")), -500754589); /* 14.20 */
    assert_true(clock_parse_day(STR("2017-11-16"), &time));
    assert_hash(&date_field, whole(time / CLOCK_US_PER_DAY), -653330422);
    assert_hash(&time_field, whole(INT64_C(81068) * 1000000), -662762989); /* 22:31:08 */
    assert_true(clock_parse(STR("2017-11-16T14:31:08-08:00"), &time));
    assert_hash(&tz_field, whole(time), -2047944441);
    assert_hash(&string_field, bytes(STR("iceberg")), 1210000089);
    assert_hash(&uuid_field,
                bytes(STR("\xf7\x9c\x3e\x09\x67\x7c\x4b\xbd\xa4\x79\x3f\x34\x9c\xb7\x85\xe7")),
                1488055340);
    assert_hash(&fixed_field, bytes((struct str){"\0\1\2\3", 4}), -188683207);
    assert_hash(&binary_field, bytes((struct str){"\0\1\2\3", 4}), -188683207);
    int32_t out;
    struct ice_value one = real(1);
    assert_false(ice_value_hash(&double_field, &one, &out));
}

/* ---- transforms ---- */

static int64_t applied(const struct ice_field *field, enum ice_transform transform, int32_t param,
                       int64_t number)
{
    struct ice_value in = whole(number), out;
    struct kol_error err;
    assert_int_equal(ice_transform_apply(NULL, field, transform, param, &in, &out, &err), KOL_OK);
    assert_true(out.known);
    return out.integer;
}

static void test_times_floor_towards_minus_infinity(void **state)
{
    (void)state;
    int64_t time = 0;
    assert_true(clock_parse(STR("2017-12-01T10:12:55.038194Z"), &time));
    assert_int_equal(applied(&tz_field, ICE_YEAR, 0, time), 47);
    assert_int_equal(applied(&tz_field, ICE_MONTH, 0, time), 575);
    assert_int_equal(applied(&tz_field, ICE_DAY, 0, time), 17501);
    assert_int_equal(applied(&tz_field, ICE_HOUR, 0, time), 420034);
    assert_int_equal(applied(&tz_field, ICE_YEAR, 0, -1), -1);
    assert_int_equal(applied(&tz_field, ICE_MONTH, 0, -1), -1);
    assert_int_equal(applied(&tz_field, ICE_DAY, 0, -1), -1);
    assert_int_equal(applied(&tz_field, ICE_HOUR, 0, -1), -1);
    assert_int_equal(applied(&tz_field, ICE_HOUR, 0, 0), 0);
    assert_int_equal(applied(&tz_field, ICE_DAY, 0, -CLOCK_US_PER_DAY), -1);
    assert_int_equal(applied(&tz_field, ICE_DAY, 0, -CLOCK_US_PER_DAY - 1), -2);
    assert_int_equal(applied(&date_field, ICE_YEAR, 0, -1), -1);
    assert_int_equal(applied(&date_field, ICE_MONTH, 0, 31), 1);
    assert_int_equal(applied(&date_field, ICE_DAY, 0, -719162), -719162);
    assert_int_equal(applied(&date_field, ICE_YEAR, 0, -719162), 1 - 1970); /* 0001-01-01 */
}

/* Counted day by day beside the calendar. */
static void test_months_and_years_follow_the_calendar(void **state)
{
    (void)state;
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t day = -719162; /* 0001-01-01 */
    for (int year = 1; year <= 2800; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 0; month < 12; month++) {
            int length = lengths[month] + (month == 1 && leap);
            int64_t expected = (int64_t)(year - 1970) * 12 + month;
            assert_int_equal(applied(&date_field, ICE_MONTH, 0, day), expected);
            assert_int_equal(applied(&date_field, ICE_MONTH, 0, day + length - 1), expected);
            assert_int_equal(applied(&date_field, ICE_YEAR, 0, day), year - 1970);
            assert_int_equal(applied(&date_field, ICE_YEAR, 0, day + length - 1), year - 1970);
            day += length;
        }
    }
}

static void test_truncate_floors_numbers_and_cuts_texts(void **state)
{
    (void)state;
    struct arena arena;
    struct ice_value in, out;
    struct kol_error err;
    arena_init(&arena, 0);
    assert_int_equal(applied(&int_field, ICE_TRUNCATE, 10, 1), 0);
    assert_int_equal(applied(&int_field, ICE_TRUNCATE, 10, -1), -10);
    assert_int_equal(applied(&long_field, ICE_TRUNCATE, 10, -10), -10);
    assert_int_equal(applied(&long_field, ICE_TRUNCATE, 10, 19), 10);
    in = whole(INT64_MIN); /* its floor is no 64-bit number */
    assert_int_equal(ice_transform_apply(&arena, &long_field, ICE_TRUNCATE, 10, &in, &out, &err),
                     KOL_INVALID);
    in = whole(INT32_MIN);
    assert_int_equal(ice_transform_apply(&arena, &int_field, ICE_TRUNCATE, 10, &in, &out, &err),
                     KOL_INVALID);
    in = bytes(STR("iceberg"));
    assert_int_equal(ice_transform_apply(&arena, &string_field, ICE_TRUNCATE, 3, &in, &out, &err),
                     KOL_OK);
    assert_true(str_is(out.bytes, "ice"));
    in = bytes(STR("Đặng"));
    assert_int_equal(ice_transform_apply(&arena, &string_field, ICE_TRUNCATE, 2, &in, &out, &err),
                     KOL_OK);
    assert_true(str_is(out.bytes, "Đặ"));
    in = bytes(STR("\x01\x02\x03"));
    assert_int_equal(ice_transform_apply(&arena, &binary_field, ICE_TRUNCATE, 2, &in, &out, &err),
                     KOL_OK);
    assert_true(str_is(out.bytes, "\x01\x02"));
    /* 10.65 of width 50 is 10.50, -0.05 is -0.50. */
    in = bytes(STR("\x04\x29"));
    assert_int_equal(ice_transform_apply(&arena, &decimal_field, ICE_TRUNCATE, 50, &in, &out, &err),
                     KOL_OK);
    assert_true(str_is(out.bytes, "\x04\x1a"));
    in = bytes(STR("\xfb"));
    assert_int_equal(ice_transform_apply(&arena, &decimal_field, ICE_TRUNCATE, 50, &in, &out, &err),
                     KOL_OK);
    assert_true(str_is(out.bytes, "\xce"));
    arena_free(&arena);
}

static void test_transforms_of_null_are_null_and_of_other_types_refused(void **state)
{
    (void)state;
    struct ice_value null = {0}, out, one = whole(1), text = bytes(STR("x"));
    struct kol_error err;
    for (int transform = ICE_IDENTITY; transform <= ICE_VOID; transform++) {
        assert_int_equal(ice_transform_apply(NULL, &tz_field, (enum ice_transform)transform, 4,
                                             &null, &out, &err),
                         KOL_OK);
        assert_false(out.known);
    }
    assert_int_equal(ice_transform_apply(NULL, &tz_field, ICE_VOID, 0, &one, &out, &err), KOL_OK);
    assert_false(out.known);
    assert_int_equal(ice_transform_apply(NULL, &string_field, ICE_DAY, 0, &text, &out, &err),
                     KOL_INVALID);
    assert_int_equal(ice_transform_apply(NULL, &date_field, ICE_HOUR, 0, &one, &out, &err),
                     KOL_INVALID);
    assert_int_equal(ice_transform_apply(NULL, &double_field, ICE_BUCKET, 4, &one, &out, &err),
                     KOL_INVALID);
    assert_int_equal(applied(&int_field, ICE_BUCKET, 16, 34), 2017239379 % 16);
    /* The hash of a negative one loses its sign first. */
    assert_int_equal(applied(&date_field, ICE_BUCKET, 100, 17486),
                     (int)((-653330422 & 0x7fffffff) % 100));
}

static void test_transforms_are_read_as_they_are_written(void **state)
{
    (void)state;
    enum ice_transform transform;
    int32_t param;
    struct kol_error err;
    static const char *const good[] = {
        "identity", "bucket[16]", "truncate[2147483647]", "year", "month", "day", "hour", "void"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct buf out = {0};
        assert_int_equal(ice_transform_read(str_of(good[i]), &transform, &param, &err), KOL_OK);
        assert_int_equal(transform, i);
        ice_transform_write(&out, transform, param);
        assert_string_equal(out.ptr, good[i]);
        buf_free(&out);
    }
    static const char *const bad[] = {"bucket",      "bucket[0]", "bucket[16",
                                      "bucket[-1]",  "bucket[]",  "day[3]",
                                      "truncate[x]", "day[",      "bucket[2147483648]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(ice_transform_read(str_of(bad[i]), &transform, &param, &err), KOL_INVALID);
    }
    assert_int_equal(ice_transform_read(STR("zorder"), &transform, &param, &err), KOL_UNSUPPORTED);
    assert_non_null(strstr(err.message, "zorder"));
}

/* ---- JSON ---- */

static const char nested_schema[] =
    "{\"type\":\"struct\",\"schema-id\":7,\"identifier-field-ids\":[1],\"fields\":["
    "{\"id\":1,\"name\":\"a \\\"b\\\"\",\"required\":true,\"type\":\"long\",\"doc\":\"của tôi\"},"
    "{\"id\":2,\"name\":\"tags\",\"required\":false,\"type\":{\"type\":\"list\",\"element-id\":3,"
    "\"element\":\"string\",\"element-required\":false}},"
    "{\"id\":4,\"name\":\"m\",\"required\":false,\"type\":{\"type\":\"map\",\"key-id\":5,"
    "\"key\":\"string\",\"value-id\":6,\"value\":{\"type\":\"struct\",\"fields\":["
    "{\"id\":8,\"name\":\"d\",\"required\":false,\"type\":\"decimal(9, 2)\"}]},"
    "\"value-required\":true}}]}";

static enum kol_status read_schema(const char *text, struct arena *arena, struct ice_schema *out,
                                   struct kol_error *err)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    enum kol_status status = ice_schema_read(json, arena, out, err);
    json_decref(json);
    return status;
}

static void test_schemas_are_read_as_they_are_written(void **state)
{
    (void)state;
    struct arena arena;
    struct ice_schema schema;
    struct kol_error err;
    struct buf out = {0};
    arena_init(&arena, 0);
    assert_int_equal(read_schema(nested_schema, &arena, &schema, &err), KOL_OK);
    assert_int_equal(schema.fields[2].children[1].children[0].precision, 9);
    ice_schema_write(&out, &schema);
    assert_string_equal(out.ptr, nested_schema);
    buf_free(&out);
    arena_free(&arena);
}

static void test_a_schema_that_breaks_the_format_is_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum kol_status status;
        const char *says;
    } cases[] = {
        {"[]", KOL_CORRUPT, "object"},
        {"{}", KOL_CORRUPT, "fields"},
        {"{\"fields\":[{}]}", KOL_CORRUPT, "fields[0]"},
        {"{\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true}]}", KOL_CORRUPT, "type"},
        {"{\"fields\":[{\"id\":-1,\"name\":\"a\",\"required\":true,\"type\":\"int\"}]}",
         KOL_CORRUPT, "id"},
        {"{\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true,\"type\":\"int\"},"
         "{\"id\":1,\"name\":\"b\",\"required\":true,\"type\":\"int\"}]}",
         KOL_CORRUPT, "two columns have the id 1"},
        {"{\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true,\"type\":\"variant\"}]}",
         KOL_UNSUPPORTED, "variant"},
        {"{\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true,\"type\":\"int\","
         "\"initial-default\":1}]}",
         KOL_UNSUPPORTED, "default"},
        {"{\"schema-id\":\"x\",\"fields\":[]}", KOL_CORRUPT, "schema-id"},
        {"{\"identifier-field-ids\":[1],\"fields\":[]}", KOL_CORRUPT, "identifier"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ice_schema schema;
        struct kol_error err = {0};
        assert_int_equal(read_schema(cases[i].json, &arena, &schema, &err), cases[i].status);
        assert_non_null(strstr(err.message, cases[i].says));
    }
    struct buf deep = {0};
    buf_puts(&deep, "{\"fields\":[{\"id\":0,\"name\":\"a\",\"required\":true,\"type\":");
    for (int i = 1; i <= ICE_MAX_NESTING + 1; i++) {
        buf_printf(&deep,
                   "{\"type\":\"list\",\"element-id\":%d,\"element-required\":true,"
                   "\"element\":",
                   i);
    }
    buf_puts(&deep, "\"int\"");
    for (int i = 1; i <= ICE_MAX_NESTING + 1; i++) {
        buf_putc(&deep, '}');
    }
    buf_puts(&deep, "}]}");
    struct ice_schema schema;
    struct kol_error err = {0};
    assert_int_equal(read_schema(deep.ptr, &arena, &schema, &err), KOL_UNSUPPORTED);
    assert_non_null(strstr(err.message, "nested deeper"));
    buf_free(&deep);
    arena_free(&arena);
}

static void test_partition_specs_are_read_as_they_are_written(void **state)
{
    (void)state;
    static const char text[] =
        "{\"spec-id\":3,\"fields\":[{\"source-id\":4,\"field-id\":1000,\"name\":\"day\","
        "\"transform\":\"day\"},{\"source-id\":1,\"field-id\":1001,\"name\":\"b\","
        "\"transform\":\"bucket[16]\"}]}";
    struct arena arena;
    struct ice_partition_spec spec;
    struct kol_error err;
    struct buf out = {0};
    arena_init(&arena, 0);
    json_t *json = json_loads(text, 0, NULL);
    assert_int_equal(ice_spec_read(json, &arena, &spec, &err), KOL_OK);
    ice_spec_write(&out, &spec);
    assert_string_equal(out.ptr, text);
    /* Version 1: the array alone, without ids of its fields. */
    json_t *array = json_object_get(json, "fields");
    json_object_del(json_array_get(array, 1), "field-id");
    assert_int_equal(ice_spec_read(array, &arena, &spec, &err), KOL_OK);
    assert_int_equal(spec.spec_id, 0);
    assert_int_equal(spec.fields[1].field_id, 1001);
    json_object_set_new(json_array_get(array, 0), "transform", json_string("zorder"));
    assert_int_equal(ice_spec_read(array, &arena, &spec, &err), KOL_UNSUPPORTED);
    assert_non_null(strstr(err.message, "fields[0]"));
    json_decref(json);
    buf_free(&out);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_have_the_bytes_of_the_spec),
        cmocka_unit_test(test_a_wrong_length_is_corrupt_and_a_widened_column_is_read),
        cmocka_unit_test(test_values_sort_as_the_format_says),
        cmocka_unit_test(test_texts_are_cut_at_16_code_points_and_the_upper_bound_is_raised),
        cmocka_unit_test(test_bounds_of_other_types),
        cmocka_unit_test(test_a_long_text_that_is_no_utf8_has_no_upper_bound),
        cmocka_unit_test(test_hashes_are_those_of_the_spec),
        cmocka_unit_test(test_times_floor_towards_minus_infinity),
        cmocka_unit_test(test_months_and_years_follow_the_calendar),
        cmocka_unit_test(test_truncate_floors_numbers_and_cuts_texts),
        cmocka_unit_test(test_transforms_of_null_are_null_and_of_other_types_refused),
        cmocka_unit_test(test_transforms_are_read_as_they_are_written),
        cmocka_unit_test(test_schemas_are_read_as_they_are_written),
        cmocka_unit_test(test_a_schema_that_breaks_the_format_is_refused_with_the_place),
        cmocka_unit_test(test_partition_specs_are_read_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
