/* test_csv.c: records of CSV, whole and broken, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "import/csv.h"

/* A reader over a text: the text goes through a file, as everything does. */
struct reader {
    char path[64];
    struct source *source;
    struct window window;
    struct csv csv;
    struct csv_record record;
};

static void reader_open(struct reader *reader, struct str text, char delimiter)
{
    strcpy(reader->path, "/tmp/kol-test-csv-XXXXXX");
    int fd = mkstemp(reader->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.len ? text.ptr : "", text.len), (ssize_t)text.len);
    close(fd);
    assert_int_equal(source_open(reader->path, &reader->source, NULL), KOL_OK);
    window_init(&reader->window, reader->source);
    csv_init(&reader->csv, &reader->window, delimiter, 1);
}

static void reader_close(struct reader *reader)
{
    csv_free(&reader->csv);
    window_free(&reader->window);
    source_close(&reader->source);
    unlink(reader->path);
}

/* The next record as "line:cell|cell", "line!reason" or "end". */
static const char *next(struct reader *reader)
{
    static struct buf out;
    struct kol_error err;
    buf_clear(&out);
    enum kol_status status = csv_next(&reader->csv, &reader->record, &err);
    if (status == KOL_END) {
        return "end";
    }
    assert_int_equal(status, KOL_OK);
    const struct csv_record *record = &reader->record;
    buf_printf(&out, "%lld%s", (long long)record->line, record->broken ? "!" : ":");
    buf_puts(&out, record->broken ? record->reason : "");
    for (size_t i = 0; i < record->count; i++) {
        buf_puts(&out, i ? "|" : "");
        buf_put(&out, record->cells[i]);
    }
    return out.ptr;
}

static struct str raw(const struct reader *reader)
{
    return reader->record.raw;
}

static void open_text(struct reader *reader, const char *text)
{
    reader_open(reader, str_of(text), ',');
}

static void test_cells_are_cut_at_commas(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "a,b,c\n1,,3\n,,\n");
    assert_string_equal(next(&reader), "1:a|b|c");
    assert_string_equal(next(&reader), "2:1||3");
    assert_string_equal(next(&reader), "3:||");
    assert_string_equal(next(&reader), "end");
    assert_string_equal(next(&reader), "end");
    reader_close(&reader);
}

static void test_other_delimiters(void **state)
{
    (void)state;
    struct reader reader;
    reader_open(&reader, STR("a,1;\"b;c\";d\n"), ';');
    assert_string_equal(next(&reader), "1:a,1|b;c|d");
    reader_close(&reader);
    reader_open(&reader, STR("a;1\t\"b\tc\"\td\n"), '\t');
    assert_string_equal(next(&reader), "1:a;1|b\tc|d");
    reader_close(&reader);
}

static void test_quoted_cells_keep_every_byte(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader,
              "\"a,b\",\"line\r\ntwo\rthree\nfour\",\"say \"\"hi\"\"\",\"\"\"\",\"\"\nnext,,,,\n");
    assert_string_equal(next(&reader), "1:a,b|line\r\ntwo\rthree\nfour|say \"hi\"|\"|");
    assert_string_equal(next(&reader), "4:next||||");
    reader_close(&reader);
}

static void test_quote_inside_plain_cell_is_text(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "a\"b\",c \"d\", \"e\"\n");
    assert_string_equal(next(&reader), "1:a\"b\"|c \"d\"| \"e\"");
    reader_close(&reader);
}

static void test_line_ends_may_be_mixed(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "\xef\xbb\xbf"
                       "a,b\r\n\"c\",\"d\"\r\n\r\n\ne,f\n\"g\",h\r\ni,j");
    assert_string_equal(next(&reader), "1:a|b");
    assert_string_equal(next(&reader), "2:c|d");
    assert_string_equal(next(&reader), "5:e|f");
    assert_string_equal(next(&reader), "6:g|h");
    assert_string_equal(next(&reader), "7:i|j");
    assert_string_equal(next(&reader), "end");
    reader_close(&reader);
}

