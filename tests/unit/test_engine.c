/* test_engine.c: sessions, statements and their limits, answers, rows in. */
#include "engine_fixture.h"

#include <math.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/signals.h"

#define ENDLESS "SELECT count(*) FROM range(1000000000000) r WHERE r.range % 7 = 8"

/* ---- limits ---- */

static void test_a_statement_ends_at_its_limit_and_the_session_goes_on(void **state)
{
    (void)state;
    int64_t began = clock_mono_ns();
    engine_set_timeout(session, 100000);
    assert_int_equal(engine_exec(session, ENDLESS, &err), KOL_TIMEOUT);
    assert_true(clock_mono_ns() - began < INT64_C(2000000000));
    assert_string_equal(err.message, "the statement ran into its limit of 0.1 s");
    OK(engine_exec(session, "SELECT 1", &err));
    engine_set_timeout(session, 0);
    assert_string_equal(ask("SELECT 42"), "42");
}

static void test_the_limit_counts_work_and_not_the_readers_pauses(void **state)
{
    (void)state;
    struct engine_result *result;
    size_t rows, total = 0;
    engine_set_timeout(session, 2000000);
    OK(engine_query(session, "SELECT * FROM range(200000)", &result, &err));
    usleep(100000);
    for (int i = 0; i < 30 && (i == 0 || rows); i++) {
        OK(engine_next(result, &rows, &err));
        total += rows;
        usleep(80000); /* 2.4 s in all */
    }
    assert_true(total > 20000);
    engine_result_free(&result);
    engine_set_timeout(session, 0);
}

static void test_rows_that_come_too_slowly_end_at_the_limit(void **state)
{
    (void)state;
    struct engine_result *result = NULL;
    size_t rows;
    engine_set_timeout(session, 100000);
    enum kol_status status =
        engine_query(session, "SELECT range FROM range(1000000000000) WHERE range % 1000000007 = 5",
                     &result, &err);
    while (status == KOL_OK && (status = engine_next(result, &rows, &err)) == KOL_OK) {
        assert_true(rows);
    }
    assert_int_equal(status, KOL_TIMEOUT);
    engine_result_free(&result);
    engine_set_timeout(session, 0);
}

/* Each call is over in microseconds: it is the sum that counts. */
static void test_rows_without_end_end_at_the_limit(void **state)
{
    (void)state;
    struct engine_result *result;
    size_t rows = 1;
    engine_set_timeout(session, 200000);
    OK(engine_query(session, "SELECT * FROM range(1000000000000)", &result, &err));
    enum kol_status status = KOL_OK;
    while (status == KOL_OK && rows) {
        status = engine_next(result, &rows, &err);
    }
    assert_int_equal(status, KOL_TIMEOUT);
    engine_result_free(&result);
    engine_set_timeout(session, 0);
}

static void test_an_interrupt_between_rows_counts(void **state)
{
    (void)state;
    struct engine_result *result;
    size_t rows;
    for (int stop = 0; stop < 2; stop++) {
        OK(engine_query(session, "SELECT * FROM range(1000000)", &result, &err));
        OK(engine_next(result, &rows, &err));
        if (stop) {
            signals_ask_stop(true);
        } else {
            engine_interrupt(session);
        }
        assert_int_equal(engine_next(result, &rows, &err), KOL_INTERRUPTED);
        engine_result_free(&result);
        signals_ask_stop(false);
    }
    assert_string_equal(ask("SELECT 1"), "1");
}

static void *interrupt_soon(void *arg)
{
    usleep(50000);
    engine_interrupt(arg);
    return NULL;
}

static void test_another_thread_interrupts(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, session), 0);
    assert_int_equal(engine_exec(session, ENDLESS, &err), KOL_INTERRUPTED);
    pthread_join(thread, NULL);
    assert_string_equal(ask("SELECT 'on'"), "on");
}

static void *stop_soon(void *arg)
{
    usleep(50000);
    signals_ask_stop(true);
    return arg;
}

static void test_a_stop_of_the_program_ends_a_statement(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    assert_int_equal(engine_exec(session, ENDLESS, &err), KOL_INTERRUPTED);
    pthread_join(thread, NULL);
    assert_int_equal(engine_exec(session, "SELECT 1", &err), KOL_INTERRUPTED);
    signals_ask_stop(false);
    OK(engine_exec(session, "SELECT 1", &err));
}

