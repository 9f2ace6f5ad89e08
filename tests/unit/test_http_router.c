/* test_http_router.c: which route a path means, and rows that no path reaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http_fixture.h"

static struct http_router *router;

static int set_up(void **state)
{
    (void)state;
    router = http_router_new(fixture_routes, ARRAY_LEN(fixture_routes), true, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_router_free(&router);
    return 0;
}

/* The name of the route, "405 METHODS" or "404". */
static const char *route_of(enum http_method method, const char *path)
{
    static char text[32];
    struct http_match match;
    http_router_match(router, method, str_of(path), &match);
    if (match.route) {
        return match.route->name;
    }
    snprintf(text, sizeof text, match.allowed ? "405 %u" : "404", match.allowed);
    return text;
}

static void test_literals_win_and_what_is_reachable_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"/", "root"},
        {"/books", "list_books"},
        {"/books/compare", "compare"},
        {"/books/978", "get_book"},
        {"/books/top", "get_book"}, /* the literal leads nowhere here */
        {"/books/top/maps", "top"},
        {"/books/top/scores", "top"}, /* a literal before a parameter, segment by segment */
        {"/books/compare/scores", "scores"},
        {"/books/978/scores", "scores"},
        {"/books/top/pages/7", "page"},
        {"/books/978/pages/7", "page"},
        {"/books/978/sheets/7", "404"},
        {"/books/978/pages", "404"},
        {"/Books", "404"},
        {"/nothing", "404"},
        {"", "404"},
        {"books", "404"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(route_of(HTTP_GET, cases[i].path), cases[i].name);
    }
}

static void test_empty_and_dot_segments_and_a_trailing_slash_match_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "//",
        "//books",
        "/books/",
        "/books//scores",
        "/books/.",
        "/books/..",
        "/books/%2e",
        "/books/%2E.",
        "/books/.%2e",
        "/books/%2e%2E",
        "/./books",
        "/books/../books",
        "/books/978/",
        "/books/top/",
        "/books/978/scores/",
        "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_string_equal(route_of(HTTP_GET, paths[i]), "404");
    }
    assert_string_equal(route_of(HTTP_GET, "/books/..."), "get_book");
    assert_string_equal(route_of(HTTP_GET, "/books/.a"), "get_book");
}

static void test_a_path_is_cut_before_it_is_decoded(void **state)
{
    (void)state;
    assert_string_equal(route_of(HTTP_GET, "/books/a%2Fscores"), "get_book");
    assert_string_equal(route_of(HTTP_GET, "/books%2F978"), "404");
    assert_string_equal(route_of(HTTP_GET, "/books/%63ompare"), "compare");
    assert_string_equal(route_of(HTTP_GET, "/%62ooks"), "list_books");
    assert_string_equal(route_of(HTTP_GET, "/b%6fok%73"), "list_books");
    assert_string_equal(route_of(HTTP_GET, "/book%7"), "404");
    assert_string_equal(route_of(HTTP_GET, "/books%"), "404");
    assert_string_equal(route_of(HTTP_GET, "/books%00"), "404");
}

static void test_a_path_that_is_there_says_its_methods(void **state)
{
    (void)state;
    char wanted[32];
    snprintf(wanted, sizeof wanted, "405 %u", 1u << HTTP_GET | 1u << HTTP_POST);
    assert_string_equal(route_of(HTTP_DELETE, "/books"), wanted);
    /* The most literal path decides: it takes POST alone, though another row would take the GET. */
    snprintf(wanted, sizeof wanted, "405 %u", 1u << HTTP_POST);
    assert_string_equal(route_of(HTTP_GET, "/books/lookup"), wanted);
    snprintf(wanted, sizeof wanted, "405 %u", 1u << HTTP_GET | 1u << HTTP_DELETE);
    assert_string_equal(route_of(HTTP_POST, "/books/978"), wanted);
    assert_string_equal(route_of(HTTP_DELETE, "/books/978"), "drop_book");
}

