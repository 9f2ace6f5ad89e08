/* test_bus.c: the event log: topics, appending, reading, marks, what is on disk. */
#include "bus_fixture.h"

#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "log/lmdb_chunk.h"

/* ---- partitions ---- */

static void test_murmur2_equals_kafkas(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        assert_int_equal((int32_t)hash_murmur2(str_of(known[i].key)), known[i].hash);
    }
}

static void test_record_goes_to_the_partition_that_kafka_would_pick(void **state)
{
    struct fixture *fixture = *state;
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    /* toPositive(murmur2("foobar")) % 8 and toPositive(murmur2("21")) % 8 */
    const int32_t foobar = (-790332482 & 0x7fffffff) % 8, other = (-973932308 & 0x7fffffff) % 8;
    assert_ok(bus_produce(producer, "t", -1, STR("foobar"), STR("v"), 0, &err));
    assert_ok(bus_produce(producer, "t", -1, STR("21"), STR("v"), 0, &err));
    assert_ok(bus_flush(producer, &err));
    assert_int_equal(bus_last_offset(producer, "t", foobar), 0);
    assert_int_equal(bus_last_offset(producer, "t", other), 0);
    assert_int_equal(
        bus_last_offset(producer, "t", (foobar + 1) % 8 == other ? foobar - 1 : foobar + 1), -1);
    bus_producer_close(&producer);
}

/* ---- topics ---- */

static void test_topic_is_made_once_and_listed_by_name(void **state)
{
    struct fixture *fixture = *state;
    struct bus_topic *topics, one;
    size_t count;
    const struct bus_topic_config config = {3, 5000000, 1 << 20};
    make_topic(fixture->bus, "zebra", 0);
    assert_ok(bus_topic_create(fixture->bus, "ape", &config, &err));
    assert_status(bus_topic_create(fixture->bus, "ape", &config, &err), KOL_EXISTS);
    reopen_log(fixture);
    assert_ok(bus_topics(fixture->bus, &topics, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(topics[0].name, "ape");
    assert_int_equal(topics[0].partitions, 3);
    assert_int_equal(topics[0].retention_us, 5000000);
    assert_int_equal(topics[0].retention_bytes, 1 << 20);
    assert_string_equal(topics[1].name, "zebra");
    assert_int_equal(topics[1].partitions, BUS_DEFAULT_PARTITIONS);
    free(topics);
    assert_status(bus_topic_get(fixture->bus, "cow", &one, &err), KOL_NOT_FOUND);
}

static void test_bad_topic_names_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa4"};
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    char long_name[BUS_MAX_NAME + 2];
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct bus_topic_config config = {0};
        assert_status(bus_topic_create(fixture->bus, bad[i], &config, &err), KOL_INVALID);
        assert_status(bus_produce(producer, bad[i], -1, STR("k"), STR("v"), 0, &err), KOL_INVALID);
    }
    assert_status(bus_produce(producer, long_name, -1, STR("k"), STR("v"), 0, &err), KOL_INVALID);
    long_name[BUS_MAX_NAME] = '\0';
    assert_ok(bus_produce(producer, long_name, -1, STR("k"), STR("v"), 0, &err));
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);
}

/* ---- appending and reading ---- */

