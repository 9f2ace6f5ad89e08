/*
 * tiered.c: routes whose answers are values of the cache between processes, asked of Redis first.
 *
 *     Redis has it, of this process's snapshot or a newer one   it is the answer
 *     Redis lacks it, or what is there is older or garbage      one process loads it from its copy
 *                                                               and writes it back; the others look
 *                                                               again until it is there
 *     Redis is not to be asked, or cannot tell                  the handler answers from the copy
 *
 * Answers have the same bytes wherever the value came from: both are written out of the fields.
 */
#include "api/tiered.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/logger.h"
#include "base/metrics.h"

enum { LOOK_AGAIN_MS = 5, LOOK_AGAIN_MAX_MS = 40 };

#define MS INT64_C(1000000) /* in nanoseconds */
#define COUNT_MOST 1e15     /* as the schemas have it */

bool api_ask_init(struct api_asked *asked, struct http_call *call, enum serve_key kind,
                  struct str first, struct str second)
{
    struct buf text = {0};
    *asked = (struct api_asked){
        .call = call, .tier = api_of(call)->tier, .kind = kind, .parts = {first, second}};
    const char *one = strchr(serve_keys[kind].pattern, '{');
    const bool two = one && strchr(one + 1, '{');
    if ((one && !first.len) || (two && !second.len) || first.len + second.len > API_KEY_MAX) {
        return false;
    }
    serve_key_put(&text, kind, asked->parts);
    asked->key = arena_copy(http_call_arena(call), buf_str(&text));
    buf_free(&text);
    return true;
}

void api_ask_tag(struct api_asked *asked)
{
    api_call_tag(asked->call, "%.*s", STR_FORMAT(asked->key));
}

/* ---- what Redis has ---- */

static int64_t snapshot_of(const struct api_asked *asked)
{
    switch (serve_keys[asked->kind].type) {
    case SERVE_HASH: return asked->hash.snapshot;
    case SERVE_ZSET: return asked->set.snapshot;
    default: return asked->text.snapshot;
    }
}

static uint64_t print_of(const struct api_asked *asked)
{
    switch (serve_keys[asked->kind].type) {
    case SERVE_HASH: return asked->hash.print;
    case SERVE_ZSET: return asked->set.print;
    default: return asked->text.print;
    }
}

static enum serve_held take(struct api_asked *asked, const struct redis_pipe *pipe, size_t place)
{
    struct arena *arena = http_call_arena(asked->call);
    switch (serve_keys[asked->kind].type) {
    case SERVE_HASH: return serve_take_hash(pipe, place, asked->kind, arena, &asked->hash);
    case SERVE_ZSET: return serve_take_set(pipe, place, asked->kind, arena, &asked->set);
    default: return serve_take_text(pipe, place, asked->kind, arena, &asked->text);
    }
}

/* The object of a hash, in the call's arena. */
static enum kol_status write_out(struct api_asked *asked, struct kol_error *err)
{
    enum { USUAL_BYTES = 1000 }; /* of an object, so that its text grows once */
    struct buf text = {0};
    buf_reserve(&text, USUAL_BYTES);
    enum kol_status status = serve_to_json(api_value_schema(asked->kind), api_find_schema,
                                           asked->hash.fields, asked->hash.count, &text, err);
    asked->json = arena_copy(http_call_arena(asked->call), buf_str(&text));
    buf_free(&text);
    return status;
}

/* A value of an older form under a bare id does not say on which platform its KOL is: the copy
 * knows. */
static void add_platform(struct api_asked *asked)
{
    struct api_who who;
    struct kol_error ignored;
    const bool bare = asked->kind == SERVE_KEY_PROFILE || asked->kind == SERVE_KEY_SCORE;
    if (!bare || serve_field(asked->hash.fields, asked->hash.count, "platform")) {
        return;
    }
    struct api_copy *copy = api_copy_take(api_of(asked->call)->copies);
    if (copy && api_who_is(copy, asked->parts[0], STR(""), &who, &ignored) == KOL_OK) {
        struct arena *arena = http_call_arena(asked->call);
        struct serve_field *fields = arena_alloc(arena, (asked->hash.count + 1) * sizeof *fields);
        memcpy(fields, asked->hash.fields, asked->hash.count * sizeof *fields);
        fields[asked->hash.count++] =
            (struct serve_field){.name = STR("platform"), .value = arena_copy(arena, who.platform)};
        asked->hash.fields = fields;
    }
    api_copy_drop(copy);
}

