/*
 * test_serve_shape.c: objects of the API as fields of a hash and back: each schema that a key is
 * of, made values of every kind, and each kind of wrong value refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "api/parts.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/text.h"
#include "serve/keys.h"
#include "serve/shape.h"
#include "serve/shape_parts.h"
#include "serve/store.h"

static struct random_stream chance;
static struct arena arena;

static const struct http_schema *schema_of(const char *name)
{
    return api_schema(name);
}

static int start(void **state)
{
    (void)state;
    random_seed(&chance, (const uint64_t[]){7, 70}, 2);
    arena_init(&arena, 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* ---- made values ---- */

static void make_object(const struct http_schema *schema, struct buf *out);

static void put_point(struct buf *out, unsigned point)
{
    char bytes[4];
    size_t len = 0;
    if (point < 0x80) {
        bytes[len++] = (char)point;
    } else if (point < 0x800) {
        bytes[len++] = (char)(0xc0 | point >> 6);
    } else if (point < 0x10000) {
        bytes[len++] = (char)(0xe0 | point >> 12);
        bytes[len++] = (char)(0x80 | (point >> 6 & 0x3f));
    } else {
        bytes[len++] = (char)(0xf0 | point >> 18);
        bytes[len++] = (char)(0x80 | (point >> 12 & 0x3f));
        bytes[len++] = (char)(0x80 | (point >> 6 & 0x3f));
    }
    if (point >= 0x80) {
        bytes[len++] = (char)(0x80 | (point & 0x3f));
    }
    buf_append(out, bytes, len);
}

/* Text of any code points, many of them such as need an escape in JSON. */
static void make_text(size_t points, struct buf *out)
{
    static const unsigned bounds[] = {0x20, 0x80, 0x800, 0x10000, 0x110000};
    struct buf text = {0};
    for (size_t i = 0; i < points; i++) {
        unsigned point = (unsigned)random_below(&chance, bounds[random_below(&chance, 5)]);
        point =
            random_below(&chance, 9) ? point : (unsigned)"\"\\/\n\0\x7f"[random_below(&chance, 6)];
        put_point(&text, point >= 0xd800 && point < 0xe000 ? 0xfffd : point);
    }
    text_put_json(out, buf_str(&text));
    buf_free(&text);
}

static void make_choice(const char *choices, struct buf *out)
{
    struct str rest = str_of(choices), word = {0};
    for (uint64_t skip = random_below(&chance, 4) + 1; skip && rest.len; skip--) {
        word = str_cut(&rest, ' ');
    }
    text_put_json(out, word);
}

static double make_double(void)
{
    static const double few[] = {0,     0.1,    -0.5,   1e15, 1e21,  1e-7,  4.73829103, 100,
                                 1e300, 5e-324, 2.5e-8, 1e22, 12345, 99.99, 1.0 / 3};
    const uint64_t kind = random_below(&chance, 3);
    double value;
    if (kind == 0) {
        return few[random_below(&chance, ARRAY_LEN(few))];
    }
    if (kind == 1) {
        return (double)random_below(&chance, 100000) / 1000;
    }
    do {
        const uint64_t bits = random_bits(&chance);
        memcpy(&value, &bits, sizeof value);
    } while (!isfinite(value));
    return value;
}

static int64_t make_int(void)
{
    return random_below(&chance, 4) ? (int64_t)random_below(&chance, 3000000000)
                                    : (int64_t)random_bits(&chance) >> random_below(&chance, 64);
}

static void make_list(const struct http_field *field, struct buf *out)
{
    const size_t count = field->max ? (size_t)field->max : (size_t)random_below(&chance, 4);
    buf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i ? "," : "");
        if (field->kind == HTTP_LIST) {
            make_object(schema_of(field->schema), out);
        } else if (field->choices) {
            make_choice(field->choices, out);
        } else {
            make_text(random_below(&chance, 5), out);
        }
    }
    buf_putc(out, ']');
}

