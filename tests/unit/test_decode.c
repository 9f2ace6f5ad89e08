/* test_decode.c: keys, syntax and limits of an event, and the rules over all of it. */
#include "event_fixture.h"

#define TWELVE_TIMES(text) text text text text text text text text text text text text

/* Refused for its syntax, wherever the scanner sees it. */
static void refuse_syntax(struct str json)
{
    if (decode(json) == KOL_OK) {
        fail_msg("accepted: %.*s", STR_FORMAT(json));
    }
    assert_int_equal(reason.status, KOL_INVALID);
    assert_true(text_is_utf8(str_of(reason.message)));
    if (strncmp(reason.message, "not ", 4) != 0) {
        fail_msg("refused for something else: %s", reason.message);
    }
}

/* The same for one value, as that of an unknown key and of a known one. */
static void refuse_value(const char *value)
{
    struct buf json = {0};
    buf_printf(&json, PROFILE ",\"unknown\":%s}", value);
    refuse_syntax(buf_str(&json));
    buf_clear(&json);
    buf_printf(&json, PROFILE ",\"unknown\":[{\"x\":%s}]}", value);
    refuse_syntax(buf_str(&json));
    buf_clear(&json);
    buf_printf(&json, "{\"bio\":%s,\"event_type\":\"profile\"," COMMON "}", value);
    refuse_syntax(buf_str(&json));
    buf_free(&json);
}

static void test_keys_in_any_order(void **state)
{
    (void)state;
    accept("{\"followers_count\":5,\"username\":\"an\",\"event_time\":\"2025-05-14T21:17:24Z\","
           "\"platform\":\"twitter\",\"event_type\":\"profile\"}");
    assert_int_equal(event.type, EVENT_PROFILE);
    assert_int_equal(event.event_type, EVENT_PROFILE);
    assert_int_equal(event.platform, PLATFORM_TWITTER);
    assert_int_equal(event.profile.followers_count, 5);
    assert_true(event.event_time == INT64_C(1747257444000000));
    check_text(event.username, "an");
}

static void test_white_space_anywhere_between_tokens(void **state)
{
    (void)state;
    accept(" \t\r\n{ \"event_type\" :\t\"profile\" ,\r\n \"event_time\":\"2025-05-14T21:17:24Z\" , "
           "\"platform\" \n : \n \"tiktok\",    \"username\":\"an\" , \"x\" : [ ] , \"y\" : { } , "
           "\"z\":[ 1 , 2 ],\"post_count\"  :  7  } \n\t");
    assert_int_equal(event.profile.post_count, 7);
    refuse_syntax(STR("\xEF\xBB\xBF" PROFILE "}"));
    refuse_syntax(STR(PROFILE ",\v\"post_count\":7}"));
    refuse_syntax(STR(PROFILE ",\xC2\xA0\"post_count\":7}"));
    refuse_syntax(STR(PROFILE "}\0"));
    refuse_syntax(STR("\f" PROFILE "}"));
}

static void test_unknown_keys_are_skipped_with_what_is_in_them(void **state)
{
    (void)state;
    accept_profile("\"a\":{\"bio\":\"no\",\"b\":[1,-2.5e-3,\"\\u00e9\",{\"followers_count\":\"x\"},"
                   "[],{},[[]],true,false,null]},\"\":1,\"BIO\":2,\"bio \":3,\"biO\":4,"
                   "\"video_id\":[],\"price\":\"x\"");
    assert_false(event_has(&event, PROFILE_FIELD_bio));
    assert_false(event_has(&event, PROFILE_FIELD_followers_count));
}

static void test_fields_of_other_types_are_unknown_keys(void **state)
{
    (void)state;
    accept_profile("\"duration_seconds\":-1,\"tags\":7,\"comment_text\":{}");
    accept_video("\"followers_count\":-1,\"verified\":\"?\",\"signature\":3");
}

