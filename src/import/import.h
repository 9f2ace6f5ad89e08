/*
 * import.h: files -> events in the log, batch by batch, each with the position that it reaches.
 *
 * An import that was killed, interrupted or stopped by a full disk goes on exactly where its last
 * commit ended when the same files are imported again with the same preset: nothing is lost and
 * nothing comes twice. What comes through a pipe has no position.
 */
#ifndef IMPORT_IMPORT_H
#define IMPORT_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "import/position.h"
#include "import/preset.h"
#include "import/submit.h"
#include "log/bus.h"

struct import_options {
    struct bus *bus;
    const struct preset *preset;
    const char *const *files; /* "-" is stdin; none twice */
    size_t file_count;
    const char *set;    /* overrides_parse(); NULL: none */
    bool restart;       /* forget positions */
    size_t batch_bytes; /* of events that one commit takes */
};

/* What came out of one file. Texts are valid until import_close(). */
struct import_file {
    const char *path;
    struct str layout; /* empty for NDJSON */
    struct import_counts counts;
    int64_t bytes;      /* decompressed, of the whole file as far as it was read */
    int64_t resumed_at; /* first byte that this run read; 0: from the front */
    bool complete;      /* read to its end, now or by the run that this one goes on from */
};

struct import;

/* Checks the options and that every file is there; reads nothing yet. `options` and what it points
 * to must outlive the import. */
enum kol_status import_open(const struct import_options *options, struct import **out,
                            struct kol_error *err) KOL_CHECKED;

/*
 * Imports the next file; KOL_END behind the last. On a failure everything up to the last commit is
 * in the log, and `out` says how much that is: KOL_INTERRUPTED, KOL_NO_SPACE, KOL_CORRUPT (a packed
 * file is damaged; what came before the damage is in), KOL_INVALID (the header fits no layout).
 */
enum kol_status import_next(struct import *import, struct import_file *out,
                            struct kol_error *err) KOL_CHECKED;

/* Forgets the positions, once the caller has said what came in: the next import of these files
 * begins at the front. */
enum kol_status import_finish(struct import *import, struct kol_error *err) KOL_CHECKED;

/* Why records went to kol.dead in this run. */
const struct submit *import_submitted(struct import *import);

void import_close(struct import **import);

#endif