static void test_sessions_are_limited_each_by_itself(void **state)
{
    (void)state;
    struct engine_session *other;
    pthread_t thread;
    OK(engine_session_open(engine, &other, &err));
    engine_set_timeout(other, 20000000);
    engine_set_timeout(session, 50000);
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, other), 0);
    assert_int_equal(engine_exec(session, ENDLESS, &err), KOL_TIMEOUT);
    pthread_join(thread, NULL); /* nothing ran in `other`: the next statement is not touched */
    OK(engine_exec(other, "SELECT 1", &err));
    engine_session_close(&other);
    engine_set_timeout(session, 0);
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    struct engine *small;
    struct engine_session *in;
    struct engine_options options = {.threads = 1, .memory_bytes = 20 << 20};
    OK(engine_open(&options, &small, &err));
    OK(engine_session_open(small, &in, &err));
    assert_int_equal(
        engine_exec(in, "CREATE TEMP TABLE t AS SELECT hash(range) FROM range(10000000)", &err),
        KOL_NO_MEMORY);
    assert_non_null(strstr(err.message, "memory"));
    engine_session_close(&in);
    engine_close(&small);
}

/* ---- errors ---- */

static void test_errors_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum kol_status status;
        const char *says;
    } cases[] = {
        {"SELEKT 1", KOL_INVALID, "syntax error"},
        {"SELECT x FROM nowhere", KOL_INVALID, "nowhere"},
        {"SELECT CAST('a' AS INTEGER)", KOL_INVALID, "'a'"},
        {"SELECT CAST(300 AS TINYINT)", KOL_INVALID, "range"},
        {"SELECT error('told so')", KOL_INVALID, "told so"},
        {"SELECT * FROM read_parquet('/no/such/file.parquet')", KOL_IO, "No files found"},
        {"COPY (SELECT * FROM range(1000000)) TO '/dev/full' (FORMAT csv)", KOL_NO_SPACE, "space"},
        {"COPY (SELECT 1) TO '/no/such/folder/x.csv'", KOL_IO, "/no/such/folder"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum kol_status status = engine_exec(session, cases[i].sql, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].says)) {
            print_error("%s: %d %s\n", cases[i].sql, status, err.message);
            fail();
        }
        assert_null(strchr(err.message, '\n'));
        assert_null(strstr(err.message, "LINE 1"));
    }
}

static void test_a_failure_between_rows_is_no_end(void **state)
{
    (void)state;
    struct engine_result *result = NULL;
    size_t rows = 1;
    enum kol_status status = engine_query(
        session,
        "SELECT CAST(range % 1500000 AS INTEGER) + 2146000000::INTEGER FROM range(1600000)",
        &result, &err);
    while (status == KOL_OK && rows) {
        status = engine_next(result, &rows, &err);
    }
    assert_int_equal(status, KOL_INVALID);
    engine_result_free(&result);
}

static void test_a_further_statement_ends_the_rows_of_the_one_before(void **state)
{
    (void)state;
    struct engine_result *result;
    size_t rows;
    OK(engine_query(session, "SELECT * FROM range(1000000)", &result, &err));
    OK(engine_next(result, &rows, &err));
    OK(engine_exec(session, "SELECT 1", &err));
    assert_int_equal(engine_next(result, &rows, &err), KOL_INVALID);
    engine_result_free(&result);
}

/* ---- answers ---- */

