/*
 * test_online.c: the online copy: every cell of the tables comes back, the swap is whole, a copy
 * lives as long as it is read.
 */
#include "online_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/signals.h"

static void fill_tables(void)
{
    add_tables();
    run_sql("INSERT INTO silver.kol_profiles VALUES "
            "('anna', 'tiktok', 'Ánna Đặng', 1500, true, NULL, '2025-01-02 03:04:05.123456+00'),"
            "('anna', 'twitter', NULL, NULL, NULL, NULL, '2025-01-01 00:00:00+00'),"
            "('anna', 'youtube', '', 9000000000, false, '1969-12-31 23:59:59.5+00', "
            "'2025-01-01 00:00:00+00'),"
            "('ann', 'tiktok', 'Ann', 0, false, NULL, '2025-01-01 00:00:00+00')");
    run_sql("INSERT INTO gold.dim_kol VALUES "
            "('k1', 'tiktok', 'anna', 'of the dimension', 'Nano', false, true),"
            "('k0', 'tiktok', 'anna', 'old', 'Rising', false, false),"
            "('k2', 'youtube', 'channel', 'A Channel', NULL, NULL, true)");
    run_sql("INSERT INTO silver.kol_engagement_metrics VALUES "
            "('tiktok', 'anna', 77, 2.5, '2025-02-01 00:00:00+00')");
    run_sql("INSERT INTO silver.kol_content VALUES "
            "('v1', 'anna', 'tiktok', 'Phở', '2025-01-01 00:00:00+00', 10, ['a', '', 'ß'], 1.5, "
            "'2025-03-01 00:00:00+00'),"
            "('v2', NULL, 'youtube', NULL, NULL, NULL, [], NULL, '2025-01-01 00:00:00+00')");
    run_sql("INSERT INTO gold.content_trending VALUES "
            "('2025-03-01 00:00:00+00', 'tiktok', 1, 'v1', 100.0, '2025-03-01 00:30:00+00')");
    run_sql("INSERT INTO silver.kol_daily VALUES ('tiktok', 'anna', '2025-01-01', 1), "
            "('tiktok', 'anna', '2025-01-02', 2)");
}

/* ---- cells as text, to compare with what SQL says ---- */

static void put_cell(struct buf *out, const struct online_record *record,
                     const struct online_column *columns, int column)
{
    bool truth;
    int64_t integer;
    double real;
    struct str text, texts[8];
    int64_t count;
    const size_t start = out->len;
    switch (columns[column].type) {
    case ONLINE_BOOL:
        if (online_bool(record, column, &truth)) {
            buf_puts(out, truth ? "true" : "false");
        }
        break;
    case ONLINE_INT:
        if (online_int(record, column, &integer)) {
            buf_put_int64(out, integer);
        }
        break;
    case ONLINE_REAL:
        if (online_real(record, column, &real)) {
            buf_put_double(out, real);
        }
        break;
    case ONLINE_TEXT:
        if (online_text(record, column, &text)) {
            buf_printf(out, "'%.*s'", STR_FORMAT(text));
        }
        break;
    case ONLINE_TEXTS:
        count = online_texts(record, column, texts, 8);
        for (int64_t i = 0; i < count; i++) {
            buf_printf(out, "[%.*s]", STR_FORMAT(texts[i]));
        }
        if (count == 0) {
            buf_puts(out, "[]");
        }
        break;
    }
    if (out->len == start) {
        buf_puts(out, "null");
    }
    buf_putc(out, ' ');
}

static void assert_record(const struct online_copy *copy, enum online_kind kind,
                          const struct online_record *record, const char *expected)
{
    size_t count;
    const struct online_column *columns = online_columns(copy, kind, &count);
    struct buf out = {0};
    for (size_t i = 0; i < count; i++) {
        buf_printf(&out, "%s=", columns[i].name);
        put_cell(&out, record, columns, (int)i);
    }
    assert_string_equal(out.ptr, expected);
    buf_free(&out);
}

static void assert_stored(const struct online_copy *copy, enum online_kind kind,
                          const char *platform, const char *id, const char *expected)
{
    struct online_record record;
    assert_ok(online_get(copy, kind, str_of(platform), str_of(id), &record, &err));
    assert_record(copy, kind, &record, expected);
}

