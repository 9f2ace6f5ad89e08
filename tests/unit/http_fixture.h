/*
 * http_fixture.h: a made-up API of a library, as a table: what the tests of the HTTP room run on.
 *
 * Every kind of parameter and member is in it once, and the shapes of paths that meet each other.
 */
#ifndef TESTS_HTTP_FIXTURE_H
#define TESTS_HTTP_FIXTURE_H

#include "base/mem.h"
#include "http/parts.h"

static enum kol_status fixture_handle(struct http_call *call, struct kol_error *err)
{
    (void)call, (void)err;
    return KOL_OK;
}

#define FIXTURE_SHELVES "fiction science maps"

static const struct http_field fixture_list_fields[] = {
    {"shelf", HTTP_CHOICE, .choices = FIXTURE_SHELVES, .help = "Where it stands."},
    {"limit", HTTP_INT, .fallback = "50", .min = 1, .max = 100, .help = "How many."},
    {"offset", HTTP_INT, .help = "How many to leave out."},
    {"min_weight", HTTP_REAL, .min = 0, .max = 2.5, .help = "In kilograms."},
    {"q", HTTP_TEXT, .min = 2, .max = 10, .example = "sea", .help = "Words of the title."},
    {"lent", HTTP_BOOL, .help = "Whether somebody has it."},
    {"fields", HTTP_WORDS, .choices = "title weight isbn", .help = "Members of the answer."},
    {"tags", HTTP_WORDS, .min = 2, .max = 3, .help = "Any words."},
    {"bought", HTTP_DATE, .help = "The day."},
    {"since", HTTP_TIME, .help = "The moment."},
    {"format", HTTP_CHOICE, .choices = "json csv", .help = "As Accept says, but for links."},
};
enum {
    LIST_SHELF,
    LIST_LIMIT,
    LIST_OFFSET,
    LIST_WEIGHT,
    LIST_Q,
    LIST_LENT,
    LIST_FIELDS,
    LIST_TAGS,
    LIST_BOUGHT,
    LIST_SINCE,
    LIST_FORMAT
};

static const struct http_field fixture_book_fields[] = {
    {"isbn", HTTP_TEXT, .min = 1, .max = 20, .example = "978-0", .help = "The number of the book."},
    {"lang", HTTP_TEXT, .required = true, .help = "Of the summary."},
};
static const struct http_field fixture_isbn_only[] = {
    {"isbn", HTTP_TEXT, .min = 1, .max = 20, .help = "The number of the book."},
};
static const struct http_field fixture_shelf_fields[] = {
    {"shelf", HTTP_CHOICE, .choices = FIXTURE_SHELVES, .help = "Where it stands."},
};
static const struct http_field fixture_part_fields[] = {
    {"isbn", HTTP_TEXT, .help = "The number of the book."},
    {"page", HTTP_INT, .min = 1, .max = 9999, .help = "Of the book."},
};

static const struct http_field fixture_person[] = {
    {"name", HTTP_TEXT, .required = true, .min = 1, .max = 30, .help = "Of a person."},
    {"born", HTTP_DATE, .nullable = true, .help = "The day."},
};
static const struct http_field fixture_book[] = {
    {"title", HTTP_TEXT, .required = true, .min = 1, .max = 100, .example = "The Sea",
     .help = "As on the cover."},
    {"pages", HTTP_INT, .required = true, .nullable = true, .min = 0, .max = 5000,
     .help = "How many."},
    {"weight", HTTP_REAL, .min = 0, .max = 2.5, .help = "In kilograms."},
    {"lent", HTTP_BOOL, .help = "Whether somebody has it."},
    {"shelf", HTTP_CHOICE, .nullable = true, .choices = FIXTURE_SHELVES, .help = "Its place."},
    {"tags", HTTP_WORDS, .max = 3, .choices = "old rare red new", .help = "What it is."},
    {"author", HTTP_OBJECT, .nullable = true, .schema = "Person", .help = "Who wrote it."},
    {"readers", HTTP_LIST, .max = 50, .schema = "Person", .help = "Who had it."},
    {"extra", HTTP_OBJECT, .help = "Anything.", .example = "{\"a\":1}"},
    {"note", HTTP_ANY, .help = "Anything at all."},
    {"added", HTTP_TIME, .help = "The moment."},
};
static const struct http_field fixture_list[] = {
    {"data", HTTP_LIST, .required = true, .schema = "Book", .help = "The books."},
    {"total", HTTP_INT, .required = true, .min = 0, .max = 1e9, .help = "How many there are."},
    {"next", HTTP_INT, .help = "Where the next ones begin."},
};
static const struct http_field fixture_open[] = {
    {"status", HTTP_TEXT, .required = true, .help = "In a word."},
};

