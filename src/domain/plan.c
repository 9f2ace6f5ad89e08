/* plan.c: field tables -> masks and ids. */
#include "domain/plan.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "domain/json_bytes.h"

const struct event_plans *_Atomic event_plans_made;

static struct event_plans plans;
static pthread_once_t plans_once = PTHREAD_ONCE_INIT;

static void set_bit(uint64_t *words, int bit)
{
    words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static void plan_others(struct event_plan *plan, size_t field)
{
    struct str rest = str_of(plan->rows[field].accepts);
    while (rest.len) {
        int name = json_names_add(&plans.names, str_cut(&rest, ' '));
        KOL_ASSERT(plan->other_count < PLAN_LIST_MAX);
        plan->other[plan->other_count++] = (struct plan_other){(uint8_t)name, (uint8_t)field};
        set_bit(plan->others, name);
    }
}

static void plan_counts(struct event_plan *plan, enum event_type type, size_t field)
{
    struct str rest = str_of(plan->rows[field].count_from);
    while (rest.len) {
        int source = event_field_index(type, str_cut(&rest, ' '));
        KOL_ASSERT(source >= 0 && plan->rows[source].kind == FIELD_COUNT);
        KOL_ASSERT(plan->rows[field].kind == FIELD_INT && plan->count_count < PLAN_LIST_MAX);
        plan->counts[plan->count_count++] = (struct plan_count){(uint8_t)field, (uint8_t)source};
    }
}

static void plan_text(struct plan_text *text, const char *before, struct str middle,
                      const char *after)
{
    int len =
        snprintf(text->text, sizeof text->text, "%s%.*s%s", before, STR_FORMAT(middle), after);
    KOL_ASSERT(len > 0 && (size_t)len < sizeof text->text);
    text->len = (uint8_t)len;
}

static void plan_choices(struct event_plan *plan, size_t field)
{
    struct plan_choices *choices = &plan->choices[plan->choice_count];
    struct str rest = str_of(plan->rows[field].choices);
    for (; rest.len; choices->count++) {
        struct str word = str_cut(&rest, ' ');
        char text[16] = {0};
        KOL_ASSERT(word.len < sizeof text && choices->count < PLAN_CHOICES_MAX);
        memcpy(text, word.ptr, word.len);
        choices->words[choices->count][0] = bytes_load64(text);
        choices->words[choices->count][1] = bytes_load64(text + 8);
        plan_text(&choices->quoted[choices->count], "\"", word, "\"");
    }
    if (choices->count) {
        KOL_ASSERT(plan->choice_count < PLAN_CHOICE_FIELDS - 1);
        plan->fields[field].choices = (uint8_t)plan->choice_count++;
    }
}

static void plan_field(struct plan_field *plan, const struct field *row)
{
    KOL_ASSERT(row->offset <= UINT16_MAX && row->max_bytes <= UINT32_MAX);
    plan->kind = (uint8_t)row->kind;
    plan->offset = (uint16_t)row->offset;
    plan->max_bytes = (uint32_t)row->max_bytes;
    if (row->kind == FIELD_INT) {
        plan->min = (int64_t)row->min;
        plan->max = row->max < 0x1p63 ? (int64_t)row->max : INT64_MAX;
    }
}

static void plan_type(enum event_type type)
{
    struct event_plan *plan = &plans.types[type];
    struct field_table table = event_fields(type);
    KOL_ASSERT(table.count <= PLAN_FIELDS_MAX);
    plan->rows = table.fields;
    for (size_t i = 0; i < table.count; i++) {
        int name = json_names_add(&plans.names, str_of(table.fields[i].name));
        set_bit(plan->own, name);
        plan->field_of[name] = (uint8_t)i;
        plan->required |= (uint64_t)table.fields[i].required << i;
        plan_field(&plan->fields[i], &table.fields[i]);
        plan_text(&plan->keys[i], ",\"", str_of(table.fields[i].name), "\":");
        plan_choices(plan, i);
        plan_others(plan, i);
        plan_counts(plan, type, i);
    }
}

static void make_plans(void)
{
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        plan_type((enum event_type)type);
    }
    plans.event_type = (unsigned)json_names_add(&plans.names, STR("event_type"));
    json_names_seal(&plans.names);
    atomic_store_explicit(&event_plans_made, &plans, memory_order_release);
}

const struct event_plans *event_plans_make(void)
{
    pthread_once(&plans_once, make_plans);
    return &plans;
}
