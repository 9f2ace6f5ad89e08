/*
 * json_reader.c: takes a parsed JSON document apart with a place for every complaint.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iceberg/parts.h"

json_t *json_reader_parse(struct json_reader *reader, struct str text)
{
    json_error_t why;
    json_t *root = json_loadb(text.len ? text.ptr : "", text.len, 0, &why);
    if (!root) {
        reader->status = kol_fail(reader->err, KOL_CORRUPT, "%s: is no JSON (line %d): %s",
                                  reader->document, why.line, why.text);
    }
    return root;
}

void json_reader_fail(struct json_reader *reader, enum kol_status status, const char *key,
                      const char *problem)
{
    if (reader->status == KOL_OK) {
        reader->status =
            kol_fail(reader->err, status, "%s: %s%s%s: %s", reader->document, reader->path,
                     reader->path_len && key ? "." : "", key ? key : "", problem);
    }
}

void json_reader_take(struct json_reader *reader, enum kol_status status,
                      const struct kol_error *why, const char *key)
{
    if (status != KOL_OK) {
        json_reader_fail(reader, status, key, why->message);
    }
}

size_t json_reader_enter(struct json_reader *reader, const char *key, long index)
{
    size_t mark = reader->path_len, room = sizeof reader->path - mark;
    const char *dot = mark ? "." : "";
    int len = index < 0 ? snprintf(reader->path + mark, room, "%s%s", dot, key)
                        : snprintf(reader->path + mark, room, "%s%s[%ld]", dot, key, index);
    /* A path that is too deep to be shown whole is shown cut. */
    reader->path_len = (size_t)len < room ? mark + (size_t)len : sizeof reader->path - 1;
    return mark;
}

void json_reader_leave(struct json_reader *reader, size_t mark)
{
    if (reader->status == KOL_OK) {
        reader->path[mark] = '\0';
        reader->path_len = mark;
    }
}

/* The value where it is there and not null. */
static const json_t *value_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static int64_t int_of(struct json_reader *reader, const json_t *value, const char *key, int64_t min,
                      int64_t max)
{
    if (!json_is_integer(value)) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is no whole number");
        return min;
    }
    json_int_t number = json_integer_value(value);
    if (number < min || number > max) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is out of range");
        return min;
    }
    return number;
}

int64_t json_reader_int(struct json_reader *reader, const json_t *object, const char *key,
                        int64_t min, int64_t max)
{
    const json_t *value = value_of(object, key);
    if (!value) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is missing");
        return min;
    }
    return int_of(reader, value, key, min, max);
}

int64_t json_reader_int_or(struct json_reader *reader, const json_t *object, const char *key,
                           int64_t min, int64_t max, int64_t fallback)
{
    const json_t *value = value_of(object, key);
    return value ? int_of(reader, value, key, min, max) : fallback;
}

bool json_reader_bool_or(struct json_reader *reader, const json_t *object, const char *key,
                         bool fallback)
{
    const json_t *value = value_of(object, key);
    if (value && !json_is_boolean(value)) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is neither true nor false");
    }
    return value ? json_is_true(value) : fallback;
}

const char *json_reader_text_or(struct json_reader *reader, const json_t *object, const char *key,
                                const char *fallback)
{
    const json_t *value = value_of(object, key);
    if (!value) {
        return fallback;
    }
    if (!json_is_string(value)) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is no text");
        return fallback;
    }
    return ice_copy_text(reader->arena, json_string_value(value));
}

const char *json_reader_text(struct json_reader *reader, const json_t *object, const char *key)
{
    const char *text = json_reader_text_or(reader, object, key, NULL);
    if (!text) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is missing");
        return "";
    }
    return text;
}

const json_t *json_reader_array_or(struct json_reader *reader, const json_t *object,
                                   const char *key)
{
    const json_t *value = value_of(object, key);
    if (value && !json_is_array(value)) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is no array");
        return NULL;
    }
    if (json_array_size(value) > JSON_MAX_ITEMS) {
        json_reader_fail(reader, KOL_CORRUPT, key, "has too many items");
        return NULL;
    }
    return value;
}

const json_t *json_reader_array(struct json_reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_reader_array_or(reader, object, key);
    if (!value) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is missing");
    }
    return value;
}

const json_t *json_reader_object_or(struct json_reader *reader, const json_t *object,
                                    const char *key)
{
    const json_t *value = value_of(object, key);
    if (value && !json_is_object(value)) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is no object");
        return NULL;
    }
    if (json_object_size(value) > JSON_MAX_ITEMS) {
        json_reader_fail(reader, KOL_CORRUPT, key, "has too many members");
        return NULL;
    }
    return value;
}

const char *json_reader_raw(struct json_reader *reader, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *copy = ice_copy_text(reader->arena, text);
    free(text);
    return copy;
}
