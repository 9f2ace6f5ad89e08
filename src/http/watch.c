/*
 * watch.c: the thread that sees what the library does not: deadlines of calls, clients that leave
 * while their connection sleeps, heads and bodies that take too long.
 *
 * Calls have one deadline each, all of the same length, so their list is sorted by itself: new ones
 * go to its end. A sleep of at most that length can therefore miss no call that comes in meanwhile,
 * and nobody has to wake the watcher for one.
 *
 * A sleeping connection is out of the library's epoll, so its socket is in ours (edge-triggered,
 * for EPOLLRDHUP alone), from its first sleep until it is closed. Connections are found by
 * descriptor, and told from an earlier one with the same number by a serial.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tcp.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/call.h"

#define NS_PER_MS INT64_C(1000000)
#define LAST_NS (2000 * NS_PER_MS) /* how long a body is let run behind its answer */

enum { WAKE = -1 };

struct http_watch {
    struct http_server *server;
    pthread_t thread;
    int epoll, wake;
    _Atomic bool ending;
    int64_t sweep_ns; /* between two looks at all connections */

    pthread_mutex_t mutex;
    struct http_conn **conns; /* by descriptor, NULL where there is none */
    size_t conn_size;
    uint32_t serial;
    bool closed;                    /* calls that come are ended at once */
    struct http_call *first, *last; /* by deadline */
};

/* ---- connections ---- */

void http_watch_open(struct http_watch *watch, struct http_conn *conn)
{
    pthread_mutex_lock(&watch->mutex);
    if ((size_t)conn->fd >= watch->conn_size) {
        size_t size = ((size_t)conn->fd + 1) * 2;
        watch->conns = mem_realloc(watch->conns, size * sizeof(struct http_conn *));
        memset(watch->conns + watch->conn_size, 0,
               (size - watch->conn_size) * sizeof(struct http_conn *));
        watch->conn_size = size;
    }
    KOL_ASSERT(!watch->conns[conn->fd]);
    watch->conns[conn->fd] = conn;
    conn->serial = ++watch->serial;
    pthread_mutex_unlock(&watch->mutex);
}

