/*
 * folder.c: the registry in DATA/models: the back end of the embedded mode.
 *
 *   DATA/models/<model>/<number>/{model.txt, metadata.json, report.html, version.json}
 *   DATA/models/<model>/aliases.json      see aliases.c
 *   DATA/models/<model>/registry.lock     held (flock) by who adds a version or moves an alias
 *
 * A version is written into a folder that ends in .tmp and gets its number by one rename, with
 * every byte on disk before; so what has a number is whole. Nothing in it changes afterwards, and
 * version.json has the checksum of each file. Whoever holds the lock and sees a .tmp knows that its
 * writer is dead, and removes it. Readers take no lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "registry/backend.h"

enum { FORMAT = 1, MAX_NOTE = 1 << 20, MAX_VERSIONS = 1000000 };

struct folder {
    char *models; /* DATA/models */
};

static enum kol_status folder_open(const struct registry_options *options, void **state,
                                   struct kol_error *err)
{
    (void)err;
    struct folder *folder = mem_zalloc(1, sizeof *folder);
    folder->models = file_join(options->data, "models");
    *state = folder;
    return KOL_OK;
}

static void folder_close(void *state)
{
    struct folder *folder = state;
    free(folder->models);
    free(folder);
}

static char *model_path(const struct folder *folder, const char *model)
{
    return file_join(folder->models, model);
}

/* "DATA/models/<model>/<version>/<name>", or without the name where that is NULL. */
static char *version_path(const struct folder *folder, const char *model, const char *version,
                          const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s/%s%s%s", folder->models, model, version, name ? "/" : "",
               name ? name : "");
    return path.ptr;
}

/* The number that a name stands for; 0 for none. */
static int64_t number_of(const char *name)
{
    int64_t number;
    bool plain = name[0] >= '1' && name[0] <= '9' && strspn(name, "0123456789") == strlen(name);
    return plain && str_to_int64(str_of(name), &number) ? number : 0;
}

/* ---- version.json ---- */

static enum kol_status broken(const char *path, const char *why, struct kol_error *err)
{
    return kol_fail(err, KOL_CORRUPT, "%s: %s; take the folder from a backup, or remove it", path,
                    why);
}

/* Reads a JSON object; the caller lets it go. */
static enum kol_status read_object(const char *path, size_t max_bytes, json_t **out,
                                   struct kol_error *err)
{
    struct buf bytes = {0};
    json_error_t why;
    *out = NULL;
    enum kol_status status = file_read(path, max_bytes, &bytes, err);
    if (status == KOL_OK) {
        *out = json_loadb(bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, &why);
        if (!json_is_object(*out)) {
            status = broken(path, *out ? "is no JSON object" : why.text, err);
            json_decref(*out);
            *out = NULL;
        }
    }
    buf_free(&bytes);
    return status;
}

/* The note of a version; KOL_NOT_FOUND where there is no such folder. */
static enum kol_status read_note(const struct folder *folder, const char *model,
                                 const char *version, json_t **out, struct kol_error *err)
{
    char *path = version_path(folder, model, version, NULL);
    char *note = file_join(path, "version.json");
    json_int_t format = 0;
    const char *of = NULL, *number = NULL;
    enum kol_status status = KOL_OK;
    *out = NULL;
    if (!file_exists(path)) {
        status = kol_fail(err, KOL_NOT_FOUND, "%s: there is no such version", path);
    } else {
        status = read_object(note, MAX_NOTE, out, err);
        if (status == KOL_NOT_FOUND) {
            status = broken(note, "is not there", err);
        }
    }
    if (status == KOL_OK && (json_unpack(*out, "{s:I, s:s, s:s}", "format", &format, "model", &of,
                                         "version", &number) ||
                             format < 1)) {
        status = broken(note, "is no note of a version", err);
    } else if (status == KOL_OK && format > FORMAT) {
        status = kol_fail(err, KOL_UNSUPPORTED, "%s: a newer program wrote this version", note);
    } else if (status == KOL_OK && (strcmp(of, model) != 0 || strcmp(number, version) != 0)) {
        status = broken(note, "is of another version", err);
    }
    if (status != KOL_OK) {
        json_decref(*out);
        *out = NULL;
    }
    free(note);
    free(path);
    return status;
}

