/* slots.c: see slots.h. */
#include "lake/slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void slots_init(struct slots *slots, int64_t rows)
{
    uint64_t size = 1024;
    KOL_ASSERT(rows <= SLOTS_MAX_ROWS);
    while (size < 2 * (uint64_t)rows) {
        size *= 2;
    }
    *slots = (struct slots){mem_alloc_large(size * sizeof *slots->hashes), size - 1};
    /* Written now: pages of zeros that are first read and then written cost a fault each time, and
     * an interrupt of the other threads. */
    memset(slots->hashes, 0, size * sizeof *slots->hashes);
}

void slots_free(struct slots *slots)
{
    free(slots->hashes);
    slots->hashes = NULL;
}
