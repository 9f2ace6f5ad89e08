/* fold_table.h: what fold_table.py makes: characters in ascending order and what they become. */
#ifndef BASE_FOLD_TABLE_H
#define BASE_FOLD_TABLE_H

#include <stddef.h>
#include <stdint.h>

extern const size_t fold_count;
extern const uint32_t fold_points[];    /* code points that do not fold to themselves */
extern const uint32_t fold_places[];    /* of each: offset in fold_pool << 8 | bytes */
extern const unsigned char fold_pool[]; /* UTF-8 */

#endif
