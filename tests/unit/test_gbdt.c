/* test_gbdt.c: the reader of LightGBM's models, the plain evaluator, explanations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gbdt/model.h"

/* Two trees over a number, a category and a number that no tree asks for. Tree 0:
 *
 *     a <= 2.5 (missing nan, default left) ? (b in {1, 33} ? 1 : 2) : 4
 */
#define HEAD                                                                                       \
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=2\n"  \
    "objective=binary sigmoid:2\nfeature_names=a b c\nfeature_infos=[0:10] 33:1:-1:2 none\n"
#define TREE_0                                                                                     \
    "Tree=0\nnum_leaves=3\nnum_cat=1\nsplit_feature=0 1\nsplit_gain=9 8\nthreshold=2.5 0\n"        \
    "decision_type=10 1\nleft_child=1 -1\nright_child=-3 -2\nleaf_value=1 2 4\n"                   \
    "leaf_weight=1 1 1\nleaf_count=2 3 5\ninternal_value=0 0\ninternal_weight=0 0\n"               \
    "internal_count=10 5\ncat_boundaries=0 2\ncat_threshold=2 2\nis_linear=0\nshrinkage=0.1\n\n\n"
#define TREE_1                                                                                     \
    "Tree=1\nnum_leaves=1\nnum_cat=0\nsplit_feature=\nthreshold=\ndecision_type=\nleft_child=\n"   \
    "right_child=\nleaf_value=0.125\nleaf_count=10\ninternal_count=\nis_linear=0\nshrinkage="      \
    "1\n\n\n"
#define TAIL "end of trees\n\nfeature_importances:\na=1\n\nparameters:\n[boosting: gbdt]\n"

static const char base[] = HEAD "\n" TREE_0 TREE_1 TAIL;

static struct gbdt_model *parsed(const char *text)
{
    struct gbdt_model *model = NULL;
    struct kol_error err = {0};
    if (gbdt_parse(str_of(text), &model, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    return model;
}

/* The text with the first `from` replaced; memory for free(). */
static char *changed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    struct buf out = {0};
    buf_append(&out, text, (size_t)(at - text));
    buf_puts(&out, to);
    buf_puts(&out, at + strlen(from));
    return out.ptr;
}

static void assert_refused(const char *text, enum kol_status status, const char *words)
{
    struct gbdt_model *model = (struct gbdt_model *)1;
    struct kol_error err = {0};
    const enum kol_status got = gbdt_parse(str_of(text), &model, &err);
    if (got != status || !strstr(err.message, words)) {
        fail_msg("status %d with \"%s\" where \"%s\" was due", (int)got, err.message, words);
    }
    assert_null(model);
}

/* The raw score of a row, in which all ways that take the model must agree. */
static double raw_of(struct gbdt_model *model, double a, double b)
{
    const double row[] = {a, b, NAN};
    const char *names[16];
    const size_t count = gbdt_paths(names, ARRAY_LEN(names));
    assert_int_equal(gbdt_use(model, "portable", NULL), KOL_OK);
    const double raw = gbdt_raw(model, row);
    for (size_t i = 1; i < count; i++) {
        if (gbdt_use(model, names[i], NULL) == KOL_OK && gbdt_raw(model, row) != raw) {
            fail_msg("%s does not give what portable gives for %g, %g", names[i], a, b);
        }
    }
    return raw;
}

/* ---- reading ---- */

static void a_model_says_what_it_is(void **state)
{
    (void)state;
    struct gbdt_model *model = parsed(base);
    const struct gbdt_feature *features = gbdt_features(model);
    assert_int_equal(gbdt_feature_count(model), 3);
    assert_int_equal(gbdt_tree_count(model), 2);
    assert_int_equal(gbdt_leaf_count(model), 4);
    assert_string_equal(gbdt_version_text(model), "v4");
    assert_int_equal(gbdt_objective(model), GBDT_BINARY);
    assert_true(gbdt_sigmoid(model) == 2);
    assert_int_equal(features[0].range, GBDT_NUMERICAL);
    assert_true(features[0].min == 0 && features[0].max == 10);
    assert_int_equal(features[1].range, GBDT_CATEGORIES);
    assert_int_equal(features[1].category_count, 3); /* -1 is missing, no category */
    assert_int_equal(features[1].categories[0], 1);
    assert_int_equal(features[1].categories[2], 33);
    assert_int_equal(features[2].range, GBDT_UNUSED);
    assert_string_equal(features[2].name.ptr, "c");
    gbdt_free(&model);
    assert_null(model);
}

static void a_file_of_another_system_reads_the_same(void **state)
{
    (void)state;
    struct buf crlf = {0};
    for (const char *at = base; *at; at++) {
        buf_puts(&crlf, *at == '\n' ? "\r\n" : (char[]){*at, '\0'});
    }
    char *v3 = changed(crlf.ptr, "version=v4", "version=v3");
    struct gbdt_model *model = parsed(v3);
    assert_string_equal(gbdt_version_text(model), "v3");
    assert_true(raw_of(model, 1, 1) == 1.125);
    gbdt_free(&model);
    free(v3);
    buf_free(&crlf);
}

static void numbers_have_a_point_in_every_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
    bool set = false;
    for (size_t i = 0; i < ARRAY_LEN(names) && !set; i++) {
        set = setlocale(LC_ALL, names[i]) != NULL;
    }
    if (!set) {
        print_message("no locale with a decimal comma on this machine: not tried\n");
    }
    struct gbdt_model *model = parsed(base);
    setlocale(LC_ALL, "C");
    assert_true(raw_of(model, 2.5, 1) == 1.125);
    assert_true(raw_of(model, nextafter(2.5, 3), 1) == 4.125);
    gbdt_free(&model);
}

