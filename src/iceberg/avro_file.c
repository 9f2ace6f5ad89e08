/*
 * avro_file.c: reading an Avro object container.
 *
 * A block goes three ways: inflated with a bound, walked once to see that every length and count in
 * it has its bytes (check_value), and only then given to libavro, whose callbacks hand the wanted
 * values on. So a hostile file costs no more memory than its inflated bytes.
 */
#include "iceberg/avro_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "iceberg/manifest.h"

enum { SYNC_BYTES = 16, MAX_HEADER_PAIRS = 256, MAX_INFLATION = 200 };

/* Bytes that are still to be read. */
struct cursor {
    const unsigned char *at, *end;
};

struct header_pair {
    struct str key, value;
};

struct ice_avro_reader {
    struct arena arena;
    struct ice_avro_schema *schema;
    struct header_pair pairs[MAX_HEADER_PAIRS];
    size_t pair_count;
    struct cursor blocks; /* what follows the header */
    const unsigned char *sync;
    enum { CODEC_NULL, CODEC_DEFLATE, CODEC_ZSTANDARD } codec;
    size_t may_inflate; /* bytes that all blocks together may still grow to */
    const struct ice_avro_sink *sink;
    enum kol_status status; /* of the callback that stopped libavro */
    struct kol_error *err;
};

/* ---- the walk that trusts nothing ---- */

static size_t left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

static bool read_long(struct cursor *cursor, int64_t *out)
{
    uint64_t bits = 0;
    for (int shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        unsigned char byte = *cursor->at++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        bits |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *out = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return true;
        }
    }
    return false;
}

static bool skip(struct cursor *cursor, size_t bytes)
{
    bool there = left(cursor) >= bytes;
    cursor->at += there ? bytes : 0;
    return there;
}

static bool read_bytes(struct cursor *cursor, struct str *out)
{
    int64_t len = 0;
    if (!read_long(cursor, &len) || len < 0 || (uint64_t)len > left(cursor)) {
        return false;
    }
    *out = (struct str){(const char *)cursor->at, (size_t)len};
    return skip(cursor, (size_t)len);
}

/* The count of the next block of an array or map; 0 at its end. */
static bool read_count(struct cursor *cursor, size_t least, int64_t *count)
{
    int64_t bytes = 0;
    if (!read_long(cursor, count) || *count == INT64_MIN) {
        return false;
    }
    if (*count < 0) { /* the size of the block follows, for readers that skip it */
        *count = -*count;
        if (!read_long(cursor, &bytes)) {
            return false;
        }
    }
    return (uint64_t)*count <= left(cursor) / least;
}

static bool check_value(struct cursor *cursor, const struct ice_avro_node *node);

static bool check_items(struct cursor *cursor, const struct ice_avro_node *node)
{
    const struct ice_avro_node *item = node->children[0];
    bool is_map = node->kind == AVRO_MAP;
    int64_t count = 0;
    while (read_count(cursor, item->least + is_map, &count)) {
        if (count == 0) {
            return true;
        }
        struct str key;
        for (int64_t i = 0; i < count; i++) {
            if ((is_map && !read_bytes(cursor, &key)) || !check_value(cursor, item)) {
                return false;
            }
        }
    }
    return false;
}

static bool check_fields(struct cursor *cursor, const struct ice_avro_node *node)
{
    for (size_t i = 0; i < node->child_count; i++) {
        if (!check_value(cursor, node->children[i])) {
            return false;
        }
    }
    return true;
}

/* Moves over one value: true where all of it is there. Recursion ends with the schema's depth. */
static bool check_value(struct cursor *cursor, const struct ice_avro_node *node)
{
    int64_t number = 0;
    struct str bytes;
    switch (node->kind) {
    case AVRO_NULL: return true;
    case AVRO_BOOLEAN: return cursor->at < cursor->end && *cursor->at++ <= 1;
    case AVRO_INT32:
        return read_long(cursor, &number) && number >= INT32_MIN && number <= INT32_MAX;
    case AVRO_INT64: return read_long(cursor, &number);
    case AVRO_ENUM:
        return read_long(cursor, &number) && number >= 0 && (uint64_t)number < node->size;
    case AVRO_FLOAT: return skip(cursor, 4);
    case AVRO_DOUBLE: return skip(cursor, 8);
    case AVRO_FIXED: return skip(cursor, node->size);
    case AVRO_BYTES:
    case AVRO_STRING: return read_bytes(cursor, &bytes);
    case AVRO_ARRAY:
    case AVRO_MAP: return check_items(cursor, node);
    case AVRO_UNION:
        return read_long(cursor, &number) && number >= 0 && (uint64_t)number < node->child_count &&
               check_value(cursor, node->children[number]);
    case AVRO_RECORD: return check_fields(cursor, node);
    default: return false;
    }
}