static void put_note_file(json_t *files, const struct registry_file *file)
{
    struct buf sum = {0};
    hash_put_hex128(&sum, file->bytes);
    json_object_set_new(
        files, file->name,
        json_pack("{s:I, s:s}", "bytes", (json_int_t)file->bytes.len, "xxh128", sum.ptr));
    buf_free(&sum);
}

static char *make_note(const char *model, const char *version, const char *source,
                       const struct registry_file *files, size_t count)
{
    struct buf created = {0};
    clock_format(&created, clock_now_us());
    json_t *list = json_object();
    for (size_t i = 0; i < count; i++) {
        put_note_file(list, &files[i]);
    }
    json_t *note =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:o}", "format", FORMAT, "model", model, "version",
                  version, "created", created.ptr, "source", source, "files", list);
    char *text = json_dumps(note, JSON_INDENT(2));
    json_decref(note);
    buf_free(&created);
    return text;
}

/* ---- files ---- */

/* Reads a file and holds it against the note. */
static enum kol_status read_checked(const char *path, const json_t *note, const char *name,
                                    struct buf *out, struct kol_error *err)
{
    json_int_t bytes = 0;
    const char *sum = "";
    struct buf found = {0};
    const json_t *file = json_object_get(json_object_get(note, "files"), name);
    if (!file) {
        return kol_fail(err, KOL_NOT_FOUND, "%s: the version has no such file", path);
    }
    if (json_unpack((json_t *)file, "{s:I, s:s}", "bytes", &bytes, "xxh128", &sum)) {
        return broken(path, "version.json does not say its size and checksum", err);
    }
    enum kol_status status = file_read(path, REGISTRY_MAX_FILE, out, err);
    if (status == KOL_NOT_FOUND) {
        return broken(path, "is not there", err);
    }
    if (status == KOL_OK) {
        hash_put_hex128(&found, buf_str(out));
        if ((json_int_t)out->len != bytes || strcmp(found.ptr, sum) != 0) {
            status = broken(path, "has other bytes than when the version was added", err);
        }
    }
    buf_free(&found);
    return status;
}

static enum kol_status file_of(const struct folder *folder, const json_t *note, const char *model,
                               const char *version, const char *name, struct arena *arena,
                               struct str *out, struct kol_error *err)
{
    char *path = version_path(folder, model, version, name);
    struct buf bytes = {0};
    enum kol_status status = read_checked(path, note, name, &bytes, err);
    if (status == KOL_OK) {
        *out = arena_copy(arena, buf_str(&bytes));
    }
    buf_free(&bytes);
    free(path);
    return status;
}

static enum kol_status folder_file(void *state, const char *model, const char *version,
                                   const char *name, struct arena *arena, struct str *out,
                                   struct kol_error *err)
{
    json_t *note;
    enum kol_status status = read_note(state, model, version, &note, err);
    if (status == KOL_OK) {
        status = file_of(state, note, model, version, name, arena, out, err);
    }
    json_decref(note);
    return status;
}

/* ---- looking ---- */

static enum kol_status folder_get(void *state, const char *model, const char *version,
                                  struct arena *arena, struct registry_version *out,
                                  struct kol_error *err)
{
    json_t *note;
    const char *created, *source;
    *out = (struct registry_version){.aliases = "", .metadata = STR("{}")};
    snprintf(out->model, sizeof out->model, "%s", model);
    snprintf(out->version, sizeof out->version, "%s", version);
    enum kol_status status = read_note(state, model, version, &note, err);
    if (status != KOL_OK) {
        return status;
    }
    if (json_unpack(note, "{s:s, s:s}", "created", &created, "source", &source) ||
        !clock_parse(str_of(created), &out->created_us)) {
        char *path = version_path(state, model, version, "version.json");
        status = broken(path, "does not say when and from what it was made", err);
        free(path);
    } else {
        snprintf(out->source, sizeof out->source, "%s", source);
        status = file_of(state, note, model, version, "metadata.json", arena, &out->metadata, err);
    }
    json_decref(note);
    return status;
}

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The numbers in the folder of a model, in memory for free(). No folder, no numbers. */
static enum kol_status numbers_in(const char *path, int64_t **out, size_t *count,
                                  struct kol_error *err)
{
    DIR *entries = opendir(path);
    size_t room = 0;
    *out = NULL;
    *count = 0;
    if (!entries) {
        return errno == ENOENT
                   ? KOL_OK
                   : kol_fail_errno(err, errno, "%s: cannot read the folder of models", path);
    }
    for (struct dirent *entry; *count < MAX_VERSIONS && (entry = readdir(entries));) {
        int64_t number = number_of(entry->d_name);
        if (number && *count == room) {
            room = room ? room * 2 : 64;
            *out = mem_realloc(*out, room * sizeof **out);
        }
        if (number) {
            (*out)[(*count)++] = number;
        }
    }
    closedir(entries);
    if (*count) {
        qsort(*out, *count, sizeof **out, newest_first);
    }
    return KOL_OK;
}

