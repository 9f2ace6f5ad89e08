/*
 * fold.h: text as it is searched: without case and accents.
 *
 * "Đặng" and "dang", "ＡＢＣ" and "abc", "Straße" and "STRASSE" fold to the same bytes. What is
 * stored for a search and what is searched for must go through this one function.
 */
#ifndef BASE_FOLD_H
#define BASE_FOLD_H

#include "base/str.h"

/* Appends `text`, which should be UTF-8, folded: lower case, compatibility forms replaced, accents
 * left out, white space runs made one blank and trimmed. Folding what is folded changes nothing.
 * Bytes that are not UTF-8 go as they are. */
void fold_put(struct buf *out, struct str text);

#endif
