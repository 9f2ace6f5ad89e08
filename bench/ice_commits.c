/*
 * ice_commits.c: how many commits a second one table takes, and whether they stay cheap.
 *
 * Every commit appends one small data file, written and synced by the program like the manifests
 * and metadata behind it. Its peer is the disk: the same number of files of the same sizes, written
 * and synced, with no table about them. Run with a folder on the disk to be measured (default: the
 * current one); a second argument sets the number of commits, a third the number of tables. A
 * shared disk has slow spells of seconds: several tables are filled one after the other, and the
 * n-th commit takes what it took in the quickest of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "iceberg/catalog.h"
#include "iceberg/storage.h"
#include "iceberg/table.h"

/* WINDOW: commits around a place whose median and mean stand for it. */
/* TABLES: how many tables are filled; the best of them counts, commit by commit. */
enum { COMMITS = 5100, TABLES = 3, WINDOW = 100, FILE_BYTES = 20000, COLUMNS = 30 };

static const struct ice_ident ident = {"bench", "events"};
static struct kol_error err;

static void must(enum kol_status status)
{
    if (status != KOL_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double mean_ms(const int64_t *times, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += (double)times[i];
    }
    return sum / count / 1e6;
}

static double median_ms(const int64_t *times, int count)
{
    int64_t sorted[WINDOW];
    memcpy(sorted, times, (size_t)count * sizeof *times);
    qsort(sorted, (size_t)count, sizeof *sorted, compare);
    return (double)sorted[count / 2] / 1e6;
}

static void create(struct catalog *catalog)
{
    static struct ice_field fields[COLUMNS];
    static char names[COLUMNS][16];
    for (int i = 0; i < COLUMNS; i++) {
        snprintf(names[i], sizeof names[i], "column_%d", i);
        fields[i] = (struct ice_field){.id = i + 1, .name = names[i], .type = ICE_LONG};
    }
    struct ice_schema schema = {.fields = fields, .count = COLUMNS};
    struct ice_table_options options = {.schema = &schema};
    must(ice_table_create(catalog, ident, &options, &err));
}

/* One commit: the data file, then the table. */
static void commit_one(struct catalog *catalog, const struct ice_metadata *first, struct str bytes)
{
    struct buf location = {0};
    struct ice_column_stats columns[COLUMNS];
    int64_t split = 4;
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = (struct ice_column_stats){.field_id = i + 1,
                                               .size = 600,
                                               .values = 100,
                                               .nulls = 0,
                                               .nans = -1,
                                               .has_bounds = true};
        columns[i].lower = (struct str){"\1\0\0\0\0\0\0\0", 8};
        columns[i].upper = (struct str){"\7\0\0\0\0\0\0\0", 8};
    }
    ice_new_data_location(first, &location);
    must(catalog->storage->ops->put_if_absent(catalog->storage, location.ptr, bytes, &err));
    struct ice_data_file file = {.path = location.ptr,
                                 .rows = 100,
                                 .bytes = FILE_BYTES,
                                 .columns = columns,
                                 .column_count = COLUMNS,
                                 .split_offsets = &split,
                                 .split_count = 1};
    struct ice_change change = {.operation = ICE_APPEND, .files = &file, .file_count = 1};
    must(ice_commit(catalog, ident, &change, NULL, &err));
    buf_free(&location);
}

/* The disk alone: what one commit writes, in as many files (data, manifest, list, metadata). */
static int64_t write_plain(struct storage *storage, const char *folder, int number)
{
    static const size_t sizes[] = {FILE_BYTES, 4500, 6000, 90000};
    static char bytes[90000];
    int64_t started = clock_mono_ns();
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char location[600];
        snprintf(location, sizeof location, "%s/plain/%d-%zu", folder, number, i);
        must(storage->ops->put_if_absent(storage, location, (struct str){bytes, sizes[i]}, &err));
    }
    must(storage->ops->settle(storage, &err));
    return clock_mono_ns() - started;
}

