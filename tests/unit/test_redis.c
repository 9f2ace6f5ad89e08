/*
 * test_redis.c: the Redis client against a redis-server: what it answers, logging in, servers that
 * are stopped, killed and started anew, many threads.
 */
#include "redis_server_fixture.h"

#include <pthread.h>

#include "base/random.h"

/* Runs one command, which has no % in it. */
static void tell(struct redis *redis, const char *words)
{
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, words);
    run_pipe(pipe);
    assert_int_not_equal(redis_answer(pipe, 0)->kind, REDIS_ERROR);
    redis_pipe_free(&pipe);
}

#define assert_text(answer, expected)                                                              \
    do {                                                                                           \
        assert_int_equal((answer)->kind, REDIS_TEXT);                                              \
        assert_int_equal((answer)->text.len, strlen(expected));                                    \
        assert_memory_equal((answer)->text.ptr, expected, strlen(expected) + 1);                   \
    } while (0)

/* ---- answers ---- */

static struct str value_of(int number, char *room)
{
    struct random_stream chance;
    random_seed(&chance, (const uint64_t[]){11, (uint64_t)number}, 2);
    const size_t len = number < 2    ? (size_t)number
                       : number < 20 ? 100000
                                     : random_below(&chance, 3000);
    for (size_t i = 0; i < len; i++) {
        room[i] = (char)random_below(&chance, 256);
    }
    return (struct str){room, len};
}

static void test_binary_values_of_a_thousand_commands_come_back_in_order(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    char *room = mem_alloc(100000);
    for (int round = 0; round < 2; round++) {
        const struct redis_options options = round ? over_tcp(&server) : over_socket(&server);
        struct redis *redis = open_redis(&options);
        struct redis_pipe *pipe = redis_pipe_new(redis);
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(
                redis_addf(pipe, "SET %d %S", (int64_t)(i + round * COUNT), value_of(i, room)),
                2 * i);
            redis_addf(pipe, "GET %d", (int64_t)(i + round * COUNT));
        }
        run_pipe(pipe);
        for (int i = 0; i < COUNT; i++) {
            assert_text(redis_answer(pipe, (size_t)i * 2), "OK");
            const struct redis_answer *answer = redis_answer(pipe, (size_t)i * 2 + 1);
            assert_int_equal(answer->kind, REDIS_TEXT);
            assert_true(str_equal(answer->text, value_of(i, room)));
            assert_int_equal(answer->text.ptr[answer->text.len], '\0');
        }
        struct redis_counts counts;
        redis_counts(redis, &counts);
        assert_int_equal(counts.pipes, 1);
        assert_int_equal(counts.commands, 2 * COUNT);
        assert_int_equal(counts.connections, 1);
        assert_true(counts.sent_bytes > 1800000 && counts.read_bytes > 1800000);
        assert_int_equal(counts.open, 1);
        assert_int_equal(counts.idle, 1);
        redis_pipe_free(&pipe);
        redis_close(&redis);
        assert_null(redis);
    }
    free(room);
}