static void what_is_not_done_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"version=v4", "version=v5", "version \"v5\""},
        {"version=v4", "version=v2", "version \"v2\""},
        {"num_class=1", "num_class=3", "line 3: num_class=3"},
        {"num_tree_per_iteration=1", "num_tree_per_iteration=2", "num_tree_per_iteration=2"},
        {"binary sigmoid:2", "multiclass num_class:3", "objective \"multiclass\""},
        {"binary sigmoid:2", "poisson", "objective \"poisson\""},
        {"binary sigmoid:2", "regression sqrt", "reg_sqrt"},
        {"objective=binary sigmoid:2\n", "", "objective \"\""},
        {"is_linear=0", "is_linear=1", "tree 0: is_linear says"},
        {"max_feature_idx=2", "max_feature_idx=65536", "max_feature_idx=65536"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = changed(base, cases[i][0], cases[i][1]);
        assert_refused(text, KOL_UNSUPPORTED, cases[i][2]);
        free(text);
    }
}

static void what_is_broken_is_refused_with_its_place(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"tree\n", "forest\n", "line 1: this is no LightGBM text model"},
        {"num_class=1", "num_class=x", "line 3: num_class=x"},
        {"max_feature_idx=2", "max_feature_idx=-1", "max_feature_idx=-1"},
        {"max_feature_idx=2", "max_feature_idx=3", "line 8: feature_names names 3 features"},
        {"names=a b c", "names=a b a", "line 8: two features are called a"},
        {"names=a b c", "names=a b", "names 2 features"},
        {"version=v4", "version=v4\nversion=v4", "line 3: version stands here a second time"},
        {"feature_infos", "feature_imfos", "feature_infos is missing"},
        {"[0:10]", "[10:0]", "\"[10:0]\" of feature 0"},
        {"[0:10]", "[0:nan]", "\"[0:nan]\" of feature 0"},
        {"[0:10]", "[", "\"[\" of feature 0"},
        {"33:1:-1:2", "33:x", "\"33:x\" of feature 1"},
        {"sigmoid:2", "sigmoid:0", "sigmoid"},
        {"sigmoid:2", "sigmoid:nan", "sigmoid"},
        {"Tree=0", "Tree=1", "tree 0 should begin here"},
        {"Tree=1", "Tree=0", "tree 1 should begin here"},
        {"num_leaves=3", "num_leaves=0", "line 12: tree 0: num_leaves is not the count"},
        {"num_leaves=3", "num_leaves=4", "tree 0: leaf_value has fewer values"},
        {"num_leaves=3", "num_leaves=2", "tree 0: leaf_value has more values"},
        {"num_leaves=3", "num_leaves=2000000000", "tree 0: leaf_value has fewer values"},
        {"num_leaves=3", "num_leaves=99999999999", "tree 0: num_leaves is not the count"},
        {"num_cat=1\n", "", "tree 0: num_cat is missing"},
        {"num_cat=1", "num_cat=2", "tree 0: cat_boundaries has fewer values"},
        {"leaf_value=1 2 4\n", "", "tree 0: leaf_value is missing"},
        {"leaf_value=1 2 4", "leaf_value=1 nan 4", "tree 0: leaf_value holds what is no number"},
        {"leaf_value=1 2 4", "leaf_value=1 1e101 4", "tree 0: leaf_value holds"},
        {"threshold=2.5 0", "threshold=nan 0", "line 16: tree 0: threshold holds what is no"},
        {"threshold=2.5 0", "threshold=nan 0", "tree 0: threshold holds what is no number"},
        {"threshold=2.5 0", "threshold=2.5x 0", "tree 0: threshold holds what is no number"},
        {"threshold=2.5 0", "threshold=2.5", "tree 0: threshold has fewer values"},
        {"threshold=2.5 0", "threshold=2.5 1", "threshold names a set of categories"},
        {"threshold=2.5 0", "threshold=2.5 inf", "threshold names a set of categories"},
        {"threshold=2.5 0", "threshold=2.5 0.5", "threshold names a set of categories"},
        {"split_feature=0 1", "split_feature=0 3", "tree 0: split_feature holds a number that"},
        {"split_feature=0 1", "split_feature=0 1 1", "tree 0: split_feature has more values"},
        {"decision_type=10 1", "decision_type=14 1", "decision_type holds a number that cannot"},
        {"left_child=1 -1", "left_child=2 -1", "left_child holds a number that cannot be"},
        {"left_child=1 -1", "left_child=1 -4", "left_child holds a number that cannot be"},
        {"left_child=1 -1", "left_child=0 -1", "left_child comes to one node or leaf by two"},
        {"left_child=1 -1", "left_child=1 1", "left_child comes to one node or leaf by two"},
        {"right_child=-3 -2", "right_child=-3 -1", "right_child comes to one node or leaf by two"},
        {"left_child=1 -1", "left_child=-1 1", "left_child leaves out nodes"},
        {"cat_boundaries=0 2", "cat_boundaries=1 2", "cat_boundaries goes back"},
        {"cat_boundaries=0 2", "cat_boundaries=0 9", "cat_boundaries holds a number that cannot"},
        {"cat_threshold=2 2", "cat_threshold=2", "cat_boundaries holds a number that cannot"},
        {"cat_threshold=2 2", "cat_threshold=2 4294967296", "cat_threshold holds a number that"},
        {"leaf_count=2 3 5", "leaf_count=2 3", "leaf_count has fewer values"},
        {"leaf_count=2 3 5", "leaf_count=2 3 -5", "leaf_count holds a number that cannot be"},
        {"shrinkage=0.1", "shrinkage", "line 29: tree 0: this is no line of a tree"},
        {"shrinkage=0.1", "threshold=1", "line 29: tree 0: threshold stands here a second"},
        {"end of trees", "the end=", "line 49: tree 1: this is no line of a tree"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = changed(base, cases[i][0], cases[i][1]);
        assert_refused(text, KOL_INVALID, cases[i][2]);
        free(text);
    }
    assert_refused(HEAD "\n" TAIL, KOL_INVALID, "no trees");
    assert_refused(HEAD "\n" TREE_0, KOL_INVALID, "the file ends in tree 0");
    assert_refused("", KOL_INVALID, "line 1");
}

