/*
 * serve.h: the server of `kol serve`, for `kol run` too. Private to cmd/.
 */
#ifndef CMD_SERVE_H
#define CMD_SERVE_H

#include "api/api.h"
#include "cmd/command.h"

/* Opens the API as the options of serve.* say; KOL_USAGE where it would be open to strangers. */
enum kol_status serve_open(const struct invocation *call, struct api **out,
                           struct kol_error *err) KOL_CHECKED;

/* Listens, prints where, serves until a stop is asked for, and stops in order. The flag of
 * signals.h is down again when it returns. */
enum kol_status serve_until_stopped(const struct invocation *call, struct api *api,
                                    struct kol_error *err) KOL_CHECKED;

#endif
