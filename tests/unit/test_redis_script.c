/*
 * test_redis_script.c: scripts in pipes: sent by their hash, whole only to a server that does not
 * know them.
 */
#include "redis_server_fixture.h"

#include <pthread.h>

static const struct redis_script join = {"return KEYS[1] .. ':' .. table.concat(ARGV, ',')"};
static const struct redis_script count = {
    "return redis.call('INCRBY', KEYS[1], ARGV[1]) + redis.call('INCRBY', KEYS[2], ARGV[1])"};
static const struct redis_script wrong = {"return redis.error_reply('MINE ' .. #ARGV)"};

#define assert_answer(pipe, place, expected)                                                       \
    do {                                                                                           \
        const struct redis_answer *at = redis_answer(pipe, place);                                 \
        assert_int_equal(at->kind, REDIS_TEXT);                                                    \
        assert_string_equal(at->text.ptr, expected);                                               \
    } while (0)

/* Runs one command and returns the first number behind `word` in its answer; -1: there is none. */
static int64_t told(struct redis *redis, const char *words, const char *word)
{
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, words);
    run_pipe(pipe);
    assert_int_not_equal(redis_answer(pipe, 0)->kind, REDIS_ERROR);
    const char *at = word ? strstr(redis_answer(pipe, 0)->text.ptr, word) : NULL;
    const int64_t number = at ? atoll(at + strlen(word)) : -1;
    redis_pipe_free(&pipe);
    return number;
}

static void add_all(struct redis_pipe *pipe)
{
    const struct str words[] = {STR("key"), STR("a"), STR(""), STR("b\r\nc")};
    const struct str numbers[] = {STR("n"), STR("m{n}"), STR("2")};
    assert_int_equal(redis_addf(pipe, "SET n 10"), 0);
    assert_int_equal(redis_add_script(pipe, &join, 1, 4, words), 1);
    assert_int_equal(redis_add_script(pipe, &count, 2, 3, numbers), 2);
    assert_int_equal(redis_addf(pipe, "GET n"), 3);
    assert_int_equal(redis_add_script(pipe, &wrong, 1, 3, words), 4);
    assert_int_equal(redis_add_script(pipe, &join, 1, 1, words), 5);
    assert_int_equal(redis_addf(pipe, "GET n"), 6);
}

static void assert_all(const struct redis_pipe *pipe, const char *first_n, int64_t sum)
{
    assert_answer(pipe, 0, "OK");
    assert_answer(pipe, 1, "key:a,,b\r\nc");
    assert_int_equal(redis_answer(pipe, 2)->kind, REDIS_NUMBER);
    assert_int_equal(redis_answer(pipe, 2)->number, sum);
    assert_answer(pipe, 3, first_n);
    assert_true(redis_is_error(redis_answer(pipe, 4), "MINE"));
    assert_string_equal(redis_answer(pipe, 4)->text.ptr, "MINE 2");
    assert_answer(pipe, 5, "key:");
    assert_answer(pipe, 6, first_n);
}

