/*
 * test_redis_hostile.c: servers that are none, or mean ill: whatever they send, however slowly and
 * however much of it, a pipe ends by its deadline, within its memory, with a status that says why.
 */
#include "redis_fixture.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>

#include "cache/redis_parts.h"

/* ---- the reader alone ---- */

static const char several[] =
    "+OK\r\n$5\r\na\0b\r\n\r\n*4\r\n:-12\r\n*0\r\n*1\r\n$-1\r\n-ERR no\r\n"
    "$0\r\n\r\n*-1\r\n:7\r\n";

static void check_several(const struct redis_answer *answers)
{
    assert_true(str_is(answers[0].text, "OK"));
    assert_int_equal(answers[1].text.len, 5);
    assert_memory_equal(answers[1].text.ptr, "a\0b\r\n", 6);
    assert_int_equal(answers[2].count, 4);
    assert_int_equal(answers[2].items[0].number, -12);
    assert_int_equal(answers[2].items[1].count, 0);
    assert_int_equal(answers[2].items[2].items[0].kind, REDIS_NIL);
    assert_true(redis_is_error(&answers[2].items[3], "ERR"));
    assert_int_equal(answers[3].kind, REDIS_TEXT);
    assert_int_equal(answers[3].text.len, 0);
    assert_int_equal(answers[4].kind, REDIS_NIL);
    assert_int_equal(answers[5].number, 7);
}

static enum kol_status feed(struct redis_reading *reading, struct redisReader *reader,
                            const char *bytes, size_t len, struct kol_error *err)
{
    /* A copy of just this length: ASan sees who reads beyond it. */
    char *copy = mem_alloc(len ? len : 1);
    memcpy(copy, bytes, len);
    const enum kol_status status =
        redis_reading_feed(reading, reader, (struct str){copy, len}, err);
    free(copy);
    return status;
}

static void test_answers_may_be_cut_anywhere(void **state)
{
    (void)state;
    const size_t len = sizeof several - 1;
    struct arena arena;
    struct redis_reading reading;
    arena_init(&arena, 0);
    struct redisReader *reader = redis_reader_new();
    for (size_t first = 0; first <= len; first++) {
        arena_reset(&arena);
        redis_reading_begin(&reading, &arena, 6, 100000);
        assert_int_equal(feed(&reading, reader, several, first, NULL), KOL_OK);
        assert_int_equal(feed(&reading, reader, several + first, len - first, NULL), KOL_OK);
        assert_int_equal(reading.got, 6);
        check_several(reading.answers);
    }
    redis_reading_begin(&reading, &arena, 6, 100000);
    for (size_t i = 0; i < len; i++) {
        assert_int_not_equal(reading.got, 6);
        assert_int_equal(feed(&reading, reader, several + i, 1, NULL), KOL_OK);
    }
    check_several(reading.answers);
    redisReaderFree(reader);
    arena_free(&arena);
}

static void test_the_bound_counts_bytes_and_values(void **state)
{
    (void)state;
    static const char list[] = "*3\r\n:1\r\n*2\r\n:2\r\n:3\r\n$2\r\nab\r\n";
    const size_t needed = sizeof list - 1 + 5 * sizeof(struct redis_answer);
    for (size_t missing = 0; missing <= needed; missing++) {
        struct arena arena;
        struct kol_error err = {0};
        struct redis_reading reading;
        arena_init(&arena, 0);
        struct redisReader *reader = redis_reader_new();
        redis_reading_begin(&reading, &arena, 1, needed - missing);
        assert_int_equal(feed(&reading, reader, list, sizeof list - 1, &err),
                         missing ? KOL_CORRUPT : KOL_OK);
        assert_true(!missing || strstr(err.message, "answer_max"));
        redisReaderFree(reader);
        arena_free(&arena);
    }
}

