/*
 * store.c: hashes and texts of the cache between processes, and the lock.
 *
 * What a key is read by stands in the pipe in a fixed order, so that its first place is enough to
 * find all of it again:
 *
 *     HASH    HGETALL; of a kind with an older form also the text under the key: of the two
 *             commands the one of the wrong type errs
 *     ZSET    sibling, members, sibling again, see store_set.c
 *     STRING  the text, one byte more than it may have
 */
#include "serve/store.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "serve/store_parts.h"

/* ---- what is common ---- */

/* Kinds that were a STRING of JSON once, and may still be written so. */
static bool has_older_form(enum serve_key kind)
{
    return kind == SERVE_KEY_SCORE || kind == SERVE_KEY_SCORE_ON;
}

bool store_number(const struct serve_field *fields, size_t count, const char *name, int64_t *out)
{
    const struct serve_field *field = serve_field(fields, count, name);
    *out = 0;
    if (!field) {
        return true;
    }
    /* No sign and no fraction, as the scripts read it. */
    const struct str text = field->value;
    return text.len > 0 && text.len < 17 && text.ptr[0] >= '0' && text.ptr[0] <= '9' &&
           str_to_int64(text, out) && *out <= INT64_C(1) << 53;
}

static struct str put_number(char room[STORE_NUMBER], int64_t number)
{
    KOL_ASSERT(number >= 0 && number <= INT64_C(1) << 53);
    size_t at = STORE_NUMBER;
    do {
        room[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return (struct str){room + at, STORE_NUMBER - at};
}

void store_put_head(const struct serve_write *write, struct store_head *head, struct str *argv)
{
    const int64_t ttl_ms =
        write->ttl_ms ? write->ttl_ms : serve_keys[write->kind].ttl_s * INT64_C(1000);
    KOL_ASSERT(ttl_ms > 0);
    argv[0] = put_number(head->numbers[0], ttl_ms);
    argv[1] = put_number(head->numbers[1], write->version);
    argv[2] = put_number(head->numbers[2], write->snapshot);
    argv[3] = write->force ? STR("1") : write->absent ? STR("2") : STR("0");
}

void store_make_stamp(const struct serve_write *write, struct store_stamp *stamp)
{
    struct buf time = {0};
    stamp->count = 0;
    if (write->version) {
        stamp->fields[stamp->count++] =
            (struct serve_field){STR("version"), put_number(stamp->version, write->version)};
    }
    if (write->snapshot) {
        stamp->fields[stamp->count++] =
            (struct serve_field){STR("snapshot"), put_number(stamp->snapshot, write->snapshot)};
    }
    clock_format(&time, write->now_us);
    KOL_ASSERT(time.len < sizeof stamp->cached_at);
    memcpy(stamp->cached_at, time.ptr, time.len);
    stamp->fields[stamp->count++] =
        (struct serve_field){STR("cached_at"), {stamp->cached_at, time.len}};
    buf_free(&time);
}

/* ---- reading ---- */

static size_t ask_text(struct redis_pipe *pipe, struct str key)
{
    return redis_addf(pipe, "GETRANGE %S 0 %d", key, (int64_t)SERVE_VALUE_MAX);
}

size_t serve_ask(struct redis_pipe *pipe, enum serve_key kind, struct str key)
{
    const enum serve_type type = serve_keys[kind].type;
    KOL_ASSERT(type != SERVE_LIST);
    if (type == SERVE_ZSET) {
        return store_ask_set(pipe, key);
    }
    if (type == SERVE_STRING) {
        return ask_text(pipe, key);
    }
    const size_t place = redis_addf(pipe, "HGETALL %S", key);
    if (has_older_form(kind)) {
        ask_text(pipe, key);
    }
    return place;
}

/* Copies a text to `*at`, which moves behind it. */
static struct str copy_to(char **at, struct str text)
{
    const struct str copy = {*at, text.len};
    if (text.len) {
        memcpy(*at, text.ptr, text.len);
    }
    *at += text.len;
    return copy;
}

/* The fields of an answer to HGETALL. */
static enum serve_held take_fields(const struct redis_answer *answer, struct arena *arena,
                                   struct serve_hash *out)
{
    if (answer->kind != REDIS_LIST || answer->count % 2 || answer->count / 2 > SERVE_FIELDS_MAX) {
        return SERVE_GARBAGE;
    }
    out->count = answer->count / 2;
    out->fields = arena_alloc(arena, out->count * sizeof *out->fields);
    size_t bytes = 0;
    for (size_t i = 0; i < answer->count; i++) {
        const struct redis_answer *item = &answer->items[i];
        if (item->kind != REDIS_TEXT || item->text.len > SERVE_VALUE_MAX) {
            return SERVE_GARBAGE;
        }
        bytes += item->text.len;
    }
    char *at = arena_alloc(arena, bytes);
    for (size_t i = 0; i < out->count; i++) {
        out->fields[i].name = copy_to(&at, answer->items[2 * i].text);
        out->fields[i].value = copy_to(&at, answer->items[2 * i + 1].text);
    }
    return out->count ? SERVE_HELD : SERVE_ABSENT;
}

/* A text that is there. */
static enum serve_held hold_text(const struct redis_answer *answer)
{
    if (answer->kind != REDIS_TEXT || answer->text.len > SERVE_VALUE_MAX) {
        return SERVE_GARBAGE;
    }
    return answer->text.len ? SERVE_HELD : SERVE_ABSENT;
}

/* The older form of a score. Its label and its risk follow from the score, by bounds that have
 * changed since: they are left out. */
static enum serve_held take_older(const struct redis_answer *answer, struct arena *arena,
                                  struct serve_hash *out)
{
    const enum serve_held held = hold_text(answer);
    if (held != SERVE_HELD) {
        return held;
    }
    size_t count, kept = 0;
    const struct str json = arena_copy(arena, answer->text);
    if (serve_to_fields(json, arena, &out->fields, &count, NULL) != KOL_OK) {
        return SERVE_GARBAGE;
    }
    for (size_t i = 0; i < count; i++) {
        if (!str_is(out->fields[i].name, "trust_label") &&
            !str_is(out->fields[i].name, "risk_level")) {
            out->fields[kept++] = out->fields[i];
        }
    }
    out->count = kept;
    out->older_form = true;
    return kept ? SERVE_HELD : SERVE_GARBAGE;
}

enum serve_held serve_take_hash(const struct redis_pipe *pipe, size_t place, enum serve_key kind,
                                struct arena *arena, struct serve_hash *out)
{
    const struct redis_answer *answer = redis_answer(pipe, place);
    *out = (struct serve_hash){0};
    enum serve_held held = SERVE_GARBAGE;
    if (has_older_form(kind) && redis_is_error(answer, "WRONGTYPE")) {
        held = take_older(redis_answer(pipe, place + 1), arena, out);
    } else {
        held = take_fields(answer, arena, out);
    }
    /* The `version` of the metadata is that of the program. */
    if (held == SERVE_HELD && kind != SERVE_KEY_METADATA &&
        (!store_number(out->fields, out->count, "version", &out->version) ||
         !store_number(out->fields, out->count, "snapshot", &out->snapshot))) {
        held = SERVE_GARBAGE;
    }
    if (held != SERVE_HELD) {
        *out = (struct serve_hash){0};
        return held;
    }
    out->print = serve_print(out->fields, out->count);
    return SERVE_HELD;
}

enum serve_held serve_take_text(const struct redis_pipe *pipe, size_t place, enum serve_key kind,
                                struct arena *arena, struct serve_text *out)
{
    KOL_ASSERT(serve_keys[kind].type == SERVE_STRING);
    struct serve_field *fields;
    size_t count;
    const struct redis_answer *answer = redis_answer(pipe, place);
    *out = (struct serve_text){0};
    const enum serve_held held = hold_text(answer);
    if (held != SERVE_HELD) {
        return held;
    }
    const struct str json = arena_copy(arena, answer->text);
    if (serve_to_fields(json, arena, &fields, &count, NULL) != KOL_OK ||
        !store_number(fields, count, "snapshot", &out->snapshot)) {
        return SERVE_GARBAGE;
    }
    out->json = json;
    out->print = hash_checksum(json);
    out->print += out->print == 0;
    return SERVE_HELD;
}

/* ---- writing ---- */

static bool is_stamp(struct str name, enum serve_key kind)
{
    return str_equal(name, STR("snapshot")) || str_equal(name, STR("cached_at")) ||
           (str_equal(name, STR("version")) && kind != SERVE_KEY_METADATA);
}

/* The fields without those that every value gets; the `version` of the metadata is no such one. */
static size_t choose(const struct serve_write *write, struct serve_field *out)
{
    size_t count = 0;
    KOL_ASSERT(write->field_count <= SERVE_FIELDS_MAX);
    for (size_t i = 0; i < write->field_count; i++) {
        if (!is_stamp(write->fields[i].name, write->kind)) {
            out[count++] = write->fields[i];
        }
    }
    return count;
}

/* One by one: what is too large to be packed. */
static size_t put_fields(struct redis_pipe *pipe, const struct serve_write *write,
                         const struct store_stamp *stamp, struct str *argv)
{
    size_t argc = 1 + STORE_HEAD;
    for (size_t i = 0; i < write->field_count + stamp->count; i++) {
        const struct serve_field *field =
            i < write->field_count ? &write->fields[i] : &stamp->fields[i - write->field_count];
        argv[argc++] = field->name;
        argv[argc++] = field->value;
    }
    return redis_add_script(pipe, &store_write_hash, 1, argc, argv);
}

static size_t put_hash(struct redis_pipe *pipe, const struct serve_write *write)
{
    struct serve_field fields[SERVE_FIELDS_MAX];
    struct serve_write own = *write;
    own.fields = fields;
    own.field_count = choose(write, fields);
    struct str argv[1 + STORE_HEAD + 2 * (SERVE_FIELDS_MAX + 3)];
    struct store_head head;
    struct store_stamp stamp;
    struct buf packed = {0};
    argv[0] = write->key;
    store_put_head(write, &head, argv + 1);
    store_make_stamp(write, &stamp);
    if (!store_pack(own.fields, own.field_count, &stamp, &packed)) {
        return put_fields(pipe, &own, &stamp, argv);
    }
    argv[1 + STORE_HEAD] = buf_str(&packed);
    size_t place;
    if (write->first) {
        const struct str words[] = {STR("RESTORE"), write->key, argv[1], argv[1 + STORE_HEAD]};
        place = redis_add(pipe, ARRAY_LEN(words), words, 1);
    } else {
        place = redis_add_script(pipe, &store_write_packed, 1, 2 + STORE_HEAD, argv);
    }
    buf_free(&packed);
    return place;
}

static size_t put_text(struct redis_pipe *pipe, const struct serve_write *write)
{
    struct str argv[2 + STORE_HEAD];
    struct store_head head;
    argv[0] = write->key;
    store_put_head(write, &head, argv + 1);
    argv[1 + STORE_HEAD] = write->text;
    return redis_add_script(pipe, &store_write_text, 1, ARRAY_LEN(argv), argv);
}

size_t serve_put(struct redis_pipe *pipe, const struct serve_write *write)
{
    switch (serve_keys[write->kind].type) {
    case SERVE_ZSET: return store_put_small_set(pipe, write);
    case SERVE_STRING: return put_text(pipe, write);
    default:
        KOL_ASSERT(serve_keys[write->kind].type == SERVE_HASH);
        return has_older_form(write->kind) && write->text.len ? put_text(pipe, write)
                                                              : put_hash(pipe, write);
    }
}

enum serve_done serve_written(const struct redis_pipe *pipe, size_t place, struct str *why)
{
    const struct redis_answer *answer = redis_answer(pipe, place);
    *why = STR("");
    if (answer->kind == REDIS_NUMBER) {
        return answer->number ? SERVE_WRITTEN : SERVE_KEPT;
    }
    struct str rest = answer->kind == REDIS_ERROR ? answer->text : STR("unexpected");
    *why = str_cut(&rest, ' ');
    return SERVE_REFUSED;
}

enum serve_done serve_tried(const struct redis_pipe *pipe, size_t place, struct str *why)
{
    const struct redis_answer *answer = redis_answer(pipe, place);
    *why = STR("");
    if (answer->kind == REDIS_TEXT && str_is(answer->text, "OK")) {
        return SERVE_WRITTEN;
    }
    const enum serve_done done = serve_written(pipe, place, why);
    return done == SERVE_REFUSED &&
                   (str_is(*why, "BUSYKEY") || str_is(*why, "ERR") || str_is(*why, "NOPERM"))
               ? SERVE_AGAIN
               : done;
}

/* ---- the lock between processes ---- */

size_t serve_lock(struct redis_pipe *pipe, struct str key, struct str token, int64_t ttl_ms)
{
    return redis_addf(pipe, "SET %S %S NX PX %d", key, token, ttl_ms);
}

bool serve_locked(const struct redis_pipe *pipe, size_t place)
{
    const struct redis_answer *answer = redis_answer(pipe, place);
    return answer->kind == REDIS_TEXT && str_is(answer->text, "OK");
}

size_t serve_unlock(struct redis_pipe *pipe, struct str key, struct str token)
{
    const struct str argv[] = {key, token};
    return redis_add_script(pipe, &store_unlock, 1, ARRAY_LEN(argv), argv);
}
