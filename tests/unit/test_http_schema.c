/* test_http_schema.c: JSON bodies, broken, too deep, and against their schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http_fixture.h"

static struct buf detail;
static struct arena arena;

/* The tree of the call before is gone. */
static struct json_value *read_as(const char *schema, const char *body, bool *malformed)
{
    buf_clear(&detail);
    arena_reset(&arena);
    return http_schema_read(&fixture_app, schema, str_of(body), &arena, malformed, &detail);
}

/* "ok", or "400: ..." or "422: ...". */
static const char *outcome(const char *body)
{
    static char text[1024];
    bool malformed = true;
    if (read_as("Book", body, &malformed)) {
        assert_false(malformed);
        return "ok";
    }
    snprintf(text, sizeof text, "%d: %s", malformed ? 400 : 422, detail.ptr);
    return text;
}

static void test_a_body_that_fits_is_handed_over(void **state)
{
    (void)state;
    bool malformed;
    const struct json_value *root =
        read_as("Book",
                " {\"title\":\"Biển\",\"pages\":300.0,\"weight\":1,\"lent\":false,\"shelf\":null,"
                "\"tags\":[\"old\",\"rare\"],\"author\":{\"name\":\"An\",\"born\":null},"
                "\"readers\":[{\"name\":\"B\"},{\"name\":\"C\",\"born\":\"1990-01-31\"}],"
                "\"extra\":{\"x\":[1,2,{}]},\"note\":[null],\"added\":\"2025-05-14T21:17:24Z\"}\n",
                &malformed);
    assert_non_null(root);
    assert_true(str_is(json_value_text(json_value_get(root, "title")), "Biển"));
    /* A whole number written as 300.0 is an integer to the handler. */
    assert_int_equal(json_value_get(root, "pages")->kind, VALUE_INT);
    assert_int_equal(json_value_get(root, "pages")->integer, 300);
    assert_string_equal(outcome("{\"title\":\"x\",\"pages\":null}"), "ok");
}

static void test_what_is_no_json_is_malformed(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        " ",
        "{",
        "{]",
        "nul",
        "{\"title\":\"x\",}",
        "{'title':1}",
        "[1,]",
        "NaN",
        "Infinity",
        "{\"title\":NaN}",
        "{\"title\":-Infinity}",
        "{\"pages\":01}",
        "{\"pages\":.5}",
        "{\"pages\":1e999}",
        "{\"pages\":99999999999999999999}",
        "{} {}",
        "{}x",
        "{\"title\":\"a\\u0000b\"}",
        "{\"title\":\"\xff\"}",
        "{\"title\":\"\\ud800\"}",
        "{\"title\":\"x\",\"title\":\"y\"}",
        "{\"title\":\"a\nb\"}",
        "\"\\",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        if (strncmp(outcome(bodies[i]), "400: ", 5) != 0) {
            fail_msg("%s: %s", bodies[i], outcome(bodies[i]));
        }
    }
    assert_string_equal(outcome(""), "400: The body is not taken: it is empty.");
    assert_string_equal(outcome("{\"title\":\"x\",\n\"a\": 01}"),
                        "400: The body is no JSON (line 2, column 6).");
    bool malformed = false;
    buf_clear(&detail);
    assert_null(http_schema_read(&fixture_app, "Book", (struct str){"1\0", 2}, &arena, &malformed,
                                 &detail));
    assert_true(malformed);
    assert_string_equal(detail.ptr, "The body is no JSON: it holds a NUL byte.");
    assert_non_null(strstr(outcome("{\"a\":1,\"a\":2}"), "stands twice"));
    assert_non_null(strstr(outcome("{\"pages\":99999999999999999999}"), "too large"));
}

