/*
 * test_http_spent.c: one limit for several servers: what each was let through is drained once, what
 * the shared bucket holds moves the own ones on, and together they keep the limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/call.h"

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)
#define NOW (1000 * SECOND)

static int told_of; /* how often the hook was called */

static void counted(void *user)
{
    ++*(int *)user;
}

static void counted_by_many(void *user)
{
    (void)user;
}

static struct http_rates *shared_rates(void)
{
    struct http_rates *rates = http_rates_new();
    told_of = 0;
    http_rates_share(rates, counted, &told_of);
    return rates;
}

/* 60 a minute: one a second; ten at once. */
static struct http_rate take(struct http_rates *rates, int64_t now_ns)
{
    return http_rates_take(rates, STR("me"), 60, 10, now_ns);
}

static struct http_spent drain(struct http_rates *rates, int64_t now_ns)
{
    struct http_spent spent[2];
    assert_int_equal(http_spent_drain(rates, spent, 2, now_ns), 1);
    return spent[0];
}

static void merge(struct http_rates *rates, struct http_spent *spent, bool told, int64_t held_ns)
{
    spent->told = told;
    spent->held_ns = held_ns;
    http_spent_merge(rates, spent, 1);
}

/* ---- one server ---- */

static void test_what_was_let_through_is_drained_once(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    struct http_spent none[1];
    for (int i = 0; i < 12; i++) { /* two of them are refused */
        take(rates, NOW + i * MS);
    }
    const struct http_spent spent = drain(rates, NOW + 100 * MS);
    assert_int_equal(spent.id_len, 2);
    assert_memory_equal(spent.id, "me", 2);
    assert_false(spent.is_address);
    assert_int_equal(spent.spent_ns, 10 * SECOND);
    assert_int_equal(spent.age_ns, 100 * MS);
    assert_int_equal(spent.floor_ns, 0);
    assert_int_equal(spent.most_ns, 100 * SECOND);
    assert_int_equal(http_spent_drain(rates, none, 1, NOW + 200 * MS), 0);
    take(rates, NOW + 300 * MS); /* refused: nothing was let through */
    assert_int_equal(http_spent_drain(rates, none, 1, NOW + 400 * MS), 0);
    http_rates_free(&rates);
}

static void test_a_limit_of_one_server_keeps_nothing(void **state)
{
    (void)state;
    struct http_rates *rates = http_rates_new();
    struct http_spent none[1];
    take(rates, NOW);
    assert_int_equal(http_spent_drain(rates, none, 1, NOW), 0);
    http_rates_free(&rates);
}

static void test_the_app_is_told_once_between_two_drains(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    struct http_spent spent[8];
    for (int i = 0; i < 5; i++) {
        take(rates, NOW);
        http_rates_take(rates, STR("you"), 60, 10, NOW);
    }
    assert_int_equal(told_of, 1);
    assert_int_equal(http_spent_drain(rates, spent, 8, NOW), 2);
    take(rates, NOW);
    take(rates, NOW);
    assert_int_equal(told_of, 2);
    http_rates_free(&rates);
}

static void test_an_address_is_told_by_its_bytes(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    char id[HTTP_ADDRESS_ID] = {0, 4};
    memcpy(id + 13, "\xc0\0\2\7", 4);
    http_rates_take(rates, (struct str){id, sizeof id}, 60, 10, NOW);
    const struct http_spent spent = drain(rates, NOW);
    assert_true(spent.is_address);
    assert_int_equal(spent.id_len, 16);
    assert_memory_equal(spent.id, id + 1, 16);
    http_rates_free(&rates);
}

/* Beside the bucket of calls; the longest id of a key has room. */
static void test_a_use_is_told_by_its_kind_and_whose_it_is(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    char id[64];
    memset(id, 'k', sizeof id);
    id[0] = 1;
    http_rates_take(rates, (struct str){id, sizeof id}, 60, 10, NOW);
    struct http_spent spent = drain(rates, NOW);
    assert_int_equal(spent.use, 1);
    assert_false(spent.is_address);
    assert_int_equal(spent.id_len, 63);
    assert_memory_equal(spent.id, id + 1, 63);
    assert_int_equal(http_rates_look(rates, (struct str){id + 1, 63}, 60, 1, NOW).retry_s, 0);
    http_rates_take(rates, (struct str){id + 1, 63}, 60, 10, NOW);
    spent = drain(rates, NOW);
    assert_int_equal(spent.use, 0);
    assert_int_equal(spent.id_len, 63);
    http_rates_free(&rates);
}

