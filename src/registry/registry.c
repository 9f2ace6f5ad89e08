/*
 * registry.c: what holds for every registry, whichever back end keeps it: names, what is checked
 * before a version is added or loaded, what ships, and what serves.
 */
#include "registry/registry.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "registry/backend.h"

struct registry {
    const struct registry_backend *backend;
    void *state; /* of the back end */
};

enum kol_status registry_open(const struct registry_options *options, struct registry **out,
                              struct kol_error *err)
{
    struct registry *registry = mem_zalloc(1, sizeof *registry);
    registry->backend = &registry_folder;
    enum kol_status status = registry->backend->open(options, &registry->state, err);
    if (status != KOL_OK) {
        free(registry);
        registry = NULL;
    }
    *out = registry;
    return status;
}

void registry_close(struct registry **registry)
{
    if (*registry) {
        (*registry)->backend->close((*registry)->state);
        free(*registry);
        *registry = NULL;
    }
}

/* ---- names ---- */

static enum kol_status kind_of(const char *model, enum score_kind *out, struct kol_error *err)
{
    struct buf names = {0};
    for (enum score_kind kind = 0; kind < SCORE_KINDS; kind++) {
        if (strcmp(score_kind_name(kind), model) == 0) {
            *out = kind;
            buf_free(&names);
            return KOL_OK;
        }
        buf_printf(&names, "%s%s", kind ? ", " : "", score_kind_name(kind));
    }
    enum kol_status status =
        kol_fail(err, KOL_NOT_FOUND, "%s: no such model; there are: %s", model, names.ptr);
    buf_free(&names);
    return status;
}

/* Names become names of files and words in lists. */
static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return len && len < REGISTRY_NAME_BYTES && name[len] == '\0' && name[0] != '-';
}

static bool is_number(const char *version)
{
    int64_t number;
    return version[0] >= '1' && version[0] <= '9' && str_to_int64(str_of(version), &number);
}

static void put_name(char to[REGISTRY_NAME_BYTES], const char *name)
{
    snprintf(to, REGISTRY_NAME_BYTES, "%s", name);
}

/* ---- aliases ---- */

static const char *target_of(const struct registry_aliases *aliases, const char *alias)
{
    for (size_t i = 0; i < aliases->count; i++) {
        if (strcmp(aliases->rows[i].alias, alias) == 0) {
            return aliases->rows[i].version;
        }
    }
    return NULL;
}

/* What serves by these aliases; "" for none. */
static const char *serving_of(const char *model, const struct registry_aliases *aliases)
{
    const char *version = target_of(aliases, REGISTRY_PRODUCTION);
    return version ? version : shipped_have(model) ? REGISTRY_SHIPPED : "";
}

static void add_aliases(struct registry_version *version, const struct registry_aliases *aliases,
                        struct arena *arena)
{
    struct buf names = {0};
    for (size_t i = 0; i < aliases->count; i++) {
        if (strcmp(aliases->rows[i].version, version->version) == 0) {
            buf_printf(&names, "%s%s", names.len ? " " : "", aliases->rows[i].alias);
        }
    }
    version->aliases = names.len ? arena_copy(arena, buf_str(&names)).ptr : "";
    version->serves = strcmp(serving_of(version->model, aliases), version->version) == 0;
    buf_free(&names);
}

/* ---- looking ---- */

struct listing {
    struct registry *registry;
    struct arena *arena;
    struct registry_version *all; /* grows in memory of its own until it is whole */
    size_t count;
};

static struct registry_version *add_rows(struct listing *listing, size_t more)
{
    listing->all = mem_realloc(listing->all, (listing->count + more + 1) * sizeof *listing->all);
    struct registry_version *first = listing->all + listing->count;
    memset(first, 0, (more + 1) * sizeof *first);
    listing->count += more;
    return first;
}

static enum kol_status list_model(struct listing *listing, const char *model, struct kol_error *err)
{
    const struct registry_backend *backend = listing->registry->backend;
    void *state = listing->registry->state;
    struct registry_aliases aliases;
    struct registry_version *found;
    size_t count, first = listing->count;
    struct kol_error why;
    enum kol_status status = backend->list(state, model, listing->arena, &found, &count, err);
    if (status == KOL_OK && count) {
        memcpy(add_rows(listing, count), found, count * sizeof *found);
    }
    if (status == KOL_OK && shipped_have(model)) {
        status = shipped_get(model, listing->arena, add_rows(listing, 1), err);
    }
    if (status != KOL_OK) {
        return status;
    }
    /* Aliases that cannot be read are a problem of each version, and not of other models. */
    bool known = backend->aliases(state, model, listing->arena, &aliases, &why) == KOL_OK;
    const char *problem = known ? NULL : arena_copy(listing->arena, str_of(why.message)).ptr;
    for (size_t i = first; i < listing->count; i++) {
        struct registry_version *row = &listing->all[i];
        if (known) {
            add_aliases(row, &aliases, listing->arena);
        } else if (!row->problem) {
            row->problem = problem;
        }
    }
    return KOL_OK;
}

