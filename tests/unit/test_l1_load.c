/*
 * test_l1_load.c: single flight: who loads, who waits, who is woken with what, and what an
 * invalidation during a load does.
 */
#include "l1_fixture.h"

static const struct kol_error down = {.status = KOL_IO, .message = "the origin is down"};

static const struct l1_life spans = {10 * SECOND, 100 * SECOND, 100 * SECOND};

/* ---- one load ---- */

static void test_a_thousand_waiters_make_one_load(void **state)
{
    (void)state;
    enum { WAITERS = 1000 };
    struct l1 *l1 = new_l1(1 << 20);
    static struct test_waiter waiters[WAITERS];
    struct l1_load *load = NULL, *other = NULL;
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = new_waiter();
        assert_int_equal(join(l1, "a", &waiters[i], i ? &other : &load), i ? L1_WAIT : L1_LOAD);
    }
    assert_null(other);
    assert_int_equal(l1_waiting(load), WAITERS);
    fill_tagged(load, 5, &spans, NULL);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(waiters[i].woken, 1);
        assert_int_equal(waiters[i].number, 5);
        assert_false(waiters[i].stale);
        assert_int_equal(waiters[i].status, KOL_OK);
    }
    assert_int_equal(stats_of(l1).loads, 1);
    assert_int_equal(stats_of(l1).joined, WAITERS - 1);
    struct test_waiter late = new_waiter();
    assert_int_equal(join(l1, "a", &late, &load), L1_FOUND);
    assert_int_equal(late.woken, 0);
    free_l1(&l1);
}

static void test_keys_are_loaded_apart(void **state)
{
    (void)state;
    enum { KEYS = 3000 };
    struct l1 *l1 = new_l1(8 << 20);
    static struct l1_load *loads[KEYS];
    static struct test_waiter waiters[KEYS];
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "%d", i);
        waiters[i] = new_waiter();
        assert_int_equal(join(l1, key, &waiters[i], &loads[i]), L1_LOAD);
    }
    for (int i = KEYS; i--;) {
        fill_tagged(loads[i], i, &spans, NULL);
        assert_int_equal(waiters[i].number, i);
    }
    free_l1(&l1);
}

static void test_a_stale_entry_is_served_while_one_loads(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    put(l1, "a", 1, &spans);
    fixture_now_us += 20 * SECOND;
    assert_found(l1, "a", L1_REFRESH, 1);
    struct l1_load *load = begin(l1, "a"), *other = NULL;
    struct l1_entry *entry = NULL;
    assert_found(l1, "a", L1_STALE, 1);
    assert_int_equal(l1_join(l1, STR("a"), NULL, &other, &entry), L1_WAIT);
    assert_null(other);
    fill_tagged(load, 2, &spans, NULL);
    assert_found(l1, "a", L1_HIT, 2);
    /* Who was told to refresh and comes late finds nothing to do. */
    assert_int_equal(l1_join(l1, STR("a"), NULL, &other, &entry), L1_WAIT);
    assert_null(other);
    assert_null(entry);
    assert_int_equal(stats_of(l1).loads, 2);
    free_l1(&l1);
}

static void test_an_early_refresh_loads_though_the_entry_is_fresh(void **state)
{
    (void)state;
    fixture_now_us = 1000 * SECOND;
    struct l1 *l1 =
        l1_new(&(struct l1_options){.max_bytes = 1 << 20, .early = 1, .now_us = fixture_clock});
    struct l1_load *load = begin(l1, "a"), *other = NULL;
    struct l1_entry *entry;
    fixture_now_us += SECOND;
    fill_tagged(load, 1, &(struct l1_life){100 * SECOND, 0, 0}, NULL);
    assert_int_equal(l1_get(l1, STR("a"), &entry), L1_HIT);
    fixture_now_us = l1_fresh_until_us(entry) - 21 * SECOND;
    l1_release(entry);
    assert_int_equal(l1_join(l1, STR("a"), NULL, &other, &entry), L1_WAIT);
    fixture_now_us += 20 * SECOND + SECOND / 2;
    load = begin(l1, "a");
    /* One is enough: while it runs nobody else is told to. */
    for (int i = 0; i < 100; i++) {
        assert_found(l1, "a", L1_HIT, 1);
    }
    fill_tagged(load, 2, &spans, NULL);
    assert_found(l1, "a", L1_HIT, 2);
    free_l1(&l1);
}

/* ---- failing ---- */

