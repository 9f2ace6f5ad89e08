/*
 * l1_fixture.h: a cache with a clock that stands, values that are counted, waiters that note how
 * they were woken.
 */
#ifndef L1_FIXTURE_H
#define L1_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cache/l1.h"

#define SECOND CLOCK_US_PER_SECOND

static int64_t fixture_now_us;

static inline int64_t fixture_clock(void *user)
{
    (void)user;
    return fixture_now_us;
}

/* Values: made and not yet destroyed. A second destroy of one is seen by ASan, and here. */
static atomic_long fixture_alive;

struct made {
    int number, alive;
};

static inline void destroy_made(void *data)
{
    struct made *made = data;
    KOL_ASSERT(made->alive == 1);
    made->alive = 0;
    atomic_fetch_sub(&fixture_alive, 1);
    free(made);
}

static inline struct l1_value make_value(int number, size_t bytes)
{
    struct made *made = mem_alloc(sizeof *made);
    *made = (struct made){number, 1};
    atomic_fetch_add(&fixture_alive, 1);
    return (struct l1_value){.data = made, .bytes = bytes, .destroy = destroy_made};
}

static inline int number_of(const struct l1_entry *entry)
{
    const struct made *made = l1_data(entry);
    KOL_ASSERT(made->alive == 1);
    return made->number;
}

static const struct l1_life long_life = {1000 * SECOND, 0, 0};

struct test_waiter {
    struct l1_waiter waiter; /* first */
    int woken, number;       /* number: of the value, or -1 */
    bool stale;
    enum kol_status status;
};

static inline void note_wake(struct l1_waiter *waiter, struct l1_entry *entry, bool stale,
                             const struct kol_error *err)
{
    struct test_waiter *noted = (struct test_waiter *)waiter;
    noted->woken++;
    noted->number = entry ? number_of(entry) : -1;
    noted->stale = stale;
    noted->status = err ? err->status : KOL_OK;
    if (entry) {
        l1_release(entry);
    }
}

static inline struct test_waiter new_waiter(void)
{
    return (struct test_waiter){.waiter.wake = note_wake};
}

static inline struct l1 *new_l1(size_t max_bytes)
{
    fixture_now_us = 1000000 * SECOND;
    return l1_new(&(struct l1_options){.max_bytes = max_bytes, .now_us = fixture_clock});
}

static inline void free_l1(struct l1 **l1)
{
    l1_free(l1);
    assert_null(*l1);
    assert_int_equal(atomic_load(&fixture_alive), 0);
}

/* Begins a load that nobody waits for. */
static inline struct l1_load *begin(struct l1 *l1, const char *key)
{
    struct l1_load *load = NULL;
    struct l1_entry *entry = NULL;
    assert_int_equal(l1_join(l1, str_of(key), NULL, &load, &entry), L1_LOAD);
    assert_non_null(load);
    return load;
}

static inline enum l1_joined join(struct l1 *l1, const char *key, struct test_waiter *waiter,
                                  struct l1_load **load)
{
    struct l1_entry *entry = NULL;
    enum l1_joined joined = l1_join(l1, str_of(key), &waiter->waiter, load, &entry);
    if (entry) {
        l1_release(entry);
    }
    return joined;
}

static inline void fill_tagged(struct l1_load *load, int number, const struct l1_life *life,
                               const char *tag)
{
    const struct str text = str_of(tag);
    assert_null(l1_fill(load, make_value(number, 100), life, &text, tag ? 1 : 0));
}

/* Loads a key with a number. */
static inline void put(struct l1 *l1, const char *key, int number, const struct l1_life *life)
{
    fill_tagged(begin(l1, key), number, life, NULL);
}

static inline enum l1_found look(struct l1 *l1, const char *key, int *number)
{
    struct l1_entry *entry = NULL;
    enum l1_found found = l1_get(l1, str_of(key), &entry);
    assert_int_equal(found == L1_MISS, entry == NULL);
    *number = entry ? number_of(entry) : -1;
    if (entry) {
        l1_release(entry);
    }
    return found;
}

#define assert_found(l1, key, expected_found, expected_number)                                     \
    do {                                                                                           \
        int number_found;                                                                          \
        assert_int_equal(look(l1, key, &number_found), expected_found);                            \
        assert_int_equal(number_found, expected_number);                                           \
    } while (0)

#define assert_missing(l1, key) assert_found(l1, key, L1_MISS, -1)

static inline struct l1_stats stats_of(const struct l1 *l1)
{
    struct l1_stats stats;
    l1_stats(l1, &stats);
    return stats;
}

#endif
