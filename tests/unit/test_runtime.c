/* test_runtime.c: pool, metrics, rows, progress, logger, signals, files: what runs around the work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "base/progress.h"
#include "base/rows.h"
#include "base/signals.h"

static struct kol_error err;

/* ---- pool ---- */

static _Atomic int jobs_done;
static pthread_barrier_t held; /* two sides: the job, and the test that lets it go */

static void count_job(void *argument)
{
    (void)argument;
    atomic_fetch_add(&jobs_done, 1);
}

static void held_job(void *argument)
{
    (void)argument;
    pthread_barrier_wait(&held);
    pthread_barrier_wait(&held);
}

static void test_pool_runs_every_job_once(void **state)
{
    (void)state;
    struct pool *pool = pool_new(4, 8);
    atomic_store(&jobs_done, 0);
    for (int i = 0; i < 1000; i++) {
        pool_submit(pool, count_job, NULL);
    }
    pool_wait(pool);
    assert_int_equal(atomic_load(&jobs_done), 1000);
    pool_free(&pool);
    assert_null(pool);
}

static void test_full_pool_refuses_at_once_and_finishes_what_it_has(void **state)
{
    (void)state;
    struct pool *pool = pool_new(1, 2);
    atomic_store(&jobs_done, 0);
    pthread_barrier_init(&held, NULL, 2);
    pool_submit(pool, held_job, NULL);
    pthread_barrier_wait(&held); /* the only thread is busy now */
    assert_true(pool_try_submit(pool, count_job, NULL));
    assert_true(pool_try_submit(pool, count_job, NULL));
    assert_false(pool_try_submit(pool, count_job, NULL));
    pthread_barrier_wait(&held);
    pool_free(&pool);
    assert_int_equal(atomic_load(&jobs_done), 2);
    pthread_barrier_destroy(&held);
}

/* ---- metrics ---- */

static void add_many(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        metrics_add(METRIC_EVENTS_ACCEPTED, argument, 1);
        metrics_observe(METRIC_LOG_COMMIT_SECONDS, NULL, 0.002);
    }
}

static void test_metrics_lose_nothing_between_threads(void **state)
{
    (void)state;
    char odd[] = "odd", even[] = "even";
    struct pool *pool = pool_new(4, 64);
    for (int i = 0; i < 16; i++) {
        pool_submit(pool, add_many, i % 2 ? odd : even);
    }
    pool_free(&pool);
    assert_true(metrics_get(METRIC_EVENTS_ACCEPTED, "odd") == 8000);
    assert_true(metrics_get(METRIC_EVENTS_ACCEPTED, "even") == 8000);
    assert_true(metrics_get(METRIC_LOG_COMMIT_SECONDS, NULL) == 16000);
}

static void test_metrics_are_rendered_for_prometheus(void **state)
{
    (void)state;
    struct buf text = {0};
    metrics_add(METRIC_EVENTS_DEAD, "a\"b\\c\nd", 3);
    metrics_observe(METRIC_LOG_COMMIT_SECONDS, NULL, 100);
    metrics_slot_add(metrics_slot(METRIC_HTTP_REQUESTS, "get_kol,200"), 2);
    metrics_set_total(METRIC_HTTP_REQUESTS, "get_kol,404", 7);
    metrics_render(&text);
    assert_non_null(strstr(text.ptr,
                           "kol_http_requests_total{route=\"get_kol\",status=\"200\"} 2\n"
                           "kol_http_requests_total{route=\"get_kol\",status=\"404\"} 7\n"));
    assert_non_null(strstr(text.ptr, "# TYPE kol_events_dead_total counter\n"
                                     "kol_events_dead_total{topic=\"a\\\"b\\\\c\\nd\"} 3\n"));
    assert_non_null(strstr(text.ptr, "kol_log_commit_seconds_bucket{le=\"+Inf\"}"));
    assert_non_null(strstr(text.ptr, "kol_log_commit_seconds_count "));
    buf_free(&text);
}