static void test_last_of_a_duplicate_counts(void **state)
{
    (void)state;
    accept_profile("\"post_count\":1,\"post_count\":2,\"bio\":\"a\",\"bio\":\"b\"");
    assert_int_equal(event.profile.post_count, 2);
    check_text(event.profile.bio, "b");
    accept_profile("\"post_count\":\"wrong\",\"post_count\":2");
    assert_int_equal(event.profile.post_count, 2);
    refuse_profile("\"post_count\":2,\"post_count\":\"wrong\"",
                   "post_count: expected an integer, got a string");
    accept_profile("\"event_type\":\"video\",\"event_type\":\"profile\"");
    accept_profile("\"p\\u006fst_count\":1,\"post_count\":2");
    assert_int_equal(event.profile.post_count, 2);
    accept_profile("\"post_count\":1,\"p\\u006fst_count\":2");
    assert_int_equal(event.profile.post_count, 2);
}

static void test_null_is_unknown_and_takes_back_what_stood_before(void **state)
{
    (void)state;
    accept_profile("\"post_count\":1,\"bio\":\"x\",\"post_count\":null");
    assert_false(event_has(&event, PROFILE_FIELD_post_count));
    assert_true(event_has(&event, PROFILE_FIELD_bio));
    accept_profile("\"post_count\":null,\"post_count\":3");
    assert_int_equal(event.profile.post_count, 3);
    refuse(PROFILE ",\"platform\":null}", "platform: missing, a profile event needs it");
    refuse(PROFILE ",\"event_type\":null}", "event_type: missing");
    refuse(PROFILE ",\"username\":null}", "username: missing, and no user_id stands in for it");
}

static void test_own_name_wins_over_accepted_names(void **state)
{
    (void)state;
    accept_profile("\"description\":\"d\",\"signature\":\"s\",\"bio\":\"b\"");
    check_text(event.profile.bio, "b");
    accept_profile("\"bio\":\"b\",\"signature\":\"s\",\"description\":\"d\"");
    check_text(event.profile.bio, "b");
    accept_profile("\"bio\":\"\",\"signature\":\"s\"");
    check_text(event.profile.bio, "");
    accept_profile("\"followers\":1,\"followers_count\":0");
    assert_int_equal(event.profile.followers_count, 0);
}

static void test_earlier_accepted_name_wins_over_a_later_one(void **state)
{
    (void)state;
    accept_profile("\"description\":\"d\",\"signature\":\"s\"");
    check_text(event.profile.bio, "s");
    accept_profile("\"signature\":\"s\",\"description\":\"d\"");
    check_text(event.profile.bio, "s");
    accept_profile("\"description\":\"d\",\"signature\":null,\"bio\":null");
    check_text(event.profile.bio, "d");
    accept_profile("\"user_id\":\" \",\"channel_id\":\"UC1\"");
    check_text(event.user_id, "UC1");
}

static void test_all_accepted_names_must_be_right(void **state)
{
    (void)state;
    refuse_profile("\"followers_count\":5,\"followers\":\"5\"",
                   "followers: expected an integer, got a string");
    refuse_profile("\"bio\":\"b\",\"description\":7",
                   "description: expected a string, got a number");
    refuse_video("\"view_count\":1,\"video_views\":-1", "video_views: -1 is below 0");
}

static void test_youtube_profile_form(void **state)
{
    (void)state;
    accept("{\"event_type\":\"profile\",\"event_time\":\"2025-05-14T21:17:24Z\","
           "\"platform\":\"youtube\",\"channel_id\":\"UC17\",\"followers\":4100000,"
           "\"total_videos\":321,\"total_views\":987654321,\"description\":\"Kênh của An\"}");
    check_text(event.user_id, "UC17");
    check_text(event_kol_id(&event), "UC17");
    check_text(event.profile.bio, "Kênh của An");
    assert_int_equal(event.profile.followers_count, 4100000);
    assert_int_equal(event.profile.post_count, 321);
    assert_int_equal(event.profile.total_views, 987654321);
}

