/*
 * shape.c: objects to fields of a hash, and fields to objects by a schema.
 *
 * Both ways go over the members of an object: their names, and the slice of text that each is. The
 * fields of a hash are members too, which do not say of what kind they are.
 */
#include "serve/shape.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "serve/shape_parts.h"
#include "serve/store.h"

/* ---- to fields ---- */

/* A value as the field of a hash. */
static struct str plain(const struct shape_value *value, struct arena *arena)
{
    if (value->kind == SHAPE_TEXT) {
        return shape_text(value->raw, arena);
    }
    if (value->kind == SHAPE_NUMBER && !shape_is_whole(value->raw)) {
        struct buf shortest = {0};
        shape_put_number(value->raw, &shortest);
        const bool is_short = str_equal(buf_str(&shortest), value->raw);
        const struct str text = is_short ? value->raw : arena_copy(arena, buf_str(&shortest));
        buf_free(&shortest);
        return text;
    }
    return value->raw;
}

enum kol_status serve_to_fields(struct str json, struct arena *arena, struct serve_field **out,
                                size_t *count, struct kol_error *err)
{
    struct shape_value object;
    struct shape_member *members;
    size_t all;
    *out = NULL;
    *count = 0;
    if (!text_is_utf8(json) || !shape_read(json, &object) || object.kind != SHAPE_OBJECT) {
        return kol_fail(err, KOL_CORRUPT, "what should be a JSON object is none");
    }
    if (!shape_members(object.raw, SERVE_FIELDS_MAX, arena, &members, &all)) {
        return kol_fail(err, KOL_CORRUPT, "a JSON object has two members of one name, or over %d",
                        SERVE_FIELDS_MAX);
    }
    *out = arena_alloc(arena, all * sizeof **out);
    for (size_t i = 0; i < all; i++) {
        if (members[i].value.kind != SHAPE_NULL) {
            (*out)[(*count)++] =
                (struct serve_field){members[i].name, plain(&members[i].value, arena)};
        }
    }
    return KOL_OK;
}

const struct serve_field *serve_field(const struct serve_field *fields, size_t count,
                                      const char *name)
{
    const struct str wanted = str_of(name);
    for (size_t i = 0; i < count; i++) {
        if (str_equal(fields[i].name, wanted)) {
            return &fields[i];
        }
    }
    return NULL;
}

/* ---- to JSON ---- */

/* One serve_to_json(). */
struct making {
    serve_schemas *schemas;
    struct arena arena; /* members and texts, until the object is written */
    struct buf *out;
    const char *field; /* the member of the whole object that is being written */
};

static bool is_bounded(const struct http_field *field)
{
    return field->min != 0 || field->max != 0;
}

static bool within(const struct http_field *field, double value)
{
    return !is_bounded(field) || (value >= field->min && value <= field->max);
}

static bool is_choice(const char *choices, struct str word)
{
    return word.len && !memchr(word.ptr, ' ', word.len) && str_has_word(str_of(choices), word);
}

static bool put_int(const struct http_field *field, struct str text, struct buf *out)
{
    int64_t number;
    double real;
    if (!str_to_int64(text, &number)) {
        /* Other programs keep whole numbers as doubles too: 5.0, 1e+16. */
        if (!str_to_double(text, &real) || real != floor(real) || fabs(real) > 0x1p53) {
            return false;
        }
        number = (int64_t)real;
    }
    if (!within(field, (double)number)) {
        return false;
    }
    buf_put_int64(out, number);
    return true;
}

/* Digits, a point and digits, of which none could be left out: it is JSON as it stands. Of more
 * digits than these some might. */
static bool is_written_short(struct str text)
{
    enum { DIGITS_MAX = 15 };
    size_t at = text.len && text.ptr[0] == '-', digits = 0, points = 0;
    const size_t first = at;
    for (; at < text.len; at++) {
        const bool is_digit = text.ptr[at] >= '0' && text.ptr[at] <= '9';
        if (!is_digit && (text.ptr[at] != '.' || points)) {
            return false;
        }
        digits += is_digit;
        points += !is_digit;
    }
    return points && digits <= DIGITS_MAX && text.ptr[first] != '.' &&
           (text.ptr[first] != '0' || text.ptr[first + 1] == '.') &&
           text.ptr[text.len - 1] >= '1' && text.ptr[text.len - 1] <= '9';
}

