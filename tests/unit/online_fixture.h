/*
 * online_fixture.h: what the tests of the online copy share: tables in an engine in memory, built
 * into a copy in a folder of its own.
 */
#ifndef TESTS_UNIT_ONLINE_FIXTURE_H
#define TESTS_UNIT_ONLINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "online/build.h"

#define UNUSED __attribute__((unused))

static struct kol_error err;

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != KOL_OK) {                                                                    \
            fail_msg("%s: %s", #call, err.message);                                                \
        }                                                                                          \
    } while (0)

#define assert_fails(call, expected)                                                               \
    do {                                                                                           \
        enum kol_status status_ = (call);                                                          \
        if (status_ != (expected)) {                                                               \
            fail_msg("%s: %s, not %s: %s", #call, kol_status_text(status_),                        \
                     kol_status_text(expected), status_ == KOL_OK ? "" : err.message);             \
        }                                                                                          \
    } while (0)

/* A lake in memory: tables that SQL made, and their columns as the lake would declare them. */
struct world {
    char data[64];
    struct arena arena;
    struct engine *engine;
    struct engine_session *session;
    struct online_source sources[16];
    struct ice_schema schemas[16];
    size_t count;
};

static struct world world;

UNUSED static int world_open(void **state)
{
    (void)state;
    const struct engine_options options = {.threads = 2};
    world = (struct world){.count = 0};
    arena_init(&world.arena, 0);
    snprintf(world.data, sizeof world.data, "/tmp/test_online.XXXXXX");
    if (!mkdtemp(world.data) || engine_open(&options, &world.engine, &err) != KOL_OK ||
        engine_session_open(world.engine, &world.session, &err) != KOL_OK) {
        return -1;
    }
    return engine_exec(world.session, "CREATE SCHEMA silver; CREATE SCHEMA gold", &err) == KOL_OK
               ? 0
               : -1;
}

UNUSED static int world_close(void **state)
{
    (void)state;
    char command[96];
    engine_session_close(&world.session);
    engine_close(&world.engine);
    arena_free(&world.arena);
    clock_fix(0);
    snprintf(command, sizeof command, "rm -rf %s", world.data);
    return system(command);
}

/* "name type, name type" as a schema. */
UNUSED static void read_schema(const char *text, struct ice_schema *schema)
{
    struct str rest = str_of(text);
    schema->fields = arena_alloc(&world.arena, 64 * sizeof *schema->fields);
    for (schema->count = 0; rest.len; schema->count++) {
        struct str type = str_trim(str_cut(&rest, ',')), name = str_cut(&type, ' ');
        struct ice_field *field = &schema->fields[schema->count];
        *field = (struct ice_field){.id = (int32_t)schema->count + 1};
        if (str_is(type, "list<string>")) {
            field->type = ICE_LIST;
            field->children = arena_alloc(&world.arena, sizeof *field->children);
            field->children[0] = (struct ice_field){.type = ICE_STRING, .name = "element"};
            field->child_count = 1;
        } else {
            type = str_is(type, "decimal") ? STR("decimal(9,2)") : type;
            assert_ok(ice_type_read(type, field, &err));
        }
        field->name = arena_copy(&world.arena, name).ptr;
    }
}

UNUSED static void run_sql(const char *sql)
{
    assert_ok(engine_exec(world.session, sql, &err));
}

/* Makes an empty table of these columns, and a source of the copy. */
UNUSED static void add_table(const char *name_space, const char *name, const char *columns)
{
    struct buf sql = {0};
    struct ice_schema *schema = &world.schemas[world.count];
    read_schema(columns, schema);
    buf_printf(&sql, "CREATE TABLE %s.%s (", name_space, name);
    for (size_t i = 0; i < schema->count; i++) {
        buf_printf(&sql, "%s%s ", i ? ", " : "", schema->fields[i].name);
        engine_type_name(&schema->fields[i], &sql);
    }
    buf_putc(&sql, ')');
    run_sql(sql.ptr);
    buf_free(&sql);
    world.sources[world.count++] = (struct online_source){name_space, name, schema, 1};
}

/* The tables with some of their columns. */
UNUSED static void add_tables(void)
{
    add_table("silver", "kol_profiles",
              "kol_id string, platform string, display_name string, followers_count long, "
              "verified boolean, account_age_at timestamptz, updated_at timestamptz");
    add_table("gold", "dim_kol",
              "kol_key string, platform string, kol_id string, display_name string, tier string, "
              "verified boolean, is_current boolean");
    add_table("silver", "kol_engagement_metrics",
              "platform string, kol_id string, total_views long, avg_engagement_rate double, "
              "updated_at timestamptz");
    add_table("silver", "kol_content",
              "content_id string, kol_id string, platform string, title string, "
              "posted_at timestamptz, views long, tags list<string>, price decimal, "
              "updated_at timestamptz");
    add_table("gold", "content_trending",
              "hour timestamptz, platform string, rank int, content_id string, "
              "trending_score double, as_of timestamptz");
    add_table("silver", "kol_daily",
              "platform string, kol_id string, day date, followers_count long");
}

UNUSED static struct online_build_options build_options(void)
{
    return (struct online_build_options){.data = world.data, .keep_us = ONLINE_KEEP_US};
}

UNUSED static enum kol_status build(const struct online_build_options *options,
                                    struct online_build_report *report)
{
    const struct online_input input = {world.engine, world.session, world.sources, world.count,
                                       "run-1"};
    return online_build_from(options, &input, report, &err);
}

/* A build that must be made; gives its number. */
UNUSED static int64_t build_new(void)
{
    struct online_build_options options = build_options();
    struct online_build_report report;
    options.force = true;
    assert_ok(build(&options, &report));
    assert_false(report.skipped);
    return report.number;
}

UNUSED static struct online_copy *open_copy(int64_t number)
{
    struct online_copy *copy;
    const struct online_options options = {.data = world.data, .number = number, .threads = 1};
    assert_ok(online_open(&options, &copy, &err));
    return copy;
}

UNUSED static bool has_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/online/%s", world.data, name);
    return access(path, F_OK) == 0;
}

#endif
