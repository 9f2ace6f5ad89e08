/*
 * limits.c: how often somebody may ask, and how many connections an address may hold.
 *
 * Rates are GCRA (the leaky bucket as one number): each caller has a time at which its bucket will
 * be empty; a call moves it on by one interval, and is refused where it is more than a burst away.
 * The table is bounded and never swept: a caller's place is one of a few neighbours, and a new one
 * takes that of the caller whose bucket is emptiest, which loses the least by being forgotten.
 *
 * Where several servers keep one limit, a bucket also says what a shared one was not told of yet,
 * and a shard lists the callers of such buckets by name. A list that is full leaves the caller out
 * until its next call behind a drain: nothing waits in a queue, whatever happens to the others.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "http/call.h"

#define NS_PER_S INT64_C(1000000000)
/* What is told later than this is not added up: it is of a time in which nothing could be told. */
#define LATE_NS NS_PER_S
/* The most that a shared bucket holds: what was let through too much is owed, but not for ever. */
#define MOST_BURSTS 4
#define MOST_MORE_NS (60 * NS_PER_S)

enum {
    SHARDS = 64,
    SETS = 256,        /* of a shard */
    WAYS = 4,          /* neighbours: 65,536 callers in 3 MiB */
    CHANGED = 64,      /* callers of a shard that are listed at once */
    USES = 32,         /* kinds, from 1 on: bytes with which no id of a key begins */
    CROWD_MAX = 16384, /* addresses; a power of two, more than are open at once in most places */
};

/* ---- addresses ---- */

struct http_address http_address_of(const struct sockaddr *address)
{
    struct http_address out = {{0}};
    if (address->sa_family == AF_INET) {
        memcpy(out.bytes + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
        out.bytes[0] = 4;
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(six)) {
            memcpy(out.bytes + 12, six->s6_addr + 12, 4);
            out.bytes[0] = 4;
        } else {
            memcpy(out.bytes + 1, six->s6_addr, 8); /* one customer has a whole /64 */
            out.bytes[0] = 6;
        }
    }
    return out;
}

void http_address_put(const struct sockaddr *address, struct buf *out)
{
    char text[INET6_ADDRSTRLEN] = "-";
    if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(six)) {
            inet_ntop(AF_INET, six->s6_addr + 12, text, sizeof text);
        } else {
            inet_ntop(AF_INET6, six, text, sizeof text);
        }
    }
    buf_puts(out, text);
}

/* ---- rates ---- */

struct bucket {
    uint64_t who;     /* salted hash of the id; 0: free */
    int64_t empty_ns; /* when it will have run out */
    int64_t spent_ns; /* what was let through and not drained yet; 0: nothing */
    int64_t since_ns; /* when the first of that was */
    bool listed;      /* its caller is in the shard's list */
    bool late;        /* whether something drained before was told nobody knows */
};

/* A caller whose bucket has something to drain, unless it was forgotten since. */
struct changed {
    uint64_t who;
    int64_t most_ns; /* of http_spent */
    uint8_t id_len;
    char id[64];
};

struct shard {
    pthread_mutex_t mutex;
    struct bucket buckets[SETS][WAYS];
    size_t changed_count;
    struct changed changed[CHANGED];
};

struct http_rates {
    uint64_t salt[2];            /* so that nobody can choose ids that meet in one set */
    void (*counted)(void *user); /* NULL: nothing is kept for drains. Constant once it serves */
    void *user;
    _Atomic bool pending; /* something was listed since the last drain began */
    size_t next;          /* shard to be drained next; the drainer's own */
    struct shard shards[SHARDS];
};

struct http_rates *http_rates_new(void)
{
    struct http_rates *rates = mem_zalloc(1, sizeof *rates);
    random_fill(rates->salt, sizeof rates->salt);
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&rates->shards[i].mutex, NULL);
    }
    return rates;
}

void http_rates_free(struct http_rates **rates)
{
    if (!*rates) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&(*rates)->shards[i].mutex);
    }
    free(*rates);
    *rates = NULL;
}

