/* test_ice_commit.c: what each kind of commit makes of a table, and that lost races lose nothing.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "ice_fixture.h"

static void test_a_new_table_has_what_was_asked_for(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    struct ice_metadata *m = load_events(lake);
    assert_int_equal(m->format_version, 2);
    assert_int_equal(ice_current_schema(m)->count, 4);
    assert_int_equal(m->last_column_id, 5);
    assert_string_equal(ice_field_by_name(ice_current_schema(m), "id")->doc, "who \"it\" is");
    assert_int_equal(ice_field_by_id(ice_current_schema(m), 5)->type, ICE_STRING);
    assert_int_equal(ice_default_spec(m)->count, 1);
    assert_int_equal(m->default_order_id, 1);
    assert_string_equal(ice_property(m, "kol.kind"), "bronze");
    assert_null(ice_current_snapshot(m));
    ice_metadata_free(&m);
    assert_files(lake, "");
    struct ice_table_options options = {.schema = &event_schema};
    assert_int_equal(ice_table_create(lake->catalog, ident, &options, &err), KOL_EXISTS);
    assert_int_equal(count_files(lake, "wh", ".metadata.json"), 1);
}

static void test_names_that_would_leave_the_warehouse_are_refused(void **state)
{
    struct lake_folder *lake = *state;
    struct ice_table_options options = {.schema = &event_schema};
    static const char *const names[] = {"", "a/b", "..", "x\n", "a\\b", "a..b"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct ice_ident bad = {"bronze", names[i]}, worse = {names[i], "t"};
        assert_int_equal(ice_table_create(lake->catalog, bad, &options, &err), KOL_INVALID);
        assert_int_equal(ice_table_create(lake->catalog, worse, &options, &err), KOL_INVALID);
    }
}

static void test_appends_add_up_and_old_snapshots_stay_readable(void **state)
{
    struct lake_folder *lake = *state;
    char names[100];
    create_events(lake);
    MUST(append_event(lake, "a", 1));
    struct ice_metadata *m = load_events(lake);
    int64_t first = m->current_snapshot_id;
    ice_metadata_free(&m);
    MUST(append_event(lake, "b", 2));
    MUST(append_event(lake, "c", 2));
    assert_files(lake, "a b c");
    scan_names(lake, first, names, sizeof names);
    assert_string_equal(names, "a");
    m = load_events(lake);
    assert_int_equal(m->last_sequence_number, 3);
    assert_int_equal(m->snapshot_log_count, 3);
    assert_int_equal(m->metadata_log_count, 3);
    assert_string_equal(ice_summary(ice_current_snapshot(m), "operation"), "append");
    assert_string_equal(ice_summary(ice_current_snapshot(m), "added-records"), "10");
    assert_int_equal(ice_snapshot_at(m, m->snapshots[1].time_ms + 100000)->id,
                     m->current_snapshot_id);
    assert_null(ice_snapshot_at(m, m->snapshots[0].time_ms - 1));
    ice_metadata_free(&m);
}

static void test_a_snapshot_that_is_not_there_is_not_found(void **state)
{
    struct lake_folder *lake = *state;
    struct ice_files files;
    create_events(lake);
    struct ice_metadata *m = load_events(lake);
    assert_int_equal(ice_scan(lake->catalog, m, 77, NULL, 0, &files, &err), KOL_NOT_FOUND);
    ice_files_free(&files);
    ice_metadata_free(&m);
    struct ice_ident other = {"bronze", "nothing"};
    assert_int_equal(ice_table_load(lake->catalog, other, &m, &err), KOL_NOT_FOUND);
}

static void test_conditions_rule_files_out(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    MUST(append_event(lake, "a", 1));
    MUST(append_event(lake, "b", 2));
    struct ice_metadata *m = load_events(lake);
    struct ice_files files;
    struct ice_condition day = {2, ICE_EQ, {.known = true, .integer = 2}};
    MUST(ice_scan(lake->catalog, m, -1, &day, 1, &files, &err));
    assert_int_equal(files.count, 1);
    assert_int_equal(files.skipped, 1);
    assert_int_equal(files.manifests_read, 1);
    assert_int_equal(files.manifests_total, 2);
    ice_files_free(&files);
    struct ice_condition id = {1, ICE_GT, {.known = true, .integer = 7}};
    MUST(ice_scan(lake->catalog, m, -1, &id, 1, &files, &err));
    assert_int_equal(files.count, 0);
    ice_files_free(&files);
    ice_metadata_free(&m);
}

static enum kol_status overwrite(struct lake_folder *lake, const char *path)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct ice_data_file file = event_file(&arena, path, 3, 7);
    struct ice_change change = {.operation = ICE_OVERWRITE, .files = &file, .file_count = 1};
    enum kol_status status = ice_commit(lake->catalog, ident, &change, NULL, &err);
    arena_free(&arena);
    return status;
}

static void test_an_overwrite_leaves_its_files_and_no_others(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    MUST(append_event(lake, "a", 1));
    MUST(append_event(lake, "b", 2));
    MUST(overwrite(lake, "file:///x/new.parquet"));
    assert_files(lake, "new");
    struct ice_metadata *m = load_events(lake);
    const struct ice_snapshot *s = ice_current_snapshot(m);
    assert_string_equal(ice_summary(s, "operation"), "overwrite");
    assert_string_equal(ice_summary(s, "deleted-data-files"), "2");
    assert_string_equal(ice_summary(s, "deleted-records"), "20");
    assert_string_equal(ice_summary(s, "removed-files-size"), "200");
    ice_metadata_free(&m);
    MUST(append_event(lake, "c", 1));
    assert_files(lake, "c new");
}

static enum kol_status rewrite(struct lake_folder *lake, const char *const *removed, size_t count,
                               const char *path)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct ice_data_file file = event_file(&arena, path, 1, 20);
    struct ice_change change = {.operation = ICE_REWRITE,
                                .files = &file,
                                .file_count = 1,
                                .removed = removed,
                                .removed_count = count};
    enum kol_status status = ice_commit(lake->catalog, ident, &change, NULL, &err);
    arena_free(&arena);
    return status;
}

static void test_a_rewrite_swaps_exactly_its_files(void **state)
{
    struct lake_folder *lake = *state;
    char a[400], b[400];
    create_events(lake);
    snprintf(a, sizeof a, "file://%s/wh/bronze/events/data/a.parquet", lake->path);
    snprintf(b, sizeof b, "%s/wh/bronze/events/data/b.parquet", lake->path); /* spelled otherwise */
    const char *removed[] = {a, b};
    MUST(append_event(lake, "a", 1));
    MUST(append_event(lake, "b", 1));
    MUST(append_event(lake, "c", 1));
    MUST(rewrite(lake, removed, 2, "file:///x/ab.parquet"));
    assert_files(lake, "ab c");
    int files = count_files(lake, "wh", ".avro");
    assert_int_equal(rewrite(lake, removed, 2, "file:///x/again.parquet"), KOL_CONFLICT);
    assert_files(lake, "ab c");
    assert_int_equal(count_files(lake, "wh", ".avro"), files); /* nothing is left behind */
    struct ice_metadata *m = load_events(lake);
    assert_string_equal(ice_summary(ice_current_snapshot(m), "operation"), "replace");
    ice_metadata_free(&m);
}

