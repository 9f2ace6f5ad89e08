/* test_http_limits.c: rates (GCRA) and connections by address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/call.h"

#define SECOND INT64_C(1000000000)

static void test_a_burst_goes_through_and_then_one_an_interval(void **state)
{
    (void)state;
    struct http_rates *rates = http_rates_new();
    int64_t now = 1000 * SECOND;
    for (int i = 0; i < 10; i++) {
        struct http_rate rate = http_rates_take(rates, STR("me"), 60, 10, now);
        assert_int_equal(rate.retry_s, 0);
        assert_int_equal(rate.limit, 10);
        assert_int_equal(rate.remaining, 9 - i);
        assert_int_equal(rate.reset_s, i + 1);
    }
    struct http_rate refused = http_rates_take(rates, STR("me"), 60, 10, now);
    assert_int_equal(refused.retry_s, 1);
    assert_int_equal(refused.remaining, 0);
    assert_int_equal(http_rates_take(rates, STR("me"), 60, 10, now + SECOND - 1).retry_s, 1);
    assert_int_equal(http_rates_take(rates, STR("me"), 60, 10, now + SECOND).retry_s, 0);
    assert_int_equal(http_rates_take(rates, STR("me"), 60, 10, now + SECOND).retry_s, 1);
    assert_int_equal(http_rates_take(rates, STR("you"), 60, 10, now).retry_s, 0);
    /* Refused calls cost nothing: after a whole window all is there again. */
    assert_int_equal(http_rates_take(rates, STR("me"), 60, 10, now + 100 * SECOND).remaining, 9);
    http_rates_free(&rates);
}

static void test_a_look_takes_nothing(void **state)
{
    (void)state;
    struct http_rates *rates = http_rates_new();
    const int64_t now = 1000 * SECOND;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_rates_look(rates, STR("me"), 60, 1, now).retry_s, 0);
    }
    assert_int_equal(http_rates_take(rates, STR("me"), 60, 1, now).retry_s, 0);
    assert_int_equal(http_rates_look(rates, STR("me"), 60, 1, now).retry_s, 1);
    assert_int_equal(http_rates_look(rates, STR("me"), 60, 1, now + SECOND).retry_s, 0);
    assert_int_equal(http_rates_look(rates, STR("you"), 60, 1, now).retry_s, 0);
    http_rates_free(&rates);
}

static void test_over_a_long_time_no_more_than_the_rate_comes_through(void **state)
{
    (void)state;
    struct http_rates *rates = http_rates_new();
    int taken = 0;
    for (int64_t ms = 0; ms < 600 * 1000; ms += 7) {
        taken += http_rates_take(rates, STR("me"), 300, 20, ms * 1000000).retry_s == 0;
    }
    assert_in_range(taken, 10 * 300, 10 * 300 + 20);
    http_rates_free(&rates);
}

static void test_a_crowd_of_others_does_not_free_who_is_over(void **state)
{
    (void)state;
    struct http_rates *rates = http_rates_new();
    int64_t now = 1000 * SECOND;
    for (int i = 0; i < 100; i++) {
        http_rates_take(rates, STR("greedy"), 60, 100, now);
    }
    /* A million others, one call each: the table is bounded, and forgets the emptiest first. */
    char id[24];
    for (int i = 0; i < 1000000; i++) {
        int len = snprintf(id, sizeof id, "other-%d", i);
        http_rates_take(rates, (struct str){id, (size_t)len}, 60, 100, now);
    }
    assert_true(http_rates_take(rates, STR("greedy"), 60, 100, now).retry_s > 0);
    http_rates_free(&rates);
}

static struct http_address address_of(const char *text)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
        return http_address_of((struct sockaddr *)&four);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return http_address_of((struct sockaddr *)&six);
}

static void test_addresses_count_by_customer(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        bool same;
    } pairs[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"::ffff:192.0.2.1", "192.0.2.1", true},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"::1", "0.0.0.1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct http_address one = address_of(pairs[i].one), other = address_of(pairs[i].other);
        assert_int_equal(memcmp(&one, &other, sizeof one) == 0, pairs[i].same);
    }
}

static struct http_address numbered(uint32_t number)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = number * 2654435761u};
    return http_address_of((struct sockaddr *)&four);
}

static void test_a_crowd_counts_each_address_by_itself(void **state)
{
    (void)state;
    enum { ADDRESSES = 12000 };
    struct http_crowd *crowd = http_crowd_new();
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < ADDRESSES; i++) {
            struct http_address address = numbered(i);
            assert_true(http_crowd_enter(crowd, &address, 3));
        }
    }
    for (uint32_t i = 0; i < ADDRESSES; i += 7) {
        struct http_address address = numbered(i);
        assert_false(http_crowd_enter(crowd, &address, 3));
    }
    /* Those of every third leave wholly; the others are still found behind the holes. */
    for (uint32_t i = 0; i < ADDRESSES; i += 3) {
        struct http_address address = numbered(i);
        for (int k = 0; k < 3; k++) {
            http_crowd_leave(crowd, &address);
        }
    }
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        struct http_address address = numbered(i);
        assert_int_equal(http_crowd_enter(crowd, &address, 3), i % 3 == 0);
    }
    http_crowd_free(&crowd);
}

static void test_a_full_crowd_lets_no_new_address_in(void **state)
{
    (void)state;
    struct http_crowd *crowd = http_crowd_new();
    uint32_t in = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        struct http_address address = numbered(i);
        in += http_crowd_enter(crowd, &address, 1);
    }
    assert_in_range(in, 10000, 16384);
    http_crowd_free(&crowd);
}

struct taker {
    struct http_rates *rates;
    int taken;
};

static void *take_many(void *argument)
{
    struct taker *taker = argument;
    for (int i = 0; i < 20000; i++) {
        taker->taken += http_rates_take(taker->rates, STR("all"), 60, 5000, SECOND).retry_s == 0;
    }
    return NULL;
}

static void test_threads_together_take_no_more_than_the_burst(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct taker takers[THREADS] = {{0}};
    pthread_t threads[THREADS];
    struct http_rates *rates = http_rates_new();
    int taken = 0;
    for (int i = 0; i < THREADS; i++) {
        takers[i].rates = rates;
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        taken += takers[i].taken;
    }
    assert_int_equal(taken, 5000);
    http_rates_free(&rates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_goes_through_and_then_one_an_interval),
        cmocka_unit_test(test_a_look_takes_nothing),
        cmocka_unit_test(test_over_a_long_time_no_more_than_the_rate_comes_through),
        cmocka_unit_test(test_a_crowd_of_others_does_not_free_who_is_over),
        cmocka_unit_test(test_addresses_count_by_customer),
        cmocka_unit_test(test_a_crowd_counts_each_address_by_itself),
        cmocka_unit_test(test_a_full_crowd_lets_no_new_address_in),
        cmocka_unit_test(test_threads_together_take_no_more_than_the_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
