/* test_http_codings.c: what comes back of what was coded, in any pieces; and what ends an attack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "http/call.h"

static bool has_brotli(void)
{
    return http_answer_codings[1] == CODING_BR;
}

/* Words, so that it gets smaller, with some chance in them. */
static void put_text(struct buf *out, size_t len, uint64_t seed)
{
    struct random_stream stream;
    random_seed(&stream, &seed, 1);
    while (out->len < len) {
        buf_printf(out, "%x words ", (unsigned)random_below(&stream, 1000));
    }
    out->len = len;
}

static void test_what_was_coded_comes_back_in_any_pieces(void **state)
{
    (void)state;
    for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        if (coding == CODING_BR && !has_brotli()) {
            continue;
        }
        for (size_t len = 0; len < 200000; len = len * 3 + 1) {
            struct buf text = {0}, coded = {0}, back = {0};
            put_text(&text, len, len + 1);
            assert_true(http_encode((enum http_coding)coding, buf_str(&text), true, &coded));
            struct http_inflater *inflater = http_inflater_new(str_of(http_coding_names[coding]));
            assert_non_null(inflater);
            size_t step = len % 3 ? 1 : 777;
            for (size_t at = 0; at < coded.len; at += step) {
                size_t piece = coded.len - at < step ? coded.len - at : step;
                assert_int_equal(
                    http_inflate(inflater, (struct str){coded.ptr + at, piece}, len, &back),
                    KOL_OK);
            }
            assert_true(http_inflater_done(inflater));
            assert_true(str_equal(buf_str(&back), buf_str(&text)));
            http_inflater_free(&inflater);
            buf_free(&text);
            buf_free(&coded);
            buf_free(&back);
        }
    }
}

static void test_a_cut_body_is_not_done(void **state)
{
    (void)state;
    for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        if (coding == CODING_BR && !has_brotli()) {
            continue;
        }
        struct buf text = {0}, coded = {0}, back = {0};
        put_text(&text, 5000, 1);
        assert_true(http_encode((enum http_coding)coding, buf_str(&text), true, &coded));
        struct http_inflater *inflater = http_inflater_new(str_of(http_coding_names[coding]));
        struct str cut = {coded.ptr, coded.len - 3};
        assert_int_equal(http_inflate(inflater, cut, 10000, &back), KOL_OK);
        assert_false(http_inflater_done(inflater));
        http_inflater_free(&inflater);
        buf_free(&text);
        buf_free(&coded);
        buf_free(&back);
    }
}

static void test_a_bomb_takes_no_more_than_the_limit(void **state)
{
    (void)state;
    enum { ZEROS = 64 * 1024 * 1024, LIMIT = 100000 };
    char *zeros = mem_zalloc(1, ZEROS);
    for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        struct buf coded = {0}, back = {0};
        if (!http_encode((enum http_coding)coding, (struct str){zeros, ZEROS}, true, &coded)) {
            assert_true(coding == CODING_BR && !has_brotli());
            continue;
        }
        struct http_inflater *inflater = http_inflater_new(str_of(http_coding_names[coding]));
        assert_int_equal(http_inflate(inflater, buf_str(&coded), LIMIT, &back), KOL_NO_SPACE);
        assert_in_range(back.cap, 1, 2 * LIMIT + 64);
        http_inflater_free(&inflater);
        buf_free(&coded);
        buf_free(&back);
    }
    free(zeros);
}

static void test_what_is_not_of_the_coding_is_refused(void **state)
{
    (void)state;
    assert_null(http_inflater_new(STR("deflate")));
    assert_null(http_inflater_new(STR("identity")));
    assert_null(http_inflater_new(STR("gzip, gzip")));
    for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        struct http_inflater *inflater = http_inflater_new(str_of(http_coding_names[coding]));
        if (!inflater) {
            continue;
        }
        struct buf back = {0};
        assert_int_equal(
            http_inflate(inflater, STR("\xff\xfe\xfd\xfc these are no such bytes"), 1000, &back),
            KOL_INVALID);
        http_inflater_free(&inflater);
        buf_free(&back);
    }
}

/* The status of bytes that come one by one. */
static enum kol_status inflate_slowly(struct str bytes, struct buf *back)
{
    struct http_inflater *inflater = http_inflater_new(STR("zstd"));
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < bytes.len && status == KOL_OK; i++) {
        status = http_inflate(inflater, (struct str){bytes.ptr + i, 1}, 1000, back);
    }
    assert_true(status != KOL_OK || http_inflater_done(inflater));
    http_inflater_free(&inflater);
    return status;
}

