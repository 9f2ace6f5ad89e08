/*
 * profile.c: the profile of a KOL and a content as JSON, out of their records.
 *
 * Four members of a profile are never null (SPEC: three counts and verified): what nobody told is 0
 * or false there and named in `unknown`.
 */
#include <math.h>
#include <string.h>

#include "api/parts.h"

struct writer {
    struct json *json;
    const struct api_copy *copy;
    const struct online_record *record;
    const struct api_profile_options *options;
    struct str unknown[8];
    size_t unknown_count;
};

static bool wanted(const struct writer *writer, const char *name)
{
    const struct api_profile_options *options = writer->options;
    if (!options || !options->fields) {
        return true;
    }
    for (size_t i = 0; i < options->field_count; i++) {
        if (str_is(options->fields[i], name)) {
            return true;
        }
    }
    return false;
}

static void put_cell(struct writer *writer, const char *name, int column, enum http_kind kind)
{
    if (wanted(writer, name)) {
        js_member_cell(writer->json, name, writer->record, column, kind);
    }
}

static void put_count(struct writer *writer, const char *name, int column)
{
    int64_t value = 0;
    if (!online_int(writer->record, column, &value)) {
        writer->unknown[writer->unknown_count++] = str_of(name);
        value = 0;
    }
    if (wanted(writer, name)) {
        js_member_int(writer->json, name, value);
    }
}

static void put_verified(struct writer *writer)
{
    bool value = false;
    if (!online_bool(writer->record, writer->copy->kol.verified, &value)) {
        writer->unknown[writer->unknown_count++] = STR("verified");
        value = false;
    }
    if (wanted(writer, "verified")) {
        js_name(writer->json, "verified");
        js_bool(writer->json, value);
    }
}

/* kol_id, platform and the name, which is never null either. */
static void put_names(struct writer *writer)
{
    const struct api_columns *at = &writer->copy->kol;
    struct str kol_id = {0}, platform = {0}, username;
    online_text(writer->record, at->kol_id, &kol_id);
    online_text(writer->record, at->platform, &platform);
    js_member_text(writer->json, "kol_id", kol_id);
    js_member_text(writer->json, "platform", platform);
    if (!online_text(writer->record, at->username, &username)) {
        writer->unknown[writer->unknown_count++] = STR("username");
        username = kol_id;
    }
    if (wanted(writer, "username")) {
        js_member_text(writer->json, "username", username);
    }
}

static void put_virality(struct writer *writer)
{
    int64_t favorites, followers;
    const struct api_columns *at = &writer->copy->kol;
    if (!wanted(writer, "virality_index")) {
        return;
    }
    js_name(writer->json, "virality_index");
    bool known = online_int(writer->record, at->favorites_count, &favorites) &&
                 online_int(writer->record, at->followers_count, &followers);
    js_real(writer->json, known ? virality_index((double)favorites, (double)followers) : NAN);
}

static void put_rest(struct writer *writer)
{
    const struct api_profile_options *options = writer->options;
    struct json *json = writer->json;
    for (size_t i = 0; i < writer->copy->kol_member_count; i++) {
        const struct api_member *member = &writer->copy->kol_members[i];
        put_cell(writer, member->name, member->column, member->kind);
    }
    if (wanted(writer, "unknown")) {
        js_name(json, "unknown");
        js_texts(json, writer->unknown, writer->unknown_count);
    }
    if (options && options->who) {
        js_name(json, "also_on");
        js_texts(json, options->who->also_on, options->who->also_count);
    }
}

void api_put_profile(struct json *json, const struct api_copy *copy,
                     const struct online_record *record, const struct api_profile_options *options)
{
    struct writer writer = {.json = json, .copy = copy, .record = record, .options = options};
    const struct api_columns *at = &copy->kol;
    js_open(json, '{');
    put_names(&writer);
    put_cell(&writer, "display_name", at->display_name, HTTP_TEXT);
    put_cell(&writer, "bio", at->bio, HTTP_TEXT);
    put_count(&writer, "followers_count", at->followers_count);
    put_count(&writer, "following_count", at->following_count);
    put_count(&writer, "post_count", at->post_count);
    put_verified(&writer);
    put_cell(&writer, "profile_url", at->profile_url, HTTP_TEXT);
    put_cell(&writer, "tier", at->tier, HTTP_TEXT);
    put_cell(&writer, "content_count", at->content_count, HTTP_INT);
    put_cell(&writer, "total_views", at->total_views, HTTP_INT);
    put_cell(&writer, "avg_engagement_rate", at->avg_engagement_rate, HTTP_REAL);
    put_virality(&writer);
    put_rest(&writer);
    if (options && options->scores) {
        struct api_score score;
        api_score_of(copy, record, NULL, NULL, &score);
        js_name(json, "scores");
        api_put_score(json, copy, record, &score);
    }
    if (wanted(&writer, "as_of")) {
        js_member_time(json, "as_of", copy->info->as_of_us);
    }
    if (wanted(&writer, "snapshot")) {
        js_member_int(json, "snapshot", copy->info->number);
    }
    js_close(json, '}');
}

bool api_profile_has(struct str name)
{
    const struct http_schema *schema = api_schema("KOLRow");
    for (size_t i = 0; i < schema->field_count; i++) {
        if (str_is(name, schema->fields[i].name)) {
            return true;
        }
    }
    return false;
}

void api_put_content(struct json *json, const struct api_copy *copy,
                     const struct online_record *record)
{
    const struct api_content_columns *at = &copy->content;
    js_open(json, '{');
    js_member_cell(json, "content_id", record, at->content_id, HTTP_TEXT);
    js_member_cell(json, "kol_id", record, at->kol_id, HTTP_TEXT);
    js_member_cell(json, "platform", record, at->platform, HTTP_TEXT);
    for (size_t i = 0; i < copy->content_member_count; i++) {
        const struct api_member *member = &copy->content_members[i];
        js_member_cell(json, member->name, record, member->column, member->kind);
    }
    js_member_score(json, "trending_score", record, at->trending_score);
    js_member_cell(json, "trending_rank", record, at->trending_rank, HTTP_INT);
    js_member_cell(json, "trending_as_of", record, at->trending_as_of, HTTP_TIME);
    js_member_cell(json, "gained_views", record, at->gained_views, HTTP_INT);
    api_put_source(json, copy);
    js_close(json, '}');
}

void api_put_source(struct json *json, const struct api_copy *copy)
{
    js_member_time(json, "as_of", copy->info->as_of_us);
    js_member_int(json, "snapshot", copy->info->number);
}
