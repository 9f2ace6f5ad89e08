/*
 * schema.c: a JSON body, read and held against its schema before a handler sees it.
 *
 * A body that our own reader does not take goes to jansson, which says what is wrong and where;
 * before that a scan bounds how deep and how much it is. What breaks the schema is told by JSON
 * pointer (RFC 6901), several places at once, so that a client mends its body in one go.
 */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/parts.h"

enum { MOST_TOLD = 5, POINTER_BYTES = 512 };

/* Where a value stands: written out as a JSON pointer once something is wrong with it. */
struct place {
    const struct place *up; /* of what it is within; NULL: of the body itself */
    struct str name;        /* of a member; no pointer: it is an element */
    size_t number;          /* of an element */
};

/* A pointer on its way; it is cut, not grown, where names are long. */
struct pointer {
    char text[POINTER_BYTES];
    size_t len;
};

/* One check of one body. */
struct checking {
    const struct http_app *app;
    struct buf *detail;
    size_t wrong;
};

const struct http_schema *http_schema_find(const struct http_app *app, const char *name)
{
    for (size_t i = 0; i < app->schema_count; i++) {
        /* This is asked for each body: most names differ in their first letter. */
        const char *one = app->schemas[i].name;
        if (*one == *name && strcmp(one, name) == 0) {
            return &app->schemas[i];
        }
    }
    return NULL;
}

/* ---- reading ---- */

/* Bounds depth and number of values without understanding the text: brackets and commas outside of
 * strings. NULL: fine; else what is wrong. */
static const char *scan(struct str body)
{
    size_t depth = 0, values = 0;
    bool in_text = false;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];
        if (in_text) {
            i += c == '\\';
            in_text = c != '"';
        } else if (c == '"') {
            in_text = true;
        } else if (c == '[' || c == '{') {
            values++;
            if (++depth > HTTP_JSON_DEPTH) {
                return "it is nested more than 32 levels deep";
            }
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',' && ++values > HTTP_JSON_VALUES) {
            return "it has more than 250,000 values";
        }
    }
    return NULL;
}

/* What the library found, without the bytes around it. */
static void tell_malformed(const json_error_t *error, struct buf *detail)
{
    switch (json_error_code(error)) {
    case json_error_numeric_overflow: buf_puts(detail, "A number is too large"); break;
    case json_error_duplicate_key: buf_puts(detail, "A name stands twice in one object"); break;
    case json_error_null_character:
    case json_error_null_byte_in_key: buf_puts(detail, "A text holds a NUL character"); break;
    case json_error_invalid_utf8: buf_puts(detail, "The text is not UTF-8"); break;
    case json_error_end_of_input_expected:
        buf_puts(detail, "Something follows behind the value");
        break;
    case json_error_premature_end_of_input: buf_puts(detail, "The body ends too early"); break;
    default: buf_puts(detail, "The body is no JSON"); break;
    }
    buf_printf(detail, " (line %d, column %d).", error->line, error->column);
}

/* Why a body is none that the reader takes. */
static void tell_refused(struct str body, struct buf *detail)
{
    const char *too_much = body.len ? scan(body) : "it is empty";
    if (too_much) {
        buf_printf(detail, "The body is not taken: %s.", too_much);
        return;
    }
    json_error_t error;
    json_t *taken =
        json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (taken) {
        buf_puts(detail, "The body is no JSON: it holds a NUL byte."); /* see json_value.h */
        json_decref(taken);
    } else {
        tell_malformed(&error, detail);
    }
}

/* ---- where it stands ---- */

static void put_char(struct pointer *pointer, char c)
{
    if (pointer->len < POINTER_BYTES) {
        pointer->text[pointer->len++] = c;
    }
}

static void put_step(struct pointer *pointer, struct str name)
{
    put_char(pointer, '/');
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (c == '~' || c == '/') {
            put_char(pointer, '~');
        }
        put_char(pointer, c == '~' ? '0' : c == '/' ? '1' : c);
    }
}

static void put_place(struct pointer *pointer, const struct place *place)
{
    if (!place) {
        return;
    }
    put_place(pointer, place->up);
    if (place->name.ptr) {
        put_step(pointer, place->name);
    } else {
        char number[24];
        snprintf(number, sizeof number, "%zu", place->number);
        put_step(pointer, str_of(number));
    }
}