static void test_every_cell_comes_back(void **state)
{
    (void)state;
    fill_tables();
    build_new();
    struct online_copy *copy = open_copy(0);
    assert_stored(copy, ONLINE_KOL, "tiktok", "anna",
                  "platform='tiktok' kol_id='anna' display_name='Ánna Đặng' followers_count=1500 "
                  "verified=true account_age_at=null updated_at=1735787045123456 kol_key='k1' "
                  "tier='Nano' total_views=77 avg_engagement_rate=2.5 "
                  "engagement_updated_at=1738368000000000 ");
    assert_stored(
        copy, ONLINE_KOL, "twitter", "anna",
        "platform='twitter' kol_id='anna' display_name=null followers_count=null "
        "verified=null account_age_at=null updated_at=1735689600000000 kol_key=null "
        "tier=null total_views=null avg_engagement_rate=null engagement_updated_at=null ");
    assert_stored(
        copy, ONLINE_KOL, "youtube", "anna",
        "platform='youtube' kol_id='anna' display_name='' followers_count=9000000000 "
        "verified=false account_age_at=-500000 updated_at=1735689600000000 kol_key=null "
        "tier=null total_views=null avg_engagement_rate=null engagement_updated_at=null ");
    /* Known from its videos only: the dimension gives the row. */
    assert_stored(copy, ONLINE_KOL, "youtube", "channel",
                  "platform='youtube' kol_id='channel' display_name='A Channel' "
                  "followers_count=null verified=null account_age_at=null updated_at=null "
                  "kol_key='k2' tier=null total_views=null avg_engagement_rate=null "
                  "engagement_updated_at=null ");
    assert_stored(copy, ONLINE_CONTENT, "tiktok", "v1",
                  "platform='tiktok' content_id='v1' kol_id='anna' title='Phở' "
                  "posted_at=1735689600000000 views=10 tags=[a][][ß] price='1.50' "
                  "updated_at=1740787200000000 trending_rank=1 trending_score=100 "
                  "trending_as_of=1740789000000000 ");
    assert_stored(copy, ONLINE_CONTENT, "youtube", "v2",
                  "platform='youtube' content_id='v2' kol_id=null title=null posted_at=null "
                  "views=null tags=[] price=null updated_at=1735689600000000 trending_rank=null "
                  "trending_score=null trending_as_of=null ");
    const struct online_info *info = online_info(copy);
    assert_int_equal(info->kols, 5);
    assert_int_equal(info->contents, 2);
    assert_int_equal(info->as_of_us, 1740787200000000);
    assert_string_equal(info->run_id, "run-1");
    assert_int_equal(info->snapshot_count, world.count);
    online_close(&copy);
    assert_null(copy);
}

static void test_keys_are_found_and_others_are_not(void **state)
{
    (void)state;
    struct online_record record, records[4];
    struct str platform;
    size_t count;
    static const char *const order[] = {"youtube", "tiktok", "twitter"}; /* by followers */
    fill_tables();
    build_new();
    struct online_copy *copy = open_copy(0);
    const int column = online_column(copy, ONLINE_KOL, "platform");
    assert_int_equal(column, 0);
    assert_int_equal(online_column(copy, ONLINE_KOL, "nonsense"), -1);
    assert_fails(online_get(copy, ONLINE_KOL, STR("tiktok"), STR("an"), &record, &err),
                 KOL_NOT_FOUND);
    assert_non_null(strstr(err.message, "'an' on tiktok"));
    assert_fails(online_get(copy, ONLINE_KOL, STR("instagram"), STR("anna"), &record, &err),
                 KOL_NOT_FOUND);
    assert_fails(online_get(copy, ONLINE_CONTENT, STR("tiktok"), STR("anna"), &record, &err),
                 KOL_NOT_FOUND);
    assert_fails(online_get(copy, ONLINE_KOL, STR(""), STR(""), &record, &err), KOL_NOT_FOUND);
    assert_fails(online_find(copy, ONLINE_KOL, STR("annab"), records, 4, &count, &err),
                 KOL_NOT_FOUND);
    assert_int_equal(count, 0);
    assert_ok(online_find(copy, ONLINE_KOL, STR("anna"), records, 4, &count, &err));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_true(online_text(&records[i], column, &platform));
        assert_true(str_is(platform, order[i]));
    }
    assert_ok(online_find(copy, ONLINE_KOL, STR("anna"), records, 2, &count, &err));
    assert_int_equal(count, 2);
    const struct online_key keys[] = {{STR("tiktok"), STR("ann")},
                                      {STR("tiktok"), STR("nobody")},
                                      {{0}, STR("anna")},
                                      {{0}, STR("nobody")}};
    assert_ok(online_get_many(copy, ONLINE_KOL, keys, 4, records, &err));
    assert_true(records[0].bytes.len > 0);
    assert_int_equal(records[1].bytes.len, 0);
    assert_true(online_text(&records[2], column, &platform));
    assert_true(str_is(platform, "youtube"));
    assert_int_equal(records[3].bytes.len, 0);
    online_close(&copy);
}