static void test_what_breaks_the_schema_is_told_by_pointer(void **state)
{
    (void)state;
#define WITH(members) "{\"title\":\"x\",\"pages\":1," members "}"
    static const struct {
        const char *body, *outcome;
    } cases[] = {
        {"[]", "422: the body must be an object, not a list."},
        {"7", "422: the body must be an object, not a whole number."},
        {"{\"pages\":1}", "422: `/title` is missing, it must be a text of 1 to 100 characters."},
        {"{\"title\":\"\",\"pages\":1}",
         "422: `/title` must be a text of 1 to 100 characters, not ``."},
        {"{\"title\":null,\"pages\":1}",
         "422: `/title` must be a text of 1 to 100 characters, not null."},
        {"{\"title\":\"x\",\"pages\":5001}",
         "422: `/pages` must be a whole number from 0 to 5000 or null, not 5001."},
        {"{\"title\":\"x\",\"pages\":1.5}",
         "422: `/pages` must be a whole number from 0 to 5000 or null, not 1.5."},
        {"{\"title\":\"x\",\"pages\":\"1\"}",
         "422: `/pages` must be a whole number from 0 to 5000 or null, not `1`."},
        {WITH("\"weight\":2.6"), "422: `/weight` must be a number from 0 to 2.5, not 2.6."},
        {WITH("\"lent\":1"), "422: `/lent` must be true or false, not 1."},
        {WITH("\"shelf\":\"map\""),
         "422: `/shelf` must be one of fiction, science, maps or null, not `map`."},
        {WITH("\"tags\":[\"old\",\"old\"]"),
         "422: `/tags` must be a list of 0 to 3 different words out of old, rare, red, new, not a "
         "list."},
        {WITH("\"author\":{\"nmae\":\"A\"}"),
         "422: `/author/name` is missing, it must be a text of 1 to 30 characters; `/author/nmae` "
         "is not known (did you mean `name`?)."},
        {WITH("\"readers\":[{\"name\":\"A\"},{\"name\":\"B\",\"born\":\"1990-02-30\"}]"),
         "422: `/readers/1/born` must be a date such as 2025-05-14 or null, not `1990-02-30`."},
        {WITH("\"readers\":[null]"), "422: `/readers/0` must be an object, not null."},
        {WITH("\"extra\":null"), "422: `/extra` must be an object, not null."},
        {WITH("\"added\":\"today\""),
         "422: `/added` must be a time such as 2025-05-14T21:17:24Z, not `today`."},
        {WITH("\"q/w~z\":1"), "422: `/q~1w~0z` is not known."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(outcome(cases[i].body), cases[i].outcome);
    }
}

static void test_at_most_five_are_told(void **state)
{
    (void)state;
    const char *text = outcome("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1}");
    size_t sentences = 1;
    for (; (text = strchr(text, ';')); text++) {
        sentences++;
    }
    assert_int_equal(sentences, 5);
}

static void test_an_open_schema_takes_more_members(void **state)
{
    (void)state;
    bool malformed;
    assert_non_null(read_as("Open", "{\"status\":\"ok\",\"more\":[1]}", &malformed));
    assert_null(read_as("Open", "{\"more\":1}", &malformed));
    assert_false(malformed);
}

/* `count` times `piece`, between a beginning and an end. */
static const char *repeat(const char *begin, const char *piece, size_t count, const char *end)
{
    static struct buf body;
    buf_clear(&body);
    buf_puts(&body, begin);
    for (size_t i = 0; i < count; i++) {
        buf_puts(&body, piece);
    }
    buf_puts(&body, end);
    return body.ptr;
}

static void test_depth_and_size_are_bounded(void **state)
{
    (void)state;
    assert_non_null(strstr(outcome(repeat("", "[", 33, "")), "32 levels"));
    assert_non_null(strstr(outcome(repeat("", "{\"a\":", 100000, "")), "32 levels"));
    assert_null(strstr(outcome(repeat("", "[", 32, "]")), "32 levels"));
    assert_string_equal(outcome(repeat("{\"title\":\"x\",\"pages\":1,\"note\":", "[", 31,
                                       "]]]]]]]]]]]]]]]]]]]]]]]]]"
                                       "]]]]]]}")),
                        "ok");
    assert_non_null(strstr(outcome(repeat("[0", ",0", 260000, "]")), "250,000 values"));
    assert_string_equal(
        outcome(repeat("{\"title\":\"x\",\"pages\":1,\"note\":[0", ",0", 249996, "]}")), "ok");
    assert_non_null(
        strstr(outcome(repeat("{\"title\":\"x\",\"pages\":1,\"note\":[0", ",0", 249997, "]}")),
               "250,000"));
    /* Brackets and commas within a text are letters. */
    assert_string_equal(outcome("{\"title\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[,[\","
                                "\"pages\":1}"),
                        "ok");
    assert_string_equal(outcome(repeat("{\"title\":\"\\\"", "[", 40, "\",\"pages\":1}")), "ok");
}

static void test_a_long_name_is_cut_at_a_character(void **state)
{
    (void)state;
    const char *text = outcome(repeat("{\"a", "đ", 1000, "\":1}"));
    assert_non_null(strstr(text, "is not known"));
    assert_true(detail.len < 1000);
    assert_non_null(strstr(detail.ptr, "đ` is not known"));
    assert_non_null(strstr(outcome(repeat("{\"", "đ", 1000, "\":1}")), "đ` is not known"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_that_fits_is_handed_over),
        cmocka_unit_test(test_what_is_no_json_is_malformed),
        cmocka_unit_test(test_what_breaks_the_schema_is_told_by_pointer),
        cmocka_unit_test(test_at_most_five_are_told),
        cmocka_unit_test(test_an_open_schema_takes_more_members),
        cmocka_unit_test(test_depth_and_size_are_bounded),
        cmocka_unit_test(test_a_long_name_is_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
