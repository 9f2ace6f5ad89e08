/*
 * duckdb_ast.h: a SELECT as its parser sees it, walked without running or binding anything.
 */
#ifndef ENGINE_DUCKDB_AST_H
#define ENGINE_DUCKDB_AST_H

#include <jansson.h>

#include "engine/engine.h"

/* The parsed statements as DuckDB writes them down in JSON: for json_decref(). KOL_INVALID for what
 * cannot be parsed or is no SELECT. */
enum kol_status ast_parse(struct engine_session *session, const char *sql, json_t **out,
                          struct kol_error *err) KOL_CHECKED;

/* What a walk tells; any may be NULL, and one that fails ends the walk. */
struct ast_visitor {
    /* A table that is read, and that no WITH around it defines. Absent parts are "". */
    enum kol_status (*table)(const char *catalog, const char *schema, const char *name, void *user,
                             struct kol_error *err);
    enum kol_status (*function)(const char *name, bool gives_table, void *user,
                                struct kol_error *err);
    /* What stands in FROM and is neither table, subquery nor function ("SHOW_REF"). */
    enum kol_status (*other)(const char *type, void *user, struct kol_error *err);
    void *user;
};

enum kol_status ast_walk(const json_t *statements, const struct ast_visitor *visitor,
                         struct kol_error *err) KOL_CHECKED;

#endif
