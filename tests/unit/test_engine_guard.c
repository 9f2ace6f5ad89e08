/* test_engine_guard.c: which tables a SELECT reads, and what a stranger's SQL cannot do. */
#include "engine_fixture.h"

/* ---- tables of a SELECT ---- */

static void test_the_tables_of_a_select_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *tables;
    } cases[] = {
        {"SELECT 1", ""},
        {"SELECT * FROM silver.a JOIN gold.b USING (x), \"Up\".\"c d\"", "Up.c d silver.a gold.b"},
        {"SELECT * FROM a.t WHERE x IN (SELECT y FROM b.t) AND EXISTS (FROM c.t)", "a.t b.t c.t"},
        {"SELECT (SELECT max(x) FROM s.t), x FROM s.t", "s.t"},
        {"WITH w AS (SELECT * FROM s.t) SELECT * FROM w, s.w", "s.t s.w"},
        {"WITH w AS (SELECT * FROM s.t), v AS (SELECT * FROM W) SELECT * FROM v", "s.t"},
        {"WITH w AS (SELECT * FROM w) SELECT * FROM w", "w"},
        {"WITH v AS (SELECT * FROM w), w AS (SELECT 1) SELECT * FROM v, w", "w"},
        {"WITH RECURSIVE w AS (SELECT 1 UNION ALL SELECT * FROM w, s.t) FROM w", "s.t"},
        {"SELECT * FROM (WITH w AS (SELECT 1) FROM w), w", "w"},
        {"SELECT * FROM a.b UNION SELECT * FROM c.d ORDER BY (SELECT 1 FROM e.f)", "a.b c.d e.f"},
        {"SELECT * FROM s.t, unnest(s.t.x), LATERAL (SELECT * FROM s.u)", "s.t s.u"},
        {"SELECT sum(x) OVER (PARTITION BY (SELECT 1 FROM p.q)) FROM s.t", "p.q s.t"},
        {"FROM s.t SELECT x QUALIFY row_number() OVER () = (SELECT 1 FROM p.q)", "p.q s.t"},
        {"SELECT * FROM k.s.t", "k.s.t"},
        {"SELECT '{\"type\":\"BASE_TABLE\",\"table_name\":\"x\"}' FROM s.t -- FROM y", "s.t"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char **tables;
        size_t count, found = 0;
        OK(engine_tables_of(session, cases[i].sql, &arena, &tables, &count, &err));
        struct str rest = str_of(cases[i].tables);
        for (size_t j = 0; j < count; j++) {
            found += strstr(cases[i].tables, tables[j]) != NULL;
            assert_true(j == 0 || strcmp(tables[j - 1], tables[j]) < 0);
        }
        size_t wanted = 0;
        while (rest.len) {
            str_cut(&rest, ' ');
            wanted++;
        }
        wanted -= strstr(cases[i].tables, "c d") != NULL;
        if (found != count || count != wanted) {
            print_error("%s: %zu tables, %zu of them right\n", cases[i].sql, count, found);
            fail();
        }
    }
}

static void test_what_is_no_select_has_no_tables(void **state)
{
    (void)state;
    const char **tables;
    size_t count;
    assert_int_equal(engine_tables_of(session, "SELEC 1", &arena, &tables, &count, &err),
                     KOL_INVALID);
    assert_int_equal(engine_tables_of(session, "DROP TABLE x", &arena, &tables, &count, &err),
                     KOL_INVALID);
}

static void test_looking_for_tables_runs_and_opens_nothing(void **state)
{
    (void)state;
    const char **tables;
    size_t count;
    OK(engine_tables_of(session,
                        "SELECT nowhere(x) FROM read_csv('/no/such/file'), s.t WHERE error('x')",
                        &arena, &tables, &count, &err));
    assert_int_equal(count, 1);
}

/* ---- hostile SQL ---- */

static void test_honest_selects_pass(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "SELECT 1",
        "SELECT 1;",
        "  SELECT 1 -- ; DROP TABLE x",
        "SELECT * FROM silver.kols WHERE name = 'read_csv(''x'')' ORDER BY 1 LIMIT 5",
        "WITH w AS (SELECT * FROM s.t) SELECT count(*) FROM w",
        "FROM s.t",
        "VALUES (1), (2)",
        "SELECT * FROM range(3), unnest([1, 2]), generate_series(1, 3)",
        "SELECT version_of_model, \"current_setting\" FROM s.t",
        "SELECT date_trunc('day', seen), now(), max_by(x, y) FILTER (WHERE z) FROM s.t GROUP BY 1",
        "SELECT * FROM json_each('[1]')",
        "SELECT tags[1], {'a': 1}.a, [x * 2 FOR x IN tags], list_transform(tags, lambda x: x) "
        "FROM s.t",
        "SELECT * FROM s.t UNION ALL SELECT * FROM s.u",
        "SELECT 'a.parquet', \"b/c\" FROM s.t",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum kol_status status = engine_check_user_select(session, cases[i], &err);
        if (status != KOL_OK) {
            print_error("%s: %s\n", cases[i], err.message);
            fail();
        }
    }
}

