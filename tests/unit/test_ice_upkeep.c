/* test_ice_upkeep.c: what a table forgets, what it keeps, and how it is found again. */
#include <sys/stat.h>
#include <utime.h>

#include "ice_fixture.h"

enum { DAY_S = 86400 };

static const int64_t noon = INT64_C(1700000000) * 1000000;

/* Makes the file that a commit names, so that its removal can be seen. */
static void touch(struct lake_folder *lake, const char *folder, const char *name, int age_days)
{
    char path[500];
    snprintf(path, sizeof path, "%s/wh/bronze/events/%s", lake->path, folder);
    MUST(file_make_dir(path, &err));
    snprintf(path, sizeof path, "%s/wh/bronze/events/%s/%s", lake->path, folder, name);
    MUST(file_replace(path, STR("x"), &err));
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    struct utimbuf times = {info.st_atime, info.st_mtime - (time_t)age_days * DAY_S};
    assert_int_equal(utime(path, &times), 0);
}

static void append_real(struct lake_folder *lake, const char *name, int day)
{
    char file[100];
    snprintf(file, sizeof file, "%s.parquet", name);
    touch(lake, "data", file, 0);
    MUST(append_event(lake, name, day));
}

static void overwrite_real(struct lake_folder *lake, const char *name, int keep)
{
    struct arena arena;
    char path[500];
    arena_init(&arena, 0);
    snprintf(path, sizeof path, "%s.parquet", name);
    touch(lake, "data", path, 0);
    snprintf(path, sizeof path, "file://%s/wh/bronze/events/data/%s.parquet", lake->path, name);
    struct ice_data_file file = event_file(&arena, path, 1, 10);
    struct ice_change change = {
        .operation = ICE_OVERWRITE, .files = &file, .file_count = 1, .keep_snapshots = keep};
    MUST(ice_commit(lake->catalog, ident, &change, NULL, &err));
    arena_free(&arena);
}

static bool is_there(struct lake_folder *lake, const char *name)
{
    char path[500];
    snprintf(path, sizeof path, "%s/wh/bronze/events/data/%s.parquet", lake->path, name);
    return file_exists(path);
}

static void test_expiry_in_a_commit_spares_readers_then_removes(void **state)
{
    struct lake_folder *lake = *state;
    clock_fix(noon);
    create_events(lake);
    append_real(lake, "a", 1);
    overwrite_real(lake, "b", 2);
    overwrite_real(lake, "c", 2);
    /* The snapshots of a and b are forgotten or will be, but they are young: nothing is removed. */
    struct ice_metadata *m = load_events(lake);
    assert_int_equal(m->snapshot_count, 2);
    ice_metadata_free(&m);
    assert_true(is_there(lake, "a") && is_there(lake, "b"));
    assert_int_equal(count_files(lake, "wh", ".avro"), 3 + 5);
    /* An hour later lists and manifests go, the data stays. */
    clock_fix(noon + 3600 * CLOCK_US_PER_SECOND);
    overwrite_real(lake, "d", 2);
    assert_true(is_there(lake, "b"));
    assert_int_equal(count_files(lake, "wh", ".avro"), 3 + 5 + 3 - 3);
    /* After six days the data that the commit of d took away goes, too. */
    clock_fix(noon + 6 * CLOCK_US_PER_DAY);
    overwrite_real(lake, "e", 2);
    assert_false(is_there(lake, "c"));
    assert_true(is_there(lake, "d"));
    clock_fix(noon + 7 * CLOCK_US_PER_DAY);
    overwrite_real(lake, "f", 2);
    assert_true(is_there(lake, "d")); /* replaced a day ago: somebody may read it */
    assert_true(is_there(lake, "e") && is_there(lake, "f"));
    assert_files(lake, "f");
}

