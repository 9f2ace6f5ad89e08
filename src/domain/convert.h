/*
 * convert.h: one value, from JSON or from a text cell, as the kind of its field.
 *
 * Private to domain/.
 */
#ifndef DOMAIN_CONVERT_H
#define DOMAIN_CONVERT_H

#include "base/arena.h"
#include "base/error.h"
#include "domain/event.h"
#include "domain/json_scan.h"

/* Any value of a field. */
union field_value {
#define FIELD_KIND(KIND, c_type, text, help) c_type of_##KIND;
#include "domain/field_kinds.def"
#undef FIELD_KIND
};

/* A value under conversion. */
struct slot {
    const struct field *field;
    const char *name;    /* as reasons call it: the key that was given */
    void *value;         /* where it goes, of the type of its kind */
    struct arena *arena; /* for texts with escapes and lists */
    bool known;          /* set by a conversion: false where an empty text means nothing */
};

/* Converts a token that is not null. KOL_INVALID with the reason. */
enum kol_status slot_set_token(struct slot *slot, const struct json_token *token,
                               struct kol_error *err) KOL_CHECKED;

/* Reads a time that can be written as RFC 3339 again: its year in UTC has four digits. */
bool slot_read_time(struct str text, int64_t *time_us);

/* Converts a text cell: decode.h, event_set_text(). */
enum kol_status slot_set_cell(struct slot *slot, struct str text,
                              struct kol_error *err) KOL_CHECKED;

#endif
