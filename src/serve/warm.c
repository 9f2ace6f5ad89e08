/*
 * warm.c: the warmer: what is hot, then part by part, item by item into pipes.
 *
 * While one pipe is under way (warm_sender.h) the values of the next are made. After each pipe the
 * place is known up to which all is in Redis; it is written to a file once a second, and when a
 * warm ends before its end (warm_place.h).
 */
#include "serve/warm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "serve/warm_place.h"
#include "serve/warm_sender.h"
#include "serve/warm_value.h"

enum {
    ITEMS = 64, /* asked of the source at once */
    PIPE_BYTES = 256 * 1024,
    WAIT_US = 5 * 1000 * 1000,
    HOT_MAX = 1000000,
    PIECE_MEMBERS = 1000, /* of a large set, in the time of one pipe */
    HOPE = 8,             /* no more than one of so many may have to be put again */
};

#define PLACE_NS INT64_C(1000000000) /* between two writes of the place */
#define FILL 0.9

const char *const warm_part_names[WARM_PARTS] = {
#define WARM_PART(NAME, flag, help) flag,
#include "serve/warm_parts.def"
};

/* Hashes of keys, by open addressing; 0 is free. Of a million keys two share one of 64 bits with a
 * chance of one in tens of millions; the second would be left to the next warm. */
struct key_set {
    uint64_t *cells;
    size_t mask, count;
};

struct warm {
    const struct warm_source *source;
    struct warm_options options;
    struct warm_report *report;
    struct warm_sender *sender; /* NULL: a dry run */
    struct arena arena;         /* of the items at hand */
    struct key_set hot;         /* what was written as hot */
    int64_t counted[WARM_PARTS], resumed[WARM_PARTS];
    bool ended[WARM_PARTS]; /* the source had nothing more */
    int64_t total, done;    /* keys, for the progress */

    /* Where it is: what stands in Redis for sure, and what will once the pipes have landed. */
    struct warm_place place;   /* `key`: the last one that was put into a pipe */
    struct warm_place landing; /* of the pipe under way */
    struct warm_place landed;
    int64_t placed_ns;       /* when the file was last written */
    struct warm_place older; /* of the interrupted warm; part -2: there is none */
    bool hopeful;            /* what is written is mostly not there yet */
    bool full;               /* no more room */
    bool broken;             /* the source failed */
};

/* ---- keys that were written ---- */

static size_t cell_of(const struct key_set *set, uint64_t hash)
{
    size_t i = hash & set->mask;
    while (set->cells[i] && set->cells[i] != hash) {
        i = (i + 1) & set->mask;
    }
    return i;
}

static uint64_t hash_of(struct str key)
{
    const uint64_t hash = hash_checksum(key);
    return hash ? hash : 1;
}

static void remember(struct key_set *set, struct str key)
{
    const size_t i = cell_of(set, hash_of(key));
    set->cells[i] = hash_of(key);
    set->count++;
}

static bool is_written(const struct key_set *set, struct str key)
{
    return set->count && set->cells[cell_of(set, hash_of(key))];
}

static void make_room(struct key_set *set, size_t keys)
{
    set->mask = 1023;
    while (set->mask < keys * 2) {
        set->mask = set->mask * 2 + 1;
    }
    set->cells = mem_zalloc(set->mask + 1, sizeof *set->cells);
}

/* ---- what a key is of ---- */

/* False for keys that are not warmed. */
static bool part_of(enum serve_key kind, enum warm_part *part)
{
    switch (kind) {
    case SERVE_KEY_PROFILE:
    case SERVE_KEY_PROFILE_ON:
    case SERVE_KEY_PROFILES_LIST:
    case SERVE_KEY_SCORE:
    case SERVE_KEY_SCORE_ON: *part = WARM_PROFILES; return true;
    case SERVE_KEY_TOP_FOLLOWERS:
    case SERVE_KEY_TOP_ENGAGEMENT:
    case SERVE_KEY_RANKING: *part = WARM_TOP; return true;
    case SERVE_KEY_CONTENT_TRENDING:
    case SERVE_KEY_CONTENT:
    case SERVE_KEY_CONTENT_ON: *part = WARM_TRENDING; return true;
    case SERVE_KEY_STATS_PLATFORM:
    case SERVE_KEY_STATS_DAILY: *part = WARM_STATS; return true;
    case SERVE_KEY_AUTOCOMPLETE: *part = WARM_SEARCH; return true;
    default: return false;
    }
}

