/* config.c: the mechanism behind the table of options: names, values, origins. */
#include "base/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum { MAX_FILE_BYTES = 1 << 20, MAX_VALUE_BYTES = 65536 };

struct value {
    char *text; /* as given; NULL: not set */
    int64_t number;
    enum config_source source;
    char *origin;
};

struct config {
    const struct config_option *options;
    size_t count;
    struct value *values; /* by index of `options` */
};

/* ---- values ---- */

static enum kol_status fail_value(struct kol_error *err, const struct config_option *option,
                                  struct str value, const char *expected)
{
    return kol_fail(err, KOL_USAGE, "%s: '%.*s' is not %s", option->name,
                    (int)(value.len > 80 ? 80 : value.len), value.len ? value.ptr : "", expected);
}

/* The number in front of a unit, and the unit. Fractions are not taken: 1500ms says what 1.5s
 * means. */
static bool split_unit(struct str value, int64_t *number, struct str *unit)
{
    size_t digits = 0;
    while (digits < value.len && isdigit((unsigned char)value.ptr[digits])) {
        digits++;
    }
    *unit = str_trim((struct str){value.ptr + digits, value.len - digits});
    return str_to_int64((struct str){value.ptr, digits}, number);
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool scale(struct str value, const struct unit *units, size_t count, int64_t *out)
{
    int64_t number;
    struct str unit;
    if (!split_unit(value, &number, &unit)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (str_is_nocase(unit, units[i].name)) {
            return !__builtin_mul_overflow(number, units[i].factor, out);
        }
    }
    return false;
}

static bool parse_size(struct str value, int64_t *out)
{
    static const struct unit units[] = {{"", 1},
                                        {"b", 1},
                                        {"k", 1 << 10},
                                        {"kb", 1 << 10},
                                        {"kib", 1 << 10},
                                        {"m", 1 << 20},
                                        {"mb", 1 << 20},
                                        {"mib", 1 << 20},
                                        {"g", 1 << 30},
                                        {"gb", 1 << 30},
                                        {"gib", 1 << 30},
                                        {"t", INT64_C(1) << 40},
                                        {"tb", INT64_C(1) << 40},
                                        {"tib", INT64_C(1) << 40}};
    return scale(value, units, ARRAY_LEN(units), out);
}

static bool parse_duration(struct str value, int64_t *out)
{
    static const struct unit units[] = {{"us", 1},
                                        {"ms", 1000},
                                        {"s", 1000000},
                                        {"m", 60000000},
                                        {"min", 60000000},
                                        {"h", INT64_C(3600000000)},
                                        {"d", INT64_C(86400000000)}};
    return scale(value, units, ARRAY_LEN(units), out);
}

static bool parse_bool(struct str value, int64_t *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_is_nocase(value, words[i])) {
            *out = i & 1;
            return true;
        }
    }
    return false;
}