/* ---- callbacks of libavro ---- */

static struct ice_avro_node *node_of(avro_consumer_t *consumer)
{
    return (struct ice_avro_node *)consumer;
}

/* Not 0 ends libavro's reading. */
static int take(avro_consumer_t *consumer, void *user, const struct ice_avro_value *value)
{
    struct ice_avro_reader *reader = user;
    int slot = node_of(consumer)->slot;
    if (slot) {
        reader->status = reader->sink->take(reader->sink->user, slot, value, reader->err);
    }
    return reader->status != KOL_OK;
}

static int take_integer(avro_consumer_t *consumer, int64_t number, void *user)
{
    return take(consumer, user,
                &(struct ice_avro_value){.kind = node_of(consumer)->kind, .integer = number});
}

static int on_boolean(avro_consumer_t *consumer, int value, void *user)
{
    return take_integer(consumer, value != 0, user);
}

static int on_int(avro_consumer_t *consumer, int32_t value, void *user)
{
    return take_integer(consumer, value, user);
}

static int on_enum(avro_consumer_t *consumer, int value, void *user)
{
    return take_integer(consumer, value, user);
}

static int on_long(avro_consumer_t *consumer, int64_t value, void *user)
{
    return take_integer(consumer, value, user);
}

static int on_double(avro_consumer_t *consumer, double value, void *user)
{
    return take(consumer, user,
                &(struct ice_avro_value){.kind = node_of(consumer)->kind, .real = value});
}

static int on_float(avro_consumer_t *consumer, float value, void *user)
{
    return on_double(consumer, value, user);
}

/* The bytes are the callback's to free, whatever libavro's header says. A string's length counts
 * its NUL. */
static int take_bytes(avro_consumer_t *consumer, const void *bytes, size_t len, size_t allocated,
                      void *user)
{
    int stop =
        take(consumer, user,
             &(struct ice_avro_value){.kind = node_of(consumer)->kind, .bytes = {bytes, len}});
    avro_free((void *)(uintptr_t)bytes, allocated);
    return stop;
}

static int on_bytes(avro_consumer_t *consumer, const void *bytes, size_t len, void *user)
{
    return take_bytes(consumer, bytes, len, len + 1, user);
}

static int on_fixed(avro_consumer_t *consumer, const void *bytes, size_t len, void *user)
{
    return take_bytes(consumer, bytes, len, len, user);
}

static int on_string(avro_consumer_t *consumer, const void *bytes, size_t len, void *user)
{
    return take_bytes(consumer, bytes, len - 1, len, user);
}

static int on_record(avro_consumer_t *consumer, void *user)
{
    struct ice_avro_reader *reader = user;
    int slot = node_of(consumer)->slot;
    if (slot) {
        reader->status = reader->sink->begin(reader->sink->user, slot, reader->err);
    }
    return reader->status != KOL_OK;
}

static int on_child(avro_consumer_t *consumer, unsigned int index, avro_consumer_t **child,
                    void **child_user, void *user)
{
    *child = &node_of(consumer)->children[index]->consumer;
    *child_user = user;
    return 0;
}

static int on_element(avro_consumer_t *consumer, unsigned int index, avro_consumer_t **child,
                      void **child_user, void *user)
{
    (void)index;
    return on_child(consumer, 0, child, child_user, user);
}

static int on_map_element(avro_consumer_t *consumer, unsigned int index, const char *key,
                          avro_consumer_t **child, void **child_user, void *user)
{
    (void)index;
    (void)key;
    return on_child(consumer, 0, child, child_user, user);
}

static const avro_consumer_t callbacks = {
    .boolean_value = on_boolean,
    .bytes_value = on_bytes,
    .double_value = on_double,
    .float_value = on_float,
    .int_value = on_int,
    .long_value = on_long,
    .string_value = on_string,
    .array_element = on_element,
    .enum_value = on_enum,
    .fixed_value = on_fixed,
    .map_element = on_map_element,
    .record_start = on_record,
    .record_field = on_child,
    .union_branch = on_child,
};

/* ---- header ---- */

static bool read_pairs(struct ice_avro_reader *reader, struct cursor *cursor)
{
    int64_t count = 0;
    while (read_count(cursor, 2, &count)) {
        if (count == 0) {
            return true;
        }
        for (int64_t i = 0; i < count; i++) {
            if (reader->pair_count == MAX_HEADER_PAIRS) {
                return false;
            }
            struct header_pair *pair = &reader->pairs[reader->pair_count++];
            if (!read_bytes(cursor, &pair->key) || !read_bytes(cursor, &pair->value)) {
                return false;
            }
        }
    }
    return false;
}

