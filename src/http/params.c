/*
 * params.c: the parameters of a request, out of its path and query, checked against their fields.
 *
 * Nothing that came in reaches a handler unchecked, and nothing is guessed: a name that the route
 * does not know is refused with the nearest one that it does, a name given twice is refused, since
 * programs on the way may disagree on which of the two counts.
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/parts.h"

enum {
    MOST_TOLD = 5,   /* wrong parameters that one answer names */
    USUAL_KEY = 250, /* bytes: so long that most keys need one allocation */
};

/* One reading of one request. */
struct reading {
    const struct http_route *route;
    struct arena *arena;
    struct http_values *out;
    struct buf *detail;
    size_t wrong;               /* sentences in `detail` */
    bool seen[HTTP_MAX_FIELDS]; /* given by the request, right or wrong */
    bool path[HTTP_MAX_FIELDS]; /* filled in from the path */
};

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* False: malformed, or there is a NUL in it. */
static bool percent_decode(struct str raw, bool plus_is_blank, struct arena *arena, struct str *out)
{
    char *text = arena_alloc(arena, raw.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '+' && plus_is_blank) {
            c = ' ';
        } else if (c == '%') {
            const int byte = text_percent_byte((struct str){raw.ptr + i, raw.len - i});
            if (byte < 0) {
                return false;
            }
            c = (char)byte;
            i += 2;
        }
        if (c == '\0') {
            return false;
        }
        text[len++] = c;
    }
    text[len] = '\0';
    *out = (struct str){text, len};
    return text_is_utf8(*out);
}

bool http_decode(struct str raw, bool plus_is_blank, struct arena *arena, struct str *out)
{
    bool plain = percent_decode(raw, plus_is_blank, arena, out);
    for (size_t i = 0; plain && i < out->len; i++) {
        plain = !is_control(out->ptr[i]);
    }
    return plain;
}

bool http_decode_text(struct str raw, struct arena *arena, struct str *out)
{
    return percent_decode(raw, true, arena, out);
}

/* Begins the sentence on one more wrong parameter; false once enough are named. */
static bool begin_wrong(struct reading *reading)
{
    if (reading->wrong == MOST_TOLD) {
        return false;
    }
    buf_puts(reading->detail, reading->wrong++ ? "; " : "");
    return true;
}

static void end_sentence(struct reading *reading)
{
    buf_putc(reading->detail, '.');
}

/* Checks a parameter as it came. */
static void take(struct reading *reading, size_t place, struct str raw, bool in_query)
{
    const struct http_field *field = &reading->route->fields[place];
    struct http_value *value = &reading->out->by_field[place];
    struct str text = raw;
    bool decoded = http_decode(raw, in_query, reading->arena, &text);
    if (decoded && http_value_read(field, text, value)) {
        return;
    }
    *value = (struct http_value){0};
    if (!begin_wrong(reading)) {
        return;
    }
    if (!decoded) {
        buf_printf(reading->detail, "`%s` is not percent-encoded UTF-8 without control characters",
                   field->name);
        return;
    }
    buf_printf(reading->detail, "`%s` must be ", field->name);
    http_put_wanted(field, reading->detail);
    buf_puts(reading->detail, ", not ");
    http_put_quoted(text, reading->detail);
    if (field->kind == HTTP_TIME && in_query && memchr(raw.len ? raw.ptr : "", '+', raw.len)) {
        buf_puts(reading->detail, " (a plus sign in a query is written %2B)");
    }
}

