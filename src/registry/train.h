/*
 * train.h: trains a model through LightGBM's C API and says how good it is.
 *
 * Rows are split by account (all rows of one account are in one part), stratified by label: 70 %
 * train, 15 % validation, 15 % test. Validation alone says how many trees there are to be; so many
 * are then grown from train and validation together. Test is looked at once, at the end. The same
 * rows in the same order with the same options give the same bytes of model.txt, metadata.json and
 * report.html.
 * Threads: one training at a time; a set that is not being filled may be read by any number.
 */
#ifndef REGISTRY_TRAIN_H
#define REGISTRY_TRAIN_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "registry/metrics.h"
#include "score/score.h"

/* ---- rows ---- */

enum train_part { PART_TRAIN, PART_VALIDATION, PART_TEST, TRAIN_PARTS };
const char *train_part_name(enum train_part part); /* "train", "validation", "test" */

/* Rows to learn from, or to compare models on. An account's rows lie behind one another. */
struct train_set {
    enum score_kind kind;
    size_t columns;     /* features of the kind */
    double *features;   /* rows x columns, NaN missing */
    uint8_t *labels;    /* rows: 1 is the class whose probability is learnt */
    uint8_t *masked;    /* rows: trust: 1 in the copy without age and default flags */
    uint8_t *parts;     /* rows: enum train_part as the table has it; TRAIN_PARTS: it has none */
    uint32_t *accounts; /* rows: number of the account, 0, 1, ... as they come */
    struct str *names;  /* accounts: "twitter/12345", for success the product; in `arena` */
    size_t rows, account_count;
    struct buf source;        /* JSON object: table and snapshot id, or file and its hash */
    size_t row_cap, name_cap; /* private */
    struct arena arena;
};
void train_set_init(struct train_set *set, enum score_kind kind);
void train_set_free(struct train_set *set);

/* Adds a row; everything is copied. `part` TRAIN_PARTS: the table says nothing of parts. */
void train_set_add(struct train_set *set, struct str account, bool masked, uint8_t label,
                   enum train_part part, const double *features);

/*
 * The part of each row, in `parts` (set->rows). Where the table says it, that; else the accounts of
 * each class (of an account's first row) in the order of XXH3-64 of "SEED/NAME": the first 15 % are
 * test, the next 15 % validation, the others train. So the order of the rows does not matter, and
 * an account that comes later moves few others. KOL_INVALID where a part would lack one of the
 * classes, or an account is in two parts.
 */
enum kol_status train_split(const struct train_set *set, int64_t seed, uint8_t *parts,
                            struct kol_error *err) KOL_CHECKED;

/* ---- training ---- */

struct train_options {
    const struct train_set *set;
    int64_t seed;        /* 0 .. 2^31 - 1: of the split, of LightGBM and of the intervals */
    const char *library; /* path of lib_lightgbm, or NULL: looked for, see lightgbm.h */
    int threads;         /* of LightGBM, at least 1 */
    int64_t most_trees;  /* 0: as many as early stopping allows, at most 3000 */
    bool compare;        /* trust: also a model from full rows alone, for the report */
    const char *program; /* version of the program, for the metadata */
    /* After each round; what it returns unless KOL_OK ends the training. `what` says which model.
     */
    enum kol_status (*on_round)(const char *what, int64_t round, double validation_loss,
                                double validation_auc, void *user, struct kol_error *err);
    void *user;
};

/* Rows of one part: all, or those of one kind. */
struct train_quality {
    size_t rows, accounts, positives;
    struct metric_interval metrics[METRICS];
};

struct train_result {
    struct buf model;                  /* model.txt */
    struct buf metadata;               /* metadata.json */
    struct buf report;                 /* report.html */
    int64_t trees;                     /* kept */
    struct train_quality full, masked; /* test part: as it is, and (trust) without age and flags */
    struct train_quality alone_full, alone_masked; /* test part, by the model of full rows alone;
                                                      rows 0 where none was trained */
};

/* KOL_INVALID: too few rows, or one class alone. KOL_NOT_FOUND: no lib_lightgbm, with the command
 * that gets it. KOL_INTERRUPTED. On a failure nothing is left in `out`. */
enum kol_status train_run(const struct train_options *options, struct train_result *out,
                          struct kol_error *err) KOL_CHECKED;
void train_result_free(struct train_result *result);

#endif