static enum kol_status pick_codec(struct ice_avro_reader *reader, struct kol_error *err)
{
    static const char *const words[] = {"null", "deflate", "zstandard"};
    struct str codec = ice_avro_header(reader, "avro.codec");
    reader->codec = CODEC_NULL;
    for (size_t i = 0; codec.len && i < ARRAY_LEN(words); i++) {
        if (str_is(codec, words[i])) {
            reader->codec = i;
            return KOL_OK;
        }
    }
    return codec.len ? kol_fail(err, KOL_UNSUPPORTED, "the Avro codec \"%.*s\"",
                                (int)(codec.len < 100 ? codec.len : 100), codec.ptr)
                     : KOL_OK;
}

static enum kol_status read_header(struct ice_avro_reader *reader, struct str bytes,
                                   struct kol_error *err)
{
    if (!str_starts(bytes, (struct str){"Obj\x01", 4})) {
        return kol_fail(err, KOL_CORRUPT, "not an Avro file: it does not start with \"Obj\" and 1");
    }
    struct cursor cursor = {(const unsigned char *)bytes.ptr + 4,
                            (const unsigned char *)bytes.ptr + bytes.len};
    if (!read_pairs(reader, &cursor) || left(&cursor) < SYNC_BYTES) {
        return kol_fail(err, KOL_CORRUPT, "the header of the Avro file is damaged or cut off");
    }
    reader->sync = cursor.at;
    cursor.at += SYNC_BYTES;
    reader->blocks = cursor;
    enum kol_status status = pick_codec(reader, err);
    return status ? status
                  : ice_avro_schema_read(ice_avro_header(reader, "avro.schema"), &reader->arena,
                                         &callbacks, &reader->schema, err);
}

enum kol_status ice_avro_open(struct str bytes, struct ice_avro_reader **out, struct kol_error *err)
{
    *out = NULL;
    if (bytes.len > ICE_MAX_MANIFEST) {
        return kol_fail(err, KOL_UNSUPPORTED, "an Avro file of more than %d bytes",
                        ICE_MAX_MANIFEST);
    }
    struct ice_avro_reader *reader = mem_zalloc(1, sizeof *reader);
    arena_init(&reader->arena, 0);
    reader->may_inflate = ICE_MAX_AVRO_BLOCK + MAX_INFLATION * bytes.len;
    if (reader->may_inflate > ICE_MAX_MANIFEST) {
        reader->may_inflate = ICE_MAX_MANIFEST;
    }
    enum kol_status status = read_header(reader, bytes, err);
    if (status) {
        ice_avro_close(&reader);
    }
    *out = reader;
    return status;
}

void ice_avro_close(struct ice_avro_reader **reader)
{
    if (*reader) {
        ice_avro_schema_free(&(*reader)->schema);
        arena_free(&(*reader)->arena);
        free(*reader);
        *reader = NULL;
    }
}

struct ice_avro_node *ice_avro_root(struct ice_avro_reader *reader)
{
    return reader->schema->root;
}

struct str ice_avro_header(const struct ice_avro_reader *reader, const char *key)
{
    for (size_t i = 0; i < reader->pair_count; i++) {
        if (str_is(reader->pairs[i].key, key)) {
            return reader->pairs[i].value;
        }
    }
    return (struct str){NULL, 0};
}

struct json_t *ice_avro_header_json(const struct ice_avro_reader *reader, const char *key,
                                    struct kol_error *err)
{
    struct str text = ice_avro_header(reader, key);
    json_error_t problem = {.text = "it is too long"};
    json_t *json = text.ptr && text.len <= ICE_AVRO_MAX_HEADER
                       ? json_loadb(text.ptr, text.len, 0, &problem)
                       : NULL;
    if (!json) {
        (void)kol_fail(err, KOL_CORRUPT, "\"%s\" in the header of the Avro file %s%s", key,
                       text.ptr ? "is no JSON: " : "is missing", text.ptr ? problem.text : "");
    }
    return json;
}

/* ---- blocks ---- */

static enum kol_status too_large(struct kol_error *err)
{
    return kol_fail(err, KOL_UNSUPPORTED,
                    "a block of the Avro file inflates to more than a manifest may hold");
}

static enum kol_status inflate_deflate(struct str packed, size_t max, struct buf *out,
                                       struct kol_error *err)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed.ptr, .avail_in = (uInt)packed.len};
    KOL_ASSERT(inflateInit2(&stream, -15) == Z_OK);
    int result = Z_OK;
    do {
        buf_reserve(out, out->len + 4096 < max ? out->len + 4096 : max - out->len + 1);
        size_t room = out->cap - out->len - 1;
        stream.next_out = (Bytef *)out->ptr + out->len;
        stream.avail_out = (uInt)room;
        result = inflate(&stream, Z_NO_FLUSH);
        out->len += room - stream.avail_out;
    } while (result == Z_OK && out->len <= max);
    inflateEnd(&stream);
    if (out->len > max) {
        return too_large(err);
    }
    return result == Z_STREAM_END
               ? KOL_OK
               : kol_fail(err, KOL_CORRUPT, "a block of the Avro file does not inflate");
}