/* Nodes 1 and 2 have each other as children, apart from the root: each is come to once. */
static void a_ring_beside_the_tree_is_refused(void **state)
{
    (void)state;
    assert_refused(HEAD "\nTree=0\nnum_leaves=4\nnum_cat=0\nsplit_feature=0 0 0\n"
                        "threshold=1 2 3\ndecision_type=2 2 2\nleft_child=-1 2 1\n"
                        "right_child=-2 -3 -4\nleaf_value=1 2 3 4\n\n" TAIL,
                   KOL_INVALID, "leaves out nodes");
}

static void the_sizes_of_the_trees_are_checked(void **state)
{
    (void)state;
    char text[4096];
    const int first = (int)strlen(TREE_0), second = (int)strlen(TREE_1);
    static const char format[] = HEAD "tree_sizes=%d %d%s\n\n" TREE_0 TREE_1 TAIL;
    snprintf(text, sizeof text, format, first, second, "");
    struct gbdt_model *model = parsed(text);
    gbdt_free(&model);
    snprintf(text, sizeof text, format, first + 1, second, "");
    assert_refused(text, KOL_INVALID, "line 10: tree_sizes says that tree 0");
    snprintf(text, sizeof text, format, first, second - 1, "");
    assert_refused(text, KOL_INVALID, "line 10: tree_sizes says that tree 1");
    snprintf(text, sizeof text, format, first, second, " 7");
    assert_refused(text, KOL_INVALID, "more sizes than the 2 trees");
    char *fewer = changed(base, "\n\nTree=0", "\ntree_sizes=\n\nTree=0");
    assert_refused(fewer, KOL_INVALID, "fewer sizes");
    free(fewer);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    const size_t whole = (size_t)(strstr(base, "end of trees") - base) + strlen("end of trees");
    for (size_t len = 0; len < whole; len++) {
        char *cut = mem_strndup(base, len); /* of its own, so that a sanitizer sees its end */
        struct gbdt_model *model = NULL;
        struct kol_error err = {0};
        assert_int_not_equal(gbdt_parse((struct str){cut, len}, &model, &err), KOL_OK);
        assert_null(model);
        assert_int_not_equal(err.message[0], '\0');
        free(cut);
    }
    struct gbdt_model *model = NULL;
    assert_int_equal(gbdt_parse((struct str){base, whole}, &model, NULL), KOL_OK);
    gbdt_free(&model);
}

