/*
 * avx512.c: kernel.h on the 64-byte registers of AVX-512, for CPUs without VBMI.
 */
#include "gbdt/paths.h"

#ifdef GBDT_X86
#define WANTED "avx512f,avx512bw,bmi2"
#include "gbdt/words512.h"

#define LOOKED_UP 32 /* columns that v_look() can tell apart */

struct tables {
    vec low, high; /* the codes of columns 0..15 and 16..31, in each quarter */
};

KERNEL struct tables v_tables(const int8_t *codes)
{
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)codes);
    const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(codes + 16));
    return (struct tables){_mm512_broadcast_i32x4(low), _mm512_broadcast_i32x4(high)};
}

/* Columns as gbdt_add_tops() writes them with `halves`: bit 7 makes the shuffle give 0. */
KERNEL vec v_look(const struct tables *tables, vec columns)
{
    const vec flipped = _mm512_xor_si512(columns, _mm512_set1_epi8((char)0x80));
    return _mm512_or_si512(_mm512_shuffle_epi8(tables->low, columns),
                           _mm512_shuffle_epi8(tables->high, flipped));
}

#include "gbdt/kernel.h"

static bool available(void)
{
    return CPU_HAS("avx512f") && CPU_HAS("avx512bw") && CPU_HAS("bmi2");
}

static bool prepare(struct gbdt_model *model, void **made)
{
    struct gbdt_complete *plan = gbdt_make_complete(model);
    if (plan && plan->column_count <= LOOKED_UP) {
        gbdt_add_tops(model, plan, true);
    }
    *made = plan;
    return plan != NULL;
}

TARGET static double raw(const struct gbdt_model *model, const void *plan, const double *row)
{
    return kernel_raw(model, plan, row);
}

TARGET static void raw_rows(const struct gbdt_model *model, const void *plan, const double *rows,
                            size_t count, double *out)
{
    kernel_raw_rows(model, plan, rows, count, out);
}

const struct gbdt_evaluator gbdt_avx512 = {"avx512", available, prepare, raw, raw_rows};
#endif
