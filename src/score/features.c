/*
 * features.c: the formulas of features.def, over plain structs.
 *
 * No branch depends on what is known: NaN goes through every sum and product by itself and through
 * comparisons by if_known(), so that a row costs the same whatever it lacks.
 */
#include "score/features.h"

#include <float.h>
#include <math.h>

#include "score/log.h"

/* The same code once more for wider registers, chosen at start by the CPU. The bits are the same:
 * there is no instruction here that rounds once where another would round twice. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

#define INLINE static inline __attribute__((always_inline))

/* ---- the tables ---- */

#define TRUST_ROW(name, formula, unit, doc) {name, formula, unit, doc},
#define SUCCESS_ROW(name, formula, unit, doc)
#define FEATURE(SCORE, ID, name, formula, unit, doc) SCORE##_ROW(name, formula, unit, doc)
const struct score_feature trust_feature_table[TRUST_FEATURES] = {
#include "score/features.def"
};
#undef TRUST_ROW
#undef SUCCESS_ROW

#define TRUST_ROW(name, formula, unit, doc)
#define SUCCESS_ROW(name, formula, unit, doc) {name, formula, unit, doc},
#define FEATURE(SCORE, ID, name, formula, unit, doc) SCORE##_ROW(name, formula, unit, doc)
const struct score_feature success_feature_table[SUCCESS_FEATURES] = {
#include "score/features.def"
};
#undef TRUST_ROW
#undef SUCCESS_ROW

#define TRUST_ROW(name) name,
#define SUCCESS_ROW(name)
#define FEATURE(SCORE, ID, name, formula, unit, doc) SCORE##_ROW(name)
const char *const trust_feature_names[TRUST_FEATURES] = {
#include "score/features.def"
};
#undef TRUST_ROW
#undef SUCCESS_ROW

#define TRUST_ROW(name)
#define SUCCESS_ROW(name) name,
#define FEATURE(SCORE, ID, name, formula, unit, doc) SCORE##_ROW(name)
const char *const success_feature_names[SUCCESS_FEATURES] = {
#include "score/features.def"
};
#undef TRUST_ROW
#undef SUCCESS_ROW

const char *const trust_input_names[TRUST_INPUTS] = {
    "followers_count",   "following_count", "post_count",      "favorites_count",
    "account_age_days",  "bio_length",      "has_bio",         "has_url",
    "has_profile_image", "verified",        "default_profile", "default_profile_image",
};

const char *const success_input_names[SUCCESS_INPUTS] = {
    "video_views",     "video_likes", "video_comments", "video_shares", "engagement_total",
    "engagement_rate", "est_clicks",  "est_ctr",        "price",
};

_Static_assert(sizeof(struct trust_inputs) == TRUST_INPUTS * sizeof(double), "inputs are doubles");
_Static_assert(sizeof(struct success_inputs) == SUCCESS_INPUTS * sizeof(double),
               "inputs are doubles");

/* ---- the small words of the formulas ---- */

/* A count as it is where it can be one, else unknown. -0 is 0. */
INLINE double count_of(double given)
{
    const int is_count = (given >= 0) & (given <= DBL_MAX);
    return is_count ? given + 0.0 : NAN;
}

/* 0 or 1; unknown stays unknown, and an infinity is no flag. */
INLINE double flag_of(double given)
{
    double flag = given != 0 ? 1.0 : 0.0;
    return fabs(given) <= DBL_MAX ? flag : NAN;
}

/* fmin() that keeps what is unknown. */
INLINE double at_most(double value, double limit)
{
    return value > limit ? limit : value;
}

/* 1 where the value reaches the bound, else 0; a tier is a sum of these. */
INLINE double reaches(double value, double bound)
{
    return value >= bound ? 1.0 : 0.0;
}

INLINE double over(double value, double bound)
{
    return value > bound ? 1.0 : 0.0;
}

INLINE double under(double value, double bound)
{
    return value < bound ? 1.0 : 0.0;
}

/* `answer` where `operand` is known, else unknown. */
INLINE double if_known(double operand, double answer)
{
    return operand == operand ? answer : NAN;
}

INLINE double finite_or_unknown(double value)
{
    return fabs(value) <= DBL_MAX ? value : NAN;
}

/* rint() of a value >= 0, ties to even: beyond 2^52 every double is whole. */
INLINE double round_even(double value)
{
    return value < 0x1p52 ? (value + 0x1p52) - 0x1p52 : value;
}

/* ---- trust ---- */