/* Begins the sentence on one more wrong place; false once enough are named. */
static bool begin_wrong(struct checking *checking, const struct place *place)
{
    if (checking->wrong == MOST_TOLD) {
        return false;
    }
    buf_puts(checking->detail, checking->wrong++ ? "; " : "");
    struct pointer written = {.len = 0};
    put_place(&written, place);
    struct str pointer = {written.text, written.len};
    while (pointer.len && !text_is_utf8(pointer)) {
        pointer.len--; /* it was cut within a character */
    }
    if (pointer.len) {
        buf_putc(checking->detail, '`');
        http_put_plain(pointer, checking->detail);
        buf_putc(checking->detail, '`');
    } else {
        buf_puts(checking->detail, "the body");
    }
    return true;
}

/* ---- checking ---- */

static const char *kind_of(const struct json_value *value)
{
    static const char *const texts[] = {
        [VALUE_NULL] = "null",          [VALUE_BOOL] = "true or false",
        [VALUE_INT] = "a whole number", [VALUE_REAL] = "a number",
        [VALUE_TEXT] = "a text",        [VALUE_LIST] = "a list",
        [VALUE_OBJECT] = "an object",
    };
    return texts[value->kind];
}

static void tell_unfit(struct checking *checking, const struct http_field *field,
                       const struct place *place, const struct json_value *value)
{
    if (!begin_wrong(checking, place)) {
        return;
    }
    buf_puts(checking->detail, " must be ");
    http_put_wanted(field, checking->detail);
    buf_puts(checking->detail, field->nullable ? " or null, not " : ", not ");
    switch (value->kind) {
    case VALUE_TEXT: http_put_quoted(value->text, checking->detail); break;
    case VALUE_INT: buf_put_int64(checking->detail, value->integer); break;
    case VALUE_REAL: buf_put_double(checking->detail, value->real); break;
    default: buf_puts(checking->detail, kind_of(value));
    }
}

static bool within(const struct http_field *field, double value)
{
    struct http_bounds bounds = http_bounds_of(field);
    return !bounds.any || (value >= bounds.min && value <= bounds.max);
}

/* A whole number that is written with a fraction of nothing (5.0) is one by JSON Schema too, and
 * the handler shall find an integer. */
static bool is_int(const struct http_field *field, struct json_value *value)
{
    double real;
    if (!json_value_number(value, &real) || !within(field, real)) {
        return false;
    }
    if (value->kind == VALUE_REAL) {
        if (real != floor(real)) {
            return false;
        }
        value->kind = VALUE_INT;
        value->integer = (int64_t)real;
    }
    return true;
}

static bool is_words(const struct http_field *field, const struct json_value *list)
{
    double most = http_bounds_of(field).any ? field->max : HTTP_WORDS_MAX;
    if (list->kind != VALUE_LIST || !within(field, list->count) || list->count > most) {
        return false;
    }
    for (const struct json_value *word = list->first; word; word = word->next) {
        if (word->kind != VALUE_TEXT ||
            (field->choices && http_word_place(field->choices, word->text) < 0)) {
            return false;
        }
        for (const struct json_value *before = list->first; before != word; before = before->next) {
            if (str_equal(before->text, word->text)) {
                return false;
            }
        }
    }
    return true;
}

/* Kinds without parts. */
static bool is_fit(const struct http_field *field, struct json_value *value)
{
    double real;
    struct http_value read;
    switch (field->kind) {
    case HTTP_INT: return is_int(field, value);
    case HTTP_REAL: return json_value_number(value, &real) && within(field, real);
    case HTTP_BOOL: return value->kind == VALUE_BOOL;
    case HTTP_WORDS: return is_words(field, value);
    case HTTP_OBJECT: return value->kind == VALUE_OBJECT;
    case HTTP_LIST: return value->kind == VALUE_LIST && within(field, value->count);
    case HTTP_ANY: return true;
    default: return value->kind == VALUE_TEXT && http_value_read(field, value->text, &read);
    }
}

static void check_object(struct checking *checking, const struct http_schema *schema,
                         const struct place *place, struct json_value *object);