static bool put_real(const struct http_field *field, struct str text, struct buf *out)
{
    double real;
    const bool as_it_is = is_written_short(text);
    if (as_it_is && !is_bounded(field)) {
        buf_put(out, text);
        return true;
    }
    if (!str_to_double(text, &real) || !within(field, real)) {
        return false;
    }
    if (as_it_is) {
        buf_put(out, text);
    } else {
        buf_put_double(out, real);
    }
    return true;
}

static bool put_date(struct str text, struct buf *out)
{
    int64_t day;
    return clock_parse_day(text, &day) && (text_put_json(out, text), true);
}

static bool put_time(struct str text, struct buf *out)
{
    int64_t time_us;
    if (!clock_parse(text, &time_us)) {
        return false;
    }
    buf_putc(out, '"');
    clock_format(out, time_us);
    buf_putc(out, '"');
    return true;
}

/* Texts, and what is spelled as a text: the value without quotes and escapes. */
static bool put_text(const struct http_field *field, struct str text, struct buf *out)
{
    switch (field->kind) {
    case HTTP_TEXT:
        if (!text_is_utf8(text) ||
            (is_bounded(field) && !within(field, (double)text_length(text)))) {
            return false;
        }
        break;
    case HTTP_CHOICE:
        if (!is_choice(field->choices, text)) {
            return false;
        }
        break;
    case HTTP_DATE: return put_date(text, out);
    case HTTP_TIME: return put_time(text, out);
    default: return false;
    }
    text_put_json(out, text);
    return true;
}

static bool put_bool(struct str text, struct buf *out)
{
    if (!str_is(text, "true") && !str_is(text, "false")) {
        return false;
    }
    buf_put(out, text);
    return true;
}

static bool put_words(struct making *making, const struct http_field *field, struct str list)
{
    struct shape_value value;
    size_t count = 0;
    buf_putc(making->out, '[');
    while (shape_next(&list, &value)) {
        if (value.kind != SHAPE_TEXT) {
            return false;
        }
        const struct str word = shape_text(value.raw, &making->arena);
        if (field->choices && !is_choice(field->choices, word)) {
            return false;
        }
        buf_puts(making->out, count++ ? "," : "");
        text_put_json(making->out, word);
    }
    buf_putc(making->out, ']');
    return within(field, (double)count);
}

static bool put_members(struct making *making, const struct http_schema *schema,
                        const struct shape_member *members, size_t count, bool whole);

static bool put_object(struct making *making, const struct http_schema *schema,
                       const struct shape_value *value)
{
    struct shape_member *members;
    size_t count;
    return value->kind == SHAPE_OBJECT &&
           shape_members(value->raw, SERVE_FIELDS_MAX, &making->arena, &members, &count) &&
           put_members(making, schema, members, count, false);
}

/* The schema of an object's members, or of a list's elements; without one they are free. */
static bool put_part(struct making *making, const struct http_field *field,
                     const struct shape_value *value)
{
    const struct http_schema *schema = field->schema ? making->schemas(field->schema) : NULL;
    KOL_ASSERT(schema || !field->schema);
    if (schema) {
        return put_object(making, schema, value);
    }
    if (field->kind == HTTP_OBJECT && value->kind != SHAPE_OBJECT) {
        return false;
    }
    shape_put(value, &making->arena, making->out);
    return true;
}

static bool put_list(struct making *making, const struct http_field *field, struct str list)
{
    struct shape_value value;
    size_t count = 0;
    buf_putc(making->out, '[');
    while (shape_next(&list, &value)) {
        buf_puts(making->out, count++ ? "," : "");
        if (!put_part(making, field, &value)) {
            return false;
        }
    }
    buf_putc(making->out, ']');
    return within(field, (double)count);
}

/* What stands in a hash as its JSON. A member of any kind may also be a text, which stands there
 * bare: quotes around it are its own. */
static bool put_json(struct making *making, const struct http_field *field,
                     const struct shape_value *given)
{
    struct shape_value value = *given;
    if (given->kind == SHAPE_PLAIN) {
        if (!text_is_utf8(given->raw)) {
            return false;
        }
        const bool is_json = shape_read(given->raw, &value);
        if (field->kind == HTTP_ANY &&
            (!is_json || value.kind == SHAPE_TEXT || value.kind == SHAPE_NULL)) {
            text_put_json(making->out, given->raw);
            return true;
        }
        if (!is_json) {
            return false;
        }
    }
    switch (field->kind) {
    case HTTP_WORDS: return value.kind == SHAPE_LIST && put_words(making, field, value.raw);
    case HTTP_LIST: return value.kind == SHAPE_LIST && put_list(making, field, value.raw);
    default: return put_part(making, field, &value);
    }
}

