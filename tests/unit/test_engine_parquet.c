/* test_engine_parquet.c: files as they are written, their statistics against brute force, and what
 * a scan reads back. */
#include "base/file.h"
#include "engine_fixture.h"

#include <inttypes.h>
#include <math.h>

static struct ice_data_file *files;
static size_t file_count;

static enum kol_status write_sql(const char *select, const struct ice_schema *schema,
                                 int64_t target)
{
    return engine_write_parquet(session, select, schema, folder, target, &arena, &files,
                                &file_count, &err);
}

static const struct ice_column_stats *stats_of(const struct ice_data_file *file, int32_t id)
{
    for (size_t i = 0; i < file->column_count; i++) {
        if (file->columns[i].field_id == id) {
            return &file->columns[i];
        }
    }
    fail_msg("no statistics of column %d", id);
    return NULL;
}

static const char *scan(const struct ice_schema *schema)
{
    struct buf sql = {0};
    engine_scan_sql(schema, files, file_count, &sql);
    const char *copy = arena_copy(&arena, buf_str(&sql)).ptr;
    buf_free(&sql);
    return copy;
}

/* ---- one column of every type, against brute force ---- */

static void put_decimal(struct buf *out, const struct ice_field *field, struct str bytes)
{
    __int128 number = (signed char)bytes.ptr[0] < 0 ? -1 : 0;
    for (size_t i = 0; i < bytes.len; i++) {
        number = (__int128)((unsigned __int128)number << 8 | (unsigned char)bytes.ptr[i]);
    }
    unsigned __int128 size = number < 0 ? -(unsigned __int128)number : (unsigned __int128)number;
    char digits[48];
    int len = 0;
    for (; size || len <= field->scale; size /= 10) {
        digits[len++] = (char)('0' + (int)(size % 10));
    }
    buf_puts(out, number < 0 ? "CAST('-" : "CAST('");
    for (int i = len; i-- > 0;) {
        buf_putc(out, digits[i]);
        buf_puts(out, i == field->scale && i ? "." : "");
    }
    buf_puts(out, "' AS ");
    engine_type_name(field, out);
    buf_puts(out, ")");
}

/* A bound as a constant of SQL. */
static void put_bound(struct buf *out, const struct ice_field *field, struct str bytes)
{
    struct ice_value value;
    OK(ice_value_read(bytes, field, &value, &err));
    switch (field->type) {
    case ICE_BOOLEAN: buf_puts(out, value.boolean ? "true" : "false"); break;
    case ICE_INT:
    case ICE_LONG: buf_printf(out, "%" PRId64, value.integer); break;
    case ICE_DATE: buf_printf(out, "(DATE '1970-01-01' + (%" PRId64 "))", value.integer); break;
    case ICE_TIME:
        buf_printf(out, "(TIME '00:00:00' + to_microseconds(%" PRId64 "))", value.integer);
        break;
    case ICE_TIMESTAMP: buf_printf(out, "make_timestamp(%" PRId64 ")", value.integer); break;
    case ICE_TIMESTAMPTZ: buf_printf(out, "make_timestamptz(%" PRId64 ")", value.integer); break;
    case ICE_FLOAT:
    case ICE_DOUBLE: buf_printf(out, "'%.17g'::DOUBLE", value.real); break;
    case ICE_STRING:
    case ICE_BINARY:
        buf_puts(out, field->type == ICE_STRING ? "decode(unhex('" : "unhex('");
        for (size_t i = 0; i < value.bytes.len; i++) {
            buf_printf(out, "%02x", (unsigned char)value.bytes.ptr[i]);
        }
        buf_puts(out, field->type == ICE_STRING ? "'))" : "')");
        break;
    case ICE_UUID:
        buf_puts(out, "'");
        for (size_t i = 0; i < 16; i++) {
            buf_printf(out, "%02x", (unsigned char)value.bytes.ptr[i]);
        }
        buf_puts(out, "'::UUID");
        break;
    case ICE_DECIMAL: put_decimal(out, field, value.bytes); break;
    default: fail_msg("no constant for this type");
    }
}

static int64_t count_where(const char *table, const char *condition, const char *bound)
{
    return atoll(askf("SELECT count(*) FROM (%s) t WHERE v %s %s", table, condition, bound));
}

