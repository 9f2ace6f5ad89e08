/* mem.c: allocation that ends the process instead of returning NULL. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Noreturn void kol_panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("kol: internal error: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

void *mem_alloc(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory) {
        kol_panic("out of memory (%zu bytes asked for)", size);
    }
    return memory;
}

void *mem_zalloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) {
        kol_panic("out of memory (%zu x %zu bytes asked for)", count, size);
    }
    return memory;
}

void *mem_alloc_large(size_t size)
{
    const size_t page = 2 << 20;
    if (size < page) {
        return mem_alloc(size);
    }
    const size_t rounded = size > SIZE_MAX - page ? 0 : (size + page - 1) / page * page;
    void *memory = rounded ? aligned_alloc(page, rounded) : NULL;
    if (!memory) {
        kol_panic("out of memory (%zu bytes asked for)", size);
    }
    (void)madvise(memory, rounded, MADV_HUGEPAGE); /* small pages do as well */
    return memory;
}

void *mem_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory) {
        kol_panic("out of memory (%zu bytes asked for)", size);
    }
    return memory;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}
