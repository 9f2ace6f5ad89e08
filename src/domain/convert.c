/* convert.c: what each kind of field takes, keeps and refuses. */
#include "domain/convert.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "domain/decode.h"

/* Times that can be written as RFC 3339 again: 0000-01-01 to 9999-12-31 in UTC. */
#define TIME_FIRST_US (INT64_C(-62167219200) * CLOCK_US_PER_SECOND)
#define TIME_BEHIND_US (INT64_C(253402300800) * CLOCK_US_PER_SECOND)

enum { SHOWN_BYTES = 40 };

static const char *const expected[] = {
    [FIELD_TEXT] = "a string",
    [FIELD_NAME] = "a string",
    [FIELD_ID] = "a string or an integer",
    [FIELD_COUNT] = "a string or an integer",
    [FIELD_INT] = "an integer",
    [FIELD_REAL] = "a number",
    [FIELD_BOOL] = "true or false",
    [FIELD_TIME] = "a time of RFC 3339 with its zone",
    [FIELD_CHOICE] = "a word",
    [FIELD_TAGS] = "an array of strings",
};
_Static_assert(ARRAY_LEN(expected) == FIELD_KIND_COUNT, "each kind says what it expects");

static enum kol_status wrong_type(const struct slot *slot, const struct json_token *token,
                                  struct kol_error *err)
{
    return kol_fail(err, KOL_INVALID, "%s: expected %s, got %s", slot->name,
                    expected[slot->field->kind], json_kind_text(token));
}

/* "name: "value" is <what>", with the value made fit to be shown: short, one line, whole
 * characters. */
