/*
 * kernel.h: the fast evaluators, written once for registers of any width. Private; no ordinary
 * header: each evaluator includes it once, behind the words of its instruction set, and takes from
 * it prepare(), raw() and raw_rows().
 *
 * The words are: KERNEL, how a function is declared; VECTORS, how many registers are worked on at
 * once; the types `vec` (signed bytes) and `mask` (one truth value a byte) and
 *
 *     v_load(bytes) v_store(bytes, vec) v_splat(byte)
 *     v_spread(&four)          vec of four bytes in memory that are the same
 *     v_above(codes, ranks)    mask: codes > ranks
 *     v_pick(mask, no, yes)    vec
 *     v_next(mask, vec)        vec + 1 where the mask is true
 *
 * With KERNEL_BELOW also v_below(thresholds, value): how many of 16 ascending thresholds, 64-byte
 * aligned, are below the value; none is below NaN.
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

/* Which rows go right at a node; `codes` of the first row. */
KERNEL struct choice rows_right(const int8_t *codes, const struct gbdt_row_node *node)
{
    const int8_t *column = codes + node->codes;
    const vec rank = v_spread(&node->ranks);
    struct choice right;
    for (uint32_t i = 0; i < VECTORS; i++) {
        right.at[i] = v_above(v_load(column + i * sizeof(vec)), rank);
    }
    return right;
}

KERNEL struct lanes spread(const uint32_t *four)
{
    struct lanes all;
    for (int i = 0; i < VECTORS; i++) {
        all.at[i] = v_spread(four);
    }
    return all;
}

/* The leaf of each row that comes to a tail, of all tails of a bunch. */
KERNEL void rows_tails(const struct gbdt_bunch *bunch, const int8_t *codes, struct lanes *slots)
{
    const struct gbdt_row_tail *tail = bunch->tails;
    const struct gbdt_row_tail *end = tail + bunch->counts[GBDT_ROW_LEAF];
    for (; tail < end; tail++) {
        slots[tail->place] = spread(&tail->left_leaf);
    }
    for (end += bunch->counts[GBDT_ROW_NODE]; tail < end; tail++) {
        slots[tail->place] = next(rows_right(codes, &tail->upper), spread(&tail->left_leaf));
    }
    for (end += bunch->counts[GBDT_ROW_NODES]; tail < end; tail++) {
        const struct lanes left = next(rows_right(codes, &tail->left), spread(&tail->left_leaf));
        const struct lanes right = next(rows_right(codes, &tail->right), spread(&tail->right_leaf));
        slots[tail->place] = pick(rows_right(codes, &tail->upper), left, right);
    }
}

/* The leaf of each of STEP rows in a tree, of which `slots` has the leaves at its tails. */
KERNEL void rows_tree(const struct gbdt_row_node *nodes, uint32_t levels, const int8_t *codes,
                      const struct lanes *slots, uint8_t *leaf)
{
    struct lanes upper[1 << (GBDT_MAX_LEVELS - 1)];
    const size_t lowest = (size_t)1 << (levels - 2);
    for (size_t i = lowest; i < 2 * lowest; i++, slots += 4) {
        const struct lanes left = pick(rows_right(codes, nodes + 2 * i), slots[0], slots[1]);
        const struct lanes right = pick(rows_right(codes, nodes + 2 * i + 1), slots[2], slots[3]);
        upper[i] = pick(rows_right(codes, nodes + i), left, right);
    }
    for (size_t i = lowest; i-- > 1;) {
        upper[i] = pick(rows_right(codes, nodes + i), upper[2 * i], upper[2 * i + 1]);
    }
    for (uint32_t i = 0; i < VECTORS; i++) {
        v_store(leaf + i * sizeof(vec), upper[1].at[i]);
    }
}

/* Adds the leaves of `trees` trees, at most GBDT_BUNCH, to the sum of each row, in their order. So
 * many as have their first leaves in registers are added at once. */
KERNEL void rows_add(const double *const *leaves, uint32_t trees,
                     uint8_t leaf[GBDT_BUNCH][GBDT_BLOCK], uint32_t rows, double *sums)
{
    uint32_t tree = 0;
    for (; tree + 4 <= trees; tree += 4) {
        const double *a = leaves[tree], *b = leaves[tree + 1];
        const double *c = leaves[tree + 2], *d = leaves[tree + 3];
        for (uint32_t i = 0; i < rows; i++) {
            sums[i] = sums[i] + a[leaf[tree][i]] + b[leaf[tree + 1][i]] + c[leaf[tree + 2][i]] +
                      d[leaf[tree + 3][i]];
        }
    }
    for (; tree < trees; tree++) {
        for (uint32_t i = 0; i < rows; i++) {
            sums[i] += leaves[tree][leaf[tree][i]];
        }
    }
}

/* A slot that no tail has is one that nothing picks. */
KERNEL void rows_bunch(const struct gbdt_group *group, uint32_t from, uint32_t trees,
                       const int8_t *codes, uint32_t rows, struct lanes *slots, double *sums)
{
    uint8_t leaf[GBDT_BUNCH][GBDT_BLOCK];
    for (uint32_t row = 0; row < rows; row += STEP) {
        rows_tails(&group->bunches[from / GBDT_BUNCH], codes + row, slots);
        for (uint32_t i = 0; i < trees; i++) {
            rows_tree(group->row_nodes + ((size_t)(from + i) << group->levels), group->levels,
                      codes + row, slots + ((size_t)i << group->levels), leaf[i] + row);
        }
    }
    rows_add(group->leaves + from, trees, leaf, rows, sums);
}

