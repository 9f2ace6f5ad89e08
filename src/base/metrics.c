/* metrics.c: one fixed array of slots a metric, found by label, changed without a lock. */
#include "base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum metric_kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

enum { MAX_LABELS = 512, BUCKETS = 16 };

/* Upper bounds in seconds, from 50 us to 10 s; the last bucket has none. */
static const double bucket_bounds[BUCKETS - 1] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001,
                                                  0.0025,  0.005,  0.01,    0.025,  0.05,
                                                  0.1,     0.25,   0.5,     1,      10};

struct metric_slot {
    _Atomic(const char *) label; /* NULL: free */
    _Atomic int64_t count;       /* COUNTER: the value; HISTOGRAM: observations */
    _Atomic double value;        /* GAUGE: the value; HISTOGRAM: sum in seconds */
    _Atomic int64_t buckets[BUCKETS];
};

static const struct {
    const char *name;
    enum metric_kind kind;
    const char *label;
    const char *help;
} metrics[METRIC_COUNT] = {
#define METRIC(NAME, KIND, text, label, help) [METRIC_##NAME] = {text, KIND_##KIND, label, help},
#include "base/metrics.def"
#undef METRIC
};

static struct metric_slot slots[METRIC_COUNT][MAX_LABELS];
static pthread_mutex_t slots_mutex = PTHREAD_MUTEX_INITIALIZER; /* held to claim a slot */

static struct metric_slot *find_slot(enum metric metric, const char *label)
{
    for (size_t i = 0; i < MAX_LABELS; i++) {
        const char *taken = atomic_load_explicit(&slots[metric][i].label, memory_order_acquire);
        if (!taken) {
            return NULL;
        }
        if (strcmp(taken, label) == 0) {
            return &slots[metric][i];
        }
    }
    return NULL;
}

static struct metric_slot *claim_slot(enum metric metric, const char *label)
{
    pthread_mutex_lock(&slots_mutex);
    struct metric_slot *slot = find_slot(metric, label);
    for (size_t i = 0; !slot && i < MAX_LABELS; i++) {
        if (!atomic_load(&slots[metric][i].label)) {
            slot = &slots[metric][i];
            /* The last slot gathers whatever comes after the table is full. */
            atomic_store(&slot->label, i + 1 < MAX_LABELS ? mem_strdup(label) : "other");
        }
    }
    pthread_mutex_unlock(&slots_mutex);
    return slot ? slot : &slots[metric][MAX_LABELS - 1];
}

struct metric_slot *metrics_slot(enum metric metric, const char *label)
{
    label = label ? label : "";
    struct metric_slot *slot = find_slot(metric, label);
    return slot ? slot : claim_slot(metric, label);
}

void metrics_add(enum metric metric, const char *label, int64_t amount)
{
    metrics_slot_add(metrics_slot(metric, label), amount);
}

void metrics_slot_add(struct metric_slot *slot, int64_t amount)
{
    atomic_fetch_add_explicit(&slot->count, amount, memory_order_relaxed);
}

void metrics_set_total(enum metric metric, const char *label, int64_t total)
{
    atomic_store_explicit(&metrics_slot(metric, label)->count, total, memory_order_relaxed);
}

void metrics_set(enum metric metric, const char *label, double value)
{
    atomic_store_explicit(&metrics_slot(metric, label)->value, value, memory_order_relaxed);
}

