/*
 * test_bus_shared.c: several threads and several processes on one log: nothing is lost, nothing
 * comes twice, each key keeps its order.
 *
 * A value is "<writer> <number>"; a writer's numbers of one key grow by one.
 */
#include "bus_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/metrics.h"

enum { WRITERS = 2, KEYS = 20, PER_KEY = 200, BATCH = 50, PARTITIONS = 8 };
enum { FLUSHES = KEYS * PER_KEY / BATCH, ALL = WRITERS * KEYS * PER_KEY };

/* How many records of each writer and key were seen; the next one must have this number. */
struct tally {
    int next[WRITERS * 4][KEYS];
    int total;
};

static void write_records(struct bus *bus, const char *topic, int writer)
{
    struct bus_producer *producer = open_producer(bus, NULL);
    for (int i = 0; i < KEYS * PER_KEY; i++) {
        char key[32], value[32];
        int key_len = snprintf(key, sizeof key, "%d-%d", writer, i % KEYS);
        int value_len = snprintf(value, sizeof value, "%d %d", writer, i / KEYS);
        assert_ok(bus_produce(producer, topic, -1, (struct str){key, (size_t)key_len},
                              (struct str){value, (size_t)value_len}, i, &err));
        if (i % BATCH == BATCH - 1) {
            assert_ok(bus_flush(producer, &err));
        }
    }
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);
}

/* False where the record is not the next of its key. */
static bool count_record(struct tally *tally, const struct bus_record *record)
{
    struct str key = record->key, value = record->value;
    int64_t key_writer, key_number, writer, number;
    if (!str_to_int64(str_cut(&key, '-'), &key_writer) || !str_to_int64(key, &key_number) ||
        !str_to_int64(str_cut(&value, ' '), &writer) || !str_to_int64(value, &number) ||
        writer != key_writer || tally->next[writer][key_number] != number) {
        fprintf(stderr, "partition %d offset %lld: key %.*s has %.*s\n", record->partition,
                (long long)record->offset, STR_FORMAT(record->key), STR_FORMAT(record->value));
        return false;
    }
    tally->next[writer][key_number]++;
    tally->total++;
    return true;
}

/* Reads the whole topic as a reader without a group, until `total` records were there. */
static bool read_all(struct bus *bus, const char *topic, int total)
{
    struct bus_consumer *consumer = open_consumer(bus, NULL);
    struct bus_place places[PARTITIONS];
    static _Thread_local struct tally tally;
    memset(&tally, 0, sizeof tally);
    bool good = true;
    for (int p = 0; p < PARTITIONS; p++) {
        places[p] = (struct bus_place){topic, p, BUS_FROM_START};
    }
    assert_ok(bus_assign(consumer, places, PARTITIONS, &err));
    const int64_t deadline = clock_mono_ns() + INT64_C(60000000000);
    while (good && tally.total < total && clock_mono_ns() < deadline) {
        struct bus_batch batch;
        good = bus_poll(consumer, 100, 0, 100, &batch, NULL) == KOL_OK;
        for (size_t i = 0; i < batch.count && good; i++) {
            good = count_record(&tally, &batch.records[i]);
        }
    }
    good = good && tally.total == total && poll_now(consumer, 0).count == 0;
    bus_consumer_close(&consumer);
    return good;
}

/* ---- threads ---- */

struct job {
    struct bus *bus;
    int number;
    bool good;
};

static void *write_job(void *argument)
{
    struct job *job = argument;
    write_records(job->bus, "t", job->number);
    return NULL;
}

static void *read_job(void *argument)
{
    struct job *job = argument;
    job->good = read_all(job->bus, "t", 2 * ALL);
    return NULL;
}

