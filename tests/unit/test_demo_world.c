/*
 * test_demo_world.c: what the demo world looks like as a whole, seen through its events alone.
 *
 * Every figure is taken from events that went through encoder and decoder, as docs/demo.md states
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "domain/decode.h"
#include "domain/encode.h"
#include "import/demo.h"

enum { TIERS = 6, PLATFORMS = 4 };

/* What is known of the KOL whose events are coming in, newest value of each. */
struct person {
    int platform;
    bool has_profile, labelled, bot;
    double followers, following, posts, favorites, age_days, bio_length;
    bool has_bio, has_url, default_profile, default_image, verified;
    int looks; /* profile events with a count of followers */
    double first_followers;
    double best_gain; /* largest growth from one look to the next within 1.5 days, as share */
    int64_t last_look_us;
};

struct scored {
    double score;
    bool positive;
};

struct scored_list {
    struct scored *items;
    size_t count, cap;
};

struct number_list {
    double *items;
    size_t count, cap;
};

/* Sums over a world. */
struct world {
    struct buf line;
    struct arena arena;
    struct person person;
    int64_t events[EVENT_TYPE_COUNT];
    int64_t profiles[PLATFORMS], contents[PLATFORMS], tiers[PLATFORMS][TIERS];
    int64_t people[PLATFORMS]; /* KOLs with any event */
    struct number_list content_ids;
    struct scored_list bots;  /* labelled accounts by a simple score */
    struct scored_list sales; /* products by the rule; positive is filled in the end */
    struct number_list sold;
    struct number_list followers, gains;
    int64_t daily; /* KOLs that were looked at on every day */
    int64_t text_counts, blank_bios, unknown_bios, new_lines, emoji, vietnamese;
    int64_t ages[PLATFORMS], flags[PLATFORMS];
    int64_t falls, repeats, bursts; /* of contents: counts that fell, second looks, bursts */
    struct {
        uint64_t id;
        int64_t views;
        int64_t seen_us;
        double rate;       /* views an hour between the two looks before; -1: there were none */
    } last_views[1 << 12]; /* by hash; of the current KOL */
};

static void add_number(struct number_list *list, double value)
{
    if (list->count == list->cap) {
        list->cap = list->cap * 2 + 256;
        list->items = mem_realloc(list->items, list->cap * sizeof *list->items);
    }
    list->items[list->count++] = value;
}

static void add_scored(struct scored_list *list, double score, bool positive)
{
    if (list->count == list->cap) {
        list->cap = list->cap * 2 + 256;
        list->items = mem_realloc(list->items, list->cap * sizeof *list->items);
    }
    list->items[list->count++] = (struct scored){score, positive};
}