static void test_video_counts_under_their_other_names(void **state)
{
    (void)state;
    accept_video("\"video_views\":1,\"video_likes\":2,\"video_comments\":3,\"video_shares\":4");
    assert_int_equal(event.video.view_count, 1);
    assert_int_equal(event.video.like_count, 2);
    assert_int_equal(event.video.comment_count, 3);
    assert_int_equal(event.video.share_count, 4);
    accept_video("\"description\":\"d\"");
    check_text(event.video.description, "d");
}

static void test_escapes(void **state)
{
    (void)state;
    accept_profile(
        "\"bio\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u1ec7\\u20AC\\uD83E\\uDD8A\"");
    check_text(event.profile.bio, "\"\\/\b\f\n\r\tAéệ€🦊");
    accept_profile("\"bio\":\"a\\u0000b\"");
    assert_true(str_equal(event.profile.bio, STR("a\0b")));
    accept_profile("\"bio\":\"\\uDBFF\\uDFFF\\uD800\\uDC00\\uFFFF\\uD7FF\\uE000\"");
    check_text(event.profile.bio, "\xF4\x8F\xBF\xBF\xF0\x90\x80\x80\xEF\xBF\xBF\xED\x9F\xBF"
                                  "\xEE\x80\x80");
    refuse_value("\"\\x\"");
    refuse_value("\"\\U0041\"");
    refuse_value("\"\\u004\"");
    refuse_value("\"\\u004g\"");
    refuse_value("\"\\u+041\"");
    refuse_value("\"\\'\"");
    refuse_value("\"\\\"");
    refuse_value("\"\\\n\"");
}

static void test_lone_surrogates_are_refused(void **state)
{
    (void)state;
    refuse_value("\"\\ud83e\"");
    refuse_value("\"\\udd8a\"");
    refuse_value("\"\\ud83ex\"");
    refuse_value("\"\\ud83e\\n\"");
    refuse_value("\"\\ud83e\\u0041\"");
    refuse_value("\"\\ud83e\\ud83e\"");
    refuse_value("\"\\udd8a\\ud83e\"");
    refuse_value("\"\\ud83e\\\\udd8a\"");
    refuse_syntax(STR(PROFILE ",\"k\\ud83e\":1}"));
    refuse_syntax(STR(PROFILE ",\"x\":{\"k\\udd8a\":1}}"));
}

static void test_bytes_that_are_not_utf8_are_refused_everywhere(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x80",
        "\xBF",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC3",
        "\xE1\xBB",
        "\xE0\x80\x80",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xF0\x80\x80\x80",
        "\xF0\x9F\xA6",
        "\xF5\x80\x80\x80",
        "\xF4\x90\x80\x80",
        "\xFE",
        "\xFF",
    };
    static const char *const places[] = {
        PROFILE ",\"bio\":\"%s\"}",
        PROFILE ",\"unknown\":\"%s\"}",
        PROFILE ",\"unknown%s\":1}",
        PROFILE ",\"x\":[{\"a\":\"%s\"}]}",
        PROFILE ",\"x\":[{\"%s\":1}]}",
        "{\"event_type\":\"%s\"}",
        PROFILE "%s}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        for (size_t place = 0; place < ARRAY_LEN(places); place++) {
            struct buf json = {0};
            const char *slot = strstr(places[place], "%s");
            buf_append(&json, places[place], (size_t)(slot - places[place]));
            buf_puts(&json, wrong[i]);
            buf_puts(&json, slot + 2);
            refuse_bytes(buf_str(&json), "not UTF-8");
            buf_free(&json);
        }
    }
}

