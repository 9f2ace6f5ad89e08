/*
 * compare.c: two versions of a model on the same rows: every metric of both, their
 * difference with an interval, and the rows whose label flips.
 */
#include "registry/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *compare_part_name(enum compare_part part)
{
    static const char *const names[COMPARE_PARTS] = {"all", "full", "masked"};
    return names[part];
}

/* The chosen rows of one part, side by side. */
struct scored {
    double *a, *b; /* probability of class 1 */
    uint8_t *labels;
    uint32_t *accounts;
    size_t rows, account_count;
};

static void scored_free(struct scored *scored)
{
    free(scored->a);
    free(scored->b);
    free(scored->labels);
    free(scored->accounts);
}

static bool is_in(const struct train_set *set, size_t row, enum compare_part part)
{
    return part == COMPARE_ALL || (set->masked[row] != 0) == (part == COMPARE_MASKED);
}

/* Accounts get numbers without gaps: rows of one lie behind one another. */
static void gather(const struct train_set *set, const uint8_t *chosen, const double *a,
                   const double *b, enum compare_part part, struct scored *out)
{
    *out = (struct scored){
        .a = mem_alloc((set->rows + 1) * sizeof(double)),
        .b = mem_alloc((set->rows + 1) * sizeof(double)),
        .labels = mem_alloc(set->rows + 1),
        .accounts = mem_alloc((set->rows + 1) * sizeof(uint32_t)),
    };
    uint32_t last = UINT32_MAX;
    for (size_t i = 0; i < set->rows; i++) {
        if ((chosen && !chosen[i]) || !is_in(set, i, part)) {
            continue;
        }
        out->account_count += last != set->accounts[i];
        last = set->accounts[i];
        out->a[out->rows] = a[i];
        out->b[out->rows] = b[i];
        out->labels[out->rows] = set->labels[i];
        out->accounts[out->rows++] = (uint32_t)out->account_count - 1;
    }
}

/* Values of all metrics without an interval. */
static void measure(const double *scores, const uint8_t *labels, size_t rows, double out[METRICS])
{
    out[METRIC_AUC] = metrics_auc(scores, labels, rows);
    out[METRIC_PR_AUC] = metrics_pr_auc(scores, labels, rows);
    out[METRIC_F1] = metrics_f1(scores, labels, rows);
    out[METRIC_BRIER] = metrics_brier(scores, labels, rows);
    out[METRIC_CALIBRATION] = metrics_calibration_error(scores, labels, rows);
}

static void compare_part(const struct scored *scored, int64_t seed, struct compare_line *out)
{
    const struct metrics_rows rows = {.score = scored->a,
                                      .label = scored->labels,
                                      .account = scored->accounts,
                                      .rows = scored->rows,
                                      .accounts = scored->account_count};
    *out = (struct compare_line){.rows = scored->rows, .accounts = scored->account_count};
    if (scored->rows) {
        measure(scored->a, scored->labels, scored->rows, out->a);
        measure(scored->b, scored->labels, scored->rows, out->b);
        metrics_differences(&rows, scored->b, (uint64_t)seed, out->difference);
    }
}

static double *probabilities(const struct score_model *model, const struct train_set *set)
{
    double *out = mem_alloc((set->rows + 1) * sizeof *out);
    gbdt_raw_rows(model->gbdt, set->features, set->rows, out);
    for (size_t i = 0; i < set->rows; i++) {
        out[i] = gbdt_answer(model->gbdt, out[i]);
    }
    return out;
}

/* ---- flips ---- */

/* What the scorers make of a probability. */
static double points(enum score_kind kind, double p)
{
    return kind == SCORE_TRUST ? 100 * (1 - p) : 100 * p;
}

static const char *label(enum score_kind kind, double score)
{
    return kind == SCORE_TRUST ? trust_label(score) : success_label(score);
}

static void find_flips(const struct train_set *set, const uint8_t *chosen, const double *a,
                       const double *b, struct comparison *out)
{
    size_t room = 0;
    for (size_t i = 0; i < set->rows; i++) {
        struct compare_flip flip = {.account = set->names[set->accounts[i]],
                                    .masked = set->masked[i] != 0,
                                    .truth = set->labels[i],
                                    .score_a = points(set->kind, a[i]),
                                    .score_b = points(set->kind, b[i])};
        flip.label_a = label(set->kind, flip.score_a);
        flip.label_b = label(set->kind, flip.score_b);
        if ((chosen && !chosen[i]) || strcmp(flip.label_a, flip.label_b) == 0) {
            continue;
        }
        if (out->flip_count == room) {
            room = room ? room * 2 : 64;
            out->flips = mem_realloc(out->flips, room * sizeof *out->flips);
        }
        out->flips[out->flip_count++] = flip;
    }
}

/* ---- all of it ---- */

static enum kol_status check_classes(const struct scored *scored, struct kol_error *err)
{
    size_t ones = 0;
    for (size_t i = 0; i < scored->rows; i++) {
        ones += scored->labels[i];
    }
    if (!scored->rows) {
        return kol_fail(err, KOL_INVALID, "there are no rows to compare the two versions on");
    }
    if (!ones || ones == scored->rows) {
        return kol_fail(err, KOL_INVALID,
                        "all %zu rows are of class %d: nothing can be compared on them",
                        scored->rows, ones ? 1 : 0);
    }
    return KOL_OK;
}

enum kol_status compare_models(const struct score_model *a, const struct score_model *b,
                               const struct train_set *set, const uint8_t *chosen, int64_t seed,
                               struct comparison *out, struct kol_error *err)
{
    double *of_a = probabilities(a, set), *of_b = probabilities(b, set);
    enum kol_status status = KOL_OK;
    *out = (struct comparison){.flips = NULL};
    for (enum compare_part part = 0; part < COMPARE_PARTS && status == KOL_OK; part++) {
        struct scored scored;
        gather(set, chosen, of_a, of_b, part, &scored);
        if (part == COMPARE_ALL) {
            status = check_classes(&scored, err);
        }
        if (status == KOL_OK) {
            compare_part(&scored, seed, &out->lines[part]);
        }
        scored_free(&scored);
    }
    if (status == KOL_OK) {
        find_flips(set, chosen, of_a, of_b, out);
    }
    if (!out->lines[COMPARE_MASKED].rows) { /* then full says what all says */
        out->lines[COMPARE_FULL] = (struct compare_line){0};
    }
    free(of_a);
    free(of_b);
    return status;
}

void comparison_free(struct comparison *comparison)
{
    free(comparison->flips);
    *comparison = (struct comparison){.flips = NULL};
}

enum kol_status compare_check_better(const struct comparison *comparison, struct kol_error *err)
{
    const struct compare_line *all = &comparison->lines[COMPARE_ALL];
    const struct metric_interval *gain = &all->difference[METRIC_AUC];
    double calibration = all->b[METRIC_CALIBRATION];
    if (!(gain->low95 > 0)) { /* NaN is no gain */
        return kol_fail(err, KOL_CONFLICT,
                        "its AUC on %zu accounts is %.4f against %.4f: the difference of "
                        "%+.4f (95 %%: %+.4f to %+.4f) is not surely above 0",
                        all->accounts, all->b[METRIC_AUC], all->a[METRIC_AUC], gain->value,
                        gain->low95, gain->high95);
    }
    if (!(calibration <= COMPARE_MOST_CALIBRATION)) {
        return kol_fail(err, KOL_CONFLICT,
                        "its calibration error on %zu accounts is %.4f, above %.3f", all->accounts,
                        calibration, COMPARE_MOST_CALIBRATION);
    }
    return KOL_OK;
}
