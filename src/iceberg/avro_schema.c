/*
 * avro_schema.c: the schema of an Avro file as a tree that keeps what libavro drops.
 *
 * Every node knows its field id and carries a schema of libavro's that is made here, under names of
 * our own: what a file calls its types never reaches libavro. Named types that stand inside
 * themselves are refused, so that a value's depth is that of the tree.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "iceberg/avro_file.h"

struct builder {
    struct ice_avro_schema *schema;
    const avro_consumer_t *consumer;
    struct kol_error *err;
};

static enum kol_status build(struct builder *builder, const json_t *json, int depth,
                             struct ice_avro_node **out);

static enum kol_status new_node(struct builder *builder, avro_type_t kind,
                                struct ice_avro_node **out)
{
    struct ice_avro_schema *schema = builder->schema;
    if (schema->count == ICE_AVRO_MAX_NODES) {
        return kol_fail(builder->err, KOL_UNSUPPORTED, "an Avro schema of more than %d types",
                        ICE_AVRO_MAX_NODES);
    }
    struct ice_avro_node *node = arena_alloc(schema->arena, sizeof *node);
    *node = (struct ice_avro_node){.consumer = *builder->consumer, .kind = kind, .field_id = -1};
    node->consumer.schema = NULL;
    schema->names[schema->count] = NULL;
    schema->nodes[schema->count++] = node;
    *out = node;
    return KOL_OK;
}

static void alloc_children(struct builder *builder, struct ice_avro_node *node, size_t count)
{
    node->children = arena_alloc(builder->schema->arena, count * sizeof(struct ice_avro_node *));
    node->child_count = count;
}

/* The id under `key`, or -1. */
static int32_t id_under(const json_t *json, const char *key)
{
    const json_t *id = json_object_get(json, key);
    json_int_t number = json_is_integer(id) ? json_integer_value(id) : -1;
    return number >= 0 && number <= INT32_MAX ? (int32_t)number : -1;
}

/* A name that no other type of this schema has, for libavro. */
static const char *own_name(struct builder *builder, char name[24])
{
    snprintf(name, 24, "n%zu", builder->schema->count);
    return name;
}

/* ---- primitive types and names ---- */

static const struct primitive {
    const char *name;
    avro_type_t kind;
    size_t least;
    avro_schema_t (*make)(void);
} primitives[] = {
    {"null", AVRO_NULL, 0, avro_schema_null},    {"boolean", AVRO_BOOLEAN, 1, avro_schema_boolean},
    {"int", AVRO_INT32, 1, avro_schema_int},     {"long", AVRO_INT64, 1, avro_schema_long},
    {"float", AVRO_FLOAT, 4, avro_schema_float}, {"double", AVRO_DOUBLE, 8, avro_schema_double},
    {"bytes", AVRO_BYTES, 1, avro_schema_bytes}, {"string", AVRO_STRING, 1, avro_schema_string},
};

static const char *short_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static struct ice_avro_node *named(struct builder *builder, const char *name)
{
    for (size_t i = 0; i < builder->schema->count; i++) {
        const char *known = builder->schema->names[i];
        if (known && str_is(str_of(known), short_name(name))) {
            return builder->schema->nodes[i];
        }
    }
    return NULL;
}

/* A copy, all the way down: what is wanted of one place is not wanted of another. */
static enum kol_status copy_node(struct builder *builder, const struct ice_avro_node *original,
                                 struct ice_avro_node **out)
{
    struct ice_avro_node *node = NULL;
    enum kol_status status = new_node(builder, original->kind, &node);
    if (status) {
        return status;
    }
    *node = *original;
    avro_schema_incref(node->consumer.schema);
    alloc_children(builder, node, original->child_count);
    for (size_t i = 0; !status && i < original->child_count; i++) {
        status = copy_node(builder, original->children[i], &node->children[i]);
    }
    *out = node;
    return status;
}

static enum kol_status refer(struct builder *builder, const char *name, struct ice_avro_node **out)
{
    const struct ice_avro_node *original = named(builder, name);
    if (!original) {
        return kol_fail(builder->err, KOL_CORRUPT, "the Avro type \"%.100s\" is not defined", name);
    }
    if (original->open) {
        return kol_fail(builder->err, KOL_UNSUPPORTED, "the recursive Avro type \"%.100s\"", name);
    }
    enum kol_status status = copy_node(builder, original, out);
    if (!status) {
        (*out)->field_id = -1;
    }
    return status;
}

static enum kol_status build_word(struct builder *builder, const char *word,
                                  struct ice_avro_node **out)
{
    for (size_t i = 0; i < ARRAY_LEN(primitives); i++) {
        if (str_is(str_of(word), primitives[i].name)) {
            enum kol_status status = new_node(builder, primitives[i].kind, out);
            if (!status) {
                (*out)->consumer.schema = primitives[i].make();
                (*out)->least = primitives[i].least;
                (*out)->empty = primitives[i].least == 0;
            }
            return status;
        }
    }
    return refer(builder, word, out);
}

