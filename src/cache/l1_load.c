/*
 * l1_load.c: single flight: one load a key, those who wait for it, and what it brings.
 *
 * A load under way stands in a bucket by its key, where who asks next finds it. An invalidation by
 * key, prefix or all takes it out of there (it is fenced: the next who asks begins another). One by
 * tag cannot know which loads it touches; l1_fill() finds out, and those who asked after the
 * invalidation wait on for another load.
 *
 * A value whose tag was outdated meanwhile was given to those who asked before that. So it is kept,
 * outdated: a weak value of the next load must not take them back behind it.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cache/l1_parts.h"

#define REST_US INT64_C(1000000) /* from a failed load to the next refresh */
/* The same where what is there is outdated: somebody knows more, and may answer again any moment.
 */
#define OUTDATED_REST_US INT64_C(100000)
/* Longer loads begin no earlier refresh than this times l1_options.early allows. */
#define EARLY_MAX_US (INT64_C(3600) * 1000000)

/* ---- loads under way, under the lock ---- */

static struct l1_load **bucket(struct l1 *l1, uint64_t hash)
{
    return &l1->loads[hash % L1_LOAD_BUCKETS];
}

static struct str load_key(const struct l1_load *load)
{
    return (struct str){load->key, load->key_len};
}

static struct l1_load *find_load(struct l1 *l1, struct str key, uint64_t hash)
{
    struct l1_load *load = *bucket(l1, hash);
    while (load && !(load->hash == hash && str_equal(load_key(load), key))) {
        load = load->next;
    }
    return load;
}

/* Says at the entry of the key whether a load is under way. */
static void mark_loading(struct l1 *l1, struct str key, uint64_t hash, bool loading)
{
    struct l1_entry *entry = l1_table_find(l1, key, hash);
    if (entry) {
        atomic_store_explicit(&entry->loading, loading, memory_order_relaxed);
    }
}

/* From now on the load is found by its key. */
static void enter(struct l1 *l1, struct l1_load *load)
{
    struct l1_load **at = bucket(l1, load->hash);
    load->began = l1->tags.drops;
    load->fenced = false;
    load->next = *at;
    *at = load;
    l1->stats.loads++;
    mark_loading(l1, load_key(load), load->hash, true);
}

static void leave_bucket(struct l1 *l1, struct l1_load *load)
{
    struct l1_load **at = bucket(l1, load->hash);
    while (*at != load) {
        at = &(*at)->next;
    }
    *at = load->next;
    mark_loading(l1, load_key(load), load->hash, false);
}

void l1_fence_key(struct l1 *l1, struct str key, uint64_t hash)
{
    struct l1_load *load = find_load(l1, key, hash);
    if (load) {
        leave_bucket(l1, load);
        load->fenced = true;
    }
}

void l1_fence_prefix(struct l1 *l1, struct str prefix)
{
    for (size_t i = 0; i < L1_LOAD_BUCKETS; i++) {
        for (struct l1_load *load = l1->loads[i], *next; load; load = next) {
            next = load->next;
            if (str_starts(load_key(load), prefix)) {
                leave_bucket(l1, load);
                load->fenced = true;
            }
        }
    }
}

/* ---- joining ---- */

static void queue_waiter(struct l1_load *load, struct l1_waiter *waiter)
{
    waiter->load = load;
    waiter->next = NULL;
    waiter->prev = load->last;
    *(load->last ? &load->last->next : &load->first) = waiter;
    load->last = waiter;
    atomic_fetch_add_explicit(&load->waiting, 1, memory_order_relaxed);
}

static void unqueue_waiter(struct l1_waiter *waiter)
{
    struct l1_load *load = waiter->load;
    *(waiter->prev ? &waiter->prev->next : &load->first) = waiter->next;
    *(waiter->next ? &waiter->next->prev : &load->last) = waiter->prev;
    waiter->load = NULL;
    atomic_fetch_sub_explicit(&load->waiting, 1, memory_order_relaxed);
}

static struct l1_load *new_load(struct l1 *l1, struct str key, uint64_t hash, int64_t now_us)
{
    KOL_ASSERT(key.len <= UINT32_MAX);
    struct l1_load *load = mem_zalloc(1, sizeof *load + key.len);
    load->l1 = l1;
    load->hash = hash;
    load->began_us = now_us;
    load->key_len = key.len;
    if (key.len) {
        memcpy(load->key, key.ptr, key.len);
    }
    return load;
}

