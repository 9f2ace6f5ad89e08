/*
 * moved_clock.c: a clock that a test moves on, for programs that it is preloaded into.
 *
 *     MOVED_CLOCK=FILE LD_PRELOAD=moved_clock.so PROGRAM...
 *
 * All clocks of the program run ahead of the system's by what FILE says at the moment; of several
 * programs with one FILE by the same. A wait with a deadline that is passed by ends. That is why
 * this is not libfaketime, which turns a deadline into one of the system's clock as the wait
 * begins: a thread that does something each minute would go on doing it in real minutes.
 *
 * Left alone are waits for a span (poll, epoll_wait, nanosleep): they take their time on the
 * system's clock.
 *
 * FILE is a struct page, zeros at first, which the test reads and writes too (moved_clock.py).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    PLACES = 127,
    NS = 1000000000,
    SLICE_NS = 2000000, /* how late a wait may see that it is over */
    REAL_S = 1000000000 /* seconds: deadlines beyond are of the wall clock, none since the start */
};

/* What a thread does; one has a place here from its first wait for a condition on. Beginning to
 * wait until a time it notes by how much the clock was ahead: a test that moved the clock on and
 * sees all threads rest knows that each has done what was due. */
enum { BUSY = 0, RESTS = -1, GONE = -2, RESTS_AT = 1 /* + ahead_ns */ };

struct page {
    _Atomic int64_t ahead_ns; /* the test writes it */
    _Atomic int64_t count;    /* of the places that are taken */
    struct place {
        _Atomic int64_t does;
        _Atomic uint64_t cond; /* its address; another program may have one there too */
    } places[PLACES];
};

static struct page nothing, *page = &nothing;
static _Thread_local struct place *own;
static pthread_key_t at_end;

typedef int clockwait(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
typedef int wake(pthread_cond_t *);
typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static clockwait *real_clockwait;
static wake *real_signal, *real_broadcast;
static create *real_create;

static void leave(void *argument)
{
    struct place *place = argument;
    if (place) {
        atomic_store(&place->cond, 0);
        atomic_store(&place->does, GONE);
    }
}

__attribute__((constructor)) static void open_page(void)
{
    const char *path = getenv("MOVED_CLOCK");
    real_clockwait = (clockwait *)dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    real_signal = (wake *)dlsym(RTLD_NEXT, "pthread_cond_signal");
    real_broadcast = (wake *)dlsym(RTLD_NEXT, "pthread_cond_broadcast");
    real_create = (create *)dlsym(RTLD_NEXT, "pthread_create");
    (void)pthread_key_create(&at_end, leave);
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        page = mapped != MAP_FAILED ? mapped : &nothing;
        close(fd);
    }
}

/* ---- what time it is ---- */

static int64_t system_ns(clockid_t id)
{
    struct timespec now = {0};
    (void)syscall(SYS_clock_gettime, id, &now);
    return (int64_t)now.tv_sec * NS + now.tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){ns / NS, ns % NS};
}

static int64_t moved_ns(clockid_t id)
{
    return system_ns(id) + atomic_load(&page->ahead_ns);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *now)
{
    const bool cpu = id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID || id < 0;
    if (cpu) {
        return (int)syscall(SYS_clock_gettime, id, now);
    }
    *now = timespec_of(moved_ns(id));
    return 0;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict now,
                                                        void *restrict zone)
{
    (void)zone; /* obsolete, and used by nobody here */
    const int64_t ns = moved_ns(CLOCK_REALTIME);
    *now = (struct timeval){ns / NS, ns % NS / 1000};
    return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *out)
{
    const time_t now = moved_ns(CLOCK_REALTIME) / NS;
    if (out) {
        *out = now;
    }
    return now;
}

/* ---- waiting until then ---- */

/* A place that a thread left, else a new one; NULL: there are more threads than places. */
static struct place *take_place(void)
{
    for (int64_t i = 0; i < atomic_load(&page->count) && i < PLACES; i++) {
        int64_t gone = GONE;
        if (atomic_compare_exchange_strong(&page->places[i].does, &gone, BUSY)) {
            return &page->places[i];
        }
    }
    const int64_t place = atomic_fetch_add(&page->count, 1);
    return place < PLACES ? &page->places[place] : NULL;
}

