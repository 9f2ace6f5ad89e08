/*
 * explain.c: what each feature adds to a row's raw score: exact TreeSHAP, in time linear in the
 * size of the trees.
 *
 * For one leaf of value v, let feature j, of the d that its path asks, have the share z_j of the
 * training rows that its conditions let through (product of cover(child) / cover(node)), and o_j be
 * 1 where the row itself meets them, else 0. Its Shapley value is
 *
 *     v (o_i - z_i)  sum over subsets S of the others:  |S|! (d-1-|S|)! / d!  prod o_j  prod z_j
 *                                                                            j in S    j not in S
 *
 * and k! (d-1-k)! / d! is the integral of t^k (1-t)^(d-1-k) over [0, 1], so that it is as well
 *
 *     v (o_i - z_i)  integral over t of the product over j != i of  f_j(t) = t o_j + (1-t) z_j
 *
 * a polynomial of degree d-1, for which the Gauss-Legendre rule of d/2 points is exact. Nothing is
 * subtracted in the products: deep trees lose no digits. At one point t the products of all leaves
 * are made on the way down, one factor an edge, and what they add up to on the way back:
 *
 *   - an edge that asks its feature for the first time brings the factor f; one that asks a feature
 *     again replaces f of the edge above that asked it (its `before`) by the narrower one;
 *   - with S the sum over the leaves below of v times the product, an edge adds S (o - z) / f to
 *     its feature, and takes back what the edge before it counted for the same leaves.
 *
 * Where o is 0, (o - z) / f is -1 / (1-t) whatever z: below, the feature has nothing to add any
 * more. Points are taken LANES at a time, so that the inner loops become vector instructions.
 *
 * Nodes lie in preorder, their two edges side by side, so that a pass down is a loop forward and a
 * pass back a loop backward, whatever the depth:
 *
 *     edges:  [0] before all, f = 1 | [2k + 2] left of node k | [2k + 3] right of node k
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "gbdt/decide.h"

enum {
    LANES = 4,
    RULES = 10,                             /* rule r has LANES << r points */
    MAX_ASKED = 2 * (LANES << (RULES - 1)), /* features on one path that the largest is exact for */
};

struct step {
    struct gbdt_node node; /* what it asks */
    double share_before;   /* z of the edge before; 1: the feature is asked for the first time */
    double share[2];       /* cover(child) / cover(node), left and right */
    double value[2];       /* of the child where it is a leaf, else 1 */
    int32_t edge, before;  /* the edge that leads here; the one that asked the feature before */
};

struct tree_plan {
    size_t first, count; /* of its steps */
    size_t rule;
    const struct gbdt_tree *tree;
};

/* Points and weights on [0, 1]; `rest` is 1 - point, exact near 1 too. */
struct rule {
    double *point, *rest, *weight;
};

struct plan {
    struct step *steps;
    struct tree_plan *trees; /* those that are no constant */
    size_t tree_count, most_steps;
    double expected; /* mean raw score over the training set */
    struct rule rules[RULES];
};

/* ---- the points ---- */

/* The value of the Legendre polynomial of degree n at x, and its derivative. */
static double legendre(size_t n, double x, double *derivative)
{
    double before = 1, at = x;
    for (size_t k = 2; k <= n; k++) {
        const double next = ((double)(2 * k - 1) * x * at - (double)(k - 1) * before) / (double)k;
        before = at;
        at = next;
    }
    *derivative = (double)n * (x * at - before) / (x * x - 1);
    return at;
}

static void make_rule(struct rule *rule, size_t points)
{
    rule->point = mem_alloc(3 * points * sizeof(double));
    rule->rest = rule->point + points;
    rule->weight = rule->rest + points;
    for (size_t i = 0; i < points / 2; i++) {
        double x = cos(M_PI * ((double)i + 0.75) / ((double)points + 0.5)), slope;
        for (int turn = 0; turn < 8; turn++) {
            const double change = legendre(points, x, &slope) / slope;
            x -= change;
            if (fabs(change) < 1e-15) {
                break;
            }
        }
        (void)legendre(points, x, &slope);
        const double weight = 1 / ((1 - x * x) * slope * slope);
        const size_t twin = points - 1 - i;
        rule->point[i] = rule->rest[twin] = (1 - x) / 2;
        rule->rest[i] = rule->point[twin] = (1 + x) / 2;
        rule->weight[i] = rule->weight[twin] = weight;
    }
}

/* ---- the plan ---- */

/* A node whose children are being visited. */
struct frame {
    int32_t node;  /* of the tree */
    int32_t step;  /* of the plan */
    int32_t turn;  /* how many children were visited */
    int32_t asked; /* features on the way to here */
};

/* What is needed while the plan is made. */
struct maker {
    const struct gbdt_model *model;
    struct plan *plan;
    struct frame *stack;
    int32_t *last;      /* by feature: the edge that asked it last on the way to here, or 0 */
    double *edge_share; /* by edge: z */
};

static double cover(const struct gbdt_model *model, const struct gbdt_tree *tree, int32_t at)
{
    return at >= 0 ? model->node_covers[tree->first_node + (size_t)at]
                   : model->leaf_covers[tree->first_leaf + (size_t)~at];
}

