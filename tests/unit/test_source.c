/* test_source.c: bytes of plain and packed files, the window over them, and lines. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/signals.h"
#include "import/lines.h"
#include "import/source.h"
#include "import/window.h"

static char path[64];

static void write_file(struct str bytes)
{
    strcpy(path, "/tmp/kol-test-source-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.len ? bytes.ptr : "", bytes.len), (ssize_t)bytes.len);
    close(fd);
}

/* Text that packs, but not to nothing, and is larger than every buffer on the way. */
static void make_text(struct buf *out, size_t len)
{
    uint32_t x = 1;
    while (out->len < len) {
        x = x * 1664525 + 1013904223;
        buf_printf(out, "line %zu of %u\n", out->len, x >> 20);
    }
}

static void pack_gzip(struct buf *out, struct str text)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    buf_reserve(out, deflateBound(&stream, text.len));
    stream.next_in = (Bytef *)text.ptr;
    stream.avail_in = (uInt)text.len;
    stream.next_out = (Bytef *)out->ptr + out->len;
    stream.avail_out = (uInt)(out->cap - out->len);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out->len += stream.total_out;
    deflateEnd(&stream);
}

static void pack_zstd(struct buf *out, struct str text)
{
    buf_reserve(out, ZSTD_compressBound(text.len));
    size_t len =
        ZSTD_compress(out->ptr + out->len, ZSTD_compressBound(text.len), text.ptr, text.len, 1);
    assert_false(ZSTD_isError(len));
    out->len += len;
}

/* Reads all that comes; the status is how it ended. */
static enum kol_status read_all(struct source *source, struct buf *out, struct kol_error *err)
{
    char piece[10007];
    size_t got;
    for (;;) {
        enum kol_status status = source_read(source, piece, sizeof piece, &got, err);
        if (status != KOL_OK || got == 0) {
            return status;
        }
        buf_append(out, piece, got);
    }
}

static void check_reads_as(struct str bytes, struct str text, const char *packing)
{
    struct source *source;
    struct buf out = {0};
    write_file(bytes);
    assert_int_equal(source_open(path, &source, NULL), KOL_OK);
    assert_int_equal(read_all(source, &out, NULL), KOL_OK);
    assert_true(str_equal(buf_str(&out), text));
    assert_string_equal(source_packing(source), packing);
    assert_int_equal(source_position(source), text.len);
    assert_int_equal(source_file_position(source), bytes.len);
    assert_int_equal(source_file_size(source), bytes.len);
    source_close(&source);
    unlink(path);
    buf_free(&out);
}

static void test_packing_is_told_by_the_first_bytes(void **state)
{
    (void)state;
    struct buf text = {0}, gzip = {0}, zstd = {0};
    make_text(&text, 3000000);
    pack_gzip(&gzip, buf_str(&text));
    pack_zstd(&zstd, buf_str(&text));
    check_reads_as(buf_str(&text), buf_str(&text), "plain");
    check_reads_as(buf_str(&gzip), buf_str(&text), "gzip");
    check_reads_as(buf_str(&zstd), buf_str(&text), "zstd");
    check_reads_as(STR(""), STR(""), "plain");
    check_reads_as(STR("\x1f"), STR("\x1f"), "plain");
    check_reads_as(STR("abc"), STR("abc"), "plain");
    buf_free(&text);
    buf_free(&gzip);
    buf_free(&zstd);
}

static void test_packed_files_may_have_several_parts(void **state)
{
    (void)state;
    struct buf gzip = {0}, zstd = {0};
    pack_gzip(&gzip, STR("one\n"));
    pack_gzip(&gzip, STR(""));
    pack_gzip(&gzip, STR("two\n"));
    pack_zstd(&zstd, STR("one\n"));
    buf_append(&zstd, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11); /* a skippable frame */
    pack_zstd(&zstd, STR("two\n"));
    check_reads_as(buf_str(&gzip), STR("one\ntwo\n"), "gzip");
    check_reads_as(buf_str(&zstd), STR("one\ntwo\n"), "zstd");
    buf_free(&gzip);
    buf_free(&zstd);
}

/* Cut or damaged at every so many bytes: always an error that names the file, never other bytes. */
static void check_damage(struct str packed, struct str text)
{
    for (size_t at = 5; at < packed.len; at += packed.len / 50) {
        struct source *source;
        struct buf out = {0};
        struct kol_error err = {0};
        write_file((struct str){packed.ptr, at});
        assert_int_equal(source_open(path, &source, NULL), KOL_OK);
        assert_int_equal(read_all(source, &out, &err), KOL_CORRUPT);
        assert_non_null(strstr(err.message, path));
        assert_non_null(strstr(err.message, "stops too early"));
        assert_true(out.len <= text.len && memcmp(out.ptr ? out.ptr : "", text.ptr, out.len) == 0);
        assert_int_equal(read_all(source, &out, &err), KOL_CORRUPT);
        source_close(&source);
        unlink(path);
        buf_free(&out);
    }
}

