/*
 * fuzz_http_codings.c: any bytes as a coded request body, and as an Accept-Encoding header.
 *
 * The first byte picks the coding and the size of the pieces. What must hold: no more than the
 * limit comes out; the same bytes in other pieces come to the same end; weights lie in their range.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "http/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 1 << 18 };

/* The status of the whole, and what came out up to there. */
static enum kol_status inflate_by(enum http_coding coding, struct str bytes, size_t step,
                                  struct buf *out, bool *done)
{
    struct http_inflater *inflater = http_inflater_new(str_of(http_coding_names[coding]));
    enum kol_status status = KOL_OK;
    if (!inflater) {
        return KOL_UNSUPPORTED;
    }
    for (size_t at = 0; at < bytes.len && status == KOL_OK; at += step) {
        size_t piece = bytes.len - at < step ? bytes.len - at : step;
        status = http_inflate(inflater, (struct str){bytes.ptr + at, piece}, LIMIT, out);
        KOL_ASSERT(out->len <= LIMIT);
    }
    *done = http_inflater_done(inflater);
    http_inflater_free(&inflater);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    enum http_coding coding = (enum http_coding)(CODING_GZIP + data[0] % 3);
    struct str bytes = {(const char *)data + 1, size - 1};
    struct buf whole = {0}, pieces = {0};
    bool whole_done = false, pieces_done = false;
    enum kol_status one = inflate_by(coding, bytes, bytes.len + 1, &whole, &whole_done);
    enum kol_status other = inflate_by(coding, bytes, 1 + data[0] / 3, &pieces, &pieces_done);
    KOL_ASSERT((one == KOL_OK) == (other == KOL_OK));
    if (one == KOL_OK) {
        KOL_ASSERT(str_equal(buf_str(&whole), buf_str(&pieces)));
        KOL_ASSERT(whole_done == pieces_done);
    }
    buf_free(&whole);
    buf_free(&pieces);

    int weights[CODING_COUNT];
    http_accept_codings(bytes, data[0] & 1, weights);
    for (int i = 0; i < CODING_COUNT; i++) {
        KOL_ASSERT(weights[i] >= 0 && weights[i] <= 1000);
    }
    return 0;
}