static void test_records_come_back_byte_for_byte_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    static const char bytes[] = "a\0b\n\xff\xfe\xf0\x9f\x8d\x9c";
    const struct str value = {bytes, sizeof bytes - 1};
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    clock_fix(1700000000000000);
    assert_ok(bus_produce(producer, "t", 2, STR("k\0ey"), value, -5, &err));
    assert_ok(bus_produce(producer, "t", 2, (struct str){NULL, 0}, (struct str){NULL, 0}, 9, &err));
    assert_int_equal(extent_of(fixture->bus, "t", 2).end, 0); /* not visible yet */
    assert_true(bus_pending_bytes(producer) > 0);
    assert_ok(bus_flush(producer, &err));
    assert_int_equal(bus_pending_bytes(producer), 0);
    assert_int_equal(bus_last_offset(producer, "t", 2), 1);
    bus_producer_close(&producer);
    reopen_log(fixture);

    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 2, BUS_FROM_START);
    struct bus_batch batch = poll_now(consumer, 0);
    assert_int_equal(batch.count, 2);
    assert_string_equal(batch.records[0].topic, "t");
    assert_int_equal(batch.records[0].partition, 2);
    assert_int_equal(batch.records[0].offset, 0);
    assert_int_equal(batch.records[0].timestamp_us, -5);
    assert_int_equal(batch.records[0].append_us, 1700000000000000);
    assert_true(str_equal(batch.records[0].key, STR("k\0ey")));
    assert_true(str_equal(batch.records[0].value, value));
    assert_int_equal(batch.records[1].offset, 1);
    assert_int_equal(batch.records[1].key.len + batch.records[1].value.len, 0);
    struct bus_partition extent = extent_of(fixture->bus, "t", 2);
    assert_int_equal(extent.end, 2);
    assert_int_equal(extent.bytes, 4 + value.len);
    assert_int_equal(extent.first_us, 1700000000000000);
    assert_int_equal(extent.last_us, 1700000000000000);
    bus_consumer_close(&consumer);
}

static void test_record_of_the_largest_size_fits_and_a_larger_one_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    char *bytes = mem_alloc(BUS_MAX_RECORD);
    memset(bytes, 'x', BUS_MAX_RECORD);
    const struct str key = {bytes, 3}, value = {bytes, BUS_MAX_RECORD - 3};
    assert_status(bus_produce(producer, "t", 0, STR("four"), value, 0, &err), KOL_INVALID);
    put(producer, "t", 0, "before");
    assert_ok(bus_produce(producer, "t", 0, key, value, 0, &err));
    put(producer, "t", 0, "behind");
    assert_ok(bus_flush(producer, &err));
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, 0);
    struct bus_batch batch = poll_now(consumer, 0);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.records[1].value.len, value.len);
    assert_memory_equal(batch.records[1].value.ptr, bytes, value.len);
    assert_true(str_is(batch.records[2].value, "behind"));
    bus_consumer_close(&consumer);
    bus_producer_close(&producer);
    free(bytes);
}

static void test_unknown_partition_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    make_topic(fixture->bus, "t", 2);
    assert_status(bus_produce(producer, "t", 2, STR("k"), STR("v"), 0, &err), KOL_INVALID);
    assert_says("partitions 0 to 1");
    bus_producer_close(&producer);
}

static void test_poll_keeps_to_its_limits_and_resumes_inside_a_chunk(void **state)
{
    struct fixture *fixture = *state;
    append_numbers(fixture->bus, "t", 0, 0, 100);
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, 3); /* in the middle of the chunk */
    for (int next = 3; next < 100; next += 7) {
        struct bus_batch batch = poll_now(consumer, 7);
        const struct bus_place *place;
        assert_int_equal(batch.count, next + 7 < 100 ? 7 : 100 - next);
        assert_int_equal(batch.records[0].offset, next);
        assert_int_equal(number_of(&batch.records[batch.count - 1]), next + (int)batch.count - 1);
        assert_int_equal(bus_position(consumer, &place), 1);
        assert_int_equal(place->next, next + (int)batch.count);
    }
    assert_int_equal(poll_now(consumer, 7).count, 0);

    struct bus_batch batch;
    assign_one(consumer, "t", 0, 0);
    assert_ok(
        bus_poll(consumer, 0, 1, 0, &batch, &err)); /* at least one, however small the limit */
    assert_int_equal(batch.count, 1);
    bus_consumer_close(&consumer);
}