static void test_every_value_has_a_text(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *text;
    } cases[] = {
        {"true", "true"},
        {"(-128)::TINYINT", "-128"},
        {"65535::USMALLINT", "65535"},
        {"18446744073709551615::UBIGINT", "18446744073709551615"},
        {"(-170141183460469231731687303715884105728)::HUGEINT",
         "-170141183460469231731687303715884105728"},
        {"340282366920938463463374607431768211455::UHUGEINT",
         "340282366920938463463374607431768211455"},
        {"0.1::FLOAT", "0.1"},
        {"16777216::FLOAT", "16777216"},
        {"0.1::DOUBLE + 0.2::DOUBLE", "0.30000000000000004"},
        {"'nan'::DOUBLE", "NaN"},
        {"'-inf'::DOUBLE", "-Infinity"},
        {"1.50::DECIMAL(4,2)", "1.50"},
        {"(-0.05)::DECIMAL(4,2)", "-0.05"},
        {"0::DECIMAL(9,0)", "0"},
        {"12345678901234567890123456789012345.678::DECIMAL(38,3)",
         "12345678901234567890123456789012345.678"},
        {"DATE '2024-02-29'", "2024-02-29"},
        {"DATE '0044-03-15 (BC)'", "-43-03-15"},
        {"DATE 'infinity'", "infinity"},
        {"TIME '01:02:03.000004'", "01:02:03.000004"},
        {"TIME '24:00:00'", "24:00:00"},
        {"TIMESTAMP '1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"},
        {"TIMESTAMPTZ '2024-01-01 07:00:00+07'", "2024-01-01T00:00:00Z"},
        {"TIMESTAMP '-infinity'", "-infinity"},
        {"'a\"b'", "a\"b"},
        {"UUID 'f0000000-0000-1000-8000-00000000000f'", "f0000000-0000-1000-8000-00000000000f"},
        {"UUID '00000000-0000-0000-0000-000000000001'", "00000000-0000-0000-0000-000000000001"},
        {"['x', NULL, 'y\"z']", "[\"x\",null,\"y\\\"z\"]"},
        {"[[1], [], [2, 3]]", "[[1],[],[2,3]]"},
        {"{'a': 1, 'b': TIMESTAMPTZ '2024-01-01 00:00:00+00', 'c': 'nan'::FLOAT}",
         "{\"a\":1,\"b\":\"2024-01-01T00:00:00Z\",\"c\":\"NaN\"}"},
        {"MAP {1: 'x', 2: NULL}", "{\"1\":\"x\",\"2\":null}"},
        {"['\\xFF'::BLOB]", "[\"base64:/w==\"]"},
        {"INTERVAL '1 month 2 days'", "1 month 2 days"},
        {"'b'::ENUM('a', 'b')", "b"},
        {"[1, 2]::INTEGER[2]", "[1, 2]"},
        {"TIMESTAMP_NS '2024-01-01 00:00:00.123456789'", "2024-01-01 00:00:00.123456789"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *text = askf("SELECT %s", cases[i].sql);
        if (strcmp(text, cases[i].text) != 0) {
            print_error("%s is printed %s, not %s\n", cases[i].sql, text, cases[i].text);
            fail();
        }
    }
}

static void test_columns_tell_their_types(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum ice_type type;
        bool exact;
    } cases[] = {
        {"true", ICE_BOOLEAN, true},
        {"1::SMALLINT", ICE_INT, true},
        {"1::UINTEGER", ICE_LONG, true},
        {"1::BIGINT", ICE_LONG, true},
        {"1::UBIGINT", ICE_DECIMAL, false},
        {"sum(1)", ICE_DECIMAL, false},
        {"1.5", ICE_DECIMAL, true},
        {"1::DOUBLE", ICE_DOUBLE, true},
        {"'x'", ICE_STRING, true},
        {"now()", ICE_TIMESTAMPTZ, true},
        {"DATE '2024-01-01'", ICE_DATE, true},
        {"uuid()", ICE_UUID, true},
        {"['x']", ICE_LIST, true},
        {"{'a': 1}", ICE_STRUCT, true},
        {"MAP {1: 2}", ICE_MAP, true},
        {"INTERVAL 1 day", ICE_STRING, false},
        {"'a'::ENUM('a')", ICE_STRING, false},
        {"''::BLOB", ICE_BINARY, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct engine_result *result;
        char sql[128];
        bool exact;
        snprintf(sql, sizeof sql, "SELECT %s AS \"a column\"", cases[i].sql);
        OK(engine_query(session, sql, &result, &err));
        struct ice_field field = engine_column_type(result, 0, &exact);
        if (field.type != cases[i].type || exact != cases[i].exact) {
            print_error("%s is of type %d\n", cases[i].sql, field.type);
            fail();
        }
        assert_string_equal(engine_column_name(result, 0), "a column");
        assert_string_equal(field.name, "a column");
        engine_result_free(&result);
    }
}

