/*
 * warm_sender.c: a thread that has one pipe under way, how much may be, and how much fits.
 *
 * Two pipes change places: one is filled by the warmer while the thread sends the other and waits
 * for its answers. Handing over is the only thing that they share.
 *
 * Each server of a cluster has room of its own. What is sent is taken to spread over them as the
 * slots do, and the first that is full ends it: whose keys fit nowhere else.
 */
#include "serve/warm_sender.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    LEAST_BYTES = 4096, /* of a pipe, however slow Redis is */
    STEPS = 16,         /* in which a pipe grows from nothing to its most */
    SLOW = 4,           /* times the fastest */
    ASK_EACH = 8,       /* pipes, while there is much room */
    MOST_SERVERS = 1024,
    NAP_MS = 20,
};

#define QUICK_NS INT64_C(20000000) /* a pipe that took less is not slow */
#define MOST_PAUSE_NS INT64_C(1000000000)
#define FIRST_GROWTH 3.0 /* bytes of memory for each byte sent, until it is known */
#define MOST_GROWTH 16.0

struct batch {
    struct redis_pipe *pipe;
    struct warm_sent *sent;
    size_t count, room;
    struct arena keys; /* of those that may have to be put again */
    int64_t bytes;
    bool asks;    /* its last command asks for the memory in use */
    size_t asked; /* the place of the first server's answer; the others follow */
    enum kol_status status;
    struct kol_error err;
    int64_t took_ns;
};

/* Memory of a server, in bytes. */
struct memory {
    uint32_t slot; /* one of its own */
    double part;   /* of what is sent, that comes to it */
    bool known;    /* it told */
    int64_t most;  /* maxmemory; 0: no limit */
    int64_t used;  /* when it was last asked */
    double growth; /* of `used` by each byte that comes to it */
};

struct warm_sender {
    struct warm_sender_options options;
    struct batch batches[2];
    struct batch *filling, *going; /* going NULL: none is under way */
    int64_t may_take;              /* bytes of one pipe now */
    double fastest_ns;             /* by byte; 0: not known yet */
    int64_t pause_ns;              /* before the next one is sent */
    struct memory *servers;
    size_t server_count;
    bool asked;   /* any of them, ever */
    int64_t sent; /* bytes since they were last asked, */
    int pipes;    /* and pipes */
    struct redis_pipe *asking;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct batch *given; /* to the thread */
    bool done, end;
};

/* ---- the thread ---- */

static void run_batch(struct warm_sender *sender, struct batch *batch)
{
    const int64_t began_ns = clock_mono_ns();
    batch->status = redis_run(batch->pipe, began_ns + sender->options.wait_us * 1000, &batch->err);
    batch->took_ns = clock_mono_ns() - began_ns;
}

static void *run_thread(void *user)
{
    struct warm_sender *sender = user;
    pthread_mutex_lock(&sender->lock);
    for (;;) {
        while (!sender->given && !sender->end) {
            pthread_cond_wait(&sender->changed, &sender->lock);
        }
        struct batch *batch = sender->given;
        if (!batch) {
            break;
        }
        pthread_mutex_unlock(&sender->lock);
        run_batch(sender, batch);
        pthread_mutex_lock(&sender->lock);
        sender->given = NULL;
        sender->done = true;
        pthread_cond_broadcast(&sender->changed);
    }
    pthread_mutex_unlock(&sender->lock);
    return NULL;
}

struct warm_sender *warm_sender_new(const struct warm_sender_options *options)
{
    struct warm_sender *sender = mem_zalloc(1, sizeof *sender);
    sender->options = *options;
    sender->may_take = (int64_t)options->pipe_bytes / 4;
    sender->asking = redis_pipe_new(options->redis);
    for (int i = 0; i < 2; i++) {
        sender->batches[i].pipe = redis_pipe_new(options->redis);
        arena_init(&sender->batches[i].keys, 0);
    }
    sender->filling = &sender->batches[0];
    KOL_ASSERT(pthread_mutex_init(&sender->lock, NULL) == 0);
    KOL_ASSERT(pthread_cond_init(&sender->changed, NULL) == 0);
    KOL_ASSERT(pthread_create(&sender->thread, NULL, run_thread, sender) == 0);
    return sender;
}

