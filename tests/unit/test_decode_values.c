/* test_decode_values.c: what each kind of field takes, keeps and refuses, from JSON and from cells.
 */
#include "event_fixture.h"

static void test_count_strings_stand_in_for_numbers(void **state)
{
    (void)state;
    accept_profile("\"followers_raw\":\"4.1M\"");
    assert_int_equal(event.profile.followers_count, 4100000);
    check_text(event.profile.followers_raw, "4.1M");
    accept_profile("\"followers_raw\":\"4.1M\",\"followers_count\":4123456");
    assert_int_equal(event.profile.followers_count, 4123456);
    accept_profile("\"followers\":4123456,\"followers_raw\":\"4.1M\"");
    assert_int_equal(event.profile.followers_count, 4123456);
    accept_profile("\"followers_raw\":\"4.1M\",\"followers_count\":null");
    assert_int_equal(event.profile.followers_count, 4100000);
    accept_profile("\"followers_raw\":1234");
    assert_int_equal(event.profile.followers_count, 1234);
    check_text(event.profile.followers_raw, "1234");
    accept_profile("\"followers_raw\":\"N/A\"");
    assert_false(event_has(&event, PROFILE_FIELD_followers_count));
    check_text(event.profile.followers_raw, "N/A");
    accept_profile("\"followers_raw\":-5,\"likes_raw\":\"\"");
    assert_false(event_has(&event, PROFILE_FIELD_followers_count));
    assert_true(event_has(&event, PROFILE_FIELD_likes_raw));
    refuse_profile("\"followers_raw\":1.5",
                   "followers_raw: expected a string or an integer, got a number");
    refuse_profile("\"followers_raw\":true",
                   "followers_raw: expected a string or an integer, got a boolean");
}

static void check_integer(const char *number, int64_t wanted)
{
    char member[128];
    snprintf(member, sizeof member, "\"post_count\":%s", number);
    accept_profile(member);
    assert_true(event_has(&event, PROFILE_FIELD_post_count));
    if (event.profile.post_count != wanted) {
        fail_msg("%s is %lld", number, (long long)event.profile.post_count);
    }
}

static void check_no_integer(const char *number, const char *wanted)
{
    char member[128], why[256];
    snprintf(member, sizeof member, "\"post_count\":%s", number);
    snprintf(why, sizeof why, "post_count: %s", wanted);
    refuse_profile(member, why);
}

static void test_integers_are_exact(void **state)
{
    (void)state;
    check_integer("3", 3);
    check_integer("3.0", 3);
    check_integer("3e0", 3);
    check_integer("3E+0", 3);
    check_integer("30e-1", 3);
    check_integer("0.3e1", 3);
    check_integer("0", 0);
    check_integer("-0", 0);
    check_integer("-0.0e9", 0);
    check_integer("0e999999999999", 0);
    check_integer("1e18", INT64_C(1000000000000000000));
    check_integer("123456789012345678", INT64_C(123456789012345678));
    check_integer("1234567890123456789", INT64_C(1234567890123456789));
    check_integer("9007199254740993", INT64_C(9007199254740993));
    check_integer("9007199254740993.0", INT64_C(9007199254740993));
    check_integer("9223372036854775807", INT64_MAX);
    check_integer("9223372036854775807.000", INT64_MAX);
    check_integer("922337203685477580.7e1", INT64_MAX);
    check_integer("9223372036854775807000000e-6", INT64_MAX);
    check_integer("12345678", 12345678);
    check_integer("123456789", 123456789);
    check_integer("1234567", 1234567);
}

