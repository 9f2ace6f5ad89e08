/*
 * fuzz_serve_value.c: any bytes as what a Redis server holds under a key.
 *
 * The first byte says of which kind the key is, the second how the commands that read it are
 * answered, the rest what they are answered. What is taken for held is read whole, and given to
 * serve_to_json() by a schema that has every kind of member. What must hold: JSON that came out is
 * JSON, it comes back as the same fields and the same JSON; a refusal leaves nothing behind.
 */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cache/redis_parts.h"
#include "serve/shape.h"
#include "serve/store_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A separator stands between the parts of an answer. */
enum { SEPARATOR = 0x1e, ITEMS_MAX = 2100 };

/* ---- a schema of every kind ---- */

#define FIELDS(...)                                                                                \
    .fields = (const struct http_field[]){__VA_ARGS__},                                            \
    .field_count = sizeof((const struct http_field[]){__VA_ARGS__}) / sizeof(struct http_field)

static const struct http_schema inner = {
    .name = "Inner",
    FIELDS({.name = "n", .kind = HTTP_INT, .required = true, .min = -5, .max = 9},
           {.name = "t", .kind = HTTP_TEXT, .required = true, .nullable = true, .max = 8},
           {.name = "l", .kind = HTTP_LIST, .schema = "Inner", .max = 3}),
};

static const struct http_schema outer = {
    .name = "Outer",
    FIELDS({.name = "kol_id", .kind = HTTP_TEXT}, {.name = "i", .kind = HTTP_INT},
           {.name = "trust_score", .kind = HTTP_REAL, .nullable = true},
           {.name = "b", .kind = HTTP_BOOL},
           {.name = "c", .kind = HTTP_CHOICE, .choices = "low moderate high"},
           {.name = "d", .kind = HTTP_DATE}, {.name = "timestamp", .kind = HTTP_TIME},
           {.name = "w", .kind = HTTP_WORDS}, {.name = "o", .kind = HTTP_OBJECT, .schema = "Inner"},
           {.name = "f", .kind = HTTP_OBJECT}, {.name = "l", .kind = HTTP_LIST, .schema = "Inner"},
           {.name = "any", .kind = HTTP_ANY}, {.name = "snapshot", .kind = HTTP_INT}),
};

static const struct http_schema *find_schema(const char *name)
{
    return strcmp(name, "Inner") == 0 ? &inner : NULL;
}

/* JSON that was made is read by another reader, and by our own way back. */
static void check_json(struct str json, struct arena *arena)
{
    json_error_t wrong;
    json_t *root = json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, &wrong);
    /* That reader takes no whole numbers beyond 64 bits, and no NUL in a name. */
    const enum json_error_code code = root ? json_error_unknown : json_error_code(&wrong);
    KOL_ASSERT(root || code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    json_decref(root);
    struct serve_field *fields;
    size_t count;
    struct buf again = {0};
    KOL_ASSERT(serve_to_fields(json, arena, &fields, &count, NULL) == KOL_OK);
    KOL_ASSERT(serve_to_json(&outer, find_schema, fields, count, &again, NULL) == KOL_OK);
    KOL_ASSERT(str_equal(buf_str(&again), json));
    buf_free(&again);
}

static void use_fields(const struct serve_field *fields, size_t count, struct arena *arena)
{
    struct buf out = {0};
    struct kol_error err = {0};
    if (serve_to_json(&outer, find_schema, fields, count, &out, &err) == KOL_OK) {
        check_json(buf_str(&out), arena);
    } else {
        KOL_ASSERT(out.len == 0 && err.message[0] && text_is_utf8(str_of(err.message)));
    }
    KOL_ASSERT(serve_print(fields, count) != 0);
    struct store_stamp none = {.count = 0};
    struct buf packed = {0};
    store_pack(fields, count, &none, &packed);
    buf_free(&packed);
    buf_free(&out);
}

/* ---- answers out of bytes ---- */

/* The bytes up to the next separator as an answer: a text; without any bytes nil; marked by their
 * first byte, an error, a number or a list. */