static void test_expire_keeps_what_refs_and_newer_snapshots_reach(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    append_real(lake, "a", 1);
    append_real(lake, "b", 1);
    struct ice_metadata *m = load_events(lake), *next = NULL;
    struct ice_ref tag = {"release", m->current_snapshot_id, true, -1, -1, -1};
    struct ice_update update = {.kind = ICE_SET_REF, .ref = &tag};
    MUST(lake->catalog->ops->commit(lake->catalog, ident, NULL, 0, &update, 1, &next, &err));
    ice_metadata_free(&m);
    ice_metadata_free(&next);
    overwrite_real(lake, "c", 0);
    append_real(lake, "d", 1);
    overwrite_real(lake, "e", 0);
    append_real(lake, "f", 1);
    struct ice_upkeep dry = {0}, done = {0}, again = {0};
    MUST(ice_expire(lake->catalog, ident, INT64_MAX, 1, true, &dry, &err));
    assert_true(is_there(lake, "c"));
    MUST(ice_expire(lake->catalog, ident, INT64_MAX, 1, false, &done, &err));
    assert_memory_equal(&dry, &done, sizeof dry);
    assert_int_equal(done.snapshots, 4); /* all but the tag's and the current one */
    assert_int_equal(done.data_files, 2);
    assert_false(is_there(lake, "c") || is_there(lake, "d"));
    assert_true(is_there(lake, "a") && is_there(lake, "b") && is_there(lake, "e"));
    MUST(ice_expire(lake->catalog, ident, INT64_MAX, 1, false, &again, &err));
    assert_int_equal(again.snapshots, 0);
    assert_files(lake, "e f");
    char names[100];
    scan_names(lake, tag.snapshot_id, names, sizeof names);
    assert_string_equal(names, "a b");
}

static void test_expire_respects_age(void **state)
{
    struct lake_folder *lake = *state;
    clock_fix(noon);
    create_events(lake);
    append_real(lake, "a", 1);
    clock_fix(noon + CLOCK_US_PER_DAY);
    append_real(lake, "b", 1);
    append_real(lake, "c", 1);
    struct ice_upkeep done = {0};
    MUST(ice_expire(lake->catalog, ident, noon / 1000 + 1, 1, false, &done, &err));
    assert_int_equal(done.snapshots, 1);
    assert_int_equal(done.data_files, 0);
    assert_files(lake, "a b c");
}

static void test_orphans_are_what_nobody_reaches_and_is_old(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    append_real(lake, "a", 1);
    overwrite_real(lake, "b", 0); /* a is reached by the first snapshot */
    touch(lake, "data", "old.parquet", 9);
    touch(lake, "data/day=1", "deep.parquet", 9);
    touch(lake, "data", "young.parquet", 0);
    touch(lake, "metadata", "left-m0.avro", 9);
    touch(lake, "metadata", "left.metadata.json", 9);
    /* Even where they are old themselves, files of the table stay. */
    int64_t now = clock_now_us(), limit = now - 3 * CLOCK_US_PER_DAY;
    struct ice_upkeep dry = {0}, done = {0}, all = {0};
    MUST(ice_remove_orphans(lake->catalog, ident, limit, true, &dry, &err));
    assert_int_equal(dry.data_files, 2);
    assert_int_equal(dry.manifests, 1);
    assert_int_equal(dry.other_files, 1);
    assert_int_equal(dry.bytes, 4);
    assert_true(is_there(lake, "old"));
    MUST(ice_remove_orphans(lake->catalog, ident, limit, false, &done, &err));
    assert_memory_equal(&dry, &done, sizeof dry);
    assert_false(is_there(lake, "old"));
    assert_true(is_there(lake, "young") && is_there(lake, "a"));
    MUST(ice_remove_orphans(lake->catalog, ident, now + CLOCK_US_PER_DAY, false, &all, &err));
    assert_int_equal(all.data_files, 1); /* young.parquet, and nothing of the table */
    assert_int_equal(all.manifests + all.other_files, 0);
    assert_files(lake, "b");
    close_lake(lake);
    open_lake(lake);
    assert_files(lake, "b");
}

static enum kol_status carry_name(const struct ice_metadata *current, struct ice_change *change,
                                  void *user, struct kol_error *why)
{
    static const struct ice_pair carried = {"carried", "yes"};
    int *calls = user;
    (*calls)++;
    assert_int_equal(current->snapshot_count, 6);
    change->summary = &carried;
    change->summary_count = 1;
    (void)why;
    return KOL_OK;
}

