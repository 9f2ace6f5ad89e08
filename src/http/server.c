/*
 * server.c: the server, from its start to its end.
 *
 * A server has one door, or two where the operator's routes have a port of their own: each is a
 * listening socket with event threads (loop.c; one per CPU) and a router. Workers, watcher, limits
 * and certificate are common to both.
 *
 * The stop goes outwards in: no new connections; calls under way may finish; what is left is given
 * up; when no connection sleeps any more the daemons end (the library aborts if one does); then the
 * workers, and last what all of them use.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logger.h"
#include "base/mem.h"
#include "http/call.h"

enum {
    DESCRIPTORS_LEFT = 256, /* for files, databases and the rest of the process */
    LISTEN_BACKLOG = 1024,
    STOP_PAUSE_US = 2000, /* between two looks at what a stop waits for */
};

/* ---- connections ---- */

static struct http_conn *conn_new(struct http_loop *loop, struct MHD_Connection *mhd)
{
    struct http_door *door = http_loop_door(loop);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info) {
        return NULL;
    }
    struct http_conn *conn = mem_zalloc(1, sizeof *conn);
    conn->server = door->server;
    conn->door = door;
    conn->loop = loop;
    conn->fd = info->connect_fd;
    atomic_store_explicit(&conn->since_ns, clock_mono_ns(), memory_order_relaxed);
    conn->looked_ns = atomic_load_explicit(&conn->since_ns, memory_order_relaxed);
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info && info->client_addr) {
        bool six = info->client_addr->sa_family == AF_INET6;
        memcpy(&conn->peer, info->client_addr,
               six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
        conn->address = http_address_of(info->client_addr);
    }
    return conn;
}

static void conn_open(struct http_loop *loop, struct MHD_Connection *mhd, void **context)
{
    struct http_server *server = http_loop_door(loop)->server;
    struct http_conn *conn = conn_new(loop, mhd);
    *context = conn;
    if (!conn) {
        return;
    }
    atomic_fetch_add_explicit(&server->connections, 1, memory_order_relaxed);
    http_watch_open(server->watch, conn);
    int most = server->options.connections_per_address;
    if (most <= 0) {
        return;
    }
    conn->counted = http_crowd_enter(server->crowd, &conn->address, most);
    if (!conn->counted) {
        http_watch_shut(server->watch, conn);
    }
}

static void conn_close(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    http_watch_close(server->watch, conn);
    if (conn->counted) {
        http_crowd_leave(server->crowd, &conn->address);
    }
    atomic_fetch_sub_explicit(&server->connections, 1, memory_order_relaxed);
    http_loop_ended();
    free(conn);
}

/* The descriptor is open until this has returned for its end: nobody shuts another's socket. */
void http_conn_changed(void *loop, struct MHD_Connection *mhd, void **context,
                       enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_open(loop, mhd, context);
    } else if (*context) {
        conn_close(*context);
        *context = NULL;
    }
}

/* ---- listening ---- */

static enum kol_status listen_at(const struct addrinfo *at, int *out)
{
    int on = 1, off = 0;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return KOL_IO;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return KOL_IO;
    }
    *out = fd;
    return KOL_OK;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static enum kol_status door_listen(struct http_door *door, const char *host, int port,
                                   struct kol_error *err)
{
    char service[16];
    snprintf(service, sizeof service, "%d", port > 0 ? port : 0);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed) {
        return kol_fail(err, KOL_USAGE,
                        "cannot listen on host %s: %s; give an address of this "
                        "machine, such as 127.0.0.1",
                        host, gai_strerror(failed));
    }
    enum kol_status status = listen_at(found, &door->listener);
    int saved = errno;
    freeaddrinfo(found);
    if (status != KOL_OK) {
        return kol_fail_errno(err, saved, "cannot listen on %s port %d (is another program there?)",
                              host, port);
    }
    door->port = port_of(door->listener);
    return KOL_OK;
}

