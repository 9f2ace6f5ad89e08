/*
 * test_gbdt_paths.c: every evaluator gives the bits of the plain one.
 *
 * Models are random: trees of depth 0 to 8, thresholds that come again, every missing type and
 * default. Rows hold what the thresholds are, what lies one step beside them, and all that is
 * special about doubles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "gbdt/model.h"
#include "shared_models.h"

/* Intrinsics in plain C are slow: fewer rows go through them. */
#ifdef GBDT_EMULATED
enum { ROWS = 300, SEEDS = 1, GOLDEN = 600 };
#else
enum { ROWS = 600, SEEDS = 2, GOLDEN = 8000 };
#endif
enum { MAX_PATHS = 8 };

/* What a random model is like. */
struct shape {
    const char *what;
    int features, trees, depth;
    int thresholds;  /* different ones a feature */
    bool one_kind;   /* missing type none everywhere */
    bool full;       /* every tree is complete: all leaves as deep as `depth` */
    bool taken;      /* by the fast evaluators */
    bool categories; /* one node asks for a category */
};

static const struct shape shapes[] = {
    {"one constant", 3, 1, 0, 4, .taken = true},
    {"constants", 3, 70, 0, 4, .taken = true},
    {"stumps", 5, 67, 1, 4, .taken = true},
    {"two levels", 5, 64, 2, 9, .taken = true},
    {"three levels", 3, 65, 3, 20, .taken = true},
    {"four levels", 6, 9, 4, 20, .taken = true},
    {"five levels", 6, 63, 5, 30, .taken = true},
    {"six levels, one tree", 8, 1, 6, 30, .taken = true},
    {"seven levels, one column", 1, 40, 7, 255, .one_kind = true, .taken = true},
    {"seven levels, as in the trust model", 29, 130, 7, 250, .one_kind = true, .taken = true},
    {"seven levels, full", 16, 66, 7, 200, .one_kind = true, .full = true, .taken = true},
    {"seven levels, 17 columns", 17, 30, 7, 60, .one_kind = true, .taken = true},
    {"seven levels, all missing types", 6, 130, 7, 40, .taken = true},
    {"eight levels", 20, 70, 8, 100, .one_kind = true, .taken = true},
    {"eight levels, full", 20, 20, 8, 255, .one_kind = true, .full = true, .taken = true},
    {"32 columns", 32, 80, 6, 20, .one_kind = true, .taken = true},
    {"33 columns", 33, 80, 6, 20, .one_kind = true, .taken = true},
    {"64 columns", 64, 80, 6, 20, .one_kind = true, .taken = true},
    {"65 columns", 65, 80, 7, 20, .one_kind = true, .taken = true},
    {"250 columns", 50, 300, 6, 8, .taken = true},
    {"too many columns", 300, 200, 6, 8, .one_kind = true, .full = true},
    {"too deep", 4, 5, 9, 50, .full = true},
    {"too many thresholds", 1, 40, 8, 400, .one_kind = true, .full = true},
    {"a category", 4, 5, 4, 9, .categories = true},
};

struct world {
    const struct shape *shape;
    struct random_stream random;
    double *pool; /* thresholds, shape->thresholds a feature */
    struct buf text;
    struct gbdt_model *model;
    double *rows;
};

static size_t below(struct random_stream *random, size_t limit)
{
    return (size_t)random_below(random, limit);
}

/* Values at which something is special; no reader gives thresholds in [-1e-35f, 1e-35f). */
static const double special[] = {0.0,      1e-35f,    -2e-35,  1.0,         -1.0,
                                 DBL_MAX,  -DBL_MAX,  2e-35,   4294967296., 0.1,
                                 INFINITY, -INFINITY, DBL_MIN, -DBL_MIN,    1.0000000180025095e-35};

static double some_threshold(struct random_stream *random)
{
    const size_t at = below(random, 4 * ARRAY_LEN(special));
    if (at < ARRAY_LEN(special) && isfinite(special[at]) && fabs(special[at]) >= 1e-35f) {
        return special[at];
    }
    const double magnitude = pow(10.0, (double)below(random, 12) - 4);
    return ((double)below(random, 2000001) / 1e6 - 1) * magnitude;
}

