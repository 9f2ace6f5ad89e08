/*
 * evolve.c: a table's schema follows what is declared for it, without touching a data file.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "iceberg/parts.h"
#include "iceberg/table.h"

/* The schema in the making. */
struct evolution {
    struct arena arena;
    struct ice_metadata *metadata;
    struct ice_schema schema;
    bool changed;
    struct kol_error *err;
};

static struct ice_field *find(struct ice_field *fields, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].id == id) {
            return &fields[i];
        }
    }
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static enum kol_status evolve_fields(struct evolution *evolution, struct ice_field **fields,
                                     size_t *count, const struct ice_field *declared,
                                     size_t declared_count);

static enum kol_status evolve_type(struct evolution *evolution, struct ice_field *field,
                                   const struct ice_field *declared)
{
    if (!ice_type_may_become(field, declared)) {
        struct buf from = {0}, to = {0};
        if (!ice_type_is_nested(field->type) && !ice_type_is_nested(declared->type)) {
            ice_type_write(&from, field);
            ice_type_write(&to, declared);
        }
        enum kol_status status = kol_fail(
            evolution->err, KOL_INVALID,
            "column %s (id %d) cannot become what is declared (%s to %s): only int to long, float "
            "to double and decimals to more digits need no rewrite; give the new column a new id",
            field->name, field->id, from.len ? from.ptr : "nested", to.len ? to.ptr : "nested");
        buf_free(&from);
        buf_free(&to);
        return status;
    }
    if (!ice_type_equal(field, declared)) {
        field->type = declared->type;
        field->precision = declared->precision;
        evolution->changed = true;
    }
    return evolve_fields(evolution, &field->children, &field->child_count, declared->children,
                         declared->child_count);
}

/* A column that is there: its name, doc, type and whether nulls are allowed. */
static enum kol_status evolve_field(struct evolution *evolution, struct ice_field *field,
                                    const struct ice_field *declared)
{
    if (!same_text(field->name, declared->name)) {
        field->name = ice_copy_text(&evolution->arena, declared->name);
        evolution->changed = true;
    }
    if (!same_text(field->doc, declared->doc)) {
        field->doc = ice_copy_text(&evolution->arena, declared->doc);
        evolution->changed = true;
    }
    if (declared->required && !field->required) {
        return kol_fail(evolution->err, KOL_INVALID,
                        "column %s cannot become required: files that are there may hold nulls",
                        field->name);
    }
    if (field->required && !declared->required) {
        field->required = false;
        evolution->changed = true;
    }
    return evolve_type(evolution, field, declared);
}

static enum kol_status add_field(struct evolution *evolution, struct ice_field **fields,
                                 size_t *count, const struct ice_field *declared)
{
    if (declared->required && evolution->metadata->snapshot_count) {
        return kol_fail(evolution->err, KOL_INVALID,
                        "column %s is new and cannot be required: rows that are there have none",
                        declared->name);
    }
    struct ice_schema one = {.fields = (struct ice_field *)declared, .count = 1};
    struct ice_field *grown = arena_alloc(&evolution->arena, (*count + 1) * sizeof *grown);
    if (*count) {
        memcpy(grown, *fields, *count * sizeof *grown);
    }
    grown[*count] = ice_schema_copy(&evolution->arena, &one).fields[0];
    *fields = grown;
    (*count)++;
    evolution->changed = true;
    return KOL_OK;
}

static enum kol_status evolve_fields(struct evolution *evolution, struct ice_field **fields,
                                     size_t *count, const struct ice_field *declared,
                                     size_t declared_count)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < declared_count && status == KOL_OK; i++) {
        struct ice_field *field = find(*fields, *count, declared[i].id);
        status = field ? evolve_field(evolution, field, &declared[i])
                       : add_field(evolution, fields, count, &declared[i]);
    }
    return status;
}

static bool has_source(const struct ice_metadata *m, int32_t id)
{
    const struct ice_partition_spec *spec = ice_default_spec(m);
    bool found = false;
    for (size_t i = 0; i < spec->count; i++) {
        found = found || spec->fields[i].source_id == id;
    }
    for (size_t i = 0; i < m->order_count; i++) {
        const struct ice_sort_order *order = &m->orders[i];
        for (size_t k = 0; k < order->count && order->order_id == m->default_order_id; k++) {
            found = found || order->fields[k].source_id == id;
        }
    }
    return found;
}

