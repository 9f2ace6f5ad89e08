/*
 * test_redis_cluster_watch.c: being told what changes in a Redis Cluster, while a primary dies and
 * another hands over to its replica.
 */
#include "redis_cluster_fixture.h"
#include "redis_watch_fixture.h"

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

/* A key whose slot is that of this primary to begin with, and no other that this gave. */
static void find_key(int home, char *key, size_t size)
{
    static int last;
    do {
        snprintf(key, size, "a:%d", ++last);
    } while ((int)redis_slot(str_of(key)) * PRIMARIES / SLOTS != home);
}

static int count_of(struct watching *watching, const char *line)
{
    int count = 0;
    pthread_mutex_lock(&watching->heard.lock);
    for (const char *at = watching->heard.news.ptr; (at = strstr(at, line)); at++) {
        count++;
    }
    pthread_mutex_unlock(&watching->heard.lock);
    return count;
}

/* The member that is asked where keys are may be the last to hear of an heir. */
static void run_until_heard(struct redis_pipe *pipe)
{
    const int64_t until_ns = in_ms(20000);
    struct kol_error err = {0};
    while (redis_run(pipe, until_ns, &err) != KOL_OK) {
        if (clock_mono_ns() > until_ns) {
            fail_msg("%s", err.message);
        }
        nap();
    }
}

/* Writes a key in each third of the slots, and says something from a node; all of it is told, and
 * the message once. */
static void assert_all_is_told(struct watching *watching, int from)
{
    static int messages;
    char news[64];
    const struct redis_options options = over_cluster(&cluster.members[from]);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    for (int i = 0; i < PRIMARIES; i++) {
        char key[32];
        find_key(i, key, sizeof key);
        redis_addf(pipe, "SET %s x", key);
        run_until_heard(pipe);
        assert_int_equal(redis_answer(pipe, 0)->kind, REDIS_TEXT);
        redis_clear(pipe);
        snprintf(news, sizeof news, "key %s\n", key);
        await_news(watching, news);
        assert_int_equal(count_of(watching, news), 1);
    }
    tell_memberf(&cluster.members[from], "PUBLISH news hello:%d", ++messages);
    tell_memberf(&cluster.members[from], "PUBLISH news after:%d", messages);
    snprintf(news, sizeof news, "message after:%d\n", messages);
    await_news(watching, news);
    snprintf(news, sizeof news, "message hello:%d\n", messages);
    assert_int_equal(count_of(watching, news), 1);
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static void begin_at(struct watching *watching, int member)
{
    struct redis_options options = over_cluster(&cluster.members[member]);
    options.connect_us = 500000;
    begin_with(watching, &options, 200 * 1000, "news");
    await(watching, &watching->heard.ready, 1);
}

static void test_keys_of_all_primaries_are_told_of_and_messages_once(void **state)
{
    (void)state;
    for (int member = 0; member < NODES; member += 4) { /* a primary, and a replica */
        struct watching watching;
        begin_at(&watching, member);
        assert_all_is_told(&watching, 1);
        assert_all_is_told(&watching, 5);
        tell_memberf(&cluster.members[2], "FLUSHALL");
        await_news(&watching, "all\n");
        assert_int_equal(watching.heard.ready, 1);
        assert_int_equal(watching.heard.lost, 0);
        end(&watching);
    }
}

static void test_a_primary_that_hands_over_is_left_for_its_heir(void **state)
{
    (void)state;
    struct watching watching;
    begin_at(&watching, 0);
    tell_memberf(&cluster.members[5], "CLUSTER FAILOVER");
    await(&watching, &watching.heard.lost, 1);
    await(&watching, &watching.heard.ready, 2);
    assert_all_is_told(&watching, 1);
    assert_int_equal(watching.heard.lost, 1);
    end(&watching);
}

/* The node that is met first carries the channel: it dies in the first round, another one in the
 * second. */
static void test_a_dead_primary_is_lost_and_its_heir_is_found(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct watching watching;
        begin_at(&watching, round ? 3 : 0);
        assert_all_is_told(&watching, 5);
        kill_member(&cluster.members[round]);
        await(&watching, &watching.heard.lost, 1);
        assert_false(redis_watch_ready(watching.watch));
        await(&watching, &watching.heard.ready, 2);
        assert_all_is_told(&watching, 5);
        assert_true(redis_watch_ready(watching.watch));
        assert_int_equal(watching.heard.lost, 1);
        end(&watching);
        start_member(&cluster.members[round]); /* as a replica of its heir: who votes is enough */
        await_port(&cluster.members[round]);
        await_member(&cluster.members[round], "INFO replication", "master_link_status:up");
    }
}

static void test_a_cluster_that_is_not_there_is_told_of_once(void **state)
{
    (void)state;
    struct watching watching;
    const struct redis_options options = {.port = 1, .cluster = true};
    begin_with(&watching, &options, 50 * 1000, NULL);
    await(&watching, &watching.heard.lost, 1);
    for (int i = 0; i < 60; i++) {
        nap();
    }
    assert_int_equal(watching.heard.lost, 1);
    assert_int_equal(watching.heard.last.status, KOL_IO);
    assert_true(end(&watching) < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_all_primaries_are_told_of_and_messages_once),
        cmocka_unit_test(test_a_primary_that_hands_over_is_left_for_its_heir),
        cmocka_unit_test(test_a_dead_primary_is_lost_and_its_heir_is_found),
        cmocka_unit_test(test_a_cluster_that_is_not_there_is_told_of_once),
    };
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
