/*
 * test_redis_cluster_hostile.c: clusters that are none, or send their clients round in circles: a
 * pipe ends by its limit, with an answer or a status that says why.
 */
#include "redis_fixture.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "cache/redis_parts.h"

/* ---- what nodes say, alone ---- */

static void test_endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host; /* NULL: it is none */
        int port;
    } cases[] = {
        {"10.0.0.7:7000", "10.0.0.7", 7000},
        {":7000", "", 7000},
        {"fe80::1:7000", "fe80::1", 7000},
        {"[fe80::1]:7000", "fe80::1", 7000},
        {"a.b:1", "a.b", 1},
        {"a:65535", "a", 65535},
        {"", NULL, 0},
        {"a", NULL, 0},
        {"a:", NULL, 0},
        {"a:0", NULL, 0},
        {"a:65536", NULL, 0},
        {"a:-1", NULL, 0},
        {"a:1x", NULL, 0},
        {":", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str host = {0};
        int port = 0;
        assert_int_equal(redis_read_endpoint(str_of(cases[i].text), &host, &port),
                         cases[i].host != NULL);
        if (cases[i].host) {
            assert_true(str_is(host, cases[i].host));
            assert_int_equal(port, cases[i].port);
        }
    }
    char longest[400];
    struct str host;
    int port;
    memset(longest, 'x', sizeof longest);
    memcpy(longest + 300, ":7000", 6);
    assert_false(redis_read_endpoint(str_of(longest), &host, &port));
    assert_true(redis_read_endpoint(str_of(longest + 100), &host, &port));
}

/* ---- a node ---- */

struct impostor {
    int fd, port;
    pthread_t thread;
    const char *slots;  /* what it says to CLUSTER SLOTS; %d stands for its port */
    const char *answer; /* and to all else, alike, */
    int nap_ms;         /* after this */
    atomic_int asked, others;
};

