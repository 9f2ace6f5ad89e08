/* apply.c: conditions, rules and transforms at work on one record. */
#include "import/apply.h"

#include <string.h>

#include "base/text.h"
#include "domain/decode.h"

static struct str cell_of(const struct apply_record *record, size_t column)
{
    return record->cells[record->places[column]];
}

static bool holds(const struct apply_record *record, const struct preset_condition *condition)
{
    if (condition->test == TEST_ALWAYS) {
        return true;
    }
    struct str cell = cell_of(record, condition->column);
    switch (condition->test) {
    case TEST_EQUALS: return str_equal(cell, condition->text);
    case TEST_CONTAINS:
        return cell.len && memmem(cell.ptr, cell.len, condition->text.ptr, condition->text.len);
    case TEST_NOT_EMPTY: return cell.len != 0;
    default: return cell.len == 0;
    }
}

bool apply_wanted(const struct apply_record *record, const struct preset_event *rules)
{
    return holds(record, &rules->when);
}

/* A list is made whole here: event_set_text() takes a text as one item. */
static enum kol_status set_list(struct event *event, const struct field *field, int index,
                                const struct transform_step *step, struct str value,
                                struct arena *arena, struct kol_error *err)
{
    struct str_list list;
    transform_split(step, value, arena, &list.items, &list.count);
    if (list.count > DECODE_MAX_TAGS) {
        return kol_fail(err, KOL_INVALID, "%s: %zu items, more than the %d allowed", field->name,
                        list.count, DECODE_MAX_TAGS);
    }
    for (size_t i = 0; i < list.count; i++) {
        if (list.items[i].len > field->max_bytes) {
            return kol_fail(err, KOL_INVALID, "%s: an item of %zu bytes, more than the %zu allowed",
                            field->name, list.items[i].len, field->max_bytes);
        }
    }
    *(struct str_list *)event_value(event, field) = list;
    event_know(event, index);
    return KOL_OK;
}

static enum kol_status set_cell(struct event *event, const struct apply_record *record,
                                const struct preset_rule *rule, struct arena *arena,
                                struct kol_error *err)
{
    const struct field *field = &event_fields(event->type).fields[rule->field];
    struct str value = cell_of(record, rule->column);
    bool keep_empty = rule->empty_is_value && holds(record, &rule->empty_when);
    for (size_t i = 0; i < rule->step_count; i++) {
        const struct transform_step *step = &rule->steps[i];
        struct kol_error why;
        bool unknown = false;
        if (!value.len && !keep_empty) {
            return KOL_OK;
        }
        if (step->transform == TRANSFORM_SPLIT) {
            return set_list(event, field, rule->field, step, value, arena, err);
        }
        if (transform_apply(step, &value, &unknown, arena, &why) != KOL_OK) {
            return kol_fail(err, KOL_INVALID, "%s: %s", field->name, why.message);
        }
        if (unknown) {
            return KOL_OK;
        }
    }
    if (!value.len && !keep_empty) {
        return KOL_OK;
    }
    return event_set_text(event, rule->field, value, arena, err);
}