static enum kol_status give_name(struct builder *builder, const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    if (!name) {
        return kol_fail(builder->err, KOL_CORRUPT, "a named Avro type has no name");
    }
    if (named(builder, name)) {
        return kol_fail(builder->err, KOL_CORRUPT, "the Avro type \"%.100s\" is defined twice",
                        name);
    }
    builder->schema->names[builder->schema->count - 1] =
        arena_copy(builder->schema->arena, str_of(short_name(name))).ptr;
    return KOL_OK;
}

/* ---- what has types inside ---- */

static enum kol_status too_empty(struct builder *builder, const struct ice_avro_node *node)
{
    return node->empty <= ICE_AVRO_MAX_EMPTY
               ? KOL_OK
               : kol_fail(builder->err, KOL_UNSUPPORTED,
                          "an Avro record of more than %d values that take no bytes",
                          ICE_AVRO_MAX_EMPTY);
}

static enum kol_status build_fields(struct builder *builder, const json_t *fields, int depth,
                                    struct ice_avro_node *node)
{
    node->empty = node->child_count == 0;
    for (size_t i = 0; i < node->child_count; i++) {
        const json_t *field = json_array_get(fields, i);
        struct ice_avro_node *child = NULL;
        enum kol_status status = build(builder, json_object_get(field, "type"), depth + 1, &child);
        if (status) {
            return status;
        }
        child->field_id = id_under(field, "field-id");
        node->children[i] = child;
        node->least += child->least;
        node->empty += child->empty;
        char name[24];
        snprintf(name, sizeof name, "f%zu", i);
        KOL_ASSERT(avro_schema_record_field_append(node->consumer.schema, name,
                                                   child->consumer.schema) == 0);
        status = too_empty(builder, node);
        if (status) {
            return status;
        }
    }
    return KOL_OK;
}

static enum kol_status build_record(struct builder *builder, const json_t *json, int depth,
                                    struct ice_avro_node **out)
{
    const json_t *fields = json_object_get(json, "fields");
    enum kol_status status = new_node(builder, AVRO_RECORD, out);
    status = status ? status : give_name(builder, json);
    if (status) {
        return status;
    }
    if (!json_is_array(fields) || json_array_size(fields) > ICE_AVRO_MAX_NODES) {
        return kol_fail(builder->err, KOL_CORRUPT, "an Avro record should have an array of fields");
    }
    char name[24];
    struct ice_avro_node *node = *out;
    node->consumer.schema = avro_schema_record(own_name(builder, name), NULL);
    node->open = true;
    alloc_children(builder, node, json_array_size(fields));
    status = build_fields(builder, fields, depth, node);
    node->open = false;
    return status;
}

static enum kol_status build_array(struct builder *builder, const json_t *json, bool is_map,
                                   int depth, struct ice_avro_node **out)
{
    enum kol_status status = new_node(builder, is_map ? AVRO_MAP : AVRO_ARRAY, out);
    if (status) {
        return status;
    }
    struct ice_avro_node *node = *out, *child = NULL;
    alloc_children(builder, node, 1);
    status = build(builder, json_object_get(json, is_map ? "values" : "items"), depth + 1, &child);
    if (status) {
        return status;
    }
    if (!is_map && child->least == 0) { /* any count of them would fit into no bytes at all */
        return kol_fail(builder->err, KOL_UNSUPPORTED, "an Avro array of values without bytes");
    }
    child->field_id = id_under(json, is_map ? "value-id" : "element-id");
    node->children[0] = child;
    node->least = 1;
    node->consumer.schema = is_map ? avro_schema_map(child->consumer.schema)
                                   : avro_schema_array(child->consumer.schema);
    return KOL_OK;
}

static enum kol_status build_union(struct builder *builder, const json_t *json, int depth,
                                   struct ice_avro_node **out)
{
    enum kol_status status = new_node(builder, AVRO_UNION, out);
    if (status) {
        return status;
    }
    struct ice_avro_node *node = *out;
    size_t count = json_array_size(json);
    if (count == 0 || count > 64) {
        return kol_fail(builder->err, KOL_CORRUPT, "an Avro union should have 1 to 64 branches");
    }
    node->consumer.schema = avro_schema_union();
    node->least = 1;
    alloc_children(builder, node, count);
    for (size_t i = 0; i < count; i++) {
        struct ice_avro_node *child = NULL;
        status = build(builder, json_array_get(json, i), depth + 1, &child);
        if (status) {
            return status;
        }
        if (child->kind == AVRO_UNION) {
            return kol_fail(builder->err, KOL_CORRUPT, "an Avro union inside a union");
        }
        node->children[i] = child;
        /* A branch of no bytes is paid for by the byte that picks it. */
        node->empty = child->empty > node->empty + 1 ? child->empty - 1 : node->empty;
        KOL_ASSERT(avro_schema_union_append(node->consumer.schema, child->consumer.schema) == 0);
    }
    return KOL_OK;
}

