/*
 * log_redrive.c: `kol log redrive`: what went to kol.dead is tried again, as it is or repaired.
 *
 * Each dead letter is settled at most once: the event and the note that its letter is settled are
 * one transaction, and a second redrive fences the first. The notes are bitmaps kept as marks of
 * the log, one for a stretch of offsets of kol.dead; a letter that fails again stays as it is and
 * is looked at again by the next run, which may know more.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/text.h"
#include "cmd/each_line.h"
#include "cmd/log.h"
#include "domain/decode.h"
#include "domain/encode.h"
#include "import/submit.h"

enum {
    STRETCH = 4096,         /* letters that one mark is about */
    COMMIT_LETTERS = 1000,  /* settled by one transaction, at most */
    COMMIT_BYTES = 4 << 20, /* the same in bytes */
    POLL_BYTES = 1 << 20,
    MAX_LINE = BUS_MAX_RECORD + 4096, /* of a file of letters */
    SHOWN_REASONS = 20,
};

/* Which letters of one stretch of a partition of kol.dead are settled. */
struct stretch {
    int32_t partition;
    int64_t number; /* offsets number * STRETCH and up */
    bool changed;
    unsigned char bits[STRETCH / 8];
};

struct redrive {
    const struct invocation *call;
    struct bus *bus;
    struct bus_topic topic; /* kol.dead */
    struct bus_producer *producer;
    struct submit submit;
    struct stretch *stretches; /* those that this transaction has looked at */
    size_t stretch_count;
    struct arena arena; /* of one letter */
    bool list, dry_run;
    const char *reason; /* NULL: any */
    int64_t left;       /* letters that may still be tried or listed */

    int64_t waiting;                   /* settled by the transaction that is open */
    int64_t tried, sent, dead, before; /* before: settled by an earlier run */
    int64_t shown;
};

/* A dead letter and where it lies in kol.dead. */
struct letter {
    int32_t partition;
    int64_t offset;
    int64_t line; /* of the file, 0 where it comes from the log */
    struct dead_letter dead;
};

/* ---- what is settled ---- */

static void mark_name(const struct stretch *stretch, char name[64])
{
    snprintf(name, 64, "redrive.%" PRId32 ".%" PRId64, stretch->partition, stretch->number);
}

static enum kol_status find_stretch(struct redrive *redrive, const struct letter *letter,
                                    struct stretch **out, struct kol_error *err)
{
    const int64_t number = letter->offset / STRETCH;
    for (size_t i = redrive->stretch_count; i-- > 0;) {
        *out = &redrive->stretches[i];
        if ((*out)->partition == letter->partition && (*out)->number == number) {
            return KOL_OK;
        }
    }
    redrive->stretches =
        mem_realloc(redrive->stretches, (redrive->stretch_count + 1) * sizeof *redrive->stretches);
    *out = &redrive->stretches[redrive->stretch_count];
    **out = (struct stretch){.partition = letter->partition, .number = number};
    char name[64];
    struct buf bits = {0};
    mark_name(*out, name);
    enum kol_status status = bus_mark_get(redrive->bus, name, &bits, err);
    if (status == KOL_OK && bits.len != sizeof(*out)->bits) {
        status = kol_fail(err, KOL_CORRUPT, "the mark %s of the log has a wrong size", name);
    }
    if (status == KOL_OK) {
        memcpy((*out)->bits, bits.ptr, bits.len);
    }
    buf_free(&bits);
    if (status == KOL_OK || status == KOL_NOT_FOUND) {
        redrive->stretch_count++;
        return KOL_OK;
    }
    return status;
}

static bool is_settled(const struct stretch *stretch, const struct letter *letter)
{
    const int64_t bit = letter->offset % STRETCH;
    return stretch->bits[bit / 8] >> (bit % 8) & 1;
}

static void settle(struct stretch *stretch, const struct letter *letter)
{
    const int64_t bit = letter->offset % STRETCH;
    stretch->bits[bit / 8] |= (unsigned char)(1 << (bit % 8));
    stretch->changed = true;
}

