/* test_ice_manifest.c: manifests and manifest lists: round trips, files of other writers, and files
 * that were made to do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "iceberg/avro_file.h"
#include "iceberg/manifest.h"

/* One column of every primitive type, partitioned by each of them as it is and by some transforms.
 */
static struct ice_field columns[] = {
    {.id = 1, .name = "flag", .type = ICE_BOOLEAN},
    {.id = 2, .name = "i", .type = ICE_INT},
    {.id = 3, .name = "l", .type = ICE_LONG, .required = true},
    {.id = 4, .name = "f", .type = ICE_FLOAT},
    {.id = 5, .name = "d", .type = ICE_DOUBLE},
    {.id = 6, .name = "dec", .type = ICE_DECIMAL, .precision = 20, .scale = 4},
    {.id = 7, .name = "date", .type = ICE_DATE},
    {.id = 8, .name = "time", .type = ICE_TIME},
    {.id = 9, .name = "ts", .type = ICE_TIMESTAMP},
    {.id = 10, .name = "tz", .type = ICE_TIMESTAMPTZ},
    {.id = 11, .name = "tên", .type = ICE_STRING},
    {.id = 12, .name = "uuid", .type = ICE_UUID},
    {.id = 13, .name = "fixed", .type = ICE_FIXED, .length = 5},
    {.id = 14, .name = "2bin", .type = ICE_BINARY},
    {.id = 15, .name = "dec2", .type = ICE_DECIMAL, .precision = 9, .scale = 2},
};
static struct ice_schema schema = {.schema_id = 3, .fields = columns, .count = ARRAY_LEN(columns)};

enum { FIELDS = ARRAY_LEN(columns) + 3 };
static struct ice_partition_field spec_fields[FIELDS];
static struct ice_partition_spec spec = {.spec_id = 2, .fields = spec_fields, .count = FIELDS};
static const struct ice_partition_spec no_spec = {.spec_id = 0};

static struct ice_value full[FIELDS], nulls[FIELDS];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        spec_fields[i] = (struct ice_partition_field){columns[i].id, 1000 + (int32_t)i,
                                                      columns[i].name, ICE_IDENTITY, 0};
    }
    size_t at = ARRAY_LEN(columns);
    spec_fields[at] = (struct ice_partition_field){10, 1100, "tz day", ICE_DAY, 0};
    spec_fields[at + 1] = (struct ice_partition_field){11, 1101, "name_bucket", ICE_BUCKET, 16};
    spec_fields[at + 2] = (struct ice_partition_field){11, 1102, "gone", ICE_VOID, 0};
    full[0] = (struct ice_value){.known = true, .boolean = true};
    full[1] = (struct ice_value){.known = true, .integer = INT32_MIN};
    full[2] = (struct ice_value){.known = true, .integer = INT64_MIN};
    full[3] = (struct ice_value){.known = true, .real = -1.5};
    full[4] = (struct ice_value){.known = true, .real = 1e300};
    full[5] = (struct ice_value){.known = true, .bytes = STR("\xfe\x01\x02")};
    full[6] = (struct ice_value){.known = true, .integer = -1};
    full[7] = (struct ice_value){.known = true, .integer = 86399999999};
    full[8] = (struct ice_value){.known = true, .integer = -1};
    full[9] = (struct ice_value){.known = true, .integer = INT64_MAX};
    full[10] = (struct ice_value){.known = true, .bytes = STR("Đặng Thị Ánh, dài hơn 16 chữ")};
    full[11] = (struct ice_value){.known = true, .bytes = STR("0123456789abcdef")};
    full[12] = (struct ice_value){.known = true, .bytes = {"\0\1\2\3\4", 5}};
    full[13] = (struct ice_value){.known = true, .bytes = {"\0\xff", 2}};
    full[14] = (struct ice_value){.known = true, .bytes = STR("\x7f")};
    full[15] = (struct ice_value){.known = true, .integer = 106751991};
    full[16] = (struct ice_value){.known = true, .integer = 15};
    return 0;
}

