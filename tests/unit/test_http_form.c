/* test_http_form.c: cookies out of a header, form posts as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/parts.h"

static void test_a_cookie_is_found_by_its_whole_name(void **state)
{
    (void)state;
    static const struct {
        const char *header, *value; /* NULL: none */
    } cases[] = {
        {"id=x", "x"},         {"a=b; id=x; c=d", "x"},
        {"a=b;id=x;c=d", "x"}, {" \t id = x \t ", "x"},
        {"id=x=y==", "x=y=="}, {"id=", ""},
        {"id=\"x y\"", "x y"}, {"id=\"\"", ""},
        {"id=\"", "\""},       {"id=\"x", "\"x"},
        {"a; id=x", "x"},      {";;; ;id=x;", "x"},
        {"id=x; id=x", "x"},   {"id=x; id=y", NULL},
        {"id=; id=y", NULL},   {"", NULL},
        {"id", NULL},          {"=x", NULL},
        {"ID=x", NULL},        {"id2=x", NULL},
        {"xid=x", NULL},       {"a=id=x", NULL},
        {"a=b, id=x", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str value;
        const bool found = http_cookie(str_of(cases[i].header), "id", &value);
        assert_int_equal(found, cases[i].value != NULL);
        if (!str_is(value, found ? cases[i].value : "")) {
            fail_msg("%s: %.*s", cases[i].header, STR_FORMAT(value));
        }
    }
}

static void test_all_values_of_a_cookie_are_found(void **state)
{
    (void)state;
    static const char *const values[] = {"x", "", "y z", "x"};
    struct str header = STR("a=b; id=x;id=; id; id2=q; id=\"y z\" ;; id=x; c=d"), value;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        assert_true(http_cookie_next(&header, "id", &value));
        assert_true(str_is(value, values[i]));
    }
    assert_false(http_cookie_next(&header, "id", &value));
    assert_int_equal(header.len, 0);
}

/* Every part of a header is read within its bounds: each stands at the end of a block of its own.
 */
static void test_no_byte_beyond_a_header_is_read(void **state)
{
    (void)state;
    static const char text[] = "a=\"b\"; id=\"xyz\"; id ; id=\"x";
    for (size_t from = 0; from < sizeof text; from++) {
        for (size_t len = 0; from + len < sizeof text; len++) {
            char *block = mem_alloc(len + 1);
            struct str value;
            memcpy(block + 1, text + from, len);
            const bool found = http_cookie((struct str){block + 1, len}, "id", &value);
            assert_true(found || !value.len);
            assert_true(!value.len ||
                        (value.ptr > block && value.ptr + value.len <= block + 1 + len));
            free(block);
        }
    }
}

static void test_a_form_becomes_an_object_of_texts(void **state)
{
    (void)state;
    static const struct {
        const char *form, *json; /* NULL: it is none */
    } cases[] = {
        {"", "{}"},
        {"&&", "{}"},
        {"key=x", "{\"key\":\"x\"}"},
        {"key=x&", "{\"key\":\"x\"}"},
        {"a=1&b=2", "{\"a\":\"1\",\"b\":\"2\"}"},
        {"a=1&a=2", "{\"a\":\"1\",\"a\":\"2\"}"}, /* refused by who reads the JSON */
        {"key", "{\"key\":\"\"}"},
        {"=x", "{\"\":\"x\"}"},
        {"k+y=a+b%2B%26", "{\"k y\":\"a b+&\"}"},
        {"key=%C4%90%22%5C", "{\"key\":\"\xc4\x90\\\"\\\\\"}"},
        {"key=a=b", "{\"key\":\"a=b\"}"},
        {"key=%zz", NULL},
        {"key=%4", NULL},
        {"key=%00", NULL},
        {"key=%0a%1f%7f", "{\"key\":\"\\n\\u001f\x7f\"}"},
        {"key=%ff", NULL},
        {"%ff=x", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct buf json = {0};
        arena_init(&arena, 256);
        const bool taken = http_form_put_json(str_of(cases[i].form), &arena, &json);
        if (taken != (cases[i].json != NULL) || (taken && !str_is(buf_str(&json), cases[i].json))) {
            fail_msg("%s: %s", cases[i].form, json.ptr);
        }
        buf_free(&json);
        arena_free(&arena);
    }
}

static void test_a_form_of_too_many_pairs_is_none(void **state)
{
    (void)state;
    for (int count = HTTP_MAX_MEMBERS; count <= HTTP_MAX_MEMBERS + 1; count++) {
        struct arena arena;
        struct buf form = {0}, json = {0};
        arena_init(&arena, 0);
        for (int i = 0; i < count; i++) {
            buf_printf(&form, "&n%d=v", i);
        }
        assert_int_equal(http_form_put_json(buf_str(&form), &arena, &json),
                         count == HTTP_MAX_MEMBERS);
        buf_free(&form);
        buf_free(&json);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cookie_is_found_by_its_whole_name),
        cmocka_unit_test(test_all_values_of_a_cookie_are_found),
        cmocka_unit_test(test_no_byte_beyond_a_header_is_read),
        cmocka_unit_test(test_a_form_becomes_an_object_of_texts),
        cmocka_unit_test(test_a_form_of_too_many_pairs_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
