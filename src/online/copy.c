/* copy.c: an opened copy: taking the newest, its two halves, giving it back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "online/parts.h"

/* What online_find() puts first. */
static const char *const order_names[ONLINE_KINDS] = {"followers_count", "views"};

static enum kol_status open_tables(struct online_copy *copy, struct kol_error *err)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(copy->records.mdb, NULL, MDB_RDONLY, &txn);
    for (int kind = 0; rc == 0 && kind < ONLINE_KINDS; kind++) {
        rc = mdb_dbi_open(txn, online_kind_names[kind], 0, &copy->tables[kind]);
    }
    if (rc == 0) {
        rc = mdb_txn_commit(txn); /* keeps the handles */
    } else if (txn) {
        mdb_txn_abort(txn);
    }
    return rc ? online_env_fail(&copy->records, rc, "open", err) : KOL_OK;
}

/* The file never changes: no lock file, no slots of readers. */
static enum kol_status open_records(struct online_copy *copy, struct kol_error *err)
{
    const struct online_env_options options = {
        .what = "online copy", .flags = MDB_RDONLY | MDB_NOLOCK, .tables = ONLINE_KINDS};
    char *path = file_join(copy->folder, "records.mdb");
    enum kol_status status = online_env_open(&copy->records, path, &options, err);
    free(path);
    return status == KOL_OK ? open_tables(copy, err) : status;
}

static void free_copy(struct online_copy *copy)
{
    if (copy->lists) {
        engine_close(&copy->lists);
    }
    online_env_free(&copy->records);
    online_meta_free(&copy->meta);
    if (copy->lease >= 0) {
        close(copy->lease); /* last: what was mapped is not in use any more */
    }
    pthread_mutex_destroy(&copy->lists_lock);
    free(copy->folder);
    free(copy->data);
    free(copy);
}

static enum kol_status open_number(const struct online_options *options, int64_t number,
                                   struct online_copy **out, struct kol_error *err)
{
    struct online_copy *copy = mem_zalloc(1, sizeof *copy);
    copy->users = 1;
    copy->data = mem_strdup(options->data);
    copy->options = *options;
    copy->options.data = copy->data;
    copy->folder = online_folder(options->data, number);
    pthread_mutex_init(&copy->lists_lock, NULL);
    enum kol_status status = online_lease(copy->folder, &copy->lease, err);
    status = status == KOL_OK ? online_meta_read(copy->folder, &copy->meta, err) : status;
    status = status == KOL_OK ? open_records(copy, err) : status;
    if (status != KOL_OK) {
        free_copy(copy);
        return status;
    }
    for (int kind = 0; kind < ONLINE_KINDS; kind++) {
        int column = online_column(copy, (enum online_kind)kind, order_names[kind]);
        copy->order_columns[kind] =
            column >= 0 && copy->meta.layouts[kind].columns[column].type == ONLINE_INT ? column
                                                                                       : -1;
    }
    *out = copy;
    return KOL_OK;
}

static enum kol_status open_pinned(const struct online_options *options, struct online_copy **out,
                                   struct kol_error *err)
{
    enum kol_status status = open_number(options, options->number, out, err);
    if (status == KOL_NOT_FOUND) {
        status = kol_fail(err, KOL_NOT_FOUND, "the online copy %lld is not there any more",
                          (long long)options->number);
    }
    return status;
}

enum kol_status online_open(const struct online_options *options, struct online_copy **out,
                            struct kol_error *err)
{
    int64_t number, before = 0;
    if (options->number) {
        return open_pinned(options, out, err);
    }
    for (;;) {
        enum kol_status status = online_current(options->data, &number, err);
        if (status != KOL_OK) {
            return status;
        }
        if (number == before) {
            return kol_fail(err, KOL_NOT_FOUND,
                            "the current online copy %lld is not in %s: `kol online build` makes "
                            "a new one",
                            (long long)number, options->data);
        }
        before = number;
        status = open_number(options, number, out, err);
        if (status != KOL_NOT_FOUND) {
            return status; /* else it was replaced and removed meanwhile: once more */
        }
    }
}

struct online_copy *online_share(struct online_copy *copy)
{
    atomic_fetch_add(&copy->users, 1);
    return copy;
}

void online_close(struct online_copy **copy)
{
    if (*copy && atomic_fetch_sub(&(*copy)->users, 1) == 1) {
        free_copy(*copy);
    }
    *copy = NULL;
}

enum kol_status online_refresh(struct online_copy **copy, bool *changed, struct kol_error *err)
{
    struct online_copy *newer;
    int64_t number;
    *changed = false;
    enum kol_status status = online_current((*copy)->data, &number, err);
    if (status != KOL_OK || number == (*copy)->meta.info.number) {
        return status;
    }
    struct online_options options = (*copy)->options;
    options.number = 0;
    status = online_open(&options, &newer, err);
    if (status == KOL_OK) {
        *changed = newer->meta.info.number != (*copy)->meta.info.number;
        online_close(copy);
        *copy = newer;
    }
    return status;
}

const struct online_info *online_info(const struct online_copy *copy)
{
    return &copy->meta.info;
}

const struct online_column *online_columns(const struct online_copy *copy, enum online_kind kind,
                                           size_t *count)
{
    *count = copy->meta.layouts[kind].count;
    return copy->meta.layouts[kind].columns;
}

int online_column(const struct online_copy *copy, enum online_kind kind, const char *name)
{
    const struct online_layout *layout = &copy->meta.layouts[kind];
    for (size_t i = 0; i < layout->count; i++) {
        if (!strcmp(layout->columns[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

enum kol_status online_lists(struct online_copy *copy, struct engine_session **out,
                             struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    pthread_mutex_lock(&copy->lists_lock);
    if (!copy->lists) {
        char *path = file_join(copy->folder, "lists.duckdb");
        const struct engine_options options = {.path = path,
                                               .memory_bytes = copy->options.memory_bytes,
                                               .threads = copy->options.threads,
                                               .read_only = true};
        status = engine_open(&options, &copy->lists, err);
        free(path);
    }
    pthread_mutex_unlock(&copy->lists_lock);
    return status == KOL_OK ? engine_session_open(copy->lists, out, err) : status;
}