static void test_partitions_are_replaced_one_by_one(void **state)
{
    struct lake_folder *lake = *state;
    struct arena arena;
    create_events(lake);
    MUST(append_event(lake, "a", 1));
    MUST(append_event(lake, "b", 2));
    MUST(append_event(lake, "c", 2));
    arena_init(&arena, 0);
    struct ice_data_file file = event_file(&arena, "file:///x/two.parquet", 2, 5);
    struct ice_change change = {.operation = ICE_REPLACE_PARTITIONS,
                                .files = &file,
                                .file_count = 1,
                                .replaced = &file,
                                .replaced_count = 1};
    MUST(ice_commit(lake->catalog, ident, &change, NULL, &err));
    assert_files(lake, "a two");
    struct ice_data_file none = event_file(&arena, "x", 1, 0);
    none.partition[0].known = false;
    change = (struct ice_change){
        .operation = ICE_REPLACE_PARTITIONS, .replaced = &none, .replaced_count = 1};
    MUST(ice_commit(lake->catalog, ident, &change, NULL, &err));
    assert_files(lake, "a two"); /* null is a partition of its own */
    arena_free(&arena);
}

/* The rows of a day may lie in files that another spec partitions, or does not partition at all. */
static void test_no_partition_is_replaced_beside_files_of_another_spec(void **state)
{
    struct lake_folder *lake = *state;
    struct arena arena;
    create_events(lake);
    MUST(append_event(lake, "a", 1));
    struct ice_metadata *m = load_events(lake), *next = NULL;
    struct ice_partition_field other = {1, 1001, "id_part", ICE_IDENTITY, 0};
    struct ice_partition_spec spec = {.fields = &other, .count = 1};
    struct ice_update updates[] = {{.kind = ICE_ADD_SPEC, .spec = &spec},
                                   {.kind = ICE_SET_SPEC, .number = -1}};
    MUST(lake->catalog->ops->commit(lake->catalog, ident, NULL, 0, updates, 2, &next, &err));
    arena_init(&arena, 0);
    struct ice_data_file file = event_file(&arena, "file:///x/two.parquet", 1, 5);
    file.spec_id = next->default_spec_id;
    struct ice_change change = {.operation = ICE_REPLACE_PARTITIONS,
                                .files = &file,
                                .file_count = 1,
                                .replaced = &file,
                                .replaced_count = 1};
    assert_int_equal(ice_commit(lake->catalog, ident, &change, NULL, &err), KOL_UNSUPPORTED);
    assert_non_null(strstr(err.message, "a.parquet"));
    assert_files(lake, "a");
    change = (struct ice_change){.operation = ICE_OVERWRITE, .files = &file, .file_count = 1};
    MUST(ice_commit(lake->catalog, ident, &change, NULL, &err));
    change = (struct ice_change){.operation = ICE_REPLACE_PARTITIONS,
                                 .files = &file,
                                 .file_count = 1,
                                 .replaced = &file,
                                 .replaced_count = 1};
    MUST(ice_commit(lake->catalog, ident, &change, NULL, &err)); /* all is of one spec again */
    assert_files(lake, "two");
    arena_free(&arena);
    ice_metadata_free(&m);
    ice_metadata_free(&next);
}