static bool parse_choice(struct str value, const char *choices, int64_t *out)
{
    struct str rest = str_of(choices);
    for (int64_t i = 0; rest.len; i++) {
        if (str_equal(str_cut(&rest, ' '), value)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static enum kol_status parse_value(const struct config_option *option, struct str value,
                                   int64_t *out, struct kol_error *err)
{
    char expected[160];
    switch (option->kind) {
    case CONFIG_TEXT: *out = 0; return KOL_OK;
    case CONFIG_BOOL:
        return parse_bool(value, out) ? KOL_OK : fail_value(err, option, value, "true or false");
    case CONFIG_CHOICE:
        snprintf(expected, sizeof expected, "one of: %s", option->choices);
        return parse_choice(value, option->choices, out) ? KOL_OK
                                                         : fail_value(err, option, value, expected);
    case CONFIG_INT:
        if (!str_to_int64(value, out)) {
            return fail_value(err, option, value, "a whole number");
        }
        break;
    case CONFIG_SIZE:
        if (!parse_size(value, out)) {
            return fail_value(err, option, value, "a size such as 64k, 10MB or 2GiB");
        }
        break;
    case CONFIG_DURATION:
        if (!parse_duration(value, out)) {
            return fail_value(err, option, value, "a time with its unit, such as 250ms, 30s or 7d");
        }
        break;
    }
    if ((option->min || option->max) && (*out < option->min || *out > option->max)) {
        snprintf(expected, sizeof expected, "within %lld and %lld%s", (long long)option->min,
                 (long long)option->max,
                 option->kind == CONFIG_DURATION ? " (microseconds)"
                 : option->kind == CONFIG_SIZE   ? " (bytes)"
                                                 : "");
        return fail_value(err, option, value, expected);
    }
    return KOL_OK;
}

/* ---- the table and its values ---- */

struct config *config_new(const struct config_option *options, size_t count)
{
    struct config *config = mem_zalloc(1, sizeof *config);
    config->options = options;
    config->count = count;
    config->values = mem_zalloc(count, sizeof *config->values);
    for (size_t i = 0; i < count; i++) {
        struct kol_error err;
        if (options[i].fallback &&
            config_set(config, str_of(options[i].name), str_of(options[i].fallback),
                       CONFIG_FROM_DEFAULT, "default", &err) != KOL_OK) {
            kol_panic("the default of an option is wrong: %s", err.message);
        }
    }
    return config;
}

void config_free(struct config **config)
{
    for (size_t i = 0; *config && i < (*config)->count; i++) {
        free((*config)->values[i].text);
        free((*config)->values[i].origin);
    }
    if (*config) {
        free((*config)->values);
    }
    free(*config);
    *config = NULL;
}

static enum kol_status fail_unknown(const struct config *config, struct str name,
                                    struct kol_error *err)
{
    const char **names = mem_zalloc(config->count, sizeof *names);
    for (size_t i = 0; i < config->count; i++) {
        names[i] = config->options[i].name;
    }
    const char *nearest = str_nearest(name, names, config->count);
    kol_fail(err, KOL_USAGE, "no option is called '%.*s'%s%s%s",
             (int)(name.len > 80 ? 80 : name.len), name.len ? name.ptr : "",
             nearest ? "; did you mean '" : "", nearest ? nearest : "",
             nearest ? "'?" : " (`kol config` lists them)");
    free(names);
    return KOL_USAGE;
}

static size_t find_option(const struct config *config, struct str name)
{
    size_t i = 0;
    while (i < config->count && !str_is(name, config->options[i].name)) {
        i++;
    }
    return i;
}

enum kol_status config_set(struct config *config, struct str name, struct str value,
                           enum config_source source, const char *origin, struct kol_error *err)
{
    size_t index = find_option(config, name);
    if (index == config->count) {
        return fail_unknown(config, name, err);
    }
    if (value.len > MAX_VALUE_BYTES || (value.len && memchr(value.ptr, '\0', value.len))) {
        return kol_fail(err, KOL_USAGE, "%s: the value is too long or holds a NUL byte",
                        config->options[index].name);
    }
    int64_t number;
    enum kol_status status = parse_value(&config->options[index], value, &number, err);
    struct value *slot = &config->values[index];
    if (status == KOL_OK && (!slot->text || source >= slot->source)) {
        free(slot->text);
        free(slot->origin);
        *slot = (struct value){mem_strndup(value.len ? value.ptr : "", value.len), number, source,
                               mem_strdup(origin)};
    }
    return status;
}

/* ---- files ---- */

/* The value behind '=': bare up to a comment, or in double quotes with \" and \\ inside. */
static bool unquote(struct str text, struct buf *out)
{
    buf_clear(out);
    if (!text.len || text.ptr[0] != '"') {
        for (size_t i = 0; i < text.len; i++) {
            if (text.ptr[i] == '#' &&
                (i == 0 || text.ptr[i - 1] == ' ' || text.ptr[i - 1] == '\t')) {
                text.len = i;
            }
        }
        buf_put(out, str_trim(text));
        return true;
    }
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '"') {
            struct str rest = str_trim((struct str){text.ptr + i + 1, text.len - i - 1});
            return !rest.len || rest.ptr[0] == '#';
        }
        if (text.ptr[i] == '\\' && i + 1 < text.len &&
            (text.ptr[i + 1] == '"' || text.ptr[i + 1] == '\\')) {
            i++;
        }
        buf_putc(out, text.ptr[i]);
    }
    return false;
}

/* One line of a file; `section` is what the last [section] said. */
static enum kol_status read_line(struct config *config, struct str line, struct buf *section,
                                 const char *origin, struct kol_error *err)
{
    line = str_trim(line);
    if (!line.len || line.ptr[0] == '#') {
        return KOL_OK;
    }
    if (line.ptr[0] == '[') {
        if (line.ptr[line.len - 1] != ']') {
            return kol_fail(err, KOL_USAGE, "a section is written [name]");
        }
        buf_clear(section);
        buf_put(section, str_trim((struct str){line.ptr + 1, line.len - 2}));
        return KOL_OK;
    }
    struct str rest = line, key = str_trim(str_cut(&rest, '='));
    if (!rest.ptr || !key.len) {
        return kol_fail(err, KOL_USAGE, "expected `name = value`, a [section] or a # comment");
    }
    struct buf name = {0}, value = {0};
    if (section->len) {
        buf_printf(&name, "%.*s.", STR_FORMAT(buf_str(section)));
    }
    buf_put(&name, key);
    enum kol_status status =
        unquote(str_trim(rest), &value)
            ? config_set(config, buf_str(&name), buf_str(&value), CONFIG_FROM_FILE, origin, err)
            : kol_fail(err, KOL_USAGE, "the quotes around the value do not match");
    buf_free(&name);
    buf_free(&value);
    return status;
}

enum kol_status config_read_text(struct config *config, struct str text, const char *path,
                                 struct kol_error *err)
{
    struct buf section = {0}, origin = {0};
    enum kol_status status = KOL_OK;
    if (!text_is_utf8(text)) {
        return kol_fail(err, KOL_USAGE, "%s: is not UTF-8 text", path);
    }
    if (str_starts(text, STR("\xef\xbb\xbf"))) {
        text = (struct str){text.ptr + 3, text.len - 3};
    }
    for (int line = 1; text.len && status == KOL_OK; line++) {
        buf_clear(&origin);
        buf_printf(&origin, "%s:%d", path, line);
        status = read_line(config, str_cut(&text, '\n'), &section, origin.ptr, err);
    }
    if (status != KOL_OK) {
        kol_wrap(err, "%s", origin.ptr);
    }
    buf_free(&section);
    buf_free(&origin);
    return status;
}

enum kol_status config_read_file(struct config *config, const char *path, struct kol_error *err)
{
    struct buf text = {0};
    enum kol_status status = file_read(path, MAX_FILE_BYTES, &text, err);
    if (status == KOL_OK) {
        status = config_read_text(config, buf_str(&text), path, err);
    }
    buf_free(&text);
    return status;
}

/* ---- environment ---- */

void config_put_flag(struct buf *out, const char *name)
{
    buf_puts(out, "--");
    for (; *name; name++) {
        buf_putc(out, *name == '.' || *name == '_' ? '-' : *name);
    }
}

void config_put_variable(struct buf *out, const char *name)
{
    buf_puts(out, "KOL_");
    for (; *name; name++) {
        buf_putc(out, *name == '.' ? '_' : (char)toupper((unsigned char)*name));
    }
}

static const struct config_option *option_of_variable(const struct config *config,
                                                      struct str variable)
{
    const struct config_option *found = NULL;
    struct buf own = {0};
    for (size_t i = 0; i < config->count && !found; i++) {
        const struct config_option *option = &config->options[i];
        buf_clear(&own);
        config_put_variable(&own, option->name);
        if (str_equal(variable, buf_str(&own)) ||
            (option->alias && str_is(variable, option->alias))) {
            found = option;
        }
    }
    buf_free(&own);
    return found;
}

static enum kol_status fail_variable(const struct config *config, struct str variable,
                                     struct kol_error *err)
{
    char **names = mem_zalloc(config->count, sizeof *names);
    for (size_t i = 0; i < config->count; i++) {
        struct buf name = {0};
        config_put_variable(&name, config->options[i].name);
        names[i] = name.ptr;
    }
    const char *nearest = str_nearest(variable, (const char *const *)names, config->count);
    kol_fail(err, KOL_USAGE, "the environment sets %.*s, which is no option%s%s%s",
             STR_FORMAT(variable), nearest ? "; did you mean " : "", nearest ? nearest : "",
             nearest ? "?" : "");
    for (size_t i = 0; i < config->count; i++) {
        free(names[i]);
    }
    free(names);
    return KOL_USAGE;
}

enum kol_status config_read_environment(struct config *config, const char *const *environment,
                                        struct kol_error *err)
{
    /* Own names go second, so that KOL_REDIS_HOST wins over REDIS_HOST whatever the order. */
    for (int own_names = 0; own_names < 2; own_names++) {
        for (const char *const *entry = environment; *entry; entry++) {
            struct str value = str_of(*entry), variable = str_cut(&value, '=');
            bool own = str_starts(variable, STR("KOL_"));
            if (own != own_names || str_starts(variable, STR("KOL_TEST_"))) {
                continue;
            }
            const struct config_option *option = option_of_variable(config, variable);
            if (!option && own) {
                return fail_variable(config, variable, err);
            }
            char origin[128];
            snprintf(origin, sizeof origin, "%.*s", STR_FORMAT(variable));
            if (option && config_set(config, str_of(option->name), value, CONFIG_FROM_ENVIRONMENT,
                                     origin, err) != KOL_OK) {
                return kol_wrap(err, "environment variable %s", origin);
            }
        }
    }
    return KOL_OK;
}

/* ---- reading ---- */

const char *config_text(const struct config *config, size_t option)
{
    return config->values[option].text;
}

int64_t config_int(const struct config *config, size_t option)
{
    return config->values[option].number;
}

bool config_bool(const struct config *config, size_t option)
{
    return config->values[option].number != 0;
}

const char *config_shown(const struct config *config, size_t option)
{
    const char *text = config->values[option].text;
    if (!text) {
        return "";
    }
    return config->options[option].secret && *text ? "********" : text;
}

const char *config_origin(const struct config *config, size_t option)
{
    const char *origin = config->values[option].origin;
    return origin ? origin : "not set";
}

enum config_source config_source_of(const struct config *config, size_t option)
{
    return config->values[option].source;
}
