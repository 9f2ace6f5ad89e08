/* test_event.c: the tables of the domain, and the rules over whole events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "domain/event.h"

#define FIRST_TIME (INT64_C(1104537600) * CLOCK_US_PER_SECOND) /* 2005-01-01 */
#define NOW (INT64_C(1748736000) * CLOCK_US_PER_SECOND)        /* 2025-06-01 */

static bool is_text_kind(enum field_kind kind)
{
    return kind == FIELD_TEXT || kind == FIELD_NAME || kind == FIELD_ID || kind == FIELD_COUNT;
}

/* How often `name` is an own or an accepted name in the table. */
static int uses_of_name(struct field_table table, struct str name)
{
    int uses = 0;
    for (size_t i = 0; i < table.count; i++) {
        struct str rest = str_of(table.fields[i].accepts);
        uses += str_is(name, table.fields[i].name);
        while (rest.len) {
            uses += str_equal(name, str_cut(&rest, ' '));
        }
    }
    return uses;
}

static void check_names(struct field_table table, const struct field *field)
{
    struct str rest = str_of(field->accepts);
    assert_int_equal(uses_of_name(table, str_of(field->name)), 1);
    while (rest.len) {
        struct str name = str_cut(&rest, ' ');
        assert_true(name.len > 0);
        assert_int_equal(uses_of_name(table, name), 1);
    }
}

static void check_count_from(enum event_type type, const struct field *field)
{
    struct str rest = str_of(field->count_from);
    while (rest.len) {
        int source = event_field_index(type, str_cut(&rest, ' '));
        assert_true(source >= 0);
        assert_int_equal(event_fields(type).fields[source].kind, FIELD_COUNT);
        assert_int_equal(field->kind, FIELD_INT);
    }
}

static void check_row(const struct field *field)
{
    assert_true(field->help && field->help[0]);
    assert_true(field->column && field->column[0]);
    assert_int_equal(field->kind == FIELD_CHOICE, field->choices != NULL);
    assert_true(field->min >= 0 && field->max > field->min);
    assert_true(field->max_bytes > 0);
    assert_true(field->offset >= offsetof(struct event, event_id));
    assert_true(field->offset < sizeof(struct event));
}

static void test_field_tables_are_well_formed(void **state)
{
    (void)state;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        struct field_table table = event_fields((enum event_type)type);
        assert_in_range(table.count, COMMON_FIELD_COUNT, 64);
        for (size_t i = 0; i < table.count; i++) {
            check_row(&table.fields[i]);
            check_names(table, &table.fields[i]);
            check_count_from((enum event_type)type, &table.fields[i]);
        }
    }
}

static void test_fields_are_found_at_their_bits(void **state)
{
    (void)state;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        struct field_table table = event_fields((enum event_type)type);
        for (size_t i = 0; i < table.count; i++) {
            struct str name = str_of(table.fields[i].name);
            assert_int_equal(event_field_index((enum event_type)type, name), i);
        }
        assert_int_equal(event_field_index((enum event_type)type, STR("no_such_field")), -1);
        assert_int_equal(event_field_index((enum event_type)type, STR("")), -1);
        assert_int_equal(event_field_index((enum event_type)type, STR("Platform")), -1);
    }
    assert_int_equal(event_field_index(EVENT_PROFILE, STR("bio")), PROFILE_FIELD_bio);
    assert_int_equal(event_field_index(EVENT_PROFILE, STR("signature")), -1);
    assert_int_equal(event_field_index(EVENT_VIDEO, STR("video_id")), VIDEO_FIELD_video_id);
    assert_int_equal(event_field_index(EVENT_PRODUCT, STR("est_ctr")), PRODUCT_FIELD_est_ctr);
    assert_int_equal(event_field_index(EVENT_COMMENT, STR("commenter")), COMMENT_FIELD_commenter);
    assert_int_equal(event_field_index(EVENT_REFRESH, STR("keyword")), DISCOVERY_FIELD_keyword);
    assert_int_equal(event_field_index(EVENT_VIDEO, STR("user_id")), COMMON_FIELD_user_id);
}

static void test_values_lie_where_the_table_says(void **state)
{
    (void)state;
    struct event event;
    const struct field *fields = event_fields(EVENT_PROFILE).fields;
    assert_ptr_equal(event_value(&event, &fields[COMMON_FIELD_platform]), &event.platform);
    assert_ptr_equal(event_value(&event, &fields[PROFILE_FIELD_label]), &event.profile.label);
    fields = event_fields(EVENT_VIDEO).fields;
    assert_ptr_equal(event_value_const(&event, &fields[VIDEO_FIELD_tags]), &event.video.tags);
}

