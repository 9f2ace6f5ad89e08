/* test_http_params.c: parameters out of path and query, and the type that an Accept header means.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http_fixture.h"

/* One reading at a time. */
static struct http_router *router;
static struct arena arena;
static struct http_values values;
static struct buf detail;

static int set_up(void **state)
{
    (void)state;
    router = http_router_new(fixture_routes, ARRAY_LEN(fixture_routes), true, true);
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_router_free(&router);
    arena_free(&arena);
    buf_free(&detail);
    return 0;
}

static bool read_as(enum http_method method, const char *target)
{
    struct str query = str_of(target), path = str_cut(&query, '?');
    struct http_match match;
    arena_reset(&arena);
    buf_clear(&detail);
    memset(&values, 0xee, sizeof values);
    http_router_match(router, method, path, &match);
    assert_non_null(match.route);
    return http_params_read(match.route, &match, query, &arena, &values, &detail);
}

static bool get(const char *target)
{
    return read_as(HTTP_GET, target);
}

/* That a request is refused, and what is said. */
static void assert_refused(const char *target, const char *sentence)
{
    assert_false(get(target));
    assert_string_equal(detail.ptr, sentence);
}

static void assert_key(const char *target, const char *key)
{
    if (!get(target)) {
        fail_msg("%s: %s", target, detail.ptr);
    }
    assert_string_equal(values.key.ptr, key);
}

static void test_every_kind_is_read(void **state)
{
    (void)state;
    assert_true(
        get("/books?shelf=maps&limit=007&offset=-3&min_weight=0.50&q=c%C3%A1+n%C6%B0&lent=1&"
            "fields=isbn,title&tags=b%2Ca&bought=1969-12-31&since=2025-05-14T21:17:24.5%2B07:00"));
    const struct http_value *read = values.by_field;
    assert_int_equal(read[LIST_SHELF].number, 2);
    assert_int_equal(read[LIST_LIMIT].number, 7);
    assert_int_equal(read[LIST_OFFSET].number, -3);
    assert_true(read[LIST_WEIGHT].real == 0.5);
    assert_string_equal(read[LIST_Q].text.ptr, "cá nư");
    assert_int_equal(read[LIST_LENT].number, 1);
    assert_string_equal(read[LIST_FIELDS].text.ptr, "isbn,title");
    assert_int_equal(read[LIST_TAGS].number, 2);
    assert_int_equal(read[LIST_BOUGHT].number, -1);
    assert_int_equal(read[LIST_SINCE].number, INT64_C(1747232244500000));
    assert_false(read[LIST_FORMAT].given);
    assert_int_equal(read[LIST_FORMAT].text.len, 0);
}

static void test_what_is_not_given_takes_its_fallback(void **state)
{
    (void)state;
    assert_true(get("/books"));
    for (size_t i = 0; i < ARRAY_LEN(fixture_list_fields); i++) {
        assert_int_equal(values.by_field[i].given, i == LIST_LIMIT);
    }
    assert_int_equal(values.by_field[LIST_LIMIT].number, 50);
}

static void test_path_parameters_are_decoded_without_a_plus(void **state)
{
    (void)state;
    assert_true(get("/books/a+b%2Fc?lang=a+b"));
    assert_string_equal(values.by_field[0].text.ptr, "a+b/c");
    assert_string_equal(values.by_field[1].text.ptr, "a b");
    assert_false(get("/books/123456789012345678901?lang=vi"));
    assert_false(get("/books/a%00?lang=vi"));
    assert_false(get("/books/x/pages/0"));
    assert_true(get("/books/x/pages/9999"));
}

