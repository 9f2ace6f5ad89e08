/*
 * json_scan.c: the validating scanner behind the event decoder.
 *
 * The text is cut to its last '}' before the scan. That byte is no digit, no white space, no hex
 * digit and no part of a literal, so every loop but the one over a string stops at it without a
 * check for the end; the one place that may step over it is the end of an object, and checks.
 */
#include "domain/json_scan.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "domain/json_bytes.h"

struct scan {
    const char *start, *end; /* end: behind the last '}' */
    int depth_left;          /* arrays and objects that may still be opened */
    const char *fault;       /* what is wrong, once something is */
    const char *fault_at;
};

__attribute__((cold, noinline)) static void note_fault(struct scan *scan, const char *at,
                                                       const char *what)
{
    scan->fault = what;
    scan->fault_at = at;
}

/* Notes what is wrong. NULL, so that a scanning function ends in `return fault(...)`. */
static inline const char *fault(struct scan *scan, const char *at, const char *what)
{
    note_fault(scan, at, what);
    return NULL;
}

/* Steps over white space. Most places have none or the one blank that some writers put there. */
static inline const char *skip_space(const char *at)
{
    if ((unsigned char)*at > ' ') {
        return at;
    }
    if (*at == ' ' && (unsigned char)at[1] > ' ') {
        return at + 1;
    }
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') {
        at++;
    }
    return at;
}

/* Four hex digits as a number, -1 where one is none. Reads no byte behind a wrong one. */
static int hex_quad(const char *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i], low = (char)(c | 0x20);
        if (c >= '0' && c <= '9') {
            value = value * 16 + c - '0';
        } else if (low >= 'a' && low <= 'f') {
            value = value * 16 + low - 'a' + 10;
        } else {
            return -1;
        }
    }
    return value;
}

/* Checks the escape at the backslash `at` and steps over it; a surrogate pair is one escape. */
static const char *scan_escape(struct scan *scan, const char *at)
{
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return at + 2;
    case 'u': break;
    default: return fault(scan, at, "a wrong escape");
    }
    int unit = hex_quad(at + 2);
    if (unit < 0) {
        return fault(scan, at, "a wrong \\u escape");
    }
    if (unit < 0xD800 || unit > 0xDFFF) {
        return at + 6;
    }
    int low = unit < 0xDC00 && at[6] == '\\' && at[7] == 'u' ? hex_quad(at + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF) {
        return fault(scan, at, "half of a surrogate pair");
    }
    return at + 12;
}

/* `at` is behind the opening quote. Returns the closing one. */
static inline const char *scan_string(struct scan *scan, const char *at, bool *escaped)
{
    *escaped = false;
    for (;;) {
        at = json_find_special(at, scan->start, scan->end);
        if (at == scan->end) {
            return fault(scan, at, "a string without its end");
        }
        if (*at == '"') {
            return at;
        }
        if (*at != '\\') {
            return fault(scan, at, "a control character in a string");
        }
        *escaped = true;
        at = scan_escape(scan, at);
        if (!at) {
            return NULL;
        }
    }
}

static inline bool is_digit(char c)
{
    return (unsigned char)c - (unsigned)'0' < 10;
}

/* The part of a number behind its integer: fraction and exponent. */
static const char *scan_fraction(struct scan *scan, const char *at)
{
    if (*at == '.') {
        at++;
        if (!is_digit(*at)) {
            return fault(scan, at, "a number without digits behind the point");
        }
        while (is_digit(*at)) {
            at++;
        }
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        if (!is_digit(*at)) {
            return fault(scan, at, "a number without digits in its exponent");
        }
        while (is_digit(*at)) {
            at++;
        }
    }
    return at;
}

/* The digits of an integer; its value wraps around where it is long: nobody asks then. */
static inline const char *scan_digits(const struct scan *scan, const char *at, uint64_t *value)
{
    *value = 0;
    if (scan->end - at >= 8) {
        unsigned count = json_digits(at, value);
        at += count;
        if (count < 8) {
            return at;
        }
    }
    for (; is_digit(*at); at++) {
        *value = *value * 10 + ((unsigned char)*at - (unsigned)'0');
    }
    return at;
}

static inline const char *scan_number(struct scan *scan, const char *at, struct json_token *token)
{
    bool negative = *at == '-';
    uint64_t value;
    const char *first = at + negative;
    at = scan_digits(scan, first, &value);
    if (at == first) {
        return fault(scan, at, negative ? "a minus without a number" : "no value");
    }
    if (*first == '0' && at > first + 1) {
        return fault(scan, first, "a number with a zero in front");
    }
    token->kind = JSON_INTEGER;
    token->value = (int64_t)(negative ? 0 - value : value);
    if (*at == '.' || *at == 'e' || *at == 'E') {
        token->kind = JSON_REAL;
        at = scan_fraction(scan, at);
    }
    return at;
}

