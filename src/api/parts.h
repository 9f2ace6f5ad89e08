/*
 * parts.h: what the files of api/ share. Private to the room.
 *
 *   routes.c   the tables: routes.def, params.h, schemas.def, problems.def
 *   api.c      opening, refreshing, the app; what a call holds while it is worked on
 *   copy.c     the online copy in use, and older ones that cursors pin; sessions on its lists
 *   cached.c   between a call and its handler: the cache in the process
 *   keys.c     the key store; keys_change.c what changes it; usage.c how much each key asked;
 *              signed_in.c sessions of those who signed in, signed_stores.c where they are kept,
 *              settle.c what Redis missed; sign_in.c their handlers
 *   red.c      requests by route for /metrics
 *   json.c     JSON; profile.c, score.c a KOL, its scores, a content as JSON, out of records
 *   session.c  sessions on the lists of a copy
 *   who.c      which KOL a call means
 *   list.c     filters, sort, paging and cursors of lists; csv.c their CSV twin; export.c
 *   kols.c scores.c explain.c history.c similar.c content.c trending.c stats.c search.c predict.c
 *   forecast.c events.c admin.c ops.c    the handlers, one resource each
 *   value.h     values of the cache between processes (Redis); tiered.c, values.c, mend.c
 *   gather.c    calls that ask Redis for a key each, asked at once
 *   live.c      scores that Redis has of newer events; warmer.c keeps Redis warm
 *   limits.c    one rate limit for all processes
 *
 * How to add a resource: its rows are in routes_<resource>.def; write the handlers in
 * <resource>.c with that file in meson.build, then include the rows in routes.def. A handler gets
 * the copy by api_call_copy(), the models by api_call_models(), writes JSON into a buffer, and ends
 * in api_answer(). All that it took is let go by itself. It names what the answer depends on beside
 * the copy by api_call_tag() ("kol:tiktok:alice"); the copy and the models are named by themselves.
 */
#ifndef API_PARTS_H
#define API_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "base/mem.h"
#include "cache/l1.h"
#include "domain/event.h"
#include "log/bus.h"
#include "online/live.h"
#include "online/online.h"
#include "registry/registry.h"
#include "serve/tier.h"

#define KOL_API_VERSION "1"

/* ---- routes.c ---- */

#define ROUTE(name, ...) http_handler api_##name;
#include "api/routes.def"

/* The tables, without hooks. */
void api_tables(struct http_app *out);
/* A schema by name; one that schemas.def lacks is a bug and panics. */
const struct http_schema *api_schema(const char *name);
const struct http_schema *api_find_schema(const char *name); /* NULL: there is none */
/* Those members of KOLProfile, KOLRow or Content that come from the columns of the lake. */
const struct http_field *api_schema_columns(const char *name, size_t *count);
/* The place of a parameter in the call's route; the name must be there. */
size_t api_field(const struct http_call *call, const char *name);

/* ---- copy.c ---- */

/* Where the columns of one opened copy are that the program itself reads, by name; -1: none. */
struct api_columns {
#define KOL_COLUMN(name) int name;
#include "api/kol_columns.def"
#undef KOL_COLUMN
};
struct api_content_columns {
#define CONTENT_COLUMN(name) int name;
#include "api/content_columns.def"
#undef CONTENT_COLUMN
};

/* A member of an object that is a column of the records as it is. */
struct api_member {
    const char *name;
    int column; /* -1: the copy lacks it */
    enum http_kind kind;
};

/* An opened copy with what belongs to it, counted by its holders. */
struct api_copy {
    struct online_copy *online;
    const struct online_info *info;
    struct api_columns kol;
    struct api_content_columns content;
    struct api_member *kol_members, *content_members; /* see api_schema_columns() */
    size_t kol_member_count, content_member_count;
    struct api_sessions *sessions;
    /* What a resource keeps of a copy as long as it is open (totals by filter, a list that does not
     * change): made at the first use by api_copy_kept(). */
    struct api_kept *kept;
    _Atomic long holders;
};

/* The value that `make` gave for this copy; of several threads one makes it, the others wait. A
 * value NULL is a failure, which is tried again at the next call. `key` is a constant of the
 * caller; `free_value` runs when the copy is closed. */
enum kol_status api_copy_kept(struct api_copy *copy, const char *key,
                              enum kol_status (*make)(struct api_copy *copy, void *user, void **out,
                                                      struct kol_error *err),
                              void *user, void (*free_value)(void *value), void **out,
                              struct kol_error *err) KOL_CHECKED;

