/*
 * transform.h: the fixed list of what a preset may do to a cell; the rows are in transforms.def.
 */
#ifndef IMPORT_TRANSFORM_H
#define IMPORT_TRANSFORM_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum transform {
#define TRANSFORM(NAME, text, argument, help) TRANSFORM_##NAME,
#include "import/transforms.def"
#undef TRANSFORM
    TRANSFORM_COUNT
};

enum transform_argument { ARGUMENT_NONE, ARGUMENT_TEXT, ARGUMENT_LIST, ARGUMENT_MAP };

/* One step of a rule: a transform with its argument. */
struct transform_step {
    enum transform transform;
    struct str text;         /* ARGUMENT_TEXT */
    const struct str *items; /* ARGUMENT_LIST: the words; ARGUMENT_MAP: from, to, from, to, ... */
    size_t item_count;
};

const char *transform_name(enum transform transform);
const char *transform_help(enum transform transform);
enum transform_argument transform_argument(enum transform transform);

/* How a preset writes it: `"trim"`, `{"prefix": TEXT}`. */
const char *transform_usage(enum transform transform);

/* Applies one step (any but SPLIT, which makes a list) to `*value`. `*unknown` becomes true where
 * the step says that nothing is known. KOL_INVALID with the reason where the text is not what the
 * step needs. What it makes lies in `arena` or in the step. */
enum kol_status transform_apply(const struct transform_step *step, struct str *value, bool *unknown,
                                struct arena *arena, struct kol_error *err) KOL_CHECKED;

/* Cuts `text` as SPLIT does: views into `text`, the array in `arena`. */
void transform_split(const struct transform_step *step, struct str text, struct arena *arena,
                     struct str **items, size_t *count);

#endif
