/* decode.c: tokens -> fields, and what makes an event whole. The contract is in decode.h. */
#include "domain/decode.h"

#include <string.h>

#include "domain/content_id.h"
#include "domain/convert.h"
#include "domain/json_bytes.h"
#include "domain/plan.h"

/* A reader's state: what it was given and what it makes. */
struct decoder {
    const struct event_plans *plans;
    const struct event_plan *plan; /* of the event's type, once that is known */
    const char *end;               /* of the JSON text */
    struct arena *arena;
    struct event *event;
    struct json_object object;
};

/* A text that trimming would not change, nor the loss of an @. */
static inline bool is_bare(const struct json_token *token)
{
    return token->len && (unsigned char)token->ptr[0] > ' ' && token->ptr[0] != '@' &&
           (unsigned char)token->ptr[token->len - 1] > ' ';
}

/* Finds a word that is written as in the table; `end` is the end of the text. */
static inline bool store_choice(const struct plan_choices *choices, const struct json_token *token,
                                const char *end, int *value)
{
    uint64_t words[2];
    if (token->kind != TOKEN_STRING || token->escaped || token->len >= 16 ||
        end - token->ptr < 16) {
        return false;
    }
    json_words16(token->ptr, token->len, words);
    for (size_t i = 0; i < choices->count; i++) {
        if (choices->words[i][0] == words[0] && choices->words[i][1] == words[1]) {
            *value = (int)i;
            return true;
        }
    }
    return false;
}

/*
 * Stores a value that needs no conversion: a string without escapes, a small integer, a boolean.
 * False where there is more to it, and slot_set_token() must decide.
 */
static inline bool store_plain(const struct decoder *decoder, const struct plan_field *field,
                               const struct json_token *token, void *value)
{
    switch (field->kind) {
    case FIELD_NAME:
    case FIELD_ID:
        if (!is_bare(token)) {
            return false;
        }
        /* fall through */
    case FIELD_TEXT:
    case FIELD_COUNT:
        if (token->kind != TOKEN_STRING || token->escaped || token->len > field->max_bytes) {
            return false;
        }
        *(struct str *)value = (struct str){token->ptr, token->len};
        return true;
    case FIELD_INT:
        if (token->kind != TOKEN_INTEGER || token->len > JSON_EXACT_BYTES ||
            token->value < field->min || token->value > field->max) {
            return false;
        }
        *(int64_t *)value = token->value;
        return true;
    case FIELD_BOOL:
        *(bool *)value = token->kind == TOKEN_TRUE;
        return token->kind == TOKEN_TRUE || token->kind == TOKEN_FALSE;
    case FIELD_TIME:
        return token->kind == TOKEN_STRING && !token->escaped &&
               slot_read_time((struct str){token->ptr, token->len}, value);
    case FIELD_CHOICE:
        return store_choice(&decoder->plan->choices[field->choices], token, decoder->end, value);
    default: return false;
    }
}

