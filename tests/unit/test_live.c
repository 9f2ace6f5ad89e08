/*
 * test_live.c: the live store: what is newer wins, what has expired is gone, processes share it and
 * may die in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "online/live.h"

static struct kol_error err;

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != KOL_OK) {                                                                    \
            fail_msg("%s: %s", #call, err.message);                                                \
        }                                                                                          \
    } while (0)

/* In a child process, which must not run the other tests: what is wrong ends it. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, err.message);       \
            _exit(3);                                                                              \
        }                                                                                          \
    } while (0)

enum { NOW = 1700000000 };
static const int64_t now_us = NOW * CLOCK_US_PER_SECOND;

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_live.XXXXXX");
    clock_fix(now_us);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    clock_fix(0);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void assert_value(struct live *live, enum live_kind kind, const char *key,
                         const char *expected)
{
    struct buf out = {0};
    enum kol_status status = live_get(live, kind, str_of(key), &out, NULL, &err);
    if (!expected) {
        assert_int_equal(status, KOL_NOT_FOUND);
    } else {
        assert_int_equal(status, KOL_OK);
        assert_string_equal(out.ptr, expected);
    }
    buf_free(&out);
}

static bool put_guarded(struct live *live, const char *bytes, int64_t time_us, uint64_t version)
{
    bool written;
    assert_ok(live_put_guarded(live, LIVE_SCORE, STR("tiktok:anna"), str_of(bytes), time_us,
                               version, &written, &err));
    return written;
}

static void test_older_event_never_overwrites_newer_score(void **state)
{
    (void)state;
    struct live *live;
    assert_ok(live_open(folder, &live, &err));
    assert_true(put_guarded(live, "a", 100, 7));
    assert_false(put_guarded(live, "older", 99, 9));
    assert_false(put_guarded(live, "same", 100, 7));
    assert_false(put_guarded(live, "lower", 100, 6));
    assert_value(live, LIVE_SCORE, "tiktok:anna", "a");
    assert_true(put_guarded(live, "higher", 100, 8));
    assert_true(put_guarded(live, "newer", 101, 0));
    assert_value(live, LIVE_SCORE, "tiktok:anna", "newer");
    live_close(&live);
    assert_null(live);
    assert_ok(live_open(folder, &live, &err));
    struct buf out = {0};
    struct live_value value;
    assert_ok(live_get(live, LIVE_SCORE, STR("tiktok:anna"), &out, &value, &err));
    assert_int_equal(value.event_time_us, 101);
    assert_int_equal(value.version, 0);
    assert_true(str_is(value.bytes, "newer"));
    buf_free(&out);
    live_close(&live);
}

static void test_a_guarded_removal_leaves_what_is_newer(void **state)
{
    (void)state;
    struct live *live;
    assert_ok(live_open(folder, &live, &err));
    put_guarded(live, "a", 100, 7);
    struct live_write write = {.kind = LIVE_SCORE,
                               .key = STR("tiktok:anna"),
                               .event_time_us = 99,
                               .guarded = true,
                               .remove = true};
    assert_ok(live_write(live, &write, 1, &err));
    assert_false(write.written);
    assert_value(live, LIVE_SCORE, "tiktok:anna", "a");
    write.event_time_us = 100;
    write.version = 7;
    assert_ok(live_write(live, &write, 1, &err));
    assert_true(write.written);
    assert_value(live, LIVE_SCORE, "tiktok:anna", NULL);
    assert_ok(live_write(live, &write, 1, &err));
    assert_false(write.written);
    live_close(&live);
}

static void test_kinds_and_keys_are_apart(void **state)
{
    (void)state;
    struct live *live;
    assert_ok(live_open(folder, &live, &err));
    assert_ok(live_put(live, LIVE_SCORE, STR("a"), STR("score"), 0, &err));
    assert_ok(live_put(live, LIVE_SESSION, STR("a"), STR(""), 0, &err));
    assert_value(live, LIVE_SCORE, "a", "score");
    assert_value(live, LIVE_SESSION, "a", "");
    assert_value(live, LIVE_TRENDING, "a", NULL);
    assert_ok(live_delete(live, LIVE_SESSION, STR("a"), &err));
    assert_ok(live_delete(live, LIVE_SESSION, STR("a"), &err));
    assert_value(live, LIVE_SESSION, "a", NULL);
    assert_value(live, LIVE_SCORE, "a", "score");
    char key[LIVE_MAX_KEY + 1];
    memset(key, 'k', sizeof key);
    assert_ok(live_put(live, LIVE_SCORE, (struct str){key, LIVE_MAX_KEY}, STR("long"),
                       CLOCK_US_PER_HOUR, &err));
    struct str too_long = {key, LIVE_MAX_KEY + 1};
    assert_int_equal(live_put(live, LIVE_SCORE, too_long, STR("x"), 0, &err), KOL_INVALID);
    assert_int_equal(live_put(live, LIVE_SCORE, STR(""), STR("x"), 0, &err), KOL_INVALID);
    live_close(&live);
}

static void test_a_batch_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    struct live *live;
    assert_ok(live_open(folder, &live, &err));
    struct live_write writes[] = {
        {.kind = LIVE_SCORE, .key = STR("a"), .bytes = STR("1")},
        {.kind = LIVE_SCORE, .key = STR("a"), .bytes = STR("2")},
        {.kind = LIVE_SCORE, .key = STR(""), .bytes = STR("3")},
    };
    assert_int_equal(live_write(live, writes, 3, &err), KOL_INVALID);
    assert_value(live, LIVE_SCORE, "a", NULL);
    assert_ok(live_write(live, writes, 2, &err));
    assert_value(live, LIVE_SCORE, "a", "2");
    live_close(&live);
}

static void test_what_has_expired_is_gone_and_swept(void **state)
{
    (void)state;
    struct live *live;
    int64_t removed;
    assert_ok(live_open(folder, &live, &err));
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "%02d", i);
        assert_ok(live_put(live, LIVE_SESSION, str_of(key), STR("s"), (i + 1) * CLOCK_US_PER_SECOND,
                           &err));
    }
    /* A longer life, a shorter one, none: what expired before must not remove them. */
    assert_ok(live_put(live, LIVE_SESSION, STR("00"), STR("t"), 60 * CLOCK_US_PER_SECOND, &err));
    assert_ok(live_put(live, LIVE_SESSION, STR("01"), STR("u"), 0, &err));
    clock_fix(now_us + 10 * CLOCK_US_PER_SECOND);
    assert_value(live, LIVE_SESSION, "00", "t");
    assert_value(live, LIVE_SESSION, "01", "u");
    assert_value(live, LIVE_SESSION, "09", NULL);
    assert_value(live, LIVE_SESSION, "10", "s");
    assert_ok(live_sweep(live, 3, &removed, &err));
    assert_int_equal(removed, 3);
    assert_ok(live_sweep(live, 1000, &removed, &err));
    assert_int_equal(removed, 5);
    assert_value(live, LIVE_SESSION, "00", "t");
    assert_value(live, LIVE_SESSION, "01", "u");
    assert_value(live, LIVE_SESSION, "10", "s");
    /* An expired value guards nothing. */
    clock_fix(now_us + 30 * CLOCK_US_PER_SECOND);
    struct live_write write = {.kind = LIVE_SESSION,
                               .key = STR("19"),
                               .bytes = STR("again"),
                               .event_time_us = -1,
                               .guarded = true};
    assert_ok(live_write(live, &write, 1, &err));
    assert_true(write.written);
    clock_fix(now_us);
    live_close(&live);
}

