/*
 * accept.c: which of a route's content types an Accept header means (RFC 9110, section 12.5.1).
 *
 * Of the ranges that take a type the most exact one counts, and its weight decides; of equal
 * weights the type that stands first in the route's list. What cannot be read in a header is passed
 * over.
 */
#include <string.h>

#include "http/parts.h"

enum exactness { NO_MATCH, ANY_TYPE, ANY_SUBTYPE, EXACT };

static bool nocase_prefix(struct str text, struct str prefix)
{
    if (text.len < prefix.len) {
        return false;
    }
    for (size_t i = 0; i < prefix.len; i++) {
        char a = text.ptr[i], b = prefix.ptr[i];
        a = (char)(a >= 'A' && a <= 'Z' ? a + 32 : a);
        b = (char)(b >= 'A' && b <= 'Z' ? b + 32 : b);
        if (a != b) {
            return false;
        }
    }
    return true;
}

/* How exactly a range such as "text/csv", "text/" with a star, or two stars takes `type`. */
static enum exactness exactness_of(struct str range, struct str type)
{
    if (str_is(range, "*/*") || str_is(range, "*")) {
        return ANY_TYPE;
    }
    if (range.len > 2 && memcmp(range.ptr + range.len - 2, "/*", 2) == 0) {
        struct str family = {range.ptr, range.len - 1};
        return nocase_prefix(type, family) ? ANY_SUBTYPE : NO_MATCH;
    }
    return range.len == type.len && nocase_prefix(type, range) ? EXACT : NO_MATCH;
}

/* The weight among a range's parameters (";q=0.5"); 1 where there is none. */
static double weight_of(struct str params)
{
    while (params.len) {
        struct str value = str_trim(str_cut(&params, ';'));
        struct str name = str_trim(str_cut(&value, '='));
        double weight;
        if (str_is_nocase(name, "q")) {
            bool fits = str_to_double(str_trim(value), &weight) && weight >= 0 && weight <= 1;
            return fits ? weight : 0;
        }
    }
    return 1;
}

static double weight_for(struct str accept, struct str type)
{
    struct str rest = type;
    type = str_cut(&rest, ';'); /* "text/plain; version=1" is a text/plain */
    enum exactness best = NO_MATCH;
    double weight = 0;
    while (accept.len) {
        struct str params = str_cut(&accept, ',');
        struct str range = str_trim(str_cut(&params, ';'));
        enum exactness exactness = exactness_of(range, type);
        if (exactness > best) {
            best = exactness;
            weight = weight_of(params);
        }
    }
    return weight;
}

const char *http_accept_type(struct str accept, const char *types, struct arena *arena)
{
    struct str rest = str_of(types), type, best = {0};
    double best_weight = 0;
    accept = str_trim(accept);
    while (http_next_word(&rest, &type)) {
        double weight = accept.len ? weight_for(accept, type) : 1;
        if (weight > best_weight) {
            best_weight = weight;
            best = type;
        }
    }
    return best.len ? arena_copy(arena, best).ptr : NULL;
}
