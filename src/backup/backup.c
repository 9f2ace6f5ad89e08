/*
 * backup.c: a backup from beginning to end, see backup.h for the order and why.
 *
 * Whatever ends it early, the folder then has the file `unfinished` and no note: it is no backup,
 * but the next run may go on in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/parts.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "lake/lake.h"
#include "online/live.h"

void backup_tell(const struct backup_job *job, const struct backup_part *part)
{
    if (job->options->on_part) {
        job->options->on_part(part, job->options->user);
    }
}

/* ---- the log ---- */

static void show_log(int64_t bytes, void *user)
{
    struct backup_run *run = user;
    progress_update(&run->progress, run->done_bytes + bytes);
}

static enum kol_status note_topic(struct backup_note *note, struct bus *bus,
                                  const struct bus_topic *topic, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (int32_t p = 0; p < topic->partitions && status == KOL_OK; p++) {
        struct bus_partition extent;
        status = bus_partition_get(bus, topic->name, p, &extent, err);
        if (status == KOL_OK && extent.end) {
            backup_note_add_place(note, topic->name, p, extent.start, extent.end);
        }
    }
    return status;
}

/* Opens the copy, which shows that it can be, and notes how far it goes. */
static enum kol_status note_log(struct backup_note *note, const char *folder, struct kol_error *err)
{
    struct bus *bus;
    struct bus_topic *topics = NULL;
    size_t count = 0;
    enum kol_status status =
        bus_open(&(struct bus_options){.path = folder, .read_only = true}, &bus, err);
    if (status != KOL_OK) {
        return status;
    }
    status = bus_topics(bus, &topics, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = note_topic(note, bus, &topics[i], err);
    }
    free(topics);
    bus_close(&bus);
    if (status == KOL_OK) { /* what the look left behind */
        char *lock = file_join(folder, "lock.mdb");
        status = backup_remove(lock, err);
        free(lock);
    }
    return status;
}

static enum kol_status copy_log(struct backup_job *job, struct kol_error *err)
{
    struct bus_copying copying = {.on_bytes = show_log, .user = &job->run};
    struct backup_part *part = &job->note.log;
    char *folder = file_join(job->options->folder, "log");
    enum kol_status status = KOL_OK;
    if (!job->options->bus) {
        status = backup_prune(folder, NULL, err);
        rmdir(folder);
    } else {
        status = bus_copy(job->options->bus, folder, &copying, err);
        if (status == KOL_OK) {
            backup_progress(&job->run, copying.bytes);
            status = note_log(&job->note, folder, err);
        }
        if (status == KOL_OK) {
            *part = (struct backup_part){"log", 1, copying.bytes, 1, copying.bytes, NULL};
            backup_tell(job, part);
        }
    }
    free(folder);
    return status;
}

/* ---- the live store ---- */

static enum kol_status copy_live(struct backup_job *job, struct kol_error *err)
{
    struct backup_part *part = &job->note.live;
    struct live *live;
    char *source = file_join(job->options->data, "live/live.mdb");
    char *folder = file_join(job->options->folder, "live");
    enum kol_status status = KOL_OK;
    if (!file_exists(source)) {
        status = backup_prune(folder, NULL, err);
        rmdir(folder);
    } else {
        status = live_open(job->options->data, &live, err);
        if (status == KOL_OK) {
            status = live_copy(live, folder, err);
            live_close(&live);
        }
        if (status == KOL_OK) {
            status = backup_measure(folder, part, err);
        }
        if (status == KOL_OK) {
            part->name = "live";
            part->copied_files = part->files;
            part->copied_bytes = part->bytes;
            backup_progress(&job->run, part->bytes);
            backup_tell(job, part);
        }
    }
    free(folder);
    free(source);
    return status;
}

/* ---- plain files ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* What has its own way into a backup, is made anew, or means nothing elsewhere. */
static bool is_no_plain_file(const char *name, void *user)
{
    static const char *const names[] = {"lake",       "log",       "live",           "online",
                                        "lost+found", BACKUP_NOTE, BACKUP_UNFINISHED};
    (void)user;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return ends_with(name, ".tmp") || ends_with(name, ".lock") || ends_with(name, "lock.mdb") ||
           ends_with(name, "-lock") || ends_with(name, ".pid");
}

