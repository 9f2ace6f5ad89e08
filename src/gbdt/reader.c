/*
 * reader.c: LightGBM's text model: the head, the sequence of trees, the end.
 *
 *     tree                      what kind of file it is
 *     version=v4                key=value lines, in any order
 *     average_output            a random forest; a word alone
 *     tree_sizes=512 498        bytes from one "Tree=" to the next
 *
 *     Tree=0                    see reader_tree.c
 *     ...
 *     end of trees              what follows tells of the training and does not matter here
 *
 * Everything is taken to be written by an enemy: no count of the file is believed before as many
 * numbers were there.
 */
#include "gbdt/reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum head_key {
    HEAD_VERSION,
    HEAD_NUM_CLASS,
    HEAD_TREES_AN_ITERATION,
    HEAD_MAX_FEATURE,
    HEAD_OBJECTIVE,
    HEAD_NAMES,
    HEAD_INFOS,
    HEAD_SIZES,
    HEAD_COUNT,
};

static const char *const head_keys[HEAD_COUNT] = {
    "version",   "num_class",     "num_tree_per_iteration", "max_feature_idx",
    "objective", "feature_names", "feature_infos",          "tree_sizes",
};

struct head {
    struct str values[HEAD_COUNT];
    size_t lines[HEAD_COUNT]; /* 0: not there */
};

/* ---- words and numbers ---- */

enum kol_status gbdt_bad(struct gbdt_reader *reader, size_t line, enum kol_status status,
                         const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (line) {
        return kol_fail(reader->err, status, "line %zu: %s", line, text);
    }
    return kol_fail(reader->err, status, "%s", text);
}

bool gbdt_next_line(struct gbdt_reader *reader, struct str *line)
{
    if (reader->at >= reader->text.len) {
        *line = (struct str){0};
        return false;
    }
    const char *begin = reader->text.ptr + reader->at;
    const size_t left = reader->text.len - reader->at;
    const char *end = memchr(begin, '\n', left);
    size_t len = end ? (size_t)(end - begin) : left;
    reader->at += len + (end != NULL);
    reader->line++;
    len -= len && begin[len - 1] == '\r';
    *line = (struct str){begin, len};
    return true;
}

bool gbdt_next_word(struct str *rest, struct str *word)
{
    while (rest->len && rest->ptr[0] == ' ') {
        rest->ptr++;
        rest->len--;
    }
    if (!rest->len) {
        return false;
    }
    *word = str_cut(rest, ' ');
    return true;
}

bool gbdt_to_double(const struct gbdt_reader *reader, struct str text, double *out)
{
    enum { LONGEST = 128 };
    char copy[LONGEST];
    if (text.len == 0 || text.len >= LONGEST) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' || !strchr("0123456789+-.eEinfa", text.ptr[i])) {
            return false;
        }
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end = NULL;
    *out = strtod_l(copy, &end, reader->locale);
    return end == copy + text.len;
}

void *gbdt_grow(void *memory, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap) {
        return memory;
    }
    *cap = need > *cap * 2 ? need : *cap * 2;
    return mem_realloc(memory, *cap * size);
}

/* ---- the head ---- */

static bool begins_trees(struct str line)
{
    return str_starts(line, STR("Tree=")) || str_is(line, "end of trees");
}

/* Takes one line of the head. */
static enum kol_status take_head_line(struct gbdt_reader *reader, struct head *head,
                                      struct str line)
{
    struct str value = line;
    const struct str key = str_cut(&value, '=');
    if (key.len == line.len) {
        reader->model->average |= str_is(line, "average_output");
        return KOL_OK;
    }
    for (size_t i = 0; i < HEAD_COUNT; i++) {
        if (!str_is(key, head_keys[i])) {
            continue;
        }
        if (head->lines[i]) {
            return gbdt_bad(reader, reader->line, KOL_INVALID, "%s stands here a second time",
                            head_keys[i]);
        }
        head->values[i] = value;
        head->lines[i] = reader->line;
    }
    return KOL_OK;
}

/* The lines up to the first tree, which becomes `*stop`. */
static enum kol_status read_head_lines(struct gbdt_reader *reader, struct head *head,
                                       struct str *stop)
{
    struct str line;
    if (!gbdt_next_line(reader, &line) || !str_is(line, "tree")) {
        return gbdt_bad(reader, 1, KOL_INVALID,
                        "this is no LightGBM text model: its first line must be \"tree\"");
    }
    while (gbdt_next_line(reader, &line)) {
        if (begins_trees(line)) {
            *stop = line;
            return KOL_OK;
        }
        enum kol_status status = take_head_line(reader, head, line);
        if (status != KOL_OK) {
            return status;
        }
    }
    return gbdt_bad(reader, reader->line, KOL_INVALID,
                    "the file ends before its first tree: it was cut off");
}

