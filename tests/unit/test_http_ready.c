/*
 * test_http_ready.c: responses that are kept: used again by those alike alone, saying of each
 * sending what is its own, and gone in the end.
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
#include "http/call.h"

static struct http_ready *ready;

static int open_ready(void **state)
{
    (void)state;
    ready = http_ready_new();
    return 0;
}

static int close_ready(void **state)
{
    (void)state;
    http_ready_free(&ready);
    assert_null(ready);
    return 0;
}

static struct http_answer *make_answer(const char *body)
{
    const struct http_answer_options options = {.policy = {60, 0, 0, 0}};
    return http_answer_new(&options, str_of(body));
}

static struct http_likeness public_of(const struct http_answer *answer)
{
    return (struct http_likeness){answer, CODING_IDENTITY, answer->cache_public, NULL};
}

static struct http_likeness private_of(const struct http_answer *answer)
{
    return (struct http_likeness){answer, CODING_IDENTITY, answer->cache_private, NULL};
}

struct values {
    const char *texts[HTTP_DIFFERING];
};

static struct values with_id(const char *id)
{
    struct values values;
    for (size_t i = 0; i < HTTP_DIFFERING; i++) {
        values.texts[i] = "";
    }
    values.texts[DIFFERING_REQUEST_ID] = id;
    return values;
}

static void let_go(void *answer)
{
    http_answer_release(answer);
}

/* As send.c does it, without a connection; true: by a kept response. */
static bool send_one(struct http_likeness likeness, const struct values *values)
{
    if (http_ready_find(ready, &likeness, values->texts)) {
        return true;
    }
    struct http_answer *answer = (struct http_answer *)likeness.answer;
    http_answer_hold(answer);
    struct MHD_Response *made = MHD_create_response_from_buffer_with_free_callback_cls(
        answer->forms[0].len, answer->forms[0].bytes, let_go, answer);
    for (size_t i = 0; i < HTTP_DIFFERING; i++) {
        if (*values->texts[i]) {
            assert_int_equal(
                MHD_add_response_header(made, http_differing_names[i], values->texts[i]), MHD_YES);
        }
    }
    if (!http_ready_keep(ready, &likeness, values->texts, made)) {
        MHD_destroy_response(made);
    }
    return false;
}

static const char *said(const struct http_likeness *likeness, const struct values *values,
                        enum http_differing which)
{
    struct MHD_Response *kept = http_ready_find(ready, likeness, values->texts);
    assert_non_null(kept);
    return MHD_get_response_header(kept, http_differing_names[which]);
}

static int count_headers(struct MHD_Response *response)
{
    return MHD_get_response_headers(response, NULL, NULL);
}

static void test_what_was_sent_twice_is_kept(void **state)
{
    (void)state;
    struct http_answer *answer = make_answer("{}");
    const struct http_likeness likeness = public_of(answer);
    const struct values values = with_id("one");
    assert_false(send_one(likeness, &values));
    assert_false(send_one(likeness, &values));
    assert_true(send_one(likeness, &values));
    assert_int_equal(answer->holds, 2);
    http_ready_free(&ready);
    assert_int_equal(answer->holds, 1);
    ready = http_ready_new();
    assert_false(send_one(likeness, &values));
    http_answer_release(answer);
}

static void test_each_sending_says_what_is_its_own(void **state)
{
    (void)state;
    struct http_answer *answer = make_answer("{}");
    const struct http_likeness likeness = public_of(answer);
    struct values values = with_id("one");
    values.texts[DIFFERING_AGE] = "5";
    send_one(likeness, &values);
    send_one(likeness, &values);
    struct MHD_Response *kept = http_ready_find(ready, &likeness, values.texts);
    assert_int_equal(count_headers(kept), 2);
    values.texts[DIFFERING_REQUEST_ID] = "two";
    values.texts[DIFFERING_RATE_LIMIT] = "7";
    assert_string_equal(said(&likeness, &values, DIFFERING_REQUEST_ID), "two");
    assert_string_equal(said(&likeness, &values, DIFFERING_AGE), "5");
    assert_int_equal(count_headers(kept), 3);
    const struct values bare = with_id("three");
    assert_null(said(&likeness, &bare, DIFFERING_AGE));
    assert_string_equal(said(&likeness, &bare, DIFFERING_REQUEST_ID), "three");
    assert_int_equal(count_headers(kept), 1);
    http_answer_release(answer);
}

