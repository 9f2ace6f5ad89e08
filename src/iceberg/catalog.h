/*
 * catalog.h: which tables there are, and the one place where a new version of a table wins.
 *
 * The shape is that of the Iceberg REST catalog: a commit is a list of requirements on the version
 * that is there and a list of updates to it. The embedded back end (catalog_sqlite.c) keeps
 * Iceberg's JDBC-catalog tables in a SQLite file, which PyIceberg, Trino and Spark open too: it
 * applies the updates itself, writes the new metadata file and swaps the pointer by
 * UPDATE ... WHERE metadata_location = the old one.
 */
#ifndef ICEBERG_CATALOG_H
#define ICEBERG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "iceberg/metadata.h"
#include "iceberg/storage.h"

struct catalog;

struct ice_ident {
    const char *name_space; /* levels joined by '.', as the JDBC catalog keeps them */
    const char *name;
};

struct catalog_ops {
    enum kol_status (*make_namespace)(struct catalog *catalog, const char *name_space,
                                      struct kol_error *err); /* KOL_OK where it is there */
    /* The namespaces (`name_space` NULL; each with an empty name), or the tables of one, by name;
     * texts live until the callback returns. */
    enum kol_status (*list)(struct catalog *catalog, const char *name_space,
                            enum kol_status (*each)(struct ice_ident ident, void *user,
                                                    struct kol_error *err),
                            void *user, struct kol_error *err);
    /* The current version; KOL_NOT_FOUND. */
    enum kol_status (*load)(struct catalog *catalog, struct ice_ident ident,
                            struct ice_metadata **out, struct kol_error *err);
    /* KOL_EXISTS. The metadata's location is filled from the warehouse where it is NULL. */
    enum kol_status (*create)(struct catalog *catalog, struct ice_ident ident,
                              const struct ice_metadata *metadata, struct kol_error *err);
    /* KOL_OK and the new version; KOL_CONFLICT where a requirement does not hold (any more),
     * nothing was done; KOL_UNKNOWN where it cannot be told whether it was done. */
    enum kol_status (*commit)(struct catalog *catalog, struct ice_ident ident,
                              const struct ice_requirement *requirements, size_t requirement_count,
                              const struct ice_update *updates, size_t update_count,
                              struct ice_metadata **out, struct kol_error *err);
    /* Appends the location of the current metadata file; KOL_NOT_FOUND. */
    enum kol_status (*locate)(struct catalog *catalog, struct ice_ident ident, struct buf *location,
                              struct kol_error *err);
    /* Makes a metadata file that is there the current version: of a new table (`old` NULL;
     * KOL_EXISTS), or in place of `old` (KOL_CONFLICT where that is not current any more;
     * KOL_UNSUPPORTED where the back end cannot). */
    enum kol_status (*adopt)(struct catalog *catalog, struct ice_ident ident, const char *old,
                             const char *metadata_location, struct kol_error *err);
    /* Forgets the table; its files stay. */
    enum kol_status (*drop)(struct catalog *catalog, struct ice_ident ident, struct kol_error *err);
    void (*close)(struct catalog *catalog);
};

/* A back end embeds this as its first member. Thread-safe. */
struct catalog {
    const struct catalog_ops *ops;
    struct storage *storage; /* not owned */
};

/*
 * Opens the SQLite file (making it and its tables). `name`: the catalog's name in its rows ("kol").
 * `warehouse`: location of new tables, warehouse/namespace/table.
 */
enum kol_status catalog_sqlite_open(const char *path, const char *name, const char *warehouse,
                                    struct storage *storage, bool read_only, struct catalog **out,
                                    struct kol_error *err) KOL_CHECKED;
void catalog_close(struct catalog **catalog);

/* Copies the catalog of a SQLite file, as it is at one moment, into a new file (KOL_EXISTS) and
 * opens that: the same name, warehouse and storage. Others go on to commit. */
enum kol_status catalog_sqlite_copy(struct catalog *catalog, const char *path, struct catalog **out,
                                    struct kol_error *err) KOL_CHECKED;

/* Rewrites every table of the catalog whose files lie under `from` so that they lie under `to`: for
 * a folder that was moved or restored elsewhere. Data files stay as they are; metadata, manifest
 * lists and manifests of all snapshots are written anew. */
enum kol_status catalog_relocate(struct catalog *catalog, const char *from, const char *to,
                                 struct kol_error *err) KOL_CHECKED;

#endif
