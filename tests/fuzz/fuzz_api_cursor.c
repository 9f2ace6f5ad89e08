/*
 * fuzz_api_cursor.c: any bytes as a cursor.
 *
 * What must hold: a text that is taken is the one that its cursor is written as, with a place that
 * is not below zero; and a cursor of any numbers comes back as it went out.
 */
#include <stdint.h>
#include <string.h>

#include "api/lists.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str text)
{
    struct api_cursor cursor;
    char again[API_CURSOR_BYTES];
    if (api_cursor_read(text, &cursor)) {
        KOL_ASSERT(cursor.place >= 0);
        api_cursor_put(&cursor, again);
        KOL_ASSERT(str_is(text, again));
    }
}

static void check_numbers(const uint8_t *data)
{
    struct api_cursor cursor = {0}, back;
    char text[API_CURSOR_BYTES];
    memcpy(&cursor.copy, data, 8);
    memcpy(&cursor.stamp, data + 8, 8);
    memcpy(&cursor.list, data + 16, 8);
    memcpy(&cursor.place, data + 24, 8);
    api_cursor_put(&cursor, text);
    bool taken = api_cursor_read(str_of(text), &back);
    KOL_ASSERT(taken == (cursor.place >= 0));
    KOL_ASSERT(!taken || (back.copy == cursor.copy && back.stamp == cursor.stamp &&
                          back.list == cursor.list && back.place == cursor.place));
    text[data[0] % strlen(text)] ^= (char)(1 + data[8] % 127); /* one wrong letter */
    KOL_ASSERT(!api_cursor_read(str_of(text), &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text((struct str){(const char *)data, size});
    if (size >= 32) {
        check_numbers(data);
    }
    return 0;
}
