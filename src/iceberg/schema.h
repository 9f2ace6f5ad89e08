/*
 * schema.h: the words of the Iceberg table format (spec v2): types, columns, partition specs, sort
 * orders, data files and their statistics, single values.
 *
 * Plain data without functions of a table's life (table.h) or of its files (manifest.h). All of it
 * lives in an arena that the maker names: a loaded table, a scan, a commit.
 */
#ifndef ICEBERG_SCHEMA_H
#define ICEBERG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum ice_type {
    ICE_BOOLEAN,
    ICE_INT,
    ICE_LONG,
    ICE_FLOAT,
    ICE_DOUBLE,
    ICE_DECIMAL, /* precision, scale */
    ICE_DATE,
    ICE_TIME,
    ICE_TIMESTAMP,   /* microseconds, no zone */
    ICE_TIMESTAMPTZ, /* microseconds since 1970, UTC */
    ICE_STRING,
    ICE_UUID,
    ICE_FIXED, /* length */
    ICE_BINARY,
    ICE_LIST,   /* children: element */
    ICE_MAP,    /* children: key, value */
    ICE_STRUCT, /* children: the fields */
};

struct ice_field {
    int32_t id; /* what data files name the column by; never used again for another */
    const char *name;
    enum ice_type type;
    int32_t precision, scale, length;
    bool required;
    const char *doc; /* NULL where there is none */
    struct ice_field *children;
    size_t child_count;
};

struct ice_schema {
    int32_t schema_id;
    struct ice_field *fields;
    size_t count;
    int32_t *identifiers; /* ids of the columns that tell rows apart, as the table declares them */
    size_t identifier_count;
    /* What data files without field ids call the columns: JSON, the table's property
     * schema.name-mapping.default; NULL where it has none. No part of the schema as it is written.
     */
    const char *name_mapping;
};

enum ice_transform {
    ICE_IDENTITY,
    ICE_BUCKET,   /* param: buckets */
    ICE_TRUNCATE, /* param: width */
    ICE_YEAR,
    ICE_MONTH,
    ICE_DAY,
    ICE_HOUR,
    ICE_VOID,
};

struct ice_partition_field {
    int32_t source_id; /* of the column */
    int32_t field_id;  /* of the partition field, 1000 and up */
    const char *name;
    enum ice_transform transform;
    int32_t param;
};

struct ice_partition_spec {
    int32_t spec_id;
    struct ice_partition_field *fields;
    size_t count; /* 0: not partitioned */
};

struct ice_sort_field {
    int32_t source_id;
    enum ice_transform transform;
    int32_t param;
    bool descending;
    bool nulls_last;
};

struct ice_sort_order {
    int32_t order_id; /* 0: unsorted */
    struct ice_sort_field *fields;
    size_t count;
};

/* One value of a primitive type; its type is known from where it stands. */
struct ice_value {
    bool known; /* false: null */
    union {
        bool boolean;
        int64_t integer;  /* INT, LONG, DATE (days), TIME, TIMESTAMP, TIMESTAMPTZ (microseconds) */
        double real;      /* FLOAT, DOUBLE */
        struct str bytes; /* STRING, BINARY, FIXED, UUID; DECIMAL: big-endian two's complement */
    };
};

/* What is known of one column in one data file; a count of -1 is unknown. */
struct ice_column_stats {
    int32_t field_id;
    int64_t size;   /* bytes on disk */
    int64_t values; /* nulls and NaN included */
    int64_t nulls;
    int64_t nans;     /* -1 for types that have none */
    bool has_bounds;  /* NaN is in no bound */
    struct str lower; /* single-value binary form of the spec, strings cut at 16 characters */
    struct str upper;
};

struct ice_data_file {
    const char *path; /* full location, as manifests hold it */
    int64_t rows;
    int64_t bytes;
    int32_t spec_id;
    struct ice_value *partition; /* one for each field of the spec */
    size_t partition_count;
    struct ice_column_stats *columns; /* by ascending field id */
    size_t column_count;
    int64_t *split_offsets; /* ascending starts of row groups */
    size_t split_count;
    int32_t sort_order_id; /* 0: unsorted */
};

/* ---- types ---- */

/* "long", "decimal(18,4)", "fixed[16]", ... as the spec writes a primitive type. Reading fills
 * type, precision, scale and length of `field`; KOL_INVALID for what is no type, KOL_UNSUPPORTED by
 * name for those of v3. */
enum kol_status ice_type_read(struct str text, struct ice_field *field,
                              struct kol_error *err) KOL_CHECKED;
void ice_type_write(struct buf *out, const struct ice_field *field); /* primitives only */