struct listed {
    struct buf text;
    int stop_at;
};

static bool note(const struct live_value *value, void *user)
{
    struct listed *listed = user;
    buf_put(&listed->text, value->key);
    buf_putc(&listed->text, '=');
    buf_put(&listed->text, value->bytes);
    buf_putc(&listed->text, ' ');
    return --listed->stop_at != 0;
}

static void assert_lists(struct live *live, const char *prefix, const char *from, int stop_at,
                         const char *expected)
{
    struct listed listed = {.stop_at = stop_at};
    buf_puts(&listed.text, "");
    assert_ok(live_list(live, LIVE_RECENT, str_of(prefix), str_of(from), note, &listed, &err));
    assert_string_equal(listed.text.ptr, expected);
    buf_free(&listed.text);
}

static void test_a_list_has_the_values_of_a_prefix_in_order(void **state)
{
    (void)state;
    struct live *live;
    static const char *const keys[] = {"b/2", "a/1", "b/1", "c/1", "b/3"};
    assert_ok(live_open(folder, &live, &err));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_ok(live_put(live, LIVE_RECENT, str_of(keys[i]), str_of(keys[i] + 2), 0, &err));
    }
    assert_ok(live_put(live, LIVE_RECENT, STR("b/0"), STR("gone"), 1, &err));
    assert_ok(live_put(live, LIVE_SESSION, STR("b/9"), STR("other kind"), 0, &err));
    clock_fix(now_us + 1);
    assert_lists(live, "b/", "", 0, "b/1=1 b/2=2 b/3=3 ");
    assert_lists(live, "b/", "b/2", 0, "b/2=2 b/3=3 ");
    assert_lists(live, "b/", "a", 2, "b/1=1 b/2=2 ");
    assert_lists(live, "", "", 0, "a/1=1 b/1=1 b/2=2 b/3=3 c/1=1 ");
    assert_lists(live, "d", "", 0, "");
    clock_fix(now_us);
    live_close(&live);
}

