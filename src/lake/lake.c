/*
 * lake.c: opening the lake, its declared tables, and pinned versions of them as views.
 */
#include "lake/lake.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define CATALOG_NAME "kol"

enum { MAX_PATH_FILE = 8192 };

/* ---- where it is ---- */

/* DATA/lake as an absolute path, for free(). */
static enum kol_status lake_folder(const struct lake_options *options, char **out,
                                   struct kol_error *err)
{
    char *folder = file_join(options->data, "lake");
    if (options->read_only && !file_exists(folder)) {
        enum kol_status status = kol_fail(
            err, KOL_NOT_FOUND, "%s: there is no lake yet; `kol ingest` makes one", folder);
        free(folder);
        return status;
    }
    enum kol_status status = file_make_dir(folder, err);
    if (status == KOL_OK) {
        *out = realpath(folder, NULL);
        if (!*out) {
            status = kol_fail_errno(err, errno, "%s: has no absolute path", folder);
        }
    }
    free(folder);
    return status;
}

/*
 * Tables name their files by absolute locations, as the format demands, so a folder that was moved
 * or copied names files that are elsewhere, perhaps those of the original. The file `home` says
 * where the lake was made.
 */
static enum kol_status check_home(const struct lake *lake, bool read_only, bool relocate,
                                  struct kol_error *err)
{
    char *path = file_join(lake->folder, "home");
    struct buf home = {0};
    enum kol_status status = KOL_OK;
    if (file_exists(path)) {
        status = file_read(path, MAX_PATH_FILE, &home, err);
        if (status == KOL_OK && !str_is(buf_str(&home), lake->folder)) {
            status = relocate ? catalog_relocate(lake->catalog, home.ptr, lake->folder, err)
                              : kol_fail(err, KOL_CONFLICT,
                                         "%s: this lake was made at %.*s and its tables name their "
                                         "files there; move it back, or make it at home here with "
                                         "`kol maintain --relocate`",
                                         lake->folder, STR_FORMAT(buf_str(&home)));
            if (status == KOL_OK) {
                status = file_replace(path, str_of(lake->folder), err);
            }
        }
    } else if (!read_only) {
        status = file_replace(path, str_of(lake->folder), err);
    }
    buf_free(&home);
    free(path);
    return status;
}

/* ---- its engine ---- */

/* An engine that is being opened. */
struct lake_ahead {
    struct lake *lake;
    pthread_t thread;
    struct engine *engine;
    enum kol_status status;
    struct kol_error error;
};

static enum kol_status open_engine(const struct lake *lake, struct engine **out,
                                   struct kol_error *err)
{
    struct buf temp = {0};
    buf_printf(&temp, "%s/engine-%d-%lld", lake->staging, (int)getpid(),
               (long long)clock_mono_ns());
    const struct engine_options options = {
        .temp = temp.ptr, .memory_bytes = lake->memory_bytes, .threads = lake->threads};
    enum kol_status status = engine_open(&options, out, err);
    buf_free(&temp);
    return status;
}

static void *open_ahead(void *arg)
{
    struct lake_ahead *ahead = arg;
    ahead->status = open_engine(ahead->lake, &ahead->engine, &ahead->error);
    return NULL;
}

/* Without a thread there is nothing ahead. */
void lake_engine_ahead(struct lake *lake)
{
    struct lake_ahead *ahead = mem_zalloc(1, sizeof *ahead);
    ahead->lake = lake;
    if (!lake->ahead && pthread_create(&ahead->thread, NULL, open_ahead, ahead) == 0) {
        lake->ahead = ahead;
    } else {
        free(ahead);
    }
}

/* Whoever comes first has it. */
static struct lake_ahead *claim(struct lake *lake)
{
    return __atomic_exchange_n(&lake->ahead, NULL, __ATOMIC_ACQ_REL);
}

static enum kol_status finish(struct lake_ahead *ahead, struct engine **out, struct kol_error *err)
{
    pthread_join(ahead->thread, NULL);
    *out = ahead->engine;
    const enum kol_status status =
        ahead->status == KOL_OK ? KOL_OK : kol_fail(err, ahead->status, "%s", ahead->error.message);
    free(ahead);
    return status;
}

