/*
 * tier_watch.c: what was seen of each key, and what becomes of a change of it.
 *
 * A change alone says little: a write of an equal value, a TTL that begins anew and a key that
 * expires are told like any other. So the keys that answers were made from are read again, many in
 * one exchange, and only what differs drops its answers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/text.h"
#include "serve/tier_parts.h"

enum { LOOK_MS = 250 }; /* longest for reading changed keys again */

/* ---- what was seen ---- */

static uint64_t hash_of(const struct tier *tier, struct str key)
{
    const uint64_t hash = hash_seeded(key, tier->seed);
    return hash ? hash : 1;
}

/* The set of a key with its lock held. */
static struct tier_seen *lock_set(struct tier *tier, uint64_t hash, pthread_mutex_t **lock)
{
    const size_t set = hash % TIER_SEEN_SETS;
    *lock = &tier->seen_locks[set % TIER_SEEN_LOCKS];
    pthread_mutex_lock(*lock);
    return tier->seen[set];
}

/* Moves a key's place to the front of its set; the last one falls out for a new one. */
static struct tier_seen *to_front(struct tier_seen *set, uint64_t hash)
{
    size_t at = 0;
    while (at < TIER_SEEN_WAYS - 1 && set[at].key != hash) {
        at++;
    }
    const struct tier_seen found = set[at].key == hash ? set[at] : (struct tier_seen){.key = hash};
    memmove(set + 1, set, at * sizeof *set);
    *set = found;
    return set;
}

/* Somebody knows more than the answers with this tag: they are not served any more, but where
 * nobody can be asked. */
static void drop(struct tier *tier, struct str tag)
{
    if (tier->options.l1) {
        const size_t dropped = l1_outdate_tag(tier->options.l1, tag);
        atomic_fetch_add_explicit(&tier->drops, (int64_t)dropped, memory_order_relaxed);
    }
}

void tier_saw(struct tier *tier, struct str key, uint64_t print)
{
    pthread_mutex_t *lock;
    const uint64_t hash = hash_of(tier, key);
    struct tier_seen *seen = to_front(lock_set(tier, hash, &lock), hash);
    const bool differs = seen->print && seen->print != print;
    seen->print = print;
    pthread_mutex_unlock(lock);
    if (differs) {
        drop(tier, key);
    }
}

/* What was seen of a key, or 0; `forget`: nothing is known of it from here on. */
static uint64_t seen_of(struct tier *tier, struct str key, bool forget)
{
    pthread_mutex_t *lock;
    const uint64_t hash = hash_of(tier, key);
    struct tier_seen *set = lock_set(tier, hash, &lock);
    uint64_t print = 0;
    for (size_t i = 0; i < TIER_SEEN_WAYS; i++) {
        if (set[i].key == hash) {
            print = set[i].print;
            set[i] = forget ? (struct tier_seen){0} : set[i];
        }
    }
    pthread_mutex_unlock(lock);
    return print;
}

bool tier_still_sees(struct tier *tier, struct str key, uint64_t print)
{
    return print && seen_of(tier, key, false) == print;
}

void tier_saw_not(struct tier *tier, struct str key)
{
    (void)seen_of(tier, key, true);
}

/* ---- changes ---- */

/* A changed key that answers were made from. */
struct look {
    struct str key;
    enum serve_key kind;
    size_t place;
};

static uint64_t print_of(const struct redis_pipe *pipe, const struct look *look,
                         struct arena *arena)
{
    struct serve_hash hash;
    struct serve_set set;
    struct serve_text text;
    switch (serve_keys[look->kind].type) {
    case SERVE_HASH:
        return serve_take_hash(pipe, look->place, look->kind, arena, &hash) == SERVE_HELD
                   ? hash.print
                   : 0;
    case SERVE_ZSET:
        return serve_take_set(pipe, look->place, look->kind, arena, &set) == SERVE_HELD ? set.print
                                                                                        : 0;
    case SERVE_STRING:
        return serve_take_text(pipe, look->place, look->kind, arena, &text) == SERVE_HELD
                   ? text.print
                   : 0;
    default: return 0;
    }
}

static void look_again(struct tier *tier, struct look *looks, size_t count)
{
    struct kol_error err;
    struct arena arena;
    struct redis_pipe *pipe = redis_pipe_new(tier->redis);
    arena_init(&arena, 0);
    for (size_t i = 0; i < count; i++) {
        looks[i].place = serve_ask(pipe, looks[i].kind, looks[i].key);
    }
    const bool read = redis_run(pipe, clock_mono_ns() + LOOK_MS * INT64_C(1000000), &err) == KOL_OK;
    for (size_t i = 0; i < count; i++) {
        const uint64_t print = read ? print_of(pipe, &looks[i], &arena) : 0;
        if (print && print == seen_of(tier, looks[i].key, false)) {
            atomic_fetch_add_explicit(&tier->same, 1, memory_order_relaxed);
        } else {
            (void)seen_of(tier, looks[i].key, true);
            drop(tier, looks[i].key);
        }
    }
    redis_pipe_free(&pipe);
    arena_free(&arena);
}

