/* event.c: the tables of the domain, and the rules that no single field can state. */
#include "domain/event.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "domain/count.h"
#include "domain/plan.h"

enum { NEED_OPTIONAL = 0, NEED_REQUIRED = 1, DIRECTION_INPUT = 1, DIRECTION_OUTPUT = 0 };

/* Defaults of a row; the attributes that it names come after them and win. */
#define FIELD_DEFAULTS .min = 0, .max = 0x1p63, .max_bytes = 65536

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

#define COMMON_ROW(field_name, KIND, NEED, ...)                                                    \
    {.name = #field_name,                                                                          \
     .kind = FIELD_##KIND,                                                                         \
     .required = NEED_##NEED,                                                                      \
     .offset = offsetof(struct event, field_name),                                                 \
     FIELD_DEFAULTS,                                                                               \
     .column = #field_name,                                                                        \
     __VA_ARGS__},
#define BODY_ROW(body, field_name, KIND, NEED, ...)                                                \
    {.name = #field_name,                                                                          \
     .kind = FIELD_##KIND,                                                                         \
     .required = NEED_##NEED,                                                                      \
     .offset = offsetof(struct event, body.field_name),                                            \
     FIELD_DEFAULTS,                                                                               \
     .column = #field_name,                                                                        \
     __VA_ARGS__},

static const struct field discovery_fields[] = {
#define FIELD COMMON_ROW
#include "domain/fields/common.def"
#undef FIELD
#define FIELD(...) BODY_ROW(discovery, __VA_ARGS__)
#include "domain/fields/discovery.def"
#undef FIELD
};

static const struct field profile_fields[] = {
#define FIELD COMMON_ROW
#include "domain/fields/common.def"
#undef FIELD
#define FIELD(...) BODY_ROW(profile, __VA_ARGS__)
#include "domain/fields/profile.def"
#undef FIELD
};

static const struct field video_fields[] = {
#define FIELD COMMON_ROW
#include "domain/fields/common.def"
#undef FIELD
#define FIELD(...) BODY_ROW(video, __VA_ARGS__)
#include "domain/fields/video.def"
#undef FIELD
};

static const struct field comment_fields[] = {
#define FIELD COMMON_ROW
#include "domain/fields/common.def"
#undef FIELD
#define FIELD(...) BODY_ROW(comment, __VA_ARGS__)
#include "domain/fields/comment.def"
#undef FIELD
};

static const struct field product_fields[] = {
#define FIELD COMMON_ROW
#include "domain/fields/common.def"
#undef FIELD
#define FIELD(...) BODY_ROW(product, __VA_ARGS__)
#include "domain/fields/product.def"
#undef FIELD
};

#pragma GCC diagnostic pop

/* A field is a bit of event.known. */
_Static_assert(sizeof profile_fields / sizeof profile_fields[0] <= 64, "too many fields");
_Static_assert(sizeof product_fields / sizeof product_fields[0] <= 64, "too many fields");

static const struct {
    const char *name;
    const char *help;
    bool input;
} topics[TOPIC_COUNT] = {
#define TOPIC(NAME, text, direction, help) [TOPIC_##NAME] = {text, help, DIRECTION_##direction},
#include "domain/topics.def"
#undef TOPIC
};

