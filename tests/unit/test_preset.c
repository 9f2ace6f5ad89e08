/* test_preset.c: presets are checked when they are loaded, and rules make events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "domain/encode.h"
#include "import/apply.h"
#include "import/preset.h"

#define NOW INT64_C(1760000000000000)

/* A preset with one layout of one profile event, whose "set" is given without its braces. */
static void put_preset(struct buf *out, const char *set)
{
    buf_printf(out,
               "{\"name\":\"p\",\"help\":\"h\",\"format\":\"csv\",\"layouts\":[{\"name\":\"l\","
               "\"events\":[{\"type\":\"profile\",\"set\":{\"platform\":{\"constant\":\"tiktok\"},"
               "\"event_time\":{\"constant\":\"2025-01-01T00:00:00Z\"},"
               "\"username\":{\"column\":\"user\"}%s%s}}]}]}",
               set[0] ? "," : "", set);
}

static struct preset *load(const char *set)
{
    struct buf json = {0};
    struct preset *preset = NULL;
    struct kol_error err = {0};
    put_preset(&json, set);
    if (preset_parse(buf_str(&json), "p.json", &preset, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    buf_free(&json);
    return preset;
}

/* The event that a header and a record (cells cut at '|') give, as JSON; "!reason" if none. */
static const char *apply(const struct preset *preset, const char *header, const char *record,
                         const char *set)
{
    static struct buf out;
    struct str names[16], cells[16], rest = str_of(header);
    size_t count = 0, *places, cell = 0;
    struct arena arena;
    struct overrides overrides;
    struct event event;
    struct kol_error err = {0};
    arena_init(&arena, 0);
    buf_clear(&out);
    for (; rest.ptr; count++) {
        names[count] = str_cut(&rest, '|');
    }
    for (rest = str_of(record); rest.ptr; cell++) {
        cells[cell] = str_cut(&rest, '|');
    }
    assert_int_equal(count, cell);
    struct apply_record row = {.cells = cells};
    assert_int_equal(preset_pick(preset, names, count, &row.layout, &places, NULL), KOL_OK);
    row.places = places;
    assert_int_equal(overrides_parse(set, preset, &arena, &overrides, NULL), KOL_OK);
    if (apply_event(&row, &row.layout->events[0], &overrides, NOW, &arena, &event, &err) ==
        KOL_OK) {
        event_encode(&out, &event);
    } else {
        buf_printf(&out, "!%s", err.message);
    }
    free(places);
    arena_free(&arena);
    return out.ptr;
}

/* What a rule for one field makes of a cell: its JSON member, or "" where it is unknown. */
static const char *value_of(const char *rule, const char *field, const char *cell)
{
    static char found[512];
    char set[512], key[64], record[256];
    snprintf(set, sizeof set, "\"%s\":%s", field, rule);
    snprintf(record, sizeof record, "u|%s", cell);
    struct preset *preset = load(set);
    const char *json = apply(preset, "user|x", record, NULL);
    preset_free(&preset);
    if (json[0] == '!') {
        snprintf(found, sizeof found, "%s", json);
        return found;
    }
    snprintf(key, sizeof key, "\"%s\":", field);
    const char *at = strstr(json, key);
    if (!at) {
        return "";
    }
    at += strlen(key);
    size_t len = at[0] == '"' ? strcspn(at + 1, "\"") + 2 : strcspn(at, ",}");
    snprintf(found, sizeof found, "%.*s", (int)len, at);
    return found;
}

static void check_refused(const char *json, const char *reason)
{
    struct preset *preset = NULL;
    struct kol_error err = {0};
    assert_int_equal(preset_parse(str_of(json), "p.json", &preset, &err), KOL_INVALID);
    assert_null(preset);
    if (!strstr(err.message, reason)) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, reason);
    }
}

static void check_rule_refused(const char *set, const char *reason)
{
    struct buf json = {0};
    put_preset(&json, set);
    check_refused(json.ptr, reason);
    buf_free(&json);
}

