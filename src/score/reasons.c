/*
 * reasons.c: a plain sentence for what a feature adds to a score.
 *
 * One row a feature: the inputs that it is made of, what it is about, and what is said of it, with
 * places for numbers. An input goes by one letter, the same in `needs` and in places:
 *
 *   trust    F followers, G following, N posts, V favourites, A age, L length of the bio, b bio,
 *            u link, i picture, w verified, d default looks, e default picture
 *   success  W views, K likes, C comments, H shares, E engagement, R rate, X clicks, T ctr, P price
 *
 * {F account} is a count with its noun in one or many, {F} the number alone. {v} is the feature's
 * value, {v%} in hundredths, {x view} the number whose logarithm it is; {A age} is a time.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "score/explain.h"

enum { TEXTS = 6 };

struct reason {
    const char *needs; /* letters of inputs */
    const char *about; /* "pace of posting"; NULL where the one input says it */
    /* Which text; NULL: the first one. */
    size_t (*pick)(const double *inputs, double value);
    const char *texts[TEXTS];
};

/* The inputs of a score: their letters in the order of the struct, and their names in a sentence.
 */
struct vocabulary {
    const char *letters;
    const char *const *names;
    size_t flags_from; /* inputs from this one on are flags */
    const struct score_feature *features;
    const struct reason *reasons;
};

/* ---- which text ---- */

static size_t by_value(const double *inputs, double value)
{
    (void)inputs;
    return value >= 0 && value < TEXTS ? (size_t)value : 0;
}

static size_t by_thirds(const double *inputs, double value)
{
    return by_value(inputs, rint(value * 3));
}

static const struct trust_inputs *trust_of(const double *inputs)
{
    return (const struct trust_inputs *)inputs;
}

static size_t by_ratio(const double *inputs, double value)
{
    const struct trust_inputs *of = trust_of(inputs);
    if (of->following_count == 0) {
        return of->followers_count == 0 ? 0 : 1;
    }
    if (value == 0) {
        return 2;
    }
    return value < 1 ? 3 : value >= 10000 ? 5 : 4;
}

static size_t by_pace(const double *inputs, double value)
{
    const struct trust_inputs *of = trust_of(inputs);
    if (of->account_age == 0) {
        return 0;
    }
    if (value == 0) {
        return of->post_count == 0 ? 1 : 2;
    }
    return value >= 50 ? 4 : 3;
}

static size_t by_bio(const double *inputs, double value)
{
    (void)inputs;
    return value == 0 ? 0 : value < 1 ? 1 : 2;
}

static size_t by_defaults(const double *inputs, double value)
{
    const bool looks = trust_of(inputs)->default_profile != 0;
    return value == 1 ? (looks ? 1 : 2) : value == 0 ? 0 : 3;
}

static size_t by_verified(const double *inputs, double value)
{
    const double verified = trust_of(inputs)->verified;
    return isfinite(verified) ? verified != 0 : value > 0;
}

static size_t by_nothing(const double *inputs, double value)
{
    (void)inputs;
    return value == 0 ? 1 : 0;
}

/* ---- trust ---- */

static const char *const trust_words[TRUST_INPUTS] = {
    "followers", "accounts followed", "posts",         "favourites",
    "age",       "length of the bio", "bio",           "link in the profile",
    "picture",   "verification",      "default looks", "default picture",
};

