/* models.c: `kol models`: the versions of the models, which of them serves, and moving that. */
#include "cmd/models.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "backup/backup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "version.h"

enum kol_status models_kind(const char *model, enum score_kind *out, struct kol_error *err)
{
    const char *names[SCORE_KINDS];
    for (enum score_kind kind = 0; kind < SCORE_KINDS; kind++) {
        names[kind] = score_kind_name(kind);
        if (strcmp(model, names[kind]) == 0) {
            *out = kind;
            return KOL_OK;
        }
    }
    const char *near = str_nearest(str_of(model), names, SCORE_KINDS);
    return kol_fail(err, KOL_USAGE, "%s: no such model; there are trust and success%s%s", model,
                    near ? ", you may mean " : "", near ? near : "");
}

/* ---- list ---- */

static void put_or_null(struct rows *rows, const char *text)
{
    if (text && *text) {
        rows_text(rows, str_of(text));
    } else {
        rows_null(rows);
    }
}

static void put_version(struct rows *rows, const struct registry_version *version)
{
    rows_text(rows, str_of(version->model));
    rows_text(rows, str_of(version->version));
    rows_bool(rows, version->serves);
    put_or_null(rows, version->aliases);
    if (version->created_us) {
        rows_time(rows, version->created_us);
    } else {
        rows_null(rows);
    }
    put_or_null(rows, version->source);
    put_or_null(rows, version->problem);
}

/* Says on stderr which score has no model, so that an empty list is no riddle. */
static void tell_what_serves(struct registry *registry, enum score_kind kind,
                             const struct registry_version *all, size_t count)
{
    const char *model = score_kind_name(kind);
    struct kol_error why = {0};
    char version[32] = "";
    enum kol_status status = registry_which_serves(registry, kind, version, &why);
    bool serves = false;
    for (size_t i = 0; i < count; i++) {
        serves |= all[i].serves && strcmp(all[i].model, model) == 0;
    }
    if (status == KOL_OK && !version[0] && kind == SCORE_SUCCESS) {
        fputs("success: no model is in production, the rule answers\n", stderr);
    } else if (status == KOL_OK && !version[0]) {
        (void)registry_no_model(kind, &why);
        fprintf(stderr, "%s\n", why.message);
    } else if (status != KOL_OK) {
        fprintf(stderr, "%s: nobody knows what serves: %s\n", model, why.message);
    } else if (!serves) {
        fprintf(
            stderr,
            "%s: production names %s/%s, which is not there: `kol models rollback %s` goes back "
            "to what served before, or promote another one with --force\n",
            model, model, version, model);
    }
}

static enum kol_status list(const struct invocation *call, struct registry *registry,
                            struct kol_error *err)
{
    static const char *const names[] = {"model",   "version", "serves", "aliases",
                                        "created", "source",  "problem"};
    struct registry_version *all;
    struct arena arena;
    size_t count;
    const char *model = call->arg_count > 1 ? call->args[1] : NULL;
    enum score_kind only = SCORE_TRUST;
    arena_init(&arena, 0);
    enum kol_status status = model ? models_kind(model, &only, err) : KOL_OK;
    if (status == KOL_OK) {
        status = registry_list(registry, model, &arena, &all, &count, err);
    }
    if (status == KOL_OK) {
        struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
        for (size_t i = 0; i < count; i++) {
            put_version(rows, &all[i]);
        }
        status = rows_end(&rows, err);
        for (enum score_kind kind = 0; kind < SCORE_KINDS; kind++) {
            if (!model || kind == only) {
                tell_what_serves(registry, kind, all, count);
            }
        }
    }
    arena_free(&arena);
    return status;
}

/* ---- show ---- */

static void put_fact(struct rows *rows, const char *name, const char *value)
{
    rows_text(rows, str_of(name));
    put_or_null(rows, value);
}

/* A number as JSON; as text in a table, where a column of names and numbers reads from the left. */
static void put_json(struct rows *rows, enum rows_format format, const char *text)
{
    if (format == ROWS_TABLE) {
        rows_text(rows, str_of(text));
    } else {
        rows_json(rows, str_of(text));
    }
}

