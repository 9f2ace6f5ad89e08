/* dead_letter.c: rejects as records of kol.dead, both ways. The contract is in encode.h. */
#include <pthread.h>

#include "base/clock.h"
#include "base/text.h"
#include "domain/encode.h"
#include "domain/json_scan.h"

enum dead_key {
    DEAD_TOPIC,
    DEAD_PARTITION,
    DEAD_OFFSET,
    DEAD_FILE,
    DEAD_LINE,
    DEAD_REASON,
    DEAD_TIME,
    DEAD_BYTES,
    DEAD_BYTES_BASE64,
    DEAD_KEY_COUNT
};

static const char *const dead_keys[DEAD_KEY_COUNT] = {
    "topic", "partition", "offset", "file", "line", "reason", "time", "bytes", "bytes_base64",
};

static struct json_names dead_names;
static pthread_once_t dead_names_once = PTHREAD_ONCE_INIT;

static void make_dead_names(void)
{
    for (int i = 0; i < DEAD_KEY_COUNT; i++) {
        json_names_add(&dead_names, str_of(dead_keys[i]));
    }
    json_names_seal(&dead_names);
}

/* Puts `,"key":`; the first one opens the object instead of the comma. */
static void put_key(struct buf *out, size_t start, enum dead_key key)
{
    buf_putc(out, out->len == start ? '{' : ',');
    text_put_json(out, str_of(dead_keys[key]));
    buf_putc(out, ':');
}

/* File names and reasons may hold any bytes; those that are no UTF-8 become U+FFFD. */
static void put_any_text(struct buf *out, struct str text)
{
    struct buf clean = {0};
    for (size_t i = 0, len; i < text.len; i += len) {
        struct str rest = {text.ptr + i, text.len - i};
        for (len = 1; len < 4 && len < rest.len && !text_is_utf8((struct str){rest.ptr, len});) {
            len++;
        }
        if (text_is_utf8((struct str){rest.ptr, len})) {
            buf_append(&clean, rest.ptr, len);
        } else {
            len = 1;
            buf_puts(&clean, "\xEF\xBF\xBD");
        }
    }
    text_put_json(out, buf_str(&clean));
    buf_free(&clean);
}

static void put_text_member(struct buf *out, size_t start, enum dead_key key, struct str text)
{
    put_key(out, start, key);
    if (text_is_utf8(text)) {
        text_put_json(out, text);
    } else {
        put_any_text(out, text);
    }
}

static void put_bytes(struct buf *out, size_t start, struct str bytes)
{
    if (text_is_utf8(bytes)) {
        put_key(out, start, DEAD_BYTES);
        text_put_json(out, bytes);
        return;
    }
    put_key(out, start, DEAD_BYTES_BASE64);
    buf_putc(out, '"');
    text_put_base64(out, bytes);
    buf_putc(out, '"');
}

void dead_letter_encode(struct buf *out, const struct dead_letter *dead)
{
    size_t start = out->len;
    if (dead->topic.len) {
        put_text_member(out, start, DEAD_TOPIC, dead->topic);
    }
    if (dead->partition >= 0) {
        put_key(out, start, DEAD_PARTITION);
        buf_put_int64(out, dead->partition);
    }
    if (dead->offset >= 0) {
        put_key(out, start, DEAD_OFFSET);
        buf_put_int64(out, dead->offset);
    }
    if (dead->file.len) {
        put_text_member(out, start, DEAD_FILE, dead->file);
        put_key(out, start, DEAD_LINE);
        buf_put_int64(out, dead->line);
    }
    put_text_member(out, start, DEAD_REASON, dead->reason);
    put_key(out, start, DEAD_TIME);
    buf_putc(out, '"');
    clock_format(out, dead->time_us);
    buf_putc(out, '"');
    put_bytes(out, start, dead->bytes);
    buf_putc(out, '}');
}

/* One record being read: what was found, and the reason of the first thing that is wrong. */
struct dead_reader {
    const struct json_object *object;
    struct arena *arena;
    enum kol_status status;
    struct kol_error *err;
};

static void refuse(struct dead_reader *reader, enum dead_key key, const char *what)
{
    if (reader->status == KOL_OK) {
        reader->status = kol_fail(reader->err, KOL_INVALID, "%s: %s", dead_keys[key], what);
    }
}

static struct str read_text(struct dead_reader *reader, enum dead_key key)
{
    const struct json_token *token = &reader->object->tokens[key];
    if (!json_given(reader->object, key)) {
        return (struct str){NULL, 0};
    }
    if (token->kind != TOKEN_STRING) {
        refuse(reader, key, "expected a string");
        return (struct str){NULL, 0};
    }
    return json_text(token, reader->arena);
}

static int64_t read_number(struct dead_reader *reader, enum dead_key key, int64_t max,
                           int64_t absent)
{
    const struct json_token *token = &reader->object->tokens[key];
    int64_t value;
    if (!json_given(reader->object, key)) {
        return absent;
    }
    if (token->kind != TOKEN_INTEGER ||
        !str_to_int64((struct str){token->ptr, token->len}, &value) || value < 0 || value > max) {
        refuse(reader, key, "expected an integer, 0 or more");
        return absent;
    }
    return value;
}

static int64_t read_time(struct dead_reader *reader)
{
    int64_t time_us = 0;
    if (!clock_parse(read_text(reader, DEAD_TIME), &time_us)) {
        refuse(reader, DEAD_TIME, "missing, or no time of RFC 3339");
    }
    return time_us;
}

static struct str read_bytes(struct dead_reader *reader)
{
    struct buf bytes = {0};
    if (json_given(reader->object, DEAD_BYTES)) {
        return read_text(reader, DEAD_BYTES);
    }
    if (!json_given(reader->object, DEAD_BYTES_BASE64)) {
        refuse(reader, DEAD_BYTES, "missing");
    } else if (!text_put_unbase64(&bytes, read_text(reader, DEAD_BYTES_BASE64))) {
        refuse(reader, DEAD_BYTES_BASE64, "no base64");
    }
    struct str copy = arena_copy(reader->arena, buf_str(&bytes));
    buf_free(&bytes);
    return copy;
}

enum kol_status dead_letter_decode(struct str json, struct arena *arena, struct dead_letter *out,
                                   struct kol_error *err)
{
    enum { MAX_DEPTH = 32 };
    struct json_object object;
    pthread_once(&dead_names_once, make_dead_names);
    enum kol_status status = json_scan_object(json, &dead_names, MAX_DEPTH, &object, err);
    if (status != KOL_OK) {
        return status;
    }
    struct dead_reader reader = {&object, arena, KOL_OK, err};
    out->topic = read_text(&reader, DEAD_TOPIC);
    out->partition = (int32_t)read_number(&reader, DEAD_PARTITION, INT32_MAX, -1);
    out->offset = read_number(&reader, DEAD_OFFSET, INT64_MAX, -1);
    out->file = read_text(&reader, DEAD_FILE);
    out->line = read_number(&reader, DEAD_LINE, INT64_MAX, 0);
    out->reason = read_text(&reader, DEAD_REASON);
    out->time_us = read_time(&reader);
    out->bytes = read_bytes(&reader);
    return reader.status;
}