/* One of true, false and null. */
static inline const char *scan_word(struct scan *scan, const char *at, struct json_token *token)
{
    if (at[0] == 't' && at[1] == 'r' && at[2] == 'u' && at[3] == 'e') {
        token->kind = JSON_TRUE;
        return at + 4;
    }
    if (at[0] == 'f' && at[1] == 'a' && at[2] == 'l' && at[3] == 's' && at[4] == 'e') {
        token->kind = JSON_FALSE;
        return at + 5;
    }
    if (at[0] == 'n' && at[1] == 'u' && at[2] == 'l' && at[3] == 'l') {
        token->kind = JSON_NULL;
        return at + 4;
    }
    return fault(scan, at, "a word that is not true, false or null");
}

static const char *skip_nested(struct scan *scan, const char *at, int64_t *items);

/* Scans the value at `at`, notes it in `token` and steps behind it. Inlined by force, because the
 * compiler hesitates where skip_nested() comes back to it. */
__attribute__((always_inline)) static inline const char *
scan_value(struct scan *scan, const char *at, struct json_token *token)
{
    token->ptr = at;
    if (*at == '"') {
        token->ptr = at + 1;
        token->kind = JSON_STRING;
        at = scan_string(scan, at + 1, &token->escaped);
        if (!at) {
            return NULL;
        }
        token->len = (uint32_t)(at - token->ptr);
        return at + 1;
    }
    if (*at == '{' || *at == '[') {
        token->kind = *at == '{' ? JSON_OBJECT : JSON_ARRAY;
        at = skip_nested(scan, at, &token->value);
    } else if (*at == 't' || *at == 'f' || *at == 'n') {
        at = scan_word(scan, at, token);
    } else {
        at = scan_number(scan, at, token);
    }
    token->len = at ? (uint32_t)(at - token->ptr) : 0;
    return at;
}

/* The colon behind a key, and white space. */
static inline const char *scan_colon(struct scan *scan, const char *at)
{
    if (*at != ':') {
        at = skip_space(at);
        if (*at != ':') {
            return fault(scan, at, "no colon behind a key");
        }
    }
    return skip_space(at + 1);
}

/* `at` is where a key must stand. Returns where its value begins. */
static inline const char *scan_key(struct scan *scan, const char *at, struct json_token *key)
{
    if (*at != '"') {
        return fault(scan, at, "no key in quotes");
    }
    key->ptr = at + 1;
    at = scan_string(scan, at + 1, &key->escaped);
    if (!at) {
        return NULL;
    }
    key->len = (uint32_t)(at - key->ptr);
    return scan_colon(scan, at + 1);
}

/* Validates the array or object at `at`, counts what is in it and steps over it. */
__attribute__((noinline)) static const char *skip_nested(struct scan *scan, const char *at,
                                                         int64_t *items)
{
    struct json_token ignored;
    char close = *at == '{' ? '}' : ']';
    if (scan->depth_left-- == 0) {
        return fault(scan, at, "too many levels of arrays and objects");
    }
    *items = 0;
    at = skip_space(at + 1);
    while (*at != close) {
        at = close == '}' ? scan_key(scan, at, &ignored) : at;
        at = at ? scan_value(scan, at, &ignored) : NULL;
        if (!at) {
            return NULL;
        }
        ++*items;
        at = skip_space(at);
        if (*at == ',') {
            at = skip_space(at + 1);
            if (*at == close) {
                return fault(scan, at, "a comma with nothing behind it");
            }
        } else if (*at != close) {
            return fault(scan, at, "no comma between two values");
        }
    }
    scan->depth_left++;
    return at + 1 < scan->end ? at + 1 : fault(scan, at, "an object without its end");
}

static inline size_t slot_of(const struct json_names *names, const uint64_t words[3])
{
    return (words[0] * names->multiplier[0] + words[1] * names->multiplier[1] +
            words[2] * names->multiplier[2]) >>
           55;
}

_Static_assert(JSON_SLOTS == 512, "slot_of() takes the top nine bits");

