/*
 * avx2.c: kernel.h on the 32-byte registers of AVX2.
 */
#include "gbdt/paths.h"

#ifdef GBDT_X86
#include <immintrin.h>

typedef __m256i vec;
typedef __m256i mask; /* 0 or -1 */

#define TARGET __attribute__((target("avx2,bmi2,popcnt")))
#define KERNEL TARGET static inline
#define VECTORS 2
#define FEW 16
#define KERNEL_BELOW
#define KERNEL_TOPS 32
#define KERNEL_HALVES true

KERNEL vec v_load(const void *from)
{
    return _mm256_loadu_si256(from);
}

KERNEL void v_store(void *to, vec bytes)
{
    _mm256_storeu_si256(to, bytes);
}

KERNEL vec v_splat(char byte)
{
    return _mm256_set1_epi8(byte);
}

KERNEL vec v_spread(const uint32_t *four)
{
    return _mm256_set1_epi32((int)*four);
}

KERNEL mask v_above(vec codes, vec ranks)
{
    return _mm256_cmpgt_epi8(codes, ranks);
}

KERNEL vec v_pick(mask choice, vec no, vec yes)
{
    return _mm256_blendv_epi8(no, yes, choice);
}

KERNEL vec v_next(mask choice, vec base)
{
    return _mm256_sub_epi8(base, choice);
}

KERNEL vec below_four(const double *thresholds, __m256d all)
{
    return _mm256_castpd_si256(_mm256_cmp_pd(_mm256_load_pd(thresholds), all, _CMP_LT_OQ));
}

/* Each comparison becomes two bytes; which one stands where does not matter. */
KERNEL uint32_t v_below(const double *thresholds, double value)
{
    const __m256d all = _mm256_set1_pd(value);
    const vec low =
        _mm256_packs_epi32(below_four(thresholds, all), below_four(thresholds + 4, all));
    const vec high =
        _mm256_packs_epi32(below_four(thresholds + 8, all), below_four(thresholds + 12, all));
    const int bytes = _mm256_movemask_epi8(_mm256_packs_epi16(low, high));
    return (uint32_t)__builtin_popcount((uint32_t)bytes) / 2;
}

struct tables {
    vec low, high; /* the codes of columns 0..15 and 16..31, in each half */
};

KERNEL struct tables v_tables(const int8_t *codes)
{
    return (struct tables){
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)codes)),
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(codes + 16)))};
}

/* Columns as KERNEL_HALVES has them written: bit 7 makes the shuffle give 0. */
KERNEL vec v_look(const struct tables *tables, vec columns)
{
    const vec flipped = _mm256_xor_si256(columns, _mm256_set1_epi8((char)0x80));
    return _mm256_or_si256(_mm256_shuffle_epi8(tables->low, columns),
                           _mm256_shuffle_epi8(tables->high, flipped));
}

#include "gbdt/kernel.h"

static bool available(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

const struct gbdt_evaluator gbdt_avx2 = {"avx2", available, prepare, raw, raw_rows};
#endif