static void test_poll_gives_every_partition_its_turn(void **state)
{
    struct fixture *fixture = *state;
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    struct bus_place places[3];
    bool seen[3] = {false};
    for (int p = 0; p < 3; p++) {
        append_numbers(fixture->bus, "t", p, 0, 50);
        places[p] = (struct bus_place){"t", p, BUS_FROM_START};
    }
    assert_ok(bus_assign(consumer, places, 3, &err));
    for (int i = 0; i < 3; i++) {
        struct bus_batch batch = poll_now(consumer, 5);
        seen[batch.records[0].partition] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    bus_consumer_close(&consumer);
}

static void test_assign_to_start_and_end(void **state)
{
    struct fixture *fixture = *state;
    append_numbers(fixture->bus, "t", 0, 0, 5);
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, BUS_FROM_END);
    assert_int_equal(poll_now(consumer, 0).count, 0);
    append_numbers(fixture->bus, "t", 0, 5, 1);
    struct bus_batch batch = poll_now(consumer, 0);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.records[0].offset, 5);
    assign_one(consumer, "t", 0, BUS_FROM_START);
    assert_int_equal(poll_now(consumer, 0).count, 6);
    const struct bus_place nowhere = {"missing", 0, 0}, outside = {"t", 99, 0};
    assert_status(bus_assign(consumer, &nowhere, 1, &err), KOL_NOT_FOUND);
    assert_status(bus_assign(consumer, &outside, 1, &err), KOL_INVALID);
    bus_consumer_close(&consumer);
}

static void *append_later(void *bus)
{
    usleep(50000);
    append_numbers(bus, "t", 0, 0, 1);
    return NULL;
}

static void test_poll_waits_for_a_record_and_returns_when_it_comes(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    struct bus_batch batch;
    make_topic(fixture->bus, "t", 1);
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, 0);
    int64_t started = clock_mono_ns();
    assert_ok(bus_poll(consumer, 0, 0, 30, &batch, &err));
    assert_int_equal(batch.count, 0);
    assert_true(clock_mono_ns() - started >= INT64_C(30000000));
    started = clock_mono_ns();
    assert_int_equal(pthread_create(&thread, NULL, append_later, fixture->bus), 0);
    assert_ok(bus_poll(consumer, 0, 0, 60000, &batch, &err));
    assert_int_equal(batch.count, 1);
    assert_true(clock_mono_ns() - started < INT64_C(30000000000));
    pthread_join(thread, NULL);
    bus_consumer_close(&consumer);
}

static void test_waiting_poll_costs_no_cpu(void **state)
{
    struct fixture *fixture = *state;
    struct bus_batch batch;
    make_topic(fixture->bus, "t", 1);
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, 0);
    const int64_t cpu = clock_cpu_ns();
    assert_ok(bus_poll(consumer, 0, 0, 400, &batch, &err));
    assert_true(clock_cpu_ns() - cpu < INT64_C(100000000));
    bus_consumer_close(&consumer);
}

static void test_poll_ends_when_a_stop_is_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct bus_batch batch;
    make_topic(fixture->bus, "t", 1);
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, 0);
    signals_ask_stop(true);
    assert_status(bus_poll(consumer, 0, 0, 60000, &batch, &err), KOL_INTERRUPTED);
    signals_ask_stop(false);
    bus_consumer_close(&consumer);
}

static void test_appends_are_counted_by_topic(void **state)
{
    struct fixture *fixture = *state;
    append_numbers(fixture->bus, "counted", 0, 10, 5);
    assert_int_equal((int)metrics_get(METRIC_LOG_RECORDS_APPENDED, "counted"), 5);
    assert_int_equal((int)metrics_get(METRIC_LOG_BYTES_APPENDED, "counted"), 5 * 5);
}

/* ---- marks ---- */