static void test_what_is_too_long_is_not_kept_and_spoils_nothing(void **state)
{
    (void)state;
    char id[97];
    memset(id, 'x', 96);
    id[96] = '\0';
    struct http_answer *answer = make_answer("{}");
    const struct http_likeness likeness = public_of(answer);
    const struct values longest = with_id(id + 1), longer = with_id(id);
    for (int i = 0; i < 3; i++) {
        assert_false(send_one(likeness, &longer));
    }
    send_one(likeness, &longest);
    send_one(likeness, &longest);
    assert_string_equal(said(&likeness, &longest, DIFFERING_REQUEST_ID), id + 1);
    assert_null(http_ready_find(ready, &likeness, longer.texts));
    assert_string_equal(said(&likeness, &longest, DIFFERING_REQUEST_ID), id + 1);
    http_answer_release(answer);
}

static void test_what_nobody_else_has_or_is_large_is_not_kept(void **state)
{
    (void)state;
    enum { LARGE = 9000 };
    const struct values values = with_id("one");
    char *text = mem_alloc(LARGE + 1);
    memset(text, 'x', LARGE);
    text[LARGE] = '\0';
    struct http_answer *large = make_answer(text);
    for (int i = 0; i < 5; i++) {
        assert_false(send_one(public_of(large), &values));
        /* The same address comes again and again. */
        struct http_answer *answer = make_answer("{}");
        const struct http_likeness likeness = public_of(answer);
        struct MHD_Response *made = MHD_create_response_from_buffer_with_free_callback_cls(
            answer->forms[0].len, answer->forms[0].bytes, let_go, answer);
        assert_false(http_ready_keep(ready, &likeness, values.texts, made));
        MHD_destroy_response(made);
    }
    assert_int_equal(large->holds, 1);
    http_answer_release(large);
    free(text);
}

/* Callers with a key and without take turns: each kind has its own, and gets no other's. */
static void test_those_alike_alone(void **state)
{
    (void)state;
    enum { ANSWERS = 16 };
    struct http_answer *answers[ANSWERS];
    const struct values values = with_id("one");
    int kept = 0;
    for (int i = 0; i < ANSWERS; i++) {
        answers[i] = make_answer("{}");
    }
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < ANSWERS; i++) {
            kept += send_one(public_of(answers[i]), &values);
            kept += send_one(private_of(answers[i]), &values);
        }
    }
    assert_in_range(kept, 2 * ANSWERS - 12, 2 * ANSWERS); /* some may share a slot */
    for (int i = 0; i < ANSWERS; i++) {
        const struct http_likeness of_public = public_of(answers[i]);
        const struct http_likeness of_private = private_of(answers[i]);
        struct http_likeness varies = of_public;
        varies.vary = "Cookie";
        const struct MHD_Response *one = http_ready_find(ready, &of_public, values.texts);
        const struct MHD_Response *other = http_ready_find(ready, &of_private, values.texts);
        assert_true(!one || one != other);
        assert_null(http_ready_find(ready, &varies, values.texts));
        http_answer_release(answers[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_ready, close_ready)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_sent_twice_is_kept),
        TEST(test_each_sending_says_what_is_its_own),
        TEST(test_what_is_too_long_is_not_kept_and_spoils_nothing),
        TEST(test_what_nobody_else_has_or_is_large_is_not_kept),
        TEST(test_those_alike_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
