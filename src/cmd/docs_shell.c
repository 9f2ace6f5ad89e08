/* docs_shell.c: the man page, and completion for bash and zsh. */
#include <string.h>

#include "cmd/docs.h"
#include "version.h"

/* Text for troff: a backslash, and a dot or a quote in front of a line, would be commands. */
static void put_troff(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\') {
            buf_puts(out, "\\e");
        } else if (*text == '-') {
            buf_puts(out, "\\-");
        } else {
            buf_putc(out, *text);
        }
    }
}

static void put_man_flag(struct buf *out, const struct config_option *option)
{
    struct buf flag = {0};
    config_put_flag(&flag, option->name);
    buf_puts(out, ".TP\n.B ");
    put_troff(out, flag.ptr);
    buf_puts(out, "\n\\&");
    put_troff(out, option->help);
    if (option->fallback && *option->fallback) {
        buf_puts(out, " (default: ");
        put_troff(out, option->fallback);
        buf_puts(out, ")");
    }
    buf_putc(out, '\n');
    buf_free(&flag);
}

enum kol_status docs_man(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    (void)call, (void)err;
    buf_puts(out, ".TH KOL 1 \"\" \"kol " KOL_VERSION "\" \"User Commands\"\n.SH NAME\n"
                  "kol \\- KOL analytics in one program\n.SH SYNOPSIS\n.B kol\n.I COMMAND\n"
                  "[flags]\n.SH DESCRIPTION\n"
                  "Takes social-media events in, keeps them in a durable log, and works on them. "
                  "Rows go to standard output, everything else to standard error.\n.SH COMMANDS\n");
    for (size_t i = 0; i < command_count; i++) {
        const struct config_option *own;
        size_t own_count = command_flags(&commands[i], &own);
        buf_printf(out, ".SS kol %s ", commands[i].name);
        put_troff(out, commands[i].arguments);
        buf_puts(out, "\n\\&");
        put_troff(out, commands[i].summary);
        buf_puts(out, ".\n");
        if (*commands[i].details) {
            buf_puts(out, ".PP\n\\&");
            put_troff(out, commands[i].details);
            buf_putc(out, '\n');
        }
        for (size_t f = 0; f < own_count; f++) {
            put_man_flag(out, &own[f]);
        }
    }
    buf_puts(out,
             ".SH OPTIONS\nEach is also an environment variable (KOL_ and the name in capitals) "
             "and a key of the configuration file.\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        put_man_flag(out, &command_options[i]);
    }
    buf_puts(out, ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 130 interrupted.\n");
    return KOL_OK;
}

/* All flags of a command behind each other: "--kols --days --data ...". */
static void put_flags(struct buf *out, const struct command *command)
{
    const struct config_option *own;
    size_t own_count = command_flags(command, &own);
    for (size_t i = 0; i < own_count; i++) {
        config_put_flag(out, own[i].name);
        buf_putc(out, ' ');
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (command_takes_option(command, &command_options[i])) {
            config_put_flag(out, command_options[i].name);
            buf_putc(out, ' ');
        }
    }
    buf_puts(out, "--help");
}

static void put_names(struct buf *out)
{
    for (size_t i = 0; i < command_count; i++) {
        buf_printf(out, "%s%s", i ? " " : "", commands[i].name);
    }
}

enum kol_status docs_bash(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    (void)call, (void)err;
    buf_puts(out, "# bash completion for kol\n_kol() {\n"
                  "    local word=${COMP_WORDS[COMP_CWORD]} words=\n"
                  "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='");
    put_names(out);
    buf_puts(out, "'\n    else\n        case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < command_count; i++) {
        buf_printf(out, "        %s) words='", commands[i].name);
        put_flags(out, &commands[i]);
        buf_puts(out, "' ;;\n");
    }
    buf_puts(out, "        esac\n        if [ \"${COMP_WORDS[1]}\" = help ]; then\n"
                  "            words='");
    put_names(out);
    buf_puts(out, "'\n        fi\n    fi\n"
                  "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}\n"
                  "complete -o default -F _kol kol\n");
    return KOL_OK;
}

enum kol_status docs_zsh(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    (void)call, (void)err;
    buf_puts(out, "#compdef kol\n# zsh completion for kol\n_kol() {\n    local -a names\n"
                  "    if (( CURRENT == 2 )); then\n        names=(");
    put_names(out);
    buf_puts(out, ")\n        compadd -a names\n        return\n    fi\n    case $words[2] in\n");
    for (size_t i = 0; i < command_count; i++) {
        buf_printf(out, "    %s) compadd -- ", commands[i].name);
        put_flags(out, &commands[i]);
        buf_puts(out, " ;;\n");
    }
    buf_puts(out, "    esac\n    _files\n}\n_kol \"$@\"\n");
    return KOL_OK;
}
