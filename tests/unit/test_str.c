/* test_str.c: views, buffers, numbers as text, nearest names, arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/str.h"

static void test_trim_takes_white_space_at_both_ends_only(void **state)
{
    (void)state;
    assert_true(str_is(str_trim(STR(" \t\r\n a b \v\f")), "a b"));
    assert_int_equal(str_trim(STR(" \n ")).len, 0);
    assert_int_equal(str_trim((struct str){NULL, 0}).len, 0);
}

static void test_cut_tells_a_last_empty_piece_from_the_end(void **state)
{
    (void)state;
    struct str rest = STR("a,,b,");
    assert_true(str_is(str_cut(&rest, ','), "a"));
    assert_true(str_is(str_cut(&rest, ','), ""));
    assert_true(str_is(str_cut(&rest, ','), "b"));
    assert_non_null(rest.ptr); /* something stood behind the last comma: an empty piece */
    assert_int_equal(str_cut(&rest, ',').len, 0);
    assert_null(rest.ptr);
}

static void test_compare_orders_by_bytes_and_a_prefix_first(void **state)
{
    (void)state;
    assert_true(str_compare(STR("ab"), STR("abc")) < 0);
    assert_true(str_compare(STR("b"), STR("abc")) > 0);
    assert_true(str_compare(STR("\xc3"), STR("z")) > 0);
    assert_int_equal(str_compare(STR("x"), STR("x")), 0);
    assert_true(str_is_nocase(STR("KoL"), "kol"));
    assert_false(str_is_nocase(STR("kolx"), "kol"));
}

static void test_integers_are_read_over_their_whole_range_and_not_beyond(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"+7", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t value = 42;
        assert_int_equal(str_to_int64(str_of(cases[i].text), &value), cases[i].ok);
        assert_true(value == (cases[i].ok ? cases[i].value : 42));
    }
}

static void test_doubles_refuse_what_is_no_plain_finite_number(void **state)
{
    (void)state;
    double value;
    assert_true(str_to_double(STR("-1.5e3"), &value));
    assert_true(value == -1500.0);
    static const char *const bad[] = {"", "nan", "inf", "0x10", "1e999", "1,5", "1 ", "e5", "-"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(str_to_double(str_of(bad[i]), &value));
    }
    assert_false(str_to_double((struct str){"1\0002", 3}, &value));
}

static void test_doubles_are_written_short_and_read_back_the_same(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {1e21, "1e+21"},
                 {-0.0, "-0"},
                 {1.0 / 3, NULL},
                 {DBL_MAX, NULL},
                 {DBL_TRUE_MIN, NULL},
                 {123456789, "123456789"},
                 {0, "0"},
                 {-0.05, "-0.05"},
                 {87.5, "87.5"},
                 {-1234567.89, "-1234567.89"},
                 {9999999999999.99, "9999999999999.99"},
                 {1e13, "10000000000000"},
                 {0.001, "0.001"},
                 {0.30000000000000004, "0.30000000000000004"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = {0};
        buf_put_double(&text, cases[i].value);
        assert_true(strtod(text.ptr, NULL) == cases[i].value);
        if (cases[i].text) {
            assert_string_equal(text.ptr, cases[i].text);
        }
        buf_free(&text);
    }
}

/* The shortest that reads back, by printf alone. */
static void put_by_printf(char out[32], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            break;
        }
    }
}

static double some_double(uint64_t number)
{
    static const double tens[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e9, 1e12, 1e15, 1e17};
    const uint64_t whole = (number * UINT64_C(0x9E3779B97F4A7C15)) >> (number >> 4) % 60;
    double value;
    switch (number % 4) {
    case 0: /* any mantissa, of common sizes and somewhat beyond */
        value = ldexp(1 + (double)(whole >> 12) * 0x1p-52, (int)(number / 4 % 72) - 18);
        break;
    case 1: /* a decimal */
        value = (double)(int64_t)(whole >> 1) / tens[number / 4 % ARRAY_LEN(tens)];
        break;
    case 2: /* a ratio, as rates and means are */
        value = (double)(whole % 100003) / (double)(1 + number % 99991);
        break;
    default: /* beside a decimal */
        value = nextafter((double)(whole % 1000000007) / tens[number / 4 % ARRAY_LEN(tens)],
                          number & 4 ? DBL_MAX : 0);
    }
    return number & 8 ? -value : value;
}

