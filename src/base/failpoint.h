/*
 * failpoint.h: places where a test may end the program, as kill -9 would, or make a step fail.
 *
 * Compiled only with -Dfailpoints=true; nothing at all otherwise. KOL_TEST_FAILPOINT=name or name:n
 * kills the process with SIGKILL at the n-th passing (default: the first) of FAILPOINT("name").
 * KOL_TEST_FAILURE=name:n or name:n-m makes FAILPOINT_FAILS("name") true at the n-th (to m-th)
 * passing; the place then fails as its step would.
 * KOL_TEST_FAILPOINT_LIST=FILE appends the name of each point at its first passing to the file, so
 * that a test can find them all. Thread-safe.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#ifdef KOL_FAILPOINTS
#include <stdbool.h>

void failpoint_pass(const char *name);
bool failpoint_fails(const char *name);
#define FAILPOINT(name) failpoint_pass(name)
#define FAILPOINT_FAILS(name) failpoint_fails(name)
#else
#define FAILPOINT(name) ((void)0)
#define FAILPOINT_FAILS(name) false
#endif

#endif
