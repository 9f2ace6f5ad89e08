/*
 * fuzz_redis_answers.c: any bytes as the answers of a Redis server.
 *
 * The first byte says how many answers are wanted, the second in which pieces the rest comes. In
 * pieces or at once, it must come to the same; and every byte of every answer is read, so that ASan
 * sees what does not belong to it. Each answer is also taken for what a cluster says of its slots.
 */
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cache/redis_parts.h"

enum { ANSWER_MAX = 256 * 1024 };

/* Writes an answer down, so that two can be compared. */
static void describe(struct buf *out, const struct redis_answer *answer)
{
    buf_printf(out, "%d %zu ", answer->kind, answer->text.len);
    buf_put(out, answer->text);
    buf_put_int64(out, answer->number);
    KOL_ASSERT(answer->kind == REDIS_LIST || answer->count == 0);
    for (size_t i = 0; i < answer->count; i++) {
        describe(out, &answer->items[i]);
    }
    buf_putc(out, ';');
}

/* What is made of an answer as that to CLUSTER SLOTS, or as a redirection. */
static void take_for_slots(const struct redis_answer *answer)
{
    static struct redis_range ranges[REDIS_SLOTS];
    size_t count = 0;
    struct str host = {0};
    int port = 0;
    if (redis_read_slots(answer, ranges, &count, NULL) == KOL_OK) {
        for (size_t i = 0; i < count; i++) {
            KOL_ASSERT(ranges[i].first <= ranges[i].last && ranges[i].last < REDIS_SLOTS);
            KOL_ASSERT(ranges[i].port > 0 && ranges[i].port <= 65535);
        }
    }
    if (redis_read_endpoint(answer->text, &host, &port)) {
        KOL_ASSERT(host.len < answer->text.len && port > 0 && port <= 65535);
    }
    KOL_ASSERT(redis_slot(answer->text) < REDIS_SLOTS);
}

/* Reads all of `bytes`, at most `piece` at a time. */
static enum kol_status read_all(struct str bytes, size_t piece, size_t wanted, struct buf *out)
{
    struct arena arena;
    struct redis_reading reading;
    enum kol_status status = KOL_OK;
    arena_init(&arena, 0);
    struct redisReader *reader = redis_reader_new();
    redis_reading_begin(&reading, &arena, wanted, ANSWER_MAX);
    while (bytes.len && status == KOL_OK) {
        const struct str next = {bytes.ptr, bytes.len < piece ? bytes.len : piece};
        bytes = (struct str){bytes.ptr + next.len, bytes.len - next.len};
        status = redis_reading_feed(&reading, reader, next, NULL);
    }
    KOL_ASSERT(status == KOL_OK || status == KOL_CORRUPT);
    for (size_t i = 0; i < reading.got; i++) {
        describe(out, &reading.answers[i]);
        take_for_slots(&reading.answers[i]);
    }
    redisReaderFree(reader);
    arena_free(&arena);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct str bytes = {(const char *)data + 2, size - 2};
    struct buf whole = {0}, pieces = {0};
    const size_t wanted = data[0] % 8 + 1;
    const enum kol_status status = read_all(bytes, SIZE_MAX, wanted, &whole);
    KOL_ASSERT(read_all(bytes, data[1] % 32 + 1, wanted, &pieces) == status);
    KOL_ASSERT(status != KOL_OK || str_equal(buf_str(&whole), buf_str(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
