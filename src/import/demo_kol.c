/*
 * demo_kol.c: who the KOLs of the demo world are: platform, size, habits, what is known of them.
 *
 * Followers are lognormal with a Pareto tail, per platform. Bots have habits of their own in every
 * raw input of the trust score; a share of bots behaves like people, a few people behave like bots,
 * and all habits overlap, so that they can be told apart well and not perfectly.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "import/demo_parts.h"

#define DAY_US(days_since_1970) (INT64_C(days_since_1970) * CLOCK_US_PER_DAY)

const struct demo_platform demo_platforms[4] = {
    [PLATFORM_TIKTOK] = {.share = 0.40,
                         .vietnamese = 0.75,
                         .bots = 0.12,
                         .followers_median = 6000,
                         .followers_sigma = 1.9,
                         .tail_share = 0.09,
                         .tail_least = 50000,
                         .tail_alpha = 1.1,
                         .following_median = 180,
                         .following_sigma = 1.2,
                         .posts_per_day_median = 0.35,
                         .posts_per_day_sigma = 0.9,
                         .counts_as_text = 0.35,
                         .reach_factor = 5,
                         .reach_power = 0.75,
                         .like_median = 0.062,
                         .comment_median = 0.0016,
                         .share_median = 0.0030,
                         .content_factor = 1,
                         .views_half_life_hours = 20,
                         .launched_us = DAY_US(17045)},
    [PLATFORM_TWITTER] = {.share = 0.30,
                          .vietnamese = 0.15,
                          .bots = 0.30,
                          .followers_median = 1500,
                          .followers_sigma = 2.1,
                          .tail_share = 0.06,
                          .tail_least = 50000,
                          .tail_alpha = 1.1,
                          .following_median = 420,
                          .following_sigma = 1.0,
                          .posts_per_day_median = 1.3,
                          .posts_per_day_sigma = 1.2,
                          .counts_as_text = 0,
                          .reach_factor = 0.9,
                          .reach_power = 0.8,
                          .like_median = 0.018,
                          .comment_median = 0.0012,
                          .share_median = 0.0028,
                          .content_factor = 0.25,
                          .views_half_life_hours = 6,
                          .launched_us = DAY_US(13343)},
    [PLATFORM_YOUTUBE] = {.share = 0.15,
                          .vietnamese = 0.55,
                          .bots = 0.08,
                          .followers_median = 9000,
                          .followers_sigma = 2.0,
                          .tail_share = 0.11,
                          .tail_least = 50000,
                          .tail_alpha = 1.1,
                          .following_median = 40,
                          .following_sigma = 1.3,
                          .posts_per_day_median = 0.12,
                          .posts_per_day_sigma = 0.9,
                          .counts_as_text = 0.25,
                          .reach_factor = 1.2,
                          .reach_power = 0.85,
                          .like_median = 0.036,
                          .comment_median = 0.0026,
                          .share_median = 0,
                          .content_factor = 0.9,
                          .views_half_life_hours = 40,
                          .launched_us = DAY_US(12828)},
    [PLATFORM_INSTAGRAM] = {.share = 0.15,
                            .vietnamese = 0.55,
                            .bots = 0.15,
                            .followers_median = 7000,
                            .followers_sigma = 1.8,
                            .tail_share = 0.08,
                            .tail_least = 50000,
                            .tail_alpha = 1.1,
                            .following_median = 350,
                            .following_sigma = 1.0,
                            .posts_per_day_median = 0.3,
                            .posts_per_day_sigma = 0.9,
                            .counts_as_text = 0.40,
                            .reach_factor = 2.2,
                            .reach_power = 0.78,
                            .like_median = 0.055,
                            .comment_median = 0.0018,
                            .share_median = 0,
                            .content_factor = 0.8,
                            .views_half_life_hours = 14,
                            .launched_us = DAY_US(14888)},
};

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static enum platform pick_platform(struct demo_random *random)
{
    double u = demo_unit(random);
    for (int i = 0; i < 3; i++) {
        u -= demo_platforms[i].share;
        if (u < 0) {
            return (enum platform)i;
        }
    }
    return PLATFORM_INSTAGRAM;
}

static double people_followers(const struct demo_world *world, const struct demo_kol *kol,
                               struct demo_random *random)
{
    const struct demo_platform *platform = &demo_platforms[kol->platform];
    /* The few TikTok KOLs of the reference world are chosen ones. */
    double median = platform->followers_median *
                    (world->reference && kol->platform == PLATFORM_TIKTOK ? 20 : 1);
    double body = demo_lognormal(random, median, platform->followers_sigma);
    double tail = demo_pareto(random, platform->tail_least, platform->tail_alpha);
    return floor(fmin(demo_chance(random, platform->tail_share) ? tail : body, 1.5e8));
}

