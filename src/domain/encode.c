/*
 * encode.c: canonical JSON, and the ids made from it.
 *
 * The room that an event can take is reserved once; then the parts are put one behind the other
 * without asking again. The bound counts each byte of a text as an escape of six.
 */
#include "domain/encode.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "domain/content_id.h"
#include "domain/json_write.h"
#include "domain/plan.h"

enum {
    NUMBER_BYTES = 48,     /* of any number, time or boolean as text */
    ID_DIGITS = 32,        /* of a content id */
    SMALL_EVENT = 8 * 1024 /* bytes of stack that an id is made in before the arena is asked */
};

static size_t value_bound(enum field_kind kind, const void *value)
{
    size_t bound = NUMBER_BYTES;
    const struct str_list *tags = value;
    switch (kind) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_ID:
    case FIELD_COUNT: return json_text_bound(((const struct str *)value)->len);
    case FIELD_CHOICE: return PLAN_KEY_BYTES;
    case FIELD_TAGS:
        for (size_t i = 0; i < tags->count; i++) {
            bound += json_text_bound(tags->items[i].len) + 1;
        }
        return bound;
    default: return bound;
    }
}

/* Bytes that the event takes at most. */
static size_t event_bound(const struct event_plan *plan, const struct event *event, uint64_t known)
{
    size_t bound = 2 + PLAN_KEY_BYTES;
    for (; known; known &= known - 1) {
        const struct plan_field *field = &plan->fields[__builtin_ctzll(known)];
        const void *value = (const char *)event + field->offset;
        bound += PLAN_KEY_BYTES + value_bound((enum field_kind)field->kind, value);
    }
    return bound;
}

/* Puts a text of the plan. The whole array is copied, which is faster than to copy what is used. */
static inline void put_plan_text(struct buf *out, const struct plan_text *text)
{
    memcpy(out->ptr + out->len, text->text, PLAN_KEY_BYTES);
    out->len += text->len;
}

static void put_tags(struct buf *out, const struct str_list *tags)
{
    json_put_byte(out, '[');
    for (size_t i = 0; i < tags->count; i++) {
        if (i) {
            json_put_byte(out, ',');
        }
        json_put_text(out, tags->items[i]);
    }
    json_put_byte(out, ']');
}

static void put_time(struct buf *out, int64_t time_us)
{
    json_put_byte(out, '"');
    clock_format(out, time_us);
    json_put_byte(out, '"');
}

static void put_value(struct buf *out, const struct event_plan *plan,
                      const struct plan_field *field, const void *value)
{
    switch ((enum field_kind)field->kind) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_ID:
    case FIELD_COUNT: json_put_text(out, *(const struct str *)value); break;
    case FIELD_INT: buf_put_int64(out, *(const int64_t *)value); break;
    case FIELD_REAL: buf_put_double(out, *(const double *)value); break;
    case FIELD_BOOL: json_put_raw(out, *(const bool *)value ? STR("true") : STR("false")); break;
    case FIELD_TIME: put_time(out, *(const int64_t *)value); break;
    case FIELD_CHOICE:
        put_plan_text(out, &plan->choices[field->choices].quoted[*(const int *)value]);
        break;
    case FIELD_TAGS: put_tags(out, value); break;
    case FIELD_KIND_COUNT: kol_panic("a field of no kind");
    }
}

/* Puts the fields of `known`; `out` has room for event_bound(). */
static void put_event(struct buf *out, const struct event_plan *plan, const struct event *event,
                      uint64_t known)
{
    size_t start = out->len;
    for (; known; known &= known - 1) {
        int i = __builtin_ctzll(known);
        put_plan_text(out, &plan->keys[i]);
        put_value(out, plan, &plan->fields[i], (const char *)event + plan->fields[i].offset);
    }
    json_put_byte(out, '}');
    out->ptr[start] = '{'; /* over the first comma */
    out->ptr[out->len] = '\0';
}

void event_encode(struct buf *out, const struct event *event)
{
    const struct event_plan *plan = &event_plans()->types[event->type];
    KOL_ASSERT(event->known != 0);
    buf_reserve(out, event_bound(plan, event, event->known));
    put_event(out, plan, event, event->known);
}

/* What a content id is made of. */
static uint64_t content_of(const struct event *event)
{
    uint64_t known = event->known & ~(UINT64_C(1) << COMMON_FIELD_event_id);
    KOL_ASSERT(known != 0);
    return known;
}

void event_put_content_id(struct buf *out, const struct event *event, struct buf *scratch)
{
    const struct event_plan *plan = &event_plans()->types[event->type];
    uint64_t known = content_of(event);
    buf_clear(scratch);
    buf_reserve(scratch, event_bound(plan, event, known));
    put_event(scratch, plan, event, known);
    hash_put_hex128(out, buf_str(scratch));
}

struct str event_content_id(const struct event *event, struct arena *arena)
{
    const struct event_plan *plan = &event_plans()->types[event->type];
    char small[SMALL_EVENT];
    uint64_t known = content_of(event);
    size_t cap = event_bound(plan, event, known) + 1;
    /* Neither buffer ever grows: the bound holds. */
    struct buf text = {.ptr = small, .cap = sizeof small};
    if (cap > sizeof small) {
        text = (struct buf){.ptr = arena_alloc(arena, cap), .cap = cap};
    }
    struct buf id = {.ptr = arena_alloc(arena, ID_DIGITS + 1), .cap = ID_DIGITS + 1};
    put_event(&text, plan, event, known);
    hash_put_hex128(&id, buf_str(&text));
    return buf_str(&id);
}
