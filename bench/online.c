/*
 * online.c: the online copy: how long it takes to build, records by key, top lists.
 *
 *   bench_online [KOLS] [CONTENTS] [DAYS] [MEMORY_MB]
 *
 * By default 1000000 KOLs, 0.55 contents a KOL, 2 days of history for each KOL, 1500 MB for DuckDB.
 * The world is made by SQL in a database file, as wide as the tables of the lake. A key is picked
 * at random among all, so that nearly every read meets pages that no cache of the processor holds;
 * each list picks other filters. Memory is RssAnon + RssShmem at its highest during the build,
 * looked at every 10 ms.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "online/build.h"

enum { READS = 200000, LISTS = 400, MAX_COLUMNS = 64 };

static struct kol_error err;
static struct arena arena;
static char folder[64];

static void must(enum kol_status status, const char *what)
{
    if (status != KOL_OK) {
        kol_panic("%s: %s", what, err.message);
    }
}

/* ---- memory ---- */

static atomic_bool watching;
static atomic_long highest_kb;

static long memory_kb(void)
{
    long sum = 0, value;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "RssAnon: %ld", &value) == 1 ||
            sscanf(line, "RssShmem: %ld", &value) == 1) {
            sum += value;
        }
    }
    if (file) {
        fclose(file);
    }
    return sum;
}

static void *watch(void *unused)
{
    while (atomic_load(&watching)) {
        long now = memory_kb();
        if (now > atomic_load(&highest_kb)) {
            atomic_store(&highest_kb, now);
        }
        usleep(10000);
    }
    return unused;
}

/* ---- the world ---- */

struct made {
    const char *name_space, *name, *columns, *select;
};

