/*
 * api_fixture.h: a server of one made-up route over the cache of the API, and clients that ask it.
 *
 * The loader counts, can be held back until the test lets it go, and answers as it is told.
 */
#ifndef TESTS_API_FIXTURE_H
#define TESTS_API_FIXTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/parts.h"
#include "base/clock.h"
#include "base/signals.h"

static struct loader {
    _Atomic int loads;   /* how often the handler began */
    _Atomic int answer;  /* status that it answers: 200, 404, 422, 503 */
    _Atomic bool closed; /* it waits while this is set */
    _Atomic bool tagged; /* the answer is made from "thing:1" */
    _Atomic bool heeds;  /* it gives up once nobody wants what it makes */
    _Atomic bool weak;   /* the answer is made without what should have been asked */
    _Atomic int64_t of;  /* of when the score is that the answer tells; 0: it tells none */
    _Atomic int given_up;
} loader;

static void sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static enum kol_status load_thing(struct http_call *call, struct kol_error *err)
{
    int number = atomic_fetch_add(&loader.loads, 1) + 1;
    while (atomic_load(&loader.closed)) {
        if (atomic_load(&loader.heeds) && !api_call_wanted(call)) {
            atomic_fetch_add(&loader.given_up, 1);
            return kol_fail(err, KOL_INTERRUPTED, "nobody wants it");
        }
        sleep_ms(1);
    }
    if (atomic_load(&loader.tagged)) {
        api_call_tag(call, "thing:%d", 1);
    }
    if (atomic_load(&loader.weak)) {
        api_call_weak(call);
    }
    if (atomic_load(&loader.of)) {
        api_call_stamp(call, STR("tiktok"), STR("ana"), loader.of);
    }
    switch (atomic_load(&loader.answer)) {
    case 404: return http_problem(call, "not_found", "There is none.");
    case 422: return http_problem(call, "invalid_parameter", "It is wrong.");
    case 503: return kol_fail(err, KOL_IO, "the origin is down");
    default: break;
    }
    struct buf body = {0};
    buf_printf(&body, "{\"load\":%d}", number);
    return api_answer(call, &body);
}

static const struct http_field thing_fields[] = {
    {.name = "id", .kind = HTTP_TEXT, .required = true, .min = 1, .max = 50, .help = "Which"},
    {.name = "note", .kind = HTTP_TEXT, .min = 1, .max = 50, .help = "Notes it", .acts = true},
};
static const struct http_field thing_members[] = {
    {.name = "load", .kind = HTTP_INT, .required = true, .help = "Which load made it"},
};
static const struct http_schema thing_schemas[] = {
    {.name = "Thing", .help = "A thing", .fields = thing_members, .field_count = 1},
};
static const struct http_problem_kind thing_problems[] = {
    {"unavailable", 503, "The origin is down", "Try again."},
};
static const struct http_route thing_routes[] = {
    {.method = HTTP_GET,
     .path = "/things/{id}",
     .name = "get_thing",
     .tag = "things",
     .summary = "A thing",
     .details = "",
     .fields = thing_fields,
     .field_count = 2,
     .answer = "Thing",
     .policy = {.fresh = 60, .stale = 60, .error = 600, .missing = 5},
     .example = "/things/1",
     .handle = load_thing},
};

struct served {
    struct api api;
    struct http_server *server;
    int port;
};

static void served_start(struct served *served, int64_t deadline_us)
{
    struct kol_error err = {0};
    memset(&loader, 0, sizeof loader);
    *served = (struct served){0};
    served->api.l1 = l1_new(&(struct l1_options){.max_bytes = 1 << 20});
    served->api.app = (struct http_app){
        .routes = thing_routes,
        .route_count = 1,
        .schemas = thing_schemas,
        .schema_count = 1,
        .problems = thing_problems,
        .problem_count = 1,
        .title = "things",
        .version = "1",
        .description = "",
        .quick = api_quick,
        .work = api_work,
        .user = &served->api,
    };
    const struct http_server_options options = {
        .host = "127.0.0.1", .workers = 8, .deadline_us = deadline_us, .connections = 4000};
    signals_install();
    enum kol_status status = http_server_start(&options, &served->api.app, &served->server, &err);
    if (status != KOL_OK) {
        fail_msg("%s", err.message);
    }
    served->port = http_server_port(served->server);
}

static void served_stop(struct served *served)
{
    atomic_store(&loader.closed, false);
    http_server_stop(&served->server, 1000000);
    l1_free(&served->api.l1);
    clock_fix(0);
}

/* ---- a client ---- */

static int client_open(const struct served *served)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)served->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 20};
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void client_send(int fd, const char *path)
{
    char text[256];
    int len = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    assert_int_equal(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

/* Reads one answer, head and body, and closes. Returns its status. */
static int client_read(int fd, char *answer, size_t room)
{
    size_t got = 0, whole = room;
    int status = 0;
    while (got < whole) {
        ssize_t n = recv(fd, answer + got, room - 1 - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
        answer[got] = '\0';
        const char *end = strstr(answer, "\r\n\r\n");
        const char *length = strstr(answer, "Content-Length: ");
        if (end && length) {
            whole = (size_t)(end + 4 - answer) + (size_t)atoi(length + 16);
        }
    }
    assert_int_equal(sscanf(answer, "HTTP/1.1 %d", &status), 1);
    close(fd);
    return status;
}

static int ask(const struct served *served, const char *path, char *answer, size_t room)
{
    int fd = client_open(served);
    client_send(fd, path);
    return client_read(fd, answer, room);
}

/* Waits until `condition` holds; fails after 10 s. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        int waited_ = 0;                                                                           \
        while (!(condition)) {                                                                     \
            sleep_ms(2);                                                                           \
            assert_true(++waited_ < 5000);                                                         \
        }                                                                                          \
    } while (0)

#endif