/* A score of a newer event than the copy's is live, whatever the hash says that it was written
 * into. */
static void tell_live(struct api_asked *asked)
{
    struct api_who who;
    struct kol_error ignored;
    int64_t known_us;
    const bool on = asked->kind == SERVE_KEY_SCORE_ON;
    if (!on && asked->kind != SERVE_KEY_SCORE) {
        return;
    }
    struct api_copy *copy = api_copy_take(api_of(asked->call)->copies);
    if (copy &&
        api_who_is(copy, asked->parts[on ? 1 : 0], on ? asked->parts[0] : STR(""), &who,
                   &ignored) == KOL_OK &&
        online_int(&who.record, copy->kol.event_time, &known_us) &&
        asked->hash.snapshot <= copy->info->number && api_event_time_of(&asked->hash) > known_us) {
        for (size_t i = 0; i < asked->hash.count; i++) {
            if (str_is(asked->hash.fields[i].name, "live")) {
                asked->hash.fields[i].value = STR("true");
            }
        }
    }
    api_copy_drop(copy);
}

/* The text as this program writes it, of what its schema names; false: it is something else. */
static bool normalize_text(struct api_asked *asked)
{
    struct kol_error err;
    struct serve_field *fields;
    size_t count;
    struct buf text = {0};
    struct arena *arena = http_call_arena(asked->call);
    const bool well =
        serve_to_fields(asked->text.json, arena, &fields, &count, &err) == KOL_OK &&
        serve_to_json(api_schema("KOLList"), api_find_schema, fields, count, &text, &err) == KOL_OK;
    if (well) {
        asked->text.json = arena_copy(arena, buf_str(&text));
    } else {
        log_debug("%.*s in redis is of no use: %s", STR_FORMAT(asked->key), err.message);
    }
    buf_free(&text);
    return well;
}

/* Scores are of 100, where they are neither counts nor rates; none is below 0. */
static bool scores_can_be(const struct api_asked *asked)
{
    const bool open =
        asked->kind == SERVE_KEY_TOP_FOLLOWERS || asked->kind == SERVE_KEY_TOP_ENGAGEMENT ||
        (asked->kind == SERVE_KEY_RANKING &&
         (str_is(asked->parts[1], "followers") || str_is(asked->parts[1], "engagement")));
    const double most = open ? COUNT_MOST : 100;
    for (size_t i = 0; i < asked->set.count; i++) {
        const double score = asked->set.members[i].score;
        if (!(score >= 0 && score <= most)) {
            log_debug("%.*s in redis has a score that cannot be", STR_FORMAT(asked->key));
            return false;
        }
    }
    return true;
}

/* True where the value is what its schema says: a hash with what it lacks and follows added. */
static bool is_usable(struct api_asked *asked)
{
    struct kol_error err;
    if (serve_keys[asked->kind].type == SERVE_STRING) {
        return normalize_text(asked);
    }
    if (serve_keys[asked->kind].type != SERVE_HASH) {
        return scores_can_be(asked);
    }
    api_mend(asked->kind, asked->parts, http_call_arena(asked->call), &asked->hash);
    add_platform(asked);
    tell_live(asked);
    const bool usable = write_out(asked, &err) == KOL_OK;
    if (!usable) {
        log_debug("%.*s in redis is of no use: %s", STR_FORMAT(asked->key), err.message);
    }
    return usable;
}

