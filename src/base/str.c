/* str.c: views, growing buffers, and the exact conversions between numbers and text. */
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_is(struct str a, const char *text)
{
    return str_equal(a, str_of(text));
}

bool str_is_nocase(struct str a, const char *text)
{
    return a.len == strlen(text) && (a.len == 0 || strncasecmp(a.ptr, text, a.len) == 0);
}

bool str_starts(struct str text, struct str prefix)
{
    return text.len >= prefix.len && str_equal((struct str){text.ptr, prefix.len}, prefix);
}

int str_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str text)
{
    while (text.len && is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

struct str str_cut(struct str *rest, char separator)
{
    struct str head = *rest;
    const char *hit = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    if (!hit) {
        *rest = (struct str){NULL, 0};
        return head;
    }
    head.len = (size_t)(hit - head.ptr);
    *rest = (struct str){hit + 1, rest->len - head.len - 1};
    return head;
}

bool str_has_word(struct str words, struct str word)
{
    while (words.len) {
        if (str_equal(str_cut(&words, ' '), word)) {
            return true;
        }
    }
    return false;
}

bool str_to_int64(struct str text, int64_t *out)
{
    bool negative = text.len && text.ptr[0] == '-';
    size_t i = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    if (i == text.len) {
        return false;
    }
    int64_t value = 0; /* kept negative: INT64_MIN has no positive twin */
    for (; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, (int64_t)digit, &value)) {
            return false;
        }
    }
    if (!negative && value == INT64_MIN) {
        return false;
    }
    *out = negative ? value : -value;
    return true;
}

/* A whole number of so many digits is a double exactly, and so is each of these powers. */
enum { EXACT_DIGITS = 15 };

static const double powers_of_ten[EXACT_DIGITS + 1] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
};

/* A number of few digits without an exponent, as most are: one division of two exact numbers gives
 * the nearest double, as strtod() would, for a tenth of its time. False: it is another. */
static bool read_short(struct str text, double *out)
{
    const bool negative = text.len && text.ptr[0] == '-';
    size_t digits = 0, decimals = 0;
    int64_t number = 0;
    bool point = false;
    for (size_t i = negative; i < text.len; i++) {
        const unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';
        if (digit <= 9 && digits < EXACT_DIGITS) {
            number = number * 10 + digit;
            digits++;
            decimals += point;
        } else if (text.ptr[i] == '.' && !point && digits) {
            point = true;
        } else {
            return false;
        }
    }
    if (!digits || (point && !decimals)) {
        return false;
    }
    const double value = (double)number / powers_of_ten[decimals];
    *out = negative ? -value : value;
    return true;
}

bool str_to_double(struct str text, double *out)
{
    char copy[512];
    if (read_short(text, out)) {
        return true;
    }
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (strspn(copy, "0123456789+-.eE") != text.len) {
        return false;
    }
    char *end = NULL;
    double value = strtod(copy, &end);
    if (end != copy + text.len || !isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}

enum { NEAREST_MAX = 64 };

/* Edit distance with neighbouring letters swapped counted as one; names over 64 bytes are never
 * near. */
static size_t edit_distance(struct str a, struct str b)
{
    if (a.len > NEAREST_MAX || b.len > NEAREST_MAX) {
        return NEAREST_MAX;
    }
    unsigned char rows[3][NEAREST_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = (unsigned char)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned char *row = rows[i % 3], *above = rows[(i + 2) % 3],
                      *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            size_t other = 1 + (size_t)(above[j] < row[j - 1] ? above[j] : row[j - 1]);
            best = other < best ? other : best;
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                (size_t)two_above[j - 2] + 1 < best) {
                best = (size_t)two_above[j - 2] + 1;
            }
            row[j] = (unsigned char)best;
        }
    }
    return rows[a.len % 3][b.len];
}

const char *str_nearest(struct str text, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        struct str name = str_of(names[i]);
        size_t longer = name.len > text.len ? name.len : text.len;
        size_t distance = edit_distance(text, name);
        if (distance < best && distance * 3 <= longer + 2) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    if (buf->ptr) {
        buf->ptr[0] = '\0';
    }
}

void buf_reserve(struct buf *buf, size_t more)
{
    KOL_ASSERT(more < SIZE_MAX / 4);
    size_t need = buf->len + more + 1;
    if (need <= buf->cap) {
        return;
    }
    size_t cap = buf->cap < 64 ? 64 : buf->cap * 2;
    buf->cap = cap < need ? need : cap;
    buf->ptr = mem_realloc(buf->ptr, buf->cap);
}

