/* importance.c: what each feature was in training, and what a model loses without it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "registry/train_parts.h"

/* ---- ranges ---- */

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* The value below which `share` of the sorted values lie, one of them: nothing is made up between
 * two values of a flag. */
static double nearest_rank(const double *sorted, size_t count, double share)
{
    size_t at = (size_t)(share * (double)(count - 1) + 0.5);
    return sorted[at];
}

/* What equals the greatest value bounds nothing. Where nearly all values are one, the least bounds
 * those that are not. */
static size_t find_bounds(const double *sorted, size_t count, double *up_to)
{
    size_t found = 0;
    for (int decile = 1; decile < TRAIN_BINS; decile++) {
        double bound = nearest_rank(sorted, count, (double)decile / TRAIN_BINS);
        if (bound < sorted[count - 1] && (!found || bound > up_to[found - 1])) {
            up_to[found++] = bound;
        }
    }
    if (!found && sorted[0] < sorted[count - 1]) {
        up_to[found++] = sorted[0];
    }
    return found;
}

static void count_bins(const double *sorted, size_t count, struct train_range *out)
{
    size_t bin = 0, begin = 0;
    out->bins = find_bounds(sorted, count, out->up_to) + 1;
    for (size_t i = 0; i <= count; i++) {
        while (i == count ? bin < out->bins : bin + 1 < out->bins && sorted[i] > out->up_to[bin]) {
            out->shares[bin++] = (double)(i - begin) / (double)count;
            begin = i;
        }
    }
}

static struct train_range range_of(double *known, size_t count, size_t rows)
{
    struct train_range out = {.min = NAN, .max = NAN};
    out.null_rate = rows ? (double)(rows - count) / (double)rows : NAN;
    for (size_t i = 0; i < TRAIN_QUANTILES; i++) {
        out.quantiles[i] = NAN;
    }
    if (count) {
        qsort(known, count, sizeof *known, by_value);
        out.min = known[0];
        out.max = known[count - 1];
        for (size_t i = 0; i < TRAIN_QUANTILES; i++) {
            out.quantiles[i] = nearest_rank(known, count, train_quantiles[i]);
        }
        count_bins(known, count, &out);
    }
    return out;
}

struct train_range *train_make_ranges(const struct train_set *set, const uint8_t *parts)
{
    struct train_range *out = mem_alloc(set->columns * sizeof *out);
    double *known = mem_alloc((set->rows + 1) * sizeof *known);
    for (size_t column = 0; column < set->columns; column++) {
        size_t rows = 0, count = 0;
        for (size_t row = 0; row < set->rows; row++) {
            double value = set->features[row * set->columns + column];
            if (parts[row] != PART_TEST && !set->masked[row]) {
                rows++;
                known[count] = value;
                count += !isnan(value);
            }
        }
        out[column] = range_of(known, count, rows);
    }
    free(known);
    return out;
}

/* ---- importance ---- */

enum { BLOCK = 256 }; /* rows evaluated together */

static void shuffle(struct random_stream *chance, size_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)random_below(chance, i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

/* The AUC where row i has the feature of row order[i]. */
static double auc_without(const struct train_work *work, const struct train_view *view,
                          size_t feature, const size_t *order, double *scores)
{
    const struct train_set *set = work->set;
    double *block = mem_alloc(BLOCK * set->columns * sizeof *block);
    for (size_t begin = 0; begin < view->count; begin += BLOCK) {
        size_t count = view->count - begin < BLOCK ? view->count - begin : BLOCK;
        for (size_t i = 0; i < count; i++) {
            double *row = block + i * set->columns;
            const double *other = set->features + view->rows[order[begin + i]] * set->columns;
            memcpy(row, set->features + view->rows[begin + i] * set->columns,
                   set->columns * sizeof *row);
            row[feature] = other[feature];
        }
        gbdt_raw_rows(work->model, block, count, scores + begin);
    }
    free(block);
    return metrics_auc(scores, view->labels, view->count);
}

static struct train_loss loss_of(const struct train_work *work, const struct train_view *view,
                                 size_t feature, double whole, size_t *order, double *scores)
{
    struct train_loss out = {0};
    double losses[TRAIN_REPEATS];
    const uint64_t numbers[] = {(uint64_t)work->options->seed, 0x7065726d /* "perm" */, feature};
    struct random_stream chance;
    random_seed(&chance, numbers, ARRAY_LEN(numbers));
    for (size_t i = 0; i < TRAIN_REPEATS; i++) {
        shuffle(&chance, order, view->count);
        losses[i] = whole - auc_without(work, view, feature, order, scores);
        out.mean += losses[i] / TRAIN_REPEATS;
    }
    for (size_t i = 0; i < TRAIN_REPEATS; i++) {
        double gap = losses[i] - out.mean;
        out.deviation += gap * gap / (TRAIN_REPEATS - 1);
    }
    out.deviation = sqrt(out.deviation);
    return out;
}

/* On the test part, not masked: the model has seen all others. Nothing is decided by it. */
enum kol_status train_make_importance(const struct train_work *work, struct train_loss **out,
                                      struct kol_error *err)
{
    const struct train_view *view = &work->full;
    double whole = metrics_auc(view->scores, view->labels, view->count);
    size_t *order = mem_alloc((view->count + 1) * sizeof *order);
    double *scores = mem_alloc((view->count + 1) * sizeof *scores);
    struct train_loss *losses = mem_zalloc(work->set->columns, sizeof *losses);
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < work->set->columns && status == KOL_OK; i++) {
        losses[i] = loss_of(work, view, i, whole, order, scores);
        if (work->options->on_round) {
            status = work->options->on_round("importance", (int64_t)i + 1, NAN, NAN,
                                             work->options->user, err);
        }
    }
    free(scores);
    free(order);
    *out = losses;
    if (status != KOL_OK) {
        free(losses);
        *out = NULL;
    }
    return status;
}