/* Makes durable what was sent, and that it was. */
static enum kol_status commit(struct redrive *redrive, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < redrive->stretch_count && status == KOL_OK; i++) {
        const struct stretch *stretch = &redrive->stretches[i];
        if (stretch->changed) {
            char name[64];
            mark_name(stretch, name);
            const struct str bits = {(const char *)stretch->bits, sizeof stretch->bits};
            status = bus_txn_mark(redrive->producer, name, bits, err);
        }
    }
    redrive->stretch_count = 0;
    if (status == KOL_OK && redrive->waiting) {
        FAILPOINT("redrive.send");
        status = bus_txn_commit(redrive->producer, err);
        FAILPOINT("redrive.sent");
    }
    if (status == KOL_OK) {
        redrive->sent += redrive->waiting;
        redrive->waiting = 0;
    }
    if (status == KOL_FENCED) {
        return kol_fail(err, status, "another `kol log redrive` has taken over");
    }
    return status;
}

/* ---- one letter ---- */

static void show_reason(struct redrive *redrive, const struct letter *letter, const char *why)
{
    if (redrive->shown++ >= SHOWN_REASONS) {
        return;
    }
    if (letter->line) {
        fprintf(stderr, "line %lld: ", (long long)letter->line);
    } else {
        fprintf(stderr, "%d:%lld: ", (int)letter->partition, (long long)letter->offset);
    }
    fprintf(stderr, "%s\n", why);
}

/* The letter with its place, as a line that can be edited and given back. */
static enum kol_status list_letter(const struct letter *letter, struct kol_error *err)
{
    struct buf line = {0};
    buf_printf(&line, "{\"place\":\"%d:%lld\",", (int)letter->partition, (long long)letter->offset);
    const size_t start = line.len;
    dead_letter_encode(&line, &letter->dead);
    memmove(line.ptr + start, line.ptr + start + 1, line.len - start); /* its own brace */
    line.len--;
    buf_putc(&line, '\n');
    const bool whole = fwrite(line.ptr, 1, line.len, stdout) == line.len;
    buf_free(&line);
    return whole ? KOL_OK : kol_fail(err, KOL_IO, "the output could not be written");
}

/* Tries the event of a letter again. */
static enum kol_status send_letter(struct redrive *redrive, struct stretch *stretch,
                                   const struct letter *letter, struct kol_error *err)
{
    const struct submit_place place = {topic_name(TOPIC_DEAD), letter->offset};
    const struct str json = str_trim(letter->dead.bytes);
    struct event event;
    struct kol_error why;
    if (event_decode(json, clock_now_us(), &redrive->arena, &event, &why) != KOL_OK) {
        redrive->dead++;
        show_reason(redrive, letter, why.message);
        return KOL_OK;
    }
    if (redrive->dry_run) {
        redrive->sent++;
        return KOL_OK;
    }
    enum kol_status status = submit_json(&redrive->submit, json, NULL, place, err);
    settle(stretch, letter);
    redrive->waiting++;
    if (status == KOL_OK && (redrive->waiting >= COMMIT_LETTERS ||
                             bus_pending_bytes(redrive->producer) >= COMMIT_BYTES)) {
        status = commit(redrive, err);
    }
    return status;
}

static bool has_reason(const struct redrive *redrive, const struct dead_letter *dead)
{
    return !redrive->reason ||
           memmem(dead->reason.ptr, dead->reason.len, redrive->reason, strlen(redrive->reason));
}

static enum kol_status take_letter(struct redrive *redrive, const struct letter *letter,
                                   struct kol_error *err)
{
    struct stretch *stretch;
    enum kol_status status = find_stretch(redrive, letter, &stretch, err);
    if (status != KOL_OK) {
        return status;
    }
    if (is_settled(stretch, letter)) {
        redrive->before++;
        return KOL_OK;
    }
    if (!has_reason(redrive, &letter->dead)) {
        return KOL_OK;
    }
    redrive->left--;
    redrive->tried++;
    return redrive->list ? list_letter(letter, err) : send_letter(redrive, stretch, letter, err);
}

/* ---- letters of the log ---- */