static enum kol_status door_start(struct http_door *door, struct kol_error *err)
{
    const struct http_server *server = door->server;
    const size_t threads = (size_t)server->options.threads;
    const size_t first = threads * (size_t)(door - server->doors);
    enum kol_status status = KOL_OK;
    door->loops = mem_zalloc(threads, sizeof(struct http_loop *));
    for (size_t i = 0; i < threads && status == KOL_OK; i++) {
        /* The first ones take what the division leaves. */
        const size_t all = (size_t)server->options.connections;
        const size_t own = all / threads + (i < all % threads);
        status = http_loop_start(door, first + i, (unsigned)own, &door->loops[i], err);
    }
    return status;
}

static enum kol_status door_open(struct http_server *server, int port, bool public_ones,
                                 bool operations, struct kol_error *err)
{
    struct http_door *door = &server->doors[server->door_count++];
    *door = (struct http_door){.server = server, .listener = -1};
    door->router =
        http_router_new(server->app->routes, server->app->route_count, public_ones, operations);
    return door_listen(door, server->options.host, port, err);
}

/* ---- start ---- */

static int64_t or_else(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

/* As many connections as the limit of descriptors leaves room for; the soft one is raised. */
static int connections_that_fit(int wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return wanted;
    }
    rlim_t need = (rlim_t)wanted + DESCRIPTORS_LEFT;
    if (limit.rlim_cur < need && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= need) {
        return wanted;
    }
    return limit.rlim_cur > 2 * DESCRIPTORS_LEFT ? (int)(limit.rlim_cur - DESCRIPTORS_LEFT)
                                                 : DESCRIPTORS_LEFT;
}

static void fill_in(struct http_server_options *options)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cpus = cpus > 0 ? cpus : 1;
    options->host = options->host ? options->host : "127.0.0.1";
    options->threads = (int)or_else(options->threads, cpus);
    options->workers = (int)or_else(options->workers, 4 * cpus);
    options->queue = (int)or_else(options->queue, 1024);
    options->deadline_us = or_else(options->deadline_us, 2 * CLOCK_US_PER_SECOND);
    options->head_us = or_else(options->head_us, 10 * CLOCK_US_PER_SECOND);
    options->body_us = or_else(options->body_us, 60 * CLOCK_US_PER_SECOND);
    options->idle_us = or_else(options->idle_us, 75 * CLOCK_US_PER_SECOND);
    options->body_max = or_else(options->body_max, 1024 * 1024);
    options->head_max = or_else(options->head_max, 12 * 1024);
    options->uri_max = (int)or_else(options->uri_max, 8000);
    options->connections = connections_that_fit((int)or_else(options->connections, 20000));
    /* The limit is divided among the threads. */
    if (options->connections < options->threads) {
        options->connections = options->threads;
    }
}

static void server_free(struct http_server *server)
{
    for (size_t i = 0; i < server->door_count; i++) {
        if (server->doors[i].listener >= 0) {
            close(server->doors[i].listener);
        }
        http_router_free(&server->doors[i].router);
        free(server->doors[i].loops);
    }
    pool_free(&server->pool);
    http_watch_free(&server->watch);
    http_rates_free(&server->rates);
    http_crowd_free(&server->crowd);
    http_tls_free(&server->tls);
    free(server->cors);
    free(server);
}

static enum kol_status open_all(struct http_server *server, struct kol_error *err)
{
    const struct http_server_options *options = &server->options;
    bool apart = options->operations_port != 0;
    enum kol_status status = KOL_OK;
    if (options->tls_certificate) {
        status = http_tls_new(options->tls_certificate, options->tls_key, &server->tls, err);
    }
    if (status == KOL_OK) {
        status = door_open(server, options->port, true, !apart, err);
    }
    if (status == KOL_OK && apart) {
        status = door_open(server, options->operations_port, false, true, err);
    }
    for (size_t i = 0; i < server->door_count && status == KOL_OK; i++) {
        status = door_start(&server->doors[i], err);
    }
    return status;
}

