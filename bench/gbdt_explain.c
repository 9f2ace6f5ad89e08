/*
 * gbdt_explain.c: what it costs to explain one score, beside lib_lightgbm's pred_contrib.
 *
 *   bench_gbdt_explain [ROUNDS]      default 5
 *
 * The reference model of 494 trees and rows of its file of expected scores, the same for both, one
 * thread. The rounds take turns, CPU time counts, the best round is shown. lib_lightgbm is that of
 * .venv, or the file that LIB_LIGHTGBM names. Ends with status 1 where a row takes over a fifth of
 * lib_lightgbm's time, or the two differ by over 1e-9 of the row's largest value; where the model
 * or the library is absent it says so and ends with 0.
 */
#include <dlfcn.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "gbdt/gbdt.h"

enum { ROWS = 64, EVERY = 100, LINE = 1 << 16, DOUBLES = 1, CONTRIBUTIONS = 3 };

/* The part of lib_lightgbm's C API that is called here, as its header declares it. */
typedef int create_fn(const char *file, int *iterations, void **out);
typedef int predict_fn(void *booster, const void *data, int type, int32_t rows, int32_t columns,
                       int row_major, int predict_type, int start, int iterations,
                       const char *parameters, int64_t *length, double *out);

struct peer {
    void *booster;
    predict_fn *predict;
};

struct subject {
    struct gbdt_model *model;
    struct peer peer;
    size_t features;
    double *rows, *phi, *peer_phi;
};

static char *find_library(void)
{
    const char *named = getenv("LIB_LIGHTGBM");
    glob_t found;
    char *path = NULL;
    if (named) {
        return mem_strdup(named);
    }
    if (glob(".venv/lib/python3*/site-packages/lightgbm/lib/lib_lightgbm.so", 0, NULL, &found) ==
        0) {
        path = mem_strdup(found.gl_pathv[0]);
        globfree(&found);
    }
    return path;
}

static bool open_peer(struct peer *peer, const char *model)
{
    char *path = find_library();
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    free(path);
    if (!library) {
        printf("no lib_lightgbm here (tools/venv.sh gets it): nothing to compare with\n");
        return false;
    }
    create_fn *create;
    int iterations;
    *(void **)&create = dlsym(library, "LGBM_BoosterCreateFromModelfile");
    *(void **)&peer->predict = dlsym(library, "LGBM_BoosterPredictForMat");
    return create && peer->predict && create(model, &iterations, &peer->booster) == 0;
}

/* Every EVERY-th row of the file; its last two columns are the expected scores. */
static bool read_rows(struct subject *subject, const char *path)
{
    gzFile file = gzopen(path, "rb");
    char *line = mem_alloc(LINE);
    size_t count = 0;
    subject->rows = mem_zalloc(ROWS * subject->features, sizeof *subject->rows);
    for (size_t number = 0; file && count < ROWS && gzgets(file, line, LINE); number++) {
        if (number % EVERY == 1) {
            char *at = line;
            for (size_t i = 0; i < subject->features; i++) {
                subject->rows[count * subject->features + i] = strtod(at, &at);
                at += *at == ',';
            }
            count++;
        }
    }
    if (file) {
        gzclose(file);
    }
    free(line);
    return count == ROWS;
}

static void explain_here(struct subject *subject)
{
    for (size_t i = 0; i < ROWS; i++) {
        gbdt_explain(subject->model, subject->rows + i * subject->features,
                     subject->phi + i * (subject->features + 1));
    }
}

static void explain_there(struct subject *subject)
{
    int64_t length;
    const int failed = subject->peer.predict(subject->peer.booster, subject->rows, DOUBLES, ROWS,
                                             (int32_t)subject->features, 1, CONTRIBUTIONS, 0, -1,
                                             "num_threads=1", &length, subject->peer_phi);
    KOL_ASSERT(!failed && length == (int64_t)(ROWS * (subject->features + 1)));
}

static double us_a_row(void (*explain)(struct subject *), struct subject *subject)
{
    const int64_t start_ns = clock_cpu_ns();
    explain(subject);
    return (double)(clock_cpu_ns() - start_ns) / 1e3 / ROWS;
}

/* The largest difference, as a part of the largest value of its row. */
static double difference(const struct subject *subject)
{
    const size_t width = subject->features + 1;
    double worst = 0;
    for (size_t row = 0; row < ROWS; row++) {
        double largest = 0, apart = 0;
        for (size_t i = row * width; i < (row + 1) * width; i++) {
            largest = fmax(largest, fabs(subject->peer_phi[i]));
            apart = fmax(apart, fabs(subject->peer_phi[i] - subject->phi[i]));
        }
        worst = fmax(worst, apart / largest);
    }
    return worst;
}

static int compare(struct subject *subject, int rounds)
{
    const size_t cells = ROWS * (subject->features + 1);
    double here = INFINITY, there = INFINITY;
    subject->phi = mem_zalloc(cells, sizeof *subject->phi);
    subject->peer_phi = mem_zalloc(cells, sizeof *subject->peer_phi);
    for (int round = 0; round < rounds; round++) {
        here = fmin(here, us_a_row(explain_here, subject));
        there = fmin(there, us_a_row(explain_there, subject));
    }
    const double apart = difference(subject);
    const bool fast = here <= there / 5, same = apart <= 1e-9;
    printf("%-44s %10s\n", "one score explained, 494 trees", "us a row");
    printf("%-44s %10.1f\n", "gbdt_explain()", here);
    printf("%-44s %10.1f\n", "peer: pred_contrib of lib_lightgbm", there);
    printf("%-44s %9.1fx  floor 5x: %s\n", "ratio", there / here, fast ? "reached" : "MISSED");
    printf("%-44s %10.1e  at most 1e-09: %s\n", "largest difference, of the row's largest", apart,
           same ? "reached" : "MISSED");
    return fast && same ? 0 : 1;
}

/* A file of the folder of models beside the data sets, in memory for free(). */
static char *shared_model(const char *name)
{
    const char *data = getenv("KOL_SHARED_DATA");
    char *folder = file_join(data ? data : "../shared/data", "../models");
    char *path = file_join(folder, name);
    free(folder);
    return path;
}

int main(int argc, char **argv)
{
    const int asked = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;
    struct subject subject = {0};
    struct kol_error err = {0};
    char *model = shared_model("trust_lgbm_494_trees.txt");
    char *rows = shared_model("trust_lgbm_494_golden.csv.gz");
    int result = 0;
    if (!file_exists(model) || !file_exists(rows)) {
        printf("no %s: set KOL_SHARED_DATA\n", model);
    } else if (gbdt_read(model, &subject.model, &err) != KOL_OK) {
        printf("%s\n", err.message);
        result = 1;
    } else if (open_peer(&subject.peer, model)) {
        subject.features = gbdt_feature_count(subject.model);
        KOL_ASSERT(read_rows(&subject, rows));
        result = compare(&subject, asked > 0 ? asked : 1);
    }
    gbdt_free(&subject.model);
    free(subject.rows);
    free(subject.phi);
    free(subject.peer_phi);
    free(model);
    free(rows);
    return result;
}
