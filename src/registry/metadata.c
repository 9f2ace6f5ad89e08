/*
 * metadata.c: metadata.json of a trained version: what it was made from, how, and how good it is.
 *
 * Holds no time, so that the same training gives the same bytes.
 */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "registry/train_parts.h"

/* JSON with two spaces an indent; a member that is `flat` stands on one line. */
struct writer {
    struct buf *out;
    int depth;
    bool first; /* nothing stands in the innermost object or array yet */
    int flat;   /* depth from which on all is one line; 0: none */
};

static void next_line(struct writer *json)
{
    if (json->flat && json->depth >= json->flat) {
        buf_puts(json->out, json->first ? "" : ", ");
    } else {
        buf_printf(json->out, "%s\n%*s", json->first ? "" : ",", json->depth * 2, "");
    }
    json->first = false;
}

/* `key` NULL: an element of an array. */
static void member(struct writer *json, const char *key)
{
    next_line(json);
    if (key) {
        text_put_json(json->out, str_of(key));
        buf_puts(json->out, ": ");
    }
}

static void open(struct writer *json, const char *key, char bracket, bool flat)
{
    if (json->depth) {
        member(json, key);
    }
    buf_putc(json->out, bracket);
    json->depth++;
    json->first = true;
    if (flat && !json->flat) {
        json->flat = json->depth;
    }
}

static void shut(struct writer *json, char bracket)
{
    bool flat = json->flat && json->depth >= json->flat;
    if (json->flat == json->depth) {
        json->flat = 0;
    }
    json->depth--;
    if (!flat) {
        buf_printf(json->out, "\n%*s", json->depth * 2, "");
    }
    buf_putc(json->out, bracket);
    json->first = false;
}

static void put_text(struct writer *json, const char *key, const char *value)
{
    member(json, key);
    text_put_json(json->out, str_of(value));
}

static void put_int(struct writer *json, const char *key, int64_t value)
{
    member(json, key);
    buf_put_int64(json->out, value);
}

static void put_real(struct writer *json, const char *key, double value)
{
    member(json, key);
    if (isfinite(value)) {
        buf_put_double(json->out, value);
    } else {
        buf_puts(json->out, "null");
    }
}

/* ---- data ---- */

static void put_part(struct writer *json, const struct train_work *work, int part)
{
    const struct train_set *set = work->set;
    int64_t rows = 0, accounts = 0, positives = 0;
    for (size_t row = 0; row < set->rows; row++) {
        if (part == TRAIN_PARTS || work->parts[row] == part) {
            bool first = row == 0 || set->accounts[row] != set->accounts[row - 1];
            rows++;
            accounts += first;
            positives += first && set->labels[row];
        }
    }
    open(json, part == TRAIN_PARTS ? "all" : train_part_name((enum train_part)part), '{', true);
    put_int(json, "rows", rows);
    put_int(json, "accounts", accounts);
    put_int(json, "accounts_of_class_1", positives);
    shut(json, '}');
}

/* One hash over the names in the test part: whether two versions were judged on the same. */
static void put_test_hash(struct writer *json, const struct train_work *work)
{
    const struct train_set *set = work->set;
    struct buf names = {0}, hash = {0};
    for (size_t row = 0; row < set->rows; row++) {
        bool first = row == 0 || set->accounts[row] != set->accounts[row - 1];
        if (first && work->parts[row] == PART_TEST) {
            buf_put(&names, set->names[set->accounts[row]]);
            buf_putc(&names, '\n');
        }
    }
    hash_put_hex128(&hash, buf_str(&names));
    put_text(json, "test_accounts_xxh128", hash.ptr);
    buf_free(&hash);
    buf_free(&names);
}

static void put_data(struct writer *json, const struct train_work *work)
{
    bool given = work->set->parts[0] < TRAIN_PARTS;
    member(json, "source");
    buf_put(json->out, work->set->source.len ? buf_str(&work->set->source) : STR("{}"));
    open(json, "data", '{', false);
    for (int part = 0; part <= TRAIN_PARTS; part++) {
        put_part(json, work, part);
    }
    shut(json, '}');
    open(json, "split", '{', false);
    put_text(json, "unit", work->set->kind == SCORE_TRUST ? "account" : "product");
    put_text(json, "rule",
             given
                 ? "as the column `split` of the rows says"
                 : "of each class, in the order of XXH3-64 of SEED/NAME: the first 15 % test, the "
                   "next 15 % validation, the others train");
    put_int(json, "seed", work->options->seed);
    put_test_hash(json, work);
    shut(json, '}');
}

/* ---- training ---- */

