/*
 * ahead.c: keys that will be asked for, and those that are always to be there, are written anew
 * before they expire.
 *
 * When a key will be asked for next is guessed by the access log: its last use and the mean time
 * between uses. How long it still lives only Redis knows: the hottest keys are asked for their TTL,
 * many in one exchange. A set without members is no key in Redis: its sibling alone says that it is
 * there.
 */
#include "serve/ahead.h"

#include "base/clock.h"
#include "base/logger.h"
#include "serve/warm_value.h"

enum { KEYS = 2000, AT_ONCE = 128, WAIT_MS = 2000 };

struct ahead {
    const struct warm_source *source;
    const struct ahead_options *options;
    struct ahead_report *report;
    struct redis_pipe *pipe;
    struct arena arena; /* of one exchange */
    int64_t now_us;
};

static enum kol_status run_pipe(struct ahead *ahead, struct kol_error *err)
{
    return redis_run(ahead->pipe, clock_mono_ns() + WAIT_MS * INT64_C(1000000), err);
}

/* Whether a use is expected before the horizon. */
static bool is_wanted(const struct ahead *ahead, const struct heat_key *key)
{
    return key->next_us && key->next_us <= ahead->now_us + ahead->options->horizon_us;
}

static bool ends_soon(const struct ahead *ahead, const struct redis_answer *left_ms)
{
    /* -2: it is gone; -1: it lives for ever, which nothing of ours does. */
    return left_ms->kind == REDIS_NUMBER && left_ms->number != -1 &&
           left_ms->number * 1000 < ahead->options->horizon_us;
}

/* Whether a sibling, by its TTL and the answer to HMGET, is that of a set without members which
 * lives on. */
static bool is_empty_set(const struct ahead *ahead, const struct redis_answer *left_ms,
                         const struct redis_answer *fields)
{
    return left_ms->kind == REDIS_NUMBER && !ends_soon(ahead, left_ms) &&
           fields->kind == REDIS_LIST && fields->count == 1 &&
           fields->items[0].kind == REDIS_TEXT && str_is(fields->items[0].text, "0");
}

/* Adds those of the keys that are gone to the ones that end, but for sets without members. */
static enum kol_status add_gone(struct ahead *ahead, const struct str *gone, size_t count,
                                struct str *ending, size_t *ending_count, struct kol_error *err)
{
    struct buf meta = {0};
    redis_clear(ahead->pipe);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&meta);
        serve_key_put_meta(&meta, gone[i]);
        redis_addf(ahead->pipe, "PTTL %S", buf_str(&meta));
        redis_addf(ahead->pipe, "HMGET %S members", buf_str(&meta));
    }
    buf_free(&meta);
    enum kol_status status = count ? run_pipe(ahead, err) : KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!is_empty_set(ahead, redis_answer(ahead->pipe, 2 * i),
                          redis_answer(ahead->pipe, 2 * i + 1))) {
            ending[(*ending_count)++] = gone[i];
        }
    }
    return status;
}

/* Keeps those of the keys that expire before the horizon, `count` at most AT_ONCE. */
static enum kol_status find_ending(struct ahead *ahead, const struct str *keys, size_t count,
                                   struct str *ending, size_t *ending_count, struct kol_error *err)
{
    struct str gone[AT_ONCE];
    size_t gone_count = 0;
    *ending_count = 0;
    redis_clear(ahead->pipe);
    for (size_t i = 0; i < count; i++) {
        redis_addf(ahead->pipe, "PTTL %S", keys[i]);
    }
    enum kol_status status = run_pipe(ahead, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        const struct redis_answer *left_ms = redis_answer(ahead->pipe, i);
        if (ends_soon(ahead, left_ms)) {
            const bool is_gone = left_ms->number < 0;
            *(is_gone ? &gone[gone_count++] : &ending[(*ending_count)++]) = keys[i];
        }
    }
    ahead->report->looked_at += (int64_t)count;
    return status == KOL_OK ? add_gone(ahead, gone, gone_count, ending, ending_count, err) : status;
}

static void count_done(struct ahead *ahead, enum serve_done done)
{
    ahead->report->written += done == SERVE_WRITTEN;
    ahead->report->kept += done == SERVE_KEPT;
    ahead->report->refused += done == SERVE_REFUSED;
}

