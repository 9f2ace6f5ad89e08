/* test_ice_metadata.c: metadata JSON of this and other writers, and the rules of its updates. */
#include <zlib.h>

#include "ice_fixture.h"

/* As another writer leaves it, with members that this program does not know. */
static const char foreign[] =
    "{\"location\":\"file:///wh/x/\",\"table-uuid\":\"b33e9bd8-7921-4e70-94f7-cb1a0444e4f0\","
    "\"last-updated-ms\":1000,\"last-column-id\":4,\"schemas\":[{\"type\":\"struct\",\"fields\":["
    "{\"id\":1,\"name\":\"a\",\"type\":\"long\",\"required\":false},"
    "{\"id\":3,\"name\":\"l\",\"type\":{\"type\":\"list\",\"element-id\":4,\"element\":\"string\","
    "\"element-required\":false},\"required\":false}],\"schema-id\":0,"
    "\"identifier-field-ids\":[1]}],\"current-schema-id\":0,"
    "\"partition-specs\":[{\"spec-id\":0,\"fields\":[{\"source-id\":1,\"field-id\":1000,"
    "\"transform\":\"bucket[16]\",\"name\":\"a_bucket\"}]}],\"default-spec-id\":0,"
    "\"last-partition-id\":1000,\"properties\":{\"z\":\"\\u00e9\",\"b\":\"\"},"
    "\"current-snapshot-id\":22,\"snapshots\":["
    "{\"snapshot-id\":21,\"sequence-number\":1,\"timestamp-ms\":500,\"manifest-list\":\"file:///"
    "l1\","
    "\"summary\":{\"operation\":\"append\",\"total-records\":\"2\"},\"schema-id\":0,\"new\":[1]},"
    "{\"snapshot-id\":22,\"parent-snapshot-id\":21,\"sequence-number\":2,\"timestamp-ms\":900,"
    "\"manifest-list\":\"file:///l2\",\"summary\":{\"operation\":\"delete\"}}],"
    "\"snapshot-log\":[{\"snapshot-id\":21,\"timestamp-ms\":500},"
    "{\"snapshot-id\":22,\"timestamp-ms\":900}],"
    "\"metadata-log\":[{\"metadata-file\":\"file:///m1\",\"timestamp-ms\":500}],"
    "\"sort-orders\":[{\"order-id\":3,\"fields\":[{\"source-id\":1,\"transform\":\"identity\","
    "\"direction\":\"desc\",\"null-order\":\"nulls-last\"}]}],\"default-sort-order-id\":3,"
    "\"refs\":{\"main\":{\"snapshot-id\":22,\"type\":\"branch\",\"min-snapshots-to-keep\":4},"
    "\"old\":{\"snapshot-id\":21,\"type\":\"tag\",\"max-ref-age-ms\":9}},"
    "\"statistics\":[{\"snapshot-id\":21,\"statistics-path\":\"file:///s1\"},"
    "{\"snapshot-id\":22,\"statistics-path\":\"file:///s2\"}],\"partition-statistics\":[],"
    "\"format-version\":2,\"last-sequence-number\":2,\"something-new\":{\"x\":[null]}}";

static struct ice_metadata *read_text(const char *text)
{
    struct ice_metadata *m;
    MUST(ice_metadata_read(str_of(text), "file:///wh/x/metadata/00001-a.metadata.json", &m, &err));
    return m;
}

/* `foreign` with one piece replaced by another. */
static char *changed(const char *what, const char *by)
{
    const char *at = strstr(foreign, what);
    assert_non_null(at);
    struct buf text = {0};
    buf_append(&text, foreign, (size_t)(at - foreign));
    buf_puts(&text, by);
    buf_puts(&text, at + strlen(what));
    return text.ptr;
}

