/*
 * avro_write.c: writing an Avro object container, deflated, with a header of our own.
 *
 * The JSON of the schema goes into the file as it was given, attributes and all; libavro gets the
 * same text, drops the attributes, and encodes. Nothing here can fail on input: what libavro
 * refuses is a mistake of the program or the end of memory.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "iceberg/avro_file.h"

enum { BLOCK_BYTES = 1 << 20, SYNC_BYTES = 16 };

#define MUST(call) KOL_ASSERT((call) == 0)

struct ice_avro_writer {
    struct buf *out;
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t record;
    avro_writer_t encoder;
    struct buf block; /* records that are not written yet */
    int64_t records;  /* in it */
    char sync[2 * SYNC_BYTES + 1];
};

/* ---- the schema's text ---- */

static const struct {
    const char *name, *item; /* item: of an array or a map */
} words[] = {
    [ICE_AVRO_BOOLEAN] = {"boolean", NULL},  [ICE_AVRO_INT] = {"int", NULL},
    [ICE_AVRO_LONG] = {"long", NULL},        [ICE_AVRO_STRING] = {"string", NULL},
    [ICE_AVRO_BYTES] = {"bytes", NULL},      [ICE_AVRO_INTS] = {"array", "int"},
    [ICE_AVRO_LONGS] = {"array", "long"},    [ICE_AVRO_LONG_MAP] = {"map", "long"},
    [ICE_AVRO_BYTES_MAP] = {"map", "bytes"},
};

static void put_type(struct buf *json, const struct ice_avro_column *column)
{
    const char *name = words[column->type].name, *item = words[column->type].item;
    if (!item) {
        buf_printf(json, "\"%s\"", name);
    } else if (str_is(str_of(name), "array")) {
        buf_printf(json, "{\"type\":\"array\",\"items\":\"%s\",\"element-id\":%d}", item,
                   column->inner_id);
    } else { /* Avro's maps have texts for keys, so Iceberg's are arrays of pairs */
        buf_printf(json,
                   "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"k%d_v%d\","
                   "\"fields\":[{\"name\":\"key\",\"type\":\"int\",\"field-id\":%d},"
                   "{\"name\":\"value\",\"type\":\"%s\",\"field-id\":%d}]},"
                   "\"logicalType\":\"map\"}",
                   column->inner_id, column->value_id, column->inner_id, item, column->value_id);
    }
}

void ice_avro_put_columns(struct buf *json, const struct ice_avro_column *columns, size_t count,
                          bool more)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(json, "%s{\"name\":\"%s\",\"type\":%s", more || i ? "," : "", columns[i].name,
                   columns[i].optional ? "[\"null\"," : "");
        put_type(json, &columns[i]);
        buf_printf(json, "%s,\"field-id\":%d}", columns[i].optional ? "],\"default\":null" : "",
                   columns[i].id);
    }
}

/* ---- the file ---- */

static void put_long(struct buf *out, int64_t number)
{
    uint64_t bits = (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0);
    while (bits > 0x7F) {
        buf_putc(out, (char)(0x80 | (bits & 0x7F)));
        bits >>= 7;
    }
    buf_putc(out, (char)bits);
}

static void put_bytes(struct buf *out, struct str bytes)
{
    put_long(out, (int64_t)bytes.len);
    buf_put(out, bytes);
}

enum kol_status ice_avro_create(struct str schema_json, const struct ice_avro_pair *pairs,
                                size_t count, struct buf *out, struct ice_avro_writer **writer,
                                struct kol_error *err)
{
    avro_schema_t schema = NULL;
    *writer = NULL;
    if (avro_schema_from_json_length(schema_json.ptr, schema_json.len, &schema)) {
        return kol_fail(err, KOL_UNSUPPORTED, "a schema that Avro does not take: %s",
                        avro_strerror());
    }
    struct ice_avro_writer *made = mem_zalloc(1, sizeof *made);
    made->out = out;
    made->schema = schema;
    made->iface = avro_generic_class_from_schema(schema);
    KOL_ASSERT(made->iface);
    MUST(avro_generic_value_new(made->iface, &made->record));
    buf_reserve(&made->block, BLOCK_BYTES / 16);
    made->encoder = avro_writer_memory(made->block.ptr, 0);
    KOL_ASSERT(made->encoder);
    size_t start = out->len;
    buf_append(out, "Obj\x01", 4);
    put_long(out, (int64_t)count + 2);
    for (size_t i = 0; i < count; i++) {
        put_bytes(out, str_of(pairs[i].key));
        put_bytes(out, pairs[i].value);
    }
    put_bytes(out, STR("avro.schema"));
    put_bytes(out, schema_json);
    put_bytes(out, STR("avro.codec"));
    put_bytes(out, STR("deflate"));
    put_long(out, 0);
    /* Made from the content, so that equal files are equal to the byte. */
    struct buf sync = {0};
    hash_put_hex128(&sync, (struct str){out->ptr + start, out->len - start});
    memcpy(made->sync, sync.ptr, SYNC_BYTES);
    buf_free(&sync);
    buf_append(out, made->sync, SYNC_BYTES);
    *writer = made;
    return KOL_OK;
}

