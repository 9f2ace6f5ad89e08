/*
 * ice_fixture.h: a catalog and a storage in a folder of their own, and a small table to commit to.
 * The files that its commits name need not exist: the format only knows what is told of them, and
 * the storage says that they are there.
 */
#ifndef TESTS_ICE_FIXTURE_H
#define TESTS_ICE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/logger.h"
#include "base/mem.h"
#include "iceberg/catalog.h"
#include "iceberg/metadata.h"
#include "iceberg/storage.h"
#include "iceberg/table.h"

struct lake_folder {
    char path[256];
    struct storage *storage;
    struct storage_ops yes_ops;         /* its own, but for look() */
    const struct storage_ops *real_ops; /* for those who look at files that are there */
    struct catalog *catalog;
};

static struct kol_error err;
static const struct ice_ident ident = {"bronze", "events"};

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) != KOL_OK) {                                                                    \
            fail_msg("%s: %s", #call, err.message);                                                \
        }                                                                                          \
    } while (0)

static inline enum kol_status say_yes(struct storage *storage, const char *location,
                                      struct kol_error *why)
{
    (void)storage, (void)location, (void)why;
    return KOL_OK;
}

static inline void open_lake(struct lake_folder *lake)
{
    char place[300];
    snprintf(place, sizeof place, "%s/staging", lake->path);
    MUST(storage_local_open(place, &lake->storage, &err));
    lake->real_ops = lake->storage->ops;
    lake->yes_ops = *lake->real_ops;
    lake->yes_ops.look = say_yes;
    lake->storage->ops = &lake->yes_ops;
    char database[300], warehouse[300];
    snprintf(database, sizeof database, "%s/catalog.db", lake->path);
    snprintf(warehouse, sizeof warehouse, "file://%s/wh", lake->path);
    MUST(catalog_sqlite_open(database, "kol", warehouse, lake->storage, false, &lake->catalog,
                             &err));
}

static inline void close_lake(struct lake_folder *lake)
{
    catalog_close(&lake->catalog);
    storage_close(&lake->storage);
}

static inline int lake_setup(void **state)
{
    struct lake_folder *lake = mem_zalloc(1, sizeof *lake);
    const char *temp = getenv("TMPDIR");
    snprintf(lake->path, sizeof lake->path, "%s/ice_XXXXXX", temp ? temp : "/tmp");
    assert_non_null(mkdtemp(lake->path));
    logger_setup(&(struct logger_options){.level = LOG_ERROR});
    open_lake(lake);
    *state = lake;
    return 0;
}

static inline int lake_teardown(void **state)
{
    struct lake_folder *lake = *state;
    char command[300];
    clock_fix(0);
    close_lake(lake);
    snprintf(command, sizeof command, "rm -rf '%s'", lake->path);
    int rc = system(command);
    free(lake);
    return rc;
}

/* id (long), day (date), name (string), tags (list of string). */
static struct ice_field tag_field = {.id = 5, .name = "element", .type = ICE_STRING};
static struct ice_field event_fields[] = {
    {.id = 1, .name = "id", .type = ICE_LONG, .required = true, .doc = "who \"it\" is"},
    {.id = 2, .name = "day", .type = ICE_DATE},
    {.id = 3, .name = "name", .type = ICE_STRING},
    {.id = 4, .name = "tags", .type = ICE_LIST, .children = &tag_field, .child_count = 1},
};
static struct ice_schema event_schema = {.fields = event_fields, .count = 4};
static struct ice_partition_field day_field = {2, 1000, "day_part", ICE_IDENTITY, 0};
static struct ice_partition_spec day_spec = {.fields = &day_field, .count = 1};
static struct ice_sort_field id_order_field = {.source_id = 1, .nulls_last = true};
static struct ice_sort_order id_order = {.order_id = 1, .fields = &id_order_field, .count = 1};

static inline void create_events(struct lake_folder *lake)
{
    struct ice_pair set[] = {{"kol.kind", "bronze"}};
    struct ice_table_options options = {&event_schema, &day_spec, &id_order, set, 1};
    MUST(ice_table_create(lake->catalog, ident, &options, &err));
}

