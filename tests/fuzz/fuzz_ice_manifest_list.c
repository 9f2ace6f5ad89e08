/*
 * fuzz_ice_manifest_list.c: any bytes as a manifest list; what can be read is written again and
 * must come back the same, and filters may look at every summary.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "iceberg/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ice_field fields[] = {
    {.id = 1, .name = "l", .type = ICE_LONG},
    {.id = 2, .name = "s", .type = ICE_STRING},
    {.id = 3, .name = "t", .type = ICE_TIMESTAMPTZ},
};
static const struct ice_schema schema = {.fields = fields, .count = ARRAY_LEN(fields)};
static struct ice_partition_field by[] = {
    {3, 1000, "t_day", ICE_DAY, 0},
    {2, 1001, "s", ICE_TRUNCATE, 4},
    {1, 1002, "l", ICE_IDENTITY, 0},
};

static void filter(const struct ice_manifest *manifest)
{
    for (size_t count = 0; count <= ARRAY_LEN(by); count++) {
        const struct ice_partition_spec spec = {
            .spec_id = manifest->spec_id, .fields = by, .count = count};
        for (int32_t id = 1; id <= 3; id++) {
            struct ice_condition condition = {
                .field_id = id, .op = ICE_LT, .value = {.known = true}};
            condition.value.integer = 86400;
            if (id == 2) {
                condition.value.bytes = STR("text");
            }
            (void)ice_manifest_may_match(&schema, &spec, manifest, &condition, 1);
        }
    }
}

static void write_again(const struct ice_manifest *manifests, size_t count, struct arena *arena)
{
    struct buf out = {0};
    struct kol_error err = {0};
    struct ice_manifest *back;
    size_t back_count;
    KOL_ASSERT(ice_manifest_list_write(manifests, count, 1, -1, 1, &out, &err) == KOL_OK);
    KOL_ASSERT(ice_manifest_list_read(buf_str(&out), arena, &back, &back_count, &err) == KOL_OK);
    KOL_ASSERT(back_count == count);
    for (size_t i = 0; i < count; i++) {
        KOL_ASSERT(str_is(str_of(back[i].path), manifests[i].path));
        KOL_ASSERT(back[i].length == manifests[i].length);
        KOL_ASSERT(back[i].added_files == manifests[i].added_files);
        KOL_ASSERT(back[i].partition_count == manifests[i].partition_count);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct kol_error err = {0};
    struct ice_manifest *manifests;
    size_t count;
    arena_init(&arena, 0);
    enum kol_status status = ice_manifest_list_read((struct str){(const char *)data, size}, &arena,
                                                    &manifests, &count, &err);
    KOL_ASSERT(status == KOL_OK ||
               ((status == KOL_CORRUPT || status == KOL_UNSUPPORTED) && err.message[0]));
    for (size_t i = 0; status == KOL_OK && i < count; i++) {
        filter(&manifests[i]);
    }
    if (status == KOL_OK) {
        write_again(manifests, count, &arena);
    }
    arena_free(&arena);
    return 0;
}
