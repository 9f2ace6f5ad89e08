/*
 * manifest_list.c: the manifests of a snapshot, and what each says of its partitions.
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "iceberg/avro_file.h"
#include "iceberg/manifest.h"
#include "iceberg/metadata.h"

/* ---- writing ---- */

static const struct ice_avro_column columns[] = {
    {"manifest_path", 500, ICE_AVRO_STRING},     {"manifest_length", 501, ICE_AVRO_LONG},
    {"partition_spec_id", 502, ICE_AVRO_INT},    {"content", 517, ICE_AVRO_INT},
    {"sequence_number", 515, ICE_AVRO_LONG},     {"min_sequence_number", 516, ICE_AVRO_LONG},
    {"added_snapshot_id", 503, ICE_AVRO_LONG},   {"added_files_count", 504, ICE_AVRO_INT},
    {"existing_files_count", 505, ICE_AVRO_INT}, {"deleted_files_count", 506, ICE_AVRO_INT},
    {"added_rows_count", 512, ICE_AVRO_LONG},    {"existing_rows_count", 513, ICE_AVRO_LONG},
    {"deleted_rows_count", 514, ICE_AVRO_LONG},
};

static const struct ice_avro_column summary_columns[] = {
    {"contains_null", 509, ICE_AVRO_BOOLEAN},
    {"contains_nan", 518, ICE_AVRO_BOOLEAN, true},
    {"lower_bound", 510, ICE_AVRO_BYTES, true},
    {"upper_bound", 511, ICE_AVRO_BYTES, true},
};

static const struct ice_avro_column key_metadata = {"key_metadata", 519, ICE_AVRO_BYTES, true};

