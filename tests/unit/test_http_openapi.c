/*
 * test_http_openapi.c: the document says what the table says, names every status that can occur,
 * and none of its references leads nowhere; problem details.
 *
 * That it is valid OpenAPI is for a library to say: tests/system/test_openapi.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "http_fixture.h"

static json_t *document;

static json_t *document_of(const struct http_app *app)
{
    struct buf text = {0};
    http_put_openapi(app, "https://example.org", &text);
    json_t *root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    buf_free(&text);
    assert_non_null(root);
    return root;
}

static int set_up(void **state)
{
    (void)state;
    document = document_of(&fixture_app);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(document);
    return 0;
}

/* What stands at a JSON pointer; a segment may hold "~1". NULL where nothing does. */
static json_t *at(json_t *root, const char *pointer)
{
    struct str rest = str_of(pointer + 1);
    while (root && rest.ptr) {
        char name[128];
        size_t len = 0;
        struct str segment = str_cut(&rest, '/');
        for (size_t i = 0; i < segment.len; i++) {
            bool escape = segment.ptr[i] == '~';
            i += escape;
            name[len++] = !escape ? segment.ptr[i] : segment.ptr[i] == '1' ? '/' : '~';
        }
        name[len] = '\0';
        root = json_is_array(root) ? json_array_get(root, (size_t)atoi(name))
                                   : json_object_get(root, name);
    }
    return root;
}

/* The JSON text at a pointer. */
static const char *text_at(const char *pointer)
{
    static char *text;
    free(text);
    json_t *value = at(document, pointer);
    if (!value) {
        fail_msg("nothing at %s", pointer);
    }
    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    return text;
}

/* All references below; each must lead somewhere. */
static size_t follow_refs(json_t *value)
{
    size_t count = 0, i;
    const char *name;
    json_t *member;
    if (json_is_array(value)) {
        json_array_foreach(value, i, member)
        {
            count += follow_refs(member);
        }
    }
    json_object_foreach(value, name, member)
    {
        if (strcmp(name, "$ref") == 0) {
            const char *target = json_string_value(member);
            assert_int_equal(target[0], '#');
            if (!at(document, target + 1)) {
                fail_msg("%s leads nowhere", target);
            }
            count++;
        }
        count += follow_refs(member);
    }
    return count;
}

static void test_every_reference_leads_somewhere(void **state)
{
    (void)state;
    assert_true(follow_refs(document) > 100);
}

/* The statuses of an operation, in order. */
static const char *statuses(const char *pointer)
{
    static char text[256];
    json_t *responses = at(document, pointer);
    assert_non_null(responses);
    text[0] = '\0';
    for (int status = 100; status < 600; status++) {
        char name[8];
        snprintf(name, sizeof name, "%d", status);
        if (json_object_get(responses, name)) {
            snprintf(text + strlen(text), sizeof text - strlen(text), " %d", status);
        }
    }
    return text + 1;
}

static void test_every_status_that_can_occur_is_named(void **state)
{
    (void)state;
    assert_string_equal(statuses("/paths/~1books/get/responses"),
                        "200 304 400 401 406 410 414 422 429 431 500 503 504");
    assert_string_equal(statuses("/paths/~1books/post/responses"),
                        "201 400 401 403 408 409 411 413 414 415 422 429 431 500 503 504");
    assert_string_equal(statuses("/paths/~1books~1{isbn}/get/responses"),
                        "200 304 400 401 403 404 414 422 429 431 500 503 504");
    assert_string_equal(statuses("/paths/~1books~1{isbn}/delete/responses"),
                        "204 400 401 403 404 414 422 429 431 500 503 504");
    assert_string_equal(statuses("/paths/~1upload/post/responses"),
                        "202 400 401 408 411 413 414 415 422 429 431 500 503 504");
    assert_string_equal(statuses("/paths/~1healthz/get/responses"),
                        "200 304 400 401 414 422 431 500 503");
}

