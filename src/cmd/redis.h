/*
 * redis.h: Redis as the options of redis.* name it. Private to cmd/.
 */
#ifndef CMD_REDIS_H
#define CMD_REDIS_H

#include "base/config.h"
#include "base/error.h"
#include "cache/redis.h"

/* Opens Redis with the limits of requests; nothing is connected yet. NULL inside, and KOL_OK, where
 * none is configured: no address, host, socket or hosts of a cluster. KOL_USAGE names the option
 * that is wrong. */
enum kol_status redis_from_config(const struct config *config, struct redis **out,
                                  struct kol_error *err) KOL_CHECKED;

/* The same for work that nobody waits for: one pipe may take `answer_us`, or redis.answer_time
 * where that is longer. */
enum kol_status redis_from_config_patient(const struct config *config, int64_t answer_us,
                                          struct redis **out, struct kol_error *err) KOL_CHECKED;

/* The same for a command that cannot do without: KOL_USAGE where none is configured. */
enum kol_status redis_from_config_needed(const struct config *config, int64_t answer_us,
                                         struct redis **out, struct kol_error *err) KOL_CHECKED;

#endif