static void test_foreign_metadata_comes_through_whole(void **state)
{
    (void)state;
    struct ice_metadata *m = read_text(foreign), *again;
    struct buf once = {0}, twice = {0};
    assert_string_equal(m->location, "file:///wh/x");
    assert_int_equal(ice_current_schema(m)->identifiers[0], 1);
    assert_int_equal(ice_default_spec(m)->fields[0].transform, ICE_BUCKET);
    assert_int_equal(ice_default_spec(m)->fields[0].param, 16);
    assert_string_equal(ice_property(m, "z"), "\xc3\xa9");
    assert_string_equal(ice_property(m, "b"), "");
    assert_null(ice_property(m, "c"));
    assert_int_equal(m->default_order_id, 3);
    assert_int_equal(ice_current_snapshot(m)->parent_id, 21);
    assert_int_equal(ice_snapshot_at(m, 899)->id, 21);
    assert_string_equal(ice_summary(ice_snapshot_by_id(m, 21), "total-records"), "2");
    ice_metadata_write(&once, m);
    MUST(ice_metadata_read(buf_str(&once), m->metadata_location, &again, &err));
    ice_metadata_write(&twice, again);
    assert_string_equal(once.ptr, twice.ptr);
    static const char *const kept[] = {"\"identifier-field-ids\":[1]",  "file:///s1",
                                       "\"min-snapshots-to-keep\":4",   "\"max-ref-age-ms\":9",
                                       "\"null-order\":\"nulls-last\"", "bucket[16]"};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        assert_non_null(strstr(once.ptr, kept[i]));
    }
    ice_metadata_free(&m);
    ice_metadata_free(&again);
    buf_free(&once);
    buf_free(&twice);
}

static void test_version_1_is_read_as_what_it_means(void **state)
{
    (void)state;
    struct ice_metadata *m = read_text(
        "{\"format-version\":1,\"location\":\"/wh/x\",\"last-updated-ms\":1,\"last-column-id\":1,"
        "\"schema\":{\"type\":\"struct\",\"fields\":[{\"id\":1,\"name\":\"a\",\"type\":\"date\","
        "\"required\":true}]},\"partition-spec\":[{\"name\":\"a_day\",\"transform\":\"day\","
        "\"source-id\":1}],\"current-snapshot-id\":-1,\"snapshots\":[]}");
    assert_int_equal(ice_current_schema(m)->count, 1);
    assert_int_equal(ice_default_spec(m)->fields[0].field_id, 1000);
    assert_int_equal(m->last_partition_id, 1000);
    struct ice_metadata *next;
    struct ice_update upgrade = {.kind = ICE_UPGRADE_FORMAT, .number = 2};
    MUST(ice_update_apply(m, &upgrade, 1, 5, &next, &err));
    assert_int_equal(next->format_version, 2);
    assert_int_equal(strlen(next->table_uuid), 36);
    ice_metadata_free(&m);
    ice_metadata_free(&next);
}

static void test_what_breaks_the_format_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *what, *by, *message;
        enum kol_status status;
    } cases[] = {
        {"\"format-version\":2", "\"format-version\":3", "version 3", KOL_UNSUPPORTED},
        {"\"format-version\":2", "\"format-version\":\"2\"", "format-version", KOL_CORRUPT},
        {"\"format-version\":2", "\"format-version\":2,\"encryption-keys\":[{}]", "encrypted",
         KOL_UNSUPPORTED},
        {"\"sequence-number\":2", "\"sequence-number\":2,\"key-id\":\"k\"", "snapshots[1].key-id",
         KOL_UNSUPPORTED},
        {"\"current-schema-id\":0", "\"current-schema-id\":5", "current-schema-id", KOL_CORRUPT},
        {"\"default-spec-id\":0", "\"default-spec-id\":5", "default-spec-id", KOL_CORRUPT},
        {"\"default-sort-order-id\":3", "\"default-sort-order-id\":5", "default-sort-order-id",
         KOL_CORRUPT},
        {"\"current-snapshot-id\":22", "\"current-snapshot-id\":5", "current-snapshot-id",
         KOL_CORRUPT},
        {"\"snapshot-id\":21,\"type\"", "\"snapshot-id\":5,\"type\"", "old", KOL_CORRUPT},
        {"\"snapshot-id\":22,\"type\"", "\"snapshot-id\":21,\"type\"", "main", KOL_CORRUPT},
        {"\"snapshot-id\":21,\"seq", "\"snapshot-id\":22,\"seq", "same id", KOL_CORRUPT},
        {"\"timestamp-ms\":900,\"manifest", "\"manifest", "snapshots[1].timestamp-ms", KOL_CORRUPT},
        {"\"manifest-list\":\"file:///l2\"", "\"x\":1", "snapshots[1].manifest-list", KOL_CORRUPT},
        {"\"manifest-list\":\"file:///l2\"", "\"manifests\":[]", "version 1", KOL_UNSUPPORTED},
        {"\"total-records\":\"2\"", "\"total-records\":2", "snapshots[0].summary.total-records",
         KOL_CORRUPT},
        {"\"id\":3", "\"id\":1", "id 1", KOL_CORRUPT},
        {"\"long\"", "\"variant\"", "version 3", KOL_UNSUPPORTED},
        {"\"long\"", "\"longer\"", "longer", KOL_CORRUPT},
        {"\"direction\":\"desc\"", "\"direction\":\"down\"", "sort-orders[0].fields[0].direction",
         KOL_CORRUPT},
        {"\"bucket[16]\"", "\"bucket[0]\"", "partition-specs[0]", KOL_CORRUPT},
        {"\"table-uuid\"", "\"table\"", "table-uuid", KOL_CORRUPT},
        {"\"snapshots\":[", "\"snapshots\":[7,", "snapshots[0]", KOL_CORRUPT},
        {"{\"location\"", "[{\"location\"", "JSON", KOL_CORRUPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = changed(cases[i].what, cases[i].by);
        struct ice_metadata *m;
        enum kol_status status = ice_metadata_read(str_of(text), "file:///m", &m, &err);
        assert_null(m);
        if (status != cases[i].status || !strstr(err.message, cases[i].message)) {
            fail_msg("%s: %s: %s", cases[i].by, kol_status_text(status), err.message);
        }
        free(text);
    }
}