/* ---- evaluating ---- */

/* One split: left is 1, right 2. `decision` and `threshold` as in the file. */
static struct gbdt_model *split(unsigned decision, const char *threshold)
{
    char text[1024];
    snprintf(text, sizeof text,
             HEAD "\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=%s\n"
                  "decision_type=%u\nleft_child=-1\nright_child=-2\nleaf_value=1 2\n\n" TAIL,
             threshold, decision);
    return parsed(text);
}

enum { NONE = 0, ZERO = 4, NANS = 8, LEFT = 2 };

static void a_number_goes_where_lightgbm_sends_it(void **state)
{
    (void)state;
    const double zero = (double)1e-35f, above = nextafter(zero, 1), low = -nextafter(zero, 1);
    const struct {
        unsigned decision;
        const char *threshold;
        double value;
        double answer; /* 1 left, 2 right */
    } cases[] = {
        {NONE, "2.5", 2.5, 1},
        {NONE, "2.5", 2.5000000000000004, 2},
        {NONE, "2.5", -INFINITY, 1},
        {NONE, "2.5", INFINITY, 2},
        {NONE, "2.5", NAN, 1},
        {NONE, "-2.5", NAN, 2}, /* NaN is 0 */
        {NONE | LEFT, "-2.5", NAN, 2},
        {NANS, "2.5", NAN, 2},
        {NANS | LEFT, "-2.5", NAN, 1},
        {NANS, "2.5", 0, 1},
        {NANS | LEFT, "-2.5", 0, 2},
        {ZERO, "2.5", 0, 2},
        {ZERO | LEFT, "-2.5", 0, 1},
        {ZERO, "2.5", NAN, 2},
        {ZERO | LEFT, "-2.5", NAN, 1},
        {ZERO, "2.5", zero, 2},
        {ZERO, "2.5", above, 1},
        {ZERO, "2.5", -zero, 2},
        {ZERO, "2.5", low, 1},
        {ZERO, "2.5", -0.0, 2},
        {ZERO, "2.5", 5e-324, 2},
        {NONE, "0", above, 2},
        {NONE, "0", zero, 1}, /* a value so near to zero is zero */
        {NONE, "0", 5e-324, 1},
        {NONE, "-0", 5e-324, 1},
        {NONE, "-5e-324", -zero, 2},
        {NONE, "-5e-324", low, 1},
        {NONE, "-1.0000000180025095e-35", -zero, 2},
        {NONE, "1.0000000180025095e-35", zero, 1},
        {NONE, "1.0000000180025095e-35", above, 2},
        {NONE, "inf", INFINITY, 1},
        {NANS, "inf", INFINITY, 1},
        {NANS, "inf", NAN, 2},
        {NANS | LEFT, "-inf", NAN, 1},
        {NONE, "-inf", -INFINITY, 1},
        {NONE, "-inf", -1e308, 2},
        {NONE, "1e300", INFINITY, 2},
        {NONE, "-1e300", -INFINITY, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gbdt_model *model = split(cases[i].decision, cases[i].threshold);
        if (raw_of(model, cases[i].value, 0) != cases[i].answer) {
            fail_msg("case %zu: %g at %s", i, cases[i].value, cases[i].threshold);
        }
        gbdt_free(&model);
    }
}

static void a_category_goes_where_lightgbm_sends_it(void **state)
{
    (void)state;
    static const struct {
        double value;
        bool left;
    } cases[] = {
        {1, true},           {33, true},
        {1.99, true},        {0, false},
        {2, false},          {34, false},
        {64, false},         {1e6, false},
        {-1, false},         {-1e300, false},
        {1e300, false},      {2147483647, false},
        {2147483648, false}, {4294967297.0, false},
        {0.999, false},      {-0.5, false},
    };
    struct gbdt_model *model = parsed(base);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(raw_of(model, 0, cases[i].value) == (cases[i].left ? 1.125 : 2.125));
    }
    assert_true(raw_of(model, 0, NAN) == 2.125);
    assert_true(raw_of(model, 0, INFINITY) == 2.125);
    assert_true(raw_of(model, NAN, 1) == 1.125);
    assert_true(raw_of(model, 3, 1) == 4.125);
    gbdt_free(&model);
    char *with_0 = changed(base, "cat_threshold=2 2", "cat_threshold=3 2");
    model = parsed(with_0); /* what lies between -1 and 1 is category 0 */
    assert_true(raw_of(model, 0, 0.999) == 1.125 && raw_of(model, 0, -0.999) == 1.125);
    assert_true(raw_of(model, 0, -1) == 2.125 && raw_of(model, 0, NAN) == 2.125);
    gbdt_free(&model);
    free(with_0);
}

