/*
 * test_bus_faults.c: disks that are full or fail, maps that are too small: the log stays whole,
 * says what to do, and goes on in the same process.
 *
 * pwrite(2) and fdatasync(2) are ours here: liblmdb calls them through the dynamic linker and gets
 * these, which fail on order.
 */
#include "bus_fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

enum { META_PAGES = 2 * 4096 };

static atomic_int meta_writes_to_fail, meta_writes_to_delay, syncs_to_fail;
static atomic_bool meta_is_delayed;
static int fault_errno;

static bool take(atomic_int *left)
{
    int have = atomic_load(left);
    return have > 0 && atomic_compare_exchange_strong(left, &have, have - 1);
}

static ssize_t faulty_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
    }
    if (at < META_PAGES && take(&meta_writes_to_fail)) {
        errno = fault_errno;
        return -1;
    }
    ssize_t written = real(fd, bytes, len, at);
    if (at < META_PAGES && take(&meta_writes_to_delay)) {
        atomic_store(&meta_is_delayed, true);
        usleep(300000); /* as a slow disk does, after the page can be seen through the map */
    }
    return written;
}

/* Whichever of the two names liblmdb was built to call; the headers would join them into one here.
 */
ssize_t old_pwrite(int fd, const void *bytes, size_t len, off_t at) __asm__("pwrite");
ssize_t new_pwrite(int fd, const void *bytes, size_t len, off_t at) __asm__("pwrite64");

__attribute__((used)) ssize_t old_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return faulty_pwrite(fd, bytes, len, at);
}

__attribute__((used)) ssize_t new_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return faulty_pwrite(fd, bytes, len, at);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    }
    if (take(&syncs_to_fail)) {
        errno = fault_errno;
        return -1;
    }
    return real(fd);
}

/* The numbers 0 to count-1 stand in the partition, each once, in order. */
static void assert_numbers(struct bus *bus, int count)
{
    struct bus_consumer *consumer = open_consumer(bus, NULL);
    int next = 0;
    assign_one(consumer, "t", 0, 0);
    for (;;) {
        struct bus_batch batch = poll_now(consumer, 0);
        if (batch.count == 0) {
            break;
        }
        for (size_t i = 0; i < batch.count; i++) {
            assert_int_equal(number_of(&batch.records[i]), next);
            next++;
        }
    }
    assert_int_equal(next, count);
    bus_consumer_close(&consumer);
}

/* ---- a write that fails ---- */

static void test_failed_sync_leaves_the_batch_to_be_tried_again(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture->bus, "t", 1);
    append_numbers(fixture->bus, "t", 0, 0, 3);
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    put(producer, "t", 0, "3");
    fault_errno = EIO;
    atomic_store(&syncs_to_fail, 1);
    assert_status(bus_flush(producer, &err), KOL_IO);
    assert_int_equal(atomic_load(&syncs_to_fail), 0);
    assert_numbers(fixture->bus, 3);
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);
    assert_numbers(fixture->bus, 4);
    reopen_log(fixture);
    assert_numbers(fixture->bus, 4);
}

static void test_failed_meta_page_opens_the_log_again(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture->bus, "t", 1);
    append_numbers(fixture->bus, "t", 0, 0, 3);
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    put(producer, "t", 0, "3");
    fault_errno = EIO;
    atomic_store(&meta_writes_to_fail, 1);
    assert_status(bus_flush(producer, &err), KOL_IO);
    assert_int_equal(atomic_load(&meta_writes_to_fail), 0);
    assert_numbers(fixture->bus, 3); /* LMDB answers MDB_PANIC to everything until it is reopened */
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);
    assert_numbers(fixture->bus, 4);
    reopen_log(fixture);
    assert_numbers(fixture->bus, 4);
}

static void test_log_is_not_opened_again_under_a_batch_that_is_held(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture->bus, "t", 1);
    append_numbers(fixture->bus, "t", 0, 0, 3);
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, 0);
    struct bus_batch batch = poll_now(consumer, 0);
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    put(producer, "t", 0, "3");
    fault_errno = EIO;
    atomic_store(&meta_writes_to_fail, 1);
    assert_status(bus_flush(producer, &err), KOL_IO);
    assert_status(bus_flush(producer, &err), KOL_IO);
    assert_says("poll again");
    for (size_t i = 0; i < batch.count; i++) {
        assert_int_equal(number_of(&batch.records[i]), (int)i);
    }
    assert_int_equal(poll_now(consumer, 0).count, 0);
    assert_ok(bus_flush(producer, &err));
    assert_int_equal(poll_now(consumer, 0).count, 1);
    bus_consumer_close(&consumer);
    bus_producer_close(&producer);
    assert_numbers(fixture->bus, 4);
}

