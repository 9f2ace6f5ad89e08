/* maintain.c: `kol maintain`: upkeep of the lake's tables. */
#include "base/mem.h"
#include "cmd/command.h"

static const char *const column_names[] = {"table",     "compacted", "into",  "snapshots",
                                           "manifests", "orphans",   "freed", "problem"};

static void show_table(const struct maintain_report *report, void *user)
{
    struct rows *rows = user;
    struct buf name = {0};
    buf_printf(&name, "%s.%s", report->name_space, report->name);
    rows_text(rows, buf_str(&name));
    rows_int(rows, report->compacted);
    rows_int(rows, report->compacted_into);
    rows_int(rows, report->expired.snapshots);
    rows_int(rows, report->manifests.manifests);
    rows_int(rows,
             report->orphans.data_files + report->orphans.manifests + report->orphans.other_files);
    rows_int(rows, report->expired.bytes + report->orphans.bytes);
    if (report->problem) {
        rows_text(rows, str_of(report->problem));
    } else {
        rows_null(rows);
    }
    buf_free(&name);
}

static enum kol_status relocate(const struct invocation *call, struct kol_error *err)
{
    struct lake *lake = NULL;
    const struct lake_options options = {.data = call->data, .relocate = true};
    enum kol_status status = lake_open(&options, &lake, err);
    lake_close(&lake);
    return status;
}

static struct maintain_options options_of(const struct invocation *call, struct lake *lake)
{
    return (struct maintain_options){
        .lake = lake,
        .tables = call->args,
        .table_count = call->arg_count,
        .dry_run = flag_bool(call, "dry-run"),
        .target_bytes = flag_int(call, "target-bytes"),
        .expire_age_us = flag_int(call, "expire-after"),
        .keep = (int)flag_int(call, "keep"),
        .orphan_age_us = flag_int(call, "orphan-age"),
        .no_writers = flag_bool(call, "no-writers"),
    };
}

struct maintain_options command_maintain_defaults(struct lake *lake)
{
    const struct config_option *own;
    struct invocation call = {.command = command_find(STR("maintain"))};
    const size_t count = command_flags(call.command, &own);
    call.flags = config_new(own, count);
    const struct maintain_options options = options_of(&call, lake);
    config_free(&call.flags);
    return options;
}

enum kol_status cmd_maintain(const struct invocation *call, struct kol_error *err)
{
    struct lake *lake = NULL;
    enum kol_status status = flag_bool(call, "relocate") ? relocate(call, err) : KOL_OK;
    if (status == KOL_OK) {
        status = command_open_lake(call, false, &lake, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct rows *rows = rows_begin(stdout, call->format, column_names, ARRAY_LEN(column_names));
    struct maintain_options options = options_of(call, lake);
    options.on_table = show_table;
    options.user = rows;
    status = maintain_run(&options, err);
    status = rows_finish(&rows, status, err);
    lake_close(&lake);
    return status;
}
