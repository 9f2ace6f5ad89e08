/* signals.c: the stop flag, and a pipe so that a wait can be woken. */
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"

/* Set by handlers, read by any thread: sig_atomic_t would do for the thread that is interrupted
 * alone. A handler may touch what is atomic without a lock. */
static atomic_int asked;
static atomic_int reload_asked;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "handlers set them");
static int stop_pipe[2] = {-1, -1};

static void on_stop(int number)
{
    int saved = errno;
    if (asked) {
        signal(number, SIG_DFL); /* the second time means now */
        raise(number);
    }
    asked = 1;
    if (stop_pipe[1] >= 0) {
        ssize_t written = write(stop_pipe[1], "", 1);
        (void)written; /* a full pipe is readable already */
    }
    errno = saved;
}

void signals_install(void)
{
    if (stop_pipe[0] < 0 && pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        kol_panic("no pipe for signals");
    }
    struct sigaction action = {.sa_handler = on_stop};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool signals_stop_asked(void)
{
    return asked != 0;
}

void signals_ask_stop(bool stop)
{
    char drained;
    asked = stop;
    if (stop_pipe[1] >= 0 && stop) {
        ssize_t written = write(stop_pipe[1], "", 1);
        (void)written;
    }
    while (!stop && stop_pipe[0] >= 0 && read(stop_pipe[0], &drained, 1) == 1) {
    }
}

int signals_stop_fd(void)
{
    return stop_pipe[0];
}

static void on_reload(int number)
{
    (void)number;
    reload_asked = 1;
}

void signals_catch_reload(void)
{
    struct sigaction action = {.sa_handler = on_reload, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGHUP, &action, NULL);
}

bool signals_take_reload(void)
{
    return atomic_exchange(&reload_asked, 0) != 0;
}
