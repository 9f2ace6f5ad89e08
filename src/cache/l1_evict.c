/*
 * l1_evict.c: which entry goes where there is no room: SIEVE, guarded by how often keys were asked
 * for.
 *
 * A new entry enters a small window. What leaves the window stays only if its key was asked for
 * more often, lately, than the entry that would have to go for it: so a scan goes through the
 * window and touches nothing else (the admission of W-TinyLFU, Einziger et al., 2017). The main
 * queue is SIEVE (Zhang et al., 2024): a hand goes from old to new, spares what was hit since it
 * came by last, and stops at what was not. Neither needs an entry moved at a hit: a hit leaves a
 * mark on its entry, and the marks are added to the counts of the sketch when the hand, or the end
 * of the window, comes by. All under the lock.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cache/l1_parts.h"

enum {
    WINDOW_SHARE = 100, /* the window is the hundredth part of the bound */
    SKETCH_ROWS = 4,
    ROW_BYTES = L1_LINE / SKETCH_ROWS,
    FIRST_LINES = 64,
    /* Counts of a sketch are halved after so many additions for each entry that there is room for:
     * how long the past counts. */
    PERIOD = 10,
    SPARED_A_POINT = 16,
    HAND_STEPS = 64, /* then the least asked for of those seen goes, hit or not */
};

/* ---- how often a key was asked for ---- */

static uint8_t *counters(const struct l1_sketch *sketch, uint64_t hash, size_t at[SKETCH_ROWS])
{
    for (size_t row = 0; row < SKETCH_ROWS; row++) {
        at[row] = row * ROW_BYTES + (hash >> (48 + 4 * row) & (ROW_BYTES - 1));
    }
    return sketch->lines[(hash >> 16) & sketch->mask];
}

static unsigned frequency(const struct l1_sketch *sketch, uint64_t hash)
{
    size_t at[SKETCH_ROWS];
    const uint8_t *line = counters(sketch, hash, at);
    unsigned least = L1_MARK_MAX;
    for (size_t row = 0; row < SKETCH_ROWS; row++) {
        least = line[at[row]] < least ? line[at[row]] : least;
    }
    return least;
}

static void halve(struct l1_sketch *sketch)
{
    for (size_t i = 0; i <= sketch->mask; i++) {
        for (size_t k = 0; k < L1_LINE; k++) {
            sketch->lines[i][k] >>= 1;
        }
    }
    sketch->added /= 2;
}

static void add(struct l1_sketch *sketch, uint64_t hash, unsigned times)
{
    size_t at[SKETCH_ROWS];
    uint8_t *line = counters(sketch, hash, at);
    for (size_t row = 0; row < SKETCH_ROWS; row++) {
        const unsigned sum = line[at[row]] + times;
        line[at[row]] = (uint8_t)(sum < L1_MARK_MAX ? sum : L1_MARK_MAX);
    }
    sketch->added += times;
}

/* Twice the lines, with the same counts for each hash. */
static void grow(struct l1_sketch *sketch)
{
    const size_t lines = sketch->mask + 1;
    sketch->lines = mem_realloc(sketch->lines, 2 * lines * L1_LINE);
    memcpy(sketch->lines + lines, sketch->lines, lines * L1_LINE);
    sketch->mask = 2 * lines - 1;
}

/* Four entries a line: 16 bytes an entry, so that keys seldom share all their counters. */
static void keep_sketch(struct l1 *l1)
{
    struct l1_sketch *sketch = &l1->sketch;
    if (l1->entries > 4 * (sketch->mask + 1)) {
        grow(sketch);
    }
    if (sketch->added >= PERIOD * (l1->entries < FIRST_LINES ? FIRST_LINES : l1->entries)) {
        halve(sketch);
    }
}

/* Moves the hits that an entry has had into the sketch. */
static void fold(struct l1 *l1, struct l1_entry *entry)
{
    const uint8_t mark = atomic_load_explicit(&entry->mark, memory_order_relaxed);
    if (mark) {
        add(&l1->sketch, entry->hash, mark);
        atomic_store_explicit(&entry->mark, 0, memory_order_relaxed);
    }
}

/* ---- queues ---- */

void l1_evict_init(struct l1 *l1)
{
    l1->window.max_bytes = l1->options.max_bytes / WINDOW_SHARE;
    l1->main.max_bytes = l1->options.max_bytes - l1->window.max_bytes;
    l1->sketch.mask = FIRST_LINES - 1;
    l1->sketch.lines = mem_zalloc(FIRST_LINES, L1_LINE);
}

