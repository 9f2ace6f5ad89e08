/*
 * test_redis_cluster.c: pipes to a Redis Cluster of six servers: answers in their places, slots
 * that move, nodes that stop and die.
 */
#include "redis_cluster_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "cache/redis_parts.h"

static struct member_cluster cluster;

static int start(void **state)
{
    (void)state;
    make_cluster(&cluster);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    remove_cluster(&cluster);
    return 0;
}

#define assert_text(answer, expected)                                                              \
    do {                                                                                           \
        const struct redis_answer *answer_ = (answer);                                             \
        if (answer_->kind != REDIS_TEXT || !str_is(answer_->text, expected)) {                     \
            fail_msg("`%.*s` is not `%s`", STR_FORMAT(answer_->text), expected);                   \
        }                                                                                          \
    } while (0)

/* Which member has a key, as long as no slot has moved. */
static int home_of(const char *key)
{
    const uint32_t slot = redis_slot(str_of(key));
    int home = 0;
    while (slot >= (uint32_t)((home + 1) * SLOTS / PRIMARIES)) {
        home++;
    }
    return home;
}

/* A key that this member has. */
static const char *key_at(int home)
{
    static char keys[PRIMARIES][24];
    for (int i = 0;; i++) {
        snprintf(keys[home], sizeof keys[home], "at:%d", i);
        if (home_of(keys[home]) == home) {
            return keys[home];
        }
    }
}

/* ---- slots ---- */

static void test_slots_are_those_that_the_server_computes(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "123456789",
        "foo{bar}baz",
        "{user1000}.following",
        "foo{}{bar}",
        "foo{{bar}}zap",
        "foo{bar}{zap}",
        "{",
        "}",
        "{}",
        "a{b",
        "a}b{c}",
        "{a}",
        "\xc3\xa9",
        "kol:score:7",
    };
    assert_int_equal(redis_slot(STR("123456789")), 0x31c3);
    assert_int_equal(redis_slot(STR("")), 0);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char words[64];
        snprintf(words, sizeof words, "CLUSTER KEYSLOT %s", keys[i]);
        if (tell_member(&cluster.members[0], words, NULL) != redis_slot(str_of(keys[i]))) {
            fail_msg("%s", keys[i]);
        }
    }
}

/* ---- pipes ---- */

static void add_mixed(struct redis_pipe *pipe, int64_t first, int64_t count)
{
    static const struct redis_script append = {"return redis.call('GET', KEYS[1]) .. ARGV[1]"};
    for (int64_t i = first; i < first + count; i++) {
        char key[32];
        snprintf(key, sizeof key, "key:%lld", (long long)i);
        redis_addf(pipe, "SET %s %d", key, i);
        redis_addf(pipe, "GET %s", key);
        redis_add_script(pipe, &append, 1, 2, (const struct str[]){str_of(key), STR("!")});
        if (i % 5) {
            redis_addf(pipe, "PING");
        } else {
            redis_addf(pipe, "HGET %s f", key);
        }
    }
}

static void check_mixed(const struct redis_pipe *pipe, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "%lld", (long long)(first + i));
        assert_text(redis_answer(pipe, (size_t)i * 4), "OK");
        assert_text(redis_answer(pipe, (size_t)i * 4 + 1), text);
        strcat(text, "!");
        assert_text(redis_answer(pipe, (size_t)i * 4 + 2), text);
        if ((first + i) % 5) {
            assert_text(redis_answer(pipe, (size_t)i * 4 + 3), "PONG");
        } else {
            assert_true(redis_is_error(redis_answer(pipe, (size_t)i * 4 + 3), "WRONGTYPE"));
        }
    }
}

static void test_a_thousand_commands_come_back_in_their_places(void **state)
{
    (void)state;
    for (int seed = 0; seed < NODES; seed++) {
        const struct redis_options options = over_cluster(&cluster.members[seed]);
        struct redis *redis = open_redis(&options);
        struct redis_pipe *pipe = redis_pipe_new(redis);
        for (int round = 0; round < 3; round++) {
            add_mixed(pipe, seed * 1000, 250);
            run_pipe(pipe);
            check_mixed(pipe, seed * 1000, 250);
            run_pipe(pipe); /* the same again */
            check_mixed(pipe, seed * 1000, 250);
            redis_clear(pipe);
        }
        struct redis_counts counts;
        redis_counts(redis, &counts);
        assert_in_range(counts.open, 3, 4);
        assert_int_equal(counts.open, counts.idle);
        assert_int_equal(counts.failed_connections + counts.lost_connections, 0);
        redis_pipe_free(&pipe);
        redis_close(&redis);
    }
    for (int i = 0; i < PRIMARIES; i++) {
        const int64_t size = tell_member(&cluster.members[i], "DBSIZE", NULL);
        assert_in_range(size, 400, 600);
    }
}

