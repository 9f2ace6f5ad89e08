/*
 * reader_tree.c: one tree of a LightGBM text model.
 *
 * Its lines are gathered first, each a key with words behind it; then the numbers are read, as many
 * as num_leaves asks for and not one more or less; then the tree is walked from its root, which
 * must come to every node and every leaf exactly once.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gbdt/reader.h"

enum tree_key {
    TREE_LEAVES,
    TREE_CATS,
    TREE_FEATURE,
    TREE_THRESHOLD,
    TREE_DECISION,
    TREE_LEFT,
    TREE_RIGHT,
    TREE_VALUE,
    TREE_LEAF_COUNT,
    TREE_NODE_COUNT,
    TREE_CAT_BOUNDS,
    TREE_CAT_WORDS,
    TREE_LINEAR,
    TREE_KEYS,
};

static const char *const tree_keys[TREE_KEYS] = {
    "num_leaves",     "num_cat",       "split_feature", "threshold",  "decision_type",
    "left_child",     "right_child",   "leaf_value",    "leaf_count", "internal_count",
    "cat_boundaries", "cat_threshold", "is_linear",
};

/* The tree that is being read, its numbers still text. */
struct lines {
    struct str values[TREE_KEYS];
    size_t numbers[TREE_KEYS]; /* of the line; 0: not there */
    size_t begin;              /* line of "Tree=" */
    int64_t leaves, nodes, cats;
};

static enum kol_status fail(struct gbdt_reader *reader, const struct lines *lines,
                            enum tree_key key, enum kol_status status, const char *what)
{
    const size_t line = lines->numbers[key] ? lines->numbers[key] : lines->begin;
    return gbdt_bad(reader, line, status, "tree %zu: %s %s", reader->model->tree_count,
                    tree_keys[key], what);
}

static enum kol_status gather(struct gbdt_reader *reader, struct lines *lines, struct str *stop)
{
    struct str line;
    lines->begin = reader->line;
    while (gbdt_next_line(reader, &line)) {
        if (str_starts(line, STR("Tree=")) || str_is(line, "end of trees")) {
            *stop = line;
            return KOL_OK;
        }
        struct str value = line;
        const struct str key = str_cut(&value, '=');
        if (line.len && key.len == line.len) {
            return gbdt_bad(reader, reader->line, KOL_INVALID,
                            "tree %zu: this is no line of a tree: a key, = and values make one",
                            reader->model->tree_count);
        }
        for (enum tree_key i = 0; i < TREE_KEYS; i++) {
            if (str_is(key, tree_keys[i]) && line.len) {
                if (lines->numbers[i]) {
                    return gbdt_bad(reader, reader->line, KOL_INVALID,
                                    "tree %zu: %s stands here a second time",
                                    reader->model->tree_count, tree_keys[i]);
                }
                lines->values[i] = value;
                lines->numbers[i] = reader->line;
            }
        }
    }
    *stop = (struct str){0};
    return gbdt_bad(reader, reader->line, KOL_INVALID,
                    "the file ends in tree %zu, before \"end of trees\": it was cut off",
                    reader->model->tree_count);
}

/* ---- numbers ---- */

static enum kol_status need(struct gbdt_reader *reader, const struct lines *lines,
                            enum tree_key key)
{
    return lines->numbers[key] ? KOL_OK : fail(reader, lines, key, KOL_INVALID, "is missing");
}

static enum kol_status one_int(struct gbdt_reader *reader, const struct lines *lines,
                               enum tree_key key, int64_t min, int64_t *out)
{
    enum kol_status status = need(reader, lines, key);
    if (status == KOL_OK &&
        (!str_to_int64(lines->values[key], out) || *out < min || *out > INT32_MAX)) {
        status = fail(reader, lines, key, KOL_INVALID, "is not the count that it should be");
    }
    return status;
}

/* The next of exactly `count` words, or the failure that there are fewer. */
static enum kol_status word_of(struct gbdt_reader *reader, const struct lines *lines,
                               enum tree_key key, struct str *rest, struct str *word)
{
    return gbdt_next_word(rest, word)
               ? KOL_OK
               : fail(reader, lines, key, KOL_INVALID, "has fewer values than num_leaves asks for");
}

