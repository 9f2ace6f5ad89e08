/*
 * unique.c: see unique.h.
 *
 * To group a million rows by their key costs the engine four times as much as to read the key. Here
 * each key is a hash of 63 bits, which goes into a table that is at most half full: the first that
 * is there already ends it. The engine's own hash is used, which is the same wherever the engine
 * takes two keys for one.
 */
#include "lake/unique.h"

#include <stdlib.h>

#include "base/mem.h"

enum {
    MAX_ROWS = 1 << 21, /* 32 MiB of table, which the engine's limit does not know of */
    /* Slots that are looked at for one key: of two million keys by chance it is 80 at the most.
     * Keys that somebody chose for their hashes are left to the query. */
    MAX_STEPS = 512,
};

/* Hashes by their lowest bits, the next slot where one is taken; 0 is an empty one. */
struct seen {
    uint64_t *slots, mask;
    int64_t left; /* how many may come */
};

static void seen_init(struct seen *seen, int64_t rows)
{
    uint64_t slots = 1024;
    while (slots < 2 * (uint64_t)rows) {
        slots *= 2;
    }
    *seen = (struct seen){mem_zalloc(slots, sizeof *seen->slots), slots - 1, rows};
}

/* False where it is there, or may be. */
static inline bool seen_add(struct seen *seen, uint64_t hash)
{
    hash = hash ? hash : 1;
    uint64_t at = hash & seen->mask;
    for (int step = 0; seen->slots[at] && seen->slots[at] != hash; step++) {
        if (step == MAX_STEPS) {
            return false;
        }
        at = (at + 1) & seen->mask;
    }
    const bool added = !seen->slots[at];
    seen->slots[at] = hash;
    return added;
}

/* The slots are far apart: all of a block are on their way before the first is looked at. */
static bool add_block(struct seen *seen, const struct engine_result *result, size_t rows)
{
    seen->left -= (int64_t)rows;
    for (size_t row = 0; row < rows; row++) {
        __builtin_prefetch(&seen->slots[(uint64_t)engine_int(result, 0, row) & seen->mask], 1);
    }
    bool added = seen->left >= 0;
    for (size_t row = 0; row < rows && added; row++) {
        added = seen_add(seen, (uint64_t)engine_int(result, 0, row));
    }
    return added;
}

enum kol_status lake_is_unique(struct engine_session *session, const char *columns,
                               const char *scan, int64_t rows, bool *unique, struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct seen seen;
    struct buf sql = {0};
    size_t count = 0;
    *unique = false;
    if (rows < 0 || rows > MAX_ROWS) {
        return KOL_OK;
    }
    seen_init(&seen, rows);
    buf_printf(&sql, "SELECT CAST(hash(%s) >> 1 AS BIGINT) FROM (%s) AS staged", columns, scan);
    bool added = true;
    enum kol_status status = engine_query(session, sql.ptr, &result, err);
    while (status == KOL_OK && added && (status = engine_next(result, &count, err)) == KOL_OK &&
           count) {
        added = add_block(&seen, result, count);
    }
    *unique = status == KOL_OK && added;
    engine_result_free(&result);
    buf_free(&sql);
    free(seen.slots);
    return status;
}
