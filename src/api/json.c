/*
 * json.c: JSON written by hand into a buffer: commas come by themselves. The same calls make the
 * fields of a hash of an object: its members then stand one behind the other without what JSON has
 * around them, and it is noted where each begins.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/parts.h"
#include "base/clock.h"
#include "base/text.h"

static void separate(struct json *json)
{
    if (json->comma) {
        buf_putc(json->out, ',');
    }
    json->comma = true;
}

/* Whether what comes next is a field of its own, not a part of the JSON of one. */
static bool is_bare(const struct json *json)
{
    return json->fields && json->fields->depth <= 1;
}

void js_open(struct json *json, char bracket)
{
    if (json->fields && json->fields->depth++ == 0) {
        return;
    }
    separate(json);
    buf_putc(json->out, bracket);
    json->comma = false;
}

void js_close(struct json *json, char bracket)
{
    if (json->fields && --json->fields->depth == 0) {
        return;
    }
    buf_putc(json->out, bracket);
    json->comma = true;
}

static void begin_field(struct json *json, const char *name)
{
    struct json_fields *fields = json->fields;
    KOL_ASSERT(fields->count < ARRAY_LEN(fields->at));
    fields->at[fields->count].name = json->out->len;
    buf_puts(json->out, name);
    fields->at[fields->count++].value = json->out->len;
    json->comma = false;
}

void js_name(struct json *json, const char *name)
{
    if (is_bare(json)) {
        begin_field(json, name);
        return;
    }
    const size_t len = strlen(name);
    buf_reserve(json->out, len + 4);
    char *at = json->out->ptr + json->out->len;
    if (json->comma) {
        *at++ = ',';
    }
    *at++ = '"';
    memcpy(at, name, len); /* a name of the program's own: nothing in it needs an escape */
    memcpy(at + len, "\":", 2);
    json->out->len = (size_t)(at + len + 2 - json->out->ptr);
    json->out->ptr[json->out->len] = '\0';
    json->comma = false;
}

void js_text(struct json *json, struct str text)
{
    if (is_bare(json)) {
        buf_put(json->out, text);
        return;
    }
    separate(json);
    text_put_json(json->out, text);
}

void js_int(struct json *json, int64_t value)
{
    separate(json);
    buf_put_int64(json->out, value);
}

void js_real(struct json *json, double value)
{
    if (!isfinite(value)) {
        js_null(json);
        return;
    }
    separate(json);
    buf_put_double(json->out, value);
}

void js_score(struct json *json, double value)
{
    js_real(json, isfinite(value) ? score_round(value) : value);
}

void js_bool(struct json *json, bool value)
{
    separate(json);
    buf_put(json->out, value ? STR("true") : STR("false"));
}

/* Around what is a text without escapes. */
static void quote(struct json *json)
{
    if (!is_bare(json)) {
        buf_putc(json->out, '"');
    }
}

void js_time(struct json *json, int64_t time_us)
{
    separate(json);
    quote(json);
    clock_format(json->out, time_us);
    quote(json);
}

void js_day(struct json *json, int64_t days)
{
    enum { DAY_BYTES = 10 };
    separate(json);
    quote(json);
    const size_t at = json->out->len;
    clock_format(json->out, days * CLOCK_US_PER_DAY);
    json->out->len = at + DAY_BYTES; /* without the time behind it */
    quote(json);
}

void js_null(struct json *json)
{
    if (is_bare(json)) { /* the field is not there */
        json->out->len = json->fields->at[--json->fields->count].name;
        return;
    }
    separate(json);
    buf_put(json->out, STR("null"));
}

void js_raw(struct json *json, struct str text)
{
    KOL_ASSERT(!is_bare(json)); /* as a field a text would have to lose its quotes */
    separate(json);
    buf_put(json->out, text);
}

void js_texts(struct json *json, const struct str *texts, size_t count)
{
    js_open(json, '[');
    for (size_t i = 0; i < count; i++) {
        js_text(json, texts[i]);
    }
    js_close(json, ']');
}

