/*
 * command.h: what a command gets, and the table that it stands in.
 *
 * A command is one row of commands.def, its own flags are rows of flags.def, and the options of
 * options.def that name it are flags too. Help, man page, shell completion and docs/commands.md
 * come from the same rows. A command parses nothing: it asks for its flags by name, calls a room
 * and prints.
 */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/config.h"
#include "base/error.h"
#include "base/rows.h"
#include "lake/lake.h"
#include "lake/maintain.h"
#include "log/bus.h"
#include "score/score.h"

enum option {
#define OPTION(ID, ...) OPTION_##ID,
#include "cmd/options.def"
#undef OPTION
    OPTION_COUNT
};

extern const struct config_option command_options[OPTION_COUNT];

/* One run of one command. */
struct invocation {
    const struct command *command;
    struct config *config;
    const char *const *args; /* what is no flag, in order, without the command's own name */
    size_t arg_count;
    struct config *flags;    /* the command's own, see flag_...() */
    enum rows_format format; /* --format */
    const char *data;        /* --data: the folder of the embedded mode */
};

struct command {
    const char *name;
    const char *arguments; /* "PRESET FILE..." */
    size_t min_args, max_args;
    const char *summary; /* one line */
    const char *details; /* paragraphs for `kol help NAME`; may be "" */
    enum kol_status (*run)(const struct invocation *call, struct kol_error *err);
};

/* Flags of the command by their long name, without the dashes; a name that the command does not
 * have in flags.def is a bug and panics. Where the flag was not given: its default. */
bool flag_bool(const struct invocation *call, const char *name);
int64_t flag_int(const struct invocation *call, const char *name);
const char *flag_text(const struct invocation *call, const char *name); /* NULL: not given */
bool flag_given(const struct invocation *call, const char *name);

/* Opens the event log that the configuration names. `read_only`: it must exist, else KOL_NOT_FOUND
 * with the command that makes one. */
enum kol_status command_open_bus(const struct invocation *call, bool read_only, struct bus **out,
                                 struct kol_error *err) KOL_CHECKED;

/* Opens the lake of the data folder, as the configuration says. `read_only`: it must exist. */
enum kol_status command_open_lake(const struct invocation *call, bool read_only, struct lake **out,
                                  struct kol_error *err) KOL_CHECKED;

/* The models that serve, out of the registry of the data folder; registry_serving_free() lets them
 * go. */
enum kol_status command_load_models(const struct invocation *call, struct score_models *out,
                                    struct kol_error *err) KOL_CHECKED;

/* What `kol maintain` does without flags. */
struct maintain_options command_maintain_defaults(struct lake *lake);

/* Writes the rows of an answer to `out`, at most `limit` (0: all). `shown` says how many, `more`
 * whether some were left; both may be NULL. */
enum kol_status command_put_answer(FILE *out, enum rows_format format, struct engine_result *result,
                                   int64_t limit, int64_t *shown, bool *more,
                                   struct kol_error *err) KOL_CHECKED;

/* Prints the rows of an answer in the format of the call: the same on stdout. */
enum kol_status command_print_answer(const struct invocation *call, struct engine_result *result,
                                     int64_t limit, int64_t *shown, bool *more,
                                     struct kol_error *err) KOL_CHECKED;

/* ---- the table, for help and docs ---- */

extern const struct command commands[];
extern const size_t command_count;

/* The flags that flags.def gives to a command, as options: `name` is the long flag without dashes
 * and `choices` its metavar. Returns how many; `*out` is constant. */
size_t command_flags(const struct command *command, const struct config_option **out);

/* True if the command takes the option as a flag. */
bool command_takes_option(const struct command *command, const struct config_option *option);

/* The command called `name`, or NULL. */
const struct command *command_find(struct str name);

/* Prints what `kol help NAME` and `kol NAME --help` say; NULL: what `kol help` says. */
void command_print_help(FILE *out, const struct command *command);

/* Runs one command line; returns the exit status of SPEC section 8. */
int command_main(int argc, char **argv, const char *const *environment);

#define COMMAND(name, ...)                                                                         \
    enum kol_status cmd_##name(const struct invocation *call, struct kol_error *err);
#include "cmd/commands.def"
#undef COMMAND

#endif
