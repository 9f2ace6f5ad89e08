/*
 * event_generator.h: events as no sane source would write them, and worse ones made of these.
 *
 * Everything follows from one seed. Most values are right for their field, some are edges, some are
 * wrong; keys come in any order, under any of their names, sometimes twice and among unknown ones.
 */
#ifndef TESTS_UNIT_EVENT_GENERATOR_H
#define TESTS_UNIT_EVENT_GENERATOR_H

#include "event_fixture.h"

/* splitmix64. */
static uint64_t random_state;

static inline uint64_t random_word(void)
{
    uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* 0 to below - 1. */
static inline size_t random_below(size_t below)
{
    return (size_t)(random_word() % below);
}

static inline bool one_in(size_t n)
{
    return random_below(n) == 0;
}

#define PICK(list) ((list)[random_below(ARRAY_LEN(list))])

static inline void put_space(struct buf *out)
{
    static const char *const spaces[] = {" ", "  ", "\n", "\t", "\r\n", " \n    "};
    if (one_in(8)) {
        buf_puts(out, PICK(spaces));
    }
}

/* One character of the inside of a string, or several. */
static inline void put_piece(struct buf *out)
{
    static const char *const pieces[] = {
        "a",
        "review",
        " ",
        "ăn sập Sài Gòn",
        "Đặng Thị Ánh",
        "é",
        "🍜",
        "👩‍👩‍👧",
        "中文",
        "\xf4\x8f\xbf\xbf",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b\\f\\r\\t",
        "\\u0000",
        "\\u001f\\u0001",
        "\\u00e9",
        "\\u1EA1",
        "\\uD83D\\uDE00",
        "\\ud83c\\udf5c",
        "\\uffff",
        "\\u0022",
        "#",
        "@",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "'",
        "\x7f",
        "0",
        "tiktok.com/@an/video/7300000000000000000",
        "the words of a caption that goes on for a while",
    };
    static const char *const wrong[] = {
        "\\x",  "\\u12g4", "\\ud800", "\\udc00x", "\\udc00\\udc00", "\\ud83d\\u0041",
        "\x01", "\n",      "\xff",    "\xc3",     "\xed\xa0\x80",   "\xc0\x80",
        "\\",   "\""};
    buf_puts(out, one_in(4000) ? PICK(wrong) : PICK(pieces));
}

static inline void put_text(struct buf *out, size_t pieces)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < pieces; i++) {
        put_piece(out);
    }
    buf_putc(out, '"');
}

/* A key or a word, some of its letters as escapes. */
static inline void put_word(struct buf *out, struct str word)
{
    bool escape = one_in(20);
    buf_putc(out, '"');
    for (size_t i = 0; i < word.len; i++) {
        if (escape && one_in(4)) {
            buf_printf(out, one_in(2) ? "\\u%04x" : "\\u%04X", (unsigned char)word.ptr[i]);
        } else {
            buf_putc(out, word.ptr[i]);
        }
    }
    buf_putc(out, '"');
}

static inline void put_number(struct buf *out)
{
    static const char *const numbers[] = {
        "0",
        "-0",
        "1",
        "-1",
        "3.0",
        "3e0",
        "30e-1",
        "3.5",
        "0.5",
        "1e3",
        "1E+2",
        "12.5e1",
        "-0.0",
        "1e-400",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "999999999999999999",
        "1000000000000000000",
        "36500",
        "36501",
        "31536000",
        "31536001",
        "1e15",
        "1.0000000000000002",
        "100000000000000000000000",
        "1e999",
        "4123456",
        "0.1",
        "123456789.125",
    };
    if (one_in(3)) {
        buf_puts(out, PICK(numbers));
    } else {
        buf_printf(out, "%llu", (unsigned long long)(random_word() >> (1 + random_below(63))));
    }
}

static inline void put_time(struct buf *out)
{
    static const char *const times[] = {
        "2025-05-14T21:17:24Z",
        "2025-05-14T21:17:24.5+07:00",
        "2025-05-14t21:17:24.123456789z",
        "2025-05-14 21:17:24-03:30",
        "2004-12-31T23:59:59Z",
        "2005-01-01T00:00:00Z",
        "2099-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2024-02-29T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2025-05-14T23:59:60Z",
        "2025-05-14T21:17:24",
        "2025-05-14",
        "0000-01-01T00:00:00+01:00",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "2025-13-01T00:00:00Z",
        "2025-05-14T24:00:00Z",
        "2025-05-14T21:17:24.Z",
        "1747257444",
        "",
    };
    if (one_in(3)) {
        put_word(out, str_of(PICK(times)));
    } else {
        buf_printf(out, "\"20%02zu-%02zu-%02zuT%02zu:%02zu:%02zu%s\"", 10 + random_below(15),
                   1 + random_below(12), 1 + random_below(28), random_below(24), random_below(60),
                   random_below(60), one_in(2) ? "Z" : ".25+07:00");
    }
}