static void test_a_pipe_takes_as_long_as_its_slowest_node(void **state)
{
    (void)state;
    const struct redis_options options = over_cluster(&cluster.members[0]);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    for (int i = 0; i < PRIMARIES; i++) {
        char key[96];
        snprintf(key, sizeof key, "{%s}list", key_at(i));
        redis_addf(pipe, "BLPOP %s 0.3", key);
    }
    int64_t took_ms = INT64_MAX;
    for (int turn = 0; turn < 4 && took_ms >= 600; turn++) {
        const int64_t began_ns = clock_mono_ns();
        run_pipe(pipe);
        took_ms = (clock_mono_ns() - began_ns) / MS;
    }
    assert_in_range(took_ms, 300, 600);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

enum { THREADS = 6, PIPES = 60 };

static void *ask_often(void *shared)
{
    static _Atomic int64_t numbers = 10000;
    struct redis_pipe *pipe = redis_pipe_new(shared);
    for (int i = 0; i < PIPES; i++) {
        const int64_t first = atomic_fetch_add(&numbers, 20);
        add_mixed(pipe, first, 20);
        KOL_ASSERT(redis_run(pipe, in_ms(60000), NULL) == KOL_OK);
        check_mixed(pipe, first, 20);
        redis_clear(pipe);
    }
    redis_pipe_free(&pipe);
    return NULL;
}

static void test_threads_share_a_cluster(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    const struct redis_options options = over_cluster(&cluster.members[4]);
    struct redis *redis = open_redis(&options);
    for (int i = 0; i < THREADS; i++) {
        KOL_ASSERT(pthread_create(&threads[i], NULL, ask_often, redis) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    struct redis_counts counts;
    redis_counts(redis, &counts);
    assert_int_equal(counts.open, counts.idle);
    assert_int_equal(counts.failed_connections + counts.lost_connections + counts.timeouts, 0);
    redis_close(&redis);
}

/* ---- slots that move ---- */

static void *finish_move_soon(void *unused)
{
    for (int i = 0; i < 40; i++) {
        nap();
    }
    tell_memberf(&cluster.members[0], "MIGRATE 127.0.0.1 %d {m}here 0 5000",
                 cluster.members[1].port);
    return unused;
}

static void set_slot(int slot, const char *what, int node, int of)
{
    tell_memberf(&cluster.members[of], "CLUSTER SETSLOT %d %s %s", slot, what,
                 cluster.members[node].id);
}

/* The slot of {m} goes from member 0, where it is brought first, to member 1. */
static void test_a_slot_under_way_is_asked_for_where_its_keys_are(void **state)
{
    (void)state;
    static const struct redis_script twice = {"local v = redis.call('GET', KEYS[1]) "
                                              "return v and v .. v or 'none'"};
    const int slot = (int)redis_slot(STR("m")), home = home_of("m");
    for (int i = 0; i < PRIMARIES && home != 0; i++) {
        set_slot(slot, "NODE", 0, i);
    }
    struct redis_options options = over_cluster(&cluster.members[2]);
    struct redis *redis = open_redis(&options);
    options.answer_us = 400000;
    struct redis *hasty = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis), *hasty_pipe = redis_pipe_new(hasty);
    redis_addf(pipe, "SET {m}here 1");
    redis_addf(pipe, "SET {m}gone 2");
    run_pipe(pipe);
    assert_text(redis_answer(pipe, 1), "OK");
    set_slot(slot, "IMPORTING", 0, 1);
    set_slot(slot, "MIGRATING", 1, 0);
    tell_memberf(&cluster.members[0], "MIGRATE 127.0.0.1 %d {m}gone 0 5000",
                 cluster.members[1].port);
    redis_clear(pipe);
    redis_addf(pipe, "GET {m}here");
    redis_addf(pipe, "GET {m}gone");
    redis_addf(pipe, "SET {m}new 3");
    redis_addf(pipe, "GET {m}new");
    redis_addf(pipe, "SET %s 4", key_at(2));
    redis_add_script(pipe, &twice, 1, 1, (const struct str[]){STR("{m}gone")});
    redis_add_script(pipe, &twice, 1, 1, (const struct str[]){STR("{m}here")});
    for (int round = 0; round < 2; round++) {
        run_pipe(pipe);
        assert_text(redis_answer(pipe, 0), "1");
        assert_text(redis_answer(pipe, 1), "2");
        assert_text(redis_answer(pipe, 2), "OK");
        assert_text(redis_answer(pipe, 3), "3");
        assert_text(redis_answer(pipe, 4), "OK");
        assert_text(redis_answer(pipe, 5), "22");
        assert_text(redis_answer(pipe, 6), "11");
    }
    /* One key on each side: nobody can answer that now. Its answer says so; the others are there.
     */
    redis_addf(hasty_pipe, "MGET {m}here {m}gone");
    redis_addf(hasty_pipe, "GET {m}gone");
    run_pipe(hasty_pipe);
    assert_true(redis_is_error(redis_answer(hasty_pipe, 0), "TRYAGAIN"));
    assert_text(redis_answer(hasty_pipe, 1), "2");
    /* It is tried again until somebody can. */
    pthread_t mover;
    KOL_ASSERT(pthread_create(&mover, NULL, finish_move_soon, NULL) == 0);
    redis_clear(pipe);
    redis_addf(pipe, "MGET {m}here {m}gone");
    run_pipe(pipe);
    pthread_join(mover, NULL);
    assert_int_equal(redis_answer(pipe, 0)->kind, REDIS_LIST);
    assert_text(&redis_answer(pipe, 0)->items[0], "1");
    assert_text(&redis_answer(pipe, 0)->items[1], "2");
    /* The move is over: the map is behind, and is put right. */
    for (int i = PRIMARIES - 1; i >= 0; i--) {
        set_slot(slot, "NODE", 1, (i + 1) % PRIMARIES);
    }
    run_pipe(pipe);
    run_pipe(hasty_pipe);
    assert_text(&redis_answer(pipe, 0)->items[1], "2");
    assert_text(redis_answer(hasty_pipe, 1), "2");
    redis_pipe_free(&pipe);
    redis_pipe_free(&hasty_pipe);
    redis_close(&redis);
    redis_close(&hasty);
}

static void test_a_slot_that_nobody_has_harms_no_other(void **state)
{
    (void)state;
    struct redis_options options = over_cluster(&cluster.members[0]);
    options.answer_us = 500000;
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, "SET %s x", key_at(0));
    redis_addf(pipe, "SET %s y", key_at(2));
    run_pipe(pipe);
    const uint32_t slot = redis_slot(str_of(key_at(2)));
    tell_memberf(&cluster.members[2], "CLUSTER DELSLOTS %u", slot);
    for (int round = 0; round < 2; round++) {
        run_pipe(pipe);
        assert_text(redis_answer(pipe, 0), "OK");
        assert_true(redis_is_error(redis_answer(pipe, 1), "CLUSTERDOWN"));
    }
    tell_memberf(&cluster.members[2], "CLUSTER ADDSLOTS %u", slot);
    run_pipe(pipe);
    assert_text(redis_answer(pipe, 1), "OK");
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

/* ---- nodes that go ---- */

static void test_a_stopped_node_fails_whoever_needs_it_alone(void **state)
{
    (void)state;
    struct redis_options options = over_cluster(&cluster.members[0]);
    options.answer_us = options.connect_us = 200000;
    struct redis *redis = open_redis(&options);
    struct redis_pipe *with = redis_pipe_new(redis), *without = redis_pipe_new(redis);
    redis_addf(without, "SET %s x", key_at(0));
    redis_addf(without, "SET %s x", key_at(2));
    redis_addf(with, "SET %s x", key_at(0));
    redis_addf(with, "SET %s x", key_at(1));
    run_pipe(with);
    KOL_ASSERT(kill(cluster.members[1].pid, SIGSTOP) == 0);
    struct kol_error err = {0};
    const enum kol_status failed = redis_run(with, in_ms(20000), &err);
    const enum kol_status others = redis_run(without, in_ms(20000), NULL);
    KOL_ASSERT(kill(cluster.members[1].pid, SIGCONT) == 0);
    assert_int_equal(failed, KOL_TIMEOUT);
    char port[16];
    snprintf(port, sizeof port, ":%d", cluster.members[1].port);
    assert_non_null(strstr(err.message, port));
    assert_int_equal(others, KOL_OK);
    assert_text(redis_answer(without, 1), "OK");
    for (const int64_t deadline_ns = in_ms(20000); redis_run(with, deadline_ns, NULL) != KOL_OK ||
                                                   redis_answer(with, 1)->kind != REDIS_TEXT;) {
        KOL_ASSERT(clock_mono_ns() < deadline_ns);
        nap();
    }
    redis_pipe_free(&with);
    redis_pipe_free(&without);
    redis_close(&redis);
}

/* The last but one: from here on member 3 has the slots of member 0. */
static void test_the_replica_of_a_dead_primary_takes_over(void **state)
{
    (void)state;
    await_member(&cluster.members[3], "INFO replication", "master_link_status:up");
    struct redis_options options = over_cluster(&cluster.members[0]);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *with = redis_pipe_new(redis), *without = redis_pipe_new(redis),
                      *any = redis_pipe_new(redis);
    redis_addf(with, "GET %s", key_at(0));
    redis_addf(with, "GET %s", key_at(1));
    redis_addf(without, "SET %s x", key_at(1));
    redis_addf(without, "SET %s x", key_at(2));
    redis_addf(any, "PING");
    run_pipe(with);
    assert_int_equal(redis_answer(with, 0)->kind, REDIS_TEXT);
    await_member(&cluster.members[3], "INFO replication", "master_link_status:up");
    kill_member(&cluster.members[0]);
    struct kol_error err = {0};
    int failures = 0;
    for (const int64_t deadline_ns = in_ms(30000); redis_run(with, deadline_ns, &err) != KOL_OK ||
                                                   redis_answer(with, 0)->kind != REDIS_TEXT;) {
        failures++;
        KOL_ASSERT(clock_mono_ns() < deadline_ns);
        run_pipe(without);
        assert_text(redis_answer(without, 0), "OK");
        assert_text(redis_answer(without, 1), "OK");
        run_pipe(any);
        assert_text(redis_answer(any, 0), "PONG");
        nap();
    }
    assert_true(failures > 0);
    assert_true(err.status == KOL_IO);
    assert_text(redis_answer(with, 0), "x");
    redis_pipe_free(&any);
    redis_pipe_free(&with);
    redis_pipe_free(&without);
    redis_close(&redis);
}

static void test_a_first_node_that_is_gone_is_made_up_for_by_the_others(void **state)
{
    (void)state;
    char hosts[64];
    struct redis_options options = over_cluster(&cluster.members[0]);
    struct kol_error err = {0};
    for (int round = 0; round < 2; round++) {
        struct redis *redis = open_redis(&options);
        struct redis_pipe *pipe = redis_pipe_new(redis);
        redis_addf(pipe, "SET %s y", key_at(0));
        const enum kol_status status = redis_run(pipe, in_ms(20000), &err);
        assert_int_equal(status, round ? KOL_OK : KOL_IO);
        redis_pipe_free(&pipe);
        redis_close(&redis);
        snprintf(hosts, sizeof hosts, " 127.0.0.1:%d  localhost:%d ", cluster.members[0].port,
                 cluster.members[5].port);
        options.hosts = hosts;
    }
}

/* ---- what is no cluster ---- */

static void test_what_cannot_be_a_cluster(void **state)
{
    (void)state;
    static const struct redis_options refused[] = {
        {.cluster = true, .db = 1},
        {.cluster = true, .path = "/run/redis.sock"},
        {.cluster = true, .hosts = "127.0.0.1"},
        {.cluster = true, .hosts = "127.0.0.1:1 :7000"},
        {.cluster = true, .hosts = "127.0.0.1:99999"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct kol_error err = {0};
        struct redis *redis = NULL;
        assert_int_equal(redis_open(&refused[i], &redis, &err), KOL_INVALID);
        assert_null(redis);
        assert_true(strlen(err.message) > 10);
    }
    struct server server;
    make_server(&server);
    struct redis_options options = over_tcp(&server);
    options.cluster = true;
    for (int round = 0; round < 2; round++) {
        struct kol_error err = {0};
        struct redis *redis = open_redis(&options);
        struct redis_pipe *pipe = redis_pipe_new(redis);
        redis_addf(pipe, "GET key");
        assert_int_equal(redis_run(pipe, in_ms(20000), &err), KOL_USAGE);
        assert_non_null(strstr(err.message, round ? "refused user" : "slots of its cluster"));
        redis_pipe_free(&pipe);
        redis_close(&redis);
        options.user = "nobody";
        options.password = "s3cret";
    }
    remove_server(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_are_those_that_the_server_computes),
        cmocka_unit_test(test_a_thousand_commands_come_back_in_their_places),
        cmocka_unit_test(test_a_pipe_takes_as_long_as_its_slowest_node),
        cmocka_unit_test(test_threads_share_a_cluster),
        cmocka_unit_test(test_a_slot_under_way_is_asked_for_where_its_keys_are),
        cmocka_unit_test(test_a_slot_that_nobody_has_harms_no_other),
        cmocka_unit_test(test_a_stopped_node_fails_whoever_needs_it_alone),
        cmocka_unit_test(test_the_replica_of_a_dead_primary_takes_over),
        cmocka_unit_test(test_a_first_node_that_is_gone_is_made_up_for_by_the_others),
        cmocka_unit_test(test_what_cannot_be_a_cluster),
    };
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
