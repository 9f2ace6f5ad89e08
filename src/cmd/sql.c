/*
 * sql.c: `kol sql`: one SELECT over the tables of the lake, read-only.
 *
 * The SELECT is looked at before anything runs, the tables that it names are pinned and become
 * views, and then the engine is locked: from there on it opens the files of these tables and no
 * others, whatever the text says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/logger.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/command.h"
#include "lake/etl.h"
#include "lake/lake.h"

#if defined(__has_feature) /* clang says it so, gcc by a macro */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

enum { SQL_MAX = 1 << 20 }; /* bytes of a statement */

struct asking {
    const struct invocation *call;
    struct lake *lake;
    struct engine *engine;
    struct engine_session *session;
    struct lake_pin *pins;
    size_t pin_count;
    struct etl_run_tables run; /* whose tables are taken; none where each is taken as it is */
};

/* ---- the text ---- */

static enum kol_status read_stdin(struct buf *out, struct kol_error *err)
{
    char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof block, stdin)) > 0) {
        buf_append(out, block, got);
        if (out->len > SQL_MAX) {
            return kol_fail(err, KOL_INVALID, "the SQL on stdin is longer than %d bytes", SQL_MAX);
        }
    }
    return ferror(stdin) ? kol_fail_errno(err, errno, "stdin cannot be read") : KOL_OK;
}

static enum kol_status read_sql(const struct invocation *call, struct buf *out,
                                struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    buf_puts(out, "");
    if (strcmp(call->args[0], "-") == 0) {
        status = read_stdin(out, err);
    } else {
        buf_puts(out, call->args[0]);
    }
    if (status == KOL_OK && (!text_is_utf8(buf_str(out)) || memchr(out->ptr, 0, out->len))) {
        status = kol_fail(err, KOL_INVALID, "the SQL is not UTF-8 text");
    }
    return status;
}

/* ---- tables ---- */

/* All tables of the catalog, to find one that the SELECT writes in other letters. */
struct names {
    struct arena arena;
    struct catalog *catalog;
    const char **items;
    size_t count, cap;
};

static enum kol_status add_name(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct names *names = user;
    struct buf name = {0};
    (void)err;
    if (names->count == names->cap) {
        names->cap = names->cap ? 2 * names->cap : 64;
        names->items = mem_realloc(names->items, names->cap * sizeof *names->items);
    }
    buf_printf(&name, "%s.%s", ident.name_space, ident.name);
    names->items[names->count++] = arena_copy(&names->arena, buf_str(&name)).ptr;
    buf_free(&name);
    return KOL_OK;
}

static enum kol_status add_namespace(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct names *names = user;
    return names->catalog->ops->list(names->catalog, ident.name_space, add_name, names, err);
}

/* The table that `name` means: in these letters, else in others. A name without a namespace means
 * none, but is worth a hint. */
static enum kol_status find_table(const struct names *names, const char *name, const char **out,
                                  struct kol_error *err)
{
    const char *in_others = NULL, *elsewhere = NULL;
    *out = name;
    for (size_t i = 0; i < names->count; i++) {
        const char *item = names->items[i], *last = strrchr(item, '.') + 1;
        if (strcmp(item, name) == 0) {
            *out = item;
            return KOL_OK;
        }
        if (strcasecmp(item, name) == 0) {
            if (in_others) {
                return kol_fail(err, KOL_INVALID,
                                "%s: is it %s or %s? Their names differ in upper "
                                "and lower case; write it as it is",
                                name, in_others, item);
            }
            in_others = item;
        }
        elsewhere = strcasecmp(last, name) == 0 ? item : elsewhere;
    }
    if (!in_others && elsewhere) {
        return kol_fail(err, KOL_NOT_FOUND,
                        "there is no table %s; did you mean %s? `kol tables` shows all", name,
                        elsewhere);
    }
    *out = in_others ? in_others : name;
    return KOL_OK;
}

/* Whether the table is pinned. The engine's names know no case, so of two tables that differ in
 * nothing else it would show one for both. */