static void test_scripts_stand_among_plain_commands(void **state)
{
    (void)state;
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    told(redis, "FLUSHALL", NULL);
    told(redis, "SCRIPT FLUSH", NULL);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    add_all(pipe);
    run_pipe(pipe);
    assert_all(pipe, "10", 14); /* the script ran in the second exchange, behind the rest */
    run_pipe(pipe);
    assert_all(pipe, "12", 16); /* now it is known, and runs in its place */
    redis_clear(pipe);
    add_all(pipe);
    run_pipe(pipe);
    assert_all(pipe, "12", 18);
    struct redis_counts counts;
    redis_counts(redis, &counts);
    assert_int_equal(counts.pipes, 5);
    assert_int_equal(counts.lost_connections, 0);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static void test_only_what_was_not_known_is_sent_again(void **state)
{
    (void)state;
    const struct redis_options options = over_tcp(&server);
    struct redis *redis = open_redis(&options);
    told(redis, "SCRIPT FLUSH", NULL);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    const struct str argv[] = {STR("n"), STR("m{n}"), STR("0")};
    redis_add_script(pipe, &count, 2, 3, argv); /* the server knows this one from here on */
    run_pipe(pipe);
    told(redis, "CONFIG RESETSTAT", NULL);
    redis_clear(pipe);
    for (int i = 0; i < 100; i++) {
        redis_addf(pipe, "INCR plain");
        redis_add_script(pipe, &count, 2, 3, argv);
        redis_add_script(pipe, i % 10 ? &count : &join, i % 10 ? 2 : 1, 3, argv);
    }
    run_pipe(pipe);
    for (size_t i = 0; i < 300; i++) {
        assert_int_not_equal(redis_answer(pipe, i)->kind, REDIS_ERROR);
    }
    assert_answer(pipe, 2, "n:m{n},0");
    assert_answer(pipe, 272, "n:m{n},0");
    assert_int_equal(redis_answer(pipe, 297)->number, 100);
    assert_int_equal(told(redis, "INFO commandstats", "cmdstat_eval:calls="), 10);
    assert_int_equal(told(redis, "INFO commandstats", "cmdstat_evalsha:calls="), 200);
    assert_int_equal(told(redis, "INFO commandstats", "cmdstat_incr:calls="), 100);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static void test_a_script_that_is_no_lua_is_an_answer(void **state)
{
    (void)state;
    static const struct redis_script broken = {"return ("};
    const struct redis_options options = over_tcp(&server);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_add_script(pipe, &broken, 1, 1, &STR("key"));
    redis_addf(pipe, "ECHO after");
    run_pipe(pipe);
    assert_true(redis_is_error(redis_answer(pipe, 0), "ERR"));
    assert_answer(pipe, 1, "after");
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

/* Both exchanges end by the one deadline. */
static void test_the_second_exchange_has_what_is_left_of_the_time(void **state)
{
    (void)state;
    static const struct redis_script slow = {
        "local from = redis.call('TIME') repeat local now = redis.call('TIME') until "
        "(now[1] - from[1]) * 1000000 + now[2] - from[2] > 1000000 return 1"};
    struct redis_options options = over_tcp(&server);
    options.answer_us = 200 * 1000;
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    struct kol_error err = {0};
    redis_add_script(pipe, &slow, 1, 1, &STR("key"));
    const int64_t before_ns = clock_mono_ns();
    assert_int_equal(redis_run(pipe, in_ms(60000), &err), KOL_TIMEOUT);
    assert_true(clock_mono_ns() - before_ns < 900 * MS);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static void *run_often(void *redis)
{
    struct redis_pipe *pipe = redis_pipe_new(redis);
    for (int i = 0; i < 200; i++) {
        if (i % 50 == 10) {
            redis_addf(pipe, "SCRIPT FLUSH");
        }
        redis_add_script(pipe, &join, 1, 1, &STR("k"));
        KOL_ASSERT(redis_run(pipe, in_ms(60000), NULL) == KOL_OK);
        KOL_ASSERT(str_is(redis_answer(pipe, i % 50 == 10)->text, "k:"));
        redis_clear(pipe);
    }
    redis_pipe_free(&pipe);
    return NULL;
}

static void test_threads_share_scripts(void **state)
{
    (void)state;
    pthread_t threads[4];
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        KOL_ASSERT(pthread_create(&threads[i], NULL, run_often, redis) == 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    redis_close(&redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts_stand_among_plain_commands),
        cmocka_unit_test(test_only_what_was_not_known_is_sent_again),
        cmocka_unit_test(test_a_script_that_is_no_lua_is_an_answer),
        cmocka_unit_test(test_the_second_exchange_has_what_is_left_of_the_time),
        cmocka_unit_test(test_threads_share_scripts),
    };
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