static void test_too_many_labels_are_counted_together(void **state)
{
    (void)state;
    for (int i = 0; i < 600; i++) {
        char label[16];
        snprintf(label, sizeof label, "p%d", i);
        metrics_add(METRIC_IMPORT_BYTES, label, 1);
    }
    assert_true(metrics_get(METRIC_IMPORT_BYTES, "p0") == 1);
    assert_true(metrics_get(METRIC_IMPORT_BYTES, "other") == 600 - 511);
}

/* ---- rows ---- */

static char *print_rows(enum rows_format format)
{
    static const char *const names[] = {"name", "n", "when"};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct rows *rows = rows_begin(out, format, names, 3);
    rows_text(rows, STR("Đặng,\n\"x\""));
    rows_int(rows, -5);
    rows_time(rows, 0);
    rows_text(rows, STR("b"));
    rows_real(rows, 0.5);
    rows_null(rows);
    assert_int_equal(rows_end(&rows, &err), KOL_OK);
    fclose(out);
    return text;
}

static void test_rows_print_in_three_forms(void **state)
{
    (void)state;
    static const char *const expected[] = {
        [ROWS_TABLE] = "name          n  when\n"
                       "Đặng,\\n\"x\"   -5  1970-01-01T00:00:00Z\n"
                       "b           0.5  -\n",
        [ROWS_JSON] =
            "{\"name\":\"Đặng,\\n\\\"x\\\"\",\"n\":-5,\"when\":\"1970-01-01T00:00:00Z\"}\n"
            "{\"name\":\"b\",\"n\":0.5,\"when\":null}\n",
        [ROWS_CSV] = "name,n,when\n"
                     "\"Đặng,\n\"\"x\"\"\",-5,1970-01-01T00:00:00Z\n"
                     "b,0.5,\n",
    };
    for (int format = ROWS_TABLE; format <= ROWS_CSV; format++) {
        char *text = print_rows((enum rows_format)format);
        assert_string_equal(text, expected[format]);
        free(text);
    }
}

static void test_rows_say_when_the_output_is_full(void **state)
{
    (void)state;
    static const char *const names[] = {"n"};
    FILE *full = fopen("/dev/full", "w");
    struct rows *rows = rows_begin(full, ROWS_CSV, names, 1);
    rows_int(rows, 1);
    assert_int_equal(rows_end(&rows, &err), KOL_IO);
    fclose(full);
}

/* ---- what goes to stderr ---- */

/* Runs `work` with stderr going to a file and returns what it wrote. */
static char *capture_stderr(void (*work)(void))
{
    char path[] = "/tmp/kol-stderr-XXXXXX";
    int file = mkstemp(path), old = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    work();
    fflush(stderr);
    dup2(old, STDERR_FILENO);
    close(old);
    close(file);
    struct buf text = {0};
    assert_int_equal(file_read(path, 1 << 20, &text, &err), KOL_OK);
    unlink(path);
    return text.ptr;
}

static void log_often(void)
{
    for (int i = 0; i < 100; i++) {
        log_warn("line %d\nsecond", i);
    }
    log_debug("below the level");
}

static int count_lines(const char *text)
{
    int lines = 0;
    for (; *text; text++) {
        lines += *text == '\n';
    }
    return lines;
}

static void test_repeated_lines_are_held_back_and_counted(void **state)
{
    (void)state;
    logger_setup(&(struct logger_options){.level = LOG_INFO, .burst = 3});
    long long before = logger_held_back();
    char *text = capture_stderr(log_often);
    assert_int_equal(count_lines(text), 3);
    assert_non_null(strstr(text, " warn  line 0\\x0asecond\n"));
    assert_int_equal(logger_held_back() - before, 97);
    free(text);
}

static void log_json(void)
{
    log_error("said \"%s\"", "no");
}

static void test_log_lines_can_be_json(void **state)
{
    (void)state;
    logger_setup(&(struct logger_options){.level = LOG_INFO, .json = true});
    char *text = capture_stderr(log_json);
    assert_non_null(strstr(text, "\"level\":\"error\""));
    assert_non_null(strstr(text, "\"message\":\"said \\\"no\\\"\"}\n"));
    free(text);
    logger_setup(&(struct logger_options){.level = LOG_INFO});
}