void http_watch_close(struct http_watch *watch, struct http_conn *conn)
{
    pthread_mutex_lock(&watch->mutex);
    KOL_ASSERT(watch->conns[conn->fd] == conn);
    watch->conns[conn->fd] = NULL;
    if (conn->polled) {
        epoll_ctl(watch->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
    }
    pthread_mutex_unlock(&watch->mutex);
}

/* ---- calls ---- */

static void unlist(struct http_watch *watch, struct http_call *call)
{
    if (!call->listed) {
        return;
    }
    *(call->prev ? &call->prev->next : &watch->first) = call->next;
    *(call->next ? &call->next->prev : &watch->last) = call->prev;
    call->listed = false;
}

/* mutex. In the list from the earliest deadline on; nearly always at the end. */
static void list(struct http_watch *watch, struct http_call *call)
{
    struct http_call *before = watch->last;
    while (before && before->deadline_ns > call->deadline_ns) {
        before = before->prev;
    }
    call->prev = before;
    call->next = before ? before->next : watch->first;
    *(before ? &before->next : &watch->first) = call;
    *(call->next ? &call->next->prev : &watch->last) = call;
    call->listed = true;
}

bool http_watch_call(struct http_watch *watch, struct http_call *call)
{
    struct http_conn *conn = call->conn;
    pthread_mutex_lock(&watch->mutex);
    bool open = !watch->closed;
    bool gone = conn->gone;
    if (open) {
        list(watch, call);
        conn->call = call;
        if (!conn->polled) {
            struct epoll_event event = {
                .events = EPOLLRDHUP | EPOLLET,
                .data.u64 = (uint64_t)conn->serial << 32 | (uint32_t)conn->fd,
            };
            conn->polled = epoll_ctl(watch->epoll, EPOLL_CTL_ADD, conn->fd, &event) == 0;
        }
    }
    pthread_mutex_unlock(&watch->mutex);
    if (open && gone) {
        http_call_end(call, NULL, NULL, true);
    }
    return open;
}

bool http_watch_open_for_calls(struct http_watch *watch)
{
    pthread_mutex_lock(&watch->mutex);
    const bool open = !watch->closed;
    pthread_mutex_unlock(&watch->mutex);
    return open;
}

void http_watch_no_deadline(struct http_watch *watch, struct http_call *call)
{
    pthread_mutex_lock(&watch->mutex);
    unlist(watch, call);
    pthread_mutex_unlock(&watch->mutex);
}

void http_watch_forget(struct http_watch *watch, struct http_call *call)
{
    pthread_mutex_lock(&watch->mutex);
    unlist(watch, call);
    if (call->conn->call == call) {
        call->conn->call = NULL;
    }
    pthread_mutex_unlock(&watch->mutex);
}

/* ---- what the thread sees ---- */

static void client_gone(struct http_watch *watch, uint64_t which)
{
    size_t fd = (uint32_t)which;
    struct http_call *call = NULL;
    pthread_mutex_lock(&watch->mutex);
    struct http_conn *conn = fd < watch->conn_size ? watch->conns[fd] : NULL;
    if (conn && conn->serial == which >> 32) {
        conn->gone = true;
        call = conn->call;
        if (call) {
            http_call_hold(call);
        }
    }
    pthread_mutex_unlock(&watch->mutex);
    if (!call) {
        return;
    }
    if (http_call_end(call, NULL, NULL, true)) {
        atomic_fetch_add_explicit(&watch->server->gone, 1, memory_order_relaxed);
    } else if (call->streaming) {
        http_stream_cut(call->stream);
    }
    http_call_release(call);
}

/* Ends the calls whose deadline has passed. */
static void deadlines(struct http_watch *watch, int64_t now_ns)
{
    for (;;) {
        pthread_mutex_lock(&watch->mutex);
        struct http_call *call = watch->first;
        if (call && call->deadline_ns <= now_ns) {
            http_call_hold(call);
            unlist(watch, call);
        } else {
            call = NULL;
        }
        pthread_mutex_unlock(&watch->mutex);
        if (!call) {
            return;
        }
        struct http_answer *late = http_problem_answer(
            watch->server->app, "timeout",
            STR("The time for this request ran out before its answer was there."),
            http_call_id(call), NULL);
        http_call_end(call, late, NULL, true);
        http_call_release(call);
    }
}

/* What TCP knows: false where the system does not say. */
static bool ask_tcp(int fd, struct tcp_info *info)
{
    socklen_t len = sizeof *info;
    memset(info, 0, sizeof *info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0 &&
           len >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info->tcpi_bytes_received;
}

/* A connection between requests. The library is silent until a request line is whole, so the bytes
 * that came in are asked of TCP. So is the end of a peer that closed its side together with its
 * last bytes, for the library takes that for their end alone. True: to be closed. */
static bool idle_too_long(struct http_conn *conn, int64_t now_ns, int64_t head_ns)
{
    enum { PEER_CLOSED = 8 }; /* TCP_CLOSE_WAIT */
    int64_t since = atomic_load_explicit(&conn->since_ns, memory_order_relaxed);
    int64_t began = atomic_load_explicit(&conn->head_ns, memory_order_relaxed);
    if (began && began >= since && now_ns - began > head_ns) {
        atomic_fetch_add_explicit(&conn->server->refused_slow, 1, memory_order_relaxed);
        return true;
    }
    if (conn->looked_ns && now_ns - conn->looked_ns < head_ns / 4) {
        return false;
    }
    struct tcp_info info;
    bool told = ask_tcp(conn->fd, &info), idle_since_look = conn->looked_ns >= since;
    int64_t bytes = told ? (int64_t)info.tcpi_bytes_received : -1;
    if (told && idle_since_look && info.tcpi_state == PEER_CLOSED) {
        return true;
    }
    if (told && idle_since_look && !began && bytes > conn->bytes) {
        atomic_store_explicit(&conn->head_ns, conn->looked_ns, memory_order_relaxed);
    }
    conn->bytes = bytes;
    conn->looked_ns = now_ns;
    return false;
}

static bool too_slow(const struct http_watch *watch, struct http_conn *conn, int64_t now_ns)
{
    const struct http_server_options *options = &watch->server->options;
    int phase = atomic_load_explicit(&conn->phase, memory_order_acquire);
    int64_t since = atomic_load_explicit(&conn->since_ns, memory_order_relaxed);
    int64_t body_ns = options->body_us * 1000;
    bool slow = false;
    switch (phase) {
    case PHASE_IDLE: return idle_too_long(conn, now_ns, options->head_us * 1000);
    case PHASE_HEAD: slow = now_ns - since > options->head_us * 1000; break;
    /* One who still sends is told with the next piece; one who is silent is closed a little later.
     */
    case PHASE_BODY: slow = now_ns - since > body_ns + body_ns / 8 + 100 * NS_PER_MS; break;
    case PHASE_LAST: return now_ns - since > LAST_NS;
    default: return false;
    }
    if (slow) {
        atomic_fetch_add_explicit(&conn->server->refused_slow, 1, memory_order_relaxed);
    }
    return slow;
}

/* Closes what is too slow: the library's thread finds the socket shut. */
static void sweep(struct http_watch *watch, int64_t now_ns)
{
    pthread_mutex_lock(&watch->mutex);
    for (size_t fd = 0; fd < watch->conn_size; fd++) {
        struct http_conn *conn = watch->conns[fd];
        if (conn && !conn->shut && too_slow(watch, conn, now_ns)) {
            conn->shut = true;
            shutdown(conn->fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&watch->mutex);
}

void http_watch_shut(struct http_watch *watch, struct http_conn *conn)
{
    pthread_mutex_lock(&watch->mutex);
    conn->shut = true;
    shutdown(conn->fd, SHUT_RDWR);
    pthread_mutex_unlock(&watch->mutex);
}

size_t http_watch_busy(struct http_watch *watch)
{
    size_t busy = 0;
    pthread_mutex_lock(&watch->mutex);
    for (size_t fd = 0; fd < watch->conn_size; fd++) {
        struct http_conn *conn = watch->conns[fd];
        busy += conn && atomic_load_explicit(&conn->phase, memory_order_acquire) != PHASE_IDLE;
    }
    pthread_mutex_unlock(&watch->mutex);
    return busy;
}

/* ---- the thread ---- */

static int64_t sleep_ns(struct http_watch *watch, int64_t now_ns, int64_t next_sweep_ns)
{
    int64_t deadline_ns = watch->server->options.deadline_us * 1000;
    int64_t wait = next_sweep_ns - now_ns;
    wait = wait < deadline_ns ? wait : deadline_ns;
    pthread_mutex_lock(&watch->mutex);
    if (watch->first && watch->first->deadline_ns - now_ns < wait) {
        wait = watch->first->deadline_ns - now_ns;
    }
    pthread_mutex_unlock(&watch->mutex);
    return wait > 0 ? wait : 0;
}

static void *watch_main(void *argument)
{
    struct http_watch *watch = argument;
    int64_t next_sweep_ns = clock_mono_ns() + watch->sweep_ns;
    while (!atomic_load(&watch->ending)) {
        struct epoll_event events[64];
        int64_t wait = sleep_ns(watch, clock_mono_ns(), next_sweep_ns);
        int count = epoll_wait(watch->epoll, events, (int)ARRAY_LEN(events),
                               (int)((wait + NS_PER_MS - 1) / NS_PER_MS));
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 != (uint64_t)WAKE) {
                client_gone(watch, events[i].data.u64);
            }
        }
        int64_t now_ns = clock_mono_ns();
        deadlines(watch, now_ns);
        if (now_ns >= next_sweep_ns) {
            sweep(watch, now_ns);
            next_sweep_ns = now_ns + watch->sweep_ns;
        }
    }
    return NULL;
}

/* A quarter of the shortest limit, from 10 ms to a second. */
static int64_t sweep_every(const struct http_server_options *options)
{
    int64_t shortest = options->head_us < options->body_us ? options->head_us : options->body_us;
    int64_t ns = shortest * 1000 / 4;
    return ns < 10 * NS_PER_MS ? 10 * NS_PER_MS : ns > 1000 * NS_PER_MS ? 1000 * NS_PER_MS : ns;
}

struct http_watch *http_watch_new(struct http_server *server)
{
    struct http_watch *watch = mem_zalloc(1, sizeof *watch);
    watch->server = server;
    watch->sweep_ns = sweep_every(&server->options);
    pthread_mutex_init(&watch->mutex, NULL);
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)WAKE};
    if (watch->epoll < 0 || watch->wake < 0 ||
        epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->wake, &event) != 0 ||
        pthread_create(&watch->thread, NULL, watch_main, watch) != 0) {
        kol_panic("cannot start the watcher of the HTTP server: %s", strerror(errno));
    }
    return watch;
}

