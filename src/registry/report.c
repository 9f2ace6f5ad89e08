/*
 * report.c: report.html of a trained version: one page with plots, whole in itself: no script,
 * nothing fetched. It says nothing that metadata.json does not, but for the curves.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "registry/train_parts.h"

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:62rem;margin:2rem auto;"
    "padding:0 1rem}\n"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;"
    "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}\n"
    "figure{display:inline-block;margin:0 1rem 1.5rem 0;vertical-align:top}"
    "figcaption{max-width:26rem;color:#555}\n"
    "svg text{font:11px system-ui,sans-serif;fill:#444}.frame{fill:none;stroke:#999}"
    ".guide{stroke:#ccc;fill:none}.a{stroke:#1764ab;fill:none;stroke-width:1.6}"
    ".b{stroke:#c4500a;fill:none;stroke-width:1.6;stroke-dasharray:5 3}"
    ".af{fill:#1764ab}.bf{fill:#c4500a}.half{fill-opacity:.55}\n"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:.6rem}\n</style>\n";

static void put_html(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '<': buf_puts(out, "&lt;"); break;
        case '>': buf_puts(out, "&gt;"); break;
        case '&': buf_puts(out, "&amp;"); break;
        case '"': buf_puts(out, "&quot;"); break;
        default: buf_putc(out, text.ptr[i]);
        }
    }
}

static void put_number(struct buf *out, double value, int digits)
{
    if (isnan(value)) {
        buf_puts(out, "-");
    } else {
        buf_printf(out, "%.*f", digits, value);
    }
}

/* ---- plots ---- */

enum { SIDE = 300, LEFT = 46, TOP = 12, WIDTH = LEFT + SIDE + 14, HEIGHT = TOP + SIDE + 42 };

static double at_x(double share)
{
    return LEFT + SIDE * share;
}

static double at_y(double share)
{
    return TOP + SIDE * (1 - share);
}

/* A square frame with ticks at 0, 0.25 .. 1 of each axis, labelled up to x_max and y_max. */
static void begin_plot(struct buf *out, const char *title, const char *x, double x_max,
                       const char *y, double y_max)
{
    buf_printf(out,
               "<figure><svg width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">"
               "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>",
               WIDTH, HEIGHT, title, LEFT, TOP, SIDE, SIDE);
    for (int i = 0; i <= 4; i++) {
        double share = i / 4.0;
        buf_printf(out,
                   "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>"
                   "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>",
                   at_x(share), TOP + SIDE + 16, share * x_max, LEFT - 5, at_y(share) + 4,
                   share * y_max);
    }
    buf_printf(out,
               "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>"
               "<text transform=\"translate(11 %.1f) rotate(-90)\" text-anchor=\"middle\">%s"
               "</text>",
               at_x(0.5), HEIGHT - 8, x, at_y(0.5), y);
}

static void end_plot(struct buf *out, const char *caption)
{
    buf_printf(out, "</svg><figcaption>%s</figcaption></figure>\n", caption);
}

static void put_diagonal(struct buf *out)
{
    buf_printf(out, "<path class=\"guide\" d=\"M%.1f %.1fL%.1f %.1f\"/>", at_x(0), at_y(0), at_x(1),
               at_y(1));
}

/* Points nearer than half a pixel to the one before are left out. */
static void put_roc(struct buf *out, const struct train_view *view, const char *style)
{
    struct roc_point *points = mem_alloc((view->count + 1) * sizeof *points);
    size_t count = metrics_roc(view->scores, view->labels, view->count, points);
    double last_x = -9, last_y = -9;
    buf_printf(out, "<polyline class=\"%s\" points=\"", style);
    for (size_t i = 0; i < count; i++) {
        double x = at_x(points[i].false_positives), y = at_y(points[i].true_positives);
        if (fabs(x - last_x) + fabs(y - last_y) >= 0.5 || i + 1 == count) {
            buf_printf(out, "%.1f,%.1f ", x, y);
            last_x = x;
            last_y = y;
        }
    }
    buf_puts(out, "\"/>");
    free(points);
}

static void plot_roc(struct buf *out, const struct train_work *work)
{
    begin_plot(out, "ROC curve", "share of class 0 taken for class 1", 1, "share of class 1 found",
               1);
    put_diagonal(out);
    put_roc(out, &work->full, "a");
    if (work->masked.count) {
        put_roc(out, &work->masked, "b");
    }
    end_plot(out, work->masked.count
                      ? "ROC on the test part: all inputs (solid), age and default flags masked "
                        "(dashed). The diagonal is a coin."
                      : "ROC on the test part. The diagonal is a coin.");
}

