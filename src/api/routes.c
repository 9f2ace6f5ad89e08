/*
 * routes.c: the tables of the API as the HTTP room wants them, out of the .def files.
 *
 * The profile of a KOL and a content have a member for each column of their table in the lake;
 * these are put behind the members of schemas.def here, once, at the first use.
 */
#include <pthread.h>
#include <string.h>

#include "api/params.h"
#include "api/parts.h"
#include "lake/tables.h"

#define FIELDS(...)                                                                                \
    .fields = (const struct http_field[]){__VA_ARGS__},                                            \
    .field_count = sizeof((const struct http_field[]){__VA_ARGS__}) / sizeof(struct http_field)
#define NO_FIELDS .field_count = 0

/* How long answers may be kept, in seconds: fresh, then served stale while one call makes it anew,
 * then only where making it fails; and how long a 404 is. What is made from the copy is dropped the
 * moment that another copy is taken into use, by its tag. */
#define POLICY_COPY                                                                                \
    {                                                                                              \
        .fresh = 60, .stale = 600, .error = 86400, .missing = 5                                    \
    }
#define POLICY_LIVE                                                                                \
    {                                                                                              \
        .fresh = 1, .stale = 10, .error = 86400, .missing = 5                                      \
    }
#define POLICY_FIXED                                                                               \
    {                                                                                              \
        .fresh = 3600, .stale = 0, .error = 0, .missing = 5                                        \
    }
#define POLICY_NONE                                                                                \
    {                                                                                              \
        .fresh = 0                                                                                 \
    }

static const struct http_route routes[] = {
#define ROUTE(NAME, METHOD, PATH, TAG, ...)                                                        \
    {.method = METHOD, .path = PATH, .name = #NAME, .tag = TAG, .handle = api_##NAME, __VA_ARGS__},
#include "api/routes.def"
};

#define MEMBERS FIELDS
#define HAS(NAME, KIND, HELP, ...)                                                                 \
    {                                                                                              \
        .name = NAME, .kind = HTTP_##KIND, .required = true, .help = HELP, __VA_ARGS__             \
    }
#define MAY(NAME, KIND, HELP, ...)                                                                 \
    {                                                                                              \
        .name = NAME, .kind = HTTP_##KIND, .required = true, .nullable = true, .help = HELP,       \
        __VA_ARGS__                                                                                \
    }
#define SOME(NAME, KIND, HELP, ...)                                                                \
    {                                                                                              \
        .name = NAME, .kind = HTTP_##KIND, .help = HELP, __VA_ARGS__                               \
    }
#define ANY(NAME, KIND, HELP, ...)                                                                 \
    {                                                                                              \
        .name = NAME, .kind = HTTP_##KIND, .nullable = true, .help = HELP, __VA_ARGS__             \
    }
#define OPEN true
#define CLOSED false

static const struct http_schema declared[] = {
#define SCHEMA(NAME, MORE, HELP, ...) {.name = #NAME, .open = MORE, .help = HELP, __VA_ARGS__},
#include "api/schemas.def"
};

static const struct http_problem_kind problems[] = {
#define PROBLEM(CODE, STATUS, TITLE, TO_DO) {CODE, STATUS, TITLE, TO_DO},
#include "api/problems.def"
#undef PROBLEM
};

const char *const api_scope_names[4] = {"read", "predict", "write", "admin"};

/* ---- members out of the lake ---- */

enum { SCHEMAS = ARRAY_LEN(declared), MAX_MEMBERS = 96 };

static struct http_schema schemas[SCHEMAS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A schema that has the columns of a table behind its own members. */
static struct extended {
    const char *schema, *name_space, *table;
    bool optional; /* each may be left out */
    size_t own;    /* members of schemas.def */
    struct http_field members[MAX_MEMBERS];
} extended[] = {
    {.schema = "KOLProfile", .name_space = "silver", .table = "kol_profiles"},
    {.schema = "KOLRow", .name_space = "silver", .table = "kol_profiles", .optional = true},
    {.schema = "Content", .name_space = "silver", .table = "kol_content"},
};

static enum http_kind kind_of(const char *type)
{
    static const struct {
        const char *type;
        enum http_kind kind;
    } kinds[] = {
        {"string", HTTP_TEXT},    {"long", HTTP_INT},         {"int", HTTP_INT},
        {"double", HTTP_REAL},    {"float", HTTP_REAL},       {"boolean", HTTP_BOOL},
        {"date", HTTP_DATE},      {"timestamptz", HTTP_TIME}, {"list<string>", HTTP_WORDS},
        {"timestamp", HTTP_TIME},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].type, type) == 0) {
            return kinds[i].kind;
        }
    }
    return HTTP_ANY;
}