static struct ice_column_stats stats[] = {
    {.field_id = 1, .size = 10, .values = 3, .nulls = 0, .nans = -1, .has_bounds = true},
    {.field_id = 3, .size = -1, .values = 3, .nulls = -1, .nans = -1},
    {.field_id = 4, .size = 7, .values = 3, .nulls = 1, .nans = 2},
    {.field_id = 11, .size = 11, .values = 3, .nulls = 1, .nans = -1, .has_bounds = true},
};
static int64_t splits[] = {4, 1000, INT64_MAX};

static struct ice_entry entry_of(enum ice_entry_status status, struct ice_value *partition,
                                 size_t partition_count)
{
    stats[0].lower = (struct str){"\0", 1};
    stats[0].upper = STR("\1");
    stats[3].lower = STR("");
    stats[3].upper = STR("Đ");
    return (struct ice_entry){
        .status = status,
        .snapshot_id = 77,
        .sequence_number = -1,
        .file_sequence_number = -1,
        .file = {.path = "file:///lake/t/data/đ.parquet",
                 .rows = 3,
                 .bytes = 1000,
                 .spec_id = 2,
                 .partition = partition,
                 .partition_count = partition_count,
                 .columns = stats,
                 .column_count = ARRAY_LEN(stats),
                 .split_offsets = splits,
                 .split_count = ARRAY_LEN(splits),
                 .sort_order_id = 1},
    };
}

static void assert_same_file(const struct ice_data_file *a, const struct ice_data_file *b)
{
    assert_string_equal(a->path, b->path);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->spec_id, b->spec_id);
    assert_int_equal(a->sort_order_id, b->sort_order_id);
    assert_int_equal(a->split_count, b->split_count);
    for (size_t i = 0; i < a->split_count; i++) {
        assert_int_equal(a->split_offsets[i], b->split_offsets[i]);
    }
    assert_int_equal(a->column_count, b->column_count);
    for (size_t i = 0; i < a->column_count; i++) {
        const struct ice_column_stats *x = &a->columns[i], *y = &b->columns[i];
        assert_int_equal(x->field_id, y->field_id);
        assert_int_equal(x->size, y->size);
        assert_int_equal(x->values, y->values);
        assert_int_equal(x->nulls, y->nulls);
        assert_int_equal(x->nans, y->nans);
        assert_int_equal(x->has_bounds, y->has_bounds);
        assert_true(!x->has_bounds || str_equal(x->lower, y->lower));
        assert_true(!x->has_bounds || str_equal(x->upper, y->upper));
    }
}

static void assert_same_partition(const struct ice_data_file *a, const struct ice_data_file *b)
{
    assert_int_equal(a->partition_count, b->partition_count);
    for (size_t i = 0; i < a->partition_count; i++) {
        struct ice_field type;
        assert_true(ice_partition_type(&schema, &spec.fields[i], &type));
        assert_int_equal(a->partition[i].known, b->partition[i].known);
        if (a->partition[i].known) {
            assert_int_equal(ice_value_compare(&type, &a->partition[i], &b->partition[i]), 0);
        }
    }
}

/* ---- round trips ---- */

static void test_a_manifest_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct arena arena;
    struct buf out = {0};
    struct kol_error err;
    arena_init(&arena, 0);
    struct ice_entry entries[] = {
        entry_of(ICE_ADDED, full, FIELDS),
        entry_of(ICE_EXISTING, nulls, FIELDS),
        entry_of(ICE_DELETED, full, FIELDS),
    };
    entries[1].sequence_number = 5;
    entries[1].file_sequence_number = 4;
    entries[1].file.column_count = 0;
    entries[1].file.split_count = 0;
    entries[2].sequence_number = 3;
    entries[2].file_sequence_number = 3;
    entries[2].snapshot_id = -1;
    struct ice_manifest manifest = {.path = "m", .spec_id = 2, .added_snapshot_id = 99};
    assert_int_equal(ice_manifest_write(&schema, &spec, entries, 3, &arena, &manifest, &out, &err),
                     KOL_OK);
    assert_int_equal(manifest.length, out.len);
    assert_int_equal(manifest.sequence_number, -1);
    assert_int_equal(manifest.min_sequence_number, 5); /* the deleted one is older */
    assert_int_equal(manifest.added_files, 1);
    assert_int_equal(manifest.existing_files, 1);
    assert_int_equal(manifest.deleted_files, 1);
    assert_int_equal(manifest.added_rows, 3);
    assert_int_equal(manifest.existing_rows, 3);
    assert_int_equal(manifest.deleted_rows, 3);
    manifest.sequence_number = 9;
    for (int own = 0; own < 2; own++) { /* by the table's schema, and by that of the file */
        struct ice_entry *back;
        size_t count;
        assert_int_equal(ice_manifest_read(buf_str(&out), &manifest, own ? NULL : &schema,
                                           own ? NULL : &spec, &arena, &back, &count, &err),
                         KOL_OK);
        assert_int_equal(count, 3);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(back[i].status, entries[i].status);
            assert_same_file(&back[i].file, &entries[i].file);
            assert_same_partition(&back[i].file, &entries[i].file);
        }
        assert_int_equal(back[0].sequence_number, 9); /* inherited */
        assert_int_equal(back[0].file_sequence_number, 9);
        assert_int_equal(back[0].snapshot_id, 77);
        assert_int_equal(back[1].sequence_number, 5);
        assert_int_equal(back[1].file_sequence_number, 4);
        assert_int_equal(back[2].snapshot_id, 99); /* inherited */
    }
    buf_free(&out);
    arena_free(&arena);
}

