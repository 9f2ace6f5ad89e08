/*
 * openapi.h: between openapi.c, which writes the document, and openapi_answers.c, which knows what
 * a route can answer.
 */
#ifndef HTTP_OPENAPI_H
#define HTTP_OPENAPI_H

#include <jansson.h>

#include "http/parts.h"

void openapi_text(json_t *object, const char *name, const char *text);
/* {"$ref": "#/components/KIND/NAME"} */
json_t *openapi_ref(const char *kind, const char *name);

/* The headers that answers carry, for components. */
json_t *openapi_headers(void);
/* The schema of problem details, for components. */
json_t *openapi_problem_schema(void);
/* All that a route can answer, by status. What several routes share is put into `components`. */
json_t *openapi_responses(const struct http_app *app, const struct http_route *route,
                          json_t *components);

#endif