static void put_count(struct rows *rows, enum rows_format format, const char *name, size_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%zu", value);
    rows_text(rows, str_of(name));
    put_json(rows, format, text);
}

static bool is_leaf(const json_t *value)
{
    size_t i;
    json_t *item;
    if (!json_is_array(value)) {
        return !json_is_object(value);
    }
    json_array_foreach((json_t *)value, i, item)
    {
        if (json_is_object(item) || json_is_array(item)) {
            return false;
        }
    }
    return true;
}

/* What an item of a list is called: by its own name where it has one. */
static void put_item_name(struct buf *path, const json_t *item, size_t number)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    if (name) {
        buf_printf(path, ".%s", name);
    } else {
        buf_printf(path, ".%zu", number);
    }
}

static void put_leaf(struct rows *rows, enum rows_format format, const struct buf *path,
                     const json_t *value)
{
    rows_text(rows, buf_str(path));
    if (json_is_null(value)) {
        rows_null(rows);
    } else if (json_is_string(value)) {
        rows_text(rows, str_of(json_string_value(value)));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        put_json(rows, format, text);
        free(text);
    }
}

/* One row for each value, by its path; metadata is bounded in depth by jansson's own reader. */
static void put_values(struct rows *rows, enum rows_format format, struct buf *path,
                       const json_t *value)
{
    const char *key;
    json_t *item;
    size_t i, len = path->len;
    if (is_leaf(value)) {
        put_leaf(rows, format, path, value);
        return;
    }
    json_object_foreach((json_t *)value, key, item)
    {
        buf_printf(path, "%s%s", len ? "." : "", key);
        put_values(rows, format, path, item);
        path->ptr[path->len = len] = '\0';
    }
    json_array_foreach((json_t *)value, i, item)
    {
        put_item_name(path, item, i);
        put_values(rows, format, path, item);
        path->ptr[path->len = len] = '\0';
    }
}

static void put_number(struct buf *out, double value)
{
    if (value - value == 0) {
        buf_put_double(out, value);
    } else {
        buf_puts(out, value != value ? "nan" : value > 0 ? "inf" : "-inf");
    }
}

/* "range.log_followers": the range that the model saw, as the model file says it. */
static void put_feature(struct rows *rows, const char *feature_name,
                        const struct gbdt_feature *feature)
{
    struct buf name = {0}, range = {0};
    buf_printf(&name, "range.%s", feature_name);
    if (feature->range == GBDT_NUMERICAL) {
        buf_putc(&range, '[');
        put_number(&range, feature->min);
        buf_puts(&range, ", ");
        put_number(&range, feature->max);
        buf_putc(&range, ']');
    } else if (feature->range == GBDT_CATEGORIES) {
        buf_printf(&range, "%zu categories", feature->category_count);
    } else {
        buf_puts(&range, "unused");
    }
    rows_text(rows, buf_str(&name));
    rows_text(rows, buf_str(&range));
    buf_free(&name);
    buf_free(&range);
}

/* A model without names of its own was checked to have as many features. */
static void put_model(struct rows *rows, enum rows_format format, enum score_kind kind,
                      const struct gbdt_model *gbdt)
{
    const char *const *names = kind == SCORE_TRUST ? trust_feature_names : success_feature_names;
    put_fact(rows, "format", gbdt_version_text(gbdt));
    put_count(rows, format, "trees", gbdt_tree_count(gbdt));
    put_count(rows, format, "leaves", gbdt_leaf_count(gbdt));
    put_fact(rows, "evaluator", gbdt_path(gbdt));
    for (size_t i = 0; i < gbdt_feature_count(gbdt); i++) {
        put_feature(rows, names[i], &gbdt_features(gbdt)[i]);
    }
}

static enum kol_status show_version(const struct invocation *call, enum score_kind kind,
                                    const struct registry_version *version,
                                    const struct gbdt_model *gbdt, struct kol_error *err)
{
    static const char *const names[] = {"name", "value"};
    struct buf text = {0};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    json_t *metadata = json_loadb(version->metadata.ptr, version->metadata.len, 0, NULL);
    put_fact(rows, "model", version->model);
    put_fact(rows, "version", version->version);
    put_fact(rows, "aliases", version->aliases);
    rows_text(rows, STR("serves"));
    rows_bool(rows, version->serves);
    if (version->created_us) {
        clock_format(&text, version->created_us);
    }
    put_fact(rows, "created", text.ptr);
    put_fact(rows, "source", version->source);
    put_model(rows, call->format, kind, gbdt);
    buf_clear(&text);
    if (metadata && json_object_size(metadata)) {
        put_values(rows, call->format, &text, metadata);
    }
    json_decref(metadata);
    buf_free(&text);
    return rows_end(&rows, err);
}

