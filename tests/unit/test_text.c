/* test_text.c: UTF-8, JSON strings, base64, times as text, and the hashes others must agree with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"

static void test_utf8_is_checked_by_the_tables_of_unicode(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool ok;
    } cases[] = {
        {"", true},
        {"plain text that is longer than eight bytes", true},
        {"Đặng Thị Ánh \xf0\x9f\x8e\xac", true},
        {"\xf4\x8f\xbf\xbf", true},  /* U+10FFFF */
        {"\xf4\x90\x80\x80", false}, /* above it */
        {"\xed\xa0\x80", false},     /* a surrogate */
        {"\xc0\xaf", false},         /* overlong */
        {"\xe0\x80\xaf", false},
        {"\xf0\x80\x80\xaf", false},
        {"\xff", false},
        {"\x80", false},
        {"12345678\xc3", false}, /* cut at the end */
        {"\xe1\xbb", false},
        {"a\xc3z", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(text_is_utf8(str_of(cases[i].bytes)), cases[i].ok);
    }
}

/* Long texts are checked many bytes at a time: each sequence at each place among others. */
static void test_utf8_is_checked_alike_at_every_place_of_a_long_text(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool ok;
    } cases[] = {
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xe1\xbb\x93", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xc1\xbf", false},
        {"\xc3", false},
        {"\xc3\xc3\x80", false},
        {"\xe0\x9f\xbf", false},
        {"\xe1\xbb", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf1\x80\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xc2\x80\x80", false},
        {"\xff", false},
    };
    static const char *const fillers[] = {"a", "\xe1\xbb\x93", "\xf0\x9f\x8d\x9c"};
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        for (size_t f = 0; f < ARRAY_LEN(fillers); f++) {
            for (int before = 0; before < 90; before++) {
                struct buf text = {0};
                for (int i = 0; i < before; i++) {
                    buf_puts(&text, fillers[i % 7 == 3 ? 0 : f]);
                }
                buf_puts(&text, cases[c].bytes);
                assert_int_equal(text_is_utf8(buf_str(&text)), cases[c].ok);
                for (int i = before; i < 97; i++) {
                    buf_puts(&text, fillers[f]);
                }
                assert_int_equal(text_is_utf8(buf_str(&text)), cases[c].ok);
                buf_free(&text);
            }
        }
    }
}

static void test_length_and_prefix_count_code_points(void **state)
{
    (void)state;
    struct str text = STR("Đặng 🎬!");
    assert_int_equal(text_length(text), 7);
    assert_true(str_is(text_prefix(text, 2), "Đặ"));
    assert_true(str_is(text_prefix(text, 6), "Đặng 🎬"));
    assert_true(str_is(text_prefix(text, 100), "Đặng 🎬!"));
    assert_int_equal(text_prefix(text, 0).len, 0);
}

static void test_json_strings_escape_only_what_they_must(void **state)
{
    (void)state;
    struct buf out = {0};
    text_put_json(&out, (struct str){"a\"\\\b\f\n\r\t\0\x1f/é\x7f", 14});
    assert_string_equal(out.ptr, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f/é\x7f\"");
    buf_free(&out);
}

static void test_json_strings_escape_every_byte_at_every_place(void **state)
{
    (void)state;
    struct buf out = {0};
    for (int byte = 0; byte < 256; byte++) {
        const bool escaped = byte < 0x20 || byte == '"' || byte == '\\';
        for (size_t at = 0; at < 20; at++) {
            char text[20];
            memset(text, '!', sizeof text);
            text[at] = (char)byte;
            buf_clear(&out);
            text_put_json(&out, (struct str){text, sizeof text});
            assert_int_equal(out.ptr[0], '"');
            assert_int_equal(out.ptr[out.len - 1], '"');
            assert_true(at == 0 || memcmp(out.ptr + 1, text, at) == 0);
            assert_int_equal(out.ptr[1 + at], escaped ? '\\' : (char)byte);
            const size_t behind = sizeof text - at - 1;
            assert_true(memcmp(out.ptr + out.len - 1 - behind, text + at + 1, behind) == 0);
            assert_true(out.len == 22 || (escaped && (out.len == 23 || out.len == 27)));
        }
    }
    buf_free(&out);
}

static void test_percent_encoding_stands_for_any_byte_and_garbage_is_refused(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int byte = 0; byte < 256; byte++) {
        char upper[4], lower[4];
        snprintf(upper, sizeof upper, "%%%02X", (unsigned)byte);
        snprintf(lower, sizeof lower, "%%%02x", (unsigned)byte);
        assert_int_equal(text_percent_byte(str_of(upper)), byte);
        assert_int_equal(text_percent_byte(str_of(lower)), byte);
    }
    assert_true(text_put_percent_decoded(&text, STR("a+%2F%00%c4%91b%25")));
    assert_true(str_equal(buf_str(&text), STR("a+/\0\xc4\x91"
                                              "b%")));
    static const char *const bad[] = {"%", "%4", "%g1", "%1g", "%%41", "ab%4", "a%-1", "% 41"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_clear(&text);
        assert_false(text_put_percent_decoded(&text, str_of(bad[i])));
    }
    assert_int_equal(text_percent_byte(STR("a%41")), -1);
    assert_int_equal(text_percent_byte(STR("")), -1);
    /* No byte behind the text is looked at. */
    assert_int_equal(text_percent_byte((struct str){"%41", 2}), -1);
    buf_free(&text);
}

