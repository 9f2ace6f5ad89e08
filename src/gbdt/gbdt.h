/*
 * gbdt.h: gradient-boosted trees as LightGBM writes them (text models, version v3 and v4): read,
 * evaluated, explained.
 *
 * Raw scores are those of lib_lightgbm bit for bit: values are compared as doubles, leaves are
 * added in the order of the trees. There is one portable evaluator that is always right, and faster
 * ones that take the models they can and give the same bits; which is chosen when a model is read,
 * by the CPU and the model. GBDT_PATH in the environment (portable, avx2, avx512, vbmi, ...) forces
 * one: a name that the CPU or the build does not have is an error of gbdt_read(); a model that the
 * named one does not take is left to the portable one.
 *
 * What it does not do is refused by name at reading: linear trees, more than one class or more than
 * one tree an iteration, objectives other than those of enum gbdt_objective.
 *
 * Threads: a model does not change after it was read; every function here may be called by any
 * number of threads on one model at once. gbdt_raw() and gbdt_raw_rows() allocate nothing.
 */
#ifndef GBDT_GBDT_H
#define GBDT_GBDT_H

#include "base/error.h"
#include "base/str.h"

/* Bounds of what is read; a file beyond one is refused by name. */
#define GBDT_MAX_BYTES (1 << 30)
#define GBDT_MAX_FEATURES 65536
#define GBDT_MAX_TREES 100000
#define GBDT_MAX_LEAF 1e100 /* a leaf value lies in [-this, this]: no sum overflows */

enum gbdt_objective {
    GBDT_REGRESSION, /* raw score = answer (regression, regression_l1, huber, fair, ...) */
    GBDT_BINARY,     /* raw score = log-odds: answer = 1 / (1 + exp(-sigmoid * raw)) */
};

enum gbdt_range {
    GBDT_UNUSED,     /* "none": constant in training, no tree asks for it */
    GBDT_NUMERICAL,  /* [min:max] seen in training */
    GBDT_CATEGORIES, /* a:b:c, the categories seen in training */
};

struct gbdt_feature {
    struct str name;
    enum gbdt_range range;
    double min, max;       /* GBDT_NUMERICAL */
    const int *categories; /* GBDT_CATEGORIES, ascending */
    size_t category_count;
};

struct gbdt_model;

/* Reads a model; `text` may go afterwards. KOL_INVALID says what is wrong and in which tree or
 * line, KOL_UNSUPPORTED names what this reader does not do. Time and memory are linear in the size
 * of the text, whatever it holds. */
enum kol_status gbdt_parse(struct str text, struct gbdt_model **out,
                           struct kol_error *err) KOL_CHECKED;
enum kol_status gbdt_read(const char *path, struct gbdt_model **out,
                          struct kol_error *err) KOL_CHECKED;
void gbdt_free(struct gbdt_model **model);

size_t gbdt_feature_count(const struct gbdt_model *model);
const struct gbdt_feature *gbdt_features(const struct gbdt_model *model);
size_t gbdt_tree_count(const struct gbdt_model *model);
size_t gbdt_leaf_count(const struct gbdt_model *model); /* of all trees */
enum gbdt_objective gbdt_objective(const struct gbdt_model *model);
double gbdt_sigmoid(const struct gbdt_model *model);           /* GBDT_BINARY */
const char *gbdt_path(const struct gbdt_model *model);         /* the evaluator in use */
const char *gbdt_version_text(const struct gbdt_model *model); /* "v4" */

/* KOL_INVALID with the first difference unless the model has exactly these features in this order.
 * A model that was trained without names (Column_0, Column_1, ...) fits by count. */
enum kol_status gbdt_match(const struct gbdt_model *model, const char *const *names, size_t count,
                           struct kol_error *err) KOL_CHECKED;

/* The raw score of a row of gbdt_feature_count() values; NaN is missing. Of a random forest it is
 * the mean over the trees, which gbdt_answer() wants; lib_lightgbm's raw_score is their sum. */
double gbdt_raw(const struct gbdt_model *model, const double *row);

/* The raw scores of `count` rows, one after the other in `rows`. */
void gbdt_raw_rows(const struct gbdt_model *model, const double *rows, size_t count, double *out);

/* What the objective makes of a raw score: a probability, or the score itself. */
double gbdt_answer(const struct gbdt_model *model, double raw);

/* Whether the value lies in what the model saw of this feature in training. A missing value does;
 * so does every value of a feature that no tree asks for. */
bool gbdt_in_range(const struct gbdt_model *model, size_t feature, double value);

/*
 * Exact TreeSHAP (Lundberg, Erion, Lee: Consistent Individualized Feature Attribution for Tree
 * Ensembles, 2018, algorithm 2; cover-weighted as LightGBM's pred_contrib): what each feature adds
 * to the raw score of this row. `phi` gets gbdt_feature_count() + 1 values; the last one is the
 * expected raw score over the training set, and all together sum to the raw score. Where
 * gbdt_can_explain() says no, all are NaN.
 */
void gbdt_explain(const struct gbdt_model *model, const double *row, double *phi);

/* KOL_UNSUPPORTED says why this model cannot be explained: its file does not say how many rows of
 * the training set came to each node (internal_count, leaf_count), or these do not add up. */
enum kol_status gbdt_can_explain(const struct gbdt_model *model, struct kol_error *err) KOL_CHECKED;

/* The evaluators that this CPU and build have, "portable" first; returns how many, filling at most
 * `max`. gbdt_use() makes the model use one of them: KOL_UNSUPPORTED where the model is not of the
 * kind that it takes. Not while others use the model. */
size_t gbdt_paths(const char **names, size_t max);
enum kol_status gbdt_use(struct gbdt_model *model, const char *path,
                         struct kol_error *err) KOL_CHECKED;

#endif
