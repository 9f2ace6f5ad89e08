/*
 * api.h: the REST API of SPEC section 4 over the online copy, the models, the live store and the
 * log.
 *
 * One table has every route (routes.def), one every parameter (params.h), one every schema
 * (schemas.def); a file has the handlers of one resource. Handlers run on workers of the HTTP room,
 * read one copy from beginning to end (an answer never mixes two snapshots), write JSON by json.h
 * and never look into the cache: what is kept, and for how long, is the row's policy.
 *
 * Threads: api_open() and api_close() once, all else from any thread.
 */
#ifndef API_API_H
#define API_API_H

#include "base/error.h"
#include "http/http.h"

struct api;
struct bus;
struct redis;

struct api_options {
    const char *data;
    int64_t l1_bytes;     /* bound of the cache in the process; 0: no cache */
    int64_t lists_bytes;  /* memory of SQL over the online copy */
    int sessions;         /* most lists at once; 0: two per CPU */
    const char *api_keys; /* option serve.api_keys, or NULL */
    bool open;            /* no key is asked for (loopback without a key) */
    int64_t log_map_size; /* of the event log */
    int log_partitions;
    int64_t log_retention_us, log_retention_bytes; /* of a topic that is made */
    struct redis *redis;         /* becomes the api's, also where api_open() fails; NULL: none */
    struct redis *redis_patient; /* the same for the warmer, with more time; likewise */
    bool redis_first;            /* see serve/tier.h */
    int64_t redis_ask_us;        /* longest for one exchange of a request; 0: the tier's own */
    int64_t warm_interval_us;    /* how often Redis is warmed; 0: never by the server */
    double warm_fill;            /* see struct warm_options */
    bool older_scores;           /* likewise, for whatever writes scores */
    const char *version;         /* of the program; may be NULL */
};

/* KOL_NOT_FOUND where there is no data folder. Without an online copy or a model it opens all the
 * same: /readyz says what is missing, the routes that need it answer 503 `not_ready`. */
enum kol_status api_open(const struct api_options *options, struct api **out,
                         struct kol_error *err) KOL_CHECKED;
void api_close(struct api **api);

/* The app for http_server_start(); lives as long as the api. NULL api: the tables alone (for docs
 * and checks), constant. */
const struct http_app *api_app(struct api *api);

/* What the server is told of itself, for /readyz and the root page: not ready once it stops. */
void api_attach(struct api *api, const struct http_server *server);
void api_stopping(struct api *api);

/* Looks whether there is a newer online copy or model and swaps; called every second or so by the
 * owner's thread. A failure leaves what serves; it is said in the log once and by /readyz. */
void api_refresh(struct api *api);

/* The event log of the data folder, opened at the first use: a process must not open it twice. It
 * belongs to the api. */
enum kol_status api_bus(struct api *api, struct bus **out, struct kol_error *err) KOL_CHECKED;

/* SIGHUP and POST /admin/reload: keys and models are read again. */
enum kol_status api_reload(struct api *api, struct kol_error *err) KOL_CHECKED;

/* ---- keys (DATA/keys.json: hashes, never keys) ---- */

enum api_scope { API_READ = 1, API_PREDICT = 2, API_WRITE = 4, API_ADMIN = 8 };
extern const char *const api_scope_names[4];

struct api_key {
    char id[64];
    char note[128];
    http_scopes scopes;
    int64_t created_us, expires_us, revoked_us; /* 0: never */
    int64_t rate_per_minute, burst;             /* 0: the server's */
};

/* Makes a key of 256 random bits; `key` gets its text, which is kept nowhere. KOL_EXISTS: the id.
 */
enum kol_status api_key_create(const char *data, const struct api_key *wanted, struct buf *key,
                               struct kol_error *err) KOL_CHECKED;
enum kol_status api_key_list(const char *data, struct arena *arena, struct api_key **out,
                             size_t *count, struct kol_error *err) KOL_CHECKED;
enum kol_status api_key_revoke(const char *data, const char *id, struct kol_error *err) KOL_CHECKED;

#endif
