/*
 * count.h: counts as pages show them ("11.3K", "4,1Tr", "1.234"), read exactly.
 *
 * The one parser of the program. Grammar and checked values: SPEC section 1, docs/events.md.
 */
#ifndef DOMAIN_COUNT_H
#define DOMAIN_COUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Reads a count by exact decimal arithmetic; fractions of a unit are cut. Suffixes, in any case:
 * K and N (nghin) 10^3, M and Tr (trieu) 10^6, B 10^9. With a suffix, one '.' or ',' is the decimal
 * separator; without one, '.', ',' or ' ' must make groups of three. False, and `*out` untouched, on
 * anything else and on values above 2^63 - 1: the count is then unknown, never 0.
 */
bool count_parse(struct str text, int64_t *out);

#endif