/* "day", "bucket[16]", ... */
enum kol_status ice_transform_read(struct str text, enum ice_transform *transform, int32_t *param,
                                   struct kol_error *err) KOL_CHECKED;
void ice_transform_write(struct buf *out, enum ice_transform transform, int32_t param);

/* The type of a transform's result, given its source column. */
struct ice_field ice_transform_result(const struct ice_field *source, enum ice_transform transform);

/* The type of a partition field's values; false where the schema has lost the column that they are
 * made of and the transform does not tell the type by itself (`out` is then that of a string). */
bool ice_partition_type(const struct ice_schema *schema, const struct ice_partition_field *field,
                        struct ice_field *out);

/* The column with this id at any depth, or NULL; the top-level column with this name, or NULL. */
const struct ice_field *ice_field_by_id(const struct ice_schema *schema, int32_t id);
const struct ice_field *ice_field_by_name(const struct ice_schema *schema, const char *name);

/* ---- JSON (schema_json.c), as in metadata and in the headers of manifests ---- */

struct json_t; /* of jansson */

void ice_schema_write(struct buf *out, const struct ice_schema *schema);
void ice_spec_write(struct buf *out, const struct ice_partition_spec *spec);
void ice_spec_fields_write(struct buf *out, const struct ice_partition_spec *spec); /* the array */

/* What they read is in `arena`. A schema without an id has 0. A spec is the whole object, or the
 * array of its fields alone (spec_id 0: the caller knows it); fields without an id count from 1000,
 * as in version 1. KOL_CORRUPT with the place for what breaks the format, KOL_UNSUPPORTED by name
 * for version 3 and beyond ICE_MAX_COLUMNS and ICE_MAX_NESTING. */
enum kol_status ice_schema_read(const struct json_t *json, struct arena *arena,
                                struct ice_schema *out, struct kol_error *err) KOL_CHECKED;
enum kol_status ice_spec_read(const struct json_t *json, struct arena *arena,
                              struct ice_partition_spec *out, struct kol_error *err) KOL_CHECKED;

/* ---- values (value.c) ---- */

/* The single-value binary form (spec, appendix D), appended to `out`; the value must be known. */
void ice_value_write(struct buf *out, const struct ice_field *field, const struct ice_value *value);

/* Reads it back; texts are views into `bytes`. A long may be read from 4 bytes and a double from 4
 * (a column that was widened). KOL_CORRUPT for a wrong length. */
enum kol_status ice_value_read(struct str bytes, const struct ice_field *field,
                               struct ice_value *value, struct kol_error *err) KOL_CHECKED;

/* < 0, 0, > 0 in the order of the format: text and binary by bytes, decimals by number, -0.0 before
 * +0.0, NaN last. Both known. */
int ice_value_compare(const struct ice_field *field, const struct ice_value *a,
                      const struct ice_value *b);

/* The 32-bit murmur3 of the spec (appendix B), which buckets are made of; false for a type that has
 * none (boolean, float, double, nested). The value must be known. */
bool ice_value_hash(const struct ice_field *field, const struct ice_value *value, int32_t *out);

/* Lower and upper bound of a column from its least and greatest value: strings cut at 16 code
 * points and binaries at 16 bytes, the upper one raised to stay above what was cut (no upper bound
 * where that cannot be: false). The result is binary form in `arena`. */
bool ice_bound_lower(struct arena *arena, const struct ice_field *field,
                     const struct ice_value *value, struct str *out);
bool ice_bound_upper(struct arena *arena, const struct ice_field *field,
                     const struct ice_value *value, struct str *out);

/* The partition value that a transform makes of a column's value: floors towards minus infinity
 * before 1970; bucket is murmur3 of the spec. Null stays null. */
enum kol_status ice_transform_apply(struct arena *arena, const struct ice_field *source,
                                    enum ice_transform transform, int32_t param,
                                    const struct ice_value *value, struct ice_value *out,
                                    struct kol_error *err) KOL_CHECKED;

/* ---- filters: which files may hold a row ---- */

enum ice_op {
    ICE_EQ,
    ICE_NE,
    ICE_LT,
    ICE_LE,
    ICE_GT,
    ICE_GE,
    ICE_IS_NULL,
    ICE_NOT_NULL,
    ICE_IS_NAN
};

/* All conditions of a filter must hold. */
struct ice_condition {
    int32_t field_id;
    enum ice_op op;
    struct ice_value value;
};

/* False only where the file's statistics and partition prove that no row satisfies all of them. */
bool ice_file_may_match(const struct ice_schema *schema, const struct ice_partition_spec *spec,
                        const struct ice_data_file *file, const struct ice_condition *conditions,
                        size_t count);

#endif