static void test_many_entries_span_several_blocks(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct arena arena;
    struct buf out = {0};
    struct kol_error err;
    struct ice_entry *entries = mem_zalloc(MANY, sizeof *entries), *back;
    size_t count;
    arena_init(&arena, 0);
    for (size_t i = 0; i < MANY; i++) {
        char path[64];
        snprintf(path, sizeof path, "file:///lake/t/data/%zu.parquet", i);
        entries[i] = entry_of(ICE_ADDED, NULL, 0);
        entries[i].file.path = arena_copy(&arena, str_of(path)).ptr;
        entries[i].file.spec_id = 0;
    }
    struct ice_manifest manifest = {.path = "m"};
    assert_int_equal(
        ice_manifest_write(&schema, &no_spec, entries, MANY, &arena, &manifest, &out, &err),
        KOL_OK);
    assert_int_equal(
        ice_manifest_read(buf_str(&out), NULL, &schema, &no_spec, &arena, &back, &count, &err),
        KOL_OK);
    assert_int_equal(count, MANY);
    for (size_t i = 0; i < MANY; i += 997) {
        assert_same_file(&back[i].file, &entries[i].file);
        assert_int_equal(back[i].sequence_number, -1);
    }
    free(entries);
    buf_free(&out);
    arena_free(&arena);
}