static struct live_limit count(struct live *live, int64_t amount, int64_t limit)
{
    struct live_limit out;
    assert_ok(live_count(live, STR("key"), amount, 10 * CLOCK_US_PER_SECOND, limit, &out, &err));
    return out;
}

static void test_a_window_counts_up_to_its_limit(void **state)
{
    (void)state;
    struct live *live;
    assert_ok(live_open(folder, &live, &err));
    struct live_limit limit = count(live, 2, 3);
    assert_true(limit.allowed);
    assert_int_equal(limit.remaining, 1);
    assert_int_equal(limit.reset_us, now_us + 10 * CLOCK_US_PER_SECOND);
    clock_fix(now_us + 4 * CLOCK_US_PER_SECOND);
    limit = count(live, 2, 3);
    assert_false(limit.allowed);
    assert_int_equal(limit.count, 2);
    assert_int_equal(limit.retry_us, 6 * CLOCK_US_PER_SECOND);
    assert_true(count(live, 1, 3).allowed);
    assert_false(count(live, 1, 3).allowed);
    assert_int_equal(count(live, 5, 0).count, 8);
    clock_fix(now_us + 10 * CLOCK_US_PER_SECOND);
    assert_int_equal(count(live, 1, 3).count, 1);
    clock_fix(now_us);
    live_close(&live);
}

static struct live_limit rate(struct live *live, int64_t cost)
{
    struct live_limit out;
    assert_ok(live_rate(live, STR("key"), cost, CLOCK_US_PER_SECOND, 3, &out, &err));
    return out;
}

static void test_a_rate_gives_units_back_one_by_one(void **state)
{
    (void)state;
    struct live *live;
    assert_ok(live_open(folder, &live, &err));
    assert_int_equal(rate(live, 1).remaining, 2);
    assert_int_equal(rate(live, 2).remaining, 0);
    struct live_limit limit = rate(live, 1);
    assert_false(limit.allowed);
    assert_int_equal(limit.retry_us, CLOCK_US_PER_SECOND);
    assert_int_equal(limit.reset_us, now_us + 3 * CLOCK_US_PER_SECOND);
    clock_fix(now_us + CLOCK_US_PER_SECOND);
    assert_true(rate(live, 1).allowed);
    assert_false(rate(live, 1).allowed);
    clock_fix(now_us + 60 * CLOCK_US_PER_SECOND);
    assert_int_equal(rate(live, 1).remaining, 2);
    assert_false(rate(live, 4).allowed); /* never allowed, and takes nothing */
    assert_int_equal(rate(live, 1).remaining, 1);
    clock_fix(now_us);
    live_close(&live);
}

