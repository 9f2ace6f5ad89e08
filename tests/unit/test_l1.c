/*
 * test_l1.c: the cache in the process: lives, bounds, holders, and what takes entries out.
 */
#include "l1_fixture.h"

#include <pthread.h>

#include "base/random.h"

/* ---- lives ---- */

static void test_an_entry_lives_through_its_three_spans(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    const struct l1_life life = {100 * SECOND, 50 * SECOND, 20 * SECOND};
    assert_missing(l1, "a");
    put(l1, "a", 7, &life);
    struct l1_entry *entry;
    assert_int_equal(l1_get(l1, STR("a"), &entry), L1_HIT);
    const int64_t filled_us = l1_filled_us(entry), fresh_until_us = l1_fresh_until_us(entry);
    assert_int_equal(filled_us, fixture_now_us);
    l1_release(entry);

    fixture_now_us = fresh_until_us - 1;
    assert_found(l1, "a", L1_HIT, 7);
    fixture_now_us = fresh_until_us;
    assert_found(l1, "a", L1_REFRESH, 7);
    fixture_now_us = fresh_until_us + 50 * SECOND - 1;
    assert_found(l1, "a", L1_REFRESH, 7);
    fixture_now_us = fresh_until_us + 50 * SECOND;
    assert_missing(l1, "a");
    entry = l1_get_after_error(l1, STR("a"));
    assert_non_null(entry);
    assert_int_equal(number_of(entry), 7);
    l1_release(entry);
    fixture_now_us = fresh_until_us + 70 * SECOND - 1;
    entry = l1_get_after_error(l1, STR("a"));
    assert_non_null(entry);
    l1_release(entry);
    assert_int_equal(stats_of(l1).entries, 1);
    fixture_now_us = fresh_until_us + 70 * SECOND;
    assert_null(l1_get_after_error(l1, STR("a")));
    assert_int_equal(stats_of(l1).entries, 0);
    assert_int_equal(stats_of(l1).bytes, 0);
    assert_int_equal(stats_of(l1).expired, 1);
    assert_int_equal(atomic_load(&fixture_alive), 0);
    free_l1(&l1);
}

static void test_jitter_takes_up_to_a_tenth_off_the_fresh_span(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    const struct l1_life life = {1000 * SECOND, 0, 0};
    int64_t least = INT64_MAX, most = 0, sum = 0;
    enum { KEYS = 500 };
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        struct l1_entry *entry;
        snprintf(key, sizeof key, "key %d", i);
        put(l1, key, i, &life);
        assert_int_equal(l1_get(l1, str_of(key), &entry), L1_HIT);
        const int64_t span = l1_fresh_until_us(entry) - l1_filled_us(entry);
        least = span < least ? span : least;
        most = span > most ? span : most;
        sum += span / KEYS;
        l1_release(entry);
    }
    assert_in_range(least, 900 * SECOND, 905 * SECOND);
    assert_in_range(most, 995 * SECOND, 1000 * SECOND);
    assert_in_range(sum, 940 * SECOND, 960 * SECOND);
    free_l1(&l1);
}

static void test_a_negative_entry_has_a_hard_end(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    put(l1, "nobody", 404, &(struct l1_life){5 * SECOND, 0, 0});
    assert_found(l1, "nobody", L1_HIT, 404);
    fixture_now_us += 5 * SECOND;
    assert_missing(l1, "nobody");
    assert_int_equal(stats_of(l1).entries, 0);
    put(l1, "nothing", 1, &(struct l1_life){0, 10 * SECOND, 10 * SECOND});
    assert_missing(l1, "nothing");
    free_l1(&l1);
}

static void test_what_lives_for_ever_does_not_overflow(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    put(l1, "a", 1, &(struct l1_life){INT64_MAX, INT64_MAX, INT64_MAX});
    fixture_now_us = INT64_MAX / 4;
    assert_found(l1, "a", L1_HIT, 1);
    free_l1(&l1);
}

static void test_the_wall_clock_is_exact_at_the_end_of_a_span(void **state)
{
    (void)state;
    clock_fix(5000 * SECOND);
    struct l1 *l1 = l1_new(&(struct l1_options){.max_bytes = 1 << 20});
    put(l1, "a", 1, &(struct l1_life){10 * SECOND, 0, 0});
    struct l1_entry *entry;
    assert_int_equal(l1_get(l1, STR("a"), &entry), L1_HIT);
    const int64_t end_us = l1_fresh_until_us(entry);
    l1_release(entry);
    clock_fix(end_us - 1);
    assert_found(l1, "a", L1_HIT, 1);
    clock_fix(end_us);
    assert_missing(l1, "a");
    clock_fix(0);
    free_l1(&l1);
}