static void test_ids_of_any_kind_are_kept_apart(void **state)
{
    (void)state;
    fill_tables();
    run_sql("INSERT INTO silver.kol_content(content_id, platform, views) "
            "SELECT repeat('x', 390 + i::INT) || chr(1234), 'tiktok', i FROM range(20) r(i)");
    run_sql("INSERT INTO silver.kol_content(content_id, platform, views) "
            "SELECT repeat('y', 1000) || i, 'tiktok', 100 + i FROM range(50) r(i)");
    run_sql("INSERT INTO silver.kol_content(content_id, platform, views) VALUES "
            "('n' || chr(0) || 'tiktok', 'youtube', 7), ('n', 'tiktok', 8), "
            "('N' || chr(0), 'tiktok', 9)");
    build_new();
    struct online_copy *copy = open_copy(0);
    const int views = online_column(copy, ONLINE_CONTENT, "views");
    struct engine_session *session;
    struct engine_result *result;
    size_t rows, seen = 0, found;
    assert_ok(online_lists(copy, &session, &err));
    assert_ok(
        engine_query(session, "SELECT content_id, platform, views FROM content", &result, &err));
    for (;;) {
        assert_ok(engine_next(result, &rows, &err));
        for (size_t row = 0; row < rows; row++, seen++) {
            struct online_record record, same[4];
            int64_t value = -1;
            struct str id = engine_text(result, 0, row);
            assert_ok(
                online_get(copy, ONLINE_CONTENT, engine_text(result, 1, row), id, &record, &err));
            online_int(&record, views, &value);
            assert_int_equal(value, engine_null(result, 2, row) ? -1 : engine_int(result, 2, row));
            assert_ok(online_find(copy, ONLINE_CONTENT, id, same, 4, &found, &err));
            assert_int_equal(found, 1);
        }
        if (rows == 0) {
            break;
        }
    }
    assert_int_equal(seen, 2 + 20 + 50 + 3);
    engine_result_free(&result);
    engine_session_close(&session);
    online_close(&copy);
}

