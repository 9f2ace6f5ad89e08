/* tier.c: opening the tier, asking Redis behind the breaker, and the tier's own thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/random.h"
#include "serve/tier_parts.h"

#define MS INT64_C(1000)
#define ASK_US (250 * MS)
#define TRIAL_US (250 * MS)
#define HEAT_US (10 * 1000 * MS)  /* how often the access log is fed */
#define SAVE_US (300 * 1000 * MS) /* how often it is saved */

enum { FAILURES = 3, QUEUE = 4096, REST_US = 200000, REST_MAX_US = 1000000, IDLE_MS = 100 };

/* ---- the thread ---- */

/* One exchange that costs nothing, by which the breaker closes again. */
static void try_again(struct tier *tier)
{
    struct kol_error err;
    struct redis_pipe *pipe = redis_pipe_new(tier->redis);
    redis_addf(pipe, "PING");
    const int64_t deadline_ns = clock_mono_ns() + TRIAL_US * 1000;
    const bool well =
        redis_run(pipe, deadline_ns, &err) == KOL_OK && redis_answer(pipe, 0)->kind != REDIS_ERROR;
    breaker_tell(&tier->breaker, well);
    redis_pipe_free(&pipe);
    if (well) {
        log_info("redis %s answers again", redis_name(tier->redis));
    }
}

static bool is_key(struct tier *tier, struct str text)
{
    enum serve_key kind;
    struct str parts[SERVE_PARTS];
    return serve_key_read(text, tier->options.is_platform, &kind, parts);
}

/* An answer's uses are those of each key that it was made from. */
static void feed(struct str key, const struct str *tags, size_t tag_count, double uses, void *user)
{
    struct tier *tier = user;
    (void)key;
    for (size_t i = 0; i < tag_count; i++) {
        if (is_key(tier, tags[i])) {
            heat_add(tier->heat, tags[i], uses);
        }
    }
}

static void save_heat(struct tier *tier)
{
    struct kol_error err;
    if (tier->heat_file && heat_save(tier->heat, tier->heat_file, &err) != KOL_OK) {
        log_warn("the access log cannot be saved: %s", err.message);
    }
}

/* Waits for writes, or a moment; true: the tier closes. */
static bool wait_for_work(struct tier *tier)
{
    pthread_mutex_lock(&tier->queue_lock);
    if (!tier->stop && !tier->first_write) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += IDLE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&tier->queue_ready, &tier->queue_lock, &until);
    }
    const bool stop = tier->stop;
    pthread_mutex_unlock(&tier->queue_lock);
    return stop;
}

static void *run_thread(void *user)
{
    struct tier *tier = user;
    int64_t fed_ns = clock_mono_ns(), saved_ns = fed_ns;
    for (;;) {
        const bool stop = wait_for_work(tier);
        const int64_t now_ns = clock_mono_ns();
        if (breaker_trial(&tier->breaker)) {
            try_again(tier);
        }
        while (tier_write_some(tier)) {
        }
        if (tier->options.l1 && (stop || now_ns - fed_ns > HEAT_US * 1000)) {
            fed_ns = now_ns;
            l1_take_uses(tier->options.l1, feed, tier);
        }
        if (stop || now_ns - saved_ns > SAVE_US * 1000) {
            saved_ns = now_ns;
            save_heat(tier);
        }
        if (stop) {
            return NULL;
        }
    }
}

/* ---- opening ---- */

static enum kol_status load_heat(struct tier *tier, struct kol_error *err)
{
    tier->heat = heat_new(&(struct heat_options){0});
    if (!tier->options.heat) {
        return KOL_OK;
    }
    tier->heat_file = mem_strdup(tier->options.heat);
    enum kol_status status = heat_load(tier->heat, tier->heat_file, err);
    if (status == KOL_CORRUPT) {
        log_warn("the access log goes on with what could be read of it: %s", err->message);
    } else if (status != KOL_OK && status != KOL_NOT_FOUND) {
        return status;
    }
    return KOL_OK;
}

