/*
 * score_fixture.h: a model of one small tree for either score, and inputs at random.
 *
 * The tree asks whether feature 0 is at most 5, and if not, whether feature 6 is at most 20,
 * unknown going with what is more. Their ranges are [0:10] and [0:50]; feature 1 has one too,
 * [0:2], but no tree asks for it; all others are unused.
 */
#ifndef TEST_SCORE_FIXTURE_H
#define TEST_SCORE_FIXTURE_H

#include <math.h>

#include "base/mem.h"
#include "score/score.h"

static uint64_t fixture_state = 0x9E3779B97F4A7C15u;

static inline uint64_t fixture_random(void)
{
    fixture_state ^= fixture_state << 13;
    fixture_state ^= fixture_state >> 7;
    fixture_state ^= fixture_state << 17;
    return fixture_state;
}

/* A number >= 0 of any size up to about 10^6, often 0. */
static inline double fixture_rate(void)
{
    const uint64_t bits = fixture_random();
    return bits % 8 ? ldexp((double)(bits >> 12), -(int)(bits % 71)) * 0x1p-32 : 0;
}

static inline struct trust_inputs fixture_nothing(void)
{
    struct trust_inputs inputs;
    for (size_t i = 0; i < TRUST_INPUTS; i++) {
        ((double *)&inputs)[i] = NAN;
    }
    return inputs;
}

static inline void fixture_random_trust(struct trust_inputs *inputs)
{
    static const double odd[] = {NAN, 0, -1, INFINITY, -INFINITY, 0x1p63, 1e308, 1e-310};
    for (size_t i = 0; i < TRUST_INPUTS; i++) {
        const uint64_t bits = fixture_random();
        ((double *)inputs)[i] = bits % 4 == 0   ? odd[bits / 4 % ARRAY_LEN(odd)]
                                : bits % 4 == 1 ? (double)(bits / 4 % 2)
                                                : (double)(bits >> (8 + bits / 4 % 56));
    }
}

/* `leaves`: what the tree adds for feature 0 up to 5, and for feature 6 up to 20 (else: 0.25). */
static inline struct gbdt_model *fixture_model_text(enum score_kind kind, const char *objective,
                                                    const char *leaves)
{
    const bool trust = kind == SCORE_TRUST;
    const size_t count = trust ? TRUST_FEATURES : SUCCESS_FEATURES;
    const char *const *names = trust ? trust_feature_names : success_feature_names;
    struct buf text = {0};
    struct gbdt_model *model = NULL;
    struct kol_error err;
    buf_printf(&text,
               "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
               "max_feature_idx=%zu\nobjective=%s\nfeature_names=",
               count - 1, objective);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text, "%s%s", names[i], i + 1 < count ? " " : "\nfeature_infos=");
    }
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text, "%s%s",
                   i == 0   ? "[0:10]"
                   : i == 6 ? "[0:50]"
                   : i == 1 ? "[0:2]"
                            : "none",
                   i + 1 < count ? " " : "\n");
    }
    struct buf tree = {0};
    buf_printf(&tree,
               "Tree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 6\nsplit_gain=1 1\n"
               "threshold=5 20\ndecision_type=8 8\nleft_child=-1 -2\nright_child=1 -3\n"
               "leaf_value=%s 0.25\nleaf_weight=1 1 1\nleaf_count=60 30 10\n"
               "internal_value=0 0\ninternal_weight=0 0\ninternal_count=100 40\n"
               "is_linear=0\nshrinkage=1\n\n\n",
               leaves);
    buf_printf(&text, "tree_sizes=%zu\n\n", tree.len);
    buf_put(&text, buf_str(&tree));
    buf_puts(&text, "end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n\n"
                    "pandas_categorical:null\n");
    if (gbdt_parse(buf_str(&text), &model, &err) != KOL_OK) {
        kol_panic("the model of the tests: %s", err.message);
    }
    buf_free(&tree);
    buf_free(&text);
    return model;
}

static inline struct gbdt_model *fixture_model(enum score_kind kind)
{
    return fixture_model_text(kind, "binary sigmoid:1", "0.5 -0.5");
}

#endif