/* The rules of one field stand side by side: the first whose condition holds is the one. */
static enum kol_status set_fields(struct event *event, const struct apply_record *record,
                                  const struct preset_event *rules, struct arena *arena,
                                  struct kol_error *err)
{
    int done = -1;
    for (size_t i = 0; i < rules->rule_count; i++) {
        const struct preset_rule *rule = &rules->rules[i];
        if (rule->field == done || !holds(record, &rule->when)) {
            continue;
        }
        done = rule->field;
        enum kol_status status =
            rule->is_constant ? event_set_text(event, rule->field, rule->constant, arena, err)
                              : set_cell(event, record, rule, arena, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

enum kol_status apply_event(const struct apply_record *record, const struct preset_event *rules,
                            const struct overrides *overrides, int64_t now_us, struct arena *arena,
                            struct event *out, struct kol_error *err)
{
    out->type = rules->type;
    out->known = 0;
    enum kol_status status = set_fields(out, record, rules, arena, err);
    for (size_t i = 0; status == KOL_OK && i < overrides->count; i++) {
        int field = event_field_index(out->type, overrides->items[i].name);
        if (field >= 0) {
            status = event_set_text(out, field, overrides->items[i].value, arena, err);
        }
    }
    return status == KOL_OK ? event_finish(out, now_us, arena, err) : status;
}

/* Whether the preset makes events of this type. */
static bool makes(const struct preset *preset, enum event_type type)
{
    bool found = preset->format == PRESET_NDJSON;
    for (size_t i = 0; i < preset->layout_count; i++) {
        for (size_t j = 0; j < preset->layouts[i].event_count; j++) {
            found = found || preset->layouts[i].events[j].type == type;
        }
    }
    return found;
}

/* The value of a field as JSON: numbers and booleans as they were understood ("yes" is true), all
 * else as text. */
static struct str json_of(const struct override *override, const struct field *field,
                          const struct event *event, struct arena *arena)
{
    const void *value = event_value_const(event, field);
    struct buf json = {0};
    if (field->kind == FIELD_INT) {
        buf_put_int64(&json, *(const int64_t *)value);
    } else if (field->kind == FIELD_REAL) {
        buf_put_double(&json, *(const double *)value);
    } else if (field->kind == FIELD_BOOL) {
        buf_puts(&json, *(const bool *)value ? "true" : "false");
    } else {
        text_put_json(&json, override->value);
    }
    struct str copy = arena_copy(arena, buf_str(&json));
    buf_free(&json);
    return copy;
}

/* Tries the value on every kind of event that the preset makes and that has the field. */
static enum kol_status check_override(struct override *override, const struct preset *preset,
                                      struct arena *arena, struct kol_error *err)
{
    bool found = false;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        struct event event = {.type = (enum event_type)type};
        struct kol_error why;
        int field = event_field_index(event.type, override->name);
        if (field < 0 || field == COMMON_FIELD_event_type || !makes(preset, event.type)) {
            continue;
        }
        found = true;
        if (event_set_text(&event, field, override->value, arena, &why) != KOL_OK) {
            return kol_fail(err, KOL_USAGE, "--set %s", why.message);
        }
        /* Fields of one name are of one kind in all events. */
        override->json =
            event_has(&event, field)
                ? json_of(override, &event_fields(event.type).fields[field], &event, arena)
                : STR("null");
    }
    return found ? KOL_OK
                 : kol_fail(err, KOL_USAGE, "--set: no event of preset %.*s has a field \"%.*s\"",
                            STR_FORMAT(preset->name), STR_FORMAT(override->name));
}

/* Cuts `*text` at the next comma that has no backslash in front; "\," becomes ",". */
static struct str next_item(const char **text, struct arena *arena)
{
    char *item = arena_alloc(arena, strlen(*text) + 1);
    size_t len = 0;
    const char *at = *text;
    while (*at && *at != ',') {
        at += at[0] == '\\' && at[1] == ',';
        item[len++] = *at++;
    }
    *text = *at ? at + 1 : NULL;
    return (struct str){item, len};
}

enum kol_status overrides_parse(const char *text, const struct preset *preset, struct arena *arena,
                                struct overrides *out, struct kol_error *err)
{
    size_t most = 1;
    for (const char *at = text; at && *at; at++) {
        most += *at == ',';
    }
    *out = (struct overrides){arena_alloc(arena, most * sizeof *out->items), 0};
    while (text && *text) {
        struct str value = next_item(&text, arena);
        struct override *override = &out->items[out->count++];
        if (!value.len || !memchr(value.ptr, '=', value.len)) {
            return kol_fail(err, KOL_USAGE, "--set: \"%.*s\" is no FIELD=VALUE", STR_FORMAT(value));
        }
        override->name = str_trim(str_cut(&value, '='));
        override->value = value;
        if (!text_is_utf8(override->value)) {
            return kol_fail(err, KOL_USAGE, "--set %.*s: not UTF-8", STR_FORMAT(override->name));
        }
        enum kol_status status = check_override(override, preset, arena, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

void overrides_splice(struct buf *out, const struct overrides *overrides, struct str json)
{
    struct str inside = str_trim((struct str){json.ptr + 1, json.len - 2});
    const char *comma = inside.len ? "," : "";
    buf_putc(out, '{');
    buf_put(out, inside);
    for (size_t i = 0; i < overrides->count; i++) {
        const struct override *override = &overrides->items[i];
        buf_puts(out, comma);
        text_put_json(out, override->name);
        buf_putc(out, ':');
        buf_put(out, override->json);
        comma = ",";
    }
    buf_putc(out, '}');
}
