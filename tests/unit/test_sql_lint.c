/* test_sql_lint.c: what two engines would read differently is refused, with its line; the SELECTs
 * of the program pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "lake/sql_lint.h"

extern const struct embedded_file embedded_sql[];
extern const size_t embedded_sql_count;

static void refused(const char *sql, const char *why)
{
    struct kol_error err = {0};
    if (lake_sql_lint(str_of(sql), "a.sql", &err) != KOL_INVALID || !strstr(err.message, why)) {
        fail_msg("%s: wanted \"%s\", got \"%s\"", sql, why, err.message);
    }
}

static void passes(const char *sql)
{
    struct kol_error err = {0};
    if (lake_sql_lint(str_of(sql), "a.sql", &err) != KOL_OK) {
        fail_msg("%s: %s", sql, err.message);
    }
}

static void every_select_of_the_program_passes(void **state)
{
    (void)state;
    size_t checked = 0;
    for (size_t i = 0; i < embedded_sql_count; i++) {
        struct kol_error err = {0};
        struct str sql = {(const char *)embedded_sql[i].bytes, embedded_sql[i].len};
        if (strchr(embedded_sql[i].name, '/')) { /* all but the prelude */
            if (lake_sql_lint(sql, embedded_sql[i].name, &err) != KOL_OK) {
                fail_msg("%s", err.message);
            }
            checked++;
        }
    }
    assert_true(checked >= 17);
}

static void division_of_whole_numbers_is_refused(void **state)
{
    (void)state;
    refused("SELECT a / b AS c FROM t", "CAST(... AS DOUBLE) /");
    refused("SELECT CAST(a AS BIGINT) / nullif(b, 0) AS c FROM t", "CAST(... AS DOUBLE) /");
    refused("SELECT CAST(a AS DOUBLE) / b AS c FROM t", "nullif");
    refused("SELECT CAST(a AS DOUBLE) / 0e0 AS c FROM t", "nullif");
    refused("SELECT CAST(a AS DOUBLE) / 2 AS c FROM t", "nullif");
    refused("SELECT 7 // 2 AS c FROM t", "//");
    refused("SELECT a % 2 AS c FROM t", "mod()");
    passes("SELECT CAST(a AS DOUBLE) / nullif(b, 0) AS c FROM t");
    passes("SELECT CAST(a AS DOUBLE) / 2e0 AS c FROM t");
    passes("SELECT 100e0 * CAST(sum(CAST(a AS DECIMAL(38, 0))) AS DOUBLE) / nullif(1e6 * b, 0e0) "
           "AS c FROM t");
}

static void sums_without_a_type_are_refused(void **state)
{
    (void)state;
    refused("SELECT sum(a) AS c FROM t", "DECIMAL(38, 0)");
    refused("SELECT sum(CAST(a AS DOUBLE)) AS c FROM t", "DECIMAL(38, 0)");
    refused("SELECT sum(CAST(a AS BIGINT) + b) AS c FROM t", "DECIMAL(38, 0)");
    refused("SELECT avg(a) AS c FROM t", "avg()");
    passes("SELECT sum(CAST(a AS BIGINT)) AS c FROM t");
    passes("SELECT sum(CAST((a + b) * 2 AS DECIMAL(38, 0))) AS c FROM t");
}

static void functions_that_differ_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {
        "concat",     "approx_distinct", "regexp_like", "now",       "random", "trim",
        "list_value", "epoch_us",        "ln",          "array_agg", "if",     "median"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char sql[128], why[64];
        snprintf(sql, sizeof sql, "SELECT a,\n  %s(b) AS c FROM t", names[i]);
        snprintf(why, sizeof why, "a.sql:2: %s()", names[i]);
        refused(sql, why);
    }
    refused("SELECT s.max(a) AS b FROM t", "max()");
    refused("SELECT \"max\"(a) AS b FROM t", "without quotes");
    refused("SELECT a FROM read_parquet('x')", "read_parquet()");
    refused("SELECT try_cast(a AS BIGINT) AS b FROM t", "TRY_CAST");
    passes("SELECT max_by(a, ROW(b, c)) FILTER (WHERE a IS NOT NULL) AS a FROM t GROUP BY d");
    passes("SELECT lag(a) OVER (PARTITION BY b ORDER BY c) AS a FROM t");
}