static uint64_t salted(const uint64_t salt[2], struct str id)
{
    char text[96];
    size_t len = id.len < 80 ? id.len : 80; /* a key's id has at most 63 bytes */
    memcpy(text, salt, 16);
    if (len) {
        memcpy(text + 16, id.ptr, len);
    }
    uint64_t hash = hash_checksum((struct str){text, 16 + len});
    return hash ? hash : 1;
}

void http_rates_share(struct http_rates *rates, void (*counted)(void *user), void *user)
{
    rates->counted = counted;
    rates->user = user;
}

static struct bucket *set_of(struct shard *shard, uint64_t who)
{
    return shard->buckets[who / SHARDS % SETS];
}

/* The bucket of `who`: its own, a free one, or that which runs out first. */
static struct bucket *bucket_of(struct bucket *set, uint64_t who)
{
    struct bucket *found = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].who == who) {
            return &set[i];
        }
        if (set[i].empty_ns < found->empty_ns) {
            found = &set[i];
        }
    }
    *found = (struct bucket){.who = who};
    return found;
}

/* NULL: it was forgotten for another caller's. */
static struct bucket *find_bucket(struct bucket *set, uint64_t who)
{
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].who == who) {
            return &set[i];
        }
    }
    return NULL;
}

/* shard's mutex. Notes what the shared bucket is to be told; true: nobody knows yet that there is
 * something. */
static bool note_spent(struct http_rates *rates, struct shard *shard, struct bucket *bucket,
                       struct str id, int64_t interval, int64_t depth, int64_t now_ns)
{
    if (!bucket->spent_ns) {
        bucket->since_ns = now_ns;
    }
    if (bucket->spent_ns < HTTP_DEPTH_MAX_NS) {
        bucket->spent_ns += interval;
    }
    if (bucket->listed || shard->changed_count == CHANGED || !id.len || id.len > 64) {
        return false;
    }
    struct changed *changed = &shard->changed[shard->changed_count++];
    changed->who = bucket->who;
    changed->most_ns = MOST_BURSTS * depth + MOST_MORE_NS;
    changed->id_len = (uint8_t)id.len;
    memcpy(changed->id, id.ptr, id.len);
    bucket->listed = true;
    return !atomic_exchange(&rates->pending, true);
}

static struct http_rate rate_of(struct http_rates *rates, struct str id, int64_t per_minute,
                                int64_t burst, int64_t now_ns, bool take)
{
    /* Without a burst of its own: what ten seconds give. */
    burst = burst > 0 ? burst : per_minute / 6 > 0 ? per_minute / 6 : 1;
    int64_t interval = 60 * NS_PER_S / per_minute;
    interval = interval > 0 ? interval : 1;
    burst = burst < HTTP_DEPTH_MAX_NS / interval ? burst : HTTP_DEPTH_MAX_NS / interval;
    int64_t depth = interval * burst;
    uint64_t who = salted(rates->salt, id);
    struct shard *shard = &rates->shards[who % SHARDS];
    struct http_rate rate = {.limit = burst};
    bool news = false;

    pthread_mutex_lock(&shard->mutex);
    struct bucket *set = set_of(shard, who);
    struct bucket *bucket = take ? bucket_of(set, who) : find_bucket(set, who);
    int64_t empty = bucket && bucket->empty_ns > now_ns ? bucket->empty_ns : now_ns;
    int64_t over = empty + interval - now_ns - depth;
    if (take && over <= 0) {
        empty += interval;
        bucket->empty_ns = empty;
        news = rates->counted && note_spent(rates, shard, bucket, id, interval, depth, now_ns);
    }
    pthread_mutex_unlock(&shard->mutex);
    if (news) {
        rates->counted(rates->user);
    }

    /* A bucket may hold more than it takes: others filled it meanwhile. */
    int64_t room = depth - (empty - now_ns);
    rate.retry_s = over > 0 ? (over + NS_PER_S - 1) / NS_PER_S : 0;
    rate.remaining = room > 0 ? room / interval : 0;
    rate.reset_s = (empty - now_ns + NS_PER_S - 1) / NS_PER_S;
    return rate;
}