static void test_control_characters_in_strings_are_refused(void **state)
{
    (void)state;
    for (char c = 1; c < 0x20; c++) {
        char value[] = {'"', 'a', c, '"', '\0'};
        refuse_value(value);
    }
    refuse_syntax(STR(PROFILE ",\"bio\":\"a\0\"}"));
    refuse_syntax(STR(PROFILE ",\"a\0\":1}"));
    refuse_syntax(STR(PROFILE ",\"x\":{\"a\nb\":1}}"));
    accept_profile("\"bio\":\"\x7f\"");
    check_text(event.profile.bio, "\x7f");
}

/* Every length puts the byte at another place of the blocks that are looked at together. */
static void test_strings_of_every_length(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 80; len++) {
        struct buf json = {0};
        char text[81] = {0};
        memset(text, 'x', len);
        buf_printf(&json, PROFILE ",\"bio\":\"%s\"}", text);
        accept_bytes(buf_str(&json));
        check_text(event.profile.bio, text);
        for (size_t at = 0; at < len; at++) {
            json.ptr[json.len - 2 - len + at] = 0x1F;
            refuse_syntax(buf_str(&json));
            json.ptr[json.len - 2 - len + at] = 'x';
        }
        buf_clear(&json);
        buf_printf(&json, "{\"%s\":\"%s\",\"x\":\"%s\"}", text, text, text);
        refuse_bytes(buf_str(&json), "event_type: missing");
        buf_free(&json);
    }
}

static void test_syntax_that_is_not_json(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",           "01",    "-",          "+1",           "1.",    ".5",      "1e",
        "1e+",        "0x10",  "1.e5",       "--1",          "-01",   "00",      "1 2",
        "nul",        "nulll", "True",       "TRUE",         "tru",   "falsE",   "NaN",
        "Infinity",   "-inf",  "'a'",        "\"a",          "a\"",   "[1,]",    "[,1]",
        "[1 2]",      "[",     "]",          "{\"a\":1,}",   "{a:1}", "{\"a\"}", "{\"a\":}",
        "{\"a\" 1}",  "{1:2}", "{,}",        "[}",           "{]",    "[1}",     "{\"a\":1]",
        "1//",        "/**/1", "\"a\"\"b\"", "[\"a\"\"b\"]", "1.5.5", "1e5e5",   "1a",
        "{\"a\"::1}",
    };
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        refuse_value(values[i]);
    }
}

static void test_texts_that_are_no_object(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",         " ",         "{",     "}",          "[]",
        "null",     "1",         "\"a\"", "{}{}",       "{} x",
        "x {}",     "[{}]",      "{{}}",  "{,}",        "{\"a\":1}}",
        "{\"a\":1", "{\"a\":[}", "{\"a",  "{\"a\":\"}", "{\"a\":1 \"b\":2}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        refuse_syntax(str_of(texts[i]));
    }
    refuse_bytes((struct str){NULL, 0}, "not a JSON object");
    refuse("{}", "event_type: missing");
}

static void test_every_shorter_text_is_refused(void **state)
{
    (void)state;
    const char *json = PROFILE ",\"bio\":\"a\\u00e9\",\"x\":[1,{\"y\":true}],\"post_count\":12}";
    accept(json);
    for (size_t len = 0; len < strlen(json); len++) {
        refuse_syntax((struct str){json, len});
    }
}

static void put_nested(struct buf *json, const char *open, const char *close, int depth)
{
    buf_puts(json, PROFILE ",\"x\":");
    for (int i = 1; i < depth; i++) {
        buf_puts(json, open);
    }
    buf_puts(json, "1");
    for (int i = 1; i < depth; i++) {
        buf_puts(json, close);
    }
    buf_puts(json, "}");
}

