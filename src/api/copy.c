/*
 * copy.c: the online copy that answers, and older ones that cursors still point into.
 *
 * An answer holds one copy from beginning to end. When another becomes current, the one before is
 * closed as soon as nobody holds it; its folder stays on disk for 15 minutes (ONLINE_KEEP_US), and
 * a cursor opens it again. A few of these are kept open between two pages.
 *
 * Threads: any; refreshes wait for one another, whoever takes a copy waits for none of it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "base/clock.h"

enum { OLD_COPIES = 4 };
#define OLD_IDLE_NS                                                                                \
    INT64_C(60000000000) /* an older copy that nobody asked for so long is closed                  \
                          */

struct old_copy {
    struct api_copy *copy; /* one hold is the table's; NULL: free */
    int64_t used_ns;
};

struct api_copies {
    struct online_options options;
    char *data;
    int sessions;
    pthread_mutex_t refresh; /* one at a time */
    pthread_mutex_t lock;    /* what follows; held for moments */
    struct api_copy *current;
    _Atomic int64_t number; /* of the current one; 0: none */
    struct old_copy old[OLD_COPIES];
};

/* ---- one copy ---- */

struct kept_value {
    const char *key;
    pthread_mutex_t lock; /* held while it is made */
    _Atomic(void *) value;
    void (*free_value)(void *value);
    struct kept_value *next;
};

struct api_kept {
    pthread_mutex_t lock; /* the list */
    struct kept_value *first;
};

static struct kept_value *kept_of(struct api_kept *kept, const char *key)
{
    pthread_mutex_lock(&kept->lock);
    struct kept_value *at = kept->first;
    while (at && strcmp(at->key, key) != 0) {
        at = at->next;
    }
    if (!at) {
        at = mem_zalloc(1, sizeof *at);
        at->key = key;
        pthread_mutex_init(&at->lock, NULL);
        at->next = kept->first;
        kept->first = at;
    }
    pthread_mutex_unlock(&kept->lock);
    return at;
}

enum kol_status api_copy_kept(struct api_copy *copy, const char *key,
                              enum kol_status (*make)(struct api_copy *copy, void *user, void **out,
                                                      struct kol_error *err),
                              void *user, void (*free_value)(void *value), void **out,
                              struct kol_error *err)
{
    struct kept_value *at = kept_of(copy->kept, key);
    enum kol_status status = KOL_OK;
    pthread_mutex_lock(&at->lock);
    *out = atomic_load(&at->value);
    if (!*out) {
        status = make(copy, user, out, err);
        at->free_value = free_value;
        atomic_store(&at->value, *out);
    }
    pthread_mutex_unlock(&at->lock);
    return status;
}

void *api_copy_kept_ready(struct api_copy *copy, const char *key)
{
    return atomic_load(&kept_of(copy->kept, key)->value);
}

static void free_kept(struct api_kept *kept)
{
    while (kept->first) {
        struct kept_value *at = kept->first;
        kept->first = at->next;
        void *value = atomic_load(&at->value);
        if (value && at->free_value) {
            at->free_value(value);
        }
        pthread_mutex_destroy(&at->lock);
        free(at);
    }
    pthread_mutex_destroy(&kept->lock);
    free(kept);
}

/* True if cells of the column are what the member is written as. */
static bool fits(enum online_type type, enum http_kind kind)
{
    switch (kind) {
    case HTTP_BOOL: return type == ONLINE_BOOL;
    case HTTP_INT:
    case HTTP_DATE:
    case HTTP_TIME: return type == ONLINE_INT;
    case HTTP_REAL: return type == ONLINE_REAL;
    case HTTP_WORDS: return type == ONLINE_TEXTS;
    default: return type == ONLINE_TEXT;
    }
}

static struct api_member *find_members(const struct online_copy *online, enum online_kind kind,
                                       const char *schema, size_t *count)
{
    size_t column_count;
    const struct http_field *fields = api_schema_columns(schema, count);
    const struct online_column *columns = online_columns(online, kind, &column_count);
    struct api_member *members = mem_zalloc(*count + 1, sizeof *members);
    for (size_t i = 0; i < *count; i++) {
        int column = online_column(online, kind, fields[i].name);
        bool usable = column >= 0 && fits(columns[column].type, fields[i].kind);
        members[i] = (struct api_member){fields[i].name, usable ? column : -1, fields[i].kind};
    }
    return members;
}

