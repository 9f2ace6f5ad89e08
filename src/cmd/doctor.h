/*
 * doctor.h: what a check of `kol doctor` comes to. Private to cmd/.
 */
#ifndef CMD_DOCTOR_H
#define CMD_DOCTOR_H

#include "cmd/command.h"

enum doctor_finding { DOCTOR_FINE, DOCTOR_NOTE, DOCTOR_WRONG };

/* What a check found: appends a sentence to `says`. */
typedef enum doctor_finding doctor_check(const struct invocation *call, struct buf *says);

/* doctor_redis.c: whether Redis answers, has bounds that suit a cache, and takes writes. */
doctor_check doctor_redis;

#endif
