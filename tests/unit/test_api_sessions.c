/*
 * test_api_sessions.c: sessions on their way to Redis: what began and ended without it is told in
 * few exchanges, and none that is over comes back, whoever ends it and wherever that falls.
 *
 * Of three servers two share a data folder, as processes of one machine do, and one is elsewhere;
 * all have the same keys and Redis. The first asks Redis through a proxy, which lets the test do
 * something just when a session is on its way.
 */
#include "redis_server_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "api/signed_in.h"
#include "base/file.h"

/* ---- a proxy ---- */

enum moment {
    NOTHING,
    BEFORE,     /* the hook runs before a command that names a session goes on */
    BEHIND,     /* it runs when its answer is there, before that goes on */
    LOST,       /* it runs before the command goes on; the answer is never given */
    LOST_BEHIND /* no answer is given, and then it runs */
};

static struct proxy {
    int listener, port;
    pthread_t thread;
    _Atomic bool over;
    _Atomic int event; /* of the next command that names a session */
    void (*_Atomic hook)(void);
    _Atomic int fired, open;
} proxy;

static bool pass_on(int from, int to, enum moment *event)
{
    char bytes[65536];
    const ssize_t got = read(from, bytes, sizeof bytes);
    if (got <= 0) {
        return false;
    }
    if (*event == NOTHING && memmem(bytes, (size_t)got, "session:", 8)) {
        *event = (enum moment)atomic_exchange(&proxy.event, NOTHING);
        if (*event == BEFORE || *event == LOST) {
            atomic_load (&proxy.hook)();
        }
        atomic_fetch_add(&proxy.fired, *event != NOTHING);
    }
    return write(to, bytes, (size_t)got) == got;
}

static bool give_answer(int from, int to, enum moment *event)
{
    char bytes[65536];
    const ssize_t got = read(from, bytes, sizeof bytes);
    const enum moment now = *event;
    *event = NOTHING;
    if (got <= 0 || now == LOST) {
        return false;
    }
    if (now == BEHIND || now == LOST_BEHIND) {
        atomic_load (&proxy.hook)();
    }
    return now != LOST_BEHIND && write(to, bytes, (size_t)got) == got;
}

static void *serve_one(void *user)
{
    const int client = (int)(intptr_t)user, up = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server.port)};
    enum moment event = NOTHING;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool on = connect(up, (struct sockaddr *)&address, sizeof address) == 0;
    while (on && !atomic_load(&proxy.over)) {
        struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = up, .events = POLLIN}};
        if (poll(fds, 2, 50) > 0) {
            on = (!fds[0].revents || pass_on(client, up, &event)) &&
                 (!fds[1].revents || give_answer(up, client, &event));
        }
    }
    close(client);
    close(up);
    atomic_fetch_sub(&proxy.open, 1);
    return NULL;
}

static void *serve_all(void *user)
{
    (void)user;
    while (!atomic_load(&proxy.over)) {
        struct pollfd fd = {.fd = proxy.listener, .events = POLLIN};
        pthread_t thread;
        if (poll(&fd, 1, 50) > 0) {
            const int client = accept4(proxy.listener, NULL, NULL, SOCK_CLOEXEC);
            KOL_ASSERT(client >= 0);
            atomic_fetch_add(&proxy.open, 1);
            KOL_ASSERT(pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)client) == 0);
            pthread_detach(thread);
        }
    }
    return NULL;
}

/* ---- three servers ---- */

static struct world {
    char folder[2][64]; /* of one machine, and of another */
    struct api *here, *beside, *there;
    struct api *alone;        /* beside them without Redis: what it begins waits to be settled */
    char token[44];           /* what a hook ends */
    _Atomic bool ended, held; /* what a hook found */
} world;