/* The id of the name, JSON_NAMES_MAX where it is unknown. A key of zeros is like no name. */
static inline unsigned look_up(const struct json_names *names, const uint64_t words[3])
{
    unsigned id = names->slots[slot_of(names, words)];
    const uint64_t *name = names->words[id];
    uint64_t differs = (name[0] ^ words[0]) | (name[1] ^ words[1]) | (name[2] ^ words[2]);
    return differs ? JSON_NAMES_MAX : id;
}

static char *unescape(const char *at, const char *end, char *to);

/* A key with escapes, or so near the end that JSON_NAME_BYTES from its start on may not be read. */
__attribute__((noinline)) static unsigned look_up_copy(const struct json_names *names,
                                                       const struct json_token *key)
{
    char copy[JSON_NAME_BYTES * 6] = {0}; /* an escape has up to 6 bytes for one */
    if (key->len > sizeof copy) {
        return JSON_NAMES_MAX;
    }
    size_t len = (size_t)(unescape(key->ptr, key->ptr + key->len, copy) - copy);
    if (len > JSON_NAME_BYTES || memchr(copy, '\0', len)) {
        return JSON_NAMES_MAX;
    }
    uint64_t words[3] = {json_load64(copy), json_load64(copy + 8), json_load64(copy + 16)};
    return look_up(names, words);
}

static inline unsigned look_up_key(const struct scan *scan, const struct json_names *names,
                                   const struct json_token *key)
{
    const char *at = key->ptr;
    unsigned len = key->len;
    if (key->escaped || scan->end - at < JSON_NAME_BYTES || len < 16) {
        return look_up_copy(names, key);
    }
    if (len > JSON_NAME_BYTES) {
        return JSON_NAMES_MAX;
    }
    uint64_t words[3] = {json_load64(at), json_load64(at + 8),
                         json_low_bytes(json_load64(at + 16), len - 16)};
    return look_up(names, words);
}

/* As scan_key(), with the id of the name. Most keys are short, plain and followed by sixteen bytes.
 */
static inline const char *scan_name(struct scan *scan, const struct json_names *names,
                                    const char *at, unsigned *id)
{
    if (*at == '"' && scan->end - at > 16) {
        uint64_t words[3] = {0, 0, 0};
        int len = json_short_key(at + 1, words);
        if (len >= 0) {
            *id = look_up(names, words);
            return scan_colon(scan, at + len + 2);
        }
    }
    struct json_token key;
    at = scan_key(scan, at, &key);
    *id = at ? look_up_key(scan, names, &key) : JSON_NAMES_MAX;
    return at;
}