static enum kol_status is_pinned(const struct asking *asking, const char *name, bool *known,
                                 struct kol_error *err)
{
    *known = false;
    for (size_t i = 0; i < asking->pin_count; i++) {
        const struct lake_pin *pin = &asking->pins[i];
        struct buf full = {0};
        buf_printf(&full, "%s.%s", pin->name_space, pin->name);
        bool same = strcmp(full.ptr, name) == 0, alike = strcasecmp(full.ptr, name) == 0;
        buf_free(&full);
        *known = *known || same;
        if (alike && !same) {
            return kol_fail(err, KOL_UNSUPPORTED,
                            "%s.%s and %s differ only in upper and lower case, which one SELECT "
                            "cannot tell apart; ask one at a time",
                            pin->name_space, pin->name, name);
        }
    }
    return KOL_OK;
}

/* Where the run has a version of the table, pins that: `*done`. Bronze grows between two runs, and
 * is taken as it is. */
static enum kol_status add_table_of_run(struct asking *asking, const char *name, bool *done,
                                        struct kol_error *err)
{
    const char *rest = strchr(name, '.') + 1;
    size_t len = (size_t)(rest - 1 - name);
    *done = false;
    for (size_t i = 0; i < asking->run.count && !*done; i++) {
        const struct etl_run_table *table = &asking->run.tables[i];
        *done = strlen(table->name_space) == len && !memcmp(name, table->name_space, len) &&
                !strcmp(rest, table->name) && strcmp(table->name_space, "bronze") != 0;
        if (*done) {
            enum kol_status status =
                lake_pin(asking->lake, table->name_space, table->name, table->snapshot_id,
                         &asking->pins[asking->pin_count], err);
            return status == KOL_OK
                       ? KOL_OK
                       : kol_wrap(err, "the last complete run (--newest takes the newest instead)");
        }
    }
    return KOL_OK;
}

static enum kol_status add_table(struct asking *asking, const char *name, const char *as_of,
                                 struct kol_error *err)
{
    struct lake_pin *pin = &asking->pins[asking->pin_count];
    bool done = false;
    enum kol_status status = KOL_OK;
    if (strchr(name, '.')) {
        status = add_table_of_run(asking, name, &done, err);
    }
    if (status == KOL_OK && !done) {
        status = lake_pin_named(asking->lake, name, as_of, pin, err);
    }
    if (status == KOL_OK) {
        asking->pin_count++;
        status = lake_view(asking->session, pin, err);
    }
    return status;
}

/* Pins each table that the SELECT names, once. */
static enum kol_status add_tables(struct asking *asking, const char *const *wanted, size_t count,
                                  struct kol_error *err)
{
    struct names names = {.catalog = asking->lake->catalog};
    arena_init(&names.arena, 0);
    enum kol_status status =
        names.catalog->ops->list(names.catalog, NULL, add_namespace, &names, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        const char *name = NULL;
        bool known = false;
        status = find_table(&names, wanted[i], &name, err);
        if (status == KOL_OK) {
            status = is_pinned(asking, name, &known, err);
        }
        if (status == KOL_OK && !known) {
            status = add_table(asking, name, flag_text(asking->call, "as-of"), err);
        }
    }
    free(names.items);
    arena_free(&names.arena);
    return status;
}

/* The files of all tables, as the engine may open them. */
static enum kol_status lock(struct asking *asking, struct kol_error *err)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < asking->pin_count; i++) {
        count += asking->pins[i].files.count;
    }
    struct ice_data_file *files = mem_zalloc(count + 1, sizeof *files);
    for (size_t i = 0; i < asking->pin_count; i++) {
        const struct ice_files *of = &asking->pins[i].files;
        for (size_t j = 0; j < of->count; j++) {
            files[at++] = of->files[j];
        }
    }
    enum kol_status status = engine_lock(asking->engine, files, count, err);
    free(files);
    return status;
}

/* Several tables are asked as the last complete run left them: a run makes them one by one, and a
 * join would see half of it. */
static enum kol_status take_run(struct asking *asking, struct kol_error *err)
{
    enum kol_status status = etl_last_run(asking->lake, &asking->run, err);
    return status == KOL_NOT_FOUND ? KOL_OK : status;
}

