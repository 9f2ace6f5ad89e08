/*
 * manifest_read.c: the entries of a manifest, whoever wrote it.
 *
 * Columns are found by the field ids in the file's own schema, never by name or place: writers
 * differ in both, and version 1 and later ones have fields that others have not. bind_*() marks the
 * wanted values once; take() then puts each where it belongs.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "iceberg/avro_file.h"
#include "iceberg/manifest.h"
#include "iceberg/metadata.h"

/* Slots from SLOT_PARTITION on are partition fields by their place in the spec. */
enum {
    SLOT_NONE,
    SLOT_ENTRY,
    SLOT_STATUS,
    SLOT_SNAPSHOT,
    SLOT_SEQUENCE,
    SLOT_FILE_SEQUENCE,
    SLOT_CONTENT,
    SLOT_PATH,
    SLOT_FORMAT,
    SLOT_ROWS,
    SLOT_BYTES,
    SLOT_KEY_METADATA,
    SLOT_SPLIT,
    SLOT_SORT_ORDER,
    SLOT_PAIR, /* of one of the maps by column: key and value follow in either order */
    SLOT_KEY,
    SLOT_SIZE,
    SLOT_VALUES,
    SLOT_NULLS,
    SLOT_NANS,
    SLOT_LOWER,
    SLOT_UPPER,
    SLOT_PARTITION = 100,
};

enum { MAPS = SLOT_UPPER - SLOT_SIZE + 1 };

/* One pair of one map. */
struct item {
    int32_t field_id;
    int64_t count;
    struct str bound;
};

/* The pairs of one map of the entry that is being read. */
struct run {
    struct item *items;
    size_t count, capacity;
    bool ascending;
};

struct manifest_reader {
    const struct ice_manifest *manifest; /* may be NULL */
    const struct ice_partition_spec *spec;
    struct ice_field *types; /* of the partition fields */
    bool *type_known;        /* where not, any type is taken */
    int32_t spec_id;
    bool has_sequence; /* a version 1 file has none: 0 */
    bool has_file_sequence;
    struct arena *arena;
    struct ice_entry *entries;
    size_t count, capacity;
    size_t used; /* bytes taken from the arena */
    /* The entry that is being read. */
    struct ice_entry entry;
    int64_t content;
    bool has_format, is_parquet, is_encrypted;
    struct item item; /* of the pair that is being read */
    int have_slot;    /* of the pair: SLOT_KEY, or that of the value; 0: neither yet */
    struct run runs[MAPS];
    int64_t *splits;
    size_t split_count, split_capacity;
};

/* ---- binding ---- */

static enum kol_status bind(struct ice_avro_node *record, int32_t id, int slot, bool required,
                            bool is_number, const char *name, struct kol_error *err)
{
    struct ice_avro_node *node = ice_avro_field(record, id);
    if (!node) {
        return required
                   ? kol_fail(err, KOL_CORRUPT, "the manifest has no field \"%s\" (%d)", name, id)
                   : KOL_OK;
    }
    bool fits = is_number ? node->kind == AVRO_INT32 || node->kind == AVRO_INT64
                          : node->kind == AVRO_STRING || node->kind == AVRO_BYTES;
    if (!fits) {
        return kol_fail(err, KOL_CORRUPT, "the manifest's field \"%s\" (%d) is of another type",
                        name, id);
    }
    node->slot = slot;
    return KOL_OK;
}

static enum kol_status bind_map(struct ice_avro_node *file, int32_t id, int32_t key_id, int slot,
                                struct kol_error *err)
{
    struct ice_avro_node *map = ice_avro_field(file, id);
    if (!map) {
        return KOL_OK;
    }
    struct ice_avro_node *pair = map->kind == AVRO_ARRAY ? ice_avro_known(map->children[0]) : NULL;
    if (!pair || pair->kind != AVRO_RECORD) {
        return kol_fail(err, KOL_CORRUPT, "the manifest's field %d is no map", id);
    }
    pair->slot = SLOT_PAIR;
    enum kol_status status = bind(pair, key_id, SLOT_KEY, true, true, "key", err);
    return status ? status : bind(pair, key_id + 1, slot, true, slot < SLOT_LOWER, "value", err);
}

