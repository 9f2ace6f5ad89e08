/*
 * command.c: from a command line to a running command, and from its status to an exit status.
 *
 * Flags may stand before or behind the arguments; `--name=value` and `--name value` are the same;
 * -- ends the flags. Nothing runs unless the whole line, the environment and the file are right.
 */
#include "cmd/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/backup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/progress.h"
#include "base/signals.h"
#include "registry/registry.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* ---- flags, as a command asks for them ---- */

static size_t flag_index(const struct invocation *call, const char *name)
{
    const struct config_option *flags;
    size_t count = command_flags(call->command, &flags);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(flags[i].name, name) == 0) {
            return i;
        }
    }
    kol_panic("%s has no flag --%s in flags.def", call->command->name, name);
}

bool flag_bool(const struct invocation *call, const char *name)
{
    return config_bool(call->flags, flag_index(call, name));
}

int64_t flag_int(const struct invocation *call, const char *name)
{
    return config_int(call->flags, flag_index(call, name));
}

const char *flag_text(const struct invocation *call, const char *name)
{
    return config_text(call->flags, flag_index(call, name));
}

bool flag_given(const struct invocation *call, const char *name)
{
    return config_source_of(call->flags, flag_index(call, name)) == CONFIG_FROM_FLAG;
}

/* ---- the line ---- */

/* What a flag on the line may mean: an own flag of the command, or an option of the program. */
struct known_flag {
    const struct config_option *option;
    struct config *target;
    struct buf spelling; /* with its dashes */
};

struct line {
    struct known_flag *known;
    size_t known_count;
    const char **args;
    size_t arg_count;
    bool help;
};

static void add_known(struct line *line, const struct config_option *option, struct config *target)
{
    struct known_flag *flag = &line->known[line->known_count++];
    *flag = (struct known_flag){option, target, {0}};
    config_put_flag(&flag->spelling, option->name);
}

static void collect_known(struct line *line, const struct invocation *call)
{
    const struct config_option *own;
    size_t own_count = command_flags(call->command, &own);
    line->known = mem_zalloc(own_count + OPTION_COUNT, sizeof *line->known);
    for (size_t i = 0; i < own_count; i++) {
        add_known(line, &own[i], call->flags);
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (command_takes_option(call->command, &command_options[i])) {
            add_known(line, &command_options[i], call->config);
        }
    }
}

static enum kol_status fail_flag(const struct line *line, const struct command *command,
                                 struct str name, struct kol_error *err)
{
    const char **names = mem_zalloc(line->known_count, sizeof *names);
    for (size_t i = 0; i < line->known_count; i++) {
        names[i] = line->known[i].spelling.ptr;
    }
    const char *nearest = str_nearest(name, names, line->known_count);
    free(names);
    return kol_fail(err, KOL_USAGE, "no flag %.*s%s%s%s (`kol help %s` lists them)",
                    STR_FORMAT(name), nearest ? "; did you mean " : "", nearest ? nearest : "",
                    nearest ? "?" : "", command->name);
}

/* Takes the flag at argv[*at], and its value, which may be the next word. */
static enum kol_status take_flag(struct line *line, const struct command *command, char **argv,
                                 int argc, int *at, struct kol_error *err)
{
    struct str value = str_of(argv[*at]), name = str_cut(&value, '=');
    for (size_t i = 0; i < line->known_count; i++) {
        struct known_flag *flag = &line->known[i];
        if (!str_equal(name, buf_str(&flag->spelling))) {
            continue;
        }
        if (!value.ptr && flag->option->kind == CONFIG_BOOL) {
            value = STR("true");
        } else if (!value.ptr && (*at + 1 == argc || strncmp(argv[*at + 1], "--", 2) == 0)) {
            return kol_fail(err, KOL_USAGE, "%s needs a value", flag->spelling.ptr);
        } else if (!value.ptr) {
            value = str_of(argv[++*at]);
        }
        return config_set(flag->target, str_of(flag->option->name), value, CONFIG_FROM_FLAG,
                          flag->spelling.ptr, err);
    }
    return fail_flag(line, command, name, err);
}

