/*
 * signals.h: being asked to stop.
 *
 * SIGINT and SIGTERM set a flag that long work looks at between two steps: it then finishes what it
 * has begun, keeps what is acknowledged and returns KOL_INTERRUPTED (exit status 130). A second
 * signal within the wait ends the process at once. SIGPIPE is ignored: a closed pipe is a write
 * error.
 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include <stdbool.h>

/* Installs the handlers; once, early in main(). */
void signals_install(void);

bool signals_stop_asked(void);

/* Sets or clears the flag by hand (tests, and a room that ends its own process). */
void signals_ask_stop(bool stop);

/* From here on SIGHUP asks for a reload instead of ending the process. */
void signals_catch_reload(void);
/* Whether one was asked for since the last call. */
bool signals_take_reload(void);

/* A descriptor that becomes readable when a stop is asked for, for poll(2). -1 before the install.
 */
int signals_stop_fd(void);

#endif