static void test_mark_is_kept_changed_and_removed(void **state)
{
    struct fixture *fixture = *state;
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    struct buf value = {0};
    assert_status(bus_mark_get(fixture->bus, "place", &value, &err), KOL_NOT_FOUND);
    assert_ok(bus_txn_mark(producer, "place", STR("one"), &err));
    assert_status(bus_mark_get(fixture->bus, "place", &value, &err), KOL_NOT_FOUND);
    assert_ok(bus_txn_mark(producer, "place", STR("t\0wo"), &err));
    assert_ok(bus_flush(producer, &err));
    reopen_log((bus_producer_close(&producer), fixture));
    assert_ok(bus_mark_get(fixture->bus, "place", &value, &err));
    assert_true(str_equal(buf_str(&value), STR("t\0wo")));
    producer = open_producer(fixture->bus, NULL);
    assert_ok(bus_txn_mark(producer, "place", (struct str){NULL, 0}, &err));
    assert_ok(bus_txn_mark(producer, "never was", (struct str){NULL, 0}, &err));
    assert_ok(bus_flush(producer, &err));
    assert_status(bus_mark_get(fixture->bus, "place", &value, &err), KOL_NOT_FOUND);
    bus_producer_close(&producer);
    buf_free(&value);
}

/* ---- opening ---- */

static void test_log_that_is_not_there_is_not_made_for_reading(void **state)
{
    (void)state;
    struct bus *bus;
    const struct bus_options options = {.path = "/tmp/kol-no-such-log", .read_only = true};
    assert_status(bus_open(&options, &bus, &err), KOL_NOT_FOUND);
    assert_null(bus);
    assert_int_not_equal(access(options.path, F_OK), 0);
}

static void test_read_only_log_gives_records_and_refuses_to_write(void **state)
{
    struct fixture *fixture = *state;
    struct bus_producer *producer;
    append_numbers(fixture->bus, "t", 0, 0, 3);
    bus_close(&fixture->bus);
    const struct bus_options options = {.path = fixture->folder, .read_only = true};
    assert_ok(bus_open(&options, &fixture->bus, &err));
    struct bus_consumer *consumer = open_consumer(fixture->bus, "group");
    assign_one(consumer, "t", 0, 0);
    assert_int_equal(poll_now(consumer, 0).count, 3);
    assert_status(bus_commit(consumer, &err), KOL_INVALID);
    assert_status(
        bus_producer_open(fixture->bus, &(struct bus_producer_options){0}, &producer, &err),
        KOL_INVALID);
    assert_says("reading only");
    bus_consumer_close(&consumer);
}

static void test_second_open_in_one_process_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct bus *bus;
    const struct bus_options options = {.path = fixture->folder};
    assert_status(bus_open(&options, &bus, &err), KOL_EXISTS);
    append_numbers(fixture->bus, "t", 0, 0, 1); /* the first one is unharmed */
}

static void set_format(const char *folder, uint64_t format)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    MDB_val key = {6, (void *)(uintptr_t) "format"}, value = {sizeof format, &format};
    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 20);
    assert_int_equal(mdb_env_open(env, folder, 0, 0644), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void test_log_of_a_newer_program_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct bus_options options = {.path = fixture->folder};
    bus_close(&fixture->bus);
    set_format(fixture->folder, 2);
    assert_status(bus_open(&options, &fixture->bus, &err), KOL_UNSUPPORTED);
    assert_says("newer");
    set_format(fixture->folder, 1);
    fixture->bus = open_log(fixture->folder);
}

static void test_file_that_is_no_log_is_corrupt(void **state)
{
    struct fixture *fixture = *state;
    char path[128], junk[16384];
    memset(junk, 'j', sizeof junk);
    bus_close(&fixture->bus);
    snprintf(path, sizeof path, "%s/data.mdb", fixture->folder);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(junk, 1, sizeof junk, file), sizeof junk);
    fclose(file);
    const struct bus_options options = {.path = fixture->folder};
    assert_status(bus_open(&options, &fixture->bus, &err), KOL_CORRUPT);
    assert_says(fixture->folder);
}

/* ---- chunks ---- */

