/*
 * complete.h: a model laid out for the fast evaluators. Private.
 *
 * A value of a row becomes one byte, its code: the number of the feature's thresholds below it,
 * less 128. Then `value <= threshold k` is `code <= k - 128`, a comparison of signed bytes, and no
 * evaluator sees a double before the leaves. A column is a feature as some nodes see it: nodes that
 * send a missing value elsewhere have a column of their own, in which its code is the least of all
 * (left at every node) or the greatest (right).
 *
 * A tree becomes a complete one: levels of nodes in heap order (1 is the root, 2k and 2k + 1 are
 * the children of k), and behind them the tails. A tail is the two lowest levels below one position
 * in eight bytes, three nodes and where their leaves begin, so that one load brings what the end of
 * a walk needs. Where a tree is less deep it goes on with nodes that always send left. Leaves are
 * renumbered from left to right and hold no gaps.
 *
 *     tail, byte:    0    1     2    3    4     5    6    7
 *                  column,k   column,k,leaf   column,k,leaf
 *                    upper        left            right
 *
 * Trees stand in groups of 64, as many as there are bytes in the widest register; the trees of a
 * group have the same number of levels, that of the deepest.
 */
#ifndef GBDT_COMPLETE_H
#define GBDT_COMPLETE_H

#include <math.h>

#include "gbdt/model.h"

#define GBDT_GROUP 64 /* trees */
#define GBDT_MAX_COLUMNS 256
#define GBDT_MAX_RANKS 255 /* thresholds of a column */
#define GBDT_MAX_DEPTH 8   /* levels and the two of a tail */
#define GBDT_MIN_LEVELS 2  /* so that four tails are always together */
#define GBDT_MAX_LEVELS (GBDT_MAX_DEPTH - 2)

#define GBDT_LEAST (-128) /* goes left at every node */
#define GBDT_GREATEST 127 /* as a code: goes right at every node; as k: sends everything left */

struct gbdt_column {
    const double *thresholds; /* ascending, 2 * half - 1 of them, +infinity behind the real ones */
    uint32_t half;            /* a power of two */
    int32_t feature;
    double zero;      /* |value| <= this takes zero_code; negative: none does */
    int8_t zero_code; /* of what counts as missing because it is zero */
    int8_t nan_code;
};

struct gbdt_group {
    const uint16_t *nodes;      /* column | k << 8, of tree t from t << levels on; [0] is unused */
    const uint64_t *tails;      /* of tree t from t << levels on */
    const uint32_t *first_leaf; /* of each tree */
    const uint8_t *top;         /* see gbdt_add_tops(); NULL without */
    uint32_t levels;            /* GBDT_MIN_LEVELS .. GBDT_MAX_LEVELS */
    uint32_t trees;
};

struct gbdt_complete {
    struct gbdt_column *columns;
    size_t column_count;
    struct gbdt_group *groups;
    size_t group_count;
    double *leaves;
};

/* NULL where the model is not of this kind: deeper trees, splits by category, too many columns or
 * thresholds. What it gives lives in the arena of the model. */
struct gbdt_complete *gbdt_make_complete(struct gbdt_model *model);

/*
 * Adds to each group its upper nodes turned round, for evaluators that hold one node of all 64
 * trees in registers: 128 bytes for each node, from node 1 on, the columns of the 64 trees and
 * behind them the ranks. With `halves` a column of 16 or more is written as 128 + (column - 16): a
 * byte shuffle of the columns below 16 gives zero for it, and one of those above with bit 7 flipped
 * the reverse.
 */
void gbdt_add_tops(struct gbdt_model *model, struct gbdt_complete *plan, bool halves);

/* 64-byte aligned, from the arena of the model. */
void *gbdt_plan_alloc(struct gbdt_model *model, size_t size);

/* The code of a value as a number, NaN being less than all. Without a jump that depends on it. */
static inline int8_t gbdt_rank(const struct gbdt_column *column, double value)
{
    uint32_t below = 0;
    for (uint32_t half = column->half; half > 0; half >>= 1) {
        below += (uint32_t)(column->thresholds[below + half - 1] < value) * half;
    }
    return (int8_t)((int)below - 128);
}

static inline int8_t gbdt_code(const struct gbdt_column *column, double value)
{
    const int8_t rank = gbdt_rank(column, value);
    const int8_t code = fabs(value) <= column->zero ? column->zero_code : rank;
    return isnan(value) ? column->nan_code : code;
}

/* The codes of one row, one a column. */
static inline void gbdt_codes(const struct gbdt_complete *plan, const double *row, int8_t *codes)
{
    for (size_t i = 0; i < plan->column_count; i++) {
        codes[i] = gbdt_code(&plan->columns[i], row[plan->columns[i].feature]);
    }
}

/* 1 where the row goes right at a node, given in the lowest 16 bits. */
static inline uint32_t gbdt_right(uint32_t node, const int8_t *codes)
{
    return codes[node & 0xff] > (int8_t)(node >> 8 & 0xff);
}

/* Where the walk ends that came to this tail: a leaf of the tree. */
static inline uint32_t gbdt_tail_leaf(uint64_t tail, const int8_t *codes)
{
    const uint32_t last = (uint32_t)(tail >> (16 + 24 * gbdt_right((uint32_t)tail, codes)));
    return (last >> 16 & 0xff) + gbdt_right(last, codes);
}

#endif
