/*
 * catalog_sqlite.c: the catalog of one machine, in a SQLite file with the tables of Iceberg's JDBC
 * catalog (its version 1), so that other engines open the same file while this program runs.
 *
 * One connection, held for a few statements at a time under a lock; files are read and written
 * without it. The versions seen last are kept: metadata files never change, so the location alone
 * says whether one is still right, and a commit need not parse again what it wrote itself.
 */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/random.h"
#include "iceberg/catalog.h"
#include "iceberg/parts.h"

enum { BUSY_MS = 30000, KEPT_VERSIONS = 32, LOAD_ATTEMPTS = 8 };

struct sqlite_catalog {
    struct catalog base;
    char *path, *name, *warehouse;
    pthread_mutex_t lock; /* of all below */
    sqlite3 *db;
    struct ice_metadata *kept[KEPT_VERSIONS]; /* by metadata_location; NULL where free */
    size_t next_kept;                         /* the slot that is given up next */
};

static const char make_tables[] =
    "CREATE TABLE IF NOT EXISTS iceberg_tables ("
    "catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, "
    "table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000), "
    "previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5), "
    "PRIMARY KEY (catalog_name, table_namespace, table_name));"
    "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties ("
    "catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, "
    "property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000) NOT NULL, "
    "PRIMARY KEY (catalog_name, namespace, property_key));";

/* Rows of tables; other kinds (views) stand in the same place under another type. */
#define IS_TABLE "(iceberg_type IS NULL OR iceberg_type = 'TABLE')"
#define OF_TABLE "catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3"

static enum kol_status sql_fail(struct sqlite_catalog *catalog, const char *doing,
                                struct kol_error *err)
{
    int rc = sqlite3_extended_errcode(catalog->db) & 0xff;
    enum kol_status status = rc == SQLITE_FULL                             ? KOL_NO_SPACE
                             : rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? KOL_CORRUPT
                             : rc == SQLITE_BUSY                           ? KOL_TIMEOUT
                             : rc == SQLITE_CONSTRAINT                     ? KOL_EXISTS
                                                                           : KOL_IO;
    return kol_fail(err, status, "%s: cannot %s: %s", catalog->path, doing,
                    sqlite3_errmsg(catalog->db));
}

