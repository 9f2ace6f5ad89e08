/*
 * fuzz_csv.c: any bytes as a CSV file, plain or packed.
 *
 * The first byte picks the delimiter and how small the limits are. What must hold: every call takes
 * something, line numbers are those of the file, a good record has the wanted number of cells,
 * cells lie in UTF-8, and reading that begins again behind a record finds the same next one.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "import/csv.h"
#include "import/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_UNPACKED = 1 << 20 }; /* a few packed bytes may mean gigabytes */

static int file = -1;
static char path[32];

static void write_file(const uint8_t *data, size_t size)
{
    if (file < 0) {
        file = memfd_create("fuzz_csv", 0);
        KOL_ASSERT(file >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    KOL_ASSERT(ftruncate(file, 0) == 0);
    KOL_ASSERT(pwrite(file, data, size, 0) == (ssize_t)size);
}

struct reader {
    struct source *source;
    struct window window;
    struct csv csv;
};

static void reader_open(struct reader *reader, uint8_t choice)
{
    KOL_ASSERT(source_open(path, &reader->source, NULL) == KOL_OK);
    window_init(&reader->window, reader->source);
    csv_init(&reader->csv, &reader->window, ",;\t,"[choice & 3], 1);
    if (choice & 4) {
        reader->csv.max_record = 32;
        reader->csv.max_cells = 4;
    }
    reader->csv.expected = choice >> 5;
}

static void reader_close(struct reader *reader)
{
    csv_free(&reader->csv);
    window_free(&reader->window);
    source_close(&reader->source);
}

static void check_record(const struct csv_record *record, const struct csv *csv)
{
    KOL_ASSERT(record->broken == (record->reason[0] != '\0'));
    KOL_ASSERT(record->broken ? record->count == 0 : record->count > 0);
    KOL_ASSERT(record->broken || !csv->expected || record->count == csv->expected);
    size_t total = 0;
    for (size_t i = 0; i < record->count; i++) {
        KOL_ASSERT(text_is_utf8(record->cells[i]));
        total += record->cells[i].len;
    }
    KOL_ASSERT(total <= record->raw.len);
}

/* Begins at `position` and wants the same record. */
static void check_again(uint8_t choice, int64_t position, int64_t line,
                        const struct csv_record *wanted)
{
    struct reader reader;
    struct csv_record found;
    reader_open(&reader, choice);
    KOL_ASSERT(window_seek(&reader.window, position, NULL) == KOL_OK);
    reader.csv.next_line = line;
    KOL_ASSERT(csv_next(&reader.csv, &found, NULL) == KOL_OK);
    KOL_ASSERT(found.line == wanted->line && found.count == wanted->count);
    KOL_ASSERT(str_equal(found.raw, wanted->raw) && strcmp(found.reason, wanted->reason) == 0);
    reader_close(&reader);
}

static int64_t count_newlines(const uint8_t *data, size_t size)
{
    int64_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += data[i] == '\n';
    }
    return count;
}

static void play_lines(const uint8_t *data, size_t size)
{
    struct source *source;
    struct window window;
    struct lines lines;
    struct line line;
    KOL_ASSERT(source_open(path, &source, NULL) == KOL_OK);
    window_init(&window, source);
    lines_init(&lines, &window, 16, 1);
    enum kol_status status;
    while ((status = lines_next(&lines, &line, NULL)) == KOL_OK && window.position < MAX_UNPACKED) {
        KOL_ASSERT(line.text.len <= 16 && (!line.too_long || line.text.len == 16));
    }
    if (status == KOL_END && strcmp(source_packing(source), "plain") == 0) {
        bool open_end =
            size && data[size - 1] != '\n' && !(size == 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0);
        KOL_ASSERT(lines.next_line == 1 + count_newlines(data, size) + open_end);
    }
    lines_free(&lines);
    window_free(&window);
    source_close(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader;
    struct csv_record record;
    if (size == 0) {
        return 0;
    }
    uint8_t choice = data[0];
    write_file(data + 1, size - 1);
    reader_open(&reader, choice);
    enum kol_status status = KOL_OK;
    for (int turn = 0; status == KOL_OK && reader.window.position < MAX_UNPACKED; turn++) {
        int64_t position = reader.window.position, line = reader.csv.next_line;
        status = csv_next(&reader.csv, &record, NULL);
        if (status == KOL_OK) {
            KOL_ASSERT(reader.window.position > position && record.line >= line);
            check_record(&record, &reader.csv);
            if (turn < 8) {
                check_again(choice, position, line, &record);
            }
        }
    }
    KOL_ASSERT(status == KOL_OK || status == KOL_END || status == KOL_CORRUPT);
    if (status == KOL_END && strcmp(source_packing(reader.source), "plain") == 0) {
        KOL_ASSERT(reader.csv.next_line == 1 + count_newlines(data + 1, size - 1));
    }
    reader_close(&reader);
    play_lines(data + 1, size - 1);
    return 0;
}
