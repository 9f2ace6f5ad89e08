/*
 * test_serve_store_sets.c: sets in a real Redis, which are written in pieces where they are large:
 * nobody sees half of one. And a server that is full, whatever is written to it.
 */
#include "serve_store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define SET STR("kol:top:followers:tiktok:100")
#define META STR("{kol:top:followers:tiktok:100}:meta")

static enum serve_held take_set(struct serve_set *out)
{
    redis_clear(pipe_);
    const size_t place = serve_ask(pipe_, SERVE_KEY_TOP_FOLLOWERS, SET);
    run_pipe(pipe_);
    return serve_take_set(pipe_, place, SERVE_KEY_TOP_FOLLOWERS, &arena, out);
}

static struct serve_write set_of(int64_t snapshot, const struct serve_member *members, size_t count)
{
    return (struct serve_write){.kind = SERVE_KEY_TOP_FOLLOWERS,
                                .key = SET,
                                .snapshot = snapshot,
                                .now_us = 1000000 * snapshot + 1,
                                .as_of = STR("2026-01-02T03:04:05Z"),
                                .members = members,
                                .member_count = count};
}

static enum serve_done put_set(const struct serve_write *write)
{
    enum serve_done done;
    struct kol_error err = {0};
    if (serve_put_set(redis, write, in_ms(20000), &done, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    return done;
}

static void test_a_set_is_read_as_it_was_written(void **state)
{
    (void)state;
    const struct serve_member members[] = {{STR("b"), 10},         {STR("a"), 10},
                                           {STR("c"), 4.73829103}, {STR("\xc4\x91"), 1e15},
                                           {STR("d"), -0.1},       {STR("n\0ul"), 10}};
    struct serve_set set;
    assert_int_equal(take_set(&set), SERVE_ABSENT);
    struct serve_write write = set_of(8, members, 6);
    for (int round = 0; round < 2; round++) {
        clear_values(NULL);
        assert_int_equal(round ? put_set(&write) : put(&write, NULL), SERVE_WRITTEN);
        assert_int_equal(take_set(&set), SERVE_HELD);
        assert_int_equal(set.count, 6);
        assert_int_equal(set.snapshot, 8);
        assert_str(set.as_of, "2026-01-02T03:04:05Z");
        static const int order[] = {3, 1, 0, 5, 2, 4};
        for (size_t i = 0; i < 6; i++) {
            assert_true(str_equal(set.members[i].name, members[order[i]].name));
            assert_true(set.members[i].score == members[order[i]].score);
        }
        assert_ttls(900 * 1000);
        assert_int_equal(put(&write, NULL), SERVE_KEPT);
        assert_int_equal(put_set(&write), SERVE_KEPT);
    }
    const uint64_t print = set.print;
    write.snapshot = 9;
    write.as_of = STR("");
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take_set(&set), SERVE_HELD);
    assert_int_equal(set.as_of.len, 0); /* that of before is gone */
    assert_true(print && set.print && set.print != print);
    write.snapshot = 8;
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    write.force = true;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_ttls(900 * 1000);
}

static void test_an_empty_set_is_held(void **state)
{
    (void)state;
    const struct serve_member member = {STR("a"), 1};
    struct serve_set set;
    struct serve_write write = set_of(8, NULL, 0);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take_set(&set), SERVE_HELD);
    assert_int_equal(set.count, 0);
    assert_int_equal(set.snapshot, 8);
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    write = set_of(9, &member, 1);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    write = set_of(10, NULL, 0);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take_set(&set), SERVE_HELD);
    assert_int_equal(set.count, 0);
    assert_ttls(900 * 1000);
}

static void test_garbage_under_a_set_or_its_sibling_is_healed(void **state)
{
    (void)state;
    const struct serve_member member = {STR("a"), 1};
    struct serve_set set;
    const struct serve_write write = set_of(8, &member, 1);
    for (int kind = 0; kind < 2 * GARBAGE; kind++) {
        for (int round = 0; round < 3; round++) {
            clear_values(NULL);
            if (round) { /* the other of the two is right */
                assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
                TELL(STR("DEL"), kind % 2 ? SET : META);
            }
            if (kind / 2 == 9 && kind % 2) {
                continue; /* that is a set, without a sibling at most: no garbage */
            }
            make_garbage(kind / 2, kind % 2 ? SET : META);
            if (kind % 2) {
                assert_int_equal(take_set(&set), SERVE_GARBAGE);
            }
            assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
            assert_int_equal(take_set(&set), SERVE_HELD);
            assert_int_equal(set.count, 1);
            assert_int_equal(set.snapshot, 8);
            assert_ttls(900 * 1000);
        }
    }
    clear_values(NULL);
    TELL(STR("ZADD"), SET, STR("inf"), STR("a"));
    assert_int_equal(take_set(&set), SERVE_GARBAGE);
    clear_values(NULL);
    TELL(STR("ZADD"), SET, STR("1"), STR("\xff"));
    assert_int_equal(take_set(&set), SERVE_GARBAGE);
    clear_values(NULL);
    TELL(STR("ZADD"), SET, STR("1"), STR("a"));
    assert_int_equal(take_set(&set), SERVE_HELD); /* another program wrote it, without a sibling */
    assert_int_equal(set.snapshot, 0);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
}