KERNEL void rows_group(const struct gbdt_group *group, const int8_t *codes, uint32_t rows,
                       struct lanes *slots, double *sums)
{
    for (uint32_t from = 0; from < group->trees; from += GBDT_BUNCH) {
        const uint32_t trees = group->trees - from < GBDT_BUNCH ? group->trees - from : GBDT_BUNCH;
        rows_bunch(group, from, trees, codes, rows, slots, sums);
    }
}

KERNEL int8_t code_of(const struct gbdt_column *column, double value)
{
#ifdef KERNEL_BELOW
    const uint32_t sixteen = 16 * v_below(column->sixteenths, value);
    const uint32_t below = sixteen + v_below(column->thresholds + sixteen, value);
    return gbdt_code(column, value, (int8_t)((int)below - 128));
#else
    return gbdt_code(column, value, gbdt_rank(column, value));
#endif
}

/* The codes of a block of rows, a column after the other; a last step that is not full is filled
 * up with codes of no meaning. */
KERNEL void rows_codes(const struct gbdt_complete *plan, const double *rows, size_t width,
                       uint32_t count, int8_t *codes)
{
    for (size_t i = 0; i < plan->column_count; i++, codes += GBDT_BLOCK) {
        const struct gbdt_column column = plan->columns[i];
        for (uint32_t row = 0; row < count; row++) {
            codes[row] = code_of(&column, rows[row * width + (size_t)column.feature]);
        }
        memset(codes + count, 0, (count + STEP - 1) / STEP * STEP - count);
    }
}

KERNEL void rows_block(const struct gbdt_model *model, const struct gbdt_complete *plan,
                       const double *rows, uint32_t count, double *out)
{
    int8_t codes[GBDT_MAX_COLUMNS * GBDT_BLOCK];
    struct lanes slots[GBDT_BUNCH << GBDT_MAX_LEVELS];
    if (plan->column_count == 0) {
        memset(codes, 0, GBDT_BLOCK);
    }
    rows_codes(plan, rows, model->feature_count, count, codes);
    for (uint32_t i = 0; i < count; i++) {
        out[i] = 0;
    }
    for (size_t i = 0; i < plan->group_count; i++) {
        rows_group(&plan->groups[i], codes, count, slots, out);
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
            sum += group->leaves[tree][gbdt_tail_leaf(tails[tail[tree]], codes)];
        }
    }
    return sum;
}
#endif

/* The leaves of GBDT_BUNCH trees, all steps of them side by side. */
KERNEL double walk_trees(const struct gbdt_group *group, uint32_t from, const int8_t *codes,
                         double sum)
{
    const size_t size = (size_t)1 << group->levels;
    const uint16_t *nodes = group->nodes + from * size;
    const uint64_t *tails = group->tails + from * size;
    uint32_t at[GBDT_BUNCH] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (uint32_t level = 0; level < group->levels; level++) {
        for (uint32_t i = 0; i < GBDT_BUNCH; i++) {
            at[i] = 2 * at[i] + gbdt_right(nodes[i * size + at[i]], codes);
        }
    }
    for (uint32_t i = 0; i < GBDT_BUNCH; i++) {
        const uint64_t tail = tails[i * size + at[i] - size];
        sum += group->leaves[from + i][gbdt_tail_leaf(tail, codes)];
    }
    return sum;
}

/* The same for one tree. */
KERNEL double walk_tree(const struct gbdt_group *group, uint32_t tree, const int8_t *codes)
{
    const size_t size = (size_t)1 << group->levels;
    uint32_t at = 1;
    while (at < size) {
        at = 2 * at + gbdt_right(group->nodes[tree * size + at], codes);
    }
    const uint64_t tail = group->tails[tree * size + at - size];
    return group->leaves[tree][gbdt_tail_leaf(tail, codes)];
}

KERNEL double walk_sum(const struct gbdt_complete *plan, const int8_t *codes)
{
    double sum = 0;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct gbdt_group *group = &plan->groups[i];
        uint32_t tree = 0;
        for (; tree + GBDT_BUNCH <= group->trees; tree += GBDT_BUNCH) {
            sum = walk_trees(group, tree, codes, sum);
        }
        for (; tree < group->trees; tree++) {
            sum += walk_tree(group, tree, codes);
        }
    }
    return sum;
}

KERNEL double kernel_raw(const struct gbdt_model *model, const void *made, const double *row)
{
    const struct gbdt_complete *plan = made;
    int8_t codes[GBDT_MAX_COLUMNS] = {0};
    for (size_t i = 0; i < plan->column_count; i++) {
        codes[i] = code_of(&plan->columns[i], row[plan->columns[i].feature]);
    }
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
        const uint32_t now = count < GBDT_BLOCK ? (uint32_t)count : GBDT_BLOCK;
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
