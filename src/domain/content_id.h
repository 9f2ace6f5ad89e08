/* content_id.h: the name of an event that has none. Private to domain/. */
#ifndef DOMAIN_CONTENT_ID_H
#define DOMAIN_CONTENT_ID_H

#include "base/arena.h"
#include "domain/event.h"

/* The same digits as event_put_content_id(), in `arena`. */
struct str event_content_id(const struct event *event, struct arena *arena);

#endif
