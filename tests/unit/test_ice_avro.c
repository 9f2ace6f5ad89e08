/*
 * test_ice_avro.c: Avro containers made by hand, byte by byte: every type, codecs, lengths that
 * lie, schemas that would never end. They are read as manifest lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "iceberg/manifest.h"

static void put_long(struct buf *out, int64_t number)
{
    uint64_t bits = (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0);
    for (; bits > 0x7F; bits >>= 7) {
        buf_putc(out, (char)(0x80 | (bits & 0x7F)));
    }
    buf_putc(out, (char)bits);
}

static void put_text(struct buf *out, struct str text)
{
    put_long(out, (int64_t)text.len);
    buf_put(out, text);
}

static const char sync_marker[] = "sync and marker!";

/* A manifest list of this codec up to its first block. */
static void put_header(struct buf *out, const char *codec, const char *avro)
{
    buf_puts(out, "Obj\x01");
    put_long(out, -2); /* with its size behind it */
    put_long(out, 1000);
    put_text(out, STR("avro.schema"));
    put_text(out, str_of(avro));
    put_text(out, STR("avro.codec"));
    put_text(out, str_of(codec));
    put_long(out, 0);
    buf_puts(out, sync_marker);
}

static const char list_schema[] =
    "{\"type\":\"record\",\"name\":\"m\",\"fields\":["
    "{\"name\":\"p\",\"type\":\"string\",\"field-id\":500},"
    "{\"name\":\"l\",\"type\":\"long\",\"field-id\":501},"
    "{\"name\":\"s\",\"type\":\"int\",\"field-id\":502},"
    "{\"name\":\"x\",\"type\":{\"type\":\"map\",\"values\":\"double\"}},"
    "{\"name\":\"y\",\"type\":{\"type\":\"array\",\"items\":\"bytes\"}},"
    "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"en\",\"symbols\":[\"A\",\"B\"]}},"
    "{\"name\":\"fi\",\"type\":{\"type\":\"fixed\",\"name\":\"fi\",\"size\":3}},"
    "{\"name\":\"fl\",\"type\":\"float\"},"
    "{\"name\":\"u\",\"type\":[\"null\",\"boolean\",\"en\"]}]}";

static void put_record(struct buf *out)
{
    put_text(out, STR("/m"));
    put_long(out, 5);
    put_long(out, 0);
    put_long(out, 1);
    put_text(out, STR("key"));
    buf_append(out, "\0\0\0\0\0\0\0\0", 8);
    put_long(out, 0);
    put_long(out, -2);
    put_long(out, 3);
    put_text(out, STR("a"));
    put_text(out, STR(""));
    put_long(out, 0);
    put_long(out, 1);
    buf_puts(out, "fix");
    buf_append(out, "\0\0\0\0", 4);
    put_long(out, 2);
    put_long(out, 1);
}

static void put_block(struct buf *out, int64_t count, struct str bytes)
{
    put_long(out, count);
    put_text(out, bytes);
    buf_puts(out, sync_marker);
}

static enum kol_status read_list(struct buf *file, size_t *count, struct kol_error *err)
{
    struct arena arena;
    struct ice_manifest *back;
    *err = (struct kol_error){0};
    *count = 0;
    arena_init(&arena, 0);
    /* A copy of the exact size, so that a sanitizer sees a read past the end. */
    char *exact = mem_alloc(file->len);
    memcpy(exact, file->ptr, file->len);
    enum kol_status status =
        ice_manifest_list_read((struct str){exact, file->len}, &arena, &back, count, err);
    free(exact);
    arena_free(&arena);
    return status;
}

static void test_every_type_of_avro_is_read_over(void **state)
{
    (void)state;
    struct buf file = {0}, block = {0};
    struct kol_error err;
    size_t count;
    put_header(&file, "null", list_schema);
    put_record(&block);
    put_record(&block);
    put_block(&file, 2, buf_str(&block));
    put_block(&file, 0, (struct str){NULL, 0});
    put_block(&file, 2, buf_str(&block));
    assert_int_equal(read_list(&file, &count, &err), KOL_OK);
    assert_int_equal(count, 4);
    buf_free(&file);
    buf_free(&block);
}