void warm_sender_free(struct warm_sender **sender)
{
    struct warm_sender *old = *sender;
    if (!old) {
        return;
    }
    pthread_mutex_lock(&old->lock);
    old->end = true;
    pthread_cond_broadcast(&old->changed);
    pthread_mutex_unlock(&old->lock);
    pthread_join(old->thread, NULL);
    for (int i = 0; i < 2; i++) {
        redis_pipe_free(&old->batches[i].pipe);
        arena_free(&old->batches[i].keys);
        free(old->batches[i].sent);
    }
    redis_pipe_free(&old->asking);
    free(old->servers);
    pthread_cond_destroy(&old->changed);
    pthread_mutex_destroy(&old->lock);
    free(old);
    *sender = NULL;
}

/* ---- filling ---- */

void warm_sender_put(struct warm_sender *sender, const struct serve_write *write,
                     enum warm_part part, int64_t bytes, int64_t way_bytes)
{
    struct batch *batch = sender->filling;
    if (batch->count == batch->room) {
        batch->room = 2 * batch->room + 256;
        batch->sent = mem_realloc(batch->sent, batch->room * sizeof *batch->sent);
    }
    batch->sent[batch->count++] =
        (struct warm_sent){.part = part,
                           .bytes = bytes,
                           .place = serve_put(batch->pipe, write),
                           .done = SERVE_REFUSED,
                           .key = write->first ? arena_copy(&batch->keys, write->key) : STR("")};
    batch->bytes += way_bytes;
}

bool warm_sender_is_full(const struct warm_sender *sender)
{
    return sender->filling->bytes >= sender->may_take;
}

size_t warm_sender_waiting(const struct warm_sender *sender)
{
    return sender->filling->count;
}

size_t warm_sender_going(const struct warm_sender *sender)
{
    return sender->going ? sender->going->count : 0;
}

static void empty(struct batch *batch)
{
    redis_clear(batch->pipe);
    arena_reset(&batch->keys);
    batch->count = 0;
    batch->bytes = 0;
    batch->asks = false;
}

void warm_sender_drop(struct warm_sender *sender)
{
    empty(sender->filling);
}

/* ---- memory ---- */

/* The number behind "name:" at the beginning of a line. */
static bool find_number(struct str info, const char *name, int64_t *out)
{
    while (info.len) {
        struct str line = str_trim(str_cut(&info, '\n'));
        if (str_is(str_cut(&line, ':'), name)) {
            return str_to_int64(line, out);
        }
    }
    return false;
}

/* Takes the servers as they are now; false: they are the same as before. */
static bool take_servers(struct warm_sender *sender)
{
    struct redis_share *shares = mem_alloc(MOST_SERVERS * sizeof *shares);
    size_t count = redis_shares(sender->options.redis, shares, MOST_SERVERS);
    if (count == 0) {
        shares[count++] = (struct redis_share){.part = 1}; /* until it is known */
    }
    bool differ = count != sender->server_count;
    for (size_t i = 0; i < count && !differ; i++) {
        const struct memory *server = &sender->servers[i];
        differ = server->slot != shares[i].slot || fabs(server->part - shares[i].part) > 1e-9;
    }
    if (differ) {
        sender->servers = mem_realloc(sender->servers, count * sizeof *sender->servers);
        sender->server_count = count;
        for (size_t i = 0; i < count; i++) {
            sender->servers[i] = (struct memory){
                .slot = shares[i].slot, .part = shares[i].part, .growth = FIRST_GROWTH};
        }
    }
    free(shares);
    return differ;
}

/* Adds the question to a pipe, for each server; returns the place of the first answer. */
static size_t ask_all(const struct warm_sender *sender, struct redis_pipe *pipe)
{
    static const struct str words[] = {{"INFO", 4}, {"memory", 6}};
    size_t first = 0;
    for (size_t i = 0; i < sender->server_count; i++) {
        const size_t place = redis_add_at(pipe, sender->servers[i].slot, ARRAY_LEN(words), words);
        first = i ? first : place;
    }
    return first;
}

