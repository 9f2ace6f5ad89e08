/*
 * source.c: plain, gzip and zstd files as one stream of bytes.
 *
 * An error is held back until the bytes before it were handed out, so that a file that was cut in
 * the middle still gives all that it holds.
 */
#include "import/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "base/signals.h"
#include "base/str.h"

enum { RAW_BYTES = 128 * 1024, IDLE_MS = 200 };

struct source {
    char *path; /* as it was given */
    int fd;
    bool pipe;         /* reads may wait: ask poll() first */
    int64_t file_size; /* 0 where unknown */
    int64_t file_position;
    int64_t position;

    enum packing { PACKING_UNKNOWN, PACKING_PLAIN, PACKING_GZIP, PACKING_ZSTD } packing;
    z_stream gzip;
    ZSTD_DStream *zstd;
    bool inside; /* a gzip member or a zstd frame has begun and not ended */

    /* Bytes of the file that are read and not yet decompressed: raw[raw_begin, raw_end). */
    char *raw;
    size_t raw_begin, raw_end;
    bool raw_at_end;

    struct kol_error failure; /* status KOL_OK: none; else what every further read answers */

    enum kol_status (*idle)(void *user, struct kol_error *err);
    void *idle_user;
};

enum kol_status source_open(const char *path, struct source **out, struct kol_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        enum kol_status status = kol_fail_errno(err, errno, "cannot read %s", path);
        if (fd > STDIN_FILENO) {
            close(fd);
        }
        return status;
    }
    if (S_ISDIR(info.st_mode)) {
        if (!is_stdin) {
            close(fd);
        }
        return kol_fail(err, KOL_INVALID, "%s is a folder, not a file", path);
    }
    struct source *source = mem_zalloc(1, sizeof *source);
    source->path = mem_strdup(path);
    source->fd = fd;
    source->pipe = !S_ISREG(info.st_mode);
    source->file_size = S_ISREG(info.st_mode) ? (int64_t)info.st_size : 0;
    source->raw = mem_alloc(RAW_BYTES);
    *out = source;
    return KOL_OK;
}

void source_close(struct source **source)
{
    struct source *old = *source;
    *source = NULL;
    if (!old) {
        return;
    }
    if (old->packing == PACKING_GZIP) {
        inflateEnd(&old->gzip);
    }
    ZSTD_freeDStream(old->zstd);
    if (old->fd != STDIN_FILENO) {
        close(old->fd);
    }
    free(old->raw);
    free(old->path);
    free(old);
}

void source_on_idle(struct source *source,
                    enum kol_status (*idle)(void *user, struct kol_error *err), void *user)
{
    source->idle = idle;
    source->idle_user = user;
}

const char *source_name(const struct source *source)
{
    return strcmp(source->path, "-") == 0 ? "<stdin>" : source->path;
}

int64_t source_position(const struct source *source)
{
    return source->position;
}

int64_t source_file_position(const struct source *source)
{
    return source->file_position;
}

int64_t source_file_size(const struct source *source)
{
    return source->file_size;
}

const char *source_packing(const struct source *source)
{
    static const char *const names[] = {"plain", "plain", "gzip", "zstd"};
    return names[source->packing];
}

/* Waits until a pipe has something to read. A stop ends the wait; a file never waits. */
static enum kol_status wait_for_input(struct source *source, struct kol_error *err)
{
    int timeout = source->idle ? IDLE_MS : -1;
    while (source->pipe) {
        struct pollfd polled[2] = {{.fd = source->fd, .events = POLLIN},
                                   {.fd = signals_stop_fd(), .events = POLLIN}};
        int ready = poll(polled, 2, timeout);
        if (signals_stop_asked()) {
            return kol_fail(err, KOL_INTERRUPTED, "stopped while waiting for %s",
                            source_name(source));
        }
        if (ready > 0 && polled[0].revents) {
            break;
        }
        if (ready == 0 && source->idle) {
            enum kol_status status = source->idle(source->idle_user, err);
            if (status != KOL_OK) {
                return status;
            }
            timeout = -1;
        }
    }
    return KOL_OK;
}

