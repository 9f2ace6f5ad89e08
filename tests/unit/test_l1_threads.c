/*
 * test_l1_threads.c: the cache under threads: nobody gets what was dropped before they asked, each
 * waiter is woken or has left, each value is destroyed once. Runs under ThreadSanitizer too.
 *
 * The truth is a version of each key. A writer raises the version, drops the key, one of its tags,
 * its prefix or all, and then notes the version as promised. A loader reads the version, as a load
 * would read the origin, and fills. So a version below the one that was promised when the reader
 * asked is a broken promise, whatever the timing.
 */
#include "l1_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "base/random.h"

enum { KEYS = 40, READERS = 4, WRITERS = 2, ROUNDS = 20000 };

static struct l1 *l1;
static _Atomic int versions[KEYS], promised[KEYS];
static atomic_long woken, left, loads, gets, failures;

struct thread {
    struct random_stream chance;
    int number;
};

static void run(void *(*function)(void *), struct thread *threads, pthread_t *ids, int count)
{
    for (int i = 0; i < count; i++) {
        threads[i].number = i;
        random_seed(&threads[i].chance, (const uint64_t[]){7, (uintptr_t)function, (uint64_t)i}, 3);
        KOL_ASSERT(pthread_create(&ids[i], NULL, function, &threads[i]) == 0);
    }
}

static void name_key(char out[24], int key)
{
    snprintf(out, 24, "%c/%d", 'a' + key % 4, key);
}

/* A waiter on the heap: freed by its wake-up, or by who left. */
struct asker {
    struct l1_waiter waiter;
    atomic_bool *done; /* NULL: the asker frees itself */
    int key, version;
    bool failed;
};

static void wake_asker(struct l1_waiter *waiter, struct l1_entry *entry, bool stale,
                       const struct kol_error *err)
{
    struct asker *asker = (struct asker *)waiter;
    KOL_ASSERT(entry ? !err || stale : err && !stale);
    if (entry) {
        KOL_ASSERT(number_of(entry) / KEYS >= asker->version);
        KOL_ASSERT(number_of(entry) % KEYS == asker->key);
        l1_release(entry);
    }
    atomic_fetch_add(&woken, 1);
    atomic_store(asker->done, true);
}

/* Runs a load to its end, further ones that come out of it included. */
static void run_load(struct l1_load *load, int key, struct random_stream *chance)
{
    char key_tag[16];
    snprintf(key_tag, sizeof key_tag, "tag %d", key);
    const struct str tags[] = {str_of(key_tag), STR("tag of all")};
    while (load) {
        atomic_fetch_add(&loads, 1);
        const int version = atomic_load(&versions[key]);
        if (random_below(chance, 4) == 0) {
            sched_yield();
        }
        if (random_below(chance, 10) == 0) {
            struct kol_error err;
            kol_fail(&err, KOL_IO, "no luck");
            atomic_fetch_add(&failures, 1);
            l1_fail(load, &err);
            return;
        }
        const struct l1_life life = {(int64_t)random_below(chance, 3) * 500, 1000, 1000};
        struct l1_value value = make_value(version * KEYS + key, random_below(chance, 3000));
        value.weak = random_below(chance, 8) == 0;
        load = l1_fill(load, value, &life, tags, 2);
    }
}

static void ask(struct thread *self, int key, const char *text, int version)
{
    atomic_bool done = false;
    struct asker asker = {.waiter.wake = wake_asker, .done = &done, .key = key, .version = version};
    struct l1_load *load = NULL;
    struct l1_entry *entry = NULL;
    switch (l1_join(l1, str_of(text), &asker.waiter, &load, &entry)) {
    case L1_FOUND:
        KOL_ASSERT(number_of(entry) / KEYS >= version);
        l1_release(entry);
        return;
    case L1_LOAD: run_load(load, key, &self->chance); break;
    case L1_WAIT: break;
    }
    for (int i = 0; !atomic_load(&done); i++) {
        if (i == 3 && l1_leave(l1, &asker.waiter)) {
            atomic_fetch_add(&left, 1);
            return;
        }
        sched_yield();
    }
}

