/*
 * redis_answers.c: bytes that a server sent become answers in an arena.
 *
 * The grammar is the business of the reader of hiredis, which asks the functions below for an
 * object of each value that it meets. Its own objects are allocated one by one, and a list as large
 * as its head says it is, before any of it has come; here the budget of the pipe is asked first.
 */
#include <hiredis/hiredis.h>
#include <string.h>

#include "base/mem.h"
#include "cache/redis_parts.h"

/* Counts of elements are wider, and there are kinds of values more, from hiredis 1.0 on. */
#if HIREDIS_MAJOR >= 1
typedef size_t list_count;
#else
typedef int list_count;
#endif

/* The place of the value that is just being read: in the list above it, or in the pipe. */
static struct redis_answer *place_of(const redisReadTask *task)
{
    struct redis_reading *reading = task->privdata;
    if (!task->parent) {
        KOL_ASSERT(reading->got < reading->wanted);
        return &reading->answers[reading->got];
    }
    /* The list's items are constant for all but who reads them in. */
    const struct redis_answer *list = task->parent->obj;
    KOL_ASSERT(task->idx >= 0 && (size_t)task->idx < list->count);
    return (struct redis_answer *)&list->items[task->idx];
}

/* NULL, as from the functions below, ends the reading. */
static void *make_text(const redisReadTask *task, char *bytes, size_t len)
{
    struct redis_reading *reading = task->privdata;
    const bool is_error = task->type == REDIS_REPLY_ERROR;
    if (!is_error && task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS) {
        return NULL;
    }
    struct redis_answer *answer = place_of(task);
    *answer = (struct redis_answer){.kind = is_error ? REDIS_ERROR : REDIS_TEXT};
    answer->text = arena_copy(reading->arena, (struct str){bytes, len});
    return answer;
}

static void *make_list(const redisReadTask *task, list_count count)
{
    struct redis_reading *reading = task->privdata;
    if (task->type != REDIS_REPLY_ARRAY) {
        return NULL;
    }
    if ((size_t)count > reading->budget / sizeof(struct redis_answer)) {
        reading->too_large = true;
        return NULL;
    }
    const size_t bytes = (size_t)count * sizeof(struct redis_answer);
    reading->budget -= bytes;
    struct redis_answer *answer = place_of(task);
    *answer = (struct redis_answer){.kind = REDIS_LIST, .count = (size_t)count};
    if (count > 0) {
        answer->items = arena_alloc(reading->arena, bytes);
    }
    return answer;
}

static void *make_number(const redisReadTask *task, long long number)
{
    struct redis_answer *answer = place_of(task);
    *answer = (struct redis_answer){.kind = REDIS_NUMBER, .number = number};
    return answer;
}

static void *make_nil(const redisReadTask *task)
{
    struct redis_answer *answer = place_of(task);
    *answer = (struct redis_answer){.kind = REDIS_NIL};
    return answer;
}

/* Where there is no function for them, hiredis makes numbers that look like pointers. */
#if HIREDIS_MAJOR >= 1
static void *refuse_double(const redisReadTask *task, double number, char *text, size_t len)
{
    (void)task, (void)number, (void)text, (void)len;
    return NULL;
}

static void *refuse_bool(const redisReadTask *task, int truth)
{
    (void)task, (void)truth;
    return NULL;
}
#endif

/* Answers go with their arena. */
static void free_nothing(void *answer)
{
    (void)answer;
}

static redisReplyObjectFunctions makers = {
    .createString = make_text,
    .createArray = make_list,
    .createInteger = make_number,
    .createNil = make_nil,
    .freeObject = free_nothing,
#if HIREDIS_MAJOR >= 1
    .createDouble = refuse_double,
    .createBool = refuse_bool,
#endif
};

struct redisReader *redis_reader_new(void)
{
    redisReader *reader = redisReaderCreateWithFunctions(&makers);
    KOL_ASSERT(reader);
    return reader;
}

void redis_reading_begin(struct redis_reading *reading, struct arena *arena, size_t wanted,
                         size_t answer_max)
{
    *reading = (struct redis_reading){.arena = arena, .wanted = wanted, .budget = answer_max};
    reading->answers = arena_alloc(arena, wanted * sizeof *reading->answers);
}

static enum kol_status too_large(struct kol_error *err)
{
    return kol_fail(err, KOL_CORRUPT, "the answers are larger than a pipe may have (answer_max)");
}

static enum kol_status put_bytes(struct redis_reading *reading, struct redisReader *reader,
                                 struct str bytes, struct kol_error *err)
{
    if (bytes.len > reading->budget) {
        return too_large(err);
    }
    reading->budget -= bytes.len;
    KOL_ASSERT(redisReaderFeed(reader, bytes.ptr, bytes.len) == REDIS_OK);
    return KOL_OK;
}

/* Takes the next answer out of the bytes that are there; `*whole`: it was all there. */
static enum kol_status take_answer(struct redis_reading *reading, struct redisReader *reader,
                                   bool *whole, struct kol_error *err)
{
    void *answer = NULL;
    reader->privdata = reading;
    if (redisReaderGetReply(reader, &answer) != REDIS_OK) {
        return reading->too_large ? too_large(err)
                                  : kol_fail(err, KOL_CORRUPT,
                                             "what came is no answer of Redis (%s); is another "
                                             "kind of server at that address?",
                                             reader->errstr);
    }
    *whole = answer != NULL;
    reading->got += *whole;
    return KOL_OK;
}

enum kol_status redis_reading_feed(struct redis_reading *reading, struct redisReader *reader,
                                   struct str bytes, struct kol_error *err)
{
    enum kol_status status = put_bytes(reading, reader, bytes, err);
    bool whole = true;
    while (status == KOL_OK && whole && reading->got < reading->wanted) {
        status = take_answer(reading, reader, &whole, err);
    }
    if (status == KOL_OK && whole && reader->pos < reader->len) {
        return kol_fail(err, KOL_CORRUPT, "more answers came than commands were sent");
    }
    return status;
}

enum kol_status redis_stream_feed(struct redis_reading *reading, struct redisReader *reader,
                                  struct str bytes, const struct redis_stream *stream,
                                  struct kol_error *err)
{
    enum kol_status status = put_bytes(reading, reader, bytes, err);
    for (bool whole = true; status == KOL_OK;) {
        status = take_answer(reading, reader, &whole, err);
        if (status != KOL_OK || !whole) {
            break;
        }
        status = stream->each(&reading->answers[0], stream->user, err);
        /* What was fed and not read yet counts against the next one. */
        const size_t unread = reader->len - reader->pos;
        arena_reset(reading->arena);
        redis_reading_begin(reading, reading->arena, 1, stream->answer_max);
        reading->budget -= unread < reading->budget ? unread : reading->budget;
    }
    return status;
}