static enum kol_status no_more(struct gbdt_reader *reader, const struct lines *lines,
                               enum tree_key key, struct str rest)
{
    struct str word;
    return gbdt_next_word(&rest, &word)
               ? fail(reader, lines, key, KOL_INVALID, "has more values than num_leaves asks for")
               : KOL_OK;
}

typedef enum kol_status take_int(struct gbdt_reader *reader, void *into, size_t i, int64_t value);

/* Exactly `count` whole numbers within [min, max], each given to `take`. */
static enum kol_status ints(struct gbdt_reader *reader, const struct lines *lines,
                            enum tree_key key, int64_t count, int64_t min, int64_t max,
                            take_int *take, void *into)
{
    struct str rest = lines->values[key], word;
    enum kol_status status = need(reader, lines, key);
    for (int64_t i = 0; i < count && status == KOL_OK; i++) {
        int64_t value;
        status = word_of(reader, lines, key, &rest, &word);
        if (status == KOL_OK && (!str_to_int64(word, &value) || value < min || value > max)) {
            status = fail(reader, lines, key, KOL_INVALID, "holds a number that cannot be");
        }
        if (status == KOL_OK) {
            status = take(reader, into, (size_t)i, value);
        }
    }
    return status == KOL_OK ? no_more(reader, lines, key, rest) : status;
}

static enum kol_status take_feature(struct gbdt_reader *reader, void *into, size_t i, int64_t value)
{
    ((struct gbdt_node *)into)[i].feature = (int32_t)value;
    reader->model->asked[value] = true;
    return KOL_OK;
}

static enum kol_status take_left(struct gbdt_reader *reader, void *into, size_t i, int64_t value)
{
    (void)reader;
    ((struct gbdt_node *)into)[i].left = (int32_t)value;
    return KOL_OK;
}

static enum kol_status take_right(struct gbdt_reader *reader, void *into, size_t i, int64_t value)
{
    (void)reader;
    ((struct gbdt_node *)into)[i].right = (int32_t)value;
    return KOL_OK;
}

static enum kol_status take_decision(struct gbdt_reader *reader, void *into, size_t i,
                                     int64_t value)
{
    (void)reader;
    ((struct gbdt_node *)into)[i].decision = (uint8_t)value;
    return KOL_OK;
}

static enum kol_status take_count(struct gbdt_reader *reader, void *into, size_t i, int64_t value)
{
    (void)reader;
    ((double *)into)[i] = (double)value;
    return KOL_OK;
}

static enum kol_status take_bound(struct gbdt_reader *reader, void *into, size_t i, int64_t value)
{
    (void)reader;
    ((int32_t *)into)[i] = (int32_t)value;
    return KOL_OK;
}

static enum kol_status take_word(struct gbdt_reader *reader, void *into, size_t i, int64_t value)
{
    (void)reader;
    ((uint32_t *)into)[i] = (uint32_t)value;
    return KOL_OK;
}

/* ---- thresholds and leaves ---- */

/*
 * LightGBM takes a value within GBDT_ZERO of zero for zero wherever it is given rows. Instead of
 * doing so with each value, a threshold in that stretch is moved to its end: what is no more than
 * it then is the same, and one comparison is all.
 */
static double read_threshold(double threshold)
{
    const double zero = (double)GBDT_ZERO;
    if (threshold >= 0 && threshold < zero) {
        return zero;
    }
    if (threshold < 0 && threshold >= -zero) {
        return nextafter(-zero, -INFINITY);
    }
    return threshold;
}

