/*
 * since.h: since when the rows of a table say what they say, for who makes the table anew and keeps
 * the time of each row that says the same again. Private.
 *
 * A row is told by two hashes, of who it is of and of what it says: a join by names would keep them
 * all. Where two rows have both hashes in common, which of a million rows by chance happens once in
 * 10^26, one gets the other's time.
 */
#ifndef LAKE_SINCE_H
#define LAKE_SINCE_H

#include "engine/engine.h"

/* The rows of the version before; of many threads at once to find in, of one to read. */
struct since;

/* Gives the engine two functions: kol_since(who, what) is the time of that row, null where it said
 * something else or was not there. `*since` is asked at each call; NULL: nothing was there. And
 * kol_since_put(), which since_read() uses. */
enum kol_status since_add(struct engine *engine, struct since **since,
                          struct kol_error *err) KOL_CHECKED;

/* Reads them into `*since`, which is that of since_add(): `columns` and `relation` give BIGINTs,
 * who (hash >> 1), what (hash >> 1) and since when (microseconds, ENGINE_NO_TIME: unknown), none of
 * them null, of about `rows` rows. `*since` is NULL where there are too many of them: the engine
 * has to join then. */
enum kol_status since_read(struct engine_session *session, const char *columns,
                           const char *relation, int64_t rows, struct since **since,
                           struct kol_error *err) KOL_CHECKED;
void since_free(struct since **since);

/* True where kol_since() was asked `rows` times, each time about another one that was there before:
 * then no two of these rows are of the same. */
bool since_all_once(const struct since *since, int64_t rows);

#endif
