/*
 * plan.h: the field tables in the form that decoder and encoder work from.
 *
 * Private to domain/. Made once from the tables of event.h, when the first event comes; constant
 * afterwards.
 */
#ifndef DOMAIN_PLAN_H
#define DOMAIN_PLAN_H

#include <stdatomic.h>
#include <stdint.h>

#include "domain/event.h"
#include "domain/json_scan.h"

enum {
    PLAN_FIELDS_MAX = 64,
    PLAN_LIST_MAX = 16,
    PLAN_CHOICES_MAX = 8,
    PLAN_CHOICE_FIELDS = 4,
    PLAN_KEY_BYTES = 32, /* of the longest name or word with what stands around it; copied whole */
    PLAN_NAME_WORDS = JSON_NAMES_MAX / 64,
};

/* The words of a CHOICE: each as two words of eight bytes with zeros behind its end, for the
 * decoder, and in its quotes, for the encoder. */
struct plan_choices {
    size_t count;
    uint64_t words[PLAN_CHOICES_MAX][2];
    struct plan_text {
        char text[PLAN_KEY_BYTES];
        uint8_t len;
    } quoted[PLAN_CHOICES_MAX];
};

/* A field, as far as an ordinary value of it needs: what is not ordinary asks the table. */
struct plan_field {
    uint8_t kind;       /* enum field_kind */
    uint8_t choices;    /* of a CHOICE: index in event_plan.choices */
    uint16_t offset;    /* of the value in struct event */
    uint32_t max_bytes; /* of a text */
    int64_t min, max;   /* of an INT */
};

/* Another name of a field, by ids. */
struct plan_other {
    uint8_t name;
    uint8_t field;
};

/* A field that can be counted from the count string in `source`. */
struct plan_count {
    uint8_t field;
    uint8_t source;
};

struct event_plan {
    const struct field *rows;
    uint64_t required;                /* fields that must be known */
    uint64_t own[PLAN_NAME_WORDS];    /* the names of json_names that are fields of this type */
    uint64_t others[PLAN_NAME_WORDS]; /* those that it accepts for a field */
    uint8_t field_of[JSON_NAMES_MAX]; /* of an own name */
    struct plan_field fields[PLAN_FIELDS_MAX];
    struct plan_text keys[PLAN_FIELDS_MAX];  /* `,"name":` */
    struct plan_other other[PLAN_LIST_MAX];  /* best first for each field */
    struct plan_count counts[PLAN_LIST_MAX]; /* best first for each field */
    struct plan_choices choices[PLAN_CHOICE_FIELDS];
    size_t other_count, count_count, choice_count;
};

struct event_plans {
    struct json_names names; /* own and other names of all types */
    unsigned event_type;     /* the id of that name */
    struct event_plan types[EVENT_TYPE_COUNT];
};

/* Makes them if they are not there. Thread-safe. */
const struct event_plans *event_plans_make(void);

extern const struct event_plans *_Atomic event_plans_made; /* NULL at first */

static inline const struct event_plans *event_plans(void)
{
    const struct event_plans *plans = atomic_load_explicit(&event_plans_made, memory_order_acquire);
    return plans ? plans : event_plans_make();
}

#endif
