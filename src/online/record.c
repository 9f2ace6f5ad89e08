/* record.c: packing a row, and reading it from hostile bytes. The format is in record.h. */
#include "online/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { HEAD_BYTES = 8, SLOT_BYTES = 8 };

static uint32_t load32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t load64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static bool has_bit(const uint64_t *words, size_t column)
{
    return words[column / 64] >> column % 64 & 1;
}

static void set_bit(uint64_t *words, size_t column)
{
    words[column / 64] |= UINT64_C(1) << column % 64;
}

/* ---- layout ---- */

enum online_type record_type_of(const struct ice_field *field)
{
    switch (field->type) {
    case ICE_BOOLEAN: return ONLINE_BOOL;
    case ICE_INT:
    case ICE_LONG:
    case ICE_DATE:
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ: return ONLINE_INT;
    case ICE_FLOAT:
    case ICE_DOUBLE: return ONLINE_REAL;
    case ICE_LIST:
        return field->child_count == 1 && field->children[0].type == ICE_STRING ? ONLINE_TEXTS
                                                                                : ONLINE_TEXT;
    default: return ONLINE_TEXT;
    }
}

void record_layout_init(struct online_layout *layout, struct online_column *columns, size_t count)
{
    KOL_ASSERT(count <= ONLINE_MAX_COLUMNS);
    *layout =
        (struct online_layout){.columns = columns, .count = count, .words = (count + 63) / 64};
    for (size_t i = 0; i < count; i++) {
        if (columns[i].type != ONLINE_BOOL) {
            set_bit(layout->slotted, i);
        }
    }
}

static size_t slots_at(const struct online_layout *layout)
{
    return HEAD_BYTES + 2 * layout->words * sizeof(uint64_t);
}

/* ---- packing ---- */

/* What the packing of one row carries along. */
struct packing {
    uint64_t known[RECORD_WORDS], truth[RECORD_WORDS];
    uint64_t slots[ONLINE_MAX_COLUMNS];
    size_t slot_count;
    struct buf *out;  /* the texts are put behind room for what stands before them */
    size_t text_base; /* where the texts begin in `out` */
};

/* A slot that names the text from `start` to the end of `out`; offsets are mended at the end. */
static void add_text_slot(struct packing *packing, size_t start)
{
    const uint32_t place[2] = {(uint32_t)(start - packing->text_base),
                               (uint32_t)(packing->out->len - start)};
    memcpy(&packing->slots[packing->slot_count++], place, sizeof place);
}

static void pack_texts(struct packing *packing, const struct engine_result *result, size_t column,
                       size_t row)
{
    enum { FEW = 64 };
    struct str few[FEW], *texts = few;
    const size_t start = packing->out->len;
    size_t count = engine_texts(result, column, row, few, FEW);
    if (count > FEW) {
        texts = mem_alloc(count * sizeof *texts);
        count = engine_texts(result, column, row, texts, count);
    }
    const uint32_t stored = (uint32_t)count;
    buf_append(packing->out, &stored, sizeof stored);
    for (size_t i = 0; i < count; i++) {
        const uint32_t len = (uint32_t)texts[i].len;
        buf_append(packing->out, &len, sizeof len);
    }
    for (size_t i = 0; i < count; i++) {
        buf_put(packing->out, texts[i]);
    }
    if (texts != few) {
        free(texts);
    }
    add_text_slot(packing, start);
}

static void pack_cell(struct packing *packing, const struct online_column *column, size_t index,
                      const struct engine_result *result, size_t cell, size_t row)
{
    int64_t integer;
    double real;
    set_bit(packing->known, index);
    switch (column->type) {
    case ONLINE_BOOL:
        if (engine_bool(result, cell, row)) {
            set_bit(packing->truth, index);
        }
        break;
    case ONLINE_INT:
        integer = engine_int(result, cell, row);
        memcpy(&packing->slots[packing->slot_count++], &integer, sizeof integer);
        break;
    case ONLINE_REAL:
        real = engine_real(result, cell, row);
        memcpy(&packing->slots[packing->slot_count++], &real, sizeof real);
        break;
    case ONLINE_TEXT: {
        const size_t start = packing->out->len;
        engine_put(result, cell, row, packing->out);
        add_text_slot(packing, start);
        break;
    }
    case ONLINE_TEXTS: pack_texts(packing, result, cell, row); break;
    }
}