struct http_rate http_rates_take(struct http_rates *rates, struct str id, int64_t per_minute,
                                 int64_t burst, int64_t now_ns)
{
    return rate_of(rates, id, per_minute, burst, now_ns, true);
}

struct http_rate http_rates_look(struct http_rates *rates, struct str id, int64_t per_minute,
                                 int64_t burst, int64_t now_ns)
{
    return rate_of(rates, id, per_minute, burst, now_ns, false);
}

int64_t http_use(struct http_call *call, const struct http_use *use)
{
    char id[64]; /* of a key at most 63 bytes: they fit */
    KOL_ASSERT(use->kind > 0 && use->kind < USES && use->id.len < sizeof id);
    KOL_ASSERT(use->per_minute > 0 && use->burst > 0 && !call->use.limit);
    id[0] = (char)use->kind;
    if (use->id.len) {
        memcpy(id + 1, use->id.ptr, use->id.len);
    }
    call->use = http_rates_take(call->server->rates, (struct str){id, 1 + use->id.len},
                                use->per_minute, use->burst, clock_mono_ns());
    return call->use.retry_s;
}

/* ---- what a shared bucket is told, and tells ---- */

static void put_id(const struct changed *changed, struct http_spent *out)
{
    const uint8_t first = (uint8_t)changed->id[0];
    out->is_address = changed->id_len == HTTP_ADDRESS_ID && first == 0;
    out->use = first < USES ? first : 0;
    const size_t from = out->is_address || out->use;
    out->id_len = (uint8_t)(changed->id_len - from);
    memcpy(out->id, changed->id + from, out->id_len);
}

/* shard's mutex. False: there is nothing to tell of it. */
static bool drain_one(struct shard *shard, const struct changed *changed, int64_t now_ns,
                      struct http_spent *out)
{
    struct bucket *bucket = find_bucket(set_of(shard, changed->who), changed->who);
    if (!bucket) {
        return false;
    }
    bucket->listed = false;
    if (!bucket->spent_ns) {
        return false;
    }
    const int64_t age_ns = now_ns > bucket->since_ns ? now_ns - bucket->since_ns : 0;
    *out =
        (struct http_spent){.most_ns = changed->most_ns, .who = changed->who, .drained_ns = now_ns};
    if (bucket->late || age_ns > LATE_NS) {
        out->floor_ns = bucket->empty_ns > now_ns ? bucket->empty_ns - now_ns : 0;
    } else {
        out->spent_ns = bucket->spent_ns;
        out->age_ns = age_ns;
    }
    put_id(changed, out);
    bucket->spent_ns = 0;
    bucket->late = false;
    return true;
}

size_t http_spent_drain(struct http_rates *rates, struct http_spent *out, size_t max,
                        int64_t now_ns)
{
    size_t count = 0;
    /* Before the first look: what is listed behind it is told of again. */
    atomic_store(&rates->pending, false);
    for (size_t i = 0; i < SHARDS && count < max; i++) {
        struct shard *shard = &rates->shards[rates->next];
        pthread_mutex_lock(&shard->mutex);
        while (shard->changed_count && count < max) {
            const struct changed *changed = &shard->changed[--shard->changed_count];
            count += drain_one(shard, changed, now_ns, &out[count]);
        }
        if (!shard->changed_count) {
            rates->next = (rates->next + 1) % SHARDS;
        }
        pthread_mutex_unlock(&shard->mutex);
    }
    return count;
}

/* shard's mutex. */
static void merge_one(struct bucket *bucket, const struct http_spent *spent)
{
    if (!spent->told) {
        bucket->late = true;
        return;
    }
    const int64_t held_ns = spent->held_ns < spent->most_ns ? spent->held_ns : spent->most_ns;
    int64_t empty_ns = spent->drained_ns + (held_ns > 0 ? held_ns : 0);
    if (bucket->spent_ns) { /* what was let through since is still to come on top */
        empty_ns = empty_ns > bucket->since_ns ? empty_ns : bucket->since_ns;
        empty_ns += bucket->spent_ns;
    }
    if (bucket->empty_ns < empty_ns) {
        bucket->empty_ns = empty_ns;
    }
}

