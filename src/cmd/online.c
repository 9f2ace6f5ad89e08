/* online.c: `kol online`: builds the online copy, says what it is of, prints records out of it. */
#include "online/online.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/text.h"
#include "cmd/command.h"
#include "domain/event.h"

/* ---- build, clean ---- */

/* One bar for each step of the build. */
struct shown_step {
    const char *name;
    struct progress progress;
};

static void show_step(const char *step, int64_t done, int64_t total, void *user)
{
    struct shown_step *shown = user;
    if (!shown->name || strcmp(shown->name, step) != 0) {
        if (shown->name) {
            progress_end(&shown->progress);
        }
        shown->name = step;
        progress_begin(&shown->progress, step, "rows", total, 0);
    }
    shown->progress.total = total;
    progress_update(&shown->progress, done);
}

static enum kol_status print_build(const struct invocation *call,
                                   const struct online_build_report *report, struct kol_error *err)
{
    static const char *const names[] = {"number", "built",   "kols",   "contents",
                                        "bytes",  "seconds", "removed"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    rows_int(rows, report->number);
    rows_bool(rows, !report->skipped);
    rows_int(rows, report->kols);
    rows_int(rows, report->contents);
    rows_int(rows, report->bytes);
    rows_real(rows, report->seconds);
    rows_int(rows, report->removed);
    return rows_end(&rows, err);
}

static enum kol_status online_run_build(const struct invocation *call, struct kol_error *err)
{
    struct lake *lake;
    struct online_build_report report;
    struct shown_step shown = {.name = NULL};
    enum kol_status status = command_open_lake(call, true, &lake, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct online_build_options options = {.data = call->data,
                                                 .lake = lake,
                                                 .keep_us = flag_int(call, "keep"),
                                                 .force = flag_bool(call, "force"),
                                                 .on_progress = show_step,
                                                 .user = &shown};
    status = online_build(&options, &report, err);
    if (shown.name) {
        progress_end(&shown.progress);
    }
    if (status == KOL_OK) {
        status = print_build(call, &report, err);
    }
    lake_close(&lake);
    return status;
}

static enum kol_status online_run_clean(const struct invocation *call, struct kol_error *err)
{
    int64_t removed;
    enum kol_status status = online_clean(call->data, flag_int(call, "keep"), &removed, err);
    if (status == KOL_OK) {
        fprintf(stderr, "%lld older copies removed\n", (long long)removed);
    }
    return status;
}

/* ---- info ---- */

static enum kol_status print_info(const struct invocation *call, struct online_copy *copy,
                                  struct kol_error *err)
{
    static const char *const names[] = {"number", "run",      "built_at", "as_of",
                                        "kols",   "contents", "table",    "snapshot"};
    const struct online_info *info = online_info(copy);
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    for (size_t i = 0; i < info->snapshot_count; i++) {
        rows_int(rows, info->number);
        rows_text(rows, str_of(info->run_id));
        rows_time(rows, info->built_us);
        if (info->as_of_us) {
            rows_time(rows, info->as_of_us);
        } else {
            rows_null(rows);
        }
        rows_int(rows, info->kols);
        rows_int(rows, info->contents);
        rows_text(rows, str_of(info->snapshots[i].table));
        if (info->snapshots[i].snapshot_id < 0) {
            rows_null(rows);
        } else {
            rows_int(rows, info->snapshots[i].snapshot_id);
        }
    }
    return rows_end(&rows, err);
}

/* ---- get ---- */

static void put_texts(struct rows *rows, const struct online_record *record, int column)
{
    int64_t count = online_texts(record, column, NULL, 0);
    if (count < 0) {
        rows_null(rows);
        return;
    }
    struct str *texts = mem_zalloc((size_t)count + 1, sizeof *texts);
    struct buf json = {0};
    online_texts(record, column, texts, (size_t)count);
    buf_putc(&json, '[');
    for (int64_t i = 0; i < count; i++) {
        buf_puts(&json, i ? ", " : "");
        text_put_json(&json, texts[i]);
    }
    buf_putc(&json, ']');
    rows_json(rows, buf_str(&json));
    buf_free(&json);
    free(texts);
}

static void put_integer(struct rows *rows, const char *declared, int64_t value)
{
    if (!strncmp(declared, "timestamp", 9)) {
        rows_time(rows, value);
    } else if (!strcmp(declared, "date")) {
        struct buf day = {0};
        clock_format(&day, value * CLOCK_US_PER_DAY);
        rows_text(rows, (struct str){day.ptr, 10});
        buf_free(&day);
    } else {
        rows_int(rows, value);
    }
}

static void put_cell(struct rows *rows, const struct online_record *record,
                     const struct online_column *columns, int column)
{
    bool truth;
    int64_t integer;
    double real;
    struct str text;
    enum online_type type = columns[column].type;
    if (type == ONLINE_TEXTS) {
        put_texts(rows, record, column);
    } else if (type == ONLINE_BOOL && online_bool(record, column, &truth)) {
        rows_bool(rows, truth);
    } else if (type == ONLINE_INT && online_int(record, column, &integer)) {
        put_integer(rows, columns[column].declared, integer);
    } else if (type == ONLINE_REAL && online_real(record, column, &real)) {
        rows_real(rows, real);
    } else if (type == ONLINE_TEXT && online_text(record, column, &text)) {
        rows_text(rows, text);
    } else {
        rows_null(rows);
    }
}

/* In a table a line for each column, because a record is wider than any terminal; else a row. */
static void put_record(struct rows *rows, enum rows_format format,
                       const struct online_record *record, const struct online_column *columns,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (format == ROWS_TABLE) {
            rows_text(rows, str_of(columns[i].name));
        }
        put_cell(rows, record, columns, (int)i);
    }
}

/* "tiktok:anna" is cut at the colon where a known platform stands before it. */
static struct online_key read_key(const char *text)
{
    struct str rest = str_of(text), id = rest, platform = str_cut(&id, ':');
    for (int p = PLATFORM_TIKTOK; p <= PLATFORM_INSTAGRAM; p++) {
        if (id.ptr && str_is(platform, platform_name((enum platform)p))) {
            return (struct online_key){platform, id};
        }
    }
    return (struct online_key){{0}, rest};
}

static enum kol_status get_key(const struct online_copy *copy, enum online_kind kind,
                               struct online_key key, struct online_record *out,
                               struct kol_error *err)
{
    size_t count;
    return key.platform.len ? online_get(copy, kind, key.platform, key.id, out, err)
                            : online_find(copy, kind, key.id, out, 1, &count, err);
}

static enum kol_status print_records(const struct invocation *call, struct online_copy *copy,
                                     struct kol_error *err)
{
    static const char *const table_names[] = {"column", "value"};
    enum online_kind kind = flag_bool(call, "content") ? ONLINE_CONTENT : ONLINE_KOL;
    size_t count;
    const struct online_column *columns = online_columns(copy, kind, &count);
    const char **names = mem_alloc(count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = columns[i].name;
    }
    const bool table = call->format == ROWS_TABLE;
    struct rows *rows = rows_begin(stdout, call->format, table ? table_names : names,
                                   table ? ARRAY_LEN(table_names) : count);
    enum kol_status status = KOL_OK;
    for (size_t i = 1; i < call->arg_count && status == KOL_OK; i++) {
        struct online_record record;
        status = get_key(copy, kind, read_key(call->args[i]), &record, err);
        if (status == KOL_OK) {
            put_record(rows, call->format, &record, columns, count);
        }
    }
    status = rows_finish(&rows, status, err);
    free(names);
    return status;
}

/* ---- the command ---- */

static enum kol_status with_copy(const struct invocation *call,
                                 enum kol_status (*print)(const struct invocation *call,
                                                          struct online_copy *copy,
                                                          struct kol_error *err),
                                 struct kol_error *err)
{
    struct online_copy *copy;
    const struct online_options options = {
        .data = call->data, .number = flag_given(call, "number") ? flag_int(call, "number") : 0};
    enum kol_status status = online_open(&options, &copy, err);
    if (status == KOL_OK) {
        status = print(call, copy, err);
        online_close(&copy);
    }
    return status;
}

static enum kol_status online_run_info(const struct invocation *call, struct kol_error *err)
{
    return with_copy(call, print_info, err);
}

static enum kol_status online_run_get(const struct invocation *call, struct kol_error *err)
{
    return with_copy(call, print_records, err);
}

static const struct {
    const char *name;
    bool takes_ids;
    enum kol_status (*run)(const struct invocation *call, struct kol_error *err);
} subcommands[] = {
    {"build", false, online_run_build},
    {"info", false, online_run_info},
    {"get", true, online_run_get},
    {"clean", false, online_run_clean},
};

enum kol_status cmd_online(const struct invocation *call, struct kol_error *err)
{
    const char *names[ARRAY_LEN(subcommands)];
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        names[i] = subcommands[i].name;
        if (strcmp(call->args[0], names[i]) != 0) {
            continue;
        }
        if (subcommands[i].takes_ids != (call->arg_count > 1)) {
            return kol_fail(err, KOL_USAGE,
                            "usage: kol online %s%s (`kol help online` explains it)", names[i],
                            subcommands[i].takes_ids ? " KOL..." : "");
        }
        return subcommands[i].run(call, err);
    }
    const char *nearest = str_nearest(str_of(call->args[0]), names, ARRAY_LEN(names));
    return kol_fail(err, KOL_USAGE, "no such thing as `kol online %s`%s%s%s", call->args[0],
                    nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}