static void test_last_record_may_lack_its_line_end(void **state)
{
    (void)state;
    static const char *const texts[] = {"a,b", "a,\"b\"", "a,\"b\"\r", "a,b\n", "a,b\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct reader reader;
        open_text(&reader, texts[i]);
        assert_string_equal(next(&reader), "1:a|b");
        assert_string_equal(next(&reader), "end");
        reader_close(&reader);
    }
}

static void test_trailing_comma_is_one_more_empty_cell(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "a,\n\"b\",\nc,");
    assert_string_equal(next(&reader), "1:a|");
    assert_string_equal(next(&reader), "2:b|");
    assert_string_equal(next(&reader), "3:c|");
    reader_close(&reader);
}

static void test_empty_file_and_lone_byte_order_mark_hold_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\r\n\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct reader reader;
        open_text(&reader, texts[i]);
        assert_string_equal(next(&reader), "end");
        reader_close(&reader);
    }
}

static void test_wrong_number_of_cells_costs_that_record_alone(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "a,b\n1,2,3\n\"x\ny\"\n4,5\n");
    reader.csv.expected = 2;
    assert_string_equal(next(&reader), "1:a|b");
    assert_string_equal(next(&reader), "2!3 cells, the header has 2");
    assert_true(str_is(raw(&reader), "1,2,3"));
    assert_string_equal(next(&reader), "3!1 cells, the header has 2");
    assert_true(str_is(raw(&reader), "\"x\ny\""));
    assert_string_equal(next(&reader), "5:4|5");
    reader_close(&reader);
}

static void test_text_behind_a_closing_quote_costs_one_line(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "a,\"b\"c,d\n1,2,3\n\"x\"\ry\n4,5,6\n");
    assert_string_equal(next(&reader), "1!text after a closing quote");
    assert_true(str_is(raw(&reader), "a,\"b\"c,d"));
    assert_string_equal(next(&reader), "2:1|2|3");
    assert_string_equal(next(&reader), "3!text after a closing quote");
    assert_string_equal(next(&reader), "4:4|5|6");
    assert_string_equal(next(&reader), "end");
    reader_close(&reader);
}

static void test_forgotten_quote_costs_one_line_and_not_the_rest(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "1,\"open,2\r\n3,4\n5,\"six\"\n7,8\n");
    assert_string_equal(next(&reader), "1!text after a closing quote");
    assert_true(str_is(raw(&reader), "1,\"open,2"));
    assert_string_equal(next(&reader), "2:3|4");
    assert_string_equal(next(&reader), "3:5|six");
    assert_string_equal(next(&reader), "4:7|8");
    reader_close(&reader);
    open_text(&reader, "1,\"open\n3,4\n5,6");
    assert_string_equal(next(&reader), "1!a quote is never closed");
    assert_string_equal(next(&reader), "2:3|4");
    assert_string_equal(next(&reader), "3:5|6");
    assert_string_equal(next(&reader), "end");
    reader_close(&reader);
}

static void test_quote_open_beyond_the_limit_is_given_up(void **state)
{
    (void)state;
    struct reader reader;
    struct buf text = {0};
    buf_puts(&text, "1,\"open\n");
    for (int i = 0; i < 1000; i++) {
        buf_printf(&text, "%d,x\n", i);
    }
    reader_open(&reader, buf_str(&text), ',');
    reader.csv.max_record = 100;
    assert_string_equal(next(&reader), "1!longer than a record may be");
    assert_true(str_is(raw(&reader), "1,\"open"));
    for (int i = 0; i < 1000; i++) {
        char want[32];
        snprintf(want, sizeof want, "%d:%d|x", i + 2, i);
        assert_string_equal(next(&reader), want);
    }
    assert_string_equal(next(&reader), "end");
    reader_close(&reader);
    buf_free(&text);
}

