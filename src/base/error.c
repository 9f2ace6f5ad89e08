/* error.c: the one place where an error is written down. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    const char *meaning;
} statuses[KOL_STATUS_COUNT] = {
#define STATUS(name, text, meaning) [KOL_##name] = {text, meaning},
#include "base/status.def"
#undef STATUS
};

enum kol_status kol_fail(struct kol_error *err, enum kol_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        err->status = status;
    }
    return status;
}

static enum kol_status status_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT: return KOL_NO_SPACE;
    case ENOENT: return KOL_NOT_FOUND;
    case EINTR: return KOL_INTERRUPTED;
    default: return KOL_IO;
    }
}

/* Appends ": more", cut where the message is full. */
static void append(struct kol_error *err, const char *more)
{
    size_t len = strlen(err->message), room = sizeof err->message - len;
    size_t want = strlen(more) + 2;
    if (room > 3) {
        size_t take = want < room ? want - 2 : room - 3;
        memcpy(err->message + len, ": ", 2);
        memcpy(err->message + len + 2, more, take);
        err->message[len + 2 + take] = '\0';
    }
}

enum kol_status kol_fail_errno(struct kol_error *err, int errnum, const char *format, ...)
{
    enum kol_status status = status_of_errno(errnum);
    if (err) {
        char reason[128];
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        append(err, strerror_r(errnum, reason, sizeof reason));
        err->status = status;
    }
    return status;
}

enum kol_status kol_wrap(struct kol_error *err, const char *format, ...)
{
    if (!err) {
        return KOL_INVALID;
    }
    char inner[sizeof err->message];
    memcpy(inner, err->message, sizeof inner);
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    append(err, inner);
    return err->status;
}

const char *kol_status_text(enum kol_status status)
{
    return (unsigned)status < KOL_STATUS_COUNT ? statuses[status].text : "unknown";
}

const char *kol_status_meaning(enum kol_status status)
{
    return (unsigned)status < KOL_STATUS_COUNT ? statuses[status].meaning : "unknown";
}