/* The whole number of a key; `missing` where the key is not there. */
static enum kol_status head_int(struct gbdt_reader *reader, const struct head *head,
                                enum head_key key, int64_t missing, int64_t *out)
{
    *out = missing;
    if (head->lines[key] && !str_to_int64(head->values[key], out)) {
        return gbdt_bad(reader, head->lines[key], KOL_INVALID, "%s=%.*s is no whole number",
                        head_keys[key], STR_FORMAT(str_trim(head->values[key])));
    }
    return KOL_OK;
}

static enum kol_status check_version(struct gbdt_reader *reader, const struct head *head)
{
    const struct str version = head->values[HEAD_VERSION];
    if (!str_is(version, "v3") && !str_is(version, "v4")) {
        return gbdt_bad(reader, head->lines[HEAD_VERSION], KOL_UNSUPPORTED,
                        "version \"%.*s\" of LightGBM's model format is not read here: v3 and v4 "
                        "are",
                        (int)(version.len < 64 ? version.len : 64), version.len ? version.ptr : "");
    }
    memcpy(reader->model->version, version.ptr, version.len);
    return KOL_OK;
}

static enum kol_status check_classes(struct gbdt_reader *reader, const struct head *head)
{
    static const enum head_key keys[] = {HEAD_NUM_CLASS, HEAD_TREES_AN_ITERATION};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        int64_t number;
        enum kol_status status = head_int(reader, head, keys[i], 1, &number);
        if (status != KOL_OK) {
            return status;
        }
        if (number != 1) {
            return gbdt_bad(reader, head->lines[keys[i]], KOL_UNSUPPORTED,
                            "%s=%lld: a model of several classes is not read here",
                            head_keys[keys[i]], (long long)number);
        }
    }
    return KOL_OK;
}

/* "binary sigmoid:1", "regression": a name, and parameters behind it. */
static enum kol_status read_objective(struct gbdt_reader *reader, const struct head *head)
{
    static const char *const identities[] = {"regression", "regression_l1", "huber",
                                             "fair",       "quantile",      "mape"};
    struct gbdt_model *model = reader->model;
    const size_t line = head->lines[HEAD_OBJECTIVE];
    struct str rest = head->values[HEAD_OBJECTIVE], name = {0}, word;
    bool named = gbdt_next_word(&rest, &name), known = str_is(name, "binary");
    model->objective = known ? GBDT_BINARY : GBDT_REGRESSION;
    model->sigmoid = 1;
    for (size_t i = 0; i < ARRAY_LEN(identities); i++) {
        known |= str_is(name, identities[i]);
    }
    if (!named || !known) {
        return gbdt_bad(reader, line, KOL_UNSUPPORTED,
                        "objective \"%.*s\" is not read here: binary, regression, regression_l1, "
                        "huber, fair, quantile and mape are",
                        (int)(name.len < 64 ? name.len : 64), name.len ? name.ptr : "");
    }
    while (gbdt_next_word(&rest, &word)) {
        if (str_is(word, "sqrt")) {
            return gbdt_bad(reader, line, KOL_UNSUPPORTED,
                            "objective %.*s with reg_sqrt is not read here", STR_FORMAT(name));
        }
        struct str number = word;
        const struct str key = str_cut(&number, ':');
        if (str_is(key, "sigmoid") && (!gbdt_to_double(reader, number, &model->sigmoid) ||
                                       !isfinite(model->sigmoid) || model->sigmoid <= 0)) {
            return gbdt_bad(reader, line, KOL_INVALID,
                            "the sigmoid of the objective must be a number above zero");
        }
    }
    return KOL_OK;
}

/* ---- features ---- */