/* Rows that are computed side by side: one column an input and a feature, so that the compiler can
 * do several rows with one instruction. Their bits do not depend on how many those are. */
enum { BLOCK = 16 };

struct block {
    double followers[BLOCK], following[BLOCK], posts[BLOCK], favorites[BLOCK], age[BLOCK];
    double bio_length[BLOCK], bio[BLOCK], url[BLOCK], image[BLOCK], verified[BLOCK];
    double defaults[BLOCK];
    double features[TRUST_FEATURES][BLOCK];
};

INLINE void take_block(struct block *block, const struct trust_inputs *inputs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct trust_inputs *row = &inputs[i];
        block->followers[i] = count_of(row->followers_count);
        block->following[i] = count_of(row->following_count);
        block->posts[i] = count_of(row->post_count);
        block->favorites[i] = count_of(row->favorites_count);
        block->age[i] = count_of(row->account_age);
        block->bio_length[i] = count_of(row->bio_length);
        block->bio[i] = flag_of(row->has_bio);
        block->url[i] = flag_of(row->has_url);
        block->image[i] = flag_of(row->has_profile_image);
        block->verified[i] = flag_of(row->verified);
        block->defaults[i] = flag_of(row->default_profile) + flag_of(row->default_profile_image);
    }
}

INLINE void compute_logs(struct block *block, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        block->features[TRUST_LOG_FOLLOWERS][i] = log_1p(block->followers[i]);
        block->features[TRUST_LOG_FOLLOWING][i] = log_1p(block->following[i]);
        block->features[TRUST_LOG_POSTS][i] = log_1p(block->posts[i]);
        block->features[TRUST_LOG_FAVORITES][i] = log_1p(block->favorites[i]);
        block->features[TRUST_LOG_ACCOUNT_AGE][i] = log_1p(block->age[i]);
    }
}

/* Posts a day to 2 decimals; 0 for an account without an age. */
INLINE double posts_per_day(double N, double A)
{
    return A > 0 ? round_even(100 * N / A) / 100 : if_known(A, if_known(N, 0));
}

INLINE void compute_rates(struct block *block, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double F = block->followers[i], G = block->following[i], N = block->posts[i];
        const double V = block->favorites[i], A = block->age[i];
        const double ratio = G > 0 ? F / G : if_known(F, if_known(G, 0));
        const double ppd = posts_per_day(N, A), pace = at_most(ppd, 50);
        const double rate = V / (N + 1), growth = F / (A + 1);
        const double filled = (block->bio[i] + block->url[i] + block->image[i]) / 3;
        block->features[TRUST_FOLLOWERS_FOLLOWING_RATIO][i] = at_most(ratio, 10000);
        block->features[TRUST_POSTS_PER_DAY][i] = pace;
        block->features[TRUST_ENGAGEMENT_RATE][i] = rate;
        block->features[TRUST_ACTIVITY][i] = pace * sqrt(rate + 1);
        block->features[TRUST_COMPLETENESS][i] = filled;
        block->features[TRUST_FOLLOWERS_PER_DAY][i] = growth;
        block->features[TRUST_POSTS_PER_FOLLOWER][i] = N / (F + 1);
        block->features[TRUST_FOLLOWING_PER_DAY][i] = G / (A + 1);
        block->features[TRUST_BIO_LENGTH][i] = at_most(block->bio_length[i] / 200, 1);
        block->features[TRUST_HIGH_ACTIVITY][i] = if_known(ppd, over(ppd, 20));
        block->features[TRUST_ACTIVITY_TIER][i] =
            if_known(ppd, reaches(ppd, 0.5) + reaches(ppd, 2) + reaches(ppd, 10));
        block->features[TRUST_PROFILE_ENGAGEMENT][i] = filled * rate;
        block->features[TRUST_AGE_ACTIVITY][i] =
            block->features[TRUST_LOG_ACCOUNT_AGE][i] / (pace + 1);
    }
}