static void test_partition_summaries_enclose_all_values(void **state)
{
    (void)state;
    struct arena arena;
    struct buf out = {0}, list = {0};
    struct kol_error err;
    arena_init(&arena, 0);
    struct ice_value low[FIELDS], nan[FIELDS];
    memcpy(low, full, sizeof low);
    memcpy(nan, full, sizeof nan);
    low[4].real = -3;
    low[10].bytes = STR("A");
    nan[4].real = NAN;
    struct ice_entry entries[] = {
        entry_of(ICE_ADDED, full, FIELDS), entry_of(ICE_ADDED, low, FIELDS),
        entry_of(ICE_ADDED, nan, FIELDS), entry_of(ICE_ADDED, nulls, FIELDS)};
    struct ice_manifest manifest = {.path = "file:///m.avro", .spec_id = 2, .added_snapshot_id = 8};
    struct ice_manifest *back;
    size_t count;
    assert_int_equal(ice_manifest_write(&schema, &spec, entries, 3, &arena, &manifest, &out, &err),
                     KOL_OK);
    assert_int_equal(ice_manifest_list_write(&manifest, 1, 8, -1, 12, &list, &err), KOL_OK);
    assert_int_equal(ice_manifest_list_read(buf_str(&list), &arena, &back, &count, &err), KOL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(back->path, "file:///m.avro");
    assert_int_equal(back->length, out.len);
    assert_int_equal(back->sequence_number, 12); /* not known before the commit */
    assert_int_equal(back->min_sequence_number, 12);
    assert_int_equal(back->added_snapshot_id, 8);
    assert_int_equal(back->added_files, 3);
    assert_int_equal(back->added_rows, 9);
    assert_int_equal(back->partition_count, FIELDS);
    const struct ice_field_summary *real = &back->partitions[4], *text = &back->partitions[10];
    struct ice_value value;
    assert_true(real->contains_nan && !real->contains_null && real->has_bounds);
    assert_int_equal(ice_value_read(real->lower, &columns[4], &value, &err), KOL_OK);
    assert_true(value.real == -3);
    assert_int_equal(ice_value_read(real->upper, &columns[4], &value, &err), KOL_OK);
    assert_true(value.real == 1e300);
    assert_true(str_is(text->lower, "A"));
    assert_true(str_equal(text->upper, full[10].bytes)); /* whole: a partition is not cut */
    assert_false(text->contains_nan);
    assert_true(back->partitions[FIELDS - 1].contains_null); /* void */
    assert_false(back->partitions[FIELDS - 1].has_bounds);
    buf_free(&out);
    buf_free(&list);
    arena_free(&arena);
}

static void test_an_empty_manifest_list_is_read(void **state)
{
    (void)state;
    struct arena arena;
    struct buf list = {0};
    struct kol_error err;
    struct ice_manifest *back;
    size_t count = 7;
    arena_init(&arena, 0);
    assert_int_equal(ice_manifest_list_write(NULL, 0, 8, 7, 12, &list, &err), KOL_OK);
    assert_int_equal(ice_manifest_list_read(buf_str(&list), &arena, &back, &count, &err), KOL_OK);
    assert_int_equal(count, 0);
    buf_free(&list);
    arena_free(&arena);
}

static void test_equal_entries_make_equal_bytes(void **state)
{
    (void)state;
    struct arena arena;
    struct buf a = {0}, b = {0};
    struct kol_error err;
    arena_init(&arena, 0);
    struct ice_entry entry = entry_of(ICE_ADDED, full, FIELDS);
    struct ice_manifest manifest = {.path = "m", .spec_id = 2};
    assert_int_equal(ice_manifest_write(&schema, &spec, &entry, 1, &arena, &manifest, &a, &err),
                     KOL_OK);
    assert_int_equal(ice_manifest_write(&schema, &spec, &entry, 1, &arena, &manifest, &b, &err),
                     KOL_OK);
    assert_true(str_equal(buf_str(&a), buf_str(&b)));
    buf_free(&a);
    buf_free(&b);
    arena_free(&arena);
}

static void test_a_void_field_outlives_its_column(void **state)
{
    (void)state;
    struct arena arena;
    struct buf out = {0};
    struct kol_error err;
    struct ice_entry *back;
    size_t count;
    arena_init(&arena, 0);
    struct ice_partition_field gone = {99, 1000, "gone", ICE_VOID, 0};
    struct ice_partition_spec voided = {.spec_id = 2, .fields = &gone, .count = 1};
    struct ice_entry entry = entry_of(ICE_ADDED, nulls, 1);
    struct ice_manifest manifest = {.path = "m", .spec_id = 2};
    assert_int_equal(ice_manifest_write(&schema, &voided, &entry, 1, &arena, &manifest, &out, &err),
                     KOL_OK);
    assert_int_equal(
        ice_manifest_read(buf_str(&out), &manifest, &schema, &voided, &arena, &back, &count, &err),
        KOL_OK);
    assert_int_equal(count, 1);
    assert_false(back[0].file.partition[0].known);
    buf_free(&out);
    arena_free(&arena);
}

static void test_what_does_not_fit_its_type_is_not_written(void **state)
{
    (void)state;
    struct arena arena;
    struct buf out = {0};
    struct kol_error err;
    arena_init(&arena, 0);
    struct ice_value wrong[FIELDS];
    static const struct {
        int field;
        struct ice_value value;
    } cases[] = {
        {1, {.known = true, .integer = (int64_t)INT32_MAX + 1}},
        {5, {.known = true, .bytes = {"\x01\0\0\0\0\0\0\0\0\0\0", 11}}}, /* over 20 digits */
        {11, {.known = true, .bytes = {"short", 5}}},
        {12, {.known = true, .bytes = {"longer", 6}}},
        {5, {.known = true, .bytes = {"", 0}}},
    };
    struct ice_manifest manifest = {.path = "m", .spec_id = 2};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memcpy(wrong, full, sizeof wrong);
        wrong[cases[i].field] = cases[i].value;
        struct ice_entry entry = entry_of(ICE_ADDED, wrong, FIELDS);
        assert_int_equal(
            ice_manifest_write(&schema, &spec, &entry, 1, &arena, &manifest, &out, &err),
            KOL_INVALID);
    }
    struct ice_entry entry = entry_of(ICE_ADDED, full, 1);
    assert_int_equal(ice_manifest_write(&schema, &spec, &entry, 1, &arena, &manifest, &out, &err),
                     KOL_INVALID);
    struct ice_schema lost = {.fields = columns, .count = 3};
    entry = entry_of(ICE_ADDED, full, FIELDS);
    assert_int_equal(ice_manifest_write(&lost, &spec, &entry, 1, &arena, &manifest, &out, &err),
                     KOL_UNSUPPORTED);
    assert_int_equal(out.len, 0);
    arena_free(&arena);
}

