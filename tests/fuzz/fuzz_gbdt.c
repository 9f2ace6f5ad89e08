/*
 * fuzz_gbdt.c: any bytes as a LightGBM model.
 *
 * What must hold of a model that is taken: every way to evaluate it gives the same bits, for rows
 * one by one and in blocks; what its features add, and the base, sum to the raw score; a message
 * stands with every refusal.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gbdt/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 19, MOST_PATHS = 16 };

static uint64_t seed;

static uint64_t draw(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed >> 33;
}

/* A value that may matter to the model: its thresholds and their neighbours, and the odd ones. */
static double draw_value(const struct gbdt_model *model)
{
    static const double odd[] = {0, -0.0, NAN, INFINITY, -INFINITY, 1, -1, 1e-35, 5e-324, 1e300};
    const uint64_t choice = draw() % 8;
    if (choice < 3 || !model->node_count) {
        return odd[draw() % ARRAY_LEN(odd)];
    }
    const double threshold = model->nodes[draw() % model->node_count].threshold;
    return choice < 5   ? threshold
           : choice < 6 ? nextafter(threshold, INFINITY)
           : choice < 7 ? nextafter(threshold, -INFINITY)
                        : (double)(draw() % 70);
}

static void check_paths(struct gbdt_model *model, const double *rows)
{
    const char *names[MOST_PATHS];
    double want[ROWS], got[ROWS];
    const size_t count = gbdt_paths(names, MOST_PATHS);
    KOL_ASSERT(count >= 1 && count <= MOST_PATHS);
    for (size_t i = 0; i < count; i++) {
        const enum kol_status status = gbdt_use(model, names[i], NULL);
        KOL_ASSERT(status == KOL_OK || (i && status == KOL_UNSUPPORTED));
        if (status != KOL_OK) {
            continue;
        }
        gbdt_raw_rows(model, rows, ROWS, i ? got : want);
        for (size_t row = 0; row < ROWS; row++) {
            const double single = gbdt_raw(model, rows + row * model->feature_count);
            KOL_ASSERT(isfinite(want[row]));
            KOL_ASSERT(memcmp(&single, &want[row], sizeof single) == 0);
            KOL_ASSERT(i == 0 || memcmp(&got[row], &want[row], sizeof single) == 0);
        }
    }
    KOL_ASSERT(gbdt_use(model, names[0], NULL) == KOL_OK);
}

/* No feature adds more than a leaf differs from another, so rounding is measured by the leaves. */
static double scale_of(const struct gbdt_model *model)
{
    double scale = 0;
    for (size_t i = 0; i < model->leaf_count; i++) {
        scale += fabs(model->leaf_values[i]);
    }
    return scale;
}

static void check_explained(const struct gbdt_model *model, const double *row)
{
    double *phi = mem_alloc((model->feature_count + 1) * sizeof *phi), sum = 0;
    gbdt_explain(model, row, phi);
    const bool explained = gbdt_can_explain(model, NULL) == KOL_OK;
    for (size_t i = 0; i <= model->feature_count; i++) {
        KOL_ASSERT(isnan(phi[i]) != explained);
        KOL_ASSERT(!explained || i == model->feature_count || model->asked[i] || phi[i] == 0);
        sum += phi[i];
    }
    KOL_ASSERT(!explained || fabs(sum - gbdt_raw(model, row)) <= 1e-9 * scale_of(model));
    free(phi);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gbdt_model *model = NULL;
    struct kol_error err = {0};
    if (gbdt_parse((struct str){(const char *)data, size}, &model, &err) != KOL_OK) {
        KOL_ASSERT(!model && err.message[0]);
        return 0;
    }
    const size_t features = gbdt_feature_count(model);
    double *rows = mem_alloc(ROWS * features * sizeof *rows);
    seed = size;
    for (size_t i = 0; i < ROWS * features; i++) {
        rows[i] = draw_value(model);
        (void)gbdt_in_range(model, i % features, rows[i]);
    }
    check_paths(model, rows);
    for (size_t i = 0; i < 4; i++) {
        check_explained(model, rows + i * features);
    }
    free(rows);
    gbdt_free(&model);
    return 0;
}