static void make_value(const struct http_field *field, struct buf *out)
{
    const bool bounded = field->min != 0 || field->max != 0;
    switch (field->kind) {
    case HTTP_INT: buf_put_int64(out, bounded ? (int64_t)field->max : make_int()); break;
    case HTTP_REAL: buf_put_double(out, bounded ? field->max : make_double()); break;
    case HTTP_BOOL: buf_puts(out, random_below(&chance, 2) ? "true" : "false"); break;
    case HTTP_CHOICE: make_choice(field->choices, out); break;
    case HTTP_WORDS:
    case HTTP_LIST: make_list(field, out); break;
    case HTTP_DATE: buf_puts(out, "\"2026-02-28\""); break;
    case HTTP_TIME:
        buf_putc(out, '"');
        clock_format(out, (int64_t)random_below(&chance, UINT64_C(4000000000000000)));
        buf_putc(out, '"');
        break;
    case HTTP_OBJECT:
        if (field->schema) {
            make_object(schema_of(field->schema), out);
        } else {
            buf_puts(out, "{\"a\":[1,{\"b\":null}],\"c\":\"\\\"\"}");
        }
        break;
    case HTTP_ANY: buf_puts(out, "{\"any\":[1.5,\"x\"]}"); break;
    default: make_text(bounded ? (size_t)field->max : random_below(&chance, 12), out);
    }
}

/* A whole object: what may be null or left out is so at times. A member that may be both is never
 * null: as a field it is the same as one that is left out. */
static void make_object(const struct http_schema *schema, struct buf *out)
{
    bool first = true;
    buf_putc(out, '{');
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct http_field *field = &schema->fields[i];
        if (!field->required && random_below(&chance, 3) == 0) {
            continue;
        }
        buf_printf(out, "%s\"%s\":", first ? "" : ",", field->name);
        first = false;
        if (field->required && field->nullable && random_below(&chance, 3) == 0) {
            buf_puts(out, "null");
        } else {
            make_value(field, out);
        }
    }
    buf_putc(out, '}');
}

/* ---- there and back ---- */

static struct serve_field *to_fields(struct str json, size_t *count)
{
    struct serve_field *fields;
    struct kol_error err = {0};
    if (serve_to_fields(json, &arena, &fields, count, &err) != KOL_OK) {
        fail_msg("%s: %.*s", err.message, STR_FORMAT(json));
    }
    return fields;
}

static void check_back(const struct http_schema *schema, const struct serve_field *fields,
                       size_t count, struct str json)
{
    struct kol_error err = {0};
    struct buf back = {0};
    buf_puts(&back, "before");
    if (serve_to_json(schema, schema_of, fields, count, &back, &err) != KOL_OK) {
        fail_msg("%s: %.*s", err.message, STR_FORMAT(json));
    }
    if (!str_equal((struct str){back.ptr + 6, back.len - 6}, json)) {
        fail_msg("%s\nis not\n%.*s", back.ptr + 6, STR_FORMAT(json));
    }
    buf_free(&back);
}

static void shuffle(struct serve_field *fields, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        const size_t other = random_below(&chance, i);
        const struct serve_field kept = fields[i - 1];
        fields[i - 1] = fields[other];
        fields[other] = kept;
    }
}

/* Calls for each schema that a key of the table is of. */
static void for_each_schema(void (*check)(const struct http_schema *schema))
{
    size_t schemas = 0;
    for (int key = 0; key < SERVE_KEYS; key++) {
        struct str rest = str_of(serve_keys[key].fields), name = str_cut(&rest, ' ');
        if (name.len) {
            char text[64] = "";
            memcpy(text, name.ptr, name.len);
            check(schema_of(text));
            schemas++;
        }
    }
    assert_true(schemas >= 9);
}

