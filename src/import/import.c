/*
 * import.c: drives a file through reader, preset and submit.
 *
 * A commit happens between two records only, so that all events of a record and the position behind
 * it become durable as one. A record of which one event is invalid gives its valid ones and one
 * dead letter with the whole record: once repaired it may be imported again, the ids of the events
 * that are there already stay the same.
 */
#include "import/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/text.h"
#include "domain/decode.h"
#include "import/apply.h"
#include "import/batches.h"
#include "import/csv.h"
#include "import/lines.h"

enum {
    DEAD_MAX_BYTES = 1 << 20, /* of a record that goes into a dead letter; longer ones are cut */
    LOOK_EVERY = 256,         /* records between two looks at the clock */
};

struct import {
    const struct import_options *options;
    struct overrides overrides;
    char (*names)[POSITION_NAME]; /* of the files' positions; "" for a pipe */
    char command[33];             /* names this set of files: see position.h */
    size_t next_file;

    struct batches batches;
    bool batches_open;
    struct submit sum;    /* import_submitted() */
    struct arena arena;   /* of the overrides */
    struct arena scratch; /* of one record */

    /* The file that is being read. */
    const char *path; /* as messages name it */
    const char *name; /* of its position; NULL for a pipe */
    struct source *source;
    struct window window;
    struct lines lines;
    struct csv csv;
    const struct preset_layout *layout;
    size_t *places;
    struct position position; /* behind the last whole record */
    struct position durable;  /* the same of the last commit */
    bool log_failed;          /* the failure came from the log: nothing more can be committed */
    struct progress progress;
};

/* ---- opening ---- */

static enum kol_status name_positions(struct import *import, struct kol_error *err)
{
    const struct import_options *options = import->options;
    struct buf all = {0}, hex = {0};
    enum kol_status status = KOL_OK;
    for (size_t i = 0; status == KOL_OK && i < options->file_count; i++) {
        const char *file = options->files[i];
        if (strcmp(file, "-") != 0) {
            status = position_name(options->preset, file, options->set, import->names[i], err);
        }
        for (size_t j = 0; status == KOL_OK && j < i; j++) {
            bool same_file = import->names[i][0] && !strcmp(import->names[i], import->names[j]);
            if (same_file || strcmp(file, options->files[j]) == 0) {
                status = kol_fail(err, KOL_USAGE, "%s is named twice", file);
            }
        }
        buf_puts(&all, import->names[i]);
        buf_putc(&all, '\n');
    }
    hash_put_hex128(&hex, buf_str(&all));
    snprintf(import->command, sizeof import->command, "%s", hex.ptr);
    buf_free(&all);
    buf_free(&hex);
    return status;
}

enum kol_status import_open(const struct import_options *options, struct import **out,
                            struct kol_error *err)
{
    struct import *import = mem_zalloc(1, sizeof *import);
    import->options = options;
    import->names = mem_zalloc(options->file_count + 1, sizeof *import->names);
    arena_init(&import->arena, 0);
    arena_init(&import->scratch, 0);
    enum kol_status status =
        overrides_parse(options->set, options->preset, &import->arena, &import->overrides, err);
    if (status == KOL_OK) {
        status = name_positions(import, err);
    }
    if (status == KOL_OK) {
        status = batches_open(&import->batches, options->bus, err);
        import->batches_open = true;
    }
    if (status != KOL_OK) {
        import_close(&import);
    }
    *out = import;
    return status;
}

static void close_file(struct import *import)
{
    csv_free(&import->csv);
    lines_free(&import->lines);
    window_free(&import->window);
    source_close(&import->source);
    free(import->places);
    import->csv = (struct csv){0};
    import->places = NULL;
    import->layout = NULL;
}

void import_close(struct import **import)
{
    struct import *old = *import;
    *import = NULL;
    if (!old) {
        return;
    }
    close_file(old);
    if (old->batches_open) {
        batches_close(&old->batches);
    }
    arena_free(&old->arena);
    arena_free(&old->scratch);
    free(old->names);
    free(old);
}

const struct submit *import_submitted(struct import *import)
{
    batches_sum(&import->batches, &import->sum);
    return &import->sum;
}

/* Where events go now. */
static struct submit *submit_of(struct import *import)
{
    return &import->batches.filling->submit;
}