enum tier_read api_ask_take(struct api_asked *asked, const struct redis_pipe *pipe, size_t place)
{
    const struct redis_answer *answer = redis_answer(pipe, place);
    asked->unsaid = answer->kind == REDIS_ERROR && !redis_is_error(answer, "WRONGTYPE");
    switch (take(asked, pipe, place)) {
    case SERVE_ABSENT: return TIER_MISS;
    case SERVE_GARBAGE: asked->bad = !asked->unsaid; return TIER_BAD;
    case SERVE_HELD: break;
    }
    const int64_t snapshot = snapshot_of(asked);
    if (snapshot && snapshot < api_copies_number(api_of(asked->call)->copies)) {
        asked->old = true;
        return TIER_OLD;
    }
    const uint64_t print = print_of(asked);
    if (!is_usable(asked)) {
        asked->bad = true;
        return TIER_BAD;
    }
    asked->print = print;
    tier_saw(asked->tier, asked->key, print);
    return TIER_HIT;
}

/* The copy knows more than the older form of a score: its handler asks Redis again. */
static bool is_older_score(const struct api_asked *asked)
{
    return asked->hash.older_form && asked->hash.snapshot;
}

void api_ask_ahead(struct api_asked *asked)
{
    const struct api *api = api_of(asked->call);
    asked->drops = api->l1 ? l1_drops(api->l1) : 0;
    asked->copy = api_copies_number(api->copies);
}

/* Whether what was read ahead may be kept: nothing was told of it since it was asked for, which a
 * load that began then would have been fenced off by. */
static bool still_counts(const struct api_asked *ahead)
{
    const struct api *api = api_of(ahead->call);
    const struct str tags[] = {ahead->key, STR(TIER_TAG)};
    return ahead->read == TIER_HIT && tier_still_sees(ahead->tier, ahead->key, ahead->print) &&
           api_copies_number(api->copies) == ahead->copy &&
           !(api->l1 && l1_dropped_since(api->l1, ahead->drops, tags, ARRAY_LEN(tags)));
}

bool api_ask_is_enough(const struct api_asked *asked)
{
    return !is_older_score(asked) && still_counts(asked);
}

/* What was read ahead for this call, where it still counts. */
static bool take_ahead(struct api_asked *asked)
{
    struct api_call *held = api_call_of(asked->call);
    struct api_asked *ahead = held->asked;
    held->asked = NULL;
    if (!ahead || !str_equal(ahead->key, asked->key) || !still_counts(ahead)) {
        return false;
    }
    *asked = *ahead;
    return true;
}

enum tier_read api_ask_once(struct api_asked *asked)
{
    http_uncork(); /* calls that are ended do not wait for this one's exchange, or load */
    struct redis_pipe *pipe = tier_pipe(asked->tier);
    enum tier_read read = TIER_SKIPPED;
    if (pipe) {
        const size_t place = serve_ask(pipe, asked->kind, asked->key);
        if (tier_run(asked->tier, pipe, http_call_deadline_ns(asked->call))) {
            read = api_ask_take(asked, pipe, place);
        }
        tier_pipe_done(asked->tier, &pipe);
    }
    return read;
}

void api_ask_say(struct http_call *call, enum tier_read read)
{
    api_call_of(call)->tier_said = read == TIER_HIT       ? "hit"
                                   : read == TIER_SKIPPED ? "fwd=bypass"
                                                          : "fwd=miss";
}

static enum tier_read look(struct api_asked *asked)
{
    const enum tier_read read = take_ahead(asked) ? TIER_HIT : api_ask_once(asked);
    tier_count(asked->tier, read);
    return read;
}

/* ---- loading ---- */

