/*
 * ingest_rows.c: which records of a read are good events, in the order of the table.
 *
 * The records themselves stay where the log has them; an event is decoded twice, once to know that
 * it is good and where it belongs, once on its way into a file. That is cheaper than to keep it or
 * to sort its columns. Several threads share the first time: each decodes and sorts a part of the
 * batch, and the parts are merged.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/signals.h"
#include "domain/decode.h"
#include "lake/ingest_parts.h"

enum {
    PART_RECORDS = 8192, /* no thread begins for fewer */
    LOOK_EVERY = 4096,   /* records between two looks at the clock */
};

/* What one thread reads. */
struct part {
    const struct ingest_reading *reading;
    struct ingest_rows *rows; /* its good ones go to `good` */
    pthread_t thread;
    bool started;
    size_t first, count; /* of the batch */
    struct ingest_row *good;
    size_t good_count;
    size_t *dead; /* places in the batch */
    size_t dead_count, dead_cap;
    bool stopped;
};

/* The order that tables.c declares for bronze. */
static int compare_rows(const void *a, const void *b)
{
    const struct ingest_row *x = a, *y = b;
    if (x->event_time != y->event_time) {
        return x->event_time < y->event_time ? -1 : 1;
    }
    if (x->record->partition != y->record->partition) {
        return x->record->partition < y->record->partition ? -1 : 1;
    }
    return (x->record->offset > y->record->offset) - (x->record->offset < y->record->offset);
}

void ingest_rows_free(struct ingest_rows *rows)
{
    free(rows->rows);
    *rows = (struct ingest_rows){0};
}

bool ingest_decode(const struct bus_record *record, enum topic topic, int64_t now_us,
                   struct arena *arena, struct event *event, struct kol_error *why)
{
    if (event_decode(record->value, now_us, arena, event, why) != KOL_OK) {
        return false;
    }
    if (event_type_topic(event->type) != topic) {
        kol_fail(why, KOL_INVALID, "event_type: %s belongs to %s, not to %s",
                 event_type_name(event->type), topic_name(event_type_topic(event->type)),
                 topic_name(topic));
        return false;
    }
    return true;
}

/* ---- one thread ---- */

static void add_dead(struct part *part, size_t place)
{
    if (part->dead_count == part->dead_cap) {
        part->dead_cap = part->dead_cap ? part->dead_cap * 2 : 64;
        part->dead = mem_realloc(part->dead, part->dead_cap * sizeof *part->dead);
    }
    part->dead[part->dead_count++] = place;
}

static void *read_part(void *argument)
{
    struct part *part = argument;
    const struct ingest_reading *reading = part->reading;
    struct arena arena; /* of one event */
    arena_init(&arena, 0);
    for (size_t i = part->first; i < part->first + part->count && !part->stopped; i++) {
        const struct bus_record *record = &reading->batch->records[i];
        struct event event;
        struct kol_error why;
        arena_reset(&arena);
        if (ingest_decode(record, part->rows->topic, part->rows->now_us, &arena, &event, &why)) {
            part->good[part->good_count++] = (struct ingest_row){event.event_time, record};
        } else {
            add_dead(part, i);
        }
        if (i % LOOK_EVERY == 0) {
            part->stopped = signals_stop_asked();
            if (part->first == 0) {
                reading->looked(i * reading->threads, reading->user);
            }
        }
    }
    arena_free(&arena);
    qsort(part->good, part->good_count, sizeof *part->good, compare_rows);
    return NULL;
}

/* ---- all of them ---- */

static void run_parts(struct part *parts, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        parts[i].started = pthread_create(&parts[i].thread, NULL, read_part, &parts[i]) == 0;
    }
    read_part(&parts[0]);
    for (size_t i = 1; i < count; i++) {
        if (parts[i].started) {
            pthread_join(parts[i].thread, NULL);
        } else {
            read_part(&parts[i]); /* there was no further thread */
        }
    }
}

/* Merges the sorted parts of rows->rows. */
static void merge_rows(struct ingest_rows *rows, const struct part *parts, size_t count)
{
    size_t at[INGEST_MAX_THREADS] = {0};
    struct ingest_row *merged = mem_alloc((rows->count + 1) * sizeof *merged);
    for (size_t out = 0; out < rows->count; out++) {
        const struct ingest_row *least = NULL;
        size_t from = 0;
        for (size_t i = 0; i < count; i++) {
            const struct ingest_row *row = &parts[i].good[at[i]];
            if (at[i] < parts[i].good_count && (!least || compare_rows(row, least) < 0)) {
                least = row;
                from = i;
            }
        }
        merged[out] = *least;
        at[from]++;
    }
    free(rows->rows);
    rows->rows = merged;
}

static void collect_dead(struct ingest_dead_places *dead, struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        dead->places = mem_realloc(dead->places,
                                   (dead->count + parts[i].dead_count + 1) * sizeof *dead->places);
        if (parts[i].dead_count) {
            memcpy(dead->places + dead->count, parts[i].dead,
                   parts[i].dead_count * sizeof *dead->places);
        }
        dead->count += parts[i].dead_count;
        free(parts[i].dead);
    }
}

enum kol_status ingest_rows_read(struct ingest_rows *rows, struct ingest_reading reading,
                                 struct ingest_dead_places *dead, struct kol_error *err)
{
    struct part parts[INGEST_MAX_THREADS] = {0};
    const size_t count = reading.batch->count, most = count / PART_RECORDS + 1;
    bool stopped = false;
    reading.threads = reading.threads < most ? reading.threads : most;
    rows->rows = mem_alloc((count + 1) * sizeof *rows->rows);
    for (size_t i = 0; i < reading.threads; i++) {
        const size_t first = count * i / reading.threads;
        parts[i] = (struct part){.reading = &reading,
                                 .rows = rows,
                                 .first = first,
                                 .count = count * (i + 1) / reading.threads - first,
                                 .good = rows->rows + first};
    }
    run_parts(parts, reading.threads);
    for (size_t i = 0; i < reading.threads; i++) {
        rows->count += parts[i].good_count;
        stopped = stopped || parts[i].stopped;
    }
    if (!stopped && reading.threads > 1) {
        merge_rows(rows, parts, reading.threads);
    }
    collect_dead(dead, parts, reading.threads);
    return stopped ? kol_fail(err, KOL_INTERRUPTED, "stopped") : KOL_OK;
}
