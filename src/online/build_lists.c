/*
 * build_lists.c: lists.duckdb: the tables of one run joined into rows of KOLs and of content,
 * sorted as they will be asked for. The records are made of the same rows afterwards
 * (build_records.c), so that the two halves cannot differ.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/fold.h"
#include "base/mem.h"
#include "online/build.h"

enum { JOINS, ADDS };

static const struct source_row {
    enum online_kind kind;
    const char *name_space, *name;
    int adds;
    const char *where, *columns;
} source_rows[] = {
#define SOURCE(KIND, space, table, ADDS, where, columns)                                           \
    {ONLINE_##KIND, #space, #table, ADDS, where, columns},
#include "online/sources.def"
};

static const char *const record_only[ONLINE_KINDS] = {
#define RECORD_ONLY(KIND, columns) [ONLINE_##KIND] = (columns),
#include "online/sources.def"
};

static const struct {
    const char *name_space, *name, *order;
} table_rows[] = {
#define TABLE(space, table, order) {#space, #table, order},
#include "online/sources.def"
};

const char *const online_list_tables[ONLINE_KINDS] = {"kols", "content"};
const char *const online_id_columns[ONLINE_KINDS] = {"kol_id", "content_id"};

/* How the rows lie in the file, by columns that may be absent. KOLs lie as they come: the ranked
 * lists have the orders that are asked for. */
static const struct {
    const char *column, *order;
} content_order[] = {
    {"kol_id", "kol_id"},
    {"platform", "platform"},
    {"posted_at", "posted_at DESC NULLS LAST"},
    {"content_id", "content_id"},
};
/* What they get for searches. */
static const struct {
    const char *column, *folded;
} list_folded[ONLINE_KINDS][2] = {
    {{"display_name", "name_folded"}, {"kol_id", "id_folded"}},
    {{"title", "title_folded"}},
};

/* ---- the columns of a kind ---- */

/* One column of the joined rows. */
struct joined_column {
    const char *name; /* in the arena of the meta record */
    const struct ice_field *field;
    struct buf sql; /* the expression that gives it */
};

struct joined {
    struct joined_column columns[ONLINE_MAX_COLUMNS];
    size_t count;
};

static struct joined_column *find_column(struct joined *joined, struct str name)
{
    for (size_t i = 0; i < joined->count; i++) {
        if (str_is(name, joined->columns[i].name)) {
            return &joined->columns[i];
        }
    }
    return NULL;
}

/* Adds a column of the source called `alias`, or fills the gaps of the one that has its name. */
static enum kol_status join_column(struct online_build_state *state, struct joined *joined,
                                   const struct ice_field *field, struct str name,
                                   const char *alias, struct kol_error *err)
{
    struct joined_column *column = find_column(joined, name);
    if (column) {
        struct buf filled = {0};
        buf_printf(&filled, "coalesce(%s, %s.", column->sql.ptr, alias);
        engine_quote_name(&filled, str_of(field->name));
        buf_putc(&filled, ')');
        buf_free(&column->sql);
        column->sql = filled;
        return KOL_OK;
    }
    if (joined->count == ONLINE_MAX_COLUMNS) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "the online copy has room for %d columns of a kind; %.*s is one more",
                        ONLINE_MAX_COLUMNS, STR_FORMAT(name));
    }
    column = &joined->columns[joined->count++];
    *column = (struct joined_column){arena_copy(&state->meta.arena, name).ptr, field, {0}};
    buf_printf(&column->sql, "%s.", alias);
    engine_quote_name(&column->sql, str_of(field->name));
    return KOL_OK;
}

static bool is_key(enum online_kind kind, const char *name)
{
    return !strcmp(name, "platform") || !strcmp(name, online_id_columns[kind]);
}

/* The name under which the row of sources.def takes a column; empty where it does not. */
static struct str taken_name(const char *wanted, const char *column)
{
    struct str rest = str_of(wanted), name = {0};
    while (rest.len) {
        struct str word = str_cut(&rest, ' '), old = str_cut(&word, '=');
        if (str_is(old, column)) {
            return word.len ? word : old; /* said by name: this is how it is */
        }
        if (str_is(old, "*")) {
            name = str_of(column);
        }
    }
    return name;
}

static enum kol_status join_source(struct online_build_state *state, struct joined *joined,
                                   const struct source_row *row, const struct online_source *source,
                                   const char *alias, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < source->schema->count && status == KOL_OK; i++) {
        const struct ice_field *field = &source->schema->fields[i];
        bool key = is_key(row->kind, field->name);
        struct str name = key ? str_of(field->name) : taken_name(row->columns, field->name);
        if (name.len && (!key || row->adds)) {
            status = join_column(state, joined, field, name, alias, err);
        }
    }
    return status;
}

