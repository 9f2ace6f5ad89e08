/*
 * json_value.c: the reader behind json_value.h: one step down for each list and object.
 *
 * A byte that is not there reads as NUL, which stands nowhere in JSON: so no place but the end of a
 * text and of the whole asks whether the input is over.
 */
#include "base/json_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct reader {
    const char *at, *end;
    struct json_bounds bounds; /* `depth` counts down */
    uint32_t values;
    struct arena *arena;
};

static bool read_value(struct reader *reader, struct json_value *out);

static inline char peek(const struct reader *reader)
{
    return reader->at < reader->end ? *reader->at : '\0';
}

static inline void skip_space(struct reader *reader)
{
    for (char c = peek(reader); c == ' ' || c == '\n' || c == '\t' || c == '\r'; c = peek(reader)) {
        reader->at++;
    }
}

static inline bool take(struct reader *reader, char c)
{
    const bool there = peek(reader) == c;
    reader->at += there;
    return there;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- texts ---- */

/* What four hexadecimal digits stand for; below 0: they are none. */
static int hex_quad(const char *at, const char *end)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = at + i < end ? text_hex_digit(at[i]) : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static char *put_point(char *out, unsigned point)
{
    if (point < 0x80) {
        *out++ = (char)point;
        return out;
    }
    if (point < 0x800) {
        *out++ = (char)(0xC0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *out++ = (char)(0xE0 | point >> 12);
        } else {
            *out++ = (char)(0xF0 | point >> 18);
            *out++ = (char)(0x80 | (point >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (point >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (point & 0x3F));
    return out;
}

/* The character of an escape \uXXXX, or of two that are a pair; `*at` is behind the 'u'. Below 0:
 * it is none, a NUL, or half a pair. */
static int unicode_escape(const char **at, const char *end)
{
    const int unit = hex_quad(*at, end);
    if (unit <= 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) {
        return -1;
    }
    *at += 4;
    if (unit < 0xD800 || unit > 0xDBFF) {
        return unit;
    }
    if (end - *at < 2 || (*at)[0] != '\\' || (*at)[1] != 'u') {
        return -1;
    }
    const int low = hex_quad(*at + 2, end);
    if (low < 0xDC00 || low > 0xDFFF) {
        return -1;
    }
    *at += 6;
    return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

/* Replaces the escapes of what stands between two quotes. No escape is shorter than its
 * character. */
static bool unescape(struct str raw, struct arena *arena, struct str *out)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *text = arena_alloc(arena, raw.len), *to = text;
    const char *end = raw.ptr + raw.len;
    for (const char *at = raw.ptr; at < end;) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        /* The quote that ends the text is not escaped: so something follows a backslash. */
        const char letter = at[1];
        at += 2;
        const char *known = memchr(letters, letter, sizeof letters - 1);
        if (known) {
            *to++ = meant[known - letters];
            continue;
        }
        const int point = letter == 'u' ? unicode_escape(&at, end) : -1;
        if (point < 0) {
            return false;
        }
        to = put_point(to, (unsigned)point);
    }
    *out = (struct str){text, (size_t)(to - text)};
    return true;
}

/* Behind the first quote. */
static bool read_text(struct reader *reader, struct str *out)
{
    const char *start = reader->at, *at = start, *end = reader->end;
    bool escaped = false;
    unsigned char all = 0; /* the bits of all bytes */
    for (; at < end && *at != '"'; at++) {
        const unsigned char c = (unsigned char)*at;
        all |= c;
        if (c < 0x20) {
            return false;
        }
        if (c == '\\') {
            escaped = true;
            at += at + 1 < end && (unsigned char)at[1] >= 0x20 && (unsigned char)at[1] < 0x80;
        }
    }
    if (at == end) {
        return false;
    }
    *out = (struct str){start, (size_t)(at - start)};
    reader->at = at + 1;
    return (all < 0x80 || text_is_utf8(*out)) && (!escaped || unescape(*out, reader->arena, out));
}

/* ---- numbers ---- */

static bool skip_digits(struct reader *reader)
{
    const char *start = reader->at;
    while (is_digit(peek(reader))) {
        reader->at++;
    }
    return reader->at > start;
}

/* A real number as long as it likes. */
static bool read_real(struct str text, struct arena *arena, double *out)
{
    if (str_to_double(text, out)) {
        return true;
    }
    *out = strtod(arena_copy(arena, text).ptr, NULL);
    return isfinite(*out);
}

static bool read_number(struct reader *reader, struct json_value *out)
{
    const char *start = reader->at;
    bool whole = true;
    take(reader, '-');
    if (!take(reader, '0') && !skip_digits(reader)) {
        return false;
    }
    if (take(reader, '.')) {
        whole = false;
        if (!skip_digits(reader)) {
            return false;
        }
    }
    if (take(reader, 'e') || take(reader, 'E')) {
        whole = false;
        if (!take(reader, '-')) {
            take(reader, '+');
        }
        if (!skip_digits(reader)) {
            return false;
        }
    }
    const struct str text = {start, (size_t)(reader->at - start)};
    out->kind = whole ? VALUE_INT : VALUE_REAL;
    return whole ? str_to_int64(text, &out->integer) : read_real(text, reader->arena, &out->real);
}

/* ---- lists and objects ---- */

static int by_name(const void *left, const void *right)
{
    const struct json_value *const *a = left, *const *b = right;
    return str_compare((*a)->name, (*b)->name);
}

/* For objects of many members, whatever their names are. */
static bool sorted_has_twice(const struct json_value *object, struct arena *arena)
{
    const struct json_value **members = arena_alloc(arena, object->count * sizeof *members);
    size_t count = 0;
    for (const struct json_value *member = object->first; member; member = member->next) {
        members[count++] = member;
    }
    qsort(members, count, sizeof *members, by_name);
    for (size_t i = 1; i < count; i++) {
        if (str_equal(members[i - 1]->name, members[i]->name)) {
            return true;
        }
    }
    return false;
}

static bool is_named(const struct json_value *member, struct str name)
{
    return member->name.len == name.len && memcmp(member->name.ptr, name.ptr, name.len) == 0;
}

/* `end` where none before it has the name. */
static struct json_value *find(struct json_value *first, const struct json_value *end,
                               struct str name)
{
    while (first != end && !is_named(first, name)) {
        first = first->next;
    }
    return first;
}

/* A name that stands twice. Few names are told apart by a bit of their length and ends; only those
 * that share one are compared. */
static bool has_twice(const struct json_value *object, struct arena *arena)
{
    enum { FEW = 32 };
    uint64_t seen = 0;
    if (object->count > FEW) {
        return sorted_has_twice(object, arena);
    }
    for (const struct json_value *member = object->first; member; member = member->next) {
        const struct str name = member->name;
        const unsigned ends =
            name.len ? (unsigned char)name.ptr[0] + (unsigned char)name.ptr[name.len - 1] * 7u : 0;
        const uint64_t bit = UINT64_C(1) << ((ends + name.len * 13) % 64);
        if ((seen & bit) && find(object->first, member, name) != member) {
            return true;
        }
        seen |= bit;
    }
    return false;
}

/* "name": of a member. */
static bool read_name(struct reader *reader, struct json_value *member)
{
    if (!take(reader, '"') || !read_text(reader, &member->name)) {
        return false;
    }
    skip_space(reader);
    return take(reader, ':');
}

/* Behind the bracket that opens: elements or, with names, members. */
static bool read_parts(struct reader *reader, struct json_value *out, char closing)
{
    struct json_value **behind = &out->first;
    out->first = NULL;
    skip_space(reader);
    if (take(reader, closing)) {
        return true;
    }
    do {
        skip_space(reader);
        struct json_value *part = arena_alloc(reader->arena, sizeof *part);
        *part = (struct json_value){0};
        if ((closing == '}' && !read_name(reader, part)) || !read_value(reader, part)) {
            return false;
        }
        *behind = part;
        behind = &part->next;
        out->count++;
        skip_space(reader);
        if (take(reader, closing)) {
            return true;
        }
    } while (take(reader, ',') && ++reader->values <= reader->bounds.values);
    return false;
}

static bool read_nested(struct reader *reader, struct json_value *out, char closing)
{
    if (!reader->bounds.depth) {
        return false;
    }
    reader->bounds.depth--;
    reader->values++;
    out->kind = closing == '}' ? VALUE_OBJECT : VALUE_LIST;
    const bool fine = read_parts(reader, out, closing) &&
                      (out->kind == VALUE_LIST || !has_twice(out, reader->arena));
    reader->bounds.depth++;
    return fine;
}

/* ---- values ---- */

static bool take_word(struct reader *reader, struct str word)
{
    if ((size_t)(reader->end - reader->at) < word.len ||
        memcmp(reader->at, word.ptr, word.len) != 0) {
        return false;
    }
    reader->at += word.len;
    return true;
}

static bool read_value(struct reader *reader, struct json_value *out)
{
    skip_space(reader);
    switch (peek(reader)) {
    case '"':
        reader->at++;
        out->kind = VALUE_TEXT;
        return read_text(reader, &out->text);
    case '{': reader->at++; return read_nested(reader, out, '}');
    case '[': reader->at++; return read_nested(reader, out, ']');
    case 't':
    case 'f':
        out->kind = VALUE_BOOL;
        out->truth = *reader->at == 't';
        return take_word(reader, out->truth ? STR("true") : STR("false"));
    case 'n': return take_word(reader, STR("null"));
    default: return read_number(reader, out);
    }
}

struct json_value *json_value_read(struct str text, struct json_bounds bounds, struct arena *arena)
{
    const char *start = text.len ? text.ptr : "";
    struct reader reader = {.at = start, .end = start + text.len, .bounds = bounds, .arena = arena};
    struct json_value *root = arena_alloc(arena, sizeof *root);
    *root = (struct json_value){0};
    if (!read_value(&reader, root)) {
        return NULL;
    }
    skip_space(&reader);
    return reader.at == reader.end ? root : NULL;
}

/* ---- asking ---- */

struct json_value *json_value_find(const struct json_value *object, struct str name,
                                   struct json_value *guess)
{
    return guess && is_named(guess, name) ? guess : find(object->first, NULL, name);
}

const struct json_value *json_value_get(const struct json_value *object, const char *name)
{
    return object && object->kind == VALUE_OBJECT ? find(object->first, NULL, str_of(name)) : NULL;
}

struct str json_value_text(const struct json_value *value)
{
    return value && value->kind == VALUE_TEXT ? value->text : (struct str){0};
}

bool json_value_number(const struct json_value *value, double *out)
{
    if (!value || (value->kind != VALUE_INT && value->kind != VALUE_REAL)) {
        return false;
    }
    *out = value->kind == VALUE_INT ? (double)value->integer : value->real;
    return true;
}