static void check_round_trips(const struct http_schema *schema)
{
    for (int i = 0; i < 300; i++) {
        struct buf json = {0};
        size_t count;
        make_object(schema, &json);
        struct serve_field *fields = to_fields(buf_str(&json), &count);
        check_back(schema, fields, count, buf_str(&json));
        const uint64_t print = serve_print(fields, count);
        shuffle(fields, count);
        check_back(schema, fields, count, buf_str(&json));
        assert_true(print && print == serve_print(fields, count));
        buf_free(&json);
        arena_reset(&arena);
    }
}

static void test_objects_of_every_key_come_back_as_they_were(void **state)
{
    (void)state;
    for_each_schema(check_round_trips);
}

/* ---- schemas of the test's own ---- */

#define LIST_OF(...)                                                                               \
    (const struct http_field[])                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
static const struct http_schema inner = {
    .name = "Inner",
    .fields = LIST_OF({.name = "n", .kind = HTTP_INT, .required = true, .max = 9},
                      {.name = "t", .kind = HTTP_TEXT, .required = true, .nullable = true},
                      {.name = "s", .kind = HTTP_TEXT}),
    .field_count = 3,
};
static struct http_field one[1];
static const struct http_schema outer = {.name = "Outer", .fields = one, .field_count = 1};

static const struct http_schema *own_schema(const char *name)
{
    return strcmp(name, "Inner") == 0 ? &inner : NULL;
}

/* What the field `f` of such a value becomes; NULL: refused. */
static const char *become(struct http_field field, struct str value)
{
    static struct buf out;
    struct kol_error err = {0};
    const struct serve_field fields[] = {{STR("other"), STR("1")}, {STR("f"), value}};
    field.name = "f";
    one[0] = field;
    buf_clear(&out);
    buf_puts(&out, "before");
    const enum kol_status status =
        serve_to_json(&outer, own_schema, fields, value.ptr ? 2 : 1, &out, &err);
    if (status != KOL_OK) {
        assert_int_equal(status, KOL_CORRUPT);
        assert_string_equal(out.ptr, "before");
        assert_int_equal(out.len, 6);
        assert_non_null(strstr(err.message, "`f`"));
        return NULL;
    }
    static char text[600];
    assert_true(out.len < sizeof text);
    if (strcmp(out.ptr, "before{}") == 0) {
        return "(left out)";
    }
    assert_true(str_starts(buf_str(&out), STR("before{\"f\":")));
    out.ptr[out.len - 1] = '\0';
    strcpy(text, out.ptr + 11);
    return text;
}

/* A row: the field, what stands in the hash, and what stands in the object; NULL: refused. */
struct row {
    struct http_field field;
    const char *value, *json;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *json = become(rows[i].field, str_of(rows[i].value));
        if (!json != !rows[i].json || (json && strcmp(json, rows[i].json) != 0)) {
            fail_msg("row %zu: `%s` became %s, not %s", i, rows[i].value ? rows[i].value : "(none)",
                     json ? json : "(refused)", rows[i].json ? rows[i].json : "(refused)");
        }
    }
}

#define INT                                                                                        \
    {                                                                                              \
        .kind = HTTP_INT                                                                           \
    }
#define FEW                                                                                        \
    {                                                                                              \
        .kind = HTTP_INT, .min = -2, .max = 5                                                      \
    }
#define REAL                                                                                       \
    {                                                                                              \
        .kind = HTTP_REAL                                                                          \
    }
#define PERCENT                                                                                    \
    {                                                                                              \
        .kind = HTTP_REAL, .max = 100                                                              \
    }
#define BOOL                                                                                       \
    {                                                                                              \
        .kind = HTTP_BOOL                                                                          \
    }
#define TEXT                                                                                       \
    {                                                                                              \
        .kind = HTTP_TEXT                                                                          \
    }
#define WORD                                                                                       \
    {                                                                                              \
        .kind = HTTP_TEXT, .min = 1, .max = 3                                                      \
    }
#define CHOICE                                                                                     \
    {                                                                                              \
        .kind = HTTP_CHOICE, .choices = "low moderate high"                                        \
    }
