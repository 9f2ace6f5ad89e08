/* test_encode.c: canonical bytes, ids made from them, and records of kol.dead both ways. */
#include "event_fixture.h"

/* The canonical form of `event`; lives until the next call. */
static const char *encoded(void)
{
    static struct buf out;
    buf_clear(&out);
    event_encode(&out, &event);
    return out.ptr;
}

/* Decodes and wants the canonical form, which must mean the same again. */
static void check_canonical(const char *json, const char *canonical)
{
    accept(json);
    assert_string_equal(encoded(), canonical);
    accept(canonical);
    assert_string_equal(encoded(), canonical);
}

static void test_discovery_in_the_order_of_the_table(void **state)
{
    (void)state;
    check_canonical("{\"niche_hint\":\"food\",\"keyword\":\"an vat\",\"source\":\"crawler-1\","
                    "\"caption\":\"ngon\",\"video_url\":\"https://t/v/1\",\"video_id\":\"v1\","
                    "\"user_id\":\"17\",\"username\":\"an\",\"platform\":\"tiktok\","
                    "\"event_type\":\"discovery\",\"event_time\":\"2025-05-14T21:17:24Z\","
                    "\"event_id\":\"e1\"}",
                    "{\"event_id\":\"e1\",\"event_time\":\"2025-05-14T21:17:24Z\","
                    "\"event_type\":\"discovery\",\"platform\":\"tiktok\",\"username\":\"an\","
                    "\"user_id\":\"17\",\"video_id\":\"v1\",\"video_url\":\"https://t/v/1\","
                    "\"caption\":\"ngon\",\"source\":\"crawler-1\",\"keyword\":\"an vat\","
                    "\"niche_hint\":\"food\"}");
}

static void test_refresh_keeps_its_type(void **state)
{
    (void)state;
    check_canonical("{\"event_id\":\"e1\",\"event_type\":\"REFRESH\"," COMMON "}",
                    "{\"event_id\":\"e1\",\"event_time\":\"2025-05-14T21:17:24Z\","
                    "\"event_type\":\"refresh\",\"platform\":\"tiktok\",\"username\":\"an\"}");
}

static void test_profile_in_the_order_of_the_table(void **state)
{
    (void)state;
    check_canonical(
        PROFILE ",\"event_id\":\"e1\",\"label\":\"Bot\",\"location\":\"Huế\",\"lang\":\"vi\","
                "\"category\":\"food\",\"account_age_days\":365,\"bio_length\":0,"
                "\"has_profile_image\":true,\"has_url\":false,\"has_bio\":false,"
                "\"default_profile_image\":false,\"default_profile\":true,"
                "\"account_created_at\":\"2024-05-14T00:00:00+07:00\",\"total_views\":9,"
                "\"favorites_count\":8,\"post_count\":7,\"following_count\":6,"
                "\"followers_count\":5,\"likes_raw\":\"8\",\"following_raw\":\"6\","
                "\"followers_raw\":5,\"verified\":true,\"profile_url\":\"p\",\"avatar_url\":\"a\","
                "\"bio\":\"\",\"nickname\":\"Ân\"}",
        "{\"event_id\":\"e1\",\"event_time\":\"2025-05-14T21:17:24Z\",\"event_type\":\"profile\","
        "\"platform\":\"tiktok\",\"username\":\"an\",\"nickname\":\"Ân\",\"bio\":\"\","
        "\"avatar_url\":\"a\",\"profile_url\":\"p\",\"verified\":true,\"followers_raw\":\"5\","
        "\"following_raw\":\"6\",\"likes_raw\":\"8\",\"followers_count\":5,\"following_count\":6,"
        "\"post_count\":7,\"favorites_count\":8,\"total_views\":9,"
        "\"account_created_at\":\"2024-05-13T17:00:00Z\",\"default_profile\":true,"
        "\"default_profile_image\":false,\"has_bio\":false,\"has_url\":false,"
        "\"has_profile_image\":true,\"bio_length\":0,\"account_age_days\":365,"
        "\"category\":\"food\",\"lang\":\"vi\",\"location\":\"Huế\",\"label\":\"bot\"}");
}

