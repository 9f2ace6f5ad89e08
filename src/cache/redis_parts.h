/*
 * redis_parts.h: what the files of the Redis client share; private to them, their tests and
 * fuzzers.
 *
 *     redis.c          opening, and running a pipe on one server
 *     redis_pool.c     the connections to one server
 *     redis_pipe.c     commands and scripts gathered
 *     redis_slots.c    what a cluster says of itself
 *     redis_cluster.c  the nodes of a cluster, and the map of its slots
 *     redis_route.c    running a pipe on a cluster
 *     redis_link.c     one connection: made, logged in, asked
 *     redis_tls.c      TLS on a connection; redis_no_tls.c in its place where hiredis has none
 *     redis_answers.c  bytes to answers
 *     redis_url.c      addresses
 *     redis_watch.c    being told of changes
 */
#ifndef CACHE_REDIS_PARTS_H
#define CACHE_REDIS_PARTS_H

#include <pthread.h>

#include "base/arena.h"
#include "cache/redis.h"

struct redisReader; /* of hiredis */

/* ---- answers ---- */

/* Where the answers of one pipe gather. */
struct redis_reading {
    struct arena *arena;          /* holds texts and lists */
    struct redis_answer *answers; /* `wanted` of them, of which `got` are whole */
    size_t wanted, got;
    size_t budget;  /* bytes that may still come, or be asked for by the head of a list */
    bool too_large; /* a list announced more than the budget */
};

/* A reader that makes `struct redis_answer`; ended by redisReaderFree(). */
struct redisReader *redis_reader_new(void);

/* Allocates `wanted` answers in `arena`. */
void redis_reading_begin(struct redis_reading *reading, struct arena *arena, size_t wanted,
                         size_t answer_max);

/* Takes the next bytes of the stream, cut anywhere. KOL_CORRUPT: they are no RESP2, too many, or
 * more than was asked for; then neither the reader nor its connection can be used any more. */
enum kol_status redis_reading_feed(struct redis_reading *reading, struct redisReader *reader,
                                   struct str bytes, struct kol_error *err) KOL_CHECKED;

/* Answers that come one after another without an end, each of answer_max at most. */
struct redis_stream {
    size_t answer_max;
    /* The answer is gone when it returns; a failure ends the reading. */
    enum kol_status (*each)(const struct redis_answer *answer, void *user, struct kol_error *err);
    void *user;
};

/* Takes the next bytes of such a stream, no more at once than answer_max, and hands on what is
 * whole. `reading` was begun with one answer wanted, in an arena that holds nothing else, and lasts
 * as long as the stream. KOL_CORRUPT as above, or what `each` failed with. */
enum kol_status redis_stream_feed(struct redis_reading *reading, struct redisReader *reader,
                                  struct str bytes, const struct redis_stream *stream,
                                  struct kol_error *err) KOL_CHECKED;

/* ---- commands ---- */

/* Appends the head of a command of `argc` arguments, and then one of them. */
void redis_put_head(struct buf *out, size_t argc);
void redis_put_argument(struct buf *out, struct str argument);

/* ---- TLS ---- */

struct redis_tls;    /* what all connections of a client share: whom they trust, who they are */
struct redis_secure; /* TLS on one connection */

/* Reads the files that the options name, of which `tls` is set. KOL_UNSUPPORTED: not built in. */
enum kol_status redis_tls_new(const struct redis_options *options, struct redis_tls **out,
                              struct kol_error *err) KOL_CHECKED;
void redis_tls_free(struct redis_tls **tls);

/* Begins TLS on a socket that does not block and stays the caller's. The options outlive it. */
enum kol_status redis_tls_begin(const struct redis_tls *tls, const struct redis_options *options,
                                int fd, struct redis_secure **out,
                                struct kol_error *err) KOL_CHECKED;
/* Says good-bye, where that makes sense. NULL inside is fine. */
void redis_tls_end(struct redis_secure **secure);

/* Goes on with the handshake; *events: what poll() is to wait for before the next call, 0: it is
 * done, and the server is who it shall be. KOL_USAGE: a certificate was not accepted. */
enum kol_status redis_tls_shake(struct redis_secure *secure, short *events,
                                struct kol_error *err) KOL_CHECKED;

/* What came and what went, as much as could be at once; 0: nothing now. A call that did not send
 * all is followed by one with what is left. */
enum kol_status redis_tls_receive(struct redis_secure *secure, char *bytes, size_t room,
                                  size_t *count, struct kol_error *err) KOL_CHECKED;
enum kol_status redis_tls_send(struct redis_secure *secure, struct str bytes, size_t *count,
                               struct kol_error *err) KOL_CHECKED;

/* ---- connections ---- */

struct redis_link {
    int fd;
    struct redis_secure *secure;    /* NULL: no TLS */
    struct redisReader *reader;     /* empty between two pipes */
    struct redis_link *next;        /* among the idle ones of the pool */
    int64_t sent_bytes, read_bytes; /* since the pool last asked */
};

