/* drift.h: the half of `kol features` that is in drift.c. Private to cmd/. */
#ifndef CMD_DRIFT_H
#define CMD_DRIFT_H

#include "cmd/command.h"
#include "score/score.h"

/* `kol features drift trust|success` (drift.c). */
enum kol_status features_drift(const struct invocation *call, enum score_kind kind,
                               struct kol_error *err) KOL_CHECKED;

#endif