static void the_clock_is_refused(void **state)
{
    (void)state;
    refused("SELECT current_date AS d FROM t", "clock");
    refused("SELECT a FROM t WHERE b < CURRENT_TIMESTAMP", "clock");
    refused("SELECT localtimestamp AS d FROM t", "clock");
}

static void the_dialect_of_one_engine_is_refused(void **state)
{
    (void)state;
    refused("SELECT a FROM t QUALIFY b = 1", "QUALIFY");
    refused("SELECT a FROM t GROUP BY ALL", "GROUP BY ALL");
    refused("SELECT a FROM t ORDER BY ALL", "ORDER BY ALL");
    refused("SELECT a::BIGINT AS b FROM t", "::");
    refused("SELECT a FROM t WHERE b == 1", "==");
    refused("SELECT a[1] AS b FROM t", "index out of range");
    refused("SELECT a -> 'b' AS b FROM t", "lambda");
    refused("SELECT a, FROM t", "ends in a comma");
    refused("SELECT f(a,) FROM t", "f()");
    refused("SELECT a FROM t SEMI JOIN u ON t.a = u.a", "EXISTS");
    refused("SELECT a FROM t NATURAL JOIN u", "NATURAL");
    refused("SELECT a FROM t WHERE b ILIKE 'x'", "ILIKE");
    refused("SELECT lag(a) IGNORE NULLS OVER (ORDER BY b) AS c FROM t", "IGNORE NULLS");
    refused("SELECT lag(a IGNORE NULLS) OVER (ORDER BY b) AS c FROM t", "IGNORE NULLS");
    refused("SELECT a /* b */ FROM t", "write --");
    refused("SELECT a FROM t USING SAMPLE 5", "sample");
    refused("SELECT a # b FROM t", "# is not common");
    refused("SELECT {'a': 1} AS b FROM t", "{ is not common");
}

static void constants_that_differ_are_refused(void **state)
{
    (void)state;
    refused("SELECT E'\\n' AS a FROM t", "E '...'");
    refused("SELECT DECIMAL '1.5' AS a FROM t", "three places");
    refused("SELECT TIMESTAMP '2020-01-01 00:00:00' AS a FROM t", "TIMESTAMP '...'");
    refused("SELECT a - INTERVAL '1 day' AS a FROM t", "INTERVAL '24' HOUR");
    refused("SELECT a - INTERVAL '2' DAYS AS a FROM t", "INTERVAL '24' HOUR");
    refused("SELECT 9223372036854775808 AS a FROM t", "beyond BIGINT");
    refused("SELECT 1_000 AS a FROM t", "not common");
    refused("SELECT 0x10 AS a FROM t", "not common");
    passes("SELECT a - INTERVAL '24' HOUR AS a, DATE '2020-01-01' AS b, 'it''s; /' AS c FROM t");
    passes("SELECT 9223372036854775807 AS a, 1e9 AS b, 1.5 AS c, .5 AS d FROM t");
}

static void types_that_differ_are_refused(void **state)
{
    (void)state;
    refused("SELECT CAST(a AS HUGEINT) AS b FROM t", "CAST to HUGEINT");
    refused("SELECT CAST(a AS TEXT) AS b FROM t", "CAST to TEXT");
    refused("SELECT CAST(a AS FLOAT) AS b FROM t", "CAST to FLOAT");
    refused("SELECT CAST(a AS TIMESTAMP) AS b FROM t", "CAST to TIMESTAMP");
    refused("SELECT CAST(a AS DECIMAL) AS b FROM t", "(18, 3)");
    passes("SELECT CAST(a AS DECIMAL(20, 2)) AS b, CAST(max(c) AS DATE) AS float FROM t");
}

