/* live_count.c: the counters of the live store: windows and rates, one number for all processes. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "online/live_parts.h"

/* What a counter's value holds. Its expiry is the end of its window, or the time at which a rate
 * has all its units again. */
struct counter {
    int64_t count;  /* units in the window */
    int64_t due_us; /* of a rate: when all units are back (GCRA's theoretical arrival time); of a
                       bucket: when it is empty */
};

/* One letter before the key, so that a window, a rate and a bucket of one name do not meet. */
static enum kol_status counter_key(char tag, struct str key, char out[STORE_MAX_KEY],
                                   struct str *stored, struct kol_error *err)
{
    if (key.len == 0 || key.len > LIVE_MAX_KEY) {
        return kol_fail(err, KOL_INVALID, "the key of a counter has 1 to %d bytes, not %zu",
                        LIVE_MAX_KEY, key.len);
    }
    out[0] = tag;
    memcpy(out + 1, key.ptr, key.len);
    *stored = (struct str){out, key.len + 1};
    return KOL_OK;
}

/* A step of a counter: sees what there is and leaves what shall be; false: nothing changes. */
typedef bool counter_step(struct counter *counter, int64_t *expires_us, int64_t now_us,
                          const void *rule, struct live_limit *out);

static enum kol_status step_stored(struct live *live, MDB_txn *txn, struct str key,
                                   counter_step *step, const void *rule, struct live_limit *out,
                                   bool *changed, struct kol_error *err)
{
    const int64_t now_us = clock_now_us();
    struct counter counter = {0};
    struct store_head old = {0};
    struct str bytes;
    bool found;
    int64_t removed;
    enum kol_status status =
        store_sweep(&live->counters, txn, now_us, LIVE_SWEEP_PER_WRITE, &removed, err);
    if (status == KOL_OK) {
        status = store_get(&live->counters, txn, key, &old, &bytes, &found, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct store_head head = {.event_time_us = 0};
    if (found && bytes.len == sizeof counter && !store_expired(&old, now_us)) {
        memcpy(&counter, bytes.ptr, sizeof counter);
        head.expires_us = old.expires_us;
    }
    *changed = removed > 0;
    if (!step(&counter, &head.expires_us, now_us, rule, out)) {
        return KOL_OK;
    }
    *changed = true;
    return store_put(&live->counters, txn, key, found ? &old : NULL, &head,
                     (struct str){(const char *)&counter, sizeof counter}, err);
}

static enum kol_status step_counter(struct live *live, char tag, struct str key, counter_step *step,
                                    const void *rule, struct live_limit *out, struct kol_error *err)
{
    char space[STORE_MAX_KEY];
    struct str stored;
    MDB_txn *txn;
    bool changed = false;
    *out = (struct live_limit){.allowed = false};
    enum kol_status status = counter_key(tag, key, space, &stored, err);
    status = status == KOL_OK ? store_begin(&live->counters, true, &txn, err) : status;
    if (status != KOL_OK) {
        return status;
    }
    status = step_stored(live, txn, stored, step, rule, out, &changed, err);
    if (status == KOL_OK && changed) {
        return store_commit(&live->counters, txn, err);
    }
    store_abort(&live->counters, txn);
    return status;
}

struct window_rule {
    int64_t amount, window_us, limit;
};

static bool step_window(struct counter *counter, int64_t *expires_us, int64_t now_us,
                        const void *user, struct live_limit *out)
{
    const struct window_rule *rule = user;
    if (*expires_us == 0) {
        *expires_us = now_us + rule->window_us;
    }
    out->allowed = rule->limit == 0 || rule->amount <= rule->limit - counter->count;
    if (out->allowed) {
        counter->count += rule->amount;
    }
    out->count = counter->count;
    out->remaining = rule->limit ? rule->limit - counter->count : INT64_MAX;
    out->remaining = out->remaining > 0 ? out->remaining : 0;
    out->reset_us = *expires_us;
    out->retry_us = out->allowed ? 0 : *expires_us - now_us;
    return out->allowed;
}

enum kol_status live_count(struct live *live, struct str key, int64_t amount, int64_t window_us,
                           int64_t limit, struct live_limit *out, struct kol_error *err)
{
    KOL_ASSERT(amount >= 0 && window_us > 0 && limit >= 0);
    const struct window_rule rule = {amount, window_us, limit};
    return step_counter(live, 'w', key, step_window, &rule, out, err);
}

struct rate_rule {
    int64_t cost, interval_us, burst;
};

static bool step_rate(struct counter *counter, int64_t *expires_us, int64_t now_us,
                      const void *user, struct live_limit *out)
{
    const struct rate_rule *rule = user;
    const int64_t whole_us = rule->burst * rule->interval_us;
    int64_t from_us = counter->due_us > now_us ? counter->due_us : now_us;
    int64_t due_us = from_us + rule->cost * rule->interval_us;
    out->allowed = due_us - now_us <= whole_us;
    out->retry_us = out->allowed ? 0 : due_us - now_us - whole_us;
    if (out->allowed) {
        counter->due_us = *expires_us = due_us;
        from_us = due_us;
    }
    out->remaining = (whole_us - (from_us - now_us)) / rule->interval_us;
    out->reset_us = from_us;
    return out->allowed;
}

enum kol_status live_rate(struct live *live, struct str key, int64_t cost, int64_t interval_us,
                          int64_t burst, struct live_limit *out, struct kol_error *err)
{
    KOL_ASSERT(cost > 0 && interval_us > 0 && burst > 0 && burst <= INT64_MAX / 4 / interval_us &&
               cost <= INT64_MAX / 4 / interval_us);
    const struct rate_rule rule = {cost, interval_us, burst};
    return step_counter(live, 'g', key, step_rate, &rule, out, err);
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool step_bucket(struct counter *counter, int64_t *expires_us, int64_t now_us,
                        const void *user, struct live_limit *out)
{
    const struct live_spent *rule = user;
    const int64_t most_us = now_us + rule->most_us;
    const int64_t before_us = counter->due_us <= most_us ? counter->due_us : 0;
    int64_t due_us = greater(before_us, now_us - rule->age_us) + rule->spent_us;
    due_us = greater(due_us, now_us + rule->floor_us);
    due_us = due_us < most_us ? due_us : most_us;
    counter->due_us = *expires_us = due_us;
    out->reset_us = greater(due_us - now_us, 0);
    return true;
}

enum kol_status live_spend(struct live *live, struct str key, const struct live_spent *spent,
                           int64_t *held_us, struct kol_error *err)
{
    const int64_t bound = INT64_MAX / 8;
    struct live_limit out;
    KOL_ASSERT(spent->age_us >= 0 && spent->spent_us >= 0 && spent->floor_us >= 0 &&
               spent->most_us >= 0 && spent->age_us <= bound && spent->spent_us <= bound &&
               spent->floor_us <= bound && spent->most_us <= bound);
    enum kol_status status = step_counter(live, 'b', key, step_bucket, spent, &out, err);
    *held_us = out.reset_us;
    return status;
}
