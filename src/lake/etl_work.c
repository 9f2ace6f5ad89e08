/*
 * etl_work.c: the tables of a run, two at a time.
 *
 * The engine works on one SELECT with all processors, but planning, the checks of small files,
 * waiting for the disk and the commit are done by one: while one thread is at these, the other is
 * in the midst of its SELECT. More than two would gain little and share the engine's memory among
 * more.
 */
#include <stdlib.h>
#include <string.h>

#include "base/logger.h"
#include "base/mem.h"
#include "base/signals.h"
#include "lake/etl_run.h"

enum { MAX_WORKERS = 2 };

enum progress { WAITING, UNDER_WAY, MADE };

/* What the workers share; `lock` guards all but `state`. */
struct work {
    struct etl_state *state;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum progress *progress; /* of each node of the graph, like the next */
    struct etl_table_report *reports;
    size_t shown;  /* nodes that are reported, or at the end were not made */
    size_t number; /* reports so far */
    size_t under_way;
    bool alone;             /* one at a time from now on */
    enum kol_status status; /* KOL_OK, or why no further table is begun */
    struct kol_error error;
    size_t failed; /* the node of that failure */
};

/* Of two failures that of the table that comes first is told. */
static void fail(struct work *work, size_t node, enum kol_status status,
                 const struct kol_error *error)
{
    if (work->status == KOL_OK || node < work->failed) {
        work->status = status;
        work->error = *error;
        work->failed = node;
    }
}

/* Inputs that are no nodes are there from the start. */
static bool is_ready(const struct work *work, const struct graph_node *node)
{
    const struct graph *graph = &work->state->graph;
    for (size_t i = 0; i < node->input_count; i++) {
        const struct graph_node *input = graph_find(graph, node->inputs[i]);
        if (input && work->progress[input - graph->nodes] != MADE) {
            return false;
        }
    }
    return true;
}

/* A node to make now; `*open` tells whether there will be more to make later. */
static struct graph_node *find_ready(const struct work *work, bool *open)
{
    struct graph *graph = &work->state->graph;
    *open = false;
    for (size_t i = work->shown; i < graph->count; i++) {
        if (work->progress[i] == WAITING) {
            *open = true;
            if (is_ready(work, &graph->nodes[i])) {
                return &graph->nodes[i];
            }
        }
    }
    return NULL;
}

/* The next node, marked as under way; NULL where nothing is left or the run is to end. `*alone`
 * tells whether no other is made beside it. */
static struct graph_node *take(struct work *work, bool *alone)
{
    struct graph_node *node = NULL;
    bool open = true;
    while (open && !node && work->status == KOL_OK) {
        if (signals_stop_asked()) {
            struct kol_error error;
            fail(work, work->state->graph.count,
                 kol_fail(&error, KOL_INTERRUPTED,
                          "stopped; the tables made so far stand, the next run goes on"),
                 &error);
            break;
        }
        node = find_ready(work, &open);
        if (work->alone && work->under_way) {
            node = NULL;
        }
        if (!node && open) {
            pthread_cond_wait(&work->changed, &work->lock);
        }
    }
    if (node) {
        work->progress[node - work->state->graph.nodes] = UNDER_WAY;
        work->under_way++;
    }
    *alone = work->alone;
    return node;
}

/* Reports what is made, in running order: up to the first that is not, or at the end all. */
static void show(struct work *work, bool all)
{
    const struct etl_options *options = work->state->options;
    const size_t count = work->state->graph.count;
    for (; work->shown < count; work->shown++) {
        struct etl_table_report *report = &work->reports[work->shown];
        bool made = work->progress[work->shown] == MADE;
        if (!made && !all) {
            return;
        }
        if (made && options->on_table) {
            report->number = ++work->number;
            report->count = count;
            options->on_table(report, options->user);
        }
    }
}

static void finish(struct work *work, const struct graph_node *node, bool alone,
                   const struct etl_table_report *report, enum kol_status status,
                   const struct kol_error *error)
{
    size_t at = (size_t)(node - work->state->graph.nodes);
    work->under_way--;
    if (status == KOL_NO_MEMORY && !alone && work->status == KOL_OK) {
        log_info("made again, one table at a time: %s", error->message);
        work->progress[at] = WAITING;
        work->alone = true;
    } else if (status == KOL_OK) {
        work->reports[at] = *report;
        work->progress[at] = MADE;
        show(work, false);
    } else {
        fail(work, at, status, error);
    }
    pthread_cond_broadcast(&work->changed);
}

static enum kol_status open_session(struct engine *engine, struct engine_session **out,
                                    struct kol_error *err)
{
    enum kol_status status = engine_session_open(engine, out, err);
    return status == KOL_OK ? engine_exec(*out, graph_prelude().ptr, err) : status;
}

static void *work_off(void *arg)
{
    struct work *work = arg;
    struct engine_session *session = NULL;
    struct graph_node *node;
    struct kol_error error;
    bool alone;
    enum kol_status status = open_session(work->state->engine, &session, &error);
    pthread_mutex_lock(&work->lock);
    if (status != KOL_OK) {
        fail(work, work->state->graph.count, status, &error);
    }
    while ((node = take(work, &alone))) {
        struct etl_table_report report;
        pthread_mutex_unlock(&work->lock);
        status = etl_table(work->state, session, node, &report, &error);
        pthread_mutex_lock(&work->lock);
        finish(work, node, alone, &report, status, &error);
    }
    pthread_mutex_unlock(&work->lock);
    engine_session_close(&session);
    return NULL;
}

/* The caller's thread is one of the workers, so that a second one that cannot be started is no
 * harm. */
static void run_workers(struct work *work)
{
    pthread_t threads[MAX_WORKERS];
    size_t started = 0;
    const size_t tables = work->state->graph.count;
    size_t workers = work->state->lake->threads == 1 ? 1 : MAX_WORKERS;
    workers = workers < tables ? workers : tables;
    work->alone = workers < 2;
    while (started + 1 < workers && pthread_create(&threads[started], NULL, work_off, work) == 0) {
        started++;
    }
    work_off(work);
    while (started) {
        pthread_join(threads[--started], NULL);
    }
}

enum kol_status etl_make_tables(struct etl_state *state, struct kol_error *err)
{
    size_t count = state->graph.count;
    struct work work = {.state = state, .status = KOL_OK};
    work.progress = mem_zalloc(count + 1, sizeof *work.progress);
    work.reports = mem_zalloc(count + 1, sizeof *work.reports);
    pthread_mutex_init(&work.lock, NULL);
    pthread_cond_init(&work.changed, NULL);
    run_workers(&work);
    show(&work, true);
    pthread_mutex_destroy(&work.lock);
    pthread_cond_destroy(&work.changed);
    free(work.progress);
    free(work.reports);
    if (work.status != KOL_OK) {
        *err = work.error;
    }
    return work.status;
}
