/* import.c: `kol import`: runs an import and says what came in, what did not, and why. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "import/import.h"

/* ---- --list ---- */

static void put_events(struct buf *out, const struct preset *preset)
{
    if (preset->format == PRESET_NDJSON) {
        buf_puts(out, "as they come");
    }
    for (size_t i = 0; i < preset->layout_count; i++) {
        const struct preset_layout *layout = &preset->layouts[i];
        buf_printf(out, "%s%.*s:", i ? "; " : "", STR_FORMAT(layout->name));
        for (size_t j = 0; j < layout->event_count; j++) {
            buf_printf(out, "%s %s", j ? "," : "", event_type_name(layout->events[j].type));
        }
    }
}

static void put_preset(const struct preset *preset, const char *origin, void *user)
{
    struct rows *rows = user;
    struct buf events = {0};
    put_events(&events, preset);
    rows_text(rows, preset->name);
    rows_text(rows, str_of(preset_format_name(preset->format)));
    rows_text(rows, buf_str(&events));
    rows_text(rows, str_of(origin));
    rows_text(rows, preset->help);
    buf_free(&events);
}

static enum kol_status list_presets(const struct invocation *call, struct kol_error *err)
{
    static const char *const names[] = {"preset", "format", "events", "origin", "help"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    enum kol_status status =
        preset_list(config_text(call->config, OPTION_IMPORT_PRESETS), put_preset, rows, err);
    return rows_finish(&rows, status, err);
}

/* ---- the report ---- */

static const char *const report_names[] = {
    "file",     "layout",   "records", "events",  "discoveries", "profiles", "videos",
    "comments", "products", "dead",    "skipped", "bytes",       "complete",
};

static void report_row(struct rows *rows, const struct import_file *file)
{
    static const enum topic topics[] = {TOPIC_DISCOVERY, TOPIC_PROFILES, TOPIC_VIDEOS,
                                        TOPIC_COMMENTS, TOPIC_PRODUCTS};
    const struct import_counts *counts = &file->counts;
    rows_text(rows, str_of(file->path));
    if (file->layout.len) {
        rows_text(rows, file->layout);
    } else {
        rows_null(rows);
    }
    rows_int(rows, counts->records);
    rows_int(rows, counts->events);
    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        rows_int(rows, counts->accepted[topics[i]]);
    }
    rows_int(rows, counts->dead);
    rows_int(rows, counts->skipped);
    rows_int(rows, file->bytes);
    rows_bool(rows, file->complete);
}

/* What a row of numbers does not say by itself. */
static void say_file(const struct import_file *file, int64_t taken_ns)
{
    const struct import_counts *counts = &file->counts;
    double seconds = (double)taken_ns / 1e9;
    if (file->resumed_at && file->complete && file->resumed_at == file->bytes) {
        fprintf(stderr, "%s: was read to its end before\n", file->path);
    } else if (file->resumed_at) {
        fprintf(stderr, "%s: went on at byte %lld, where an import was stopped\n", file->path,
                (long long)file->resumed_at);
    }
    fprintf(stderr, "%s: %lld records, %lld events, %lld dead in %.1f s\n", file->path,
            (long long)counts->records, (long long)counts->events, (long long)counts->dead,
            seconds);
    if (counts->events > counts->records - counts->dead - counts->skipped) {
        fprintf(stderr, "%s: a record may give several events:", file->path);
        for (int topic = 0, first = 1; topic < TOPIC_COUNT; topic++) {
            if (counts->accepted[topic]) {
                fprintf(stderr, "%s %lld to %s", first ? "" : ",",
                        (long long)counts->accepted[topic], topic_name((enum topic)topic));
                first = 0;
            }
        }
        fputc('\n', stderr);
    }
}

static void say_reasons(const struct submit *submit)
{
    if (submit->dead_total) {
        fprintf(stderr, "%lld records went to %s in this run:\n", (long long)submit->dead_total,
                topic_name(TOPIC_DEAD));
    }
    for (size_t i = 0; i < submit->reason_count; i++) {
        const struct submit_reason *reason = &submit->reasons[i];
        fprintf(stderr, "  %s:%lld: %s", reason->file, (long long)reason->line, reason->text);
        if (reason->count > 1) {
            fprintf(stderr, " (%lld times, here the first)", (long long)reason->count);
        }
        fputc('\n', stderr);
    }
    if (submit->other_reasons) {
        fprintf(stderr, "  and %lld for other reasons; `kol log tail %s` shows them\n",
                (long long)submit->other_reasons, topic_name(TOPIC_DEAD));
    }
}

/* ---- the run ---- */

static enum kol_status import_files(const struct import_options *options, enum rows_format format,
                                    int64_t *dead, struct kol_error *err)
{
    struct import *import = NULL;
    struct import_file file;
    enum kol_status status = import_open(options, &import, err);
    if (status != KOL_OK) {
        return status;
    }
    struct kol_error why = {0};
    struct rows *rows = rows_begin(stdout, format, report_names, ARRAY_LEN(report_names));
    do {
        int64_t begun = clock_mono_ns();
        status = import_next(import, &file, &why);
        if (file.path) {
            report_row(rows, &file);
            say_file(&file, clock_mono_ns() - begun);
            *dead += file.counts.dead;
        }
    } while (status == KOL_OK);
    say_reasons(import_submitted(import));
    enum kol_status shown = rows_end(&rows, err);
    if (status == KOL_END) {
        status = import_finish(import, &why);
    }
    import_close(&import);
    if (status == KOL_NO_SPACE) {
        return kol_fail(err, status,
                        "%s; make space and give the same command again: it goes on there",
                        why.message);
    }
    return status != KOL_OK ? kol_fail(err, status, "%s", why.message) : shown;
}

enum kol_status cmd_import(const struct invocation *call, struct kol_error *err)
{
    struct preset *preset = NULL;
    struct bus *bus = NULL;
    int64_t dead = 0;
    if (flag_bool(call, "list")) {
        return call->arg_count ? kol_fail(err, KOL_USAGE, "--list takes no arguments")
                               : list_presets(call, err);
    }
    if (call->arg_count < 2) {
        return kol_fail(err, KOL_USAGE,
                        "usage: kol import PRESET FILE... (`kol import --list` shows the presets)");
    }
    enum kol_status status =
        preset_find(call->args[0], config_text(call->config, OPTION_IMPORT_PRESETS), &preset, err);
    if (status == KOL_OK) {
        status = command_open_bus(call, false, &bus, err);
    }
    if (status == KOL_OK) {
        const struct import_options options = {
            .bus = bus,
            .preset = preset,
            .files = call->args + 1,
            .file_count = call->arg_count - 1,
            .set = flag_text(call, "set"),
            .restart = flag_bool(call, "restart"),
            .batch_bytes = (size_t)config_int(call->config, OPTION_IMPORT_BATCH),
        };
        status = import_files(&options, call->format, &dead, err);
    }
    if (status == KOL_OK && dead && flag_bool(call, "strict")) {
        status = kol_fail(err, KOL_INVALID, "%lld records went to %s, and --strict was given",
                          (long long)dead, topic_name(TOPIC_DEAD));
    }
    bus_close(&bus);
    preset_free(&preset);
    return status;
}
