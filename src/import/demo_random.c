/* demo_random.c: streams, distributions and the little mathematics that they need. */
#include "import/demo_random.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

void demo_random_init(struct demo_random *random, uint64_t seed, uint64_t kol, uint64_t purpose)
{
    const uint64_t numbers[] = {seed, kol, purpose};
    random_seed(&random->stream, numbers, ARRAY_LEN(numbers));
}

uint64_t demo_bits(struct demo_random *random)
{
    return random_bits(&random->stream);
}

uint64_t demo_below(struct demo_random *random, uint64_t bound)
{
    return random_below(&random->stream, bound);
}

double demo_unit(struct demo_random *random)
{
    return (double)(demo_bits(random) >> 11) * 0x1p-53;
}

double demo_between(struct demo_random *random, double low, double high)
{
    return low + (high - low) * demo_unit(random);
}

bool demo_chance(struct demo_random *random, double probability)
{
    return demo_unit(random) < probability;
}

double demo_normal(struct demo_random *random)
{
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t bits = demo_bits(random);
        sum += (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    }
    /* Twelve uniforms on 0 .. 65535 have mean 12 * 32767.5 and standard deviation 65536. */
    return ((double)sum - 393210.0) * 0x1p-16;
}

double demo_lognormal(struct demo_random *random, double median, double sigma)
{
    return median * demo_exp(sigma * demo_normal(random));
}

double demo_pareto(struct demo_random *random, double least, double alpha)
{
    return least * demo_pow(1.0 - demo_unit(random), -1.0 / alpha);
}

double demo_exp(double x)
{
    /* x = k ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts keeps r exact. */
    double k = floor(x * 1.4426950408889634 + 0.5);
    double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
    double sum = 1.0;
    for (int i = 14; i > 0; i--) {
        sum = 1.0 + sum * r / i;
    }
    return ldexp(sum, (int)k);
}

double demo_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent); /* 0.5 <= m < 1 */
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    /* ln m = 2 artanh((m - 1) / (m + 1)), |s| < 0.172. */
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int i = 21; i > 0; i -= 2) {
        sum = sum * square + 1.0 / i;
    }
    return 2 * s * sum + exponent * 0.69314718055994531;
}

double demo_pow(double x, double exponent)
{
    return demo_exp(exponent * demo_log(x));
}

uint64_t demo_permute(uint64_t value, int bits, uint64_t key)
{
    /* Exclusive or with a constant, multiplication by an odd number and a shift to the right that
     * is added in can each be undone within `bits` bits, so all of them together can. */
    uint64_t mask = (UINT64_C(1) << bits) - 1, mixer = key;
    for (int round = 0; round < 3; round++) {
        value = (value ^ random_mix(&mixer)) & mask;
        value = value * (random_mix(&mixer) | 1) & mask;
        value ^= value >> ((bits + 1) / 2);
    }
    return value;
}
