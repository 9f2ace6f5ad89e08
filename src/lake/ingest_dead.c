/*
 * ingest_dead.c: records of the log that are no event go to kol.dead, once.
 *
 * They are sent before the table's place moves behind them, so that a crash in between finds them
 * again; the mark, written in the transaction that sends them, then says that they are sent.
 * Opening the transactional producer fences that of any other process: between the look at the mark
 * and the commit nobody else sends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "domain/encode.h"
#include "lake/ingest_parts.h"

enum { MAX_BYTES = 1 << 20 /* of a record inside a dead letter; longer ones are cut */ };

void ingest_dead_init(struct ingest_dead *dead, struct bus *bus, enum topic topic)
{
    *dead = (struct ingest_dead){.bus = bus, .topic = topic};
}

void ingest_dead_free(struct ingest_dead *dead)
{
    free(dead->letters);
    buf_free(&dead->texts);
    *dead = (struct ingest_dead){0};
}

void ingest_dead_clear(struct ingest_dead *dead)
{
    dead->count = 0;
    buf_clear(&dead->texts);
}

void ingest_dead_add(struct ingest_dead *dead, const struct bus_record *record, const char *reason,
                     int64_t now_us)
{
    char text[640];
    const bool cut = record->value.len > MAX_BYTES;
    snprintf(text, sizeof text, "%s%s", reason, cut ? "; only its front is kept" : "");
    const struct dead_letter letter = {
        .topic = str_of(record->topic),
        .partition = record->partition,
        .offset = record->offset,
        .reason = str_of(text),
        .bytes = {record->value.ptr, cut ? MAX_BYTES : record->value.len},
        .time_us = now_us,
    };
    if (dead->count == dead->cap) {
        dead->cap = dead->cap ? dead->cap * 2 : 16;
        dead->letters = mem_realloc(dead->letters, dead->cap * sizeof *dead->letters);
    }
    const size_t start = dead->texts.len;
    dead_letter_encode(&dead->texts, &letter);
    dead->letters[dead->count++] =
        (struct ingest_letter){record->partition, record->offset, start, dead->texts.len - start};
}

/* How far dead letters of the topic are sent. */
static enum kol_status read_mark(const struct ingest_dead *dead, const char *name,
                                 struct ingest_offsets *sent, struct kol_error *err)
{
    struct buf json = {0};
    enum kol_status status = bus_mark_get(dead->bus, name, &json, err);
    if (status == KOL_OK) {
        status = ingest_offsets_read(json.ptr, topic_name(dead->topic), sent, err);
    } else if (status == KOL_NOT_FOUND) {
        status = KOL_OK;
    }
    buf_free(&json);
    return status;
}

/* Puts those above the mark into the transaction and moves the mark behind them. */
static enum kol_status fill_transaction(const struct ingest_dead *dead,
                                        struct bus_producer *producer, const char *name,
                                        struct ingest_offsets *sent, int64_t *produced,
                                        struct kol_error *err)
{
    const struct str no_key = {NULL, 0};
    const int64_t now_us = clock_now_us();
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < dead->count && status == KOL_OK; i++) {
        const struct ingest_letter *letter = &dead->letters[i];
        if (letter->offset >= ingest_offsets_get(sent, letter->partition)) {
            const struct str text = {dead->texts.ptr + letter->start, letter->len};
            status = bus_produce(producer, topic_name(TOPIC_DEAD), -1, no_key, text, now_us, err);
            ingest_offsets_set(sent, letter->partition, letter->offset + 1);
            ++*produced;
        }
    }
    if (status == KOL_OK) {
        struct buf json = {0};
        ingest_offsets_write(NULL, topic_name(dead->topic), sent, &json);
        status = bus_txn_mark(producer, name, buf_str(&json), err);
        buf_free(&json);
    }
    return status;
}

static enum kol_status send_once(const struct ingest_dead *dead, struct kol_error *err)
{
    struct bus_producer *producer;
    struct ingest_offsets sent = {0};
    int64_t produced = 0;
    char name[BUS_MAX_NAME + 1];
    snprintf(name, sizeof name, "ingest.dead.%s", topic_name(dead->topic));
    const struct bus_producer_options options = {.transactional_id = name};
    enum kol_status status = bus_producer_open(dead->bus, &options, &producer, err);
    if (status != KOL_OK) {
        return status;
    }
    status = read_mark(dead, name, &sent, err);
    if (status == KOL_OK) {
        status = fill_transaction(dead, producer, name, &sent, &produced, err);
    }
    if (status == KOL_OK) {
        status = bus_txn_commit(producer, err);
    }
    if (status == KOL_OK && produced) {
        metrics_add(METRIC_EVENTS_DEAD, topic_name(dead->topic), produced);
    }
    ingest_offsets_free(&sent);
    bus_producer_close(&producer);
    return status;
}

enum kol_status ingest_dead_send(struct ingest_dead *dead, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    if (dead->count == 0) {
        return KOL_OK;
    }
    do {
        status = send_once(dead, err);
    } while (status == KOL_FENCED && !signals_stop_asked());
    if (status == KOL_OK) {
        ingest_dead_clear(dead);
        FAILPOINT("ingest.dead");
    }
    return status;
}