/* Puts what stands before the texts in front of them. The slots of texts get their offsets. */
static void finish_record(struct packing *packing, const struct online_layout *layout)
{
    struct buf *out = packing->out;
    const size_t before = slots_at(layout), words = layout->words * sizeof(uint64_t);
    const size_t texts_at = before + packing->slot_count * SLOT_BYTES;
    const uint16_t columns = (uint16_t)layout->count;
    /* The room was made for all columns; the known ones may need less. */
    char *start = out->ptr + packing->text_base - texts_at;
    size_t slot = 0;
    memset(start, 0, HEAD_BYTES);
    memcpy(start + 4, &columns, sizeof columns);
    memcpy(start + HEAD_BYTES, packing->known, words);
    memcpy(start + HEAD_BYTES + words, packing->truth, words);
    for (size_t i = 0; i < layout->count; i++) {
        enum online_type type = layout->columns[i].type;
        if (type == ONLINE_BOOL || !has_bit(packing->known, i)) {
            continue;
        }
        uint64_t value = packing->slots[slot];
        if (type == ONLINE_TEXT || type == ONLINE_TEXTS) {
            uint32_t place[2];
            memcpy(place, &value, sizeof place);
            place[0] += (uint32_t)texts_at;
            memcpy(&value, place, sizeof value);
        }
        memcpy(start + before + slot++ * SLOT_BYTES, &value, sizeof value);
    }
    const size_t len = texts_at + out->len - packing->text_base;
    memmove(out->ptr, start, len);
    out->len = len;
    uint32_t checksum = (uint32_t)hash_checksum((struct str){out->ptr + 4, out->len - 4});
    memcpy(out->ptr, &checksum, sizeof checksum);
}

enum kol_status record_pack(const struct online_layout *layout, const struct engine_result *result,
                            size_t first, size_t row, struct buf *out, struct kol_error *err)
{
    struct packing packing;
    memset(packing.known, 0, sizeof packing.known);
    memset(packing.truth, 0, sizeof packing.truth);
    packing.slot_count = 0;
    packing.out = out;
    packing.text_base = slots_at(layout) + layout->count * SLOT_BYTES;
    buf_clear(out);
    buf_reserve(out, packing.text_base);
    out->len = packing.text_base;
    for (size_t i = 0; i < layout->count; i++) {
        if (!engine_null(result, first + i, row)) {
            pack_cell(&packing, &layout->columns[i], i, result, first + i, row);
        }
        if (out->len > RECORD_MAX_BYTES) {
            return kol_fail(err, KOL_INVALID,
                            "a row of more than %d bytes does not fit into the online copy",
                            RECORD_MAX_BYTES);
        }
    }
    finish_record(&packing, layout);
    return KOL_OK;
}

/* ---- reading ---- */

/* Where the slot of a known column is. */
static const char *slot_of(const struct online_layout *layout, const char *bytes, size_t column)
{
    size_t rank = 0;
    const size_t word = column / 64;
    for (size_t i = 0; i < word; i++) {
        rank +=
            (size_t)__builtin_popcountll(load64(bytes + HEAD_BYTES + 8 * i) & layout->slotted[i]);
    }
    const uint64_t below = (UINT64_C(1) << column % 64) - 1;
    rank += (size_t)__builtin_popcountll(load64(bytes + HEAD_BYTES + 8 * word) &
                                         layout->slotted[word] & below);
    return bytes + slots_at(layout) + rank * SLOT_BYTES;
}

static bool is_known(const char *bytes, size_t column)
{
    return load64(bytes + HEAD_BYTES + 8 * (column / 64)) >> column % 64 & 1;
}

/* A list of texts: its count and lengths must fill the bytes exactly. */
static bool check_texts(struct str list)
{
    uint64_t count, need = 4;
    if (list.len < 4 || (count = load32(list.ptr)) > (list.len - 4) / 4) {
        return false;
    }
    need += 4 * count;
    for (uint64_t i = 0; i < count; i++) {
        need += load32(list.ptr + 4 + 4 * i);
    }
    return need == list.len;
}

