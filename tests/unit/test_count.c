/* test_count.c: what a count string says, and which strings say nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "domain/count.h"

#define NBSP "\xC2\xA0"            /* U+00A0 */
#define NARROW_NBSP "\xE2\x80\xAF" /* U+202F */

enum { UNTOUCHED = -77 };

/* Reads from memory of the exact size, so that a sanitizer sees a read past the end. */
static bool read_count(struct str text, int64_t *out)
{
    char *exact = mem_alloc(text.len ? text.len : 1);
    if (text.len) {
        memcpy(exact, text.ptr, text.len);
    }
    bool known = count_parse((struct str){exact, text.len}, out);
    free(exact);
    return known;
}

static void check_value(const char *text, int64_t wanted)
{
    int64_t value = UNTOUCHED;
    if (!read_count(str_of(text), &value)) {
        fail_msg("\"%s\" is unknown, wanted %lld", text, (long long)wanted);
    }
    if (value != wanted) {
        fail_msg("\"%s\" is %lld, wanted %lld", text, (long long)value, (long long)wanted);
    }
}

static void check_unknown_bytes(struct str text)
{
    int64_t value = UNTOUCHED;
    if (read_count(text, &value)) {
        fail_msg("\"%.*s\" is %lld, wanted unknown", STR_FORMAT(text), (long long)value);
    }
    if (value != UNTOUCHED) {
        fail_msg("\"%.*s\" is unknown, but the result was written", STR_FORMAT(text));
    }
}

static void check_unknown(const char *text)
{
    check_unknown_bytes(str_of(text));
}

static void test_counts_of_the_specification(void **state)
{
    (void)state;
    check_value("11.3K", 11300);
    check_value("4.1M", 4100000);
    check_value("1.2B", 1200000000);
    check_value("1,234", 1234);
    check_value("1 234", 1234);
    check_value("1,2K", 1200);
    check_value("12,5N", 12500);
    check_value("4,1Tr", 4100000);
    check_value("1.234.567", 1234567);
    check_value("1.234", 1234);
    check_value("1,234K", 1234);
    check_value(" 3k ", 3000);
}

static void test_garbage_is_unknown_and_never_zero(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1.2",   "",     "abc",  "-5",    "1.2.3K", "1e9",      "9999999999999999999B",
        " ",     "K",    "Tr",   ".",     ",",      "--",       "N/A",
        "1x",    "x1",   "0x10", "1K2",   "1/2",    "\xD9\xA3", "\xEF\xBC\x91",
        "1\xC2", "\xC2", "\xA0", "1;234", "1'234",  "1_234",    "$5",
        "5%",    "inf",  "nan",  "NaN",   "null",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        check_unknown(texts[i]);
    }
    check_unknown_bytes((struct str){NULL, 0});
    check_unknown_bytes(STR("12\0"));
    check_unknown_bytes(STR("\0"
                            "12"));
    check_unknown_bytes(STR("1\0K"));
}

static void test_plain_digits(void **state)
{
    (void)state;
    check_value("0", 0);
    check_value("7", 7);
    check_value("1234", 1234);
    check_value("007", 7);
    check_value("1234567890123", 1234567890123);
}

static void test_suffixes_in_any_case(void **state)
{
    (void)state;
    check_value("2k", 2000);
    check_value("2K", 2000);
    check_value("2n", 2000);
    check_value("2N", 2000);
    check_value("2m", 2000000);
    check_value("2M", 2000000);
    check_value("2tr", 2000000);
    check_value("2TR", 2000000);
    check_value("2tR", 2000000);
    check_value("2b", 2000000000);
    check_value("0K", 0);
    check_value("0,5K", 500);
    check_value("0.5k", 500);
    check_value("1234K", 1234000);
    check_unknown("2T");
    check_unknown("2r");
    check_unknown("2KK");
    check_unknown("2Kr");
    check_unknown("2rt");
    check_unknown("2TrK");
    check_unknown("2G");
    check_unknown("2 nghin");
}

static void test_fractions_of_a_unit_are_cut(void **state)
{
    (void)state;
    check_value("1.9999K", 1999);
    check_value("0.0009K", 0);
    check_value("1,2345678M", 1234567);
    check_value("1.23456789012345678901234567890B", 1234567890);
    check_value("4.1000000M", 4100000);
}

