/* test_json_value.c: the reader of JSON held to jansson: by cases, by made-up texts, and by one
 * body with any byte of it replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "json_like.h"

/* Fails where they do not agree; else whether the text is taken. A copy of its exact size, so that
 * a sanitizer sees a read past the end. */
static bool taken(struct str text)
{
    bool is_taken;
    char *exact = mem_alloc(text.len + !text.len);
    memcpy(exact, text.len ? text.ptr : "", text.len);
    const char *what = json_unlike((struct str){exact, text.len}, &is_taken);
    free(exact);
    if (what) {
        fail_msg("%s: %.*s", what, STR_FORMAT(text));
    }
    return is_taken;
}

static void test_what_is_json_is_taken(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        " \t\r\n-0 \n",
        "-0.0",
        "null",
        "[]",
        "{ }",
        "[ true , false,null ]",
        "\"\"",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "1E+5",
        "1e-400",
        "-1.5e-3",
        "0.1",
        "0e0",
        "123456789012345678901234567890.0",
        "2.2250738585072011e-308",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u1ed3\\uD83C\\uDFAC\x7f\"",
        "\"Đặng \xf0\x9f\x8e\xac\"",
        "\"\\ufffe\\uFFFF\xef\xbf\xbf\"",
        "{\"\":{\"\":[{\"a\":[]}]},\"a\":1,\"A\":2,\"aa\":3}",
        "{\"\\u0061\":1,\"b\":[1,2.5,\"x\",{}]}",
        "[\"a\\\\\",\"\\\"\"]",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!taken(str_of(texts[i]))) {
            fail_msg("not taken: %s", texts[i]);
        }
    }
}

static void test_what_is_no_json_is_not(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1.e5",
        "0x10",
        "1_000",
        "1 2",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "nulll",
        "True",
        "truefalse",
        "true1",
        "9223372036854775808",
        "-9223372036854775809",
        "1e309",
        "-1e99999",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{'a':1}",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\\u0000\"",
        "{\"\\u0000\":1}",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
        "\"\\ud800\\",
        "\"\\ud800\\udc0\"",
        "\"a\nb\"",
        "\"\t\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xc3\\u0041\"",
        "\"\\\xc3\xa9\"",
        "\"\xed\xa0\x80\"",
        "\"\xc0\xaf\"",
        "\"\xf4\x90\x80\x80\"",
        "\xef\xbb\xbf{}",
        "{} {}",
        "{}x",
        "[1]]",
        "//",
        "[1]/**/",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":1}",
        "{\"\":1,\"\":1}",
        "[{\"a\":{\"b\":1,\"c\":2,\"b\":1}}]",
    }; /* clang-format would give each a line */
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (taken(str_of(texts[i]))) {
            fail_msg("taken: %s", texts[i]);
        }
    }
    assert_false(taken((struct str){"1\0", 2}));
    assert_false(taken((struct str){"[1\0]", 4}));
    assert_false(taken((struct str){"\"\0\"", 3}));
}

static void test_numbers_of_any_length(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int digits = 1; digits < 1400; digits += 7) {
        buf_clear(&text);
        buf_puts(&text, "0.");
        for (int i = 0; i < digits; i++) {
            buf_putc(&text, (char)('0' + i % 10));
        }
        assert_true(taken(buf_str(&text)));
        buf_puts(&text, "e");
        assert_false(taken(buf_str(&text)));
        buf_puts(&text, "-99");
        assert_true(taken(buf_str(&text)));
    }
    buf_clear(&text);
    for (int i = 0; i < 400; i++) {
        buf_putc(&text, '9'); /* no whole number, and as a real too large */
    }
    assert_false(taken(buf_str(&text)));
    buf_puts(&text, ".5");
    assert_false(taken(buf_str(&text)));
    buf_free(&text);
}

/* An object of `count` members; the last is called as the one at `twin`, unless that is itself. */
static void put_members(struct buf *text, size_t count, size_t twin)
{
    buf_clear(text);
    for (size_t i = 0; i < count; i++) {
        buf_printf(text, "%s\"n%zu\":%zu", i ? "," : "{", i + 1 == count ? twin : i, i);
    }
    buf_putc(text, '}');
}

static void test_a_name_stands_once_in_objects_of_any_size(void **state)
{
    (void)state;
    struct buf text = {0};
    static const size_t sizes[] = {2, 3, 20, 31, 32, 33, 34, 64, 100, 5000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        const size_t last = sizes[i] - 1;
        const size_t twins[] = {0, last / 2, last - 1};
        put_members(&text, sizes[i], last);
        assert_true(taken(buf_str(&text)));
        for (size_t j = 0; j < ARRAY_LEN(twins); j++) {
            put_members(&text, sizes[i], twins[j]);
            assert_false(taken(buf_str(&text)));
        }
    }
    buf_free(&text);
}

