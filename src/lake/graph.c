/*
 * graph.c: which SELECTs there are, what each reads, and the order that follows from it.
 *
 * A user's own <lake.sql>/<namespace>/<name>.sql stands beside those of the program; its columns
 * are what the SELECT gives, so that a new table needs no C.
 */
#include "lake/graph.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/embedded.h"
#include "base/file.h"
#include "base/mem.h"
#include "lake/sql_lint.h"

extern const struct embedded_file embedded_sql[];
extern const size_t embedded_sql_count;

enum { MAX_NODES = 1024, MAX_SQL = 1 << 20 };
enum mark { NEW, UNDER_WAY, PLACED };

static const char *const user_namespaces[] = {"silver", "gold"};

struct str graph_prelude(void)
{
    for (size_t i = 0; i < embedded_sql_count; i++) {
        if (strcmp(embedded_sql[i].name, "prelude") == 0) {
            return (struct str){(const char *)embedded_sql[i].bytes, embedded_sql[i].len};
        }
    }
    kol_panic("the program was built without sql/prelude.sql");
}

/* "a<separator>b" in the arena. */
static const char *join(struct arena *arena, const char *a, char separator, const char *b)
{
    struct buf text = {0};
    buf_puts(&text, a);
    buf_putc(&text, separator);
    buf_puts(&text, b);
    const char *copy = arena_copy(arena, buf_str(&text)).ptr;
    buf_free(&text);
    return copy;
}

static bool is_named(const struct graph_node *node, const char *name)
{
    size_t space = strlen(node->table->name_space);
    return strncmp(name, node->table->name_space, space) == 0 && name[space] == '.' &&
           strcmp(name + space + 1, node->table->name) == 0;
}

struct graph_node *graph_find(const struct graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->count; i++) {
        if (is_named(&graph->nodes[i], name)) {
            return &graph->nodes[i];
        }
    }
    return NULL;
}

/* ---- the SELECTs ---- */

static enum kol_status add_node(struct graph *graph, const struct lake_table *table, struct str sql,
                                const char *origin, struct kol_error *err)
{
    if (graph->count == MAX_NODES) {
        return kol_fail(err, KOL_INVALID, "more than %d tables are made by SQL", MAX_NODES);
    }
    enum kol_status status = lake_sql_lint(sql, origin, err);
    if (status == KOL_OK) {
        graph->nodes[graph->count++] =
            (struct graph_node){.table = table, .sql = sql, .origin = origin};
    }
    return status;
}

/* A table that is declared and that nothing makes would be empty for ever: the build folder is
 * older than the SELECT. */
static enum kol_status check_all_made(const struct graph *graph, struct kol_error *err)
{
    size_t count;
    const struct lake_table *tables = lake_tables(&count);
    for (size_t i = 0; i < count; i++) {
        bool made = tables[i].kind != LAKE_SQL && tables[i].kind != LAKE_SCORE;
        for (size_t j = 0; j < graph->count && !made; j++) {
            made = graph->nodes[j].table == &tables[i];
        }
        if (!made) {
            return kol_fail(err, KOL_INVALID,
                            "%s.%s is declared and the program was built without sql/%s/%s.sql: "
                            "set the build folder up again",
                            tables[i].name_space, tables[i].name, tables[i].name_space,
                            tables[i].name);
        }
    }
    return KOL_OK;
}

static enum kol_status add_embedded(struct graph *graph, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < embedded_sql_count && status == KOL_OK; i++) {
        const struct embedded_file *file = &embedded_sql[i];
        struct str name = str_of(file->name);
        struct str space = str_cut(&name, '/');
        if (!name.len) {
            continue; /* the prelude */
        }
        const struct lake_table *table =
            lake_table_find(arena_copy(&graph->arena, space).ptr, name.ptr);
        if (!table || (table->kind != LAKE_SQL && table->kind != LAKE_SCORE)) {
            return kol_fail(err, KOL_INVALID,
                            "sql/%s.sql has no row of kind SQL or SCORE in tables.def", file->name);
        }
        status = add_node(graph, table, (struct str){(const char *)file->bytes, file->len},
                          join(&graph->arena, "sql", '/', file->name), err);
    }
    return status == KOL_OK ? check_all_made(graph, err) : status;
}

