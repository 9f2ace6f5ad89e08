/*
 * pool.h: a fixed number of threads that work off a bounded queue.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool;

/* `threads` 0 takes one per CPU. `queue_max`: jobs that may wait. */
struct pool *pool_new(size_t threads, size_t queue_max);

/* Waits for room, then queues the job. */
void pool_submit(struct pool *pool, void (*job)(void *), void *argument);

/* Queues the job, or returns false at once where the queue is full. */
bool pool_try_submit(struct pool *pool, void (*job)(void *), void *argument);

/* Waits until nothing is queued and nothing runs. */
void pool_wait(struct pool *pool);

/* Finishes what is queued, ends the threads, frees. */
void pool_free(struct pool **pool);

size_t pool_threads(const struct pool *pool);

#endif
