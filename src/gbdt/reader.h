/*
 * reader.h: what the two halves of the model reader share. Private.
 */
#ifndef GBDT_READER_H
#define GBDT_READER_H

#include <locale.h>

#include "gbdt/model.h"

/* One reading of one text. */
struct gbdt_reader {
    struct gbdt_model *model; /* grows as it is read */
    struct kol_error *err;
    locale_t locale; /* "C": the numbers of the file have a point, whatever the user's have */

    struct str text;
    size_t at;   /* where the next line begins */
    size_t line; /* number of the line that was read last, from 1 */

    /* What the model's arrays have room for. `counted`: so far every tree came with its counts. */
    size_t tree_cap, node_cap, leaf_cap;
    bool counted;
    int32_t *stack; /* for walks over one tree */
    size_t stack_cap;
};

/* The next line without its end; false behind the last. */
bool gbdt_next_line(struct gbdt_reader *reader, struct str *line);

/* Fails with "line N: ..."; `line` 0: without the number. */
enum kol_status gbdt_bad(struct gbdt_reader *reader, size_t line, enum kol_status status,
                         const char *format, ...) KOL_PRINTF(4, 5);

/* Cuts the next word off `*rest`, words being parted by spaces; false where there is none. */
bool gbdt_next_word(struct str *rest, struct str *word);

/* A whole number, correctly rounded; infinities and NaN by their names, too. */
bool gbdt_to_double(const struct gbdt_reader *reader, struct str text, double *out);

/* Room for `need` elements of `size` bytes, at least doubling. */
void *gbdt_grow(void *memory, size_t *cap, size_t need, size_t size);

/* Reads the lines of the tree that "Tree=..." announced, up to the next line that begins a tree or
 * ends them all; `*stop` is that line, empty where the text ends first. */
enum kol_status gbdt_read_tree(struct gbdt_reader *reader, struct str *stop) KOL_CHECKED;

#endif
