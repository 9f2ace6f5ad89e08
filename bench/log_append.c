/*
 * log_append.c: how fast the event log takes records in and gives them back, beside a plain file.
 *
 *   bench_log_append [FOLDER]      default: a temporary folder under the current one
 *
 * Records of 500 bytes in batches of 1,000, each batch durable before the next begins:
 *
 *   file    write(2) of the batch's bytes at the end of a file, fdatasync(2)
 *   append  bus_produce() of each record, keys over 8 partitions, bus_flush()
 *   read    bus_poll() through all that the append wrote, every byte of every value looked at
 *
 * A disk is never quiet for long, so rounds are short, `file` and `append` take turns, and the best
 * round of each counts; the median of all rounds stands beside it. Floors: append >= 0.4 of file,
 * read
 * >= 10 of append. They are printed beside the figures and never fail the run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "log/bus.h"

enum { RECORD = 500, BATCH = 1000, BATCHES = 25, ROUNDS = 40, KEYS = 997 };

static void must(enum kol_status status, const struct kol_error *err)
{
    if (status != KOL_OK) {
        fprintf(stderr, "bench_log_append: %s\n", err->message);
        exit(1);
    }
}

static void must_posix(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_log_append: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

/* The records of a batch, one behind the other. */
static char *make_records(void)
{
    char *records = mem_alloc((size_t)BATCH * RECORD);
    uint64_t state = 1;
    for (size_t i = 0; i < (size_t)BATCH * RECORD; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        records[i] = (char)(' ' + (state >> 58));
    }
    return records;
}

static int64_t file_round(const char *path, const char *records)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must_posix(fd >= 0, path);
    int64_t started = clock_mono_ns();
    for (int batch = 0; batch < BATCHES; batch++) {
        const ssize_t size = (ssize_t)BATCH * RECORD;
        ssize_t len = write(fd, records, (size_t)size);
        must_posix(len == size, "write");
        must_posix(fdatasync(fd) == 0, "fdatasync");
    }
    int64_t took = clock_mono_ns() - started;
    close(fd);
    must_posix(unlink(path) == 0, path);
    return took;
}

static int64_t append_round(struct bus *bus, const char *topic, const char *records)
{
    struct bus_producer *producer;
    struct kol_error err;
    must(bus_producer_open(bus, &(struct bus_producer_options){0}, &producer, &err), &err);
    int64_t started = clock_mono_ns();
    for (int batch = 0; batch < BATCHES; batch++) {
        for (int i = 0; i < BATCH; i++) {
            char key[32];
            int len = snprintf(key, sizeof key, "tiktok:user%d", (batch * BATCH + i) % KEYS);
            must(bus_produce(producer, topic, -1, (struct str){key, (size_t)len},
                             (struct str){records + (size_t)i * RECORD, RECORD}, 1, &err),
                 &err);
        }
        must(bus_flush(producer, &err), &err);
    }
    int64_t took = clock_mono_ns() - started;
    bus_producer_close(&producer);
    return took;
}

/* All of one round's records, from the front, as a consumer of all partitions gets them. */
static int64_t read_round(struct bus *bus, const char *topic, uint64_t *sum)
{
    struct bus_consumer *consumer;
    struct bus_place places[BUS_DEFAULT_PARTITIONS];
    struct kol_error err;
    int64_t seen = 0;
    for (int p = 0; p < BUS_DEFAULT_PARTITIONS; p++) {
        places[p] = (struct bus_place){topic, p, BUS_FROM_START};
    }
    must(bus_consumer_open(bus, &(struct bus_consumer_options){0}, &consumer, &err), &err);
    must(bus_assign(consumer, places, BUS_DEFAULT_PARTITIONS, &err), &err);
    int64_t started = clock_mono_ns();
    while (seen < (int64_t)BATCH * BATCHES) {
        struct bus_batch batch;
        must(bus_poll(consumer, 0, 1 << 20, 1000, &batch, &err), &err);
        for (size_t i = 0; i < batch.count; i++) {
            const struct str value = batch.records[i].value;
            for (size_t at = 0; at + 8 <= value.len; at += 8) {
                uint64_t word;
                memcpy(&word, value.ptr + at, 8);
                *sum += word;
            }
        }
        seen += (int64_t)batch.count;
    }
    int64_t took = clock_mono_ns() - started;
    bus_consumer_close(&consumer);
    return took;
}

/* How long the rounds of one way took, in nanoseconds. */
struct times {
    int64_t rounds[ROUNDS];
    double best, median;
};

static int compare_times(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void sum_up(struct times *times)
{
    qsort(times->rounds, ROUNDS, sizeof times->rounds[0], compare_times);
    times->best = (double)times->rounds[0];
    const size_t middle = ROUNDS / 2;
    times->median = (double)times->rounds[middle];
}

static void print_row(const char *name, const struct times *times)
{
    const double records = (double)BATCH * BATCHES, seconds = times->best / 1e9;
    printf("%-8s %10.2f %10.2f %12.0f %10.1f\n", name, times->best / 1e6 / BATCHES,
           times->median / 1e6 / BATCHES, records / seconds, records * RECORD / 1e6 / seconds);
}

static void run(const char *folder)
{
    struct bus *bus;
    struct kol_error err;
    static struct times file, append, reading;
    uint64_t sum = 0;
    char *path = file_join(folder, "plain"), *log = file_join(folder, "log");
    char *records = make_records();
    must(bus_open(&(struct bus_options){.path = log}, &bus, &err), &err);
    for (int round = 0; round < ROUNDS; round++) {
        char topic[32];
        snprintf(topic, sizeof topic, "bench.%d", round);
        must(bus_topic_create(bus, topic, &(struct bus_topic_config){0}, &err), &err);
        file.rounds[round] = file_round(path, records);
        append.rounds[round] = append_round(bus, topic, records);
        reading.rounds[round] = read_round(bus, topic, &sum);
    }
    bus_close(&bus);
    sum_up(&file);
    sum_up(&append);
    sum_up(&reading);
    printf("records of %d bytes in batches of %d, %d rounds of %d batches\n\n", RECORD, BATCH,
           ROUNDS, BATCHES);
    printf("%-8s %10s %10s %12s %10s\n", "", "ms/batch", "(median)", "records/s", "MB/s");
    print_row("file", &file);
    print_row("append", &append);
    print_row("read", &reading);
    printf("\nappend / file   %6.2f   (median %.2f, floor 0.4)\n", file.best / append.best,
           file.median / append.median);
    printf("read / append   %6.2f   (median %.2f, floor 10)\n", append.best / reading.best,
           append.median / reading.median);
    if (sum == 0) {
        printf("(nothing was read)\n"); /* keeps the reading loop from being optimised away */
    }
    free(records);
    free(path);
    free(log);
}

static void remove_log(const char *folder)
{
    static const char *const names[] = {"log/data.mdb", "log/lock.mdb", "log", "plain", ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = file_join(folder, names[i]);
        (void)remove(path);
        free(path);
    }
}

int main(int argc, char **argv)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/bench_log_XXXXXX", argc > 1 ? argv[1] : ".");
    must_posix(mkdtemp(folder) != NULL, folder);
    run(folder);
    remove_log(folder);
    return 0;
}
