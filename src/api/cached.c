/*
 * cached.c: between a call and its handler: the cache in the process.
 *
 * On the event thread a ready answer goes out in place; a stale one too, while a worker makes it
 * anew by a copy of the call. What is not there goes to a worker, where one call for each key loads
 * and the others wait without a thread: whoever ends the load ends them.
 *
 * Brief routes (a record by its key, one prediction) take less than the way to a worker and back,
 * two changes of thread and some 40 us: these load in place, but where another loads already. What
 * they read is mapped into memory; a page that is not there costs one read of a disk.
 *
 * A failed load (5xx) is kept by nobody: those who wait get the stale answer where there is one,
 * else the problem. Answers 404 are kept for as long as the route says; other problems are given to
 * those who waited and forgotten. What was made without asking Redis, where it should have been
 * asked (a weak answer), is passed over for an answer from before that knows more.
 *
 * A call that waits is touched by three: whoever joined it, whoever ends the load, and whoever
 * cancels it. Who finishes it is settled by `state`:
 *
 *     JOINING --join done--> WAITING --load ends--> the loader finishes it
 *        |                      `--cancelled, l1_leave()--> the canceller finishes it
 *        `--load ends, or cancelled, first--> WOKEN, CANCELLED: the joiner finishes it
 */
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/value.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/logger.h"

#define US INT64_C(1000000)
/* How long an answer is fresh that was made without asking Redis: it may know more. */
#define WEAK_US US

enum state { JOINING, WAITING, WOKEN, CANCELLED };

/* What a load brought to one call. */
struct outcome {
    struct http_answer *answer; /* held */
    int64_t filled_us, fresh_until_us;
    bool kept;  /* it is an entry of the cache, maybe one that is not kept any more */
    bool stale; /* this is what was there before: the load failed, or what it brought is weak */
    bool weak;  /* the latter */
};

struct waiting {
    struct l1_waiter waiter; /* first: the cache gives it back */
    struct http_call *call;
    struct outcome *mine; /* of the call that loads: it finishes itself */
    struct outcome outcome;
    _Atomic int state;
};

/* The answer of a load that failed, for those who are woken by this thread. */
static _Thread_local struct http_answer *failed_answer;

/* ---- saying where it came from ---- */

static const char *say(struct http_call *call, const char *format, ...) KOL_PRINTF(2, 3);

static const char *say(struct http_call *call, const char *format, ...)
{
    enum { SAID = 128 };
    char *text = arena_alloc(http_call_arena(call), SAID);
    va_list args;
    va_start(args, format);
    vsnprintf(text, SAID, format, args);
    va_end(args);
    return text;
}

static long long seconds_of(int64_t left_us)
{
    return left_us >= 0 ? left_us / US : -((-left_us + US - 1) / US);
}

static long long seconds_left(int64_t until_us)
{
    return seconds_of(until_us - clock_now_us());
}

/* What say() would make of it, which takes a fiftieth of the whole cost of a hit. */
static const char *say_hit(struct http_call *call, int64_t left_us)
{
    static const char said[] = "kol-l1; hit; ttl=";
    enum { NUMBER = 24 };
    char *text = arena_alloc(http_call_arena(call), sizeof said + NUMBER), digits[NUMBER];
    const long long seconds = seconds_of(left_us);
    size_t count = 0, at = sizeof said - 1;
    memcpy(text, said, at);
    for (unsigned long long rest = (unsigned long long)llabs(seconds); rest || !count; rest /= 10) {
        digits[count++] = (char)('0' + rest % 10);
    }
    if (seconds < 0) {
        text[at++] = '-';
    }
    while (count) {
        text[at++] = digits[--count];
    }
    text[at] = '\0';
    return text;
}

static struct http_sending sending_of(struct http_call *call, const struct outcome *outcome,
                                      const char *how)
{
    struct http_sending sending = {.cache_status = how, .age_us = -1, .stale = outcome->stale};
    const char *tier_said = api_call_of(call)->tier_said;
    if (outcome->stale) {
        sending.cache_status =
            say(call, "kol-l1; hit; ttl=%lld; detail=%s", seconds_left(outcome->fresh_until_us),
                outcome->weak ? "redis-not-asked" : "load-failed");
    }
    if (tier_said && outcome->stale == outcome->weak) {
        sending.cache_status = say(call, "kol-redis; %s, %s", tier_said, sending.cache_status);
    }
    if (outcome->kept) {
        sending.age_us = clock_now_us() - outcome->filled_us;
    }
    return sending;
}

