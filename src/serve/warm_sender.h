/*
 * warm_sender.h: pipes of writes to Redis, one under way while the next is filled. Private to the
 * warmer.
 *
 * How many bytes a pipe may take follows Redis (additive increase, multiplicative decrease): one
 * that took several times as long by its size as the fastest halves them, and what follows waits as
 * long as it took; each that did not adds a little.
 *
 * How much room there is follows Redis too: the memory in use is asked for with the pipes, and what
 * was sent since is taken to grow it as it did before.
 */
#ifndef SERVE_WARM_SENDER_H
#define SERVE_WARM_SENDER_H

#include "serve/warm.h"

/* One key in a pipe. */
struct warm_sent {
    enum warm_part part;
    int64_t bytes;
    size_t place; /* in the pipe */
    enum serve_done done;
    struct str key; /* of a write with `first`: SERVE_AGAIN, it is to be put once more */
};

/* What a pipe came to, in the order in which its keys were put in. */
struct warm_result {
    const struct warm_sent *sent;
    size_t count;
    struct str why; /* of one that was refused; "": none was */
};

struct warm_sender_options {
    struct redis *redis;
    double fill;
    size_t pipe_bytes;
    int64_t wait_us;
    bool (*stop)(void *user); /* ends the waiting of a back-off; may be NULL */
    void *user;
};

struct warm_sender;
struct warm_sender *warm_sender_new(const struct warm_sender_options *options);
/* Waits for the pipe under way. */
void warm_sender_free(struct warm_sender **sender);

/* Adds a write to the pipe that is being filled. `bytes`: of key and value; `way_bytes`: about what
 * is sent for them. */
void warm_sender_put(struct warm_sender *sender, const struct serve_write *write,
                     enum warm_part part, int64_t bytes, int64_t way_bytes);
/* Whether the pipe that is being filled has all that one may take now. */
bool warm_sender_is_full(const struct warm_sender *sender);
/* How many keys it has, and how many the pipe under way. */
size_t warm_sender_waiting(const struct warm_sender *sender);
size_t warm_sender_going(const struct warm_sender *sender);

/* Waits for the pipe under way; what it came to is valid until the next call. Count 0: none was. */
enum kol_status warm_sender_settle(struct warm_sender *sender, struct warm_result *out,
                                   struct kol_error *err) KOL_CHECKED;
/* Sends the one that was filled, after the pause that is due. None may be under way. */
void warm_sender_go(struct warm_sender *sender);
/* Forgets the one that was filled. */
void warm_sender_drop(struct warm_sender *sender);

/* Whether Redis has room for so many further bytes beside the pipe that is being filled. None may
 * be under way: it is asked where that is not clear. `why` gets the sentence, where it has not. */
enum kol_status warm_sender_room(struct warm_sender *sender, int64_t bytes, bool *room, char *why,
                                 size_t why_size, struct kol_error *err) KOL_CHECKED;
/* Counts what was sent in another way. */
void warm_sender_count(struct warm_sender *sender, int64_t bytes);

#endif
