/* models_ledger.c: `kol models ledger --kol ID`: which version scored a KOL, when, and from what.
 */
#include "base/mem.h"
#include "cmd/models.h"
#include "lake/lake.h"

static const char *const columns[] = {"computed_at",   "platform",   "kol_id",
                                      "score",         "value",      "label",
                                      "model_version", "event_time", "source_offsets"};
enum { COMPUTED_AT, VALUE = 4, EVENT_TIME = 7, SOURCE_OFFSETS = 8 };

/* The names above are those of the table. */
static void put_query(struct buf *sql, const char *kol, int64_t limit)
{
    buf_puts(sql, "SELECT ");
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        buf_printf(sql, "%s%s", i ? ", " : "", columns[i]);
    }
    buf_puts(sql, " FROM lake.score_ledger");
    if (kol) {
        buf_puts(sql, " WHERE kol_id = ");
        engine_quote_text(sql, str_of(kol));
        buf_puts(sql, " OR platform || ':' || kol_id = ");
        engine_quote_text(sql, str_of(kol));
    }
    buf_puts(sql, " ORDER BY computed_at DESC, platform, kol_id, score");
    if (limit) {
        buf_printf(sql, " LIMIT %lld", (long long)limit);
    }
}

static void put_cell(struct rows *rows, const struct engine_result *result, size_t column,
                     size_t row)
{
    if (engine_null(result, column, row)) {
        rows_null(rows);
    } else if (column == COMPUTED_AT || column == EVENT_TIME) {
        rows_time(rows, engine_int(result, column, row));
    } else if (column == VALUE) {
        rows_real(rows, engine_real(result, column, row));
    } else if (column == SOURCE_OFFSETS) {
        rows_json(rows, engine_text(result, column, row));
    } else {
        rows_text(rows, engine_text(result, column, row));
    }
}

static enum kol_status print(const struct invocation *call, struct engine_session *session,
                             int64_t *found, struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t count = 0;
    put_query(&sql, flag_text(call, "kol"), flag_int(call, "limit"));
    enum kol_status status = engine_query(session, sql.ptr, &result, err);
    if (status == KOL_OK) {
        struct rows *rows = rows_begin(stdout, call->format, columns, ARRAY_LEN(columns));
        while ((status = engine_next(result, &count, err)) == KOL_OK && count) {
            for (size_t row = 0; row < count; row++) {
                for (size_t column = 0; column < ARRAY_LEN(columns); column++) {
                    put_cell(rows, result, column, row);
                }
            }
            *found += (int64_t)count;
        }
        status = rows_finish(&rows, status, err);
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

enum kol_status models_ledger(const struct invocation *call, struct kol_error *err)
{
    struct lake *lake;
    struct lake_reader reader;
    int64_t found = 0;
    if (call->arg_count > 1) {
        return kol_fail(err, KOL_USAGE, "give it as: kol models ledger [--kol ID]");
    }
    enum kol_status status = command_open_lake(call, true, &lake, err);
    if (status != KOL_OK) {
        return status;
    }
    status = lake_reader_open(lake, "lake", "score_ledger", &reader, err);
    if (status == KOL_OK) {
        status = print(call, reader.session, &found, err);
        lake_reader_close(&reader);
    } else if (status == KOL_NOT_FOUND) {
        status =
            kol_fail(err, KOL_NOT_FOUND, "nothing has been scored yet: `kol etl` scores all KOLs");
    }
    if (status == KOL_OK && !found && flag_given(call, "kol")) {
        status = kol_fail(err, KOL_NOT_FOUND, "%s: no score of such a KOL is in the ledger",
                          flag_text(call, "kol"));
    }
    lake_close(&lake);
    return status;
}
