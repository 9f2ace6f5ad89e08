/*
 * metadata_update.c: what a commit demands of a version, and the next version that it makes of it.
 *
 * The rules of the format are held here, whoever asks: ids are never given twice, a column's type
 * only widens, sequence numbers only grow, refs name snapshots that are there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "iceberg/parts.h"

enum { METADATA_LOG_KEPT = 100 };

/* ---- requirements ---- */

static const struct ice_ref *find_ref(const struct ice_metadata *m, const char *name)
{
    for (size_t i = 0; i < m->ref_count; i++) {
        if (strcmp(m->refs[i].name, name) == 0) {
            return &m->refs[i];
        }
    }
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool holds(const struct ice_metadata *m, const struct ice_requirement *requirement,
                  const char **what)
{
    const struct ice_ref *ref;
    switch (requirement->kind) {
    case ICE_ASSERT_UUID: *what = "its uuid"; return same_text(m->table_uuid, requirement->text);
    case ICE_ASSERT_REF_SNAPSHOT:
        *what = "its current snapshot";
        ref = find_ref(m, requirement->text);
        return (ref ? ref->snapshot_id : -1) == requirement->number;
    case ICE_ASSERT_SCHEMA_ID:
        *what = "its schema";
        return m->current_schema_id == requirement->number;
    case ICE_ASSERT_LAST_COLUMN_ID:
        *what = "its highest column id";
        return m->last_column_id == requirement->number;
    case ICE_ASSERT_DEFAULT_SPEC_ID:
        *what = "its partition spec";
        return m->default_spec_id == requirement->number;
    case ICE_ASSERT_VERSION:
        *what = "its metadata";
        return same_text(m->metadata_location, requirement->text);
    }
    return false;
}

enum kol_status ice_require(const struct ice_metadata *metadata,
                            const struct ice_requirement *requirements, size_t count,
                            struct kol_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *what = "it";
        if (!holds(metadata, &requirements[i], &what)) {
            return kol_fail(err, KOL_CONFLICT, "%s: another writer changed %s first",
                            metadata->location, what);
        }
    }
    return KOL_OK;
}

/* ---- updates ---- */

/* A version in the making. */
struct making {
    struct ice_metadata *next;
    const struct ice_metadata *base;
    struct kol_error *err;
    int32_t added_schema, added_spec, added_order; /* ids of this commit, -1: none */
};

/* A copy of an array with room for one more item. */
static void *grown(struct arena *arena, const void *items, size_t count, size_t size)
{
    char *copy = arena_alloc(arena, (count + 1) * size);
    if (count) {
        memcpy(copy, items, count * size);
    }
    return copy;
}

static bool same_columns(const struct ice_field *a, size_t a_count, const struct ice_field *b,
                         size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++) {
        same = a[i].id == b[i].id && strcmp(a[i].name, b[i].name) == 0 &&
               a[i].required == b[i].required && ice_type_equal(&a[i], &b[i]) &&
               !a[i].doc == !b[i].doc && (!a[i].doc || strcmp(a[i].doc, b[i].doc) == 0) &&
               same_columns(a[i].children, a[i].child_count, b[i].children, b[i].child_count);
    }
    return same;
}

