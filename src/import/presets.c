/* presets.c: where presets come from: a path, a folder of one's own, the program itself. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/embedded.h"
#include "base/file.h"
#include "base/mem.h"
#include "import/preset.h"

extern const struct embedded_file embedded_presets[];
extern const size_t embedded_presets_count;

static bool ends_in_json(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".json") == 0;
}

static enum kol_status load_file(const char *path, struct preset **out, struct kol_error *err)
{
    struct buf text = {0};
    enum kol_status status = file_read(path, PRESET_MAX_BYTES, &text, err);
    if (status == KOL_OK) {
        status = preset_parse(buf_str(&text), path, out, err);
    }
    buf_free(&text);
    return status;
}

static enum kol_status load_embedded(const struct embedded_file *row, struct preset **out,
                                     struct kol_error *err)
{
    struct str text = {(const char *)row->bytes, row->len};
    return preset_parse(text, row->name, out, err);
}

/* The names of all presets: those of the folder first, then those of the program that the folder
 * does not hide. Each is for free(), and so is the array. */
struct names {
    char **items;
    size_t count, cap;
    size_t from_folder; /* so many of them */
};

static void names_add(struct names *names, const char *name, size_t len)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strlen(names->items[i]) == len && memcmp(names->items[i], name, len) == 0) {
            return;
        }
    }
    if (names->count == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 16;
        names->items = mem_realloc(names->items, names->cap * sizeof *names->items);
    }
    names->items[names->count++] = mem_strndup(name, len);
}

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i]);
    }
    free(names->items);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum kol_status names_of_folder(const char *folder, struct names *names,
                                       struct kol_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        return kol_fail_errno(err, errno, "import.presets: cannot read folder %s", folder);
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.' && ends_in_json(entry->d_name)) {
            names_add(names, entry->d_name, strlen(entry->d_name) - 5);
        }
    }
    closedir(dir);
    if (names->count) {
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    }
    names->from_folder = names->count;
    return KOL_OK;
}

static enum kol_status names_of_all(const char *folder, struct names *names, struct kol_error *err)
{
    enum kol_status status = folder ? names_of_folder(folder, names, err) : KOL_OK;
    for (size_t i = 0; i < embedded_presets_count; i++) {
        names_add(names, embedded_presets[i].name, strlen(embedded_presets[i].name));
    }
    return status;
}

static enum kol_status load_from_folder(const char *folder, const char *name, struct preset **out,
                                        struct kol_error *err)
{
    struct buf file = {0};
    buf_printf(&file, "%s.json", name);
    char *path = file_join(folder, file.ptr);
    enum kol_status status = load_file(path, out, err);
    free(path);
    buf_free(&file);
    return status;
}

/* Loads names->items[i]. */
static enum kol_status load_named(const struct names *names, size_t i, const char *folder,
                                  struct preset **out, struct kol_error *err)
{
    if (i < names->from_folder) {
        return load_from_folder(folder, names->items[i], out, err);
    }
    for (size_t row = 0; row < embedded_presets_count; row++) {
        if (strcmp(embedded_presets[row].name, names->items[i]) == 0) {
            return load_embedded(&embedded_presets[row], out, err);
        }
    }
    kol_panic("preset %s is named and not there", names->items[i]);
}

enum kol_status preset_find(const char *name, const char *folder, struct preset **out,
                            struct kol_error *err)
{
    struct names names = {0};
    if (strchr(name, '/') || ends_in_json(name)) {
        return load_file(name, out, err);
    }
    enum kol_status status = names_of_all(folder, &names, err);
    bool found = false;
    for (size_t i = 0; status == KOL_OK && !found && i < names.count; i++) {
        if (strcmp(names.items[i], name) == 0) {
            found = true;
            status = load_named(&names, i, folder, out, err);
        }
    }
    if (status == KOL_OK && !found) {
        const char *near = str_nearest(str_of(name), (const char *const *)names.items, names.count);
        status = near ? kol_fail(err, KOL_USAGE, "no preset \"%s\"; is \"%s\" meant?", name, near)
                      : kol_fail(err, KOL_USAGE, "no preset \"%s\"; `kol import --list` shows all",
                                 name);
    }
    names_free(&names);
    return status;
}

enum kol_status preset_list(const char *folder,
                            void (*each)(const struct preset *preset, const char *origin,
                                         void *user),
                            void *user, struct kol_error *err)
{
    struct names names = {0};
    enum kol_status status = names_of_all(folder, &names, err);
    for (size_t i = 0; status == KOL_OK && i < names.count; i++) {
        struct preset *preset = NULL;
        status = load_named(&names, i, folder, &preset, err);
        if (status == KOL_OK) {
            each(preset, i < names.from_folder ? folder : "built in", user);
        }
        preset_free(&preset);
    }
    names_free(&names);
    return status;
}

const char *preset_format_name(enum preset_format format)
{
    return format == PRESET_CSV ? "csv" : "ndjson";
}

static void put_step(struct buf *out, const struct transform_step *step)
{
    buf_puts(out, transform_name(step->transform));
    if (step->text.len) {
        buf_printf(out, " \"%.*s\"", STR_FORMAT(step->text));
    }
    size_t stride = transform_argument(step->transform) == ARGUMENT_MAP ? 2 : 1;
    for (size_t i = 0; i < step->item_count; i += stride) {
        buf_printf(out, "%s\"%.*s\"", i ? ", " : " ", STR_FORMAT(step->items[i]));
        if (stride == 2) {
            buf_printf(out, " to \"%.*s\"", STR_FORMAT(step->items[i + 1]));
        }
    }
}

static void put_condition(struct buf *out, const struct preset_layout *layout, const char *word,
                          const struct preset_condition *condition)
{
    static const char *const tests[] = {
        [TEST_EQUALS] = "=",
        [TEST_CONTAINS] = "contains",
        [TEST_NOT_EMPTY] = "is not empty",
        [TEST_EMPTY] = "is empty",
    };
    if (condition->test == TEST_ALWAYS) {
        return;
    }
    buf_printf(out, "%s%.*s %s", word, STR_FORMAT(layout->columns[condition->column]),
               tests[condition->test]);
    if (condition->test == TEST_EQUALS || condition->test == TEST_CONTAINS) {
        buf_printf(out, " \"%.*s\"", STR_FORMAT(condition->text));
    }
}

void preset_put_rule(struct buf *out, const struct preset_layout *layout,
                     const struct preset_rule *rule)
{
    if (rule->is_constant) {
        buf_printf(out, "\"%.*s\"", STR_FORMAT(rule->constant));
    } else {
        buf_put(out, layout->columns[rule->column]);
    }
    for (size_t i = 0; i < rule->step_count; i++) {
        buf_puts(out, i ? ", " : " (");
        put_step(out, &rule->steps[i]);
    }
    buf_puts(out, rule->step_count ? ")" : "");
    if (rule->empty_is_value) {
        buf_puts(out, "; empty is a value");
        put_condition(out, layout, " where ", &rule->empty_when);
    }
    put_condition(out, layout, "; where ", &rule->when);
}
