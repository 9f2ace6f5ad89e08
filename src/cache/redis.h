/*
 * redis.h: commands to a Redis server, many in one round trip.
 *
 * It knows no key and no KOL: who uses it spells commands. A pipe gathers commands, sends them
 * together and reads all of their answers; a command that fails harms none of the others.
 * Connections are kept in a pool, made when they are first needed, and thrown away after any
 * failure, so that an answer never meets the wrong question. All waiting ends at the deadline that
 * the caller names, or earlier by the limits of the options; a host name is looked up as a
 * connection is made, and that alone may take longer (an address of digits needs no looking up).
 *
 * RESP2 alone, which every Redis speaks (and hiredis 0.14, which has no RESP3).
 *
 * Threads: a `struct redis` is shared by all threads; a pipe belongs to one at a time.
 */
#ifndef CACHE_REDIS_H
#define CACHE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct arena;
struct redis;
struct redis_pipe;

struct redis_options {
    const char *host; /* NULL: 127.0.0.1 */
    int port;         /* 0: 6379 */
    const char *path; /* of a unix socket, instead of host and port */
    const char *user; /* of an ACL; NULL: the default user */
    const char *password;
    int db;
    bool tls; /* KOL_UNSUPPORTED where redis_speaks_tls() says no */
    /* Of TLS alone. The files are PEM; redis_open() reads them once. */
    const char *tls_ca;   /* who may sign the server's certificate; NULL: whom the system trusts */
    const char *tls_name; /* that it must be for; NULL: the host, in a cluster that of each node */
    const char *tls_certificate, *tls_key; /* of our own; both, or none */
    bool tls_insecure; /* the server may have any certificate: who is in between reads it all */
    /* The server is one of a Redis Cluster: the others are found by asking it, commands go to the
     * node that has the slot of their key (see redis_add()), MOVED and ASK are followed. A pipe
     * takes as long as the slowest of its nodes; answer_max is for each of them. Only database 0,
     * and no unix socket. `hosts`: further "host:port" to begin with, space-separated; NULL: none.
     */
    bool cluster;
    const char *hosts;
    int64_t connect_us; /* longest for a connection with AUTH and SELECT; 0: 500 ms */
    int64_t answer_us;  /* longest for one pipe, once it has a connection; 0: 250 ms */
    int connections;    /* most that are kept while nobody uses them; 0: 16 */
    /* Most bytes of all answers of one pipe, as they are sent, and what the values of a list take
     * in memory (sizeof(struct redis_answer) each); 0: 64 MiB. */
    size_t answer_max;
};

/* Reads redis://[[user]:password@]host[:port][/db], rediss://... (TLS) and
 * unix://[[user]:password@]/path[?db=N] into `out`, whose texts then lie in `arena`; parts that the
 * address does not name stay as they are. User, password and path may be percent-encoded.
 * KOL_INVALID says what is wrong with it, and repeats nothing of it: the password may be anywhere.
 */
enum kol_status redis_read_url(struct str url, struct arena *arena, struct redis_options *out,
                               struct kol_error *err) KOL_CHECKED;

/* Whether this build can speak TLS: hiredis has it from 1.0 on. */
bool redis_speaks_tls(void);
/* The version of hiredis, and whether TLS is in it: "0.14.1 without TLS". */
const char *redis_library(void);

/* Copies the options; nothing is connected yet. KOL_INVALID where they cannot be meant, or the
 * files of TLS are of no use. */
enum kol_status redis_open(const struct redis_options *options, struct redis **out,
                           struct kol_error *err) KOL_CHECKED;
/* No pipe of it may be in use. */
void redis_close(struct redis **redis);

/* "127.0.0.1:6379/0", "tls:cache:6380/0", "unix:/run/redis.sock/0": for logs and answers; no user
 * and no password. */
const char *redis_name(const struct redis *redis);

/* The password that it logs in with, or "": what is known to whoever may log in so, and to nobody
 * who sees what is in Redis by another way. Never for a log or an answer. */
const char *redis_password(const struct redis *redis);

/* ---- pipes ---- */

/* An empty pipe, which may be used many times. */
struct redis_pipe *redis_pipe_new(struct redis *redis);
void redis_pipe_free(struct redis_pipe **pipe);

/* Adds a command; its arguments are copied. Returns its place, by which its answer is found. `key`:
 * the place among `argv` of the argument that says which node of a cluster is meant; 0: any. */
size_t redis_add(struct redis_pipe *pipe, size_t argc, const struct str *argv, size_t key);

