/*
 * http_bare.c: libmicrohttpd alone, for bench_http.py: what any server that is built on it pays at
 * least. One body for every request, a response made for each as the server of src/http makes one,
 * with headers like its own.
 *
 *     http_bare PORT THREADS FILE
 */
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

static struct buf body;

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **context)
{
    (void)user, (void)url, (void)method, (void)version, (void)upload, (void)upload_size;
    static int seen;
    if (!*context) {
        *context = &seen; /* the head; an answer given here would close the connection */
        return MHD_YES;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, body.ptr, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "ETag", "\"0123456789abcdef0123456789abcdef\"");
    MHD_add_response_header(response, "Cache-Control", "public, max-age=60");
    MHD_add_response_header(response, "Cache-Status", "kol-l1; hit; ttl=60");
    MHD_add_response_header(response, "Age", "1");
    MHD_add_response_header(response, "Vary", "Accept-Encoding");
    MHD_add_response_header(response, "X-Request-Id", "0123456789abcdef01234567");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

int main(int argc, char **argv)
{
    struct kol_error err;
    if (argc != 4 || file_read(argv[3], 1 << 20, &body, &err) != KOL_OK) {
        fprintf(stderr, "usage: http_bare PORT THREADS FILE\n");
        return 2;
    }
    sigset_t stop;
    int number;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, (uint16_t)atoi(argv[1]), NULL, NULL, answer,
        NULL, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)atoi(argv[2]), MHD_OPTION_CONNECTION_LIMIT,
        4000u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(12 * 1024), MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "http_bare: cannot listen on port %s\n", argv[1]);
        return 1;
    }
    sigwait(&stop, &number);
    MHD_stop_daemon(daemon);
    buf_free(&body);
    return 0;
}
