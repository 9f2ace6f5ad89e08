/*
 * ingest_stage.c: events become typed rows in a temporary table of the engine.
 *
 * The columns of a bronze table are the fields of its event type in their order, then four of the
 * log (tables.c makes them so), so that a field's number is its column's.
 */
#include <string.h>

#include "base/mem.h"
#include "lake/ingest_parts.h"

/* Behind the fields. */
enum { LOG_INGEST_TIME, LOG_TOPIC, LOG_PARTITION, LOG_OFFSET, LOG_COLUMNS };

static enum kol_status make_table(struct ingest_stage *stage, struct kol_error *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "CREATE OR REPLACE TEMPORARY TABLE " INGEST_STAGE_TABLE " (");
    for (size_t i = 0; i < stage->schema.count; i++) {
        buf_puts(&sql, i ? ", " : "");
        engine_quote_name(&sql, str_of(stage->schema.fields[i].name));
        buf_putc(&sql, ' ');
        engine_type_name(&stage->schema.fields[i], &sql);
    }
    buf_putc(&sql, ')');
    enum kol_status status = engine_exec(stage->session, sql.ptr, err);
    buf_free(&sql);
    if (status == KOL_OK) {
        status = engine_append_open(stage->session, INGEST_STAGE_TABLE, &stage->schema,
                                    &stage->appender, err);
    }
    return status;
}

enum kol_status ingest_stage_open(struct ingest_stage *stage, struct engine *engine,
                                  const struct lake_table *table,
                                  const struct ice_metadata *metadata, struct kol_error *err)
{
    *stage = (struct ingest_stage){.table = table};
    arena_init(&stage->arena, 0);
    lake_table_schema_for(table, metadata, &stage->arena, &stage->schema);
    enum kol_status status = engine_session_open(engine, &stage->session, err);
    return status == KOL_OK ? make_table(stage, err) : status;
}

void ingest_stage_close(struct ingest_stage *stage)
{
    if (stage->appender) {
        engine_append_close(&stage->appender);
    }
    if (stage->session) {
        engine_session_close(&stage->session);
    }
    if (stage->table) {
        arena_free(&stage->arena);
    }
    *stage = (struct ingest_stage){0};
}

enum kol_status ingest_stage_flush(struct ingest_stage *stage, struct kol_error *err)
{
    return engine_append_flush(stage->appender, err);
}

enum kol_status ingest_stage_clear(struct ingest_stage *stage, struct kol_error *err)
{
    engine_append_close(&stage->appender);
    stage->rows = 0;
    return make_table(stage, err);
}

/* ---- one event ---- */

static void append_field(struct engine_appender *appender, size_t column, const struct field *field,
                         const void *value)
{
    switch (field->kind) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_ID:
    case FIELD_COUNT: engine_append_text(appender, column, *(const struct str *)value); break;
    case FIELD_INT:
    case FIELD_TIME: engine_append_int(appender, column, *(const int64_t *)value); break;
    case FIELD_REAL: engine_append_real(appender, column, *(const double *)value); break;
    case FIELD_BOOL: engine_append_bool(appender, column, *(const bool *)value); break;
    case FIELD_CHOICE:
        engine_append_text(appender, column, words_at(field->choices, *(const int *)value));
        break;
    case FIELD_TAGS: {
        const struct str_list *list = value;
        engine_append_texts(appender, column, list->items, list->count);
        break;
    }
    case FIELD_KIND_COUNT: break;
    }
}

void ingest_append(struct engine_appender *appender, const struct event *event,
                   const struct bus_record *record, int64_t now_us)
{
    const struct field_table table = event_fields(event->type);
    for (uint64_t left = event->known; left; left &= left - 1) {
        const size_t i = (size_t)__builtin_ctzll(left);
        append_field(appender, i, &table.fields[i], event_value_const(event, &table.fields[i]));
    }
    engine_append_int(appender, table.count + LOG_INGEST_TIME, now_us);
    engine_append_text(appender, table.count + LOG_TOPIC, str_of(record->topic));
    engine_append_int(appender, table.count + LOG_PARTITION, record->partition);
    engine_append_int(appender, table.count + LOG_OFFSET, record->offset);
}

enum kol_status ingest_stage_add(struct ingest_stage *stage, const struct event *event,
                                 const struct bus_record *record, int64_t now_us,
                                 struct kol_error *err)
{
    KOL_ASSERT(event_fields(event->type).count + LOG_COLUMNS == stage->schema.count);
    ingest_append(stage->appender, event, record, now_us);
    stage->rows++;
    return engine_append_row(stage->appender, err);
}
