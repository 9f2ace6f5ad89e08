/*
 * json_value.h: a JSON text as a tree of values in an arena.
 *
 * For what strangers send with each request. It takes what jansson takes under
 * JSON_REJECT_DUPLICATES | JSON_DECODE_ANY and gives the same values, at a tenth of the cost: no
 * table for each object and no malloc for each value, which was 40 % of what a small POST took.
 * Alone a NUL byte behind a number or a word, which jansson 2.14 steps over, is refused.
 * It says no more than no: who wants to know what is wrong and where asks jansson, which has the
 * time then. tests/unit/test_json_value.c and tests/fuzz/fuzz_json_value.c hold it to jansson.
 */
#ifndef BASE_JSON_VALUE_H
#define BASE_JSON_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum json_kind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,  /* a number without fraction and exponent */
    VALUE_REAL, /* any other number; finite */
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_OBJECT,
};

struct json_value {
    struct json_value *next; /* behind it in its list or object; NULL: it is the last */
    struct str name;         /* of a member */
    enum json_kind kind;
    uint32_t count; /* elements of a list, members of an object */
    union {
        bool truth;
        int64_t integer;
        double real;
        struct str text;          /* UTF-8 without NUL characters; nothing stands behind it */
        struct json_value *first; /* NULL: empty. In the order of the text */
    };
};

/* How much of a tree is taken. */
struct json_bounds {
    uint32_t depth;  /* of lists and objects within each other */
    uint32_t values; /* brackets that open and commas, as counted at the last comma */
};

/* Reads one value, white space around it allowed: syntax of RFC 8259, UTF-8, whole numbers within
 * int64_t, no NUL characters, no name twice in an object. The tree lies in `arena`; its texts are
 * views of `text` where nothing was escaped. NULL: it is none, or out of bounds. */
struct json_value *json_value_read(struct str text, struct json_bounds bounds, struct arena *arena);

/* The member of that name; NULL: there is none, or `object` is none, or NULL. */
const struct json_value *json_value_get(const struct json_value *object, const char *name);

/* The same of an object, with a guess where it is: a member or NULL. */
struct json_value *json_value_find(const struct json_value *object, struct str name,
                                   struct json_value *guess);

/* The text that it is; empty where it is none, or NULL. */
struct str json_value_text(const struct json_value *value);

/* The number that it is; false where it is none, or NULL. */
bool json_value_number(const struct json_value *value, double *out);

#endif
