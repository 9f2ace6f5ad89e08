/*
 * duckdb_stats.c: the statistics of a written Parquet file.
 *
 * DuckDB answers a COPY with least and greatest values as text, as it prints them; here they become
 * values, and values bounds by the rule of the table format. A text that cannot be read gives no
 * bounds, which is always right. Reals are bounded, and their NaNs counted, by a SELECT over the
 * written file: DuckDB's has_nan is wrong for several row groups, and its text may be short of a
 * digit.
 */
#include "engine/duckdb_stats.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/duckdb_engine.h"

enum { COPY_COUNT = 1, COPY_BYTES = 2, COPY_STATISTICS = 4 }; /* columns of the answer */

/* ---- values from text ---- */

static bool take_digits(struct str *rest, int64_t *out)
{
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9') {
        len++;
    }
    bool read = len && len <= 18 && str_to_int64((struct str){rest->ptr, len}, out);
    *rest = (struct str){rest->ptr + len, rest->len - len};
    return read;
}

static bool take(struct str *rest, const char *word)
{
    struct str prefix = str_of(word);
    if (!str_starts(*rest, prefix)) {
        return false;
    }
    *rest = (struct str){rest->ptr + prefix.len, rest->len - prefix.len};
    return true;
}

/* "0044-03-15 (BC)" as days since 1970. */
static bool take_date(struct str *rest, int64_t *days)
{
    int64_t year, month, day;
    if (!take_digits(rest, &year) || !take(rest, "-") || !take_digits(rest, &month) ||
        !take(rest, "-") || !take_digits(rest, &day) || year > 9999999) {
        return false;
    }
    year = take(rest, " (BC)") ? 1 - year : year;
    duckdb_date_struct date = {(int32_t)year, (int8_t)month, (int8_t)day};
    *days = duckdb_to_date(date).days;
    return true;
}

/* "01:02:03.000004" as microseconds. */
static bool take_clock(struct str *rest, int64_t *us)
{
    int64_t hour, minute, second, part = 0;
    if (!take_digits(rest, &hour) || !take(rest, ":") || !take_digits(rest, &minute) ||
        !take(rest, ":") || !take_digits(rest, &second)) {
        return false;
    }
    *us = ((hour * 60 + minute) * 60 + second) * 1000000;
    if (take(rest, ".")) {
        size_t before = rest->len;
        if (!take_digits(rest, &part)) {
            return false;
        }
        for (size_t digits = before - rest->len; digits < 6; digits++) {
            part *= 10;
        }
    }
    *us += part;
    return true;
}

static bool read_time(struct str text, const struct ice_field *field, int64_t *out)
{
    int64_t days = 0, us = 0;
    if (field->type != ICE_TIME && !take_date(&text, &days)) {
        return false;
    }
    if (field->type == ICE_DATE) {
        *out = days;
        return text.len == 0;
    }
    if (field->type != ICE_TIME && !take(&text, " ")) {
        return false;
    }
    if (!take_clock(&text, &us)) {
        return false;
    }
    if (field->type == ICE_TIMESTAMPTZ && !take(&text, "+00")) {
        return false;
    }
    return text.len == 0 && !__builtin_mul_overflow(days, INT64_C(86400000000), &days) &&
           !__builtin_add_overflow(days, us, out);
}

/* Bytes from hexadecimal digits, dashes between them left out. */
static bool read_hex(struct str text, struct arena *arena, struct str *out)
{
    char *bytes = arena_alloc(arena, text.len / 2 + 1);
    size_t digits = 0;
    int high = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = text_hex_digit(text.ptr[i]);
        if (text.ptr[i] == '-') {
            continue;
        }
        if (digit < 0) {
            return false;
        }
        if (digits++ % 2) {
            bytes[digits / 2 - 1] = (char)(high << 4 | digit);
        }
        high = digit;
    }
    *out = (struct str){bytes, digits / 2};
    return digits % 2 == 0;
}