static int compare_numbers(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static int compare_scored(const void *left, const void *right)
{
    const struct scored *a = left, *b = right;
    return a->score < b->score ? -1 : a->score > b->score;
}

static double quantile(struct number_list *list, double share)
{
    if (!list->items) {
        return NAN; /* which every comparison refuses */
    }
    qsort(list->items, list->count, sizeof *list->items, compare_numbers);
    return list->items[(size_t)(share * (double)(list->count - 1))];
}

/* Chance that a positive stands above a negative; ties count half. */
static double auc(struct scored_list *list)
{
    double ranks = 0, positives = 0, total = (double)list->count;
    qsort(list->items, list->count, sizeof *list->items, compare_scored);
    for (size_t from = 0, to; from < list->count; from = to) {
        double here = 0;
        for (to = from; to < list->count && list->items[to].score == list->items[from].score;
             to++) {
            here += list->items[to].positive;
        }
        ranks += here * ((double)(from + to + 1) / 2);
        positives += here;
    }
    return (ranks - positives * (positives + 1) / 2) / (positives * (total - positives));
}

static int tier_of(double followers)
{
    return (followers >= 1e3) + (followers >= 1e4) + (followers >= 1e5) + (followers >= 5e5) +
           (followers >= 1e6);
}

/* The simple score of docs/demo.md. */
static double bot_score(const struct person *p)
{
    return 0.62 * log1p(p->following) - 0.22 * log1p(p->followers) + 0.60 * log1p(p->posts) -
           0.50 * log1p(p->favorites) - 1.35 * log1p(p->age_days) +
           0.65 * log1p(p->posts / fmax(p->age_days, 1)) + 0.55 * p->default_profile +
           1.10 * p->default_image - 0.50 * p->has_url - 0.60 * p->has_bio -
           2.50 * fmin(p->bio_length / 200, 1) - 0.60 * p->verified;
}

/* The rule of docs/demo.md, from the event alone. */
static double rule_of(const struct product_event *p, bool ctr_known)
{
    static const double by_tier[] = {0.9, 0.5, 0.0, -0.6, -1.2};
    int tier = (p->price >= 5e4) + (p->price >= 2e5) + (p->price >= 5e5) + (p->price >= 1e6);
    double views = fmax((double)p->video_views, 1);
    double rate = (double)(p->video_likes + p->video_comments + p->video_shares) / views;
    double rule = 1.1 * fmin(fmax(log(fmax(rate, 1e-6) / 0.06), -2), 2) + by_tier[tier];
    rule += ctr_known ? 0.8 * log(p->est_ctr / 0.02) : 0;
    rule += ctr_known && p->est_ctr > 0.03 && tier <= 1 ? 0.7 : 0;
    return rule + 0.25 * log(views / 20000);
}

static void take_counts(struct world *w, const struct event *event)
{
    const struct profile_event *body = &event->profile;
    struct person *p = &w->person;
    double followers = (double)body->followers_count;
    if (p->looks == 0) {
        p->first_followers = followers;
    } else if (event->event_time - p->last_look_us < CLOCK_US_PER_DAY * 3 / 2 &&
               p->followers >= 100) {
        p->best_gain = fmax(p->best_gain, followers / p->followers - 1);
    }
    p->looks++;
    p->last_look_us = event->event_time;
    p->followers = followers;
    p->posts = (double)body->post_count;
    p->following = (double)body->following_count;
    p->favorites = (double)body->favorites_count;
    w->text_counts += event_has(event, PROFILE_FIELD_followers_raw);
}

static void take_details(struct world *w, const struct event *event)
{
    const struct profile_event *body = &event->profile;
    struct person *p = &w->person;
    if (!event_has(event, PROFILE_FIELD_verified)) {
        return; /* one of the looks that only count */
    }
    bool bio = event_has(event, PROFILE_FIELD_bio);
    p->verified = body->verified;
    p->has_bio = bio && body->bio.len > 0;
    p->bio_length = bio ? (double)text_length(body->bio) : 0;
    w->unknown_bios += !bio;
    w->blank_bios += bio && body->bio.len == 0;
    w->new_lines += p->has_bio && memchr(body->bio.ptr, '\n', body->bio.len) != NULL;
    w->emoji += p->has_bio && memmem(body->bio.ptr, body->bio.len, "\xf0\x9f", 2) != NULL;
    w->vietnamese += event_has(event, PROFILE_FIELD_lang) && str_is(body->lang, "vi");
    if (event_has(event, PROFILE_FIELD_account_created_at)) {
        p->age_days =
            floor((double)(event->event_time - body->account_created_at) / CLOCK_US_PER_DAY);
        assert_true(body->account_created_at < event->event_time);
        w->ages[event->platform]++;
    } else if (event_has(event, PROFILE_FIELD_account_age_days)) {
        p->age_days = (double)body->account_age_days;
        w->ages[event->platform]++;
    }
    if (event_has(event, PROFILE_FIELD_default_profile)) {
        p->default_profile = body->default_profile;
        p->default_image = body->default_profile_image;
        p->has_url = body->has_url;
        w->flags[event->platform]++;
    }
    if (event_has(event, PROFILE_FIELD_label)) {
        assert_int_equal(event->platform, PLATFORM_TWITTER);
        p->labelled = true;
        p->bot = body->label == LABEL_BOT;
    }
}

static void take_video(struct world *w, const struct event *event)
{
    const struct video_event *body = &event->video;
    uint64_t id = hash_checksum(body->video_id) | 1;
    size_t slot = id % ARRAY_LEN(w->last_views);
    while (w->last_views[slot].id && w->last_views[slot].id != id) {
        slot = (slot + 1) % ARRAY_LEN(w->last_views);
    }
    int64_t count = event_has(event, VIDEO_FIELD_view_count) ? body->view_count : body->like_count;
    assert_true(body->posted_at <= event->event_time);
    if (w->last_views[slot].id == 0) {
        add_number(&w->content_ids, (double)(id >> 11));
        w->contents[event->platform]++;
        w->last_views[slot].id = id;
        w->last_views[slot].rate = -1;
    } else {
        int64_t before = w->last_views[slot].views;
        int64_t passed_us = event->event_time - w->last_views[slot].seen_us;
        double rate = (double)(count - before) / (double)passed_us * (double)CLOCK_US_PER_HOUR;
        w->repeats++;
        w->falls += count < before;
        w->bursts += w->last_views[slot].rate >= 0 && count > before + 200 &&
                     rate > 3 * w->last_views[slot].rate &&
                     !event_has(event, VIDEO_FIELD_like_count_raw); /* cut counts jump */
        w->last_views[slot].rate = rate;
    }
    w->last_views[slot].views = count;
    w->last_views[slot].seen_us = event->event_time;
}

static enum kol_status take_event(void *user, const struct event *made, struct kol_error *err)
{
    struct world *w = user;
    struct event event;
    buf_clear(&w->line);
    arena_reset(&w->arena);
    event_encode(&w->line, made);
    if (event_decode(buf_str(&w->line), DEMO_END_US, &w->arena, &event, err) != KOL_OK) {
        fail_msg("%s in %s", err->message, w->line.ptr);
    }
    w->events[event.type]++;
    w->person.platform = event.platform;
    if (event.type == EVENT_PROFILE) {
        w->person.has_profile = true;
        take_counts(w, &event);
        take_details(w, &event);
    } else if (event.type == EVENT_VIDEO) {
        take_video(w, &event);
    } else if (event.type == EVENT_PRODUCT) {
        bool ctr_known = event_has(&event, PRODUCT_FIELD_est_ctr);
        add_scored(&w->sales, rule_of(&event.product, ctr_known), false);
        add_number(&w->sold, (double)event.product.sold_count);
    }
    return KOL_OK;
}

static enum kol_status take_kol(void *user, int64_t next, struct kol_error *err)
{
    struct world *w = user;
    struct person *p = &w->person;
    (void)next;
    (void)err;
    w->people[p->platform]++;
    if (p->has_profile) {
        w->profiles[p->platform]++;
        w->tiers[p->platform][tier_of(p->followers)]++;
        add_number(&w->followers, p->followers);
        w->daily += p->looks == 30;
        if (p->looks == 30) {
            add_number(&w->gains, p->best_gain);
        }
        if (p->labelled) {
            add_scored(&w->bots, bot_score(p), p->bot);
        }
    }
    memset(p, 0, sizeof *p);
    memset(w->last_views, 0, sizeof w->last_views);
    return KOL_OK;
}

static struct world *look_at(struct demo_options options)
{
    struct world *w = mem_zalloc(1, sizeof *w);
    struct kol_error err;
    const struct demo_sink sink = {take_event, take_kol, w};
    arena_init(&w->arena, 0);
    assert_int_equal(demo_run(&options, &sink, &err), KOL_OK);
    return w;
}

static void forget(struct world *w)
{
    buf_free(&w->line);
    arena_free(&w->arena);
    free(w->content_ids.items);
    free(w->bots.items);
    free(w->sales.items);
    free(w->sold.items);
    free(w->followers.items);
    free(w->gains.items);
    free(w);
}

static struct world *usual; /* 10,000 KOLs in 30 days: made once, looked at by most tests */

static int make_usual(void **state)
{
    (void)state;
    usual =
        look_at((struct demo_options){.seed = 1, .kols = 10000, .days = 30, .end_us = DEMO_END_US});
    return 0;
}

static int forget_usual(void **state)
{
    (void)state;
    forget(usual);
    return 0;
}

static size_t different_contents(struct world *w)
{
    size_t different = w->content_ids.count > 0;
    quantile(&w->content_ids, 0); /* sorts */
    for (size_t i = 1; i < w->content_ids.count; i++) {
        different += w->content_ids.items[i] != w->content_ids.items[i - 1];
    }
    return different;
}

static void test_reference_world_has_the_reference_sizes(void **state)
{
    (void)state;
    struct world *w = look_at(
        (struct demo_options){.seed = 1, .days = 30, .end_us = DEMO_END_US, .reference = true});
    assert_int_equal(w->profiles[PLATFORM_TIKTOK], 48);
    assert_int_equal(w->profiles[PLATFORM_TWITTER], 37438);
    assert_int_equal(w->profiles[PLATFORM_YOUTUBE] + w->profiles[PLATFORM_INSTAGRAM], 0);
    assert_int_equal(w->contents[PLATFORM_TIKTOK], 490);
    assert_int_equal(w->contents[PLATFORM_YOUTUBE], 19538);
    assert_int_equal(w->contents[PLATFORM_TWITTER] + w->contents[PLATFORM_INSTAGRAM], 0);
    assert_int_equal(w->people[PLATFORM_YOUTUBE], DEMO_REFERENCE_YOUTUBE);
    assert_int_equal(different_contents(w), 490 + 19538);
    assert_int_equal(w->bots.count, 37438);
    forget(w);
}

static void test_a_usual_world_has_events_of_every_kind_in_stated_amounts(void **state)
{
    (void)state;
    int64_t all = 0;
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        assert_true(usual->events[i] > 100);
        all += usual->events[i];
    }
    /* 10.5 to 12.5 events a KOL: 420,000 to 500,000 of 40,000. */
    assert_in_range(all, 105000, 125000);
    assert_in_range(usual->daily, 800, 1200);
    assert_int_equal(different_contents(usual), usual->content_ids.count);
}

