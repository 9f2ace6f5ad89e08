/*
 * test_api_score.c: whom an id means, profiles with gaps, scores with live ones in their place, and
 * copies that are swapped, pinned and dropped: over a small copy made here.
 */
#include <math.h>

#include "api/parts.h"
#include "online_fixture.h"

#define US INT64_C(1000000)
static const int64_t event_us = INT64_C(1750000000) * US; /* 2025-06-15T15:06:40Z */

static struct api_copies *copies;

static void add_scores(void)
{
    add_table("gold", "kol_scores",
              "platform string, kol_id string, trust_score double, trust_label string, "
              "risk_level string, confidence double, in_domain boolean, "
              "out_of_domain list<string>, trust_model_version string, trending_score double, "
              "trending_label string, composite_score double, event_time timestamptz, "
              "computed_at timestamptz");
    run_sql("INSERT INTO gold.kol_scores VALUES ('tiktok', 'ann', 92.706, 'high', 'low', 0.92706, "
            "true, [], 'trust/3', NULL, NULL, 92.706, '2025-06-15T15:06:40Z', "
            "'2025-06-15T16:00:00Z')");
}

static int open_world(void **state)
{
    if (world_open(state) != 0) {
        return -1;
    }
    add_tables();
    add_scores();
    run_sql("INSERT INTO silver.kol_profiles VALUES "
            "('ann', 'tiktok', 'Ann', 500, true, NULL, '2025-06-15T15:06:40Z'), "
            "('ann', 'youtube', 'Ann', 900, NULL, NULL, '2025-06-15T15:06:40Z'), "
            "('bob', 'twitter', NULL, NULL, NULL, NULL, '2025-06-15T15:06:40Z')");
    build_new();
    const struct api_options options = {.data = world.data};
    return api_copies_open(&options, &copies, &err) == KOL_OK ? 0 : -1;
}

static int close_world(void **state)
{
    api_copies_close(&copies);
    return world_close(state);
}

static struct api_who find(struct api_copy *copy, const char *id, const char *platform)
{
    struct api_who who;
    assert_ok(api_who_is(copy, str_of(id), str_of(platform), &who, &err));
    return who;
}

static void test_the_one_with_most_followers_is_meant(void **state)
{
    (void)state;
    struct api_copy *copy = api_copy_take(copies);
    struct api_who who = find(copy, "ann", "");
    assert_true(str_is(who.platform, "youtube"));
    assert_int_equal(who.also_count, 1);
    assert_true(str_is(who.also_on[0], "tiktok"));
    who = find(copy, "tiktok:ann", "");
    assert_true(str_is(who.platform, "tiktok"));
    assert_int_equal(who.also_count, 1);
    assert_true(str_is(who.also_on[0], "youtube"));
    assert_int_equal(find(copy, "bob", "twitter").also_count, 0);
    assert_fails(api_who_is(copy, STR("bob"), STR("tiktok"), &who, &err), KOL_NOT_FOUND);
    assert_fails(api_who_is(copy, STR("tiktok:ann"), STR("youtube"), &who, &err), KOL_INVALID);
    assert_fails(api_who_is(copy, STR(""), STR(""), &who, &err), KOL_NOT_FOUND);
    api_copy_drop(copy);
}

static void test_what_nobody_told_is_zero_and_named(void **state)
{
    (void)state;
    struct api_copy *copy = api_copy_take(copies);
    struct api_who who = find(copy, "bob", "");
    struct buf text = {0};
    struct json json = {.out = &text};
    const struct str few[] = {STR("followers_count"), STR("unknown"), STR("tier")};
    const struct api_profile_options options = {.fields = few, .field_count = 3};
    api_put_profile(&json, copy, &who.record, &options);
    assert_string_equal(text.ptr,
                        "{\"kol_id\":\"bob\",\"platform\":\"twitter\",\"followers_count\":0,"
                        "\"tier\":null,\"unknown\":[\"username\",\"followers_count\","
                        "\"following_count\",\"post_count\",\"verified\"]}");
    buf_free(&text);
    api_copy_drop(copy);
}

static void test_a_kol_without_a_score_has_nulls(void **state)
{
    (void)state;
    struct api_copy *copy = api_copy_take(copies);
    struct api_who who = find(copy, "bob", "");
    struct api_score score;
    api_score_of(copy, &who.record, NULL, NULL, &score);
    assert_true(isnan(score.trust) && isnan(score.composite));
    assert_true(score.confidence == 0);
    assert_true(str_is(score.trust_label, "unknown") && str_is(score.model_version, "none"));
    struct buf text = {0};
    struct json json = {.out = &text};
    api_put_score(&json, copy, &who.record, &score);
    assert_non_null(strstr(text.ptr, "\"trust_score\":null,\"trust_label\":\"unknown\""));
    assert_non_null(strstr(text.ptr, "\"composite_parts\":[]"));
    assert_non_null(strstr(text.ptr, "\"state\":\"not_ready\""));
    buf_free(&text);
    api_copy_drop(copy);
}