static struct api *open_api(const char *folder, int port)
{
    struct kol_error err;
    struct api *api = NULL;
    struct api_options options = {.data = folder, .redis_ask_us = 20000000};
    if (port) {
        const struct redis_options redis = {
            .port = port, .connect_us = 20000000, .answer_us = 20000000};
        options.redis = open_redis(&redis);
    }
    if (api_open(&options, &api, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    return api;
}

static void copy_keys(void)
{
    struct buf text = {0};
    char *from = file_join(world.folder[0], "keys.json");
    char *to = file_join(world.folder[1], "keys.json");
    assert_int_equal(file_read(from, 1 << 20, &text, NULL), KOL_OK);
    FILE *file = fopen(to, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file) || chmod(to, 0600), 0);
    buf_free(&text);
    free(from);
    free(to);
}

/* A session that began while `api` was asked; its token is in `token`. */
static void begin(struct api *api, char token[44])
{
    struct kol_error err;
    struct buf text = {0};
    struct http_identity who = {.scopes = API_READ};
    strcpy(who.id, "app");
    const int64_t expires_us = clock_now_us() + API_SESSION_US;
    assert_int_equal(api_signed_begin(api, &who, expires_us, in_ms(20000), &text, &err), KOL_OK);
    assert_int_equal(text.len, 43);
    memcpy(token, text.ptr, 44);
    buf_free(&text);
}

static enum http_session find(struct api *api, const char *token)
{
    struct http_identity who;
    return api_signed_find(api, str_of(token), in_ms(20000), &who);
}

static int make_world(void **state)
{
    (void)state;
    struct kol_error err;
    struct buf key = {0};
    char token[44];
    for (int i = 0; i < 2; i++) {
        strcpy(world.folder[i], "/tmp/kol-sessions-XXXXXX");
        assert_non_null(mkdtemp(world.folder[i]));
    }
    const struct api_key wanted = {.id = "app", .scopes = API_READ};
    assert_int_equal(api_key_create(world.folder[0], &wanted, &key, &err), KOL_OK);
    copy_keys();
    buf_free(&key);
    proxy.listener = listen_anywhere(&proxy.port);
    atomic_store(&proxy.over, false);
    KOL_ASSERT(pthread_create(&proxy.thread, NULL, serve_all, NULL) == 0);
    world.here = open_api(world.folder[0], proxy.port);
    world.beside = open_api(world.folder[0], server.port);
    world.there = open_api(world.folder[1], server.port);
    world.alone = open_api(world.folder[0], 0);
    begin(world.here, token); /* from now on Redis knows the script */
    atomic_store(&proxy.fired, 0);
    return 0;
}

static int end_world(void **state)
{
    (void)state;
    api_close(&world.alone);
    api_close(&world.there);
    api_close(&world.beside);
    api_close(&world.here);
    atomic_store(&proxy.over, true);
    pthread_join(proxy.thread, NULL);
    while (atomic_load(&proxy.open)) {
        nap();
    }
    close(proxy.listener);
    for (int i = 0; i < 2; i++) {
        char command[96];
        snprintf(command, sizeof command, "rm -r %s", world.folder[i]);
        KOL_ASSERT(system(command) == 0);
    }
    return 0;
}

/* What was lost on the way may have opened the breaker. */
static void await_redis(struct api *api)
{
    const int64_t deadline_ns = in_ms(20000);
    struct tier_stats stats;
    for (tier_stats(api->tier, &stats); stats.breaker != BREAKER_CLOSED;
         tier_stats(api->tier, &stats)) {
        KOL_ASSERT(clock_mono_ns() < deadline_ns);
        nap();
    }
}

/* Settles until nothing is left to be told. */
static void settle(struct api *api)
{
    await_redis(api);
    for (int i = 0; i < 20; i++) {
        api_signed_settle(api);
    }
}

/* It stands for nobody anywhere, and goes on doing so once all is settled. */
static void check_over(const char *token)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(find(world.there, token), HTTP_SESSION_NONE);
        assert_int_equal(find(world.here, token), HTTP_SESSION_NONE);
        assert_int_equal(find(world.beside, token), HTTP_SESSION_NONE);
        settle(world.here);
        settle(world.beside);
    }
}

static void when(enum moment event, void (*hook)(void))
{
    await_redis(world.here);
    atomic_store(&world.ended, false);
    atomic_store(&world.held, false);
    atomic_store(&proxy.fired, 0);
    atomic_store(&proxy.hook, hook);
    atomic_store(&proxy.event, event);
}

static void end_beside(void)
{
    atomic_store(&world.ended, api_signed_end(world.beside, str_of(world.token), in_ms(20000)));
}

/* ---- tests ---- */

static int64_t pipes_of(struct api *api)
{
    struct redis_counts counts;
    redis_counts(tier_redis(api->tier), &counts);
    return counts.pipes;
}

static void test_many_are_settled_in_few_exchanges(void **state)
{
    (void)state;
    enum { MANY = 150, ENDED = 20 };
    static char tokens[MANY][44];
    for (int i = 0; i < MANY; i++) {
        begin(world.alone, tokens[i]);
        assert_int_equal(find(world.there, tokens[i]), HTTP_SESSION_NONE);
    }
    const int64_t before = pipes_of(world.here);
    settle(world.here);
    assert_in_range(pipes_of(world.here) - before, 3, 10);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(find(world.there, tokens[i]), HTTP_SESSION_HELD);
    }
    /* Each is in one place: here nobody says any more that he has it. */
    for (int i = 0; i < ENDED; i++) {
        assert_true(api_signed_end(world.there, str_of(tokens[i]), in_ms(20000)));
        assert_int_equal(find(world.here, tokens[i]), HTTP_SESSION_NONE);
    }
    assert_int_equal(find(world.here, tokens[ENDED]), HTTP_SESSION_HELD);
}

