/* test_features.c: the features of trust and success, and the logarithm that they use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "score/features.h"
#include "score/log.h"
#include "shared_models.h"

static uint64_t state_of_random = 88172645463325252u;

static uint64_t random_bits(void)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return state_of_random;
}

/* Counts of every size, edges, and what is no count at all. */
static double random_input(void)
{
    static const double edges[] = {
        0,   -0.0, -1,    NAN, INFINITY, -INFINITY, 1,      0x1p63, DBL_MAX, 1e-310,
        0.5, 1000, 10000, 365, -1e-310,  -DBL_MAX,  0x1p53, 20,     0.01,    999.99999999999989};
    switch (random_bits() % 4) {
    case 0: return edges[random_bits() % ARRAY_LEN(edges)];
    case 1: return (double)(random_bits() >> random_bits() % 64);
    case 2: return (double)(random_bits() % 2);
    default: return (double)(random_bits() % 100000);
    }
}

/* ---- the logarithm ---- */

static void assert_log_near(double x)
{
    const long double exact = log1pl((long double)x);
    int exponent;
    (void)frexp((double)exact, &exponent);
    const long double ulp = ldexpl(1, exponent - DBL_MANT_DIG);
    const long double error = fabsl((long double)log_1p(x) - exact);
    if (exact == 0 ? log_1p(x) != 0 : error > ulp) {
        fail_msg("log_1p(%.17g) is %.17g, off by %Lg ulp", x, log_1p(x), error / ulp);
    }
}

static void test_logarithm_is_within_one_ulp(void **state)
{
    (void)state;
    static const double edges[] = {
        0,      1e-320, 1e-300, 1e-17, 0x1p-53,    0x1p-52, 0.41421356237309503,
        0.5,    1,      2,      1e15,  0x1p53 - 1, 0x1p53,  0x1p53 + 2,
        0x1p63, 1e300,  DBL_MAX};
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        assert_log_near(edges[i]);
        assert_log_near(nextafter(edges[i], INFINITY) <= DBL_MAX ? nextafter(edges[i], INFINITY)
                                                                 : 0);
    }
    for (int i = 0; i < 100000; i++) {
        assert_log_near(i);
        assert_log_near((double)(random_bits() >> random_bits() % 64));
        assert_log_near(ldexp((double)(random_bits() >> 11), -(int)(random_bits() % 1100)));
    }
    assert_true(isnan(log_1p(NAN)));
}

/* ---- the expected file ---- */

static double cell(struct str text)
{
    double value;
    if (!text.len) {
        return NAN;
    }
    assert_true(str_to_double(text, &value));
    return value;
}

static bool is_log(size_t feature)
{
    return feature <= TRUST_LOG_ACCOUNT_AGE || feature == TRUST_VERIFIED_FOLLOWERS ||
           feature == TRUST_AGE_ACTIVITY;
}

static void assert_feature(size_t feature, double got, double expected, int line)
{
    const double slack = is_log(feature) ? 1e-12 * fabs(expected) : 0;
    if (isnan(expected) ? !isnan(got) : !(fabs(got - expected) <= slack)) {
        fail_msg("line %d: %s is %.17g, expected %.17g", line, trust_feature_names[feature], got,
                 expected);
    }
}

static void check_expected_row(struct str row, int line)
{
    double given[TRUST_INPUTS], features[TRUST_FEATURES];
    struct trust_inputs inputs;
    for (size_t i = 0; i < TRUST_INPUTS; i++) {
        given[i] = cell(str_cut(&row, ','));
    }
    memcpy(&inputs, given, sizeof inputs);
    trust_compute_features(&inputs, 1, features);
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        assert_feature(i, features[i], cell(str_cut(&row, ',')), line);
    }
}

static void test_features_are_those_of_the_reference_file(void **state)
{
    (void)state;
    char *path = shared_model("trust_features_expected.csv");
    if (!path) {
        skip();
    }
    struct buf text = {0};
    assert_int_equal(file_read(path, 1 << 20, &text, NULL), KOL_OK);
    struct str rest = buf_str(&text), head = str_trim(str_cut(&rest, '\n'));
    for (size_t i = 0; i < TRUST_INPUTS; i++) {
        assert_true(str_is(str_cut(&head, ','), trust_input_names[i]) || i == 4);
    }
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        assert_true(str_is(str_cut(&head, ','), trust_feature_names[i]));
    }
    int line = 1;
    while (rest.len) {
        check_expected_row(str_trim(str_cut(&rest, '\n')), ++line);
    }
    assert_true(line > 20);
    buf_free(&text);
    free(path);
}

