/*
 * score_step.c: the SELECTs of the tables of kind SCORE, made around those of their inputs.
 *
 * Functions of the engine (score_functions.c) give a STRUCT a row; the text here names its members
 * as columns. It is for the embedded engine alone; the inputs are in the dialect of both.
 */
#include "lake/score_step.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lake/score_functions.h"

/* Raised by hand when a formula of the room score/ changes: the tables are then made anew. */
#define SCORE_REVISION 1

#define TRUST_ARGUMENTS                                                                            \
    "followers_count, following_count, post_count, favorites_count, account_age, bio_length, "     \
    "has_bio, has_url, has_profile_image, verified, default_profile, default_profile_image"
#define SUCCESS_ARGUMENTS                                                                          \
    "video_views, video_likes, video_comments, video_shares, engagement_total, engagement_rate, "  \
    "est_clicks, est_ctr, price"

/* How a table is made. */
struct maker {
    const char *name; /* "silver.kol_trust_features" */
    uint32_t models;  /* bit of each score_kind whose model decides its rows */
    void (*put)(struct str inputs, const struct score_models *models,
                const struct score_previous *previous, int64_t now_us, struct buf *out);
    bool keeps_times; /* of rows that say what they said before */
};

/* name(CAST(a AS DOUBLE), CAST(b AS DOUBLE), ...) of "a, b, ..." */
static void put_call(struct buf *out, const char *function, const char *arguments)
{
    struct str rest = str_of(arguments);
    const char *before = "(CAST(";
    buf_puts(out, function);
    while (rest.len) {
        buf_puts(out, before);
        buf_put(out, str_trim(str_cut(&rest, ',')));
        buf_puts(out, " AS DOUBLE)");
        before = ", CAST(";
    }
    buf_putc(out, ')');
}

/* " FROM (SELECT *, function(...) AS s FROM (inputs))" */
static void put_source(struct buf *out, struct str inputs, const char *function,
                       const char *arguments)
{
    buf_puts(out, " FROM (SELECT *, ");
    put_call(out, function, arguments);
    buf_puts(out, " AS s FROM (");
    buf_put(out, inputs);
    buf_puts(out, "\n))");
}

static void put_features(struct buf *out, const struct score_feature *features, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "s.%s, ", features[i].name);
    }
}

static void put_version(struct buf *out, const struct score_model *model)
{
    if (model->gbdt) {
        engine_quote_text(out, str_of(model->version));
    } else {
        buf_puts(out, "NULL");
    }
}

/* ---- the tables ---- */

static void put_trust_features(struct str inputs, const struct score_models *models,
                               const struct score_previous *previous, int64_t now_us,
                               struct buf *out)
{
    (void)models, (void)previous, (void)now_us;
    buf_puts(out, "SELECT platform, kol_id, followers_count, following_count, post_count, "
                  "favorites_count, account_age, bio_length, default_profile, "
                  "default_profile_image, ");
    put_features(out, trust_feature_table, TRUST_FEATURES);
    buf_puts(out, "label, updated_at");
    put_source(out, inputs, "kol_trust_features", TRUST_ARGUMENTS);
}

static void put_trust_training(struct str inputs, const struct score_models *models,
                               const struct score_previous *previous, int64_t now_us,
                               struct buf *out)
{
    (void)models, (void)previous, (void)now_us;
    buf_puts(out, "SELECT platform, kol_id, masked, ");
    put_features(out, trust_feature_table, TRUST_FEATURES);
    buf_puts(out, "untrustworthy, updated_at");
    put_source(out, inputs, "kol_trust_features", TRUST_ARGUMENTS);
}

/* All rows of a product are in one part. The bound between high and not is the 75th percentile of
 * the part that is learnt from, so that nothing of the others is known there. */
static void put_success_training(struct str inputs, const struct score_models *models,
                                 const struct score_previous *previous, int64_t now_us,
                                 struct buf *out)
{
    (void)models, (void)previous, (void)now_us;
    buf_puts(out, "SELECT platform, kol_id, product_id, event_id, observed_at, ");
    put_features(out, success_feature_table, SUCCESS_FEATURES);
    buf_puts(out, "sold_count, part AS split, CASE WHEN sold_count > (quantile_disc(sold_count, "
                  "0.75) FILTER (WHERE part = 'train') OVER ()) THEN 1 ELSE 0 END AS high FROM "
                  "(SELECT *, kol_split(platform || ':' || product_id) AS part");
    put_source(out, inputs, "kol_success_features", SUCCESS_ARGUMENTS);
    buf_putc(out, ')');
}

static void put_product_success(struct str inputs, const struct score_models *models,
                                const struct score_previous *previous, int64_t now_us,
                                struct buf *out)
{
    (void)previous, (void)now_us;
    buf_puts(out, "SELECT platform, kol_id, product_id, content_id, event_id, observed_at, "
                  "video_views, video_likes, video_comments, video_shares, engagement_total, "
                  "engagement_rate, est_clicks, est_ctr, price, s.score AS success_score, "
                  "s.label AS success_label, s.method, ");
    put_version(out, &models->by_kind[SCORE_SUCCESS]);
    buf_puts(out, " AS model_version, s.in_domain");
    put_source(out, inputs, "kol_product_success", SUCCESS_ARGUMENTS);
}