/* The server was quicker: it spoke and hung up before anything was sent. */
static void test_last_words_are_read_though_nothing_can_be_sent(void **state)
{
    (void)state;
    static const char words[] = "-ERR max number of clients reached\r\n";
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(write(ends[1], words, sizeof words - 1), sizeof words - 1);
    close(ends[1]);
    struct arena arena;
    struct redis_reading reading;
    struct redis_link link = {.fd = ends[0], .reader = redis_reader_new()};
    arena_init(&arena, 0);
    redis_reading_begin(&reading, &arena, 2, 1000);
    assert_int_equal(
        redis_link_exchange(&link, "name", STR("PING\r\n"), &reading, in_ms(20000), NULL), KOL_IO);
    assert_int_equal(reading.got, 1);
    assert_true(redis_is_error(&reading.answers[0], "ERR"));
    redisReaderFree(link.reader);
    close(ends[0]);
    arena_free(&arena);
}

/* ---- a server ---- */

/* What it does with each connection, after the first bytes came in: */
struct script {
    const char *bytes;   /* that it sends */
    const char *forever; /* that it sends again and again, until the client is gone; or NULL */
    int nap_ms;          /* behind each of `forever`, below 1000 */
    bool deaf;           /* does not read at all, not even first */
    bool full;           /* reads no more behind those first bytes, until the client is gone */
    bool close;          /* closes then; else it waits for the client to go */
    const char *later;   /* sent when `say_more` is set */
};

struct hostile {
    int fd, port;
    pthread_t thread;
    const struct script *script;
    atomic_bool say_more, said_more, over;
};

static bool put(int fd, const char *bytes)
{
    const ssize_t len = (ssize_t)strlen(bytes);
    return send(fd, bytes, (size_t)len, MSG_NOSIGNAL) == len;
}

