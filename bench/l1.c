/*
 * l1.c: a hit of the cache in the process, beside a lookup in a plain hash table.
 *
 *   bench_l1 [KEYS] [EXPONENT] [ROUNDS]      default 100000 keys, Zipf 1.0, 20 rounds
 *
 * The peer is what a program would have that needs no cache: open addressing, linear probing, as
 * many cells, the same keys and the same hash; no clock, no holder, no marks, no other threads. A
 * hit of the cache is l1_get(), the value's address, l1_release(). Both get the same requests in
 * the same order, each key's bytes at hand, as they are when a request has just been read.
 *
 * The machine may have other work. So each thread notes when each 2,000 lookups began and ended
 * and what CPU time they took, and only those count during which no thread of the round lost its
 * CPU; what a tenth of these stay below is shown. The rounds take turns. Ends with status 1 where a
 * hit takes over 1.5 times the plain lookup, or two threads do less than 1.8 times what one does.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "cache/l1.h"

enum { REQUESTS = 400000, STEP = 2000, STEPS = REQUESTS / STEP, THREADS = 2, KEY_BYTES = 48 };

static const double most_ratio = 1.5, least_scaling = 1.8;

/* ---- keys ---- */

/* 35 to 40 bytes, as the normal form of a request for one thing. */
static struct str name_key(char *out, size_t key)
{
    const int len = snprintf(out, KEY_BYTES, "get_kol|tiktok|%08x%zu|json|full",
                             (unsigned)(key * 2654435761u), key);
    return (struct str){out, (size_t)len};
}

struct requests {
    struct str keys[REQUESTS];
    char text[REQUESTS][KEY_BYTES];
};

/* Keys by Zipf's law: the rank r with a chance of r^-exponent; ranks are spread over the keys. */
static struct requests *make_requests(size_t keys, double exponent, uint64_t seed)
{
    struct requests *requests = mem_alloc(sizeof *requests);
    double *sums = mem_alloc(keys * sizeof *sums), sum = 0;
    struct random_stream chance;
    random_seed(&chance, &seed, 1);
    for (size_t i = 0; i < keys; i++) {
        sums[i] = sum += pow((double)i + 1, -exponent);
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        const double at = (double)(random_bits(&chance) >> 11) * 0x1p-53 * sum;
        size_t low = 0, high = keys - 1;
        while (low < high) {
            const size_t middle = (low + high) / 2;
            *(sums[middle] < at ? &low : &high) = sums[middle] < at ? middle + 1 : middle;
        }
        requests->keys[i] = name_key(requests->text[i], low * 7919 % keys);
    }
    free(sums);
    return requests;
}

/* ---- the peer ---- */

struct item {
    void *data;
    uint32_t key_len;
    char key[];
};

struct cell {
    uint64_t hash;
    struct item *item;
};

struct plain {
    size_t mask;
    uint64_t seed;
    struct cell *cells;
};

static void plain_put(struct plain *plain, struct str key, void *data)
{
    struct item *item = mem_alloc(sizeof *item + key.len);
    const uint64_t hash = hash_seeded(key, plain->seed);
    size_t i = hash & plain->mask;
    item->data = data;
    item->key_len = (uint32_t)key.len;
    memcpy(item->key, key.ptr, key.len);
    for (; plain->cells[i].item; i = (i + 1) & plain->mask) {
    }
    plain->cells[i] = (struct cell){hash, item};
}

static inline void *plain_get(const struct plain *plain, struct str key)
{
    const uint64_t hash = hash_seeded(key, plain->seed);
    for (size_t i = hash & plain->mask; plain->cells[i].item; i = (i + 1) & plain->mask) {
        const struct item *item = plain->cells[i].item;
        if (plain->cells[i].hash == hash && item->key_len == key.len &&
            memcmp(item->key, key.ptr, key.len) == 0) {
            return item->data;
        }
    }
    return NULL;
}

static void plain_init(struct plain *plain, size_t keys)
{
    size_t cells = 1024; /* grown as the cache grows */
    while (keys > cells / 8 * 5) {
        cells *= 2;
    }
    *plain = (struct plain){cells - 1, 12345, mem_zalloc(cells, sizeof(struct cell))};
}

/* ---- rounds ---- */

static struct plain plain;
static struct l1 *l1;
static char value[1]; /* of all entries: its address is read, its bytes are not */

static void look_up_plainly(const struct str *keys)
{
    uintptr_t sum = 0;
    for (size_t i = 0; i < STEP; i++) {
        sum += (uintptr_t)plain_get(&plain, keys[i]);
    }
    KOL_ASSERT(sum == (uintptr_t)value * STEP);
}

static void look_up_cached(const struct str *keys)
{
    uintptr_t sum = 0;
    for (size_t i = 0; i < STEP; i++) {
        struct l1_entry *entry;
        KOL_ASSERT(l1_get(l1, keys[i], &entry) == L1_HIT);
        sum += (uintptr_t)l1_data(entry);
        l1_release(entry);
    }
    KOL_ASSERT(sum == (uintptr_t)value * STEP);
}

typedef void subject(const struct str *keys);

struct worker {
    subject *run;
    const struct requests *requests;
    pthread_barrier_t *start;
    int64_t began_ns[STEPS + 1]; /* of each step; the last: when all had ended */
    bool undisturbed[STEPS];     /* had the CPU all the time */
};