/* ---- trust ---- */

static struct trust_inputs nothing(void)
{
    struct trust_inputs inputs;
    for (size_t i = 0; i < TRUST_INPUTS; i++) {
        ((double *)&inputs)[i] = NAN;
    }
    return inputs;
}

static struct trust_inputs ordinary(void)
{
    return (struct trust_inputs){50000, 500, 100, 25000, 365, 50, 1, 0, 1, 0, 0, 0};
}

static double feature_of(struct trust_inputs inputs, enum trust_feature feature)
{
    double features[TRUST_FEATURES];
    trust_compute_features(&inputs, 1, features);
    return features[feature];
}

static void test_posts_a_day_rounds_ties_to_even(void **state)
{
    (void)state;
    static const struct {
        double posts, age, expected;
    } cases[] = {
        {1, 800, 0},    /* 0.125 hundredths: down */
        {1, 200, 0},    /* 0.5: a tie, to 0 */
        {3, 200, 0.02}, /* 1.5: a tie, to 2 */
        {5, 200, 0.02}, /* 2.5: a tie, to 2 */
        {100, 0, 0},    /* no age yet */
        {5000, 1, 50},  {50, 1, 50},      {49.99, 1, 49.99},
        {0, 100, 0},    {DBL_MAX, 1, 50}, /* 100 N is an infinity */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trust_inputs inputs = ordinary();
        inputs.post_count = cases[i].posts;
        inputs.account_age = cases[i].age;
        const double got = feature_of(inputs, TRUST_POSTS_PER_DAY);
        if (got != cases[i].expected) {
            fail_msg("%g posts in %g days: %.17g", cases[i].posts, cases[i].age, got);
        }
    }
}

