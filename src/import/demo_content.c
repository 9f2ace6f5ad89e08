/*
 * demo_content.c: contents of the demo world, how their counts grow, who sees them and comments.
 *
 * Views follow a saturating curve; some contents go viral later, which adds a logistic jump and
 * brings followers in the days behind it. Likes, comments and shares are fixed shares of the views
 * of each content, so all four only ever grow.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "import/demo_parts.h"

#define HOUR_US CLOCK_US_PER_HOUR
#define SECOND_US CLOCK_US_PER_SECOND

static const struct {
    enum demo_language language;
    const char *text;
} comments[] = {
#define COMMENT(language, text) {DEMO_##language, text},
#include "import/demo_comments.def"
#undef COMMENT
};

enum { CONTENTS_PER_KOL_MAX = 1 << 18, WATCH_MINUTES = 120, WATCH_STEP_MINUTES = 5 };

/* Share of a segment's contents that its first `kols` KOLs have: one each, and the rest by a power
 * law, so that the sum is exact and nobody has to be asked what others got. */
static int64_t contents_before(const struct demo_segment *segment, int64_t kols)
{
    int64_t rest = segment->contents - segment->kols;
    if (kols == 0 || kols == segment->kols) {
        return kols == 0 ? 0 : segment->contents;
    }
    double part = demo_pow((double)kols / (double)segment->kols, 0.6);
    return kols + (int64_t)floor((double)rest * part);
}

/* Contents that are observed of an audience of this size in 30 days, as a median. */
static double usual_contents(double followers)
{
    return followers < 1e3   ? 0.7
           : followers < 1e4 ? 1.1
           : followers < 1e5 ? 2.0
           : followers < 5e5 ? 4.0
           : followers < 1e6 ? 7.0
                             : 11.0;
}

static size_t content_count(const struct demo_life *life, struct demo_random *random)
{
    const struct demo_kol *kol = &life->kol;
    const struct demo_segment *segment = kol->segment;
    if (segment->contents == 0) {
        return 0;
    }
    if (segment->contents > 0) {
        int64_t rank = kol->number - segment->first;
        return (size_t)(contents_before(segment, rank + 1) - contents_before(segment, rank));
    }
    double month = (double)life->world->days / 30;
    double count = demo_lognormal(random, usual_contents(kol->followers), 0.8) *
                   demo_platforms[kol->platform].content_factor * fmax(month, 0.2);
    /* Rounded by chance, so that small numbers keep their mean. */
    return (size_t)fmin(floor(count + demo_unit(random)), CONTENTS_PER_KOL_MAX);
}

struct demo_counts demo_counts_at(const struct demo_video *video, int64_t time_us)
{
    double age = fmax((double)(time_us - video->posted_us) / (double)HOUR_US, 0);
    double views = video->lasting * (1 - demo_exp(-fmin(age / video->tau_hours, 600)));
    if (video->jump > 0) {
        double since = (double)(time_us - video->jump_us) / (double)HOUR_US;
        double bend = -since / video->jump_width_hours;
        views += video->jump / (1 + demo_exp(fmin(fmax(bend, -600), 600)));
    }
    views = floor(views);
    return (struct demo_counts){(int64_t)views, (int64_t)(views * video->like_ratio),
                                (int64_t)(views * video->comment_ratio),
                                (int64_t)(views * video->share_ratio)};
}

/* Caption or title, with two to five hashtags of the category, which are its tags too. */
static void make_texts(struct demo_life *life, struct demo_video *video, size_t index,
                       struct demo_random *random)
{
    const struct demo_kol *kol = &life->kol;
    const struct demo_category_words *words = &demo_categories[kol->category];
    const char *text = words->captions[kol->language][demo_below(random, 3)];
    size_t count = 2 + demo_below(random, 4), first = demo_below(random, DEMO_TAGS);
    video->tags.items = arena_alloc(&life->arena, count * sizeof *video->tags.items);
    video->tags.count = count;
    char tags[256];
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        struct str tag = words_at(words->tags, (int)((first + i) % DEMO_TAGS));
        video->tags.items[i] = tag;
        KOL_ASSERT(len + tag.len + 2 < sizeof tags);
        tags[len++] = ' ';
        tags[len++] = '#';
        memcpy(tags + len, tag.ptr, tag.len);
        len += tag.len;
    }
    tags[len] = 0;
    if (kol->platform == PLATFORM_YOUTUBE) {
        video->title = demo_text(&life->arena, "%s | %s #%d", text,
                                 kol->language == DEMO_VI ? "Tập" : "Ep", (int)index + 1);
        video->caption = (struct str){NULL, 0};
    } else {
        video->caption = demo_text(&life->arena, "%s%s", text, tags);
        video->title = (struct str){NULL, 0};
    }
}