/* Half of the shortest life among the kinds of a part, or of one kind: what was written longer ago
 * than that is written again rather than passed over. */
static int64_t trusted_us(enum serve_key kind)
{
    return (int64_t)serve_keys[kind].ttl_s * (CLOCK_US_PER_SECOND / 2);
}

static int64_t part_trusted_us(enum warm_part part)
{
    int64_t least = INT64_MAX;
    for (int kind = 0; kind < SERVE_KEYS; kind++) {
        enum warm_part own;
        if (part_of((enum serve_key)kind, &own) && own == part &&
            trusted_us((enum serve_key)kind) < least) {
            least = trusted_us((enum serve_key)kind);
        }
    }
    return least;
}

/* ---- the place ---- */

static void copy_place(struct warm_place *to, const struct warm_place *from)
{
    struct buf key = to->key;
    *to = *from;
    to->key = key;
    buf_clear(&to->key);
    buf_put(&to->key, buf_str(&from->key));
}

static unsigned bits_of(const bool parts[WARM_PARTS])
{
    unsigned bits = 0;
    for (int i = 0; i < WARM_PARTS; i++) {
        bits |= (unsigned)parts[i] << i;
    }
    return bits;
}

/* Whether Redis still has what the interrupted warm wrote last: it was maybe restarted since. */
static enum kol_status is_still_there(const struct warm *warm, bool *there, struct kol_error *err)
{
    struct redis_pipe *pipe = redis_pipe_new(warm->options.redis);
    const struct str key = buf_str(&warm->older.key);
    const size_t place = redis_addf(pipe, "EXISTS %S", key);
    const enum kol_status status =
        redis_run(pipe, clock_mono_ns() + warm->options.wait_us * 1000, err);
    *there = status == KOL_OK && redis_answer(pipe, place)->kind == REDIS_NUMBER &&
             redis_answer(pipe, place)->number > 0;
    redis_pipe_free(&pipe);
    return status;
}

static enum kol_status find_place(struct warm *warm, struct kol_error *err)
{
    const struct warm_options *options = &warm->options;
    warm->place = (struct warm_place){
        .redis = str_of(options->redis ? redis_name(options->redis) : ""),
        .snapshot = warm->source->snapshot,
        .limit = options->limit,
        .parts = bits_of(options->parts),
        .full = options->full,
        .began_us = clock_now_us(),
        .part = -1,
    };
    warm->older = warm->place;
    warm->older.part = -2;
    if (!options->redis || !options->state ||
        warm_place_read(options->state, &warm->older, NULL) != KOL_OK) {
        warm->older.part = -2;
        return KOL_OK;
    }
    bool there;
    const enum kol_status status = is_still_there(warm, &there, err);
    if (!there || warm->older.began_us > warm->place.began_us) {
        warm->older.part = -2;
    }
    return status;
}

/* Writes down how far it came; where that fails the next warm begins anew. */
static void save_place(struct warm *warm)
{
    if (warm->options.state && warm->landed.key.len) {
        if (warm_place_write(warm->options.state, &warm->landed, NULL) != KOL_OK) {
            warm->options.state = NULL;
        }
        warm->placed_ns = clock_mono_ns();
    }
}

/* ---- pipes ---- */

static void count_sent(struct warm *warm, const struct warm_sent *sent)
{
    struct warm_part_report *part = &warm->report->parts[sent->part];
    part->keys++;
    part->bytes += sent->bytes;
    switch (sent->done) {
    case SERVE_WRITTEN: part->written++; break;
    case SERVE_KEPT: part->kept++; break;
    default: part->refused++; break;
    }
    warm->done++;
}

/* What was tried as new and was none goes into the pipe that is being filled, guarded as ever. Its
 * value is made again: the pipe that is back has only its bytes. */
static enum kol_status put_again(struct warm *warm, const struct warm_sent *sent,
                                 struct kol_error *err)
{
    struct warm_item item;
    struct warm_value value;
    enum kol_status status =
        warm->source->by_key(warm->source->user, sent->key, &warm->arena, &item, err);
    if (status == KOL_OK) {
        warm_value_make(&item, warm->source, &warm->options, &warm->arena, &value);
        warm_sender_put(warm->sender, &value.write, sent->part, value.bytes, value.way_bytes);
    }
    warm->broken |= status != KOL_OK && status != KOL_NOT_FOUND;
    return status == KOL_NOT_FOUND ? KOL_OK : status;
}

