/* pool.c: a ring of jobs behind one mutex. */
#include "base/pool.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

struct job {
    void (*run)(void *);
    void *argument;
};

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t work, room, idle;
    struct job *ring; /* `queued` jobs from `head` on, wrapping at `capacity` */
    size_t capacity, head, queued;
    size_t running; /* jobs that threads are busy with */
    bool closing;
    pthread_t *threads;
    size_t thread_count;
};

static void *pool_main(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (!pool->queued && !pool->closing) {
            pthread_cond_wait(&pool->work, &pool->mutex);
        }
        if (!pool->queued) {
            break;
        }
        struct job job = pool->ring[pool->head];
        pool->head = (pool->head + 1) % pool->capacity;
        pool->queued--;
        pool->running++;
        pthread_cond_signal(&pool->room);
        pthread_mutex_unlock(&pool->mutex);
        job.run(job.argument);
        pthread_mutex_lock(&pool->mutex);
        pool->running--;
        if (!pool->queued && !pool->running) {
            pthread_cond_broadcast(&pool->idle);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

struct pool *pool_new(size_t threads, size_t queue_max)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct pool *pool = mem_zalloc(1, sizeof *pool);
    pool->thread_count = threads ? threads : (size_t)(cpus > 0 ? cpus : 1);
    pool->capacity = queue_max ? queue_max : 1;
    pool->ring = mem_zalloc(pool->capacity, sizeof *pool->ring);
    pool->threads = mem_zalloc(pool->thread_count, sizeof *pool->threads);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->room, NULL);
    pthread_cond_init(&pool->idle, NULL);
    for (size_t i = 0; i < pool->thread_count; i++) {
        if (pthread_create(&pool->threads[i], NULL, pool_main, pool) != 0) {
            kol_panic("cannot start thread %zu of %zu", i + 1, pool->thread_count);
        }
    }
    return pool;
}

/* The mutex is held and there is room. */
static void push(struct pool *pool, void (*job)(void *), void *argument)
{
    KOL_ASSERT(!pool->closing);
    pool->ring[(pool->head + pool->queued) % pool->capacity] = (struct job){job, argument};
    pool->queued++;
    pthread_cond_signal(&pool->work);
}

void pool_submit(struct pool *pool, void (*job)(void *), void *argument)
{
    pthread_mutex_lock(&pool->mutex);
    while (pool->queued == pool->capacity) {
        pthread_cond_wait(&pool->room, &pool->mutex);
    }
    push(pool, job, argument);
    pthread_mutex_unlock(&pool->mutex);
}

bool pool_try_submit(struct pool *pool, void (*job)(void *), void *argument)
{
    pthread_mutex_lock(&pool->mutex);
    bool room = pool->queued < pool->capacity;
    if (room) {
        push(pool, job, argument);
    }
    pthread_mutex_unlock(&pool->mutex);
    return room;
}

void pool_wait(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    while (pool->queued || pool->running) {
        pthread_cond_wait(&pool->idle, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
}

void pool_free(struct pool **pool_at)
{
    struct pool *pool = *pool_at;
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->room);
    pthread_cond_destroy(&pool->idle);
    free(pool->ring);
    free(pool->threads);
    free(pool);
    *pool_at = NULL;
}

size_t pool_threads(const struct pool *pool)
{
    return pool->thread_count;
}