static void test_an_error_harms_no_other_answer(void **state)
{
    (void)state;
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    const struct str set[] = {STR("SET"), STR("text"), STR("a b")};
    assert_int_equal(redis_add(pipe, 3, set, 1), 0);
    redis_addf(pipe, "HGETALL text");
    redis_addf(pipe, "GET %s", "text");
    redis_addf(pipe, "NOSUCH");
    redis_addf(pipe, "GET missing");
    redis_addf(pipe, "INCRBY number %d", INT64_MIN + 1);
    redis_addf(pipe, "LRANGE missing 0 -1");
    run_pipe(pipe);
    assert_true(redis_is_error(redis_answer(pipe, 1), "WRONGTYPE"));
    assert_false(redis_is_error(redis_answer(pipe, 1), "WRONG"));
    assert_false(redis_is_error(redis_answer(pipe, 2), "a"));
    assert_text(redis_answer(pipe, 2), "a b");
    assert_true(redis_is_error(redis_answer(pipe, 3), "ERR"));
    assert_int_equal(redis_answer(pipe, 4)->kind, REDIS_NIL);
    assert_int_equal(redis_answer(pipe, 5)->kind, REDIS_NUMBER);
    assert_true(redis_answer(pipe, 5)->number == INT64_MIN + 1);
    assert_int_equal(redis_answer(pipe, 6)->kind, REDIS_LIST);
    assert_int_equal(redis_answer(pipe, 6)->count, 0);
    redis_clear(pipe);
    run_pipe(pipe); /* nothing to do */
    assert_int_equal(redis_addf(pipe, " DEL  text   number "), 0);
    run_pipe(pipe);
    assert_int_equal(redis_answer(pipe, 0)->number, 2);
    run_pipe(pipe); /* the same again */
    assert_int_equal(redis_answer(pipe, 0)->number, 0);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static void test_lists_in_lists(void **state)
{
    (void)state;
    const struct redis_options options = over_tcp(&server);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "EVAL %s 0", "return {1, {'a', {}, {{false}}}, {err='MY word'}, 'z'}");
    redis_addf(pipe, "ECHO after");
    run_pipe(pipe);
    const struct redis_answer *list = redis_answer(pipe, 0);
    assert_int_equal(list->count, 4);
    assert_int_equal(list->items[0].number, 1);
    assert_int_equal(list->items[1].count, 3);
    assert_text(&list->items[1].items[0], "a");
    assert_int_equal(list->items[1].items[1].kind, REDIS_LIST);
    assert_int_equal(list->items[1].items[1].count, 0);
    assert_int_equal(list->items[1].items[2].items[0].items[0].kind, REDIS_NIL);
    assert_true(redis_is_error(&list->items[2], "MY"));
    assert_text(&list->items[3], "z");
    assert_text(redis_answer(pipe, 1), "after");
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

/* ---- logging in ---- */

/* Runs a PING by these options; `message` has what went wrong. */
static enum kol_status ping(const struct redis_options *options, struct kol_error *err)
{
    struct redis *redis = open_redis(options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "ECHO hello");
    *err = (struct kol_error){0};
    const enum kol_status status = redis_run(pipe, in_ms(20000), err);
    struct redis_counts counts;
    redis_counts(redis, &counts);
    assert_int_equal(counts.open, status == KOL_OK);
    if (status == KOL_OK) {
        assert_text(redis_answer(pipe, 0), "hello");
    }
    redis_pipe_free(&pipe);
    redis_close(&redis);
    return status;
}

static void assert_refused(struct redis_options options, const char *user, const char *password,
                           const char *expected)
{
    struct kol_error err;
    options.user = user;
    options.password = password;
    assert_int_equal(ping(&options, &err), KOL_USAGE);
    if (!strstr(err.message, expected)) {
        fail_msg("`%s` does not say `%s`", err.message, expected);
    }
    assert_true(!password || !strstr(err.message, password));
}

static void test_users_and_passwords(void **state)
{
    (void)state;
    struct kol_error err;
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    assert_refused(options, NULL, "s3cret", "has no password for its default user");
    tell(redis, "ACL SETUSER reader on >s3cret ~* +echo");
    tell(redis, "ACL SETUSER default >0ther");
    tell(redis, "CONFIG SET requirepass 0ther");
    struct redis_options user = options;
    user.user = "reader";
    user.password = "s3cret";
    assert_int_equal(ping(&user, &err), KOL_OK);
    assert_refused(options, "reader", "wr0ng", "refused user `reader`");
    assert_refused(options, "nobody", "s3cret", "refused user `nobody`");
    assert_refused(options, NULL, "s3cret", "refused user `default`");
    assert_refused(options, NULL, NULL, "asks for a password");
    struct redis_options other_db = options;
    other_db.db = 2;
    assert_refused(other_db, NULL, NULL, "asks for a password");
    assert_refused(other_db, "reader", "s3cret", "database 2 cannot be used");
    tell(redis, "CONFIG SET requirepass an0ther"); /* a connection that is in stays in */
    redis_close(&redis);
    user.user = NULL;
    user.password = "an0ther";
    assert_int_equal(ping(&user, &err), KOL_OK);
    redis = open_redis(&user);
    tell(redis, "ACL SETUSER default nopass");
    redis_close(&redis);
    assert_int_equal(ping(&options, &err), KOL_OK);
}

static void test_databases_are_apart(void **state)
{
    (void)state;
    struct redis_options options = over_tcp(&server);
    struct redis *zero = open_redis(&options);
    options.db = 3;
    struct redis *three = open_redis(&options);
    assert_non_null(strstr(redis_name(three), "127.0.0.1:"));
    assert_non_null(strstr(redis_name(three), "/3"));
    tell(three, "SET apart 3");
    struct redis_pipe *pipe = redis_pipe_new(zero);
    redis_addf(pipe, "EXISTS apart");
    run_pipe(pipe);
    assert_int_equal(redis_answer(pipe, 0)->number, 0);
    redis_pipe_free(&pipe);
    redis_close(&zero);
    redis_close(&three);
    options.db = 99;
    assert_refused(options, NULL, NULL, "database 99 cannot be used");
}

/* ---- servers that go ---- */

static void test_a_restart_costs_no_pipe(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        const struct redis_options options = round % 2 ? over_tcp(&server) : over_socket(&server);
        struct redis *redis = open_redis(&options);
        tell(redis, "SET key value");
        kill_server(&server);
        if (round >= 2) { /* it is gone while somebody asks, too */
            struct kol_error err;
            struct redis_pipe *pipe = redis_pipe_new(redis);
            redis_addf(pipe, "PING");
            const enum kol_status status = redis_run(pipe, in_ms(1000), &err);
            assert_int_equal(status, round == 2 ? KOL_NOT_FOUND : KOL_IO);
            redis_pipe_free(&pipe);
        }
        start_server(&server);
        tell(redis, "SET key value");
        struct redis_counts counts;
        redis_counts(redis, &counts);
        assert_int_equal(counts.connections, 2);
        assert_int_equal(counts.lost_connections, 1);
        assert_int_equal(counts.failed_connections, round >= 2);
        assert_int_equal(counts.open, 1);
        redis_close(&redis);
    }
}

