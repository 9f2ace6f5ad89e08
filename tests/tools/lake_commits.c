/*
 * lake_commits.c: commits to a table one after another, for readers to look at meanwhile.
 *
 *   lake_commits DATA COMMITS append|replace
 *
 * Makes test.commits (number long, part long) if it is not there. Commit n adds two files: (n, 1)
 * and (n, 2). append keeps what was there, replace drops it. Prints the number of each commit once
 * it is done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lake/lake.h"

static struct ice_field fields[] = {{.id = 1, .name = "number", .type = ICE_LONG, .required = true},
                                    {.id = 2, .name = "part", .type = ICE_LONG, .required = true}};
static const struct ice_schema schema = {.fields = fields, .count = ARRAY_LEN(fields)};
static const struct ice_ident ident = {"test", "commits"};

static void must(enum kol_status status, const struct kol_error *err)
{
    if (status != KOL_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit(1);
    }
}

static void make_table(struct lake *lake)
{
    struct kol_error err;
    const struct ice_table_options options = {.schema = &schema};
    must(lake->catalog->ops->make_namespace(lake->catalog, ident.name_space, &err), &err);
    enum kol_status status = ice_table_create(lake->catalog, ident, &options, &err);
    must(status == KOL_EXISTS ? KOL_OK : status, &err);
}

/* One file with one row, in its place. */
static struct ice_data_file add_file(struct lake *lake, struct engine_session *session,
                                     const struct ice_metadata *metadata, int number, int part,
                                     struct arena *arena)
{
    struct kol_error err;
    char select[64];
    struct ice_data_file *files;
    size_t count;
    struct buf location = {0};
    snprintf(select, sizeof select, "SELECT %d, %d", number, part);
    must(engine_write_parquet(session, select, &schema, lake->staging, 0, arena, &files, &count,
                              &err),
         &err);
    KOL_ASSERT(count == 1);
    ice_new_data_location(metadata, &location);
    must(lake->storage->ops->put_file(lake->storage, location.ptr, files->path, &err), &err);
    files->path = arena_copy(arena, buf_str(&location)).ptr;
    buf_free(&location);
    return *files;
}

static void commit(struct lake *lake, struct engine_session *session, int number,
                   enum ice_operation operation)
{
    struct kol_error err;
    struct arena arena;
    struct ice_metadata *metadata = NULL;
    arena_init(&arena, 0);
    must(ice_table_load(lake->catalog, ident, &metadata, &err), &err);
    const struct ice_data_file files[] = {add_file(lake, session, metadata, number, 1, &arena),
                                          add_file(lake, session, metadata, number, 2, &arena)};
    struct ice_change change = {
        .operation = operation, .files = files, .file_count = ARRAY_LEN(files)};
    must(ice_commit(lake->catalog, ident, &change, NULL, &err), &err);
    printf("%d\n", number);
    fflush(stdout);
    ice_metadata_free(&metadata);
    arena_free(&arena);
}

int main(int argc, char **argv)
{
    struct kol_error err;
    struct lake *lake = NULL;
    struct engine *engine = NULL;
    struct engine_session *session = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: lake_commits DATA COMMITS append|replace\n");
        return 2;
    }
    const struct lake_options options = {.data = argv[1], .threads = 1};
    must(lake_open(&options, &lake, &err), &err);
    must(lake_engine(lake, &engine, &err), &err);
    must(engine_session_open(engine, &session, &err), &err);
    make_table(lake);
    for (int number = 1; number <= atoi(argv[2]); number++) {
        commit(lake, session, number, strcmp(argv[3], "append") ? ICE_OVERWRITE : ICE_APPEND);
    }
    engine_session_close(&session);
    engine_close(&engine);
    lake_close(&lake);
    return 0;
}