static const struct reason trust_reasons[TRUST_FEATURES] = {
    [TRUST_LOG_FOLLOWERS] = {"F", NULL, NULL, {"is followed by {F account}"}},
    [TRUST_LOG_FOLLOWING] = {"G", NULL, NULL, {"follows {G account}"}},
    [TRUST_LOG_POSTS] = {"N", NULL, NULL, {"has posted {N time}"}},
    [TRUST_LOG_FAVORITES] = {"V", NULL, NULL, {"has {V favourite}"}},
    [TRUST_LOG_ACCOUNT_AGE] = {"A", NULL, NULL, {"is {A age} old"}},
    [TRUST_FOLLOWERS_FOLLOWING_RATIO] =
        {"FG",
         "followers for each account that it follows",
         by_ratio,
         {"follows nobody, and nobody follows it", "follows nobody", "nobody follows it",
          "follows {r} times more accounts than follow it",
          "has {v follower} for each account that it follows",
          "has 10,000 followers or more for each account that it follows"}},
    [TRUST_POSTS_PER_DAY] = {"NA",
                             "pace of posting",
                             by_pace,
                             {"is not a day old: no pace of posting yet", "has never posted",
                              "posts less than once in 200 days", "posts {v time} a day",
                              "posts 50 times a day or more"}},
    [TRUST_ENGAGEMENT_RATE] = {"VN",
                               "favourites for each post",
                               by_nothing,
                               {"has {v favourite} for each post", "its posts have no favourites"}},
    [TRUST_ACTIVITY] = {"NAV",
                        "activity",
                        by_nothing,
                        {"has an activity of {v}: posts a day weighed by favourites",
                         "shows no activity: posts a day weighed by favourites are 0"}},
    [TRUST_COMPLETENESS] = {"bui",
                            "how much of the profile is filled in",
                            by_thirds,
                            {"has neither bio nor link nor picture",
                             "has one of bio, link and picture", "has two of bio, link and picture",
                             "has bio, link and picture"}},
    [TRUST_FOLLOWERS_PER_DAY] = {"FA",
                                 "growth",
                                 NULL,
                                 {"has won {v follower} for each day of its life"}},
    [TRUST_POSTS_PER_FOLLOWER] = {"NF",
                                  "posts for each follower",
                                  NULL,
                                  {"has {v post} for each follower"}},
    [TRUST_FOLLOWING_PER_DAY] = {"GA",
                                 "pace of following",
                                 NULL,
                                 {"has followed {v account} for each day of its life"}},
    [TRUST_BIO_LENGTH] = {"L",
                          NULL,
                          by_bio,
                          {"has an empty bio", "has a bio of {L character}",
                           "has a long bio of {L character}"}},
    [TRUST_HIGH_ACTIVITY] = {"NA",
                             "whether it posts over 20 times a day",
                             by_value,
                             {"posts at most 20 times a day", "posts over 20 times a day"}},
    [TRUST_LOW_ENGAGEMENT] = {"VN",
                              "whether many posts have hardly a favourite",
                              by_value,
                              {"is not one with many posts and hardly a favourite",
                               "has over 1,000 posts and hardly a favourite"}},
    [TRUST_DEFAULT_PROFILE] = {"de",
                               "whether looks and picture are the platform's own",
                               by_defaults,
                               {"has looks and a picture of its own",
                                "has kept the looks that it came with",
                                "has kept the picture that it came with",
                                "has kept the looks and the picture that it came with"}},
    [TRUST_SUSPICIOUS_GROWTH] = {"FA",
                                 "whether it is young and growing very fast",
                                 by_value,
                                 {"is not both young and growing very fast",
                                  "is under a year old and wins over 100 followers a day"}},
    [TRUST_FAKE_FOLLOWERS] = {"FVN",
                              "whether many followers like nothing",
                              by_value,
                              {"is not one with many followers who like nothing",
                               "has over 10,000 followers who like hardly anything"}},
    [TRUST_FOLLOWERS_TIER] = {"F",
                              NULL,
                              by_value,
                              {"has under 1,000 followers", "has 1,000 to 10,000 followers",
                               "has 10,000 to 100,000 followers",
                               "has 100,000 to 1 million followers",
                               "has 1 million followers or more"}},
    [TRUST_AGE_TIER] = {"A",
                        NULL,
                        by_value,
                        {"is under a year old", "is 1 to 2 years old", "is 2 to 5 years old",
                         "is 5 years old or more"}},
    [TRUST_ACTIVITY_TIER] = {"NA",
                             "class of pace",
                             by_value,
                             {"posts less than once in two days", "posts 0.5 to 2 times a day",
                              "posts 2 to 10 times a day", "posts 10 times a day or more"}},
    [TRUST_VERIFIED_FOLLOWERS] = {"wF",
                                  "audience of a verified account",
                                  by_verified,
                                  {"is not verified, whatever its audience",
                                   "is verified, with {F follower}"}},
    [TRUST_PROFILE_ENGAGEMENT] =
        {"buiVN",
         "favourites weighed by the profile",
         by_nothing,
         {"has {v favourite} for each post, weighed by how much of the profile is filled in",
          "has no favourites, or nothing filled in that would weigh them"}},
    [TRUST_AGE_ACTIVITY] = {"AN", "age against pace", NULL, {"has made {N post} in {A age}"}},
    [TRUST_HAS_BIO] = {"b", NULL, by_value, {"has no bio", "has a bio"}},
    [TRUST_HAS_URL] = {"u",
                       NULL,
                       by_value,
                       {"has no link in the profile", "has a link in the profile"}},
    [TRUST_HAS_PROFILE_IMAGE] = {"i",
                                 NULL,
                                 by_value,
                                 {"has no profile picture", "has a profile picture"}},
    [TRUST_VERIFIED] = {"w",
                        NULL,
                        by_value,
                        {"is not verified by the platform", "is verified by the platform"}},
};

