/*
 * store_parts.h: what the files of the store share; private to them and their tests.
 *
 *     store.c          hashes and texts: asked, taken, written; the lock
 *     store_set.c      the same of sets with their siblings
 *     store_pack.c     a hash as one argument
 *     store_scripts.c  the scripts that write
 *
 * ARGV of every script that writes a value begins with
 *     1 TTL in ms, 2 version, 3 snapshot (0: none), 4 force (1 or 0)
 * and each answers 1: written, 0: kept, or an error.
 */
#ifndef SERVE_STORE_PARTS_H
#define SERVE_STORE_PARTS_H

#include "serve/store.h"

enum {
    STORE_HEAD = 4,             /* arguments before those of the one script */
    STORE_NUMBER = 24,          /* bytes that a number takes at most, with its NUL */
    STORE_PACKED_MAX = 8 << 10, /* bytes of a hash that goes as one argument */
};

/* 5 packed hash. */
extern const struct redis_script store_write_packed;
/* 5... field, value, ... */
extern const struct redis_script store_write_hash;
/* 5 text. */
extern const struct redis_script store_write_text;
/* KEYS set, sibling. 5 how many arguments of the sibling follow, field, value, ..., then score,
 * member, ... */
extern const struct redis_script store_write_set;
/* KEYS set, sibling. No further arguments; 1: the new one is to be written, and nothing was done.
 */
extern const struct redis_script store_keep_set;
/* KEYS aside. 1 TTL in ms, then score, member, ...; answers how many members it has. */
extern const struct redis_script store_add_aside;
/* KEYS set, sibling, aside. 5 how many members aside must have, then field, value, ... of the
 * sibling. */
extern const struct redis_script store_swap_set;
/* 1 the token. */
extern const struct redis_script store_unlock;

/* ---- arguments ---- */

/* Room for the numbers of STORE_HEAD. */
struct store_head {
    char numbers[STORE_HEAD][STORE_NUMBER];
};
/* Fills argv[0..STORE_HEAD - 1]. */
void store_put_head(const struct serve_write *write, struct store_head *head, struct str *argv);

/* What every value names beside its own: version and snapshot where they are not 0, cached_at. */
struct store_stamp {
    struct serve_field fields[3];
    size_t count;
    char version[STORE_NUMBER], snapshot[STORE_NUMBER], cached_at[48];
};
void store_make_stamp(const struct serve_write *write, struct store_stamp *stamp);

/* 0 where there is no such field; false where it is no whole number from 0 to 2^53. */
bool store_number(const struct serve_field *fields, size_t count, const char *name, int64_t *out);

/* ---- a hash as one argument ---- */

/*
 * Appends what RESTORE makes a hash of: the form in which Redis >= 7 keeps small hashes itself (a
 * listpack, all of texts), with the checksum behind it. To be told fields one by one costs the
 * server three times as much, most of it for the arguments' way into a script and out again.
 * False, with nothing appended: too large, or two fields of one name (such a hash is one that the
 * server takes and later breaks on).
 */
bool store_pack(const struct serve_field *fields, size_t count, const struct store_stamp *stamp,
                struct buf *out);

/* ---- sets ---- */

size_t store_ask_set(struct redis_pipe *pipe, struct str key);
size_t store_put_small_set(struct redis_pipe *pipe, const struct serve_write *write);

#endif
