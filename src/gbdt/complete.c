/*
 * complete.c: lays a model out for the fast evaluators, see complete.h.
 */
#include "gbdt/complete.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gbdt/decide.h"

/* How nodes see a missing value; each makes a column of its own of a feature. */
enum kind { NAN_IS_ZERO, ZERO_LEFT, ZERO_RIGHT, NAN_LEFT, NAN_RIGHT, KINDS };

enum { SIXTEEN = 16 };

struct layout {
    struct gbdt_model *model;
    struct gbdt_complete *plan;
    int32_t *column_of; /* by feature * KINDS + kind; -1: none yet */
    double *thresholds; /* of all nodes, by column */
    size_t *first;      /* of each column in them, and the end */
};

void *gbdt_plan_alloc(struct gbdt_model *model, size_t size)
{
    const uintptr_t at = (uintptr_t)arena_alloc(&model->arena, size + 63);
    return (void *)((at + 63) & ~(uintptr_t)63);
}

static size_t key_of(const struct gbdt_node *node)
{
    const bool left = (node->decision & GBDT_DEFAULT_LEFT) != 0;
    enum kind kind = NAN_IS_ZERO;
    if (gbdt_missing_of(node) == GBDT_MISSING_ZERO) {
        kind = left ? ZERO_LEFT : ZERO_RIGHT;
    } else if (gbdt_missing_of(node) == GBDT_MISSING_NAN) {
        kind = left ? NAN_LEFT : NAN_RIGHT;
    }
    return (size_t)node->feature * KINDS + kind;
}

/* Gives each column a number, in the order in which nodes ask for them. */
static bool find_columns(struct layout *layout)
{
    const struct gbdt_model *model = layout->model;
    const size_t keys = model->feature_count * KINDS;
    layout->column_of = mem_alloc((keys + 1) * sizeof *layout->column_of);
    memset(layout->column_of, 0xff, (keys + 1) * sizeof *layout->column_of);
    for (size_t i = 0; i < model->node_count; i++) {
        const struct gbdt_node *node = &model->nodes[i];
        if (node->decision & GBDT_IS_CATEGORICAL) {
            return false;
        }
        int32_t *column = &layout->column_of[key_of(node)];
        if (*column < 0) {
            if (layout->plan->column_count == GBDT_MAX_COLUMNS) {
                return false;
            }
            *column = (int32_t)layout->plan->column_count++;
        }
    }
    return true;
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Sorts the thresholds of the column and drops those that are there twice; how many are left. */
static size_t sort_thresholds(double *thresholds, size_t count)
{
    size_t kept = 0;
    qsort(thresholds, count, sizeof *thresholds, compare_doubles);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || thresholds[kept - 1] < thresholds[i]) {
            thresholds[kept++] = thresholds[i];
        }
    }
    return kept;
}

/* The thresholds of all nodes, by column. */
static void collect_thresholds(struct layout *layout)
{
    const struct gbdt_model *model = layout->model;
    const size_t columns = layout->plan->column_count;
    layout->first = mem_zalloc(columns + 2, sizeof *layout->first);
    layout->thresholds = mem_alloc((model->node_count + 1) * sizeof *layout->thresholds);
    /* first[c + 2] counts c, then first[c + 1] says where the next of c goes. */
    for (size_t i = 0; i < model->node_count; i++) {
        layout->first[layout->column_of[key_of(&model->nodes[i])] + 2]++;
    }
    for (size_t i = 2; i < columns + 2; i++) {
        layout->first[i] += layout->first[i - 1];
    }
    for (size_t i = 0; i < model->node_count; i++) {
        const size_t column = (size_t)layout->column_of[key_of(&model->nodes[i])];
        layout->thresholds[layout->first[column + 1]++] = model->nodes[i].threshold;
    }
}