void http_watch_give_up(struct http_watch *watch)
{
    pthread_mutex_lock(&watch->mutex);
    watch->closed = true;
    pthread_mutex_unlock(&watch->mutex);
    for (size_t fd = 0;; fd++) {
        struct http_call *call = NULL;
        pthread_mutex_lock(&watch->mutex);
        if (fd >= watch->conn_size) {
            pthread_mutex_unlock(&watch->mutex);
            return;
        }
        struct http_conn *conn = watch->conns[fd];
        if (conn && conn->call) {
            call = conn->call;
            http_call_hold(call);
        }
        pthread_mutex_unlock(&watch->mutex);
        if (!call) {
            continue;
        }
        struct http_answer *busy =
            http_problem_answer(watch->server->app, "busy", STR("The server is stopping."),
                                http_call_id(call), "Retry-After: 1\n");
        if (!http_call_end(call, busy, NULL, true) && call->streaming) {
            http_stream_cut(call->stream);
        }
        http_call_release(call);
    }
}

void http_watch_free(struct http_watch **watch_at)
{
    struct http_watch *watch = *watch_at;
    if (!watch) {
        return;
    }
    atomic_store(&watch->ending, true);
    uint64_t one = 1;
    if (write(watch->wake, &one, sizeof one) != sizeof one) {
        kol_panic("cannot wake the watcher of the HTTP server: %s", strerror(errno));
    }
    pthread_join(watch->thread, NULL);
    close(watch->epoll);
    close(watch->wake);
    pthread_mutex_destroy(&watch->mutex);
    free(watch->conns);
    free(watch);
    *watch_at = NULL;
}
