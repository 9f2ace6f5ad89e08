/*
 * event_reference.h: a second decoder of events, slow and written from the field table alone, over
 * the tree that jansson builds: what the decoder is compared with.
 */
#ifndef TESTS_UNIT_EVENT_REFERENCE_H
#define TESTS_UNIT_EVENT_REFERENCE_H

#include <jansson.h>
#include <math.h>
#include <strings.h>
#include <time.h>

#include "count_reference.h"
#include "event_fixture.h"

enum { REFERENCE_FIELDS = 64 };

/* One value: the member that the kind of its field asks for. */
struct reference_value {
    bool known;
    struct buf text; /* TEXT, NAME, ID, COUNT; the items of TAGS, each with its length before it */
    size_t items;    /* TAGS */
    int64_t integer; /* INT, TIME, CHOICE, BOOL */
    double real;     /* REAL */
};

enum verdict {
    REFUSED,
    ACCEPTED,
    UNCLEAR, /* the tree does not say enough to know: the number is cut in it, for instance */
};

struct reference {
    enum event_type type;
    struct reference_value values[REFERENCE_FIELDS];
};

static inline void reference_free(struct reference *reference)
{
    for (int i = 0; i < REFERENCE_FIELDS; i++) {
        buf_free(&reference->values[i].text);
    }
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

/* Cuts white space off both ends, and every leading `mark` with the white space behind it. */
static inline struct str reference_trim(struct str text, char mark)
{
    while (text.len && (is_blank(text.ptr[0]) || (mark && text.ptr[0] == mark))) {
        text = (struct str){text.ptr + 1, text.len - 1};
    }
    while (text.len && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

static inline bool digits_at(const char *text, const char *pattern)
{
    for (; *pattern; text++, pattern++) {
        if (*pattern == 'd' ? !(*text >= '0' && *text <= '9') : *text != *pattern) {
            return false;
        }
    }
    return true;
}

/* Reads RFC 3339 with the C library's calendar. */
static inline bool reference_time(struct str text, int64_t *out_us)
{
    char copy[512];
    if (text.len < 20 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (strlen(copy) != text.len || !strchr("Tt ", copy[10])) {
        return false;
    }
    copy[10] = 'T';
    if (!digits_at(copy, "dddd-dd-ddTdd:dd:dd")) {
        return false;
    }
    struct tm tm = {.tm_year = atoi(copy) - 1900,
                    .tm_mon = atoi(copy + 5) - 1,
                    .tm_mday = atoi(copy + 8),
                    .tm_hour = atoi(copy + 11),
                    .tm_min = atoi(copy + 14),
                    .tm_sec = atoi(copy + 17)};
    struct tm there = tm;
    there.tm_hour = there.tm_min = there.tm_sec = 0;
    int64_t seconds = timegm(&there);
    if (there.tm_mday != tm.tm_mday || there.tm_mon != tm.tm_mon || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60) {
        return false;
    }
    seconds += tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
    const char *rest = copy + 19;
    int64_t us = 0;
    if (*rest == '.') {
        size_t digits = strspn(rest + 1, "0123456789");
        char six[7] = "000000";
        memcpy(six, rest + 1, digits < 6 ? digits : 6);
        us = atoi(six);
        rest += 1 + digits;
        if (digits == 0) {
            return false;
        }
    }
    if (strlen(rest) == 6 && digits_at(rest + 1, "dd:dd") && strchr("+-", *rest)) {
        int hours = atoi(rest + 1), minutes = atoi(rest + 4);
        if (hours > 23 || minutes > 59) {
            return false;
        }
        seconds -= (*rest == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    } else if (strcasecmp(rest, "Z") != 0) {
        return false;
    }
    *out_us = seconds * 1000000 + us;
    return seconds >= -62167219200 && seconds <= 253402300799; /* years 0000 to 9999 */
}

static inline bool reference_choice(const char *words, struct str text, int64_t *out)
{
    char copy[128];
    snprintf(copy, sizeof copy, "%s", words);
    int64_t index = 0;
    char *rest = copy, *word;
    for (; (word = strsep(&rest, " ")); index++) {
        if (strlen(word) == text.len && strncasecmp(word, text.ptr, text.len) == 0) {
            *out = index;
            return true;
        }
    }
    return false;
}

static inline struct str text_of(const json_t *node)
{
    return (struct str){json_string_value(node), json_string_length(node)};
}

static inline enum verdict reference_text(const struct field *field, const json_t *node,
                                          struct reference_value *value)
{
    struct str text;
    char digits[32];
    if (json_is_string(node)) {
        text = text_of(node);
    } else if (json_is_integer(node) && (field->kind == FIELD_ID || field->kind == FIELD_COUNT)) {
        if (json_integer_value(node) == 0) {
            return UNCLEAR; /* it may have been written -0 */
        }
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(node));
        text = str_of(digits);
    } else {
        return REFUSED;
    }
    if (field->kind == FIELD_NAME || field->kind == FIELD_ID) {
        text = reference_trim(text, field->kind == FIELD_NAME ? '@' : '\0');
    }
    if (text.len > field->max_bytes) {
        return REFUSED;
    }
    value->known = text.len || field->kind == FIELD_TEXT || field->kind == FIELD_COUNT;
    buf_put(&value->text, text);
    return ACCEPTED;
}

static inline enum verdict reference_int(const struct field *field, const json_t *node,
                                         struct reference_value *value)
{
    if (json_is_real(node)) {
        double real = json_real_value(node);
        if (real == 0 || fabs(real) >= 0x1p53) {
            return UNCLEAR; /* 1e-400 is 0 in the tree, and great numbers lose their ends */
        }
        if (real != floor(real)) {
            return REFUSED;
        }
        value->integer = (int64_t)real;
    } else if (json_is_integer(node)) {
        value->integer = json_integer_value(node);
    } else {
        return REFUSED;
    }
    value->known = true;
    return value->integer >= 0 && (field->max >= 0x1p63 || value->integer <= (int64_t)field->max)
               ? ACCEPTED
               : REFUSED;
}

static inline enum verdict reference_tags(const struct field *field, const json_t *node,
                                          struct reference_value *value)
{
    size_t count = json_is_array(node) ? json_array_size(node) : 1;
    if (!json_is_array(node) && !json_is_string(node)) {
        return REFUSED;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(node) ? json_array_get(node, i) : node;
        struct str text = json_is_string(item) ? text_of(item) : (struct str){NULL, 0};
        while (text.len && text.ptr[0] == '#') {
            text = (struct str){text.ptr + 1, text.len - 1};
        }
        if (!json_is_string(item) || text.len > field->max_bytes) {
            return REFUSED;
        }
        if (text.len) {
            buf_append(&value->text, &text.len, sizeof text.len);
            buf_put(&value->text, text);
            value->items++;
        }
    }
    value->known = true;
    return count <= 1000 ? ACCEPTED : REFUSED;
}

/* One node that is not null. */
static inline enum verdict reference_node(const struct field *field, const json_t *node,
                                          struct reference_value *value)
{
    switch (field->kind) {
    case FIELD_INT: return reference_int(field, node, value);
    case FIELD_TAGS: return reference_tags(field, node, value);
    case FIELD_REAL:
        value->real = json_number_value(node) + 0.0;
        value->known = true;
        return json_is_number(node) && value->real >= 0 && value->real <= field->max ? ACCEPTED
                                                                                     : REFUSED;
    case FIELD_BOOL:
        value->integer = json_is_true(node);
        value->known = true;
        return json_is_boolean(node) ? ACCEPTED : REFUSED;
    case FIELD_TIME:
        value->known = true;
        return json_is_string(node) && reference_time(text_of(node), &value->integer) ? ACCEPTED
                                                                                      : REFUSED;
    case FIELD_CHOICE:
        value->known = true;
        return json_is_string(node) &&
                       reference_choice(field->choices, text_of(node), &value->integer)
                   ? ACCEPTED
                   : REFUSED;
    default: return reference_text(field, node, value);
    }
}

/* A field by all its names: own first, then the others; the first value that is known is taken, and
 * all that are given must be right. */
static inline enum verdict reference_field(const struct field *field, const json_t *object,
                                           struct reference_value *value)
{
    char names[256];
    snprintf(names, sizeof names, "%s%s%s", field->name, field->accepts ? " " : "",
             field->accepts ? field->accepts : "");
    bool unclear = false;
    for (char *rest = names, *name; (name = strsep(&rest, " "));) {
        const json_t *node = json_object_get(object, name);
        if (!node || json_is_null(node)) {
            continue;
        }
        struct reference_value given = {0};
        enum verdict verdict = reference_node(field, node, &given);
        if (verdict == ACCEPTED && given.known && !value->known) {
            buf_free(&value->text);
            *value = given;
        } else {
            buf_free(&given.text);
        }
        if (verdict == REFUSED) {
            return REFUSED;
        }
        unclear = unclear || verdict == UNCLEAR;
    }
    return unclear ? UNCLEAR : ACCEPTED;
}

static inline void reference_complete(struct reference *reference)
{
    struct field_table table = event_fields(reference->type);
    for (size_t i = 0; i < table.count; i++) {
        char names[256];
        snprintf(names, sizeof names, "%s",
                 table.fields[i].count_from ? table.fields[i].count_from : "");
        for (char *rest = names, *name; (name = strsep(&rest, " "));) {
            for (size_t j = 0; j < table.count; j++) {
                if (strcmp(table.fields[j].name, name) == 0 && reference->values[j].known &&
                    !reference->values[i].known) {
                    reference->values[i].known = count_reference(
                        buf_str(&reference->values[j].text), &reference->values[i].integer);
                }
            }
        }
    }
}

static inline bool reference_rules(const struct reference *reference, int64_t now_us)
{
    struct field_table table = event_fields(reference->type);
    const struct reference_value *values = reference->values;
    for (size_t i = 0; i < table.count; i++) {
        if (table.fields[i].required && !values[i].known) {
            return false;
        }
    }
    bool owner = values[COMMON_FIELD_username].known || values[COMMON_FIELD_user_id].known;
    int64_t time_us = values[COMMON_FIELD_event_time].integer;
    return (owner || reference->type == EVENT_VIDEO) && time_us >= 1104537600 * INT64_C(1000000) &&
           time_us <= now_us + 86400 * INT64_C(1000000);
}

/* The depth of valid JSON. The tree will not do: it lacks what a later key of the same name
 * replaced. */
static inline int json_depth(struct str json)
{
    int depth = 0, deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return deepest;
}

/* Decodes the tree of `json`; `reference` is zeroed. */
static inline enum verdict reference_decode(struct str json, const json_t *root, int64_t now_us,
                                            struct reference *reference)
{
    int64_t type;
    const json_t *type_node = json_object_get(root, "event_type");
    if (!json_is_object(root) || json_depth(json) > 32 || !json_is_string(type_node) ||
        !reference_choice("discovery refresh profile video comment product", text_of(type_node),
                          &type)) {
        return REFUSED;
    }
    reference->type = (enum event_type)type;
    bool unclear = false;
    struct field_table table = event_fields(reference->type);
    for (size_t i = 0; i < table.count; i++) {
        enum verdict verdict = reference_field(&table.fields[i], root, &reference->values[i]);
        if (verdict == REFUSED) {
            return REFUSED;
        }
        unclear = unclear || verdict == UNCLEAR;
    }
    if (unclear) {
        return UNCLEAR;
    }
    reference_complete(reference);
    return reference_rules(reference, now_us) ? ACCEPTED : REFUSED;
}

#endif