/* Makes the step of a node. No row of the training set below a node leaves its shares open: any two
 * that make 1 will do. */
static void make_step(struct maker *maker, const struct tree_plan *of, int32_t at, int32_t edge,
                      int32_t step_number)
{
    const struct gbdt_model *model = maker->model;
    const struct gbdt_tree *tree = of->tree;
    struct step *step = &maker->plan->steps[of->first + (size_t)step_number];
    step->node = model->nodes[tree->first_node + (size_t)at];
    step->edge = edge;
    step->before = maker->last[step->node.feature];
    step->share_before = maker->edge_share[step->before];
    const int32_t children[2] = {step->node.left, step->node.right};
    const double all = cover(model, tree, at);
    for (size_t i = 0; i < 2; i++) {
        const int32_t child = children[i];
        step->share[i] = all > 0 ? cover(model, tree, child) / all : 0.5;
        step->value[i] = child < 0 ? model->leaf_values[tree->first_leaf + (size_t)~child] : 1;
        maker->edge_share[2 * (size_t)step_number + 2 + i] = step->share_before * step->share[i];
    }
}

/* Makes the steps of a tree in preorder; returns how many features its richest path asks. */
static size_t make_steps(struct maker *maker, struct tree_plan *of)
{
    int32_t most = 0, made = 0;
    size_t depth = 1;
    maker->edge_share[0] = 1;
    maker->stack[0] = (struct frame){0};
    make_step(maker, of, 0, 0, made++);
    while (depth) {
        struct frame *frame = &maker->stack[depth - 1];
        const struct step *step = &maker->plan->steps[of->first + (size_t)frame->step];
        int32_t *last = &maker->last[step->node.feature];
        if (frame->turn == 2) {
            *last = step->before;
            depth--;
            continue;
        }
        const int32_t child = frame->turn ? step->node.right : step->node.left;
        const int32_t edge = 2 * frame->step + 2 + frame->turn++;
        const int32_t asked = frame->asked + (step->before == 0);
        *last = edge;
        most = asked > most ? asked : most;
        if (child >= 0) {
            maker->stack[depth++] = (struct frame){.node = child, .step = made, .asked = asked};
            make_step(maker, of, child, edge, made++);
        }
    }
    return (size_t)most;
}

static double expected_of(const struct gbdt_model *model, const struct gbdt_tree *tree)
{
    const double *values = model->leaf_values + tree->first_leaf;
    const double *covers = model->leaf_covers + tree->first_leaf;
    if (tree->leaves == 1) {
        return values[0];
    }
    const double all = model->node_covers[tree->first_node];
    double sum = 0;
    for (int32_t i = 0; i < tree->leaves; i++) {
        sum += covers[i] / all * values[i];
    }
    return sum;
}

/* False where a path asks too many features. */
static bool make_tree(struct maker *maker, const struct gbdt_tree *tree)
{
    struct plan *plan = maker->plan;
    plan->expected += expected_of(maker->model, tree);
    if (tree->leaves == 1) {
        return true;
    }
    struct tree_plan *of = &plan->trees[plan->tree_count++];
    *of = (struct tree_plan){
        .tree = tree, .first = tree->first_node, .count = (size_t)tree->leaves - 1};
    const size_t asked = make_steps(maker, of);
    if (asked > MAX_ASKED) {
        return false;
    }
    while (2 * ((size_t)LANES << of->rule) < asked) {
        of->rule++;
    }
    if (!plan->rules[of->rule].point) {
        make_rule(&plan->rules[of->rule], (size_t)LANES << of->rule);
    }
    return true;
}

void gbdt_plan_explaining(struct gbdt_model *model)
{
    if (model->no_explaining) {
        return;
    }
    struct plan *plan = mem_zalloc(1, sizeof *plan);
    int32_t deepest = 0;
    for (size_t i = 0; i < model->tree_count; i++) {
        const size_t steps = (size_t)model->trees[i].leaves - 1;
        plan->most_steps = steps > plan->most_steps ? steps : plan->most_steps;
        deepest = model->trees[i].depth > deepest ? model->trees[i].depth : deepest;
    }
    plan->steps = mem_zalloc(model->node_count, sizeof *plan->steps);
    plan->trees = mem_zalloc(model->tree_count, sizeof *plan->trees);
    struct maker maker = {
        .model = model,
        .plan = plan,
        .stack = mem_zalloc((size_t)deepest + 1, sizeof *maker.stack),
        .last = mem_zalloc(model->feature_count, sizeof *maker.last),
        .edge_share = mem_zalloc(2 * plan->most_steps + 2, sizeof *maker.edge_share),
    };
    bool fits = true;
    for (size_t i = 0; i < model->tree_count && fits; i++) {
        fits = make_tree(&maker, &model->trees[i]);
    }
    model->explain_plan = plan;
    if (!fits) {
        gbdt_free_explaining(model);
        model->no_explaining = "a path of a tree asks more than 4,096 features";
    }
    free(maker.stack);
    free(maker.last);
    free(maker.edge_share);
}

