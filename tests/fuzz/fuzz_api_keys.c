/*
 * fuzz_api_keys.c: any bytes as keys.json.
 *
 * What must hold: what is read can be written, and is the same when it is read again. Else a change
 * of one key would lock all others out.
 */
#include <stdint.h>
#include <string.h>

#include "api/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct stored_key *a, const struct stored_key *b)
{
    KOL_ASSERT(strcmp(a->key.id, b->key.id) == 0 && strcmp(a->key.note, b->key.note) == 0);
    KOL_ASSERT(a->key.scopes == b->key.scopes && a->key.burst == b->key.burst);
    KOL_ASSERT(a->key.created_us == b->key.created_us && a->key.expires_us == b->key.expires_us);
    KOL_ASSERT(a->key.revoked_us == b->key.revoked_us);
    KOL_ASSERT(a->key.rate_per_minute == b->key.rate_per_minute);
    KOL_ASSERT(memcmp(a->hash, b->hash, KEYS_HASH_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_table first, second;
    struct kol_error err;
    struct buf text = {0};
    if (keys_parse("keys.json", (struct str){(const char *)data, size}, &first, &err) != KOL_OK) {
        KOL_ASSERT(err.message[0] && !first.keys && !first.count);
        return 0;
    }
    keys_put(&first, &text);
    KOL_ASSERT(keys_parse("keys.json", buf_str(&text), &second, &err) == KOL_OK);
    KOL_ASSERT(first.count == second.count);
    for (size_t i = 0; i < first.count; i++) {
        compare(&first.keys[i], &second.keys[i]);
    }
    keys_free(&first);
    keys_free(&second);
    buf_free(&text);
    return 0;
}