static enum kol_status run(struct sqlite_catalog *catalog, const char *sql, const char *doing,
                           struct kol_error *err)
{
    return sqlite3_exec(catalog->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? KOL_OK
               : sql_fail(catalog, doing, err);
}

/* A statement with the catalog's name and up to four texts as its parameters. */
static enum kol_status prepare(struct sqlite_catalog *catalog, const char *sql,
                               const char *const *texts, size_t count, sqlite3_stmt **out,
                               struct kol_error *err)
{
    if (sqlite3_prepare_v2(catalog->db, sql, -1, out, NULL) != SQLITE_OK) {
        return sql_fail(catalog, "read", err);
    }
    bool bound = sqlite3_bind_text(*out, 1, catalog->name, -1, SQLITE_STATIC) == SQLITE_OK;
    for (size_t i = 0; i < count; i++) {
        bound = bound &&
                sqlite3_bind_text(*out, (int)i + 2, texts[i], -1, SQLITE_TRANSIENT) == SQLITE_OK;
    }
    if (!bound) {
        enum kol_status status = sql_fail(catalog, "read", err);
        sqlite3_finalize(*out);
        *out = NULL;
        return status;
    }
    return KOL_OK;
}

/* Runs one change in a transaction of its own and tells how many rows it changed. KOL_UNKNOWN where
 * only a look at the row can tell whether it was done. */
static enum kol_status change(struct sqlite_catalog *catalog, const char *sql,
                              const char *const *texts, size_t count, int *changed,
                              struct kol_error *err)
{
    sqlite3_stmt *statement = NULL;
    enum kol_status status = run(catalog, "BEGIN IMMEDIATE", "write", err);
    if (status != KOL_OK) {
        return status;
    }
    status = prepare(catalog, sql, texts, count, &statement, err);
    if (status == KOL_OK && sqlite3_step(statement) != SQLITE_DONE) {
        status = sql_fail(catalog, "write", err);
    }
    *changed = sqlite3_changes(catalog->db);
    sqlite3_finalize(statement);
    if (status != KOL_OK) {
        sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    FAILPOINT("commit.swap");
    status = run(catalog, "COMMIT", "commit", err);
    if (status != KOL_OK) {
        /* A transaction that is still open has not been done, and is not from here on. */
        bool open = !sqlite3_get_autocommit(catalog->db);
        if (!open || sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK) {
            status = KOL_UNKNOWN;
        }
    }
    return status;
}

static struct sqlite_catalog *of(struct catalog *catalog)
{
    return (struct sqlite_catalog *)catalog;
}

/* ---- names ---- */

/* A name becomes a folder: it must not lead out of the warehouse. */
static enum kol_status check_name(const char *name, const char *what, struct kol_error *err)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= 255 && strcmp(name, ".") != 0 && !strstr(name, "..");
    for (size_t i = 0; i < len; i++) {
        good = good && name[i] != '/' && name[i] != '\\' && (unsigned char)name[i] >= ' ';
    }
    return good ? KOL_OK
                : kol_fail(err, KOL_INVALID,
                           "'%.60s' cannot be the name of a %s: 1 to 255 bytes without slashes, "
                           "'..' and controls",
                           name, what);
}

static enum kol_status sqlite_make_namespace(struct catalog *base, const char *name_space,
                                             struct kol_error *err)
{
    struct sqlite_catalog *catalog = of(base);
    enum kol_status status = check_name(name_space, "namespace", err);
    if (status != KOL_OK) {
        return status;
    }
    sqlite3_stmt *statement;
    bool there = false;
    pthread_mutex_lock(&catalog->lock);
    status = prepare(catalog,
                     "SELECT 1 FROM iceberg_namespace_properties WHERE catalog_name = ?1 AND "
                     "namespace = ?2 LIMIT 1",
                     &name_space, 1, &statement, err);
    if (status == KOL_OK) {
        there = sqlite3_step(statement) == SQLITE_ROW;
        sqlite3_finalize(statement);
    }
    if (status == KOL_OK && !there) {
        int changed;
        status = change(catalog,
                        "INSERT OR IGNORE INTO iceberg_namespace_properties VALUES "
                        "(?1, ?2, 'exists', 'true')",
                        &name_space, 1, &changed, err);
    }
    pthread_mutex_unlock(&catalog->lock);
    return status;
}

/* ---- reading ---- */

/* The pointer of a table, appended to `out`. Under the lock. */
static enum kol_status find_pointer(struct sqlite_catalog *catalog, struct ice_ident ident,
                                    struct buf *out, struct kol_error *err)
{
    const char *const texts[] = {ident.name_space, ident.name};
    sqlite3_stmt *statement;
    enum kol_status status = prepare(
        catalog, "SELECT metadata_location FROM iceberg_tables WHERE " OF_TABLE " AND " IS_TABLE,
        texts, 2, &statement, err);
    if (status != KOL_OK) {
        return status;
    }
    int rc = sqlite3_step(statement);
    const char *location =
        rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (location) {
        buf_puts(out, location);
    } else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        status =
            kol_fail(err, KOL_NOT_FOUND, "there is no table %s.%s", ident.name_space, ident.name);
    } else {
        status = sql_fail(catalog, "read", err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* The kept version of a location, shared, or NULL. Under the lock. */
static struct ice_metadata *find_kept(struct sqlite_catalog *catalog, const char *location)
{
    for (size_t i = 0; i < KEPT_VERSIONS; i++) {
        if (catalog->kept[i] && strcmp(catalog->kept[i]->metadata_location, location) == 0) {
            return ice_metadata_share(catalog->kept[i]);
        }
    }
    return NULL;
}

/* Keeps a version, in place of an earlier one of the same table. Under the lock. */
static void keep(struct sqlite_catalog *catalog, const struct ice_metadata *metadata)
{
    size_t slot = catalog->next_kept;
    for (size_t i = 0; i < KEPT_VERSIONS; i++) {
        const struct ice_metadata *kept = catalog->kept[i];
        if (kept && metadata->table_uuid && kept->table_uuid &&
            strcmp(kept->table_uuid, metadata->table_uuid) == 0) {
            slot = i;
        }
    }
    if (slot == catalog->next_kept) {
        catalog->next_kept = (catalog->next_kept + 1) % KEPT_VERSIONS;
    }
    struct ice_metadata *old = catalog->kept[slot];
    catalog->kept[slot] = ice_metadata_share(metadata);
    ice_metadata_free(&old);
}

static enum kol_status sqlite_locate(struct catalog *base, struct ice_ident ident,
                                     struct buf *location, struct kol_error *err)
{
    struct sqlite_catalog *catalog = of(base);
    pthread_mutex_lock(&catalog->lock);
    enum kol_status status = find_pointer(catalog, ident, location, err);
    pthread_mutex_unlock(&catalog->lock);
    return status;
}

static enum kol_status load_at(struct sqlite_catalog *catalog, const char *location,
                               struct ice_metadata **out, struct kol_error *err)
{
    pthread_mutex_lock(&catalog->lock);
    *out = find_kept(catalog, location);
    pthread_mutex_unlock(&catalog->lock);
    if (*out) {
        return KOL_OK;
    }
    enum kol_status status = ice_metadata_fetch(catalog->base.storage, location, out, err);
    if (status == KOL_OK) {
        pthread_mutex_lock(&catalog->lock);
        keep(catalog, *out);
        pthread_mutex_unlock(&catalog->lock);
    }
    return status;
}

static enum kol_status sqlite_load(struct catalog *base, struct ice_ident ident,
                                   struct ice_metadata **out, struct kol_error *err)
{
    struct buf location = {0}, before = {0};
    enum kol_status status = KOL_NOT_FOUND;
    *out = NULL;
    for (int attempt = 0; status == KOL_NOT_FOUND && attempt < LOAD_ATTEMPTS; attempt++) {
        buf_clear(&location);
        status = sqlite_locate(base, ident, &location, err);
        /* A file that is not there any more gave way to a newer version, unless it is the same one
         * again. */
        if (status != KOL_OK || (attempt && str_equal(buf_str(&location), buf_str(&before)))) {
            break;
        }
        status = load_at(of(base), location.ptr, out, err);
        buf_clear(&before);
        buf_put(&before, buf_str(&location));
    }
    if (status == KOL_OK && !*out) {
        status = kol_fail(err, KOL_CORRUPT,
                          "%s.%s: its metadata file %s is gone; restore it from a backup, or "
                          "register the table anew from its folder",
                          ident.name_space, ident.name, location.ptr);
    }
    buf_free(&location);
    buf_free(&before);
    return status;
}

/* Rows of `list`, copied out, so that a callback may use the catalog. */
struct listed {
    char **texts; /* namespace, name, namespace, name, ... */
    size_t count;
};

static enum kol_status read_list(struct sqlite_catalog *catalog, const char *name_space,
                                 struct listed *out, struct kol_error *err)
{
    static const char tables[] =
        "SELECT table_namespace, table_name FROM iceberg_tables WHERE catalog_name = ?1 AND "
        "table_namespace = ?2 AND " IS_TABLE " ORDER BY 2";
    static const char namespaces[] =
        "SELECT table_namespace, '' FROM iceberg_tables WHERE catalog_name = ?1 UNION "
        "SELECT namespace, '' FROM iceberg_namespace_properties WHERE catalog_name = ?1 ORDER BY 1";
    sqlite3_stmt *statement;
    enum kol_status status = prepare(catalog, name_space ? tables : namespaces, &name_space,
                                     name_space ? 1 : 0, &statement, err);
    if (status != KOL_OK) {
        return status;
    }
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        out->texts = mem_realloc(out->texts, (out->count + 2) * sizeof *out->texts);
        for (int column = 0; column < 2; column++) {
            const char *text = (const char *)sqlite3_column_text(statement, column);
            out->texts[out->count++] = mem_strdup(text ? text : "");
        }
    }
    if (rc != SQLITE_DONE) {
        status = sql_fail(catalog, "list", err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum kol_status sqlite_list(struct catalog *base, const char *name_space,
                                   enum kol_status (*each)(struct ice_ident ident, void *user,
                                                           struct kol_error *err),
                                   void *user, struct kol_error *err)
{
    struct sqlite_catalog *catalog = of(base);
    struct listed listed = {0};
    pthread_mutex_lock(&catalog->lock);
    enum kol_status status = read_list(catalog, name_space, &listed, err);
    pthread_mutex_unlock(&catalog->lock);
    for (size_t i = 0; i + 1 < listed.count && status == KOL_OK; i += 2) {
        status = each((struct ice_ident){listed.texts[i], listed.texts[i + 1]}, user, err);
    }
    for (size_t i = 0; i < listed.count; i++) {
        free(listed.texts[i]);
    }
    free(listed.texts);
    return status;
}

/* ---- writing ---- */

/* Moves the pointer to `location`: from `old`, or a new row where that is NULL. Looks again where
 * SQLite cannot say whether it was done. */
static enum kol_status swap(struct sqlite_catalog *catalog, struct ice_ident ident, const char *old,
                            const char *location, struct kol_error *err)
{
    static const char insert[] =
        "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, "
        "metadata_location, iceberg_type) VALUES (?1, ?2, ?3, ?4, 'TABLE')";
    static const char update[] =
        "UPDATE iceberg_tables SET metadata_location = ?4, previous_metadata_location = ?5 "
        "WHERE " OF_TABLE " AND metadata_location = ?5 AND " IS_TABLE;
    const char *const texts[] = {ident.name_space, ident.name, location, old};
    int changed = 0;
    struct buf now = {0};
    enum kol_status status = catalog->base.storage->ops->settle(catalog->base.storage, err);
    if (status != KOL_OK) {
        return status;
    }
    pthread_mutex_lock(&catalog->lock);
    status = change(catalog, old ? update : insert, texts, old ? 4 : 3, &changed, err);
    if (status == KOL_EXISTS) {
        status = kol_fail(err, KOL_EXISTS, "the table %s.%s is there already", ident.name_space,
                          ident.name);
    } else if (status == KOL_OK && changed == 0) {
        status = kol_fail(err, KOL_CONFLICT, "%s.%s: another writer was first", ident.name_space,
                          ident.name);
    } else if (status == KOL_UNKNOWN && find_pointer(catalog, ident, &now, NULL) == KOL_OK &&
               strcmp(now.ptr, location) == 0) {
        status = KOL_OK;
    }
    if (status == KOL_UNKNOWN && err) {
        err->status = KOL_UNKNOWN;
    }
    pthread_mutex_unlock(&catalog->lock);
    buf_free(&now);
    return status;
}

static enum kol_status sqlite_adopt(struct catalog *base, struct ice_ident ident, const char *old,
                                    const char *metadata_location, struct kol_error *err)
{
    enum kol_status status = check_name(ident.name, "table", err);
    return status == KOL_OK ? swap(of(base), ident, old, metadata_location, err) : status;
}

/* Writes the version into a new file; `metadata->metadata_location` names it afterwards. */
static enum kol_status write_version(struct sqlite_catalog *catalog, struct ice_metadata *metadata,
                                     int64_t version, struct kol_error *err)
{
    struct storage *storage = catalog->base.storage;
    struct buf location = {0}, json = {0};
    ice_new_metadata_location(&location, metadata->location, version);
    ice_metadata_write(&json, metadata);
    metadata->metadata_location = ice_copy_text(&metadata->arena, location.ptr);
    enum kol_status status =
        storage->ops->put_if_absent(storage, location.ptr, buf_str(&json), err);
    buf_free(&location);
    buf_free(&json);
    return status;
}

/* The file of a version that did not win. */
static void drop_version(struct sqlite_catalog *catalog, const struct ice_metadata *metadata)
{
    struct storage *storage = catalog->base.storage;
    struct kol_error why;
    if (storage->ops->remove(storage, metadata->metadata_location, &why) != KOL_OK) {
        log_warn("%s", why.message);
    }
}

/* Swaps the pointer to a written version; takes the file back where it did not win. */
static enum kol_status publish(struct sqlite_catalog *catalog, struct ice_ident ident,
                               const char *old, struct ice_metadata *metadata,
                               struct kol_error *err)
{
    FAILPOINT("commit.metadata");
    enum kol_status status = swap(catalog, ident, old, metadata->metadata_location, err);
    if (status == KOL_OK) {
        FAILPOINT("commit.swapped");
        pthread_mutex_lock(&catalog->lock);
        keep(catalog, metadata);
        pthread_mutex_unlock(&catalog->lock);
    } else if (status != KOL_UNKNOWN) {
        drop_version(catalog, metadata);
    }
    return status;
}

static enum kol_status sqlite_create(struct catalog *base, struct ice_ident ident,
                                     const struct ice_metadata *metadata, struct kol_error *err)
{
    struct sqlite_catalog *catalog = of(base);
    enum kol_status status = check_name(ident.name, "table", err);
    struct buf location = {0};
    if (status != KOL_OK) {
        return status;
    }
    struct ice_metadata *fresh = ice_metadata_copy(metadata);
    if (!fresh->location) {
        buf_printf(&location, "%s/%s/%s", catalog->warehouse, ident.name_space, ident.name);
        fresh->location = ice_copy_text(&fresh->arena, location.ptr);
        buf_free(&location);
    }
    status = write_version(catalog, fresh, 0, err);
    if (status == KOL_OK) {
        status = publish(catalog, ident, NULL, fresh, err);
    }
    ice_metadata_free(&fresh);
    return status;
}

static enum kol_status sqlite_commit(struct catalog *base, struct ice_ident ident,
                                     const struct ice_requirement *requirements,
                                     size_t requirement_count, const struct ice_update *updates,
                                     size_t update_count, struct ice_metadata **out,
                                     struct kol_error *err)
{
    struct sqlite_catalog *catalog = of(base);
    struct ice_metadata *current = NULL, *next = NULL;
    enum kol_status status = sqlite_load(base, ident, &current, err);
    if (status == KOL_OK) {
        status = ice_require(current, requirements, requirement_count, err);
    }
    if (status == KOL_OK) {
        status = ice_update_apply(current, updates, update_count, ice_now_ms(), &next, err);
    }
    if (status == KOL_OK) {
        int64_t version = ice_metadata_version(current->metadata_location);
        status = write_version(catalog, next, version + 1, err);
    }
    if (status == KOL_OK) {
        status = publish(catalog, ident, current->metadata_location, next, err);
    }
    if (status == KOL_OK && out) {
        *out = ice_metadata_share(next);
    }
    ice_metadata_free(&current);
    ice_metadata_free(&next);
    return status;
}

static enum kol_status sqlite_drop(struct catalog *base, struct ice_ident ident,
                                   struct kol_error *err)
{
    struct sqlite_catalog *catalog = of(base);
    const char *const texts[] = {ident.name_space, ident.name};
    int changed = 0;
    pthread_mutex_lock(&catalog->lock);
    enum kol_status status =
        change(catalog, "DELETE FROM iceberg_tables WHERE " OF_TABLE " AND " IS_TABLE, texts, 2,
               &changed, err);
    pthread_mutex_unlock(&catalog->lock);
    if (status == KOL_OK && changed == 0) {
        status =
            kol_fail(err, KOL_NOT_FOUND, "there is no table %s.%s", ident.name_space, ident.name);
    }
    return status;
}

/* ---- its life ---- */

static void sqlite_close(struct catalog *base)
{
    struct sqlite_catalog *catalog = of(base);
    for (size_t i = 0; i < KEPT_VERSIONS; i++) {
        ice_metadata_free(&catalog->kept[i]);
    }
    sqlite3_close_v2(catalog->db);
    pthread_mutex_destroy(&catalog->lock);
    free(catalog->path);
    free(catalog->name);
    free(catalog->warehouse);
    free(catalog);
}

static const struct catalog_ops ops = {
    .make_namespace = sqlite_make_namespace,
    .list = sqlite_list,
    .load = sqlite_load,
    .create = sqlite_create,
    .commit = sqlite_commit,
    .locate = sqlite_locate,
    .adopt = sqlite_adopt,
    .drop = sqlite_drop,
    .close = sqlite_close,
};

static enum kol_status connect(struct sqlite_catalog *catalog, int flags, struct kol_error *err)
{
    if (sqlite3_open_v2(catalog->path, &catalog->db,
                        flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK) {
        return sql_fail(catalog, "open", err);
    }
    sqlite3_busy_timeout(catalog->db, BUSY_MS);
    return KOL_OK;
}

static enum kol_status connect_to_write(struct sqlite_catalog *catalog, struct kol_error *err)
{
    enum kol_status status = connect(catalog, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    /* FULL: a commit that was acknowledged outlives a loss of power. */
    if (status == KOL_OK) {
        status = run(catalog, "PRAGMA synchronous = FULL", "open", err);
    }
    if (status == KOL_OK) {
        status = run(catalog, make_tables, "make its tables", err);
    }
    /* A write-ahead log: readers go on while a commit is under way. Behind the tables, so that a
     * new file holds them itself and can be given another name. */
    return status == KOL_OK ? run(catalog, "PRAGMA journal_mode = WAL", "open", err) : status;
}

/* Makes the file with its tables under a name that nobody knows, and gives it its own in one step:
 * another engine that opens a catalog without tables would make them too, and both would fail. Who
 * loses against another that makes it finds that one's. */
static enum kol_status make_file(const char *path, struct kol_error *err)
{
    struct buf name = {0};
    buf_printf(&name, "%s.", path);
    random_put_uuid(&name);
    struct sqlite_catalog made = {.path = name.ptr};
    enum kol_status status = connect_to_write(&made, err);
    sqlite3_close(made.db);
    FAILPOINT("catalog.made");
    int rc = status == KOL_OK ? file_name_new(name.ptr, path) : 0;
    if (rc != 0 && rc != EEXIST) {
        status = kol_fail_errno(err, rc, "%s: cannot be made", path);
    }
    if (status != KOL_OK || rc != 0) {
        unlink(name.ptr);
    }
    buf_free(&name);
    return status == KOL_OK ? file_sync_folder_of(path, err) : status;
}

static enum kol_status open_file(struct sqlite_catalog *catalog, bool read_only,
                                 struct kol_error *err)
{
    if (read_only) {
        return connect(catalog, SQLITE_OPEN_READONLY, err);
    }
    enum kol_status status = file_exists(catalog->path) ? KOL_OK : make_file(catalog->path, err);
    return status == KOL_OK ? connect_to_write(catalog, err) : status;
}

enum kol_status catalog_sqlite_open(const char *path, const char *name, const char *warehouse,
                                    struct storage *storage, bool read_only, struct catalog **out,
                                    struct kol_error *err)
{
    struct sqlite_catalog *catalog = mem_zalloc(1, sizeof *catalog);
    catalog->base = (struct catalog){&ops, storage};
    catalog->path = mem_strdup(path);
    catalog->name = mem_strdup(name);
    catalog->warehouse = mem_strdup(warehouse);
    pthread_mutex_init(&catalog->lock, NULL);
    *out = &catalog->base;
    enum kol_status status = open_file(catalog, read_only, err);
    if (status != KOL_OK) {
        catalog_close(out);
    }
    return status;
}

/* Under the lock of the catalog. */
static enum kol_status copy_into(struct sqlite_catalog *catalog, sqlite3 *to, const char *path,
                                 struct kol_error *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", catalog->db, "main");
    int rc = backup ? sqlite3_backup_step(backup, -1) : sqlite3_errcode(to);
    int end = sqlite3_backup_finish(backup);
    if (backup && rc == SQLITE_DONE && end == SQLITE_OK) {
        return KOL_OK;
    }
    return kol_fail(err, (rc & 0xff) == SQLITE_FULL ? KOL_NO_SPACE : KOL_IO,
                    "cannot copy the catalog to %s: %s", path, sqlite3_errmsg(to));
}

enum kol_status catalog_sqlite_copy(struct catalog *base, const char *path, struct catalog **out,
                                    struct kol_error *err)
{
    struct sqlite_catalog *catalog = of(base);
    sqlite3 *to = NULL;
    enum kol_status status;
    *out = NULL;
    if (file_exists(path)) {
        return kol_fail(err, KOL_EXISTS, "%s is there already", path);
    }
    if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
        status = kol_fail(err, KOL_IO, "%s: %s", path, sqlite3_errmsg(to));
    } else {
        pthread_mutex_lock(&catalog->lock);
        status = copy_into(catalog, to, path, err);
        pthread_mutex_unlock(&catalog->lock);
    }
    sqlite3_close(to);
    return status == KOL_OK ? catalog_sqlite_open(path, catalog->name, catalog->warehouse,
                                                  base->storage, false, out, err)
                            : status;
}
