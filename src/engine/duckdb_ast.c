/*
 * duckdb_ast.c: a SELECT as DuckDB's parser sees it.
 *
 * json_serialize_sql() only parses: no table is looked up, no file opened, no function called, so
 * that it is safe on any text. The JSON is walked without regard to where a clause may stand: what
 * looks like a table is one, in whatever new place a later version puts it. Numbers are read as
 * reals: DuckDB writes places in the text that are beyond 63 bits, and none is looked at.
 */
#include "engine/duckdb_ast.h"

#include <string.h>
#include <strings.h>

#include "engine/duckdb_engine.h"

/* The names that WITH defines around the place of the walk, innermost first. */
struct scope {
    const char *name;
    const struct scope *outer;
};

struct walk {
    const struct ast_visitor *visitor;
    struct kol_error *err;
};

enum kol_status ast_parse(struct engine_session *session, const char *sql, json_t **out,
                          struct kol_error *err)
{
    struct buf query = {0}, text = {0};
    json_error_t wrong;
    *out = NULL;
    buf_puts(&query, "SELECT json_serialize_sql(");
    engine_quote_text(&query, str_of(sql));
    buf_puts(&query, ")");
    enum kol_status status = engine_get_text(session, query.ptr, &text, err);
    json_t *root = status == KOL_OK ? json_loadb(text.ptr, text.len,
                                                 JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &wrong)
                                    : NULL;
    if (status == KOL_OK && !root) {
        status = kol_fail(err, KOL_INVALID, "the SELECT cannot be looked through: %s", wrong.text);
    } else if (status == KOL_OK && json_is_true(json_object_get(root, "error"))) {
        const char *type = json_string_value(json_object_get(root, "error_type"));
        const char *message = json_string_value(json_object_get(root, "error_message"));
        status = type && strcmp(type, "not implemented") == 0
                     ? kol_fail(err, KOL_INVALID, "the SQL is no SELECT")
                     : kol_fail(err, KOL_INVALID, "%s", message ? message : "no SQL");
    } else if (status == KOL_OK) {
        *out = json_incref(json_object_get(root, "statements"));
    }
    json_decref(root);
    buf_free(&query);
    buf_free(&text);
    return status;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool in_scope(const struct scope *scope, const char *name)
{
    while (scope && strcasecmp(scope->name, name) != 0) {
        scope = scope->outer;
    }
    return scope != NULL;
}

static enum kol_status visit_table(const struct walk *walk, const json_t *node,
                                   const struct scope *scope)
{
    const char *catalog = text_of(node, "catalog_name"), *schema = text_of(node, "schema_name");
    const char *name = text_of(node, "table_name");
    if (!walk->visitor->table || (!*catalog && !*schema && in_scope(scope, name))) {
        return KOL_OK;
    }
    return walk->visitor->table(catalog, schema, name, walk->visitor->user, walk->err);
}

/* What the node itself is; its parts are walked by the caller. */
static enum kol_status visit(const struct walk *walk, const json_t *node, const struct scope *scope)
{
    const struct ast_visitor *visitor = walk->visitor;
    const char *type = text_of(node, "type");
    const json_t *function = json_object_get(node, "function");
    if (strcmp(type, "BASE_TABLE") == 0) {
        return visit_table(walk, node, scope);
    }
    if (strcmp(type, "TABLE_FUNCTION") == 0 && visitor->function) {
        return visitor->function(text_of(function, "function_name"), true, visitor->user,
                                 walk->err);
    }
    if (json_object_get(node, "function_name") && visitor->function) {
        return visitor->function(text_of(node, "function_name"), false, visitor->user, walk->err);
    }
    if (strcmp(type, "SHOW_REF") == 0 && visitor->other) {
        return visitor->other(type, visitor->user, walk->err);
    }
    return KOL_OK;
}

static enum kol_status walk_value(const struct walk *walk, const json_t *value,
                                  const struct scope *scope);

/* The parts of a node but for its WITH. The function of a table function is visited as that. */
static enum kol_status walk_parts(const struct walk *walk, const json_t *node,
                                  const struct scope *scope)
{
    bool gives_table = strcmp(text_of(node, "type"), "TABLE_FUNCTION") == 0;
    enum kol_status status = KOL_OK;
    const char *key;
    json_t *part;
    json_object_foreach((json_t *)node, key, part)
    {
        if (status == KOL_OK && strcmp(key, "cte_map") != 0) {
            bool function = gives_table && strcmp(key, "function") == 0;
            status = function ? walk_parts(walk, part, scope) : walk_value(walk, part, scope);
        }
    }
    return status;
}

/* The definitions of a WITH from `at` on, each seeing those before it, then the node itself. */
static enum kol_status walk_with(const struct walk *walk, const json_t *node, const json_t *map,
                                 size_t at, const struct scope *scope)
{
    const json_t *entry = json_array_get(map, at);
    if (!entry) {
        return walk_parts(walk, node, scope);
    }
    enum kol_status status = walk_value(walk, json_object_get(entry, "value"), scope);
    struct scope inner = {text_of(entry, "key"), scope};
    return status == KOL_OK ? walk_with(walk, node, map, at + 1, &inner) : status;
}

static enum kol_status walk_value(const struct walk *walk, const json_t *value,
                                  const struct scope *scope)
{
    enum kol_status status = KOL_OK;
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value) && status == KOL_OK; i++) {
            status = walk_value(walk, json_array_get(value, i), scope);
        }
    } else if (json_is_object(value)) {
        struct scope self = {text_of(value, "cte_name"), scope};
        bool recursive = strcmp(text_of(value, "type"), "RECURSIVE_CTE_NODE") == 0;
        const json_t *map = json_object_get(json_object_get(value, "cte_map"), "map");
        status = visit(walk, value, scope);
        if (status == KOL_OK) {
            status = walk_with(walk, value, map, 0, recursive ? &self : scope);
        }
    }
    return status;
}

enum kol_status ast_walk(const json_t *statements, const struct ast_visitor *visitor,
                         struct kol_error *err)
{
    struct walk walk = {visitor, err};
    return walk_value(&walk, statements, NULL);
}
