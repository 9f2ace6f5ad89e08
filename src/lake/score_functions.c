/*
 * score_functions.c: the room score/ as functions of the engine, see score_functions.h.
 *
 * A block of columns becomes rows of plain structs and back: that is all that is done here.
 */
#include "lake/score_functions.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

/* ---- blocks ---- */

_Static_assert(sizeof(struct trust_inputs) == TRUST_INPUTS * sizeof(double), "plain doubles");
_Static_assert(sizeof(struct success_inputs) == SUCCESS_INPUTS * sizeof(double), "plain doubles");

/* Columns to rows: `width` doubles a row. */
static double *take_rows(size_t rows, const double *const *columns, size_t width)
{
    double *out = mem_alloc((rows ? rows : 1) * width * sizeof *out);
    for (size_t i = 0; i < width; i++) {
        for (size_t row = 0; row < rows; row++) {
            out[row * width + i] = columns[i][row];
        }
    }
    return out;
}

static const char *known(double score, const char *label)
{
    return isnan(score) ? NULL : label;
}

/* ---- features ---- */

static void run_trust_features(const void *user, size_t rows, const double *const *arguments,
                               const union engine_column *members)
{
    (void)user;
    double *inputs = take_rows(rows, arguments, TRUST_INPUTS);
    double *features = mem_alloc((rows ? rows : 1) * TRUST_FEATURES * sizeof *features);
    trust_compute_features((const struct trust_inputs *)inputs, rows, features);
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        for (size_t row = 0; row < rows; row++) {
            members[i].reals[row] = features[row * TRUST_FEATURES + i];
        }
    }
    free(features);
    free(inputs);
}

static void run_success_features(const void *user, size_t rows, const double *const *arguments,
                                 const union engine_column *members)
{
    (void)user;
    double *inputs = take_rows(rows, arguments, SUCCESS_INPUTS);
    double *features = mem_alloc((rows ? rows : 1) * SUCCESS_FEATURES * sizeof *features);
    success_compute_features((const struct success_inputs *)inputs, rows, features);
    for (size_t i = 0; i < SUCCESS_FEATURES; i++) {
        for (size_t row = 0; row < rows; row++) {
            members[i].reals[row] = features[row * SUCCESS_FEATURES + i];
        }
    }
    free(features);
    free(inputs);
}

/* ---- scores ---- */

static const struct engine_member product_members[] = {
    {"score", ICE_DOUBLE, NULL},
    {"label", ICE_STRING, NULL},
    {"method", ICE_STRING, NULL},
    {"in_domain", ICE_BOOLEAN, NULL},
};

static void run_product_success(const void *user, size_t rows, const double *const *arguments,
                                const union engine_column *members)
{
    const struct score_models *models = user;
    double *inputs = take_rows(rows, arguments, SUCCESS_INPUTS);
    struct success_score *scores = mem_alloc((rows ? rows : 1) * sizeof *scores);
    success_score(models->by_kind[SCORE_SUCCESS].gbdt, (const struct success_inputs *)inputs, rows,
                  scores);
    for (size_t row = 0; row < rows; row++) {
        members[0].reals[row] = scores[row].score;
        members[1].texts[row] = known(scores[row].score, scores[row].label);
        members[2].texts[row] = scores[row].method;
        members[3].bools[row] = isnan(scores[row].score) ? -1 : scores[row].in_domain;
    }
    free(scores);
    free(inputs);
}

enum score_member {
    MEMBER_TRUST,
    MEMBER_TRUST_LABEL,
    MEMBER_RISK,
    MEMBER_CONFIDENCE,
    MEMBER_IN_DOMAIN,
    MEMBER_OUTSIDE,
    MEMBER_VERSION,
    MEMBER_SUCCESS_LABEL,
    MEMBER_TRENDING,
    MEMBER_TRENDING_LABEL,
    MEMBER_COMPOSITE,
    MEMBER_PARTS,
};

static const struct engine_member score_members[] = {
    [MEMBER_TRUST] = {"trust_score", ICE_DOUBLE, NULL},
    [MEMBER_TRUST_LABEL] = {"trust_label", ICE_STRING, NULL},
    [MEMBER_RISK] = {"risk_level", ICE_STRING, NULL},
    [MEMBER_CONFIDENCE] = {"confidence", ICE_DOUBLE, NULL},
    [MEMBER_IN_DOMAIN] = {"in_domain", ICE_BOOLEAN, NULL},
    [MEMBER_OUTSIDE] = {"out_of_domain", ICE_LIST, trust_feature_names},
    [MEMBER_VERSION] = {"trust_model_version", ICE_STRING, NULL},
    [MEMBER_SUCCESS_LABEL] = {"success_label", ICE_STRING, NULL},
    [MEMBER_TRENDING] = {"trending_score", ICE_DOUBLE, NULL},
    [MEMBER_TRENDING_LABEL] = {"trending_label", ICE_STRING, NULL},
    [MEMBER_COMPOSITE] = {"composite_score", ICE_DOUBLE, NULL},
    [MEMBER_PARTS] = {"composite_parts", ICE_LIST, composite_part_names},
};