/* Makes a connection and logs in, by `deadline_ns` (of clock_mono_ns()). `tls` where the options
 * want it, else NULL; `name` is that of redis_name(). */
enum kol_status redis_link_open(const struct redis_options *options, const struct redis_tls *tls,
                                const char *name, int64_t deadline_ns, struct redis_link **out,
                                struct kol_error *err) KOL_CHECKED;
void redis_link_free(struct redis_link **link);

/* From here on, whatever this thread waits for in a connection ends, as at its deadline, once `fd`
 * can be read; -1: no more. */
void redis_link_interrupt(int fd);

/* What the server said of a refused command, cut to a bounded length; nothing of it where that
 * repeats the password. */
struct str redis_link_said(const struct redis_answer *answer, const struct redis_options *options);

/* Adds to an error of an exchange what the server said before it closed the connection ("ERR max
 * number of clients ..."), if it said anything. */
void redis_add_last_words(const struct redis_reading *reading, const struct redis_options *options,
                          const char *name, struct kol_error *err);

/* False where the server closed it, or said something that nobody asked for. Does not wait. */
bool redis_link_is_quiet(struct redis_link *link);

/* Read and write what can be at once, and do not wait; *count 0: nothing now. A connection that the
 * server closed is a failure. What redis_link_send() left is to be sent next. */
enum kol_status redis_link_receive(struct redis_link *link, char *bytes, size_t room, size_t *count,
                                   struct kol_error *err) KOL_CHECKED;
enum kol_status redis_link_send(struct redis_link *link, struct str bytes, size_t *count,
                                struct kol_error *err) KOL_CHECKED;

/* Sends `out` while reading what it answers, until all wanted answers are there. After any failure
 * the connection is of no more use. */
enum kol_status redis_link_exchange(struct redis_link *link, const char *name, struct str out,
                                    struct redis_reading *reading, int64_t deadline_ns,
                                    struct kol_error *err) KOL_CHECKED;

/* One of several such exchanges at the same time. */
struct redis_talk {
    struct redis_link *link;
    const char *name;
    struct str out; /* what is not sent yet */
    struct redis_reading *reading;
    bool over;
    enum kol_status status; /* once it is over */
    struct kol_error err;
};

/* Sends and reads what can be at once, by what poll() saw; POLLOUT begins it. Sets `over` and
 * `status` at the end. */
void redis_talk_go_on(struct redis_talk *talk, short seen);
/* Ends one that took too long. */
void redis_talk_give_up(struct redis_talk *talk);

/* Runs them until all are over: what takes longest says how long that is. */
void redis_talk_all(struct redis_talk *talks, size_t count, int64_t deadline_ns);

/* ---- pools ---- */

/* The connections to one server. */
struct redis_pool {
    const struct redis_options *options; /* outlive the pool, as the two below do */
    const struct redis_tls *tls;         /* NULL: without */
    const char *name;
    pthread_mutex_t lock; /* of what follows */
    struct redis_link *idle;
    struct redis_counts counts; /* open: those in use and the idle ones */
};

void redis_pool_init(struct redis_pool *pool, const struct redis_options *options,
                     const struct redis_tls *tls, const char *name);
/* None of its connections may be in use. */
void redis_pool_end(struct redis_pool *pool);

/* An idle connection that the server has not closed meanwhile (it was restarted, or has a time
 * limit for idle clients), or a new one. */
enum kol_status redis_pool_take(struct redis_pool *pool, int64_t deadline_ns,
                                struct redis_link **out, struct kol_error *err) KOL_CHECKED;
/* The same without a wait: NULL where none is idle. */
struct redis_link *redis_pool_take_idle(struct redis_pool *pool);
/* Counts what a connection was used for, and keeps it, or closes it after a failure. */
void redis_pool_put(struct redis_pool *pool, struct redis_link *link, size_t commands,
                    enum kol_status status);

/* The counts of a pool, on top of those that are in `sum`. */
void redis_pool_add_counts(struct redis_pool *pool, struct redis_counts *sum);

/* The earlier of a deadline and a time from now. */
int64_t redis_earlier(int64_t deadline_ns, int64_t limit_us);

/* ---- clients and pipes ---- */

struct known_script;
struct redis_cluster;

struct redis {
    struct arena arena; /* the texts of the options, the name, and the scripts */
    struct redis_options options;
    struct redis_tls *tls; /* NULL: without */
    const char *name;
    pthread_mutex_t script_lock;
    _Atomic(const struct known_script *) scripts;
    struct redis_pool pool;        /* of the one server */
    struct redis_cluster *cluster; /* or this; NULL: one server */
};

enum { REDIS_SLOTS = 16384, REDIS_ANY_SLOT = REDIS_SLOTS };

/* One command of a pipe that goes to a cluster. */
struct redis_command {
    size_t from, to; /* in `out` */
    uint32_t slot;   /* or REDIS_ANY_SLOT */
};

/* One command of a pipe that runs a script. */
struct redis_script_run {
    const struct redis_script *script;
    size_t place;    /* among the commands */
    size_t argc;     /* of EVALSHA */
    size_t from, to; /* in `out`: the arguments behind the hash, which EVAL has too */
};