static bool put_value(struct making *making, const struct http_field *field,
                      const struct shape_value *value)
{
    const bool is_plain = value->kind == SHAPE_PLAIN;
    switch (field->kind) {
    case HTTP_INT:
        return (is_plain || value->kind == SHAPE_NUMBER) && put_int(field, value->raw, making->out);
    case HTTP_REAL:
        return (is_plain || value->kind == SHAPE_NUMBER) &&
               put_real(field, value->raw, making->out);
    case HTTP_BOOL:
        return (is_plain || value->kind == SHAPE_BOOL) && put_bool(value->raw, making->out);
    case HTTP_WORDS:
    case HTTP_OBJECT:
    case HTTP_LIST:
    case HTTP_ANY: return put_json(making, field, value);
    default:
        if (!is_plain && value->kind != SHAPE_TEXT) {
            return false;
        }
        return put_text(field, is_plain ? value->raw : shape_text(value->raw, &making->arena),
                        making->out);
    }
}

/* The member of a name. They mostly stand in the order in which they are asked for, so the search
 * begins behind the one that was found last. */
static const struct shape_member *find(const struct shape_member *members, size_t count,
                                       struct str name, size_t *from)
{
    for (size_t i = 0; i < count; i++) {
        const size_t at = *from + i < count ? *from + i : *from + i - count;
        if (str_equal(members[at].name, name)) {
            *from = at + 1;
            return &members[at];
        }
    }
    return NULL;
}

/* Names of schemas are words: nothing in them is escaped. */
static void put_name(struct str name, bool first, struct buf *out)
{
    buf_puts(out, first ? "\"" : ",\"");
    buf_put(out, name);
    buf_append(out, "\":", 2);
}

/* `whole`: of the object itself, whose fields the message names. */
static bool put_members(struct making *making, const struct http_schema *schema,
                        const struct shape_member *members, size_t count, bool whole)
{
    size_t from = 0;
    bool first = true;
    buf_putc(making->out, '{');
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct http_field *field = &schema->fields[i];
        const struct str name = str_of(field->name);
        const struct shape_member *member = find(members, count, name, &from);
        const bool is_null = !member || member->value.kind == SHAPE_NULL;
        making->field = whole ? field->name : making->field;
        if (is_null && !field->required && (!member || !field->nullable)) {
            if (member) {
                return false; /* it is null, and must not be */
            }
            continue;
        }
        put_name(name, first, making->out);
        first = false;
        if (is_null && field->nullable) {
            buf_put(making->out, STR("null"));
        } else if (is_null || !put_value(making, field, &member->value)) {
            return false;
        }
    }
    buf_putc(making->out, '}');
    return true;
}

enum kol_status serve_to_json(const struct http_schema *schema, serve_schemas *schemas,
                              const struct serve_field *fields, size_t count, struct buf *out,
                              struct kol_error *err)
{
    struct making making = {.schemas = schemas, .out = out, .field = ""};
    const size_t before = out->len;
    arena_init(&making.arena, 4096);
    struct shape_member *members = arena_alloc(&making.arena, count * sizeof *members);
    for (size_t i = 0; i < count; i++) {
        members[i] = (struct shape_member){fields[i].name, {fields[i].value, SHAPE_PLAIN}};
    }
    const bool fine = put_members(&making, schema, members, count, true);
    arena_free(&making.arena);
    if (!fine) {
        if (out->ptr) {
            out->len = before;
            out->ptr[before] = '\0';
        }
        return kol_fail(err, KOL_CORRUPT,
                        "the field `%s` of a %s is missing, or not what it is to be", making.field,
                        schema->name);
    }
    return KOL_OK;
}

/* ---- telling apart ---- */

uint64_t serve_print(const struct serve_field *fields, size_t count)
{
    uint64_t sum = count;
    for (size_t i = 0; i < count; i++) {
        if (!str_is(fields[i].name, "cached_at")) {
            sum += hash_seeded(fields[i].value, hash_checksum(fields[i].name));
        } else {
            sum--;
        }
    }
    return sum ? sum : 1;
}