static void test_a_block_holds_as_many_records_as_it_says(void **state)
{
    (void)state;
    struct kol_error err;
    size_t count;
    for (int64_t said = 0; said < 4; said++) {
        struct buf file = {0}, block = {0};
        put_header(&file, "null", list_schema);
        put_record(&block);
        put_record(&block);
        put_block(&file, said, buf_str(&block));
        assert_int_equal(read_list(&file, &count, &err), said == 2 ? KOL_OK : KOL_CORRUPT);
        buf_free(&file);
        buf_free(&block);
    }
}

static void test_unknown_codecs_are_refused_by_name(void **state)
{
    (void)state;
    struct buf file = {0};
    struct kol_error err;
    size_t count;
    put_header(&file, "snappy", list_schema);
    assert_int_equal(read_list(&file, &count, &err), KOL_UNSUPPORTED);
    assert_non_null(strstr(err.message, "snappy"));
    buf_free(&file);
}

/* Lengths and counts with nothing behind them: no memory is asked for, no time is spent. */
static void test_lengths_without_bytes_are_corrupt(void **state)
{
    (void)state;
    static const int64_t hostile[] = {-1, INT64_MAX, INT64_MIN, INT32_MAX, 1LL << 40, 100, -100};
    struct kol_error err;
    size_t count;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        for (int place = 0; place < 6; place++) {
            struct buf file = {0}, block = {0};
            put_header(&file, "null", list_schema);
            put_long(&block, place == 0 ? hostile[i] : 2);
            buf_puts(&block, "/m");
            put_long(&block, 5);
            put_long(&block, 0);
            put_long(&block, place == 1 ? hostile[i] : 1);
            put_long(&block, place == 2 ? hostile[i] : 3);
            buf_puts(&block, "key");
            buf_append(&block, "\0\0\0\0\0\0\0\0", 8);
            put_long(&block, 0);
            put_long(&block, place == 3 ? hostile[i] : 1);
            put_long(&block, place == 4 ? hostile[i] : 1);
            put_long(&block, 3);
            put_block(&file, place == 5 ? hostile[i] : 1, buf_str(&block));
            assert_int_equal(read_list(&file, &count, &err), KOL_CORRUPT);
            assert_true(err.message[0]);
            buf_free(&file);
            buf_free(&block);
        }
    }
}

static void test_a_cut_file_is_corrupt_at_every_byte(void **state)
{
    (void)state;
    struct buf file = {0}, block = {0};
    struct kol_error err;
    size_t count, whole;
    put_header(&file, "null", list_schema);
    size_t header = file.len;
    put_record(&block);
    put_block(&file, 1, buf_str(&block));
    whole = file.len;
    for (file.len = 0; file.len < whole; file.len++) {
        enum kol_status expected = file.len == header ? KOL_OK : KOL_CORRUPT;
        assert_int_equal(read_list(&file, &count, &err), expected);
        assert_int_equal(count, 0);
    }
    buf_free(&file);
    buf_free(&block);
}

static void test_a_block_that_inflates_without_end_is_refused(void **state)
{
    (void)state;
    /* 64 MB of zeros and more, deflated: 1,000 times smaller. */
    struct buf plain = {0}, file = {0};
    struct kol_error err;
    size_t count;
    buf_reserve(&plain, ICE_MAX_AVRO_BLOCK + 4096);
    memset(plain.ptr, 0, ICE_MAX_AVRO_BLOCK + 4096);
    plain.len = ICE_MAX_AVRO_BLOCK + 4096;
    struct buf packed = {0};
    buf_reserve(&packed, plain.len);
    z_stream stream = {.next_in = (Bytef *)plain.ptr, .avail_in = (uInt)plain.len};
    assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = (Bytef *)packed.ptr;
    stream.avail_out = (uInt)plain.len;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.len = plain.len - stream.avail_out;
    deflateEnd(&stream);
    put_header(&file, "deflate", list_schema);
    put_block(&file, 1, buf_str(&packed));
    assert_int_equal(read_list(&file, &count, &err), KOL_UNSUPPORTED);
    assert_non_null(strstr(err.message, "inflates"));
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&file);
}