static void make_audience(const struct demo_world *world, struct demo_kol *kol,
                          struct demo_random *random)
{
    const struct demo_platform *platform = &demo_platforms[kol->platform];
    double people = people_followers(world, kol, random);
    double few = floor(demo_lognormal(random, platform->followers_median * 0.10, 1.6));
    bool bought = demo_chance(random, 0.14);
    kol->followers = kol->bot_habits && !bought ? few : people;
    double median = platform->following_median, sigma = platform->following_sigma;
    double following = kol->bot_habits ? demo_lognormal(random, median * 3.5, sigma)
                                       : demo_lognormal(random, median, sigma);
    kol->following = floor(fmin(following, kol->platform == PLATFORM_TWITTER ? 50000 : 9800));
}

static void make_age(const struct demo_world *world, struct demo_kol *kol,
                     struct demo_random *random)
{
    double days =
        kol->bot_habits ? demo_lognormal(random, 480, 1.0) : demo_lognormal(random, 2300, 0.6);
    int64_t age_s = (int64_t)(clamp(days, 4, 5400) * 86400);
    int64_t created = world->start_us - age_s * CLOCK_US_PER_SECOND;
    int64_t launched = demo_platforms[kol->platform].launched_us;
    if (created < launched) {
        /* The first days of a platform are crowded: spread over its first two years. */
        created = launched + (launched - created) % (730 * CLOCK_US_PER_DAY);
    }
    int64_t latest = world->start_us - 4 * CLOCK_US_PER_DAY;
    created = created < latest ? created : latest;
    kol->created_us = created - created % CLOCK_US_PER_SECOND;
}

static void make_activity(const struct demo_world *world, struct demo_kol *kol,
                          struct demo_random *random)
{
    const struct demo_platform *platform = &demo_platforms[kol->platform];
    double ppd =
        demo_lognormal(random, platform->posts_per_day_median, platform->posts_per_day_sigma);
    double zeal = demo_lognormal(random, 6.0, 0.8); /* what a bot does more */
    kol->posts_per_day = fmin(kol->bot_habits ? ppd * zeal : ppd, 400);
    double age_days = (double)(world->start_us - kol->created_us) / (double)CLOCK_US_PER_DAY;
    kol->posts = floor(kol->posts_per_day * age_days);
    double given = demo_lognormal(random, kol->bot_habits ? 0.16 : 1.2, 1.4);
    double received = kol->followers * demo_lognormal(random, 14, 0.9);
    kol->favorites = floor(kol->platform == PLATFORM_TIKTOK ? received : kol->posts * given);
    kol->favorites_per_day =
        kol->platform == PLATFORM_TIKTOK ? received * 0.0015 : kol->posts_per_day * given;
}

/* The larger the audience, the smaller the share of it that reacts. */
static void make_engagement(struct demo_kol *kol, struct demo_random *random)
{
    const struct demo_platform *platform = &demo_platforms[kol->platform];
    double size = demo_pow(fmax(kol->followers, 100) / 10000, -0.06);
    double fake = kol->bot_habits ? 0.25 : 1;
    kol->like_ratio =
        fmin(platform->like_median * size * fake * demo_lognormal(random, 1, 0.5), 0.4);
    kol->comment_ratio =
        fmin(platform->comment_median * size * fake * demo_lognormal(random, 1, 0.7), 0.08);
    kol->share_ratio =
        fmin(platform->share_median * size * fake * demo_lognormal(random, 1, 0.8), 0.15);
}

static void make_changes(const struct demo_world *world, struct demo_kol *kol,
                         struct demo_random *random)
{
    kol->growth = clamp((kol->bot_habits ? -0.01 : 0.025) + 0.045 * demo_normal(random), -0.2, 0.4);
    bool buys = demo_chance(random, kol->bot_habits ? 0.10 : 0.02);
    int day = (int)demo_below(random, (uint64_t)world->days);
    kol->jump_day = buys ? day : -1;
    kol->jump_share = demo_between(random, 0.15, 0.6);

    /* Decades above 1,000 followers. */
    double known = demo_log(fmax(kol->followers, 1000) / 1000) / 2.302585092994046;
    double chance = kol->bot_habits ? 0.003 : clamp(0.01 + 0.06 * known * known, 0.005, 0.85);
    bool verified = demo_chance(random, chance), soon = demo_chance(random, 0.008);
    int verified_day = (int)demo_below(random, (uint64_t)world->days);
    kol->verified_day = verified ? 0 : soon && !kol->bot ? verified_day : -1;

    bool rewrites = demo_chance(random, 0.03);
    int bio_day = (int)demo_below(random, (uint64_t)world->days);
    kol->later_bio_day = rewrites ? bio_day : -1;
}