enum { MANY = 2503 };
static struct serve_member many[2][MANY];
static char many_names[2][MANY][24];

/* Two sets of which no member is in both; the scores tell which it is. */
static void make_many(void)
{
    for (int which = 0; which < 2; which++) {
        for (int i = 0; i < MANY; i++) {
            const int len = snprintf(many_names[which][i], 24, "%c%d", which ? 'b' : 'a', i);
            many[which][i] =
                (struct serve_member){{many_names[which][i], (size_t)len}, 2 * i + which};
        }
    }
}

static void test_a_large_set_is_written_in_pieces(void **state)
{
    (void)state;
    struct serve_set set;
    make_many();
    struct serve_write write = set_of(8, many[0], MANY);
    assert_int_equal(put_set(&write), SERVE_WRITTEN);
    assert_int_equal(tell("DBSIZE")->number, 2);
    assert_int_equal(tell("ZCARD kol:top:followers:tiktok:100")->number, MANY);
    assert_int_equal(take_set(&set), SERVE_HELD);
    assert_int_equal(set.count, SERVE_MEMBERS_READ);
    assert_str(set.members[0].name, "a2502");
    assert_ttls(900 * 1000);
    assert_true(tell("PTTL kol:top:followers:tiktok:100")->number > 800000);
    const int64_t before = tell("PEXPIRE kol:top:followers:tiktok:100 1000")->number;
    assert_int_equal(before, 1);
    assert_int_equal(put_set(&write), SERVE_KEPT);
    assert_int_equal(tell("DBSIZE")->number, 2); /* nothing aside */
    assert_true(tell("PTTL kol:top:followers:tiktok:100")->number > 800000);
    write = set_of(9, many[1], MANY);
    assert_int_equal(put_set(&write), SERVE_WRITTEN);
    assert_int_equal(tell("ZCARD kol:top:followers:tiktok:100")->number, MANY);
    assert_int_equal(tell("DBSIZE")->number, 2);
    assert_ttls(900 * 1000);
    enum serve_done done;
    struct kol_error err = {0};
    write.member_count = SERVE_MEMBERS_MAX + 1;
    assert_int_equal(serve_put_set(redis, &write, in_ms(1000), &done, &err), KOL_INVALID);
}

static void test_a_large_set_that_cannot_be_put_in_place_leaves_nothing_aside(void **state)
{
    (void)state;
    struct serve_set set;
    make_many();
    const struct serve_write write = set_of(8, many[0], MANY);
    assert_int_equal(tell("ACL SETUSER default -rename")->kind, REDIS_TEXT);
    assert_int_equal(put_set(&write), SERVE_REFUSED);
    assert_int_equal(tell("ACL SETUSER default +rename")->kind, REDIS_TEXT);
    assert_int_equal(tell("DBSIZE")->number, 1); /* the sibling of a set that is not there */
    assert_int_equal(take_set(&set), SERVE_ABSENT);
    assert_int_equal(put_set(&write), SERVE_WRITTEN);
    assert_int_equal(take_set(&set), SERVE_HELD);
}

/* As if another client had written between the commands that read a set. */
static void test_a_set_that_is_replaced_while_it_is_read_is_told_as_absent(void **state)
{
    (void)state;
    const struct serve_member member = {STR("a"), 1};
    struct serve_set set;
    for (int round = 0; round < 2; round++) {
        const struct serve_write write = set_of(8, &member, 1);
        redis_clear(pipe_);
        serve_put(pipe_, &write);
        const size_t place = redis_addf(pipe_, "HMGET %S snapshot as_of members cached_at", META);
        redis_addf(pipe_, "ZREVRANGE %S 0 999 WITHSCORES", SET);
        redis_addf(pipe_, "EVAL %s 1 %S",
                   round ? "redis.call('HSET',KEYS[1],'cached_at','now') return redis.call('HMGET',"
                           "KEYS[1],'snapshot','as_of','members','cached_at')"
                         : "return redis.call('HMGET',KEYS[1],'snapshot','as_of','members',"
                           "'cached_at')",
                   META);
        run_pipe(pipe_);
        assert_int_equal(serve_take_set(pipe_, place, SERVE_KEY_TOP_FOLLOWERS, &arena, &set),
                         round ? SERVE_ABSENT : SERVE_HELD);
    }
}

/* Reads until told to stop; each read must be all of one of the two sets, none older than before.
 */