static void test_numbers_that_are_no_such_integer(void **state)
{
    (void)state;
    check_no_integer("-1", "-1 is below 0");
    check_no_integer("-9223372036854775808", "-9223372036854775808 is below 0");
    check_no_integer("-1.0", "-1 is below 0");
    check_no_integer("1.5", "\"1.5\" is no integer");
    check_no_integer("15e-1", "\"15e-1\" is no integer");
    check_no_integer("1e-400", "\"1e-400\" is no integer");
    check_no_integer("3.0000000000000000000000001",
                     "\"3.0000000000000000000000001\" is no integer");
    check_no_integer("9223372036854775808", "\"9223372036854775808\" is too large");
    check_no_integer("-9223372036854775809", "\"-9223372036854775809\" is too large");
    check_no_integer("1e19", "\"1e19\" is too large");
    check_no_integer("1e99999999999999999999", "\"1e99999999999999999999\" is too large");
    check_no_integer("18446744073709551621", "\"18446744073709551621\" is too large");
    check_no_integer("\"5\"", "expected an integer, got a string");
    check_no_integer("true", "expected an integer, got a boolean");
    check_no_integer("[5]", "expected an integer, got an array");
    check_no_integer("{}", "expected an integer, got an object");
}

static void test_bounds_of_integers(void **state)
{
    (void)state;
    accept_profile("\"bio_length\":1000000,\"account_age_days\":36500");
    refuse_profile("\"bio_length\":1000001", "bio_length: 1000001 is above 1000000");
    refuse_profile("\"bio_length\":1000001.0", "bio_length: 1000001 is above 1000000");
    refuse_profile("\"account_age_days\":36501", "account_age_days: 36501 is above 36500");
    accept_video("\"duration_seconds\":31536000");
    refuse_video("\"duration_seconds\":31536001", "duration_seconds: 31536001 is above 31536000");
}

static void test_numbers_are_those_that_strtod_reads(void **state)
{
    (void)state;
    accept_product("\"price\":0.1,\"est_ctr\":1e-7,\"est_clicks\":123456789012345,"
                   "\"engagement_rate\":5e-324");
    assert_true(event.product.price == 0.1);
    assert_true(event.product.est_ctr == 1e-7);
    assert_true(event.product.engagement_rate == 5e-324);
    accept_product("\"price\":1e15,\"engagement_rate\":1E+9");
    assert_true(event.product.price == 1e15);
    accept_product("\"price\":-0.0");
    assert_true(event.product.price == 0 && !__builtin_signbit(event.product.price));
    accept_product("\"price\":-0");
    assert_true(!__builtin_signbit(event.product.price));
    refuse_product("\"price\":-0.5", "price: -0.5 is not between 0 and 1e+15");
    refuse_product("\"price\":1.1e15", "price: 1.1e+15 is not between 0 and 1e+15");
    refuse_product("\"price\":1e999", "price: \"1e999\" is no number that a double holds");
    refuse_product("\"price\":\"5\"", "price: expected a number, got a string");
    refuse_product("\"price\":false", "price: expected a number, got a boolean");
    accept_product("\"price\":null");
    assert_false(event_has(&event, PRODUCT_FIELD_price));
}

static void test_booleans(void **state)
{
    (void)state;
    accept_profile("\"verified\":true,\"has_bio\":false");
    assert_true(event.profile.verified);
    assert_false(event.profile.has_bio);
    assert_true(event_has(&event, PROFILE_FIELD_has_bio));
    refuse_profile("\"verified\":1", "verified: expected true or false, got a number");
    refuse_profile("\"verified\":\"true\"", "verified: expected true or false, got a string");
}

static void check_username(const char *value, const char *wanted)
{
    struct buf json = {0};
    buf_printf(&json, PROFILE ",\"user_id\":\"u\",\"username\":%s}", value);
    accept_bytes(buf_str(&json));
    buf_free(&json);
    assert_int_equal(event_has(&event, COMMON_FIELD_username), wanted != NULL);
    if (wanted) {
        check_text(event.username, wanted);
    }
}

static void test_names_are_trimmed_and_lose_their_at(void **state)
{
    (void)state;
    check_username("\"an\"", "an");
    check_username("\"  an \\t\"", "an");
    check_username("\"@an\"", "an");
    check_username("\" @ an\"", "an");
    check_username("\"@@an@\"", "an@");
    check_username("\"\\u0040an\"", "an");
    check_username("\"an\\n\"", "an");
    check_username("\"a n\"", "a n");
    check_username("\"Nguyễn\"", "Nguyễn");
    check_username("\"\"", NULL);
    check_username("\"@\"", NULL);
    check_username("\" @ @ \"", NULL);
    refuse_profile("\"username\":17", "username: expected a string, got a number");
}