/* Every column that an earlier schema had under the same id must be able to become the new one. */
static enum kol_status check_columns(struct making *making, const struct ice_schema *earlier,
                                     const struct ice_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ice_field *old = ice_field_by_id(earlier, fields[i].id);
        if (old && !ice_type_may_become(old, &fields[i])) {
            return kol_fail(making->err, KOL_INVALID,
                            "column %s: id %d stood for a column of another type (%s); a column "
                            "that changes its type needs a new id",
                            fields[i].name, fields[i].id, old->name);
        }
        if (old && !old->required && fields[i].required) {
            return kol_fail(making->err, KOL_INVALID,
                            "column %s may hold nulls in files that are there: it cannot become "
                            "required",
                            fields[i].name);
        }
        enum kol_status status =
            check_columns(making, earlier, fields[i].children, fields[i].child_count);
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

static enum kol_status check_schema(struct making *making, const struct ice_schema *schema)
{
    const struct ice_metadata *m = making->next;
    for (size_t i = 0; i < m->schema_count; i++) {
        enum kol_status status =
            check_columns(making, &m->schemas[i], schema->fields, schema->count);
        if (status != KOL_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < schema->count && m->snapshot_count; i++) {
        const struct ice_field *field = &schema->fields[i];
        if (field->required && !ice_field_by_id(ice_current_schema(m), field->id)) {
            return kol_fail(making->err, KOL_INVALID,
                            "column %s: rows that are there have none, so a new column cannot be "
                            "required",
                            field->name);
        }
    }
    return KOL_OK;
}

static enum kol_status add_schema(struct making *making, const struct ice_schema *schema)
{
    struct ice_metadata *m = making->next;
    enum kol_status status = check_schema(making, schema);
    if (status != KOL_OK) {
        return status;
    }
    int32_t id = 0;
    for (size_t i = 0; i < m->schema_count; i++) {
        if (same_columns(m->schemas[i].fields, m->schemas[i].count, schema->fields,
                         schema->count)) {
            making->added_schema = m->schemas[i].schema_id;
            return KOL_OK;
        }
        id = m->schemas[i].schema_id >= id ? m->schemas[i].schema_id + 1 : id;
    }
    m->schemas = grown(&m->arena, m->schemas, m->schema_count, sizeof *m->schemas);
    m->schemas[m->schema_count] = ice_schema_copy(&m->arena, schema);
    m->schemas[m->schema_count++].schema_id = making->added_schema = id;
    int32_t highest = ice_schema_highest_id(schema);
    m->last_column_id = highest > m->last_column_id ? highest : m->last_column_id;
    return KOL_OK;
}

static bool same_spec(const struct ice_partition_spec *a, const struct ice_partition_spec *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        const struct ice_partition_field *x = &a->fields[i], *y = &b->fields[i];
        same = x->source_id == y->source_id && x->transform == y->transform &&
               x->param == y->param && strcmp(x->name, y->name) == 0;
    }
    return same;
}

static void add_spec(struct making *making, const struct ice_partition_spec *spec)
{
    struct ice_metadata *m = making->next;
    int32_t id = 0;
    for (size_t i = 0; i < m->spec_count; i++) {
        if (same_spec(&m->specs[i], spec)) {
            making->added_spec = m->specs[i].spec_id;
            return;
        }
        id = m->specs[i].spec_id >= id ? m->specs[i].spec_id + 1 : id;
    }
    m->specs = grown(&m->arena, m->specs, m->spec_count, sizeof *m->specs);
    struct ice_partition_spec *added = &m->specs[m->spec_count++];
    *added = ice_spec_copy(&m->arena, spec);
    added->spec_id = making->added_spec = id;
    for (size_t i = 0; i < added->count; i++) {
        if (added->fields[i].field_id <= m->last_partition_id) {
            added->fields[i].field_id = ++m->last_partition_id;
        }
        m->last_partition_id = added->fields[i].field_id;
    }
}

static bool same_order(const struct ice_sort_order *a, const struct ice_sort_order *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        const struct ice_sort_field *x = &a->fields[i], *y = &b->fields[i];
        same = x->source_id == y->source_id && x->transform == y->transform &&
               x->param == y->param && x->descending == y->descending &&
               x->nulls_last == y->nulls_last;
    }
    return same;
}