static void test_choices_are_the_words_of_their_enums(void **state)
{
    (void)state;
    const struct field *fields = event_fields(EVENT_PROFILE).fields;
    const char *platforms = fields[COMMON_FIELD_platform].choices;
    for (int i = PLATFORM_TIKTOK; i <= PLATFORM_INSTAGRAM; i++) {
        assert_true(str_is(words_at(platforms, i), platform_name((enum platform)i)));
    }
    assert_int_equal(words_at(platforms, PLATFORM_INSTAGRAM + 1).len, 0);
    const char *labels = fields[PROFILE_FIELD_label].choices;
    assert_true(str_is(words_at(labels, LABEL_HUMAN), "human"));
    assert_true(str_is(words_at(labels, LABEL_BOT), "bot"));
    assert_int_equal(words_at(labels, LABEL_BOT + 1).len, 0);
    const char *types = fields[COMMON_FIELD_event_type].choices;
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        assert_true(str_is(words_at(types, i), event_type_name((enum event_type)i)));
    }
    assert_int_equal(words_at(types, EVENT_TYPE_COUNT).len, 0);
    assert_string_equal(platform_name(PLATFORM_TIKTOK), "tiktok");
    assert_string_equal(platform_name(PLATFORM_TWITTER), "twitter");
    assert_string_equal(platform_name(PLATFORM_YOUTUBE), "youtube");
    assert_string_equal(platform_name(PLATFORM_INSTAGRAM), "instagram");
}

static void test_words_are_found_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(words_find("human bot", STR("bot")), 1);
    assert_int_equal(words_find("human bot", STR("HuMaN")), 0);
    assert_int_equal(words_find("human bot", STR("bo")), -1);
    assert_int_equal(words_find("human bot", STR("bots")), -1);
    assert_int_equal(words_find("human bot", STR("human bot")), -1);
    assert_int_equal(words_find("human bot", STR("")), -1);
    assert_int_equal(words_find("human bot", STR("bot\0")), -1);
    assert_int_equal(words_find(NULL, STR("bot")), -1);
    assert_true(str_is(words_at("one two", 0), "one"));
    assert_true(str_is(words_at("one two", 1), "two"));
    assert_int_equal(words_at("one two", 2).len, 0);
}

static void test_topics_and_types_are_found_by_name(void **state)
{
    (void)state;
    static const char *const topics[] = {"kol.discovery.raw", "kol.profiles.raw", "kol.videos.raw",
                                         "kol.comments.raw",  "kol.products.raw", "scores.stream",
                                         "kol.dead"};
    assert_int_equal(TOPIC_COUNT, ARRAY_LEN(topics));
    for (int i = 0; i < TOPIC_COUNT; i++) {
        enum topic topic = TOPIC_COUNT;
        assert_string_equal(topic_name((enum topic)i), topics[i]);
        assert_true(topic_find(str_of(topics[i]), &topic));
        assert_int_equal(topic, i);
        assert_int_equal(topic_is_input(topic), i < TOPIC_SCORES);
        assert_true(topic_help(topic)[0]);
    }
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        enum event_type type = EVENT_TYPE_COUNT;
        assert_true(event_type_find(str_of(event_type_name((enum event_type)i)), &type));
        assert_int_equal(type, i);
        assert_true(topic_is_input(event_type_topic(type)));
    }
    enum topic topic = TOPIC_DEAD;
    enum event_type type = EVENT_VIDEO;
    assert_false(topic_find(STR("kol.dea"), &topic));
    assert_false(event_type_find(STR("Profile"), &type));
    assert_int_equal(topic, TOPIC_DEAD);
    assert_int_equal(type, EVENT_VIDEO);
}

static void test_each_type_has_its_topic(void **state)
{
    (void)state;
    assert_int_equal(event_type_topic(EVENT_DISCOVERY), TOPIC_DISCOVERY);
    assert_int_equal(event_type_topic(EVENT_REFRESH), TOPIC_DISCOVERY);
    assert_int_equal(event_type_topic(EVENT_PROFILE), TOPIC_PROFILES);
    assert_int_equal(event_type_topic(EVENT_VIDEO), TOPIC_VIDEOS);
    assert_int_equal(event_type_topic(EVENT_COMMENT), TOPIC_COMMENTS);
    assert_int_equal(event_type_topic(EVENT_PRODUCT), TOPIC_PRODUCTS);
}

static void test_kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(field_kind_name(FIELD_TEXT), "text");
    assert_string_equal(field_kind_name(FIELD_COUNT), "count string");
    assert_string_equal(field_kind_name(FIELD_TAGS), "list of text");
    for (int kind = 0; kind < FIELD_KIND_COUNT; kind++) {
        assert_true(field_kind_help((enum field_kind)kind)[0]);
    }
}