static enum kol_status bind_maps(struct ice_avro_node *file, struct kol_error *err)
{
    static const struct {
        int32_t id, key_id;
        int slot;
    } maps[] = {
        {108, 117, SLOT_SIZE}, {109, 119, SLOT_VALUES}, {110, 121, SLOT_NULLS},
        {137, 138, SLOT_NANS}, {125, 126, SLOT_LOWER},  {128, 129, SLOT_UPPER},
    };
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        enum kol_status status = bind_map(file, maps[i].id, maps[i].key_id, maps[i].slot, err);
        if (status) {
            return status;
        }
    }
    struct ice_avro_node *splits = ice_avro_field(file, 132);
    if (splits && splits->kind == AVRO_ARRAY) {
        struct ice_avro_node *element = ice_avro_known(splits->children[0]);
        if (element->kind == AVRO_INT64 || element->kind == AVRO_INT32) {
            element->slot = SLOT_SPLIT;
        }
    }
    return KOL_OK;
}

/* True where a partition value of that Avro type may stand for the Iceberg type: equal, or what was
 * widened since. */
static bool partition_fits(const struct ice_field *type, const struct ice_avro_node *node)
{
    avro_type_t kind = node->kind;
    switch (type->type) {
    case ICE_BOOLEAN: return kind == AVRO_BOOLEAN;
    case ICE_INT:
    case ICE_DATE: return kind == AVRO_INT32;
    case ICE_LONG: return kind == AVRO_INT32 || kind == AVRO_INT64;
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ: return kind == AVRO_INT64;
    case ICE_FLOAT: return kind == AVRO_FLOAT;
    case ICE_DOUBLE: return kind == AVRO_FLOAT || kind == AVRO_DOUBLE;
    case ICE_STRING: return kind == AVRO_STRING;
    case ICE_BINARY: return kind == AVRO_BYTES;
    case ICE_DECIMAL: return kind == AVRO_BYTES || kind == AVRO_FIXED;
    case ICE_UUID: return kind == AVRO_FIXED && node->size == 16;
    case ICE_FIXED: return kind == AVRO_FIXED && node->size == (size_t)type->length;
    default: return false;
    }
}

/* Where the schema does not know the type, that of the file is taken. */
static void guess_type(const struct ice_avro_node *node, struct ice_field *type)
{
    switch (node->kind) {
    case AVRO_BOOLEAN: type->type = ICE_BOOLEAN; break;
    case AVRO_INT32:
    case AVRO_INT64: type->type = ICE_LONG; break;
    case AVRO_FLOAT:
    case AVRO_DOUBLE: type->type = ICE_DOUBLE; break;
    case AVRO_STRING: type->type = ICE_STRING; break;
    default: type->type = ICE_BINARY; break;
    }
}

static enum kol_status bind_partition(struct manifest_reader *reader, struct ice_avro_node *record,
                                      struct kol_error *err)
{
    for (size_t i = 0; i < reader->spec->count; i++) {
        const struct ice_partition_field *field = &reader->spec->fields[i];
        struct ice_avro_node *node = ice_avro_field(record, field->field_id);
        if (!node) {
            if (field->transform == ICE_VOID) {
                continue;
            }
            return kol_fail(err, KOL_CORRUPT,
                            "the manifest has no partition field \"%s\" (%d) of its spec",
                            field->name, field->field_id);
        }
        if (!reader->type_known[i]) {
            guess_type(node, &reader->types[i]);
        } else if (!partition_fits(&reader->types[i], node) && field->transform != ICE_VOID) {
            return kol_fail(err, KOL_CORRUPT,
                            "partition field \"%s\" of the manifest is of another type than in "
                            "the table",
                            field->name);
        }
        node->slot = field->transform == ICE_VOID ? SLOT_NONE : SLOT_PARTITION + (int)i;
    }
    return KOL_OK;
}

