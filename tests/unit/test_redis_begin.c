/*
 * test_redis_begin.c: pipes that are run by a thread which must not wait, against a redis-server:
 * they come to what redis_run() comes to.
 */
#include "redis_server_fixture.h"

#include <poll.h>

#include "base/random.h"

enum { COUNT = 300 };

/* One run, so that a connection is open and idle. */
static struct redis *open_idle(int64_t answer_us)
{
    struct redis_options options = over_tcp(&server);
    options.answer_us = answer_us;
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "PING");
    run_pipe(pipe);
    redis_pipe_free(&pipe);
    return redis;
}

/* Runs what was begun to its end; how often it waited. */
static int see_through(struct redis_pipe *pipe)
{
    int waits = 0;
    while (!redis_go_on(pipe)) {
        struct pollfd at = {.events = POLLIN};
        bool write;
        int64_t until_ns;
        redis_wait(pipe, &at.fd, &write, &until_ns);
        at.events |= write ? POLLOUT : 0;
        const int64_t left_ms = (until_ns - clock_mono_ns()) / MS;
        poll(&at, 1, (int)(left_ms > 0 ? left_ms + 1 : 1));
        waits++;
    }
    return waits;
}

static void assert_open(struct redis *redis, int open, int64_t lost)
{
    struct redis_counts counts;
    redis_counts(redis, &counts);
    assert_int_equal(counts.open, open);
    assert_int_equal(counts.idle, open);
    assert_int_equal(counts.lost_connections, lost);
}

static void test_it_is_begun_only_where_nothing_waits(void **state)
{
    (void)state;
    static const struct redis_script script = {"return 1"};
    const struct redis_options options = over_tcp(&server);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "PING");
    assert_false(redis_begin(pipe, in_ms(5000))); /* no connection */
    run_pipe(pipe);
    redis_clear(pipe);
    assert_false(redis_begin(pipe, in_ms(5000))); /* nothing to say */
    redis_add_script(pipe, &script, 1, 1, (const struct str[]){STR("key")});
    assert_false(redis_begin(pipe, in_ms(5000))); /* it may take a second exchange */
    run_pipe(pipe);
    redis_clear(pipe);
    assert_open(redis, 1, 0);
    redis_addf(pipe, "PING");
    assert_true(redis_begin(pipe, in_ms(5000)));
    struct redis_pipe *other = redis_pipe_new(redis);
    redis_addf(other, "PING");
    assert_false(redis_begin(other, in_ms(5000))); /* the one connection is in use */
    see_through(pipe);
    assert_int_equal(redis_end(pipe, NULL), KOL_OK);
    assert_true(redis_begin(other, in_ms(5000)));
    see_through(other);
    assert_int_equal(redis_end(other, NULL), KOL_OK);
    redis_pipe_free(&other);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

/* More than the buffers of a socket hold, in both directions. */
static void test_large_values_come_back(void **state)
{
    (void)state;
    struct redis *redis = open_idle(0);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    char *room = mem_alloc(100000);
    struct random_stream chance;
    random_seed(&chance, (const uint64_t[]){7}, 1);
    for (size_t i = 0; i < 100000; i++) {
        room[i] = (char)random_below(&chance, 256);
    }
    for (int i = 0; i < COUNT; i++) {
        redis_addf(pipe, "SET %d %S", (int64_t)i, (struct str){room + i, 90000});
        redis_addf(pipe, "GET %d", (int64_t)i);
    }
    redis_addf(pipe, "NOSUCH");
    assert_true(redis_begin(pipe, in_ms(20000)));
    assert_in_range(see_through(pipe), 1, 1000000);
    struct kol_error err;
    assert_int_equal(redis_end(pipe, &err), KOL_OK);
    for (int i = 0; i < COUNT; i++) {
        const struct redis_answer *answer = redis_answer(pipe, (size_t)i * 2 + 1);
        assert_true(str_equal(answer->text, (struct str){room + i, 90000}));
    }
    assert_true(redis_is_error(redis_answer(pipe, 2 * COUNT), "ERR"));
    assert_open(redis, 1, 0);
    free(room);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static void test_a_stopped_server_ends_it_in_time(void **state)
{
    (void)state;
    struct redis *redis = open_idle(200 * 1000);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    struct kol_error err = {0};
    redis_addf(pipe, "GET key");
    KOL_ASSERT(kill(server.pid, SIGSTOP) == 0);
    const int64_t began_ns = clock_mono_ns();
    assert_true(redis_begin(pipe, in_ms(20000)));
    assert_false(redis_go_on(pipe));
    see_through(pipe);
    assert_true(clock_mono_ns() - began_ns >= 200 * MS);
    assert_int_equal(redis_end(pipe, &err), KOL_TIMEOUT);
    assert_non_null(strstr(err.message, "0 of 1 answers"));
    KOL_ASSERT(kill(server.pid, SIGCONT) == 0);
    assert_open(redis, 0, 1); /* a late answer would meet another question */
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static void test_given_up(void **state)
{
    (void)state;
    struct redis *redis = open_idle(0);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "BLPOP nothing 0");
    assert_true(redis_begin(pipe, in_ms(20000)));
    assert_int_equal(redis_end(pipe, NULL), KOL_TIMEOUT);
    assert_open(redis, 0, 1);
    redis_clear(pipe);
    redis_addf(pipe, "PING");
    run_pipe(pipe);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static void test_killed_meanwhile(void **state)
{
    (void)state;
    struct redis *redis = open_idle(0);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "BLPOP nothing 0");
    assert_true(redis_begin(pipe, in_ms(20000)));
    kill_server(&server);
    see_through(pipe);
    struct kol_error err = {0};
    assert_int_equal(redis_end(pipe, &err), KOL_IO);
    assert_non_null(strstr(err.message, "0 of 1 answers"));
    start_server(&server);
    assert_open(redis, 0, 1);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_begun_only_where_nothing_waits),
        cmocka_unit_test(test_large_values_come_back),
        cmocka_unit_test(test_a_stopped_server_ends_it_in_time),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_killed_meanwhile),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
