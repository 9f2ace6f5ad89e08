/*
 * log.h: ln(1 + x) for counts: the same bits on every machine.
 *
 * The C library's log1p() has several forms, chosen by CPU and version, that differ in the last
 * bit; a model that was trained on one machine would serve other features on the next. This one
 * needs only IEEE arithmetic without contraction, and no branch, so that the compiler may do
 * several at once. Private to score/.
 *
 * Method of fdlibm's e_log.c: 1 + x = 2^k m with m in [sqrt(1/2), sqrt(2)), s = (m - 1) / (m + 1),
 * ln m = 2 s + s R(s^2); what was lost in rounding 1 + x is added back as its share of it. Its
 * error is below 1 ulp, held in tests/unit/test_features.c against long doubles.
 */
#ifndef SCORE_LOG_H
#define SCORE_LOG_H

#include <stdint.h>
#include <string.h>

/* ln(1 + x) for x in [0, DBL_MAX]; NaN stays NaN. Undefined for other x. */
static inline double log_1p(double x)
{
    const double u = 1 + x;
    /* What u lacks of 1 + x, exactly: the larger of the two was taken apart first. */
    const double lost = x >= 1 ? 1 - (u - x) : x - (u - 1);
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    /* Of the bits of sqrt(1/2): m of it and above stays below sqrt(2). */
    const uint64_t shifted = bits - UINT64_C(0x3fe6a09e667f3bcd);
    bits -= shifted & UINT64_C(0xfff0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);

    const double f = m - 1, s = f / (2 + f), z = s * s, w = z * z;
    const double odd = w * (3.999999999940941908e-01 +
                            w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    const double even = z * (6.666666666666735130e-01 +
                             w * (2.857142874366239149e-01 +
                                  w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    const double half = 0.5 * f * f;
    /* k, as the last bits of 2^52 + k: there is no vector conversion below AVX-512. */
    const uint64_t k_bits = shifted >> 52 | UINT64_C(0x4330000000000000);
    double n;
    memcpy(&n, &k_bits, sizeof n);
    n -= 0x1p52;
    const double low = n * 1.90821492927058770002e-10 + lost / u;
    const double value =
        n * 6.93147180369123816490e-01 - ((half - (s * (half + odd + even) + low)) - f);
    return x == x ? value : x;
}

#endif
