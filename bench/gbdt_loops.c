/*
 * gbdt_loops.c: the timed loops of bench_gbdt.py, so that nothing of Python is in them.
 *
 * A subject is what is timed: one of this program's evaluators, LightGBM through its C API, or the
 * machine code that lleaves made of the model. Both of them are called as their own bindings call
 * them, by addresses that Python knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "gbdt/gbdt.h"

enum kind { OURS, LIGHTGBM, LLEAVES };

typedef int fast_call(void *config, const void *row, int64_t *length, double *out);
typedef int rows_call(void *booster, const void *rows, int type, int32_t count, int32_t width,
                      int row_major, int what, int first, int trees, const char *words,
                      int64_t *length, double *out);
typedef void lleaves_call(const double *rows, double *out, int32_t from, int32_t to);

/* Same as class Subject in bench_gbdt.py. */
struct subject {
    int32_t kind;
    int32_t width;
    void *handle;  /* the model; LightGBM's booster */
    void *config;  /* of LightGBM's calls for one row */
    void *one_row; /* LightGBM's call for one row; lleaves' entry */
    void *rows;    /* LightGBM's call for many */
};

void *loops_open(const char *model, const char *path);
double loops_time(const struct subject *subject, const double *rows, size_t count, size_t batch,
                  double *out);
void loops_cold(const struct subject *subject, const double *rows, size_t count, double *out,
                double *seconds);

/* A model that uses this evaluator; NULL, with a line on stderr, where that cannot be. */
void *loops_open(const char *model, const char *path)
{
    struct gbdt_model *made = NULL;
    struct kol_error err = {0};
    if (gbdt_read(model, &made, &err) != KOL_OK || gbdt_use(made, path, &err) != KOL_OK) {
        fprintf(stderr, "%s\n", err.message);
        return NULL;
    }
    return made;
}

static void evaluate(const struct subject *subject, const double *rows, size_t count, double *out)
{
    int64_t length = 0;
    switch ((enum kind)subject->kind) {
    case OURS:
        if (count == 1) {
            *out = gbdt_raw(subject->handle, rows);
        } else {
            gbdt_raw_rows(subject->handle, rows, count, out);
        }
        break;
    case LIGHTGBM:
        if (count == 1) {
            ((fast_call *)subject->one_row)(subject->config, rows, &length, out);
        } else {
            ((rows_call *)subject->rows)(subject->handle, rows, 1, (int32_t)count, subject->width,
                                         1, 1, 0, -1, "num_threads=1", &length, out);
        }
        break;
    case LLEAVES: ((lleaves_call *)subject->one_row)(rows, out, 0, (int32_t)count);
    }
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* CPU seconds of this process for all rows, `batch` of them a call; a last part is left out. */
double loops_time(const struct subject *subject, const double *rows, size_t count, size_t batch,
                  double *out)
{
    const double begun = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i + batch <= count; i += batch) {
        evaluate(subject, rows + i * (size_t)subject->width, batch, out + i);
    }
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID) - begun;
}

/* CPU seconds of each row by itself, when all caches hold something else. */
void loops_cold(const struct subject *subject, const double *rows, size_t count, double *out,
                double *seconds)
{
    enum { OTHER = 96 << 20, LINE = 64 };
    volatile unsigned char *other = mem_alloc(OTHER);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < OTHER; k += LINE) {
            other[k] = (unsigned char)(other[k] + i);
        }
        const double begun = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        evaluate(subject, rows + i * (size_t)subject->width, 1, out + i);
        seconds[i] = seconds_of(CLOCK_THREAD_CPUTIME_ID) - begun;
    }
    free((void *)(uintptr_t)other);
}