/* Whether nothing need be loaded: there is a fresh entry, and for a refresh one that is not near
 * its end either, or whose load failed just now. */
static bool is_there(struct l1_entry *entry, bool waits, int64_t now_us)
{
    if (!entry) {
        return false;
    }
    return waits ? now_us < l1_fresh_until_us(entry)
                 : now_us < entry->quick_until_us || l1_rests(entry, now_us);
}

enum l1_joined l1_join(struct l1 *l1, struct str key, struct l1_waiter *waiter,
                       struct l1_load **out_load, struct l1_entry **out_entry)
{
    const uint64_t hash = l1_hash(l1, key);
    const int64_t now_us = l1_now_us(l1);
    enum l1_joined joined = L1_WAIT;
    pthread_mutex_lock(&l1->lock);
    struct l1_entry *entry = l1_table_find(l1, key, hash);
    struct l1_load *load = find_load(l1, key, hash);
    if (is_there(entry, waiter, now_us)) {
        if (waiter) {
            l1_hold(entry);
            *out_entry = entry;
            joined = L1_FOUND;
        }
    } else {
        if (!load) {
            *out_load = load = new_load(l1, key, hash, now_us);
            enter(l1, load);
            l1->loading++;
            joined = L1_LOAD;
        } else if (waiter) {
            l1->stats.joined++;
        }
        if (waiter) {
            waiter->asked = l1->tags.drops;
            queue_waiter(load, waiter);
        }
    }
    pthread_mutex_unlock(&l1->lock);
    return joined;
}

bool l1_leave(struct l1 *l1, struct l1_waiter *waiter)
{
    pthread_mutex_lock(&l1->lock);
    const bool waiting = waiter->load;
    if (waiting) {
        unqueue_waiter(waiter);
    }
    pthread_mutex_unlock(&l1->lock);
    return waiting;
}

size_t l1_waiting(const struct l1_load *load)
{
    return atomic_load_explicit(&load->waiting, memory_order_relaxed);
}

/* ---- the end of a load ---- */

/* Takes those who asked before drop `until` out of the load, as a list by `next`, each with a hold
 * of `entry`. Nobody can leave them any more. */
static struct l1_waiter *take_waiters(struct l1_load *load, uint64_t until, struct l1_entry *entry)
{
    struct l1_waiter *taken = NULL, **last = &taken;
    for (struct l1_waiter *waiter = load->first, *next; waiter; waiter = next) {
        next = waiter->next;
        if (waiter->asked < until) {
            unqueue_waiter(waiter);
            waiter->next = NULL;
            *last = waiter;
            last = &waiter->next;
            if (entry) {
                l1_hold(entry);
            }
        }
    }
    return taken;
}

static void wake(struct l1_waiter *waiters, struct l1_entry *entry, bool stale,
                 const struct kol_error *err)
{
    while (waiters) {
        struct l1_waiter *next = waiters->next; /* who is woken may free the waiter */
        waiters->wake(waiters, entry, stale, err);
        waiters = next;
    }
}

/* Whoever still waits gets another load: the one that runs already, or this one once more, which is
 * then returned. */
static struct l1_load *go_on(struct l1 *l1, struct l1_load *load, int64_t now_us)
{
    struct l1_load *other = load->first ? find_load(l1, load_key(load), load->hash) : load;
    if (!load->first || other) {
        while (load->first) {
            struct l1_waiter *waiter = load->first;
            unqueue_waiter(waiter);
            queue_waiter(other, waiter);
        }
        l1->loading--;
        return NULL;
    }
    load->began_us = now_us;
    enter(l1, load);
    return load;
}

static int64_t after(int64_t time_us, int64_t span_us)
{
    int64_t sum;
    return span_us <= 0                                     ? time_us
           : __builtin_add_overflow(time_us, span_us, &sum) ? INT64_MAX
                                                            : sum;
}

/* Up to a tenth of the fresh span, by key and time. */
static int64_t jitter(const struct l1_load *load, int64_t now_us, int64_t fresh_us)
{
    const int64_t numbers[2] = {(int64_t)load->hash, now_us};
    const uint64_t hash = hash_seeded((struct str){(const char *)numbers, sizeof numbers}, 0);
    return fresh_us > 0 ? (int64_t)(hash % ((uint64_t)fresh_us / 10 + 1)) : 0;
}