/* "-3.50" as the unscaled number -350 in the fewest bytes, big-endian. */
static bool read_decimal(struct str text, int32_t scale, struct arena *arena, struct str *out)
{
    bool negative = take(&text, "-");
    unsigned __int128 size = 0;
    int32_t behind = -1; /* digits behind the point, -1: before it */
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '.' && behind < 0) {
            behind = 0;
        } else if (text.ptr[i] >= '0' && text.ptr[i] <= '9' && i < 40) {
            size = size * 10 + (unsigned)(text.ptr[i] - '0');
            behind += behind >= 0;
        } else {
            return false;
        }
    }
    if (text.len == 0 || (behind < 0 ? 0 : behind) != scale) {
        return false;
    }
    __int128 value = negative ? -(__int128)size : (__int128)size;
    char *bytes = arena_alloc(arena, 16);
    size_t len = 16;
    for (size_t i = 16; i-- > 0; value >>= 8) {
        bytes[i] = (char)(value & 0xff);
    }
    while (len > 1 && bytes[16 - len] == (bytes[16 - len + 1] & 0x80 ? (char)-1 : 0)) {
        len--;
    }
    *out = (struct str){bytes + 16 - len, len};
    return true;
}

static bool read_value(struct str text, const struct ice_field *field, struct arena *arena,
                       struct ice_value *out)
{
    *out = (struct ice_value){.known = true};
    switch (field->type) {
    case ICE_BOOLEAN:
        out->boolean = str_is(text, "1") || str_is(text, "true");
        return out->boolean || str_is(text, "0") || str_is(text, "false");
    case ICE_INT:
    case ICE_LONG: return str_to_int64(text, &out->integer);
    case ICE_DATE:
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ: return read_time(text, field, &out->integer);
    case ICE_DECIMAL: return read_decimal(text, field->scale, arena, &out->bytes);
    case ICE_STRING: out->bytes = text; return true;
    case ICE_BINARY: return read_hex(text, arena, &out->bytes);
    case ICE_UUID: return read_hex(text, arena, &out->bytes) && out->bytes.len == 16;
    default: return false; /* reals: stats_finish() */
    }
}

/* ---- the answer of a COPY ---- */

/* A MAP(VARCHAR, ...) cell: its entries stand at [offset, offset + length) of two vectors. */
struct map_cell {
    duckdb_list_entry entry;
    duckdb_vector keys, values;
};

static struct map_cell map_at(duckdb_vector vector, size_t row)
{
    duckdb_vector pairs = duckdb_list_vector_get_child(vector);
    return (struct map_cell){((const duckdb_list_entry *)duckdb_vector_get_data(vector))[row],
                             duckdb_struct_vector_get_child(pairs, 0),
                             duckdb_struct_vector_get_child(pairs, 1)};
}