static void test_a_server_alone_is_not_changed_by_being_told_its_own(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates(), *own = http_rates_new();
    for (int64_t ms = 0; ms < 60000; ms += 130) {
        const struct http_rate shared = take(rates, NOW + ms * MS),
                               alone = take(own, NOW + ms * MS);
        assert_memory_equal(&shared, &alone, sizeof alone);
        struct http_spent spent[1];
        if (http_spent_drain(rates, spent, 1, NOW + (ms + 100) * MS)) {
            /* Nobody else was there: the shared bucket holds what was told it, since then. */
            const int64_t held_ns = (alone.reset_s - 1) * SECOND - 100 * MS;
            merge(rates, spent, true, held_ns);
        }
    }
    http_rates_free(&rates);
    http_rates_free(&own);
}

static void test_what_others_were_let_through_counts(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    assert_int_equal(take(rates, NOW).remaining, 9);
    struct http_spent spent = drain(rates, NOW);
    merge(rates, &spent, true, 5 * SECOND); /* its own and four more */
    assert_int_equal(take(rates, NOW).remaining, 4);
    spent = drain(rates, NOW);
    merge(rates, &spent, true, 13 * SECOND); /* more than there was room for */
    const struct http_rate rate = take(rates, NOW);
    assert_int_equal(rate.retry_s, 4);
    assert_int_equal(rate.remaining, 0);
    assert_int_equal(rate.reset_s, 13);
    assert_int_equal(take(rates, NOW + 4 * SECOND - 1).retry_s, 1);
    assert_int_equal(take(rates, NOW + 4 * SECOND).retry_s, 0);
    http_rates_free(&rates);
}

static void test_less_in_the_shared_bucket_takes_nothing_back(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    take(rates, NOW);
    take(rates, NOW);
    struct http_spent spent = drain(rates, NOW);
    merge(rates, &spent, true, 0); /* it lost what it held */
    assert_int_equal(take(rates, NOW).remaining, 7);
    http_rates_free(&rates);
}

static void test_what_was_let_through_meanwhile_comes_on_top(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    take(rates, NOW);
    struct http_spent spent = drain(rates, NOW);
    take(rates, NOW + MS); /* while the exchange is under way */
    merge(rates, &spent, true, 5 * SECOND);
    assert_int_equal(take(rates, NOW + MS).remaining, 3); /* 5, this one's two, and a moment */
    assert_int_equal(drain(rates, NOW + 2 * MS).spent_ns, 2 * SECOND);
    http_rates_free(&rates);
}

/* ---- exchanges that fail, or come late ---- */

static void test_what_was_not_told_is_told_as_the_bucket_stands(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    for (int i = 0; i < 4; i++) {
        take(rates, NOW);
    }
    struct http_spent spent = drain(rates, NOW);
    merge(rates, &spent, false, 77 * SECOND); /* nothing of this counts */
    assert_int_equal(take(rates, NOW + SECOND).remaining, 6);
    spent = drain(rates, NOW + SECOND);
    assert_int_equal(spent.spent_ns, 0);
    assert_int_equal(spent.floor_ns, 4 * SECOND);
    merge(rates, &spent, true, 4 * SECOND);
    take(rates, NOW + SECOND);
    assert_int_equal(drain(rates, NOW + SECOND).spent_ns, SECOND); /* as ever from here on */
    http_rates_free(&rates);
}

static void test_an_outage_is_told_as_the_bucket_stands(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    for (int64_t ms = 0; ms < 60000; ms += 100) {
        take(rates, NOW + ms * MS);
    }
    const struct http_spent spent = drain(rates, NOW + 60 * SECOND);
    assert_int_equal(spent.spent_ns, 0);
    assert_in_range(spent.floor_ns, 8 * SECOND, 10 * SECOND);
    http_rates_free(&rates);
}

static void test_a_clock_that_stands_back_is_now(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    take(rates, NOW);
    const struct http_spent spent = drain(rates, NOW - SECOND);
    assert_int_equal(spent.age_ns, 0);
    assert_int_equal(spent.spent_ns, SECOND);
    http_rates_free(&rates);
}

/* ---- edges ---- */

static void test_extreme_limits_do_not_overflow(void **state)
{
    (void)state;
    static const int64_t numbers[] = {1, 59, 60, 1000000000, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        for (size_t j = 0; j <= ARRAY_LEN(numbers); j++) {
            struct http_rates *rates = shared_rates();
            const int64_t burst = j < ARRAY_LEN(numbers) ? numbers[j] : 0;
            struct http_rate rate = {0};
            for (int n = 0; n < 100; n++) {
                rate = http_rates_take(rates, STR("me"), numbers[i], burst, NOW);
                assert_true(rate.limit > 0 && rate.remaining >= 0 && rate.remaining <= rate.limit &&
                            rate.retry_s >= 0);
            }
            struct http_spent spent = drain(rates, NOW);
            assert_true(spent.spent_ns > 0 && spent.most_ns > 0 && spent.spent_ns <= spent.most_ns);
            merge(rates, &spent, true, INT64_MAX); /* an answer that nobody gives */
            rate = http_rates_take(rates, STR("me"), numbers[i], burst, NOW);
            assert_true(rate.retry_s > 0 && rate.remaining == 0);
            merge(rates, &spent, true, INT64_MIN);
            http_rates_free(&rates);
        }
    }
}