/* %1$lld KOLs, %2$lld days of history, %3$lld pieces of content, of three KOLs of ten. */
static const struct made tables[] = {
    {"silver", "kol_profiles",
     "kol_id string,platform string,user_id string,username string,display_name string,bio string,"
     "has_bio boolean,bio_length long,lang string,location string,account_age_days long,"
     "account_age_at timestamptz,followers_count long,following_count long,post_count long,"
     "favorites_count long,verified boolean,account_created_at timestamptz,has_url boolean,"
     "has_profile_image boolean,default_profile boolean,default_profile_image boolean,"
     "category string,profile_url string,profile_image_url string,label string,"
     "first_seen_at timestamptz,updated_at timestamptz",
     "SELECT 'kol_' || printf('%%08x', hash(i) %% 4294967296) || i, "
     "(['tiktok', 'twitter', 'youtube', 'instagram'])[(1 + i %% 4)::INT], 'u' || i, 'kol_' || i, "
     "'Nguyễn Thị ' || i, 'I write about things that matter, number ' || i, true, "
     "40, (['vi', 'en', 'th'])[(1 + hash(i, 1) %% 3)::INT], 'Hà Nội', hash(i, 2) %% 4000, "
     "TIMESTAMPTZ '2025-01-01 00:00:00+00', "
     "(exp(random() * 16))::BIGINT, hash(i, 3) %% 5000, hash(i, 4) %% 90000, hash(i, 5) %% 500000, "
     "hash(i, 6) %% 20 = 0, TIMESTAMPTZ '2020-01-01 00:00:00+00' + to_hours((i %% 9000)::INT), "
     "true, true, false, false, "
     "(['beauty', 'food', 'tech', 'travel', 'music', 'sports', 'fashion', 'games'])"
     "[(1 + hash(i, 7) %% 8)::INT], 'https://example.org/@kol_' || i, "
     "'https://cdn.example.org/avatars/' || md5(i::VARCHAR) || '.jpg', NULL, "
     "TIMESTAMPTZ '2025-01-01 00:00:00+00', TIMESTAMPTZ '2025-06-01 00:00:00+00' "
     "FROM range(%1$lld) r(i)"},
    {"gold", "dim_kol",
     "kol_key string,platform string,kol_id string,username string,display_name string,tier string,"
     "verified boolean,category string,is_current boolean",
     "SELECT md5(kol_id), platform, kol_id, username, display_name, "
     "CASE WHEN followers_count < 1000 THEN 'Rising' WHEN followers_count < 10000 THEN 'Nano' "
     "WHEN followers_count < 100000 THEN 'Micro' WHEN followers_count < 500000 THEN 'Mid' "
     "WHEN followers_count < 1000000 THEN 'Macro' ELSE 'Mega' END, verified, category, true "
     "FROM silver.kol_profiles LIMIT %1$lld"},
    {"silver", "kol_engagement_metrics",
     "platform string,kol_id string,content_count long,total_views long,avg_views double,"
     "max_views long,total_likes long,avg_likes double,total_comments long,total_shares long,"
     "avg_engagement_rate double,updated_at timestamptz",
     "SELECT platform, kol_id, 10, 1000000, 100000.0, 500000, 10000, 1000.0, 500, 100, "
     "random() * 20, updated_at FROM silver.kol_profiles WHERE hash(kol_id) %% 10 < 3 LIMIT "
     "%1$lld"},
    {"gold", "kol_scores",
     "platform string,kol_id string,trust_score double,trust_label string,risk_level string,"
     "confidence double,in_domain boolean,trust_model_version string,success_score double,"
     "trending_score double,composite_score double,computed_at timestamptz",
     "SELECT platform, kol_id, random() * 100, 'high', 'low', 0.9, true, '3', random() * 100, "
     "random() * 100, random() * 100, updated_at FROM silver.kol_profiles LIMIT %1$lld"},
    {"silver", "kol_content",
     "content_id string,kol_id string,platform string,content_type string,title string,"
     "description string,url string,posted_at timestamptz,views long,likes long,comments long,"
     "shares long,engagement_rate double,tags list<string>,duration_seconds long,"
     "updated_at timestamptz",
     "SELECT 'v' || row_number() OVER (), kol_id, platform, 'video', 'A video by ' || username, "
     "'What is to be seen here is something that goes on for some time', "
     "'https://example.org/v/' || kol_id || c, updated_at - to_hours((c * 30)::INT), "
     "hash(kol_id, c) %% 1000000, 1000, 100, 10, 1.1, ['a', 'b', 'c'], 30, updated_at "
     "FROM (SELECT * FROM silver.kol_profiles WHERE hash(kol_id) %% 10 < 3 LIMIT %1$lld), "
     "range((%3$lld * 10 / (%1$lld * 3) + 1)::BIGINT) r(c) LIMIT %3$lld"},
    {"silver", "kol_daily",
     "platform string,kol_id string,day date,followers_count long,following_count long,"
     "post_count long,favorites_count long,total_views long",
     "SELECT platform, kol_id, DATE '2025-05-01' + d::INT, followers_count + d, following_count, "
     "post_count, favorites_count, NULL FROM silver.kol_profiles, range(%2$lld) q(d) "
     "LIMIT %1$lld * %2$lld"},
};

static void read_schema(const char *text, struct ice_schema *schema)
{
    static struct ice_field element = {.name = "element", .type = ICE_STRING};
    struct str rest = str_of(text);
    schema->fields = arena_alloc(&arena, MAX_COLUMNS * sizeof *schema->fields);
    for (schema->count = 0; rest.len; schema->count++) {
        struct str type = str_cut(&rest, ','), name = str_cut(&type, ' ');
        struct ice_field *field = &schema->fields[schema->count];
        *field = (struct ice_field){.id = (int32_t)schema->count + 1};
        if (str_is(type, "list<string>")) {
            field->type = ICE_LIST;
            field->children = &element;
            field->child_count = 1;
        } else {
            must(ice_type_read(type, field, &err), "type");
        }
        field->name = arena_copy(&arena, name).ptr;
    }
}

static void make_table(struct engine_session *session, const struct made *made, long long kols,
                       long long days, long long contents, struct ice_schema *schema)
{
    struct buf sql = {0};
    read_schema(made->columns, schema);
    buf_printf(&sql, "CREATE TABLE %s.%s (", made->name_space, made->name);
    for (size_t i = 0; i < schema->count; i++) {
        buf_printf(&sql, "%s%s ", i ? ", " : "", schema->fields[i].name);
        engine_type_name(&schema->fields[i], &sql);
    }
    buf_printf(&sql, "); INSERT INTO %s.%s ", made->name_space, made->name);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    buf_printf(&sql, made->select, kols, days, contents);
#pragma GCC diagnostic pop
    must(engine_exec(session, sql.ptr, &err), made->name);
    buf_free(&sql);
}