static void test_cut_file_gives_what_came_before_the_cut(void **state)
{
    (void)state;
    struct buf text = {0}, gzip = {0}, zstd = {0};
    make_text(&text, 1000000);
    pack_gzip(&gzip, buf_str(&text));
    pack_zstd(&zstd, buf_str(&text));
    check_damage(buf_str(&gzip), buf_str(&text));
    check_damage(buf_str(&zstd), buf_str(&text));
    buf_free(&text);
    buf_free(&gzip);
    buf_free(&zstd);
}

/* How many bytes the library itself gets out of damaged gzip bytes. */
static size_t inflate_what_goes(struct str packed)
{
    z_stream stream = {.next_in = (Bytef *)packed.ptr, .avail_in = (uInt)packed.len};
    char *room = mem_alloc(4 << 20);
    stream.next_out = (Bytef *)room;
    stream.avail_out = 4 << 20;
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_NO_FLUSH), Z_DATA_ERROR);
    inflateEnd(&stream);
    free(room);
    return stream.total_out;
}

static void test_damaged_bytes_are_an_error(void **state)
{
    (void)state;
    struct buf text = {0}, gzip = {0};
    make_text(&text, 1000000);
    pack_gzip(&gzip, buf_str(&text));
    memset(gzip.ptr + gzip.len / 2, 0xff, 300);
    struct source *source;
    struct buf out = {0};
    struct kol_error err = {0};
    write_file(buf_str(&gzip));
    assert_int_equal(source_open(path, &source, NULL), KOL_OK);
    assert_int_equal(read_all(source, &out, &err), KOL_CORRUPT);
    assert_non_null(strstr(err.message, "is damaged"));
    assert_int_equal(out.len, inflate_what_goes(buf_str(&gzip)));
    assert_true(out.len > text.len / 4);
    source_close(&source);
    unlink(path);
    buf_free(&text);
    buf_free(&gzip);
    buf_free(&out);
}

static void test_garbage_behind_the_end_is_an_error(void **state)
{
    (void)state;
    struct buf gzip = {0}, out = {0};
    struct source *source;
    struct kol_error err = {0};
    pack_gzip(&gzip, STR("all\n"));
    buf_puts(&gzip, "rest");
    write_file(buf_str(&gzip));
    assert_int_equal(source_open(path, &source, NULL), KOL_OK);
    assert_int_equal(read_all(source, &out, &err), KOL_CORRUPT);
    assert_true(str_is(buf_str(&out), "all\n"));
    source_close(&source);
    unlink(path);
    buf_free(&gzip);
    buf_free(&out);
}

static void check_skip(struct str bytes, struct str text)
{
    static const int64_t places[] = {0, 1, 5, 65536, 300000, 1000000};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct source *source;
        struct buf out = {0};
        write_file(bytes);
        assert_int_equal(source_open(path, &source, NULL), KOL_OK);
        assert_int_equal(source_skip_to(source, places[i], NULL), KOL_OK);
        assert_int_equal(source_position(source), places[i]);
        assert_int_equal(read_all(source, &out, NULL), KOL_OK);
        assert_int_equal(out.len, (int64_t)text.len - places[i]);
        assert_memory_equal(out.ptr, text.ptr + places[i], out.len);
        source_close(&source);
        unlink(path);
        buf_free(&out);
    }
}

static void test_position_counts_unpacked_bytes(void **state)
{
    (void)state;
    struct buf text = {0}, gzip = {0}, zstd = {0};
    make_text(&text, 1500000);
    pack_gzip(&gzip, buf_str(&text));
    pack_zstd(&zstd, buf_str(&text));
    check_skip(buf_str(&text), buf_str(&text));
    check_skip(buf_str(&gzip), buf_str(&text));
    check_skip(buf_str(&zstd), buf_str(&text));
    buf_free(&text);
    buf_free(&gzip);
    buf_free(&zstd);
}

static void test_place_behind_the_end_is_refused(void **state)
{
    (void)state;
    struct source *source;
    struct kol_error err;
    write_file(STR("short"));
    assert_int_equal(source_open(path, &source, NULL), KOL_OK);
    assert_int_equal(source_skip_to(source, 6, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "ends at byte 5"));
    source_close(&source);
    unlink(path);
}

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    struct source *source;
    struct kol_error err;
    assert_int_equal(source_open("/tmp/kol-test-there-is-none", &source, &err), KOL_NOT_FOUND);
    assert_int_equal(source_open("/tmp", &source, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "folder"));
}

static enum kol_status count_idle(void *user, struct kol_error *err)
{
    (void)err;
    ++*(int *)user;
    signals_ask_stop(true);
    return KOL_OK;
}