/* ---- early refresh ---- */

/* How many of 1,000 hits are told to refresh, when `left_us` of the fresh span are left. */
static int count_early(struct l1 *l1, int64_t left_us)
{
    int early = 0;
    fixture_now_us = 2000000 * SECOND;
    struct l1_load *load = begin(l1, "a");
    fixture_now_us += 2 * SECOND; /* the load takes so long */
    fill_tagged(load, 1, &(struct l1_life){1000 * SECOND, 0, 0}, NULL);
    struct l1_entry *entry;
    assert_int_equal(l1_get(l1, STR("a"), &entry), L1_HIT);
    fixture_now_us = l1_fresh_until_us(entry) - left_us;
    l1_release(entry);
    for (int i = 0; i < 1000; i++) {
        int number;
        early += look(l1, "a", &number) == L1_REFRESH;
        assert_int_equal(number, 1);
    }
    l1_drop_all(l1);
    return early;
}

static void test_early_refresh_is_the_likelier_the_nearer_the_end(void **state)
{
    (void)state;
    fixture_now_us = 0;
    struct l1 *l1 =
        l1_new(&(struct l1_options){.max_bytes = 1 << 20, .early = 1, .now_us = fixture_clock});
    /* The chance is e^(-left / took); bounds are 5 standard deviations off. */
    assert_in_range(count_early(l1, 1 * SECOND), 527, 686);
    assert_in_range(count_early(l1, 2 * SECOND), 291, 445);
    assert_in_range(count_early(l1, 6 * SECOND), 16, 84);
    assert_int_equal(count_early(l1, 100 * SECOND), 0);
    free_l1(&l1);
    l1 = l1_new(&(struct l1_options){.max_bytes = 1 << 20, .now_us = fixture_clock});
    assert_int_equal(count_early(l1, 1), 0);
    free_l1(&l1);
}

/* ---- holders ---- */

static void test_a_held_entry_outlives_its_place_in_the_table(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct l1_entry *entry, *same;
    put(l1, "a", 1, &long_life);
    assert_int_equal(l1_get(l1, STR("a"), &entry), L1_HIT);
    assert_int_equal(l1_get(l1, STR("a"), &same), L1_HIT);
    assert_ptr_equal(entry, same);
    l1_hold(entry);
    assert_int_equal(l1_drop_key(l1, STR("a")), 1);
    assert_missing(l1, "a");
    put(l1, "a", 2, &long_life);
    assert_found(l1, "a", L1_HIT, 2);
    l1_release(entry);
    l1_release(entry);
    assert_int_equal(number_of(entry), 1);
    assert_int_equal(atomic_load(&fixture_alive), 2);
    l1_release(entry);
    assert_int_equal(atomic_load(&fixture_alive), 1);
    free_l1(&l1);
}

static void test_a_thread_may_hold_many_entries(void **state)
{
    (void)state;
    enum { MANY = 100 };
    struct l1 *l1 = new_l1(1 << 20);
    struct l1_entry *held[MANY];
    char key[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "%d", i);
        put(l1, key, i, &long_life);
        assert_int_equal(l1_get(l1, str_of(key), &held[i]), L1_HIT);
    }
    assert_int_equal(l1_drop_all(l1), MANY);
    assert_int_equal(atomic_load(&fixture_alive), MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(number_of(held[i]), i);
        l1_release(held[i]);
        assert_int_equal(atomic_load(&fixture_alive), MANY - 1 - i);
    }
    free_l1(&l1);
}

static void *release_elsewhere(void *entries)
{
    struct l1_entry **held = entries;
    for (int i = 0; i < 20; i++) {
        l1_release(held[i]);
    }
    return NULL;
}

static void *get_elsewhere(void *l1)
{
    struct l1_entry *entry;
    assert_int_equal(l1_get(l1, STR("a"), &entry), L1_HIT);
    return entry;
}

