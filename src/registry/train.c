/*
 * train.c: a training from rows to model, metadata and report.
 *
 *     rows -> split -> LightGBM on train, stopped by validation -> as many trees on train and
 *     validation together -> our own evaluator on test
 *
 * The second pass is worth a fifth more rows: over eight splits of the Twitter accounts it gained
 * 0.0006 of AUC, five times its standard error.
 *
 * What is judged is the model as the program will serve it: the text that LightGBM wrote, read and
 * evaluated by gbdt/.
 */
#include "registry/train.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "registry/train_parts.h"

/* Known to lie on the plateau for the trust data; a search around them gains nothing. One library
 * version, one number of threads and one seed give the same trees. */
const struct train_parameter train_parameters[] = {
    {"objective", "binary"},
    {"metric", "binary_logloss,auc"},
    {"learning_rate", "0.019"},
    {"num_leaves", "124"},
    {"max_depth", "7"},
    {"min_data_in_leaf", "28"},
    {"bagging_fraction", "0.797"},
    {"bagging_freq", "2"},
    {"feature_fraction", "0.847"},
    {"lambda_l1", "1.445"},
    {"min_gain_to_split", "0.263"},
    {"deterministic", "true"},
    {"force_row_wise", "true"},
    {"verbosity", "-1"},
};
const size_t train_parameter_count = ARRAY_LEN(train_parameters);

enum { METRIC_LOSS, METRIC_OF_AUC, LIGHTGBM_METRICS }; /* as `metric` names them */

enum { LEAST_ACCOUNTS = 100, LEAST_OF_A_CLASS = 20 };

const struct score_feature *train_features(enum score_kind kind)
{
    return kind == SCORE_TRUST ? trust_feature_table : success_feature_table;
}

static const char *const *feature_names(enum score_kind kind)
{
    return kind == SCORE_TRUST ? trust_feature_names : success_feature_names;
}

/* ---- views ---- */

void train_view_make(const struct train_set *set, const uint8_t *parts, enum train_part part,
                     bool masked, struct train_view *out)
{
    *out = (struct train_view){
        .rows = mem_alloc((set->rows + 1) * sizeof *out->rows),
        .labels = mem_alloc(set->rows + 1),
        .accounts = mem_alloc((set->rows + 1) * sizeof *out->accounts),
    };
    for (size_t row = 0; row < set->rows; row++) {
        if (parts[row] != part || set->masked[row] != masked) {
            continue;
        }
        size_t before = out->count ? out->rows[out->count - 1] : 0;
        bool first = out->count == 0 || set->accounts[row] != set->accounts[before];
        out->account_count += first;
        out->rows[out->count] = row;
        out->labels[out->count] = set->labels[row];
        out->accounts[out->count++] = (uint32_t)out->account_count - 1;
    }
}

void train_view_free(struct train_view *view)
{
    free(view->rows);
    free(view->labels);
    free(view->accounts);
    free(view->scores);
    *view = (struct train_view){0};
}

void train_view_score(const struct train_set *set, const struct gbdt_model *model,
                      struct train_view *view)
{
    free(view->scores);
    view->scores = mem_alloc((view->count + 1) * sizeof *view->scores);
    for (size_t i = 0; i < view->count; i++) {
        double raw = gbdt_raw(model, set->features + view->rows[i] * set->columns);
        view->scores[i] = gbdt_answer(model, raw);
    }
}

struct train_quality train_view_quality(const struct train_view *view, uint64_t seed)
{
    struct train_quality out = {.rows = view->count, .accounts = view->account_count};
    const struct metrics_rows rows = {.score = view->scores,
                                      .label = view->labels,
                                      .account = view->accounts,
                                      .rows = view->count,
                                      .accounts = view->account_count};
    for (size_t i = 0; i < view->count; i++) {
        out.positives += view->labels[i];
    }
    metrics_intervals(&rows, seed, out.metrics);
    return out;
}

/* ---- LightGBM ---- */

/* Which rows LightGBM gets: of some parts, with or without the masked copies. */
struct choice {
    unsigned parts; /* bits by enum train_part */
    bool full_only;
};

enum { TRAIN_BIT = 1 << PART_TRAIN, VALIDATION_BIT = 1 << PART_VALIDATION };

static bool chosen(const struct train_work *work, struct choice choice, size_t row)
{
    return (choice.parts >> work->parts[row] & 1) && !(choice.full_only && work->set->masked[row]);
}

/* Rows as LightGBM takes them. */
struct matrix {
    double *features;
    float *labels;
    size_t rows;
};

static struct matrix gather(const struct train_work *work, struct choice choice)
{
    const struct train_set *set = work->set;
    struct matrix out = {0};
    for (size_t row = 0; row < set->rows; row++) {
        out.rows += chosen(work, choice, row);
    }
    out.features = mem_alloc(out.rows * set->columns * sizeof *out.features);
    out.labels = mem_alloc(out.rows * sizeof *out.labels);
    size_t at = 0;
    for (size_t row = 0; row < set->rows; row++) {
        if (!chosen(work, choice, row)) {
            continue;
        }
        for (size_t i = 0; i < set->columns; i++) {
            out.features[at * set->columns + i] = set->features[row * set->columns + i];
        }
        out.labels[at++] = set->labels[row];
    }
    return out;
}

