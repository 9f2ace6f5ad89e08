/*
 * aliases.c: aliases.json: which version each alias of a model points at, and where it pointed
 * before.
 *
 *   {"format": 1,
 *    "aliases": {"production": {"version": "3", "before": ["", "1"]}},
 *    "history": [{"at": "...", "alias": "production", "from": "1", "to": "3", "how": "move"}]}
 *
 * `before` is what rollbacks go back through, the newest last; "" is "set to nothing". `history`
 * tells people what happened, rollbacks included, and is read by nobody. Both are cut at the old
 * end. The file is replaced in one step by who holds the lock of the folder; readers see one whole
 * state.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "registry/backend.h"

enum { FORMAT = 1, MAX_BYTES = 16 << 20, KEPT_MOVES = 1000, MAX_ALIASES = 1000 };

static enum kol_status broken(const char *path, const char *why, struct kol_error *err)
{
    return kol_fail(err, KOL_CORRUPT,
                    "%s: %s; take it from a backup, or remove it: then no alias is set", path, why);
}

/* What is read must be as this program writes it: nobody guesses which model serves. */
static enum kol_status check_alias(const char *path, const char *alias, const json_t *row,
                                   struct kol_error *err)
{
    size_t i;
    json_t *item;
    const char *version = json_string_value(json_object_get(row, "version"));
    json_t *before = json_object_get(row, "before");
    bool good = version && strlen(version) < REGISTRY_NAME_BYTES &&
                strlen(alias) < REGISTRY_NAME_BYTES && json_is_array(before);
    json_array_foreach(before, i, item)
    {
        good = good && json_is_string(item) && json_string_length(item) < REGISTRY_NAME_BYTES;
    }
    return good ? KOL_OK : broken(path, "an alias in it has no version or no list before", err);
}

static enum kol_status check_file(const char *path, json_t *file, struct kol_error *err)
{
    const char *alias;
    json_t *row;
    json_t *aliases = json_object_get(file, "aliases");
    json_int_t format = json_integer_value(json_object_get(file, "format"));
    enum kol_status status = KOL_OK;
    if (format > FORMAT) {
        return kol_fail(err, KOL_UNSUPPORTED, "%s: a newer program wrote it", path);
    }
    if (format < 1 || !json_is_object(aliases) ||
        !json_is_array(json_object_get(file, "history")) ||
        json_object_size(aliases) > MAX_ALIASES) {
        return broken(path, "is no list of aliases", err);
    }
    json_object_foreach(aliases, alias, row)
    {
        if (status == KOL_OK) {
            status = check_alias(path, alias, row, err);
        }
    }
    return status;
}

/* The file as JSON; an empty one where there is none. The caller lets it go. */
static enum kol_status load(const char *path, json_t **out, struct kol_error *err)
{
    struct buf bytes = {0};
    struct kol_error none;
    json_error_t why;
    *out = NULL;
    enum kol_status status = file_read(path, MAX_BYTES, &bytes, &none);
    if (status == KOL_NOT_FOUND) {
        *out = json_pack("{s:i, s:{}, s:[]}", "format", FORMAT, "aliases", "history");
        status = KOL_OK;
    } else if (status != KOL_OK) {
        status = kol_fail(err, status, "%s", none.message);
    } else {
        *out = json_loadb(bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, &why);
        status = json_is_object(*out) ? check_file(path, *out, err)
                                      : broken(path, *out ? "is no object" : why.text, err);
    }
    if (status != KOL_OK) {
        json_decref(*out);
        *out = NULL;
    }
    buf_free(&bytes);
    return status;
}

enum kol_status aliases_read(const char *folder, struct arena *arena, struct registry_aliases *out,
                             struct kol_error *err)
{
    json_t *file, *row;
    const char *alias;
    char *path = file_join(folder, "aliases.json");
    *out = (struct registry_aliases){0};
    enum kol_status status = load(path, &file, err);
    if (status == KOL_OK) {
        json_t *aliases = json_object_get(file, "aliases");
        out->rows = arena_alloc(arena, (json_object_size(aliases) + 1) * sizeof *out->rows);
        json_object_foreach(aliases, alias, row)
        {
            const char *version = json_string_value(json_object_get(row, "version"));
            struct registry_alias_row *to = &out->rows[out->count];
            if (version[0]) {
                snprintf(to->alias, sizeof to->alias, "%s", alias);
                snprintf(to->version, sizeof to->version, "%s", version);
                out->count++;
            }
        }
    }
    json_decref(file);
    free(path);
    return status;
}

/* ---- moving ---- */

static void cut_front(json_t *array)
{
    while (json_array_size(array) > KEPT_MOVES) {
        json_array_remove(array, 0);
    }
}