static void finish(struct http_call *call, const struct outcome *outcome, const char *how)
{
    const struct http_sending sending = sending_of(call, outcome, how);
    http_finish(call, outcome->answer, &sending);
}

/* ---- reading ---- */

/* True where the answer depends on nothing but the key and what it is made from. */
static bool may_be_kept(struct http_call *call)
{
    return http_call_route(call)->method == HTTP_GET && http_call_policy(call).fresh > 0;
}

static void refresh(void *user);

/* Has a stale answer made anew by a worker; where none is free, the next hit tries again. */
static void refresh_later(struct http_call *call)
{
    struct http_call *copy = http_call_copy(call);
    if (!http_run(http_call_server(call), refresh, copy)) {
        http_copy_free(&copy);
    }
}

/* The answer that the cache has, or NULL. */
static struct http_answer *find_ready(struct api *api, struct http_call *call,
                                      struct http_sending *sending)
{
    struct l1_entry *entry;
    enum l1_found found = l1_get(api->l1, http_call_key(call), &entry);
    if (found == L1_MISS) {
        return NULL;
    }
    if (found == L1_REFRESH) {
        refresh_later(call);
    }
    struct http_answer *answer = l1_data(entry);
    http_answer_hold(answer);
    const int64_t fresh_until_us = l1_fresh_until_us(entry), now_us = clock_now_us();
    *sending = (struct http_sending){
        .cache_status = say_hit(call, fresh_until_us - now_us),
        .age_us = now_us - l1_filled_us(entry),
        .stale = fresh_until_us <= now_us,
    };
    l1_release(entry);
    return answer;
}

/* ---- loading ---- */

static void destroy_answer(void *answer)
{
    http_answer_release(answer);
}

/* How long an answer is kept: problems other than 404 not at all. */
static struct l1_life life_of(struct http_call *call, int status)
{
    const struct http_policy *policy = &http_call_route(call)->policy;
    if (api_call_of(call)->too_many_tags) {
        return (struct l1_life){0};
    }
    if (status >= 200 && status < 300) {
        return (struct l1_life){policy->fresh * US, policy->stale * US, policy->error * US};
    }
    return (struct l1_life){.fresh_us = status == 404 ? policy->missing * US : 0};
}

/* Runs the handler. Where what it reads cannot be read, that is 503 and not its fault: the reason
 * is for the operator alone. */
static enum kol_status run(struct http_call *call, struct kol_error *err)
{
    const struct http_route *route = http_call_route(call);
    enum kol_status status = FAILPOINT_FAILS("api.load")
                                 ? kol_fail(err, KOL_IO, "a test makes this load fail")
                                 : api_handle(call, err);
    if (status == KOL_IO || status == KOL_NO_MEMORY || status == KOL_CORRUPT) {
        log_error("%s (request %.*s): %s", route->name, STR_FORMAT(http_call_id(call)),
                  err->message);
        http_put_header(call, "Retry-After", "1");
        (void)http_problem(call, "unavailable", "The reason is in the log under request %.*s.",
                           STR_FORMAT(http_call_id(call)));
    }
    api_call_end(call); /* sessions and copies are free for others before anybody is woken */
    return status;
}

/* Runs the handler and ends the load by what came of it. Returns the load that is to follow, see
 * l1_fill(). `mine`: gets the answer too, held; NULL for one that is woken like all others. */