static void test_packed_metadata_is_inflated(void **state)
{
    struct lake_folder *lake = *state;
    char path[400], location[500];
    snprintf(path, sizeof path, "%s/wh/x/metadata", lake->path);
    MUST(file_make_dir(path, &err));
    snprintf(path, sizeof path, "%s/wh/x/metadata/00007-a.gz.metadata.json", lake->path);
    gzFile file = gzopen(path, "wb");
    assert_int_equal(gzwrite(file, foreign, sizeof foreign - 1), sizeof foreign - 1);
    gzclose(file);
    snprintf(location, sizeof location, "file://%s/wh/x", lake->path);
    MUST(ice_table_register(lake->catalog, ident, location, &err));
    struct ice_metadata *m = load_events(lake);
    assert_int_equal(m->current_snapshot_id, 22);
    ice_metadata_free(&m);
    MUST(file_replace(path, STR("no gzip at all"), &err));
    close_lake(lake);
    open_lake(lake);
    assert_int_equal(ice_table_load(lake->catalog, ident, &m, &err), KOL_CORRUPT);
}

/* ---- updates ---- */

static enum kol_status apply_one(const struct ice_metadata *m, struct ice_update update,
                                 struct ice_metadata **next)
{
    return ice_update_apply(m, &update, 1, 2000, next, &err);
}

static void test_removed_snapshots_take_their_traces_along(void **state)
{
    (void)state;
    struct ice_metadata *m = read_text(foreign), *next, *last;
    int64_t ids[] = {21};
    struct ice_update remove = {.kind = ICE_REMOVE_SNAPSHOTS, .numbers = ids, .count = 1};
    assert_int_equal(apply_one(m, remove, &next), KOL_INVALID); /* "old" names it */
    assert_null(next);
    MUST(apply_one(m, (struct ice_update){.kind = ICE_REMOVE_REF, .text = "old"}, &next));
    MUST(apply_one(next, remove, &last));
    assert_int_equal(last->snapshot_count, 1);
    assert_int_equal(last->snapshot_log_count, 1);
    assert_null(strstr(last->statistics, "s1"));
    assert_non_null(strstr(last->statistics, "s2"));
    assert_int_equal(last->last_updated_ms, 2000);
    ice_metadata_free(&m);
    ice_metadata_free(&next);
    ice_metadata_free(&last);
}