static void refresh(struct thread *self, int key, const char *text)
{
    struct l1_load *load;
    struct l1_entry *none;
    if (l1_join(l1, str_of(text), NULL, &load, &none) == L1_LOAD) {
        run_load(load, key, &self->chance);
    }
}

static _Atomic(struct l1_entry *) handed_over;

static void *read_and_load(void *thread)
{
    struct thread *self = thread;
    char text[24];
    for (int i = 0; i < ROUNDS; i++) {
        const int key = (int)random_below(&self->chance, KEYS);
        const int version = atomic_load(&promised[key]);
        struct l1_entry *entry;
        name_key(text, key);
        atomic_fetch_add(&gets, 1);
        const enum l1_found found = l1_get(l1, str_of(text), &entry);
        if (found == L1_MISS) {
            ask(self, key, text, version);
            continue;
        }
        KOL_ASSERT(number_of(entry) / KEYS >= version && number_of(entry) % KEYS == key);
        if (found == L1_REFRESH) {
            refresh(self, key, text);
        }
        KOL_ASSERT(number_of(entry) % KEYS == key);
        /* One in eight is released by another thread, or after a while. */
        if (random_below(&self->chance, 8) == 0) {
            entry = atomic_exchange(&handed_over, entry);
        }
        if (entry) {
            KOL_ASSERT(number_of(entry) >= 0);
            l1_release(entry);
        }
    }
    return NULL;
}

static void *change_and_drop(void *thread)
{
    struct thread *self = thread;
    char text[24];
    for (int i = 0; i < ROUNDS / 4; i++) {
        const int key = (int)random_below(&self->chance, KEYS);
        const int version = atomic_fetch_add(&versions[key], 1) + 1;
        if (random_below(&self->chance, 4) == 0) { /* promises nothing: it may be served still */
            snprintf(text, sizeof text, "tag %d", key);
            l1_outdate_tag(l1, random_below(&self->chance, 10) ? str_of(text) : STR("tag of all"));
            continue;
        }
        switch (random_below(&self->chance, 20)) {
        case 0: l1_drop_all(l1); break;
        case 1: l1_drop_tag(l1, STR("tag of all")); break;
        case 2:
        case 3:
            snprintf(text, sizeof text, "%c/", 'a' + key % 4);
            l1_drop_prefix(l1, str_of(text));
            break;
        default:
            if (random_below(&self->chance, 2)) {
                snprintf(text, sizeof text, "tag %d", key);
                l1_drop_tag(l1, str_of(text));
            } else {
                name_key(text, key);
                l1_drop_key(l1, str_of(text));
            }
        }
        int before = atomic_load(&promised[key]);
        while (before < version &&
               !atomic_compare_exchange_weak(&promised[key], &before, version)) {
        }
        sched_yield();
    }
    return NULL;
}

