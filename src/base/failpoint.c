/*
 * failpoint.c: the test build's places to die at, see failpoint.h.
 */
#include "base/failpoint.h"

#ifdef KOL_FAILPOINTS

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { MAX_POINTS = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *passed[MAX_POINTS];
static size_t passed_count;
static long hits;     /* of the point to die at */
static long failures; /* passings of the point to fail at */

static void note_first(const char *name)
{
    const char *path = getenv("KOL_TEST_FAILPOINT_LIST");
    for (size_t i = 0; i < passed_count; i++) {
        if (!strcmp(passed[i], name)) {
            return;
        }
    }
    KOL_ASSERT(passed_count < MAX_POINTS);
    passed[passed_count++] = name;
    if (path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        KOL_ASSERT(fd >= 0);
        dprintf(fd, "%s\n", name);
        close(fd);
    }
}

/* The passings that a variable asks for at this point, "1" where it names none; NULL where it asks
 * for another point. */
static const char *asked(const char *variable, const char *name)
{
    const char *wanted = getenv(variable);
    size_t len = strlen(name);
    if (!wanted || strncmp(wanted, name, len) || (wanted[len] != '\0' && wanted[len] != ':')) {
        return NULL;
    }
    return wanted[len] ? wanted + len + 1 : "1";
}

void failpoint_pass(const char *name)
{
    pthread_mutex_lock(&lock);
    note_first(name);
    const char *at = asked("KOL_TEST_FAILPOINT", name);
    if (at && ++hits == atol(at)) {
        kill(getpid(), SIGKILL);
    }
    pthread_mutex_unlock(&lock);
}

bool failpoint_fails(const char *name)
{
    bool fails = false;
    pthread_mutex_lock(&lock);
    const char *at = asked("KOL_TEST_FAILURE", name);
    if (at) {
        const char *last = strchr(at, '-');
        failures++;
        fails = failures >= atol(at) && failures <= atol(last ? last + 1 : at);
    }
    pthread_mutex_unlock(&lock);
    return fails;
}

#else

/* A translation unit may not be empty. */
typedef int failpoint_nothing;

#endif