/* An event that passes event_check(): every required field, and an owner. */
static struct event good_event(enum event_type type)
{
    struct event event = {.type = type, .event_time = NOW, .event_type = (int)type};
    struct field_table table = event_fields(type);
    for (size_t i = 0; i < table.count; i++) {
        if (table.fields[i].required) {
            event_know(&event, (int)i);
            if (is_text_kind(table.fields[i].kind)) {
                *(struct str *)event_value(&event, &table.fields[i]) = STR("x");
            }
        }
    }
    event.username = STR("an");
    event_know(&event, COMMON_FIELD_username);
    return event;
}

static void check_refused(const struct event *event, int64_t now_us, const char *reason)
{
    struct kol_error err = {0};
    assert_int_equal(event_check(event, now_us, &err), KOL_INVALID);
    assert_string_equal(err.message, reason);
}

static void check_passes(const struct event *event, int64_t now_us)
{
    struct kol_error err = {0};
    if (event_check(event, now_us, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
}

static void test_every_required_field_is_asked_for(void **state)
{
    (void)state;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        struct event event = good_event((enum event_type)type);
        struct field_table table = event_fields((enum event_type)type);
        check_passes(&event, NOW);
        for (size_t i = 0; i < table.count; i++) {
            char reason[128];
            struct event without = event;
            if (table.fields[i].required) {
                without.known &= ~(UINT64_C(1) << i);
                snprintf(reason, sizeof reason, "%s: missing, a %s event needs it",
                         table.fields[i].name, event_type_name((enum event_type)type));
                check_refused(&without, NOW, reason);
            }
        }
    }
}

static void test_required_fields_are_those_of_the_specification(void **state)
{
    (void)state;
    const struct {
        enum event_type type;
        const char *names;
    } rows[] = {
        {EVENT_DISCOVERY, "event_time event_type platform"},
        {EVENT_REFRESH, "event_time event_type platform"},
        {EVENT_PROFILE, "event_time event_type platform"},
        {EVENT_VIDEO, "event_time event_type platform video_id"},
        {EVENT_COMMENT, "event_time event_type platform video_id comment_text"},
        {EVENT_PRODUCT, "event_time event_type platform"},
    };
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        struct field_table table = event_fields(rows[row].type);
        for (size_t i = 0; i < table.count; i++) {
            bool named = words_find(rows[row].names, str_of(table.fields[i].name)) >= 0;
            assert_int_equal(table.fields[i].required, named);
        }
    }
}

static void test_only_a_video_may_lack_its_owner(void **state)
{
    (void)state;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        struct event event = good_event((enum event_type)type);
        event.known &= ~(UINT64_C(1) << COMMON_FIELD_username);
        if (type == EVENT_VIDEO) {
            check_passes(&event, NOW);
        } else {
            check_refused(&event, NOW, "username: missing, and no user_id stands in for it");
        }
        event.user_id = STR("17");
        event_know(&event, COMMON_FIELD_user_id);
        check_passes(&event, NOW);
    }
}

static void test_event_time_edges(void **state)
{
    (void)state;
    const char *early = "event_time: before 2005-01-01, which no source can be";
    const char *late = "event_time: more than 24 h ahead of this machine";
    struct event event = good_event(EVENT_PROFILE);
    event.event_time = FIRST_TIME;
    check_passes(&event, NOW);
    event.event_time = FIRST_TIME - 1;
    check_refused(&event, NOW, early);
    event.event_time = 0;
    check_refused(&event, NOW, early);
    event.event_time = INT64_MIN;
    check_refused(&event, NOW, early);
    event.event_time = NOW + CLOCK_US_PER_DAY;
    check_passes(&event, NOW);
    event.event_time = NOW + CLOCK_US_PER_DAY + 1;
    check_refused(&event, NOW, late);
    event.event_time = INT64_MAX;
    check_refused(&event, NOW, late);
}

static void test_reason_may_be_unwanted(void **state)
{
    (void)state;
    struct event event = good_event(EVENT_VIDEO);
    event.known = 0;
    assert_int_equal(event_check(&event, NOW, NULL), KOL_INVALID);
}

static void test_number_wins_over_its_count_string(void **state)
{
    (void)state;
    struct event event = good_event(EVENT_PROFILE);
    event.profile.followers_raw = STR("4.1M");
    event.profile.followers_count = 4123456;
    event_know(&event, PROFILE_FIELD_followers_raw);
    event_know(&event, PROFILE_FIELD_followers_count);
    event_complete(&event);
    assert_int_equal(event.profile.followers_count, 4123456);
    assert_true(event_has(&event, PROFILE_FIELD_followers_raw));
}

