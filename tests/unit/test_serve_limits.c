/*
 * test_serve_limits.c: shared buckets in a real Redis: what is told is added, by the server's clock
 * alone, lives as long as it holds something, and garbage is healed.
 */
#include "redis_client_fixture.h"

#include "serve/keys.h"
#include "serve/limits.h"

/* ---- exchanges ---- */

#define S INT64_C(1000000)
#define KEY "ratelimit:key:ana"

static enum serve_told spend(const struct serve_spent *spent, int64_t *held_us)
{
    struct str why;
    redis_clear(pipe_);
    const size_t place = serve_put_spent(pipe_, STR(KEY), spent);
    run_pipe(pipe_);
    return serve_take_spent(pipe_, place, spent, held_us, &why);
}

/* What it holds after a spending of so many seconds, at most a thousand. */
static int64_t hold(int64_t seconds)
{
    int64_t held_us;
    const struct serve_spent spent = {.spent_us = seconds * S, .most_us = 1000 * S};
    assert_int_equal(spend(&spent, &held_us), SERVE_TOLD);
    return held_us;
}

/* The time that the exchanges before it took is not in it. */
#define assert_holds(held_us, whole_us)                                                            \
    assert_in_range(held_us, (whole_us)-20 * S < 0 ? 0 : (whole_us)-20 * S, whole_us)

static void test_the_key_is_that_of_the_table(void **state)
{
    (void)state;
    struct buf key = {0};
    serve_key_put(&key, SERVE_KEY_RATE_LIMIT, (const struct str[]){STR("key"), STR("ana")});
    assert_string_equal(key.ptr, KEY);
    buf_free(&key);
}

static void test_what_is_told_is_added_and_leaks(void **state)
{
    (void)state;
    assert_int_equal(hold(100), 100 * S);
    assert_holds(hold(50), 150 * S);
    nap();
    assert_true(hold(0) < 150 * S);
    assert_holds(hold(0), 150 * S);
}

static void test_it_lives_as_long_as_it_holds_something(void **state)
{
    (void)state;
    hold(100);
    const int64_t ttl_ms = tell("PTTL " KEY)->number;
    assert_in_range(ttl_ms, 80 * 1000, 100 * 1000);
    struct str digits = tell("GET " KEY)->text;
    int64_t due_us = 0;
    assert_int_equal(digits.len, 16);
    assert_true(str_to_int64(digits, &due_us));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    assert_in_range(due_us - now.tv_sec * S, 79 * S, 101 * S);
}

static void test_an_empty_bucket_needs_no_key(void **state)
{
    (void)state;
    assert_int_equal(hold(0), 0);
    assert_int_equal(tell("EXISTS " KEY)->number, 0);
}

static void test_what_was_let_through_a_moment_ago_has_leaked_since(void **state)
{
    (void)state;
    int64_t held_us;
    const struct serve_spent early = {.age_us = 30 * S, .spent_us = 100 * S, .most_us = 1000 * S};
    assert_int_equal(spend(&early, &held_us), SERVE_TOLD);
    assert_int_equal(held_us, 70 * S);
    /* The bucket was not empty then: all of it comes on top. */
    assert_int_equal(spend(&early, &held_us), SERVE_TOLD);
    assert_holds(held_us, 170 * S);
    const struct serve_spent paid = {.age_us = 30 * S, .spent_us = 10 * S, .most_us = 1000 * S};
    tell("DEL " KEY);
    assert_int_equal(spend(&paid, &held_us), SERVE_TOLD);
    assert_int_equal(held_us, 0);
}

static void test_floor_and_most_bound_it(void **state)
{
    (void)state;
    int64_t held_us;
    const struct serve_spent floor = {.floor_us = 40 * S, .most_us = 1000 * S};
    assert_int_equal(spend(&floor, &held_us), SERVE_TOLD);
    assert_int_equal(held_us, 40 * S);
    assert_holds(hold(100), 140 * S);
    assert_int_equal(spend(&floor, &held_us), SERVE_TOLD); /* holds more already */
    assert_holds(held_us, 140 * S);
    assert_int_equal(hold(5000), 1000 * S);
}