/* A tree as the text has it, nodes in the order in which they are met. */
struct sketch {
    int nodes, leaves;
    struct buf feature, threshold, decision, left, right, values, counts;
};

static int add_node(struct world *world, struct sketch *to, int depth, int *left, int *right);

/* Adds what is at a depth: a node's number, or a leaf's as ~number. */
static int add_below(struct world *world, struct sketch *to, int depth, int *left, int *right)
{
    const bool more = depth < world->shape->depth &&
                      (world->shape->full || depth == 0 || below(&world->random, 8) != 0);
    if (more) {
        return add_node(world, to, depth, left, right);
    }
    buf_printf(&to->values, "%.17g ", (double)below(&world->random, 1000003) / 7e5 - 0.7);
    buf_printf(&to->counts, "1 ");
    return ~to->leaves++;
}

static int add_node(struct world *world, struct sketch *to, int depth, int *left, int *right)
{
    const struct shape *shape = world->shape;
    const int node = to->nodes++;
    const size_t feature = below(&world->random, (size_t)shape->features);
    const size_t at = below(&world->random, (size_t)shape->thresholds);
    buf_printf(&to->feature, "%zu ", feature);
    if (shape->categories && node == 0) {
        buf_printf(&to->threshold, "0 ");
        buf_printf(&to->decision, "1 ");
    } else {
        buf_printf(&to->threshold, "%.17g ", world->pool[feature * (size_t)shape->thresholds + at]);
        const size_t missing = shape->one_kind ? 0 : below(&world->random, 3);
        buf_printf(&to->decision, "%zu ", missing << 2 | below(&world->random, 2) << 1);
    }
    left[node] = add_below(world, to, depth + 1, left, right);
    right[node] = add_below(world, to, depth + 1, left, right);
    return node;
}

static void add_line(struct buf *text, const char *name, struct buf *values)
{
    buf_printf(text, "%s=%.*s\n", name, values->len ? (int)values->len - 1 : 0,
               values->ptr ? values->ptr : "");
    buf_free(values);
}

static void add_tree(struct world *world, int number)
{
    int left[1 << 10] = {0}, right[1 << 10] = {0};
    struct sketch sketch = {0};
    (void)add_below(world, &sketch, 0, left, right);
    struct buf lefts = {0}, rights = {0};
    for (int i = 0; i < sketch.nodes; i++) {
        buf_printf(&lefts, "%d ", left[i]);
        buf_printf(&rights, "%d ", right[i]);
    }
    const bool categories = world->shape->categories && sketch.nodes > 0;
    buf_printf(&world->text, "Tree=%d\nnum_leaves=%d\nnum_cat=%d\n", number, sketch.leaves,
               categories);
    add_line(&world->text, "split_feature", &sketch.feature);
    add_line(&world->text, "threshold", &sketch.threshold);
    add_line(&world->text, "decision_type", &sketch.decision);
    add_line(&world->text, "left_child", &lefts);
    add_line(&world->text, "right_child", &rights);
    add_line(&world->text, "leaf_value", &sketch.values);
    add_line(&world->text, "leaf_count", &sketch.counts);
    if (categories) {
        buf_puts(&world->text, "cat_boundaries=0 1\ncat_threshold=5\n");
    }
    buf_puts(&world->text, "is_linear=0\nshrinkage=1\n\n\n");
}

static void write_model(struct world *world)
{
    const struct shape *shape = world->shape;
    buf_printf(&world->text,
               "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
               "max_feature_idx=%d\nobjective=regression\n%sfeature_names=",
               shape->features - 1, below(&world->random, 2) ? "average_output\n" : "");
    for (int i = 0; i < shape->features; i++) {
        buf_printf(&world->text, "%sColumn_%d", i ? " " : "", i);
    }
    buf_puts(&world->text, "\nfeature_infos=");
    for (int i = 0; i < shape->features; i++) {
        buf_printf(&world->text, "%s[-1:1]", i ? " " : "");
    }
    buf_puts(&world->text, "\n\n");
    for (int i = 0; i < shape->trees; i++) {
        add_tree(world, i);
    }
    buf_puts(&world->text, "end of trees\n\nparameters:\n");
}

