/*
 * cursor.c: a place in a list of one copy as text that goes out and comes back.
 *
 * The bytes are a version, the four numbers of a struct api_cursor (lowest byte first) and a
 * checksum over both, in base64url without padding. Only the one text that api_cursor_put() writes
 * for a cursor is taken.
 */
#include <string.h>

#include "api/lists.h"
#include "base/hash.h"
#include "base/text.h"

enum { VERSION = 1, NUMBERS = 4, CHECK_BYTES = 4, BYTES = 1 + NUMBERS * 8 + CHECK_BYTES };
#define CHECK_SEED UINT64_C(0x6b6f6c2063757273) /* any number, the same in every process */

static void put_number(unsigned char *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t number_at(const unsigned char *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

static uint64_t check_of(const unsigned char *bytes)
{
    const struct str covered = {(const char *)bytes, BYTES - CHECK_BYTES};
    return hash_seeded(covered, CHECK_SEED) & UINT32_MAX;
}

void api_cursor_put(const struct api_cursor *cursor, char out[API_CURSOR_BYTES])
{
    unsigned char bytes[BYTES] = {VERSION};
    struct buf text = {0};
    put_number(bytes + 1, (uint64_t)cursor->copy, 8);
    put_number(bytes + 9, cursor->stamp, 8);
    put_number(bytes + 17, cursor->list, 8);
    put_number(bytes + 25, (uint64_t)cursor->place, 8);
    put_number(bytes + BYTES - CHECK_BYTES, check_of(bytes), CHECK_BYTES);
    text_put_base64(&text, (struct str){(const char *)bytes, BYTES});
    KOL_ASSERT(text.len < API_CURSOR_BYTES);
    size_t len = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] != '='; i++) {
        char c = text.ptr[i];
        out[len++] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    out[len] = 0;
    buf_free(&text);
}

/* The bytes behind the text; false where it is no base64url of so many. */
static bool decode(struct str text, unsigned char out[BYTES])
{
    struct buf plain = {0}, bytes = {0};
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        buf_putc(&plain, c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (plain.len % 4) {
        buf_putc(&plain, '=');
    }
    bool ok = text_put_unbase64(&bytes, buf_str(&plain)) && bytes.len == BYTES;
    if (ok) {
        memcpy(out, bytes.ptr, BYTES);
    }
    buf_free(&plain);
    buf_free(&bytes);
    return ok;
}

bool api_cursor_read(struct str text, struct api_cursor *out)
{
    unsigned char bytes[BYTES];
    char again[API_CURSOR_BYTES];
    if (!text.len || text.len >= API_CURSOR_BYTES || !decode(text, bytes) || bytes[0] != VERSION ||
        number_at(bytes + BYTES - CHECK_BYTES, CHECK_BYTES) != check_of(bytes)) {
        return false;
    }
    *out = (struct api_cursor){
        .copy = (int64_t)number_at(bytes + 1, 8),
        .stamp = number_at(bytes + 9, 8),
        .list = number_at(bytes + 17, 8),
        .place = (int64_t)number_at(bytes + 25, 8),
    };
    api_cursor_put(out, again);
    return out->place >= 0 && str_is(text, again);
}
