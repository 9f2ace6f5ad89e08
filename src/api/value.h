/*
 * value.h: the values of the keys of serve/keys.def, made from a copy. Private to the room.
 *
 *   value.c    one key's value
 *   values.c   all of them in turn, for the warmer (values.h)
 *   tiered.c   routes whose answers are such values: asked of Redis first
 *   mend.c     what another program left out of a value
 */
#ifndef API_VALUE_H
#define API_VALUE_H

#include "api/lists.h"
#include "serve/warm.h"

/* Who reads a copy: a call, by sessions of the pool and until its deadline, or somebody else, by a
 * session of its own that is opened at the first need. */
struct api_reader {
    struct api_copy *copy;
    struct http_call *call;     /* NULL: somebody else */
    struct engine_session *own; /* closed by api_reader_done() */
};
/* A session for one statement after the other; given back by api_reader_release(). */
enum kol_status api_reader_session(struct api_reader *reader, struct engine_session **out,
                                   struct kol_error *err) KOL_CHECKED;
void api_reader_release(struct api_reader *reader, struct engine_session **session);
void api_reader_done(struct api_reader *reader);

enum {
    API_TOP_LIMIT = 100,    /* the limit under which top lists are kept */
    API_RANKING_MAX = 1000, /* members of a ranking: the highest */
    API_LIST_PAGE = 50,     /* rows of the first page that is kept */
};

/* The value of a key; texts and members in `arena`, out->key is not set. KOL_NOT_FOUND where the
 * copy has nothing of the kind under it. */
enum kol_status api_value_of(struct api_reader *reader, enum serve_key kind,
                             const struct str parts[SERVE_PARTS], struct arena *arena,
                             struct warm_item *out, struct kol_error *err) KOL_CHECKED;

/* All values of a copy, whose hold goes over; closed by api_values_close(). */
struct api_values;
struct api_values *api_values_of(struct api_copy *copy);

/* The schema whose members are the fields of a HASH of this kind. */
const struct http_schema *api_value_schema(enum serve_key kind);

/* True for the names of platforms and "all". */
bool api_is_platform(struct str text);

/* ---- mend.c ---- */

/* Adds what a value lacks and follows from the rest of it or from its key: the id, counts that are
 * never null, the label of a score. What is neither there nor follows stays away. */
void api_mend(enum serve_key kind, const struct str parts[SERVE_PARTS], struct arena *arena,
              struct serve_hash *hash);

/* ---- tiered.c ---- */

/* Runs the handler of a route, or answers from Redis where that is asked first. */
enum kol_status api_handle(struct http_call *call, struct kol_error *err);
/* Whether that would wait for Redis: then not on an event thread. */
bool api_waits(struct http_call *call);

/* ---- of the resources: parts of their answers ---- */

/* The members of PlatformStats; a day's of DailyStats (KOL_NOT_FOUND: nothing was seen). */
enum kol_status api_put_platform_stats(struct json *json, struct api_reader *reader,
                                       struct kol_error *err) KOL_CHECKED;
enum kol_status api_put_daily_stats(struct json *json, struct api_reader *reader, int64_t day,
                                    struct kol_error *err) KOL_CHECKED;
/* KOL_NOT_FOUND; without a platform the one with most views. */
enum kol_status api_find_content(struct api_copy *copy, struct str platform, struct str id,
                                 struct online_record *out, struct kol_error *err) KOL_CHECKED;

/* The rows of content_trending that are shown, the best first; in the arena. */
struct api_trending_rows {
    struct online_key *keys;
    double *scores;
    int64_t *as_of_us;
    size_t count;
};
enum kol_status api_read_trending(struct api_reader *reader, struct str platform, size_t limit,
                                  struct arena *arena, struct api_trending_rows *out,
                                  struct kol_error *err) KOL_CHECKED;

#endif