static enum kol_status note_check(const struct ice_metadata *current, struct ice_change *change,
                                  void *user, struct kol_error *why)
{
    int *calls = user;
    (*calls)++;
    const char *at = ice_property(current, "place");
    static char next[16];
    static struct ice_pair set[] = {{"place", next}};
    snprintf(next, sizeof next, "%d", at ? atoi(at) + 1 : 1);
    change->set = set;
    change->set_count = 1;
    return at && atoi(at) == 3 ? kol_fail(why, KOL_END, "far enough") : KOL_OK;
}

static void test_properties_travel_with_the_commit_and_check_sees_them(void **state)
{
    struct lake_folder *lake = *state;
    int calls = 0;
    create_events(lake);
    struct ice_change change = {.operation = ICE_NO_DATA, .check = note_check, .user = &calls};
    for (int i = 0; i < 3; i++) {
        MUST(ice_commit(lake->catalog, ident, &change, NULL, &err));
    }
    assert_int_equal(ice_commit(lake->catalog, ident, &change, NULL, &err), KOL_END);
    assert_int_equal(calls, 4);
    struct ice_metadata *m = load_events(lake);
    assert_string_equal(ice_property(m, "place"), "3");
    assert_null(ice_current_snapshot(m));
    ice_metadata_free(&m);
    change = (struct ice_change){.operation = ICE_APPEND, .base_snapshot = 5};
    assert_int_equal(ice_commit(lake->catalog, ident, &change, NULL, &err), KOL_CONFLICT);
    change.base_snapshot = -1;
    MUST(ice_commit(lake->catalog, ident, &change, NULL, &err));
    assert_int_equal(ice_commit(lake->catalog, ident, &change, NULL, &err), KOL_CONFLICT);
}

