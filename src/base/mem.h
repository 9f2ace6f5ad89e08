/*
 * mem.h: memory that is there or the program ends.
 *
 * Running out of memory is not an answer that a caller can do anything with here: the process says
 * so in one line and aborts; everything acknowledged is on disk, and a restart goes on from there.
 * Sizes that come from input are bounded by their parser before they reach these.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* For a table of megabytes that is read and written at random: in large pages, where the system
 * gives them to who asks. */
void *mem_alloc_large(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));

/* Ends the process with one line on stderr: for states that cannot be. */
_Noreturn void kol_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An assertion that stays in production builds. */
#define KOL_ASSERT(condition)                                                                      \
    ((condition) ? (void)0 : kol_panic("%s:%d: %s does not hold", __FILE__, __LINE__, #condition))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
