/* progress.c: a bar that redraws itself, or lines for a log file. */
#include "base/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { BAR_WIDTH = 24 };

#define BAR_EVERY_NS INT64_C(100000000)
#define LINE_EVERY_NS INT64_C(5000000000)

static enum progress_style chosen_style = PROGRESS_AUTO;

void progress_set_style(enum progress_style style)
{
    chosen_style = style;
}

static enum progress_style style_now(void)
{
    if (chosen_style != PROGRESS_AUTO) {
        return chosen_style;
    }
    return isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_LINES;
}

void progress_begin(struct progress *progress, const char *what, const char *unit, int64_t total,
                    int64_t already_done)
{
    *progress = (struct progress){
        .what = what,
        .unit = unit,
        .total = total,
        .done = already_done,
        .started_at = already_done,
        .started_ns = clock_mono_ns(),
        .style = style_now(),
    };
    progress->shown_ns = progress->started_ns;
}

/* "1.5 GB" for bytes, "1,234,567 events" for all else. */
static void put_amount(struct buf *out, double amount, const char *unit)
{
    static const char *const scales[] = {"B", "kB", "MB", "GB", "TB"};
    if (!str_is(str_of(unit), "bytes")) {
        char digits[32];
        int len = snprintf(digits, sizeof digits, "%.0f", amount);
        for (int i = 0; i < len; i++) {
            if (i && (len - i) % 3 == 0) {
                buf_putc(out, ',');
            }
            buf_putc(out, digits[i]);
        }
        buf_printf(out, " %s", unit);
        return;
    }
    size_t scale = 0;
    while (amount >= 1000 && scale < 4) {
        amount /= 1000;
        scale++;
    }
    buf_printf(out, scale ? "%.1f %s" : "%.0f %s", amount, scales[scale]);
}

static void put_duration(struct buf *out, double seconds)
{
    if (seconds >= 3600) {
        int64_t minutes = (int64_t)(seconds / 60);
        buf_printf(out, "%lldh%02dm", (long long)(minutes / 60), (int)(minutes % 60));
    } else if (seconds >= 60) {
        buf_printf(out, "%dm%02ds", (int)seconds / 60, (int)seconds % 60);
    } else {
        buf_printf(out, "%.0fs", seconds);
    }
}

static void put_bar(struct buf *out, double share)
{
    int full = (int)(share * BAR_WIDTH);
    buf_putc(out, '[');
    for (int i = 0; i < BAR_WIDTH; i++) {
        buf_putc(out, i < full ? '#' : '.');
    }
    buf_puts(out, "] ");
}

static void put_state(struct buf *out, const struct progress *progress)
{
    double seconds = (double)(clock_mono_ns() - progress->started_ns) / 1e9;
    double worked = (double)(progress->done - progress->started_at);
    double rate = seconds > 0 ? worked / seconds : 0;
    buf_printf(out, "%s: ", progress->what);
    if (progress->total > 0) {
        double share = (double)progress->done / (double)progress->total;
        share = share > 1 ? 1 : share;
        if (progress->style == PROGRESS_BAR) {
            put_bar(out, share);
        }
        buf_printf(out, "%.0f%%, ", share * 100);
    }
    put_amount(out, (double)progress->done, progress->unit);
    buf_puts(out, ", ");
    put_amount(out, rate, progress->unit);
    buf_puts(out, "/s");
    if (progress->total > progress->done && rate > 0) {
        buf_puts(out, ", ");
        put_duration(out, (double)(progress->total - progress->done) / rate);
        buf_puts(out, " left");
    }
}

void progress_update(struct progress *progress, int64_t done)
{
    progress->done = done;
    int64_t now = clock_mono_ns();
    int64_t every = progress->style == PROGRESS_BAR ? BAR_EVERY_NS : LINE_EVERY_NS;
    if (progress->style == PROGRESS_OFF || now - progress->shown_ns < every) {
        return;
    }
    progress->shown_ns = now;
    struct buf line = {0};
    if (progress->style == PROGRESS_BAR) {
        buf_puts(&line, "\r\x1b[K");
        progress->drawn = true;
    }
    put_state(&line, progress);
    fprintf(stderr, progress->style == PROGRESS_BAR ? "%s" : "%s\n", line.ptr);
    fflush(stderr);
    buf_free(&line);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
        progress->drawn = false;
    }
}