/* A declaration made from what a user's SELECT gives. */
static enum kol_status declare(struct graph *graph, struct engine_session *session,
                               struct graph_node *node, struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct buf sql = {0};
    buf_puts(&sql, "SELECT * FROM (");
    buf_put(&sql, node->sql);
    buf_puts(&sql, "\n) LIMIT 0");
    enum kol_status status = engine_query(session, sql.ptr, &result, err);
    buf_free(&sql);
    if (status != KOL_OK) {
        kol_wrap(err, "%s", node->origin);
        return status;
    }
    struct lake_table *table = (struct lake_table *)node->table;
    table->column_count = engine_columns(result);
    struct lake_column *columns = arena_alloc(&graph->arena, table->column_count * sizeof *columns);
    for (size_t i = 0; i < table->column_count && status == KOL_OK; i++) {
        bool exact;
        struct buf type = {0};
        const char *name = arena_copy(&graph->arena, str_of(engine_column_name(result, i))).ptr;
        struct ice_field field = engine_column_type(result, i, &exact);
        if (!exact || field.type == ICE_STRUCT || field.type == ICE_MAP ||
            (field.type == ICE_LIST && field.children->type != ICE_STRING)) {
            status = kol_fail(err, KOL_INVALID,
                              "%s: column %s has a type that a table cannot hold; CAST it",
                              node->origin, name);
        } else if (field.type == ICE_LIST) {
            buf_puts(&type, "list<string>");
        } else {
            ice_type_write(&type, &field);
        }
        columns[i] = (struct lake_column){
            .name = name, .type = arena_copy(&graph->arena, buf_str(&type)).ptr, .doc = ""};
        buf_free(&type);
    }
    table->columns = columns;
    engine_result_free(&result);
    return status;
}

static enum kol_status add_user_file(struct graph *graph, const char *folder, const char *space,
                                     const char *file, struct kol_error *err)
{
    struct buf text = {0};
    const char *path = join(&graph->arena, folder, '/', file);
    struct str name = {file, strlen(file) - strlen(".sql")};
    struct lake_table *table = arena_alloc(&graph->arena, sizeof *table);
    *table = (struct lake_table){
        .name_space = space,
        .name = arena_copy(&graph->arena, name).ptr,
        .kind = LAKE_SQL,
        .keys = "",
        .sort = "",
        .partition = "",
        .incremental = "",
        .topic = -1,
        .doc = "A table of the user's own",
    };
    if (lake_table_find(space, table->name)) {
        return kol_fail(err, KOL_INVALID, "%s: %s.%s is a table of kol; give yours another name",
                        path, space, table->name);
    }
    enum kol_status status = file_read(path, MAX_SQL, &text, err);
    if (status == KOL_OK) {
        status = add_node(graph, table, arena_copy(&graph->arena, buf_str(&text)), path, err);
    }
    buf_free(&text);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The *.sql files of a folder by name; a folder that is absent has none. */
static enum kol_status list_sql(struct arena *arena, const char *folder, const char ***out,
                                size_t *count, struct kol_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        return errno == ENOENT ? KOL_OK : kol_fail_errno(err, errno, "%s: cannot be read", folder);
    }
    const char **names = arena_alloc(arena, MAX_NODES * sizeof *names);
    for (struct dirent *entry = readdir(dir); entry && *count < MAX_NODES; entry = readdir(dir)) {
        size_t len = strlen(entry->d_name);
        if (len > 4 && strcmp(entry->d_name + len - 4, ".sql") == 0) {
            names[(*count)++] = arena_copy(arena, str_of(entry->d_name)).ptr;
        }
    }
    closedir(dir);
    qsort(names, *count, sizeof *names, by_name);
    *out = names;
    return KOL_OK;
}

static enum kol_status add_user(struct graph *graph, const char *root, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < ARRAY_LEN(user_namespaces) && status == KOL_OK; i++) {
        const char **files = NULL;
        size_t count = 0;
        const char *folder = join(&graph->arena, root, '/', user_namespaces[i]);
        status = list_sql(&graph->arena, folder, &files, &count, err);
        for (size_t file = 0; file < count && status == KOL_OK; file++) {
            status = add_user_file(graph, folder, user_namespaces[i], files[file], err);
        }
    }
    return status;
}

/* ---- order ---- */

