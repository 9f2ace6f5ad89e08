/*
 * test_redis_watch.c: being told what changes, by a redis-server that is killed, stopped and
 * started anew meanwhile, and by servers that are none.
 */
#include "redis_server_fixture.h"
#include "redis_watch_fixture.h"

static void begin(struct watching *watching, int64_t ping_us)
{
    const struct redis_options options = over_tcp(&server);
    begin_with(watching, &options, ping_us, "news");
    await(watching, &watching->heard.ready, 1);
    while (!redis_watch_ready(watching->watch)) {
        nap();
    }
}

/* Runs one command, which has no % in it, as somebody else. */
static void tell(const char *words)
{
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, words);
    run_pipe(pipe);
    const struct redis_answer *answer = redis_answer(pipe, 0);
    if (answer->kind == REDIS_ERROR) {
        fail_msg("%s: %s", words, answer->text.ptr);
    }
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

/* ---- news ---- */

static void test_keys_and_messages_come_in_their_order(void **state)
{
    (void)state;
    struct watching watching;
    begin(&watching, 0);
    /* Keys are told of after the command, messages during it: one at a time has one order. */
    static const struct {
        const char *words, *news;
    } steps[] = {
        {"SET a:1 x", "key a:1\n"},      {"HSET b:1 f v", "key b:1\n"},
        {"SET other 1", NULL},           {"PUBLISH news hello", "message hello\n"},
        {"PUBLISH olds no", NULL},       {"DEL a:1", "key a:1\n"},
        {"EXPIRE b:1 100", "key b:1\n"}, {"RENAME other b:2", "key b:2\n"},
        {"FLUSHALL", "all\n"},           {"SET a:\xc3\xa9 x", "key a:\xc3\xa9\n"},
    };
    struct buf expected = {0};
    buf_puts(&expected, "ready\n");
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        tell(steps[i].words);
        if (steps[i].news) {
            buf_puts(&expected, steps[i].news);
            await_news(&watching, expected.ptr);
        }
    }
    assert_string_equal(watching.heard.news.ptr, expected.ptr);
    assert_true(redis_watch_ready(watching.watch));
    buf_free(&expected);
    end(&watching);
}

static void test_a_key_that_expires_is_told_of_and_so_is_an_own_write(void **state)
{
    (void)state;
    struct watching watching;
    begin(&watching, 0);
    struct redis_pipe *pipe = redis_pipe_new(watching.redis);
    redis_addf(pipe, "SET a:soon x PX 60");
    run_pipe(pipe);
    redis_pipe_free(&pipe);
    await_news(&watching, "key a:soon\nkey a:soon\n");
    end(&watching);
}

static void test_many_keys_all_come_and_few_at_a_time_they_do_not(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct watching watching;
    begin(&watching, 0);
    struct redis_pipe *pipe = redis_pipe_new(watching.redis);
    for (int64_t i = 0; i < COUNT; i++) {
        redis_addf(pipe, "SET %s x", i % 2 ? "a:same" : "b:same");
        redis_addf(pipe, "EVAL %s 0 %d", "return redis.call('SET', 'a:'..ARGV[1], 1)", i);
    }
    run_pipe(pipe);
    redis_clear(pipe);
    redis_addf(pipe, "SET b:last x");
    run_pipe(pipe);
    await_news(&watching, "key b:last\n");
    bool *seen = mem_zalloc(COUNT, sizeof *seen);
    int64_t distinct = 0;
    for (struct str rest = buf_str(&watching.heard.news); rest.len > 0;) {
        struct str line = str_cut(&rest, '\n');
        int64_t number;
        if (str_starts(line, STR("key a:")) &&
            str_to_int64((struct str){line.ptr + 6, line.len - 6}, &number)) {
            distinct += !seen[number];
            seen[number] = true;
        }
    }
    assert_int_equal(distinct, COUNT);
    assert_true(watching.heard.batches < watching.heard.keys / 4);
    free(seen);
    redis_pipe_free(&pipe);
    tell("FLUSHALL");
    end(&watching);
}

/* ---- connections that go ---- */

/* A busy machine may be late, but not each time. */
#define assert_soon(took_ms, turn) assert_true((took_ms) < 2000 || (turn) < 3)

