/*
 * live.c: the scores of a KOL as they are now: those of the copy, and in their place what is newer
 * in the live store of this machine, or in Redis, where other machines leave it.
 *
 * News is what is of a newer event than the copy's scores, by its event_time, or by the timestamp
 * of the older form. What the warmer of another process left of a snapshot that is newer than the
 * copy is not: it comes with that copy, and no answer mixes two snapshots.
 */
#include <jansson.h>
#include <string.h>

#include "api/tiered.h"
#include "base/clock.h"

int64_t api_event_time_of(const struct serve_hash *hash)
{
    static const char *const names[] = {"event_time", "timestamp", "scored_at"};
    int64_t time_us;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct serve_field *field = serve_field(hash->fields, hash->count, names[i]);
        if (field && clock_parse(field->value, &time_us)) {
            return time_us;
        }
    }
    return hash->version;
}

static json_t *value_of(const struct http_field *member, struct str text)
{
    double number;
    switch (member->kind) {
    case HTTP_REAL:
        return str_to_double(text, &number) && number >= member->min &&
                       (member->max <= 0 || number <= member->max)
                   ? json_real(number)
                   : NULL;
    case HTTP_BOOL:
        return str_is(text, "true") ? json_true() : str_is(text, "false") ? json_false() : NULL;
    case HTTP_WORDS: return json_loadb(text.ptr, text.len, 0, NULL);
    case HTTP_TEXT:
    case HTTP_CHOICE: return json_stringn(text.ptr, text.len); /* NULL for what is not UTF-8 */
    default: return NULL;
    }
}

/* Those members of KOLScore that the hash has and that are what they should be. */
static json_t *object_of(const struct serve_hash *hash)
{
    const struct http_schema *schema = api_schema("KOLScore");
    json_t *object = json_object();
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct serve_field *field =
            serve_field(hash->fields, hash->count, schema->fields[i].name);
        json_t *value = field ? value_of(&schema->fields[i], field->value) : NULL;
        if (value) {
            json_object_set_new(object, schema->fields[i].name, value);
        }
    }
    return object;
}

static void take(struct api_asked *asked, const struct api_copy *copy, const struct api_who *who,
                 struct api_score *out)
{
    int64_t known_us = 0;
    const int64_t event_time_us = api_event_time_of(&asked->hash);
    if (!online_int(&who->record, copy->kol.event_time, &known_us)) {
        known_us = 0;
    }
    if (out->live && out->scored_us > known_us) {
        known_us = out->scored_us;
    }
    if (asked->hash.snapshot <= copy->info->number && event_time_us > known_us) {
        json_t *object = object_of(&asked->hash);
        api_score_take(object, event_time_us, http_call_arena(asked->call), out);
        json_decref(object);
    }
}

/* Of when the scores are, on the scale of api_event_time_of(). */
static int64_t time_of(const struct api_copy *copy, const struct api_who *who,
                       const struct api_score *score)
{
    int64_t event_time_us;
    if (score->live) {
        return score->scored_us;
    }
    return online_int(&who->record, copy->kol.event_time, &event_time_us) && event_time_us
               ? event_time_us
           : score->scored_us ? score->scored_us
                              : copy->info->built_us;
}

void api_score_now(struct http_call *call, const struct api_copy *copy, const struct api_who *who,
                   struct api_score *out)
{
    struct api *api = api_of(call);
    struct api_asked asked;
    api_score_of(copy, &who->record, api->live, http_call_arena(call), out);
    if (!api->tier || !api_ask_init(&asked, call, SERVE_KEY_SCORE_ON, who->platform, who->kol_id)) {
        return;
    }
    api_call_tag(call, TIER_TAG);
    api_ask_tag(&asked);
    enum tier_read read = api_ask_once(&asked);
    if (read == TIER_OLD) { /* a live score may stand beside what is left of an older snapshot */
        tier_saw(api->tier, asked.key, asked.hash.print);
        read = TIER_HIT;
    }
    if (read == TIER_HIT) {
        take(&asked, copy, who, out);
    } else {
        tier_saw_not(api->tier, asked.key);
    }
    if (read == TIER_SKIPPED || asked.unsaid) {
        api_call_weak(call);
    }
    api_call_stamp(call, who->platform, who->kol_id, time_of(copy, who, out));
    tier_count(api->tier, read);
    api_ask_say(call, read);
}