static void test_manifests_regroup_by_partition(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    for (int i = 0; i < 6; i++) {
        MUST(append_event(lake, names[i], (5 - i) / 2));
    }
    int calls = 0;
    struct ice_upkeep dry = {0}, done = {0};
    MUST(ice_rewrite_manifests(lake->catalog, ident, true, NULL, NULL, &dry, &err));
    MUST(ice_rewrite_manifests(lake->catalog, ident, false, carry_name, &calls, &done, &err));
    assert_int_equal(dry.manifests, 6);
    assert_int_equal(done.manifests, 6);
    assert_int_equal(calls, 1);
    struct ice_metadata *m = load_events(lake);
    assert_string_equal(ice_summary(ice_current_snapshot(m), "carried"), "yes");
    struct ice_files files;
    MUST(ice_scan(lake->catalog, m, -1, NULL, 0, &files, &err));
    assert_int_equal(files.manifests_total, 1);
    assert_int_equal(files.count, 6);
    for (size_t i = 1; i < files.count; i++) {
        assert_true(files.files[i - 1].partition[0].integer <= files.files[i].partition[0].integer);
    }
    assert_string_equal(ice_summary(ice_current_snapshot(m), "operation"), "replace");
    assert_null(ice_summary(ice_current_snapshot(m), "added-data-files"));
    ice_files_free(&files);
    ice_metadata_free(&m);
    assert_files(lake, "a b c d e f");
}

/* Where as many manifests would come out, nothing is committed: neither for one, nor for two that
 * hold more files than fit into one. */
static void test_manifests_that_would_stay_as_many_are_left(void **state)
{
    enum { FILES = 5001 };
    struct lake_folder *lake = *state;
    struct arena arena;
    arena_init(&arena, 0);
    create_events(lake);
    struct ice_data_file *files = arena_alloc(&arena, FILES * sizeof *files);
    for (int i = 0; i < FILES; i++) {
        files[i] = event_file(&arena, "", 1, 10);
        char path[40];
        snprintf(path, sizeof path, "file:///x/%d.parquet", i);
        files[i].path = arena_copy(&arena, str_of(path)).ptr;
    }
    struct ice_change change = {.operation = ICE_APPEND, .files = files, .file_count = FILES};
    MUST(ice_commit(lake->catalog, ident, &change, NULL, &err));
    struct ice_upkeep done = {0};
    MUST(ice_rewrite_manifests(lake->catalog, ident, false, NULL, NULL, &done, &err));
    assert_int_equal(done.manifests, 0);
    struct ice_metadata *m = load_events(lake);
    assert_int_equal(m->snapshot_count, 1);
    ice_metadata_free(&m);
    MUST(append_event(lake, "a", 1));
    MUST(ice_rewrite_manifests(lake->catalog, ident, false, NULL, NULL, &done, &err));
    assert_int_equal(done.manifests, 3);
    arena_free(&arena);
}

/* ---- schemas ---- */

static void test_a_schema_grows_renames_and_widens(void **state)
{
    struct lake_folder *lake = *state;
    struct ice_field fields[] = {
        {.id = 1, .name = "id", .type = ICE_INT},
        {.id = 2, .name = "share", .type = ICE_FLOAT},
        {.id = 3, .name = "price", .type = ICE_DECIMAL, .precision = 9, .scale = 2},
        {.id = 4, .name = "kept", .type = ICE_STRING},
    };
    struct ice_schema schema = {.fields = fields, .count = 4};
    struct ice_table_options options = {.schema = &schema};
    MUST(ice_table_create(lake->catalog, ident, &options, &err));
    struct ice_field wider[] = {
        {.id = 1, .name = "number", .type = ICE_LONG, .doc = "which one"},
        {.id = 2, .name = "share", .type = ICE_DOUBLE},
        {.id = 3, .name = "price", .type = ICE_DECIMAL, .precision = 18, .scale = 2},
        {.id = 9, .name = "tags", .type = ICE_LIST, .children = &tag_field, .child_count = 1},
    };
    struct ice_schema declared = {.fields = wider, .count = 4};
    MUST(ice_evolve(lake->catalog, ident, &declared, &err));
    MUST(ice_evolve(lake->catalog, ident, &declared, &err)); /* the same again: nothing */
    struct ice_metadata *m = load_events(lake);
    assert_int_equal(m->schema_count, 2);
    assert_int_equal(m->current_schema_id, 1);
    assert_int_equal(m->last_column_id, 9);
    const struct ice_schema *now = ice_current_schema(m);
    assert_int_equal(now->count, 5);
    assert_int_equal(ice_field_by_name(now, "number")->type, ICE_LONG);
    assert_string_equal(ice_field_by_name(now, "number")->doc, "which one");
    assert_int_equal(ice_field_by_id(now, 3)->precision, 18);
    assert_string_equal(ice_field_by_id(now, 4)->name, "kept");
    ice_metadata_free(&m);
}