static void test_line_above_the_limit_is_cut_and_skipped(void **state)
{
    (void)state;
    struct reader reader;
    struct buf text = {0};
    buf_puts(&text, "a,b\n");
    for (int i = 0; i < 3000000; i++) {
        buf_putc(&text, 'x');
    }
    buf_puts(&text, ",y\n1,2\n");
    reader_open(&reader, buf_str(&text), ',');
    reader.csv.max_record = 1000;
    assert_string_equal(next(&reader), "1:a|b");
    assert_string_equal(next(&reader), "2!longer than a record may be");
    assert_int_equal(raw(&reader).len, 1000);
    assert_string_equal(next(&reader), "3:1|2");
    assert_string_equal(next(&reader), "end");
    assert_true(reader.window.cap <= 4 << 20);
    reader_close(&reader);
    buf_free(&text);
}

static void test_too_many_cells(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "1,2,3\n1,2,3,\"\n\",5\n1,2\n");
    reader.csv.max_cells = 3;
    assert_string_equal(next(&reader), "1:1|2|3");
    assert_string_equal(next(&reader), "2!more than 3 cells");
    assert_string_equal(next(&reader), "4:1|2");
    reader_close(&reader);
}

static void test_bytes_that_are_no_utf8(void **state)
{
    (void)state;
    struct reader reader;
    open_text(&reader, "a,\"\xff\n\",c\nd,\xc3\xa9\n");
    assert_string_equal(next(&reader), "1!not UTF-8");
    assert_int_equal(raw(&reader).len, 8);
    assert_string_equal(next(&reader), "3:d|\xc3\xa9");
    reader_close(&reader);
}

/* Reading can begin again behind any record: what an interrupted import does. */
static void test_reading_goes_on_at_any_record(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbfh,i\r\n\"a\n\",b\r\n\r\nc,\"\"\"\"\n\"bad\"x,y\nd,e";
    struct reader all;
    char wanted[16][64];
    int64_t places[16], lines[16];
    int count = 0;
    open_text(&all, text);
    do {
        places[count] = all.window.position;
        lines[count] = all.csv.next_line;
        snprintf(wanted[count], sizeof wanted[count], "%s", next(&all));
    } while (strcmp(wanted[count++], "end") != 0);
    reader_close(&all);
    assert_int_equal(count, 6);
    for (int from = 0; from < count; from++) {
        struct reader part;
        open_text(&part, text);
        assert_int_equal(window_seek(&part.window, places[from], NULL), KOL_OK);
        part.csv.next_line = lines[from];
        for (int i = from; i < count; i++) {
            assert_string_equal(next(&part), wanted[i]);
        }
        reader_close(&part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_are_cut_at_commas),
        cmocka_unit_test(test_other_delimiters),
        cmocka_unit_test(test_quoted_cells_keep_every_byte),
        cmocka_unit_test(test_quote_inside_plain_cell_is_text),
        cmocka_unit_test(test_line_ends_may_be_mixed),
        cmocka_unit_test(test_last_record_may_lack_its_line_end),
        cmocka_unit_test(test_trailing_comma_is_one_more_empty_cell),
        cmocka_unit_test(test_empty_file_and_lone_byte_order_mark_hold_nothing),
        cmocka_unit_test(test_wrong_number_of_cells_costs_that_record_alone),
        cmocka_unit_test(test_text_behind_a_closing_quote_costs_one_line),
        cmocka_unit_test(test_forgotten_quote_costs_one_line_and_not_the_rest),
        cmocka_unit_test(test_quote_open_beyond_the_limit_is_given_up),
        cmocka_unit_test(test_line_above_the_limit_is_cut_and_skipped),
        cmocka_unit_test(test_too_many_cells),
        cmocka_unit_test(test_bytes_that_are_no_utf8),
        cmocka_unit_test(test_reading_goes_on_at_any_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
