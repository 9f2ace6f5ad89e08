/*
 * decide.h: which way a value goes at a node. Private.
 *
 * The reader has made the thresholds so that `value <= threshold` is all there is to do for a
 * number, see read_threshold() in reader_tree.c.
 */
#ifndef GBDT_DECIDE_H
#define GBDT_DECIDE_H

#include <math.h>

#include "gbdt/model.h"

static inline enum gbdt_missing gbdt_missing_of(const struct gbdt_node *node)
{
    return (enum gbdt_missing)(node->decision >> 2 & 3);
}

static inline bool gbdt_is_zero(double value)
{
    return value >= -(double)GBDT_ZERO && value <= (double)GBDT_ZERO;
}

/* A category is the value cut to an integer; NaN, what is negative then and what is no int is none
 * of them, and goes right. */
static inline bool gbdt_category_left(const struct gbdt_tree *tree, const struct gbdt_node *node,
                                      double value)
{
    if (!(value > -1.0 && value < 2147483648.0)) {
        return false;
    }
    const uint32_t category = (uint32_t)value;
    const int32_t *bounds = tree->cat_bounds + (int32_t)node->threshold;
    const uint32_t words = (uint32_t)(bounds[1] - bounds[0]), word = category / 32;
    return word < words &&
           (tree->cat_words[bounds[0] + (int32_t)word] >> (category % 32) & 1u) != 0;
}

static inline bool gbdt_number_left(const struct gbdt_node *node, double value)
{
    const enum gbdt_missing missing = gbdt_missing_of(node);
    if (isnan(value) && missing != GBDT_MISSING_NAN) {
        value = 0.0;
    }
    if (missing == GBDT_MISSING_NAN ? isnan(value)
                                    : missing == GBDT_MISSING_ZERO && gbdt_is_zero(value)) {
        return (node->decision & GBDT_DEFAULT_LEFT) != 0;
    }
    return value <= node->threshold;
}

static inline bool gbdt_goes_left(const struct gbdt_tree *tree, const struct gbdt_node *node,
                                  double value)
{
    return node->decision & GBDT_IS_CATEGORICAL ? gbdt_category_left(tree, node, value)
                                                : gbdt_number_left(node, value);
}

#endif
