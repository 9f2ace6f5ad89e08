/* train.c: `kol train`: rows of the lake or of a file to a new version in the registry. */
#include "registry/train.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/progress.h"
#include "base/signals.h"
#include "cmd/command.h"
#include "cmd/train_rows.h"
#include "registry/registry.h"
#include "version.h"

static const char *const column_names[] = {"rows",   "metric", "value",    "low95",
                                           "high95", "n",      "positives"};

struct shown {
    struct progress progress;
    bool begun;
    char title[64];
};

/* A pass of its own for each `what`: how many rounds the first takes is not known before. */
static enum kol_status show_round(const char *what, int64_t round, double loss, double auc,
                                  void *user, struct kol_error *err)
{
    struct shown *shown = user;
    if (round == 1 || !shown->begun) {
        if (shown->begun) {
            progress_end(&shown->progress);
        }
        progress_begin(&shown->progress, shown->title, "rounds", 0, 0);
        shown->begun = true;
    }
    if (isnan(auc)) {
        snprintf(shown->title, sizeof shown->title, "train: %s", what);
    } else {
        snprintf(shown->title, sizeof shown->title, "train: %s (AUC %.4f, loss %.4f)", what, auc,
                 loss);
    }
    progress_update(&shown->progress, round);
    return signals_stop_asked()
               ? kol_fail(err, KOL_INTERRUPTED, "interrupted; no version was added")
               : KOL_OK;
}

static void show_quality(struct rows *rows, const char *title, const struct train_quality *quality)
{
    for (enum metric metric = 0; metric < METRICS && quality->rows; metric++) {
        const struct metric_interval *interval = &quality->metrics[metric];
        rows_text(rows, str_of(title));
        rows_text(rows, str_of(metric_name(metric)));
        rows_real(rows, interval->value);
        rows_real(rows, interval->low95);
        rows_real(rows, interval->high95);
        rows_int(rows, (int64_t)quality->rows);
        rows_int(rows, (int64_t)quality->positives);
    }
}

static enum kol_status show_metrics(const struct invocation *call, enum score_kind kind,
                                    const struct train_result *result, struct kol_error *err)
{
    struct rows *rows = rows_begin(stdout, call->format, column_names, ARRAY_LEN(column_names));
    show_quality(rows, kind == SCORE_TRUST ? "test, all inputs" : "test", &result->full);
    show_quality(rows, "test, masked", &result->masked);
    show_quality(rows, "full rows alone: all inputs", &result->alone_full);
    show_quality(rows, "full rows alone: masked", &result->alone_masked);
    return rows_end(&rows, err);
}

static enum kol_status add_version(const struct invocation *call, const char *model,
                                   const struct train_result *result, struct kol_error *err)
{
    const struct registry_options options = {.data = call->data};
    const struct registry_file files[] = {
        {"model.txt", buf_str(&result->model)},
        {"metadata.json", buf_str(&result->metadata)},
        {"report.html", buf_str(&result->report)},
    };
    struct registry *registry = NULL;
    char version[32];
    enum kol_status status = registry_open(&options, &registry, err);
    if (status == KOL_OK) {
        status = registry_add(registry, model, "trained", files, ARRAY_LEN(files), version, err);
    }
    if (status == KOL_OK) {
        status = registry_alias(registry, model, REGISTRY_CANDIDATE, version, err);
    }
    if (status == KOL_OK && flag_bool(call, "promote")) {
        status = registry_alias(registry, model, REGISTRY_PRODUCTION, version, err);
    }
    if (status == KOL_OK) {
        fprintf(stderr,
                "%s version %s: %lld trees; the candidate now%s. Its report: "
                "%s/models/%s/%s/report.html\n",
                model, version, (long long)result->trees,
                flag_bool(call, "promote") ? ", and in production" : "", call->data, model,
                version);
    }
    registry_close(&registry);
    return status;
}

static enum kol_status kind_of(const char *name, enum score_kind *out, struct kol_error *err)
{
    for (enum score_kind kind = 0; kind < SCORE_KINDS; kind++) {
        if (strcmp(name, score_kind_name(kind)) == 0) {
            *out = kind;
            return KOL_OK;
        }
    }
    return kol_fail(err, KOL_USAGE, "there is no model '%s' to train: trust, success", name);
}

static enum kol_status run(const struct invocation *call, const struct train_set *set,
                           struct kol_error *err)
{
    struct shown shown = {.title = "train"};
    struct train_result result;
    const struct train_options options = {
        .set = set,
        .seed = flag_int(call, "seed"),
        .library = config_text(call->config, OPTION_LIGHTGBM_LIBRARY),
        .threads = (int)flag_int(call, "threads"),
        .most_trees = flag_int(call, "trees"),
        .compare = !flag_bool(call, "no-comparison"),
        .program = KOL_VERSION,
        .on_round = show_round,
        .user = &shown,
    };
    enum kol_status status = train_run(&options, &result, err);
    if (shown.begun) {
        progress_end(&shown.progress);
    }
    if (status == KOL_OK) {
        status = add_version(call, score_kind_name(set->kind), &result, err);
    }
    if (status == KOL_OK) {
        status = show_metrics(call, set->kind, &result, err);
    }
    train_result_free(&result);
    return status;
}

enum kol_status cmd_train(const struct invocation *call, struct kol_error *err)
{
    enum score_kind kind = SCORE_TRUST;
    struct train_set set;
    enum kol_status status = kind_of(call->args[0], &kind, err);
    if (status == KOL_OK) {
        status = train_rows_read(call, kind, flag_text(call, "from"), NULL, &set, err);
    }
    if (status == KOL_OK) {
        status = run(call, &set, err);
        train_set_free(&set);
    }
    return status;
}
