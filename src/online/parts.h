/*
 * parts.h: what the files of the online copy share: where things are, the lease, meta.json, the
 * opened copy. Private to online/.
 */
#ifndef ONLINE_PARTS_H
#define ONLINE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "online/env.h"
#include "online/online.h"
#include "online/record.h"

enum { ONLINE_FORMAT = 2 }; /* of a copy; another one is not read, but built again */

extern const char *const online_kind_names[ONLINE_KINDS]; /* tables of records.mdb, of meta.json */

/* ---- folders and leases (lease.c) ---- */

/* DATA/online, DATA/online/NNNNNN, in memory for free(). */
char *online_root(const char *data);
char *online_folder(const char *data, int64_t number);

/* What CURRENT says; KOL_NOT_FOUND where there is none, with the command that makes a copy. */
enum kol_status online_current(const char *data, int64_t *number,
                               struct kol_error *err) KOL_CHECKED;

/* Takes the lease of a copy for reading: `*fd`, closed to give it back. KOL_NOT_FOUND where the
 * copy is not there or is being removed. */
enum kol_status online_lease(const char *folder, int *fd, struct kol_error *err) KOL_CHECKED;

/* The lock that builders and cleaners hold. KOL_CONFLICT where another has it. Gone with the file
 * descriptor. */
enum kol_status online_build_lock(const char *data, int *fd, struct kol_error *err) KOL_CHECKED;

/* Under that lock: removes what crashed builders left, and gives a number that was never used. */
enum kol_status online_prepare(const char *data, int64_t *number,
                               struct kol_error *err) KOL_CHECKED;
/* Under that lock: see online_clean(). */
enum kol_status online_clean_locked(const char *data, int64_t keep_us, int64_t *removed,
                                    struct kol_error *err) KOL_CHECKED;
/* A folder with all that is in it; best effort. */
void online_remove_tree(const char *path);

/* ---- meta.json (info.c) ---- */

struct online_meta {
    struct arena arena; /* holds all that the rest points to */
    struct online_info info;
    struct online_layout layouts[ONLINE_KINDS];
};

enum kol_status online_meta_write(const char *folder, const struct online_meta *meta,
                                  struct kol_error *err) KOL_CHECKED;
/* KOL_CORRUPT, KOL_UNSUPPORTED (another format), KOL_NOT_FOUND. */
enum kol_status online_meta_read(const char *folder, struct online_meta *out,
                                 struct kol_error *err) KOL_CHECKED;
/* The same from the text of the file. */
enum kol_status online_meta_parse(struct str json, const char *path, struct online_meta *out,
                                  struct kol_error *err) KOL_CHECKED;
void online_meta_free(struct online_meta *meta);

/* ---- an opened copy (copy.c, lookup.c) ---- */

struct online_copy {
    atomic_int users;
    char *data;
    struct online_options options; /* `data` is the one above */
    char *folder;
    int lease;
    struct online_meta meta;
    struct online_env records;
    MDB_dbi tables[ONLINE_KINDS];
    int order_columns[ONLINE_KINDS]; /* what online_find() sorts by; -1: nothing */
    pthread_mutex_t lists_lock;
    struct engine *lists; /* opened with the first session */
};

enum { ONLINE_MAX_KEY = 511, ONLINE_LONG_ID = 400 }; /* LMDB's limit; an id above this is hashed */

/*
 * The key of a record in `out`: id, NUL, platform, so that the records of one id are neighbours. An
 * id of more than ONLINE_LONG_ID bytes is cut there and its hash put behind. Returns its length, 0
 * where the platform is longer than any.
 */
size_t online_record_key(char out[ONLINE_MAX_KEY], struct str platform, struct str id);

/* Where the key's platform begins, or the whole where there is none: the bytes behind the last NUL.
 */
struct str online_key_platform(struct str key);

#endif