static void test_quiet_pipe_calls_idle_and_a_stop_ends_the_wait(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDIN_FILENO), idle = 0;
    struct source *source;
    struct kol_error err;
    char got[8];
    size_t len;
    signals_install();
    assert_int_equal(pipe(ends), 0);
    dup2(ends[0], STDIN_FILENO);
    assert_int_equal(write(ends[1], "abcd", 4), 4);
    assert_int_equal(source_open("-", &source, NULL), KOL_OK);
    source_on_idle(source, count_idle, &idle);
    assert_string_equal(source_name(source), "<stdin>");
    assert_int_equal(source_read(source, got, sizeof got, &len, NULL), KOL_OK);
    assert_int_equal(len, 4);
    assert_int_equal(source_read(source, got, sizeof got, &len, &err), KOL_INTERRUPTED);
    assert_int_equal(idle, 1);
    signals_ask_stop(false);
    source_close(&source);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

static void test_window_grows_with_a_record_and_not_with_the_file(void **state)
{
    (void)state;
    struct buf text = {0};
    struct source *source;
    struct window window;
    make_text(&text, 9000000);
    write_file(buf_str(&text));
    assert_int_equal(source_open(path, &source, NULL), KOL_OK);
    window_init(&window, source);
    size_t at = 0;
    for (int turn = 0; !window.at_end || window_len(&window); turn++) {
        size_t take = turn % 3 ? 70001 : 1500000; /* now and then a large record */
        while (window_len(&window) < take && !window.at_end) {
            assert_int_equal(window_more(&window, NULL), KOL_OK);
        }
        take = take < window_len(&window) ? take : window_len(&window);
        assert_memory_equal(window.bytes + window.begin, text.ptr + at, take);
        window_take(&window, take);
        at += take;
        assert_int_equal(window.position, at);
    }
    assert_int_equal(at, text.len);
    assert_true(window.cap <= 4 << 20);
    window_free(&window);
    source_close(&source);
    unlink(path);
    buf_free(&text);
}

/* All lines of a text, as "number:text" or "number~text" where it was cut, each with a newline. */
static void read_lines(struct str text, size_t max_bytes, struct buf *out)
{
    struct source *source;
    struct window window;
    struct lines lines;
    struct line line;
    enum kol_status status;
    write_file(text);
    assert_int_equal(source_open(path, &source, NULL), KOL_OK);
    window_init(&window, source);
    lines_init(&lines, &window, max_bytes, 1);
    while ((status = lines_next(&lines, &line, NULL)) == KOL_OK) {
        buf_printf(out, "%lld%s", (long long)line.number, line.too_long ? "~" : ":");
        buf_put(out, line.text);
        buf_putc(out, '\n');
    }
    assert_int_equal(status, KOL_END);
    assert_int_equal(window.position, text.len);
    lines_free(&lines);
    window_free(&window);
    source_close(&source);
    unlink(path);
}

static void check_lines(struct str text, size_t max_bytes, const char *wanted)
{
    struct buf out = {0};
    buf_puts(&out, "");
    read_lines(text, max_bytes, &out);
    assert_string_equal(out.ptr, wanted);
    buf_free(&out);
}

static void test_lines_of_every_kind(void **state)
{
    (void)state;
    check_lines(STR(""), 100, "");
    check_lines(STR("\n \r\n\t\n"), 100, "");
    check_lines(STR("\xef\xbb\xbf{}\r\n\n  {1}  \nlast"), 100, "1:{}\n3:  {1}  \n4:last\n");
    check_lines(STR("a\rb\nc\r"), 100, "1:a\rb\n2:c\n");
}

static void test_long_line_is_cut_and_the_rest_goes_on(void **state)
{
    (void)state;
    check_lines(STR("12345\n123456\n12345\r\n1234567\r\nx"), 5,
                "1:12345\n2~12345\n3:12345\n4~12345\n5:x\n");
    check_lines(STR("123456"), 5, "1~12345\n");
    struct buf text = {0}, out = {0};
    for (int i = 0; i < 5000000; i++) {
        buf_putc(&text, 'x');
    }
    buf_puts(&text, "\nnext\n");
    read_lines(buf_str(&text), 5, &out);
    assert_string_equal(out.ptr, "1~xxxxx\n2:next\n");
    buf_free(&text);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_is_told_by_the_first_bytes),
        cmocka_unit_test(test_packed_files_may_have_several_parts),
        cmocka_unit_test(test_cut_file_gives_what_came_before_the_cut),
        cmocka_unit_test(test_damaged_bytes_are_an_error),
        cmocka_unit_test(test_garbage_behind_the_end_is_an_error),
        cmocka_unit_test(test_position_counts_unpacked_bytes),
        cmocka_unit_test(test_place_behind_the_end_is_refused),
        cmocka_unit_test(test_what_cannot_be_opened),
        cmocka_unit_test(test_quiet_pipe_calls_idle_and_a_stop_ends_the_wait),
        cmocka_unit_test(test_window_grows_with_a_record_and_not_with_the_file),
        cmocka_unit_test(test_lines_of_every_kind),
        cmocka_unit_test(test_long_line_is_cut_and_the_rest_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
