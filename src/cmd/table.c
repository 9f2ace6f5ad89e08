/* table.c: the rows of commands.def, flags.def and options.def as data. */
#include <string.h>

#include "base/mem.h"
#include "cmd/command.h"

const struct config_option command_options[OPTION_COUNT] = {
#define OPTION(ID, name_, KIND, fallback_, min_, max_, choices_, alias_, secret_, used_by_, help_) \
    [OPTION_##ID] = {                                                                              \
        .name = name_,                                                                             \
        .kind = CONFIG_##KIND,                                                                     \
        .fallback = fallback_,                                                                     \
        .min = min_,                                                                               \
        .max = max_,                                                                               \
        .choices = choices_,                                                                       \
        .alias = alias_,                                                                           \
        .secret = secret_,                                                                         \
        .used_by = used_by_,                                                                       \
        .help = help_,                                                                             \
    },
#include "cmd/options.def"
#undef OPTION
};

const struct command commands[] = {
#define COMMAND(name, arguments, min_args, max_args, summary, details)                             \
    {#name, arguments, min_args, max_args, summary, details, cmd_##name},
#include "cmd/commands.def"
#undef COMMAND
};

const size_t command_count = ARRAY_LEN(commands);

/* Rows of one command stand together in flags.def, so a command's flags are a run of this array. */
static const struct {
    const char *command;
    struct config_option option;
} all_flags[] = {
#define FLAG(command_, name_, KIND, fallback_, min_, max_, metavar_, help_)                        \
    {#command_,                                                                                    \
     {.name = name_,                                                                               \
      .kind = CONFIG_##KIND,                                                                       \
      .fallback = fallback_,                                                                       \
      .min = min_,                                                                                 \
      .max = max_,                                                                                 \
      .choices = metavar_,                                                                         \
      .used_by = #command_,                                                                        \
      .help = help_}},
#include "cmd/flags.def"
#undef FLAG
};

enum { FLAG_ROWS = ARRAY_LEN(all_flags) };

size_t command_flags(const struct command *command, const struct config_option **out)
{
    static struct config_option copies[FLAG_ROWS]; /* the options alone, in the same order */
    size_t first = FLAG_ROWS, count = 0;
    for (size_t i = 0; i < FLAG_ROWS; i++) {
        copies[i] = all_flags[i].option;
        if (strcmp(all_flags[i].command, command->name) == 0) {
            first = count++ ? first : i;
        }
    }
    *out = first < FLAG_ROWS ? &copies[first] : NULL;
    return count;
}

bool command_takes_option(const struct command *command, const struct config_option *option)
{
    struct str rest = str_of(option->used_by);
    if (command->run == cmd_config) {
        return true; /* it shows them all, so it takes them all */
    }
    while (rest.len) {
        struct str word = str_cut(&rest, ' ');
        if (str_is(word, "*") || str_is(word, command->name)) {
            return true;
        }
    }
    return false;
}

const struct command *command_find(struct str name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (str_is(name, commands[i].name)) {
            return &commands[i];
        }
    }
    return NULL;
}
