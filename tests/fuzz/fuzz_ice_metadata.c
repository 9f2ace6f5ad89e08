/*
 * fuzz_ice_metadata.c: any bytes as the metadata of a table, and as its version hint.
 *
 * What must hold: a clear refusal, or a version whose writing reads back as the same bytes; and
 * whatever a hint says, only a file in the table's own metadata folder is opened.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/logger.h"
#include "base/mem.h"
#include "iceberg/metadata.h"
#include "iceberg/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- metadata ---- */

static void check_lookups(const struct ice_metadata *m)
{
    KOL_ASSERT(ice_current_schema(m) && ice_default_spec(m));
    KOL_ASSERT((m->current_snapshot_id < 0) == !ice_current_snapshot(m));
    (void)ice_snapshot_at(m, m->last_updated_ms);
    (void)ice_property(m, "a");
    for (size_t i = 0; i < m->ref_count; i++) {
        KOL_ASSERT(ice_snapshot_by_id(m, m->refs[i].snapshot_id));
    }
}

static void try_metadata(struct str text)
{
    struct ice_metadata *m, *again, *next;
    struct kol_error err = {KOL_OK, ""};
    enum kol_status status = ice_metadata_read(text, "file:///t/metadata/1.json", &m, &err);
    if (status != KOL_OK) {
        KOL_ASSERT((status == KOL_CORRUPT || status == KOL_UNSUPPORTED) && err.message[0]);
        return;
    }
    check_lookups(m);
    /* A version 1 table gets its uuid here. */
    status = ice_update_apply(m, NULL, 0, 1, &next, &err);
    KOL_ASSERT(status == KOL_OK);
    struct buf once = {0}, twice = {0};
    ice_metadata_write(&once, next);
    status = ice_metadata_read(buf_str(&once), NULL, &again, &err);
    KOL_ASSERT(status == KOL_OK);
    ice_metadata_write(&twice, again);
    KOL_ASSERT(str_equal(buf_str(&once), buf_str(&twice)));
    buf_free(&once);
    buf_free(&twice);
    ice_metadata_free(&m);
    ice_metadata_free(&next);
    ice_metadata_free(&again);
}

/* ---- the hint: a storage with nothing in it but these bytes ---- */

static struct str hint;

static enum kol_status get_range(struct storage *storage, const char *location, int64_t offset,
                                 int64_t len, struct buf *out, struct kol_error *err)
{
    static const char folder[] = "file:///t/metadata/";
    (void)storage;
    KOL_ASSERT(strncmp(location, folder, sizeof folder - 1) == 0);
    KOL_ASSERT(!strchr(location + sizeof folder - 1, '/'));
    if (strcmp(location, "file:///t/metadata/version-hint.text") != 0) {
        return kol_fail(err, KOL_NOT_FOUND, "not here");
    }
    size_t take = len >= 0 && (size_t)len < hint.len ? (size_t)len : hint.len;
    KOL_ASSERT(offset == 0);
    buf_append(out, hint.ptr, take);
    return KOL_OK;
}

static enum kol_status list(struct storage *storage, const char *prefix,
                            enum kol_status (*each)(const char *location, int64_t bytes,
                                                    int64_t modified_us, void *user,
                                                    struct kol_error *err),
                            void *user, struct kol_error *err)
{
    (void)storage;
    /* A listing, too, may hold any name. */
    struct buf name = {0};
    buf_puts(&name, prefix);
    for (size_t i = 0; i < hint.len && i < 64 && hint.ptr[i]; i++) {
        buf_putc(&name, hint.ptr[i]);
    }
    enum kol_status status = each(name.ptr, 1, 1, user, err);
    buf_free(&name);
    return status;
}

static void try_hint(struct str text)
{
    static const struct storage_ops storage_ops = {.get_range = get_range, .list = list};
    struct storage storage = {&storage_ops, 1 << 20};
    struct catalog catalog = {NULL, &storage};
    struct kol_error err = {KOL_OK, ""};
    struct ice_ident ident = {"a", "b"};
    hint = text;
    /* No such file can be read, so the catalog is never asked. */
    enum kol_status status = ice_table_register(&catalog, ident, "file:///t", &err);
    KOL_ASSERT(status != KOL_OK && err.message[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    if (size == 0 || data[0] == '{') {
        try_metadata(text);
    } else {
        try_hint(text);
    }
    return 0;
}
