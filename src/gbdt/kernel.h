/*
 * kernel.h: the fast evaluators, written once for registers of any width. Private; no ordinary
 * header: each evaluator includes it once, behind the words of its instruction set, and takes from
 * it prepare(), raw() and raw_rows().
 *
 * The words are: KERNEL, how a function is declared; VECTORS, how many registers are worked on at
 * once; the types `vec` (signed bytes) and `mask` (one truth value a byte) and
 *
 *     v_load(bytes) v_store(bytes, vec) v_splat(byte)
 *     v_above(codes, ranks)    mask: codes > ranks
 *     v_pick(mask, no, yes)    vec
 *     v_next(mask, vec)        vec + 1 where the mask is true
 *
 * With KERNEL_TOPS also `struct tables`, v_tables(codes) and v_look(tables, columns): the codes of
 * a row and how 64 trees look up their own ones in registers, where the model has at most
 * KERNEL_TOPS columns, written as gbdt_add_tops() says of KERNEL_HALVES. VECTORS of `vec` are then
 * 64 bytes.
 *
 * A walk down a tree takes a step after the other, each waiting for the last. Here nothing waits:
 * from the bottom up every node of a complete tree is compared, and a node picks between what its
 * children have picked. Rows in blocks: the lanes are rows, and a node is the same for all of them.
 * One row: the lanes are trees, and what its upper levels say leads to one tail in each.
 */
#include <string.h>

#include "gbdt/complete.h"

#define BLOCK 256 /* rows whose codes are made at once; as bytes they stay in the nearest cache */
#define TREES 8   /* whose leaves are added at once */
#define STEP (VECTORS * (uint32_t)sizeof(vec))

struct lanes {
    vec at[VECTORS];
};

struct choice {
    mask at[VECTORS];
};

KERNEL struct lanes splat(int byte)
{
    struct lanes all;
    for (int i = 0; i < VECTORS; i++) {
        all.at[i] = v_splat((char)byte);
    }
    return all;
}

KERNEL struct lanes pick(struct choice right, struct lanes no, struct lanes yes)
{
    for (int i = 0; i < VECTORS; i++) {
        no.at[i] = v_pick(right.at[i], no.at[i], yes.at[i]);
    }
    return no;
}

KERNEL struct lanes next(struct choice right, struct lanes base)
{
    for (int i = 0; i < VECTORS; i++) {
        base.at[i] = v_next(right.at[i], base.at[i]);
    }
    return base;
}

/* Which rows go right at a node; `codes` of the first row, BLOCK bytes a column. */
KERNEL struct choice rows_right(const int8_t *codes, uint32_t node)
{
    const int8_t *column = codes + (size_t)(node & 0xff) * BLOCK;
    const vec rank = v_splat((char)(node >> 8 & 0xff));
    struct choice right;
    for (uint32_t i = 0; i < VECTORS; i++) {
        right.at[i] = v_above(v_load(column + i * sizeof(vec)), rank);
    }
    return right;
}

/* The leaf of each row that comes to this tail. */
KERNEL struct lanes rows_tail(const int8_t *codes, uint64_t tail)
{
    const struct lanes left =
        next(rows_right(codes, (uint32_t)(tail >> 16)), splat((int)(tail >> 32 & 0xff)));
    const struct lanes right =
        next(rows_right(codes, (uint32_t)(tail >> 40)), splat((int)(tail >> 56)));
    return pick(rows_right(codes, (uint32_t)tail), left, right);
}

/* The leaf of each of STEP rows in a tree. */
KERNEL void rows_tree(const uint16_t *nodes, const uint64_t *tails, uint32_t levels,
                      const int8_t *codes, uint8_t *leaf)
{
    struct lanes slots[1 << (GBDT_MAX_LEVELS - 1)];
    const size_t lowest = (size_t)1 << (levels - 2);
    for (size_t i = lowest; i < 2 * lowest; i++, tails += 4) {
        const struct lanes left = pick(rows_right(codes, nodes[2 * i]), rows_tail(codes, tails[0]),
                                       rows_tail(codes, tails[1]));
        const struct lanes right = pick(rows_right(codes, nodes[2 * i + 1]),
                                        rows_tail(codes, tails[2]), rows_tail(codes, tails[3]));
        slots[i] = pick(rows_right(codes, nodes[i]), left, right);
    }
    for (size_t i = lowest; i-- > 1;) {
        slots[i] = pick(rows_right(codes, nodes[i]), slots[2 * i], slots[2 * i + 1]);
    }
    for (uint32_t i = 0; i < VECTORS; i++) {
        v_store(leaf + i * sizeof(vec), slots[1].at[i]);
    }
}

