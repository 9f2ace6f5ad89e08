/*
 * redis_watch_fixture.h: a watch of Redis and all that it told.
 */
#ifndef REDIS_WATCH_FIXTURE_H
#define REDIS_WATCH_FIXTURE_H

#include "redis_fixture.h"

#include <pthread.h>

#include "cache/redis_watch.h"

/* News in the order in which they came, one a line: "key K", "all", "message M", "lost", "ready".
 */
struct heard {
    pthread_mutex_t lock;
    struct buf news;
    int64_t keys, batches, lost, ready;
    struct kol_error last; /* with which it was lost */
    pthread_t thread;      /* that told all of it */
    bool told;
};

static inline void note(struct heard *heard)
{
    KOL_ASSERT(!heard->told || pthread_equal(heard->thread, pthread_self()));
    heard->thread = pthread_self();
    heard->told = true;
}

static inline void on_keys(const struct str *keys, size_t count, void *user)
{
    struct heard *heard = user;
    pthread_mutex_lock(&heard->lock);
    note(heard);
    heard->keys += (int64_t)count;
    heard->batches++;
    for (size_t i = 0; i < count; i++) {
        buf_printf(&heard->news, "key %.*s\n", STR_FORMAT(keys[i]));
    }
    if (!keys) {
        buf_puts(&heard->news, "all\n");
    }
    pthread_mutex_unlock(&heard->lock);
}

static inline void on_message(struct str text, void *user)
{
    struct heard *heard = user;
    pthread_mutex_lock(&heard->lock);
    note(heard);
    buf_printf(&heard->news, "message %.*s\n", STR_FORMAT(text));
    pthread_mutex_unlock(&heard->lock);
}

static inline void on_lost(const struct kol_error *err, void *user)
{
    struct heard *heard = user;
    pthread_mutex_lock(&heard->lock);
    note(heard);
    heard->lost++;
    heard->last = *err;
    buf_puts(&heard->news, "lost\n");
    pthread_mutex_unlock(&heard->lock);
}

static inline void on_ready(void *user)
{
    struct heard *heard = user;
    pthread_mutex_lock(&heard->lock);
    note(heard);
    heard->ready++;
    buf_puts(&heard->news, "ready\n");
    pthread_mutex_unlock(&heard->lock);
}

static const struct str prefixes[] = {{"a:", 2}, {"b:", 2}};

struct watching {
    struct heard heard;
    struct redis *redis;
    struct redis_watch *watch;
};

static inline void begin_with(struct watching *watching, const struct redis_options *options,
                              int64_t ping_us, const char *channel)
{
    struct kol_error err = {0};
    memset(watching, 0, sizeof *watching);
    pthread_mutex_init(&watching->heard.lock, NULL);
    watching->redis = open_redis(options);
    const struct redis_watch_options watch = {.redis = watching->redis,
                                              .prefixes = prefixes,
                                              .prefix_count = ARRAY_LEN(prefixes),
                                              .channel = channel,
                                              .ping_us = ping_us,
                                              .on_keys = on_keys,
                                              .on_message = on_message,
                                              .on_lost = on_lost,
                                              .on_ready = on_ready,
                                              .user = &watching->heard};
    if (redis_watch_start(&watch, &watching->watch, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
}

/* Waits until a number is reached; how long that took, in ms. */
static inline int64_t await(struct watching *watching, const int64_t *number, int64_t least)
{
    const int64_t began_ns = clock_mono_ns();
    for (;;) {
        pthread_mutex_lock(&watching->heard.lock);
        const bool there = *number >= least;
        pthread_mutex_unlock(&watching->heard.lock);
        if (there) {
            return (clock_mono_ns() - began_ns) / MS;
        }
        if (clock_mono_ns() - began_ns > 30000 * MS) {
            fail_msg("waited 30 s after: %s", watching->heard.news.ptr);
        }
        nap();
    }
}

static inline void await_news(struct watching *watching, const char *last)
{
    for (const int64_t deadline_ns = in_ms(30000);;) {
        pthread_mutex_lock(&watching->heard.lock);
        const bool there = watching->heard.news.ptr && strstr(watching->heard.news.ptr, last);
        pthread_mutex_unlock(&watching->heard.lock);
        if (there) {
            return;
        }
        if (clock_mono_ns() > deadline_ns) {
            fail_msg("`%s` did not come after: %s", last, watching->heard.news.ptr);
        }
        nap();
    }
}

/* How long the stop took, in ms. */
static inline int64_t end(struct watching *watching)
{
    const int64_t began_ns = clock_mono_ns();
    redis_watch_stop(&watching->watch);
    const int64_t took_ms = (clock_mono_ns() - began_ns) / MS;
    assert_null(watching->watch);
    redis_watch_stop(&watching->watch);
    redis_close(&watching->redis);
    buf_free(&watching->heard.news);
    pthread_mutex_destroy(&watching->heard.lock);
    return took_ms;
}

#endif