static int compare_categories(const void *a, const void *b)
{
    const int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

/* "3:1:2", in the order of their frequency. -1 stands for missing and is no category. */
static bool read_categories(struct gbdt_reader *reader, struct str text,
                            struct gbdt_feature *feature)
{
    size_t room = 1, count = 0;
    for (size_t i = 0; i < text.len; i++) {
        room += text.ptr[i] == ':';
    }
    int *categories = arena_alloc(&reader->model->arena, room * sizeof *categories);
    for (size_t i = 0; i < room; i++) {
        int64_t value;
        if (!str_to_int64(str_cut(&text, ':'), &value) || value < -1 || value > INT32_MAX) {
            return false;
        }
        if (value >= 0) {
            categories[count++] = (int)value;
        }
    }
    qsort(categories, count, sizeof *categories, compare_categories);
    feature->range = GBDT_CATEGORIES;
    feature->categories = categories;
    feature->category_count = count;
    return true;
}

static bool read_info(struct gbdt_reader *reader, struct str text, struct gbdt_feature *feature)
{
    if (str_is(text, "none")) {
        feature->range = GBDT_UNUSED;
        return true;
    }
    if (text.ptr[0] != '[') {
        return read_categories(reader, text, feature);
    }
    if (text.ptr[text.len - 1] != ']') {
        return false;
    }
    struct str max = {text.ptr + 1, text.len - 2};
    const struct str min = text.len > 2 ? str_cut(&max, ':') : (struct str){0};
    feature->range = GBDT_NUMERICAL;
    return gbdt_to_double(reader, min, &feature->min) &&
           gbdt_to_double(reader, max, &feature->max) && feature->min <= feature->max;
}

static int compare_names(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static enum kol_status check_names(struct gbdt_reader *reader, size_t line)
{
    const struct gbdt_model *model = reader->model;
    struct str *names = mem_alloc(model->feature_count * sizeof *names);
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < model->feature_count; i++) {
        names[i] = model->features[i].name;
    }
    qsort(names, model->feature_count, sizeof *names, compare_names);
    for (size_t i = 1; i < model->feature_count && status == KOL_OK; i++) {
        if (str_equal(names[i - 1], names[i])) {
            status = gbdt_bad(reader, line, KOL_INVALID, "two features are called %.*s",
                              (int)(names[i].len < 64 ? names[i].len : 64), names[i].ptr);
        }
    }
    free(names);
    return status;
}

/* The words of feature_names or feature_infos, one a feature. */
static enum kol_status read_feature_words(struct gbdt_reader *reader, const struct head *head,
                                          enum head_key key)
{
    struct gbdt_model *model = reader->model;
    const size_t line = head->lines[key];
    struct str rest = head->values[key], word;
    size_t count = 0;
    while (gbdt_next_word(&rest, &word)) {
        if (count < model->feature_count && key == HEAD_NAMES) {
            model->features[count].name = arena_copy(&model->arena, word);
        } else if (count < model->feature_count &&
                   !read_info(reader, word, &model->features[count])) {
            return gbdt_bad(reader, line, KOL_INVALID,
                            "feature_infos: \"%.*s\" of feature %zu is neither none nor [min:max] "
                            "nor categories",
                            (int)(word.len < 64 ? word.len : 64), word.ptr, count);
        }
        count++;
    }
    if (count != model->feature_count) {
        return gbdt_bad(reader, line, KOL_INVALID,
                        "%s names %zu features, max_feature_idx says %zu", head_keys[key], count,
                        model->feature_count);
    }
    return KOL_OK;
}

static enum kol_status read_features(struct gbdt_reader *reader, const struct head *head)
{
    struct gbdt_model *model = reader->model;
    int64_t last;
    enum kol_status status = head_int(reader, head, HEAD_MAX_FEATURE, 0, &last);
    if (status != KOL_OK) {
        return status;
    }
    if (last < 0 || last >= GBDT_MAX_FEATURES) {
        return gbdt_bad(reader, head->lines[HEAD_MAX_FEATURE],
                        last < 0 ? KOL_INVALID : KOL_UNSUPPORTED,
                        "max_feature_idx=%lld: a model has 1 to %d features here", (long long)last,
                        GBDT_MAX_FEATURES);
    }
    model->feature_count = (size_t)last + 1;
    model->features = mem_zalloc(model->feature_count, sizeof *model->features);
    model->asked = mem_zalloc(model->feature_count, sizeof *model->asked);
    status = read_feature_words(reader, head, HEAD_NAMES);
    if (status == KOL_OK) {
        status = check_names(reader, head->lines[HEAD_NAMES]);
    }
    if (status == KOL_OK) {
        status = read_feature_words(reader, head, HEAD_INFOS);
    }
    return status;
}

static enum kol_status read_head(struct gbdt_reader *reader, struct head *head, struct str *stop)
{
    static const enum head_key required[] = {HEAD_VERSION, HEAD_MAX_FEATURE, HEAD_NAMES,
                                             HEAD_INFOS};
    enum kol_status status = read_head_lines(reader, head, stop);
    for (size_t i = 0; i < ARRAY_LEN(required) && status == KOL_OK; i++) {
        if (!head->lines[required[i]]) {
            status = gbdt_bad(reader, reader->line, KOL_INVALID, "%s is missing before the trees",
                              head_keys[required[i]]);
        }
    }
    if (status == KOL_OK) {
        status = check_version(reader, head);
    }
    if (status == KOL_OK) {
        status = check_classes(reader, head);
    }
    if (status == KOL_OK) {
        status = read_objective(reader, head);
    }
    return status == KOL_OK ? read_features(reader, head) : status;
}

/* ---- the trees ---- */

/* "Tree=3" must announce the tree of that number. */
static enum kol_status check_number(struct gbdt_reader *reader, struct str line)
{
    int64_t number;
    const size_t next = reader->model->tree_count;
    str_cut(&line, '=');
    if (!str_to_int64(line, &number) || number != (int64_t)next) {
        return gbdt_bad(reader, reader->line, KOL_INVALID, "tree %zu should begin here", next);
    }
    if (next == GBDT_MAX_TREES) {
        return gbdt_bad(reader, reader->line, KOL_UNSUPPORTED, "more than %d trees",
                        GBDT_MAX_TREES);
    }
    return KOL_OK;
}

/* The tree took `bytes`; tree_sizes, where it is there, must say the same. */
static enum kol_status check_size(struct gbdt_reader *reader, const struct head *head,
                                  struct str *sizes, size_t bytes)
{
    struct str word;
    int64_t size;
    if (!head->lines[HEAD_SIZES]) {
        return KOL_OK;
    }
    if (!gbdt_next_word(sizes, &word)) {
        return gbdt_bad(reader, head->lines[HEAD_SIZES], KOL_INVALID,
                        "tree_sizes has fewer sizes than there are trees");
    }
    if (!str_to_int64(word, &size) || size != (int64_t)bytes) {
        return gbdt_bad(reader, head->lines[HEAD_SIZES], KOL_INVALID,
                        "tree_sizes says that tree %zu has %.*s bytes, but it has %zu: the file "
                        "was changed or damaged",
                        reader->model->tree_count - 1, (int)(word.len < 24 ? word.len : 24),
                        word.ptr, bytes);
    }
    return KOL_OK;
}

static enum kol_status read_trees(struct gbdt_reader *reader, const struct head *head,
                                  struct str stop)
{
    struct str sizes = head->values[HEAD_SIZES], word;
    while (!str_is(stop, "end of trees")) {
        const char *begin = stop.ptr;
        enum kol_status status = check_number(reader, stop);
        if (status == KOL_OK) {
            status = gbdt_read_tree(reader, &stop);
        }
        if (status == KOL_OK && !stop.ptr) {
            status = gbdt_bad(reader, reader->line, KOL_INVALID,
                              "the file ends in tree %zu, before \"end of trees\": it was cut off",
                              reader->model->tree_count - 1);
        }
        if (status == KOL_OK) {
            status = check_size(reader, head, &sizes, (size_t)(stop.ptr - begin));
        }
        if (status != KOL_OK) {
            return status;
        }
    }
    if (gbdt_next_word(&sizes, &word)) {
        return gbdt_bad(reader, head->lines[HEAD_SIZES], KOL_INVALID,
                        "tree_sizes has more sizes than the %zu trees that are there",
                        reader->model->tree_count);
    }
    if (reader->model->tree_count == 0) {
        return gbdt_bad(reader, reader->line, KOL_INVALID, "the model has no trees");
    }
    return KOL_OK;
}

static enum kol_status read_model(struct gbdt_reader *reader)
{
    struct head head = {0};
    struct str stop = {0};
    enum kol_status status = read_head(reader, &head, &stop);
    if (status == KOL_OK) {
        status = read_trees(reader, &head, stop);
    }
    if (status == KOL_OK) {
        if (!reader->counted) {
            reader->model->no_explaining =
                "its trees do not say how many rows of the training set came to each node "
                "(internal_count, leaf_count)";
        }
        gbdt_plan_explaining(reader->model);
        status = gbdt_choose(reader->model, reader->err);
    }
    return status;
}

enum kol_status gbdt_parse(struct str text, struct gbdt_model **out, struct kol_error *err)
{
    struct gbdt_model *model = mem_zalloc(1, sizeof *model);
    struct gbdt_reader reader = {.model = model, .err = err, .text = text, .counted = true};
    enum kol_status status;
    *out = NULL;
    arena_init(&model->arena, 0);
    reader.locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (reader.locale == (locale_t)0) {
        status = kol_fail(err, KOL_IO, "the system does not give the C locale");
    } else if (text.len > GBDT_MAX_BYTES) {
        status =
            kol_fail(err, KOL_UNSUPPORTED, "the model is larger than %d bytes", GBDT_MAX_BYTES);
    } else {
        status = read_model(&reader);
    }
    if (reader.locale != (locale_t)0) {
        freelocale(reader.locale);
    }
    free(reader.stack);
    if (status == KOL_OK) {
        *out = model;
    } else {
        gbdt_free(&model);
    }
    return status;
}

enum kol_status gbdt_read(const char *path, struct gbdt_model **out, struct kol_error *err)
{
    struct buf text = {0};
    *out = NULL;
    enum kol_status status = file_read(path, GBDT_MAX_BYTES, &text, err);
    if (status == KOL_OK) {
        status = gbdt_parse(buf_str(&text), out, err);
        if (status != KOL_OK) {
            (void)kol_wrap(err, "%s", path);
        }
    }
    buf_free(&text);
    return status;
}
