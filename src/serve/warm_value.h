/*
 * warm_value.h: from an item of a source to what is written for it. Private to the warmer.
 */
#ifndef SERVE_WARM_VALUE_H
#define SERVE_WARM_VALUE_H

#include "serve/warm.h"

struct warm_value {
    struct serve_write write; /* points into the item and the arena */
    int64_t bytes;            /* of key and value, as text */
    int64_t way_bytes;        /* about what is sent for them */
};

void warm_value_make(const struct warm_item *item, const struct warm_source *source,
                     const struct warm_options *options, struct arena *arena,
                     struct warm_value *out);

#endif
