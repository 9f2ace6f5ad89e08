/*
 * eval.c: `kol eval MODEL FEATURES`: the scores of a LightGBM model for the rows of a CSV file.
 *
 * Rows are evaluated in blocks, as many as fit; what is printed comes in the order of the file.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/signals.h"
#include "cmd/command.h"
#include "gbdt/gbdt.h"
#include "import/csv.h"

enum {
    BLOCK = 256,        /* rows, at most */
    SPARE_CELLS = 4096, /* columns that a file may have beside those of the features */
};

struct eval {
    const struct invocation *call;
    struct gbdt_model *model;
    const char *name; /* of the file, for messages */
    bool answer;      /* print what the objective makes of the raw score */

    struct source *source;
    struct window window;
    struct csv csv;
    size_t *places;     /* by feature: its column; NULL before the first record */
    size_t columns;     /* of the file */
    double *block;      /* rows that wait */
    size_t waiting;     /* how many */
    double *phi;        /* --explain: of one row */
    struct rows *table; /* --explain */
};

/* ---- cells ---- */

/* An empty cell and nan are a missing value. */
static bool read_cell(struct str cell, double *out)
{
    cell = str_trim(cell);
    if (cell.len == 0 || str_is_nocase(cell, "nan")) {
        *out = NAN;
        return true;
    }
    struct str word = cell;
    if (word.ptr[0] == '+' || word.ptr[0] == '-') {
        word.ptr++;
        word.len--;
    }
    if (str_is_nocase(word, "inf") || str_is_nocase(word, "infinity")) {
        *out = cell.ptr[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    return str_to_double(cell, out);
}

static bool all_numbers(const struct csv_record *record)
{
    double value;
    for (size_t i = 0; i < record->count; i++) {
        if (!read_cell(record->cells[i], &value)) {
            return false;
        }
    }
    return true;
}

/* ---- which column is which feature ---- */

/* One cell of the header, sorted by its text. */
struct heading {
    struct str text;
    size_t column;
};

static int compare_headings(const void *a, const void *b)
{
    const struct heading *left = a, *right = b;
    const int order = str_compare(left->text, right->text);
    return order ? order : (left->column > right->column) - (left->column < right->column);
}

static int compare_key(const void *key, const void *item)
{
    return str_compare(*(const struct str *)key, ((const struct heading *)item)->text);
}

static const struct heading *find_heading(const struct heading *headings, size_t count,
                                          struct str name)
{
    return bsearch(&name, headings, count, sizeof *headings, compare_key);
}

/* Finds each feature by its own name, or by f0, f1, ...; the first that is not there becomes
 * `*missing`. */
static bool find_places(struct eval *eval, const struct heading *headings, size_t count,
                        bool by_number, size_t *missing)
{
    const struct gbdt_feature *features = gbdt_features(eval->model);
    for (size_t i = 0; i < gbdt_feature_count(eval->model); i++) {
        char number[32];
        snprintf(number, sizeof number, "f%zu", i);
        const struct heading *found =
            find_heading(headings, count, by_number ? str_of(number) : features[i].name);
        if (!found) {
            *missing = i;
            return false;
        }
        eval->places[i] = found->column;
    }
    return true;
}

static enum kol_status take_header(struct eval *eval, const struct csv_record *record,
                                   struct kol_error *err)
{
    struct heading *headings = mem_alloc(record->count * sizeof *headings);
    enum kol_status status = KOL_OK;
    size_t missing = 0, other;
    for (size_t i = 0; i < record->count; i++) {
        headings[i] = (struct heading){str_trim(record->cells[i]), i};
    }
    qsort(headings, record->count, sizeof *headings, compare_headings);
    for (size_t i = 1; i < record->count && status == KOL_OK; i++) {
        if (headings[i].text.len && str_equal(headings[i - 1].text, headings[i].text)) {
            status = kol_fail(err, KOL_INVALID, "%s line %lld: two columns are called %.*s",
                              eval->name, (long long)record->line,
                              (int)(headings[i].text.len < 64 ? headings[i].text.len : 64),
                              headings[i].text.ptr);
        }
    }
    if (status == KOL_OK && !find_places(eval, headings, record->count, false, &missing) &&
        !find_places(eval, headings, record->count, true, &other)) {
        const struct str name = gbdt_features(eval->model)[missing].name;
        status = kol_fail(err, KOL_INVALID,
                          "%s line %lld: no column is called %.*s, which the model asks for; name "
                          "the columns as the features, or f0, f1, ... in their order, or give no "
                          "header",
                          eval->name, (long long)record->line,
                          (int)(name.len < 100 ? name.len : 100), name.ptr);
    }
    free(headings);
    return status;
}

/* Looks at the first record; `*header` where it is one. */
static enum kol_status take_first(struct eval *eval, const struct csv_record *record, bool *header,
                                  struct kol_error *err)
{
    const size_t features = gbdt_feature_count(eval->model);
    eval->places = mem_alloc(features * sizeof *eval->places);
    eval->columns = eval->csv.expected = record->count;
    *header = !all_numbers(record);
    if (*header) {
        return take_header(eval, record, err);
    }
    if (record->count != features) {
        return kol_fail(err, KOL_INVALID,
                        "%s has no header and %zu columns, but the model has %zu features: give it "
                        "a header, or exactly these columns in their order",
                        eval->name, record->count, features);
    }
    for (size_t i = 0; i < features; i++) {
        eval->places[i] = i;
    }
    return KOL_OK;
}

/* ---- rows ---- */

static void explain(struct eval *eval, const double *row, double score)
{
    rows_real(eval->table, score);
    gbdt_explain(eval->model, row, eval->phi);
    for (size_t i = 0; i <= gbdt_feature_count(eval->model); i++) {
        rows_real(eval->table, eval->phi[i]);
    }
}

/* Evaluates the rows that wait and prints them. */
static enum kol_status put_block(struct eval *eval, struct kol_error *err)
{
    double raw[BLOCK];
    gbdt_raw_rows(eval->model, eval->block, eval->waiting, raw);
    for (size_t i = 0; i < eval->waiting; i++) {
        const double score = eval->answer ? gbdt_answer(eval->model, raw[i]) : raw[i];
        if (eval->table) {
            explain(eval, eval->block + i * gbdt_feature_count(eval->model), score);
        } else if (printf("%.17g\n", score) < 0) {
            return kol_fail(err, KOL_IO, "the scores could not be written to stdout");
        }
    }
    eval->waiting = 0;
    return KOL_OK;
}

static enum kol_status take_row(struct eval *eval, const struct csv_record *record,
                                struct kol_error *err)
{
    const size_t features = gbdt_feature_count(eval->model);
    double *row = eval->block + eval->waiting * features;
    for (size_t i = 0; i < features; i++) {
        const struct str cell = record->cells[eval->places[i]];
        if (!read_cell(cell, &row[i])) {
            return kol_fail(err, KOL_INVALID, "%s line %lld, column %zu: \"%.*s\" is no number",
                            eval->name, (long long)record->line, eval->places[i] + 1,
                            (int)(cell.len < 64 ? cell.len : 64), cell.ptr);
        }
    }
    return ++eval->waiting == BLOCK ? put_block(eval, err) : KOL_OK;
}

static enum kol_status take_rows(struct eval *eval, struct kol_error *err)
{
    struct csv_record record;
    enum kol_status status;
    while ((status = csv_next(&eval->csv, &record, err)) == KOL_OK) {
        bool header = false;
        if (signals_stop_asked()) {
            return kol_fail(err, KOL_INTERRUPTED, "stopped");
        }
        if (record.broken) {
            return kol_fail(err, KOL_INVALID, "%s line %lld: %s", eval->name,
                            (long long)record.line, record.reason);
        }
        if (!eval->places) {
            status = take_first(eval, &record, &header, err);
        }
        if (status == KOL_OK && !header) {
            status = take_row(eval, &record, err);
        }
        if (status != KOL_OK) {
            return status;
        }
    }
    if (status != KOL_END) {
        return status;
    }
    return eval->places ? put_block(eval, err)
                        : kol_fail(err, KOL_INVALID, "%s holds no row", eval->name);
}

/* The table of --explain: the score, what each feature adds to the raw score, the base. */
static enum kol_status begin_table(struct eval *eval, const char ***names, struct kol_error *err)
{
    const size_t features = gbdt_feature_count(eval->model);
    enum kol_status status = gbdt_can_explain(eval->model, err);
    if (status != KOL_OK) {
        return status;
    }
    *names = mem_alloc((features + 2) * sizeof **names);
    (*names)[0] = eval->answer ? "answer" : "raw";
    for (size_t i = 0; i < features; i++) {
        (*names)[i + 1] = gbdt_features(eval->model)[i].name.ptr;
    }
    (*names)[features + 1] = "base";
    eval->phi = mem_alloc((features + 1) * sizeof *eval->phi);
    eval->table = rows_begin(stdout, eval->call->format, *names, features + 2);
    return KOL_OK;
}

static enum kol_status run(struct eval *eval, const char *path, struct kol_error *err)
{
    const size_t features = gbdt_feature_count(eval->model);
    const char **names = NULL;
    enum kol_status status = source_open(path, &eval->source, err);
    if (status != KOL_OK) {
        return status;
    }
    eval->name = source_name(eval->source);
    window_init(&eval->window, eval->source);
    csv_init(&eval->csv, &eval->window, ',', 1);
    eval->csv.max_cells = features + SPARE_CELLS;
    eval->block = mem_alloc(BLOCK * features * sizeof *eval->block);
    if (flag_bool(eval->call, "explain")) {
        status = begin_table(eval, &names, err);
    }
    if (status == KOL_OK) {
        status = take_rows(eval, err);
    }
    if (eval->table) {
        status = rows_finish(&eval->table, status, err);
    } else if (fflush(stdout) != 0 && status == KOL_OK) {
        status = kol_fail(err, KOL_IO, "the scores could not be written to stdout");
    }
    free(names);
    free(eval->phi);
    free(eval->block);
    free(eval->places);
    csv_free(&eval->csv);
    window_free(&eval->window);
    source_close(&eval->source);
    return status;
}

enum kol_status cmd_eval(const struct invocation *call, struct kol_error *err)
{
    struct eval eval = {.call = call};
    const char *output = flag_text(call, "output");
    eval.answer = strcmp(output, "answer") == 0;
    if (!eval.answer && strcmp(output, "raw") != 0) {
        return kol_fail(err, KOL_USAGE, "--output is raw or answer, not %s", output);
    }
    enum kol_status status = gbdt_read(call->args[0], &eval.model, err);
    if (status == KOL_OK) {
        status = run(&eval, call->args[1], err);
    }
    gbdt_free(&eval.model);
    return status;
}