static void test_a_hold_may_be_released_by_another_thread(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct l1_entry *held[20];
    pthread_t thread;
    void *got;
    put(l1, "a", 1, &long_life);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            assert_int_equal(l1_get(l1, STR("a"), &held[i]), L1_HIT);
        }
        assert_int_equal(pthread_create(&thread, NULL, release_elsewhere, held), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    /* Held by a thread that has ended, too. */
    assert_int_equal(pthread_create(&thread, NULL, get_elsewhere, l1), 0);
    assert_int_equal(pthread_join(thread, &got), 0);
    assert_int_equal(l1_drop_key(l1, STR("a")), 1);
    assert_int_equal(atomic_load(&fixture_alive), 1);
    assert_int_equal(number_of(got), 1);
    l1_release(got);
    assert_int_equal(atomic_load(&fixture_alive), 0);
    free_l1(&l1);
}

/* ---- bounds ---- */

static void test_a_value_over_an_eighth_of_the_bound_is_not_kept(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(80000);
    struct l1_load *load;
    struct test_waiter waiter = new_waiter();
    assert_int_equal(join(l1, "a", &waiter, &load), L1_LOAD);
    assert_null(l1_fill(load, make_value(1, 10001), &long_life, NULL, 0));
    assert_int_equal(waiter.woken, 1);
    assert_int_equal(waiter.number, 1);
    assert_missing(l1, "a");
    assert_null(l1_fill(begin(l1, "b"), make_value(2, SIZE_MAX), &long_life, NULL, 0));
    assert_missing(l1, "b");
    assert_int_equal(stats_of(l1).too_large, 2);
    assert_null(l1_fill(begin(l1, "c"), make_value(3, 9000), &long_life, NULL, 0));
    assert_found(l1, "c", L1_HIT, 3);
    free_l1(&l1);
}

static void test_key_and_tags_count_against_the_bound(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    char key[2001], tag[3001];
    memset(key, 'k', sizeof key);
    memset(tag, 't', sizeof tag);
    key[2000] = tag[3000] = 0;
    put(l1, "a", 1, &long_life);
    const int64_t small = stats_of(l1).bytes;
    assert_in_range(small, 200, 600);
    fill_tagged(begin(l1, key), 2, &long_life, tag);
    assert_in_range(stats_of(l1).bytes, 2 * small + 5000 - 64, 2 * small + 5000 + 200);
    free_l1(&l1);
}

/* What the cache may have: the newest value of each key and whether it may be there at all. */
enum { MODEL_KEYS = 300, MODEL_TAGS = 7, MODEL_STEPS = 60000 };

struct model {
    int number;
    bool may_be_there;
    int tag;
};

static void drop_in_model(struct model *model, int tag, const char *prefix)
{
    char key[16];
    for (int i = 0; i < MODEL_KEYS; i++) {
        snprintf(key, sizeof key, "%d", i);
        if (model[i].tag == tag || (prefix && str_starts(str_of(key), str_of(prefix)))) {
            model[i].may_be_there = false;
        }
    }
}

static void model_step(struct l1 *l1, struct model *model, struct random_stream *chance, int step)
{
    const int i = (int)random_below(chance, MODEL_KEYS), tag = i % MODEL_TAGS;
    const uint64_t what = random_below(chance, 1000);
    char key[16], text[16];
    int number;
    snprintf(key, sizeof key, "%d", i);
    snprintf(text, sizeof text, "tag %d", tag);
    if (what < 500) {
        enum l1_found found = look(l1, key, &number);
        assert_true(found == L1_MISS || (model[i].may_be_there && number == model[i].number));
    } else if (what < 900) {
        const struct str tags[2] = {str_of(text), STR("all")};
        struct l1_load *load;
        struct l1_entry *entry;
        struct test_waiter waiter = new_waiter();
        if (l1_join(l1, str_of(key), &waiter.waiter, &load, &entry) == L1_LOAD) {
            model[i] = (struct model){step, true, tag};
            assert_null(l1_fill(load, make_value(step, random_below(chance, 4000)), &long_life,
                                tags, random_below(chance, 3) ? 2 : 1));
            assert_int_equal(waiter.number, step);
        } else {
            l1_release(entry);
        }
    } else if (what < 990) {
        l1_drop_key(l1, str_of(key));
        model[i].may_be_there = false;
    } else if (what < 996) {
        l1_drop_tag(l1, str_of(text));
        drop_in_model(model, tag, NULL);
    } else if (what < 999) {
        key[1] = 0;
        l1_drop_prefix(l1, str_of(key));
        drop_in_model(model, -1, key);
    } else {
        l1_drop_all(l1);
        drop_in_model(model, -1, "");
    }
}