/* ---- committing ---- */

static void report_metrics(struct import *import, const struct position *before)
{
    const char *label = import->options->preset->name.ptr;
    const struct position *now = &import->durable;
    metrics_add(METRIC_IMPORT_BYTES, label, now->offset - before->offset);
    metrics_add(METRIC_IMPORT_RECORDS, label, now->counts.records - before->counts.records);
}

/* Has everything up to the last whole record made durable, with the position behind it. */
static enum kol_status begin_commit(struct import *import, struct kol_error *err)
{
    enum kol_status status =
        batches_hand_over(&import->batches, import->name, &import->position, err);
    import->log_failed = import->log_failed || status != KOL_OK;
    return status;
}

/* Waits for it. What is durable is known afterwards, also where the last commit failed. */
static enum kol_status end_commit(struct import *import, struct kol_error *err)
{
    const struct position before = import->durable;
    enum kol_status status = batches_wait(&import->batches, err);
    import->durable = import->batches.durable;
    report_metrics(import, &before);
    import->log_failed = import->log_failed || status != KOL_OK;
    return status;
}

static enum kol_status commit(struct import *import, struct kol_error *err)
{
    enum kol_status status = begin_commit(import, err);
    return status == KOL_OK ? end_commit(import, err) : status;
}

static size_t pending_bytes(const struct import *import)
{
    return bus_pending_bytes(import->batches.filling->producer);
}

static enum kol_status commit_if_pending(void *user, struct kol_error *err)
{
    struct import *import = user;
    return pending_bytes(import) ? commit(import, err) : KOL_OK;
}

/* ---- one record ---- */

/* Puts a record into kol.dead, cut where it is too long for that. */
static enum kol_status bury(struct import *import, const enum topic *topic, struct str bytes,
                            const char *reason, bool cut, int64_t line, struct kol_error *err)
{
    char text[640];
    struct submit_place place = {import->path, line};
    cut = cut || bytes.len > DEAD_MAX_BYTES;
    bytes.len = bytes.len > DEAD_MAX_BYTES ? DEAD_MAX_BYTES : bytes.len;
    snprintf(text, sizeof text, "%s%s", reason, cut ? "; only its front is kept" : "");
    import->position.counts.dead++;
    return submit_dead(submit_of(import), topic, bytes, str_of(text), place, err);
}

/* A line with values given by hand: it is made anew. */
static enum kol_status submit_changed(struct import *import, const struct line *line,
                                      struct kol_error *err)
{
    struct submit *submit = submit_of(import);
    struct event event;
    struct kol_error why = {0};
    struct str json = str_trim(line->text);
    bool is_object = json.len >= 2 && json.ptr[0] == '{' && json.ptr[json.len - 1] == '}';
    arena_reset(&import->scratch);
    buf_clear(&submit->scratch);
    if (is_object) {
        overrides_splice(&submit->scratch, &import->overrides, json);
        json = buf_str(&submit->scratch);
    }
    /* The event's texts are views, and submit_event() must not overwrite them. */
    json = arena_copy(&import->scratch, json);
    if (event_decode(json, clock_now_us(), &import->scratch, &event, &why) != KOL_OK) {
        return bury(import, NULL, line->text, why.message, false, line->number, err);
    }
    return submit_event(submit, &event, err);
}

static enum kol_status take_line(struct import *import, struct kol_error *err)
{
    struct line line;
    enum kol_status status = lines_next(&import->lines, &line, err);
    if (status != KOL_OK) {
        return status;
    }
    struct submit *submit = submit_of(import);
    int64_t dead_before = submit->dead_total;
    struct submit_place place = {import->path, line.number};
    import->position.counts.records++;
    if (line.too_long) {
        char reason[96];
        snprintf(reason, sizeof reason, "longer than the %d bytes that an event may have",
                 DECODE_MAX_BYTES);
        return bury(import, NULL, line.text, reason, true, line.number, err);
    }
    if (import->overrides.count) {
        return submit_changed(import, &line, err);
    }
    status = submit_json(submit, line.text, NULL, place, err);
    import->position.counts.dead += submit->dead_total - dead_before;
    return status;
}

