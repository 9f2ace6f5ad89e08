/*
 * schema.c: a JSON body, read and held against its schema before a handler sees it.
 *
 * The library reads the text; before that a scan bounds how deep and how much it is, since a tree
 * of small values takes many times the bytes of its text. What breaks the schema is told by JSON
 * pointer (RFC 6901), several places at once, so that a client mends its body in one go.
 */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "http/parts.h"

enum { MOST_TOLD = 5, POINTER_BYTES = 512 };

/* One check of one body. `pointer` is where it stands; it is cut, not grown, where names are long.
 */
struct checking {
    const struct http_app *app;
    struct buf *detail;
    size_t wrong;
    char pointer[POINTER_BYTES];
    size_t pointer_len;
};

const struct http_schema *http_schema_find(const struct http_app *app, const char *name)
{
    for (size_t i = 0; i < app->schema_count; i++) {
        if (strcmp(app->schemas[i].name, name) == 0) {
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

static json_t *parse(struct str body, struct buf *detail)
{
    const char *too_much = body.len ? scan(body) : "it is empty";
    if (too_much) {
        buf_printf(detail, "The body is not taken: %s.", too_much);
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root) {
        tell_malformed(&error, detail);
    }
    return root;
}

/* ---- where it stands ---- */

static void put_pointer(struct checking *checking, char c)
{
    if (checking->pointer_len < POINTER_BYTES) {
        checking->pointer[checking->pointer_len++] = c;
    }
}

/* Goes one level down; returns what leave() takes. */
static size_t enter(struct checking *checking, const char *name)
{
    size_t before = checking->pointer_len;
    put_pointer(checking, '/');
    for (; *name; name++) {
        if (*name == '~' || *name == '/') {
            put_pointer(checking, '~');
        }
        put_pointer(checking, *name == '~' ? '0' : *name == '/' ? '1' : *name);
    }
    return before;
}

static void leave(struct checking *checking, size_t before)
{
    checking->pointer_len = before;
}

/* Begins the sentence on one more wrong place; false once enough are named. */
static bool begin_wrong(struct checking *checking)
{
    if (checking->wrong == MOST_TOLD) {
        return false;
    }
    buf_puts(checking->detail, checking->wrong++ ? "; " : "");
    struct str pointer = {checking->pointer, checking->pointer_len};
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

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a text";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number";
    case JSON_NULL: return "null";
    default: return "true or false";
    }
}

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

static void tell_unfit(struct checking *checking, const struct http_field *field,
                       const json_t *value)
{
    if (!begin_wrong(checking)) {
        return;
    }
    buf_puts(checking->detail, " must be ");
    http_put_wanted(field, checking->detail);
    buf_puts(checking->detail, field->nullable ? " or null, not " : ", not ");
    if (json_is_string(value)) {
        http_put_quoted(text_of(value), checking->detail);
    } else if (json_is_integer(value)) {
        buf_put_int64(checking->detail, json_integer_value(value));
    } else if (json_is_real(value)) {
        buf_put_double(checking->detail, json_real_value(value));
    } else {
        buf_puts(checking->detail, kind_of(value));
    }
}

static bool within(const struct http_field *field, double value)
{
    struct http_bounds bounds = http_bounds_of(field);
    return !bounds.any || (value >= bounds.min && value <= bounds.max);
}

/* A whole number that is written with a fraction of nothing (5.0) is one by JSON Schema too, and
 * the handler shall find an integer. */
static bool is_int(const json_t *value, const struct http_field *field, json_t *parent)
{
    if (json_is_integer(value)) {
        return within(field, (double)json_integer_value(value));
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || real != floor(real) || !within(field, real)) {
        return false;
    }
    json_object_set_new(parent, field->name, json_integer((json_int_t)real));
    return true;
}

static bool is_words(const json_t *value, const struct http_field *field)
{
    size_t count = json_array_size(value);
    double most = http_bounds_of(field).any ? field->max : HTTP_WORDS_MAX;
    if (!json_is_array(value) || !within(field, (double)count) || (double)count > most) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *word = json_array_get(value, i);
        if (!json_is_string(word) ||
            (field->choices && http_word_place(field->choices, text_of(word)) < 0)) {
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (json_equal(word, json_array_get(value, j))) {
                return false;
            }
        }
    }
    return true;
}

/* Kinds without parts. */
static bool is_fit(const json_t *value, const struct http_field *field, json_t *parent)
{
    struct http_value read;
    switch (field->kind) {
    case HTTP_INT: return is_int(value, field, parent);
    case HTTP_REAL: return json_is_number(value) && within(field, json_number_value(value));
    case HTTP_BOOL: return json_is_boolean(value);
    case HTTP_WORDS: return is_words(value, field);
    case HTTP_OBJECT: return json_is_object(value);
    case HTTP_LIST: return json_is_array(value) && within(field, (double)json_array_size(value));
    case HTTP_ANY: return true;
    default: return json_is_string(value) && http_value_read(field, text_of(value), &read);
    }
}

static void check_object(struct checking *checking, const struct http_schema *schema,
                         json_t *object);

static void check_list(struct checking *checking, const struct http_schema *schema, json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && checking->wrong < MOST_TOLD; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        size_t before = enter(checking, number);
        check_object(checking, schema, json_array_get(list, i));
        leave(checking, before);
    }
}