static void test_empty_is_unknown_unless_the_rule_says_value(void **state)
{
    (void)state;
    assert_string_equal(value_of("{\"column\":\"x\"}", "bio", "hi"), "\"hi\"");
    assert_string_equal(value_of("{\"column\":\"x\"}", "bio", ""), "");
    assert_string_equal(value_of("{\"column\":\"x\",\"empty\":\"unknown\"}", "bio", ""), "");
    assert_string_equal(value_of("{\"column\":\"x\",\"empty\":\"value\"}", "bio", ""), "\"\"");
    static const char if_user_is_u[] = "{\"column\":\"x\",\"empty\":\"value\",\"empty_when\":"
                                       "{\"column\":\"user\",\"equals\":\"u\"}}";
    static const char if_user_is_v[] = "{\"column\":\"x\",\"empty\":\"value\",\"empty_when\":"
                                       "{\"column\":\"user\",\"equals\":\"v\"}}";
    assert_string_equal(value_of(if_user_is_u, "bio", ""), "\"\"");
    assert_string_equal(value_of(if_user_is_v, "bio", ""), "");
    assert_string_equal(value_of(if_user_is_v, "bio", "hi"), "\"hi\"");
}

/* A cell and what one transform makes of it in a text field. */
static void check_transform(const char *transform, const char *cell, const char *wanted)
{
    char rule[256];
    snprintf(rule, sizeof rule, "{\"column\":\"x\",\"transforms\":[%s]}", transform);
    assert_string_equal(value_of(rule, "bio", cell), wanted);
}

static void test_transforms_of_text(void **state)
{
    (void)state;
    check_transform("\"trim\"", " a b\t", "\"a b\"");
    check_transform("\"trim\"", "  ", "");
    check_transform("\"lower\"", "ABC\xc3\x89z", "\"abc\xc3\x89z\"");
    check_transform("{\"prefix\":\"a/\"}", "b", "\"a/b\"");
    check_transform("{\"prefix\":\"a/\"}", "", "");
    check_transform("{\"suffix\":\"!\"}", "b", "\"b!\"");
    check_transform("{\"strip\":\"ab\"}", "xabyaabz", "\"xyaz\"");
    check_transform("{\"strip\":\"x\"}", "xx", "");
    check_transform("{\"map\":{\"1\":\"one\",\"2\":\"\"}}", "1", "\"one\"");
    check_transform("{\"map\":{\"1\":\"one\",\"2\":\"\"}}", "2", "");
    check_transform("{\"map\":{\"1\":\"one\"}}", "3", "\"3\"");
    check_transform("{\"null_if\":[\"-\",\"none\"]}", "none", "");
    check_transform("{\"null_if\":[\"-\",\"none\"]}", "no", "\"no\"");
    check_transform("\"trim\",\"lower\",{\"prefix\":\"@\"}", " A ", "\"@a\"");
}

static void test_transforms_of_other_kinds(void **state)
{
    (void)state;
    static const char day[] = "{\"column\":\"x\",\"transforms\":[\"date\"]}";
    static const char utc[] = "{\"column\":\"x\",\"transforms\":[\"utc\"]}";
    static const char flag[] =
        "{\"column\":\"x\",\"empty\":\"value\",\"transforms\":[\"not_empty\"]}";
    static const char length[] =
        "{\"column\":\"x\",\"empty\":\"value\",\"transforms\":[\"length\"]}";
    assert_string_equal(value_of(day, "account_created_at", "2024-02-29"),
                        "\"2024-02-29T00:00:00Z\"");
    assert_string_equal(value_of(day, "account_created_at", "2023-02-29"),
                        "!account_created_at: \"2023-02-29\" is no date YYYY-MM-DD");
    assert_string_equal(value_of(utc, "account_created_at", "2010-11-03 15:40:20"),
                        "\"2010-11-03T15:40:20Z\"");
    assert_string_equal(value_of(utc, "account_created_at", "2010-11-03T15:40:20Z"),
                        "!account_created_at: \"2010-11-03T15:40:20Z\" is no time YYYY-MM-DD "
                        "HH:MM:SS");
    assert_string_equal(value_of(flag, "has_url", "x"), "true");
    assert_string_equal(value_of(flag, "has_url", ""), "false");
    assert_string_equal(value_of(length, "bio_length", "Vi\xe1\xbb\x87t \xf0\x9f\x94\xa5"), "6");
    assert_string_equal(value_of(length, "bio_length", ""), "0");
    assert_string_equal(value_of("{\"column\":\"x\"}", "followers_count", "12x"),
                        "!followers_count: \"12x\" is no number");
}