static void put_calibration(struct buf *out, const struct train_view *view, const char *style)
{
    struct calibration_bin bins[METRICS_BINS];
    metrics_calibration(view->scores, view->labels, view->count, bins);
    for (size_t i = 0; i < METRICS_BINS; i++) {
        if (bins[i].rows) {
            double radius = 2 + 10 * sqrt((double)bins[i].rows / (double)view->count);
            buf_printf(out,
                       "<circle class=\"%s half\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"><title>%zu "
                       "rows: foretold %.4f, was %.4f</title></circle>",
                       style, at_x(bins[i].mean_score), at_y(bins[i].share), radius, bins[i].rows,
                       bins[i].mean_score, bins[i].share);
        }
    }
}

static void plot_calibration(struct buf *out, const struct train_work *work)
{
    begin_plot(out, "Calibration", "probability foretold (mean of the bin)", 1,
               "share of class 1 in the bin", 1);
    put_diagonal(out);
    put_calibration(out, &work->full, "af");
    if (work->masked.count) {
        put_calibration(out, &work->masked, "bf");
    }
    end_plot(out,
             "Calibration on the test part in 10 equal bins; the larger the dot, the more rows "
             "(blue: all inputs, orange: masked). On the diagonal what was foretold is what "
             "was.");
}

enum { BARS = 20 };

/* How many rows of each class have a score in each of BARS equal steps of 0..100. */
static size_t count_scores(const struct train_work *work, size_t counts[2][BARS])
{
    size_t most = 1;
    bool trust = work->set->kind == SCORE_TRUST;
    for (size_t i = 0; i < work->full.count; i++) {
        double p = work->full.scores[i], share = trust ? 1 - p : p;
        size_t bar = (size_t)(share * BARS);
        size_t *count = &counts[work->full.labels[i]][bar < BARS ? bar : BARS - 1];
        most = ++*count > most ? *count : most;
    }
    return most;
}

static void plot_scores(struct buf *out, const struct train_work *work)
{
    size_t counts[2][BARS] = {{0}};
    size_t most = (count_scores(work, counts) + 3) / 4 * 4; /* whole numbers at the ticks */
    begin_plot(out, "Scores", "score", 100, "rows", (double)most);
    for (int label = 0; label < 2; label++) {
        for (int i = 0; i < BARS; i++) {
            double share = (double)counts[label][i] / (double)most;
            buf_printf(out,
                       "<rect class=\"%s half\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                       "height=\"%.1f\"><title>%zu rows</title></rect>",
                       label ? "bf" : "af", at_x((double)i / BARS), at_y(share), SIDE / BARS - 1.0,
                       SIDE * share, counts[label][i]);
        }
    }
    end_plot(out, work->set->kind == SCORE_TRUST
                      ? "Trust scores of the test part, all inputs: humans blue, bots orange."
                      : "Success scores of the test part: high sellers orange, others blue.");
}

struct ranked {
    double loss;
    size_t feature;
};

static int by_loss(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->loss != b->loss) {
        return a->loss > b->loss ? -1 : 1;
    }
    return a->feature < b->feature ? -1 : a->feature > b->feature;
}

static void plot_importance(struct buf *out, const struct train_work *work)
{
    enum { ROW = 17, NAMES = 220, LENGTH = 330, NUMBERS = 60 };
    const struct score_feature *table = train_features(work->set->kind);
    size_t count = work->set->columns;
    struct ranked *ranked = mem_alloc(count * sizeof *ranked);
    for (size_t i = 0; i < count; i++) {
        ranked[i] = (struct ranked){work->importance[i].mean, i};
    }
    qsort(ranked, count, sizeof *ranked, by_loss);
    double most = ranked[0].loss > 0 ? ranked[0].loss : 1;
    buf_printf(out,
               "<figure><svg width=\"%d\" height=\"%zu\" role=\"img\" aria-label=\"Importance\">",
               NAMES + LENGTH + NUMBERS, count * ROW + 4);
    for (size_t i = 0; i < count; i++) {
        double length = LENGTH * fmax(ranked[i].loss, 0) / most;
        buf_printf(out,
                   "<text x=\"%d\" y=\"%zu\" text-anchor=\"end\">%s</text><rect class=\"af\" "
                   "x=\"%d\" y=\"%zu\" width=\"%.1f\" height=\"%d\"/><text x=\"%.1f\" y=\"%zu\">",
                   NAMES - 6, i * ROW + 13, table[ranked[i].feature].name, NAMES, i * ROW + 3,
                   length, ROW - 5, NAMES + length + 5, i * ROW + 13);
        put_number(out, ranked[i].loss, 5);
        buf_puts(out, "</text>");
    }
    free(ranked);
    end_plot(out, "What the AUC on the test part loses when the values of one feature are "
                  "dealt out among the accounts at random. Features that say the same stand in for "
                  "one another.");
}

