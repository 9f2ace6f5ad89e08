/* test_api_json.c: commas, numbers, times and texts of the JSON writer; ids cut at their platform.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/parts.h"

static void test_commas_come_by_themselves(void **state)
{
    (void)state;
    struct buf out = {0};
    struct json json = {.out = &out};
    js_open(&json, '{');
    js_name(&json, "none");
    js_open(&json, '[');
    js_close(&json, ']');
    js_name(&json, "list");
    js_open(&json, '[');
    js_int(&json, 1);
    js_open(&json, '{');
    js_close(&json, '}');
    js_open(&json, '{');
    js_member_text(&json, "a", STR("x\"\n\\"));
    js_member_int(&json, "b", INT64_MIN);
    js_close(&json, '}');
    js_null(&json);
    js_bool(&json, true);
    js_raw(&json, STR("[2]"));
    js_close(&json, ']');
    js_close(&json, '}');
    assert_string_equal(out.ptr, "{\"none\":[],\"list\":[1,{},{\"a\":\"x\\\"\\n\\\\\",\"b\":"
                                 "-9223372036854775808},null,true,[2]]}");
    buf_free(&out);
}

static void test_numbers_and_times(void **state)
{
    (void)state;
    struct buf out = {0};
    struct json json = {.out = &out};
    js_open(&json, '[');
    js_real(&json, 0.1);
    js_real(&json, NAN);
    js_real(&json, INFINITY);
    js_score(&json, 92.706);
    js_score(&json, 100);
    js_score(&json, NAN);
    js_time(&json, INT64_C(1750000000000000));
    js_time(&json, INT64_C(1750000000000001));
    js_day(&json, 0);
    js_day(&json, 20268);
    js_close(&json, ']');
    assert_string_equal(out.ptr, "[0.1,null,null,92.71,100,null,\"2025-06-15T15:06:40Z\","
                                 "\"2025-06-15T15:06:40.000001Z\",\"1970-01-01\",\"2025-06-29\"]");
    buf_free(&out);
}

/* ---- an object as the fields of a hash ---- */

static uint64_t rolls;

static unsigned roll(unsigned sides)
{
    rolls = rolls * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(rolls >> 33) % sides;
}

static double some_real(void)
{
    static const double reals[] = {0, -0.0, 0.5, 92.71, 1e-7, 1e300, NAN, INFINITY, 1.0 / 3, 5};
    return roll(2) ? reals[roll(ARRAY_LEN(reals))] : ldexp(roll(1u << 30), (int)roll(80) - 60);
}

/* Any value, with lists and objects down to a depth. */
static void put_any(struct json *json, int depth)
{
    static const char *const texts[] = {"",     "plain", "\"quoted\\", "line\nend\x01",
                                        "Lý 🎵", "null",  "12"};
    const struct str words[] = {STR("a,b"), STR("\"")};
    switch (roll(depth ? 12 : 10)) {
    case 0: js_null(json); break;
    case 1: js_bool(json, roll(2)); break;
    case 2: js_int(json, roll(2) ? (int64_t)roll(1000) - 500 : INT64_MIN); break;
    case 3: js_score(json, some_real()); break;
    case 4: js_time(json, INT64_C(1750000000000000) + roll(3)); break;
    case 5: js_day(json, roll(30000)); break;
    case 6: js_texts(json, words, roll(3)); break;
    case 7: js_real(json, some_real()); break;
    case 8:
    case 9: js_text(json, str_of(texts[roll(ARRAY_LEN(texts))])); break;
    case 10:
        js_open(json, '[');
        for (unsigned left = roll(4); left; left--) {
            put_any(json, depth - 1);
        }
        js_close(json, ']');
        break;
    default:
        js_open(json, '{');
        for (unsigned left = roll(4); left; left--) {
            js_name(json, texts[1]);
            put_any(json, depth - 1);
        }
        js_close(json, '}');
    }
}

static void put_object(struct json *json, uint64_t seed, bool more)
{
    char name[16];
    rolls = seed;
    js_open(json, '{');
    for (unsigned left = roll(30); left; left--) {
        snprintf(name, sizeof name, "member_%u", left);
        js_name(json, name);
        put_any(json, 3);
    }
    if (!more) {
        js_close(json, '}');
    }
    js_member_time(json, "behind", seed % 3 ? (int64_t)seed : 0);
    if (more) {
        js_close(json, '}');
    }
}

static void test_the_fields_are_those_of_the_json(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct buf text = {0}, bare = {0};
        struct json json = {.out = &text}, own;
        struct json_fields places;
        struct serve_field *wanted, *fields;
        size_t wanted_count, count;
        put_object(&json, seed, true);
        js_fields_begin(&own, &places, &bare);
        put_object(&own, seed, false);
        js_fields_end(&own, &arena, &fields, &count);
        assert_int_equal(serve_to_fields(buf_str(&text), &arena, &wanted, &wanted_count, NULL),
                         KOL_OK);
        assert_int_equal(count, wanted_count);
        for (size_t i = 0; i < count; i++) {
            if (!str_equal(fields[i].name, wanted[i].name) ||
                !str_equal(fields[i].value, wanted[i].value)) {
                fail_msg("seed %llu: %.*s is '%.*s' of %s", (unsigned long long)seed,
                         STR_FORMAT(fields[i].name), STR_FORMAT(fields[i].value), text.ptr);
            }
        }
        buf_free(&text);
        buf_free(&bare);
        arena_reset(&arena);
    }
    arena_free(&arena);
}

static void cut(const char *text, const char *platform, const char *id)
{
    struct str got_platform, got_id;
    api_cut_id(str_of(text), &got_platform, &got_id);
    assert_true(str_is(got_platform, platform));
    assert_true(str_is(got_id, id));
}

static void test_an_id_is_cut_behind_a_known_platform_only(void **state)
{
    (void)state;
    cut("alice", "", "alice");
    cut("tiktok:alice", "tiktok", "alice");
    cut("tiktok:alice:bob", "tiktok", "alice:bob");
    cut("tiktok:", "tiktok", "");
    cut("facebook:alice", "", "facebook:alice");
    cut(":alice", "", ":alice");
    cut("tiktok", "", "tiktok");
    cut("TikTok:alice", "", "TikTok:alice");
}

static void test_every_table_is_sound(void **state)
{
    (void)state;
    struct kol_error err = {0};
    if (http_check(api_app(NULL), &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
}

static void test_a_profile_has_the_columns_of_the_lake(void **state)
{
    (void)state;
    size_t count;
    const struct http_field *columns = api_schema_columns("KOLProfile", &count);
    bool updated_at = false, bio = false;
    for (size_t i = 0; i < count; i++) {
        assert_true(columns[i].nullable);
        updated_at = updated_at || strcmp(columns[i].name, "updated_at") == 0;
        bio = bio || strcmp(columns[i].name, "bio") == 0; /* a member of its own already */
    }
    assert_true(updated_at);
    assert_false(bio);
    assert_true(api_profile_has(STR("favorites_count")));
    assert_true(api_profile_has(STR("scores")));
    assert_false(api_profile_has(STR("password")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commas_come_by_themselves),
        cmocka_unit_test(test_numbers_and_times),
        cmocka_unit_test(test_the_fields_are_those_of_the_json),
        cmocka_unit_test(test_an_id_is_cut_behind_a_known_platform_only),
        cmocka_unit_test(test_every_table_is_sound),
        cmocka_unit_test(test_a_profile_has_the_columns_of_the_lake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
