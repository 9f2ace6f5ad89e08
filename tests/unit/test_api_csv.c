/* test_api_csv.c: rows of JSON as cells and as CSV. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "api/lists.h"

static struct arena arena;

static int open_arena(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* The rows of `json` under the columns of a schema. */
static void assert_csv(const char *schema, const struct api_row_style *style, const char *json,
                       const char *wanted)
{
    struct api_sheet sheet;
    struct str rest = str_of(json);
    struct buf out = {0};
    api_sheet_init(&sheet, schema, style, &arena);
    api_csv_names(&sheet, &out);
    while (api_sheet_read(&sheet, &rest)) {
        api_csv_row(&sheet, &out);
    }
    assert_string_equal(out.ptr, wanted);
    buf_free(&out);
}

static void test_cells_stand_under_their_names_whatever_their_order(void **state)
{
    (void)state;
    assert_csv("DailyPoint", NULL,
               "{\"day\":\"2025-06-29\",\"value\":1.5},{\"value\":2,\"day\":\"2025-06-30\"},"
               "{\"day\":\"2025-07-01\",\"value\":null},{\"day\":\"2025-07-02\"}],\"x\":1}",
               "day,value\r\n2025-06-29,1.5\r\n2025-06-30,2\r\n2025-07-01,\r\n2025-07-02,\r\n");
}

static void test_a_list_without_rows_has_its_names(void **state)
{
    (void)state;
    assert_csv("DailyPoint", NULL, "]}", "day,value\r\n");
    assert_csv("DailyPoint", NULL, "", "day,value\r\n");
}

static void test_texts_are_quoted_where_they_must(void **state)
{
    (void)state;
    static const struct api_row_style style = {.fields = {{"bio", 3}}, .field_count = 1};
    static const struct {
        const char *json, *cell;
    } cases[] = {
        {"\"plain\"", "plain"},
        {"null", ""},
        {"\"\"", "\"\""},
        {"\"null\"", "null"},
        {"\"a,b\"", "\"a,b\""},
        {"\"say \\\"hi\\\"\"", "\"say \"\"hi\"\"\""},
        {"\"two\\nlines\\r\\t\"", "\"two\nlines\r\t\""},
        {"\" edge\"", "\" edge\""},
        {"\"back\\\\slash\\/\"", "back\\slash/"},
        {"\"\\u0001\\u001f\"", "\x01\x1f"},
        {"\"Đặng 💪\"", "Đặng 💪"},
        {"\"}],{[\"", "\"}],{[\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf json = {0}, wanted = {0};
        buf_printf(&json, "{\"kol_id\":\"k\",\"platform\":\"tiktok\",\"bio\":%s}", cases[i].json);
        buf_printf(&wanted, "kol_id,platform,bio\r\nk,tiktok,%s\r\n", cases[i].cell);
        assert_csv("KOLRow", &style, json.ptr, wanted.ptr);
        buf_free(&json);
        buf_free(&wanted);
    }
}

static void test_lists_stand_as_json(void **state)
{
    (void)state;
    static const struct api_row_style style = {.fields = {{"unknown", 7}}, .field_count = 1};
    assert_csv("KOLRow", &style,
               "{\"kol_id\":\"k\",\"platform\":\"tiktok\",\"unknown\":[\"a\",\"b]\"]}\n"
               "{\"kol_id\":\"l\",\"platform\":\"tiktok\",\"unknown\":[]}\n",
               "kol_id,platform,unknown\r\nk,tiktok,\"[\"\"a\"\",\"\"b]\"\"]\"\r\nl,tiktok,[]\r\n");
}

static void test_members_of_objects_have_columns_of_their_own(void **state)
{
    (void)state;
    struct api_sheet sheet;
    static const struct api_row_style style = {
        .fields = {{"username", 8}}, .field_count = 1, .scores = true};
    struct str rest =
        str_of("{\"kol_id\":\"k\",\"platform\":\"tiktok\",\"username\":\"u\",\"scores\":"
               "{\"kol_id\":\"k\",\"trust_score\":12.5,\"percentile\":{\"platform\":"
               "3,\"tier\":null},\"live\":false},\"more\":{\"a\":[1,{\"b\":2}]}}");
    api_sheet_init(&sheet, "KOLRow", &style, &arena);
    assert_true(api_sheet_read(&sheet, &rest));
    size_t seen = 0;
    for (size_t i = 0; i < sheet.count; i++) {
        const char *name = sheet.columns[i].name;
        if (strcmp(name, "scores.trust_score") == 0) {
            assert_true(str_is(sheet.cells[i], "12.5"));
            seen++;
        } else if (strcmp(name, "scores.percentile.platform") == 0) {
            assert_true(str_is(sheet.cells[i], "3"));
            seen++;
        } else if (strcmp(name, "scores.percentile.tier") == 0) {
            assert_int_equal(sheet.cells[i].len, 0);
            seen++;
        }
    }
    assert_int_equal(seen, 3);
    assert_int_equal(rest.len, 0);
}

static void test_every_member_of_a_row_has_a_column_unless_fields_leaves_it_out(void **state)
{
    (void)state;
    struct api_sheet all, few;
    static const struct api_row_style none = {.field_count = 0};
    static const struct api_row_style two = {.fields = {{"tier", 4}, {"bio", 3}}, .field_count = 2};
    api_sheet_init(&all, "KOLRow", &none, &arena);
    api_sheet_init(&few, "KOLRow", &two, &arena);
    assert_int_equal(all.count, api_schema("KOLRow")->field_count - 1); /* without scores */
    assert_int_equal(few.count, 4);
}

static void test_texts_of_a_list_are_read_one_by_one(void **state)
{
    (void)state;
    size_t count;
    struct str *texts = api_json_texts(STR("[\"a\",\"\",\"b\\\"c\"]"), &arena, &count);
    assert_int_equal(count, 3);
    assert_true(str_is(texts[0], "a") && str_is(texts[1], "") && str_is(texts[2], "b\"c"));
    api_json_texts(STR("[]"), &arena, &count);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_stand_under_their_names_whatever_their_order),
        cmocka_unit_test(test_a_list_without_rows_has_its_names),
        cmocka_unit_test(test_texts_are_quoted_where_they_must),
        cmocka_unit_test(test_lists_stand_as_json),
        cmocka_unit_test(test_members_of_objects_have_columns_of_their_own),
        cmocka_unit_test(test_every_member_of_a_row_has_a_column_unless_fields_leaves_it_out),
        cmocka_unit_test(test_texts_of_a_list_are_read_one_by_one),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