static void test_changes_that_the_format_forbids_are_refused(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    MUST(append_event(lake, "a", 1));
    const struct ice_field bad[] = {
        {.id = 1, .name = "id", .type = ICE_INT, .required = true},    /* narrower */
        {.id = 3, .name = "name", .type = ICE_LONG},                   /* another type */
        {.id = 2, .name = "day", .type = ICE_DATE, .required = true},  /* nulls are there */
        {.id = 20, .name = "new", .type = ICE_DATE, .required = true}, /* rows have none */
        {.id = 20, .name = "name", .type = ICE_STRING},                /* a second "name" */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct ice_field field = bad[i];
        struct ice_schema declared = {.fields = &field, .count = 1};
        assert_int_equal(ice_evolve(lake->catalog, ident, &declared, &err), KOL_INVALID);
    }
    struct ice_metadata *m = load_events(lake);
    assert_int_equal(m->schema_count, 1);
    ice_metadata_free(&m);
}

/* A new id under an old name: the old column goes, unless the table stands on it. */
static void test_a_column_gives_way_to_another_of_its_name(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    MUST(append_event(lake, "a", 1));
    struct ice_field fields[] = {
        {.id = 1, .name = "id", .type = ICE_LONG, .required = true},
        {.id = 20, .name = "name", .type = ICE_LONG},
    };
    struct ice_schema declared = {.fields = fields, .count = 2};
    assert_int_equal(ice_evolve(lake->catalog, ident, &declared, &err), KOL_INVALID);
    MUST(ice_evolve_replacing(lake->catalog, ident, &declared, &err));
    MUST(ice_evolve_replacing(lake->catalog, ident, &declared, &err)); /* once is enough */
    struct ice_metadata *m = load_events(lake);
    const struct ice_schema *now = ice_current_schema(m);
    assert_int_equal(m->schema_count, 2);
    assert_int_equal(now->count, 4);
    assert_int_equal(ice_field_by_name(now, "name")->id, 20);
    assert_null(ice_field_by_id(now, 3));
    assert_int_equal(m->last_column_id, 20);
    ice_metadata_free(&m);
    fields[1] = (struct ice_field){.id = 21, .name = "day", .type = ICE_LONG};
    assert_int_equal(ice_evolve_replacing(lake->catalog, ident, &declared, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "partitioned"));
    assert_files(lake, "a");
}

/* ---- found again ---- */

static void test_a_lost_catalog_is_rebuilt_from_folders(void **state)
{
    struct lake_folder *lake = *state;
    char location[400], hint[500];
    create_events(lake);
    MUST(append_event(lake, "a", 1));
    MUST(append_event(lake, "b", 1));
    snprintf(location, sizeof location, "file://%s/wh/bronze/events", lake->path);
    snprintf(hint, sizeof hint, "%s/wh/bronze/events/metadata/version-hint.text", lake->path);
    assert_int_equal(ice_table_register(lake->catalog, ident, location, &err), KOL_EXISTS);
    MUST(lake->catalog->ops->drop(lake->catalog, ident, &err));
    MUST(ice_table_register(lake->catalog, ident, location, &err));
    assert_files(lake, "a b");
    static const char *const hints[] = {"", "../../x", "00001-no-such-file", "7", "\n"};
    for (size_t i = 0; i < ARRAY_LEN(hints); i++) { /* then the highest number counts */
        MUST(lake->catalog->ops->drop(lake->catalog, ident, &err));
        MUST(file_replace(hint, str_of(hints[i]), &err));
        MUST(ice_table_register(lake->catalog, ident, location, &err));
        assert_files(lake, "a b");
    }
    MUST(append_event(lake, "c", 1));
    assert_files(lake, "a b c");
    struct ice_ident other = {"bronze", "other"};
    assert_int_equal(ice_table_register(lake->catalog, other, "file:///nowhere", &err),
                     KOL_NOT_FOUND);
}

