/* breaker.c: what fails time and again is left alone for a while. */
#include "cache/breaker.h"

#include "base/clock.h"

void breaker_init(struct breaker *breaker, int failures, int64_t rest_us, int64_t rest_max_us)
{
    *breaker = (struct breaker){
        .failures_max = failures,
        .rest_us = rest_us,
        .rest_max_us = rest_max_us,
        .rest_now_us = rest_us,
    };
    pthread_mutex_init(&breaker->lock, NULL);
}

void breaker_free(struct breaker *breaker)
{
    pthread_mutex_destroy(&breaker->lock);
}

enum breaker_state breaker_state(const struct breaker *breaker)
{
    return (enum breaker_state)atomic_load_explicit(&breaker->state, memory_order_relaxed);
}

bool breaker_closed(const struct breaker *breaker)
{
    return breaker_state(breaker) == BREAKER_CLOSED;
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"closed", "half_open", "open"};
    return names[state];
}

static void close_it(struct breaker *breaker)
{
    breaker->failures = 0;
    breaker->rest_now_us = breaker->rest_us;
    atomic_store(&breaker->state, BREAKER_CLOSED);
}

static void open_it(struct breaker *breaker, bool after_trial)
{
    if (after_trial) {
        breaker->rest_now_us *= 2;
        if (breaker->rest_now_us > breaker->rest_max_us) {
            breaker->rest_now_us = breaker->rest_max_us;
        }
    } else {
        breaker->rest_now_us = breaker->rest_us;
        breaker->opened++;
    }
    breaker->open_until_ns = clock_mono_ns() + breaker->rest_now_us * 1000;
    atomic_store(&breaker->state, BREAKER_OPEN);
}

bool breaker_tell(struct breaker *breaker, bool well)
{
    if (well && breaker_closed(breaker) &&
        !atomic_load_explicit(&breaker->failures, memory_order_relaxed)) {
        return false; /* the usual case; a failure that is counted just now may stay counted */
    }
    pthread_mutex_lock(&breaker->lock);
    const enum breaker_state before = breaker_state(breaker);
    bool opened = false;
    if (well && before != BREAKER_OPEN) {
        close_it(breaker);
    } else if (!well && before == BREAKER_HALF_OPEN) {
        open_it(breaker, true);
    } else if (!well && before == BREAKER_CLOSED && ++breaker->failures >= breaker->failures_max) {
        open_it(breaker, false);
        opened = true;
    }
    pthread_mutex_unlock(&breaker->lock);
    return opened;
}

bool breaker_trial(struct breaker *breaker)
{
    pthread_mutex_lock(&breaker->lock);
    const bool due =
        breaker_state(breaker) == BREAKER_OPEN && clock_mono_ns() >= breaker->open_until_ns;
    if (due) {
        atomic_store(&breaker->state, BREAKER_HALF_OPEN);
    }
    pthread_mutex_unlock(&breaker->lock);
    return due;
}

int64_t breaker_opened(struct breaker *breaker)
{
    pthread_mutex_lock(&breaker->lock);
    const int64_t opened = breaker->opened;
    pthread_mutex_unlock(&breaker->lock);
    return opened;
}
