/*
 * breaker.h: a circuit breaker: what fails time and again is left alone for a while.
 *
 *     closed --failures in a row--> open --rest over--> half-open --trial well--> closed
 *                                     ^----------------trial failed------'
 *
 * While it is open nobody asks; whoever owns the breaker makes the trial, so that no request pays
 * for it. The rest doubles with each failed trial, up to its bound.
 *
 * Threads: all calls from any thread.
 */
#ifndef CACHE_BREAKER_H
#define CACHE_BREAKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker {
    /* Constant. */
    int failures_max;             /* in a row, that open it */
    int64_t rest_us, rest_max_us; /* the first rest, and the longest */
    /* Under the lock, but `state` and `failures`, which are read without it. */
    pthread_mutex_t lock;
    _Atomic int state;
    _Atomic int failures;
    int64_t rest_now_us, open_until_ns;
    int64_t opened; /* how often it was */
};

void breaker_init(struct breaker *breaker, int failures, int64_t rest_us, int64_t rest_max_us);
void breaker_free(struct breaker *breaker);

/* Whether it may be asked now: it is closed. Takes no lock. */
bool breaker_closed(const struct breaker *breaker);
/* What came of asking. True where this call opened it. */
bool breaker_tell(struct breaker *breaker, bool well);
/* Whether a trial is due; then it is half-open until breaker_tell(). */
bool breaker_trial(struct breaker *breaker);
enum breaker_state breaker_state(const struct breaker *breaker);
const char *breaker_state_name(enum breaker_state state); /* "closed", "half_open", "open" */
int64_t breaker_opened(struct breaker *breaker);

#endif
