/*
 * metadata_write.c: a version of a table as the JSON of format version 2.
 */
#include <string.h>

#include "base/text.h"
#include "iceberg/parts.h"

static void put_text(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "\"%s\":", key);
    text_put_json(out, str_of(value));
}

static void put_int(struct buf *out, const char *key, int64_t value)
{
    buf_printf(out, "\"%s\":", key);
    buf_put_int64(out, value);
}

static void put_pairs(struct buf *out, const struct ice_pair *pairs, size_t count)
{
    buf_putc(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i) {
            buf_putc(out, ',');
        }
        text_put_json(out, str_of(pairs[i].key));
        buf_putc(out, ':');
        text_put_json(out, str_of(pairs[i].value));
    }
    buf_putc(out, '}');
}

static void put_head(struct buf *out, const struct ice_metadata *m)
{
    buf_puts(out, "\"format-version\":2,");
    put_text(out, "table-uuid", m->table_uuid);
    buf_putc(out, ',');
    put_text(out, "location", m->location);
    buf_putc(out, ',');
    put_int(out, "last-sequence-number", m->last_sequence_number);
    buf_putc(out, ',');
    put_int(out, "last-updated-ms", m->last_updated_ms);
    buf_putc(out, ',');
    put_int(out, "last-column-id", m->last_column_id);
}

static void put_order(struct buf *out, const struct ice_sort_order *order)
{
    buf_printf(out, "{\"order-id\":%d,\"fields\":[", order->order_id);
    for (size_t i = 0; i < order->count; i++) {
        const struct ice_sort_field *field = &order->fields[i];
        buf_printf(out, "%s{\"transform\":\"", i ? "," : "");
        ice_transform_write(out, field->transform, field->param);
        buf_printf(out, "\",\"source-id\":%d,\"direction\":\"%s\",\"null-order\":\"%s\"}",
                   field->source_id, field->descending ? "desc" : "asc",
                   field->nulls_last ? "nulls-last" : "nulls-first");
    }
    buf_puts(out, "]}");
}

static void put_definitions(struct buf *out, const struct ice_metadata *m)
{
    put_int(out, "current-schema-id", m->current_schema_id);
    buf_puts(out, ",\"schemas\":[");
    for (size_t i = 0; i < m->schema_count; i++) {
        buf_puts(out, i ? "," : "");
        ice_schema_write(out, &m->schemas[i]);
    }
    buf_puts(out, "],");
    put_int(out, "default-spec-id", m->default_spec_id);
    buf_puts(out, ",\"partition-specs\":[");
    for (size_t i = 0; i < m->spec_count; i++) {
        buf_puts(out, i ? "," : "");
        ice_spec_write(out, &m->specs[i]);
    }
    buf_puts(out, "],");
    put_int(out, "last-partition-id", m->last_partition_id);
    buf_putc(out, ',');
    put_int(out, "default-sort-order-id", m->default_order_id);
    buf_puts(out, ",\"sort-orders\":[");
    for (size_t i = 0; i < m->order_count; i++) {
        buf_puts(out, i ? "," : "");
        put_order(out, &m->orders[i]);
    }
    buf_puts(out, "]");
}

static void put_snapshot(struct buf *out, const struct ice_snapshot *s)
{
    buf_putc(out, '{');
    put_int(out, "snapshot-id", s->id);
    if (s->parent_id >= 0) {
        buf_putc(out, ',');
        put_int(out, "parent-snapshot-id", s->parent_id);
    }
    buf_putc(out, ',');
    put_int(out, "sequence-number", s->sequence_number);
    buf_putc(out, ',');
    put_int(out, "timestamp-ms", s->time_ms);
    buf_putc(out, ',');
    put_text(out, "manifest-list", s->manifest_list);
    if (s->schema_id >= 0) {
        buf_putc(out, ',');
        put_int(out, "schema-id", s->schema_id);
    }
    buf_puts(out, ",\"summary\":");
    put_pairs(out, s->summary, s->summary_count);
    buf_putc(out, '}');
}

static void put_ref(struct buf *out, const struct ice_ref *ref)
{
    text_put_json(out, str_of(ref->name));
    buf_puts(out, ":{");
    put_int(out, "snapshot-id", ref->snapshot_id);
    buf_printf(out, ",\"type\":\"%s\"", ref->is_tag ? "tag" : "branch");
    const struct {
        const char *key;
        int64_t value;
    } limits[] = {{"max-ref-age-ms", ref->max_ref_age_ms},
                  {"max-snapshot-age-ms", ref->max_snapshot_age_ms},
                  {"min-snapshots-to-keep", ref->min_snapshots}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (limits[i].value >= 0) {
            buf_putc(out, ',');
            put_int(out, limits[i].key, limits[i].value);
        }
    }
    buf_putc(out, '}');
}

static void put_snapshots(struct buf *out, const struct ice_metadata *m)
{
    if (m->current_snapshot_id >= 0) { /* some readers take null for a number */
        put_int(out, "current-snapshot-id", m->current_snapshot_id);
        buf_putc(out, ',');
    }
    buf_puts(out, "\"snapshots\":[");
    for (size_t i = 0; i < m->snapshot_count; i++) {
        buf_puts(out, i ? "," : "");
        put_snapshot(out, &m->snapshots[i]);
    }
    buf_puts(out, "],\"refs\":{");
    for (size_t i = 0; i < m->ref_count; i++) {
        buf_puts(out, i ? "," : "");
        put_ref(out, &m->refs[i]);
    }
    buf_putc(out, '}');
}

static void put_logs(struct buf *out, const struct ice_metadata *m)
{
    buf_puts(out, "\"snapshot-log\":[");
    for (size_t i = 0; i < m->snapshot_log_count; i++) {
        buf_puts(out, i ? ",{" : "{");
        put_int(out, "timestamp-ms", m->snapshot_log[i].time_ms);
        buf_putc(out, ',');
        put_int(out, "snapshot-id", m->snapshot_log[i].snapshot_id);
        buf_putc(out, '}');
    }
    buf_puts(out, "],\"metadata-log\":[");
    for (size_t i = 0; i < m->metadata_log_count; i++) {
        buf_puts(out, i ? ",{" : "{");
        put_int(out, "timestamp-ms", m->metadata_log[i].time_ms);
        buf_putc(out, ',');
        put_text(out, "metadata-file", m->metadata_log[i].metadata_file);
        buf_putc(out, '}');
    }
    buf_printf(out, "],\"statistics\":%s,\"partition-statistics\":%s",
               m->statistics ? m->statistics : "[]",
               m->partition_statistics ? m->partition_statistics : "[]");
}

void ice_metadata_write(struct buf *out, const struct ice_metadata *m)
{
    buf_putc(out, '{');
    put_head(out, m);
    buf_putc(out, ',');
    put_definitions(out, m);
    buf_puts(out, ",\"properties\":");
    put_pairs(out, m->properties, m->property_count);
    buf_putc(out, ',');
    put_snapshots(out, m);
    buf_putc(out, ',');
    put_logs(out, m);
    buf_putc(out, '}');
}