static double some_value(struct world *world, size_t feature)
{
    const size_t count = (size_t)world->shape->thresholds;
    const double near = world->pool[feature * count + below(&world->random, count)];
    switch (below(&world->random, 8)) {
    case 0: return NAN;
    case 1:
        return special[below(&world->random, ARRAY_LEN(special))] *
               (below(&world->random, 2) ? 1 : -1);
    case 2: return nextafter(near, INFINITY);
    case 3: return nextafter(near, -INFINITY);
    case 4: return (below(&world->random, 2) ? 1 : -1) * 5e-324 * (double)below(&world->random, 3);
    case 5:
        return nextafter((double)1e-35f, below(&world->random, 2) ? 1 : 0) *
               (below(&world->random, 2) ? 1 : -1);
    case 6: return some_threshold(&world->random);
    default: return near;
    }
}

static void make_world(struct world *world, const struct shape *shape, uint64_t seed)
{
    *world = (struct world){.shape = shape};
    random_seed(&world->random, &seed, 1);
    const size_t features = (size_t)shape->features, thresholds = (size_t)shape->thresholds;
    world->pool = mem_alloc(features * thresholds * sizeof *world->pool);
    for (size_t i = 0; i < features * thresholds; i++) {
        world->pool[i] = some_threshold(&world->random);
    }
    write_model(world);
    struct kol_error err = {0};
    if (gbdt_parse((struct str){world->text.ptr, world->text.len}, &world->model, &err) != KOL_OK) {
        fail_msg("%s: %s", shape->what, err.message);
    }
    world->rows = mem_alloc(ROWS * features * sizeof *world->rows);
    for (size_t i = 0; i < ROWS * features; i++) {
        world->rows[i] = some_value(world, i % features);
    }
}

static void drop_world(struct world *world)
{
    gbdt_free(&world->model);
    buf_free(&world->text);
    free(world->pool);
    free(world->rows);
}

static void assert_same(const char *what, const char *path, size_t row, double is, double wanted)
{
    uint64_t is_bits, wanted_bits;
    memcpy(&is_bits, &is, sizeof is);
    memcpy(&wanted_bits, &wanted, sizeof wanted);
    if (is_bits != wanted_bits) {
        fail_msg("%s, %s, row %zu: %.17g instead of %.17g", what, path, row, is, wanted);
    }
}

/* Each row alone, and blocks of odd sizes from odd places on. */
static void compare(const struct gbdt_model *model, const char *what, const double *rows,
                    size_t count, const double *wanted)
{
    static const size_t sizes[] = {1,  2,  3,  8,   15,  16,  17,  23,  24,  31,  32, 33,
                                   63, 64, 65, 127, 129, 255, 256, 257, 300, 511, 600};
    const size_t width = gbdt_feature_count(model);
    const char *path = gbdt_path(model);
    for (size_t i = 0; i < count; i++) {
        assert_same(what, path, i, gbdt_raw(model, rows + i * width), wanted[i]);
    }
    double *out = mem_alloc((count + 1) * sizeof *out);
    for (size_t i = 0; i < ARRAY_LEN(sizes) && sizes[i] <= count; i++) {
        const size_t from = (count - sizes[i]) * i / ARRAY_LEN(sizes);
        out[sizes[i]] = 17;
        gbdt_raw_rows(model, rows + from * width, sizes[i], out);
        for (size_t k = 0; k < sizes[i]; k++) {
            assert_same(what, path, from + k, out[k], wanted[from + k]);
        }
        assert_true(out[sizes[i]] == 17);
    }
    gbdt_raw_rows(model, rows, count, out);
    for (size_t k = 0; k < count; k++) {
        assert_same(what, path, k, out[k], wanted[k]);
    }
    free(out);
}

