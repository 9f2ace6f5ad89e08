/* position.c: positions as marks of the log. */
#include "import/position.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"

enum kol_status position_name(const struct preset *preset, const char *path, const char *set,
                              char out[POSITION_NAME], struct kol_error *err)
{
    struct stat info;
    out[0] = '\0';
    if (stat(path, &info) != 0) {
        return kol_fail_errno(err, errno, "cannot read %s", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return KOL_OK;
    }
    char *real = realpath(path, NULL);
    if (!real) {
        return kol_fail_errno(err, errno, "cannot read %s", path);
    }
    struct buf text = {0};
    buf_put(&text, preset->name);
    buf_putc(&text, '\0');
    buf_put(&text, preset->text);
    buf_printf(&text, "%c%s%c%lld %lld.%09ld %s", 0, real, 0, (long long)info.st_size,
               (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec, set ? set : "");
    struct buf name = {0};
    buf_puts(&name, "import.");
    hash_put_hex128(&name, buf_str(&text));
    snprintf(out, POSITION_NAME, "%s", name.ptr);
    buf_free(&name);
    buf_free(&text);
    free(real);
    return KOL_OK;
}

enum kol_status position_put(struct bus_producer *producer, const char *name,
                             const struct position *position, struct kol_error *err)
{
    struct buf json = {0};
    if (position) {
        const struct import_counts *counts = &position->counts;
        buf_printf(&json, "{\"offset\":%lld,\"line\":%lld,\"done\":%s,\"command\":\"%s\"",
                   (long long)position->offset, (long long)position->line,
                   position->done ? "true" : "false", position->command);
        buf_printf(&json, ",\"records\":%lld,\"dead\":%lld,\"skipped\":%lld,\"accepted\":{",
                   (long long)counts->records, (long long)counts->dead, (long long)counts->skipped);
        for (int topic = 0; topic < TOPIC_COUNT; topic++) {
            buf_printf(&json, "%s\"%s\":%lld", topic ? "," : "", topic_name((enum topic)topic),
                       (long long)counts->accepted[topic]);
        }
        buf_puts(&json, "}}");
    }
    enum kol_status status = bus_txn_mark(producer, name, buf_str(&json), err);
    buf_free(&json);
    return status;
}

/* A member that is a whole number of 0 or more; false where it is missing or none. */
static bool get_int(const json_t *json, const char *key, int64_t *out)
{
    const json_t *member = json_object_get(json, key);
    *out = json_integer_value(member);
    return json_is_integer(member) && *out >= 0;
}

static bool read_position(const json_t *json, struct position *out)
{
    const json_t *accepted = json_object_get(json, "accepted");
    const char *command = json_string_value(json_object_get(json, "command"));
    struct import_counts *counts = &out->counts;
    *out = (struct position){.done = json_is_true(json_object_get(json, "done"))};
    bool ok = command && get_int(json, "offset", &out->offset) &&
              get_int(json, "line", &out->line) && get_int(json, "records", &counts->records) &&
              get_int(json, "dead", &counts->dead) && get_int(json, "skipped", &counts->skipped);
    if (ok) {
        snprintf(out->command, sizeof out->command, "%s", command);
    }
    for (int topic = 0; ok && topic < TOPIC_COUNT; topic++) {
        /* A topic that this version has and the one that wrote the mark had not: none. */
        (void)get_int(accepted, topic_name((enum topic)topic), &counts->accepted[topic]);
        counts->events += counts->accepted[topic];
    }
    return ok;
}

enum kol_status position_get(struct bus *bus, const char *name, struct position *out,
                             struct kol_error *err)
{
    struct buf text = {0};
    enum kol_status status = bus_mark_get(bus, name, &text, err);
    if (status == KOL_OK) {
        json_t *json = json_loadb(text.ptr, text.len, 0, NULL);
        if (!json || !read_position(json, out)) {
            status = kol_fail(err, KOL_CORRUPT,
                              "the position of an interrupted import (mark %s) cannot be read; "
                              "--restart begins at the front",
                              name);
        }
        json_decref(json);
    }
    buf_free(&text);
    return status;
}
