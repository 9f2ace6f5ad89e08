/*
 * etl_days.c: which part of a table must be made anew.
 *
 * A table marked .incremental = "day" is partitioned by the day or month of a day, and its rows of
 * a day depend on the bronze rows of that day alone (tables.def says why for each). Bronze is
 * partitioned by day, so the periods that changed are those of the data files that came or went
 * since the last time. Where a file's day cannot be told from its partition, because somebody gave
 * the table another partition spec, the table is made whole.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/logger.h"
#include "base/mem.h"
#include "lake/etl_run.h"

enum { MAX_DAYS = 100000 }; /* more than the time since 2005 has */

/* True where the partition of every file is the day of event_time. */
static bool is_by_day(const struct ice_metadata *metadata, const struct ice_files *files)
{
    const struct ice_partition_spec *spec = ice_default_spec(metadata);
    const struct ice_field *column = ice_field_by_name(ice_current_schema(metadata), "event_time");
    bool by_day = spec->count == 1 && spec->fields[0].transform == ICE_DAY && column &&
                  spec->fields[0].source_id == column->id;
    for (size_t i = 0; i < files->count && by_day; i++) {
        by_day = files->files[i].spec_id == spec->spec_id && files->files[i].partition_count == 1 &&
                 files->files[i].partition[0].known;
    }
    return by_day;
}

/* The day or month of a file that is partitioned by day. */
static int32_t period_of(const struct etl_days *days, const struct ice_data_file *file)
{
    static const struct ice_field date = {.type = ICE_DATE};
    struct arena unused; /* nothing is made of a number but a number */
    struct ice_value period = file->partition[0];
    struct kol_error err;
    if (days->unit != ICE_DAY) {
        arena_init(&unused, 0);
        KOL_ASSERT(ice_transform_apply(&unused, &date, days->unit, 0, &file->partition[0], &period,
                                       &err) == KOL_OK);
        arena_free(&unused);
    }
    return (int32_t)period.integer;
}

static int by_day(const void *a, const void *b)
{
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

static void add_number(struct etl_days *days, int32_t number)
{
    if (days->count == days->cap) {
        days->cap = days->cap ? 2 * days->cap : 64;
        days->days = mem_realloc(days->days, days->cap * sizeof *days->days);
    }
    days->days[days->count++] = number;
}

static bool add_day(struct etl_days *days, const struct ice_data_file *file)
{
    if (days->count == MAX_DAYS) {
        return false;
    }
    add_number(days, period_of(days, file));
    return true;
}

static void make_unique(struct etl_days *days)
{
    size_t kept = 0;
    if (days->count) {
        qsort(days->days, days->count, sizeof *days->days, by_day);
    }
    for (size_t i = 0; i < days->count; i++) {
        if (!kept || days->days[kept - 1] != days->days[i]) {
            days->days[kept++] = days->days[i];
        }
    }
    days->count = kept;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(const struct ice_data_file *const *)a)->path,
                  (*(const struct ice_data_file *const *)b)->path);
}

static const struct ice_data_file **sorted_by_path(const struct ice_files *files)
{
    const struct ice_data_file **sorted = mem_alloc((files->count + 1) * sizeof *sorted);
    for (size_t i = 0; i < files->count; i++) {
        sorted[i] = &files->files[i];
    }
    if (files->count) {
        qsort(sorted, files->count, sizeof *sorted, by_path);
    }
    return sorted;
}

/* The days of all files that are in one of the two versions only. */
static bool add_difference(struct etl_days *days, const struct ice_files *before,
                           const struct ice_files *now)
{
    const struct ice_data_file **old = sorted_by_path(before), **new = sorted_by_path(now);
    size_t i = 0, j = 0;
    bool known = true;
    while (known && (i < before->count || j < now->count)) {
        int order = i == before->count ? 1
                    : j == now->count  ? -1
                                       : strcmp(old[i]->path, new[j]->path);
        if (order < 0) {
            known = add_day(days, old[i++]);
        } else if (order > 0) {
            known = add_day(days, new[j++]);
        } else {
            i++;
            j++;
        }
    }
    free(old);
    free(new);
    return known;
}

/* `known` is false where it cannot be told what changed: the old version is gone, or files without
 * a day are among its own or the present ones. */
