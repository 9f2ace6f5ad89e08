/*
 * source.h: the bytes of a file or of stdin, decompressed on the way.
 *
 * Positions are offsets in the decompressed bytes, so that a place in a file means the same whether
 * it is packed or not. Memory is bounded whatever the file. What the bytes are is told by their
 * first ones, never by the name: a download that some tool has unpacked already still reads.
 */
#ifndef IMPORT_SOURCE_H
#define IMPORT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct source;

/* Opens `path` for reading; "-" is stdin, which source_close() leaves open. */
enum kol_status source_open(const char *path, struct source **out,
                            struct kol_error *err) KOL_CHECKED;
void source_close(struct source **source);

/* Called, in the reading thread, once in each wait when a pipe has given nothing for a while: the
 * moment to make durable what has come so far. What it returns, unless KOL_OK, ends the read. */
void source_on_idle(struct source *source,
                    enum kol_status (*idle)(void *user, struct kol_error *err), void *user);

/*
 * Reads up to `cap` bytes; `*got` is 0 at the end and at no other time. KOL_CORRUPT where packed
 * bytes are damaged or stop too early, after everything before that place was handed out; KOL_IO;
 * KOL_INTERRUPTED where a stop was asked for while a pipe was waited for.
 */
enum kol_status source_read(struct source *source, void *into, size_t cap, size_t *got,
                            struct kol_error *err) KOL_CHECKED;

/* Goes forward to `position`. KOL_INVALID where the bytes end before it. */
enum kol_status source_skip_to(struct source *source, int64_t position,
                               struct kol_error *err) KOL_CHECKED;

/* Offset of the next byte, decompressed. */
int64_t source_position(const struct source *source);

/* Bytes of the file itself that were read, and its size (0: a pipe, nobody knows): for progress. */
int64_t source_file_position(const struct source *source);
int64_t source_file_size(const struct source *source);

/* "plain", "gzip" or "zstd"; known after the first read. */
const char *source_packing(const struct source *source);

/* The path, or "<stdin>". */
const char *source_name(const struct source *source);

#endif
