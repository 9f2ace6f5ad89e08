/*
 * fuzz_preset.c: any bytes as a preset; one that loads is put to work.
 *
 * Its first layout reads a header made of its own columns and cells of every kind; events that come
 * out must be valid, all else must be a reason.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "domain/decode.h"
#include "domain/encode.h"
#include "import/apply.h"
#include "import/preset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1760000000000000)

static const struct str cells[] = {
    STR(""),       STR("vi"),   STR("2024-02-29"), STR("2024-02-29 10:11:12"),
    STR("12"),     STR("true"), STR("a|b, #c;d"),  STR("2024-02-29T10:11:12Z"),
    STR("tiktok"),
};

static void play_event(const struct apply_record *record, const struct preset_event *rules,
                       struct arena *arena)
{
    const struct overrides none = {0};
    struct event event, again;
    struct kol_error err = {0};
    struct buf json = {0};
    if (apply_wanted(record, rules) &&
        apply_event(record, rules, &none, NOW, arena, &event, &err) == KOL_OK) {
        event_encode(&json, &event);
        KOL_ASSERT(event_decode(buf_str(&json), NOW, arena, &again, &err) == KOL_OK);
        KOL_ASSERT(again.known == event.known);
    } else {
        KOL_ASSERT(!apply_wanted(record, rules) || err.message[0]);
    }
    buf_free(&json);
}

static void play_layout(const struct preset *preset, size_t shift)
{
    const struct preset_layout *first = &preset->layouts[0];
    struct apply_record record = {0};
    struct str *row = mem_alloc((first->column_count + 1) * sizeof *row);
    struct arena arena;
    struct buf text = {0};
    size_t *places;
    for (size_t i = 0; i < first->column_count; i++) {
        row[i] = cells[(i + shift) % ARRAY_LEN(cells)];
    }
    KOL_ASSERT(preset_pick(preset, first->columns, first->column_count, &record.layout, &places,
                           NULL) == KOL_OK);
    KOL_ASSERT(record.layout == first);
    record.places = places;
    record.cells = row;
    arena_init(&arena, 0);
    for (size_t i = 0; i < first->event_count; i++) {
        play_event(&record, &first->events[i], &arena);
        for (size_t r = 0; r < first->events[i].rule_count; r++) {
            preset_put_rule(&text, first, &first->events[i].rules[r]);
        }
    }
    arena_free(&arena);
    buf_free(&text);
    free(places);
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct preset *preset;
    struct kol_error err = {0};
    struct str json = {(const char *)data, size};
    enum kol_status status = preset_parse(json, "fuzz.json", &preset, &err);
    KOL_ASSERT(status == KOL_OK || (status == KOL_INVALID && err.message[0] && !preset));
    for (size_t shift = 0; preset && preset->layout_count && shift < ARRAY_LEN(cells); shift++) {
        play_layout(preset, shift);
    }
    preset_free(&preset);
    return 0;
}