/* ---- measuring ---- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* `cpu_ns`: what the process used for all of them, DuckDB's threads included. */
static void show(const char *what, double *values, size_t count, const char *unit, int64_t cpu_ns)
{
    const double scale = *unit == 'u' ? 1e3 : 1e6;
    qsort(values, count, sizeof *values, compare);
    printf("%-36s p50 %8.2f  p99 %8.2f  max %8.2f  CPU %8.2f %s\n", what, values[count / 2],
           values[count * 99 / 100], values[count - 1], (double)cpu_ns / (double)count / scale,
           unit);
    fflush(stdout);
}

/* Keys of `count` KOLs picked at random, as "platform:kol_id". */
static struct online_key *pick_keys(struct online_copy *copy, size_t count)
{
    struct engine_session *session;
    struct engine_result *result;
    struct online_key *keys = mem_alloc(count * sizeof *keys);
    size_t rows, at = 0;
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT platform, kol_id FROM (SELECT platform, kol_id FROM kols USING SAMPLE %zu "
             "ROWS (reservoir, 7)) ORDER BY hash(kol_id)",
             count);
    must(online_lists(copy, &session, &err), "lists");
    must(engine_query(session, sql, &result, &err), "sample");
    do {
        must(engine_next(result, &rows, &err), "sample");
        for (size_t row = 0; row < rows; row++) {
            keys[at++] = (struct online_key){arena_copy(&arena, engine_text(result, 0, row)),
                                             arena_copy(&arena, engine_text(result, 1, row))};
        }
    } while (rows);
    engine_result_free(&result);
    engine_session_close(&session);
    for (size_t i = at; i < count; i++) {
        keys[i] = keys[i % at];
    }
    return keys;
}

static void bench_reads(struct online_copy *copy)
{
    struct online_key *keys = pick_keys(copy, READS);
    double *times = mem_alloc(READS * sizeof *times);
    const int column = online_column(copy, ONLINE_KOL, "followers_count");
    int64_t sum = 0, value;
    for (int pass = 0; pass < 3; pass++) {
        const int64_t cpu_ns = clock_cpu_ns();
        for (size_t i = 0; i < READS; i++) {
            struct online_record record, same[4];
            size_t count;
            const int64_t start = clock_mono_ns();
            if (pass < 2) {
                must(online_get(copy, ONLINE_KOL, keys[i].platform, keys[i].id, &record, &err),
                     "get");
            } else {
                must(online_find(copy, ONLINE_KOL, keys[i].id, same, 4, &count, &err), "find");
                record = same[0];
            }
            sum += online_int(&record, column, &value) ? value : 0;
            times[i] = (double)(clock_mono_ns() - start) / 1e3;
        }
        show(pass == 0   ? "get by platform and id, first pass"
             : pass == 1 ? "get by platform and id, warm"
                         : "find by id on all platforms, warm",
             times, READS, "us", clock_cpu_ns() - cpu_ns);
    }
    if (sum == 0) {
        kol_panic("no KOL has a follower");
    }
    free(times);
    free(keys);
}

static const char *const metrics[] = {"followers", "engagement", "trust",
                                      "trending",  "success",    "composite"};
static const char *const filters[] = {
    "true",
    "platform = 'tiktok'",
    "platform = 'twitter' AND tier IN ('Macro', 'Mega')",
    "verified AND category = 'food'",
    "lang = 'vi' AND followers_count >= 100000",
    "platform = 'youtube' AND tier = 'Micro' AND verified AND category IN ('tech', 'games') AND "
    "lang = 'en' AND followers_count >= 20000",
};