static const struct http_schema fixture_schemas[] = {
    {"Person", "A person.", fixture_person, ARRAY_LEN(fixture_person), false},
    {"Book", "A book.", fixture_book, ARRAY_LEN(fixture_book), false},
    {"BookList", "Some books.", fixture_list, ARRAY_LEN(fixture_list), false},
    {"Open", "What may grow.", fixture_open, ARRAY_LEN(fixture_open), true},
};

static const struct http_problem_kind fixture_problems[] = {
    {"cursor_expired", 410, "The cursor is too old", "Begin anew without a cursor."},
    {"book_lent", 409, "Somebody has the book", "Wait for it."},
};

#define FIELDS(array) .fields = array, .field_count = ARRAY_LEN(array)
#define ROW(row_name, row_method, row_path)                                                        \
    .method = row_method, .path = row_path, .name = row_name, .tag = "books",                      \
    .summary = "Row " row_name, .details = "", .handle = fixture_handle

static const struct http_route fixture_routes[] = {
    {ROW("root", HTTP_GET, "/"), .types = "text/html", .unlimited = true},
    {ROW("list_books", HTTP_GET, "/books"), FIELDS(fixture_list_fields), .answer = "BookList",
     .types = "text/csv", .problems = "cursor_expired", .policy = {.fresh = 10, .stale = 30},
     .example = "/books?limit=20&q=sky&tags=a,b"},
    {ROW("add_book", HTTP_POST, "/books"), .body = "Book", .answer = "Book", .status = 201,
     .scopes = 2, .problems = "book_lent"},
    {ROW("lookup", HTTP_POST, "/books/lookup"), .body = "Open", .answer = "BookList"},
    {ROW("compare", HTTP_GET, "/books/compare"), .answer = "Open"},
    {ROW("get_book", HTTP_GET, "/books/{isbn}"), FIELDS(fixture_book_fields), .answer = "Book",
     .scopes = 1, .example = "/books/978-1?lang=vi"},
    {ROW("drop_book", HTTP_DELETE, "/books/{isbn}"), FIELDS(fixture_isbn_only), .status = 204,
     .scopes = 2},
    {ROW("top", HTTP_GET, "/books/top/{shelf}"), FIELDS(fixture_shelf_fields),
     .answer = "BookList"},
    {ROW("scores", HTTP_GET, "/books/{isbn}/scores"), FIELDS(fixture_isbn_only), .answer = "Open",
     .deprecated = true},
    {ROW("page", HTTP_GET, "/books/{isbn}/pages/{page}"), FIELDS(fixture_part_fields),
     .answer = "Open"},
    {ROW("upload", HTTP_POST, "/upload"), .body_types = "application/x-ndjson text/csv",
     .answer = "Open", .status = 202},
    {ROW("healthz", HTTP_GET, "/healthz"), .answer = "Open", .in_place = true, .unlimited = true},
    {ROW("metrics", HTTP_GET, "/metrics"), .types = "text/plain", .operations = true,
     .unlimited = true},
};

static bool fixture_identify(struct str key, struct http_identity *out, void *user)
{
    (void)key, (void)out, (void)user;
    return false;
}

static const char *const fixture_scopes[] = {"read", "write"};

static const struct http_app fixture_app = {
    .routes = fixture_routes,
    .route_count = ARRAY_LEN(fixture_routes),
    .schemas = fixture_schemas,
    .schema_count = ARRAY_LEN(fixture_schemas),
    .problems = fixture_problems,
    .problem_count = ARRAY_LEN(fixture_problems),
    .scopes = fixture_scopes,
    .scope_count = ARRAY_LEN(fixture_scopes),
    .title = "Library",
    .version = "1.0",
    .description = "Books.",
    .identify = fixture_identify,
};

#endif
