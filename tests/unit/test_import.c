/* test_import.c: a whole import into a log of its own, with the thread that commits. */
#include "bus_fixture.h"

#include <fcntl.h>

#include "base/progress.h"
#include "base/signals.h"
#include "import/import.h"

#define TOPIC "kol.profiles.raw"

enum { EVENTS = 3000 };

static char path[64];

/* NDJSON of `count` events, number `dead` of them broken (-1: none). */
static void write_events(int count, int dead)
{
    strcpy(path, "/tmp/kol-test-import-XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    for (int i = 0; i < count; i++) {
        fprintf(file,
                "{\"event_type\":\"profile\",\"platform\":\"tiktok\",\"username\":\"kol%d\","
                "\"event_time\":\"2025-05-01T10:00:00Z\",\"post_count\":%s%d}\n",
                i % 7, i == dead ? "x" : "", i);
    }
    assert_int_equal(fclose(file), 0);
}

static struct preset *events_preset(void)
{
    struct preset *preset;
    assert_ok(preset_find("events", NULL, &preset, &err));
    return preset;
}

/* One file by the preset `events`, in commits of `batch` bytes; how it ended. */
static enum kol_status import_one(struct bus *bus, size_t batch, bool finish,
                                  struct import_file *file)
{
    struct preset *preset = events_preset();
    const char *files[] = {path};
    const struct import_options options = {
        .bus = bus, .preset = preset, .files = files, .file_count = 1, .batch_bytes = batch};
    struct import *import;
    assert_ok(import_open(&options, &import, &err));
    enum kol_status status = import_next(import, file, &err);
    if (status == KOL_OK && finish) {
        struct import_file none;
        assert_int_equal(import_next(import, &none, &err), KOL_END);
        assert_ok(import_finish(import, &err));
    }
    import_close(&import);
    preset_free(&preset);
    return status;
}

static int64_t stored(struct bus *bus, const char *topic)
{
    struct bus_topic info;
    int64_t records = 0;
    if (bus_topic_get(bus, topic, &info, NULL) != KOL_OK) {
        return 0;
    }
    for (int32_t p = 0; p < info.partitions; p++) {
        struct bus_partition extent = extent_of(bus, topic, p);
        records += extent.end - extent.start;
    }
    return records;
}

static void test_every_event_is_committed_in_small_batches(void **state)
{
    struct bus *bus = ((struct fixture *)*state)->bus;
    struct import_file file;
    write_events(EVENTS, 1234);
    assert_ok(import_one(bus, 4096, true, &file));
    assert_true(file.complete);
    assert_int_equal(file.counts.records, EVENTS);
    assert_int_equal(file.counts.events, EVENTS - 1);
    assert_int_equal(file.counts.dead, 1);
    assert_int_equal(stored(bus, TOPIC), EVENTS - 1);
    assert_int_equal(stored(bus, "kol.dead"), 1);
    unlink(path);
}

static void test_order_of_each_kol_is_that_of_the_file(void **state)
{
    struct bus *bus = ((struct fixture *)*state)->bus;
    struct import_file file;
    struct bus_topic topic;
    int last[7] = {-1, -1, -1, -1, -1, -1, -1}, seen = 0;
    write_events(EVENTS, -1);
    assert_ok(import_one(bus, 4096, true, &file));
    assert_ok(bus_topic_get(bus, TOPIC, &topic, &err));
    for (int32_t p = 0; p < topic.partitions; p++) {
        struct bus_consumer *consumer = open_consumer(bus, NULL);
        assign_one(consumer, TOPIC, p, 0);
        struct bus_batch batch;
        while ((batch = poll_now(consumer, 0)).count) {
            for (size_t i = 0; i < batch.count; i++, seen++) {
                struct str value = batch.records[i].value;
                const char *at = memmem(value.ptr, value.len, "\"post_count\":", 13);
                int number = (int)strtol(at + 13, NULL, 10);
                assert_true(number > last[number % 7]);
                last[number % 7] = number;
            }
        }
        bus_consumer_close(&consumer);
    }
    assert_int_equal(seen, EVENTS);
    unlink(path);
}

static void test_stopped_import_goes_on_and_a_finished_one_begins_again(void **state)
{
    struct bus *bus = ((struct fixture *)*state)->bus;
    struct import_file file;
    write_events(EVENTS, -1);
    signals_ask_stop(true);
    assert_int_equal(import_one(bus, 4096, true, &file), KOL_INTERRUPTED);
    signals_ask_stop(false);
    assert_false(file.complete);
    assert_int_equal(file.counts.events, stored(bus, TOPIC));

    /* Complete, but its report was never given: nothing is imported twice. */
    assert_ok(import_one(bus, 4096, false, &file));
    assert_int_equal(stored(bus, TOPIC), EVENTS);
    assert_ok(import_one(bus, 4096, true, &file));
    assert_true(file.complete && file.resumed_at == file.bytes);
    assert_int_equal(file.counts.events, EVENTS);
    assert_int_equal(stored(bus, TOPIC), EVENTS);

    /* Reported: the next import is a new one. */
    assert_ok(import_one(bus, 4096, true, &file));
    assert_int_equal(file.resumed_at, 0);
    assert_int_equal(stored(bus, TOPIC), 2 * EVENTS);
    unlink(path);
}

static void test_log_that_cannot_be_written_ends_the_import(void **state)
{
    struct fixture *fixture = *state;
    struct import_file file = {0};
    struct preset *preset = events_preset();
    struct import *import = NULL;
    const char *files[] = {path};
    write_events(EVENTS, -1);
    bus_close(&fixture->bus);
    const struct bus_options log = {.path = fixture->folder, .read_only = true};
    assert_ok(bus_open(&log, &fixture->bus, &err));
    const struct import_options options = {.bus = fixture->bus,
                                           .preset = preset,
                                           .files = files,
                                           .file_count = 1,
                                           .batch_bytes = 4096};
    enum kol_status status = import_open(&options, &import, &err);
    if (status == KOL_OK) {
        status = import_next(import, &file, &err);
    }
    assert_true(status != KOL_OK && status != KOL_END);
    assert_true(err.message[0]);
    assert_int_equal(file.counts.events, 0);
    import_close(&import);
    preset_free(&preset);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_log(test_every_event_is_committed_in_small_batches),
        with_log(test_order_of_each_kol_is_that_of_the_file),
        with_log(test_stopped_import_goes_on_and_a_finished_one_begins_again),
        with_log(test_log_that_cannot_be_written_ends_the_import),
    };
    signals_install();
    progress_set_style(PROGRESS_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