static void test_lists_have_the_same_rows_folded_and_sorted(void **state)
{
    (void)state;
    struct engine_session *session;
    struct buf text = {0};
    fill_tables();
    build_new();
    struct online_copy *copy = open_copy(0);
    assert_ok(online_lists(copy, &session, &err));
    assert_ok(engine_get_text(session,
                              "SELECT string_agg(rowid || platform || ':' || kol_id, ' ' "
                              "ORDER BY rowid) FROM kols_by_followers",
                              &text, &err));
    assert_string_equal(text.ptr, "0youtube:anna 1tiktok:anna 2tiktok:ann 3twitter:anna "
                                  "4youtube:channel");
    buf_clear(&text);
    assert_ok(engine_get_text(session,
                              "SELECT string_agg(platform, ' ' ORDER BY rowid) FROM "
                              "kols_by_engagement WHERE avg_engagement_rate > 1 AND verified AND "
                              "tier = 'Nano'",
                              &text, &err));
    assert_string_equal(text.ptr, "tiktok");
    buf_clear(&text);
    assert_ok(engine_get_text(
        session, "SELECT kol_id FROM kols_by_followers WHERE name_folded = 'ann'", &text, &err));
    assert_string_equal(text.ptr, "ann");
    buf_clear(&text);
    assert_fails(engine_exec(session, "SELECT * FROM kols_by_trust", &err), KOL_INVALID);
    buf_clear(&text);
    assert_ok(engine_get_text(session, "SELECT kol_id FROM kols WHERE name_folded LIKE '%dang%'",
                              &text, &err));
    assert_string_equal(text.ptr, "anna");
    buf_clear(&text);
    assert_ok(engine_get_text(session, "SELECT content_id FROM content WHERE title_folded = 'pho'",
                              &text, &err));
    assert_string_equal(text.ptr, "v1");
    int64_t days;
    assert_ok(engine_get_int(session, "SELECT count(*) FROM kol_daily", &days, &err));
    assert_int_equal(days, 2);
    assert_fails(engine_exec(session, "DELETE FROM kols", &err), KOL_INVALID);
    buf_free(&text);
    engine_session_close(&session);
    online_close(&copy);
}

static void test_a_run_without_optional_tables_is_built(void **state)
{
    (void)state;
    struct online_build_options options = build_options();
    struct online_build_report report;
    add_table("silver", "kol_profiles", "kol_id string, platform string, updated_at timestamptz");
    assert_fails(build(&options, &report), KOL_NOT_FOUND);
    assert_non_null(strstr(err.message, "silver.kol_content"));
    assert_false(has_file("000001.tmp"));
    add_table("silver", "kol_content",
              "content_id string, platform string, updated_at timestamptz");
    assert_ok(build(&options, &report));
    assert_int_equal(report.number, 1);
    struct online_copy *copy = open_copy(0);
    struct online_record record;
    assert_int_equal(online_info(copy)->as_of_us, 0);
    assert_fails(online_get(copy, ONLINE_KOL, STR("tiktok"), STR("a"), &record, &err),
                 KOL_NOT_FOUND);
    online_close(&copy);
}

static void test_two_rows_of_one_key_are_refused(void **state)
{
    (void)state;
    struct online_build_options options = build_options();
    struct online_build_report report;
    fill_tables();
    build_new();
    run_sql("INSERT INTO silver.kol_profiles(kol_id, platform) VALUES ('ann', 'tiktok')");
    options.force = true;
    assert_fails(build(&options, &report), KOL_INVALID);
    assert_non_null(strstr(err.message, "'ann' on tiktok"));
    struct online_copy *copy = open_copy(0);
    assert_int_equal(online_info(copy)->number, 1);
    online_close(&copy);
    assert_false(has_file("000002.tmp"));
    run_sql("DELETE FROM silver.kol_profiles WHERE kol_id = 'ann'");
    assert_ok(build(&options, &report));
    assert_int_equal(report.number, 2);
}

/* ---- swapping ---- */

static void test_the_same_snapshots_are_not_copied_twice(void **state)
{
    (void)state;
    struct online_build_options options = build_options();
    struct online_build_report report;
    fill_tables();
    assert_ok(build(&options, &report));
    assert_false(report.skipped);
    assert_ok(build(&options, &report));
    assert_true(report.skipped);
    assert_int_equal(report.number, 1);
    assert_int_equal(report.kols, 5);
    world.sources[2].snapshot_id = 2;
    assert_ok(build(&options, &report));
    assert_false(report.skipped);
    assert_int_equal(report.number, 2);
    char path[128];
    snprintf(path, sizeof path, "%s/online/000002/records.mdb", world.data);
    assert_int_equal(truncate(path, 8192), 0);
    assert_ok(build(&options, &report)); /* what cannot be opened is made again */
    assert_int_equal(report.number, 3);
}

