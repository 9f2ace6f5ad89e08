/*
 * duckdb_scan.c: the SELECT that reads the data files of a table.
 *
 * DuckDB can find columns by field id (read_parquet's schema map), which is right for every file,
 * also one of another writer or from before a column was added or renamed. But then it guesses no
 * rows for the table, which spoils its order of joins, and reads a single file with one thread. So
 * a file that the engine has written under just this schema, as a mark in its footer says, is read
 * by its column names. And a file of a writer without Iceberg, which has no field ids at all, is
 * read as the table's name mapping says (duckdb_mapped.c).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "engine/duckdb_engine.h"
#include "engine/duckdb_footer.h"

enum { FOOTER_TAIL = 4096 }; /* key and value stand behind the row groups, near the end */

/* No file: the columns alone. */
static void scan_nothing(const struct ice_schema *schema, struct buf *out)
{
    buf_puts(out, "SELECT ");
    for (size_t i = 0; i < schema->count; i++) {
        buf_puts(out, i ? ", CAST(NULL AS " : "CAST(NULL AS ");
        engine_type_name(&schema->fields[i], out);
        buf_puts(out, ") AS ");
        engine_quote_name(out, str_of(schema->fields[i].name));
    }
    buf_puts(out, " WHERE false");
}

/* ---- the mark ---- */

static void put_shape(const struct ice_field *field, struct buf *out)
{
    struct buf name = {0};
    engine_quote_name(&name, str_of(field->name));
    buf_printf(out, "%d %s ", (int)field->id, name.ptr);
    engine_type_name(field, out);
    buf_free(&name);
    for (size_t i = 0; i < field->child_count; i++) {
        buf_putc(out, '(');
        put_shape(&field->children[i], out);
        buf_putc(out, ')');
    }
    buf_putc(out, ',');
}

void engine_schema_mark_(const struct ice_schema *schema, struct buf *out)
{
    struct buf shape = {0};
    for (size_t i = 0; i < schema->count; i++) {
        put_shape(&schema->fields[i], &shape);
    }
    hash_put_hex128(out, buf_str(&shape));
    buf_free(&shape);
}

static bool has_mark(const char *path, struct str mark)
{
    char tail[FOOTER_TAIL];
    struct stat info;
    ssize_t read = -1;
    int fd = open(strncmp(path, "file://", 7) == 0 ? path + 7 : path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false; /* DuckDB will say what is wrong with it */
    }
    if (fstat(fd, &info) == 0) {
        off_t from = info.st_size > FOOTER_TAIL ? info.st_size - FOOTER_TAIL : 0;
        read = pread(fd, tail, sizeof tail, from);
    }
    close(fd);
    return read > 0 && memmem(tail, (size_t)read, mark.ptr, mark.len) != NULL;
}

/* ---- the SELECT ---- */

/* How a file's columns are found. */
enum finding { BY_NAME, BY_ID, BY_MAPPING };

/* Those files of `files` whose `ways` is `way`, as a list; false where there are none. */
static bool put_files(const struct ice_data_file *files, const enum finding *ways, size_t count,
                      enum finding way, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (ways[i] == way) {
            buf_puts(out, any ? ", " : "[");
            engine_quote_path_(out, str_of(files[i].path));
            any = true;
        }
    }
    buf_puts(out, any ? "]" : "");
    return any;
}

static void scan_by_name(const struct ice_schema *schema, struct str list, struct buf *out)
{
    for (size_t i = 0; i < schema->count; i++) {
        buf_puts(out, i ? ", " : "SELECT ");
        engine_quote_name(out, str_of(schema->fields[i].name));
    }
    buf_puts(out, " FROM read_parquet(");
    buf_put(out, list);
    buf_puts(out, ", hive_partitioning = false)");
}

static void scan_by_id(const struct ice_schema *schema, struct str list, struct buf *out)
{
    buf_puts(out, "SELECT * FROM read_parquet(");
    buf_put(out, list);
    buf_puts(out, ", hive_partitioning = false, schema = MAP {");
    for (size_t i = 0; i < schema->count; i++) {
        struct buf type = {0};
        engine_type_name(&schema->fields[i], &type);
        buf_printf(out, i ? ", %d: {name: " : "%d: {name: ", (int)schema->fields[i].id);
        engine_quote_text(out, str_of(schema->fields[i].name));
        buf_puts(out, ", type: ");
        engine_quote_text(out, buf_str(&type));
        buf_puts(out, ", default_value: NULL}");
        buf_free(&type);
    }
    buf_puts(out, "})");
}

static enum finding way_of(const char *path, struct str mark)
{
    const char **names;
    size_t count;
    struct arena arena;
    if (has_mark(path, mark)) {
        return BY_NAME;
    }
    arena_init(&arena, 0);
    bool plain = footer_plain_columns(path, &arena, &names, &count);
    arena_free(&arena);
    return plain ? BY_MAPPING : BY_ID;
}

void engine_scan_sql(const struct ice_schema *schema, const struct ice_data_file *files,
                     size_t count, struct buf *out)
{
    if (count == 0) {
        scan_nothing(schema, out);
        return;
    }
    struct buf mark = {0}, ours = {0}, others = {0};
    enum finding *ways = mem_alloc(count * sizeof *ways);
    engine_schema_mark_(schema, &mark);
    for (size_t i = 0; i < count; i++) {
        ways[i] = way_of(files[i].path, buf_str(&mark));
    }
    bool any = put_files(files, ways, count, BY_NAME, &ours);
    if (any) {
        scan_by_name(schema, buf_str(&ours), out);
    }
    if (put_files(files, ways, count, BY_ID, &others)) {
        buf_puts(out, any ? " UNION ALL " : "");
        scan_by_id(schema, buf_str(&others), out);
        any = true;
    }
    for (size_t i = 0; i < count; i++) {
        if (ways[i] == BY_MAPPING) {
            buf_puts(out, any ? " UNION ALL " : "");
            engine_scan_mapped_(schema, files[i].path, out);
            any = true;
        }
    }
    free(ways);
    buf_free(&mark);
    buf_free(&ours);
    buf_free(&others);
}