/* The type decides how all else is read. */
static enum kol_status decode_type(struct decoder *decoder, struct kol_error *err)
{
    const struct event_plans *plans = decoder->plans;
    const struct json_token *token = &decoder->object.tokens[plans->event_type];
    struct event *event = decoder->event;
    const int index = COMMON_FIELD_event_type;
    if (!json_given(&decoder->object, plans->event_type)) {
        return kol_fail(err, KOL_INVALID, "event_type: missing");
    }
    decoder->plan = &plans->types[0]; /* they all agree in the common fields */
    if (!store_plain(decoder, &decoder->plan->fields[index], token, &event->event_type)) {
        const struct field *row = &decoder->plan->rows[index];
        struct slot slot = {row, row->name, &event->event_type, decoder->arena, false};
        enum kol_status status = slot_set_token(&slot, token, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    event->type = (enum event_type)event->event_type;
    event_know(event, index);
    decoder->plan = &plans->types[event->type];
    decoder->object.given[plans->event_type / 64] &= ~(UINT64_C(1) << plans->event_type % 64);
    return KOL_OK;
}

/* The value of field `index`, given under `name`. */
static enum kol_status decode_value(struct decoder *decoder, int index, const char *name,
                                    const struct json_token *token, void *value,
                                    struct kol_error *err)
{
    struct slot slot = {&decoder->plan->rows[index], name, value, decoder->arena, false};
    enum kol_status status = slot_set_token(&slot, token, err);
    decoder->event->known |= (uint64_t)slot.known << index;
    return status;
}

/* The fields that are given under their own names; the type is read already. */
static enum kol_status decode_own(struct decoder *decoder, struct kol_error *err)
{
    const struct event_plan *plan = decoder->plan;
    uint64_t known = 0;
    for (unsigned word = 0; word < PLAN_NAME_WORDS; word++) {
        uint64_t given = decoder->object.given[word] & plan->own[word];
        for (; given; given &= given - 1) {
            unsigned name = word * 64 + (unsigned)__builtin_ctzll(given);
            unsigned index = plan->field_of[name];
            const struct json_token *token = &decoder->object.tokens[name];
            void *value = (char *)decoder->event + plan->fields[index].offset;
            if (store_plain(decoder, &plan->fields[index], token, value)) {
                known |= UINT64_C(1) << index;
                continue;
            }
            enum kol_status status =
                decode_value(decoder, (int)index, plan->rows[index].name, token, value, err);
            if (status != KOL_OK) {
                return status;
            }
        }
    }
    decoder->event->known |= known;
    return KOL_OK;
}

/* The fields that are given under other names. All must convert; the best known one is kept. */
static enum kol_status decode_others(struct decoder *decoder, struct kol_error *err)
{
    const struct event_plan *plan = decoder->plan;
    for (size_t i = 0; i < plan->other_count; i++) {
        const struct plan_other *other = &plan->other[i];
        if (!json_given(&decoder->object, other->name)) {
            continue;
        }
        union field_value unused;
        void *value = event_has(decoder->event, other->field)
                          ? (void *)&unused
                          : event_value(decoder->event, &plan->rows[other->field]);
        enum kol_status status =
            decode_value(decoder, other->field, decoder->plans->names.texts[other->name],
                         &decoder->object.tokens[other->name], value, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

static bool has_others(const struct decoder *decoder)
{
    uint64_t any = 0;
    for (int word = 0; word < PLAN_NAME_WORDS; word++) {
        any |= decoder->object.given[word] & decoder->plan->others[word];
    }
    return any != 0;
}

static enum kol_status decode_fields(struct decoder *decoder, struct kol_error *err)
{
    enum kol_status status = decode_type(decoder, err);
    if (status == KOL_OK) {
        status = decode_own(decoder, err);
    }
    if (status == KOL_OK && has_others(decoder)) {
        status = decode_others(decoder, err);
    }
    return status;
}

static enum kol_status finish(struct event *event, int64_t now_us, struct arena *arena,
                              struct kol_error *err)
{
    event_complete(event);
    enum kol_status status = event_check(event, now_us, err);
    if (status == KOL_OK && !event_has(event, COMMON_FIELD_event_id)) {
        event->event_id = event_content_id(event, arena);
        event_know(event, COMMON_FIELD_event_id);
    }
    return status;
}

enum kol_status event_decode(struct str json, int64_t now_us, struct arena *arena,
                             struct event *event, struct kol_error *err)
{
    struct decoder decoder; /* not zeroed: its tokens alone are 3 kB */
    decoder.plans = event_plans();
    decoder.end = json.ptr + json.len;
    decoder.arena = arena;
    decoder.event = event;
    event->known = 0;
    if (json.len > DECODE_MAX_BYTES) {
        return kol_fail(err, KOL_INVALID, "%zu bytes, more than the %d allowed for an event",
                        json.len, DECODE_MAX_BYTES);
    }
    enum kol_status status =
        json_scan_object(json, &decoder.plans->names, DECODE_MAX_DEPTH, &decoder.object, err);
    if (status == KOL_OK) {
        status = decode_fields(&decoder, err);
    }
    return status == KOL_OK ? finish(event, now_us, arena, err) : status;
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
    return finish(event, now_us, arena, err);
}