static int64_t thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    pthread_barrier_wait(worker->start);
    int64_t cpu_ns = thread_cpu_ns();
    worker->began_ns[0] = clock_mono_ns();
    for (size_t i = 0; i < STEPS; i++) {
        worker->run(worker->requests->keys + i * STEP);
        const int64_t now_ns = clock_mono_ns(), cpu_now_ns = thread_cpu_ns();
        const int64_t took_ns = now_ns - worker->began_ns[i];
        worker->undisturbed[i] = cpu_now_ns - cpu_ns > took_ns - took_ns / 20;
        worker->began_ns[i + 1] = now_ns;
        cpu_ns = cpu_now_ns;
    }
    return NULL;
}

/* Whether a worker ran without a break from one time to another. */
static bool ran_through(const struct worker *worker, int64_t from_ns, int64_t to_ns)
{
    if (worker->began_ns[0] > from_ns || worker->began_ns[STEPS] < to_ns) {
        return false;
    }
    for (size_t i = 0; i < STEPS; i++) {
        if (worker->began_ns[i] < to_ns && worker->began_ns[i + 1] > from_ns &&
            !worker->undisturbed[i]) {
            return false;
        }
    }
    return true;
}

/* What is measured: nanoseconds a lookup, of the steps that count. */
struct times {
    double *ns;
    size_t count;
};

static void collect(struct times *times, const struct worker *workers, unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        for (size_t k = 1; k < STEPS; k++) { /* the first warms up */
            const int64_t from_ns = workers[i].began_ns[k], to_ns = workers[i].began_ns[k + 1];
            bool counts = workers[i].undisturbed[k];
            for (unsigned other = 0; counts && other < threads; other++) {
                counts = ran_through(&workers[other], from_ns, to_ns);
            }
            if (counts) {
                times->ns[times->count++] = (double)(to_ns - from_ns) / STEP;
            }
        }
    }
}

static void run_round(subject *run, struct requests *const *requests, unsigned threads,
                      struct times *times)
{
    static struct worker workers[THREADS];
    pthread_t ids[THREADS];
    pthread_barrier_t start;
    KOL_ASSERT(pthread_barrier_init(&start, NULL, threads) == 0);
    for (unsigned i = 0; i < threads; i++) {
        workers[i].run = run;
        workers[i].requests = requests[i];
        workers[i].start = &start;
        KOL_ASSERT(pthread_create(&ids[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        KOL_ASSERT(pthread_join(ids[i], NULL) == 0);
    }
    pthread_barrier_destroy(&start);
    collect(times, workers, threads);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What a tenth of the steps stay below: other programs slow down the rest through shared caches. */
static double low_tenth(struct times *times)
{
    if (times->count == 0) {
        return NAN; /* the machine has too much other work */
    }
    qsort(times->ns, times->count, sizeof *times->ns, compare);
    return times->ns[times->count / 10];
}

static void fill(size_t keys)
{
    static const struct l1_life life = {INT64_C(3600) * CLOCK_US_PER_SECOND, 0, 0};
    for (size_t i = 0; i < keys; i++) {
        char text[KEY_BYTES];
        const struct str key = name_key(text, i);
        struct l1_load *load = NULL;
        struct l1_entry *none;
        KOL_ASSERT(l1_join(l1, key, NULL, &load, &none) == L1_LOAD);
        const struct str tag = STR("copy:1");
        KOL_ASSERT(!l1_fill(load, (struct l1_value){.data = value, .bytes = 800}, &life, &tag, 1));
        plain_put(&plain, key, value);
    }
}

int main(int argc, char **argv)
{
    const size_t keys = argc > 1 ? (size_t)atoll(argv[1]) : 100000;
    const double exponent = argc > 2 ? atof(argv[2]) : 1.0;
    const int rounds = argc > 3 ? atoi(argv[3]) : 20;
    struct requests *requests[THREADS];
    struct times times[2][THREADS];
    double ns[2][THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        requests[i] = make_requests(keys, exponent, i + 1);
        for (int subject_i = 0; subject_i < 2; subject_i++) {
            const size_t most = (size_t)rounds * THREADS * STEPS;
            times[subject_i][i] = (struct times){mem_alloc(most * sizeof(double)), 0};
        }
    }
    plain_init(&plain, keys);
    l1 = l1_new(&(struct l1_options){.max_bytes = keys * 2048 + (1 << 20), .early = 1});
    fill(keys);
    for (int round = 0; round < rounds; round++) {
        for (unsigned threads = 1; threads <= THREADS; threads++) {
            run_round(look_up_plainly, requests, threads, &times[0][threads - 1]);
            run_round(look_up_cached, requests, threads, &times[1][threads - 1]);
        }
    }
    for (int i = 0; i < 4; i++) {
        ns[i / 2][i % 2] = low_tenth(&times[i / 2][i % 2]);
    }
    const double ratio = ns[1][0] / ns[0][0], scaling = 2 * ns[1][0] / ns[1][1];
    printf("%zu keys, Zipf %.2f; steps of %d that count: %zu with one thread, %zu with two\n", keys,
           exponent, STEP, times[1][0].count, times[1][1].count);
    printf("%-24s %10s %10s %10s\n", "ns a lookup", "1 thread", "2 threads", "scaling");
    printf("%-24s %10.1f %10.1f %9.2fx\n", "plain table", ns[0][0], ns[0][1],
           2 * ns[0][0] / ns[0][1]);
    printf("%-24s %10.1f %10.1f %9.2fx  (limit %.1fx)\n", "l1_get, l1_release", ns[1][0], ns[1][1],
           scaling, least_scaling);
    printf("%-24s %9.2fx             (limit %.1fx)\n", "to the plain table", ratio, most_ratio);
    l1_free(&l1);
    return !(ratio <= most_ratio && scaling >= least_scaling); /* NAN: not measured, no pass */
}