static void test_random_operations_keep_the_bound_and_the_truth(void **state)
{
    (void)state;
    enum { BOUND = 200000 };
    struct l1 *l1 = new_l1(BOUND);
    struct model model[MODEL_KEYS] = {0};
    struct random_stream chance;
    random_seed(&chance, (const uint64_t[]){42}, 1);
    for (int step = 0; step < MODEL_STEPS; step++) {
        model_step(l1, model, &chance, step);
        struct l1_stats stats = stats_of(l1);
        assert_in_range(stats.bytes, 0, BOUND);
        assert_int_equal(stats.entries, atomic_load(&fixture_alive));
        assert_true(stats.entries > 0 || stats.bytes == 0);
    }
    struct l1_stats stats = stats_of(l1);
    assert_true(stats.evictions > 1000 && stats.hits > 1000 && stats.dropped > 1000);
    assert_int_equal(stats.fills, stats.evictions + stats.dropped + stats.expired + stats.entries);
    free_l1(&l1);
}

static void test_a_scan_leaves_what_is_asked_for_often(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(400000);
    char key[32];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 500; i++) {
            int number;
            snprintf(key, sizeof key, "often %d", i);
            if (look(l1, key, &number) == L1_MISS) {
                put(l1, key, i, &long_life);
            }
        }
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "once %d", i);
        put(l1, key, i, &long_life);
    }
    int left = 0, number;
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "often %d", i);
        left += look(l1, key, &number) == L1_HIT;
    }
    assert_in_range(left, 490, 500);
    free_l1(&l1);
}

static void test_expired_entries_make_room_first(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(100000);
    char key[32];
    for (int i = 0; i < 500; i++) {
        int number;
        snprintf(key, sizeof key, "old %d", i);
        put(l1, key, i, &(struct l1_life){SECOND, SECOND, SECOND});
        look(l1, key, &number);
        look(l1, key, &number);
    }
    fixture_now_us += 10 * SECOND;
    const int64_t evictions = stats_of(l1).evictions, before = stats_of(l1).entries;
    for (int i = 0; i < before; i++) {
        snprintf(key, sizeof key, "new %d", i);
        put(l1, key, i, &long_life);
    }
    assert_int_equal(stats_of(l1).evictions, evictions);
    assert_in_range(stats_of(l1).expired, before - 5, before);
    free_l1(&l1);
}

static void test_a_refreshed_entry_keeps_its_place(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(100000);
    char key[32];
    int number;
    put(l1, "popular", 0, &(struct l1_life){10 * SECOND, 1000 * SECOND, 0});
    for (int i = 1; i < 50; i++) {
        look(l1, "popular", &number);
        fixture_now_us += 10 * SECOND;
        put(l1, "popular", i, &(struct l1_life){10 * SECOND, 1000 * SECOND, 0});
        assert_true(i > 1 || stats_of(l1).entries == 1);
        for (int k = 0; k < 40; k++) {
            snprintf(key, sizeof key, "once %d %d", i, k);
            put(l1, key, k, &long_life);
        }
        assert_found(l1, "popular", L1_HIT, i);
    }
    free_l1(&l1);
}

/* ---- taking out ---- */

static void put_tagged(struct l1 *l1, const char *key, const char *tag)
{
    fill_tagged(begin(l1, key), 1, &long_life, tag);
}

static void test_drops_take_out_what_they_name(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    put_tagged(l1, "kol/a", "red");
    put_tagged(l1, "kol/b", "blue");
    put_tagged(l1, "list/a", "red");
    put_tagged(l1, "list/b", "blue");
    put_tagged(l1, "", NULL);
    assert_int_equal(l1_drop_key(l1, STR("kol")), 0);
    assert_int_equal(l1_drop_tag(l1, STR("green")), 0);
    assert_int_equal(l1_drop_tag(l1, STR("red")), 2);
    assert_missing(l1, "kol/a");
    assert_missing(l1, "list/a");
    assert_found(l1, "kol/b", L1_HIT, 1);
    assert_int_equal(l1_drop_prefix(l1, STR("kol/")), 1);
    assert_missing(l1, "kol/b");
    assert_found(l1, "list/b", L1_HIT, 1);
    assert_found(l1, "", L1_HIT, 1);
    assert_int_equal(l1_drop_key(l1, STR("list/b")), 1);
    assert_int_equal(l1_drop_key(l1, STR("list/b")), 0);
    assert_int_equal(l1_drop_tag(l1, STR("blue")), 0);
    assert_int_equal(l1_drop_all(l1), 1);
    assert_int_equal(l1_drop_all(l1), 0);
    assert_int_equal(stats_of(l1).dropped, 5);
    assert_int_equal(stats_of(l1).bytes, 0);
    free_l1(&l1);
}

