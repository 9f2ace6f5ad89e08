/*
 * model.c: a model that was read: what it is, whether it fits, what it answers.
 */
#include "gbdt/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gbdt_free(struct gbdt_model **model)
{
    struct gbdt_model *old = *model;
    if (old) {
        gbdt_free_explaining(old);
        free(old->features);
        free(old->asked);
        free(old->trees);
        free(old->nodes);
        free(old->leaf_values);
        free(old->node_covers);
        free(old->leaf_covers);
        arena_free(&old->arena);
        free(old);
        *model = NULL;
    }
}

size_t gbdt_feature_count(const struct gbdt_model *model)
{
    return model->feature_count;
}

const struct gbdt_feature *gbdt_features(const struct gbdt_model *model)
{
    return model->features;
}

size_t gbdt_tree_count(const struct gbdt_model *model)
{
    return model->tree_count;
}

size_t gbdt_leaf_count(const struct gbdt_model *model)
{
    return model->leaf_count;
}

enum gbdt_objective gbdt_objective(const struct gbdt_model *model)
{
    return model->objective;
}

double gbdt_sigmoid(const struct gbdt_model *model)
{
    return model->sigmoid;
}

const char *gbdt_path(const struct gbdt_model *model)
{
    return model->evaluator->name;
}

const char *gbdt_version_text(const struct gbdt_model *model)
{
    return model->version;
}

/* Column_0, Column_1, ...: the names that LightGBM gives where it is given none. */
static bool is_nameless(const struct gbdt_model *model)
{
    for (size_t i = 0; i < model->feature_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "Column_%zu", i);
        if (!str_is(model->features[i].name, name)) {
            return false;
        }
    }
    return true;
}

enum kol_status gbdt_match(const struct gbdt_model *model, const char *const *names, size_t count,
                           struct kol_error *err)
{
    const bool nameless = is_nameless(model);
    for (size_t i = 0; i < count && i < model->feature_count && !nameless; i++) {
        const struct str name = model->features[i].name;
        if (!str_is(name, names[i])) {
            return kol_fail(err, KOL_INVALID,
                            "feature %zu of the model is %.*s, but %s is asked for: it was trained "
                            "on other features",
                            i, (int)(name.len < 100 ? name.len : 100), name.ptr, names[i]);
        }
    }
    if (count != model->feature_count) {
        return kol_fail(err, KOL_INVALID, "the model has %zu features, not %zu",
                        model->feature_count, count);
    }
    return KOL_OK;
}

double gbdt_raw(const struct gbdt_model *model, const double *row)
{
    return model->evaluator->raw(model, model->plan, row);
}

void gbdt_raw_rows(const struct gbdt_model *model, const double *rows, size_t count, double *out)
{
    model->evaluator->raw_rows(model, model->plan, rows, count, out);
}

double gbdt_answer(const struct gbdt_model *model, double raw)
{
    return model->objective == GBDT_BINARY ? 1.0 / (1.0 + exp(-model->sigmoid * raw)) : raw;
}

static bool has_category(const struct gbdt_feature *feature, double value)
{
    if (!(value > -1.0 && value < 2147483648.0)) {
        return false;
    }
    const int wanted = (int)value;
    size_t low = 0, high = feature->category_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (feature->categories[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < feature->category_count && feature->categories[low] == wanted;
}

bool gbdt_in_range(const struct gbdt_model *model, size_t feature, double value)
{
    const struct gbdt_feature *of = &model->features[feature];
    if (isnan(value) || !model->asked[feature] || of->range == GBDT_UNUSED) {
        return true;
    }
    return of->range == GBDT_CATEGORIES ? has_category(of, value)
                                        : value >= of->min && value <= of->max;
}

enum kol_status gbdt_can_explain(const struct gbdt_model *model, struct kol_error *err)
{
    return model->no_explaining
               ? kol_fail(err, KOL_UNSUPPORTED, "the model cannot be explained: %s",
                          model->no_explaining)
               : KOL_OK;
}