static void play(struct hostile *hostile, int fd)
{
    const struct script *script = hostile->script;
    char bytes[4096];
    if (!script->deaf && (recv(fd, bytes, sizeof bytes, 0) <= 0 || !put(fd, script->bytes))) {
        return;
    }
    if (script->deaf || script->full) {
        while (!atomic_load(&hostile->over)) {
            nap();
        }
        return;
    }
    while (script->forever && put(fd, script->forever)) {
        if (script->nap_ms) {
            KOL_ASSERT(nanosleep(&(struct timespec){.tv_nsec = script->nap_ms * MS}, NULL) == 0);
        }
    }
    while (script->later && !atomic_load(&hostile->said_more)) {
        if (atomic_load(&hostile->say_more)) {
            KOL_ASSERT(put(fd, script->later));
            atomic_store(&hostile->said_more, true);
        }
        nap();
    }
    while (!script->close && recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
}

static void *serve(void *argument)
{
    struct hostile *hostile = argument;
    int fd;
    while ((fd = accept(hostile->fd, NULL, NULL)) >= 0) {
        play(hostile, fd);
        close(fd);
    }
    return NULL;
}

static void start_hostile(struct hostile *hostile, const struct script *script)
{
    *hostile = (struct hostile){.script = script};
    hostile->fd = listen_anywhere(&hostile->port);
    /* What it does not read is not taken off the client's hands by the system, whatever its limits.
     */
    KOL_ASSERT(setsockopt(hostile->fd, SOL_SOCKET, SO_RCVBUF, &(int){64 * 1024}, sizeof(int)) == 0);
    KOL_ASSERT(pthread_create(&hostile->thread, NULL, serve, hostile) == 0);
}

static void stop_hostile(struct hostile *hostile)
{
    atomic_store(&hostile->over, true);
    shutdown(hostile->fd, SHUT_RDWR);
    pthread_join(hostile->thread, NULL);
    close(hostile->fd);
}

/* SHORT_MS for what must time out, LONG_MS, on which no test relies, for all else. */
enum { SHORT_MS = 400, LONG_MS = 20000, ANSWER_MAX = 1024 * 1024 };

/* Runs two commands against a script; how long that took, in ms. */
static int64_t run_against(const struct script *script, size_t command_bytes,
                           enum kol_status expected, struct kol_error *err)
{
    struct hostile hostile;
    start_hostile(&hostile, script);
    const struct redis_options options = {
        .port = hostile.port, .answer_us = 20000000, .answer_max = ANSWER_MAX};
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    char *value = mem_zalloc(command_bytes, 1);
    redis_addf(pipe, "SET key %S", (struct str){value, command_bytes});
    redis_addf(pipe, "PING");
    *err = (struct kol_error){0};
    const int64_t began_ns = clock_mono_ns();
    const int64_t deadline_ms = expected == KOL_TIMEOUT ? SHORT_MS : LONG_MS;
    const enum kol_status status = redis_run(pipe, began_ns + deadline_ms * MS, err);
    const int64_t took_ms = (clock_mono_ns() - began_ns) / MS;
    if (status != expected) {
        fail_msg("`%s` ends in %s: %s", script->bytes, kol_status_text(status), err->message);
    }
    struct redis_counts counts;
    redis_counts(redis, &counts);
    assert_int_equal(counts.open, 0);
    assert_int_equal(counts.lost_connections, 1);
    free(value);
    redis_pipe_free(&pipe);
    redis_close(&redis);
    stop_hostile(&hostile);
    return took_ms;
}

static void test_what_is_no_answer_is_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        struct script script;
        const char *expected;
    } cases[] = {
        {{"HTTP/1.1 400 Bad Request\r\n\r\n"}, "no answer of Redis"},
        {{"\r\n"}, "no answer of Redis"},
        {{"$-5\r\n"}, "no answer of Redis"},
        {{"*-7\r\n"}, "no answer of Redis"},
        {{"$abc\r\n"}, "no answer of Redis"},
        {{":99999999999999999999\r\n"}, "no answer of Redis"},
        {{"$99999999999999999999\r\n"}, "no answer of Redis"},
        {{"*99999999999\r\n"}, ""},
        {{"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"},
         "no answer of Redis"},
        {{"%1\r\n+a\r\n+b\r\n"}, "no answer of Redis"},
        {{"_\r\n"}, "no answer of Redis"},
        {{"*1000000000\r\n"}, "answer_max"},
        {{"*2147483647\r\n"}, "answer_max"},
        {{"*10000\r\n*10000\r\n*10000\r\n"}, "answer_max"},
        {{"$1000000000\r\n",
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
         "answer_max"},
        {{"+", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
         "answer_max"},
        {{"+OK\r\n+OK\r\n+OK\r\n"}, "more answers"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kol_error err;
        run_against(&cases[i].script, 10, KOL_CORRUPT, &err);
        if (!strstr(err.message, cases[i].expected)) {
            fail_msg("`%s`: %s", cases[i].script.bytes, err.message);
        }
        assert_non_null(strstr(err.message, "127.0.0.1:"));
    }
}

static void test_whoever_dribbles_or_is_silent_meets_the_deadline(void **state)
{
    (void)state;
    static const struct {
        struct script script;
        size_t command_bytes;
    } cases[] = {
        {{"+", "x", .nap_ms = 50}, 10},
        {{"", "*", .nap_ms = 50}, 10}, /* garbage that never gets to its end */
        {{"$200\r\n", "x", .nap_ms = 50}, 10},
        {{"*3000\r\n", ":1\r\n", .nap_ms = 50}, 10},
        {{"+OK\r\n"}, 10}, /* one of two */
        {{""}, 10},
        {{"", .deaf = true}, 16 * 1024 * 1024},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kol_error err;
        int64_t took_ms = INT64_MAX;
        /* A busy machine may be late, but not each time. */
        for (int turn = 0; turn < 4 && took_ms > SHORT_MS * 3 / 2; turn++) {
            took_ms = run_against(&cases[i].script, cases[i].command_bytes, KOL_TIMEOUT, &err);
            assert_true(took_ms >= SHORT_MS);
        }
        assert_in_range(took_ms, SHORT_MS, SHORT_MS * 3 / 2);
    }
}

static void test_early_ends(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {"", .close = true},
        {"+OK\r\n", .close = true},
        {"+OK\r\n$10\r\nabc", .close = true},
        {"-ERR max number of clients reached\r\n", .close = true},
    };
    struct kol_error err;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        run_against(&scripts[i], 10, KOL_IO, &err);
        assert_non_null(strstr(err.message, i ? "1 of 2 answers" : "0 of 2 answers"));
    }
    assert_non_null(strstr(err.message, "max number of clients"));
    /* Answers that were there before all questions were: they belong to something else. */
    run_against(&(struct script){"+OK\r\n+OK\r\n", .full = true}, 16 * 1024 * 1024, KOL_CORRUPT,
                &err);
    assert_non_null(strstr(err.message, "not sent yet"));
}