static void test_snapshots_must_be_new_and_refs_must_name_them(void **state)
{
    (void)state;
    struct ice_metadata *m = read_text(foreign), *next;
    struct ice_snapshot snapshot = {.id = 22, .sequence_number = 3, .manifest_list = "x"};
    struct ice_update add = {.kind = ICE_ADD_SNAPSHOT, .snapshot = &snapshot};
    assert_int_equal(apply_one(m, add, &next), KOL_INVALID);
    snapshot.id = 23;
    snapshot.sequence_number = 2;
    assert_int_equal(apply_one(m, add, &next), KOL_INVALID);
    struct ice_ref ref = {"main", 23, false, -1, -1, -1};
    struct ice_update move = {.kind = ICE_SET_REF, .ref = &ref};
    assert_int_equal(apply_one(m, move, &next), KOL_INVALID);
    ref.snapshot_id = 21; /* a rollback */
    MUST(apply_one(m, move, &next));
    assert_int_equal(next->current_snapshot_id, 21);
    assert_int_equal(next->snapshot_log_count, 3);
    assert_int_equal(next->snapshot_log[2].time_ms, 2000);
    ice_metadata_free(&next);
    assert_int_equal(
        apply_one(m, (struct ice_update){.kind = ICE_UPGRADE_FORMAT, .number = 3}, &next),
        KOL_UNSUPPORTED);
    assert_int_equal(apply_one(m, (struct ice_update){.kind = ICE_SET_SCHEMA, .number = 9}, &next),
                     KOL_INVALID);
    ice_metadata_free(&m);
}

static void test_specs_and_orders_are_numbered_and_found_again(void **state)
{
    (void)state;
    struct ice_metadata *m = read_text(foreign), *next, *last;
    struct ice_partition_field field = {1, 0, "a_trunc", ICE_TRUNCATE, 10};
    struct ice_partition_spec spec = {0, &field, 1};
    struct ice_sort_field by = {.source_id = 1};
    struct ice_sort_order order = {0, &by, 1};
    struct ice_update updates[] = {{.kind = ICE_ADD_SPEC, .spec = &spec},
                                   {.kind = ICE_SET_SPEC, .number = -1},
                                   {.kind = ICE_ADD_ORDER, .order = &order},
                                   {.kind = ICE_SET_ORDER, .number = -1}};
    MUST(ice_update_apply(m, updates, 4, 2000, &next, &err));
    assert_int_equal(next->default_spec_id, 1);
    assert_int_equal(ice_default_spec(next)->fields[0].field_id, 1001);
    assert_int_equal(next->default_order_id, 4);
    MUST(ice_update_apply(next, updates, 4, 2000, &last, &err));
    assert_int_equal(last->spec_count, 2);
    assert_int_equal(last->default_order_id, 4);
    ice_metadata_free(&m);
    ice_metadata_free(&next);
    ice_metadata_free(&last);
}

static void test_requirements_hold_or_conflict(void **state)
{
    (void)state;
    struct ice_metadata *m = read_text(foreign);
    const struct ice_requirement good[] = {
        {ICE_ASSERT_UUID, "b33e9bd8-7921-4e70-94f7-cb1a0444e4f0", 0},
        {ICE_ASSERT_REF_SNAPSHOT, "main", 22},
        {ICE_ASSERT_REF_SNAPSHOT, "nothing", -1},
        {ICE_ASSERT_SCHEMA_ID, NULL, 0},
        {ICE_ASSERT_LAST_COLUMN_ID, NULL, 4},
        {ICE_ASSERT_DEFAULT_SPEC_ID, NULL, 0},
        {ICE_ASSERT_VERSION, "file:///wh/x/metadata/00001-a.metadata.json", 0},
    };
    MUST(ice_require(m, good, ARRAY_LEN(good), &err));
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct ice_requirement bad = good[i];
        bad.number += 7;
        bad.text = bad.kind == ICE_ASSERT_REF_SNAPSHOT ? bad.text : "other";
        assert_int_equal(ice_require(m, &bad, 1, &err), KOL_CONFLICT);
    }
    ice_metadata_free(&m);
}

static void test_the_metadata_log_is_bounded_and_properties_stay_sorted(void **state)
{
    (void)state;
    struct ice_metadata *m = read_text(foreign), *next;
    for (int i = 0; i < 130; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i % 7);
        struct ice_pair pair = {key, "v"}, gone = {"b", NULL};
        struct ice_update updates[] = {{.kind = ICE_SET_PROPERTIES, .pairs = &pair, .count = 1},
                                       {.kind = ICE_REMOVE_PROPERTIES, .pairs = &gone, .count = 1}};
        MUST(ice_update_apply(m, updates, 2, 2000, &next, &err));
        ice_metadata_free(&m);
        m = next;
        m->metadata_location = arena_copy(&m->arena, str_of(key)).ptr;
    }
    assert_int_equal(m->metadata_log_count, 100);
    assert_int_equal(m->property_count, 8);
    for (size_t i = 1; i < m->property_count; i++) {
        assert_true(strcmp(m->properties[i - 1].key, m->properties[i].key) < 0);
    }
    ice_metadata_free(&m);
}

