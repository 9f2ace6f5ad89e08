/*
 * preset.c: JSON -> a checked preset.
 *
 * Every refusal names the file, the place in it ($.layouts[0].events[1].set.bio) and the reason,
 * and where a name is wrong the nearest one that exists.
 */
#include "import/preset.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "domain/decode.h"
#include "import/preset_json.h"

/* What is needed while one preset is read. */
struct reading {
    struct preset *preset;
    struct preset_layout *layout; /* whose columns grow */
    size_t column_cap;
    struct kol_error *err;
};

/* The layout's index of a column, which is added if it is new. */
static size_t column_index(struct reading *reading, struct str name)
{
    struct preset_layout *layout = reading->layout;
    for (size_t i = 0; i < layout->column_count; i++) {
        if (str_equal(layout->columns[i], name)) {
            return i;
        }
    }
    if (layout->column_count == reading->column_cap) {
        reading->column_cap = reading->column_cap ? reading->column_cap * 2 : 16;
        struct str *larger =
            arena_alloc(&reading->preset->arena, reading->column_cap * sizeof *larger);
        for (size_t i = 0; i < layout->column_count; i++) {
            larger[i] = layout->columns[i];
        }
        layout->columns = larger;
    }
    layout->columns[layout->column_count] = arena_copy(&reading->preset->arena, name);
    return layout->column_count++;
}

static enum kol_status read_text(struct reading *reading, const struct place *place,
                                 const json_t *json, struct str *out)
{
    enum kol_status status = place_text(place, json, out, reading->err);
    if (status == KOL_OK) {
        *out = arena_copy(&reading->preset->arena, *out);
    }
    return status;
}

/* A text member; empty where it is absent and need not be there. */
static enum kol_status read_member(struct reading *reading, const struct place *place,
                                   const json_t *object, const char *key, bool needed,
                                   struct str *out)
{
    const json_t *json = json_object_get(object, key);
    *out = (struct str){NULL, 0};
    if (!json && !needed) {
        return KOL_OK;
    }
    if (!json) {
        return place_fail(place, reading->err, "\"%s\" is missing", key);
    }
    struct place inner = place_key(place, key);
    enum kol_status status = read_text(reading, &inner, json, out);
    if (status == KOL_OK && needed && !out->len) {
        return place_fail(&inner, reading->err, "must not be empty");
    }
    return status;
}

static enum kol_status read_column(struct reading *reading, const struct place *place,
                                   const json_t *object, size_t *out)
{
    struct str name;
    enum kol_status status = read_member(reading, place, object, "column", true, &name);
    if (status == KOL_OK) {
        *out = column_index(reading, name);
    }
    return status;
}

static enum kol_status read_condition(struct reading *reading, const struct place *place,
                                      const json_t *json, struct preset_condition *out)
{
    static const char *const keys[] = {"column", "equals", "contains", "not_empty", NULL};
    const json_t *flag = json_object_get(json, "not_empty");
    enum kol_status status = place_keys(place, json, keys, reading->err);
    if (status == KOL_OK && json_object_size(json) != 2) {
        status = place_fail(place, reading->err,
                            "a condition is a \"column\" and one of \"equals\", \"contains\", "
                            "\"not_empty\"");
    }
    if (status == KOL_OK) {
        status = read_column(reading, place, json, &out->column);
    }
    if (status == KOL_OK && flag) {
        out->test = json_is_true(flag) ? TEST_NOT_EMPTY : TEST_EMPTY;
        return json_is_boolean(flag)
                   ? KOL_OK
                   : place_fail(place, reading->err, "\"not_empty\" must be true or false");
    }
    if (status == KOL_OK) {
        bool equals = json_object_get(json, "equals") != NULL;
        out->test = equals ? TEST_EQUALS : TEST_CONTAINS;
        status =
            read_member(reading, place, json, equals ? "equals" : "contains", !equals, &out->text);
    }
    return status;
}

/* A condition member that may be absent. */
static enum kol_status read_when(struct reading *reading, const struct place *place,
                                 const json_t *object, const char *key,
                                 struct preset_condition *out)
{
    const json_t *json = json_object_get(object, key);
    struct place inner = place_key(place, key);
    *out = (struct preset_condition){.test = TEST_ALWAYS};
    return json ? read_condition(reading, &inner, json, out) : KOL_OK;
}

