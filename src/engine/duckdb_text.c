/* duckdb_text.c: pieces of SQL in DuckDB's dialect: types and quoted words. */
#include <string.h>

#include "engine/duckdb_engine.h"

static void quote(struct buf *out, struct str text, char mark)
{
    buf_putc(out, mark);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == mark) {
            buf_putc(out, mark);
        }
        buf_putc(out, text.ptr[i]);
    }
    buf_putc(out, mark);
}

void engine_quote_name(struct buf *out, struct str name)
{
    quote(out, name, '"');
}

void engine_quote_text(struct buf *out, struct str text)
{
    quote(out, text, '\'');
}

void engine_put_path_(struct buf *out, struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '\\' && i + 1 < path.len) { /* DuckDB takes the next one as it is */
            buf_putc(out, path.ptr[i++]);
            buf_putc(out, path.ptr[i]);
        } else if (memchr("*?[", path.ptr[i], 3)) {
            buf_printf(out, "[%c]", path.ptr[i]);
        } else {
            buf_putc(out, path.ptr[i]);
        }
    }
}

void engine_quote_path_(struct buf *out, struct str path)
{
    struct buf literal = {0};
    engine_put_path_(&literal, path);
    engine_quote_text(out, buf_str(&literal));
    buf_free(&literal);
}

static void put_struct_type(const struct ice_field *field, struct buf *out)
{
    buf_puts(out, "STRUCT(");
    for (size_t i = 0; i < field->child_count; i++) {
        buf_puts(out, i ? ", " : "");
        engine_quote_name(out, str_of(field->children[i].name));
        buf_putc(out, ' ');
        engine_type_name(&field->children[i], out);
    }
    buf_putc(out, ')');
}

void engine_type_name(const struct ice_field *field, struct buf *out)
{
    static const char *const names[] = {
        [ICE_BOOLEAN] = "BOOLEAN",
        [ICE_INT] = "INTEGER",
        [ICE_LONG] = "BIGINT",
        [ICE_FLOAT] = "FLOAT",
        [ICE_DOUBLE] = "DOUBLE",
        [ICE_DATE] = "DATE",
        [ICE_TIME] = "TIME",
        [ICE_TIMESTAMP] = "TIMESTAMP",
        [ICE_TIMESTAMPTZ] = "TIMESTAMP WITH TIME ZONE",
        [ICE_STRING] = "VARCHAR",
        [ICE_UUID] = "UUID",
        [ICE_FIXED] = "BLOB",
        [ICE_BINARY] = "BLOB",
    };
    switch (field->type) {
    case ICE_DECIMAL:
        buf_printf(out, "DECIMAL(%d,%d)", (int)field->precision, (int)field->scale);
        break;
    case ICE_LIST:
        engine_type_name(&field->children[0], out);
        buf_puts(out, "[]");
        break;
    case ICE_MAP:
        buf_puts(out, "MAP(");
        engine_type_name(&field->children[0], out);
        buf_puts(out, ", ");
        engine_type_name(&field->children[1], out);
        buf_putc(out, ')');
        break;
    case ICE_STRUCT: put_struct_type(field, out); break;
    default: buf_puts(out, names[field->type]); break;
    }
}