static void test_video_in_the_order_of_the_table(void **state)
{
    (void)state;
    check_canonical(
        VIDEO ",\"event_id\":\"e1\",\"duration_seconds\":60,\"share_count\":4,\"video_comments\":3,"
              "\"like_count_raw\":\"1,2K\",\"view_count\":9223372036854775807,"
              "\"posted_at\":\"2025-05-01T00:00:00.5Z\",\"tags\":[\"#a\",\"\",\"b\"],"
              "\"content_type\":\"short\",\"description\":\"d\",\"caption\":\"c\",\"title\":\"t\","
              "\"video_url\":\"u\"}",
        "{\"event_id\":\"e1\",\"event_time\":\"2025-05-14T21:17:24Z\",\"event_type\":\"video\","
        "\"platform\":\"tiktok\",\"username\":\"an\",\"video_id\":\"v1\",\"video_url\":\"u\","
        "\"title\":\"t\",\"caption\":\"c\",\"description\":\"d\",\"content_type\":\"short\","
        "\"tags\":[\"a\",\"b\"],\"posted_at\":\"2025-05-01T00:00:00.500000Z\","
        "\"like_count_raw\":\"1,2K\",\"view_count\":9223372036854775807,\"like_count\":1200,"
        "\"comment_count\":3,\"share_count\":4,\"duration_seconds\":60}");
}

static void test_comment_in_the_order_of_the_table(void **state)
{
    (void)state;
    check_canonical("{\"commenter\":\"binh\",\"comment_text\":\"hay\",\"video_url\":\"u\","
                    "\"video_id\":17,\"event_id\":\"e1\",\"event_type\":\"comment\"," COMMON "}",
                    "{\"event_id\":\"e1\",\"event_time\":\"2025-05-14T21:17:24Z\","
                    "\"event_type\":\"comment\",\"platform\":\"tiktok\",\"username\":\"an\","
                    "\"video_id\":\"17\",\"video_url\":\"u\",\"comment_text\":\"hay\","
                    "\"commenter\":\"binh\"}");
}

static void test_product_in_the_order_of_the_table(void **state)
{
    (void)state;
    check_canonical(
        PRODUCT ",\"event_id\":\"e1\",\"est_ctr\":0.015,\"est_clicks\":12.5,"
                "\"engagement_rate\":0.1,\"engagement_total\":6,\"video_shares\":4,"
                "\"video_comments\":3,\"video_likes\":2,\"video_views\":1,"
                "\"sold_count_raw\":\"1.2K\",\"keyword\":\"k\",\"product_url\":\"u\","
                "\"currency\":\"VND\",\"price\":150000,\"seller_id\":\"s\","
                "\"product_title\":\"t\",\"product_id\":\"p\",\"video_id\":\"v\"}",
        "{\"event_id\":\"e1\",\"event_time\":\"2025-05-14T21:17:24Z\",\"event_type\":\"product\","
        "\"platform\":\"tiktok\",\"username\":\"an\",\"video_id\":\"v\",\"product_id\":\"p\","
        "\"product_title\":\"t\",\"seller_id\":\"s\",\"price\":150000,\"currency\":\"VND\","
        "\"product_url\":\"u\",\"keyword\":\"k\",\"sold_count_raw\":\"1.2K\",\"sold_count\":1200,"
        "\"video_views\":1,\"video_likes\":2,\"video_comments\":3,\"video_shares\":4,"
        "\"engagement_total\":6,\"engagement_rate\":0.1,\"est_clicks\":12.5,\"est_ctr\":0.015}");
}

static void test_empty_list_and_empty_text_are_kept(void **state)
{
    (void)state;
    check_canonical(VIDEO ",\"event_id\":\"e1\",\"tags\":[],\"caption\":\"\"}",
                    "{\"event_id\":\"e1\",\"event_time\":\"2025-05-14T21:17:24Z\","
                    "\"event_type\":\"video\",\"platform\":\"tiktok\",\"username\":\"an\","
                    "\"video_id\":\"v1\",\"caption\":\"\",\"tags\":[]}");
}

