/* test_score.c: trust, success, trending, composite and the words for them, at and beside their
 * bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "score/score.h"
#include "score_fixture.h"
#include "shared_models.h"

/* ---- trust ---- */

/* The table of the data sets' README: raw inputs and the score of the reference model. */
static const struct {
    double F, G, N, V, A, bio, url, img, ver, L, dp, dpi, score;
} references[] = {
    {13400000, 204, 500, 526400000, 1095, 1, 1, 1, 0, 30, 0, 0, 91.566570484623057},
    {100000, 500, 200, 2000000, 547, 1, 0, 1, 0, 50, 0, 0, 87.173741190243021},
    {5000, 200, 50, 100000, 180, 1, 0, 1, 0, 30, 0, 0, 84.75397951827614},
    {500000, 10, 5000, 100, 30, 0, 0, 0, 0, 0, 0, 1, 41.723904649762886},
    {100000, 500, 150, 500000, 730, 1, 1, 1, 1, 150, 0, 0, 95.670679928446177},
    {100000, 500, 2000, 500000, 2000, 1, 1, 1, 1, 150, 0, 0, 95.582562765004909},
    {50000, 50000, 10000, 100, 30, 0, 0, 0, 0, 0, 0, 1, 15.119470208609965},
    {1000000, 500, 200, 50000000, 1825, 1, 1, 1, 1, 100, 0, 0, 97.409650427723321},
    {1000, 2000, 5, 100, 30, 0, 0, 1, 0, 0, 0, 0, 29.906794466029719},
    {50000, 500, 100, 25000, 365, 1, 0, 1, 0, 50, 0, 0, 86.781170904468667},
};

static struct trust_inputs reference_inputs(size_t i)
{
    return (struct trust_inputs){references[i].F,   references[i].G,   references[i].N,
                                 references[i].V,   references[i].A,   references[i].L,
                                 references[i].bio, references[i].url, references[i].img,
                                 references[i].ver, references[i].dp,  references[i].dpi};
}