static enum kol_status thresholds(struct gbdt_reader *reader, const struct lines *lines,
                                  struct gbdt_node *nodes)
{
    struct str rest = lines->values[TREE_THRESHOLD], word;
    enum kol_status status = need(reader, lines, TREE_THRESHOLD);
    for (int64_t i = 0; i < lines->nodes && status == KOL_OK; i++) {
        double value;
        status = word_of(reader, lines, TREE_THRESHOLD, &rest, &word);
        if (status != KOL_OK) {
            break;
        }
        /* An infinite one is how LightGBM parts what is known from what is missing. */
        if (!gbdt_to_double(reader, word, &value) || isnan(value)) {
            return fail(reader, lines, TREE_THRESHOLD, KOL_INVALID, "holds what is no number");
        }
        const bool categorical = nodes[i].decision & GBDT_IS_CATEGORICAL;
        if (categorical && !(value >= 0 && value < (double)lines->cats && value == floor(value))) {
            return fail(reader, lines, TREE_THRESHOLD, KOL_INVALID,
                        "names a set of categories that is not there");
        }
        nodes[i].threshold = categorical ? value : read_threshold(value);
    }
    return status == KOL_OK ? no_more(reader, lines, TREE_THRESHOLD, rest) : status;
}

static enum kol_status leaf_values(struct gbdt_reader *reader, const struct lines *lines,
                                   double *values)
{
    struct str rest = lines->values[TREE_VALUE], word;
    enum kol_status status = KOL_OK;
    for (int64_t i = 0; i < lines->leaves && status == KOL_OK; i++) {
        status = word_of(reader, lines, TREE_VALUE, &rest, &word);
        if (status == KOL_OK &&
            (!gbdt_to_double(reader, word, &values[i]) || !(fabs(values[i]) <= GBDT_MAX_LEAF))) {
            status = fail(reader, lines, TREE_VALUE, KOL_INVALID,
                          "holds what is no number, or a number beyond 1e100");
        }
    }
    return status == KOL_OK ? no_more(reader, lines, TREE_VALUE, rest) : status;
}

/* ---- the parts of a tree ---- */

static enum kol_status sizes(struct gbdt_reader *reader, struct lines *lines)
{
    int64_t linear = 0;
    enum kol_status status = one_int(reader, lines, TREE_LEAVES, 1, &lines->leaves);
    if (status == KOL_OK) {
        status = one_int(reader, lines, TREE_CATS, 0, &lines->cats);
    }
    if (status == KOL_OK) {
        status = need(reader, lines, TREE_VALUE);
    }
    if (status == KOL_OK && lines->numbers[TREE_LINEAR]) {
        status = one_int(reader, lines, TREE_LINEAR, 0, &linear);
    }
    if (status == KOL_OK && linear) {
        status = fail(reader, lines, TREE_LINEAR, KOL_UNSUPPORTED,
                      "says that its leaves hold linear models (linear_tree); these are not read "
                      "here");
    }
    /* Each number takes a byte and a space at least: memory is asked for what can be there. */
    if (status == KOL_OK && lines->leaves > ((int64_t)lines->values[TREE_VALUE].len + 1) / 2) {
        status = fail(reader, lines, TREE_VALUE, KOL_INVALID,
                      "has fewer values than num_leaves asks for");
    }
    lines->nodes = lines->leaves - 1;
    return status;
}

/* The sets of categories, where there are any. */
static enum kol_status categories(struct gbdt_reader *reader, const struct lines *lines,
                                  struct gbdt_tree *tree)
{
    if (lines->cats == 0) {
        return KOL_OK;
    }
    const int64_t room = ((int64_t)lines->values[TREE_CAT_BOUNDS].len + 1) / 2;
    if (lines->cats + 1 > room) {
        return fail(reader, lines, TREE_CAT_BOUNDS, KOL_INVALID,
                    "has fewer values than num_cat asks for");
    }
    struct arena *arena = &reader->model->arena;
    const int64_t most = ((int64_t)lines->values[TREE_CAT_WORDS].len + 1) / 2;
    int32_t *bounds = arena_alloc(arena, (size_t)(lines->cats + 1) * sizeof *bounds);
    enum kol_status status =
        ints(reader, lines, TREE_CAT_BOUNDS, lines->cats + 1, 0, most, take_bound, bounds);
    for (int64_t i = 0; i < lines->cats && status == KOL_OK; i++) {
        if (bounds[i] > bounds[i + 1] || bounds[0] != 0) {
            status = fail(reader, lines, TREE_CAT_BOUNDS, KOL_INVALID, "goes back");
        }
    }
    if (status != KOL_OK) {
        return status;
    }
    uint32_t *words = arena_alloc(arena, (size_t)bounds[lines->cats] * sizeof *words);
    tree->cat_bounds = bounds;
    tree->cat_words = words;
    tree->cat_count = (int32_t)lines->cats;
    return ints(reader, lines, TREE_CAT_WORDS, bounds[lines->cats], 0, UINT32_MAX, take_word,
                words);
}

