/*
 * batches.h: two batches that take turns: while one is made durable, the other is filled.
 *
 * Reading and checking events costs about as much time as writing them with fsync; side by side
 * they cost the longer of the two. Commits stay in order: a batch is handed over only after the one
 * before it is durable, and after a failure nothing more is committed.
 *
 * One thread calls these functions; the other one is private.
 */
#ifndef IMPORT_BATCHES_H
#define IMPORT_BATCHES_H

#include <pthread.h>

#include "base/error.h"
#include "import/position.h"
#include "import/submit.h"
#include "log/bus.h"

struct batch {
    struct bus_producer *producer;
    struct submit submit;
    struct position position; /* behind its last record */
};

struct batches {
    struct batch slots[2];
    struct batch *filling; /* the caller's */

    pthread_t thread;
    bool running; /* the thread has begun */

    /* Guarded by `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct batch *committing; /* the thread's; NULL: it waits */
    bool stop;
    struct position durable;  /* of the last batch that was committed; the caller may set it
                                 while nothing is handed over */
    struct kol_error failure; /* status KOL_OK: none so far */
};

enum kol_status batches_open(struct batches *batches, struct bus *bus,
                             struct kol_error *err) KOL_CHECKED;

/* Forgets what is not committed. */
void batches_close(struct batches *batches);

/* Has the batch committed as soon as the one before it is durable, together with the mark `name`
 * for the position (NULL: no mark), and begins another one. Fails with the failure of an earlier
 * commit. */
enum kol_status batches_hand_over(struct batches *batches, const char *name,
                                  const struct position *position,
                                  struct kol_error *err) KOL_CHECKED;

/* Waits until all that was handed over is durable, or has failed. `durable` then holds still. */
enum kol_status batches_wait(struct batches *batches, struct kol_error *err) KOL_CHECKED;

/* The counts and the reasons of both, in `out`, which has no memory of its own. */
void batches_sum(const struct batches *batches, struct submit *out);

#endif