#define DATE                                                                                       \
    {                                                                                              \
        .kind = HTTP_DATE                                                                          \
    }
#define TIME                                                                                       \
    {                                                                                              \
        .kind = HTTP_TIME                                                                          \
    }

static void test_each_kind_takes_what_is_of_it_and_nothing_else(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {INT, "0", "0"},
        {INT, "-12", "-12"},
        {INT, "+12", "12"},
        {INT, "007", "7"},
        {INT, "9223372036854775807", "9223372036854775807"},
        {INT, "-9223372036854775808", "-9223372036854775808"},
        {INT, "9223372036854775808", NULL},
        {INT, "5.0", "5"},
        {INT, "1e+15", "1000000000000000"},
        {INT, "1e300", NULL},
        {INT, "5.5", NULL},
        {INT, "", NULL},
        {INT, " 5", NULL},
        {INT, "5 ", NULL},
        {INT, "five", NULL},
        {INT, "0x10", NULL},
        {INT, "nan", NULL},
        {INT, "\"5\"", NULL},
        {INT, "null", NULL},
        {FEW, "-2", "-2"},
        {FEW, "5", "5"},
        {FEW, "-3", NULL},
        {FEW, "6", NULL},
        {FEW, "5.0", "5"},
        {FEW, "6.0", NULL},
        {REAL, "0.1", "0.1"},
        {REAL, "0.10000000000000001", "0.1"},
        {REAL, "4.7382910300000004", "4.73829103"},
        {REAL, "5", "5"},
        {REAL, "5.0", "5"},
        {REAL, "1E3", "1000"},
        {REAL, "inf", NULL},
        {REAL, "-nan", NULL},
        {REAL, "1e999", NULL},
        {REAL, "1,5", NULL},
        {REAL, "", NULL},
        {REAL, "true", NULL},
        {PERCENT, "100", "100"},
        {PERCENT, "100.0000001", NULL},
        {PERCENT, "-0.0001", NULL},
        {BOOL, "true", "true"},
        {BOOL, "false", "false"},
        {BOOL, "True", NULL},
        {BOOL, "1", NULL},
        {BOOL, "", NULL},
        {BOOL, "truefalse", NULL},
        {TEXT, "", "\"\""},
        {TEXT, "null", "\"null\""},
        {TEXT, "a\"b\\c\n\x01", "\"a\\\"b\\\\c\\n\\u0001\""},
        {TEXT, "Nguy\xe1\xbb\x85n \xf0\x9f\x98\x80", "\"Nguy\xe1\xbb\x85n \xf0\x9f\x98\x80\""},
        {TEXT, "\xff", NULL},
        {TEXT, "\xed\xa0\x80", NULL},
        {TEXT, "\xc0\x80", NULL},
        {WORD,
         "\xf0\x9f\x98\x80"
         "bc",
         "\"\xf0\x9f\x98\x80"
         "bc\""},
        {WORD, "abcd", NULL},
        {WORD, "", NULL},
        {CHOICE, "low", "\"low\""},
        {CHOICE, "high", "\"high\""},
        {CHOICE, "lo", NULL},
        {CHOICE, "low moderate", NULL},
        {CHOICE, "", NULL},
        {CHOICE, "Low", NULL},
        {DATE, "2026-02-28", "\"2026-02-28\""},
        {DATE, "2026-02-29", NULL},
        {DATE, "2026-2-8", NULL},
        {DATE, "2026-02-28T00:00:00Z", NULL},
        {TIME, "2026-02-28T01:02:03Z", "\"2026-02-28T01:02:03Z\""},
        {TIME, "2026-02-28 08:02:03.5+07:00", "\"2026-02-28T01:02:03.500000Z\""},
        {TIME, "2026-02-28T01:02:03", NULL},
        {TIME, "1767225600", NULL},
        {TIME, "", NULL},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

#define WORDS                                                                                      \
    {                                                                                              \
        .kind = HTTP_WORDS                                                                         \
    }
#define SOME_WORDS                                                                                 \
    {                                                                                              \
        .kind = HTTP_WORDS, .choices = "a b", .min = 1, .max = 2                                   \
    }
#define OBJECT                                                                                     \
    {                                                                                              \
        .kind = HTTP_OBJECT, .schema = "Inner"                                                     \
    }
#define FREE                                                                                       \
    {                                                                                              \
        .kind = HTTP_OBJECT                                                                        \
    }
#define ROWS                                                                                       \
    {                                                                                              \
        .kind = HTTP_LIST, .schema = "Inner", .min = 0, .max = 2                                   \
    }
#define ANYTHING                                                                                   \
    {                                                                                              \
        .kind = HTTP_ANY                                                                           \
    }

static void test_lists_and_objects_are_checked_whole(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {WORDS, "[]", "[]"},
        {WORDS, " [ \"a b\" , \"\\u0111\\ud83d\\ude00\" ] ",
         "[\"a b\",\"\xc4\x91\xf0\x9f\x98\x80\"]"},
        {WORDS, "[1]", NULL},
        {WORDS, "[\"a\",null]", NULL},
        {WORDS, "a,b", NULL},
        {WORDS, "", NULL},
        {WORDS, "[\"a\"", NULL},
        {WORDS, "[\"a\"]]", NULL},
        {WORDS, "[\"a\",]", NULL},
        {WORDS, "[\"\xff\"]", NULL},
        {WORDS, "[\"\\ud83d\"]", NULL},
        {WORDS, "[\"\\ude00\\ud83d\"]", NULL},
        {WORDS, "[\"\\u12g4\"]", NULL},
        {WORDS, "[\"\\u12", NULL},
        {WORDS, "[\"\\x\"]", NULL},
        {WORDS, "[\"tab\t\"]", NULL},
        {WORDS, "{}", NULL},
        {SOME_WORDS, "[\"a\"]", "[\"a\"]"},
        {SOME_WORDS, "[\"a\",\"b\"]", "[\"a\",\"b\"]"},
        {SOME_WORDS, "[]", NULL},
        {SOME_WORDS, "[\"a\",\"b\",\"a\"]", NULL},
        {SOME_WORDS, "[\"c\"]", NULL},
        {SOME_WORDS, "[\"a b\"]", NULL},
        {OBJECT, "{\"n\":1,\"t\":\"x\"}", "{\"n\":1,\"t\":\"x\"}"},
        {OBJECT, "{ \"t\" : null , \"unheard\":[{}] , \"n\" : 9.0 }", "{\"n\":9,\"t\":null}"},
        {OBJECT, "{\"n\":1}", "{\"n\":1,\"t\":null}"}, /* as in a hash */
        {OBJECT, "{\"n\":10,\"t\":\"x\"}", NULL},
        {OBJECT, "{\"n\":\"1\",\"t\":\"x\"}", NULL},
        {OBJECT, "{\"n\":null,\"t\":\"x\"}", NULL},
        {OBJECT, "{\"n\":1,\"t\":5}", NULL},
        {OBJECT, "{\"n\":1,\"t\":\"x\",\"s\":null}", NULL},
        {OBJECT, "{\"n\":1,\"n\":2,\"t\":\"x\"}", NULL},
        {OBJECT, "{\"t\":\"x\"}", NULL},
        {OBJECT, "[]", NULL},
        {OBJECT, "null", NULL},
        {OBJECT, "{\"n\":01,\"t\":\"x\"}", NULL},
        {OBJECT, "{\"n\":1,\"t\":\"x\",}", NULL},
        {OBJECT, "{n:1}", NULL},
        {OBJECT, "{\"n\":1 \"t\":1}", NULL},
        {FREE, " { \"a\" : [ 1.50 , true , null , { } ] } ", "{\"a\":[1.5,true,null,{}]}"},
        {FREE, "{\"a\":1e999}", NULL},
        {FREE, "[]", NULL},
        {ROWS, "[]", "[]"},
        {ROWS, "[{\"n\":1,\"t\":\"x\"},{\"t\":\"y\",\"n\":2}]",
         "[{\"n\":1,\"t\":\"x\"},{\"n\":2,\"t\":\"y\"}]"},
        {ROWS, "[{\"n\":1,\"t\":\"x\"},{\"n\":1,\"t\":\"x\"},{\"n\":1,\"t\":\"x\"}]", NULL},
        {ROWS, "[{\"n\":1,\"t\":\"x\"},[]]", NULL},
        {ROWS, "{\"n\":1,\"t\":\"x\"}", NULL},
        {ANYTHING, "[1, 2]", "[1,2]"},
        {ANYTHING, "not JSON", "\"not JSON\""},
        {ANYTHING, "\"quoted\"", "\"\\\"quoted\\\"\""},
        {ANYTHING, "null", "\"null\""},
        {ANYTHING, " 5.50", "5.5"},
        {ANYTHING, "\xff", NULL},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_absent_is_null_or_left_out_or_wrong(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{.kind = HTTP_INT, .required = true}, NULL, NULL},
        {{.kind = HTTP_INT, .required = true, .nullable = true}, NULL, "null"},
        {{.kind = HTTP_INT}, NULL, "(left out)"},
        {{.kind = HTTP_INT, .nullable = true}, NULL, "(left out)"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_lists_too_deep_are_refused(void **state)
{
    (void)state;
    char text[2 * SHAPE_DEPTH + 3];
    for (size_t depth = SHAPE_DEPTH; depth <= SHAPE_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        const char *json = become((struct http_field)ANYTHING, str_of(text));
        assert_true(json && *json == (depth > SHAPE_DEPTH ? '"' : '['));
    }
}

/* Each field of a whole object in turn is wrong; what is written is as it was. */
static void check_wrong(const struct http_schema *schema)
{
    struct buf json = {0}, out = {0};
    size_t count;
    make_object(schema, &json);
    struct serve_field *fields = to_fields(buf_str(&json), &count);
    for (size_t i = 0; i < count; i++) {
        struct kol_error err = {0};
        const struct str kept = fields[i].value;
        fields[i].value = (struct str){"\xff\"[", 3}; /* of no kind */
        assert_int_equal(serve_to_json(schema, schema_of, fields, count, &out, &err), KOL_CORRUPT);
        assert_non_null(
            memmem(err.message, strlen(err.message), fields[i].name.ptr, fields[i].name.len));
        assert_int_equal(out.len, 0);
        fields[i].value = kept;
    }
    for (size_t i = 0; i < schema->field_count; i++) {
        size_t left = 0;
        struct serve_field *some = arena_alloc(&arena, count * sizeof *some);
        for (size_t j = 0; j < count; j++) {
            if (!str_is(fields[j].name, schema->fields[i].name)) {
                some[left++] = fields[j];
            }
        }
        const bool must_be = schema->fields[i].required && !schema->fields[i].nullable;
        buf_clear(&out);
        assert_int_equal(serve_to_json(schema, schema_of, some, left, &out, NULL),
                         must_be ? KOL_CORRUPT : KOL_OK);
    }
    buf_free(&json);
    buf_free(&out);
    arena_reset(&arena);
}

static void test_each_field_of_every_key_is_checked(void **state)
{
    (void)state;
    for_each_schema(check_wrong);
}

/* ---- to fields ---- */

static void test_fields_are_plain(void **state)
{
    (void)state;
    size_t count;
    const struct serve_field *fields =
        to_fields(STR(" { \"a\" : 1.50, \"b\":null, \"\\u0063\" : \"\\n\\u0000\\ud83d\\ude00\", "
                      "\"d\":true,\"e\":[1, 2],\"f\":12345678901234567890,\"g\":-0.0,\"h\":\"\","
                      "\"i\":1E2 } "),
                  &count);
    static const struct serve_field expected[] = {
        {STR("a"), STR("1.5")},
        {STR("c"), {"\n\0\xf0\x9f\x98\x80", 6}},
        {STR("d"), STR("true")},
        {STR("e"), STR("[1, 2]")},
        {STR("f"), STR("12345678901234567890")},
        {STR("g"), STR("-0")},
        {STR("h"), STR("")},
        {STR("i"), STR("100")},
    };
    assert_int_equal(count, ARRAY_LEN(expected));
    for (size_t i = 0; i < count; i++) {
        if (!str_equal(fields[i].name, expected[i].name) ||
            !str_equal(fields[i].value, expected[i].value)) {
            fail_msg("field %zu is %.*s: %.*s", i, STR_FORMAT(fields[i].name),
                     STR_FORMAT(fields[i].value));
        }
    }
    assert_ptr_equal(serve_field(fields, count, "d"), &fields[2]);
    assert_null(serve_field(fields, count, "b"));
}

static void test_what_is_no_object_has_no_fields(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        " ",
        "null",
        "[]",
        "\"a\"",
        "5",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1}}",
        "{\"a\":1,\"a\":1}",
        "{'a':1}",
        "{\"a\":nul}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":tru}",
        "{\"a\":\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":+1}",
        "{\"a\":1e400}",
        "{\"a\":1,\"\\u0061\":2}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct serve_field *fields;
        size_t count = 1;
        struct kol_error err = {0};
        if (serve_to_fields(str_of(wrong[i]), &arena, &fields, &count, &err) != KOL_CORRUPT) {
            fail_msg("%s has %zu fields", wrong[i], count);
        }
        assert_int_equal(count, 0);
    }
    for (int members = SERVE_FIELDS_MAX; members <= SERVE_FIELDS_MAX + 1; members++) {
        struct buf json = {0};
        struct serve_field *fields;
        size_t count;
        for (int i = 0; i < members; i++) {
            buf_printf(&json, "%s\"m%d\":%d", i ? "," : "{", i, i);
        }
        buf_putc(&json, '}');
        assert_int_equal(serve_to_fields(buf_str(&json), &arena, &fields, &count, NULL),
                         members > SERVE_FIELDS_MAX ? KOL_CORRUPT : KOL_OK);
        buf_free(&json);
    }
}

