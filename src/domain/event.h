/*
 * event.h: the words of the field: topics, event types, and the fields of each event.
 *
 * Everything follows from the tables: topics.def, event_types.def, fields/<body>.def. A field is
 * one row; the structs, the decoder, the encoder, the presets of import/ and docs/events.md read it
 * from there. No I/O in this room.
 */
#ifndef DOMAIN_EVENT_H
#define DOMAIN_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum topic {
#define TOPIC(NAME, text, direction, help) TOPIC_##NAME,
#include "domain/topics.def"
#undef TOPIC
    TOPIC_COUNT
};

enum event_type {
#define EVENT_TYPE(NAME, text, topic, body, owner) EVENT_##NAME,
#include "domain/event_types.def"
#undef EVENT_TYPE
    EVENT_TYPE_COUNT
};

/* In the order of .choices in fields/common.def. */
enum platform { PLATFORM_TIKTOK, PLATFORM_TWITTER, PLATFORM_YOUTUBE, PLATFORM_INSTAGRAM };

/* In the order of .choices in fields/profile.def. */
enum label { LABEL_HUMAN, LABEL_BOT };

enum field_kind {
#define FIELD_KIND(KIND, c_type, text, help) FIELD_##KIND,
#include "domain/field_kinds.def"
#undef FIELD_KIND
    FIELD_KIND_COUNT
};

struct str_list {
    struct str *items;
    size_t count;
};

#define FIELD_KIND(KIND, c_type, text, help) typedef c_type field_##KIND##_t;
#include "domain/field_kinds.def"
#undef FIELD_KIND

#define FIELD(name, KIND, NEED, ...) field_##KIND##_t name;
struct discovery_event {
#include "domain/fields/discovery.def"
};
struct profile_event {
#include "domain/fields/profile.def"
};
struct video_event {
#include "domain/fields/video.def"
};
struct comment_event {
#include "domain/fields/comment.def"
};
struct product_event {
#include "domain/fields/product.def"
};

/*
 * One event. Texts are views into memory that the maker of the event names (the decoder: its input
 * and its arena). A field has a meaning only while its bit in `known` is set: bit i is field i of
 * event_fields(type), the common fields first.
 */
struct event {
    enum event_type type;
    uint64_t known;
#include "domain/fields/common.def"
    union {
        struct discovery_event discovery;
        struct profile_event profile;
        struct video_event video;
        struct comment_event comment;
        struct product_event product;
    };
};
#undef FIELD

/* The bit of each field: COMMON_FIELD_platform, PROFILE_FIELD_followers_count, ... */
#define FIELD(name, KIND, NEED, ...) COMMON_FIELD_##name,
enum common_field {
#include "domain/fields/common.def"
    COMMON_FIELD_COUNT
};
#undef FIELD
#define FIELD(name, KIND, NEED, ...) DISCOVERY_FIELD_##name,
enum discovery_field {
    DISCOVERY_FIELD_BEFORE_FIRST = COMMON_FIELD_COUNT - 1,
#include "domain/fields/discovery.def"
    DISCOVERY_FIELD_COUNT
};
#undef FIELD
#define FIELD(name, KIND, NEED, ...) PROFILE_FIELD_##name,
enum profile_field {
    PROFILE_FIELD_BEFORE_FIRST = COMMON_FIELD_COUNT - 1,
#include "domain/fields/profile.def"
    PROFILE_FIELD_COUNT
};
#undef FIELD
#define FIELD(name, KIND, NEED, ...) VIDEO_FIELD_##name,
enum video_field {
    VIDEO_FIELD_BEFORE_FIRST = COMMON_FIELD_COUNT - 1,
#include "domain/fields/video.def"
    VIDEO_FIELD_COUNT
};
#undef FIELD
#define FIELD(name, KIND, NEED, ...) COMMENT_FIELD_##name,
enum comment_field {
    COMMENT_FIELD_BEFORE_FIRST = COMMON_FIELD_COUNT - 1,
#include "domain/fields/comment.def"
    COMMENT_FIELD_COUNT
};
#undef FIELD
#define FIELD(name, KIND, NEED, ...) PRODUCT_FIELD_##name,
enum product_field {
    PRODUCT_FIELD_BEFORE_FIRST = COMMON_FIELD_COUNT - 1,
#include "domain/fields/product.def"
    PRODUCT_FIELD_COUNT
};
#undef FIELD

/* event_has(ev, PROFILE_FIELD_bio): the value is known. event_know(): from now on it is. */
static inline bool event_has(const struct event *event, int field)
{
    return event->known >> field & 1;
}

static inline void event_know(struct event *event, int field)
{
    event->known |= UINT64_C(1) << field;
}

/* One row of a field table, as fields/common.def explains it. */
struct field {
    const char *name;
    enum field_kind kind;
    bool required;
    size_t offset; /* of the value in struct event */
    double min;    /* INT and REAL; INT compares as integer, 2^63 - 1 where .max is not given */
    double max;
    size_t max_bytes;    /* texts, and each item of TAGS */
    const char *choices; /* space-separated, or NULL */
    const char *accepts; /* space-separated, or NULL */
    const char *count_from;
    const char *column;
    const char *unit;
    const char *help;
};

struct field_table {
    const struct field *fields; /* common fields first; index = bit in event.known */
    size_t count;
};

/* The fields of an event type. The tables are constant. */
struct field_table event_fields(enum event_type type);

/* The field called `name` (own names only), or -1. */
int event_field_index(enum event_type type, struct str name);

/* Where the value of a field lies in `event`. */
static inline void *event_value(struct event *event, const struct field *field)
{
    return (char *)event + field->offset;
}

static inline const void *event_value_const(const struct event *event, const struct field *field)
{
    return (const char *)event + field->offset;
}

const char *topic_name(enum topic topic);
const char *topic_help(enum topic topic);
bool topic_is_input(enum topic topic);
bool topic_find(struct str name, enum topic *out);

const char *event_type_name(enum event_type type);
bool event_type_find(struct str name, enum event_type *out);
enum topic event_type_topic(enum event_type type);

const char *platform_name(enum platform platform);
const char *field_kind_name(enum field_kind kind);
const char *field_kind_help(enum field_kind kind);

/* The word at `index` of space-separated `words`, and the index of a word (ASCII case ignored), -1
 * where there is none. */
struct str words_at(const char *words, int index);
int words_find(const char *words, struct str word);

/*
 * What no single field can say: required fields are known; an owner is known where the type needs
 * one; event_time lies between 2005-01-01 and 24 h after `now_us`. KOL_INVALID with the reason.
 */
enum kol_status event_check(const struct event *event, int64_t now_us,
                            struct kol_error *err) KOL_CHECKED;

/* Fills what follows from other fields: an unknown INT with .count_from takes the first of its
 * count strings that can be read. */
void event_complete(struct event *event);

/* Appends the log key: platform:username, else platform:user_id, else platform:video_id. */
void event_put_key(struct buf *buf, const struct event *event);

/* The KOL that the event speaks of: username, else user_id, else empty. */
struct str event_kol_id(const struct event *event);

#endif
