/*
 * random.h: bytes that nobody can foresee, and names that nobody else gives.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

#include "base/str.h"

/* Fills `out` from the kernel's generator. Thread-safe. */
void random_fill(void *out, size_t len);

/* Appends a random UUID (version 4 of RFC 9562), 36 characters. */
void random_put_uuid(struct buf *out);

#endif
