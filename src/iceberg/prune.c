/*
 * prune.c: which files and manifests cannot hold a row that a filter wants.
 *
 * Everything here may only say "no" on proof. A bound that cannot be read, bounds that contradict
 * each other, a count that is unknown, a column that is not there, a type that the literal does not
 * fit: all of them mean "it may". Bounds of texts may be cut and raised; they still enclose every
 * value, which is all that is used.
 *
 * A row matches where SQL says so: a null satisfies no comparison, NaN is above every number and
 * equal to itself, -0.0 equals +0.0.
 */
#include <math.h>

#include "base/text.h"
#include "iceberg/manifest.h"
#include "iceberg/schema.h"

/* What is known of the values of a column, or of a partition field, that are no null and no NaN. */
struct range {
    bool has_lower, has_upper;
    struct ice_value lower, upper;
    bool may_be_nan;
};

static bool is_real(const struct ice_field *field)
{
    return field->type == ICE_FLOAT || field->type == ICE_DOUBLE;
}

static bool is_whole(const struct ice_field *field)
{
    return field->type == ICE_INT || field->type == ICE_LONG ||
           (field->type >= ICE_DATE && field->type <= ICE_TIMESTAMPTZ);
}

static bool is_comparison(enum ice_op op)
{
    return op <= ICE_GE;
}

/* The order of SQL: the zeros are equal. */
static int order(const struct ice_field *field, const struct ice_value *a,
                 const struct ice_value *b)
{
    if (is_real(field) && a->real == 0 && b->real == 0) {
        return 0;
    }
    return ice_value_compare(field, a, b);
}

/* The column, where it has one value a row: at the top, or in structs. */
static const struct ice_field *column_of(const struct ice_field *fields, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].id == id) {
            return fields[i].type < ICE_LIST ? &fields[i] : NULL;
        }
        const struct ice_field *inner =
            fields[i].type == ICE_STRUCT ? column_of(fields[i].children, fields[i].child_count, id)
                                         : NULL;
        if (inner) {
            return inner;
        }
    }
    return NULL;
}

/* Whether a value in the range can stand in `op` to `value`, which is no NaN. */
static bool range_may(const struct ice_field *field, const struct range *range, enum ice_op op,
                      const struct ice_value *value)
{
    int lower = range->has_lower ? order(field, value, &range->lower) : 1;
    int upper = range->has_upper ? order(field, value, &range->upper) : -1;
    bool both = range->has_lower && range->has_upper;
    if (both && order(field, &range->lower, &range->upper) > 0) {
        return true; /* they were made by another order than ours */
    }
    switch (op) {
    case ICE_EQ: return lower >= 0 && upper <= 0;
    case ICE_NE: return range->may_be_nan || !both || lower != 0 || upper != 0;
    case ICE_LT: return lower > 0;
    case ICE_LE: return lower >= 0;
    case ICE_GT: return range->may_be_nan || upper < 0;
    case ICE_GE: return range->may_be_nan || upper <= 0;
    default: return true;
    }
}

/* A literal for a FLOAT column may be compared as it is or as a float, by the engine's choice. */
static bool comparison_may(const struct ice_field *field, const struct range *range,
                           const struct ice_condition *condition)
{
    if (!condition->value.known || (is_real(field) && isnan(condition->value.real))) {
        return true;
    }
    if (range_may(field, range, condition->op, &condition->value)) {
        return true;
    }
    struct ice_value single = condition->value;
    if (field->type != ICE_FLOAT) {
        return false;
    }
    single.real = (float)single.real;
    return range_may(field, range, condition->op, &single);
}

/* ---- statistics of the column ---- */

static const struct ice_column_stats *stats_of(const struct ice_data_file *file, int32_t id)
{
    size_t low = 0, high = file->column_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->columns[middle].field_id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < file->column_count && file->columns[low].field_id == id ? &file->columns[low]
                                                                         : NULL;
}

static bool read_bound(const struct ice_field *field, struct str bytes, struct ice_value *out)
{
    return bytes.ptr && ice_value_read(bytes, field, out, NULL) == KOL_OK &&
           !(is_real(field) && isnan(out->real));
}

static bool stats_may(const struct ice_field *field, const struct ice_data_file *file,
                      const struct ice_condition *condition)
{
    const struct ice_column_stats *stats = stats_of(file, field->id);
    if (!stats) {
        return true; /* nothing is known, or the column came later and has a default */
    }
    bool all_null =
        stats->nulls > 0 && (stats->nulls == stats->values || stats->nulls == file->rows);
    if (condition->op == ICE_IS_NULL) {
        return stats->nulls != 0;
    }
    if (all_null) {
        return false;
    }
    if (condition->op == ICE_IS_NAN) {
        return stats->nans != 0;
    }
    if (!is_comparison(condition->op)) {
        return true;
    }
    struct range range = {.may_be_nan = is_real(field) && stats->nans != 0};
    if (stats->has_bounds) {
        range.has_lower = read_bound(field, stats->lower, &range.lower);
        range.has_upper = read_bound(field, stats->upper, &range.upper);
    }
    return comparison_may(field, &range, condition);
}

/* ---- partitions ---- */