static void set_spans(struct l1_entry *entry, const struct l1_load *load,
                      const struct l1_life *life, int64_t now_us)
{
    /* A refresh earlier than this has a chance of e^-20; none comes in the first half of the span.
     */
    static const int64_t earliest = 20;
    const int64_t took_us = now_us > load->began_us ? now_us - load->began_us : 0;
    const double early_us = load->l1->options.early * (double)took_us;
    entry->filled_us = now_us;
    entry->fresh_until_us = after(now_us, life->fresh_us - jitter(load, now_us, life->fresh_us));
    entry->stale_until_us = after(entry->fresh_until_us, life->stale_us);
    entry->gone_us = after(entry->stale_until_us, life->error_us);
    entry->early_us = early_us < (double)EARLY_MAX_US ? (int64_t)early_us : EARLY_MAX_US;
    const int64_t half_us = now_us + (entry->fresh_until_us - now_us) / 2;
    const int64_t quick_until_us = entry->fresh_until_us - earliest * entry->early_us;
    entry->quick_until_us = quick_until_us > half_us ? quick_until_us : half_us;
}

static size_t round_up(size_t size, size_t to)
{
    return (size + to - 1) & ~(to - 1);
}

/* An entry that nobody holds yet. The links of its tags stand behind its key, its stamps behind
 * these. */
static struct l1_entry *new_entry(const struct l1_load *load, struct l1_value value,
                                  const struct l1_life *life, const struct str *tags,
                                  size_t tag_count, int64_t now_us)
{
    const size_t links =
        round_up(sizeof(struct l1_entry) + load->key_len, alignof(struct l1_tag_link));
    const size_t stamps = links + tag_count * sizeof(struct l1_tag_link);
    const size_t own = round_up(stamps + value.stamp_count * sizeof *value.stamps, L1_LINE);
    struct l1_entry *entry = aligned_alloc(L1_LINE, own);
    KOL_ASSERT(entry);
    memset(entry, 0, own);
    entry->hash = load->hash;
    entry->tags = (struct l1_tag_link *)((char *)entry + links);
    entry->tag_count = tag_count;
    entry->stamps = (struct l1_stamp *)((char *)entry + stamps);
    entry->stamp_count = value.stamp_count;
    if (value.stamp_count) {
        memcpy(entry->stamps, value.stamps, value.stamp_count * sizeof *value.stamps);
    }
    entry->weak = value.weak;
    entry->bytes = own;
    for (size_t i = 0; i < tag_count; i++) {
        entry->bytes += sizeof(struct l1_tag) + tags[i].len;
    }
    entry->bytes = value.bytes > SIZE_MAX - entry->bytes ? SIZE_MAX : entry->bytes + value.bytes;
    entry->data = value.data;
    entry->destroy = value.destroy;
    entry->key_len = (uint32_t)load->key_len;
    memcpy(entry->key, load->key, load->key_len);
    set_spans(entry, load, life, now_us);
    return entry;
}

/* What was told of a load's key or tags while it ran. */
enum fence { OPEN, OUTDATED, DROPPED };

/* Whether a value is put in; counts why it is not. */
static bool is_kept(struct l1 *l1, const struct l1_entry *entry, const struct l1_life *life,
                    enum fence fence)
{
    const bool large = entry->bytes > l1->options.max_bytes / 8, lives = life->fresh_us > 0;
    if (fence != OPEN) {
        l1->stats.fenced++;
        return fence == OUTDATED && !entry->weak && life->error_us > 0 && lives && !large;
    }
    l1->stats.too_large += large;
    l1->stats.fills += lives && !large;
    return lives && !large;
}

/* ---- weak values ---- */

static int64_t stamp_of(const struct l1_entry *entry, uint64_t of)
{
    for (size_t i = 0; i < entry->stamp_count; i++) {
        if (entry->stamps[i].of == of) {
            return entry->stamps[i].at;
        }
    }
    return INT64_MIN;
}