enum kol_status lake_engine(struct lake *lake, struct engine **out, struct kol_error *err)
{
    struct lake_ahead *ahead = claim(lake);
    return ahead ? finish(ahead, out, err) : open_engine(lake, out, err);
}

static void close_ahead(struct lake *lake)
{
    struct engine *engine;
    struct lake_ahead *ahead = claim(lake);
    if (ahead && finish(ahead, &engine, NULL) == KOL_OK) {
        engine_close(&engine);
    }
}

/* ---- opening ---- */

static enum kol_status open_parts(struct lake *lake, const struct lake_options *options,
                                  struct kol_error *err)
{
    struct buf warehouse = {0};
    buf_printf(&warehouse, "file://%s", lake->folder);
    char *database = file_join(lake->folder, "catalog.db");
    enum kol_status status = file_make_dir(lake->staging, err);
    if (status == KOL_OK) {
        status = storage_local_open(lake->staging, &lake->storage, err);
    }
    if (status == KOL_OK) {
        status = catalog_sqlite_open(database, CATALOG_NAME, warehouse.ptr, lake->storage,
                                     options->read_only, &lake->catalog, err);
    }
    if (status == KOL_OK) {
        status = check_home(lake, options->read_only, options->relocate, err);
    }
    free(database);
    buf_free(&warehouse);
    return status;
}

enum kol_status lake_open(const struct lake_options *options, struct lake **out,
                          struct kol_error *err)
{
    struct lake *lake = mem_zalloc(1, sizeof *lake);
    lake->sql_folder = options->sql_folder;
    lake->memory_bytes = options->memory_bytes;
    lake->threads = options->threads;
    enum kol_status status = lake_folder(options, &lake->folder, err);
    if (status == KOL_OK) {
        lake->staging = file_join(lake->folder, ".staging");
        status = open_parts(lake, options, err);
    }
    if (status == KOL_OK) {
        *out = lake;
    } else {
        lake_close(&lake);
    }
    return status;
}

void lake_close(struct lake **lake)
{
    if (*lake) {
        close_ahead(*lake);
        catalog_close(&(*lake)->catalog);
        storage_close(&(*lake)->storage);
        free((*lake)->folder);
        free((*lake)->staging);
        free(*lake);
        *lake = NULL;
    }
}

/* ---- declared tables ---- */

static const struct ice_pair table_properties[] = {
    {"write.format.default", "parquet"},
    {"write.metadata.delete-after-commit.enabled", "true"},
    {"write.metadata.previous-versions-max", "100"},
};

static enum kol_status create_table(struct lake *lake, const struct lake_table *table,
                                    struct kol_error *err)
{
    struct arena arena;
    struct ice_schema schema;
    struct ice_partition_spec spec;
    struct ice_sort_order order;
    arena_init(&arena, 0);
    lake_table_schema(table, &arena, &schema, &spec, &order);
    const struct ice_pair comment = {"comment", table->doc};
    struct ice_pair properties[ARRAY_LEN(table_properties) + 1];
    memcpy(properties, table_properties, sizeof table_properties);
    properties[ARRAY_LEN(table_properties)] = comment;
    const struct ice_table_options options = {
        .schema = &schema,
        .spec = spec.count ? &spec : NULL,
        .order = order.count ? &order : NULL,
        .properties = properties,
        .property_count = ARRAY_LEN(properties),
    };
    enum kol_status status =
        lake->catalog->ops->make_namespace(lake->catalog, table->name_space, err);
    if (status == KOL_OK) {
        status = ice_table_create(lake->catalog, (struct ice_ident){table->name_space, table->name},
                                  &options, err);
    }
    arena_free(&arena);
    return status == KOL_EXISTS ? KOL_OK : status; /* another process was first */
}

