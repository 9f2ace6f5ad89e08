/*
 * test_serve_warm.c: the warmer with a real redis-server: what it writes, in which order, how it
 * goes on where it was stopped, and what it does when Redis is slow, full or gone.
 */
#include "redis_fixture.h"

#include <pthread.h>

#include "base/file.h"
#include "serve/warm.h"
#include "serve/warm_sender.h"

/* ---- a source ---- */

/* So many items in each part; the values name the generation, so that a rewrite can be seen. */
struct world {
    int64_t counts[WARM_PARTS];
    int64_t at[WARM_PARTS];
    int64_t given; /* items in all */
    int generation;
    size_t pad;       /* bytes of a profile */
    size_t members;   /* of the names for completion */
    int64_t fails_at; /* item at which next() fails; 0: none */
    bool scores;      /* instead of profiles */
    int64_t estimate; /* how much count() says beyond what there is */
};

static struct str text_in(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static struct str text_in(struct arena *arena, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    const struct str copy = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static struct str spell(struct arena *arena, enum serve_key kind, const char *first,
                        const char *second)
{
    struct buf text = {0};
    const struct str parts[] = {str_of(first), str_of(second)};
    serve_key_put(&text, kind, parts);
    const struct str copy = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static void make_set(struct world *world, struct arena *arena, size_t members,
                     struct warm_item *out)
{
    struct serve_member *all = arena_alloc(arena, members * sizeof *all);
    (void)world;
    for (size_t i = 0; i < members; i++) {
        all[i] = (struct serve_member){text_in(arena, "member:%zu", i), (double)(members - i)};
    }
    out->members = all;
    out->member_count = members;
}

/* The members of a JSON object as the fields of a HASH. */
static void put_fields(struct warm_item *out, struct str json, struct arena *arena)
{
    struct serve_field *fields;
    assert_int_equal(serve_to_fields(json, arena, &fields, &out->field_count, NULL), KOL_OK);
    out->fields = fields;
}

static void make_item(struct world *world, enum warm_part part, int64_t number, struct arena *arena,
                      struct warm_item *out)
{
    static const enum serve_key kinds[WARM_PARTS] = {
        [WARM_PROFILES] = SERVE_KEY_PROFILE,    [WARM_TOP] = SERVE_KEY_TOP_FOLLOWERS,
        [WARM_TRENDING] = SERVE_KEY_CONTENT,    [WARM_STATS] = SERVE_KEY_STATS_DAILY,
        [WARM_SEARCH] = SERVE_KEY_AUTOCOMPLETE,
    };
    char name[24];
    snprintf(name, sizeof name, "n%lld", (long long)number);
    *out = (struct warm_item){.kind = kinds[part]};
    if (world->scores && part == WARM_PROFILES) {
        out->kind = SERVE_KEY_SCORE;
        out->key = spell(arena, out->kind, name, "");
        put_fields(out,
                   STR("{\"trust_score\":81.25,\"trust_label\":\"high\","
                       "\"scored_at\":\"2026-01-01T00:00:00Z\"}"),
                   arena);
        return;
    }
    out->key = spell(arena, out->kind, part == WARM_TOP ? "tiktok" : name, name);
    if (part == WARM_TOP) {
        make_set(world, arena, 10, out);
    } else if (part == WARM_SEARCH) {
        make_set(world, arena, world->members, out);
    } else {
        char *pad = arena_alloc(arena, world->pad + 1);
        memset(pad, 'x', world->pad);
        pad[world->pad] = '\0';
        put_fields(out,
                   text_in(arena,
                           "{\"name\":\"%s\",\"generation\":%d,\"snapshot\":1,"
                           "\"cached_at\":\"-\",\"nothing\":null,\"pad\":\"%s\"}",
                           name, world->generation, pad),
                   arena);
    }
}

static enum kol_status count_items(void *user, enum warm_part part, int64_t *keys,
                                   struct kol_error *err)
{
    const struct world *world = user;
    (void)err;
    *keys = world->counts[part] + (world->counts[part] ? world->estimate : 0);
    return KOL_OK;
}

static enum kol_status next_items(void *user, enum warm_part part, bool restart,
                                  struct arena *arena, struct warm_item *items, size_t max,
                                  size_t *count, struct kol_error *err)
{
    struct world *world = user;
    if (restart) {
        world->at[part] = 0;
    }
    /* Fewer than are asked for at times. */
    max = max > 7 ? max - 7 : max;
    for (*count = 0; *count < max && world->at[part] < world->counts[part]; ++*count) {
        if (world->fails_at && world->given == world->fails_at) {
            return kol_fail(err, KOL_IO, "the source broke");
        }
        make_item(world, part, world->at[part]++, arena, &items[*count]);
        world->given++;
    }
    return KOL_OK;
}

static enum kol_status item_by_key(void *user, struct str key, struct arena *arena,
                                   struct warm_item *out, struct kol_error *err)
{
    struct world *world = user;
    for (int part = 0; part < WARM_PARTS; part++) {
        int64_t number;
        const char *n = memrchr(key.ptr, 'n', key.len);
        if (n && str_to_int64((struct str){n + 1, key.len - (size_t)(n + 1 - key.ptr)}, &number) &&
            number < world->counts[part]) {
            make_item(world, (enum warm_part)part, number, arena, out);
            if (str_equal(out->key, key)) {
                return KOL_OK;
            }
        }
    }
    return kol_fail(err, KOL_NOT_FOUND, "no such key");
}

static struct warm_source source_of(struct world *world)
{
    return (struct warm_source){.snapshot = 77,
                                .as_of = STR("2026-01-02T03:04:05Z"),
                                .user = world,
                                .count = count_items,
                                .next = next_items,
                                .by_key = item_by_key};
}

/* ---- a server and what is in it ---- */

static struct server server;
static struct redis *redis;
static struct redis_pipe *ask;
static struct arena arena;
static char folder[64];

static const struct redis_answer *say(const char *words, const char *first)
{
    redis_clear(ask);
    redis_addf(ask, words, first);
    run_pipe(ask);
    return redis_answer(ask, 0);
}

static int64_t number_of(const char *words, const char *first)
{
    const struct redis_answer *answer = say(words, first);
    assert_int_equal(answer->kind, REDIS_NUMBER);
    return answer->number;
}

/* "" where there is none. */
static const char *field_of(struct str key, const char *field)
{
    redis_clear(ask);
    redis_addf(ask, "HGET %S %s", key, field);
    run_pipe(ask);
    const struct redis_answer *answer = redis_answer(ask, 0);
    return answer->kind == REDIS_TEXT ? answer->text.ptr : "";
}

static struct str profile(int64_t number)
{
    char name[24];
    snprintf(name, sizeof name, "n%lld", (long long)number);
    return spell(&arena, SERVE_KEY_PROFILE, name, "");
}

static const char *metadata(const char *field)
{
    return field_of(spell(&arena, SERVE_KEY_METADATA, "", ""), field);
}

static struct warm_options options_of(void)
{
    struct warm_options options = {.redis = redis, .wait_us = 20000000, .version = "1.2.3"};
    for (int i = 0; i < WARM_PARTS; i++) {
        options.parts[i] = true;
    }
    return options;
}

static struct warm_report run(struct world *world, const struct warm_options *options)
{
    const struct warm_source source = source_of(world);
    struct warm_report report;
    struct kol_error err = {0};
    world->given = 0;
    if (warm_run(&source, options, &report, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    return report;
}

static int64_t sum_of(const struct warm_report *report, size_t offset)
{
    int64_t sum = 0;
    for (int i = 0; i < WARM_PARTS; i++) {
        sum += *(const int64_t *)((const char *)&report->parts[i] + offset);
    }
    return sum;
}

#define SUM(report, field) sum_of(report, offsetof(struct warm_part_report, field))

static const struct world small_world = {
    .counts = {[WARM_PROFILES] = 500,
               [WARM_TOP] = 4,
               [WARM_TRENDING] = 60,
               [WARM_STATS] = 3,
               [WARM_SEARCH] = 1},
    .pad = 100,
    .members = 2500,
    .generation = 1,
};

static int begin_test(void **state)
{
    (void)state;
    arena_reset(&arena);
    say("FLUSHALL", "");
    say("CONFIG RESETSTAT", "");
    redis_clear(ask);
    redis_addf(ask, "CONFIG SET maxmemory 0");
    run_pipe(ask);
    return 0;
}

/* ---- tests ---- */

static void a_dry_run_counts_and_needs_no_redis(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    (void)state;
    options.redis = NULL;
    const struct warm_report report = run(&world, &options);
    assert_int_equal(report.parts[WARM_PROFILES].keys, 500);
    assert_int_equal(report.parts[WARM_SEARCH].keys, 1);
    assert_int_equal(SUM(&report, keys), 568);
    assert_true(report.parts[WARM_PROFILES].bytes > 500 * 110);
    assert_true(report.parts[WARM_PROFILES].bytes < 500 * 250);
    assert_int_equal(SUM(&report, written) + SUM(&report, refused) + SUM(&report, left_out), 0);
    assert_int_equal(report.snapshot, 77);
    assert_int_equal(number_of("DBSIZE", ""), 0);
}

static void all_keys_are_written_with_a_life_and_told_of(void **state)
{
    struct world world = small_world;
    const struct warm_options options = options_of();
    (void)state;
    const struct warm_report report = run(&world, &options);
    assert_int_equal(SUM(&report, written), 568);
    assert_int_equal(SUM(&report, kept) + SUM(&report, refused) + SUM(&report, left_out), 0);
    assert_false(report.interrupted || report.out_of_room);
    assert_string_equal(report.reason, "");
    /* Five sets have siblings, and one key tells of it all. */
    assert_int_equal(number_of("DBSIZE", ""), 568 + 5 + 1);
    assert_string_equal(field_of(profile(499), "name"), "n499");
    assert_string_equal(field_of(profile(499), "snapshot"), "77");
    assert_string_equal(field_of(profile(499), "nothing"), "");
    assert_string_equal(metadata("version"), "1.2.3");
    assert_string_equal(metadata("snapshot"), "77");
    assert_string_equal(metadata("as_of"), "2026-01-02T03:04:05Z");
    assert_string_equal(metadata("keys_profiles"), "500");
    assert_string_equal(metadata("keys_search"), "1");
    assert_string_equal(metadata("left_out"), "0");
    assert_int_equal(strlen(metadata("last_warm")) >= 20, 1);
    const char *keys = "local n=0 for _,k in ipairs(redis.call('keys','*')) do "
                       "if redis.call('ttl',k)<=0 then n=n+1 end end return n";
    redis_clear(ask);
    redis_addf(ask, "EVAL %s 0", keys);
    run_pipe(ask);
    assert_int_equal(redis_answer(ask, 0)->number, 0);
    const struct str names = spell(&arena, SERVE_KEY_AUTOCOMPLETE, "", "");
    assert_int_equal(number_of("ZCARD %s", names.ptr), 2500);
}

static void what_is_there_already_is_kept_unless_it_is_full(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    (void)state;
    run(&world, &options);
    world.generation = 2;
    struct warm_report report = run(&world, &options);
    assert_int_equal(SUM(&report, written), 0);
    assert_int_equal(SUM(&report, kept), 568);
    assert_string_equal(field_of(profile(3), "generation"), "1");
    options.full = true;
    report = run(&world, &options);
    assert_int_equal(SUM(&report, written), 568);
    assert_string_equal(field_of(profile(3), "generation"), "2");
}

/* How often the server ran a command since it was last reset. */
static int64_t calls_of(const char *command)
{
    char line[64];
    int64_t calls = 0;
    snprintf(line, sizeof line, "cmdstat_%s:calls=", command);
    const struct str info = say("INFO %s", "commandstats")->text;
    const char *at = memmem(info.ptr, info.len, line, strlen(line));
    for (at = at ? at + strlen(line) : ""; *at >= '0' && *at <= '9'; at++) {
        calls = calls * 10 + (*at - '0');
    }
    return calls;
}

static void what_is_new_goes_without_the_script(void **state)
{
    struct world world = small_world;
    const struct warm_options options = options_of();
    (void)state;
    run(&world, &options);
    assert_int_equal(calls_of("restore"), 563 + 1);           /* that of the metadata in a script */
    assert_true(calls_of("evalsha") + calls_of("eval") < 20); /* sets, the metadata */
    /* One in ten is there, and older: it is found out one by one. */
    say("FLUSHALL", "");
    say("CONFIG RESETSTAT", "");
    for (int64_t i = 0; i < 500; i += 10) {
        redis_clear(ask);
        redis_addf(ask, "HSET %S generation 0 snapshot %d", profile(i), INT64_C(76));
        run_pipe(ask);
    }
    struct warm_report report = run(&world, &options);
    assert_int_equal(SUM(&report, written), 568);
    assert_int_equal(SUM(&report, keys), 568);
    assert_true(calls_of("evalsha") + calls_of("eval") < 20 + 50);
    assert_string_equal(field_of(profile(490), "generation"), "1");
    assert_string_equal(metadata("keys_profiles"), "500");
}

static void a_server_that_does_not_restore_is_given_fields(void **state)
{
    struct world world = small_world;
    const struct warm_options options = options_of();
    (void)state;
    redis_clear(ask);
    redis_addf(ask, "ACL SETUSER default -restore");
    run_pipe(ask);
    const struct warm_report report = run(&world, &options);
    redis_clear(ask);
    redis_addf(ask, "ACL SETUSER default +restore");
    run_pipe(ask);
    assert_int_equal(SUM(&report, written), 568);
    assert_int_equal(SUM(&report, refused), 0);
    assert_string_equal(field_of(profile(499), "name"), "n499");
    assert_string_equal(field_of(profile(0), "name"), "n0");
}

static void only_the_parts_that_are_named_are_written(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    (void)state;
    memset(options.parts, 0, sizeof options.parts);
    options.parts[WARM_TOP] = true;
    const struct warm_report report = run(&world, &options);
    assert_int_equal(SUM(&report, keys), 4);
    assert_int_equal(number_of("DBSIZE", ""), 4 + 4 + 1);
    assert_string_equal(metadata("keys_top"), "4");
    assert_string_equal(metadata("keys_profiles"), "");
}

static void an_estimate_that_is_too_high_leaves_nothing_out(void **state)
{
    struct world world = small_world;
    const struct warm_options options = options_of();
    (void)state;
    world.estimate = 1000;
    const struct warm_report report = run(&world, &options);
    assert_int_equal(SUM(&report, left_out), 0);
    assert_string_equal(metadata("keys_profiles"), "500");
}

static void scores_are_written_in_their_older_form_if_told_to(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    const struct str key = spell(&arena, SERVE_KEY_SCORE, "n0", "");
    (void)state;
    memset(options.parts, 0, sizeof options.parts);
    options.parts[WARM_PROFILES] = true;
    world.scores = true;
    run(&world, &options);
    assert_string_equal(field_of(key, "trust_score"), "81.25");
    options.older_scores = true;
    world.generation++;
    run(&world, &options);
    assert_string_equal(field_of(key, "trust_score"), "81.25"); /* as new as what is to come */
    options.full = true;
    run(&world, &options);
    assert_string_equal(say("GET %s", key.ptr)->text.ptr,
                        "{\"trust_score\":81.25,\"trust_label\":\"high\","
                        "\"timestamp\":\"2026-01-01T00:00:00Z\",\"snapshot\":77}");
    assert_true(number_of("PTTL %s", key.ptr) > 0);
    run(&world, &options);
    options.older_scores = false;
    run(&world, &options);
    assert_string_equal(field_of(key, "trust_label"), "high");
}

/* ---- what is hot ---- */

static int64_t monitor_from(FILE **out)
{
    char command[160];
    snprintf(command, sizeof command, "exec redis-cli -s %s MONITOR 2>/dev/null", server.path);
    *out = popen(command, "r");
    assert_non_null(*out);
    char line[256];
    assert_non_null(fgets(line, sizeof line, *out)); /* OK */
    return 0;
}

static void the_hottest_come_first_and_once(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    struct heat *heat = heat_new(&(struct heat_options){0});
    (void)state;
    heat_add(heat, profile(321), 5);
    heat_add(heat, profile(123), 50);
    heat_add(heat, STR("no:such:key"), 500);
    heat_add(heat, profile(9999), 400); /* there is none any more */
    options.heat = heat;
    options.limit = 2;
    struct warm_report report = run(&world, &options);
    assert_int_equal(SUM(&report, written), 2);
    assert_int_equal(SUM(&report, left_out), 566);
    assert_non_null(strstr(report.reason, "2 keys"));
    assert_string_equal(field_of(profile(123), "name"), "n123");
    assert_string_equal(field_of(profile(321), "name"), "n321");
    assert_string_equal(metadata("left_out"), "566");

    /* With one, the hotter of the two; behind what is hot the order of the source. */
    say("FLUSHALL", "");
    options.limit = 1;
    report = run(&world, &options);
    assert_string_equal(field_of(profile(123), "name"), "n123");
    assert_string_equal(field_of(profile(321), "name"), "");
    say("FLUSHALL", "");
    options.limit = 4;
    report = run(&world, &options);
    assert_string_equal(field_of(profile(1), "name"), "n1");
    assert_string_equal(field_of(profile(2), "name"), "");

    /* Without a limit each is written once. */
    say("FLUSHALL", "");
    options.limit = 0;
    report = run(&world, &options);
    assert_int_equal(SUM(&report, written), 568);
    assert_int_equal(SUM(&report, kept), 0);
    assert_int_equal(SUM(&report, keys), 568);
    heat_free(&heat);
}

static void keys_are_on_their_way_in_the_order_of_heat(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    struct heat *heat = heat_new(&(struct heat_options){0});
    FILE *monitor;
    char *line = NULL;
    size_t room = 0;
    int hot_at[3] = {-1, -1, -1}, cold_at = -1, at = 0;
    static const int hot[] = {400, 40, 4};
    (void)state;
    memset(options.parts, 0, sizeof options.parts);
    options.parts[WARM_PROFILES] = true;
    for (int i = 0; i < 3; i++) {
        heat_add(heat, profile(hot[i]), 100 - i);
    }
    options.heat = heat;
    monitor_from(&monitor);
    run(&world, &options);
    say("ECHO %s", "the end");
    while (getline(&line, &room, monitor) > 0 && !strstr(line, "the end")) {
        for (int i = 0; i < 3; i++) {
            char word[64];
            snprintf(word, sizeof word, "\"%s\"", profile(hot[i]).ptr);
            if (hot_at[i] < 0 && strstr(line, word)) {
                hot_at[i] = at++;
            }
        }
        char word[64];
        snprintf(word, sizeof word, "\"%s\"", profile(0).ptr);
        if (cold_at < 0 && strstr(line, word)) {
            cold_at = at++;
        }
    }
    assert_int_equal(hot_at[0], 0);
    assert_int_equal(hot_at[1], 1);
    assert_int_equal(hot_at[2], 2);
    assert_int_equal(cold_at, 3);
    free(line);
    say("CLIENT KILL TYPE %s", "normal"); /* ends the monitor, and this connection too */
    pclose(monitor);
    heat_free(&heat);
}

/* ---- going on where it was stopped ---- */

struct stopping {
    int64_t asked, stops_at; /* 0: never */
};

static bool stop_after(void *user)
{
    struct stopping *stopping = user;
    return stopping->stops_at && ++stopping->asked >= stopping->stops_at;
}

static char *place_file(void)
{
    return file_join(folder, "warm.place");
}

static void a_stopped_warm_goes_on_where_it_was(void **state)
{
    struct world world = small_world;
    struct stopping stopping = {.stops_at = 12};
    struct warm_options options = options_of();
    char *path = place_file();
    (void)state;
    world.counts[WARM_PROFILES] = 3000;
    options.pipe_bytes = 16384;
    options.state = folder;
    options.stop = stop_after;
    options.user = &stopping;
    struct warm_report first = run(&world, &options);
    assert_true(first.interrupted);
    assert_true(SUM(&first, written) > 100 && SUM(&first, written) < 2900);
    assert_true(file_exists(path));
    assert_string_equal(metadata("last_warm"), "");
    const int64_t there = number_of("DBSIZE", "");
    assert_int_equal(there, SUM(&first, written));

    stopping.stops_at = 0;
    struct warm_report second = run(&world, &options);
    assert_false(second.interrupted);
    assert_int_equal(second.resumed, SUM(&first, written));
    assert_int_equal(SUM(&second, written), 3068 - SUM(&first, written));
    assert_int_equal(SUM(&second, kept) + SUM(&second, left_out), 0);
    assert_int_equal(number_of("DBSIZE", ""), 3068 + 5 + 1);
    assert_false(file_exists(path));
    assert_string_equal(metadata("keys_profiles"), "3000");
    free(path);
}

static void stop_part_way(struct world *world, struct warm_options *options)
{
    static struct stopping stopping;
    stopping = (struct stopping){.stops_at = 12};
    world->counts[WARM_PROFILES] = 3000;
    options->pipe_bytes = 16384;
    options->state = folder;
    options->stop = stop_after;
    options->user = &stopping;
    const struct warm_report report = run(world, options);
    assert_true(report.interrupted);
    stopping.stops_at = 0;
}

static void a_place_of_something_else_does_not_count(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct world world = small_world;
        struct warm_options options = options_of();
        say("FLUSHALL", "");
        stop_part_way(&world, &options);
        struct warm_source source = source_of(&world);
        struct warm_report report;
        switch (i) {
        case 0: source.snapshot = 78; break;
        case 1: options.full = true; break;
        case 2: options.parts[WARM_STATS] = false; break;
        case 3: say("FLUSHALL", ""); break; /* or it was started anew, empty */
        case 4: options.limit = 100000; break;
        }
        assert_int_equal(warm_run(&source, &options, &report, NULL), KOL_OK);
        assert_int_equal(report.resumed, 0);
        assert_int_equal(report.parts[WARM_PROFILES].keys, 3000);
    }
}

static void a_failure_of_the_source_or_of_redis_keeps_the_place(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    struct warm_source source = source_of(&world);
    struct warm_report report;
    struct kol_error err;
    char *path = place_file();
    (void)state;
    world.counts[WARM_PROFILES] = 3000;
    world.fails_at = 2000;
    world.given = 0;
    options.state = folder;
    options.pipe_bytes = 16384;
    assert_int_equal(warm_run(&source, &options, &report, &err), KOL_IO);
    assert_string_equal(err.message, "the source broke");
    assert_true(number_of("DBSIZE", "") >= 2000 - 64); /* all whole batches until then */
    assert_true(file_exists(path));
    world.fails_at = 0;
    report = run(&world, &options);
    assert_true(report.resumed > 1000);
    assert_int_equal(SUM(&report, keys) + report.resumed, 3068);

    kill_server(&server);
    assert_int_equal(warm_run(&source, &options, &report, &err), KOL_NOT_FOUND);
    start_server(&server);
    free(path);
}

/* ---- a slow Redis, a full one ---- */

static void *pause_often(void *user)
{
    struct redis_pipe *pipe = redis_pipe_new(redis);
    (void)user;
    redis_addf(pipe, "CLIENT PAUSE 60 ALL");
    for (int i = 0; i < 8; i++) {
        run_pipe(pipe);
        for (int n = 0; n < 16; n++) {
            nap();
        }
    }
    redis_pipe_free(&pipe);
    return NULL;
}

static void a_redis_that_stumbles_gets_all(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    pthread_t thread;
    (void)state;
    world.counts[WARM_PROFILES] = 20000;
    memset(options.parts, 0, sizeof options.parts);
    options.parts[WARM_PROFILES] = true;
    options.pipe_bytes = 16384;
    assert_int_equal(pthread_create(&thread, NULL, pause_often, NULL), 0);
    const struct warm_report slow = run(&world, &options);
    pthread_join(thread, NULL);
    assert_int_equal(slow.parts[WARM_PROFILES].written, 20000);
    assert_int_equal(SUM(&slow, left_out) + SUM(&slow, refused), 0);
}

/* Puts keys into the pipe until it has all that it may take; how many that were. */
static int fill_pipe(struct warm_sender *sender)
{
    static const struct serve_field fields[] = {{{"name", 4}, {"somebody", 8}}};
    int count = 0;
    for (; !warm_sender_is_full(sender); count++) {
        const struct serve_write write = {.kind = SERVE_KEY_PROFILE,
                                          .key = profile(count),
                                          .snapshot = 1,
                                          .now_us = clock_now_us(),
                                          .fields = fields,
                                          .field_count = 1};
        warm_sender_put(sender, &write, WARM_PROFILES, 20, 100);
    }
    return count;
}

static void settle_pipe(struct warm_sender *sender)
{
    struct warm_result result;
    struct kol_error err;
    assert_int_equal(warm_sender_settle(sender, &result, &err), KOL_OK);
    assert_true(result.count > 0);
}

static void after_a_slow_pipe_comes_a_rest_and_a_smaller_one(void **state)
{
    const struct warm_sender_options options = {
        .redis = redis, .fill = 0.9, .pipe_bytes = 64 * 1024, .wait_us = 20000000};
    struct warm_sender *sender = warm_sender_new(&options);
    int before = fill_pipe(sender);
    (void)state;
    /* It grows to its most, though a machine with other work may throw it back at times. */
    for (int i = 0; i < 1000 && before * 100 < 64 * 1024; i++) {
        warm_sender_go(sender);
        settle_pipe(sender);
        before = fill_pipe(sender);
    }
    assert_true(before * 100 >= 64 * 1024);
    say("CLIENT PAUSE 400 %s", "ALL");
    warm_sender_go(sender);
    settle_pipe(sender);
    const int after = fill_pipe(sender);
    assert_true(after <= before / 2 + 1);
    const int64_t began_ns = clock_mono_ns();
    warm_sender_go(sender);
    assert_true(clock_mono_ns() - began_ns > 200 * MS);
    settle_pipe(sender);
    warm_sender_free(&sender);
}

static void a_redis_that_stops_to_answer_is_a_failure(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    const struct warm_source source = source_of(&world);
    struct warm_report report;
    struct kol_error err;
    (void)state;
    options.wait_us = 200000;
    options.state = folder;
    kill(server.pid, SIGSTOP);
    const int64_t began_ns = clock_mono_ns();
    assert_int_equal(warm_run(&source, &options, &report, &err), KOL_TIMEOUT);
    assert_true(clock_mono_ns() - began_ns < 5000 * MS);
    kill(server.pid, SIGCONT);
}

static int64_t used_memory(void)
{
    const struct redis_answer *info = say("INFO %s", "memory");
    const char *at = strstr(info->text.ptr, "used_memory:");
    return strtoll(at + strlen("used_memory:"), NULL, 10);
}

static void it_stops_before_redis_is_full(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    char words[64];
    (void)state;
    const int64_t most = used_memory() + (12 << 20);
    snprintf(words, sizeof words, "CONFIG SET maxmemory %lld", (long long)most);
    say(words, "");
    world.counts[WARM_PROFILES] = 20000;
    world.pad = 1000;
    const struct warm_report report = run(&world, &options);
    assert_true(report.out_of_room && !report.interrupted);
    assert_non_null(strstr(report.reason, "maxmemory"));
    assert_int_equal(SUM(&report, refused), 0);
    const struct warm_part_report *profiles = &report.parts[WARM_PROFILES];
    assert_true(profiles->written > 2000);
    assert_int_equal(profiles->written + profiles->left_out, 20000);
    assert_int_equal(report.parts[WARM_TOP].left_out, 4);
    assert_true(used_memory() < most * 93 / 100);
    assert_true(used_memory() > most * 70 / 100);
    assert_true(strtoll(metadata("left_out"), NULL, 10) == SUM(&report, left_out));

    /* What is there already takes no more room when it is written again. */
    world.counts[WARM_PROFILES] = profiles->written * 9 / 10;
    options.full = true;
    memset(options.parts, 0, sizeof options.parts);
    options.parts[WARM_PROFILES] = true;
    options.fill = 0.95;
    const struct warm_report again = run(&world, &options);
    assert_int_equal(again.parts[WARM_PROFILES].written, world.counts[WARM_PROFILES]);
}

static void a_redis_that_refuses_for_want_of_memory_ends_it(void **state)
{
    struct world world = small_world;
    struct warm_options options = options_of();
    (void)state;
    /* It is full before anything was asked; with a fill beyond all bounds that is found by the
     * refusals. */
    redis_clear(ask);
    redis_addf(ask, "CONFIG SET maxmemory 1");
    redis_addf(ask, "CONFIG SET maxmemory-policy noeviction");
    run_pipe(ask);
    options.fill = 1e12;
    const struct warm_report report = run(&world, &options);
    assert_true(report.out_of_room);
    assert_non_null(strstr(report.reason, "OOM"));
    assert_int_equal(SUM(&report, written), 0);
    assert_true(SUM(&report, refused) > 0);
}

/* ---- the whole ---- */

static int begin_all(void **state)
{
    (void)state;
    make_server(&server);
    const struct redis_options options = over_socket(&server);
    redis = open_redis(&options);
    ask = redis_pipe_new(redis);
    arena_init(&arena, 0);
    strcpy(folder, "/tmp/kol-warm-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int end_all(void **state)
{
    char *path = place_file();
    (void)state;
    unlink(path);
    free(path);
    rmdir(folder);
    redis_pipe_free(&ask);
    redis_close(&redis);
    arena_free(&arena);
    remove_server(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_dry_run_counts_and_needs_no_redis, begin_test),
        cmocka_unit_test_setup(all_keys_are_written_with_a_life_and_told_of, begin_test),
        cmocka_unit_test_setup(what_is_there_already_is_kept_unless_it_is_full, begin_test),
        cmocka_unit_test_setup(what_is_new_goes_without_the_script, begin_test),
        cmocka_unit_test_setup(a_server_that_does_not_restore_is_given_fields, begin_test),
        cmocka_unit_test_setup(only_the_parts_that_are_named_are_written, begin_test),
        cmocka_unit_test_setup(an_estimate_that_is_too_high_leaves_nothing_out, begin_test),
        cmocka_unit_test_setup(scores_are_written_in_their_older_form_if_told_to, begin_test),
        cmocka_unit_test_setup(the_hottest_come_first_and_once, begin_test),
        cmocka_unit_test_setup(keys_are_on_their_way_in_the_order_of_heat, begin_test),
        cmocka_unit_test_setup(a_stopped_warm_goes_on_where_it_was, begin_test),
        cmocka_unit_test_setup(a_place_of_something_else_does_not_count, begin_test),
        cmocka_unit_test_setup(a_failure_of_the_source_or_of_redis_keeps_the_place, begin_test),
        cmocka_unit_test_setup(a_redis_that_stumbles_gets_all, begin_test),
        cmocka_unit_test_setup(after_a_slow_pipe_comes_a_rest_and_a_smaller_one, begin_test),
        cmocka_unit_test_setup(a_redis_that_stops_to_answer_is_a_failure, begin_test),
        cmocka_unit_test_setup(it_stops_before_redis_is_full, begin_test),
        cmocka_unit_test_setup(a_redis_that_refuses_for_want_of_memory_ends_it, begin_test),
    };
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