enum kol_status registry_list(struct registry *registry, const char *model, struct arena *arena,
                              struct registry_version **out, size_t *count, struct kol_error *err)
{
    struct listing listing = {.registry = registry, .arena = arena};
    enum score_kind only = SCORE_TRUST;
    enum kol_status status = model ? kind_of(model, &only, err) : KOL_OK;
    for (enum score_kind kind = 0; kind < SCORE_KINDS && status == KOL_OK; kind++) {
        if (!model || kind == only) {
            status = list_model(&listing, score_kind_name(kind), err);
        }
    }
    *count = status == KOL_OK ? listing.count : 0;
    *out = NULL;
    if (*count) {
        *out = arena_alloc(arena, *count * sizeof **out);
        memcpy(*out, listing.all, *count * sizeof **out);
    }
    free(listing.all);
    return status;
}

static enum kol_status say_what_there_is(struct registry *registry, const char *model,
                                         const char *which, struct kol_error *err)
{
    struct arena arena;
    struct registry_version *all;
    size_t count;
    struct buf names = {0};
    arena_init(&arena, 0);
    enum kol_status status = registry_list(registry, model, &arena, &all, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        buf_printf(&names, "%s%s%s%s%s", i ? ", " : "", all[i].version,
                   all[i].aliases[0] ? " (" : "", all[i].aliases, all[i].aliases[0] ? ")" : "");
    }
    if (status == KOL_OK) {
        status = kol_fail(err, KOL_NOT_FOUND, "%s/%s: no such version; there is: %s", model, which,
                          count ? names.ptr : "none");
    }
    buf_free(&names);
    arena_free(&arena);
    return status;
}

/* Follows an alias; `which` may be a version already. */
static enum kol_status resolve(const char *model, const char *which,
                               const struct registry_aliases *aliases,
                               char version[REGISTRY_NAME_BYTES])
{
    const char *target = target_of(aliases, which);
    if (!target && strcmp(which, REGISTRY_PRODUCTION) == 0 && shipped_have(model)) {
        target = REGISTRY_SHIPPED;
    }
    if (!target && (is_number(which) || strcmp(which, REGISTRY_SHIPPED) == 0)) {
        target = which;
    }
    put_name(version, target ? target : "");
    return target && strlen(target) < REGISTRY_NAME_BYTES ? KOL_OK : KOL_NOT_FOUND;
}

static enum kol_status get_version(struct registry *registry, const char *model,
                                   const char *version, struct arena *arena,
                                   struct registry_version *out, struct kol_error *err)
{
    return strcmp(version, REGISTRY_SHIPPED) == 0
               ? shipped_get(model, arena, out, err)
               : registry->backend->get(registry->state, model, version, arena, out, err);
}

enum kol_status registry_find(struct registry *registry, const char *model, const char *which,
                              struct arena *arena, struct registry_version *out,
                              struct kol_error *err)
{
    struct registry_aliases aliases;
    char version[REGISTRY_NAME_BYTES];
    enum score_kind kind = SCORE_TRUST;
    enum kol_status status = kind_of(model, &kind, err);
    if (status == KOL_OK) {
        status = registry->backend->aliases(registry->state, model, arena, &aliases, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    status = resolve(model, which, &aliases, version);
    if (status == KOL_OK) {
        status = get_version(registry, model, version, arena, out, err);
    }
    if (status == KOL_NOT_FOUND) {
        return say_what_there_is(registry, model, which, err);
    }
    if (status == KOL_OK) {
        add_aliases(out, &aliases, arena);
    }
    return status;
}

enum kol_status registry_file(struct registry *registry, const struct registry_version *version,
                              const char *name, struct arena *arena, struct str *out,
                              struct kol_error *err)
{
    return strcmp(version->version, REGISTRY_SHIPPED) == 0
               ? shipped_file(version->model, name, arena, out, err)
               : registry->backend->file(registry->state, version->model, version->version, name,
                                         arena, out, err);
}

/* ---- adding ---- */

static enum kol_status check_model(enum score_kind kind, struct str text, struct kol_error *err)
{
    struct gbdt_model *gbdt = NULL;
    enum kol_status status = gbdt_parse(text, &gbdt, err);
    if (status == KOL_OK) {
        status = score_check_model(kind, gbdt, err);
    }
    gbdt_free(&gbdt);
    return status == KOL_OK ? KOL_OK
                            : kol_wrap(err, "model.txt is no model for %s", score_kind_name(kind));
}

static enum kol_status check_metadata(struct str text, struct kol_error *err)
{
    json_error_t why;
    json_t *json = json_loadb(text.len ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &why);
    enum kol_status status = KOL_OK;
    if (!json_is_object(json)) {
        status = kol_fail(err, KOL_INVALID, "metadata.json: %s", json ? "is no object" : why.text);
    } else if (text.len > REGISTRY_MAX_METADATA) {
        status = kol_fail(err, KOL_INVALID, "metadata.json: larger than %d bytes",
                          (int)REGISTRY_MAX_METADATA);
    }
    json_decref(json);
    return status;
}

/* Every file by a name that is safe and stands there once. */
static enum kol_status check_names(const struct registry_file *files, size_t count,
                                   struct kol_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = files[i].name;
        if (strchr(name, '/') || name[0] == '.' || name[0] == '\0' || strlen(name) > 128 ||
            strcmp(name, "version.json") == 0) {
            return kol_fail(err, KOL_INVALID, "'%s' is no name for a file of a version", name);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(files[j].name, name) == 0) {
                return kol_fail(err, KOL_INVALID, "%s is given twice", name);
            }
        }
    }
    return KOL_OK;
}