static void check_depth(const char *open, const char *close)
{
    struct buf json = {0};
    put_nested(&json, open, close, DECODE_MAX_DEPTH);
    accept_bytes(buf_str(&json));
    buf_clear(&json);
    put_nested(&json, open, close, DECODE_MAX_DEPTH + 1);
    refuse_syntax(buf_str(&json));
    assert_non_null(strstr(reason.message, "too many levels of arrays and objects"));
    buf_clear(&json);
    put_nested(&json, open, close, 100000);
    refuse_syntax(buf_str(&json));
    buf_free(&json);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(DECODE_MAX_DEPTH, 32);
    check_depth("[", "]");
    check_depth("{\"a\":", "}");
    accept_profile("\"a\":" TWELVE_TIMES("[") TWELVE_TIMES("]") ",\"b\":" TWELVE_TIMES("[")
                       TWELVE_TIMES("]") ",\"c\":" TWELVE_TIMES("[") TWELVE_TIMES("]"));
}

static void test_size_is_bounded(void **state)
{
    (void)state;
    struct buf json = {0};
    buf_puts(&json, PROFILE ",\"x\":\"");
    while (json.len < DECODE_MAX_BYTES - 2) {
        buf_putc(&json, 'x');
    }
    buf_puts(&json, "\"}");
    accept_bytes(buf_str(&json));
    buf_putc(&json, ' ');
    refuse_bytes(buf_str(&json), "1048577 bytes, more than the 1048576 allowed for an event");
    buf_free(&json);
}

static void test_escaped_keys_are_the_same_keys(void **state)
{
    (void)state;
    accept_profile("\"\\u0062io\":\"b\"");
    check_text(event.profile.bio, "b");
    accept("{\"\\u0065\\u0076\\u0065\\u006e\\u0074\\u005f\\u0074\\u0079\\u0070\\u0065\":"
           "\"profile\"," COMMON
           ",\"\\u0064\\u0065\\u0066\\u0061\\u0075\\u006c\\u0074\\u005f\\u0070\\u0072\\u006f"
           "\\u0066\\u0069\\u006c\\u0065\\u005f\\u0069\\u006d\\u0061\\u0067\\u0065\":true}");
    assert_true(event_has(&event, PROFILE_FIELD_default_profile_image));
    accept_profile("\"bio\\u0000\":7,\"bi\\u006f\\u0020\":8,\"\\u0042io\":9,\"\\u0000\":1");
    assert_false(event_has(&event, PROFILE_FIELD_bio));
}

static void test_keys_with_zeros_behind_a_name_are_other_keys(void **state)
{
    (void)state;
    accept_profile("\"bio\\u0000\\u0000\\u0000\\u0000\\u0000\":7");
    accept_profile("\"default_profile_image_\":7,\"default_profile_imag\":7,"
                   "\"default_profile_image_of_the_account_that_is_long\":7");
    assert_false(event_has(&event, PROFILE_FIELD_bio));
}

/* What stands where the text of a key or word is looked at together must not matter. */
static void test_last_member_is_found_at_the_very_end(void **state)
{
    (void)state;
    accept("{" COMMON ",\"event_type\":\"profile\"}");
    accept("{\"event_type\":\"profile\",\"event_time\":\"2025-05-14T21:17:24Z\","
           "\"username\":\"an\",\"platform\":\"tiktok\"}");
    accept(PROFILE ",\"bio\":\"\"}");
    assert_true(event_has(&event, PROFILE_FIELD_bio));
    accept(PROFILE ",\"label\":\"bot\"}");
    assert_int_equal(event.profile.label, LABEL_BOT);
    accept(PROFILE ",\"lang\":\"v\"}");
    check_text(event.profile.lang, "v");
    accept(PROFILE ",\"has_url\":true}");
    assert_true(event.profile.has_url);
    accept(PROFILE ",\"post_count\":1}");
    assert_int_equal(event.profile.post_count, 1);
}

