/*
 * json_like.h: a text read by the reader of base and by jansson, and whether they agree: in the
 * verdict and, where it is taken, in every value. For the unit test and the fuzz target.
 */
#ifndef TESTS_JSON_LIKE_H
#define TESTS_JSON_LIKE_H

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/json_value.h"

enum { LIKE_DEPTH = 1000, LIKE_VALUES = 10000000 }; /* within what jansson takes */

static bool like(const struct json_value *ours, const json_t *theirs);

static bool like_list(const struct json_value *ours, const json_t *theirs)
{
    const struct json_value *one = ours->first;
    if (!json_is_array(theirs) || ours->count != json_array_size(theirs)) {
        return false;
    }
    for (size_t i = 0; i < ours->count; i++, one = one->next) {
        if (!one || one->name.len || !like(one, json_array_get(theirs, i))) {
            return false;
        }
    }
    return !one;
}

/* In the order of the text, too. */
static bool like_object(const struct json_value *ours, const json_t *theirs)
{
    const struct json_value *one = ours->first;
    const char *name;
    json_t *value;
    if (!json_is_object(theirs) || ours->count != json_object_size(theirs)) {
        return false;
    }
    json_object_foreach((json_t *)theirs, name, value)
    {
        if (!one || !str_is(one->name, name) || json_value_get(ours, name) != one ||
            !like(one, value)) {
            return false;
        }
        one = one->next;
    }
    return !one;
}

static bool like(const struct json_value *ours, const json_t *theirs)
{
    switch (ours->kind) {
    case VALUE_NULL: return json_is_null(theirs);
    case VALUE_BOOL: return json_is_boolean(theirs) && ours->truth == json_is_true(theirs);
    case VALUE_INT: return json_is_integer(theirs) && ours->integer == json_integer_value(theirs);
    case VALUE_REAL: {
        const double real = json_real_value(theirs);
        return json_is_real(theirs) && memcmp(&ours->real, &real, sizeof real) == 0;
    }
    case VALUE_TEXT: {
        const struct str text = {json_string_value(theirs), json_string_length(theirs)};
        return json_is_string(theirs) && str_equal(ours->text, text);
    }
    case VALUE_LIST: return like_list(ours, theirs);
    default: return like_object(ours, theirs);
    }
}

/* NULL: they agree; else on what they do not. `taken` NULL, or whether they take it. */
static const char *json_unlike(struct str text, bool *taken)
{
    struct arena arena;
    json_error_t error;
    const char *what = NULL;
    arena_init(&arena, 0);
    const struct json_value *ours =
        json_value_read(text, (struct json_bounds){LIKE_DEPTH, LIKE_VALUES}, &arena);
    json_t *theirs = json_loadb(text.len ? text.ptr : "", text.len,
                                JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (memchr(text.len ? text.ptr : "", '\0', text.len)) {
        what = ours ? "ours takes a NUL byte" : NULL; /* jansson does at some places */
    } else if (!ours != !theirs) {
        what = ours ? "ours alone takes it" : "jansson alone takes it";
    } else if (ours && !like(ours, theirs)) {
        what = "the values differ";
    }
    if (taken) {
        *taken = ours != NULL;
    }
    json_decref(theirs);
    arena_free(&arena);
    return what;
}

#endif