/* The events of one good record. */
static enum kol_status take_cells(struct import *import, const struct csv_record *record,
                                  struct kol_error *err)
{
    const struct preset_layout *layout = import->layout;
    const struct apply_record cells = {layout, import->places, record->cells};
    struct kol_error why = {0}, first = {0};
    enum topic meant = TOPIC_DEAD;
    size_t made = 0;
    enum kol_status status = KOL_OK;
    arena_reset(&import->scratch);
    for (size_t i = 0; status == KOL_OK && i < layout->event_count; i++) {
        const struct preset_event *rules = &layout->events[i];
        struct event event;
        if (!apply_wanted(&cells, rules)) {
            continue;
        }
        made++;
        if (apply_event(&cells, rules, &import->overrides, clock_now_us(), &import->scratch, &event,
                        &why) == KOL_OK) {
            status = submit_event(submit_of(import), &event, err);
        } else if (first.status == KOL_OK) {
            first = why;
            meant = event_type_topic(rules->type);
        }
    }
    import->position.counts.skipped += made == 0;
    if (status == KOL_OK && first.status != KOL_OK) {
        status = bury(import, &meant, record->raw, first.message, false, record->line, err);
    }
    return status;
}

static enum kol_status take_record(struct import *import, struct kol_error *err)
{
    struct csv_record record;
    enum kol_status status = csv_next(&import->csv, &record, err);
    if (status != KOL_OK) {
        return status;
    }
    import->position.counts.records++;
    if (record.broken) {
        return bury(import, NULL, record.raw, record.reason, false, record.line, err);
    }
    return take_cells(import, &record, err);
}

/* Reads one record and hands its events to the log. A failure that is not the source's is the
 * log's. */
static enum kol_status take_one(struct import *import, struct kol_error *err)
{
    struct position *position = &import->position;
    const struct submit *submit = submit_of(import);
    int64_t before[TOPIC_COUNT], records = position->counts.records;
    memcpy(before, submit->accepted, sizeof before);
    enum kol_status status = import->layout ? take_record(import, err) : take_line(import, err);
    if (status != KOL_OK) {
        import->log_failed = import->log_failed || position->counts.records > records;
        return status;
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        int64_t more = submit->accepted[topic] - before[topic];
        position->counts.accepted[topic] += more;
        position->counts.events += more;
    }
    position->offset = import->window.position;
    position->line = import->layout ? import->csv.next_line : import->lines.next_line;
    return KOL_OK;
}

/* ---- one file ---- */

static enum kol_status read_header(struct import *import, struct kol_error *err)
{
    const struct preset *preset = import->options->preset;
    struct csv_record header;
    csv_init(&import->csv, &import->window, preset->delimiter, 1);
    enum kol_status status = csv_next(&import->csv, &header, err);
    if (status == KOL_END) {
        return kol_fail(err, KOL_INVALID, "%s: empty, not even a header", import->path);
    }
    if (status == KOL_OK && header.broken) {
        return kol_fail(err, KOL_INVALID, "%s:%lld: the header is broken: %s", import->path,
                        (long long)header.line, header.reason);
    }
    if (status == KOL_OK) {
        status =
            preset_pick(preset, header.cells, header.count, &import->layout, &import->places, err);
        if (status != KOL_OK) {
            return kol_wrap(err, "%s:%lld", import->path, (long long)header.line);
        }
        import->csv.expected = header.count;
    }
    return status;
}

/* Reads the position of an interrupted import, if there is one that counts. */
static enum kol_status find_position(struct import *import, struct kol_error *err)
{
    import->position = (struct position){.line = 1};
    if (import->name && !import->options->restart) {
        enum kol_status status =
            position_get(import->options->bus, import->name, &import->position, err);
        if (status != KOL_OK && status != KOL_NOT_FOUND) {
            return status;
        }
        bool of_another =
            import->position.done && strcmp(import->position.command, import->command) != 0;
        if (status == KOL_NOT_FOUND || of_another) {
            import->position = (struct position){.line = 1};
        }
    }
    memcpy(import->position.command, import->command, sizeof import->position.command);
    return KOL_OK;
}

