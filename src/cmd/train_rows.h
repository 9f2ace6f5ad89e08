/* train_rows.h: the rows that models are trained and compared on, for cmd/train.c and
 * cmd/models*.c. Private to cmd/. */
#ifndef CMD_TRAIN_ROWS_H
#define CMD_TRAIN_ROWS_H

#include "cmd/command.h"
#include "registry/train.h"

/*
 * Reads the training rows of a kind. `from`: a table of the lake ("gold.ml_trust_training"), or a
 * CSV file with its columns, in any order, as `kol features export` writes it (a name with a / or
 * .csv in it); NULL: the table of the kind. `as_of`: a snapshot of the table by number or time, or
 * NULL. The order of the rows is that of their keys, whatever the order they lie in. set->source
 * says what was read: {"table", "snapshot_id"} or {"file", "bytes", "xxh128"}. On a failure nothing
 * is left in `out`.
 */
enum kol_status train_rows_read(const struct invocation *call, enum score_kind kind,
                                const char *from, const char *as_of, struct train_set *out,
                                struct kol_error *err) KOL_CHECKED;

/* Reads again what an earlier set->source names. KOL_NOT_FOUND where it is no more, KOL_INVALID
 * where the file has other bytes now. */
enum kol_status train_rows_read_again(const struct invocation *call, enum score_kind kind,
                                      struct str source, struct train_set *out,
                                      struct kol_error *err) KOL_CHECKED;

#endif
