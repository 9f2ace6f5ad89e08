/*
 * test_demo.c: the demo world as a stream of events: repeatable, valid, unique, in order.
 *
 * What the world looks like as a whole: test_demo_world.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "domain/count.h"
#include "domain/decode.h"
#include "domain/encode.h"
#include "import/demo.h"
#include "import/demo_parts.h"

/* All events of a run as NDJSON, and where the events of each KOL end. */
struct collected {
    struct buf lines;
    int64_t events;
    size_t *ends; /* by KOL, from options.first */
    size_t kols, cap;
};

static enum kol_status collect_event(void *user, const struct event *event, struct kol_error *err)
{
    struct collected *all = user;
    (void)err;
    event_encode(&all->lines, event);
    buf_putc(&all->lines, '\n');
    all->events++;
    return KOL_OK;
}

static enum kol_status collect_kol(void *user, int64_t next, struct kol_error *err)
{
    struct collected *all = user;
    (void)next;
    (void)err;
    if (all->kols == all->cap) {
        all->cap = all->cap * 2 + 64;
        all->ends = mem_realloc(all->ends, all->cap * sizeof *all->ends);
    }
    all->ends[all->kols++] = all->lines.len;
    return KOL_OK;
}

static struct demo_options small_world(int64_t kols)
{
    return (struct demo_options){.seed = 1, .kols = kols, .days = 30, .end_us = DEMO_END_US};
}

static struct collected collect(struct demo_options options)
{
    struct collected all = {0};
    struct kol_error err;
    const struct demo_sink sink = {collect_event, collect_kol, &all};
    assert_int_equal(demo_check(&options, &err), KOL_OK);
    assert_int_equal(demo_run(&options, &sink, &err), KOL_OK);
    return all;
}

static void forget(struct collected *all)
{
    buf_free(&all->lines);
    free(all->ends);
}

static bool same_text(const struct collected *a, const struct collected *b)
{
    return str_equal(buf_str(&a->lines), buf_str(&b->lines));
}

static void test_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    struct collected first = collect(small_world(500)), second = collect(small_world(500));
    assert_true(first.events > 3000);
    assert_true(same_text(&first, &second));
    forget(&first);
    forget(&second);
}

/* Fails when the same options give other bytes than they gave in the last version, or on another
 * machine or compiler. A change that is meant raises DEMO_VERSION and brings its own sum. */
static void test_the_world_of_seed_1_is_the_one_it_always_was(void **state)
{
    (void)state;
    struct collected all = collect(small_world(500));
    struct buf sum = {0};
    hash_put_hex128(&sum, buf_str(&all.lines));
    assert_int_equal(DEMO_VERSION, 1);
    assert_string_equal(sum.ptr, "099776d413b3e2318bca866181a3725c");
    buf_free(&sum);
    forget(&all);
}

static void test_another_seed_days_or_end_gives_another_world(void **state)
{
    (void)state;
    struct demo_options seed = small_world(50), days = seed, end = seed;
    seed.seed = 2;
    days.days = 29;
    end.end_us -= CLOCK_US_PER_DAY;
    struct collected base = collect(small_world(50)),
                     other[] = {collect(seed), collect(days), collect(end)};
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        assert_false(same_text(&base, &other[i]));
        forget(&other[i]);
    }
    forget(&base);
}

static void test_a_small_world_is_the_beginning_of_a_large_one(void **state)
{
    (void)state;
    struct collected small = collect(small_world(100)), large = collect(small_world(300));
    assert_int_equal(large.ends[99], small.lines.len);
    assert_memory_equal(small.lines.ptr, large.lines.ptr, small.lines.len);
    forget(&small);
    forget(&large);
}

static void test_a_run_from_a_later_kol_gives_what_is_left(void **state)
{
    (void)state;
    struct demo_options later = small_world(300);
    later.first = 120;
    struct collected whole = collect(small_world(300)), rest = collect(later);
    size_t from = whole.ends[119];
    assert_int_equal(rest.lines.len, whole.lines.len - from);
    assert_memory_equal(rest.lines.ptr, whole.lines.ptr + from, rest.lines.len);
    forget(&whole);
    forget(&rest);
}