static void test_the_longest_lengths_are_exact(void **state)
{
    (void)state;
    const int64_t years = INT64_C(40) * 365 * 86400 * S;
    int64_t held_us;
    const struct serve_spent spent = {.spent_us = years + 1, .most_us = years + 7};
    assert_int_equal(spend(&spent, &held_us), SERVE_TOLD);
    assert_int_equal(held_us, years + 1);
    assert_int_equal(spend(&spent, &held_us), SERVE_TOLD);
    assert_int_equal(held_us, years + 7);
}

/* ---- garbage, refusals ---- */

static void test_garbage_is_an_empty_bucket_and_healed(void **state)
{
    (void)state;
    static const char *const garbage[] = {
        "SET " KEY " garbage",
        "SET " KEY " -5",
        "SET " KEY " 1e18",
        "SET " KEY " 0x10",
        "SET " KEY " nan",
        "SET " KEY " 1700000000.5",
        "SET " KEY " 99999999999999999999999999",
        "SET " KEY " 9999999999999999", /* a time that no bucket has */
        "RPUSH " KEY " 5",
        "HSET " KEY " a 5",
        "ZADD " KEY " 5 a",
        "SETBIT " KEY " 80000 1",
    };
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        int64_t held_us;
        const struct serve_spent spent = {.spent_us = 100 * S, .most_us = 1000 * S};
        tell("DEL " KEY);
        assert_int_not_equal(tell(garbage[i])->kind, REDIS_ERROR);
        assert_int_equal(spend(&spent, &held_us), SERVE_TOLD_ANEW);
        assert_int_equal(held_us, 100 * S);
        assert_in_range(tell("PTTL " KEY)->number, 1, 100 * 1000);
        assert_holds(hold(0), 100 * S);
    }
    tell("SET " KEY " garbage");
    int64_t held_us;
    const struct serve_spent nothing = {.most_us = 1000 * S};
    assert_int_equal(spend(&nothing, &held_us), SERVE_TOLD_ANEW);
    assert_int_equal(tell("EXISTS " KEY)->number, 0);
}

static void test_a_full_server_is_told_nothing(void **state)
{
    (void)state;
    int64_t held_us;
    const struct serve_spent spent = {.spent_us = 100 * S, .most_us = 1000 * S};
    assert_int_not_equal(tell("CONFIG SET maxmemory 1")->kind, REDIS_ERROR);
    assert_int_equal(spend(&spent, &held_us), SERVE_NOT_TOLD);
    assert_int_equal(held_us, 0);
}

/* Answers that the script does not give. */
static void test_an_answer_of_another_form_is_none(void **state)
{
    (void)state;
    static const struct redis_script answers[] = {
        {"return 5"},         {"return {}"},     {"return {5}"},   {"return {5,0,0}"},
        {"return {'5','0'}"}, {"return {-1,0}"}, {"return false"}, {"return {101,0}"},
        {"return {{5,0},0}"}, {"return 'text'"},
    };
    const struct serve_spent spent = {.most_us = 100};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        const struct str key = STR(KEY);
        struct str why;
        int64_t held_us;
        redis_clear(pipe_);
        redis_add_script(pipe_, &answers[i], 1, 1, &key);
        run_pipe(pipe_);
        assert_int_equal(serve_take_spent(pipe_, 0, &spent, &held_us, &why), SERVE_NOT_TOLD);
        assert_int_equal(held_us, 0);
        assert_true(why.len > 0);
    }
}

int main(void)
{
    if (!server_is_installed()) {
        print_message("1..0 # SKIP no redis-server\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_key_is_that_of_the_table),
        cmocka_unit_test_setup(test_what_is_told_is_added_and_leaks, clear),
        cmocka_unit_test_setup(test_it_lives_as_long_as_it_holds_something, clear),
        cmocka_unit_test_setup(test_an_empty_bucket_needs_no_key, clear),
        cmocka_unit_test_setup(test_what_was_let_through_a_moment_ago_has_leaked_since, clear),
        cmocka_unit_test_setup(test_floor_and_most_bound_it, clear),
        cmocka_unit_test_setup(test_the_longest_lengths_are_exact, clear),
        cmocka_unit_test_setup(test_garbage_is_an_empty_bucket_and_healed, clear),
        cmocka_unit_test_setup(test_a_full_server_is_told_nothing, clear),
        cmocka_unit_test_setup(test_an_answer_of_another_form_is_none, clear),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