/* Bounds hold for every row of `values`, and are tight where nothing was cut. */
static void check_bounds(const char *values, const struct ice_field *field,
                         const struct ice_column_stats *stats, bool tight)
{
    struct buf low = {0}, high = {0};
    put_bound(&low, field, stats->lower);
    put_bound(&high, field, stats->upper);
    bool real = field->type == ICE_FLOAT || field->type == ICE_DOUBLE;
    struct buf table = {0};
    buf_printf(&table, real ? "SELECT v FROM (%s) WHERE NOT isnan(v)" : "%s", values);
    assert_int_equal(count_where(table.ptr, "<", low.ptr), 0);
    assert_int_equal(count_where(table.ptr, ">", high.ptr), 0);
    if (tight) {
        assert_true(count_where(table.ptr, "=", low.ptr) > 0);
        assert_true(count_where(table.ptr, "=", high.ptr) > 0);
    }
    buf_free(&low);
    buf_free(&high);
    buf_free(&table);
}

struct type_case {
    struct ice_field field;
    const char *values; /* SELECT ... AS v */
    bool bounded, tight;
};

static void check_type(const struct type_case *at)
{
    struct ice_schema schema = {0, (struct ice_field *)&at->field, 1};
    OK(write_sql(at->values, &schema, 0));
    assert_int_equal(file_count, 1);
    const struct ice_column_stats *stats = stats_of(&files[0], at->field.id);
    assert_int_equal(files[0].rows, atoll(askf("SELECT count(*) FROM (%s)", at->values)));
    assert_int_equal(stats->values, files[0].rows);
    assert_int_equal(stats->nulls, atoll(askf("SELECT count(*) - count(v) FROM (%s)", at->values)));
    assert_true(stats->size > 0 && stats->size < files[0].bytes);
    if (at->field.type == ICE_FLOAT || at->field.type == ICE_DOUBLE) {
        assert_int_equal(
            stats->nans,
            atoll(askf("SELECT count(*) FILTER (WHERE isnan(v)) FROM (%s)", at->values)));
    } else {
        assert_int_equal(stats->nans, -1);
    }
    assert_int_equal(stats->has_bounds, at->bounded);
    if (at->bounded) {
        check_bounds(at->values, &at->field, stats, at->tight);
    }
    /* Each row comes back as it was, by name and by id. */
    const char *back = scan(&schema);
    assert_string_equal(askf("SELECT count(*) FROM ((SELECT * FROM (%s) EXCEPT ALL (%s)) UNION ALL "
                             "((%s) EXCEPT ALL SELECT * FROM (%s)))",
                             at->values, back, back, at->values),
                        "0");
    empty_folder();
}

#define ONE(type_, ...)                                                                            \
    {                                                                                              \
        .id = 7, .name = "v", .type = type_, __VA_ARGS__                                           \
    }

