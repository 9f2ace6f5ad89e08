/*
 * json_scan.h: one pass over a JSON object that finds the values of the names it is told.
 *
 * Private to domain/. Everything is validated (syntax of RFC 8259, UTF-8, escapes, depth), but only
 * the values of known top-level names leave a token: its kind and where it stands. No tree is built
 * and nothing is allocated.
 */
#ifndef DOMAIN_JSON_SCAN_H
#define DOMAIN_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum token_kind {
    TOKEN_NULL,
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_INTEGER, /* a number without fraction and exponent */
    TOKEN_REAL,    /* any other number */
    TOKEN_STRING,
    TOKEN_ARRAY,
    TOKEN_OBJECT,
};

/* A value as it stands in the text. */
struct json_token {
    const char *ptr; /* its first byte; of a string, the byte behind the quote */
    uint32_t len;    /* bytes, without the quotes of a string */
    uint8_t kind;    /* enum token_kind */
    bool escaped;    /* a string with escapes in it */
    int64_t value;   /* of a TOKEN_INTEGER of at most JSON_EXACT_BYTES bytes; items of an array */
};

enum {
    JSON_NAMES_MAX = 128,
    JSON_NAME_BYTES = 23,  /* of the longest name */
    JSON_EXACT_BYTES = 18, /* digits and sign of an integer that token.value surely holds */
    JSON_SLOTS = 512,
};

/*
 * The names that a scan looks for, each as three words of eight bytes, zeros behind its end. A name
 * is found by one hash of its words; the multipliers are searched so that no two names share a
 * slot.
 */
struct json_names {
    size_t count;
    uint64_t multiplier[3];
    uint8_t slots[JSON_SLOTS];             /* id; JSON_NAMES_MAX where there is no name */
    uint64_t words[JSON_NAMES_MAX + 1][3]; /* those of JSON_NAMES_MAX are of no name */
    struct json_key {
        uint64_t words[3], masks[3]; /* the name and its closing quote, and which bytes those are */
        uint32_t len;                /* of the name and both quotes */
    } keys[JSON_NAMES_MAX + 1];      /* those of unknown ids are like no key */
    char texts[JSON_NAMES_MAX][JSON_NAME_BYTES + 1];
};

/* Adds a name to a zeroed table and returns its id; the id that it has if it is there already. */
int json_names_add(struct json_names *names, struct str name);

/* Makes the table ready for use; afterwards it is constant and may be shared by threads. */
void json_names_seal(struct json_names *names);

/* What a scan found. tokens[id] has a meaning only where json_given() says so. */
struct json_object {
    uint64_t given[JSON_NAMES_MAX / 64 + 1];      /* the last word serves unknown names */
    struct json_token tokens[JSON_NAMES_MAX + 1]; /* and so does the last token */
};

static inline bool json_given(const struct json_object *object, unsigned id)
{
    return object->given[id / 64] >> (id % 64) & 1;
}

/*
 * Scans one object, white space around it allowed. Of a name that comes twice the last value
 * counts; a value of null leaves no token. At most `max_depth` nested arrays and objects, the
 * object itself counted; `json` must be shorter than 4 GiB. KOL_INVALID with what is wrong and
 * where.
 */
enum kol_status json_scan_object(struct str json, const struct json_names *names, int max_depth,
                                 struct json_object *out, struct kol_error *err) KOL_CHECKED;

/* The text of a string token: a view of the input, or of `arena` where there are escapes. */
struct str json_text(const struct json_token *token, struct arena *arena);

/*
 * Steps through an array of strings: `*at` starts as array->ptr. False behind the last item. An
 * item of another kind has its kind set and no more, and ends the walk.
 */
bool json_next_string(const struct json_token *array, const char **at, struct json_token *item);

/* "a string", "an integer": for reasons. */
const char *json_kind_text(const struct json_token *token);

#endif
