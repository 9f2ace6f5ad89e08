/*
 * metrics.c: every metric as a walk over rows that are sorted once and carry weights: a draw of the
 * bootstrap only changes the weights.
 */
#include "registry/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"

struct point {
    double score;
    uint32_t account;
    uint32_t row;
    uint8_t label;
};

/* Rows by falling score; rows of equal score stand together. */
struct sorted {
    struct point *points;
    size_t count;
};

static const char *const names[METRICS] = {
    [METRIC_AUC] = "auc",
    [METRIC_PR_AUC] = "pr_auc",
    [METRIC_F1] = "f1",
    [METRIC_BRIER] = "brier",
    [METRIC_CALIBRATION] = "calibration_error",
};

const char *metric_name(enum metric metric)
{
    return names[metric];
}

static int by_falling_score(const void *left, const void *right)
{
    const struct point *a = left, *b = right;
    if (a->score != b->score) {
        return a->score > b->score ? -1 : 1;
    }
    return a->row < b->row ? -1 : a->row > b->row;
}

static struct sorted sort(const double *score, const struct metrics_rows *rows)
{
    struct sorted out = {mem_alloc(rows->rows * sizeof *out.points), rows->rows};
    for (size_t i = 0; i < out.count; i++) {
        out.points[i] = (struct point){
            .score = score[i],
            .label = rows->label[i],
            .account = rows->account ? rows->account[i] : (uint32_t)i,
            .row = (uint32_t)i,
        };
    }
    if (out.count) {
        qsort(out.points, out.count, sizeof *out.points, by_falling_score);
    }
    return out;
}

/* ---- the metrics ---- */

/* How often each account counts; NULL: once. */
static double weight_of(const uint32_t *weights, const struct point *point)
{
    return weights ? weights[point->account] : 1.0;
}

/* The weight of both classes among the points of one score, from `*at` on, which moves behind. */
static void take_ties(const struct sorted *sorted, const uint32_t *weights, size_t *at,
                      double of_class[2])
{
    double score = sorted->points[*at].score;
    of_class[0] = of_class[1] = 0;
    for (; *at < sorted->count && sorted->points[*at].score == score; ++*at) {
        of_class[sorted->points[*at].label] += weight_of(weights, &sorted->points[*at]);
    }
}

static void class_weights(const struct sorted *sorted, const uint32_t *weights, double of_class[2])
{
    of_class[0] = of_class[1] = 0;
    for (size_t i = 0; i < sorted->count; i++) {
        of_class[sorted->points[i].label] += weight_of(weights, &sorted->points[i]);
    }
}

static double auc(const struct sorted *sorted, const uint32_t *weights)
{
    double total[2], ties[2], positives = 0, won = 0;
    class_weights(sorted, weights, total);
    for (size_t i = 0; i < sorted->count;) {
        take_ties(sorted, weights, &i, ties);
        won += ties[0] * (positives + ties[1] / 2);
        positives += ties[1];
    }
    return total[0] > 0 && total[1] > 0 ? won / (total[0] * total[1]) : NAN;
}

static double pr_auc(const struct sorted *sorted, const uint32_t *weights)
{
    double total[2], ties[2], called = 0, positives = 0, area = 0;
    class_weights(sorted, weights, total);
    for (size_t i = 0; i < sorted->count;) {
        take_ties(sorted, weights, &i, ties);
        positives += ties[1];
        called += ties[0] + ties[1];
        area += called > 0 ? ties[1] * (positives / called) : 0;
    }
    return total[0] > 0 && total[1] > 0 ? area / total[1] : NAN;
}

static double f1(const struct sorted *sorted, const uint32_t *weights)
{
    double right = 0, called = 0, positives = 0;
    for (size_t i = 0; i < sorted->count; i++) {
        const struct point *point = &sorted->points[i];
        double weight = weight_of(weights, point);
        bool call = point->score >= METRICS_CUTOFF;
        right += call && point->label ? weight : 0;
        called += call ? weight : 0;
        positives += point->label ? weight : 0;
    }
    return called + positives > 0 ? 2 * right / (called + positives) : NAN;
}

static double brier(const struct sorted *sorted, const uint32_t *weights)
{
    double sum = 0, total = 0;
    for (size_t i = 0; i < sorted->count; i++) {
        const struct point *point = &sorted->points[i];
        double weight = weight_of(weights, point), error = point->score - point->label;
        sum += weight * (error * error);
        total += weight;
    }
    return total > 0 ? sum / total : NAN;
}

static size_t bin_of(double score)
{
    size_t bin = (size_t)(score * METRICS_BINS);
    return bin < METRICS_BINS ? bin : METRICS_BINS - 1;
}

static double calibration(const struct sorted *sorted, const uint32_t *weights)
{
    double gap[METRICS_BINS] = {0}, total = 0, sum = 0;
    for (size_t i = 0; i < sorted->count; i++) {
        const struct point *point = &sorted->points[i];
        double weight = weight_of(weights, point);
        gap[bin_of(point->score)] += weight * (point->score - point->label);
        total += weight;
    }
    for (size_t i = 0; i < METRICS_BINS; i++) {
        sum += fabs(gap[i]);
    }
    return total > 0 ? sum / total : NAN;
}

static double (*const of_sorted[METRICS])(const struct sorted *sorted, const uint32_t *weights) = {
    [METRIC_AUC] = auc,     [METRIC_PR_AUC] = pr_auc,           [METRIC_F1] = f1,
    [METRIC_BRIER] = brier, [METRIC_CALIBRATION] = calibration,
};

