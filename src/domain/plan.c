/* plan.c: field tables -> masks and ids. */
#include "domain/plan.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static struct event_plans plans;
static pthread_once_t plans_once = PTHREAD_ONCE_INIT;

static void set_bit(uint64_t *words, int bit)
{
    words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static void plan_others(struct event_plan *plan, size_t field)
{
    struct str rest = str_of(plan->fields[field].accepts);
    while (rest.len) {
        int name = json_names_add(&plans.names, str_cut(&rest, ' '));
        KOL_ASSERT(plan->other_count < PLAN_OTHERS_MAX);
        plan->other[plan->other_count++] =
            (struct plan_other){.name = (uint8_t)name, .field = (uint8_t)field};
        set_bit(plan->others, name);
    }
}

static void plan_count_sources(struct event_plan *plan, enum event_type type, size_t field)
{
    struct str rest = str_of(plan->fields[field].count_from);
    while (rest.len) {
        int source = event_field_index(type, str_cut(&rest, ' '));
        KOL_ASSERT(source >= 0 && plan->fields[source].kind == FIELD_COUNT);
        plan->count_sources |= UINT64_C(1) << source;
    }
}

static void plan_key(struct plan_key *key, const char *name)
{
    int len = snprintf(key->text, sizeof key->text, ",\"%s\":", name);
    KOL_ASSERT(len > 0 && (size_t)len < sizeof key->text);
    key->len = (uint8_t)len;
}

static void plan_type(enum event_type type)
{
    struct event_plan *plan = &plans.types[type];
    struct field_table table = event_fields(type);
    KOL_ASSERT(table.count <= PLAN_FIELDS_MAX);
    plan->fields = table.fields;
    for (size_t i = 0; i < table.count; i++) {
        int name = json_names_add(&plans.names, str_of(table.fields[i].name));
        set_bit(plan->own, name);
        plan->field_of[name] = (uint8_t)i;
        plan_others(plan, i);
        plan_count_sources(plan, type, i);
        plan_key(&plan->keys[i], table.fields[i].name);
    }
}

static void make_plans(void)
{
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        plan_type((enum event_type)type);
    }
    plans.event_type = json_names_add(&plans.names, STR("event_type"));
    json_names_seal(&plans.names);
}

const struct event_plans *event_plans(void)
{
    pthread_once(&plans_once, make_plans);
    return &plans;
}