static void test_prints_tell_values_apart(void **state)
{
    (void)state;
    const struct serve_field a[] = {{STR("x"), STR("1")}, {STR("y"), STR("2")}};
    const struct serve_field same[] = {
        {STR("y"), STR("2")}, {STR("cached_at"), STR("now")}, {STR("x"), STR("1")}};
    const struct serve_field swapped[] = {{STR("x"), STR("2")}, {STR("y"), STR("1")}};
    const struct serve_field moved[] = {{STR("x1"), STR("")}, {STR("y"), STR("2")}};
    const uint64_t print = serve_print(a, 2);
    assert_true(print == serve_print(same, 3));
    assert_true(print != serve_print(a, 1));
    assert_true(print != serve_print(swapped, 2));
    assert_true(print != serve_print(moved, 2));
    assert_true(serve_print(NULL, 0) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_of_every_key_come_back_as_they_were),
        cmocka_unit_test(test_each_kind_takes_what_is_of_it_and_nothing_else),
        cmocka_unit_test(test_lists_and_objects_are_checked_whole),
        cmocka_unit_test(test_absent_is_null_or_left_out_or_wrong),
        cmocka_unit_test(test_lists_too_deep_are_refused),
        cmocka_unit_test(test_each_field_of_every_key_is_checked),
        cmocka_unit_test(test_fields_are_plain),
        cmocka_unit_test(test_what_is_no_object_has_no_fields),
        cmocka_unit_test(test_prints_tell_values_apart),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