static void add_order(struct making *making, const struct ice_sort_order *order)
{
    struct ice_metadata *m = making->next;
    int32_t id = order->count ? 1 : 0; /* 0 is kept for unsorted */
    for (size_t i = 0; i < m->order_count; i++) {
        const struct ice_sort_order *there = &m->orders[i];
        if (same_order(there, order)) {
            making->added_order = there->order_id;
            return;
        }
        id = there->order_id >= id ? there->order_id + 1 : id;
    }
    m->orders = grown(&m->arena, m->orders, m->order_count, sizeof *m->orders);
    m->orders[m->order_count] = ice_order_copy(&m->arena, order);
    m->orders[m->order_count++].order_id = making->added_order = id;
}

static enum kol_status add_snapshot(struct making *making, const struct ice_snapshot *snapshot)
{
    struct ice_metadata *m = making->next;
    if (ice_snapshot_by_id(m, snapshot->id)) {
        return kol_fail(making->err, KOL_INVALID, "snapshot %lld is there already",
                        (long long)snapshot->id);
    }
    if (snapshot->sequence_number <= m->last_sequence_number) {
        return kol_fail(making->err, KOL_INVALID, "sequence number %lld is not above %lld",
                        (long long)snapshot->sequence_number, (long long)m->last_sequence_number);
    }
    m->snapshots = grown(&m->arena, m->snapshots, m->snapshot_count, sizeof *m->snapshots);
    struct ice_snapshot *added = &m->snapshots[m->snapshot_count++];
    *added = *snapshot;
    added->manifest_list = ice_copy_text(&m->arena, snapshot->manifest_list);
    added->summary = ice_pairs_copy(&m->arena, snapshot->summary, snapshot->summary_count);
    m->last_sequence_number = snapshot->sequence_number;
    if (snapshot->time_ms > m->last_updated_ms) {
        m->last_updated_ms = snapshot->time_ms;
    }
    return KOL_OK;
}

static void move_main(struct making *making, const struct ice_snapshot *snapshot)
{
    struct ice_metadata *m = making->next;
    if (m->current_snapshot_id == snapshot->id) {
        return;
    }
    bool is_new = !ice_snapshot_by_id(making->base, snapshot->id);
    m->current_snapshot_id = snapshot->id;
    m->snapshot_log =
        grown(&m->arena, m->snapshot_log, m->snapshot_log_count, sizeof *m->snapshot_log);
    m->snapshot_log[m->snapshot_log_count++] = (struct ice_log_entry){
        .time_ms = is_new ? snapshot->time_ms : m->last_updated_ms, .snapshot_id = snapshot->id};
}

static enum kol_status set_ref(struct making *making, const struct ice_ref *ref)
{
    struct ice_metadata *m = making->next;
    const struct ice_snapshot *snapshot = ice_snapshot_by_id(m, ref->snapshot_id);
    if (!snapshot) {
        return kol_fail(making->err, KOL_INVALID, "ref %s: there is no snapshot %lld", ref->name,
                        (long long)ref->snapshot_id);
    }
    struct ice_ref *there = (struct ice_ref *)find_ref(m, ref->name);
    if (!there) {
        m->refs = grown(&m->arena, m->refs, m->ref_count, sizeof *m->refs);
        there = &m->refs[m->ref_count++];
    }
    *there = *ref;
    there->name = ice_copy_text(&m->arena, ref->name);
    if (strcmp(ref->name, "main") == 0) {
        move_main(making, snapshot);
    }
    return KOL_OK;
}

static void remove_ref(struct making *making, const char *name)
{
    struct ice_metadata *m = making->next;
    size_t kept = 0;
    for (size_t i = 0; i < m->ref_count; i++) {
        if (strcmp(m->refs[i].name, name) != 0) {
            m->refs[kept++] = m->refs[i];
        }
    }
    m->ref_count = kept;
    if (strcmp(name, "main") == 0) {
        m->current_snapshot_id = -1;
    }
}

static bool is_among(const int64_t *numbers, size_t count, int64_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == number) {
            return true;
        }
    }
    return false;
}