/* Adds the leaves of `trees` trees, at most TREES, to the sum of each row, in their order. */
KERNEL void rows_add(const double *leaves, const uint32_t *first, uint32_t trees,
                     uint8_t leaf[TREES][BLOCK], uint32_t rows, double *sums)
{
    if (trees == TREES) {
        for (uint32_t i = 0; i < rows; i++) {
            double sum = sums[i];
            for (uint32_t tree = 0; tree < TREES; tree++) {
                sum += leaves[first[tree] + leaf[tree][i]];
            }
            sums[i] = sum;
        }
        return;
    }
    for (uint32_t tree = 0; tree < trees; tree++) {
        for (uint32_t i = 0; i < rows; i++) {
            sums[i] += leaves[first[tree] + leaf[tree][i]];
        }
    }
}

KERNEL void rows_group(const struct gbdt_complete *plan, const struct gbdt_group *group,
                       const int8_t *codes, uint32_t rows, double *sums)
{
    uint8_t leaf[TREES][BLOCK];
    for (uint32_t from = 0; from < group->trees; from += TREES) {
        const uint32_t trees = group->trees - from < TREES ? group->trees - from : TREES;
        for (uint32_t i = 0; i < trees; i++) {
            const size_t at = (size_t)(from + i) << group->levels;
            for (uint32_t row = 0; row < rows; row += STEP) {
                rows_tree(group->nodes + at, group->tails + at, group->levels, codes + row,
                          leaf[i] + row);
            }
        }
        rows_add(plan->leaves, group->first_leaf + from, trees, leaf, rows, sums);
    }
}

/* The codes of a block of rows, a column after the other; a last step that is not full is filled
 * up with codes of no meaning. */
KERNEL void rows_codes(const struct gbdt_complete *plan, const double *rows, size_t width,
                       uint32_t count, int8_t *codes)
{
    for (size_t i = 0; i < plan->column_count; i++, codes += BLOCK) {
        const struct gbdt_column column = plan->columns[i];
        for (uint32_t row = 0; row < count; row++) {
            codes[row] = gbdt_code(&column, rows[row * width + (size_t)column.feature]);
        }
        memset(codes + count, 0, (count + STEP - 1) / STEP * STEP - count);
    }
}

KERNEL void rows_block(const struct gbdt_model *model, const struct gbdt_complete *plan,
                       const double *rows, uint32_t count, double *out)
{
    int8_t codes[GBDT_MAX_COLUMNS * BLOCK];
    if (plan->column_count == 0) {
        memset(codes, 0, BLOCK);
    }
    rows_codes(plan, rows, model->feature_count, count, codes);
    for (uint32_t i = 0; i < count; i++) {
        out[i] = 0;
    }
    for (size_t i = 0; i < plan->group_count; i++) {
        rows_group(plan, &plan->groups[i], codes, count, out);
    }
    for (uint32_t i = 0; i < count && model->average; i++) {
        out[i] /= (double)model->tree_count;
    }
}

#ifdef KERNEL_TOPS
/* Which of 64 trees go right at their node of this number. */
KERNEL struct choice trees_right(const struct tables *tables, const uint8_t *top, size_t node)
{
    const uint8_t *columns = top + (node - 1) * 2 * GBDT_GROUP;
    struct choice right;
    for (uint32_t i = 0; i < VECTORS; i++) {
        const vec code = v_look(tables, v_load(columns + i * sizeof(vec)));
        right.at[i] = v_above(code, v_load(columns + GBDT_GROUP + i * sizeof(vec)));
    }
    return right;
}

/* The tail that the row comes to in each of the 64 trees. */
KERNEL void trees_top(const struct gbdt_group *group, const struct tables *tables, uint8_t *tail)
{
    struct lanes slots[1 << (GBDT_MAX_LEVELS - 1)];
    const size_t lowest = (size_t)1 << (group->levels - 2);
    const uint8_t *top = group->top;
    for (size_t i = lowest; i < 2 * lowest; i++) {
        const int first = (int)(4 * (i - lowest));
        slots[i] =
            pick(trees_right(tables, top, i), next(trees_right(tables, top, 2 * i), splat(first)),
                 next(trees_right(tables, top, 2 * i + 1), splat(first + 2)));
    }
    for (size_t i = lowest; i-- > 1;) {
        slots[i] = pick(trees_right(tables, top, i), slots[2 * i], slots[2 * i + 1]);
    }
    for (uint32_t i = 0; i < VECTORS; i++) {
        v_store(tail + i * sizeof(vec), slots[1].at[i]);
    }
}

