/*
 * compress.c: codings: which one a client takes, answers in them, and request bodies out of them.
 *
 * Brotli is used where its library was there at build time, for answers in place of Zstandard:
 * every browser takes it. An inflated body never grows beyond its limit, whatever a few bytes
 * claim.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#ifdef KOL_BROTLI
#include <brotli/decode.h>
#include <brotli/encode.h>
#endif

#include "base/mem.h"
#include "http/call.h"

enum {
    GZIP_WINDOW = 15 + 16, /* zlib: the gzip format with the largest window */
    GZIP_LEVEL = 6,
    BROTLI_QUALITY = 5, /* as fast as gzip's 6, smaller */
    ZSTD_LEVEL = 6,
    PIECE = 16 * 1024, /* bytes inflated at a time */
};

const char *const http_coding_names[CODING_COUNT] = {"identity", "gzip", "br", "zstd"};

#ifdef KOL_BROTLI
const enum http_coding http_answer_codings[2] = {CODING_GZIP, CODING_BR};
#else
const enum http_coding http_answer_codings[2] = {CODING_GZIP, CODING_ZSTD};
#endif

/* ---- answers ---- */

static bool encode_gzip(struct str bytes, struct buf *out)
{
    z_stream z = {0};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return false;
    }
    size_t bound = deflateBound(&z, bytes.len);
    buf_reserve(out, bound);
    z.next_in = (Bytef *)(uintptr_t)bytes.ptr;
    z.avail_in = (uInt)bytes.len;
    z.next_out = (Bytef *)out->ptr + out->len;
    z.avail_out = (uInt)bound;
    bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
    out->len += done ? z.total_out : 0;
    deflateEnd(&z);
    return done;
}

static bool encode_br(struct str bytes, struct buf *out)
{
#ifdef KOL_BROTLI
    size_t size = BrotliEncoderMaxCompressedSize(bytes.len);
    buf_reserve(out, size);
    if (!size ||
        !BrotliEncoderCompress(BROTLI_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT, bytes.len,
                               (const uint8_t *)bytes.ptr, &size, (uint8_t *)out->ptr + out->len)) {
        return false;
    }
    out->len += size;
    return true;
#else
    (void)bytes;
    (void)out;
    return false;
#endif
}

static bool encode_zstd(struct str bytes, struct buf *out)
{
    size_t bound = ZSTD_compressBound(bytes.len);
    buf_reserve(out, bound);
    size_t size = ZSTD_compress(out->ptr + out->len, bound, bytes.ptr, bytes.len, ZSTD_LEVEL);
    if (ZSTD_isError(size)) {
        return false;
    }
    out->len += size;
    return true;
}

bool http_encode(enum http_coding coding, struct str bytes, bool force, struct buf *out)
{
    size_t before = out->len;
    bool done = bytes.len < UINT32_MAX / 2 && (coding == CODING_GZIP   ? encode_gzip(bytes, out)
                                               : coding == CODING_BR   ? encode_br(bytes, out)
                                               : coding == CODING_ZSTD ? encode_zstd(bytes, out)
                                                                       : false);
    return done && (force || out->len - before < bytes.len);
}

/* ---- Accept-Encoding ---- */

/* The weight behind ";q=", in thousandths; 1000 where there is none, 0 where it is malformed. */
static int weight_of(struct str parameters)
{
    while (parameters.len) {
        struct str one = str_trim(str_cut(&parameters, ';'));
        struct str name = str_trim(str_cut(&one, '='));
        double weight = 0;
        if (str_is_nocase(name, "q")) {
            bool number = str_to_double(str_trim(one), &weight) && weight >= 0 && weight <= 1;
            return number ? (int)(weight * 1000 + 0.5) : 0;
        }
    }
    return 1000;
}

static int coding_of(struct str name)
{
    if (str_is_nocase(name, "x-gzip")) {
        return CODING_GZIP;
    }
    for (int i = 0; i < CODING_COUNT; i++) {
        if (str_is_nocase(name, http_coding_names[i])) {
            return i;
        }
    }
    return -1;
}

void http_accept_codings(struct str header, bool present, int weights[CODING_COUNT])
{
    enum { UNSAID = -1 };
    int all = UNSAID;
    for (int i = 0; i < CODING_COUNT; i++) {
        weights[i] = UNSAID;
    }
    while (header.len) {
        struct str one = str_cut(&header, ',');
        struct str name = str_trim(str_cut(&one, ';'));
        int coding = coding_of(name);
        if (coding >= 0) {
            weights[coding] = weight_of(one);
        } else if (str_is(name, "*")) {
            all = weight_of(one);
        }
    }
    for (int i = 0; i < CODING_COUNT; i++) {
        if (weights[i] == UNSAID && present && all != UNSAID) {
            weights[i] = all;
        } else if (weights[i] == UNSAID) {
            /* The plain form is always taken unless it is refused by name; of the least weight,
             * so that a coding that is named goes before it. */
            weights[i] = i == CODING_IDENTITY ? 1 : 0;
        }
    }
}

/* ---- bodies ---- */

struct http_inflater {
    enum http_coding coding;
    bool done;  /* a whole stream was read */
    bool began; /* a byte was read */
    z_stream gzip;
    ZSTD_DStream *zstd;
    size_t magic; /* how many bytes of a frame's magic number were read */
    bool skipped; /* it began as that of a frame to be skipped */
#ifdef KOL_BROTLI
    BrotliDecoderState *brotli;
#endif
};

