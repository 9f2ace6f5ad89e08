/*
 * test_l1_outdated.c: what was outdated elsewhere, and values that were made without asking all
 * that should have been asked: nobody is taken back behind what the cache gave before.
 */
#include "l1_fixture.h"

#include "base/random.h"

static const struct kol_error down = {.status = KOL_IO, .message = "the origin is down"};

/* Fresh for 10 s (or 9), stale for 100, and 50 after an error. */
static const struct l1_life spans = {10 * SECOND, 100 * SECOND, 50 * SECOND};

enum { TENTH = CLOCK_US_PER_SECOND / 10 };

static struct l1_value weak_value(int number)
{
    struct l1_value value = make_value(number, 100);
    value.weak = true;
    return value;
}

static void fill_weak(struct l1_load *load, int number, const char *tag)
{
    const struct str text = str_of(tag);
    assert_null(l1_fill(load, weak_value(number), &spans, &text, tag ? 1 : 0));
}

static void fill_stamped(struct l1_load *load, int number, bool weak, const struct l1_stamp *stamps,
                         size_t count)
{
    struct l1_value value = make_value(number, 100);
    const struct str tag = STR("red");
    value.weak = weak;
    value.stamps = stamps;
    value.stamp_count = count;
    assert_null(l1_fill(load, value, &spans, &tag, 1));
}

/* What is served after an error; -1: nothing. */
static int after_error(struct l1 *l1, const char *key)
{
    struct l1_entry *entry = l1_get_after_error(l1, str_of(key));
    const int number = entry ? number_of(entry) : -1;
    if (entry) {
        l1_release(entry);
    }
    return number;
}

/* A cache with `key` filled, and outdated. */
static struct l1 *new_outdated(void)
{
    struct l1 *l1 = new_l1(1 << 20);
    fill_tagged(begin(l1, "a"), 1, &spans, "red");
    assert_int_equal(l1_outdate_tag(l1, STR("red")), 1);
    return l1;
}

/* ---- outdated ---- */

static void test_what_is_outdated_is_served_only_after_an_error(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct test_waiter waiter = new_waiter();
    struct l1_load *load;
    struct l1_entry *entry;
    fill_tagged(begin(l1, "a"), 1, &spans, "red");
    assert_int_equal(l1_get(l1, STR("a"), &entry), L1_HIT);
    fixture_now_us += SECOND;
    assert_int_equal(l1_outdate_tag(l1, STR("blue")), 0);
    assert_found(l1, "a", L1_HIT, 1);
    assert_int_equal(l1_outdate_tag(l1, STR("red")), 1);
    assert_int_equal(l1_fresh_until_us(entry), fixture_now_us); /* who holds it can tell */
    l1_release(entry);
    assert_missing(l1, "a");
    assert_int_equal(after_error(l1, "a"), 1);
    assert_int_equal(join(l1, "a", &waiter, &load), L1_LOAD);
    l1_fail(load, &down);
    assert_int_equal(waiter.number, 1);
    assert_true(waiter.stale);
    /* For a tenth of a second nobody asks again. */
    fixture_now_us += TENTH - 1;
    assert_found(l1, "a", L1_STALE, 1);
    fixture_now_us += 1;
    assert_missing(l1, "a");
    fill_tagged(begin(l1, "a"), 2, &spans, "red");
    assert_found(l1, "a", L1_HIT, 2);
    assert_int_equal(atomic_load(&fixture_alive), 1);
    free_l1(&l1);
}

static void test_its_last_span_begins_when_it_is_outdated(void **state)
{
    (void)state;
    struct l1 *l1 = new_outdated();
    fixture_now_us += 50 * SECOND - 1;
    assert_int_equal(after_error(l1, "a"), 1);
    assert_int_equal(l1_outdate_tag(l1, STR("red")), 0); /* once */
    fixture_now_us += 1;
    assert_int_equal(after_error(l1, "a"), -1);
    assert_int_equal(stats_of(l1).entries, 0);
    /* It never becomes longer by that. */
    fill_tagged(begin(l1, "a"), 2, &(struct l1_life){1, 0, 50 * SECOND}, "red");
    fixture_now_us += 40 * SECOND;
    assert_int_equal(l1_outdate_tag(l1, STR("red")), 1);
    assert_int_equal(after_error(l1, "a"), 2);
    fixture_now_us += 10 * SECOND + 1;
    assert_int_equal(after_error(l1, "a"), -1);
    /* Without a last span it goes at once. */
    fill_tagged(begin(l1, "a"), 3, &long_life, "red");
    assert_int_equal(l1_outdate_tag(l1, STR("red")), 1);
    assert_int_equal(after_error(l1, "a"), -1);
    assert_int_equal(stats_of(l1).entries, 0);
    free_l1(&l1);
}

