/* docs.c: `kol docs PAGE`, and the pages on commands, options, metrics and errors. */
#include "cmd/docs.h"

#include <string.h>

#include "base/mem.h"

/* A literal, so that the compiler checks its use as a format. */
#define GENERATED "<!-- Made by `kol docs %s` from the tables of the program; change those. -->\n\n"

void docs_put_cell(struct buf *out, const char *text)
{
    for (; text && *text; text++) {
        if (*text == '|') {
            buf_putc(out, '\\');
        }
        buf_putc(out, *text);
    }
}

static void put_amount(struct buf *out, enum config_kind kind, int64_t value)
{
    static const struct {
        int64_t size;
        const char *name;
    } sizes[] = {{INT64_C(1) << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}};
    for (size_t i = 0; kind == CONFIG_SIZE && i < ARRAY_LEN(sizes); i++) {
        if (value >= sizes[i].size) {
            buf_printf(out, "%lld %s", (long long)(value / sizes[i].size), sizes[i].name);
            return;
        }
    }
    if (kind == CONFIG_DURATION) {
        buf_printf(out, "%lld s", (long long)(value / 1000000));
    } else {
        buf_put_int64(out, value);
    }
}

void docs_put_kind(struct buf *out, const struct config_option *option)
{
    static const char *const names[] = {
        [CONFIG_TEXT] = "text",          [CONFIG_INT] = "whole number",
        [CONFIG_BOOL] = "true or false", [CONFIG_CHOICE] = "one of: ",
        [CONFIG_SIZE] = "size",          [CONFIG_DURATION] = "time"};
    buf_puts(out, names[option->kind]);
    if (option->kind == CONFIG_CHOICE) {
        buf_puts(out, option->choices);
    } else if (option->min || option->max) {
        buf_puts(out, ", ");
        put_amount(out, option->kind, option->min);
        buf_puts(out, " to ");
        put_amount(out, option->kind, option->max);
    }
}

static void put_flag_row(struct buf *out, const struct config_option *flag)
{
    buf_puts(out, "| `");
    config_put_flag(out, flag->name);
    if (flag->kind != CONFIG_BOOL && flag->choices) {
        buf_printf(out, " %s", flag->choices);
    }
    buf_puts(out, "` | ");
    docs_put_cell(out, flag->help);
    buf_puts(out, " | ");
    docs_put_cell(out, flag->fallback);
    buf_puts(out, " |\n");
}

static void put_command(struct buf *out, const struct command *command)
{
    const struct config_option *own;
    size_t own_count = command_flags(command, &own);
    buf_printf(out, "## kol %s\n\n`kol %s%s%s [flags]` %s.\n\n", command->name, command->name,
               *command->arguments ? " " : "", command->arguments, command->summary);
    if (*command->details) {
        buf_printf(out, "%s\n\n", command->details);
    }
    if (own_count) {
        buf_puts(out, "| flag | what it does | default |\n|---|---|---|\n");
    }
    for (size_t i = 0; i < own_count; i++) {
        put_flag_row(out, &own[i]);
    }
    buf_puts(out, own_count ? "\nOptions:" : "Options:");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (command_takes_option(command, &command_options[i])) {
            buf_puts(out, " `");
            config_put_flag(out, command_options[i].name);
            buf_puts(out, "`");
        }
    }
    buf_puts(out, "\n\n");
}

static enum kol_status docs_commands(struct buf *out, const struct invocation *call,
                                     struct kol_error *err)
{
    (void)call, (void)err;
    buf_puts(out, "# Commands\n\n"
                  "Rows go to stdout, everything else to stderr. Exit status: 0 done, 1 failed, 2 "
                  "wrong usage, 130 interrupted. Options are explained in "
                  "[config.md](config.md).\n\n");
    for (size_t i = 0; i < command_count; i++) {
        put_command(out, &commands[i]);
    }
    out->len--; /* one empty line at the end is enough */
    out->ptr[out->len] = '\0';
    return KOL_OK;
}

