/*
 * limits.c: one rate limit for all processes: what this one let through is told to the buckets that
 * all share, in Redis or, without it, in the live store of the machine.
 *
 * No request waits for it: the server judges by its own buckets. A thread sleeps until something
 * was counted, lets a moment pass so that one exchange tells of many calls, tells, and moves the
 * own buckets on to what the shared ones hold. While Redis cannot be asked nothing is drained: the
 * own buckets judge alone, and what each holds afterwards is told as it stands.
 *
 * An address stands in Redis as a hash that is keyed by the password of Redis: processes agree on
 * it, and whoever sees the keys without it (in a dump, on a screen) cannot try all addresses.
 */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "api/parts.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/metrics.h"
#include "serve/limits.h"

enum {
    MOMENT_MS = 100,    /* between what was counted and its being told */
    AT_ONCE = 256,      /* callers of one exchange */
    TRIP_MS = 1000,     /* longest for it; the tier has a bound of its own */
    HASH_BYTES = 16,    /* of an address, in the key */
    HASH_BYTES_ALL = 32 /* of SHA-256 */
};

struct api_limits {
    struct api *api;
    struct buf secret; /* of the hashes of addresses */
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool counted, stop; /* lock */

    pthread_mutex_t telling;          /* held while the server is used */
    const struct http_server *server; /* telling */
    struct http_spent spent[AT_ONCE]; /* telling */
};

/* ---- names ---- */

static void put_hash(const struct api_limits *limits, struct str bytes, struct buf *out)
{
    unsigned char hash[HASH_BYTES_ALL];
    if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, limits->secret.ptr, limits->secret.len, bytes.ptr,
                         bytes.len, hash) != 0) {
        kol_panic("SHA-256 is not available");
    }
    for (size_t i = 0; i < HASH_BYTES; i++) {
        buf_printf(out, "%02x", hash[i]);
    }
}

static void put_key(const struct api_limits *limits, const struct http_spent *spent,
                    struct buf *out)
{
    const struct str given = {spent->id, spent->id_len};
    struct buf hash = {0};
    if (spent->is_address) {
        put_hash(limits, given, &hash);
    }
    const struct str parts[] = {spent->is_address               ? STR("address")
                                : spent->use == API_USE_SIGN_IN ? STR("sign_in")
                                                                : STR("key"),
                                spent->is_address ? buf_str(&hash) : given};
    buf_clear(out);
    serve_key_put(out, SERVE_KEY_RATE_LIMIT, parts);
    buf_free(&hash);
}

/* ---- telling ---- */

static int64_t us_up(int64_t ns)
{
    return (ns + 999) / 1000;
}

/* Redis: all in one exchange. */

static struct serve_spent for_redis(const struct http_spent *spent)
{
    return (struct serve_spent){
        .age_us = spent->age_ns / 1000,
        .spent_us = us_up(spent->spent_ns),
        .floor_us = us_up(spent->floor_ns),
        .most_us = us_up(spent->most_ns),
    };
}

static void take_answer(const struct redis_pipe *pipe, size_t place, struct http_spent *spent)
{
    const struct serve_spent told = for_redis(spent);
    int64_t held_us;
    struct str why;
    const enum serve_told what = serve_take_spent(pipe, place, &told, &held_us, &why);
    spent->told = what != SERVE_NOT_TOLD;
    spent->held_ns = held_us * 1000;
    if (what == SERVE_TOLD_ANEW) {
        metrics_add(METRIC_LIMITS_TOLD, "anew", 1);
    } else if (what == SERVE_NOT_TOLD) {
        log_warn("redis does not keep a rate limit, it holds within this process: %.*s",
                 STR_FORMAT(why));
    }
}

static void tell_redis(struct api_limits *limits, struct redis_pipe *pipe, size_t count)
{
    struct tier *tier = limits->api->tier;
    size_t places[AT_ONCE];
    struct buf key = {0};
    for (size_t i = 0; i < count; i++) {
        const struct serve_spent spent = for_redis(&limits->spent[i]);
        put_key(limits, &limits->spent[i], &key);
        places[i] = serve_put_spent(pipe, buf_str(&key), &spent);
    }
    buf_free(&key);
    if (count && tier_run(tier, pipe, clock_mono_ns() + TRIP_MS * INT64_C(1000000))) {
        for (size_t i = 0; i < count; i++) {
            take_answer(pipe, places[i], &limits->spent[i]);
        }
    }
}

/* The live store: one after the other, each some microseconds. */
static void tell_live(struct api_limits *limits, size_t count)
{
    struct kol_error err;
    struct buf key = {0};
    for (size_t i = 0; i < count; i++) {
        struct http_spent *spent = &limits->spent[i];
        const struct live_spent told = {
            .age_us = spent->age_ns / 1000,
            .spent_us = us_up(spent->spent_ns),
            .floor_us = us_up(spent->floor_ns),
            .most_us = us_up(spent->most_ns),
        };
        int64_t held_us;
        put_key(limits, spent, &key);
        spent->told = live_spend(limits->api->live, buf_str(&key), &told, &held_us, &err) == KOL_OK;
        spent->held_ns = held_us * 1000;
        if (!spent->told) {
            log_warn("a rate limit holds within this process alone: %s", err.message);
        }
    }
    buf_free(&key);
}