static void test_threads_share_a_bus_and_its_commits(void **state)
{
    struct fixture *fixture = *state;
    enum { WRITING = 2 * WRITERS, READING = 2 };
    pthread_t threads[WRITING + READING];
    struct job jobs[WRITING + READING];
    make_topic(fixture->bus, "t", PARTITIONS);
    const double commits = metrics_get(METRIC_LOG_COMMIT_SECONDS, NULL);
    for (int i = 0; i < WRITING + READING; i++) {
        jobs[i] = (struct job){fixture->bus, i, true};
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < WRITING ? write_job : read_job, &jobs[i]), 0);
    }
    for (int i = 0; i < WRITING + READING; i++) {
        pthread_join(threads[i], NULL);
        assert_true(jobs[i].good);
    }
    /* Fewer than the flushes that were asked for. */
    assert_true(metrics_get(METRIC_LOG_COMMIT_SECONDS, NULL) - commits < (double)WRITING * FLUSHES);
}

static void *flush_fenced(void *argument)
{
    struct bus_producer *producer = argument;
    struct kol_error why;
    for (int i = 0; i < 50; i++) {
        if (bus_txn_commit(producer, &why) != KOL_FENCED) {
            return producer;
        }
    }
    return NULL;
}

static void test_refused_transaction_does_not_hinder_the_others_of_its_commit(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    void *failed;
    make_topic(fixture->bus, "t", PARTITIONS);
    struct bus_producer *old = open_producer(fixture->bus, "one");
    put(old, "t", 0, "never");
    struct bus_producer *young = open_producer(fixture->bus, "one");
    assert_int_equal(pthread_create(&thread, NULL, flush_fenced, old), 0);
    write_records(fixture->bus, "t", 0);
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_true(read_all(fixture->bus, "t", KEYS * PER_KEY));
    bus_producer_close(&old);
    bus_producer_close(&young);
}

/* ---- processes ---- */

/* Runs `work` in a child, which has a log of its own opening; the child's status is 0 if it is
 * true. Nothing of this process may have the log open. */
static pid_t start(const char *folder, int number, bool (*work)(struct bus *bus, int number))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct bus *bus;
        struct kol_error why;
        if (bus_open(&(struct bus_options){.path = folder}, &bus, &why) != KOL_OK) {
            fprintf(stderr, "child %d: %s\n", number, why.message);
            _exit(2);
        }
        bool good = work(bus, number);
        bus_close(&bus);
        _exit(good ? 0 : 1);
    }
    assert_true(child > 0);
    return child;
}

static void join_child(pid_t child)
{
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    if (how != 0) {
        fail_msg("a child ended with %x", (unsigned)how);
    }
}

static bool write_work(struct bus *bus, int number)
{
    write_records(bus, "t", number);
    return true;
}

static bool read_work(struct bus *bus, int number)
{
    (void)number;
    return read_all(bus, "t", ALL);
}

static void test_two_writing_and_three_reading_processes(void **state)
{
    struct fixture *fixture = *state;
    pid_t children[WRITERS + 3];
    make_topic(fixture->bus, "t", PARTITIONS);
    bus_close(&fixture->bus);
    for (int i = 0; i < WRITERS + 3; i++) {
        children[i] = start(fixture->folder, i, i < WRITERS ? write_work : read_work);
    }
    for (int i = 0; i < WRITERS + 3; i++) {
        join_child(children[i]);
    }
    fixture->bus = open_log(fixture->folder);
    assert_true(read_all(fixture->bus, "t", ALL));
}

static bool whole_copy_is_there(struct bus *bus)
{
    int64_t total = 0;
    for (int p = 0; p < PARTITIONS; p++) {
        total += extent_of(bus, "out", p).end;
    }
    return total >= ALL;
}

/* Puts what is still to be copied into the producer; a transaction copies and moves the place. */
static enum kol_status copy_batch(struct bus_consumer *consumer, struct bus_producer *producer,
                                  const struct bus_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct bus_record *record = &batch->records[i];
        assert_ok(bus_produce(producer, "out", -1, record->key, record->value, 0, &err));
    }
    assert_ok(bus_txn_offsets(producer, consumer, &err));
    return bus_txn_commit(producer, &err);
}

