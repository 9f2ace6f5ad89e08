/*
 * who.c: which KOL is meant: a KOL is (platform, username), and both may come in one text.
 *
 * What stands before the first colon is a platform only if it is one: a KOL may have a colon in its
 * name.
 */
#include <string.h>

#include "api/names.h"
#include "base/fold.h"

enum {
    NEAR_NAMES = 3,     /* that a 404 tells */
    NEAR_NAME_MAX = 100 /* bytes of one; longer ones are left out */
};

int api_platform_place(struct str name)
{
    for (int i = 0; i < API_PLATFORM_COUNT; i++) {
        if (str_is(name, platform_name((enum platform)i))) {
            return i;
        }
    }
    return -1;
}

void api_cut_id(struct str text, struct str *platform, struct str *id)
{
    struct str rest = text, first = str_cut(&rest, ':');
    *platform = (struct str){0};
    *id = text;
    if (rest.ptr && api_platform_place(first) >= 0) {
        *platform = first;
        *id = rest;
    }
}

/* The one with most followers; the other platforms are noted. */
static enum kol_status who_anywhere(struct api_copy *copy, struct str id, struct api_who *out,
                                    struct kol_error *err)
{
    struct online_record records[API_PLATFORM_COUNT];
    size_t count;
    enum kol_status status =
        online_find(copy->online, ONLINE_KOL, id, records, API_PLATFORM_COUNT, &count, err);
    if (status != KOL_OK) {
        return status;
    }
    out->record = records[0];
    for (size_t i = 1; i < count; i++) {
        if (online_text(&records[i], copy->kol.platform, &out->also_on[out->also_count])) {
            out->also_count++;
        }
    }
    return KOL_OK;
}

/* The one of a platform that is named, out of those of all platforms, which lie side by side; the
 * others are noted. A record of another platform that is damaged leaves the list empty. */
static enum kol_status who_on(struct api_copy *copy, struct str platform, struct str id,
                              struct api_who *out, struct kol_error *err)
{
    struct online_record records[API_PLATFORM_COUNT];
    struct kol_error ignored;
    size_t count;
    bool found = false;
    if (online_find(copy->online, ONLINE_KOL, id, records, API_PLATFORM_COUNT, &count, &ignored) !=
        KOL_OK) {
        count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct str its;
        if (!online_text(&records[i], copy->kol.platform, &its)) {
            continue;
        }
        if (str_equal(its, platform)) {
            out->record = records[i];
            found = true;
        } else {
            out->also_on[out->also_count++] = its;
        }
    }
    return found ? KOL_OK : online_get(copy->online, ONLINE_KOL, platform, id, &out->record, err);
}

enum kol_status api_who_is(struct api_copy *copy, struct str text, struct str platform,
                           struct api_who *out, struct kol_error *err)
{
    struct str named, id;
    *out = (struct api_who){0};
    api_cut_id(text, &named, &id);
    if (named.len && platform.len && !str_equal(named, platform)) {
        return kol_fail(err, KOL_INVALID, "kol_id names the platform %.*s, platform %.*s",
                        STR_FORMAT(named), STR_FORMAT(platform));
    }
    platform = named.len ? named : platform;
    enum kol_status status =
        platform.len ? who_on(copy, platform, id, out, err) : who_anywhere(copy, id, out, err);
    if (status != KOL_OK) {
        return status;
    }
    online_text(&out->record, copy->kol.platform, &out->platform);
    online_text(&out->record, copy->kol.kol_id, &out->kol_id);
    return KOL_OK;
}

/* " The nearest names: tiktok:ly.sport, ..." where there are KOLs with nearly such a name. It is
 * only help, and mostly told by an event thread: nothing is waited for. */
static void put_nearest(struct buf *out, struct api_copy *copy, struct str text,
                        struct str platform)
{
    const struct api_names *names = api_names_ready(copy);
    struct names_hit hits[NEAR_NAMES];
    struct str named, id;
    struct buf folded = {0};
    api_cut_id(text, &named, &id);
    const int place = api_platform_place(named.len ? named : platform);
    if (!names) {
        return;
    }
    fold_put(&folded, id);
    const size_t count = api_names_near(names, buf_str(&folded), place, NEAR_NAMES, hits);
    for (size_t i = 0; i < count; i++) {
        if (hits[i].kol_id.len <= NEAR_NAME_MAX) {
            buf_printf(out, "%s%s:%.*s", out->len ? ", " : " The nearest names: ",
                       platform_name((enum platform)hits[i].platform), STR_FORMAT(hits[i].kol_id));
        }
    }
    buf_free(&folded);
}

static enum kol_status not_found(struct http_call *call, struct api_copy *copy, struct str text,
                                 struct str platform)
{
    struct buf nearest = {0};
    put_nearest(&nearest, copy, text, platform);
    enum kol_status status =
        http_problem(call, "not_found", "No KOL is called '%.*s'%s%.*s.%.*s%s", STR_FORMAT(text),
                     platform.len ? " on " : "", STR_FORMAT(platform), (int)nearest.len,
                     nearest.len ? nearest.ptr : "", nearest.len ? "." : "");
    buf_free(&nearest);
    return status;
}

enum kol_status api_who(struct http_call *call, struct api_copy *copy, struct api_who *out,
                        struct kol_error *err)
{
    struct str text = http_text(call, api_field(call, "kol_id"));
    struct str platform = http_text(call, api_field(call, "platform"));
    enum kol_status status = api_who_is(copy, text, platform, out, err);
    if (status == KOL_NOT_FOUND) {
        return not_found(call, copy, text, platform);
    }
    if (status == KOL_INVALID) {
        return http_problem(call, "invalid_parameter", "%s", err->message);
    }
    if (status == KOL_OK) {
        api_call_tag(call, "kol:%.*s:%.*s", STR_FORMAT(out->platform), STR_FORMAT(out->kol_id));
    }
    return status;
}
