/*
 * redis_parts.h: what the files of the Redis client share; private to them, their tests and
 * fuzzers.
 *
 *     redis.c          pool and pipes
 *     redis_link.c     one connection: made, logged in, asked
 *     redis_answers.c  bytes to answers
 *     redis_url.c      addresses
 *     redis_watch.c    being told of changes
 */
#ifndef CACHE_REDIS_PARTS_H
#define CACHE_REDIS_PARTS_H

#include "base/arena.h"
#include "cache/redis.h"

struct redisReader; /* of hiredis */

/* As redis_open() completed them; valid as long as the client is. */
const struct redis_options *redis_own_options(const struct redis *redis);

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

/* ---- connections ---- */

struct redis_link {
    int fd;
    struct redisReader *reader;     /* empty between two pipes */
    struct redis_link *next;        /* among the idle ones of the pool */
    int64_t sent_bytes, read_bytes; /* since the pool last asked */
};

/* Makes a connection and logs in, by `deadline_ns` (of clock_mono_ns()). `name` is that of
 * redis_name(). */
enum kol_status redis_link_open(const struct redis_options *options, const char *name,
                                int64_t deadline_ns, struct redis_link **out,
                                struct kol_error *err) KOL_CHECKED;
void redis_link_free(struct redis_link **link);

/* From here on, whatever this thread waits for in a connection ends, as at its deadline, once `fd`
 * can be read; -1: no more. */
void redis_link_interrupt(int fd);

/* What the server said of a refused command, cut to a bounded length; nothing of it where that
 * repeats the password. */
struct str redis_link_said(const struct redis_answer *answer, const struct redis_options *options);

/* False where the server closed it, or said something that nobody asked for. Does not wait. */
bool redis_link_is_quiet(const struct redis_link *link);

/* Sends `out` while reading what it answers, until all wanted answers are there. After any failure
 * the connection is of no more use. */
enum kol_status redis_link_exchange(struct redis_link *link, const char *name, struct str out,
                                    struct redis_reading *reading, int64_t deadline_ns,
                                    struct kol_error *err) KOL_CHECKED;

#endif
