/* test_serve_heat.c: counts by key that halve, the hottest of them, and their file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "serve/heat.h"

#define HOUR INT64_C(3600000000)

static int64_t now_us = 1000 * HOUR;

static int64_t tell_now(void *user)
{
    (void)user;
    return now_us;
}

static struct heat *make(size_t keys)
{
    const struct heat_options options = {.keys = keys, .half_us = HOUR, .now_us = tell_now};
    return heat_new(&options);
}

static void add(struct heat *heat, const char *key, double uses)
{
    heat_add(heat, str_of(key), uses);
}

static struct heat_key hottest(struct heat *heat, size_t rank, size_t count_expected)
{
    static struct arena arena;
    struct heat_key *keys;
    if (!arena.block_size) {
        arena_init(&arena, 0);
    }
    arena_reset(&arena);
    assert_int_equal(heat_hottest(heat, 1000000, &arena, &keys), count_expected);
    assert_true(rank < count_expected);
    return keys[rank];
}

static void a_count_halves_in_its_time(void **state)
{
    struct heat *heat = make(100);
    (void)state;
    add(heat, "a", 8);
    now_us += 3 * HOUR;
    assert_true(fabs(hottest(heat, 0, 1).uses - 1) < 1e-9);
    add(heat, "a", 1);
    assert_true(fabs(hottest(heat, 0, 1).uses - 2) < 1e-9);
    now_us += HOUR;
    assert_true(fabs(hottest(heat, 0, 1).uses - 1) < 1e-9);
    heat_free(&heat);
    assert_null(heat);
}

static void a_recent_use_outweighs_older_ones(void **state)
{
    struct heat *heat = make(100);
    (void)state;
    add(heat, "old", 8);
    now_us += 4 * HOUR;
    add(heat, "new", 1);
    assert_true(str_is(hottest(heat, 0, 2).key, "new"));
    assert_true(str_is(hottest(heat, 1, 2).key, "old"));
    add(heat, "old", 1);
    assert_true(str_is(hottest(heat, 0, 2).key, "old"));
    heat_free(&heat);
}

static void no_more_keys_are_kept_than_may_be_and_the_coldest_go(void **state)
{
    struct heat *heat = make(64);
    char key[32];
    (void)state;
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof key, "hot:%d", i);
        add(heat, key, 100 + i);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "once:%d", i);
        add(heat, key, 1);
    }
    struct arena arena;
    struct heat_key *keys;
    arena_init(&arena, 0);
    const size_t count = heat_hottest(heat, 1000, &arena, &keys);
    assert_true(count <= 64 && count >= 56);
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof key, "hot:%d", 7 - i);
        assert_true(str_is(keys[i].key, key));
    }
    /* What was dropped begins anew, what stayed is found again. */
    add(heat, "once:0", 1);
    add(heat, "hot:0", 1000);
    assert_int_equal(heat_hottest(heat, 3, &arena, &keys), 3);
    assert_true(str_is(keys[0].key, "hot:0"));
    assert_true(fabs(keys[0].uses - 1100) < 1e-6);
    arena_free(&arena);
    heat_free(&heat);
}

static void the_next_use_is_expected_a_mean_gap_later(void **state)
{
    struct heat *heat = make(100);
    (void)state;
    /* Each five minutes for three days: the count no longer grows, the gap is still five minutes.
     */
    for (int i = 0; i < 3 * 24 * 12; i++) {
        now_us += HOUR / 12;
        add(heat, "steady", 1);
    }
    struct heat_key steady = hottest(heat, 0, 1);
    assert_int_equal(steady.last_us, now_us);
    const double gap = (double)(steady.next_us - steady.last_us) / ((double)HOUR / 12);
    assert_true(gap > 0.9 && gap < 1.1);
    /* Known for half an hour only, and asked for each minute. */
    for (int i = 0; i < 30; i++) {
        now_us += HOUR / 60;
        add(heat, "young", 1);
    }
    struct heat_key young = hottest(heat, 0, 2);
    assert_true(str_is(young.key, "young"));
    const double young_gap = (double)(young.next_us - young.last_us) / ((double)HOUR / 60);
    assert_true(young_gap > 0.8 && young_gap < 1.2);
    heat_free(&heat);
}

static void what_is_no_key_or_no_count_is_passed_over(void **state)
{
    struct heat *heat = make(100);
    char *lengthy = mem_zalloc(700, 1);
    (void)state;
    memset(lengthy, 'k', 601);
    add(heat, lengthy, 1);
    add(heat, "", 1);
    add(heat, "a", 0);
    add(heat, "a", -1);
    add(heat, "a", NAN);
    add(heat, "a", INFINITY);
    lengthy[600] = '\0';
    add(heat, lengthy, 1);
    assert_int_equal(hottest(heat, 0, 1).key.len, 600);
    free(lengthy);
    heat_free(&heat);
}

/* ---- the file ---- */