static void test_statistics_hold_for_every_type(void **state)
{
    (void)state;
    static const struct type_case cases[] = {
        {ONE(ICE_BOOLEAN), "SELECT range % 2 = 0 AS v FROM range(10)", true, true},
        {ONE(ICE_BOOLEAN), "SELECT unnest([true, NULL]) AS v", true, true},
        {ONE(ICE_BOOLEAN), "SELECT false AS v", true, true},
        {ONE(ICE_INT), "SELECT unnest([-2147483648, 2147483647, NULL])::INTEGER AS v", true, true},
        {ONE(ICE_LONG),
         "SELECT (hash(range) >> 1)::BIGINT - 4611686018427387904 AS v FROM range(150000)", true,
         true},
        {ONE(ICE_LONG), "SELECT (-9223372036854775807 - 1)::BIGINT AS v", true, true},
        {ONE(ICE_FLOAT), "SELECT unnest(['nan', '0.1', '-3.5', NULL, '-inf'])::FLOAT AS v", true,
         true},
        {ONE(ICE_DOUBLE),
         "SELECT CASE WHEN range % 7 = 0 THEN 'nan'::DOUBLE WHEN range % 5 = 0 THEN NULL ELSE "
         "hash(range) / 3::DOUBLE END AS v FROM range(150000)",
         true, true},
        /* one NaN, in the first and in the last row group */
        {ONE(ICE_DOUBLE),
         "SELECT CASE WHEN range = 3 THEN 'nan' ELSE range / 3 END::DOUBLE AS v FROM range(300000)",
         true, true},
        {ONE(ICE_DOUBLE),
         "SELECT CASE WHEN range = 299990 THEN 'nan'::DOUBLE WHEN range > 299000 THEN NULL "
         "ELSE range END AS v FROM range(300000)",
         true, true},
        /* row groups of nulls alone, and of nothing but NaN */
        {ONE(ICE_DOUBLE),
         "SELECT CASE WHEN range < 200000 THEN NULL WHEN range > 290000 THEN range / 7 END AS v "
         "FROM range(300000)",
         true, true},
        {ONE(ICE_DOUBLE),
         "SELECT CASE WHEN range < 200000 THEN 'nan' ELSE range / 7 END::DOUBLE AS v FROM "
         "range(300000)",
         true, true},
        {ONE(ICE_DOUBLE), "SELECT 'nan'::DOUBLE AS v FROM range(3)", false, false},
        {ONE(ICE_DOUBLE), "SELECT NULL::DOUBLE AS v FROM range(3)", false, false},
        {ONE(ICE_DOUBLE), "SELECT 0.1::DOUBLE + 0.2 + range AS v FROM range(3)", true, true},
        {ONE(ICE_DECIMAL, .precision = 4, .scale = 2),
         "SELECT unnest([-0.05, 99.99, NULL])::DECIMAL(4,2) AS v", true, true},
        {ONE(ICE_DECIMAL, .precision = 9, .scale = 0),
         "SELECT unnest([-128, 127])::DECIMAL(9,0) AS v", true, true},
        {ONE(ICE_DECIMAL, .precision = 18, .scale = 4),
         "SELECT unnest([-12345678901234.5678, 0])::DECIMAL(18,4) AS v", true, true},
        {ONE(ICE_DECIMAL, .precision = 38, .scale = 10),
         "SELECT unnest(['-1234567890123456789012345678.0123456789', "
         "'9999999999999999999999999999.9999999999'])::DECIMAL(38,10) AS v",
         true, true},
        {ONE(ICE_DATE), "SELECT unnest(['0044-03-15 (BC)', '9999-12-31', NULL])::DATE AS v", true,
         true},
        {ONE(ICE_DATE), "SELECT unnest(['290000-01-01', '1969-12-31'])::DATE AS v", true, true},
        {ONE(ICE_DATE), "SELECT unnest(['infinity', '1969-12-31'])::DATE AS v", false, false},
        {ONE(ICE_TIME), "SELECT unnest(['00:00:00', '23:59:59.999999'])::TIME AS v", true, true},
        {ONE(ICE_TIMESTAMP),
         "SELECT unnest(['1969-12-31 23:59:59.999999', '0044-03-15 (BC) 01:02:03.4', "
         "'12345-01-01 00:00:00'])::TIMESTAMP AS v",
         true, true},
        {ONE(ICE_TIMESTAMPTZ),
         "SELECT make_timestamptz((hash(range) >> 10)::BIGINT - 9007199254740992) AS v FROM "
         "range(5000)",
         true, true},
        {ONE(ICE_UUID), "SELECT md5(range::VARCHAR)::UUID AS v FROM range(1000)", true, true},
        {ONE(ICE_STRING), "SELECT unnest(['a', 'b''\"\\', NULL, 'a' || chr(0)]) AS v", true, true},
        {ONE(ICE_STRING), "SELECT '' AS v", true, true},
        {ONE(ICE_STRING), "SELECT unnest(['\xc3\xa9t\xc3\xa9', '\xf0\x9f\x8e\xac', 'zebra']) AS v",
         true, true},
        {ONE(ICE_STRING), "SELECT repeat('\xe1\xba\xb7' || range, 20000) AS v FROM range(5)", true,
         false},
        {ONE(ICE_STRING), "SELECT repeat(chr(1114111), 30) AS v", false, false},
        {ONE(ICE_STRING), "SELECT repeat('a', 16) || chr(range::INTEGER) AS v FROM range(1, 300)",
         true, false},
        {ONE(ICE_STRING), "SELECT md5(range::VARCHAR) AS v FROM range(150000)", true, false},
        {ONE(ICE_STRING), "SELECT NULL::VARCHAR AS v FROM range(5)", false, false},
        {ONE(ICE_BINARY), "SELECT unnest(['\\x00\\xFF'::BLOB, 'a'::BLOB]) AS v", true, true},
        {ONE(ICE_BINARY), "SELECT repeat('\\xFE'::BLOB, 20000 + range::INTEGER) AS v FROM range(3)",
         true, false},
        {ONE(ICE_BINARY), "SELECT repeat('\\xFF'::BLOB, 20000) AS v", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_type(&cases[i]);
    }
}

static bool is_zero(struct str bytes, bool negative)
{
    double value;
    assert_int_equal(bytes.len, sizeof value);
    memcpy(&value, bytes.ptr, sizeof value);
    return value == 0 && !!signbit(value) == negative;
}

/* The format orders -0.0 before +0.0; an engine takes them for equal and may print either. */
static void test_bounds_of_zero_take_in_both_zeros(void **state)
{
    (void)state;
    static const char *const cases[] = {"SELECT 0.0::DOUBLE AS v", "SELECT (-0.0)::DOUBLE AS v",
                                        "SELECT unnest([0.0::DOUBLE, -0.0::DOUBLE]) AS v"};
    struct ice_field field = ONE(ICE_DOUBLE);
    struct ice_schema schema = {0, &field, 1};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        OK(write_sql(cases[i], &schema, 0));
        assert_true(is_zero(files[0].columns[0].lower, true));
        assert_true(is_zero(files[0].columns[0].upper, false));
    }
    empty_folder();
}