static void test_cells_are_read_by_type(void **state)
{
    (void)state;
    struct engine_result *result;
    struct str texts[2];
    size_t rows;
    OK(engine_query(
        session,
        "SELECT true, -5::SMALLINT, DATE '1970-01-02', -1.5::DECIMAL(30,2), 'a' || chr(0), "
        "['longer than twelve bytes', NULL, 'z'], NULL::BIGINT, sum(2), 1.25::DECIMAL(4,2)",
        &result, &err));
    OK(engine_next(result, &rows, &err));
    assert_int_equal(rows, 1);
    assert_true(engine_bool(result, 0, 0));
    assert_int_equal(engine_int(result, 1, 0), -5);
    assert_int_equal(engine_int(result, 2, 0), 1);
    assert_true(engine_real(result, 3, 0) == -1.5);
    assert_true(str_equal(engine_text(result, 4, 0), (struct str){"a\0", 2}));
    assert_int_equal(engine_texts(result, 5, 0, texts, 2), 3);
    assert_true(str_is(texts[0], "longer than twelve bytes"));
    assert_null(texts[1].ptr);
    assert_true(engine_null(result, 6, 0));
    assert_false(engine_null(result, 1, 0));
    assert_true(engine_real(result, 7, 0) == 2);
    assert_true(engine_real(result, 8, 0) == 1.25);
    OK(engine_next(result, &rows, &err));
    assert_int_equal(rows, 0);
    engine_result_free(&result);
}

static void test_odd_types_come_as_text_whatever_else_the_select_holds(void **state)
{
    (void)state;
    struct engine_result *result;
    struct buf out = {0};
    size_t rows;
    OK(engine_query(session,
                    "SELECT i AS x, to_days(i::INTEGER) AS x, {'d': to_days(1)} AS \"q\"\"t\" FROM "
                    "range(3) t(i) ORDER BY 1 DESC; -- the end",
                    &result, &err));
    OK(engine_next(result, &rows, &err));
    assert_int_equal(rows, 3);
    engine_put(result, 1, 0, &out);
    assert_string_equal(out.ptr, "2 days");
    assert_string_equal(engine_column_name(result, 1), "x");
    assert_string_equal(engine_column_name(result, 2), "q\"t");
    engine_result_free(&result);
    buf_free(&out);
}

/* ---- rows in ---- */

static struct ice_field element = {.id = 20, .name = "element", .type = ICE_STRING};
static struct ice_field fields[] = {
    {.id = 1, .name = "n", .type = ICE_LONG},
    {.id = 2, .name = "b", .type = ICE_BOOLEAN},
    {.id = 3, .name = "i", .type = ICE_INT},
    {.id = 4, .name = "f", .type = ICE_FLOAT},
    {.id = 5, .name = "d", .type = ICE_DOUBLE},
    {.id = 6, .name = "day", .type = ICE_DATE},
    {.id = 7, .name = "seen", .type = ICE_TIMESTAMPTZ},
    {.id = 8, .name = "s", .type = ICE_STRING},
    {.id = 9, .name = "tags", .type = ICE_LIST, .children = &element, .child_count = 1},
};
static const struct ice_schema schema = {0, fields, ARRAY_LEN(fields)};

static void make_table(const char *name)
{
    struct buf sql = {0};
    buf_printf(&sql, "CREATE OR REPLACE TEMP TABLE %s(", name);
    for (size_t i = 0; i < schema.count; i++) {
        buf_printf(&sql, "%s%s ", i ? ", " : "", schema.fields[i].name);
        engine_type_name(&schema.fields[i], &sql);
    }
    buf_putc(&sql, ')');
    OK(engine_exec(session, sql.ptr, &err));
    buf_free(&sql);
}

static void append_one(struct engine_appender *appender, int64_t i)
{
    struct str texts[3] = {STR("a"), STR("a text that is longer than twelve"), {"x\0y", 3}};
    engine_append_int(appender, 0, i);
    if (i % 7 == 0) {
        OK(engine_append_row(appender, &err));
        return; /* all else null */
    }
    engine_append_bool(appender, 1, i % 2);
    engine_append_int(appender, 2, -i);
    engine_append_real(appender, 3, (double)i / 4);
    engine_append_real(appender, 4, (double)i / 10);
    engine_append_int(appender, 5, i - 1000);
    engine_append_int(appender, 6, i * 1000003 - 1);
    engine_append_text(appender, 7, texts[i % 3]);
    engine_append_texts(appender, 8, texts, (size_t)i % 4);
    OK(engine_append_row(appender, &err));
}