static void test_a_server_that_goes_is_lost_once_and_found_again(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        int64_t took_ms = INT64_MAX;
        for (int turn = 0; turn < 4 && took_ms >= 2000; turn++) {
            struct watching watching;
            begin(&watching, 100 * 1000);
            if (way == 0) {
                kill_server(&server);
            } else if (way == 1) {
                KOL_ASSERT(kill(server.pid, SIGSTOP) == 0);
            } else {
                tell("CLIENT KILL TYPE pubsub");
            }
            await(&watching, &watching.heard.lost, 1);
            if (way < 2) {
                assert_false(redis_watch_ready(watching.watch));
                for (int i = 0; i < 200; i++) {
                    nap(); /* tries that fail are not told of */
                }
            }
            if (way == 0) {
                start_server(&server);
            } else if (way == 1) {
                KOL_ASSERT(kill(server.pid, SIGCONT) == 0);
            }
            took_ms = await(&watching, &watching.heard.ready, 2);
            assert_soon(took_ms, turn);
            tell("SET a:1 x");
            await_news(&watching, "ready\nlost\nready\nkey a:1\n");
            assert_int_equal(watching.heard.lost, 1);
            assert_int_equal(watching.heard.last.status, way == 1 ? KOL_TIMEOUT : KOL_IO);
            assert_non_null(strstr(watching.heard.last.message, redis_name(watching.redis)));
            end(&watching);
        }
    }
}

static void test_a_start_that_fails_is_told_of_once(void **state)
{
    (void)state;
    struct watching watching;
    const struct redis_options options = over_tcp(&server);
    kill_server(&server);
    begin_with(&watching, &options, 0, NULL);
    await(&watching, &watching.heard.lost, 1);
    for (int i = 0; i < 100; i++) {
        nap();
    }
    start_server(&server);
    await(&watching, &watching.heard.ready, 1);
    assert_string_equal(watching.heard.news.ptr, "lost\nready\n");
    end(&watching);
}

static int64_t pings(void)
{
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "INFO commandstats");
    run_pipe(pipe);
    const char *at = strstr(redis_answer(pipe, 0)->text.ptr, "cmdstat_ping:calls=");
    const int64_t count = at ? strtoll(at + strlen("cmdstat_ping:calls="), NULL, 10) : 0;
    redis_pipe_free(&pipe);
    redis_close(&redis);
    return count;
}

static void test_a_quiet_connection_is_asked_and_stays(void **state)
{
    (void)state;
    struct watching watching;
    begin(&watching, 500 * 1000);
    const int64_t before = pings();
    while (pings() < before + 3) {
        nap();
    }
    assert_string_equal(watching.heard.news.ptr, "ready\n");
    end(&watching);
}

static void test_a_stop_does_not_wait_for_a_server(void **state)
{
    (void)state;
    KOL_ASSERT(kill(server.pid, SIGSTOP) == 0);
    struct watching watching;
    const struct redis_options options = over_socket(&server); /* that allows 20 s */
    begin_with(&watching, &options, 0, NULL);
    for (int i = 0; i < 10; i++) {
        nap();
    }
    const int64_t took_ms = end(&watching);
    KOL_ASSERT(kill(server.pid, SIGCONT) == 0);
    assert_true(took_ms < 5000);
}

/* ---- options and logins ---- */

static void test_what_cannot_be_watched(void **state)
{
    (void)state;
    static const struct str overlapping[][2] = {
        {{"kol:", 4}, {"kol:score:", 10}}, {{"b", 1}, {"b", 1}}, {{"a", 1}, {"", 0}}};
    const struct redis_options options = over_tcp(&server);
    struct redis *redis = open_redis(&options);
    for (size_t i = 0; i < ARRAY_LEN(overlapping) + 1; i++) {
        struct kol_error err = {0};
        struct redis_watch *watch = NULL;
        const struct redis_watch_options refused = {
            .redis = redis,
            .prefixes = i ? overlapping[i - 1] : NULL,
            .prefix_count = i ? 2 : 0,
        };
        assert_int_equal(redis_watch_start(&refused, &watch, &err), KOL_INVALID);
        assert_null(watch);
        assert_non_null(strstr(err.message, i ? "begins with" : "no beginning"));
    }
    redis_close(&redis);
}

static void test_a_wrong_password_and_a_user_who_may_not(void **state)
{
    (void)state;
    tell("ACL SETUSER watcher on >s3cret resetchannels ~* +ping");
    for (int turn = 0; turn < 3; turn++) {
        struct watching watching;
        struct redis_options options = over_tcp(&server);
        options.user = "watcher";
        options.password = turn == 0 ? "wr0ng" : "s3cret";
        if (turn == 2) {
            tell("ACL SETUSER watcher +client|id +client|tracking +subscribe");
        }
        begin_with(&watching, &options, 0, "news");
        await(&watching, &watching.heard.lost, 1);
        assert_int_equal(watching.heard.last.status, KOL_USAGE);
        assert_null(strstr(watching.heard.last.message, options.password));
        assert_non_null(strstr(watching.heard.last.message, turn == 0   ? "refused user `watcher`"
                                                            : turn == 1 ? "CLIENT TRACKING"
                                                                        : "NOPERM"));
        if (turn == 2) { /* what is set right later is found by itself */
            tell("ACL SETUSER watcher &__redis__:invalidate &news");
            await(&watching, &watching.heard.ready, 1);
        }
        end(&watching);
    }
    tell("ACL DELUSER watcher");
}