/*
 * What a condition on the column says of a partition field: rows that satisfy it lie in partitions
 * whose value stands in `op` to `value`. False where it says nothing.
 *
 * The transforms but for bucket never run backwards: x < v gives T(x) <= T(v). For whole numbers
 * x < v is x <= v - 1, which spares the partition that v itself begins.
 */
static bool project(struct arena *arena, const struct ice_field *source,
                    const struct ice_partition_field *field, const struct ice_condition *condition,
                    struct ice_condition *out)
{
    *out = *condition;
    if (!condition->value.known || field->transform == ICE_VOID ||
        (is_real(source) && isnan(condition->value.real))) {
        return false;
    }
    if (field->transform == ICE_IDENTITY) {
        return true;
    }
    if (source->type == ICE_STRING && !text_is_utf8(condition->value.bytes)) {
        return false; /* cutting it is no order any more */
    }
    bool below = condition->op == ICE_LT, above = condition->op == ICE_GT;
    if (condition->op == ICE_NE || (field->transform == ICE_BUCKET && condition->op != ICE_EQ)) {
        return false;
    }
    struct ice_value value = condition->value;
    if (is_whole(source) && below && __builtin_sub_overflow(value.integer, 1, &value.integer)) {
        return false;
    }
    if (is_whole(source) && above && __builtin_add_overflow(value.integer, 1, &value.integer)) {
        return false;
    }
    out->op = below ? ICE_LE : above ? ICE_GE : condition->op;
    return ice_transform_apply(arena, source, field->transform, field->param, &value, &out->value,
                               NULL) == KOL_OK;
}

/* `range` of the field's values that are not null; `null` and `other`: whether there may be nulls,
 * and other values. */
static bool partition_may(struct arena *arena, const struct ice_field *source,
                          const struct ice_partition_field *field,
                          const struct ice_condition *condition, const struct range *range,
                          bool null, bool other)
{
    if (field->transform == ICE_VOID) {
        return true;
    }
    switch (condition->op) {
    case ICE_IS_NULL: /* a transform is null where its column is */ return null;
    case ICE_NOT_NULL: return other;
    case ICE_IS_NAN: return other && (field->transform != ICE_IDENTITY || range->may_be_nan);
    default: break;
    }
    struct ice_condition projected;
    struct ice_field type = ice_transform_result(source, field->transform);
    if (!other) {
        return false;
    }
    return !project(arena, source, field, condition, &projected) ||
           comparison_may(&type, range, &projected);
}

static bool partition_value_may(struct arena *arena, const struct ice_field *source,
                                const struct ice_partition_field *field,
                                const struct ice_value *value,
                                const struct ice_condition *condition)
{
    bool nan =
        value->known && field->transform == ICE_IDENTITY && is_real(source) && isnan(value->real);
    struct range range = {.may_be_nan = nan,
                          .has_lower = value->known && !nan,
                          .has_upper = value->known && !nan,
                          .lower = *value,
                          .upper = *value};
    return partition_may(arena, source, field, condition, &range, !value->known, value->known);
}

static bool summary_may(struct arena *arena, const struct ice_field *source,
                        const struct ice_partition_field *field,
                        const struct ice_field_summary *summary,
                        const struct ice_condition *condition)
{
    struct ice_field type = ice_transform_result(source, field->transform);
    struct range range = {.may_be_nan = is_real(&type) && summary->contains_nan};
    if (summary->has_bounds) {
        range.has_lower = read_bound(&type, summary->lower, &range.lower);
        range.has_upper = read_bound(&type, summary->upper, &range.upper);
    }
    return partition_may(arena, source, field, condition, &range, summary->contains_null, true);
}

/* ---- the whole ---- */

bool ice_file_may_match(const struct ice_schema *schema, const struct ice_partition_spec *spec,
                        const struct ice_data_file *file, const struct ice_condition *conditions,
                        size_t count)
{
    struct arena arena;
    arena_init(&arena, 1024);
    bool may = true;
    bool partitioned =
        spec && file->spec_id == spec->spec_id && file->partition_count == spec->count;
    for (size_t i = 0; may && i < count; i++) {
        const struct ice_field *column =
            column_of(schema->fields, schema->count, conditions[i].field_id);
        if (!column) {
            continue;
        }
        may = stats_may(column, file, &conditions[i]);
        for (size_t f = 0; may && partitioned && f < spec->count; f++) {
            if (spec->fields[f].source_id == column->id) {
                may = partition_value_may(&arena, column, &spec->fields[f], &file->partition[f],
                                          &conditions[i]);
            }
        }
    }
    arena_free(&arena);
    return may;
}

bool ice_manifest_may_match(const struct ice_schema *schema, const struct ice_partition_spec *spec,
                            const struct ice_manifest *manifest,
                            const struct ice_condition *conditions, size_t count)
{
    if (spec->spec_id != manifest->spec_id || manifest->partition_count != spec->count) {
        return true;
    }
    struct arena arena;
    arena_init(&arena, 1024);
    bool may = true;
    for (size_t i = 0; may && i < count; i++) {
        const struct ice_field *column =
            column_of(schema->fields, schema->count, conditions[i].field_id);
        for (size_t f = 0; may && column && f < spec->count; f++) {
            if (spec->fields[f].source_id == column->id) {
                may = summary_may(&arena, column, &spec->fields[f], &manifest->partitions[f],
                                  &conditions[i]);
            }
        }
    }
    arena_free(&arena);
    return may;
}
