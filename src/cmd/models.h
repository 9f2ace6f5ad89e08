/* models.h: what the files of `kol models` share. Private to cmd/models*.c. */
#ifndef CMD_MODELS_H
#define CMD_MODELS_H

#include "cmd/command.h"
#include "registry/registry.h"

/* The kind called so; KOL_NOT_FOUND with the names that there are. */
enum kol_status models_kind(const char *model, enum score_kind *out,
                            struct kol_error *err) KOL_CHECKED;

/* `kol models compare MODEL A B` (models_compare.c). */
enum kol_status models_compare(const struct invocation *call, struct registry *registry,
                               struct kol_error *err) KOL_CHECKED;

/* KOL_OK where `version` is surely better than what serves, or nothing is to. What is to serve and
 * cannot be loaded fails. */
enum kol_status models_check_better(const struct invocation *call, struct registry *registry,
                                    enum score_kind kind, const char *version,
                                    struct kol_error *err) KOL_CHECKED;

/* `kol models ledger --kol ID` (models_ledger.c). */
enum kol_status models_ledger(const struct invocation *call, struct kol_error *err) KOL_CHECKED;

#endif