/* ---- nested ---- */

static void test_lists_maps_and_structs_count_their_leaves(void **state)
{
    (void)state;
    struct ice_field element = {.id = 11, .name = "element", .type = ICE_STRING};
    struct ice_field pair[] = {{.id = 12, .name = "key", .type = ICE_STRING, .required = true},
                               {.id = 13, .name = "value", .type = ICE_LONG}};
    struct ice_field parts[] = {{.id = 14, .name = "a \"b\"", .type = ICE_INT},
                                {.id = 15, .name = "d", .type = ICE_DOUBLE}};
    struct ice_field fields[] = {
        {.id = 1, .name = "id", .type = ICE_LONG, .required = true},
        {.id = 2, .name = "tags", .type = ICE_LIST, .children = &element, .child_count = 1},
        {.id = 3, .name = "m", .type = ICE_MAP, .children = pair, .child_count = 2},
        {.id = 4, .name = "s", .type = ICE_STRUCT, .children = parts, .child_count = 2},
    };
    struct ice_schema schema = {0, fields, ARRAY_LEN(fields)};
    const char *select =
        "SELECT range::BIGINT AS id, "
        "CASE range % 3 WHEN 0 THEN ['x', 'y' || range] WHEN 1 THEN [] END AS tags, "
        "MAP {'k': range::BIGINT} AS m, "
        "{'a \"b\"': range::INTEGER, 'd': range / 3::DOUBLE} AS s FROM range(9)";
    OK(write_sql(select, &schema, 0));
    const struct ice_data_file *file = &files[0];
    static const int32_t ids[] = {1, 11, 12, 13, 14, 15};
    assert_int_equal(file->column_count, ARRAY_LEN(ids));
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        assert_int_equal(file->columns[i].field_id, ids[i]);
    }
    assert_int_equal(stats_of(file, 11)->values, 12); /* 6 texts, 3 empty lists, 3 nulls */
    assert_true(str_is(stats_of(file, 11)->lower, "x"));
    assert_true(str_is(stats_of(file, 11)->upper, "y6"));
    assert_true(str_is(stats_of(file, 12)->lower, "k"));
    assert_int_equal(stats_of(file, 14)->nulls, 0);
    assert_false(stats_of(file, 15)->has_bounds); /* reals below the top level: unknown */
    assert_string_equal(askf("SELECT count(*) FROM ((%s) EXCEPT ALL (%s))", select, scan(&schema)),
                        "0");
    empty_folder();
}

/* ---- what does not fit ---- */