/* Counts what a pipe came to; returns how many are to be put again, and puts them. */
static enum kol_status take_in(struct warm *warm, const struct warm_result *result, size_t *again,
                               struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    *again = 0;
    for (size_t i = 0; i < result->count; i++) {
        if (result->sent[i].done != SERVE_AGAIN) {
            count_sent(warm, &result->sent[i]);
        } else if (++*again && status == KOL_OK) {
            status = put_again(warm, &result->sent[i], err);
        }
    }
    warm->hopeful = warm->hopeful && *again <= result->count / HOPE;
    return status;
}

static void set_reason(struct warm *warm, const char *text, size_t len)
{
    snprintf(warm->report->reason, sizeof warm->report->reason, "%.*s", (int)len, text);
}

/* Redis says itself that it is full, whatever was expected; else its word for refusing keys. */
static void look_at_refusals(struct warm *warm, struct str why)
{
    static const char full[] = "Redis refuses to take more: it is full (OOM)";
    char refused[80];
    if (str_is(why, "OOM")) {
        warm->full = true;
        set_reason(warm, full, strlen(full));
    } else if (why.len && !warm->report->reason[0]) {
        snprintf(refused, sizeof refused, "Redis refused keys with %.*s",
                 (int)(why.len < 40 ? why.len : 40), why.ptr);
        set_reason(warm, refused, strlen(refused));
    }
}

/* Takes in what the pipe under way came to. */
static enum kol_status settle(struct warm *warm, struct kol_error *err)
{
    struct warm_result result;
    size_t again;
    enum kol_status status = warm_sender_settle(warm->sender, &result, err);
    if (status != KOL_OK || result.count == 0) {
        return status;
    }
    status = take_in(warm, &result, &again, err);
    look_at_refusals(warm, result.why);
    if (again == 0) { /* else it is all there with the next pipe */
        copy_place(&warm->landed, &warm->landing);
    }
    if (clock_mono_ns() - warm->placed_ns > PLACE_NS) {
        save_place(warm);
    }
    return status;
}

static void show(const struct warm *warm, const char *part)
{
    if (warm->options.on_progress) {
        warm->options.on_progress(part, warm->done, warm->total, warm->options.user);
    }
}

static bool is_stopped(struct warm *warm)
{
    if (warm->options.stop && warm->options.stop(warm->options.user)) {
        warm->report->interrupted = true;
    }
    return warm->report->interrupted;
}

/* Sends what was gathered, once the pipe before has landed and if there is room for it. */
static enum kol_status send(struct warm *warm, struct kol_error *err)
{
    char why[sizeof warm->report->reason];
    bool room = true;
    enum kol_status status = settle(warm, err);
    if (status == KOL_OK && !warm->full && !is_stopped(warm) && warm_sender_waiting(warm->sender)) {
        status = warm_sender_room(warm->sender, 0, &room, why, sizeof why, err);
        if (!room && status == KOL_OK) {
            warm->full = true;
            set_reason(warm, why, strlen(why));
        }
        if (room && status == KOL_OK) {
            copy_place(&warm->landing, &warm->place);
            warm_sender_go(warm->sender);
            return KOL_OK;
        }
    }
    warm_sender_drop(warm->sender);
    return status;
}

static enum kol_status flush(struct warm *warm, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    while (warm->sender && status == KOL_OK &&
           (warm_sender_waiting(warm->sender) || warm_sender_going(warm->sender))) {
        status = send(warm, err);
    }
    return status;
}

/* ---- one key ---- */

/* A set that is too large for a pipe goes by itself. */
static enum kol_status put_large_set(struct warm *warm, const struct warm_value *value,
                                     enum warm_part part, struct kol_error *err)
{
    char why[sizeof warm->report->reason];
    struct warm_sent sent = {.part = part, .bytes = value->bytes};
    bool room = false;
    enum kol_status status = flush(warm, err);
    if (status == KOL_OK && !warm->full && !is_stopped(warm)) {
        status = warm_sender_room(warm->sender, value->way_bytes, &room, why, sizeof why, err);
        if (!room && status == KOL_OK) {
            warm->full = true;
            set_reason(warm, why, strlen(why));
        }
    }
    if (status != KOL_OK || !room) {
        return status;
    }
    const int64_t pieces = 1 + (int64_t)(value->write.member_count / PIECE_MEMBERS);
    status =
        serve_put_set(warm->options.redis, &value->write,
                      clock_mono_ns() + pieces * warm->options.wait_us * 1000, &sent.done, err);
    if (status == KOL_OK) {
        warm_sender_count(warm->sender, value->way_bytes);
        count_sent(warm, &sent);
        copy_place(&warm->landed, &warm->place);
    }
    return status;
}