static void check_member(struct checking *checking, const struct http_field *field, json_t *parent)
{
    json_t *value = json_object_get(parent, field->name);
    size_t before = enter(checking, field->name);
    if (!value) {
        if (field->required && begin_wrong(checking)) {
            buf_puts(checking->detail, " is missing, it must be ");
            http_put_wanted(field, checking->detail);
        }
    } else if (json_is_null(value) && field->nullable) {
        /* fits */
    } else if (!is_fit(value, field, parent)) {
        tell_unfit(checking, field, value);
    } else if (field->schema && (field->kind == HTTP_OBJECT || field->kind == HTTP_LIST)) {
        const struct http_schema *schema = http_schema_find(checking->app, field->schema);
        KOL_ASSERT(schema); /* by check.c */
        if (field->kind == HTTP_OBJECT) {
            check_object(checking, schema, value);
        } else {
            check_list(checking, schema, value);
        }
    }
    leave(checking, before);
}

static bool is_member(const struct http_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void tell_unknown(struct checking *checking, const struct http_schema *schema,
                         const char *name)
{
    const char *names[HTTP_MAX_MEMBERS];
    size_t count = 0;
    size_t before = enter(checking, name);
    if (begin_wrong(checking)) {
        for (size_t i = 0; i < schema->field_count; i++) {
            names[count++] = schema->fields[i].name;
        }
        buf_puts(checking->detail, " is not known");
        http_put_nearest(str_of(name), names, count, checking->detail);
    }
    leave(checking, before);
}

static void check_object(struct checking *checking, const struct http_schema *schema,
                         json_t *object)
{
    if (!json_is_object(object)) {
        if (begin_wrong(checking)) {
            buf_printf(checking->detail, " must be an object, not %s", kind_of(object));
        }
        return;
    }
    for (size_t i = 0; i < schema->field_count && checking->wrong < MOST_TOLD; i++) {
        check_member(checking, &schema->fields[i], object);
    }
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (checking->wrong < MOST_TOLD && !schema->open && !is_member(schema, name)) {
            tell_unknown(checking, schema, name);
        }
    }
}

void *http_schema_read(const struct http_app *app, const char *schema, struct str body,
                       bool *malformed, struct buf *detail)
{
    json_t *root = parse(body, detail);
    *malformed = !root;
    if (!root) {
        return NULL;
    }
    struct checking checking = {.app = app, .detail = detail};
    const struct http_schema *wanted = http_schema_find(app, schema);
    KOL_ASSERT(wanted); /* by check.c */
    check_object(&checking, wanted, root);
    if (checking.wrong) {
        buf_putc(detail, '.');
        json_decref(root);
        return NULL;
    }
    return root;
}
