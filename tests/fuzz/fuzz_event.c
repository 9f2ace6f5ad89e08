/*
 * fuzz_event.c: any bytes as an event.
 *
 * What must hold: what is refused has a reason, and that is UTF-8. What is accepted fits its table,
 * and its canonical form is accepted too and means the same: the same known fields, the same
 * bytes again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "domain/decode.h"
#include "domain/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (INT64_C(1748736000) * CLOCK_US_PER_SECOND) /* 2025-06-01T00:00:00Z */

static struct arena arena, arena_again;
static struct buf canonical, again, id, scratch;

static void check_text(const struct field *field, struct str text)
{
    KOL_ASSERT(text.len <= field->max_bytes);
    KOL_ASSERT(text_is_utf8(text));
    KOL_ASSERT(text.len || field->kind == FIELD_TEXT || field->kind == FIELD_COUNT);
}

static void check_tags(const struct field *field, const struct str_list *tags)
{
    KOL_ASSERT(tags->count <= DECODE_MAX_TAGS);
    for (size_t i = 0; i < tags->count; i++) {
        check_text(field, tags->items[i]);
        KOL_ASSERT(tags->items[i].len && tags->items[i].ptr[0] != '#');
    }
}

/* A known value lies within the bounds of its field. */
static void check_value(const struct field *field, const void *value)
{
    switch (field->kind) {
    case FIELD_INT:
        KOL_ASSERT(*(const int64_t *)value >= (int64_t)field->min);
        KOL_ASSERT(field->max >= 0x1p63 || *(const int64_t *)value <= (int64_t)field->max);
        break;
    case FIELD_REAL:
        KOL_ASSERT(*(const double *)value >= field->min && *(const double *)value <= field->max);
        break;
    case FIELD_BOOL: KOL_ASSERT(*(const unsigned char *)value <= 1); break;
    case FIELD_CHOICE:
        KOL_ASSERT(*(const int *)value >= 0 && words_at(field->choices, *(const int *)value).len);
        break;
    case FIELD_TIME: break;
    case FIELD_TAGS: check_tags(field, value); break;
    default: check_text(field, *(const struct str *)value); break;
    }
}

static void check_event(const struct event *event)
{
    struct field_table table = event_fields(event->type);
    KOL_ASSERT(event->event_type == (int)event->type);
    KOL_ASSERT(table.count == 64 || event->known >> table.count == 0);
    for (size_t i = 0; i < table.count; i++) {
        if (event_has(event, (int)i)) {
            check_value(&table.fields[i], event_value_const(event, &table.fields[i]));
        } else {
            KOL_ASSERT(!table.fields[i].required && i != COMMON_FIELD_event_id);
        }
    }
    KOL_ASSERT(event_check(event, NOW, NULL) == KOL_OK);
}

/* The canonical form is an event too, and the same one. */
static void check_again(const struct event *event)
{
    struct event second;
    struct kol_error err;
    buf_clear(&canonical);
    event_encode(&canonical, event);
    /* Texts grow by their escapes, so that what was just small enough may no longer be. */
    if (canonical.len > DECODE_MAX_BYTES) {
        return;
    }
    arena_reset(&arena_again);
    if (event_decode(buf_str(&canonical), NOW, &arena_again, &second, &err) != KOL_OK) {
        kol_panic("the canonical form is refused: %s", err.message);
    }
    KOL_ASSERT(second.type == event->type && second.known == event->known);
    buf_clear(&again);
    event_encode(&again, &second);
    KOL_ASSERT(str_equal(buf_str(&canonical), buf_str(&again)));
    buf_clear(&id);
    buf_clear(&again);
    event_put_content_id(&id, event, &scratch);
    event_put_content_id(&again, &second, &scratch);
    KOL_ASSERT(id.len == 32 && str_equal(buf_str(&id), buf_str(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event event;
    struct kol_error err = {.message = ""};
    struct str json = {(const char *)data, size};
    arena_reset(&arena);
    if (event_decode(json, NOW, &arena, &event, &err) == KOL_OK) {
        check_event(&event);
        check_again(&event);
    } else {
        KOL_ASSERT(err.status == KOL_INVALID && err.message[0]);
        KOL_ASSERT(text_is_utf8(str_of(err.message)));
    }
    return 0;
}