static enum kol_status copy_plain(const char *name, const struct stat *info, void *user,
                                  struct kol_error *err)
{
    struct backup_job *job = user;
    char *from = file_join(job->options->data, name), *to = file_join(job->options->folder, name);
    (void)info;
    enum kol_status status = backup_copy_file(&job->run, from, to, false, &job->note.files, err);
    if (status == KOL_OK) {
        backup_names_add(&job->note.names, str_of(name));
    } else if (status == KOL_NOT_FOUND) { /* removed since it was seen */
        status = KOL_OK;
    }
    free(to);
    free(from);
    return status;
}

static bool is_alias_file(const char *name)
{
    return strncmp(name, "models/", 7) == 0 && ends_with(name, "/aliases.json");
}

/* Other files may lie beside those of aliases. */
static enum kol_status copy_alias(const char *name, const struct stat *info, void *user,
                                  struct kol_error *err)
{
    return is_alias_file(name) ? copy_plain(name, info, user, err) : KOL_OK;
}

/* Aliases go first, versions after them: a version never goes away, so whatever an alias of the
 * backup points at is in the backup, too, whoever adds and promotes meanwhile. */
static bool is_no_alias(const char *name, void *user)
{
    (void)user;
    return strcmp(name, "models") != 0 && !is_alias_file(name) &&
           (strncmp(name, "models/", 7) != 0 || strchr(name + 7, '/'));
}

static bool is_no_other_file(const char *name, void *user)
{
    return is_no_plain_file(name, user) || is_alias_file(name);
}

static enum kol_status copy_files(struct backup_job *job, struct kol_error *err)
{
    job->note.files.name = "files";
    int64_t links = 0;
    const struct backup_walk aliases = {.skip = is_no_alias, .each = copy_alias, .user = job};
    const struct backup_walk others = {
        .skip = is_no_other_file, .each = copy_plain, .user = job, .links = &links};
    enum kol_status status = backup_walk(job->options->data, &aliases, err);
    if (status == KOL_OK) {
        status = backup_walk(job->options->data, &others, err);
    }
    backup_names_sort(&job->note.names);
    if (status == KOL_OK && job->note.files.files) {
        backup_tell(job, &job->note.files);
    }
    if (status == KOL_OK && links) {
        char why[64];
        snprintf(why, sizeof why, "%lld symbolic links, which are not followed", (long long)links);
        backup_tell(job, &(struct backup_part){.name = "links", .left_out = why});
    }
    return status;
}

/* ---- from beginning to end ---- */

/* A name that no other backup has. */
static void name_backup(struct backup_note *note)
{
    struct buf text = {0}, name = {0};
    buf_printf(&text, "%s %lld %lld %d", note->source, (long long)note->made_us,
               (long long)clock_mono_ns(), (int)getpid());
    hash_put_hex128(&name, buf_str(&text));
    note->id = arena_copy(&note->arena, buf_str(&name)).ptr;
    buf_free(&text);
    buf_free(&name);
}

static enum kol_status begin_note(struct backup_job *job, struct kol_error *err)
{
    struct backup_note *note = &job->note;
    char *source = realpath(job->options->data, NULL);
    if (!source) {
        return kol_fail(err, KOL_NOT_FOUND, "%s: there is no data folder", job->options->data);
    }
    note->source = arena_copy(&note->arena, str_of(source)).ptr;
    note->program = job->options->program;
    note->made_us = clock_now_us();
    name_backup(note);
    free(source);
    return KOL_OK;
}

/* From here on the folder is no backup until the end. The note of an earlier one goes once the mark
 * is there, so that at every moment one of them says whose the folder is. */