static bool is_at_limit(const struct warm *warm)
{
    const int64_t waiting = warm->sender ? (int64_t)warm_sender_waiting(warm->sender) : 0;
    const int64_t going = warm->sender ? (int64_t)warm_sender_going(warm->sender) : 0;
    return warm->options.limit > 0 && warm->done + waiting + going >= warm->options.limit;
}

static bool is_over(struct warm *warm)
{
    return warm->full || warm->report->interrupted || is_at_limit(warm);
}

static enum kol_status put(struct warm *warm, const struct warm_item *item, enum warm_part part,
                           struct kol_error *err)
{
    struct warm_value value;
    warm_value_make(item, warm->source, &warm->options, &warm->arena, &value);
    buf_clear(&warm->place.key);
    buf_put(&warm->place.key, item->key);
    if (!warm->sender) {
        warm->report->parts[part].keys++;
        warm->report->parts[part].bytes += value.bytes;
        warm->done++;
        return KOL_OK;
    }
    if (item->member_count > SERVE_MEMBERS_READ) {
        return put_large_set(warm, &value, part, err);
    }
    value.write.first = warm->hopeful;
    warm_sender_put(warm->sender, &value.write, part, value.bytes, value.way_bytes);
    return warm_sender_is_full(warm->sender) ? send(warm, err) : KOL_OK;
}

/* ---- what is hot ---- */

static enum kol_status put_hot(struct warm *warm, struct str key, struct kol_error *err)
{
    struct warm_item item;
    enum warm_part part;
    arena_reset(&warm->arena);
    enum kol_status status =
        warm->source->by_key(warm->source->user, key, &warm->arena, &item, err);
    if (status == KOL_NOT_FOUND) {
        return KOL_OK; /* it was asked for, but there is none such any more */
    }
    warm->broken = status != KOL_OK;
    if (status != KOL_OK || !part_of(item.kind, &part) || !warm->options.parts[part] ||
        is_written(&warm->hot, item.key)) {
        return status;
    }
    remember(&warm->hot, item.key);
    return put(warm, &item, part, err);
}

static enum kol_status warm_hot(struct warm *warm, struct kol_error *err)
{
    struct arena arena;
    struct heat_key *keys = NULL;
    enum kol_status status = KOL_OK;
    if (!warm->options.heat) {
        return KOL_OK;
    }
    arena_init(&arena, 0);
    const size_t count = heat_hottest(warm->options.heat, HOT_MAX, &arena, &keys);
    make_room(&warm->hot, count);
    for (size_t i = 0; i < count && status == KOL_OK && !is_over(warm); i++) {
        if (i % ITEMS == 0) {
            show(warm, "hot keys");
            (void)is_stopped(warm);
        }
        status = put_hot(warm, keys[i].key, err);
    }
    arena_free(&arena);
    return status;
}

/* ---- part by part ---- */

/* Whether the interrupted warm wrote this one, and it lives on for long enough. */
static bool has_older(const struct warm *warm, enum warm_part part, enum serve_key kind)
{
    const struct warm_place *older = &warm->older;
    const bool written =
        (int)part < older->part || ((int)part == older->part && warm->place.index <= older->index);
    return written && warm->place.began_us - older->began_us < trusted_us(kind);
}

static enum kol_status put_items(struct warm *warm, enum warm_part part,
                                 const struct warm_item *items, size_t count, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK && !is_over(warm); i++) {
        warm->place.index++;
        if (is_written(&warm->hot, items[i].key)) {
            continue;
        }
        if (has_older(warm, part, items[i].kind)) {
            warm->report->resumed++;
            warm->resumed[part]++;
            warm->done++;
            continue;
        }
        status = put(warm, &items[i], part, err);
    }
    return status;
}

static enum kol_status walk_part(struct warm *warm, enum warm_part part, struct kol_error *err)
{
    struct warm_item items[ITEMS];
    size_t count = 1;
    enum kol_status status = KOL_OK;
    for (bool restart = true; status == KOL_OK && count && !is_over(warm); restart = false) {
        arena_reset(&warm->arena);
        status = warm->source->next(warm->source->user, part, restart, &warm->arena, items, ITEMS,
                                    &count, err);
        if (status == KOL_OK) {
            status = put_items(warm, part, items, count, err);
        } else {
            warm->broken = true;
        }
        show(warm, warm_part_names[part]);
        (void)is_stopped(warm);
    }
    warm->ended[part] = count == 0;
    return status;
}

