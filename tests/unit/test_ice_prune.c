/*
 * test_ice_prune.c: what statistics and partitions rule out: never a file that holds a matching row
 * (compared with the rows themselves, over many random files), and as much else as they can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "iceberg/manifest.h"

/* ---- random values ---- */

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t below(uint64_t limit)
{
    return (random_bits() >> 11) % limit;
}

static struct arena arena; /* of one round */

/* Few different letters, first and last ones of each length in UTF-8 among them, and prefixes of
 * just 15 to 17: bounds are cut at 16. */
static struct str random_text(void)
{
    static const char *const letters[] = {"a",
                                          "b",
                                          "\x7f",
                                          "Đ",
                                          "\xdf\xbf",
                                          "\xed\x9f\xbf",
                                          "\xee\x80\x80",
                                          "\xef\xbf\xbf",
                                          "\xf0\x90\x80\x80",
                                          "\xf4\x8f\xbf\xbf"};
    struct buf out = {0};
    uint64_t same = below(3) ? 0 : 14 + below(4), more = below(4);
    const char *letter = letters[below(2) ? 9 : below(ARRAY_LEN(letters))];
    for (uint64_t i = 0; i < same; i++) {
        buf_puts(&out, letter);
    }
    for (uint64_t i = 0; i < more; i++) {
        buf_puts(&out, letters[below(ARRAY_LEN(letters))]);
    }
    struct str copy = arena_copy(&arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static struct str random_bytes(size_t len)
{
    char *out = arena_alloc(&arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)(below(3) ? 0xFF : below(3));
    }
    return (struct str){out, len};
}

static int64_t random_integer(const struct ice_field *field)
{
    bool narrow = field->type == ICE_INT || field->type == ICE_DATE;
    switch (below(6)) {
    case 0: return narrow ? INT32_MIN : INT64_MIN;
    case 1: return narrow ? INT32_MAX : INT64_MAX;
    case 2: return (int64_t)below(7) - 3;
    case 3: return ((int64_t)below(7) - 3) * (narrow ? 365 : INT64_C(86400000000)) - (int)below(2);
    case 4: return ((int64_t)below(7) - 3) * (narrow ? 10 : INT64_C(3600000000));
    default: return (int64_t)below(2000) - 1000;
    }
}

static double random_real(void)
{
    static const double some[] = {0.0, -0.0, 0.1, -0.1, 1, -1, 1e300, -1e300, 3.4e38, 16777217};
    switch (below(8)) {
    case 0: return NAN;
    case 1: return -NAN;
    case 2: return below(2) ? INFINITY : -INFINITY;
    case 3: return (double)((int64_t)below(9) - 4) / 10;
    default: return some[below(ARRAY_LEN(some))];
    }
}

static struct ice_value random_value(const struct ice_field *field)
{
    struct ice_value value = {.known = below(8) != 0};
    if (!value.known) {
        return value;
    }
    switch (field->type) {
    case ICE_BOOLEAN: value.boolean = below(2); break;
    case ICE_FLOAT: value.real = (float)random_real(); break;
    case ICE_DOUBLE: value.real = random_real(); break;
    case ICE_STRING: value.bytes = random_text(); break;
    case ICE_DECIMAL: value.bytes = random_bytes(1 + below(4)); break;
    case ICE_UUID: value.bytes = random_bytes(16); break;
    case ICE_FIXED: value.bytes = random_bytes((size_t)field->length); break;
    case ICE_BINARY: value.bytes = random_bytes(below(20)); break;
    default: value.integer = random_integer(field); break;
    }
    return value;
}

/* ---- rows against files ---- */

static bool is_real(const struct ice_field *field)
{
    return field->type == ICE_FLOAT || field->type == ICE_DOUBLE;
}

static bool holds(int order, enum ice_op op)
{
    static const bool table[][3] = {
        [ICE_EQ] = {false, true, false}, [ICE_NE] = {true, false, true},
        [ICE_LT] = {true, false, false}, [ICE_LE] = {true, true, false},
        [ICE_GT] = {false, false, true}, [ICE_GE] = {false, true, true}};
    return table[op][(order > 0) - (order < 0) + 1];
}

/* As engines read it: NaN above all and equal to itself, or unequal to all and not to be compared;
 * a literal as it is, or rounded to the column's type. A row that any of them wants must be found.
 */
static bool real_matches(const struct ice_field *field, double row, enum ice_op op, double literal)
{
    for (int rounded = 0; rounded < (field->type == ICE_FLOAT ? 2 : 1); rounded++) {
        double value = rounded ? (double)(float)literal : literal;
        int order = isnan(row) || isnan(value) ? !!isnan(row) - !!isnan(value)
                                               : (row > value) - (row < value);
        if (holds(order, op) || (op == ICE_NE && (isnan(row) || isnan(value)))) {
            return true;
        }
    }
    return false;
}

static bool row_matches(const struct ice_field *field, const struct ice_value *row,
                        const struct ice_condition *condition)
{
    switch (condition->op) {
    case ICE_IS_NULL: return !row->known;
    case ICE_NOT_NULL: return row->known;
    case ICE_IS_NAN: return row->known && is_real(field) && isnan(row->real);
    default: break;
    }
    if (!row->known || !condition->value.known) {
        return false;
    }
    if (is_real(field)) {
        return real_matches(field, row->real, condition->op, condition->value.real);
    }
    return holds(ice_value_compare(field, row, &condition->value), condition->op);
}

enum { MAX_ROWS = 12, FILES = 3, ROUNDS = 30000 };

struct made_file {
    struct ice_value rows[MAX_ROWS];
    size_t count;
    struct ice_value partition;
    struct ice_column_stats stats;
    struct ice_data_file file;
};

static bool same_value(const struct ice_field *type, const struct ice_value *a,
                       const struct ice_value *b)
{
    return a->known == b->known && (!a->known || ice_value_compare(type, a, b) == 0);
}

/* Bounds by our own functions, or in the bytes of the narrower type that the column had before. */
static void make_stats(const struct ice_field *field, struct made_file *made)
{
    struct ice_column_stats *stats = &made->stats;
    const struct ice_value *least = NULL, *greatest = NULL;
    bool narrow = true;
    *stats =
        (struct ice_column_stats){.field_id = field->id, .size = 1, .values = (int64_t)made->count};
    for (size_t i = 0; i < made->count; i++) {
        const struct ice_value *row = &made->rows[i];
        if (!row->known) {
            stats->nulls++;
        } else if (is_real(field) && isnan(row->real)) {
            stats->nans++;
        } else {
            least = !least || ice_value_compare(field, row, least) < 0 ? row : least;
            greatest = !greatest || ice_value_compare(field, row, greatest) > 0 ? row : greatest;
            narrow = narrow && (field->type == ICE_DOUBLE
                                    ? (double)(float)row->real == row->real
                                    : row->integer >= INT32_MIN && row->integer <= INT32_MAX);
        }
    }
    struct ice_field before = *field;
    if (narrow && below(2)) {
        before.type = field->type == ICE_LONG     ? ICE_INT
                      : field->type == ICE_DOUBLE ? ICE_FLOAT
                                                  : field->type;
    }
    if (!is_real(field) || below(3) == 0) {
        stats->nans = -1;
    }
    if (below(6) == 0) {
        stats->nulls = -1;
    }
    if (below(6) == 0) {
        stats->values = -1;
    }
    if (least && below(8)) {
        bool lower = below(8) && ice_bound_lower(&arena, &before, least, &stats->lower);
        bool upper = below(8) && ice_bound_upper(&arena, &before, greatest, &stats->upper);
        stats->lower = lower ? stats->lower : (struct str){NULL, 0};
        stats->upper = upper ? stats->upper : (struct str){NULL, 0};
        stats->has_bounds = lower || upper;
    }
}

/* Random rows of one partition; false where the first one has no partition value. */
static bool make_file(const struct ice_field *field, const struct ice_partition_field *by,
                      struct made_file *made)
{
    struct ice_field type = ice_transform_result(field, by->transform);
    size_t tries = 1 + below(4 * MAX_ROWS);
    made->count = 0;
    for (size_t i = 0; i < tries && made->count < MAX_ROWS; i++) {
        struct ice_value row = below(4) || !made->count ? random_value(field) : made->rows[0];
        struct ice_value partition;
        if (ice_transform_apply(&arena, field, by->transform, by->param, &row, &partition, NULL)) {
            continue;
        }
        if (made->count == 0) {
            made->partition = partition;
        }
        if (same_value(&type, &partition, &made->partition)) {
            made->rows[made->count++] = row;
        }
    }
    make_stats(field, made);
    made->file = (struct ice_data_file){.path = "f",
                                        .rows = (int64_t)made->count,
                                        .partition = &made->partition,
                                        .partition_count = 1,
                                        .columns = &made->stats,
                                        .column_count = below(8) ? 1 : 0};
    return made->count > 0;
}

static struct ice_condition random_condition(const struct ice_field *field,
                                             const struct made_file *files)
{
    struct ice_condition condition = {.field_id = field->id,
                                      .op = (enum ice_op)below(ICE_IS_NAN + 1)};
    const struct made_file *file = &files[below(FILES)];
    condition.value = below(2) ? random_value(field) : file->rows[below(file->count)];
    if (field->type == ICE_FLOAT && condition.value.known && below(3) == 0) {
        condition.value.real = random_real(); /* with more digits than the column has */
    }
    return condition;
}

static bool any_row(const struct ice_field *field, const struct made_file *file,
                    const struct ice_condition *conditions, size_t count)
{
    for (size_t i = 0; i < file->count; i++) {
        bool all = true;
        for (size_t c = 0; c < count; c++) {
            all = all && row_matches(field, &file->rows[i], &conditions[c]);
        }
        if (all) {
            return true;
        }
    }
    return false;
}

static struct ice_field fields[] = {
    {.id = 1, .name = "boolean", .type = ICE_BOOLEAN},
    {.id = 2, .name = "int", .type = ICE_INT},
    {.id = 3, .name = "long", .type = ICE_LONG},
    {.id = 4, .name = "float", .type = ICE_FLOAT},
    {.id = 5, .name = "double", .type = ICE_DOUBLE},
    {.id = 6, .name = "decimal", .type = ICE_DECIMAL, .precision = 12, .scale = 2},
    {.id = 7, .name = "date", .type = ICE_DATE},
    {.id = 8, .name = "time", .type = ICE_TIME},
    {.id = 9, .name = "timestamp", .type = ICE_TIMESTAMP},
    {.id = 10, .name = "timestamptz", .type = ICE_TIMESTAMPTZ},
    {.id = 11, .name = "string", .type = ICE_STRING},
    {.id = 12, .name = "uuid", .type = ICE_UUID},
    {.id = 13, .name = "fixed", .type = ICE_FIXED, .length = 3},
    {.id = 14, .name = "binary", .type = ICE_BINARY},
};
static const struct ice_schema schema = {.fields = fields, .count = ARRAY_LEN(fields)};

static struct ice_partition_field random_partition(const struct ice_field *field)
{
    static const int32_t params[] = {1, 2, 3, 10, 16, 1000};
    return (struct ice_partition_field){.source_id = field->id,
                                        .field_id = 1000,
                                        .name = "p",
                                        .transform = (enum ice_transform)below(ICE_VOID + 1),
                                        .param = params[below(ARRAY_LEN(params))]};
}

static void print_miss(const struct ice_field *field, const struct ice_partition_field *by,
                       const struct ice_condition *conditions, size_t count)
{
    struct buf word = {0};
    ice_transform_write(&word, by->transform, by->param);
    print_message("type %s by %s, ops %d %d\n", field->name, word.ptr, conditions[0].op,
                  count > 1 ? (int)conditions[1].op : -1);
    buf_free(&word);
}

static void check_manifest(const struct ice_partition_spec *spec, struct made_file *files,
                           const struct ice_condition *conditions, size_t count, bool any)
{
    struct ice_entry entries[FILES];
    struct ice_manifest manifest = {.path = "m"};
    struct buf out = {0}, list = {0};
    struct kol_error err;
    struct ice_manifest *back;
    size_t back_count;
    for (size_t i = 0; i < FILES; i++) {
        entries[i] =
            (struct ice_entry){.status = ICE_ADDED, .snapshot_id = 1, .file = files[i].file};
    }
    assert_int_equal(
        ice_manifest_write(&schema, spec, entries, FILES, &arena, &manifest, &out, &err), KOL_OK);
    assert_int_equal(ice_manifest_list_write(&manifest, 1, 1, -1, 1, &list, &err), KOL_OK);
    assert_int_equal(ice_manifest_list_read(buf_str(&list), &arena, &back, &back_count, &err),
                     KOL_OK);
    assert_true(!any || ice_manifest_may_match(&schema, spec, back, conditions, count));
    buf_free(&out);
    buf_free(&list);
}

static void test_no_file_with_a_matching_row_is_ever_ruled_out(void **state)
{
    (void)state;
    static struct made_file files[FILES];
    size_t ruled_out = 0, without = 0;
    const char *rounds = getenv("KOL_TEST_ROUNDS");
    int wanted = rounds ? atoi(rounds) : ROUNDS;
    arena_init(&arena, 0);
    for (int round = 0; round < wanted; round++) {
        const struct ice_field *field = &fields[below(ARRAY_LEN(fields))];
        struct ice_partition_field by = random_partition(field);
        struct ice_partition_spec spec = {.fields = &by, .count = 1};
        bool made = true, any = false;
        arena_reset(&arena);
        for (size_t i = 0; made && i < FILES; i++) {
            made = make_file(field, &by, &files[i]);
        }
        if (!made) {
            continue;
        }
        struct ice_condition conditions[] = {random_condition(field, files),
                                             random_condition(field, files)};
        size_t count = 1 + below(2);
        for (size_t i = 0; i < FILES; i++) {
            bool matches = any_row(field, &files[i], conditions, count);
            bool may = ice_file_may_match(&schema, &spec, &files[i].file, conditions, count);
            if (matches && !may) {
                print_miss(field, &by, conditions, count);
            }
            assert_true(may || !matches);
            any = any || matches;
            without += !matches;
            ruled_out += !may;
        }
        if (round % 16 == 0) {
            check_manifest(&spec, files, conditions, count, any);
        }
    }
    arena_free(&arena);
    /* What is never ruled out would pass all of that. */
    assert_true(ruled_out > without / 2);
}

/* ---- what must be ruled out ---- */

static struct ice_value whole(int64_t number)
{
    return (struct ice_value){.known = true, .integer = number};
}

static struct ice_value text(const char *of)
{
    return (struct ice_value){.known = true, .bytes = str_of(of)};
}

static struct ice_value real(double number)
{
    return (struct ice_value){.known = true, .real = number};
}

static struct ice_column_stats bounded(const struct ice_field *field, struct ice_value lower,
                                       struct ice_value upper)
{
    struct ice_column_stats stats = {
        .field_id = field->id, .values = 10, .nans = -1, .has_bounds = true};
    assert_true(ice_bound_lower(&arena, field, &lower, &stats.lower));
    assert_true(ice_bound_upper(&arena, field, &upper, &stats.upper));
    return stats;
}

static bool may(struct ice_column_stats *stats, enum ice_op op, struct ice_value value)
{
    struct ice_data_file file = {.path = "f", .rows = 10, .columns = stats, .column_count = 1};
    struct ice_condition condition = {.field_id = stats->field_id, .op = op, .value = value};
    return ice_file_may_match(&schema, NULL, &file, &condition, 1);
}

static void test_bounds_rule_out_what_lies_beside_them(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    struct ice_column_stats longs = bounded(&fields[2], whole(10), whole(20));
    static const struct {
        enum ice_op op;
        int64_t value;
        bool may;
    } cases[] = {
        {ICE_EQ, 9, false},  {ICE_EQ, 10, true}, {ICE_EQ, 20, true},  {ICE_EQ, 21, false},
        {ICE_LT, 10, false}, {ICE_LT, 11, true}, {ICE_LE, 9, false},  {ICE_LE, 10, true},
        {ICE_GT, 20, false}, {ICE_GT, 19, true}, {ICE_GE, 21, false}, {ICE_GE, 20, true},
        {ICE_NE, 10, true},  {ICE_NE, 15, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(may(&longs, cases[i].op, whole(cases[i].value)), cases[i].may);
    }
    struct ice_column_stats one = bounded(&fields[2], whole(5), whole(5));
    assert_false(may(&one, ICE_NE, whole(5)));
    assert_true(may(&one, ICE_NE, whole(6)));
    struct ice_column_stats texts =
        bounded(&fields[10], text("Đặng Thị Ánh Nguyệt"), text("Đặng Thị Ánh Nguyệt"));
    assert_true(may(&texts, ICE_EQ, text("Đặng Thị Ánh Nguyệt")));
    assert_true(may(&texts, ICE_NE, text("Đặng Thị Ánh Ngu")));
    assert_false(may(&texts, ICE_EQ, text("Đặng Thị Ánh Nh")));
    assert_false(may(&texts, ICE_LT, text("Đặng Thị Ánh Ngu")));
    assert_false(may(&texts, ICE_GT, text("Đặng Thị Ánh Ngv")));
    arena_free(&arena);
}

static void test_counts_rule_out_nulls_and_nans(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    struct ice_column_stats doubles = bounded(&fields[4], real(-1), real(1));
    doubles.nans = 0;
    assert_false(may(&doubles, ICE_IS_NULL, (struct ice_value){0}));
    assert_false(may(&doubles, ICE_IS_NAN, (struct ice_value){0}));
    assert_false(may(&doubles, ICE_GT, real(1)));
    doubles.nans = -1; /* unknown: NaN is above 1 for some engines */
    assert_true(may(&doubles, ICE_GT, real(1)));
    assert_true(may(&doubles, ICE_IS_NAN, (struct ice_value){0}));
    assert_false(may(&doubles, ICE_LT, real(-1)));
    doubles.nulls = -1;
    assert_true(may(&doubles, ICE_IS_NULL, (struct ice_value){0}));
    struct ice_column_stats empty = {.field_id = 5, .values = 10, .nulls = 10, .nans = -1};
    assert_false(may(&empty, ICE_NOT_NULL, (struct ice_value){0}));
    assert_false(may(&empty, ICE_EQ, real(1)));
    assert_false(may(&empty, ICE_IS_NAN, (struct ice_value){0}));
    assert_true(may(&empty, ICE_IS_NULL, (struct ice_value){0}));
    arena_free(&arena);
}

/* SQL's zeros are equal, whichever of them a writer took for its bound or partition. */
static void test_zeros_of_either_sign_are_found_by_the_other(void **state)
{
    (void)state;
    static const double zeros[] = {0.0, -0.0};
    struct ice_partition_field by = {5, 1000, "r", ICE_IDENTITY, 0};
    struct ice_partition_spec spec = {.fields = &by, .count = 1};
    arena_init(&arena, 0);
    for (int i = 0; i < 4; i++) {
        struct ice_value held = real(zeros[i / 2]), wanted = real(zeros[i % 2]);
        struct buf form = {0};
        ice_value_write(&form, &fields[4], &held);
        struct ice_column_stats stats = {.field_id = 5,
                                         .values = 1,
                                         .has_bounds = true,
                                         .lower = buf_str(&form),
                                         .upper = buf_str(&form)};
        assert_true(may(&stats, ICE_EQ, wanted));
        assert_true(may(&stats, ICE_LE, wanted));
        assert_true(may(&stats, ICE_GE, wanted));
        assert_false(may(&stats, ICE_NE, wanted));
        struct ice_data_file file = {
            .path = "f", .rows = 1, .partition = &held, .partition_count = 1};
        struct ice_condition condition = {.field_id = 5, .op = ICE_EQ, .value = wanted};
        assert_true(ice_file_may_match(&schema, &spec, &file, &condition, 1));
        condition.op = ICE_LT;
        assert_false(ice_file_may_match(&schema, &spec, &file, &condition, 1));
        buf_free(&form);
    }
    arena_free(&arena);
}

static bool day_may(int64_t day, enum ice_op op, int64_t micros)
{
    struct ice_partition_field by = {10, 1000, "d", ICE_DAY, 0};
    struct ice_partition_spec spec = {.fields = &by, .count = 1};
    struct ice_value partition = whole(day);
    struct ice_data_file file = {
        .path = "f", .rows = 10, .partition = &partition, .partition_count = 1};
    struct ice_condition condition = {.field_id = 10, .op = op, .value = whole(micros)};
    return ice_file_may_match(&schema, &spec, &file, &condition, 1);
}

static void test_days_rule_out_by_the_column_they_are_made_of(void **state)
{
    (void)state;
    const int64_t day = INT64_C(86400000000);
    assert_true(day_may(3, ICE_EQ, 3 * day));
    assert_false(day_may(3, ICE_EQ, 4 * day));
    assert_false(day_may(3, ICE_LT, 3 * day)); /* the day begins there */
    assert_true(day_may(3, ICE_LE, 3 * day));
    assert_true(day_may(3, ICE_LT, 3 * day + 1));
    assert_false(day_may(3, ICE_GE, 4 * day));
    assert_false(day_may(3, ICE_GT, 4 * day - 1));
    assert_true(day_may(3, ICE_GE, 4 * day - 1));
    assert_true(day_may(3, ICE_NE, 3 * day));
    assert_true(day_may(-1, ICE_LT, 0));
    assert_false(day_may(-1, ICE_GE, 0));
    assert_false(day_may(-1, ICE_IS_NULL, 0));
}

static void test_buckets_rule_out_equality(void **state)
{
    (void)state;
    struct ice_partition_field by = {3, 1000, "b", ICE_BUCKET, 16};
    struct ice_partition_spec spec = {.spec_id = 4, .fields = &by, .count = 1};
    struct ice_value partition = whole(2017239379 % 16);
    struct ice_data_file file = {
        .path = "f", .rows = 1, .spec_id = 4, .partition = &partition, .partition_count = 1};
    struct ice_condition condition = {.field_id = 3, .op = ICE_EQ, .value = whole(34)};
    assert_true(ice_file_may_match(&schema, &spec, &file, &condition, 1));
    partition.integer++;
    assert_false(ice_file_may_match(&schema, &spec, &file, &condition, 1));
    condition.op = ICE_LE;
    assert_true(ice_file_may_match(&schema, &spec, &file, &condition, 1));
    condition.op = ICE_EQ;
    file.spec_id = 5; /* the partition of another spec says nothing */
    assert_true(ice_file_may_match(&schema, &spec, &file, &condition, 1));
}

static void test_what_is_unknown_rules_nothing_out(void **state)
{
    (void)state;
    struct ice_column_stats stats = {
        .field_id = 3, .size = -1, .values = -1, .nulls = -1, .nans = -1};
    for (int op = ICE_EQ; op <= ICE_IS_NAN; op++) {
        struct ice_data_file bare = {.path = "f", .rows = 1};
        struct ice_condition other = {.field_id = 99, .op = (enum ice_op)op, .value = whole(1)};
        assert_true(may(&stats, (enum ice_op)op, whole(1)));
        assert_true(ice_file_may_match(&schema, NULL, &bare, &other, 1));
        other.field_id = 3;
        assert_true(ice_file_may_match(&schema, NULL, &bare, &other, 1));
    }
    stats.has_bounds = true; /* of a length that no number has */
    stats.lower = STR("\x7f\x7f");
    stats.upper = STR("\1\1");
    assert_true(may(&stats, ICE_EQ, whole(1)));
    stats.lower = STR("\x7f\x7f\x7f\x7f"); /* in no order */
    stats.upper = STR("\1\1\1\1");
    assert_true(may(&stats, ICE_EQ, whole(1)));
    /* An element of a list is no value of a row. */
    struct ice_field element = {.id = 21, .name = "element", .type = ICE_LONG};
    struct ice_field list = {
        .id = 20, .name = "l", .type = ICE_LIST, .children = &element, .child_count = 1};
    struct ice_schema nested = {.fields = &list, .count = 1};
    arena_init(&arena, 0);
    struct ice_column_stats inner = bounded(&element, whole(1), whole(2));
    struct ice_data_file file = {.path = "f", .rows = 1, .columns = &inner, .column_count = 1};
    struct ice_condition condition = {.field_id = 21, .op = ICE_EQ, .value = whole(5)};
    assert_true(ice_file_may_match(&nested, NULL, &file, &condition, 1));
    list.type = ICE_STRUCT;
    assert_false(ice_file_may_match(&nested, NULL, &file, &condition, 1));
    arena_free(&arena);
}

static void test_manifests_are_ruled_out_by_their_summaries(void **state)
{
    (void)state;
    const int64_t day = INT64_C(86400000000);
    struct ice_partition_field by = {10, 1000, "d", ICE_DAY, 0};
    struct ice_partition_spec spec = {.fields = &by, .count = 1};
    struct ice_field_summary summary = {
        .has_bounds = true, .lower = {"\x05\0\0\0", 4}, .upper = {"\x07\0\0\0", 4}};
    struct ice_manifest manifest = {.path = "m", .partitions = &summary, .partition_count = 1};
    struct ice_condition condition = {.field_id = 10, .op = ICE_EQ, .value = whole(6 * day)};
    assert_true(ice_manifest_may_match(&schema, &spec, &manifest, &condition, 1));
    condition.value = whole(8 * day);
    assert_false(ice_manifest_may_match(&schema, &spec, &manifest, &condition, 1));
    condition.op = ICE_LT;
    condition.value = whole(5 * day);
    assert_false(ice_manifest_may_match(&schema, &spec, &manifest, &condition, 1));
    condition.op = ICE_IS_NULL;
    assert_false(ice_manifest_may_match(&schema, &spec, &manifest, &condition, 1));
    summary.contains_null = true;
    assert_true(ice_manifest_may_match(&schema, &spec, &manifest, &condition, 1));
    condition.op = ICE_LT;
    manifest.spec_id = 1;
    assert_true(ice_manifest_may_match(&schema, &spec, &manifest, &condition, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_with_a_matching_row_is_ever_ruled_out),
        cmocka_unit_test(test_bounds_rule_out_what_lies_beside_them),
        cmocka_unit_test(test_counts_rule_out_nulls_and_nans),
        cmocka_unit_test(test_zeros_of_either_sign_are_found_by_the_other),
        cmocka_unit_test(test_days_rule_out_by_the_column_they_are_made_of),
        cmocka_unit_test(test_buckets_rule_out_equality),
        cmocka_unit_test(test_what_is_unknown_rules_nothing_out),
        cmocka_unit_test(test_manifests_are_ruled_out_by_their_summaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