/* What is no node must be a table of the catalog: bronze, the score step's, a foreign one. */
static enum kol_status check_leaf(struct lake *lake, const struct graph_node *node,
                                  const char *name, struct kol_error *err)
{
    struct str rest = str_of(name);
    struct arena arena;
    arena_init(&arena, 0);
    const char *space = arena_copy(&arena, str_cut(&rest, '.')).ptr;
    struct ice_metadata *metadata = NULL;
    enum kol_status status = KOL_OK;
    if (!rest.len) {
        status = kol_fail(err, KOL_INVALID, "%s reads %s: write it as namespace.table",
                          node->origin, name);
    } else if (!lake_table_find(space, rest.ptr)) {
        status = ice_table_load(lake->catalog, (struct ice_ident){space, rest.ptr}, &metadata, err);
        if (status == KOL_NOT_FOUND) {
            status = kol_fail(err, KOL_INVALID, "%s reads %s, and there is no such table",
                              node->origin, name);
        }
    }
    ice_metadata_free(&metadata);
    arena_free(&arena);
    return status;
}

struct placing {
    struct lake *lake;
    struct engine_session *session;
    struct graph *graph;
    struct graph_node *order;
    size_t placed;
};

static enum kol_status find_inputs(struct placing *placing, struct graph_node *node,
                                   struct kol_error *err)
{
    struct arena *arena = &placing->graph->arena;
    enum kol_status status = engine_tables_of(placing->session, arena_copy(arena, node->sql).ptr,
                                              arena, &node->inputs, &node->input_count, err);
    if (status != KOL_OK) {
        kol_wrap(err, "%s", node->origin);
    }
    return status;
}

static enum kol_status place(struct placing *placing, struct graph_node *node,
                             struct kol_error *err)
{
    if (node->mark == PLACED) {
        return KOL_OK;
    }
    if (node->mark == UNDER_WAY) {
        return kol_fail(err, KOL_INVALID, "%s is part of a circle of tables that read each other",
                        node->origin);
    }
    node->mark = UNDER_WAY;
    enum kol_status status = find_inputs(placing, node, err);
    for (size_t i = 0; i < node->input_count && status == KOL_OK; i++) {
        struct graph_node *input = graph_find(placing->graph, node->inputs[i]);
        status = input ? place(placing, input, err)
                       : check_leaf(placing->lake, node, node->inputs[i], err);
    }
    if (status == KOL_OK) {
        node->mark = PLACED;
        placing->order[placing->placed++] = *node;
    }
    return status;
}

static enum kol_status no_such_table(struct graph *graph, const char *name, struct kol_error *err)
{
    const char **names = arena_alloc(&graph->arena, graph->count * sizeof *names);
    for (size_t i = 0; i < graph->count; i++) {
        const struct lake_table *table = graph->nodes[i].table;
        names[i] = join(&graph->arena, table->name_space, '.', table->name);
    }
    const char *near = str_nearest(str_of(name), names, graph->count);
    return kol_fail(err, KOL_NOT_FOUND, "%s is no table that SQL makes%s%s%s", name,
                    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static enum kol_status order_nodes(struct placing *placing, const char *const *tables, size_t count,
                                   struct kol_error *err)
{
    struct graph *graph = placing->graph;
    enum kol_status status = KOL_OK;
    placing->order = arena_alloc(&graph->arena, MAX_NODES * sizeof *placing->order);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        struct graph_node *node = graph_find(graph, tables[i]);
        status = node ? place(placing, node, err) : no_such_table(graph, tables[i], err);
    }
    for (size_t i = 0; i < graph->count && !count && status == KOL_OK; i++) {
        status = place(placing, &graph->nodes[i], err);
    }
    graph->nodes = placing->order;
    graph->count = placing->placed;
    return status;
}

enum kol_status graph_load(struct lake *lake, struct engine_session *session,
                           const char *const *tables, size_t count, struct graph *out,
                           struct kol_error *err)
{
    struct placing placing = {.lake = lake, .session = session, .graph = out};
    *out = (struct graph){0};
    arena_init(&out->arena, 0);
    out->nodes = arena_alloc(&out->arena, MAX_NODES * sizeof *out->nodes);
    enum kol_status status = add_embedded(out, err);
    if (status == KOL_OK && lake->sql_folder) {
        status = add_user(out, lake->sql_folder, err);
    }
    if (status == KOL_OK) {
        status = order_nodes(&placing, tables, count, err);
    }
    if (status != KOL_OK) {
        graph_free(out);
    }
    return status;
}

enum kol_status graph_declare(struct graph *graph, struct engine_session *session,
                              struct graph_node *node, struct kol_error *err)
{
    return node->table->column_count ? KOL_OK : declare(graph, session, node, err);
}

void graph_free(struct graph *graph)
{
    arena_free(&graph->arena);
    *graph = (struct graph){0};
}
