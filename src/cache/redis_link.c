/*
 * redis_link.c: one connection to Redis: made, logged in, asked.
 *
 * The socket never blocks; all waiting is in wait_for(), which knows the deadline. A time limit of
 * the socket (SO_RCVTIMEO) would begin anew with each byte that comes, so that a server which sends
 * one now and then could hold its caller for ever.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cache/redis_parts.h"

enum { READ_BYTES = 32 * 1024 };

/* ---- commands ---- */

void redis_put_head(struct buf *out, size_t argc)
{
    buf_putc(out, '*');
    buf_put_int64(out, (int64_t)argc);
    buf_append(out, "\r\n", 2);
}

void redis_put_argument(struct buf *out, struct str argument)
{
    buf_putc(out, '$');
    buf_put_int64(out, (int64_t)argument.len);
    buf_append(out, "\r\n", 2);
    buf_put(out, argument);
    buf_append(out, "\r\n", 2);
}

/* ---- waiting ---- */

/* What ends the waiting of this thread before its time. poll() passes over -1. */
static _Thread_local int interrupting = -1;

void redis_link_interrupt(int fd)
{
    interrupting = fd;
}

/* What poll() saw among `events`, errors and hang-ups too; 0: the deadline passed. */
static short wait_for(int fd, short events, int64_t deadline_ns)
{
    struct pollfd waiting[] = {{.fd = fd, .events = events},
                               {.fd = interrupting, .events = POLLIN}};
    for (;;) {
        const int64_t left = deadline_ns - clock_mono_ns();
        if (left <= 0) {
            return 0;
        }
        const struct timespec longest = {left / 1000000000, left % 1000000000};
        const int count = ppoll(waiting, ARRAY_LEN(waiting), &longest, NULL);
        if (count > 0) {
            return waiting[1].revents ? 0 : waiting[0].revents;
        }
        KOL_ASSERT(count == 0 || errno == EINTR);
    }
}

/* ---- making ---- */