/* One list as the API makes it: keys by SQL, rows by key. */
static void take_list(struct online_copy *copy, struct engine_session *session, const char *sql)
{
    struct engine_result *result;
    struct online_key keys[100];
    struct online_record records[100];
    char space[16384];
    size_t rows, count = 0, used = 0;
    must(engine_query(session, sql, &result, &err), "list");
    do {
        must(engine_next(result, &rows, &err), "list");
        for (size_t row = 0; row < rows; row++, count++) {
            struct str *texts[2] = {&keys[count].platform, &keys[count].id};
            for (size_t i = 0; i < 2; i++) {
                struct str text = engine_text(result, i, row);
                memcpy(space + used, text.ptr, text.len);
                *texts[i] = (struct str){space + used, text.len};
                used += text.len;
            }
        }
    } while (rows);
    engine_result_free(&result);
    must(online_get_many(copy, ONLINE_KOL, keys, count, records, &err), "records");
}

static void bench_lists(struct online_copy *copy)
{
    struct engine_session *session;
    double *all = mem_alloc(ARRAY_LEN(metrics) * LISTS * sizeof *all);
    const int64_t begun_ns = clock_cpu_ns();
    must(online_lists(copy, &session, &err), "lists");
    for (size_t m = 0; m < ARRAY_LEN(metrics); m++) {
        double *times = all + m * LISTS;
        int64_t cpu_ns = 0;
        for (size_t i = 0; i < LISTS + ARRAY_LEN(filters); i++) { /* the first round warms up */
            char sql[512];
            snprintf(sql, sizeof sql,
                     "SELECT platform::VARCHAR, kol_id FROM kols_by_%s WHERE %s LIMIT 100",
                     metrics[m], filters[i % ARRAY_LEN(filters)]);
            cpu_ns = i == ARRAY_LEN(filters) ? clock_cpu_ns() : cpu_ns;
            const int64_t start = clock_mono_ns();
            take_list(copy, session, sql);
            if (i >= ARRAY_LEN(filters)) {
                times[i - ARRAY_LEN(filters)] = (double)(clock_mono_ns() - start) / 1e6;
            }
        }
        char what[64];
        snprintf(what, sizeof what, "top 100 by %s", metrics[m]);
        show(what, times, LISTS, "ms", clock_cpu_ns() - cpu_ns);
    }
    show("top 100, all metrics", all, ARRAY_LEN(metrics) * LISTS, "ms", clock_cpu_ns() - begun_ns);
    free(all);
    engine_session_close(&session);
}

static void bench_queries(struct online_copy *copy)
{
    static const struct {
        const char *what, *sql;
    } queries[] = {
        {"count with filters", "SELECT count(*) FROM kols WHERE platform = 'twitter' AND tier IN "
                               "('Macro', 'Mega') AND verified"},
        {"search in names, 20 best",
         "SELECT platform::VARCHAR, kol_id FROM kols_by_followers WHERE contains(name_folded, "
         "'thi 77') LIMIT 20"},
        {"history of a KOL", "SELECT day, followers_count FROM kol_daily WHERE platform = "
                             "(SELECT platform FROM kols OFFSET 5000 LIMIT 1) AND kol_id = "
                             "(SELECT kol_id FROM kols OFFSET 5000 LIMIT 1) ORDER BY day"},
        {"newest content of a KOL",
         "SELECT content_id FROM content WHERE platform = (SELECT platform FROM kols OFFSET 5000 "
         "LIMIT 1) AND kol_id = (SELECT kol_id FROM kols OFFSET 5000 LIMIT 1) ORDER BY posted_at "
         "DESC LIMIT 50"},
    };
    struct engine_session *session;
    must(online_lists(copy, &session, &err), "lists");
    for (size_t q = 0; q < ARRAY_LEN(queries); q++) {
        double times[50];
        const int64_t cpu_ns = clock_cpu_ns();
        for (size_t i = 0; i < ARRAY_LEN(times); i++) {
            char sql[1024];
            int64_t count;
            snprintf(sql, sizeof sql, "SELECT count(*) FROM (%s)", queries[q].sql);
            const int64_t start = clock_mono_ns();
            must(engine_get_int(session, sql, &count, &err), queries[q].what);
            times[i] = (double)(clock_mono_ns() - start) / 1e6;
        }
        show(queries[q].what, times, ARRAY_LEN(times), "ms", clock_cpu_ns() - cpu_ns);
    }
    engine_session_close(&session);
}

