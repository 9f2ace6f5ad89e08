/*
 * count_reference.h: a second reader of count strings, slow and written from the grammar of count.h
 * alone, as regular expressions: what the parser is compared with.
 */
#ifndef TESTS_UNIT_COUNT_REFERENCE_H
#define TESTS_UNIT_COUNT_REFERENCE_H

#include <assert.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Texts beyond this are not looked at: the caller leaves them out. */
enum { COUNT_REFERENCE_MAX = 4000 };

/* True if `text` is one of the forms; the expressions are made when they are first asked for. */
static inline bool count_matches(int form, const char *text)
{
    static const char *const forms[] = {
        "^([0-9]+)([.,]([0-9]+))?$", /* in front of a suffix */
        "^([0-9]+|[1-9][0-9]{0,2}([.][0-9]{3})+|[1-9][0-9]{0,2}(,[0-9]{3})+|"
        "[1-9][0-9]{0,2}(_[0-9]{3})+)$", /* without one; _ is a blank */
    };
    static regex_t compiled[2];
    static bool made[2];
    if (!made[form]) {
        int failed = regcomp(&compiled[form], forms[form], REG_EXTENDED | REG_NOSUB);
        assert(!failed);
        made[form] = !failed;
    }
    return regexec(&compiled[form], text, 0, NULL, 0) == 0;
}

/* Writes the text with each blank as '_', other white space as '~', letters in lower case; false if
 * it holds bytes that no count has. */
static inline bool count_symbols(struct str text, char *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (text.len - i >= 2 && memcmp(text.ptr + i, "\xC2\xA0", 2) == 0) {
            *out++ = '_';
            i += 1;
        } else if (text.len - i >= 3 && memcmp(text.ptr + i, "\xE2\x80\xAF", 3) == 0) {
            *out++ = '_';
            i += 2;
        } else if (c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r') {
            *out++ = '~';
        } else if (c == ' ') {
            *out++ = '_';
        } else if (c >= 'A' && c <= 'Z') {
            *out++ = (char)(c - 'A' + 'a');
        } else if (strchr("0123456789.,kmnbtr", c) && c != '\0') {
            *out++ = (char)c;
        } else {
            return false;
        }
    }
    *out = '\0';
    return true;
}

static inline void count_strip(char *text)
{
    size_t front = strspn(text, "_~"), len = strlen(text + front);
    memmove(text, text + front, len + 1);
    while (len && (text[len - 1] == '_' || text[len - 1] == '~')) {
        text[--len] = '\0';
    }
}

/* Cuts the suffix off; its power of ten, 0 where there is none. */
static inline int count_suffix(char *text)
{
    static const struct {
        const char *text;
        int power;
    } suffixes[] = {{"k", 3}, {"n", 3}, {"m", 6}, {"tr", 6}, {"b", 9}};
    size_t len = strlen(text);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t suffix_len = strlen(suffixes[i].text);
        if (len >= suffix_len && strcmp(text + len - suffix_len, suffixes[i].text) == 0) {
            text[len - suffix_len] = '\0';
            return suffixes[i].power;
        }
    }
    return 0;
}

static inline bool count_reference(struct str text, int64_t *out)
{
    static const char max[] = "9223372036854775807";
    char symbols[COUNT_REFERENCE_MAX + 1], digits[COUNT_REFERENCE_MAX + 16];
    size_t len = 0;
    if (text.len > COUNT_REFERENCE_MAX || !count_symbols(text, symbols)) {
        return false;
    }
    count_strip(symbols);
    int power = count_suffix(symbols);
    count_strip(symbols);
    if (!count_matches(power ? 0 : 1, symbols)) {
        return false;
    }
    size_t whole = power ? strcspn(symbols, ".,") : strlen(symbols);
    for (size_t i = 0; i < whole; i++) {
        if (symbols[i] >= '0' && symbols[i] <= '9') {
            digits[len++] = symbols[i];
        }
    }
    const char *fraction = symbols[whole] ? symbols + whole + 1 : "";
    for (int i = 0; i < power; i++) {
        digits[len++] = *fraction ? *fraction++ : '0';
    }
    digits[len] = '\0';
    const char *first = digits + strspn(digits, "0");
    if (strlen(first) > strlen(max) || (strlen(first) == strlen(max) && strcmp(first, max) > 0)) {
        return false;
    }
    *out = strtoll(digits, NULL, 10);
    return true;
}

#endif