#define NBSP_GROUPED                                                                               \
    "1\xC2\xA0"                                                                                    \
    "234"

static inline void put_count(struct buf *out)
{
    static const char *const counts[] = {"11.3K",
                                         "0.123",
                                         "1.234,567",
                                         "12,345.678",
                                         "4,1Tr",
                                         "1.234",
                                         "1 234",
                                         "1.2",
                                         "12,5 N",
                                         "abc",
                                         "",
                                         " 3k ",
                                         "9999999999999999999B",
                                         NBSP_GROUPED,
                                         "-5"};
    if (one_in(4)) {
        put_number(out);
    } else {
        put_word(out, str_of(PICK(counts)));
    }
}

static inline void put_tags(struct buf *out)
{
    bool many = one_in(100);
    size_t count = many ? 995 + random_below(10) : random_below(5);
    buf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        put_space(out);
        if (many) {
            buf_puts(out, "\"a\"");
        } else if (one_in(300)) {
            buf_puts(out, one_in(2) ? "null" : "[1]");
        } else {
            put_text(out, random_below(3));
        }
        put_space(out);
        buf_puts(out, i + 1 < count ? "," : "");
    }
    buf_putc(out, ']');
}

/* Arrays in arrays, around the depth that is allowed, or side by side. */
static inline void put_deep(struct buf *out)
{
    size_t depth = 28 + random_below(6), beside = one_in(2) ? 40 : 0;
    buf_puts(out, "[");
    for (size_t i = 0; i < beside; i++) {
        buf_puts(out, one_in(2) ? "[]," : "{},");
    }
    for (size_t i = 0; i < depth; i++) {
        buf_puts(out, i % 2 ? "{\"a\":" : "[");
    }
    buf_puts(out, "1");
    for (size_t i = depth; i > 0; i--) {
        buf_puts(out, (i - 1) % 2 ? "}" : "]");
    }
    buf_puts(out, "]");
}

/* Any value, nested ones too. */
static inline void put_any(struct buf *out, int depth)
{
    size_t what = random_below(depth > 0 ? 9 : 7), count = random_below(4);
    static const char *const words[] = {"true", "false", "null"};
    if (what < 3) {
        put_text(out, random_below(6));
    } else if (what < 5) {
        put_number(out);
    } else if (what < 7) {
        buf_puts(out, PICK(words));
    } else {
        buf_putc(out, what == 7 ? '[' : '{');
        for (size_t i = 0; i < count; i++) {
            put_space(out);
            if (what == 8) {
                put_text(out, random_below(3));
                put_space(out);
                buf_putc(out, ':');
            }
            put_space(out);
            put_any(out, depth - 1);
            buf_puts(out, i + 1 < count ? "," : "");
        }
        buf_putc(out, what == 7 ? ']' : '}');
    }
}

/* A value for the field, right more often than not. */
static inline void put_value(struct buf *out, const struct field *field)
{
    if (one_in(60)) {
        put_any(out, 3);
    } else if (one_in(25)) {
        buf_puts(out, "null");
    } else {
        switch (field->kind) {
        case FIELD_INT: buf_printf(out, "%zu", random_below(30000)); break;
        case FIELD_REAL:
            if (one_in(4)) {
                put_number(out);
            } else {
                buf_printf(out, "%.*g", 1 + (int)random_below(17), (double)random_word() / 1e18);
            }
            break;
        case FIELD_BOOL: buf_puts(out, one_in(2) ? "true" : "false"); break;
        case FIELD_TIME: put_time(out); break;
        case FIELD_COUNT: put_count(out); break;
        case FIELD_TAGS: put_tags(out); break;
        case FIELD_CHOICE: put_word(out, words_at(field->choices, (int)random_below(2))); break;
        default: put_text(out, one_in(100) ? random_below(200) : random_below(8));
        }
    }
}

static inline void put_member(struct buf *out, struct str key)
{
    put_space(out);
    put_word(out, key);
    put_space(out);
    buf_putc(out, ':');
    put_space(out);
}

/* One member of the event: a field under one of its names, or something unknown. */
static inline void put_random_member(struct buf *out, enum event_type type)
{
    static const char *const unknown[] = {"x",
                                          "",
                                          "sec_uid",
                                          "stats_v2",
                                          "followers_coun",
                                          "followers_countt",
                                          "Bio",
                                          "default_profile_images_v2",
                                          "tên",
                                          "a_key_that_is_longer_than_any_name_of_ours"};
    struct field_table table = event_fields(one_in(10) ? EVENT_PRODUCT : type);
    const struct field *field = &table.fields[random_below(table.count)];
    if (one_in(6)) {
        put_member(out, str_of(PICK(unknown)));
        if (one_in(20)) {
            put_deep(out);
        } else {
            put_any(out, 3);
        }
    } else if (one_in(80)) {
        put_text(out, random_below(4));
        buf_putc(out, ':');
        put_any(out, 3);
    } else {
        bool other = field->accepts && one_in(2);
        put_member(out,
                   other ? words_at(field->accepts, (int)random_below(2)) : str_of(field->name));
        put_value(out, field);
    }
}

