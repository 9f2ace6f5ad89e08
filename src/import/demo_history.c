/*
 * demo_history.c: how the counts of a KOL move from day to day, and when somebody looks.
 *
 * Followers grow by a trend of their own with noise, jump where they are bought (and partly leave
 * again), and come in bursts behind contents that went viral. Large KOLs are looked at every day,
 * small ones once or twice a month, so that the history costs what it is worth.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "import/demo_parts.h"

#define SECOND_US CLOCK_US_PER_SECOND

/* Of those who saw a content because it went viral, and how the new followers come in. */
static const double follow_per_view = 0.03;
static const double burst_days[] = {0.5, 0.3, 0.15, 0.05};
enum { BURST_DAYS = 4, FULL_EVERY_DAYS = 7, SPARSE_EVERY_DAYS = 6 };

int demo_day_of(const struct demo_world *world, int64_t time_us)
{
    int64_t day = (time_us - world->start_us) / CLOCK_US_PER_DAY;
    return day < 0 ? 0 : day >= world->days ? world->days - 1 : (int)day;
}

static void collect_bursts(struct demo_life *life)
{
    const struct demo_world *world = life->world;
    for (size_t i = 0; i < life->video_count; i++) {
        const struct demo_video *video = &life->videos[i];
        if (video->jump <= 0 || video->jump_us < world->start_us ||
            video->jump_us >= world->end_us) {
            continue;
        }
        int day = demo_day_of(world, video->jump_us);
        double total = fmin(video->jump * follow_per_view, life->kol.followers * 0.35);
        for (int k = 0; k < BURST_DAYS && day + k < world->days; k++) {
            life->gained[day + k] += total * burst_days[k];
        }
    }
}

static void move_counts(struct demo_life *life, struct demo_random *random)
{
    const struct demo_kol *kol = &life->kol;
    double followers = kol->followers, favorites = kol->favorites;
    double daily = kol->growth / 30, bought = 0;
    for (int day = 0; day < life->world->days; day++) {
        life->followers[day] = followers;
        life->favorites[day] = favorites;
        double change = followers * (daily + 0.0012 * demo_normal(random)) + life->gained[day];
        if (day == kol->jump_day) {
            bought = followers * kol->jump_share;
            change += bought;
        } else if (bought > 0) {
            change -= bought * 0.03; /* the platform removes some each day */
            bought *= 0.97;
        }
        followers = fmin(fmax(followers + change, 0), 5e8);
        favorites += kol->favorites_per_day * demo_between(random, 0.5, 1.5);
    }
    life->followers[life->world->days] = followers;
    life->favorites[life->world->days] = favorites;
}

/* When the KOL is looked at on a day: a fixed hour of its own, some minutes earlier or later. */
static int64_t look_us(const struct demo_life *life, int day, struct demo_random *random)
{
    int64_t shift = (int64_t)demo_below(random, 3600);
    int64_t end_of_day = life->world->start_us + (int64_t)(day + 1) * CLOCK_US_PER_DAY;
    return end_of_day - (life->kol.crawl_offset_s + shift) * SECOND_US;
}

static void plan_looks(struct demo_life *life, struct demo_random *random)
{
    const struct demo_kol *kol = &life->kol;
    int days = life->world->days;
    bool panel = demo_chance(random, 0.02), twice = demo_chance(random, 0.25);
    if (kol->followers >= 1e5 || panel) {
        for (int day = 0; day < days; day++) {
            bool full =
                day % FULL_EVERY_DAYS == 0 || day == kol->verified_day || day == kol->later_bio_day;
            demo_plan(life, DEMO_SEEN_PROFILE, look_us(life, day, random), 0, full);
        }
        return;
    }
    if (kol->followers >= 1e4) {
        int day = (int)demo_below(random, SPARSE_EVERY_DAYS);
        uint32_t full = 1;
        for (; day < days; day += SPARSE_EVERY_DAYS) {
            demo_plan(life, DEMO_SEEN_PROFILE, look_us(life, day, random), 0, full);
            full = 0;
        }
        if (!full) {
            return;
        }
    }
    int last = days < 10 ? days : 10; /* small ones: once in the last ten days */
    int day = days - 1 - (int)demo_below(random, (uint64_t)last);
    demo_plan(life, DEMO_SEEN_PROFILE, look_us(life, day, random), 0, 1);
    if (twice && day > 0) {
        int earlier = (int)demo_below(random, (uint64_t)day);
        demo_plan(life, DEMO_SEEN_PROFILE, look_us(life, earlier, random), 0, 1);
    }
}

void demo_history_make(struct demo_life *life)
{
    struct demo_random random;
    if (!life->kol.segment->profiles) {
        return;
    }
    demo_random_init(&random, life->world->seed, (uint64_t)life->kol.number, DEMO_HISTORY);
    plan_looks(life, &random);
    memset(life->gained, 0, (size_t)life->world->days * sizeof *life->gained);
    collect_bursts(life);
    move_counts(life, &random);
}

