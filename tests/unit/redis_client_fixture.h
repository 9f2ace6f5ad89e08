/*
 * redis_client_fixture.h: one redis-server for all tests of a file, and a pipe to it: its group's
 * set-up and end, and what makes it empty before each test.
 */
#ifndef REDIS_CLIENT_FIXTURE_H
#define REDIS_CLIENT_FIXTURE_H

#include "redis_fixture.h"

static struct server server;
static struct redis *redis;
static struct redis_pipe *pipe_;

static int start(void **state)
{
    (void)state;
    make_server(&server);
    const struct redis_options options = over_socket(&server);
    redis = open_redis(&options);
    pipe_ = redis_pipe_new(redis);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_pipe_free(&pipe_);
    redis_close(&redis);
    remove_server(&server);
    return 0;
}

/* The answer to one command, which lives until the next. */
static inline const struct redis_answer *tell(const char *words)
{
    redis_clear(pipe_);
    redis_addf(pipe_, words);
    run_pipe(pipe_);
    return redis_answer(pipe_, 0);
}

static inline int clear(void **state)
{
    (void)state;
    assert_int_not_equal(tell("FLUSHALL")->kind, REDIS_ERROR);
    assert_int_not_equal(tell("CONFIG SET maxmemory 0")->kind, REDIS_ERROR);
    return 0;
}

#endif
