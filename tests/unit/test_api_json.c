/* test_api_json.c: commas, numbers, times and texts of the JSON writer; ids cut at their platform.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
        cmocka_unit_test(test_an_id_is_cut_behind_a_known_platform_only),
        cmocka_unit_test(test_every_table_is_sound),
        cmocka_unit_test(test_a_profile_has_the_columns_of_the_lake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
