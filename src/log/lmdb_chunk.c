/* lmdb_chunk.c: the bytes of a chunk, written and read. No LMDB call is made here. */
#include "log/lmdb_chunk.h"

#include <endian.h>
#include <string.h>

#include "base/hash.h"

enum {
    PAGE = 4096,
    PAGE_HEADER = 16,               /* in front of a value that has its own pages */
    FULL = 16 * PAGE - PAGE_HEADER, /* a chunk that fills 16 pages */
    WHOLE_REST = FULL + 8 * PAGE,   /* a rest up to this stays one chunk */
};

void chunk_put_key(unsigned char key[CHUNK_KEY_SIZE], struct chunk_id id)
{
    uint32_t topic = htobe32(id.topic), partition = htobe32((uint32_t)id.partition);
    uint64_t base = htobe64((uint64_t)id.base);
    memcpy(key, &topic, 4);
    memcpy(key + 4, &partition, 4);
    memcpy(key + 8, &base, 8);
}

struct chunk_id chunk_read_key(const unsigned char *key)
{
    uint32_t topic, partition;
    uint64_t base;
    memcpy(&topic, key, 4);
    memcpy(&partition, key + 4, 4);
    memcpy(&base, key + 8, 8);
    return (struct chunk_id){be32toh(topic), (int32_t)be32toh(partition), (int64_t)be64toh(base)};
}

void chunk_put_record(struct buf *records, struct str key, struct str value, int64_t timestamp_us)
{
    uint32_t lens[2] = {(uint32_t)key.len, (uint32_t)value.len};
    buf_reserve(records, CHUNK_RECORD_HEADER + key.len + value.len);
    char *at = records->ptr + records->len;
    memcpy(at, lens, 8);
    memcpy(at + 8, &timestamp_us, 8);
    at += CHUNK_RECORD_HEADER;
    if (key.len) {
        memcpy(at, key.ptr, key.len);
    }
    if (value.len) {
        memcpy(at + key.len, value.ptr, value.len);
    }
    records->len += CHUNK_RECORD_HEADER + key.len + value.len;
}

static void record_lens(const char *at, uint32_t lens[2])
{
    memcpy(lens, at, 8);
}

size_t chunk_cut(struct str records, uint32_t *count, uint64_t *payload)
{
    bool whole = records.len <= WHOLE_REST - sizeof(struct chunk_header);
    size_t limit = whole ? records.len : FULL - sizeof(struct chunk_header);
    size_t at = 0;
    *count = 0;
    *payload = 0;
    while (at < records.len) {
        uint32_t lens[2];
        record_lens(records.ptr + at, lens);
        size_t bytes = (size_t)lens[0] + lens[1];
        if (*count && at + CHUNK_RECORD_HEADER + bytes > limit) {
            break;
        }
        at += CHUNK_RECORD_HEADER + bytes;
        *payload += bytes;
        ++*count;
    }
    return at;
}

static struct str checked_part(const void *chunk, size_t size)
{
    const size_t from = sizeof(uint64_t);
    return (struct str){(const char *)chunk + from, size - from};
}

void chunk_write(void *out, struct chunk_header header, struct str records)
{
    header.magic = CHUNK_MAGIC;
    header.checksum = 0;
    memcpy(out, &header, sizeof header);
    memcpy((char *)out + sizeof header, records.ptr, records.len);
    header.checksum = hash_checksum(checked_part(out, chunk_size(records.len)));
    memcpy(out, &header.checksum, sizeof header.checksum);
}

bool chunk_read_header(struct str chunk, struct chunk_id id, struct chunk_header *out)
{
    if (chunk.len < sizeof *out) {
        return false;
    }
    memcpy(out, chunk.ptr, sizeof *out);
    return out->magic == CHUNK_MAGIC && out->count > 0 && out->id.topic == id.topic &&
           out->id.partition == id.partition && out->id.base == id.base;
}

bool chunk_is_whole(struct str chunk, const struct chunk_header *header)
{
    return hash_checksum(checked_part(chunk.ptr, chunk.len)) == header->checksum;
}

bool chunk_next(struct str chunk, size_t *at, struct chunk_record *out)
{
    size_t from = *at ? *at : sizeof(struct chunk_header);
    if (from > chunk.len || chunk.len - from < CHUNK_RECORD_HEADER) {
        return false;
    }
    uint32_t lens[2];
    record_lens(chunk.ptr + from, lens);
    memcpy(&out->timestamp_us, chunk.ptr + from + 8, 8);
    from += CHUNK_RECORD_HEADER;
    if (chunk.len - from < (size_t)lens[0] + lens[1]) {
        return false;
    }
    out->key = (struct str){chunk.ptr + from, lens[0]};
    out->value = (struct str){chunk.ptr + from + lens[0], lens[1]};
    *at = from + lens[0] + lens[1];
    return true;
}

bool chunk_skip(struct str chunk, size_t *at, int64_t count)
{
    struct chunk_record record;
    for (int64_t i = 0; i < count; i++) {
        if (!chunk_next(chunk, at, &record)) {
            return false;
        }
    }
    return true;
}