static enum kol_status read_list(struct reading *reading, const struct place *place,
                                 const json_t *json, struct transform_step *step)
{
    size_t count = json_array_size(json);
    struct str *items = arena_alloc(&reading->preset->arena, (count + 1) * sizeof *items);
    if (!json_is_array(json) || count == 0) {
        return place_fail(place, reading->err, "expected a list of texts");
    }
    for (size_t i = 0; i < count; i++) {
        struct place inner = place_index(place, i);
        enum kol_status status = read_text(reading, &inner, json_array_get(json, i), &items[i]);
        if (status != KOL_OK) {
            return status;
        }
    }
    step->items = items;
    step->item_count = count;
    return KOL_OK;
}

static enum kol_status read_map(struct reading *reading, const struct place *place,
                                const json_t *json, struct transform_step *step)
{
    size_t count = json_object_size(json);
    struct str *items = arena_alloc(&reading->preset->arena, (2 * count + 1) * sizeof *items);
    const char *key;
    json_t *value;
    if (!json_is_object(json) || count == 0) {
        return place_fail(place, reading->err, "expected an object of texts");
    }
    json_object_foreach((json_t *)json, key, value)
    {
        struct place inner = place_key(place, key);
        items[step->item_count] = arena_copy(&reading->preset->arena, str_of(key));
        enum kol_status status = read_text(reading, &inner, value, &items[step->item_count + 1]);
        if (status != KOL_OK) {
            return status;
        }
        step->item_count += 2;
    }
    step->items = items;
    return KOL_OK;
}

static enum kol_status read_argument(struct reading *reading, const struct place *place,
                                     const json_t *json, struct transform_step *step)
{
    switch (transform_argument(step->transform)) {
    case ARGUMENT_LIST: return read_list(reading, place, json, step);
    case ARGUMENT_MAP: return read_map(reading, place, json, step);
    case ARGUMENT_TEXT: break;
    case ARGUMENT_NONE: return place_fail(place, reading->err, "takes no argument");
    }
    enum kol_status status = read_text(reading, place, json, &step->text);
    if (status == KOL_OK && !step->text.len) {
        return place_fail(place, reading->err, "must not be empty");
    }
    return status;
}

static enum kol_status find_transform(struct reading *reading, const struct place *place,
                                      const char *name, enum transform *out)
{
    const char *names[TRANSFORM_COUNT];
    for (int i = 0; i < TRANSFORM_COUNT; i++) {
        names[i] = transform_name((enum transform)i);
        if (strcmp(name, names[i]) == 0) {
            *out = (enum transform)i;
            return KOL_OK;
        }
    }
    return place_unknown(place, "transform", name, names, TRANSFORM_COUNT, reading->err);
}

/* "trim", or {"split": "|"}. */
static enum kol_status read_step(struct reading *reading, const struct place *place,
                                 const json_t *json, struct transform_step *step)
{
    void *member = json_is_object(json) ? json_object_iter((json_t *)json) : NULL;
    const char *name = member ? json_object_iter_key(member) : json_string_value(json);
    if (!name || (member && json_object_size(json) != 1)) {
        return place_fail(place, reading->err,
                          "expected a transform: \"trim\" or {\"split\": \",\"}");
    }
    enum kol_status status = find_transform(reading, place, name, &step->transform);
    if (status != KOL_OK) {
        return status;
    }
    if (member) {
        struct place inner = place_key(place, name);
        return read_argument(reading, &inner, json_object_iter_value(member), step);
    }
    if (transform_argument(step->transform) != ARGUMENT_NONE) {
        return place_fail(place, reading->err, "needs its argument: %s",
                          transform_usage(step->transform));
    }
    return KOL_OK;
}

static enum kol_status check_split(struct reading *reading, const struct place *place,
                                   enum field_kind kind, const struct preset_rule *rule, size_t i)
{
    if (rule->steps[i].transform != TRANSFORM_SPLIT) {
        return KOL_OK;
    }
    if (kind != FIELD_TAGS) {
        return place_fail(place, reading->err, "split makes a list, and this field is %s",
                          field_kind_name(kind));
    }
    if (i + 1 != rule->step_count) {
        return place_fail(place, reading->err, "split must be the last transform");
    }
    return KOL_OK;
}