/* ---- storage ---- */

struct listed {
    int files;
    int64_t bytes;
};

static enum kol_status note(const char *location, int64_t bytes, int64_t modified_us, void *user,
                            struct kol_error *why)
{
    struct listed *listed = user;
    (void)why;
    assert_true(strncmp(location, "file://", 7) == 0);
    assert_true(modified_us > 0);
    listed->files++;
    listed->bytes += bytes;
    return KOL_OK;
}

static void test_objects_are_whole_or_not_there(void **state)
{
    struct lake_folder *lake = *state;
    struct storage *s = lake->storage;
    char location[400], other[400], plain[400];
    struct buf out = {0};
    snprintf(location, sizeof location, "file://%s/a/b/c.txt", lake->path);
    snprintf(other, sizeof other, "file://%s/a/bb.txt", lake->path);
    snprintf(plain, sizeof plain, "%s/made-here", lake->path);
    MUST(s->ops->put_if_absent(s, location, STR("hello"), &err));
    assert_int_equal(s->ops->put_if_absent(s, location, STR("again"), &err), KOL_EXISTS);
    MUST(s->ops->get_range(s, location, 1, 3, &out, &err));
    assert_string_equal(out.ptr, "ell");
    MUST(s->ops->get_range(s, location, 4, 100, &out, &err));
    MUST(s->ops->get_range(s, location, 9, -1, &out, &err));
    assert_string_equal(out.ptr, "ello");
    MUST(s->ops->put(s, location, STR("hi"), &err));
    MUST(file_replace(plain, STR("moved"), &err));
    MUST(s->ops->put_file(s, other, plain, &err));
    assert_false(file_exists(plain));
    MUST(file_replace(plain, STR("moved"), &err));
    assert_int_equal(s->ops->put_file(s, other, plain, &err), KOL_EXISTS);
    struct listed listed = {0};
    snprintf(plain, sizeof plain, "file://%s/a/b", lake->path);
    MUST(s->ops->list(s, plain, note, &listed, &err)); /* a prefix, no folder */
    assert_int_equal(listed.files, 2);
    assert_int_equal(listed.bytes, 7);
    snprintf(plain, sizeof plain, "file://%s/a/b/", lake->path);
    MUST(s->ops->list(s, plain, note, &listed, &err));
    assert_int_equal(listed.files, 3);
    MUST(s->ops->remove(s, location, &err));
    MUST(s->ops->remove(s, location, &err));
    assert_int_equal(s->ops->get_range(s, location, 0, -1, &out, &err), KOL_NOT_FOUND);
    assert_int_equal(s->ops->get_range(s, "s3://b/x", 0, -1, &out, &err), KOL_UNSUPPORTED);
    assert_int_equal(s->ops->get_range(s, lake->path, 0, -1, &out, &err), KOL_INVALID);
    buf_free(&out);
}

static void test_local_paths_are_told_from_other_locations(void **state)
{
    (void)state;
    assert_string_equal(storage_local_path("file:///a/b"), "/a/b");
    assert_string_equal(storage_local_path("file:/a/b"), "/a/b");
    assert_string_equal(storage_local_path("/a/b"), "/a/b");
    assert_null(storage_local_path("file://host/a"));
    assert_null(storage_local_path("s3://a/b"));
    assert_null(storage_local_path("a/b"));
    assert_null(storage_local_path(""));
}

int main(void)
{
#define WITH_LAKE(name) cmocka_unit_test_setup_teardown(name, lake_setup, lake_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign_metadata_comes_through_whole),
        cmocka_unit_test(test_version_1_is_read_as_what_it_means),
        cmocka_unit_test(test_what_breaks_the_format_is_named_with_its_place),
        WITH_LAKE(test_packed_metadata_is_inflated),
        cmocka_unit_test(test_removed_snapshots_take_their_traces_along),
        cmocka_unit_test(test_snapshots_must_be_new_and_refs_must_name_them),
        cmocka_unit_test(test_specs_and_orders_are_numbered_and_found_again),
        cmocka_unit_test(test_requirements_hold_or_conflict),
        cmocka_unit_test(test_the_metadata_log_is_bounded_and_properties_stay_sorted),
        WITH_LAKE(test_objects_are_whole_or_not_there),
        cmocka_unit_test(test_local_paths_are_told_from_other_locations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