static void show_progress(void)
{
    struct progress progress;
    progress_set_style(PROGRESS_BAR);
    progress_begin(&progress, "work", "bytes", 4000000, 0);
    progress.started_ns -= INT64_C(2000000000);
    progress.shown_ns -= INT64_C(2000000000);
    progress_update(&progress, 1000000);
    progress_update(&progress, 1000001); /* too soon to be drawn again */
    progress_end(&progress);
    progress_set_style(PROGRESS_OFF);
}

static void test_progress_shows_share_rate_and_what_is_left(void **state)
{
    (void)state;
    char *text = capture_stderr(show_progress);
    assert_non_null(strstr(text, "work: [######..................] 25%, 1.0 MB, "));
    assert_non_null(strstr(text, "kB/s, 6s left"));
    assert_null(strstr(text + 10, "work:"));
    free(text);
}

/* ---- signals and files ---- */

static void test_a_signal_sets_the_flag_and_wakes_a_wait(void **state)
{
    (void)state;
    signals_install();
    assert_false(signals_stop_asked());
    raise(SIGINT);
    struct pollfd wait = {.fd = signals_stop_fd(), .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 0), 1);
    assert_true(signals_stop_asked());
    signals_ask_stop(false);
    assert_int_equal(poll(&wait, 1, 0), 0);
}

static void test_files_are_replaced_whole_and_errors_name_them(void **state)
{
    (void)state;
    char folder[] = "/tmp/kol-file-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *deep = file_join(folder, "a/b/c"), *path = file_join(folder, "a/b/c/f");
    assert_int_equal(file_make_dir(deep, &err), KOL_OK);
    assert_int_equal(file_make_dir(deep, &err), KOL_OK);
    assert_int_equal(file_replace(path, STR("one"), &err), KOL_OK);
    assert_int_equal(file_replace(path, STR("two"), &err), KOL_OK);
    struct buf text = {0};
    assert_int_equal(file_read(path, 3, &text, &err), KOL_OK);
    assert_string_equal(text.ptr, "two");
    assert_int_equal(file_read(path, 2, &text, &err), KOL_INVALID);
    assert_int_equal(file_make_dir(path, &err), KOL_IO);
    unlink(path);
    assert_int_equal(file_read(path, 10, &text, &err), KOL_NOT_FOUND);
    assert_non_null(strstr(err.message, path));
    buf_free(&text);
    free(deep);
    free(path);
}

static void test_errors_keep_their_first_reason_behind_the_context(void **state)
{
    (void)state;
    assert_int_equal(kol_fail_errno(&err, 28, "log/data.mdb: cannot write"), KOL_NO_SPACE);
    assert_int_equal(kol_wrap(&err, "import %s", "a.csv"), KOL_NO_SPACE);
    assert_string_equal(err.message,
                        "import a.csv: log/data.mdb: cannot write: No space left on device");
    char longer[600];
    memset(longer, 'x', sizeof longer);
    longer[599] = '\0';
    kol_fail(&err, KOL_INVALID, "%s", longer);
    assert_int_equal(kol_wrap(&err, "%s", "context"), KOL_INVALID);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_int_equal(kol_fail(NULL, KOL_END, "nobody listens"), KOL_END);
    assert_string_equal(kol_status_text(KOL_FENCED), "fenced");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_runs_every_job_once),
        cmocka_unit_test(test_full_pool_refuses_at_once_and_finishes_what_it_has),
        cmocka_unit_test(test_metrics_lose_nothing_between_threads),
        cmocka_unit_test(test_metrics_are_rendered_for_prometheus),
        cmocka_unit_test(test_too_many_labels_are_counted_together),
        cmocka_unit_test(test_rows_print_in_three_forms),
        cmocka_unit_test(test_rows_say_when_the_output_is_full),
        cmocka_unit_test(test_repeated_lines_are_held_back_and_counted),
        cmocka_unit_test(test_log_lines_can_be_json),
        cmocka_unit_test(test_progress_shows_share_rate_and_what_is_left),
        cmocka_unit_test(test_a_signal_sets_the_flag_and_wakes_a_wait),
        cmocka_unit_test(test_files_are_replaced_whole_and_errors_name_them),
        cmocka_unit_test(test_errors_keep_their_first_reason_behind_the_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
