/*
 * l1_hold.c: who holds an entry, and the end of an entry that nobody holds.
 *
 * A count that all holders of a popular entry change would make its cache line travel between the
 * cores at each hit. So a hit notes its hold in a slot of its own thread, and the slots are looked
 * through only when an entry leaves the table (l1_parts.h draws it). Each hold is counted exactly
 * once, in a slot or in `holds`: whoever moves one adds to `holds` before the slot is cleared, or,
 * where the entry cannot end in between, just after.
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

/* ---- an entry's own count ---- */

static void destroy(struct l1_entry *entry)
{
    if (entry->destroy) {
        entry->destroy(entry->data);
    }
    free(entry);
}

static void drop_holds(struct l1_entry *entry, int64_t count)
{
    if (atomic_fetch_sub_explicit(&entry->holds, count, memory_order_acq_rel) == count) {
        destroy(entry);
    }
}

void l1_hold(struct l1_entry *entry)
{
    atomic_fetch_add_explicit(&entry->holds, 1, memory_order_relaxed);
}

void l1_release(struct l1_entry *entry)
{
    struct l1_thread *self = l1_thread();
    for (size_t i = 0; i < L1_SLOTS; i++) {
        struct l1_entry *found = atomic_load_explicit(&self->slots[i], memory_order_relaxed);
        if (found == entry && atomic_compare_exchange_strong(&self->slots[i], &found, NULL)) {
            return;
        }
    }
    drop_holds(entry, 1);
}

/* ---- slots ---- */

void l1_clear_slot(_Atomic(struct l1_entry *) *slot, struct l1_entry *entry)
{
    struct l1_entry *found = entry;
    if (!atomic_compare_exchange_strong(slot, &found, NULL)) {
        drop_holds(entry, 1); /* whoever took it out of the table has counted the slot already */
    }
}

/* Moves the holds of all slots to the entries' own counts. */
static void spill(struct l1_thread *self)
{
    for (size_t i = 0; i < L1_SLOTS; i++) {
        struct l1_entry *entry = atomic_load_explicit(&self->slots[i], memory_order_relaxed);
        if (entry) {
            l1_hold(entry);
            l1_clear_slot(&self->slots[i], entry);
        }
    }
}

_Atomic(struct l1_entry *) *l1_free_slot(struct l1_thread *self)
{
    for (size_t i = 0; i < L1_SLOTS; i++) {
        if (!atomic_load_explicit(&self->slots[i], memory_order_relaxed)) {
            return &self->slots[i];
        }
    }
    /* Holds that this thread got and other threads release stay in its slots until then. */
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

/* An address out of a slot must not be followed: its holder may let go of it meanwhile. */
static bool is_among(const struct l1_entry *list, const struct l1_entry *address)
{
    for (; list && list != address; list = list->older) {
    }
    return list;
}

void l1_settle(struct l1_entry *taken_out)
{
    if (!taken_out) {
        return;
    }
    for (struct l1_thread *thread = atomic_load(&threads); thread; thread = thread->next) {
        for (size_t i = 0; i < L1_SLOTS; i++) {
            struct l1_entry *found = atomic_load(&thread->slots[i]);
            if (found && is_among(taken_out, found) &&
                atomic_compare_exchange_strong(&thread->slots[i], &found, NULL)) {
                l1_hold(found);
            }
        }
    }
    while (taken_out) {
        struct l1_entry *next = taken_out->older;
        drop_holds(taken_out, L1_TABLE_HOLD);
        taken_out = next;
    }
}