/* Connects to one address. A socket, or -1 with errno set: ETIMEDOUT where the deadline passed. */
static int connect_to(const struct sockaddr *address, socklen_t len, int64_t deadline_ns)
{
    const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int failure = connect(fd, address, len) == 0 ? 0 : errno;
    if (failure == EINPROGRESS) {
        socklen_t size = sizeof failure;
        if (wait_for(fd, POLLOUT, deadline_ns) == 0) {
            failure = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
            failure = errno;
        }
    }
    if (failure) {
        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

static int connect_unix(const char *path, int64_t deadline_ns)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(path);
    KOL_ASSERT(len < sizeof address.sun_path); /* redis_open() looked */
    memcpy(address.sun_path, path, len);
    return connect_to((struct sockaddr *)&address, sizeof address, deadline_ns);
}

/* Tries each address of the host, none for longer than its share of the time that is left. */
static int connect_each(const struct addrinfo *addresses, int64_t deadline_ns)
{
    int64_t count = 0;
    for (const struct addrinfo *at = addresses; at; at = at->ai_next) {
        count++;
    }
    int fd = -1;
    for (const struct addrinfo *at = addresses; at && fd < 0; at = at->ai_next) {
        const int64_t now_ns = clock_mono_ns();
        fd = connect_to(at->ai_addr, at->ai_addrlen, now_ns + (deadline_ns - now_ns) / count--);
    }
    if (fd >= 0) {
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    return fd;
}

static enum kol_status make_socket(const struct redis_options *options, const char *name,
                                   int64_t deadline_ns, int *fd, struct kol_error *err)
{
    if (options->path) {
        *fd = connect_unix(options->path, deadline_ns);
    } else {
        char port[16];
        struct addrinfo *addresses = NULL;
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
        snprintf(port, sizeof port, "%d", options->port);
        const int failure = getaddrinfo(options->host, port, &hints, &addresses);
        if (failure) {
            return kol_fail(err, KOL_NOT_FOUND, "redis %s: the host name has no address (%s)", name,
                            gai_strerror(failure));
        }
        *fd = connect_each(addresses, deadline_ns);
        const int connect_errno = errno;
        freeaddrinfo(addresses);
        errno = connect_errno;
    }
    if (*fd < 0 && errno == ETIMEDOUT) {
        return kol_fail(err, KOL_TIMEOUT, "redis %s: no connection within the time limit", name);
    }
    return *fd < 0 ? kol_fail_errno(err, errno, "redis %s: cannot connect", name) : KOL_OK;
}

/* ---- logging in ---- */

struct str redis_link_said(const struct redis_answer *answer, const struct redis_options *options)
{
    struct str text = answer->text;
    const char *password = options->password;
    if (password && *password && memmem(text.ptr, text.len, password, strlen(password))) {
        return STR("not repeated here: it holds the password");
    }
    text.len = text.len > 120 ? 120 : text.len;
    return text;
}

static bool begins(const struct redis_answer *answer, const char *text)
{
    return str_starts(answer->text, str_of(text));
}

static enum kol_status judge_auth(const struct redis_answer *answer,
                                  const struct redis_options *options, const char *name,
                                  struct kol_error *err)
{
    if (answer->kind != REDIS_ERROR) {
        return KOL_OK;
    }
    if (redis_is_error(answer, "WRONGPASS") || redis_is_error(answer, "NOPERM") ||
        begins(answer, "ERR invalid password")) {
        return kol_fail(err, KOL_USAGE,
                        "redis %s refused user `%s` with the given password: set both as the "
                        "server's ACL has them",
                        name, options->user ? options->user : "default");
    }
    if (begins(answer, "ERR AUTH") || begins(answer, "ERR Client sent AUTH")) {
        return kol_fail(err, KOL_USAGE,
                        "redis %s has no password for its default user, but one is set here: name "
                        "the user too, or take the password out",
                        name);
    }
    const struct str text = redis_link_said(answer, options);
    return kol_fail(err, KOL_IO, "redis %s did not take the login: %.*s", name, STR_FORMAT(text));
}

static enum kol_status judge_select(const struct redis_answer *answer,
                                    const struct redis_options *options, const char *name,
                                    struct kol_error *err)
{
    if (answer->kind != REDIS_ERROR) {
        return KOL_OK;
    }
    const struct str text = redis_link_said(answer, options);
    if (redis_is_error(answer, "NOAUTH")) {
        return kol_fail(err, KOL_USAGE,
                        "redis %s asks for a password and none is set: set that of Redis", name);
    }
    if (redis_is_error(answer, "NOPERM") || begins(answer, "ERR DB index") ||
        begins(answer, "ERR invalid DB index") || begins(answer, "ERR SELECT")) {
        return kol_fail(err, KOL_USAGE,
                        "redis %s: database %d cannot be used (%.*s): set a number that "
                        "the server has and the user may SELECT",
                        name, options->db, STR_FORMAT(text));
    }
    return kol_fail(err, KOL_IO, "redis %s did not select database %d: %.*s", name, options->db,
                    STR_FORMAT(text));
}

/* AUTH and SELECT, as far as they are needed, in one round trip. */
static enum kol_status log_in(struct redis_link *link, const struct redis_options *options,
                              const char *name, int64_t deadline_ns, struct kol_error *err)
{
    const bool auth = options->user || options->password, select = options->db != 0;
    if (!auth && !select) {
        return KOL_OK;
    }
    struct buf out = {0};
    struct arena arena;
    struct redis_reading reading;
    arena_init(&arena, 1024);
    if (auth) {
        redis_put_head(&out, options->user ? 3 : 2);
        redis_put_argument(&out, STR("AUTH"));
        if (options->user) {
            redis_put_argument(&out, str_of(options->user));
        }
        redis_put_argument(&out, str_of(options->password));
    }
    if (select) {
        char number[16];
        snprintf(number, sizeof number, "%d", options->db);
        redis_put_head(&out, 2);
        redis_put_argument(&out, STR("SELECT"));
        redis_put_argument(&out, str_of(number));
    }
    redis_reading_begin(&reading, &arena, (size_t)auth + select, 64 * 1024);
    enum kol_status status =
        redis_link_exchange(link, name, buf_str(&out), &reading, deadline_ns, err);
    if (status == KOL_OK && auth) {
        status = judge_auth(&reading.answers[0], options, name, err);
    }
    if (status == KOL_OK && select) {
        status = judge_select(&reading.answers[auth ? 1 : 0], options, name, err);
    }
    explicit_bzero(out.ptr, out.len);
    buf_free(&out);
    arena_free(&arena);
    return status;
}

/* Puts TLS on a new connection. */
static enum kol_status secure(struct redis_link *link, const struct redis_options *options,
                              const struct redis_tls *tls, const char *name, int64_t deadline_ns,
                              struct kol_error *err)
{
    short events = 0;
    enum kol_status status = redis_tls_begin(tls, options, link->fd, &link->secure, err);
    while (status == KOL_OK) {
        status = redis_tls_shake(link->secure, &events, err);
        if (status != KOL_OK || events == 0) {
            break;
        }
        if (wait_for(link->fd, events, deadline_ns) == 0) {
            return kol_fail(err, KOL_TIMEOUT,
                            "redis %s: no TLS within the time limit (does it listen for that on "
                            "this port?)",
                            name);
        }
    }
    if (status != KOL_OK) {
        kol_wrap(err, "redis %s", name);
    }
    return status;
}

enum kol_status redis_link_open(const struct redis_options *options, const struct redis_tls *tls,
                                const char *name, int64_t deadline_ns, struct redis_link **out,
                                struct kol_error *err)
{
    int fd = -1;
    enum kol_status status = make_socket(options, name, deadline_ns, &fd, err);
    if (status != KOL_OK) {
        return status;
    }
    struct redis_link *link = mem_zalloc(1, sizeof *link);
    link->fd = fd;
    link->reader = redis_reader_new();
    if (tls) {
        status = secure(link, options, tls, name, deadline_ns, err);
    }
    if (status == KOL_OK) {
        status = log_in(link, options, name, deadline_ns, err);
    }
    if (status != KOL_OK) {
        redis_link_free(&link);
    }
    *out = link;
    return status;
}

void redis_link_free(struct redis_link **link)
{
    if (*link) {
        redis_tls_end(&(*link)->secure);
        close((*link)->fd);
        redisReaderFree((*link)->reader);
        free(*link);
        *link = NULL;
    }
}

/* ---- asking ---- */

bool redis_link_is_quiet(struct redis_link *link)
{
    char byte;
    size_t count = 0;
    if (link->secure) {
        return redis_tls_receive(link->secure, &byte, 1, &count, NULL) == KOL_OK && count == 0;
    }
    return recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

static bool must_wait(ssize_t count)
{
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

enum kol_status redis_link_receive(struct redis_link *link, char *bytes, size_t room, size_t *count,
                                   struct kol_error *err)
{
    *count = 0;
    if (link->secure) {
        return redis_tls_receive(link->secure, bytes, room, count, err);
    }
    const ssize_t got = recv(link->fd, bytes, room, 0);
    if (got == 0) {
        return kol_fail(err, KOL_IO, "the server closed the connection");
    }
    if (got < 0) {
        return must_wait(got) ? KOL_OK : kol_fail_errno(err, errno, "the connection was lost");
    }
    *count = (size_t)got;
    return KOL_OK;
}

enum kol_status redis_link_send(struct redis_link *link, struct str bytes, size_t *count,
                                struct kol_error *err)
{
    *count = 0;
    if (link->secure) {
        return redis_tls_send(link->secure, bytes, count, err);
    }
    const ssize_t sent = send(link->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    if (sent < 0) {
        return must_wait(sent)
                   ? KOL_OK
                   : kol_fail_errno(err, errno, "the connection was lost while sending");
    }
    *count = (size_t)sent;
    return KOL_OK;
}

/* Sends what the socket takes now. */
static enum kol_status send_some(struct redis_link *link, const char *name, struct str *unsent,
                                 struct kol_error *err)
{
    size_t count = 0;
    const enum kol_status status = redis_link_send(link, *unsent, &count, err);
    if (status != KOL_OK) {
        kol_wrap(err, "redis %s", name);
        return status;
    }
    link->sent_bytes += (int64_t)count;
    *unsent = (struct str){unsent->ptr + count, unsent->len - count};
    return KOL_OK;
}

static enum kol_status read_some(struct redis_link *link, const char *name,
                                 struct redis_reading *reading, struct kol_error *err)
{
    char bytes[READ_BYTES];
    size_t count = 0;
    enum kol_status status = redis_link_receive(link, bytes, sizeof bytes, &count, err);
    if (status != KOL_OK) {
        kol_wrap(err, "redis %s, after %zu of %zu answers", name, reading->got, reading->wanted);
        return status;
    }
    if (count == 0) {
        return KOL_OK;
    }
    link->read_bytes += (int64_t)count;
    status = redis_reading_feed(reading, link->reader, (struct str){bytes, count}, err);
    if (status != KOL_OK) {
        kol_wrap(err, "redis %s", name);
    }
    return status;
}

void redis_talk_go_on(struct redis_talk *talk, short seen)
{
    enum kol_status status = KOL_OK;
    if (seen & ~POLLOUT) {
        status = read_some(talk->link, talk->name, talk->reading, &talk->err);
    }
    if (status == KOL_OK && (seen & POLLOUT) && talk->out.len) {
        status = send_some(talk->link, talk->name, &talk->out, &talk->err);
        if (status != KOL_OK) {
            /* It may have said why before it closed the connection. */
            struct kol_error said;
            if (read_some(talk->link, talk->name, talk->reading, &said) == KOL_USAGE) {
                talk->err = said;
                status = KOL_USAGE;
            }
        }
    }
    talk->over = status != KOL_OK || talk->reading->got == talk->reading->wanted;
    if (status == KOL_OK && talk->over && talk->out.len) {
        status = kol_fail(&talk->err, KOL_CORRUPT,
                          "redis %s answered commands that were not sent yet", talk->name);
    }
    talk->status = status;
}

void redis_talk_give_up(struct redis_talk *talk)
{
    talk->over = true;
    talk->status =
        kol_fail(&talk->err, KOL_TIMEOUT, "redis %s: %zu of %zu answers came within the time limit",
                 talk->name, talk->reading->got, talk->reading->wanted);
}

/* Waits for any of the talks that are not over. False: the deadline passed. */
static bool wait_for_talks(const struct redis_talk *talks, size_t count, struct pollfd *waiting,
                           int64_t deadline_ns)
{
    for (size_t i = 0; i < count; i++) {
        waiting[i] = (struct pollfd){.fd = talks[i].over ? -1 : talks[i].link->fd,
                                     .events = talks[i].out.len ? POLLIN | POLLOUT : POLLIN};
    }
    waiting[count] = (struct pollfd){.fd = interrupting, .events = POLLIN};
    const int64_t left = deadline_ns - clock_mono_ns();
    if (left <= 0) {
        return false;
    }
    const struct timespec longest = {left / 1000000000, left % 1000000000};
    const int ready = ppoll(waiting, count + 1, &longest, NULL);
    KOL_ASSERT(ready >= 0 || errno == EINTR);
    if (ready <= 0) {
        memset(waiting, 0, count * sizeof *waiting);
    }
    return ready <= 0 || !waiting[count].revents;
}

static bool all_over(const struct redis_talk *talks, size_t count)
{
    while (count > 0 && talks[count - 1].over) {
        count--;
    }
    return count == 0;
}

void redis_talk_all(struct redis_talk *talks, size_t count, int64_t deadline_ns)
{
    struct pollfd few[8];
    struct pollfd *waiting = count < ARRAY_LEN(few) ? few : mem_alloc((count + 1) * sizeof *few);
    for (size_t i = 0; i < count; i++) {
        talks[i].over = false;
        talks[i].status = KOL_OK;
        redis_talk_go_on(&talks[i], POLLOUT);
    }
    /* Answers are read before all is sent: a server that cannot get rid of them reads no more. */
    while (!all_over(talks, count) && wait_for_talks(talks, count, waiting, deadline_ns)) {
        for (size_t i = 0; i < count; i++) {
            if (!talks[i].over && waiting[i].revents) {
                redis_talk_go_on(&talks[i], waiting[i].revents);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!talks[i].over) {
            redis_talk_give_up(&talks[i]);
        }
    }
    if (waiting != few) {
        free(waiting);
    }
}

void redis_add_last_words(const struct redis_reading *reading, const struct redis_options *options,
                          const char *name, struct kol_error *err)
{
    if (reading->got > 0 && reading->answers[0].kind == REDIS_ERROR) {
        const struct str words = redis_link_said(&reading->answers[0], options);
        kol_wrap(err, "redis %s said `%.*s`", name, STR_FORMAT(words));
    }
}

enum kol_status redis_link_exchange(struct redis_link *link, const char *name, struct str out,
                                    struct redis_reading *reading, int64_t deadline_ns,
                                    struct kol_error *err)
{
    struct redis_talk talk = {.link = link, .name = name, .out = out, .reading = reading};
    redis_talk_all(&talk, 1, deadline_ns);
    if (talk.status != KOL_OK && err) {
        *err = talk.err;
    }
    return talk.status;
}
