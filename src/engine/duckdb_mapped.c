/*
 * duckdb_mapped.c: a data file whose columns have no field ids, taken over from elsewhere.
 *
 * The table's property schema.name-mapping.default says what such a file calls the columns:
 * [{"field-id": 1, "names": ["id", "old_id"]}, ...]. By ids its columns would all be null, and by
 * the names of today those that were renamed; so without the mapping the file is refused.
 */
#include <jansson.h>
#include <string.h>

#include "engine/duckdb_engine.h"
#include "engine/duckdb_footer.h"

struct mapped {
    const struct ice_schema *schema;
    const char *path;
    json_t *mapping; /* NULL where the table has none that can be read */
    const char **columns;
    size_t count;
};

static const json_t *entry_of(const json_t *mapping, int32_t id)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(mapping, i, entry)
    {
        if (json_integer_value(json_object_get(entry, "field-id")) == id) {
            return entry;
        }
    }
    return NULL;
}

static bool has_name(const json_t *entry, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(entry, "names"), i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), name) == 0) {
            return true;
        }
    }
    return false;
}

/* The file's own name of a column, or NULL where it has none. */
static const char *name_in_file(const struct mapped *mapped, const struct ice_field *field)
{
    const json_t *entry = entry_of(mapped->mapping, field->id);
    for (size_t i = 0; i < mapped->count; i++) {
        if (has_name(entry, mapped->columns[i])) {
            return mapped->columns[i];
        }
    }
    return NULL;
}

/* Whether the fields within a column have one name only, that of today: a cast finds them so. */
static bool has_own_names(const struct ice_field *field, const json_t *entry)
{
    for (size_t i = 0; i < field->child_count; i++) {
        const struct ice_field *child = &field->children[i];
        const json_t *of = entry_of(json_object_get(entry, "fields"), child->id);
        bool own =
            field->type != ICE_STRUCT ||
            (json_array_size(json_object_get(of, "names")) == 1 && has_name(of, child->name));
        if (!own || !has_own_names(child, of)) {
            return false;
        }
    }
    return true;
}

/* Why the file cannot be read, or NULL. */
static const char *find_reason(const struct mapped *mapped)
{
    if (!mapped->mapping) {
        return "its columns have no field ids, and the table has no schema.name-mapping.default "
               "that says what it calls them; set that property";
    }
    for (size_t i = 0; i < mapped->schema->count; i++) {
        const struct ice_field *field = &mapped->schema->fields[i];
        if (name_in_file(mapped, field) &&
            !has_own_names(field, entry_of(mapped->mapping, field->id))) {
            return "its columns have no field ids, and fields within a column were renamed or are "
                   "not in schema.name-mapping.default; write the file anew";
        }
    }
    return NULL;
}

/* Not a row, but an error as soon as it is asked for one. */
static void put_refusal(const struct mapped *mapped, const char *reason, struct buf *out)
{
    struct buf message = {0};
    buf_printf(&message, "%s: %s", mapped->path, reason);
    for (size_t i = 0; i < mapped->schema->count; i++) {
        buf_puts(out, i ? ", CAST(NULL AS " : "SELECT CAST(NULL AS ");
        engine_type_name(&mapped->schema->fields[i], out);
        buf_puts(out, ") AS ");
        engine_quote_name(out, str_of(mapped->schema->fields[i].name));
    }
    buf_puts(out, " WHERE error(");
    engine_quote_text(out, buf_str(&message));
    buf_puts(out, ") IS NULL");
    buf_free(&message);
}

static void put_select(const struct mapped *mapped, struct buf *out)
{
    for (size_t i = 0; i < mapped->schema->count; i++) {
        const struct ice_field *field = &mapped->schema->fields[i];
        const char *name = name_in_file(mapped, field);
        buf_puts(out, i ? ", CAST(" : "SELECT CAST(");
        if (name) {
            engine_quote_name(out, str_of(name));
        } else {
            buf_puts(out, "NULL");
        }
        buf_puts(out, " AS ");
        engine_type_name(field, out);
        buf_puts(out, ") AS ");
        engine_quote_name(out, str_of(field->name));
    }
    buf_puts(out, " FROM read_parquet(");
    engine_quote_path_(out, str_of(mapped->path));
    buf_puts(out, ", hive_partitioning = false)");
}

void engine_scan_mapped_(const struct ice_schema *schema, const char *path, struct buf *out)
{
    struct mapped mapped = {.schema = schema, .path = path};
    struct arena arena;
    arena_init(&arena, 0);
    if (schema->name_mapping) {
        mapped.mapping = json_loads(schema->name_mapping, 0, NULL);
    }
    const char *reason = "it was changed while it was looked at; try again";
    if (footer_plain_columns(path, &arena, &mapped.columns, &mapped.count)) {
        reason = find_reason(&mapped);
    }
    if (reason) {
        put_refusal(&mapped, reason, out);
    } else {
        put_select(&mapped, out);
    }
    json_decref(mapped.mapping);
    arena_free(&arena);
}