/* The members of the top-level object; NULL, with the fault noted, if something is wrong. */
static const char *scan_members(struct scan *scan, const struct json_names *names,
                                struct json_object *out)
{
    const char *at = skip_space(scan->start + 1);
    while (*at != '}') {
        unsigned id;
        at = scan_name(scan, names, at, &id);
        struct json_token *token = &out->tokens[id];
        at = at ? scan_value(scan, at, token) : NULL;
        if (!at) {
            return NULL;
        }
        uint64_t bit = UINT64_C(1) << (id % 64);
        uint64_t *given = &out->given[id / 64];
        *given = token->kind == JSON_NULL ? *given & ~bit : *given | bit;
        at = skip_space(at);
        if (*at == ',') {
            at = skip_space(at + 1);
            if (*at != '"') {
                return fault(scan, at, "a comma with no key behind it");
            }
        } else if (*at != '}') {
            return fault(scan, at, "no comma between two values");
        }
    }
    return at + 1 == scan->end ? at : fault(scan, at + 1, "more text behind the object");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

enum kol_status json_scan_object(struct str json, const struct json_names *names, int max_depth,
                                 struct json_object *out, struct kol_error *err)
{
    struct scan scan = {json.ptr, json.ptr + json.len, max_depth - 1, NULL, NULL};
    KOL_ASSERT(json.len < UINT32_MAX);
    while (scan.start < scan.end && is_space(scan.start[0])) {
        scan.start++;
    }
    while (scan.start < scan.end && is_space(scan.end[-1])) {
        scan.end--;
    }
    if (scan.end - scan.start < 2 || scan.start[0] != '{' || scan.end[-1] != '}') {
        return kol_fail(err, KOL_INVALID, "not a JSON object");
    }
    if (!text_is_utf8((struct str){scan.start, (size_t)(scan.end - scan.start)})) {
        return kol_fail(err, KOL_INVALID, "not UTF-8");
    }
    memset(out->given, 0, sizeof out->given);
    if (!scan_members(&scan, names, out)) {
        return kol_fail(err, KOL_INVALID, "not JSON: %s at byte %zu", scan.fault,
                        (size_t)(scan.fault_at - json.ptr));
    }
    return KOL_OK;
}

static char *put_utf8(char *to, unsigned point)
{
    if (point < 0x80) {
        *to++ = (char)point;
    } else if (point < 0x800) {
        *to++ = (char)(0xC0 | point >> 6);
        *to++ = (char)(0x80 | (point & 63));
    } else if (point < 0x10000) {
        *to++ = (char)(0xE0 | point >> 12);
        *to++ = (char)(0x80 | (point >> 6 & 63));
        *to++ = (char)(0x80 | (point & 63));
    } else {
        *to++ = (char)(0xF0 | point >> 18);
        *to++ = (char)(0x80 | (point >> 12 & 63));
        *to++ = (char)(0x80 | (point >> 6 & 63));
        *to++ = (char)(0x80 | (point & 63));
    }
    return to;
}

/* Writes what the escape at the backslash `*at` stands for and steps over it. */
static char *unescape_one(const char **at, char *to)
{
    static const char meanings[] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    char letter = (*at)[1];
    if (letter != 'u') {
        *at += 2;
        *to++ = meanings[(unsigned char)letter];
        return to;
    }
    unsigned point = (unsigned)hex_quad(*at + 2);
    *at += 6;
    if (point >= 0xD800 && point <= 0xDBFF) {
        point = 0x10000 + ((point - 0xD800) << 10) + ((unsigned)hex_quad(*at + 2) - 0xDC00);
        *at += 6;
    }
    return put_utf8(to, point);
}

/* Writes the text of a validated string; it is never longer than its source. Returns its end. */
static char *unescape(const char *at, const char *end, char *to)
{
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((backslash ? backslash : end) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (backslash) {
            to = unescape_one(&at, to);
        }
    }
    return to;
}

struct str json_text(const struct json_token *token, struct arena *arena)
{
    if (!token->escaped) {
        return (struct str){token->ptr, token->len};
    }
    char *text = arena_alloc(arena, token->len);
    char *end = unescape(token->ptr, token->ptr + token->len, text);
    return (struct str){text, (size_t)(end - text)};
}

bool json_next_item(const struct json_token *array, const char **at, struct json_token *item)
{
    struct scan scan = {array->ptr, array->ptr + array->len, INT32_MAX, NULL, NULL};
    /* At the start that steps over '[', later over the comma. */
    *at = skip_space(*at);
    if (*at == scan.end - 1) {
        return false;
    }
    *at = skip_space(*at + 1);
    if (*at == scan.end - 1) {
        return false;
    }
    *at = scan_value(&scan, *at, item);
    KOL_ASSERT(*at);
    return true;
}

const char *json_kind_text(const struct json_token *token)
{
    static const char *const texts[] = {
        [JSON_NULL] = "null",        [JSON_TRUE] = "a boolean",   [JSON_FALSE] = "a boolean",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",    [JSON_STRING] = "a string",
        [JSON_ARRAY] = "an array",   [JSON_OBJECT] = "an object",
    };
    return texts[token->kind];
}

int json_names_add(struct json_names *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (str_is(name, names->texts[i])) {
            return (int)i;
        }
    }
    KOL_ASSERT(names->count < JSON_NAMES_MAX && name.len && name.len <= JSON_NAME_BYTES);
    char *text = names->texts[names->count];
    memcpy(text, name.ptr, name.len);
    for (size_t word = 0; word < ARRAY_LEN(names->words[0]); word++) {
        names->words[names->count][word] = json_load64(text + word * 8);
    }
    return (int)names->count++;
}

/* Fills the slots under the present multipliers; false if two names want the same one. */
static bool fill_slots(struct json_names *names)
{
    memset(names->slots, JSON_NAMES_MAX, sizeof names->slots);
    for (size_t i = 0; i < names->count; i++) {
        uint8_t *slot = &names->slots[slot_of(names, names->words[i])];
        if (*slot != JSON_NAMES_MAX) {
            return false;
        }
        *slot = (uint8_t)i;
    }
    return true;
}

void json_names_seal(struct json_names *names)
{
    uint64_t seed = 0;
    for (int tries = 0; tries < 1000000; tries++) {
        for (size_t i = 0; i < ARRAY_LEN(names->multiplier); i++) {
            seed += UINT64_C(0x9E3779B97F4A7C15);
            uint64_t mixed = (seed ^ seed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
            names->multiplier[i] = (mixed ^ mixed >> 27) | 1;
        }
        if (fill_slots(names)) {
            return;
        }
    }
    kol_panic("no hash tells %zu names apart", names->count);
}
