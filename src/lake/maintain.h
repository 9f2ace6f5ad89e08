/*
 * maintain.h: upkeep of the tables: small files, old snapshots, orphans, manifests.
 *
 * Safe beside readers and writers: files that a snapshot still reaches stay, a compaction that lost
 * its race is done again or left for the next time, and what nobody reaches goes only when it is
 * older than the limit, so that a file in the making is never taken. A table that something is
 * wrong with does not keep the others waiting.
 */
#ifndef LAKE_MAINTAIN_H
#define LAKE_MAINTAIN_H

#include "lake/lake.h"

struct maintain_report {
    const char *name_space, *name;
    int64_t compacted;      /* small files that became ... */
    int64_t compacted_into; /* ... so many (a dry run does not know) */
    struct ice_upkeep expired, manifests, orphans;
    const char *problem; /* why it was left as it is, or NULL; lives until the callback returns */
};

/* Files in the making are as old as their writer is busy: without `no_writers` a limit below this
 * is refused. */
#define MAINTAIN_ORPHAN_FLOOR_US (3600 * INT64_C(1000000))

struct maintain_options {
    struct lake *lake;
    const char *const *tables; /* "bronze.profiles"; none: all, foreign ones too */
    size_t table_count;
    bool dry_run;
    bool full_only;        /* merge small files where they fill a whole one, and nothing else */
    int64_t target_bytes;  /* of a data file; those under half of it are small */
    int64_t expire_age_us; /* snapshots older than this go, but for ... */
    int keep;              /* ... so many newest and those of the last complete run */
    int64_t orphan_age_us; /* files that nothing reaches go when older than this */
    bool no_writers;       /* nobody writes meanwhile, so files may go however young they are */
    void (*on_table)(const struct maintain_report *report, void *user);
    void *user;
};

/* KOL_INTERRUPTED where a stop was asked for: what is done is done. A table that could not be kept
 * up is reported with its problem and the others go on; the status is then that of the first one.
 */
enum kol_status maintain_run(const struct maintain_options *options,
                             struct kol_error *err) KOL_CHECKED;

#endif
