/*
 * build_ranked.c: the KOLs by each metric, out of copy.kols.
 *
 * The rows are taken once into a temporary table that has only what the lists have, with texts of
 * few values as numbers (ENUM): six sorts of texts would be most of a build.
 */
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "online/build.h"

static const struct {
    const char *name, *metric, *more;
} ranked_rows[] = {
#define RANKED(name, metric, more) {#name, #metric, more},
#include "online/sources.def"
};

static const char *const named_columns[] = {
#define NAMED(column) #column,
#include "online/sources.def"
};

enum { MAX_NAMES = 4096 }; /* of a column; with more it stays a text */

/* What every ranked list can be filtered by, where the KOLs have it. */
static const char filters[] = "verified tier category lang followers_count trust_score";

static enum kol_status exec(struct online_build_state *state, struct buf *sql,
                            struct kol_error *err)
{
    enum kol_status status = engine_exec(state->input->session, sql->ptr, err);
    buf_free(sql);
    return status;
}

/* ---- the rows that are sorted ---- */

/* Makes the ENUM of a column, where its values are some and not too many. */
static enum kol_status make_names(struct online_build_state *state, const char *column, bool *made,
                                  struct kol_error *err)
{
    int64_t count = 0;
    struct buf sql = {0};
    buf_printf(&sql, "SELECT count(DISTINCT %s) FROM copy.kols", column);
    enum kol_status status = engine_get_int(state->input->session, sql.ptr, &count, err);
    *made = count > 0 && count <= MAX_NAMES;
    buf_clear(&sql);
    if (status != KOL_OK || !*made) {
        buf_free(&sql);
        return status;
    }
    buf_printf(&sql,
               "CREATE TYPE \"copy\".main.%s_name AS ENUM (SELECT DISTINCT %s FROM copy.kols WHERE "
               "%s IS NOT NULL ORDER BY 1)",
               column, column, column);
    return exec(state, &sql, err);
}

static bool is_named(const char *column)
{
    for (size_t i = 0; i < ARRAY_LEN(named_columns); i++) {
        if (!strcmp(named_columns[i], column)) {
            return true;
        }
    }
    return false;
}

/* Columns of copy.kols that the lists have, and no other is asked for: each once. */
static void wanted_columns(struct buf *out, struct str present)
{
    struct buf all = {0};
    buf_printf(&all, "platform kol_id %s", filters);
    for (size_t i = 0; i < ARRAY_LEN(ranked_rows); i++) {
        buf_printf(&all, " %s %s", ranked_rows[i].metric, ranked_rows[i].more);
    }
    struct str rest = buf_str(&all);
    while (rest.len) {
        struct str word = str_cut(&rest, ' ');
        if (word.len && str_has_word(present, word) && !str_has_word(buf_str(out), word)) {
            buf_printf(out, "%s%.*s", out->len ? " " : "", STR_FORMAT(word));
        }
    }
    buf_free(&all);
}

/* temp.ranked with the columns named in `columns`. */
static enum kol_status take_rows(struct online_build_state *state, struct str columns,
                                 struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    const char *separator = "";
    struct buf sql = {0};
    buf_puts(&sql, "CREATE OR REPLACE TEMP TABLE ranked AS SELECT ");
    while (columns.len && status == KOL_OK) {
        char name[64];
        struct str column = str_cut(&columns, ' ');
        bool named;
        snprintf(name, sizeof name, "%.*s", STR_FORMAT(column));
        named = is_named(name);
        status = named ? make_names(state, name, &named, err) : KOL_OK;
        if (named) {
            buf_printf(&sql, "%sCAST(%s AS \"copy\".main.%s_name) AS %s", separator, name, name,
                       name);
        } else {
            buf_printf(&sql, "%s%s", separator, name);
        }
        separator = ", ";
    }
    buf_puts(&sql, " FROM copy.kols");
    if (status != KOL_OK) {
        buf_free(&sql);
        return status;
    }
    return exec(state, &sql, err);
}

/* ---- the lists ---- */

/* Appends the columns named in `names` that are there, but for the metric. */
static void put_present(struct buf *sql, struct str present, const char *names, const char *metric)
{
    struct str rest = str_of(names);
    while (rest.len) {
        struct str name = str_cut(&rest, ' ');
        if (!str_is(name, metric) && str_has_word(present, name)) {
            buf_printf(sql, ", %.*s", STR_FORMAT(name));
        }
    }
}

static enum kol_status make_lists(struct online_build_state *state, struct str present,
                                  struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < ARRAY_LEN(ranked_rows) && status == KOL_OK; i++) {
        const char *metric = ranked_rows[i].metric;
        struct buf sql = {0};
        if (!str_has_word(present, str_of(metric))) {
            continue;
        }
        online_say(state, ranked_rows[i].name, state->steps_done++, 0);
        buf_printf(&sql, "CREATE TABLE copy.%s AS SELECT platform, kol_id, %s", ranked_rows[i].name,
                   metric);
        put_present(&sql, present, filters, metric);
        put_present(&sql, present, ranked_rows[i].more, metric);
        buf_printf(&sql, " FROM temp.ranked ORDER BY %s DESC NULLS LAST, platform, kol_id", metric);
        status = exec(state, &sql, err);
        FAILPOINT("online.lists.ranked");
    }
    return status;
}

enum kol_status online_build_ranked(struct online_build_state *state, struct kol_error *err)
{
    struct engine_session *session = state->input->session;
    struct buf present = {0}, columns = {0};
    enum kol_status status = engine_get_text(
        session,
        "SELECT string_agg(column_name, ' ') FROM duckdb_columns() WHERE database_name = 'copy' "
        "AND table_name = 'kols'",
        &present, err);
    if (status == KOL_OK) {
        wanted_columns(&columns, buf_str(&present));
        status = take_rows(state, buf_str(&columns), err);
    }
    status = status == KOL_OK ? make_lists(state, buf_str(&columns), err) : status;
    status = status == KOL_OK ? engine_exec(session, "DROP TABLE temp.ranked", err) : status;
    buf_free(&present);
    buf_free(&columns);
    return status;
}