/* The same, of words that stand apart by a space; "%s" takes a `const char *`, "%S" a `struct str`,
 * "%d" an int64_t, each as one argument whatever is in it; the key is the second word. */
size_t redis_addf(struct redis_pipe *pipe, const char *words, ...);

/* A server that takes writes, and how much of all keys is its own. */
struct redis_share {
    uint32_t slot; /* one of those that it has */
    double part;   /* of all slots, 0 to 1 */
};

/* The primaries of a cluster, as its map has them now, in the order of their first slots: `room` at
 * most; 0: there is no map before the first pipe has run. A server that is alone has all. */
size_t redis_shares(struct redis *redis, struct redis_share *out, size_t room);

/* Adds a command without a key, for the server that has a slot. */
size_t redis_add_at(struct redis_pipe *pipe, uint32_t slot, size_t argc, const struct str *argv);

/* A script in Lua: a constant of the caller's, which is known by its address and outlives every
 * pipe. */
struct redis_script {
    const char *lua;
};

/* Adds the run of a script: the first `keys` of `argv` are its KEYS (of one slot), the rest its
 * ARGV. It is sent by its hash; where the server does not know it, redis_run() sends it once more,
 * whole, in a second exchange within the same deadline. */
size_t redis_add_script(struct redis_pipe *pipe, const struct redis_script *script, size_t keys,
                        size_t argc, const struct str *argv);

/* Sends what was added and reads every answer, by clock_mono_ns() until `deadline_ns` at most.
 * In a cluster, what a node redirects or cannot do yet (MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING)
 * is tried again within the same time, and is the answer once that is up; a node that is gone fails
 * the pipes that have commands for it, until another one has its slots.
 * KOL_OK where all answers came, errors among them. Else none of them can be read: KOL_TIMEOUT,
 * KOL_IO or KOL_NOT_FOUND (no such host or socket, refused, or lost on the way: the commands may
 * have been run or not), KOL_USAGE (user, password, database or a certificate of either side were
 * refused, or are asked for; nothing was run), KOL_CORRUPT (what came is not RESP, or more than
 * answer_max). */
enum kol_status redis_run(struct redis_pipe *pipe, int64_t deadline_ns,
                          struct kol_error *err) KOL_CHECKED;

/* redis_run() by a thread that must not wait, where that can be: there is one server without TLS,
 * to which a connection is open and idle, and no scripts were added. False: nothing was done, and
 * redis_run() is the way. Else redis_go_on() is called when what redis_wait() names has come, and
 * redis_end() once that says that all is over, or at any time to give it up. */
bool redis_begin(struct redis_pipe *pipe, int64_t deadline_ns);
/* What such a run waits for: to read from `*fd`, to write to it where `*write` says so; at the
 * latest until `*until_ns`. */
void redis_wait(const struct redis_pipe *pipe, int *fd, bool *write, int64_t *until_ns);
/* Does what can be done at once. True: it is over, or its time is. */
bool redis_go_on(struct redis_pipe *pipe);
/* What redis_run() would have returned. */
enum kol_status redis_end(struct redis_pipe *pipe, struct kol_error *err) KOL_CHECKED;

/* Forgets commands and answers. */
void redis_clear(struct redis_pipe *pipe);

/* ---- answers ---- */

enum redis_kind {
    REDIS_NIL,
    REDIS_TEXT,   /* bulk and status */
    REDIS_NUMBER, /* integer */
    REDIS_LIST,
    REDIS_ERROR, /* `text` begins with its word: "WRONGTYPE ...", "OOM ...", "NOPERM ..." */
};

/* Texts end in a NUL that is not counted. Valid until the pipe is cleared, run again or freed. */
struct redis_answer {
    enum redis_kind kind;
    struct str text;
    int64_t number;
    size_t count;                     /* of `items` */
    const struct redis_answer *items; /* of a list */
};

/* Of the command at a place; only after redis_run() returned KOL_OK. */
const struct redis_answer *redis_answer(const struct redis_pipe *pipe, size_t place);

/* True for an error that begins with this word. */
bool redis_is_error(const struct redis_answer *answer, const char *word);

/* ---- what it did ---- */

struct redis_counts {
    int64_t connections, failed_connections, lost_connections; /* since redis_open() */
    int64_t pipes, commands, timeouts;
    int64_t sent_bytes, read_bytes;
    int open, idle; /* connections now */
};
void redis_counts(struct redis *redis, struct redis_counts *out);

#endif
