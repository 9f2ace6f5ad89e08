/*
 * unique.h: whether a key names one row, told by a hash of it. Private.
 */
#ifndef LAKE_UNIQUE_H
#define LAKE_UNIQUE_H

#include "engine/engine.h"

/* `columns`: the key, ready for SQL ("a, b"); `scan`: the SELECT of about `rows` rows. `*unique` is
 * true where no two rows have the same key. False says nothing: two keys may have one hash, and of
 * many rows (or of a number unknown, below 0) nothing is asked. */
enum kol_status lake_is_unique(struct engine_session *session, const char *columns,
                               const char *scan, int64_t rows, bool *unique,
                               struct kol_error *err) KOL_CHECKED;

#endif