/* What the interrupted warm did whole, and not long ago, is passed over whole. */
static bool pass_over(struct warm *warm, enum warm_part part)
{
    const struct warm_place *older = &warm->older;
    if ((int)part >= older->part ||
        warm->place.began_us - older->began_us >= part_trusted_us(part)) {
        return false;
    }
    warm->place.index = older->done[part];
    warm->report->resumed += older->done[part];
    warm->resumed[part] = older->done[part];
    warm->ended[part] = true;
    warm->done += older->done[part];
    return true;
}

static enum kol_status warm_part(struct warm *warm, enum warm_part part, struct kol_error *err)
{
    const int64_t began_ns = clock_mono_ns();
    warm->place.part = (int)part;
    warm->place.index = 0;
    enum kol_status status = KOL_OK;
    if (!pass_over(warm, part)) {
        status = walk_part(warm, part, err);
    }
    warm->place.done[part] = warm->place.index;
    warm->report->parts[part].seconds = (double)(clock_mono_ns() - began_ns) / 1e9;
    return status;
}

/* ---- the whole of it ---- */

static enum kol_status count_all(struct warm *warm, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (int i = 0; i < WARM_PARTS && status == KOL_OK; i++) {
        if (warm->options.parts[i]) {
            status =
                warm->source->count(warm->source->user, (enum warm_part)i, &warm->counted[i], err);
            warm->total += warm->counted[i];
        }
    }
    if (warm->options.limit && warm->total > warm->options.limit) {
        warm->total = warm->options.limit;
    }
    return status;
}

static enum kol_status run_parts(struct warm *warm, struct kol_error *err)
{
    /* What was hot is written already where the interrupted warm had come to the parts. */
    enum kol_status status = warm->older.part >= 0 ? KOL_OK : warm_hot(warm, err);
    for (int i = 0; i < WARM_PARTS && status == KOL_OK && !is_over(warm); i++) {
        if (warm->options.parts[i]) {
            status = warm_part(warm, (enum warm_part)i, err);
        }
    }
    return status;
}

/* What was not brought to Redis although it was asked for. */
static void count_left_out(struct warm *warm)
{
    struct warm_report *report = warm->report;
    int64_t left = 0;
    for (int i = 0; i < WARM_PARTS; i++) {
        struct warm_part_report *part = &report->parts[i];
        const int64_t done = part->keys + warm->resumed[i];
        if (!warm->ended[i] && warm->counted[i] > done) {
            part->left_out = warm->counted[i] - done;
        }
        left += part->left_out;
    }
    if (left && !report->reason[0]) {
        snprintf(report->reason, sizeof report->reason, "no more than %lld keys were asked for",
                 (long long)warm->options.limit);
    }
}

/* The fields of the key that tells of the warm. */
struct telling {
    struct serve_field fields[8 + WARM_PARTS];
    size_t count;
    struct arena *arena;
};

static void add_text(struct telling *telling, const char *name, struct str value)
{
    KOL_ASSERT(telling->count < ARRAY_LEN(telling->fields));
    if (value.len) {
        telling->fields[telling->count++] = (struct serve_field){str_of(name), value};
    }
}

static void add_number(struct telling *telling, const char *name, double value)
{
    struct buf text = {0};
    buf_put_double(&text, value);
    add_text(telling, name, arena_copy(telling->arena, buf_str(&text)));
    buf_free(&text);
}

static void add_fields(const struct warm *warm, struct telling *telling)
{
    static const char *const names[WARM_PARTS] = {
#define WARM_PART(NAME, flag, help) "keys_" flag,
#include "serve/warm_parts.def"
    };
    struct buf text = {0};
    double left_out = 0;
    clock_format(&text, clock_now_us());
    add_text(telling, "last_warm", arena_copy(telling->arena, buf_str(&text)));
    add_text(telling, "version", str_of(warm->options.version));
    add_text(telling, "as_of", warm->source->as_of);
    for (int i = 0; i < WARM_PARTS; i++) {
        const struct warm_part_report *part = &warm->report->parts[i];
        if (warm->options.parts[i]) {
            add_number(telling, names[i], (double)(part->keys - part->refused + warm->resumed[i]));
        }
        left_out += (double)part->left_out;
    }
    add_number(telling, "left_out", left_out);
    add_number(telling, "seconds", (double)(int64_t)(warm->report->seconds * 1000) / 1000);
    buf_free(&text);
}

