/* help.c: help for a person at a terminal, from the tables. */
#include <string.h>

#include "cmd/command.h"

/* Wraps `text` at `width` columns behind `indent` spaces; the cursor stands at the indent already.
 */
static void print_wrapped(FILE *out, const char *text, int indent, int width)
{
    int column = indent;
    struct str rest = str_of(text);
    while (rest.len) {
        struct str word = str_cut(&rest, ' ');
        if (column > indent && column + 1 + (int)word.len > width) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(out, "%s%.*s", column > indent ? " " : "", STR_FORMAT(word));
    }
    fputc('\n', out);
}

enum { HELP_COLUMN = 28, HELP_WIDTH = 100 };

static void print_flag(FILE *out, const struct config_option *option, const char *metavar)
{
    struct buf text = {0};
    buf_puts(&text, "  ");
    config_put_flag(&text, option->name);
    if (option->kind != CONFIG_BOOL) {
        buf_printf(&text, " %s", metavar);
    }
    fputs(text.ptr, out);
    if (text.len + 2 > HELP_COLUMN) {
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    } else {
        fprintf(out, "%*s", HELP_COLUMN - (int)text.len, "");
    }
    buf_clear(&text);
    buf_puts(&text, option->help);
    if (option->fallback && *option->fallback) {
        buf_printf(&text, " (default: %s)", option->fallback);
    }
    print_wrapped(out, text.ptr, HELP_COLUMN, HELP_WIDTH);
    buf_free(&text);
}

static const char *metavar_of(const struct config_option *option)
{
    static const char *const names[] = {
        [CONFIG_TEXT] = "TEXT",     [CONFIG_INT] = "N",     [CONFIG_BOOL] = "",
        [CONFIG_CHOICE] = "CHOICE", [CONFIG_SIZE] = "SIZE", [CONFIG_DURATION] = "TIME"};
    return option->kind == CONFIG_CHOICE && option->choices ? option->choices : names[option->kind];
}

static void print_overview(FILE *out)
{
    fputs("kol: KOL analytics in one program: events in, scores and an API out.\n\n"
          "usage: kol COMMAND [flags]\n\ncommands:\n",
          out);
    for (size_t i = 0; i < command_count; i++) {
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    fputs("\n`kol help COMMAND` explains one. Start with `kol demo`, then `kol log topics`.\n",
          out);
}

void command_print_help(FILE *out, const struct command *command)
{
    if (!command) {
        print_overview(out);
        return;
    }
    const struct config_option *own;
    size_t own_count = command_flags(command, &own);
    fprintf(out, "kol %s: %s\n\nusage: kol %s%s%s [flags]\n", command->name, command->summary,
            command->name, *command->arguments ? " " : "", command->arguments);
    if (*command->details) {
        fputc('\n', out);
        print_wrapped(out, command->details, 0, HELP_WIDTH);
    }
    fputs(own_count ? "\nflags:\n" : "", out);
    for (size_t i = 0; i < own_count; i++) {
        print_flag(out, &own[i], own[i].choices ? own[i].choices : metavar_of(&own[i]));
    }
    fputs(
        "\noptions (also as KOL_... variables and in the configuration file, see `kol config`):\n",
        out);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (command_takes_option(command, &command_options[i])) {
            print_flag(out, &command_options[i], metavar_of(&command_options[i]));
        }
    }
}

enum kol_status cmd_help(const struct invocation *call, struct kol_error *err)
{
    const struct command *command = NULL;
    if (call->arg_count) {
        command = command_find(str_of(call->args[0]));
        if (!command) {
            return kol_fail(err, KOL_USAGE, "no command '%s' (`kol help` lists them)",
                            call->args[0]);
        }
    }
    command_print_help(stdout, command);
    return KOL_OK;
}
