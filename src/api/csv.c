/*
 * csv.c: rows of JSON as cells under columns, and these as CSV.
 *
 * The CSV twin of a list, and the files of an export, are made from the very rows that the JSON
 * has: they cannot differ. What is read here is what this room has written a moment before, so that
 * the reader looks at brackets, quotes and commas alone.
 */
#include <stdio.h>
#include <string.h>

#include "api/lists.h"
#include "base/text.h"

enum { MAX_COLUMNS = 256 };

/* ---- columns ---- */

static bool is_wanted(const struct http_field *field, const struct api_row_style *style)
{
    if (!style) {
        return true;
    }
    if (strcmp(field->name, "scores") == 0) {
        return style->scores;
    }
    bool wanted = !style->field_count || strcmp(field->name, "kol_id") == 0 ||
                  strcmp(field->name, "platform") == 0;
    for (size_t i = 0; i < style->field_count && !wanted; i++) {
        wanted = str_is(style->fields[i], field->name);
    }
    return wanted;
}

static const char *join_names(struct arena *arena, const char *prefix, const char *name)
{
    struct buf text = {0};
    buf_printf(&text, "%s%s", prefix, name);
    const char *joined = arena_copy(arena, buf_str(&text)).ptr;
    buf_free(&text);
    return joined;
}

static void add_columns(struct api_sheet *sheet, const char *schema, const char *prefix,
                        const struct api_row_style *style, struct arena *arena)
{
    const struct http_schema *members = api_schema(schema);
    for (size_t i = 0; i < members->field_count; i++) {
        const struct http_field *field = &members->fields[i];
        if (!is_wanted(field, style)) {
            continue;
        }
        const char *name = join_names(arena, prefix, field->name);
        if (field->kind == HTTP_OBJECT && field->schema) {
            add_columns(sheet, field->schema, join_names(arena, name, "."), NULL, arena);
            continue;
        }
        KOL_ASSERT(sheet->count < MAX_COLUMNS);
        sheet->columns[sheet->count++] = (struct api_cell_column){name, field->kind};
    }
}

void api_sheet_init(struct api_sheet *sheet, const char *schema, const struct api_row_style *style,
                    struct arena *arena)
{
    *sheet =
        (struct api_sheet){.columns = arena_alloc(arena, MAX_COLUMNS * sizeof *sheet->columns)};
    add_columns(sheet, schema, "", style, arena);
    sheet->cells = arena_alloc(arena, (sheet->count + 1) * sizeof *sheet->cells);
    sheet->hints = arena_alloc(arena, MAX_COLUMNS * sizeof *sheet->hints);
    memset(sheet->hints, 0, MAX_COLUMNS * sizeof *sheet->hints);
}

/* ---- reading rows ---- */

static char next_char(const struct str *rest)
{
    KOL_ASSERT(rest->len);
    return *rest->ptr;
}

static void step(struct str *rest, size_t bytes)
{
    KOL_ASSERT(rest->len >= bytes);
    rest->ptr += bytes;
    rest->len -= bytes;
}

/* The string that `rest` begins with, its quotes included. */
static struct str take_string(struct str *rest)
{
    const char *begin = rest->ptr;
    KOL_ASSERT(next_char(rest) == '"');
    step(rest, 1);
    while (next_char(rest) != '"') {
        step(rest, *rest->ptr == '\\' ? 2 : 1);
    }
    step(rest, 1);
    return (struct str){begin, (size_t)(rest->ptr - begin)};
}

/* The value that `rest` begins with, whatever it is. */
static struct str take_value(struct str *rest)
{
    const char *begin = rest->ptr;
    size_t depth = 0;
    do {
        char c = next_char(rest);
        if (c == '"') {
            take_string(rest);
        } else {
            depth += c == '{' || c == '[' ? 1 : 0;
            depth -= c == '}' || c == ']' ? 1 : 0;
            step(rest, 1);
        }
    } while (depth || (rest->len && *rest->ptr != ',' && *rest->ptr != '}' && *rest->ptr != ']'));
    return (struct str){begin, (size_t)(rest->ptr - begin)};
}

/* True if the column's name is `prefix` and `name` together. */
static bool is_named(const char *column, struct str prefix, struct str name)
{
    return strlen(column) == prefix.len + name.len && memcmp(column, prefix.ptr, prefix.len) == 0 &&
           memcmp(column + prefix.len, name.ptr, name.len) == 0;
}

/* The column of the n-th member of a row: nearly always that of the row before. */
static struct str *find_cell(struct api_sheet *sheet, size_t nth, struct str prefix,
                             struct str name)
{
    size_t *hint = nth < MAX_COLUMNS ? &sheet->hints[nth] : NULL;
    if (hint && *hint < sheet->count && is_named(sheet->columns[*hint].name, prefix, name)) {
        return &sheet->cells[*hint];
    }
    for (size_t i = 0; i < sheet->count; i++) {
        if (is_named(sheet->columns[i].name, prefix, name)) {
            if (hint) {
                *hint = i;
            }
            return &sheet->cells[i];
        }
    }
    return NULL;
}