static void check_list(struct checking *checking, const struct http_schema *schema,
                       const struct place *place, struct json_value *list)
{
    struct place own = {.up = place};
    for (struct json_value *one = list->first; one && checking->wrong < MOST_TOLD;
         one = one->next) {
        check_object(checking, schema, &own, one);
        own.number++;
    }
}

static void check_missing(struct checking *checking, const struct http_field *field,
                          const struct place *place)
{
    if (field->required && begin_wrong(checking, place)) {
        buf_puts(checking->detail, " is missing, it must be ");
        http_put_wanted(field, checking->detail);
    }
}

static void check_member(struct checking *checking, const struct http_field *field,
                         const struct place *place, struct json_value *value)
{
    if (value->kind == VALUE_NULL && field->nullable) {
        return; /* fits */
    }
    if (!is_fit(field, value)) {
        tell_unfit(checking, field, place, value);
    } else if (field->schema && (field->kind == HTTP_OBJECT || field->kind == HTTP_LIST)) {
        const struct http_schema *schema = http_schema_find(checking->app, field->schema);
        KOL_ASSERT(schema); /* by check.c */
        if (field->kind == HTTP_OBJECT) {
            check_object(checking, schema, place, value);
        } else {
            check_list(checking, schema, place, value);
        }
    }
}

static bool is_field(const struct http_schema *schema, struct str name)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        if (str_is(name, schema->fields[i].name)) {
            return true;
        }
    }
    return false;
}

static void tell_unknown(struct checking *checking, const struct http_schema *schema,
                         const struct place *place, struct str name)
{
    const char *names[HTTP_MAX_MEMBERS];
    size_t count = 0;
    if (begin_wrong(checking, place)) {
        for (size_t i = 0; i < schema->field_count; i++) {
            names[count++] = schema->fields[i].name;
        }
        buf_puts(checking->detail, " is not known");
        http_put_nearest(name, names, count, checking->detail);
    }
}

static void check_unknown(struct checking *checking, const struct http_schema *schema,
                          const struct place *place, const struct json_value *object)
{
    for (const struct json_value *member = object->first; member && checking->wrong < MOST_TOLD;
         member = member->next) {
        if (!is_field(schema, member->name)) {
            const struct place own = {.up = place, .name = member->name};
            tell_unknown(checking, schema, &own, member->name);
        }
    }
}

static void check_object(struct checking *checking, const struct http_schema *schema,
                         const struct place *place, struct json_value *object)
{
    if (object->kind != VALUE_OBJECT) {
        if (begin_wrong(checking, place)) {
            buf_printf(checking->detail, " must be an object, not %s", kind_of(object));
        }
        return;
    }
    size_t known = 0;
    struct json_value *guess = object->first; /* most write members in the order of the docs */
    for (size_t i = 0; i < schema->field_count && checking->wrong < MOST_TOLD; i++) {
        const struct place own = {.up = place, .name = str_of(schema->fields[i].name)};
        struct json_value *value = json_value_find(object, own.name, guess);
        if (value) {
            guess = value->next;
            known++;
            check_member(checking, &schema->fields[i], &own, value);
        } else {
            check_missing(checking, &schema->fields[i], &own);
        }
    }
    /* No name stands twice: as many as are there, all of them. */
    if (!schema->open && known < object->count) {
        check_unknown(checking, schema, place, object);
    }
}

struct json_value *http_schema_read(const struct http_app *app, const char *schema, struct str body,
                                    struct arena *arena, bool *malformed, struct buf *detail)
{
    const struct json_bounds bounds = {HTTP_JSON_DEPTH, HTTP_JSON_VALUES};
    struct json_value *root = json_value_read(body, bounds, arena);
    *malformed = !root;
    if (!root) {
        tell_refused(body, detail);
        return NULL;
    }
    struct checking checking = {.app = app, .detail = detail};
    const struct http_schema *wanted = http_schema_find(app, schema);
    KOL_ASSERT(wanted); /* by check.c */
    check_object(&checking, wanted, NULL, root);
    if (checking.wrong) {
        buf_putc(detail, '.');
        return NULL;
    }
    return root;
}