static void test_an_answer_nobody_asked_for_meets_no_later_question(void **state)
{
    (void)state;
    struct hostile hostile;
    static const struct script script = {"+first\r\n", .later = "+late\r\n"};
    start_hostile(&hostile, &script);
    const struct redis_options options = {.port = hostile.port, .answer_us = 20000000};
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "PING");
    run_pipe(pipe);
    atomic_store(&hostile.say_more, true);
    while (!atomic_load(&hostile.said_more)) {
        nap();
    }
    run_pipe(pipe);
    assert_true(str_is(redis_answer(pipe, 0)->text, "first"));
    struct redis_counts counts;
    redis_counts(redis, &counts);
    assert_int_equal(counts.connections, 2);
    redis_pipe_free(&pipe);
    redis_close(&redis);
    stop_hostile(&hostile);
}

static void test_a_server_that_repeats_the_password_is_not_quoted(void **state)
{
    (void)state;
    static const char *const refusals[] = {
        "-ERR bad s3cret\r\n+OK\r\n",
        "-WRONGPASS s3cret\r\n+OK\r\n",
        "+OK\r\n-ERR bad s3cret\r\n",
        "+OK\r\n-NOPERM s3cret\r\n",
        "s3cret\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct hostile hostile;
        struct kol_error err = {0};
        start_hostile(&hostile, &(struct script){refusals[i]});
        const struct redis_options options = {.port = hostile.port,
                                              .user = "me",
                                              .password = "s3cret",
                                              .db = 1,
                                              .connect_us = 20000000};
        struct redis *redis = open_redis(&options);
        struct redis_pipe *pipe = redis_pipe_new(redis);
        redis_addf(pipe, "PING");
        assert_int_not_equal(redis_run(pipe, in_ms(20000), &err), KOL_OK);
        assert_int_not_equal(err.status, KOL_TIMEOUT);
        assert_null(strstr(err.message, "s3cret"));
        redis_pipe_free(&pipe);
        redis_close(&redis);
        stop_hostile(&hostile);
    }
}

static void test_nobody_listens(void **state)
{
    (void)state;
    static const struct {
        struct redis_options options;
        enum kol_status expected;
    } cases[] = {
        {{.path = "/nonexistent/socket"}, KOL_NOT_FOUND},
        {{.port = 1}, KOL_IO},
        {{.host = "::1", .port = 1}, KOL_IO},
        {{.host = "no.such.host.invalid"}, KOL_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kol_error err = {0};
        struct redis *redis = open_redis(&cases[i].options);
        struct redis_pipe *pipe = redis_pipe_new(redis);
        redis_addf(pipe, "PING");
        const enum kol_status status = redis_run(pipe, in_ms(20000), &err);
        assert_int_equal(status, cases[i].expected);
        assert_non_null(strstr(err.message, redis_name(redis)));
        assert_int_not_equal(redis_run(pipe, INT64_MIN, NULL), KOL_OK);
        redis_pipe_free(&pipe);
        redis_close(&redis);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_may_be_cut_anywhere),
        cmocka_unit_test(test_the_bound_counts_bytes_and_values),
        cmocka_unit_test(test_last_words_are_read_though_nothing_can_be_sent),
        cmocka_unit_test(test_what_is_no_answer_is_refused_at_once),
        cmocka_unit_test(test_whoever_dribbles_or_is_silent_meets_the_deadline),
        cmocka_unit_test(test_early_ends),
        cmocka_unit_test(test_an_answer_nobody_asked_for_meets_no_later_question),
        cmocka_unit_test(test_a_server_that_repeats_the_password_is_not_quoted),
        cmocka_unit_test(test_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