static struct api_copy *copy_new(struct online_copy *online, int sessions)
{
    struct api_copy *copy = mem_zalloc(1, sizeof *copy);
    copy->online = online;
    copy->info = online_info(online);
#define KOL_COLUMN(name) copy->kol.name = online_column(online, ONLINE_KOL, #name);
#include "api/kol_columns.def"
#undef KOL_COLUMN
#define CONTENT_COLUMN(name) copy->content.name = online_column(online, ONLINE_CONTENT, #name);
#include "api/content_columns.def"
#undef CONTENT_COLUMN
    copy->kol_members = find_members(online, ONLINE_KOL, "KOLProfile", &copy->kol_member_count);
    copy->content_members =
        find_members(online, ONLINE_CONTENT, "Content", &copy->content_member_count);
    copy->sessions = api_sessions_new(online, sessions);
    copy->kept = mem_zalloc(1, sizeof *copy->kept);
    pthread_mutex_init(&copy->kept->lock, NULL);
    atomic_init(&copy->holders, 1);
    return copy;
}

static void copy_free(struct api_copy *copy)
{
    free_kept(copy->kept);
    api_sessions_free(&copy->sessions);
    free(copy->kol_members);
    free(copy->content_members);
    online_close(&copy->online);
    free(copy);
}

bool api_copy_has(const struct api_copy *copy, const char *table)
{
    for (size_t i = 0; i < copy->info->snapshot_count; i++) {
        if (strcmp(copy->info->snapshots[i].table, table) == 0) {
            return true;
        }
    }
    return false;
}

void api_copy_hold(struct api_copy *copy)
{
    atomic_fetch_add_explicit(&copy->holders, 1, memory_order_relaxed);
}

void api_copy_drop(struct api_copy *copy)
{
    if (copy && atomic_fetch_sub_explicit(&copy->holders, 1, memory_order_acq_rel) == 1) {
        copy_free(copy);
    }
}

/* ---- those that are open ---- */

enum kol_status api_copies_open(const struct api_options *options, struct api_copies **out,
                                struct kol_error *err)
{
    struct api_copies *copies = mem_zalloc(1, sizeof *copies);
    copies->data = mem_strdup(options->data);
    copies->sessions = options->sessions;
    /* A list ends early: one thread is fastest, and leaves the other CPUs to other calls. */
    copies->options = (struct online_options){
        .data = copies->data, .memory_bytes = options->lists_bytes, .threads = 1};
    pthread_mutex_init(&copies->refresh, NULL);
    pthread_mutex_init(&copies->lock, NULL);
    bool changed;
    enum kol_status status = api_copies_refresh(copies, &changed, err);
    if (status != KOL_OK && status != KOL_NOT_FOUND) {
        api_copies_close(&copies);
        return status;
    }
    *out = copies;
    return KOL_OK;
}

void api_copies_close(struct api_copies **copies_at)
{
    struct api_copies *copies = *copies_at;
    if (!copies) {
        return;
    }
    api_copy_drop(copies->current);
    for (size_t i = 0; i < OLD_COPIES; i++) {
        api_copy_drop(copies->old[i].copy);
    }
    pthread_mutex_destroy(&copies->refresh);
    pthread_mutex_destroy(&copies->lock);
    free(copies->data);
    free(copies);
    *copies_at = NULL;
}

struct api_copy *api_copy_take(struct api_copies *copies)
{
    pthread_mutex_lock(&copies->lock);
    struct api_copy *copy = copies->current;
    if (copy) {
        api_copy_hold(copy);
    }
    pthread_mutex_unlock(&copies->lock);
    return copy;
}

int64_t api_copies_number(const struct api_copies *copies)
{
    return atomic_load_explicit(&copies->number, memory_order_relaxed);
}

/* Takes an older copy out of the table that has been idle; the caller drops it outside of the lock.
 */