static void put_live(struct live *live, int64_t time_us, const char *text)
{
    struct live_write write = {.kind = LIVE_SCORE,
                               .key = STR("tiktok:ann"),
                               .bytes = str_of(text),
                               .event_time_us = time_us};
    assert_ok(live_write(live, &write, 1, &err));
}

static void test_a_newer_live_score_stands_in(void **state)
{
    (void)state;
    struct live *live;
    struct api_score score;
    struct arena arena;
    arena_init(&arena, 0);
    assert_ok(live_open(world.data, &live, &err));
    struct api_copy *copy = api_copy_take(copies);
    struct api_who who = find(copy, "tiktok:ann", "");

    put_live(live, event_us, "{\"trust_score\":10}"); /* as old as the copy's */
    api_score_of(copy, &who.record, live, &arena, &score);
    assert_true(score.trust == 92.706 && !score.live && score.in_domain);

    put_live(live, event_us + US,
             "{\"trust_score\":30.5,\"confidence\":0.7,\"model_version\":\"trust/4\","
             "\"trending_score\":80}");
    api_score_of(copy, &who.record, live, &arena, &score);
    assert_true(score.live && score.trust == 30.5 && score.confidence == 0.7);
    assert_true(str_is(score.trust_label, "low") && str_is(score.risk_level, "high"));
    assert_true(str_is(score.model_version, "trust/4") && str_is(score.trending_label, "Viral"));
    assert_true(score.scored_us == event_us + US);
    uint32_t parts;
    assert_true(score.composite == composite_score(80, NAN, 30.5, &parts));

    static const char *const broken[] = {
        "",      "[]", "{\"trust_score\":",
        "\"x\"", "{}", "{\"trust_score\":\"high\",\"trending_score\":null}"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) { /* nothing is told: all stays */
        put_live(live, event_us + US, broken[i]);
        api_score_of(copy, &who.record, live, &arena, &score);
        assert_true(score.trust == 92.706 && !score.live);
        assert_true(str_is(score.model_version, "trust/3"));
    }
    api_copy_drop(copy);
    live_close(&live);
    arena_free(&arena);
}

static void test_a_held_copy_outlives_its_successor(void **state)
{
    (void)state;
    bool changed;
    struct api_copy *first = api_copy_take(copies), *pinned;
    const int64_t number = first->info->number;
    assert_ok(api_copies_refresh(copies, &changed, &err));
    assert_false(changed);
    run_sql("UPDATE silver.kol_profiles SET followers_count = 1000 WHERE platform = 'youtube'");
    build_new();
    assert_ok(api_copies_refresh(copies, &changed, &err));
    assert_true(changed);
    struct api_copy *second = api_copy_take(copies);
    assert_true(second->info->number > number);
    int64_t before, now;
    struct api_who old = find(first, "ann", ""), new = find(second, "ann", "");
    assert_true(online_int(&old.record, first->kol.followers_count, &before) && before == 900);
    assert_true(online_int(&new.record, second->kol.followers_count, &now) && now == 1000);
    api_copy_drop(first);
    assert_ok(api_copy_numbered(copies, number, &pinned, &err)); /* opened again */
    assert_int_equal(pinned->info->number, number);
    api_copy_drop(pinned);
    assert_fails(api_copy_numbered(copies, 999, &pinned, &err), KOL_NOT_FOUND);
    assert_fails(api_copy_numbered(copies, -1, &pinned, &err), KOL_NOT_FOUND);
    api_copy_drop(second);
}

static enum kol_status make_kept(struct api_copy *copy, void *user, void **out, struct kol_error *e)
{
    int *made = user;
    (void)copy;
    if ((*made)++ == 0) {
        return kol_fail(e, KOL_IO, "the first time it fails");
    }
    *out = mem_strdup("kept");
    return KOL_OK;
}

static void test_what_is_kept_is_made_once_and_a_failure_is_tried_again(void **state)
{
    (void)state;
    int made = 0;
    void *value, *again;
    struct api_copy *copy = api_copy_take(copies);
    assert_fails(api_copy_kept(copy, "x", make_kept, &made, free, &value, &err), KOL_IO);
    assert_ok(api_copy_kept(copy, "x", make_kept, &made, free, &value, &err));
    assert_ok(api_copy_kept(copy, "x", make_kept, &made, free, &again, &err));
    assert_ptr_equal(value, again);
    assert_int_equal(made, 2);
    api_copy_drop(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_one_with_most_followers_is_meant, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_what_nobody_told_is_zero_and_named, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_a_kol_without_a_score_has_nulls, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_a_newer_live_score_stands_in, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_a_held_copy_outlives_its_successor, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(test_what_is_kept_is_made_once_and_a_failure_is_tried_again,
                                        open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