static void test_a_forgotten_caller_is_passed_over(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    struct http_spent spent = {.who = 12345, .told = true, .held_ns = SECOND};
    http_spent_merge(rates, &spent, 1);
    take(rates, NOW);
    /* Longer ids than those of keys are limited here alone. */
    char name[80];
    memset(name, 'x', sizeof name);
    http_rates_take(rates, (struct str){name, sizeof name}, 60, 10, NOW);
    http_rates_take(rates, STR(""), 60, 10, NOW);
    assert_int_equal(drain(rates, NOW).id_len, 2);
    http_rates_free(&rates);
}

static void test_callers_beyond_the_list_are_told_of_later(void **state)
{
    (void)state;
    enum { CALLERS = 20000, PIECE = 100, LISTED = 64 * 64 };
    struct http_rates *rates = shared_rates();
    static int64_t seen[CALLERS];
    struct http_spent spent[PIECE];
    int64_t spent_ns = 0;
    char id[24];
    memset(seen, 0, sizeof seen);
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < CALLERS && round < 2; i++) {
            const int len = snprintf(id, sizeof id, "%d", i);
            http_rates_take(rates, (struct str){id, (size_t)len}, 60, 10, NOW);
        }
        size_t count, all = 0;
        while ((count = http_spent_drain(rates, spent, PIECE, NOW)) > 0) {
            for (size_t i = 0; i < count; i++) {
                spent[i].id[spent[i].id_len] = '\0';
                int caller = 0;
                assert_int_equal(sscanf(spent[i].id, "%d", &caller), 1);
                seen[caller] += spent[i].spent_ns;
                spent_ns += spent[i].spent_ns;
            }
            all += count;
        }
        assert_true(all <= LISTED && (round < 2 ? all > LISTED / 2 : all == 0));
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_true(seen[i] <= 2 * SECOND); /* nothing is told twice */
    }
    assert_true(spent_ns > LISTED * SECOND); /* those left out at first were told of in full */
    http_rates_free(&rates);
}

/* ---- threads ---- */

enum { TAKERS = 4, TAKES = 20000 };

struct taker {
    struct http_rates *rates;
    int64_t taken;
};

static void *take_many(void *user)
{
    struct taker *taker = user;
    char id[16];
    for (int i = 0; i < TAKES; i++) {
        const int len = snprintf(id, sizeof id, "%d", i % 500);
        const struct str who = {id, (size_t)len};
        taker->taken += http_rates_take(taker->rates, who, 60, 100, NOW).retry_s == 0;
    }
    return NULL;
}

static void test_all_that_threads_take_is_drained(void **state)
{
    (void)state;
    struct http_rates *rates = shared_rates();
    http_rates_share(rates, counted_by_many, NULL);
    struct taker takers[TAKERS];
    pthread_t threads[TAKERS];
    struct http_spent spent[64];
    int64_t taken = 0, drained_ns = 0;
    for (size_t i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.rates = rates};
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
    }
    for (int round = 0; round < 200; round++) {
        const size_t count = http_spent_drain(rates, spent, 64, NOW);
        for (size_t i = 0; i < count; i++) {
            drained_ns += spent[i].spent_ns;
            spent[i].told = true;
            spent[i].held_ns = spent[i].spent_ns;
        }
        http_spent_merge(rates, spent, count);
    }
    for (size_t i = 0; i < TAKERS; i++) {
        pthread_join(threads[i], NULL);
        taken += takers[i].taken;
    }
    for (size_t count; (count = http_spent_drain(rates, spent, 64, NOW)) > 0;) {
        for (size_t i = 0; i < count; i++) {
            drained_ns += spent[i].spent_ns;
        }
    }
    assert_int_equal(drained_ns, taken * SECOND);
    assert_int_equal(taken, 500 * 100);
    http_rates_free(&rates);
}

/* ---- several servers ---- */

enum { SERVERS = 3 };

/* The shared bucket, as every keeper of one does it (serve/limits.c, online/live_count.c). */
static int64_t tell(int64_t *due_ns, const struct http_spent *spent, int64_t now_ns)
{
    int64_t due = *due_ns > now_ns + spent->most_ns ? 0 : *due_ns;
    due = due > now_ns - spent->age_ns ? due : now_ns - spent->age_ns;
    due += spent->spent_ns;
    due = due > now_ns + spent->floor_ns ? due : now_ns + spent->floor_ns;
    due = due < now_ns + spent->most_ns ? due : now_ns + spent->most_ns;
    *due_ns = due;
    return due > now_ns ? due - now_ns : 0;
}

