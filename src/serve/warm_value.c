/* warm_value.c: what is written for an item, and how much that is. */
#include "serve/warm_value.h"

#include "base/clock.h"
#include "base/text.h"

enum { ARGUMENT_BYTES = 10 }; /* that stand around one argument on the way, about */

struct str warm_older_score(const struct serve_field *fields, size_t count, struct str as_of,
                            int64_t snapshot, struct arena *arena)
{
    const struct serve_field *score = serve_field(fields, count, "trust_score");
    const struct serve_field *label = serve_field(fields, count, "trust_label");
    const struct serve_field *scored_at = serve_field(fields, count, "scored_at");
    struct buf text = {0};
    buf_printf(&text, "{\"trust_score\":%.*s,\"trust_label\":",
               STR_FORMAT(score ? score->value : STR("null")));
    text_put_json(&text, label ? label->value : STR("unknown"));
    buf_puts(&text, ",\"timestamp\":");
    text_put_json(&text, scored_at ? scored_at->value : as_of);
    buf_printf(&text, ",\"snapshot\":%lld}", (long long)snapshot);
    const struct str copy = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static void put_fields(const struct warm_item *item, const struct warm_source *source,
                       const struct warm_options *options, struct arena *arena,
                       struct serve_write *write)
{
    const bool score = item->kind == SERVE_KEY_SCORE || item->kind == SERVE_KEY_SCORE_ON;
    if (score && options->older_scores) {
        write->text = warm_older_score(item->fields, item->field_count, source->as_of,
                                       source->snapshot, arena);
    } else {
        write->fields = item->fields;
        write->field_count = item->field_count;
    }
}

static void measure(struct warm_value *value)
{
    const struct serve_write *write = &value->write;
    value->bytes = (int64_t)(write->key.len + write->text.len);
    for (size_t i = 0; i < write->field_count; i++) {
        value->bytes += (int64_t)(write->fields[i].name.len + write->fields[i].value.len);
    }
    for (size_t i = 0; i < write->member_count; i++) {
        value->bytes += (int64_t)(write->members[i].name.len + sizeof(double));
    }
    value->way_bytes = value->bytes + ARGUMENT_BYTES * (int64_t)(2 * write->field_count +
                                                                 2 * write->member_count + 8);
}

void warm_value_make(const struct warm_item *item, const struct warm_source *source,
                     const struct warm_options *options, struct arena *arena,
                     struct warm_value *out)
{
    *out = (struct warm_value){.write = {.kind = item->kind,
                                         .key = item->key,
                                         .version = item->version,
                                         .snapshot = source->snapshot,
                                         .now_us = clock_now_us(),
                                         .force = options->full,
                                         .as_of = source->as_of,
                                         .members = item->members,
                                         .member_count = item->member_count}};
    switch (serve_keys[item->kind].type) {
    case SERVE_HASH: put_fields(item, source, options, arena, &out->write); break;
    case SERVE_STRING: out->write.text = item->json; break;
    case SERVE_ZSET:
    case SERVE_LIST: break;
    }
    measure(out);
}
