/* answer.c: the answer of a SELECT as rows on stdout, in the format that was asked for. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/command.h"

/* The columns' names, each once: a JSON object has no two of the same. */
static const char **unique_names(const struct engine_result *result, struct arena *arena)
{
    size_t count = engine_columns(result);
    const char **names = arena_alloc(arena, count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        struct buf name = {0};
        size_t number = 1, j = 0;
        buf_puts(&name, engine_column_name(result, i));
        size_t len = name.len;
        while (j < i) {
            if (strcmp(names[j++], name.ptr) == 0) {
                name.len = len;
                buf_printf(&name, "_%zu", ++number);
                j = 0;
            }
        }
        names[i] = arena_copy(arena, buf_str(&name)).ptr;
        buf_free(&name);
    }
    return names;
}

/* Any value of its own text; what is a number or nested in JSON goes there as it is. */
static void show_cell(struct rows *rows, const struct engine_result *result, size_t column,
                      size_t row, enum ice_type type, struct buf *text)
{
    if (engine_null(result, column, row)) {
        rows_null(rows);
        return;
    }
    switch (type) {
    case ICE_BOOLEAN: rows_bool(rows, engine_bool(result, column, row)); return;
    case ICE_INT:
    case ICE_LONG: rows_int(rows, engine_int(result, column, row)); return;
    default: break;
    }
    buf_clear(text);
    buf_puts(text, "");
    engine_put(result, column, row, text);
    bool nested = type == ICE_LIST || type == ICE_MAP || type == ICE_STRUCT;
    bool number = type == ICE_DECIMAL || type == ICE_FLOAT || type == ICE_DOUBLE;
    if (number) { /* NaN and the infinities are words */
        number = text->ptr[text->len - 1] >= '0' && text->ptr[text->len - 1] <= '9';
    }
    if (nested || number) {
        rows_json(rows, buf_str(text));
    } else {
        rows_text(rows, buf_str(text));
    }
}

/* The rows up to `limit` (0: all); `*more` where some were left. */
static enum kol_status show_rows(struct rows *rows, struct engine_result *result, int64_t limit,
                                 int64_t *shown, bool *more, struct kol_error *err)
{
    size_t columns = engine_columns(result), count;
    enum ice_type *types = mem_alloc(columns * sizeof *types);
    struct buf text = {0};
    for (size_t i = 0; i < columns; i++) {
        types[i] = engine_column_type(result, i, NULL).type;
    }
    enum kol_status status = engine_next(result, &count, err);
    while (status == KOL_OK && count && !*more) {
        for (size_t row = 0; row < count && !*more; row++) {
            *more = limit && *shown == limit;
            for (size_t i = 0; i < columns && !*more; i++) {
                show_cell(rows, result, i, row, types[i], &text);
            }
            *shown += !*more;
        }
        status = *more ? KOL_OK : engine_next(result, &count, err);
    }
    buf_free(&text);
    free(types);
    return status;
}

enum kol_status command_put_answer(FILE *out, enum rows_format format, struct engine_result *result,
                                   int64_t limit, int64_t *shown, bool *more, struct kol_error *err)
{
    struct arena arena;
    int64_t count = 0;
    bool cut = false;
    arena_init(&arena, 0);
    struct rows *rows =
        rows_begin(out, format, unique_names(result, &arena), engine_columns(result));
    enum kol_status status = show_rows(rows, result, limit, &count, &cut, err);
    status = rows_finish(&rows, status, err);
    if (shown) {
        *shown = count;
    }
    if (more) {
        *more = cut;
    }
    arena_free(&arena);
    return status;
}

enum kol_status command_print_answer(const struct invocation *call, struct engine_result *result,
                                     int64_t limit, int64_t *shown, bool *more,
                                     struct kol_error *err)
{
    return command_put_answer(stdout, call->format, result, limit, shown, more, err);
}
