/* restore.c: `kol restore DIR`: a backup becomes a data folder. */
#include "backup/backup.h"
#include "base/mem.h"
#include "cmd/command.h"

static void put_part(const struct backup_part *part, void *user)
{
    struct rows *rows = user;
    rows_text(rows, str_of(part->name));
    rows_int(rows, part->files);
    rows_int(rows, part->bytes);
    rows_int(rows, part->copied_files);
    rows_int(rows, part->copied_bytes);
}

enum kol_status cmd_restore(const struct invocation *call, struct kol_error *err)
{
    static const char *const names[] = {"part", "files", "bytes", "copied_files", "copied_bytes"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    const struct restore_options options = {
        .folder = call->args[0], .data = call->data, .on_part = put_part, .user = rows};
    enum kol_status status = backup_restore(&options, err);
    if (status == KOL_OK) {
        fprintf(stderr,
                "%s is as the backup was made. `kol etl` makes the online copy, which no backup "
                "holds.\n",
                call->data);
    }
    return rows_finish(&rows, status, err);
}
