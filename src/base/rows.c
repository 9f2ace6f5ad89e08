/* rows.c: the same rows as an aligned table, as JSON lines or as CSV. */
#include "base/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

struct cell {
    char *text;
    size_t width; /* in code points */
    bool right;   /* numbers stand right */
};

struct rows {
    FILE *out;
    enum rows_format format;
    const char *const *names;
    size_t columns;
    size_t column;      /* the next cell's */
    struct buf line;    /* JSON and CSV: the row being made */
    struct cell *cells; /* table: all of them, row by row */
    size_t cell_count, cell_cap;
};

static void put_csv(struct buf *out, struct str text)
{
    bool quote = false;
    for (size_t i = 0; i < text.len; i++) {
        quote = quote || strchr(",\"\r\n", text.ptr[i]) != NULL; /* NUL is found too: quoted */
    }
    if (quote) {
        text_put_csv_quoted(out, text);
    } else {
        buf_put(out, text);
    }
}

static void put_visible(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\n') {
            buf_puts(out, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_putc(out, (char)c);
        }
    }
}

struct rows *rows_begin(FILE *out, enum rows_format format, const char *const *names, size_t count)
{
    KOL_ASSERT(count > 0);
    struct rows *rows = mem_zalloc(1, sizeof *rows);
    rows->out = out;
    rows->format = format;
    rows->names = names;
    rows->columns = count;
    for (size_t i = 0; i < count && format == ROWS_CSV; i++) {
        put_csv(&rows->line, str_of(names[i]));
        buf_putc(&rows->line, i + 1 < count ? ',' : '\n');
    }
    fwrite(rows->line.ptr ? rows->line.ptr : "", 1, rows->line.len, out);
    buf_clear(&rows->line);
    return rows;
}

static void hold_cell(struct rows *rows, struct str text, bool right)
{
    struct buf visible = {0};
    buf_puts(&visible, "");
    put_visible(&visible, text);
    if (rows->cell_count == rows->cell_cap) {
        rows->cell_cap = rows->cell_cap ? rows->cell_cap * 2 : 64;
        rows->cells = mem_realloc(rows->cells, rows->cell_cap * sizeof *rows->cells);
    }
    rows->cells[rows->cell_count++] =
        (struct cell){visible.ptr, text_length(buf_str(&visible)), right};
}

enum cell_kind { CELL_TEXT, CELL_BARE, CELL_NULL };

static void put_json_cell(struct rows *rows, struct str text, enum cell_kind kind)
{
    buf_putc(&rows->line, rows->column ? ',' : '{');
    text_put_json(&rows->line, str_of(rows->names[rows->column]));
    buf_putc(&rows->line, ':');
    if (kind == CELL_NULL) {
        buf_puts(&rows->line, "null");
    } else if (kind == CELL_BARE) {
        buf_put(&rows->line, text);
    } else {
        text_put_json(&rows->line, text);
    }
}

/* Every cell goes through here: the formats differ nowhere else. */
static void put_cell(struct rows *rows, struct str text, enum cell_kind kind, bool right)
{
    bool last = rows->column + 1 == rows->columns;
    if (rows->format == ROWS_TABLE) {
        hold_cell(rows, kind == CELL_NULL ? STR("-") : text, right);
    } else if (rows->format == ROWS_JSON) {
        put_json_cell(rows, text, kind);
        buf_puts(&rows->line, last ? "}\n" : "");
    } else {
        if (kind != CELL_NULL) {
            put_csv(&rows->line, text);
        }
        buf_putc(&rows->line, last ? '\n' : ',');
    }
    if (last && rows->format != ROWS_TABLE) {
        fwrite(rows->line.ptr, 1, rows->line.len, rows->out);
        buf_clear(&rows->line);
    }
    rows->column = last ? 0 : rows->column + 1;
}