static void test_platforms_have_their_shares(void **state)
{
    (void)state;
    static const double shares[] = {0.40, 0.30, 0.15, 0.15};
    for (int i = 0; i < PLATFORMS; i++) {
        assert_true(fabs((double)usual->profiles[i] / 10000 - shares[i]) < 0.02);
    }
}

static void test_all_tiers_occur_and_the_tail_is_heavy(void **state)
{
    (void)state;
    int64_t tiers[TIERS] = {0};
    for (int p = 0; p < PLATFORMS; p++) {
        for (int t = 0; t < TIERS; t++) {
            tiers[t] += usual->tiers[p][t];
        }
    }
    static const double least[TIERS] = {0.24, 0.30, 0.22, 0.05, 0.004, 0.003};
    static const double most[TIERS] = {0.34, 0.42, 0.32, 0.10, 0.012, 0.010};
    for (int t = 0; t < TIERS; t++) {
        double share = (double)tiers[t] / 10000;
        if (share < least[t] || share > most[t]) {
            fail_msg("tier %d has a share of %.4f", t, share);
        }
    }
    /* Of a lognormal body alone the top permille would stand at some 150 medians. */
    double median = quantile(&usual->followers, 0.5), top = quantile(&usual->followers, 0.999);
    double sum = 0, best = 0;
    for (size_t i = 0; i < usual->followers.count; i++) {
        sum += usual->followers.items[i];
        best += i >= usual->followers.count * 99 / 100 ? usual->followers.items[i] : 0;
    }
    assert_true(top > 300 * median);
    assert_true(best / sum > 0.35); /* one in a hundred has more than a third of all followers */
}

