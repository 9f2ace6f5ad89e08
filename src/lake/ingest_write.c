/*
 * ingest_write.c: sorted events become data files, by one thread a CPU.
 *
 * The rows are cut into jobs at the borders of partitions; a thread takes the next job and has the
 * engine write it as a file, decoding its events as the engine asks for them. The engine's own
 * threads stay out of it: many small files keep them waiting for each other, here nobody waits. A
 * partition with very many rows is cut too, so that one day alone keeps all threads busy.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "base/signals.h"
#include "lake/ingest_parts.h"
#include "lake/write.h"

enum {
    SPLIT_ROWS = 131072, /* no part of a cut partition is smaller */
};

/* Rows from `first` on, a partition or a part of one: a file. */
struct job {
    size_t first, count;
};

struct writing {
    struct lake *lake;
    struct engine *engine;
    const struct lake_table *table;
    const struct ice_metadata *metadata;
    const struct ingest_rows *rows;
    struct ice_field event_time;
    const struct ice_partition_spec *spec;
    struct job *jobs;
    size_t job_count, job_cap;
    size_t threads;

    pthread_mutex_t lock; /* guards what follows */
    size_t next_job;
    enum kol_status status; /* the first failure */
    struct kol_error err;
};

struct worker {
    struct writing *writing;
    pthread_t thread;
    bool started;
    struct engine_session *session;
    struct engine_source *source; /* the rows from `next` to `end` */
    size_t next, end;
    struct lake_writer writer;
    struct arena event_arena;
    struct arena *arena; /* of the files */
};

/* ---- partitions ---- */

static enum kol_status check_spec(struct writing *writing, struct kol_error *err)
{
    const struct ice_schema *schema = ice_current_schema(writing->metadata);
    const struct ice_field *event_time = ice_field_by_name(schema, "event_time");
    bool known = event_time != NULL;
    for (size_t i = 0; i < writing->spec->count && known; i++) {
        const struct ice_partition_field *field = &writing->spec->fields[i];
        known = field->source_id == event_time->id && field->transform >= ICE_YEAR &&
                field->transform <= ICE_HOUR;
    }
    if (!known) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "bronze.%s is partitioned by something other than a period of event_time, "
                        "which `kol ingest` does not write",
                        writing->table->name);
    }
    writing->event_time = *event_time;
    return KOL_OK;
}

/* One value of the partition of a row; a time is never unknown. */
static int64_t partition_of(const struct writing *writing, size_t row, size_t field)
{
    const struct ice_value time = {.known = true, .integer = writing->rows->rows[row].event_time};
    const struct ice_partition_field *by = &writing->spec->fields[field];
    struct ice_value value;
    struct kol_error err;
    KOL_ASSERT(ice_transform_apply(NULL, &writing->event_time, by->transform, by->param, &time,
                                   &value, &err) == KOL_OK);
    return value.integer;
}

static bool same_partition(const struct writing *writing, size_t a, size_t b)
{
    for (size_t i = 0; i < writing->spec->count; i++) {
        if (partition_of(writing, a, i) != partition_of(writing, b, i)) {
            return false;
        }
    }
    return true;
}

/* The first row behind the partition that `row` is in, at most `end`. Rows are sorted by time, so
 * it is found by halving. */
static size_t partition_end(const struct writing *writing, size_t row, size_t end)
{
    size_t in = row, out = end; /* in is inside; out is behind, or the end */
    while (out - in > 1) {
        const size_t middle = in + (out - in) / 2;
        if (same_partition(writing, row, middle)) {
            in = middle;
        } else {
            out = middle;
        }
    }
    return in + 1;
}

/* ---- jobs ---- */

static void add_job(struct writing *writing, size_t first, size_t count)
{
    if (writing->job_count == writing->job_cap) {
        writing->job_cap = writing->job_cap ? writing->job_cap * 2 : 16;
        writing->jobs = mem_realloc(writing->jobs, writing->job_cap * sizeof *writing->jobs);
    }
    writing->jobs[writing->job_count++] = (struct job){first, count};
}