static void init(struct tier *tier, const struct tier_options *options)
{
    tier->options = *options;
    tier->redis = options->redis;
    tier->options.ask_us = options->ask_us ? options->ask_us : ASK_US;
    tier->options.queue = options->queue ? options->queue : QUEUE;
    tier->last_write = &tier->first_write;
    tier->seen = mem_zalloc(TIER_SEEN_SETS, sizeof *tier->seen);
    random_fill(&tier->seed, sizeof tier->seed);
    breaker_init(&tier->breaker, FAILURES, REST_US, REST_MAX_US);
    pthread_mutex_init(&tier->pipes_lock, NULL);
    pthread_mutex_init(&tier->queue_lock, NULL);
    for (size_t i = 0; i < TIER_SEEN_LOCKS; i++) {
        pthread_mutex_init(&tier->seen_locks[i], NULL);
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&tier->queue_ready, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

enum kol_status tier_open(const struct tier_options *options, struct tier **out,
                          struct kol_error *err)
{
    struct tier *tier = mem_zalloc(1, sizeof *tier);
    init(tier, options);
    enum kol_status status = load_heat(tier, err);
    if (status == KOL_OK) {
        status = tier_watch_start(tier, err);
    }
    if (status != KOL_OK) {
        tier_close(&tier);
        return status;
    }
    KOL_ASSERT(pthread_create(&tier->thread, NULL, run_thread, tier) == 0);
    tier->started = true;
    *out = tier;
    return KOL_OK;
}

void tier_close(struct tier **tier_at)
{
    struct tier *tier = *tier_at;
    if (!tier) {
        return;
    }
    redis_watch_stop(&tier->watch);
    if (tier->started) {
        pthread_mutex_lock(&tier->queue_lock);
        tier->stop = true;
        pthread_cond_signal(&tier->queue_ready);
        pthread_mutex_unlock(&tier->queue_lock);
        pthread_join(tier->thread, NULL);
    }
    for (struct tier_write *write = tier->first_write, *next; write; write = next) {
        next = write->next;
        tier_write_free(write);
    }
    for (size_t i = 0; i < tier->pipe_count; i++) {
        redis_pipe_free(&tier->pipes[i]);
    }
    for (size_t i = 0; i < TIER_SEEN_LOCKS; i++) {
        pthread_mutex_destroy(&tier->seen_locks[i]);
    }
    pthread_cond_destroy(&tier->queue_ready);
    pthread_mutex_destroy(&tier->queue_lock);
    pthread_mutex_destroy(&tier->pipes_lock);
    breaker_free(&tier->breaker);
    heat_free(&tier->heat);
    redis_close(&tier->redis);
    free(tier->heat_file);
    free(tier->seen);
    free(tier);
    *tier_at = NULL;
}

bool tier_is_first(const struct tier *tier)
{
    return tier->options.first;
}

struct redis *tier_redis(struct tier *tier)
{
    return tier->redis;
}

struct heat *tier_heat(struct tier *tier)
{
    return tier->heat;
}

/* ---- asking ---- */

struct redis_pipe *tier_pipe(struct tier *tier)
{
    struct redis_pipe *pipe = NULL;
    if (!breaker_closed(&tier->breaker)) {
        return NULL;
    }
    pthread_mutex_lock(&tier->pipes_lock);
    if (tier->pipe_count) {
        pipe = tier->pipes[--tier->pipe_count];
    }
    pthread_mutex_unlock(&tier->pipes_lock);
    return pipe ? pipe : redis_pipe_new(tier->redis);
}

void tier_pipe_done(struct tier *tier, struct redis_pipe **pipe)
{
    if (!*pipe) {
        return;
    }
    redis_clear(*pipe);
    pthread_mutex_lock(&tier->pipes_lock);
    if (tier->pipe_count < TIER_FREE_PIPES) {
        tier->pipes[tier->pipe_count++] = *pipe;
        *pipe = NULL;
    }
    pthread_mutex_unlock(&tier->pipes_lock);
    redis_pipe_free(pipe);
}

static struct tier_trip trip_of(const struct tier *tier, struct redis_pipe *pipe,
                                int64_t deadline_ns)
{
    const int64_t start_ns = clock_mono_ns();
    return (struct tier_trip){pipe, start_ns, start_ns + tier->options.ask_us * 1000, deadline_ns};
}

static int64_t earlier(const struct tier_trip *trip)
{
    return trip->own_ns < trip->deadline_ns ? trip->own_ns : trip->deadline_ns;
}

/* Counts an exchange, and tells the breaker of it. */
static bool judge(struct tier *tier, const struct tier_trip *trip, enum kol_status status,
                  const struct kol_error *err)
{
    const bool well = status == KOL_OK;
    const int64_t end_ns = clock_mono_ns();
    metrics_observe(METRIC_CACHE_TRIP_SECONDS, "redis", (double)(end_ns - trip->start_ns) / 1e9);
    atomic_fetch_add_explicit(&tier->trips, 1, memory_order_relaxed);
    if (!well) {
        atomic_fetch_add_explicit(&tier->failed_trips, 1, memory_order_relaxed);
    }
    /* A request that had no time left says nothing of Redis. */
    const bool cut = !well && trip->deadline_ns < trip->own_ns && end_ns >= trip->deadline_ns;
    if (!cut && breaker_tell(&tier->breaker, well)) {
        log_warn("redis %s is left alone until it answers again: %s", redis_name(tier->redis),
                 err->message);
    }
    return well;
}

bool tier_run(struct tier *tier, struct redis_pipe *pipe, int64_t deadline_ns)
{
    struct kol_error err;
    const struct tier_trip trip = trip_of(tier, pipe, deadline_ns);
    const enum kol_status status = redis_run(pipe, earlier(&trip), &err);
    return judge(tier, &trip, status, &err);
}

bool tier_begin(struct tier *tier, struct redis_pipe *pipe, int64_t deadline_ns,
                struct tier_trip *out)
{
    *out = trip_of(tier, pipe, deadline_ns);
    return redis_begin(pipe, earlier(out));
}

bool tier_end(struct tier *tier, const struct tier_trip *trip)
{
    struct kol_error err;
    const enum kol_status status = redis_end(trip->pipe, &err);
    return judge(tier, trip, status, &err);
}

void tier_count(struct tier *tier, enum tier_read read)
{
    atomic_fetch_add_explicit(&tier->reads[read], 1, memory_order_relaxed);
}

void tier_stats(struct tier *tier, struct tier_stats *out)
{
    *out = (struct tier_stats){
        .trips = tier->trips,
        .failed_trips = tier->failed_trips,
        .written = tier->written,
        .kept = tier->kept,
        .refused = tier->refused,
        .dropped = tier->dropped,
        .failed_writes = tier->failed_writes,
        .changes = tier->changes,
        .drops = tier->drops,
        .same = tier->same,
        .lost = tier->lost,
        .channel = tier->channel,
        .breaker = breaker_state(&tier->breaker),
        .breaker_opened = breaker_opened(&tier->breaker),
    };
    for (size_t i = 0; i < TIER_READS; i++) {
        out->reads[i] = tier->reads[i];
    }
    pthread_mutex_lock(&tier->queue_lock);
    out->waiting = (int64_t)tier->waiting;
    pthread_mutex_unlock(&tier->queue_lock);
    redis_counts(tier->redis, &out->redis);
}