static enum kol_status tell(struct warm *warm, struct kol_error *err)
{
    struct telling telling = {.arena = &warm->arena};
    struct buf key = {0};
    arena_reset(&warm->arena);
    serve_key_put(&key, SERVE_KEY_METADATA, NULL);
    add_fields(warm, &telling);
    /* What it tells is of this warm, whatever snapshot the one before was of. */
    const struct serve_write write = {.kind = SERVE_KEY_METADATA,
                                      .key = buf_str(&key),
                                      .snapshot = warm->source->snapshot,
                                      .now_us = clock_now_us(),
                                      .force = true,
                                      .fields = telling.fields,
                                      .field_count = telling.count};
    struct redis_pipe *pipe = redis_pipe_new(warm->options.redis);
    serve_put(pipe, &write);
    /* A server that is full refuses it: that is no failure of the warm. */
    const enum kol_status status =
        redis_run(pipe, clock_mono_ns() + warm->options.wait_us * 1000, err);
    redis_pipe_free(&pipe);
    buf_free(&key);
    return status;
}

/* Ends a run that did not fail: it is whole, or as much as there was room for. */
static enum kol_status finish(struct warm *warm, int64_t began_ns, struct kol_error *err)
{
    struct warm_report *report = warm->report;
    enum kol_status status = KOL_OK;
    report->out_of_room = warm->full;
    report->seconds = (double)(clock_mono_ns() - began_ns) / 1e9;
    if (report->interrupted) {
        save_place(warm);
        return KOL_OK;
    }
    count_left_out(warm);
    if (warm->sender) {
        status = tell(warm, err);
        if (warm->options.state) {
            warm_place_remove(warm->options.state);
        }
    }
    return status;
}

static void begin(struct warm *warm)
{
    struct warm_options *options = &warm->options;
    options->fill = options->fill > 0 ? options->fill : FILL;
    options->pipe_bytes = options->pipe_bytes ? options->pipe_bytes : PIPE_BYTES;
    options->wait_us = options->wait_us ? options->wait_us : WAIT_US;
    arena_init(&warm->arena, 0);
    warm->hopeful = true;
    warm->placed_ns = clock_mono_ns();
    if (options->redis) {
        const struct warm_sender_options own = {.redis = options->redis,
                                                .fill = options->fill,
                                                .pipe_bytes = options->pipe_bytes,
                                                .wait_us = options->wait_us,
                                                .stop = options->stop,
                                                .user = options->user};
        warm->sender = warm_sender_new(&own);
    }
}

static void end(struct warm *warm)
{
    warm_sender_free(&warm->sender);
    arena_free(&warm->arena);
    free(warm->hot.cells);
    buf_free(&warm->place.key);
    buf_free(&warm->landing.key);
    buf_free(&warm->landed.key);
    buf_free(&warm->older.key);
}

/* Brings to Redis what is still in pipes, whatever the walk came to, unless that is Redis's failure
 * itself. A statement of the source that a signal ended is no failure. */
static enum kol_status land(struct warm *warm, enum kol_status walked, struct kol_error *err)
{
    if (walked == KOL_INTERRUPTED && warm->broken) {
        warm->report->interrupted = true;
        walked = KOL_OK;
    }
    if (walked == KOL_OK) {
        return flush(warm, err);
    }
    const enum kol_status flushed = warm->broken ? flush(warm, NULL) : walked;
    (void)flushed; /* the first failure is the one to tell */
    return walked;
}

enum kol_status warm_run(const struct warm_source *source, const struct warm_options *options,
                         struct warm_report *report, struct kol_error *err)
{
    const int64_t began_ns = clock_mono_ns();
    struct warm warm = {.source = source, .options = *options, .report = report};
    *report = (struct warm_report){.snapshot = source->snapshot};
    begin(&warm);
    enum kol_status status = count_all(&warm, err);
    if (status == KOL_OK) {
        status = find_place(&warm, err);
    }
    if (status == KOL_OK) {
        status = land(&warm, run_parts(&warm, err), err);
        if (status == KOL_OK) {
            status = finish(&warm, began_ns, err);
        } else {
            save_place(&warm);
        }
    }
    end(&warm);
    return status;
}