/* The value between two starts of days. */
static double between_days(const struct demo_life *life, const double *values, int64_t time_us)
{
    int day = demo_day_of(life->world, time_us);
    int64_t start = life->world->start_us + day * CLOCK_US_PER_DAY;
    double part = (double)(time_us - start) / (double)CLOCK_US_PER_DAY;
    return values[day] + (values[day + 1] - values[day]) * part;
}

static void put_counts(struct demo_life *life, int64_t time_us, struct event *event)
{
    const struct demo_kol *kol = &life->kol;
    struct arena *arena = &life->arena;
    double days = (double)(time_us - life->world->start_us) / (double)CLOCK_US_PER_DAY;
    int64_t followers = (int64_t)between_days(life, life->followers, time_us);
    int64_t following = (int64_t)(kol->following * (1 + 0.0004 * days));
    int64_t posts = (int64_t)(kol->posts + kol->posts_per_day * days);
    int64_t favorites = (int64_t)between_days(life, life->favorites, time_us);
    bool likes = kol->platform == PLATFORM_TIKTOK || kol->platform == PLATFORM_TWITTER;
    bool follows = kol->platform != PLATFORM_YOUTUBE; /* a channel does not show whom */
    if (kol->counts_as_text) {
        struct str text = demo_count_text(arena, kol, followers);
        DEMO_SET(event, profile, PROFILE, followers_raw, text);
        if (follows) {
            text = demo_count_text(arena, kol, following);
            DEMO_SET(event, profile, PROFILE, following_raw, text);
        }
        if (likes) {
            text = demo_count_text(arena, kol, favorites);
            DEMO_SET(event, profile, PROFILE, likes_raw, text);
        }
    } else {
        DEMO_SET(event, profile, PROFILE, followers_count, followers);
        if (follows) {
            DEMO_SET(event, profile, PROFILE, following_count, following);
        }
        if (likes) {
            DEMO_SET(event, profile, PROFILE, favorites_count, favorites);
        }
    }
    DEMO_SET(event, profile, PROFILE, post_count, posts);
}

/* What the API of Twitter says besides; pages of other platforms do not. */
static void put_twitter(const struct demo_life *life, struct str bio, struct event *event)
{
    const struct demo_kol *kol = &life->kol;
    DEMO_SET(event, profile, PROFILE, default_profile, kol->default_profile);
    DEMO_SET(event, profile, PROFILE, default_profile_image, kol->default_image);
    DEMO_SET(event, profile, PROFILE, has_url, kol->has_url);
    DEMO_SET(event, profile, PROFILE, has_profile_image, !kol->default_image);
    if (bio.ptr) {
        DEMO_SET(event, profile, PROFILE, has_bio, bio.len > 0);
        DEMO_SET(event, profile, PROFILE, bio_length, (int64_t)text_length(bio));
    }
    if (kol->label >= 0) {
        DEMO_SET(event, profile, PROFILE, label, kol->label);
    }
}

static void put_all(struct demo_life *life, const struct demo_moment *moment, struct event *event)
{
    const struct demo_kol *kol = &life->kol;
    int day = demo_day_of(life->world, moment->time_us);
    bool rewritten = kol->later_bio_day >= 0 && day >= kol->later_bio_day;
    struct str bio = rewritten ? kol->later_bio : kol->bio;
    event->user_id = kol->user_id;
    event_know(event, COMMON_FIELD_user_id);
    DEMO_SET_TEXT(event, profile, PROFILE, nickname, kol->nickname);
    DEMO_SET_TEXT(event, profile, PROFILE, bio, bio);
    DEMO_SET_TEXT(event, profile, PROFILE, avatar_url, kol->avatar_url);
    DEMO_SET_TEXT(event, profile, PROFILE, profile_url, kol->profile_url);
    DEMO_SET_TEXT(event, profile, PROFILE, location, kol->location);
    DEMO_SET_TEXT(event, profile, PROFILE, lang, kol->lang);
    DEMO_SET(event, profile, PROFILE, verified, kol->verified_day >= 0 && day >= kol->verified_day);
    if (kol->category_known) {
        struct str category = str_of(demo_categories[kol->category].text);
        DEMO_SET(event, profile, PROFILE, category, category);
    }
    if (kol->created_known && kol->age_given) {
        int64_t age = (moment->time_us - kol->created_us) / CLOCK_US_PER_DAY;
        DEMO_SET(event, profile, PROFILE, account_age_days, age);
    } else if (kol->created_known) {
        DEMO_SET(event, profile, PROFILE, account_created_at, kol->created_us);
    }
    if (kol->platform == PLATFORM_TWITTER) {
        put_twitter(life, bio, event);
    }
}

void demo_put_profile(struct demo_life *life, const struct demo_moment *moment, struct event *event)
{
    event->type = EVENT_PROFILE;
    if (moment->detail) {
        put_all(life, moment, event);
    }
    put_counts(life, moment->time_us, event);
}