INLINE void compute_classes(struct block *block, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double F = block->followers[i], N = block->posts[i], A = block->age[i];
        const double rate = block->features[TRUST_ENGAGEMENT_RATE][i];
        const double growth = block->features[TRUST_FOLLOWERS_PER_DAY][i];
        /* The rate is unknown where the posts are, the growth where the followers or the age are.
         */
        block->features[TRUST_LOW_ENGAGEMENT][i] =
            if_known(rate, under(rate, 0.01) * over(N, 1000));
        block->features[TRUST_DEFAULT_PROFILE][i] = block->defaults[i];
        block->features[TRUST_SUSPICIOUS_GROWTH][i] =
            if_known(growth, over(growth, 100) * under(A, 365));
        block->features[TRUST_FAKE_FOLLOWERS][i] =
            if_known(F, if_known(rate, over(F, 10000) * under(rate, 0.1)));
        block->features[TRUST_FOLLOWERS_TIER][i] =
            if_known(F, reaches(F, 1e3) + reaches(F, 1e4) + reaches(F, 1e5) + reaches(F, 1e6));
        block->features[TRUST_AGE_TIER][i] =
            if_known(A, reaches(A, 365) + reaches(A, 730) + reaches(A, 1825));
        block->features[TRUST_VERIFIED_FOLLOWERS][i] =
            block->verified[i] * block->features[TRUST_LOG_FOLLOWERS][i];
        block->features[TRUST_HAS_BIO][i] = block->bio[i];
        block->features[TRUST_HAS_URL][i] = block->url[i];
        block->features[TRUST_HAS_PROFILE_IMAGE][i] = block->image[i];
        block->features[TRUST_VERIFIED][i] = block->verified[i];
    }
}

WIDE static void compute_block(const struct trust_inputs *inputs, size_t count, double *features)
{
    struct block block;
    take_block(&block, inputs, count);
    compute_logs(&block, count);
    compute_rates(&block, count);
    compute_classes(&block, count);
    for (size_t row = 0; row < count; row++) {
        for (size_t i = 0; i < TRUST_FEATURES; i++) {
            features[row * TRUST_FEATURES + i] = block.features[i][row];
        }
    }
}

void trust_compute_features(const struct trust_inputs *inputs, size_t count, double *features)
{
    while (count) {
        const size_t now = count < BLOCK ? count : BLOCK;
        compute_block(inputs, now, features);
        inputs += now;
        features += now * TRUST_FEATURES;
        count -= now;
    }
}

/* ---- success ---- */

/* What was given where it is known, else what follows from the others. */
static inline double given_or(double given, double computed)
{
    return given == given ? given : finite_or_unknown(computed);
}

static inline double price_tier(double price)
{
    return if_known(price, reaches(price, 5e4) + reaches(price, 2e5) + reaches(price, 5e5) +
                               reaches(price, 1e6));
}

static void compute_success(const struct success_inputs *inputs, double *features)
{
    const double views = count_of(inputs->video_views), likes = count_of(inputs->video_likes);
    const double comments = count_of(inputs->video_comments);
    const double shares = count_of(inputs->video_shares), price = count_of(inputs->price);
    const double clicks = count_of(inputs->est_clicks), ctr = count_of(inputs->est_ctr);
    const double seen = views < 1 ? 1 : views;
    const double total = given_or(count_of(inputs->engagement_total), likes + comments + shares);
    const double rate = given_or(count_of(inputs->engagement_rate), total / seen);

    features[SUCCESS_VIEWS] = views;
    features[SUCCESS_LIKES] = likes;
    features[SUCCESS_COMMENTS] = comments;
    features[SUCCESS_SHARES] = shares;
    features[SUCCESS_ENGAGEMENT] = total;
    features[SUCCESS_ENGAGEMENT_RATE] = rate;
    features[SUCCESS_CLICKS] = clicks;
    features[SUCCESS_CTR] = ctr;
    features[SUCCESS_LIKES_PER_VIEW] = likes / seen;
    features[SUCCESS_COMMENTS_PER_VIEW] = comments / seen;
    features[SUCCESS_SHARES_PER_VIEW] = shares / seen;
    features[SUCCESS_LOG_VIEWS] = log_1p(views);
    features[SUCCESS_LOG_ENGAGEMENT] = log_1p(total);
    features[SUCCESS_LOG_CLICKS] = log_1p(clicks);
    features[SUCCESS_LOG_PRICE] = log_1p(price);
    features[SUCCESS_PRICE] = price;
    features[SUCCESS_PRICE_TIER] = price_tier(price);
    features[SUCCESS_ENGAGEMENT_X_CTR] = finite_or_unknown(total * ctr);
    features[SUCCESS_VIEWS_X_CTR] = finite_or_unknown(views * ctr);
    features[SUCCESS_VIRAL_VIEWS] = if_known(views, over(views, 500000));
    features[SUCCESS_HIGH_ENGAGEMENT] = if_known(rate, over(rate, 0.05));
}

void success_compute_features(const struct success_inputs *inputs, size_t count, double *features)
{
    for (size_t row = 0; row < count; row++) {
        compute_success(&inputs[row], features + row * SUCCESS_FEATURES);
    }
}