static bool check_slots(const struct online_layout *layout, struct str bytes)
{
    const size_t first = slots_at(layout);
    size_t slots = 0;
    for (size_t i = 0; i < layout->words; i++) {
        uint64_t known = load64(bytes.ptr + HEAD_BYTES + 8 * i);
        size_t columns = layout->count - 64 * i;
        if (columns < 64 && known >> columns) {
            return false;
        }
        slots += (size_t)__builtin_popcountll(known & layout->slotted[i]);
    }
    const size_t texts = first + slots * SLOT_BYTES;
    if (bytes.len < texts) {
        return false;
    }
    for (size_t i = 0, slot = 0; i < layout->count; i++) {
        enum online_type type = layout->columns[i].type;
        if (type == ONLINE_BOOL || !is_known(bytes.ptr, i)) {
            continue;
        }
        const char *at = bytes.ptr + first + slot++ * SLOT_BYTES;
        if (type == ONLINE_TEXT || type == ONLINE_TEXTS) {
            const uint32_t offset = load32(at), len = load32(at + 4);
            if (offset < texts || offset > bytes.len || len > bytes.len - offset ||
                (type == ONLINE_TEXTS && !check_texts((struct str){bytes.ptr + offset, len}))) {
                return false;
            }
        }
    }
    return true;
}

bool record_check(const struct online_layout *layout, struct str bytes)
{
    uint16_t columns;
    if (bytes.len < slots_at(layout) || bytes.len > 2 * (size_t)RECORD_MAX_BYTES ||
        load32(bytes.ptr) != (uint32_t)hash_checksum((struct str){bytes.ptr + 4, bytes.len - 4})) {
        return false;
    }
    memcpy(&columns, bytes.ptr + 4, sizeof columns);
    return columns == layout->count && check_slots(layout, bytes);
}

/* The slot of a column of this type, NULL where it is unknown. */
static const char *known_slot(const struct online_record *record, int column, enum online_type type)
{
    if (column < 0) {
        return NULL;
    }
    const struct online_layout *layout = record->layout;
    KOL_ASSERT((size_t)column < layout->count && layout->columns[column].type == type);
    if (!is_known(record->bytes.ptr, (size_t)column)) {
        return NULL;
    }
    return slot_of(layout, record->bytes.ptr, (size_t)column);
}

bool online_bool(const struct online_record *record, int column, bool *out)
{
    if (!known_slot(record, column, ONLINE_BOOL)) {
        return false;
    }
    const char *truth = record->bytes.ptr + HEAD_BYTES + record->layout->words * sizeof(uint64_t);
    *out = load64(truth + 8 * ((size_t)column / 64)) >> column % 64 & 1;
    return true;
}

bool online_int(const struct online_record *record, int column, int64_t *out)
{
    const char *slot = known_slot(record, column, ONLINE_INT);
    if (slot) {
        memcpy(out, slot, sizeof *out);
    }
    return slot;
}

bool online_real(const struct online_record *record, int column, double *out)
{
    const char *slot = known_slot(record, column, ONLINE_REAL);
    if (slot) {
        memcpy(out, slot, sizeof *out);
    }
    return slot;
}

bool online_text(const struct online_record *record, int column, struct str *out)
{
    const char *slot = known_slot(record, column, ONLINE_TEXT);
    if (slot) {
        *out = (struct str){record->bytes.ptr + load32(slot), load32(slot + 4)};
    }
    return slot;
}

int64_t online_texts(const struct online_record *record, int column, struct str *out, size_t max)
{
    const char *slot = known_slot(record, column, ONLINE_TEXTS);
    if (!slot) {
        return -1;
    }
    const char *list = record->bytes.ptr + load32(slot);
    const size_t count = load32(list);
    const char *at = list + 4 + 4 * count;
    for (size_t i = 0; i < count && i < max; i++) {
        out[i] = (struct str){at, load32(list + 4 + 4 * i)};
        at += out[i].len;
    }
    return (int64_t)count;
}