/* A partition; a large one is cut into as many parts as there are threads, as far as they are
 * large. */
static void add_jobs(struct writing *writing, size_t first, size_t count)
{
    size_t parts = count / SPLIT_ROWS;
    parts = parts > writing->threads ? writing->threads : parts ? parts : 1;
    for (size_t i = 0; i < parts; i++) {
        const size_t from = count * i / parts;
        add_job(writing, first + from, count * (i + 1) / parts - from);
    }
}

static void make_jobs(struct writing *writing)
{
    const size_t count = writing->rows->count;
    for (size_t first = 0; first < count;) {
        const size_t end = partition_end(writing, first, count);
        add_jobs(writing, first, end - first);
        first = end;
    }
}

/* ---- one thread ---- */

/* The order of ingest_rows_sort() as the table would have to declare it. */
static const char row_order[] = "\"event_time\" ASC NULLS LAST, \"log_partition\" ASC NULLS LAST, "
                                "\"log_offset\" ASC NULLS LAST";

/* The next rows of the run, while the engine writes it. Whatever was decoded lives until the next
 * call, as the engine wants it. */
static void fill_rows(struct engine_appender *appender, size_t room, void *user)
{
    struct worker *worker = user;
    const struct ingest_rows *rows = worker->writing->rows;
    const size_t left = worker->end - worker->next;
    const size_t end = worker->next + (left < room ? left : room);
    arena_reset(&worker->event_arena);
    for (; worker->next < end; worker->next++) {
        const struct bus_record *record = rows->rows[worker->next].record;
        struct event event;
        struct kol_error err;
        KOL_ASSERT(
            ingest_decode(record, rows->topic, rows->now_us, &worker->event_arena, &event, &err));
        ingest_append(appender, &event, record, rows->now_us);
        KOL_ASSERT(engine_append_row(appender, &err) == KOL_OK);
    }
    if (left == 0) {
        FAILPOINT("ingest.staged");
    }
}

/* Writes the rows of a job, all of one partition. */
static enum kol_status do_job(struct worker *worker, const struct job *job, struct kol_error *err)
{
    const struct writing *writing = worker->writing;
    struct lake_writer *writer = &worker->writer;
    struct ice_value *values =
        arena_alloc(worker->arena, (writing->spec->count + 1) * sizeof *values);
    struct buf select = {0};
    const size_t before = writer->count;
    int64_t rows = 0;
    if (signals_stop_asked()) {
        return kol_fail(err, KOL_INTERRUPTED, "stopped");
    }
    for (size_t i = 0; i < writing->spec->count; i++) {
        values[i] =
            (struct ice_value){.known = true, .integer = partition_of(writing, job->first, i)};
    }
    worker->next = job->first;
    worker->end = job->first + job->count;
    buf_puts(&select, "SELECT * FROM ");
    engine_source_put(worker->source, &select);
    enum kol_status status = lake_writer_add(writer, select.ptr, values, err);
    for (size_t i = before; i < writer->count; i++) {
        rows += writer->files[i].rows;
    }
    KOL_ASSERT(status != KOL_OK || rows == (int64_t)job->count);
    buf_free(&select);
    return status;
}

static bool take_job(struct writing *writing, struct job *job)
{
    pthread_mutex_lock(&writing->lock);
    const bool any = writing->status == KOL_OK && writing->next_job < writing->job_count;
    if (any) {
        *job = writing->jobs[writing->next_job++];
    }
    pthread_mutex_unlock(&writing->lock);
    return any;
}

static enum kol_status open_worker(struct worker *worker, struct kol_error *err)
{
    const struct writing *writing = worker->writing;
    struct lake_writer *writer = &worker->writer;
    enum kol_status status = engine_session_open(writing->engine, &worker->session, err);
    if (status != KOL_OK) {
        return status;
    }
    lake_writer_begin(writer, writing->lake, worker->session, writing->table, writing->metadata,
                      worker->arena);
    if (!str_is(buf_str(&writer->sort), row_order)) {
        writer->order_id = 0;
    }
    return engine_source_open(worker->session, &writer->schema, fill_rows, worker, &worker->source,
                              err);
}