static void make_address(struct demo_life *life, struct demo_video *video, size_t index,
                         struct demo_random *random)
{
    const struct demo_kol *kol = &life->kol;
    struct arena *arena = &life->arena;
    uint32_t item = (uint32_t)index;
    bool short_form = demo_chance(random, 0.3);
    const char *base = kol->profile_url.ptr;
    switch (kol->platform) {
    case PLATFORM_TIKTOK:
        video->id = demo_digits_id(arena, life->world, kol->number, item, "7");
        video->url = demo_text(arena, "%s/video/%s", base, video->id.ptr);
        video->type = "video";
        return;
    case PLATFORM_TWITTER:
        video->id = demo_digits_id(arena, life->world, kol->number, item, "1");
        video->url = demo_text(arena, "%s/status/%s", base, video->id.ptr);
        video->type = short_form ? "video" : "post";
        return;
    case PLATFORM_YOUTUBE:
        video->id = demo_letters_id(arena, life->world, kol->number, item, "");
        video->url = demo_text(arena, "https://youtube.example.com/watch?v=%s", video->id.ptr);
        video->type = short_form ? "short" : "video";
        return;
    case PLATFORM_INSTAGRAM:
        video->id = demo_letters_id(arena, life->world, kol->number, item, "C");
        video->url = demo_text(arena, "https://instagram.example.com/p/%s/", video->id.ptr);
        video->type = short_form ? "image" : "video";
        return;
    }
}

static void make_jump(struct demo_life *life, struct demo_video *video, struct demo_random *random)
{
    bool viral = demo_chance(random, life->kol.bot_habits ? 0.01 : 0.08);
    double times = demo_pareto(random, 2, 1.2);
    double after_hours = demo_lognormal(random, 30, 0.9);
    video->jump_width_hours = demo_between(random, 1.5, 8);
    if (viral) {
        video->jump = fmin(video->lasting * fmin(times, 60), 2e8);
        video->jump_us = video->posted_us + (int64_t)(after_hours * 3600) * SECOND_US;
    }
}

static void make_video(struct demo_life *life, struct demo_video *video, size_t index, bool watched)
{
    const struct demo_world *world = life->world;
    const struct demo_kol *kol = &life->kol;
    const struct demo_platform *platform = &demo_platforms[kol->platform];
    struct demo_random random;
    demo_random_init(&random, world->seed, (uint64_t)kol->number, DEMO_VIDEO + index);
    memset(video, 0, sizeof *video);
    double hours = 24.0 * world->days;
    double before_end = watched ? demo_between(&random, 4, 20)
                                : demo_between(&random, 2, fmin(hours + 15 * 24, hours * 2));
    video->posted_us = world->end_us - (int64_t)(before_end * 3600) * SECOND_US;
    make_texts(life, video, index, &random);
    make_address(life, video, index, &random);
    bool lasts = kol->platform != PLATFORM_TWITTER && strcmp(video->type, "image") != 0;
    double duration = demo_lognormal(&random, kol->platform == PLATFORM_YOUTUBE ? 540 : 38, 0.8);
    video->duration_s = lasts ? 5 + (int64_t)duration : 0;
    double reach =
        platform->reach_factor * demo_pow(fmax(kol->followers, 10), platform->reach_power);
    video->lasting = fmin(20 + reach * demo_lognormal(&random, 1, 1.0), 3e8);
    video->tau_hours = platform->views_half_life_hours * 1.4427 * demo_lognormal(&random, 1, 0.5);
    make_jump(life, video, &random);
    video->like_ratio = fmin(kol->like_ratio * demo_lognormal(&random, 1, 0.25), 0.5);
    video->comment_ratio = fmin(kol->comment_ratio * demo_lognormal(&random, 1, 0.3), 0.1);
    video->share_ratio = fmin(kol->share_ratio * demo_lognormal(&random, 1, 0.3), 0.2);
    if (watched && demo_chance(&random, 0.6)) {
        /* On its way up while it is being watched. */
        video->jump = fmax(video->jump, video->lasting * demo_between(&random, 2, 12));
        video->jump_us =
            world->end_us - (int64_t)demo_below(&random, UINT64_C(60) * WATCH_MINUTES) * SECOND_US;
        video->jump_width_hours = demo_between(&random, 0.2, 1);
    }
}