static void put_schema(struct buf *json)
{
    buf_puts(json, "{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":[");
    ice_avro_put_columns(json, columns, ARRAY_LEN(columns), false);
    buf_puts(json, ",{\"name\":\"partitions\",\"type\":[\"null\",{\"type\":\"array\",\"items\":"
                   "{\"type\":\"record\",\"name\":\"r508\",\"fields\":[");
    ice_avro_put_columns(json, summary_columns, ARRAY_LEN(summary_columns), false);
    buf_puts(json, "]},\"element-id\":508}],\"default\":null,\"field-id\":507}");
    ice_avro_put_columns(json, &key_metadata, 1, true);
    buf_puts(json, "]}");
}

static void write_summaries(avro_value_t *record, const struct ice_manifest *manifest)
{
    avro_value_t array = ice_avro_some(record, "partitions");
    for (size_t i = 0; i < manifest->partition_count; i++) {
        const struct ice_field_summary *summary = &manifest->partitions[i];
        avro_value_t out = ice_avro_append(&array), null = ice_avro_get(&out, "contains_null");
        KOL_ASSERT(avro_value_set_boolean(&null, summary->contains_null) == 0);
        avro_value_t nan = ice_avro_some(&out, "contains_nan");
        KOL_ASSERT(avro_value_set_boolean(&nan, summary->contains_nan) == 0);
        if (summary->has_bounds) {
            ice_avro_set_bytes(ice_avro_some(&out, "lower_bound"), summary->lower);
            ice_avro_set_bytes(ice_avro_some(&out, "upper_bound"), summary->upper);
        } else {
            ice_avro_none(&out, "lower_bound");
            ice_avro_none(&out, "upper_bound");
        }
    }
}

static void write_manifest(struct ice_avro_writer *writer, const struct ice_manifest *manifest,
                           int64_t own_sequence)
{
    int64_t sequence = manifest->sequence_number < 0 ? own_sequence : manifest->sequence_number;
    int64_t numbers[ARRAY_LEN(columns)] = {
        0,
        manifest->length,
        manifest->spec_id,
        manifest->deletes,
        sequence,
        manifest->min_sequence_number < 0 ? sequence : manifest->min_sequence_number,
        manifest->added_snapshot_id,
        manifest->added_files,
        manifest->existing_files,
        manifest->deleted_files,
        manifest->added_rows,
        manifest->existing_rows,
        manifest->deleted_rows,
    };
    avro_value_t *record = ice_avro_record(writer);
    ice_avro_set_text(ice_avro_get(record, columns[0].name), str_of(manifest->path));
    for (size_t i = 1; i < ARRAY_LEN(columns); i++) {
        ice_avro_set_long(ice_avro_get(record, columns[i].name), numbers[i]);
    }
    write_summaries(record, manifest);
    ice_avro_none(record, "key_metadata");
    ice_avro_put(writer);
}

enum kol_status ice_manifest_list_write(const struct ice_manifest *manifests, size_t count,
                                        int64_t snapshot_id, int64_t parent_id,
                                        int64_t sequence_number, struct buf *out,
                                        struct kol_error *err)
{
    struct buf schema = {0}, snapshot = {0}, parent = {0}, sequence = {0};
    put_schema(&schema);
    buf_put_int64(&snapshot, snapshot_id);
    buf_put_int64(&sequence, sequence_number);
    if (parent_id < 0) {
        buf_puts(&parent, "null"); /* as Iceberg's own library writes it */
    } else {
        buf_put_int64(&parent, parent_id);
    }
    const struct ice_avro_pair pairs[] = {
        {"snapshot-id", buf_str(&snapshot)},
        {"parent-snapshot-id", buf_str(&parent)},
        {"sequence-number", buf_str(&sequence)},
        {"format-version", STR("2")},
    };
    struct ice_avro_writer *writer = NULL;
    enum kol_status status =
        ice_avro_create(buf_str(&schema), pairs, ARRAY_LEN(pairs), out, &writer, err);
    for (size_t i = 0; !status && i < count; i++) {
        write_manifest(writer, &manifests[i], sequence_number);
    }
    if (!status) {
        ice_avro_finish(&writer);
    }
    buf_free(&schema);
    buf_free(&snapshot);
    buf_free(&parent);
    buf_free(&sequence);
    return status;
}

/* ---- reading ---- */

enum {
    SLOT_NONE,
    SLOT_MANIFEST,
    SLOT_PATH,
    SLOT_LENGTH,
    SLOT_SPEC,
    SLOT_CONTENT,
    SLOT_SEQUENCE,
    SLOT_MIN_SEQUENCE,
    SLOT_SNAPSHOT,
    SLOT_ADDED_FILES,
    SLOT_EXISTING_FILES,
    SLOT_DELETED_FILES,
    SLOT_ADDED_ROWS,
    SLOT_EXISTING_ROWS,
    SLOT_DELETED_ROWS,
    SLOT_KEY_METADATA,
    SLOT_SUMMARY,
    SLOT_HAS_NULL,
    SLOT_HAS_NAN,
    SLOT_LOWER,
    SLOT_UPPER,
};

enum { MAX_SUMMARIES = 1000, SLOTS = SLOT_UPPER + 1 };

struct list_reader {
    struct arena *arena;
    struct ice_manifest *manifests;
    size_t count, capacity;
    size_t used;            /* bytes of memory asked for */
    int64_t numbers[SLOTS]; /* of the manifest that is being read, by slot */
    struct str path;
    bool is_encrypted;
    struct ice_field_summary summaries[MAX_SUMMARIES];
    size_t summary_count;
};

static bool is_number(avro_type_t kind)
{
    return kind == AVRO_INT32 || kind == AVRO_INT64;
}

static bool is_bytes(avro_type_t kind)
{
    return kind == AVRO_BYTES || kind == AVRO_STRING;
}

static enum kol_status bind_summaries(struct ice_avro_node *root, struct kol_error *err)
{
    static const int slots[] = {SLOT_HAS_NULL, SLOT_HAS_NAN, SLOT_LOWER, SLOT_UPPER};
    struct ice_avro_node *array = ice_avro_field(root, 507);
    if (!array) {
        return KOL_OK;
    }
    struct ice_avro_node *record =
        array->kind == AVRO_ARRAY ? ice_avro_known(array->children[0]) : NULL;
    bool fits = record && record->kind == AVRO_RECORD;
    for (size_t i = 0; fits && i < ARRAY_LEN(slots); i++) {
        struct ice_avro_node *node = ice_avro_field(record, summary_columns[i].id);
        if (node) {
            fits = i < 2 ? node->kind == AVRO_BOOLEAN : is_bytes(node->kind);
            node->slot = slots[i];
        }
    }
    if (!fits) {
        return kol_fail(err, KOL_CORRUPT, "the manifest list's partition summaries are no such");
    }
    record->slot = SLOT_SUMMARY;
    return KOL_OK;
}

static enum kol_status bind_all(struct ice_avro_node *root, struct kol_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        struct ice_avro_node *node = ice_avro_field(root, columns[i].id);
        bool required = i < 3; /* version 1 may leave out the others */
        if (!node && required) {
            return kol_fail(err, KOL_CORRUPT, "the manifest list has no field \"%s\" (%d)",
                            columns[i].name, columns[i].id);
        }
        if (node && !(i == 0 ? is_bytes(node->kind) : is_number(node->kind))) {
            return kol_fail(err, KOL_CORRUPT,
                            "the manifest list's field \"%s\" (%d) is of another type",
                            columns[i].name, columns[i].id);
        }
        if (node) {
            node->slot = SLOT_PATH + (int)i;
        }
    }
    struct ice_avro_node *key = ice_avro_field(root, key_metadata.id);
    if (key && is_bytes(key->kind)) {
        key->slot = SLOT_KEY_METADATA;
    }
    root->slot = SLOT_MANIFEST;
    return bind_summaries(root, err);
}

static enum kol_status on_begin(void *user, int slot, struct kol_error *err)
{
    struct list_reader *reader = user;
    if (slot == SLOT_MANIFEST) {
        memset(reader->numbers, 0, sizeof reader->numbers);
        reader->numbers[SLOT_LENGTH] = reader->numbers[SLOT_SPEC] = -1;
        reader->numbers[SLOT_SNAPSHOT] = -1;
        for (int i = SLOT_ADDED_FILES; i <= SLOT_DELETED_ROWS; i++) {
            reader->numbers[i] = -1; /* unknown, in version 1 */
        }
        reader->path = (struct str){NULL, 0};
        reader->is_encrypted = false;
        reader->summary_count = 0;
        return KOL_OK;
    }
    if (reader->summary_count == MAX_SUMMARIES) {
        return kol_fail(err, KOL_UNSUPPORTED, "a partition spec of more than %d fields",
                        MAX_SUMMARIES);
    }
    /* What a writer leaves out may be so. */
    reader->summaries[reader->summary_count++] =
        (struct ice_field_summary){.contains_null = true, .contains_nan = true};
    return KOL_OK;
}

static enum kol_status keep(struct list_reader *reader, struct str bytes, struct str *out,
                            struct kol_error *err)
{
    reader->used += bytes.len + 32;
    if (reader->used > ICE_MAX_MANIFEST) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "a manifest list that takes more than %d bytes of memory",
                        ICE_MAX_MANIFEST);
    }
    *out = arena_copy(reader->arena, bytes);
    return KOL_OK;
}