static void test_bots_can_be_told_apart_well_but_not_perfectly(void **state)
{
    (void)state;
    double bots = 0;
    for (size_t i = 0; i < usual->bots.count; i++) {
        bots += usual->bots.items[i].positive;
    }
    double value = auc(&usual->bots), labelled = (double)usual->bots.count;
    print_message("# rank AUC of the simple score: %.4f of %.0f\n", value, labelled);
    assert_true(value > 0.93 && value < 0.97);
    assert_true(fabs(labelled / (double)usual->profiles[PLATFORM_TWITTER] - 0.7) < 0.03);
    assert_true(fabs(bots / labelled - 0.30) < 0.03);
}

static void test_platforms_tell_what_they_tell_in_life(void **state)
{
    (void)state;
    assert_int_equal(usual->ages[PLATFORM_TIKTOK], 0);
    assert_int_equal(usual->flags[PLATFORM_TIKTOK], 0);
    assert_int_equal(usual->flags[PLATFORM_YOUTUBE] + usual->flags[PLATFORM_INSTAGRAM], 0);
    assert_true(usual->ages[PLATFORM_TWITTER] == usual->flags[PLATFORM_TWITTER]);
    assert_true(usual->ages[PLATFORM_YOUTUBE] > 0 && usual->ages[PLATFORM_INSTAGRAM] > 0);
    assert_true(usual->text_counts > usual->events[EVENT_PROFILE] / 10);
    assert_true(usual->blank_bios > 500 && usual->unknown_bios > 300);
    assert_true(usual->new_lines > 2000 && usual->emoji > 3000 && usual->vietnamese > 3000);
}

