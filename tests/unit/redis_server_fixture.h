/* redis_server_fixture.h: one redis-server for all tests of a file: its group's set-up and end. */
#ifndef REDIS_SERVER_FIXTURE_H
#define REDIS_SERVER_FIXTURE_H

#include "redis_fixture.h"

static struct server server;

static int start(void **state)
{
    (void)state;
    make_server(&server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    remove_server(&server);
    return 0;
}

#endif