static void test_a_failed_load_wakes_all_and_is_not_cached(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter waiters[3] = {new_waiter(), new_waiter(), new_waiter()};
    struct l1_load *load;
    for (int i = 0; i < 3; i++) {
        join(l1, "a", &waiters[i], &load);
    }
    l1_fail(load, &down);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(waiters[i].woken, 1);
        assert_int_equal(waiters[i].number, -1);
        assert_int_equal(waiters[i].status, KOL_IO);
        assert_false(waiters[i].stale);
    }
    assert_missing(l1, "a");
    assert_int_equal(stats_of(l1).load_failures, 1);
    assert_int_equal(join(l1, "a", &waiters[0], &load), L1_LOAD);
    l1_fail(load, &down);
    free_l1(&l1);
}

static void test_a_failed_load_gives_the_stale_entry_where_there_is_one(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter first = new_waiter(), second = new_waiter();
    struct l1_load *load;
    put(l1, "a", 1, &spans);
    fixture_now_us += 150 * SECOND; /* beyond stale-while-revalidate */
    assert_missing(l1, "a");
    assert_int_equal(join(l1, "a", &first, &load), L1_LOAD);
    assert_int_equal(join(l1, "a", &second, &load), L1_WAIT);
    l1_fail(load, &down);
    assert_int_equal(first.number, 1);
    assert_int_equal(second.number, 1);
    assert_true(first.stale && second.stale);
    assert_int_equal(first.status, KOL_IO);
    fixture_now_us += 100 * SECOND; /* beyond stale-if-error */
    first = new_waiter();
    assert_int_equal(join(l1, "a", &first, &load), L1_LOAD);
    l1_fail(load, &down);
    assert_int_equal(first.number, -1);
    assert_false(first.stale);
    free_l1(&l1);
}

static void test_a_second_after_a_failed_refresh_another_is_due(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    put(l1, "a", 1, &spans);
    fixture_now_us += 20 * SECOND;
    l1_fail(begin(l1, "a"), &down);
    struct l1_load *load;
    struct l1_entry *entry;
    for (int i = 0; i < 3; i++) {
        assert_found(l1, "a", L1_STALE, 1);
        assert_int_equal(l1_join(l1, STR("a"), NULL, &load, &entry), L1_WAIT);
        fixture_now_us += SECOND / 3;
    }
    fixture_now_us += 1;
    assert_found(l1, "a", L1_REFRESH, 1);
    free_l1(&l1);
}

/* ---- leaving ---- */

static void test_who_left_is_not_woken(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter waiters[3] = {new_waiter(), new_waiter(), new_waiter()};
    struct l1_load *load;
    for (int i = 0; i < 3; i++) {
        join(l1, "a", &waiters[i], &load);
    }
    assert_true(l1_leave(l1, &waiters[1].waiter));
    assert_false(l1_leave(l1, &waiters[1].waiter));
    assert_int_equal(l1_waiting(load), 2);
    assert_true(l1_leave(l1, &waiters[0].waiter));
    fill_tagged(load, 3, &spans, NULL);
    assert_int_equal(waiters[0].woken + waiters[1].woken, 0);
    assert_int_equal(waiters[2].woken, 1);
    assert_false(l1_leave(l1, &waiters[2].waiter));
    free_l1(&l1);
}

static void test_the_load_goes_on_when_all_have_left(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter waiter = new_waiter();
    struct l1_load *load;
    join(l1, "a", &waiter, &load);
    assert_true(l1_leave(l1, &waiter.waiter));
    assert_int_equal(l1_waiting(load), 0);
    assert_int_equal(join(l1, "a", &waiter, &load), L1_WAIT);
    assert_true(l1_leave(l1, &waiter.waiter));
    fill_tagged(load, 3, &spans, NULL);
    assert_found(l1, "a", L1_HIT, 3);
    free_l1(&l1);
}

/* A waiter that, woken, has another of the same load leave: too late for it. */
struct meddler {
    struct test_waiter noted;
    struct l1 *l1;
    struct l1_waiter *other;
    bool other_left;
};

static void wake_meddler(struct l1_waiter *waiter, struct l1_entry *entry, bool stale,
                         const struct kol_error *err)
{
    struct meddler *meddler = (struct meddler *)waiter;
    meddler->other_left = l1_leave(meddler->l1, meddler->other);
    l1_drop_all(meddler->l1); /* no lock is held */
    note_wake(waiter, entry, stale, err);
}

