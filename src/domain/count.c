/* count.c: counts as pages show them. The grammar is in count.h. */
#include "domain/count.h"

#include <string.h>

enum { POWER_NONE = 0, POWER_THOUSAND = 3, POWER_MILLION = 6, POWER_BILLION = 9 };

static const char no_break_space[] = "\xC2\xA0", narrow_space[] = "\xE2\x80\xAF";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of the blank (space or one of its no-break kinds) that `text` begins with, 0 for none. */
static size_t blank_at_front(struct str text)
{
    if (text.len && text.ptr[0] == ' ') {
        return 1;
    }
    if (str_starts(text, str_of(no_break_space))) {
        return 2;
    }
    return str_starts(text, str_of(narrow_space)) ? 3 : 0;
}

static size_t blank_at_end(struct str text)
{
    for (size_t len = 1; len <= 3 && len <= text.len; len++) {
        if (blank_at_front((struct str){text.ptr + text.len - len, len}) == len) {
            return len;
        }
    }
    return 0;
}

/* Without white space, the no-break kinds included, at both ends. */
static struct str trim(struct str text)
{
    size_t before;
    do {
        before = text.len;
        text = str_trim(text);
        size_t blank = blank_at_front(text);
        text.ptr += blank;
        text.len -= blank;
        text.len -= blank_at_end(text);
    } while (text.len != before);
    return text;
}

/* Cuts the suffix off and returns its power of ten. */
static int take_suffix(struct str *text)
{
    char last = text->len ? text->ptr[text->len - 1] | 0x20 : 0;
    int power = POWER_NONE;
    size_t len = 1;
    if (last == 'k' || last == 'n') {
        power = POWER_THOUSAND;
    } else if (last == 'm') {
        power = POWER_MILLION;
    } else if (last == 'b') {
        power = POWER_BILLION;
    } else if (last == 'r' && text->len > 1 && (text->ptr[text->len - 2] | 0x20) == 't') {
        power = POWER_MILLION;
        len = 2;
    } else {
        return POWER_NONE;
    }
    text->len -= len;
    *text = trim(*text);
    return power;
}

/* Appends the digits at the front of `*text` to `*value` and cuts them off; false on overflow. */
static bool take_digits(struct str *text, size_t max, int64_t *value, size_t *taken)
{
    size_t i = 0;
    for (; i < max && i < text->len && is_digit(text->ptr[i]); i++) {
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, text->ptr[i] - '0', value)) {
            return false;
        }
    }
    text->ptr += i;
    text->len -= i;
    *taken = i;
    return true;
}

/* "1", "1.25", "1,25", in units of 10^power. */
static bool read_scaled(struct str text, int power, int64_t *out)
{
    int64_t value = 0;
    size_t taken;
    if (!take_digits(&text, text.len, &value, &taken) || taken == 0) {
        return false;
    }
    if (text.len) {
        if ((text.ptr[0] != '.' && text.ptr[0] != ',') || text.len == 1) {
            return false;
        }
        text.ptr++;
        text.len--;
    }
    if (!take_digits(&text, (size_t)power, &value, &taken)) {
        return false;
    }
    for (; taken < (size_t)power; taken++) {
        if (__builtin_mul_overflow(value, 10, &value)) {
            return false;
        }
    }
    while (text.len && is_digit(text.ptr[0])) { /* fractions of a unit */
        text.ptr++;
        text.len--;
    }
    if (text.len) {
        return false;
    }
    *out = value;
    return true;
}

/* Cuts the separator of groups off the front and returns its kind, '\0' where there is none. */
static char take_separator(struct str *text)
{
    size_t blank = blank_at_front(*text);
    char kind = blank ? ' ' : text->len ? text->ptr[0] : '\0';
    if (kind != ' ' && kind != '.' && kind != ',') {
        return '\0';
    }
    text->ptr += blank ? blank : 1;
    text->len -= blank ? blank : 1;
    return kind;
}

/* "1234", "1.234", "1,234,567", "1 234". */
static bool read_plain(struct str text, int64_t *out)
{
    int64_t value = 0;
    size_t taken;
    bool zero_first = text.len && text.ptr[0] == '0';
    if (!take_digits(&text, text.len, &value, &taken) || taken == 0) {
        return false;
    }
    if (text.len && (taken > 3 || zero_first)) {
        return false;
    }
    for (char separator = '\0'; text.len;) {
        char kind = take_separator(&text);
        if (kind == '\0' || (separator && kind != separator)) {
            return false;
        }
        separator = kind;
        if (!take_digits(&text, 3, &value, &taken) || taken != 3) {
            return false;
        }
    }
    *out = value;
    return true;
}

bool count_parse(struct str text, int64_t *out)
{
    text = trim(text);
    int power = take_suffix(&text);
    return power ? read_scaled(text, power, out) : read_plain(text, out);
}