/* The canonical form of a profile that has nothing but this bio. */
static void check_bio(struct str bio, const char *as_json)
{
    event = (struct event){.type = EVENT_PROFILE};
    event.profile.bio = bio;
    event_know(&event, PROFILE_FIELD_bio);
    struct buf wanted = {0};
    buf_printf(&wanted, "{\"bio\":\"%s\"}", as_json);
    assert_string_equal(encoded(), wanted.ptr);
    buf_free(&wanted);
}

static void test_texts_are_escaped_as_little_as_allowed(void **state)
{
    (void)state;
    check_bio(STR(""), "");
    check_bio((struct str){NULL, 0}, "");
    check_bio(STR("a\"b\\c/d"), "a\\\"b\\\\c/d");
    check_bio(STR("\b\t\n\f\r"), "\\b\\t\\n\\f\\r");
    check_bio(STR("\x01\x0b\x1f\x7f"), "\\u0001\\u000b\\u001f\x7f");
    check_bio(STR("a\0b"), "a\\u0000b");
    check_bio(STR("Nguyễn Thị Ánh 🦊👩‍👩‍👧"),
              "Nguyễn Thị Ánh 🦊👩‍👩‍👧");
    check_bio(STR("\xE2\x80\xA8\xEF\xBF\xBF\xF4\x8F\xBF\xBF"),
              "\xE2\x80\xA8\xEF\xBF\xBF\xF4\x8F\xBF\xBF");
}

static void test_escapes_at_every_place_of_a_text(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 70; len++) {
        for (size_t at = 0; at < len; at++) {
            char text[80], wanted[90];
            memset(text, 'x', len);
            memset(wanted, 'x', len + 1);
            text[at] = '\n';
            memcpy(wanted + at, "\\n", 2);
            wanted[len + 1] = '\0';
            check_bio((struct str){text, len}, wanted);
        }
    }
}

static void check_price(double price, const char *wanted)
{
    char json[64];
    event = (struct event){.type = EVENT_PRODUCT};
    event.product.price = price;
    event_know(&event, PRODUCT_FIELD_price);
    snprintf(json, sizeof json, "{\"price\":%s}", wanted);
    assert_string_equal(encoded(), json);
}

static void test_doubles_in_their_shortest_exact_form(void **state)
{
    (void)state;
    check_price(0, "0");
    check_price(0.1, "0.1");
    check_price(0.1 + 0.2, "0.30000000000000004");
    check_price(1.0 / 3, "0.3333333333333333");
    check_price(150000, "150000");
    check_price(12.5, "12.5");
    check_price(9007199254740991.0, "9007199254740991");
}

static void test_doubles_read_back_as_they_were(void **state)
{
    (void)state;
    static const double values[] = {
        5e-324,     2.2250738585072014e-308, 1e-7, 1e15, 999999999999999.9, 1e-300, 0.1,
        123456.789, 1.7976931348623157e308};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        event = (struct event){.type = EVENT_PRODUCT};
        event.product.price = values[i];
        event_know(&event, PRODUCT_FIELD_price);
        const char *json = encoded();
        assert_true(strtod(json + strlen("{\"price\":"), NULL) == values[i]);
    }
}

static void check_posted_at(int64_t time_us, const char *wanted)
{
    char json[64];
    event = (struct event){.type = EVENT_VIDEO};
    event.video.posted_at = time_us;
    event_know(&event, VIDEO_FIELD_posted_at);
    snprintf(json, sizeof json, "{\"posted_at\":\"%s\"}", wanted);
    assert_string_equal(encoded(), json);
}