static void test_values_that_do_not_fit_are_errors(void **state)
{
    (void)state;
    static const struct {
        struct ice_field field;
        const char *select;
        const char *says;
    } cases[] = {
        {ONE(ICE_LONG), "SELECT sum(x) FROM (SELECT unnest([9223372036854775807, 1]) x)", "range"},
        {ONE(ICE_INT), "SELECT 2147483648", "range"},
        {ONE(ICE_LONG), "SELECT 1.5::DOUBLE", "CAST"},
        {ONE(ICE_LONG), "SELECT '1'", "CAST"},
        {ONE(ICE_STRING), "SELECT 1", "CAST"},
        {ONE(ICE_DECIMAL, .precision = 4, .scale = 2), "SELECT 1.234", "CAST"},
        {ONE(ICE_DECIMAL, .precision = 4, .scale = 2), "SELECT 100", "100"},
        {ONE(ICE_TIMESTAMPTZ), "SELECT TIMESTAMP '2024-01-01'", "CAST"},
        {ONE(ICE_FIXED, .length = 4), "SELECT 'abcd'::BLOB", "fixed[4]"},
        {ONE(ICE_LONG, .required = true), "SELECT unnest([1, NULL])", "column v is required"},
        {ONE(ICE_LONG), "SELECT 1, 2", "2 columns"},
        {ONE(ICE_LONG), "SELECT nothing", "nothing"},
        {ONE(ICE_LONG), "SELECT error('late') FROM range(10)", "late"},
        {ONE(ICE_LONG),
         "SELECT CASE WHEN range = 150000 THEN error('late')::BIGINT ELSE 1 END FROM "
         "range(200000)",
         "late"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ice_schema schema = {0, (struct ice_field *)&cases[i].field, 1};
        enum kol_status status = write_sql(cases[i].select, &schema, 0);
        if (status == KOL_OK || status == KOL_IO || !strstr(err.message, cases[i].says)) {
            print_error("%s: %d %s\n", cases[i].select, status, err.message);
            fail();
        }
        assert_int_equal(empty_folder(), 0); /* nothing is left behind */
    }
}

static void test_a_bare_null_and_an_empty_list_fit_everything(void **state)
{
    (void)state;
    struct ice_field element = {.id = 11, .name = "element", .type = ICE_STRING};
    struct ice_field other = {.id = 12, .name = "element", .type = ICE_STRING};
    struct ice_field fields[] = {
        {.id = 1, .name = "s", .type = ICE_STRING},
        {.id = 2, .name = "t", .type = ICE_TIMESTAMPTZ},
        {.id = 3, .name = "l", .type = ICE_LIST, .children = &element, .child_count = 1},
        {.id = 4, .name = "e", .type = ICE_LIST, .children = &other, .child_count = 1},
    };
    struct ice_schema schema = {0, fields, ARRAY_LEN(fields)};
    OK(write_sql("SELECT NULL, NULL, NULL, [] -- with a comment", &schema, 0));
    assert_string_equal(
        askf("SELECT (s IS NULL AND t IS NULL AND l IS NULL AND len(e) = 0) FROM (%s)",
             scan(&schema)),
        "true");
    empty_folder();
}

static void test_no_rows_give_no_file(void **state)
{
    (void)state;
    struct ice_field field = ONE(ICE_LONG);
    struct ice_schema schema = {0, &field, 1};
    OK(write_sql("SELECT 1 WHERE false", &schema, 1000));
    assert_int_equal(file_count, 0);
    assert_int_equal(empty_folder(), 0);
    assert_string_equal(askf("SELECT count(v) FROM (%s)", scan(&schema)), "0");
}

/* ---- several files ---- */

static void test_a_large_table_becomes_files_of_about_the_size(void **state)
{
    (void)state;
    struct ice_field fields[] = {{.id = 1, .name = "n", .type = ICE_LONG},
                                 {.id = 2, .name = "h", .type = ICE_STRING}};
    struct ice_schema schema = {0, fields, 2};
    enum { TARGET = 4 << 20 };
    OK(write_sql(
        "SELECT range::BIGINT, md5(range::VARCHAR) FROM range(1000000) ORDER BY range DESC",
        &schema, TARGET));
    assert_true(file_count > 3);
    int64_t rows = 0, above = 1000000;
    for (size_t i = 0; i < file_count; i++) {
        struct ice_value low, high;
        rows += files[i].rows;
        assert_true(files[i].bytes < TARGET + TARGET / 2);
        assert_true(files[i].bytes > TARGET / 2 || i + 1 == file_count);
        /* The order of the SELECT runs through the files. */
        OK(ice_value_read(files[i].columns[0].lower, &fields[0], &low, &err));
        OK(ice_value_read(files[i].columns[0].upper, &fields[0], &high, &err));
        assert_int_equal(high.integer, above - 1);
        assert_int_equal(high.integer - low.integer + 1, files[i].rows);
        above = low.integer;
        assert_string_equal(askf("SELECT bool_and(n < before) FROM (SELECT n, lag(n) OVER (ORDER "
                                 "BY file_row_number) "
                                 "AS before FROM read_parquet('%s', file_row_number = true))",
                                 files[i].path),
                            "true");
    }
    assert_int_equal(rows, 1000000);
    assert_int_equal(empty_folder(), file_count);
}

static void test_split_offsets_are_the_starts_of_row_groups(void **state)
{
    (void)state;
    struct ice_field field = ONE(ICE_LONG);
    struct ice_schema schema = {0, &field, 1};
    OK(write_sql("SELECT range::BIGINT FROM range(300000)", &schema, 0));
    assert_int_equal(files[0].split_count, 3);
    assert_int_equal(files[0].split_offsets[0], 4);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(askf("SELECT count(*) FROM parquet_metadata('%s') WHERE %lld IN "
                                 "(data_page_offset, dictionary_page_offset)",
                                 files[0].path, (long long)files[0].split_offsets[i]),
                            "1");
    }
    assert_true(files[0].split_offsets[1] < files[0].split_offsets[2]);
    OK(write_sql("SELECT 1::BIGINT", &schema, 0));
    assert_int_equal(files[0].split_count, 1);
    assert_int_equal(files[0].split_offsets[0], 4);
    empty_folder();
}