static enum kol_status folder_list(void *state, const char *model, struct arena *arena,
                                   struct registry_version **out, size_t *count,
                                   struct kol_error *err)
{
    char *path = model_path(state, model);
    int64_t *numbers;
    enum kol_status status = numbers_in(path, &numbers, count, err);
    *out = arena_alloc(arena, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) {
        struct registry_version *row = &(*out)[i];
        struct kol_error why = {0};
        char version[REGISTRY_NAME_BYTES];
        snprintf(version, sizeof version, "%lld", (long long)numbers[i]);
        if (folder_get(state, model, version, arena, row, &why) != KOL_OK) {
            row->problem = arena_copy(arena, str_of(why.message)).ptr;
        }
    }
    free(numbers);
    free(path);
    return status;
}

/* ---- one at a time ---- */

/* Removes what a dead writer left; a folder of files or a file. */
static void remove_leftover(const char *path)
{
    DIR *entries = opendir(path);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        char *inner = file_join(path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlink(inner);
        }
        free(inner);
    }
    if (entries) {
        closedir(entries);
        rmdir(path);
    } else {
        unlink(path);
    }
}

static void remove_leftovers(const char *folder)
{
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t len = strlen(entry->d_name);
        if (len > 4 && strcmp(entry->d_name + len - 4, ".tmp") == 0) {
            char *path = file_join(folder, entry->d_name);
            remove_leftover(path);
            free(path);
        }
    }
    if (entries) {
        closedir(entries);
    }
}

/* Makes the folder of a model and keeps other writers out until the descriptor is closed. */
static enum kol_status lock_model(const struct folder *folder, const char *model, int *lock,
                                  struct kol_error *err)
{
    char *path = model_path(folder, model);
    char *name = file_join(path, "registry.lock");
    int fd = -1;
    enum kol_status status = file_make_dir(path, err);
    if (status == KOL_OK) { /* durable from the data folder down */
        status = file_sync_folder_of(folder->models, err);
    }
    if (status == KOL_OK) {
        status = file_sync_dir(folder->models, err);
    }
    if (status == KOL_OK) {
        fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        int failed = fd < 0 ? -1 : 0;
        while (fd >= 0 && (failed = flock(fd, LOCK_EX)) && errno == EINTR) {
        }
        if (failed) {
            status = kol_fail_errno(err, errno, "%s: cannot lock", name);
        }
    }
    if (status == KOL_OK) {
        remove_leftovers(path);
        *lock = fd;
    } else if (fd >= 0) {
        close(fd);
    }
    free(name);
    free(path);
    return status;
}

/* ---- adding ---- */

static enum kol_status write_in(const char *folder, const char *name, struct str bytes,
                                struct kol_error *err)
{
    char *path = file_join(folder, name);
    enum kol_status status = file_replace(path, bytes, err);
    free(path);
    return status;
}

static enum kol_status write_files(const char *temporary, const struct registry_file *files,
                                   size_t count, const char *note, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    if (mkdir(temporary, 0777)) {
        return kol_fail_errno(err, errno, "%s: cannot make the folder", temporary);
    }
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = write_in(temporary, files[i].name, files[i].bytes, err);
        FAILPOINT("registry.file");
    }
    return status == KOL_OK ? write_in(temporary, "version.json", str_of(note), err) : status;
}

/* The next number: above every folder, and above every version that an alias has ever meant, so
 * that a number is not given twice even where a version was removed by hand. */