static const char *const hostile[] = {
    /* no SELECT, or more than one */
    "",
    ";",
    "-- nothing",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE secret",
    "DROP VIEW s.v",
    "CREATE TABLE x AS SELECT 1",
    "CREATE MACRO m() AS TABLE SELECT 1",
    "CREATE TEMP VIEW v AS SELECT 1",
    "INSERT INTO secret VALUES (1)",
    "UPDATE secret SET a = 1",
    "DELETE FROM secret",
    "WITH w AS (SELECT 1) INSERT INTO secret SELECT * FROM w",
    "COPY (SELECT 1) TO '/tmp/kol-hostile.csv'",
    "COPY secret FROM '/etc/passwd'",
    "EXPORT DATABASE '/tmp/kol-hostile'",
    "ATTACH '/tmp/kol-hostile.db' AS other",
    "ATTACH ':memory:' AS other",
    "USE other",
    "INSTALL httpfs",
    "LOAD '/tmp/x.duckdb_extension'",
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN ANALYZE SELECT 1",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "SHOW TABLES",
    "DESCRIBE s.t",
    "SUMMARIZE s.t",
    "SELECT * FROM (DESCRIBE s.t)",
    "SELECT * FROM (SHOW ALL TABLES)",
    "CREATE SECRET (TYPE s3)",
    /* files as tables */
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM '/tmp/x.csv'",
    "SELECT * FROM \"x.parquet\"",
    "SELECT * FROM x.parquet",
    "SELECT * FROM x.csv",
    "SELECT * FROM X.JSON",
    "SELECT * FROM 'x.csv.gz'",
    "SELECT * FROM 's3://bucket/x'",
    "SELECT * FROM 'https://host/x'",
    "SELECT * FROM '*.parquet'",
    "SELECT * FROM '~/x.parquet'",
    "SELECT * FROM 'C:\\x.csv'",
    /* functions that read files */
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM READ_CSV_AUTO('/etc/passwd')",
    "SELECT * FROM \"read_text\"('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/x')",
    "SELECT * FROM read_ndjson_objects('/etc/x')",
    "SELECT * FROM read_parquet('/x')",
    "SELECT * FROM parquet_scan('/x')",
    "SELECT * FROM parquet_metadata('/x')",
    "SELECT * FROM parquet_schema('/x')",
    "SELECT * FROM read_duckdb('/x')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM main.glob('/*')",
    "SELECT * FROM system.main.read_text('/etc/passwd')",
    "SELECT * FROM s.t, LATERAL (SELECT * FROM read_text(t.path))",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH w AS MATERIALIZED (SELECT * FROM read_text('/etc/passwd')) SELECT 1",
    "SELECT 1 ORDER BY (SELECT count(*) FROM glob('/*'))",
    "SELECT 1 LIMIT (SELECT count(*) FROM glob('/*'))",
    "SELECT 1 UNION SELECT size FROM read_blob('/etc/passwd')",
    "SELECT * FROM s.t WHERE x IN (FROM glob('/*'))",
    "SELECT sum(1) OVER (ORDER BY (SELECT 1 FROM glob('/*'))) FROM s.t",
    "SELECT list_transform([1], lambda x: (SELECT count(*) FROM glob('/*')))",
    "FROM s.t PIVOT (sum(x) FOR y IN ('a')), glob('/*')",
    "SELECT * FROM (VALUES ((SELECT count(*) FROM glob('/*'))))",
    "SELECT read_text('/etc/passwd')",
    "SELECT sniff_csv('/etc/passwd')",
    "SELECT parquet_scan('x')",
    "SELECT glob('/*')",
    "SELECT duckdb_settings()",
    /* SQL out of a text */
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table('x.csv')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT json_serialize_plan('SELECT * FROM read_csv(''/etc/passwd'')')",
    /* settings, the environment, the engine's own tables, side effects */
    "SELECT getenv('HOME')",
    "SELECT current_setting('allowed_paths')",
    "SELECT system.main.current_setting('temp_directory')",
    "SELECT getvariable('x')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM system.information_schema.tables",
    "SELECT * FROM memory.main.secret",
    "SELECT * FROM temp.secret",
    "SELECT nextval('q')",
    "SELECT write_log('x')",
    "SELECT sleep_ms(100000)",
    "SELECT pg_sleep(100)",
    "SELECT current_query()",
    "SELECT * FROM test_all_types()",
    "SELECT * FROM repeat_row(1, num_rows = 5)",
    "SELECT * FROM pg_timezone_names()",
};

