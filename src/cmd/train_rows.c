/* train_rows.c: the rows that models are trained and compared on, out of the lake or a CSV file. */
#include "cmd/train_rows.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "lake/lake.h"

enum { MAX_FEATURES = 32 /* of any kind */, MAX_CSV_BYTES = 0x7fffffff };

/* What stands where in the table of a kind. */
static const struct rows_shape {
    const char *table;
    const char *account, *masked, *part; /* SQL of text, boolean, text or null */
    const char *label;
    const char *order;
    const char *const *features;
    size_t feature_count;
} shapes[SCORE_KINDS] = {
    [SCORE_TRUST] = {"gold.ml_trust_training", "platform || '/' || kol_id", "masked", "NULL",
                     "untrustworthy", "platform, kol_id, masked", trust_feature_names,
                     TRUST_FEATURES},
    [SCORE_SUCCESS] = {"gold.ml_success_training",
                       "platform || '/' || coalesce(product_id, event_id)", "false", "split",
                       "high", "platform, coalesce(product_id, event_id), kol_id, event_id",
                       success_feature_names, SUCCESS_FEATURES},
};

enum { ACCOUNT, MASKED, PART, LABEL, FEATURES }; /* columns of the SELECT */

_Static_assert((int)TRUST_FEATURES <= MAX_FEATURES && (int)SUCCESS_FEATURES <= MAX_FEATURES,
               "a row of features has room");

static void put_select(struct buf *sql, const struct rows_shape *shape, const char *from)
{
    buf_printf(sql,
               "SELECT CAST(%s AS VARCHAR), CAST(%s AS BOOLEAN), CAST(%s AS VARCHAR), "
               "CAST(%s AS DOUBLE)",
               shape->account, shape->masked, shape->part, shape->label);
    for (size_t i = 0; i < shape->feature_count; i++) {
        buf_puts(sql, ", CAST(");
        engine_quote_name(sql, str_of(shape->features[i]));
        buf_puts(sql, " AS DOUBLE)");
    }
    buf_printf(sql, " FROM %s ORDER BY %s", from, shape->order);
}

/* ---- rows ---- */

static enum kol_status part_of(const struct engine_result *result, size_t row, enum train_part *out,
                               struct kol_error *err)
{
    *out = TRAIN_PARTS;
    if (engine_null(result, PART, row)) {
        return KOL_OK;
    }
    struct str word = engine_text(result, PART, row);
    for (enum train_part part = 0; part < TRAIN_PARTS; part++) {
        if (str_is(word, train_part_name(part))) {
            *out = part;
            return KOL_OK;
        }
    }
    return kol_fail(err, KOL_INVALID, "split is '%.*s': train, validation or test is meant",
                    STR_FORMAT(word));
}

/* A label that is not exactly 0 or 1 is no label: rounded, it would teach what nobody said. */
static enum kol_status label_of(const struct engine_result *result, const struct rows_shape *shape,
                                size_t row, uint8_t *out, struct kol_error *err)
{
    if (engine_null(result, LABEL, row)) {
        return kol_fail(err, KOL_INVALID, "%s is unknown and must be 0 or 1", shape->label);
    }
    const double label = engine_real(result, LABEL, row);
    if (label != 0 && label != 1) {
        return kol_fail(err, KOL_INVALID, "%s is %.17g and must be 0 or 1", shape->label, label);
    }
    *out = label == 1;
    return KOL_OK;
}

/* One infinity would make the range of its feature endless, and every later account lie within. */
static enum kol_status features_of(const struct engine_result *result,
                                   const struct rows_shape *shape, size_t row, double *out,
                                   struct kol_error *err)
{
    for (size_t i = 0; i < shape->feature_count; i++) {
        bool known = !engine_null(result, FEATURES + i, row);
        out[i] = known ? engine_real(result, FEATURES + i, row) : NAN;
        if (isinf(out[i])) {
            return kol_fail(err, KOL_INVALID, "%s is infinite; leave unknown values empty",
                            shape->features[i]);
        }
    }
    return KOL_OK;
}