static enum kol_status add_changes(struct etl_state *state, const struct lake_pin *pin,
                                   int64_t before_id, struct etl_days *days, bool *known,
                                   struct kol_error *err)
{
    struct ice_files before = {0};
    enum kol_status status = KOL_OK;
    *known = before_id == -1 || ice_snapshot_by_id(pin->metadata, before_id);
    if (*known && before_id != -1) {
        status = ice_scan(state->lake->catalog, pin->metadata, before_id, NULL, 0, &before, err);
    }
    if (status == KOL_OK && *known) {
        *known = is_by_day(pin->metadata, &before) && add_difference(days, &before, &pin->files);
        ice_files_free(&before);
    }
    return status;
}

static bool is_bronze(const char *name)
{
    return strncmp(name, "bronze.", 7) == 0;
}

enum kol_status etl_changed_days(struct etl_state *state, const struct graph_node *node,
                                 const char *before, const char *now, struct etl_days *days,
                                 bool *known, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    json_t *old = json_loads(before, 0, NULL), *new = json_loads(now, 0, NULL);
    json_t *old_tables = json_object_get(old, "tables");
    *known = json_equal(json_object_get(old, "text"), json_object_get(new, "text")) &&
             json_equal(json_object_get(old, "schemas"), json_object_get(new, "schemas"));
    for (size_t i = 0; i < node->input_count && status == KOL_OK && *known; i++) {
        struct lake_pin *pin;
        json_t *snapshot = json_object_get(old_tables, node->inputs[i]);
        status = etl_pin(state, node->inputs[i], &pin, err);
        if (status != KOL_OK) {
            break;
        }
        bool same = json_integer_value(snapshot) == etl_rows_of(pin);
        *known = json_is_integer(snapshot) &&
                 (is_bronze(node->inputs[i]) ? is_by_day(pin->metadata, &pin->files) : same);
        if (*known && !same) {
            status = add_changes(state, pin, json_integer_value(snapshot), days, known, err);
        }
    }
    make_unique(days);
    json_decref(old);
    json_decref(new);
    return status;
}

void etl_days_free(struct etl_days *days)
{
    free(days->days);
    *days = (struct etl_days){0};
}

/* ---- bronze, those days alone ---- */

static bool has_day(const struct etl_days *days, const struct ice_data_file *file)
{
    int32_t day = period_of(days, file);
    return days->count && bsearch(&day, days->days, days->count, sizeof day, by_day) != NULL;
}

enum kol_status etl_view_days(struct etl_state *state, const struct graph_node *node,
                              const struct etl_days *days, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < node->input_count && status == KOL_OK; i++) {
        struct lake_pin *pin;
        status = etl_pin(state, node->inputs[i], &pin, err);
        if (status != KOL_OK || !is_bronze(node->inputs[i])) {
            continue;
        }
        struct lake_pin part = *pin;
        part.files.files = mem_alloc((pin->files.count + 1) * sizeof *part.files.files);
        part.files.count = 0;
        for (size_t file = 0; file < pin->files.count; file++) {
            if (has_day(days, &pin->files.files[file])) {
                part.files.files[part.files.count++] = pin->files.files[file];
            }
        }
        status = etl_view(state, &part, err);
        free(part.files.files);
    }
    return status;
}

enum kol_status etl_view_all(struct etl_state *state, const struct graph_node *node,
                             struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < node->input_count && status == KOL_OK; i++) {
        struct lake_pin *pin;
        status = etl_pin(state, node->inputs[i], &pin, err);
        if (status == KOL_OK) {
            status = etl_view(state, pin, err);
        }
    }
    return status;
}

/* ---- how much there is ---- */

enum kol_status etl_count_rows(struct etl_state *state, const struct graph_node *node,
                               const struct etl_days *days, int64_t *rows, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    *rows = 0;
    for (size_t i = 0; i < node->input_count && status == KOL_OK; i++) {
        struct lake_pin *pin;
        int64_t count = 0;
        status = etl_pin(state, node->inputs[i], &pin, err);
        for (size_t file = 0; status == KOL_OK && file < pin->files.count; file++) {
            const struct ice_data_file *one = &pin->files.files[file];
            count += !days || !is_bronze(node->inputs[i]) || has_day(days, one) ? one->rows : 0;
        }
        *rows = count > *rows ? count : *rows;
    }
    return status;
}

/* What is wanted of one input: its days where `rows` is NULL, else how many rows each of them has.
 */