static struct api_copy *take_idle(struct api_copies *copies, int64_t now_ns)
{
    struct api_copy *idle = NULL;
    pthread_mutex_lock(&copies->lock);
    for (size_t i = 0; i < OLD_COPIES && !idle; i++) {
        struct old_copy *old = &copies->old[i];
        if (old->copy && now_ns - old->used_ns > OLD_IDLE_NS) {
            idle = old->copy;
            old->copy = NULL;
        }
    }
    pthread_mutex_unlock(&copies->lock);
    return idle;
}

/* The newer copy, opened, or NULL where the one in use is the newest. */
static enum kol_status open_newer(struct api_copies *copies, struct online_copy **out,
                                  struct kol_error *err)
{
    struct api_copy *current = api_copy_take(copies);
    *out = NULL;
    if (!current) {
        return online_open(&copies->options, out, err);
    }
    bool changed = false;
    struct online_copy *online = online_share(current->online);
    enum kol_status status = online_refresh(&online, &changed, err);
    if (status == KOL_OK && changed) {
        *out = online;
    } else {
        online_close(&online);
    }
    api_copy_drop(current);
    return status;
}

enum kol_status api_copies_refresh(struct api_copies *copies, bool *changed, struct kol_error *err)
{
    struct online_copy *online;
    *changed = false;
    pthread_mutex_lock(&copies->refresh);
    enum kol_status status = open_newer(copies, &online, err);
    if (status == KOL_OK && online) {
        struct api_copy *newer = copy_new(online, copies->sessions);
        api_names_prepare(newer); /* before anybody waits for them */
        pthread_mutex_lock(&copies->lock);
        struct api_copy *before = copies->current;
        copies->current = newer;
        atomic_store(&copies->number, newer->info->number);
        pthread_mutex_unlock(&copies->lock);
        api_copy_drop(before);
        *changed = true;
    }
    struct api_copy *idle;
    while ((idle = take_idle(copies, clock_mono_ns()))) {
        api_copy_drop(idle);
    }
    pthread_mutex_unlock(&copies->refresh);
    return status;
}

/* Under the lock: an open copy of this number, held. */
static struct api_copy *find_open(struct api_copies *copies, int64_t number)
{
    struct api_copy *found = NULL;
    if (copies->current && copies->current->info->number == number) {
        found = copies->current;
    }
    for (size_t i = 0; i < OLD_COPIES && !found; i++) {
        struct old_copy *old = &copies->old[i];
        if (old->copy && old->copy->info->number == number) {
            old->used_ns = clock_mono_ns();
            found = old->copy;
        }
    }
    if (found) {
        api_copy_hold(found);
    }
    return found;
}

/* Puts a copy in the place of the one that was used longest ago, which is returned (or NULL). */
static struct api_copy *put_old(struct api_copies *copies, struct api_copy *copy)
{
    size_t place = 0;
    for (size_t i = 1; i < OLD_COPIES; i++) {
        const struct old_copy *best = &copies->old[place], *old = &copies->old[i];
        if (best->copy && (!old->copy || old->used_ns < best->used_ns)) {
            place = i;
        }
    }
    struct api_copy *before = copies->old[place].copy;
    copies->old[place] = (struct old_copy){copy, clock_mono_ns()};
    return before;
}

enum kol_status api_copy_numbered(struct api_copies *copies, int64_t number, struct api_copy **out,
                                  struct kol_error *err)
{
    pthread_mutex_lock(&copies->lock);
    *out = find_open(copies, number);
    pthread_mutex_unlock(&copies->lock);
    if (*out) {
        return KOL_OK;
    }
    if (number <= 0) {
        return kol_fail(err, KOL_NOT_FOUND, "there is no copy %lld", (long long)number);
    }
    struct online_options options = copies->options;
    struct online_copy *online;
    options.number = number;
    enum kol_status status = online_open(&options, &online, err);
    if (status != KOL_OK) {
        return status;
    }
    struct api_copy *copy = copy_new(online, copies->sessions), *before = NULL;
    pthread_mutex_lock(&copies->lock);
    struct api_copy *first = find_open(copies, number); /* another call was faster */
    if (!first) {
        api_copy_hold(copy);
        before = put_old(copies, copy);
    }
    pthread_mutex_unlock(&copies->lock);
    api_copy_drop(before);
    if (first) {
        api_copy_drop(copy);
    }
    *out = first ? first : copy;
    return KOL_OK;
}
