/*
 * test_bus_copy.c: a copy of the log holds what was committed when it was made, whoever writes on.
 */
#include "bus_fixture.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/signals.h"

static void copy_to(struct fixture *fixture, char folder[64])
{
    struct bus_copying copying = {0};
    make_folder(folder);
    assert_ok(bus_copy(fixture->bus, folder, &copying, &err));
    struct stat info;
    char path[128];
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, copying.bytes);
}

/* How many records the partition has, after a look at each of them. */
static int count_records(struct bus *bus, const char *topic)
{
    struct bus_consumer *consumer = open_consumer(bus, NULL);
    int count = 0;
    assign_one(consumer, topic, 0, BUS_FROM_START);
    for (;;) {
        struct bus_batch batch = poll_now(consumer, 1000);
        for (size_t i = 0; i < batch.count; i++) {
            assert_int_equal(number_of(&batch.records[i]), count++);
        }
        if (!batch.count) {
            break;
        }
    }
    bus_consumer_close(&consumer);
    return count;
}

static void test_copy_holds_records_and_marks(void **state)
{
    struct fixture *fixture = *state;
    struct buf mark = {0};
    char folder[64];
    make_topic(fixture->bus, "t", 1);
    append_numbers(fixture->bus, "t", 0, 0, 5000);
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    assert_ok(bus_txn_mark(producer, "place", STR("here"), &err));
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);

    copy_to(fixture, folder);
    append_numbers(fixture->bus, "t", 0, 5000, 10);
    struct bus *copy = open_log(folder);
    assert_int_equal(count_records(copy, "t"), 5000);
    assert_ok(bus_mark_get(copy, "place", &mark, &err));
    assert_string_equal(mark.ptr, "here");
    append_numbers(copy, "t", 0, 5000, 1); /* it is a log like any other */
    bus_close(&copy);
    buf_free(&mark);
    remove_folder(folder);
}

struct writer {
    struct bus *bus;
    _Atomic int done, stop;
};

static void *write_on(void *user)
{
    struct writer *writer = user;
    while (!writer->stop) {
        append_numbers(writer->bus, "t", 0, writer->done, 100);
        writer->done += 100;
    }
    return NULL;
}

static void test_copy_beside_a_writer_is_whole_up_to_its_moment(void **state)
{
    struct fixture *fixture = *state;
    struct writer writer = {.bus = fixture->bus};
    pthread_t thread;
    make_topic(fixture->bus, "t", 1);
    append_numbers(fixture->bus, "t", 0, 0, 100);
    writer.done = 100;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    for (int round = 0; round < 10; round++) {
        char folder[64];
        int before = writer.done;
        copy_to(fixture, folder);
        int after = writer.done + 100; /* the batch that is being committed may be in it */
        struct bus *copy = open_log(folder);
        int count = count_records(copy, "t");
        bus_close(&copy);
        assert_in_range(count, before, after);
        remove_folder(folder);
    }
    writer.stop = 1;
    pthread_join(thread, NULL);
}

static void stop_now(int64_t bytes, void *user)
{
    (void)bytes;
    (void)user;
    signals_ask_stop(true);
}

static void test_copy_that_is_stopped_leaves_the_older_copy(void **state)
{
    struct fixture *fixture = *state;
    char folder[64];
    make_topic(fixture->bus, "t", 1);
    append_numbers(fixture->bus, "t", 0, 0, 50);
    copy_to(fixture, folder);
    char value[1000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    for (int i = 0; i < 10000; i++) { /* more than the pipe takes: the copy is under way */
        put(producer, "u", 0, value);
    }
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);

    struct bus_copying copying = {.on_bytes = stop_now};
    assert_status(bus_copy(fixture->bus, folder, &copying, &err), KOL_INTERRUPTED);
    signals_ask_stop(false);
    struct bus *copy = open_log(folder);
    assert_int_equal(count_records(copy, "t"), 50);
    struct bus_topic topic;
    assert_status(bus_topic_get(copy, "u", &topic, &err), KOL_NOT_FOUND);
    bus_close(&copy);
    append_numbers(fixture->bus, "t", 0, 50, 10); /* and the log itself goes on */
    assert_int_equal(count_records(fixture->bus, "t"), 60);
    remove_folder(folder); /* nothing else is in it, or it stays and the next line fails */
    assert_int_equal(access(folder, F_OK), -1);
}

int main(void)
{
    signals_install();
    const struct CMUnitTest tests[] = {
        with_log(test_copy_holds_records_and_marks),
        with_log(test_copy_beside_a_writer_is_whole_up_to_its_moment),
        with_log(test_copy_that_is_stopped_leaves_the_older_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