/* Looks at a content as crawlers do: often while it is young, the more often the larger the KOL. */
static void plan_views(struct demo_life *life, size_t index, struct demo_random *random)
{
    static const double ages[] = {2, 6, 12, 24, 48, 96, 168, 336, 500}; /* hours */
    const struct demo_world *world = life->world;
    struct demo_video *video = &life->videos[index];
    double chance = life->kol.followers < 1e4 ? 0.20 : life->kol.followers < 1e5 ? 0.35 : 0.8;
    size_t before = life->moment_count;
    for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
        double hours = ages[i] * demo_between(random, 0.8, 1.2);
        if (demo_chance(random, chance)) {
            int64_t after = (int64_t)(hours * 3600) * SECOND_US;
            demo_plan(life, DEMO_SEEN_VIDEO, video->posted_us + after, index, 0);
        }
    }
    if (life->moment_count == before) {
        int64_t from = video->posted_us > world->start_us ? video->posted_us : world->start_us;
        uint64_t seconds = (uint64_t)((world->end_us - from) / SECOND_US);
        int64_t after = (int64_t)demo_below(random, seconds) * SECOND_US;
        demo_plan(life, DEMO_SEEN_VIDEO, from + after, index, 0);
    }
}

/* A few contents are looked at every five minutes in the last two hours: what trends right now. */
static void plan_watch(struct demo_life *life, size_t index, struct demo_random *random)
{
    int64_t shift = (int64_t)demo_below(random, 60) * SECOND_US;
    for (int minutes = WATCH_MINUTES; minutes > 0; minutes -= WATCH_STEP_MINUTES) {
        int64_t before = (int64_t)minutes * 60 * SECOND_US;
        demo_plan(life, DEMO_SEEN_VIDEO, life->world->end_us - before + shift, index, 0);
    }
}

static void plan_comments(struct demo_life *life, size_t index, struct demo_random *random)
{
    const struct demo_world *world = life->world;
    const struct demo_video *video = &life->videos[index];
    bool some = demo_chance(random, life->kol.followers < 1e4 ? 0.08 : 0.25);
    size_t count = some ? 1 + demo_below(random, 3) : 0;
    for (size_t i = 0; i < count; i++) {
        double hours = demo_lognormal(random, 8, 1.2);
        int64_t time_us = video->posted_us + (int64_t)(hours * 3600) * SECOND_US;
        uint32_t chance = (uint32_t)demo_bits(random);
        /* What was said before the world began is read on its first day. */
        if (time_us < world->start_us) {
            time_us = world->start_us + (int64_t)demo_below(random, 86400) * SECOND_US;
        }
        demo_plan(life, DEMO_SEEN_COMMENT, time_us, index, chance);
    }
}

void demo_content_make(struct demo_life *life)
{
    struct demo_random random;
    const struct demo_kol *kol = &life->kol;
    demo_random_init(&random, life->world->seed, (uint64_t)kol->number, DEMO_CONTENT);
    size_t count = content_count(life, &random);
    if (count > life->video_cap) {
        life->video_cap = count * 2;
        life->videos = mem_realloc(life->videos, life->video_cap * sizeof *life->videos);
    }
    life->video_count = count;
    double followers = kol->followers;
    bool watched = demo_chance(&random, followers < 1e4 ? 0 : followers < 1e5 ? 0.01 : 0.10);
    for (size_t i = 0; i < count; i++) {
        bool watch = watched && i == 0;
        make_video(life, &life->videos[i], i, watch);
        size_t before = life->moment_count;
        plan_views(life, i, &random);
        if (watch) {
            plan_watch(life, i, &random);
        }
        int64_t first = INT64_MAX;
        for (size_t m = before; m < life->moment_count; m++) {
            first = life->moments[m].time_us < first ? life->moments[m].time_us : first;
        }
        life->videos[i].first_seen_us = first;
        plan_comments(life, i, &random);
    }
}