static void test_a_drop_of_many_takes_all(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct l1 *l1 = new_l1(64 << 20);
    char key[32], tag[32];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            snprintf(key, sizeof key, "%s %d", i % 2 ? "odd" : "even", i);
            snprintf(tag, sizeof tag, "one %d", i);
            const struct str tags[] = {STR("copy:1"), str_of(tag), STR("copy:1")};
            assert_null(l1_fill(begin(l1, key), make_value(i, 10), &long_life, tags, 3));
        }
        assert_int_equal(stats_of(l1).entries, MANY);
        assert_int_equal(l1_drop_tag(l1, STR("one 77")), 1);
        assert_missing(l1, "odd 77");
        assert_int_equal(round == 0 ? l1_drop_tag(l1, STR("copy:1"))
                         : round == 1
                             ? l1_drop_all(l1)
                             : l1_drop_prefix(l1, STR("even")) + l1_drop_prefix(l1, STR("odd")),
                         MANY - 1);
        assert_int_equal(stats_of(l1).entries, 0);
        assert_int_equal(atomic_load(&fixture_alive), 0);
    }
    free_l1(&l1);
}

static void test_a_replaced_entry_leaves_its_old_tags(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    const struct l1_life life = {SECOND, 100 * SECOND, 0};
    fill_tagged(begin(l1, "a"), 1, &life, "old");
    fixture_now_us += 2 * SECOND;
    fill_tagged(begin(l1, "a"), 2, &life, "new");
    assert_int_equal(stats_of(l1).entries, 1);
    assert_int_equal(atomic_load(&fixture_alive), 1);
    assert_int_equal(l1_drop_tag(l1, STR("old")), 0);
    assert_found(l1, "a", L1_HIT, 2);
    assert_int_equal(l1_drop_tag(l1, STR("new")), 1);
    free_l1(&l1);
}

static void test_hits_are_counted_as_what_they_are(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    int number;
    put(l1, "a", 1, &(struct l1_life){10 * SECOND, 100 * SECOND, 0});
    look(l1, "a", &number);
    look(l1, "a", &number);
    look(l1, "b", &number);
    fixture_now_us += 20 * SECOND;
    look(l1, "a", &number);
    struct l1_stats stats = stats_of(l1);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.stale, 1);
    assert_int_equal(stats.misses, 1);
    assert_int_equal(stats.fills, 1);
    assert_int_equal(stats.loads, 1);
    assert_int_equal(stats.max_bytes, 1 << 20);
    free_l1(&l1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_lives_through_its_three_spans),
        cmocka_unit_test(test_jitter_takes_up_to_a_tenth_off_the_fresh_span),
        cmocka_unit_test(test_a_negative_entry_has_a_hard_end),
        cmocka_unit_test(test_what_lives_for_ever_does_not_overflow),
        cmocka_unit_test(test_the_wall_clock_is_exact_at_the_end_of_a_span),
        cmocka_unit_test(test_early_refresh_is_the_likelier_the_nearer_the_end),
        cmocka_unit_test(test_a_held_entry_outlives_its_place_in_the_table),
        cmocka_unit_test(test_a_thread_may_hold_many_entries),
        cmocka_unit_test(test_a_hold_may_be_released_by_another_thread),
        cmocka_unit_test(test_a_value_over_an_eighth_of_the_bound_is_not_kept),
        cmocka_unit_test(test_key_and_tags_count_against_the_bound),
        cmocka_unit_test(test_random_operations_keep_the_bound_and_the_truth),
        cmocka_unit_test(test_a_scan_leaves_what_is_asked_for_often),
        cmocka_unit_test(test_expired_entries_make_room_first),
        cmocka_unit_test(test_a_refreshed_entry_keeps_its_place),
        cmocka_unit_test(test_drops_take_out_what_they_name),
        cmocka_unit_test(test_a_drop_of_many_takes_all),
        cmocka_unit_test(test_a_replaced_entry_leaves_its_old_tags),
        cmocka_unit_test(test_hits_are_counted_as_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
