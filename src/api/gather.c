/*
 * gather.c: calls that ask Redis for one key each, asked all at once.
 *
 * On the way through workers each such call costs two changes of thread and an exchange of its own.
 * Here those that come while an exchange is under way wait for the next one: the more there are,
 * the less each of them costs. Each event thread does that for its own clients, without waiting for
 * anything, and answers what was found then and there: no other thread is woken. Where Redis cannot
 * be asked without a wait (there is no open connection yet, it is a cluster or speaks TLS) one
 * thread asks for all.
 *
 * A call whose value did not come goes on to a worker.
 *
 * What was read here is used by a load that begins only afterwards: by then it may have changed,
 * and the change have been told. So it counts only as long as it is what was last seen of the key.
 */
#include <stdlib.h>

#include "api/tiered.h"
#include "base/clock.h"

enum {
    AT_ONCE = 32, /* calls of one exchange; a thread answers that many in a fraction of a ms */
    MOST = 4096,  /* that wait, of a thread */
    LANES = 256,  /* event threads that ask by themselves */
};

struct gathered {
    struct http_call *call;
    void (*work)(void *call);
};

/* A ring. */
struct line {
    struct gathered *calls; /* MOST */
    size_t first, count;
};

/* The calls of one exchange. */
struct asking {
    struct gathered calls[AT_ONCE];
    struct api_asked *asked[AT_ONCE]; /* NULL: it is over, or its key cannot be spelled */
    size_t places[AT_ONCE];           /* of their commands in the pipe */
    size_t count;
    int64_t deadline_ns; /* the first of theirs */
};

/* What one event thread has to itself. */
struct lane {
    struct line line;
    struct asking asking;
    struct tier_trip trip; /* pipe NULL: none is under way */
};

struct api_gather {
    struct api *api;
    struct lane *lanes[LANES]; /* each made by its thread */
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t ready;
    struct line line;
    bool stop;
};

static bool line_put(struct line *line, struct gathered gathered)
{
    if (line->count == MOST) {
        return false;
    }
    line->calls[(line->first + line->count++) % MOST] = gathered;
    return true;
}

static struct gathered line_take(struct line *line)
{
    const struct gathered gathered = line->calls[line->first];
    line->first = (line->first + 1) % MOST;
    line->count--;
    return gathered;
}

static void take_some(struct line *line, struct asking *out)
{
    for (out->count = 0; line->count && out->count < AT_ONCE;) {
        out->calls[out->count++] = line_take(line);
    }
}

/* ---- an exchange ---- */

static void put_commands(struct asking *asking, struct redis_pipe *pipe)
{
    asking->deadline_ns = INT64_MAX;
    for (size_t i = 0; i < asking->count; i++) {
        struct http_call *call = asking->calls[i].call;
        struct api_asked *asked = http_cancelled(call) ? NULL : api_tiered_key(call);
        asking->asked[i] = asked;
        if (asked) {
            api_ask_ahead(asked);
            const int64_t own_ns = http_call_deadline_ns(call);
            asking->deadline_ns = own_ns < asking->deadline_ns ? own_ns : asking->deadline_ns;
            asking->places[i] = serve_ask(pipe, asked->kind, asked->key);
        }
    }
}

/* Leaves in each call what came of it. */
static void take_answers(struct asking *asking, const struct redis_pipe *pipe)
{
    for (size_t i = 0; i < asking->count; i++) {
        struct api_asked *asked = asking->asked[i];
        if (asked) {
            asked->read = api_ask_take(asked, pipe, asking->places[i]);
            api_call_of(asking->calls[i].call)->asked = asked;
        }
    }
}

/* Whether what is left to do for a call waits for nothing: nobody asks Redis again, or anew where a
 * change was told meanwhile. */
static bool is_brief(struct http_call *call)
{
    const struct api_asked *asked = api_call_of(call)->asked;
    return http_cancelled(call) || (asked && api_ask_is_enough(asked));
}

/* ---- the thread for all ---- */

/* Takes what waits; false: it ends. */
static bool take(struct api_gather *gather, struct asking *out)
{
    pthread_mutex_lock(&gather->lock);
    while (!gather->line.count && !gather->stop) {
        pthread_cond_wait(&gather->ready, &gather->lock);
    }
    take_some(&gather->line, out);
    pthread_mutex_unlock(&gather->lock);
    return out->count != 0;
}

static void ask(struct api_gather *gather, struct asking *asking)
{
    struct tier *tier = gather->api->tier;
    struct redis_pipe *pipe = tier_pipe(tier);
    if (pipe) {
        put_commands(asking, pipe);
        if (tier_run(tier, pipe, asking->deadline_ns)) {
            take_answers(asking, pipe);
        }
    }
    tier_pipe_done(tier, &pipe);
}

static void *run(void *user)
{
    struct api_gather *gather = user;
    struct asking asking;
    while (take(gather, &asking)) {
        ask(gather, &asking);
        http_cork();
        for (size_t i = 0; i < asking.count; i++) {
            const struct gathered *at = &asking.calls[i];
            if (is_brief(at->call)) {
                at->work(at->call);
            } else if (!http_run(http_call_server(at->call), at->work, at->call)) {
                http_uncork();
                at->work(at->call); /* late rather than not at all */
            }
        }
        http_uncork();
    }
    return NULL;
}