static enum kol_status add_row(struct train_set *set, const struct rows_shape *shape,
                               const struct engine_result *result, size_t row,
                               struct kol_error *err)
{
    double features[MAX_FEATURES];
    enum train_part part;
    uint8_t label = 0;
    struct str account = engine_text(result, ACCOUNT, row);
    if (engine_null(result, ACCOUNT, row)) {
        return kol_fail(err, KOL_INVALID, "a row has no account: %s is unknown", shape->account);
    }
    bool masked = !engine_null(result, MASKED, row) && engine_bool(result, MASKED, row);
    enum kol_status status = label_of(result, shape, row, &label, err);
    if (status == KOL_OK) {
        status = features_of(result, shape, row, features, err);
    }
    if (status == KOL_OK) {
        status = part_of(result, row, &part, err);
    }
    if (status != KOL_OK) {
        return kol_wrap(err, "row of account '%.*s'%s", STR_FORMAT(account),
                        masked ? " (masked)" : "");
    }
    train_set_add(set, account, masked, label, part, features);
    return KOL_OK;
}

static enum kol_status read_select(struct engine_session *session, const char *sql,
                                   struct train_set *set, struct kol_error *err)
{
    struct engine_result *result = NULL;
    size_t count = 0;
    enum kol_status status = engine_query(session, sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &count, err)) == KOL_OK && count) {
        for (size_t row = 0; row < count && status == KOL_OK; row++) {
            status = add_row(set, &shapes[set->kind], result, row, err);
        }
    }
    engine_result_free(&result);
    return status;
}

/* ---- a table of the lake ---- */

static enum kol_status read_pinned(struct lake *lake, const struct lake_pin *pin, const char *name,
                                   const char *quoted, struct train_set *set, struct kol_error *err)
{
    struct engine *engine = NULL;
    struct engine_session *session = NULL;
    struct buf sql = {0};
    put_select(&sql, &shapes[set->kind], quoted);
    enum kol_status status = lake_engine(lake, &engine, err);
    if (status == KOL_OK) {
        status = engine_session_open(engine, &session, err);
    }
    if (status == KOL_OK) {
        status = lake_view(session, pin, err);
    }
    if (status == KOL_OK) {
        status = read_select(session, sql.ptr, set, err);
    }
    buf_puts(&set->source, "{\"table\": ");
    text_put_json(&set->source, str_of(name));
    buf_printf(&set->source, ", \"snapshot_id\": %lld}", (long long)pin->snapshot_id);
    engine_session_close(&session);
    engine_close(&engine);
    buf_free(&sql);
    return status;
}

static enum kol_status read_table(const struct invocation *call, const char *name,
                                  const char *as_of, struct train_set *set, struct kol_error *err)
{
    struct lake *lake;
    struct lake_pin pin;
    enum kol_status status = command_open_lake(call, true, &lake, err);
    if (status != KOL_OK) {
        return status;
    }
    status = lake_pin_named(lake, name, as_of, &pin, err);
    if (status == KOL_OK) {
        struct buf quoted = {0};
        engine_quote_name(&quoted, str_of(pin.name_space));
        buf_putc(&quoted, '.');
        engine_quote_name(&quoted, str_of(pin.name));
        status = read_pinned(lake, &pin, name, quoted.ptr, set, err);
        buf_free(&quoted);
        lake_unpin(&pin);
    }
    lake_close(&lake);
    return status;
}

/* ---- a CSV file ---- */

/* The checksum says whether a later reading is of the same bytes. */
static enum kol_status put_file(struct buf *source, const char *path, struct kol_error *err)
{
    struct buf bytes = {0}, sum = {0};
    enum kol_status status = file_read(path, MAX_CSV_BYTES, &bytes, err);
    if (status == KOL_OK && !text_is_utf8(str_of(path))) {
        status = kol_fail(err, KOL_INVALID, "the name of the file is no UTF-8");
    }
    if (status == KOL_OK) {
        hash_put_hex128(&sum, buf_str(&bytes));
        buf_puts(source, "{\"file\": ");
        text_put_json(source, str_of(path));
        buf_printf(source, ", \"bytes\": %zu, \"xxh128\": \"%s\"}", bytes.len, sum.ptr);
    }
    buf_free(&sum);
    buf_free(&bytes);
    return status;
}

/*
 * The name as the engine takes it: one file, and the one that the checksum is of. There *, ? and [
 * stand for other files, and a class of the one character takes that away; in such a name a
 * backslash would do the same and is refused. ./ keeps names from being read as addresses.
 */