static void test_zstandard_is_read(void **state)
{
    (void)state;
    struct buf file = {0}, block = {0}, packed = {0};
    struct kol_error err;
    size_t count;
    for (int i = 0; i < 10000; i++) {
        put_record(&block);
    }
    buf_reserve(&packed, ZSTD_compressBound(block.len));
    packed.len = ZSTD_compress(packed.ptr, packed.cap, block.ptr, block.len, 3);
    assert_false(ZSTD_isError(packed.len));
    put_header(&file, "zstandard", list_schema);
    put_block(&file, 10000, buf_str(&packed));
    assert_int_equal(read_list(&file, &count, &err), KOL_OK);
    assert_int_equal(count, 10000);
    for (size_t cut = 1; cut < packed.len; cut += 7) {
        buf_clear(&file);
        put_header(&file, "zstandard", list_schema);
        put_block(&file, 10000, (struct str){packed.ptr, packed.len - cut});
        assert_int_equal(read_list(&file, &count, &err), KOL_CORRUPT);
    }
    buf_free(&file);
    buf_free(&block);
    buf_free(&packed);
}

static void assert_schema(const char *avro, enum kol_status status, const char *says)
{
    struct buf file = {0};
    struct kol_error err;
    size_t count;
    put_header(&file, "null", avro);
    assert_int_equal(read_list(&file, &count, &err), status);
    assert_non_null(strstr(err.message, says));
    buf_free(&file);
}

static void test_hostile_schemas_are_refused(void **state)
{
    (void)state;
    struct buf deep = {0}, wide = {0};
    assert_schema("{", KOL_CORRUPT, "JSON");
    assert_schema("[\"int\"]", KOL_CORRUPT, "records");
    assert_schema("[[\"int\"]]", KOL_CORRUPT, "union inside");
    assert_schema("[]", KOL_CORRUPT, "union");
    assert_schema("{\"type\":7}", KOL_CORRUPT, "missing");
    assert_schema("{\"type\":\"nope\"}", KOL_CORRUPT, "nope");
    assert_schema("{\"type\":\"record\",\"name\":\"r\"}", KOL_CORRUPT, "array of fields");
    assert_schema("{\"type\":\"record\",\"fields\":[]}", KOL_CORRUPT, "no name");
    assert_schema("{\"type\":\"fixed\",\"name\":\"f\",\"size\":-1}", KOL_CORRUPT, "size");
    assert_schema("{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":"
                  "{\"type\":\"array\",\"items\":\"r\"}}]}",
                  KOL_UNSUPPORTED, "recursive");
    for (int i = 0; i < 1000; i++) {
        buf_puts(&deep, "{\"type\":\"array\",\"items\":");
    }
    buf_puts(&deep, "\"int\"");
    for (int i = 0; i < 1000; i++) {
        buf_putc(&deep, '}');
    }
    assert_schema(deep.ptr, KOL_UNSUPPORTED, "nested deeper");
    /* Each record holds the one before it twice: 2^20 fields without a byte. */
    buf_puts(&wide, "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":"
                    "{\"type\":\"record\",\"name\":\"r0\",\"fields\":[]}}");
    for (int i = 1; i <= 20; i++) {
        buf_printf(&wide,
                   ",{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"r%d\",\"fields\":["
                   "{\"name\":\"x\",\"type\":\"r%d\"},{\"name\":\"y\",\"type\":\"r%d\"}]}}",
                   i, i, i - 1, i - 1);
    }
    buf_puts(&wide, "]}");
    assert_schema(wide.ptr, KOL_UNSUPPORTED, "no bytes");
    buf_free(&deep);
    buf_free(&wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_of_avro_is_read_over),
        cmocka_unit_test(test_a_block_holds_as_many_records_as_it_says),
        cmocka_unit_test(test_unknown_codecs_are_refused_by_name),
        cmocka_unit_test(test_lengths_without_bytes_are_corrupt),
        cmocka_unit_test(test_a_cut_file_is_corrupt_at_every_byte),
        cmocka_unit_test(test_a_block_that_inflates_without_end_is_refused),
        cmocka_unit_test(test_zstandard_is_read),
        cmocka_unit_test(test_hostile_schemas_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