/* The library has readers of older formats, which begin with other numbers. */
static void test_only_frames_of_todays_zstd_are_read(void **state)
{
    (void)state;
    static const char older[] = "\x26\xb5\x2f\xfd\x01\x97\x00\x62";
    static const char skipped[] = "\x5a\x2a\x4d\x18\x03\x00\x00\x00xyz";
    struct buf coded = {0}, back = {0};
    buf_append(&coded, skipped, sizeof skipped - 1);
    for (int i = 0; i < 2; i++) {
        struct buf frame = {0};
        assert_true(http_encode(CODING_ZSTD, STR("text "), true, &frame));
        buf_put(&coded, buf_str(&frame));
        buf_free(&frame);
    }
    assert_int_equal(inflate_slowly(buf_str(&coded), &back), KOL_OK);
    assert_true(str_is(buf_str(&back), "text text "));
    buf_append(&coded, older, sizeof older - 1);
    assert_int_equal(inflate_slowly(buf_str(&coded), &back), KOL_INVALID);
    struct http_inflater *inflater = http_inflater_new(STR("zstd"));
    assert_int_equal(http_inflate(inflater, (struct str){older, sizeof older - 1}, 1000, &back),
                     KOL_INVALID);
    http_inflater_free(&inflater);
    buf_free(&coded);
    buf_free(&back);
}

static void test_weights(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool present;
        int identity, gzip, br, zstd;
    } cases[] = {
        {"", false, 1, 0, 0, 0},
        {"", true, 1, 0, 0, 0},
        {"gzip", true, 1, 1000, 0, 0},
        {"GZIP;Q=0.5 , br ; q=1.0", true, 1, 500, 1000, 0},
        {"*", true, 1000, 1000, 1000, 1000},
        {"*;q=0", true, 0, 0, 0, 0},
        {"identity;q=0", true, 0, 0, 0, 0},
        {"zstd;q=0.001, *;q=0.1", true, 100, 100, 100, 1},
        {"gzip;q=2", true, 1, 0, 0, 0},
        {"gzip;q=-1", true, 1, 0, 0, 0},
        {"gzip;q=", true, 1, 0, 0, 0},
        {"gzip;level=3;q=0.25", true, 1, 250, 0, 0},
        {",,;;q=1,gzip", true, 1, 1000, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int weights[CODING_COUNT];
        http_accept_codings(str_of(cases[i].header), cases[i].present, weights);
        assert_int_equal(weights[CODING_IDENTITY], cases[i].identity);
        assert_int_equal(weights[CODING_GZIP], cases[i].gzip);
        assert_int_equal(weights[CODING_BR], cases[i].br);
        assert_int_equal(weights[CODING_ZSTD], cases[i].zstd);
    }
}

static void test_an_answer_is_counted_and_knows_its_size(void **state)
{
    (void)state;
    struct buf text = {0};
    put_text(&text, 20000, 3);
    struct http_answer_options options = {
        .compress = true, .policy = {60, 0, 0, 0}, .headers = "X-One: 1\nbad line\nX-Two: a: b\n"};
    struct http_answer *answer = http_answer_new(&options, buf_str(&text));
    assert_int_equal(http_answer_status(answer), 200);
    assert_non_null(answer->forms[CODING_GZIP].bytes);
    assert_non_null(answer->forms[http_answer_codings[1]].bytes);
    assert_string_not_equal(answer->forms[CODING_GZIP].etag, answer->forms[CODING_IDENTITY].etag);
    assert_memory_equal(answer->headers,
                        "X-One\0"
                        "1\0X-Two\0a: b\0",
                        20);
    assert_true(http_answer_bytes(answer) > 20000 + answer->forms[CODING_GZIP].len);
    http_answer_hold(answer);
    http_answer_release(answer);
    http_answer_release(answer);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_coded_comes_back_in_any_pieces),
        cmocka_unit_test(test_a_cut_body_is_not_done),
        cmocka_unit_test(test_a_bomb_takes_no_more_than_the_limit),
        cmocka_unit_test(test_what_is_not_of_the_coding_is_refused),
        cmocka_unit_test(test_only_frames_of_todays_zstd_are_read),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_an_answer_is_counted_and_knows_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