static void *kill_soon(void *unused)
{
    for (int i = 0; i < 20; i++) {
        nap();
    }
    kill(server.pid, SIGKILL);
    return unused;
}

static void test_killed_during_a_pipe(void **state)
{
    (void)state;
    pthread_t killer;
    struct kol_error err = {0};
    const struct redis_options options = over_tcp(&server);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "SET key value");
    redis_addf(pipe, "BLPOP nothing 0");
    KOL_ASSERT(pthread_create(&killer, NULL, kill_soon, NULL) == 0);
    assert_int_equal(redis_run(pipe, in_ms(20000), &err), KOL_IO);
    assert_non_null(strstr(err.message, "1 of 2 answers"));
    pthread_join(killer, NULL);
    kill_server(&server);
    start_server(&server);
    redis_clear(pipe);
    redis_addf(pipe, "PING");
    run_pipe(pipe);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

/* A stopped server takes connections and answers nothing. It takes `limit_ms` to say so; a busy
 * machine may be late, but not each time. */
static void assert_stopped(struct redis *redis, int64_t limit_ms, int64_t deadline_ms)
{
    struct kol_error err = {0};
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "SET key value");
    int64_t took_ms = INT64_MAX;
    for (int turn = 0; turn < 4 && took_ms > limit_ms * 3 / 2; turn++) {
        const int64_t began_ns = clock_mono_ns();
        assert_int_equal(redis_run(pipe, began_ns + deadline_ms * MS, &err), KOL_TIMEOUT);
        took_ms = (clock_mono_ns() - began_ns) / MS;
        assert_true(took_ms >= limit_ms);
    }
    assert_in_range(took_ms, limit_ms, limit_ms * 3 / 2);
    redis_pipe_free(&pipe);
}