static void add_double(_Atomic double *sum, double amount)
{
    double old = atomic_load_explicit(sum, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(sum, &old, old + amount, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

void metrics_observe(enum metric metric, const char *label, double seconds)
{
    metrics_slot_observe(metrics_slot(metric, label), seconds);
}

void metrics_slot_observe(struct metric_slot *slot, double seconds)
{
    size_t bucket = 0;
    while (bucket < BUCKETS - 1 && seconds > bucket_bounds[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&slot->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&slot->count, 1, memory_order_relaxed);
    add_double(&slot->value, seconds);
}

double metrics_get(enum metric metric, const char *label)
{
    struct metric_slot *slot = find_slot(metric, label ? label : "");
    if (!slot) {
        return 0;
    }
    return metrics[metric].kind == KIND_GAUGE ? atomic_load(&slot->value)
                                              : (double)atomic_load(&slot->count);
}

/* name="value" */
static void put_label(struct buf *out, struct str name, struct str value)
{
    buf_put(out, name);
    buf_puts(out, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"' || value.ptr[i] == '\\') {
            buf_putc(out, '\\');
        }
        buf_puts(out, value.ptr[i] == '\n' ? "\\n" : (char[]){value.ptr[i], '\0'});
    }
    buf_putc(out, '"');
}

/* {label="value",le="0.5"} with what applies; "a,b" are two labels with two values. */
static void put_labels(struct buf *out, const char *names, const char *values, const char *le)
{
    struct str left_names = str_of(names), left_values = str_of(values);
    const char *separator = "";
    if (!left_names.len && !le) {
        return;
    }
    buf_putc(out, '{');
    while (left_names.len) {
        struct str name = str_cut(&left_names, ',');
        /* What is gathered under "other" has one value for all of its labels. */
        struct str value =
            left_names.len && strchr(values, ',') ? str_cut(&left_values, ',') : left_values;
        buf_puts(out, separator);
        put_label(out, name, value);
        separator = ",";
    }
    if (le) {
        buf_printf(out, "%sle=\"%s\"", separator, le);
    }
    buf_putc(out, '}');
}

static void render_histogram(struct buf *out, enum metric metric, struct metric_slot *slot,
                             const char *label)
{
    int64_t so_far = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct buf bound = {0};
        if (i < BUCKETS - 1) {
            buf_put_double(&bound, bucket_bounds[i]);
        } else {
            buf_puts(&bound, "+Inf");
        }
        so_far += atomic_load(&slot->buckets[i]);
        buf_printf(out, "%s_bucket", metrics[metric].name);
        put_labels(out, metrics[metric].label, label, bound.ptr);
        buf_printf(out, " %lld\n", (long long)so_far);
        buf_free(&bound);
    }
    buf_printf(out, "%s_sum", metrics[metric].name);
    put_labels(out, metrics[metric].label, label, NULL);
    buf_putc(out, ' ');
    buf_put_double(out, atomic_load(&slot->value));
    buf_printf(out, "\n%s_count", metrics[metric].name);
    put_labels(out, metrics[metric].label, label, NULL);
    buf_printf(out, " %lld\n", (long long)so_far);
}

static void render_value(struct buf *out, enum metric metric, struct metric_slot *slot,
                         const char *label)
{
    double value = atomic_load(&slot->value);
    buf_puts(out, metrics[metric].name);
    put_labels(out, metrics[metric].label, label, NULL);
    buf_putc(out, ' ');
    if (metrics[metric].kind == KIND_COUNTER) {
        buf_put_int64(out, atomic_load(&slot->count));
    } else if (isfinite(value)) {
        buf_put_double(out, value);
    } else {
        buf_puts(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    }
    buf_putc(out, '\n');
}

void metrics_render(struct buf *out)
{
    static const char *const kind_names[] = {"counter", "gauge", "histogram"};
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[metric].name, metrics[metric].help,
                   metrics[metric].name, kind_names[metrics[metric].kind]);
        for (size_t i = 0; i < MAX_LABELS; i++) {
            struct metric_slot *slot = &slots[metric][i];
            const char *label = atomic_load_explicit(&slot->label, memory_order_acquire);
            if (!label) {
                break;
            }
            if (metrics[metric].kind == KIND_HISTOGRAM) {
                render_histogram(out, (enum metric)metric, slot, label);
            } else {
                render_value(out, (enum metric)metric, slot, label);
            }
        }
    }
}

enum kol_status metrics_write_file(const char *path, struct kol_error *err)
{
    struct buf text = {0};
    metrics_render(&text);
    enum kol_status status = file_replace(path, buf_str(&text), err);
    buf_free(&text);
    return status;
}
