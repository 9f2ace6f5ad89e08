/*
 * fuzz_form.c: any bytes as a Cookie header, and as a post of an HTML form.
 *
 * The first byte picks the name of the cookie that is looked for, the rest is the header, and the
 * form. What must hold: each value lies within the header and behind the one before it, and what is
 * said of one cookie follows from all of its values; a form that is taken is one JSON object of
 * texts, of no more members than are taken, and one that is refused leaves nothing to be freed.
 */
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "http/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walks over all values; returns how many, and whether they are the same. */
static size_t walk(struct str header, const char *name, struct str *first, bool *same)
{
    const struct str all = header;
    struct str value;
    size_t count = 0;
    const char *behind = all.ptr;
    *same = true;
    for (*first = STR(""); http_cookie_next(&header, name, &value); count++) {
        const char *end = value.ptr + value.len;
        KOL_ASSERT(!value.len || (value.ptr >= behind && end <= all.ptr + all.len));
        KOL_ASSERT(header.len < all.len);
        /* Only what stood in quotes has one right before it, and then one behind. */
        KOL_ASSERT(!value.len || value.ptr[-1] != '"' || *end == '"');
        KOL_ASSERT(!memchr(value.ptr, ';', value.len));
        behind = value.len ? end : behind;
        *same = *same && (!count || str_equal(value, *first));
        *first = count ? *first : value;
    }
    KOL_ASSERT(!header.len);
    return count;
}

static void try_cookies(struct str header, const char *name)
{
    struct str first, value;
    bool same;
    const size_t count = walk(header, name, &first, &same);
    const bool found = http_cookie(header, name, &value);
    KOL_ASSERT(found == (count && same));
    KOL_ASSERT(str_equal(value, found ? first : STR("")));
}

/* As it is read when it came as a body: a name that is there twice is refused there. */
static void check_object(struct str text, size_t pairs)
{
    json_error_t error;
    json_t *object = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, &error);
    const char *name;
    json_t *value;
    KOL_ASSERT(json_is_object(object));
    KOL_ASSERT(json_object_size(object) <= pairs);
    json_object_foreach(object, name, value)
    {
        KOL_ASSERT(name && json_is_string(value));
    }
    json_decref(object);
}

static void try_form(struct str form)
{
    struct arena arena;
    struct buf json = {0};
    size_t pairs = 0;
    arena_init(&arena, 256);
    for (struct str rest = form; rest.len;) {
        pairs += str_cut(&rest, '&').len > 0;
    }
    const bool taken = http_form_put_json(form, &arena, &json);
    KOL_ASSERT(!taken || pairs <= HTTP_MAX_MEMBERS);
    if (taken) {
        check_object(buf_str(&json), pairs);
    }
    buf_free(&json);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"kol_session", "id", "a", ""};
    if (size < 1) {
        return 0;
    }
    const struct str bytes = {(const char *)data + 1, size - 1};
    try_cookies(bytes, names[data[0] % ARRAY_LEN(names)]);
    try_form(bytes);
    return 0;
}
