/*
 * loop.c: the event threads: each has a daemon of the library with connections of its own.
 *
 * The library could run such threads by itself. But then a connection that somebody else wakes
 * costs a write to a pipe each time, and a thread could wait for its clients alone. Here each
 * thread waits in one place for its clients, for a call that is over (one write however many are,
 * none at all for those that it ended itself), and for what the application does besides
 * (app->besides).
 *
 * A connection may be resumed from any thread; the daemon is otherwise its thread's alone until
 * that thread has ended.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logger.h"
#include "base/mem.h"
#include "http/call.h"

struct http_loop {
    struct http_door *door;
    size_t place; /* among the loops of all doors */
    struct MHD_Daemon *daemon;
    pthread_t thread;
    bool started;
    struct http_ready *ready;
    int clients;        /* the daemon's epoll: readable when one of its clients is ready */
    int wake;           /* an eventfd: readable when a connection was resumed by another thread */
    _Atomic bool woken; /* `wake` is written and not yet read */
    _Atomic bool quiet; /* no new connections are taken */
    _Atomic bool over;
};

/* The loop that this thread is. */
static _Thread_local const struct http_loop *current;
/* The library has something to do at once: a request has ended, behind which the next one may be
 * there; a connection has, so that there is room for another (at its limit the library listens no
 * more, and begins again only when it is run); or one was resumed. It does not say so by itself. */
static _Thread_local bool busy;

/* ---- daemons ---- */