/* ---- scans ---- */

/* Files from before a rename, a widening and a new column, beside one of now. */
static void test_old_files_are_read_by_field_id(void **state)
{
    (void)state;
    struct ice_field before[] = {{.id = 1, .name = "a", .type = ICE_INT},
                                 {.id = 2, .name = "gone", .type = ICE_LONG},
                                 {.id = 3, .name = "b", .type = ICE_STRING}};
    struct ice_field now[] = {{.id = 3, .name = "a", .type = ICE_STRING},
                              {.id = 1, .name = "n", .type = ICE_LONG},
                              {.id = 4, .name = "gone", .type = ICE_LONG}};
    struct ice_schema old_schema = {0, before, 3}, schema = {1, now, 3};
    OK(write_sql("SELECT 1::INTEGER, 2::BIGINT, 'three'", &old_schema, 0));
    struct ice_data_file both[2] = {files[0]};
    OK(write_sql("SELECT 'x', 5000000000, 7::BIGINT", &schema, 0));
    both[1] = files[0];
    files = both;
    file_count = 2;
    assert_string_equal(
        askf("SELECT list({'a': a, 'n': n, 'gone': gone} ORDER BY n) FROM (%s)", scan(&schema)),
        "[{\"a\":\"three\",\"n\":1,\"gone\":null},{\"a\":\"x\",\"n\":5000000000,\"gone\":7}]");
    file_count = 1;
    assert_string_equal(askf("SELECT n FROM (%s) WHERE a = 'three'", scan(&schema)), "1");
    assert_non_null(strstr(scan(&schema), "MAP"));
    assert_null(strstr(scan(&old_schema), "MAP"));
    empty_folder();
}

/* A file of a writer without Iceberg, as if it had been added to the table. */
static void make_plain(const char *select)
{
    struct buf path = {0}, sql = {0};
    buf_printf(&path, "%s/plain [1].parquet", folder);
    buf_printf(&sql, "COPY (%s) TO '%s' (FORMAT parquet)", select, path.ptr);
    OK(engine_exec(session, sql.ptr, &err));
    files = arena_alloc(&arena, sizeof *files);
    *files = (struct ice_data_file){.path = arena_copy(&arena, buf_str(&path)).ptr};
    file_count = 1;
    buf_free(&path);
    buf_free(&sql);
}

static void test_files_without_field_ids_are_read_by_the_mapping(void **state)
{
    (void)state;
    struct ice_field now[] = {{.id = 1, .name = "n", .type = ICE_LONG},
                              {.id = 2, .name = "label", .type = ICE_STRING},
                              {.id = 3, .name = "new", .type = ICE_DATE}};
    struct ice_schema schema = {.fields = now, .count = 3};
    make_plain("SELECT 'one' AS name, 1::INTEGER AS n, 'x' AS label");
    assert_int_equal(engine_exec(session, scan(&schema), &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "plain [1].parquet"));
    schema.name_mapping = "[{\"field-id\": 1, \"names\": [\"n\"]}, "
                          "{\"field-id\": 2, \"names\": [\"other\", \"name\"]}]";
    assert_string_equal(askf("SELECT {'n': n, 'l': label, 'd': new} FROM (%s)", scan(&schema)),
                        "{\"n\":1,\"l\":\"one\",\"d\":null}");
    assert_string_equal(askf("SELECT typeof(n) FROM (%s)", scan(&schema)), "BIGINT");
    schema.name_mapping = "[{";
    assert_int_equal(engine_exec(session, scan(&schema), &err), KOL_INVALID);
    empty_folder();
}