static struct gbdt_model *reference_model(void)
{
    char *path = shared_model("trust_lgbm_494_trees.txt");
    struct gbdt_model *model = NULL;
    struct kol_error err;
    if (!path) {
        skip();
    }
    if (gbdt_read(path, &model, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(score_check_model(SCORE_TRUST, model, &err), KOL_OK);
    free(path);
    return model;
}

static void test_trust_of_the_reference_model(void **state)
{
    (void)state;
    struct gbdt_model *model = reference_model();
    struct trust_inputs inputs[ARRAY_LEN(references)];
    struct trust_score together[ARRAY_LEN(references)], alone;
    for (size_t i = 0; i < ARRAY_LEN(references); i++) {
        inputs[i] = reference_inputs(i);
    }
    trust_score(model, inputs, ARRAY_LEN(references), together);
    for (size_t i = 0; i < ARRAY_LEN(references); i++) {
        trust_score(model, &inputs[i], 1, &alone);
        if (together[i].score != references[i].score || alone.score != references[i].score) {
            fail_msg("row %zu: %.17g, expected %.17g", i, together[i].score, references[i].score);
        }
        assert_true(alone.probability == 1 - references[i].score / 100 ||
                    fabs(alone.probability - (1 - references[i].score / 100)) < 1e-15);
        assert_true(alone.confidence == fmax(alone.probability, 1 - alone.probability));
    }
    assert_string_equal(together[0].label, "high");
    assert_string_equal(together[3].label, "medium");
    assert_string_equal(together[3].risk, "elevated");
    assert_string_equal(together[6].label, "low");
    assert_string_equal(together[6].risk, "high");
    gbdt_free(&model);
}

static void test_raw_scores_of_the_feature_file(void **state)
{
    (void)state;
    struct gbdt_model *model = reference_model();
    char *path = shared_model("trust_features_expected.csv");
    struct buf text = {0};
    assert_int_equal(file_read(path, 1 << 20, &text, NULL), KOL_OK);
    struct str rest = buf_str(&text);
    (void)str_cut(&rest, '\n');
    while (rest.len) {
        struct str row = str_trim(str_cut(&rest, '\n'));
        double cells[TRUST_INPUTS + TRUST_FEATURES + 1], features[TRUST_FEATURES];
        struct trust_inputs inputs;
        struct trust_score score;
        for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
            cells[i] = NAN;
            struct str cell = str_cut(&row, ',');
            assert_true(!cell.len || str_to_double(cell, &cells[i]));
        }
        memcpy(&inputs, cells, sizeof inputs);
        trust_compute_features(&inputs, 1, features);
        assert_true(gbdt_raw(model, features) == cells[TRUST_INPUTS + TRUST_FEATURES]);
        trust_score(model, &inputs, 1, &score);
        assert_true(isnan(score.score) ? isnan(inputs.followers_count) && score.confidence == 0
                                       : score.raw == cells[TRUST_INPUTS + TRUST_FEATURES]);
    }
    buf_free(&text);
    free(path);
    gbdt_free(&model);
}

static void test_nothing_known_is_no_score(void **state)
{
    (void)state;
    struct gbdt_model *model = fixture_model(SCORE_TRUST);
    struct trust_inputs inputs = fixture_nothing();
    struct trust_score out;
    trust_score(model, &inputs, 1, &out);
    assert_true(isnan(out.score) && isnan(out.probability) && isnan(out.raw));
    assert_true(out.confidence == 0 && out.in_domain);
    assert_string_equal(out.label, "unknown");
    assert_string_equal(out.risk, "unknown");
    inputs.verified = 0; /* one fact is enough */
    trust_score(model, &inputs, 1, &out);
    assert_true(out.score >= 0 && out.score <= 100);
    gbdt_free(&model);
}

static void test_in_domain_is_what_the_model_saw(void **state)
{
    (void)state;
    struct gbdt_model *model = fixture_model(SCORE_TRUST); /* features 0 and 6: [0:10], [0:50] */
    struct trust_inputs inputs = fixture_nothing();
    struct trust_score out;
    inputs.followers_count = 20000; /* ln 20001 = 9.9 */
    trust_score(model, &inputs, 1, &out);
    assert_true(out.in_domain && out.outside == 0);
    inputs.followers_count = 30000; /* 10.3 */
    trust_score(model, &inputs, 1, &out);
    assert_false(out.in_domain);
    assert_int_equal(out.outside, 1u << TRUST_LOG_FOLLOWERS);
    gbdt_free(&model);
}

static void test_scores_do_not_depend_on_their_neighbours(void **state)
{
    (void)state;
    enum { ROWS = 300 };
    static struct trust_inputs inputs[ROWS];
    static struct trust_score together[ROWS];
    struct gbdt_model *model = fixture_model(SCORE_TRUST);
    for (size_t i = 0; i < ROWS; i++) {
        fixture_random_trust(&inputs[i]);
    }
    trust_score(model, inputs, ROWS, together);
    for (size_t i = 0; i < ROWS; i++) {
        struct trust_score alone;
        trust_score(model, &inputs[i], 1, &alone);
        assert_true(alone.score == together[i].score ||
                    (isnan(alone.score) && isnan(together[i].score)));
        assert_true(isnan(alone.score) || (alone.score >= 0 && alone.score <= 100));
        assert_int_equal(alone.outside, together[i].outside);
        double features[TRUST_FEATURES];
        trust_compute_features(&inputs[i], 1, features);
        for (size_t f = 0; f < TRUST_FEATURES; f++) {
            assert_int_equal(alone.outside >> f & 1, !gbdt_in_range(model, f, features[f]));
        }
    }
    gbdt_free(&model);
}

static void test_a_foreign_model_is_refused(void **state)
{
    (void)state;
    struct kol_error err;
    struct gbdt_model *trust = fixture_model(SCORE_TRUST), *success = fixture_model(SCORE_SUCCESS);
    assert_int_equal(score_check_model(SCORE_TRUST, trust, &err), KOL_OK);
    assert_int_equal(score_check_model(SCORE_SUCCESS, success, &err), KOL_OK);
    assert_int_equal(score_check_model(SCORE_SUCCESS, trust, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "success"));
    struct gbdt_model *regression = fixture_model_text(SCORE_TRUST, "regression", "0.5 -0.5");
    assert_int_equal(score_check_model(SCORE_TRUST, regression, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "objective=binary"));
    gbdt_free(&trust);
    gbdt_free(&success);
    gbdt_free(&regression);
}

/* ---- success ---- */

static struct success_inputs product(double views, double rate, double ctr, double engagement)
{
    return (struct success_inputs){views, NAN, NAN, NAN, engagement, rate, NAN, ctr, NAN};
}

static void test_success_rule(void **state)
{
    (void)state;
    static const struct {
        double views, rate, ctr, engagement, score;
        uint32_t missing;
    } cases[] = {
        {50000, 0.1, 0.1, 5000, 100, 0},
        {1e12, 1e12, 1e12, 1e12, 100, 0},
        {0, 0, 0, 0, 0, 0},
        {25000, 0.05, 0.05, 2500, 50, 0},
        {10000, 0.02, 0.01, 500, 16, 0}, /* 6 + 6 + 2 + 2 */
        {NAN, 0.05, NAN, 1000, 19, 1 | 4},
        {50000, NAN, NAN, NAN, 30, 2 | 4 | 8},
        {NAN, NAN, 0.05, NAN, 10, 1 | 2 | 8},
        {-1, -1, 0.05, -INFINITY, 10, 1 | 2 | 8},
        {0x1p63, NAN, NAN, NAN, 30, 2 | 4 | 8},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct success_inputs inputs =
            product(cases[i].views, cases[i].rate, cases[i].ctr, cases[i].engagement);
        struct success_score out;
        success_score(NULL, &inputs, 1, &out);
        if (fabs(out.score - cases[i].score) > 1e-12 || out.missing != cases[i].missing) {
            fail_msg("case %zu: %.17g, missing %x", i, out.score, out.missing);
        }
        assert_string_equal(out.method, "rule");
        assert_string_equal(out.label, out.score >= 50 ? "High" : "Not-High");
        assert_true(out.in_domain);
    }
}

static void test_success_rule_without_any_fact_is_no_score(void **state)
{
    (void)state;
    struct success_inputs inputs = product(NAN, INFINITY, -1, NAN);
    struct success_score out;
    success_score(NULL, &inputs, 1, &out);
    assert_true(isnan(out.score));
    assert_int_equal(out.missing, 15);
    assert_string_equal(out.label, "unknown");
    inputs.price = 100; /* the rule does not ask for it */
    success_score(NULL, &inputs, 1, &out);
    assert_true(isnan(out.score));
}

static void test_success_rule_works_out_rate_and_engagement(void **state)
{
    (void)state;
    uint32_t missing;
    struct success_inputs inputs = {10000, 400, 60, 40, NAN, NAN, NAN, NAN, NAN};
    /* 6 for views, 500 / 10000 = 0.05: 15, 500 / 5000: 2 */
    assert_true(fabs(success_rule(&inputs, &missing) - 23) < 1e-12);
    assert_int_equal(missing, 4);
}

static void test_success_by_model(void **state)
{
    (void)state;
    struct gbdt_model *model = fixture_model(SCORE_SUCCESS);
    struct success_inputs inputs[70];
    struct success_score out[70];
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        inputs[i] = product(i % 2 ? 100 : 2, NAN, NAN, NAN);
    }
    inputs[69] = product(NAN, NAN, NAN, NAN);
    success_score(model, inputs, 70, out);
    for (size_t i = 0; i < 69; i++) {
        assert_string_equal(out[i].method, "model");
        /* Log-odds are 0.5 up to 5 views; above, unknown clicks give 0.25. */
        const double p = 1 / (1 + exp(i % 2 ? -0.25 : -0.5));
        assert_true(fabs(out[i].score - 100 * p) < 1e-12);
        assert_int_equal(out[i].outside, i % 2 ? 1 : 0); /* [0:10] */
    }
    assert_true(isnan(out[69].score));
    gbdt_free(&model);
}

