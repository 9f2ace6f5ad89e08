/* warm.c: `kol warm`: writes the values of the online copy into Redis before they are asked for. */
#include "serve/warm.h"

#include <stdlib.h>
#include <string.h>

#include "api/values.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/signals.h"
#include "cmd/command.h"
#include "cmd/redis.h"
#include "version.h"

enum { ANSWER_US = 5 * 1000 * 1000 }; /* nobody waits for a warm */

/* ---- progress ---- */

struct shown {
    struct progress progress;
    bool begun;
};

static void show(const char *part, int64_t done, int64_t total, void *user)
{
    struct shown *shown = user;
    if (!shown->begun) {
        shown->begun = true;
        progress_begin(&shown->progress, "warm", "keys", total, 0);
    }
    (void)part;
    shown->progress.total = total;
    progress_update(&shown->progress, done);
}

static bool is_stopped(void *user)
{
    (void)user;
    return signals_stop_asked();
}

/* ---- the report ---- */

static enum kol_status print_report(const struct invocation *call, const bool *parts,
                                    const struct warm_report *report, struct kol_error *err)
{
    static const char *const names[] = {"part",    "keys",     "written", "kept",
                                        "refused", "left_out", "bytes",   "seconds"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    for (int i = 0; i < WARM_PARTS; i++) {
        const struct warm_part_report *part = &report->parts[i];
        if (!parts[i]) {
            continue;
        }
        rows_text(rows, str_of(warm_part_names[i]));
        rows_int(rows, part->keys);
        rows_int(rows, part->written);
        rows_int(rows, part->kept);
        rows_int(rows, part->refused);
        rows_int(rows, part->left_out);
        rows_int(rows, part->bytes);
        rows_real(rows, (double)(int64_t)(part->seconds * 1000) / 1000);
    }
    return rows_end(&rows, err);
}

struct sums {
    int64_t keys, refused, left_out, bytes;
};

static struct sums sum_up(const struct warm_report *report)
{
    struct sums sums = {0};
    for (int i = 0; i < WARM_PARTS; i++) {
        sums.keys += report->parts[i].keys;
        sums.refused += report->parts[i].refused;
        sums.left_out += report->parts[i].left_out;
        sums.bytes += report->parts[i].bytes;
    }
    return sums;
}

/* One line for a person, and what the command comes back with. */
static enum kol_status say(const struct warm_report *report, bool dry, const char *where,
                           struct kol_error *err)
{
    const struct sums sums = sum_up(report);
    fprintf(stderr, "%s%lld keys of snapshot %lld%s%s in %.1f s (%.0f a second)\n",
            dry ? "would bring " : "", (long long)sums.keys, (long long)report->snapshot,
            dry ? "" : " are in ", dry ? "" : where, report->seconds,
            report->seconds > 0 ? (double)sums.keys / report->seconds : 0);
    if (report->resumed) {
        fprintf(stderr, "%lld more were there, from a warm that was interrupted\n",
                (long long)report->resumed);
    }
    if (sums.left_out) {
        fprintf(stderr, "%lld keys were left out: %s\n", (long long)sums.left_out, report->reason);
    }
    if (report->interrupted) {
        return kol_fail(err, KOL_INTERRUPTED,
                        "interrupted: what was written stays, the same command goes on there");
    }
    if (sums.refused && sums.refused == sums.keys) {
        return kol_fail(err, KOL_CONFLICT, "%s: see `kol doctor`", report->reason);
    }
    if (sums.refused) {
        fprintf(stderr, "%lld keys were refused: %s\n", (long long)sums.refused, report->reason);
    }
    return KOL_OK;
}

/* ---- the command ---- */

/* What it is asked for most, as the server noted it. Without it the order is the source's. */
static enum kol_status load_heat(const struct invocation *call, struct heat **out,
                                 struct kol_error *err)
{
    char *path = file_join(call->data, "heat");
    *out = heat_new(&(struct heat_options){0});
    enum kol_status status = heat_load(*out, path, err);
    if (status == KOL_NOT_FOUND) {
        status = KOL_OK;
    } else if (status == KOL_CORRUPT) {
        fprintf(stderr, "%s; what stands before it counts\n", err->message);
        status = KOL_OK;
    }
    free(path);
    return status;
}

static void read_parts(const struct invocation *call, bool *parts)
{
    bool any = false;
    for (int i = 0; i < WARM_PARTS; i++) {
        parts[i] = flag_bool(call, warm_part_names[i]);
        any |= parts[i];
    }
    for (int i = 0; i < WARM_PARTS && !any; i++) {
        parts[i] = true;
    }
}

static enum kol_status run(const struct invocation *call, struct redis *redis,
                           const struct warm_source *source, struct kol_error *err)
{
    struct shown shown = {0};
    struct heat *heat = NULL;
    struct warm_report report = {0};
    struct warm_options options = {
        .redis = redis,
        .full = flag_bool(call, "full"),
        .older_scores = config_int(call->config, OPTION_REDIS_SCORE_FORMAT) == 1,
        .limit = flag_int(call, "limit"),
        .fill = (double)config_int(call->config, OPTION_WARM_FILL) / 100,
        .state = call->data,
        .wait_us = ANSWER_US,
        .version = KOL_VERSION,
        .on_progress = show,
        .stop = is_stopped,
        .user = &shown,
    };
    read_parts(call, options.parts);
    enum kol_status status = load_heat(call, &heat, err);
    options.heat = heat;
    if (status == KOL_OK) {
        status = warm_run(source, &options, &report, err);
    }
    if (shown.begun) {
        progress_end(&shown.progress);
    }
    heat_free(&heat);
    if (status == KOL_OK) {
        status = print_report(call, options.parts, &report, err);
    }
    return status == KOL_OK ? say(&report, !redis, redis ? redis_name(redis) : "", err) : status;
}

enum kol_status cmd_warm(const struct invocation *call, struct kol_error *err)
{
    struct redis *redis = NULL;
    struct api_values *values = NULL;
    enum kol_status status = KOL_OK;
    if (!flag_bool(call, "dry-run")) {
        status = redis_from_config_needed(call->config, ANSWER_US, &redis, err);
    }
    if (status == KOL_OK) {
        status = api_values_open(call->data, &values, err);
    }
    if (status == KOL_OK) {
        status = run(call, redis, api_values_source(values), err);
    }
    if (values) {
        api_values_close(&values);
    }
    redis_close(&redis);
    return status;
}
