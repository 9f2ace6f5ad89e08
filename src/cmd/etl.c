/* etl.c: `kol etl`: bronze to silver to gold, one row of the report a table. */
#include "lake/etl.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/progress.h"
#include "cmd/command.h"
#include "online/online.h"
#include "registry/registry.h"
#include "version.h"

static const char *const column_names[] = {"table",       "made",  "rows",
                                           "quarantined", "bytes", "seconds"};

static const char *const outcome_names[] = {
    [ETL_WRITTEN] = "whole",
    [ETL_SKIPPED] = "unchanged",
    [ETL_INCREMENTAL] = "in part",
};

struct shown {
    struct rows *rows;
    struct progress progress;
    int64_t quarantined;
};

static void show_table(const struct etl_table_report *report, void *user)
{
    struct shown *shown = user;
    struct buf name = {0};
    buf_printf(&name, "%s.%s", report->name_space, report->name);
    rows_text(shown->rows, buf_str(&name));
    rows_text(shown->rows, str_of(outcome_names[report->outcome]));
    rows_int(shown->rows, report->rows);
    rows_int(shown->rows, report->quarantined);
    rows_int(shown->rows, report->bytes);
    rows_real(shown->rows, (double)(int64_t)(report->seconds * 1000) / 1000);
    shown->quarantined += report->quarantined;
    shown->progress.total = (int64_t)report->count;
    progress_update(&shown->progress, (int64_t)report->number);
    buf_free(&name);
}

/* What is read by key or as a list is copied out of the run's snapshots. */
static enum kol_status build_online(const struct invocation *call, struct lake *lake,
                                    struct kol_error *err)
{
    struct online_build_report report;
    const struct online_build_options options = {
        .data = call->data, .lake = lake, .keep_us = ONLINE_KEEP_US};
    enum kol_status status = online_build(&options, &report, err);
    if (status == KOL_OK && !report.skipped) {
        fprintf(stderr, "online copy %lld: %lld KOLs, %lld contents, %lld bytes in %.1f s\n",
                (long long)report.number, (long long)report.kols, (long long)report.contents,
                (long long)report.bytes, report.seconds);
    } else if (status != KOL_OK) {
        kol_wrap(err, "the tables are made, the online copy is not (`kol online build`)");
    }
    return status;
}

enum kol_status cmd_etl(const struct invocation *call, struct kol_error *err)
{
    struct lake *lake = NULL;
    struct score_models models = {0};
    char run_id[40] = "";
    int64_t begun = clock_mono_ns();
    enum kol_status status = command_load_models(call, &models, err);
    if (status == KOL_OK) {
        status = command_open_lake(call, false, &lake, err);
    }
    if (status != KOL_OK) {
        registry_serving_free(&models);
        return status;
    }
    struct shown shown = {
        .rows = rows_begin(stdout, call->format, column_names, ARRAY_LEN(column_names))};
    progress_begin(&shown.progress, "etl", "tables", 0, 0);
    const struct etl_options options = {
        .lake = lake,
        .tables = call->args,
        .table_count = call->arg_count,
        .version = KOL_VERSION,
        .full = flag_bool(call, "full"),
        .models = &models,
        .on_table = show_table,
        .user = &shown,
    };
    status = etl_run(&options, run_id, err);
    progress_end(&shown.progress);
    status = rows_finish(&shown.rows, status, err);
    if (status == KOL_OK && run_id[0]) {
        fprintf(stderr, "run %s is complete after %.1f s\n", run_id,
                (double)(clock_mono_ns() - begun) / 1e9);
    }
    if (status == KOL_OK && run_id[0] && !flag_bool(call, "no-online")) {
        status = build_online(call, lake, err);
    }
    if (shown.quarantined) {
        fprintf(stderr,
                "%lld rows broke a rule: kol sql \"SELECT table_name, rule, count(*) AS found FROM "
                "lake.quarantine GROUP BY table_name, rule\"\n",
                (long long)shown.quarantined);
    }
    lake_close(&lake);
    registry_serving_free(&models);
    return status;
}