static void rows_give_what_each_row_gives(void **state)
{
    (void)state;
    struct gbdt_model *model = parsed(base);
    double rows[7][3], out[7];
    for (size_t i = 0; i < 7; i++) {
        rows[i][0] = (double)i - 1;
        rows[i][1] = i % 2 ? 33 : NAN;
        rows[i][2] = NAN;
    }
    gbdt_raw_rows(model, rows[0], 7, out);
    for (size_t i = 0; i < 7; i++) {
        assert_true(out[i] == gbdt_raw(model, rows[i]));
    }
    gbdt_free(&model);
}

static void a_forest_gives_the_mean_of_its_trees(void **state)
{
    (void)state;
    char *text = changed(base, "binary sigmoid:2", "binary sigmoid:2\naverage_output");
    struct gbdt_model *model = parsed(text);
    const double row[] = {1, 1, 0};
    double phi[4];
    assert_true(gbdt_raw(model, row) == 1.125 / 2);
    gbdt_explain(model, row, phi);
    assert_true(fabs(phi[0] + phi[1] + phi[2] + phi[3] - 1.125 / 2) < 1e-15);
    gbdt_free(&model);
    free(text);
}

static void the_answer_is_that_of_the_objective(void **state)
{
    (void)state;
    static const char *const identities[] = {"regression", "regression_l1", "huber",
                                             "fair",       "quantile",      "mape"};
    struct gbdt_model *model = parsed(base);
    assert_true(gbdt_answer(model, 0) == 0.5);
    assert_true(gbdt_answer(model, 1.5) == 1.0 / (1.0 + exp(-3.0)));
    assert_true(gbdt_answer(model, -1e6) == 0 && gbdt_answer(model, 1e6) == 1);
    gbdt_free(&model);
    for (size_t i = 0; i < ARRAY_LEN(identities); i++) {
        char *text = changed(base, "binary sigmoid:2", identities[i]);
        model = parsed(text);
        assert_int_equal(gbdt_objective(model), GBDT_REGRESSION);
        assert_true(gbdt_answer(model, 1.5) == 1.5);
        gbdt_free(&model);
        free(text);
    }
}

static void features_must_be_those_of_the_model(void **state)
{
    (void)state;
    static const char *const same[] = {"a", "b", "c", "d"};
    static const char *const other[] = {"a", "x", "y"};
    struct kol_error err = {0};
    struct gbdt_model *model = parsed(base);
    assert_int_equal(gbdt_match(model, same, 3, &err), KOL_OK);
    assert_int_equal(gbdt_match(model, other, 3, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "feature 1 of the model is b, but x"));
    assert_int_equal(gbdt_match(model, same, 2, &err), KOL_INVALID);
    assert_int_equal(gbdt_match(model, same, 4, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "3 features, not 4"));
    gbdt_free(&model);
    char *nameless = changed(base, "names=a b c", "names=Column_0 Column_1 Column_2");
    model = parsed(nameless);
    assert_int_equal(gbdt_match(model, other, 3, &err), KOL_OK);
    assert_int_equal(gbdt_match(model, same, 4, &err), KOL_INVALID);
    gbdt_free(&model);
    free(nameless);
}