/* Returns how many evaluators were compared with the plain one. */
static size_t compare_paths(struct gbdt_model *model, const char *what, const double *rows,
                            size_t count, bool taken)
{
    const char *paths[MAX_PATHS];
    const size_t path_count = gbdt_paths(paths, MAX_PATHS), width = gbdt_feature_count(model);
    struct kol_error err = {0};
    assert_true(path_count >= 2 && path_count <= MAX_PATHS);
    assert_string_equal(paths[0], "portable");
    assert_int_equal(gbdt_use(model, "portable", &err), KOL_OK);
    double *wanted = mem_alloc(count * sizeof *wanted);
    for (size_t i = 0; i < count; i++) {
        wanted[i] = gbdt_raw(model, rows + i * width);
    }
    for (size_t i = 1; i < path_count; i++) {
        const enum kol_status status = gbdt_use(model, paths[i], &err);
        if (!taken) {
            assert_int_equal(status, KOL_UNSUPPORTED);
            assert_string_equal(gbdt_path(model), "portable");
            continue;
        }
        if (status != KOL_OK) {
            fail_msg("%s: %s", what, err.message);
        }
        assert_string_equal(gbdt_path(model), paths[i]);
        compare(model, what, rows, count, wanted);
    }
    free(wanted);
    return path_count - 1;
}

static void test_every_path_gives_the_bits_of_the_plain_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            struct world world;
            make_world(&world, &shapes[i], seed * 1000 + i);
            compare_paths(world.model, shapes[i].what, world.rows, ROWS, shapes[i].taken);
            drop_world(&world);
        }
    }
}

static void test_no_row_is_no_work(void **state)
{
    (void)state;
    struct world world;
    make_world(&world, &shapes[3], 5);
    double out = 17;
    gbdt_raw_rows(world.model, world.rows, 0, &out);
    assert_true(out == 17);
    drop_world(&world);
}

static double next_number(char **at)
{
    const bool empty = **at == ',' || **at == '\n';
    const double number = empty ? NAN : strtod(*at, at);
    *at += **at == ',';
    return number;
}

/* Each row of the file is the features, the raw score and the probability. */
static size_t read_golden(const char *path, size_t width, double *rows, double *wanted, size_t max)
{
    char line[4096];
    size_t count = 0;
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    assert_non_null(gzgets(file, line, sizeof line));
    while (count < max && gzgets(file, line, sizeof line)) {
        char *at = line;
        for (size_t i = 0; i < width; i++) {
            rows[count * width + i] = next_number(&at);
        }
        wanted[count++] = next_number(&at);
    }
    gzclose(file);
    return count;
}

static void test_golden_rows_have_their_scores_on_every_path(void **state)
{
    (void)state;
    enum { WIDTH = 29 };
    char *model_path = shared_model("trust_lgbm_494_trees.txt");
    char *golden_path = shared_model("trust_lgbm_494_golden.csv.gz");
    if (!model_path || !golden_path) {
        free(model_path);
        free(golden_path);
        skip();
        return;
    }
    struct gbdt_model *model = NULL;
    struct kol_error err = {0};
    if (gbdt_read(model_path, &model, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(gbdt_feature_count(model), WIDTH);
    double *rows = mem_alloc(sizeof *rows * GOLDEN * WIDTH),
           *wanted = mem_alloc(sizeof *rows * GOLDEN);
    const size_t count = read_golden(golden_path, WIDTH, rows, wanted, GOLDEN);
    assert_int_equal(count, GOLDEN);
    const char *paths[MAX_PATHS];
    const size_t path_count = gbdt_paths(paths, MAX_PATHS);
    for (size_t i = 0; i < path_count; i++) {
        assert_int_equal(gbdt_use(model, paths[i], &err), KOL_OK);
        compare(model, "golden", rows, count, wanted);
    }
    free(rows);
    free(wanted);
    free(model_path);
    free(golden_path);
    gbdt_free(&model);
}

/* A build with the intrinsics in plain C has them all; no other test says which ran. */
static void test_the_paths_of_this_machine_are_said(void **state)
{
    (void)state;
    const char *paths[MAX_PATHS];
    const size_t count = gbdt_paths(paths, MAX_PATHS);
    for (size_t i = 0; i < count; i++) {
        print_message("# path %s\n", paths[i]);
    }
#ifdef GBDT_EMULATED
    assert_string_equal(paths[count - 1], "vbmi");
    assert_string_equal(paths[count - 2], "avx512");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_path_gives_the_bits_of_the_plain_one),
        cmocka_unit_test(test_no_row_is_no_work),
        cmocka_unit_test(test_golden_rows_have_their_scores_on_every_path),
        cmocka_unit_test(test_the_paths_of_this_machine_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
