/*
 * models_compare.c: `kol models compare`, and what a promotion asks for: two versions on rows that
 * neither was fitted to.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/models.h"
#include "cmd/train_rows.h"
#include "registry/compare.h"

/* Two versions, loaded. */
struct pair {
    struct registry_version versions[2];
    struct score_model models[2];
    struct arena arena;
};

/* Rows to compare on. */
struct held_out {
    struct train_set set;
    uint8_t *chosen; /* NULL: all */
    int64_t seed;    /* of the split, and of the draws */
};

static void pair_free(struct pair *pair)
{
    gbdt_free(&pair->models[0].gbdt);
    gbdt_free(&pair->models[1].gbdt);
    arena_free(&pair->arena);
}

static enum kol_status pair_load(struct registry *registry, enum score_kind kind, const char *a,
                                 const char *b, struct pair *out, struct kol_error *err)
{
    const char *which[2] = {a, b};
    enum kol_status status = KOL_OK;
    *out = (struct pair){.versions = {{.aliases = NULL}}};
    arena_init(&out->arena, 0);
    for (int i = 0; i < 2 && status == KOL_OK; i++) {
        status = registry_load(registry, kind, which[i], &out->models[i], err);
        if (status == KOL_OK) {
            status = registry_find(registry, score_kind_name(kind), which[i], &out->arena,
                                   &out->versions[i], err);
        }
    }
    if (status != KOL_OK) {
        pair_free(out);
    }
    return status;
}

static void held_out_free(struct held_out *held)
{
    train_set_free(&held->set);
    free(held->chosen);
    held->chosen = NULL;
}

/* ---- which rows ---- */

/* The number of a version; what ships is older than any. */
static int64_t age_of(const struct registry_version *version)
{
    int64_t number;
    return str_to_int64(str_of(version->version), &number) ? number : 0;
}

/* The test part of the rows that a version was trained from, split as it was then. */
static enum kol_status test_part_of(const struct invocation *call, enum score_kind kind,
                                    const struct registry_version *version, struct held_out *out,
                                    struct kol_error *err)
{
    json_t *metadata = json_loadb(version->metadata.ptr, version->metadata.len, 0, NULL);
    const json_t *data = json_object_get(metadata, "source");
    const json_t *split = json_object_get(metadata, "split");
    char *source = json_is_object(data) ? json_dumps(data, JSON_COMPACT) : mem_strdup("{}");
    out->seed = json_integer_value(json_object_get(split, "seed"));
    enum kol_status status = train_rows_read_again(call, kind, str_of(source), &out->set, err);
    if (status == KOL_OK) {
        out->chosen = mem_alloc(out->set.rows + 1);
        status = train_split(&out->set, out->seed, out->chosen, err);
        for (size_t i = 0; i < out->set.rows && status == KOL_OK; i++) {
            out->chosen[i] = out->chosen[i] == PART_TEST;
        }
        if (status != KOL_OK) {
            held_out_free(out);
        }
    }
    free(source);
    json_decref(metadata);
    return status;
}

/* --on, else the test part of the newer version, else of the other one. */
static enum kol_status find_rows(const struct invocation *call, enum score_kind kind,
                                 const struct pair *pair, struct held_out *out,
                                 struct kol_error *err)
{
    const char *on = flag_text(call, "on");
    *out = (struct held_out){.seed = 0};
    if (on) {
        return train_rows_read(call, kind, on, NULL, &out->set, err);
    }
    const struct registry_version *a = &pair->versions[0], *b = &pair->versions[1];
    const struct registry_version *newer = age_of(a) > age_of(b) ? a : b;
    const struct registry_version *older = newer == a ? b : a;
    struct kol_error why = {0};
    enum kol_status status = test_part_of(call, kind, newer, out, &why);
    if (status != KOL_OK && test_part_of(call, kind, older, out, NULL) == KOL_OK) {
        newer = older;
        status = KOL_OK;
    }
    if (status == KOL_OK) {
        fprintf(stderr, "held-out rows: the test part of %s/%s, %.*s\n", newer->model,
                newer->version, STR_FORMAT(buf_str(&out->set.source)));
        return KOL_OK;
    }
    return kol_fail(
        err, status,
        "give rows to compare on with --on TABLE or CSV: those that %s/%s was tested on "
        "cannot be read again: %s",
        newer->model, newer->version, why.message);
}

/* Both versions on their rows. */
static enum kol_status compare_pair(const struct invocation *call, enum score_kind kind,
                                    const struct pair *pair, struct held_out *held,
                                    struct comparison *out, struct kol_error *err)
{
    enum kol_status status = find_rows(call, kind, pair, held, err);
    if (status != KOL_OK) {
        return status;
    }
    status = compare_models(&pair->models[0], &pair->models[1], &held->set, held->chosen,
                            held->seed, out, err);
    if (status != KOL_OK) {
        held_out_free(held);
    }
    return status;
}

