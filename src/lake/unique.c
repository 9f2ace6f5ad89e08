/*
 * unique.c: see unique.h.
 *
 * To group a million rows by their key costs the engine four times as much as to read the key. Here
 * the hash of each key goes into a table, and the first that is there already ends it.
 */
#include "lake/unique.h"

#include "base/mem.h"
#include "lake/slots.h"

/* False where it is there, or may be. */
static inline bool add(const struct slots *seen, int64_t key)
{
    const uint64_t hash = slots_hash(key);
    const size_t at = slots_find(seen, hash);
    if (at == SLOTS_NONE || seen->hashes[at]) {
        return false;
    }
    seen->hashes[at] = hash;
    return true;
}

/* The slots are far apart: all of a block are on their way before the first is looked at. `*left`:
 * how many may come. */
static bool add_block(const struct slots *seen, const struct engine_result *result, size_t rows,
                      int64_t *left)
{
    *left -= (int64_t)rows;
    for (size_t row = 0; row < rows; row++) {
        slots_prefetch(seen, engine_int(result, 0, row));
    }
    bool added = *left >= 0;
    for (size_t row = 0; row < rows && added; row++) {
        added = add(seen, engine_int(result, 0, row));
    }
    return added;
}

enum kol_status lake_is_unique(struct engine_session *session, const char *columns,
                               const char *scan, int64_t rows, bool *unique, struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct slots seen;
    struct buf sql = {0};
    size_t count = 0;
    *unique = false;
    if (rows < 0 || rows > SLOTS_MAX_ROWS) {
        return KOL_OK;
    }
    slots_init(&seen, rows);
    buf_printf(&sql, "SELECT CAST(hash(%s) >> 1 AS BIGINT) FROM (%s) AS staged", columns, scan);
    bool added = true;
    enum kol_status status = engine_query(session, sql.ptr, &result, err);
    while (status == KOL_OK && added && (status = engine_next(result, &count, err)) == KOL_OK &&
           count) {
        added = add_block(&seen, result, count, &rows);
    }
    *unique = status == KOL_OK && added;
    engine_result_free(&result);
    buf_free(&sql);
    slots_free(&seen);
    return status;
}