static bool has_member(const struct http_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void extend(struct extended *more, struct http_schema *schema)
{
    const struct lake_table *table = lake_table_find(more->name_space, more->table);
    KOL_ASSERT(table && schema->field_count <= MAX_MEMBERS);
    memcpy(more->members, schema->fields, schema->field_count * sizeof *more->members);
    more->own = schema->field_count;
    for (size_t i = 0; i < table->column_count; i++) {
        const struct lake_column *column = &table->columns[i];
        if (has_member(schema, column->name)) {
            continue;
        }
        KOL_ASSERT(schema->field_count < MAX_MEMBERS);
        more->members[schema->field_count] = (struct http_field){
            .name = column->name,
            .kind = kind_of(column->type),
            .required = !more->optional,
            .nullable = true,
            .help = column->doc,
        };
        schema->fields = more->members;
        schema->field_count++;
    }
}

static void make_schemas(void)
{
    memcpy(schemas, declared, sizeof schemas);
    for (size_t i = 0; i < ARRAY_LEN(extended); i++) {
        for (size_t k = 0; k < SCHEMAS; k++) {
            if (strcmp(schemas[k].name, extended[i].schema) == 0) {
                extend(&extended[i], &schemas[k]);
            }
        }
    }
}

const struct http_schema *api_find_schema(const char *name)
{
    pthread_once(&once, make_schemas);
    for (size_t i = 0; i < SCHEMAS; i++) {
        if (strcmp(schemas[i].name, name) == 0) {
            return &schemas[i];
        }
    }
    return NULL;
}

const struct http_schema *api_schema(const char *name)
{
    const struct http_schema *schema = api_find_schema(name);
    if (!schema) {
        kol_panic("schemas.def has no %s", name);
    }
    return schema;
}

const struct http_field *api_schema_columns(const char *name, size_t *count)
{
    const struct http_schema *schema = api_schema(name);
    for (size_t i = 0; i < ARRAY_LEN(extended); i++) {
        if (strcmp(extended[i].schema, name) == 0) {
            *count = schema->field_count - extended[i].own;
            return schema->fields + extended[i].own;
        }
    }
    kol_panic("%s has no columns of a table", name);
}

void api_tables(struct http_app *out)
{
    pthread_once(&once, make_schemas);
    *out = (struct http_app){
        .routes = routes,
        .route_count = ARRAY_LEN(routes),
        .schemas = schemas,
        .schema_count = SCHEMAS,
        .problems = problems,
        .problem_count = ARRAY_LEN(problems),
        .scopes = api_scope_names,
        .scope_count = ARRAY_LEN(api_scope_names),
        .title = "kol",
        .version = KOL_API_VERSION,
        .description =
            "Profiles, scores, rankings, content and predictions of KOLs. Every answer "
            "says what it knows of (`as_of`) and which snapshot it is made from; what is "
            "unknown is null.",
    };
}

size_t api_field(const struct http_call *call, const char *name)
{
    const struct http_route *route = http_call_route(call);
    for (size_t i = 0; i < route->field_count; i++) {
        if (strcmp(route->fields[i].name, name) == 0) {
            return i;
        }
    }
    kol_panic("%s has no parameter %s", route->name, name);
}