static struct place *own_place(void)
{
    if (!own && real_clockwait) {
        own = take_place();
        (void)pthread_setspecific(at_end, own);
    }
    return own;
}

struct start {
    void *(*run)(void *);
    void *argument;
    struct place *place;
};

static void *run_thread(void *argument)
{
    struct start *start = argument, given = *start;
    free(start);
    own = given.place;
    (void)pthread_setspecific(at_end, own);
    return given.run(given.argument);
}

/* A thread that is begun after the clock was moved does something from its beginning on. Earlier
 * ones are counted from their first wait: some of them wait in epoll_wait() alone, for ever. */
__attribute__((visibility("default"))) int pthread_create(pthread_t *restrict thread,
                                                          const pthread_attr_t *restrict attributes,
                                                          void *(*run)(void *),
                                                          void *restrict argument)
{
    struct start *start = atomic_load(&page->ahead_ns) ? malloc(sizeof *start) : NULL;
    if (!start) {
        return real_create(thread, attributes, run, argument);
    }
    *start = (struct start){run, argument, take_place()};
    const int rc = real_create(thread, attributes, run_thread, start);
    if (rc != 0) {
        leave(start->place);
        free(start);
    }
    return rc;
}

/* Waits for a short time of the system's clock, and says then that somebody may have called, as a
 * wait may at any time: whoever waits looks, and waits again. To wait on in here could miss a call
 * between two such waits. */
static int rest(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t left_ns, int64_t does)
{
    struct place *place = own_place();
    const struct timespec until =
        timespec_of(system_ns(CLOCK_MONOTONIC) + (left_ns < SLICE_NS ? left_ns : SLICE_NS));
    if (place) {
        atomic_store(&place->cond, (uint64_t)(uintptr_t)cond);
        atomic_store(&place->does, does);
    }
    const int rc = real_clockwait(cond, mutex, CLOCK_MONOTONIC, &until);
    if (place) {
        atomic_store(&place->does, BUSY);
    }
    return rc == ETIMEDOUT ? 0 : rc;
}

/* `until` may be of either clock, which only the condition knows; but no machine has been up for
 * thirty years. */
static int rest_until(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    const clockid_t id = until->tv_sec > REAL_S ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    const int64_t ahead_ns = atomic_load(&page->ahead_ns);
    const int64_t until_ns = (int64_t)until->tv_sec * NS + until->tv_nsec;
    const int64_t left_ns = until_ns - ahead_ns - system_ns(id);
    return left_ns > 0 ? rest(cond, mutex, left_ns, RESTS_AT + ahead_ns) : ETIMEDOUT;
}

__attribute__((visibility("default"))) int
pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                       const struct timespec *restrict until)
{
    return rest_until(cond, mutex, until);
}

__attribute__((visibility("default"))) int
pthread_cond_clockwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex, clockid_t id,
                       const struct timespec *restrict until)
{
    (void)id;
    return rest_until(cond, mutex, until);
}

__attribute__((visibility("default"))) int pthread_cond_wait(pthread_cond_t *restrict cond,
                                                             pthread_mutex_t *restrict mutex)
{
    return rest(cond, mutex, SLICE_NS, RESTS);
}

/* Who may have been called is busy from now on, not from when it first runs. */
static void call_waiters(const pthread_cond_t *cond)
{
    const int64_t count = atomic_load(&page->count);
    for (int64_t i = 0; i < count && i < PLACES; i++) {
        struct place *place = &page->places[i];
        if (place != own && atomic_load(&place->cond) == (uint64_t)(uintptr_t)cond) {
            int64_t does = atomic_load(&place->does);
            while (does != GONE && !atomic_compare_exchange_weak(&place->does, &does, BUSY)) {
            }
        }
    }
}

__attribute__((visibility("default"))) int pthread_cond_signal(pthread_cond_t *cond)
{
    call_waiters(cond);
    return real_signal(cond);
}

__attribute__((visibility("default"))) int pthread_cond_broadcast(pthread_cond_t *cond)
{
    call_waiters(cond);
    return real_broadcast(cond);
}
