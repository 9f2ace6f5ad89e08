/*
 * since.c: see since.h.
 */
#include "lake/since.h"

#include <stdlib.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "lake/slots.h"

/* What a row says, and since when. */
struct row {
    uint64_t what;
    int64_t us;
};

struct since {
    struct slots who; /* marked: asked about */
    struct row *rows; /* by slot */
    int64_t left;     /* how many may still be put */
    bool full;        /* one found no place */
    int64_t asked;    /* each about another one */
    bool doubtful;    /* one was asked about twice, or was not there */
};

void since_free(struct since **since)
{
    if (*since) {
        slots_free(&(*since)->who);
        free((*since)->rows);
        free(*since);
        *since = NULL;
    }
}

static inline void prefetch(const struct since *since, int64_t who)
{
    slots_prefetch(&since->who, who);
    __builtin_prefetch(&since->rows[slots_hash(who) & since->who.mask], 1);
}

/* ---- reading ---- */

/* Threads of the engine put rows at once: who fills a slot has it. Rows are read by a later query
 * only, which the engine begins behind this one. */
static bool put(struct since *since, int64_t who, const struct row *row)
{
    const uint64_t hash = slots_hash(who);
    for (;;) {
        uint64_t there = 0;
        const size_t at = slots_find(&since->who, hash);
        if (at == SLOTS_NONE) {
            return false;
        }
        if (__atomic_compare_exchange_n(&since->who.hashes[at], &there, hash, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            since->rows[at] = *row;
            return true;
        }
        if (there == hash) {
            return false; /* twice */
        }
    }
}

static void run_put(void *user, size_t rows, const int64_t *const *arguments, int64_t *times)
{
    struct since *since = *(struct since **)user;
    bool good = __atomic_sub_fetch(&since->left, (int64_t)rows, __ATOMIC_RELAXED) >= 0;
    for (size_t i = 0; i < rows; i++) {
        prefetch(since, arguments[0][i]);
        times[i] = ENGINE_NO_TIME;
    }
    for (size_t i = 0; i < rows && good; i++) {
        const struct row row = {(uint64_t)arguments[1][i], arguments[2][i]};
        good = put(since, arguments[0][i], &row);
    }
    if (!good) {
        __atomic_store_n(&since->full, true, __ATOMIC_RELAXED);
    }
}

enum kol_status since_read(struct engine_session *session, const char *columns,
                           const char *relation, int64_t rows, struct since **since,
                           struct kol_error *err)
{
    struct buf sql = {0};
    int64_t none;
    since_free(since);
    if (rows > SLOTS_MAX_ROWS || FAILPOINT_FAILS("since.join")) {
        return KOL_OK;
    }
    struct since *made = mem_zalloc(1, sizeof *made);
    slots_init(&made->who, rows);
    made->rows = mem_alloc_large((made->who.mask + 1) * sizeof *made->rows);
    made->left = rows;
    *since = made;
    buf_printf(&sql, "SELECT count(kol_since_put(%s)) FROM %s", columns, relation);
    enum kol_status status = engine_get_int(session, sql.ptr, &none, err);
    if (status != KOL_OK || made->full) {
        since_free(since);
    }
    buf_free(&sql);
    return status;
}

/* ---- asking ---- */

/* ENGINE_NO_TIME where it is not there, or says something else. */
static int64_t find(struct since *since, int64_t who, uint64_t what, int64_t *asked)
{
    const size_t at = slots_find(&since->who, slots_hash(who));
    if (at == SLOTS_NONE || !__atomic_load_n(&since->who.hashes[at], __ATOMIC_RELAXED)) {
        return ENGINE_NO_TIME;
    }
    const uint64_t before = __atomic_fetch_or(&since->who.hashes[at], SLOTS_MARK, __ATOMIC_RELAXED);
    *asked += !(before & SLOTS_MARK);
    return since->rows[at].what == what ? since->rows[at].us : ENGINE_NO_TIME;
}

static void run_since(void *user, size_t rows, const int64_t *const *arguments, int64_t *times)
{
    struct since *since = *(struct since **)user;
    int64_t asked = 0;
    if (!since) {
        for (size_t row = 0; row < rows; row++) {
            times[row] = ENGINE_NO_TIME;
        }
        return;
    }
    for (size_t row = 0; row < rows; row++) {
        prefetch(since, arguments[0][row]);
    }
    for (size_t row = 0; row < rows; row++) {
        times[row] = find(since, arguments[0][row], (uint64_t)arguments[1][row], &asked);
    }
    __atomic_fetch_add(&since->asked, asked, __ATOMIC_RELAXED);
    if (asked < (int64_t)rows) {
        __atomic_store_n(&since->doubtful, true, __ATOMIC_RELAXED);
    }
}

enum kol_status since_add(struct engine *engine, struct since **since, struct kol_error *err)
{
    enum kol_status status =
        engine_add_time_function(engine, "kol_since", 2, run_since, since, err);
    return status == KOL_OK
               ? engine_add_time_function(engine, "kol_since_put", 3, run_put, since, err)
               : status;
}

bool since_all_once(const struct since *since, int64_t rows)
{
    return since && !__atomic_load_n(&since->doubtful, __ATOMIC_RELAXED) &&
           __atomic_load_n(&since->asked, __ATOMIC_RELAXED) == rows;
}