static void a_value_beyond_training_is_told(void **state)
{
    (void)state;
    struct gbdt_model *model = parsed(base);
    assert_true(gbdt_in_range(model, 0, 0) && gbdt_in_range(model, 0, 10));
    assert_true(gbdt_in_range(model, 0, NAN) && gbdt_in_range(model, 1, NAN));
    assert_false(gbdt_in_range(model, 0, -5e-324));
    assert_false(gbdt_in_range(model, 0, INFINITY));
    assert_true(gbdt_in_range(model, 1, 1) && gbdt_in_range(model, 1, 33));
    assert_false(gbdt_in_range(model, 1, 3));
    assert_false(gbdt_in_range(model, 1, -1));
    assert_false(gbdt_in_range(model, 1, 1e300));
    assert_true(gbdt_in_range(model, 2, 1e300)); /* no tree asks for it */
    gbdt_free(&model);
}

static void a_way_that_is_not_there_is_refused(void **state)
{
    (void)state;
    const char *names[16];
    struct kol_error err = {0};
    struct gbdt_model *model = parsed(base);
    const size_t count = gbdt_paths(names, ARRAY_LEN(names));
    assert_in_range(count, 1, ARRAY_LEN(names));
    assert_string_equal(names[0], "portable");
    assert_int_equal(gbdt_use(model, "abacus", &err), KOL_UNSUPPORTED);
    assert_non_null(strstr(err.message, "abacus"));
    assert_int_equal(gbdt_use(model, "portable", &err), KOL_OK);
    assert_string_equal(gbdt_path(model), "portable");
    gbdt_free(&model);
    setenv("GBDT_PATH", "abacus", 1);
    assert_refused(base, KOL_UNSUPPORTED, "GBDT_PATH: ");
    setenv("GBDT_PATH", names[count - 1], 1);
    model = parsed(base); /* categories: the portable one takes it, whatever was wanted */
    assert_string_equal(gbdt_path(model), "portable");
    gbdt_free(&model);
    unsetenv("GBDT_PATH");
}

/* ---- explaining ---- */

enum { FEATURES = 9 };

/* A random tree over FEATURES features, as text. Leaves split at random, so that trees come out
 * deep and crooked; `empty` lets nodes have no rows of the training set. */
static void put_random_tree(struct buf *out, int number, int leaves, bool empty)
{
    int left[256] = {0}, right[256] = {0}, parent[256] = {0}, side[256] = {0};
    int counts[256] = {0}, nodes[256] = {0};
    for (int leaf = 1; leaf < leaves; leaf++) { /* node leaf-1 splits an earlier leaf */
        const int old = rand() % leaf, node = leaf - 1;
        left[node] = ~old;
        right[node] = ~leaf;
        if (node > 0) {
            *(side[old] ? &right[parent[old]] : &left[parent[old]]) = node;
        }
        parent[old] = parent[leaf] = node;
        side[old] = 0;
        side[leaf] = 1;
    }
    for (int leaf = 0; leaf < leaves; leaf++) {
        counts[leaf] = empty && rand() % 3 == 0 ? 0 : 1 + rand() % 50;
    }
    counts[0] += 1;
    for (int node = leaves - 2; node >= 0; node--) {
        nodes[node] = (left[node] < 0 ? counts[~left[node]] : nodes[left[node]]) +
                      (right[node] < 0 ? counts[~right[node]] : nodes[right[node]]);
    }
    static const char *const keys[] = {"split_feature", "threshold",     "decision_type",
                                       "left_child",    "right_child",   "leaf_value",
                                       "leaf_count",    "internal_count"};
    buf_printf(out, "Tree=%d\nnum_leaves=%d\nnum_cat=0", number, leaves);
    for (size_t key = 0; key < ARRAY_LEN(keys); key++) {
        const bool of_leaves = key == 5 || key == 6;
        buf_printf(out, "\n%s=", keys[key]);
        for (int i = 0; i < leaves - !of_leaves; i++) {
            const int values[] = {
                rand() % FEATURES, rand() % 9 - 4, rand() % 3 * 4 + rand() % 2 * 2,
                left[i],           right[i],       rand() % 201 - 100,
                counts[i],         nodes[i]};
            buf_printf(out, "%d ", values[key]);
        }
    }
    buf_puts(out, "\n\n\n");
}