static const struct registry_file *find_file(const struct registry_file *files, size_t count,
                                             const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].name, name) == 0) {
            return &files[i];
        }
    }
    return NULL;
}

enum kol_status registry_add(struct registry *registry, const char *model, const char *source,
                             const struct registry_file *files, size_t count, char version[32],
                             struct kol_error *err)
{
    const struct registry_file *text = find_file(files, count, "model.txt");
    const struct registry_file *metadata = find_file(files, count, "metadata.json");
    enum score_kind kind = SCORE_TRUST;
    if (!text || !metadata) {
        return kol_fail(err, KOL_INVALID, "a version needs the files model.txt and metadata.json");
    }
    enum kol_status status = kind_of(model, &kind, err);
    if (status == KOL_OK && !is_name(source)) {
        status = kol_fail(err, KOL_INVALID, "'%s' is no word for where a version is from", source);
    }
    if (status == KOL_OK) {
        status = check_names(files, count, err);
    }
    if (status == KOL_OK) {
        status = check_metadata(metadata->bytes, err);
    }
    if (status == KOL_OK) {
        status = check_model(kind, text->bytes, err);
    }
    return status == KOL_OK
               ? registry->backend->add(registry->state, model, source, files, count, version, err)
               : status;
}

/* ---- moving aliases ---- */

static enum kol_status check_alias(const char *model, const char *alias, struct kol_error *err)
{
    enum score_kind kind = SCORE_TRUST;
    enum kol_status status = kind_of(model, &kind, err);
    if (status == KOL_OK &&
        (!is_name(alias) || is_number(alias) || strcmp(alias, REGISTRY_SHIPPED) == 0)) {
        status = kol_fail(err, KOL_INVALID,
                          "'%s' is no name for an alias: small letters, digits, _ and -, no number",
                          alias);
    }
    return status;
}

enum kol_status registry_alias(struct registry *registry, const char *model, const char *alias,
                               const char *version, struct kol_error *err)
{
    struct registry_version found;
    struct arena arena;
    arena_init(&arena, 0);
    enum kol_status status = check_alias(model, alias, err);
    if (status == KOL_OK) {
        status = registry_find(registry, model, version, &arena, &found, err);
    }
    if (status == KOL_OK) {
        status = registry->backend->move(registry->state, model, alias, found.version, err);
    }
    arena_free(&arena);
    return status;
}

/* ---- what serves ---- */

enum kol_status registry_no_model(enum score_kind kind, struct kol_error *err)
{
    const char *model = score_kind_name(kind);
    return kol_fail(err, KOL_NOT_FOUND,
                    "no %s model: none is in production and none ships with this program; `kol "
                    "train %s` makes one, `kol models promote %s VERSION` puts one into production",
                    model, model, model);
}

void registry_stamp(struct registry *registry, enum score_kind kind, const char *version,
                    struct registry_stamp *out)
{
    memset(out, 0, sizeof *out);
    if (!version || is_number(version)) {
        registry->backend->stamp(registry->state, score_kind_name(kind), version, out);
    }
}

enum kol_status registry_which_serves(struct registry *registry, enum score_kind kind,
                                      char version[REGISTRY_NAME_BYTES], struct kol_error *err)
{
    struct registry_aliases aliases;
    struct arena arena;
    const char *model = score_kind_name(kind);
    arena_init(&arena, 4096);
    enum kol_status status =
        registry->backend->aliases(registry->state, model, &arena, &aliases, err);
    if (status == KOL_OK) {
        put_name(version, serving_of(model, &aliases));
    }
    arena_free(&arena);
    return status;
}

