/* preset_json.c: places, and the three checks that every object of a preset needs. */
#include "import/preset_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct place place_key(const struct place *above, const char *key)
{
    return (struct place){.above = above, .key = key};
}

struct place place_index(const struct place *above, size_t index)
{
    return (struct place){.above = above, .index = index};
}

/* Appends "file: $.a[0].b". */
static void put_place(struct buf *out, const struct place *place)
{
    if (!place->above) {
        buf_printf(out, "%s: $", place->file);
        return;
    }
    put_place(out, place->above);
    if (place->key) {
        buf_printf(out, ".%.60s", place->key);
    } else {
        buf_printf(out, "[%zu]", place->index);
    }
}

enum kol_status place_fail(const struct place *place, struct kol_error *err, const char *format,
                           ...)
{
    struct buf text = {0};
    va_list args;
    put_place(&text, place);
    buf_puts(&text, ": ");
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    enum kol_status status = kol_fail(err, KOL_INVALID, "%s", text.ptr);
    buf_free(&text);
    return status;
}

enum kol_status place_unknown(const struct place *place, const char *what, const char *name,
                              const char *const *names, size_t count, struct kol_error *err)
{
    const char *near = str_nearest(str_of(name), names, count);
    if (near) {
        return place_fail(place, err, "no %s \"%.60s\"; is \"%s\" meant?", what, name, near);
    }
    return place_fail(place, err, "no %s \"%.60s\"", what, name);
}

enum kol_status place_load(const char *file, struct str text, json_t **out, struct kol_error *err)
{
    json_error_t why;
    *out = json_loadb(text.len ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &why);
    if (!*out) {
        return kol_fail(err, KOL_INVALID, "%s:%d: %s", file, why.line > 0 ? why.line : 1, why.text);
    }
    return KOL_OK;
}

enum kol_status place_keys(const struct place *place, const json_t *json, const char *const *keys,
                           struct kol_error *err)
{
    const char *key;
    json_t *value;
    size_t count = 0;
    if (!json_is_object(json)) {
        return place_fail(place, err, json ? "expected an object" : "is missing");
    }
    while (keys[count]) {
        count++;
    }
    json_object_foreach((json_t *)json, key, value)
    {
        size_t i = 0;
        while (i < count && strcmp(key, keys[i]) != 0) {
            i++;
        }
        if (i == count) {
            return place_unknown(place, "key", key, keys, count, err);
        }
    }
    return KOL_OK;
}

enum kol_status place_text(const struct place *place, const json_t *json, struct str *out,
                           struct kol_error *err)
{
    if (!json_is_string(json)) {
        return place_fail(place, err, json ? "expected a text" : "is missing");
    }
    *out = (struct str){json_string_value(json), json_string_length(json)};
    return KOL_OK;
}