static struct l1_load *load(struct http_call *call, struct l1_load *l1_load,
                            struct http_answer **mine)
{
    struct api_call *held = api_call_of(call);
    struct kol_error err = {0};
    held->load = l1_load;
    enum kol_status status = run(call, &err);
    struct http_answer *answer = http_take_answer(call, status, &err);
    const int code = http_answer_status(answer);
    held->load = NULL;
    if (mine) {
        http_answer_hold(answer);
        *mine = answer;
    }
    if (code < 500) {
        struct l1_life life = life_of(call, code);
        if (held->weak && life.fresh_us > WEAK_US) {
            life.fresh_us = WEAK_US;
        }
        struct l1_value value = {
            .data = answer,
            .bytes = http_answer_bytes(answer),
            .destroy = destroy_answer,
            .weak = held->weak,
            .stamps = held->stamps,
            .stamp_count = held->stamp_count,
        };
        return l1_fill(l1_load, value, &life, held->tags, held->tag_count);
    }
    if (status == KOL_OK) {
        kol_fail(&err, KOL_IO, "status %d", code);
    }
    struct http_answer *outer = failed_answer;
    failed_answer = answer;
    l1_fail(l1_load, &err);
    failed_answer = outer;
    http_answer_release(answer);
    return NULL;
}

/* Runs a load that nobody's call is for by `copy`, and those that follow it by copies of their own:
 * a call is handled once. */
static void load_by_copy(struct http_call *copy, struct l1_load *l1_load)
{
    http_uncork(); /* calls that are ended do not wait for it */
    for (;;) {
        l1_load = load(copy, l1_load, NULL);
        if (!l1_load) {
            break;
        }
        struct http_call *next = http_call_copy(copy);
        http_copy_free(&copy);
        copy = next;
    }
    http_copy_free(&copy);
}

static void refresh(void *user)
{
    struct http_call *copy = user;
    struct l1_load *l1_load;
    struct l1_entry *entry;
    if (l1_join(api_of(copy)->l1, http_call_key(copy), NULL, &l1_load, &entry) == L1_LOAD) {
        load_by_copy(copy, l1_load);
    } else {
        http_copy_free(&copy);
    }
}

/* ---- waiting ---- */

static struct outcome outcome_of(struct l1_entry *entry, bool stale)
{
    if (!entry) {
        http_answer_hold(failed_answer);
        return (struct outcome){.answer = failed_answer};
    }
    struct outcome outcome = {
        .answer = l1_data(entry),
        .filled_us = l1_filled_us(entry),
        .fresh_until_us = l1_fresh_until_us(entry),
        .kept = true,
        .stale = stale,
    };
    http_answer_hold(outcome.answer);
    l1_release(entry);
    return outcome;
}

static void finish_woken(struct waiting *waiting)
{
    struct outcome outcome = waiting->outcome;
    struct http_call *call = waiting->call;
    http_off_cancel(call);
    finish(call, &outcome, "kol-l1; fwd=miss; collapsed");
}

static void wake(struct l1_waiter *waiter, struct l1_entry *entry, bool stale,
                 const struct kol_error *err)
{
    /* What the error is, the answer of the load says. */
    struct waiting *waiting = (struct waiting *)waiter;
    struct outcome outcome = outcome_of(entry, stale);
    outcome.weak = stale && !err;
    if (waiting->mine) {
        *waiting->mine = outcome;
        return;
    }
    waiting->outcome = outcome;
    if (atomic_exchange(&waiting->state, WOKEN) == WAITING) {
        finish_woken(waiting);
    }
}

/* The call's deadline passed or its client is gone, while it waits or is about to. */
static void leave(void *user)
{
    struct waiting *waiting = user;
    int state = JOINING;
    if (atomic_compare_exchange_strong(&waiting->state, &state, CANCELLED)) {
        return;
    }
    if (state == WAITING && l1_leave(api_of(waiting->call)->l1, &waiting->waiter)) {
        http_finish(waiting->call, NULL, NULL);
    }
}

/* From here on the call belongs to whoever ends the load, or its wait. */
static void wait_for_load(struct waiting *waiting)
{
    struct http_call *call = waiting->call;
    int state = JOINING;
    http_on_cancel(call, leave, waiting);
    if (atomic_compare_exchange_strong(&waiting->state, &state, WAITING)) {
        return;
    }
    if (state == CANCELLED && l1_leave(api_of(call)->l1, &waiting->waiter)) {
        http_off_cancel(call);
        http_finish(call, NULL, NULL);
        return;
    }
    while (atomic_load(&waiting->state) != WOKEN) { /* just being woken */
        sched_yield();
    }
    finish_woken(waiting);
}