static void test_split_makes_clean_tags(void **state)
{
    (void)state;
    struct preset *preset = NULL;
    struct kol_error err;
    static const char json[] =
        "{\"name\":\"p\",\"help\":\"h\",\"format\":\"csv\",\"layouts\":[{\"name\":\"l\",\"events\":"
        "[{\"type\":\"video\",\"set\":{\"platform\":{\"constant\":\"tiktok\"},\"event_time\":"
        "{\"constant\":\"2025-01-01T00:00:00Z\"},\"video_id\":{\"column\":\"id\"},\"tags\":"
        "{\"column\":\"tags\",\"transforms\":[{\"split\":\", \"}]}}}]}]}";
    assert_int_equal(preset_parse(str_of(json), "p.json", &preset, &err), KOL_OK);
    assert_non_null(strstr(apply(preset, "id|tags", "1|a, #b,c, , ##d , e", NULL),
                           "\"tags\":[\"a\",\"b,c\",\"d\",\"e\"]"));
    assert_null(strstr(apply(preset, "id|tags", "1|", NULL), "tags"));
    preset_free(&preset);
}

static void test_first_rule_whose_condition_holds_is_taken(void **state)
{
    (void)state;
    static const char rules[] =
        "[{\"constant\":\"image\",\"when\":{\"column\":\"x\",\"contains\":\"/photo/\"}},"
        "{\"constant\":\"none\",\"when\":{\"column\":\"x\",\"not_empty\":false}},"
        "{\"column\":\"x\",\"when\":{\"column\":\"x\",\"equals\":\"short\"}},"
        "{\"constant\":\"never\",\"when\":{\"column\":\"x\",\"contains\":\"o\"}},"
        "{\"constant\":\"last\"}]";
    assert_string_equal(value_of(rules, "category", "a/photo/1"), "\"image\"");
    assert_string_equal(value_of(rules, "category", ""), "\"none\"");
    assert_string_equal(value_of(rules, "category", "short"), "\"short\"");
    assert_string_equal(value_of(rules, "category", "else"), "\"last\"");
}

static void test_what_is_wrong_is_named_with_its_place(void **state)
{
    (void)state;
    check_refused("{", "p.json:1: ");
    check_refused("[]", "p.json: $: expected an object");
    check_refused("{\"name\":\"p\",\"name\":\"q\"}", "duplicate");
    check_refused("{\"name\":\"p\",\"halp\":\"\"}", "$: no key \"halp\"; is \"help\" meant?");
    check_refused("{\"name\":\"p\",\"help\":\"h\"}", "$: \"format\" is missing");
    check_refused("{\"name\":\"p\",\"help\":\"h\",\"format\":\"xml\"}", "\"csv\" or \"ndjson\"");
    check_refused("{\"name\":\"p\",\"help\":\"h\",\"format\":\"csv\"}",
                  "$.layouts: expected a list");
    check_refused("{\"name\":\"p\",\"help\":\"h\",\"format\":\"csv\",\"delimiter\":\"::\"}",
                  "\"delimiter\" is");
    check_refused("{\"name\":\"p\",\"help\":\"h\",\"format\":\"ndjson\",\"layouts\":[]}",
                  "$.layouts: lines of an ndjson file");
    check_refused("{\"name\":\"p\",\"help\":\"h\",\"format\":\"csv\",\"layouts\":[{\"name\":\"l\","
                  "\"events\":[{\"type\":\"profil\",\"set\":{}}]}]}",
                  "$.layouts[0].events[0].type: no event type \"profil\"; is \"profile\" meant?");
    check_refused(
        "{\"name\":\"p\",\"help\":\"h\",\"format\":\"csv\",\"layouts\":[{\"name\":\"l\","
        "\"events\":[{\"type\":\"video\",\"set\":{\"platform\":{\"constant\":\"tiktok\"}}}"
        "]}]}",
        "events[0].set: \"video_id\" is missing, every video event needs it");
}

