/*
 * build.c: one build of the online copy, from pinned snapshots to the swap.
 *
 * Order, so that a crash anywhere leaves the copy in use as it is: everything under NNNNNN.tmp,
 * each file synced, the folder renamed, CURRENT replaced. What a crashed build left is removed by
 * the next one, which takes another number.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "online/build.h"

const struct online_source *online_source_find(const struct online_input *input,
                                               const char *name_space, const char *name)
{
    for (size_t i = 0; i < input->source_count; i++) {
        if (!strcmp(input->sources[i].name_space, name_space) &&
            !strcmp(input->sources[i].name, name)) {
            return &input->sources[i];
        }
    }
    return NULL;
}

void online_say(const struct online_build_state *state, const char *step, int64_t done,
                int64_t total)
{
    if (state->options->on_progress) {
        state->options->on_progress(step, done, total, state->options->user);
    }
}

/* ---- what it is of ---- */

static void note_sources(struct online_build_state *state, int64_t number)
{
    const struct online_input *input = state->input;
    struct online_info *info = &state->meta.info;
    struct arena *arena = &state->meta.arena;
    info->number = number;
    info->run_id = input->run_id;
    info->snapshots = arena_alloc(arena, input->source_count * sizeof *info->snapshots);
    info->snapshot_count = input->source_count;
    for (size_t i = 0; i < input->source_count; i++) {
        struct buf name = {0};
        buf_printf(&name, "%s.%s", input->sources[i].name_space, input->sources[i].name);
        info->snapshots[i] = (struct online_snapshot){arena_copy(arena, buf_str(&name)).ptr,
                                                      input->sources[i].snapshot_id};
        buf_free(&name);
    }
}

static bool has_snapshot(const struct online_info *info, const struct online_source *source)
{
    for (size_t i = 0; i < info->snapshot_count; i++) {
        struct str table = str_of(info->snapshots[i].table), space = str_cut(&table, '.');
        if (str_is(space, source->name_space) && str_is(table, source->name)) {
            return info->snapshots[i].snapshot_id == source->snapshot_id;
        }
    }
    return false;
}

/* True if the current copy can be opened and is of the very same snapshots. */
static bool is_current(const char *data, const struct online_input *input,
                       struct online_build_report *report)
{
    struct online_copy *copy;
    const struct online_options options = {.data = data};
    if (online_open(&options, &copy, NULL) != KOL_OK) {
        return false;
    }
    const struct online_info *info = online_info(copy);
    bool same = info->snapshot_count == input->source_count;
    for (size_t i = 0; same && i < input->source_count; i++) {
        same = has_snapshot(info, &input->sources[i]);
    }
    if (same) {
        report->skipped = true;
        report->number = info->number;
        report->kols = info->kols;
        report->contents = info->contents;
    }
    online_close(&copy);
    return same;
}

/* ---- the steps ---- */

static enum kol_status make_empty_file(const char *folder, const char *name, struct kol_error *err)
{
    char *path = file_join(folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    enum kol_status status =
        fd < 0 ? kol_fail_errno(err, errno, "%s: cannot create", path) : KOL_OK;
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    return status;
}

static enum kol_status make_halves(struct online_build_state *state,
                                   struct online_build_report *report, struct kol_error *err)
{
    const int64_t start = clock_mono_ns();
    enum kol_status status = online_build_lists(state, err);
    const int64_t middle = clock_mono_ns();
    if (status == KOL_OK) {
        status = online_build_records(state, err);
    }
    const int64_t end = clock_mono_ns();
    if (status == KOL_OK) {
        status = online_build_detach(state, err);
    } else {
        online_build_give_up(state);
    }
    report->lists_seconds = (double)(middle - start + clock_mono_ns() - end) / 1e9;
    report->records_seconds = (double)(end - middle) / 1e9;
    return status;
}

static enum kol_status write_meta(struct online_build_state *state, struct kol_error *err)
{
    state->meta.info.built_us = clock_now_us();
    enum kol_status status = make_empty_file(state->folder, "lease", err);
    if (status == KOL_OK) {
        status = online_meta_write(state->folder, &state->meta, err);
    }
    FAILPOINT("online.meta");
    return status == KOL_OK ? file_sync_dir(state->folder, err) : status;
}

/* Puts the whole copy in its place and takes it into use. */
static enum kol_status swap(struct online_build_state *state, struct kol_error *err)
{
    const char *data = state->options->data;
    const int64_t number = state->meta.info.number;
    char *folder = online_folder(data, number), *root = online_root(data);
    char *current = file_join(root, "CURRENT"), text[32];
    enum kol_status status = KOL_OK;
    FAILPOINT("online.rename");
    if (rename(state->folder, folder) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot rename", state->folder);
    }
    if (status == KOL_OK) {
        status = file_sync_dir(root, err);
        FAILPOINT("online.swap");
    }
    if (status == KOL_OK) {
        snprintf(text, sizeof text, "%06lld\n", (long long)number);
        status = file_replace(current, str_of(text), err);
        FAILPOINT("online.swapped");
        if (status != KOL_OK) {
            online_remove_tree(folder);
        }
    }
    free(folder);
    free(root);
    free(current);
    return status;
}

static int64_t folder_bytes(const char *data, int64_t number)
{
    static const char *const names[] = {"records.mdb", "lists.duckdb", "meta.json"};
    char *folder = online_folder(data, number);
    int64_t bytes = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct stat info;
        char *path = file_join(folder, names[i]);
        bytes += stat(path, &info) == 0 ? info.st_size : 0;
        free(path);
    }
    free(folder);
    return bytes;
}

static enum kol_status build_number(const struct online_build_options *options,
                                    const struct online_input *input, int64_t number,
                                    struct online_build_report *report, struct kol_error *err)
{
    struct online_build_state state = {.options = options, .input = input};
    struct buf folder = {0};
    buf_printf(&folder, "%s/online/%06lld.tmp", options->data, (long long)number);
    state.folder = folder.ptr;
    arena_init(&state.meta.arena, 0);
    note_sources(&state, number);
    enum kol_status status = file_make_dir(state.folder, err);
    status = status == KOL_OK ? make_halves(&state, report, err) : status;
    status = status == KOL_OK ? write_meta(&state, err) : status;
    status = status == KOL_OK ? swap(&state, err) : status;
    if (status == KOL_OK) {
        report->number = number;
        report->kols = state.meta.info.kols;
        report->contents = state.meta.info.contents;
        report->bytes = folder_bytes(options->data, number);
    } else {
        online_remove_tree(state.folder);
    }
    for (int kind = 0; kind < ONLINE_KINDS; kind++) {
        buf_free(&state.rows[kind]);
    }
    buf_free(&folder);
    online_meta_free(&state.meta);
    return status;
}

enum kol_status online_build_from(const struct online_build_options *options,
                                  const struct online_input *input,
                                  struct online_build_report *report, struct kol_error *err)
{
    const int64_t start = clock_mono_ns();
    int64_t number;
    int lock;
    *report = (struct online_build_report){0};
    enum kol_status status = online_build_lock(options->data, &lock, err);
    if (status != KOL_OK) {
        return status;
    }
    status = online_prepare(options->data, &number, err);
    if (status == KOL_OK && (options->force || !is_current(options->data, input, report))) {
        status = build_number(options, input, number, report, err);
    }
    if (status == KOL_OK) {
        status = online_clean_locked(options->data, options->keep_us, &report->removed, err);
    }
    close(lock);
    report->seconds = (double)(clock_mono_ns() - start) / 1e9;
    return status;
}
