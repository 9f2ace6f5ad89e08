/*
 * fuzz_count.c: any bytes as a count string.
 *
 * What must hold: the result is that of a slow reader of the same grammar, a count is never
 * negative, and where there is none the result is left alone.
 */
#include <stdint.h>

#include "../unit/count_reference.h"
#include "base/mem.h"
#include "domain/count.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { UNTOUCHED = -77 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    int64_t value = UNTOUCHED, wanted = UNTOUCHED;
    if (size > COUNT_REFERENCE_MAX) {
        return 0; /* the reference does not look at it */
    }
    bool known = count_parse(text, &value);
    KOL_ASSERT(known ? value >= 0 : value == UNTOUCHED);
    KOL_ASSERT(count_reference(text, &wanted) == known);
    KOL_ASSERT(wanted == value);
    return 0;
}
