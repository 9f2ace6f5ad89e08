/* ingest.c: `kol ingest`: the event log into bronze. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "domain/event.h"
#include "lake/ingest.h"
#include "lake/maintain.h"

static enum kol_status print_reports(const struct invocation *call,
                                     const struct ingest_report *reports, size_t count,
                                     struct kol_error *err)
{
    static const char *const names[] = {"table", "events", "dead",  "duplicates",
                                        "lost",  "files",  "bytes", "commits"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    for (size_t i = 0; i < count; i++) {
        const struct ingest_report *report = &reports[i];
        struct buf table = {0};
        buf_printf(&table, "bronze.%s", report->table);
        rows_text(rows, buf_str(&table));
        rows_int(rows, report->events);
        rows_int(rows, report->dead);
        rows_int(rows, report->duplicates);
        rows_int(rows, report->lost);
        rows_int(rows, report->files);
        rows_int(rows, report->bytes);
        rows_int(rows, report->commits);
        buf_free(&table);
    }
    return rows_end(&rows, err);
}

static void say_reports(const struct ingest_report *reports, size_t count, int64_t taken_ns)
{
    int64_t events = 0, dead = 0, lost = 0;
    const double seconds = (double)taken_ns / 1e9;
    for (size_t i = 0; i < count; i++) {
        events += reports[i].events;
        dead += reports[i].dead;
        lost += reports[i].lost;
    }
    fprintf(stderr, "%lld events in %.1f s (%.0f a second).\n", (long long)events, seconds,
            (double)events / (seconds > 0 ? seconds : 1));
    if (dead) {
        fprintf(stderr, "%lld records were no events: `kol log tail %s` says why.\n",
                (long long)dead, topic_name(TOPIC_DEAD));
    }
    if (lost) {
        fprintf(stderr,
                "%lld records were dropped by the log's retention before they were read: ingest "
                "more often, or raise the retention of their topics.\n",
                (long long)lost);
    }
}

/* A commit holds what fits into memory, so a large import leaves several files in a partition.
 * Where they fill one of the usual size, they become it; smaller ones wait for `kol maintain`. */
static enum kol_status merge_files(const struct invocation *call, struct lake *lake,
                                   const struct ingest_report *reports, size_t count,
                                   struct kol_error *err)
{
    const char *names[TOPIC_COUNT];
    struct buf texts[TOPIC_COUNT] = {0};
    size_t wanted = 0;
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count; i++) {
        if (reports[i].commits > 1) {
            buf_printf(&texts[wanted], "bronze.%s", reports[i].table);
            names[wanted] = texts[wanted].ptr;
            wanted++;
        }
    }
    if (wanted) {
        const struct maintain_options options = {.lake = lake,
                                                 .tables = names,
                                                 .table_count = wanted,
                                                 .full_only = true,
                                                 .target_bytes = flag_int(call, "target-bytes")};
        status = maintain_run(&options, err);
    }
    for (size_t i = 0; i < wanted; i++) {
        buf_free(&texts[i]);
    }
    return status;
}

static enum kol_status run_ingest(const struct invocation *call, struct lake *lake, struct bus *bus,
                                  struct kol_error *err)
{
    const struct ingest_options options = {
        .lake = lake,
        .bus = bus,
        .follow = flag_bool(call, "follow"),
        .commit_us = flag_int(call, "commit-interval"),
        .commit_bytes = flag_int(call, "commit-bytes"),
        .from = flag_text(call, "from"),
    };
    struct ingest_report *reports;
    struct kol_error shown;
    const int64_t started_ns = clock_mono_ns();
    size_t count;
    enum kol_status status = ingest_run(&options, &reports, &count, err);
    if (status == KOL_OK && !options.follow) {
        status = merge_files(call, lake, reports, count, err);
    }
    /* What was committed before a failure or a stop is said, too. */
    enum kol_status printed = print_reports(call, reports, count, &shown);
    say_reports(reports, count, clock_mono_ns() - started_ns);
    free(reports);
    if (status == KOL_OK && printed != KOL_OK) {
        status = kol_fail(err, printed, "%s", shown.message);
    }
    return status;
}

enum kol_status cmd_ingest(const struct invocation *call, struct kol_error *err)
{
    struct bus *bus;
    struct lake *lake;
    enum kol_status status = command_open_bus(call, false, &bus, err);
    if (status != KOL_OK) {
        return status;
    }
    status = command_open_lake(call, false, &lake, err);
    if (status == KOL_OK) {
        status = run_ingest(call, lake, bus, err);
        lake_close(&lake);
    }
    bus_close(&bus);
    return status;
}