static void test_every_route_is_there_with_its_name(void **state)
{
    (void)state;
    static const char *const methods[] = {"get", "post", "put", "delete"};
    for (size_t i = 0; i < fixture_app.route_count; i++) {
        const struct http_route *route = &fixture_app.routes[i];
        json_t *operation =
            json_object_get(json_object_get(json_object_get(document, "paths"), route->path),
                            methods[route->method]);
        assert_non_null(operation);
        assert_string_equal(json_string_value(json_object_get(operation, "operationId")),
                            route->name);
    }
    assert_string_equal(text_at("/paths/~1books~1{isbn}~1scores/get/deprecated"), "true");
    assert_null(at(document, "/paths/~1books/get/deprecated"));
    assert_string_equal(text_at("/servers/0/url"), "\"https://example.org\"");
    assert_string_equal(text_at("/tags"), "[{\"name\":\"books\"}]");
}

static void test_parameters_say_what_is_enforced(void **state)
{
    (void)state;
#define LIST "/paths/~1books/get/parameters"
    assert_string_equal(text_at(LIST "/0/schema"),
                        "{\"enum\":[\"fiction\",\"science\",\"maps\"],\"type\":\"string\"}");
    assert_string_equal(
        text_at(LIST "/1/schema"),
        "{\"default\":50,\"format\":\"int64\",\"maximum\":100,\"minimum\":1,\"type\":\"integer\"}");
    assert_string_equal(text_at(LIST "/2/schema/minimum"), "-9007199254740991");
    assert_string_equal(text_at(LIST "/3/schema/maximum"), "2.5");
    assert_string_equal(text_at(LIST "/4/schema/minLength"), "2");
    assert_string_equal(text_at(LIST "/4/schema/pattern"), "\"^[^\\\\x00-\\\\x1f\\\\x7f]*$\"");
    assert_string_equal(text_at(LIST "/6/schema"),
                        "{\"items\":{\"enum\":[\"title\",\"weight\",\"isbn\"],\"type\":\"string\"},"
                        "\"maxItems\":100,\"minItems\":1,\"type\":\"array\",\"uniqueItems\":true}");
    assert_string_equal(text_at(LIST "/6/explode"), "false");
    assert_string_equal(text_at(LIST "/8/schema/format"), "\"date\"");
    assert_string_equal(text_at(LIST "/9/schema/format"), "\"date-time\"");
    assert_string_equal(text_at(LIST "/0/required"), "false");
    assert_string_equal(text_at("/paths/~1books~1{isbn}/get/parameters/0/in"), "\"path\"");
    assert_string_equal(text_at("/paths/~1books~1{isbn}/get/parameters/0/required"), "true");
    assert_string_equal(text_at("/paths/~1books~1{isbn}/get/parameters/1/required"), "true");
    /* No segment of a path is empty. */
    assert_string_equal(
        text_at("/paths/~1books~1{isbn}~1pages~1{page}/get/parameters/0/schema/minLength"), "1");
}

static void test_examples_come_from_the_route_and_its_fields(void **state)
{
    (void)state;
    assert_string_equal(text_at(LIST "/1/example"), "20");      /* of the route */
    assert_string_equal(text_at(LIST "/4/example"), "\"sky\""); /* which wins over the field's */
    assert_string_equal(text_at(LIST "/7/example"), "[\"a\",\"b\"]");
    assert_null(at(document, LIST "/2/example"));
    assert_string_equal(text_at("/paths/~1books~1{isbn}/get/parameters/0/example"), "\"978-1\"");
    assert_string_equal(text_at("/components/schemas/Book/properties/extra/examples"),
                        "[{\"a\":1}]");
}

static void test_schemas_say_what_is_checked(void **state)
{
    (void)state;
    assert_string_equal(text_at("/components/schemas/Book/required"), "[\"title\",\"pages\"]");
    assert_string_equal(text_at("/components/schemas/Book/additionalProperties"), "false");
    assert_string_equal(text_at("/components/schemas/Open/additionalProperties"), "true");
    assert_string_equal(text_at("/components/schemas/Book/properties/pages/type"),
                        "[\"integer\",\"null\"]");
    assert_string_equal(text_at("/components/schemas/Book/properties/shelf/enum"),
                        "[\"fiction\",\"science\",\"maps\",null]");
    assert_string_equal(text_at("/components/schemas/Book/properties/author/anyOf"),
                        "[{\"$ref\":\"#/components/schemas/Person\"},{\"type\":\"null\"}]");
    assert_string_equal(text_at("/components/schemas/Book/properties/readers/items"),
                        "{\"$ref\":\"#/components/schemas/Person\"}");
    /* What the server sends is not bounded by what it takes. */
    assert_null(at(document, "/components/schemas/BookList/properties/next/minimum"));
    assert_string_equal(text_at("/components/schemas/BookList/properties/total/minimum"), "0");
    assert_string_equal(text_at("/components/schemas/BookList/properties/data/items/$ref"),
                        "\"#/components/schemas/Book\"");
}

