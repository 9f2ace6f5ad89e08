/* test_explain.c: what each feature adds to a score, in points and in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "score/explain.h"
#include "score_fixture.h"
#include "shared_models.h"

/* ---- points ---- */

static void assert_sums(const struct explanation *out)
{
    double sum = out->base, last = INFINITY;
    uint32_t seen = 0;
    for (size_t i = 0; i < out->count; i++) {
        const struct contribution *part = &out->by_weight[i];
        assert_true(isfinite(part->points) && isfinite(part->phi));
        assert_true(fabs(part->points) <= last);
        last = fabs(part->points);
        sum += part->points;
        seen |= 1u << part->feature;
    }
    assert_int_equal(seen, (1u << out->count) - 1);
    if (fabs(sum - out->score) > 1e-6) {
        fail_msg("sum %.17g, score %.17g", sum, out->score);
    }
}

static void test_contributions_sum_to_the_score(void **state)
{
    (void)state;
    struct gbdt_model *model = fixture_model(SCORE_TRUST);
    for (int i = 0; i < 2000; i++) {
        struct trust_inputs inputs;
        struct trust_score score;
        struct explanation out;
        double features[TRUST_FEATURES];
        fixture_random_trust(&inputs);
        trust_compute_features(&inputs, 1, features);
        trust_score(model, &inputs, 1, &score);
        score_explain(SCORE_TRUST, model, features, &out);
        assert_int_equal(out.count, TRUST_FEATURES);
        assert_true(isnan(score.score) || out.score == score.score);
        assert_sums(&out);
    }
    gbdt_free(&model);
}

static void test_contributions_of_success(void **state)
{
    (void)state;
    struct gbdt_model *model = fixture_model(SCORE_SUCCESS);
    struct success_inputs inputs = {100, NAN, NAN, NAN, NAN, NAN, 3, NAN, NAN};
    struct success_score score;
    struct explanation out;
    double features[SUCCESS_FEATURES];
    success_compute_features(&inputs, 1, features);
    success_score(model, &inputs, 1, &score);
    score_explain(SCORE_SUCCESS, model, features, &out);
    assert_int_equal(out.count, SUCCESS_FEATURES);
    assert_true(out.score == score.score);
    /* Views over 5 take it from the base (0.175) down: in success points that is down too. */
    assert_int_equal(out.by_weight[0].feature, SUCCESS_VIEWS);
    assert_true(out.by_weight[0].phi < 0 && out.by_weight[0].points < 0);
    assert_sums(&out);
    gbdt_free(&model);
}

/* Two leaves that differ by next to nothing: raw and base are equal but for rounding. */
static void test_at_the_base_the_limit_is_taken(void **state)
{
    (void)state;
    struct gbdt_model *model =
        fixture_model_text(SCORE_TRUST, "binary sigmoid:2", "0.25000000001 0.25");
    struct trust_inputs inputs = fixture_nothing();
    struct explanation out;
    double features[TRUST_FEATURES];
    inputs.followers_count = 1;
    trust_compute_features(&inputs, 1, features);
    score_explain(SCORE_TRUST, model, features, &out);
    assert_true(fabs(out.raw - out.raw_base) < 1e-5 && out.raw != out.raw_base);
    const double p = 1 / (1 + exp(-0.5)), slope = -100 * p * (1 - p) * 2;
    assert_int_equal(out.by_weight[0].feature, TRUST_LOG_FOLLOWERS);
    const double limit = out.by_weight[0].phi * slope;
    assert_true(fabs(out.by_weight[0].points - limit) <= 1e-9 * fabs(limit));
    assert_sums(&out);
    gbdt_free(&model);
}

static void test_the_reference_model_explains_itself(void **state)
{
    (void)state;
    char *path = shared_model("trust_lgbm_494_trees.txt");
    struct gbdt_model *model;
    struct kol_error err;
    if (!path) {
        skip();
    }
    assert_int_equal(gbdt_read(path, &model, &err), KOL_OK);
    for (int i = 0; i < 300; i++) {
        struct trust_inputs inputs;
        struct explanation out;
        double features[TRUST_FEATURES];
        fixture_random_trust(&inputs);
        trust_compute_features(&inputs, 1, features);
        score_explain(SCORE_TRUST, model, features, &out);
        assert_sums(&out);
    }
    gbdt_free(&model);
    free(path);
}

/* ---- words ---- */