static void test_chunks_fill_their_pages(void **state)
{
    (void)state;
    static const char bytes[500] = "x";
    struct buf records = {0};
    for (int i = 0; i < 1000; i++) {
        chunk_put_record(&records, STR("tiktok:user12"), (struct str){bytes, sizeof bytes}, i);
    }
    struct str rest = buf_str(&records);
    uint32_t count, total = 0;
    uint64_t payload;
    while (rest.len) {
        size_t len = chunk_cut(rest, &count, &payload);
        assert_int_equal(payload, count * 513);
        total += count;
        rest.ptr += len;
        rest.len -= len;
        if (rest.len) { /* 16 pages, less at most one record */
            assert_in_range(chunk_size(len) + 16, 16 * 4096 - 529, 16 * 4096);
        } else {
            assert_in_range(chunk_size(len) + 16, 1, 24 * 4096);
        }
    }
    assert_int_equal(total, 1000);
    buf_free(&records);
}

/* Changes a byte of the stored log wherever `text` stands: LMDB leaves old copies of pages behind.
 */
static void damage_file(const char *folder, const char *text)
{
    char path[128];
    struct stat info;
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    int fd = open(path, O_RDWR);
    assert_int_equal(fstat(fd, &info), 0);
    char *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    char *at = memmem(bytes, (size_t)info.st_size, text, strlen(text));
    assert_non_null(at);
    for (; at; at = memmem(at, (size_t)(bytes + info.st_size - at), text, strlen(text))) {
        at[0] ^= 1;
    }
    munmap(bytes, (size_t)info.st_size);
    close(fd);
}

static void test_damaged_chunk_is_named_and_the_rest_can_be_read(void **state)
{
    struct fixture *fixture = *state;
    append_numbers(fixture->bus, "t", 1, 0, 4);
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    put(producer, "t", 1, "the bytes that will be damaged");
    put(producer, "t", 1, "their neighbour");
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);
    append_numbers(fixture->bus, "t", 1, 6, 4);
    bus_close(&fixture->bus);
    damage_file(fixture->folder, "the bytes that will be damaged");
    fixture->bus = open_log(fixture->folder);

    struct bus_batch batch;
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 1, 0);
    assert_int_equal(poll_now(consumer, 0).count, 4); /* what is good comes first */
    for (int i = 0; i < 2; i++) {                     /* and the error stays */
        assert_status(bus_poll(consumer, 0, 0, 0, &batch, &err), KOL_CORRUPT);
        assert_says("topic t partition 1 offset 4");
        assert_says("checksum");
    }
    assign_one(consumer, "t", 1, 6);
    assert_int_equal(poll_now(consumer, 0).count, 4);
    append_numbers(fixture->bus, "t", 1, 10, 1); /* appending is not hindered */
    assert_int_equal(poll_now(consumer, 0).count, 1);
    bus_consumer_close(&consumer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_murmur2_equals_kafkas),
        with_log(test_record_goes_to_the_partition_that_kafka_would_pick),
        with_log(test_topic_is_made_once_and_listed_by_name),
        with_log(test_bad_topic_names_are_refused),
        with_log(test_records_come_back_byte_for_byte_after_reopening),
        with_log(test_record_of_the_largest_size_fits_and_a_larger_one_is_refused),
        with_log(test_unknown_partition_is_refused),
        with_log(test_poll_keeps_to_its_limits_and_resumes_inside_a_chunk),
        with_log(test_poll_gives_every_partition_its_turn),
        with_log(test_assign_to_start_and_end),
        with_log(test_poll_waits_for_a_record_and_returns_when_it_comes),
        with_log(test_waiting_poll_costs_no_cpu),
        with_log(test_poll_ends_when_a_stop_is_asked_for),
        with_log(test_appends_are_counted_by_topic),
        with_log(test_mark_is_kept_changed_and_removed),
        cmocka_unit_test(test_log_that_is_not_there_is_not_made_for_reading),
        with_log(test_read_only_log_gives_records_and_refuses_to_write),
        with_log(test_second_open_in_one_process_is_refused),
        with_log(test_log_of_a_newer_program_is_refused),
        with_log(test_file_that_is_no_log_is_corrupt),
        cmocka_unit_test(test_chunks_fill_their_pages),
        with_log(test_damaged_chunk_is_named_and_the_rest_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