/* The value where it is there, else NULL; it does not wait for one that is in the making. */
void *api_copy_kept_ready(struct api_copy *copy, const char *key);

/* Whether a table of the lake ("silver.kol_daily") is in the lists of the copy: a run that lacks it
 * makes a copy without it. */
bool api_copy_has(const struct api_copy *copy, const char *table);

struct api_copies;
/* A data folder without a copy is fine: there is none then until a refresh finds one. */
enum kol_status api_copies_open(const struct api_options *options, struct api_copies **out,
                                struct kol_error *err) KOL_CHECKED;
void api_copies_close(struct api_copies **copies); /* all must be dropped before */
/* Where a newer copy is current it becomes the one that api_copy_take() gives. KOL_NOT_FOUND where
 * there is none at all. */
enum kol_status api_copies_refresh(struct api_copies *copies, bool *changed,
                                   struct kol_error *err) KOL_CHECKED;
/* The current copy, held, or NULL where there is none. */
struct api_copy *api_copy_take(struct api_copies *copies);
/* Its number, without a lock; 0: there is none. */
int64_t api_copies_number(const struct api_copies *copies);
/* The copy of this number (a cursor's), held: opened again where it is an older one. KOL_NOT_FOUND
 * once its folder is gone, ONLINE_KEEP_US after its successor. */
enum kol_status api_copy_numbered(struct api_copies *copies, int64_t number, struct api_copy **out,
                                  struct kol_error *err) KOL_CHECKED;
void api_copy_hold(struct api_copy *copy);
void api_copy_drop(struct api_copy *copy); /* NULL is fine */

/* A session on its lists for one call: waits for a free one until the call's deadline
 * (KOL_TIMEOUT); statements stop once nobody waits for the answer any more. At most one a call at a
 * time; dropped with the call where the handler does not. */
enum kol_status api_session_take(struct http_call *call, struct api_copy *copy,
                                 struct engine_session **out, struct kol_error *err) KOL_CHECKED;
void api_session_drop(struct http_call *call, struct engine_session **session);

/* The pool of sessions of one copy: made with it, used by api_session_take(). */
struct api_sessions *api_sessions_new(struct online_copy *online, int most);
void api_sessions_free(struct api_sessions **sessions);

/* ---- api.c ---- */

struct api {
    struct api_options options;
    char *data;
    struct http_app app;
    int64_t started_us;
    struct api_copies *copies;
    struct registry *registry;
    struct serving *serving;
    struct live *live;
    struct bus *bus; /* NULL until the first event is posted; see api_bus() */
    pthread_mutex_t bus_lock;
    struct l1 *l1;             /* NULL: no cache */
    struct tier *tier;         /* Redis behind it; NULL: none is configured */
    struct api_warmer *warmer; /* NULL: none, or without Redis */
    struct api_gather *gather; /* NULL: Redis is not asked first */
    struct api_limits *limits;
    struct api_keys *keys;
    struct api_signed *signed_in;
    struct api_usage *usage;
    struct api_red *red;
    _Atomic(const struct http_server *) server; /* set by api_attach() */
    _Atomic bool stopping;
    /* The last failure of a refresh, for /readyz; "" for none. */
    pthread_mutex_t problem_lock;
    char copy_problem[512], model_problem[512], key_problem[512];
    char measured_model[SCORE_KINDS][96]; /* label of what /metrics last said to serve */
};

/* What a call holds, in its slot; made at the first use, let go by api_call_end(), which cached.c
 * calls behind every handler. */
struct api_asked; /* see tiered.h */
struct api_call {
    struct api *api;
    struct api_copy *copy;
    const struct score_models *models;
    struct engine_session *session;
    struct api_copy *session_copy;
    struct l1_load *load; /* whose end others may wait for; NULL: none */
    struct str *tags;     /* in the call's arena */
    size_t tag_count;
    bool too_many_tags;      /* the answer is not kept */
    bool weak;               /* as in l1_value: Redis should have been asked, and was not */
    struct l1_stamp *stamps; /* in the call's arena */
    size_t stamp_count;
    struct api_asked *asked; /* what was read for it ahead, see gather.c; NULL: nothing */
    const char *tier_said;   /* how Redis was of use, for Cache-Status; NULL: it was not asked */
};
struct api_call *api_call_of(struct http_call *call);
void api_call_end(struct http_call *call);
/* False once the work on a call is for nobody: its client is gone or was answered, and no other
 * call waits for the same answer. */