static void test_every_event_passes_the_decoder_unchanged(void **state)
{
    (void)state;
    struct collected all = collect(small_world(2000));
    struct str rest = buf_str(&all.lines);
    struct arena arena;
    struct buf again = {0}, id = {0}, scratch = {0};
    int64_t count = 0;
    arena_init(&arena, 0);
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        struct event event;
        struct kol_error err;
        arena_reset(&arena);
        if (event_decode(line, DEMO_END_US, &arena, &event, &err) != KOL_OK) {
            fail_msg("%s in %.*s", err.message, STR_FORMAT(line));
        }
        buf_clear(&again);
        event_encode(&again, &event);
        assert_true(str_equal(buf_str(&again), line));
        buf_clear(&id);
        event_put_content_id(&id, &event, &scratch);
        assert_true(str_equal(buf_str(&id), event.event_id));
        count++;
    }
    assert_int_equal(count, all.events);
    buf_free(&again);
    buf_free(&id);
    buf_free(&scratch);
    arena_free(&arena);
    forget(&all);
}

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Number of different values; sorts them. */
static size_t count_different(uint64_t *values, size_t count)
{
    size_t different = count > 0;
    qsort(values, count, sizeof *values, compare_u64);
    for (size_t i = 1; i < count; i++) {
        different += values[i] != values[i - 1];
    }
    return different;
}

static void test_no_event_id_is_given_twice(void **state)
{
    (void)state;
    struct collected all = collect(small_world(3000));
    uint64_t *ids = mem_alloc((size_t)all.events * sizeof *ids);
    struct str rest = buf_str(&all.lines);
    static const char before[] = "{\"event_id\":\"";
    for (size_t i = 0; rest.len; i++) {
        struct str line = str_cut(&rest, '\n');
        assert_true(str_starts(line, STR("{\"event_id\":\"")));
        ids[i] = hash_checksum((struct str){line.ptr + sizeof before - 1, 32});
    }
    assert_int_equal(count_different(ids, (size_t)all.events), all.events);
    free(ids);
    forget(&all);
}

static void test_names_and_ids_are_unique_up_to_ten_million_kols(void **state)
{
    (void)state;
    enum { SAMPLE = 200000, STEP = 49 }; /* spread over the whole range, neighbours at its start */
    const struct demo_world world = {.seed = 7,
                                     .start_us = DEMO_END_US - 30 * CLOCK_US_PER_DAY,
                                     .end_us = DEMO_END_US,
                                     .days = 30,
                                     .segments = {{0, DEMO_MAX_KOLS, -1, -1, true}},
                                     .segment_count = 1};
    uint64_t *names = mem_alloc(SAMPLE * sizeof *names), *ids = mem_alloc(SAMPLE * sizeof *ids);
    struct arena arena;
    struct buf key = {0};
    arena_init(&arena, 0);
    for (int64_t i = 0; i < SAMPLE; i++) {
        struct demo_kol kol;
        arena_reset(&arena);
        demo_kol_make(&world, i < SAMPLE / 4 ? i : i * STEP, &arena, &kol);
        assert_true(kol.username.len > 0 && kol.username.len <= 255);
        assert_true(kol.platform != PLATFORM_TWITTER || kol.username.len <= 15);
        buf_clear(&key);
        buf_printf(&key, "%d:%.*s", kol.platform, STR_FORMAT(kol.username));
        names[i] = hash_checksum(buf_str(&key));
        buf_clear(&key);
        buf_printf(&key, "%d:%.*s", kol.platform, STR_FORMAT(kol.user_id));
        ids[i] = hash_checksum(buf_str(&key));
    }
    assert_int_equal(count_different(names, SAMPLE), SAMPLE);
    assert_int_equal(count_different(ids, SAMPLE), SAMPLE);
    free(names);
    free(ids);
    buf_free(&key);
    arena_free(&arena);
}