static enum kol_status bind_all(struct manifest_reader *reader, struct ice_avro_node *entry,
                                struct kol_error *err)
{
    struct ice_avro_node *file = ice_avro_field(entry, 2);
    enum kol_status status = KOL_OK;
    const struct {
        struct ice_avro_node *record;
        int32_t id;
        int slot;
        bool required, is_number;
        const char *name;
    } columns[] = {
        {entry, 0, SLOT_STATUS, true, true, "status"},
        {entry, 1, SLOT_SNAPSHOT, false, true, "snapshot_id"},
        {entry, 3, SLOT_SEQUENCE, false, true, "sequence_number"},
        {entry, 4, SLOT_FILE_SEQUENCE, false, true, "file_sequence_number"},
        {file, 134, SLOT_CONTENT, false, true, "content"},
        {file, 100, SLOT_PATH, true, false, "file_path"},
        {file, 101, SLOT_FORMAT, true, false, "file_format"},
        {file, 103, SLOT_ROWS, true, true, "record_count"},
        {file, 104, SLOT_BYTES, true, true, "file_size_in_bytes"},
        {file, 131, SLOT_KEY_METADATA, false, false, "key_metadata"},
        {file, 140, SLOT_SORT_ORDER, false, true, "sort_order_id"},
    };
    for (size_t i = 0; !status && i < ARRAY_LEN(columns); i++) {
        status = bind(columns[i].record, columns[i].id, columns[i].slot, columns[i].required,
                      columns[i].is_number, columns[i].name, err);
    }
    entry->slot = SLOT_ENTRY;
    reader->has_sequence = ice_avro_field(entry, 3) != NULL;
    reader->has_file_sequence = ice_avro_field(entry, 4) != NULL;
    status = status ? status : bind_maps(file, err);
    return status ? status : bind_partition(reader, ice_avro_field(file, 102), err);
}

/* ---- taking ---- */

/* Memory of the arena within the bound that a manifest has, whatever its inflated bytes say. */
static enum kol_status take_memory(struct manifest_reader *reader, size_t bytes, void **out,
                                   struct kol_error *err)
{
    reader->used += bytes + 16;
    if (reader->used > ICE_MAX_MANIFEST) {
        return kol_fail(err, KOL_UNSUPPORTED, "a manifest that takes more than %d bytes of memory",
                        ICE_MAX_MANIFEST);
    }
    *out = arena_alloc(reader->arena, bytes);
    return KOL_OK;
}

static enum kol_status keep(struct manifest_reader *reader, struct str bytes, struct str *out,
                            struct kol_error *err)
{
    void *copy = NULL;
    enum kol_status status = take_memory(reader, bytes.len + 1, &copy, err);
    if (!status) {
        memcpy(copy, bytes.len ? bytes.ptr : "", bytes.len);
        ((char *)copy)[bytes.len] = '\0';
        *out = (struct str){copy, bytes.len};
    }
    return status;
}

/* Room for one more in an array that doubles. */
static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity ? 2 * *capacity : 16;
    return mem_realloc(array, *capacity * size);
}

static enum kol_status on_begin(void *user, int slot, struct kol_error *err)
{
    struct manifest_reader *reader = user;
    if (slot == SLOT_PAIR) {
        reader->have_slot = 0;
        return KOL_OK;
    }
    reader->entry = (struct ice_entry){
        .status = (enum ice_entry_status) - 1,
        .snapshot_id = -1,
        .sequence_number = -1,
        .file_sequence_number = -1,
        .file = {.rows = -1, .bytes = -1, .spec_id = reader->spec_id},
    };
    reader->content = 0;
    reader->has_format = reader->is_encrypted = false;
    reader->split_count = 0;
    for (int i = 0; i < MAPS; i++) {
        reader->runs[i].count = 0;
        reader->runs[i].ascending = true;
    }
    size_t count = reader->spec->count;
    void *partition = NULL;
    enum kol_status status = take_memory(reader, count * sizeof(struct ice_value), &partition, err);
    if (!status) {
        memset(partition, 0, count * sizeof(struct ice_value));
        reader->entry.file.partition = partition;
        reader->entry.file.partition_count = count;
    }
    return status;
}

static enum kol_status take_pair(struct manifest_reader *reader, int slot,
                                 const struct ice_avro_value *value, struct kol_error *err)
{
    if (slot == SLOT_KEY) {
        if (value->integer < 0 || value->integer > INT32_MAX) {
            return KOL_OK; /* the id of no column */
        }
        reader->item.field_id = (int32_t)value->integer;
    } else if (slot >= SLOT_LOWER) {
        enum kol_status status = keep(reader, value->bytes, &reader->item.bound, err);
        if (status) {
            return status;
        }
    } else {
        reader->item.count = value->integer;
    }
    int other = reader->have_slot;
    reader->have_slot = slot;
    if (other == 0 || (other == SLOT_KEY) == (slot == SLOT_KEY)) {
        return KOL_OK;
    }
    struct run *run = &reader->runs[(slot == SLOT_KEY ? other : slot) - SLOT_SIZE];
    if (run->count == ICE_MAX_COLUMNS) {
        return kol_fail(err, KOL_UNSUPPORTED, "statistics of more than %d columns",
                        ICE_MAX_COLUMNS);
    }
    run->items = grow(run->items, run->count, &run->capacity, sizeof *run->items);
    run->ascending = run->ascending && (run->count == 0 || run->items[run->count - 1].field_id <
                                                               reader->item.field_id);
    run->items[run->count++] = reader->item;
    return KOL_OK;
}