static void test_bounds_are_kept(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        bool fits;
    } cases[] = {
        {"/books?limit=1", true},
        {"/books?limit=100", true},
        {"/books?limit=0", false},
        {"/books?limit=101", false},
        {"/books?limit=+5", false},
        {"/books?limit=%2B5", false},
        {"/books?limit=5.0", false},
        {"/books?limit=", false},
        {"/books?limit", false},
        {"/books?limit=99999999999999999999", false},
        {"/books?offset=9007199254740991", true},
        {"/books?offset=9007199254740992", false},
        {"/books?offset=-9007199254740991", true},
        {"/books?min_weight=2.5", true},
        {"/books?min_weight=2.51", false},
        {"/books?min_weight=-0", true},
        {"/books?min_weight=nan", false},
        {"/books?min_weight=inf", false},
        {"/books?min_weight=1e400", false},
        {"/books?min_weight=0x1", false},
        {"/books?q=ab", true},
        {"/books?q=a", false},
        {"/books?q=%C3%A1%C3%A1%C3%A1%C3%A1%C3%A1%C3%A1%C3%A1%C3%A1%C3%A1%C3%A1", true},
        {"/books?q=12345678901", false},
        {"/books?lent=true", true},
        {"/books?lent=0", true},
        {"/books?lent=True", false},
        {"/books?lent=", false},
        {"/books?shelf=Maps", false},
        {"/books?shelf=map", false},
        {"/books?shelf=maps%20", false},
        {"/books?fields=title,weight,isbn", true},
        {"/books?fields=title,title", false},
        {"/books?fields=title,", false},
        {"/books?fields=,title", false},
        {"/books?fields=", false},
        {"/books?fields=titel", false},
        {"/books?tags=one", false},
        {"/books?tags=one,two,three", true},
        {"/books?tags=one,two,three,four", false},
        {"/books?bought=2024-02-29", true},
        {"/books?bought=2023-02-29", false},
        {"/books?bought=2023-2-9", false},
        {"/books?since=2025-05-14", false},
        {"/books?since=2025-05-14T21:17:24", false},
        {"/books?since=2025-05-14T21:17:24Z", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (get(cases[i].target) != cases[i].fits) {
            fail_msg("%s: %s", cases[i].target, detail.len ? detail.ptr : "taken");
        }
    }
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    assert_refused("/books?limit=abc", "`limit` must be a whole number from 1 to 100, not `abc`.");
    assert_refused("/books?limti=5", "`limti` is no parameter here (did you mean `limit`?).");
    assert_refused("/books?limit=5&limit=5", "`limit` is given twice.");
    assert_refused("/books/compare?a=1", "`a` is given, but nothing is asked.");
    assert_refused("/books/978", "`lang` is missing, it must be a text.");
    assert_refused("/books?shelf=map", "`shelf` must be one of fiction, science, maps, not `map`.");
    assert_refused("/books?since=2025-05-14T21:17:24+07:00",
                   "`since` must be a time such as 2025-05-14T21:17:24Z, not "
                   "`2025-05-14T21:17:24 07:00` (a plus sign in a query is written %2B).");
    assert_refused("/books?q=%zz", "`q` is not percent-encoded UTF-8 without control characters.");
    assert_refused("/books?tags=x", "`tags` must be a list of 2 to 3 different words, not `x`.");
}

static void test_at_most_five_are_told(void **state)
{
    (void)state;
    assert_false(get("/books?a=1&b=2&c=3&limit=0&q=x&lent=2&offset=z"));
    size_t sentences = 1;
    for (const char *at = detail.ptr; (at = strchr(at, ';')); at++) {
        sentences++;
    }
    assert_int_equal(sentences, 5);
    assert_non_null(strstr(detail.ptr, "`limit`"));
    assert_null(strstr(detail.ptr, "`lent`"));
}

static void test_a_name_of_the_path_is_none_of_the_query(void **state)
{
    (void)state;
    assert_refused("/books/978?lang=vi&isbn=979", "`isbn` is no parameter here.");
}

static void test_text_that_is_no_text_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"%00",    "a%00b",  "%0a%0a",    "%7f%7f",
                                        "%ff%fe", "%c0%af", "%ed%a0%80", "%",
                                        "%4",     "%g1",    "ab%"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char target[64];
        snprintf(target, sizeof target, "/books?q=%s", texts[i]);
        assert_false(get(target));
    }
    assert_false(get("/books?%00=1"));
    assert_false(get("/books?%=1"));
    assert_false(get("/books?%ff=1"));
    assert_non_null(strstr(detail.ptr, "is no parameter here"));
}

static void test_equal_requests_have_equal_keys(void **state)
{
    (void)state;
    assert_key("/books", "/books?limit=50");
    assert_key("/books?limit=50", "/books?limit=50");
    assert_key("/books?limit=050&", "/books?limit=50");
    assert_key("/b%6foks?&&limit=50", "/books?limit=50");
    assert_key("/books?q=a+b&shelf=maps", "/books?shelf=maps&limit=50&q=a%20b");
    assert_key("/books?shelf=maps&q=a%20b", "/books?shelf=maps&limit=50&q=a%20b");
    assert_key("/books?lent=1", "/books?limit=50&lent=true");
    assert_key("/books?min_weight=1.50", "/books?limit=50&min_weight=1.5");
    assert_key("/books?min_weight=-0", "/books?limit=50&min_weight=0");
    assert_key("/books?since=2025-05-14T21:17:24%2B07:00",
               "/books?limit=50&since=2025-05-14T14:17:24Z");
    assert_key("/books/%39?lang=%76i", "/books/9?lang=vi");
    assert_key("/", "/");
}