static void test_wrong_rules_are_named(void **state)
{
    (void)state;
    check_rule_refused(
        "\"folowers_count\":{\"column\":\"x\"}",
        "set.folowers_count: no field \"folowers_count\"; is \"followers_count\" meant?");
    check_rule_refused("\"event_type\":{\"constant\":\"video\"}", "set.event_type: the event's");
    check_rule_refused("\"bio\":\"x\"", "set.bio: expected {\"column\"");
    check_rule_refused("\"bio\":{\"colum\":\"x\"}",
                       "set.bio: no key \"colum\"; is \"column\" meant?");
    check_rule_refused("\"bio\":{\"column\":\"\"}", "set.bio.column: must not be empty");
    check_rule_refused("\"bio\":{\"column\":1}", "set.bio.column: expected a text");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"constant\":\"y\"}", "no key \"column\"");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"empty\":\"null\"}", "\"empty\" is");
    check_rule_refused(
        "\"bio\":{\"column\":\"x\",\"empty_when\":{\"column\":\"y\",\"equals\":\"\"}}",
        "needs \"empty\"");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"when\":{\"column\":\"y\"}}",
                       "set.bio.when: a condition is");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"transforms\":[\"trimm\"]}",
                       "set.bio.transforms[0]: no transform \"trimm\"; is \"trim\" meant?");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"transforms\":[{\"trim\":\"x\"}]}",
                       "transforms[0].trim: takes no argument");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"transforms\":[\"prefix\"]}",
                       "needs its argument: {\"prefix\": TEXT}");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"transforms\":[{\"map\":[]}]}",
                       "transforms[0].map: expected an object of texts");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"transforms\":[{\"null_if\":[1]}]}",
                       "transforms[0].null_if[0]: expected a text");
    check_rule_refused("\"bio\":{\"column\":\"x\",\"transforms\":[{\"split\":\",\"}]}",
                       "split makes a list, and this field is text");
    check_rule_refused("\"verified\":{\"constant\":\"maybe\"}", "set.verified.constant: verified:");
    check_rule_refused("\"user_id\":{\"constant\":\" \"}", "an empty constant is no value");
}

/* A preset with three layouts that need a and b, a alone, and c and d. */
static const char layouts[] =
    "{\"name\":\"p\",\"help\":\"h\",\"format\":\"csv\",\"layouts\":["
    "{\"name\":\"both\",\"events\":[{\"type\":\"profile\",\"set\":{\"platform\":{\"constant\":"
    "\"tiktok\"},\"username\":{\"column\":\"aaaa\"},\"bio\":{\"column\":\"bbbb\"}}}]},"
    "{\"name\":\"one\",\"events\":[{\"type\":\"profile\",\"set\":{\"platform\":{\"constant\":"
    "\"tiktok\"},\"username\":{\"column\":\"aaaa\"}}}]},"
    "{\"name\":\"other\",\"events\":[{\"type\":\"profile\",\"when\":{\"column\":\"cccc\","
    "\"not_empty\":true},\"set\":{\"platform\":{\"constant\":\"tiktok\"},\"username\":"
    "{\"column\":\"dddd\"}}}]}]}";