static const struct vocabulary trust_vocabulary = {"FGNVALbuiwde", trust_words, 6,
                                                   trust_feature_table, trust_reasons};

/* ---- success ---- */

static const char *const success_words[SUCCESS_INPUTS] = {
    "views",           "likes",  "comments",      "shares", "engagement",
    "engagement rate", "clicks", "clicks a view", "price",
};

static const struct reason success_reasons[SUCCESS_FEATURES] = {
    [SUCCESS_VIEWS] = {"W", NULL, NULL, {"the content has {v view}"}},
    [SUCCESS_LIKES] = {"K", NULL, NULL, {"the content has {v like}"}},
    [SUCCESS_COMMENTS] = {"C", NULL, NULL, {"the content has {v comment}"}},
    [SUCCESS_SHARES] = {"H", NULL, NULL, {"the content was shared {v time}"}},
    [SUCCESS_ENGAGEMENT] = {"E", NULL, NULL, {"the content has {v reaction} of all kinds"}},
    [SUCCESS_ENGAGEMENT_RATE] = {"R", NULL, NULL, {"reactions are {v%} of the views"}},
    [SUCCESS_CLICKS] = {"X", NULL, NULL, {"an estimated {v click}"}},
    [SUCCESS_CTR] = {"T", NULL, NULL, {"an estimated {v%} of the views led to a click"}},
    [SUCCESS_LIKES_PER_VIEW] = {"KW", "likes for each view", NULL, {"{v like} for each view"}},
    [SUCCESS_COMMENTS_PER_VIEW] = {"CW",
                                   "comments for each view",
                                   NULL,
                                   {"{v comment} for each view"}},
    [SUCCESS_SHARES_PER_VIEW] = {"HW", "shares for each view", NULL, {"{v share} for each view"}},
    [SUCCESS_LOG_VIEWS] = {"W", NULL, NULL, {"an audience of {x view}"}},
    [SUCCESS_LOG_ENGAGEMENT] = {"E", NULL, NULL, {"an echo of {x reaction}"}},
    [SUCCESS_LOG_CLICKS] = {"X", NULL, NULL, {"{x click} by the source's estimate"}},
    [SUCCESS_LOG_PRICE] = {"P", NULL, NULL, {"a price in the order of {x} VND"}},
    [SUCCESS_PRICE] = {"P", NULL, NULL, {"one piece costs {v} VND"}},
    [SUCCESS_PRICE_TIER] = {"P",
                            NULL,
                            by_value,
                            {"costs under 50,000 VND", "costs 50,000 to 200,000 VND",
                             "costs 200,000 to 500,000 VND", "costs 500,000 to 1 million VND",
                             "costs 1 million VND or more"}},
    [SUCCESS_ENGAGEMENT_X_CTR] = {"ET",
                                  "reactions weighed by clicks",
                                  NULL,
                                  {"reactions weighed by clicks are {v}"}},
    [SUCCESS_VIEWS_X_CTR] = {"WT",
                             "views weighed by clicks",
                             NULL,
                             {"views weighed by clicks are {v}"}},
    [SUCCESS_VIRAL_VIEWS] = {"W",
                             NULL,
                             by_value,
                             {"the content has at most 500,000 views",
                              "the content has over 500,000 views"}},
    [SUCCESS_HIGH_ENGAGEMENT] = {"R",
                                 NULL,
                                 by_value,
                                 {"at most one view in twenty led to a reaction",
                                  "over one view in twenty led to a reaction"}},
};

static const struct vocabulary success_vocabulary = {"WKCHERXTP", success_words, SUCCESS_INPUTS,
                                                     success_feature_table, success_reasons};

/* ---- numbers ---- */

static void put_grouped(struct buf *out, double whole)
{
    char digits[32];
    const int len = snprintf(digits, sizeof digits, "%.0f", whole);
    for (int i = 0; i < len; i++) {
        buf_putc(out, digits[i]);
        const int left = len - 1 - i;
        if (left > 0 && left % 3 == 0) {
            buf_putc(out, ',');
        }
    }
}

/* A number >= 0 as a person writes it: three digits that count, all of a large one. */
static void put_number(struct buf *out, double value)
{
    if (value >= 999.5 && value < 1e15) {
        put_grouped(out, value);
    } else if (value > 0 && value < 0.001) {
        buf_puts(out, "less than 0.001");
    } else {
        buf_printf(out, "%.3g", value);
    }
}

