/*
 * redis_cluster.c: the nodes of a Redis Cluster, and the map of its slots.
 *
 * Any node can say where all slots are, so whoever answers first is believed; the map is a guess
 * that MOVED corrects. It is asked for as the first pipe runs, and again when a node redirects or
 * cannot be reached, but not more often than every REFRESH_US, whoever asks: a cluster of which a
 * part is gone is not also asked by every request.
 *
 * One thread at a time asks; others that need the outcome wait for it. The lock is held to look
 * things up, never while anything waits for a server. A node that has left the map is kept until
 * the last pipe that uses it is done.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cache/redis_parts.h"

enum {
    REFRESH_US = 100 * 1000,
    /* How long a node that took no connection is passed over, and not tried again if that needed
     * all the time there was. */
    AVOID_US = 200 * 1000,
    /* How long one that did not say where slots are is asked last. */
    MUTE_US = 2000 * 1000,
    NODES_MAX = 1024,
    SLOTS_BYTES = 8 << 20, /* of an answer to CLUSTER SLOTS, in memory */
};

struct redis_cluster {
    struct redis *redis;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t refreshed;
    bool refreshing, doubted;
    int64_t version, refreshed_ns;
    enum kol_status status;   /* of the last refresh, */
    struct kol_error err;     /* and what went wrong */
    struct redis_node *nodes; /* in the order in which they were met */
    size_t node_count;
    struct redis_node *slots[REDIS_SLOTS]; /* NULL: nobody has it */
    struct redis_counts past;              /* of nodes that are gone */
};

/* ---- nodes; all under the lock ---- */

static struct redis_node *find_node(const struct redis_cluster *cluster, struct str host, int port)
{
    struct redis_node *node = cluster->nodes;
    while (node && !(node->options.port == port && str_is(host, node->host))) {
        node = node->next;
    }
    return node;
}

/* The node at an address; a new one where it is not known. NULL: there are too many. */
static struct redis_node *meet(struct redis_cluster *cluster, struct str host, int port)
{
    struct redis_node *node = find_node(cluster, host, port);
    if (node || cluster->node_count >= NODES_MAX || host.len == 0 ||
        host.len >= sizeof node->host) {
        return node;
    }
    node = mem_zalloc(1, sizeof *node);
    memcpy(node->host, host.ptr, host.len);
    node->options = cluster->redis->options;
    node->options.host = node->host;
    node->options.port = port;
    snprintf(node->name, sizeof node->name, strchr(node->host, ':') ? "%s[%s]:%d" : "%s%s:%d",
             node->options.tls ? "tls:" : "", node->host, port);
    redis_pool_init(&node->pool, &node->options, cluster->redis->tls, node->name);
    struct redis_node **last = &cluster->nodes;
    while (*last) {
        last = &(*last)->next;
    }
    *last = node;
    cluster->node_count++;
    return node;
}

static void free_node(struct redis_cluster *cluster, struct redis_node *node)
{
    redis_pool_add_counts(&node->pool, &cluster->past);
    cluster->past.open = cluster->past.idle = 0; /* they are closed now */
    redis_pool_end(&node->pool);
    free(node);
    cluster->node_count--;
}

/* Forgets the nodes that neither the map nor a pipe holds. */
static void prune(struct redis_cluster *cluster)
{
    struct redis_node **at = &cluster->nodes;
    while (*at) {
        struct redis_node *node = *at;
        if (node->primary || node->users > 0) {
            at = &node->next;
        } else {
            *at = node->next;
            free_node(cluster, node);
        }
    }
}

/* Takes a map that `asked` gave. True: it differs from the one before. */
static bool take_map(struct redis_cluster *cluster, const struct redis_node *asked,
                     const struct redis_range *ranges, size_t count)
{
    struct redis_node **slots = mem_zalloc(REDIS_SLOTS, sizeof *slots);
    for (struct redis_node *node = cluster->nodes; node; node = node->next) {
        node->primary = false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct str host = ranges[i].host.len ? ranges[i].host : str_of(asked->host);
        struct redis_node *node = meet(cluster, host, ranges[i].port);
        if (node) {
            node->primary = true;
            for (uint32_t slot = ranges[i].first; slot <= ranges[i].last; slot++) {
                slots[slot] = node;
            }
        }
    }
    const bool differs = memcmp(slots, cluster->slots, sizeof cluster->slots) != 0;
    memcpy(cluster->slots, slots, sizeof cluster->slots);
    free(slots);
    return differs;
}

/* ---- opening ---- */

/* Calls meet() for the server of the options and each of `hosts`: where everything begins, and
 * where it begins again when no node is left that answers. */