static enum kol_status read_steps(struct reading *reading, const struct place *place,
                                  const json_t *json, enum field_kind kind,
                                  struct preset_rule *rule)
{
    size_t count = json_array_size(json);
    struct transform_step *steps =
        arena_alloc(&reading->preset->arena, (count + 1) * sizeof *steps);
    if (json && !json_is_array(json)) {
        return place_fail(place, reading->err, "expected a list of transforms");
    }
    rule->steps = steps;
    rule->step_count = count;
    for (size_t i = 0; i < count; i++) {
        struct place inner = place_index(place, i);
        steps[i] = (struct transform_step){0};
        enum kol_status status = read_step(reading, &inner, json_array_get(json, i), &steps[i]);
        if (status == KOL_OK) {
            status = check_split(reading, &inner, kind, rule, i);
        }
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

/* A constant must be a value of its field, now and not at the first record. */
static enum kol_status check_constant(struct reading *reading, const struct place *place,
                                      enum event_type type, const struct preset_rule *rule)
{
    struct event event = {.type = type};
    struct arena arena;
    struct kol_error why = {0};
    arena_init(&arena, 0);
    enum kol_status status = event_set_text(&event, rule->field, rule->constant, &arena, &why);
    arena_free(&arena);
    if (status != KOL_OK) {
        return place_fail(place, reading->err, "%s", why.message);
    }
    if (!event_has(&event, rule->field)) {
        return place_fail(place, reading->err, "an empty constant is no value");
    }
    return KOL_OK;
}

static enum kol_status read_constant(struct reading *reading, const struct place *place,
                                     const json_t *object, enum event_type type,
                                     struct preset_rule *rule)
{
    static const char *const keys[] = {"constant", "when", NULL};
    struct place inner = place_key(place, "constant");
    enum kol_status status = place_keys(place, object, keys, reading->err);
    if (status == KOL_OK) {
        status = read_text(reading, &inner, json_object_get(object, "constant"), &rule->constant);
    }
    rule->is_constant = true;
    return status == KOL_OK ? check_constant(reading, &inner, type, rule) : status;
}

static enum kol_status read_cell(struct reading *reading, const struct place *place,
                                 const json_t *object, enum field_kind kind,
                                 struct preset_rule *rule)
{
    static const char *const keys[] = {"column", "when", "empty", "empty_when", "transforms", NULL};
    struct place inner = place_key(place, "transforms");
    struct str empty;
    enum kol_status status = place_keys(place, object, keys, reading->err);
    if (status == KOL_OK) {
        status = read_column(reading, place, object, &rule->column);
    }
    if (status == KOL_OK) {
        status = read_member(reading, place, object, "empty", false, &empty);
    }
    if (status == KOL_OK && empty.len && !str_is(empty, "value") && !str_is(empty, "unknown")) {
        return place_fail(place, reading->err, "\"empty\" is \"value\" or \"unknown\"");
    }
    rule->empty_is_value = status == KOL_OK && str_is(empty, "value");
    if (status == KOL_OK) {
        status = read_when(reading, place, object, "empty_when", &rule->empty_when);
    }
    if (status == KOL_OK && rule->empty_when.test != TEST_ALWAYS && !rule->empty_is_value) {
        return place_fail(place, reading->err, "\"empty_when\" needs \"empty\": \"value\"");
    }
    if (status == KOL_OK) {
        status = read_steps(reading, &inner, json_object_get(object, "transforms"), kind, rule);
    }
    return status;
}

static enum kol_status read_rule(struct reading *reading, const struct place *place,
                                 const json_t *json, enum event_type type, int field,
                                 struct preset_rule *rule)
{
    *rule = (struct preset_rule){.field = field};
    if (!json_is_object(json)) {
        return place_fail(place, reading->err, "expected {\"column\": ...} or {\"constant\": ...}");
    }
    enum kol_status status = read_when(reading, place, json, "when", &rule->when);
    if (status != KOL_OK) {
        return status;
    }
    if (json_object_get(json, "constant")) {
        return read_constant(reading, place, json, type, rule);
    }
    return read_cell(reading, place, json, event_fields(type).fields[field].kind, rule);
}

static enum kol_status find_field(struct reading *reading, const struct place *place,
                                  enum event_type type, const char *name, int *field)
{
    const char *names[64];
    struct field_table table = event_fields(type);
    for (size_t i = 0; i < table.count; i++) {
        names[i] = table.fields[i].name;
    }
    *field = event_field_index(type, str_of(name));
    if (*field == COMMON_FIELD_event_type) {
        return place_fail(place, reading->err, "the event's \"type\" says it already");
    }
    return *field >= 0 ? KOL_OK
                       : place_unknown(place, "field", name, names, table.count, reading->err);
}

/* The rules of one field: an object, or a list of objects, the best first. */
static enum kol_status read_rules(struct reading *reading, const struct place *place,
                                  const json_t *json, enum event_type type, int field,
                                  struct preset_rule *rules, size_t *count)
{
    if (!json_is_array(json)) {
        return read_rule(reading, place, json, type, field, &rules[(*count)++]);
    }
    enum kol_status status = KOL_OK;
    for (size_t i = 0; status == KOL_OK && i < json_array_size(json); i++) {
        struct place inner = place_index(place, i);
        status =
            read_rule(reading, &inner, json_array_get(json, i), type, field, &rules[(*count)++]);
    }
    return status;
}

static size_t count_rules(const json_t *set)
{
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)set, key, value)
    {
        count += json_is_array(value) ? json_array_size(value) : 1;
    }
    return count;
}