/* ---- in place ---- */

/* The load that failed brought a problem, unless there is an answer from before. */
static void prefer_stale(struct api *api, struct http_call *call, struct outcome *outcome)
{
    struct l1_entry *entry = l1_get_after_error(api->l1, http_call_key(call));
    if (entry) {
        http_answer_release(outcome->answer);
        *outcome = outcome_of(entry, true);
    }
}

/* NULL: another call loads, or such a load failed just now: a worker sees to it. Here nothing waits
 * for Redis, so the answer is never weak. */
static struct http_answer *load_in_place(struct api *api, struct http_call *call,
                                         struct http_sending *sending)
{
    struct l1_load *l1_load;
    struct l1_entry *entry;
    if (l1_join(api->l1, http_call_key(call), NULL, &l1_load, &entry) != L1_LOAD) {
        return NULL;
    }
    struct outcome outcome = {.filled_us = clock_now_us(), .kept = true};
    struct l1_load *next = load(call, l1_load, &outcome.answer);
    if (next) {
        load_by_copy(http_call_copy(call), next);
    }
    if (http_answer_status(outcome.answer) >= 500) {
        outcome.kept = false;
        prefer_stale(api, call, &outcome);
    }
    *sending = sending_of(call, &outcome, "kol-l1; fwd=miss; stored");
    return outcome.answer;
}

static struct http_answer *handle_in_place(struct http_call *call, struct http_sending *sending)
{
    struct kol_error err = {0};
    enum kol_status status = run(call, &err);
    *sending = (struct http_sending){.cache_status = "kol-l1; fwd=bypass", .age_us = -1};
    return http_take_answer(call, status, &err);
}

struct http_answer *api_quick(struct http_call *call, struct http_sending *sending, void *user)
{
    struct api *api = user;
    const bool kept = api->l1 && may_be_kept(call);
    struct http_answer *answer = kept ? find_ready(api, call, sending) : NULL;
    if (answer || !http_call_route(call)->brief || api_waits(call)) {
        return answer;
    }
    return kept ? load_in_place(api, call, sending) : handle_in_place(call, sending);
}

/* ---- on a worker ---- */

/* A call that no cache is asked for. */
static void handle(struct http_call *call)
{
    struct kol_error err = {0};
    enum kol_status status = run(call, &err);
    if (http_streaming(call)) {
        return; /* the stream was the answer */
    }
    struct outcome outcome = {.answer = http_take_answer(call, status, &err)};
    finish(call, &outcome, "kol-l1; fwd=bypass");
}

/* Another call's load ended just now. */
static void finish_found(struct http_call *call, struct l1_entry *entry)
{
    struct outcome outcome = outcome_of(entry, false);
    finish(call, &outcome,
           say(call, "kol-l1; hit; ttl=%lld", seconds_left(outcome.fresh_until_us)));
}

/* The call loads, for itself and for those who wait. */
static void load_for_all(struct http_call *call, struct waiting *waiting, struct l1_load *l1_load)
{
    struct outcome outcome = {0};
    waiting->mine = &outcome;
    struct l1_load *next = load(call, l1_load, NULL);
    struct http_call *copy = next ? http_call_copy(call) : NULL;
    KOL_ASSERT(outcome.answer);
    finish(call, &outcome, "kol-l1; fwd=miss; stored");
    if (next) {
        load_by_copy(copy, next);
    }
}

void api_work(struct http_call *call, void *user)
{
    struct api *api = user;
    struct l1_load *l1_load;
    struct l1_entry *entry;
    if (!api->l1 || !may_be_kept(call)) {
        handle(call);
        return;
    }
    struct waiting *waiting = arena_alloc(http_call_arena(call), sizeof *waiting);
    *waiting = (struct waiting){.waiter.wake = wake, .call = call};
    switch (l1_join(api->l1, http_call_key(call), &waiting->waiter, &l1_load, &entry)) {
    case L1_LOAD: load_for_all(call, waiting, l1_load); break;
    case L1_WAIT: wait_for_load(waiting); break;
    case L1_FOUND: finish_found(call, entry); break;
    }
}