static struct redis_answer next_answer(struct str *rest, struct arena *arena)
{
    const struct str piece = arena_copy(arena, str_cut(rest, SEPARATOR));
    struct redis_answer answer = {.kind = REDIS_TEXT, .text = piece};
    if (piece.len && piece.ptr[0] <= 3) {
        static const enum redis_kind kinds[] = {REDIS_ERROR, REDIS_NUMBER, REDIS_LIST, REDIS_TEXT};
        answer.kind = kinds[piece.ptr[0] & 3];
    } else if (!piece.ptr || !piece.len) {
        answer.kind = REDIS_NIL;
    }
    return answer;
}

static struct redis_answer next_list(struct str *rest, size_t most, struct arena *arena)
{
    struct redis_answer *items = arena_alloc(arena, ITEMS_MAX * sizeof *items);
    struct redis_answer list = {.kind = REDIS_LIST, .items = items};
    while (rest->len && list.count < most) {
        items[list.count++] = next_answer(rest, arena);
    }
    return list;
}

/* What the commands of serve_ask() are answered by. */
static void make_answers(enum serve_key kind, unsigned flags, struct str rest, struct arena *arena,
                         struct redis_answer answers[3])
{
    const struct redis_answer wrong = {.kind = REDIS_ERROR, .text = STR("WRONGTYPE Operation")};
    const struct redis_answer text = {.kind = REDIS_TEXT, .text = arena_copy(arena, rest)};
    if (serve_keys[kind].type == SERVE_ZSET) {
        answers[0] = next_list(&rest, 4, arena);
        answers[1] = next_list(&rest, ITEMS_MAX, arena);
        answers[2] = flags & 1 ? next_list(&rest, 4, arena) : answers[0];
    } else if (serve_keys[kind].type == SERVE_STRING) {
        answers[0] = flags & 1 ? wrong : text;
    } else {
        answers[0] = flags & 1 ? wrong : next_list(&rest, ITEMS_MAX, arena);
        answers[1] = flags & 1 ? text : wrong;
    }
}

/* ---- what is taken ---- */

static void use_hash(const struct redis_pipe *pipe, enum serve_key kind, struct arena *arena)
{
    struct serve_hash hash;
    if (serve_take_hash(pipe, 0, kind, arena, &hash) == SERVE_HELD) {
        KOL_ASSERT(hash.count && hash.snapshot >= 0 && hash.version >= 0);
        use_fields(hash.fields, hash.count, arena);
    }
}

static void use_set(const struct redis_pipe *pipe, enum serve_key kind, struct arena *arena)
{
    struct serve_set set;
    if (serve_take_set(pipe, 0, kind, arena, &set) == SERVE_HELD) {
        for (size_t i = 0; i < set.count; i++) {
            KOL_ASSERT(text_is_utf8(set.members[i].name) && isfinite(set.members[i].score));
            KOL_ASSERT(i == 0 || set.members[i - 1].score >= set.members[i].score);
        }
        KOL_ASSERT(set.snapshot >= 0 && set.print);
    }
}

static void use_text(const struct redis_pipe *pipe, enum serve_key kind, struct arena *arena)
{
    struct serve_text text;
    if (serve_take_text(pipe, 0, kind, arena, &text) == SERVE_HELD) {
        struct serve_field *fields;
        size_t count;
        KOL_ASSERT(serve_to_fields(text.json, arena, &fields, &count, NULL) == KOL_OK);
        use_fields(fields, count, arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum serve_key kinds[] = {SERVE_KEY_PROFILE, SERVE_KEY_SCORE,
                                           SERVE_KEY_TOP_FOLLOWERS, SERVE_KEY_PROFILES_LIST,
                                           SERVE_KEY_METADATA};
    if (size < 2) {
        return 0;
    }
    const enum serve_key kind = kinds[data[0] % ARRAY_LEN(kinds)];
    struct arena arena;
    struct redis_answer answers[3] = {
        {.kind = REDIS_NIL}, {.kind = REDIS_NIL}, {.kind = REDIS_NIL}};
    arena_init(&arena, 0);
    make_answers(kind, data[1], (struct str){(const char *)data + 2, size - 2}, &arena, answers);
    const struct redis_pipe pipe = {.answers = answers, .answered = ARRAY_LEN(answers)};
    switch (serve_keys[kind].type) {
    case SERVE_ZSET: use_set(&pipe, kind, &arena); break;
    case SERVE_STRING: use_text(&pipe, kind, &arena); break;
    default: use_hash(&pipe, kind, &arena);
    }
    arena_free(&arena);
    return 0;
}