static void set_missing(struct gbdt_column *column, enum kind kind)
{
    const int8_t missing = kind == ZERO_LEFT || kind == NAN_LEFT ? GBDT_LEAST : GBDT_GREATEST;
    column->zero = kind == ZERO_LEFT || kind == ZERO_RIGHT ? (double)GBDT_ZERO : -1;
    column->zero_code = missing;
    column->nan_code = missing;
    if (kind == NAN_IS_ZERO) {
        column->nan_code = gbdt_rank(column, 0.0);
    }
}

static void pad_thresholds(struct gbdt_model *model, const double *own, size_t count,
                           struct gbdt_column *column)
{
    size_t half = 1;
    while (2 * half - 1 < count) {
        half *= 2;
    }
    const size_t size = 2 * half < SIXTEEN ? SIXTEEN : 2 * half;
    double *padded = gbdt_plan_alloc(model, (size + SIXTEEN) * sizeof *padded);
    for (size_t i = 0; i < size; i++) {
        padded[i] = i < count ? own[i] : INFINITY;
    }
    for (size_t i = 0; i < SIXTEEN; i++) {
        const size_t last = SIXTEEN * i + SIXTEEN - 1;
        padded[size + i] = last < size ? padded[last] : INFINITY;
    }
    column->half = (uint32_t)half;
    column->thresholds = padded;
    column->sixteenths = padded + size;
}

static bool make_column(struct layout *layout, size_t key)
{
    const size_t at = (size_t)layout->column_of[key];
    double *own = layout->thresholds + layout->first[at];
    const size_t count = sort_thresholds(own, layout->first[at + 1] - layout->first[at]);
    if (count > GBDT_MAX_RANKS) {
        return false;
    }
    struct gbdt_column *column = &layout->plan->columns[at];
    *column = (struct gbdt_column){.feature = (int32_t)(key / KINDS)};
    pad_thresholds(layout->model, own, count, column);
    set_missing(column, (enum kind)(key % KINDS));
    return true;
}

static bool make_columns(struct layout *layout)
{
    if (!find_columns(layout)) {
        return false;
    }
    collect_thresholds(layout);
    struct gbdt_complete *plan = layout->plan;
    plan->columns =
        gbdt_plan_alloc(layout->model, (plan->column_count + 1) * sizeof *plan->columns);
    for (size_t key = 0; key < layout->model->feature_count * KINDS; key++) {
        if (layout->column_of[key] >= 0 && !make_column(layout, key)) {
            return false;
        }
    }
    return true;
}

/* A tree being laid out. Positions are those of a heap that has two levels more than `nodes`. */
struct growth {
    struct layout *layout;
    const struct gbdt_tree *tree;
    uint16_t *nodes;
    uint64_t *tails;
    uint32_t levels;
    double *leaves; /* of this tree */
    uint32_t leaf_count;
};

/* column | k << 8; for a leaf what sends everything left. */
static uint16_t node_at(const struct growth *growth, int32_t at)
{
    if (at < 0) {
        return (uint16_t)(GBDT_GREATEST << 8);
    }
    const struct layout *layout = growth->layout;
    const struct gbdt_node *node = &layout->model->nodes[growth->tree->first_node + (size_t)at];
    const int32_t column = layout->column_of[key_of(node)];
    const int8_t rank = gbdt_rank(&layout->plan->columns[column], node->threshold);
    return (uint16_t)(column | (uint8_t)rank << 8);
}

/* Writes a node where its position says; the lowest ones say where their leaves begin. */
static void put(struct growth *growth, uint32_t position, uint16_t node)
{
    const uint32_t tails = 1u << growth->levels;
    if (position < tails) {
        growth->nodes[position] = node;
    } else if (position < 2 * tails) {
        growth->tails[position - tails] |= node;
    } else {
        const uint64_t lowest = node | growth->leaf_count << 16;
        growth->tails[position / 2 - tails] |= lowest << (position & 1 ? 40 : 16);
    }
}

/* Lays out what is below a node (or leaf) at a position, leaves from left to right. Calls itself
 * as deep as the tree is, which is at most GBDT_MAX_DEPTH. */