void rows_text(struct rows *rows, struct str text)
{
    if (text_is_utf8(text)) {
        put_cell(rows, text, CELL_TEXT, false);
        return;
    }
    struct buf base64 = {0};
    buf_puts(&base64, "base64:");
    text_put_base64(&base64, text);
    put_cell(rows, buf_str(&base64), CELL_TEXT, false);
    buf_free(&base64);
}

void rows_int(struct rows *rows, int64_t value)
{
    struct buf text = {0};
    buf_put_int64(&text, value);
    put_cell(rows, buf_str(&text), CELL_BARE, true);
    buf_free(&text);
}

void rows_real(struct rows *rows, double value)
{
    if (!isfinite(value)) {
        rows_null(rows);
        return;
    }
    struct buf text = {0};
    buf_put_double(&text, value);
    put_cell(rows, buf_str(&text), CELL_BARE, true);
    buf_free(&text);
}

void rows_bool(struct rows *rows, bool value)
{
    put_cell(rows, value ? STR("true") : STR("false"), CELL_BARE, false);
}

void rows_time(struct rows *rows, int64_t time_us)
{
    struct buf text = {0};
    clock_format(&text, time_us);
    put_cell(rows, buf_str(&text), CELL_TEXT, false);
    buf_free(&text);
}

void rows_json(struct rows *rows, struct str json)
{
    bool number = json.len && (json.ptr[0] == '-' || (json.ptr[0] >= '0' && json.ptr[0] <= '9'));
    put_cell(rows, json, CELL_BARE, number);
}

void rows_null(struct rows *rows)
{
    put_cell(rows, (struct str){NULL, 0}, CELL_NULL, false);
}

static void print_table_row(struct rows *rows, const struct cell *cells, const size_t *widths)
{
    for (size_t i = 0; i < rows->columns; i++) {
        int pad = (int)(widths[i] - cells[i].width);
        bool last = i + 1 == rows->columns;
        fprintf(rows->out, "%*s%s%*s", cells[i].right ? pad : 0, "", cells[i].text,
                cells[i].right || last ? 0 : pad, "");
        fputs(last ? "\n" : "  ", rows->out);
    }
}

static void print_table(struct rows *rows)
{
    KOL_ASSERT(rows->columns > 0);
    size_t *widths = mem_zalloc(rows->columns, sizeof *widths);
    struct cell *head = mem_zalloc(rows->columns, sizeof *head);
    for (size_t i = 0; i < rows->columns; i++) {
        head[i] = (struct cell){(char *)rows->names[i], strlen(rows->names[i]),
                                rows->cell_count > i && rows->cells[i].right};
        widths[i] = head[i].width;
    }
    for (size_t i = 0; i < rows->cell_count; i++) {
        size_t *width = &widths[i % rows->columns];
        *width = rows->cells[i].width > *width ? rows->cells[i].width : *width;
    }
    print_table_row(rows, head, widths);
    for (size_t i = 0; i + rows->columns <= rows->cell_count; i += rows->columns) {
        print_table_row(rows, rows->cells + i, widths);
    }
    free(widths);
    free(head);
}

enum kol_status rows_end(struct rows **rows_at, struct kol_error *err)
{
    struct rows *rows = *rows_at;
    KOL_ASSERT(rows->column == 0);
    if (rows->format == ROWS_TABLE) {
        print_table(rows);
    }
    for (size_t i = 0; i < rows->cell_count; i++) {
        free(rows->cells[i].text);
    }
    bool failed = fflush(rows->out) != 0 || ferror(rows->out);
    free(rows->cells);
    buf_free(&rows->line);
    free(rows);
    *rows_at = NULL;
    return failed ? kol_fail(err, KOL_IO, "the output could not be written") : KOL_OK;
}

enum kol_status rows_finish(struct rows **rows, enum kol_status status, struct kol_error *err)
{
    enum kol_status shown = rows_end(rows, status == KOL_OK ? err : NULL);
    return status == KOL_OK ? shown : status;
}
