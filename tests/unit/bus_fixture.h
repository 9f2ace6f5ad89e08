/*
 * bus_fixture.h: what the tests of the event log share: a log in a folder of its own, and short
 * forms of the calls that every test makes and that must not fail.
 */
#ifndef TESTS_UNIT_BUS_FIXTURE_H
#define TESTS_UNIT_BUS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/bus.h"

#define UNUSED __attribute__((unused))

static struct kol_error err;

/* A child process must not jump back into the test runner that it is a copy of. */
static pid_t runner;

__attribute__((constructor)) static void remember_runner(void)
{
    runner = getpid();
}

#define fail_here(...)                                                                             \
    do {                                                                                           \
        if (getpid() != runner) {                                                                  \
            fprintf(stderr, __VA_ARGS__);                                                          \
            _exit(3);                                                                              \
        }                                                                                          \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        enum kol_status status_ = (call);                                                          \
        if (status_ != KOL_OK) {                                                                   \
            fail_here("%s: %s: %s", #call, kol_status_text(status_), err.message);                 \
        }                                                                                          \
    } while (0)

#define assert_status(call, expected)                                                              \
    do {                                                                                           \
        enum kol_status status_ = (call);                                                          \
        if (status_ != (expected)) {                                                               \
            fail_here("%s: %s, not %s: %s", #call, kol_status_text(status_),                       \
                      kol_status_text(expected), status_ == KOL_OK ? "" : err.message);            \
        }                                                                                          \
    } while (0)

#define assert_says(text)                                                                          \
    do {                                                                                           \
        if (!strstr(err.message, text)) {                                                          \
            fail_here("\"%s\" does not say \"%s\"", err.message, text);                            \
        }                                                                                          \
    } while (0)

/* A log of the running test. */
struct fixture {
    char folder[64];
    struct bus *bus;
};

UNUSED static struct bus *open_log(const char *folder)
{
    struct bus *bus;
    assert_ok(bus_open(&(struct bus_options){.path = folder}, &bus, &err));
    return bus;
}

UNUSED static void make_folder(char folder[64])
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, 64, "%.40s/kol-bus-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
}

UNUSED static void remove_folder(const char *folder)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "ballast"};
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    (void)remove(folder);
}

UNUSED static int setup_log(void **state)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    make_folder(fixture->folder);
    fixture->bus = open_log(fixture->folder);
    *state = fixture;
    return 0;
}

UNUSED static int teardown_log(void **state)
{
    struct fixture *fixture = *state;
    clock_fix(0);
    bus_close(&fixture->bus);
    remove_folder(fixture->folder);
    free(fixture);
    return 0;
}

UNUSED static void reopen_log(struct fixture *fixture)
{
    bus_close(&fixture->bus);
    fixture->bus = open_log(fixture->folder);
}

#define with_log(test) cmocka_unit_test_setup_teardown(test, setup_log, teardown_log)

UNUSED static void make_topic(struct bus *bus, const char *name, int32_t partitions)
{
    const struct bus_topic_config config = {.partitions = partitions};
    assert_ok(bus_topic_create(bus, name, &config, &err));
}

UNUSED static struct bus_producer *open_producer(struct bus *bus, const char *txn_id)
{
    struct bus_producer *producer;
    const struct bus_producer_options options = {.transactional_id = txn_id};
    assert_ok(bus_producer_open(bus, &options, &producer, &err));
    return producer;
}

UNUSED static struct bus_consumer *open_consumer(struct bus *bus, const char *group)
{
    struct bus_consumer *consumer;
    const struct bus_consumer_options options = {.group = group};
    assert_ok(bus_consumer_open(bus, &options, &consumer, &err));
    return consumer;
}

UNUSED static void put(struct bus_producer *producer, const char *topic, int32_t partition,
                       const char *value)
{
    assert_ok(bus_produce(producer, topic, partition, STR("key"), str_of(value), 7, &err));
}

/* `count` records "0", "1", ... of one partition in one commit, the first of them `from`. */
UNUSED static void append_numbers(struct bus *bus, const char *topic, int32_t partition, int from,
                                  int count)
{
    struct bus_producer *producer = open_producer(bus, NULL);
    for (int i = from; i < from + count; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        put(producer, topic, partition, text);
    }
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);
}

UNUSED static void assign_one(struct bus_consumer *consumer, const char *topic, int32_t partition,
                              int64_t next)
{
    const struct bus_place place = {topic, partition, next};
    assert_ok(bus_assign(consumer, &place, 1, &err));
}

UNUSED static struct bus_batch poll_now(struct bus_consumer *consumer, size_t max_records)
{
    struct bus_batch batch;
    assert_ok(bus_poll(consumer, max_records, 0, 0, &batch, &err));
    return batch;
}

UNUSED static int number_of(const struct bus_record *record)
{
    int64_t value = -1;
    assert_true(str_to_int64(record->value, &value));
    return (int)value;
}

UNUSED static struct bus_partition extent_of(struct bus *bus, const char *topic, int32_t partition)
{
    struct bus_partition extent;
    assert_ok(bus_partition_get(bus, topic, partition, &extent, &err));
    return extent;
}

#endif