/* The entry that goes before a weak value, or NULL. */
static struct l1_entry *find_better(struct l1 *l1, const struct l1_load *load,
                                    const struct l1_entry *weak, int64_t now_us)
{
    struct l1_entry *entry = l1_table_find(l1, load_key(load), load->hash);
    if (!entry || now_us >= l1_gone_us(entry)) {
        return NULL;
    }
    for (size_t i = 0; i < entry->stamp_count; i++) {
        if (stamp_of(weak, entry->stamps[i].of) < entry->stamps[i].at) {
            return entry;
        }
    }
    return entry->stamp_count || entry->weak ? NULL : entry;
}

/* What cannot be made anew now is not tried again for a moment. */
static void rest(struct l1_entry *entry, int64_t now_us)
{
    const int64_t rest_us = l1_outdated_us(entry) ? OUTDATED_REST_US : REST_US;
    atomic_store_explicit(&entry->rest_until_us, now_us + rest_us, memory_order_relaxed);
}

static void put_in(struct l1 *l1, struct l1_entry *entry, const struct str *tags, enum fence fence,
                   struct l1_entry **taken_out)
{
    l1_tags_put(l1, entry, tags);
    if (fence == OUTDATED) {
        l1_outdate(entry, entry->filled_us);
    }
    l1_put(l1, entry, taken_out);
}

/* What the key has is older than a value that cannot be kept, and would be served again where the
 * next load fails. */
static void take_out_older(struct l1 *l1, const struct l1_load *load, struct l1_entry **taken_out)
{
    struct l1_entry *older = l1_table_find(l1, load_key(load), load->hash);
    if (older) {
        l1_take_out(l1, older, taken_out);
    }
}

struct l1_load *l1_fill(struct l1_load *load, struct l1_value value, const struct l1_life *life,
                        const struct str *tags, size_t tag_count)
{
    struct l1 *l1 = load->l1;
    const int64_t now_us = l1_now_us(l1);
    struct l1_entry *entry = new_entry(load, value, life, tags, tag_count, now_us);
    struct l1_entry *taken_out = NULL;
    atomic_init(&entry->holds, L1_TABLE_HOLD); /* of this function, until it is put in */
    pthread_mutex_lock(&l1->lock);
    const bool dropped = l1_tags_fence(l1, l1->tags.dropped, load->began, tags, tag_count);
    const bool outdated = l1_tags_fence(l1, l1->tags.outdated, load->began, tags, tag_count);
    const enum fence fence = load->fenced || dropped ? DROPPED : outdated ? OUTDATED : OPEN;
    struct l1_entry *better = value.weak ? find_better(l1, load, entry, now_us) : NULL;
    struct l1_entry *given = better ? better : entry;
    if (!load->fenced) {
        leave_bucket(l1, load);
    }
    /* When this load's tags were dropped first is not known: any drop may have been it. */
    struct l1_waiter *waiters =
        take_waiters(load, dropped || outdated ? load->began + 1 : UINT64_MAX, given);
    if (better) {
        l1->stats.weak++;
        rest(better, now_us);
    }
    if (!better && is_kept(l1, entry, life, fence)) {
        put_in(l1, entry, tags, fence, &taken_out);
    } else {
        if (!better && !value.weak && !load->fenced) {
            take_out_older(l1, load, &taken_out);
        }
        entry->older = taken_out;
        taken_out = entry;
    }
    struct l1_load *again = go_on(l1, load, now_us);
    pthread_mutex_unlock(&l1->lock);
    wake(waiters, given, better, NULL);
    if (taken_out) {
        l1_settle(taken_out);
    }
    if (!again) {
        free(load);
    }
    return again;
}

void l1_fail(struct l1_load *load, const struct kol_error *err)
{
    struct l1 *l1 = load->l1;
    const int64_t now_us = l1_now_us(l1);
    pthread_mutex_lock(&l1->lock);
    l1->stats.load_failures++;
    if (!load->fenced) {
        leave_bucket(l1, load);
    }
    struct l1_entry *entry = l1_table_find(l1, load_key(load), load->hash);
    entry = entry && now_us < l1_gone_us(entry) ? entry : NULL;
    if (entry) {
        rest(entry, now_us);
    }
    struct l1_waiter *waiters = take_waiters(load, UINT64_MAX, entry);
    l1->loading--;
    pthread_mutex_unlock(&l1->lock);
    wake(waiters, entry, entry, err);
    free(load);
}