static enum kol_status make_data(const struct train_work *work, struct choice choice,
                                 const char *parameters, void *reference, void **out,
                                 struct kol_error *err)
{
    struct matrix matrix = gather(work, choice);
    const struct lightgbm_rows rows = {
        .features = matrix.features,
        .labels = matrix.labels,
        .rows = matrix.rows,
        .columns = work->set->columns,
        .names = feature_names(work->set->kind),
    };
    enum kol_status status = lightgbm_data(&work->lib, &rows, parameters, reference, out, err);
    free(matrix.features);
    free(matrix.labels);
    return status;
}

static void put_parameters(const struct train_options *options, struct buf *out)
{
    for (size_t i = 0; i < train_parameter_count; i++) {
        buf_printf(out, "%s=%s ", train_parameters[i].name, train_parameters[i].value);
    }
    buf_printf(out, "seed=%lld num_threads=%d", (long long)options->seed, options->threads);
}

static enum kol_status told(const struct train_work *work, const char *what, int64_t round,
                            const double metrics[LIGHTGBM_METRICS], struct kol_error *err)
{
    const struct train_options *options = work->options;
    return options->on_round ? options->on_round(what, round, metrics[METRIC_LOSS],
                                                 metrics[METRIC_OF_AUC], options->user, err)
                             : KOL_OK;
}

/* Rounds until the validation loss has not fallen for TRAIN_PATIENCE of them. */
static enum kol_status find_trees(struct train_work *work, void *booster, struct kol_error *err)
{
    int64_t most = work->options->most_trees ? work->options->most_trees : TRAIN_MOST_TREES;
    bool finished = false;
    work->rounds = work->trees = 0;
    work->best_loss = INFINITY;
    while (!finished && work->rounds < most && work->rounds - work->trees < TRAIN_PATIENCE) {
        double metrics[LIGHTGBM_METRICS];
        enum kol_status status =
            lightgbm_round(&work->lib, booster, metrics, LIGHTGBM_METRICS, &finished, err);
        if (status == KOL_OK) {
            status = told(work, "trees", work->rounds + 1, metrics, err);
        }
        if (status != KOL_OK) {
            return status;
        }
        work->rounds++;
        if (metrics[METRIC_LOSS] < work->best_loss) {
            work->best_loss = metrics[METRIC_LOSS];
            work->trees = work->rounds;
        }
    }
    return KOL_OK;
}

/* As many rounds as there were trees at the best one. */
static enum kol_status grow_trees(struct train_work *work, void *booster, struct kol_error *err)
{
    bool finished = false;
    enum kol_status status = KOL_OK;
    for (int64_t i = 0; i < work->trees && status == KOL_OK && !finished; i++) {
        const double none[LIGHTGBM_METRICS] = {NAN, NAN};
        status = lightgbm_round(&work->lib, booster, NULL, 0, &finished, err);
        if (status == KOL_OK) {
            status = told(work, "model", i + 1, none, err);
        }
    }
    return status;
}

/* One pass: `find`: over the train part, which says how many trees there are to be; else over train
 * and validation together, whose text goes to `out`. */
static enum kol_status pass(struct train_work *work, bool find, bool full_only, struct buf *out,
                            struct kol_error *err)
{
    void *rows = NULL, *validation = NULL, *booster = NULL;
    struct buf parameters = {0};
    unsigned parts = find ? TRAIN_BIT : TRAIN_BIT | VALIDATION_BIT;
    put_parameters(work->options, &parameters);
    enum kol_status status =
        make_data(work, (struct choice){parts, full_only}, parameters.ptr, NULL, &rows, err);
    if (status == KOL_OK && find) {
        status = make_data(work, (struct choice){VALIDATION_BIT, full_only}, parameters.ptr, rows,
                           &validation, err);
    }
    if (status == KOL_OK) {
        status = lightgbm_booster(&work->lib, rows, validation, parameters.ptr, &booster, err);
    }
    if (status == KOL_OK) {
        status = find ? find_trees(work, booster, err) : grow_trees(work, booster, err);
    }
    if (status == KOL_OK && !find) {
        status = lightgbm_save(&work->lib, booster, work->trees, out, err);
    }
    lightgbm_free_booster(&work->lib, booster);
    lightgbm_free_data(&work->lib, validation);
    lightgbm_free_data(&work->lib, rows);
    buf_free(&parameters);
    return status;
}

static enum kol_status fit(struct train_work *work, bool full_only, struct buf *out,
                           struct kol_error *err)
{
    enum kol_status status = pass(work, true, full_only, NULL, err);
    return status == KOL_OK ? pass(work, false, full_only, out, err) : status;
}

