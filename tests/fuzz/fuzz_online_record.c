/*
 * fuzz_online_record.c: any bytes as a record of the online copy, or as its meta.json.
 *
 * The first byte picks: meta.json, a record as it is, or a record whose checksum is made right, so
 * that what lies behind the checksum is reached. What must hold: what is taken for a record gives
 * every cell without reading outside of it; a meta.json that is taken has layouts within bounds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "online/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS = 70 }; /* two words of bits */

static struct online_column columns[COLUMNS];
static struct online_layout layout;

static void make_layout(void)
{
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = (struct online_column){"c", (enum online_type)(i % 5), "x"};
    }
    record_layout_init(&layout, columns, COLUMNS);
}

/* Reads all of a text, so that a sanitizer sees where it ends. */
static unsigned sum_of(struct str text)
{
    unsigned sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        sum += (unsigned char)text.ptr[i];
    }
    return sum;
}

static unsigned read_texts(const struct online_record *record, int column)
{
    unsigned sum = 0;
    int64_t count = online_texts(record, column, NULL, 0);
    if (count > 0) {
        struct str *texts = mem_alloc((size_t)count * sizeof *texts);
        KOL_ASSERT(online_texts(record, column, texts, (size_t)count) == count);
        for (int64_t i = 0; i < count; i++) {
            sum += sum_of(texts[i]);
        }
        free(texts);
    }
    return sum;
}

static unsigned read_cells(const struct online_record *record)
{
    unsigned sum = 0;
    for (int i = 0; i < COLUMNS; i++) {
        bool truth;
        int64_t integer;
        double real;
        struct str text;
        switch (columns[i].type) {
        case ONLINE_BOOL: sum += online_bool(record, i, &truth) && truth; break;
        case ONLINE_INT: sum += online_int(record, i, &integer) && integer; break;
        case ONLINE_REAL: sum += online_real(record, i, &real) && real > 0; break;
        case ONLINE_TEXT: sum += online_text(record, i, &text) ? sum_of(text) : 0; break;
        case ONLINE_TEXTS: sum += read_texts(record, i); break;
        }
    }
    return sum;
}

static void try_meta(struct str json)
{
    struct online_meta meta;
    if (online_meta_parse(json, "meta.json", &meta, NULL) == KOL_OK) {
        for (int kind = 0; kind < ONLINE_KINDS; kind++) {
            KOL_ASSERT(meta.layouts[kind].count > 0 &&
                       meta.layouts[kind].count <= ONLINE_MAX_COLUMNS);
        }
        KOL_ASSERT(meta.info.run_id);
        online_meta_free(&meta);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (layout.count == 0) {
        make_layout();
    }
    if (size == 0) {
        return 0;
    }
    /* Memory of exactly this size: one byte too far is seen. */
    char *bytes = mem_alloc(size - 1 ? size - 1 : 1);
    memcpy(bytes, data + 1, size - 1);
    struct online_record record = {&layout, {bytes, size - 1}};
    if (data[0] % 3 == 0) {
        try_meta(record.bytes);
    } else {
        if (data[0] % 3 == 1 && size > 5) {
            uint32_t checksum = (uint32_t)hash_checksum((struct str){bytes + 4, size - 5});
            memcpy(bytes, &checksum, sizeof checksum);
        }
        if (record_check(&layout, record.bytes)) {
            KOL_ASSERT(read_cells(&record) != UINT32_MAX); /* so that it is not left out */
        }
    }
    free(bytes);
    return 0;
}