static void test_outdated_and_gone_are_counted_apart(void **state)
{
    (void)state;
    struct l1 *l1 = new_outdated();
    assert_int_equal(stats_of(l1).outdated, 1);
    assert_int_equal(stats_of(l1).dropped, 0);
    assert_int_equal(stats_of(l1).entries, 1);
    assert_int_equal(l1_drop_all(l1), 1);
    assert_int_equal(stats_of(l1).dropped, 1);
    fill_tagged(begin(l1, "a"), 2, &spans, "red");
    l1_outdate_tag(l1, STR("red"));
    fixture_now_us += 50 * SECOND;
    assert_missing(l1, "a"); /* past everything */
    assert_int_equal(stats_of(l1).entries, 0);
    assert_int_equal(stats_of(l1).outdated, 2);
    assert_int_equal(stats_of(l1).dropped, 1);
    assert_int_equal(stats_of(l1).expired, 1);
    free_l1(&l1);
}

static void test_a_drop_takes_out_what_is_outdated_too(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct l1 *l1 = new_outdated();
        struct test_waiter waiter = new_waiter();
        struct l1_load *load;
        assert_int_equal(way == 0   ? l1_drop_key(l1, STR("a"))
                         : way == 1 ? l1_drop_tag(l1, STR("red"))
                         : way == 2 ? l1_drop_prefix(l1, STR("a"))
                                    : l1_drop_all(l1),
                         1);
        assert_int_equal(after_error(l1, "a"), -1);
        assert_int_equal(stats_of(l1).bytes, 0);
        assert_int_equal(join(l1, "a", &waiter, &load), L1_LOAD);
        fill_weak(load, 0, NULL);
        assert_int_equal(waiter.number, 0);
        assert_false(waiter.stale);
        free_l1(&l1);
    }
}

static void test_many_are_outdated_at_once(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct l1 *l1 = new_l1(64 << 20);
    char key[32], tag[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "%d", i);
        snprintf(tag, sizeof tag, "one %d", i);
        const struct str tags[] = {STR("redis"), str_of(tag), STR("redis")};
        assert_null(
            l1_fill(begin(l1, key), make_value(i, 10), i % 7 ? &spans : &long_life, tags, 3));
    }
    assert_int_equal(l1_outdate_tag(l1, STR("one 77")), 1);
    assert_int_equal(l1_outdate_tag(l1, STR("redis")), MANY - 1);
    /* Every seventh has no last span. */
    assert_int_equal(stats_of(l1).entries, MANY - (MANY + 6) / 7);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_missing(l1, key);
    }
    assert_int_equal(l1_drop_tag(l1, STR("redis")), MANY - (MANY + 6) / 7);
    assert_int_equal(stats_of(l1).entries, 0);
    free_l1(&l1);
}

/* ---- loads under way ---- */

static void test_what_is_outdated_while_it_is_loaded_is_not_fresh(void **state)
{
    (void)state;
    struct l1 *l1 = new_outdated();
    struct test_waiter before = new_waiter(), after = new_waiter();
    const struct str red = STR("red");
    struct l1_load *load, *none;
    assert_int_equal(join(l1, "a", &before, &load), L1_LOAD);
    assert_int_equal(l1_outdate_tag(l1, red), 0);
    assert_int_equal(join(l1, "a", &after, &none), L1_WAIT);
    load = l1_fill(load, make_value(2, 10), &spans, &red, 1);
    assert_non_null(load);
    assert_int_equal(before.number, 2);
    assert_int_equal(after.woken, 0);
    assert_int_equal(stats_of(l1).fenced, 1);
    /* Who was given it does not go back to 1, let alone to 0. */
    fill_weak(load, 0, "red");
    assert_int_equal(after.number, 2);
    assert_true(after.stale);
    assert_int_equal(after.status, KOL_OK);
    free_l1(&l1);
}

static void test_a_drop_wins_over_a_load_that_was_outdated_too(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    struct l1_load *load = begin(l1, "a");
    l1_outdate_tag(l1, STR("red"));
    l1_drop_tag(l1, STR("red"));
    fill_tagged(load, 1, &spans, "red");
    assert_int_equal(stats_of(l1).entries, 0);
    load = begin(l1, "a");
    l1_outdate_tag(l1, STR("red"));
    l1_drop_key(l1, STR("a"));
    fill_tagged(load, 1, &spans, "red");
    assert_int_equal(stats_of(l1).entries, 0);
    free_l1(&l1);
}