/* That no event of this type could ever be valid is said here, not at the first record. */
static enum kol_status check_event(struct reading *reading, const struct place *place,
                                   const struct preset_event *event)
{
    struct field_table table = event_fields(event->type);
    uint64_t set = UINT64_C(1) << COMMON_FIELD_event_type;
    for (size_t i = 0; i < event->rule_count; i++) {
        set |= UINT64_C(1) << event->rules[i].field;
    }
    for (size_t i = 0; i < table.count; i++) {
        if (table.fields[i].required && !(set >> i & 1) && i != COMMON_FIELD_event_time) {
            return place_fail(place, reading->err, "\"%s\" is missing, every %s event needs it",
                              table.fields[i].name, event_type_name(event->type));
        }
    }
    return KOL_OK;
}

static enum kol_status read_set(struct reading *reading, const struct place *place,
                                const json_t *set, struct preset_event *out)
{
    const char *key;
    json_t *value;
    if (!json_is_object(set)) {
        return place_fail(place, reading->err, "expected an object: field -> rule");
    }
    struct preset_rule *rules =
        arena_alloc(&reading->preset->arena, (count_rules(set) + 1) * sizeof *rules);
    json_object_foreach((json_t *)set, key, value)
    {
        int field;
        struct place inner = place_key(place, key);
        enum kol_status status = find_field(reading, &inner, out->type, key, &field);
        if (status == KOL_OK) {
            status = read_rules(reading, &inner, value, out->type, field, rules, &out->rule_count);
        }
        if (status != KOL_OK) {
            return status;
        }
    }
    out->rules = rules;
    return check_event(reading, place, out);
}

static enum kol_status find_type(struct reading *reading, const struct place *place,
                                 struct str name, enum event_type *out)
{
    const char *names[EVENT_TYPE_COUNT];
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        names[i] = event_type_name((enum event_type)i);
    }
    return event_type_find(name, out) ? KOL_OK
                                      : place_unknown(place, "event type", name.ptr, names,
                                                      EVENT_TYPE_COUNT, reading->err);
}

static enum kol_status read_event(struct reading *reading, const struct place *place,
                                  const json_t *json, struct preset_event *out)
{
    static const char *const keys[] = {"type", "when", "set", NULL};
    struct place at_type = place_key(place, "type"), at_set = place_key(place, "set");
    struct str type;
    enum kol_status status = place_keys(place, json, keys, reading->err);
    if (status == KOL_OK) {
        status = read_member(reading, place, json, "type", true, &type);
    }
    if (status == KOL_OK) {
        status = find_type(reading, &at_type, type, &out->type);
    }
    if (status == KOL_OK) {
        status = read_when(reading, place, json, "when", &out->when);
    }
    if (status == KOL_OK) {
        status = read_set(reading, &at_set, json_object_get(json, "set"), out);
    }
    return status;
}

/* A list that must not be empty: its length, 0 with an error. */
static size_t list_length(struct reading *reading, const struct place *place, const json_t *json,
                          size_t most, enum kol_status *status)
{
    size_t count = json_array_size(json);
    *status = KOL_OK;
    if (!json_is_array(json) || count == 0 || count > most) {
        *status = place_fail(place, reading->err, "expected a list of 1 to %zu objects", most);
        return 0;
    }
    return count;
}

