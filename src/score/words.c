/* words.c: the words for scores, their bounds, and how a score is shown. */
#include <math.h>

#include "base/mem.h"
#include "score/score.h"

/* The word of the first bound that the value reaches; behind the last one everything is below. */
struct step {
    double from;
    const char *word;
};

/* NaN reaches no bound at all: unknown. */
static const char *word_of(const struct step *steps, size_t count, double value)
{
    for (size_t i = 0; i < count; i++) {
        if (value >= steps[i].from) {
            return steps[i].word;
        }
    }
    return "unknown";
}

const char *trust_label(double score)
{
    static const struct step steps[] = {{80, "high"}, {40, "medium"}, {-INFINITY, "low"}};
    return word_of(steps, ARRAY_LEN(steps), score);
}

const char *risk_level(double score)
{
    static const struct step steps[] = {
        {80, "low"}, {60, "moderate"}, {40, "elevated"}, {-INFINITY, "high"}};
    return word_of(steps, ARRAY_LEN(steps), score);
}

const char *success_label(double score)
{
    static const struct step steps[] = {{50, "High"}, {-INFINITY, "Not-High"}};
    return word_of(steps, ARRAY_LEN(steps), score);
}

const char *trending_label(double score)
{
    static const struct step steps[] = {
        {80, "Viral"}, {60, "Hot"}, {40, "Warm"}, {25, "Normal"}, {-INFINITY, "Cold"}};
    return word_of(steps, ARRAY_LEN(steps), score);
}

const char *kol_tier(double followers)
{
    static const struct step steps[] = {{1e6, "Mega"},  {5e5, "Macro"}, {1e5, "Mid"},
                                        {1e4, "Micro"}, {1e3, "Nano"},  {0, "Rising"}};
    const bool known = followers >= 0 && isfinite(followers);
    return known ? word_of(steps, ARRAY_LEN(steps), followers) : NULL;
}

const char *const composite_part_names[COMPOSITE_PARTS] = {
    [COMPOSITE_TRENDING] = "trending",
    [COMPOSITE_SUCCESS] = "success",
    [COMPOSITE_TRUST] = "trust",
};

const char *composite_part_name(enum composite_part part)
{
    return composite_part_names[part];
}

double score_round(double score)
{
    return rint(score * 100) / 100;
}