bool api_call_wanted(struct http_call *call);

struct api *api_of(const struct http_call *call);
/* The copy for this call: taken at its first use. 503 `not_ready` where there is none. */
enum kol_status api_call_copy(struct http_call *call, struct api_copy **out,
                              struct kol_error *err) KOL_CHECKED;
/* The same for the copy that a cursor names: 410 `cursor_expired` where it is gone. */
enum kol_status api_call_copy_numbered(struct http_call *call, int64_t number,
                                       struct api_copy **out, struct kol_error *err) KOL_CHECKED;
/* The same without an answer where it is gone: KOL_NOT_FOUND. The call has no copy yet. */
enum kol_status api_call_try_copy(struct http_call *call, int64_t number, struct api_copy **out,
                                  struct kol_error *err) KOL_CHECKED;
/* The models that serve, likewise. Never NULL; a member without a model has gbdt NULL. */
const struct score_models *api_call_models(struct http_call *call);
/* Names what the answer is made from, so that it is dropped from the cache when that changes. At
 * most API_TAGS a call; further ones are left out, and the answer is then not kept. */
enum { API_TAGS = 256 };
void api_call_tag(struct http_call *call, const char *format, ...) KOL_PRINTF(2, 3);

/* Says that the answer is made without what Redis may have: it does not take the place of one that
 * may be newer. */
void api_call_weak(struct http_call *call);
/* Says of when the scores of a KOL are that the answer tells: nothing in it is newer than its
 * copy, but these. At most API_STAMPS a call, one for each KOL. */
enum { API_STAMPS = 10 };
void api_call_stamp(struct http_call *call, struct str platform, struct str kol_id, int64_t at_us);

/* Ends a handler: `body` is the JSON answer, which is freed. Always KOL_OK. */
enum kol_status api_answer(struct http_call *call, struct buf *body);

/* ---- cached.c ---- */

struct http_answer *api_quick(struct http_call *call, struct http_sending *sending, void *user);
void api_work(struct http_call *call, void *user);

/* ---- admin.c ---- */

/* Takes answers out of the cache in the process: those under a "key" (of the cache, or of Redis),
 * a "prefix", a "tag", or "all"; returns how many. */
size_t api_purge_l1(struct api *api, struct str what, struct str name);
/* The member `scopes`: their names. */
struct json;
void api_put_scopes(struct json *json, http_scopes scopes);

/* ---- gather.c ---- */

/* Asks Redis for the keys of many calls at once: hooks of struct http_app, on the event threads. */
struct api_gather;
struct api_gather *api_gather_start(struct api *api);
void api_gather_stop(struct api_gather **gather); /* no call is under way any more */
bool api_gather_take(struct http_call *call, void (*work)(void *call), void *user);
void api_gather_besides(size_t loop, struct http_aside *aside, void *user);

/* ---- warmer.c ---- */

/* A thread that warms Redis on start, after each new copy, and every warm.interval. */
struct api_warmer;
struct api_warmer *api_warmer_start(struct api *api);
void api_warmer_wake(struct api_warmer *warmer);
void api_warmer_stop(struct api_warmer **warmer);

/* ---- limits.c ---- */

enum { API_USE_SIGN_IN = 1 }; /* what is counted beside calls: http_use.kind */

/* A thread that tells the limits which all processes share what this one let through. */
struct api_limits;
struct api_limits *api_limits_start(struct api *api);
/* The server whose limits they are; NULL: none, from the return on nothing is asked of the one
 * before. */
void api_limits_attach(struct api_limits *limits, const struct http_server *server);
void api_limits_counted(void *limits); /* http_app.counted */
void api_limits_stop(struct api_limits **limits);

/* ---- keys.c, usage.c ---- */

struct api_keys;
/* `text`: keys of the option serve.api_keys, comma-separated, or NULL. */
enum kol_status api_keys_open(const char *data, const char *text, struct api_keys **out,
                              struct kol_error *err) KOL_CHECKED;
void api_keys_close(struct api_keys **keys);
/* Reads the file again where it has changed (`force`: in any case). A broken file leaves the keys
 * of before. */
enum kol_status api_keys_refresh(struct api_keys *keys, bool force, bool *changed,
                                 struct kol_error *err) KOL_CHECKED;
