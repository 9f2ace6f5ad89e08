/*
 * predict.c: `kol predict`: the scorers by hand, on raw inputs.
 *
 * One object comes by --json, many as NDJSON on stdin; these are scored in blocks, and each row is
 * what it would be alone. JSON shows scores to 2 decimals as the API does, with the unrounded
 * numbers that they come from beside them; CSV shows the scores themselves.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/each_line.h"
#include "cmd/inputs.h"

enum { BLOCK = 256, LINE_MAX_BYTES = 1 << 16 };

struct asked;

/* One score that can be asked for: how it is read, and what its rows look like. */
struct predictor {
    const struct input_table *table;
    const char *const *columns;
    size_t column_count;
    bool has_model;
    enum score_kind kind;
    void (*answer)(struct asked *asked); /* rows for the block */
};

struct asked {
    const struct predictor *predictor;
    const struct invocation *call;
    struct score_model model;
    struct rows *rows; /* NULL until there is one */
    size_t count;      /* objects in the block */
    struct given_inputs block[BLOCK];
};

/* ---- cells ---- */

static void put_id(struct rows *rows, const struct given_inputs *given)
{
    if (given->kol_id[0]) {
        rows_text(rows, str_of(given->kol_id));
    } else {
        rows_null(rows);
    }
}

static void put_score(const struct asked *asked, double score)
{
    rows_real(asked->rows, asked->call->format == ROWS_CSV ? score : score_round(score));
}

/* The names of the bits, as a list. */
static void put_names(struct rows *rows, uint32_t bits, const char *const *names, size_t count)
{
    struct buf list = {0};
    buf_putc(&list, '[');
    for (size_t i = 0; i < count; i++) {
        if (bits >> i & 1) {
            buf_puts(&list, list.len > 1 ? "," : "");
            text_put_json(&list, str_of(names[i]));
        }
    }
    buf_putc(&list, ']');
    rows_json(rows, buf_str(&list));
    buf_free(&list);
}

/* ---- trust ---- */

static const char *const trust_columns[] = {"kol_id",         "trust_score",       "trust_label",
                                            "is_trustworthy", "confidence",        "risk_level",
                                            "in_domain",      "out_of_domain",     "probability",
                                            "raw_score",      "prediction_source", "model_version",
                                            "timestamp"};

static void answer_trust(struct asked *asked)
{
    struct trust_inputs inputs[BLOCK];
    struct trust_score scores[BLOCK];
    struct rows *rows = asked->rows;
    for (size_t i = 0; i < asked->count; i++) {
        memcpy(&inputs[i], asked->block[i].values, sizeof inputs[i]);
    }
    trust_score(asked->model.gbdt, inputs, asked->count, scores);
    for (size_t i = 0; i < asked->count; i++) {
        const struct trust_score *score = &scores[i];
        put_id(rows, &asked->block[i]);
        put_score(asked, score->score);
        rows_text(rows, str_of(score->label));
        if (isnan(score->score)) {
            rows_null(rows);
        } else {
            rows_bool(rows, score->score >= 50);
        }
        rows_real(rows, score->confidence);
        rows_text(rows, str_of(score->risk));
        rows_bool(rows, score->in_domain);
        put_names(rows, score->outside, trust_feature_names, TRUST_FEATURES);
        rows_real(rows, score->probability);
        rows_real(rows, score->raw);
        rows_text(rows, STR("model"));
        rows_text(rows, str_of(asked->model.version));
        rows_time(rows, clock_now_us());
    }
}

/* ---- success ---- */

static const char *const success_columns[] = {"kol_id",  "score",         "label",
                                              "method",  "in_domain",     "out_of_domain",
                                              "missing", "model_version", "timestamp"};

static const char *const rule_parts[] = {"video_views", "engagement_rate", "est_ctr",
                                         "engagement_total"};

static void answer_success(struct asked *asked)
{
    struct success_inputs inputs[BLOCK];
    struct success_score scores[BLOCK];
    struct rows *rows = asked->rows;
    for (size_t i = 0; i < asked->count; i++) {
        memcpy(&inputs[i], asked->block[i].values, sizeof inputs[i]);
    }
    success_score(asked->model.gbdt, inputs, asked->count, scores);
    for (size_t i = 0; i < asked->count; i++) {
        const struct success_score *score = &scores[i];
        put_id(rows, &asked->block[i]);
        put_score(asked, score->score);
        rows_text(rows, str_of(score->label));
        rows_text(rows, str_of(score->method));
        rows_bool(rows, score->in_domain);
        put_names(rows, score->outside, success_feature_names, SUCCESS_FEATURES);
        put_names(rows, score->missing, rule_parts, ARRAY_LEN(rule_parts));
        rows_text(rows, str_of(asked->model.version));
        rows_time(rows, clock_now_us());
    }
}

