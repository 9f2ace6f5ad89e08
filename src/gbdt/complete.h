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
 *
 * Where the lanes of a register are rows, every node is compared for all of them, so that what pads
 * a tree costs as much as the rest. The tails of eight trees, a bunch, stand a second time
 * therefore, sorted by what is in them: no node at all, one, or more; those that nothing leads to
 * are left out. There each k and each leaf stands four times over: a CPU fills a register with four
 * bytes from memory as it loads them; with one byte it takes a step of the unit that compares.
 */
#ifndef GBDT_COMPLETE_H
#define GBDT_COMPLETE_H

#include <math.h>

#include "gbdt/model.h"

#define GBDT_GROUP 64  /* trees */
#define GBDT_BUNCH 8   /* trees, whose leaves are added at once */
#define GBDT_BLOCK 256 /* rows that are coded at once; their codes stay in the nearest cache */
#define GBDT_MAX_COLUMNS 256
#define GBDT_MAX_RANKS 255 /* thresholds of a column */
#define GBDT_MAX_DEPTH 8   /* levels and the two of a tail */
#define GBDT_MIN_LEVELS 2  /* so that four tails are always together */
#define GBDT_MAX_LEVELS (GBDT_MAX_DEPTH - 2)

#define GBDT_LEAST (-128) /* goes left at every node */
#define GBDT_GREATEST 127 /* as a code: goes right at every node; as k: sends everything left */

struct gbdt_column {
    const double *thresholds; /* ascending, 2 * half - 1 of them, +infinity behind the real ones
                               * and up to the next multiple of 16 */
    const double
        *sixteenths; /* every 16th of them: [15], [31] .. [255], +infinity beyond the end */
    uint32_t half;   /* a power of two */
    int32_t feature;
    double zero;      /* |value| <= this takes zero_code; negative: none does */
    int8_t zero_code; /* of what counts as missing because it is zero */
    int8_t nan_code;
};

/* A node as blocks of rows see it. */
struct gbdt_row_node {
    uint32_t ranks; /* k, four times */
    uint32_t codes; /* where the codes of its column begin in a block */
};

enum gbdt_row_kind { GBDT_ROW_LEAF, GBDT_ROW_NODE, GBDT_ROW_NODES, GBDT_ROW_KINDS };

/* A tail as blocks of rows see it: the left leaf alone, `upper` and the two leaves that begin
 * there, or all of it. */
struct gbdt_row_tail {
    struct gbdt_row_node upper, left, right;
    uint32_t left_leaf, right_leaf; /* four times */
    uint32_t place;                 /* tree of the bunch << levels, and which tail of it */
};

/* The tails of GBDT_BUNCH trees, or of those that are left at the end of a group. */
struct gbdt_bunch {
    const struct gbdt_row_tail *tails; /* by kind */
    uint32_t counts[GBDT_ROW_KINDS];
};

struct gbdt_group {
    const uint16_t *nodes; /* column | k << 8, of tree t from t << levels on; [0] is unused */
    const uint64_t *tails; /* of tree t from t << levels on */
    const double **leaves; /* of each tree, the first of its own */
    const struct gbdt_row_node *row_nodes; /* as `nodes` */
    const struct gbdt_bunch *bunches;
    const uint8_t *top; /* see gbdt_add_tops(); NULL without */
    uint32_t levels;    /* GBDT_MIN_LEVELS .. GBDT_MAX_LEVELS */
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

/* The code of a value that has this rank. */
static inline int8_t gbdt_code(const struct gbdt_column *column, double value, int8_t rank)
{
    const int8_t code = fabs(value) <= column->zero ? column->zero_code : rank;
    return isnan(value) ? column->nan_code : code;
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
