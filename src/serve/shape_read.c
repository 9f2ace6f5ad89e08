/*
 * shape_read.c: the grammar of JSON over a text in memory.
 *
 * A value is checked whole the moment that it is met; what walks through it afterwards may rely on
 * that. The values of the cache are small, and most of their members go where they go as they
 * stand, so that no tree is worth its making.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "serve/shape_parts.h"

/* Longest number; what is longer says nothing that a double could hold. */
enum { NUMBER_MAX = 400 };

struct scan {
    const char *at, *end;
    int depth;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && is_space(*scan->at)) {
        scan->at++;
    }
}

static bool take(struct scan *scan, char c)
{
    if (scan->at < scan->end && *scan->at == c) {
        scan->at++;
        return true;
    }
    return false;
}

static bool take_word(struct scan *scan, struct str word)
{
    const struct str rest = {scan->at, (size_t)(scan->end - scan->at)};
    if (!str_starts(rest, word)) {
        return false;
    }
    scan->at += word.len;
    return true;
}

/* ---- texts ---- */

/* The unit of \uXXXX whose digits begin at `at`; -1: they are none. */
static int read_unit(const char *at, const char *end)
{
    int unit = 0;
    if (end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        const int digit = text_hex_digit(at[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Behind a backslash. A pair of surrogates is one escape. */
static bool take_escape(struct scan *scan)
{
    const char c = *scan->at++;
    if (c != 'u') {
        return c != '\0' && strchr("\"\\/bfnrt", c);
    }
    const int unit = read_unit(scan->at, scan->end);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return false;
    }
    scan->at += 4;
    if (unit < 0xd800 || unit > 0xdbff) {
        return true;
    }
    if (!take(scan, '\\') || !take(scan, 'u')) {
        return false;
    }
    const int low = read_unit(scan->at, scan->end);
    if (low < 0xdc00 || low > 0xdfff) {
        return false;
    }
    scan->at += 4;
    return true;
}

static bool take_text(struct scan *scan)
{
    if (!take(scan, '"')) {
        return false;
    }
    while (scan->at < scan->end && (unsigned char)*scan->at >= 0x20) {
        const char c = *scan->at++;
        if (c == '"') {
            return true;
        }
        if (c == '\\' && (scan->at == scan->end || !take_escape(scan))) {
            return false;
        }
    }
    return false;
}

/* Writes a code point as UTF-8; returns how many bytes. */
static size_t put_point(char *out, unsigned point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* What the escape behind a backslash at `*at` stands for; moves behind it. */
static unsigned escaped(const char **at, const char *end)
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    const char c = *(*at)++;
    if (c != 'u') {
        const char *letter = strchr(letters, c);
        return (unsigned char)(letter ? meanings[letter - letters] : c);
    }
    const unsigned unit = (unsigned)read_unit(*at, end);
    *at += 4;
    if (unit < 0xd800 || unit > 0xdbff) {
        return unit;
    }
    const unsigned low = (unsigned)read_unit(*at + 2, end);
    *at += 6;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

struct str shape_text(struct str raw, struct arena *arena)
{
    const char *at = raw.ptr + 1, *end = raw.ptr + raw.len - 1;
    const struct str inner = {at, (size_t)(end - at)};
    if (!inner.len || !memchr(at, '\\', inner.len)) {
        return inner;
    }
    char *text = arena_alloc(arena, inner.len); /* no escape is shorter than what it stands for */
    size_t len = 0;
    while (at < end) {
        if (*at == '\\') {
            at++;
            len += put_point(text + len, escaped(&at, end));
        } else {
            text[len++] = *at++;
        }
    }
    return (struct str){text, len};
}

/* ---- numbers ---- */

static bool take_digits(struct scan *scan)
{
    const char *from = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        scan->at++;
    }
    return scan->at > from;
}

static bool take_number(struct scan *scan)
{
    const char *from = scan->at;
    double value;
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan)) {
        return false;
    }
    if (take(scan, '.') && !take_digits(scan)) {
        return false;
    }
    const bool powered = take(scan, 'e') || take(scan, 'E');
    if (powered) {
        if (!take(scan, '-')) {
            take(scan, '+');
        }
        if (!take_digits(scan)) {
            return false;
        }
    }
    const struct str number = {from, (size_t)(scan->at - from)};
    if (powered || number.len > 300) { /* nothing else leads beyond doubles */
        return number.len <= NUMBER_MAX && str_to_double(number, &value);
    }
    return true;
}

bool shape_is_whole(struct str raw)
{
    return !memchr(raw.ptr, '.', raw.len) && !memchr(raw.ptr, 'e', raw.len) &&
           !memchr(raw.ptr, 'E', raw.len);
}

void shape_put_number(struct str raw, struct buf *out)
{
    double value;
    if (shape_is_whole(raw) || !str_to_double(raw, &value)) {
        buf_put(out, raw); /* exact as it is, beyond 2^53 too */
    } else {
        buf_put_double(out, value);
    }
}

/* ---- values ---- */

static bool take_value(struct scan *scan, struct shape_value *out);

static bool take_elements(struct scan *scan)
{
    struct shape_value value;
    skip_space(scan);
    if (take(scan, ']')) {
        return true;
    }
    do {
        if (!take_value(scan, &value)) {
            return false;
        }
        skip_space(scan);
    } while (take(scan, ','));
    return take(scan, ']');
}

/* A name and its value. */
static bool take_member(struct scan *scan, struct str *name, struct shape_value *value)
{
    skip_space(scan);
    name->ptr = scan->at;
    if (!take_text(scan)) {
        return false;
    }
    name->len = (size_t)(scan->at - name->ptr);
    skip_space(scan);
    return take(scan, ':') && take_value(scan, value);
}

static bool take_members(struct scan *scan)
{
    struct str name;
    struct shape_value value;
    skip_space(scan);
    if (take(scan, '}')) {
        return true;
    }
    do {
        if (!take_member(scan, &name, &value)) {
            return false;
        }
        skip_space(scan);
    } while (take(scan, ','));
    return take(scan, '}');
}

static bool take_parts(struct scan *scan, bool (*take_them)(struct scan *scan))
{
    scan->at++;
    scan->depth++;
    const bool fine = scan->depth <= SHAPE_DEPTH && take_them(scan);
    scan->depth--;
    return fine;
}

static enum shape_kind kind_of(char c)
{
    switch (c) {
    case '{': return SHAPE_OBJECT;
    case '[': return SHAPE_LIST;
    case '"': return SHAPE_TEXT;
    case 'n': return SHAPE_NULL;
    case 't':
    case 'f': return SHAPE_BOOL;
    default: return SHAPE_NUMBER;
    }
}

static bool take_value(struct scan *scan, struct shape_value *out)
{
    skip_space(scan);
    if (scan->at == scan->end) {
        return false;
    }
    const char *from = scan->at;
    bool fine = false;
    out->kind = kind_of(*from);
    switch (out->kind) {
    case SHAPE_OBJECT: fine = take_parts(scan, take_members); break;
    case SHAPE_LIST: fine = take_parts(scan, take_elements); break;
    case SHAPE_TEXT: fine = take_text(scan); break;
    case SHAPE_NULL: fine = take_word(scan, STR("null")); break;
    case SHAPE_BOOL: fine = take_word(scan, *from == 't' ? STR("true") : STR("false")); break;
    default: fine = take_number(scan);
    }
    out->raw = (struct str){from, (size_t)(scan->at - from)};
    return fine;
}

bool shape_read(struct str text, struct shape_value *out)
{
    struct scan scan = {text.ptr, text.ptr + text.len, 0};
    if (!text.len || !take_value(&scan, out)) {
        return false;
    }
    skip_space(&scan);
    return scan.at == scan.end;
}

/* ---- parts ---- */

static bool is_among(struct str name, const struct shape_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(members[i].name, name)) {
            return true;
        }
    }
    return false;
}

