/*
 * l1_table.c: the table of the cache: readers without a lock, one writer at a time.
 *
 * A reader may go through the table while entries move in it, and find nothing where there is
 * something. It then looks again, until nothing has moved meanwhile; it gives up after a few times,
 * for a miss is looked up under the lock anyway before anything is loaded.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cache/l1_parts.h"

enum { READ_TRIES = 4 };

struct l1_table *l1_table_new(size_t cells)
{
    struct l1_table *table = mem_zalloc(1, sizeof *table + cells * sizeof table->cells[0]);
    table->mask = cells - 1;
    return table;
}

static inline bool has_key(const struct l1_entry *entry, struct str key)
{
    return entry->key_len == key.len && (!key.len || memcmp(entry->key, key.ptr, key.len) == 0);
}

/* ---- reading ---- */

/* Holds what a cell has, if it is the entry of the key. */
static inline struct l1_entry *take_cell(struct l1_cell *cell, _Atomic(struct l1_entry *) *slot,
                                         struct str key)
{
    struct l1_entry *entry = atomic_load_explicit(&cell->entry, memory_order_relaxed);
    while (entry) {
        __builtin_prefetch(&entry->quick_until_us); /* reads nothing: it may be gone */
        atomic_exchange(slot, entry);
        struct l1_entry *now = atomic_load(&cell->entry);
        if (now == entry && has_key(entry, key)) {
            return entry;
        }
        l1_clear_slot(slot);
        if (now == entry) {
            return NULL;
        }
        entry = now;
    }
    return NULL;
}

static inline struct l1_entry *take(struct l1_table *table, _Atomic(struct l1_entry *) *slot,
                                    struct str key, uint64_t hash)
{
    for (size_t i = hash & table->mask, tries = 0; tries <= table->mask; tries++) {
        struct l1_cell *cell = &table->cells[i];
        const uint64_t found = atomic_load_explicit(&cell->hash, memory_order_acquire);
        if (found == hash) {
            struct l1_entry *entry = take_cell(cell, slot, key);
            if (entry) {
                return entry;
            }
        } else if (!found) {
            return NULL;
        }
        i = (i + 1) & table->mask;
    }
    return NULL;
}

struct l1_entry *l1_table_take(struct l1 *l1, struct str key, uint64_t hash)
{
    _Atomic(struct l1_entry *) *slot = l1_free_slot(l1_thread());
    struct l1_entry *entry =
        take(atomic_load_explicit(&l1->table, memory_order_acquire), slot, key, hash);
    for (int i = 0; !entry && i < READ_TRIES; i++) {
        const uint64_t moves = atomic_load_explicit(&l1->moves, memory_order_acquire);
        entry = take(atomic_load(&l1->table), slot, key, hash);
        if (!(moves & 1) && moves == atomic_load_explicit(&l1->moves, memory_order_acquire)) {
            break;
        }
    }
    return entry;
}

/* ---- under the lock ---- */

static inline uint64_t hash_at(struct l1_table *table, size_t i)
{
    return atomic_load_explicit(&table->cells[i].hash, memory_order_relaxed);
}

static inline struct l1_entry *entry_at(struct l1_table *table, size_t i)
{
    return atomic_load_explicit(&table->cells[i].entry, memory_order_relaxed);
}

static struct l1_table *table_of(struct l1 *l1)
{
    return atomic_load_explicit(&l1->table, memory_order_relaxed);
}

struct l1_entry *l1_table_find(struct l1 *l1, struct str key, uint64_t hash)
{
    struct l1_table *table = table_of(l1);
    for (size_t i = hash & table->mask; hash_at(table, i); i = (i + 1) & table->mask) {
        struct l1_entry *entry = entry_at(table, i);
        if (entry->hash == hash && has_key(entry, key)) {
            return entry;
        }
    }
    return NULL;
}

struct l1_entry *l1_table_find_hash(struct l1 *l1, uint64_t hash)
{
    struct l1_table *table = table_of(l1);
    for (size_t i = hash & table->mask; hash_at(table, i); i = (i + 1) & table->mask) {
        if (hash_at(table, i) == hash) {
            return entry_at(table, i);
        }
    }
    return NULL;
}

static void put_cell(struct l1_table *table, struct l1_entry *entry)
{
    size_t i = entry->hash & table->mask;
    for (; hash_at(table, i); i = (i + 1) & table->mask) {
    }
    atomic_store(&table->cells[i].entry, entry);
    atomic_store_explicit(&table->cells[i].hash, entry->hash, memory_order_release);
}

/* The smaller table is emptied before anything more can be taken out: a reader that is still in it
 * then finds no entry any more whose end nobody would tell it. */
static void grow(struct l1 *l1)
{
    struct l1_table *old = table_of(l1), *table = l1_table_new((old->mask + 1) * 2);
    for (size_t i = 0; i <= old->mask; i++) {
        if (hash_at(old, i)) {
            put_cell(table, entry_at(old, i));
        }
    }
    table->before = old;
    atomic_fetch_add(&l1->moves, 1);
    atomic_store(&l1->table, table);
    for (size_t i = 0; i <= old->mask; i++) {
        atomic_store(&old->cells[i].entry, NULL);
    }
    atomic_fetch_add(&l1->moves, 1);
}

void l1_table_put(struct l1 *l1, struct l1_entry *entry)
{
    struct l1_table *table = table_of(l1);
    if (l1->entries >= (table->mask + 1) / 8 * 5) {
        grow(l1);
        table = table_of(l1);
    }
    put_cell(table, entry);
}

static size_t cell_of(struct l1_table *table, const struct l1_entry *entry)
{
    size_t i = entry->hash & table->mask;
    for (; entry_at(table, i) != entry; i = (i + 1) & table->mask) {
        KOL_ASSERT(hash_at(table, i));
    }
    return i;
}

void l1_table_replace(struct l1 *l1, struct l1_entry *old, struct l1_entry *entry)
{
    struct l1_table *table = table_of(l1);
    atomic_store(&table->cells[cell_of(table, old)].entry, entry);
}

/* Moves back what follows in the run, as far as it may stand nearer to its place by hash. */
static void close_gap(struct l1_table *table, size_t gap)
{
    for (size_t i = gap;;) {
        i = (i + 1) & table->mask;
        const uint64_t hash = hash_at(table, i);
        if (!hash) {
            break;
        }
        if (((i - hash) & table->mask) >= ((i - gap) & table->mask)) {
            atomic_store_explicit(&table->cells[gap].hash, hash, memory_order_release);
            atomic_store(&table->cells[gap].entry, entry_at(table, i));
            atomic_store(&table->cells[i].entry, NULL);
            gap = i;
        }
    }
    atomic_store_explicit(&table->cells[gap].hash, 0, memory_order_release);
}

void l1_table_remove(struct l1 *l1, struct l1_entry *entry)
{
    struct l1_table *table = table_of(l1);
    const size_t i = cell_of(table, entry);
    atomic_fetch_add(&l1->moves, 1);
    atomic_store(&table->cells[i].entry, NULL);
    close_gap(table, i);
    atomic_fetch_add(&l1->moves, 1);
}