void buf_append(struct buf *buf, const void *bytes, size_t len)
{
    buf_reserve(buf, len);
    if (len) {
        memcpy(buf->ptr + buf->len, bytes, len);
    }
    buf->len += len;
    buf->ptr[buf->len] = '\0';
}

void buf_put(struct buf *buf, struct str text)
{
    buf_append(buf, text.ptr, text.len);
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    KOL_ASSERT(len >= 0);
    buf_reserve(buf, (size_t)len);
    vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, args);
    buf->len += (size_t)len;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

void buf_put_int64(struct buf *buf, int64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) {
        digits[--at] = '-';
    }
    buf_append(buf, digits + at, sizeof digits - at);
}

/* `number` / 10^`decimals` without zeros at the end. */
static void put_decimals(struct buf *buf, uint64_t number, int decimals)
{
    char digits[48];
    size_t at = sizeof digits;
    while (decimals > 0 && number % 10 == 0) {
        number /= 10;
        decimals--;
    }
    for (int i = 0; i < decimals; i++) {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    }
    if (decimals) {
        digits[--at] = '.';
    }
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    buf_append(buf, digits + at, sizeof digits - at);
}

/* A number of at most two decimals, as scores and most counts are: the same text as by printf, for
 * a tenth of its time. False: it is another, or would be written with an exponent. */
static bool put_hundredths(struct buf *buf, double value)
{
    const double hundredths = rint(value * 100);
    if (!(fabs(hundredths) < 1e15) || hundredths / 100 != value || (value == 0 && signbit(value))) {
        return false;
    }
    buf_append(buf, "-", value < 0);
    put_decimals(buf, (uint64_t)fabs(hundredths), 2);
    return true;
}

__extension__ typedef unsigned __int128 wide;

/*
 * The nearest number of so many digits, as printf gives it: size * 10^decimals as a whole number.
 * False: it reads back as another double.
 *
 * size is mantissa * 2^power, so size * 10^decimals is N / 2^shift for the whole number N =
 * mantissa * 5^decimals. Two neighbouring doubles lie 5^decimals apart in units of N: what is
 * nearer than half of that reads back. *sure is false where that cannot be said so simply: in the
 * middle between two numbers.
 */
static bool round_to(uint64_t mantissa, int power, int decimals, uint64_t *number, bool *sure)
{
    uint64_t fives = 1;
    for (int i = 0; i < decimals; i++) {
        fives *= 5;
    }
    const int shift = -(power + decimals);
    KOL_ASSERT(shift > 0);
    const wide exact = (wide)mantissa * fives, half = (wide)1 << (shift - 1);
    const wide rest = exact & (2 * half - 1);
    const wide distance = rest > half ? 2 * half - rest : rest;
    *number = (uint64_t)(exact >> shift) + (rest > half);
    *sure = rest != half;
    return 2 * distance < fives;
}

/* A number of common size, by whole numbers alone: the same text as by printf, for a twentieth of
 * its time. False: it is another, or has a power of two for its mantissa, below which its neighbour
 * is nearer than the one above. */
static bool put_common(struct buf *buf, double value)
{
    static const double tens[] = {1e-3, 1e-2, 1e-1, 1,   1e1,  1e2,  1e3,  1e4,  1e5,
                                  1e6,  1e7,  1e8,  1e9, 1e10, 1e11, 1e12, 1e13, 1e14};
    const double size = fabs(value);
    uint64_t bits, number;
    memcpy(&bits, &size, sizeof bits);
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    if (!(size >= 1e-4 && size < 1e15) || !fraction) {
        return false;
    }
    int leading = -4; /* the power of ten of its first digit */
    for (size_t i = 0; i < sizeof tens / sizeof *tens && size >= tens[i]; i++) {
        leading++;
    }
    for (int digits = 15; digits <= 17; digits++) {
        const int decimals = digits - 1 - leading;
        bool sure;
        const bool same = round_to(fraction | UINT64_C(1) << 52, (int)(bits >> 52) - 1075, decimals,
                                   &number, &sure);
        if (!sure) {
            return false;
        }
        if (same) {
            buf_append(buf, "-", value < 0);
            put_decimals(buf, number, decimals);
            return true;
        }
    }
    return false;
}

void buf_put_double(struct buf *buf, double value)
{
    char text[32];
    KOL_ASSERT(isfinite(value));
    if (put_hundredths(buf, value) || put_common(buf, value)) {
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    buf_puts(buf, text);
}

struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->ptr, buf->len};
}