static enum kol_status take_record(struct redrive *redrive, const struct bus_record *record,
                                   struct kol_error *err)
{
    struct letter letter = {.partition = record->partition, .offset = record->offset};
    struct kol_error why;
    arena_reset(&redrive->arena);
    if (dead_letter_decode(record->value, &redrive->arena, &letter.dead, &why) != KOL_OK) {
        redrive->dead++;
        show_reason(redrive, &letter, why.message);
        return KOL_OK;
    }
    return take_letter(redrive, &letter, err);
}

static enum kol_status read_partition(struct redrive *redrive, struct bus_consumer *consumer,
                                      int32_t partition, int64_t from, struct kol_error *err)
{
    const struct bus_place place = {redrive->topic.name, partition, from};
    struct bus_partition extent;
    enum kol_status status =
        bus_partition_get(redrive->bus, redrive->topic.name, partition, &extent, err);
    status = status == KOL_OK ? bus_assign(consumer, &place, 1, err) : status;
    for (int64_t next = from; status == KOL_OK && next < extent.end && redrive->left > 0;) {
        struct bus_batch batch;
        if (signals_stop_asked()) {
            return kol_fail(err, KOL_INTERRUPTED, "stopped; the next run goes on from here");
        }
        status = bus_poll(consumer, 0, POLL_BYTES, 1000, &batch, err);
        for (size_t i = 0; i < batch.count && status == KOL_OK && redrive->left > 0; i++) {
            next = batch.records[i].offset + 1;
            status = next <= extent.end ? take_record(redrive, &batch.records[i], err) : KOL_OK;
        }
        if (batch.count == 0) {
            break; /* retention took the rest while it was looked at */
        }
    }
    return status;
}

static enum kol_status read_log(struct redrive *redrive, struct kol_error *err)
{
    const int64_t only = flag_int(redrive->call, "partition");
    const char *text = flag_text(redrive->call, "from");
    struct bus_consumer *consumer;
    int64_t from = 0;
    if (text && (!str_to_int64(str_of(text), &from) || from < 0)) {
        return kol_fail(err, KOL_USAGE, "--from %s: expected an offset of %s", text,
                        redrive->topic.name);
    }
    enum kol_status status =
        bus_consumer_open(redrive->bus, &(struct bus_consumer_options){0}, &consumer, err);
    if (status != KOL_OK) {
        return status;
    }
    for (int32_t p = 0; p < redrive->topic.partitions && status == KOL_OK; p++) {
        if (only < 0 || only == p) {
            status = read_partition(redrive, consumer, p, from, err);
        }
    }
    bus_consumer_close(&consumer);
    return status;
}

/* ---- letters of a file ---- */

/* Reads "PARTITION:OFFSET" of the key `place`; false with the reason where it is no letter's. */
static bool read_place(const struct redrive *redrive, struct str json, struct letter *letter,
                       struct kol_error *why)
{
    json_t *root = json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    const char *text = json_string_value(json_object_get(root, "place"));
    struct str rest = str_of(text), partition = str_cut(&rest, ':');
    struct bus_partition extent;
    int64_t number = -1;
    bool good = text && str_to_int64(partition, &number) && number >= 0 &&
                number < redrive->topic.partitions && str_to_int64(rest, &letter->offset) &&
                letter->offset >= 0;
    json_decref(root);
    if (!good) {
        kol_fail(why, KOL_INVALID,
                 "place: expected PARTITION:OFFSET, as `kol log redrive --list` gives it");
        return false;
    }
    letter->partition = (int32_t)number;
    if (bus_partition_get(redrive->bus, redrive->topic.name, letter->partition, &extent, why) !=
        KOL_OK) {
        return false;
    }
    if (letter->offset >= extent.end) {
        kol_fail(why, KOL_INVALID, "place: %s holds no such letter", redrive->topic.name);
        return false;
    }
    return true;
}

static enum kol_status take_line(struct redrive *redrive, const struct line *line,
                                 struct kol_error *err)
{
    struct letter letter = {.line = line->number};
    struct kol_error why;
    arena_reset(&redrive->arena);
    if (line->too_long) {
        kol_fail(&why, KOL_INVALID, "longer than a dead letter can be");
    } else if (dead_letter_decode(str_trim(line->text), &redrive->arena, &letter.dead, &why) ==
                   KOL_OK &&
               read_place(redrive, line->text, &letter, &why)) {
        return take_letter(redrive, &letter, err);
    }
    redrive->tried++;
    redrive->dead++;
    show_reason(redrive, &letter, why.message);
    return KOL_OK;
}