static void grow(struct growth *growth, int32_t at, uint32_t position)
{
    const bool below = position >= 4u << growth->levels;
    if (below) {
        growth->leaves[growth->leaf_count++] =
            growth->layout->model->leaf_values[growth->tree->first_leaf + (size_t)~at];
        return;
    }
    put(growth, position, node_at(growth, at));
    if (at < 0) {
        grow(growth, at, 2 * position);
        return;
    }
    const struct gbdt_node *node =
        &growth->layout->model->nodes[growth->tree->first_node + (size_t)at];
    grow(growth, node->left, 2 * position);
    grow(growth, node->right, 2 * position + 1);
}

static uint32_t levels_of(const struct gbdt_tree *trees, size_t count)
{
    uint32_t levels = GBDT_MIN_LEVELS;
    for (size_t i = 0; i < count; i++) {
        if (trees[i].depth > (int32_t)levels + 2) {
            levels = (uint32_t)trees[i].depth - 2;
        }
    }
    return levels;
}

static void make_group(struct layout *layout, size_t first, struct gbdt_group *group)
{
    struct gbdt_model *model = layout->model;
    const size_t rest = model->tree_count - first;
    group->trees = rest < GBDT_GROUP ? (uint32_t)rest : GBDT_GROUP;
    group->levels = levels_of(model->trees + first, group->trees);
    const size_t positions = (size_t)group->trees << group->levels;
    uint16_t *nodes = gbdt_plan_alloc(model, positions * sizeof *nodes);
    uint64_t *tails = gbdt_plan_alloc(model, positions * sizeof *tails);
    group->leaves = gbdt_plan_alloc(model, group->trees * sizeof *group->leaves);
    memset(nodes, 0, positions * sizeof *nodes);
    memset(tails, 0, positions * sizeof *tails);
    for (size_t i = 0; i < group->trees; i++) {
        const struct gbdt_tree *tree = &model->trees[first + i];
        double *leaves = layout->plan->leaves + tree->first_leaf;
        group->leaves[i] = leaves;
        struct growth growth = {.layout = layout,
                                .tree = tree,
                                .nodes = nodes + (i << group->levels),
                                .tails = tails + (i << group->levels),
                                .levels = group->levels,
                                .leaves = leaves};
        grow(&growth, tree->leaves > 1 ? 0 : ~0, 1);
    }
    group->nodes = nodes;
    group->tails = tails;
}

static uint32_t four_times(uint32_t byte)
{
    return (byte & 0xff) * 0x01010101u;
}

static struct gbdt_row_node row_node(uint32_t node)
{
    return (struct gbdt_row_node){four_times(node >> 8), (node & 0xff) * GBDT_BLOCK};
}

/* Real nodes have ranks below the greatest. */
static bool is_padding(uint64_t node)
{
    return (node >> 8 & 0xff) == GBDT_GREATEST;
}

static enum gbdt_row_kind kind_of(uint64_t tail)
{
    if (is_padding(tail)) {
        return GBDT_ROW_LEAF;
    }
    return is_padding(tail >> 16) && is_padding(tail >> 40) ? GBDT_ROW_NODE : GBDT_ROW_NODES;
}

static struct gbdt_row_tail row_tail(uint64_t tail, size_t place)
{
    return (struct gbdt_row_tail){.upper = row_node((uint32_t)tail),
                                  .left = row_node((uint32_t)(tail >> 16)),
                                  .right = row_node((uint32_t)(tail >> 40)),
                                  .left_leaf = four_times((uint32_t)(tail >> 32)),
                                  .right_leaf = four_times((uint32_t)(tail >> 56)),
                                  .place = (uint32_t)place};
}

/* Sorts `count` tails by kind. A tail of zeros is one that no node leads to. */
static void make_bunch(struct gbdt_model *model, const uint64_t *tails, size_t count,
                       struct gbdt_bunch *bunch)
{
    struct gbdt_row_tail *sorted = gbdt_plan_alloc(model, count * sizeof *sorted);
    *bunch = (struct gbdt_bunch){.tails = sorted};
    for (enum gbdt_row_kind kind = 0; kind < GBDT_ROW_KINDS; kind++) {
        for (size_t i = 0; i < count; i++) {
            if (tails[i] && kind_of(tails[i]) == kind) {
                *sorted++ = row_tail(tails[i], i);
                bunch->counts[kind]++;
            }
        }
    }
}