static enum kol_status on_take(void *user, int slot, const struct ice_avro_value *value,
                               struct kol_error *err)
{
    struct list_reader *reader = user;
    struct ice_field_summary *summary =
        slot > SLOT_SUMMARY ? &reader->summaries[reader->summary_count - 1] : NULL;
    switch (slot) {
    case SLOT_PATH:
        if (value->bytes.len == 0 || memchr(value->bytes.ptr, 0, value->bytes.len) ||
            !text_is_utf8(value->bytes)) {
            return kol_fail(err, KOL_CORRUPT, "a manifest_path in the manifest list is no text");
        }
        return keep(reader, value->bytes, &reader->path, err);
    case SLOT_KEY_METADATA: reader->is_encrypted = true; return KOL_OK;
    case SLOT_HAS_NULL: summary->contains_null = value->integer != 0; return KOL_OK;
    case SLOT_HAS_NAN: summary->contains_nan = value->integer != 0; return KOL_OK;
    case SLOT_LOWER: return keep(reader, value->bytes, &summary->lower, err);
    case SLOT_UPPER: return keep(reader, value->bytes, &summary->upper, err);
    default: reader->numbers[slot] = value->integer; return KOL_OK;
    }
}

static enum kol_status check_manifest(const struct list_reader *reader, struct kol_error *err)
{
    const int64_t *numbers = reader->numbers;
    bool fits = reader->path.ptr && numbers[SLOT_LENGTH] >= 0 && numbers[SLOT_SPEC] >= 0 &&
                numbers[SLOT_SPEC] <= INT32_MAX && numbers[SLOT_SEQUENCE] >= 0 &&
                numbers[SLOT_MIN_SEQUENCE] >= 0;
    for (int i = SLOT_ADDED_FILES; i <= SLOT_DELETED_FILES; i++) {
        fits = fits && numbers[i] <= INT32_MAX && numbers[i] >= -1;
    }
    if (!fits) {
        return kol_fail(err, KOL_CORRUPT,
                        "a manifest in the manifest list lacks its path or has a number that is "
                        "out of range");
    }
    if (numbers[SLOT_CONTENT] != 0 && numbers[SLOT_CONTENT] != 1) {
        return kol_fail(err, KOL_UNSUPPORTED, "a manifest of the content %lld",
                        (long long)numbers[SLOT_CONTENT]);
    }
    return reader->is_encrypted
               ? kol_fail(err, KOL_UNSUPPORTED, "the encrypted manifest %s", reader->path.ptr)
               : KOL_OK;
}