/* The time of each step, by what is being made. */
static void show_step(const char *step, int64_t done, int64_t total, void *user)
{
    static char last[64];
    static int64_t wall_ns, cpu_ns;
    (void)done;
    (void)total;
    (void)user;
    if (strcmp(step, last) != 0) {
        if (*last) {
            printf("  %-24s %6.1f s, %6.1f s of CPU\n", last,
                   (double)(clock_mono_ns() - wall_ns) / 1e9,
                   (double)(clock_cpu_ns() - cpu_ns) / 1e9);
        }
        snprintf(last, sizeof last, "%s", step);
        wall_ns = clock_mono_ns();
        cpu_ns = clock_cpu_ns();
    }
}

static void build_copy(struct engine *engine, struct engine_session *session,
                       const struct online_source *sources, size_t count)
{
    const struct online_input input = {engine, session, sources, count, "bench"};
    const struct online_build_options options = {
        .data = folder, .force = true, .on_progress = show_step};
    struct online_build_report report;
    pthread_t watcher;
    const long before_kb = memory_kb();
    const int64_t cpu_ns = clock_cpu_ns();
    atomic_store(&watching, true);
    if (pthread_create(&watcher, NULL, watch, NULL) != 0) {
        kol_panic("no thread");
    }
    must(online_build_from(&options, &input, &report, &err), "build");
    atomic_store(&watching, false);
    pthread_join(watcher, NULL);
    printf("built in %.1f s (%.1f s of CPU; lists %.1f s, records %.1f s): %lld KOLs, %lld "
           "contents, %.0f MB; memory %.0f MB (%.0f MB before)\n",
           report.seconds, (double)(clock_cpu_ns() - cpu_ns) / 1e9, report.lists_seconds,
           report.records_seconds, (long long)report.kols, (long long)report.contents,
           (double)report.bytes / 1e6, (double)highest_kb / 1024, (double)before_kb / 1024);
}

int main(int argc, char **argv)
{
    const long long kols = argc > 1 ? atoll(argv[1]) : 1000000,
                    contents = argc > 2 ? atoll(argv[2]) : kols * 55 / 100,
                    days = argc > 3 ? atoll(argv[3]) : 2;
    const long long memory_mb = argc > 4 ? atoll(argv[4]) : 1500;
    const char *place = getenv("TMPDIR");
    struct ice_schema schemas[ARRAY_LEN(tables)];
    struct online_source sources[ARRAY_LEN(tables)];
    struct engine *engine;
    struct engine_session *session;
    arena_init(&arena, 0);
    snprintf(folder, sizeof folder, "%.40s/bench_online.XXXXXX", place ? place : "/tmp");
    if (!mkdtemp(folder)) {
        kol_panic("cannot make %s", folder);
    }
    struct buf path = {0}, spill = {0}, command = {0};
    buf_printf(&path, "%s/lake.duckdb", folder);
    buf_printf(&spill, "%s/spill", folder);
    const struct engine_options options = {
        .path = path.ptr, .temp = spill.ptr, .memory_bytes = memory_mb << 20, .threads = 2};
    must(engine_open(&options, &engine, &err), "open");
    must(engine_session_open(engine, &session, &err), "session");
    must(engine_exec(session, "CREATE SCHEMA silver; CREATE SCHEMA gold", &err), "schemas");
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        make_table(session, &tables[i], kols, days, contents, &schemas[i]);
        sources[i] = (struct online_source){tables[i].name_space, tables[i].name, &schemas[i], 1};
    }
    must(engine_exec(session, "CHECKPOINT", &err), "checkpoint");
    build_copy(engine, session, sources, ARRAY_LEN(tables));
    engine_session_close(&session);
    engine_close(&engine);

    struct online_copy *copy;
    const struct online_options open_options = {.data = folder, .threads = 1};
    must(online_open(&open_options, &copy, &err), "open copy");
    bench_reads(copy);
    bench_lists(copy);
    bench_queries(copy);
    online_close(&copy);
    buf_printf(&command, "rm -rf %s", folder);
    int removed = getenv("KEEP") ? 0 : system(command.ptr);
    buf_free(&command);
    buf_free(&path);
    buf_free(&spill);
    arena_free(&arena);
    return removed != 0;
}
