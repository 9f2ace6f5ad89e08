/*
 * ready.c: responses of the library that an event thread keeps for answers that are asked for again
 * and again.
 *
 * Each header of a response costs the library three allocations, and an answer has ten of them, of
 * which few differ from one request to the next. A response may be queued any number of times, and
 * the library writes its headers down before it goes on to another connection (its state
 * START_REPLY follows on the handler): so those that differ are replaced in between. Only one
 * thread may do that, which is why each event thread keeps its own.
 *
 * Kept are answers that somebody else has as well, a cache: no other comes again. Calls of pages of
 * other origins, whose answers name the origin, go without.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/call.h"

enum {
    SLOT_BITS = 8,
    SLOTS = 1 << SLOT_BITS,
    /* Of an answer that is kept: 2 MiB a thread at the most, with what the library has for each
     * 2.7 MiB. One that the cache lets go of stays until its slot is taken. */
    BYTES_MAX = 8 * 1024,
    VALUE_MAX = 96, /* of a header that differs, with its NUL */
};

const char *const http_differing_names[HTTP_DIFFERING] = {
    [DIFFERING_CACHE_STATUS] = "Cache-Status",
    [DIFFERING_AGE] = "Age",
    [DIFFERING_REQUEST_ID] = "X-Request-Id",
    [DIFFERING_RATE_LIMIT] = "RateLimit-Limit",
    [DIFFERING_RATE_REMAINING] = "RateLimit-Remaining",
    [DIFFERING_RATE_RESET] = "RateLimit-Reset",
};

struct slot {
    uint64_t seen;                          /* the mark of the last one that was not here */
    struct http_likeness likeness;          /* of the response, which holds the answer */
    struct MHD_Response *response;          /* NULL: none is kept */
    char values[HTTP_DIFFERING][VALUE_MAX]; /* what its headers say; "": it has no such header */
};

struct http_ready {
    struct slot slots[SLOTS];
};

struct http_ready *http_ready_new(void)
{
    return mem_zalloc(1, sizeof(struct http_ready));
}

static void empty(struct slot *slot)
{
    if (slot->response) {
        MHD_destroy_response(slot->response);
    }
    slot->response = NULL;
}

void http_ready_free(struct http_ready **ready)
{
    for (size_t i = 0; *ready && i < SLOTS; i++) {
        empty(&(*ready)->slots[i]);
    }
    free(*ready);
    *ready = NULL;
}

/* A number that is the same for those that are alike. */
static uint64_t mark_of(const struct http_likeness *likeness)
{
    const void *const parts[] = {&likeness->answer->forms[likeness->coding],
                                 likeness->cache_control, likeness->vary};
    uint64_t mark = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        mark = (mark ^ (uintptr_t)parts[i]) * UINT64_C(0x9E3779B97F4A7C15);
        mark ^= mark >> 32;
    }
    return mark;
}

static struct slot *slot_of(struct http_ready *ready, uint64_t mark)
{
    return &ready->slots[mark >> (64 - SLOT_BITS)];
}

static bool is_alike(const struct http_likeness *a, const struct http_likeness *b)
{
    return a->answer == b->answer && a->coding == b->coding &&
           a->cache_control == b->cache_control && a->vary == b->vary;
}

/* False: the library has no memory for it, and the response is without that header. */
static bool replace(struct slot *slot, enum http_differing which, const char *value)
{
    const char *name = http_differing_names[which];
    char *there = slot->values[which];
    if (strcmp(there, value) == 0) {
        return true;
    }
    if (*there) {
        MHD_del_response_header(slot->response, name, there);
    }
    strcpy(there, value);
    return !*value || MHD_add_response_header(slot->response, name, value) == MHD_YES;
}

static bool fit(const char *const values[HTTP_DIFFERING])
{
    bool all = true;
    for (size_t i = 0; i < HTTP_DIFFERING; i++) {
        all = all && strlen(values[i]) < VALUE_MAX;
    }
    return all;
}

struct MHD_Response *http_ready_find(struct http_ready *ready, const struct http_likeness *likeness,
                                     const char *const values[HTTP_DIFFERING])
{
    struct slot *slot = slot_of(ready, mark_of(likeness));
    if (!slot->response || !is_alike(&slot->likeness, likeness) || !fit(values)) {
        return NULL;
    }
    for (size_t i = 0; i < HTTP_DIFFERING; i++) {
        if (!replace(slot, (enum http_differing)i, values[i])) {
            empty(slot);
            return NULL;
        }
    }
    return slot->response;
}

bool http_ready_keep(struct http_ready *ready, const struct http_likeness *likeness,
                     const char *const values[HTTP_DIFFERING], struct MHD_Response *response)
{
    if (atomic_load_explicit(&likeness->answer->holds, memory_order_relaxed) <= 1 || !fit(values) ||
        http_answer_bytes(likeness->answer) > BYTES_MAX) {
        return false;
    }
    const uint64_t mark = mark_of(likeness);
    struct slot *slot = slot_of(ready, mark);
    if (slot->seen != mark) {
        slot->seen = mark;
        return false;
    }
    empty(slot);
    slot->likeness = *likeness;
    slot->response = response;
    for (size_t i = 0; i < HTTP_DIFFERING; i++) {
        strcpy(slot->values[i], values[i]);
    }
    return true;
}