/* True where every declared column is there under its name with its type. */
static bool is_as_declared(const struct lake_table *table, const struct ice_metadata *metadata)
{
    struct arena arena;
    struct ice_schema wanted;
    const struct ice_schema *there = ice_current_schema(metadata);
    bool same = true;
    arena_init(&arena, 0);
    lake_table_schema_for(table, metadata, &arena, &wanted);
    for (size_t i = 0; i < wanted.count && same; i++) {
        const struct ice_field *field = ice_field_by_name(there, wanted.fields[i].name);
        same = field && field->type == wanted.fields[i].type &&
               field->precision == wanted.fields[i].precision &&
               field->required == wanted.fields[i].required;
    }
    arena_free(&arena);
    return same;
}

static enum kol_status evolve_table(struct lake *lake, const struct lake_table *table,
                                    struct ice_metadata **metadata, struct kol_error *err)
{
    struct arena arena;
    struct ice_schema wanted;
    struct ice_ident ident = {table->name_space, table->name};
    arena_init(&arena, 0);
    lake_table_schema_for(table, *metadata, &arena, &wanted);
    /* All rows of a user's table are written anew where its SELECT has changed. */
    enum kol_status status = lake_table_find(table->name_space, table->name)
                                 ? ice_evolve(lake->catalog, ident, &wanted, err)
                                 : ice_evolve_replacing(lake->catalog, ident, &wanted, err);
    ice_metadata_free(metadata);
    arena_free(&arena);
    return status == KOL_OK ? ice_table_load(lake->catalog, ident, metadata, err) : status;
}

enum kol_status lake_ensure(struct lake *lake, const struct lake_table *table,
                            struct ice_metadata **out, struct kol_error *err)
{
    struct ice_ident ident = {table->name_space, table->name};
    enum kol_status status = ice_table_load(lake->catalog, ident, out, err);
    if (status == KOL_NOT_FOUND) {
        status = create_table(lake, table, err);
        if (status == KOL_OK) {
            status = ice_table_load(lake->catalog, ident, out, err);
        }
    }
    if (status == KOL_OK && !is_as_declared(table, *out)) {
        status = evolve_table(lake, table, out, err);
    }
    return status == KOL_OK ? KOL_OK : kol_wrap(err, "%s.%s", table->name_space, table->name);
}

int lake_threads(const struct lake *lake)
{
    const long cpus = lake->threads ? lake->threads : sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : (int)cpus;
}

/* ---- pinned versions ---- */

static enum kol_status pick_snapshot(struct lake_pin *pin, int64_t wanted, struct kol_error *err)
{
    if (!wanted) {
        pin->snapshot_id = pin->metadata->current_snapshot_id;
        return KOL_OK;
    }
    if (wanted != -1 && !ice_snapshot_by_id(pin->metadata, wanted)) {
        return kol_fail(err, KOL_NOT_FOUND,
                        "%s.%s has no snapshot %lld (any more); `kol tables %s.%s --snapshots` "
                        "shows those it has",
                        pin->name_space, pin->name, (long long)wanted, pin->name_space, pin->name);
    }
    pin->snapshot_id = wanted;
    return KOL_OK;
}

enum kol_status lake_pin(struct lake *lake, const char *name_space, const char *name,
                         int64_t snapshot_id, struct lake_pin *out, struct kol_error *err)
{
    *out = (struct lake_pin){.snapshot_id = -1};
    if (strlen(name_space) >= sizeof out->name_space || strlen(name) >= sizeof out->name) {
        return kol_fail(err, KOL_INVALID, "%s.%s: the name is too long", name_space, name);
    }
    strcpy(out->name_space, name_space);
    strcpy(out->name, name);
    enum kol_status status =
        ice_table_load(lake->catalog, (struct ice_ident){name_space, name}, &out->metadata, err);
    if (status == KOL_OK) {
        status = pick_snapshot(out, snapshot_id, err);
    }
    if (status == KOL_OK && out->snapshot_id != -1) {
        status =
            ice_scan(lake->catalog, out->metadata, out->snapshot_id, NULL, 0, &out->files, err);
    }
    if (status != KOL_OK) {
        lake_unpin(out);
    }
    return status;
}

