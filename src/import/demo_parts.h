/*
 * demo_parts.h: what the parts of the demo world share: the KOL, its life, and who makes which
 * half.
 *
 * For src/import/demo*.c and their test alone. The way of one KOL: demo_kol_make() draws who it is,
 * demo_content_make() and demo_product_make() what it publishes and sells, demo_history_make() how
 * its counts move (videos that go viral bring followers). Each part adds the moments at which
 * something is observed; demo.c sorts them and asks the parts for the events.
 */
#ifndef IMPORT_DEMO_PARTS_H
#define IMPORT_DEMO_PARTS_H

#include "base/arena.h"
#include "base/clock.h"
#include "import/demo.h"
#include "import/demo_random.h"

enum demo_language { DEMO_VI, DEMO_EN };

enum demo_category {
#define CATEGORY(NAME, ...) DEMO_##NAME,
#include "import/demo_categories.def"
#undef CATEGORY
    DEMO_CATEGORY_COUNT,
    DEMO_NONE = -1
};

/* What a category says; the lists are by language. */
struct demo_category_words {
    const char *text;
    const char *tags; /* DEMO_TAGS of them, space-separated */
    const char *bios[2][2];
    const char *captions[2][3];
};
enum { DEMO_TAGS = 8 };
extern const struct demo_category_words demo_categories[DEMO_CATEGORY_COUNT];

/* Streams of chance: each purpose draws from its own. VIDEO and PRODUCT add the item's number. */
enum demo_purpose {
    DEMO_IDENTITY = 1,
    DEMO_NAME,
    DEMO_CONTENT,
    DEMO_HISTORY,
    DEMO_DISCOVERY,
    DEMO_SHOP,
    DEMO_VIDEO = 1 << 24,
    DEMO_PRODUCT = 2 << 24,
};

/* A run of KOL numbers that are made alike. */
struct demo_segment {
    int64_t first, kols;
    int platform;     /* -1: by the shares of demo_platforms */
    int64_t contents; /* of all its KOLs together; -1: each by its own activity */
    bool profiles;    /* false: known from their contents alone */
};

struct demo_world {
    uint64_t seed;
    int64_t start_us, end_us;
    int days;
    bool reference;
    double label_share; /* of the Twitter accounts */
    struct demo_segment segments[3];
    int segment_count;
};

/* How people of a platform are; medians and sigmas are of lognormals. */
struct demo_platform {
    double share;      /* of the KOLs */
    double vietnamese; /* share */
    double bots;       /* share */
    double followers_median, followers_sigma;
    double tail_share, tail_least, tail_alpha; /* Pareto in place of the lognormal */
    double following_median, following_sigma;
    double posts_per_day_median, posts_per_day_sigma;
    double counts_as_text; /* share of KOLs whose counts come as count strings */
    double reach_factor;   /* views of a content = reach_factor * followers^reach_power */
    double reach_power;
    double like_median, comment_median, share_median; /* per view */
    double content_factor;        /* contents that are observed, against TikTok */
    double views_half_life_hours; /* how fast a content gets its views */
    int64_t launched_us;          /* no account is older */
};
extern const struct demo_platform demo_platforms[4];

/* Who a KOL is. Texts lie in the life's arena; a text without a pointer is unknown. */
struct demo_kol {
    int64_t number;
    const struct demo_segment *segment;
    enum platform platform;
    enum demo_language language;
    enum demo_category category;
    bool bot;
    bool bot_habits; /* behaves like one: most bots, few people */
    bool counts_as_text;
    int given, second; /* rows of demo_names.def */

    struct str username, user_id, nickname, bio, later_bio, avatar_url, profile_url, location, lang;
    bool category_known;
    bool default_profile, default_image, has_url;
    int label; /* enum label, -1: unknown */

    int64_t created_us;
    bool age_given; /* account_age_days in place of account_created_at */
    bool created_known;

    double followers; /* when the world begins; so are the next three */
    double following;
    double posts;
    double favorites; /* likes given (Twitter), likes received (TikTok) */
    double posts_per_day, favorites_per_day;
    double growth;     /* of followers, by itself, in 30 days */
    int jump_day;      /* day on which followers were bought, -1: never */
    double jump_share; /* of the followers there were */
    int verified_day;  /* first day as verified; 0 from the start, -1 never */
    int later_bio_day; /* first day with later_bio, -1: never */
    double like_ratio, comment_ratio, share_ratio; /* per view */
    int crawl_offset_s; /* when it is looked at, before the end of each day */
};

/* One content. Views at time t: lasting (1 - exp(-age / tau)) + jump / (1 + exp(-(t - jump_us) /
 * width)). */