/* ---- trending ---- */

static double trending(double v, double b, double m, double q)
{
    return trending_score(&(struct trending_inputs){v, b, m, q}, 0.1);
}

static void test_checked_values_of_trending(void **state)
{
    (void)state;
    static const struct {
        double v, b, m, q, score;
        const char *label;
    } cases[] = {
        {100, 20, 30, 0.8, 81.58, "Viral"}, {2, 1, 10, 0, 35.62, "Normal"},
        {10, 10, 10, 0, 31.00, "Normal"},   {30, 10, 10, 0, 61.77, "Hot"},
        {100, 10, 10, 0, 99.30, "Viral"},   {5, 20, 10, 0, 22.79, "Cold"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const double score = trending(cases[i].v, cases[i].b, cases[i].m, cases[i].q);
        if (score_round(score) != cases[i].score) {
            fail_msg("row %zu: %.17g", i, score);
        }
        assert_string_equal(trending_label(score), cases[i].label);
    }
}

static void test_trending_holds_up_what_it_divides_by(void **state)
{
    (void)state;
    const struct trending_inputs quiet = {5, 0, 0, 0};
    assert_true(trending_score(&quiet, 1) == trending(5, 1, 1, 0));
    assert_true(trending_score(&quiet, 0.1) == trending(5, 0.1, 0.1, 0));
    assert_true(trending(0, 0, 0, -1) == 100 / (1 + exp(1.6)));
    assert_true(trending(DBL_MAX, 0, 0, DBL_MAX) == 100);
    assert_true(trending(0x1p63, 0, 0, 0) == 100);
}

static void test_trending_of_what_is_no_rate_is_none(void **state)
{
    (void)state;
    static const double none[] = {NAN, -1e-9, -1, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        assert_true(isnan(trending(none[i], 1, 1, 0)));
        assert_true(isnan(trending(1, none[i], 1, 0)));
        assert_true(isnan(trending(1, 1, none[i], 0)));
        assert_true(isnan(trending_momentum(none[i], 1)));
        assert_true(isnan(trending_momentum(1, none[i])));
    }
    assert_true(isnan(trending(1, 1, 1, NAN)) && isnan(trending(1, 1, 1, INFINITY)));
    assert_true(isnan(trending(1, 1, 1, nextafter(-1, -2))));
    assert_false(isnan(trending(1, 1, 1, -1)));
}

static void test_trending_rises_with_what_it_measures(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        const double v = fixture_rate(), b = fixture_rate(), m = fixture_rate();
        const double q = fixture_rate() - 1, score = trending(v, b, m, q);
        assert_true(score >= 0 && score <= 100);
        assert_true(trending(v * 1.5, b, m, q) >= score);
        assert_true(trending(v, b * 1.5, m, q) <= score);
        assert_true(trending(v, b, m * 1.5, q) <= score);
        assert_true(trending(v, b, m, q + 1) >= score);
    }
}