static struct gbdt_model *random_model(int trees, int leaves, bool empty)
{
    struct buf text = {0};
    buf_puts(&text, "tree\nversion=v4\nnum_class=1\nmax_feature_idx=8\nobjective=regression\n"
                    "feature_names=a b c d e f g h i\n"
                    "feature_infos=none none none none none none none none none\n\n");
    for (int i = 0; i < trees; i++) {
        put_random_tree(&text, i, leaves, empty);
    }
    buf_puts(&text, "end of trees\n");
    struct gbdt_model *model = parsed(text.ptr);
    buf_free(&text);
    return model;
}

static double cover_of(const struct gbdt_model *model, const struct gbdt_tree *tree, int32_t at)
{
    return at >= 0 ? model->node_covers[tree->first_node + (size_t)at]
                   : model->leaf_covers[tree->first_leaf + (size_t)~at];
}

/* What the tree expects where only the features in `known` are known, by the book. */
static double expected(const struct gbdt_model *model, const struct gbdt_tree *tree, int32_t at,
                       const double *row, unsigned known)
{
    if (at < 0) {
        return model->leaf_values[tree->first_leaf + (size_t)~at];
    }
    const struct gbdt_node *node = &model->nodes[tree->first_node + (size_t)at];
    if (known >> node->feature & 1u) {
        /* Which way it goes is asked of a tree that has this node alone. */
        struct gbdt_node alone = *node;
        double sides[2] = {0, 1};
        alone.left = ~0;
        alone.right = ~1;
        const struct gbdt_tree one = {.leaves = 2};
        const struct gbdt_model asked = {.nodes = &alone, .leaf_values = sides};
        const bool right = gbdt_tree_value(&asked, &one, row) != 0;
        return expected(model, tree, right ? node->right : node->left, row, known);
    }
    const double all = cover_of(model, tree, at);
    const double share = all > 0 ? cover_of(model, tree, node->left) / all : 0.5;
    return share * expected(model, tree, node->left, row, known) +
           (1 - share) * expected(model, tree, node->right, row, known);
}

/* Shapley values by their definition: over all subsets of the features. */
static void shapley(const struct gbdt_model *model, const double *row, double *phi)
{
    static double worth[1 << FEATURES];
    for (unsigned known = 0; known < 1u << FEATURES; known++) {
        worth[known] = 0;
        for (size_t i = 0; i < model->tree_count; i++) {
            worth[known] += expected(model, &model->trees[i], 0, row, known);
        }
    }
    for (unsigned i = 0; i < FEATURES; i++) {
        phi[i] = 0;
        for (unsigned known = 0; known < 1u << FEATURES; known++) {
            if (!(known >> i & 1u)) {
                const double size = (double)__builtin_popcount(known);
                phi[i] += tgamma(size + 1) * tgamma(FEATURES - size) / tgamma(FEATURES + 1) *
                          (worth[known | 1u << i] - worth[known]);
            }
        }
    }
    phi[FEATURES] = worth[0];
}

static void explained_is_what_the_definition_says(void **state)
{
    (void)state;
    srand(7);
    for (int turn = 0; turn < 24; turn++) {
        struct gbdt_model *model = random_model(3, 2 + rand() % 60, turn % 2);
        assert_int_equal(gbdt_can_explain(model, NULL), KOL_OK);
        double row[FEATURES], want[FEATURES + 1], got[FEATURES + 1], largest = 1;
        for (size_t i = 0; i < FEATURES; i++) {
            row[i] = rand() % 5 ? rand() % 11 - 5 : NAN;
        }
        shapley(model, row, want);
        gbdt_explain(model, row, got);
        for (size_t i = 0; i <= FEATURES; i++) {
            largest = fmax(largest, fabs(want[i]));
        }
        for (size_t i = 0; i <= FEATURES; i++) {
            assert_true(fabs(want[i] - got[i]) <= 1e-12 * largest);
        }
        gbdt_free(&model);
    }
}