static enum kol_status next_number(const char *path, char version[REGISTRY_NAME_BYTES],
                                   struct kol_error *err)
{
    int64_t *numbers;
    size_t count;
    int64_t highest = aliases_highest(path);
    enum kol_status status = numbers_in(path, &numbers, &count, err);
    if (status == KOL_OK && count && numbers[0] > highest) {
        highest = numbers[0];
    }
    if (status == KOL_OK && highest >= INT64_MAX - 1) {
        status = kol_fail(err, KOL_UNSUPPORTED, "%s: there is no number above %lld", path,
                          (long long)highest);
    }
    snprintf(version, REGISTRY_NAME_BYTES, "%lld", status == KOL_OK ? (long long)highest + 1 : 0);
    free(numbers);
    return status;
}

/* rename() never replaces a folder that has files in it: the number is ours alone or not at all. */
static enum kol_status publish(const char *temporary, const char *to, struct kol_error *err)
{
    FAILPOINT("registry.written");
    if (rename(temporary, to)) {
        return kol_fail_errno(err, errno, "%s: cannot give the version its number", to);
    }
    FAILPOINT("registry.renamed");
    return file_sync_folder_of(to, err);
}

static enum kol_status folder_add(void *state, const char *model, const char *source,
                                  const struct registry_file *files, size_t count,
                                  char version[REGISTRY_NAME_BYTES], struct kol_error *err)
{
    char *path = model_path(state, model);
    char *temporary = file_join(path, "adding.tmp");
    int lock = -1;
    enum kol_status status = lock_model(state, model, &lock, err);
    if (status == KOL_OK) {
        status = next_number(path, version, err);
    }
    if (status == KOL_OK) {
        char *note = make_note(model, version, source, files, count);
        char *to = version_path(state, model, version, NULL);
        status = write_files(temporary, files, count, note, err);
        if (status == KOL_OK) {
            status = publish(temporary, to, err);
        }
        if (status != KOL_OK) {
            remove_leftover(temporary);
        }
        free(to);
        free(note);
    }
    if (lock >= 0) {
        close(lock);
    }
    free(temporary);
    free(path);
    return status;
}

/* ---- aliases ---- */

static enum kol_status folder_aliases(void *state, const char *model, struct arena *arena,
                                      struct registry_aliases *out, struct kol_error *err)
{
    char *path = model_path(state, model);
    enum kol_status status = aliases_read(path, arena, out, err);
    free(path);
    return status;
}

static enum kol_status folder_move(void *state, const char *model, const char *alias,
                                   const char *version, struct kol_error *err)
{
    int lock = -1;
    char *path = model_path(state, model);
    enum kol_status status = lock_model(state, model, &lock, err);
    if (status == KOL_OK) {
        status = aliases_move(path, alias, version, err);
    }
    if (lock >= 0) {
        close(lock);
    }
    free(path);
    return status;
}

static enum kol_status folder_back(void *state, const char *model, const char *alias,
                                   const struct registry_back *back, char now[REGISTRY_NAME_BYTES],
                                   struct kol_error *err)
{
    int lock = -1;
    char *path = model_path(state, model);
    enum kol_status status = lock_model(state, model, &lock, err);
    if (status == KOL_OK) {
        status = aliases_back(path, alias, back, now, err);
    }
    if (lock >= 0) {
        close(lock);
    }
    free(path);
    return status;
}

/* A replaced file has another inode or time; the change time is set by the system alone. Takes the
 * path. */
static void stamp_file(char *path, int64_t words[5])
{
    struct stat info;
    if (stat(path, &info) == 0) {
        words[0] = (int64_t)info.st_ino;
        words[1] = (int64_t)info.st_size;
        words[2] = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
        words[3] = (int64_t)info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec;
        words[4] = 1;
    }
    free(path);
}

/* A version is as good as its note, which holds the checksums. */
static void folder_stamp(void *state, const char *model, const char *version,
                         struct registry_stamp *out)
{
    memset(out, 0, sizeof *out);
    if (version) {
        stamp_file(version_path(state, model, version, "model.txt"), out->words);
        stamp_file(version_path(state, model, version, "version.json"), out->words + 5);
    } else {
        stamp_file(version_path(state, model, "aliases.json", NULL), out->words);
    }
}

const struct registry_backend registry_folder = {
    .name = "folder",
    .open = folder_open,
    .close = folder_close,
    .list = folder_list,
    .get = folder_get,
    .file = folder_file,
    .add = folder_add,
    .aliases = folder_aliases,
    .move = folder_move,
    .back = folder_back,
    .stamp = folder_stamp,
};
