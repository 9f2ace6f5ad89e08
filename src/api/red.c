/*
 * red.c: how many requests each route gets, how they end, and how long they take: for /metrics.
 *
 * This runs behind every request, hits of the cache too, so the slots of the metrics are looked up
 * once and kept.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/parts.h"
#include "base/metrics.h"

enum { FIRST_STATUS = 100, STATUSES = 500 };

struct route_slots {
    _Atomic(struct metric_slot *) seconds;
    _Atomic(struct metric_slot *) by_status[STATUSES];
};

struct api_red {
    const struct http_app *app;
    struct route_slots *routes; /* the last is for what no route was found for */
};

struct api_red *api_red_new(const struct http_app *app)
{
    struct api_red *red = mem_zalloc(1, sizeof *red);
    red->app = app;
    red->routes = mem_zalloc(app->route_count + 1, sizeof *red->routes);
    return red;
}

void api_red_free(struct api_red **red)
{
    if (*red) {
        free((*red)->routes);
        free(*red);
        *red = NULL;
    }
}

/* Two threads may look the same slot up: they find the same. */
static struct metric_slot *slot(_Atomic(struct metric_slot *) *kept, enum metric metric,
                                const char *label)
{
    struct metric_slot *found = metrics_slot(metric, label);
    atomic_store_explicit(kept, found, memory_order_release);
    return found;
}

void api_red_add(struct api_red *red, const struct http_route *route, int status,
                 int64_t duration_ns)
{
    struct route_slots *slots =
        &red->routes[route ? (size_t)(route - red->app->routes) : red->app->route_count];
    const char *name = route ? route->name : "none";
    size_t at = status >= FIRST_STATUS && status < FIRST_STATUS + STATUSES
                    ? (size_t)(status - FIRST_STATUS)
                    : STATUSES - 1;
    struct metric_slot *requests =
        atomic_load_explicit(&slots->by_status[at], memory_order_acquire);
    if (!requests) {
        char label[96];
        snprintf(label, sizeof label, "%s,%d", name, status);
        requests = slot(&slots->by_status[at], METRIC_HTTP_REQUESTS, label);
    }
    struct metric_slot *seconds = atomic_load_explicit(&slots->seconds, memory_order_acquire);
    if (!seconds) {
        seconds = slot(&slots->seconds, METRIC_HTTP_SECONDS, name);
    }
    metrics_slot_add(requests, 1);
    metrics_slot_observe(seconds, (double)duration_ns / 1e9);
}
