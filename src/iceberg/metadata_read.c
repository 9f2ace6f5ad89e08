/*
 * metadata_read.c: the metadata JSON of a table into memory, every claim of it checked.
 *
 * Other writers' files come through here, hostile ones too: what the rest of the room takes for
 * granted (the current schema is there, refs name snapshots that exist) is settled in this file.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "iceberg/parts.h"

/* An array of `count` zeroed items in the arena. */
static void *new_items(struct json_reader *reader, size_t count, size_t size)
{
    size_t bytes = (count ? count : 1) * size;
    return memset(arena_alloc(reader->arena, bytes), 0, bytes);
}

/* ---- schemas, specs, orders ---- */

static void read_schema(struct json_reader *reader, const json_t *json, struct ice_schema *out)
{
    struct kol_error why;
    enum kol_status status = ice_schema_read(json, reader->arena, out, &why);
    json_reader_take(reader, status, &why, NULL);
}

static void read_schemas(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    const json_t *array = json_reader_array_or(reader, root, "schemas");
    if (!array && m->format_version == 1) { /* as the first writers had it */
        m->schemas = new_items(reader, 1, sizeof *m->schemas);
        m->schema_count = 1;
        size_t mark = json_reader_enter(reader, "schema", -1);
        read_schema(reader, json_object_get(root, "schema"), &m->schemas[0]);
        json_reader_leave(reader, mark);
        m->current_schema_id = m->schemas[0].schema_id;
        return;
    }
    m->schemas = new_items(reader, json_array_size(array), sizeof *m->schemas);
    for (size_t i = 0; i < json_array_size(array) && reader->status == KOL_OK; i++) {
        size_t mark = json_reader_enter(reader, "schemas", (long)i);
        read_schema(reader, json_array_get(array, i), &m->schemas[m->schema_count++]);
        json_reader_leave(reader, mark);
    }
    m->current_schema_id =
        (int32_t)json_reader_int(reader, root, "current-schema-id", 0, INT32_MAX);
    if (reader->status == KOL_OK && !ice_current_schema(m)) {
        json_reader_fail(reader, KOL_CORRUPT, "current-schema-id",
                         "names a schema that is not there");
    }
}

static void read_spec(struct json_reader *reader, const json_t *json,
                      struct ice_partition_spec *out)
{
    struct kol_error why;
    enum kol_status status = ice_spec_read(json, reader->arena, out, &why);
    json_reader_take(reader, status, &why, NULL);
}

static int32_t highest_partition_id(const struct ice_metadata *m)
{
    int32_t highest = 999;
    for (size_t i = 0; i < m->spec_count; i++) {
        for (size_t k = 0; k < m->specs[i].count; k++) {
            int32_t id = m->specs[i].fields[k].field_id;
            highest = id > highest ? id : highest;
        }
    }
    return highest;
}

static void read_specs(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    const json_t *array = json_reader_array_or(reader, root, "partition-specs");
    if (!array && m->format_version == 1) {
        m->specs = new_items(reader, 1, sizeof *m->specs);
        m->spec_count = 1;
        size_t mark = json_reader_enter(reader, "partition-spec", -1);
        read_spec(reader, json_object_get(root, "partition-spec"), &m->specs[0]);
        json_reader_leave(reader, mark);
    } else {
        m->specs = new_items(reader, json_array_size(array), sizeof *m->specs);
        for (size_t i = 0; i < json_array_size(array) && reader->status == KOL_OK; i++) {
            size_t mark = json_reader_enter(reader, "partition-specs", (long)i);
            read_spec(reader, json_array_get(array, i), &m->specs[m->spec_count++]);
            json_reader_leave(reader, mark);
        }
        m->default_spec_id =
            (int32_t)json_reader_int(reader, root, "default-spec-id", 0, INT32_MAX);
    }
    if (reader->status == KOL_OK && !ice_default_spec(m)) {
        json_reader_fail(reader, KOL_CORRUPT, "default-spec-id", "names a spec that is not there");
    }
    if (reader->status == KOL_OK) {
        m->last_partition_id = (int32_t)json_reader_int_or(reader, root, "last-partition-id", 0,
                                                           INT32_MAX, highest_partition_id(m));
    }
}

/* "asc" or "desc", "nulls-first" or "nulls-last": true for the second word. */
static bool read_choice(struct json_reader *reader, const json_t *object, const char *key,
                        const char *first, const char *second)
{
    const char *text = json_reader_text(reader, object, key);
    if (strcmp(text, first) != 0 && strcmp(text, second) != 0) {
        json_reader_fail(reader, KOL_CORRUPT, key, "is no known word");
    }
    return strcmp(text, second) == 0;
}