/* The members of a value as fields; those that every write adds by itself are left out of it. */
static enum kol_status to_fields(struct api_asked *asked, const struct warm_item *item,
                                 int64_t snapshot, struct serve_write *write, struct kol_error *err)
{
    struct arena *arena = http_call_arena(asked->call);
    const size_t bytes = item->field_count * sizeof *item->fields;
    struct serve_field *fields = arena_alloc(arena, bytes), *written = arena_alloc(arena, bytes);
    size_t kept = 0;
    for (size_t i = 0; i < item->field_count; i++) {
        fields[i] = item->fields[i];
        if (!str_is(fields[i].name, "snapshot")) {
            written[kept++] = fields[i];
        }
    }
    asked->hash = (struct serve_hash){.fields = fields,
                                      .count = item->field_count,
                                      .snapshot = snapshot,
                                      .version = item->version};
    const bool score = asked->kind == SERVE_KEY_SCORE || asked->kind == SERVE_KEY_SCORE_ON;
    if (score && api_of(asked->call)->options.older_scores) {
        write->text = warm_older_score(written, kept, write->as_of, snapshot, arena);
    } else {
        write->fields = written;
        write->field_count = kept;
    }
    return write_out(asked, err);
}

static struct str time_text(struct arena *arena, int64_t time_us)
{
    struct buf text = {0};
    if (time_us) {
        clock_format(&text, time_us);
    }
    const struct str kept = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return kept;
}

static enum kol_status take_item(struct api_asked *asked, const struct api_copy *copy,
                                 const struct warm_item *item, struct serve_write *write,
                                 struct kol_error *err)
{
    const int64_t snapshot = copy->info->number;
    struct arena *arena = http_call_arena(asked->call);
    *write = (struct serve_write){
        .kind = asked->kind,
        .key = asked->key,
        .version = item->version,
        .snapshot = snapshot,
        .now_us = clock_now_us(),
        .force = asked->bad,
        .absent = !asked->bad && !asked->old,
        .as_of = time_text(arena, copy->info->as_of_us),
    };
    switch (serve_keys[asked->kind].type) {
    case SERVE_HASH: return to_fields(asked, item, snapshot, write, err);
    case SERVE_ZSET:
        write->members = item->members;
        write->member_count = item->member_count;
        asked->set = (struct serve_set){
            .members = arena_alloc(arena, (item->member_count + 1) * sizeof *item->members),
            .count = item->member_count,
            .snapshot = snapshot,
            .as_of = write->as_of,
        };
        if (item->member_count) {
            memcpy(asked->set.members, item->members, item->member_count * sizeof *item->members);
        }
        return KOL_OK;
    default:
        write->text = item->json;
        asked->text = (struct serve_text){.json = item->json, .snapshot = snapshot};
        return normalize_text(asked)
                   ? KOL_OK
                   : kol_fail(err, KOL_CORRUPT, "a page of the copy is not what its schema says");
    }
}

enum kol_status api_ask_load(struct api_asked *asked, struct api_copy *copy,
                             const struct tier_turn *turn, struct kol_error *err)
{
    struct api_reader reader = {.copy = copy, .call = asked->call};
    struct warm_item item;
    struct serve_write write;
    enum kol_status status =
        api_value_of(&reader, asked->kind, asked->parts, http_call_arena(asked->call), &item, err);
    if (status == KOL_OK) {
        status = take_item(asked, copy, &item, &write, err);
    }
    metrics_add(METRIC_CACHE_LOADS, status == KOL_OK ? "copy,done" : "copy,failed", 1);
    if (status == KOL_OK) {
        tier_write_back(asked->tier, &write, turn);
    } else {
        tier_saw_not(asked->tier, asked->key);
    }
    return status;
}

static enum kol_status load(struct api_asked *asked, const struct tier_turn *turn,
                            struct kol_error *err)
{
    struct api_copy *copy;
    enum kol_status status = api_call_copy(asked->call, &copy, err);
    if (status == KOL_OK) {
        status = api_ask_load(asked, copy, turn, err);
    }
    if (status != KOL_OK) {
        tier_give_up(asked->tier, asked->key, turn);
    }
    return status;
}

static void nap(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * MS}, NULL);
}

/* What is not there is loaded by whoever gets the turn; who waits for another's load looks again,
 * for half of its time at most. */
