/*
 * keys.h: the file of keys, for those who check keys (keys.c) and those who change it
 * (keys_change.c). Private to the room.
 */
#ifndef API_KEYS_H
#define API_KEYS_H

#include "api/parts.h"

enum { KEYS_MOST = 1000, KEYS_HASH_BYTES = 32 };

#define KEYS_SCOPES "read, predict, write, admin"

struct stored_key {
    struct api_key key;
    unsigned char hash[KEYS_HASH_BYTES]; /* SHA-256 of the key's text */
};

struct key_table {
    struct stored_key *keys;
    size_t count;
};

void keys_hash(struct str key, unsigned char out[KEYS_HASH_BYTES]);
void keys_put_hex(struct buf *out, const unsigned char *bytes, size_t count);
/* False where it is no hash in lower-case hexadecimal. */
bool keys_read_hex(struct str text, unsigned char out[KEYS_HASH_BYTES]);
/* Appends 256 random bits in the 43 letters of base64 that need no quoting anywhere. */
enum kol_status keys_put_random(struct buf *out, struct kol_error *err) KOL_CHECKED;
/* The text of a file, whose path is for messages. */
enum kol_status keys_parse(const char *path, struct str text, struct key_table *out,
                           struct kol_error *err) KOL_CHECKED;
void keys_put(const struct key_table *table, struct buf *out);
/* A file that is not there holds none. KOL_CORRUPT names the first key that is broken. */
enum kol_status keys_read(const char *path, struct key_table *out,
                          struct kol_error *err) KOL_CHECKED;
/* In one step, readable by its owner alone from the first byte on. */
enum kol_status keys_write(const char *path, const struct key_table *table,
                           struct kol_error *err) KOL_CHECKED;
void keys_free(struct key_table *table);

#endif