KERNEL double trees_sum(const struct gbdt_complete *plan, const int8_t *codes)
{
    const struct tables tables = v_tables(codes);
    double sum = 0;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct gbdt_group *group = &plan->groups[i];
        const uint64_t *tails = group->tails;
        uint8_t tail[GBDT_GROUP];
        trees_top(group, &tables, tail);
        for (uint32_t tree = 0; tree < group->trees; tree++, tails += (size_t)1 << group->levels) {
            sum += plan->leaves[group->first_leaf[tree] + gbdt_tail_leaf(tails[tail[tree]], codes)];
        }
    }
    return sum;
}
#endif

/* The leaves of TREES trees, all steps of them side by side. */
KERNEL double walk_trees(const struct gbdt_complete *plan, const struct gbdt_group *group,
                         uint32_t from, const int8_t *codes, double sum)
{
    const size_t size = (size_t)1 << group->levels;
    const uint16_t *nodes = group->nodes + from * size;
    const uint64_t *tails = group->tails + from * size;
    uint32_t at[TREES] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (uint32_t level = 0; level < group->levels; level++) {
        for (uint32_t i = 0; i < TREES; i++) {
            at[i] = 2 * at[i] + gbdt_right(nodes[i * size + at[i]], codes);
        }
    }
    for (uint32_t i = 0; i < TREES; i++) {
        const uint64_t tail = tails[i * size + at[i] - size];
        sum += plan->leaves[group->first_leaf[from + i] + gbdt_tail_leaf(tail, codes)];
    }
    return sum;
}

/* The same for one tree. */
KERNEL double walk_tree(const struct gbdt_complete *plan, const struct gbdt_group *group,
                        uint32_t tree, const int8_t *codes)
{
    const size_t size = (size_t)1 << group->levels;
    uint32_t at = 1;
    while (at < size) {
        at = 2 * at + gbdt_right(group->nodes[tree * size + at], codes);
    }
    const uint64_t tail = group->tails[tree * size + at - size];
    return plan->leaves[group->first_leaf[tree] + gbdt_tail_leaf(tail, codes)];
}

KERNEL double walk_sum(const struct gbdt_complete *plan, const int8_t *codes)
{
    double sum = 0;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct gbdt_group *group = &plan->groups[i];
        uint32_t tree = 0;
        for (; tree + TREES <= group->trees; tree += TREES) {
            sum = walk_trees(plan, group, tree, codes, sum);
        }
        for (; tree < group->trees; tree++) {
            sum += walk_tree(plan, group, tree, codes);
        }
    }
    return sum;
}

KERNEL double kernel_raw(const struct gbdt_model *model, const void *made, const double *row)
{
    const struct gbdt_complete *plan = made;
    int8_t codes[GBDT_MAX_COLUMNS] = {0};
    gbdt_codes(plan, row, codes);
    double sum = 0;
#ifdef KERNEL_TOPS
    sum = plan->group_count > 0 && plan->groups[0].top ? trees_sum(plan, codes)
                                                       : walk_sum(plan, codes);
#else
    sum = walk_sum(plan, codes);
#endif
    return model->average ? sum / (double)model->tree_count : sum;
}

/* From FEW rows on the lanes are rows: below, most of them would be empty. */
KERNEL void kernel_raw_rows(const struct gbdt_model *model, const void *plan, const double *rows,
                            size_t count, double *out)
{
    while (count > 0) {
        const uint32_t now = count < BLOCK ? (uint32_t)count : BLOCK;
        if (now >= FEW) {
            rows_block(model, plan, rows, now, out);
        } else {
            for (uint32_t i = 0; i < now; i++) {
                out[i] = kernel_raw(model, plan, rows + i * model->feature_count);
            }
        }
        rows += now * model->feature_count;
        out += now;
        count -= now;
    }
}

/* The plan; where the model has too many columns for v_look(), one row walks down the trees. */
static bool prepare(struct gbdt_model *model, void **made)
{
    struct gbdt_complete *plan = gbdt_make_complete(model);
#ifdef KERNEL_TOPS
    if (plan && plan->column_count <= KERNEL_TOPS) {
        gbdt_add_tops(model, plan, KERNEL_HALVES);
    }
#endif
    *made = plan;
    return plan != NULL;
}

/* Of their own, so that each has its copy of what it calls: where raw_rows() calls raw() itself,
 * GCC makes slower loops of plain C for a few rows. */
KERNEL double raw(const struct gbdt_model *model, const void *plan, const double *row)
{
    return kernel_raw(model, plan, row);
}

KERNEL void raw_rows(const struct gbdt_model *model, const void *plan, const double *rows,
                     size_t count, double *out)
{
    kernel_raw_rows(model, plan, rows, count, out);
}