/* Without the entries of snapshots that are gone. */
static const char *kept_statistics(struct ice_metadata *m, const char *text)
{
    json_t *array = text ? json_loads(text, 0, NULL) : NULL;
    for (size_t i = json_array_size(array); i > 0; i--) {
        json_t *of = json_object_get(json_array_get(array, i - 1), "snapshot-id");
        if (!ice_snapshot_by_id(m, json_integer_value(of))) {
            json_array_remove(array, i - 1);
        }
    }
    char *left = json_array_size(array) ? json_dumps(array, JSON_COMPACT) : NULL;
    const char *copy = ice_copy_text(&m->arena, left);
    free(left);
    json_decref(array);
    return copy;
}

static enum kol_status remove_snapshots(struct making *making, const struct ice_update *update)
{
    struct ice_metadata *m = making->next;
    for (size_t i = 0; i < m->ref_count; i++) {
        if (is_among(update->numbers, update->count, m->refs[i].snapshot_id)) {
            return kol_fail(making->err, KOL_INVALID, "ref %s names snapshot %lld: it must stay",
                            m->refs[i].name, (long long)m->refs[i].snapshot_id);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < m->snapshot_count; i++) {
        if (!is_among(update->numbers, update->count, m->snapshots[i].id)) {
            m->snapshots[kept++] = m->snapshots[i];
        }
    }
    m->snapshot_count = kept;
    /* The log is an unbroken history: what lies before a gap tells nothing any more. */
    size_t entries = 0;
    for (size_t i = 0; i < m->snapshot_log_count; i++) {
        if (is_among(update->numbers, update->count, m->snapshot_log[i].snapshot_id)) {
            entries = 0;
        } else {
            m->snapshot_log[entries++] = m->snapshot_log[i];
        }
    }
    m->snapshot_log_count = entries;
    m->statistics = kept_statistics(m, m->statistics);
    m->partition_statistics = kept_statistics(m, m->partition_statistics);
    return KOL_OK;
}

void ice_metadata_set_property(struct ice_metadata *m, const char *key, const char *value)
{
    size_t at = 0;
    while (at < m->property_count && strcmp(m->properties[at].key, key) < 0) {
        at++;
    }
    if (at < m->property_count && strcmp(m->properties[at].key, key) == 0) {
        m->properties[at].value = ice_copy_text(&m->arena, value);
        return;
    }
    m->properties = grown(&m->arena, m->properties, m->property_count, sizeof *m->properties);
    memmove(&m->properties[at + 1], &m->properties[at],
            (m->property_count - at) * sizeof *m->properties);
    m->properties[at] =
        (struct ice_pair){ice_copy_text(&m->arena, key), ice_copy_text(&m->arena, value)};
    m->property_count++;
}

static void remove_property(struct ice_metadata *m, const char *key)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->property_count; i++) {
        if (strcmp(m->properties[i].key, key) != 0) {
            m->properties[kept++] = m->properties[i];
        }
    }
    m->property_count = kept;
}

/* The id that an update names, or the one added before it in this commit. */
static enum kol_status chosen(struct making *making, const struct ice_update *update, int32_t added,
                              bool there, const char *what, int32_t *out)
{
    int64_t id = update->number == -1 ? added : update->number;
    if (id < 0 || (update->number != -1 && !there)) {
        return kol_fail(making->err, KOL_INVALID, "there is no %s %lld to be made the current one",
                        what, (long long)id);
    }
    *out = (int32_t)id;
    return KOL_OK;
}

static bool has_order(const struct ice_metadata *m, int64_t order_id)
{
    for (size_t i = 0; i < m->order_count; i++) {
        if (m->orders[i].order_id == order_id) {
            return true;
        }
    }
    return false;
}

static enum kol_status set_current(struct making *making, const struct ice_update *update)
{
    struct ice_metadata *m = making->next;
    int32_t id = (int32_t)update->number;
    if (update->kind == ICE_SET_SCHEMA) {
        return chosen(making, update, making->added_schema, ice_schema_by_id(m, id), "schema",
                      &m->current_schema_id);
    }
    if (update->kind == ICE_SET_SPEC) {
        return chosen(making, update, making->added_spec, ice_spec_by_id(m, id), "partition spec",
                      &m->default_spec_id);
    }
    return chosen(making, update, making->added_order, has_order(m, id), "sort order",
                  &m->default_order_id);
}