static void test_a_stopped_server_takes_no_longer_than_allowed(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct redis_options options = round ? over_tcp(&server) : over_socket(&server);
        struct redis *redis = open_redis(&options);
        options.answer_us = 300000;
        struct redis *limited = open_redis(&options);
        options.answer_us = 0;
        options.db = 1;
        options.connect_us = 200000;
        struct redis *login = open_redis(&options);
        tell(redis, "SET key value");
        KOL_ASSERT(kill(server.pid, SIGSTOP) == 0);
        assert_stopped(redis, 300, 300);   /* on a connection that was there */
        assert_stopped(redis, 300, 300);   /* on a new one */
        assert_stopped(limited, 300, 900); /* by the limit of the options */
        assert_stopped(login, 200, 900);   /* while it logs in */
        KOL_ASSERT(kill(server.pid, SIGCONT) == 0);
        tell(redis, "SET key value");
        struct redis_counts counts;
        redis_counts(redis, &counts);
        assert_true(counts.timeouts >= 2);
        assert_int_equal(counts.open, 1);
        redis_close(&redis);
        redis_close(&limited);
        redis_close(&login);
    }
}

static void test_a_full_server_says_so(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        const struct redis_options options = round ? over_tcp(&server) : over_socket(&server);
        struct kol_error err = {0};
        struct redis *redis = open_redis(&options), *late = open_redis(&options);
        struct redis_pipe *pipe = redis_pipe_new(late);
        tell(redis, "CONFIG SET maxclients 1");
        redis_addf(pipe, "PING");
        redis_addf(pipe, "PING");
        assert_int_equal(redis_run(pipe, in_ms(20000), &err), KOL_IO);
        assert_non_null(strstr(err.message, "max number of clients"));
        tell(redis, "CONFIG SET maxclients 1000");
        run_pipe(pipe);
        redis_pipe_free(&pipe);
        redis_close(&redis);
        redis_close(&late);
    }
}

/* ---- threads ---- */

enum { THREADS = 8, PIPES = 1000 };

static void *ask_often(void *shared)
{
    static _Atomic int64_t numbers;
    struct redis_pipe *pipe = redis_pipe_new(shared);
    for (int i = 0; i < PIPES; i++) {
        const int64_t number = ++numbers;
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)number);
        redis_addf(pipe, "ECHO %d", number);
        redis_addf(pipe, "INCR asked");
        redis_addf(pipe, "ECHO %d", -number);
        KOL_ASSERT(redis_run(pipe, in_ms(60000), NULL) == KOL_OK);
        KOL_ASSERT(str_is(redis_answer(pipe, 0)->text, text));
        KOL_ASSERT(redis_answer(pipe, 2)->text.ptr[0] == '-');
        redis_clear(pipe);
    }
    redis_pipe_free(&pipe);
    return NULL;
}

static void test_eight_threads_share_a_pool(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct redis_options options = over_socket(&server);
    options.connections = 3;
    options.answer_us = 60000000;
    struct redis *redis = open_redis(&options);
    for (int i = 0; i < THREADS; i++) {
        KOL_ASSERT(pthread_create(&threads[i], NULL, ask_often, redis) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    struct redis_counts counts;
    redis_counts(redis, &counts);
    assert_int_equal(counts.pipes, THREADS * PIPES);
    assert_int_equal(counts.commands, 3 * THREADS * PIPES);
    assert_in_range(counts.idle, 1, 3);
    assert_int_equal(counts.open, counts.idle);
    assert_int_equal(counts.failed_connections + counts.lost_connections + counts.timeouts, 0);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "GET asked");
    redis_addf(pipe, "DEL asked");
    run_pipe(pipe);
    assert_text(redis_answer(pipe, 0), "8000");
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary_values_of_a_thousand_commands_come_back_in_order),
        cmocka_unit_test(test_an_error_harms_no_other_answer),
        cmocka_unit_test(test_lists_in_lists),
        cmocka_unit_test(test_users_and_passwords),
        cmocka_unit_test(test_databases_are_apart),
        cmocka_unit_test(test_a_restart_costs_no_pipe),
        cmocka_unit_test(test_killed_during_a_pipe),
        cmocka_unit_test(test_a_stopped_server_takes_no_longer_than_allowed),
        cmocka_unit_test(test_a_full_server_says_so),
        cmocka_unit_test(test_eight_threads_share_a_pool),
    };
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
