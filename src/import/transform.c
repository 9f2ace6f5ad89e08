/* transform.c: what each row of transforms.def does. */
#include "import/transform.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define USAGE_NONE(text) "\"" text "\""
#define USAGE_TEXT(text) "{\"" text "\": TEXT}"
#define USAGE_LIST(text) "{\"" text "\": [TEXT, ...]}"
#define USAGE_MAP(text) "{\"" text "\": {FROM: TO, ...}}"

static const struct {
    const char *name;
    enum transform_argument argument;
    const char *usage;
    const char *help;
} rows[TRANSFORM_COUNT] = {
#define TRANSFORM(NAME, text, argument, help)                                                      \
    [TRANSFORM_##NAME] = {text, ARGUMENT_##argument, USAGE_##argument(text), help},
#include "import/transforms.def"
#undef TRANSFORM
};

const char *transform_name(enum transform transform)
{
    return rows[transform].name;
}

const char *transform_help(enum transform transform)
{
    return rows[transform].help;
}

enum transform_argument transform_argument(enum transform transform)
{
    return rows[transform].argument;
}

const char *transform_usage(enum transform transform)
{
    return rows[transform].usage;
}

static struct str joined(struct arena *arena, struct str a, struct str b)
{
    char *text = arena_alloc(arena, a.len + b.len + 1);
    memcpy(text, a.len ? a.ptr : "", a.len);
    memcpy(text + a.len, b.len ? b.ptr : "", b.len);
    return (struct str){text, a.len + b.len};
}

static struct str lowered(struct arena *arena, struct str text)
{
    struct str copy = arena_copy(arena, text);
    for (char *at = (char *)copy.ptr; at < copy.ptr + copy.len; at++) {
        if (*at >= 'A' && *at <= 'Z') {
            *at = (char)(*at - 'A' + 'a');
        }
    }
    return copy;
}

static struct str without(struct arena *arena, struct str text, struct str part)
{
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        if (text.len - i >= part.len && memcmp(text.ptr + i, part.ptr, part.len) == 0) {
            i += part.len;
        } else {
            out[len++] = text.ptr[i++];
        }
    }
    return (struct str){out, len};
}

static enum kol_status to_date(struct str *value, struct arena *arena, struct kol_error *err)
{
    int64_t day;
    if (!clock_parse_day(*value, &day)) {
        return kol_fail(err, KOL_INVALID, "\"%.*s\" is no date YYYY-MM-DD",
                        (int)text_prefix(*value, 40).len, value->len ? value->ptr : "");
    }
    *value = joined(arena, *value, STR("T00:00:00Z"));
    return KOL_OK;
}

static enum kol_status to_utc(struct str *value, struct arena *arena, struct kol_error *err)
{
    int64_t time;
    struct str zoned = joined(arena, *value, STR("Z"));
    if (value->len < 19 || !clock_parse(zoned, &time)) {
        return kol_fail(err, KOL_INVALID, "\"%.*s\" is no time YYYY-MM-DD HH:MM:SS",
                        (int)text_prefix(*value, 40).len, value->len ? value->ptr : "");
    }
    *value = zoned;
    return KOL_OK;
}

static struct str to_length(struct str text, struct arena *arena)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%zu", text_length(text));
    return arena_copy(arena, (struct str){digits, (size_t)len});
}

static struct str mapped(const struct transform_step *step, struct str value)
{
    for (size_t i = 0; i + 1 < step->item_count; i += 2) {
        if (str_equal(step->items[i], value)) {
            return step->items[i + 1];
        }
    }
    return value;
}

static bool listed(const struct transform_step *step, struct str value)
{
    for (size_t i = 0; i < step->item_count; i++) {
        if (str_equal(step->items[i], value)) {
            return true;
        }
    }
    return false;
}

enum kol_status transform_apply(const struct transform_step *step, struct str *value, bool *unknown,
                                struct arena *arena, struct kol_error *err)
{
    switch (step->transform) {
    case TRANSFORM_TRIM: *value = str_trim(*value); break;
    case TRANSFORM_LOWER: *value = lowered(arena, *value); break;
    case TRANSFORM_DATE: return to_date(value, arena, err);
    case TRANSFORM_UTC: return to_utc(value, arena, err);
    case TRANSFORM_NOT_EMPTY: *value = value->len ? STR("true") : STR("false"); break;
    case TRANSFORM_LENGTH: *value = to_length(*value, arena); break;
    case TRANSFORM_MAP: *value = mapped(step, *value); break;
    case TRANSFORM_NULL_IF: *unknown = listed(step, *value); break;
    case TRANSFORM_PREFIX: *value = joined(arena, step->text, *value); break;
    case TRANSFORM_SUFFIX: *value = joined(arena, *value, step->text); break;
    case TRANSFORM_STRIP: *value = without(arena, *value, step->text); break;
    case TRANSFORM_SPLIT:
    case TRANSFORM_COUNT: kol_panic("%s is no text transform", transform_name(step->transform));
    }
    return KOL_OK;
}

/* The next piece of `*rest` before the separator. */
static struct str next_piece(struct str *rest, struct str separator)
{
    const char *end = memmem(rest->ptr, rest->len, separator.ptr, separator.len);
    struct str piece = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t used = end ? piece.len + separator.len : piece.len;
    rest->ptr += used;
    rest->len -= used;
    return piece;
}

void transform_split(const struct transform_step *step, struct str text, struct arena *arena,
                     struct str **items, size_t *count)
{
    size_t most = 1;
    for (struct str rest = text; rest.len; most++) {
        next_piece(&rest, step->text);
    }
    *items = arena_alloc(arena, most * sizeof **items);
    *count = 0;
    for (struct str rest = text; rest.len;) {
        struct str item = str_trim(next_piece(&rest, step->text));
        while (item.len && item.ptr[0] == '#') {
            item = str_trim((struct str){item.ptr + 1, item.len - 1});
        }
        if (item.len) {
            (*items)[(*count)++] = item;
        }
    }
}
