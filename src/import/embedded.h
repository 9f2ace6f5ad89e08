/*
 * embedded.h: the presets that are part of the program, made from presets/ by embed_presets.py.
 */
#ifndef IMPORT_EMBEDDED_H
#define IMPORT_EMBEDDED_H

#include <stddef.h>

struct embedded_preset {
    const char *name; /* its file, without .json */
    const unsigned char *bytes;
    size_t len;
};

extern const struct embedded_preset embedded_presets[];
extern const size_t embedded_preset_count;

#endif
