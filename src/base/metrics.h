/*
 * metrics.h: counters, gauges and histograms, and their Prometheus text.
 *
 * The table metrics.def names them all. Adding is one atomic operation; a label's value is looked
 * up once and its slot kept where speed matters (metrics_slot()). A metric with two labels, whose
 * names stand with a comma between them, takes both values so: "get_kol,200". Thread-safe.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum metric {
#define METRIC(NAME, KIND, text, label, help) METRIC_##NAME,
#include "base/metrics.def"
#undef METRIC
    METRIC_COUNT
};

/* `label` is the label's value, NULL where the metric has none. At most 512 values a metric:
 * further ones are counted together under "other". */
void metrics_add(enum metric metric, const char *label, int64_t amount);
void metrics_set(enum metric metric, const char *label, double value);
void metrics_observe(enum metric metric, const char *label, double seconds);

/* Sets a counter that somebody else counts; it must not fall. */
void metrics_set_total(enum metric metric, const char *label, int64_t total);

/* One value of a label, for as long as the program runs: what the calls above look up each time. */
struct metric_slot;
struct metric_slot *metrics_slot(enum metric metric, const char *label);
void metrics_slot_add(struct metric_slot *slot, int64_t amount);
void metrics_slot_observe(struct metric_slot *slot, double seconds);

/* Current value of a counter or gauge, count of a histogram; 0 where nothing was added. */
double metrics_get(enum metric metric, const char *label);

/* Appends all of them in the Prometheus text format (0.0.4). */
void metrics_render(struct buf *out);

/* Writes the same into a file, atomically: for a collector that reads text files. */
enum kol_status metrics_write_file(const char *path, struct kol_error *err) KOL_CHECKED;

#endif
