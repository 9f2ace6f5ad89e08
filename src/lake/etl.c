/*
 * etl.c: one run: pins its inputs at one moment, has its tables made (etl_work.c), and says
 * that it is whole.
 */
#include "lake/etl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "lake/etl_run.h"
#include "lake/score_functions.h"

/* ---- pinned versions ---- */

static void split_name(struct etl_state *state, const char *name, const char **space,
                       const char **table)
{
    struct str rest = str_of(name);
    *space = arena_copy(&state->graph.arena, str_cut(&rest, '.')).ptr;
    *table = rest.ptr ? rest.ptr : "";
}

static struct lake_pin **find_pin(struct etl_state *state, const char *space, const char *table)
{
    for (size_t i = 0; i < state->pin_count; i++) {
        struct lake_pin *pin = state->pins[i];
        if (!strcmp(pin->name_space, space) && !strcmp(pin->name, table)) {
            return &state->pins[i];
        }
    }
    return NULL;
}

static struct lake_pin **new_pin(struct etl_state *state)
{
    if (state->pin_count == state->pin_cap) {
        state->pin_cap = state->pin_cap ? 2 * state->pin_cap : 32;
        state->pins = mem_realloc(state->pins, state->pin_cap * sizeof *state->pins);
    }
    struct lake_pin **slot = &state->pins[state->pin_count++];
    *slot = mem_zalloc(1, sizeof **slot);
    return slot;
}

static enum kol_status load_pin(struct etl_state *state, const char *space, const char *table,
                                struct lake_pin *pin, struct kol_error *err)
{
    enum kol_status status = lake_pin(state->lake, space, table, 0, pin, err);
    return status == KOL_OK ? lake_view(state->session, pin, err) : status;
}

static enum kol_status pin(struct etl_state *state, const char *name, struct lake_pin **out,
                           struct kol_error *err)
{
    const char *space, *table;
    enum kol_status status = KOL_OK;
    split_name(state, name, &space, &table);
    struct lake_pin **there = find_pin(state, space, table);
    if (!there) {
        struct ice_metadata *metadata = NULL;
        const struct lake_table *declared = lake_table_find(space, table);
        if (declared) {
            status = lake_ensure(state->lake, declared, &metadata, err);
            ice_metadata_free(&metadata);
        }
        if (status != KOL_OK) {
            return status;
        }
        there = new_pin(state);
        status = load_pin(state, space, table, *there, err);
    }
    *out = *there;
    return status;
}

enum kol_status etl_pin(struct etl_state *state, const char *name, struct lake_pin **out,
                        struct kol_error *err)
{
    pthread_mutex_lock(&state->lock);
    enum kol_status status = pin(state, name, out, err);
    pthread_mutex_unlock(&state->lock);
    return status;
}

enum kol_status etl_repin(struct etl_state *state, const struct lake_table *table,
                          struct lake_pin **out, struct kol_error *err)
{
    pthread_mutex_lock(&state->lock);
    struct lake_pin **there = find_pin(state, table->name_space, table->name);
    if (there) {
        lake_unpin(*there);
    } else {
        there = new_pin(state);
    }
    *out = *there;
    enum kol_status status = load_pin(state, table->name_space, table->name, *there, err);
    pthread_mutex_unlock(&state->lock);
    return status;
}

enum kol_status etl_view(struct etl_state *state, const struct lake_pin *pin, struct kol_error *err)
{
    pthread_mutex_lock(&state->lock);
    enum kol_status status = lake_view(state->session, pin, err);
    pthread_mutex_unlock(&state->lock);
    return status;
}

int64_t etl_rows_of(const struct lake_pin *pin)
{
    int64_t id = pin->snapshot_id;
    const struct ice_snapshot *snapshot = ice_snapshot_by_id(pin->metadata, id);
    const char *rows_of = snapshot ? ice_summary(snapshot, ETL_ROWS_OF) : NULL;
    return rows_of && str_to_int64(str_of(rows_of), &id) ? id : pin->snapshot_id;
}

/* Declared tables that no SELECT makes belong to a whole run even where no SELECT reads them: they
 * exist from the first run on, empty as they may be. */
static enum kol_status pin_unread(struct etl_state *state, struct kol_error *err)
{
    size_t count;
    struct buf name = {0};
    enum kol_status status = KOL_OK;
    const struct lake_table *tables = lake_tables(&count);
    for (size_t i = 0; i < count && status == KOL_OK && !state->options->table_count; i++) {
        struct lake_pin *pin;
        buf_clear(&name);
        buf_printf(&name, "%s.%s", tables[i].name_space, tables[i].name);
        if (tables[i].kind == LAKE_BRONZE || tables[i].kind == LAKE_SYSTEM) {
            status = etl_pin(state, name.ptr, &pin, err);
        }
    }
    buf_free(&name);
    return status;
}

/* Everything that no SELECT of this run makes is taken at one moment, before the first table: rows
 * that come in meanwhile are the next run's. */
static enum kol_status pin_leaves(struct etl_state *state, struct kol_error *err)
{
    enum kol_status status = pin_unread(state, err);
    for (size_t i = 0; i < state->graph.count && status == KOL_OK; i++) {
        const struct graph_node *node = &state->graph.nodes[i];
        for (size_t input = 0; input < node->input_count && status == KOL_OK; input++) {
            struct lake_pin *pin;
            if (!graph_find(&state->graph, node->inputs[input])) {
                status = etl_pin(state, node->inputs[input], &pin, err);
            }
        }
    }
    return status;
}

/* ---- one run at a time ---- */