/* What append_one() made of 0 to 9999 is in the table t. */
static void check_rows(void)
{
    assert_string_equal(ask("SELECT count(*) FROM t"), "10000");
    assert_string_equal(
        ask("SELECT count(*) FROM t WHERE n % 7 = 0 AND b IS NULL AND i IS NULL AND "
            "f IS NULL AND d IS NULL AND day IS NULL AND seen IS NULL AND s IS NULL "
            "AND tags IS NULL"),
        "1429");
    assert_string_equal(
        ask("SELECT count(*) FROM t WHERE n % 7 <> 0 AND b = (n % 2 = 1) AND i = -n AND f = n / "
            "4.0 "
            "AND d = n / 10::DOUBLE AND day = DATE '1970-01-01' + (n - 1000)::INTEGER AND "
            "seen = make_timestamptz(n * 1000003 - 1) AND "
            "s = ['a', 'a text that is longer than twelve', 'x' || chr(0) || 'y'][n % 3 + 1] AND "
            "tags = ['a', 'a text that is longer than twelve', 'x' || chr(0) || 'y'][:n % 4]"),
        "8571");
}

static void test_appended_rows_come_back(void **state)
{
    (void)state;
    enum { ROWS = 10000 };
    struct engine_appender *appender;
    make_table("t");
    OK(engine_append_open(session, "t", &schema, &appender, &err));
    for (int64_t i = 0; i < ROWS; i++) {
        append_one(appender, i);
        if (i == 5000) {
            OK(engine_append_flush(appender, &err));
            assert_string_equal(ask("SELECT count(*) FROM t"), "5001");
        }
    }
    OK(engine_append_flush(appender, &err));
    engine_append_close(&appender);
    check_rows();
}

/* Where a fill stands. */
struct filling {
    int64_t at, end;
    char text[64]; /* overwritten at every call, as the contract allows */
};

static void fill_some(struct engine_appender *rows, size_t room, void *user)
{
    struct filling *filling = user;
    /* Not always as many as there is room for. */
    for (size_t i = 0; i < room - 5 && filling->at < filling->end; i++) {
        append_one(rows, filling->at++);
    }
}

static void fill_one_text(struct engine_appender *rows, size_t room, void *user)
{
    struct filling *filling = user;
    (void)room;
    if (filling->at < filling->end) {
        int len = snprintf(filling->text, sizeof filling->text, "a rather long text, number %d",
                           (int)filling->at++);
        engine_append_text(rows, 7, (struct str){filling->text, (size_t)len});
        OK(engine_append_row(rows, &err));
    }
}

static void test_a_select_reads_a_source_to_its_end(void **state)
{
    (void)state;
    struct filling filling = {.end = 10000};
    struct engine_source *source;
    struct buf sql = {0};
    OK(engine_source_open(session, &schema, fill_some, &filling, &source, &err));
    buf_puts(&sql, "CREATE OR REPLACE TEMP TABLE t AS SELECT * FROM ");
    engine_source_put(source, &sql);
    OK(engine_exec(session, sql.ptr, &err));
    check_rows();
    assert_string_equal(ask("SELECT count(*) FROM t WHERE rowid <> n"), "0");
    filling = (struct filling){0};
    OK(engine_exec(session, sql.ptr, &err));
    assert_string_equal(ask("SELECT count(*) FROM t"), "0");
    engine_source_close(&source);
    assert_null(source);
    assert_int_equal(engine_exec(session, sql.ptr, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "no such source"));
    buf_free(&sql);
}

static void test_a_sources_texts_stay_only_until_the_next_call(void **state)
{
    (void)state;
    struct filling filling = {.end = 5000}, other = {0};
    struct engine_source *source, *second;
    struct buf sql = {0};
    OK(engine_source_open(session, &schema, fill_one_text, &filling, &source, &err));
    OK(engine_source_open(session, &schema, fill_some, &other, &second, &err));
    buf_puts(&sql, "CREATE OR REPLACE TEMP TABLE t AS SELECT * FROM ");
    engine_source_put(source, &sql);
    OK(engine_exec(session, sql.ptr, &err));
    assert_string_equal(ask("SELECT count(*) FROM t"), "5000");
    assert_string_equal(ask("SELECT count(*) FROM t WHERE s <> 'a rather long text, number ' || "
                            "rowid"),
                        "0");
    engine_source_close(&source);
    engine_source_close(&second);
    buf_free(&sql);
}

static void test_an_appender_wants_the_tables_columns(void **state)
{
    (void)state;
    struct engine_appender *appender;
    assert_int_equal(engine_append_open(session, "absent", &schema, &appender, &err), KOL_INVALID);
    OK(engine_exec(session, "CREATE TEMP TABLE narrow(n BIGINT)", &err));
    assert_int_equal(engine_append_open(session, "narrow", &schema, &appender, &err), KOL_INVALID);
}