static void test_tiers_and_flags_at_their_bounds(void **state)
{
    (void)state;
    static const struct {
        size_t input; /* number of the one that is set */
        double value;
        enum trust_feature feature;
        double expected;
    } cases[] = {
        {0, 999, TRUST_FOLLOWERS_TIER, 0},
        {0, 999.99999999999989, TRUST_FOLLOWERS_TIER, 0},
        {0, 1000, TRUST_FOLLOWERS_TIER, 1},
        {0, 9999, TRUST_FOLLOWERS_TIER, 1},
        {0, 10000, TRUST_FOLLOWERS_TIER, 2},
        {0, 100000, TRUST_FOLLOWERS_TIER, 3},
        {0, 1000000, TRUST_FOLLOWERS_TIER, 4},
        {0, 0x1p63, TRUST_FOLLOWERS_TIER, 4},
        {4, 364, TRUST_AGE_TIER, 0},
        {4, 365, TRUST_AGE_TIER, 1},
        {4, 730, TRUST_AGE_TIER, 2},
        {4, 1825, TRUST_AGE_TIER, 3},
        {2, 182, TRUST_ACTIVITY_TIER, 1}, /* 182 / 365 = 0.4986: 0.5 to 2 decimals */
        {2, 180, TRUST_ACTIVITY_TIER, 0}, /* 0.49 */
        {2, 730, TRUST_ACTIVITY_TIER, 2},
        {2, 3650, TRUST_ACTIVITY_TIER, 3},
        {2, 7300, TRUST_HIGH_ACTIVITY, 0}, /* 20 a day */
        {2, 7304, TRUST_HIGH_ACTIVITY, 1}, /* 20.01 */
        {5, 200, TRUST_BIO_LENGTH, 1},
        {5, 201, TRUST_BIO_LENGTH, 1},
        {5, 100, TRUST_BIO_LENGTH, 0.5},
        {1, 5, TRUST_FOLLOWERS_FOLLOWING_RATIO, 10000},
        {1, 4, TRUST_FOLLOWERS_FOLLOWING_RATIO, 10000},
        {1, 0, TRUST_FOLLOWERS_FOLLOWING_RATIO, 0},
        {0, 36500, TRUST_SUSPICIOUS_GROWTH, 0}, /* 365 days is old */
        {3, 0, TRUST_FAKE_FOLLOWERS, 1},
        {3, 11, TRUST_FAKE_FOLLOWERS, 0}, /* 11 / 101 */
        {9, 7, TRUST_VERIFIED, 1},
        {9, -1, TRUST_VERIFIED, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trust_inputs inputs = ordinary();
        ((double *)&inputs)[cases[i].input] = cases[i].value;
        const double got = feature_of(inputs, cases[i].feature);
        if (got != cases[i].expected) {
            fail_msg("%s = %.17g: %s is %.17g", trust_input_names[cases[i].input], cases[i].value,
                     trust_feature_names[cases[i].feature], got);
        }
    }
}

static void test_the_and_of_two_is_false_where_one_is(void **state)
{
    (void)state;
    struct trust_inputs inputs = ordinary();
    inputs.post_count = 1000;
    inputs.favorites_count = 0;
    assert_true(feature_of(inputs, TRUST_LOW_ENGAGEMENT) == 0);
    inputs.post_count = 1001;
    assert_true(feature_of(inputs, TRUST_LOW_ENGAGEMENT) == 1);
    inputs.favorites_count = 11; /* 0.01098 */
    assert_true(feature_of(inputs, TRUST_LOW_ENGAGEMENT) == 0);
    inputs.followers_count = 10000;
    assert_true(feature_of(inputs, TRUST_FAKE_FOLLOWERS) == 0);
    inputs.followers_count = 10001;
    assert_true(feature_of(inputs, TRUST_FAKE_FOLLOWERS) == 1);
    inputs.account_age = 99;
    inputs.followers_count = 10000; /* exactly 100 a day */
    assert_true(feature_of(inputs, TRUST_SUSPICIOUS_GROWTH) == 0);
    inputs.followers_count = 10001;
    assert_true(feature_of(inputs, TRUST_SUSPICIOUS_GROWTH) == 1);
}

static void test_what_is_no_fact_is_unknown(void **state)
{
    (void)state;
    static const double none[] = {NAN, -NAN, -1, -0.5, INFINITY, -INFINITY, -DBL_MAX, -1e-310};
    double expected[TRUST_FEATURES], features[TRUST_FEATURES];
    for (size_t input = 0; input < 6; input++) {
        struct trust_inputs inputs = ordinary();
        ((double *)&inputs)[input] = NAN;
        trust_compute_features(&inputs, 1, expected);
        for (size_t i = 0; i < ARRAY_LEN(none); i++) {
            ((double *)&inputs)[input] = none[i];
            trust_compute_features(&inputs, 1, features);
            for (size_t f = 0; f < TRUST_FEATURES; f++) {
                assert_true(features[f] == expected[f] ||
                            (isnan(features[f]) && isnan(expected[f])));
            }
        }
    }
    struct trust_inputs inputs = nothing();
    trust_compute_features(&inputs, 1, features);
    for (size_t f = 0; f < TRUST_FEATURES; f++) {
        assert_true(isnan(features[f]));
    }
}

/* A feature is known exactly where its inputs are, and then finite. */
static void test_random_inputs_give_finite_or_unknown(void **state)
{
    (void)state;
    for (int round = 0; round < 200000; round++) {
        struct trust_inputs inputs;
        double features[TRUST_FEATURES];
        for (size_t i = 0; i < TRUST_INPUTS; i++) {
            ((double *)&inputs)[i] = random_input();
        }
        trust_compute_features(&inputs, 1, features);
        for (size_t f = 0; f < TRUST_FEATURES; f++) {
            assert_true(isnan(features[f]) || (isfinite(features[f]) && features[f] >= 0));
        }
        const double followers = inputs.followers_count;
        const bool known = isfinite(followers) && followers >= 0;
        assert_int_equal(!isnan(features[TRUST_LOG_FOLLOWERS]), known);
        assert_int_equal(!isnan(features[TRUST_FOLLOWERS_TIER]), known);
    }
}

static void test_an_account_has_the_same_bits_alone_and_among_others(void **state)
{
    (void)state;
    enum { ROWS = 1000 };
    static struct trust_inputs inputs[ROWS];
    static double together[ROWS * TRUST_FEATURES];
    double alone[TRUST_FEATURES];
    for (size_t i = 0; i < (size_t)ROWS * TRUST_INPUTS; i++) {
        ((double *)inputs)[i] = random_input();
    }
    for (size_t count = 0; count <= ROWS; count = count < 40 ? count + 1 : count + 480) {
        trust_compute_features(inputs, count, together);
        for (size_t row = 0; row < count; row++) {
            trust_compute_features(&inputs[row], 1, alone);
            for (size_t f = 0; f < TRUST_FEATURES; f++) {
                const double other = together[row * TRUST_FEATURES + f];
                assert_true(alone[f] == other || (isnan(alone[f]) && isnan(other)));
            }
        }
    }
}

/* ---- success ---- */

static void success_features(struct success_inputs inputs, double features[SUCCESS_FEATURES])
{
    success_compute_features(&inputs, 1, features);
}

static void test_success_features_of_a_product(void **state)
{
    (void)state;
    double f[SUCCESS_FEATURES];
    success_features(
        (struct success_inputs){600000, 30000, 2000, 1000, NAN, NAN, 6000, 0.01, 199999}, f);
    const double expected[SUCCESS_FEATURES] = {600000,       30000,       2000,
                                               1000,         33000,       0.055,
                                               6000,         0.01,        0.05,
                                               2000 / 6e5,   1000 / 6e5,  log1p(600000),
                                               log1p(33000), log1p(6000), log1p(199999),
                                               199999,       1,           330,
                                               6000,         1,           1};
    for (size_t i = 0; i < SUCCESS_FEATURES; i++) {
        if (fabs(f[i] - expected[i]) > 1e-15 * fabs(expected[i])) {
            fail_msg("%s is %.17g, expected %.17g", success_feature_names[i], f[i], expected[i]);
        }
    }
}

static void test_success_takes_what_is_given_before_what_follows(void **state)
{
    (void)state;
    double f[SUCCESS_FEATURES];
    success_features((struct success_inputs){0, 5, 5, 5, 100, NAN, NAN, NAN, NAN}, f);
    assert_true(f[SUCCESS_ENGAGEMENT] == 100 && f[SUCCESS_ENGAGEMENT_RATE] == 100);
    assert_true(f[SUCCESS_LIKES_PER_VIEW] == 5); /* over max(views, 1) */
    success_features((struct success_inputs){1000, NAN, 5, 5, NAN, 0.05, NAN, NAN, NAN}, f);
    assert_true(isnan(f[SUCCESS_ENGAGEMENT]) && f[SUCCESS_ENGAGEMENT_RATE] == 0.05);
    assert_true(f[SUCCESS_HIGH_ENGAGEMENT] == 0); /* over, not at */
    success_features((struct success_inputs){500000, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 50000}, f);
    assert_true(f[SUCCESS_VIRAL_VIEWS] == 0 && f[SUCCESS_PRICE_TIER] == 1);
    success_features((struct success_inputs){500001, -1, NAN, NAN, NAN, NAN, NAN, 2, 1e6}, f);
    assert_true(f[SUCCESS_VIRAL_VIEWS] == 1 && f[SUCCESS_PRICE_TIER] == 4);
    assert_true(isnan(f[SUCCESS_LIKES]) && isnan(f[SUCCESS_LIKES_PER_VIEW]));
}

static void test_success_features_never_overflow(void **state)
{
    (void)state;
    for (int round = 0; round < 200000; round++) {
        struct success_inputs inputs;
        double f[SUCCESS_FEATURES];
        for (size_t i = 0; i < SUCCESS_INPUTS; i++) {
            ((double *)&inputs)[i] = random_input();
        }
        success_features(inputs, f);
        for (size_t i = 0; i < SUCCESS_FEATURES; i++) {
            assert_true(isnan(f[i]) || (isfinite(f[i]) && f[i] >= 0));
        }
    }
}

static void test_tables_name_every_feature(void **state)
{
    (void)state;
    assert_int_equal(TRUST_FEATURES, 29);
    assert_int_equal(SUCCESS_FEATURES, 21);
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        assert_string_equal(trust_feature_table[i].name, trust_feature_names[i]);
        assert_true(*trust_feature_table[i].doc);
    }
    for (size_t i = 0; i < SUCCESS_FEATURES; i++) {
        assert_string_equal(success_feature_table[i].name, success_feature_names[i]);
        assert_true(*success_feature_table[i].doc);
    }
    assert_string_equal(trust_feature_names[TRUST_VERIFIED], "verified");
    assert_string_equal(success_feature_names[SUCCESS_HIGH_ENGAGEMENT], "is_high_engagement");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logarithm_is_within_one_ulp),
        cmocka_unit_test(test_features_are_those_of_the_reference_file),
        cmocka_unit_test(test_posts_a_day_rounds_ties_to_even),
        cmocka_unit_test(test_tiers_and_flags_at_their_bounds),
        cmocka_unit_test(test_the_and_of_two_is_false_where_one_is),
        cmocka_unit_test(test_what_is_no_fact_is_unknown),
        cmocka_unit_test(test_random_inputs_give_finite_or_unknown),
        cmocka_unit_test(test_an_account_has_the_same_bits_alone_and_among_others),
        cmocka_unit_test(test_success_features_of_a_product),
        cmocka_unit_test(test_success_takes_what_is_given_before_what_follows),
        cmocka_unit_test(test_success_features_never_overflow),
        cmocka_unit_test(test_tables_name_every_feature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