/* Reads what INFO said of the memory. A server that does not tell has no limit that is known. */
static void learn(struct memory *server, int64_t all_sent, const struct redis_answer *info)
{
    const double sent = (double)all_sent * server->part;
    int64_t used, most;
    if (info->kind != REDIS_TEXT || !find_number(info->text, "used_memory", &used) ||
        !find_number(info->text, "maxmemory", &most)) {
        server->known = false;
        return;
    }
    if (server->known && sent > LEAST_BYTES) {
        double growth = (double)(used - server->used) / sent;
        growth = growth < 0 ? 0 : growth > MOST_GROWTH ? MOST_GROWTH : growth;
        /* Up at once, down by halves: the next keys may be new again. */
        server->growth = growth > server->growth ? growth : (server->growth + growth) / 2;
    }
    server->known = true;
    server->used = used;
    server->most = most;
}

static void learn_all(struct warm_sender *sender, const struct redis_pipe *pipe, size_t first)
{
    for (size_t i = 0; i < sender->server_count; i++) {
        learn(&sender->servers[i], sender->sent, redis_answer(pipe, first + i));
    }
    sender->asked = true;
    sender->sent = 0;
    sender->pipes = 0;
}

static double limit_of(const struct warm_sender *sender, const struct memory *server)
{
    return (double)server->most * sender->options.fill;
}

static double expected_use(const struct warm_sender *sender, const struct memory *server,
                           int64_t further)
{
    return (double)server->used + (double)(sender->sent + further) * server->part * server->growth;
}

/* The first server that would have too much; NULL: it fits. */
static const struct memory *find_full(const struct warm_sender *sender, int64_t bytes)
{
    for (size_t i = 0; i < sender->server_count; i++) {
        const struct memory *server = &sender->servers[i];
        if (server->known && server->most &&
            expected_use(sender, server, bytes) > limit_of(sender, server)) {
            return server;
        }
    }
    return NULL;
}

static enum kol_status ask_now(struct warm_sender *sender, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    take_servers(sender);
    /* The first pipe may be what finds the servers of a cluster. */
    do {
        redis_clear(sender->asking);
        const size_t first = ask_all(sender, sender->asking);
        status = redis_run(sender->asking, clock_mono_ns() + sender->options.wait_us * 1000, err);
        if (status == KOL_OK) {
            learn_all(sender, sender->asking, first);
        }
    } while (status == KOL_OK && take_servers(sender));
    return status;
}

enum kol_status warm_sender_room(struct warm_sender *sender, int64_t bytes, bool *room, char *why,
                                 size_t why_size, struct kol_error *err)
{
    KOL_ASSERT(!sender->going);
    const int64_t further = sender->filling->bytes + bytes;
    *room = sender->asked && !find_full(sender, further);
    if (*room) {
        return KOL_OK;
    }
    const enum kol_status status = ask_now(sender, err);
    const struct memory *full = find_full(sender, further);
    *room = status == KOL_OK && !full;
    if (status == KOL_OK && full) {
        snprintf(why, why_size,
                 "%s has %lld of its %lld MiB (maxmemory) in use, and a warm stops before %.0f %%",
                 sender->server_count > 1 ? "a server of Redis" : "Redis",
                 (long long)(full->used >> 20), (long long)(full->most >> 20),
                 sender->options.fill * 100);
    }
    return status;
}

void warm_sender_count(struct warm_sender *sender, int64_t bytes)
{
    sender->sent += bytes;
}

/* With much room left it is enough to ask now and then. */
static bool is_to_ask(const struct warm_sender *sender)
{
    bool known = false;
    for (size_t i = 0; i < sender->server_count; i++) {
        const struct memory *server = &sender->servers[i];
        if (server->known && server->most &&
            expected_use(sender, server, 0) > limit_of(sender, server) / 2) {
            return true;
        }
        known |= server->known;
    }
    return known && sender->pipes >= ASK_EACH;
}

