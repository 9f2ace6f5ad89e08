/*
 * embedded.h: files that are part of the program, made into C by tools/embed.py.
 *
 * The room that embeds files declares its own table: extern const struct embedded_file NAME[] and
 * extern const size_t NAME_count.
 */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name;           /* its path below the folder it came from, without the extension */
    const unsigned char *bytes; /* with a NUL behind them */
    size_t len;                 /* without the NUL */
};

#endif
