/*
 * inputs.h: what `kol predict` and `kol explain` share: raw inputs out of a JSON object, by their
 * names, and the model that answers. Private to cmd/.
 */
#ifndef CMD_INPUTS_H
#define CMD_INPUTS_H

#include "cmd/command.h"
#include "score/score.h"

enum input_kind { INPUT_NUMBER, INPUT_COUNT /* >= 0 */, INPUT_FLAG };

/* One name that an object may have. */
struct input {
    const char *name;
    enum input_kind kind;
    bool required; /* the key must be there; null is allowed where `nullable` */
    bool nullable;
};

/* What a score is asked with: its inputs in the order of the struct of doubles. */
struct input_table {
    const char *score; /* "trust" */
    const struct input *inputs;
    size_t count;
};

extern const struct input_table trust_input_table, success_input_table, trending_input_table;

enum { INPUTS_MAX = 16, INPUT_ID_MAX = 256 };

/* An object as read. */
struct given_inputs {
    double values[INPUTS_MAX];
    char kol_id[INPUT_ID_MAX]; /* "" where it was not given */
};

/*
 * Reads a JSON object: `kol_id` and the names of the table; null and an absent name are unknown
 * (NaN). KOL_INVALID names what is wrong: no object, a name that the score does not have (with the
 * nearest that it has), a value of another type, a negative count, a required name that is absent.
 */
enum kol_status inputs_read(const struct input_table *table, struct str json,
                            struct given_inputs *out, struct kol_error *err) KOL_CHECKED;

/*
 * The model that answers: the file of --model, else what the registry has in production (trust:
 * else the one that ships). For success `gbdt` may be NULL: the rule. gbdt_free(&out->gbdt)
 * afterwards.
 */
enum kol_status inputs_model(const struct invocation *call, enum score_kind kind,
                             struct score_model *out, struct kol_error *err) KOL_CHECKED;

#endif