bool shape_members(struct str object, size_t max, struct arena *arena, struct shape_member **out,
                   size_t *count)
{
    struct scan scan = {object.ptr + 1, object.ptr + object.len, 0};
    size_t room = 32;
    *out = arena_alloc(arena, room * sizeof **out);
    *count = 0;
    skip_space(&scan);
    if (take(&scan, '}')) {
        return true;
    }
    do {
        struct shape_member member;
        KOL_ASSERT(take_member(&scan, &member.name, &member.value));
        member.name = shape_text(member.name, arena);
        if (*count == max || is_among(member.name, *out, *count)) {
            return false;
        }
        if (*count == room) {
            struct shape_member *more = arena_alloc(arena, 2 * room * sizeof *more);
            memcpy(more, *out, room * sizeof *more);
            room *= 2;
            *out = more;
        }
        (*out)[(*count)++] = member;
        skip_space(&scan);
    } while (take(&scan, ','));
    return true;
}

bool shape_next(struct str *rest, struct shape_value *out)
{
    struct scan scan = {rest->ptr, rest->ptr + rest->len, 0};
    KOL_ASSERT(rest->len);
    if (*scan.at != ']') {
        scan.at++; /* the bracket, or the comma behind the element before */
        skip_space(&scan);
    }
    if (*scan.at == ']') {
        return false;
    }
    KOL_ASSERT(take_value(&scan, out));
    skip_space(&scan);
    *rest = (struct str){scan.at, (size_t)(scan.end - scan.at)};
    return true;
}

/* ---- writing ---- */

static void put_object(struct str raw, struct arena *arena, struct buf *out)
{
    struct scan scan = {raw.ptr + 1, raw.ptr + raw.len, 0};
    buf_putc(out, '{');
    skip_space(&scan);
    if (!take(&scan, '}')) {
        bool first = true;
        do {
            struct str name;
            struct shape_value value;
            KOL_ASSERT(take_member(&scan, &name, &value));
            buf_puts(out, first ? "" : ",");
            text_put_json(out, shape_text(name, arena));
            buf_putc(out, ':');
            shape_put(&value, arena, out);
            skip_space(&scan);
            first = false;
        } while (take(&scan, ','));
    }
    buf_putc(out, '}');
}

static void put_list(struct str raw, struct arena *arena, struct buf *out)
{
    struct shape_value value;
    bool first = true;
    buf_putc(out, '[');
    while (shape_next(&raw, &value)) {
        buf_puts(out, first ? "" : ",");
        shape_put(&value, arena, out);
        first = false;
    }
    buf_putc(out, ']');
}

void shape_put(const struct shape_value *value, struct arena *arena, struct buf *out)
{
    switch (value->kind) {
    case SHAPE_OBJECT: put_object(value->raw, arena, out); break;
    case SHAPE_LIST: put_list(value->raw, arena, out); break;
    case SHAPE_TEXT: text_put_json(out, shape_text(value->raw, arena)); break;
    case SHAPE_NUMBER: shape_put_number(value->raw, out); break;
    default: buf_put(out, value->raw);
    }
}
