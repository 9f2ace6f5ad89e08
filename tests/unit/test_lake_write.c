/* test_lake_write.c: rows of a SELECT become sorted files, one partition each, or nothing at all.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "lake/lake.h"
#include "lake/write.h"

/* A lake of one table that is in no catalog: lake_write() needs its version only. */
struct fixture {
    char folder[64];
    struct lake lake;
    struct engine *engine;
    struct engine_session *session;
    struct arena arena;
    struct ice_schema schema;
    struct ice_partition_spec spec;
    struct ice_sort_order order;
    struct ice_metadata metadata;
    char location[128];
    struct lake_table table;
    struct lake_column columns[4];
    struct ice_data_file *files;
    size_t count;
    struct kol_error err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/kol-write-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    f->lake.folder = f->folder;
    f->lake.staging = file_join(f->folder, ".staging");
    assert_int_equal(file_make_dir(f->lake.staging, &f->err), KOL_OK);
    assert_int_equal(storage_local_open(f->lake.staging, &f->lake.storage, &f->err), KOL_OK);
    const struct engine_options options = {
        .temp = f->lake.staging, .memory_bytes = 256 << 20, .threads = 2};
    assert_int_equal(engine_open(&options, &f->engine, &f->err), KOL_OK);
    assert_int_equal(engine_session_open(f->engine, &f->session, &f->err), KOL_OK);
    arena_init(&f->arena, 0);
    arena_init(&f->metadata.arena, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct buf command = {0};
    engine_session_close(&f->session);
    engine_close(&f->engine);
    storage_close(&f->lake.storage);
    arena_free(&f->arena);
    arena_free(&f->metadata.arena);
    buf_printf(&command, "rm -rf %s", f->folder);
    assert_int_equal(system(command.ptr), 0);
    buf_free(&command);
    free(f->lake.staging);
    free(f);
    return 0;
}

/* A table with these columns ("name type" each), sorted by the first one. */
static void declare(struct fixture *f, const char *partition, const char *const *columns)
{
    size_t count = 0;
    for (; columns[count]; count++) {
        struct str rest = str_of(columns[count]);
        const char *name = arena_copy(&f->arena, str_cut(&rest, ' ')).ptr;
        f->columns[count] = (struct lake_column){.name = name, .type = rest.ptr};
    }
    f->table = (struct lake_table){.name_space = "test",
                                   .name = "rows",
                                   .keys = "",
                                   .sort = f->columns[0].name,
                                   .partition = partition,
                                   .columns = f->columns,
                                   .column_count = count};
    snprintf(f->location, sizeof f->location, "file://%s/test/rows", f->folder);
    lake_table_schema(&f->table, &f->arena, &f->schema, &f->spec, &f->order);
    f->spec.spec_id = 7;
    f->metadata.format_version = 2;
    f->metadata.location = f->location;
    f->metadata.schemas = &f->schema;
    f->metadata.schema_count = 1;
    f->metadata.specs = &f->spec;
    f->metadata.spec_count = 1;
    f->metadata.default_spec_id = 7;
    f->metadata.orders = &f->order;
    f->metadata.order_count = 1;
    f->metadata.default_order_id = f->order.order_id;
}

static enum kol_status run_write(struct fixture *f, const char *select)
{
    f->err.message[0] = '\0';
    enum kol_status status = lake_write(&f->lake, f->session, &f->table, &f->metadata, select,
                                        &f->arena, &f->files, &f->count, &f->err);
    return status;
}

static int64_t ask(struct fixture *f, const char *sql)
{
    int64_t answer = 0;
    if (engine_get_int(f->session, sql, &answer, &f->err) != KOL_OK) {
        fail_msg("%s: %s", sql, f->err.message);
    }
    return answer;
}

/* A number out of the rows of one file. */
static int64_t ask_file(struct fixture *f, size_t file, const char *what)
{
    struct buf sql = {0};
    buf_printf(&sql, "SELECT %s FROM read_parquet('%s', file_row_number = true)", what,
               storage_local_path(f->files[file].path));
    int64_t answer = ask(f, sql.ptr);
    buf_free(&sql);
    return answer;
}

/* Files under the table's folder and the staging folder, whoever made them. */
static int64_t files_on_disk(const struct fixture *f)
{
    char line[32] = "";
    struct buf command = {0};
    buf_printf(&command, "find %s -type f | wc -l", f->folder);
    FILE *pipe = popen(command.ptr, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    pclose(pipe);
    buf_free(&command);
    return strtoll(line, NULL, 10);
}

static const char *const plain[] = {"id long", "note string", NULL};
static const char *const by_time[] = {"id long", "at timestamptz", "note string", NULL};

/* ---- tests ---- */

static void test_rows_without_partitions_are_one_sorted_file(void **state)
{
    struct fixture *f = *state;
    declare(f, "", plain);
    assert_int_equal(run_write(f, "SELECT 99999 - i, 'x' || i FROM range(100000) t(i) -- end"),
                     KOL_OK);
    assert_int_equal(f->count, 1);
    assert_int_equal(f->files[0].rows, 100000);
    assert_int_equal(f->files[0].spec_id, 7);
    assert_int_equal(f->files[0].partition_count, 0);
    assert_int_equal(f->files[0].sort_order_id, 1);
    assert_int_equal(ask_file(f, 0, "count(*) FILTER (WHERE id <> file_row_number)"), 0);
    assert_true(str_starts(str_of(f->files[0].path), str_of(f->location)));
    assert_int_equal(files_on_disk(f), 1);
}

static void test_no_rows_are_no_file(void **state)
{
    struct fixture *f = *state;
    declare(f, "", plain);
    assert_int_equal(run_write(f, "SELECT 1::BIGINT, 'x' WHERE false"), KOL_OK);
    assert_int_equal(f->count, 0);
    declare(f, "at:day", by_time);
    assert_int_equal(run_write(f, "SELECT 1::BIGINT, now(), 'x' WHERE false"), KOL_OK);
    assert_int_equal(f->count, 0);
    assert_int_equal(files_on_disk(f), 0);
}

static void test_days_round_down_before_1970_and_null_is_a_partition(void **state)
{
    struct fixture *f = *state;
    declare(f, "at:day", by_time);
    assert_int_equal(
        run_write(f, "SELECT row_number() OVER (), v::TIMESTAMPTZ, 'x' FROM (VALUES "
                     "('1970-01-01 00:00:00+00'), ('1969-12-31 23:59:59.999999+00'), (NULL),"
                     "('1969-12-31 00:00:00+00'), ('1969-12-30 23:59:59.999999+00'), "
                     "('2024-02-29 12:00:00+07'), ('1970-01-01 23:59:59.999999+00')) t(v)"),
        KOL_OK);
    static const int64_t days[] = {0, -2, -1, 0, 19782}, rows[] = {1, 1, 2, 2, 1};
    assert_int_equal(f->count, 5);
    for (size_t i = 0; i < f->count; i++) {
        const struct ice_data_file *file = &f->files[i];
        assert_int_equal(file->partition_count, 1);
        assert_int_equal(file->partition[0].known, i > 0);
        if (i > 0) {
            assert_int_equal(file->partition[0].integer, days[i]);
        }
        assert_int_equal(file->rows, rows[i]);
        assert_int_equal(ask_file(f, i, "count(*)"), rows[i]);
    }
}

static void test_partitions_agree_with_the_transforms_of_the_format(void **state)
{
    static const char *const transforms[] = {"at:year", "at:month", "at:day", "at:hour"};
    static const enum ice_transform kinds[] = {ICE_YEAR, ICE_MONTH, ICE_DAY, ICE_HOUR};
    struct fixture *f = *state;
    for (size_t t = 0; t < ARRAY_LEN(transforms); t++) {
        declare(f, transforms[t], by_time);
        assert_int_equal(run_write(f, "SELECT i, make_timestamptz((i - 20) * 987654321987), 'x' "
                                      "FROM range(40) t(i)"),
                         KOL_OK);
        int64_t rows = 0;
        for (size_t i = 0; i < f->count; i++) {
            struct ice_value low = {.known = true}, high = {.known = true}, made;
            low.integer = ask_file(f, i, "epoch_us(min(\"at\"))");
            high.integer = ask_file(f, i, "epoch_us(max(\"at\"))");
            const struct ice_field *at = &f->schema.fields[1];
            assert_int_equal(ice_transform_apply(&f->arena, at, kinds[t], 0, &low, &made, &f->err),
                             KOL_OK);
            assert_int_equal(f->files[i].partition[0].integer, made.integer);
            assert_int_equal(ice_transform_apply(&f->arena, at, kinds[t], 0, &high, &made, &f->err),
                             KOL_OK);
            assert_int_equal(f->files[i].partition[0].integer, made.integer);
            rows += f->files[i].rows;
        }
        assert_int_equal(rows, 40);
        assert_true(f->count > 1);
    }
}

static void test_dates_and_plain_timestamps_are_partitioned_by_day_too(void **state)
{
    static const char *const dates[] = {"id long", "at date", NULL};
    static const char *const stamps[] = {"id long", "at timestamp", NULL};
    struct fixture *f = *state;
    declare(f, "at:day", dates);
    assert_int_equal(
        run_write(f, "SELECT 1, DATE '1969-12-31' UNION ALL SELECT 2, DATE '2000-01-01'"), KOL_OK);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->files[0].partition[0].integer, -1);
    assert_int_equal(f->files[1].partition[0].integer, 10957);
    declare(f, "at:day", stamps);
    assert_int_equal(run_write(f, "SELECT 1, TIMESTAMP '1969-12-31 23:59:59.999999'"), KOL_OK);
    assert_int_equal(f->files[0].partition[0].integer, -1);
}

static void test_text_partitions_keep_their_bytes(void **state)
{
    static const char *const columns[] = {"id long", "kind string", NULL};
    struct fixture *f = *state;
    declare(f, "kind:identity", columns);
    assert_int_equal(run_write(f, "SELECT i, CASE i % 4 WHEN 0 THEN 'Đặng ''🎤''' WHEN 1 THEN '' "
                                  "WHEN 2 THEN NULL ELSE 'z' END FROM range(8) t(i)"),
                     KOL_OK);
    assert_int_equal(f->count, 4);
    assert_false(f->files[0].partition[0].known);
    assert_int_equal(f->files[1].partition[0].bytes.len, 0);
    assert_true(str_is(f->files[2].partition[0].bytes, "z"));
    assert_true(str_is(f->files[3].partition[0].bytes, "Đặng '🎤'"));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(f->files[i].rows, 2);
    }
}