static void test_bodies_and_answers_have_their_types(void **state)
{
    (void)state;
    assert_string_equal(text_at("/paths/~1books/post/requestBody"),
                        "{\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/"
                        "schemas/Book\"}}},\"required\":true}");
    assert_string_equal(text_at("/paths/~1upload/post/requestBody/content"),
                        "{\"application/x-ndjson\":{\"schema\":{\"type\":\"string\"}},\"text/"
                        "csv\":{\"schema\":{\"type\":\"string\"}}}");
    assert_string_equal(text_at("/paths/~1books/get/responses/200/content"),
                        "{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/"
                        "BookList\"}},\"text/csv\":{\"schema\":{\"type\":\"string\"}}}");
    assert_null(at(document, "/paths/~1books~1{isbn}/delete/responses/204/content"));
    assert_non_null(at(document, "/paths/~1books/get/responses/200/headers/Cache-Status"));
    assert_null(at(document, "/paths/~1books/post/responses/201/headers/ETag"));
}

static void test_keys_are_asked_for_where_the_row_says(void **state)
{
    (void)state;
    assert_string_equal(text_at("/components/securitySchemes/ApiKey/name"), "\"X-API-Key\"");
    assert_string_equal(text_at("/paths/~1books/post/security"), "[{\"ApiKey\":[\"write\"]}]");
    assert_string_equal(text_at("/paths/~1books/get/security"), "[{},{\"ApiKey\":[]}]");
    struct http_app open = fixture_app;
    open.identify = NULL;
    json_t *root = document_of(&open);
    assert_null(at(root, "/components/securitySchemes"));
    assert_null(at(root, "/paths/~1books/post/security"));
    assert_null(at(root, "/paths/~1books/post/responses/401"));
    json_decref(root);
}

static void test_problem_details_are_whole(void **state)
{
    (void)state;
    struct buf body = {0};
    const struct http_problem_kind *kind = http_problem_find(&fixture_app, "book_lent");
    http_problem_put(kind, STR("An \"apple\"."), STR("id-1"), STR("\"errors\":[]"), &body);
    assert_string_equal(
        body.ptr,
        "{\"type\":\"docs/errors.md#book_lent\",\"title\":\"Somebody has the book\",\"status\":409,"
        "\"detail\":\"An \\\"apple\\\".\",\"code\":\"book_lent\",\"what_to_do\":\"Wait for it.\","
        "\"instance\":\"id-1\",\"errors\":[]}");
    buf_clear(&body);
    http_problem_put(kind, STR("cut \xc3"), STR("id-1"), STR(""), &body);
    json_t *root = json_loadb(body.ptr, body.len, 0, NULL);
    assert_non_null(root);
    json_decref(root);
    buf_free(&body);
    assert_null(http_problem_find(&fixture_app, "nobody"));
    assert_int_equal(http_problem_find(NULL, "busy")->status, 503);
    for (int status = 0; status < KOL_STATUS_COUNT; status++) {
        assert_non_null(http_problem_find(NULL, http_problem_of_status((enum kol_status)status)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_reference_leads_somewhere),
        cmocka_unit_test(test_every_status_that_can_occur_is_named),
        cmocka_unit_test(test_every_route_is_there_with_its_name),
        cmocka_unit_test(test_parameters_say_what_is_enforced),
        cmocka_unit_test(test_examples_come_from_the_route_and_its_fields),
        cmocka_unit_test(test_schemas_say_what_is_checked),
        cmocka_unit_test(test_bodies_and_answers_have_their_types),
        cmocka_unit_test(test_keys_are_asked_for_where_the_row_says),
        cmocka_unit_test(test_problem_details_are_whole),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
