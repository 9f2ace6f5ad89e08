/*
 * events.c: events from outside into the log.
 *
 * They go the way of `kol log produce` (import/submit.h): each is checked, and what was sent gets
 * into the log in one commit, accepted events in their topic, others in kol.dead with the reason.
 * The answer comes behind that commit. A call that fails before may be sent again: events have ids.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/parts.h"
#include "domain/decode.h"
#include "import/submit.h"

enum {
    REASONS = 100,
    MOST_DEAD = 10000, /* a body with more is refused: a dead letter is longer than a bad line */
    CUT_BYTES = 4096,  /* how much of an event that is too long goes to kol.dead */
};

struct rejected {
    int64_t line;
    struct str reason; /* in the call's arena */
};

struct posting {
    struct http_call *call;
    enum topic topic;
    struct submit submit;
    struct rejected rejected[REASONS];
    size_t rejected_count; /* of those that are named */
};

static void note_rejected(struct posting *posting, int64_t line)
{
    if (posting->rejected_count < REASONS) {
        posting->rejected[posting->rejected_count++] = (struct rejected){
            line, arena_copy(http_call_arena(posting->call), str_of(posting->submit.last_reason))};
    }
}

static enum kol_status take_event(struct posting *posting, struct str json, int64_t line,
                                  struct kol_error *err)
{
    const struct submit_place place = {"POST", line};
    const int64_t dead = posting->submit.dead_total;
    enum kol_status status;
    if (json.len > DECODE_MAX_BYTES) {
        struct buf reason = {0};
        buf_printf(&reason, "an event of more than %d bytes; only its first %d are kept here",
                   DECODE_MAX_BYTES, CUT_BYTES);
        status = submit_dead(&posting->submit, &posting->topic, (struct str){json.ptr, CUT_BYTES},
                             buf_str(&reason), place, err);
        buf_free(&reason);
    } else {
        status = submit_json(&posting->submit, json, &posting->topic, place, err);
    }
    if (posting->submit.dead_total > dead) {
        note_rejected(posting, line);
    }
    return status;
}

/* Nothing of the body was taken then. */
static enum kol_status refuse(struct posting *posting)
{
    return http_problem(posting->call, "invalid_body",
                        "More than %d of the events are not valid, so none was taken; line %lld: "
                        "%.*s.",
                        MOST_DEAD, (long long)posting->rejected[0].line,
                        STR_FORMAT(posting->rejected[0].reason));
}

/* True where the body is one JSON value that stands on several lines. */
static bool is_one_value(struct str body)
{
    if (!body.len || body.len > DECODE_MAX_BYTES || !memchr(body.ptr, '\n', body.len)) {
        return false; /* by lines it is the same, or refused */
    }
    json_t *value = json_loadb(body.ptr, body.len, JSON_DECODE_ANY, NULL);
    const bool one = value != NULL;
    json_decref(value);
    return one;
}

/* Within a JSON text the ends of lines are blanks: in its strings they stand as escapes. */
static struct str on_one_line(struct posting *posting, struct str json)
{
    char *copy = arena_alloc(http_call_arena(posting->call), json.len);
    for (size_t i = 0; i < json.len; i++) {
        copy[i] = json.ptr[i] == '\n' || json.ptr[i] == '\r' ? ' ' : json.ptr[i];
    }
    return (struct str){copy, json.len};
}

/* Blank lines are no events. */
static enum kol_status take_body(struct posting *posting, struct str body, struct kol_error *err)
{
    static const struct str mark = {"\xef\xbb\xbf", 3};
    enum kol_status status = KOL_OK;
    struct str rest = body;
    if (str_starts(rest, mark)) {
        rest = (struct str){rest.ptr + mark.len, rest.len - mark.len};
    }
    if (is_one_value(str_trim(rest))) {
        return take_event(posting, on_one_line(posting, str_trim(rest)), 1, err);
    }
    for (int64_t line = 1; rest.len && status == KOL_OK; line++) {
        struct str text = str_trim(str_cut(&rest, '\n'));
        if (text.len) {
            status = take_event(posting, text, line, err);
        }
        if (status == KOL_OK && posting->submit.dead_total > MOST_DEAD) {
            status = refuse(posting);
        }
    }
    return status;
}

static void put_answer(const struct posting *posting, struct buf *body)
{
    const struct submit *submit = &posting->submit;
    struct json json = {.out = body};
    js_open(&json, '{');
    js_member_text(&json, "topic", str_of(topic_name(posting->topic)));
    js_member_int(&json, "accepted", submit->accepted_total);
    js_member_int(&json, "rejected", submit->dead_total);
    js_name(&json, "reasons");
    js_open(&json, '[');
    for (size_t i = 0; i < posting->rejected_count; i++) {
        js_open(&json, '{');
        js_member_int(&json, "line", posting->rejected[i].line);
        js_member_text(&json, "reason", posting->rejected[i].reason);
        js_close(&json, '}');
    }
    js_close(&json, ']');
    js_close(&json, '}');
}

static enum kol_status post(struct posting *posting, struct buf *answer, struct kol_error *err)
{
    struct bus *bus;
    struct bus_producer *producer = NULL;
    enum kol_status status = api_bus(api_of(posting->call), &bus, err);
    if (status == KOL_OK) {
        status = bus_producer_open(bus, &(struct bus_producer_options){0}, &producer, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    submit_init(&posting->submit, producer);
    status = take_body(posting, http_body(posting->call), err);
    if (status == KOL_OK && !posting->submit.accepted_total && !posting->submit.dead_total) {
        status = http_problem(posting->call, "invalid_body", "The body holds no event.");
    }
    if (status == KOL_OK) {
        status = submit_flush(&posting->submit, err);
    }
    if (status == KOL_OK) {
        put_answer(posting, answer);
    }
    submit_free(&posting->submit);
    bus_producer_close(&producer);
    return status;
}

enum kol_status api_post_events(struct http_call *call, struct kol_error *err)
{
    struct posting *posting = mem_zalloc(1, sizeof *posting);
    struct buf body = {0};
    posting->call = call;
    KOL_ASSERT(topic_find(http_text(call, api_field(call, "topic")), &posting->topic));
    enum kol_status status = post(posting, &body, err);
    free(posting);
    if (status == KOL_NO_SPACE) {
        return http_problem(call, "no_space", "The event log is full; nothing of this was taken.");
    }
    return status == KOL_OK ? api_answer(call, &body) : status;
}
