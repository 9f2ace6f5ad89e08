/*
 * log.h: the subcommands of `kol log` that have a file of their own.
 */
#ifndef CMD_LOG_H
#define CMD_LOG_H

#include "cmd/command.h"

/* Prints records of call->args[1]. KOL_INTERRUPTED where a stop was asked for. */
enum kol_status log_tail(const struct invocation *call, struct kol_error *err) KOL_CHECKED;

/* Appends lines of stdin to call->args[1]. Says on stderr how many were taken, also when it fails.
 */
enum kol_status log_produce(const struct invocation *call, struct kol_error *err) KOL_CHECKED;

/* Tries again what went to kol.dead: all of it, or what the file call->args[1] holds. */
enum kol_status log_redrive(const struct invocation *call, struct kol_error *err) KOL_CHECKED;

#endif