/* A chain: node i asks feature i, its left is a leaf, its right the next node. */
static struct gbdt_model *chain(int nodes, int features)
{
    struct buf text = {0};
    buf_printf(&text, "tree\nversion=v4\nnum_class=1\nmax_feature_idx=%d\nobjective=regression\n",
               features - 1);
    for (int turn = 0; turn < 2; turn++) {
        buf_puts(&text, turn ? "\nfeature_infos=" : "feature_names=");
        for (int i = 0; i < features; i++) {
            buf_printf(&text, turn ? "none " : "f%d ", i);
        }
    }
    static const char *const keys[] = {"split_feature", "threshold",     "decision_type",
                                       "left_child",    "right_child",   "leaf_value",
                                       "leaf_count",    "internal_count"};
    buf_printf(&text, "\n\nTree=0\nnum_leaves=%d\nnum_cat=0", nodes + 1);
    for (size_t key = 0; key < ARRAY_LEN(keys); key++) {
        const bool of_leaves = key == 5 || key == 6;
        buf_printf(&text, "\n%s=", keys[key]);
        for (int i = 0; i < nodes + of_leaves; i++) {
            const int values[] = {i % features,
                                  i / features,
                                  2,
                                  ~i,
                                  i + 1 < nodes ? i + 1 : ~nodes,
                                  i % 7 - 3,
                                  2,
                                  2 * (nodes + 1 - i)};
            buf_printf(&text, "%d ", values[key]);
        }
    }
    buf_puts(&text, "\n\nend of trees\n");
    struct gbdt_model *model = parsed(text.ptr);
    buf_free(&text);
    return model;
}

static void deep_trees_are_explained(void **state)
{
    (void)state;
    static const struct {
        int nodes, features;
    } cases[] = {{1500, 1500}, {1500, 29}, {300000, 5}, {4096, 4096}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const size_t features = (size_t)cases[i].features;
        struct gbdt_model *model = chain(cases[i].nodes, cases[i].features);
        double *row = mem_alloc(features * sizeof *row), sum = 0;
        double *phi = mem_alloc((features + 1) * sizeof *phi);
        for (size_t j = 0; j < features; j++) {
            row[j] = j + 2 < features ? 1e9 : 0; /* to the right, and left at the last */
        }
        gbdt_explain(model, row, phi);
        for (size_t j = 0; j <= features; j++) {
            sum += phi[j];
        }
        assert_true(fabs(sum - gbdt_raw(model, row)) < 1e-10);
        free(row);
        free(phi);
        gbdt_free(&model);
    }
}

static void what_cannot_be_explained_says_why(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"leaf_count=2 3 5\n", "", "do not say how many rows"},
        {"internal_count=10 5\n", "", "do not say how many rows"},
        {"leaf_count=2 3 5", "leaf_count=2 4 5", "do not add up"},
        {"internal_count=10 5", "internal_count=11 5", "do not add up"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = changed(base, cases[i][0], cases[i][1]);
        struct gbdt_model *model = parsed(text);
        struct kol_error err = {0};
        double phi[4] = {0};
        assert_int_equal(gbdt_can_explain(model, &err), KOL_UNSUPPORTED);
        assert_non_null(strstr(err.message, cases[i][2]));
        assert_true(raw_of(model, 1, 1) == 1.125);
        gbdt_explain(model, (double[]){1, 1, 1}, phi);
        assert_true(isnan(phi[0]) && isnan(phi[3]));
        gbdt_free(&model);
        free(text);
    }
    struct gbdt_model *model = chain(4097, 4097);
    struct kol_error err = {0};
    assert_int_equal(gbdt_can_explain(model, &err), KOL_UNSUPPORTED);
    assert_non_null(strstr(err.message, "4,096"));
    gbdt_free(&model);
}

int main(void)
{
    unsetenv("GBDT_PATH");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_says_what_it_is),
        cmocka_unit_test(a_file_of_another_system_reads_the_same),
        cmocka_unit_test(numbers_have_a_point_in_every_locale),
        cmocka_unit_test(what_is_not_done_is_refused_by_name),
        cmocka_unit_test(what_is_broken_is_refused_with_its_place),
        cmocka_unit_test(a_ring_beside_the_tree_is_refused),
        cmocka_unit_test(the_sizes_of_the_trees_are_checked),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_number_goes_where_lightgbm_sends_it),
        cmocka_unit_test(a_category_goes_where_lightgbm_sends_it),
        cmocka_unit_test(rows_give_what_each_row_gives),
        cmocka_unit_test(a_forest_gives_the_mean_of_its_trees),
        cmocka_unit_test(the_answer_is_that_of_the_objective),
        cmocka_unit_test(features_must_be_those_of_the_model),
        cmocka_unit_test(a_value_beyond_training_is_told),
        cmocka_unit_test(a_way_that_is_not_there_is_refused),
        cmocka_unit_test(explained_is_what_the_definition_says),
        cmocka_unit_test(deep_trees_are_explained),
        cmocka_unit_test(what_cannot_be_explained_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