static void test_momentum_and_points(void **state)
{
    (void)state;
    assert_true(trending_momentum(9, 5) == 0.8);
    assert_true(trending_momentum(0.5, 0) == 0.5);  /* over max(0, 1) */
    assert_true(trending_momentum(0, 0.5) == -0.5); /* over max(0.5, 1) */
    assert_true(trending_momentum(0, 7) == -1);
    assert_true(engagement_points(1, 1, 1, 1) == 61);
    assert_true(engagement_points(100, NAN, -5, 2) == 160);
    assert_true(engagement_points(NAN, NAN, NAN, 0) == 0);
    assert_true(isnan(engagement_points(NAN, NAN, NAN, INFINITY)));
}

/* ---- together ---- */

static void test_composite_of_the_parts_that_exist(void **state)
{
    (void)state;
    uint32_t parts;
    assert_true(composite_score(80, 60, 40, &parts) == 63 && parts == 7);
    assert_true(composite_score(100, 100, 100, &parts) == 100);
    assert_true(composite_score(0, 0, 0, &parts) == 0 && parts == 7);
    assert_true(composite_score(NAN, 60, 40, &parts) == (35. * 60 + 25. * 40) / 60 && parts == 6);
    assert_true(composite_score(0, NAN, 100, &parts) == 2500. / 65 && parts == 5);
    assert_true(composite_score(NAN, NAN, 73.5, &parts) == 73.5 && parts == 4);
    assert_true(isnan(composite_score(NAN, NAN, NAN, &parts)) && parts == 0);
    assert_true(isnan(composite_score(NAN, INFINITY, NAN, &parts)) && parts == 0);
    assert_string_equal(composite_part_name(COMPOSITE_TRENDING), "trending");
    assert_string_equal(composite_part_name(COMPOSITE_SUCCESS), "success");
    assert_string_equal(composite_part_name(COMPOSITE_TRUST), "trust");
}

static void test_composite_lies_between_its_parts(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint32_t parts;
        double score[3], low = 100, high = 0;
        for (int k = 0; k < 3; k++) {
            const uint64_t bits = fixture_random();
            score[k] = bits % 5 ? (double)(bits >> 12) / 0x1p52 * 100 : (bits >> 8) % 3 ? NAN : 100;
            low = isnan(score[k]) ? low : fmin(low, score[k]);
            high = isnan(score[k]) ? high : fmax(high, score[k]);
        }
        const double together = composite_score(score[0], score[1], score[2], &parts);
        assert_int_equal(isnan(together), parts == 0);
        assert_true(parts == 0 || (together >= low - 1e-12 && together <= high + 1e-12));
        assert_true(parts == 0 || (together >= 0 && together <= 100));
    }
}

