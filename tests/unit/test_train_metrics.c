/* test_train_metrics.c: the metrics against counting by hand, ties, weights, intervals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "registry/metrics.h"

enum { ROWS = 400 };

static double scores[ROWS], others[ROWS];
static uint8_t labels[ROWS];
static uint32_t accounts[ROWS];

/* Scores on a coarse grid, so that many are equal; the higher, the likelier class 1. */
static void make_rows(uint64_t seed)
{
    struct random_stream chance;
    random_seed(&chance, &seed, 1);
    for (size_t i = 0; i < ROWS; i++) {
        scores[i] = (double)random_below(&chance, 21) / 20;
        labels[i] = (double)random_below(&chance, 1000) / 1000 < scores[i];
        others[i] = labels[i] ? fmin(1, scores[i] + 0.2) : scores[i];
        accounts[i] = (uint32_t)i / 2;
    }
}

static double auc_by_pairs(const double *score, const uint8_t *label, size_t n)
{
    double won = 0, pairs = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            if (label[i] && !label[j]) {
                won += score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0;
                pairs++;
            }
        }
    }
    return won / pairs;
}

static void test_auc_is_the_share_of_pairs_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        make_rows(seed);
        assert_true(fabs(metrics_auc(scores, labels, ROWS) - auc_by_pairs(scores, labels, ROWS)) <
                    1e-13);
    }
    static const double same[] = {0.3, 0.3, 0.3, 0.3};
    static const uint8_t mixed[] = {1, 0, 0, 1};
    assert_true(metrics_auc(same, mixed, 4) == 0.5);
}

static void test_average_precision_takes_equal_scores_in_one_step(void **state)
{
    (void)state;
    static const double score[] = {0.9, 0.8, 0.8, 0.7, 0.1};
    static const uint8_t label[] = {1, 0, 1, 0, 1};
    /* 1 of 1, then 2 of 3 for the two at 0.8, then 3 of 5: each adds a third of its precision. */
    double expected = (1.0 + 2.0 / 3 + 3.0 / 5) / 3;
    assert_true(fabs(metrics_pr_auc(score, label, 5) - expected) < 1e-15);
    static const double swapped[] = {0.9, 0.8, 0.8, 0.7, 0.1};
    static const uint8_t other[] = {1, 1, 0, 0, 1};
    assert_true(metrics_pr_auc(swapped, other, 5) == metrics_pr_auc(score, label, 5));
}

static void test_f1_brier_and_calibration_by_hand(void **state)
{
    (void)state;
    static const double score[] = {0.95, 0.5, 0.49, 0.05};
    static const uint8_t label[] = {1, 0, 1, 0};
    assert_true(metrics_f1(score, label, 4) == 0.5); /* 0.5 itself is called class 1 */
    double brier = (0.05 * 0.05 + 0.25 + 0.51 * 0.51 + 0.05 * 0.05) / 4;
    assert_true(fabs(metrics_brier(score, label, 4) - brier) < 1e-15);
    double gaps = (0.05 + 0.5 + 0.51 + 0.05) / 4; /* four bins of one row */
    assert_true(fabs(metrics_calibration_error(score, label, 4) - gaps) < 1e-15);
    static const double edge[] = {1.0, 1.0};
    static const uint8_t ones[] = {1, 1};
    assert_true(metrics_calibration_error(edge, ones, 2) == 0);
}

static void test_what_has_no_meaning_is_no_number(void **state)
{
    (void)state;
    static const double score[] = {0.1, 0.2};
    static const uint8_t zeros[] = {0, 0}, ones[] = {1, 1};
    assert_true(isnan(metrics_auc(score, zeros, 2)) && isnan(metrics_auc(score, ones, 2)));
    assert_true(isnan(metrics_pr_auc(score, zeros, 2)) && isnan(metrics_f1(score, zeros, 2)));
    assert_true(isnan(metrics_auc(NULL, NULL, 0)) && isnan(metrics_brier(NULL, NULL, 0)));
    struct metric_interval none[METRICS];
    metrics_intervals(&(struct metrics_rows){0}, 1, none);
    assert_true(isnan(none[METRIC_AUC].value) && isnan(none[METRIC_AUC].low95));
}

