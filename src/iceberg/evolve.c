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
                                  const struct ice_schema *declared, struct kol_error *err)
{
    struct evolution evolution = {.err = err};
    enum kol_status status = catalog->ops->load(catalog, ident, &evolution.metadata, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct ice_metadata *m = evolution.metadata;
    arena_init(&evolution.arena, 0);
    evolution.schema = ice_schema_copy(&evolution.arena, ice_current_schema(m));
    status = evolve_fields(&evolution, &evolution.schema.fields, &evolution.schema.count,
                           declared->fields, declared->count);
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

enum kol_status ice_evolve(struct catalog *catalog, struct ice_ident ident,
                           const struct ice_schema *declared, struct kol_error *err)
{
    enum { ATTEMPTS = 50 };
    enum kol_status status = KOL_CONFLICT;
    for (int i = 0; i < ATTEMPTS && status == KOL_CONFLICT; i++) {
        status = try_evolve(catalog, ident, declared, err);
    }
    return status;
}