static enum kol_status build_fixed(struct builder *builder, const json_t *json,
                                   struct ice_avro_node **out)
{
    const json_t *size = json_object_get(json, "size");
    enum kol_status status = new_node(builder, AVRO_FIXED, out);
    status = status ? status : give_name(builder, json);
    if (status) {
        return status;
    }
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > ICE_AVRO_MAX_HEADER) {
        return kol_fail(builder->err, KOL_CORRUPT, "the size of an Avro fixed is out of range");
    }
    char name[24];
    struct ice_avro_node *node = *out;
    node->size = (size_t)json_integer_value(size);
    node->least = node->size;
    node->empty = node->size == 0;
    node->consumer.schema = avro_schema_fixed(own_name(builder, name), (int64_t)node->size);
    return KOL_OK;
}

static enum kol_status build_enum(struct builder *builder, const json_t *json,
                                  struct ice_avro_node **out)
{
    enum kol_status status = new_node(builder, AVRO_ENUM, out);
    status = status ? status : give_name(builder, json);
    if (status) {
        return status;
    }
    char name[24];
    (*out)->size = json_array_size(json_object_get(json, "symbols"));
    (*out)->least = 1;
    (*out)->consumer.schema = avro_schema_enum(own_name(builder, name));
    return KOL_OK;
}

static enum kol_status build_object(struct builder *builder, const json_t *json, int depth,
                                    struct ice_avro_node **out)
{
    const json_t *type = json_object_get(json, "type");
    if (!json_is_string(type)) {
        return build(builder, type, depth + 1, out);
    }
    const char *word = json_string_value(type);
    struct str text = str_of(word);
    if (str_is(text, "record")) {
        return build_record(builder, json, depth, out);
    }
    if (str_is(text, "array") || str_is(text, "map")) {
        return build_array(builder, json, str_is(text, "map"), depth, out);
    }
    if (str_is(text, "fixed")) {
        return build_fixed(builder, json, out);
    }
    return str_is(text, "enum") ? build_enum(builder, json, out) : build_word(builder, word, out);
}

static enum kol_status build(struct builder *builder, const json_t *json, int depth,
                             struct ice_avro_node **out)
{
    if (depth > ICE_AVRO_MAX_DEPTH) {
        return kol_fail(builder->err, KOL_UNSUPPORTED, "Avro types nested deeper than %d",
                        ICE_AVRO_MAX_DEPTH);
    }
    if (json_is_string(json)) {
        return build_word(builder, json_string_value(json), out);
    }
    if (json_is_array(json)) {
        return build_union(builder, json, depth, out);
    }
    if (json_is_object(json)) {
        return build_object(builder, json, depth, out);
    }
    return kol_fail(builder->err, KOL_CORRUPT, "a type is missing in the Avro schema");
}

enum kol_status ice_avro_schema_read(struct str json, struct arena *arena,
                                     const avro_consumer_t *consumer, struct ice_avro_schema **out,
                                     struct kol_error *err)
{
    *out = mem_zalloc(1, sizeof **out);
    (*out)->arena = arena;
    if (json.len > ICE_AVRO_MAX_HEADER) {
        return kol_fail(err, KOL_UNSUPPORTED, "an Avro schema of more than %d bytes",
                        ICE_AVRO_MAX_HEADER);
    }
    json_error_t problem;
    json_t *document = json_loadb(json.ptr ? json.ptr : "", json.len, 0, &problem);
    if (!document) {
        return kol_fail(err, KOL_CORRUPT, "the Avro schema is no JSON: %s", problem.text);
    }
    struct builder builder = {*out, consumer, err};
    enum kol_status status = build(&builder, document, 0, &(*out)->root);
    json_decref(document);
    if (!status && (*out)->root->kind != AVRO_RECORD) {
        return kol_fail(err, KOL_CORRUPT, "the Avro file does not hold records");
    }
    return status;
}

void ice_avro_schema_free(struct ice_avro_schema **schema)
{
    if (!*schema) {
        return;
    }
    for (size_t i = (*schema)->count; i > 0; i--) {
        if ((*schema)->nodes[i - 1]->consumer.schema) {
            avro_schema_decref((*schema)->nodes[i - 1]->consumer.schema);
        }
    }
    free(*schema);
    *schema = NULL;
}

struct ice_avro_node *ice_avro_known(struct ice_avro_node *node)
{
    if (node && node->kind == AVRO_UNION) {
        for (size_t i = 0; i < node->child_count; i++) {
            if (node->children[i]->kind != AVRO_NULL) {
                return node->children[i];
            }
        }
    }
    return node;
}

struct ice_avro_node *ice_avro_field(struct ice_avro_node *record, int32_t field_id)
{
    if (!record || record->kind != AVRO_RECORD) {
        return NULL;
    }
    for (size_t i = 0; i < record->child_count; i++) {
        if (record->children[i]->field_id == field_id) {
            return ice_avro_known(record->children[i]);
        }
    }
    return NULL;
}