/* The trees of a group as blocks of rows see them. */
static void add_rows_view(struct gbdt_model *model, struct gbdt_group *group)
{
    const size_t positions = (size_t)group->trees << group->levels;
    const size_t bunch = (size_t)GBDT_BUNCH << group->levels;
    struct gbdt_row_node *nodes = gbdt_plan_alloc(model, positions * sizeof *nodes);
    struct gbdt_bunch *bunches =
        gbdt_plan_alloc(model, (positions + bunch - 1) / bunch * sizeof *bunches);
    group->row_nodes = nodes;
    group->bunches = bunches;
    for (size_t i = 0; i < positions; i++) {
        nodes[i] = row_node(group->nodes[i]);
    }
    for (size_t from = 0; from < positions; from += bunch) {
        const size_t left = positions - from;
        make_bunch(model, group->tails + from, left < bunch ? left : bunch, bunches++);
    }
}

static bool fits(const struct gbdt_model *model)
{
    for (size_t i = 0; i < model->tree_count; i++) {
        if (model->trees[i].depth > GBDT_MAX_DEPTH) {
            return false;
        }
    }
    return model->leaf_count < UINT32_MAX;
}

static void make_groups(struct layout *layout)
{
    struct gbdt_model *model = layout->model;
    struct gbdt_complete *plan = layout->plan;
    plan->group_count = (model->tree_count + GBDT_GROUP - 1) / GBDT_GROUP;
    plan->groups = gbdt_plan_alloc(model, (plan->group_count + 1) * sizeof *plan->groups);
    plan->leaves = gbdt_plan_alloc(model, (model->leaf_count + 1) * sizeof *plan->leaves);
    for (size_t i = 0; i < plan->group_count; i++) {
        plan->groups[i] = (struct gbdt_group){0};
        make_group(layout, i * GBDT_GROUP, &plan->groups[i]);
        add_rows_view(model, &plan->groups[i]);
    }
}

struct gbdt_complete *gbdt_make_complete(struct gbdt_model *model)
{
    if (!fits(model)) {
        return NULL;
    }
    struct gbdt_complete *plan = gbdt_plan_alloc(model, sizeof *plan);
    *plan = (struct gbdt_complete){0};
    struct layout layout = {.model = model, .plan = plan};
    const bool good = make_columns(&layout);
    if (good) {
        make_groups(&layout);
    }
    free(layout.column_of);
    free(layout.thresholds);
    free(layout.first);
    return good ? plan : NULL;
}

static void turn_round(const struct gbdt_group *group, uint8_t *top, bool halves)
{
    const uint32_t nodes = 1u << group->levels;
    for (uint32_t node = 1; node < nodes; node++, top += (size_t)2 * GBDT_GROUP) {
        memset(top, 0, (size_t)2 * GBDT_GROUP);
        for (uint32_t tree = 0; tree < group->trees; tree++) {
            const uint16_t from = group->nodes[(tree << group->levels) + node];
            const uint8_t column = (uint8_t)from;
            top[tree] = halves && column >= 16 ? (uint8_t)(column + 112) : column;
            top[GBDT_GROUP + tree] = (uint8_t)(from >> 8);
        }
    }
}

void gbdt_add_tops(struct gbdt_model *model, struct gbdt_complete *plan, bool halves)
{
    for (size_t i = 0; i < plan->group_count; i++) {
        struct gbdt_group *group = &plan->groups[i];
        uint8_t *top = gbdt_plan_alloc(model, (((size_t)1 << group->levels) - 1) * 2 * GBDT_GROUP);
        turn_round(group, top, halves);
        group->top = top;
    }
}