/* All tables of the catalog, by whole names and by their parts: either may hold dots itself. */
struct name_list {
    struct arena arena;
    struct lake *lake;
    const char **items;
    struct ice_ident *idents;
    size_t count, cap;
};

static enum kol_status add_name(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct name_list *names = user;
    struct buf name = {0};
    (void)err;
    if (names->count == names->cap) {
        names->cap = names->cap ? 2 * names->cap : 64;
        names->items = mem_realloc(names->items, names->cap * sizeof *names->items);
        names->idents = mem_realloc(names->idents, names->cap * sizeof *names->idents);
    }
    buf_printf(&name, "%s.%s", ident.name_space, ident.name);
    names->idents[names->count] =
        (struct ice_ident){arena_copy(&names->arena, str_of(ident.name_space)).ptr,
                           arena_copy(&names->arena, str_of(ident.name)).ptr};
    names->items[names->count++] = arena_copy(&names->arena, buf_str(&name)).ptr;
    buf_free(&name);
    return KOL_OK;
}

static enum kol_status add_names(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct name_list *names = user;
    return names->lake->catalog->ops->list(names->lake->catalog, ident.name_space, add_name, names,
                                           err);
}

/* Pins a table that is not found where its name is parted at the last dot; where there is none of
 * that name, says which is the nearest. */
static enum kol_status pin_listed(struct lake *lake, const char *name, struct lake_pin *out,
                                  struct kol_error *err)
{
    struct name_list names = {.lake = lake};
    size_t at = 0;
    arena_init(&names.arena, 0);
    enum kol_status status = lake->catalog->ops->list(lake->catalog, NULL, add_names, &names, err);
    while (status == KOL_OK && at < names.count && strcmp(names.items[at], name) != 0) {
        at++;
    }
    if (status == KOL_OK && at < names.count) {
        status = lake_pin(lake, names.idents[at].name_space, names.idents[at].name, 0, out, err);
    } else if (status == KOL_OK) {
        const char *near = str_nearest(str_of(name), names.items, names.count);
        status = kol_fail(err, KOL_NOT_FOUND, "there is no table %s%s%s; `kol tables` shows all",
                          name, near ? "; did you mean " : "", near ? near : "");
    }
    free(names.items);
    free(names.idents);
    arena_free(&names.arena);
    return status;
}

/* Replaces the pinned current snapshot by the one that `as_of` means. */
static enum kol_status pin_as_of(struct lake *lake, struct lake_pin *pin, const char *as_of,
                                 struct kol_error *err)
{
    int64_t id, time_us;
    struct str text = str_of(as_of);
    if (str_to_int64(text, &id)) {
        if (id <= 0) {
            return kol_fail(err, KOL_USAGE,
                            "%s: no snapshot has such a number; `kol tables %s.%s "
                            "--snapshots` shows those there are",
                            as_of, pin->name_space, pin->name);
        }
    } else if (clock_parse(text, &time_us) || clock_parse_day(text, &time_us)) {
        const struct ice_snapshot *then = ice_snapshot_at(pin->metadata, time_us / 1000);
        if (!then) {
            return kol_fail(err, KOL_NOT_FOUND,
                            "%s.%s: no snapshot is known that was current at %s; `kol tables "
                            "%s.%s --snapshots` shows those there are",
                            pin->name_space, pin->name, as_of, pin->name_space, pin->name);
        }
        id = then->id;
    } else {
        return kol_fail(err, KOL_USAGE,
                        "%s: expected a snapshot's number, a time such as 2025-06-30T00:00:00Z or "
                        "a day",
                        as_of);
    }
    struct lake_pin now = *pin;
    enum kol_status status = lake_pin(lake, now.name_space, now.name, id, pin, err);
    pin->as_then = true;
    lake_unpin(&now);
    return status;
}