/* ---- tables ---- */

static const char *const metric_titles[METRICS] = {
    [METRIC_AUC] = "AUC",
    [METRIC_PR_AUC] = "PR-AUC (average precision)",
    [METRIC_F1] = "F1 at 0.5",
    [METRIC_BRIER] = "Brier score",
    [METRIC_CALIBRATION] = "Calibration error (10 bins)",
};

static void put_cell(struct buf *out, const struct metric_interval *interval)
{
    buf_puts(out, "<td>");
    put_number(out, interval->value, 4);
    buf_puts(out, " (");
    put_number(out, interval->low95, 4);
    buf_puts(out, " to ");
    put_number(out, interval->high95, 4);
    buf_puts(out, ")</td>");
}

static void put_metrics(struct buf *out, const struct train_result *result)
{
    const struct {
        const char *title;
        const struct train_quality *quality;
    } columns[] = {
        {result->masked.rows ? "all inputs" : "test part", &result->full},
        {"age and default flags masked", &result->masked},
        {"full rows alone: all inputs", &result->alone_full},
        {"full rows alone: masked", &result->alone_masked},
    };
    buf_puts(out, "<table><tr><th>on the test part</th>");
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        if (columns[i].quality->rows) {
            buf_printf(out, "<th>%s</th>", columns[i].title);
        }
    }
    buf_puts(out, "</tr>\n");
    for (enum metric metric = 0; metric < METRICS; metric++) {
        buf_printf(out, "<tr><td>%s</td>", metric_titles[metric]);
        for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
            if (columns[i].quality->rows) {
                put_cell(out, &columns[i].quality->metrics[metric]);
            }
        }
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</table>\n<p>In brackets: 95 % of 1,000 draws of the test part's accounts.");
    if (result->alone_full.rows) {
        buf_puts(out,
                 " The last two columns are a model by the same recipe that never saw a masked "
                 "row. It is not served: some platforms tell neither age nor default flags, "
                 "and it judges their accounts worse.");
    }
    buf_puts(out, "</p>\n");
}

static void put_facts(struct buf *out, const struct train_work *work,
                      const struct train_result *result)
{
    buf_printf(out,
               "<p>%zu rows of %zu %s, split 70/15/15 by seed %lld; %lld trees: the best of "
               "%lld rounds by the validation part, then grown from train and validation together; "
               "LightGBM ",
               work->set->rows, work->set->account_count,
               work->set->kind == SCORE_TRUST ? "accounts" : "products",
               (long long)work->options->seed, (long long)work->trees, (long long)work->rounds);
    put_html(out, str_of(work->lib.version));
    buf_printf(out, ". The test part: %zu %s, %zu of class 1, looked at once.</p>\n<pre>",
               result->full.accounts, work->set->kind == SCORE_TRUST ? "accounts" : "products",
               result->full.positives);
    put_html(out, buf_str(&work->set->source));
    buf_puts(out, "\n");
    for (size_t i = 0; i < train_parameter_count; i++) {
        buf_printf(out, "%s=%s ", train_parameters[i].name, train_parameters[i].value);
    }
    buf_puts(out, "</pre>\n");
}

static void put_ranges(struct buf *out, const struct train_work *work)
{
    const struct score_feature *table = train_features(work->set->kind);
    buf_puts(out, "<h2>Features in training</h2>\n<table><tr><th>feature</th><th>unknown</th>"
                  "<th>least</th><th>middle</th><th>most</th></tr>\n");
    for (size_t i = 0; i < work->set->columns; i++) {
        const struct train_range *range = &work->ranges[i];
        const double numbers[] = {range->min, range->quantiles[TRAIN_QUANTILES / 2], range->max};
        buf_printf(out, "<tr><td>%s</td><td>%.1f %%</td>", table[i].name, 100 * range->null_rate);
        for (size_t j = 0; j < ARRAY_LEN(numbers); j++) {
            if (isnan(numbers[j])) {
                buf_puts(out, "<td>-</td>");
            } else {
                buf_printf(out, "<td>%.6g</td>", numbers[j]);
            }
        }
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</table>\n");
}

void train_put_report(const struct train_work *work, const struct train_result *result,
                      struct buf *out)
{
    const char *name = score_kind_name(work->set->kind);
    buf_puts(out, head);
    buf_printf(out, "<title>%s model</title></head><body>\n<h1>The %s model</h1>\n", name, name);
    put_facts(out, work, result);
    put_metrics(out, result);
    plot_roc(out, work);
    plot_calibration(out, work);
    plot_scores(out, work);
    buf_puts(out, "<h2>What matters</h2>\n");
    plot_importance(out, work);
    put_ranges(out, work);
    buf_puts(out, "</body></html>\n");
}