static size_t field_named(const struct http_route *route, struct str name)
{
    for (size_t i = 0; i < route->field_count; i++) {
        if (str_is(name, route->fields[i].name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static void read_path(struct reading *reading, const struct http_match *match)
{
    struct str rest = str_of(reading->route->path + 1);
    for (size_t i = 0; i < match->segment_count; i++) {
        struct str segment = str_cut(&rest, '/');
        if (segment.len > 2 && segment.ptr[0] == '{') {
            size_t place =
                field_named(reading->route, (struct str){segment.ptr + 1, segment.len - 2});
            KOL_ASSERT(place < reading->route->field_count); /* by check.c */
            reading->path[place] = true;
            reading->seen[place] = true;
            take(reading, place, match->segments[i], false);
        }
    }
}

static void tell_unknown(struct reading *reading, struct str name)
{
    const char *names[HTTP_MAX_FIELDS];
    size_t count = 0;
    if (!begin_wrong(reading)) {
        return;
    }
    for (size_t i = 0; i < reading->route->field_count; i++) {
        if (!reading->path[i]) {
            names[count++] = reading->route->fields[i].name;
        }
    }
    http_put_quoted(name, reading->detail);
    buf_puts(reading->detail, count ? " is no parameter here" : " is given, but nothing is asked");
    http_put_nearest(name, names, count, reading->detail);
}

/* One name=value of the query. */
static void take_pair(struct reading *reading, struct str pair)
{
    struct str name = {0}, raw = pair;
    struct str raw_name = str_cut(&raw, '=');
    if (!http_decode(raw_name, true, reading->arena, &name)) {
        name = raw_name;
    }
    size_t place = field_named(reading->route, name);
    if (place == SIZE_MAX || reading->path[place]) {
        tell_unknown(reading, name);
    } else if (reading->seen[place]) {
        if (begin_wrong(reading)) {
            buf_printf(reading->detail, "`%s` is given twice", reading->route->fields[place].name);
        }
    } else {
        reading->seen[place] = true;
        take(reading, place, raw, true);
    }
}

static void read_query(struct reading *reading, struct str query)
{
    while (query.len && reading->wrong < MOST_TOLD) {
        struct str pair = str_cut(&query, '&');
        if (pair.len) { /* an empty one, as in "a=1&", says nothing */
            take_pair(reading, pair);
        }
    }
}

/* Fallbacks, and what is missing. */
static void fill_in(struct reading *reading)
{
    for (size_t i = 0; i < reading->route->field_count; i++) {
        const struct http_field *field = &reading->route->fields[i];
        if (reading->seen[i]) {
            continue;
        }
        if (field->fallback) {
            bool fits = http_value_read(field, str_of(field->fallback), &reading->out->by_field[i]);
            KOL_ASSERT(fits); /* by check.c */
        } else if (field->required && begin_wrong(reading)) {
            buf_printf(reading->detail, "`%s` is missing, it must be ", field->name);
            http_put_wanted(field, reading->detail);
        }
    }
}

/* ---- the normal form ---- */

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~' || c == ':' || c == ',';
}

/* Neither '/', '?', '=', '&' nor '%' is left in a value, so that no value looks like two. */
static void put_encoded(struct str text, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t begin = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (!is_plain(c)) {
            char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            buf_append(out, text.ptr + begin, i - begin);
            buf_append(out, escape, sizeof escape);
            begin = i + 1;
        }
    }
    buf_append(out, text.ptr + begin, text.len - begin);
}

static void put_value(const struct http_field *field, const struct http_value *value,
                      struct buf *out)
{
    if (field->kind == HTTP_TEXT || field->kind == HTTP_WORDS) {
        put_encoded(value->text, out);
    } else {
        http_value_put(field, value, out);
    }
}

static void put_key_path(const struct reading *reading, struct buf *key)
{
    struct str rest = str_of(reading->route->path + 1);
    do {
        struct str segment = str_cut(&rest, '/');
        buf_putc(key, '/');
        if (segment.len > 2 && segment.ptr[0] == '{') {
            size_t place =
                field_named(reading->route, (struct str){segment.ptr + 1, segment.len - 2});
            put_value(&reading->route->fields[place], &reading->out->by_field[place], key);
        } else {
            buf_put(key, segment);
        }
    } while (rest.ptr);
}

static void make_key(const struct reading *reading)
{
    static const char *const methods[] = {"", "POST ", "PUT ", "DELETE "};
    struct buf key = {0};
    char separator = '?';
    buf_reserve(&key, USUAL_KEY);
    buf_puts(&key, methods[reading->route->method]);
    put_key_path(reading, &key);
    for (size_t i = 0; i < reading->route->field_count; i++) {
        const struct http_value *value = &reading->out->by_field[i];
        if (!reading->path[i] && value->given) {
            buf_putc(&key, separator);
            buf_puts(&key, reading->route->fields[i].name);
            buf_putc(&key, '=');
            put_value(&reading->route->fields[i], value, &key);
            separator = '&';
        }
    }
    reading->out->key = arena_copy(reading->arena, buf_str(&key));
    buf_free(&key);
}

bool http_params_read(const struct http_route *route, const struct http_match *match,
                      struct str query, struct arena *arena, struct http_values *out,
                      struct buf *detail)
{
    struct reading reading = {.route = route, .arena = arena, .out = out, .detail = detail};
    memset(out->by_field, 0, route->field_count * sizeof out->by_field[0]);
    out->key = (struct str){0};
    read_path(&reading, match);
    read_query(&reading, query);
    fill_in(&reading);
    if (reading.wrong) {
        end_sentence(&reading);
        return false;
    }
    make_key(&reading);
    return true;
}

bool http_is_path_field(const struct http_route *route, const struct http_field *field)
{
    struct str rest = str_of(route->path), name = str_of(field->name);
    while (rest.len) {
        struct str segment = str_cut(&rest, '/');
        if (segment.len == name.len + 2 && segment.ptr[0] == '{' &&
            memcmp(segment.ptr + 1, name.ptr, name.len) == 0) {
            return true;
        }
    }
    return false;
}