/* ---- sending ---- */

static bool is_stopped(const struct warm_sender *sender)
{
    return sender->options.stop && sender->options.stop(sender->options.user);
}

static void pause_as_due(struct warm_sender *sender)
{
    const int64_t until_ns = clock_mono_ns() + sender->pause_ns;
    sender->pause_ns = 0;
    for (int64_t left_ns; (left_ns = until_ns - clock_mono_ns()) > 0 && !is_stopped(sender);) {
        const int64_t nap_ns = left_ns < NAP_MS * 1000000 ? left_ns : NAP_MS * 1000000;
        nanosleep(&(struct timespec){.tv_nsec = nap_ns}, NULL);
    }
}

void warm_sender_go(struct warm_sender *sender)
{
    struct batch *batch = sender->filling;
    KOL_ASSERT(!sender->going);
    if (batch->count == 0) {
        return;
    }
    pause_as_due(sender);
    batch->asks = is_to_ask(sender);
    if (batch->asks) {
        take_servers(sender);
        batch->asked = ask_all(sender, batch->pipe);
    }
    sender->pipes++;
    sender->going = batch;
    sender->filling = batch == &sender->batches[0] ? &sender->batches[1] : &sender->batches[0];
    empty(sender->filling);
    pthread_mutex_lock(&sender->lock);
    sender->given = batch;
    sender->done = false;
    pthread_cond_broadcast(&sender->changed);
    pthread_mutex_unlock(&sender->lock);
}

/* How much the next pipe may take, after what this one took. */
static void adapt(struct warm_sender *sender, const struct batch *batch)
{
    const int64_t most = (int64_t)sender->options.pipe_bytes;
    const double by_byte_ns = (double)batch->took_ns / (double)(batch->bytes + LEAST_BYTES);
    if (sender->fastest_ns == 0 || by_byte_ns < sender->fastest_ns) {
        sender->fastest_ns = by_byte_ns;
    }
    if (batch->took_ns > QUICK_NS && by_byte_ns > SLOW * sender->fastest_ns) {
        sender->may_take = sender->may_take / 2 > LEAST_BYTES ? sender->may_take / 2 : LEAST_BYTES;
        sender->pause_ns = batch->took_ns < MOST_PAUSE_NS ? batch->took_ns : MOST_PAUSE_NS;
    } else {
        sender->may_take += most / STEPS;
        sender->may_take = sender->may_take < most ? sender->may_take : most;
    }
    /* What was fast once, on an empty machine, must not count for ever. */
    sender->fastest_ns *= 1.01;
}

static struct str read_answers(struct batch *batch)
{
    struct str why = {0};
    for (size_t i = 0; i < batch->count; i++) {
        struct str word;
        batch->sent[i].done = batch->sent[i].key.len
                                  ? serve_tried(batch->pipe, batch->sent[i].place, &word)
                                  : serve_written(batch->pipe, batch->sent[i].place, &word);
        if (batch->sent[i].done == SERVE_REFUSED) {
            why = word;
        }
    }
    return why;
}

enum kol_status warm_sender_settle(struct warm_sender *sender, struct warm_result *out,
                                   struct kol_error *err)
{
    struct batch *batch = sender->going;
    *out = (struct warm_result){0};
    if (!batch) {
        return KOL_OK;
    }
    pthread_mutex_lock(&sender->lock);
    while (!sender->done) {
        pthread_cond_wait(&sender->changed, &sender->lock);
    }
    pthread_mutex_unlock(&sender->lock);
    sender->going = NULL;
    if (batch->status != KOL_OK) {
        if (err) {
            *err = batch->err;
        }
        return batch->status;
    }
    sender->sent += batch->bytes;
    if (batch->asks) {
        learn_all(sender, batch->pipe, batch->asked);
    }
    adapt(sender, batch);
    out->why = read_answers(batch);
    out->sent = batch->sent;
    out->count = batch->count;
    return KOL_OK;
}