static void run_all(size_t max_bytes, double early)
{
    struct thread readers[READERS], writers[WRITERS];
    pthread_t reader_ids[READERS], writer_ids[WRITERS];
    l1 = l1_new(&(struct l1_options){.max_bytes = max_bytes, .early = early});
    run(read_and_load, readers, reader_ids, READERS);
    run(change_and_drop, writers, writer_ids, WRITERS);
    for (int i = 0; i < READERS; i++) {
        KOL_ASSERT(pthread_join(reader_ids[i], NULL) == 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        KOL_ASSERT(pthread_join(writer_ids[i], NULL) == 0);
    }
    struct l1_entry *entry = atomic_exchange(&handed_over, NULL);
    if (entry) {
        l1_release(entry);
    }
    l1_drop_key(l1,
                STR("none")); /* what was let go of while it was taken out goes at the next drop */
    struct l1_stats stats = stats_of(l1);
    assert_int_equal(stats.loads, atomic_load(&loads));
    assert_int_equal(stats.load_failures, atomic_load(&failures));
    assert_int_equal(stats.hits + stats.stale + stats.misses, atomic_load(&gets));
    assert_int_equal(stats.entries, atomic_load(&fixture_alive));
    assert_true(stats.hits > 0 && stats.misses > 0 && stats.fills > 0);
    free_l1(&l1);
    atomic_store(&loads, 0);
    atomic_store(&failures, 0);
    atomic_store(&gets, 0);
}

static void test_nobody_gets_what_was_dropped_before_they_asked(void **state)
{
    (void)state;
    run_all(1 << 20, 1);
}

static void test_the_same_where_most_is_evicted(void **state)
{
    (void)state;
    run_all(40000, 0);
}

/* ---- many at once on one key ---- */

enum { CROWD = 8, CROWD_ROUNDS = 300 };

static pthread_barrier_t barrier;
static atomic_int crowd_loads;

static void *join_the_crowd(void *thread)
{
    struct thread *self = thread;
    for (int round = 0; round < CROWD_ROUNDS; round++) {
        char text[24];
        atomic_bool done = false;
        struct asker asker = {.waiter.wake = wake_asker, .done = &done};
        struct l1_load *load;
        struct l1_entry *entry;
        snprintf(text, sizeof text, "round %d", round);
        pthread_barrier_wait(&barrier);
        const enum l1_joined joined = l1_join(l1, str_of(text), &asker.waiter, &load, &entry);
        if (joined == L1_FOUND) {
            l1_release(entry);
            continue;
        }
        if (joined == L1_LOAD) {
            atomic_fetch_add(&crowd_loads, 1);
            sched_yield();
            KOL_ASSERT(!l1_fill(load, make_value(0, 10), &long_life, NULL, 0));
        } else if (self->number % 2 && l1_leave(l1, &asker.waiter)) {
            continue;
        }
        while (!atomic_load(&done)) {
            sched_yield();
        }
    }
    return NULL;
}

static void test_a_crowd_makes_one_load_a_key(void **state)
{
    (void)state;
    struct thread threads[CROWD];
    pthread_t ids[CROWD];
    l1 = l1_new(&(struct l1_options){.max_bytes = 1 << 20});
    assert_int_equal(pthread_barrier_init(&barrier, NULL, CROWD), 0);
    run(join_the_crowd, threads, ids, CROWD);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&crowd_loads), CROWD_ROUNDS);
    pthread_barrier_destroy(&barrier);
    free_l1(&l1);
}

/* ---- growing ---- */

static atomic_bool growing;

static void *read_while_it_grows(void *thread)
{
    struct thread *self = thread;
    do {
        struct l1_entry *entry;
        assert_int_equal(l1_get(l1, STR("always"), &entry), L1_HIT);
        KOL_ASSERT(number_of(entry) == 9);
        l1_release(entry);
        char text[24];
        snprintf(text, sizeof text, "%d", (int)random_below(&self->chance, 20000));
        if (l1_get(l1, str_of(text), &entry) != L1_MISS) {
            KOL_ASSERT(number_of(entry) == atoi(text));
            l1_release(entry);
        }
    } while (atomic_load(&growing));
    return NULL;
}

static void test_readers_miss_nothing_while_the_table_grows(void **state)
{
    (void)state;
    struct thread threads[3];
    pthread_t ids[3];
    char text[24];
    l1 = new_l1(64 << 20);
    put(l1, "always", 9, &long_life);
    atomic_store(&growing, true);
    run(read_while_it_grows, threads, ids, 3);
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "%d", i);
        put(l1, text, i, &long_life);
    }
    l1_drop_prefix(l1, STR("1"));
    atomic_store(&growing, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    }
    free_l1(&l1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_gets_what_was_dropped_before_they_asked),
        cmocka_unit_test(test_the_same_where_most_is_evicted),
        cmocka_unit_test(test_a_crowd_makes_one_load_a_key),
        cmocka_unit_test(test_readers_miss_nothing_while_the_table_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
