/* test_unique.c: whether a key names one row, told by hashes (lake/unique.h). */
#include "engine_fixture.h"

#include "lake/unique.h"

static bool is_unique(const char *columns, const char *scan, int64_t rows)
{
    bool unique;
    OK(lake_is_unique(session, columns, scan, rows, &unique, &err));
    return unique;
}

static void test_keys_that_name_one_row(void **state)
{
    (void)state;
    assert_true(is_unique("a", "SELECT 1 AS a WHERE false", 0));
    assert_true(is_unique("a", "SELECT range AS a FROM range(300000)", 300000));
    assert_true(is_unique("a, b",
                          "SELECT range % 100 AS a, 'k' || range // 100 AS b FROM "
                          "range(100000)",
                          100000));
    assert_true(is_unique("a", "SELECT NULL AS a UNION ALL SELECT 1", 2));
}

static void test_keys_that_name_two(void **state)
{
    (void)state;
    /* Far from each other, in one block, and null. */
    assert_false(is_unique("a", "SELECT range % 299999 AS a FROM range(300000)", 300000));
    assert_false(is_unique("a", "SELECT range // 2 AS a FROM range(2)", 2));
    assert_false(is_unique("a, b", "SELECT 'x' AS a, NULL AS b FROM range(2)", 2));
    assert_false(is_unique("a", "SELECT unnest([0e0, -0e0]) AS a", 2));
}

static void test_what_is_not_looked_at_is_not_called_unique(void **state)
{
    (void)state;
    assert_false(is_unique("a", "SELECT range AS a FROM range(10)", -1));
    assert_false(is_unique("a", "SELECT range AS a FROM range(10)", INT64_C(1) << 40));
    /* More rows than were told of must not fill the table. */
    assert_false(is_unique("a", "SELECT range AS a FROM range(5000)", 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_that_name_one_row),
        cmocka_unit_test(test_keys_that_name_two),
        cmocka_unit_test(test_what_is_not_looked_at_is_not_called_unique),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