static void test_base64_comes_back_and_garbage_is_refused(void **state)
{
    (void)state;
    struct buf text = {0}, back = {0};
    char bytes[257];
    for (size_t len = 0; len < sizeof bytes; len++) {
        bytes[len] = (char)(len * 7);
        buf_clear(&text);
        buf_clear(&back);
        text_put_base64(&text, (struct str){bytes, len});
        assert_true(text_put_unbase64(&back, buf_str(&text)));
        assert_int_equal(back.len, len);
        assert_true(len == 0 || memcmp(back.ptr, bytes, len) == 0);
    }
    buf_clear(&text);
    text_put_base64(&text, STR("light w"));
    assert_string_equal(text.ptr, "bGlnaHQgdw==");
    static const char *const bad[] = {
        "abc", "ab=c", "a===", "====", "ab*d", "abcd=bcd", "ab==abcd"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t before = back.len;
        assert_false(text_put_unbase64(&back, str_of(bad[i])));
        assert_int_equal(back.len, before);
    }
    buf_free(&text);
    buf_free(&back);
}

static void test_times_are_read_with_their_zone_and_refused_without(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us; /* -1: refused */
    } cases[] = {
        {"2025-05-14T21:17:24Z", INT64_C(1747257444000000)},
        {"2025-05-14t21:17:24z", INT64_C(1747257444000000)},
        {"2025-05-14 21:17:24+00:00", INT64_C(1747257444000000)},
        {"2025-05-15T04:17:24+07:00", INT64_C(1747257444000000)},
        {"2025-05-14T11:47:24-09:30", INT64_C(1747257444000000)},
        {"2025-05-14T21:17:24.5Z", INT64_C(1747257444500000)},
        {"2025-05-14T21:17:24.123456789Z", INT64_C(1747257444123456)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2023-02-29T00:00:00Z", -1},
        {"1900-02-29T00:00:00Z", -1},
        {"2025-05-14T21:17:24", -1},
        {"2025-05-14", -1},
        {"2025-05-14T24:00:00Z", -1},
        {"2025-13-01T00:00:00Z", -1},
        {"2025-05-32T00:00:00Z", -1},
        {"2025-05-14T21:17:24.Z", -1},
        {"2025-05-14T21:17:24+0700", -1},
        {"2025-05-14T21:17:24Zx", -1},
        {"", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t us = -1;
        assert_int_equal(clock_parse(str_of(cases[i].text), &us), cases[i].us != -1);
        assert_true(us == cases[i].us);
    }
}

static void test_times_come_back_as_they_were_written(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z", "2000-02-29T12:34:56.000001Z", "2100-03-01T00:00:00Z"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf out = {0};
        int64_t us;
        assert_true(clock_parse(str_of(texts[i]), &us));
        clock_format(&out, us);
        assert_string_equal(out.ptr, texts[i]);
        buf_free(&out);
    }
    int64_t day;
    assert_true(clock_parse_day(STR("2020-08-15"), &day));
    assert_true(day == INT64_C(1597449600000000));
    assert_false(clock_parse_day(STR("2020-08-15T"), &day));
}

static void test_a_fixed_clock_stands_until_it_is_released(void **state)
{
    (void)state;
    clock_fix(12345);
    assert_true(clock_now_us() == 12345);
    clock_fix(0);
    assert_true(clock_now_us() > INT64_C(1600000000) * CLOCK_US_PER_SECOND);
}

static void test_murmur2_agrees_with_kafka(void **state)
{
    (void)state;
    /* The vectors of Kafka's own UtilsTest. */
    static const struct {
        const char *key;
        int32_t hash;
    } cases[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal((int32_t)hash_murmur2(str_of(cases[i].key)), cases[i].hash);
        int32_t partition = hash_partition(str_of(cases[i].key), 8);
        assert_int_equal(partition, (cases[i].hash & 0x7fffffff) % 8);
    }
}

static void test_content_names_agree_with_xxhash(void **state)
{
    (void)state;
    struct buf name = {0};
    hash_put_hex128(&name, STR("")); /* xxhsum -H2 of nothing */
    assert_string_equal(name.ptr, "99aa06d3014798d86001c324468d497f");
    buf_free(&name);
}

static void test_every_wrong_byte_of_a_time_is_seen(void **state)
{
    (void)state;
    char text[] = "2025-05-14T21:17:24.5+07:00";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char right = text[i];
        for (int c = 0; c < 256; c++) {
            int64_t time_us;
            text[i] = (char)c;
            bool digit = right >= '0' && right <= '9' && c >= '0' && c <= '9';
            bool other = (right == 'T' && (c == 't' || c == ' ')) || (right == '+' && c == '-') ||
                         (right == '5' && text[i - 1] == '.' && c == 'Z');
            bool parsed = clock_parse((struct str){text, sizeof text - 1}, &time_us);
            if (c == right) {
                assert_true(parsed);
            } else if (!digit && !other) {
                assert_false(parsed);
            }
        }
        text[i] = right;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_is_checked_by_the_tables_of_unicode),
        cmocka_unit_test(test_utf8_is_checked_alike_at_every_place_of_a_long_text),
        cmocka_unit_test(test_length_and_prefix_count_code_points),
        cmocka_unit_test(test_every_wrong_byte_of_a_time_is_seen),
        cmocka_unit_test(test_json_strings_escape_only_what_they_must),
        cmocka_unit_test(test_json_strings_escape_every_byte_at_every_place),
        cmocka_unit_test(test_percent_encoding_stands_for_any_byte_and_garbage_is_refused),
        cmocka_unit_test(test_base64_comes_back_and_garbage_is_refused),
        cmocka_unit_test(test_times_are_read_with_their_zone_and_refused_without),
        cmocka_unit_test(test_times_come_back_as_they_were_written),
        cmocka_unit_test(test_a_fixed_clock_stands_until_it_is_released),
        cmocka_unit_test(test_murmur2_agrees_with_kafka),
        cmocka_unit_test(test_content_names_agree_with_xxhash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