/* Every KOL's events: same key, times that never go back, all within the world. */
static void check_order(struct demo_options options)
{
    struct collected all = collect(options);
    struct arena arena;
    struct buf key = {0}, first_key = {0};
    int64_t start_us = options.end_us - options.days * CLOCK_US_PER_DAY;
    size_t from = 0;
    arena_init(&arena, 0);
    for (size_t kol = 0; kol < all.kols; kol++) {
        struct str rest = {all.lines.ptr + from, all.ends[kol] - from};
        int64_t last_us = start_us;
        buf_clear(&first_key);
        while (rest.len) {
            struct event event;
            struct kol_error err;
            arena_reset(&arena);
            assert_int_equal(
                event_decode(str_cut(&rest, '\n'), options.end_us, &arena, &event, &err), KOL_OK);
            assert_true(event.event_time >= last_us);
            assert_true(event.event_time < options.end_us);
            last_us = event.event_time;
            buf_clear(&key);
            event_put_key(&key, &event);
            if (first_key.len == 0) {
                buf_put(&first_key, buf_str(&key));
            }
            assert_true(str_equal(buf_str(&key), buf_str(&first_key)));
        }
        from = all.ends[kol];
    }
    buf_free(&key);
    buf_free(&first_key);
    arena_free(&arena);
    forget(&all);
}

static void test_events_of_a_kol_are_in_order_and_within_the_world(void **state)
{
    (void)state;
    struct demo_options month = small_world(2000), day = small_world(500), years = small_world(20);
    day.days = 1;
    years.days = DEMO_MAX_DAYS;
    check_order(month);
    check_order(day);
    check_order(years);
}

static void test_options_outside_their_bounds_are_refused(void **state)
{
    (void)state;
    struct demo_options wrong[5];
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        wrong[i] = small_world(10);
    }
    wrong[0].kols = 0;
    wrong[1].kols = DEMO_MAX_KOLS + 1;
    wrong[2].days = 0;
    wrong[3].days = DEMO_MAX_DAYS + 1;
    wrong[4].end_us = INT64_C(1107216000) * CLOCK_US_PER_SECOND; /* 2005-02-01, 31 days too soon */
    wrong[4].days = 32;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct kol_error err;
        assert_int_equal(demo_check(&wrong[i], &err), KOL_USAGE);
    }
    wrong[4].days = 31;
    struct kol_error err;
    assert_int_equal(demo_check(&wrong[4], &err), KOL_OK);
}

static enum kol_status refuse(void *user, const struct event *event, struct kol_error *err)
{
    (void)event;
    ++*(int *)user;
    return kol_fail(err, KOL_NO_SPACE, "full");
}

static void test_a_sink_that_fails_ends_the_run(void **state)
{
    (void)state;
    int calls = 0;
    struct kol_error err;
    struct demo_options options = small_world(10);
    const struct demo_sink sink = {refuse, NULL, &calls};
    assert_int_equal(demo_run(&options, &sink, &err), KOL_NO_SPACE);
    assert_string_equal(err.message, "full");
    assert_int_equal(calls, 1);
}