static void test_rows_of_a_partition_stand_in_the_order_of_the_table(void **state)
{
    struct fixture *f = *state;
    declare(f, "at:day", by_time);
    assert_int_equal(run_write(f, "SELECT (i * 7919) % 300007, make_timestamptz(i % 3 * "
                                  "86400000000), 'x' FROM range(300007) t(i)"),
                     KOL_OK);
    assert_int_equal(f->count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(f->files[i].sort_order_id, 1);
        struct buf sql = {0};
        buf_printf(&sql,
                   "SELECT count(*) FROM (SELECT id, lag(id) OVER (ORDER BY file_row_number) AS "
                   "before FROM read_parquet('%s', file_row_number = true)) WHERE id < before",
                   storage_local_path(f->files[i].path));
        assert_int_equal(ask(f, sql.ptr), 0);
        buf_free(&sql);
    }
}

static void test_failure_leaves_no_file(void **state)
{
    struct fixture *f = *state;
    declare(f, "at:day", by_time);
    f->columns[2].required = true;
    lake_table_schema(&f->table, &f->arena, &f->schema, &f->spec, &f->order);
    f->spec.spec_id = 7;
    /* The first two partitions are good. */
    assert_int_equal(
        run_write(f, "SELECT i, make_timestamptz(i * 86400000000), CASE WHEN i < 2 THEN 'x' END "
                     "FROM range(4) t(i)"),
        KOL_INVALID);
    assert_non_null(strstr(f->err.message, "test.rows"));
    assert_non_null(strstr(f->err.message, "note"));
    assert_int_equal(f->count, 0);
    assert_int_equal(files_on_disk(f), 0);
}