static void test_different_requests_have_different_keys(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/books/a?lang=b",
        "/books/a%3Flang=b?lang=b",
        "/books/a%2Fb?lang=b",
        "/books/a%252Fb?lang=b",
        "/books/a?lang=b%26x=1",
        "/books/a?lang=b%2526x=1",
        "/books/a?lang=b%3D",
        "/books/a/scores",
        "/books/a%2Fscores?lang=b",
        "/books?q=a%26lent=1",
        "/books?q=ab&lent=1",
        "/books?tags=a,b",
        "/books?tags=b,a",
        "/books?q=a,b",
        "/books?q=A,b",
        "/books?tags=a,b%26bought=2024-01-01",
        "/books?tags=a,b&bought=2024-01-01",
    };
    char keys[ARRAY_LEN(targets)][128];
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        if (!get(targets[i])) {
            fail_msg("%s: %s", targets[i], detail.ptr);
        }
        snprintf(keys[i], sizeof keys[i], "%s", values.key.ptr);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(keys[i], keys[j]);
        }
    }
    assert_true(read_as(HTTP_DELETE, "/books/a"));
    assert_string_equal(values.key.ptr, "DELETE /books/a");
}

static void test_reading_is_fast(void **state)
{
    (void)state;
    enum { ROUNDS = 50000, TIMES = 5 };
    int64_t best = INT64_MAX;
    for (int time = 0; time < TIMES; time++) {
        int64_t begin = clock_mono_ns();
        for (int i = 0; i < ROUNDS; i++) {
            assert_true(get("/books/tiktok%3Aalice?lang=vi"));
        }
        int64_t took = clock_mono_ns() - begin;
        best = took < best ? took : best;
    }
    print_message("# match, parameters and key take %.0f ns\n", (double)best / ROUNDS);
    assert_true(best / ROUNDS < 50000);
}

/* ---- Accept ---- */

static const char *type_for(const char *accept)
{
    const char *type =
        http_accept_type(str_of(accept), "application/json text/csv application/x-ndjson", &arena);
    return type ? type : "none";
}

static void test_the_type_that_an_accept_header_means(void **state)
{
    (void)state;
    static const struct {
        const char *accept, *type;
    } cases[] = {
        {"", "application/json"},
        {"*/*", "application/json"},
        {"text/csv", "text/csv"},
        {"TEXT/CSV", "text/csv"},
        {"text/*", "text/csv"},
        {"application/*", "application/json"},
        {"text/csv, application/json", "application/json"}, /* equal weights: the route's order */
        {"text/csv, application/json;q=0.9", "text/csv"},
        {"text/html, application/xhtml+xml, */*;q=0.8", "application/json"},
        {"*/*, application/json;q=0", "text/csv"},
        {"application/json;q=0.2, */*;q=0.1, text/csv ; q=0.3", "text/csv"},
        {"application/*;q=0.1, application/x-ndjson", "application/x-ndjson"},
        {"text/csv;charset=utf-8;q=0.5", "text/csv"},
        {"text/html", "none"},
        {"application/json;q=0", "none"},
        {"application/json;q=2", "none"},
        {"garbage", "none"},
        {",,;q=1,", "none"},
        {"*", "application/json"},
    };
    assert_string_equal(http_accept_type(STR("text/plain"), "text/plain;version=0.0.4", &arena),
                        "text/plain;version=0.0.4");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (strcmp(type_for(cases[i].accept), cases[i].type) != 0) {
            fail_msg("Accept: %s gives %s", cases[i].accept, type_for(cases[i].accept));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_read),
        cmocka_unit_test(test_what_is_not_given_takes_its_fallback),
        cmocka_unit_test(test_path_parameters_are_decoded_without_a_plus),
        cmocka_unit_test(test_bounds_are_kept),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_at_most_five_are_told),
        cmocka_unit_test(test_a_name_of_the_path_is_none_of_the_query),
        cmocka_unit_test(test_text_that_is_no_text_is_refused),
        cmocka_unit_test(test_equal_requests_have_equal_keys),
        cmocka_unit_test(test_different_requests_have_different_keys),
        cmocka_unit_test(test_reading_is_fast),
        cmocka_unit_test(test_the_type_that_an_accept_header_means),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
