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
    const char *problem; /* why it cannot be used, naming the file; NULL: it can */
    bool serves;         /* it is what registry_serving() gives */
};

/* All versions of a model, newest first, in `arena`; `model` NULL: of all models. A broken one is
 * among them, with its `problem`. */
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
 * the next number. KOL_INVALID where model.txt is not a model for this name, with the first
 * difference. */
enum kol_status registry_add(struct registry *registry, const char *model, const char *source,
                             const struct registry_file *files, size_t count, char version[32],
                             struct kol_error *err) KOL_CHECKED;

/* Points an alias at a version; the one before goes on its history. One that points there already
 * is left as it is. */
enum kol_status registry_alias(struct registry *registry, const char *model, const char *alias,
                               const char *version, struct kol_error *err) KOL_CHECKED;

/* Points the alias back at what it was before its last move, and again with each call; `version`
 * gets what is meant by it then: "" where it is set no more and nothing ships. A version that is
 * gone or broken is passed over for the one before it; `skipped`, unless NULL, gets a line for each
 * of them. KOL_NOT_FOUND where there is no move left to take back: nothing is changed then. */
enum kol_status registry_rollback(struct registry *registry, const char *model, const char *alias,
                                  char version[32], struct buf *skipped,
                                  struct kol_error *err) KOL_CHECKED;

/* ---- what serves ---- */

/* The version that is to serve: what `production` names, there or not, else "shipped", else "" for
 * none at all. */
enum kol_status registry_which_serves(struct registry *registry, enum score_kind kind,
                                      char version[32], struct kol_error *err) KOL_CHECKED;

/* Loads one version as a model, checked against the features of its kind and the checksum that was
 * taken when it was added. `production` is what serves: the shipped one where no alias is set,
 * KOL_NOT_FOUND ("no trust model ...") where there is none at all. */
enum kol_status registry_load(struct registry *registry, enum score_kind kind, const char *which,
                              struct score_model *out, struct kol_error *err) KOL_CHECKED;

/* The models that serve now: production, else the shipped one, else none: gbdt is NULL then, and
 * version "none". For success that means the rule; who needs a trust model says that there is none
 * by registry_no_model(). A broken one is an error, never passed over.
 * registry_serving_free() lets both go. */
enum kol_status registry_serving(struct registry *registry, struct score_models *out,
                                 struct kol_error *err) KOL_CHECKED;
void registry_serving_free(struct score_models *models);

/* Fails with KOL_NOT_FOUND: there is no model of this kind, and what makes one. */
enum kol_status registry_no_model(enum score_kind kind, struct kol_error *err);

/*
 * A holder of the serving models that follows the aliases: serving_take() gives the models of now,
 * counted, without a wait; they stay whole until serving_drop(). serving_refresh() looks whether an
 * alias moved (three stat() a kind where none did), loads, and swaps; where a new version is
 * broken, the old one of that kind goes on serving and the error says so, once: the next call tries
 * again only when the registry has changed, or where the system refused to read (KOL_IO). Refreshes
 * of several threads wait for one another; before serving_close() everything that was taken is
 * dropped.
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
