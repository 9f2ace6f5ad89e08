/*
 * ingest_offsets.c: places in the log, as JSON in a table property and in marks of the log.
 *
 * What is stored is always the next offset to read. A partition that nobody has read is at 0, so
 * that what retention dropped before the first read is seen as lost, not passed over.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "lake/ingest_parts.h"

void ingest_offsets_free(struct ingest_offsets *offsets)
{
    free(offsets->next);
    *offsets = (struct ingest_offsets){0};
}

int64_t ingest_offsets_get(const struct ingest_offsets *offsets, int32_t partition)
{
    return partition < offsets->count ? offsets->next[partition] : 0;
}

void ingest_offsets_set(struct ingest_offsets *offsets, int32_t partition, int64_t next)
{
    KOL_ASSERT(partition >= 0 && partition < BUS_MAX_PARTITIONS);
    if (partition >= offsets->count) {
        const size_t size = (size_t)partition + 1;
        offsets->next = mem_realloc(offsets->next, size * sizeof *offsets->next);
        for (int32_t p = offsets->count; p <= partition; p++) {
            offsets->next[p] = 0;
        }
        offsets->count = partition + 1;
    }
    offsets->next[partition] = next;
}

void ingest_offsets_copy(struct ingest_offsets *to, const struct ingest_offsets *from)
{
    to->count = 0; /* what was there is overwritten */
    for (int32_t p = 0; p < from->count; p++) {
        ingest_offsets_set(to, p, from->next[p]);
    }
}

bool ingest_offsets_equal(const struct ingest_offsets *a, const struct ingest_offsets *b)
{
    const int32_t count = a->count > b->count ? a->count : b->count;
    for (int32_t p = 0; p < count; p++) {
        if (ingest_offsets_get(a, p) != ingest_offsets_get(b, p)) {
            return false;
        }
    }
    return true;
}

/* ---- JSON ---- */

static enum kol_status corrupt(struct kol_error *err, const char *what)
{
    return kol_fail(err, KOL_CORRUPT,
                    INGEST_OFFSETS_PROPERTY ": %s; it says how far the table has read the log and "
                                            "must be as kol wrote it",
                    what);
}

/* NULL reads as an empty object; NULL comes back for what is no object. */
static json_t *read_object(const char *json)
{
    json_t *root = json ? json_loads(json, JSON_REJECT_DUPLICATES, NULL) : json_object();
    if (root && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

static enum kol_status read_place(const char *name, const json_t *value, struct ingest_offsets *out,
                                  struct kol_error *err)
{
    int64_t partition;
    if (!str_to_int64(str_of(name), &partition) || partition < 0 ||
        partition >= BUS_MAX_PARTITIONS) {
        return corrupt(err, "a partition is no number");
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return corrupt(err, "an offset is no whole number");
    }
    ingest_offsets_set(out, (int32_t)partition, json_integer_value(value));
    return KOL_OK;
}

enum kol_status ingest_offsets_read(const char *json, const char *topic, struct ingest_offsets *out,
                                    struct kol_error *err)
{
    out->count = 0;
    json_t *root = read_object(json);
    if (!root) {
        return corrupt(err, "it is no JSON object");
    }
    json_t *places = json_object_get(root, topic), *value;
    const char *name;
    enum kol_status status = KOL_OK;
    if (places && !json_is_object(places)) {
        status = corrupt(err, "the places of a topic are no object");
    } else if (places) {
        json_object_foreach(places, name, value)
        {
            status = status == KOL_OK ? read_place(name, value, out, err) : status;
        }
    }
    json_decref(root);
    return status;
}

void ingest_offsets_write(const char *json, const char *topic, const struct ingest_offsets *offsets,
                          struct buf *out)
{
    json_t *root = read_object(json), *places = json_object();
    root = root ? root : json_object();
    for (int32_t p = 0; p < offsets->count; p++) {
        char name[16];
        snprintf(name, sizeof name, "%" PRId32, p);
        if (offsets->next[p]) {
            json_object_set_new(places, name, json_integer(offsets->next[p]));
        }
    }
    json_object_set_new(root, topic, places);
    char *text = json_dumps(root, JSON_COMPACT);
    KOL_ASSERT(text);
    buf_puts(out, text);
    free(text);
    json_decref(root);
}
