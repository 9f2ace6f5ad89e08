/*
 * duckdb_footer.c: the column list at the start of a Parquet file's footer (Thrift, compact form).
 *
 * Only so much is understood as tells a file with field ids from one without. Bytes come from
 * outside: every step is bounded, and what does not fit ends the reading.
 */
#include "engine/duckdb_footer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    FOOTER_MAX = 16 << 20, /* bytes of a footer that are looked at; the columns come first */
    TAIL = 8,              /* length of the footer and "PAR1" */
    MAX_DEPTH = 32,
    MAX_COLUMNS = 100000,
};

/* Types of the compact form. */
enum { T_TRUE = 1, T_FALSE, T_BYTE, T_I16, T_I32, T_I64, T_DOUBLE, T_BINARY, T_LIST, T_SET, T_MAP };
enum { T_STRUCT = 12 };

/* Fields of the footer's structures. */
enum { FILE_SCHEMA = 2, ELEMENT_NAME = 4, ELEMENT_CHILDREN = 5, ELEMENT_FIELD_ID = 9 };

struct input {
    const unsigned char *at, *end;
    bool bad;
};

static unsigned next_byte(struct input *in)
{
    in->bad = in->bad || in->at == in->end;
    return in->bad ? 0 : *in->at++;
}

static uint64_t next_varint(struct input *in)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !in->bad; shift += 7) {
        unsigned byte = next_byte(in);
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            return value;
        }
    }
    in->bad = true;
    return 0;
}

static int64_t next_int(struct input *in)
{
    uint64_t raw = next_varint(in);
    return (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
}

static struct str next_binary(struct input *in)
{
    uint64_t len = next_varint(in);
    if (in->bad || len > (uint64_t)(in->end - in->at)) {
        in->bad = true;
        return (struct str){0};
    }
    struct str text = {(const char *)in->at, (size_t)len};
    in->at += len;
    return text;
}

/* The next field of a structure; false at its end. `*id` is that of the field before. */
static bool next_field(struct input *in, int64_t *id, unsigned *type)
{
    unsigned head = next_byte(in);
    if (in->bad || head == 0) {
        return false;
    }
    *type = head & 15;
    *id = head >> 4 ? *id + (head >> 4) : next_int(in);
    return !in->bad;
}

static uint64_t next_list(struct input *in, unsigned *type)
{
    unsigned head = next_byte(in);
    *type = head & 15;
    return head >> 4 == 15 ? next_varint(in) : head >> 4;
}

static void skip(struct input *in, unsigned type, int depth);

/* Of a list, a set, a map or a structure. */
static void skip_nested(struct input *in, unsigned type, int depth)
{
    unsigned of = 0, key = 0;
    int64_t id = 0;
    uint64_t count = 0;
    if (type == T_STRUCT) {
        while (next_field(in, &id, &of)) {
            skip(in, of, depth + 1);
        }
        return;
    }
    if (type == T_MAP) {
        count = next_varint(in);
        of = count ? next_byte(in) : 0;
        key = of >> 4;
        of &= 15;
    } else {
        count = next_list(in, &of);
    }
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        if (key) {
            skip(in, key == T_TRUE ? T_BYTE : key, depth + 1);
        }
        skip(in, of == T_TRUE || of == T_FALSE ? T_BYTE : of, depth + 1);
    }
}

static void skip(struct input *in, unsigned type, int depth)
{
    switch (type) {
    case T_TRUE:
    case T_FALSE: break; /* the type is the value */
    case T_BYTE: next_byte(in); break;
    case T_I16:
    case T_I32:
    case T_I64: next_varint(in); break;
    case T_DOUBLE:
        in->bad = in->bad || in->end - in->at < 8;
        in->at += in->bad ? 0 : 8;
        break;
    case T_BINARY: next_binary(in); break;
    case T_LIST:
    case T_SET:
    case T_MAP:
    case T_STRUCT:
        in->bad = in->bad || depth > MAX_DEPTH;
        if (!in->bad) {
            skip_nested(in, type, depth);
        }
        break;
    default: in->bad = true;
    }
}

struct element {
    struct str name;
    int64_t children;
    bool has_id;
};

static struct element next_element(struct input *in)
{
    struct element element = {0};
    int64_t id = 0;
    unsigned type;
    while (next_field(in, &id, &type)) {
        if (id == ELEMENT_NAME && type == T_BINARY) {
            element.name = next_binary(in);
        } else if (id == ELEMENT_CHILDREN && type == T_I32) {
            element.children = next_int(in);
        } else {
            element.has_id = element.has_id || id == ELEMENT_FIELD_ID;
            skip(in, type, 0);
        }
    }
    return element;
}

/* The elements stand depth first, below a root. Those of the first level are taken as names. */
static bool take_columns(struct input *in, uint64_t elements, struct arena *arena,
                         const char ***names, size_t *count)
{
    struct element root = next_element(in);
    if (in->bad || root.children < 0 || root.children > MAX_COLUMNS) {
        return false;
    }
    int64_t open = 0; /* elements still to come below the column at hand */
    *names = arena_alloc(arena, ((size_t)root.children + 1) * sizeof **names);
    *count = 0;
    for (uint64_t i = 1; i < elements && !in->bad; i++) {
        struct element element = next_element(in);
        if (in->bad || element.has_id || element.children < 0 || element.children > MAX_COLUMNS) {
            return false;
        }
        if (open) {
            open--;
        } else if (*count < (size_t)root.children) {
            (*names)[(*count)++] = arena_copy(arena, element.name).ptr;
        }
        open += element.children;
    }
    return !in->bad && *count == (size_t)root.children;
}

static bool read_schema(struct input *in, struct arena *arena, const char ***names, size_t *count)
{
    int64_t id = 0;
    unsigned type, of;
    while (next_field(in, &id, &type)) {
        if (id == FILE_SCHEMA && type == T_LIST) {
            uint64_t elements = next_list(in, &of);
            return of == T_STRUCT && take_columns(in, elements, arena, names, count);
        }
        skip(in, type, 0);
    }
    return false;
}

/* The start of the footer, for free(); NULL where the file is no plain Parquet file. */
static unsigned char *read_footer(int fd, size_t *len)
{
    struct stat info;
    unsigned char tail[TAIL];
    if (fstat(fd, &info) || info.st_size < TAIL ||
        pread(fd, tail, TAIL, info.st_size - TAIL) != TAIL || memcmp(tail + 4, "PAR1", 4) != 0) {
        return NULL;
    }
    int64_t size =
        (int64_t)tail[0] | (int64_t)tail[1] << 8 | (int64_t)tail[2] << 16 | (int64_t)tail[3] << 24;
    if (size > info.st_size - TAIL) {
        return NULL;
    }
    *len = (size_t)(size < FOOTER_MAX ? size : FOOTER_MAX);
    unsigned char *footer = mem_alloc(*len + 1);
    if (pread(fd, footer, *len, info.st_size - TAIL - size) != (ssize_t)*len) {
        free(footer);
        return NULL;
    }
    return footer;
}

bool footer_plain_columns(const char *path, struct arena *arena, const char ***names, size_t *count)
{
    size_t len;
    int fd = open(strncmp(path, "file://", 7) == 0 ? path + 7 : path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    unsigned char *footer = read_footer(fd, &len);
    close(fd);
    if (!footer) {
        return false;
    }
    struct input in = {.at = footer, .end = footer + len};
    bool plain = read_schema(&in, arena, names, count);
    free(footer);
    return plain;
}