static void casts_whose_result_differs_are_refused(void **state)
{
    (void)state;
    refused("SELECT CAST(1e15 AS VARCHAR) AS a FROM t", "text of a real number");
    refused("SELECT CAST(1.5 AS VARCHAR) AS a FROM t", "text of a real number");
    refused("SELECT CAST(k.updated_at AS VARCHAR) AS a FROM t", "text of a real number");
    refused("SELECT CAST(date_trunc('day', b) AS VARCHAR) AS a FROM t", "text of a real number");
    refused("SELECT CAST(CAST(b AS DOUBLE) AS VARCHAR) AS a FROM t", "text of a real number");
    refused("SELECT CAST(round(b) AS VARCHAR) AS a FROM t", "text of a real number");
    refused("SELECT CAST(engagement_rate AS VARCHAR) AS a FROM t", "text of a real number");
    passes("SELECT CAST(12 AS VARCHAR) AS a, CAST(k.number AS VARCHAR) AS b FROM t");
    passes("SELECT CAST(CAST(updated_at AS DATE) AS VARCHAR) AS a FROM t");
    passes(
        "SELECT CAST(CAST(b AS DECIMAL(9, 2)) AS VARCHAR) AS a, CAST(NULL AS VARCHAR) AS c FROM t");
    refused("SELECT CAST(2.5e0 AS BIGINT) AS a FROM t", "rounds");
    refused("SELECT CAST(-2.5 AS INTEGER) AS a FROM t", "rounds");
    refused("SELECT CAST(' 12 ' AS BIGINT) AS a FROM t", "reads text");
    refused("SELECT CAST(username AS BIGINT) AS a FROM t", "reads text");
    refused("SELECT CAST(\"username\" AS BIGINT) AS a FROM t", "reads text");
    refused("SELECT CAST(100 * engagement_rate AS BIGINT) AS a FROM t", "rounds");
    refused("SELECT CAST(CAST(b AS DOUBLE) AS BIGINT) AS a FROM t", "rounds");
    refused("SELECT CAST(CAST(b AS DOUBLE) / 2e0 AS BIGINT) AS a FROM t", "rounds");
    passes("SELECT CAST(floor(engagement_rate * 2.5e0) AS BIGINT) AS a FROM t");
    passes("SELECT CAST(CASE WHEN b = 'x' THEN 1 ELSE 0 END AS BIGINT) AS a FROM t");
    passes("SELECT CAST(0 AS BIGINT) AS a, CAST(NULL AS BIGINT) AS b, CAST(b + 1 AS INTEGER) AS c");
}

static void what_is_joined_must_be_text(void **state)
{
    (void)state;
    refused("SELECT 'a' || 1 AS a FROM t", "joins text");
    refused("SELECT 1 || 'a' AS a FROM t", "joins text");
    refused("SELECT 'a' || followers_count AS a FROM t", "joins text");
    refused("SELECT k.followers_count || 'a' AS a FROM t", "joins text");
    refused("SELECT 'a' || k.followers_count AS a FROM t", "joins text");
    refused("SELECT 'a' || CAST(b AS BIGINT) AS a FROM t", "joins text");
    refused("SELECT CAST(b AS DECIMAL(9, 2)) || 'a' AS a FROM t", "joins text");
    passes("SELECT k.platform || ':' || CAST(b AS VARCHAR) || lower(c) || d AS a FROM t");
}

static void two_columns_of_one_name_are_refused(void **state)
{
    (void)state;
    refused("SELECT a,\n b AS A\nFROM t", "a.sql:3: two columns are named A");
    refused("SELECT DISTINCT t.a, \"a\" FROM t", "two columns");
    refused("WITH s AS (SELECT 1 AS b) SELECT max(a) AS b, b FROM s", "two columns");
    refused("SELECT 1 AS a, 2 AS a", "two columns");
    passes("WITH s AS (SELECT a, b FROM t) SELECT a, (SELECT max(a) AS a FROM t) AS b FROM s");
    passes("SELECT a, coalesce(a, b) AS c FROM t UNION ALL SELECT a, b AS c FROM t");
    /* wherever a query stands */
    refused("SELECT a FROM (\nSELECT a, b AS \"A\" FROM t) AS s",
            "a.sql:2: two columns are named A");
    refused("WITH s AS (SELECT a, t.a FROM t) SELECT a FROM s", "two columns are named a");
    refused("SELECT a FROM t WHERE EXISTS (SELECT u.b, v.b FROM u)", "two columns are named b");
    refused("SELECT a FROM (SELECT 1 AS a, 2 AS a) AS s", "two columns are named a");
    refused("SELECT a IS DISTINCT FROM b AS c, d AS c FROM t", "two columns are named c");
    refused("SELECT a FROM (SELECT b, c FROM t) AS s (a, A)", "two columns are named A");
    refused("WITH s (a, \"a\") AS (SELECT b, c FROM t) SELECT a FROM s", "two columns");
    refused("SELECT a FROM (VALUES (1, 2)) AS s (a, a)", "two columns are named a");
    passes("SELECT a, b FROM t UNION ALL SELECT c, c FROM u");
    passes("SELECT a FROM (SELECT a, max(b) AS b FROM t GROUP BY a) AS s WHERE a IN (SELECT a FROM "
           "t)");
    passes("SELECT coalesce(a, a) AS a, CAST(b AS DECIMAL(9, 9)) AS b FROM t WHERE a IN (1, 1)");
    passes("SELECT a FROM (VALUES (1, 1), (2, 2)) AS s (a, b) WHERE a IS NOT NULL");
}

