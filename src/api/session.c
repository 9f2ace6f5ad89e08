/*
 * session.c: sessions on the lists of a copy, of which there are a few, for one call at a time
 * each.
 *
 * A statement stops once nobody waits for its answer: at the deadline of its call, or when its
 * client goes away, unless other calls wait for the same answer. These have deadlines that lie
 * behind; a limit that is a little longer than theirs stops it in any case.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/parts.h"
#include "base/clock.h"

#define BEHIND_US                                                                                  \
    INT64_C(2000000) /* a statement may run so long behind its own call's deadline                 \
                      */

enum { MOST_SESSIONS = 256 };

struct api_sessions {
    struct online_copy *online; /* of whom it is a part */
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct engine_session *idle[MOST_SESSIONS];
    size_t idle_count;
    size_t open; /* idle ones and those that calls have */
    size_t most;
};

struct api_sessions *api_sessions_new(struct online_copy *online, int most)
{
    struct api_sessions *sessions = mem_zalloc(1, sizeof *sessions);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = most > 0 ? (size_t)most : 2 * (size_t)(cpus > 0 ? cpus : 1);
    pthread_condattr_t attributes;
    sessions->online = online;
    sessions->most = wanted < MOST_SESSIONS ? wanted : MOST_SESSIONS;
    pthread_mutex_init(&sessions->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sessions->freed, &attributes);
    pthread_condattr_destroy(&attributes);
    return sessions;
}

void api_sessions_free(struct api_sessions **sessions_at)
{
    struct api_sessions *sessions = *sessions_at;
    KOL_ASSERT(sessions->open == sessions->idle_count);
    for (size_t i = 0; i < sessions->idle_count; i++) {
        engine_session_close(&sessions->idle[i]);
    }
    pthread_cond_destroy(&sessions->freed);
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
    *sessions_at = NULL;
}

/* An idle session, or NULL with the right to open one more. */
static enum kol_status take_place(struct api_sessions *sessions, int64_t until_ns,
                                  struct engine_session **out, struct kol_error *err)
{
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    enum kol_status status = KOL_OK;
    *out = NULL;
    pthread_mutex_lock(&sessions->lock);
    while (!sessions->idle_count && sessions->open == sessions->most && status == KOL_OK) {
        if (pthread_cond_timedwait(&sessions->freed, &sessions->lock, &until) == ETIMEDOUT) {
            status = kol_fail(err, KOL_TIMEOUT, "all sessions on the lists were busy");
        }
    }
    if (sessions->idle_count) { /* also where the time is over just now */
        *out = sessions->idle[--sessions->idle_count];
        status = KOL_OK;
    } else if (status == KOL_OK) {
        sessions->open++;
    }
    pthread_mutex_unlock(&sessions->lock);
    return status;
}

/* Gives a session back, or, with NULL, the right to open one. */
static void give_place(struct api_sessions *sessions, struct engine_session *session)
{
    pthread_mutex_lock(&sessions->lock);
    if (session) {
        sessions->idle[sessions->idle_count++] = session;
    } else {
        sessions->open--;
    }
    pthread_cond_signal(&sessions->freed);
    pthread_mutex_unlock(&sessions->lock);
}

/* The call is over: on another thread than the one that works for it. */
static void stop_session(void *user)
{
    struct http_call *call = user;
    if (!api_call_wanted(call)) {
        engine_interrupt(api_call_of(call)->session);
    }
}

enum kol_status api_session_take(struct http_call *call, struct api_copy *copy,
                                 struct engine_session **out, struct kol_error *err)
{
    struct api_call *held = api_call_of(call);
    KOL_ASSERT(!held->session);
    *out = NULL;
    enum kol_status status =
        take_place(copy->sessions, http_call_deadline_ns(call), &held->session, err);
    if (status == KOL_OK && !held->session) {
        status = online_lists(copy->online, &held->session, err);
        if (status != KOL_OK) {
            held->session = NULL;
            give_place(copy->sessions, NULL);
        }
    }
    if (status == KOL_OK) {
        api_copy_hold(copy);
        held->session_copy = copy;
        engine_set_timeout(held->session, http_call_left_us(call) + BEHIND_US);
        http_on_cancel(call, stop_session, call);
        *out = held->session;
    }
    return status;
}

void api_session_drop(struct http_call *call, struct engine_session **session)
{
    struct api_call *held = api_call_of(call);
    if (!held->session) {
        return;
    }
    http_off_cancel(call);
    give_place(held->session_copy->sessions, held->session);
    api_copy_drop(held->session_copy);
    held->session = NULL;
    held->session_copy = NULL;
    if (session) {
        *session = NULL;
    }
}
