/*
 * tables.c: the declared tables as constant data, and their schemas in the words of the format.
 *
 * tables.def is one list in which each table is followed by its columns; bronze is made once from
 * the field tables of the events. Nothing here touches a file.
 */
#include "lake/tables.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "domain/event.h"
#include "score/features.h"

enum { MAX_TABLES = 64, MAX_BRONZE_COLUMNS = 64 };

/* ---- the list of tables.def ---- */

/* A row is a table where `table.name` is set, else a column of the table before it. Of a feature's
 * column the doc is made of what features.def says. */
struct def_row {
    struct lake_table table;
    struct lake_column column;
    const char *feature_of; /* "trust"; NULL: no feature */
    int feature;            /* its number in the model */
    const char *formula;    /* "" where it is an input as it is */
};

#define REQUIRED true
#define OPTIONAL false
static const struct def_row def_rows[] = {
#define TABLE(space, table_name, KIND, ...)                                                        \
    {.table = {.name_space = #space,                                                               \
               .name = #table_name,                                                                \
               .kind = LAKE_##KIND,                                                                \
               .topic = -1,                                                                        \
               __VA_ARGS__}},
#define COLUMN(column_name, text, need, ...)                                                       \
    {.column = {.name = #column_name, .type = text, .required = need, __VA_ARGS__}},
#define FEATURE_COLUMN(SCORE, number, column_name, text, in, meaning)                              \
    {.column = {.name = column_name, .type = "double", .unit = in, .doc = meaning},                \
     .feature_of = SCORE,                                                                          \
     .feature = number,                                                                            \
     .formula = text},
#include "lake/tables.def"
#undef TABLE
#undef COLUMN
#undef FEATURE_COLUMN
    {.table = {.name = NULL}}, /* the list may be empty */
};
#undef REQUIRED
#undef OPTIONAL

static struct lake_table tables[MAX_TABLES];
static size_t table_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- bronze, from the event fields ---- */

static const char *column_type(enum field_kind kind)
{
    switch (kind) {
    case FIELD_INT: return "long";
    case FIELD_REAL: return "double";
    case FIELD_BOOL: return "boolean";
    case FIELD_TIME: return "timestamptz";
    case FIELD_TAGS: return "list<string>";
    default: return "string";
    }
}

static const struct lake_column log_columns[] = {
    {"ingest_time", "timestamptz", true, NULL, "UTC", "When kol wrote the row into the lake"},
    {"log_topic", "string", true, NULL, NULL, "Topic of the event log that it came from"},
    {"log_partition", "int", true, NULL, NULL, "Partition of the topic"},
    {"log_offset", "long", true, NULL, NULL, "Offset in the partition; with it the row is unique"},
};

static void add_bronze(enum event_type type, const char *name, const char *doc)
{
    struct field_table fields = event_fields(type);
    struct lake_column *columns =
        mem_zalloc(fields.count + ARRAY_LEN(log_columns), sizeof *columns);
    size_t count = 0;
    for (; count < fields.count; count++) {
        const struct field *field = &fields.fields[count];
        /* Every stored event has an id: one that came without got one. */
        bool always = field->required || !strcmp(field->name, "event_id");
        const char *unit = field->kind == FIELD_TIME ? "UTC" : field->unit;
        columns[count] = (struct lake_column){
            field->name, column_type(field->kind), always, NULL, unit, field->help};
    }
    memcpy(columns + count, log_columns, sizeof log_columns);
    tables[table_count++] = (struct lake_table){
        .name_space = "bronze",
        .name = name,
        .kind = LAKE_BRONZE,
        .keys = "log_partition log_offset",
        .sort = "event_time log_partition log_offset",
        .partition = "event_time:day",
        .incremental = "",
        .topic = (int)event_type_topic(type),
        .doc = doc,
        .columns = columns,
        .column_count = count + ARRAY_LEN(log_columns),
    };
}

/* "Feature 7 of trust: favourites for each post, V / (N + 1)"; lives as long as the program. */
static const char *feature_doc(const struct def_row *row)
{
    struct buf text = {0};
    buf_printf(&text, "Feature %d of %s: %s%s%s", row->feature, row->feature_of, row->column.doc,
               *row->formula ? ", " : "", row->formula);
    return text.ptr;
}

static void add_declared(void)
{
    struct lake_column *columns = mem_zalloc(ARRAY_LEN(def_rows), sizeof *columns);
    size_t used = 0;
    for (size_t i = 0; i + 1 < ARRAY_LEN(def_rows); i++) {
        const struct def_row *row = &def_rows[i];
        if (row->table.name) {
            KOL_ASSERT(table_count < MAX_TABLES);
            struct lake_table *table = &tables[table_count++];
            *table = row->table;
            table->keys = table->keys ? table->keys : "";
            table->sort = table->sort ? table->sort : "";
            table->partition = table->partition ? table->partition : "";
            table->incremental = table->incremental ? table->incremental : "";
            table->columns = columns + used;
        } else {
            columns[used] = row->column;
            if (row->feature_of) {
                columns[used].doc = feature_doc(row);
            }
            used++;
            tables[table_count - 1].column_count++;
        }
    }
}

static void build(void)
{
    add_bronze(EVENT_DISCOVERY, "discovery", "A content or account that a crawler came across");
    add_bronze(EVENT_PROFILE, "profiles", "A profile as it was observed once");
    add_bronze(EVENT_VIDEO, "videos", "A content with its counts as it was observed once");
    add_bronze(EVENT_COMMENT, "comments", "A comment under a content");
    add_bronze(EVENT_PRODUCT, "products", "A promoted product as it was observed once");
    add_declared();
}

const struct lake_table *lake_tables(size_t *count)
{
    pthread_once(&once, build);
    *count = table_count;
    return tables;
}

const struct lake_table *lake_table_find(const char *name_space, const char *name)
{
    size_t count;
    const struct lake_table *all = lake_tables(&count);
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(all[i].name_space, name_space) && !strcmp(all[i].name, name)) {
            return &all[i];
        }
    }
    return NULL;
}