static void put_training(struct writer *json, const struct train_work *work)
{
    const struct train_options *options = work->options;
    open(json, "library", '{', true);
    put_text(json, "name", "LightGBM");
    put_text(json, "version", work->lib.version);
    shut(json, '}');
    open(json, "parameters", '{', false);
    for (size_t i = 0; i < train_parameter_count; i++) {
        put_text(json, train_parameters[i].name, train_parameters[i].value);
    }
    put_int(json, "seed", options->seed);
    put_int(json, "num_threads", options->threads);
    shut(json, '}');
    open(json, "early_stopping", '{', false);
    put_text(json, "on", "binary_logloss of the validation part, all of its rows");
    put_int(json, "patience", TRAIN_PATIENCE);
    put_int(json, "rounds", work->rounds);
    put_int(json, "trees", work->trees);
    put_real(json, "loss", work->best_loss);
    put_text(json, "then", "as many trees from the train and validation parts together");
    shut(json, '}');
}

static void put_reals(struct writer *json, const char *key, const double *values, size_t count)
{
    open(json, key, '[', true);
    for (size_t i = 0; i < count; i++) {
        put_real(json, NULL, values[i]);
    }
    shut(json, ']');
}

static void put_features(struct writer *json, const struct train_work *work)
{
    const struct score_feature *table = train_features(work->set->kind);
    put_text(json, "features_over",
             "the rows of the train and validation parts as they are, not masked");
    put_reals(json, "quantile_shares", train_quantiles, TRAIN_QUANTILES);
    open(json, "features", '[', false);
    for (size_t i = 0; i < work->set->columns; i++) {
        const struct train_range *range = &work->ranges[i];
        open(json, NULL, '{', true);
        put_text(json, "name", table[i].name);
        put_real(json, "min", range->min);
        put_real(json, "max", range->max);
        put_real(json, "null_rate", range->null_rate);
        put_reals(json, "quantiles", range->quantiles, TRAIN_QUANTILES);
        put_reals(json, "bins_up_to", range->up_to, range->bins ? range->bins - 1 : 0);
        put_reals(json, "bin_shares", range->shares, range->bins);
        shut(json, '}');
    }
    shut(json, ']');
}

/* ---- quality ---- */

static void put_quality(struct writer *json, const char *key, const struct train_quality *quality)
{
    if (quality->rows == 0) {
        return;
    }
    open(json, key, '{', false);
    put_int(json, "rows", (int64_t)quality->rows);
    put_int(json, "accounts", (int64_t)quality->accounts);
    put_int(json, "positives", (int64_t)quality->positives);
    for (enum metric metric = 0; metric < METRICS; metric++) {
        const struct metric_interval *interval = &quality->metrics[metric];
        open(json, metric_name(metric), '{', true);
        put_real(json, "value", interval->value);
        put_real(json, "low95", interval->low95);
        put_real(json, "high95", interval->high95);
        shut(json, '}');
    }
    shut(json, '}');
}

static void put_metrics(struct writer *json, const struct train_result *result)
{
    open(json, "metrics", '{', false);
    put_text(json, "on",
             "the test part, looked at once; intervals of 95 % from 1000 draws of its "
             "accounts");
    put_quality(json, "full", &result->full);
    put_quality(json, "masked", &result->masked);
    shut(json, '}');
    if (result->alone_full.rows) {
        open(json, "comparison", '{', false);
        put_text(json, "model", "the same recipe from the full rows alone, on the same test part");
        put_text(json, "why_not_served",
                 "it has never seen an account whose age and default-profile flags are unknown, "
                 "and judges those worse: compare `masked` with metrics.masked");
        put_quality(json, "full", &result->alone_full);
        put_quality(json, "masked", &result->alone_masked);
        shut(json, '}');
    }
}

static void put_importance(struct writer *json, const struct train_work *work)
{
    const struct score_feature *table = train_features(work->set->kind);
    open(json, "importance", '{', false);
    put_text(json, "what",
             "loss of AUC on the test part, not masked, when the values of one "
             "feature are dealt out among its rows; features that say the same "
             "stand in for one another, so that each seems to matter less");
    put_int(json, "repeats", TRAIN_REPEATS);
    open(json, "features", '[', false);
    for (size_t i = 0; i < work->set->columns; i++) {
        open(json, NULL, '{', true);
        put_text(json, "name", table[i].name);
        put_real(json, "loss", work->importance[i].mean);
        put_real(json, "deviation", work->importance[i].deviation);
        shut(json, '}');
    }
    shut(json, ']');
    shut(json, '}');
}

void train_put_metadata(const struct train_work *work, const struct train_result *result,
                        struct buf *out)
{
    struct writer json = {.out = out};
    open(&json, NULL, '{', false);
    put_text(&json, "model", score_kind_name(work->set->kind));
    put_text(&json, "class_1", work->set->kind == SCORE_TRUST ? "untrustworthy" : "high");
    put_text(&json, "program", work->options->program ? work->options->program : "");
    put_data(&json, work);
    put_training(&json, work);
    put_metrics(&json, result);
    put_importance(&json, work);
    put_features(&json, work);
    shut(&json, '}');
    buf_putc(out, '\n');
}