/* Appends the source to the FROM clause. The key of what is joined so far is that of the first
 * columns. */
static void put_from(struct buf *out, const struct source_row *row, struct joined *joined,
                     const char *alias)
{
    const char *keys[] = {"platform", online_id_columns[row->kind]};
    const bool first = joined->count == 0;
    buf_puts(out, first ? " FROM " : row->adds ? " FULL JOIN " : " LEFT JOIN ");
    buf_printf(out, "(SELECT * FROM %s.%s%s%s) AS %s", row->name_space, row->name,
               *row->where ? " WHERE " : "", row->where, alias);
    for (int i = 0; !first && i < 2; i++) {
        buf_printf(out, "%s%s.%s = %s", i ? " AND " : " ON ", alias, keys[i],
                   find_column(joined, str_of(keys[i]))->sql.ptr);
    }
}

/* Keys first, then as they came. */
static int compare_columns(const struct joined_column *a, const struct joined_column *b,
                           enum online_kind kind)
{
    int x = !strcmp(a->name, "platform") ? 0 : is_key(kind, a->name) ? 1 : 2;
    int y = !strcmp(b->name, "platform") ? 0 : is_key(kind, b->name) ? 1 : 2;
    return x - y;
}

static void put_keys_first(struct joined *joined, enum online_kind kind)
{
    for (size_t i = 1; i < joined->count; i++) { /* an insertion keeps the order of the others */
        struct joined_column column = joined->columns[i];
        size_t at = i;
        for (; at > 0 && compare_columns(&column, &joined->columns[at - 1], kind) < 0; at--) {
            joined->columns[at] = joined->columns[at - 1];
        }
        joined->columns[at] = column;
    }
}

/* Joins what there is of the sources of a kind; the FROM clause goes to `from`. */
static enum kol_status join_kind(struct online_build_state *state, enum online_kind kind,
                                 struct joined *joined, struct buf *from, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < ARRAY_LEN(source_rows) && status == KOL_OK; i++) {
        const struct source_row *row = &source_rows[i];
        char alias[16];
        if (row->kind != kind) {
            continue;
        }
        const struct online_source *source =
            online_source_find(state->input, row->name_space, row->name);
        if (!source && joined->count == 0) {
            return kol_fail(err, KOL_NOT_FOUND,
                            "the run has no table %s.%s, which the online copy is made of: run "
                            "`kol etl`",
                            row->name_space, row->name);
        }
        if (source) {
            snprintf(alias, sizeof alias, "s%zu", i);
            put_from(from, row, joined, alias);
            status = join_source(state, joined, row, source, alias, err);
        }
    }
    put_keys_first(joined, kind);
    return status;
}

static void set_layout(struct online_build_state *state, enum online_kind kind,
                       const struct joined *joined)
{
    struct arena *arena = &state->meta.arena;
    struct online_column *columns = arena_alloc(arena, joined->count * sizeof *columns);
    for (size_t i = 0; i < joined->count; i++) {
        struct buf type = {0};
        const struct ice_field *field = joined->columns[i].field;
        if (field->type == ICE_LIST && record_type_of(field) == ONLINE_TEXTS) {
            buf_puts(&type, "list<string>");
        } else if (field->type == ICE_LIST || field->type == ICE_MAP || field->type == ICE_STRUCT) {
            buf_puts(&type, "json");
        } else {
            ice_type_write(&type, field);
        }
        columns[i] = (struct online_column){joined->columns[i].name, record_type_of(field),
                                            arena_copy(arena, buf_str(&type)).ptr};
        buf_free(&type);
    }
    record_layout_init(&state->meta.layouts[kind], columns, joined->count);
}

/* ---- making the tables ---- */

static void put_order(struct buf *sql, struct joined *joined, enum online_kind kind)
{
    const char *separator = " ORDER BY ";
    for (size_t i = 0; kind == ONLINE_CONTENT && i < ARRAY_LEN(content_order); i++) {
        if (find_column(joined, str_of(content_order[i].column))) {
            buf_printf(sql, "%s%s", separator, content_order[i].order);
            separator = ", ";
        }
    }
}

static void put_columns(struct buf *sql, const struct joined *joined, const char *without)
{
    const char *separator = "SELECT ";
    for (size_t i = 0; i < joined->count; i++) {
        if (!str_has_word(str_of(without), str_of(joined->columns[i].name))) {
            buf_printf(sql, "%s%s AS ", separator, joined->columns[i].sql.ptr);
            engine_quote_name(sql, str_of(joined->columns[i].name));
            separator = ", ";
        }
    }
}