static enum kol_status take_next(void *user, const struct line *line, struct kol_error *err)
{
    struct redrive *redrive = user;
    enum kol_status status = take_line(redrive, line, err);
    return status == KOL_OK && redrive->left <= 0 ? KOL_END : status;
}

static enum kol_status read_file(struct redrive *redrive, const char *path, struct kol_error *err)
{
    const struct each_line how = {.path = path,
                                  .max_bytes = MAX_LINE,
                                  .stopped = "stopped; give the same file again",
                                  .take = take_next,
                                  .user = redrive};
    return each_line(&how, err);
}

/* ---- the run ---- */

static enum kol_status report(const struct redrive *redrive, struct kol_error *err)
{
    static const char *const names[] = {"letters", "sent", "dead", "sent_before"};
    if (redrive->shown > SHOWN_REASONS) {
        fprintf(stderr, "and %lld more that are still dead\n",
                (long long)(redrive->shown - SHOWN_REASONS));
    }
    if (redrive->list) {
        return fflush(stdout) == 0 ? KOL_OK : kol_fail(err, KOL_IO, "stdout could not take it all");
    }
    struct rows *rows = rows_begin(stdout, redrive->call->format, names, ARRAY_LEN(names));
    rows_int(rows, redrive->tried);
    rows_int(rows, redrive->sent);
    rows_int(rows, redrive->dead);
    rows_int(rows, redrive->before);
    return rows_end(&rows, err);
}

static enum kol_status run_redrive(struct redrive *redrive, struct kol_error *err)
{
    const struct invocation *call = redrive->call;
    const struct bus_producer_options options = {.transactional_id = "redrive"};
    const bool writes = !redrive->list && !redrive->dry_run;
    struct kol_error later;
    enum kol_status status = KOL_OK;
    if (writes) {
        status = bus_producer_open(redrive->bus, &options, &redrive->producer, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    submit_init(&redrive->submit, redrive->producer);
    status = call->arg_count == 2 ? read_file(redrive, call->args[1], err) : read_log(redrive, err);
    /* What was taken before a stop is made durable still. */
    enum kol_status last = writes ? commit(redrive, &later) : KOL_OK;
    if (status == KOL_OK && last != KOL_OK) {
        status = kol_fail(err, last, "%s", later.message);
    }
    last = report(redrive, &later);
    if (status == KOL_OK && last != KOL_OK) {
        status = kol_fail(err, last, "%s", later.message);
    }
    submit_free(&redrive->submit);
    if (redrive->producer) {
        bus_producer_close(&redrive->producer);
    }
    return status;
}

enum kol_status log_redrive(const struct invocation *call, struct kol_error *err)
{
    struct redrive redrive = {
        .call = call,
        .list = flag_bool(call, "list"),
        .dry_run = flag_bool(call, "dry-run"),
        .reason = flag_text(call, "reason"),
        .left = flag_given(call, "limit") ? flag_int(call, "limit") : INT64_MAX,
    };
    if (redrive.list && call->arg_count == 2) {
        return kol_fail(err, KOL_USAGE, "--list shows what is in %s; it takes no file",
                        topic_name(TOPIC_DEAD));
    }
    enum kol_status status =
        command_open_bus(call, redrive.list || redrive.dry_run, &redrive.bus, err);
    if (status != KOL_OK) {
        return status;
    }
    arena_init(&redrive.arena, 0);
    status = bus_topic_get(redrive.bus, topic_name(TOPIC_DEAD), &redrive.topic, err);
    if (status == KOL_NOT_FOUND) {
        fprintf(stderr, "nothing has come to %s yet\n", topic_name(TOPIC_DEAD));
        status = KOL_OK;
    } else if (status == KOL_OK) {
        status = run_redrive(&redrive, err);
    }
    arena_free(&redrive.arena);
    free(redrive.stretches);
    bus_close(&redrive.bus);
    return status;
}
