/*
 * doctor.c: `kol doctor`: tries all that the configuration names and says what is wrong, and what
 * to do about it.
 *
 * Nothing is changed. A part that is not there yet is a note, a part that cannot be used is wrong.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "api/api.h"
#include "backup/backup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cmd/doctor.h"
#include "online/online.h"
#include "registry/registry.h"

#define LEAST_FREE (INT64_C(1) << 30) /* bytes on the disk of the data folder */

static enum doctor_finding wrong(struct buf *says, const struct kol_error *err)
{
    buf_puts(says, err->message);
    return DOCTOR_WRONG;
}

/* What is not there yet is no fault. */
static enum doctor_finding of_status(struct buf *says, const struct kol_error *err)
{
    buf_puts(says, err->message);
    return err->status == KOL_NOT_FOUND ? DOCTOR_NOTE : DOCTOR_WRONG;
}

static enum doctor_finding check_data(const struct invocation *call, struct buf *says)
{
    struct statvfs disk;
    struct kol_error err;
    if (!file_exists(call->data)) {
        buf_printf(says, "%s is not there yet: `kol demo` or `kol import` makes it", call->data);
        return DOCTOR_NOTE;
    }
    if (access(call->data, R_OK | W_OK | X_OK) != 0 || statvfs(call->data, &disk) != 0) {
        (void)kol_fail_errno(&err, errno, "%s cannot be written by this user", call->data);
        return wrong(says, &err);
    }
    if (backup_check_restored(call->data, &err) != KOL_OK) {
        return wrong(says, &err);
    }
    int64_t left = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    buf_printf(says, "%s, %lld MiB free", call->data, (long long)(left >> 20));
    if (left < LEAST_FREE) {
        buf_puts(says, ": make space before the log or the lake is full");
        return DOCTOR_WRONG;
    }
    return DOCTOR_FINE;
}

static enum doctor_finding check_log(const struct invocation *call, struct buf *says)
{
    struct bus *bus;
    struct bus_topic *topics;
    struct kol_error err;
    size_t count;
    enum kol_status status = command_open_bus(call, true, &bus, &err);
    if (status != KOL_OK) {
        return of_status(says, &err);
    }
    status = bus_topics(bus, &topics, &count, &err);
    bus_close(&bus);
    if (status != KOL_OK) {
        return wrong(says, &err);
    }
    buf_printf(says, "%zu topics", count);
    free(topics);
    return DOCTOR_FINE;
}

static enum doctor_finding check_lake(const struct invocation *call, struct buf *says)
{
    struct lake *lake;
    struct kol_error err;
    if (command_open_lake(call, true, &lake, &err) != KOL_OK) {
        return of_status(says, &err);
    }
    lake_close(&lake);
    buf_puts(says, "its catalog can be read");
    return DOCTOR_FINE;
}

static enum doctor_finding check_copy(const struct invocation *call, struct buf *says)
{
    struct online_copy *copy;
    struct kol_error err;
    const struct online_options options = {.data = call->data, .threads = 1};
    if (online_open(&options, &copy, &err) != KOL_OK) {
        return of_status(says, &err);
    }
    const struct online_info *info = online_info(copy);
    buf_printf(says, "copy %lld of %lld KOLs and %lld contents, made ", (long long)info->number,
               (long long)info->kols, (long long)info->contents);
    clock_format(says, info->built_us);
    online_close(&copy);
    return DOCTOR_FINE;
}

static enum doctor_finding check_models(const struct invocation *call, struct buf *says)
{
    struct score_models models;
    struct kol_error err;
    if (command_load_models(call, &models, &err) != KOL_OK) {
        return wrong(says, &err);
    }
    bool trust = models.by_kind[SCORE_TRUST].gbdt != NULL;
    buf_printf(says, "trust by %s, success by %s", models.by_kind[SCORE_TRUST].version,
               models.by_kind[SCORE_SUCCESS].gbdt ? models.by_kind[SCORE_SUCCESS].version
                                                  : "the rule");
    registry_serving_free(&models);
    return trust ? DOCTOR_FINE : DOCTOR_NOTE;
}