struct redis_pipe {
    struct redis *redis;
    struct buf out; /* the commands, as they are sent */
    size_t commands;
    struct redis_command *routes; /* each command; for a cluster alone */
    size_t route_room;
    struct redis_script_run *runs; /* in the order of their places */
    size_t run_count, run_room;
    struct arena arena; /* of the answers */
    const struct redis_answer *answers;
    size_t answered; /* `commands` of the run that succeeded; 0: nothing can be read */

    /* A run on one server that is under way; `link` NULL: none is. */
    struct redis_link *link;
    struct redis_reading reading;
    struct redis_talk talk; /* of redis_begin() alone */
    int64_t until_ns;
};

/* The run of a script at a place; NULL: another command is there. */
const struct redis_script_run *redis_run_at(const struct redis_pipe *pipe, size_t place);
/* Appends it with the whole text of its script. */
void redis_put_whole(const struct redis_pipe *pipe, const struct redis_script_run *run,
                     struct buf *out);

/* redis_run() of a pipe that has commands, on a cluster. */
enum kol_status redis_cluster_run(struct redis_pipe *pipe, int64_t deadline_ns,
                                  struct kol_error *err) KOL_CHECKED;

/* ---- clusters ---- */

/* The slot of a key: of what stands between its first { and the next }, if anything does. */
uint32_t redis_slot(struct str key);

/* "10.0.0.7:7000", "fe80::1:7000", ":7000" (the host is that of who says so). False: no such thing.
 */
bool redis_read_endpoint(struct str text, struct str *host, int *port);

/* Where a slot or a range of them is. */
struct redis_range {
    uint32_t first, last;
    struct str host; /* empty: that of the node which was asked */
    int port;
};

/* Reads the answer to CLUSTER SLOTS: the primaries of each range, of which `out` has room for
 * REDIS_SLOTS. Ranges whose primary has no known address are left out. KOL_CORRUPT: it is none. */
enum kol_status redis_read_slots(const struct redis_answer *answer, struct redis_range *out,
                                 size_t *count, struct kol_error *err) KOL_CHECKED;

/* One server of a cluster. It stays as long as `users` or the map hold it. */
struct redis_node {
    struct redis_options options;
    struct redis_pool pool;
    struct redis_node *next;
    bool primary;      /* in the map */
    int users;         /* pipes that use it now */
    bool silent;       /* the last try to connect ended by its time limit */
    int64_t failed_ns; /* when it last took no connection; 0: it did since */
    int64_t mute_ns;   /* when it last did not say where the slots are; 0: it did since */
    char host[256], name[288];
};

/* Reads `hosts` of the options; nothing is connected. */
enum kol_status redis_cluster_open(struct redis *redis, struct kol_error *err) KOL_CHECKED;
void redis_cluster_close(struct redis_cluster **cluster);
void redis_cluster_counts(struct redis_cluster *cluster, struct redis_counts *out);

/* Which map of the slots is in use; 0: none yet. Each refresh that found another one, and each
 * MOVED, makes a new number. */
int64_t redis_cluster_version(struct redis_cluster *cluster);

/* Asks the nodes that are known where the slots are, unless that was just done or somebody else
 * does now; only where there is no map yet, or who calls it is in urgent need of a new one, the
 * others are waited for. KOL_OK: there is a map; else what went wrong with the last node asked. */
enum kol_status redis_cluster_refresh(struct redis_cluster *cluster, bool urgent,
                                      int64_t deadline_ns, struct kol_error *err) KOL_CHECKED;

/* Fills each NULL among `nodes` with the node of that command, to be released; it stays NULL where,
 * as far as is known, nobody has the slot. */
void redis_cluster_take(struct redis_cluster *cluster, const struct redis_command *commands,
                        size_t count, struct redis_node **nodes);
/* The node at an address, known or not. NULL: there are too many. */
struct redis_node *redis_cluster_take_at(struct redis_cluster *cluster, struct str host, int port);
/* Releases those that are not NULL, and makes them NULL. */
void redis_cluster_release(struct redis_cluster *cluster, struct redis_node **nodes, size_t count);

/* A connection to a node; see redis_pool_take(). A node to which none could be made in time is not
 * tried again for a moment. */
enum kol_status redis_cluster_connect(struct redis_cluster *cluster, struct redis_node *node,
                                      int64_t deadline_ns, struct redis_link **out,
                                      struct kol_error *err) KOL_CHECKED;

/* A slot was said to be at another node; the map is to be asked for soon. */
void redis_cluster_moved(struct redis_cluster *cluster, uint32_t slot, struct redis_node *node);
/* Whether it is to be asked for, after redis_cluster_moved() or redis_cluster_doubt(). */
bool redis_cluster_is_doubted(struct redis_cluster *cluster);
void redis_cluster_doubt(struct redis_cluster *cluster);

/* All primaries, each to be released; returns how many. The array is the caller's to free(). */
size_t redis_cluster_take_primaries(struct redis_cluster *cluster, struct redis_node ***out);

#endif
