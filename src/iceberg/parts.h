/*
 * parts.h: what the files of this room share: a reader of JSON documents, copies into another
 * arena, names that nobody has given before, sets of locations. Private to the room.
 */
#ifndef ICEBERG_PARTS_H
#define ICEBERG_PARTS_H

#include <jansson.h>

#include "iceberg/catalog.h"
#include "iceberg/manifest.h"
#include "iceberg/metadata.h"
#include "iceberg/storage.h"

/* ---- reading a JSON document with a place for messages (json_reader.c) ---- */

/* The first failure stays; every getter answers its fallback (0, NULL) from then on, so that a
 * caller looks at `status` where it matters: before a loop and at the end. */
struct json_reader {
    struct arena *arena; /* of what is read */
    struct kol_error *err;
    enum kol_status status;
    const char *document; /* for messages: what is read */
    char path[256];       /* "snapshots[3].summary" */
    size_t path_len;
};

enum { JSON_MAX_ITEMS = 1 << 20 }; /* of one array or object */

/* Parses `text`; NULL, with the failure in the reader, where it is no JSON object or array. */
json_t *json_reader_parse(struct json_reader *reader, struct str text);
void json_reader_fail(struct json_reader *reader, enum kol_status status, const char *key,
                      const char *problem);
/* Goes into key[index] (index < 0: key); the result goes to json_reader_leave(). */
size_t json_reader_enter(struct json_reader *reader, const char *key, long index);
void json_reader_leave(struct json_reader *reader, size_t mark);

int64_t json_reader_int(struct json_reader *reader, const json_t *object, const char *key,
                        int64_t min, int64_t max);
/* `fallback` where the key is absent or null. */
int64_t json_reader_int_or(struct json_reader *reader, const json_t *object, const char *key,
                           int64_t min, int64_t max, int64_t fallback);
bool json_reader_bool_or(struct json_reader *reader, const json_t *object, const char *key,
                         bool fallback);
/* In the arena. */
const char *json_reader_text(struct json_reader *reader, const json_t *object, const char *key);
const char *json_reader_text_or(struct json_reader *reader, const json_t *object, const char *key,
                                const char *fallback);
/* NULL where it is absent; a failure where it is of another kind or too long. */
const json_t *json_reader_array_or(struct json_reader *reader, const json_t *object,
                                   const char *key);
const json_t *json_reader_object_or(struct json_reader *reader, const json_t *object,
                                    const char *key);
const json_t *json_reader_array(struct json_reader *reader, const json_t *object, const char *key);
/* A text as it stands in the document, for what is only carried along. */
const char *json_reader_raw(struct json_reader *reader, const json_t *value);

/* Takes in the failure of a call that has filled `why`. */
void json_reader_take(struct json_reader *reader, enum kol_status status,
                      const struct kol_error *why, const char *key);

/* ---- copies (schema.c, metadata.c) ---- */

void *ice_copy(struct arena *arena, const void *bytes, size_t len);
const char *ice_copy_text(struct arena *arena, const char *text); /* NULL stays NULL */
struct ice_schema ice_schema_copy(struct arena *arena, const struct ice_schema *schema);
struct ice_partition_spec ice_spec_copy(struct arena *arena, const struct ice_partition_spec *spec);
struct ice_sort_order ice_order_copy(struct arena *arena, const struct ice_sort_order *order);
struct ice_pair *ice_pairs_copy(struct arena *arena, const struct ice_pair *pairs, size_t count);

bool ice_type_equal(const struct ice_field *a, const struct ice_field *b); /* of primitives */
/* Whether `from` may become `to` without rewriting a file: the same, or widened. */
bool ice_type_may_become(const struct ice_field *from, const struct ice_field *to);
bool ice_type_is_nested(enum ice_type type);
int32_t ice_schema_highest_id(const struct ice_schema *schema);

/* ---- versions (metadata.c) ---- */

struct ice_metadata *ice_metadata_new(void);
/* One more holder of the same version; each gives it back by ice_metadata_free(). */
struct ice_metadata *ice_metadata_share(const struct ice_metadata *metadata);
/* The version as a copy of its own, to be changed by its maker before anybody else sees it. */
struct ice_metadata *ice_metadata_copy(const struct ice_metadata *metadata);
/* Sets the name mapping of all schemas from the table's property. */
void ice_metadata_map_names(struct ice_metadata *metadata);
void ice_metadata_set_property(struct ice_metadata *metadata, const char *key, const char *value);

/* ---- names ---- */

int64_t ice_random_id(void); /* 1 .. 2^63-1 */
int64_t ice_now_ms(void);
/* "<location>/metadata/00012-<uuid>.metadata.json". */
void ice_new_metadata_location(struct buf *out, const char *location, int64_t version);
/* 12 of such a name; -1 where it has no number. */
int64_t ice_metadata_version(const char *metadata_location);
void ice_hint_location(struct buf *out, const char *location);

/* Reads and inflates the metadata file at a location. */
enum kol_status ice_metadata_fetch(struct storage *storage, const char *location,
                                   struct ice_metadata **out, struct kol_error *err) KOL_CHECKED;

/* ---- what a snapshot reaches (table.c) ---- */

/* Names the new version for readers without a catalog, unless another one has followed already. A
 * failure is logged: the hint is a courtesy. */
void ice_put_hint(struct catalog *catalog, struct ice_ident ident, const struct ice_metadata *next);

enum kol_status ice_read_list(struct storage *storage, const struct ice_snapshot *snapshot,
                              struct arena *arena, struct ice_manifest **out, size_t *count,
                              struct kol_error *err) KOL_CHECKED;
/* Entries of one manifest of the table, all of them, with nothing left to inherit. */
enum kol_status ice_read_entries(struct storage *storage, const struct ice_metadata *metadata,
                                 const struct ice_manifest *manifest, struct arena *arena,
                                 struct ice_entry **out, size_t *count,
                                 struct kol_error *err) KOL_CHECKED;
/* False only where the list says that no file in the manifest is live. */
bool ice_manifest_may_be_live(const struct ice_manifest *manifest);

/* ---- snapshots that go (expire.c) ---- */

/* The snapshots of `metadata` beyond the newest `keep` that no ref names and that are older than
 * `before_ms`, in memory for free(); `count` may come out 0. */
int64_t *ice_snapshots_to_expire(const struct ice_metadata *metadata, int keep, int64_t before_ms,
                                 size_t *count);
/* After a commit that made `after` out of `before`: removes what only the snapshots that went
 * reached, as far as it can be told cheaply and is old enough. Failures are logged: what stays is
 * an orphan. */
void ice_expire_inline(struct storage *storage, const struct ice_metadata *before,
                       const struct ice_metadata *after);

/* ---- sets of locations (paths.c) ---- */

/* "file:///a", "file:/a" and "/a" are one location. */
struct ice_paths {
    const char **slots; /* views; NULL where free */
    size_t size, count; /* size: a power of two, or 0 */
};

bool ice_paths_add(struct ice_paths *paths, const char *location); /* false: was in it already */
bool ice_paths_has(const struct ice_paths *paths, const char *location);
void ice_paths_free(struct ice_paths *paths);

#endif
