/*
 * demo.h: a made-up but believable world of KOLs, as events.
 *
 * KOL by KOL, each with all its events in time order; nothing is held from one KOL to the next, so
 * the size of the world costs time alone. KOL i is drawn from the seed and i: it is the same KOL,
 * with the same events, in a world of 1,000 and in one of 10 million. No I/O, no bus, no clock of
 * the machine. What the world is made of, with all numbers: docs/demo.md.
 */
#ifndef IMPORT_DEMO_H
#define IMPORT_DEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "domain/event.h"

/* Rises with every change after which the same options give other bytes. */
#define DEMO_VERSION 1

/* Where the world ends unless it is told: 2025-06-30T00:00:00Z. */
#define DEMO_END_US INT64_C(1751241600000000)

enum { DEMO_MAX_DAYS = 3650, DEMO_MAX_KOLS = 10000000 };

/* Sizes of the reference world: KOLs with a profile, contents. */
enum {
    DEMO_REFERENCE_TIKTOK = 48,
    DEMO_REFERENCE_TWITTER = 37438,
    DEMO_REFERENCE_TIKTOK_CONTENTS = 490,
    DEMO_REFERENCE_YOUTUBE_CONTENTS = 19538,
    DEMO_REFERENCE_YOUTUBE = 7200, /* channels, known from their videos alone */
};

struct demo_options {
    uint64_t seed;
    int64_t kols;   /* 1 .. DEMO_MAX_KOLS; not looked at for the reference world */
    int days;       /* 1 .. DEMO_MAX_DAYS: events lie in the days before end_us */
    int64_t end_us; /* whole seconds; the caller knows that it is not in the future */
    bool reference; /* the sizes above instead of `kols` */
    int64_t first;  /* KOL to begin with, 0 for all: how an interrupted run goes on */
};

/* Where the events go. A status other than KOL_OK ends the run and is what demo_run() returns. */
struct demo_sink {
    /* One event, complete with its id, as event_finish() leaves it; valid during the call. */
    enum kol_status (*event)(void *user, const struct event *event, struct kol_error *err);
    /* All events of KOL `next` - 1 have gone out. */
    enum kol_status (*kol)(void *user, int64_t next, struct kol_error *err);
    void *user;
};

/* Number of KOLs of the world, those without a profile included. */
int64_t demo_kol_count(const struct demo_options *options);

/* KOL_USAGE where an option is outside its bounds or the world would begin before 2005. */
enum kol_status demo_check(const struct demo_options *options, struct kol_error *err) KOL_CHECKED;

/* Makes the world from `first` on, after demo_check(). */
enum kol_status demo_run(const struct demo_options *options, const struct demo_sink *sink,
                         struct kol_error *err) KOL_CHECKED;

#endif
