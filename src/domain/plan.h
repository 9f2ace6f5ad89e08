/*
 * plan.h: the field tables in the form that decoder and encoder work from.
 *
 * Private to domain/. Made once from the tables of event.h, when the first event comes; constant
 * afterwards.
 */
#ifndef DOMAIN_PLAN_H
#define DOMAIN_PLAN_H

#include <stdint.h>

#include "domain/event.h"
#include "domain/json_scan.h"

enum {
    PLAN_FIELDS_MAX = 64,
    PLAN_OTHERS_MAX = 16,
    PLAN_KEY_BYTES = 32, /* `,"name":` of the longest name, and room to copy it whole */
    PLAN_NAME_WORDS = JSON_NAMES_MAX / 64,
};

/* Another name of a field, by ids. */
struct plan_other {
    uint8_t name;
    uint8_t field;
};

struct event_plan {
    const struct field *fields;
    uint64_t own[PLAN_NAME_WORDS];    /* the names of json_names that are fields of this type */
    uint64_t others[PLAN_NAME_WORDS]; /* those that it accepts for a field */
    uint8_t field_of[JSON_NAMES_MAX]; /* of an own name */
    struct plan_other other[PLAN_OTHERS_MAX]; /* best first for each field */
    size_t other_count;
    uint64_t count_sources; /* fields that another one may be counted from */
    struct plan_key {
        char text[PLAN_KEY_BYTES]; /* `,"name":` */
        uint8_t len;
    } keys[PLAN_FIELDS_MAX];
};

struct event_plans {
    struct json_names names; /* own and other names of all types */
    int event_type;          /* the id of that name */
    struct event_plan types[EVENT_TYPE_COUNT];
};

/* Thread-safe. */
const struct event_plans *event_plans(void);

#endif
