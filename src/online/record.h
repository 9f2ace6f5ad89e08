/*
 * record.h: one row as packed bytes: what records.mdb holds under a key.
 *
 * Private to online/; readers use the accessors of online.h. Numbers are in the byte order of the
 * machine, which wrote them for itself.
 *
 *   0  u32  checksum of all that follows (low half of XXH3)
 *   4  u16  columns of the layout that it was written by
 *   6  u16  0
 *   8  u64  known: a bit for each column that is not null, in words of 64 columns
 *   .  u64  truth: the values of the boolean columns, likewise
 *   .  slots of 8 bytes, for the known columns that are not boolean, in the order of the layout:
 *      the integer, the double, or u32 offset from the start of the record and u32 length
 *   .  texts; a list of texts is u32 count, count times u32 length, the texts
 *
 * An unknown column takes no room beyond its bits; the slot of a known one is found by counting
 * bits, so that no column has to be read to get at another.
 */
#ifndef ONLINE_RECORD_H
#define ONLINE_RECORD_H

#include "engine/engine.h"
#include "online/online.h"

enum {
    RECORD_WORDS = ONLINE_MAX_COLUMNS / 64,
    RECORD_MAX_BYTES = 64 << 20, /* of one record */
};

struct online_layout {
    struct online_column *columns;
    size_t count;
    size_t words;                   /* of 64 columns */
    uint64_t slotted[RECORD_WORDS]; /* columns that have a slot where they are known */
};

/* How a column of the table format is kept. */
enum online_type record_type_of(const struct ice_field *field);

/* `columns` (which the layout keeps) were filled by the caller; at most ONLINE_MAX_COLUMNS. */
void record_layout_init(struct online_layout *layout, struct online_column *columns, size_t count);

/* Packs the row: column i of the layout is column `first` + i of the result. Clears `out` first.
 * KOL_INVALID where it would be too large. */
enum kol_status record_pack(const struct online_layout *layout, const struct engine_result *result,
                            size_t first, size_t row, struct buf *out,
                            struct kol_error *err) KOL_CHECKED;

/* True if the bytes are a whole record of this layout: then no accessor reads outside of them. */
bool record_check(const struct online_layout *layout, struct str bytes);

#endif