static void read_object(struct api_sheet *sheet, struct str *rest, struct str prefix, size_t *nth)
{
    enum { MAX_PREFIX = 256 };
    KOL_ASSERT(next_char(rest) == '{');
    step(rest, 1);
    while (next_char(rest) != '}') {
        struct str quoted = take_string(rest), name = {quoted.ptr + 1, quoted.len - 2};
        KOL_ASSERT(next_char(rest) == ':');
        step(rest, 1);
        struct str *cell = find_cell(sheet, (*nth)++, prefix, name);
        if (next_char(rest) == '{' && !cell) {
            char longer[MAX_PREFIX];
            int len =
                snprintf(longer, sizeof longer, "%.*s%.*s.", STR_FORMAT(prefix), STR_FORMAT(name));
            KOL_ASSERT(len > 0 && len < MAX_PREFIX);
            read_object(sheet, rest, (struct str){longer, (size_t)len}, nth);
        } else {
            struct str value = take_value(rest);
            if (cell && !str_is(value, "null")) {
                *cell = value;
            }
        }
        if (next_char(rest) == ',') {
            step(rest, 1);
        }
    }
    step(rest, 1);
}

bool api_sheet_read(struct api_sheet *sheet, struct str *rest)
{
    size_t nth = 0;
    while (rest->len && (*rest->ptr == ',' || *rest->ptr == '\n')) {
        step(rest, 1);
    }
    if (!rest->len || *rest->ptr != '{') {
        return false;
    }
    memset(sheet->cells, 0, sheet->count * sizeof *sheet->cells);
    read_object(sheet, rest, STR(""), &nth);
    return true;
}

/* ---- values ---- */

static char unescaped(char letter)
{
    switch (letter) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case 'b': return '\b';
    case 'f': return '\f';
    default: return letter; /* the quote, the backslash and the slash stand for themselves */
    }
}

/* What `\uXXXX` stands for; the writer uses it for control characters alone. */
static char control_at(struct str digits)
{
    unsigned value = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = digits.ptr[i];
        value = value * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    KOL_ASSERT(value < 0x80);
    return (char)value;
}

struct str api_json_text(struct str json, struct arena *arena)
{
    KOL_ASSERT(json.len >= 2 && json.ptr[0] == '"');
    struct str inner = {json.ptr + 1, json.len - 2};
    if (!memchr(inner.ptr, '\\', inner.len)) {
        return inner;
    }
    char *out = arena_alloc(arena, inner.len + 1);
    size_t len = 0;
    while (inner.len) {
        if (*inner.ptr != '\\') {
            out[len++] = *inner.ptr;
            step(&inner, 1);
        } else if (inner.ptr[1] == 'u') {
            KOL_ASSERT(inner.len >= 6);
            out[len++] = control_at((struct str){inner.ptr + 2, 4});
            step(&inner, 6);
        } else {
            out[len++] = unescaped(inner.ptr[1]);
            step(&inner, 2);
        }
    }
    return (struct str){out, len};
}

struct str *api_json_texts(struct str json, struct arena *arena, size_t *count)
{
    /* An element takes three bytes at least. */
    struct str *texts = arena_alloc(arena, (json.len / 3 + 1) * sizeof *texts);
    *count = 0;
    step(&json, 1);
    while (next_char(&json) != ']') {
        texts[(*count)++] = api_json_text(take_string(&json), arena);
        if (next_char(&json) == ',') {
            step(&json, 1);
        }
    }
    return texts;
}

/* ---- CSV ---- */

static bool needs_quotes(struct str text)
{
    if (!text.len || text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ') {
        return true; /* an empty text is not null */
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"' || c == ',' || c == '\n' || c == '\r') {
            return true;
        }
    }
    return false;
}

void api_csv_names(const struct api_sheet *sheet, struct buf *out)
{
    for (size_t i = 0; i < sheet->count; i++) {
        buf_puts(out, i ? "," : "");
        buf_puts(out, sheet->columns[i].name);
    }
    buf_puts(out, "\r\n");
}

static void put_cell(struct buf *out, struct str cell, struct arena *arena)
{
    if (!cell.len) {
        return;
    }
    struct str text = cell.ptr[0] == '"' ? api_json_text(cell, arena) : cell;
    if (needs_quotes(text)) {
        text_put_csv_quoted(out, text);
    } else {
        buf_put(out, text);
    }
}

void api_csv_row(const struct api_sheet *sheet, struct buf *out)
{
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i < sheet->count; i++) {
        buf_puts(out, i ? "," : "");
        put_cell(out, sheet->cells[i], &arena);
    }
    buf_puts(out, "\r\n");
    arena_free(&arena);
}

/* What follows "data":[ in the object. */
static struct str rows_of(struct str body)
{
    struct str rest = body;
    KOL_ASSERT(next_char(&rest) == '{');
    step(&rest, 1);
    for (;;) {
        struct str name = take_string(&rest);
        step(&rest, 1);
        if (str_is(name, "\"data\"")) {
            step(&rest, 1);
            return rest;
        }
        take_value(&rest);
        KOL_ASSERT(next_char(&rest) == ','); /* data is there: it is not the last */
        step(&rest, 1);
    }
}

enum kol_status api_answer_rows(struct http_call *call, struct buf *body, const char *schema,
                                const struct api_row_style *style)
{
    if (strncmp(http_call_type(call), "text/csv", 8) != 0) {
        return api_answer(call, body);
    }
    struct api_sheet sheet;
    struct buf csv = {0};
    struct str rest = rows_of(buf_str(body));
    api_sheet_init(&sheet, schema, style, http_call_arena(call));
    api_csv_names(&sheet, &csv);
    while (api_sheet_read(&sheet, &rest)) {
        api_csv_row(&sheet, &csv);
    }
    buf_free(body);
    return api_answer(call, &csv);
}