static void test_a_reader_keeps_its_copy_and_takes_the_newer_one(void **state)
{
    (void)state;
    bool changed;
    struct online_record record;
    int64_t followers;
    fill_tables();
    build_new();
    struct online_copy *copy = open_copy(0), *old = online_share(copy);
    assert_ok(online_refresh(&copy, &changed, &err));
    assert_false(changed);
    run_sql("UPDATE silver.kol_profiles SET followers_count = 1501 WHERE platform = 'tiktok'");
    build_new();
    assert_ok(online_refresh(&copy, &changed, &err));
    assert_true(changed);
    assert_int_equal(online_info(copy)->number, 2);
    assert_int_equal(online_info(old)->number, 1);
    const int column = online_column(old, ONLINE_KOL, "followers_count");
    assert_ok(online_get(old, ONLINE_KOL, STR("tiktok"), STR("anna"), &record, &err));
    assert_true(online_int(&record, column, &followers));
    assert_int_equal(followers, 1500);
    assert_ok(online_get(copy, ONLINE_KOL, STR("tiktok"), STR("anna"), &record, &err));
    assert_true(online_int(&record, column, &followers));
    assert_int_equal(followers, 1501);
    online_close(&old);
    online_close(&copy);
}

static void test_an_old_copy_goes_when_nobody_reads_it_and_its_time_is_over(void **state)
{
    (void)state;
    const int64_t start = 1700000000 * CLOCK_US_PER_SECOND;
    int64_t removed;
    clock_fix(start);
    fill_tables();
    build_new();
    struct online_copy *reader = open_copy(1);
    clock_fix(start + CLOCK_US_PER_HOUR);
    build_new();
    build_new();
    assert_true(has_file("000001") && has_file("000002") && has_file("000003"));
    /* Time counts from the successor, not from the copy's own making. */
    clock_fix(start + CLOCK_US_PER_HOUR + ONLINE_KEEP_US - 1);
    assert_ok(online_clean(world.data, ONLINE_KEEP_US, &removed, &err));
    assert_int_equal(removed, 0);
    clock_fix(start + CLOCK_US_PER_HOUR + ONLINE_KEEP_US);
    assert_ok(online_clean(world.data, ONLINE_KEEP_US, &removed, &err));
    assert_int_equal(removed, 1);
    assert_true(has_file("000001") && !has_file("000002") && has_file("000003"));
    const struct online_options gone = {.data = world.data, .number = 2};
    struct online_copy *copy;
    assert_fails(online_open(&gone, &copy, &err), KOL_NOT_FOUND);
    online_close(&reader);
    assert_ok(online_clean(world.data, ONLINE_KEEP_US, &removed, &err));
    assert_int_equal(removed, 1);
    assert_false(has_file("000001"));
    assert_true(has_file("000003"));
    assert_int_equal(build_new(), 4);
}

static void test_a_reader_that_was_killed_holds_nothing(void **state)
{
    (void)state;
    int64_t removed;
    int ready[2], status;
    char byte;
    fill_tables();
    build_new();
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct online_copy *copy;
        const struct online_options options = {.data = world.data};
        if (online_open(&options, &copy, NULL) == KOL_OK && write(ready[1], "x", 1) == 1) {
            pause();
        }
        _exit(3);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    build_new();
    assert_ok(online_clean(world.data, 0, &removed, &err));
    assert_int_equal(removed, 0);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_ok(online_clean(world.data, 0, &removed, &err));
    assert_int_equal(removed, 1);
    close(ready[0]);
    close(ready[1]);
}

static void test_two_builders_do_not_meet(void **state)
{
    (void)state;
    int lock;
    int64_t removed;
    struct online_build_options options = build_options();
    struct online_build_report report;
    fill_tables();
    assert_ok(online_build_lock(world.data, &lock, &err));
    assert_fails(build(&options, &report), KOL_CONFLICT);
    assert_fails(online_clean(world.data, 0, &removed, &err), KOL_CONFLICT);
    close(lock);
    assert_ok(build(&options, &report));
}

static void test_an_interrupted_build_leaves_the_old_copy(void **state)
{
    (void)state;
    struct online_build_options options = build_options();
    struct online_build_report report;
    fill_tables();
    build_new();
    options.force = true;
    signals_ask_stop(true);
    enum kol_status status = build(&options, &report);
    signals_ask_stop(false);
    assert_int_equal(status, KOL_INTERRUPTED);
    assert_false(has_file("000002.tmp"));
    assert_false(has_file("000002"));
    assert_ok(build(&options, &report));
    assert_int_equal(report.number, 2);
}

