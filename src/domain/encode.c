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

static size_t value_bound(const struct field *field, const void *value)
{
    size_t bound = NUMBER_BYTES;
    switch (field->kind) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_ID:
    case FIELD_COUNT: return json_text_bound(((const struct str *)value)->len);
    case FIELD_CHOICE: return strlen(field->choices) + 2;
    case FIELD_TAGS: {
        const struct str_list *tags = value;
        for (size_t i = 0; i < tags->count; i++) {
            bound += json_text_bound(tags->items[i].len) + 1;
        }
        return bound;
    }
    default: return bound;
    }
}

/* Bytes that the event takes at most. */
static size_t event_bound(const struct event *event, uint64_t known)
{
    const struct field *fields = event_fields(event->type).fields;
    size_t bound = 2 + PLAN_KEY_BYTES;
    for (; known; known &= known - 1) {
        const struct field *field = &fields[__builtin_ctzll(known)];
        bound += PLAN_KEY_BYTES + value_bound(field, event_value_const(event, field));
    }
    return bound;
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

static void put_value(struct buf *out, const struct field *row, const void *value)
{
    switch (row->kind) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_ID:
    case FIELD_COUNT: json_put_text(out, *(const struct str *)value); break;
    case FIELD_INT: buf_put_int64(out, *(const int64_t *)value); break;
    case FIELD_REAL: buf_put_double(out, *(const double *)value); break;
    case FIELD_BOOL: json_put_raw(out, *(const bool *)value ? STR("true") : STR("false")); break;
    case FIELD_TIME: put_time(out, *(const int64_t *)value); break;
    case FIELD_CHOICE: json_put_text(out, words_at(row->choices, *(const int *)value)); break;
    case FIELD_TAGS: put_tags(out, value); break;
    case FIELD_KIND_COUNT: kol_panic("a field of no kind");
    }
}

/* Puts the fields of `known`; `out` has room for event_bound(). */
static void put_event(struct buf *out, const struct event *event, uint64_t known)
{
    const struct event_plan *plan = &event_plans()->types[event->type];
    size_t start = out->len;
    for (; known; known &= known - 1) {
        int i = __builtin_ctzll(known);
        /* The whole array is copied, which is faster than to copy what is used of it. */
        memcpy(out->ptr + out->len, plan->fields[i].key, PLAN_KEY_BYTES);
        out->len += plan->fields[i].key_len;
        put_value(out, &plan->rows[i], event_value_const(event, &plan->rows[i]));
    }
    json_put_byte(out, '}');
    out->ptr[start] = '{'; /* over the first comma */
    out->ptr[out->len] = '\0';
}

void event_encode(struct buf *out, const struct event *event)
{
    KOL_ASSERT(event->known != 0);
    buf_reserve(out, event_bound(event, event->known));
    put_event(out, event, event->known);
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
    uint64_t known = content_of(event);
    buf_clear(scratch);
    buf_reserve(scratch, event_bound(event, known));
    put_event(scratch, event, known);
    hash_put_hex128(out, buf_str(scratch));
}

struct str event_content_id(const struct event *event, struct arena *arena)
{
    char small[SMALL_EVENT];
    uint64_t known = content_of(event);
    size_t cap = event_bound(event, known) + 1;
    /* Neither buffer ever grows: the bound holds. */
    struct buf text = {.ptr = small, .cap = sizeof small};
    if (cap > sizeof small) {
        text = (struct buf){.ptr = arena_alloc(arena, cap), .cap = cap};
    }
    struct buf id = {.ptr = arena_alloc(arena, ID_DIGITS + 1), .cap = ID_DIGITS + 1};
    put_event(&text, event, known);
    hash_put_hex128(&id, buf_str(&text));
    return buf_str(&id);
}
