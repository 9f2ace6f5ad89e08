/*
 * store_set.c: sets, each with the sibling that says what it is of.
 *
 * The two are written by one script, but read by commands between which another client may write:
 * so the sibling is read before and behind the members, and what it said must be the same.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/text.h"
#include "serve/store_parts.h"

enum {
    PIECE = 1000,             /* members that one script adds */
    PIPE_BYTES = 256 * 1024,  /* of the pieces of one round trip */
    ASIDE_TTL_MS = 60 * 1000, /* from the last piece on */
    SIBLING_FIELDS = 4,
};

static const char *const sibling_names[] = {"snapshot", "as_of", "members", "cached_at"};

/* ---- reading ---- */

static size_t ask_sibling(struct redis_pipe *pipe, struct str meta)
{
    return redis_addf(pipe, "HMGET %S snapshot as_of members cached_at", meta);
}

size_t store_ask_set(struct redis_pipe *pipe, struct str key)
{
    struct buf meta = {0};
    serve_key_put_meta(&meta, key);
    const size_t place = ask_sibling(pipe, buf_str(&meta));
    redis_addf(pipe, "ZREVRANGE %S 0 %d WITHSCORES", key, (int64_t)SERVE_MEMBERS_READ - 1);
    ask_sibling(pipe, buf_str(&meta));
    buf_free(&meta);
    return place;
}

/* The fields of a sibling that are there; false where the answer is none to HMGET. */
static bool read_sibling(const struct redis_answer *answer, struct serve_field *fields,
                         size_t *count)
{
    *count = 0;
    if (answer->kind != REDIS_LIST || answer->count != SIBLING_FIELDS) {
        return false;
    }
    for (size_t i = 0; i < SIBLING_FIELDS; i++) {
        if (answer->items[i].kind == REDIS_TEXT) {
            fields[(*count)++] =
                (struct serve_field){str_of(sibling_names[i]), answer->items[i].text};
        } else if (answer->items[i].kind != REDIS_NIL) {
            return false;
        }
    }
    return true;
}

static bool are_equal(const struct serve_field *a, size_t a_count, const struct serve_field *b,
                      size_t b_count)
{
    if (a_count != b_count) {
        return false;
    }
    for (size_t i = 0; i < a_count; i++) {
        if (!str_equal(a[i].name, b[i].name) || !str_equal(a[i].value, b[i].value)) {
            return false;
        }
    }
    return true;
}

static int by_score(const void *a, const void *b)
{
    const struct serve_member *left = a, *right = b;
    if (left->score != right->score) {
        return left->score > right->score ? -1 : 1;
    }
    return str_compare(left->name, right->name);
}

static bool read_members(const struct redis_answer *answer, struct arena *arena,
                         struct serve_set *out)
{
    if (answer->kind != REDIS_LIST || answer->count % 2 || answer->count / 2 > SERVE_MEMBERS_READ) {
        return false;
    }
    out->count = answer->count / 2;
    out->members = arena_alloc(arena, out->count * sizeof *out->members);
    for (size_t i = 0; i < out->count; i++) {
        const struct redis_answer *name = &answer->items[2 * i], *score = name + 1;
        struct serve_member *member = &out->members[i];
        if (name->kind != REDIS_TEXT || name->text.len > SERVE_VALUE_MAX ||
            !text_is_utf8(name->text) || score->kind != REDIS_TEXT ||
            !str_to_double(score->text, &member->score)) {
            return false;
        }
        member->name = arena_copy(arena, name->text);
    }
    /* They come with those of equal score backwards. */
    qsort(out->members, out->count, sizeof *out->members, by_score);
    return true;
}

static uint64_t print_of(const struct serve_set *set)
{
    uint64_t print = (uint64_t)set->snapshot + set->count;
    for (size_t i = 0; i < set->count; i++) {
        uint64_t bits;
        memcpy(&bits, &set->members[i].score, sizeof bits);
        print = hash_seeded(set->members[i].name, print * 31 + bits);
    }
    return print ? print : 1;
}

enum serve_held serve_take_set(const struct redis_pipe *pipe, size_t place, enum serve_key kind,
                               struct arena *arena, struct serve_set *out)
{
    KOL_ASSERT(serve_keys[kind].type == SERVE_ZSET);
    struct serve_field fields[SIBLING_FIELDS], again[SIBLING_FIELDS];
    size_t count, again_count;
    int64_t members, as_of_us;
    struct serve_set set = {0};
    *out = set;
    if (!read_sibling(redis_answer(pipe, place), fields, &count) ||
        !read_sibling(redis_answer(pipe, place + 2), again, &again_count) ||
        !read_members(redis_answer(pipe, place + 1), arena, &set) ||
        !store_number(fields, count, "snapshot", &set.snapshot)) {
        return SERVE_GARBAGE;
    }
    if (!are_equal(fields, count, again, again_count)) {
        return SERVE_ABSENT; /* it was replaced while it was read */
    }
    const struct serve_field *as_of = serve_field(fields, count, "as_of");
    if (as_of) {
        if (!clock_parse(as_of->value, &as_of_us)) {
            return SERVE_GARBAGE;
        }
        set.as_of = arena_copy(arena, as_of->value);
    }
    if (!set.count && !(serve_field(fields, count, "members") &&
                        store_number(fields, count, "members", &members) && members == 0)) {
        return SERVE_ABSENT;
    }
    set.print = print_of(&set);
    *out = set;
    return SERVE_HELD;
}