void gbdt_free_explaining(struct gbdt_model *model)
{
    struct plan *plan = model->explain_plan;
    if (plan) {
        for (size_t i = 0; i < RULES; i++) {
            free(plan->rules[i].point);
        }
        free(plan->steps);
        free(plan->trees);
        free(plan);
        model->explain_plan = NULL;
    }
}

/* ---- the passes ---- */

/* LANES numbers, one of each point: a vector of the compiler, in registers of whatever width the
 * machine has. 16 bytes is what mem_alloc() aligns to. */
typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(16)));

/* What one row needs while it is explained. */
struct scratch {
    lanes *sums;    /* by edge: the product on the way down, S on the way back */
    lanes *inverse; /* by edge: 1 / f, where its `open` is set */
    bool *open;     /* by edge: o of its feature */
    lanes *phi;     /* by feature */
};

/* LANES points of a rule. */
struct points {
    lanes point, rest, weight;
};

static void go_down(const struct tree_plan *of, const struct step *steps, const double *row,
                    const struct points *at, struct scratch *scratch)
{
    lanes *sums = scratch->sums, *inverse = scratch->inverse;
    bool *open = scratch->open;
    sums[0] = at->weight;
    inverse[0] = (lanes){0} + 1.0;
    open[0] = true;
    for (size_t k = 0; k < of->count; k++) {
        const struct step *step = &steps[k];
        const size_t left = 2 * k + 2, right = left + 1;
        const lanes above = sums[step->edge];
        open[left] = open[right] = false;
        if (!open[step->before]) {
            sums[left] = above * (step->share[0] * step->value[0]);
            sums[right] = above * (step->share[1] * step->value[1]);
            continue;
        }
        const size_t hot = !gbdt_goes_left(of->tree, &step->node, row[step->node.feature]);
        const size_t cold = 1 - hot;
        const lanes without = above * inverse[step->before];
        const lanes factor = at->point + at->rest * (step->share_before * step->share[hot]);
        sums[left + hot] = without * factor * step->value[hot];
        sums[left + cold] =
            without * at->rest * (step->share_before * step->share[cold] * step->value[cold]);
        inverse[left + hot] = 1.0 / factor;
        open[left + hot] = true;
    }
}

static void go_back(const struct tree_plan *of, const struct step *steps, const struct points *at,
                    struct scratch *scratch)
{
    const lanes *inverse = scratch->inverse;
    const lanes closed = -1.0 / at->rest; /* (o - z) / f of an edge that the row does not take */
    lanes *sums = scratch->sums;
    for (size_t k = of->count; k-- > 0;) {
        const struct step *step = &steps[k];
        const size_t left = 2 * k + 2, right = left + 1;
        if (scratch->open[step->before]) {
            const size_t hot = !scratch->open[left], cold = 1 - hot;
            const lanes counted = (1 - step->share_before) * inverse[step->before];
            const lanes brought = (1 - step->share_before * step->share[hot]) * inverse[left + hot];
            scratch->phi[step->node.feature] +=
                sums[left + hot] * (brought - counted) + sums[left + cold] * (closed - counted);
        }
        sums[step->edge] = sums[left] + sums[right];
    }
}

static void explain_tree(const struct plan *plan, const struct tree_plan *of, const double *row,
                         struct scratch *scratch)
{
    const struct rule *rule = &plan->rules[of->rule];
    const struct step *steps = plan->steps + of->first;
    for (size_t first = 0; first < (size_t)LANES << of->rule; first += LANES) {
        struct points at;
        for (size_t q = 0; q < LANES; q++) {
            at.point[q] = rule->point[first + q];
            at.rest[q] = rule->rest[first + q];
            at.weight[q] = rule->weight[first + q];
        }
        go_down(of, steps, row, &at, scratch);
        go_back(of, steps, &at, scratch);
    }
}

void gbdt_explain(const struct gbdt_model *model, const double *row, double *phi)
{
    const struct plan *plan = model->explain_plan;
    const double trees = model->average ? (double)model->tree_count : 1;
    if (!plan) {
        for (size_t i = 0; i <= model->feature_count; i++) {
            phi[i] = NAN;
        }
        return;
    }
    const size_t edges = 2 * plan->most_steps + 2;
    lanes *memory = mem_alloc((2 * edges + model->feature_count) * sizeof *memory);
    struct scratch scratch = {
        .sums = memory,
        .inverse = memory + edges,
        .phi = memory + 2 * edges,
        .open = mem_alloc(edges * sizeof *scratch.open),
    };
    for (size_t i = 0; i < model->feature_count; i++) {
        scratch.phi[i] = (lanes){0};
    }
    for (size_t i = 0; i < plan->tree_count; i++) {
        explain_tree(plan, &plan->trees[i], row, &scratch);
    }
    for (size_t i = 0; i < model->feature_count; i++) {
        const lanes sum = scratch.phi[i];
        phi[i] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / trees;
    }
    phi[model->feature_count] = plan->expected / trees;
    free(scratch.open);
    free(memory);
}