static bool put(int fd, const char *format, int port)
{
    char text[512];
    const char *at = strstr(format, "%d");
    if (at) {
        snprintf(text, sizeof text, "%.*s%d%s", (int)(at - format), format, port, at + 2);
    } else {
        snprintf(text, sizeof text, "%s", format);
    }
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Every command that is sent here is short, and comes whole; none has an asterisk in it. */
static void play(struct impostor *impostor, int fd)
{
    char bytes[4096];
    ssize_t count;
    while ((count = recv(fd, bytes, sizeof bytes - 1, 0)) > 0) {
        bytes[count] = '\0';
        const bool slots = strstr(bytes, "CLUSTER") != NULL;
        nanosleep(&(struct timespec){.tv_nsec = slots ? 0 : impostor->nap_ms * MS}, NULL);
        for (const char *at = bytes; (at = strchr(at, '*')); at++) {
            atomic_fetch_add(slots ? &impostor->asked : &impostor->others, 1);
            if (!put(fd, slots ? impostor->slots : impostor->answer, impostor->port)) {
                return;
            }
        }
    }
}

static void *pretend(void *argument)
{
    struct impostor *impostor = argument;
    int fd;
    while ((fd = accept(impostor->fd, NULL, NULL)) >= 0) {
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        play(impostor, fd);
        close(fd);
    }
    return NULL;
}

#define ALL_SLOTS "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n"

enum { LIMIT_MS = 300 };

static void test_whatever_a_node_says_ends(void **state)
{
    (void)state;
    static const struct {
        const char *slots, *answer;
        enum kol_status expected;
        const char *said; /* by the answer, or by the error */
        int nap_ms;
    } cases[] = {
        {"+OK\r\n", "", KOL_CORRUPT, "no list", 0},
        {"*1\r\n:1\r\n", "", KOL_CORRUPT, "range 0", 0},
        {"*1\r\n*0\r\n", "", KOL_CORRUPT, "range 0", 0},
        {"*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n", "", KOL_CORRUPT, "range 0", 0},
        {"*1\r\n*3\r\n:-1\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n", "", KOL_CORRUPT, "range 0", 0},
        {"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n", "", KOL_CORRUPT, "range 0", 0},
        {"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n:1\r\n:1\r\n", "", KOL_CORRUPT, "range 0", 0},
        {"*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n", "", KOL_CORRUPT, "range 0", 0},
        {"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:99999\r\n", "", KOL_IO, "knows no node", 0},
        {"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\n?\r\n:7000\r\n", "", KOL_IO, "knows no node", 0},
        {"*0\r\n", "", KOL_IO, "knows no node", 0},
        {"-LOADING soon\r\n", "", KOL_IO, "loading", 0},
        {"-ERR unknown command\r\n", "", KOL_USAGE, "unknown command", 0},
        {"", "", KOL_TIMEOUT, "0 of 1 answers", 0},
        {ALL_SLOTS, "+x\r\n", KOL_OK, "x", 0},
        {ALL_SLOTS, "-MOVED 5 :%d\r\n", KOL_OK, "MOVED", 0},
        {ALL_SLOTS, "-MOVED 5 127.0.0.1:%d\r\n", KOL_OK, "MOVED", 0},
        {ALL_SLOTS, "-ASK 5 127.0.0.1:%d\r\n", KOL_OK, "ASK", 0},
        {ALL_SLOTS, "-MOVED\r\n", KOL_OK, "MOVED", 0},
        {ALL_SLOTS, "-MOVED 99999 nowhere\r\n", KOL_OK, "MOVED", 0},
        {ALL_SLOTS, "-MOVED 5 127.0.0.1:1\r\n", KOL_IO, "127.0.0.1:1", 0},
        {ALL_SLOTS, "-TRYAGAIN\r\n", KOL_OK, "TRYAGAIN", 0},
        /* By the pauses between the rounds, the fifth would begin in time and end too late. */
        {ALL_SLOTS, "-TRYAGAIN\r\n", KOL_OK, "TRYAGAIN", 60},
        {ALL_SLOTS, "-LOADING\r\n", KOL_OK, "LOADING", 0},
        {ALL_SLOTS, "-CLUSTERDOWN\r\n", KOL_OK, "CLUSTERDOWN", 0},
        {ALL_SLOTS, "-NOSCRIPT\r\n", KOL_OK, "NOSCRIPT", 0},
        {ALL_SLOTS, "-NOAUTH\r\n", KOL_USAGE, "asks for a password", 0},
        {ALL_SLOTS, "", KOL_TIMEOUT, "0 of 2 answers", 0},
        {ALL_SLOTS, "+x\r\n+y\r\n+z\r\n", KOL_CORRUPT, "more answers", 0},
    };
    static const struct redis_script script = {"return 1"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct impostor impostor = {
            .slots = cases[i].slots, .answer = cases[i].answer, .nap_ms = cases[i].nap_ms};
        impostor.fd = listen_anywhere(&impostor.port);
        KOL_ASSERT(pthread_create(&impostor.thread, NULL, pretend, &impostor) == 0);
        const struct redis_options options = {.port = impostor.port,
                                              .cluster = true,
                                              .connect_us = LIMIT_MS * 1000,
                                              .answer_us = LIMIT_MS * 1000};
        struct redis *redis = open_redis(&options);
        struct redis_pipe *pipe = redis_pipe_new(redis);
        redis_addf(pipe, "GET key");
        redis_add_script(pipe, &script, 1, 1, (const struct str[]){STR("key")});
        int64_t took_ms = INT64_MAX;
        for (int turn = 0; turn < 4 && took_ms > 4 * LIMIT_MS; turn++) {
            struct kol_error err = {0};
            const int64_t began_ns = clock_mono_ns();
            const enum kol_status status = redis_run(pipe, in_ms(20000), &err);
            took_ms = (clock_mono_ns() - began_ns) / MS;
            if (status == KOL_TIMEOUT && turn < 3 && status != cases[i].expected) {
                took_ms = INT64_MAX; /* a busy machine, which is so not each time */
                continue;
            }
            if (status != cases[i].expected) {
                fail_msg("%zu: %s: %s", i, kol_status_text(status), err.message);
            }
            const char *said = status == KOL_OK ? redis_answer(pipe, 1)->text.ptr : err.message;
            if (!strstr(said, cases[i].said)) {
                fail_msg("%zu: %s", i, said);
            }
        }
        assert_in_range(took_ms, 0, 4 * LIMIT_MS);
        /* Neither is it asked without a pause. */
        assert_in_range(atomic_load(&impostor.others), 0, 400);
        assert_in_range(atomic_load(&impostor.asked), 1, 100);
        struct redis_counts counts;
        redis_counts(redis, &counts);
        assert_int_equal(counts.open, counts.idle);
        redis_pipe_free(&pipe);
        redis_close(&redis);
        shutdown(impostor.fd, SHUT_RDWR);
        pthread_join(impostor.thread, NULL);
        close(impostor.fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_whatever_a_node_says_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