static inline struct ice_metadata *load_events(struct lake_folder *lake)
{
    struct ice_metadata *metadata;
    MUST(ice_table_load(lake->catalog, ident, &metadata, &err));
    return metadata;
}

/* A data file of `rows` rows on a day; path, partition and statistics live in static memory of the
 * arena. */
static inline struct ice_data_file event_file(struct arena *arena, const char *path, int day,
                                              int64_t rows)
{
    struct ice_data_file file = {.rows = rows, .bytes = rows * 10, .partition_count = 1};
    file.path = arena_copy(arena, str_of(path)).ptr;
    file.partition = arena_alloc(arena, sizeof *file.partition);
    file.partition[0] = (struct ice_value){.known = true, .integer = day};
    file.columns = arena_alloc(arena, sizeof *file.columns);
    file.columns[0] = (struct ice_column_stats){
        .field_id = 1, .size = 80, .values = rows, .nulls = 0, .nans = -1, .has_bounds = true};
    file.columns[0].lower = arena_copy(arena, (struct str){"\1\0\0\0\0\0\0\0", 8});
    file.columns[0].upper = arena_copy(arena, (struct str){"\7\0\0\0\0\0\0\0", 8});
    file.column_count = 1;
    file.split_offsets = arena_alloc(arena, sizeof(int64_t));
    file.split_offsets[0] = 4;
    file.split_count = 1;
    return file;
}

/* Appends one file of 10 rows named `name` (under the table's data folder). */
static inline enum kol_status append_event(struct lake_folder *lake, const char *name, int day)
{
    struct arena arena;
    char path[400];
    arena_init(&arena, 0);
    snprintf(path, sizeof path, "file://%s/wh/bronze/events/data/%s.parquet", lake->path, name);
    struct ice_data_file file = event_file(&arena, path, day, 10);
    struct ice_change change = {.operation = ICE_APPEND, .files = &file, .file_count = 1};
    enum kol_status status = ice_commit(lake->catalog, ident, &change, NULL, &err);
    arena_free(&arena);
    return status;
}

/* The names of the current files, "a b c", sorted; rows checked against the summary's total. */
static inline void scan_names(struct lake_folder *lake, int64_t snapshot_id, char *out, size_t room)
{
    struct ice_metadata *metadata = load_events(lake);
    struct ice_files files;
    const char *names[1000];
    out[0] = '\0';
    MUST(ice_scan(lake->catalog, metadata, snapshot_id, NULL, 0, &files, &err));
    for (size_t i = 0; i < files.count; i++) {
        const char *name = strrchr(files.files[i].path, '/') + 1;
        size_t at = i;
        for (; at > 0 && strcmp(names[at - 1], name) > 0; at--) {
            names[at] = names[at - 1];
        }
        names[at] = name;
    }
    for (size_t i = 0; i < files.count; i++) {
        size_t len = strlen(out);
        snprintf(out + len, room - len, "%s%.*s", i ? " " : "", (int)strcspn(names[i], "."),
                 names[i]);
    }
    const struct ice_snapshot *snapshot = ice_current_snapshot(metadata);
    if (snapshot && (snapshot_id == -1 || snapshot_id == snapshot->id)) {
        int64_t total = -1;
        assert_true(str_to_int64(str_of(ice_summary(snapshot, "total-records")), &total));
        assert_int_equal(total, files.rows);
        assert_true(str_to_int64(str_of(ice_summary(snapshot, "total-data-files")), &total));
        assert_int_equal(total, files.count);
        assert_true(str_to_int64(str_of(ice_summary(snapshot, "total-files-size")), &total));
        assert_int_equal(total, files.bytes);
    }
    ice_files_free(&files);
    ice_metadata_free(&metadata);
}

static inline void assert_files(struct lake_folder *lake, const char *expected)
{
    char names[8192];
    scan_names(lake, -1, names, sizeof names);
    assert_string_equal(names, expected);
}

/* Files under a folder of the lake whose name ends so. */
static inline int count_files(struct lake_folder *lake, const char *folder, const char *end)
{
    char command[600], text[32] = "";
    snprintf(command, sizeof command, "find '%s/%s' -type f -name '*%s' | wc -l", lake->path,
             folder, end);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    return atoi(text);
}

#endif
