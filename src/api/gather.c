/*
 * gather.c: calls that ask Redis for one key each, asked all at once.
 *
 * On the way through workers each such call costs two changes of thread and an exchange of its own.
 * Here those that come while an exchange is under way wait for the next one, on one thread: the
 * more there are, the less each of them costs. A call whose value came goes on on this thread,
 * which then waits for nothing any more; all others go on to a worker.
 *
 * What was read here is used by a load that begins only afterwards: by then it may have changed,
 * and the change have been told. So it counts only as long as it is what was last seen of the key.
 */
#include <stdlib.h>

#include "api/tiered.h"
#include "base/clock.h"

enum { AT_ONCE = 64, MOST = 4096 };

struct gathered {
    struct http_call *call;
    void (*work)(void *call);
};

struct api_gather {
    struct api *api;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    struct gathered *queue; /* a ring of MOST */
    size_t first, count;
    bool stop;
};

/* Takes what waits, AT_ONCE at most; 0: it ends. */
static size_t take(struct api_gather *gather, struct gathered out[AT_ONCE])
{
    size_t count = 0;
    pthread_mutex_lock(&gather->lock);
    while (!gather->count && !gather->stop) {
        pthread_cond_wait(&gather->ready, &gather->lock);
    }
    for (; gather->count && count < AT_ONCE; count++) {
        out[count] = gather->queue[gather->first];
        gather->first = (gather->first + 1) % MOST;
        gather->count--;
    }
    pthread_mutex_unlock(&gather->lock);
    return count;
}

/* One exchange for all; what came of each is left in its call. */
static void ask(struct api_gather *gather, struct gathered *calls, size_t count)
{
    struct tier *tier = gather->api->tier;
    struct redis_pipe *pipe = tier_pipe(tier);
    struct api_asked *asked[AT_ONCE];
    size_t places[AT_ONCE];
    int64_t deadline_ns = INT64_MAX;
    for (size_t i = 0; pipe && i < count; i++) {
        asked[i] = http_cancelled(calls[i].call) ? NULL : api_tiered_key(calls[i].call);
        if (asked[i]) {
            const int64_t own_ns = http_call_deadline_ns(calls[i].call);
            deadline_ns = own_ns < deadline_ns ? own_ns : deadline_ns;
            places[i] = serve_ask(pipe, asked[i]->kind, asked[i]->key);
        }
    }
    if (pipe && tier_run(tier, pipe, deadline_ns)) {
        for (size_t i = 0; i < count; i++) {
            if (asked[i]) {
                asked[i]->read = api_ask_take(asked[i], pipe, places[i]);
                api_call_of(calls[i].call)->asked = asked[i];
            }
        }
    }
    tier_pipe_done(tier, &pipe);
}

static void *run(void *user)
{
    struct api_gather *gather = user;
    struct gathered calls[AT_ONCE];
    size_t count;
    while ((count = take(gather, calls)) != 0) {
        ask(gather, calls, count);
        http_cork();
        for (size_t i = 0; i < count; i++) {
            const struct api_asked *asked = api_call_of(calls[i].call)->asked;
            if (http_cancelled(calls[i].call) || (asked && asked->read == TIER_HIT)) {
                calls[i].work(calls[i].call);
            } else if (!http_run(http_call_server(calls[i].call), calls[i].work, calls[i].call)) {
                http_uncork();
                calls[i].work(calls[i].call); /* late rather than not at all */
            }
        }
        http_uncork();
    }
    return NULL;
}

bool api_gather_take(struct http_call *call, void (*work)(void *call), void *user)
{
    struct api_gather *gather = ((struct api *)user)->gather;
    if (!gather || !api_tiered_by_key(call)) {
        return false;
    }
    pthread_mutex_lock(&gather->lock);
    const bool taken = gather->count < MOST;
    if (taken) {
        gather->queue[(gather->first + gather->count) % MOST] = (struct gathered){call, work};
        if (gather->count++ == 0) {
            pthread_cond_signal(&gather->ready);
        }
    }
    pthread_mutex_unlock(&gather->lock);
    return taken;
}

struct api_gather *api_gather_start(struct api *api)
{
    struct api_gather *gather = mem_zalloc(1, sizeof *gather);
    gather->api = api;
    gather->queue = mem_zalloc(MOST, sizeof *gather->queue);
    pthread_mutex_init(&gather->lock, NULL);
    pthread_cond_init(&gather->ready, NULL);
    KOL_ASSERT(pthread_create(&gather->thread, NULL, run, gather) == 0);
    return gather;
}

void api_gather_stop(struct api_gather **gather_at)
{
    struct api_gather *gather = *gather_at;
    if (!gather) {
        return;
    }
    pthread_mutex_lock(&gather->lock);
    gather->stop = true;
    pthread_cond_signal(&gather->ready);
    pthread_mutex_unlock(&gather->lock);
    pthread_join(gather->thread, NULL);
    pthread_cond_destroy(&gather->ready);
    pthread_mutex_destroy(&gather->lock);
    free(gather->queue);
    free(gather);
    *gather_at = NULL;
}