static void test_manifests_merge_and_the_files_stay(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    for (int i = 0; i < ICE_MERGE_MANIFESTS + 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%03d", i);
        MUST(append_event(lake, name, i % 3));
    }
    struct ice_metadata *m = load_events(lake);
    struct ice_files files;
    MUST(ice_scan(lake->catalog, m, -1, NULL, 0, &files, &err));
    assert_int_equal(files.count, ICE_MERGE_MANIFESTS + 5);
    assert_in_range(files.manifests_total, 2, 6);
    assert_int_equal(m->snapshot_count, ICE_KEEP_SNAPSHOTS);
    assert_int_equal(m->snapshot_log_count, ICE_KEEP_SNAPSHOTS);
    assert_int_equal(m->metadata_log_count, 100);
    ice_files_free(&files);
    ice_metadata_free(&m);
    /* 100 in the log and the current one. */
    assert_int_equal(count_files(lake, "wh", ".metadata.json"), 101);
    assert_int_equal(count_files(lake, "staging", ""), 0);
}

/* ---- several writers ---- */

enum { COMMITS = 200, FEWER_COMMITS = 50, WRITERS = 2 };

static void append_many(struct lake_folder *lake, int writer, int commits)
{
    for (int i = 0; i < commits; i++) {
        struct kol_error why;
        struct arena arena;
        char path[400];
        arena_init(&arena, 0);
        snprintf(path, sizeof path, "file:///data/w%d-%d.parquet", writer, i);
        struct ice_data_file file = event_file(&arena, path, writer, 1);
        struct ice_change change = {.operation = ICE_APPEND, .files = &file, .file_count = 1};
        enum kol_status status = ice_commit(lake->catalog, ident, &change, NULL, &why);
        arena_free(&arena);
        if (status != KOL_OK) {
            fprintf(stderr, "# %s\n", why.message);
            abort();
        }
    }
}

struct writer {
    struct lake_folder *lake;
    int number;
};

static void *writer_main(void *argument)
{
    struct writer *writer = argument;
    append_many(writer->lake, writer->number, FEWER_COMMITS);
    return NULL;
}

static void assert_all_are_there(struct lake_folder *lake, int64_t expected)
{
    struct ice_metadata *m = load_events(lake);
    struct ice_files files;
    MUST(ice_scan(lake->catalog, m, -1, NULL, 0, &files, &err));
    assert_int_equal(files.count, expected);
    assert_int_equal(files.rows, expected);
    for (size_t i = 0; i < files.count; i++) { /* each once */
        for (size_t k = i + 1; k < files.count; k++) {
            assert_string_not_equal(files.files[i].path, files.files[k].path);
        }
    }
    ice_files_free(&files);
    ice_metadata_free(&m);
}