void http_spent_merge(struct http_rates *rates, const struct http_spent *spent, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct shard *shard = &rates->shards[spent[i].who % SHARDS];
        pthread_mutex_lock(&shard->mutex);
        struct bucket *bucket = find_bucket(set_of(shard, spent[i].who), spent[i].who);
        if (bucket) {
            merge_one(bucket, &spent[i]);
        }
        pthread_mutex_unlock(&shard->mutex);
    }
}

/* ---- connections by address ---- */

/* Open addressing with linear probing; an entry that comes to 0 is taken out by moving up those
 * behind it. One lock: it is taken once a connection. */
struct http_crowd {
    pthread_mutex_t mutex;
    uint64_t salt[2];
    size_t used;
    struct {
        struct http_address address;
        int count; /* 0: free */
    } slots[CROWD_MAX];
};

struct http_crowd *http_crowd_new(void)
{
    struct http_crowd *crowd = mem_zalloc(1, sizeof *crowd);
    random_fill(crowd->salt, sizeof crowd->salt);
    pthread_mutex_init(&crowd->mutex, NULL);
    return crowd;
}

void http_crowd_free(struct http_crowd **crowd)
{
    if (*crowd) {
        pthread_mutex_destroy(&(*crowd)->mutex);
        free(*crowd);
        *crowd = NULL;
    }
}

static size_t home_of(const struct http_crowd *crowd, const struct http_address *address)
{
    struct str bytes = {(const char *)address->bytes, sizeof address->bytes};
    return salted(crowd->salt, bytes) % CROWD_MAX;
}

/* The slot of the address, or the free one where it would go. */
static size_t slot_of(const struct http_crowd *crowd, const struct http_address *address)
{
    size_t at = home_of(crowd, address);
    while (crowd->slots[at].count &&
           memcmp(&crowd->slots[at].address, address, sizeof *address) != 0) {
        at = (at + 1) % CROWD_MAX;
    }
    return at;
}

bool http_crowd_enter(struct http_crowd *crowd, const struct http_address *address, int max)
{
    pthread_mutex_lock(&crowd->mutex);
    size_t at = slot_of(crowd, address);
    bool fresh = crowd->slots[at].count == 0;
    /* So full a table has no room to tell addresses apart: new ones must wait. */
    bool fits = crowd->slots[at].count < max && (!fresh || crowd->used < CROWD_MAX / 8 * 7);
    if (fits) {
        crowd->slots[at].address = *address;
        crowd->slots[at].count++;
        crowd->used += fresh;
    }
    pthread_mutex_unlock(&crowd->mutex);
    return fits;
}

/* mutex. Frees a slot without breaking the chains that run over it. */
static void take_out(struct http_crowd *crowd, size_t at)
{
    crowd->slots[at].count = 0;
    crowd->used--;
    for (size_t next = (at + 1) % CROWD_MAX; crowd->slots[next].count;
         next = (next + 1) % CROWD_MAX) {
        size_t home = home_of(crowd, &crowd->slots[next].address);
        /* It may move up unless its home lies behind the hole. */
        if ((next + CROWD_MAX - home) % CROWD_MAX >= (next + CROWD_MAX - at) % CROWD_MAX) {
            crowd->slots[at] = crowd->slots[next];
            crowd->slots[next].count = 0;
            at = next;
        }
    }
}

void http_crowd_leave(struct http_crowd *crowd, const struct http_address *address)
{
    pthread_mutex_lock(&crowd->mutex);
    size_t at = slot_of(crowd, address);
    KOL_ASSERT(crowd->slots[at].count > 0);
    if (--crowd->slots[at].count == 0) {
        take_out(crowd, at);
    }
    pthread_mutex_unlock(&crowd->mutex);
}