static enum kol_status take_partition(struct manifest_reader *reader, size_t i,
                                      const struct ice_avro_value *value, struct kol_error *err)
{
    struct ice_value *out = &reader->entry.file.partition[i];
    enum ice_type type = reader->types[i].type;
    out->known = true;
    if (type == ICE_BOOLEAN) {
        out->boolean = value->integer != 0;
        return KOL_OK;
    }
    if (type == ICE_FLOAT || type == ICE_DOUBLE) {
        out->real = value->real;
        return KOL_OK;
    }
    if (type < ICE_STRING && type != ICE_DECIMAL) {
        out->integer = value->integer;
        return KOL_OK;
    }
    if ((type == ICE_DECIMAL && (value->bytes.len == 0 || value->bytes.len > 16)) ||
        (type == ICE_STRING && !text_is_utf8(value->bytes))) {
        return kol_fail(err, KOL_CORRUPT, "a value of partition field \"%s\" is none of its type",
                        reader->spec->fields[i].name);
    }
    return keep(reader, value->bytes, &out->bytes, err);
}

static enum kol_status take_file(struct manifest_reader *reader, int slot,
                                 const struct ice_avro_value *value, struct kol_error *err)
{
    struct ice_data_file *file = &reader->entry.file;
    struct str path;
    switch (slot) {
    case SLOT_PATH:
        if (value->bytes.len == 0 || memchr(value->bytes.ptr, 0, value->bytes.len) ||
            !text_is_utf8(value->bytes)) {
            return kol_fail(err, KOL_CORRUPT, "a file_path in the manifest is no text");
        }
        enum kol_status status = keep(reader, value->bytes, &path, err);
        file->path = status ? NULL : path.ptr;
        return status;
    case SLOT_FORMAT:
        reader->has_format = true;
        reader->is_parquet = str_is_nocase(value->bytes, "parquet");
        break;
    case SLOT_CONTENT: reader->content = value->integer; break;
    case SLOT_ROWS: file->rows = value->integer; break;
    case SLOT_BYTES: file->bytes = value->integer; break;
    case SLOT_KEY_METADATA: reader->is_encrypted = true; break;
    case SLOT_SORT_ORDER: file->sort_order_id = (int32_t)value->integer; break;
    default:
        reader->splits =
            grow(reader->splits, reader->split_count, &reader->split_capacity, sizeof(int64_t));
        reader->splits[reader->split_count++] = value->integer;
        break;
    }
    return KOL_OK;
}

static enum kol_status on_take(void *user, int slot, const struct ice_avro_value *value,
                               struct kol_error *err)
{
    struct manifest_reader *reader = user;
    if (slot >= SLOT_PARTITION) {
        return take_partition(reader, (size_t)(slot - SLOT_PARTITION), value, err);
    }
    if (slot >= SLOT_KEY) {
        return take_pair(reader, slot, value, err);
    }
    switch (slot) {
    case SLOT_STATUS:
        if (value->integer < ICE_EXISTING || value->integer > ICE_DELETED) {
            return kol_fail(err, KOL_CORRUPT, "an entry of the manifest has the status %lld",
                            (long long)value->integer);
        }
        reader->entry.status = (enum ice_entry_status)value->integer;
        return KOL_OK;
    case SLOT_SNAPSHOT: reader->entry.snapshot_id = value->integer; return KOL_OK;
    case SLOT_SEQUENCE: reader->entry.sequence_number = value->integer; return KOL_OK;
    case SLOT_FILE_SEQUENCE: reader->entry.file_sequence_number = value->integer; return KOL_OK;
    default: return take_file(reader, slot, value, err);
    }
}

/* ---- the end of an entry ---- */

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return (x->field_id > y->field_id) - (x->field_id < y->field_id);
}

static void set_stat(struct ice_column_stats *stats, int map, const struct item *item)
{
    int64_t count = item->count < 0 ? -1 : item->count; /* a count below 0 is none */
    switch (map + SLOT_SIZE) {
    case SLOT_SIZE: stats->size = count; break;
    case SLOT_VALUES: stats->values = count; break;
    case SLOT_NULLS: stats->nulls = count; break;
    case SLOT_NANS: stats->nans = count; break;
    case SLOT_LOWER:
        stats->lower = item->bound;
        stats->has_bounds = true;
        break;
    default:
        stats->upper = item->bound;
        stats->has_bounds = true;
        break;
    }
}