static void test_files_are_as_large_as_was_asked_for(void **state)
{
    struct fixture *f = *state;
    struct lake_writer writer;
    static const char *const columns[] = {"id long", "noise string", NULL};
    static const char select[] = "SELECT i, md5(CAST(i AS VARCHAR)) FROM range(400000) t(i)";
    declare(f, "", columns);
    int64_t rows = 0;
    for (int64_t target = 2 << 20; target <= 4 << 20; target *= 2) {
        lake_writer_begin(&writer, &f->lake, f->session, &f->table, &f->metadata, &f->arena);
        writer.target_bytes = target;
        assert_int_equal(lake_writer_run(&writer, select, &f->err), KOL_OK);
        assert_true(writer.count > 1);
        rows = 0;
        for (size_t i = 0; i < writer.count; i++) {
            rows += writer.files[i].rows;
            assert_true(writer.files[i].bytes > target / 2 || i + 1 == writer.count);
            assert_true(writer.files[i].bytes < 2 * target);
        }
        assert_int_equal(rows, 400000);
        lake_writer_end(&writer);
    }
}

static void test_thousands_of_partitions_take_no_scan_each(void **state)
{
    struct fixture *f = *state;
    const char *days = getenv("KOL_TEST_DAYS");
    char select[160];
    declare(f, "at:day", by_time);
    snprintf(select, sizeof select,
             "SELECT i, make_timestamptz((i * 7919 %% %s) * 86400000000), 'row ' || i "
             "FROM range(200000) t(i)",
             days ? days : "100");
    const int64_t begun_ns = clock_mono_ns();
    assert_int_equal(run_write(f, select), KOL_OK);
    assert_int_equal(f->count, strtoll(days ? days : "100", NULL, 10));
    print_message("# %zu partitions in %.2f s\n", f->count,
                  (double)(clock_mono_ns() - begun_ns) / 1e9);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows_without_partitions_are_one_sorted_file),
        TEST(test_no_rows_are_no_file),
        TEST(test_days_round_down_before_1970_and_null_is_a_partition),
        TEST(test_partitions_agree_with_the_transforms_of_the_format),
        TEST(test_dates_and_plain_timestamps_are_partitioned_by_day_too),
        TEST(test_text_partitions_keep_their_bytes),
        TEST(test_rows_of_a_partition_stand_in_the_order_of_the_table),
        TEST(test_failure_leaves_no_file),
        TEST(test_files_are_as_large_as_was_asked_for),
        TEST(test_thousands_of_partitions_take_no_scan_each),
    };
    return cmocka_run_group_tests_name("lake_write", tests, NULL, NULL);
}