static void test_who_signs_out_amid_settling_is_out(void **state)
{
    (void)state;
    static const enum moment events[] = {BEFORE, BEHIND};
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        begin(world.alone, world.token);
        when(events[i], end_beside);
        api_signed_settle(world.here);
        assert_int_equal(atomic_load(&proxy.fired), 1);
        assert_true(atomic_load(&world.ended));
        assert_int_equal(find(world.there, world.token), HTTP_SESSION_NONE);
        check_over(world.token);
    }
}

/* The begin lands behind the end, and whoever settles dies or never hears of it. */
static void test_a_begin_that_lands_late_is_ended_once_more(void **state)
{
    (void)state;
    static const enum moment events[] = {LOST, LOST_BEHIND};
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        begin(world.alone, world.token);
        when(events[i], end_beside);
        api_signed_settle(world.here);
        assert_int_equal(atomic_load(&proxy.fired), 1);
        assert_true(atomic_load(&world.ended));
        settle(world.beside);
        check_over(world.token);
    }
}

static void do_nothing(void)
{
}

static void test_what_was_lost_on_the_way_is_told_again(void **state)
{
    (void)state;
    static const enum moment events[] = {LOST, LOST_BEHIND};
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        begin(world.alone, world.token);
        when(events[i], do_nothing);
        api_signed_settle(world.here);
        assert_int_equal(atomic_load(&proxy.fired), 1);
        assert_int_equal(find(world.alone, world.token), HTTP_SESSION_HELD);
        settle(world.here);
        assert_int_equal(find(world.there, world.token), HTTP_SESSION_HELD);
        assert_int_equal(find(world.here, world.token), HTTP_SESSION_HELD);
        /* And the end of it, likewise. */
        assert_true(api_signed_end(world.here, str_of(world.token), in_ms(20000)));
        check_over(world.token);
    }
}

static void settle_beside(void)
{
    api_signed_settle(world.beside);
    atomic_store(&world.held, find(world.there, world.token) == HTTP_SESSION_HELD);
}

static void test_one_process_settles_at_a_time(void **state)
{
    (void)state;
    begin(world.alone, world.token);
    when(BEFORE, settle_beside);
    api_signed_settle(world.here);
    assert_int_equal(atomic_load(&proxy.fired), 1);
    assert_false(atomic_load(&world.held));
    assert_int_equal(find(world.there, world.token), HTTP_SESSION_HELD);
}

/* Redis said that there is one, and then it was ended: by another process, and by this one. */
static void end_here(void)
{
    atomic_store(&world.ended, api_signed_end(world.here, str_of(world.token), in_ms(20000)));
}

static void test_a_look_up_under_way_begins_nothing_again(void **state)
{
    (void)state;
    struct http_identity who;
    begin(world.there, world.token);
    when(BEHIND, end_beside);
    (void)find(world.here, world.token); /* it may be held there for 5 seconds, and no longer */
    assert_int_equal(atomic_load(&proxy.fired), 1);
    assert_true(atomic_load(&world.ended));
    check_over(world.token);

    begin(world.there, world.token);
    when(BEHIND, end_here);
    (void)find(world.here, world.token);
    assert_int_equal(atomic_load(&proxy.fired), 1);
    assert_true(atomic_load(&world.ended));
    assert_int_equal(api_signed_find(world.here, str_of(world.token), 0, &who), HTTP_SESSION_NONE);
    check_over(world.token);
}

static int make_all(void **state)
{
    return start(state) || make_world(state);
}

static int end_all(void **state)
{
    return end_world(state) || stop(state);
}

int main(void)
{
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_are_settled_in_few_exchanges),
        cmocka_unit_test(test_who_signs_out_amid_settling_is_out),
        cmocka_unit_test(test_a_begin_that_lands_late_is_ended_once_more),
        cmocka_unit_test(test_what_was_lost_on_the_way_is_told_again),
        cmocka_unit_test(test_one_process_settles_at_a_time),
        cmocka_unit_test(test_a_look_up_under_way_begins_nothing_again),
    };
    return cmocka_run_group_tests(tests, make_all, end_all);
}
