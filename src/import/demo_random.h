/*
 * demo_random.h: the chance in the demo world: the same on every machine.
 *
 * Nothing here calls the C library's mathematics, whose last digit differs between machines; with
 * IEEE doubles and without fused multiply-add the demo's bytes depend on the seed alone. C leaves
 * the order of arguments and operands open: draw once per expression.
 */
#ifndef IMPORT_DEMO_RANDOM_H
#define IMPORT_DEMO_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"

/* One stream for each purpose of each KOL, so that a draw more in one place moves nothing in
 * another. */
struct demo_random {
    struct random_stream stream;
};

void demo_random_init(struct demo_random *random, uint64_t seed, uint64_t kol, uint64_t purpose);

uint64_t demo_bits(struct demo_random *random);
uint64_t demo_below(struct demo_random *random, uint64_t bound); /* 0 .. bound - 1; bound > 0 */
double demo_unit(struct demo_random *random);                    /* 0 <= x < 1 */
double demo_between(struct demo_random *random, double low, double high);
bool demo_chance(struct demo_random *random, double probability);

/* About standard normal: the sum of twelve uniforms, so never outside -6 .. 6. */
double demo_normal(struct demo_random *random);

/* exp(N(ln(median), sigma)): median > 0. */
double demo_lognormal(struct demo_random *random, double median, double sigma);

/* Pareto: P(X > x) = (least / x)^alpha. */
double demo_pareto(struct demo_random *random, double least, double alpha);

/* Mathematics to about 1e-15, for |x| < 700 and positive finite x. */
double demo_exp(double x);
double demo_log(double x);
double demo_pow(double x, double exponent); /* x > 0 */

/* A bijection of the numbers of `bits` bits (2..63) that looks like chance; `key` picks which. */
uint64_t demo_permute(uint64_t value, int bits, uint64_t key);

#endif