static void test_header_picks_the_first_layout_that_fits(void **state)
{
    (void)state;
    struct preset *preset;
    const struct preset_layout *layout;
    size_t *places;
    struct kol_error err;
    const struct str both[] = {STR("x"), STR("bbbb"), STR("aaaa")};
    const struct str other[] = {STR("dddd"), STR("cccc")};
    assert_int_equal(preset_parse(str_of(layouts), "p.json", &preset, &err), KOL_OK);
    assert_int_equal(preset_pick(preset, both, 3, &layout, &places, &err), KOL_OK);
    assert_true(str_is(layout->name, "both"));
    assert_int_equal(places[0], 2);
    assert_int_equal(places[1], 1);
    free(places);
    assert_int_equal(preset_pick(preset, both + 2, 1, &layout, &places, &err), KOL_OK);
    assert_true(str_is(layout->name, "one"));
    free(places);
    assert_int_equal(preset_pick(preset, other, 2, &layout, &places, &err), KOL_OK);
    assert_true(str_is(layout->name, "other"));
    free(places);
    preset_free(&preset);
}

static void test_header_that_fits_none_is_told_what_is_missing(void **state)
{
    (void)state;
    struct preset *preset;
    const struct preset_layout *layout;
    size_t *places;
    struct kol_error err;
    const struct str near[] = {STR("x"), STR("aaba")}, twice[] = {STR("aaaa"), STR("aaaa")};
    assert_int_equal(preset_parse(str_of(layouts), "p.json", &preset, &err), KOL_OK);
    assert_int_equal(preset_pick(preset, near, 2, &layout, &places, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "nearest is one, which also needs: aaaa"));
    assert_non_null(strstr(err.message, "is \"aaba\" meant?"));
    assert_int_equal(preset_pick(preset, twice, 2, &layout, &places, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "\"aaaa\" twice"));
    preset_free(&preset);
}

static void test_values_by_hand_win(void **state)
{
    (void)state;
    struct preset *preset = load("\"lang\":{\"column\":\"x\"}");
    const char *json = apply(preset, "user|x", "u|vi",
                             "lang=a\\,b, event_time=2024-05-06T07:08:09Z,username=@new");
    assert_non_null(strstr(json, "\"event_time\":\"2024-05-06T07:08:09Z\""));
    assert_non_null(strstr(json, "\"lang\":\"a,b\""));
    assert_non_null(strstr(json, "\"username\":\"new\""));
    preset_free(&preset);
}

static void check_set_refused(const char *set, const char *reason)
{
    struct preset *preset = load("");
    struct overrides overrides;
    struct arena arena;
    struct kol_error err = {0};
    arena_init(&arena, 0);
    assert_int_equal(overrides_parse(set, preset, &arena, &overrides, &err), KOL_USAGE);
    if (!strstr(err.message, reason)) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, reason);
    }
    arena_free(&arena);
    preset_free(&preset);
}

static void test_values_by_hand_are_checked(void **state)
{
    (void)state;
    check_set_refused("lang", "\"lang\" is no FIELD=VALUE");
    check_set_refused("event_time=yesterday", "--set event_time: \"yesterday\"");
    check_set_refused("video_id=1", "no event of preset p has a field \"video_id\"");
    check_set_refused("event_type=video", "has a field \"event_type\"");
}

static void test_values_by_hand_go_into_json(void **state)
{
    (void)state;
    struct buf out = {0};
    struct override items[] = {{STR("lang"), STR("v\"i"), STR("\"v\\\"i\"")},
                               {STR("post_count"), STR("+3"), STR("3")}};
    const struct overrides overrides = {items, 2};
    overrides_splice(&out, &overrides, STR("{\"a\":1 }"));
    assert_string_equal(out.ptr, "{\"a\":1,\"lang\":\"v\\\"i\",\"post_count\":3}");
    buf_clear(&out);
    overrides_splice(&out, &overrides, STR("{ }"));
    assert_string_equal(out.ptr, "{\"lang\":\"v\\\"i\",\"post_count\":3}");
    buf_free(&out);
}

struct listed {
    size_t count;
    bool mine, events;
};

