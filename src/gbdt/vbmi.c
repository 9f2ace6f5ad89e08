/*
 * vbmi.c: kernel.h on the 64-byte registers of AVX-512 with VBMI, whose shuffle looks up any of 64
 * columns at once.
 */
#include "gbdt/paths.h"

#ifdef GBDT_X86
#define WANTED "avx512f,avx512bw,avx512vbmi,bmi2,popcnt"
#include "gbdt/words512.h"

#define KERNEL_TOPS 64
#define KERNEL_HALVES false

struct tables {
    vec codes;
};

KERNEL struct tables v_tables(const int8_t *codes)
{
    return (struct tables){_mm512_loadu_si512(codes)};
}

KERNEL vec v_look(const struct tables *tables, vec columns)
{
    return _mm512_permutexvar_epi8(columns, tables->codes);
}

#include "gbdt/kernel.h"

static bool available(void)
{
    return CPU_HAS("avx512f") && CPU_HAS("avx512bw") && CPU_HAS("avx512vbmi") && CPU_HAS("bmi2") &&
           CPU_HAS("popcnt");
}

const struct gbdt_evaluator gbdt_vbmi = {"vbmi", available, prepare, raw, raw_rows};
#endif