static enum kol_status read_layout(struct reading *reading, const struct place *place,
                                   const json_t *json, struct preset_layout *out)
{
    static const char *const keys[] = {"name", "help", "events", NULL};
    struct place at_events = place_key(place, "events");
    const json_t *events = json_object_get(json, "events");
    reading->layout = out;
    reading->column_cap = 0;
    enum kol_status status = place_keys(place, json, keys, reading->err);
    if (status == KOL_OK) {
        status = read_member(reading, place, json, "name", true, &out->name);
    }
    if (status == KOL_OK) {
        status = read_member(reading, place, json, "help", false, &out->help);
    }
    if (status != KOL_OK) {
        return status;
    }
    size_t count = list_length(reading, &at_events, events, PRESET_MAX_EVENTS, &status);
    struct preset_event *rows = arena_alloc(&reading->preset->arena, (count + 1) * sizeof *rows);
    for (size_t i = 0; status == KOL_OK && i < count; i++) {
        struct place inner = place_index(&at_events, i);
        rows[i] = (struct preset_event){0};
        status = read_event(reading, &inner, json_array_get(events, i), &rows[i]);
    }
    out->events = rows;
    out->event_count = count;
    if (status == KOL_OK && out->column_count == 0) {
        return place_fail(place, reading->err,
                          "names no column: every row would be the same event");
    }
    return status;
}

static enum kol_status read_layouts(struct reading *reading, const struct place *place,
                                    const json_t *json)
{
    struct preset *preset = reading->preset;
    enum kol_status status;
    size_t count = list_length(reading, place, json, PRESET_MAX_LAYOUTS, &status);
    struct preset_layout *rows = arena_alloc(&preset->arena, (count + 1) * sizeof *rows);
    for (size_t i = 0; status == KOL_OK && i < count; i++) {
        struct place inner = place_index(place, i);
        rows[i] = (struct preset_layout){0};
        status = read_layout(reading, &inner, json_array_get(json, i), &rows[i]);
    }
    preset->layouts = rows;
    preset->layout_count = count;
    return status;
}

static enum kol_status read_format(struct reading *reading, const struct place *place,
                                   const json_t *json)
{
    struct preset *preset = reading->preset;
    struct str format, delimiter;
    enum kol_status status = read_member(reading, place, json, "format", true, &format);
    if (status == KOL_OK) {
        status = read_member(reading, place, json, "delimiter", false, &delimiter);
    }
    if (status != KOL_OK) {
        return status;
    }
    preset->format = str_is(format, "ndjson") ? PRESET_NDJSON : PRESET_CSV;
    if (preset->format == PRESET_CSV && !str_is(format, "csv")) {
        return place_fail(place, reading->err, "\"format\" is \"csv\" or \"ndjson\"");
    }
    preset->delimiter = delimiter.len ? delimiter.ptr[0] : ',';
    if (delimiter.len > 1 || !strchr(",;\t", preset->delimiter)) {
        return place_fail(place, reading->err, "\"delimiter\" is \",\", \";\" or \"\\t\"");
    }
    return KOL_OK;
}

static enum kol_status read_preset(struct reading *reading, const struct place *place,
                                   const json_t *json)
{
    static const char *const keys[] = {"name",      "help",    "source", "format",
                                       "delimiter", "layouts", NULL};
    struct preset *preset = reading->preset;
    struct place at_layouts = place_key(place, "layouts");
    const json_t *layouts = json_object_get(json, "layouts");
    enum kol_status status = place_keys(place, json, keys, reading->err);
    if (status == KOL_OK) {
        status = read_member(reading, place, json, "name", true, &preset->name);
    }
    if (status == KOL_OK) {
        status = read_member(reading, place, json, "help", true, &preset->help);
    }
    if (status == KOL_OK) {
        status = read_member(reading, place, json, "source", false, &preset->source);
    }
    if (status == KOL_OK) {
        status = read_format(reading, place, json);
    }
    if (status != KOL_OK || (preset->format == PRESET_NDJSON && !layouts)) {
        return status;
    }
    if (preset->format == PRESET_NDJSON) {
        return place_fail(&at_layouts, reading->err,
                          "lines of an ndjson file are events already and have no layout");
    }
    return read_layouts(reading, &at_layouts, layouts);
}

enum kol_status preset_parse(struct str json, const char *file, struct preset **out,
                             struct kol_error *err)
{
    const struct place root = {.file = file};
    struct preset *preset = mem_zalloc(1, sizeof *preset);
    struct reading reading = {.preset = preset, .err = err};
    json_t *tree = NULL;
    arena_init(&preset->arena, 0);
    preset->text = arena_copy(&preset->arena, json);
    enum kol_status status = place_load(file, json, &tree, err);
    if (status == KOL_OK) {
        status = read_preset(&reading, &root, tree);
    }
    json_decref(tree);
    if (status != KOL_OK) {
        preset_free(&preset);
    }
    *out = preset;
    return status;
}

void preset_free(struct preset **preset)
{
    struct preset *old = *preset;
    *preset = NULL;
    if (old) {
        struct arena arena = old->arena;
        arena_free(&arena);
        free(old);
    }
}