static enum kol_status load_version(struct registry *registry, enum score_kind kind,
                                    const struct registry_version *version, struct score_model *out,
                                    struct kol_error *err)
{
    struct arena arena;
    struct str text;
    arena_init(&arena, 0);
    enum kol_status status = registry_file(registry, version, "model.txt", &arena, &text, err);
    if (status == KOL_OK) {
        status = gbdt_parse(text, &out->gbdt, err);
        if (status == KOL_OK) {
            status = score_check_model(kind, out->gbdt, err);
        }
        if (status != KOL_OK) {
            kol_wrap(err, "%s/%s/model.txt", version->model, version->version);
            gbdt_free(&out->gbdt);
        }
    }
    snprintf(out->version, sizeof out->version, "%s/%s", version->model, version->version);
    out->checksum = status == KOL_OK ? hash_checksum(text) : 0;
    arena_free(&arena);
    return status;
}

enum kol_status registry_load(struct registry *registry, enum score_kind kind, const char *which,
                              struct score_model *out, struct kol_error *err)
{
    struct registry_version version;
    struct arena arena;
    char serves[REGISTRY_NAME_BYTES] = "";
    enum kol_status status = KOL_OK;
    *out = (struct score_model){0};
    if (strcmp(which, REGISTRY_PRODUCTION) == 0) {
        status = registry_which_serves(registry, kind, serves, err);
        if (status == KOL_OK && !serves[0]) {
            return registry_no_model(kind, err);
        }
        which = serves;
    }
    arena_init(&arena, 0);
    if (status == KOL_OK) {
        status = registry_find(registry, score_kind_name(kind), which, &arena, &version, err);
    }
    if (status == KOL_OK) {
        status = load_version(registry, kind, &version, out, err);
    }
    arena_free(&arena);
    return status;
}

/* ---- rolling back ---- */

struct going_back {
    struct registry *registry;
    const char *model;
    enum score_kind kind;
    struct buf *skipped;
};

/* "" means that nothing is set; any other must be loaded, as by who serves it. */
static bool may_go_back(const char *version, void *user, enum kol_status *status,
                        struct kol_error *err)
{
    const struct going_back *going = user;
    struct score_model model;
    struct kol_error why = {0};
    if (!version[0]) {
        return true;
    }
    enum kol_status found = registry_load(going->registry, going->kind, version, &model, &why);
    gbdt_free(&model.gbdt);
    if (found == KOL_NOT_FOUND || found == KOL_CORRUPT) {
        buf_printf(going->skipped, "%s/%s is passed over: %s\n", going->model, version,
                   why.message);
    } else if (found != KOL_OK) {
        *status = kol_fail(err, found, "%s", why.message);
    }
    return found == KOL_OK;
}

enum kol_status registry_rollback(struct registry *registry, const char *model, const char *alias,
                                  char version[32], struct buf *skipped, struct kol_error *err)
{
    struct buf lines = {0};
    struct going_back going = {.registry = registry, .model = model, .skipped = &lines};
    enum kol_status status = check_alias(model, alias, err);
    if (status == KOL_OK) {
        status = kind_of(model, &going.kind, err);
    }
    if (status == KOL_OK) {
        const struct registry_back back = {may_go_back, &going};
        status = registry->backend->back(registry->state, model, alias, &back, version, err);
    }
    if (status == KOL_NOT_FOUND) {
        kol_wrap(err, "%s", model);
    }
    if (status == KOL_OK && !version[0] && strcmp(alias, REGISTRY_PRODUCTION) == 0 &&
        shipped_have(model)) {
        put_name(version, REGISTRY_SHIPPED);
    }
    if (skipped && lines.len) {
        buf_put(skipped, buf_str(&lines));
    }
    buf_free(&lines);
    return status;
}

enum kol_status registry_serving(struct registry *registry, struct score_models *out,
                                 struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    *out = (struct score_models){0};
    for (enum score_kind kind = 0; kind < SCORE_KINDS && status == KOL_OK; kind++) {
        char version[REGISTRY_NAME_BYTES];
        struct score_model *model = &out->by_kind[kind];
        status = registry_which_serves(registry, kind, version, err);
        if (status == KOL_OK && version[0]) {
            status = registry_load(registry, kind, version, model, err);
        } else {
            snprintf(model->version, sizeof model->version, "none");
        }
    }
    if (status != KOL_OK) {
        registry_serving_free(out);
    }
    return status;
}

void registry_serving_free(struct score_models *models)
{
    for (enum score_kind kind = 0; kind < SCORE_KINDS; kind++) {
        gbdt_free(&models->by_kind[kind].gbdt);
    }
}