static enum doctor_finding check_keys(const struct invocation *call, struct buf *says)
{
    struct arena arena;
    struct api_key *keys;
    struct stat stat_of;
    struct kol_error err;
    size_t count;
    enum doctor_finding finding = DOCTOR_FINE;
    char *path = file_join(call->data, "keys.json");
    arena_init(&arena, 0);
    if (api_key_list(call->data, &arena, &keys, &count, &err) != KOL_OK) {
        finding = wrong(says, &err);
    } else if (count && stat(path, &stat_of) == 0 && (stat_of.st_mode & 077)) {
        buf_printf(says, "others may read %s: chmod 600", path);
        finding = DOCTOR_WRONG;
    } else {
        buf_printf(says, "%zu keys%s", count, count ? "" : ": none is asked for on this machine");
        finding = count ? DOCTOR_FINE : DOCTOR_NOTE;
    }
    arena_free(&arena);
    free(path);
    return finding;
}

/* Whether `kol serve` could listen where it is told to. */
static enum doctor_finding check_port(const struct invocation *call, struct buf *says)
{
    char port[16];
    const char *host = config_text(call->config, OPTION_SERVE_HOST);
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    snprintf(port, sizeof port, "%lld", (long long)config_int(call->config, OPTION_SERVE_PORT));
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0) {
        buf_printf(says, "%s: %s", host, gai_strerror(rc));
        return DOCTOR_WRONG;
    }
    const int on = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                 bind(fd, found->ai_addr, found->ai_addrlen) == 0;
    int errnum = errno;
    freeaddrinfo(found);
    if (fd >= 0) {
        close(fd);
    }
    if (bound) {
        buf_printf(says, "%s:%s is free", host, port);
        return DOCTOR_FINE;
    }
    buf_printf(says, "%s:%s: %s%s", host, port, strerror(errnum),
               errnum == EADDRINUSE ? " (by `kol serve`, perhaps)" : "");
    return errnum == EADDRINUSE ? DOCTOR_NOTE : DOCTOR_WRONG;
}

static enum doctor_finding check_certificate(const struct invocation *call, struct buf *says)
{
    const char *certificate = config_text(call->config, OPTION_SERVE_TLS_CERTIFICATE);
    const char *key = config_text(call->config, OPTION_SERVE_TLS_KEY);
    if (!certificate && !key) {
        buf_puts(says, "none: plain HTTP");
        return DOCTOR_NOTE;
    }
    if (!certificate || !key) {
        buf_puts(says, "serve.tls_certificate and serve.tls_key belong together");
        return DOCTOR_WRONG;
    }
    const char *const files[] = {certificate, key};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (access(files[i], R_OK) != 0) {
            buf_printf(says, "%s: %s", files[i], strerror(errno));
            return DOCTOR_WRONG;
        }
    }
    buf_puts(says, "both files can be read");
    return DOCTOR_FINE;
}

/* Options that somebody has set and that no command of this version reads. */
static enum doctor_finding check_unread(const struct invocation *call, struct buf *says)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!*command_options[i].used_by &&
            config_source_of(call->config, i) != CONFIG_FROM_DEFAULT) {
            buf_printf(says, "%s%s", says->len ? ", " : "", command_options[i].name);
        }
    }
    if (!says->len) {
        buf_puts(says, "every option that is set is read");
        return DOCTOR_FINE;
    }
    buf_puts(says, ": set, but this version reads none of them");
    return DOCTOR_NOTE;
}

static const struct {
    const char *name;
    doctor_check *run;
} checks[] = {
    {"data folder", check_data},      {"event log", check_log},           {"lake", check_lake},
    {"online copy", check_copy},      {"models", check_models},           {"keys", check_keys},
    {"address", check_port},          {"certificate", check_certificate}, {"redis", doctor_redis},
    {"other services", check_unread},
};

enum kol_status cmd_doctor(const struct invocation *call, struct kol_error *err)
{
    static const char *const columns[] = {"check", "state", "says"};
    static const char *const states[] = {
        [DOCTOR_FINE] = "ok", [DOCTOR_NOTE] = "note", [DOCTOR_WRONG] = "wrong"};
    struct rows *rows = rows_begin(stdout, call->format, columns, ARRAY_LEN(columns));
    size_t wrongs = 0;
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        struct buf says = {0};
        enum doctor_finding finding = checks[i].run(call, &says);
        rows_text(rows, str_of(checks[i].name));
        rows_text(rows, str_of(states[finding]));
        rows_text(rows, buf_str(&says));
        wrongs += finding == DOCTOR_WRONG;
        buf_free(&says);
    }
    enum kol_status status = rows_end(&rows, err);
    if (status == KOL_OK && wrongs) {
        status = kol_fail(err, KOL_CONFLICT, "%zu of %zu checks found something wrong", wrongs,
                          ARRAY_LEN(checks));
    }
    return status;
}
