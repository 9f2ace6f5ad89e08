/*
 * clock.h: what time it is, and times as text.
 *
 * A point in time is an int64_t of microseconds since 1970-01-01T00:00:00Z, everywhere in the
 * program and in the tables. Tests replace the wall clock, so nothing else may ask the system.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define CLOCK_US_PER_SECOND INT64_C(1000000)
#define CLOCK_US_PER_HOUR (INT64_C(3600) * CLOCK_US_PER_SECOND)
#define CLOCK_US_PER_DAY (INT64_C(86400) * CLOCK_US_PER_SECOND)

/* Wall clock in microseconds, or the fixed time that a test has set. */
int64_t clock_now_us(void);

/* The same several times cheaper, but up to CLOCK_ROUGH_US behind: for a first look at a deadline.
 */
#define CLOCK_ROUGH_US INT64_C(10000)
int64_t clock_rough_us(void);

/* Nanoseconds that never run backwards: for durations only. */
int64_t clock_mono_ns(void);

/* CPU time of the whole process in nanoseconds. */
int64_t clock_cpu_ns(void);

/* From now on clock_now_us() answers `now_us`; 0 gives the system's clock back. For tests; the
 * environment variable KOL_TEST_NOW (RFC 3339) does the same for a whole process. */
void clock_fix(int64_t now_us);

/* Reads RFC 3339 ("2025-05-14T21:17:24.5+07:00"; 'T' may be 't' or a space; the zone is required).
 * Digits beyond the microsecond are cut; second 60 is taken as the following second. False on
 * anything else, a date that does not exist included. */
bool clock_parse(struct str text, int64_t *out_us);

/* Reads "YYYY-MM-DD" as the start of that day in UTC. */
bool clock_parse_day(struct str text, int64_t *out_us);

/* Appends RFC 3339 in UTC with 'Z'; a fraction of six digits only where there is one. */
void clock_format(struct buf *buf, int64_t time_us);

#endif