static enum kol_status nodes_of(struct gbdt_reader *reader, const struct lines *lines,
                                struct gbdt_node *nodes)
{
    const int64_t count = lines->nodes, last = (int64_t)reader->model->feature_count - 1;
    enum kol_status status = ints(reader, lines, TREE_FEATURE, count, 0, last, take_feature, nodes);
    if (status == KOL_OK && lines->numbers[TREE_DECISION]) {
        status = ints(reader, lines, TREE_DECISION, count, 0, 11, take_decision, nodes);
    }
    if (status == KOL_OK) {
        status = thresholds(reader, lines, nodes);
    }
    if (status == KOL_OK) {
        status = ints(reader, lines, TREE_LEFT, count, -lines->leaves, count - 1, take_left, nodes);
    }
    if (status == KOL_OK) {
        status =
            ints(reader, lines, TREE_RIGHT, count, -lines->leaves, count - 1, take_right, nodes);
    }
    return status;
}

/* Room behind what the model has for the nodes and leaves of one more tree, zeroed. */
static void reserve(struct gbdt_reader *reader, const struct lines *lines)
{
    struct gbdt_model *model = reader->model;
    const size_t nodes = model->node_count + (size_t)lines->nodes;
    const size_t leaves = model->leaf_count + (size_t)lines->leaves;
    size_t node_cap = reader->node_cap, leaf_cap = reader->leaf_cap;
    model->nodes = gbdt_grow(model->nodes, &reader->node_cap, nodes, sizeof *model->nodes);
    model->node_covers = gbdt_grow(model->node_covers, &node_cap, nodes, sizeof(double));
    model->leaf_values =
        gbdt_grow(model->leaf_values, &reader->leaf_cap, leaves, sizeof *model->leaf_values);
    model->leaf_covers = gbdt_grow(model->leaf_covers, &leaf_cap, leaves, sizeof(double));
    model->trees =
        gbdt_grow(model->trees, &reader->tree_cap, model->tree_count + 1, sizeof *model->trees);
    reader->stack = gbdt_grow(reader->stack, &reader->stack_cap, 3 * (size_t)lines->leaves,
                              sizeof *reader->stack);
    if (lines->nodes) {
        memset(model->nodes + model->node_count, 0, (size_t)lines->nodes * sizeof *model->nodes);
        memset(model->node_covers + model->node_count, 0, (size_t)lines->nodes * sizeof(double));
    }
    memset(model->leaf_covers + model->leaf_count, 0, (size_t)lines->leaves * sizeof(double));
}

static enum kol_status counts(struct gbdt_reader *reader, const struct lines *lines)
{
    struct gbdt_model *model = reader->model;
    if (!lines->numbers[TREE_LEAF_COUNT] || !lines->numbers[TREE_NODE_COUNT]) {
        reader->counted = false;
        return KOL_OK;
    }
    enum kol_status status = ints(reader, lines, TREE_LEAF_COUNT, lines->leaves, 0, INT32_MAX,
                                  take_count, model->leaf_covers + model->leaf_count);
    if (status == KOL_OK) {
        status = ints(reader, lines, TREE_NODE_COUNT, lines->nodes, 0, INT32_MAX, take_count,
                      model->node_covers + model->node_count);
    }
    return status;
}

/* ---- the shape ---- */

/* Walks the tree from its root and finds its depth. Every node and leaf must be come to once: with
 * two children a node, and one leaf more than nodes, coming to none twice is enough. */