/* Has the thread ask; false: too many wait for it. */
static bool hand_to_thread(struct api_gather *gather, struct gathered gathered)
{
    pthread_mutex_lock(&gather->lock);
    const bool taken = line_put(&gather->line, gathered);
    if (taken && gather->line.count == 1) {
        pthread_cond_signal(&gather->ready);
    }
    pthread_mutex_unlock(&gather->lock);
    return taken;
}

/* ---- event threads ---- */

/* The lane of the event thread that this is, which is made; NULL: it has none. */
static struct lane *lane_here(struct api_gather *gather)
{
    const size_t place = http_loop_here();
    if (place >= LANES) {
        return NULL;
    }
    if (!gather->lanes[place]) {
        struct lane *lane = gather->lanes[place] = mem_zalloc(1, sizeof *lane);
        lane->line.calls = mem_zalloc(MOST, sizeof *lane->line.calls);
    }
    return gather->lanes[place];
}

/* Has others see to a call: a worker, or the thread where they are all busy. */
static void pass_on(struct api_gather *gather, struct gathered at, bool ask)
{
    if ((ask || !http_run(http_call_server(at.call), at.work, at.call)) &&
        !hand_to_thread(gather, at)) {
        http_refuse_busy(at.call);
    }
}

/* Begins an exchange for what waits; where that would be a wait, others see to all of it. */
static void begin(struct api_gather *gather, struct lane *lane)
{
    struct tier *tier = gather->api->tier;
    struct asking *asking = &lane->asking;
    struct redis_pipe *pipe = tier_pipe(tier);
    take_some(&lane->line, asking);
    if (pipe) {
        put_commands(asking, pipe);
    }
    if (pipe && tier_begin(tier, pipe, asking->deadline_ns, &lane->trip)) {
        return;
    }
    const bool closed = pipe == NULL; /* Redis is not to be asked at all */
    tier_pipe_done(tier, &pipe);
    lane->trip.pipe = NULL;
    for (size_t i = 0; i < asking->count; i++) {
        pass_on(gather, asking->calls[i], !closed);
    }
}

static void finish(struct api_gather *gather, struct lane *lane)
{
    struct tier *tier = gather->api->tier;
    struct asking *asking = &lane->asking;
    if (tier_end(tier, &lane->trip)) {
        take_answers(asking, lane->trip.pipe);
    }
    tier_pipe_done(tier, &lane->trip.pipe);
    lane->trip.pipe = NULL;
    for (size_t i = 0; i < asking->count; i++) {
        if (is_brief(asking->calls[i].call)) {
            asking->calls[i].work(asking->calls[i].call);
        } else {
            pass_on(gather, asking->calls[i], false);
        }
    }
}

/* The thread ends: nothing is asked any more. */
static void give_up(struct api_gather *gather, struct lane *lane)
{
    if (lane->trip.pipe) {
        finish(gather, lane);
    }
    while (lane->line.count) {
        pass_on(gather, line_take(&lane->line), false);
    }
}

void api_gather_besides(size_t loop, struct http_aside *aside, void *user)
{
    struct api_gather *gather = ((struct api *)user)->gather;
    struct lane *lane = loop < LANES ? gather->lanes[loop] : NULL;
    if (!lane ||
        (lane->trip.pipe && !aside->ready && !aside->last && clock_mono_ns() < aside->until_ns)) {
        return;
    }
    if (aside->last) {
        give_up(gather, lane);
    }
    if (lane->trip.pipe && redis_go_on(lane->trip.pipe)) {
        finish(gather, lane);
    }
    while (!lane->trip.pipe && lane->line.count) {
        begin(gather, lane);
    }
    aside->fd = -1;
    if (lane->trip.pipe) {
        redis_wait(lane->trip.pipe, &aside->fd, &aside->write, &aside->until_ns);
    }
}

/* ---- start and stop ---- */

bool api_gather_take(struct http_call *call, void (*work)(void *call), void *user)
{
    struct api_gather *gather = ((struct api *)user)->gather;
    if (!gather || !api_tiered_by_key(call)) {
        return false;
    }
    const struct gathered gathered = {call, work};
    struct lane *lane = lane_here(gather);
    return (lane && line_put(&lane->line, gathered)) || hand_to_thread(gather, gathered);
}

struct api_gather *api_gather_start(struct api *api)
{
    struct api_gather *gather = mem_zalloc(1, sizeof *gather);
    gather->api = api;
    gather->line.calls = mem_zalloc(MOST, sizeof *gather->line.calls);
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
    for (size_t i = 0; i < LANES; i++) {
        if (gather->lanes[i]) {
            KOL_ASSERT(!gather->lanes[i]->line.count && !gather->lanes[i]->trip.pipe);
            free(gather->lanes[i]->line.calls);
            free(gather->lanes[i]);
        }
    }
    free(gather->line.calls);
    free(gather);
    *gather_at = NULL;
}