/* ---- weak values ---- */

static void test_a_weak_value_does_not_take_the_place_of_another(void **state)
{
    (void)state;
    struct l1 *l1 = new_outdated();
    struct test_waiter waiter = new_waiter();
    struct l1_load *load;
    assert_int_equal(join(l1, "a", &waiter, &load), L1_LOAD);
    fill_weak(load, 0, "red");
    assert_int_equal(waiter.number, 1);
    assert_true(waiter.stale);
    assert_int_equal(waiter.status, KOL_OK);
    assert_int_equal(stats_of(l1).weak, 1);
    assert_int_equal(atomic_load(&fixture_alive), 1);
    assert_found(l1, "a", L1_STALE, 1);
    fixture_now_us += TENTH;
    assert_missing(l1, "a");
    /* Nor of one that is only stale, which then rests as after an error. */
    fill_tagged(begin(l1, "a"), 2, &spans, "red");
    fixture_now_us += 20 * SECOND;
    assert_found(l1, "a", L1_REFRESH, 2);
    fill_weak(begin(l1, "a"), 0, "red");
    assert_found(l1, "a", L1_STALE, 2);
    fixture_now_us += SECOND;
    assert_found(l1, "a", L1_REFRESH, 2);
    /* Past everything the weak value is what there is. */
    fixture_now_us += 200 * SECOND;
    fill_weak(begin(l1, "a"), 0, "red");
    assert_found(l1, "a", L1_HIT, 0);
    free_l1(&l1);
}

static void test_a_weak_value_makes_way_for_any_other(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    fill_weak(begin(l1, "a"), 1, "red");
    assert_found(l1, "a", L1_HIT, 1);
    l1_outdate_tag(l1, STR("red"));
    assert_missing(l1, "a");
    fill_weak(begin(l1, "a"), 2, "red");
    assert_found(l1, "a", L1_HIT, 2);
    l1_outdate_tag(l1, STR("red"));
    fill_tagged(begin(l1, "a"), 3, &spans, "red");
    l1_outdate_tag(l1, STR("red"));
    fill_weak(begin(l1, "a"), 4, "red");
    assert_int_equal(after_error(l1, "a"), 3);
    free_l1(&l1);
}

static void test_stamps_tell_whether_a_weak_value_is_older(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    const struct l1_stamp both[] = {{7, 100}, {8, 200}}, newer[] = {{8, 200}, {9, 1}, {7, 101}};
    const struct l1_stamp older[] = {{7, 300}, {8, 199}}, lacking[] = {{8, 300}};
    fill_stamped(begin(l1, "a"), 1, false, both, 2);
    l1_outdate_tag(l1, STR("red"));
    fill_stamped(begin(l1, "a"), 2, true, older, 2);
    assert_int_equal(after_error(l1, "a"), 1);
    fixture_now_us += TENTH;
    fill_stamped(begin(l1, "a"), 3, true, lacking, 1);
    assert_int_equal(after_error(l1, "a"), 1);
    fixture_now_us += TENTH;
    fill_stamped(begin(l1, "a"), 4, true, newer, 3);
    assert_found(l1, "a", L1_HIT, 4);
    /* A weak value is measured by its stamps, too; a strong one by nothing. */
    l1_outdate_tag(l1, STR("red"));
    fill_stamped(begin(l1, "a"), 5, true, both, 2);
    assert_int_equal(after_error(l1, "a"), 4);
    fixture_now_us += TENTH;
    fill_stamped(begin(l1, "a"), 6, false, both, 2);
    assert_found(l1, "a", L1_HIT, 6);
    free_l1(&l1);
}

/* ---- all of it, by chance ---- */

/* A load under way. It read what it brings when it began; weak ones know nothing of changes. */
struct running {
    struct l1_load *load;
    struct test_waiter waiter;
    int version, asked; /* asked: what was served before its waiter came */
};

static void end_load(struct running *running, struct random_stream *chance)
{
    const struct str red = STR("red");
    const uint64_t how = random_below(chance, 4);
    if (how == 0) {
        l1_fail(running->load, &down);
        running->load = NULL;
    } else {
        struct l1_value value = how == 1 ? weak_value(0) : make_value(running->version, 100);
        running->load = l1_fill(running->load, value, &spans, &red, 1);
    }
}

