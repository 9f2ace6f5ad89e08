/* docs_events.c: the page on topics, event types and their fields. */
#include <math.h>

#include "base/mem.h"
#include "cmd/docs.h"
#include "domain/decode.h"
#include "domain/event.h"

static void put_bounds(struct buf *out, const struct field *field)
{
    if (field->choices) {
        buf_puts(out, field->choices);
    } else if (field->kind == FIELD_INT || field->kind == FIELD_REAL) {
        buf_put_double(out, field->min);
        buf_puts(out, " to ");
        if (field->max >= 0x1p63) {
            buf_puts(out, field->kind == FIELD_INT ? "2^63 - 1" : "2^63");
        } else {
            buf_put_double(out, field->max);
        }
    } else if (field->kind != FIELD_BOOL && field->kind != FIELD_TIME) {
        buf_printf(out, "%zu bytes", field->max_bytes);
    }
}

static void put_field(struct buf *out, const struct field *field)
{
    buf_printf(out, "| `%s`%s | %s | ", field->name, field->required ? "" : " ?",
               field_kind_name(field->kind));
    put_bounds(out, field);
    buf_puts(out, " | ");
    docs_put_cell(out, field->unit);
    buf_puts(out, " | ");
    docs_put_cell(out, field->accepts);
    buf_puts(out, " | ");
    docs_put_cell(out, field->column);
    buf_puts(out, " | ");
    docs_put_cell(out, field->help);
    buf_puts(out, " |\n");
}

static void put_fields(struct buf *out, struct field_table table, size_t from, size_t to)
{
    buf_puts(out, "| field | kind | bounds | unit | also accepted as | column | meaning |\n"
                  "|---|---|---|---|---|---|---|\n");
    for (size_t i = from; i < to && i < table.count; i++) {
        put_field(out, &table.fields[i]);
    }
    buf_putc(out, '\n');
}

static void put_topics(struct buf *out)
{
    buf_puts(out, "## Topics\n\n| topic | written by | event types | what it carries |\n"
                  "|---|---|---|---|\n");
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        buf_printf(out, "| `%s` | %s | ", topic_name((enum topic)topic),
                   topic_is_input((enum topic)topic) ? "sources" : "kol");
        for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
            if (event_type_topic((enum event_type)type) == (enum topic)topic) {
                buf_printf(out, "`%s` ", event_type_name((enum event_type)type));
            }
        }
        buf_printf(out, "| %s |\n", topic_help((enum topic)topic));
    }
    buf_putc(out, '\n');
}

static void put_kinds(struct buf *out)
{
    buf_puts(out, "## Kinds of field\n\n| kind | how it is read |\n|---|---|\n");
    for (int kind = 0; kind < FIELD_KIND_COUNT; kind++) {
        buf_printf(out, "| %s | %s |\n", field_kind_name((enum field_kind)kind),
                   field_kind_help((enum field_kind)kind));
    }
    buf_putc(out, '\n');
}

enum kol_status docs_events(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    (void)call, (void)err;
    buf_printf(
        out,
        "# Events\n\n"
        "One UTF-8 JSON object a message, of at most %d bytes and %d levels. Keys stand in any "
        "order; unknown keys are skipped; of one key given twice the last counts; null means "
        "unknown. Where a field has other names, its own name wins over them. A message that "
        "breaks a rule goes to `kol.dead` with the reason and its bytes, and stops nothing.\n\n"
        "The log key is `platform:username`, else `platform:user_id`, else (a video that "
        "names no account) `platform:video_id`, so that the events of one KOL stay in "
        "order. A `?` behind a field means that it may be absent or null.\n\n",
        DECODE_MAX_BYTES, DECODE_MAX_DEPTH);
    put_topics(out);
    put_kinds(out);
    buf_puts(out, "## Fields of every event\n\n");
    put_fields(out, event_fields(EVENT_PROFILE), 0, COMMON_FIELD_COUNT);
    static const enum event_type shown[] = {EVENT_DISCOVERY, EVENT_PROFILE, EVENT_VIDEO,
                                            EVENT_COMMENT, EVENT_PRODUCT};
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        struct field_table table = event_fields(shown[i]);
        buf_printf(out, "## %s%s\n\n", event_type_name(shown[i]),
                   shown[i] == EVENT_DISCOVERY ? " and refresh" : "");
        put_fields(out, table, COMMON_FIELD_COUNT, table.count);
    }
    buf_puts(
        out,
        "## Count strings\n\n"
        "Read by exact decimal arithmetic, fractions of a unit cut, letters in either case. With "
        "a suffix one `.` or `,` is the decimal separator; without one `.`, `,` and space make "
        "groups of three. What cannot be read is unknown, never 0.\n\n"
        "| suffix | factor |\n|---|---|\n"
        "| `K`, `N` (nghìn) | 1,000 |\n| `M`, `Tr` (triệu) | 1,000,000 |\n"
        "| `B` | 1,000,000,000 |\n\n"
        "`11.3K` is 11300, `4,1Tr` 4100000, `1.234.567` 1234567, `1,234K` 1234; `1.2`, `-5`, "
        "`1e9` and the empty string are unknown.\n");
    return KOL_OK;
}