/* ---- files of other writers ---- */

/* A manifest with this schema and header whose records `fill` makes. */
static struct buf foreign(const char *avro, const char *content,
                          void (*fill)(avro_value_t *record, int i), int count)
{
    struct buf out = {0}, table = {0};
    struct ice_avro_writer *writer;
    struct kol_error err;
    ice_schema_write(&table, &schema);
    const struct ice_avro_pair pairs[] = {
        {"schema", buf_str(&table)},
        {"partition-spec", STR("[{\"source-id\":10,\"field-id\":1000,\"name\":\"d\","
                               "\"transform\":\"day\"}]")},
        {"partition-spec-id", STR("6")},
        {"content", str_of(content)},
    };
    if (ice_avro_create(str_of(avro), pairs, ARRAY_LEN(pairs), &out, &writer, &err)) {
        fail_msg("%s", err.message);
    }
    for (int i = 0; i < count; i++) {
        fill(ice_avro_record(writer), i);
        ice_avro_put(writer);
    }
    ice_avro_finish(&writer);
    buf_free(&table);
    return out;
}

static enum kol_status read_foreign(struct buf *file, struct arena *arena, struct ice_entry **out,
                                    size_t *count, struct kol_error *err)
{
    *err = (struct kol_error){0};
    enum kol_status status =
        ice_manifest_read(buf_str(file), NULL, NULL, NULL, arena, out, count, err);
    buf_free(file);
    return status;
}

/* As version 1 wrote them: no sequence numbers, no content, other names and places, a field more,
 * maps in no order. */
static const char version_1[] =
    "{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
    "{\"name\":\"file\",\"field-id\":2,\"type\":{\"type\":\"record\",\"name\":\"ns.r2\",\"fields\":"
    "["
    "{\"name\":\"block_size_in_bytes\",\"type\":\"long\",\"field-id\":105},"
    "{\"name\":\"counts\",\"field-id\":109,\"type\":[\"null\",{\"type\":\"array\",\"items\":"
    "{\"type\":\"record\",\"name\":\"pair\",\"fields\":["
    "{\"name\":\"v\",\"type\":\"long\",\"field-id\":120},"
    "{\"name\":\"k\",\"type\":\"int\",\"field-id\":119}]}}]},"
    "{\"name\":\"rows\",\"type\":\"long\",\"field-id\":103},"
    "{\"name\":\"p\",\"field-id\":102,\"type\":{\"type\":\"record\",\"name\":\"r102\",\"fields\":["
    "{\"name\":\"other\",\"type\":[\"null\",\"string\"],\"field-id\":999},"
    "{\"name\":\"d\",\"type\":[{\"type\":\"int\",\"logicalType\":\"date\"},\"null\"],"
    "\"field-id\":1000}]}},"
    "{\"name\":\"format\",\"type\":\"string\",\"field-id\":101},"
    "{\"name\":\"path\",\"type\":\"string\",\"field-id\":100},"
    "{\"name\":\"size\",\"type\":\"long\",\"field-id\":104}]}},"
    "{\"name\":\"snapshot\",\"type\":\"long\",\"field-id\":1},"
    "{\"name\":\"state\",\"type\":\"int\",\"field-id\":0}]}";

