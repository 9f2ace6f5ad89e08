/* submit.c: raw lines and typed events -> records of the log or dead letters. */
#include "import/submit.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "domain/decode.h"
#include "domain/encode.h"

void submit_init(struct submit *submit, struct bus_producer *producer)
{
    memset(submit, 0, sizeof *submit);
    submit->producer = producer;
    submit->partition = -1;
    arena_init(&submit->arena, 0);
}

void submit_free(struct submit *submit)
{
    arena_free(&submit->arena);
    buf_free(&submit->value);
    buf_free(&submit->key);
    buf_free(&submit->scratch);
}

static bool is_inside(struct str text, struct str whole)
{
    return text.ptr >= whole.ptr && text.ptr < whole.ptr + whole.len;
}

/* Whether the decoder made the event's id, because `line` holds none. An id with escapes lies in
 * the arena like a made one; only its text tells them apart. */
static bool id_was_made(struct submit *submit, struct str line, const struct event *event)
{
    if (is_inside(event->event_id, line)) {
        return false;
    }
    if (!memmem(line.ptr, line.len, "event_id", 8) && !memchr(line.ptr, '\\', line.len)) {
        return true;
    }
    buf_clear(&submit->value);
    event_put_content_id(&submit->value, event, &submit->scratch);
    return str_equal(event->event_id, buf_str(&submit->value));
}

/* The line with its new id: in front where people look for it, but behind an "event_id" that is
 * there (and null), because of one key given twice the last one counts. */
static struct str splice_id(struct submit *submit, struct str line, struct str id)
{
    struct buf *out = &submit->value;
    buf_clear(out);
    buf_reserve(out, line.len + id.len + 20);
    /* A backslash may spell the name another way. */
    if (memmem(line.ptr, line.len, "event_id", 8) || memchr(line.ptr, '\\', line.len)) {
        buf_append(out, line.ptr, line.len - 1);
        buf_puts(out, ",\"event_id\":\"");
        buf_put(out, id);
        buf_puts(out, "\"}");
    } else {
        buf_puts(out, "{\"event_id\":\"");
        buf_put(out, id);
        buf_puts(out, "\",");
        buf_append(out, line.ptr + 1, line.len - 1);
    }
    return buf_str(out);
}

static enum kol_status produce_event(struct submit *submit, const struct event *event,
                                     struct str value, struct kol_error *err)
{
    enum topic topic = event_type_topic(event->type);
    buf_clear(&submit->key);
    event_put_key(&submit->key, event);
    enum kol_status status = bus_produce(submit->producer, topic_name(topic), submit->partition,
                                         buf_str(&submit->key), value, event->event_time, err);
    if (status == KOL_OK) {
        submit->accepted[topic]++;
        submit->accepted_total++;
    }
    return status;
}

enum kol_status submit_json(struct submit *submit, struct str line, const enum topic *only_topic,
                            struct submit_place place, struct kol_error *err)
{
    struct event event;
    struct kol_error why;
    struct str json = str_trim(line);
    arena_reset(&submit->arena);
    if (event_decode(json, clock_now_us(), &submit->arena, &event, &why) != KOL_OK) {
        return submit_dead(submit, only_topic, line, str_of(why.message), place, err);
    }
    if (only_topic && event_type_topic(event.type) != *only_topic) {
        char reason[128];
        snprintf(reason, sizeof reason, "event_type: %s belongs to %s, not to %s",
                 event_type_name(event.type), topic_name(event_type_topic(event.type)),
                 topic_name(*only_topic));
        return submit_dead(submit, only_topic, line, str_of(reason), place, err);
    }
    submit->bytes += (int64_t)line.len;
    if (id_was_made(submit, json, &event)) {
        json = splice_id(submit, json, event.event_id);
    }
    return produce_event(submit, &event, json, err);
}

enum kol_status submit_event(struct submit *submit, const struct event *event,
                             struct kol_error *err)
{
    buf_clear(&submit->value);
    event_encode(&submit->value, event);
    submit->bytes += (int64_t)submit->value.len;
    return produce_event(submit, event, buf_str(&submit->value), err);
}

static void count_reason(struct submit *submit, struct str reason, struct submit_place place)
{
    const char *text = submit->last_reason;
    snprintf(submit->last_reason, sizeof submit->last_reason, "%.*s", STR_FORMAT(reason));
    for (size_t i = 0; i < submit->reason_count; i++) {
        if (strcmp(submit->reasons[i].text, text) == 0) {
            submit->reasons[i].count++;
            return;
        }
    }
    if (submit->reason_count == SUBMIT_REASONS) {
        submit->other_reasons++;
        return;
    }
    struct submit_reason *row = &submit->reasons[submit->reason_count++];
    memcpy(row->text, text, sizeof row->text);
    row->count = 1;
    snprintf(row->file, sizeof row->file, "%s", place.file ? place.file : "");
    row->line = place.line;
}

enum kol_status submit_dead(struct submit *submit, const enum topic *topic, struct str bytes,
                            struct str reason, struct submit_place place, struct kol_error *err)
{
    const struct dead_letter dead = {
        .topic = topic ? str_of(topic_name(*topic)) : (struct str){NULL, 0},
        .partition = -1,
        .offset = -1,
        .file = str_of(place.file),
        .line = place.line,
        .reason = reason,
        .bytes = bytes,
        .time_us = clock_now_us(),
    };
    buf_clear(&submit->value);
    dead_letter_encode(&submit->value, &dead);
    enum kol_status status =
        bus_produce(submit->producer, topic_name(TOPIC_DEAD), -1, (struct str){NULL, 0},
                    buf_str(&submit->value), dead.time_us, err);
    if (status == KOL_OK) {
        submit->bytes += (int64_t)bytes.len;
        submit->dead_total++;
        submit->dead[topic ? *topic : TOPIC_COUNT]++;
        count_reason(submit, reason, place);
    }
    return status;
}

static void report(enum metric metric, const char *label, int64_t now, int64_t *before)
{
    if (now > *before) {
        metrics_add(metric, label, now - *before);
        *before = now;
    }
}

enum kol_status submit_flush(struct submit *submit, struct kol_error *err)
{
    enum kol_status status = bus_flush(submit->producer, err);
    for (int i = 0; status == KOL_OK && i <= TOPIC_COUNT; i++) {
        const char *label = i < TOPIC_COUNT ? topic_name((enum topic)i) : "unknown";
        if (i < TOPIC_COUNT) {
            report(METRIC_EVENTS_ACCEPTED, label, submit->accepted[i], &submit->reported[i]);
        }
        report(METRIC_EVENTS_DEAD, label, submit->dead[i], &submit->dead_reported[i]);
    }
    return status;
}