/* ---- writing ---- */

/* Arguments of a script, whose numbers lie in `texts` until they are sent. */
struct arguments {
    struct str *argv;
    size_t argc;
    struct buf texts;
};

static void add(struct arguments *arguments, struct str argument)
{
    arguments->argv[arguments->argc++] = argument;
}

/* The room for all numbers must be there: argv points into it. */
static void add_double(struct arguments *arguments, double number)
{
    struct buf *texts = &arguments->texts;
    const size_t from = texts->len;
    buf_put_double(texts, number);
    KOL_ASSERT(texts->len - from < 32 && texts->len < texts->cap);
    add(arguments, (struct str){texts->ptr + from, texts->len - from});
}

static void add_members(struct arguments *arguments, const struct serve_member *members,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_double(arguments, members[i].score);
        add(arguments, members[i].name);
    }
}

static struct arguments make_arguments(size_t members)
{
    struct arguments arguments = {0};
    arguments.argv = mem_alloc((2 * members + 32) * sizeof *arguments.argv);
    buf_reserve(&arguments.texts, 32 * (members + 2));
    return arguments;
}

static void free_arguments(struct arguments *arguments)
{
    free(arguments->argv);
    buf_free(&arguments->texts);
}

/* What every field of the sibling takes: one for each name and value. */
static void add_sibling(struct arguments *arguments, const struct serve_write *write,
                        const struct store_stamp *stamp)
{
    for (size_t i = 0; i < stamp->count; i++) {
        add(arguments, stamp->fields[i].name);
        add(arguments, stamp->fields[i].value);
    }
    if (write->as_of.len) {
        add(arguments, STR("as_of"));
        add(arguments, write->as_of);
    }
    add(arguments, STR("members"));
    add_double(arguments, (double)write->member_count);
}

size_t store_put_small_set(struct redis_pipe *pipe, const struct serve_write *write)
{
    KOL_ASSERT(write->member_count <= SERVE_MEMBERS_READ);
    struct store_head head;
    struct store_stamp stamp;
    struct buf meta = {0};
    struct arguments arguments = make_arguments(write->member_count);
    serve_key_put_meta(&meta, write->key);
    store_make_stamp(write, &stamp);
    add(&arguments, write->key);
    add(&arguments, buf_str(&meta));
    store_put_head(write, &head, arguments.argv + arguments.argc);
    arguments.argc += STORE_HEAD;
    const size_t sibling = 2 * stamp.count + (write->as_of.len ? 4 : 2);
    add_double(&arguments, (double)sibling);
    add_sibling(&arguments, write, &stamp);
    add_members(&arguments, write->members, write->member_count);
    const size_t place =
        redis_add_script(pipe, &store_write_set, 2, arguments.argc, arguments.argv);
    free_arguments(&arguments);
    buf_free(&meta);
    return place;
}

/* ---- large sets ---- */

/* One serve_put_set(). */
struct building {
    const struct serve_write *write;
    struct redis_pipe *pipe;
    int64_t deadline_ns;
    struct buf meta, aside;
    enum serve_done done;
};

/* Runs what is in the pipe; each of its answers must be a number, `*last` the last one. A refusal
 * by the server is no failure of this function: `done` tells it. */
static enum kol_status run(struct building *building, size_t count, int64_t *last,
                           struct kol_error *err)
{
    const enum kol_status status = redis_run(building->pipe, building->deadline_ns, err);
    *last = 0;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        const struct redis_answer *answer = redis_answer(building->pipe, i);
        if (answer->kind != REDIS_NUMBER) {
            building->done = SERVE_REFUSED;
        }
        *last = answer->number;
    }
    redis_clear(building->pipe);
    return status;
}

/* Whether what is there stays; then its TTL began anew. */
static enum kol_status keep(struct building *building, bool *kept, struct kol_error *err)
{
    struct store_head head;
    struct str argv[2 + STORE_HEAD] = {building->write->key, buf_str(&building->meta)};
    int64_t is_to_come;
    store_put_head(building->write, &head, argv + 2);
    redis_add_script(building->pipe, &store_keep_set, 2, ARRAY_LEN(argv), argv);
    const enum kol_status status = run(building, 1, &is_to_come, err);
    *kept = status == KOL_OK && building->done != SERVE_REFUSED && !is_to_come;
    return status;
}