static void test_a_moved_folder_is_relocated(void **state)
{
    struct lake_folder *lake = *state, moved = {0};
    char from[300], to[300], command[700];
    create_events(lake);
    append_real(lake, "a", 1);
    append_real(lake, "b", 2);
    overwrite_real(lake, "c", 0);
    append_real(lake, "d", 2);
    struct ice_metadata *m = load_events(lake);
    int64_t second = m->snapshots[1].id;
    ice_metadata_free(&m);
    close_lake(lake);
    snprintf(moved.path, sizeof moved.path, "%.200s_moved", lake->path);
    snprintf(command, sizeof command, "mv '%s' '%s'", lake->path, moved.path);
    assert_int_equal(system(command), 0);
    open_lake(&moved);
    assert_int_equal(ice_table_load(moved.catalog, ident, &m, &err), KOL_CORRUPT);
    snprintf(from, sizeof from, "%s", lake->path);
    snprintf(to, sizeof to, "file://%s", moved.path);
    MUST(catalog_relocate(moved.catalog, from, to, &err));
    MUST(catalog_relocate(moved.catalog, from, to, &err)); /* nothing is left to do */
    assert_files(&moved, "c d");
    char names[100];
    scan_names(&moved, second, names, sizeof names);
    assert_string_equal(names, "a b");
    m = load_events(&moved);
    struct ice_files files;
    MUST(ice_scan(moved.catalog, m, second, NULL, 0, &files, &err));
    assert_true(file_exists(storage_local_path(files.files[0].path)));
    assert_int_equal(m->last_sequence_number, 4);
    ice_files_free(&files);
    ice_metadata_free(&m);
    MUST(append_event(&moved, "e", 1));
    assert_files(&moved, "c d e");
    close_lake(&moved);
    snprintf(command, sizeof command, "mv '%s' '%s'", moved.path, lake->path);
    assert_int_equal(system(command), 0);
    open_lake(lake);
}

static enum kol_status collect(struct ice_ident each, void *user, struct kol_error *why)
{
    (void)why;
    struct buf *out = user;
    buf_printf(out, "%s.%s ", each.name_space, each.name);
    return KOL_OK;
}

static void test_the_catalog_lists_namespaces_and_tables(void **state)
{
    struct lake_folder *lake = *state;
    struct catalog *catalog = lake->catalog;
    struct buf out = {0};
    create_events(lake);
    MUST(catalog->ops->make_namespace(catalog, "silver", &err));
    MUST(catalog->ops->make_namespace(catalog, "silver", &err));
    struct ice_table_options options = {.schema = &event_schema};
    MUST(ice_table_create(catalog, (struct ice_ident){"bronze", "a"}, &options, &err));
    MUST(catalog->ops->list(catalog, NULL, collect, &out, &err));
    MUST(catalog->ops->list(catalog, "bronze", collect, &out, &err));
    MUST(catalog->ops->list(catalog, "silver", collect, &out, &err));
    assert_string_equal(out.ptr, "bronze. silver. bronze.a bronze.events ");
    buf_free(&out);
    assert_int_equal(catalog->ops->drop(catalog, (struct ice_ident){"x", "y"}, &err),
                     KOL_NOT_FOUND);
}

static void test_a_reader_opens_the_catalog_read_only(void **state)
{
    struct lake_folder *lake = *state;
    struct catalog *reader;
    struct ice_metadata *m;
    char database[300];
    create_events(lake);
    snprintf(database, sizeof database, "%s/catalog.db", lake->path);
    MUST(catalog_sqlite_open(database, "kol", "file:///x", lake->storage, true, &reader, &err));
    MUST(ice_table_load(reader, ident, &m, &err));
    ice_metadata_free(&m);
    struct ice_change change = {.operation = ICE_NO_DATA};
    assert_int_not_equal(ice_commit(reader, ident, &change, NULL, &err), KOL_OK);
    catalog_close(&reader);
    assert_int_not_equal(catalog_sqlite_open("/nowhere/c.db", "kol", "file:///x", lake->storage,
                                             true, &reader, &err),
                         KOL_OK);
    assert_null(reader);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lake_setup, lake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_expiry_in_a_commit_spares_readers_then_removes),
        TEST(test_expire_keeps_what_refs_and_newer_snapshots_reach),
        TEST(test_expire_respects_age),
        TEST(test_orphans_are_what_nobody_reaches_and_is_old),
        TEST(test_manifests_regroup_by_partition),
        TEST(test_manifests_that_would_stay_as_many_are_left),
        TEST(test_a_schema_grows_renames_and_widens),
        TEST(test_changes_that_the_format_forbids_are_refused),
        TEST(test_a_column_gives_way_to_another_of_its_name),
        TEST(test_a_lost_catalog_is_rebuilt_from_folders),
        TEST(test_a_moved_folder_is_relocated),
        TEST(test_the_catalog_lists_namespaces_and_tables),
        TEST(test_a_reader_opens_the_catalog_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