/* The least field id at the head of a run from `at`, or -1 where all are used up. */
static int64_t least_id(const struct manifest_reader *reader, const size_t at[MAPS])
{
    int64_t least = -1;
    for (int map = 0; map < MAPS; map++) {
        const struct run *run = &reader->runs[map];
        if (at[map] < run->count && (least < 0 || run->items[at[map]].field_id < least)) {
            least = run->items[at[map]].field_id;
        }
    }
    return least;
}

/* The maps, each sorted by column, become one array by column. */
static enum kol_status merge_stats(struct manifest_reader *reader, struct kol_error *err)
{
    size_t most = 0, at[MAPS] = {0};
    for (int map = 0; map < MAPS; map++) {
        struct run *run = &reader->runs[map];
        if (!run->ascending) {
            qsort(run->items, run->count, sizeof *run->items, compare_items);
        }
        most += run->count;
    }
    /* Counted first: the maps are mostly of the same columns. */
    size_t columns = 0;
    struct ice_column_stats *stats = NULL;
    for (int round = 0; round < 2 && most; round++) {
        memset(at, 0, sizeof at);
        columns = 0;
        for (int64_t id = 0; (id = least_id(reader, at)) >= 0; columns++) {
            struct ice_column_stats *column = stats ? &stats[columns] : NULL;
            if (column) {
                *column = (struct ice_column_stats){
                    .field_id = (int32_t)id, .size = -1, .values = -1, .nulls = -1, .nans = -1};
            }
            for (int map = 0; map < MAPS; map++) {
                const struct run *run = &reader->runs[map];
                for (; at[map] < run->count && run->items[at[map]].field_id == id; at[map]++) {
                    if (column) {
                        set_stat(column, map, &run->items[at[map]]);
                    }
                }
            }
        }
        void *memory = NULL;
        enum kol_status status =
            round == 0 ? take_memory(reader, columns * sizeof *stats, &memory, err) : KOL_OK;
        if (status) {
            return status;
        }
        stats = round == 0 ? memory : stats;
    }
    reader->entry.file.columns = stats;
    reader->entry.file.column_count = columns;
    return KOL_OK;
}

/* What an entry leaves out, it has from its manifest. */
static void inherit(struct manifest_reader *reader)
{
    struct ice_entry *entry = &reader->entry;
    const struct ice_manifest *manifest = reader->manifest;
    bool added = entry->status == ICE_ADDED;
    if (entry->snapshot_id < 0 && manifest) {
        entry->snapshot_id = manifest->added_snapshot_id;
    }
    if (!reader->has_sequence) {
        entry->sequence_number = 0;
    } else if (entry->sequence_number < 0 && added && manifest) {
        entry->sequence_number = manifest->sequence_number;
    }
    if (entry->file_sequence_number < 0) {
        if (!reader->has_sequence) {
            entry->file_sequence_number = 0;
        } else if (!reader->has_file_sequence) {
            entry->file_sequence_number = entry->sequence_number;
        } else if (added && manifest) {
            entry->file_sequence_number = manifest->sequence_number;
        }
    }
}

/* KOL_END: a dead delete file, which is nobody's business any more. */
static enum kol_status check_entry(const struct manifest_reader *reader, struct kol_error *err)
{
    const struct ice_entry *entry = &reader->entry;
    const struct ice_data_file *file = &entry->file;
    bool live = entry->status != ICE_DELETED;
    if ((int)entry->status < 0 || !file->path || !reader->has_format || file->rows < 0 ||
        file->bytes < 0) {
        return kol_fail(err, KOL_CORRUPT,
                        "an entry of the manifest lacks its status, path, format, row count or "
                        "size");
    }
    if (reader->content != 0) {
        return live ? kol_fail(err, KOL_UNSUPPORTED,
                               "the delete file %s: tables with merge-on-read deletes cannot be "
                               "read; compact them with the engine that wrote them",
                               file->path)
                    : KOL_END;
    }
    if (live && !reader->is_parquet) {
        return kol_fail(err, KOL_UNSUPPORTED, "the data file %s, which is not Parquet", file->path);
    }
    return live && reader->is_encrypted
               ? kol_fail(err, KOL_UNSUPPORTED, "the encrypted data file %s", file->path)
               : KOL_OK;
}

