/*
 * parts.h: what the files of api/ share. Private to the room.
 *
 *   api.c       opening, refreshing, the app
 *   copy.c      the online copy in use, and older ones that cursors pin
 *   cached.c    between a call and its handler: the cache in the process
 *   keys.c      the key store
 *   routes.c    the tables: routes.def, params.h, schemas.def, problems.def
 *   json.c      a KOL, its scores, a content as JSON, out of records
 *   list.c      filters, sort, paging and cursors of lists; csv.c their CSV twin; export.c
 *   kols.c scores.c explain.c history.c similar.c content.c trending.c stats.c search.c predict.c
 *   forecast.c events.c admin.c ops.c    the handlers, one resource each
 */
#ifndef API_PARTS_H
#define API_PARTS_H

#include "api/api.h"
#include "cache/l1.h"
#include "log/bus.h"
#include "online/live.h"
#include "online/online.h"
#include "registry/registry.h"

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

/* An opened copy with what belongs to it, counted. */
struct api_copy {
    struct online_copy *online;
    const struct online_info *info;
    struct api_columns kol;
    struct api_content_columns content;
    struct api_totals *totals; /* of lists by filter, see list.c */
    struct api_sessions *sessions;
    _Atomic long holders;
};

struct api_copies;
enum kol_status api_copies_open(const struct api_options *options, struct api_copies **out,
                                struct kol_error *err) KOL_CHECKED;
void api_copies_close(struct api_copies **copies);
/* Where a newer copy is current it becomes the one that api_copy_take() gives; the old one stays
 * open for 15 minutes for cursors. */
enum kol_status api_copies_refresh(struct api_copies *copies, bool *changed,
                                   struct kol_error *err) KOL_CHECKED;
/* The current copy, or NULL where there is none. */
struct api_copy *api_copy_take(struct api_copies *copies);
/* The copy of this number (a cursor's). KOL_NOT_FOUND once it is gone. */
enum kol_status api_copy_numbered(struct api_copies *copies, int64_t number, struct api_copy **out,
                                  struct kol_error *err) KOL_CHECKED;
void api_copy_drop(struct api_copies *copies, struct api_copy *copy);

/* A session on its lists for one call: waits for a free one until the call's deadline; statements
 * stop at the deadline, or once the call is cancelled. */
enum kol_status api_session_take(struct http_call *call, struct api_copy *copy,
                                 struct engine_session **out, struct kol_error *err) KOL_CHECKED;
void api_session_drop(struct http_call *call, struct api_copy *copy,
                      struct engine_session **session);

/* ---- api.c ---- */

struct api {
    struct api_options options;
    struct http_app app;
    struct api_copies *copies;
    struct registry *registry;
    struct serving *serving;
    struct live *live;
    struct bus *bus; /* NULL until the first event is posted (bus_lock) */
    struct l1 *l1;   /* NULL: no cache */
    struct api_keys *keys;
    struct api_usage *usage;
    const struct http_server *server;
    _Atomic bool stopping;
    /* The last failure of a refresh, for /readyz; "" for none. */
    char copy_problem[512], model_problem[512];
};

/* The copy for this call: taken at its first use and dropped with api_call_end(), which cached.c
 * calls. Fails with 503 `not_ready` where there is none. */
enum kol_status api_call_copy(struct http_call *call, struct api_copy **out,
                              struct kol_error *err) KOL_CHECKED;
/* The same for the copy that a cursor names: 410 `cursor_expired` where it is gone. */
enum kol_status api_call_copy_numbered(struct http_call *call, int64_t number,
                                       struct api_copy **out, struct kol_error *err) KOL_CHECKED;
const struct score_models *api_call_models(struct http_call *call); /* likewise */
/* Names what the answer is made from, so that it is dropped from the cache when that changes. */
void api_call_tag(struct http_call *call, const char *format, ...) KOL_PRINTF(2, 3);

/* The place of a parameter in the call's route; the name must be there. */
size_t api_field(const struct http_call *call, const char *name);

/* ---- who is meant ---- */

/* The KOL that the call names by `kol_id` and `platform`: `platform:username` is cut at the first
 * colon where a known platform stands before it; without a platform the one with most followers,
 * and `also_on` gets the others. 404 with the nearest names where there is none. */
struct api_who {
    struct online_record record;
    struct str platform, kol_id;
    struct str also_on[8];
    size_t also_count;
};
enum kol_status api_who(struct http_call *call, struct api_copy *copy, struct api_who *out,
                        struct kol_error *err) KOL_CHECKED;
/* Cuts "tiktok:alice"; *platform stays empty where none is named. */
void api_cut_id(struct str text, struct str *platform, struct str *id);

/* ---- json.c ---- */

/* JSON by hand: commas come by themselves. */
struct json {
    struct buf *out;
    bool comma;
};
void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);
void json_name(struct json *json, const char *name);
void json_text(struct json *json, struct str text);
void json_int(struct json *json, int64_t value);
void json_real(struct json *json, double value); /* shortest exact form; NaN: null */
void json_score(struct json *json, double value); /* 2 decimals; NaN: null */
void json_bool(struct json *json, bool value);
void json_time(struct json *json, int64_t time_us);
void json_day(struct json *json, int64_t days);
void json_null(struct json *json);
void json_raw(struct json *json, struct str text);

/* The objects of the schemas KOLProfile, KOLScore, Content. `fields`: only these members (NULL: all;
 * kol_id and platform are always there). `also`: NULL or where the id is also found. A live score
 * that is newer than the copy's is taken by api_scores_of(). */
void api_put_profile(struct json *json, const struct api_copy *copy,
                     const struct online_record *record, const struct str *fields,
                     size_t field_count, const struct api_who *who);

struct api_scores; /* scores.c: of one KOL: the copy's, or the live ones where they are newer */
void api_put_score(struct json *json, struct http_call *call, const struct api_copy *copy,
                   const struct online_record *record);
void api_put_content(struct json *json, const struct api_copy *copy,
                     const struct online_record *record);
/* as_of and snapshot, which every answer tells. */
void api_put_source(struct json *json, const struct api_copy *copy);

/* ---- handlers ---- */

#define ROUTE(name, ...) http_handler api_##name;
#include "api/routes.def"
#undef ROUTE

#endif
