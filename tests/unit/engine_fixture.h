/*
 * engine_fixture.h: an engine in memory with one session, a folder for files, and short ways to
 * ask.
 */
#ifndef TESTS_UNIT_ENGINE_FIXTURE_H
#define TESTS_UNIT_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/engine.h"

static struct engine *engine;
static struct engine_session *session;
static struct kol_error err;
static struct arena arena;
static char folder[64];

#define OK(call) assert_true_text((call) == KOL_OK, __FILE__, __LINE__)

/* With the error's text where it does not hold. */
static inline void assert_true_text(bool holds, const char *file, int line)
{
    if (!holds) {
        print_error("%s:%d: %s: %s\n", file, line, kol_status_text(err.status), err.message);
        fail();
    }
}

static int open_engine(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/kol-test-engine-XXXXXX");
    assert_non_null(mkdtemp(folder));
    char *temp = mem_alloc(strlen(folder) + 16);
    sprintf(temp, "%s/temp", folder);
    struct engine_options options = {.threads = 2, .temp = temp};
    OK(engine_open(&options, &engine, &err));
    OK(engine_session_open(engine, &session, &err));
    arena_init(&arena, 0);
    free(temp);
    return 0;
}

/* How many files the folder holds; they are removed on the way. */
static inline size_t empty_folder(void)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *at = readdir(dir); at; at = readdir(dir)) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, at->d_name);
        count += at->d_name[0] != '.' && unlink(path) == 0;
    }
    closedir(dir);
    return count;
}

static int close_engine(void **state)
{
    (void)state;
    engine_session_close(&session);
    engine_close(&engine);
    arena_free(&arena);
    empty_folder();
    char temp[96];
    snprintf(temp, sizeof temp, "%s/temp", folder);
    rmdir(temp);
    rmdir(folder);
    return 0;
}

/* The first cell as text, in memory of the arena. */
static inline const char *ask(const char *sql)
{
    struct buf out = {0};
    OK(engine_get_text(session, sql, &out, &err));
    const char *copy = arena_copy(&arena, buf_str(&out)).ptr;
    buf_free(&out);
    return copy;
}

static inline const char *askf(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *askf(const char *format, ...)
{
    struct buf sql = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&sql, format, args);
    va_end(args);
    const char *answer = ask(sql.ptr);
    buf_free(&sql);
    return answer;
}

#endif