static enum kol_status pin_tables(struct asking *asking, const char *sql, struct kol_error *err)
{
    const char *as_of = flag_text(asking->call, "as-of");
    const char **names = NULL;
    size_t count = 0;
    int64_t snapshot;
    struct arena arena;
    arena_init(&arena, 0);
    enum kol_status status = engine_tables_of(asking->session, sql, &arena, &names, &count, err);
    if (status == KOL_OK && count > 1 && as_of && str_to_int64(str_of(as_of), &snapshot)) {
        status = kol_fail(err, KOL_USAGE,
                          "--as-of %s is a snapshot of one table, and the SELECT reads %zu: name a "
                          "time",
                          as_of, count);
    }
    asking->pins = mem_zalloc(count + 1, sizeof *asking->pins);
    if (status == KOL_OK && count > 1 && !as_of && !flag_given(asking->call, "newest")) {
        status = take_run(asking, err);
    }
    if (status == KOL_OK) {
        status = add_tables(asking, names, count, err);
    }
    arena_free(&arena);
    return status;
}

static enum kol_status run(struct asking *asking, const char *sql, struct kol_error *err)
{
    const struct invocation *call = asking->call;
    struct engine_result *result = NULL;
    bool more = false;
    engine_set_timeout(asking->session, flag_int(call, "timeout"));
    enum kol_status status = engine_query(asking->session, sql, &result, err);
    if (status == KOL_OK) {
        status = command_print_answer(call, result, flag_int(call, "limit"), NULL, &more, err);
    }
    if (status == KOL_OK && more) {
        fprintf(stderr, "there are more rows than the %lld of --limit\n",
                (long long)flag_int(call, "limit"));
    }
    engine_result_free(&result);
    return status;
}

/* ---- limits ---- */

/* A statement that cannot be interrupted ends with the process. What was shown so far stays. */
static void end_process(enum kol_status status, const char *message)
{
    fprintf(stderr, "kol sql: %s\n", message);
    _exit(status == KOL_INTERRUPTED ? 130 : 1);
}

/*
 * The engine keeps its limit for what it sorts, joins and groups, but not for a single value: a
 * text of gigabytes is made where it was asked for. So the system refuses what is far beyond the
 * limit. The slack is for stacks, code and what the engine does not count.
 */
static void limit_memory(const struct lake *lake)
{
#ifndef SANITIZED
    enum { SLACK = 256 << 20, STACK = 16 << 20 };
    unsigned long long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (!statm) {
        return;
    }
    int got = fscanf(statm, "%*u %*u %*u %*u %*u %llu", &pages);
    fclose(statm);
    struct rlimit limit;
    if (got == 1 && lake->memory_bytes && getrlimit(RLIMIT_DATA, &limit) == 0) {
        rlim_t most = (rlim_t)lake->memory_bytes + (rlim_t)lake->memory_bytes / 4 + SLACK +
                      (rlim_t)lake_threads(lake) * STACK + pages * (rlim_t)sysconf(_SC_PAGESIZE);
        limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
        if (setrlimit(RLIMIT_DATA, &limit)) {
            log_warn("the system does not limit the memory");
        }
    }
#else
    (void)lake; /* a sanitizer has memory of its own */
#endif
}

enum kol_status cmd_sql(const struct invocation *call, struct kol_error *err)
{
    struct asking asking = {.call = call};
    struct buf sql = {0};
    enum kol_status status = read_sql(call, &sql, err);
    if (status == KOL_OK) {
        status = command_open_lake(call, true, &asking.lake, err);
    }
    if (status == KOL_OK && flag_given(call, "memory")) {
        asking.lake->memory_bytes = flag_int(call, "memory");
    }
    if (status == KOL_OK) {
        limit_memory(asking.lake);
        status = lake_engine(asking.lake, &asking.engine, err);
    }
    if (status == KOL_OK) {
        engine_on_stuck(asking.engine, end_process);
        status = engine_session_open(asking.engine, &asking.session, err);
    }
    if (status == KOL_OK) {
        status = engine_check_user_select(asking.session, sql.ptr, err);
    }
    if (status == KOL_OK) {
        status = pin_tables(&asking, sql.ptr, err);
    }
    if (status == KOL_OK) {
        status = lock(&asking, err);
    }
    if (status == KOL_OK) {
        status = run(&asking, sql.ptr, err);
    }
    engine_session_close(&asking.session);
    engine_close(&asking.engine);
    for (size_t i = 0; i < asking.pin_count; i++) {
        lake_unpin(&asking.pins[i]);
    }
    free(asking.pins);
    etl_run_tables_free(&asking.run);
    lake_close(&asking.lake);
    buf_free(&sql);
    return status;
}
