/*
 * serve_store_fixture.h: values of each kind, written into a real Redis and taken out again, and
 * what may lie under their keys instead.
 */
#ifndef SERVE_STORE_FIXTURE_H
#define SERVE_STORE_FIXTURE_H

#include "redis_client_fixture.h"

#include "serve/store.h"

static struct arena arena; /* of main(): what was taken, until the next clear_values() */

static inline int clear_values(void **state)
{
    arena_reset(&arena);
    assert_int_not_equal(tell("CONFIG SET sanitize-dump-payload no")->kind, REDIS_ERROR);
    return clear(state);
}

/* The answer to a command of any bytes, which is no error. */
static inline const struct redis_answer *tell_all(const struct str *argv, size_t argc)
{
    redis_clear(pipe_);
    redis_add(pipe_, argc, argv, 1);
    run_pipe(pipe_);
    assert_int_not_equal(redis_answer(pipe_, 0)->kind, REDIS_ERROR);
    return redis_answer(pipe_, 0);
}

#define TELL(...)                                                                                  \
    tell_all((const struct str[]){__VA_ARGS__},                                                    \
             sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))

/* ---- values ---- */

#define KEY STR("kol:profile:tiktok:ana")
#define LIST STR("kol:profiles:list:tiktok")
#define SCORE STR("kol:score:tiktok:ana")

static inline enum serve_done put(const struct serve_write *write, struct str *why)
{
    struct str no_why;
    redis_clear(pipe_);
    const size_t place = serve_put(pipe_, write);
    run_pipe(pipe_);
    return serve_written(pipe_, place, why ? why : &no_why);
}

/* A hash of one field, or of many. */
static inline struct serve_write hash_of(int64_t version, int64_t snapshot,
                                         const struct serve_field *field)
{
    return (struct serve_write){.kind = SERVE_KEY_PROFILE_ON,
                                .key = KEY,
                                .version = version,
                                .snapshot = snapshot,
                                .now_us = INT64_C(1700000000123456),
                                .fields = field,
                                .field_count = 1};
}

static inline enum serve_held take(enum serve_key kind, struct str key, struct serve_hash *out)
{
    redis_clear(pipe_);
    const size_t place = serve_ask(pipe_, kind, key);
    run_pipe(pipe_);
    return serve_take_hash(pipe_, place, kind, &arena, out);
}

static inline enum serve_held take_text(struct serve_text *out)
{
    redis_clear(pipe_);
    const size_t place = serve_ask(pipe_, SERVE_KEY_PROFILES_LIST, LIST);
    run_pipe(pipe_);
    return serve_take_text(pipe_, place, SERVE_KEY_PROFILES_LIST, &arena, out);
}

static inline struct str value_of(const struct serve_hash *hash, const char *name)
{
    const struct serve_field *field = serve_field(hash->fields, hash->count, name);
    return field ? field->value : STR("(none)");
}

#define assert_str(actual, expected)                                                               \
    do {                                                                                           \
        const struct str is = (actual);                                                            \
        if (!str_is(is, expected)) {                                                               \
            fail_msg("`%.*s` is not `%s`", STR_FORMAT(is), expected);                              \
        }                                                                                          \
    } while (0)

/* Every key has a TTL, and none more than `most_ms`. */
static inline void assert_ttls(int64_t most_ms)
{
    redis_clear(pipe_);
    redis_addf(pipe_, "EVAL %s 0",
               "local low,high,keys=1e15,0,redis.call('KEYS','*') for i=1,#keys do local t="
               "redis.call('PTTL',keys[i]) low=math.min(low,t) high=math.max(high,t) end "
               "return {low,high,#keys}");
    run_pipe(pipe_);
    const struct redis_answer *answer = redis_answer(pipe_, 0);
    assert_int_equal(answer->kind, REDIS_LIST);
    assert_true(answer->items[2].number > 0);
    assert_true(answer->items[0].number > 0);
    assert_true(answer->items[1].number <= most_ms);
}

/* ---- garbage ---- */

enum { GARBAGE = 14 };

/* Each of these under the key of a hash, a set or a text is told as garbage, and replaced. */
static inline void make_garbage(int kind, struct str key)
{
    switch (kind) {
    case 0: TELL(STR("SET"), key, STR("text")); break;
    case 1: TELL(STR("LPUSH"), key, STR("a"), STR("b")); break;
    case 2: TELL(STR("SADD"), key, STR("a")); break;
    case 3: TELL(STR("XADD"), key, STR("*"), STR("a"), STR("b")); break;
    case 4: TELL(STR("HSET"), key, STR("snapshot"), STR("-1")); break;
    case 5: TELL(STR("HSET"), key, STR("snapshot"), STR("inf")); break;
    case 6: TELL(STR("HSET"), key, STR("snapshot"), STR("99999999999999999")); break;
    case 7: TELL(STR("HSET"), key, STR("version"), STR("1e3"), STR("snapshot"), STR("5")); break;
    case 8: TELL(STR("HSET"), key, STR("version"), STR("")); break;
    case 9: TELL(STR("ZADD"), key, STR("1"), STR("a")); break;
    case 10: TELL(STR("SET"), key, STR("[1]")); break;
    case 11: TELL(STR("SET"), key, STR("{\"snapshot\":\"x\"}")); break;
    case 12: TELL(STR("SET"), key, STR("{\"snapshot\":1.5}")); break;
    default: TELL(STR("SET"), key, STR("{\"snapshot\":99} ...")); break;
    }
}

#endif
