/* logger.c: lines on stderr, and the limit of repeats that keeps a broken peer from filling a disk.
 */
#include "base/logger.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/text.h"

#define WINDOW_NS (INT64_C(10) * 1000000000)

enum { DEFAULT_BURST = 5 };

static struct logger_options current = {LOG_INFO, false, DEFAULT_BURST};
static _Atomic long long held_back;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void logger_setup(const struct logger_options *options)
{
    current = *options;
    if (current.burst <= 0) {
        current.burst = DEFAULT_BURST;
    }
}

bool logger_enabled(enum log_level level)
{
    return level >= current.level;
}

bool logger_is_json(void)
{
    return current.json;
}

long long logger_held_back(void)
{
    return atomic_load(&held_back);
}

static void put_text_line(struct buf *line, enum log_level level, struct str message)
{
    clock_format(line, clock_now_us());
    buf_printf(line, " %-5s ", level_names[level]);
    for (size_t i = 0; i < message.len; i++) {
        unsigned char c = (unsigned char)message.ptr[i];
        if (c < 0x20 || c == 0x7f) {
            buf_printf(line, "\\x%02x", c); /* one event stays one line, whatever it quotes */
        } else {
            buf_putc(line, (char)c);
        }
    }
}

static void put_json_line(struct buf *line, enum log_level level, const struct log_site *site,
                          struct str message)
{
    buf_puts(line, "{\"time\":\"");
    clock_format(line, clock_now_us());
    buf_printf(line, "\",\"level\":\"%s\",\"source\":\"%s:%d\",\"message\":", level_names[level],
               site->file, site->line);
    if (text_is_utf8(message)) {
        text_put_json(line, message);
    } else {
        buf_puts(line, "null,\"message_base64\":\"");
        text_put_base64(line, message);
        buf_putc(line, '"');
    }
    buf_putc(line, '}');
}

static void write_line(const struct log_site *site, enum log_level level, struct str message)
{
    struct buf line = {0};
    if (current.json) {
        put_json_line(&line, level, site, message);
    } else {
        put_text_line(&line, level, message);
    }
    buf_putc(&line, '\n');
    /* Nobody is left to be told where stderr itself fails. */
    ssize_t written = write(STDERR_FILENO, line.ptr, line.len);
    (void)written;
    buf_free(&line);
}

/* Opens a new window where the old one is over; `*missed` is what the old one held back. True if a
 * line may be written. */
static bool admit(struct log_site *site, long long *missed)
{
    long long now = clock_mono_ns(), start = atomic_load(&site->window_start_ns);
    *missed = 0;
    if (start == 0 || now - start > WINDOW_NS) {
        if (atomic_compare_exchange_strong(&site->window_start_ns, &start, now)) {
            long long asked = atomic_exchange(&site->in_window, 0);
            *missed = asked > current.burst ? asked - current.burst : 0;
        }
    }
    return atomic_fetch_add(&site->in_window, 1) < current.burst;
}

void logger_write(struct log_site *site, enum log_level level, const char *format, ...)
{
    long long missed;
    bool admitted = admit(site, &missed);
    if (missed) {
        char note[96];
        int len =
            snprintf(note, sizeof note, "%lld more lines like the next were held back", missed);
        write_line(site, level, (struct str){note, (size_t)len});
    }
    if (!admitted) {
        atomic_fetch_add(&held_back, 1);
        metrics_add(METRIC_LOGGER_HELD_BACK, NULL, 1);
        return;
    }
    struct buf message = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&message, format, args);
    va_end(args);
    write_line(site, level, buf_str(&message));
    buf_free(&message);
}
