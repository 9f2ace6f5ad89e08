/*
 * redis_fixture.h: a redis-server of the test's own, and pipes to it.
 *
 * The server lives in a temporary folder, listens on a unix socket and on a free TCP port, and dies
 * with the test program whatever ends that.
 */
#ifndef REDIS_FIXTURE_H
#define REDIS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cache/redis.h"

#define MS INT64_C(1000000) /* in nanoseconds */

static inline int64_t in_ms(int64_t ms)
{
    return clock_mono_ns() + ms * MS;
}

static inline void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5 * MS}, NULL);
}

/* A listening socket on a free port of 127.0.0.1. */
static inline int listen_anywhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    KOL_ASSERT(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 16) == 0);
    KOL_ASSERT(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

struct server {
    char folder[64], path[96];
    int port;
    pid_t pid; /* 0: not running */
};

static inline bool server_is_installed(void)
{
    return system("command -v redis-server >/dev/null") == 0;
}

static inline void run_pipe(struct redis_pipe *pipe)
{
    struct kol_error err = {0};
    const enum kol_status status = redis_run(pipe, in_ms(20000), &err);
    if (status != KOL_OK) {
        fail_msg("%s", err.message);
    }
}

static inline struct redis *open_redis(const struct redis_options *options)
{
    struct redis *redis = NULL;
    struct kol_error err = {0};
    assert_int_equal(redis_open(options, &redis, &err), KOL_OK);
    return redis;
}

/* Slow machines and sanitizers need not hold the limits that services have. */
static inline struct redis_options over_socket(const struct server *server)
{
    return (struct redis_options){
        .path = server->path, .connect_us = 20000000, .answer_us = 20000000};
}

static inline struct redis_options over_tcp(const struct server *server)
{
    return (struct redis_options){
        .port = server->port, .connect_us = 20000000, .answer_us = 20000000};
}

static inline void await_server(const struct server *server)
{
    const struct redis_options options = over_tcp(server);
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    const int64_t deadline_ns = in_ms(30000);
    redis_addf(pipe, "PING");
    while (redis_run(pipe, deadline_ns, NULL) != KOL_OK || access(server->path, F_OK) != 0) {
        KOL_ASSERT(clock_mono_ns() < deadline_ns);
        nap();
    }
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static inline void start_server(struct server *server)
{
    char port[16];
    snprintf(port, sizeof port, "%d", server->port);
    const pid_t parent = getpid();
    server->pid = fork();
    KOL_ASSERT(server->pid >= 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1",
               "--unixsocket", server->path, "--dir", server->folder, "--save", "", "--logfile",
               "redis.log", "--databases", "4", (char *)NULL);
        _exit(127);
    }
    await_server(server);
}

static inline void kill_server(struct server *server)
{
    if (server->pid) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        unlink(server->path);
        server->pid = 0;
    }
}

static inline void make_server(struct server *server)
{
    strcpy(server->folder, "/tmp/kol-redis-XXXXXX");
    KOL_ASSERT(mkdtemp(server->folder));
    snprintf(server->path, sizeof server->path, "%s/socket", server->folder);
    close(listen_anywhere(&server->port));
    start_server(server);
}

static inline void remove_server(struct server *server)
{
    char log[96];
    kill_server(server);
    snprintf(log, sizeof log, "%s/redis.log", server->folder);
    unlink(log);
    rmdir(server->folder);
}

#endif
