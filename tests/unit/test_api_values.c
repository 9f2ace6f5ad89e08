/*
 * test_api_values.c: values of the cache between processes out of a small copy made here: the same
 * under both keys of a KOL, and the same as the JSON of the answers; keys that live briefly.
 */
#include "api/value.h"
#include "api/values.h"
#include "online_fixture.h"

static struct api_values *values;

static int open_world(void **state)
{
    if (world_open(state) != 0) {
        return -1;
    }
    add_tables();
    run_sql("INSERT INTO silver.kol_profiles VALUES "
            "('ann', 'tiktok', 'Ann \"A\"', 500, true, NULL, '2025-06-15T15:06:40Z'), "
            "('ann', 'youtube', 'Ann', 900, NULL, NULL, '2025-06-15T15:06:40Z'), "
            "('bob', 'twitter', NULL, NULL, NULL, NULL, '2025-06-15T15:06:40Z'), "
            "('tiktok:bob', 'twitter', 'Colon', 7, NULL, NULL, '2025-06-15T15:06:40Z')");
    build_new();
    return api_values_open(world.data, &values, &err) == KOL_OK ? 0 : -1;
}

static int close_world(void **state)
{
    api_values_close(&values);
    return world_close(state);
}

/* ---- the items of a part ---- */

enum { MOST = 64 };

static struct arena arena;
static struct warm_item items[MOST];
static size_t item_count;

/* Reads a part, so many items at once: what a row has may come in two turns. */
static void read_part(enum warm_part part, size_t at_once)
{
    const struct warm_source *source = api_values_source(values);
    size_t count = 1;
    item_count = 0;
    for (bool restart = true; count; restart = false) {
        assert_true(item_count + at_once <= MOST);
        assert_ok(source->next(source->user, part, restart, &arena, items + item_count, at_once,
                               &count, &err));
        item_count += count;
    }
}

static const struct warm_item *find(enum serve_key kind, const char *first, const char *second)
{
    const struct str parts[SERVE_PARTS] = {str_of(first), str_of(second)};
    struct buf key = {0};
    const struct warm_item *found = NULL;
    serve_key_put(&key, kind, parts);
    for (size_t i = 0; i < item_count; i++) {
        if (items[i].kind == kind && str_equal(items[i].key, buf_str(&key))) {
            assert_null(found);
            found = &items[i];
        }
    }
    buf_free(&key);
    return found;
}

static void assert_same(const struct serve_field *a, size_t a_count, const struct serve_field *b,
                        size_t b_count)
{
    assert_int_equal(a_count, b_count);
    for (size_t i = 0; i < a_count; i++) {
        if (!str_equal(a[i].name, b[i].name) || !str_equal(a[i].value, b[i].value)) {
            fail_msg("%.*s is '%.*s' and '%.*s'", STR_FORMAT(a[i].name), STR_FORMAT(a[i].value),
                     STR_FORMAT(b[i].value));
        }
    }
}

/* What the item would be by way of the JSON that an answer is. */
static void assert_as_json(const struct warm_item *item, const char *platform, const char *id)
{
    struct api_copies *copies;
    const struct api_options options = {.data = world.data};
    assert_ok(api_copies_open(&options, &copies, &err));
    struct api_copy *copy = api_copy_take(copies);
    struct api_who who;
    struct api_score score;
    struct buf text = {0};
    struct json json = {.out = &text};
    struct serve_field *fields;
    size_t count;
    assert_ok(api_who_is(copy, str_of(id), str_of(platform), &who, &err));
    if (item->kind == SERVE_KEY_PROFILE_ON) {
        const struct api_profile_options all = {.who = &who};
        api_put_profile(&json, copy, &who.record, &all);
    } else {
        api_score_of(copy, &who.record, NULL, &arena, &score);
        api_put_score(&json, copy, &who.record, &score);
    }
    assert_ok(serve_to_fields(buf_str(&text), &arena, &fields, &count, &err));
    const bool timed = item->field_count == count + 1; /* a score tells its event_time behind */
    assert_true(timed ? str_is(item->fields[count].name, "event_time") : true);
    assert_same(item->fields, item->field_count - timed, fields, count);
    buf_free(&text);
    api_copy_drop(copy);
    api_copies_close(&copies);
}

/* ---- tests ---- */

static void test_both_keys_have_the_value_of_the_answer(void **state)
{
    (void)state;
    static const enum serve_key kinds[][2] = {{SERVE_KEY_PROFILE_ON, SERVE_KEY_PROFILE},
                                              {SERVE_KEY_SCORE_ON, SERVE_KEY_SCORE}};
    for (size_t at_once = 1; at_once <= 9; at_once++) {
        read_part(WARM_PROFILES, at_once);
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
            const struct warm_item *most = find(kinds[i][0], "youtube", "ann");
            const struct warm_item *bare = find(kinds[i][1], "ann", "");
            assert_non_null(most);
            assert_non_null(bare);
            assert_same(most->fields, most->field_count, bare->fields, bare->field_count);
            assert_true(most->version == bare->version);
            assert_as_json(most, "youtube", "ann");
            assert_as_json(find(kinds[i][0], "tiktok", "ann"), "tiktok", "ann");
            assert_as_json(find(kinds[i][0], "twitter", "bob"), "twitter", "bob");
            assert_non_null(find(kinds[i][1], "bob", ""));
            /* By its bare id it would be another one, of another platform. */
            assert_null(find(kinds[i][1], "tiktok:bob", ""));
        }
        arena_reset(&arena);
    }
}

static bool is_brief(int64_t life_s, enum serve_key kind, const char *first, const char *second)
{
    const struct str parts[SERVE_PARTS] = {str_of(first), str_of(second)};
    struct str *keys;
    struct buf key = {0};
    bool found = false;
    const size_t count = api_values_brief(life_s * 1000000, &arena, &keys);
    serve_key_put(&key, kind, parts);
    for (size_t i = 0; i < count; i++) {
        found = found || str_equal(keys[i], buf_str(&key));
    }
    buf_free(&key);
    arena_reset(&arena);
    return found;
}

static void test_lists_and_counts_of_short_life_are_named(void **state)
{
    (void)state;
    assert_false(is_brief(299, SERVE_KEY_STATS_PLATFORM, "", ""));
    assert_true(is_brief(300, SERVE_KEY_STATS_PLATFORM, "", ""));
    assert_false(is_brief(899, SERVE_KEY_TOP_FOLLOWERS, "all", "100"));
    for (int i = 0; i < API_PLATFORM_COUNT; i++) {
        const char *platform = platform_name((enum platform)i);
        assert_true(is_brief(900, SERVE_KEY_TOP_FOLLOWERS, platform, "100"));
        assert_true(is_brief(900, SERVE_KEY_PROFILES_LIST, platform, ""));
        assert_true(is_brief(900, SERVE_KEY_CONTENT_TRENDING, platform, "50"));
    }
    assert_false(is_brief(900, SERVE_KEY_RANKING, "all", "trust"));
    assert_true(is_brief(3600, SERVE_KEY_RANKING, "all", "trust"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_keys_have_the_value_of_the_answer),
        cmocka_unit_test(test_lists_and_counts_of_short_life_are_named),
    };
    arena_init(&arena, 0);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const int failed = cmocka_run_group_tests(tests, open_world, close_world);
    arena_free(&arena);
    return failed;
}