/* http_app.identify; any thread, never waits. */
bool api_keys_identify(struct api_keys *keys, struct str key, struct http_identity *out);
size_t api_keys_count(struct api_keys *keys); /* valid now */
/* What is known of a key by its id; false: none. */
bool api_keys_find(struct api_keys *keys, struct str id, struct api_key *out);
/* Whom a key's id stands for now, as api_keys_identify() does by the key itself. */
bool api_keys_identity(struct api_keys *keys, struct str id, struct http_identity *out);
/* The HMAC-SHA256 of a text keyed by the hash of a key, which only those have who have the keys;
 * false: no key has this id. */
enum { API_SEAL_BYTES = 32 };
bool api_keys_seal(struct api_keys *keys, struct str id, struct str text,
                   unsigned char out[API_SEAL_BYTES]);

/* ---- signed_in.c ---- */

#define API_COOKIE "kol_session"
#define API_SESSION_US CLOCK_US_PER_DAY /* how long one lasts */

/* The sessions that were seen of late. */
struct api_signed;
struct api_signed *api_signed_new(void);
void api_signed_free(struct api_signed **table);
/* Whom a token stands for: http_app.session. */
enum http_session api_signed_find(struct api *api, struct str token, int64_t until_ns,
                                  struct http_identity *out);
/* Begins a session; `token` gets what the browser keeps, which is kept nowhere else. */
enum kol_status api_signed_begin(struct api *api, const struct http_identity *who,
                                 int64_t expires_us, int64_t until_ns, struct buf *token,
                                 struct kol_error *err) KOL_CHECKED;
/* Ends the session of a token, if there is one. False: nobody can tell now, or no store that has it
 * can be told; it may go on. */
bool api_signed_end(struct api *api, struct str token, int64_t until_ns);
/* Tells Redis what began and ended while it did not answer: as much as a moment takes. One thread a
 * process; settle.c. */
void api_signed_settle(struct api *api);

struct api_usage;
struct api_usage *api_usage_new(void);
void api_usage_free(struct api_usage **usage);
/* Any thread; at most 10,000 callers are told apart. */
void api_usage_add(struct api_usage *usage, struct str caller, int status);
void api_usage_get(struct api_usage *usage, struct str caller, int64_t *calls, int64_t *errors);

/* ---- red.c ---- */

struct api_red;
struct api_red *api_red_new(const struct http_app *app); /* of whose routes, which it keeps */
void api_red_free(struct api_red **red);
/* Counts a request; any thread. route NULL: none was found. */
void api_red_add(struct api_red *red, const struct http_route *route, int status,
                 int64_t duration_ns);

/* ---- who.c ---- */

enum { API_PLATFORM_COUNT = 4 };
/* Which enum platform is called so; -1: none. API_PLATFORMS has them in the same order. */
int api_platform_place(struct str name);

/* Cuts "tiktok:alice" at the first colon if a known platform stands before it; else *platform is
 * empty and *id all of it. */
void api_cut_id(struct str text, struct str *platform, struct str *id);

/* The KOL that the call names by `kol_id` and `platform`; without a platform the one with most
 * followers, and `also_on` gets the other platforms. 404 where there is none; 422 where id and
 * parameter name two platforms. Tags the call with kol:platform:id. */
struct api_who {
    struct online_record record;
    struct str platform, kol_id; /* views of the record */
    struct str also_on[API_PLATFORM_COUNT];
    size_t also_count;
};
enum kol_status api_who(struct http_call *call, struct api_copy *copy, struct api_who *out,
                        struct kol_error *err) KOL_CHECKED;
/* The same for any text and platform ("" for none), without an answer: KOL_NOT_FOUND. */
enum kol_status api_who_is(struct api_copy *copy, struct str text, struct str platform,
                           struct api_who *out, struct kol_error *err) KOL_CHECKED;

/* ---- recents.c ---- */

/* Remembers a search of a user; what cannot be remembered is said in the log. */
void api_remember(struct http_call *call, struct str user, struct str platform, struct str q,
                  struct str folded);

/* ---- json.c ---- */