static _Atomic bool stop_reading;
static void *read_sets(void *newest)
{
    struct redis_pipe *pipe = redis_pipe_new(redis);
    struct arena own;
    int64_t last = 0;
    arena_init(&own, 0);
    while (!stop_reading) {
        struct serve_set set;
        const size_t place = serve_ask(pipe, SERVE_KEY_TOP_FOLLOWERS, SET);
        KOL_ASSERT(redis_run(pipe, in_ms(60000), NULL) == KOL_OK);
        const enum serve_held held =
            serve_take_set(pipe, place, SERVE_KEY_TOP_FOLLOWERS, &own, &set);
        KOL_ASSERT(held != SERVE_GARBAGE);
        if (held == SERVE_HELD) {
            const char mark = set.snapshot % 2 ? 'b' : 'a';
            KOL_ASSERT(set.count == SERVE_MEMBERS_READ && set.snapshot >= last);
            for (size_t i = 0; i < set.count; i++) {
                KOL_ASSERT(set.members[i].name.ptr[0] == mark);
            }
            last = set.snapshot;
        }
        redis_clear(pipe);
        arena_reset(&own);
    }
    *(int64_t *)newest = last;
    redis_pipe_free(&pipe);
    arena_free(&own);
    return NULL;
}

static void test_readers_see_sets_whole_while_they_are_replaced(void **state)
{
    (void)state;
    pthread_t threads[2];
    int64_t newest[2];
    make_many();
    struct serve_write write = set_of(1, many[1], SERVE_MEMBERS_READ);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    stop_reading = false;
    for (size_t i = 0; i < 2; i++) {
        KOL_ASSERT(pthread_create(&threads[i], NULL, read_sets, &newest[i]) == 0);
    }
    for (int64_t snapshot = 2; snapshot <= 60; snapshot++) {
        const size_t count =
            snapshot % 3 ? SERVE_MEMBERS_READ : MANY; /* in one script, and aside */
        write = set_of(snapshot, many[snapshot % 2], count);
        assert_int_equal(put_set(&write), SERVE_WRITTEN);
    }
    stop_reading = true;
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_true(newest[i] > 0);
    }
    assert_ttls(900 * 1000);
}

/* ---- a full server ---- */

/* A full server refuses all writes and changes nothing, also where something is held already. */
static void test_a_full_server_refuses(void **state)
{
    (void)state;
    struct str why;
    struct serve_hash hash;
    struct serve_set set;
    static char large[10000];
    memset(large, 'x', sizeof large);
    make_many();
    const struct serve_field small = {STR("bio"), STR("old")}, fresh = {STR("bio"), STR("new")},
                             big = {STR("bio"), {large, sizeof large}};
    struct serve_write write = hash_of(0, 1, &small), text, members;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    members = set_of(1, many[0], 10);
    assert_int_equal(put(&members, NULL), SERVE_WRITTEN);
    assert_int_equal(tell("CONFIG SET maxmemory 1")->kind, REDIS_TEXT);
    write = hash_of(0, 2, &fresh);
    assert_int_equal(put(&write, &why), SERVE_REFUSED);
    assert_str(why, "OOM");
    write.fields = &big;
    assert_int_equal(put(&write, &why), SERVE_REFUSED);
    assert_str(why, "OOM");
    text = (struct serve_write){.kind = SERVE_KEY_PROFILES_LIST, .key = LIST, .text = STR("{}")};
    assert_int_equal(put(&text, &why), SERVE_REFUSED);
    assert_str(why, "OOM");
    members = set_of(2, many[1], 10);
    assert_int_equal(put(&members, &why), SERVE_REFUSED);
    assert_str(why, "OOM");
    members.member_count = MANY;
    assert_int_equal(put_set(&members), SERVE_REFUSED);
    write = hash_of(0, 1, &fresh);
    assert_int_equal(put(&write, &why), SERVE_KEPT); /* that takes no memory */
    assert_int_equal(tell("DBSIZE")->number, 3);
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_str(value_of(&hash, "bio"), "old");
    assert_int_equal(take_set(&set), SERVE_HELD);
    assert_int_equal(set.snapshot, 1);
    assert_int_equal(set.count, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_set_is_read_as_it_was_written, clear_values),
        cmocka_unit_test_setup(test_an_empty_set_is_held, clear_values),
        cmocka_unit_test_setup(test_garbage_under_a_set_or_its_sibling_is_healed, clear_values),
        cmocka_unit_test_setup(test_a_large_set_is_written_in_pieces, clear_values),
        cmocka_unit_test_setup(test_a_large_set_that_cannot_be_put_in_place_leaves_nothing_aside,
                               clear_values),
        cmocka_unit_test_setup(test_a_set_that_is_replaced_while_it_is_read_is_told_as_absent,
                               clear_values),
        cmocka_unit_test_setup(test_readers_see_sets_whole_while_they_are_replaced, clear_values),
        cmocka_unit_test_setup(test_a_full_server_refuses, clear_values),
    };
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    arena_init(&arena, 0);
    const int failed = cmocka_run_group_tests(tests, start, stop);
    arena_free(&arena);
    return failed;
}