static void test_ids_are_strings_or_integers_as_written(void **state)
{
    (void)state;
    accept_video("\"video_id\":7234567890123456789012345");
    check_text(event.video.video_id, "7234567890123456789012345");
    accept_video("\"video_id\":\" @x \"");
    check_text(event.video.video_id, "@x");
    accept_video("\"video_id\":-0");
    check_text(event.video.video_id, "-0");
    refuse_video("\"video_id\":1.0", "video_id: expected a string or an integer, got a number");
    refuse_video("\"video_id\":1e5", "video_id: expected a string or an integer, got a number");
    refuse_video("\"video_id\":[]", "video_id: expected a string or an integer, got an array");
    refuse_video("\"video_id\":\" \\n\"", "video_id: missing, a video event needs it");
    refuse_video("\"video_id\":\"\"", "video_id: missing, a video event needs it");
}

static void test_choices_in_any_case(void **state)
{
    (void)state;
    accept_profile("\"label\":\"BOT\",\"platform\":\"YouTube\",\"event_type\":\"PROFILE\"");
    assert_int_equal(event.profile.label, LABEL_BOT);
    assert_int_equal(event.platform, PLATFORM_YOUTUBE);
    accept_profile("\"label\":\"hum\\u0061n\"");
    assert_int_equal(event.profile.label, LABEL_HUMAN);
    refuse_profile("\"label\":\"human \"", "label: \"human \" is none of: human bot");
    refuse_profile("\"label\":\"\"", "label: \"\" is none of: human bot");
    refuse_profile("\"label\":\"bot\\u0000\"", "label: \"bot?\" is none of: human bot");
    refuse_profile("\"label\":1", "label: expected a word, got a number");
    refuse_profile("\"event_type\":\"profiles\"",
                   "event_type: \"profiles\" is none of: discovery refresh profile video comment "
                   "product");
    refuse_profile("\"event_type\":3", "event_type: expected a word, got a number");
    refuse_profile("\"platform\":\"myspace\"",
                   "platform: \"myspace\" is none of: tiktok twitter youtube instagram");
}

static void check_time(const char *value, int64_t wanted)
{
    char member[128];
    snprintf(member, sizeof member, "\"posted_at\":\"%s\"", value);
    accept_video(member);
    if (event.video.posted_at != wanted) {
        fail_msg("%s is %lld", value, (long long)event.video.posted_at);
    }
}

static void check_no_time(const char *value)
{
    char member[128], why[256];
    snprintf(member, sizeof member, "\"posted_at\":\"%s\"", value);
    snprintf(why, sizeof why,
             "posted_at: \"%s\" is no time of RFC 3339 with its zone, year 0000 to 9999", value);
    refuse_video(member, why);
}