static void print_window(const char *name, const int64_t *times, const int64_t *cpu, int at,
                         int count)
{
    int from = at - WINDOW / 2;
    if (from < 0 || from + WINDOW > count) {
        return;
    }
    double median = median_ms(times + from, WINDOW), mean = mean_ms(times + from, WINDOW);
    printf("%-14s %10.2f %10.2f %12.0f %10.2f %8.2f %8.2f\n", name, median, mean, 1e3 / mean,
           mean_ms(cpu + from, WINDOW), mean / mean_ms(times, WINDOW),
           median / median_ms(times, WINDOW));
}

/* The times of `count` commits, each with what it takes at best. */
struct times {
    int64_t *wall, *cpu; /* ns */
    int count;
};

static void keep_least(int64_t *best, int64_t value)
{
    if (*best == 0 || value < *best) {
        *best = value;
    }
}

/* Fills one table; `plain` gets the disk's own times. */
static void fill_table(const char *folder, struct times *best, int64_t plain[WINDOW])
{
    struct storage *storage;
    struct catalog *catalog;
    struct ice_metadata *first;
    char staging[600], database[600], warehouse[600];
    char *bytes = mem_zalloc(1, FILE_BYTES);
    snprintf(staging, sizeof staging, "%s/staging", folder);
    snprintf(database, sizeof database, "%s/catalog.db", folder);
    snprintf(warehouse, sizeof warehouse, "file://%s/wh", folder);
    must(storage_local_open(staging, &storage, &err));
    must(catalog_sqlite_open(database, "kol", warehouse, storage, false, &catalog, &err));
    create(catalog);
    must(ice_table_load(catalog, ident, &first, &err));
    for (int i = 0; i < WINDOW; i++) {
        keep_least(&plain[i], write_plain(storage, folder, i));
    }
    for (int i = 0; i < best->count; i++) {
        int64_t started = clock_mono_ns(), cpu_started = clock_cpu_ns();
        commit_one(catalog, first, (struct str){bytes, FILE_BYTES});
        keep_least(&best->wall[i], clock_mono_ns() - started);
        keep_least(&best->cpu[i], clock_cpu_ns() - cpu_started);
    }
    ice_metadata_free(&first);
    catalog_close(&catalog);
    storage_close(&storage);
    free(bytes);
}

static void print(const struct times *best, const int64_t plain[WINDOW], int tables)
{
    printf("%d commits of one file of %d bytes each, windows of %d commits, best of %d tables\n\n",
           best->count, FILE_BYTES, WINDOW, tables);
    printf("%-14s %10s %10s %12s %10s %8s %8s\n", "", "median ms", "mean ms", "commits/s", "CPU ms",
           "ratio", "(median)");
    printf("%-14s %10.2f %10.2f\n", "4 plain files", median_ms(plain, WINDOW),
           mean_ms(plain, WINDOW));
    print_window("around 50", best->wall, best->cpu, 50, best->count);
    print_window("around 1,000", best->wall, best->cpu, 1000, best->count);
    print_window("around 5,000", best->wall, best->cpu, 5000, best->count);
    printf("\nratios to the first 100 commits (limit 1.5), by the mean, the one that merges "
           "manifests included;\nfloor 50 commits/s\n");
}

static void run(const char *parent, int count, int tables)
{
    static int64_t plain[WINDOW];
    struct times best = {.wall = mem_zalloc((size_t)count, sizeof *best.wall),
                         .cpu = mem_zalloc((size_t)count, sizeof *best.cpu),
                         .count = count};
    for (int i = 0; i < tables; i++) {
        char folder[500], command[600];
        snprintf(folder, sizeof folder, "%s/bench_ice_XXXXXX", parent);
        if (!mkdtemp(folder)) {
            perror(folder);
            exit(1);
        }
        fill_table(folder, &best, plain);
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        if (system(command) != 0) {
            exit(1);
        }
    }
    print(&best, plain, tables);
    free(best.wall);
    free(best.cpu);
}

int main(int argc, char **argv)
{
    char here[300];
    if (!getcwd(here, sizeof here)) {
        return 1;
    }
    run(argc > 1 ? argv[1] : here, argc > 2 ? atoi(argv[2]) : COMMITS,
        argc > 3 ? atoi(argv[3]) : TABLES);
    return 0;
}