static int64_t spend(struct live *live, const struct live_spent *spent)
{
    int64_t held_us = -1;
    assert_ok(live_spend(live, STR("key"), spent, &held_us, &err));
    return held_us;
}

static void test_a_bucket_holds_what_all_spent(void **state)
{
    (void)state;
    const int64_t s = CLOCK_US_PER_SECOND;
    struct live *live;
    assert_ok(live_open(folder, &live, &err));
    const struct live_spent ten = {.spent_us = 10 * s, .most_us = 100 * s};
    const struct live_spent early = {.age_us = 4 * s, .spent_us = 10 * s, .most_us = 100 * s};
    const struct live_spent floor = {.floor_us = 50 * s, .most_us = 100 * s};
    const struct live_spent look = {.most_us = 100 * s};
    assert_int_equal(spend(live, &ten), 10 * s);
    assert_int_equal(spend(live, &ten), 20 * s); /* whether or not there is room */
    clock_fix(now_us + 15 * s);
    assert_int_equal(spend(live, &look), 5 * s);
    clock_fix(now_us + 30 * s);
    assert_int_equal(spend(live, &look), 0);
    assert_int_equal(spend(live, &early), 6 * s);  /* it was empty four seconds ago */
    assert_int_equal(spend(live, &early), 16 * s); /* it was not */
    assert_int_equal(spend(live, &floor), 50 * s);
    assert_int_equal(spend(live, &ten), 60 * s);
    for (int i = 0; i < 10; i++) {
        (void)spend(live, &ten);
    }
    assert_int_equal(spend(live, &look), 100 * s);
    clock_fix(now_us + 10 * s); /* set back by 20 s: what it holds now it never held */
    assert_int_equal(spend(live, &ten), 10 * s);
    const struct live_spent huge = {INT64_MAX / 8, INT64_MAX / 8, INT64_MAX / 8, INT64_MAX / 8};
    assert_int_equal(spend(live, &huge), INT64_MAX / 8);
    assert_int_equal(spend(live, &huge), INT64_MAX / 8);
    clock_fix(now_us);
    live_close(&live);
}

/* ---- several threads and processes ---- */

enum { ROUNDS = 200, KEYS = 16 };

static void put_round(struct live *live, int writer, int round)
{
    struct live_write writes[KEYS];
    char keys[KEYS][16], bytes[32];
    snprintf(bytes, sizeof bytes, "%d %d", writer, round);
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "k%02d", i);
        writes[i] = (struct live_write){.kind = LIVE_SCORE,
                                        .key = str_of(keys[i]),
                                        .bytes = str_of(bytes),
                                        .event_time_us = round,
                                        .version = (uint64_t)writer,
                                        .guarded = true};
    }
    must(live_write(live, writes, KEYS, &err) == KOL_OK);
    struct live_limit limit;
    must(live_count(live, STR("all"), 1, CLOCK_US_PER_HOUR, 0, &limit, &err) == KOL_OK);
}

static void *write_thread(void *user)
{
    struct live *live;
    must(live_open(folder, &live, NULL) == KOL_OK);
    for (int round = 0; round < ROUNDS; round++) {
        put_round(live, *(int *)user, round);
    }
    live_close(&live);
    return NULL;
}

struct mix {
    char first[32];
    int count;
    bool mixed;
};

static bool look(const struct live_value *value, void *user)
{
    struct mix *mix = user;
    if (mix->count++ == 0) {
        snprintf(mix->first, sizeof mix->first, "%.*s", STR_FORMAT(value->bytes));
    }
    mix->mixed |= !str_is(value->bytes, mix->first);
    return true;
}