static enum kol_status on_end(void *user, struct kol_error *err)
{
    struct manifest_reader *reader = user;
    enum kol_status status = check_entry(reader, err);
    if (status) {
        return status == KOL_END ? KOL_OK : status;
    }
    inherit(reader);
    status = merge_stats(reader, err);
    void *splits = NULL;
    size_t bytes = reader->split_count * sizeof(int64_t);
    status = status ? status : take_memory(reader, bytes, &splits, err);
    reader->used += sizeof *reader->entries;
    if (status) {
        return status;
    }
    if (bytes) {
        memcpy(splits, reader->splits, bytes);
    }
    reader->entry.file.split_offsets = splits;
    reader->entry.file.split_count = reader->split_count;
    reader->entries =
        grow(reader->entries, reader->count, &reader->capacity, sizeof *reader->entries);
    reader->entries[reader->count++] = reader->entry;
    return KOL_OK;
}

/* ---- the whole ---- */

struct header {
    struct ice_schema schema;
    struct ice_partition_spec spec;
};

/* The schema and spec in the file's own header, where the caller has none. */
static enum kol_status read_own(struct ice_avro_reader *file, struct arena *arena,
                                struct header *out, struct kol_error *err)
{
    json_t *schema = ice_avro_header_json(file, "schema", err);
    json_t *spec = schema ? ice_avro_header_json(file, "partition-spec", err) : NULL;
    enum kol_status status = KOL_CORRUPT;
    if (schema && spec) {
        status = ice_schema_read(schema, arena, &out->schema, err);
        status = status ? status : ice_spec_read(spec, arena, &out->spec, err);
    }
    int64_t id = 0;
    struct str text = ice_avro_header(file, "partition-spec-id");
    if (!status && text.len && (!str_to_int64(text, &id) || id < 0 || id > INT32_MAX)) {
        status = kol_fail(err, KOL_CORRUPT, "\"partition-spec-id\" in the manifest is no number");
    }
    out->spec.spec_id = (int32_t)id;
    json_decref(schema);
    json_decref(spec);
    return status;
}

static enum kol_status prepare(struct manifest_reader *reader, struct ice_avro_reader *file,
                               const struct ice_schema *schema,
                               const struct ice_partition_spec *spec, struct kol_error *err)
{
    struct header own = {0};
    struct arena *arena = reader->arena;
    if (!schema || !spec) {
        enum kol_status status = read_own(file, arena, &own, err);
        if (status) {
            return status;
        }
        schema = &own.schema;
        spec = memcpy(arena_alloc(arena, sizeof own.spec), &own.spec, sizeof own.spec);
    }
    if (str_is(ice_avro_header(file, "content"), "deletes") && !reader->manifest) {
        return kol_fail(err, KOL_UNSUPPORTED, "a manifest of delete files");
    }
    reader->spec = spec;
    reader->spec_id = reader->manifest ? reader->manifest->spec_id : spec->spec_id;
    reader->types = arena_alloc(arena, spec->count * sizeof *reader->types);
    reader->type_known = arena_alloc(arena, spec->count * sizeof *reader->type_known);
    for (size_t i = 0; i < spec->count; i++) {
        reader->type_known[i] = ice_partition_type(schema, &spec->fields[i], &reader->types[i]);
    }
    return bind_all(reader, ice_avro_root(file), err);
}

enum kol_status ice_manifest_read(struct str bytes, const struct ice_manifest *manifest,
                                  const struct ice_schema *schema,
                                  const struct ice_partition_spec *spec, struct arena *arena,
                                  struct ice_entry **out, size_t *count, struct kol_error *err)
{
    struct ice_avro_reader *file = NULL;
    struct manifest_reader reader = {.manifest = manifest, .arena = arena};
    const struct ice_avro_sink sink = {on_begin, on_take, on_end, &reader};
    enum kol_status status = ice_avro_open(bytes, &file, err);
    status = status ? status : prepare(&reader, file, schema, spec, err);
    status = status ? status : ice_avro_each(file, &sink, err);
    if (!status) {
        size_t size = reader.count * sizeof **out;
        *out = arena_alloc(arena, size);
        if (size) {
            memcpy(*out, reader.entries, size);
        }
        *count = reader.count;
    }
    for (int i = 0; i < MAPS; i++) {
        free(reader.runs[i].items);
    }
    free(reader.splits);
    free(reader.entries);
    ice_avro_close(&file);
    return status;
}
