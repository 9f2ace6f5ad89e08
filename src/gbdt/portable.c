/*
 * portable.c: the evaluator that takes every model and that the others are measured by.
 *
 * One tree after the other, one node after the other, as lib_lightgbm does it: the rules of a node
 * are those of its Tree::NumericalDecision() and Tree::CategoricalDecision().
 */
#include "gbdt/decide.h"

double gbdt_tree_value(const struct gbdt_model *model, const struct gbdt_tree *tree,
                       const double *row)
{
    int32_t at = tree->leaves > 1 ? 0 : ~0;
    while (at >= 0) {
        const struct gbdt_node *node = &model->nodes[tree->first_node + (size_t)at];
        at = gbdt_goes_left(tree, node, row[node->feature]) ? node->left : node->right;
    }
    return model->leaf_values[tree->first_leaf + (size_t)~at];
}

static bool always(void)
{
    return true;
}

static bool takes_all(struct gbdt_model *model, void **plan)
{
    (void)model;
    *plan = NULL;
    return true;
}

static double raw(const struct gbdt_model *model, const void *plan, const double *row)
{
    (void)plan;
    double sum = 0;
    for (size_t i = 0; i < model->tree_count; i++) {
        sum += gbdt_tree_value(model, &model->trees[i], row);
    }
    return model->average ? sum / (double)model->tree_count : sum;
}

static void raw_rows(const struct gbdt_model *model, const void *plan, const double *rows,
                     size_t count, double *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = raw(model, plan, rows + i * model->feature_count);
    }
}

const struct gbdt_evaluator gbdt_portable = {"portable", always, takes_all, raw, raw_rows};