static enum kol_status walk(struct gbdt_reader *reader, const struct lines *lines,
                            struct gbdt_tree *tree)
{
    const struct gbdt_node *nodes = reader->model->nodes + tree->first_node;
    const size_t count = (size_t)lines->nodes;
    int32_t *seen = reader->stack + lines->leaves; /* by node, then by leaf */
    int32_t *level = reader->stack;                /* by node */
    size_t come = 1;
    memset(seen, 0, (2 * count + 1) * sizeof *seen);
    level[0] = 0;
    seen[0] = 1;
    /* A chain of the nodes that wait, through their own `seen`: 1 + the next one, or -1. */
    int32_t waiting = 0;
    seen[0] = -1;
    while (waiting >= 0) {
        const int32_t at = waiting;
        const int32_t children[2] = {nodes[at].left, nodes[at].right};
        waiting = seen[at] == -1 ? -1 : seen[at] - 1;
        for (size_t i = 0; i < 2; i++) {
            const int32_t child = children[i];
            int32_t *mark = child >= 0 ? &seen[child] : &seen[count + (size_t)~child];
            if (*mark) {
                return fail(reader, lines, i ? TREE_RIGHT : TREE_LEFT, KOL_INVALID,
                            "comes to one node or leaf by two ways");
            }
            *mark = 1;
            come++;
            if (child >= 0) {
                level[child] = level[at] + 1;
                *mark = waiting < 0 ? -1 : waiting + 1;
                waiting = child;
            } else if (level[at] + 1 > tree->depth) {
                tree->depth = level[at] + 1;
            }
        }
    }
    return come == 2 * count + 1
               ? KOL_OK
               : fail(reader, lines, TREE_LEFT, KOL_INVALID, "leaves out nodes of the tree");
}

static double cover_of(const struct gbdt_model *model, const struct gbdt_tree *tree, int32_t at)
{
    return at >= 0 ? model->node_covers[tree->first_node + (size_t)at]
                   : model->leaf_covers[tree->first_leaf + (size_t)~at];
}

/* Whether the rows that came to each node are those that went on to its children. */
static bool adds_up(const struct gbdt_model *model, const struct gbdt_tree *tree)
{
    for (int32_t i = 0; i + 1 < tree->leaves; i++) {
        const struct gbdt_node *node = &model->nodes[tree->first_node + (size_t)i];
        if (cover_of(model, tree, node->left) + cover_of(model, tree, node->right) !=
            cover_of(model, tree, i)) {
            return false;
        }
    }
    return cover_of(model, tree, 0) > 0;
}

static enum kol_status take_tree(struct gbdt_reader *reader, const struct lines *lines)
{
    struct gbdt_model *model = reader->model;
    struct gbdt_tree tree = {
        .first_node = model->node_count,
        .first_leaf = model->leaf_count,
        .leaves = (int32_t)lines->leaves,
    };
    reserve(reader, lines);
    enum kol_status status = leaf_values(reader, lines, model->leaf_values + model->leaf_count);
    if (status == KOL_OK && lines->nodes) {
        status = categories(reader, lines, &tree);
        if (status == KOL_OK) {
            status = nodes_of(reader, lines, model->nodes + model->node_count);
        }
        if (status == KOL_OK) {
            status = counts(reader, lines);
        }
        if (status == KOL_OK) {
            status = walk(reader, lines, &tree);
        }
        if (status == KOL_OK && reader->counted && !adds_up(model, &tree)) {
            model->no_explaining = "its counts of rows (internal_count, leaf_count) do not add up";
        }
    }
    if (status == KOL_OK) {
        model->trees[model->tree_count++] = tree;
        model->node_count += (size_t)lines->nodes;
        model->leaf_count += (size_t)lines->leaves;
    }
    return status;
}

enum kol_status gbdt_read_tree(struct gbdt_reader *reader, struct str *stop)
{
    struct lines lines = {0};
    enum kol_status status = gather(reader, &lines, stop);
    if (status == KOL_OK) {
        status = sizes(reader, &lines);
    }
    return status == KOL_OK ? take_tree(reader, &lines) : status;
}