struct demo_video {
    struct str id, title, caption, url;
    struct str_list tags;
    const char *type;
    int64_t posted_us;
    int64_t first_seen_us; /* the observation that tells everything; later ones only count */
    int64_t duration_s;    /* 0: unknown */
    double lasting, tau_hours;
    double jump; /* 0: never went viral */
    int64_t jump_us;
    double jump_width_hours;
    double like_ratio, comment_ratio, share_ratio;
};

struct demo_counts {
    int64_t views, likes, comments, shares;
};

/* One product and the content that promotes it. */
struct demo_product {
    struct str id, seller_id, title, url;
    const char *keyword;
    int video;
    double price;
    double ctr;   /* 0: no estimate is given */
    double noise; /* of the rule of sales */
    bool total_given, rate_given, sold_as_text;
};

enum demo_kind {
    DEMO_SEEN_DISCOVERY,
    DEMO_SEEN_REFRESH,
    DEMO_SEEN_PROFILE,
    DEMO_SEEN_VIDEO,
    DEMO_SEEN_COMMENT,
    DEMO_SEEN_PRODUCT,
};

/* One event to come. */
struct demo_moment {
    int64_t time_us;
    enum demo_kind kind;
    uint32_t subject; /* number of the video or product */
    uint32_t detail;  /* PROFILE: 1 tells everything, 0 only counts; COMMENT: chance for its text */
    uint32_t order;   /* in which it was planned; settles what is equal otherwise */
};

/* One KOL with all that happens to it; reused from one to the next. */
struct demo_life {
    const struct demo_world *world;
    struct demo_kol kol;
    struct arena arena; /* texts of this KOL */
    double *followers;  /* at the start of each day and at the end: days + 1 */
    double *gained;     /* followers that viral contents bring on each day */
    double *favorites;  /* as followers */
    struct demo_video *videos;
    size_t video_count, video_cap;
    struct demo_product *products;
    size_t product_count, product_cap;
    struct demo_moment *moments;
    size_t moment_count, moment_cap;
};

/* Formatted text in the arena. */
struct str demo_text(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A number with `digits` decimal digits (at most 18), the first not 0, one to one with (number,
 * item, kind): number < 2^24, item < 2^20. */
struct str demo_digits_id(struct arena *arena, const struct demo_world *world, int64_t number,
                          uint32_t item, const char *lead);
/* The same as 11 letters of base64url. */
struct str demo_letters_id(struct arena *arena, const struct demo_world *world, int64_t number,
                           uint32_t item, const char *lead);

/* A count as the pages of the platform show it, in the KOL's language: 11.3K, 4,1Tr. */
struct str demo_count_text(struct arena *arena, const struct demo_kol *kol, int64_t count);

/* Adds a moment, unless it lies outside the world. */
void demo_plan(struct demo_life *life, enum demo_kind kind, int64_t time_us, size_t subject,
               uint32_t detail);

/* Day of the world that a time lies in: 0 .. days - 1. */
int demo_day_of(const struct demo_world *world, int64_t time_us);

void demo_kol_make(const struct demo_world *world, int64_t number, struct arena *arena,
                   struct demo_kol *kol);
/* Fills given, second, category, username, nickname. */
void demo_name_make(const struct demo_world *world, struct arena *arena, struct demo_kol *kol);
/* Fills bio and later_bio. */
void demo_bio_make(const struct demo_world *world, struct arena *arena, struct demo_kol *kol);
/* A first name with a number, for those who comment. */
struct str demo_name_passer_by(struct arena *arena, struct demo_random *random,
                               enum demo_language language);

void demo_content_make(struct demo_life *life);
struct demo_counts demo_counts_at(const struct demo_video *video, int64_t time_us);
void demo_put_video(struct demo_life *life, const struct demo_moment *moment, struct event *event);
void demo_put_comment(struct demo_life *life, const struct demo_moment *moment,
                      struct event *event);

void demo_product_make(struct demo_life *life);
void demo_put_product(struct demo_life *life, const struct demo_moment *moment,
                      struct event *event);

void demo_history_make(struct demo_life *life);
void demo_put_profile(struct demo_life *life, const struct demo_moment *moment,
                      struct event *event);

/* Sets a field and says that it is known: DEMO_SET(event, profile, PROFILE, verified, true). */
#define DEMO_SET(event, body, BODY, field, ...)                                                    \
    do {                                                                                           \
        (event)->body.field = (__VA_ARGS__);                                                       \
        event_know((event), BODY##_FIELD_##field);                                                 \
    } while (0)

/* The same for a text, left unknown where there is none. */
#define DEMO_SET_TEXT(event, body, BODY, field, text)                                              \
    do {                                                                                           \
        if ((text).ptr) {                                                                          \
            DEMO_SET(event, body, BODY, field, text);                                              \
        }                                                                                          \
    } while (0)

#endif
