/* models.c: what a model must be to give one of the scores. */
#include <stddef.h>

#include "score/score.h"

static const struct {
    const char *name;
    const char *const *features;
    size_t count;
} kinds[SCORE_KINDS] = {
    [SCORE_TRUST] = {"trust", trust_feature_names, TRUST_FEATURES},
    [SCORE_SUCCESS] = {"success", success_feature_names, SUCCESS_FEATURES},
};

const char *score_kind_name(enum score_kind kind)
{
    return kinds[kind].name;
}

enum kol_status score_check_model(enum score_kind kind, const struct gbdt_model *gbdt,
                                  struct kol_error *err)
{
    if (gbdt_objective(gbdt) != GBDT_BINARY) {
        return kol_fail(err, KOL_INVALID,
                        "a %s model gives a probability (objective=binary), this one does not",
                        kinds[kind].name);
    }
    enum kol_status status = gbdt_match(gbdt, kinds[kind].features, kinds[kind].count, err);
    if (status != KOL_OK) {
        return kol_wrap(err, "not a %s model", kinds[kind].name);
    }
    return KOL_OK;
}