static void test_segments_are_handed_over_raw(void **state)
{
    (void)state;
    struct http_match match;
    http_router_match(router, HTTP_GET, STR("/books/a%2Fb/pages/1"), &match);
    assert_int_equal(match.segment_count, 4);
    assert_true(str_is(match.segments[1], "a%2Fb"));
    assert_true(str_is(match.segments[3], "1"));
}

static void test_routes_of_the_operator_have_a_router_of_their_own(void **state)
{
    (void)state;
    assert_string_equal(route_of(HTTP_GET, "/metrics"), "404");
    struct http_match match;
    struct http_router *operations =
        http_router_new(fixture_routes, ARRAY_LEN(fixture_routes), false, true);
    http_router_match(operations, HTTP_GET, STR("/metrics"), &match);
    assert_string_equal(match.route->name, "metrics");
    http_router_match(operations, HTTP_GET, STR("/books"), &match);
    assert_null(match.route);
    assert_int_equal(match.allowed, 0);
    http_router_free(&operations);
    assert_null(operations);
}

static bool hidden(const struct http_route *routes, size_t count, size_t which)
{
    return http_route_hidden(routes, count, which);
}

static void test_a_row_that_no_path_reaches_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fixture_routes); i++) {
        assert_false(hidden(fixture_routes, ARRAY_LEN(fixture_routes), i));
    }
    const struct http_route same[] = {
        {ROW("a", HTTP_GET, "/x/{isbn}"), FIELDS(fixture_isbn_only)},
        {ROW("b", HTTP_GET, "/x/{shelf}"), FIELDS(fixture_shelf_fields)},
        {ROW("c", HTTP_POST, "/x/{isbn}"), FIELDS(fixture_isbn_only)},
    };
    assert_false(hidden(same, 3, 0));
    assert_true(hidden(same, 3, 1));
    assert_false(hidden(same, 3, 2));
    const struct http_route all_choices[] = {
        {ROW("a", HTTP_GET, "/x/{shelf}"), FIELDS(fixture_shelf_fields)},
        {ROW("b", HTTP_GET, "/x/fiction")},
        {ROW("c", HTTP_GET, "/x/science")},
        {ROW("d", HTTP_GET, "/x/maps")},
    };
    assert_true(hidden(all_choices, 4, 0));
    assert_false(hidden(all_choices, 3, 0));
}

/* A few hundred nanoseconds were allowed; printed for whoever looks, with a bound that only a scan
 * of all rows or an allocation would break. */
static void test_a_match_is_fast(void **state)
{
    (void)state;
    enum { ROUNDS = 200000, TIMES = 5 };
    static const char path[] = "/books/978-3-16-148410-0/pages/77";
    struct http_match match;
    int64_t best = INT64_MAX;
    for (int time = 0; time < TIMES; time++) {
        int64_t begin = clock_mono_ns();
        for (int i = 0; i < ROUNDS; i++) {
            http_router_match(router, HTTP_GET, (struct str){path, sizeof path - 1}, &match);
            assert_non_null(match.route);
        }
        int64_t took = clock_mono_ns() - begin;
        best = took < best ? took : best;
    }
    print_message("# a match takes %.0f ns\n", (double)best / ROUNDS);
    assert_true(best / ROUNDS < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_win_and_what_is_reachable_is_found),
        cmocka_unit_test(test_empty_and_dot_segments_and_a_trailing_slash_match_nothing),
        cmocka_unit_test(test_a_path_is_cut_before_it_is_decoded),
        cmocka_unit_test(test_a_path_that_is_there_says_its_methods),
        cmocka_unit_test(test_segments_are_handed_over_raw),
        cmocka_unit_test(test_routes_of_the_operator_have_a_router_of_their_own),
        cmocka_unit_test(test_a_row_that_no_path_reaches_is_found),
        cmocka_unit_test(test_a_match_is_fast),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
