/*
 * apply.h: a record of a file and the rules of a preset -> an event.
 */
#ifndef IMPORT_APPLY_H
#define IMPORT_APPLY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "domain/event.h"
#include "import/preset.h"

/* Values that the user gives to fields, whatever the preset says. */
struct overrides {
    struct override {
        struct str name, value;
        struct str json; /* the value as JSON has it */
    } * items;
    size_t count;
};

/* Reads "event_time=2024-01-31T00:00:00Z,lang=vi" ("\," is a comma inside a value; NULL: none) into
 * `arena`. Each name must be a field of an event that the preset makes, each value one of its kind:
 * else KOL_USAGE. */
enum kol_status overrides_parse(const char *text, const struct preset *preset, struct arena *arena,
                                struct overrides *out, struct kol_error *err) KOL_CHECKED;

/* Appends the JSON object `json` with the overrides as its last members, which count. */
void overrides_splice(struct buf *out, const struct overrides *overrides, struct str json);

/* A record, read through the header of its file. */
struct apply_record {
    const struct preset_layout *layout;
    const size_t *places; /* preset_pick() */
    const struct str *cells;
};

/* Whether the record gives this event. */
bool apply_wanted(const struct apply_record *record, const struct preset_event *rules);

/* Makes the event and finishes it (event_finish()). KOL_INVALID with the reason where the record
 * does not give a valid one. Texts are views into the cells, the preset and `arena`. */
enum kol_status apply_event(const struct apply_record *record, const struct preset_event *rules,
                            const struct overrides *overrides, int64_t now_us, struct arena *arena,
                            struct event *out, struct kol_error *err) KOL_CHECKED;

#endif