static void list_one(const struct preset *preset, const char *origin, void *user)
{
    struct listed *listed = user;
    listed->count++;
    if (str_is(preset->name, "p")) {
        listed->mine = strcmp(origin, "built in") != 0;
    }
    listed->events = listed->events || str_is(preset->name, "events");
    for (size_t i = 0; i < preset->layout_count; i++) {
        const struct preset_layout *layout = &preset->layouts[i];
        struct buf out = {0};
        for (size_t r = 0; r < layout->events[0].rule_count; r++) {
            buf_clear(&out);
            preset_put_rule(&out, layout, &layout->events[0].rules[r]);
            assert_true(out.len > 0);
        }
        buf_free(&out);
    }
}

static void test_presets_are_found_in_a_folder_and_in_the_program(void **state)
{
    (void)state;
    char folder[] = "/tmp/kol-test-presets-XXXXXX";
    struct listed listed = {0};
    struct kol_error err = {0};
    struct preset *preset = NULL;
    struct buf json = {0};
    assert_non_null(mkdtemp(folder));
    put_preset(&json, "");
    char *file = file_join(folder, "p.json");
    assert_int_equal(file_replace(file, buf_str(&json), &err), KOL_OK);
    assert_int_equal(preset_list(folder, list_one, &listed, &err), KOL_OK);
    assert_true(listed.mine && listed.events && listed.count >= 7);
    assert_int_equal(preset_find("p", folder, &preset, &err), KOL_OK);
    preset_free(&preset);
    assert_int_equal(preset_find(file, NULL, &preset, &err), KOL_OK);
    preset_free(&preset);
    assert_int_equal(preset_find("twitter-bots", folder, &preset, &err), KOL_OK);
    preset_free(&preset);
    assert_int_equal(preset_find("twitter-bot", NULL, &preset, &err), KOL_USAGE);
    assert_non_null(strstr(err.message, "is \"twitter-bots\" meant?"));
    assert_int_equal(preset_find("./none.json", NULL, &preset, &err), KOL_NOT_FOUND);
    remove(file);
    remove(folder);
    free(file);
    buf_free(&json);
}

static void test_rules_are_shown_for_people(void **state)
{
    (void)state;
    struct preset *preset =
        load("\"bio\":{\"column\":\"x\",\"empty\":\"value\",\"empty_when\":{\"column\":\"y\","
             "\"equals\":\"z\"},\"transforms\":[\"trim\",{\"map\":{\"a\":\"b\"}}]}");
    const struct preset_event *event = &preset->layouts[0].events[0];
    struct buf out = {0};
    for (size_t i = 0; i < event->rule_count; i++) {
        preset_put_rule(&out, &preset->layouts[0], &event->rules[i]);
        buf_putc(&out, '\n');
    }
    assert_string_equal(out.ptr,
                        "\"tiktok\"\n\"2025-01-01T00:00:00Z\"\nuser\n"
                        "x (trim, map \"a\" to \"b\"); empty is a value where y = \"z\"\n");
    buf_free(&out);
    preset_free(&preset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_is_unknown_unless_the_rule_says_value),
        cmocka_unit_test(test_transforms_of_text),
        cmocka_unit_test(test_transforms_of_other_kinds),
        cmocka_unit_test(test_split_makes_clean_tags),
        cmocka_unit_test(test_first_rule_whose_condition_holds_is_taken),
        cmocka_unit_test(test_what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(test_wrong_rules_are_named),
        cmocka_unit_test(test_header_picks_the_first_layout_that_fits),
        cmocka_unit_test(test_header_that_fits_none_is_told_what_is_missing),
        cmocka_unit_test(test_values_by_hand_win),
        cmocka_unit_test(test_values_by_hand_are_checked),
        cmocka_unit_test(test_values_by_hand_go_into_json),
        cmocka_unit_test(test_presets_are_found_in_a_folder_and_in_the_program),
        cmocka_unit_test(test_rules_are_shown_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