static enum kol_status parse_line(struct line *line, const struct command *command, int argc,
                                  char **argv, struct kol_error *err)
{
    bool flags_over = false;
    line->args = mem_zalloc((size_t)argc + 1, sizeof *line->args);
    for (int at = 2; at < argc; at++) {
        const char *word = argv[at];
        if (flags_over || word[0] != '-' || strcmp(word, "-") == 0) {
            line->args[line->arg_count++] = word;
        } else if (strcmp(word, "--") == 0) {
            flags_over = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            line->help = true;
        } else if (take_flag(line, command, argv, argc, &at, err) != KOL_OK) {
            return err->status;
        }
    }
    return KOL_OK;
}

static void free_line(struct line *line)
{
    for (size_t i = 0; i < line->known_count; i++) {
        buf_free(&line->known[i].spelling);
    }
    free(line->known);
    free(line->args);
}

/* ---- the rest of the configuration ---- */

static enum kol_status read_sources(struct config *config, const char *const *environment,
                                    struct kol_error *err)
{
    enum kol_status status = config_read_environment(config, environment, err);
    if (status != KOL_OK) {
        return status;
    }
    const char *named = config_text(config, OPTION_CONFIG);
    if (named) {
        return config_read_file(config, named, err);
    }
    char *path = file_join(config_text(config, OPTION_DATA), "kol.conf");
    if (file_exists(path)) {
        status = config_read_file(config, path, err);
    }
    free(path);
    return status;
}

static void apply(struct invocation *call)
{
    logger_setup(&(struct logger_options){
        .level = (enum log_level)config_int(call->config, OPTION_LOGGER_LEVEL),
        .json = config_int(call->config, OPTION_LOGGER_FORMAT) == 1,
    });
    progress_set_style((enum progress_style)config_int(call->config, OPTION_PROGRESS));
    call->format = (enum rows_format)config_int(call->config, OPTION_FORMAT);
    call->data = config_text(call->config, OPTION_DATA);
}

static enum kol_status check_args(const struct invocation *call, struct kol_error *err)
{
    const struct command *command = call->command;
    if (call->arg_count < command->min_args || call->arg_count > command->max_args) {
        return kol_fail(err, KOL_USAGE, "usage: kol %s %s%s(`kol help %s` explains it)",
                        command->name, command->arguments, *command->arguments ? " " : "",
                        command->name);
    }
    return KOL_OK;
}

static enum kol_status run(struct invocation *call, struct kol_error *err)
{
    apply(call);
    if (!*call->data) {
        return kol_fail(err, KOL_USAGE, "%s is empty: name a folder, or leave it out",
                        config_origin(call->config, OPTION_DATA));
    }
    enum kol_status status = check_args(call, err);
    if (status == KOL_OK) {
        status = call->command->run(call, err);
    }
    const char *metrics_path = config_text(call->config, OPTION_METRICS_FILE);
    struct kol_error metrics_err;
    if (metrics_path && metrics_write_file(metrics_path, &metrics_err) != KOL_OK) {
        log_warn("the metrics were not written: %s", metrics_err.message);
    }
    return status;
}