static void on_keys(const struct str *keys, size_t count, void *user)
{
    enum { AT_ONCE = 128 };
    struct tier *tier = user;
    struct look looks[AT_ONCE];
    size_t looked = 0;
    if (!keys) {
        drop(tier, STR(TIER_TAG));
        return;
    }
    atomic_fetch_add_explicit(&tier->changes, (int64_t)count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        struct str parts[SERVE_PARTS];
        enum serve_key kind;
        if (!serve_key_read(keys[i], tier->options.is_platform, &kind, parts)) {
            continue;
        }
        if (seen_of(tier, keys[i], false)) {
            looks[looked++] = (struct look){.key = keys[i], .kind = kind};
        } else {
            drop(tier, keys[i]);
        }
        if (looked == AT_ONCE) {
            look_again(tier, looks, looked);
            looked = 0;
        }
    }
    if (looked) {
        look_again(tier, looks, looked);
    }
}

static void on_lost(const struct kol_error *err, void *user)
{
    struct tier *tier = user;
    atomic_store(&tier->channel, false);
    atomic_fetch_add(&tier->lost, 1);
    drop(tier, STR(TIER_TAG));
    log_warn("redis %s does not tell of changes now, what came from it was let go: %s",
             redis_name(tier->redis), err->message);
}

static void on_ready(void *user)
{
    struct tier *tier = user;
    drop(tier, STR(TIER_TAG)); /* what was kept meanwhile may be old by now */
    atomic_store(&tier->channel, true);
    log_info("redis %s tells of changes", redis_name(tier->redis));
}

/* ---- purges ---- */

static void on_message(struct str text, void *user)
{
    struct tier *tier = user;
    const struct str what = str_cut(&text, ' ');
    if (tier->options.on_purge) {
        tier->options.on_purge(what, text, tier->options.user);
    }
}

bool tier_tell_purge(struct tier *tier, struct str what, struct str name)
{
    struct redis_pipe *pipe = tier_pipe(tier);
    struct buf message = {0};
    if (!pipe) {
        return false;
    }
    buf_put(&message, what);
    if (name.len) {
        buf_putc(&message, ' ');
        buf_put(&message, name);
    }
    const size_t place = redis_addf(pipe, "PUBLISH %s %S", SERVE_CHANNEL, buf_str(&message));
    const bool told = tier_run(tier, pipe, clock_mono_ns() + tier->options.ask_us * 1000) &&
                      redis_answer(pipe, place)->kind == REDIS_NUMBER;
    tier_pipe_done(tier, &pipe);
    buf_free(&message);
    return told;
}

/* ---- the watch ---- */

/* Kinds that the server keeps answers of: those that it reads, of their first patterns. */
static bool is_watched(const struct tier *tier, enum serve_key kind)
{
    static const enum serve_key live[] = {SERVE_KEY_SCORE, SERVE_KEY_SCORE_ON, SERVE_KEY_TRENDING,
                                          SERVE_KEY_RANKING};
    static const enum serve_key never[] = {SERVE_KEY_AUTOCOMPLETE, SERVE_KEY_RECENT,
                                           SERVE_KEY_METADATA,     SERVE_KEY_LOCK,
                                           SERVE_KEY_SESSION,      SERVE_KEY_RATE_LIMIT};
    for (size_t i = 0; !tier->options.first && i < ARRAY_LEN(live); i++) {
        if (live[i] == kind) {
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        if (never[i] == kind) {
            return false;
        }
    }
    return tier->options.first;
}

/* Prefixes none of which begins with another, in the arena. */
static size_t find_prefixes(const struct tier *tier, struct arena *arena,
                            struct str prefixes[SERVE_KEYS])
{
    size_t count = 0;
    for (int kind = 0; kind < SERVE_KEYS; kind++) {
        struct buf text = {0};
        bool covered = !is_watched(tier, (enum serve_key)kind);
        serve_key_put_prefix(&text, (enum serve_key)kind);
        for (size_t i = 0; i < count && !covered; i++) {
            covered = str_starts(buf_str(&text), prefixes[i]);
        }
        if (!covered) {
            prefixes[count++] = arena_copy(arena, buf_str(&text));
        }
        buf_free(&text);
    }
    return count;
}

enum kol_status tier_watch_start(struct tier *tier, struct kol_error *err)
{
    struct arena arena;
    struct str prefixes[SERVE_KEYS];
    arena_init(&arena, 0);
    const struct redis_watch_options options = {
        .redis = tier->redis,
        .prefixes = prefixes,
        .prefix_count = find_prefixes(tier, &arena, prefixes),
        .channel = SERVE_CHANNEL,
        .on_keys = on_keys,
        .on_message = on_message,
        .on_lost = on_lost,
        .on_ready = on_ready,
        .user = tier,
    };
    enum kol_status status = redis_watch_start(&options, &tier->watch, err);
    arena_free(&arena);
    return status;
}