static enum kol_status load_by_turns(struct api_asked *asked, struct kol_error *err)
{
    const int64_t half_us = http_call_left_us(asked->call) / 2;
    const int64_t until_ns = clock_mono_ns() + half_us * 1000;
    struct tier_turn turn = {0};
    bool others = false, weak = false;
    for (int64_t ms = LOOK_AGAIN_MS;;
         ms = ms * 2 < LOOK_AGAIN_MAX_MS ? ms * 2 : LOOK_AGAIN_MAX_MS) {
        const enum tier_turns whose =
            tier_take_turn(asked->tier, asked->key, http_call_deadline_ns(asked->call), &turn);
        if (whose == TIER_NOBODYS || clock_mono_ns() > until_ns) {
            /* What another process has loaded meanwhile is not known. */
            weak = weak || others;
            break;
        }
        if (whose == TIER_OTHERS) {
            others = true;
            nap(ms);
        }
        const enum tier_read read = look(asked); /* another may have been faster */
        if (read == TIER_HIT) {
            tier_give_up(asked->tier, asked->key, &turn);
            return KOL_OK;
        }
        if (whose == TIER_MINE || read == TIER_SKIPPED) {
            weak = read == TIER_SKIPPED;
            break;
        }
    }
    if (weak || asked->unsaid) {
        api_call_weak(asked->call);
    }
    return load(asked, &turn, err);
}

enum kol_status api_ask(struct api_asked *asked, struct kol_error *err)
{
    const enum tier_read read = look(asked);
    struct api_call *held = api_call_of(asked->call);
    api_ask_say(asked->call, read);
    /* Also where there is nothing: whoever writes it there changes the answer. */
    api_call_tag(asked->call, TIER_TAG);
    api_ask_tag(asked);
    if (read == TIER_SKIPPED) {
        api_call_weak(asked->call);
        return kol_fail(err, KOL_NOT_FOUND, "redis is not to be asked now");
    }
    if (read == TIER_HIT && is_older_score(asked)) {
        http_uncork();
        return kol_fail(err, KOL_NOT_FOUND, "the copy knows more than the older form of a score");
    }
    enum kol_status status = read == TIER_HIT ? KOL_OK : load_by_turns(asked, err);
    if (status == KOL_OK && !held->copy) {
        /* What names no snapshot is newer than the copy of now, not than the next one. */
        const int64_t named = snapshot_of(asked);
        const int64_t number = named ? named : api_copies_number(held->api->copies);
        api_call_tag(asked->call, "copy:%lld", (long long)number);
    }
    return status;
}

/* ---- objects ---- */

/* The name of the KOL or content in the key: with its platform, or alone. False: the handler has
 * something to say of it. */
static bool name_of(struct http_call *call, const char *field, struct str *platform, struct str *id)
{
    const struct str asked = http_text(call, api_field(call, "platform"));
    api_cut_id(http_text(call, api_field(call, field)), platform, id);
    if (platform->len && asked.len && !str_equal(*platform, asked)) {
        return false;
    }
    *platform = platform->len ? *platform : asked;
    struct str named, rest;
    api_cut_id(*id, &named, &rest);
    return !named.len; /* platform:platform:id */
}

/* A route whose answer is a value of the table. */
struct tiered {
    http_handler *handle, *first;
    /* Of those that are one hash of a name: */
    const char *field;
    enum serve_key bare, on;
};
static const struct tiered *find_tiered(const struct http_call *call);

/* The key of a KOL's or content's value; false: no key is spelled so. */
static bool named_key(struct api_asked *asked, struct http_call *call)
{
    struct str platform, id;
    const struct tiered *row = find_tiered(call);
    return name_of(call, row->field, &platform, &id) &&
           api_ask_init(asked, call, platform.len ? row->on : row->bare,
                        platform.len ? platform : id, platform.len ? id : STR(""));
}

