/*
 * settle.c: telling Redis of the sessions that began and ended without it, once it answers again.
 *
 * The live store remembers them. Many rows go in one exchange; those that Redis has taken leave the
 * store, the others are tried again a second later. What holds where this dies at any point, and
 * against who signs out meanwhile, is said in signed_in.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "api/signed_in.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/logger.h"
#include "base/signals.h"

enum { SETTLED_ONCE = 64 }; /* rows of one exchange */
#define NS INT64_C(1000000000)
#define SETTLING_NS (NS / 5) /* after that no further exchange is begun in one go */

struct unsettled {
    char key[SIGNED_HASH_CHARS + 1];
    unsigned char hash[KEYS_HASH_BYTES];
    bool over;
    int64_t event_time_us;
    uint64_t version;
    struct signed_session session;
};

/* What one exchange tells Redis of. */
struct settling {
    struct unsettled rows[SETTLED_ONCE];
    struct signed_telling telling[SETTLED_ONCE];
    struct live_write writes[SETTLED_ONCE];
    size_t count;
};

static bool take_unsettled(const struct live_value *value, void *user)
{
    struct settling *settling = user;
    struct unsettled *row = &settling->rows[settling->count];
    *row = (struct unsettled){.over = str_equal(value->bytes, SIGNED_UNTOLD),
                              .event_time_us = value->event_time_us,
                              .version = value->version};
    if (value->key.len != SIGNED_HASH_CHARS || !keys_read_hex(value->key, row->hash) ||
        (!row->over && !api_signed_take_live(value, &row->session))) {
        return true;
    }
    memcpy(row->key, value->key.ptr, SIGNED_HASH_CHARS);
    settling->count++;
    return settling->count < SETTLED_ONCE;
}

/* The next rows behind `from`, in the order of their keys. */
static void list_unsettled(struct api *api, struct str from, struct settling *settling)
{
    struct kol_error err;
    settling->count = 0;
    if (live_list(api->live, LIVE_SESSION, STR(""), from, take_unsettled, settling, &err) !=
        KOL_OK) {
        log_warn("the store of sessions cannot be read: %s", err.message);
    }
}

/* Tells Redis of all rows; only those that it has taken are left then. Where the exchange failed
 * some may have landed all the same (a node of a cluster is gone), and must not be told again after
 * somebody ended them: each is told by itself. False: Redis takes nothing. */
static bool tell_rows(struct api *api, struct settling *settling, int64_t last_ns)
{
    struct signed_telling *telling = settling->telling;
    size_t told = 0;
    for (size_t i = 0; i < settling->count; i++) {
        const struct unsettled *row = &settling->rows[i];
        telling[i] =
            (struct signed_telling){.hash = row->hash, .session = row->over ? NULL : &row->session};
    }
    bool ran = api_signed_tell(api, telling, settling->count, clock_mono_ns() + NS);
    const bool apart = !ran && settling->count > 1;
    for (size_t i = 0; apart && i < settling->count && clock_mono_ns() < last_ns; i++) {
        (void)api_signed_tell(api, &telling[i], 1, clock_mono_ns() + NS);
    }
    for (size_t i = 0; i < settling->count; i++) {
        if (telling[i].told) {
            settling->rows[told++] = settling->rows[i];
        }
    }
    settling->count = told;
    return ran || told;
}

/* What is in Redis now leaves the store, where nobody has signed out meanwhile. */
static bool write_told(struct api *api, struct settling *settling)
{
    struct kol_error err;
    for (size_t i = 0; i < settling->count; i++) {
        const struct unsettled *row = &settling->rows[i];
        const struct str key = {row->key, SIGNED_HASH_CHARS};
        settling->writes[i] = row->over ? api_signed_write_of_end(key, SIGNED_OVER)
                                        : (struct live_write){.kind = LIVE_SESSION,
                                                              .key = key,
                                                              .event_time_us = row->event_time_us,
                                                              .version = row->version,
                                                              .guarded = true,
                                                              .remove = true};
    }
    if (live_write(api->live, settling->writes, settling->count, &err) != KOL_OK) {
        log_warn("sessions are not settled: %s", err.message);
        return false;
    }
    return true;
}

