/*
 * demo.c: drives the demo world: KOL after KOL, moments in order of time, events out.
 */
#include "import/demo.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "domain/decode.h"
#include "import/demo_parts.h"

void demo_plan(struct demo_life *life, enum demo_kind kind, int64_t time_us, size_t subject,
               uint32_t detail)
{
    if (time_us < life->world->start_us || time_us >= life->world->end_us) {
        return;
    }
    if (life->moment_count == life->moment_cap) {
        life->moment_cap = life->moment_cap ? life->moment_cap * 2 : 256;
        life->moments = mem_realloc(life->moments, life->moment_cap * sizeof *life->moments);
    }
    uint32_t order = (uint32_t)life->moment_count;
    life->moments[life->moment_count++] =
        (struct demo_moment){time_us, kind, (uint32_t)subject, detail, order};
}

static int compare_moments(const void *left, const void *right)
{
    const struct demo_moment *a = left, *b = right;
    if (a->time_us != b->time_us) {
        return a->time_us < b->time_us ? -1 : 1;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->subject != b->subject) {
        return a->subject < b->subject ? -1 : 1;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Sorts the moments; of two looks at one thing in the same second the first is kept, because they
 * would make the same event. */
static void sort_moments(struct demo_life *life)
{
    size_t kept = 0;
    qsort(life->moments, life->moment_count, sizeof *life->moments, compare_moments);
    for (size_t i = 0; i < life->moment_count; i++) {
        const struct demo_moment *last = kept ? &life->moments[kept - 1] : NULL;
        struct demo_moment moment = life->moments[i];
        if (last && last->time_us == moment.time_us && last->kind == moment.kind &&
            last->subject == moment.subject && moment.kind != DEMO_SEEN_COMMENT) {
            continue;
        }
        life->moments[kept++] = moment;
    }
    life->moment_count = kept;
}

/* Some KOLs were found by a search before anything else was seen of them; some are asked for again.
 */
static void plan_discovery(struct demo_life *life)
{
    const struct demo_world *world = life->world;
    struct demo_random random;
    demo_random_init(&random, world->seed, (uint64_t)life->kol.number, DEMO_DISCOVERY);
    bool found = demo_chance(&random, 0.25), again = demo_chance(&random, 0.04);
    int64_t first = world->end_us;
    for (size_t i = 0; i < life->moment_count; i++) {
        first = life->moments[i].time_us < first ? life->moments[i].time_us : first;
    }
    uint64_t room = (uint64_t)(first - world->start_us) / CLOCK_US_PER_SECOND;
    if (found && room > 0) {
        int64_t before = (int64_t)(1 + demo_below(&random, room)) * CLOCK_US_PER_SECOND;
        demo_plan(life, DEMO_SEEN_DISCOVERY, first - before, 0, (uint32_t)demo_bits(&random));
    }
    uint64_t seconds = (uint64_t)world->days * 86400;
    int64_t after = (int64_t)demo_below(&random, seconds) * CLOCK_US_PER_SECOND;
    if (again) {
        demo_plan(life, DEMO_SEEN_REFRESH, world->start_us + after, 0, 0);
    }
}

static void put_discovery(struct demo_life *life, const struct demo_moment *moment,
                          struct event *event)
{
    static const char *const sources[] = {"hashtag_search", "trending_feed", "suggested_accounts"};
    const struct demo_category_words *words = &demo_categories[life->kol.category];
    bool refresh = moment->kind == DEMO_SEEN_REFRESH;
    event->type = refresh ? EVENT_REFRESH : EVENT_DISCOVERY;
    const char *source = refresh ? "manual" : sources[moment->detail % ARRAY_LEN(sources)];
    DEMO_SET(event, discovery, DISCOVERY, source, str_of(source));
    if (refresh) {
        return;
    }
    DEMO_SET(event, discovery, DISCOVERY, niche_hint, str_of(words->text));
    DEMO_SET(event, discovery, DISCOVERY, keyword,
             words_at(words->tags, (int)(moment->detail >> 8) % DEMO_TAGS));
}

static void make_life(struct demo_life *life, int64_t number)
{
    arena_reset(&life->arena);
    life->moment_count = life->video_count = life->product_count = 0;
    demo_kol_make(life->world, number, &life->arena, &life->kol);
    demo_content_make(life);
    demo_product_make(life);
    demo_history_make(life);
    plan_discovery(life);
    sort_moments(life);
}

static void put_event(struct demo_life *life, const struct demo_moment *moment, struct event *event)
{
    event->known = 0;
    event->event_time = moment->time_us;
    event->platform = (int)life->kol.platform;
    event->username = life->kol.username;
    switch (moment->kind) {
    case DEMO_SEEN_DISCOVERY:
    case DEMO_SEEN_REFRESH: put_discovery(life, moment, event); break;
    case DEMO_SEEN_PROFILE: demo_put_profile(life, moment, event); break;
    case DEMO_SEEN_VIDEO: demo_put_video(life, moment, event); break;
    case DEMO_SEEN_COMMENT: demo_put_comment(life, moment, event); break;
    case DEMO_SEEN_PRODUCT: demo_put_product(life, moment, event); break;
    }
    event->event_type = (int)event->type;
    event_know(event, COMMON_FIELD_event_time);
    event_know(event, COMMON_FIELD_event_type);
    event_know(event, COMMON_FIELD_platform);
    event_know(event, COMMON_FIELD_username);
    /* A channel is named by its title, which can change: its id goes with every event. */
    if (life->kol.platform == PLATFORM_YOUTUBE) {
        event->user_id = life->kol.user_id;
        event_know(event, COMMON_FIELD_user_id);
    }
}

static enum kol_status emit_life(struct demo_life *life, const struct demo_sink *sink,
                                 struct arena *scratch, struct kol_error *err)
{
    for (size_t i = 0; i < life->moment_count; i++) {
        struct event event;
        put_event(life, &life->moments[i], &event);
        arena_reset(scratch);
        enum kol_status status = event_finish(&event, life->world->end_us, scratch, err);
        if (status == KOL_OK) {
            status = sink->event(sink->user, &event, err);
        }
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

enum kol_status demo_check(const struct demo_options *options, struct kol_error *err)
{
    if (options->days < 1 || options->days > DEMO_MAX_DAYS) {
        return kol_fail(err, KOL_USAGE, "days: %d is not in 1 .. %d", options->days, DEMO_MAX_DAYS);
    }
    if (!options->reference && (options->kols < 1 || options->kols > DEMO_MAX_KOLS)) {
        return kol_fail(err, KOL_USAGE, "kols: %lld is not in 1 .. %d", (long long)options->kols,
                        DEMO_MAX_KOLS);
    }
    if (options->end_us % CLOCK_US_PER_SECOND != 0) {
        return kol_fail(err, KOL_USAGE, "end: give whole seconds");
    }
    const int64_t earliest = INT64_C(1104537600) * CLOCK_US_PER_SECOND; /* 2005-01-01 */
    if (options->end_us - options->days * CLOCK_US_PER_DAY < earliest) {
        return kol_fail(err, KOL_USAGE, "end: the world would begin before 2005");
    }
    return KOL_OK;
}

static void add_segment(struct demo_world *world, int64_t kols, int platform, int64_t contents,
                        bool profiles)
{
    int64_t first = 0;
    if (world->segment_count > 0) {
        const struct demo_segment *last = &world->segments[world->segment_count - 1];
        first = last->first + last->kols;
    }
    world->segments[world->segment_count++] =
        (struct demo_segment){first, kols, platform, contents, profiles};
}

static void world_init(struct demo_world *world, const struct demo_options *options)
{
    *world = (struct demo_world){
        .seed = options->seed,
        .start_us = options->end_us - options->days * CLOCK_US_PER_DAY,
        .end_us = options->end_us,
        .days = options->days,
        .reference = options->reference,
        .label_share = options->reference ? 1.0 : 0.7,
    };
    if (!options->reference) {
        add_segment(world, options->kols, -1, -1, true);
        return;
    }
    add_segment(world, DEMO_REFERENCE_TIKTOK, PLATFORM_TIKTOK, DEMO_REFERENCE_TIKTOK_CONTENTS,
                true);
    add_segment(world, DEMO_REFERENCE_TWITTER, PLATFORM_TWITTER, 0, true);
    add_segment(world, DEMO_REFERENCE_YOUTUBE, PLATFORM_YOUTUBE, DEMO_REFERENCE_YOUTUBE_CONTENTS,
                false);
}

int64_t demo_kol_count(const struct demo_options *options)
{
    struct demo_world world;
    world_init(&world, options);
    const struct demo_segment *last = &world.segments[world.segment_count - 1];
    return last->first + last->kols;
}

enum kol_status demo_run(const struct demo_options *options, const struct demo_sink *sink,
                         struct kol_error *err)
{
    enum kol_status status = demo_check(options, err);
    if (status != KOL_OK) {
        return status;
    }
    struct demo_world world;
    world_init(&world, options);
    struct demo_life life = {.world = &world};
    struct arena scratch;
    arena_init(&life.arena, 0);
    arena_init(&scratch, 0);
    life.followers = mem_zalloc((size_t)world.days + 1, sizeof *life.followers);
    life.favorites = mem_zalloc((size_t)world.days + 1, sizeof *life.favorites);
    life.gained = mem_zalloc((size_t)world.days + 1, sizeof *life.gained);
    int64_t count = demo_kol_count(options);
    for (int64_t number = options->first; status == KOL_OK && number < count; number++) {
        make_life(&life, number);
        status = emit_life(&life, sink, &scratch, err);
        if (status == KOL_OK) {
            status = sink->kol(sink->user, number + 1, err);
        }
    }
    free(life.followers);
    free(life.favorites);
    free(life.gained);
    free(life.videos);
    free(life.products);
    free(life.moments);
    arena_free(&life.arena);
    arena_free(&scratch);
    return status;
}