enum kol_status lake_pin_named(struct lake *lake, const char *name, const char *as_of,
                               struct lake_pin *out, struct kol_error *err)
{
    const char *dot = strrchr(name, '.');
    enum kol_status status = KOL_NOT_FOUND;
    *out = (struct lake_pin){.snapshot_id = -1};
    if (dot && dot != name && dot[1]) {
        char *space = mem_strndup(name, (size_t)(dot - name));
        status = lake_pin(lake, space, dot + 1, 0, out, err);
        free(space);
    }
    if (status == KOL_NOT_FOUND) {
        status = pin_listed(lake, name, out, err);
    }
    if (status == KOL_OK && as_of) {
        status = pin_as_of(lake, out, as_of, err);
        if (status != KOL_OK) {
            lake_unpin(out);
        }
    }
    return status;
}

void lake_unpin(struct lake_pin *pin)
{
    ice_files_free(&pin->files);
    ice_metadata_free(&pin->metadata);
}

const struct ice_schema *lake_pin_schema(const struct lake_pin *pin)
{
    const struct ice_snapshot *snapshot = ice_snapshot_by_id(pin->metadata, pin->snapshot_id);
    const struct ice_schema *schema = NULL;
    if (snapshot && (pin->as_then || snapshot->id != pin->metadata->current_snapshot_id)) {
        schema = ice_schema_by_id(pin->metadata, snapshot->schema_id);
    }
    return schema ? schema : ice_current_schema(pin->metadata);
}

static int by_letters(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whether the engine can show these columns. */
static enum kol_status check_columns(const struct lake_pin *pin, struct kol_error *err)
{
    const struct ice_schema *schema = lake_pin_schema(pin);
    enum kol_status status = KOL_OK;
    if (!schema->count) {
        return kol_fail(err, KOL_UNSUPPORTED, "%s.%s has no columns, so SQL cannot ask it",
                        pin->name_space, pin->name);
    }
    const char **names = mem_alloc(schema->count * sizeof *names);
    for (size_t i = 0; i < schema->count; i++) {
        names[i] = schema->fields[i].name;
    }
    qsort(names, schema->count, sizeof *names, by_letters);
    for (size_t i = 1; i < schema->count && status == KOL_OK; i++) {
        if (strcasecmp(names[i - 1], names[i]) == 0) {
            status = kol_fail(err, KOL_UNSUPPORTED,
                              "%s.%s: SQL cannot tell its columns %s and %s apart; rename one",
                              pin->name_space, pin->name, names[i - 1], names[i]);
        }
    }
    free(names);
    return status;
}

enum kol_status lake_view(struct engine_session *session, const struct lake_pin *pin,
                          struct kol_error *err)
{
    struct buf sql = {0};
    enum kol_status status = check_columns(pin, err);
    if (status != KOL_OK) {
        return status;
    }
    buf_puts(&sql, "CREATE SCHEMA IF NOT EXISTS ");
    engine_quote_name(&sql, str_of(pin->name_space));
    buf_puts(&sql, "; CREATE OR REPLACE VIEW ");
    engine_quote_name(&sql, str_of(pin->name_space));
    buf_putc(&sql, '.');
    engine_quote_name(&sql, str_of(pin->name));
    buf_puts(&sql, " AS ");
    engine_scan_sql(lake_pin_schema(pin), pin->files.files, pin->files.count, &sql);
    status = engine_exec(session, sql.ptr, err);
    buf_free(&sql);
    return status;
}

enum kol_status lake_reader_open(struct lake *lake, const char *name_space, const char *name,
                                 struct lake_reader *out, struct kol_error *err)
{
    *out = (struct lake_reader){0};
    enum kol_status status = lake_pin(lake, name_space, name, 0, &out->pin, err);
    if (status == KOL_OK) {
        status = lake_engine(lake, &out->engine, err);
    }
    if (status == KOL_OK) {
        status = engine_session_open(out->engine, &out->session, err);
    }
    if (status == KOL_OK) {
        status = lake_view(out->session, &out->pin, err);
    }
    if (status != KOL_OK) {
        lake_reader_close(out);
    }
    return status;
}

void lake_reader_close(struct lake_reader *reader)
{
    engine_session_close(&reader->session);
    engine_close(&reader->engine);
    lake_unpin(&reader->pin);
}
