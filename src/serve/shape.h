/*
 * shape.h: a JSON object as the fields of a hash, and back.
 *
 * The members of an object are the fields of a hash of the same names (SPEC section 5): text as it
 * is, numbers in their shortest exact form, true / false, times as in JSON without the quotes; null
 * is a field that is not there; a list or an object stands as its JSON.
 *
 * What comes from a hash was maybe written by another program: nothing of it is believed before the
 * schema says so. Pure functions; any thread.
 */
#ifndef SERVE_SHAPE_H
#define SERVE_SHAPE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "http/http.h"

struct serve_field {
    struct str name, value;
};

/* The members of a JSON object that are not null, in their order; names and values in `arena` or
 * views of `json`. KOL_CORRUPT: it is no object, or not JSON. */
enum kol_status serve_to_fields(struct str json, struct arena *arena, struct serve_field **out,
                                size_t *count, struct kol_error *err) KOL_CHECKED;

/* The field of a name, or NULL. */
const struct serve_field *serve_field(const struct serve_field *fields, size_t count,
                                      const char *name);

/* How a schema is found by its name; NULL: there is none. */
typedef const struct http_schema *serve_schemas(const char *name);

/*
 * Appends the object that the fields are by the schema: its members in their order, each checked
 * (kind, bounds, choices; lists and objects too, whole) and written as this program writes JSON.
 * Fields that the schema does not name are left out. KOL_CORRUPT, with the name of the field and
 * never its value, where one is not what the schema says or a member that is always there is
 * missing; `out` is then as it was.
 */
enum kol_status serve_to_json(const struct http_schema *schema, serve_schemas *schemas,
                              const struct serve_field *fields, size_t count, struct buf *out,
                              struct kol_error *err) KOL_CHECKED;

/* What tells values apart: a hash over names and values whatever their order, cached_at left out.
 * Never 0. */
uint64_t serve_print(const struct serve_field *fields, size_t count);

#endif