/* One read(2) of the file. */
static enum kol_status read_file(struct source *source, void *into, size_t cap, size_t *got,
                                 struct kol_error *err)
{
    ssize_t len;
    do {
        enum kol_status status = wait_for_input(source, err);
        if (status != KOL_OK) {
            return status;
        }
        len = read(source->fd, into, cap);
    } while (len < 0 && (errno == EINTR || errno == EAGAIN));
    if (len < 0) {
        return kol_fail_errno(err, errno, "cannot read %s at byte %lld", source_name(source),
                              (long long)source->file_position);
    }
    source->file_position += len;
    *got = (size_t)len;
    return KOL_OK;
}

/* Adds to the raw bytes; there is room for at least one more. */
static enum kol_status fill_raw(struct source *source, struct kol_error *err)
{
    size_t got = 0;
    if (source->raw_begin == source->raw_end) {
        source->raw_begin = source->raw_end = 0;
    }
    enum kol_status status =
        read_file(source, source->raw + source->raw_end, RAW_BYTES - source->raw_end, &got, err);
    source->raw_end += got;
    source->raw_at_end = status == KOL_OK && got == 0;
    return status;
}

static bool has_gzip_magic(const char *bytes)
{
    return memcmp(bytes, "\x1f\x8b", 2) == 0;
}

/* A frame, or a skippable frame, as pzstd and seekable writers put in front. */
static bool has_zstd_magic(const char *bytes)
{
    return memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0 ||
           (memcmp(bytes + 1, "\x2a\x4d\x18", 3) == 0 && ((unsigned char)bytes[0] & 0xf0) == 0x50);
}