static void *append_one(void *bus)
{
    append_numbers(bus, "t", 0, 0, 1);
    return NULL;
}

static void
test_record_comes_though_its_commit_waits_for_the_disk_when_the_poll_begins(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    struct bus_batch batch;
    make_topic(fixture->bus, "t", 1);
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, 0);
    atomic_store(&meta_is_delayed, false);
    atomic_store(&meta_writes_to_delay, 1);
    assert_int_equal(pthread_create(&thread, NULL, append_one, fixture->bus), 0);
    while (!atomic_load(&meta_is_delayed)) {
        usleep(1000);
    }
    const int64_t started = clock_mono_ns();
    assert_ok(bus_poll(consumer, 0, 0, 0, &batch, &err));
    assert_int_equal(batch.count, 0); /* not durable yet: not there */
    assert_ok(bus_poll(consumer, 0, 0, 20000, &batch, &err));
    assert_int_equal(batch.count, 1);
    assert_true(clock_mono_ns() - started < INT64_C(10000000000));
    pthread_join(thread, NULL);
    bus_consumer_close(&consumer);
}

/* ---- a map that is too small ---- */

static struct bus *open_small(const char *folder, int64_t map_bytes)
{
    struct bus *bus;
    const struct bus_options options = {.path = folder, .map_bytes = map_bytes};
    assert_ok(bus_open(&options, &bus, &err));
    return bus;
}

/* Appends numbers, 100 a commit, until the log is full. Returns how many are in. */
static int fill_log(struct bus_producer *producer, int from)
{
    static char padding[2000];
    memset(padding, ' ', sizeof padding);
    for (int next = from;; next += 100) {
        enum kol_status status = KOL_OK;
        for (int i = next; i < next + 100; i++) {
            char text[16];
            int len = snprintf(text, sizeof text, "%d", i);
            assert_ok(bus_produce(producer, "t", 0, (struct str){padding, sizeof padding},
                                  (struct str){text, (size_t)len}, 0, &err));
        }
        status = bus_flush(producer, &err);
        if (status != KOL_OK) {
            assert_int_equal(status, KOL_NO_SPACE);
            return next;
        }
        assert_in_range(next, 0, 100000);
    }
}

static void test_full_map_says_what_to_raise_and_a_larger_one_goes_on(void **state)
{
    struct fixture *fixture = *state;
    bus_close(&fixture->bus);
    fixture->bus = open_small(fixture->folder, 2 << 20);
    make_topic(fixture->bus, "t", 1);
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    int have = fill_log(producer, 0);
    assert_says("log.map_size");
    assert_true(have > 100);
    assert_status(bus_flush(producer, &err), KOL_NO_SPACE);
    assert_numbers(fixture->bus, have);
    bus_producer_close(&producer);

    bus_close(&fixture->bus);
    fixture->bus = open_small(fixture->folder, 4 << 20);
    producer = open_producer(fixture->bus, NULL);
    int more = fill_log(producer, have);
    assert_true(more > have);
    bus_producer_close(&producer);
    assert_numbers(fixture->bus, more);
}

static void test_retention_makes_room_in_a_full_map(void **state)
{
    struct fixture *fixture = *state;
    int64_t dropped;
    const struct bus_topic_config config = {1, 1000000, 0};
    bus_close(&fixture->bus);
    fixture->bus = open_small(fixture->folder, 2 << 20);
    clock_fix(1700000000 * INT64_C(1000000));
    assert_ok(bus_topic_create(fixture->bus, "t", &config, &err));
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    int have = fill_log(producer, 0);
    assert_ok(bus_retain(fixture->bus, clock_now_us() + 2000000, &dropped, &err));
    assert_int_equal(dropped, have);
    assert_ok(bus_flush(producer, &err));
    assert_int_equal(extent_of(fixture->bus, "t", 0).end, have + 100);

    /* And a flush that finds no room drops by itself what is too old. */
    have = fill_log(producer, have + 100);
    clock_fix(clock_now_us() + 2000000);
    assert_ok(bus_flush(producer, &err));
    assert_int_equal(extent_of(fixture->bus, "t", 0).start, have);
    bus_producer_close(&producer);
}

/* A child that opens the log with a large map and makes it grow once it is told to. */
static pid_t start_grower(const char *folder, int go)
{
    pid_t child = fork();
    if (child == 0) {
        char byte;
        if (read(go, &byte, 1) != 1) {
            _exit(2);
        }
        struct bus *bus = open_small(folder, 64 << 20);
        append_numbers(bus, "t", 0, 3, 200000);
        bus_close(&bus);
        _exit(0);
    }
    return child;
}

