/* test_api_cursor.c: a cursor comes back as it went out, and nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "api/lists.h"

static void assert_same(const struct api_cursor *a, const struct api_cursor *b)
{
    assert_int_equal(a->copy, b->copy);
    assert_int_equal(a->stamp, b->stamp);
    assert_int_equal(a->list, b->list);
    assert_int_equal(a->place, b->place);
}

static const struct api_cursor sample = {7, 0x0123456789abcdef, 0xfedcba9876543210, 123456789};

static void test_every_number_comes_back(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 255, 256, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
            const struct api_cursor cursor = {(int64_t)(numbers[i] >> 1), numbers[k], numbers[i],
                                              (int64_t)(numbers[k] >> 1)};
            struct api_cursor back;
            char text[API_CURSOR_BYTES];
            api_cursor_put(&cursor, text);
            assert_true(strlen(text) < API_CURSOR_BYTES);
            assert_true(api_cursor_read(str_of(text), &back));
            assert_same(&cursor, &back);
        }
    }
}

static void test_a_cursor_needs_no_escape_in_a_query(void **state)
{
    (void)state;
    struct api_cursor cursor = sample;
    for (int i = 0; i < 1000; i++) {
        char text[API_CURSOR_BYTES];
        cursor.list = cursor.list * 6364136223846793005u + 1442695040888963407u;
        api_cursor_put(&cursor, text);
        assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_"),
                         strlen(text));
    }
}

static void test_every_altered_letter_is_seen(void **state)
{
    (void)state;
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                                  "+/= %\n";
    char text[API_CURSOR_BYTES];
    struct api_cursor back;
    api_cursor_put(&sample, text);
    for (size_t i = 0; text[i]; i++) {
        const char before = text[i];
        for (const char *letter = letters; *letter; letter++) {
            text[i] = *letter;
            assert_int_equal(api_cursor_read(str_of(text), &back), *letter == before);
        }
        text[i] = before;
    }
}

static void test_cut_lengthened_and_empty_texts_are_refused(void **state)
{
    (void)state;
    char text[2 * API_CURSOR_BYTES];
    struct api_cursor back;
    api_cursor_put(&sample, text);
    const size_t len = strlen(text);
    for (size_t cut = 0; cut < len; cut++) {
        assert_false(api_cursor_read((struct str){text, cut}, &back));
    }
    assert_true(api_cursor_read((struct str){text, len}, &back));
    memcpy(text + len, "AAAAAAAAAAAAAAAA==", 19);
    for (size_t more = 1; more < 19; more++) {
        assert_false(api_cursor_read((struct str){text, len + more}, &back));
    }
}

static void test_a_place_below_zero_is_refused(void **state)
{
    (void)state;
    struct api_cursor cursor = sample, back;
    char text[API_CURSOR_BYTES];
    cursor.place = -1;
    api_cursor_put(&cursor, text);
    assert_false(api_cursor_read(str_of(text), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_number_comes_back),
        cmocka_unit_test(test_a_cursor_needs_no_escape_in_a_query),
        cmocka_unit_test(test_every_altered_letter_is_seen),
        cmocka_unit_test(test_cut_lengthened_and_empty_texts_are_refused),
        cmocka_unit_test(test_a_place_below_zero_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
