/*
 * l1_hold.c: who holds an entry, and the end of an entry that nobody holds.
 *
 * A count that all holders of a popular entry change would make its cache line travel between the
 * cores at each hit. So a hit notes its hold in a slot of its own thread, and the slots are looked
 * through only when an entry leaves the table (l1_parts.h draws it). What somebody still holds then
 * goes to the limbo, and is looked at again when a holder lets go of it, or anything else leaves a
 * table.
 *
 * Once an entry is out of the table, no slot begins to hold it. So slots that are read before the
 * entry's own count never show fewer holders than there are: at a sum of 0 there is none. A slot is
 * cleared by a plain store of its own thread, for what takes its turn with other processors costs
 * more than the rest of a hit. Only under the lock of the limbo does another thread clear one, when
 * the sum is 0 and nobody is left who could.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "cache/l1_parts.h"

_Thread_local struct l1_thread *l1_thread_self;

/* All threads' records, newest first; none is ever taken out. */
static _Atomic(struct l1_thread *) threads;
static atomic_size_t thread_count;
static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;

/* What is out of its table and was held when last looked at, linked by `older`. */
static struct l1_entry *limbo;
static pthread_mutex_t limbo_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- holding ---- */

void l1_hold(struct l1_entry *entry)
{
    atomic_fetch_add_explicit(&entry->holds, 1, memory_order_relaxed);
}

void l1_release(struct l1_entry *entry)
{
    struct l1_thread *self = l1_thread();
    for (size_t i = 0; i < L1_SLOTS; i++) {
        if (atomic_load_explicit(&self->slots[i], memory_order_relaxed) == entry) {
            const bool out = atomic_load_explicit(&entry->out, memory_order_relaxed);
            l1_clear_slot(&self->slots[i]);
            /* If it leaves the table just now, the limbo keeps it until it is looked at again. */
            if (out) {
                l1_look_again(entry);
            }
            return;
        }
    }
    const int64_t before = atomic_fetch_sub_explicit(&entry->holds, 1, memory_order_acq_rel);
    if (before < L1_TABLE_HOLD / 2) {
        l1_look_again(entry);
    }
}

/* Moves the holds of all slots to the entries' own counts. */
static void spill(struct l1_thread *self)
{
    pthread_mutex_lock(&limbo_lock); /* no entry ends meanwhile */
    for (size_t i = 0; i < L1_SLOTS; i++) {
        struct l1_entry *entry = atomic_load_explicit(&self->slots[i], memory_order_relaxed);
        if (entry) {
            l1_hold(entry);
            l1_clear_slot(&self->slots[i]);
        }
    }
    pthread_mutex_unlock(&limbo_lock);
}

_Atomic(struct l1_entry *) *l1_free_slot(struct l1_thread *self)
{
    for (size_t i = 0; i < L1_SLOTS; i++) {
        if (!atomic_load_explicit(&self->slots[i], memory_order_relaxed)) {
            return &self->slots[i];
        }
    }
    /* Holds that this thread got and other threads released stay in its slots until then. */
    spill(self);
    return &self->slots[0];
}

/* ---- threads ---- */

static void leave_thread(void *record)
{
    struct l1_thread *self = record;
    spill(self);
    l1_thread_self = NULL;
    atomic_store_explicit(&self->taken, false, memory_order_release);
}

static void make_key(void)
{
    KOL_ASSERT(pthread_key_create(&thread_key, leave_thread) == 0);
}

/* The record of a thread that has ended. */
static struct l1_thread *find_left(void)
{
    struct l1_thread *thread = atomic_load(&threads);
    for (; thread; thread = thread->next) {
        bool taken = false;
        if (atomic_compare_exchange_strong(&thread->taken, &taken, true)) {
            return thread;
        }
    }
    return NULL;
}

struct l1_thread *l1_thread_new(void)
{
    pthread_once(&thread_once, make_key);
    struct l1_thread *self = find_left();
    if (!self) {
        self = aligned_alloc(alignof(struct l1_thread), sizeof *self);
        KOL_ASSERT(self);
        memset(self, 0, sizeof *self);
        random_fill(&self->random, sizeof self->random);
        self->number = atomic_fetch_add(&thread_count, 1);
        atomic_store(&self->taken, true);
        self->next = atomic_load(&threads);
        while (!atomic_compare_exchange_weak(&threads, &self->next, self)) {
        }
    }
    KOL_ASSERT(pthread_setspecific(thread_key, self) == 0);
    l1_thread_self = self;
    return self;
}

/* ---- the end ---- */

/* What the slots of all threads hold, when last looked through; under the lock of the limbo. */
static struct l1_entry **seen;
static size_t seen_count, seen_room;

static void look_through_slots(void)
{
    seen_count = 0;
    for (struct l1_thread *thread = atomic_load(&threads); thread; thread = thread->next) {
        for (size_t i = 0; i < L1_SLOTS; i++) {
            struct l1_entry *entry = atomic_load(&thread->slots[i]);
            if (entry && seen_count == seen_room) {
                seen_room = 2 * seen_room + 64;
                seen = mem_realloc(seen, seen_room * sizeof(struct l1_entry *));
            }
            if (entry) {
                seen[seen_count++] = entry;
            }
        }
    }
}

static int64_t count_seen(const struct l1_entry *entry)
{
    int64_t count = 0;
    for (size_t i = 0; i < seen_count; i++) {
        count += seen[i] == entry;
    }
    return count;
}

/* Clears the slots whose holds other threads have released. */
static void clear_left(const struct l1_entry *entry)
{
    for (struct l1_thread *thread = atomic_load(&threads); thread; thread = thread->next) {
        for (size_t i = 0; i < L1_SLOTS; i++) {
            if (atomic_load(&thread->slots[i]) == entry) {
                atomic_store(&thread->slots[i], NULL);
            }
        }
    }
}

/* Takes out of the limbo, under its lock, what nobody holds: all of it, or one address alone. */
static struct l1_entry *take_unheld(const struct l1_entry *only)
{
    struct l1_entry *unheld = NULL, **at = &limbo;
    look_through_slots();
    while (*at) {
        struct l1_entry *entry = *at;
        if (only && entry != only) {
            at = &entry->older;
            continue;
        }
        const int64_t slots = count_seen(entry);
        if (slots + atomic_load(&entry->holds) == 0) {
            if (slots) {
                clear_left(entry);
            }
            *at = entry->older;
            entry->older = unheld;
            unheld = entry;
        } else {
            at = &entry->older;
        }
    }
    return unheld;
}

static void destroy_all(struct l1_entry *entries)
{
    while (entries) {
        struct l1_entry *next = entries->older;
        if (entries->destroy) {
            entries->destroy(entries->data);
        }
        free(entries);
        entries = next;
    }
}

void l1_look_again(const struct l1_entry *entry)
{
    pthread_mutex_lock(&limbo_lock);
    struct l1_entry *unheld = take_unheld(entry);
    pthread_mutex_unlock(&limbo_lock);
    destroy_all(unheld);
}

void l1_settle(struct l1_entry *taken_out)
{
    pthread_mutex_lock(&limbo_lock);
    while (taken_out) {
        struct l1_entry *next = taken_out->older;
        atomic_store(&taken_out->out, true);
        atomic_fetch_sub(&taken_out->holds, L1_TABLE_HOLD);
        taken_out->older = limbo;
        limbo = taken_out;
        taken_out = next;
    }
    struct l1_entry *unheld = take_unheld(NULL);
    pthread_mutex_unlock(&limbo_lock);
    destroy_all(unheld);
}