static void test_log_that_another_process_made_larger_is_read_on(void **state)
{
    struct fixture *fixture = *state;
    int go[2], how;
    bus_close(&fixture->bus);
    assert_int_equal(pipe(go), 0);
    pid_t child = start_grower(fixture->folder, go[0]);
    fixture->bus = open_small(fixture->folder, 1 << 20);
    make_topic(fixture->bus, "t", 1);
    append_numbers(fixture->bus, "t", 0, 0, 3);
    assert_int_equal(write(go[1], "", 1), 1);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    assert_numbers(fixture->bus, 200003);
    append_numbers(fixture->bus, "t", 0, 200003, 1);
    assert_numbers(fixture->bus, 200004);
    close(go[0]);
    close(go[1]);
}

/* ---- a disk that is full ---- */

/* Takes `bytes` of the disk, or all that is left of it if that is less. */
static void write_ballast(const char *folder, size_t bytes)
{
    char path[128], block[1024];
    snprintf(path, sizeof path, "%s/ballast", folder);
    memset(block, 'b', sizeof block);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    assert_true(fd >= 0);
    while (bytes >= sizeof block && write(fd, block, sizeof block) == (ssize_t)sizeof block) {
        bytes -= sizeof block;
    }
    close(fd);
}

static void remove_ballast(const char *folder)
{
    char path[128];
    snprintf(path, sizeof path, "%s/ballast", folder);
    assert_int_equal(unlink(path), 0);
}

static void test_full_disk_is_an_error_and_the_log_goes_on_after_space_is_made(void **state)
{
    (void)state;
    char folder[64];
    make_folder(folder);
    if (mount("tmpfs", folder, "tmpfs", 0, "size=6m") != 0) {
        print_message("skipped: no tmpfs can be mounted here: %s\n", strerror(errno));
        remove_folder(folder);
        skip();
    }
    write_ballast(folder, 2 << 20);
    struct bus *bus = open_log(folder);
    make_topic(bus, "t", 1);
    struct bus_producer *producer = open_producer(bus, NULL);
    int have = fill_log(producer, 0);
    assert_says("disk");
    assert_says("full");
    assert_true(have >= 100);
    assert_status(bus_flush(producer, &err), KOL_NO_SPACE);
    assert_numbers(bus, have);
    remove_ballast(folder);
    assert_ok(bus_flush(producer, &err)); /* the batch that had failed */
    have += 100;
    assert_numbers(bus, have);
    have = fill_log(producer, have);
    bus_producer_close(&producer);
    bus_close(&bus);
    bus = open_log(folder); /* and on a disk that is full it opens and reads */
    assert_numbers(bus, have);
    bus_close(&bus);
    assert_int_equal(umount(folder), 0);
    remove_folder(folder);
}

static void remove_lock_file(const char *folder)
{
    char path[128];
    snprintf(path, sizeof path, "%s/lock.mdb", folder);
    assert_int_equal(unlink(path), 0);
}

static void test_disk_without_room_for_the_lock_file_is_an_error(void **state)
{
    (void)state;
    char folder[64];
    struct bus *bus;
    make_folder(folder);
    if (mount("tmpfs", folder, "tmpfs", 0, "size=1m") != 0) {
        print_message("skipped: no tmpfs can be mounted here: %s\n", strerror(errno));
        remove_folder(folder);
        skip();
    }
    bus = open_log(folder);
    append_numbers(bus, "t", 0, 0, 3);
    bus_close(&bus);
    remove_lock_file(folder);
    write_ballast(folder, 1 << 20);
    const struct bus_options writing = {.path = folder};
    const struct bus_options reading = {.path = folder, .read_only = true};
    assert_status(bus_open(&writing, &bus, &err), KOL_NO_SPACE);
    assert_status(bus_open(&reading, &bus, &err), KOL_NO_SPACE);
    remove_ballast(folder);
    bus = open_log(folder);
    assert_numbers(bus, 3);
    bus_close(&bus);
    assert_int_equal(umount(folder), 0);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_log(test_failed_sync_leaves_the_batch_to_be_tried_again),
        with_log(test_failed_meta_page_opens_the_log_again),
        with_log(test_log_is_not_opened_again_under_a_batch_that_is_held),
        with_log(test_record_comes_though_its_commit_waits_for_the_disk_when_the_poll_begins),
        with_log(test_full_map_says_what_to_raise_and_a_larger_one_goes_on),
        with_log(test_retention_makes_room_in_a_full_map),
        with_log(test_log_that_another_process_made_larger_is_read_on),
        cmocka_unit_test(test_full_disk_is_an_error_and_the_log_goes_on_after_space_is_made),
        cmocka_unit_test(test_disk_without_room_for_the_lock_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