static enum kol_status show(const struct invocation *call, struct registry *registry,
                            struct kol_error *err)
{
    struct registry_version version;
    struct score_model model = {.gbdt = NULL};
    struct arena arena;
    enum score_kind kind = SCORE_TRUST;
    arena_init(&arena, 0);
    enum kol_status status = models_kind(call->args[1], &kind, err);
    if (status == KOL_OK) {
        status = registry_load(registry, kind, call->args[2], &model, err);
    }
    if (status == KOL_OK) {
        status = registry_find(registry, call->args[1], call->args[2], &arena, &version, err);
    }
    if (status == KOL_OK) {
        status = show_version(call, kind, &version, model.gbdt, err);
    }
    gbdt_free(&model.gbdt);
    arena_free(&arena);
    return status;
}

/* ---- promote, rollback ---- */

static enum kol_status put_move(const struct invocation *call, const char *version,
                                struct kol_error *err)
{
    static const char *const names[] = {"model", "alias", "version"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    rows_text(rows, str_of(call->args[1]));
    rows_text(rows, STR(REGISTRY_PRODUCTION));
    put_or_null(rows, version);
    return rows_end(&rows, err);
}

static enum kol_status promote(const struct invocation *call, struct registry *registry,
                               struct kol_error *err)
{
    const char *model = call->args[1], *version = call->args[2];
    struct score_model loaded = {.gbdt = NULL};
    enum score_kind kind = SCORE_TRUST;
    enum kol_status status = models_kind(model, &kind, err);
    if (status == KOL_OK) { /* what cannot be loaded is not promoted, forced or not */
        status = registry_load(registry, kind, version, &loaded, err);
    }
    if (status == KOL_OK && !flag_bool(call, "force")) {
        status = models_check_better(call, registry, kind, version, err);
        if (status == KOL_CONFLICT) {
            kol_wrap(err, "%s is not promoted (--force does it all the same)", loaded.version);
        }
    }
    if (status == KOL_OK) { /* by number: an alias may have moved meanwhile */
        version = strchr(loaded.version, '/') + 1;
        status = registry_alias(registry, model, REGISTRY_PRODUCTION, version, err);
    }
    if (status == KOL_OK) {
        status = put_move(call, version, err);
    }
    gbdt_free(&loaded.gbdt);
    return status;
}

static enum kol_status rollback(const struct invocation *call, struct registry *registry,
                                struct kol_error *err)
{
    char version[32] = "";
    struct buf skipped = {0};
    enum score_kind kind = SCORE_TRUST;
    enum kol_status status = models_kind(call->args[1], &kind, err);
    if (status == KOL_OK) {
        status =
            registry_rollback(registry, call->args[1], REGISTRY_PRODUCTION, version, &skipped, err);
    }
    if (skipped.len) {
        fputs(skipped.ptr, stderr);
    }
    buf_free(&skipped);
    return status == KOL_OK ? put_move(call, version, err) : status;
}

/* ---- import ---- */

/* What is known of a model that was trained elsewhere. */
static char *import_metadata(const char *path, struct str bytes, const struct gbdt_model *gbdt)
{
    struct buf sum = {0};
    json_t *names = json_array();
    const char *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    hash_put_hex128(&sum, bytes);
    for (size_t i = 0; i < gbdt_feature_count(gbdt); i++) {
        struct str name = gbdt_features(gbdt)[i].name;
        json_array_append_new(names, json_stringn(name.ptr, name.len));
    }
    json_t *imported = json_pack("{s:s, s:s, s:I}", "file", text_is_utf8(str_of(file)) ? file : "?",
                                 "xxh128", sum.ptr, "bytes", (json_int_t)bytes.len);
    json_t *all = json_pack("{s:o, s:o, s:s}", "imported", imported, "feature_names", names, "kol",
                            KOL_VERSION);
    char *text = json_dumps(all, JSON_INDENT(2));
    json_decref(all);
    buf_free(&sum);
    return text;
}

static enum kol_status add_imported(const struct invocation *call, struct registry *registry,
                                    struct str bytes, char version[32], struct kol_error *err)
{
    struct gbdt_model *gbdt = NULL;
    enum kol_status status = gbdt_parse(bytes, &gbdt, err);
    if (status == KOL_OK) {
        char *metadata = import_metadata(call->args[2], bytes, gbdt);
        const struct registry_file files[] = {{"model.txt", bytes},
                                              {"metadata.json", str_of(metadata)}};
        status = registry_add(registry, call->args[1], "imported", files, ARRAY_LEN(files), version,
                              err);
        free(metadata);
    }
    if (status != KOL_OK) {
        kol_wrap(err, "%s", call->args[2]);
    }
    gbdt_free(&gbdt);
    return status;
}

static enum kol_status import(const struct invocation *call, struct registry *registry,
                              struct kol_error *err)
{
    static const char *const names[] = {"model", "version"};
    struct buf bytes = {0};
    char version[32];
    enum score_kind kind = SCORE_TRUST;
    enum kol_status status = models_kind(call->args[1], &kind, err);
    if (status == KOL_OK) {
        status = file_read(call->args[2], GBDT_MAX_BYTES, &bytes, err);
    }
    if (status == KOL_OK) {
        status = add_imported(call, registry, buf_str(&bytes), version, err);
    }
    if (status == KOL_OK) {
        struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
        rows_text(rows, str_of(call->args[1]));
        rows_text(rows, str_of(version));
        status = rows_end(&rows, err);
        fprintf(stderr, "%s/%s is there; `kol models promote %s %s` lets it serve.\n",
                call->args[1], version, call->args[1], version);
    }
    buf_free(&bytes);
    return status;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    size_t min_args, max_args; /* its own name included */
    enum kol_status (*run)(const struct invocation *call, struct registry *registry,
                           struct kol_error *err);
    const char *usage;
} verbs[] = {
    {"list", 1, 2, list, "list [MODEL]"},
    {"show", 3, 3, show, "show MODEL VERSION"},
    {"compare", 4, 4, models_compare, "compare MODEL A B"},
    {"promote", 3, 3, promote, "promote MODEL VERSION"},
    {"rollback", 2, 2, rollback, "rollback MODEL"},
    {"import", 3, 3, import, "import MODEL FILE"},
};

static enum kol_status unknown_verb(const char *word, struct kol_error *err)
{
    const char *names[ARRAY_LEN(verbs) + 1];
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        names[i] = verbs[i].name;
    }
    names[ARRAY_LEN(verbs)] = "ledger";
    const char *near = str_nearest(str_of(word), names, ARRAY_LEN(names));
    return kol_fail(err, KOL_USAGE,
                    "%s: there is list, show, compare, promote, "
                    "rollback, import and ledger%s%s",
                    word, near ? "; you may mean " : "", near ? near : "");
}

enum kol_status cmd_models(const struct invocation *call, struct kol_error *err)
{
    struct registry *registry;
    size_t verb = 0;
    enum kol_status status = backup_check_restored(call->data, err);
    if (status != KOL_OK) {
        return status;
    }
    if (strcmp(call->args[0], "ledger") == 0) {
        return models_ledger(call, err);
    }
    while (verb < ARRAY_LEN(verbs) && strcmp(call->args[0], verbs[verb].name) != 0) {
        verb++;
    }
    if (verb == ARRAY_LEN(verbs)) {
        return unknown_verb(call->args[0], err);
    }
    if (call->arg_count < verbs[verb].min_args || call->arg_count > verbs[verb].max_args) {
        return kol_fail(err, KOL_USAGE, "give it as: kol models %s", verbs[verb].usage);
    }
    status = registry_open(&(struct registry_options){.data = call->data}, &registry, err);
    if (status == KOL_OK) {
        status = verbs[verb].run(call, registry, err);
        registry_close(&registry);
    }
    return status;
}