static void flush(struct ice_avro_writer *writer)
{
    if (!writer->records) {
        return;
    }
    z_stream stream = {0};
    MUST(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY));
    size_t bound = deflateBound(&stream, writer->block.len);
    struct buf packed = {0};
    buf_reserve(&packed, bound);
    stream.next_in = (Bytef *)writer->block.ptr;
    stream.avail_in = (uInt)writer->block.len;
    stream.next_out = (Bytef *)packed.ptr;
    stream.avail_out = (uInt)bound;
    KOL_ASSERT(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    packed.len = bound - stream.avail_out;
    deflateEnd(&stream);
    put_long(writer->out, writer->records);
    put_bytes(writer->out, buf_str(&packed));
    buf_append(writer->out, writer->sync, SYNC_BYTES);
    buf_free(&packed);
    buf_clear(&writer->block);
    writer->records = 0;
}

avro_value_t *ice_avro_record(struct ice_avro_writer *writer)
{
    MUST(avro_value_reset(&writer->record));
    return &writer->record;
}

void ice_avro_put(struct ice_avro_writer *writer)
{
    struct buf *block = &writer->block;
    for (;;) {
        size_t room = block->cap - block->len - 1;
        avro_writer_memory_set_dest(writer->encoder, block->ptr + block->len, (int64_t)room);
        int failed = avro_value_write(writer->encoder, &writer->record);
        if (!failed) {
            break;
        }
        KOL_ASSERT(failed == ENOSPC);
        buf_reserve(block, 2 * block->cap);
    }
    block->len += (size_t)avro_writer_tell(writer->encoder);
    writer->records++;
    if (block->len >= BLOCK_BYTES) {
        flush(writer);
    }
}

void ice_avro_finish(struct ice_avro_writer **writer)
{
    struct ice_avro_writer *made = *writer;
    flush(made);
    avro_writer_free(made->encoder);
    avro_value_decref(&made->record);
    avro_value_iface_decref(made->iface);
    avro_schema_decref(made->schema);
    buf_free(&made->block);
    free(made);
    *writer = NULL;
}

/* ---- values ---- */

avro_value_t ice_avro_get(avro_value_t *record, const char *name)
{
    avro_value_t field;
    MUST(avro_value_get_by_name(record, name, &field, NULL));
    return field;
}

avro_value_t ice_avro_branch(avro_value_t *optional, int branch)
{
    avro_value_t value;
    MUST(avro_value_set_branch(optional, branch, &value));
    if (branch == 0) {
        MUST(avro_value_set_null(&value));
    }
    return value;
}

avro_value_t ice_avro_some(avro_value_t *record, const char *name)
{
    avro_value_t field = ice_avro_get(record, name);
    return ice_avro_branch(&field, 1);
}

void ice_avro_none(avro_value_t *record, const char *name)
{
    avro_value_t field = ice_avro_get(record, name);
    ice_avro_branch(&field, 0);
}

avro_value_t ice_avro_append(avro_value_t *array)
{
    avro_value_t element;
    MUST(avro_value_append(array, &element, NULL));
    return element;
}

void ice_avro_set_long(avro_value_t value, int64_t number)
{
    if (avro_value_get_type(&value) == AVRO_INT32) {
        KOL_ASSERT(number >= INT32_MIN && number <= INT32_MAX);
        MUST(avro_value_set_int(&value, (int32_t)number));
    } else {
        MUST(avro_value_set_long(&value, number));
    }
}

void ice_avro_set_bytes(avro_value_t value, struct str bytes)
{
    void *at = bytes.len ? (void *)(uintptr_t)bytes.ptr : (void *)(uintptr_t) "";
    MUST(avro_value_set_bytes(&value, at, bytes.len));
}

void ice_avro_set_text(avro_value_t value, struct str text)
{
    char *copy = mem_strndup(text.len ? text.ptr : "", text.len); /* libavro wants the NUL */
    MUST(avro_value_set_string_len(&value, copy, text.len + 1));
    free(copy);
}
