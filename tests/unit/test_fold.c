/* test_fold.c: text as it is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/fold.h"
#include "base/mem.h"

static void assert_folds(const char *text, const char *expected)
{
    struct buf out = {0};
    buf_puts(&out, "kept:");
    fold_put(&out, str_of(text));
    assert_memory_equal(out.ptr, "kept:", 5);
    assert_string_equal(out.ptr + 5, expected);
    buf_free(&out);
}

static void test_case_and_accents_are_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"Nguyễn Đặng", "nguyen dang"},
        {"ĐỖ MỸ LINH", "do my linh"},
        {"Tr\u01b0\u01a1ng", "truong"},
        {"e\u0302\u0301", "e"}, /* accents behind their letter */
        {"Stra\u00dfe STRASSE", "strasse strasse"},
        {"Ærøskøbing Łódź", "aeroskobing lodz"},
        {"\uff21\uff22\uff23 \u00bd", "abc 1\u20442"},
        {"\U0001d4d0\U0001d4d1", "ab"}, /* letters of mathematics, used as ornament */
        {"\u0419\u043e\u0433", "\u0438\u043e\u0433"},
        {"\u0391\u03b8\u03ae\u03bd\u03b1", "\u03b1\u03b8\u03b7\u03bd\u03b1"},
        {"\ud55c", "\u1112\u1161\u11ab"},
        {"\u0e01\u0e34", "\u0e01\u0e34"}, /* a vowel sign is no accent */
        {"\u6f22\u5b57", "\u6f22\u5b57"},
        {"\U0001f600 ok", "\U0001f600 ok"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_folds(cases[i].text, cases[i].expected);
    }
}

static void test_blanks_become_one(void **state)
{
    (void)state;
    assert_folds("  a \t\n\u00a0 B  ", "a b");
    assert_folds(" \u3000 ", "");
}

static void test_what_is_no_utf8_goes_as_it_is(void **state)
{
    (void)state;
    assert_folds("A\xff\xc3", "a\xff\xc3");
    assert_folds("\xe1\xbb", "\xe1\xbb");
}

static size_t put_utf8(char *out, uint32_t point)
{
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    size_t len = point < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; point >>= 6) {
        out[i] = (char)(0x80 | (point & 0x3F));
    }
    out[0] = (char)((len == 3 ? 0xE0 : 0xF0) | point);
    return len;
}

static void test_what_is_folded_folds_to_itself(void **state)
{
    (void)state;
    struct buf once = {0}, twice = {0};
    for (uint32_t point = 0x80; point < 0x110000; point++) {
        char text[4];
        if (point >= 0xD800 && point < 0xE000) {
            continue;
        }
        size_t len = put_utf8(text, point);
        buf_clear(&once);
        buf_clear(&twice);
        fold_put(&once, (struct str){text, len});
        fold_put(&twice, buf_str(&once));
        if (!str_equal(buf_str(&once), buf_str(&twice))) {
            fail_msg("U+%04X folds to '%s', then to '%s'", point, once.ptr, twice.ptr);
        }
    }
    buf_free(&once);
    buf_free(&twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case_and_accents_are_left_out),
        cmocka_unit_test(test_blanks_become_one),
        cmocka_unit_test(test_what_is_no_utf8_goes_as_it_is),
        cmocka_unit_test(test_what_is_folded_folds_to_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
