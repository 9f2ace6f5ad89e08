/*
 * l1_trace.c: what a trace of keys hits in the cache in the process; bench_l1_policy.py compares
 * it.
 *
 *   l1_trace ENTRIES < TRACE       prints the hits
 *
 * The trace is a row of 32-bit numbers, each a key. The bound is what ENTRIES entries take, all of
 * one size: measured, not assumed. Nothing expires.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cache/l1.h"

static const struct l1_life life = {INT64_C(3600) * CLOCK_US_PER_SECOND, 0, 0};

/* Asks for a key, and loads it where it is not there. */
static void ask(struct l1 *l1, uint32_t number)
{
    char text[16];
    struct l1_entry *entry;
    struct l1_load *load;
    const struct str key = {text, (size_t)snprintf(text, sizeof text, "%08x", number)};
    if (l1_get(l1, key, &entry) != L1_MISS) {
        l1_release(entry);
        return;
    }
    KOL_ASSERT(l1_join(l1, key, NULL, &load, &entry) == L1_LOAD);
    KOL_ASSERT(!l1_fill(load, (struct l1_value){.bytes = 1000}, &life, NULL, 0));
}

static size_t entry_bytes(void)
{
    struct l1 *l1 = l1_new(&(struct l1_options){.max_bytes = 1 << 20});
    struct l1_stats stats;
    ask(l1, 0);
    l1_stats(l1, &stats);
    l1_free(&l1);
    return (size_t)stats.bytes;
}

int main(int argc, char **argv)
{
    const size_t entries = argc > 1 ? (size_t)atoll(argv[1]) : 1000;
    struct l1 *l1 = l1_new(&(struct l1_options){.max_bytes = entries * entry_bytes()});
    struct l1_stats stats;
    uint32_t numbers[4096];
    size_t count;
    while ((count = fread(numbers, sizeof numbers[0], ARRAY_LEN(numbers), stdin))) {
        for (size_t i = 0; i < count; i++) {
            ask(l1, numbers[i]);
        }
    }
    l1_stats(l1, &stats);
    KOL_ASSERT(stats.bytes <= stats.max_bytes);
    printf("%lld\n", (long long)stats.hits);
    l1_free(&l1);
    return 0;
}