static bool add_wanted(const struct lake_pin *pin, const struct etl_days *wanted,
                       struct etl_days *days, int64_t *rows)
{
    bool known = is_by_day(pin->metadata, &pin->files);
    for (size_t i = 0; i < pin->files.count && known; i++) {
        const struct ice_data_file *file = &pin->files.files[i];
        if (wanted && !has_day(wanted, file)) {
            continue;
        }
        if (rows) {
            const int32_t day = period_of(days, file);
            const int32_t *found = bsearch(&day, days->days, days->count, sizeof day, by_day);
            rows[found - days->days] += file->rows;
        } else {
            known = add_day(days, file);
        }
    }
    return known;
}

static enum kol_status each_wanted(struct etl_state *state, const struct graph_node *node,
                                   const struct etl_days *wanted, struct etl_days *days,
                                   int64_t *rows, bool *known, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < node->input_count && status == KOL_OK && *known; i++) {
        struct lake_pin *pin;
        status = etl_pin(state, node->inputs[i], &pin, err);
        if (status == KOL_OK) {
            *known = is_bronze(node->inputs[i]) && add_wanted(pin, wanted, days, rows);
        }
    }
    return status;
}

static size_t cut(const struct etl_days *days, const int64_t *rows, int64_t most,
                  struct etl_stretch *out)
{
    size_t count = 0;
    for (size_t i = 0; i < days->count; i++) {
        if (!count || out[count - 1].rows + rows[i] > most) {
            out[count++] = (struct etl_stretch){.days = {.unit = ICE_DAY}};
        }
        struct etl_stretch *last = &out[count - 1];
        add_number(&last->days, days->days[i]);
        last->rows += rows[i];
    }
    return count;
}

enum kol_status etl_cut_days(struct etl_state *state, const struct graph_node *node,
                             const struct etl_days *wanted, int64_t most, struct etl_stretch **out,
                             size_t *count, struct kol_error *err)
{
    struct etl_days days = {.unit = ICE_DAY};
    int64_t *rows = NULL;
    bool known = true;
    *out = NULL;
    *count = 0;
    enum kol_status status = each_wanted(state, node, wanted, &days, NULL, &known, err);
    make_unique(&days);
    if (status == KOL_OK && known && days.count) {
        rows = mem_zalloc(days.count, sizeof *rows);
        status = each_wanted(state, node, wanted, &days, rows, &known, err);
    }
    if (status == KOL_OK && known && days.count) {
        *out = mem_zalloc(days.count, sizeof **out);
        *count = cut(&days, rows, most, *out);
    }
    free(rows);
    etl_days_free(&days);
    return status;
}

void etl_stretches_free(struct etl_stretch *stretches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        etl_days_free(&stretches[i].days);
    }
    free(stretches);
}

/* ---- what must not expire ---- */

static bool is_tagged(const struct ice_metadata *metadata, int64_t snapshot_id)
{
    for (size_t i = 0; i < metadata->ref_count; i++) {
        if (strcmp(metadata->refs[i].name, ETL_TAG) == 0) {
            return metadata->refs[i].snapshot_id == snapshot_id;
        }
    }
    return false;
}

static enum kol_status tag(struct etl_state *state, const struct lake_pin *pin,
                           struct kol_error *err)
{
    const struct ice_ref ref = {.name = ETL_TAG,
                                .snapshot_id = pin->snapshot_id,
                                .is_tag = true,
                                .max_ref_age_ms = -1,
                                .max_snapshot_age_ms = -1,
                                .min_snapshots = -1};
    const struct ice_update update = {.kind = ICE_SET_REF, .ref = &ref};
    struct catalog *catalog = state->lake->catalog;
    struct ice_ident ident = {pin->name_space, pin->name};
    enum kol_status status = KOL_CONFLICT;
    for (int attempt = 0; attempt < 50 && status == KOL_CONFLICT; attempt++) {
        status = catalog->ops->commit(catalog, ident, NULL, 0, &update, 1, NULL, err);
    }
    return status;
}

void etl_tag_inputs(struct etl_state *state)
{
    for (size_t i = 0; i < state->graph.count; i++) {
        const struct graph_node *node = &state->graph.nodes[i];
        for (size_t input = 0; input < node->input_count && node->table->incremental[0]; input++) {
            struct lake_pin *pin;
            struct kol_error err;
            enum kol_status status = etl_pin(state, node->inputs[input], &pin, &err);
            if (status == KOL_OK && is_bronze(node->inputs[input]) && pin->snapshot_id != -1 &&
                !is_tagged(pin->metadata, pin->snapshot_id)) {
                status = tag(state, pin, &err);
            }
            if (status != KOL_OK) {
                log_warn("%s: the version that this run read is not marked: %s",
                         node->inputs[input], err.message);
            }
        }
    }
}