static void add_history(json_t *file, const char *alias, const char *from, const char *to,
                        const char *how)
{
    struct buf at = {0};
    json_t *history = json_object_get(file, "history");
    clock_format(&at, clock_now_us());
    json_array_append_new(history, json_pack("{s:s, s:s, s:s, s:s, s:s}", "at", at.ptr, "alias",
                                             alias, "from", from, "to", to, "how", how));
    cut_front(history);
    buf_free(&at);
}

/* The row of an alias, made where there is none; `from` gets where it points. */
static json_t *row_of(json_t *file, const char *alias, char from[REGISTRY_NAME_BYTES])
{
    json_t *aliases = json_object_get(file, "aliases");
    json_t *row = json_object_get(aliases, alias);
    if (!row) {
        row = json_pack("{s:s, s:[]}", "version", "", "before");
        json_object_set_new(aliases, alias, row);
    }
    snprintf(from, REGISTRY_NAME_BYTES, "%s", json_string_value(json_object_get(row, "version")));
    return row;
}

static enum kol_status store(const char *path, const json_t *file, struct kol_error *err)
{
    char *text = json_dumps(file, JSON_INDENT(1));
    FAILPOINT("registry.alias");
    enum kol_status status = file_replace(path, str_of(text), err);
    FAILPOINT("registry.moved");
    free(text);
    return status;
}

enum kol_status aliases_move(const char *folder, const char *alias, const char *version,
                             struct kol_error *err)
{
    json_t *file;
    char from[REGISTRY_NAME_BYTES];
    char *path = file_join(folder, "aliases.json");
    enum kol_status status = load(path, &file, err);
    if (status == KOL_OK) {
        json_t *row = row_of(file, alias, from);
        json_t *before = json_object_get(row, "before");
        if (strcmp(from, version) != 0) { /* else it is as wished already */
            json_array_append_new(before, json_string(from));
            cut_front(before);
            json_object_set_new(row, "version", json_string(version));
            add_history(file, alias, from, version, "move");
            status = store(path, file, err);
        }
    }
    json_decref(file);
    free(path);
    return status;
}

/* Takes from `before` until there is one to go back to; where it points already is none. */
static enum kol_status pop(json_t *before, const char *alias, const char *from,
                           const struct registry_back *back, char now[REGISTRY_NAME_BYTES],
                           struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t moves = json_array_size(before); moves && status == KOL_OK; moves--) {
        snprintf(now, REGISTRY_NAME_BYTES, "%s",
                 json_string_value(json_array_get(before, moves - 1)));
        json_array_remove(before, moves - 1);
        if (strcmp(now, from) != 0 && back->may(now, back->user, &status, err)) {
            return KOL_OK;
        }
    }
    return status == KOL_OK
               ? kol_fail(err, KOL_NOT_FOUND, "%s has no move that could be taken back", alias)
               : status;
}

enum kol_status aliases_back(const char *folder, const char *alias,
                             const struct registry_back *back, char now[REGISTRY_NAME_BYTES],
                             struct kol_error *err)
{
    json_t *file;
    char from[REGISTRY_NAME_BYTES];
    char *path = file_join(folder, "aliases.json");
    enum kol_status status = load(path, &file, err);
    if (status == KOL_OK) {
        json_t *row = row_of(file, alias, from);
        status = pop(json_object_get(row, "before"), alias, from, back, now, err);
        if (status == KOL_OK) {
            json_object_set_new(row, "version", json_string(now));
            add_history(file, alias, from, now, "rollback");
            status = store(path, file, err);
        }
    }
    json_decref(file);
    free(path);
    return status;
}

static void raise_to(int64_t *highest, const json_t *version)
{
    int64_t number;
    if (json_is_string(version) && str_to_int64(str_of(json_string_value(version)), &number) &&
        number > *highest) {
        *highest = number;
    }
}

int64_t aliases_highest(const char *folder)
{
    json_t *file, *row, *item;
    const char *alias;
    size_t i;
    int64_t highest = 0;
    char *path = file_join(folder, "aliases.json");
    if (load(path, &file, NULL) == KOL_OK) {
        json_object_foreach(json_object_get(file, "aliases"), alias, row)
        {
            raise_to(&highest, json_object_get(row, "version"));
            json_array_foreach(json_object_get(row, "before"), i, item)
            {
                raise_to(&highest, item);
            }
        }
        json_array_foreach(json_object_get(file, "history"), i, item)
        {
            raise_to(&highest, json_object_get(item, "from"));
            raise_to(&highest, json_object_get(item, "to"));
        }
    }
    json_decref(file);
    free(path);
    return highest;
}