static void push(struct l1_queue *queue, struct l1_entry *entry)
{
    entry->queue = queue;
    entry->newer = NULL;
    entry->older = queue->newest;
    *(queue->newest ? &queue->newest->newer : &queue->oldest) = entry;
    queue->newest = entry;
    queue->bytes += entry->bytes;
}

void l1_evict_remove(struct l1 *l1, struct l1_entry *entry)
{
    struct l1_queue *queue = entry->queue;
    if (l1->hand == entry) {
        l1->hand = entry->newer;
    }
    *(entry->newer ? &entry->newer->older : &queue->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &queue->oldest) = entry->newer;
    queue->bytes -= entry->bytes;
}

void l1_evict_put(struct l1 *l1, struct l1_entry *entry)
{
    keep_sketch(l1);
    add(&l1->sketch, entry->hash, 1);
    push(&l1->window, entry);
}

/* A refreshed entry keeps the place that its key has earned. */
void l1_evict_replace(struct l1 *l1, struct l1_entry *old, struct l1_entry *entry)
{
    struct l1_queue *queue = entry->queue = old->queue;
    entry->newer = old->newer;
    entry->older = old->older;
    *(entry->newer ? &entry->newer->older : &queue->newest) = entry;
    *(entry->older ? &entry->older->newer : &queue->oldest) = entry;
    queue->bytes = queue->bytes - old->bytes + entry->bytes;
    if (l1->hand == old) {
        l1->hand = entry;
    }
    const uint8_t mark = atomic_load_explicit(&old->mark, memory_order_relaxed);
    atomic_store_explicit(&entry->mark, mark, memory_order_relaxed);
}

/* ---- who goes ---- */

/* The entry of the main queue that has to go next. */
static struct l1_entry *find_victim(struct l1 *l1, int64_t now_us)
{
    struct l1_entry *at = l1->hand, *least = NULL;
    unsigned least_often = 0;
    for (int i = 0; i < HAND_STEPS; i++) {
        at = at ? at : l1->main.oldest;
        if (now_us >= l1_gone_us(at) || !atomic_load_explicit(&at->mark, memory_order_relaxed)) {
            least = at;
            break;
        }
        fold(l1, at);
        at->spared = 0;
        const unsigned often = frequency(&l1->sketch, at->hash);
        if (!least || often < least_often) {
            least = at;
            least_often = often;
        }
        at = at->newer;
    }
    l1->hand = at;
    return least;
}

/* What a new entry must be asked for more often than. It sinks while the entry is spared and not
 * hit: else what was popular once would stand in the way of what is now until its counts are
 * halved. */
static unsigned worth(const struct l1 *l1, const struct l1_entry *victim)
{
    const unsigned often = frequency(&l1->sketch, victim->hash);
    const unsigned less = victim->spared / SPARED_A_POINT;
    return often > less ? often - less : 0;
}

static void evict_one(struct l1 *l1, struct l1_entry *entry, int64_t now_us,
                      struct l1_entry **taken_out)
{
    *(now_us >= l1_gone_us(entry) ? &l1->stats.expired : &l1->stats.evictions) += 1;
    fold(l1, entry);
    l1_take_out(l1, entry, taken_out);
}

/* Moves an entry on from the window, or has it or another one go. */
static void leave_window(struct l1 *l1, struct l1_entry *entry, int64_t now_us,
                         struct l1_entry **taken_out)
{
    fold(l1, entry);
    if (now_us >= l1_gone_us(entry)) {
        evict_one(l1, entry, now_us, taken_out);
    } else if (l1->main.bytes + entry->bytes <= l1->main.max_bytes) {
        l1_evict_remove(l1, entry);
        push(&l1->main, entry);
    } else {
        struct l1_entry *victim = find_victim(l1, now_us);
        const bool better =
            now_us >= l1_gone_us(victim) || frequency(&l1->sketch, entry->hash) > worth(l1, victim);
        victim->spared += !better;
        evict_one(l1, better ? victim : entry, now_us, taken_out);
    }
}

void l1_evict(struct l1 *l1, int64_t now_us, struct l1_entry **taken_out)
{
    while (l1->main.bytes > l1->main.max_bytes) {
        evict_one(l1, find_victim(l1, now_us), now_us, taken_out);
    }
    while (l1->window.bytes > l1->window.max_bytes) {
        leave_window(l1, l1->window.oldest, now_us, taken_out);
    }
}