/* Reads the object into `asked->json`. */
static enum kol_status named_object(struct http_call *call, struct api_asked *asked,
                                    struct kol_error *err)
{
    const char *field = find_tiered(call)->field;
    if (!named_key(asked, call)) {
        return kol_fail(err, KOL_NOT_FOUND, "no key is spelled so");
    }
    enum kol_status status = api_ask(asked, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct serve_field *its = serve_field(asked->hash.fields, asked->hash.count, "platform");
    const struct serve_field *its_id = serve_field(asked->hash.fields, asked->hash.count, field);
    if (its && its_id) {
        api_call_tag(call, "%s:%.*s:%.*s", strcmp(field, "kol_id") == 0 ? "kol" : "content",
                     STR_FORMAT(its->value), STR_FORMAT(its_id->value));
    }
    const bool score = asked->kind == SERVE_KEY_SCORE || asked->kind == SERVE_KEY_SCORE_ON;
    if (its && its_id && score) {
        api_call_stamp(call, its->value, its_id->value, api_event_time_of(&asked->hash));
    }
    return KOL_OK;
}

static enum kol_status get_object(struct http_call *call, struct kol_error *err)
{
    struct api_asked asked;
    enum kol_status status = named_object(call, &asked, err);
    if (status == KOL_OK) {
        http_json(call, asked.json);
    }
    return status;
}

/* The old form of a score has the members of the new one, one of them under another name. */
static enum kol_status get_trust(struct http_call *call, struct kol_error *err)
{
    struct api_asked asked;
    struct buf body = {0};
    struct serve_field *fields;
    size_t count;
    enum kol_status status = named_object(call, &asked, err);
    if (status == KOL_OK) {
        status = serve_to_fields(asked.json, http_call_arena(call), &fields, &count, err);
    }
    for (size_t i = 0; status == KOL_OK && i < count; i++) {
        if (str_is(fields[i].name, "scored_at")) {
            fields[i].name = STR("timestamp");
        }
    }
    if (status == KOL_OK) {
        status = serve_to_json(api_schema("KOLTrust"), api_find_schema, fields, count, &body, err);
    }
    return status == KOL_OK ? api_answer(call, &body) : status;
}

static enum kol_status stats_object(struct http_call *call, enum serve_key kind, struct str part,
                                    struct buf *body, struct kol_error *err)
{
    struct api_asked asked;
    if (!api_ask_init(&asked, call, kind, part, STR(""))) {
        return kol_fail(err, KOL_NOT_FOUND, "no key is spelled so");
    }
    enum kol_status status = api_ask(&asked, err);
    if (status == KOL_OK) {
        buf_put(body, asked.json);
    }
    return status;
}

static enum kol_status platform_stats(struct http_call *call, struct kol_error *err)
{
    struct buf body = {0};
    enum kol_status status = stats_object(call, SERVE_KEY_STATS_PLATFORM, STR(""), &body, err);
    return status == KOL_OK ? api_answer(call, &body) : status;
}

static enum kol_status daily_stats(struct http_call *call, struct kol_error *err)
{
    struct buf body = {0};
    const struct str day = http_text(call, api_field(call, "date"));
    enum kol_status status = stats_object(call, SERVE_KEY_STATS_DAILY, day, &body, err);
    return status == KOL_OK ? api_answer_rows(call, &body, "PlatformDay", NULL) : status;
}

/* ---- the first page of a platform ---- */

/* Whether nothing but a platform was asked for, and the whole first page of it. */
static bool is_first_page(struct http_call *call)
{
    const struct http_route *route = http_call_route(call);
    for (size_t i = 0; i < route->field_count; i++) {
        const char *name = route->fields[i].name;
        const bool usual = strcmp(name, "platform") == 0 || strcmp(name, "limit") == 0 ||
                           strcmp(name, "offset") == 0 || strcmp(name, "sort_by") == 0 ||
                           strcmp(name, "order") == 0 || strcmp(name, "format") == 0;
        if (!usual && http_given(call, i)) {
            return false;
        }
    }
    return http_int(call, api_field(call, "limit")) == API_LIST_PAGE &&
           http_int(call, api_field(call, "offset")) == 0 &&
           http_choice(call, api_field(call, "sort_by")) == 0 &&
           http_choice(call, api_field(call, "order")) == 0;
}

/* The headers that tell the same as the members around the rows; false: that is no page. */
static bool put_page_headers(struct http_call *call, struct str text)
{
    json_t *page = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *total = json_object_get(page, "total");
    const char *next = json_string_value(json_object_get(page, "next_cursor"));
    const bool well = json_is_integer(total) && json_is_array(json_object_get(page, "data"));
    if (well) {
        http_put_header(call, "X-Total-Count", "%lld", (long long)json_integer_value(total));
    }
    if (well && next) {
        http_put_header(call, "X-Next-Cursor", "%.100s", next);
    }
    json_decref(page);
    return well;
}

static enum kol_status list_kols(struct http_call *call, struct kol_error *err)
{
    static const struct api_row_style all = {.field_count = 0};
    struct api_asked asked;
    struct buf body = {0};
    const struct str platform = http_text(call, api_field(call, "platform"));
    if (!is_first_page(call) || !api_ask_init(&asked, call, SERVE_KEY_PROFILES_LIST,
                                              platform.len ? platform : STR("all"), STR(""))) {
        return kol_fail(err, KOL_NOT_FOUND, "only the first page of a platform is kept");
    }
    enum kol_status status = api_ask(&asked, err);
    if (status == KOL_OK && !put_page_headers(call, asked.text.json)) {
        status = kol_fail(err, KOL_CORRUPT, "what redis has is no page");
    }
    if (status != KOL_OK) {
        return status;
    }
    buf_put(&body, asked.text.json);
    return api_answer_rows(call, &body, "KOLRow", &all);
}

/* ---- routes ---- */

static const struct tiered tiered[] = {
    {api_get_kol, get_object, "kol_id", SERVE_KEY_PROFILE, SERVE_KEY_PROFILE_ON},
    {api_get_kol_scores, get_object, "kol_id", SERVE_KEY_SCORE, SERVE_KEY_SCORE_ON},
    {api_get_score, get_object, "kol_id", SERVE_KEY_SCORE, SERVE_KEY_SCORE_ON},
    {api_get_kol_trust, get_trust, "kol_id", SERVE_KEY_SCORE, SERVE_KEY_SCORE_ON},
    {api_get_content, get_object, "content_id", SERVE_KEY_CONTENT, SERVE_KEY_CONTENT_ON},
    {.handle = api_platform_stats, .first = platform_stats},
    {.handle = api_daily_stats, .first = daily_stats},
    {.handle = api_list_kols, .first = list_kols},
    {.handle = api_top_kols, .first = api_tiered_top},
    {.handle = api_trending_content, .first = api_tiered_trending},
    {.handle = api_trending_kols, .first = api_tiered_ranking},
};

static const struct tiered *find_tiered(const struct http_call *call)
{
    for (size_t i = 0; i < ARRAY_LEN(tiered); i++) {
        if (tiered[i].handle == http_call_route(call)->handle) {
            return &tiered[i];
        }
    }
    return NULL;
}

bool api_tiered_by_key(struct http_call *call)
{
    const struct tiered *found = find_tiered(call);
    return found && found->field;
}

struct api_asked *api_tiered_key(struct http_call *call)
{
    struct api_asked *asked = arena_alloc(http_call_arena(call), sizeof *asked);
    return named_key(asked, call) ? asked : NULL;
}

bool api_waits(struct http_call *call)
{
    const struct tier *tier = api_of(call)->tier;
    return tier && tier_is_first(tier) && find_tiered(call);
}

enum kol_status api_handle(struct http_call *call, struct kol_error *err)
{
    struct kol_error why;
    const struct http_route *route = http_call_route(call);
    if (!api_waits(call)) {
        return route->handle(call, err);
    }
    enum kol_status status = find_tiered(call)->first(call, &why);
    if (status == KOL_OK) {
        return status;
    }
    if (status != KOL_NOT_FOUND) {
        log_debug("%s is answered from the copy: %s", route->name, why.message);
    }
    return route->handle(call, err);
}