enum { MEMBERS_MAX = 40 };

/* Appends one event. What a type needs is there most of the time. */
static inline void generate_event(struct buf *out)
{
    struct buf members[MEMBERS_MAX] = {{0}};
    size_t count = 0;
    enum event_type type = (enum event_type)random_below(EVENT_TYPE_COUNT);
    struct field_table table = event_fields(type);
    for (size_t i = 0; i < table.count; i++) {
        if ((table.fields[i].required || i == COMMON_FIELD_username) && !one_in(60)) {
            struct buf *member = &members[count++];
            put_member(member, str_of(table.fields[i].name));
            if (i == COMMON_FIELD_event_type) {
                put_word(member, str_of(event_type_name(type)));
            } else if (i == COMMON_FIELD_event_time && !one_in(10)) {
                buf_puts(member, "\"2025-05-14T21:17:24Z\"");
            } else {
                put_value(member, &table.fields[i]);
            }
        }
    }
    for (size_t more = random_below(20); more; more--) {
        put_random_member(&members[count++], type);
    }
    put_space(out);
    buf_putc(out, '{');
    for (size_t left = count; left; left--) {
        /* In any order; now and then in that of the table. */
        size_t i = one_in(3) ? 0 : random_below(left);
        buf_put(out, buf_str(&members[i]));
        buf_free(&members[i]);
        memmove(&members[i], &members[i + 1], (left - i - 1) * sizeof members[0]);
        put_space(out);
        buf_puts(out, left > 1 ? "," : "");
    }
    buf_putc(out, '}');
    put_space(out);
}

static inline void replace_bytes(struct buf *text, size_t at, size_t len, struct str by)
{
    struct buf out = {0};
    buf_append(&out, text->ptr, at);
    buf_put(&out, by);
    buf_append(&out, text->ptr + at + len, text->len - at - len);
    buf_free(text);
    *text = out;
}

/* A piece of the text that begins and ends at bytes that mean something. */
static inline struct str random_token(const struct buf *text)
{
    size_t start = random_below(text->len + 1), end = start;
    while (start < text->len && !strchr("{}[],:\"", text->ptr[start])) {
        start++;
    }
    for (end = start + (start < text->len); end < text->len; end++) {
        if (strchr("{}[],:\"", text->ptr[end])) {
            break;
        }
    }
    return (struct str){text->ptr + start, end - start};
}

static inline void swap_tokens(struct buf *text)
{
    struct str a = random_token(text), b = random_token(text);
    if (a.ptr > b.ptr) {
        struct str c = a;
        a = b;
        b = c;
    }
    size_t first = (size_t)(a.ptr - text->ptr), second = (size_t)(b.ptr - text->ptr);
    if (first + a.len <= second) {
        struct buf copy = {0};
        buf_put(&copy, a);
        struct buf other = {0};
        buf_put(&other, b);
        replace_bytes(text, second, b.len, buf_str(&copy));
        replace_bytes(text, first, a.len, buf_str(&other));
        buf_free(&copy);
        buf_free(&other);
    }
}

/* Changes the text a little; `other` is another event, to take pieces from. */
static inline void mutate(struct buf *text, const struct buf *other)
{
    static const char *const inserts[] = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          ",",
                                          ":",
                                          "\"",
                                          "\\",
                                          "null",
                                          "true",
                                          "0",
                                          "-",
                                          ".",
                                          "e",
                                          "1e5",
                                          "\"\"",
                                          "\xc3",
                                          "\xe1\xbb\x93",
                                          "\\u0000",
                                          "\\ud83d",
                                          " ",
                                          "\n",
                                          "\t",
                                          "\x00",
                                          "\"bio\":null,",
                                          "\"x\":[{}],",
                                          "[[[["};
    size_t at = random_below(text->len + 1), left = text->len - at;
    size_t some = left ? 1 + random_below(left < 12 ? left : 12) : 0;
    switch (random_below(8)) {
    case 0:
        if (left) {
            text->ptr[at] = (char)(text->ptr[at] ^ 1 << random_below(8));
        }
        break;
    case 1: replace_bytes(text, at, some, (struct str){NULL, 0}); break;
    case 2: replace_bytes(text, at, 0, str_of(PICK(inserts))); break;
    case 3: replace_bytes(text, at, one_in(3) ? left : 0, (struct str){NULL, 0}); break;
    case 4: {
        size_t from = random_below(other->len + 1);
        replace_bytes(text, at, left, (struct str){other->ptr + from, other->len - from});
        break;
    }
    case 5: swap_tokens(text); break;
    case 6: {
        struct str token = random_token(text), by = random_token(other);
        replace_bytes(text, (size_t)(token.ptr - text->ptr), token.len, by);
        break;
    }
    default: replace_bytes(text, at, some ? 1 : 0, str_of(PICK(inserts))); break;
    }
}

#endif
