/*
 * words512.h: the words of kernel.h on 64-byte registers, for avx512.c and vbmi.c. Private; WANTED
 * stands before it, the parts of the instruction set that the file uses.
 *
 * With GBDT_EMULATED, in a test, the intrinsics are functions in plain C: what these files do with
 * them can be tried on any machine.
 */
#ifdef GBDT_EMULATED
#include "emulated512.h"
#define TARGET
#define CPU_HAS(part) true
#else
#include <immintrin.h>
#define TARGET __attribute__((target(WANTED)))
#define CPU_HAS(part) __builtin_cpu_supports(part)
#endif

typedef __m512i vec;
typedef __mmask64 mask;

#define KERNEL TARGET static inline
#define VECTORS 1
#define FEW 16
#define KERNEL_BELOW

KERNEL vec v_load(const void *from)
{
    return _mm512_loadu_si512(from);
}

KERNEL void v_store(void *to, vec bytes)
{
    _mm512_storeu_si512(to, bytes);
}

KERNEL vec v_splat(char byte)
{
    return _mm512_set1_epi8(byte);
}

KERNEL vec v_spread(const uint32_t *four)
{
    return _mm512_set1_epi32((int)*four);
}

KERNEL mask v_above(vec codes, vec ranks)
{
    return _mm512_cmplt_epi8_mask(ranks, codes); /* in this order the codes may stay in memory */
}

KERNEL vec v_pick(mask choice, vec no, vec yes)
{
    return _mm512_mask_blend_epi8(choice, no, yes);
}

KERNEL vec v_next(mask choice, vec base)
{
    return _mm512_mask_add_epi8(base, choice, base, _mm512_set1_epi8(1));
}

KERNEL uint32_t v_below(const double *thresholds, double value)
{
    const __m512d all = _mm512_set1_pd(value);
    const __mmask8 low = _mm512_cmp_pd_mask(_mm512_load_pd(thresholds), all, _CMP_LT_OQ);
    const __mmask8 high = _mm512_cmp_pd_mask(_mm512_load_pd(thresholds + 8), all, _CMP_LT_OQ);
    return (uint32_t)__builtin_popcount((uint32_t)low | (uint32_t)high << 8);
}