static void test_count_string_fills_an_unknown_number(void **state)
{
    (void)state;
    struct event event = good_event(EVENT_PROFILE);
    event.profile.followers_raw = STR("4.1M");
    event_know(&event, PROFILE_FIELD_followers_raw);
    event_complete(&event);
    assert_true(event_has(&event, PROFILE_FIELD_followers_count));
    assert_int_equal(event.profile.followers_count, 4100000);
    assert_false(event_has(&event, PROFILE_FIELD_following_count));
    assert_true(str_is(event.profile.followers_raw, "4.1M"));
}

static void test_count_string_that_says_nothing_leaves_the_number_unknown(void **state)
{
    (void)state;
    struct event event = good_event(EVENT_PROFILE);
    event.profile.followers_raw = STR("many");
    event_know(&event, PROFILE_FIELD_followers_raw);
    uint64_t known = event.known;
    event_complete(&event);
    assert_true(event.known == known);
}

static void test_every_count_string_reaches_its_number(void **state)
{
    (void)state;
    int pairs = 0;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        struct field_table table = event_fields((enum event_type)type);
        for (size_t i = 0; i < table.count; i++) {
            if (!table.fields[i].count_from) {
                continue;
            }
            struct str first = words_at(table.fields[i].count_from, 0);
            int source = event_field_index((enum event_type)type, first);
            struct event event = good_event((enum event_type)type);
            *(struct str *)event_value(&event, &table.fields[source]) = STR("1,2K");
            event_know(&event, source);
            event_complete(&event);
            assert_true(event_has(&event, (int)i));
            assert_int_equal(*(int64_t *)event_value(&event, &table.fields[i]), 1200);
            pairs++;
        }
    }
    assert_int_equal(pairs, 3 + 4 + 1); /* of profile, video and product */
}

static void check_key(const struct event *event, const char *key, const char *kol_id)
{
    struct buf buf = {0};
    event_put_key(&buf, event);
    assert_string_equal(buf.ptr, key);
    assert_true(str_is(event_kol_id(event), kol_id));
    buf_free(&buf);
}

static void test_log_key_is_the_best_known_name(void **state)
{
    (void)state;
    struct event event = good_event(EVENT_VIDEO);
    event.platform = PLATFORM_YOUTUBE;
    event.video.video_id = STR("dQw4");
    event.user_id = STR("UC17");
    event_know(&event, COMMON_FIELD_user_id);
    check_key(&event, "youtube:an", "an");
    event.known &= ~(UINT64_C(1) << COMMON_FIELD_username);
    check_key(&event, "youtube:UC17", "UC17");
    event.known &= ~(UINT64_C(1) << COMMON_FIELD_user_id);
    check_key(&event, "youtube:dQw4", "");
    struct event comment = good_event(EVENT_COMMENT);
    comment.platform = PLATFORM_TIKTOK;
    check_key(&comment, "tiktok:an", "an");
}

static void test_log_key_is_appended(void **state)
{
    (void)state;
    struct event event = good_event(EVENT_PROFILE);
    struct buf buf = {0};
    event.platform = PLATFORM_TWITTER;
    buf_puts(&buf, "before ");
    event_put_key(&buf, &event);
    assert_string_equal(buf.ptr, "before twitter:an");
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field_tables_are_well_formed),
        cmocka_unit_test(test_fields_are_found_at_their_bits),
        cmocka_unit_test(test_values_lie_where_the_table_says),
        cmocka_unit_test(test_choices_are_the_words_of_their_enums),
        cmocka_unit_test(test_words_are_found_in_any_case),
        cmocka_unit_test(test_topics_and_types_are_found_by_name),
        cmocka_unit_test(test_each_type_has_its_topic),
        cmocka_unit_test(test_kinds_have_names),
        cmocka_unit_test(test_every_required_field_is_asked_for),
        cmocka_unit_test(test_required_fields_are_those_of_the_specification),
        cmocka_unit_test(test_only_a_video_may_lack_its_owner),
        cmocka_unit_test(test_event_time_edges),
        cmocka_unit_test(test_reason_may_be_unwanted),
        cmocka_unit_test(test_number_wins_over_its_count_string),
        cmocka_unit_test(test_count_string_fills_an_unknown_number),
        cmocka_unit_test(test_count_string_that_says_nothing_leaves_the_number_unknown),
        cmocka_unit_test(test_every_count_string_reaches_its_number),
        cmocka_unit_test(test_log_key_is_the_best_known_name),
        cmocka_unit_test(test_log_key_is_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