static char *path_of(const char *name)
{
    static char folder[64];
    if (!folder[0]) {
        strcpy(folder, "/tmp/kol-heat-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    return file_join(folder, name);
}

static void what_is_saved_is_there_after_a_restart(void **state)
{
    static const char odd[] = "kol:profile:a b\n%c\xff\0d";
    const struct str odd_key = {odd, sizeof odd - 1};
    struct heat *heat = make(100), *again = make(100);
    struct kol_error err;
    char *path = path_of("heat");
    (void)state;
    add(heat, "a", 3.25);
    heat_add(heat, odd_key, 5);
    assert_int_equal(heat_save(heat, path, &err), KOL_OK);
    now_us += HOUR;
    add(again, "a", 1);
    assert_int_equal(heat_load(again, path, &err), KOL_OK);
    assert_true(str_equal(hottest(again, 1, 2).key, odd_key) ||
                str_equal(hottest(again, 0, 2).key, odd_key));
    struct heat_key a = hottest(again, 0, 2);
    assert_true(str_is(a.key, "a"));
    assert_true(fabs(a.uses - (1 + 3.25 / 2)) < 1e-9);
    assert_int_equal(a.last_us, now_us);
    heat_free(&heat);
    heat_free(&again);
    unlink(path);
    free(path);
}

static void a_file_that_is_not_there_or_broken_says_so(void **state)
{
    static const struct {
        const char *text;
        const char *where; /* in the message */
        size_t kept;
    } cases[] = {
        {"", ":1:", 0},
        {"hello\n", ":1:", 0},
        {"kol-heat 1\n", NULL, 0},
        {"kol-heat 1\n1 0 5 a\n", NULL, 1},
        {"kol-heat 1\n1 0 5 a\n1 0 5 b", ":3:", 1}, /* cut off: maybe it is b... */
        {"kol-heat 1\n1 0 5 a\nx 0 5 b\n1 0 5 c\n", ":3:", 1},
        {"kol-heat 1\n-1 0 5 a\n", ":2:", 0},
        {"kol-heat 1\n1e300 0 5 a\n", ":2:", 0},
        {"kol-heat 1\n1 6 5 a\n", ":2:", 0},
        {"kol-heat 1\n1 -6 5 a\n", ":2:", 0},
        {"kol-heat 1\n1 0 5 \n", ":2:", 0},
        {"kol-heat 1\n1 0 5\n", ":2:", 0},
        {"kol-heat 1\n1 0 5 a%4\n", ":2:", 0},
        {"kol-heat 1\n1 0 5 a%zz\n", ":2:", 0},
    };
    struct kol_error err;
    char *path = path_of("broken");
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heat *heat = make(100);
        struct arena arena;
        struct heat_key *keys;
        arena_init(&arena, 0);
        assert_int_equal(file_replace(path, str_of(cases[i].text), &err), KOL_OK);
        const enum kol_status status = heat_load(heat, path, &err);
        assert_int_equal(status, cases[i].where ? KOL_CORRUPT : KOL_OK);
        if (cases[i].where) {
            assert_non_null(strstr(err.message, cases[i].where));
        }
        assert_int_equal(heat_hottest(heat, 10, &arena, &keys), cases[i].kept);
        arena_free(&arena);
        heat_free(&heat);
    }
    unlink(path);
    struct heat *heat = make(100);
    assert_int_equal(heat_load(heat, path, &err), KOL_NOT_FOUND);
    heat_free(&heat);
    free(path);
}

static void a_time_that_is_still_to_come_is_now(void **state)
{
    struct heat *heat = make(100);
    struct kol_error err;
    char *path = path_of("future");
    (void)state;
    add(heat, "a", 4);
    now_us += 100 * HOUR;
    add(heat, "b", 2);
    assert_int_equal(heat_save(heat, path, &err), KOL_OK);
    heat_free(&heat);
    now_us -= 50 * HOUR; /* the clock was wrong, and was set right */
    heat = make(100);
    assert_int_equal(heat_load(heat, path, &err), KOL_OK);
    struct heat_key b = hottest(heat, 0, 2);
    assert_true(str_is(b.key, "b"));
    assert_int_equal(b.last_us, now_us);
    assert_true(fabs(b.uses - 2) < 1e-9);
    heat_free(&heat);
    unlink(path);
    free(path);
}

/* ---- threads ---- */

static void *add_many(void *heat)
{
    char key[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "k%d", i % 200);
        heat_add(heat, str_of(key), 1);
    }
    return NULL;
}

static void threads_add_and_look_at_once(void **state)
{
    struct heat *heat = make(150);
    pthread_t threads[3];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, heat), 0);
    }
    for (int i = 0; i < 20; i++) {
        struct arena arena;
        struct heat_key *keys;
        arena_init(&arena, 0);
        assert_true(heat_hottest(heat, 10, &arena, &keys) <= 10);
        arena_free(&arena);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    heat_free(&heat);
}

static int remove_folder(void **state)
{
    char *inside = path_of("");
    (void)state;
    const int rc = rmdir(inside);
    free(inside);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_halves_in_its_time),
        cmocka_unit_test(a_recent_use_outweighs_older_ones),
        cmocka_unit_test(no_more_keys_are_kept_than_may_be_and_the_coldest_go),
        cmocka_unit_test(the_next_use_is_expected_a_mean_gap_later),
        cmocka_unit_test(what_is_no_key_or_no_count_is_passed_over),
        cmocka_unit_test(what_is_saved_is_there_after_a_restart),
        cmocka_unit_test(a_file_that_is_not_there_or_broken_says_so),
        cmocka_unit_test(a_time_that_is_still_to_come_is_now),
        cmocka_unit_test(threads_add_and_look_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