/* The columns of gold.kol_scores without the last one, computed_at. */
static void put_score_columns(struct buf *out)
{
    buf_puts(out, "platform, kol_id, s.trust_score, s.trust_label, s.risk_level, s.confidence, "
                  "s.in_domain, s.out_of_domain, s.trust_model_version, success_score, "
                  "s.success_label, success_method, success_model_version, s.trending_score, "
                  "s.trending_label, CASE WHEN s.trending_score IS NOT NULL THEN trending_as_of "
                  "END AS trending_as_of, s.composite_score, s.composite_parts, event_time");
}

/* Who a row is of and what it says, as two hashes: a join by two numbers is half as dear as one by
 * names, which would all have to be kept. Two rows are taken for one another only where both hashes
 * agree; what comes of it then is a wrong computed_at. Of the same models the version follows from
 * the rest. */
static void put_hashes(struct buf *out, const struct score_previous *previous, const char *relation)
{
    static const char *const columns[] = {
        "trust_score",    "out_of_domain",  "success_score",         "success_method",
        "trending_score", "trending_as_of", "success_model_version", "composite_score"};
    buf_printf(out, "CAST(hash(%s.platform, %s.kol_id) >> 1 AS BIGINT), CAST(hash(", relation,
               relation);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        buf_printf(out, "%s%s.%s", i ? ", " : "", relation, columns[i]);
    }
    if (!previous->same) {
        buf_printf(out, ", %s.trust_model_version", relation);
    }
    buf_puts(out, ") >> 1 AS BIGINT)");
}

/* A row that says what it said before keeps its time: who runs this again changes nothing. */
static void put_kol_scores(struct str inputs, const struct score_models *models,
                           const struct score_previous *previous, int64_t now_us, struct buf *out)
{
    (void)models;
    struct buf now = {0};
    clock_format(&now, now_us);
    buf_puts(out, "SELECT n.*, ");
    if (previous && previous->read) {
        buf_puts(out, "coalesce(kol_since(");
        put_hashes(out, previous, "n");
        buf_puts(out, "), ");
    } else if (previous) {
        buf_puts(out, "coalesce(p.computed_at, ");
    }
    buf_printf(out, "TIMESTAMPTZ '%s'%s AS computed_at FROM (SELECT ", now.ptr,
               previous ? ")" : "");
    put_score_columns(out);
    put_source(out, inputs, "kol_score",
               TRUST_ARGUMENTS ", success_score, velocity, velocity_before, baseline, market");
    buf_puts(out, ") AS n");
    if (previous && !previous->read) {
        buf_puts(out, " LEFT JOIN (SELECT ");
        put_hashes(out, previous, "q");
        buf_printf(
            out,
            ", q.computed_at FROM %s AS q) AS p(who, said, computed_at) ON (p.who, p.said) = (",
            previous->relation);
        put_hashes(out, previous, "n");
        buf_putc(out, ')');
    }
    buf_free(&now);
}

static const struct maker makers[] = {
    {"silver.kol_trust_features", 0, put_trust_features, false},
    {"gold.ml_trust_training", 0, put_trust_training, false},
    {"gold.ml_success_training", 0, put_success_training, false},
    {"gold.product_success", 1u << SCORE_SUCCESS, put_product_success, false},
    {"gold.kol_scores", 1u << SCORE_TRUST, put_kol_scores, true},
};

static const struct maker *maker_of(const struct lake_table *table)
{
    size_t space = strlen(table->name_space);
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        const char *name = makers[i].name;
        if (!strncmp(name, table->name_space, space) && name[space] == '.' &&
            !strcmp(name + space + 1, table->name)) {
            return &makers[i];
        }
    }
    kol_panic("%s.%s is of kind SCORE and nothing makes it", table->name_space, table->name);
}

/* ---- the interface ---- */

void score_step_select(const struct lake_table *table, struct str inputs,
                       const struct score_models *models, const struct score_previous *previous,
                       int64_t now_us, struct buf *out)
{
    maker_of(table)->put(inputs, models, previous, now_us, out);
}

bool score_step_keeps_times(const struct lake_table *table, const struct score_previous *previous,
                            struct buf *out)
{
    if (maker_of(table)->keeps_times) {
        put_hashes(out, previous, "q");
        buf_printf(out, ", coalesce(epoch_us(q.computed_at), CAST('%" PRId64 "' AS BIGINT))",
                   ENGINE_NO_TIME);
    }
    return maker_of(table)->keeps_times;
}

bool score_step_asks_a_model(const struct lake_table *table)
{
    return maker_of(table)->models != 0;
}

void score_step_describe(const struct lake_table *table, const struct score_models *models,
                         struct buf *out)
{
    const struct maker *maker = maker_of(table);
    buf_printf(out, "|revision %d", SCORE_REVISION);
    for (int kind = 0; kind < SCORE_KINDS; kind++) {
        if (maker->models & 1u << kind) {
            const struct score_model *model = &models->by_kind[kind];
            buf_printf(out, "|%s %s %016" PRIx64, score_kind_name((enum score_kind)kind),
                       model->gbdt ? model->version : "none", model->gbdt ? model->checksum : 0);
        }
    }
}