/* ---- what is printed ---- */

static void put_real(struct rows *rows, double value)
{
    if (value == value) {
        rows_real(rows, value);
    } else {
        rows_null(rows);
    }
}

static void put_line(struct rows *rows, enum compare_part part, const struct compare_line *line)
{
    for (enum metric metric = 0; metric < METRICS; metric++) {
        rows_text(rows, str_of(compare_part_name(part)));
        rows_int(rows, (int64_t)line->accounts);
        rows_text(rows, str_of(metric_name(metric)));
        put_real(rows, line->a[metric]);
        put_real(rows, line->b[metric]);
        put_real(rows, line->difference[metric].value);
        put_real(rows, line->difference[metric].low95);
        put_real(rows, line->difference[metric].high95);
    }
}

static enum kol_status put_metrics(const struct invocation *call,
                                   const struct comparison *comparison, struct kol_error *err)
{
    static const char *const names[] = {"rows", "accounts",   "metric", "a",
                                        "b",    "difference", "low95",  "high95"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    for (enum compare_part part = 0; part < COMPARE_PARTS; part++) {
        if (comparison->lines[part].rows) {
            put_line(rows, part, &comparison->lines[part]);
        }
    }
    return rows_end(&rows, err);
}

static enum kol_status put_flips(const struct invocation *call, const struct comparison *comparison,
                                 struct kol_error *err)
{
    static const char *const names[] = {"account", "masked",  "class",  "score_a",
                                        "score_b", "label_a", "label_b"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    for (size_t i = 0; i < comparison->flip_count; i++) {
        const struct compare_flip *flip = &comparison->flips[i];
        rows_text(rows, flip->account);
        rows_bool(rows, flip->masked);
        rows_int(rows, flip->truth);
        rows_real(rows, score_round(flip->score_a));
        rows_real(rows, score_round(flip->score_b));
        rows_text(rows, str_of(flip->label_a));
        rows_text(rows, str_of(flip->label_b));
    }
    return rows_end(&rows, err);
}

/* The verdict of a promotion, for people. */
static void tell(const struct pair *pair, const struct comparison *comparison)
{
    struct kol_error why = {0};
    fprintf(stderr, "%zu of %zu rows get another label: --flips lists them\n",
            comparison->flip_count, comparison->lines[COMPARE_ALL].rows);
    if (compare_check_better(comparison, &why) == KOL_OK) {
        fprintf(stderr, "%s is surely better than %s\n", pair->models[1].version,
                pair->models[0].version);
    } else {
        fprintf(stderr, "%s is not surely better than %s: %s\n", pair->models[1].version,
                pair->models[0].version, why.message);
    }
}

enum kol_status models_compare(const struct invocation *call, struct registry *registry,
                               struct kol_error *err)
{
    struct pair pair;
    struct held_out held;
    struct comparison comparison;
    enum score_kind kind = SCORE_TRUST;
    enum kol_status status = models_kind(call->args[1], &kind, err);
    if (status == KOL_OK) {
        status = pair_load(registry, kind, call->args[2], call->args[3], &pair, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    status = compare_pair(call, kind, &pair, &held, &comparison, err);
    if (status == KOL_OK) {
        status = flag_bool(call, "flips") ? put_flips(call, &comparison, err)
                                          : put_metrics(call, &comparison, err);
        tell(&pair, &comparison);
        comparison_free(&comparison);
        held_out_free(&held);
    }
    pair_free(&pair);
    return status;
}

/* ---- promotion ---- */

enum kol_status models_check_better(const struct invocation *call, struct registry *registry,
                                    enum score_kind kind, const char *version,
                                    struct kol_error *err)
{
    struct pair pair;
    struct held_out held;
    struct comparison comparison;
    struct kol_error why = {0};
    enum kol_status status = pair_load(registry, kind, REGISTRY_PRODUCTION, version, &pair, &why);
    if (status != KOL_OK) {
        /* Nothing serves: whatever there is, is better. A broken one is no yardstick. */
        return status == KOL_NOT_FOUND ? KOL_OK : kol_fail(err, status, "%s", why.message);
    }
    if (strcmp(pair.versions[0].version, pair.versions[1].version) != 0) {
        status = compare_pair(call, kind, &pair, &held, &comparison, err);
        if (status == KOL_OK) {
            status = compare_check_better(&comparison, err);
            comparison_free(&comparison);
            held_out_free(&held);
        }
    }
    pair_free(&pair);
    return status;
}