/* ---- servers that are none ---- */

struct impostor {
    int fd, port;
    pthread_t thread;
    const char *words; /* instead of what it says to SUBSCRIBE; the last byte again and again where
                          `endless` */
    bool endless, close;
};

static bool put(int fd, const char *bytes, size_t len)
{
    return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void play(const struct impostor *impostor, int fd)
{
    char bytes[4096];
    const char *const replies[] = {":7\r\n", "+OK\r\n", impostor->words};
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        if (recv(fd, bytes, sizeof bytes, 0) <= 0 || !put(fd, replies[i], strlen(replies[i]))) {
            return;
        }
    }
    memset(bytes, impostor->words[strlen(impostor->words) - !!impostor->endless], sizeof bytes);
    while (impostor->endless && put(fd, bytes, sizeof bytes)) {
    }
    while (!impostor->close && recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
}

static void *pretend(void *argument)
{
    struct impostor *impostor = argument;
    int fd;
    while ((fd = accept(impostor->fd, NULL, NULL)) >= 0) {
        play(impostor, fd);
        close(fd);
    }
    return NULL;
}

#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"
#define CHANGED "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"

static void test_whatever_an_impostor_says_is_bounded_and_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum kol_status expected;
        bool endless, close;
    } cases[] = {
        {"+OK\r\n", KOL_CORRUPT, false, false},
        {":1\r\n", KOL_CORRUPT, false, false},
        {"HTTP/1.1 200 OK\r\n", KOL_CORRUPT, false, false},
        {"*0\r\n", KOL_CORRUPT, false, false},
        {"*-1\r\n", KOL_CORRUPT, false, false},
        {"*3\r\n:1\r\n:2\r\n:3\r\n", KOL_CORRUPT, false, false},
        {"*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$1\r\nx\r\n", KOL_CORRUPT, false, false},
        {"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n:1\r\n", KOL_CORRUPT, false, false},
        {"*2\r\n$7\r\nmessage\r\n$4\r\nnews\r\n", KOL_CORRUPT, false, false},
        {SUBSCRIBED SUBSCRIBED SUBSCRIBED, KOL_CORRUPT, false, false},
        {SUBSCRIBED CHANGED ":1\r\n", KOL_CORRUPT, false, false},
        {SUBSCRIBED CHANGED "$1\r\nx\r\n", KOL_CORRUPT, false, false},
        {SUBSCRIBED CHANGED "*1\r\n*0\r\n", KOL_CORRUPT, false, false},
        {SUBSCRIBED CHANGED "*1000000000\r\n", KOL_CORRUPT, false, false},
        {SUBSCRIBED SUBSCRIBED "$2000000000\r\n0", KOL_CORRUPT, true, false},
        {"-ERR no\r\n", KOL_IO, false, false},
        {"-NOPERM no\r\n", KOL_USAGE, false, false},
        {SUBSCRIBED SUBSCRIBED, KOL_IO, false, true},
        {SUBSCRIBED SUBSCRIBED, KOL_TIMEOUT, false, false}, /* no PONG */
        {SUBSCRIBED, KOL_TIMEOUT, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct impostor impostor = {
            .words = cases[i].words, .endless = cases[i].endless, .close = cases[i].close};
        struct watching watching;
        impostor.fd = listen_anywhere(&impostor.port);
        KOL_ASSERT(pthread_create(&impostor.thread, NULL, pretend, &impostor) == 0);
        const struct redis_options options = {.port = impostor.port, .connect_us = 1000000};
        begin_with(&watching, &options, 200 * 1000, "news");
        await(&watching, &watching.heard.lost, 1);
        if (watching.heard.last.status != cases[i].expected) {
            fail_msg("`%s`: %s", cases[i].words, watching.heard.last.message);
        }
        assert_null(watching.heard.news.ptr ? strstr(watching.heard.news.ptr, "key") : NULL);
        end(&watching);
        shutdown(impostor.fd, SHUT_RDWR);
        pthread_join(impostor.thread, NULL);
        close(impostor.fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_messages_come_in_their_order),
        cmocka_unit_test(test_a_key_that_expires_is_told_of_and_so_is_an_own_write),
        cmocka_unit_test(test_many_keys_all_come_and_few_at_a_time_they_do_not),
        cmocka_unit_test(test_a_server_that_goes_is_lost_once_and_found_again),
        cmocka_unit_test(test_a_start_that_fails_is_told_of_once),
        cmocka_unit_test(test_a_quiet_connection_is_asked_and_stays),
        cmocka_unit_test(test_a_stop_does_not_wait_for_a_server),
        cmocka_unit_test(test_what_cannot_be_watched),
        cmocka_unit_test(test_a_wrong_password_and_a_user_who_may_not),
        cmocka_unit_test(test_whatever_an_impostor_says_is_bounded_and_refused),
    };
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