static void read_sort_field(struct json_reader *reader, const json_t *object,
                            struct ice_sort_field *field)
{
    struct kol_error why;
    field->source_id = (int32_t)json_reader_int(reader, object, "source-id", 0, INT32_MAX);
    const char *transform = json_reader_text(reader, object, "transform");
    enum kol_status status =
        ice_transform_read(str_of(transform), &field->transform, &field->param, &why);
    json_reader_take(reader, status == KOL_INVALID ? KOL_CORRUPT : status, &why, "transform");
    field->descending = read_choice(reader, object, "direction", "asc", "desc");
    field->nulls_last = read_choice(reader, object, "null-order", "nulls-first", "nulls-last");
}

static void read_order(struct json_reader *reader, const json_t *object,
                       struct ice_sort_order *order)
{
    order->order_id = (int32_t)json_reader_int(reader, object, "order-id", 0, INT32_MAX);
    const json_t *fields = json_reader_array(reader, object, "fields");
    order->fields = new_items(reader, json_array_size(fields), sizeof *order->fields);
    for (size_t i = 0; i < json_array_size(fields) && reader->status == KOL_OK; i++) {
        size_t mark = json_reader_enter(reader, "fields", (long)i);
        read_sort_field(reader, json_array_get(fields, i), &order->fields[order->count++]);
        json_reader_leave(reader, mark);
    }
}

static bool has_order(const struct ice_metadata *m, int32_t order_id)
{
    for (size_t i = 0; i < m->order_count; i++) {
        if (m->orders[i].order_id == order_id) {
            return true;
        }
    }
    return false;
}

static void read_orders(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    const json_t *array = json_reader_array_or(reader, root, "sort-orders");
    m->orders = new_items(reader, json_array_size(array) + 1, sizeof *m->orders);
    for (size_t i = 0; i < json_array_size(array) && reader->status == KOL_OK; i++) {
        size_t mark = json_reader_enter(reader, "sort-orders", (long)i);
        read_order(reader, json_array_get(array, i), &m->orders[m->order_count++]);
        json_reader_leave(reader, mark);
    }
    if (!has_order(m, 0)) { /* the unsorted one is there without being told */
        m->orders[m->order_count++] = (struct ice_sort_order){.order_id = 0};
    }
    m->default_order_id =
        (int32_t)json_reader_int_or(reader, root, "default-sort-order-id", 0, INT32_MAX, 0);
    if (reader->status == KOL_OK && !has_order(m, m->default_order_id)) {
        json_reader_fail(reader, KOL_CORRUPT, "default-sort-order-id",
                         "names an order that is not there");
    }
}

/* ---- properties and snapshots ---- */

static int compare_pairs(const void *a, const void *b)
{
    const struct ice_pair *x = a, *y = b;
    return strcmp(x->key, y->key);
}

/* The members of an object of texts, by key. */
static struct ice_pair *read_pairs(struct json_reader *reader, const json_t *object, size_t *count)
{
    struct ice_pair *pairs = new_items(reader, json_object_size(object), sizeof *pairs);
    const char *key;
    json_t *value;
    *count = 0;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_string(value)) {
            json_reader_fail(reader, KOL_CORRUPT, key, "is no text");
            break;
        }
        pairs[(*count)++] =
            (struct ice_pair){ice_copy_text(reader->arena, key),
                              ice_copy_text(reader->arena, json_string_value(value))};
    }
    qsort(pairs, *count, sizeof *pairs, compare_pairs);
    return pairs;
}

static void read_properties(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    size_t mark = json_reader_enter(reader, "properties", -1);
    const json_t *object = json_reader_object_or(reader, root, "properties");
    m->properties = read_pairs(reader, object, &m->property_count);
    json_reader_leave(reader, mark);
}

