/* test_http_check.c: each fault that a table can have is found at the start, and the row is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http_fixture.h"

static void assert_found(const struct http_app *app, const char *message)
{
    struct kol_error err = {0};
    if (http_check(app, &err) != KOL_INVALID) {
        fail_msg("not found: %s", message);
    }
    if (!strstr(err.message, message)) {
        fail_msg("'%s' is not in: %s", message, err.message);
    }
}

/* The fault of one route alone. */
static void assert_route(struct http_route route, const char *message)
{
    struct http_app app = fixture_app;
    app.routes = &route;
    app.route_count = 1;
    assert_found(&app, message);
}

/* The fault of one parameter of a route that is sound else. */
static void assert_field(struct http_field field, const char *message)
{
    assert_route((struct http_route){ROW("one", HTTP_GET, "/one"), .answer = "Open",
                                     .fields = &field, .field_count = 1},
                 message);
}

/* The fault of one member of a schema. */
static void assert_member(struct http_field field, const char *message)
{
    struct http_schema schema = {"Own", "Ours.", &field, 1, false};
    struct http_app app = fixture_app;
    app.schemas = &schema;
    app.schema_count = 1;
    app.route_count = 0;
    assert_found(&app, message);
}

static void test_a_sound_table_passes(void **state)
{
    (void)state;
    struct kol_error err = {0};
    if (http_check(&fixture_app, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
}

#define SOUND(path_text) ROW("one", HTTP_GET, path_text), .answer = "Open"

static void test_paths_are_checked(void **state)
{
    (void)state;
    assert_route((struct http_route){SOUND("one")}, "does not begin with a slash");
    assert_route((struct http_route){SOUND(NULL)}, "does not begin with a slash");
    assert_route((struct http_route){SOUND("/one/")}, "has the segment ''");
    assert_route((struct http_route){SOUND("//one")}, "has the segment ''");
    assert_route((struct http_route){SOUND("/one/../two")}, "has the segment '..'");
    assert_route((struct http_route){SOUND("/one two")}, "has the segment 'one two'");
    assert_route((struct http_route){SOUND("/x{isbn}"), FIELDS(fixture_isbn_only)},
                 "has the segment 'x{isbn}'");
    assert_route((struct http_route){SOUND("/{nobody}"), FIELDS(fixture_isbn_only)},
                 "its path names {nobody}, which no field has");
    assert_route((struct http_route){SOUND("/{isbn}/{isbn}"), FIELDS(fixture_isbn_only)},
                 "its path names {isbn} twice");
    assert_route((struct http_route){SOUND("/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a")},
                 "more than 16 segments");
}

static void test_rows_are_checked(void **state)
{
    (void)state;
    struct http_route route = {SOUND("/one")};
    route.handle = NULL;
    assert_route(route, "route 'one' (GET /one): it has no handler");
    route = (struct http_route){SOUND("/one")};
    route.name = "One!";
    assert_route(route, "its name, tag, summary or details are missing");
    route = (struct http_route){SOUND("/one")};
    route.summary = NULL;
    assert_route(route, "its name, tag, summary or details are missing");
    route = (struct http_route){SOUND("/one")};
    route.method = HTTP_METHODS;
    assert_route(route, "it has no method");
    assert_route((struct http_route){ROW("one", HTTP_GET, "/one"), .answer = "Nobody"},
                 "it names the schema 'Nobody', which nobody knows");
    assert_route(
        (struct http_route){ROW("one", HTTP_POST, "/one"), .answer = "Open", .body = "Nobody"},
        "it names the schema 'Nobody', which nobody knows");
    assert_route((struct http_route){SOUND("/one"), .body = "Open"}, "a GET has no body");
    assert_route((struct http_route){SOUND("/one"), .problems = "book_lent nobody"},
                 "it names the problem 'nobody', which nobody knows");
    assert_route((struct http_route){SOUND("/one"), .types = "csv"}, "'csv' is no content type");
    assert_route((struct http_route){SOUND("/one"), .status = 404}, "404 is no status of success");
    assert_route((struct http_route){SOUND("/one"), .scopes = 4},
                 "it asks for a scope that has no name");
    assert_route((struct http_route){ROW("one", HTTP_GET, "/one")},
                 "it says neither what its answer is");
    assert_route((struct http_route){SOUND("/one"), .example = "/two"},
                 "its example /two is a path of no route");
    assert_route((struct http_route){SOUND("/one"), .example = "/one?a=b"},
                 "its example is refused: `a` is given");
}

static void test_parameters_are_checked(void **state)
{
    (void)state;
    assert_field(
        (struct http_field){"a", HTTP_INT, .fallback = "0", .min = 1, .max = 9, .help = "A."},
        "`a`: its fallback '0' is not a whole number from 1 to 9");
    assert_field(
        (struct http_field){"a", HTTP_CHOICE, .fallback = "z", .choices = "x y", .help = "A."},
        "`a`: its fallback 'z' is not one of x, y");
    assert_field((struct http_field){"a", HTTP_DATE, .example = "2025", .help = "A."},
                 "`a`: its example '2025' is not a date");
    assert_field(
        (struct http_field){"a", HTTP_INT, .fallback = "1", .required = true, .help = "A."},
        "its fallback is never used");
    assert_field((struct http_field){"a", HTTP_INT, .min = 5, .max = 1, .help = "A."},
                 "its bounds leave no value");
    assert_field((struct http_field){"a", HTTP_TEXT, .min = -5, .max = 1, .help = "A."},
                 "its bounds leave no value");
    assert_field((struct http_field){"a", HTTP_CHOICE, .help = "A."}, "`a` has no choices");
    assert_field((struct http_field){"a", HTTP_CHOICE, .choices = " ", .help = "A."},
                 "`a` has no choices");
    assert_field((struct http_field){"a", HTTP_WORDS, .choices = "x,y", .help = "A."},
                 "a choice has a comma in it");
    assert_field((struct http_field){"a", HTTP_WORDS, .min = 1, .max = 101, .help = "A."},
                 "more than 100 words");
    assert_field((struct http_field){"a", HTTP_OBJECT, .help = "A."}, "no parameter is an object");
    assert_field((struct http_field){"a", HTTP_INT}, "`a` no help");
    assert_field((struct http_field){"", HTTP_INT, .help = "A."}, "a field has no name");
    struct http_field twice[] = {{"a", HTTP_INT, .help = "A."}, {"a", HTTP_TEXT, .help = "A."}};
    assert_route((struct http_route){SOUND("/one"), FIELDS(twice)}, "it has two fields `a`");
    static struct http_field many[HTTP_MAX_FIELDS + 1];
    assert_route((struct http_route){SOUND("/one"), FIELDS(many)}, "more than 40 parameters");
}

static void test_hidden_and_doubled_routes_are_found(void **state)
{
    (void)state;
    struct http_app app = fixture_app;
    const struct http_route doubled[] = {
        {ROW("one", HTTP_GET, "/x/{isbn}"), FIELDS(fixture_isbn_only), .answer = "Open"},
        {ROW("two", HTTP_GET, "/x/{shelf}"), FIELDS(fixture_shelf_fields), .answer = "Open"},
    };
    app.routes = doubled;
    app.route_count = 2;
    assert_found(&app,
                 "route 'two' (GET /x/{shelf}): no path reaches it: 'one' (/x/{isbn}) hides it");
    const struct http_route renamed[] = {
        {ROW("one", HTTP_GET, "/x/{isbn}"), FIELDS(fixture_isbn_only), .answer = "Open"},
        {ROW("two", HTTP_POST, "/x/{shelf}"), FIELDS(fixture_shelf_fields), .answer = "Open"},
    };
    app.routes = renamed;
    assert_found(&app, "'one' calls the same path /x/{isbn}");
    const struct http_route covered[] = {
        {ROW("one", HTTP_GET, "/x/{shelf}"), FIELDS(fixture_shelf_fields), .answer = "Open"},
        {ROW("a", HTTP_GET, "/x/fiction"), .answer = "Open"},
        {ROW("b", HTTP_GET, "/x/science"), .answer = "Open"},
        {ROW("c", HTTP_GET, "/x/maps"), .answer = "Open"},
    };
    app.routes = covered;
    app.route_count = 4;
    assert_found(&app, "route 'one' (GET /x/{shelf}): no path reaches it: every value of its "
                       "parameters is hidden by 'a', 'b', 'c'");
    const struct http_route named[] = {
        {ROW("one", HTTP_GET, "/x"), .answer = "Open"},
        {ROW("one", HTTP_GET, "/y"), .answer = "Open"},
    };
    app.routes = named;
    app.route_count = 2;
    assert_found(&app, "there is another route of this name, /x");
}

static void test_schemas_are_checked(void **state)
{
    (void)state;
    assert_member((struct http_field){"a", HTTP_OBJECT, .schema = "Nobody", .help = "A."},
                  "schema 'Own': `a` is of the schema 'Nobody', which nobody knows");
    assert_member((struct http_field){"a", HTTP_TEXT, .schema = "Own", .help = "A."},
                  "which nobody knows");
    assert_member((struct http_field){"a", HTTP_LIST, .example = "[", .help = "A."},
                  "`a`: its example is no JSON");
    assert_member((struct http_field){"a", HTTP_INT, .example = "x", .help = "A."},
                  "its example 'x' is not a whole number");
    assert_member((struct http_field){"a", (enum http_kind)99, .help = "A."}, "`a` is of no kind");
    struct http_schema same[] = {fixture_schemas[0], fixture_schemas[0]};
    struct http_app app = fixture_app;
    app.schemas = same;
    app.schema_count = 2;
    assert_found(&app, "schema 'Person': there is another schema of this name");
    struct http_schema reserved = fixture_schemas[0];
    reserved.name = "Problem";
    app.schemas = &reserved;
    app.schema_count = 1;
    assert_found(&app, "schema 'Problem': there is another schema of this name");
}

static void test_problems_are_checked(void **state)
{
    (void)state;
    struct http_app app = fixture_app;
    struct http_problem_kind kind = {"busy", 503, "Busy", "Wait."};
    app.problems = &kind;
    app.problem_count = 1;
    assert_found(&app, "problem 'busy': there is another problem of this code");
    kind = (struct http_problem_kind){"own", 200, "Own", "Wait."};
    assert_found(&app, "200 is no status of an error");
    kind = (struct http_problem_kind){"Not a word", 400, "Own", "Wait."};
    assert_found(&app, "its code, title or advice is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_table_passes),
        cmocka_unit_test(test_paths_are_checked),
        cmocka_unit_test(test_rows_are_checked),
        cmocka_unit_test(test_parameters_are_checked),
        cmocka_unit_test(test_hidden_and_doubled_routes_are_found),
        cmocka_unit_test(test_schemas_are_checked),
        cmocka_unit_test(test_problems_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