static void test_virality(void **state)
{
    (void)state;
    assert_true(virality_index(500, 1000) == 0.5);
    assert_true(virality_index(0, 1000) == 0);
    assert_true(virality_index(0x1p63, 1) == 0x1p63);
    static const double none[][2] = {{1, 0},        {0, 0},        {NAN, 1},
                                     {1, NAN},      {-1, 1},       {1, -1},
                                     {INFINITY, 1}, {1, INFINITY}, {DBL_MAX, 1e-300}};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        assert_true(isnan(virality_index(none[i][0], none[i][1])));
    }
}

/* ---- words ---- */

static void assert_bound(const char *(*word)(double), double bound, const char *below,
                         const char *from)
{
    assert_string_equal(word(bound), from);
    assert_string_equal(word(nextafter(bound, INFINITY)), from);
    assert_string_equal(word(nextafter(bound, -INFINITY)), below);
}

static void test_words_change_exactly_at_their_bounds(void **state)
{
    (void)state;
    assert_bound(trust_label, 80, "medium", "high");
    assert_bound(trust_label, 40, "low", "medium");
    assert_bound(risk_level, 80, "moderate", "low");
    assert_bound(risk_level, 60, "elevated", "moderate");
    assert_bound(risk_level, 40, "high", "elevated");
    assert_bound(success_label, 50, "Not-High", "High");
    assert_bound(trending_label, 80, "Hot", "Viral");
    assert_bound(trending_label, 60, "Warm", "Hot");
    assert_bound(trending_label, 40, "Normal", "Warm");
    assert_bound(trending_label, 25, "Cold", "Normal");
    assert_bound(kol_tier, 1e3, "Rising", "Nano");
    assert_bound(kol_tier, 1e4, "Nano", "Micro");
    assert_bound(kol_tier, 1e5, "Micro", "Mid");
    assert_bound(kol_tier, 5e5, "Mid", "Macro");
    assert_bound(kol_tier, 1e6, "Macro", "Mega");
}

static void test_words_of_ends_and_of_nothing(void **state)
{
    (void)state;
    assert_string_equal(trust_label(0), "low");
    assert_string_equal(risk_level(0), "high");
    assert_string_equal(trending_label(0), "Cold");
    assert_string_equal(trust_label(NAN), "unknown");
    assert_string_equal(risk_level(NAN), "unknown");
    assert_string_equal(success_label(NAN), "unknown");
    assert_string_equal(trending_label(NAN), "unknown");
    assert_string_equal(kol_tier(0), "Rising");
    assert_string_equal(kol_tier(0x1p63), "Mega");
    assert_null(kol_tier(NAN));
    assert_null(kol_tier(-1));
    assert_null(kol_tier(INFINITY));
    assert_string_equal(score_kind_name(SCORE_TRUST), "trust");
    assert_string_equal(score_kind_name(SCORE_SUCCESS), "success");
}

static void test_rounding_for_json(void **state)
{
    (void)state;
    assert_true(score_round(91.566570484623057) == 91.57);
    assert_true(score_round(0.125) == 0.12 && score_round(0.375) == 0.38);
    assert_true(score_round(99.999) == 100 && score_round(0) == 0);
    assert_true(isnan(score_round(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust_of_the_reference_model),
        cmocka_unit_test(test_raw_scores_of_the_feature_file),
        cmocka_unit_test(test_nothing_known_is_no_score),
        cmocka_unit_test(test_in_domain_is_what_the_model_saw),
        cmocka_unit_test(test_scores_do_not_depend_on_their_neighbours),
        cmocka_unit_test(test_a_foreign_model_is_refused),
        cmocka_unit_test(test_success_rule),
        cmocka_unit_test(test_success_rule_without_any_fact_is_no_score),
        cmocka_unit_test(test_success_rule_works_out_rate_and_engagement),
        cmocka_unit_test(test_success_by_model),
        cmocka_unit_test(test_checked_values_of_trending),
        cmocka_unit_test(test_trending_holds_up_what_it_divides_by),
        cmocka_unit_test(test_trending_of_what_is_no_rate_is_none),
        cmocka_unit_test(test_trending_rises_with_what_it_measures),
        cmocka_unit_test(test_momentum_and_points),
        cmocka_unit_test(test_composite_of_the_parts_that_exist),
        cmocka_unit_test(test_composite_lies_between_its_parts),
        cmocka_unit_test(test_virality),
        cmocka_unit_test(test_words_change_exactly_at_their_bounds),
        cmocka_unit_test(test_words_of_ends_and_of_nothing),
        cmocka_unit_test(test_rounding_for_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
