/*
 * model.h: a model as read, for the evaluators of this room. Private.
 *
 * A node is an index >= 0, a leaf is ~index (< 0), as in LightGBM's left_child and right_child.
 * Nodes of all trees lie in one array, so do leaves; a tree says where its own begin. What an
 * evaluator makes for itself (complete trees, byte thresholds, ...) hangs in `plans`.
 */
#ifndef GBDT_MODEL_H
#define GBDT_MODEL_H

#include "base/arena.h"
#include "gbdt/gbdt.h"

/* decision_type of LightGBM: bit 0 categorical, bit 1 default left, bits 2 and 3 missing type. */
enum gbdt_missing { GBDT_MISSING_NONE, GBDT_MISSING_ZERO, GBDT_MISSING_NAN };
#define GBDT_IS_CATEGORICAL 1u
#define GBDT_DEFAULT_LEFT 2u
/* |value| <= this is zero where the missing type is zero (kZeroThreshold of LightGBM). */
#define GBDT_ZERO 1e-35f

struct gbdt_node {
    double threshold; /* value <= threshold goes left; categorical: index into cat_bounds. None lies
                         in [-GBDT_ZERO, GBDT_ZERO), see read_threshold() in reader_tree.c */
    int32_t left, right;
    int32_t feature;
    uint8_t decision; /* as in the file */
};

struct gbdt_tree {
    size_t first_node, first_leaf;
    int32_t leaves; /* nodes are one less; 1: a constant */
    int32_t depth;  /* of the deepest leaf; 0: a constant */
    /* Bit sets of categories: set i of this tree is words [bounds[i], bounds[i + 1]) of words. */
    const int32_t *cat_bounds;
    const uint32_t *cat_words;
    int32_t cat_count;
};

/* An evaluator: NULL functions where it has none. */
struct gbdt_evaluator {
    const char *name;
    bool (*available)(void); /* by the CPU */
    /* Makes its plan, in the arena of the model; false where the model is not for it. */
    bool (*prepare)(struct gbdt_model *model, void **plan);
    double (*raw)(const struct gbdt_model *model, const void *plan, const double *row);
    void (*raw_rows)(const struct gbdt_model *model, const void *plan, const double *rows,
                     size_t count, double *out);
};

/* All of this build, slowest first: [0] is the portable one, which takes every model. */
extern const struct gbdt_evaluator *const gbdt_evaluators[];
extern const size_t gbdt_evaluator_count;
extern const struct gbdt_evaluator gbdt_portable;

struct gbdt_model {
    struct arena arena;
    char version[8];
    enum gbdt_objective objective;
    double sigmoid;
    bool average; /* random forest: the sum is divided by the number of trees */
    struct gbdt_feature *features;
    size_t feature_count;
    struct gbdt_tree *trees;
    size_t tree_count;
    struct gbdt_node *nodes;
    double *leaf_values;
    double *node_covers, *leaf_covers; /* internal_count, leaf_count: rows of training, for SHAP */
    size_t node_count, leaf_count;
    bool *asked;                            /* by feature: whether a tree asks for it */
    const char *no_explaining;              /* why the model cannot be explained, or NULL */
    const struct gbdt_evaluator *evaluator; /* in use */
    const void *plan;                       /* of it */
    void *explain_plan;                     /* of gbdt_explain(), made at reading or NULL */
};

/* The leaf value that a row comes to in a tree, the plain way. */
double gbdt_tree_value(const struct gbdt_model *model, const struct gbdt_tree *tree,
                       const double *row);

/* Picks the evaluator of a model that was read: the fastest that takes it, or what GBDT_PATH says;
 * one that is there but does not take this model leaves it to the portable one. */
enum kol_status gbdt_choose(struct gbdt_model *model, struct kol_error *err) KOL_CHECKED;

/* Makes the plan of gbdt_explain(), or says in no_explaining why there is none. */
void gbdt_plan_explaining(struct gbdt_model *model);
void gbdt_free_explaining(struct gbdt_model *model);

#endif
