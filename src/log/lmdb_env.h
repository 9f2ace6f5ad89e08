/*
 * lmdb_env.h: the LMDB environment of a log: opened, shared by threads, opened again when it must
 * be.
 *
 * LMDB wants two things that only a moment without any transaction in the process allows: to be
 * opened again after the write of a meta page failed (until then it answers MDB_PANIC to
 * everything), and to map more of the file after another process with a larger map has made it grow
 * (MDB_MAP_RESIZED). So every transaction of the process is counted here, begun by env_begin() and
 * ended by env_commit() or env_abort(), and the repair is done by whoever begins one when no other
 * is open.
 */
#ifndef LOG_LMDB_ENV_H
#define LOG_LMDB_ENV_H

#include <lmdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

/* The tables. Integers in keys are big-endian, so that they sort; rows are structs in the byte
 * order of the machine, as LMDB's own pages are. */
enum env_db {
    DB_META,       /* text -> uint64_t: "format", "next_topic", "retained_us" */
    DB_TOPICS,     /* topic name -> struct topic_row */
    DB_PARTITIONS, /* topic id, partition -> struct partition_row */
    DB_CHUNKS,     /* topic id, partition, first offset -> a run of records, see lmdb_chunk.h */
    DB_GROUPS,     /* group -> struct group_row */
    DB_MEMBERS,    /* group, 0, member id -> struct member_row and the ids of its topics */
    DB_PLACES,     /* group, 0, topic id, partition -> int64_t: next offset */
    DB_MARKS,      /* mark name -> bytes */
    DB_PRODUCERS,  /* transactional id -> uint64_t: epoch of the newest producer */
    DB_COUNT
};

enum env_state {
    ENV_READY,
    ENV_BROKEN,   /* a meta page could not be written: to be opened again */
    ENV_OUTGROWN, /* another process made the file larger than our map: to be mapped again */
};

struct env {
    char *path;
    size_t map_bytes;
    bool read_only;
    dev_t device; /* of the folder: one process must not open a log twice */
    ino_t inode;
    struct env *next_open; /* list of the process's open logs */

    pthread_mutex_t lock;
    pthread_cond_t idle; /* users has become 0 */
    MDB_env *mdb;        /* NULL after an attempt to open it again failed */
    MDB_dbi dbi[DB_COUNT];
    int users;            /* transactions that are open, being begun or being ended */
    enum env_state state; /* changed under `lock` alone */
};

/* Opens the log in folder `path`, making both unless `read_only`. `map_bytes` 0 takes 256 GiB. */
enum kol_status env_open(struct env **out, const char *path, int64_t map_bytes, bool read_only,
                         struct kol_error *err) KOL_CHECKED;
void env_close(struct env **env);

/* `flags`: 0 to write (waits for other writers, also of other processes), MDB_RDONLY to read.
 * A transaction that writes belongs to the thread that began it. */
enum kol_status env_begin(struct env *env, unsigned flags, MDB_txn **out,
                          struct kol_error *err) KOL_CHECKED;
/* Ends the transaction in any case. After an error nothing of it is visible. */
enum kol_status env_commit(struct env *env, MDB_txn *txn, struct kol_error *err) KOL_CHECKED;
void env_abort(struct env *env, MDB_txn **txn); /* nothing where *txn is NULL */

/* Id of the newest commit of any process; no system call. Runs ahead of what env_begin() sees while
 * a commit waits for the disk, so what was seen is told by mdb_txn_id() alone. 0 while the log must
 * be opened again. */
uint64_t env_last_txn(struct env *env);

/* What LMDB's answer `rc` to "cannot <doing>" means, as a status and a sentence that says what to
 * do. */
enum kol_status env_fail(const struct env *env, int rc, const char *doing, struct kol_error *err);

/* Plain gets and puts: a row of a fixed size, and MDB_NOTFOUND as `*found` = false. */
enum kol_status env_get(const struct env *env, MDB_txn *txn, enum env_db db, struct str key,
                        void *row, size_t size, bool *found, struct kol_error *err) KOL_CHECKED;
enum kol_status env_put(const struct env *env, MDB_txn *txn, enum env_db db, struct str key,
                        const void *row, size_t size, struct kol_error *err) KOL_CHECKED;

#endif