static void test_groups_of_three(void **state)
{
    (void)state;
    check_value("12,345", 12345);
    check_value("123.456", 123456);
    check_value("1,234,567,890", 1234567890);
    check_value("1 234 567", 1234567);
    check_value("1" NBSP "234", 1234);
    check_value("1" NARROW_NBSP "234" NARROW_NBSP "567", 1234567);
    check_value("1 234" NBSP "567", 1234567);
    check_unknown("12,34");
    check_unknown("1,2345");
    check_unknown("1234,567");
    check_unknown("1,,234");
    check_unknown(",234");
    check_unknown("1,234,");
    check_unknown("1,234,56");
    check_unknown("0.123");
    check_unknown("0,123");
    check_unknown("00 123");
    check_unknown("1  234");
    check_unknown("1\t234");
    check_unknown("1\n234");
}

static void test_two_kinds_of_separators_are_unknown(void **state)
{
    (void)state;
    check_unknown("1.234,567");
    check_unknown("1,234.567");
    check_unknown("1 234.567");
    check_unknown("1,234" NBSP "567");
    check_unknown("1,234.5K");
    check_unknown("1.234,5M");
}

static void test_groups_in_front_of_a_suffix_are_unknown(void **state)
{
    (void)state;
    check_unknown("1 234K");
    check_unknown("1" NBSP "234K");
    check_unknown("1,234,567K");
    check_unknown("1.2.3M");
}

static void test_point_needs_digits_on_both_sides(void **state)
{
    (void)state;
    check_unknown(".5K");
    check_unknown("5.K");
    check_unknown(",5 K");
    check_unknown(".K");
    check_unknown("5.");
    check_unknown(".5");
    check_unknown("5. K");
}

static void test_signs_and_exponents_are_unknown(void **state)
{
    (void)state;
    check_unknown("+5");
    check_unknown("-5K");
    check_unknown("99+");
    check_unknown("10K+");
    check_unknown("1e3");
    check_unknown("1E3K");
    check_unknown("\xE2\x88\x92"
                  "5");
}

static void test_white_space_around_and_before_the_suffix(void **state)
{
    (void)state;
    check_value("1.2 M", 1200000);
    check_value("1.2\tM", 1200000);
    check_value("4,1" NBSP "Tr", 4100000);
    check_value("4,1" NARROW_NBSP "tr", 4100000);
    check_value("5  K", 5000);
    check_value("\t\n 12 \r\n", 12);
    check_value(NBSP "1 234" NARROW_NBSP, 1234);
    check_value(" " NBSP "\t" NARROW_NBSP "9" NBSP " ", 9);
    check_unknown("4 T r");
    check_unknown("1 .5K");
    check_unknown("1. 5K");
    check_unknown(NBSP);
    check_unknown(" K");
}

static void test_bounds_of_64_bits(void **state)
{
    (void)state;
    check_value("9223372036854775807", INT64_MAX);
    check_value("0009223372036854775807", INT64_MAX);
    check_value("9,223,372,036,854,775,807", INT64_MAX);
    check_value("9223372036854775.807K", INT64_MAX);
    check_value("9223372036854775.8079K", INT64_MAX);
    check_value("9223372036854,775807M", INT64_MAX);
    check_value("9223372036.854775807B", INT64_MAX);
    check_unknown("9223372036854775808");
    check_unknown("9,223,372,036,854,775,808");
    check_unknown("9223372036854775.808K");
    check_unknown("9223372036854775808K");
    check_unknown("9223372036854776K");
    check_unknown("9223372036.854775808B");
    check_unknown("9223372037B");
    check_unknown("18446744073709551616");
    check_unknown("100000000000000000000000000000000000000000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_of_the_specification),
        cmocka_unit_test(test_garbage_is_unknown_and_never_zero),
        cmocka_unit_test(test_plain_digits),
        cmocka_unit_test(test_suffixes_in_any_case),
        cmocka_unit_test(test_fractions_of_a_unit_are_cut),
        cmocka_unit_test(test_groups_of_three),
        cmocka_unit_test(test_two_kinds_of_separators_are_unknown),
        cmocka_unit_test(test_groups_in_front_of_a_suffix_are_unknown),
        cmocka_unit_test(test_point_needs_digits_on_both_sides),
        cmocka_unit_test(test_signs_and_exponents_are_unknown),
        cmocka_unit_test(test_white_space_around_and_before_the_suffix),
        cmocka_unit_test(test_bounds_of_64_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