/* Opens the file, finds out what it is and goes to where reading begins. */
static enum kol_status open_file(struct import *import, const char *file, struct kol_error *err)
{
    struct position *position = &import->position;
    enum kol_status status = source_open(file, &import->source, err);
    if (status != KOL_OK) {
        return status;
    }
    import->path = source_name(import->source);
    source_on_idle(import->source, commit_if_pending, import);
    window_init(&import->window, import->source);
    if (import->options->preset->format == PRESET_CSV) {
        status = read_header(import, err);
    }
    if (status == KOL_OK && position->offset > import->window.position) {
        status = window_seek(&import->window, position->offset, err);
        import->csv.next_line = position->line;
    }
    lines_init(&import->lines, &import->window, DECODE_MAX_BYTES, position->line);
    if (status == KOL_OK && position->offset == 0) {
        position->offset = import->window.position;
        position->line = import->layout ? import->csv.next_line : 1;
    }
    return status;
}

static enum kol_status stopped(const struct import *import, struct kol_error *err)
{
    return kol_fail(
        err, KOL_INTERRUPTED, "%s: stopped after %lld records, which are in the log; %s",
        import->path, (long long)import->durable.counts.records,
        import->name ? "the same command goes on behind them" : "in a pipe nobody can go on");
}

/* Reads to the end of the file. */
static enum kol_status read_all(struct import *import, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (int64_t turn = 1; status == KOL_OK; turn++) {
        if (signals_stop_asked()) {
            return stopped(import, err);
        }
        status = take_one(import, err);
        if (status == KOL_OK && pending_bytes(import) >= import->options->batch_bytes) {
            status = begin_commit(import, err);
        }
        if (turn % LOOK_EVERY == 0) {
            progress_update(&import->progress, source_file_position(import->source));
        }
    }
    return status;
}

/* What came before a failure of the source is kept; `err` says how much that is. */
static enum kol_status keep_what_came(struct import *import, enum kol_status status,
                                      struct kol_error *err)
{
    struct kol_error why = {0};
    enum kol_status ended = import->log_failed ? end_commit(import, &why) : commit(import, &why);
    if (ended != KOL_OK) {
        return kol_fail(err, ended, "%s: %lld records are in the log, then: %s", import->path,
                        (long long)import->durable.counts.records, why.message);
    }
    return status == KOL_INTERRUPTED ? stopped(import, err) : status;
}

static void describe(const struct import *import, int64_t begun_at, struct import_file *out)
{
    out->counts = import->durable.counts;
    out->layout = import->layout ? import->layout->name : (struct str){NULL, 0};
    out->bytes = import->durable.offset;
    out->resumed_at = begun_at;
    out->complete = import->durable.done;
}

static enum kol_status import_file(struct import *import, const char *file, struct import_file *out,
                                   struct kol_error *err)
{
    enum kol_status status = find_position(import, err);
    int64_t begun_at = import->position.offset;
    import->durable = import->batches.durable = import->position;
    if (status != KOL_OK || import->position.done) {
        describe(import, begun_at, out);
        return status;
    }
    status = open_file(import, file, err);
    if (status == KOL_OK) {
        char what[96];
        snprintf(what, sizeof what, "import %.80s", import->path);
        progress_begin(&import->progress, what, "bytes", source_file_size(import->source),
                       source_file_position(import->source));
        status = read_all(import, err);
        progress_end(&import->progress);
        if (status == KOL_END) {
            import->position.offset = import->window.position;
            import->position.done = true;
            status = commit(import, err);
        }
        if (status != KOL_OK) {
            status = keep_what_came(import, status, err);
        }
        describe(import, begun_at, out);
    }
    return status;
}

enum kol_status import_next(struct import *import, struct import_file *out, struct kol_error *err)
{
    const struct import_options *options = import->options;
    size_t index = import->next_file;
    *out = (struct import_file){0};
    if (index == options->file_count) {
        return KOL_END;
    }
    import->next_file++;
    import->name = import->names[index][0] ? import->names[index] : NULL;
    import->path = out->path = options->files[index];
    enum kol_status status = import_file(import, options->files[index], out, err);
    close_file(import);
    import->path = out->path;
    return status;
}

enum kol_status import_finish(struct import *import, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    import->name = NULL; /* its position goes, too */
    for (size_t i = 0; status == KOL_OK && i < import->options->file_count; i++) {
        if (import->names[i][0]) {
            status = position_put(import->batches.filling->producer, import->names[i], NULL, err);
        }
    }
    return status == KOL_OK ? commit(import, err) : status;
}