static void test_count_texts_read_back_as_the_cut_count(void **state)
{
    (void)state;
    static const struct {
        enum platform platform;
        enum demo_language language;
        int64_t count;
        const char *text;
    } cases[] = {
        {PLATFORM_TIKTOK, DEMO_EN, 0, "0"},
        {PLATFORM_TIKTOK, DEMO_EN, 9999, "9999"},
        {PLATFORM_TIKTOK, DEMO_EN, 11359, "11.3K"},
        {PLATFORM_TIKTOK, DEMO_VI, 12599, "12,5N"},
        {PLATFORM_TIKTOK, DEMO_VI, 4100000, "4,1Tr"},
        {PLATFORM_TIKTOK, DEMO_EN, 4000000, "4M"},
        {PLATFORM_INSTAGRAM, DEMO_EN, 1234, "1,234"},
        {PLATFORM_INSTAGRAM, DEMO_VI, 1034, "1.034"},
        {PLATFORM_YOUTUBE, DEMO_EN, 1239999, "1.23M"},
        {PLATFORM_YOUTUBE, DEMO_EN, 1209999, "1.2M"},
        {PLATFORM_YOUTUBE, DEMO_VI, 1059999, "1,05Tr"},
        {PLATFORM_TIKTOK, DEMO_EN, 1290000000, "1.2B"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct demo_kol kol = {.platform = cases[i].platform, .language = cases[i].language};
        struct str text = demo_count_text(&arena, &kol, cases[i].count);
        int64_t read = -1;
        assert_string_equal(text.ptr, cases[i].text);
        assert_true(count_parse(text, &read));
        assert_true(read <= cases[i].count && read * 1.1 >= (double)cases[i].count);
    }
    arena_free(&arena);
}

static void test_own_mathematics_agrees_with_the_library(void **state)
{
    (void)state;
    struct demo_random random;
    demo_random_init(&random, 3, 1, 4);
    for (int i = 0; i < 20000; i++) {
        double x = demo_between(&random, -600, 600), y = demo_exp(x / 6);
        assert_true(fabs(demo_exp(x) / exp(x) - 1) < 1e-13);
        assert_true(fabs(demo_log(y) - log(y)) <= 1e-14 * (1 + fabs(log(y))));
    }
    assert_true(demo_exp(0) == 1 && demo_log(1) == 0);
    assert_true(fabs(demo_pow(2, 0.5) - sqrt(2)) < 1e-15);
}

static void test_draws_have_the_moments_that_they_claim(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    struct demo_random random;
    double sum = 0, squares = 0, heavy = 0, below = 0;
    demo_random_init(&random, 3, 1, 5);
    for (int i = 0; i < DRAWS; i++) {
        double x = demo_normal(&random);
        sum += x;
        squares += x * x;
        heavy += demo_pareto(&random, 2, 1.5) > 8;
        below += demo_below(&random, 10) < 3;
    }
    assert_true(fabs(sum / DRAWS) < 0.01);
    assert_true(fabs(squares / DRAWS - 1) < 0.02);
    assert_true(fabs(heavy / DRAWS - 0.125) < 0.004); /* (2 / 8)^1.5 */
    assert_true(fabs(below / DRAWS - 0.3) < 0.005);
}

static void test_permutations_miss_nothing_and_depend_on_their_key(void **state)
{
    (void)state;
    enum { BITS = 15, COUNT = 1 << BITS };
    static uint64_t values[COUNT];
    int moved = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        values[i] = demo_permute(i, BITS, 11);
        assert_true(values[i] < COUNT);
        moved += values[i] != demo_permute(i, BITS, 12);
    }
    assert_int_equal(count_different(values, COUNT), COUNT);
    assert_true(moved > COUNT * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_gives_the_same_bytes),
        cmocka_unit_test(test_the_world_of_seed_1_is_the_one_it_always_was),
        cmocka_unit_test(test_another_seed_days_or_end_gives_another_world),
        cmocka_unit_test(test_a_small_world_is_the_beginning_of_a_large_one),
        cmocka_unit_test(test_a_run_from_a_later_kol_gives_what_is_left),
        cmocka_unit_test(test_every_event_passes_the_decoder_unchanged),
        cmocka_unit_test(test_no_event_id_is_given_twice),
        cmocka_unit_test(test_names_and_ids_are_unique_up_to_ten_million_kols),
        cmocka_unit_test(test_events_of_a_kol_are_in_order_and_within_the_world),
        cmocka_unit_test(test_options_outside_their_bounds_are_refused),
        cmocka_unit_test(test_a_sink_that_fails_ends_the_run),
        cmocka_unit_test(test_count_texts_read_back_as_the_cut_count),
        cmocka_unit_test(test_own_mathematics_agrees_with_the_library),
        cmocka_unit_test(test_draws_have_the_moments_that_they_claim),
        cmocka_unit_test(test_permutations_miss_nothing_and_depend_on_their_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