static void put_numbers(struct demo_life *life, const struct demo_video *video,
                        struct demo_counts counts, struct event *event)
{
    DEMO_SET(event, video, VIDEO, like_count, counts.likes);
    DEMO_SET(event, video, VIDEO, comment_count, counts.comments);
    if (strcmp(video->type, "image") != 0) { /* nobody counts who sees a picture */
        DEMO_SET(event, video, VIDEO, view_count, counts.views);
    }
    if (demo_platforms[life->kol.platform].share_median > 0) {
        DEMO_SET(event, video, VIDEO, share_count, counts.shares);
    }
}

static void put_count_texts(struct demo_life *life, const struct demo_video *video,
                            struct demo_counts counts, struct event *event)
{
    struct arena *arena = &life->arena;
    const struct demo_kol *kol = &life->kol;
    struct str likes = demo_count_text(arena, kol, counts.likes);
    struct str replies = demo_count_text(arena, kol, counts.comments);
    DEMO_SET(event, video, VIDEO, like_count_raw, likes);
    DEMO_SET(event, video, VIDEO, comment_count_raw, replies);
    if (strcmp(video->type, "image") != 0) {
        struct str views = demo_count_text(arena, kol, counts.views);
        DEMO_SET(event, video, VIDEO, view_count_raw, views);
    }
    if (demo_platforms[kol->platform].share_median > 0) {
        struct str shares = demo_count_text(arena, kol, counts.shares);
        DEMO_SET(event, video, VIDEO, share_count_raw, shares);
    }
}

void demo_put_video(struct demo_life *life, const struct demo_moment *moment, struct event *event)
{
    const struct demo_video *video = &life->videos[moment->subject];
    struct demo_counts counts = demo_counts_at(video, moment->time_us);
    event->type = EVENT_VIDEO;
    DEMO_SET(event, video, VIDEO, video_id, video->id);
    DEMO_SET(event, video, VIDEO, posted_at, video->posted_us);
    if (moment->time_us == video->first_seen_us) {
        DEMO_SET(event, video, VIDEO, video_url, video->url);
        DEMO_SET_TEXT(event, video, VIDEO, title, video->title);
        DEMO_SET_TEXT(event, video, VIDEO, caption, video->caption);
        DEMO_SET(event, video, VIDEO, content_type, str_of(video->type));
        DEMO_SET(event, video, VIDEO, tags, video->tags);
        if (video->duration_s > 0) {
            DEMO_SET(event, video, VIDEO, duration_seconds, video->duration_s);
        }
    }
    if (life->kol.counts_as_text) {
        put_count_texts(life, video, counts, event);
    } else {
        put_numbers(life, video, counts, event);
    }
}

void demo_put_comment(struct demo_life *life, const struct demo_moment *moment, struct event *event)
{
    const struct demo_video *video = &life->videos[moment->subject];
    struct demo_random random;
    demo_random_init(&random, life->world->seed, moment->detail, DEMO_SEEN_COMMENT);
    size_t row;
    do {
        row = demo_below(&random, ARRAY_LEN(comments));
    } while (comments[row].language != life->kol.language);
    struct str commenter = demo_name_passer_by(&life->arena, &random, life->kol.language);
    event->type = EVENT_COMMENT;
    DEMO_SET(event, comment, COMMENT, video_id, video->id);
    DEMO_SET(event, comment, COMMENT, comment_text, str_of(comments[row].text));
    if (demo_chance(&random, 0.9)) {
        DEMO_SET(event, comment, COMMENT, commenter, commenter);
    }
}
