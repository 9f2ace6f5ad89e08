/*
 * fuzz_serve_files.c: the access log and the place of an interrupted warm with any content: no
 * crash, and what was taken is within its bounds and is read again as it was written.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "serve/heat.h"
#include "serve/warm_place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64], path[96];

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

static void write_file(const uint8_t *data, size_t size)
{
    if (!folder[0]) {
        strcpy(folder, "/tmp/kol-fuzz-XXXXXX");
        KOL_ASSERT(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/warm.place", folder);
        atexit(remove_folder);
    }
    FILE *file = fopen(path, "wb");
    KOL_ASSERT(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static size_t check_keys(const struct heat *heat, struct arena *arena, struct heat_key **keys)
{
    const size_t count = heat_hottest(heat, 100, arena, keys);
    for (size_t i = 0; i < count; i++) {
        const struct heat_key *key = &(*keys)[i];
        KOL_ASSERT(key->key.len > 0 && key->key.len <= 600);
        KOL_ASSERT(isfinite(key->uses) && key->uses >= 0 && key->next_us > key->last_us);
    }
    return count;
}

static void read_heat(void)
{
    const struct heat_options options = {.keys = 16};
    struct heat *heat = heat_new(&options), *again = heat_new(&options);
    struct arena arena;
    struct heat_key *keys, *keys_again;
    struct kol_error err;
    arena_init(&arena, 0);
    const enum kol_status status = heat_load(heat, path, &err);
    KOL_ASSERT(status == KOL_OK || status == KOL_CORRUPT);
    const size_t count = check_keys(heat, &arena, &keys);
    KOL_ASSERT(heat_save(heat, path, &err) == KOL_OK && heat_load(again, path, &err) == KOL_OK);
    KOL_ASSERT(check_keys(again, &arena, &keys_again) == count);
    arena_free(&arena);
    heat_free(&heat);
    heat_free(&again);
}

static void read_place(void)
{
    struct warm_place place = {.redis = STR("r"), .snapshot = 1, .parts = 3};
    const enum kol_status status = warm_place_read(folder, &place, NULL);
    KOL_ASSERT(status == KOL_OK || status == KOL_NOT_FOUND);
    if (status == KOL_OK) {
        KOL_ASSERT(place.part >= -1 && place.part < WARM_PARTS && place.index >= 0);
        KOL_ASSERT(place.key.len > 0);
    }
    buf_free(&place.key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    write_file(data, size);
    read_place();
    read_heat();
    return 0;
}