static void put_folded(struct buf *sql, struct joined *joined, enum online_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(list_folded[kind]); i++) {
        const char *name = list_folded[kind][i].column;
        struct joined_column *column = name ? find_column(joined, str_of(name)) : NULL;
        if (column) {
            buf_printf(sql, ", kol_fold(%s) AS %s", column->sql.ptr, list_folded[kind][i].folded);
        }
    }
}

static enum kol_status make_kind(struct online_build_state *state, enum online_kind kind,
                                 struct kol_error *err)
{
    struct joined *joined = mem_zalloc(1, sizeof *joined);
    struct buf sql = {0}, from = {0};
    enum kol_status status = join_kind(state, kind, joined, &from, err);
    if (status == KOL_OK) {
        set_layout(state, kind, joined);
        put_columns(&state->rows[kind], joined, "");
        buf_put(&state->rows[kind], buf_str(&from));
        buf_printf(&sql, "CREATE TABLE copy.%s AS SELECT * FROM (", online_list_tables[kind]);
        put_columns(&sql, joined, record_only[kind]);
        put_folded(&sql, joined, kind);
        buf_put(&sql, buf_str(&from));
        buf_putc(&sql, ')');
        put_order(&sql, joined, kind);
        online_say(state, online_list_tables[kind], state->steps_done++, 0);
        status = engine_exec(state->input->session, sql.ptr, err);
    }
    for (size_t i = 0; i < joined->count; i++) {
        buf_free(&joined->columns[i].sql);
    }
    free(joined);
    buf_free(&from);
    buf_free(&sql);
    return status;
}

static enum kol_status copy_tables(struct online_build_state *state, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < ARRAY_LEN(table_rows) && status == KOL_OK; i++) {
        struct buf sql = {0};
        if (online_source_find(state->input, table_rows[i].name_space, table_rows[i].name)) {
            online_say(state, table_rows[i].name, state->steps_done++, 0);
            buf_printf(&sql, "CREATE TABLE copy.%s AS SELECT * FROM %s.%s ORDER BY %s",
                       table_rows[i].name, table_rows[i].name_space, table_rows[i].name,
                       table_rows[i].order);
            status = engine_exec(state->input->session, sql.ptr, err);
            FAILPOINT("online.lists.table");
        }
        buf_free(&sql);
    }
    return status;
}

/* The tables whose texts are ids, nearly all of them different: to try every way of packing them
 * would only find the same one. */
static enum kol_status make_rest(struct online_build_state *state, struct kol_error *err)
{
    struct engine_session *session = state->input->session;
    enum kol_status status = engine_exec(session, "SET force_compression = 'fsst'", err);
    if (status == KOL_OK) {
        status = online_build_ranked(state, err);
        status = status == KOL_OK ? copy_tables(state, err) : status;
        enum kol_status ended =
            engine_exec(session, "SET force_compression = 'auto'", status == KOL_OK ? err : NULL);
        status = status == KOL_OK ? ended : status;
    }
    return status;
}

/* Sums that the meta record names. */
static enum kol_status count_rows(struct online_build_state *state, struct kol_error *err)
{
    struct online_info *info = &state->meta.info;
    struct engine_session *session = state->input->session;
    enum kol_status status =
        engine_get_int(session, "SELECT count(*) FROM copy.kols", &info->kols, err);
    if (status == KOL_OK) {
        status = engine_get_int(session, "SELECT count(*) FROM copy.content", &info->contents, err);
    }
    if (status == KOL_OK) {
        status = engine_get_int(session,
                                "SELECT coalesce(epoch_us(greatest("
                                "(SELECT max(updated_at) FROM copy.kols), "
                                "(SELECT max(updated_at) FROM copy.content))), 0)",
                                &info->as_of_us, err);
    }
    return status;
}

static void fold(struct str in, struct buf *out)
{
    fold_put(out, in);
}

enum kol_status online_build_lists(struct online_build_state *state, struct kol_error *err)
{
    enum kol_status status = engine_add_text_function(state->input->engine, "kol_fold", fold, err);
    status = status == KOL_OK ? online_build_attach(state, err) : status;
    for (int kind = 0; kind < ONLINE_KINDS && status == KOL_OK; kind++) {
        status = make_kind(state, (enum online_kind)kind, err);
    }
    status = status == KOL_OK ? make_rest(state, err) : status;
    status = status == KOL_OK ? count_rows(state, err) : status;
    FAILPOINT("online.lists");
    return status;
}