static void what_depends_on_chance_is_refused(void **state)
{
    (void)state;
    refused("SELECT a FROM t LIMIT 5", "LIMIT without ORDER BY");
    refused("SELECT a FROM (SELECT a FROM t ORDER BY a) AS s LIMIT 5", "LIMIT without ORDER BY");
    refused("SELECT a FROM t FETCH FIRST 5 ROWS ONLY", "LIMIT without ORDER BY");
    refused("SELECT row_number() OVER (ORDER BY a) AS n FROM t LIMIT 5", "LIMIT without");
    passes("SELECT a FROM t ORDER BY a LIMIT 5");
}

static void columns_without_names_are_refused(void **state)
{
    (void)state;
    refused("SELECT * FROM t", "name the columns");
    refused("SELECT DISTINCT * FROM t", "name the columns");
    refused("SELECT a, * FROM t", "name the columns");
    refused("SELECT t.* FROM t", "name the columns");
    refused("SELECT max(*) FROM t", "name the columns");
    passes("SELECT count(*) AS n, a * 2 AS b, (a) * (b) AS c FROM t GROUP BY a");
}

static void what_is_not_one_select_is_refused(void **state)
{
    (void)state;
    refused("", "one SELECT");
    refused("-- nothing\n", "a.sql:2: a file is one SELECT");
    refused("CREATE TABLE IF NOT EXISTS t (a INT)", "one SELECT");
    refused("SELECT 1 AS a; DROP TABLE t", "semicolon");
    refused("SELECT 1 AS a;", "semicolon");
    refused("SELECT 'open", "quote is not closed");
    refused("SELECT \"open", "quote is not closed");
    refused("SELECT (1", "not closed");
    refused("SELECT 1)", "closes that was not opened");
    refused("SELECT \x01", "no SQL has");
    refused("SELECT \"\" FROM t", "without letters");
    passes("WITH a (b) AS (SELECT 1 AS b) SELECT b FROM a -- the end");
}

static void lines_are_counted_through_texts_and_comments(void **state)
{
    (void)state;
    refused("-- one\nSELECT 'a\nb',\n\n  \"c\nd\", x / y FROM t", "a.sql:6:");
}

/* Whatever the text is cut off at: no read beyond it (the sanitizers see), and an answer. */
static void a_text_cut_anywhere_gives_an_answer(void **state)
{
    (void)state;
    static const char sql[] = "WITH a AS (SELECT sum(CAST(b AS DECIMAL(38, 0))) AS c, 'd''e' AS f, "
                              "CAST(g AS DOUBLE) / nullif(h, 0) AS i -- j\nFROM t) SELECT c FROM "
                              "a ORDER BY c LIMIT 5";
    for (size_t len = 0; len < sizeof sql; len++) {
        struct kol_error err = {0};
        char *copy = test_malloc(len ? len : 1);
        memcpy(copy, sql, len);
        enum kol_status status = lake_sql_lint((struct str){copy, len}, "a.sql", &err);
        assert_true(status == KOL_OK || (status == KOL_INVALID && err.message[0]));
        test_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_select_of_the_program_passes),
        cmocka_unit_test(division_of_whole_numbers_is_refused),
        cmocka_unit_test(sums_without_a_type_are_refused),
        cmocka_unit_test(functions_that_differ_are_refused_by_name),
        cmocka_unit_test(the_clock_is_refused),
        cmocka_unit_test(the_dialect_of_one_engine_is_refused),
        cmocka_unit_test(constants_that_differ_are_refused),
        cmocka_unit_test(types_that_differ_are_refused),
        cmocka_unit_test(casts_whose_result_differs_are_refused),
        cmocka_unit_test(what_is_joined_must_be_text),
        cmocka_unit_test(two_columns_of_one_name_are_refused),
        cmocka_unit_test(what_depends_on_chance_is_refused),
        cmocka_unit_test(columns_without_names_are_refused),
        cmocka_unit_test(what_is_not_one_select_is_refused),
        cmocka_unit_test(lines_are_counted_through_texts_and_comments),
        cmocka_unit_test(a_text_cut_anywhere_gives_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