static enum kol_status wrong_text(const struct slot *slot, struct str text, const char *what,
                                  struct kol_error *err)
{
    char shown[SHOWN_BYTES + 1];
    size_t len = text.len < SHOWN_BYTES ? text.len : SHOWN_BYTES;
    while (len < text.len && len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        shown[i] = (unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F ? '?' : text.ptr[i];
    }
    shown[len] = '\0';
    return kol_fail(err, KOL_INVALID, "%s: \"%s%s\" is %s", slot->name, shown,
                    len < text.len ? "..." : "", what);
}

static enum kol_status set_text(struct slot *slot, struct str text, struct kol_error *err)
{
    if (text.len > slot->field->max_bytes) {
        return kol_fail(err, KOL_INVALID, "%s: %zu bytes, more than the %zu allowed", slot->name,
                        text.len, slot->field->max_bytes);
    }
    *(struct str *)slot->value = text;
    slot->known = true;
    return KOL_OK;
}

/* For texts of which an empty one says nothing. */
static enum kol_status set_filled_text(struct slot *slot, struct str text, struct kol_error *err)
{
    return text.len ? set_text(slot, text, err) : KOL_OK;
}

/* Every leading @ goes, so that a name is the same after it was written and read again. */
static enum kol_status set_name(struct slot *slot, struct str text, struct kol_error *err)
{
    text = str_trim(text);
    while (text.len && text.ptr[0] == '@') {
        text = str_trim((struct str){text.ptr + 1, text.len - 1});
    }
    return set_filled_text(slot, text, err);
}

bool slot_read_time(struct str text, int64_t *time_us)
{
    return clock_parse(text, time_us) && *time_us >= TIME_FIRST_US && *time_us < TIME_BEHIND_US;
}

static enum kol_status set_time(struct slot *slot, struct str text, struct kol_error *err)
{
    if (!slot_read_time(text, slot->value)) {
        return wrong_text(slot, text, "no time of RFC 3339 with its zone, year 0000 to 9999", err);
    }
    slot->known = true;
    return KOL_OK;
}

static enum kol_status set_choice(struct slot *slot, struct str text, struct kol_error *err)
{
    int index = words_find(slot->field->choices, text);
    if (index < 0) {
        char what[128];
        snprintf(what, sizeof what, "none of: %s", slot->field->choices);
        return wrong_text(slot, text, what, err);
    }
    *(int *)slot->value = index;
    slot->known = true;
    return KOL_OK;
}

static enum kol_status set_int(struct slot *slot, int64_t value, struct kol_error *err)
{
    const struct field *field = slot->field;
    if (value < (int64_t)field->min) {
        return kol_fail(err, KOL_INVALID, "%s: %lld is below %lld", slot->name, (long long)value,
                        (long long)field->min);
    }
    if (field->max < 0x1p63 && value > (int64_t)field->max) {
        return kol_fail(err, KOL_INVALID, "%s: %lld is above %lld", slot->name, (long long)value,
                        (long long)field->max);
    }
    *(int64_t *)slot->value = value;
    slot->known = true;
    return KOL_OK;
}

static enum kol_status set_real(struct slot *slot, double value, struct kol_error *err)
{
    const struct field *field = slot->field;
    if (value < field->min || value > field->max) {
        return kol_fail(err, KOL_INVALID, "%s: %g is not between %g and %g", slot->name, value,
                        field->min, field->max);
    }
    *(double *)slot->value = value + 0.0; /* -0 becomes 0: the two are written differently */
    slot->known = true;
    return KOL_OK;
}

/* A decimal number taken apart: digits x 10^exponent, the digits those in `text` but for the point.
 */
struct decimal {
    bool negative;
    struct str digits; /* of the number, a point among them; no zeros at either end */
    int64_t exponent;  /* of the last digit */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number behind the 'e'; one that is huge is as good as 10^9, for there is no such integer. */
static bool read_exponent(struct str text, int64_t *out)
{
    bool negative = text.len && text.ptr[0] == '-';
    size_t i = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    int64_t value = 0;
    if (i == text.len) {
        return false;
    }
    for (; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return false;
        }
        value = value * 10 + (text.ptr[i] - '0');
        value = value > 1000000000 ? 1000000000 : value;
    }
    *out = negative ? -value : value;
    return true;
}

/* Takes "-12.50e3" apart; false if it is no decimal number. */
static bool read_decimal(struct str text, struct decimal *out)
{
    *out = (struct decimal){.negative = text.len && text.ptr[0] == '-'};
    size_t i = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+'), digits = 0, point = 0;
    bool has_point = false;
    const char *first = NULL, *last = NULL; /* digits that are not zero */
    int64_t behind_last = 0;                /* digits between the last one and the point or end */
    for (; i < text.len && (is_digit(text.ptr[i]) || (text.ptr[i] == '.' && !has_point)); i++) {
        if (text.ptr[i] == '.') {
            has_point = true;
            point = digits;
            continue;
        }
        digits++;
        if (text.ptr[i] != '0') {
            first = first ? first : text.ptr + i;
            last = text.ptr + i;
            behind_last = (int64_t)digits;
        }
    }
    if (digits == 0 || (i < text.len && text.ptr[i] != 'e' && text.ptr[i] != 'E') ||
        (i < text.len &&
         !read_exponent((struct str){text.ptr + i + 1, text.len - i - 1}, &out->exponent))) {
        return false;
    }
    if (first) {
        out->digits = (struct str){first, (size_t)(last - first) + 1};
        out->exponent += (int64_t)(has_point ? point : digits) - behind_last;
    }
    return true;
}

/* The integer that a decimal text stands for, exactly. NULL, or what is wrong with the text. */
static const char *read_integer(struct str text, int64_t *out)
{
    struct decimal decimal;
    int64_t value = 0; /* kept negative: INT64_MIN has no positive twin */
    if (!read_decimal(text, &decimal)) {
        return "no number";
    }
    if (decimal.digits.len && decimal.exponent < 0) {
        return "no integer";
    }
    if (decimal.digits.len && decimal.exponent > 18) {
        return "too large";
    }
    for (size_t i = 0; i < decimal.digits.len; i++) {
        char c = decimal.digits.ptr[i];
        if (c != '.' && (__builtin_mul_overflow(value, 10, &value) ||
                         __builtin_sub_overflow(value, c - '0', &value))) {
            return "too large";
        }
    }
    for (int64_t i = 0; decimal.digits.len && i < decimal.exponent; i++) {
        if (__builtin_mul_overflow(value, 10, &value)) {
            return "too large";
        }
    }
    if (!decimal.negative && value == INT64_MIN) {
        return "too large";
    }
    *out = decimal.negative ? value : -value;
    return NULL;
}

static enum kol_status set_int_text(struct slot *slot, struct str text, struct kol_error *err)
{
    int64_t value;
    const char *wrong = read_integer(text, &value);
    return wrong ? wrong_text(slot, text, wrong, err) : set_int(slot, value, err);
}

static enum kol_status set_real_text(struct slot *slot, struct str text, struct kol_error *err)
{
    double value;
    if (!str_to_double(text, &value)) {
        return wrong_text(slot, text, "no number that a double holds", err);
    }
    return set_real(slot, value, err);
}

/* Every leading # goes, for the same reason as in set_name(). */
static struct str tag_of(struct str text)
{
    while (text.len && text.ptr[0] == '#') {
        text.ptr++;
        text.len--;
    }
    return text;
}

static enum kol_status add_tag(struct slot *slot, struct str text, struct kol_error *err)
{
    struct str_list *tags = slot->value;
    text = tag_of(text);
    if (text.len > slot->field->max_bytes) {
        return kol_fail(err, KOL_INVALID, "%s: an item of %zu bytes, more than the %zu allowed",
                        slot->name, text.len, slot->field->max_bytes);
    }
    if (text.len) {
        tags->items[tags->count++] = text;
    }
    return KOL_OK;
}

static enum kol_status set_tag(struct slot *slot, struct str text, struct kol_error *err)
{
    *(struct str_list *)slot->value = (struct str_list){arena_alloc(slot->arena, sizeof text), 0};
    slot->known = true;
    return add_tag(slot, text, err);
}

static enum kol_status set_tag_array(struct slot *slot, const struct json_token *array,
                                     struct kol_error *err)
{
    struct str_list *tags = slot->value;
    struct json_token item;
    if (array->value > DECODE_MAX_TAGS) {
        return kol_fail(err, KOL_INVALID, "%s: %lld items, more than the %d allowed", slot->name,
                        (long long)array->value, DECODE_MAX_TAGS);
    }
    *tags =
        (struct str_list){arena_alloc(slot->arena, (size_t)array->value * sizeof(struct str)), 0};
    slot->known = true;
    for (const char *at = array->ptr; json_next_string(array, &at, &item);) {
        if (item.kind != TOKEN_STRING) {
            return kol_fail(err, KOL_INVALID, "%s: expected an array of strings, got %s in it",
                            slot->name, json_kind_text(&item));
        }
        enum kol_status status = add_tag(slot, json_text(&item, slot->arena), err);
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

/* The kinds that a text is enough for. */
static enum kol_status set_by_text(struct slot *slot, struct str text, struct kol_error *err)
{
    switch (slot->field->kind) {
    case FIELD_NAME: return set_name(slot, text, err);
    case FIELD_ID: return set_filled_text(slot, str_trim(text), err);
    case FIELD_TIME: return set_time(slot, text, err);
    case FIELD_CHOICE: return set_choice(slot, text, err);
    case FIELD_TAGS: return set_tag(slot, text, err);
    default: return set_text(slot, text, err);
    }
}

static enum kol_status set_int_token(struct slot *slot, const struct json_token *token,
                                     struct kol_error *err)
{
    if (token->kind == TOKEN_INTEGER && token->len <= JSON_EXACT_BYTES) {
        return set_int(slot, token->value, err);
    }
    if (token->kind != TOKEN_INTEGER && token->kind != TOKEN_REAL) {
        return wrong_type(slot, token, err);
    }
    return set_int_text(slot, (struct str){token->ptr, token->len}, err);
}

static enum kol_status set_real_token(struct slot *slot, const struct json_token *token,
                                      struct kol_error *err)
{
    if (token->kind != TOKEN_INTEGER && token->kind != TOKEN_REAL) {
        return wrong_type(slot, token, err);
    }
    return set_real_text(slot, (struct str){token->ptr, token->len}, err);
}

static enum kol_status set_bool_token(struct slot *slot, const struct json_token *token,
                                      struct kol_error *err)
{
    if (token->kind != TOKEN_TRUE && token->kind != TOKEN_FALSE) {
        return wrong_type(slot, token, err);
    }
    *(bool *)slot->value = token->kind == TOKEN_TRUE;
    slot->known = true;
    return KOL_OK;
}

enum kol_status slot_set_token(struct slot *slot, const struct json_token *token,
                               struct kol_error *err)
{
    enum field_kind kind = slot->field->kind;
    slot->known = false;
    if (kind == FIELD_INT) {
        return set_int_token(slot, token, err);
    }
    if (kind == FIELD_REAL) {
        return set_real_token(slot, token, err);
    }
    if (kind == FIELD_BOOL) {
        return set_bool_token(slot, token, err);
    }
    if (token->kind == TOKEN_STRING) {
        return set_by_text(slot, json_text(token, slot->arena), err);
    }
    if (token->kind == TOKEN_INTEGER && (kind == FIELD_ID || kind == FIELD_COUNT)) {
        return set_text(slot, (struct str){token->ptr, token->len}, err);
    }
    if (token->kind == TOKEN_ARRAY && kind == FIELD_TAGS) {
        return set_tag_array(slot, token, err);
    }
    return wrong_type(slot, token, err);
}

static enum kol_status set_bool_text(struct slot *slot, struct str text, struct kol_error *err)
{
    int index = words_find("false true no yes f t 0 1", text);
    if (index < 0) {
        return wrong_text(slot, text, "none of: true false yes no t f 1 0", err);
    }
    *(bool *)slot->value = index % 2 == 1;
    slot->known = true;
    return KOL_OK;
}

enum kol_status slot_set_cell(struct slot *slot, struct str text, struct kol_error *err)
{
    slot->known = false;
    if (!text_is_utf8(text)) {
        return kol_fail(err, KOL_INVALID, "%s: not UTF-8", slot->name);
    }
    switch (slot->field->kind) {
    case FIELD_INT: return set_int_text(slot, str_trim(text), err);
    case FIELD_REAL: return set_real_text(slot, str_trim(text), err);
    case FIELD_BOOL: return set_bool_text(slot, str_trim(text), err);
    case FIELD_TIME: return set_time(slot, str_trim(text), err);
    case FIELD_CHOICE: return set_choice(slot, str_trim(text), err);
    default: return set_by_text(slot, text, err);
    }
}
