/*
 * logger.h: what the program tells its operator: one line an event on stderr, text or JSON.
 *
 * Rows of data go to stdout and never through here. The same line from the same place is written at
 * most a few times in ten seconds; what was held back is counted and said in one line afterwards.
 * Thread-safe; a line is written with one write(2).
 */
#ifndef BASE_LOGGER_H
#define BASE_LOGGER_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct logger_options {
    enum log_level level; /* lines below it are not written */
    bool json;            /* {"time":...,"level":...,"message":...} instead of text */
    int burst;            /* lines that one place may write in 10 s; 0 takes 5 */
};

void logger_setup(const struct logger_options *options);

/* One per log_...() call in the source: what the limit of repeats is counted by. */
struct log_site {
    const char *file;
    int line;
    _Atomic long long window_start_ns; /* of the current 10 s */
    _Atomic long long in_window;       /* lines asked for in it */
};

void logger_write(struct log_site *site, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool logger_enabled(enum log_level level);

/* Lines are JSON: for whoever writes lines of its own beside them. */
bool logger_is_json(void);

/* The number of lines held back since the start. */
long long logger_held_back(void);

#define LOG_AT(log_level, ...)                                                                     \
    do {                                                                                           \
        static struct log_site log_site_ = {__FILE__, __LINE__, 0, 0};                             \
        if (logger_enabled(log_level)) {                                                           \
            logger_write(&log_site_, log_level, __VA_ARGS__);                                      \
        }                                                                                          \
    } while (0)

#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_INFO, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_WARN, __VA_ARGS__)
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__)

#endif
