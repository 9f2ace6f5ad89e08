/*
 * preset_json.h: reading a JSON document by hand, with a place for every refusal.
 *
 * A `struct place` is a chain on the stack: each function that goes one step down makes one, and
 * only a failure turns the chain into text ($.layouts[0].events[1].set.bio).
 */
#ifndef IMPORT_PRESET_JSON_H
#define IMPORT_PRESET_JSON_H

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

struct place {
    const char *file; /* of the root */
    const struct place *above;
    const char *key; /* NULL: an index */
    size_t index;
};

struct place place_key(const struct place *above, const char *key);
struct place place_index(const struct place *above, size_t index);

/* KOL_INVALID with "file: $.place: reason". */
enum kol_status place_fail(const struct place *place, struct kol_error *err, const char *format,
                           ...) KOL_PRINTF(3, 4);

/* The same for a name that does not exist, with the nearest that does. */
enum kol_status place_unknown(const struct place *place, const char *what, const char *name,
                              const char *const *names, size_t count, struct kol_error *err);

/* Parses the document; a key given twice is refused. `*out` is for json_decref(). */
enum kol_status place_load(const char *file, struct str text, json_t **out,
                           struct kol_error *err) KOL_CHECKED;

/* Refuses what is no object, or has a key outside `keys` (NULL-terminated). */
enum kol_status place_keys(const struct place *place, const json_t *json, const char *const *keys,
                           struct kol_error *err) KOL_CHECKED;

/* The text of a JSON string; a view that lives as long as `json`. */
enum kol_status place_text(const struct place *place, const json_t *json, struct str *out,
                           struct kol_error *err) KOL_CHECKED;

#endif