static void test_who_is_being_woken_cannot_leave(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter second = new_waiter();
    struct meddler first = {new_waiter(), l1, &second.waiter, false};
    struct l1_load *load;
    first.noted.waiter.wake = wake_meddler;
    join(l1, "a", &first.noted, &load);
    join(l1, "a", &second, &load);
    fill_tagged(load, 4, &spans, NULL);
    assert_false(first.other_left);
    assert_int_equal(second.woken, 1);
    assert_int_equal(second.number, 4);
    assert_missing(l1, "a");
    free_l1(&l1);
}

/* ---- invalidation during a load ---- */

typedef size_t dropper(struct l1 *l1);

static size_t by_key(struct l1 *l1)
{
    return l1_drop_key(l1, STR("kol/a"));
}

static size_t by_prefix(struct l1 *l1)
{
    return l1_drop_prefix(l1, STR("kol/"));
}

static size_t by_all(struct l1 *l1)
{
    return l1_drop_all(l1);
}

static dropper *const droppers[] = {by_key, by_prefix, by_all};

static void test_a_fenced_value_goes_to_those_who_waited_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(droppers); i++) {
        struct l1 *l1 = new_l1(1 << 20);
        struct test_waiter before = new_waiter(), after = new_waiter(), third = new_waiter();
        struct l1_load *old, *new;
        assert_int_equal(join(l1, "kol/a", &before, &old), L1_LOAD);
        droppers[i](l1);
        /* Who asks afterwards begins another load, which others join. */
        assert_int_equal(join(l1, "kol/a", &after, &new), L1_LOAD);
        assert_int_equal(join(l1, "kol/a", &third, &new), L1_WAIT);
        fill_tagged(old, 1, &spans, NULL);
        assert_int_equal(before.number, 1);
        assert_int_equal(after.woken, 0);
        assert_missing(l1, "kol/a");
        fill_tagged(new, 2, &spans, NULL);
        assert_int_equal(after.number, 2);
        assert_int_equal(third.number, 2);
        assert_found(l1, "kol/a", L1_HIT, 2);
        assert_int_equal(stats_of(l1).fenced, 1);
        free_l1(&l1);
    }
}

static void test_an_old_load_never_overwrites_a_newer_value(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct l1_load *old = begin(l1, "kol/a");
    by_key(l1);
    put(l1, "kol/a", 2, &spans);
    fill_tagged(old, 1, &spans, NULL);
    assert_found(l1, "kol/a", L1_HIT, 2);
    free_l1(&l1);
}

static void test_drops_fence_only_what_they_name(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct l1_load *a = begin(l1, "kol/a"), *b = begin(l1, "list/b");
    l1_drop_key(l1, STR("kol/ab"));
    l1_drop_prefix(l1, STR("li/"));
    l1_drop_tag(l1, STR("red"));
    fill_tagged(a, 1, &spans, "blue");
    l1_drop_prefix(l1, STR("kol/"));
    fill_tagged(b, 2, &spans, NULL);
    assert_missing(l1, "kol/a");
    assert_found(l1, "list/b", L1_HIT, 2);
    assert_int_equal(stats_of(l1).fenced, 0);
    free_l1(&l1);
}

static void test_a_tag_dropped_during_the_load_fences_it_at_its_end(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter before = new_waiter();
    struct l1_load *load;
    assert_int_equal(join(l1, "a", &before, &load), L1_LOAD);
    assert_int_equal(l1_drop_tag(l1, STR("red")), 0);
    fill_tagged(load, 1, &spans, "red");
    assert_int_equal(before.number, 1);
    assert_missing(l1, "a");
    assert_int_equal(stats_of(l1).fenced, 1);
    /* The drop is over: a load that begins now is kept. */
    fill_tagged(begin(l1, "a"), 2, &spans, "red");
    assert_found(l1, "a", L1_HIT, 2);
    free_l1(&l1);
}