enum kol_status http_server_start(const struct http_server_options *options,
                                  const struct http_app *app, struct http_server **out,
                                  struct kol_error *err)
{
    *out = NULL;
    enum kol_status status = http_check(app, err);
    if (status != KOL_OK) {
        return status;
    }
    if (!options->tls_certificate != !options->tls_key) {
        return kol_fail(err, KOL_USAGE, "a certificate and a key belong together: give both");
    }
    struct http_server *server = mem_zalloc(1, sizeof *server);
    server->options = *options;
    server->app = app;
    fill_in(&server->options);
    server->cors =
        options->cors_origins && *options->cors_origins ? mem_strdup(options->cors_origins) : NULL;
    server->rates = http_rates_new();
    if (app->counted) {
        http_rates_share(server->rates, app->counted, app->user);
    }
    server->crowd = http_crowd_new();
    server->pool = pool_new((size_t)server->options.workers, (size_t)server->options.queue);
    server->watch = http_watch_new(server);
    status = open_all(server, err);
    if (status != KOL_OK) {
        http_server_stop(&server, 0);
        return status;
    }
    *out = server;
    return KOL_OK;
}

int http_server_port(const struct http_server *server)
{
    return server->doors[0].port;
}

int http_server_operations_port(const struct http_server *server)
{
    return server->doors[server->door_count - 1].port;
}

enum kol_status http_server_reload(struct http_server *server, struct kol_error *err)
{
    return server->tls ? http_tls_reload(server->tls, err) : KOL_OK;
}

bool http_run(struct http_server *server, void (*job)(void *user), void *user)
{
    return pool_try_submit(server->pool, job, user);
}

void http_server_stats(const struct http_server *server, struct http_server_stats *out)
{
    *out = (struct http_server_stats){
        .connections = atomic_load(&server->connections),
        .calls = atomic_load(&server->working),
        .queued = atomic_load(&server->queued),
        .streams = atomic_load(&server->streams),
        .refused_busy = atomic_load(&server->refused_busy),
        .refused_slow = atomic_load(&server->refused_slow),
        .gone = atomic_load(&server->gone),
    };
}

size_t http_rates_drain(const struct http_server *server, struct http_spent *out, size_t max)
{
    return http_spent_drain(server->rates, out, max, clock_mono_ns());
}

void http_rates_merge(const struct http_server *server, const struct http_spent *spent,
                      size_t count)
{
    http_spent_merge(server->rates, spent, count);
}

/* ---- stop ---- */

static void pause_us(int64_t us)
{
    struct timespec pause = {0, us * 1000};
    nanosleep(&pause, NULL);
}

static void each_loop(struct http_door *door, void (*does)(struct http_loop **loop))
{
    for (int i = 0; door->loops && i < door->server->options.threads; i++) {
        if (door->loops[i]) {
            does(&door->loops[i]);
        }
    }
}

static void quiesce(struct http_loop **loop)
{
    http_loop_quiesce(*loop);
}

/* New connections are refused from here on. */
static void door_shut(struct http_door *door)
{
    each_loop(door, quiesce);
    if (door->listener >= 0) {
        shutdown(door->listener, SHUT_RDWR);
    }
}

/* Waits until nothing sleeps; what was told to wake does so at once. */
static void wait_awake(struct http_server *server)
{
    while (atomic_load(&server->sleeping)) {
        pause_us(STOP_PAUSE_US);
    }
}

void http_server_stop(struct http_server **server_at, int64_t grace_us)
{
    struct http_server *server = *server_at;
    if (!server) {
        return;
    }
    *server_at = NULL;
    atomic_store(&server->stopping, true);
    for (size_t i = 0; i < server->door_count; i++) {
        door_shut(&server->doors[i]);
    }
    int64_t until_ns = clock_mono_ns() + grace_us * 1000;
    while (http_watch_busy(server->watch) && clock_mono_ns() < until_ns) {
        pause_us(STOP_PAUSE_US);
    }
    http_watch_give_up(server->watch);
    wait_awake(server);
    /* What was given up is answered; a moment for it to go out. */
    int64_t last_ns = clock_mono_ns() + 100 * INT64_C(1000000);
    while (http_watch_busy(server->watch) && clock_mono_ns() < last_ns) {
        pause_us(STOP_PAUSE_US);
    }
    for (size_t i = 0; i < server->door_count; i++) {
        each_loop(&server->doors[i], http_loop_stop);
    }
    /* Handlers that were told to stop, and calls that others still hold. */
    pool_wait(server->pool);
    while (atomic_load(&server->working)) {
        pause_us(STOP_PAUSE_US);
    }
    server_free(server);
}
