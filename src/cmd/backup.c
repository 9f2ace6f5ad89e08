/* backup.c: `kol backup DIR`: the whole data folder into another folder while it is in use. */
#include "backup/backup.h"

#include "base/mem.h"
#include "cmd/command.h"
#include "version.h"

struct told {
    struct rows *rows;
    int64_t files, bytes, copied_files, copied_bytes;
};

static void put_part(const struct backup_part *part, void *user)
{
    struct told *told = user;
    rows_text(told->rows, str_of(part->name));
    rows_int(told->rows, part->files);
    rows_int(told->rows, part->bytes);
    rows_int(told->rows, part->copied_files);
    rows_int(told->rows, part->copied_bytes);
    if (part->left_out) {
        rows_text(told->rows, str_of(part->left_out));
    } else {
        rows_null(told->rows);
    }
    told->files += part->files;
    told->bytes += part->bytes;
    told->copied_files += part->copied_files;
    told->copied_bytes += part->copied_bytes;
}

static enum kol_status make(const struct invocation *call, struct bus *bus, struct kol_error *err)
{
    static const char *const names[] = {"part",         "files",        "bytes",
                                        "copied_files", "copied_bytes", "left_out"};
    struct told told = {.rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names))};
    const struct backup_options options = {
        .data = call->data,
        .folder = call->args[0],
        .program = KOL_VERSION,
        .bus = bus,
        .on_part = put_part,
        .user = &told,
    };
    enum kol_status status = backup_make(&options, err);
    if (status == KOL_OK) {
        fprintf(stderr,
                "%s: a backup of %lld files, %lld bytes; %lld files with %lld bytes of them were "
                "copied now.\n",
                call->args[0], (long long)told.files, (long long)told.bytes,
                (long long)told.copied_files, (long long)told.copied_bytes);
    }
    return rows_finish(&told.rows, status, err);
}

enum kol_status cmd_backup(const struct invocation *call, struct kol_error *err)
{
    struct bus *bus = NULL;
    enum kol_status status = command_open_bus(call, true, &bus, err);
    if (status == KOL_OK || status == KOL_NOT_FOUND) { /* a lake alone is worth a backup, too */
        status = make(call, bus, err);
    }
    bus_close(&bus);
    return status;
}
