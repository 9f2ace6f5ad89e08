/*
 * avro_file.h: Avro object container files as Iceberg uses them. Private to the room.
 *
 * Records are encoded and decoded by libavro. What it leaves out is here: the header with its own
 * metadata, the attributes of the schema (field-id) by which columns are found, codecs, and a check
 * of every block before libavro sees it, because libavro believes the lengths that it reads.
 */
#ifndef ICEBERG_AVRO_FILE_H
#define ICEBERG_AVRO_FILE_H

#include <avro.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct json_t;

/* ---- the writer's schema, as read from a file (avro_schema.c) ---- */

enum {
    ICE_AVRO_MAX_HEADER = 4 << 20, /* bytes of one JSON document in a header */
    ICE_AVRO_MAX_NODES = 4096,
    ICE_AVRO_MAX_DEPTH = 24,
    ICE_AVRO_MAX_EMPTY = 64, /* values without a byte in one record: work without input */
};

/* One type in the tree. The consumer comes first: libavro hands it back to our callbacks. */
struct ice_avro_node {
    avro_consumer_t consumer;
    avro_type_t kind;
    int32_t field_id; /* of the record field, or of the element of an array; -1: none */
    int slot;         /* what the reader of the file calls this value; 0: not wanted */
    struct ice_avro_node **children; /* fields, element, value of a map, or branches */
    size_t child_count;
    size_t size;  /* bytes of a fixed; symbols of an enum */
    size_t least; /* fewest bytes that a value takes */
    size_t empty; /* values of no bytes within one value */
    bool open;    /* its definition is not finished */
};

struct ice_avro_schema {
    struct arena *arena;
    struct ice_avro_node *root; /* a record */
    struct ice_avro_node *nodes[ICE_AVRO_MAX_NODES];
    const char *names[ICE_AVRO_MAX_NODES]; /* of named types, NULL for others */
    size_t count;
};

/* `json`: the value of "avro.schema". Every node's consumer is a copy of `consumer` but for its
 * schema. KOL_CORRUPT, or KOL_UNSUPPORTED for recursive types. Free it in either case. */
enum kol_status ice_avro_schema_read(struct str json, struct arena *arena,
                                     const avro_consumer_t *consumer, struct ice_avro_schema **out,
                                     struct kol_error *err) KOL_CHECKED;
void ice_avro_schema_free(struct ice_avro_schema **schema);

/* The type that is not null of an optional one, else the node itself. */
struct ice_avro_node *ice_avro_known(struct ice_avro_node *node);

/* The field of a record with this id, ice_avro_known() of it; NULL where there is none or `record`
 * is NULL or no record. */
struct ice_avro_node *ice_avro_field(struct ice_avro_node *record, int32_t field_id);

/* ---- reading (avro_file.c) ---- */

struct ice_avro_value {
    avro_type_t kind;
    int64_t integer; /* boolean, int, long, enum */
    double real;
    struct str bytes; /* string, bytes, fixed: valid until the call returns */
};

/* Gets the wanted values of each record in the order of the file. */
struct ice_avro_sink {
    enum kol_status (*begin)(void *user, int slot, struct kol_error *err); /* of a record */
    enum kol_status (*take)(void *user, int slot, const struct ice_avro_value *value,
                            struct kol_error *err);
    enum kol_status (*end)(void *user, struct kol_error *err); /* of a record of the file */
    void *user;
};

struct ice_avro_reader;

/* `bytes` must outlive the reader. */
enum kol_status ice_avro_open(struct str bytes, struct ice_avro_reader **out,
                              struct kol_error *err) KOL_CHECKED;
void ice_avro_close(struct ice_avro_reader **reader);
struct ice_avro_node *ice_avro_root(struct ice_avro_reader *reader);

/* The header's value, a view; ptr NULL where there is none. */
struct str ice_avro_header(const struct ice_avro_reader *reader, const char *key);
/* The same as JSON, to be given to json_decref(); NULL with an error where it is none. */
struct json_t *ice_avro_header_json(const struct ice_avro_reader *reader, const char *key,
                                    struct kol_error *err);

enum kol_status ice_avro_each(struct ice_avro_reader *reader, const struct ice_avro_sink *sink,
                              struct kol_error *err) KOL_CHECKED;

/* ---- writing (avro_write.c) ---- */

enum ice_avro_type {
    ICE_AVRO_BOOLEAN,
    ICE_AVRO_INT,
    ICE_AVRO_LONG,
    ICE_AVRO_STRING,
    ICE_AVRO_BYTES,
    ICE_AVRO_INTS,      /* array */
    ICE_AVRO_LONGS,     /* array */
    ICE_AVRO_LONG_MAP,  /* int to long, as an array of records */
    ICE_AVRO_BYTES_MAP, /* int to bytes */
};

struct ice_avro_column {
    const char *name;
    int32_t id;
    enum ice_avro_type type;
    bool optional;
    int32_t inner_id, value_id; /* of an array's element, or of a map's key and value */
};

/* Appends the fields as JSON with commas between (and in front, if `more`). */
void ice_avro_put_columns(struct buf *json, const struct ice_avro_column *columns, size_t count,
                          bool more);

struct ice_avro_pair {
    const char *key;
    struct str value;
};

struct ice_avro_writer;

/* Starts a file at the end of `out`, deflated. KOL_UNSUPPORTED where libavro does not take the
 * schema. */
enum kol_status ice_avro_create(struct str schema_json, const struct ice_avro_pair *pairs,
                                size_t count, struct buf *out, struct ice_avro_writer **writer,
                                struct kol_error *err) KOL_CHECKED;
avro_value_t *ice_avro_record(struct ice_avro_writer *writer); /* emptied, to be filled */
void ice_avro_put(struct ice_avro_writer *writer);             /* writes that record */
void ice_avro_finish(struct ice_avro_writer **writer);

/* Fields of a record being filled. Optional ones: the branch that is not null, or null. */
avro_value_t ice_avro_get(avro_value_t *record, const char *name);
avro_value_t ice_avro_some(avro_value_t *record, const char *name);
void ice_avro_none(avro_value_t *record, const char *name);
avro_value_t ice_avro_append(avro_value_t *array);
avro_value_t ice_avro_branch(avro_value_t *optional, int branch);
void ice_avro_set_long(avro_value_t value, int64_t number); /* int or long */
void ice_avro_set_bytes(avro_value_t value, struct str bytes);
void ice_avro_set_text(avro_value_t value, struct str text);

#endif