static int report(const char *command, enum kol_status status, const struct kol_error *err)
{
    if (status == KOL_OK) {
        return EXIT_DONE;
    }
    fprintf(stderr, "kol %s: %s\n", command, err->message);
    if (status == KOL_INTERRUPTED) {
        return EXIT_INTERRUPTED;
    }
    return status == KOL_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static int run_command(const struct command *command, int argc, char **argv,
                       const char *const *environment)
{
    const struct config_option *own;
    size_t own_count = command_flags(command, &own);
    struct line line = {0};
    struct kol_error err = {KOL_OK, ""};
    struct invocation call = {
        .command = command,
        .config = config_new(command_options, OPTION_COUNT),
        .flags = config_new(own, own_count),
    };
    collect_known(&line, &call);
    enum kol_status status = parse_line(&line, command, argc, argv, &err);
    if (status == KOL_OK && line.help) {
        command_print_help(stdout, command);
    } else if (status == KOL_OK) {
        call.args = line.args;
        call.arg_count = line.arg_count;
        status = read_sources(call.config, environment, &err);
        if (status != KOL_OK && status != KOL_USAGE) {
            status = KOL_USAGE; /* a file that cannot be read is a wrong setting too */
        }
        if (status == KOL_OK) {
            status = run(&call, &err);
        }
    }
    int exit_status = report(command->name, status, &err);
    free_line(&line);
    config_free(&call.config);
    config_free(&call.flags);
    return exit_status;
}

static int fail_command(const char *word)
{
    const char **names = mem_zalloc(command_count, sizeof *names);
    for (size_t i = 0; i < command_count; i++) {
        names[i] = commands[i].name;
    }
    const char *nearest = str_nearest(str_of(word), names, command_count);
    fprintf(stderr, "kol: no command '%s'%s%s%s (`kol help` lists them)\n", word,
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    free(names);
    return EXIT_USAGE;
}

/*
 * Occupies 0, 1 and 2 where the caller has closed them: else the next file that is opened, the
 * log's lock file say, would take what is printed. They are opened the wrong way round, so that
 * reading stdin and writing to stdout fail instead of seeming to work.
 */
static void hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            int got = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
            KOL_ASSERT(got == fd);
        }
    }
}

int command_main(int argc, char **argv, const char *const *environment)
{
    hold_standard_files();
    signals_install();
    if (argc < 2) {
        command_print_help(stderr, NULL);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        word = "help";
    } else if (strcmp(word, "--version") == 0) {
        word = "version";
    }
    const struct command *command = command_find(str_of(word));
    if (!command) {
        return fail_command(word);
    }
    int exit_status = run_command(command, argc, argv, environment);
    if ((fflush(stdout) != 0 || ferror(stdout)) && exit_status == EXIT_DONE) {
        fprintf(stderr, "kol %s: the output could not be written\n", command->name);
        exit_status = EXIT_FAILED;
    }
    return exit_status;
}

/* ---- what several commands need ---- */

enum kol_status command_open_bus(const struct invocation *call, bool read_only, struct bus **out,
                                 struct kol_error *err)
{
    enum kol_status status = backup_check_restored(call->data, err);
    if (status != KOL_OK) {
        return status;
    }
    char *path = file_join(call->data, "log");
    struct bus_options options = {
        .path = path,
        .map_bytes = config_int(call->config, OPTION_LOG_MAP_SIZE),
        .default_partitions = (int32_t)config_int(call->config, OPTION_LOG_PARTITIONS),
        .retention_us = config_int(call->config, OPTION_LOG_RETENTION),
        .retention_bytes = config_int(call->config, OPTION_LOG_RETENTION_BYTES),
        .read_only = read_only,
    };
    status = bus_open(&options, out, err);
    if (status == KOL_NOT_FOUND && read_only) {
        status =
            kol_fail(err, KOL_NOT_FOUND,
                     "no event log in %s yet: `kol demo` makes one with demo data, `kol import` "
                     "one from files",
                     path);
    }
    free(path);
    return status;
}

enum kol_status command_open_lake(const struct invocation *call, bool read_only, struct lake **out,
                                  struct kol_error *err)
{
    const struct lake_options options = {
        .data = call->data,
        .sql_folder = config_text(call->config, OPTION_LAKE_SQL),
        .memory_bytes = config_int(call->config, OPTION_LAKE_MEMORY),
        .threads = (int)config_int(call->config, OPTION_LAKE_THREADS),
        .read_only = read_only,
    };
    enum kol_status status = backup_check_restored(call->data, err);
    return status == KOL_OK ? lake_open(&options, out, err) : status;
}

enum kol_status command_load_models(const struct invocation *call, struct score_models *out,
                                    struct kol_error *err)
{
    struct registry *registry = NULL;
    const struct registry_options options = {.data = call->data};
    enum kol_status status = registry_open(&options, &registry, err);
    if (status == KOL_OK) {
        status = registry_serving(registry, out, err);
    }
    registry_close(&registry);
    return status;
}