static void test_who_asks_after_a_drop_of_a_tag_gets_another_load(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter before = new_waiter(), between = new_waiter(), after = new_waiter();
    const struct str tag = STR("red");
    struct l1_load *load, *other = NULL;
    assert_int_equal(join(l1, "a", &before, &load), L1_LOAD);
    l1_drop_tag(l1, tag);
    assert_int_equal(join(l1, "a", &between, &other), L1_WAIT);
    l1_drop_tag(l1, tag);
    assert_int_equal(join(l1, "a", &after, &other), L1_WAIT);
    struct l1_load *again = l1_fill(load, make_value(1, 10), &spans, &tag, 1);
    assert_non_null(again);
    assert_int_equal(before.number, 1);
    assert_int_equal(between.woken + after.woken, 0);
    assert_int_equal(l1_waiting(again), 2);
    assert_missing(l1, "a");
    struct test_waiter joins = new_waiter();
    assert_int_equal(join(l1, "a", &joins, &other), L1_WAIT);
    assert_null(other);
    assert_true(l1_leave(l1, &after.waiter));
    assert_null(l1_fill(again, make_value(2, 10), &spans, &tag, 1));
    assert_int_equal(between.number, 2);
    assert_int_equal(joins.number, 2);
    assert_int_equal(after.woken, 0);
    assert_found(l1, "a", L1_HIT, 2);
    assert_int_equal(stats_of(l1).loads, 2);
    free_l1(&l1);
}

static void test_another_load_takes_over_those_who_asked_too_late(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter before = new_waiter(), after = new_waiter(), third = new_waiter();
    const struct str tag = STR("red");
    struct l1_load *load, *other;
    join(l1, "kol/a", &before, &load);
    l1_drop_tag(l1, tag);
    assert_int_equal(join(l1, "kol/a", &after, &other), L1_WAIT);
    by_key(l1);
    assert_int_equal(join(l1, "kol/a", &third, &other), L1_LOAD);
    assert_null(l1_fill(load, make_value(1, 10), &spans, &tag, 1));
    assert_int_equal(before.number, 1);
    assert_int_equal(after.woken, 0);
    assert_int_equal(l1_waiting(other), 2);
    assert_null(l1_fill(other, make_value(2, 10), &spans, &tag, 1));
    assert_int_equal(after.number, 2);
    assert_int_equal(third.number, 2);
    assert_int_equal(stats_of(l1).loads, 2);
    free_l1(&l1);
}

static void test_a_drop_of_another_tag_costs_no_load(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter before = new_waiter(), after = new_waiter();
    struct l1_load *load;
    join(l1, "a", &before, &load);
    l1_drop_tag(l1, STR("blue"));
    join(l1, "a", &after, &load);
    fill_tagged(load, 1, &spans, "red");
    assert_int_equal(after.number, 1);
    assert_found(l1, "a", L1_HIT, 1);
    assert_int_equal(stats_of(l1).loads, 1);
    free_l1(&l1);
}

static void test_a_drop_during_a_refresh_takes_the_stale_entry_too(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter waiter = new_waiter();
    fill_tagged(begin(l1, "a"), 1, &spans, "red");
    fixture_now_us += 20 * SECOND;
    struct l1_load *load = begin(l1, "a"), *other;
    assert_int_equal(l1_drop_tag(l1, STR("red")), 1);
    assert_int_equal(join(l1, "a", &waiter, &other), L1_WAIT);
    l1_fail(load, &down);
    assert_int_equal(waiter.woken, 1);
    assert_int_equal(waiter.number, -1);
    free_l1(&l1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thousand_waiters_make_one_load),
        cmocka_unit_test(test_keys_are_loaded_apart),
        cmocka_unit_test(test_a_stale_entry_is_served_while_one_loads),
        cmocka_unit_test(test_an_early_refresh_loads_though_the_entry_is_fresh),
        cmocka_unit_test(test_a_failed_load_wakes_all_and_is_not_cached),
        cmocka_unit_test(test_a_failed_load_gives_the_stale_entry_where_there_is_one),
        cmocka_unit_test(test_a_second_after_a_failed_refresh_another_is_due),
        cmocka_unit_test(test_who_left_is_not_woken),
        cmocka_unit_test(test_the_load_goes_on_when_all_have_left),
        cmocka_unit_test(test_who_is_being_woken_cannot_leave),
        cmocka_unit_test(test_a_fenced_value_goes_to_those_who_waited_only),
        cmocka_unit_test(test_an_old_load_never_overwrites_a_newer_value),
        cmocka_unit_test(test_drops_fence_only_what_they_name),
        cmocka_unit_test(test_a_tag_dropped_during_the_load_fences_it_at_its_end),
        cmocka_unit_test(test_who_asks_after_a_drop_of_a_tag_gets_another_load),
        cmocka_unit_test(test_another_load_takes_over_those_who_asked_too_late),
        cmocka_unit_test(test_a_drop_of_another_tag_costs_no_load),
        cmocka_unit_test(test_a_drop_during_a_refresh_takes_the_stale_entry_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