/* Drops the column at `at`, whose name another one takes. */
static enum kol_status drop_field(struct evolution *evolution, size_t at)
{
    struct ice_schema *schema = &evolution->schema;
    const struct ice_field dropped = schema->fields[at];
    if (has_source(evolution->metadata, dropped.id)) {
        return kol_fail(evolution->err, KOL_INVALID,
                        "column %s cannot change its type: the table is partitioned or sorted by "
                        "it; give the new column another name",
                        dropped.name);
    }
    size_t kept = 0;
    for (size_t i = 0; i < schema->identifier_count; i++) {
        if (schema->identifiers[i] != dropped.id) {
            schema->identifiers[kept++] = schema->identifiers[i];
        }
    }
    schema->identifier_count = kept;
    memmove(&schema->fields[at], &schema->fields[at + 1],
            (schema->count - at - 1) * sizeof *schema->fields);
    schema->count--;
    evolution->changed = true;
    return KOL_OK;
}

static enum kol_status drop_replaced(struct evolution *evolution, const struct ice_schema *declared)
{
    struct ice_schema *schema = &evolution->schema;
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < declared->count && status == KOL_OK; i++) {
        const struct ice_field *old = ice_field_by_name(schema, declared->fields[i].name);
        if (old && old->id != declared->fields[i].id &&
            !find(schema->fields, schema->count, declared->fields[i].id)) {
            status = drop_field(evolution, (size_t)(old - schema->fields));
        }
    }
    return status;
}

/* Two columns of one name make a table that nobody can read by name. */
static enum kol_status check_names(const struct evolution *evolution)
{
    const struct ice_schema *schema = &evolution->schema;
    for (size_t i = 0; i < schema->count; i++) {
        const char *name = schema->fields[i].name;
        if (ice_field_by_name(schema, name) != &schema->fields[i]) {
            return kol_fail(evolution->err, KOL_INVALID, "two columns would be named %s", name);
        }
    }
    return KOL_OK;
}

static enum kol_status try_evolve(struct catalog *catalog, struct ice_ident ident,
                                  const struct ice_schema *declared, bool replacing,
                                  struct kol_error *err)
{
    struct evolution evolution = {.err = err};
    enum kol_status status = catalog->ops->load(catalog, ident, &evolution.metadata, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct ice_metadata *m = evolution.metadata;
    arena_init(&evolution.arena, 0);
    evolution.schema = ice_schema_copy(&evolution.arena, ice_current_schema(m));
    status = replacing ? drop_replaced(&evolution, declared) : KOL_OK;
    if (status == KOL_OK) {
        status = evolve_fields(&evolution, &evolution.schema.fields, &evolution.schema.count,
                               declared->fields, declared->count);
    }
    if (status == KOL_OK && evolution.changed) {
        status = check_names(&evolution);
    }
    if (status == KOL_OK && evolution.changed) {
        const struct ice_requirement same = {ICE_ASSERT_VERSION, m->metadata_location, 0};
        const struct ice_update updates[] = {{.kind = ICE_ADD_SCHEMA, .schema = &evolution.schema},
                                             {.kind = ICE_SET_SCHEMA, .number = -1}};
        status =
            catalog->ops->commit(catalog, ident, &same, 1, updates, ARRAY_LEN(updates), NULL, err);
    }
    ice_metadata_free(&evolution.metadata);
    arena_free(&evolution.arena);
    return status;
}

static enum kol_status evolve(struct catalog *catalog, struct ice_ident ident,
                              const struct ice_schema *declared, bool replacing,
                              struct kol_error *err)
{
    enum { ATTEMPTS = 50 };
    enum kol_status status = KOL_CONFLICT;
    for (int i = 0; i < ATTEMPTS && status == KOL_CONFLICT; i++) {
        status = try_evolve(catalog, ident, declared, replacing, err);
    }
    return status;
}

enum kol_status ice_evolve(struct catalog *catalog, struct ice_ident ident,
                           const struct ice_schema *declared, struct kol_error *err)
{
    return evolve(catalog, ident, declared, false, err);
}

enum kol_status ice_evolve_replacing(struct catalog *catalog, struct ice_ident ident,
                                     const struct ice_schema *declared, struct kol_error *err)
{
    return evolve(catalog, ident, declared, true, err);
}

bool ice_may_widen(const struct ice_field *from, const struct ice_field *to)
{
    return ice_type_may_become(from, to);
}