/* ---- damage ---- */

static void test_without_a_copy_the_message_names_the_command(void **state)
{
    (void)state;
    struct online_copy *copy;
    struct online_options options = {.data = world.data};
    assert_fails(online_open(&options, &copy, &err), KOL_NOT_FOUND);
    assert_non_null(strstr(err.message, "kol online build"));
    fill_tables();
    build_new();
    char path[128];
    snprintf(path, sizeof path, "%s/online/CURRENT", world.data);
    assert_ok(file_replace(path, STR("000009\n"), &err));
    assert_fails(online_open(&options, &copy, &err), KOL_NOT_FOUND);
    assert_ok(file_replace(path, STR("nine\n"), &err));
    assert_fails(online_open(&options, &copy, &err), KOL_CORRUPT);
    assert_int_equal(build_new(), 2); /* a build mends it */
}

/* Overwrites bytes of a file of the current copy. */
static void damage(const char *name, const char *wanted)
{
    char path[128];
    struct buf bytes = {0};
    snprintf(path, sizeof path, "%s/online/000001/%s", world.data, name);
    assert_ok(file_read(path, 64 << 20, &bytes, &err));
    char *at = memmem(bytes.ptr, bytes.len, wanted, strlen(wanted));
    assert_non_null(at);
    memset(at, 'X', strlen(wanted));
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, bytes.ptr, bytes.len, 0), bytes.len);
    close(fd);
    buf_free(&bytes);
}

static void test_a_damaged_record_is_said_to_be(void **state)
{
    (void)state;
    struct online_record record;
    fill_tables();
    build_new();
    damage("records.mdb", "Ánna Đặng");
    struct online_copy *copy = open_copy(0);
    assert_fails(online_get(copy, ONLINE_KOL, STR("tiktok"), STR("anna"), &record, &err),
                 KOL_CORRUPT);
    assert_non_null(strstr(err.message, "'anna'"));
    assert_ok(online_get(copy, ONLINE_KOL, STR("tiktok"), STR("ann"), &record, &err));
    online_close(&copy);
}

static void test_damaged_files_are_refused(void **state)
{
    (void)state;
    struct online_copy *copy;
    struct online_options options = {.data = world.data};
    fill_tables();
    build_new();
    damage("meta.json", "\"columns\"");
    assert_fails(online_open(&options, &copy, &err), KOL_CORRUPT);
    char path[128];
    snprintf(path, sizeof path, "%s/online/000001/meta.json", world.data);
    assert_ok(file_replace(path, STR("{\"format\": 99}"), &err));
    assert_fails(online_open(&options, &copy, &err), KOL_UNSUPPORTED);
    assert_int_equal(build_new(), 2);
    snprintf(path, sizeof path, "%s/online/000002/records.mdb", world.data);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size - 4096), 0);
    assert_fails(online_open(&options, &copy, &err), KOL_CORRUPT);
    assert_int_equal(truncate(path, 0), 0);
    assert_fails(online_open(&options, &copy, &err), KOL_CORRUPT);
    assert_int_equal(unlink(path), 0);
    assert_fails(online_open(&options, &copy, &err), KOL_NOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(test_every_cell_comes_back),
        TEST(test_keys_are_found_and_others_are_not),
        TEST(test_ids_of_any_kind_are_kept_apart),
        TEST(test_lists_have_the_same_rows_folded_and_sorted),
        TEST(test_a_run_without_optional_tables_is_built),
        TEST(test_two_rows_of_one_key_are_refused),
        TEST(test_the_same_snapshots_are_not_copied_twice),
        TEST(test_a_reader_keeps_its_copy_and_takes_the_newer_one),
        TEST(test_an_old_copy_goes_when_nobody_reads_it_and_its_time_is_over),
        TEST(test_a_reader_that_was_killed_holds_nothing),
        TEST(test_two_builders_do_not_meet),
        TEST(test_an_interrupted_build_leaves_the_old_copy),
        TEST(test_without_a_copy_the_message_names_the_command),
        TEST(test_a_damaged_record_is_said_to_be),
        TEST(test_damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
