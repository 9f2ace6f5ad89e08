/*
 * blocks.c: the fast evaluator for every machine, in plain C.
 *
 * One row walks down eight trees side by side, so that their steps hide each other's waiting. Rows
 * in blocks go through kernel.h on registers of 16 bytes, which the compiler has on every machine
 * that this program is for and makes of ordinary ones elsewhere.
 */
#include <stdint.h>
#include <string.h>

typedef int8_t vec __attribute__((vector_size(16)));
typedef int8_t mask __attribute__((vector_size(16))); /* 0 or -1 */

#define KERNEL static inline
#define VECTORS 2
#define FEW 24

KERNEL vec v_load(const void *from)
{
    vec bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

KERNEL void v_store(void *to, vec bytes)
{
    memcpy(to, &bytes, sizeof bytes);
}

KERNEL vec v_splat(char byte)
{
    const int8_t b = (int8_t)byte;
    return (vec){b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b};
}

KERNEL vec v_spread(const uint32_t *four)
{
    const uint32_t w = *four;
    typedef uint32_t words __attribute__((vector_size(16)));
    return (vec)(words){w, w, w, w};
}

KERNEL mask v_above(vec codes, vec ranks)
{
    return codes > ranks;
}

KERNEL vec v_pick(mask choice, vec no, vec yes)
{
    return no ^ ((no ^ yes) & choice);
}

/* Without signs: leaves count to 255. */
KERNEL vec v_next(mask choice, vec base)
{
    typedef uint8_t bytes __attribute__((vector_size(16)));
    return (vec)((bytes)base - (bytes)choice);
}

#include "gbdt/kernel.h"

static bool always(void)
{
    return true;
}

const struct gbdt_evaluator gbdt_blocks = {"blocks", always, prepare, raw, raw_rows};