const struct lake_table *lake_table_of_topic(int topic)
{
    size_t count;
    const struct lake_table *all = lake_tables(&count);
    for (size_t i = 0; i < count; i++) {
        if (all[i].kind == LAKE_BRONZE && all[i].topic == topic) {
            return &all[i];
        }
    }
    return NULL;
}

/* ---- schemas ---- */

static void fill_type(struct ice_field *field, const char *text, int32_t *next_id,
                      struct arena *arena)
{
    struct kol_error err;
    if (!strncmp(text, "list<", 5)) {
        struct str element = {text + 5, strlen(text) - 6};
        field->type = ICE_LIST;
        field->child_count = 1;
        field->children = arena_alloc(arena, sizeof *field->children);
        *field->children = (struct ice_field){.id = (*next_id)++, .name = "element"};
        KOL_ASSERT(ice_type_read(element, field->children, &err) == KOL_OK);
    } else if (ice_type_read(str_of(text), field, &err) != KOL_OK) {
        kol_panic("a declared column has no type of the format: %s", err.message);
    }
}

/* The column's comment in the table: the sentence, then the unit. */
static const char *column_doc(const struct lake_column *column, struct arena *arena)
{
    struct buf text = {0};
    buf_puts(&text, column->doc ? column->doc : "");
    if (column->unit) {
        buf_printf(&text, " (%s)", column->unit);
    }
    const char *copy = arena_copy(arena, buf_str(&text)).ptr;
    buf_free(&text);
    return copy;
}

static void fill_schema(const struct lake_table *table, struct arena *arena,
                        struct ice_schema *schema)
{
    int32_t next_id = (int32_t)table->column_count + 1;
    *schema = (struct ice_schema){.count = table->column_count};
    schema->fields = arena_alloc(arena, table->column_count * sizeof *schema->fields);
    for (size_t i = 0; i < table->column_count; i++) {
        const struct lake_column *column = &table->columns[i];
        struct ice_field *field = &schema->fields[i];
        *field = (struct ice_field){.id = (int32_t)i + 1,
                                    .name = column->name,
                                    .required = column->required,
                                    .doc = column_doc(column, arena)};
        fill_type(field, column->type, &next_id, arena);
    }
}

