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
 * Reads a count by exact decimal arithmetic; fractions of a unit are cut. False, and `*out`
 * untouched, on anything else and on values above 2^63 - 1: the count is then unknown, never 0.
 *
 *   With a suffix, in any case: K and N (nghin) 10^3, M and Tr (trieu) 10^6, B 10^9. In front of it
 *   digits, and at most one '.' or ',' with digits on both sides, which is the decimal separator:
 *   "1,234K" 1234, "0,5K" 500. White space may stand before the suffix: "1.2 M".
 *   Without one: digits, or digits in groups of three between separators of one kind, '.' or ',' or
 *   a blank: "1.234" 1234, "1 234 567".
 *
 * A blank is a space or one of its no-break kinds (U+00A0, U+202F), which pages use to group. White
 * space, blanks included, around the whole is allowed.
 *
 * What can be read in two ways, or says less than a number, is unknown: two kinds of separators
 * ("1,234.5K", "1.234,567"), groups in front of a suffix ("1 234K", "1.2.3K"), groups that are not
 * of three ("1.2", "12,34") or begin with a zero ("0.123"), no digit on one side of the point
 * (".5K", "5.K"), any sign ("+5", "-5", "99+"), exponents ("1e9").
 */
bool count_parse(struct str text, int64_t *out);

#endif
