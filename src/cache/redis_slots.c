/*
 * redis_slots.c: which slot a key has, and what a cluster says about where slots are.
 *
 * What a node says is bounded and checked before anything is made of it: a slot beyond the last, a
 * range that ends before it begins, a port that is none.
 */
#include "base/mem.h"
#include "cache/redis_parts.h"

/* CRC-16/XMODEM, four bits at a time. */
static uint16_t crc16(struct str bytes)
{
    static const uint16_t of_four_bits[] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
    };
    uint16_t crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        const uint8_t byte = (uint8_t)bytes.ptr[i];
        crc = (uint16_t)(crc << 4) ^ of_four_bits[(crc >> 12) ^ (byte >> 4)];
        crc = (uint16_t)(crc << 4) ^ of_four_bits[(crc >> 12) ^ (byte & 15)];
    }
    return crc;
}

uint32_t redis_slot(struct str key)
{
    struct str rest = key;
    const struct str before = str_cut(&rest, '{');
    if (before.len < key.len) {
        const struct str tag = {key.ptr + before.len + 1, key.len - before.len - 1};
        rest = tag;
        const struct str inside = str_cut(&rest, '}');
        if (inside.len > 0 && inside.len < tag.len) {
            key = inside;
        }
    }
    return crc16(key) % REDIS_SLOTS;
}

bool redis_read_endpoint(struct str text, struct str *host, int *port)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':') {
        colon--;
    }
    int64_t number;
    if (colon == 0 || !str_to_int64((struct str){text.ptr + colon, text.len - colon}, &number) ||
        number < 1 || number > 65535) {
        return false;
    }
    *host = (struct str){text.ptr, colon - 1};
    *port = (int)number;
    if (host->len > 2 && host->ptr[0] == '[' && host->ptr[host->len - 1] == ']') {
        *host = (struct str){host->ptr + 1, host->len - 2};
    }
    return host->len < sizeof((struct redis_node *)0)->host;
}

/* Reads [first, last, [host, port, ...], ...]. `*known`: the primary has an address. */
static bool read_range(const struct redis_answer *answer, struct redis_range *out, bool *known)
{
    if (answer->kind != REDIS_LIST || answer->count < 3) {
        return false;
    }
    const struct redis_answer *items = answer->items, *node = items[2].items;
    if (items[0].kind != REDIS_NUMBER || items[1].kind != REDIS_NUMBER || items[0].number < 0 ||
        items[1].number < items[0].number || items[1].number >= REDIS_SLOTS ||
        items[2].kind != REDIS_LIST || items[2].count < 2 || node[1].kind != REDIS_NUMBER) {
        return false;
    }
    if (node[0].kind != REDIS_NIL &&
        (node[0].kind != REDIS_TEXT || node[0].text.len >= sizeof((struct redis_node *)0)->host)) {
        return false;
    }
    /* "?": it shall be named by a host name, and has none yet. */
    *known = !str_is(node[0].text, "?") && node[1].number > 0 && node[1].number <= 65535;
    *out = (struct redis_range){
        .first = (uint32_t)items[0].number,
        .last = (uint32_t)items[1].number,
        .host = node[0].text,
        .port = *known ? (int)node[1].number : 0,
    };
    return true;
}

enum kol_status redis_read_slots(const struct redis_answer *answer, struct redis_range *out,
                                 size_t *count, struct kol_error *err)
{
    *count = 0;
    if (answer->kind != REDIS_LIST || answer->count > REDIS_SLOTS) {
        return kol_fail(err, KOL_CORRUPT, "what came is no list of the slots of a cluster");
    }
    for (size_t i = 0; i < answer->count; i++) {
        bool known = false;
        if (!read_range(&answer->items[i], &out[*count], &known)) {
            return kol_fail(err, KOL_CORRUPT, "range %zu of the slots of a cluster is none", i);
        }
        *count += known;
    }
    return KOL_OK;
}