static void assert_trust_says(struct trust_inputs inputs, enum trust_feature feature, double points,
                              const char *expected)
{
    double features[TRUST_FEATURES];
    struct buf out = {0};
    trust_compute_features(&inputs, 1, features);
    trust_reason(&inputs, &(struct contribution){feature, features[feature], 0, points}, &out);
    assert_string_equal(out.ptr, expected);
    buf_free(&out);
}

static struct trust_inputs known(void)
{
    return (struct trust_inputs){100, 1000, 2500, 1, 400, 30, 1, 0, 1, 0, 1, 0};
}

static void test_sentences_of_trust(void **state)
{
    (void)state;
    struct trust_inputs of = known();
    assert_trust_says(of, TRUST_FOLLOWERS_FOLLOWING_RATIO, -12.42,
                      "follows 10 times more accounts than follow it: -12.4");
    assert_trust_says(of, TRUST_HAS_URL, -3, "has no link in the profile: -3.0");
    assert_trust_says(of, TRUST_LOG_FOLLOWERS, 0.04, "is followed by 100 accounts: 0.0");
    assert_trust_says(of, TRUST_LOG_FAVORITES, -0.05, "has 1 favourite: -0.1");
    assert_trust_says(of, TRUST_LOG_POSTS, 1, "has posted 2,500 times: +1.0");
    assert_trust_says(of, TRUST_LOG_ACCOUNT_AGE, 1, "is 400 days old: +1.0");
    assert_trust_says(of, TRUST_POSTS_PER_DAY, 1, "posts 6.25 times a day: +1.0");
    assert_trust_says(of, TRUST_ENGAGEMENT_RATE, 1,
                      "has less than 0.001 favourites for each post: +1.0");
    assert_trust_says(of, TRUST_COMPLETENESS, 1, "has two of bio, link and picture: +1.0");
    assert_trust_says(of, TRUST_DEFAULT_PROFILE, 1, "has kept the looks that it came with: +1.0");
    assert_trust_says(of, TRUST_LOW_ENGAGEMENT, 1,
                      "has over 1,000 posts and hardly a favourite: +1.0");
    assert_trust_says(of, TRUST_AGE_TIER, 1, "is 1 to 2 years old: +1.0");
    assert_trust_says(of, TRUST_VERIFIED_FOLLOWERS, 1,
                      "is not verified, whatever its audience: +1.0");
    of.verified = 1;
    of.account_age = 3653;
    of.followers_count = 13400000;
    assert_trust_says(of, TRUST_VERIFIED_FOLLOWERS, 1,
                      "is verified, with 13,400,000 followers: +1.0");
    assert_trust_says(of, TRUST_LOG_ACCOUNT_AGE, 1, "is 10 years old: +1.0");
    assert_trust_says(of, TRUST_FOLLOWERS_FOLLOWING_RATIO, 1,
                      "has 10,000 followers or more for each account that it follows: +1.0");
    of.following_count = 0;
    assert_trust_says(of, TRUST_FOLLOWERS_FOLLOWING_RATIO, 1, "follows nobody: +1.0");
    of.post_count = 0;
    assert_trust_says(of, TRUST_POSTS_PER_DAY, 1, "has never posted: +1.0");
    of.account_age = 0;
    assert_trust_says(of, TRUST_POSTS_PER_DAY, 1, "is not a day old: no pace of posting yet: +1.0");
    of.followers_count = 0x1p63;
    assert_trust_says(of, TRUST_LOG_FOLLOWERS, 1, "is followed by 9.22e+18 accounts: +1.0");
}

static void test_sentences_of_what_is_unknown(void **state)
{
    (void)state;
    struct trust_inputs none = fixture_nothing(), of = known();
    assert_trust_says(none, TRUST_LOG_ACCOUNT_AGE, 1.25, "age unknown: +1.2");
    assert_trust_says(none, TRUST_AGE_TIER, 1, "age unknown: +1.0");
    assert_trust_says(none, TRUST_POSTS_PER_DAY, -2,
                      "pace of posting unknown for want of posts and age: -2.0");
    assert_trust_says(none, TRUST_HAS_URL, NAN, "link in the profile unknown");
    of.account_age = NAN;
    assert_trust_says(of, TRUST_POSTS_PER_DAY, -2, "pace of posting unknown for want of age: -2.0");
    of.account_age = -5; /* no age at all */
    assert_trust_says(of, TRUST_LOG_ACCOUNT_AGE, -2, "age unknown: -2.0");
}