static const struct {
    const char *name;
    enum topic topic;
    struct field_table table;
    bool owner_required;
} event_types[EVENT_TYPE_COUNT] = {
#define EVENT_TYPE(NAME, text, topic, body, owner)                                                 \
    [EVENT_##NAME] = {text,                                                                        \
                      TOPIC_##topic,                                                               \
                      {body##_fields, sizeof body##_fields / sizeof body##_fields[0]},             \
                      NEED_##owner},
#include "domain/event_types.def"
#undef EVENT_TYPE
};

static const struct {
    const char *name;
    const char *help;
} kinds[FIELD_KIND_COUNT] = {
#define FIELD_KIND(KIND, c_type, text, help) [FIELD_##KIND] = {text, help},
#include "domain/field_kinds.def"
#undef FIELD_KIND
};

struct field_table event_fields(enum event_type type)
{
    return event_types[type].table;
}

int event_field_index(enum event_type type, struct str name)
{
    struct field_table table = event_types[type].table;
    for (size_t i = 0; i < table.count; i++) {
        if (str_is(name, table.fields[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

const char *topic_name(enum topic topic)
{
    return topics[topic].name;
}

const char *topic_help(enum topic topic)
{
    return topics[topic].help;
}

bool topic_is_input(enum topic topic)
{
    return topics[topic].input;
}

bool topic_find(struct str name, enum topic *out)
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        if (str_is(name, topics[i].name)) {
            *out = (enum topic)i;
            return true;
        }
    }
    return false;
}

const char *event_type_name(enum event_type type)
{
    return event_types[type].name;
}

bool event_type_find(struct str name, enum event_type *out)
{
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        if (str_is(name, event_types[i].name)) {
            *out = (enum event_type)i;
            return true;
        }
    }
    return false;
}

enum topic event_type_topic(enum event_type type)
{
    return event_types[type].topic;
}

const char *platform_name(enum platform platform)
{
    static const char *const names[] = {"tiktok", "twitter", "youtube", "instagram"};
    return names[platform];
}

const char *field_kind_name(enum field_kind kind)
{
    return kinds[kind].name;
}

const char *field_kind_help(enum field_kind kind)
{
    return kinds[kind].help;
}

struct str words_at(const char *words, int index)
{
    struct str rest = str_of(words), word = str_cut(&rest, ' ');
    while (index-- > 0) {
        word = str_cut(&rest, ' ');
    }
    return word;
}

int words_find(const char *words, struct str word)
{
    struct str rest = str_of(words);
    for (int index = 0; rest.len; index++) {
        struct str candidate = str_cut(&rest, ' ');
        if (candidate.len == word.len && strncasecmp(candidate.ptr, word.ptr, word.len) == 0) {
            return index;
        }
    }
    return -1;
}

static enum kol_status check_time(int64_t event_time, int64_t now_us, struct kol_error *err)
{
    const int64_t earliest = INT64_C(1104537600) * CLOCK_US_PER_SECOND; /* 2005-01-01 */
    if (event_time < earliest) {
        return kol_fail(err, KOL_INVALID, "event_time: before 2005-01-01, which no source can be");
    }
    if (event_time > now_us + CLOCK_US_PER_DAY) {
        return kol_fail(err, KOL_INVALID, "event_time: more than 24 h ahead of this machine");
    }
    return KOL_OK;
}

enum kol_status event_check(const struct event *event, int64_t now_us, struct kol_error *err)
{
    const struct event_plan *plan = &event_plans()->types[event->type];
    uint64_t missing = plan->required & ~event->known;
    if (missing) {
        return kol_fail(err, KOL_INVALID, "%s: missing, a %s event needs it",
                        plan->rows[__builtin_ctzll(missing)].name, event_type_name(event->type));
    }
    if (event_types[event->type].owner_required && event_kol_id(event).len == 0) {
        return kol_fail(err, KOL_INVALID, "username: missing, and no user_id stands in for it");
    }
    return check_time(event->event_time, now_us, err);
}

void event_complete(struct event *event)
{
    const struct event_plan *plan = &event_plans()->types[event->type];
    for (size_t i = 0; i < plan->count_count; i++) {
        int field = plan->counts[i].field, source = plan->counts[i].source;
        if (event_has(event, source) && !event_has(event, field)) {
            const struct str *text = event_value_const(event, &plan->rows[source]);
            if (count_parse(*text, event_value(event, &plan->rows[field]))) {
                event_know(event, field);
            }
        }
    }
}

struct str event_kol_id(const struct event *event)
{
    if (event_has(event, COMMON_FIELD_username)) {
        return event->username;
    }
    return event_has(event, COMMON_FIELD_user_id) ? event->user_id : (struct str){NULL, 0};
}

void event_put_key(struct buf *buf, const struct event *event)
{
    struct str owner = event_kol_id(event);
    if (!owner.len && event->type == EVENT_VIDEO) {
        owner = event->video.video_id;
    }
    buf_puts(buf, platform_name((enum platform)event->platform));
    buf_putc(buf, ':');
    buf_put(buf, owner);
}