static void count_told(const struct http_spent *spent, size_t count)
{
    int64_t told = 0;
    for (size_t i = 0; i < count; i++) {
        told += spent[i].told;
    }
    metrics_add(METRIC_LIMITS_TOLD, "told", told);
    metrics_add(METRIC_LIMITS_TOLD, "failed", (int64_t)count - told);
}

/* What is left to be told after an exchange: nothing, more at once, or what must wait. */
enum left { LEFT_NOTHING, LEFT_MORE, LEFT_FOR_LATER };

static enum left tell_some(struct api_limits *limits)
{
    struct tier *tier = limits->api->tier;
    struct redis_pipe *pipe = tier ? tier_pipe(tier) : NULL;
    if (tier && !pipe) {
        return LEFT_FOR_LATER; /* Redis is left alone for now */
    }
    const size_t count = http_rates_drain(limits->server, limits->spent, AT_ONCE);
    if (tier) {
        tell_redis(limits, pipe, count);
        tier_pipe_done(tier, &pipe);
    } else {
        tell_live(limits, count);
    }
    http_rates_merge(limits->server, limits->spent, count);
    count_told(limits->spent, count);
    return count < AT_ONCE ? LEFT_NOTHING : limits->spent[0].told ? LEFT_MORE : LEFT_FOR_LATER;
}

/* Tells of all callers, however many: a moment's wait between exchanges would make what is told of
 * many thousands too old to count. True: something is left to be told later. */
static bool tell(struct api_limits *limits)
{
    enum { LONGEST_MS = 500 }; /* whoever stops the server waits for it */
    const int64_t until_ns = clock_mono_ns() + LONGEST_MS * INT64_C(1000000);
    enum left left = LEFT_MORE;
    while (left == LEFT_MORE && clock_mono_ns() < until_ns) {
        left = tell_some(limits);
    }
    return left != LEFT_NOTHING;
}

/* ---- the thread ---- */

/* Waits until something was counted (`left`: there is something), then for a moment. False: it is
 * to stop. */
static bool wait_for_turn(struct api_limits *limits, bool left)
{
    struct timespec until;
    int waited = 0;
    pthread_mutex_lock(&limits->lock);
    while (!limits->stop && !limits->counted && !left) {
        pthread_cond_wait(&limits->wake, &limits->lock);
    }
    limits->counted = false;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += MOMENT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (!limits->stop && waited == 0) {
        waited = pthread_cond_timedwait(&limits->wake, &limits->lock, &until);
    }
    const bool stop = limits->stop;
    pthread_mutex_unlock(&limits->lock);
    return !stop;
}

static void *run(void *user)
{
    struct api_limits *limits = user;
    bool left = false;
    while (wait_for_turn(limits, left)) {
        pthread_mutex_lock(&limits->telling);
        left = limits->server && tell(limits);
        pthread_mutex_unlock(&limits->telling);
    }
    return NULL;
}

void api_limits_counted(void *user)
{
    struct api_limits *limits = user;
    pthread_mutex_lock(&limits->lock);
    limits->counted = true;
    pthread_cond_signal(&limits->wake);
    pthread_mutex_unlock(&limits->lock);
}

void api_limits_attach(struct api_limits *limits, const struct http_server *server)
{
    pthread_mutex_lock(&limits->telling);
    limits->server = server;
    pthread_mutex_unlock(&limits->telling);
    /* What was counted before it was known here waits. */
    api_limits_counted(limits);
}

struct api_limits *api_limits_start(struct api *api)
{
    struct api_limits *limits = mem_zalloc(1, sizeof *limits);
    pthread_condattr_t monotonic;
    limits->api = api;
    buf_puts(&limits->secret, "kol limits ");
    buf_puts(&limits->secret, api->tier ? redis_password(tier_redis(api->tier)) : "");
    pthread_mutex_init(&limits->lock, NULL);
    pthread_mutex_init(&limits->telling, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&limits->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    KOL_ASSERT(pthread_create(&limits->thread, NULL, run, limits) == 0);
    return limits;
}

void api_limits_stop(struct api_limits **limits_at)
{
    struct api_limits *limits = *limits_at;
    if (!limits) {
        return;
    }
    pthread_mutex_lock(&limits->lock);
    limits->stop = true;
    pthread_cond_signal(&limits->wake);
    pthread_mutex_unlock(&limits->lock);
    pthread_join(limits->thread, NULL);
    pthread_cond_destroy(&limits->wake);
    pthread_mutex_destroy(&limits->telling);
    pthread_mutex_destroy(&limits->lock);
    buf_free(&limits->secret);
    free(limits);
    *limits_at = NULL;
}