static void test_times_with_their_zone(void **state)
{
    (void)state;
    const int64_t second = INT64_C(1747257444000000);
    check_time("2025-05-14T21:17:24Z", second);
    check_time("2025-05-14t21:17:24z", second);
    check_time("2025-05-14 21:17:24Z", second);
    check_time("2025-05-15T04:17:24+07:00", second);
    check_time("2025-05-14T16:17:24.25-05:00", second + 250000);
    check_time("2025-05-14T21:17:24.1234569Z", second + 123456);
    check_time("2016-12-31T23:59:60Z", INT64_C(1483228800000000));
    check_time("1969-12-31T23:59:59.999999Z", -1);
    check_time("2024-02-29T00:00:00Z", INT64_C(1709164800000000));
    check_time("9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999));
    check_time("0000-01-01T00:00:00Z", INT64_C(-62167219200000000));
    check_no_time("2025-05-14T21:17:24");
    check_no_time("2025-05-14");
    check_no_time("2025-02-29T00:00:00Z");
    check_no_time("2025-13-01T00:00:00Z");
    check_no_time("2025-05-14T24:00:00Z");
    check_no_time("2025-05-14T21:1':24Z");
    check_no_time("2025-05-14T21:17:24.Z");
    check_no_time("2025-05-14T21:17:24+0700");
    check_no_time(" 2025-05-14T21:17:24Z");
    check_no_time("9999-12-31T23:59:59-00:01");
    check_no_time("0000-01-01T00:00:00+00:01");
    check_no_time("");
    refuse_video("\"posted_at\":1747257444",
                 "posted_at: expected a time of RFC 3339 with its zone, got a number");
}

static void check_tags(const char *value, const char *wanted)
{
    struct buf member = {0}, found = {0};
    buf_printf(&member, "\"tags\":%s", value);
    accept_video(member.ptr);
    assert_true(event_has(&event, VIDEO_FIELD_tags));
    buf_puts(&found, "");
    for (size_t i = 0; i < event.video.tags.count; i++) {
        buf_put(&found, event.video.tags.items[i]);
        buf_putc(&found, '|');
    }
    assert_string_equal(found.ptr ? found.ptr : "", wanted);
    buf_free(&member);
    buf_free(&found);
}

static void test_tags_are_a_list_or_one_string(void **state)
{
    (void)state;
    check_tags("[\"a\",\"#b\",\"##c\",\"\",\"#\",\"d#\"]", "a|b|c|d#|");
    check_tags(" [ \"a\" , \"b\\\"c\\\\\" , \"\\u0023d\" ] ", "a|b\"c\\|d|");
    check_tags("[]", "");
    check_tags("[ ]", "");
    check_tags("\"#ăn vặt\"", "ăn vặt|");
    check_tags("\"\"", "");
    check_tags("\"a,b\"", "a,b|");
    refuse_video("\"tags\":[\"a\",7]", "tags: expected an array of strings, got a number in it");
    refuse_video("\"tags\":[null]", "tags: expected an array of strings, got null in it");
    refuse_video("\"tags\":[[\"a\"]]", "tags: expected an array of strings, got an array in it");
    refuse_video("\"tags\":[\"a\",{}]", "tags: expected an array of strings, got an object in it");
    refuse_video("\"tags\":[true]", "tags: expected an array of strings, got a boolean in it");
    refuse_video("\"tags\":7", "tags: expected an array of strings, got a number");
}

static void put_many_tags(struct buf *json, int count)
{
    buf_puts(json, VIDEO ",\"tags\":[");
    for (int i = 0; i < count; i++) {
        buf_puts(json, i ? ",\"\"" : "\"a\"");
    }
    buf_puts(json, "]}");
}

static void test_number_of_tags_is_bounded(void **state)
{
    (void)state;
    struct buf json = {0};
    put_many_tags(&json, DECODE_MAX_TAGS);
    accept_bytes(buf_str(&json));
    assert_int_equal(event.video.tags.count, 1);
    buf_clear(&json);
    put_many_tags(&json, DECODE_MAX_TAGS + 1);
    refuse_bytes(buf_str(&json), "tags: 1001 items, more than the 1000 allowed");
    buf_free(&json);
}

/* A profile whose text field has `len` bytes, written as they are or as escapes. */
static void put_sized(struct buf *json, const char *name, size_t len, bool escaped)
{
    buf_clear(json);
    buf_printf(json, PROFILE ",\"%s\":\"", name);
    for (size_t i = 0; i < len; i++) {
        buf_puts(json, escaped ? "\\u0078" : "x");
    }
    buf_puts(json, "\"}");
}

static void check_text_bound(const char *name, size_t max)
{
    struct buf json = {0};
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s: %zu bytes, more than the %zu allowed", name, max + 1, max);
    for (int escaped = 0; escaped < 2; escaped++) {
        put_sized(&json, name, max, escaped);
        accept_bytes(buf_str(&json));
        put_sized(&json, name, max + 1, escaped);
        refuse_bytes(buf_str(&json), wanted);
    }
    buf_free(&json);
}

static void test_texts_are_bounded_in_bytes(void **state)
{
    (void)state;
    check_text_bound("username", 255);
    check_text_bound("user_id", 255);
    check_text_bound("channel_id", 255);
    check_text_bound("event_id", 255);
    check_text_bound("nickname", 1024);
    check_text_bound("avatar_url", 8192);
    check_text_bound("bio", 65536);
    check_text_bound("lang", 64);
    check_text_bound("followers_raw", 65536);
}

static void test_bound_of_a_name_counts_what_is_kept(void **state)
{
    (void)state;
    struct buf json = {0};
    buf_puts(&json, PROFILE ",\"username\":\"  @");
    for (int i = 0; i < 255; i++) {
        buf_putc(&json, 'x');
    }
    buf_puts(&json, "  \"}");
    accept_bytes(buf_str(&json));
    assert_int_equal(event.username.len, 255);
    buf_free(&json);
}

static void test_reasons_are_utf8_and_short_for_hostile_values(void **state)
{
    (void)state;
    for (size_t before = 0; before < 48; before++) {
        struct buf json = {0};
        buf_puts(&json, PROFILE ",\"label\":\"");
        for (size_t i = 0; i < before; i++) {
            buf_putc(&json, 'x');
        }
        buf_puts(&json, "\\u0000\\n\x7f\\\"ệ🦊\\ud83e\\udd8a");
        for (int i = 0; i < 20; i++) {
            buf_puts(&json, "ệ");
        }
        buf_puts(&json, "\"}");
        assert_int_equal(decode(buf_str(&json)), KOL_INVALID);
        assert_true(text_is_utf8(str_of(reason.message)));
        assert_in_range(strlen(reason.message), 10, 200);
        for (const char *at = reason.message; *at; at++) {
            assert_true((unsigned char)*at >= 0x20 && *at != 0x7F);
        }
        buf_free(&json);
    }
}

static void start_event(enum event_type type)
{
    arena_reset(&arena);
    memset(&event, 0xA5, sizeof event);
    event.type = type;
    event.known = 0;
}

/* Sets one field from a cell; true where it became known. */
static bool set_text(int field, const char *text)
{
    if (event_set_text(&event, field, str_of(text), &arena, &reason) != KOL_OK) {
        fail_msg("refused: %s", reason.message);
    }
    return event_has(&event, field);
}

static void refuse_text(int field, struct str text, const char *wanted)
{
    uint64_t known = event.known;
    assert_int_equal(event_set_text(&event, field, text, &arena, &reason), KOL_INVALID);
    assert_string_equal(reason.message, wanted);
    assert_true(event.known == known);
}

static void test_cells_of_texts_names_and_ids(void **state)
{
    (void)state;
    start_event(EVENT_PROFILE);
    assert_true(set_text(PROFILE_FIELD_bio, " a\nb "));
    check_text(event.profile.bio, " a\nb ");
    assert_true(set_text(PROFILE_FIELD_bio, ""));
    check_text(event.profile.bio, "");
    assert_true(set_text(COMMON_FIELD_username, " @an "));
    check_text(event.username, "an");
    assert_false(set_text(COMMON_FIELD_username, " @ "));
    assert_true(set_text(COMMON_FIELD_user_id, " 17 "));
    check_text(event.user_id, "17");
    assert_false(set_text(COMMON_FIELD_user_id, " "));
    assert_true(set_text(PROFILE_FIELD_followers_raw, "4.1M"));
    check_text(event.profile.followers_raw, "4.1M");
    refuse_text(PROFILE_FIELD_bio, STR("a\xff"), "bio: not UTF-8");
    refuse_text(PROFILE_FIELD_lang,
                STR("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
                "lang: 65 bytes, more than the 64 allowed");
}

static void test_cells_stay_views(void **state)
{
    (void)state;
    const char *cell = "x";
    start_event(EVENT_PROFILE);
    assert_true(set_text(PROFILE_FIELD_bio, cell));
    assert_ptr_equal(event.profile.bio.ptr, cell);
}

static void test_cells_of_numbers(void **state)
{
    (void)state;
    start_event(EVENT_PRODUCT);
    assert_true(set_text(PRODUCT_FIELD_sold_count, " 12 "));
    assert_int_equal(event.product.sold_count, 12);
    assert_true(set_text(PRODUCT_FIELD_sold_count, "+12.0"));
    assert_true(set_text(PRODUCT_FIELD_sold_count, "1.2e3"));
    assert_int_equal(event.product.sold_count, 1200);
    assert_true(set_text(PRODUCT_FIELD_sold_count, "9223372036854775807"));
    assert_true(set_text(PRODUCT_FIELD_price, " 12.5 "));
    assert_true(event.product.price == 12.5);
    refuse_text(PRODUCT_FIELD_sold_count, STR("-1"), "sold_count: -1 is below 0");
    refuse_text(PRODUCT_FIELD_sold_count, STR("1.5"), "sold_count: \"1.5\" is no integer");
    refuse_text(PRODUCT_FIELD_sold_count, STR("many"), "sold_count: \"many\" is no number");
    refuse_text(PRODUCT_FIELD_sold_count, STR(""), "sold_count: \"\" is no number");
    refuse_text(PRODUCT_FIELD_sold_count, STR("1,234"), "sold_count: \"1,234\" is no number");
    refuse_text(PRODUCT_FIELD_sold_count, STR("0x10"), "sold_count: \"0x10\" is no number");
    refuse_text(PRODUCT_FIELD_sold_count, STR("9223372036854775808"),
                "sold_count: \"9223372036854775808\" is too large");
    refuse_text(PRODUCT_FIELD_price, STR("nan"), "price: \"nan\" is no number that a double holds");
    refuse_text(PRODUCT_FIELD_price, STR("0x1p3"),
                "price: \"0x1p3\" is no number that a double holds");
    refuse_text(PRODUCT_FIELD_price, STR("-1"), "price: -1 is not between 0 and 1e+15");
}

static void test_cells_of_booleans(void **state)
{
    (void)state;
    static const char *const words[][2] = {
        {"true", "false"}, {"TRUE", "False"}, {"yes", "no"}, {"1", "0"}, {"t", "f"}, {" T ", " F "},
    };
    start_event(EVENT_PROFILE);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        assert_true(set_text(PROFILE_FIELD_verified, words[i][0]));
        assert_true(event.profile.verified);
        assert_true(set_text(PROFILE_FIELD_verified, words[i][1]));
        assert_false(event.profile.verified);
    }
    refuse_text(PROFILE_FIELD_verified, STR("maybe"),
                "verified: \"maybe\" is none of: true false yes no t f 1 0");
    refuse_text(PROFILE_FIELD_verified, STR(""),
                "verified: \"\" is none of: true false yes no t f 1 0");
}

static void test_cells_of_times_choices_and_tags(void **state)
{
    (void)state;
    start_event(EVENT_VIDEO);
    assert_true(set_text(VIDEO_FIELD_posted_at, " 2025-05-14T21:17:24Z "));
    assert_true(event.video.posted_at == INT64_C(1747257444000000));
    assert_true(set_text(COMMON_FIELD_platform, " YouTube "));
    assert_int_equal(event.platform, PLATFORM_YOUTUBE);
    assert_true(set_text(VIDEO_FIELD_tags, "#a b"));
    assert_int_equal(event.video.tags.count, 1);
    check_text(event.video.tags.items[0], "a b");
    assert_true(set_text(VIDEO_FIELD_tags, ""));
    assert_int_equal(event.video.tags.count, 0);
    refuse_text(
        VIDEO_FIELD_posted_at, STR("2025-05-14"),
        "posted_at: \"2025-05-14\" is no time of RFC 3339 with its zone, year 0000 to 9999");
    refuse_text(COMMON_FIELD_platform, STR("x"),
                "platform: \"x\" is none of: tiktok twitter youtube instagram");
}

/* The neighbours of the digits in ASCII above all: a check by arithmetic may let them through. */
static void test_every_digit_of_a_time_must_be_one(void **state)
{
    (void)state;
    const char *good = "2025-05-14T21:17:24.5+07:00";
    start_event(EVENT_VIDEO);
    for (size_t at = 0; good[at]; at++) {
        for (unsigned byte = 0; byte < 0x80 && strchr("0123456789", good[at]); byte++) {
            char text[32];
            snprintf(text, sizeof text, "%s", good);
            text[at] = (char)byte;
            bool digit = byte >= '0' && byte <= '9';
            enum kol_status status = event_set_text(
                &event, VIDEO_FIELD_posted_at, (struct str){text, strlen(good)}, &arena, &reason);
            if (!digit && status == KOL_OK) {
                fail_msg("byte %u at %zu of a time is accepted", byte, at);
            }
        }
    }
}

static void start_good_event(void)
{
    start_event(EVENT_PROFILE);
    set_text(COMMON_FIELD_event_time, "2025-05-14T21:17:24Z");
    set_text(COMMON_FIELD_platform, "tiktok");
    set_text(COMMON_FIELD_username, "an");
    set_text(PROFILE_FIELD_followers_raw, "1,2K");
}

static void test_finish_fills_type_counts_and_id(void **state)
{
    (void)state;
    char id[64];
    start_good_event();
    assert_int_equal(event_finish(&event, NOW, &arena, &reason), KOL_OK);
    assert_int_equal(event.event_type, EVENT_PROFILE);
    assert_true(event_has(&event, COMMON_FIELD_event_type));
    assert_int_equal(event.profile.followers_count, 1200);
    assert_int_equal(event.event_id.len, 32);
    snprintf(id, sizeof id, "%.*s", STR_FORMAT(event.event_id));
    accept_profile("\"followers_raw\":\"1,2K\"");
    check_text(event.event_id, id);
    start_good_event();
    set_text(COMMON_FIELD_event_id, "mine");
    assert_int_equal(event_finish(&event, NOW, &arena, &reason), KOL_OK);
    check_text(event.event_id, "mine");
}

static void test_finish_refuses_what_is_not_whole(void **state)
{
    (void)state;
    start_good_event();
    set_text(COMMON_FIELD_event_type, "video");
    assert_int_equal(event_finish(&event, NOW, &arena, &reason), KOL_INVALID);
    assert_string_equal(reason.message, "event_type: says video in a profile event");
    start_good_event();
    set_text(COMMON_FIELD_username, "@");
    assert_int_equal(event_finish(&event, NOW, &arena, &reason), KOL_INVALID);
    assert_string_equal(reason.message, "username: missing, and no user_id stands in for it");
    start_good_event();
    set_text(COMMON_FIELD_event_time, "2099-01-01T00:00:00Z");
    assert_int_equal(event_finish(&event, NOW, &arena, &reason), KOL_INVALID);
    assert_string_equal(reason.message, "event_time: more than 24 h ahead of this machine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count_strings_stand_in_for_numbers),
        cmocka_unit_test(test_integers_are_exact),
        cmocka_unit_test(test_numbers_that_are_no_such_integer),
        cmocka_unit_test(test_bounds_of_integers),
        cmocka_unit_test(test_numbers_are_those_that_strtod_reads),
        cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_names_are_trimmed_and_lose_their_at),
        cmocka_unit_test(test_ids_are_strings_or_integers_as_written),
        cmocka_unit_test(test_choices_in_any_case),
        cmocka_unit_test(test_times_with_their_zone),
        cmocka_unit_test(test_tags_are_a_list_or_one_string),
        cmocka_unit_test(test_number_of_tags_is_bounded),
        cmocka_unit_test(test_texts_are_bounded_in_bytes),
        cmocka_unit_test(test_bound_of_a_name_counts_what_is_kept),
        cmocka_unit_test(test_reasons_are_utf8_and_short_for_hostile_values),
        cmocka_unit_test(test_cells_of_texts_names_and_ids),
        cmocka_unit_test(test_cells_stay_views),
        cmocka_unit_test(test_cells_of_numbers),
        cmocka_unit_test(test_cells_of_booleans),
        cmocka_unit_test(test_cells_of_times_choices_and_tags),
        cmocka_unit_test(test_every_digit_of_a_time_must_be_one),
        cmocka_unit_test(test_finish_fills_type_counts_and_id),
        cmocka_unit_test(test_finish_refuses_what_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, teardown_events);
}