static enum kol_status on_end(void *user, struct kol_error *err)
{
    struct list_reader *reader = user;
    enum kol_status status = check_manifest(reader, err);
    if (status) {
        return status;
    }
    if (reader->count == reader->capacity) {
        size_t wider = reader->capacity ? 2 * reader->capacity : 64;
        struct ice_manifest *copy = arena_alloc(reader->arena, wider * sizeof *copy);
        if (reader->count) {
            memcpy(copy, reader->manifests, reader->count * sizeof *copy);
        }
        reader->manifests = copy;
        reader->capacity = wider;
    }
    const int64_t *numbers = reader->numbers;
    struct ice_manifest *out = &reader->manifests[reader->count++];
    *out = (struct ice_manifest){
        .path = reader->path.ptr,
        .length = numbers[SLOT_LENGTH],
        .spec_id = (int32_t)numbers[SLOT_SPEC],
        .deletes = numbers[SLOT_CONTENT] == 1,
        .sequence_number = numbers[SLOT_SEQUENCE],
        .min_sequence_number = numbers[SLOT_MIN_SEQUENCE],
        .added_snapshot_id = numbers[SLOT_SNAPSHOT],
        .added_files = (int32_t)numbers[SLOT_ADDED_FILES],
        .existing_files = (int32_t)numbers[SLOT_EXISTING_FILES],
        .deleted_files = (int32_t)numbers[SLOT_DELETED_FILES],
        .added_rows = numbers[SLOT_ADDED_ROWS],
        .existing_rows = numbers[SLOT_EXISTING_ROWS],
        .deleted_rows = numbers[SLOT_DELETED_ROWS],
        .partition_count = reader->summary_count,
    };
    size_t bytes = reader->summary_count * sizeof *out->partitions;
    out->partitions = arena_alloc(reader->arena, bytes);
    for (size_t i = 0; i < reader->summary_count; i++) {
        out->partitions[i] = reader->summaries[i];
        out->partitions[i].has_bounds =
            reader->summaries[i].lower.ptr && reader->summaries[i].upper.ptr;
    }
    reader->used += bytes + 4 * sizeof *out;
    return KOL_OK;
}

enum kol_status ice_manifest_list_read(struct str bytes, struct arena *arena,
                                       struct ice_manifest **out, size_t *count,
                                       struct kol_error *err)
{
    struct ice_avro_reader *file = NULL;
    struct list_reader *reader = arena_alloc(arena, sizeof *reader);
    const struct ice_avro_sink sink = {on_begin, on_take, on_end, reader};
    reader->arena = arena;
    reader->manifests = NULL;
    reader->count = reader->capacity = reader->used = 0;
    enum kol_status status = ice_avro_open(bytes, &file, err);
    status = status ? status : bind_all(ice_avro_root(file), err);
    status = status ? status : ice_avro_each(file, &sink, err);
    ice_avro_close(&file);
    if (!status) {
        *out = reader->manifests;
        *count = reader->count;
    }
    return status;
}
