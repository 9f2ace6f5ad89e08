/*
 * warm_place.h: where an interrupted warm goes on. Private to the warmer.
 *
 * A file says what the warm was of and how far it came. It counts only for the same warm of the
 * same snapshot into the same Redis; whether that still holds what was written, the warmer asks it
 * for `key`, the last one.
 */
#ifndef SERVE_WARM_PLACE_H
#define SERVE_WARM_PLACE_H

#include "base/error.h"
#include "base/str.h"
#include "serve/warm.h"

struct warm_place {
    /* What the warm is of; all of it must agree. */
    struct str redis; /* its name */
    int64_t snapshot, limit;
    unsigned parts; /* a bit each */
    bool full;

    int64_t began_us; /* the first of the runs that it took until now */
    int part;         /* the one it was at; below it all are done. -1: at what is hot */
    int64_t index;    /* keys of that part that are done, hot ones among them */
    int64_t done[WARM_PARTS];
    struct buf key; /* the last one that was written; owned */
};

/* What is to be in `place` before a read: all that must agree. */
enum kol_status warm_place_read(const char *folder, struct warm_place *place, struct kol_error *err)
    KOL_CHECKED; /* KOL_NOT_FOUND: none that counts */
enum kol_status warm_place_write(const char *folder, const struct warm_place *place,
                                 struct kol_error *err) KOL_CHECKED;
void warm_place_remove(const char *folder);

#endif