static void test_times_with_a_fraction_only_where_there_is_one(void **state)
{
    (void)state;
    check_posted_at(0, "1970-01-01T00:00:00Z");
    check_posted_at(INT64_C(1747257444000000), "2025-05-14T21:17:24Z");
    check_posted_at(INT64_C(1747257444000001), "2025-05-14T21:17:24.000001Z");
    check_posted_at(INT64_C(1747257444500000), "2025-05-14T21:17:24.500000Z");
    check_posted_at(-1, "1969-12-31T23:59:59.999999Z");
    check_posted_at(INT64_C(-62167219200000000), "0000-01-01T00:00:00Z");
    check_posted_at(INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z");
}

static void test_integers_up_to_64_bits(void **state)
{
    (void)state;
    event = (struct event){.type = EVENT_VIDEO};
    event.video.view_count = INT64_MAX;
    event_know(&event, VIDEO_FIELD_view_count);
    assert_string_equal(encoded(), "{\"view_count\":9223372036854775807}");
}

static void test_event_is_appended(void **state)
{
    (void)state;
    struct buf out = {0};
    event = (struct event){.type = EVENT_VIDEO};
    event.video.view_count = 5;
    event_know(&event, VIDEO_FIELD_view_count);
    event_encode(&out, &event);
    buf_putc(&out, '\n');
    event_encode(&out, &event);
    assert_string_equal(out.ptr, "{\"view_count\":5}\n{\"view_count\":5}");
    assert_int_equal(out.len, strlen(out.ptr));
    buf_free(&out);
}

static const char *id_of_event(void)
{
    static char id[256];
    snprintf(id, sizeof id, "%.*s", STR_FORMAT(event.event_id));
    return id;
}

/* xxhash.xxh3_128_hexdigest() of Python's package, over the canonical bytes
 * {"event_time":"2025-05-14T21:17:24Z","event_type":"profile","platform":"tiktok",
 * "username":"an","bio":"Xin chào \"bạn\" 🦊","followers_count":4123456}, the two lines as
 * one.
 */
static const char vector_id[] = "73cd74dd7fd9866e211391f8825910b4";

static void test_content_id_is_the_one_that_python_makes(void **state)
{
    (void)state;
    struct buf id = {0}, scratch = {0};
    accept(PROFILE ",\"bio\":\"Xin chào \\\"bạn\\\" 🦊\",\"followers_count\":4123456}");
    assert_string_equal(id_of_event(), vector_id);
    buf_puts(&id, "id=");
    buf_puts(&scratch, "what was here before");
    event_put_content_id(&id, &event, &scratch);
    assert_true(str_starts(buf_str(&id), STR("id=")));
    assert_string_equal(id.ptr + 3, vector_id);
    buf_free(&id);
    buf_free(&scratch);
}

static void test_content_id_depends_on_what_is_said_alone(void **state)
{
    (void)state;
    accept("{\"followers\":4123456.0, \"username\":\" @an\", \"x\":{\"y\":[1,null]},\n"
           "\"signature\":\"Xin ch\\u00e0o \\\"b\\u1ea1n\\\" \\ud83e\\udd8a\","
           "\"platform\":\"TikTok\",\"event_time\":\"2025-05-15T04:17:24.000+07:00\","
           "\"event_id\":null,\"event_type\":\"Profile\",\"lang\":null}");
    assert_string_equal(id_of_event(), vector_id);
    accept(PROFILE ",\"event_id\":\"  \",\"bio\":\"Xin chào \\\"bạn\\\" 🦊\","
                   "\"followers_count\":4123456}");
    assert_string_equal(id_of_event(), vector_id);
}

static void test_given_id_is_kept_and_no_part_of_the_content(void **state)
{
    (void)state;
    struct buf id = {0}, scratch = {0};
    accept(PROFILE ",\"event_id\":\"mine\",\"bio\":\"Xin chào \\\"bạn\\\" 🦊\","
                   "\"followers_count\":4123456}");
    assert_string_equal(id_of_event(), "mine");
    event_put_content_id(&id, &event, &scratch);
    assert_string_equal(id.ptr, vector_id);
    buf_free(&id);
    buf_free(&scratch);
}

static void test_other_content_has_another_id(void **state)
{
    (void)state;
    accept(PROFILE ",\"bio\":\"Xin chào \\\"bạn\\\" 🦊\",\"followers_count\":4123457}");
    assert_string_not_equal(id_of_event(), vector_id);
    accept(PROFILE ",\"bio\":\"\"}");
    char with_blank_bio[256];
    snprintf(with_blank_bio, sizeof with_blank_bio, "%s", id_of_event());
    accept(PROFILE ",\"bio\":null}");
    assert_string_not_equal(id_of_event(), with_blank_bio);
}

static void test_content_id_of_a_large_event(void **state)
{
    (void)state;
    struct buf json = {0}, id = {0}, scratch = {0};
    buf_puts(&json, PROFILE ",\"bio\":\"");
    for (int i = 0; i < 6000; i++) {
        buf_puts(&json, "\\u0001abc\\n");
    }
    buf_puts(&json, "\"}");
    accept_bytes(buf_str(&json));
    event_put_content_id(&id, &event, &scratch);
    assert_string_equal(id_of_event(), id.ptr);
    assert_int_equal(id.len, 32);
    buf_free(&json);
    buf_free(&id);
    buf_free(&scratch);
}

static void check_dead(const struct dead_letter *dead, const char *json)
{
    struct buf out = {0};
    struct dead_letter back;
    memset(&back, 0xA5, sizeof back);
    dead_letter_encode(&out, dead);
    assert_string_equal(out.ptr, json);
    arena_reset(&arena);
    assert_int_equal(dead_letter_decode(buf_str(&out), &arena, &back, &reason), KOL_OK);
    assert_true(str_equal(back.topic, dead->topic));
    assert_int_equal(back.partition, dead->partition);
    assert_int_equal(back.offset, dead->offset);
    assert_true(str_equal(back.file, dead->file));
    assert_int_equal(back.line, dead->line);
    assert_true(str_equal(back.reason, dead->reason));
    assert_true(str_equal(back.bytes, dead->bytes));
    assert_true(back.time_us == dead->time_us);
    buf_free(&out);
}

static void test_dead_letter_of_the_log(void **state)
{
    (void)state;
    struct dead_letter dead = {.topic = STR("kol.videos.raw"),
                               .partition = 3,
                               .offset = INT64_C(9223372036854775807),
                               .reason = STR("not JSON: \"x\""),
                               .bytes = STR("{\"a\":\n\"ệ\\u0000\"\0"),
                               .time_us = NOW};
    check_dead(&dead, "{\"topic\":\"kol.videos.raw\",\"partition\":3,"
                      "\"offset\":9223372036854775807,\"reason\":\"not JSON: \\\"x\\\"\","
                      "\"time\":\"2025-06-01T00:00:00Z\","
                      "\"bytes\":\"{\\\"a\\\":\\n\\\"ệ\\\\u0000\\\"\\u0000\"}");
}

static void test_dead_letter_of_a_file_in_base64(void **state)
{
    (void)state;
    struct dead_letter dead = {.partition = -1,
                               .offset = -1,
                               .file = STR("/data/v.csv"),
                               .line = 17,
                               .reason = STR("not UTF-8"),
                               .bytes = STR("\xff\xfe\0a"),
                               .time_us = NOW + 1};
    check_dead(&dead, "{\"file\":\"/data/v.csv\",\"line\":17,\"reason\":\"not UTF-8\","
                      "\"time\":\"2025-06-01T00:00:00.000001Z\",\"bytes_base64\":\"//4AYQ==\"}");
}

static void test_dead_letter_without_bytes_and_at_the_first_offset(void **state)
{
    (void)state;
    struct dead_letter dead = {.topic = STR("kol.dead"), .reason = STR("empty"), .time_us = NOW};
    check_dead(&dead, "{\"topic\":\"kol.dead\",\"partition\":0,\"offset\":0,\"reason\":\"empty\","
                      "\"time\":\"2025-06-01T00:00:00Z\",\"bytes\":\"\"}");
}

static void test_dead_letter_is_utf8_whatever_a_file_is_called(void **state)
{
    (void)state;
    struct buf out = {0};
    struct dead_letter dead = {.partition = -1,
                               .offset = -1,
                               .file = STR("a\xff"
                                           "ệ\xe1\xbb"),
                               .line = 1,
                               .reason = STR("\x80"),
                               .time_us = NOW};
    dead_letter_encode(&out, &dead);
    assert_string_equal(out.ptr, "{\"file\":\"a\xEF\xBF\xBDệ\xEF\xBF\xBD\xEF\xBF\xBD\",\"line\":1,"
                                 "\"reason\":\"\xEF\xBF\xBD\",\"time\":\"2025-06-01T00:00:00Z\","
                                 "\"bytes\":\"\"}");
    buf_free(&out);
}

static void refuse_dead(const char *json, const char *wanted)
{
    struct dead_letter out;
    arena_reset(&arena);
    assert_int_equal(dead_letter_decode(str_of(json), &arena, &out, &reason), KOL_INVALID);
    assert_string_equal(reason.message, wanted);
}

static void test_records_that_are_no_dead_letters(void **state)
{
    (void)state;
    const char *time = "time: missing, or no time of RFC 3339";
    refuse_dead("[]", "not a JSON object");
    refuse_dead("{}", time);
    refuse_dead("{\"time\":\"yesterday\",\"bytes\":\"\"}", time);
    refuse_dead("{\"time\":\"2025-06-01T00:00:00Z\"}", "bytes: missing");
    refuse_dead("{\"time\":\"2025-06-01T00:00:00Z\",\"bytes\":7}", "bytes: expected a string");
    refuse_dead("{\"time\":\"2025-06-01T00:00:00Z\",\"bytes_base64\":\"?\"}",
                "bytes_base64: no base64");
    refuse_dead("{\"time\":\"2025-06-01T00:00:00Z\",\"bytes\":\"\",\"partition\":-1}",
                "partition: expected an integer, 0 or more");
    refuse_dead("{\"time\":\"2025-06-01T00:00:00Z\",\"bytes\":\"\",\"partition\":2147483648}",
                "partition: expected an integer, 0 or more");
    refuse_dead("{\"time\":\"2025-06-01T00:00:00Z\",\"bytes\":\"\",\"offset\":1.0}",
                "offset: expected an integer, 0 or more");
    refuse_dead("{\"topic\":[],\"offset\":true}", "topic: expected a string");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovery_in_the_order_of_the_table),
        cmocka_unit_test(test_refresh_keeps_its_type),
        cmocka_unit_test(test_profile_in_the_order_of_the_table),
        cmocka_unit_test(test_video_in_the_order_of_the_table),
        cmocka_unit_test(test_comment_in_the_order_of_the_table),
        cmocka_unit_test(test_product_in_the_order_of_the_table),
        cmocka_unit_test(test_empty_list_and_empty_text_are_kept),
        cmocka_unit_test(test_texts_are_escaped_as_little_as_allowed),
        cmocka_unit_test(test_escapes_at_every_place_of_a_text),
        cmocka_unit_test(test_doubles_in_their_shortest_exact_form),
        cmocka_unit_test(test_doubles_read_back_as_they_were),
        cmocka_unit_test(test_times_with_a_fraction_only_where_there_is_one),
        cmocka_unit_test(test_integers_up_to_64_bits),
        cmocka_unit_test(test_event_is_appended),
        cmocka_unit_test(test_content_id_is_the_one_that_python_makes),
        cmocka_unit_test(test_content_id_depends_on_what_is_said_alone),
        cmocka_unit_test(test_given_id_is_kept_and_no_part_of_the_content),
        cmocka_unit_test(test_other_content_has_another_id),
        cmocka_unit_test(test_content_id_of_a_large_event),
        cmocka_unit_test(test_dead_letter_of_the_log),
        cmocka_unit_test(test_dead_letter_of_a_file_in_base64),
        cmocka_unit_test(test_dead_letter_without_bytes_and_at_the_first_offset),
        cmocka_unit_test(test_dead_letter_is_utf8_whatever_a_file_is_called),
        cmocka_unit_test(test_records_that_are_no_dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, teardown_events);
}
