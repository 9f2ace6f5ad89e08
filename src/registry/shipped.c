/*
 * shipped.c: the models that are part of the program (models/ in the project), so that scores work
 * on first start without a training and without a file beside the program.
 *
 * tools/embed.py packs model.txt and metadata.json of each folder by zstd at build time. Where the
 * project holds none, the table is empty and nothing ships.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "registry/backend.h"

extern const struct embedded_file embedded_models[];
extern const size_t embedded_models_count;

/* The packed file "trust/model.txt", NULL where there is none. */
static const struct embedded_file *find(const char *model, const char *name)
{
    struct buf path = {0};
    const struct embedded_file *found = NULL;
    buf_printf(&path, "%s/%s", model, name);
    for (size_t i = 0; i < embedded_models_count; i++) {
        if (strcmp(embedded_models[i].name, path.ptr) == 0) {
            found = &embedded_models[i];
        }
    }
    buf_free(&path);
    return found;
}

bool shipped_have(const char *model)
{
    return find(model, "model.txt") != NULL;
}

enum kol_status shipped_file(const char *model, const char *name, struct arena *arena,
                             struct str *out, struct kol_error *err)
{
    const struct embedded_file *file = find(model, name);
    if (!file) {
        return kol_fail(err, KOL_NOT_FOUND, "the %s model that ships has no %s", model, name);
    }
    unsigned long long size = ZSTD_getFrameContentSize(file->bytes, file->len);
    KOL_ASSERT(size <= REGISTRY_MAX_FILE); /* the two values for an unknown size are above */
    char *bytes = arena_alloc(arena, (size_t)size + 1);
    size_t got = ZSTD_decompress(bytes, (size_t)size, file->bytes, file->len);
    if (ZSTD_isError(got) || got != size) {
        return kol_fail(err, KOL_CORRUPT,
                        "%s/%s in this program cannot be unpacked: install it anew", model, name);
    }
    bytes[size] = '\0';
    *out = (struct str){bytes, (size_t)size};
    return KOL_OK;
}

enum kol_status shipped_get(const char *model, struct arena *arena, struct registry_version *out,
                            struct kol_error *err)
{
    *out = (struct registry_version){
        .version = REGISTRY_SHIPPED, .source = "shipped", .aliases = "", .metadata = STR("{}")};
    snprintf(out->model, sizeof out->model, "%s", model);
    if (!shipped_have(model)) {
        return kol_fail(err, KOL_NOT_FOUND, "no %s model ships with this program", model);
    }
    return find(model, "metadata.json")
               ? shipped_file(model, "metadata.json", arena, &out->metadata, err)
               : KOL_OK;
}
