/*
 * evaluators.c: the list of evaluators, and which of them a model uses.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gbdt/paths.h"

/* Slowest first: without GBDT_PATH a model uses the last one that the CPU has and that takes it. */
const struct gbdt_evaluator *const gbdt_evaluators[] = {
    &gbdt_portable, &gbdt_blocks,
#ifdef GBDT_X86
    &gbdt_avx2,     &gbdt_avx512, &gbdt_vbmi,
#endif
};
const size_t gbdt_evaluator_count = ARRAY_LEN(gbdt_evaluators);

size_t gbdt_paths(const char **names, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < gbdt_evaluator_count; i++) {
        if (gbdt_evaluators[i]->available()) {
            if (count < max) {
                names[count] = gbdt_evaluators[i]->name;
            }
            count++;
        }
    }
    return count;
}

static bool take(struct gbdt_model *model, const struct gbdt_evaluator *evaluator)
{
    void *plan = NULL;
    if (!evaluator->available() || !evaluator->prepare(model, &plan)) {
        return false;
    }
    model->evaluator = evaluator;
    model->plan = plan;
    return true;
}

/* The evaluator of that name, if this CPU has it. */
static enum kol_status find(const char *path, const struct gbdt_evaluator **out,
                            struct kol_error *err)
{
    char known[128] = "";
    for (size_t i = 0; i < gbdt_evaluator_count; i++) {
        const struct gbdt_evaluator *evaluator = gbdt_evaluators[i];
        if (evaluator->available()) {
            if (strcmp(evaluator->name, path) == 0) {
                *out = evaluator;
                return KOL_OK;
            }
            strncat(known, known[0] ? ", " : "", sizeof known - strlen(known) - 1);
            strncat(known, evaluator->name, sizeof known - strlen(known) - 1);
        }
    }
    return kol_fail(err, KOL_UNSUPPORTED,
                    "no way to evaluate trees is called \"%s\" here; this machine has %s", path,
                    known);
}

enum kol_status gbdt_use(struct gbdt_model *model, const char *path, struct kol_error *err)
{
    const struct gbdt_evaluator *evaluator = NULL;
    enum kol_status status = find(path, &evaluator, err);
    if (status == KOL_OK && !take(model, evaluator)) {
        status = kol_fail(err, KOL_UNSUPPORTED, "%s does not take this model; portable does", path);
    }
    return status;
}

enum kol_status gbdt_choose(struct gbdt_model *model, struct kol_error *err)
{
    const char *forced = getenv("GBDT_PATH");
    const struct gbdt_evaluator *evaluator = NULL;
    if (forced && forced[0]) {
        enum kol_status status = find(forced, &evaluator, err);
        if (status != KOL_OK) {
            return kol_wrap(err, "GBDT_PATH");
        }
        if (take(model, evaluator)) {
            return KOL_OK;
        }
    } else {
        for (size_t i = gbdt_evaluator_count; i-- > 1;) {
            if (take(model, gbdt_evaluators[i])) {
                return KOL_OK;
            }
        }
    }
    KOL_ASSERT(take(model, gbdt_evaluators[0]));
    return KOL_OK;
}