static void fill_spec(const struct lake_table *table, const struct ice_schema *schema,
                      struct arena *arena, struct ice_partition_spec *spec)
{
    *spec = (struct ice_partition_spec){0};
    struct str transform = str_of(table->partition);
    if (!transform.len) {
        return;
    }
    const char *source = arena_copy(arena, str_cut(&transform, ':')).ptr;
    const struct ice_field *column = ice_field_by_name(schema, source);
    KOL_ASSERT(column);
    struct ice_partition_field *field = arena_alloc(arena, sizeof *field);
    *field = (struct ice_partition_field){.source_id = column->id, .field_id = 1000};
    struct kol_error err;
    KOL_ASSERT(ice_transform_read(transform, &field->transform, &field->param, &err) == KOL_OK);
    struct buf name = {0};
    buf_puts(&name, source);
    if (field->transform != ICE_IDENTITY) {
        buf_putc(&name, '_');
        buf_put(&name, transform);
    }
    field->name = arena_copy(arena, buf_str(&name)).ptr;
    buf_free(&name);
    *spec = (struct ice_partition_spec){.fields = field, .count = 1};
}

static void fill_order(const struct lake_table *table, const struct ice_schema *schema,
                       struct arena *arena, struct ice_sort_order *order)
{
    *order = (struct ice_sort_order){0};
    struct str rest = str_of(table->sort);
    if (!rest.len) {
        return;
    }
    order->order_id = 1;
    order->fields = arena_alloc(arena, table->column_count * sizeof *order->fields);
    while (rest.len) {
        const struct ice_field *column =
            ice_field_by_name(schema, arena_copy(arena, str_cut(&rest, ' ')).ptr);
        KOL_ASSERT(column && order->count < table->column_count);
        order->fields[order->count++] = (struct ice_sort_field){
            .source_id = column->id, .transform = ICE_IDENTITY, .nulls_last = true};
    }
}

void lake_table_schema(const struct lake_table *table, struct arena *arena,
                       struct ice_schema *schema, struct ice_partition_spec *spec,
                       struct ice_sort_order *order)
{
    fill_schema(table, arena, schema);
    fill_spec(table, schema, arena, spec);
    fill_order(table, schema, arena, order);
}

/* Whether the column that is there may be this one, whatever their names. Only a user's table has
 * its types from a SELECT that may change; a declared column keeps its type for good. */
static bool may_be(const struct lake_table *table, const struct ice_field *field,
                   const struct ice_field *old)
{
    return lake_table_find(table->name_space, table->name) || ice_may_widen(old, field) ||
           ice_may_widen(field, old);
}

/* What another engine made of a column and that holds every value of it stays: a wider type, nulls
 * allowed. */
static void adopt(struct ice_field *field, const struct ice_field *old)
{
    field->required = field->required && old->required;
    if (ice_may_widen(field, old)) {
        field->type = old->type;
        field->precision = old->precision;
    }
}

void lake_table_schema_for(const struct lake_table *table, const struct ice_metadata *metadata,
                           struct arena *arena, struct ice_schema *schema)
{
    const struct ice_schema *there = ice_current_schema(metadata);
    fill_schema(table, arena, schema);
    int32_t next_id = metadata->last_column_id + 1;
    for (size_t i = 0; i < schema->count; i++) {
        struct ice_field *field = &schema->fields[i];
        const struct ice_field *old = ice_field_by_name(there, field->name);
        if (!old && table->columns[i].was) {
            old = ice_field_by_name(there, table->columns[i].was);
        }
        old = old && may_be(table, field, old) ? old : NULL;
        field->id = old ? old->id : next_id++;
        if (old) {
            adopt(field, old);
        } else if (metadata->snapshot_count) {
            field->required = false; /* rows that are there have none */
        }
        if (field->type == ICE_LIST) {
            field->children->id = old && old->type == ICE_LIST ? old->children->id : next_id++;
        }
    }
}
