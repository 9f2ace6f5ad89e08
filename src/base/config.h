/*
 * config.h: options from one table: flag = environment variable = file key.
 *
 * An option called "log.partitions" is the flag --log-partitions, the variable KOL_LOG_PARTITIONS
 * and the file key `log.partitions = 8` (or `partitions = 8` under `[log]`). Later sources win:
 * default, file, environment, flag. A name that no option has is an error with the nearest name.
 * The mechanism is here and knows no option; the program's table is cmd/options.def.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum config_kind {
    CONFIG_TEXT,
    CONFIG_INT,
    CONFIG_BOOL,
    CONFIG_CHOICE,
    CONFIG_SIZE,     /* bytes: 64k, 10MB, 2GiB, plain number; powers of 1024 */
    CONFIG_DURATION, /* 250ms, 30s, 5m, 12h, 7d; kept in microseconds; plain numbers are refused */
};

struct config_option {
    const char *name; /* "log.partitions" */
    enum config_kind kind;
    const char *fallback; /* the default, as text; NULL: not set */
    int64_t min, max;     /* of INT, SIZE and DURATION (in their unit); both 0: no bounds */
    const char *choices;  /* space-separated, of CHOICE */
    const char *alias;    /* another environment variable that sets it ("REDIS_HOST"), or NULL */
    bool secret;          /* shown as ******** */
    const char *used_by;  /* commands that take it as a flag, space-separated; "*": all of them */
    const char *help;
};

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG
};

struct config;

/* `options` must outlive the configuration. */
struct config *config_new(const struct config_option *options, size_t count);
void config_free(struct config **config);

/* Sets one option by name. `origin` says where the value stands ("kol.conf:3", "--log-partitions").
 * A weaker source never overwrites a stronger one. KOL_USAGE with the reason. */
enum kol_status config_set(struct config *config, struct str name, struct str value,
                           enum config_source source, const char *origin,
                           struct kol_error *err) KOL_CHECKED;

/* Reads a file: `key = value` lines, `[section]`, `#` comments, values bare or in double quotes. */
enum kol_status config_read_file(struct config *config, const char *path,
                                 struct kol_error *err) KOL_CHECKED;
enum kol_status config_read_text(struct config *config, struct str text, const char *path,
                                 struct kol_error *err) KOL_CHECKED;

/* Reads KOL_* and the aliases out of `environment` (as main()'s envp). Names that start with
 * KOL_TEST_ are left alone; another KOL_ name that is no option is an error. */
enum kol_status config_read_environment(struct config *config, const char *const *environment,
                                        struct kol_error *err) KOL_CHECKED;

/* Values by index of the table. Text is NULL where nothing is set and there is no default. */
const char *config_text(const struct config *config, size_t option);
int64_t config_int(const struct config *config,
                   size_t option); /* INT, SIZE, DURATION, CHOICE index */
bool config_bool(const struct config *config, size_t option);

/* The value as text with secrets masked ("" where unset), and where it comes from. */
const char *config_shown(const struct config *config, size_t option);
const char *config_origin(const struct config *config, size_t option);
enum config_source config_source_of(const struct config *config, size_t option);

/* "--log-partitions" and "KOL_LOG_PARTITIONS", appended. */
void config_put_flag(struct buf *out, const char *name);
void config_put_variable(struct buf *out, const char *name);

#endif
