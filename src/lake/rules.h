/*
 * rules.h: what a row of a table must satisfy (sql/rules.def), checked on the files just written.
 * Private.
 *
 * Beside the declared rules every table has those of its declaration: a required column is not
 * null, the key columns are unique.
 */
#ifndef LAKE_RULES_H
#define LAKE_RULES_H

#include "lake/lake.h"

enum rule_kind { RULE_NOT_NULL, RULE_RANGE, RULE_UNIQUE, RULE_REFERENCE };

struct lake_rule {
    const char *name_space, *table, *name;
    enum rule_kind kind;
    const char *columns;  /* space-separated */
    const char *argument; /* RANGE: "0..", "0..100"; REFERENCE: "namespace.table.column ..." */
    const char *doc;
};

/* All rules of a table, the implied ones first, in `arena`. */
size_t lake_rules(const struct lake_table *table, struct arena *arena, struct lake_rule **out);

/*
 * Looks for rows in `files` that break a rule: by the files' statistics where they settle it, by
 * SQL else. `bad`: SQL conditions of the broken rules for rows of a relation `staged`, one each; a
 * row breaks the rule where it is true. `schema`: the columns of the files. The tables that rules
 * refer to must be views of the session.
 */
struct broken_rule {
    const struct lake_rule *rule;
    const char *condition;
    int64_t rows;
};
enum kol_status lake_check(struct engine_session *session, const struct lake_rule *rules,
                           size_t count, const struct ice_schema *schema,
                           const struct ice_data_file *files, size_t file_count,
                           struct arena *arena, struct broken_rule **broken, size_t *broken_count,
                           struct kol_error *err) KOL_CHECKED;

/* Appends a SELECT of the table's columns from the rows of `scan` that break none of these. */
void lake_put_good(const struct lake_table *table, const char *scan,
                   const struct broken_rule *broken, size_t count, struct buf *sql);

#endif