/* The program's own reading of a text that LightGBM has just written. */
static enum kol_status read_back(const struct train_work *work, const struct buf *text,
                                 struct gbdt_model **out, struct kol_error *err)
{
    if (!str_starts(buf_str(text), STR("tree\nversion=v4\n"))) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "%s writes models of another version than v4: LightGBM 4 is needed",
                        work->lib.path);
    }
    enum kol_status status = gbdt_parse(buf_str(text), out, err);
    if (status == KOL_OK) {
        status = score_check_model(work->set->kind, *out, err);
        if (status != KOL_OK) {
            gbdt_free(out);
        }
    }
    return status;
}

/* ---- a training ---- */

static enum kol_status check_set(const struct train_options *options, struct kol_error *err)
{
    const struct train_set *set = options->set;
    size_t of_class[2] = {0, 0};
    if (options->seed < 0 || options->seed > INT32_MAX) {
        return kol_fail(err, KOL_USAGE, "a seed is 0 to %d, not %lld", INT32_MAX,
                        (long long)options->seed);
    }
    for (size_t row = 0; row < set->rows; row++) {
        bool first = row == 0 || set->accounts[row] != set->accounts[row - 1];
        of_class[set->labels[row] != 0] += first;
    }
    if (set->account_count < LEAST_ACCOUNTS || of_class[0] < LEAST_OF_A_CLASS ||
        of_class[1] < LEAST_OF_A_CLASS) {
        return kol_fail(err, KOL_INVALID,
                        "%zu of class 1 and %zu of class 0 are too few to learn from: at least %d, "
                        "and %d of each class, are needed",
                        of_class[1], of_class[0], LEAST_ACCOUNTS, LEAST_OF_A_CLASS);
    }
    return KOL_OK;
}

/* The same recipe without the masked copies, judged on the same test rows: what the copies buy. */
static enum kol_status compare_alone(struct train_work *work, struct train_result *result,
                                     struct kol_error *err)
{
    struct train_work alone = *work;
    struct train_view full = {0}, masked = {0};
    struct buf text = {0};
    alone.model = NULL;
    enum kol_status status = fit(&alone, true, &text, err);
    if (status == KOL_OK) {
        status = read_back(&alone, &text, &alone.model, err);
    }
    if (status == KOL_OK) {
        uint64_t seed = (uint64_t)work->options->seed;
        train_view_make(work->set, work->parts, PART_TEST, false, &full);
        train_view_make(work->set, work->parts, PART_TEST, true, &masked);
        train_view_score(work->set, alone.model, &full);
        train_view_score(work->set, alone.model, &masked);
        result->alone_full = train_view_quality(&full, seed);
        result->alone_masked = train_view_quality(&masked, seed);
    }
    train_view_free(&full);
    train_view_free(&masked);
    gbdt_free(&alone.model);
    buf_free(&text);
    return status;
}

/* The test part is looked at here, once. */
static void judge(struct train_work *work, struct train_result *result)
{
    uint64_t seed = (uint64_t)work->options->seed;
    train_view_make(work->set, work->parts, PART_TEST, false, &work->full);
    train_view_make(work->set, work->parts, PART_TEST, true, &work->masked);
    train_view_score(work->set, work->model, &work->full);
    train_view_score(work->set, work->model, &work->masked);
    result->full = train_view_quality(&work->full, seed);
    result->masked = train_view_quality(&work->masked, seed);
    result->trees = work->trees;
}

static enum kol_status train(struct train_work *work, struct train_result *result,
                             struct kol_error *err)
{
    const struct train_options *options = work->options;
    enum kol_status status = train_split(work->set, options->seed, work->parts, err);
    if (status == KOL_OK) {
        status = lightgbm_load(options->library, &work->lib, err);
    }
    if (status == KOL_OK) {
        status = fit(work, false, &result->model, err);
    }
    if (status == KOL_OK) {
        status = read_back(work, &result->model, &work->model, err);
    }
    if (status == KOL_OK) {
        judge(work, result);
        work->ranges = train_make_ranges(work->set, work->parts);
        status = train_make_importance(work, &work->importance, err);
    }
    if (status == KOL_OK && options->compare && work->set->kind == SCORE_TRUST) {
        status = compare_alone(work, result, err);
    }
    return status;
}

enum kol_status train_run(const struct train_options *options, struct train_result *out,
                          struct kol_error *err)
{
    *out = (struct train_result){0};
    enum kol_status status = check_set(options, err);
    if (status != KOL_OK) {
        return status;
    }
    struct train_work work = {
        .options = options,
        .set = options->set,
        .parts = mem_alloc(options->set->rows),
    };
    status = train(&work, out, err);
    if (status == KOL_OK) {
        train_put_metadata(&work, out, &out->metadata);
        train_put_report(&work, out, &out->report);
    } else {
        train_result_free(out);
    }
    train_view_free(&work.full);
    train_view_free(&work.masked);
    gbdt_free(&work.model);
    free(work.ranges);
    free(work.importance);
    free(work.parts);
    return status;
}

void train_result_free(struct train_result *result)
{
    buf_free(&result->model);
    buf_free(&result->metadata);
    buf_free(&result->report);
    *result = (struct train_result){0};
}
