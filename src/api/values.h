/*
 * values.h: all values of the cache between processes, out of the online copy: what the warmer
 * writes.
 */
#ifndef API_VALUES_H
#define API_VALUES_H

#include "base/error.h"
#include "serve/warm.h"

struct api_values;

/* Pins the copy that is current now, until api_values_close(). KOL_NOT_FOUND: there is none. */
enum kol_status api_values_open(const char *data, struct api_values **out,
                                struct kol_error *err) KOL_CHECKED;
void api_values_close(struct api_values **values);

/* The keys that stand alone (lists and counts, not one for each KOL) and live no longer than this
 * by themselves, *out in the arena: a warm that comes as seldom does not keep them. Their count. */
size_t api_values_brief(int64_t life_us, struct arena *arena, struct str **out);

/* Lives as long as the values. One thread at a time. */
const struct warm_source *api_values_source(struct api_values *values);

#endif