/* ---- functions of numbers ---- */

enum { WORDS = 20 }; /* more than a block's texts that the engine remembers */

static const char *const name_set[] = {"short", "a name of more than twelve bytes", "third"};

/* {word: 'w4' or 'a word that is long, number 5', names: [..]} by a number. */
static void run_words(const void *user, size_t rows, const double *const *arguments,
                      const union engine_column *members)
{
    const char(*words)[48] = user;
    for (size_t row = 0; row < rows; row++) {
        const bool none = isnan(arguments[0][row]);
        const int number = none ? 0 : (int)arguments[0][row];
        members[0].texts[row] = none ? NULL : words[number % WORDS];
        members[1].sets[row] = none ? ENGINE_NO_SET : (uint64_t)number % 8;
        members[2].reals[row] = arguments[0][row];
    }
}

static void test_a_function_gives_texts_and_sets_of_names(void **state)
{
    (void)state;
    static char words[WORDS][48];
    static const struct engine_member members[] = {
        {"word", ICE_STRING, NULL}, {"names", ICE_LIST, name_set}, {"real", ICE_DOUBLE, NULL}};
    for (int i = 0; i < WORDS; i++) {
        snprintf(words[i], sizeof words[i], "%s%d", i % 2 ? "a word that is long, number " : "w",
                 i);
    }
    OK(engine_add_number_function(engine, "test_words", 1, members, ARRAY_LEN(members), run_words,
                                  words, &err));
    OK(engine_exec(session,
                   "CREATE TEMP TABLE made AS SELECT n, s.* FROM (SELECT n, test_words(CAST(CASE "
                   "WHEN n % 11 > 0 THEN n END AS DOUBLE)) AS s FROM range(5000) AS r(n))",
                   &err));
    assert_string_equal(ask("SELECT count(*) FROM made WHERE n % 11 > 0 AND word IS DISTINCT FROM "
                            "CASE n % 2 WHEN 1 THEN 'a word that is long, number ' ELSE 'w' END || "
                            "n % 20"),
                        "0");
    assert_string_equal(
        ask("SELECT count(*) FROM made WHERE n % 11 > 0 AND names IS DISTINCT FROM list_filter(["
            "CASE WHEN n & 1 > 0 THEN 'short' END, CASE WHEN n & 2 > 0 THEN 'a name of more than "
            "twelve bytes' END, CASE WHEN n & 4 > 0 THEN 'third' END], lambda x: x IS NOT NULL)"),
        "0");
    assert_string_equal(ask("SELECT count(*) FROM made WHERE (n % 11 = 0) IS DISTINCT FROM (word "
                            "IS NULL AND names IS NULL AND real IS NULL)"),
                        "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_statement_ends_at_its_limit_and_the_session_goes_on),
        cmocka_unit_test(test_the_limit_counts_work_and_not_the_readers_pauses),
        cmocka_unit_test(test_rows_that_come_too_slowly_end_at_the_limit),
        cmocka_unit_test(test_rows_without_end_end_at_the_limit),
        cmocka_unit_test(test_an_interrupt_between_rows_counts),
        cmocka_unit_test(test_another_thread_interrupts),
        cmocka_unit_test(test_a_stop_of_the_program_ends_a_statement),
        cmocka_unit_test(test_sessions_are_limited_each_by_itself),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_errors_are_told_apart),
        cmocka_unit_test(test_a_failure_between_rows_is_no_end),
        cmocka_unit_test(test_a_further_statement_ends_the_rows_of_the_one_before),
        cmocka_unit_test(test_every_value_has_a_text),
        cmocka_unit_test(test_columns_tell_their_types),
        cmocka_unit_test(test_cells_are_read_by_type),
        cmocka_unit_test(test_odd_types_come_as_text_whatever_else_the_select_holds),
        cmocka_unit_test(test_appended_rows_come_back),
        cmocka_unit_test(test_an_appender_wants_the_tables_columns),
        cmocka_unit_test(test_a_select_reads_a_source_to_its_end),
        cmocka_unit_test(test_a_sources_texts_stay_only_until_the_next_call),
        cmocka_unit_test(test_a_function_gives_texts_and_sets_of_names),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