/* ---- trending ---- */

static const char *const trending_columns[] = {"kol_id", "score", "label", "method", "timestamp"};

static void answer_trending(struct asked *asked)
{
    struct rows *rows = asked->rows;
    for (size_t i = 0; i < asked->count; i++) {
        struct trending_inputs inputs;
        memcpy(&inputs, asked->block[i].values, sizeof inputs);
        const double score = trending_score(&inputs, TRENDING_FLOOR_BY_HAND);
        put_id(rows, &asked->block[i]);
        put_score(asked, score);
        rows_text(rows, str_of(trending_label(score)));
        rows_text(rows, STR("formula"));
        rows_time(rows, clock_now_us());
    }
}

/* ---- the command ---- */

static const struct predictor predictors[] = {
    {&trust_input_table, trust_columns, ARRAY_LEN(trust_columns), true, SCORE_TRUST, answer_trust},
    {&success_input_table, success_columns, ARRAY_LEN(success_columns), true, SCORE_SUCCESS,
     answer_success},
    {&trending_input_table, trending_columns, ARRAY_LEN(trending_columns), false, SCORE_TRUST,
     answer_trending},
};

/* Answers what is in the block. There is no head of a table without a row below it. */
static void flush(struct asked *asked)
{
    const struct predictor *predictor = asked->predictor;
    if (!asked->rows) {
        asked->rows =
            rows_begin(stdout, asked->call->format, predictor->columns, predictor->column_count);
    }
    predictor->answer(asked);
    asked->count = 0;
}

static enum kol_status take(struct asked *asked, struct str json, struct kol_error *err)
{
    struct given_inputs *given = &asked->block[asked->count];
    enum kol_status status = inputs_read(asked->predictor->table, json, given, err);
    if (status != KOL_OK) {
        return status;
    }
    if (++asked->count == BLOCK) {
        flush(asked);
    }
    return KOL_OK;
}

static enum kol_status take_line(void *user, const struct line *line, struct kol_error *err)
{
    enum kol_status status =
        line->too_long ? kol_fail(err, KOL_INVALID, "longer than %d bytes", LINE_MAX_BYTES)
                       : take(user, line->text, err);
    return status == KOL_OK ? KOL_OK : kol_wrap(err, "line %lld", (long long)line->number);
}

static enum kol_status take_stdin(struct asked *asked, struct kol_error *err)
{
    const struct each_line how = {.path = "-",
                                  .max_bytes = LINE_MAX_BYTES,
                                  .stopped = "stopped",
                                  .take = take_line,
                                  .user = asked};
    return each_line(&how, err);
}

static enum kol_status find(const char *name, const struct predictor **out, struct kol_error *err)
{
    const char *names[ARRAY_LEN(predictors)];
    for (size_t i = 0; i < ARRAY_LEN(predictors); i++) {
        names[i] = predictors[i].table->score;
        if (strcmp(name, names[i]) == 0) {
            *out = &predictors[i];
            return KOL_OK;
        }
    }
    const char *nearest = str_nearest(str_of(name), names, ARRAY_LEN(predictors));
    return kol_fail(err, KOL_USAGE, "no score '%s': there are trust, success and trending%s%s%s",
                    name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                    nearest ? "'?" : "");
}

/* Answers all, then says what was wrong: rows before a bad line are not lost. */
static enum kol_status run(struct asked *asked, struct kol_error *err)
{
    const char *json = flag_text(asked->call, "json");
    enum kol_status status = json ? take(asked, str_of(json), err) : take_stdin(asked, err);
    if (asked->count || status == KOL_OK) {
        flush(asked);
    }
    return asked->rows ? rows_finish(&asked->rows, status, err) : status;
}

enum kol_status cmd_predict(const struct invocation *call, struct kol_error *err)
{
    struct asked *asked = mem_zalloc(1, sizeof *asked);
    asked->call = call;
    enum kol_status status = find(call->args[0], &asked->predictor, err);
    if (status == KOL_OK && asked->predictor->has_model) {
        status = inputs_model(call, asked->predictor->kind, &asked->model, err);
    }
    if (status == KOL_OK) {
        status = run(asked, err);
    }
    gbdt_free(&asked->model.gbdt);
    free(asked);
    return status;
}