static void test_intervals_hold_the_value_and_come_out_the_same(void **state)
{
    (void)state;
    make_rows(7);
    const struct metrics_rows rows = {scores, labels, accounts, ROWS, ROWS / 2};
    struct metric_interval first[METRICS], again[METRICS], other[METRICS];
    metrics_intervals(&rows, 3, first);
    metrics_intervals(&rows, 3, again);
    metrics_intervals(&rows, 4, other);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
    for (enum metric metric = 0; metric < METRIC_CALIBRATION; metric++) {
        assert_true(first[metric].low95 < first[metric].value);
        assert_true(first[metric].value < first[metric].high95);
    }
    /* The usual error of an AUC near 0.83 over 400 rows is 0.02: four of them wide. */
    double width = first[METRIC_AUC].high95 - first[METRIC_AUC].low95;
    assert_true(width > 0.05 && width < 0.12);
}

static void test_accounts_are_drawn_with_all_their_rows(void **state)
{
    (void)state;
    make_rows(11);
    for (size_t i = 0; i + 1 < ROWS; i += 2) { /* both rows of an account are the same row */
        scores[i + 1] = scores[i];
        labels[i + 1] = labels[i];
    }
    static uint32_t alone[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        alone[i] = (uint32_t)i;
    }
    const struct metrics_rows by_account = {scores, labels, accounts, ROWS, ROWS / 2};
    const struct metrics_rows by_row = {scores, labels, alone, ROWS, ROWS};
    struct metric_interval wide[METRICS], narrow[METRICS];
    metrics_intervals(&by_account, 1, wide);
    metrics_intervals(&by_row, 1, narrow);
    double ratio = (wide[METRIC_AUC].high95 - wide[METRIC_AUC].low95) /
                   (narrow[METRIC_AUC].high95 - narrow[METRIC_AUC].low95);
    assert_true(ratio > 1.25 && ratio < 1.6); /* sqrt(2) */
}

static void test_a_paired_difference_is_surer_than_two_intervals(void **state)
{
    (void)state;
    make_rows(5);
    const struct metrics_rows rows = {scores, labels, accounts, ROWS, ROWS / 2};
    struct metric_interval gain[METRICS], same[METRICS];
    metrics_differences(&rows, others, 9, gain);
    metrics_differences(&rows, scores, 9, same);
    assert_true(gain[METRIC_AUC].low95 > 0);
    assert_true(gain[METRIC_AUC].value ==
                metrics_auc(others, labels, ROWS) - metrics_auc(scores, labels, ROWS));
    for (enum metric metric = 0; metric < METRICS; metric++) {
        assert_true(same[metric].low95 == 0 && same[metric].high95 == 0);
    }
}

static void test_the_area_under_the_roc_points_is_the_auc(void **state)
{
    (void)state;
    make_rows(13);
    static struct roc_point points[ROWS + 1];
    size_t count = metrics_roc(scores, labels, ROWS, points);
    double area = 0;
    for (size_t i = 1; i < count; i++) {
        area += (points[i].false_positives - points[i - 1].false_positives) *
                (points[i].true_positives + points[i - 1].true_positives) / 2;
    }
    assert_int_equal(count, 22); /* 21 scores and the origin */
    assert_true(fabs(area - metrics_auc(scores, labels, ROWS)) < 1e-12);
    struct calibration_bin bins[METRICS_BINS];
    metrics_calibration(scores, labels, ROWS, bins);
    double error = 0;
    for (size_t i = 0; i < METRICS_BINS; i++) {
        error += (double)bins[i].rows * fabs(bins[i].mean_score - bins[i].share) / ROWS;
    }
    assert_true(fabs(error - metrics_calibration_error(scores, labels, ROWS)) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auc_is_the_share_of_pairs_in_order),
        cmocka_unit_test(test_average_precision_takes_equal_scores_in_one_step),
        cmocka_unit_test(test_f1_brier_and_calibration_by_hand),
        cmocka_unit_test(test_what_has_no_meaning_is_no_number),
        cmocka_unit_test(test_intervals_hold_the_value_and_come_out_the_same),
        cmocka_unit_test(test_accounts_are_drawn_with_all_their_rows),
        cmocka_unit_test(test_a_paired_difference_is_surer_than_two_intervals),
        cmocka_unit_test(test_the_area_under_the_roc_points_is_the_auc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