/* What follows the inputs of trust. */
enum { AT_SUCCESS = TRUST_INPUTS, AT_VELOCITY, AT_BEFORE, AT_BASELINE, AT_MARKET, SCORE_ARGUMENTS };

static void put_trust(const struct trust_score *trust, const char *version, size_t row,
                      const union engine_column *members)
{
    bool none = isnan(trust->score);
    members[MEMBER_TRUST].reals[row] = trust->score;
    members[MEMBER_TRUST_LABEL].texts[row] = known(trust->score, trust->label);
    members[MEMBER_RISK].texts[row] = known(trust->score, trust->risk);
    members[MEMBER_CONFIDENCE].reals[row] = none ? NAN : trust->confidence;
    members[MEMBER_IN_DOMAIN].bools[row] = none ? -1 : trust->in_domain;
    members[MEMBER_OUTSIDE].sets[row] = none ? ENGINE_NO_SET : trust->outside;
    members[MEMBER_VERSION].texts[row] = known(trust->score, version);
}

static double trending_of(const double *const *arguments, size_t row)
{
    const double velocity = arguments[AT_VELOCITY][row];
    const struct trending_inputs inputs = {
        .velocity = velocity,
        .baseline = arguments[AT_BASELINE][row],
        .market = arguments[AT_MARKET][row],
        .momentum = trending_momentum(velocity, arguments[AT_BEFORE][row]),
    };
    return trending_score(&inputs, TRENDING_FLOOR);
}

static void run_score(const void *user, size_t rows, const double *const *arguments,
                      const union engine_column *members)
{
    const struct score_model *serving = &((const struct score_models *)user)->by_kind[SCORE_TRUST];
    const struct gbdt_model *model = serving->gbdt;
    double *inputs = take_rows(rows, arguments, TRUST_INPUTS);
    struct trust_score *trust = mem_zalloc(rows ? rows : 1, sizeof *trust);
    if (model) {
        trust_score(model, (const struct trust_inputs *)inputs, rows, trust);
    }
    for (size_t row = 0; row < rows; row++) {
        uint32_t parts;
        const double success = arguments[AT_SUCCESS][row];
        const double trending = trending_of(arguments, row);
        if (!model) {
            trust[row].score = NAN;
        }
        put_trust(&trust[row], serving->version, row, members);
        members[MEMBER_SUCCESS_LABEL].texts[row] = known(success, success_label(success));
        members[MEMBER_TRENDING].reals[row] = trending;
        members[MEMBER_TRENDING_LABEL].texts[row] = known(trending, trending_label(trending));
        members[MEMBER_COMPOSITE].reals[row] =
            composite_score(trending, success, trust[row].score, &parts);
        members[MEMBER_PARTS].sets[row] = parts;
    }
    free(trust);
    free(inputs);
}

/* ---- texts ---- */

static void run_split(struct str in, struct buf *out)
{
    const uint64_t place = hash_checksum(in) % 100;
    buf_puts(out, place < 70 ? "train" : place < 85 ? "validation" : "test");
}

/* ---- all of them ---- */

static void name_features(const struct score_feature *features, size_t count,
                          struct engine_member *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct engine_member){features[i].name, ICE_DOUBLE, NULL};
    }
}

enum kol_status score_functions_add(struct engine *engine, const struct score_models *models,
                                    struct kol_error *err)
{
    struct engine_member trust[TRUST_FEATURES], success[SUCCESS_FEATURES];
    name_features(trust_feature_table, TRUST_FEATURES, trust);
    name_features(success_feature_table, SUCCESS_FEATURES, success);
    enum kol_status status =
        engine_add_number_function(engine, "kol_trust_features", TRUST_INPUTS, trust,
                                   TRUST_FEATURES, run_trust_features, NULL, err);
    if (status == KOL_OK) {
        status = engine_add_number_function(engine, "kol_success_features", SUCCESS_INPUTS, success,
                                            SUCCESS_FEATURES, run_success_features, NULL, err);
    }
    if (status == KOL_OK) {
        status = engine_add_number_function(engine, "kol_product_success", SUCCESS_INPUTS,
                                            product_members, ARRAY_LEN(product_members),
                                            run_product_success, models, err);
    }
    if (status == KOL_OK) {
        status = engine_add_number_function(engine, "kol_score", SCORE_ARGUMENTS, score_members,
                                            ARRAY_LEN(score_members), run_score, models, err);
    }
    return status == KOL_OK ? engine_add_text_function(engine, "kol_split", run_split, err)
                            : status;
}