static void close_worker(struct worker *worker)
{
    engine_source_close(&worker->source);
    if (worker->session) {
        engine_session_close(&worker->session);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct writing *writing = worker->writing;
    struct kol_error why;
    struct job job;
    enum kol_status status = open_worker(worker, &why);
    while (status == KOL_OK && take_job(writing, &job)) {
        status = do_job(worker, &job, &why);
    }
    if (status != KOL_OK) {
        pthread_mutex_lock(&writing->lock);
        if (writing->status == KOL_OK) {
            writing->status = status;
            writing->err = why;
        }
        pthread_mutex_unlock(&writing->lock);
    }
    close_worker(worker);
    return NULL;
}

/* ---- all of them ---- */

static void run_workers(struct writing *writing, struct worker *workers)
{
    workers[0].writing = writing;
    for (size_t i = 1; i < writing->threads; i++) {
        workers[i].writing = writing;
        /* Where there is no further thread, the ones that are there do its work. */
        workers[i].started = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
    }
    work(&workers[0]);
    for (size_t i = 1; i < writing->threads; i++) {
        if (workers[i].started) {
            pthread_join(workers[i].thread, NULL);
        }
    }
}

static void collect_files(struct writing *writing, struct worker *workers, struct ingest_files *out)
{
    for (size_t i = 0; i < writing->threads; i++) {
        struct lake_writer *writer = &workers[i].writer;
        out->files = mem_realloc(out->files, (out->count + writer->count + 1) * sizeof *out->files);
        for (size_t j = 0; j < writer->count; j++) {
            out->bytes += writer->files[j].bytes;
            out->files[out->count++] = writer->files[j];
        }
        lake_writer_end(writer);
    }
}

size_t ingest_threads(const struct lake *lake)
{
    const int threads = lake_threads(lake);
    return threads > INGEST_MAX_THREADS ? INGEST_MAX_THREADS : (size_t)threads;
}

enum kol_status ingest_write(struct lake *lake, struct engine *engine,
                             const struct lake_table *table, const struct ice_metadata *metadata,
                             const struct ingest_rows *rows, struct ingest_files *out,
                             struct kol_error *err)
{
    struct writing writing = {.lake = lake,
                              .engine = engine,
                              .table = table,
                              .metadata = metadata,
                              .rows = rows,
                              .spec = ice_default_spec(metadata)};
    struct worker workers[INGEST_MAX_THREADS] = {0};
    *out = (struct ingest_files){0};
    enum kol_status status = check_spec(&writing, err);
    if (status != KOL_OK || rows->count == 0) {
        return status;
    }
    writing.threads = ingest_threads(lake);
    make_jobs(&writing);
    if (writing.threads > writing.job_count) {
        writing.threads = writing.job_count;
    }
    pthread_mutex_init(&writing.lock, NULL);
    out->threads = writing.threads;
    out->arenas = mem_zalloc(writing.threads, sizeof *out->arenas);
    for (size_t i = 0; i < writing.threads; i++) {
        workers[i].arena = &out->arenas[i];
        arena_init(&out->arenas[i], 0);
        arena_init(&workers[i].event_arena, 0);
    }
    run_workers(&writing, workers);
    collect_files(&writing, workers, out);
    for (size_t i = 0; i < writing.threads; i++) {
        arena_free(&workers[i].event_arena);
    }
    pthread_mutex_destroy(&writing.lock);
    free(writing.jobs);
    if (writing.status != KOL_OK) {
        lake_remove_files(lake, out->files, out->count);
        ingest_files_free(out);
        return kol_fail(err, writing.status, "bronze.%s: %s", table->name, writing.err.message);
    }
    return KOL_OK;
}

void ingest_files_free(struct ingest_files *files)
{
    for (size_t i = 0; i < files->threads; i++) {
        arena_free(&files->arenas[i]);
    }
    free(files->arenas);
    free(files->files);
    *files = (struct ingest_files){0};
}
