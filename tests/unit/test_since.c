/* test_since.c: rows keep the time since when they say what they say (lake/since.h). */
#include "engine_fixture.h"

#include "lake/since.h"

static struct since *since;

static int open_since(void **state)
{
    open_engine(state);
    OK(since_add(engine, &since, &err));
    return 0;
}

static int close_since(void **state)
{
    close_engine(state);
    since_free(&since);
    return 0;
}

#define WHO "CAST(hash(i) >> 1 AS BIGINT)"

/* Rows 0 to `rows`: i says i % 7, since i microseconds. */
static void read_rows(int64_t rows, int64_t told)
{
    char relation[64];
    sprintf(relation, "range(%lld) AS t(i)", (long long)rows);
    OK(since_read(session, WHO ", i % 7, i", relation, told, &since, &err));
}

static int64_t count(const char *sql)
{
    int64_t out;
    OK(engine_get_int(session, sql, &out, &err));
    return out;
}

static void test_a_row_that_says_the_same_keeps_its_time(void **state)
{
    (void)state;
    enum { ROWS = 300000 };
    read_rows(ROWS, ROWS);
    assert_non_null(since);
    assert_false(since_all_once(since, ROWS));
    assert_int_equal(count("SELECT count(*) FROM range(300000) AS t(i) WHERE kol_since(" WHO
                           ", i % 7) = make_timestamptz(i)"),
                     ROWS);
    assert_true(since_all_once(since, ROWS));
    assert_false(since_all_once(since, ROWS + 1));
}

/* The rows come from several threads at once, and none may lose its place to another. */
static void test_rows_of_several_threads_all_find_a_place(void **state)
{
    (void)state;
    enum { ROWS = 1000000, TIMES = 16 };
    OK(engine_exec(session, "CREATE TABLE big AS SELECT i FROM range(1000000) AS t(i)", &err));
    for (int i = 0; i < TIMES; i++) {
        OK(since_read(session, WHO ", i % 7, i", "big", ROWS, &since, &err));
        assert_non_null(since);
        assert_int_equal(count("SELECT count(kol_since(" WHO ", i % 7)) FROM big"), ROWS);
        assert_true(since_all_once(since, ROWS));
    }
}

static void test_null_gives_null(void **state)
{
    (void)state;
    read_rows(1000, 1000);
    assert_int_equal(count("SELECT count(kol_since(CASE WHEN i < 500 THEN " WHO
                           " END, CASE WHEN i >= 250 THEN i % 7 END)) FROM range(1000) AS t(i)"),
                     250);
    /* A time that is not known is none. */
    OK(since_read(session,
                  "i + 10, i, CASE WHEN i % 2 = 0 THEN i ELSE CAST('-9223372036854775808' AS "
                  "BIGINT) END",
                  "range(1000) AS t(i)", 1000, &since, &err));
    assert_int_equal(count("SELECT count(kol_since(i + 10, i)) FROM range(1000) AS t(i)"), 500);
}

static void test_what_says_something_else_has_no_time(void **state)
{
    (void)state;
    read_rows(1000, 1000);
    /* Null for all, and each was there once all the same. */
    assert_int_equal(count("SELECT count(kol_since(" WHO ", i % 7 + 1)) FROM range(1000) AS t(i)"),
                     0);
    assert_true(since_all_once(since, 1000));
}

static void test_who_was_not_there_has_no_time_and_leaves_a_doubt(void **state)
{
    (void)state;
    read_rows(1000, 1000);
    assert_int_equal(count("SELECT count(kol_since(" WHO ", i % 7)) FROM range(1001) AS t(i)"),
                     1000);
    assert_false(since_all_once(since, 1000));
    assert_false(since_all_once(since, 1001));
}

static void test_who_is_asked_about_twice_leaves_a_doubt(void **state)
{
    (void)state;
    read_rows(1000, 1000);
    assert_int_equal(count("SELECT count(kol_since(" WHO
                           ", i % 7)) FROM (SELECT i FROM range(1000) "
                           "AS t(i) UNION ALL SELECT 500)"),
                     1001);
    assert_false(since_all_once(since, 1000));
    assert_false(since_all_once(since, 1001));
}

static void test_an_empty_version_and_none_know_nobody(void **state)
{
    (void)state;
    read_rows(0, 0);
    assert_non_null(since);
    assert_int_equal(count("SELECT count(kol_since(1, 1))"), 0);
    since_free(&since);
    assert_int_equal(count("SELECT count(kol_since(i, i)) FROM range(5000) AS t(i)"), 0);
    assert_false(since_all_once(since, 0));
}

static void test_rows_that_cannot_be_told_apart_are_left_to_the_engine(void **state)
{
    (void)state;
    read_rows(1001, 1000); /* more than there should be */
    assert_null(since);
    OK(since_read(session, "i % 10, i, i", "range(100) AS t(i)", 100, &since, &err));
    assert_null(since);
    /* All begin at one slot. */
    OK(since_read(session, "i << 40, i, i", "range(1000) AS t(i)", 1000, &since, &err));
    assert_null(since);
    read_rows(10, INT64_C(1) << 40);
    assert_null(since);
}

static void test_a_query_that_fails_leaves_nothing(void **state)
{
    (void)state;
    assert_int_not_equal(since_read(session, "CAST('x' || i AS BIGINT), i, i", "range(10) AS t(i)",
                                    10, &since, &err),
                         KOL_OK);
    assert_null(since);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_since, close_since)
    const struct CMUnitTest tests[] = {
        TEST(test_a_row_that_says_the_same_keeps_its_time),
        TEST(test_rows_of_several_threads_all_find_a_place),
        TEST(test_null_gives_null),
        TEST(test_what_says_something_else_has_no_time),
        TEST(test_who_was_not_there_has_no_time_and_leaves_a_doubt),
        TEST(test_who_is_asked_about_twice_leaves_a_doubt),
        TEST(test_an_empty_version_and_none_know_nobody),
        TEST(test_rows_that_cannot_be_told_apart_are_left_to_the_engine),
        TEST(test_a_query_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