static void fill_version_1(avro_value_t *record, int i)
{
    avro_value_t file = ice_avro_get(record, "file");
    ice_avro_set_long(ice_avro_get(&file, "block_size_in_bytes"), 67108864);
    avro_value_t map = ice_avro_some(&file, "counts");
    for (int id = 5; id > 0; id--) {
        avro_value_t pair = ice_avro_append(&map);
        ice_avro_set_long(ice_avro_get(&pair, "k"), id);
        ice_avro_set_long(ice_avro_get(&pair, "v"), 100 * id);
    }
    ice_avro_set_long(ice_avro_get(&file, "rows"), 10 + i);
    avro_value_t partition = ice_avro_get(&file, "p"), day = ice_avro_get(&partition, "d");
    avro_value_t other = ice_avro_some(&partition, "other");
    ice_avro_set_text(other, STR("x"));
    avro_value_t branch;
    assert_int_equal(avro_value_set_branch(&day, i == 1, &branch), 0);
    assert_int_equal(i == 1 ? avro_value_set_null(&branch) : avro_value_set_int(&branch, 20000), 0);
    ice_avro_set_text(ice_avro_get(&file, "format"), STR("parquet"));
    ice_avro_set_text(ice_avro_get(&file, "path"), STR("/a"));
    ice_avro_set_long(ice_avro_get(&file, "size"), 1);
    ice_avro_set_long(ice_avro_get(record, "snapshot"), 5);
    ice_avro_set_long(ice_avro_get(record, "state"), 1);
}

static void test_columns_are_found_by_field_id_alone(void **state)
{
    (void)state;
    struct arena arena;
    struct ice_entry *back;
    size_t count;
    struct kol_error err;
    arena_init(&arena, 0);
    struct buf file = foreign(version_1, "data", fill_version_1, 2);
    assert_int_equal(read_foreign(&file, &arena, &back, &count, &err), KOL_OK);
    assert_int_equal(count, 2);
    assert_int_equal(back[1].file.rows, 11);
    assert_int_equal(back[0].file.spec_id, 6);
    assert_int_equal(back[0].snapshot_id, 5);
    assert_int_equal(back[0].sequence_number, 0); /* version 1 had none */
    assert_int_equal(back[0].file_sequence_number, 0);
    assert_int_equal(back[0].file.partition[0].integer, 20000);
    assert_false(back[1].file.partition[0].known);
    assert_int_equal(back[0].file.column_count, 5);
    for (int i = 0; i < 5; i++) { /* by ascending id */
        assert_int_equal(back[0].file.columns[i].field_id, i + 1);
        assert_int_equal(back[0].file.columns[i].values, 100 * (i + 1));
        assert_int_equal(back[0].file.columns[i].nulls, -1);
    }
    arena_free(&arena);
}

/* `version_1` with one text replaced. */
static const char *changed(const char *from, const char *to)
{
    static char out[4096];
    const char *at = strstr(version_1, from);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - version_1), version_1, to, at + strlen(from));
    return out;
}

static void fill_nothing(avro_value_t *record, int i)
{
    (void)record;
    (void)i;
}

static void test_a_schema_that_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        enum kol_status status;
        const char *says;
    } cases[] = {
        {"\"field-id\":100}", "\"field-id\":900}", KOL_CORRUPT, "file_path"},
        {"\"field-id\":2,", "", KOL_CORRUPT, "file_path"},
        {"\"name\":\"rows\",\"type\":\"long\"", "\"name\":\"rows\",\"type\":\"string\"",
         KOL_CORRUPT, "record_count"},
        {"\"name\":\"k\",\"type\":\"int\"", "\"name\":\"k\",\"type\":\"string\"", KOL_CORRUPT,
         "key"},
        {"{\"type\":\"int\",\"logicalType\":\"date\"}", "\"string\"", KOL_CORRUPT, "\"d\""},
        {"\"field-id\":1000", "\"field-id\":1001", KOL_CORRUPT, "\"d\" (1000)"},
        {"\"name\":\"size\",\"type\":\"long\"",
         "\"name\":\"size\",\"type\":{\"type\":\"array\",\"items\":\"null\"}", KOL_UNSUPPORTED,
         "without bytes"},
        {"\"name\":\"size\",\"type\":\"long\"", "\"name\":\"size\",\"type\":[\"null\",\"r102\"]",
         KOL_CORRUPT, "file_size_in_bytes"},
        {"\"name\":\"size\",\"type\":\"long\"", "\"name\":\"size\",\"type\":[\"null\",\"ns.r2\"]",
         KOL_UNSUPPORTED, "recursive"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ice_entry *back;
        size_t count;
        struct kol_error err;
        struct buf file = foreign(changed(cases[i].from, cases[i].to), "data", fill_nothing, 0);
        assert_int_equal(read_foreign(&file, &arena, &back, &count, &err), cases[i].status);
        if (!strstr(err.message, cases[i].says)) {
            fail_msg("%s: %s", cases[i].to, err.message);
        }
    }
    arena_free(&arena);
}

