/*
 * redis_pool.c: the connections to one server.
 *
 * A pipe takes a connection, or makes one, has it for itself for one round trip and gives it back
 * only if all answers came. So at most as many are open as pipes run at once. The one that was used
 * last is taken first: the others grow old, and are dropped when the server closed them.
 *
 * The lock is held to take, to give and to count; never while anything waits.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "cache/redis_parts.h"

void redis_pool_init(struct redis_pool *pool, const struct redis_options *options,
                     const struct redis_tls *tls, const char *name)
{
    *pool = (struct redis_pool){.options = options, .tls = tls, .name = name};
    KOL_ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
}

void redis_pool_end(struct redis_pool *pool)
{
    KOL_ASSERT(pool->counts.open == pool->counts.idle);
    while (pool->idle) {
        struct redis_link *link = pool->idle;
        pool->idle = link->next;
        redis_link_free(&link);
    }
    pthread_mutex_destroy(&pool->lock);
}

static struct redis_link *pop_idle(struct redis_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct redis_link *link = pool->idle;
    if (link) {
        pool->idle = link->next;
        pool->counts.idle--;
    }
    pthread_mutex_unlock(&pool->lock);
    return link;
}

/* Closes a connection that was open, by our failure or the server's. */
static void drop(struct redis_pool *pool, struct redis_link *link)
{
    pthread_mutex_lock(&pool->lock);
    pool->counts.open--;
    pool->counts.lost_connections++;
    pthread_mutex_unlock(&pool->lock);
    redis_link_free(&link);
}

static void give_back(struct redis_pool *pool, struct redis_link *link)
{
    pthread_mutex_lock(&pool->lock);
    const bool kept = pool->counts.idle < pool->options->connections;
    if (kept) {
        link->next = pool->idle;
        pool->idle = link;
        pool->counts.idle++;
    } else {
        pool->counts.open--;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!kept) {
        redis_link_free(&link);
    }
}

int64_t redis_earlier(int64_t deadline_ns, int64_t limit_us)
{
    const int64_t limit_ns = clock_mono_ns() + limit_us * 1000;
    return limit_ns < deadline_ns ? limit_ns : deadline_ns;
}

static enum kol_status connect_anew(struct redis_pool *pool, int64_t deadline_ns,
                                    struct redis_link **out, struct kol_error *err)
{
    deadline_ns = redis_earlier(deadline_ns, pool->options->connect_us);
    const enum kol_status status =
        redis_link_open(pool->options, pool->tls, pool->name, deadline_ns, out, err);
    pthread_mutex_lock(&pool->lock);
    if (status == KOL_OK) {
        pool->counts.connections++;
        pool->counts.open++;
    } else {
        pool->counts.failed_connections++;
        pool->counts.timeouts += status == KOL_TIMEOUT;
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}

struct redis_link *redis_pool_take_idle(struct redis_pool *pool)
{
    struct redis_link *link;
    while ((link = pop_idle(pool)) && !redis_link_is_quiet(link)) {
        drop(pool, link);
    }
    return link;
}

enum kol_status redis_pool_take(struct redis_pool *pool, int64_t deadline_ns,
                                struct redis_link **out, struct kol_error *err)
{
    *out = redis_pool_take_idle(pool);
    return *out ? KOL_OK : connect_anew(pool, deadline_ns, out, err);
}

void redis_pool_put(struct redis_pool *pool, struct redis_link *link, size_t commands,
                    enum kol_status status)
{
    pthread_mutex_lock(&pool->lock);
    pool->counts.pipes++;
    pool->counts.commands += (int64_t)commands;
    pool->counts.timeouts += status == KOL_TIMEOUT;
    pool->counts.sent_bytes += link->sent_bytes;
    pool->counts.read_bytes += link->read_bytes;
    pthread_mutex_unlock(&pool->lock);
    link->sent_bytes = link->read_bytes = 0;
    if (status == KOL_OK) {
        give_back(pool, link);
    } else {
        drop(pool, link);
    }
}

void redis_pool_add_counts(struct redis_pool *pool, struct redis_counts *sum)
{
    pthread_mutex_lock(&pool->lock);
    const struct redis_counts *counts = &pool->counts;
    sum->connections += counts->connections;
    sum->failed_connections += counts->failed_connections;
    sum->lost_connections += counts->lost_connections;
    sum->pipes += counts->pipes;
    sum->commands += counts->commands;
    sum->timeouts += counts->timeouts;
    sum->sent_bytes += counts->sent_bytes;
    sum->read_bytes += counts->read_bytes;
    sum->open += counts->open;
    sum->idle += counts->idle;
    pthread_mutex_unlock(&pool->lock);
}