static enum kol_status meet_first(struct redis_cluster *cluster, struct kol_error *err)
{
    const struct redis_options *options = &cluster->redis->options;
    meet(cluster, str_of(options->host), options->port);
    struct str rest = str_of(options->hosts);
    while (rest.len > 0) {
        struct str word = str_cut(&rest, ' '), host;
        int port;
        if (word.len == 0) {
            continue;
        }
        if (!redis_read_endpoint(word, &host, &port) || host.len == 0) {
            return kol_fail(err, KOL_INVALID,
                            "`%.*s` among the hosts of the Redis Cluster is not host:port",
                            STR_FORMAT(word));
        }
        meet(cluster, host, port);
    }
    return KOL_OK;
}

enum kol_status redis_cluster_open(struct redis *redis, struct kol_error *err)
{
    struct redis_cluster *cluster = mem_zalloc(1, sizeof *cluster);
    pthread_condattr_t attributes;
    cluster->redis = redis;
    KOL_ASSERT(pthread_mutex_init(&cluster->lock, NULL) == 0);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    KOL_ASSERT(pthread_cond_init(&cluster->refreshed, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    redis->cluster = cluster;
    return meet_first(cluster, err);
}

void redis_cluster_close(struct redis_cluster **cluster)
{
    struct redis_cluster *closing = *cluster;
    if (!closing) {
        return;
    }
    while (closing->nodes) {
        struct redis_node *node = closing->nodes;
        KOL_ASSERT(node->users == 0);
        closing->nodes = node->next;
        free_node(closing, node);
    }
    pthread_cond_destroy(&closing->refreshed);
    pthread_mutex_destroy(&closing->lock);
    free(closing);
    *cluster = NULL;
}

void redis_cluster_counts(struct redis_cluster *cluster, struct redis_counts *out)
{
    pthread_mutex_lock(&cluster->lock);
    *out = cluster->past;
    for (struct redis_node *node = cluster->nodes; node; node = node->next) {
        redis_pool_add_counts(&node->pool, out);
    }
    pthread_mutex_unlock(&cluster->lock);
}

/* ---- taking and releasing ---- */

static struct redis_node *hold(struct redis_node *node)
{
    if (node) {
        node->users++;
    }
    return node;
}

static bool is_avoided(const struct redis_node *node, int64_t now_ns)
{
    return node->failed_ns && now_ns - node->failed_ns < AVOID_US * INT64_C(1000);
}

static bool is_mute(const struct redis_node *node, int64_t now_ns)
{
    return is_avoided(node, now_ns) ||
           (node->mute_ns && now_ns - node->mute_ns < MUTE_US * INT64_C(1000));
}

/* The first primary that was not found unreachable just now. */
static struct redis_node *any_primary(const struct redis_cluster *cluster)
{
    const int64_t now_ns = clock_mono_ns();
    struct redis_node *found = NULL;
    for (struct redis_node *node = cluster->nodes; node; node = node->next) {
        if (node->primary && (!found || (is_avoided(found, now_ns) && !is_avoided(node, now_ns)))) {
            found = node;
        }
    }
    return found;
}

void redis_cluster_take(struct redis_cluster *cluster, const struct redis_command *commands,
                        size_t count, struct redis_node **nodes)
{
    pthread_mutex_lock(&cluster->lock);
    struct redis_node *any = any_primary(cluster);
    for (size_t i = 0; i < count; i++) {
        if (!nodes[i]) {
            const uint32_t slot = commands[i].slot;
            nodes[i] = hold(slot == REDIS_ANY_SLOT ? any : cluster->slots[slot]);
        }
    }
    pthread_mutex_unlock(&cluster->lock);
}

struct redis_node *redis_cluster_take_at(struct redis_cluster *cluster, struct str host, int port)
{
    pthread_mutex_lock(&cluster->lock);
    struct redis_node *node = hold(meet(cluster, host, port));
    pthread_mutex_unlock(&cluster->lock);
    return node;
}

void redis_cluster_release(struct redis_cluster *cluster, struct redis_node **nodes, size_t count)
{
    pthread_mutex_lock(&cluster->lock);
    for (size_t i = 0; i < count; i++) {
        if (nodes[i]) {
            nodes[i]->users--;
            nodes[i] = NULL;
        }
    }
    pthread_mutex_unlock(&cluster->lock);
}

size_t redis_cluster_take_primaries(struct redis_cluster *cluster, struct redis_node ***out)
{
    size_t count = 0;
    pthread_mutex_lock(&cluster->lock);
    *out = mem_alloc((cluster->node_count + 1) * sizeof **out);
    for (struct redis_node *node = cluster->nodes; node; node = node->next) {
        if (node->primary) {
            (*out)[count++] = hold(node);
        }
    }
    pthread_mutex_unlock(&cluster->lock);
    return count;
}

size_t redis_shares(struct redis *redis, struct redis_share *out, size_t room)
{
    struct redis_cluster *cluster = redis->cluster;
    size_t count = 0, at = 0;
    KOL_ASSERT(room > 0);
    if (!cluster) {
        out[0] = (struct redis_share){.part = 1};
        return 1;
    }
    pthread_mutex_lock(&cluster->lock);
    for (uint32_t slot = 0; slot < REDIS_SLOTS; slot++) {
        const struct redis_node *node = cluster->slots[slot];
        /* Slots of one server mostly follow each other. */
        if (at >= count || cluster->slots[out[at].slot] != node) {
            for (at = 0; at < count && cluster->slots[out[at].slot] != node; at++) {
            }
        }
        if (node && at == count && count < room) {
            out[count++] = (struct redis_share){.slot = slot};
        }
        if (node && at < count) {
            out[at].part += 1.0 / REDIS_SLOTS;
        }
    }
    pthread_mutex_unlock(&cluster->lock);
    return count;
}

enum kol_status redis_cluster_connect(struct redis_cluster *cluster, struct redis_node *node,
                                      int64_t deadline_ns, struct redis_link **out,
                                      struct kol_error *err)
{
    pthread_mutex_lock(&cluster->lock);
    const bool avoided = node->silent && is_avoided(node, clock_mono_ns());
    pthread_mutex_unlock(&cluster->lock);
    *out = NULL;
    if (avoided) {
        return kol_fail(err, KOL_TIMEOUT,
                        "redis %s: no connection was possible a moment ago, and none is tried",
                        node->name);
    }
    const enum kol_status status = redis_pool_take(&node->pool, deadline_ns, out, err);
    pthread_mutex_lock(&cluster->lock);
    node->failed_ns = status == KOL_OK ? 0 : clock_mono_ns();
    /* Who is refused at once loses no time by trying again. */
    node->silent = status == KOL_TIMEOUT;
    pthread_mutex_unlock(&cluster->lock);
    return status;
}

void redis_cluster_moved(struct redis_cluster *cluster, uint32_t slot, struct redis_node *node)
{
    pthread_mutex_lock(&cluster->lock);
    if (slot < REDIS_SLOTS && cluster->slots[slot] != node) {
        cluster->slots[slot] = node;
        node->primary = true;
        cluster->version++;
    }
    cluster->doubted = true;
    pthread_mutex_unlock(&cluster->lock);
}

void redis_cluster_doubt(struct redis_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    cluster->doubted = true;
    pthread_mutex_unlock(&cluster->lock);
}

bool redis_cluster_is_doubted(struct redis_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    const bool doubted = cluster->doubted || cluster->version == 0;
    pthread_mutex_unlock(&cluster->lock);
    return doubted;
}

int64_t redis_cluster_version(struct redis_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    const int64_t version = cluster->version;
    pthread_mutex_unlock(&cluster->lock);
    return version;
}

/* ---- asking for the map ---- */

/* Sends CLUSTER SLOTS over a connection; the answer lies in `arena`. */
static enum kol_status ask_slots(struct redis_node *node, struct redis_link *link,
                                 struct arena *arena, int64_t deadline_ns,
                                 struct redis_range *ranges, size_t *count, struct kol_error *err)
{
    struct redis_reading reading;
    redis_reading_begin(&reading, arena, 1, SLOTS_BYTES);
    enum kol_status status =
        redis_link_exchange(link, node->name, STR("*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n"),
                            &reading, redis_earlier(deadline_ns, node->options.connect_us), err);
    redis_pool_put(&node->pool, link, 1, status);
    if (status != KOL_OK) {
        return status;
    }
    const struct redis_answer *answer = &reading.answers[0];
    if (redis_is_error(answer, "LOADING")) {
        return kol_fail(err, KOL_IO, "redis %s is still loading its data", node->name);
    }
    if (answer->kind == REDIS_ERROR) {
        const struct str said = redis_link_said(answer, &node->options);
        return kol_fail(err, KOL_USAGE,
                        "redis %s does not say where the slots of its cluster are (is it one, and "
                        "may the user CLUSTER SLOTS?): %.*s",
                        node->name, STR_FORMAT(said));
    }
    status = redis_read_slots(answer, ranges, count, err);
    if (status == KOL_OK && *count == 0) {
        return kol_fail(err, KOL_IO, "redis %s knows no node of its cluster that has slots",
                        node->name);
    }
    return status == KOL_OK ? KOL_OK : kol_wrap(err, "redis %s", node->name);
}

static enum kol_status ask_node(struct redis_cluster *cluster, struct redis_node *node,
                                int64_t deadline_ns, struct kol_error *err)
{
    struct arena arena;
    struct redis_link *link = NULL;
    size_t count = 0;
    enum kol_status status = redis_cluster_connect(cluster, node, deadline_ns, &link, err);
    if (status != KOL_OK) {
        return status;
    }
    struct redis_range *ranges = mem_alloc(REDIS_SLOTS * sizeof *ranges);
    arena_init(&arena, 0);
    status = ask_slots(node, link, &arena, deadline_ns, ranges, &count, err);
    pthread_mutex_lock(&cluster->lock);
    node->mute_ns = status == KOL_OK ? 0 : clock_mono_ns();
    if (status == KOL_OK) {
        cluster->version += take_map(cluster, node, ranges, count);
        cluster->doubted = false;
    }
    pthread_mutex_unlock(&cluster->lock);
    arena_free(&arena);
    free(ranges);
    return status;
}

/* Whom to ask: primaries first, then whoever else is known; who was found unreachable just now
 * last. Each is to be released. */
static size_t take_candidates(struct redis_cluster *cluster, struct redis_node ***out)
{
    struct kol_error ignored;
    const int64_t now_ns = clock_mono_ns();
    size_t count = 0;
    pthread_mutex_lock(&cluster->lock);
    const enum kol_status status = meet_first(cluster, &ignored);
    KOL_ASSERT(status == KOL_OK); /* redis_cluster_open() read the same */
    *out = mem_alloc(cluster->node_count * sizeof **out);
    for (int rank = 0; rank < 4; rank++) {
        for (struct redis_node *node = cluster->nodes; node; node = node->next) {
            if (rank == 2 * is_mute(node, now_ns) + !node->primary) {
                (*out)[count++] = hold(node);
            }
        }
    }
    pthread_mutex_unlock(&cluster->lock);
    return count;
}

static enum kol_status ask_around(struct redis_cluster *cluster, int64_t deadline_ns,
                                  struct kol_error *err)
{
    struct redis_node **nodes = NULL;
    const size_t count = take_candidates(cluster, &nodes);
    enum kol_status status = kol_fail(err, KOL_NOT_FOUND, "no node of the Redis Cluster is known");
    for (size_t i = 0; i < count && status != KOL_OK; i++) {
        const int64_t left_ns = deadline_ns - clock_mono_ns();
        if (i > 0 && left_ns <= 0) {
            break;
        }
        /* One that says nothing leaves time for the others. */
        const int64_t share_ns = i + 1 < count ? left_ns / 2 : left_ns;
        status = ask_node(cluster, nodes[i], clock_mono_ns() + share_ns, err);
    }
    redis_cluster_release(cluster, nodes, count);
    free(nodes);
    return status;
}

/* Waits, with the lock, for whoever refreshes now. */
static void wait_for_other(struct redis_cluster *cluster, int64_t deadline_ns)
{
    const struct timespec until = {deadline_ns / 1000000000, deadline_ns % 1000000000};
    int failure = 0;
    while (cluster->refreshing && failure != ETIMEDOUT) {
        failure = pthread_cond_timedwait(&cluster->refreshed, &cluster->lock, &until);
    }
}

/* What the last refresh left, with the lock. */
static enum kol_status outcome(const struct redis_cluster *cluster, struct kol_error *err)
{
    if (cluster->refreshing) {
        return cluster->version ? KOL_OK
                                : kol_fail(err, KOL_TIMEOUT,
                                           "redis %s: its cluster did not say within the time "
                                           "limit where its slots are",
                                           cluster->redis->name);
    }
    if (cluster->status != KOL_OK && err) {
        *err = cluster->err;
    }
    return cluster->status;
}

enum kol_status redis_cluster_refresh(struct redis_cluster *cluster, bool urgent,
                                      int64_t deadline_ns, struct kol_error *err)
{
    pthread_mutex_lock(&cluster->lock);
    bool mine = !cluster->refreshing;
    if (!mine && (urgent || !cluster->version)) {
        wait_for_other(cluster, deadline_ns);
    } else if (!mine) {
        /* Somebody sees to it. */
    } else if (cluster->refreshed_ns &&
               clock_mono_ns() - cluster->refreshed_ns < REFRESH_US * INT64_C(1000)) {
        mine = false;
    }
    if (mine) {
        struct kol_error failure = {0};
        cluster->refreshing = true;
        pthread_mutex_unlock(&cluster->lock);
        const enum kol_status status = ask_around(cluster, deadline_ns, &failure);
        pthread_mutex_lock(&cluster->lock);
        cluster->status = status;
        cluster->err = failure;
        cluster->refreshed_ns = clock_mono_ns();
        cluster->refreshing = false;
        prune(cluster);
        pthread_cond_broadcast(&cluster->refreshed);
    }
    const enum kol_status status = outcome(cluster, err);
    pthread_mutex_unlock(&cluster->lock);
    return status;
}
