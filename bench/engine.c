/*
 * engine.c: how fast rows go into the engine, into Parquet and out of it again.
 *
 * bench_engine [ROWS] [FOLDER]: 15 columns, half of them text, as events have them. The appender is
 * the one that ingest uses; the peer of a scan is DuckDB's own read_parquet() of the same file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine.h"

enum { TEXTS = 7, NUMBERS = 6, COLUMNS = TEXTS + NUMBERS + 2 };

static struct engine *engine;
static struct engine_session *session;
static struct kol_error err;

static void must(enum kol_status status)
{
    if (status != KOL_OK) {
        fprintf(stderr, "bench_engine: %s\n", err.message);
        exit(1);
    }
}

static double since(int64_t begun_ns)
{
    return (double)(clock_mono_ns() - begun_ns) / 1e9;
}

static void report(const char *what, int64_t rows, int64_t begun_ns, int64_t begun_cpu_ns)
{
    double seconds = since(begun_ns), cpu = (double)(clock_cpu_ns() - begun_cpu_ns) / 1e9;
    printf("%s: %.2f s, %.2f M rows/s of %d columns; %.2f s of CPU\n", what, seconds,
           (double)rows / seconds / 1e6, COLUMNS, cpu);
}

static void make_schema(struct ice_field *fields, struct ice_schema *schema)
{
    static char names[COLUMNS][8];
    struct buf sql = {0};
    buf_puts(&sql, "CREATE TEMP TABLE rows_in(");
    for (int i = 0; i < COLUMNS; i++) {
        enum ice_type type = i < TEXTS             ? ICE_STRING
                             : i < TEXTS + NUMBERS ? ICE_LONG
                             : i + 1 < COLUMNS     ? ICE_TIMESTAMPTZ
                                                   : ICE_DOUBLE;
        snprintf(names[i], sizeof names[i], "c%d", i);
        fields[i] = (struct ice_field){.id = i + 1, .name = names[i], .type = type};
        buf_printf(&sql, "%s%s ", i ? ", " : "", names[i]);
        engine_type_name(&fields[i], &sql);
    }
    buf_putc(&sql, ')');
    *schema = (struct ice_schema){.fields = fields, .count = COLUMNS};
    must(engine_exec(session, sql.ptr, &err));
    buf_free(&sql);
}

static void append(const struct ice_schema *schema, int64_t rows)
{
    struct engine_appender *appender;
    char text[TEXTS][40];
    int64_t begun = clock_mono_ns(), cpu = clock_cpu_ns();
    must(engine_append_open(session, "rows_in", schema, &appender, &err));
    for (int64_t row = 0; row < rows; row++) {
        uint64_t mixed = (uint64_t)row * UINT64_C(0x9e3779b97f4a7c15);
        for (int i = 0; i < TEXTS; i++) {
            for (int j = 0; j < 24; j++) {
                text[i][j] = (char)('a' + (mixed >> (j + i) & 15));
            }
            engine_append_text(appender, (size_t)i, (struct str){text[i], 4 + 3 * (size_t)i});
        }
        for (int i = 0; i < NUMBERS; i++) {
            if ((row + i) % 5) {
                engine_append_int(appender, (size_t)(TEXTS + i), (int64_t)(mixed >> 4 * i));
            }
        }
        engine_append_int(appender, TEXTS + NUMBERS, 1700000000000000 + row * 1000);
        engine_append_real(appender, COLUMNS - 1, (double)(mixed >> 40) / 7);
        must(engine_append_row(appender, &err));
    }
    must(engine_append_flush(appender, &err));
    engine_append_close(&appender);
    report("append", rows, begun, cpu);
}

/* The best of five, in seconds. */
static double timed(const char *from)
{
    double best = 1e9;
    struct buf sql = {0};
    buf_printf(&sql, "SELECT sum(length(c6)) + sum(c8 %% 10) + count(c12) FROM %s", from);
    for (int i = 0; i < 5; i++) {
        int64_t sum, begun = clock_mono_ns();
        must(engine_get_int(session, sql.ptr, &sum, &err));
        double seconds = since(begun);
        best = seconds < best ? seconds : best;
    }
    buf_free(&sql);
    return best;
}

int main(int argc, char **argv)
{
    int64_t rows = argc > 1 ? atoll(argv[1]) : 2000000;
    const char *folder = argc > 2 ? argv[2] : "/tmp";
    struct engine_options options = {.threads = 2};
    struct ice_field fields[COLUMNS];
    struct ice_schema schema;
    struct ice_data_file *files;
    struct arena arena;
    size_t count;
    arena_init(&arena, 0);
    must(engine_open(&options, &engine, &err));
    must(engine_session_open(engine, &session, &err));
    make_schema(fields, &schema);
    append(&schema, rows);

    int64_t begun = clock_mono_ns(), cpu = clock_cpu_ns();
    must(engine_write_parquet(session, "SELECT * FROM rows_in", &schema, folder, 0, &arena, &files,
                              &count, &err));
    report("write", rows, begun, cpu);
    printf("file: %.1f MB\n", (double)files[0].bytes / 1e6);

    struct buf plain = {0}, scan = {0};
    buf_puts(&plain, "read_parquet(");
    engine_quote_text(&plain, str_of(files[0].path));
    buf_putc(&plain, ')');
    buf_putc(&scan, '(');
    engine_scan_sql(&schema, files, count, &scan);
    buf_putc(&scan, ')');
    double ours = timed(scan.ptr), theirs = timed(plain.ptr);
    printf("scan: %.3f s, read_parquet %.3f s, ratio %.2f\n", ours, theirs, ours / theirs);

    unlink(files[0].path);
    buf_free(&plain);
    buf_free(&scan);
    arena_free(&arena);
    engine_session_close(&session);
    engine_close(&engine);
    return 0;
}
