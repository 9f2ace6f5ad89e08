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

enum {
    JSON_WIDE = 16, /* bytes that are looked at together at most */
    KEY_WIDE = 24,  /* of a name with its closing quote */
};

struct scan {
    const char *start, *end; /* end: behind the last '}' */
    const char *last_step;   /* from here and before JSON_WIDE bytes may be read */
    const char *last_key;    /* before here KEY_WIDE bytes may be read behind the next one */
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

/* Four hex digits as a number, negative where one is none. */
static int hex_quad(const char *at)
{
    static const int8_t values[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    };
    int value = 0, wrong = 0;
    for (int i = 0; i < 4; i++) {
        int digit = values[(unsigned char)at[i]] - 1;
        wrong |= digit;
        value = value * 16 + digit;
    }
    return wrong < 0 ? -1 : value;
}

/* Checks the escape at the backslash `at` and steps over it; a surrogate pair is one escape. */
static inline const char *scan_escape(struct scan *scan, const char *at)
{
    static const bool letters[256] = {['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                                      ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true};
    if (letters[(unsigned char)at[1]]) {
        return at + 2;
    }
    int unit = at[1] == 'u' && scan->end - at >= 6 ? hex_quad(at + 2) : -1;
    if (unit < 0) {
        return fault(scan, at, "a wrong escape");
    }
    if (unit < 0xD800 || unit > 0xDFFF) {
        return at + 6;
    }
    bool pair = unit < 0xDC00 && scan->end - at >= 12 && at[6] == '\\' && at[7] == 'u';
    int low = pair ? hex_quad(at + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF) {
        return fault(scan, at, "half of a surrogate pair");
    }
    return at + 12;
}

/* scan_string() where a look at the first bytes was not enough. */
__attribute__((noinline)) static const char *scan_long_string(struct scan *scan, const char *at,
                                                              bool *escaped)
{
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
        do {
            at = scan_escape(scan, at);
            if (!at) {
                return NULL;
            }
        } while (*at == '\\');
    }
}

/* `at` is behind the opening quote. Returns the closing one. */
static inline const char *scan_string(struct scan *scan, const char *at, bool *escaped)
{
    *escaped = false;
    while (at <= scan->last_step) {
        uint64_t mask = json_special(at);
        if (mask) {
            at += __builtin_ctzll(mask) / JSON_BITS;
            return *at == '"' ? at : scan_long_string(scan, at, escaped);
        }
        at += JSON_STEP;
    }
    return scan_long_string(scan, at, escaped);
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
    token->kind = TOKEN_INTEGER;
    token->value = (int64_t)(negative ? 0 - value : value);
    if (*at == '.' || *at == 'e' || *at == 'E') {
        token->kind = TOKEN_REAL;
        at = scan_fraction(scan, at);
    }
    return at;
}

/* One of true, false and null. */
static inline const char *scan_word(struct scan *scan, const char *at, struct json_token *token)
{
    if (at[0] == 't' && at[1] == 'r' && at[2] == 'u' && at[3] == 'e') {
        token->kind = TOKEN_TRUE;
        return at + 4;
    }
    if (at[0] == 'f' && at[1] == 'a' && at[2] == 'l' && at[3] == 's' && at[4] == 'e') {
        token->kind = TOKEN_FALSE;
        return at + 5;
    }
    if (at[0] == 'n' && at[1] == 'u' && at[2] == 'l' && at[3] == 'l') {
        token->kind = TOKEN_NULL;
        return at + 4;
    }
    return fault(scan, at, "a word that is not true, false or null");
}

static const char *skip_nested(struct scan *scan, const char *at, int64_t *items);

/* Values that are neither strings nor numbers. */
static inline const char *scan_other(struct scan *scan, const char *at, struct json_token *token)
{
    switch (*at) {
    case '{': token->kind = TOKEN_OBJECT; return skip_nested(scan, at, &token->value);
    case '[': token->kind = TOKEN_ARRAY; return skip_nested(scan, at, &token->value);
    default: return scan_word(scan, at, token);
    }
}

/*
 * Scans the value at `at`, notes it in `token` and steps behind it. Inlined by force, because the
 * compiler hesitates where skip_nested() comes back to it.
 */
__attribute__((always_inline)) static inline const char *
scan_value(struct scan *scan, const char *at, struct json_token *token)
{
    if (*at == '"') {
        token->kind = TOKEN_STRING;
        token->ptr = at + 1;
        at = scan_string(scan, at + 1, &token->escaped);
        if (!at) {
            return NULL;
        }
        token->len = (uint32_t)(at - token->ptr);
        return at + 1;
    }
    token->ptr = at;
    at = is_digit(*at) || *at == '-' ? scan_number(scan, at, token) : scan_other(scan, at, token);
    if (!at) {
        return NULL;
    }
    token->len = (uint32_t)(at - token->ptr);
    return at;
}

/* Steps over the colon behind a key. */
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

/* Steps from behind a value to the next one (or its key), or to the end that `close` is. */
static inline const char *scan_comma(struct scan *scan, const char *at, char close)
{
    if (*at != ',') {
        at = skip_space(at);
        if (*at == close) {
            return at;
        }
        if (*at != ',') {
            return fault(scan, at, "no comma between two values");
        }
    }
    at = skip_space(at + 1);
    return *at != close ? at : fault(scan, at, "a comma with nothing behind it");
}

/* Validates the array or object at `at`, counts what is in it and steps over it. */
__attribute__((noinline)) static const char *skip_nested(struct scan *scan, const char *at,
                                                         int64_t *items)
{
    struct json_token ignored;
    int64_t count = 0;
    char close = *at == '{' ? '}' : ']';
    if (scan->depth_left-- == 0) {
        return fault(scan, at, "too many levels of arrays and objects");
    }
    for (at = skip_space(at + 1); *at != close; count++) {
        at = close == '}' ? scan_key(scan, at, &ignored) : at;
        at = at ? scan_value(scan, at, &ignored) : NULL;
        at = at ? scan_comma(scan, at, close) : NULL;
        if (!at) {
            return NULL;
        }
    }
    scan->depth_left++;
    *items = count;
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

/* A key with escapes, or so near the start that there are not eight bytes before its end. */
__attribute__((noinline)) static unsigned look_up_copy(const struct json_names *names,
                                                       const struct json_token *key)
{
    char copy[JSON_NAME_BYTES * 6 + 8]; /* an escape has up to 6 bytes for one */
    if (key->len > JSON_NAME_BYTES * 6) {
        return JSON_NAMES_MAX;
    }
    size_t len = (size_t)(unescape(key->ptr, key->ptr + key->len, copy) - copy);
    if (len > JSON_NAME_BYTES || memchr(copy, '\0', len)) {
        return JSON_NAMES_MAX;
    }
    memset(copy + len, 0, JSON_NAME_BYTES + 1 - len);
    uint64_t words[3] = {bytes_load64(copy), bytes_load64(copy + 8), bytes_load64(copy + 16)};
    return look_up(names, words);
}

static inline unsigned look_up_key(const struct scan *scan, const struct json_names *names,
                                   const struct json_token *key)
{
    uint64_t words[3];
    if (key->escaped || key->ptr + key->len < scan->start + 8) {
        return look_up_copy(names, key);
    }
    if (key->len > JSON_NAME_BYTES) {
        return JSON_NAMES_MAX;
    }
    json_words24(key->ptr, key->len, words);
    return look_up(names, words);
}

/*
 * The name that came last time behind each name, and behind the unknown key at each place: writers
 * put their keys in the same order again and again. A guess costs a comparison, and saves to look
 * for the end of the key and for its name. Only ever a hint, so one for each thread is enough.
 */
enum { GUESSES = 256, FIRST_GUESS = JSON_NAMES_MAX };
static _Thread_local uint8_t guesses[GUESSES];

/* True if the key behind the quote `at` is the name `id`. */
static inline bool is_name(const struct scan *scan, const struct json_names *names, const char *at,
                           unsigned id)
{
    const struct json_key *key = &names->keys[id];
    if (at >= scan->last_key) {
        return false;
    }
    uint64_t differs = (bytes_load64(at + 1) ^ key->words[0]) & key->masks[0];
    differs |= (bytes_load64(at + 9) ^ key->words[1]) & key->masks[1];
    differs |= (bytes_load64(at + 17) ^ key->words[2]) & key->masks[2];
    return *at == '"' && differs == 0;
}

/* As scan_key(), with the id of the name. Most keys are short and plain. */
static inline const char *scan_name(struct scan *scan, const struct json_names *names,
                                    const char *at, unsigned *id)
{
    if (at < scan->last_step && *at == '"') {
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
    unsigned before = FIRST_GUESS, unknown = FIRST_GUESS;
    while (*at != '}') {
        unsigned id = guesses[before];
        if (is_name(scan, names, at, id)) {
            at = scan_colon(scan, at + names->keys[id].len);
        } else {
            at = scan_name(scan, names, at, &id);
            guesses[before] = (uint8_t)id;
        }
        struct json_token *token = &out->tokens[id];
        at = at ? scan_value(scan, at, token) : NULL;
        if (!at) {
            return NULL;
        }
        unknown += unknown < GUESSES - 1;
        before = id < JSON_NAMES_MAX ? id : unknown;
        uint64_t bit = UINT64_C(1) << (id % 64);
        uint64_t *given = &out->given[id / 64];
        *given = token->kind == TOKEN_NULL ? *given & ~bit : *given | bit;
        at = scan_comma(scan, at, '}');
        if (!at) {
            return NULL;
        }
    }
    return at + 1 == scan->end ? at : fault(scan, at + 1, "more text behind the object");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Cuts white space off both ends; false if what is left cannot be an object. */
static bool trim_to_object(struct str *json)
{
    while (json->len && is_space(json->ptr[0])) {
        json->ptr++;
        json->len--;
    }
    while (json->len && is_space(json->ptr[json->len - 1])) {
        json->len--;
    }
    return json->len >= 2 && json->ptr[0] == '{' && json->ptr[json->len - 1] == '}';
}

enum kol_status json_scan_object(struct str json, const struct json_names *names, int max_depth,
                                 struct json_object *out, struct kol_error *err)
{
    struct str object = json;
    KOL_ASSERT(json.len < UINT32_MAX);
    if (!trim_to_object(&object)) {
        return kol_fail(err, KOL_INVALID, "not a JSON object");
    }
    if (!text_is_utf8(object)) {
        return kol_fail(err, KOL_INVALID, "not UTF-8");
    }
    struct scan scan = {
        .start = object.ptr,
        .end = object.ptr + object.len,
        .last_step = object.ptr + (object.len > JSON_WIDE ? object.len - JSON_WIDE : 0),
        .last_key = object.ptr + (object.len > KEY_WIDE ? object.len - KEY_WIDE : 0),
        .depth_left = max_depth - 1,
    };
    memset(out->given, 0, sizeof out->given);
    if (!scan_members(&scan, names, out)) {
        return kol_fail(err, KOL_INVALID, "not JSON: %s at byte %zu", scan.fault,
                        (size_t)(scan.fault_at - json.ptr));
    }
    return KOL_OK;
}

/* What four hex digits stand for that are known to be such. */
static unsigned valid_hex_quad(const char *at)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c =
            (unsigned char)at[i]; /* letters have bit 6 and are nine behind their low bits */
        value = value * 16 + (c & 15) + 9 * (c >> 6);
    }
    return value;
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
static inline char *unescape_one(const char **at, char *to)
{
    static const char meanings[] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    char letter = (*at)[1];
    if (letter != 'u') {
        *at += 2;
        *to++ = meanings[(unsigned char)letter];
        return to;
    }
    unsigned point = valid_hex_quad(*at + 2);
    *at += 6;
    if (point >= 0xD800 && point <= 0xDBFF) {
        point = 0x10000 + ((point - 0xD800) << 10) + (valid_hex_quad(*at + 2) - 0xDC00);
        *at += 6;
    }
    return put_utf8(to, point);
}

/* Writes the text of a validated string; it is never longer than its source. Returns its end. */
static char *unescape(const char *at, const char *end, char *to)
{
    while (at < end) {
        /* Steps are copied whole: what is behind a backslash is written over. */
        for (uint64_t mask = 0; !mask && end - at >= JSON_STEP;) {
            mask = json_special(at); /* of a backslash: the others cannot be here */
            memcpy(to, at, JSON_STEP);
            size_t plain = mask ? (size_t)__builtin_ctzll(mask) / JSON_BITS : JSON_STEP;
            to += plain;
            at += plain;
        }
        while (at < end && *at != '\\') {
            *to++ = *at++;
        }
        while (at < end && *at == '\\') {
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

/* The kind of value that begins with `c`. */
static enum token_kind kind_of(char c)
{
    switch (c) {
    case '"': return TOKEN_STRING;
    case '[': return TOKEN_ARRAY;
    case '{': return TOKEN_OBJECT;
    case 't': return TOKEN_TRUE;
    case 'f': return TOKEN_FALSE;
    case 'n': return TOKEN_NULL;
    default: return TOKEN_INTEGER;
    }
}

bool json_next_string(const struct json_token *array, const char **at, struct json_token *item)
{
    const char *end = array->ptr + array->len;
    const char *start = skip_space(skip_space(*at) + 1); /* behind '[' or a comma */
    if (start >= end) {
        return false;
    }
    *item = (struct json_token){.ptr = start + 1, .kind = (uint8_t)kind_of(*start)};
    if (*start != '"') {
        *at = start;
        return *start != ']';
    }
    const char *close = json_find_special(start + 1, array->ptr, end);
    while (*close == '\\') {
        item->escaped = true;
        close = json_find_special(close + 2, array->ptr, end);
    }
    item->len = (uint32_t)(close - item->ptr);
    *at = close + 1;
    return true;
}

const char *json_kind_text(const struct json_token *token)
{
    static const char *const texts[] = {
        [TOKEN_NULL] = "null",        [TOKEN_TRUE] = "a boolean",   [TOKEN_FALSE] = "a boolean",
        [TOKEN_INTEGER] = "a number", [TOKEN_REAL] = "a number",    [TOKEN_STRING] = "a string",
        [TOKEN_ARRAY] = "an array",   [TOKEN_OBJECT] = "an object",
    };
    return texts[token->kind];
}

/* The name with the quote behind it, for is_name(). */
static void make_key(struct json_key *key, struct str name)
{
    char text[KEY_WIDE] = {0}, mask[KEY_WIDE] = {0};
    memcpy(text, name.ptr, name.len);
    text[name.len] = '"';
    memset(mask, 0xFF, name.len + 1);
    for (size_t i = 0; i < ARRAY_LEN(key->words); i++) {
        key->words[i] = bytes_load64(text + i * 8);
        key->masks[i] = bytes_load64(mask + i * 8);
    }
    key->len = (uint32_t)name.len + 2;
}

int json_names_add(struct json_names *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (str_is(name, names->texts[i])) {
            return (int)i;
        }
    }
    KOL_ASSERT(names->count < JSON_NAMES_MAX && name.len && name.len <= JSON_NAME_BYTES);
    memcpy(names->texts[names->count], name.ptr, name.len);
    make_key(&names->keys[names->count], name);
    for (size_t i = 0; i < ARRAY_LEN(names->words[0]); i++) {
        names->words[names->count][i] = bytes_load64(names->texts[names->count] + i * 8);
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
    for (size_t id = names->count; id <= JSON_NAMES_MAX; id++) {
        make_key(&names->keys[id], STR("\xFF")); /* which is in no UTF-8 */
    }
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