/* The footer is looked at before the engine does: whatever stands in it, that comes to an end. */
static void test_damaged_footers_are_left_to_the_engine(void **state)
{
    (void)state;
    struct ice_field field = ONE(ICE_LONG);
    struct ice_schema schema = {.fields = &field, .count = 1};
    make_plain("SELECT 1::BIGINT AS v, [{'a': 1}] AS l, MAP {'k': 2.5::DOUBLE} AS m");
    struct buf bytes = {0};
    OK(file_read(files[0].path, 1 << 20, &bytes, &err));
    for (size_t i = 4; i < bytes.len; i++) {
        char was = bytes.ptr[i];
        for (int bits = 1; bits < 256; bits = bits * 16 + 15) {
            bytes.ptr[i] = (char)(was ^ bits);
            FILE *out = fopen(files[0].path, "w");
            assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, out), bytes.len);
            fclose(out);
            assert_non_null(scan(&schema));
        }
        bytes.ptr[i] = was;
    }
    buf_free(&bytes);
    empty_folder();
}

/* One of our own files is read as plainly as can be: filters go down to the row groups, and the
 * planner knows how many rows there are. */
static void test_a_scan_of_own_files_is_planned_with_its_rows(void **state)
{
    (void)state;
    struct ice_field field = ONE(ICE_LONG);
    struct ice_schema schema = {0, &field, 1};
    OK(write_sql("SELECT range::BIGINT FROM range(300000)", &schema, 0));
    struct engine_result *result;
    struct buf plan = {0};
    size_t rows;
    buf_printf(&plan, "EXPLAIN %s", scan(&schema));
    OK(engine_query(session, plan.ptr, &result, &err));
    buf_clear(&plan);
    OK(engine_next(result, &rows, &err));
    engine_put(result, 1, 0, &plan);
    assert_non_null(strstr(plan.ptr, "300,000"));
    engine_result_free(&result);
    buf_free(&plan);
    assert_string_equal(askf("SELECT max(v) FROM (%s) WHERE v < 5", scan(&schema)), "4");
    empty_folder();
}

static void test_names_with_quotes_survive(void **state)
{
    (void)state;
    struct ice_field fields[] = {{.id = 1, .name = "a \"b\"", .type = ICE_LONG},
                                 {.id = 2, .name = "it's", .type = ICE_STRING},
                                 {.id = 3, .name = "select", .type = ICE_DOUBLE}};
    struct ice_schema schema = {0, fields, 3};
    OK(write_sql("SELECT 1, 'x', 0.5", &schema, 0));
    assert_int_equal(files[0].column_count, 3);
    assert_true(files[0].columns[2].has_bounds);
    assert_string_equal(
        askf("SELECT \"a \"\"b\"\"\" || \"it's\" || \"select\" FROM (%s)", scan(&schema)), "1x0.5");
    empty_folder();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics_hold_for_every_type),
        cmocka_unit_test(test_bounds_of_zero_take_in_both_zeros),
        cmocka_unit_test(test_lists_maps_and_structs_count_their_leaves),
        cmocka_unit_test(test_values_that_do_not_fit_are_errors),
        cmocka_unit_test(test_a_bare_null_and_an_empty_list_fit_everything),
        cmocka_unit_test(test_no_rows_give_no_file),
        cmocka_unit_test(test_a_large_table_becomes_files_of_about_the_size),
        cmocka_unit_test(test_split_offsets_are_the_starts_of_row_groups),
        cmocka_unit_test(test_old_files_are_read_by_field_id),
        cmocka_unit_test(test_files_without_field_ids_are_read_by_the_mapping),
        cmocka_unit_test(test_damaged_footers_are_left_to_the_engine),
        cmocka_unit_test(test_a_scan_of_own_files_is_planned_with_its_rows),
        cmocka_unit_test(test_names_with_quotes_survive),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