static void test_doubles_are_the_text_that_printf_gives(void **state)
{
    (void)state;
    char wanted[32];
    struct buf text = {0};
    for (uint64_t number = 0; number < 100000; number++) {
        const double value = some_double(number);
        buf_clear(&text);
        buf_put_double(&text, value);
        put_by_printf(wanted, value);
        assert_string_equal(text.ptr, wanted);
    }
    buf_free(&text);
}

/* Numbers of all lengths and places of the point, read beside the library. */
static void test_doubles_are_read_as_the_library_does(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int i = 0; i < 200000; i++) {
        char text[40];
        double value;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const int digits = 1 + (int)(seed >> 60) % 17, decimals = (int)(seed >> 56 & 15);
        long long number = (long long)(seed >> 3 & 0xffffffffffffffff);
        for (long long most = 1, d = 0; d < 18; d++, most *= 10) {
            number = d == digits ? number % most : number;
        }
        snprintf(text, sizeof text, "%s%lld.%0*lld", seed & 1 ? "-" : "", number / 1000,
                 decimals + 1, number % 1000);
        assert_true(str_to_double(str_of(text), &value));
        const double expected = strtod(text, NULL);
        assert_memory_equal(&value, &expected, sizeof value);
    }
}

static void test_integers_are_written_to_both_ends_of_the_range(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_put_int64(&text, INT64_MIN);
    buf_putc(&text, ' ');
    buf_put_int64(&text, INT64_MAX);
    buf_putc(&text, ' ');
    buf_put_int64(&text, 0);
    assert_string_equal(text.ptr, "-9223372036854775808 9223372036854775807 0");
    buf_free(&text);
}

static void test_buffer_grows_and_stays_a_c_string(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (int i = 0; i < 1000; i++) {
        buf_printf(&buf, "%d,", i);
        assert_int_equal(strlen(buf.ptr), buf.len);
    }
    assert_true(str_starts(buf_str(&buf), STR("0,1,2,")));
    buf_append(&buf, NULL, 0);
    buf_free(&buf);
    assert_null(buf.ptr);
}

static void test_nearest_name_is_offered_only_where_it_is_near(void **state)
{
    (void)state;
    static const char *const names[] = {"followers_count", "following_count", "bio"};
    assert_string_equal(str_nearest(STR("folowers_count"), names, 3), "followers_count");
    assert_string_equal(str_nearest(STR("boi"), names, 3), "bio"); /* letters swapped */
    assert_null(str_nearest(STR("zzzzzz"), names, 3));
    assert_null(str_nearest(STR(""), NULL, 0));
}

static void test_arena_gives_aligned_memory_that_a_reset_reuses(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 128);
    void *first = arena_alloc(&arena, 10);
    for (size_t size = 1; size < 1000; size += 37) {
        unsigned char *memory = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)memory % 16, 0);
        memset(memory, 0xAB, size);
    }
    struct str copy = arena_copy(&arena, (struct str){"a\0b", 3});
    assert_memory_equal(copy.ptr, "a\0b", 4);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 10), first);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim_takes_white_space_at_both_ends_only),
        cmocka_unit_test(test_cut_tells_a_last_empty_piece_from_the_end),
        cmocka_unit_test(test_compare_orders_by_bytes_and_a_prefix_first),
        cmocka_unit_test(test_integers_are_read_over_their_whole_range_and_not_beyond),
        cmocka_unit_test(test_doubles_refuse_what_is_no_plain_finite_number),
        cmocka_unit_test(test_doubles_are_written_short_and_read_back_the_same),
        cmocka_unit_test(test_doubles_are_the_text_that_printf_gives),
        cmocka_unit_test(test_doubles_are_read_as_the_library_does),
        cmocka_unit_test(test_integers_are_written_to_both_ends_of_the_range),
        cmocka_unit_test(test_buffer_grows_and_stays_a_c_string),
        cmocka_unit_test(test_nearest_name_is_offered_only_where_it_is_near),
        cmocka_unit_test(test_arena_gives_aligned_memory_that_a_reset_reuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
