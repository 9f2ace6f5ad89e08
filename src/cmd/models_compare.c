/*
 * models_compare.c: `kol models compare`, and what a promotion asks for: two versions on rows that
 * neither was fitted to, or the plain word that this is not known.
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

/* What the metadata of a version says of the rows that it was trained from. */
struct origin {
    const struct registry_version *version;
    json_t *metadata;
    const json_t *source; /* NULL: not known */
    const json_t *seed;   /* of the split; NULL: not known */
};

static struct origin origin_of(const struct registry_version *version)
{
    struct origin out = {.version = version};
    out.metadata = json_loadb(version->metadata.ptr, version->metadata.len, 0, NULL);
    const json_t *source = json_object_get(out.metadata, "source");
    const json_t *seed = json_object_get(json_object_get(out.metadata, "split"), "seed");
    out.source = json_object_size(source) ? source : NULL;
    out.seed = json_is_integer(seed) ? seed : NULL;
    return out;
}

/* Bytes make a file the same, whatever it is called; a table is the same at the same snapshot. */
static bool is_same_source(const json_t *a, const json_t *b)
{
    const json_t *sum = json_object_get(a, "xxh128");
    return sum ? json_equal(sum, json_object_get(b, "xxh128"))
               : json_equal(json_object_get(a, "table"), json_object_get(b, "table")) &&
                     json_equal(json_object_get(a, "snapshot_id"),
                                json_object_get(b, "snapshot_id"));
}

/* Of the chosen rows, those stay that are in the test part of this seed, too. */
static enum kol_status keep_test_part(struct held_out *out, const struct origin *origin,
                                      struct kol_error *err)
{
    uint8_t *parts = mem_alloc(out->set.rows + 1);
    enum kol_status status = train_split(&out->set, json_integer_value(origin->seed), parts, err);
    for (size_t i = 0; i < out->set.rows && status == KOL_OK; i++) {
        out->chosen[i] &= parts[i] == PART_TEST;
    }
    free(parts);
    return status;
}

/* The test part of the rows that a version was trained from, split as it was then. */
static enum kol_status test_part_of(const struct invocation *call, enum score_kind kind,
                                    const struct origin *origin, struct held_out *out,
                                    struct kol_error *err)
{
    if (!origin->source || !origin->seed) {
        return kol_fail(err, KOL_NOT_FOUND, "its metadata names no %s",
                        origin->source ? "seed of a split" : "rows");
    }
    char *source = json_dumps(origin->source, JSON_COMPACT);
    enum kol_status status = train_rows_read_again(call, kind, str_of(source), &out->set, err);
    if (status == KOL_OK) {
        out->seed = json_integer_value(origin->seed);
        out->chosen = mem_alloc(out->set.rows + 1);
        memset(out->chosen, 1, out->set.rows + 1);
        status = keep_test_part(out, origin, err);
        if (status != KOL_OK) {
            held_out_free(out);
        }
    }
    free(source);
    return status;
}

/* From the test part of one version, takes away what the other one has learnt from; says what is
 * left, or that nobody knows whether it was held out. */
static enum kol_status hold_out(const struct origin *tested, const struct origin *other,
                                struct held_out *out, struct kol_error *err)
{
    const struct registry_version *a = tested->version, *b = other->version;
    const struct str source = buf_str(&out->set.source);
    if (other->source && other->seed && is_same_source(tested->source, other->source)) {
        enum kol_status status = keep_test_part(out, other, err);
        if (status == KOL_OK) {
            fprintf(stderr, "held-out rows: in the test part of %s/%s and of %s/%s, %.*s\n",
                    a->model, a->version, b->model, b->version, STR_FORMAT(source));
        }
        return status;
    }
    char *others = other->source ? json_dumps(other->source, 0) : NULL;
    fprintf(stderr,
            "rows: the test part of %s/%s, %.*s\n"
            "not known to be held out: %s/%s may have learnt from them, its metadata names %s%s\n",
            a->model, a->version, STR_FORMAT(source), b->model, b->version,
            !others       ? "no rows"
            : other->seed ? "other rows, "
                          : "no seed of the split of its rows, ",
            others ? others : "");
    free(others);
    return KOL_OK;
}

/* What was given is compared on as it is; whether it was held out is said as far as it is known. */
static void tell_given(const struct origin origins[2], const struct held_out *held)
{
    json_t *source = json_loadb(held->set.source.ptr, held->set.source.len, 0, NULL);
    fprintf(stderr, "rows: all of %.*s\n", STR_FORMAT(buf_str(&held->set.source)));
    for (int i = 0; i < 2; i++) {
        const struct registry_version *version = origins[i].version;
        bool learnt = origins[i].source && is_same_source(origins[i].source, source);
        fprintf(stderr, "%s: %s/%s %s\n", learnt ? "not held out" : "not known to be held out",
                version->model, version->version,
                learnt ? "has learnt from part of them" : "may have learnt from them");
    }
    json_decref(source);
}

/* The test part of the newer version, else of the other one, without what the other one has
 * learnt from. */
static enum kol_status find_tested(const struct invocation *call, enum score_kind kind,
                                   const struct origin *newer, const struct origin *older,
                                   struct held_out *out, struct kol_error *err)
{
    struct kol_error why = {0};
    enum kol_status status = test_part_of(call, kind, newer, out, &why);
    if (status == KOL_OK) {
        status = hold_out(newer, older, out, err);
    } else if (test_part_of(call, kind, older, out, NULL) == KOL_OK) {
        status = hold_out(older, newer, out, err);
    } else {
        return kol_fail(err, status,
                        "give rows to compare on with --on TABLE or CSV: those that %s/%s was "
                        "tested on cannot be read again: %s",
                        newer->version->model, newer->version->version, why.message);
    }
    if (status != KOL_OK) {
        held_out_free(out);
    }
    return status;
}

/* --on, else rows that were held out. */
static enum kol_status find_rows(const struct invocation *call, enum score_kind kind,
                                 const struct pair *pair, struct held_out *out,
                                 struct kol_error *err)
{
    const char *on = flag_text(call, "on");
    struct origin origins[2] = {origin_of(&pair->versions[0]), origin_of(&pair->versions[1])};
    const int newer = age_of(&pair->versions[0]) > age_of(&pair->versions[1]) ? 0 : 1;
    enum kol_status status;
    *out = (struct held_out){.seed = 0};
    if (on) {
        status = train_rows_read(call, kind, on, NULL, &out->set, err);
        if (status == KOL_OK) {
            tell_given(origins, out);
        }
    } else {
        status = find_tested(call, kind, &origins[newer], &origins[!newer], out, err);
    }
    json_decref(origins[0].metadata);
    json_decref(origins[1].metadata);
    return status;
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
    if (status == KOL_INVALID && held->chosen) {
        kol_wrap(err, "the test part says too little, give rows with --on TABLE or CSV");
    }
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
    char serves[32];
    enum kol_status status = registry_which_serves(registry, kind, serves, err);
    if (status != KOL_OK || !serves[0]) {
        return status; /* where nothing is to serve, whatever there is, is better */
    }
    status = pair_load(registry, kind, serves, version, &pair, &why);
    if (status != KOL_OK) { /* a broken one is no yardstick */
        return kol_fail(
            err, status,
            "what serves cannot be compared with: %s; `kol models rollback %s` goes back "
            "to what served before, --force promotes without a comparison",
            why.message, score_kind_name(kind));
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