static void test_nobody_is_ever_taken_back(void **state)
{
    (void)state;
    enum { STEPS = 100000 };
    struct l1 *l1 = new_l1(1 << 20);
    struct random_stream chance;
    struct running running = {0};
    int version = 1, served = 0, number, outdated = 0, stale = 0;
    random_seed(&chance, (const uint64_t[]){11}, 1);
    for (int step = 0; step < STEPS; step++) {
        const uint64_t what = random_below(&chance, 10);
        fixture_now_us += (int64_t)random_below(&chance, SECOND);
        if (what == 0) {
            version++;
            outdated += (int)l1_outdate_tag(l1, STR("red"));
        } else if (what < 5) {
            stale += look(l1, "a", &number) == L1_STALE;
            assert_true(number == -1 || number >= served);
            served = number > served ? number : served;
        } else if (!running.load) {
            running = (struct running){.waiter = new_waiter(), .version = version, .asked = served};
            if (join(l1, "a", &running.waiter, &running.load) == L1_LOAD && what < 7) {
                end_load(&running, &chance);
            }
        } else {
            end_load(&running, &chance);
            running.version = version; /* of the one that follows */
        }
        if (running.waiter.woken && running.waiter.number >= 0) {
            assert_true(running.waiter.number >= running.asked);
            served = running.waiter.number > served ? running.waiter.number : served;
            running.waiter.number = -1;
        }
    }
    assert_true(outdated > 1000 && stale > 100 && served > 1000);
    if (running.load) {
        l1_fail(running.load, &down);
    }
    free_l1(&l1);
}

/* What is newer than an entry, and not kept, takes it along: it must not come back later. */
static void test_what_is_not_kept_takes_the_older_one_along(void **state)
{
    (void)state;
    static const struct l1_life none = {0};
    struct l1 *l1 = new_outdated();
    fill_tagged(begin(l1, "a"), 2, &none, "red");
    assert_int_equal(after_error(l1, "a"), -1);
    free_l1(&l1);
    l1 = new_outdated();
    struct l1_value weak = weak_value(2);
    assert_null(l1_fill(begin(l1, "a"), weak, &none, NULL, 0));
    assert_int_equal(after_error(l1, "a"), 1); /* a weak one is not known to be newer */
    free_l1(&l1);
}

static void assert_dropped(struct l1 *l1, uint64_t since, const char *tag, bool dropped)
{
    const struct str text = str_of(tag);
    assert_int_equal(l1_dropped_since(l1, since, &text, 1), dropped);
}

static void test_drops_are_seen_by_who_read_ahead(void **state)
{
    (void)state;
    struct l1 *l1 = new_l1(1 << 20);
    uint64_t since = l1_drops(l1);
    assert_dropped(l1, since, "red", false);
    l1_outdate_tag(l1, STR("red")); /* that nothing carries yet */
    assert_dropped(l1, since, "red", true);
    assert_dropped(l1, since, "blue", false);
    since = l1_drops(l1);
    assert_dropped(l1, since, "red", false);
    l1_drop_tag(l1, STR("blue"));
    assert_dropped(l1, since, "blue", true);
    assert_dropped(l1, since, "red", false);
    since = l1_drops(l1);
    l1_drop_key(l1, STR("a"));
    assert_dropped(l1, since, "red", true); /* nobody says what it carries */
    since = l1_drops(l1);
    l1_drop_all(l1);
    assert_dropped(l1, since, "red", true);
    free_l1(&l1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_outdated_is_served_only_after_an_error),
        cmocka_unit_test(test_its_last_span_begins_when_it_is_outdated),
        cmocka_unit_test(test_outdated_and_gone_are_counted_apart),
        cmocka_unit_test(test_a_drop_takes_out_what_is_outdated_too),
        cmocka_unit_test(test_many_are_outdated_at_once),
        cmocka_unit_test(test_what_is_outdated_while_it_is_loaded_is_not_fresh),
        cmocka_unit_test(test_a_drop_wins_over_a_load_that_was_outdated_too),
        cmocka_unit_test(test_a_weak_value_does_not_take_the_place_of_another),
        cmocka_unit_test(test_a_weak_value_makes_way_for_any_other),
        cmocka_unit_test(test_stamps_tell_whether_a_weak_value_is_older),
        cmocka_unit_test(test_what_is_not_kept_takes_the_older_one_along),
        cmocka_unit_test(test_drops_are_seen_by_who_read_ahead),
        cmocka_unit_test(test_nobody_is_ever_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
