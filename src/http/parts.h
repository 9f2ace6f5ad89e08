/*
 * parts.h: what the files of http/ share. Private to the room.
 *
 *   router.c   which route a method and a path mean          no I/O, no MHD
 *   value.c    one value as text against its field            no I/O, no MHD
 *   params.c   parameters out of path and query, checked     no I/O, no MHD
 *   accept.c   which content type an Accept header means      no I/O, no MHD
 *   schema.c   a JSON body against a schema                   no I/O, no MHD
 *   check.c    the tables against themselves, at the start
 *   openapi.c  the document of the tables; openapi_answers.c its answers: what can occur, and when
 *   docs.c     the explorer page
 *   problem.c  problem details
 *   form.c     cookies and form posts                    no I/O, no MHD
 *
 * The running server (call.h is what its files share):
 *
 *   server.c   from start to end; loop.c the event threads; watch.c deadlines, clients that leave,
 *              what is too slow
 *   request.c  a request from its first line to its end; head.c what its head decides; session.c
 *              who asks by a cookie
 *   call.c     a call: its states, its end, its accessors
 *   answer.c   ready answers; compress.c their other codings; send.c how they go out
 *   stream.c   answers without an end; limits.c rates and connections; tls.c; access.c
 */
#ifndef HTTP_PARTS_H
#define HTTP_PARTS_H

#include "http/http.h"

enum { HTTP_MAX_SEGMENTS = 16, HTTP_MAX_FIELDS = 40, HTTP_MAX_MEMBERS = 200 };

/* ---- router.c ---- */

struct http_router;
/* The table must be checked (check.c) and outlive the router. `operations`: which of the routes. */
struct http_router *http_router_new(const struct http_route *routes, size_t count, bool public_ones,
                                    bool operations);
void http_router_free(struct http_router **router);

struct http_match {
    const struct http_route *route; /* NULL: none */
    unsigned allowed; /* bit for each enum http_method that the path has; 0: no path */
    struct str segments[HTTP_MAX_SEGMENTS]; /* raw, of the path, split before percent-decoding */
    size_t segment_count;
};
/* `path` without its query. A HEAD is matched as HTTP_GET by the caller. */
void http_router_match(const struct http_router *router, enum http_method method, struct str path,
                       struct http_match *out);
/* Whether the earlier rows leave no path that reaches this one. */
bool http_route_hidden(const struct http_route *routes, size_t count, size_t which);

/* ---- value.c ---- */

struct http_value {
    bool given;
    struct str text; /* decoded, NUL behind it */
    int64_t number;  /* INT, BOOL, CHOICE, DATE (days), TIME (us), WORDS (how many) */
    double real;
};

/* An integer without bounds lies within what JSON readers agree on; a list of words, as a
 * parameter, has at least one and at most so many, all different. */
#define HTTP_INT_MAX 9007199254740991.0 /* 2^53 - 1 */
enum { HTTP_WORDS_MAX = 100 };

struct http_bounds {
    double min, max;
    bool any; /* false: all values of the kind */
};
/* What `min` and `max` of a field come to. */
struct http_bounds http_bounds_of(const struct http_field *field);
/* Fills in all of `out` from text in UTF-8, which it keeps a view of. False: it is no such value or
 * out of bounds. For the kinds that a parameter can have. */
bool http_value_read(const struct http_field *field, struct str text, struct http_value *out);
/* Appends the one text that stands for the value in a normal form. */
void http_value_put(const struct http_field *field, const struct http_value *value,
                    struct buf *out);
/* Appends what a value must be: "a whole number from 1 to 100". */
void http_put_wanted(const struct http_field *field, struct buf *out);
/* Appends " (did you mean `x`?)" where one of the names is near. */
void http_put_nearest(struct str text, const char *const *names, size_t count, struct buf *out);
/* Appends `text` with blanks for its control characters: a sentence stays on its line. */
void http_put_plain(struct str text, struct buf *out);
/* Appends `text` in back quotes, at most its first characters, for a sentence. */
void http_put_quoted(struct str text, struct buf *out);
/* Cuts the next word of a space-separated list; false at its end. NULL text: an empty list. */
bool http_next_word(struct str *rest, struct str *word);
/* Place of `word` in a space-separated list; below 0: not in it. */
int http_word_place(const char *words, struct str word);

/* ---- params.c ---- */

struct http_values {
    struct http_value by_field[HTTP_MAX_FIELDS];
    struct str key; /* http_call_key() without the content type */
};
/* Fills in all fields of the route; decoded text and key are in `arena`. False: `detail` gets the
 * sentence for the problem `invalid_parameter`, naming all parameters that are wrong (at most 5):
 * unknown, given twice, malformed, out of bounds. */
bool http_params_read(const struct http_route *route, const struct http_match *match,
                      struct str query, struct arena *arena, struct http_values *out,
                      struct buf *detail);
/* Whether the field's name stands in the path as {name}. */
bool http_is_path_field(const struct http_route *route, const struct http_field *field);
/* Percent-decodes into `arena`; false: malformed, not UTF-8, or a NUL or control byte. */
bool http_decode(struct str raw, bool plus_is_blank, struct arena *arena, struct str *out);
/* The same for a text of a form: control characters may be in it, as in one of JSON, but no NUL. */
bool http_decode_text(struct str raw, struct arena *arena, struct str *out);

/* ---- form.c ---- */

#define HTTP_FORM_TYPE "application/x-www-form-urlencoded"
/* Appends the pairs of a form post as a JSON object of text; false: it is none, or has over
 * HTTP_MAX_MEMBERS. http_cookie() is in http.h. */
bool http_form_put_json(struct str form, struct arena *arena, struct buf *json);

/* ---- accept.c ---- */

/* The best of `types` (space-separated, best first) for an Accept header; NULL: none fits. */
const char *http_accept_type(struct str accept, const char *types, struct arena *arena);

/* ---- schema.c ---- */

enum { HTTP_JSON_DEPTH = 32, HTTP_JSON_VALUES = 250000 }; /* most of one body */

/* NULL: no such schema. */
const struct http_schema *http_schema_find(const struct http_app *app, const char *name);

/* Parses (depth and size bounded, duplicate names and trailing bytes refused) and checks; the tree
 * lies in `arena`, with views of `body`. NULL with a sentence in `detail`, which names the member
 * by JSON pointer; `*malformed` is set where it is no JSON at all (400), else it breaks the schema
 * (422). */
struct json_value *http_schema_read(const struct http_app *app, const char *schema, struct str body,
                                    struct arena *arena, bool *malformed, struct buf *detail);

/* ---- problem.c ---- */

const struct http_problem_kind *http_problem_find(const struct http_app *app, const char *code);
/* The body: type, title, status, detail, code, what_to_do, instance (the request id). `extra` is
 * further JSON members ("\"errors\":[...]") or empty. */
void http_problem_put(const struct http_problem_kind *kind, struct str detail,
                      struct str request_id, struct str extra, struct buf *out);
/* What a failed handler's status means to the client. */
const char *http_problem_of_status(enum kol_status status);

#endif
