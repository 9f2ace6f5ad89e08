/*
 * mend.c: what a value in Redis lacks and what follows from the rest of it, or from its key.
 *
 * Other programs write values by the documented shapes and leave out what they do not know; an
 * older form of the scores has three members in all. What cannot be told stays away: then it is
 * null, or, where the answer must have it, the value is of no use.
 */
#include <math.h>
#include <string.h>

#include "api/value.h"
#include "base/clock.h"

enum { MORE = 24 }; /* fields that are added at most */

struct mending {
    struct arena *arena;
    struct serve_field *fields;
    size_t count;
};

static const struct serve_field *find(const struct mending *mending, const char *name)
{
    return serve_field(mending->fields, mending->count, name);
}

static void add(struct mending *mending, const char *name, struct str value)
{
    if (!find(mending, name)) {
        mending->fields[mending->count++] =
            (struct serve_field){.name = str_of(name), .value = value};
    }
}

/* Replaces what is there. */
static void set(struct mending *mending, const char *name, struct str value)
{
    for (size_t i = 0; i < mending->count; i++) {
        if (str_is(mending->fields[i].name, name)) {
            mending->fields[i].value = value;
            return;
        }
    }
    add(mending, name, value);
}

static struct str real_text(struct arena *arena, double value)
{
    struct buf text = {0};
    buf_put_double(&text, value);
    const struct str kept = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return kept;
}

/* The number of a field; NaN where there is none. */
static double number(const struct mending *mending, const char *name)
{
    double value;
    const struct serve_field *field = find(mending, name);
    return field && str_to_double(field->value, &value) ? value : NAN;
}

/* ---- profiles ---- */

static void mend_profile(struct mending *mending)
{
    static const char *const counts[] = {"followers_count", "following_count", "post_count"};
    struct str names[ARRAY_LEN(counts) + 2];
    size_t unknown = 0;
    struct buf text = {0};
    struct json json = {.out = &text};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        if (!find(mending, counts[i])) {
            names[unknown++] = str_of(counts[i]);
            add(mending, counts[i], STR("0"));
        }
    }
    if (!find(mending, "verified")) {
        names[unknown++] = STR("verified");
        add(mending, "verified", STR("false"));
    }
    const struct serve_field *id = find(mending, "kol_id");
    if (!find(mending, "username") && id) {
        names[unknown++] = STR("username");
        add(mending, "username", id->value);
    }
    js_texts(&json, names, unknown);
    add(mending, "unknown", arena_copy(mending->arena, buf_str(&text)));
    buf_free(&text);
}

/* ---- scores ---- */

static void mend_trust(struct mending *mending)
{
    const double trust = number(mending, "trust_score");
    if (isnan(trust)) {
        add(mending, "trust_label", STR("unknown"));
        add(mending, "risk_level", STR("unknown"));
        add(mending, "confidence", STR("0"));
        add(mending, "model_version", STR("none"));
        return;
    }
    /* One definition: what another program calls a score is not asked. */
    set(mending, "trust_label", str_of(trust_label(trust)));
    set(mending, "risk_level", str_of(risk_level(trust)));
    const double p = 1 - trust / 100;
    add(mending, "confidence", real_text(mending->arena, p > 0.5 ? p : 1 - p));
    add(mending, "model_version", STR("unknown"));
}

static void mend_composite(struct mending *mending)
{
    uint32_t parts = 0;
    struct buf text = {0};
    struct json json = {.out = &text};
    const double score =
        composite_score(number(mending, "trending_score"), number(mending, "success_score"),
                        number(mending, "trust_score"), &parts);
    if (isfinite(score)) {
        add(mending, "composite_score", real_text(mending->arena, score_round(score)));
    }
    js_open(&json, '[');
    for (unsigned i = 0; i < COMPOSITE_PARTS; i++) {
        if (parts >> i & 1) {
            js_text(&json, str_of(composite_part_name((enum composite_part)i)));
        }
    }
    js_close(&json, ']');
    add(mending, "composite_parts", arena_copy(mending->arena, buf_str(&text)));
    buf_free(&text);
}

static void mend_score(struct mending *mending)
{
    const struct serve_field *at = find(mending, "timestamp");
    at = at ? at : find(mending, "event_time");
    at = at ? at : find(mending, "cached_at");
    if (at) {
        add(mending, "scored_at", at->value);
    }
    mend_trust(mending);
    mend_composite(mending);
    add(mending, "success_method", STR("none"));
    add(mending, "success_model_version", STR("none"));
    add(mending, "in_domain", STR("false"));
    add(mending, "out_of_domain", STR("[]"));
    add(mending, "percentile", STR("{\"platform\":null,\"tier\":null,\"category\":null}"));
    add(mending, "sample_size", STR("0"));
    add(mending, "state",
        isnan(number(mending, "trust_score")) ? STR("not_ready") : STR("low_confidence"));
    add(mending, "live", STR("true"));
}

void api_mend(enum serve_key kind, const struct str parts[SERVE_PARTS], struct arena *arena,
              struct serve_hash *hash)
{
    struct mending mending = {
        .arena = arena,
        .fields = arena_alloc(arena, (hash->count + MORE) * sizeof *mending.fields),
        .count = hash->count,
    };
    if (hash->count) {
        memcpy(mending.fields, hash->fields, hash->count * sizeof *mending.fields);
    }
    switch (kind) {
    case SERVE_KEY_PROFILE_ON:
    case SERVE_KEY_SCORE_ON:
        add(&mending, "platform", parts[0]);
        add(&mending, "kol_id", parts[1]);
        break;
    case SERVE_KEY_CONTENT_ON:
        add(&mending, "platform", parts[0]);
        add(&mending, "content_id", parts[1]);
        break;
    case SERVE_KEY_PROFILE:
    case SERVE_KEY_SCORE: add(&mending, "kol_id", parts[0]); break;
    case SERVE_KEY_CONTENT: add(&mending, "content_id", parts[0]); break;
    default: break;
    }
    if (kind == SERVE_KEY_PROFILE || kind == SERVE_KEY_PROFILE_ON) {
        mend_profile(&mending);
    } else if (kind == SERVE_KEY_SCORE || kind == SERVE_KEY_SCORE_ON) {
        mend_score(&mending);
    }
    hash->fields = mending.fields;
    hash->count = mending.count;
}