static void test_hostile_selects_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        enum kol_status status = engine_check_user_select(session, hostile[i], &err);
        if (status != KOL_INVALID || !err.message[0]) {
            print_error("let through: %s\n", hostile[i]);
            fail();
        }
    }
}

static void test_a_select_nested_deep_is_an_error_and_no_crash(void **state)
{
    (void)state;
    struct buf sql = {0};
    for (int depth = 100; depth <= 100000; depth *= 10) {
        buf_clear(&sql);
        buf_puts(&sql, "SELECT ");
        for (int i = 0; i < depth; i++) {
            buf_putc(&sql, '(');
        }
        buf_puts(&sql, "1");
        for (int i = 0; i < depth; i++) {
            buf_puts(&sql, "+1)");
        }
        enum kol_status status = engine_check_user_select(session, sql.ptr, &err);
        assert_true(status == KOL_INVALID || depth == 100);
    }
    buf_free(&sql);
}

/* ---- the second wall ---- */

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* What the guard would refuse, tried behind it: the engine itself must refuse. */
static void test_a_locked_engine_opens_nothing_but_its_files(void **state)
{
    (void)state;
    char allowed[96], secret[96], sql[512];
    struct engine *locked;
    struct engine_session *in;
    struct engine_options options = {.threads = 1};
    snprintf(allowed, sizeof allowed, "%s/it's allowed.csv", folder);
    snprintf(secret, sizeof secret, "%s/secret.csv", folder);
    write_text(allowed, "a\n1\n");
    write_text(secret, "a\n2\n");
    struct ice_data_file file = {.path = allowed};
    OK(engine_open(&options, &locked, &err));
    OK(engine_lock(locked, &file, 1, &err));
    OK(engine_session_open(locked, &in, &err));
    snprintf(sql, sizeof sql, "SELECT a FROM read_csv('%s/it''s allowed.csv')", folder);
    int64_t value;
    OK(engine_get_int(in, sql, &value, &err));
    assert_int_equal(value, 1);
    static const char *const tries[] = {
        "SELECT * FROM read_csv('@/secret.csv')",
        "SELECT * FROM read_text('@/../../etc/passwd')",
        "SELECT count(*) FROM glob('@/*')",
        "SELECT * FROM '@/secret.csv'",
        "COPY (SELECT 1) TO '@/new.csv'",
        "ATTACH '@/new.db' AS other",
        "SET enable_external_access = true",
        "SET allowed_paths = ['@/secret.csv']",
        "SET threads = 64",
        "RESET lock_configuration",
        "INSTALL httpfs",
        "LOAD '@/x.duckdb_extension'",
        "SELECT * FROM duckdb_secrets()",
    };
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        struct str rest = str_of(tries[i]), head = str_cut(&rest, '@');
        snprintf(sql, sizeof sql, "%.*s%s%.*s", STR_FORMAT(head), rest.ptr ? folder : "",
                 STR_FORMAT(rest));
        if (engine_exec(in, sql, &err) == KOL_OK) {
            /* A pattern may come back empty: that tells nothing. */
            if (!strstr(sql, "glob") || engine_get_int(in, sql, &value, &err) != KOL_OK || value) {
                print_error("not refused: %s\n", sql);
                fail();
            }
        }
    }
    engine_session_close(&in);
    engine_close(&locked);
    assert_int_equal(empty_folder(), 2);
}

static void test_a_locked_engine_still_spills(void **state)
{
    (void)state;
    char temp[96];
    struct engine *locked;
    struct engine_session *in;
    snprintf(temp, sizeof temp, "%s/temp", folder);
    struct engine_options options = {.threads = 1, .temp = temp, .memory_bytes = 60 << 20};
    OK(engine_open(&options, &locked, &err));
    OK(engine_lock(locked, NULL, 0, &err));
    OK(engine_session_open(locked, &in, &err));
    int64_t value;
    OK(engine_get_int(in,
                      "SELECT count(*) FROM (SELECT hash(range) h, range r FROM range(5000000) "
                      "ORDER BY 1 OFFSET 1)",
                      &value, &err));
    assert_int_equal(value, 4999999);
    engine_session_close(&in);
    engine_close(&locked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_tables_of_a_select_are_found),
        cmocka_unit_test(test_what_is_no_select_has_no_tables),
        cmocka_unit_test(test_looking_for_tables_runs_and_opens_nothing),
        cmocka_unit_test(test_honest_selects_pass),
        cmocka_unit_test(test_hostile_selects_are_refused),
        cmocka_unit_test(test_a_select_nested_deep_is_an_error_and_no_crash),
        cmocka_unit_test(test_a_locked_engine_opens_nothing_but_its_files),
        cmocka_unit_test(test_a_locked_engine_still_spills),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
