/* test_lake_tables.c: the declared tables are sound, and find their columns in an older table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "domain/event.h"
#include "lake/rules.h"
#include "lake/tables.h"
#include "score/features.h"

static bool has_column(const struct lake_table *table, struct str name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (str_is(name, table->columns[i].name)) {
            return true;
        }
    }
    return false;
}

static void check_columns(const struct lake_table *table, const char *names)
{
    struct str rest = str_of(names);
    while (rest.len) {
        struct str name = str_cut(&rest, ' ');
        if (!has_column(table, name)) {
            fail_msg("%s.%s has no column %.*s", table->name_space, table->name, STR_FORMAT(name));
        }
    }
}

static void test_keys_and_orders_name_columns_of_the_table(void **state)
{
    (void)state;
    size_t count;
    const struct lake_table *tables = lake_tables(&count);
    assert_true(count > 20);
    for (size_t i = 0; i < count; i++) {
        struct str partition = str_of(tables[i].partition);
        struct arena arena;
        struct ice_schema schema;
        struct ice_partition_spec spec;
        struct ice_sort_order order;
        check_columns(&tables[i], tables[i].keys);
        check_columns(&tables[i], tables[i].sort);
        assert_true(tables[i].doc && tables[i].doc[0]);
        arena_init(&arena, 0);
        lake_table_schema(&tables[i], &arena, &schema, &spec, &order);
        assert_int_equal(schema.count, tables[i].column_count);
        assert_int_equal(spec.count, partition.len ? 1 : 0);
        arena_free(&arena);
    }
}

static void test_no_name_stands_twice(void **state)
{
    (void)state;
    size_t count;
    const struct lake_table *tables = lake_tables(&count);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(lake_table_find(tables[i].name_space, tables[i].name), &tables[i]);
        for (size_t a = 0; a < tables[i].column_count; a++) {
            assert_true(tables[i].columns[a].doc && tables[i].columns[a].doc[0]);
            for (size_t b = 0; b < a; b++) {
                assert_string_not_equal(tables[i].columns[a].name, tables[i].columns[b].name);
            }
        }
    }
}

static void test_bronze_has_every_field_of_its_event_and_its_place_in_the_log(void **state)
{
    (void)state;
    static const struct {
        enum event_type type;
        const char *name;
    } bronze[] = {{EVENT_DISCOVERY, "discovery"},
                  {EVENT_PROFILE, "profiles"},
                  {EVENT_VIDEO, "videos"},
                  {EVENT_COMMENT, "comments"},
                  {EVENT_PRODUCT, "products"}};
    for (size_t i = 0; i < ARRAY_LEN(bronze); i++) {
        const struct lake_table *table = lake_table_of_topic((int)event_type_topic(bronze[i].type));
        struct field_table fields = event_fields(bronze[i].type);
        assert_non_null(table);
        assert_string_equal(table->name, bronze[i].name);
        for (size_t field = 0; field < fields.count; field++) {
            assert_true(has_column(table, str_of(fields.fields[field].name)));
        }
        check_columns(table, "ingest_time log_topic log_partition log_offset");
    }
}

static void test_columns_keep_the_ids_that_an_older_table_gave_them(void **state)
{
    (void)state;
    static const struct lake_column columns[] = {
        {.name = "added", .type = "long", .doc = "x"},
        {.name = "tags", .type = "list<string>", .doc = "x"},
        {.name = "renamed", .type = "string", .was = "old_name", .doc = "x"},
        {.name = "kept", .type = "string", .required = true, .unit = "m", .doc = "How far"},
    };
    const struct lake_table table = {.name_space = "test",
                                     .name = "t",
                                     .keys = "kept",
                                     .sort = "",
                                     .partition = "",
                                     .columns = columns,
                                     .column_count = ARRAY_LEN(columns)};
    struct ice_field element = {.id = 7, .name = "element", .type = ICE_STRING};
    struct ice_field fields[] = {
        {.id = 1, .name = "kept", .type = ICE_STRING, .required = true},
        {.id = 2, .name = "old_name", .type = ICE_STRING},
        {.id = 5, .name = "tags", .type = ICE_LIST, .children = &element, .child_count = 1},
    };
    struct ice_schema there = {.fields = fields, .count = ARRAY_LEN(fields)};
    const struct ice_metadata metadata = {
        .schemas = &there, .schema_count = 1, .last_column_id = 7};
    struct arena arena;
    struct ice_schema schema;
    arena_init(&arena, 0);
    lake_table_schema_for(&table, &metadata, &arena, &schema);
    assert_int_equal(schema.fields[0].id, 8);
    assert_int_equal(schema.fields[1].id, 5);
    assert_int_equal(schema.fields[1].children->id, 7);
    assert_int_equal(schema.fields[2].id, 2);
    assert_int_equal(schema.fields[3].id, 1);
    assert_string_equal(schema.fields[3].doc, "How far (m)");
    arena_free(&arena);
}

static void test_rules_name_columns_of_declared_tables(void **state)
{
    (void)state;
    size_t count;
    const struct lake_table *tables = lake_tables(&count);
    for (size_t i = 0; i < count; i++) {
        struct arena arena;
        struct lake_rule *rules;
        arena_init(&arena, 0);
        size_t rule_count = lake_rules(&tables[i], &arena, &rules);
        for (size_t rule = 0; rule < rule_count; rule++) {
            check_columns(&tables[i], rules[rule].columns);
            assert_true(rules[rule].doc && rules[rule].doc[0]);
            if (rules[rule].kind == RULE_RANGE) {
                assert_non_null(strstr(rules[rule].argument, ".."));
            }
        }
        arena_free(&arena);
    }
}

/* The features stand side by side, in the order of the model, in each table that has them. */
static void assert_features(const char *space, const char *name, const char *const *features,
                            size_t count)
{
    const struct lake_table *table = lake_table_find(space, name);
    size_t first = 0;
    assert_non_null(table);
    while (first < table->column_count && strcmp(table->columns[first].name, features[0]) != 0) {
        first++;
    }
    assert_true(first + count <= table->column_count);
    for (size_t i = 0; i < count; i++) {
        const struct lake_column *column = &table->columns[first + i];
        char begin[32];
        (void)snprintf(begin, sizeof begin, "Feature %zu of ", i);
        assert_string_equal(column->name, features[i]);
        assert_string_equal(column->type, "double");
        assert_false(column->required);
        assert_true(str_starts(str_of(column->doc), str_of(begin)));
    }
}

static void test_tables_of_features_have_them_in_the_order_of_the_model(void **state)
{
    (void)state;
    assert_features("silver", "kol_trust_features", trust_feature_names, TRUST_FEATURES);
    assert_features("gold", "ml_trust_training", trust_feature_names, TRUST_FEATURES);
    assert_features("gold", "ml_success_training", success_feature_names, SUCCESS_FEATURES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_orders_name_columns_of_the_table),
        cmocka_unit_test(test_no_name_stands_twice),
        cmocka_unit_test(test_bronze_has_every_field_of_its_event_and_its_place_in_the_log),
        cmocka_unit_test(test_columns_keep_the_ids_that_an_older_table_gave_them),
        cmocka_unit_test(test_rules_name_columns_of_declared_tables),
        cmocka_unit_test(test_tables_of_features_have_them_in_the_order_of_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