static void read_snapshot(struct json_reader *reader, const json_t *object, struct ice_snapshot *s)
{
    s->id = json_reader_int(reader, object, "snapshot-id", 0, INT64_MAX);
    s->parent_id = json_reader_int_or(reader, object, "parent-snapshot-id", -1, INT64_MAX, -1);
    s->sequence_number = json_reader_int_or(reader, object, "sequence-number", 0, INT64_MAX, 0);
    s->time_ms = json_reader_int(reader, object, "timestamp-ms", INT64_MIN, INT64_MAX);
    s->schema_id = (int32_t)json_reader_int_or(reader, object, "schema-id", 0, INT32_MAX, -1);
    if (json_object_get(object, "key-id")) {
        json_reader_fail(reader, KOL_UNSUPPORTED, "key-id", "encrypted tables cannot be read");
    }
    if (!json_object_get(object, "manifest-list") && json_object_get(object, "manifests")) {
        json_reader_fail(reader, KOL_UNSUPPORTED, "manifests",
                         "snapshots without a manifest list (version 1) cannot be read");
    }
    s->manifest_list = json_reader_text(reader, object, "manifest-list");
    size_t mark = json_reader_enter(reader, "summary", -1);
    s->summary =
        read_pairs(reader, json_reader_object_or(reader, object, "summary"), &s->summary_count);
    json_reader_leave(reader, mark);
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Ids of all snapshots, sorted, in memory for free(); none may be there twice. */
static int64_t *snapshot_ids(struct json_reader *reader, const struct ice_metadata *m)
{
    int64_t *ids = mem_alloc((m->snapshot_count + 1) * sizeof *ids);
    for (size_t i = 0; i < m->snapshot_count; i++) {
        ids[i] = m->snapshots[i].id;
    }
    qsort(ids, m->snapshot_count, sizeof *ids, compare_numbers);
    for (size_t i = 1; i < m->snapshot_count; i++) {
        if (ids[i] == ids[i - 1]) {
            json_reader_fail(reader, KOL_CORRUPT, "snapshots", "two snapshots have the same id");
        }
    }
    return ids;
}

static void read_snapshots(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    const json_t *array = json_reader_array_or(reader, root, "snapshots");
    m->snapshots = new_items(reader, json_array_size(array), sizeof *m->snapshots);
    for (size_t i = 0; i < json_array_size(array) && reader->status == KOL_OK; i++) {
        size_t mark = json_reader_enter(reader, "snapshots", (long)i);
        const json_t *object = json_array_get(array, i);
        read_snapshot(reader, object, &m->snapshots[m->snapshot_count++]);
        json_reader_leave(reader, mark);
    }
    m->current_snapshot_id =
        json_reader_int_or(reader, root, "current-snapshot-id", -1, INT64_MAX, -1);
    if (reader->status == KOL_OK && m->current_snapshot_id >= 0 && !ice_current_snapshot(m)) {
        json_reader_fail(reader, KOL_CORRUPT, "current-snapshot-id",
                         "names a snapshot that is not there");
    }
}

/* ---- refs and logs ---- */

static void read_ref(struct json_reader *reader, const char *name, const json_t *object,
                     struct ice_ref *ref)
{
    size_t mark = json_reader_enter(reader, name, -1);
    const char *type = json_reader_text(reader, object, "type");
    ref->name = ice_copy_text(reader->arena, name);
    ref->snapshot_id = json_reader_int(reader, object, "snapshot-id", 0, INT64_MAX);
    ref->is_tag = strcmp(type, "tag") == 0;
    ref->max_ref_age_ms = json_reader_int_or(reader, object, "max-ref-age-ms", 0, INT64_MAX, -1);
    ref->max_snapshot_age_ms =
        json_reader_int_or(reader, object, "max-snapshot-age-ms", 0, INT64_MAX, -1);
    ref->min_snapshots =
        json_reader_int_or(reader, object, "min-snapshots-to-keep", 0, INT64_MAX, -1);
    if (!ref->is_tag && strcmp(type, "branch") != 0) {
        json_reader_fail(reader, KOL_CORRUPT, "type", "is neither branch nor tag");
    }
    json_reader_leave(reader, mark);
}

static void check_ref(struct json_reader *reader, const struct ice_metadata *m, const int64_t *ids,
                      const struct ice_ref *ref)
{
    if (!bsearch(&ref->snapshot_id, ids, m->snapshot_count, sizeof *ids, compare_numbers)) {
        json_reader_fail(reader, KOL_CORRUPT, ref->name, "names a snapshot that is not there");
    }
    if (strcmp(ref->name, "main") == 0 && ref->snapshot_id != m->current_snapshot_id) {
        json_reader_fail(reader, KOL_CORRUPT, ref->name, "is not the current snapshot");
    }
}

static void read_refs(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    const json_t *object = json_reader_object_or(reader, root, "refs");
    size_t mark = json_reader_enter(reader, "refs", -1);
    int64_t *ids = snapshot_ids(reader, m);
    const char *name;
    json_t *value;
    bool has_main = false;
    m->refs = new_items(reader, json_object_size(object) + 1, sizeof *m->refs);
    json_object_foreach((json_t *)object, name, value)
    {
        struct ice_ref *ref = &m->refs[m->ref_count++];
        read_ref(reader, name, value, ref);
        if (reader->status != KOL_OK) {
            break;
        }
        check_ref(reader, m, ids, ref);
        has_main = has_main || strcmp(name, "main") == 0;
    }
    if (!has_main && m->current_snapshot_id >= 0) {
        m->refs[m->ref_count++] =
            (struct ice_ref){"main", m->current_snapshot_id, false, -1, -1, -1};
    }
    free(ids);
    json_reader_leave(reader, mark);
}

static struct ice_log_entry *read_log(struct json_reader *reader, const json_t *root,
                                      const char *key, bool of_files, size_t *count)
{
    const json_t *array = json_reader_array_or(reader, root, key);
    struct ice_log_entry *log = new_items(reader, json_array_size(array), sizeof *log);
    for (size_t i = 0; i < json_array_size(array) && reader->status == KOL_OK; i++) {
        size_t mark = json_reader_enter(reader, key, (long)i);
        const json_t *object = json_array_get(array, i);
        struct ice_log_entry *entry = &log[(*count)++];
        entry->time_ms = json_reader_int(reader, object, "timestamp-ms", INT64_MIN, INT64_MAX);
        if (of_files) {
            entry->metadata_file = json_reader_text(reader, object, "metadata-file");
        } else {
            entry->snapshot_id = json_reader_int(reader, object, "snapshot-id", 0, INT64_MAX);
        }
        json_reader_leave(reader, mark);
    }
    return log;
}

static const char *read_kept(struct json_reader *reader, const json_t *root, const char *key)
{
    const json_t *array = json_reader_array_or(reader, root, key);
    return json_array_size(array) ? json_reader_raw(reader, array) : NULL;
}

/* ---- the whole ---- */

static void read_version(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    int64_t version = json_reader_int(reader, root, "format-version", 1, INT32_MAX);
    if (reader->status == KOL_OK && version > 2) {
        json_reader_fail(reader, KOL_UNSUPPORTED, "format-version",
                         "tables of Iceberg version 3 and later cannot be read");
    }
    if (json_array_size(json_object_get(root, "encryption-keys"))) {
        json_reader_fail(reader, KOL_UNSUPPORTED, "encryption-keys",
                         "encrypted tables cannot be read");
    }
    m->format_version = (int32_t)version;
}

/* "file:///a/b/" and "file:///a/b" are one location; the second is kept. */
static const char *without_slash(struct json_reader *reader, const char *location)
{
    size_t len = strlen(location);
    while (len > 1 && location[len - 1] == '/') {
        len--;
    }
    return arena_copy(reader->arena, (struct str){location, len}).ptr;
}

static void read_head(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    m->table_uuid = json_reader_text_or(reader, root, "table-uuid", NULL);
    if (!m->table_uuid && m->format_version > 1) {
        json_reader_fail(reader, KOL_CORRUPT, "table-uuid", "is missing");
    }
    m->location = without_slash(reader, json_reader_text(reader, root, "location"));
    m->last_sequence_number =
        m->format_version == 1
            ? 0
            : json_reader_int(reader, root, "last-sequence-number", 0, INT64_MAX);
    m->last_updated_ms = json_reader_int(reader, root, "last-updated-ms", INT64_MIN, INT64_MAX);
    m->last_column_id = (int32_t)json_reader_int(reader, root, "last-column-id", 0, INT32_MAX);
}

static void read_all(struct json_reader *reader, const json_t *root, struct ice_metadata *m)
{
    typedef void (*step)(struct json_reader *, const json_t *, struct ice_metadata *);
    static const step steps[] = {read_version, read_head,       read_schemas,   read_specs,
                                 read_orders,  read_properties, read_snapshots, read_refs};
    for (size_t i = 0; i < ARRAY_LEN(steps) && reader->status == KOL_OK; i++) {
        steps[i](reader, root, m);
    }
    if (reader->status == KOL_OK) {
        m->snapshot_log = read_log(reader, root, "snapshot-log", false, &m->snapshot_log_count);
        m->metadata_log = read_log(reader, root, "metadata-log", true, &m->metadata_log_count);
        m->statistics = read_kept(reader, root, "statistics");
        m->partition_statistics = read_kept(reader, root, "partition-statistics");
        ice_metadata_map_names(m);
    }
}

enum kol_status ice_metadata_read(struct str json, const char *location, struct ice_metadata **out,
                                  struct kol_error *err)
{
    struct ice_metadata *m = ice_metadata_new();
    struct json_reader reader = {
        .arena = &m->arena, .err = err, .document = location ? location : "metadata"};
    m->metadata_location = ice_copy_text(&m->arena, location);
    json_t *root = json_reader_parse(&reader, json);
    if (root && !json_is_object(root)) {
        json_reader_fail(&reader, KOL_CORRUPT, NULL, "is no JSON object");
    }
    if (reader.status == KOL_OK) {
        read_all(&reader, root, m);
    }
    json_decref(root);
    if (reader.status != KOL_OK) {
        ice_metadata_free(&m);
    }
    *out = m;
    return reader.status;
}