static void test_two_threads_commit_and_all_is_there(void **state)
{
    struct lake_folder *lake = *state;
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    create_events(lake);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){lake, i};
        assert_int_equal(pthread_create(&threads[i], NULL, writer_main, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_all_are_there(lake, (int64_t)WRITERS * FEWER_COMMITS);
}

static void test_two_processes_commit_and_all_is_there(void **state)
{
    struct lake_folder *lake = *state;
    pid_t children[WRITERS];
    create_events(lake);
    for (int i = 0; i < WRITERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct lake_folder own = *lake; /* a SQLite connection must not cross a fork */
            open_lake(&own);
            append_many(&own, i, COMMITS);
            _exit(0);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;
        waitpid(children[i], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_all_are_there(lake, (int64_t)WRITERS * COMMITS);
}

static void put_data(struct lake_folder *lake, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "file://%s/wh/bronze/events/data/%s.parquet", lake->path, name);
    MUST(lake->storage->ops->put_if_absent(lake->storage, path, STR("rows"), &err));
}

/* An upkeep that spares no young files was here: what a version would miss is not committed. */
static void test_a_file_that_is_gone_is_not_committed(void **state)
{
    struct lake_folder *lake = *state;
    create_events(lake);
    lake->storage->ops = lake->real_ops;
    put_data(lake, "a");
    put_data(lake, "c");
    MUST(append_event(lake, "a", 1));
    const int metadata_files = count_files(lake, "wh", "");
    assert_int_equal(append_event(lake, "b", 1), KOL_CONFLICT);
    assert_non_null(strstr(err.message, "data/b.parquet"));
    assert_int_equal(count_files(lake, "wh", ""), metadata_files);
    MUST(append_event(lake, "c", 1));
    assert_files(lake, "a c");
}

/* Looks for a table in the catalog at `path` as another engine would, as soon as the file is there;
 * until `child` has ended. Its exit status. */
static int watch_catalog(struct lake_folder *lake, const char *path, pid_t child)
{
    struct catalog *reader;
    struct buf location = {0};
    int status = -1;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (file_exists(path)) {
            MUST(catalog_sqlite_open(path, "kol", "file:///x", lake->storage, true, &reader, &err));
            if (reader->ops->locate(reader, ident, &location, &err) != KOL_NOT_FOUND) {
                fail_msg("a catalog without its tables was seen: %s", err.message);
            }
            catalog_close(&reader);
        }
    }
    buf_free(&location);
    return status;
}

static void test_a_new_catalog_is_seen_with_its_tables_or_not_at_all(void **state)
{
    enum { ROUNDS = 30 };
    struct lake_folder *lake = *state;
    for (int round = 0; round < ROUNDS; round++) {
        char path[300];
        int status = -1;
        snprintf(path, sizeof path, "%s/new%d.db", lake->path, round);
        pid_t children[2];
        for (int i = 0; i < 2; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                struct catalog *made;
                _exit(catalog_sqlite_open(path, "kol", "file:///x", lake->storage, false, &made,
                                          &err));
            }
        }
        assert_int_equal(watch_catalog(lake, path, children[0]), 0);
        waitpid(children[1], &status, 0);
        assert_int_equal(status, 0);
        struct buf bytes = {0};
        MUST(file_read(path, 1 << 20, &bytes, &err));
        assert_memory_equal(bytes.ptr + 18, "\2\2", 2); /* a write-ahead log, says the format */
        buf_free(&bytes);
    }
    assert_int_equal(count_files(lake, "", "new0.db"), 1);
    char command[400];
    snprintf(command, sizeof command, "ls '%s' | grep -c 'new.*[.]db[.]........-'", lake->path);
    assert_int_not_equal(system(command), 0); /* nothing is left of the names in between */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lake_setup, lake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_table_has_what_was_asked_for),
        TEST(test_names_that_would_leave_the_warehouse_are_refused),
        TEST(test_appends_add_up_and_old_snapshots_stay_readable),
        TEST(test_a_snapshot_that_is_not_there_is_not_found),
        TEST(test_conditions_rule_files_out),
        TEST(test_an_overwrite_leaves_its_files_and_no_others),
        TEST(test_a_rewrite_swaps_exactly_its_files),
        TEST(test_partitions_are_replaced_one_by_one),
        TEST(test_no_partition_is_replaced_beside_files_of_another_spec),
        TEST(test_properties_travel_with_the_commit_and_check_sees_them),
        TEST(test_manifests_merge_and_the_files_stay),
        TEST(test_two_threads_commit_and_all_is_there),
        TEST(test_two_processes_commit_and_all_is_there),
        TEST(test_a_file_that_is_gone_is_not_committed),
        TEST(test_a_new_catalog_is_seen_with_its_tables_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