/* Links, pictures, language and place, and which of it a crawler gets to know. */
static void make_profile(const struct demo_world *world, struct arena *arena, struct demo_kol *kol,
                         struct demo_random *random)
{
    static const char *const places[2][8] = {
        {"Hà Nội", "TP. Hồ Chí Minh", "Đà Nẵng", "Cần Thơ", "Hải Phòng", "Việt Nam 🇻🇳", "Sài Gòn",
         "Huế"},
        {"London", "New York, NY", "Los Angeles", "Singapore", "Sydney", "Toronto 🇨🇦",
         "somewhere on Earth 🌍", "Manila"},
    };
    bool twitter = kol->platform == PLATFORM_TWITTER;
    kol->default_image = demo_chance(random, kol->bot_habits ? 0.16 : 0.015);
    kol->default_profile = demo_chance(random, kol->bot_habits ? 0.62 : 0.33);
    kol->has_url = demo_chance(random, kol->bot_habits ? 0.20 : 0.42);
    bool place_known = demo_chance(random, 0.55), lang_known = demo_chance(random, 0.85);
    const char *place = places[kol->language][demo_below(random, 8)];
    kol->location = place_known ? str_of(place) : (struct str){NULL, 0};
    kol->lang = lang_known ? str_of(kol->language == DEMO_VI ? "vi" : "en") : (struct str){NULL, 0};
    kol->category_known = demo_chance(random, 0.75);
    kol->counts_as_text = demo_chance(random, demo_platforms[kol->platform].counts_as_text);
    double created_known[] = {[PLATFORM_TIKTOK] = 0,
                              [PLATFORM_TWITTER] = 1,
                              [PLATFORM_YOUTUBE] = 0.9,
                              [PLATFORM_INSTAGRAM] = 0.2};
    kol->created_known = demo_chance(random, created_known[kol->platform]);
    kol->age_given = demo_chance(random, 0.15);
    bool labelled = demo_chance(random, world->label_share), wrong = demo_chance(random, 0.01);
    kol->label = !twitter || !labelled ? -1 : kol->bot != wrong ? LABEL_BOT : LABEL_HUMAN;
    kol->crawl_offset_s = 60 + (int)demo_below(random, UINT64_C(22) * 3600);
    kol->avatar_url = (struct str){NULL, 0};
    if (!kol->default_image) {
        kol->avatar_url = demo_text(arena, "https://img.example.com/%s/%.*s.jpg",
                                    platform_name(kol->platform), STR_FORMAT(kol->user_id));
    }
}

static void make_ids(const struct demo_world *world, struct arena *arena, struct demo_kol *kol)
{
    const uint32_t item = 0xfffff; /* behind all videos and products */
    switch (kol->platform) {
    case PLATFORM_YOUTUBE: {
        struct str head = demo_letters_id(arena, world, kol->number, item, "UC");
        struct str tail = demo_letters_id(arena, world, kol->number, item - 1, "");
        kol->user_id = demo_text(arena, "%s%s", head.ptr, tail.ptr);
        kol->profile_url =
            demo_text(arena, "https://youtube.example.com/channel/%s", kol->user_id.ptr);
        return;
    }
    case PLATFORM_TIKTOK:
        kol->user_id = demo_digits_id(arena, world, kol->number, item, "6");
        kol->profile_url = demo_text(arena, "https://tiktok.example.com/@%s", kol->username.ptr);
        return;
    case PLATFORM_TWITTER:
        kol->user_id = demo_digits_id(arena, world, kol->number, item, "1");
        kol->profile_url = demo_text(arena, "https://twitter.example.com/%s", kol->username.ptr);
        return;
    case PLATFORM_INSTAGRAM:
        kol->user_id = demo_digits_id(arena, world, kol->number, item, "");
        kol->profile_url = demo_text(arena, "https://instagram.example.com/%s", kol->username.ptr);
        return;
    }
}

static const struct demo_segment *segment_of(const struct demo_world *world, int64_t number)
{
    int i = world->segment_count - 1;
    while (number < world->segments[i].first) {
        i--;
    }
    return &world->segments[i];
}

void demo_kol_make(const struct demo_world *world, int64_t number, struct arena *arena,
                   struct demo_kol *kol)
{
    struct demo_random random;
    demo_random_init(&random, world->seed, (uint64_t)number, DEMO_IDENTITY);
    memset(kol, 0, sizeof *kol);
    kol->number = number;
    kol->segment = segment_of(world, number);
    enum platform drawn = pick_platform(&random);
    kol->platform = kol->segment->platform < 0 ? drawn : (enum platform)kol->segment->platform;
    const struct demo_platform *platform = &demo_platforms[kol->platform];
    kol->language = demo_chance(&random, platform->vietnamese) ? DEMO_VI : DEMO_EN;
    kol->bot = demo_chance(&random, platform->bots);
    bool odd = demo_chance(&random, kol->bot ? 0.05 : 0.012);
    kol->bot_habits = kol->bot != odd;
    demo_name_make(world, arena, kol);
    demo_bio_make(world, arena, kol);
    make_ids(world, arena, kol);
    make_audience(world, kol, &random);
    make_age(world, kol, &random);
    make_activity(world, kol, &random);
    make_engagement(kol, &random);
    make_changes(world, kol, &random);
    make_profile(world, arena, kol, &random);
}
