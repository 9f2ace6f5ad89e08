/*
 * features.h: raw inputs to the features of the models: the one place where a feature is computed,
 * for training, batch, stream and API. No I/O, no allocation.
 *
 * NaN is unknown, in and out. A feature whose operand is unknown is unknown; so is one that would
 * not be a finite number. A count or an age below 0 and an infinity are no facts and count as
 * unknown; a flag is 0 or 1, any other number than 0 being 1. Where an operand decides alone (an
 * `and` with one side false), the feature is unknown all the same as long as the other side is.
 *
 * Source of the formulas: features.def.
 */
#ifndef SCORE_FEATURES_H
#define SCORE_FEATURES_H

#include <stddef.h>

enum trust_feature {
#define TRUST_ROW(id) TRUST_##id,
#define SUCCESS_ROW(id)
#define FEATURE(SCORE, ID, name, formula, unit, doc) SCORE##_ROW(ID)
#include "score/features.def"
#undef TRUST_ROW
#undef SUCCESS_ROW
    TRUST_FEATURES
};

enum success_feature {
#define TRUST_ROW(id)
#define SUCCESS_ROW(id) SUCCESS_##id,
#define FEATURE(SCORE, ID, name, formula, unit, doc) SCORE##_ROW(ID)
#include "score/features.def"
#undef TRUST_ROW
#undef SUCCESS_ROW
    SUCCESS_FEATURES
};

struct score_feature {
    const char *name, *formula, *unit /* or NULL */, *doc;
};
extern const struct score_feature trust_feature_table[TRUST_FEATURES];
extern const struct score_feature success_feature_table[SUCCESS_FEATURES];
/* Only the names, in order, as gbdt_match() wants them. */
extern const char *const trust_feature_names[TRUST_FEATURES];
extern const char *const success_feature_names[SUCCESS_FEATURES];

/* What is known of an account; the names are those of the API. */
struct trust_inputs {
    double followers_count, following_count, post_count, favorites_count;
    double account_age; /* days; account_age_days in the API, account_age in the tables */
    double bio_length;  /* characters */
    double has_bio, has_url, has_profile_image, verified;
    double default_profile, default_profile_image;
};
#define TRUST_INPUTS 12 /* all members are doubles, so that they can be looked at by number */
extern const char *const trust_input_names[TRUST_INPUTS];

/* The features of `count` accounts, TRUST_FEATURES doubles each, one account behind the other. The
 * bits of an account's features do not depend on those beside it, nor on the machine. */
void trust_compute_features(const struct trust_inputs *inputs, size_t count, double *features);

/* What is known of a product and of the content that promotes it. */
struct success_inputs {
    double video_views, video_likes, video_comments, video_shares;
    double engagement_total, engagement_rate; /* unknown: computed from the others */
    double est_clicks, est_ctr;
    double price; /* VND */
};
#define SUCCESS_INPUTS 9
extern const char *const success_input_names[SUCCESS_INPUTS];

/* The same for `count` products, SUCCESS_FEATURES doubles each. */
void success_compute_features(const struct success_inputs *inputs, size_t count, double *features);

#endif