/* JSON by hand: commas come by themselves. */
struct json {
    struct buf *out;
    bool comma;
    struct json_fields *fields; /* NULL: JSON all through; else see js_fields_begin() */
};
void js_open(struct json *json, char bracket);  /* '{' or '[' */
void js_close(struct json *json, char bracket); /* '}' or ']' */
void js_name(struct json *json, const char *name);
void js_text(struct json *json, struct str text); /* UTF-8 */
void js_int(struct json *json, int64_t value);
void js_real(struct json *json, double value);  /* shortest exact form; not finite: null */
void js_score(struct json *json, double value); /* 2 decimals; not finite: null */
void js_bool(struct json *json, bool value);
void js_time(struct json *json, int64_t time_us);
void js_day(struct json *json, int64_t days); /* since 1970-01-01 */
void js_null(struct json *json);
void js_raw(struct json *json, struct str text); /* JSON already */
void js_texts(struct json *json, const struct str *texts, size_t count);

/*
 * An object as the fields of a hash (serve/shape.h): what writes it is the same, and so are the
 * texts, byte for byte, that serve_to_fields() would make of its JSON; but its members are never
 * put together, to be taken apart again. A list or an object within it is JSON. Members that follow
 * behind the object are fields too.
 */
struct json_fields {
    int depth;    /* brackets that are open */
    size_t count; /* fields that were begun; one that is null ends as none */
    struct {
        size_t name, value; /* where each begins in the buffer; it ends where the next begins */
    } at[SERVE_FIELDS_MAX];
};
/* `out` is empty, and the caller's own as before. */
void js_fields_begin(struct json *json, struct json_fields *fields, struct buf *out);
/* What was written since; in the arena. */
void js_fields_end(const struct json *json, struct arena *arena, struct serve_field **out,
                   size_t *count);

/* name and value in one; unknown is null */
void js_member_text(struct json *json, const char *name, struct str text);
void js_member_bool(struct json *json, const char *name, bool value);
void js_member_real(struct json *json, const char *name, double value);    /* NaN: null */
void js_member_time(struct json *json, const char *name, int64_t time_us); /* 0: null */
void js_member_int(struct json *json, const char *name, int64_t value);
/* A cell of a record as its kind says; null where it is unknown. Scores are shown by
 * js_member_score(). */
void js_member_cell(struct json *json, const char *name, const struct online_record *record,
                    int column, enum http_kind kind);
void js_member_score(struct json *json, const char *name, const struct online_record *record,
                     int column);

/* ---- profile.c, score.c: objects of schemas.def ---- */

struct api_profile_options {
    const struct str
        *fields; /* only these members; NULL: all. kol_id and platform are always there */
    size_t field_count;
    const struct api_who *who; /* for also_on; NULL: not looked up, so it is left out */
    bool scores;               /* with the member `scores` of KOLRow, out of the copy */
};
/* KOLProfile or KOLRow; `options` NULL: all of it. */
void api_put_profile(struct json *json, const struct api_copy *copy,
                     const struct online_record *record, const struct api_profile_options *options);
/* True if KOLRow has a member of this name, for `fields=`. */
bool api_profile_has(struct str name);

/* The scores of a KOL as numbers: the copy's, and the live ones in their place where they are
 * newer. Texts are views of the record or of `arena`. */
struct api_score {
    double trust, confidence, success, trending, composite; /* NaN: none */
    struct str trust_label, risk_level, model_version;
    struct str success_label, success_method, success_model_version;
    struct str trending_label;
    int64_t scored_us, trending_as_of_us; /* 0: unknown */
    bool in_domain, live;
    struct str out_of_domain[32];
    size_t out_count;
};
/* `live` NULL: the copy's alone. A live store that fails is passed over, counted and logged. */
void api_score_of(const struct api_copy *copy, const struct online_record *record,
                  struct live *live, struct arena *arena, struct api_score *out);
/* The same for a call, which also asks Redis where it is configured, and is tagged with the key. */
void api_score_now(struct http_call *call, const struct api_copy *copy, const struct api_who *who,
                   struct api_score *out);
/* Puts scores of an event in the place of those that are there: what `object` (a jansson object)
 * has of the members of KOLScore. */
void api_score_take(void *object, int64_t event_time_us, struct arena *arena,
                    struct api_score *out);
/* KOLScore. */
void api_put_score(struct json *json, const struct api_copy *copy,
                   const struct online_record *record, const struct api_score *score);
/* Content. */
void api_put_content(struct json *json, const struct api_copy *copy,
                     const struct online_record *record);
/* as_of and snapshot, which every answer tells. */
void api_put_source(struct json *json, const struct api_copy *copy);

#endif
