/*
 * http_floor.c: what the socket alone costs on a machine, for bench_http.py: one read and one write
 * a request, in an epoll loop that looks at nothing of what comes and sends the same bytes each
 * time. No server that answers over TCP can be had for less here.
 *
 *     http_floor PORT THREADS FILE
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static struct buf answer;
static int listener;

static void watch(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    KOL_ASSERT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void take_clients(int epoll)
{
    int client;
    while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(epoll, client, EPOLLIN | EPOLLET);
    }
}

static void serve(int client)
{
    char bytes[4096];
    const ssize_t count = recv(client, bytes, sizeof bytes, 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        close(client);
    } else if (count > 0) {
        KOL_ASSERT(send(client, answer.ptr, answer.len, MSG_NOSIGNAL) != 0);
    }
}

static void *run(void *unused)
{
    const int epoll = epoll_create1(0);
    struct epoll_event events[64];
    watch(epoll, listener, EPOLLIN);
    for (;;) {
        const int count = epoll_wait(epoll, events, ARRAY_LEN(events), -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) {
                take_clients(epoll);
            } else {
                serve(events[i].data.fd);
            }
        }
    }
    return unused;
}

static void make_answer(struct str body)
{
    buf_printf(&answer,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
               "ETag: \"0123456789abcdef0123456789abcdef\"\r\nCache-Control: public, max-age=60\r\n"
               "Cache-Status: kol-l1; hit; ttl=60\r\nAge: 1\r\nVary: Accept-Encoding\r\n"
               "X-Request-Id: 0123456789abcdef01234567\r\nX-Content-Type-Options: nosniff\r\n\r\n",
               body.len);
    buf_put(&answer, body);
}

int main(int argc, char **argv)
{
    struct kol_error err;
    struct buf body = {0};
    if (argc != 4 || file_read(argv[3], 1 << 20, &body, &err) != KOL_OK) {
        fprintf(stderr, "usage: http_floor PORT THREADS FILE\n");
        return 2;
    }
    make_answer(buf_str(&body));
    buf_free(&body);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)atoi(argv[1])),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1024) != 0) {
        fprintf(stderr, "http_floor: cannot listen on port %s\n", argv[1]);
        return 1;
    }
    for (int i = 1; i < atoi(argv[2]); i++) {
        pthread_t thread;
        KOL_ASSERT(pthread_create(&thread, NULL, run, NULL) == 0);
    }
    run(NULL);
    return 0;
}