static void test_contents_never_lose_views_and_some_burst(void **state)
{
    (void)state;
    assert_true(usual->repeats > 20000);
    assert_int_equal(usual->falls, 0);
    /* Three times as fast as between the two looks before: a saturating curve only slows down. */
    print_message("# %lld bursts in %lld second looks\n", (long long)usual->bursts,
                  (long long)usual->repeats);
    assert_true(usual->bursts > 70);
}

static void test_followers_move_slowly_and_jump_sometimes(void **state)
{
    (void)state;
    double median = quantile(&usual->gains, 0.5), high = quantile(&usual->gains, 0.97);
    print_message("# best day of a KOL: median %+.4f, 97 in 100 below %+.4f\n", median, high);
    assert_true(median > 0.0005 && median < 0.02);
    assert_true(high > 0.04);
}

static void test_sales_follow_the_stated_rule_with_its_noise(void **state)
{
    (void)state;
    /* Residuals of ln(sold) around 3.5 + rule: mean 0 and the stated 0.8. Small counts are left
     * out, where rounding down moves the logarithm. */
    double sum = 0, squares = 0, count = 0;
    for (size_t i = 0; i < usual->sales.count; i++) {
        if (usual->sales.items[i].score > 0) {
            double rest = log(usual->sold.items[i] + 0.5) - 3.5 - usual->sales.items[i].score;
            sum += rest;
            squares += rest * rest;
            count++;
        }
    }
    assert_true(count > 1000);
    assert_true(fabs(sum / count) < 0.06);
    assert_true(fabs(sqrt(squares / count) - 0.8) < 0.06);

    struct number_list sorted = {0};
    for (size_t i = 0; i < usual->sold.count; i++) {
        add_number(&sorted, usual->sold.items[i]);
    }
    double quarter = quantile(&sorted, 0.75);
    for (size_t i = 0; i < usual->sold.count; i++) {
        usual->sales.items[i].positive = usual->sold.items[i] > quarter;
    }
    double value = auc(&usual->sales);
    print_message("# rank AUC of the rule of sales: %.4f of %zu\n", value, usual->sales.count);
    assert_true(value > 0.85 && value < 0.92);
    free(sorted.items);
}

/* A figure, not a condition: machines differ. */
static void test_speed_of_forty_thousand_kols(void **state)
{
    (void)state;
    int64_t started_ns = clock_mono_ns();
    struct world *w =
        look_at((struct demo_options){.seed = 1, .kols = 40000, .days = 30, .end_us = DEMO_END_US});
    int64_t events = 0;
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        events += w->events[i];
    }
    double seconds = (double)(clock_mono_ns() - started_ns) / 1e9;
    print_message("# 40,000 KOLs: %lld events made, written, read in %.2f s\n", (long long)events,
                  seconds);
    assert_in_range(events, 420000, 500000);
    forget(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_world_has_the_reference_sizes),
        cmocka_unit_test(test_a_usual_world_has_events_of_every_kind_in_stated_amounts),
        cmocka_unit_test(test_platforms_have_their_shares),
        cmocka_unit_test(test_all_tiers_occur_and_the_tail_is_heavy),
        cmocka_unit_test(test_bots_can_be_told_apart_well_but_not_perfectly),
        cmocka_unit_test(test_platforms_tell_what_they_tell_in_life),
        cmocka_unit_test(test_contents_never_lose_views_and_some_burst),
        cmocka_unit_test(test_followers_move_slowly_and_jump_sometimes),
        cmocka_unit_test(test_sales_follow_the_stated_rule_with_its_noise),
        cmocka_unit_test(test_speed_of_forty_thousand_kols),
    };
    return cmocka_run_group_tests(tests, make_usual, forget_usual);
}