/* Also where the row is gone: who has no Redis and ends a session just removes it. */
static bool is_over(enum http_session found)
{
    return found == HTTP_SESSION_NONE || found == HTTP_SESSION_ASK;
}

/* Who signed out meanwhile told the store first: that is what is there, and Redis may have been
 * told of the begin behind the end. */
static void end_again(struct api *api, struct settling *settling)
{
    struct signed_session ignored;
    struct kol_error err;
    size_t ended = 0;
    for (size_t i = 0; i < settling->count; i++) {
        const struct unsettled *row = &settling->rows[i];
        if (!row->over && !settling->writes[i].written &&
            is_over(api_signed_ask_live(api, row->hash, &ignored))) {
            settling->telling[ended] = (struct signed_telling){.hash = row->hash};
            settling->writes[ended++] =
                api_signed_write_of_end((struct str){row->key, SIGNED_HASH_CHARS}, SIGNED_UNTOLD);
        }
    }
    if (!ended) {
        return;
    }
    size_t untold = 0;
    (void)api_signed_tell(api, settling->telling, ended, clock_mono_ns() + NS);
    for (size_t i = 0; i < ended; i++) {
        if (!settling->telling[i].told) {
            settling->writes[untold++] = settling->writes[i];
        }
    }
    if (untold && live_write(api->live, settling->writes, untold, &err) != KOL_OK) {
        log_warn("redis is not told of %zu sessions that are over: %s", untold, err.message);
    }
}

/* Adds how many were settled of those of one exchange; false: there is no sense in another. */
static bool settle_some(struct api *api, struct settling *settling, int64_t last_ns,
                        size_t *settled)
{
    if (!tell_rows(api, settling, last_ns)) {
        return false;
    }
    if (settling->count) {
        if (!write_told(api, settling)) {
            return false;
        }
        end_again(api, settling);
        *settled += settling->count;
    }
    return true;
}

/* Goes on while Redis takes something, for a moment: this is the thread that sees keys and copies
 * change, and a stop asked for. What failed is tried again when it begins anew. */
static size_t settle_all(struct api *api, struct settling *settling)
{
    const int64_t last_ns = clock_mono_ns() + SETTLING_NS;
    char from[SIGNED_HASH_CHARS + 2] = "";
    size_t settled = 0;
    bool more = true;
    while (more && clock_mono_ns() < last_ns && !signals_stop_asked()) {
        list_unsettled(api, str_of(from), settling);
        more = settling->count == SETTLED_ONCE;
        if (more) {
            snprintf(from, sizeof from, "%s0", settling->rows[SETTLED_ONCE - 1].key);
        }
        more = settling->count && settle_some(api, settling, last_ns, &settled) && more;
    }
    return settled;
}

/* Of the processes that share the store one settles at a time: a row that another one has settled
 * since it was read would begin a session again that was ended elsewhere in between. Given back by
 * the kernel when the process dies; -1: another one has it. */
static int lock_settling(const struct api *api)
{
    char *path = file_join(api->data, "live/settle.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        log_warn("sessions are not settled: %s: %s", path, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

void api_signed_settle(struct api *api)
{
    if (!api->tier) {
        return;
    }
    struct settling *settling = mem_alloc(sizeof *settling);
    list_unsettled(api, STR(""), settling);
    const int lock = settling->count ? lock_settling(api) : -1;
    const size_t settled = lock >= 0 ? settle_all(api, settling) : 0;
    if (settled) {
        log_info("redis was told of %zu sessions that began or ended without it", settled);
    }
    if (lock >= 0) {
        close(lock);
    }
    free(settling);
}
