/*
 * keys_change.c: making, listing and revoking keys: what `kol keys` does.
 *
 * Whoever changes the file holds a lock beside it, so that of two changes at once none is lost. A
 * server that runs picks the change up by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "api/keys.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

enum { KEY_BYTES = 32 };

/* Holds DATA/keys.lock; -1 with the reason. */
static int lock_keys(const char *data, struct kol_error *err)
{
    char *path = file_join(data, "keys.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        (void)kol_fail_errno(err, errno, "%s", path);
        if (fd >= 0) {
            close(fd);
            fd = -1;
        }
    }
    free(path);
    return fd;
}

/* Reads the file, lets `change` change it, writes it; all under the lock. */
static enum kol_status change_keys(const char *data,
                                   enum kol_status (*change)(struct key_table *table, void *user,
                                                             struct kol_error *err),
                                   void *user, struct kol_error *err)
{
    if (!file_exists(data)) {
        return kol_fail(err, KOL_NOT_FOUND, "there is no data folder %s", data);
    }
    struct key_table table;
    int lock = lock_keys(data, err);
    if (lock < 0) {
        return err ? err->status : KOL_IO;
    }
    char *path = file_join(data, "keys.json");
    enum kol_status status = keys_read(path, &table, err);
    if (status == KOL_OK) {
        status = change(&table, user, err);
        if (status == KOL_OK) {
            status = keys_write(path, &table, err);
        }
        keys_free(&table);
    }
    free(path);
    close(lock);
    return status;
}

/* ---- create ---- */

enum kol_status keys_put_random(struct buf *out, struct kol_error *err)
{
    unsigned char bits[KEY_BYTES];
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits) {
        return kol_fail_errno(err, errno, "no random bits");
    }
    const size_t at = out->len;
    text_put_base64(out, (struct str){(const char *)bits, sizeof bits});
    for (size_t i = at; i < out->len; i++) {
        char *c = &out->ptr[i];
        *c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
    }
    while (out->ptr[out->len - 1] == '=') {
        out->ptr[--out->len] = '\0';
    }
    return KOL_OK;
}

struct creation {
    const struct api_key *wanted;
    struct str text;
};

static enum kol_status add_key(struct key_table *table, void *user, struct kol_error *err)
{
    const struct creation *creation = user;
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->keys[i].key.id, creation->wanted->id) == 0) {
            return kol_fail(err, KOL_EXISTS, "there is a key %s already: choose another id",
                            creation->wanted->id);
        }
    }
    if (table->count >= KEYS_MOST) {
        return kol_fail(err, KOL_NO_SPACE, "there are %d keys already", KEYS_MOST);
    }
    table->keys = mem_realloc(table->keys, (table->count + 1) * sizeof *table->keys);
    struct stored_key *stored = &table->keys[table->count++];
    *stored = (struct stored_key){.key = *creation->wanted};
    stored->key.created_us = clock_now_us();
    stored->key.revoked_us = 0;
    keys_hash(creation->text, stored->hash);
    return KOL_OK;
}

enum kol_status api_key_create(const char *data, const struct api_key *wanted, struct buf *key,
                               struct kol_error *err)
{
    if (!wanted->id[0] || !text_is_utf8(str_of(wanted->id)) ||
        !text_is_utf8(str_of(wanted->note))) {
        return kol_fail(err, KOL_INVALID, "a key needs an id, and id and note are UTF-8");
    }
    if (!wanted->scopes || wanted->scopes >> ARRAY_LEN(api_scope_names)) {
        return kol_fail(err, KOL_INVALID, "a key needs scopes: %s", KEYS_SCOPES);
    }
    const size_t at = key->len;
    buf_puts(key, "kol_");
    enum kol_status status = keys_put_random(key, err);
    if (status == KOL_OK) {
        struct creation creation = {wanted, {key->ptr + at, key->len - at}};
        status = change_keys(data, add_key, &creation, err);
    }
    if (status != KOL_OK) {
        key->len = at;
    }
    return status;
}

/* ---- list and revoke ---- */

enum kol_status api_key_list(const char *data, struct arena *arena, struct api_key **out,
                             size_t *count, struct kol_error *err)
{
    struct key_table table;
    char *path = file_join(data, "keys.json");
    enum kol_status status = keys_read(path, &table, err);
    free(path);
    if (status != KOL_OK) {
        return status;
    }
    *out = arena_alloc(arena, (table.count + 1) * sizeof **out);
    *count = table.count;
    for (size_t i = 0; i < table.count; i++) {
        (*out)[i] = table.keys[i].key;
    }
    keys_free(&table);
    return KOL_OK;
}

static enum kol_status revoke_key(struct key_table *table, void *user, struct kol_error *err)
{
    const char *id = user;
    for (size_t i = 0; i < table->count; i++) {
        struct api_key *key = &table->keys[i].key;
        if (strcmp(key->id, id) == 0) {
            key->revoked_us = key->revoked_us ? key->revoked_us : clock_now_us();
            return KOL_OK;
        }
    }
    return kol_fail(err, KOL_NOT_FOUND, "there is no key %s: `kol keys list` shows all", id);
}

enum kol_status api_key_revoke(const char *data, const char *id, struct kol_error *err)
{
    char *copy = mem_strdup(id);
    enum kol_status status = change_keys(data, revoke_key, copy, err);
    free(copy);
    return status;
}