struct fleet {
    struct http_rates *servers[SERVERS];
    int64_t due_ns; /* the shared bucket */
    bool down;      /* it cannot be told */
    int64_t ms;
};

static struct fleet new_fleet(void)
{
    struct fleet fleet = {.ms = 0};
    for (size_t i = 0; i < SERVERS; i++) {
        fleet.servers[i] = shared_rates();
    }
    return fleet;
}

static void free_fleet(struct fleet *fleet)
{
    for (size_t i = 0; i < SERVERS; i++) {
        http_rates_free(&fleet->servers[i]);
    }
}

/* Each server is asked every 20 ms and tells every 100 ms, at times of its own, by a clock of its
 * own. 600 a minute, 20 at once. How many were let through. */
static int run(struct fleet *fleet, int64_t seconds)
{
    int taken = 0;
    for (const int64_t end = fleet->ms + seconds * 1000; fleet->ms < end; fleet->ms++) {
        for (int64_t i = 0; i < SERVERS; i++) {
            struct http_rates *rates = fleet->servers[i];
            const int64_t own_ns = (i + 1) * 5000 * SECOND + fleet->ms * MS;
            if (fleet->ms % 20 == i) {
                taken += http_rates_take(rates, STR("me"), 600, 20, own_ns).retry_s == 0;
            }
            struct http_spent spent;
            if (fleet->ms % 100 == 37 * i && !fleet->down &&
                http_spent_drain(rates, &spent, 1, own_ns)) {
                merge(rates, &spent, true, tell(&fleet->due_ns, &spent, fleet->ms * MS));
            }
        }
    }
    return taken;
}

static void test_together_they_keep_the_limit(void **state)
{
    (void)state;
    struct fleet fleet = new_fleet();
    /* Twenty at once, ten a second, and what comes in 100 ms to two others while all is open. */
    assert_in_range(run(&fleet, 60), 600, 20 + 600 + 2 * 5);
    assert_in_range(run(&fleet, 60), 590, 600 + 2 * 5);
    free_fleet(&fleet);
}

static void test_without_the_others_each_keeps_its_own_and_all_is_well_at_once_again(void **state)
{
    (void)state;
    struct fleet fleet = new_fleet();
    run(&fleet, 20);
    fleet.down = true;
    assert_in_range(run(&fleet, 60), SERVERS * 590, SERVERS * 620);
    fleet.down = false;
    /* What each let through in that minute is forgiven: nobody waits for it to be paid. */
    assert_in_range(run(&fleet, 2), 10, 40);
    assert_in_range(run(&fleet, 60), 590, 610);
    free_fleet(&fleet);
}

static void test_a_shared_bucket_that_is_lost_forgives_one_burst(void **state)
{
    (void)state;
    struct fleet fleet = new_fleet();
    run(&fleet, 20);
    fleet.due_ns = 0;
    assert_in_range(run(&fleet, 60), 590, 600 + 20 + 10);
    fleet.due_ns = INT64_MAX / 2; /* garbage, or a clock that was set back for years */
    assert_in_range(run(&fleet, 60), 590, 600 + 20 + 10);
    free_fleet(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_let_through_is_drained_once),
        cmocka_unit_test(test_a_limit_of_one_server_keeps_nothing),
        cmocka_unit_test(test_the_app_is_told_once_between_two_drains),
        cmocka_unit_test(test_an_address_is_told_by_its_bytes),
        cmocka_unit_test(test_a_use_is_told_by_its_kind_and_whose_it_is),
        cmocka_unit_test(test_a_server_alone_is_not_changed_by_being_told_its_own),
        cmocka_unit_test(test_what_others_were_let_through_counts),
        cmocka_unit_test(test_less_in_the_shared_bucket_takes_nothing_back),
        cmocka_unit_test(test_what_was_let_through_meanwhile_comes_on_top),
        cmocka_unit_test(test_what_was_not_told_is_told_as_the_bucket_stands),
        cmocka_unit_test(test_an_outage_is_told_as_the_bucket_stands),
        cmocka_unit_test(test_a_clock_that_stands_back_is_now),
        cmocka_unit_test(test_extreme_limits_do_not_overflow),
        cmocka_unit_test(test_a_forgotten_caller_is_passed_over),
        cmocka_unit_test(test_callers_beyond_the_list_are_told_of_later),
        cmocka_unit_test(test_all_that_threads_take_is_drained),
        cmocka_unit_test(test_together_they_keep_the_limit),
        cmocka_unit_test(test_without_the_others_each_keeps_its_own_and_all_is_well_at_once_again),
        cmocka_unit_test(test_a_shared_bucket_that_is_lost_forgives_one_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
