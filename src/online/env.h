/*
 * env.h: one LMDB file of this room, opened, and what its errors mean.
 *
 * Private to online/. Writers and readers of the live store come through here, and so do the
 * builder and the readers of records.mdb. Never MDB_WRITEMAP: a full disk would be SIGBUS.
 */
#ifndef ONLINE_ENV_H
#define ONLINE_ENV_H

#include <lmdb.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct online_env {
    MDB_env *mdb;
    char *path;       /* of the file itself */
    const char *what; /* "live store": what a message calls it */
    size_t map_bytes; /* most that it may hold: address space, not disk */
};

struct online_env_options {
    const char *what;
    unsigned flags;   /* of mdb_env_open(); NOSUBDIR and NOTLS come by themselves */
    size_t map_bytes; /* 0: what the file holds now (for reading) */
    unsigned tables;  /* most named tables */
};

/* Opens (without MDB_RDONLY: or makes) the file. Refuses one that was cut, because a read behind
 * its end would be SIGBUS. KOL_NOT_FOUND, KOL_CORRUPT, KOL_NO_SPACE, KOL_IO. */
enum kol_status online_env_open(struct online_env *env, const char *path,
                                const struct online_env_options *options,
                                struct kol_error *err) KOL_CHECKED;
void online_env_close(struct online_env *env); /* the path stays for messages: online_env_free() */
void online_env_free(struct online_env *env);

/* The status for what an LMDB call returned while it was `doing` ("read a record"). */
enum kol_status online_env_fail(const struct online_env *env, int rc, const char *doing,
                                struct kol_error *err);

/* A text as LMDB takes it; LMDB only reads it. */
static inline MDB_val online_val(struct str text)
{
    return (MDB_val){text.len, (void *)(uintptr_t)text.ptr};
}

#endif