/* Adds one piece to the pipe; returns about how many bytes it takes. */
static size_t add_piece(struct building *building, size_t from, size_t count)
{
    struct arguments arguments = make_arguments(count);
    size_t bytes = 32 * count;
    add(&arguments, buf_str(&building->aside));
    add_double(&arguments, ASIDE_TTL_MS);
    add_members(&arguments, building->write->members + from, count);
    for (size_t i = 0; i < count; i++) {
        bytes += building->write->members[from + i].name.len;
    }
    redis_add_script(building->pipe, &store_add_aside, 1, arguments.argc, arguments.argv);
    free_arguments(&arguments);
    return bytes;
}

static enum kol_status build_aside(struct building *building, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    const size_t all = building->write->member_count;
    size_t from = 0;
    while (from < all && status == KOL_OK && building->done != SERVE_REFUSED) {
        size_t bytes = 0, pieces = 0;
        int64_t members;
        for (; from < all && bytes < PIPE_BYTES; pieces++) {
            const size_t count = all - from < PIECE ? all - from : PIECE;
            bytes += add_piece(building, from, count);
            from += count;
        }
        status = run(building, pieces, &members, err);
    }
    return status;
}

static enum kol_status swap(struct building *building, struct kol_error *err)
{
    struct store_head head;
    struct store_stamp stamp;
    int64_t written;
    struct arguments arguments = make_arguments(0);
    store_make_stamp(building->write, &stamp);
    add(&arguments, building->write->key);
    add(&arguments, buf_str(&building->meta));
    add(&arguments, buf_str(&building->aside));
    store_put_head(building->write, &head, arguments.argv + arguments.argc);
    arguments.argc += STORE_HEAD;
    add_double(&arguments, (double)building->write->member_count);
    add_sibling(&arguments, building->write, &stamp);
    redis_add_script(building->pipe, &store_swap_set, 3, arguments.argc, arguments.argv);
    const enum kol_status status = run(building, 1, &written, err);
    if (status == KOL_OK && building->done != SERVE_REFUSED) {
        building->done = written ? SERVE_WRITTEN : SERVE_KEPT;
    }
    free_arguments(&arguments);
    return status;
}

/* Takes away what was built and is not used; where that fails it expires. */
static void clear_aside(struct building *building)
{
    redis_addf(building->pipe, "UNLINK %S", buf_str(&building->aside));
    if (redis_run(building->pipe, building->deadline_ns, NULL) != KOL_OK) {
        return;
    }
}

static enum kol_status put_large_set(struct building *building, struct kol_error *err)
{
    bool kept = false;
    enum kol_status status = keep(building, &kept, err);
    if (status != KOL_OK || building->done == SERVE_REFUSED) {
        return status;
    }
    if (kept) {
        building->done = SERVE_KEPT;
        return KOL_OK;
    }
    status = build_aside(building, err);
    if (status == KOL_OK && building->done != SERVE_REFUSED) {
        status = swap(building, err);
    }
    if (status == KOL_OK && building->done != SERVE_WRITTEN) {
        clear_aside(building);
    }
    return status;
}

static enum kol_status put_in_one(struct building *building, struct kol_error *err)
{
    struct str why;
    serve_put(building->pipe, building->write);
    const enum kol_status status = redis_run(building->pipe, building->deadline_ns, err);
    if (status == KOL_OK) {
        building->done = serve_written(building->pipe, 0, &why);
    }
    return status;
}

enum kol_status serve_put_set(struct redis *redis, const struct serve_write *write,
                              int64_t deadline_ns, enum serve_done *done, struct kol_error *err)
{
    KOL_ASSERT(serve_keys[write->kind].type == SERVE_ZSET);
    if (write->member_count > SERVE_MEMBERS_MAX) {
        return kol_fail(err, KOL_INVALID, "a set of %zu members is over the %d that are written",
                        write->member_count, SERVE_MEMBERS_MAX);
    }
    struct building building = {.write = write, .deadline_ns = deadline_ns, .done = SERVE_KEPT};
    struct buf token = {0};
    building.pipe = redis_pipe_new(redis);
    serve_key_put_meta(&building.meta, write->key);
    random_put_uuid(&token);
    serve_key_put_aside(&building.aside, write->key, buf_str(&token));
    const enum kol_status status = write->member_count <= SERVE_MEMBERS_READ
                                       ? put_in_one(&building, err)
                                       : put_large_set(&building, err);
    *done = building.done;
    redis_pipe_free(&building.pipe);
    buf_free(&token);
    buf_free(&building.meta);
    buf_free(&building.aside);
    return status;
}