static enum kol_status mark_unfinished(const char *folder, struct kol_error *err)
{
    char *note = file_join(folder, BACKUP_NOTE), *mark = file_join(folder, BACKUP_UNFINISHED);
    enum kol_status status = KOL_OK;
    if (!file_exists(note) && !file_exists(mark) && !backup_is_empty(folder)) {
        status = kol_fail(err, KOL_EXISTS,
                          "%s: is not empty and holds no backup; name a folder of its own", folder);
    }
    if (status == KOL_OK) {
        status = file_replace(mark, STR("a backup is being made here\n"), err);
    }
    if (status == KOL_OK) {
        status = backup_remove(note, err);
    }
    free(mark);
    free(note);
    return status;
}

/* Files of an earlier backup that are no more; their names are in its note. */
static enum kol_status remove_gone(const struct backup_job *job, const struct backup_names *earlier,
                                   struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < earlier->count && status == KOL_OK; i++) {
        if (!backup_names_have(&job->note.names, earlier->items[i])) {
            char *path = file_join(job->options->folder, earlier->items[i]);
            status = backup_remove(path, err);
            free(path);
        }
    }
    return status;
}

static enum kol_status copy_all(struct backup_job *job, struct kol_error *err)
{
    enum kol_status status = backup_lake(job, err);
    if (status == KOL_OK) {
        status = copy_log(job, err);
    }
    FAILPOINT("backup.log");
    if (status == KOL_OK) {
        status = copy_live(job, err);
    }
    if (status == KOL_OK) {
        status = copy_files(job, err);
    }
    return status;
}

static enum kol_status complete(struct backup_job *job, struct kol_error *err)
{
    const char *folder = job->options->folder;
    enum kol_status status = backup_sync_folders(folder, err);
    FAILPOINT("backup.synced");
    if (status == KOL_OK) {
        status = backup_note_write(&job->note, folder, err);
    }
    FAILPOINT("backup.done");
    if (status == KOL_OK) {
        char *mark = file_join(folder, BACKUP_UNFINISHED);
        status = backup_remove(mark, err);
        free(mark);
    }
    return status;
}

/* The backup is complete but for these: the caller must hear of it. */
static enum kol_status judge(const struct backup_note *note, struct kol_error *err)
{
    size_t left_out = 0;
    for (size_t i = 0; i < note->table_count; i++) {
        left_out += note->tables[i].left_out != NULL;
    }
    return left_out ? kol_fail(err, KOL_UNSUPPORTED,
                               "%zu of %zu tables could not be copied and are not in the backup; "
                               "the rest of it is complete",
                               left_out, note->table_count)
                    : KOL_OK;
}

static enum kol_status make(struct backup_job *job, struct kol_error *err)
{
    const char *folder = job->options->folder;
    struct backup_note earlier = {0};
    (void)!backup_note_read(&earlier, folder, NULL); /* there may be none */
    enum kol_status status = mark_unfinished(folder, err);
    FAILPOINT("backup.begun");
    if (status == KOL_OK) {
        progress_begin(&job->run.progress, "backup", "bytes", 0, 0);
        status = copy_all(job, err);
        progress_end(&job->run.progress);
    }
    if (status == KOL_OK) {
        status = remove_gone(job, &earlier.names, err);
    }
    if (status == KOL_OK) {
        status = complete(job, err);
    }
    if (status == KOL_NO_SPACE) {
        kol_wrap(err, "the disk of the backup is full; make space and give the same command again");
    }
    backup_note_free(&earlier);
    return status == KOL_OK ? judge(&job->note, err) : status;
}

enum kol_status backup_make(const struct backup_options *options, struct kol_error *err)
{
    struct backup_job job = {.options = options};
    int lock = -1;
    backup_note_init(&job.note);
    enum kol_status status = begin_note(&job, err);
    if (status == KOL_OK) {
        status = backup_check_restored(options->data, err);
    }
    if (status == KOL_OK) {
        status = backup_lock(options->folder, &lock, err);
    }
    if (status == KOL_OK) {
        status = backup_check_apart(options->data, options->folder, err);
    }
    if (status == KOL_OK) {
        status = make(&job, err);
    }
    if (lock >= 0) {
        close(lock);
    }
    backup_note_free(&job.note);
    return status;
}