/* The same named type in two places: what is wanted of one is not taken from the other. */
static void fill_shared(avro_value_t *record, int i)
{
    fill_version_1(record, i);
    avro_value_t file = ice_avro_get(record, "file");
    avro_value_t lone = ice_avro_get(&file, "lone");
    ice_avro_set_long(ice_avro_get(&lone, "k"), 1);
    ice_avro_set_long(ice_avro_get(&lone, "v"), 424242);
}

static void test_a_type_used_twice_is_wanted_in_one_place_only(void **state)
{
    (void)state;
    struct arena arena;
    struct ice_entry *back;
    size_t count;
    struct kol_error err;
    arena_init(&arena, 0);
    struct buf file = foreign(changed("{\"name\":\"rows\"", "{\"name\":\"lone\",\"type\":\"pair\"},"
                                                            "{\"name\":\"rows\""),
                              "data", fill_shared, 1);
    assert_int_equal(read_foreign(&file, &arena, &back, &count, &err), KOL_OK);
    assert_int_equal(back[0].file.column_count, 5);
    assert_int_equal(back[0].file.columns[0].values, 100);
    arena_free(&arena);
}

static const char small[] =
    "{\"type\":\"record\",\"name\":\"e\",\"fields\":["
    "{\"name\":\"status\",\"type\":\"int\",\"field-id\":0},"
    "{\"name\":\"sequence\",\"type\":[\"null\",\"long\"],\"field-id\":3},"
    "{\"name\":\"f\",\"field-id\":2,\"type\":{\"type\":\"record\",\"name\":\"r2\",\"fields\":["
    "{\"name\":\"content\",\"type\":\"int\",\"field-id\":134},"
    "{\"name\":\"path\",\"type\":\"string\",\"field-id\":100},"
    "{\"name\":\"format\",\"type\":\"string\",\"field-id\":101},"
    "{\"name\":\"p\",\"field-id\":102,\"type\":{\"type\":\"record\",\"name\":\"r102\",\"fields\":["
    "{\"name\":\"d\",\"type\":[\"null\",\"int\"],\"field-id\":1000}]}},"
    "{\"name\":\"rows\",\"type\":\"long\",\"field-id\":103},"
    "{\"name\":\"size\",\"type\":\"long\",\"field-id\":104},"
    "{\"name\":\"key\",\"type\":[\"null\",\"bytes\"],\"field-id\":131}]}}]}";

static struct {
    int status, content;
    const char *path, *format;
    int64_t rows;
    bool key;
} next;

static void fill_small(avro_value_t *record, int i)
{
    (void)i;
    ice_avro_set_long(ice_avro_get(record, "status"), next.status);
    ice_avro_none(record, "sequence");
    avro_value_t file = ice_avro_get(record, "f");
    ice_avro_set_long(ice_avro_get(&file, "content"), next.content);
    ice_avro_set_text(ice_avro_get(&file, "path"), str_of(next.path));
    ice_avro_set_text(ice_avro_get(&file, "format"), str_of(next.format));
    avro_value_t partition = ice_avro_get(&file, "p");
    ice_avro_none(&partition, "d");
    ice_avro_set_long(ice_avro_get(&file, "rows"), next.rows);
    ice_avro_set_long(ice_avro_get(&file, "size"), 1);
    if (next.key) {
        ice_avro_set_bytes(ice_avro_some(&file, "key"), STR("k"));
    } else {
        ice_avro_none(&file, "key");
    }
}