static enum kol_status inflate_zstandard(struct str packed, size_t max, struct buf *out,
                                         struct kol_error *err)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    KOL_ASSERT(stream);
    ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, 26);
    ZSTD_inBuffer in = {packed.ptr, packed.len, 0};
    size_t result = 1;
    while (result != 0 && !ZSTD_isError(result) && out->len <= max) {
        buf_reserve(out, out->len + 4096 < max ? out->len + 4096 : max - out->len + 1);
        ZSTD_outBuffer room = {out->ptr + out->len, out->cap - out->len - 1, 0};
        result = ZSTD_decompressStream(stream, &room, &in);
        out->len += room.pos;
        if (room.pos < room.size && in.pos == in.size) {
            break; /* all that can come has come */
        }
    }
    ZSTD_freeDStream(stream);
    if (out->len > max) {
        return too_large(err);
    }
    return result == 0 ? KOL_OK
                       : kol_fail(err, KOL_CORRUPT, "a block of the Avro file does not inflate");
}

/* `plain` is a view into the file or into `buf`. */
static enum kol_status unpack(struct ice_avro_reader *reader, struct str packed, struct buf *buf,
                              struct str *plain, struct kol_error *err)
{
    *plain = packed;
    if (reader->codec == CODEC_NULL) {
        return KOL_OK;
    }
    size_t max =
        reader->may_inflate < ICE_MAX_AVRO_BLOCK ? reader->may_inflate : ICE_MAX_AVRO_BLOCK;
    buf_clear(buf);
    enum kol_status status = reader->codec == CODEC_DEFLATE
                                 ? inflate_deflate(packed, max, buf, err)
                                 : inflate_zstandard(packed, max, buf, err);
    reader->may_inflate -= status ? 0 : buf->len;
    *plain = buf_str(buf);
    return status;
}

static enum kol_status read_records(struct ice_avro_reader *reader, struct str plain, int64_t count,
                                    struct kol_error *err)
{
    struct ice_avro_node *root = reader->schema->root;
    struct cursor cursor = {(const unsigned char *)plain.ptr,
                            (const unsigned char *)plain.ptr + plain.len};
    bool whole = root->least > 0 && (uint64_t)count <= plain.len / root->least;
    for (int64_t i = 0; whole && i < count; i++) {
        whole = check_value(&cursor, root);
    }
    if (!whole || cursor.at != cursor.end) {
        return kol_fail(err, KOL_CORRUPT, "a block of the Avro file does not hold its %lld records",
                        (long long)count);
    }
    avro_reader_t source = avro_reader_memory(plain.ptr, (int64_t)plain.len);
    reader->status = KOL_OK;
    for (int64_t i = 0; i < count && !reader->status; i++) {
        int failed = avro_consume_binary(source, &root->consumer, reader);
        if (failed && !reader->status) {
            reader->status = kol_fail(
                err, KOL_CORRUPT, "a record of the Avro file cannot be read: %s", avro_strerror());
        }
        if (!reader->status) {
            reader->status = reader->sink->end(reader->sink->user, err);
        }
    }
    avro_reader_free(source);
    return reader->status;
}

static enum kol_status read_block(struct ice_avro_reader *reader, struct buf *buf,
                                  struct kol_error *err)
{
    int64_t count = 0;
    struct str packed, plain;
    if (!read_long(&reader->blocks, &count) || count < 0 || !read_bytes(&reader->blocks, &packed) ||
        left(&reader->blocks) < SYNC_BYTES ||
        memcmp(reader->blocks.at, reader->sync, SYNC_BYTES) != 0) {
        return kol_fail(err, KOL_CORRUPT, "a block of the Avro file is damaged or cut off");
    }
    reader->blocks.at += SYNC_BYTES;
    enum kol_status status = unpack(reader, packed, buf, &plain, err);
    if (status || (count == 0 && plain.len == 0)) {
        return status;
    }
    return read_records(reader, plain, count, err);
}

enum kol_status ice_avro_each(struct ice_avro_reader *reader, const struct ice_avro_sink *sink,
                              struct kol_error *err)
{
    struct cursor start = reader->blocks;
    struct buf buf = {0};
    enum kol_status status = KOL_OK;
    reader->sink = sink;
    reader->err = err;
    while (!status && left(&reader->blocks)) {
        status = read_block(reader, &buf, err);
    }
    buf_free(&buf);
    reader->blocks = start;
    return status;
}
