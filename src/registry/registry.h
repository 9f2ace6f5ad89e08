/*
 * registry.h: versions of models, and which of them serves.
 *
 * A model name ("trust", "success") has versions 1, 2, ... that never change once they are there,
 * and aliases that point at one: `production` serves, `candidate` is the newest that was trained.
 * A version is a folder of files: model.txt (LightGBM text), metadata.json (what it was trained
 * from and how good it is, see train.h), report.html. One interface; folder.c keeps them in
 * DATA/models, MLflow joins as mlflow.c.
 *
 * The trust model that ships with the program is version "shipped": it serves where no alias
 * `production` is set, can be compared like any other, and can be taken back to by a rollback.
 *
 * Threads and processes: any number at once. A version appears whole or not; an alias moves
 * atomically, and its history is kept for rollback.
 */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "score/score.h"

struct registry;

#define REGISTRY_PRODUCTION "production"
#define REGISTRY_CANDIDATE "candidate"
#define REGISTRY_SHIPPED "shipped"

struct registry_options {
    const char *data; /* DATA: versions are in DATA/models */
};

enum kol_status registry_open(const struct registry_options *options, struct registry **out,
                              struct kol_error *err) KOL_CHECKED;
void registry_close(struct registry **registry);

struct registry_file {
    const char *name; /* "model.txt" */
    struct str bytes;
};

struct registry_version {
    char model[32];      /* "trust" */
    char version[32];    /* "3", "shipped" */
    int64_t created_us;  /* 0: unknown */
    char source[32];     /* "trained", "imported", "shipped" */
    const char *aliases; /* space-separated, "" for none */
    struct str metadata; /* JSON object; "{}" for none */
};

/* All versions of a model, newest first, in `arena`; `model` NULL: of all models. */
enum kol_status registry_list(struct registry *registry, const char *model, struct arena *arena,
                              struct registry_version **out, size_t *count,
                              struct kol_error *err) KOL_CHECKED;

/* One version by number, alias or "shipped"; KOL_NOT_FOUND says what there is. */
enum kol_status registry_find(struct registry *registry, const char *model, const char *which,
                              struct arena *arena, struct registry_version *out,
                              struct kol_error *err) KOL_CHECKED;

/* The bytes of a file of a version, in `arena`. */
enum kol_status registry_file(struct registry *registry, const struct registry_version *version,
                              const char *name, struct arena *arena, struct str *out,
                              struct kol_error *err) KOL_CHECKED;

/* Adds a version made of these files (model.txt and metadata.json must be among them), which gets
 * the next number. KOL_INVALID where model.txt is not a model for this name. */
enum kol_status registry_add(struct registry *registry, const char *model, const char *source,
                             const struct registry_file *files, size_t count, char version[32],
                             struct kol_error *err) KOL_CHECKED;

/* Points an alias at a version; the one before goes on its history. */
enum kol_status registry_alias(struct registry *registry, const char *model, const char *alias,
                               const char *version, struct kol_error *err) KOL_CHECKED;

/* Points the alias back at what it was before its last move; `version` gets that. KOL_NOT_FOUND
 * where it never moved. */
enum kol_status registry_rollback(struct registry *registry, const char *model, const char *alias,
                                  char version[32], struct kol_error *err) KOL_CHECKED;

/* ---- what serves ---- */

/* Loads one version as a model, checked against the features of its kind. */
enum kol_status registry_load(struct registry *registry, enum score_kind kind, const char *which,
                              struct score_model *out, struct kol_error *err) KOL_CHECKED;

/* The models that serve now: production, for trust else the shipped one, for success else none
 * (gbdt NULL: the rule). registry_serving_free() lets both go. */
enum kol_status registry_serving(struct registry *registry, struct score_models *out,
                                 struct kol_error *err) KOL_CHECKED;
void registry_serving_free(struct score_models *models);

/*
 * A holder of the serving models that follows the aliases: serving_take() gives the models of now,
 * counted, without a wait; they stay whole until serving_drop(). serving_refresh() looks whether an
 * alias moved, loads, and swaps; where the new version is broken, the old one goes on serving and
 * the error says so.
 */
struct serving;
enum kol_status serving_open(struct registry *registry, struct serving **out,
                             struct kol_error *err) KOL_CHECKED;
void serving_close(struct serving **serving);
const struct score_models *serving_take(struct serving *serving);
void serving_drop(struct serving *serving, const struct score_models *models);
enum kol_status serving_refresh(struct serving *serving, bool *swapped,
                                struct kol_error *err) KOL_CHECKED;

#endif