static void test_what_cannot_be_read_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        int status, content;
        const char *path, *format;
        int64_t rows;
        bool key;
        enum kol_status expected;
        const char *says;
    } cases[] = {
        {1, 0, "/a", "PARQUET", 1, false, KOL_OK, NULL},
        {0, 1, "/deletes", "PARQUET", 1, false, KOL_UNSUPPORTED, "the delete file /deletes"},
        {1, 2, "/deletes", "PARQUET", 1, false, KOL_UNSUPPORTED, "the delete file /deletes"},
        {2, 1, "/deletes", "PARQUET", 1, false, KOL_OK, NULL},
        {1, 0, "/a.orc", "ORC", 1, false, KOL_UNSUPPORTED, "/a.orc"},
        {1, 1, "/dv", "PUFFIN", 1, false, KOL_UNSUPPORTED, "/dv"},
        {1, 0, "/secret", "PARQUET", 1, true, KOL_UNSUPPORTED, "encrypted data file /secret"},
        {3, 0, "/a", "PARQUET", 1, false, KOL_CORRUPT, "status 3"},
        {-1, 0, "/a", "PARQUET", 1, false, KOL_CORRUPT, "status -1"},
        {1, 0, "", "PARQUET", 1, false, KOL_CORRUPT, "file_path"},
        {1, 0, "/\xff", "PARQUET", 1, false, KOL_CORRUPT, "file_path"},
        {1, 0, "/a", "PARQUET", -1, false, KOL_CORRUPT, "row count"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ice_entry *back;
        size_t count;
        struct kol_error err;
        next.status = cases[i].status;
        next.content = cases[i].content;
        next.path = cases[i].path;
        next.format = cases[i].format;
        next.rows = cases[i].rows;
        next.key = cases[i].key;
        struct buf file = foreign(small, "data", fill_small, 1);
        assert_int_equal(read_foreign(&file, &arena, &back, &count, &err), cases[i].expected);
        if (cases[i].says) {
            assert_non_null(strstr(err.message, cases[i].says));
        } else { /* a dead delete file is nobody's business */
            assert_int_equal(count, cases[i].content == 0);
        }
    }
    struct ice_entry *back;
    size_t count;
    struct kol_error err;
    struct buf file = foreign(small, "deletes", fill_small, 0);
    assert_int_equal(read_foreign(&file, &arena, &back, &count, &err), KOL_UNSUPPORTED);
    arena_free(&arena);
}

/* Whatever one byte says, reading ends with an answer. */
static void test_a_file_with_one_wrong_byte_is_answered(void **state)
{
    (void)state;
    struct arena arena;
    struct buf out = {0};
    struct kol_error err;
    arena_init(&arena, 0);
    struct ice_entry entry = entry_of(ICE_ADDED, full, FIELDS), *back;
    struct ice_manifest manifest = {.path = "m", .spec_id = 2};
    size_t count;
    assert_int_equal(ice_manifest_write(&schema, &spec, &entry, 1, &arena, &manifest, &out, &err),
                     KOL_OK);
    for (size_t i = 0; i < out.len; i++) {
        char flip = (char)(1 << i % 8);
        out.ptr[i] ^= flip;
        err.message[0] = '\0';
        enum kol_status status = ice_manifest_read(buf_str(&out), &manifest, &schema, &spec, &arena,
                                                   &back, &count, &err);
        assert_true(status == KOL_OK ||
                    (err.message[0] && (status == KOL_CORRUPT || status == KOL_UNSUPPORTED)));
        out.ptr[i] ^= flip;
        arena_reset(&arena);
    }
    buf_free(&out);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_manifest_comes_back_as_it_was_written),
        cmocka_unit_test(test_many_entries_span_several_blocks),
        cmocka_unit_test(test_partition_summaries_enclose_all_values),
        cmocka_unit_test(test_an_empty_manifest_list_is_read),
        cmocka_unit_test(test_equal_entries_make_equal_bytes),
        cmocka_unit_test(test_a_void_field_outlives_its_column),
        cmocka_unit_test(test_what_does_not_fit_its_type_is_not_written),
        cmocka_unit_test(test_columns_are_found_by_field_id_alone),
        cmocka_unit_test(test_a_schema_that_cannot_be_meant_is_refused),
        cmocka_unit_test(test_a_type_used_twice_is_wanted_in_one_place_only),
        cmocka_unit_test(test_what_cannot_be_read_is_refused_by_name),
        cmocka_unit_test(test_a_file_with_one_wrong_byte_is_answered),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