/* All keys are always of one batch. */
static void assert_no_mix(struct live *live, int keys)
{
    struct mix mix = {.count = 0};
    must(live_list(live, LIVE_SCORE, STR("k"), STR(""), look, &mix, &err) == KOL_OK);
    must(!mix.mixed && (mix.count == 0 || mix.count == keys));
}

static pid_t start_writer(int writer, int rounds)
{
    pid_t child = fork();
    if (child == 0) {
        struct live *live;
        must(live_open(folder, &live, &err) == KOL_OK);
        for (int round = 0; rounds < 0 || round < rounds; round++) {
            put_round(live, writer, round);
            assert_no_mix(live, KEYS);
        }
        live_close(&live);
        _exit(0);
    }
    assert_true(child > 0);
    return child;
}

static void assert_ended(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static int64_t counted(struct live *live)
{
    struct live_limit limit;
    assert_ok(live_count(live, STR("all"), 0, CLOCK_US_PER_HOUR, 0, &limit, &err));
    return limit.count;
}

static void test_processes_share_values_and_counters(void **state)
{
    (void)state;
    struct live *live;
    pid_t children[2] = {start_writer(1, ROUNDS), start_writer(2, ROUNDS)};
    assert_ok(live_open(folder, &live, &err));
    for (int i = 0; i < 100; i++) {
        assert_no_mix(live, KEYS);
    }
    assert_ended(children[0]);
    assert_ended(children[1]);
    char last[32];
    snprintf(last, sizeof last, "2 %d", ROUNDS - 1);
    assert_value(live, LIVE_SCORE, "k00", last);
    assert_int_equal(counted(live), 2 * ROUNDS);
    live_close(&live);
}

static void test_threads_share_one_handle(void **state)
{
    (void)state;
    pthread_t threads[2];
    int writers[2] = {1, 2};
    struct live *live, *again;
    assert_ok(live_open(folder, &live, &err));
    assert_ok(live_open(folder, &again, &err));
    assert_ptr_equal(live, again);
    live_close(&again);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_thread, &writers[i]), 0);
    }
    for (int i = 0; i < 100; i++) {
        assert_no_mix(live, KEYS);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(counted(live), 2 * ROUNDS);
    live_close(&live);
}

static void test_a_writer_that_is_killed_leaves_whole_batches(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        pid_t child = start_writer(1, -1);
        struct live *live;
        int status;
        usleep((useconds_t)(2000 + 3000 * i));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        assert_ok(live_open(folder, &live, &err));
        assert_no_mix(live, KEYS);
        assert_ok(live_put(live, LIVE_SESSION, STR("after"), STR("x"), 0, &err));
        live_close(&live);
    }
}

static void test_a_file_that_is_no_store_is_refused(void **state)
{
    (void)state;
    char path[96];
    struct live *live;
    snprintf(path, sizeof path, "%s/live", folder);
    assert_ok(file_make_dir(path, &err));
    snprintf(path, sizeof path, "%s/live/live.mdb", folder);
    char bytes[20000] = "this is not a store";
    assert_ok(file_replace(path, (struct str){bytes, sizeof bytes}, &err));
    assert_int_equal(live_open(folder, &live, &err), KOL_CORRUPT);
    assert_non_null(strstr(err.message, path));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_older_event_never_overwrites_newer_score),
        TEST(test_a_guarded_removal_leaves_what_is_newer),
        TEST(test_kinds_and_keys_are_apart),
        TEST(test_a_batch_is_written_whole_or_not_at_all),
        TEST(test_what_has_expired_is_gone_and_swept),
        TEST(test_a_list_has_the_values_of_a_prefix_in_order),
        TEST(test_a_window_counts_up_to_its_limit),
        TEST(test_a_rate_gives_units_back_one_by_one),
        TEST(test_a_bucket_holds_what_all_spent),
        TEST(test_processes_share_values_and_counters),
        TEST(test_threads_share_one_handle),
        TEST(test_a_writer_that_is_killed_leaves_whole_batches),
        TEST(test_a_file_that_is_no_store_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
