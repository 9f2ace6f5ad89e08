/* duckdb_text.c: pieces of SQL in DuckDB's dialect: types, quoted words, the scan of a table. */
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

/* No file: the columns alone. */
static void scan_nothing(const struct ice_schema *schema, struct buf *out)
{
    buf_puts(out, "SELECT ");
    for (size_t i = 0; i < schema->count; i++) {
        buf_puts(out, i ? ", CAST(NULL AS " : "CAST(NULL AS ");
        engine_type_name(&schema->fields[i], out);
        buf_puts(out, ") AS ");
        engine_quote_name(out, str_of(schema->fields[i].name));
    }
    buf_puts(out, " WHERE false");
}

void engine_scan_sql(const struct ice_schema *schema, const struct ice_data_file *files,
                     size_t count, struct buf *out)
{
    if (count == 0) {
        scan_nothing(schema, out);
        return;
    }
    buf_puts(out, "SELECT * FROM read_parquet([");
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i ? ", " : "");
        engine_quote_text(out, str_of(files[i].path));
    }
    buf_puts(out, "], hive_partitioning = false, schema = MAP {");
    for (size_t i = 0; i < schema->count; i++) {
        struct buf type = {0};
        engine_type_name(&schema->fields[i], &type);
        buf_printf(out, i ? ", %d: {name: " : "%d: {name: ", (int)schema->fields[i].id);
        engine_quote_text(out, str_of(schema->fields[i].name));
        buf_puts(out, ", type: ");
        engine_quote_text(out, buf_str(&type));
        buf_puts(out, ", default_value: NULL}");
        buf_free(&type);
    }
    buf_puts(out, "})");
}
