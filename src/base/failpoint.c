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
static long hits;

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

void failpoint_pass(const char *name)
{
    const char *wanted = getenv("KOL_TEST_FAILPOINT");
    pthread_mutex_lock(&lock);
    note_first(name);
    size_t len = strlen(name);
    if (wanted && !strncmp(wanted, name, len) && (wanted[len] == '\0' || wanted[len] == ':')) {
        long at = wanted[len] ? atol(wanted + len + 1) : 1;
        if (++hits == at) {
            kill(getpid(), SIGKILL);
        }
    }
    pthread_mutex_unlock(&lock);
}

#else

/* A translation unit may not be empty. */
typedef int failpoint_nothing;

#endif