static enum kol_status take_lock(const struct lake *lake, int *out, struct kol_error *err)
{
    char *path = file_join(lake->folder, "etl.lock");
    enum kol_status status = KOL_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = kol_fail_errno(err, errno, "%s: cannot be opened", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK
                     ? kol_fail(err, KOL_CONFLICT, "another `kol etl` runs on this lake")
                     : kol_fail_errno(err, errno, "%s: cannot be locked", path);
        close(fd);
        fd = -1;
    }
    *out = fd;
    free(path);
    return status;
}

/* ---- the run ---- */

static void name_run(struct etl_state *state)
{
    struct buf seed = {0}, name = {0};
    buf_printf(&seed, "%lld %lld %d", (long long)clock_now_us(), (long long)clock_mono_ns(),
               (int)getpid());
    hash_put_hex128(&name, buf_str(&seed));
    snprintf(state->run_id, sizeof state->run_id, "%s", name.ptr);
    buf_free(&seed);
    buf_free(&name);
}

static enum kol_status open_state(struct etl_state *state, struct kol_error *err)
{
    enum kol_status status = lake_engine(state->lake, &state->engine, err);
    if (status == KOL_OK) {
        status = engine_session_open(state->engine, &state->session, err);
    }
    if (status == KOL_OK) {
        status = score_functions_add(state->engine, state->options->models, err);
    }
    if (status == KOL_OK) {
        status = since_add(state->engine, &state->since, err);
    }
    if (status == KOL_OK) {
        status = graph_load(state->lake, state->session, state->options->tables,
                            state->options->table_count, &state->graph, err);
    }
    return status == KOL_OK ? pin_leaves(state, err) : status;
}

static void close_state(struct etl_state *state)
{
    for (size_t i = 0; i < state->pin_count; i++) {
        lake_unpin(state->pins[i]);
        free(state->pins[i]);
    }
    free(state->pins);
    graph_free(&state->graph);
    since_free(&state->since);
    engine_session_close(&state->session);
    engine_close(&state->engine);
    pthread_mutex_destroy(&state->lock);
    pthread_mutex_destroy(&state->quarantine);
    pthread_rwlock_destroy(&state->views);
}

static int64_t snapshot_in(const struct etl_run_tables *run, const struct lake_pin *pin)
{
    for (size_t i = 0; i < run->count; i++) {
        if (!strcmp(run->tables[i].name_space, pin->name_space) &&
            !strcmp(run->tables[i].name, pin->name)) {
            return run->tables[i].snapshot_id;
        }
    }
    return -1;
}

/* True where the last complete run stands for the very versions that this one arrived at. A run
 * that was killed before its row is told by this: its tables are newer. */
static bool is_last_run(const struct etl_state *state, const struct etl_run_tables *last)
{
    for (size_t i = 0; i < state->graph.count; i++) {
        const struct lake_table *table = state->graph.nodes[i].table;
        for (size_t pin = 0; pin < state->pin_count; pin++) {
            if (!strcmp(state->pins[pin]->name, table->name) &&
                !strcmp(state->pins[pin]->name_space, table->name_space) &&
                snapshot_in(last, state->pins[pin]) != state->pins[pin]->snapshot_id) {
                return false;
            }
        }
    }
    return true;
}

/* What the scores are now goes into the ledger, also where only some tables were made. Asked before
 * the tables, too: a run that ended between its scores and its ledger left a version that no later
 * one would see, once it is replaced. */
static enum kol_status keep_ledger(struct etl_state *state, struct kol_error *err)
{
    struct lake_pin *pin;
    const struct graph_node *scores = graph_find(&state->graph, "gold.kol_scores");
    if (!scores) {
        return KOL_OK;
    }
    enum kol_status status = etl_pin(state, "gold.kol_scores", &pin, err);
    if (status == KOL_OK) {
        status = etl_write_ledger(state, pin, err);
    }
    if (status == KOL_OK) {
        status = etl_repin(state, lake_table_find("lake", "score_ledger"), &pin, err);
    }
    return status;
}

/* A run of some tables only is no run, and one in which nothing changed no new one. */
static enum kol_status finish_run(struct etl_state *state, char run_id[40], struct kol_error *err)
{
    struct etl_run_tables last = {0};
    if (state->options->table_count) {
        return KOL_OK;
    }
    enum kol_status status = etl_run_before(state, &last, err);
    bool same = status == KOL_OK && is_last_run(state, &last);
    if (status == KOL_OK || status == KOL_NOT_FOUND) {
        snprintf(run_id, 40, "%s", same ? last.run_id : state->run_id);
        status = same ? KOL_OK : etl_write_run(state, err);
        etl_tag_inputs(state);
    }
    etl_run_tables_free(&last);
    return status;
}

enum kol_status etl_run(const struct etl_options *options, char run_id[40], struct kol_error *err)
{
    struct etl_state state = {
        .lake = options->lake, .options = options, .started_us = clock_now_us()};
    int lock = -1;
    run_id[0] = '\0';
    name_run(&state);
    pthread_mutex_init(&state.lock, NULL);
    pthread_mutex_init(&state.quarantine, NULL);
    pthread_rwlock_init(&state.views, NULL);
    enum kol_status status = take_lock(options->lake, &lock, err);
    if (status == KOL_OK) {
        status = open_state(&state, err);
    }
    if (status == KOL_OK) {
        status = keep_ledger(&state, err);
    }
    if (status == KOL_OK) {
        status = etl_make_tables(&state, err);
    }
    if (status == KOL_OK) {
        status = keep_ledger(&state, err);
    }
    if (status == KOL_OK) {
        status = finish_run(&state, run_id, err);
    }
    if (lock >= 0) {
        close(lock);
    }
    if (status == KOL_OK && options->on_end) {
        status = options->on_end(state.session, options->user, err);
    }
    close_state(&state);
    return status;
}
