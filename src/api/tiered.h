/*
 * tiered.h: what the two files of tiered reading share. Private to them.
 */
#ifndef API_TIERED_H
#define API_TIERED_H

#include "api/value.h"
#include "serve/tier.h"

enum { API_KEY_MAX = 600 }; /* bytes of a key; longer ones are not asked for */

/* One reading of a key by a call. */
struct api_asked {
    struct http_call *call;
    struct tier *tier;
    enum serve_key kind;
    struct str parts[SERVE_PARTS];
    struct str key;
    /* Read ahead: what L1 had dropped, and the copy's number, before it was asked for. */
    uint64_t drops;
    int64_t copy;
    uint64_t print; /* of what Redis has; 0: nothing, or the value is from the copy */
    enum tier_read read;
    bool old;    /* what Redis has is of a snapshot that is over */
    bool bad;    /* what Redis has is of no use: it is replaced, although it is not older */
    bool unsaid; /* Redis answered, but by an error: what it has is not known */
    /* What came of it, by the type of the key. */
    struct serve_hash hash;
    struct str json; /* of a HASH: the object that it is */
    struct serve_set set;
    struct serve_text text;
};

/* Spells the key; false where it is too long, or a part of it is empty. */
bool api_ask_init(struct api_asked *asked, struct http_call *call, enum serve_key kind,
                  struct str first, struct str second);

/* To be called before a key is asked for whose value a load that begins later is to use. */
void api_ask_ahead(struct api_asked *asked);
/* Fills in the value: from Redis, or from the copy, which then is written back; one process at a
 * time loads it. KOL_NOT_FOUND: the copy has none, or Redis is not to be asked: the handler
 * answers. */
enum kol_status api_ask(struct api_asked *asked, struct kol_error *err) KOL_CHECKED;

/* One exchange for the key, not counted. TIER_SKIPPED: Redis is not to be asked, or did not answer.
 */
enum tier_read api_ask_once(struct api_asked *asked);
/* Has Cache-Status say how Redis was of use. */
void api_ask_say(struct http_call *call, enum tier_read read);

/* Takes what an answer to the key's command in a pipe that was run came to; of a HASH with what it
 * lacks and follows added. TIER_BAD: what is there is of no use. TIER_OLD: it is of a snapshot
 * before that of the copy of this process. */
enum tier_read api_ask_take(struct api_asked *asked, const struct redis_pipe *pipe, size_t place);

/* Whether what was read ahead, and is in `read`, can be answered from without asking Redis again.
 */
bool api_ask_is_enough(const struct api_asked *asked);

/* Fills in the value from a copy; it is written back, with the turn (or NULL). */
enum kol_status api_ask_load(struct api_asked *asked, struct api_copy *copy,
                             const struct tier_turn *turn, struct kol_error *err) KOL_CHECKED;

/* When the event was that a value is of; 0: it does not say. A version alone is such a time. */
int64_t api_event_time_of(const struct serve_hash *hash);

/* Whether the call is answered from one hash, and its key then, in the call's arena (NULL: none is
 * spelled so). */
bool api_tiered_by_key(struct http_call *call);
struct api_asked *api_tiered_key(struct http_call *call);

/* Names the answer's dependence on the key, after its value is filled in. */
void api_ask_tag(struct api_asked *asked);

/* Answers of lists that are sets; KOL_NOT_FOUND as above. */
enum kol_status api_tiered_top(struct http_call *call, struct kol_error *err);
enum kol_status api_tiered_trending(struct http_call *call, struct kol_error *err);
enum kol_status api_tiered_ranking(struct http_call *call, struct kol_error *err);

#endif
