/* store_pack.c: a hash as RESTORE takes it, see store_parts.h. */
#include <pthread.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "serve/store_parts.h"

/*
 *     offset  bytes
 *          0      1  type of the value: a hash as listpack
 *          1      5  bytes of the listpack, in the long form of lengths (0x80, big-endian)
 *          6      4  the same, little-endian: the head of the listpack
 *         10      2  entries, little-endian
 *         12         entries: head, text, how long both are
 *                 1  0xff
 *                 2  version of the format, little-endian: the oldest that has listpacks
 *                 8  CRC-64 of all before it, little-endian
 *
 * The script unpacks the entries by itself where the server knows no such value.
 */
enum {
    TYPE_HASH_LISTPACK = 16,
    LENGTH_LONG = 0x80,
    ENTRIES_AT = 12,
    LISTPACK_AT = 6,
    LISTPACK_END = 0xff,
    FORMAT_VERSION = 10,
    SHORT_TEXT = 64,     /* a text below this has a head of one byte, */
    LONG_TEXT = 4096,    /* below this one of two; longer ones are not packed */
    FIELDS_PACKED = 128, /* the server keeps no more in a listpack unless it is told to */
};

/* ---- CRC-64 as Redis has it: Jones, reflected, from 0 ---- */

#define CRC_POLYNOMIAL UINT64_C(0x95ac9329ac4bc9b5)

/* [0] takes one byte, [k] one that k more bytes follow, so that eight are taken at once. */
static uint64_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void make_crc_table(void)
{
    for (int byte = 0; byte < 256; byte++) {
        uint64_t crc = (uint64_t)byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
        }
        crc_table[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++) {
        for (int byte = 0; byte < 256; byte++) {
            const uint64_t crc = crc_table[k - 1][byte];
            crc_table[k][byte] = crc_table[0][crc & 0xff] ^ crc >> 8;
        }
    }
}

static uint64_t crc64(struct str bytes)
{
    uint64_t crc = 0;
    size_t i = 0;
    pthread_once(&crc_once, make_crc_table);
    for (; i + 8 <= bytes.len; i += 8) {
        const uint64_t word = crc ^ bytes_load64(bytes.ptr + i);
        crc = crc_table[7][word & 0xff] ^ crc_table[6][word >> 8 & 0xff] ^
              crc_table[5][word >> 16 & 0xff] ^ crc_table[4][word >> 24 & 0xff] ^
              crc_table[3][word >> 32 & 0xff] ^ crc_table[2][word >> 40 & 0xff] ^
              crc_table[1][word >> 48 & 0xff] ^ crc_table[0][word >> 56];
    }
    for (; i < bytes.len; i++) {
        crc = crc_table[0][(crc ^ (unsigned char)bytes.ptr[i]) & 0xff] ^ crc >> 8;
    }
    return crc;
}

/* ---- entries ---- */

static void put_little(char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        at[i] = (char)(value >> 8 * i);
    }
}

static char *put_entry(char *at, struct str text)
{
    const char *from = at;
    if (text.len < SHORT_TEXT) {
        *at++ = (char)(0x80 | text.len);
    } else {
        *at++ = (char)(0xe0 | text.len >> 8);
        *at++ = (char)text.len;
    }
    if (text.len) {
        memcpy(at, text.ptr, text.len);
        at += text.len;
    }
    const size_t len = (size_t)(at - from); /* what a walk from the end goes back by */
    if (len >= 128) {
        *at++ = (char)(len >> 7);
        *at++ = (char)((len & 127) | 128);
    } else {
        *at++ = (char)len;
    }
    return at;
}

static char *put_fields(char *at, const struct serve_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        at = put_entry(put_entry(at, fields[i].name), fields[i].value);
    }
    return at;
}

/* Adds the most that the fields take; false where one is too long. */
static bool measure(const struct serve_field *fields, size_t count, size_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].name.len >= LONG_TEXT || fields[i].value.len >= LONG_TEXT) {
            return false;
        }
        *bytes += fields[i].name.len + fields[i].value.len + 8;
    }
    return *bytes <= STORE_PACKED_MAX;
}

static bool is_among(const struct serve_field *fields, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(fields[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Eight bits that are the same for the same names, and mostly others for others. */
static unsigned sign_of(struct str name)
{
    if (name.len == 0) {
        return 0;
    }
    const unsigned first = (unsigned char)name.ptr[0], last = (unsigned char)name.ptr[name.len - 1];
    const unsigned middle = (unsigned char)name.ptr[name.len / 2];
    return ((unsigned)name.len * 37 + first * 5 + middle * 17 + last) & 0xff;
}

/* Only those whose sign was there before are looked for among the others. */
static bool differ(const struct serve_field *fields, size_t count)
{
    uint64_t seen[4] = {0};
    for (size_t i = 0; i < count; i++) {
        const unsigned sign = sign_of(fields[i].name);
        const uint64_t bit = UINT64_C(1) << sign % 64;
        if (seen[sign / 64] & bit && is_among(fields, i, fields[i].name)) {
            return false;
        }
        seen[sign / 64] |= bit;
    }
    return true;
}

bool store_pack(const struct serve_field *fields, size_t count, const struct store_stamp *stamp,
                struct buf *out)
{
    size_t bytes = 64;
    if (count + stamp->count > FIELDS_PACKED || !measure(fields, count, &bytes) ||
        !measure(stamp->fields, stamp->count, &bytes) || !differ(fields, count)) {
        return false;
    }
    buf_reserve(out, bytes);
    char *start = out->ptr + out->len;
    char *end = put_fields(start + ENTRIES_AT, fields, count);
    end = put_fields(end, stamp->fields, stamp->count);
    *end++ = (char)LISTPACK_END;
    const uint32_t len = (uint32_t)(end - start - LISTPACK_AT);
    start[0] = TYPE_HASH_LISTPACK;
    start[1] = (char)LENGTH_LONG;
    for (int i = 0; i < 4; i++) {
        start[2 + i] = (char)(len >> (24 - 8 * i));
    }
    put_little(start + LISTPACK_AT, len, 4);
    put_little(start + LISTPACK_AT + 4, 2 * (count + stamp->count), 2);
    put_little(end, FORMAT_VERSION, 2);
    end += 2;
    put_little(end, crc64((struct str){start, (size_t)(end - start)}), 8);
    out->len = (size_t)(end + 8 - out->ptr);
    out->ptr[out->len] = '\0';
    return true;
}
