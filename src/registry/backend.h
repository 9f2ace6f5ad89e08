/*
 * backend.h: what keeps versions and aliases, behind one interface. Private to registry/.
 *
 * registry.c knows what a model is, which features it must have, what ships and what serves; a back
 * end keeps bytes under names. folder.c and aliases.c are the one in DATA/models; MLflow joins as
 * mlflow.c. A back end has numbered versions only: "shipped" is a word of registry.c, but may stand
 * behind an alias.
 *
 * Threads and processes: any number at once, in every function.
 */
#ifndef REGISTRY_BACKEND_H
#define REGISTRY_BACKEND_H

#include "registry/registry.h"

enum {
    REGISTRY_NAME_BYTES = 32,          /* of versions and aliases, with the NUL */
    REGISTRY_MAX_METADATA = 64 << 20,  /* bytes of metadata.json */
    REGISTRY_MAX_FILE = GBDT_MAX_BYTES /* bytes of any other file */
};

/* Where one alias points. */
struct registry_alias_row {
    char alias[REGISTRY_NAME_BYTES];
    char version[REGISTRY_NAME_BYTES];
};

struct registry_aliases {
    struct registry_alias_row *rows;
    size_t count;
};

/* Changes whenever what it was taken of has changed; compared byte by byte, so zeroed first. */
struct registry_stamp {
    int64_t words[10]; /* five a file */
};

/* Whether an alias may go back to a version, asked while no other process moves one: false passes
 * it over for good. A failure, by *status, ends the rollback and changes nothing. */
struct registry_back {
    bool (*may)(const char *version, void *user, enum kol_status *status, struct kol_error *err);
    void *user;
};

struct registry_backend {
    const char *name;

    enum kol_status (*open)(const struct registry_options *options, void **state,
                            struct kol_error *err);
    void (*close)(void *state);

    /* The versions of a model, newest first, `aliases` and `serves` left empty. A broken one has a
     * `problem`; the list fails only where nothing can be listed. */
    enum kol_status (*list)(void *state, const char *model, struct arena *arena,
                            struct registry_version **out, size_t *count, struct kol_error *err);

    /* One version by its number; KOL_NOT_FOUND, KOL_CORRUPT with the file that is broken. */
    enum kol_status (*get)(void *state, const char *model, const char *version, struct arena *arena,
                           struct registry_version *out, struct kol_error *err);

    /* The bytes of a file, checked against what was stored. */
    enum kol_status (*file)(void *state, const char *model, const char *version, const char *name,
                            struct arena *arena, struct str *out, struct kol_error *err);

    /* Stores the files as the next version, whole or not at all, durable when it returns. */
    enum kol_status (*add)(void *state, const char *model, const char *source,
                           const struct registry_file *files, size_t count,
                           char version[REGISTRY_NAME_BYTES], struct kol_error *err);

    enum kol_status (*aliases)(void *state, const char *model, struct arena *arena,
                               struct registry_aliases *out, struct kol_error *err);

    /* Moves an alias. No move of another process is ever lost. */
    enum kol_status (*move)(void *state, const char *model, const char *alias, const char *version,
                            struct kol_error *err);

    /* Moves an alias back to the last place before its last move that may be gone back to. `now`
     * gets where it points then, "" for nowhere. KOL_NOT_FOUND, and no change, where there is none.
     */
    enum kol_status (*back)(void *state, const char *model, const char *alias,
                            const struct registry_back *back, char now[REGISTRY_NAME_BYTES],
                            struct kol_error *err);

    /* A cheap look at the aliases (`version` NULL) or at the files of a version. What is not there
     * has a stamp, too. */
    void (*stamp)(void *state, const char *model, const char *version, struct registry_stamp *out);
};

extern const struct registry_backend registry_folder;

/* ---- aliases.json (aliases.c), used by folder.c ---- */

/* `folder`: DATA/models/<model>. */
enum kol_status aliases_read(const char *folder, struct arena *arena, struct registry_aliases *out,
                             struct kol_error *err) KOL_CHECKED;

/* The caller holds the lock of the folder. */
enum kol_status aliases_move(const char *folder, const char *alias, const char *version,
                             struct kol_error *err) KOL_CHECKED;
enum kol_status aliases_back(const char *folder, const char *alias,
                             const struct registry_back *back, char now[REGISTRY_NAME_BYTES],
                             struct kol_error *err) KOL_CHECKED;

/* The highest number that any alias points at or has pointed at; 0 where none did, or the file
 * cannot be read. */
int64_t aliases_highest(const char *folder);

/* ---- the model that ships (shipped.c) ---- */

/* False where none ships for this model. */
bool shipped_have(const char *model);

/* Fills in the version; KOL_NOT_FOUND where none ships. */
enum kol_status shipped_get(const char *model, struct arena *arena, struct registry_version *out,
                            struct kol_error *err) KOL_CHECKED;
enum kol_status shipped_file(const char *model, const char *name, struct arena *arena,
                             struct str *out, struct kol_error *err) KOL_CHECKED;

/* ---- what serving.c needs of registry.c ---- */

/* The stamp of the aliases of a kind, or of one of its versions. */
void registry_stamp(struct registry *registry, enum score_kind kind, const char *version,
                    struct registry_stamp *out);

#endif