static void test_event_time_must_be_near(void **state)
{
    (void)state;
    const char *early = "event_time: before 2005-01-01, which no source can be";
    const char *late = "event_time: more than 24 h ahead of this machine";
    refuse(PROFILE ",\"event_time\":\"2099-01-01T00:00:00Z\"}", late);
    refuse(PROFILE ",\"event_time\":\"1970-01-01T00:00:00Z\"}", early);
    refuse(PROFILE ",\"event_time\":\"2004-12-31T23:59:59.999999Z\"}", early);
    accept(PROFILE ",\"event_time\":\"2005-01-01T00:00:00Z\"}");
    accept(PROFILE ",\"event_time\":\"2025-06-02T00:00:00Z\"}");
    refuse(PROFILE ",\"event_time\":\"2025-06-02T00:00:00.000001Z\"}", late);
    refuse(PROFILE ",\"event_time\":\"2025-06-02T00:00:00-01:00\"}", late);
}

static void test_owner_rules(void **state)
{
    (void)state;
    refuse("{\"event_type\":\"comment\",\"event_time\":\"2025-05-14T21:17:24Z\",\"platform\":"
           "\"tiktok\",\"video_id\":\"v\",\"comment_text\":\"x\"}",
           "username: missing, and no user_id stands in for it");
    accept("{\"event_type\":\"comment\",\"event_time\":\"2025-05-14T21:17:24Z\",\"platform\":"
           "\"tiktok\",\"video_id\":\"v\",\"comment_text\":\"\",\"user_id\":17}");
    accept("{\"event_type\":\"video\",\"event_time\":\"2025-05-14T21:17:24Z\",\"platform\":"
           "\"youtube\",\"video_id\":\"v\"}");
    refuse("{\"event_type\":\"video\",\"event_time\":\"2025-05-14T21:17:24Z\",\"platform\":"
           "\"youtube\"}",
           "video_id: missing, a video event needs it");
}

static void test_reason_names_the_byte(void **state)
{
    (void)state;
    refuse(" {\"a\":tru}", "not JSON: a word that is not true, false or null at byte 6");
    refuse("{\"a\":01}", "not JSON: a number with a zero in front at byte 5");
}

static void test_reason_may_be_unwanted(void **state)
{
    (void)state;
    struct event unused;
    assert_int_equal(event_decode(STR("{\"a\":tru}"), NOW, &arena, &unused, NULL), KOL_INVALID);
    assert_int_equal(event_decode(STR("{\"event_type\":7}"), NOW, &arena, &unused, NULL),
                     KOL_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_in_any_order),
        cmocka_unit_test(test_white_space_anywhere_between_tokens),
        cmocka_unit_test(test_unknown_keys_are_skipped_with_what_is_in_them),
        cmocka_unit_test(test_fields_of_other_types_are_unknown_keys),
        cmocka_unit_test(test_last_of_a_duplicate_counts),
        cmocka_unit_test(test_null_is_unknown_and_takes_back_what_stood_before),
        cmocka_unit_test(test_own_name_wins_over_accepted_names),
        cmocka_unit_test(test_earlier_accepted_name_wins_over_a_later_one),
        cmocka_unit_test(test_all_accepted_names_must_be_right),
        cmocka_unit_test(test_youtube_profile_form),
        cmocka_unit_test(test_video_counts_under_their_other_names),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_lone_surrogates_are_refused),
        cmocka_unit_test(test_bytes_that_are_not_utf8_are_refused_everywhere),
        cmocka_unit_test(test_control_characters_in_strings_are_refused),
        cmocka_unit_test(test_strings_of_every_length),
        cmocka_unit_test(test_syntax_that_is_not_json),
        cmocka_unit_test(test_texts_that_are_no_object),
        cmocka_unit_test(test_every_shorter_text_is_refused),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_size_is_bounded),
        cmocka_unit_test(test_escaped_keys_are_the_same_keys),
        cmocka_unit_test(test_keys_with_zeros_behind_a_name_are_other_keys),
        cmocka_unit_test(test_last_member_is_found_at_the_very_end),
        cmocka_unit_test(test_event_time_must_be_near),
        cmocka_unit_test(test_owner_rules),
        cmocka_unit_test(test_reason_names_the_byte),
        cmocka_unit_test(test_reason_may_be_unwanted),
    };
    return cmocka_run_group_tests(tests, NULL, teardown_events);
}
