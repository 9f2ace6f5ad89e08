/*
 * stream.c: answers whose end is not known, through a bounded buffer between the worker that writes
 * and the event thread that sends.
 *
 * Where the buffer is empty, the event thread puts the connection to sleep and the writer wakes it;
 * where it is full, the writer waits. Three hold a stream: its call, its writer, its response.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/call.h"

enum { STREAM_MAX = 256 * 1024 }; /* bytes that may be unsent */

struct http_stream {
    _Atomic int holds;
    struct http_call *call; /* the writer has a hold of it */
    char type[96];
    pthread_mutex_t mutex;
    pthread_cond_t moved; /* bytes were taken, or the stream was cut */
    struct buf bytes;     /* unsent, from `at` on */
    size_t at;
    bool asleep; /* the connection is suspended for want of bytes */
    bool ended;  /* nothing more is written */
    bool broken; /* it ended by a failure: the client must see that it is cut */
    bool cut;    /* nobody reads any more */
};

void http_stream_hold(struct http_stream *stream)
{
    atomic_fetch_add_explicit(&stream->holds, 1, memory_order_relaxed);
}

void http_stream_release(void *user)
{
    struct http_stream *stream = user;
    if (atomic_fetch_sub_explicit(&stream->holds, 1, memory_order_acq_rel) > 1) {
        return;
    }
    pthread_mutex_destroy(&stream->mutex);
    pthread_cond_destroy(&stream->moved);
    buf_free(&stream->bytes);
    free(stream);
}

const char *http_stream_type(const struct http_stream *stream)
{
    return stream->type;
}

/* mutex. The connection, if it sleeps, is to read again. */
static void wake(struct http_stream *stream)
{
    if (stream->asleep) {
        stream->asleep = false;
        http_call_resume(stream->call);
    }
}

ssize_t http_stream_read(void *user, uint64_t at, char *out, size_t max)
{
    (void)at;
    struct http_stream *stream = user;
    ssize_t got = 0;
    pthread_mutex_lock(&stream->mutex);
    size_t left = stream->bytes.len - stream->at;
    if (stream->cut || (stream->broken && !left)) {
        got = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (left) {
        got = (ssize_t)(left < max ? left : max);
        memcpy(out, stream->bytes.ptr + stream->at, (size_t)got);
        stream->at += (size_t)got;
        stream->call->sent += (size_t)got;
        if (stream->at == stream->bytes.len) {
            buf_clear(&stream->bytes);
            stream->at = 0;
        }
        pthread_cond_signal(&stream->moved);
    } else if (stream->ended) {
        got = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->asleep = true;
        atomic_fetch_add(&stream->call->server->sleeping, 1);
        MHD_suspend_connection(stream->call->mhd);
    }
    pthread_mutex_unlock(&stream->mutex);
    return got;
}

void http_stream_cut(struct http_stream *stream)
{
    pthread_mutex_lock(&stream->mutex);
    bool first = !stream->cut;
    stream->cut = true;
    bool ended = stream->ended;
    pthread_cond_signal(&stream->moved);
    wake(stream);
    pthread_mutex_unlock(&stream->mutex);
    if (first && !ended) {
        http_call_cancel(stream->call);
    }
}

enum kol_status http_stream_begin(struct http_call *call, const char *type,
                                  struct http_stream **out, struct kol_error *err)
{
    *out = NULL;
    if (!call->conn) {
        return kol_fail(err, KOL_UNSUPPORTED, "a copy of a call has no client to stream to");
    }
    struct http_stream *stream = mem_zalloc(1, sizeof *stream);
    stream->holds = 2;
    stream->call = call;
    snprintf(stream->type, sizeof stream->type, "%s", type);
    pthread_mutex_init(&stream->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stream->moved, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!http_call_end_by_stream(call, stream)) {
        http_stream_release(stream);
        http_stream_release(stream);
        return kol_fail(err, KOL_INTERRUPTED, "the client is gone, or its time is over");
    }
    atomic_fetch_add_explicit(&call->server->streams, 1, memory_order_relaxed);
    *out = stream;
    return KOL_OK;
}

/* mutex. Room for one byte at least; else why not. */
static enum kol_status wait_for_room(struct http_stream *stream, const struct timespec *until,
                                     struct kol_error *err)
{
    while (!stream->cut && stream->bytes.len - stream->at >= STREAM_MAX) {
        if (pthread_cond_timedwait(&stream->moved, &stream->mutex, until) == ETIMEDOUT) {
            return kol_fail(err, KOL_TIMEOUT, "the client takes nothing of what is sent to it");
        }
    }
    return stream->cut ? kol_fail(err, KOL_INTERRUPTED, "the client is gone") : KOL_OK;
}

/* mutex. Moves what is unsent to the front, so that the buffer stays bounded. */
static void append(struct http_stream *stream, struct str bytes)
{
    if (stream->at) {
        memmove(stream->bytes.ptr, stream->bytes.ptr + stream->at, stream->bytes.len - stream->at);
        stream->bytes.len -= stream->at;
        stream->at = 0;
    }
    buf_put(&stream->bytes, bytes);
    wake(stream);
}

enum kol_status http_stream_write(struct http_stream *stream, struct str bytes, int64_t wait_us,
                                  struct kol_error *err)
{
    int64_t until_ns = clock_mono_ns() + wait_us * 1000;
    struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    enum kol_status status = KOL_OK;
    pthread_mutex_lock(&stream->mutex);
    KOL_ASSERT(!stream->ended);
    do {
        status = wait_for_room(stream, &until, err);
        if (status == KOL_OK && bytes.len) {
            size_t room = STREAM_MAX - (stream->bytes.len - stream->at);
            size_t now = bytes.len < room ? bytes.len : room;
            append(stream, (struct str){bytes.ptr, now});
            bytes.ptr += now;
            bytes.len -= now;
        }
    } while (status == KOL_OK && bytes.len);
    pthread_mutex_unlock(&stream->mutex);
    return status;
}

void http_stream_end(struct http_stream **stream_at, enum kol_status status)
{
    struct http_stream *stream = *stream_at;
    if (!stream) {
        return;
    }
    *stream_at = NULL;
    struct http_call *call = stream->call;
    pthread_mutex_lock(&stream->mutex);
    stream->ended = true;
    stream->broken = status != KOL_OK;
    if (stream->broken && !stream->cut) {
        /* The connection's own thread may wait for a client that takes nothing. */
        http_watch_shut(call->server->watch, call->conn);
    }
    wake(stream);
    pthread_mutex_unlock(&stream->mutex);
    atomic_fetch_sub_explicit(&call->server->streams, 1, memory_order_relaxed);
    http_stream_release(stream);
    http_call_let_go(call);
}