static void set_properties(struct making *making, const struct ice_update *update)
{
    for (size_t i = 0; i < update->count; i++) {
        if (update->kind == ICE_SET_PROPERTIES) {
            ice_metadata_set_property(making->next, update->pairs[i].key, update->pairs[i].value);
        } else {
            remove_property(making->next, update->pairs[i].key);
        }
    }
}

static enum kol_status apply(struct making *making, const struct ice_update *update)
{
    struct ice_metadata *m = making->next;
    switch (update->kind) {
    case ICE_UPGRADE_FORMAT:
        return update->number == 2 ? KOL_OK
                                   : kol_fail(making->err, KOL_UNSUPPORTED,
                                              "tables of Iceberg version %lld cannot be written",
                                              (long long)update->number);
    case ICE_ADD_SCHEMA: return add_schema(making, update->schema);
    case ICE_SET_SCHEMA:
    case ICE_SET_SPEC:
    case ICE_SET_ORDER: return set_current(making, update);
    case ICE_ADD_SPEC: add_spec(making, update->spec); return KOL_OK;
    case ICE_ADD_ORDER: add_order(making, update->order); return KOL_OK;
    case ICE_ADD_SNAPSHOT: return add_snapshot(making, update->snapshot);
    case ICE_SET_REF: return set_ref(making, update->ref);
    case ICE_REMOVE_SNAPSHOTS: return remove_snapshots(making, update);
    case ICE_REMOVE_REF: remove_ref(making, update->text); return KOL_OK;
    case ICE_SET_PROPERTIES:
    case ICE_REMOVE_PROPERTIES: set_properties(making, update); return KOL_OK;
    case ICE_SET_LOCATION: m->location = ice_copy_text(&m->arena, update->text); return KOL_OK;
    }
    return kol_fail(making->err, KOL_INVALID, "no such update");
}

static void log_base(struct ice_metadata *next, const struct ice_metadata *base)
{
    if (!base->metadata_location) {
        return;
    }
    next->metadata_log = grown(&next->arena, next->metadata_log, next->metadata_log_count,
                               sizeof *next->metadata_log);
    next->metadata_log[next->metadata_log_count++] = (struct ice_log_entry){
        .time_ms = base->last_updated_ms,
        .metadata_file = ice_copy_text(&next->arena, base->metadata_location)};
    if (next->metadata_log_count > METADATA_LOG_KEPT) {
        next->metadata_log += next->metadata_log_count - METADATA_LOG_KEPT;
        next->metadata_log_count = METADATA_LOG_KEPT;
    }
}

enum kol_status ice_update_apply(const struct ice_metadata *base, const struct ice_update *updates,
                                 size_t count, int64_t now_ms, struct ice_metadata **out,
                                 struct kol_error *err)
{
    struct ice_metadata *next = ice_metadata_copy(base);
    struct making making = {next, base, err, -1, -1, -1};
    enum kol_status status = KOL_OK;
    struct buf uuid = {0};
    if (!next->table_uuid) { /* version 1 could do without */
        random_put_uuid(&uuid);
        next->table_uuid = ice_copy_text(&next->arena, uuid.ptr);
        buf_free(&uuid);
    }
    next->format_version = 2;
    next->metadata_location = NULL;
    /* Times in the logs must not run backwards, even where the clock does. */
    next->last_updated_ms = now_ms > base->last_updated_ms ? now_ms : base->last_updated_ms;
    log_base(next, base);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = apply(&making, &updates[i]);
    }
    ice_metadata_map_names(next);
    if (status != KOL_OK) {
        ice_metadata_free(&next);
    }
    *out = next;
    return status;
}