static void put_option_row(struct buf *out, const struct config_option *option)
{
    buf_printf(out, "| `%s` | `", option->name);
    config_put_flag(out, option->name);
    buf_puts(out, "` | `");
    config_put_variable(out, option->name);
    buf_puts(out, "`");
    if (option->alias) {
        buf_printf(out, ", `%s`", option->alias);
    }
    buf_puts(out, " | ");
    docs_put_kind(out, option);
    buf_puts(out, " | ");
    docs_put_cell(out, option->fallback);
    buf_puts(out, " | ");
    docs_put_cell(out, option->help);
    buf_puts(out, option->secret ? " (secret: never shown)" : "");
    buf_puts(out, " | ");
    buf_puts(out, *option->used_by == '*'    ? "every command"
                  : *option->used_by == '\0' ? "none of this version"
                                             : option->used_by);
    buf_puts(out, " |\n");
}

static enum kol_status docs_config(struct buf *out, const struct invocation *call,
                                   struct kol_error *err)
{
    (void)call, (void)err;
    buf_puts(
        out,
        "# Options\n\n"
        "An option is a key of the configuration file, an environment variable and a flag of the "
        "commands that read it. A flag wins over a variable, a variable over the file, the file "
        "over the default; `kol config` prints each value and where it comes from. A name that "
        "no option has is an error.\n\n"
        "The file is the one that `--config` names, else `kol.conf` in the data folder:\n\n"
        "```ini\n# a comment\nlog.partitions = 16\n\n[log]\nretention = 7d\n```\n\n"
        "Sizes are bytes or take k, M, G, T (powers of 1024); times need a unit: us, ms, s, m, "
        "h, d.\n\n"
        "| option | flag | variable | value | default | meaning | read by |\n"
        "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        put_option_row(out, &command_options[i]);
    }
    return KOL_OK;
}

static enum kol_status docs_metrics(struct buf *out, const struct invocation *call,
                                    struct kol_error *err)
{
    (void)call, (void)err;
    buf_puts(out,
             "# Metrics\n\n"
             "In the Prometheus text format. `--metrics-file FILE` leaves those of one run in a "
             "file when it ends.\n\n"
             "| metric | kind | label | meaning |\n|---|---|---|---|\n");
#define METRIC(NAME, KIND, text, label, help)                                                      \
    buf_printf(out, "| `%s` | %s | %s | %s |\n", text, #KIND, label, help);
#include "base/metrics.def"
#undef METRIC
    return KOL_OK;
}

static enum kol_status docs_errors(struct buf *out, const struct invocation *call,
                                   struct kol_error *err)
{
    (void)call, (void)err;
    buf_puts(out,
             "# Errors\n\n"
             "A command that fails says why in one line on stderr. What a failure means to the "
             "caller is one of these words:\n\n"
             "| status | meaning |\n|---|---|\n");
    for (int i = 0; i < KOL_STATUS_COUNT; i++) {
        buf_printf(out, "| `%s` | %s |\n", kol_status_text((enum kol_status)i),
                   kol_status_meaning((enum kol_status)i));
    }
    docs_put_problems(out);
    return KOL_OK;
}

static const struct {
    const char *name;
    docs_page page;
    bool markdown; /* begins with the remark that it is generated */
} pages[] = {
    {"api", docs_api, true},
    {"cache-keys", docs_cache, true},
    {"commands", docs_commands, true},
    {"config", docs_config, true},
    {"events", docs_events, true},
    {"lake", docs_lake, true},
    {"metrics", docs_metrics, true},
    {"errors", docs_errors, true},
    {"presets", docs_presets, true},
    {"scores", docs_scores, true},
    {"man", docs_man, false},
    {"completion-bash", docs_bash, false},
    {"completion-zsh", docs_zsh, false},
};

static enum kol_status fail_page(const char *name, struct kol_error *err)
{
    const char *names[ARRAY_LEN(pages)];
    struct buf list = {0};
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        names[i] = pages[i].name;
        buf_printf(&list, " %s", names[i]);
    }
    const char *nearest = str_nearest(str_of(name), names, ARRAY_LEN(pages));
    kol_fail(err, KOL_USAGE, "no page '%s'%s%s%s; the pages are:%s", name,
             nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
             list.ptr);
    buf_free(&list);
    return KOL_USAGE;
}

enum kol_status cmd_docs(const struct invocation *call, struct kol_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (strcmp(pages[i].name, call->args[0]) != 0) {
            continue;
        }
        struct buf text = {0};
        if (pages[i].markdown) {
            buf_printf(&text, GENERATED, pages[i].name);
        }
        enum kol_status status = pages[i].page(&text, call, err);
        if (status == KOL_OK) {
            fwrite(text.ptr, 1, text.len, stdout);
        }
        buf_free(&text);
        return status;
    }
    return fail_page(call->args[0], err);
}
