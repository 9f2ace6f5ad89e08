/* test_breaker.c: what fails time and again is left alone, and tried again after a rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "cache/breaker.h"

enum { FAILURES = 3, REST_US = 20000, REST_MAX_US = 50000 };

static int make(void **state)
{
    static struct breaker breaker;
    breaker_init(&breaker, FAILURES, REST_US, REST_MAX_US);
    *state = &breaker;
    return 0;
}

static int end(void **state)
{
    breaker_free(*state);
    return 0;
}

static void open_it(struct breaker *breaker)
{
    for (int i = 0; i < FAILURES; i++) {
        assert_int_equal(breaker_tell(breaker, false), i == FAILURES - 1);
    }
}

static void wait_for_trial(struct breaker *breaker)
{
    while (!breaker_trial(breaker)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void test_failures_in_a_row_open_it(void **state)
{
    struct breaker *breaker = *state;
    assert_true(breaker_closed(breaker));
    open_it(breaker);
    assert_false(breaker_closed(breaker));
    assert_int_equal(breaker_state(breaker), BREAKER_OPEN);
    assert_int_equal(breaker_opened(breaker), 1);
}

static void test_a_success_between_failures_begins_the_count_anew(void **state)
{
    struct breaker *breaker = *state;
    for (int i = 0; i < 10; i++) {
        assert_false(breaker_tell(breaker, false));
        assert_false(breaker_tell(breaker, false));
        breaker_tell(breaker, true);
    }
    assert_true(breaker_closed(breaker));
}

static void test_one_trial_at_a_time_after_the_rest(void **state)
{
    struct breaker *breaker = *state;
    open_it(breaker);
    assert_false(breaker_trial(breaker)); /* it rests */
    wait_for_trial(breaker);
    assert_int_equal(breaker_state(breaker), BREAKER_HALF_OPEN);
    assert_false(breaker_trial(breaker));
    breaker_tell(breaker, true);
    assert_true(breaker_closed(breaker));
}

static void test_rests_grow_with_failed_trials_up_to_their_bound(void **state)
{
    struct breaker *breaker = *state;
    open_it(breaker);
    const int64_t expected[] = {2 * REST_US, REST_MAX_US, REST_MAX_US};
    for (int i = 0; i < 3; i++) {
        wait_for_trial(breaker);
        assert_false(breaker_tell(breaker, false)); /* open it was before */
        assert_int_equal(breaker->rest_now_us, expected[i]);
    }
    wait_for_trial(breaker);
    breaker_tell(breaker, true);
    open_it(breaker);
    assert_int_equal(breaker->rest_now_us, REST_US);
    assert_int_equal(breaker_opened(breaker), 2);
}

static void test_late_words_of_requests_do_not_close_it(void **state)
{
    struct breaker *breaker = *state;
    open_it(breaker);
    breaker_tell(breaker, true); /* asked before it opened */
    assert_int_equal(breaker_state(breaker), BREAKER_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_failures_in_a_row_open_it, make, end),
        cmocka_unit_test_setup_teardown(test_a_success_between_failures_begins_the_count_anew, make,
                                        end),
        cmocka_unit_test_setup_teardown(test_one_trial_at_a_time_after_the_rest, make, end),
        cmocka_unit_test_setup_teardown(test_rests_grow_with_failed_trials_up_to_their_bound, make,
                                        end),
        cmocka_unit_test_setup_teardown(test_late_words_of_requests_do_not_close_it, make, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