/* The library's own remarks, mostly on what clients do wrong. */
static void library_says(void *user, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void library_says(void *user, const char *format, va_list args)
{
    (void)user;
    if (!logger_enabled(LOG_DEBUG)) {
        return;
    }
    char line[256];
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = '\0';
    log_debug("http: %s", line);
}

/* Targets stay as they were sent: splitting comes before decoding. */
static size_t leave_escaped(void *user, struct MHD_Connection *mhd, char *text)
{
    (void)user;
    (void)mhd;
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct http_loop *loop, unsigned connections)
{
    struct http_door *door = loop->door;
    const struct http_server *server = door->server;
    const struct http_server_options *options = &server->options;
    const unsigned idle_s =
        (unsigned)((options->idle_us + CLOCK_US_PER_SECOND - 1) / CLOCK_US_PER_SECOND);
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                           MHD_USE_TURBO | (server->tls ? (unsigned)MHD_USE_TLS : 0u);
    struct MHD_OptionItem tls[HTTP_TLS_OPTIONS + 1] = {{MHD_OPTION_END, 0, NULL}};
    if (server->tls) {
        tls[http_tls_options(server->tls, tls)] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }
    return MHD_start_daemon(
        flags, 0, NULL, NULL, http_request, NULL, MHD_OPTION_EXTERNAL_LOGGER, library_says, NULL,
        MHD_OPTION_LISTEN_SOCKET, door->listener, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)options->head_max, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_TIMEOUT, idle_s ? idle_s : 1u, MHD_OPTION_NOTIFY_COMPLETED,
        http_request_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, http_conn_changed, loop,
        MHD_OPTION_URI_LOG_CALLBACK, http_request_line, NULL, MHD_OPTION_UNESCAPE_CALLBACK,
        leave_escaped, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

/* ---- running ---- */

/* Until when the library can wait; below 0: for ever. */
static int patience_ms(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (MHD_get_timeout(daemon, &ms) != MHD_YES) {
        return -1;
    }
    return ms < 60000 ? (int)ms : 60000;
}

static struct timespec until(int patience, int64_t until_ns)
{
    int64_t left_ns = patience < 0 ? INT64_MAX : patience * INT64_C(1000000);
    if (until_ns != INT64_MAX) {
        const int64_t own_ns = until_ns - clock_mono_ns();
        left_ns = own_ns < left_ns ? own_ns : left_ns;
    }
    left_ns = left_ns > 0 ? left_ns : 0;
    return (struct timespec){left_ns / 1000000000, left_ns % 1000000000};
}

/* Waits for clients, for a wake and for what is aside. */
static void wait_for_events(struct http_loop *loop, struct http_aside *aside)
{
    struct pollfd waiting[] = {
        {.fd = loop->clients, .events = POLLIN},
        {.fd = loop->wake, .events = POLLIN},
        {.fd = aside->fd, .events = aside->write ? POLLIN | POLLOUT : POLLIN},
    };
    const int patience = busy ? 0 : patience_ms(loop->daemon);
    const bool bounded = patience >= 0 || (aside->fd >= 0 && aside->until_ns != INT64_MAX);
    const struct timespec longest = until(patience, aside->fd >= 0 ? aside->until_ns : INT64_MAX);
    const int ready = ppoll(waiting, ARRAY_LEN(waiting), bounded ? &longest : NULL, NULL);
    KOL_ASSERT(ready >= 0 || errno == EINTR);
    aside->ready = ready > 0 && waiting[2].revents;
    if (ready > 0 && waiting[1].revents) {
        uint64_t count;
        /* Before the library looks who was resumed: who comes later writes again. */
        KOL_ASSERT(read(loop->wake, &count, sizeof count) == sizeof count);
        atomic_store(&loop->woken, false);
    }
}

static void *run(void *user)
{
    struct http_loop *loop = user;
    const struct http_server *server = loop->door->server;
    const struct http_app *app = server->app;
    struct http_aside aside = {.fd = -1, .until_ns = INT64_MAX};
    sigset_t pipes;
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipes, NULL);
    current = loop;
    while (!atomic_load(&loop->over)) {
        if (atomic_load(&server->stopping) && !atomic_load(&loop->quiet)) {
            MHD_quiesce_daemon(loop->daemon);
            atomic_store(&loop->quiet, true);
        }
        if (!busy || aside.fd >= 0) {
            wait_for_events(loop, &aside);
        }
        busy = false;
        MHD_run(loop->daemon);
        if (app->besides) {
            app->besides(loop->place, &aside, app->user);
        }
    }
    if (app->besides) {
        aside.last = true;
        app->besides(loop->place, &aside, app->user);
    }
    return NULL;
}

static void wake(struct http_loop *loop)
{
    if (!atomic_exchange(&loop->woken, true)) {
        const uint64_t one = 1;
        KOL_ASSERT(write(loop->wake, &one, sizeof one) == sizeof one);
    }
}

void http_loop_resume(struct http_loop *loop, struct MHD_Connection *mhd)
{
    MHD_resume_connection(mhd);
    if (current == loop) {
        busy = true;
    } else {
        wake(loop);
    }
}

void http_loop_ended(void)
{
    busy = true;
}

size_t http_loop_here(void)
{
    return current ? current->place : SIZE_MAX;
}

/* ---- start and stop ---- */

struct http_door *http_loop_door(const struct http_loop *loop)
{
    return loop->door;
}

struct http_ready *http_loop_ready(const struct http_loop *loop)
{
    return loop->ready;
}

enum kol_status http_loop_start(struct http_door *door, size_t place, unsigned connections,
                                struct http_loop **out, struct kol_error *err)
{
    struct http_loop *loop = mem_zalloc(1, sizeof *loop);
    *out = loop;
    loop->door = door;
    loop->place = place;
    loop->ready = http_ready_new();
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->daemon = loop->wake >= 0 ? start_daemon(loop, connections) : NULL;
    const union MHD_DaemonInfo *info =
        loop->daemon ? MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    loop->clients = info ? info->epoll_fd : -1;
    loop->started = loop->clients >= 0 && pthread_create(&loop->thread, NULL, run, loop) == 0;
    return loop->started ? KOL_OK
                         : kol_fail(err, KOL_IO,
                                    "cannot start the HTTP server on port %d: the system gives "
                                    "no threads or descriptors for it",
                                    door->port);
}

void http_loop_quiesce(struct http_loop *loop)
{
    if (loop->started) {
        wake(loop);
        while (!atomic_load(&loop->quiet)) {
            sched_yield();
        }
    }
}

void http_loop_stop(struct http_loop **loop_at)
{
    struct http_loop *loop = *loop_at;
    if (!loop) {
        return;
    }
    *loop_at = NULL;
    if (loop->started) {
        atomic_store(&loop->over, true);
        wake(loop);
        pthread_join(loop->thread, NULL);
    }
    if (loop->daemon) {
        if (!loop->started) {
            MHD_quiesce_daemon(loop->daemon); /* else it closes the listener, which is the door's */
        }
        MHD_stop_daemon(loop->daemon);
    }
    http_ready_free(&loop->ready);
    if (loop->wake >= 0) {
        close(loop->wake);
    }
    free(loop);
}
