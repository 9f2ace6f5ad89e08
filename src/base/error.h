/*
 * error.h: how a function says that it failed, and why.
 *
 * A function that can fail returns `enum kol_status` and takes a `struct kol_error *` last. The
 * place that sees the failure fills it, once, by kol_fail(); callers pass the status up and may put
 * context in front with kol_wrap(). A NULL error pointer is allowed: the caller wants no text.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum kol_status {
#define STATUS(name, text, meaning) KOL_##name,
#include "base/status.def"
#undef STATUS
    KOL_STATUS_COUNT
};

struct kol_error {
    enum kol_status status;
    char message[512]; /* one sentence for a person, cut at the end if it is longer */
};

#define KOL_CHECKED __attribute__((warn_unused_result))
#define KOL_PRINTF(at, first) __attribute__((format(printf, at, first)))

/* Fills `err` and returns `status`, so that a failing function ends in `return kol_fail(...)`. */
enum kol_status kol_fail(struct kol_error *err, enum kol_status status, const char *format, ...)
    KOL_PRINTF(3, 4);

/* The same with what `errnum` says appended. ENOSPC and EDQUOT become KOL_NO_SPACE, ENOENT becomes
 * KOL_NOT_FOUND, all else KOL_IO. */
enum kol_status kol_fail_errno(struct kol_error *err, int errnum, const char *format, ...)
    KOL_PRINTF(3, 4);

/* Puts "context: " in front of the message that is there and returns err->status (KOL_INVALID where
 * `err` is NULL). */
enum kol_status kol_wrap(struct kol_error *err, const char *format, ...) KOL_PRINTF(2, 3);

/* The stable word of a status ("not_found"), and its meaning. Never NULL. */
const char *kol_status_text(enum kol_status status);
const char *kol_status_meaning(enum kol_status status);

#endif
