/* docs_presets.c: the page on presets: which columns become which fields, and the transforms. */
#include "cmd/docs.h"
#include "import/preset.h"

struct page {
    struct buf *out;
};

static void put_text(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '|') {
            buf_putc(out, '\\');
        }
        buf_putc(out, text.ptr[i]);
    }
}

static void put_event(struct buf *out, const struct preset_layout *layout,
                      const struct preset_event *event)
{
    struct field_table table = event_fields(event->type);
    buf_printf(out, "\nEach row gives a `%s` event%s:\n\n| field | from |\n|---|---|\n",
               event_type_name(event->type),
               event->when.test == TEST_ALWAYS ? "" : ", where its condition holds");
    for (size_t i = 0; i < event->rule_count; i++) {
        const struct preset_rule *rule = &event->rules[i];
        struct buf from = {0};
        preset_put_rule(&from, layout, rule);
        buf_printf(out, "| `%s` | ", table.fields[rule->field].name);
        put_text(out, buf_str(&from));
        buf_puts(out, " |\n");
        buf_free(&from);
    }
}

static void put_preset(const struct preset *preset, const char *origin, void *user)
{
    struct buf *out = ((struct page *)user)->out;
    (void)origin;
    buf_printf(out, "\n## %.*s\n\n%.*s\n", STR_FORMAT(preset->name), STR_FORMAT(preset->help));
    if (preset->source.len) {
        buf_printf(out, "\nSource: %.*s\n", STR_FORMAT(preset->source));
    }
    for (size_t i = 0; i < preset->layout_count; i++) {
        const struct preset_layout *layout = &preset->layouts[i];
        buf_printf(out, "\n### %.*s: %.*s\n\n%.*s\n", STR_FORMAT(preset->name),
                   STR_FORMAT(layout->name), STR_FORMAT(layout->help));
        for (size_t e = 0; e < layout->event_count; e++) {
            put_event(out, layout, &layout->events[e]);
        }
    }
}

enum kol_status docs_presets(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    struct page page = {out};
    (void)call;
    buf_puts(out, "# Presets\n\n"
                  "A preset says what the columns of a data set mean: `kol import PRESET FILE...`. "
                  "These come with the program; [import.md](import.md) says how to write one.\n\n"
                  "## Transforms\n\n| as it is written | what it does |\n|---|---|\n");
    for (int i = 0; i < TRANSFORM_COUNT; i++) {
        buf_puts(out, "| `");
        docs_put_cell(out, transform_usage((enum transform)i));
        buf_puts(out, "` | ");
        docs_put_cell(out, transform_help((enum transform)i));
        buf_puts(out, " |\n");
    }
    return preset_list(NULL, put_preset, &page, err);
}
