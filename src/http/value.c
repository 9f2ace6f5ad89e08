/*
 * value.c: one value as text against its field: is it one, within bounds, and what is it in a
 * normal form. Parameters, fallbacks and examples of the tables all go through here, so that the
 * document, the checks at the start and what a request may say cannot differ.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "http/parts.h"

struct http_bounds http_bounds_of(const struct http_field *field)
{
    struct http_bounds bounds = {field->min, field->max, field->min != 0 || field->max != 0};
    if (!bounds.any && field->kind == HTTP_INT) {
        return (struct http_bounds){-HTTP_INT_MAX, HTTP_INT_MAX, true};
    }
    return bounds;
}

static bool within(const struct http_field *field, double value)
{
    struct http_bounds bounds = http_bounds_of(field);
    return !bounds.any || (value >= bounds.min && value <= bounds.max);
}

bool http_next_word(struct str *rest, struct str *word)
{
    do {
        *word = str_cut(rest, ' ');
    } while (!word->len && rest->len);
    return word->len > 0;
}

int http_word_place(const char *words, struct str word)
{
    struct str rest = str_of(words), one;
    for (int place = 0; http_next_word(&rest, &one); place++) {
        if (str_equal(one, word)) {
            return place;
        }
    }
    return -1;
}

static bool read_int(struct str text, struct http_value *out)
{
    if (!text.len || text.ptr[0] == '+' || !str_to_int64(text, &out->number)) {
        return false;
    }
    out->real = (double)out->number;
    return true;
}

static bool read_real(struct str text, struct http_value *out)
{
    if (!text.len || text.ptr[0] == '+' || !str_to_double(text, &out->real)) {
        return false;
    }
    out->real += 0.0; /* -0 and 0 are one value */
    return true;
}

static bool read_bool(struct str text, struct http_value *out)
{
    out->number = str_is(text, "true") || str_is(text, "1");
    return out->number || str_is(text, "false") || str_is(text, "0");
}

static bool read_choice(const char *choices, struct str text, struct http_value *out)
{
    out->number = http_word_place(choices, text);
    return out->number >= 0;
}

/* Commas cut; each word once, and one of the choices where there are any. */
static bool read_words(const struct http_field *field, struct str text, struct http_value *out)
{
    struct str seen[HTTP_WORDS_MAX], rest = text;
    size_t count = 0;
    bool more = true;
    while (more) {
        more = memchr(rest.len ? rest.ptr : "", ',', rest.len) != NULL;
        struct str word = str_cut(&rest, ',');
        if (!word.len || count == ARRAY_LEN(seen) ||
            (field->choices && http_word_place(field->choices, word) < 0)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (str_equal(seen[i], word)) {
                return false;
            }
        }
        seen[count++] = word;
    }
    out->number = (int64_t)count;
    return true;
}

static bool read_date(struct str text, struct http_value *out)
{
    int64_t us;
    if (!clock_parse_day(text, &us)) {
        return false;
    }
    out->number = us / CLOCK_US_PER_DAY; /* a whole number of days: exact also before 1970 */
    return true;
}

bool http_value_read(const struct http_field *field, struct str text, struct http_value *out)
{
    *out = (struct http_value){.given = true, .text = text};
    switch (field->kind) {
    case HTTP_TEXT: return within(field, (double)text_length(text));
    case HTTP_INT: return read_int(text, out) && within(field, out->real);
    case HTTP_REAL: return read_real(text, out) && within(field, out->real);
    case HTTP_BOOL: return read_bool(text, out);
    case HTTP_CHOICE: return read_choice(field->choices, text, out);
    case HTTP_WORDS: return read_words(field, text, out) && within(field, (double)out->number);
    case HTTP_DATE: return read_date(text, out);
    case HTTP_TIME: return clock_parse(text, &out->number);
    default: return false; /* no parameter is an object, a list or anything */
    }
}

void http_value_put(const struct http_field *field, const struct http_value *value, struct buf *out)
{
    switch (field->kind) {
    case HTTP_INT: buf_put_int64(out, value->number); break;
    case HTTP_REAL: buf_put_double(out, value->real); break;
    case HTTP_BOOL: buf_puts(out, value->number ? "true" : "false"); break;
    case HTTP_TIME: clock_format(out, value->number); break;
    default: buf_put(out, value->text);
    }
}

/* ---- sentences ---- */

static void put_number(double value, struct buf *out)
{
    if (value == floor(value) && fabs(value) <= HTTP_INT_MAX) {
        buf_put_int64(out, (int64_t)value);
    } else {
        buf_put_double(out, value);
    }
}

static void put_range(const struct http_field *field, const char *unit, struct buf *out)
{
    struct http_bounds bounds = http_bounds_of(field);
    if (!bounds.any || fabs(bounds.max) >= HTTP_INT_MAX) {
        return;
    }
    if (bounds.min == bounds.max) {
        buf_puts(out, " of exactly ");
    } else {
        buf_puts(out, *unit ? " of " : " from ");
        put_number(bounds.min, out);
        buf_puts(out, " to ");
    }
    put_number(bounds.max, out);
    buf_puts(out, unit);
}

static void put_choices(const char *choices, struct buf *out)
{
    struct str rest = str_of(choices), word;
    for (bool first = true; http_next_word(&rest, &word); first = false) {
        buf_puts(out, first ? " " : ", ");
        buf_put(out, word);
    }
}

static void put_words_wanted(const struct http_field *field, struct buf *out)
{
    buf_puts(out, "a list");
    put_range(field, " different words", out);
    if (field->choices) {
        buf_puts(out, " out of");
        put_choices(field->choices, out);
    }
}

void http_put_wanted(const struct http_field *field, struct buf *out)
{
    switch (field->kind) {
    case HTTP_TEXT:
        buf_puts(out, "a text");
        put_range(field, " characters", out);
        break;
    case HTTP_INT:
        buf_puts(out, "a whole number");
        put_range(field, "", out);
        break;
    case HTTP_REAL:
        buf_puts(out, "a number");
        put_range(field, "", out);
        break;
    case HTTP_BOOL: buf_puts(out, "true or false"); break;
    case HTTP_CHOICE:
        buf_puts(out, "one of");
        put_choices(field->choices, out);
        break;
    case HTTP_WORDS: put_words_wanted(field, out); break;
    case HTTP_DATE: buf_puts(out, "a date such as 2025-05-14"); break;
    case HTTP_TIME: buf_puts(out, "a time such as 2025-05-14T21:17:24Z"); break;
    case HTTP_OBJECT: buf_puts(out, "an object"); break;
    case HTTP_LIST:
        buf_puts(out, "a list");
        put_range(field, " elements", out);
        break;
    case HTTP_ANY: buf_puts(out, "a value"); break;
    }
}

void http_put_nearest(struct str text, const char *const *names, size_t count, struct buf *out)
{
    const char *nearest = str_nearest(text, names, count);
    if (nearest) {
        buf_printf(out, " (did you mean `%s`?)", nearest);
    }
}

void http_put_plain(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        buf_putc(out, c < 0x20 || c == 0x7f ? ' ' : (char)c);
    }
}

void http_put_quoted(struct str text, struct buf *out)
{
    enum { SHOWN = 40 };
    if (!text_is_utf8(text)) {
        buf_puts(out, "text that is not UTF-8");
        return;
    }
    struct str shown = text_prefix(text, SHOWN);
    buf_putc(out, '`');
    http_put_plain(shown, out);
    buf_puts(out, shown.len < text.len ? "...`" : "`");
}