/* Texts of words that JSON is made of, in an order that chance and a little sense give. */
static void put_chance(struct random_stream *stream, struct buf *text, int depth)
{
    static const char *const words[] = {
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d83d",
        "\\ude00",
        "0",
        "-",
        "1",
        ".",
        "e",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\"a\"",
        "\"\\u0061\"",
        "\"b\":",
        "\"a\":",
        "\xc3\xa9",
        "\xc3",
        "\x01",
        "12345678901234567890",
        "1e400",
        "\"\\ud83d\\ude00\"",
    };
    const uint64_t kind = random_bits(stream) % 8;
    const uint64_t count = random_bits(stream) % 4;
    if (kind < 2 && depth) {
        buf_putc(text, kind ? '[' : '{');
        for (uint64_t i = 0; i < count; i++) {
            buf_puts(text, i ? "," : "");
            if (!kind) {
                buf_printf(text, "\"%c\":", 'a' + (int)(random_bits(stream) % 6));
            }
            put_chance(stream, text, depth - 1);
        }
        buf_putc(text, kind ? ']' : '}');
    } else if (kind == 2) {
        for (uint64_t i = 0; i <= count; i++) {
            buf_puts(text, words[random_bits(stream) % ARRAY_LEN(words)]);
        }
    } else {
        static const char *const values[] = {"0",    "-1.5", "\"x\"", "true",
                                             "null", "[]",   "{}",    "7e2"};
        buf_puts(text, values[random_bits(stream) % ARRAY_LEN(values)]);
    }
}

static void test_made_up_texts(void **state)
{
    (void)state;
    struct random_stream stream;
    struct buf text = {0};
    size_t good = 0, all = 30000;
    random_seed(&stream, (const uint64_t[]){1, 2}, 2);
    for (size_t i = 0; i < all; i++) {
        buf_clear(&text);
        put_chance(&stream, &text, 4);
        good += taken(buf_str(&text));
    }
    assert_true(good > all / 10 && good < all - all / 10);
    buf_free(&text);
}

static void test_any_byte_may_be_another(void **state)
{
    (void)state;
    static const char body[] = "{\"kol_id\":\"Đ\\u00e9\\ud83d\\ude00\",\"followers_count\": "
                               "1234.50e+2,\n\"list\":[-0, true,"
                               "\tfalse ,null,{}],\"bio\":\"a\\\\b\\\"c\"}";
    char text[sizeof body];
    size_t good = 0;
    for (size_t at = 0; at + 1 < sizeof body; at++) {
        for (int c = 0; c < 256; c++) {
            memcpy(text, body, sizeof body);
            text[at] = (char)c;
            good += taken((struct str){text, sizeof body - 1});
        }
        assert_false(taken((struct str){body, at}));
    }
    assert_true(good > sizeof body);
}

static void test_bounds(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    const struct json_bounds bounds = {.depth = 2, .values = 4};
    assert_non_null(json_value_read(STR("[[1],2]"), bounds, &arena));
    assert_null(json_value_read(STR("[[[1]]]"), bounds, &arena));
    assert_non_null(
        json_value_read(STR("{\"a\":{\"b\":[1,2]}}"), (struct json_bounds){3, 4}, &arena));
    assert_null(json_value_read(STR("{\"a\":{\"b\":[1]}}"), bounds, &arena));
    assert_non_null(json_value_read(STR("[1,2,3,4]"), bounds, &arena));
    assert_null(json_value_read(STR("[1,2,3,4,5]"), bounds, &arena));
    assert_null(json_value_read(STR("[1,2,3,4,]"), bounds, &arena));
    assert_non_null(json_value_read(STR("7"), (struct json_bounds){0, 0}, &arena));
    arena_free(&arena);
}

static void test_what_can_be_asked(void **state)
{
    (void)state;
    struct arena arena;
    double number = 5;
    arena_init(&arena, 0);
    struct json_value *root = json_value_read(STR("{\"a\":1,\"b\":2.5,\"c\":\"x\",\"d\":[]}"),
                                              (struct json_bounds){9, 99}, &arena);
    struct json_value *a = root->first, *b = a->next, *c = b->next;
    assert_ptr_equal(json_value_get(root, "b"), b);
    assert_null(json_value_get(root, "e"));
    assert_null(json_value_get(NULL, "a"));
    assert_null(json_value_get(a, "a"));
    assert_ptr_equal(json_value_find(root, STR("b"), b), b);
    assert_ptr_equal(json_value_find(root, STR("a"), c), a);
    assert_ptr_equal(json_value_find(root, STR("c"), NULL), c);
    assert_null(json_value_find(root, STR(""), a));
    assert_true(json_value_number(a, &number) && number == 1);
    assert_true(json_value_number(b, &number) && number == 2.5);
    assert_false(json_value_number(c, &number) || json_value_number(NULL, &number));
    assert_true(number == 2.5);
    assert_true(str_is(json_value_text(c), "x"));
    assert_int_equal(json_value_text(a).len + json_value_text(NULL).len, 0);
    assert_null(c->next->first);
    assert_null(c->next->next);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_json_is_taken),
        cmocka_unit_test(test_what_is_no_json_is_not),
        cmocka_unit_test(test_numbers_of_any_length),
        cmocka_unit_test(test_a_name_stands_once_in_objects_of_any_size),
        cmocka_unit_test(test_made_up_texts),
        cmocka_unit_test(test_any_byte_may_be_another),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_what_can_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