/* A set that is too large for a pipe. */
static void write_large(struct ahead *ahead, const struct serve_write *write)
{
    struct kol_error err;
    enum serve_done done;
    const int64_t pieces = 1 + (int64_t)write->member_count / SERVE_MEMBERS_READ;
    const int64_t until_ns = clock_mono_ns() + pieces * WAIT_MS * INT64_C(1000000);
    if (serve_put_set(ahead->options->redis, write, until_ns, &done, &err) == KOL_OK) {
        count_done(ahead, done);
    } else {
        log_warn("%.*s cannot be refreshed ahead: %s", STR_FORMAT(write->key), err.message);
    }
}

/* Adds the write of a key; false: the source has nothing for it, or it needs no place in the pipe.
 */
static bool add_write(struct ahead *ahead, struct str key, size_t *place)
{
    struct warm_item item;
    struct warm_value value;
    struct kol_error err;
    const struct warm_options options = {.older_scores = ahead->options->older_scores};
    enum kol_status status =
        ahead->source->by_key(ahead->source->user, key, &ahead->arena, &item, &err);
    if (status == KOL_OK) {
        item.key = key;
        warm_value_make(&item, ahead->source, &options, &ahead->arena, &value);
    }
    if (status != KOL_OK) {
        if (status != KOL_NOT_FOUND) {
            log_warn("%.*s cannot be refreshed ahead: %s", STR_FORMAT(key), err.message);
        }
        return false;
    }
    if (value.write.member_count > SERVE_MEMBERS_READ) {
        write_large(ahead, &value.write);
        return false;
    }
    *place = serve_put(ahead->pipe, &value.write);
    return true;
}

static enum kol_status write_all(struct ahead *ahead, const struct str *keys, size_t count,
                                 struct kol_error *err)
{
    size_t places[AT_ONCE], writes = 0;
    redis_clear(ahead->pipe);
    for (size_t i = 0; i < count; i++) {
        writes += add_write(ahead, keys[i], &places[writes]);
    }
    enum kol_status status = writes ? run_pipe(ahead, err) : KOL_OK;
    for (size_t i = 0; i < writes && status == KOL_OK; i++) {
        struct str why;
        count_done(ahead, serve_written(ahead->pipe, places[i], &why));
    }
    return status;
}

static enum kol_status look_at_some(struct ahead *ahead, const struct str *keys, size_t count,
                                    struct kol_error *err)
{
    struct str ending[AT_ONCE];
    size_t ending_count;
    enum kol_status status = find_ending(ahead, keys, count, ending, &ending_count, err);
    if (status == KOL_OK) {
        status = write_all(ahead, ending, ending_count, err);
    }
    arena_reset(&ahead->arena);
    return status;
}

/* The keys that must not end: those of the options, and what is hot and will be wanted. */
static size_t gather(const struct ahead *ahead, struct arena *arena, struct str **out)
{
    const struct ahead_options *options = ahead->options;
    struct heat_key *hot = NULL;
    const size_t most = options->keys ? options->keys : KEYS;
    const size_t hot_count = heat_hottest(options->heat, most, arena, &hot);
    size_t count = 0;
    *out = arena_alloc(arena, (options->always_count + hot_count) * sizeof **out);
    for (; count < options->always_count; count++) {
        (*out)[count] = options->always[count];
    }
    for (size_t i = 0; i < hot_count; i++) {
        if (is_wanted(ahead, &hot[i])) {
            (*out)[count++] = hot[i].key;
        }
    }
    return count;
}

enum kol_status ahead_run(const struct warm_source *source, const struct ahead_options *options,
                          struct ahead_report *report, struct kol_error *err)
{
    struct str *keys;
    struct arena names;
    enum kol_status status = KOL_OK;
    *report = (struct ahead_report){0};
    struct ahead ahead = {.source = source,
                          .options = options,
                          .report = report,
                          .pipe = redis_pipe_new(options->redis),
                          .now_us = clock_now_us()};
    arena_init(&names, 0);
    arena_init(&ahead.arena, 0);
    const size_t count = gather(&ahead, &names, &keys);
    for (size_t at = 0; at < count && status == KOL_OK; at += AT_ONCE) {
        if (options->stop && options->stop(options->user)) {
            break;
        }
        const size_t some = count - at < AT_ONCE ? count - at : AT_ONCE;
        status = look_at_some(&ahead, keys + at, some, err);
    }
    redis_pipe_free(&ahead.pipe);
    arena_free(&ahead.arena);
    arena_free(&names);
    return status;
}
