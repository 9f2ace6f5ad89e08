/*
 * lmdb_chunk.h: how records lie in the log: runs of one partition, each one LMDB value.
 *
 *     key    topic id (4, big-endian), partition (4), offset of the first record (8)
 *     value  struct chunk_header, then `count` records without gaps, of consecutive offsets:
 *            key length (4), value length (4), timestamp in us (8), key, value
 *
 * A chunk is about 64 KiB: LMDB gives such a value whole pages of its own, so a chunk is cut where
 * a run of pages is full; readers check one checksum for a hundred records and get views into the
 * map.
 */
#ifndef LOG_LMDB_CHUNK_H
#define LOG_LMDB_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum {
    CHUNK_MAGIC = 0x314c4b43, /* "CKL1" in memory on a little-endian machine */
    CHUNK_KEY_SIZE = 16,
    CHUNK_RECORD_HEADER = 16,
};

/* Where a chunk belongs; repeated in its header, so that one found in a wrong place is seen. */
struct chunk_id {
    uint32_t topic;
    int32_t partition;
    int64_t base; /* offset of the first record */
};

struct chunk_header {
    uint64_t checksum; /* XXH3-64 of all that follows in the value */
    uint32_t magic;
    uint32_t count;
    struct chunk_id id;
    int64_t append_us;
    uint64_t payload; /* bytes of keys and values: what retention and statistics count */
};

/* A record as it lies in a chunk. */
struct chunk_record {
    int64_t timestamp_us;
    struct str key, value;
};

void chunk_put_key(unsigned char key[CHUNK_KEY_SIZE], struct chunk_id id);
/* The id out of a key of the right size. */
struct chunk_id chunk_read_key(const unsigned char *key);

/* Appends one record as a chunk holds it. */
void chunk_put_record(struct buf *records, struct str key, struct str value, int64_t timestamp_us);

/* How much of `records` (not empty) the next chunk takes: bytes, and the records and payload in
 * them. */
size_t chunk_cut(struct str records, uint32_t *count, uint64_t *payload);

static inline size_t chunk_size(size_t record_bytes)
{
    return sizeof(struct chunk_header) + record_bytes;
}

/* Writes a chunk of chunk_size(records.len) bytes at `out` (any alignment). `header`: magic and
 * checksum are filled in here. */
void chunk_write(void *out, struct chunk_header header, struct str records);

/* Reads the header and checks that it is one and belongs to `id`; the checksum is not looked at. */
bool chunk_read_header(struct str chunk, struct chunk_id id, struct chunk_header *out);

/* Whether the bytes are those that were written. */
bool chunk_is_whole(struct str chunk, const struct chunk_header *header);

/* Reads the record at `*at` (0: the first) of a chunk and moves `*at` behind it. False where it
 * would reach over the end. */
bool chunk_next(struct str chunk, size_t *at, struct chunk_record *out);

/* Moves `*at` over `count` records. False as above. */
bool chunk_skip(struct str chunk, size_t *at, int64_t count);

#endif