/* A member of a group of three that copies the topic "t" to "out" until all of it is there. */
static bool copy_work(struct bus *bus, int number)
{
    (void)number;
    static const char *const topics[] = {"t"};
    struct bus_consumer *consumer;
    const struct bus_consumer_options options = {.group = "copy", .lease_us = 700000};
    assert_ok(bus_consumer_open(bus, &options, &consumer, &err));
    assert_ok(bus_subscribe(consumer, topics, 1, &err));
    struct bus_producer *producer = open_producer(bus, NULL);
    const int64_t deadline = clock_mono_ns() + INT64_C(60000000000);
    while (!whole_copy_is_there(bus) && clock_mono_ns() < deadline) {
        struct bus_batch batch;
        assert_ok(bus_poll(consumer, 20, 0, 50, &batch, &err));
        if (batch.count && copy_batch(consumer, producer, &batch) != KOL_OK) {
            if (err.status != KOL_FENCED) {
                return false;
            }
            bus_txn_abort(producer); /* the partitions were given to others */
        }
    }
    bus_producer_close(&producer);
    bus_consumer_close(&consumer);
    return true;
}

static void test_group_of_processes_copies_each_record_once_though_one_is_killed(void **state)
{
    struct fixture *fixture = *state;
    pid_t writers[WRITERS], members[3];
    int how;
    make_topic(fixture->bus, "t", PARTITIONS);
    make_topic(fixture->bus, "out", PARTITIONS);
    bus_close(&fixture->bus);
    for (int i = 0; i < 3; i++) {
        members[i] = start(fixture->folder, i, copy_work);
    }
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = start(fixture->folder, i, write_work);
    }
    fixture->bus = open_log(fixture->folder);
    int64_t copied = 0;
    while (copied < ALL / 4) { /* kill it in the middle of the work */
        usleep(1000);
        copied = 0;
        for (int p = 0; p < PARTITIONS; p++) {
            copied += extent_of(fixture->bus, "out", p).end;
        }
    }
    assert_int_equal(kill(members[1], SIGKILL), 0);
    assert_int_equal(waitpid(members[1], &how, 0), members[1]);
    assert_true(WIFSIGNALED(how)); /* it was still at work */
    for (int i = 0; i < WRITERS; i++) {
        join_child(writers[i]);
    }
    join_child(members[0]);
    join_child(members[2]);
    assert_true(read_all(fixture->bus, "out", ALL));
}

/* Appends batches of which each is whole or not there, until it is killed. */
static bool append_for_ever(struct bus *bus, int number)
{
    struct bus_producer *producer = open_producer(bus, NULL);
    for (int i = number;; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        put(producer, "t", 0, text);
        put(producer, "t", 0, text);
        assert_ok(bus_flush(producer, &err));
    }
}

static void test_writer_that_is_killed_leaves_whole_commits_and_no_lock(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture->bus, "t", 1);
    for (int round = 0, next = 0; round < 10; round++) {
        bus_close(&fixture->bus);
        pid_t child = start(fixture->folder, next, append_for_ever);
        usleep((useconds_t)(5000 + round * 3777));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        fixture->bus = open_log(fixture->folder);
        const int end = (int)extent_of(fixture->bus, "t", 0).end;
        assert_int_equal(end % 2, 0);
        struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
        assign_one(consumer, "t", 0, (int64_t)next * 2);
        for (; next * 2 < end; next++) {
            assert_int_equal(number_of(&poll_now(consumer, 1).records[0]), next);
            assert_int_equal(number_of(&poll_now(consumer, 1).records[0]), next);
        }
        bus_consumer_close(&consumer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_log(test_threads_share_a_bus_and_its_commits),
        with_log(test_refused_transaction_does_not_hinder_the_others_of_its_commit),
        with_log(test_two_writing_and_three_reading_processes),
        with_log(test_group_of_processes_copies_each_record_once_though_one_is_killed),
        with_log(test_writer_that_is_killed_leaves_whole_commits_and_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