static void put_count(struct buf *out, double value, struct str noun)
{
    const size_t from = out->len;
    put_number(out, value);
    const bool one = strcmp(out->ptr + from, "1") == 0;
    if (noun.len) {
        buf_printf(out, " %.*s%s", STR_FORMAT(noun), one ? "" : "s");
    }
}

static void put_age(struct buf *out, double days)
{
    if (days < 730) {
        put_count(out, days, STR("day"));
    } else {
        put_count(out, days / 365.25, STR("year"));
    }
}

/* ---- sentences ---- */

/* What is being said, and of what. */
struct saying {
    const struct vocabulary *words;
    const struct reason *reason;
    const double *inputs;
    const struct contribution *part;
    struct buf *out;
};

static bool is_known(const struct saying *saying, size_t input)
{
    const double value = saying->inputs[input];
    return isfinite(value) && (value >= 0 || input >= saying->words->flags_from);
}

/* Fills one place of a text; false where it needs a number that is not there. */
static bool put_place(const struct saying *saying, struct str place)
{
    struct str noun = place, name = str_cut(&noun, ' ');
    const char *letter = strchr(saying->words->letters, name.ptr[0]);
    double value = saying->part->value;
    if (str_is(name, "v%")) {
        put_number(saying->out, 100 * value);
        buf_putc(saying->out, '%');
        return isfinite(100 * value);
    }
    if (str_is(name, "x")) {
        value = expm1(value);
    } else if (str_is(name, "r")) {
        value = 1 / value;
    } else if (!str_is(name, "v")) {
        KOL_ASSERT(letter);
        const size_t input = (size_t)(letter - saying->words->letters);
        if (!is_known(saying, input)) {
            return false;
        }
        value = saying->inputs[input];
    }
    if (str_is(noun, "age")) {
        put_age(saying->out, value);
    } else {
        put_count(saying->out, value, noun);
    }
    return isfinite(value);
}

static bool put_text(const struct saying *saying, struct str text)
{
    while (text.len) {
        buf_put(saying->out, str_cut(&text, '{'));
        if (text.len && !put_place(saying, str_cut(&text, '}'))) {
            return false;
        }
    }
    return true;
}

static const char *about(const struct saying *saying)
{
    return saying->reason->about ? saying->reason->about
                                 : saying->words->features[saying->part->feature].doc;
}

/* "age unknown", "pace of posting unknown: no posts and no age are given". */
static void put_unknown(const struct saying *saying)
{
    const char *names[TRUST_INPUTS];
    size_t count = 0;
    for (const char *need = saying->reason->needs; *need; need++) {
        const size_t input =
            (size_t)(strchr(saying->words->letters, *need) - saying->words->letters);
        if (!is_known(saying, input)) {
            names[count++] = saying->words->names[input];
        }
    }
    if (!saying->reason->about && count) {
        buf_printf(saying->out, "%s unknown", names[0]);
        return;
    }
    buf_printf(saying->out, "%s unknown", about(saying));
    for (size_t i = 0; i < count; i++) {
        buf_printf(saying->out, "%s%s",
                   i == 0          ? " for want of "
                   : i + 1 < count ? ", "
                                   : " and ",
                   names[i]);
    }
}

static void put_points(struct buf *out, double points)
{
    if (!isfinite(points)) {
        return;
    }
    if (fabs(points) < 0.05) {
        buf_puts(out, ": 0.0");
    } else {
        buf_printf(out, ": %+.1f", points);
    }
}

static void put_reason(const struct saying *saying)
{
    const struct reason *reason = saying->reason;
    const double value = saying->part->value;
    const size_t from = saying->out->len;
    if (!isfinite(value)) {
        put_unknown(saying);
    } else {
        const size_t which = reason->pick ? reason->pick(saying->inputs, value) : 0;
        const char *text = reason->texts[which] ? reason->texts[which] : reason->texts[0];
        if (!put_text(saying, str_of(text))) {
            saying->out->len = from; /* a row of features alone: the value says what it can */
            buf_printf(saying->out, "%s: %.6g", about(saying), value);
        }
    }
    put_points(saying->out, saying->part->points);
}

void trust_reason(const struct trust_inputs *inputs, const struct contribution *part,
                  struct buf *out)
{
    put_reason(&(struct saying){&trust_vocabulary, &trust_reasons[part->feature],
                                (const double *)inputs, part, out});
}

void success_reason(const struct success_inputs *inputs, const struct contribution *part,
                    struct buf *out)
{
    put_reason(&(struct saying){&success_vocabulary, &success_reasons[part->feature],
                                (const double *)inputs, part, out});
}