void js_member_text(struct json *json, const char *name, struct str text)
{
    js_name(json, name);
    js_text(json, text);
}

void js_member_bool(struct json *json, const char *name, bool value)
{
    js_name(json, name);
    js_bool(json, value);
}

void js_member_real(struct json *json, const char *name, double value)
{
    js_name(json, name);
    js_real(json, value);
}

void js_member_time(struct json *json, const char *name, int64_t time_us)
{
    js_name(json, name);
    if (time_us) {
        js_time(json, time_us);
    } else {
        js_null(json);
    }
}

void js_member_int(struct json *json, const char *name, int64_t value)
{
    js_name(json, name);
    js_int(json, value);
}

/* ---- fields of a hash ---- */

void js_fields_begin(struct json *json, struct json_fields *fields, struct buf *out)
{
    KOL_ASSERT(out->len == 0);
    fields->depth = 0;
    fields->count = 0;
    *json = (struct json){.out = out, .fields = fields};
}

void js_fields_end(const struct json *json, struct arena *arena, struct serve_field **out,
                   size_t *count)
{
    const struct json_fields *fields = json->fields;
    const struct str text = arena_copy(arena, buf_str(json->out));
    *out = arena_alloc(arena, (fields->count + 1) * sizeof **out);
    *count = fields->count;
    for (size_t i = 0; i < fields->count; i++) {
        const size_t name = fields->at[i].name, value = fields->at[i].value;
        const size_t end = i + 1 < fields->count ? fields->at[i + 1].name : text.len;
        (*out)[i] =
            (struct serve_field){{text.ptr + name, value - name}, {text.ptr + value, end - value}};
    }
}

/* ---- cells of records ---- */

static bool put_number(struct json *json, const struct online_record *record, int column,
                       enum http_kind kind)
{
    int64_t value;
    if (!online_int(record, column, &value)) {
        return false;
    }
    if (kind == HTTP_TIME) {
        js_time(json, value);
    } else if (kind == HTTP_DATE) {
        js_day(json, value);
    } else {
        js_int(json, value);
    }
    return true;
}

static bool put_texts(struct json *json, const struct online_record *record, int column)
{
    enum { MAX_TEXTS = 1000 }; /* more are not shown */
    struct str few[32], *texts = few;
    int64_t count = online_texts(record, column, few, ARRAY_LEN(few));
    if (count < 0) {
        return false;
    }
    size_t shown = (size_t)count < MAX_TEXTS ? (size_t)count : MAX_TEXTS;
    if (shown > ARRAY_LEN(few)) {
        texts = mem_alloc(shown * sizeof *texts);
        online_texts(record, column, texts, shown);
    }
    js_texts(json, texts, shown);
    if (texts != few) {
        free(texts);
    }
    return true;
}

static bool put_cell(struct json *json, const struct online_record *record, int column,
                     enum http_kind kind)
{
    bool flag;
    double real;
    struct str text;
    switch (kind) {
    case HTTP_BOOL: return online_bool(record, column, &flag) && (js_bool(json, flag), true);
    case HTTP_INT:
    case HTTP_DATE:
    case HTTP_TIME: return put_number(json, record, column, kind);
    case HTTP_REAL: return online_real(record, column, &real) && (js_real(json, real), true);
    case HTTP_WORDS: return put_texts(json, record, column);
    default: return online_text(record, column, &text) && (js_text(json, text), true);
    }
}

void js_member_cell(struct json *json, const char *name, const struct online_record *record,
                    int column, enum http_kind kind)
{
    js_name(json, name);
    if (!put_cell(json, record, column, kind)) {
        js_null(json);
    }
}

void js_member_score(struct json *json, const char *name, const struct online_record *record,
                     int column)
{
    double value;
    js_name(json, name);
    js_score(json, online_real(record, column, &value) ? value : NAN);
}