static enum kol_status put_name(struct buf *out, const char *path, struct kol_error *err)
{
    if (strpbrk(path, "*?[") && strchr(path, '\\')) {
        return kol_fail(err, KOL_INVALID,
                        "%s: a name with a backslash and one of * ? [ cannot be read: rename it",
                        path);
    }
    struct buf name = {0};
    buf_puts(&name, path[0] == '/' ? "" : "./");
    for (; *path; path++) {
        const bool special = strchr("*?[", *path);
        buf_puts(&name, special ? "[" : "");
        buf_putc(&name, *path);
        buf_puts(&name, special ? "]" : "");
    }
    engine_quote_text(out, buf_str(&name));
    buf_free(&name);
    return KOL_OK;
}

static enum kol_status read_csv(const struct invocation *call, const char *path,
                                struct train_set *set, struct kol_error *err)
{
    const struct engine_options options = {
        .memory_bytes = config_int(call->config, OPTION_LAKE_MEMORY),
        .threads = (int)config_int(call->config, OPTION_LAKE_THREADS)};
    struct engine *engine = NULL;
    struct engine_session *session = NULL;
    struct buf sql = {0}, from = {0};
    buf_puts(&from, "read_csv(");
    enum kol_status status = put_name(&from, path, err);
    buf_puts(&from,
             ", header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"', "
             "hive_partitioning = false, nullstr = ['', 'nan', 'NaN'])");
    put_select(&sql, &shapes[set->kind], from.ptr);
    if (status == KOL_OK) {
        status = put_file(&set->source, path, err);
    }
    if (status == KOL_OK) {
        status = engine_open(&options, &engine, err);
    }
    if (status == KOL_OK) {
        status = engine_session_open(engine, &session, err);
    }
    if (status == KOL_OK) {
        status = read_select(session, sql.ptr, set, err);
        if (status != KOL_OK) {
            kol_wrap(err, "%s", path);
        }
    }
    engine_session_close(&session);
    engine_close(&engine);
    buf_free(&from);
    buf_free(&sql);
    return status;
}

/* ---- both ---- */

enum kol_status train_rows_read(const struct invocation *call, enum score_kind kind,
                                const char *from, const char *as_of, struct train_set *out,
                                struct kol_error *err)
{
    from = from ? from : shapes[kind].table;
    size_t len = strlen(from);
    bool is_file = strchr(from, '/') || (len > 4 && strcmp(from + len - 4, ".csv") == 0);
    train_set_init(out, kind);
    enum kol_status status =
        is_file ? read_csv(call, from, out, err) : read_table(call, from, as_of, out, err);
    if (status == KOL_OK && !out->rows) {
        status = kol_fail(err, KOL_INVALID, "%s: has no rows to learn from", from);
    }
    if (status != KOL_OK) {
        train_set_free(out);
    }
    return status;
}

/* Looks at the checksum first: a file that has changed need not be readable. */
static enum kol_status read_same_file(const struct invocation *call, enum score_kind kind,
                                      const char *path, const json_t *source, struct train_set *out,
                                      struct kol_error *err)
{
    struct buf text = {0};
    enum kol_status status = put_file(&text, path, err);
    if (status == KOL_OK) {
        json_t *now = json_loadb(text.ptr, text.len, 0, NULL);
        if (!json_equal(json_object_get(source, "xxh128"), json_object_get(now, "xxh128"))) {
            status = kol_fail(err, KOL_INVALID,
                              "%s: has other rows than when the model was trained", path);
        }
        json_decref(now);
    }
    buf_free(&text);
    return status == KOL_OK ? train_rows_read(call, kind, path, NULL, out, err) : status;
}

enum kol_status train_rows_read_again(const struct invocation *call, enum score_kind kind,
                                      struct str source, struct train_set *out,
                                      struct kol_error *err)
{
    json_t *json = json_loadb(source.ptr ? source.ptr : "", source.len, 0, NULL);
    const char *file = json_string_value(json_object_get(json, "file"));
    const char *table = json_string_value(json_object_get(json, "table"));
    struct buf snapshot = {0};
    enum kol_status status;
    buf_put_int64(&snapshot, json_integer_value(json_object_get(json, "snapshot_id")));
    if (file) {
        status = read_same_file(call, kind, file, json, out, err);
    } else if (table) {
        status = train_rows_read(call, kind, table, snapshot.ptr, out, err);
    } else {
        status = kol_fail(err, KOL_NOT_FOUND, "the metadata names no rows");
    }
    buf_free(&snapshot);
    json_decref(json);
    return status;
}