struct http_inflater *http_inflater_new(struct str coding)
{
    int which = coding_of(coding);
#ifndef KOL_BROTLI
    which = which == CODING_BR ? -1 : which;
#endif
    if (which <= CODING_IDENTITY) {
        return NULL;
    }
    struct http_inflater *inflater = mem_zalloc(1, sizeof *inflater);
    inflater->coding = (enum http_coding)which;
    bool fine = true;
    if (which == CODING_GZIP) {
        fine = inflateInit2(&inflater->gzip, GZIP_WINDOW) == Z_OK;
    } else if (which == CODING_ZSTD) {
        inflater->zstd = ZSTD_createDStream();
        /* A window of at most 8 MiB: what the format asks every decoder to take. */
        fine = inflater->zstd &&
               !ZSTD_isError(ZSTD_DCtx_setParameter(inflater->zstd, ZSTD_d_windowLogMax, 23));
    }
#ifdef KOL_BROTLI
    if (which == CODING_BR) {
        inflater->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        fine = inflater->brotli != NULL;
    }
#endif
    if (!fine) {
        kol_panic("no memory to inflate a body");
    }
    return inflater;
}

void http_inflater_free(struct http_inflater **inflater)
{
    if (!*inflater) {
        return;
    }
    if ((*inflater)->coding == CODING_GZIP) {
        inflateEnd(&(*inflater)->gzip);
    }
    ZSTD_freeDStream((*inflater)->zstd);
#ifdef KOL_BROTLI
    if ((*inflater)->brotli) {
        BrotliDecoderDestroyInstance((*inflater)->brotli);
    }
#endif
    free(*inflater);
    *inflater = NULL;
}

bool http_inflater_done(const struct http_inflater *inflater)
{
    return inflater->done || !inflater->began;
}

/* One step: from `in`, which moves on, into at most PIECE bytes; how many, or below 0. */
static ssize_t step_gzip(struct http_inflater *inflater, struct str *in, char *out)
{
    z_stream *z = &inflater->gzip;
    if (inflater->done) {
        /* Another member may follow. */
        inflater->done = false;
        inflateReset(z);
    }
    z->next_in = (Bytef *)(uintptr_t)in->ptr;
    z->avail_in = (uInt)in->len;
    z->next_out = (Bytef *)out;
    z->avail_out = PIECE;
    int status = inflate(z, Z_NO_FLUSH);
    *in = (struct str){(const char *)z->next_in, z->avail_in};
    inflater->done = status == Z_STREAM_END;
    return status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR
               ? (ssize_t)(PIECE - z->avail_out)
               : -1;
}

/* Whether what comes next may be a frame of RFC 8878, ordinary or to be skipped. The library would
 * also read the formats that were before it, which nobody sends and whose readers nobody tends. */
static bool is_zstd(struct http_inflater *inflater, struct str in)
{
    static const unsigned char ordinary[] = {0x28, 0xb5, 0x2f, 0xfd},
                               skipped[] = {0x50, 0x2a, 0x4d, 0x18};
    for (size_t i = 0; i < in.len && inflater->magic < sizeof ordinary; i++) {
        const size_t at = inflater->magic++;
        const unsigned char byte = (unsigned char)in.ptr[i];
        if (at == 0) {
            inflater->skipped = byte != ordinary[0];
        }
        const unsigned char wanted = inflater->skipped ? skipped[at] : ordinary[at];
        if ((at == 0 && inflater->skipped ? byte & 0xf0 : byte) != wanted) {
            return false;
        }
    }
    return true;
}

static ssize_t step_zstd(struct http_inflater *inflater, struct str *in, char *out)
{
    ZSTD_inBuffer from = {in->ptr, in->len, 0};
    ZSTD_outBuffer to = {out, PIECE, 0};
    if (!is_zstd(inflater, *in)) {
        return -1;
    }
    size_t status = ZSTD_decompressStream(inflater->zstd, &to, &from);
    *in = (struct str){in->ptr + from.pos, in->len - from.pos};
    inflater->done = status == 0;
    if (inflater->done) {
        inflater->magic = 0; /* another frame may follow */
    }
    return ZSTD_isError(status) ? -1 : (ssize_t)to.pos;
}

static ssize_t step_br(struct http_inflater *inflater, struct str *in, char *out)
{
#ifdef KOL_BROTLI
    const uint8_t *from = (const uint8_t *)in->ptr;
    uint8_t *to = (uint8_t *)out;
    size_t from_len = in->len, to_len = PIECE;
    BrotliDecoderResult status =
        BrotliDecoderDecompressStream(inflater->brotli, &from_len, &from, &to_len, &to, NULL);
    bool trailing = inflater->done && in->len;
    *in = (struct str){(const char *)from, from_len};
    inflater->done = status == BROTLI_DECODER_RESULT_SUCCESS;
    return status == BROTLI_DECODER_RESULT_ERROR || trailing || (inflater->done && from_len)
               ? -1
               : (ssize_t)(PIECE - to_len);
#else
    (void)inflater;
    (void)in;
    (void)out;
    return -1;
#endif
}

enum kol_status http_inflate(struct http_inflater *inflater, struct str bytes, size_t max,
                             struct buf *out)
{
    char piece[PIECE];
    ssize_t got;
    inflater->began = inflater->began || bytes.len;
    /* A full piece may have more behind it though no input is left. */
    do {
        got = inflater->coding == CODING_GZIP   ? step_gzip(inflater, &bytes, piece)
              : inflater->coding == CODING_ZSTD ? step_zstd(inflater, &bytes, piece)
                                                : step_br(inflater, &bytes, piece);
        if (got < 0) {
            return KOL_INVALID;
        }
        if (out->len + (size_t)got > max) {
            return KOL_NO_SPACE;
        }
        buf_append(out, piece, (size_t)got);
    } while (bytes.len || (got == PIECE && !inflater->done));
    return KOL_OK;
}