static double once(enum metric metric, const double *score, const uint8_t *label, size_t n)
{
    const struct metrics_rows rows = {.score = score, .label = label, .rows = n};
    struct sorted sorted = sort(score, &rows);
    double value = of_sorted[metric](&sorted, NULL);
    free(sorted.points);
    return value;
}

double metrics_auc(const double *score, const uint8_t *label, size_t n)
{
    return once(METRIC_AUC, score, label, n);
}

double metrics_pr_auc(const double *score, const uint8_t *label, size_t n)
{
    return once(METRIC_PR_AUC, score, label, n);
}

double metrics_f1(const double *score, const uint8_t *label, size_t n)
{
    return once(METRIC_F1, score, label, n);
}

double metrics_brier(const double *score, const uint8_t *label, size_t n)
{
    return once(METRIC_BRIER, score, label, n);
}

double metrics_calibration_error(const double *score, const uint8_t *label, size_t n)
{
    return once(METRIC_CALIBRATION, score, label, n);
}

/* ---- intervals ---- */

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* Between the two nearest of `count` sorted values. */
static double quantile(const double *sorted, size_t count, double share)
{
    if (count == 0) {
        return NAN;
    }
    double at = share * (double)(count - 1);
    size_t below = (size_t)at, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

static void set_interval(struct metric_interval *out, double *draws, size_t count)
{
    qsort(draws, count, sizeof *draws, by_value);
    out->low95 = quantile(draws, count, 0.025);
    out->high95 = quantile(draws, count, 0.975);
}

static double difference(enum metric metric, const struct sorted *of, const struct sorted *minus,
                         const uint32_t *weights)
{
    double value = of_sorted[metric](of, weights);
    return minus ? value - of_sorted[metric](minus, weights) : value;
}

/* Accounts with replacement, as many as there are. */
static void draw(struct random_stream *chance, uint32_t *weights, size_t accounts)
{
    for (size_t i = 0; i < accounts; i++) {
        weights[i] = 0;
    }
    for (size_t i = 0; i < accounts; i++) {
        weights[random_below(chance, accounts)]++;
    }
}

static void bootstrap(const struct sorted *of, const struct sorted *minus, size_t accounts,
                      uint64_t seed, struct metric_interval out[METRICS])
{
    double(*draws)[METRICS_DRAWS] = mem_alloc(METRICS * sizeof *draws);
    size_t counts[METRICS] = {0};
    uint32_t *weights = mem_alloc(accounts * sizeof *weights);
    const uint64_t numbers[] = {seed, 0x626f6f74}; /* "boot": no stream of another purpose */
    struct random_stream chance;
    random_seed(&chance, numbers, ARRAY_LEN(numbers));
    for (size_t i = 0; i < METRICS_DRAWS && accounts; i++) {
        draw(&chance, weights, accounts);
        for (enum metric metric = 0; metric < METRICS; metric++) {
            double value = difference(metric, of, minus, weights);
            if (!isnan(value)) {
                draws[metric][counts[metric]++] = value;
            }
        }
    }
    for (enum metric metric = 0; metric < METRICS; metric++) {
        out[metric].value = difference(metric, of, minus, NULL);
        set_interval(&out[metric], draws[metric], counts[metric]);
    }
    free(weights);
    free(draws);
}

void metrics_intervals(const struct metrics_rows *rows, uint64_t seed,
                       struct metric_interval out[METRICS])
{
    struct sorted sorted = sort(rows->score, rows);
    bootstrap(&sorted, NULL, rows->accounts, seed, out);
    free(sorted.points);
}

void metrics_differences(const struct metrics_rows *rows, const double *other, uint64_t seed,
                         struct metric_interval out[METRICS])
{
    struct sorted minus = sort(rows->score, rows), of = sort(other, rows);
    bootstrap(&of, &minus, rows->accounts, seed, out);
    free(minus.points);
    free(of.points);
}

/* ---- curves ---- */

size_t metrics_roc(const double *score, const uint8_t *label, size_t n, struct roc_point *out)
{
    const struct metrics_rows rows = {.score = score, .label = label, .rows = n};
    struct sorted sorted = sort(score, &rows);
    double total[2], ties[2], sum[2] = {0, 0};
    size_t count = 0;
    class_weights(&sorted, NULL, total);
    bool both = total[0] > 0 && total[1] > 0;
    if (both) {
        out[count++] = (struct roc_point){0, 0};
    }
    for (size_t i = 0; i < n && both;) {
        take_ties(&sorted, NULL, &i, ties);
        sum[0] += ties[0];
        sum[1] += ties[1];
        out[count++] = (struct roc_point){sum[0] / total[0], sum[1] / total[1]};
    }
    free(sorted.points);
    return count;
}

void metrics_calibration(const double *score, const uint8_t *label, size_t n,
                         struct calibration_bin out[METRICS_BINS])
{
    for (size_t i = 0; i < METRICS_BINS; i++) {
        out[i] = (struct calibration_bin){0};
    }
    for (size_t i = 0; i < n; i++) {
        struct calibration_bin *bin = &out[bin_of(score[i])];
        bin->rows++;
        bin->mean_score += score[i];
        bin->share += label[i];
    }
    for (size_t i = 0; i < METRICS_BINS; i++) {
        out[i].mean_score /= (double)out[i].rows; /* 0 / 0: NaN */
        out[i].share /= (double)out[i].rows;
    }
}
