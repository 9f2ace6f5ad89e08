/*
 * ingest_rows.c: which records of a read are good events, in the order of the table.
 *
 * The records themselves stay where the log has them; an event is decoded twice, once to know that
 * it is good and where it belongs, once on its way into a file. That is cheaper than to keep it or
 * to sort its columns.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "domain/decode.h"
#include "lake/ingest_parts.h"

void ingest_rows_add(struct ingest_rows *rows, const struct event *event,
                     const struct bus_record *record)
{
    if (rows->count == rows->cap) {
        rows->cap = rows->cap ? rows->cap + rows->cap / 2 : 4096;
        rows->rows = mem_realloc(rows->rows, rows->cap * sizeof *rows->rows);
    }
    rows->rows[rows->count++] = (struct ingest_row){event->event_time, record};
}

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

void ingest_rows_sort(struct ingest_rows *rows)
{
    if (rows->count) {
        qsort(rows->rows, rows->count, sizeof *rows->rows, compare_rows);
    }
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
