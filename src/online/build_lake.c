/* build_lake.c: the tables of one complete run, pinned and shown to a session, for build.c. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "online/build.h"

struct pinned {
    struct lake_pin *pins;
    struct online_source *sources;
    size_t count;
};

static enum kol_status pin_tables(struct lake *lake, const struct etl_run_tables *run,
                                  struct engine_session *session, struct pinned *out,
                                  struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < run->count && status == KOL_OK; i++) {
        const struct etl_run_table *table = &run->tables[i];
        struct lake_pin *pin = &out->pins[out->count];
        if (strcmp(table->name_space, "silver") != 0 && strcmp(table->name_space, "gold") != 0) {
            continue;
        }
        status = lake_pin(lake, table->name_space, table->name, table->snapshot_id, pin, err);
        if (status == KOL_OK) {
            out->sources[out->count++] = (struct online_source){
                pin->name_space, pin->name, lake_pin_schema(pin), pin->snapshot_id};
            status = lake_view(session, pin, err);
        }
    }
    return status;
}

static enum kol_status build_from_run(const struct online_build_options *options,
                                      const struct etl_run_tables *run, struct engine *engine,
                                      struct engine_session *session,
                                      struct online_build_report *report, struct kol_error *err)
{
    struct pinned pinned = {.pins = mem_zalloc(run->count + 1, sizeof *pinned.pins),
                            .sources = mem_zalloc(run->count + 1, sizeof *pinned.sources)};
    enum kol_status status = pin_tables(options->lake, run, session, &pinned, err);
    if (status == KOL_OK) {
        const struct online_input input = {engine, session, pinned.sources, pinned.count,
                                           run->run_id};
        status = online_build_from(options, &input, report, err);
    }
    for (size_t i = 0; i < pinned.count; i++) {
        lake_unpin(&pinned.pins[i]);
    }
    free(pinned.pins);
    free(pinned.sources);
    return status;
}

enum kol_status online_build(const struct online_build_options *options,
                             struct online_build_report *report, struct kol_error *err)
{
    struct etl_run_tables last = {.count = 0};
    struct engine *engine = NULL;
    struct engine_session *session = NULL;
    const struct etl_run_tables *run = options->run ? options->run : &last;
    enum kol_status status = KOL_OK;
    if (!options->run) {
        status = etl_last_run(options->lake, &last, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    status = lake_engine(options->lake, &engine, err);
    status = status == KOL_OK ? engine_session_open(engine, &session, err) : status;
    if (status == KOL_OK) {
        status = build_from_run(options, run, engine, session, report, err);
        engine_session_close(&session);
    }
    engine_close(&engine);
    if (!options->run) {
        etl_run_tables_free(&last);
    }
    return status;
}
