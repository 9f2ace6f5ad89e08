/*
 * fuzz_ice_manifest.c: any bytes as a manifest, read by its own header and by a table's schema.
 *
 * What can be read is written again and must come back with the same entries; filters over it must
 * not touch what is not there.
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
    {.id = 4, .name = "d", .type = ICE_DECIMAL, .precision = 9, .scale = 2},
    {.id = 5, .name = "r", .type = ICE_DOUBLE},
};
static const struct ice_schema schema = {.fields = fields, .count = ARRAY_LEN(fields)};
static struct ice_partition_field by[] = {
    {3, 1000, "t_day", ICE_DAY, 0},
    {2, 1001, "s", ICE_IDENTITY, 0},
    {4, 1002, "d", ICE_IDENTITY, 0},
    {1, 1003, "l_bucket", ICE_BUCKET, 16},
};
static const struct ice_partition_spec spec = {.fields = by, .count = ARRAY_LEN(by)};

static void filter(const struct ice_entry *entries, size_t count)
{
    struct ice_condition conditions[ARRAY_LEN(fields)];
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        conditions[i] = (struct ice_condition){.field_id = fields[i].id,
                                               .op = (enum ice_op)(i % (ICE_IS_NAN + 1)),
                                               .value = {.known = true, .integer = 34}};
    }
    conditions[1].value.bytes = STR("a text of more than 16 letters");
    conditions[3].value.bytes = STR("\x05");
    conditions[4].value.real = 0.5;
    for (size_t i = 0; i < count; i++) {
        for (size_t c = 0; c < ARRAY_LEN(conditions); c++) {
            (void)ice_file_may_match(&schema, &spec, &entries[i].file, &conditions[c], 1);
        }
    }
}

/* Only a value that its type cannot hold may keep entries from being written again. */
static void write_again(const struct ice_entry *entries, size_t count, struct arena *arena)
{
    struct buf out = {0};
    struct kol_error err = {0};
    struct ice_manifest manifest = {.path = "m"};
    struct ice_entry *back;
    size_t back_count;
    enum kol_status status =
        ice_manifest_write(&schema, &spec, entries, count, arena, &manifest, &out, &err);
    KOL_ASSERT(status == KOL_OK || (status == KOL_INVALID && err.message[0]));
    if (status == KOL_OK) {
        KOL_ASSERT(ice_manifest_read(buf_str(&out), NULL, &schema, &spec, arena, &back, &back_count,
                                     &err) == KOL_OK);
        KOL_ASSERT(back_count == count);
        for (size_t i = 0; i < count; i++) {
            KOL_ASSERT(str_is(str_of(back[i].file.path), entries[i].file.path));
            KOL_ASSERT(back[i].file.rows == entries[i].file.rows);
            KOL_ASSERT(back[i].file.column_count <= entries[i].file.column_count);
        }
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct str bytes = {(const char *)data, size};
    const struct ice_manifest manifest = {
        .path = "m", .sequence_number = 7, .added_snapshot_id = 8};
    arena_init(&arena, 0);
    for (int own = 0; own < 2; own++) {
        struct kol_error err = {0};
        struct ice_entry *entries;
        size_t count;
        enum kol_status status =
            ice_manifest_read(bytes, own ? NULL : &manifest, own ? NULL : &schema,
                              own ? NULL : &spec, &arena, &entries, &count, &err);
        KOL_ASSERT(status == KOL_OK ||
                   ((status == KOL_CORRUPT || status == KOL_UNSUPPORTED) && err.message[0]));
        if (status == KOL_OK && !own) {
            filter(entries, count);
            write_again(entries, count, &arena);
        }
    }
    arena_free(&arena);
    return 0;
}