static void test_a_row_of_features_alone_says_its_values(void **state)
{
    (void)state;
    const struct trust_inputs none = fixture_nothing();
    struct buf out = {0};
    trust_reason(&none, &(struct contribution){TRUST_LOG_FOLLOWERS, 4.5, 0, 2}, &out);
    assert_string_equal(out.ptr, "size of the audience: 4.5: +2.0");
    buf_clear(&out);
    trust_reason(&none, &(struct contribution){TRUST_FOLLOWERS_FOLLOWING_RATIO, 0.1, 0, 2}, &out);
    assert_string_equal(out.ptr, "follows 10 times more accounts than follow it: +2.0");
    buf_free(&out);
}

static void assert_success_says(const struct success_inputs *inputs, enum success_feature feature,
                                const char *expected)
{
    double features[SUCCESS_FEATURES];
    struct buf out = {0};
    success_compute_features(inputs, 1, features);
    success_reason(inputs, &(struct contribution){feature, features[feature], 0, 1}, &out);
    assert_string_equal(out.ptr, expected);
    buf_free(&out);
}

static void test_sentences_of_success(void **state)
{
    (void)state;
    const struct success_inputs of = {600000, 30000, 1, NAN, NAN, 0.055, NAN, 0.01, 199000};
    assert_success_says(&of, SUCCESS_VIEWS, "the content has 600,000 views: +1.0");
    assert_success_says(&of, SUCCESS_LOG_VIEWS, "an audience of 600,000 views: +1.0");
    assert_success_says(&of, SUCCESS_COMMENTS, "the content has 1 comment: +1.0");
    assert_success_says(&of, SUCCESS_SHARES, "shares unknown: +1.0");
    assert_success_says(&of, SUCCESS_ENGAGEMENT_RATE, "reactions are 5.5% of the views: +1.0");
    assert_success_says(&of, SUCCESS_PRICE, "one piece costs 199,000 VND: +1.0");
    assert_success_says(&of, SUCCESS_PRICE_TIER, "costs 50,000 to 200,000 VND: +1.0");
    assert_success_says(&of, SUCCESS_LIKES_PER_VIEW, "0.05 likes for each view: +1.0");
    assert_success_says(&of, SUCCESS_SHARES_PER_VIEW,
                        "shares for each view unknown for want of shares: +1.0");
    assert_success_says(&of, SUCCESS_ENGAGEMENT_X_CTR,
                        "reactions weighed by clicks unknown for want of engagement: +1.0");
}

static void assert_readable(const struct buf *out, const char *name)
{
    const char *text = out->ptr;
    const bool readable = text && out->len > 10 && out->len < 200 && !strstr(text, "nan") &&
                          !strstr(text, "inf") && !strpbrk(text, "{}_") && !strstr(text, "  ") &&
                          text[0] != ' ' && strchr(text, ':');
    if (!readable) {
        fail_msg("%s says \"%s\"", name, text ? text : "(nothing)");
    }
}

static void test_no_input_whatever_gives_an_unreadable_sentence(void **state)
{
    (void)state;
    struct buf out = {0};
    for (int i = 0; i < 20000; i++) {
        struct trust_inputs inputs;
        double features[TRUST_FEATURES];
        fixture_random_trust(&inputs);
        trust_compute_features(&inputs, 1, features);
        for (size_t f = 0; f < TRUST_FEATURES; f++) {
            buf_clear(&out);
            trust_reason(&inputs, &(struct contribution){f, features[f], 0, 3}, &out);
            assert_readable(&out, trust_feature_names[f]);
        }
        struct success_inputs product;
        memcpy(&product, &inputs, sizeof product); /* nine numbers of the same kinds */
        success_compute_features(&product, 1, features);
        for (size_t f = 0; f < SUCCESS_FEATURES; f++) {
            buf_clear(&out);
            success_reason(&product, &(struct contribution){f, features[f], 0, 3}, &out);
            assert_readable(&out, success_feature_names[f]);
        }
    }
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contributions_sum_to_the_score),
        cmocka_unit_test(test_contributions_of_success),
        cmocka_unit_test(test_at_the_base_the_limit_is_taken),
        cmocka_unit_test(test_the_reference_model_explains_itself),
        cmocka_unit_test(test_sentences_of_trust),
        cmocka_unit_test(test_sentences_of_what_is_unknown),
        cmocka_unit_test(test_a_row_of_features_alone_says_its_values),
        cmocka_unit_test(test_sentences_of_success),
        cmocka_unit_test(test_no_input_whatever_gives_an_unreadable_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
