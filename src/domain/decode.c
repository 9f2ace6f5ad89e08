/* decode.c: tokens -> fields, and what makes an event whole. The contract is in decode.h. */
#include "domain/decode.h"

#include <string.h>

#include "domain/content_id.h"
#include "domain/convert.h"
#include "domain/plan.h"

static enum kol_status decode_type(const struct event_plans *plans,
                                   const struct json_object *object, struct arena *arena,
                                   struct event *event, struct kol_error *err)
{
    const struct field *field = &event_fields(EVENT_PROFILE).fields[COMMON_FIELD_event_type];
    union field_value value;
    struct slot slot = {field, field->name, &value, arena, false};
    if (!json_given(object, plans->event_type)) {
        return kol_fail(err, KOL_INVALID, "event_type: missing");
    }
    enum kol_status status = slot_set_token(&slot, &object->tokens[plans->event_type], err);
    if (status == KOL_OK) {
        event->type = (enum event_type)value.of_CHOICE;
    }
    return status;
}

/* The fields that are given under their own names. */
static enum kol_status decode_own(const struct event_plans *plans, const struct json_object *object,
                                  struct arena *arena, struct event *event, struct kol_error *err)
{
    const struct event_plan *plan = &plans->types[event->type];
    for (int word = 0; word < PLAN_NAME_WORDS; word++) {
        uint64_t given = object->given[word] & plan->own[word];
        for (; given; given &= given - 1) {
            int name = word * 64 + __builtin_ctzll(given), index = plan->field_of[name];
            const struct field *field = &plan->fields[index];
            struct slot slot = {field, field->name, event_value(event, field), arena, false};
            enum kol_status status = slot_set_token(&slot, &object->tokens[name], err);
            if (status != KOL_OK) {
                return status;
            }
            event->known |= (uint64_t)slot.known << index;
        }
    }
    return KOL_OK;
}

/* The fields that are given under other names. All must convert; the best known one is kept. */
static enum kol_status decode_others(const struct event_plans *plans,
                                     const struct json_object *object, struct arena *arena,
                                     struct event *event, struct kol_error *err)
{
    const struct event_plan *plan = &plans->types[event->type];
    for (size_t i = 0; i < plan->other_count; i++) {
        const struct plan_other *other = &plan->other[i];
        if (!json_given(object, other->name)) {
            continue;
        }
        union field_value unused;
        const struct field *field = &plan->fields[other->field];
        struct slot slot = {field, plans->names.names[other->name].text, &unused, arena, false};
        if (!event_has(event, other->field)) {
            slot.value = event_value(event, field);
        }
        enum kol_status status = slot_set_token(&slot, &object->tokens[other->name], err);
        if (status != KOL_OK) {
            return status;
        }
        event->known |= (uint64_t)slot.known << other->field;
    }
    return KOL_OK;
}

static bool has_others(const struct event_plan *plan, const struct json_object *object)
{
    uint64_t any = 0;
    for (int word = 0; word < PLAN_NAME_WORDS; word++) {
        any |= object->given[word] & plan->others[word];
    }
    return any != 0;
}

static enum kol_status decode_fields(const struct json_object *object, struct arena *arena,
                                     struct event *event, struct kol_error *err)
{
    const struct event_plans *plans = event_plans();
    enum kol_status status = decode_type(plans, object, arena, event, err);
    if (status == KOL_OK) {
        status = decode_own(plans, object, arena, event, err);
    }
    if (status == KOL_OK && has_others(&plans->types[event->type], object)) {
        status = decode_others(plans, object, arena, event, err);
    }
    return status;
}

enum kol_status event_decode(struct str json, int64_t now_us, struct arena *arena,
                             struct event *event, struct kol_error *err)
{
    struct json_object object;
    event->known = 0;
    if (json.len > DECODE_MAX_BYTES) {
        return kol_fail(err, KOL_INVALID, "%zu bytes, more than the %d allowed for an event",
                        json.len, DECODE_MAX_BYTES);
    }
    enum kol_status status =
        json_scan_object(json, &event_plans()->names, DECODE_MAX_DEPTH, &object, err);
    if (status == KOL_OK) {
        status = decode_fields(&object, arena, event, err);
    }
    return status == KOL_OK ? event_finish(event, now_us, arena, err) : status;
}

enum kol_status event_set_text(struct event *event, int field, struct str text, struct arena *arena,
                               struct kol_error *err)
{
    const struct field *row = &event_fields(event->type).fields[field];
    struct slot slot = {row, row->name, event_value(event, row), arena, false};
    enum kol_status status = slot_set_cell(&slot, text, err);
    if (status == KOL_OK) {
        event->known = (event->known & ~(UINT64_C(1) << field)) | (uint64_t)slot.known << field;
    }
    return status;
}

enum kol_status event_finish(struct event *event, int64_t now_us, struct arena *arena,
                             struct kol_error *err)
{
    if (!event_has(event, COMMON_FIELD_event_type)) {
        event->event_type = (int)event->type;
        event_know(event, COMMON_FIELD_event_type);
    }
    if (event->event_type != (int)event->type) {
        return kol_fail(err, KOL_INVALID, "event_type: says %s in a %s event",
                        event_type_name((enum event_type)event->event_type),
                        event_type_name(event->type));
    }
    if (event->known & event_plans()->types[event->type].count_sources) {
        event_complete(event);
    }
    enum kol_status status = event_check(event, now_us, err);
    if (status == KOL_OK && !event_has(event, COMMON_FIELD_event_id)) {
        event->event_id = event_content_id(event, arena);
        event_know(event, COMMON_FIELD_event_id);
    }
    return status;
}