/* Where in the map's vectors `key` stands; false where it is not there. */
static bool map_find(const struct map_cell *map, struct str key, size_t *out)
{
    const duckdb_string_t *keys = duckdb_vector_get_data(map->keys);
    for (size_t i = map->entry.offset; i < map->entry.offset + map->entry.length; i++) {
        if (str_equal(engine_cell_text_(&keys[i]), key)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool map_text(const struct map_cell *map, const char *key, struct str *out)
{
    size_t at;
    if (!map_find(map, str_of(key), &at) || !engine_cell_valid_(map->values, at)) {
        return false;
    }
    *out = engine_cell_text_((const duckdb_string_t *)duckdb_vector_get_data(map->values) + at);
    return true;
}

static int64_t map_number(const struct map_cell *map, const char *key)
{
    struct str text;
    int64_t value;
    return map_text(map, key, &text) && str_to_int64(text, &value) ? value : -1;
}

struct leaves {
    const struct map_cell *map; /* column -> its statistics */
    struct arena *arena;
    struct ice_data_file *file;
};

static void read_bounds(struct leaves *leaves, const struct ice_field *field,
                        const struct map_cell *texts, struct ice_column_stats *stats)
{
    struct str least, greatest;
    struct ice_value low, high;
    if (map_text(texts, "min", &least) && map_text(texts, "max", &greatest) &&
        read_value(least, field, leaves->arena, &low) &&
        read_value(greatest, field, leaves->arena, &high)) {
        stats->has_bounds = ice_bound_lower(leaves->arena, field, &low, &stats->lower) &&
                            ice_bound_upper(leaves->arena, field, &high, &stats->upper);
    }
}

/* Statistics of the leaf columns at and below a field; `name` is how DuckDB calls it. */
static void read_leaves(struct leaves *leaves, const struct ice_field *field, struct buf *name)
{
    size_t len = name->len, at;
    for (size_t i = 0; i < field->child_count; i++) {
        buf_putc(name, '.');
        engine_quote_name(name, str_of(field->type == ICE_LIST  ? "element"
                                       : field->type == ICE_MAP ? (i ? "value" : "key")
                                                                : field->children[i].name));
        read_leaves(leaves, &field->children[i], name);
        name->len = len;
        name->ptr[len] = '\0';
    }
    if (field->child_count || !map_find(leaves->map, buf_str(name), &at)) {
        return;
    }
    struct map_cell texts = map_at(leaves->map->values, at);
    struct ice_column_stats *stats = &leaves->file->columns[leaves->file->column_count++];
    *stats = (struct ice_column_stats){
        .field_id = field->id,
        .size = map_number(&texts, "column_size_bytes"),
        .values = map_number(&texts, "num_values"),
        .nulls = map_number(&texts, "null_count"),
        .nans = -1,
    };
    read_bounds(leaves, field, &texts, stats);
}

static int by_field_id(const void *a, const void *b)
{
    int32_t x = ((const struct ice_column_stats *)a)->field_id;
    int32_t y = ((const struct ice_column_stats *)b)->field_id;
    return (x > y) - (x < y);
}

/* Strings of the answer live as long as its chunk: bounds are copies in the arena. */
static void read_answer(struct engine_result *result, const struct ice_schema *schema,
                        struct arena *arena, struct ice_data_file *file)
{
    struct map_cell map = map_at(engine_vector_(result, COPY_STATISTICS), 0);
    struct leaves leaves = {&map, arena, file};
    struct buf name = {0};
    file->columns = arena_alloc(arena, (map.entry.length + 1) * sizeof *file->columns);
    file->column_count = 0;
    for (size_t i = 0; i < schema->count; i++) {
        buf_clear(&name);
        engine_quote_name(&name, str_of(schema->fields[i].name));
        read_leaves(&leaves, &schema->fields[i], &name);
    }
    buf_free(&name);
    qsort(file->columns, file->column_count, sizeof *file->columns, by_field_id);
}

static int64_t number_of(const struct engine_result *result, size_t column)
{
    struct buf text = {0};
    int64_t value = 0;
    engine_put(result, column, 0, &text);
    if (!str_to_int64(buf_str(&text), &value)) {
        kol_panic("DuckDB's answer to COPY has no number in column %zu", column);
    }
    buf_free(&text);
    return value;
}

enum kol_status stats_copy(struct engine_session *session, const char *sql,
                           const struct ice_schema *schema, struct arena *arena,
                           struct ice_data_file *file, struct kol_error *err)
{
    struct engine_result *result = NULL;
    size_t rows = 0;
    enum kol_status status = engine_query_whole_(session, sql, &result, err);
    if (status == KOL_OK) {
        status = engine_next(result, &rows, err);
    }
    if (status == KOL_OK && rows > 1) {
        status =
            kol_fail(err, KOL_UNSUPPORTED, "DuckDB wrote %zu files where one was wanted", rows);
    }
    if (status == KOL_OK && rows == 1) {
        file->rows = number_of(result, COPY_COUNT);
        file->bytes = number_of(result, COPY_BYTES);
        read_answer(result, schema, arena, file);
    }
    engine_result_free(&result);
    return status;
}

/* ---- a look into the file ---- */

static bool is_real(const struct ice_field *field)
{
    return field->type == ICE_FLOAT || field->type == ICE_DOUBLE;
}

static struct ice_column_stats *stats_of(struct ice_data_file *file, int32_t field_id)
{
    for (size_t i = 0; i < file->column_count; i++) {
        if (file->columns[i].field_id == field_id) {
            return &file->columns[i];
        }
    }
    return NULL;
}

/* Columns of reals that are asked about together. */
enum reals { REALS_WITHOUT_NULLS, REALS_WITH_NULLS };

/* The statistics of a column of reals of this kind; NULL: it is none, or has no value at all. */
static struct ice_column_stats *asked_of(struct ice_data_file *file, const struct ice_field *field,
                                         enum reals kind)
{
    struct ice_column_stats *stats = is_real(field) ? stats_of(file, field->id) : NULL;
    if (!stats || (stats->nulls == 0) != (kind == REALS_WITHOUT_NULLS)) {
        return NULL;
    }
    return stats->values < 0 || stats->nulls < stats->values ? stats : NULL;
}

/* Three cells a column from `cell` on: least and greatest value that is no NaN, NaNs. */
static void take_real(const struct engine_result *result, size_t cell,
                      const struct ice_field *field, struct arena *arena,
                      struct ice_column_stats *stats)
{
    stats->nans = engine_int(result, cell + 2, 0);
    if (engine_null(result, cell, 0)) {
        return;
    }
    struct ice_value low = {.known = true, .real = engine_real(result, cell, 0)};
    struct ice_value high = {.known = true, .real = engine_real(result, cell + 1, 0)};
    stats->has_bounds = ice_bound_lower(arena, field, &low, &stats->lower) &&
                        ice_bound_upper(arena, field, &high, &stats->upper);
}

static void put_real(const struct ice_field *field, bool nans, struct buf *sql)
{
    struct buf name = {0};
    engine_quote_name(&name, str_of(field->name));
    buf_puts(sql, sql->len ? ", " : "SELECT ");
    if (nans) {
        buf_printf(sql,
                   "min(%s) FILTER (WHERE NOT isnan(%s)), max(%s) FILTER (WHERE NOT isnan(%s)), "
                   "count(*) FILTER (WHERE isnan(%s))",
                   name.ptr, name.ptr, name.ptr, name.ptr, name.ptr);
    } else {
        buf_printf(sql, "min(%s), max(%s), 0", name.ptr, name.ptr);
    }
    buf_free(&name);
}

static void put_reals(const struct ice_schema *schema, struct ice_data_file *file, enum reals kind,
                      bool nans, struct buf *sql)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (asked_of(file, &schema->fields[i], kind)) {
            put_real(&schema->fields[i], nans, sql);
        }
    }
    if (sql->len) {
        buf_puts(sql, " FROM read_parquet(");
        engine_quote_path_(sql, str_of(file->path));
        buf_puts(sql, ", hive_partitioning = false)");
    }
}

/* The engine orders NaN behind all else, so that the greatest value tells whether there is one. */
static bool has_nans(const struct engine_result *result)
{
    for (size_t cell = 1; cell < engine_columns(result); cell += 3) {
        if (!engine_null(result, cell, 0) && isnan(engine_real(result, cell, 0))) {
            return true;
        }
    }
    return false;
}

static enum kol_status ask_of_reals(struct engine_session *session, const struct ice_schema *schema,
                                    struct ice_data_file *file, enum reals kind, bool nans,
                                    struct engine_result **out, struct kol_error *err)
{
    struct buf sql = {0};
    size_t rows;
    *out = NULL;
    put_reals(schema, file, kind, nans, &sql);
    enum kol_status status = KOL_OK;
    if (sql.len) {
        status = engine_query_whole_(session, sql.ptr, out, err);
    }
    if (status == KOL_OK && *out) {
        status = engine_next(*out, &rows, err);
    }
    buf_free(&sql);
    return status;
}

/* Least and greatest values alone cost little; counting NaNs in many columns takes as long as
 * writing them, and files with one are rare. */
static enum kol_status look_at_kind(struct engine_session *session, const struct ice_schema *schema,
                                    struct arena *arena, struct ice_data_file *file,
                                    enum reals kind, struct kol_error *err)
{
    struct engine_result *result;
    enum kol_status status = ask_of_reals(session, schema, file, kind, false, &result, err);
    if (status == KOL_OK && result && has_nans(result)) {
        engine_result_free(&result);
        status = ask_of_reals(session, schema, file, kind, true, &result, err);
    }
    for (size_t i = 0, cell = 0; i < schema->count && status == KOL_OK && result; i++) {
        const struct ice_field *field = &schema->fields[i];
        struct ice_column_stats *stats = asked_of(file, field, kind);
        if (stats) {
            take_real(result, cell, field, arena, stats);
            cell += 3;
        }
    }
    engine_result_free(&result);
    return status;
}

/* The engine takes least and greatest values from the footer, where each row group has them for
 * each column it is asked about. A row group of nulls alone has none, so that columns with nulls
 * are asked about by themselves; those without a value not at all. */
static enum kol_status look_at_reals(struct engine_session *session,
                                     const struct ice_schema *schema, struct arena *arena,
                                     struct ice_data_file *file, struct kol_error *err)
{
    for (size_t i = 0; i < schema->count; i++) {
        struct ice_column_stats *stats =
            is_real(&schema->fields[i]) ? stats_of(file, schema->fields[i].id) : NULL;
        if (stats) {
            stats->nans = 0;
        }
    }
    enum kol_status status = look_at_kind(session, schema, arena, file, REALS_WITHOUT_NULLS, err);
    return status == KOL_OK ? look_at_kind(session, schema, arena, file, REALS_WITH_NULLS, err)
                            : status;
}

static void add_offset(struct arena *arena, struct ice_data_file *file, size_t *cap, int64_t offset)
{
    if (file->split_count == *cap) {
        int64_t *more = arena_alloc(arena, (*cap ? *cap * 2 : 8) * sizeof *more);
        if (*cap) {
            memcpy(more, file->split_offsets, *cap * sizeof *more);
        }
        file->split_offsets = more;
        *cap = *cap ? *cap * 2 : 8;
    }
    file->split_offsets[file->split_count++] = offset;
}

/* A row group starts with the first page of its first column. */
static enum kol_status look_at_groups(struct engine_session *session, struct arena *arena,
                                      struct ice_data_file *file, struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t rows = 0, cap = 0;
    file->split_count = 0;
    if (file->rows <= (int64_t)duckdb_vector_size()) {
        add_offset(arena, file, &cap, 4); /* one group, behind the magic bytes */
        return KOL_OK;
    }
    buf_puts(&sql,
             "SELECT CAST(min(least(data_page_offset, coalesce(nullif(dictionary_page_offset, "
             "0), data_page_offset))) AS BIGINT) AS start FROM parquet_metadata(");
    engine_quote_path_(&sql, str_of(file->path));
    buf_puts(&sql, ") GROUP BY row_group_id ORDER BY start");
    enum kol_status status = engine_query_whole_(session, sql.ptr, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t i = 0; i < rows; i++) {
            add_offset(arena, file, &cap, engine_int(result, 0, i));
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

enum kol_status stats_finish(struct engine_session *session, const struct ice_schema *schema,
                             struct arena *arena, struct ice_data_file *file, struct kol_error *err)
{
    enum kol_status status = look_at_reals(session, schema, arena, file, err);
    return status == KOL_OK ? look_at_groups(session, arena, file, err) : status;
}
