/* drift.c: how far features have moved since a training, see drift.h. */
#include "registry/drift.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_BINS = 64 };

/* One feature: what the metadata says, and the rows of now in its bins. */
struct counted {
    const char *name;
    double min, max; /* NaN: never known in training */
    double null_rate;
    size_t bins; /* of the known values; at least one */
    double up_to[MAX_BINS], shares[MAX_BINS];
    size_t found[MAX_BINS], known, outside;
};

struct drift {
    size_t features, rows;
    struct counted of[];
};

/* ---- what the metadata says ---- */

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* False where the array does not hold `count` numbers. */
static bool read_numbers(const json_t *object, const char *key, size_t count, double *out)
{
    const json_t *array = json_object_get(object, key);
    bool good = json_is_array(array) && json_array_size(array) == count;
    for (size_t i = 0; i < count && good; i++) {
        good = json_is_number(json_array_get(array, i));
        out[i] = good ? json_number_value(json_array_get(array, i)) : NAN;
    }
    return good;
}

/* Bounds must rise; shares are parts of one. */
static bool are_bins(const struct counted *of)
{
    for (size_t i = 0; i < of->bins; i++) {
        if (!(of->shares[i] >= 0 && of->shares[i] <= 1) ||
            (i > 0 && i + 1 < of->bins && !(of->up_to[i] > of->up_to[i - 1]))) {
            return false;
        }
    }
    return of->null_rate >= 0 && of->null_rate <= 1;
}

static bool read_feature(const json_t *feature, const char *name, struct counted *out)
{
    const char *found = json_string_value(json_object_get(feature, "name"));
    *out = (struct counted){.name = name};
    out->min = number_of(feature, "min");
    out->max = number_of(feature, "max");
    out->null_rate = number_of(feature, "null_rate");
    out->bins = json_array_size(json_object_get(feature, "bin_shares"));
    if (!found || strcmp(found, name) != 0 || out->bins > MAX_BINS ||
        !json_is_array(json_object_get(feature, "bin_shares"))) {
        return false;
    }
    if (out->bins == 0) { /* never known: whatever is known now is new */
        out->bins = 1;
        return out->null_rate == 1;
    }
    return read_numbers(feature, "bin_shares", out->bins, out->shares) &&
           read_numbers(feature, "bins_up_to", out->bins - 1, out->up_to) && are_bins(out);
}

enum kol_status drift_open(enum score_kind kind, struct str metadata, struct drift **out,
                           struct kol_error *err)
{
    const bool trust = kind == SCORE_TRUST;
    const size_t count = trust ? (size_t)TRUST_FEATURES : (size_t)SUCCESS_FEATURES;
    const char *const *names = trust ? trust_feature_names : success_feature_names;
    json_t *json = json_loadb(metadata.ptr ? metadata.ptr : "", metadata.len, 0, NULL);
    const json_t *features = json_object_get(json, "features");
    bool good = json_array_size(features) == count;
    struct drift *drift = mem_zalloc(1, sizeof *drift + count * sizeof *drift->of);
    drift->features = count;
    for (size_t i = 0; i < count && good; i++) {
        good = read_feature(json_array_get(features, i), names[i], &drift->of[i]);
    }
    json_decref(json);
    if (!good) {
        free(drift);
        *out = NULL;
        return kol_fail(err, KOL_UNSUPPORTED,
                        "its metadata does not say how each feature was spread in training; a "
                        "model of `kol train %s` does",
                        score_kind_name(kind));
    }
    *out = drift;
    return KOL_OK;
}

void drift_close(struct drift **drift)
{
    free(*drift);
    *drift = NULL;
}

/* ---- the rows of now ---- */

static void count_value(struct counted *of, double value)
{
    size_t bin = 0;
    if (isnan(value)) {
        return;
    }
    while (bin + 1 < of->bins && value > of->up_to[bin]) {
        bin++;
    }
    of->found[bin]++;
    of->known++;
    of->outside += !(value >= of->min && value <= of->max);
}

void drift_add(struct drift *drift, const double *features, size_t count)
{
    for (size_t row = 0; row < count; row++) {
        for (size_t i = 0; i < drift->features; i++) {
            count_value(&drift->of[i], features[row * drift->features + i]);
        }
    }
    drift->rows += count;
}

size_t drift_rows(const struct drift *drift)
{
    return drift->rows;
}

/* ---- the answer ---- */

static double term(double now, double then)
{
    now = fmax(now, DRIFT_LEAST_SHARE);
    then = fmax(then, DRIFT_LEAST_SHARE);
    return (now - then) * log(now / then);
}

/* Shares are of all rows, so that those of the bins and of the unknown make one. */
static double psi_of(const struct counted *of, size_t rows)
{
    const double all = (double)rows;
    double sum = term((double)(rows - of->known) / all, of->null_rate);
    for (size_t i = 0; i < of->bins; i++) {
        sum += term((double)of->found[i] / all, of->shares[i] * (1 - of->null_rate));
    }
    return sum;
}

static const char *verdict_of(double psi)
{
    return isnan(psi)              ? "unknown"
           : psi >= DRIFT_SHIFTED  ? "shifted"
           : psi >= DRIFT_MODERATE ? "moderate"
                                   : "stable";
}

size_t drift_measure(const struct drift *drift, struct drift_feature *out)
{
    for (size_t i = 0; i < drift->features; i++) {
        const struct counted *of = &drift->of[i];
        const double rows = (double)drift->rows;
        out[i] = (struct drift_feature){
            .name = of->name,
            .null_rate = drift->rows ? (rows - (double)of->known) / rows : NAN,
            .null_rate_then = of->null_rate,
            .outside = of->known ? (double)of->outside / (double)of->known : NAN,
            .psi = drift->rows ? psi_of(of, drift->rows) : NAN,
        };
        out[i].verdict = verdict_of(out[i].psi);
    }
    return drift->features;
}