/* Looks at the first four bytes. A pipe may give them one by one. */
static enum kol_status detect_packing(struct source *source, struct kol_error *err)
{
    while (!source->raw_at_end && source->raw_end < 4) {
        enum kol_status status = fill_raw(source, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    if (source->raw_end >= 2 && has_gzip_magic(source->raw)) {
        KOL_ASSERT(inflateInit2(&source->gzip, 15 + 16) == Z_OK);
        source->packing = PACKING_GZIP;
    } else if (source->raw_end >= 4 && has_zstd_magic(source->raw)) {
        source->zstd = ZSTD_createDStream();
        KOL_ASSERT(source->zstd);
        source->packing = PACKING_ZSTD;
    } else {
        source->packing = PACKING_PLAIN;
    }
    return KOL_OK;
}

static enum kol_status fail_packed(struct source *source, const char *what, struct kol_error *err)
{
    return kol_fail(
        err, KOL_CORRUPT, "%s: %s data %s at byte %lld of the file; %lld bytes before it were read",
        source_name(source), source_packing(source), what,
        (long long)source->file_position - (long long)(source->raw_end - source->raw_begin),
        (long long)source->position);
}

static enum kol_status inflate_some(struct source *source, char *into, size_t cap, size_t *got,
                                    struct kol_error *err)
{
    z_stream *stream = &source->gzip;
    if (!source->inside && inflateReset(stream) != Z_OK) {
        return fail_packed(source, "cannot be read", err);
    }
    source->inside = true;
    stream->next_in = (Bytef *)source->raw + source->raw_begin;
    stream->avail_in = (uInt)(source->raw_end - source->raw_begin);
    stream->next_out = (Bytef *)into;
    stream->avail_out = cap > INT32_MAX ? INT32_MAX : (uInt)cap;
    uInt room = stream->avail_out;
    int result = inflate(stream, Z_NO_FLUSH);
    source->raw_begin = source->raw_end - stream->avail_in;
    *got = room - stream->avail_out;
    source->position += (int64_t)*got;
    if (result == Z_STREAM_END) {
        source->inside = false;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return fail_packed(source, "is damaged", err);
    }
    return KOL_OK;
}

static enum kol_status unzstd_some(struct source *source, char *into, size_t cap, size_t *got,
                                   struct kol_error *err)
{
    ZSTD_inBuffer in = {source->raw, source->raw_end, source->raw_begin};
    ZSTD_outBuffer out = {into, cap, 0};
    size_t result = ZSTD_decompressStream(source->zstd, &out, &in);
    source->raw_begin = in.pos;
    *got = out.pos;
    source->position += (int64_t)out.pos;
    if (ZSTD_isError(result)) {
        return fail_packed(source, ZSTD_getErrorName(result), err);
    }
    source->inside = result != 0;
    return KOL_OK;
}

/* Decompresses until there is something to give, the end, or an error. */
static enum kol_status read_packed(struct source *source, char *into, size_t cap, size_t *got,
                                   struct kol_error *err)
{
    while (*got == 0) {
        if (source->raw_begin == source->raw_end && !source->raw_at_end) {
            enum kol_status status = fill_raw(source, err);
            if (status != KOL_OK) {
                return status;
            }
        }
        bool drained = source->raw_begin == source->raw_end;
        if (drained && !source->inside) {
            return KOL_OK;
        }
        enum kol_status status = source->packing == PACKING_GZIP
                                     ? inflate_some(source, into, cap, got, err)
                                     : unzstd_some(source, into, cap, got, err);
        if (status != KOL_OK) {
            return status;
        }
        if (drained && *got == 0) {
            return fail_packed(source, "stops too early", err);
        }
    }
    return KOL_OK;
}

static enum kol_status read_plain(struct source *source, char *into, size_t cap, size_t *got,
                                  struct kol_error *err)
{
    size_t held = source->raw_end - source->raw_begin;
    if (held) { /* what the detection has read */
        *got = held < cap ? held : cap;
        memcpy(into, source->raw + source->raw_begin, *got);
        source->raw_begin += *got;
    } else if (!source->raw_at_end) {
        enum kol_status status = read_file(source, into, cap, got, err);
        if (status != KOL_OK) {
            return status;
        }
        source->raw_at_end = *got == 0;
    }
    source->position += (int64_t)*got;
    return KOL_OK;
}

enum kol_status source_read(struct source *source, void *into, size_t cap, size_t *got,
                            struct kol_error *err)
{
    *got = 0;
    KOL_ASSERT(cap > 0);
    if (source->failure.status != KOL_OK) {
        return kol_fail(err, source->failure.status, "%s", source->failure.message);
    }
    struct kol_error why = {0};
    enum kol_status status = KOL_OK;
    if (source->packing == PACKING_UNKNOWN) {
        status = detect_packing(source, &why);
    }
    if (status == KOL_OK) {
        status = source->packing == PACKING_PLAIN ? read_plain(source, into, cap, got, &why)
                                                  : read_packed(source, into, cap, got, &why);
    }
    if (status == KOL_OK) {
        return KOL_OK;
    }
    if (status == KOL_CORRUPT) {
        source->failure = why;
        if (*got) {
            return KOL_OK;
        }
    }
    return kol_fail(err, status, "%s", why.message);
}

static enum kol_status skip_by_reading(struct source *source, int64_t position,
                                       struct kol_error *err)
{
    enum { SCRAP_BYTES = 64 * 1024 };
    char *scrap = mem_alloc(SCRAP_BYTES);
    enum kol_status status = KOL_OK;
    while (status == KOL_OK && source->position < position) {
        int64_t left = position - source->position;
        size_t got = 0;
        if (signals_stop_asked()) {
            status = kol_fail(err, KOL_INTERRUPTED, "stopped while going forward in %s",
                              source_name(source));
            break;
        }
        status =
            source_read(source, scrap, left < SCRAP_BYTES ? (size_t)left : SCRAP_BYTES, &got, err);
        if (status == KOL_OK && got == 0) {
            status =
                kol_fail(err, KOL_INVALID, "%s ends at byte %lld, before byte %lld",
                         source_name(source), (long long)source->position, (long long)position);
        }
    }
    free(scrap);
    return status;
}

enum kol_status source_skip_to(struct source *source, int64_t position, struct kol_error *err)
{
    KOL_ASSERT(position >= source->position);
    enum kol_status status = KOL_OK;
    if (source->packing == PACKING_UNKNOWN) {
        status = detect_packing(source, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    if (source->packing != PACKING_PLAIN || source->pipe || position > source->file_size) {
        return skip_by_reading(source, position, err);
    }
    if (lseek(source->fd, (off_t)position, SEEK_SET) < 0) {
        return kol_fail_errno(err, errno, "cannot go to byte %lld of %s", (long long)position,
                              source_name(source));
    }
    source->position = source->file_position = position;
    source->raw_begin = source->raw_end = 0;
    source->raw_at_end = false;
    return KOL_OK;
}
