/* warm_place.c: the file that says where an interrupted warm goes on. */
#include "serve/warm_place.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { FILE_MAX = 4096 };

#define FILE_NAME "warm.place"
#define HEADER "kol-warm 1"

/* The lines that must agree for the place to count. */
static void put_subject(struct buf *out, const struct warm_place *place)
{
    buf_printf(out, HEADER "\nredis %.*s\nsnapshot %lld\nparts %u\nfull %d\nlimit %lld\n",
               STR_FORMAT(place->redis), (long long)place->snapshot, place->parts, place->full,
               (long long)place->limit);
}

/* A line "name number". */
static bool read_number(struct str *rest, const char *name, int64_t *out)
{
    struct str line = str_cut(rest, '\n');
    return str_is(str_cut(&line, ' '), name) && str_to_int64(line, out) && *out >= -1;
}

static bool read_place(struct str text, struct warm_place *place)
{
    struct buf subject = {0};
    int64_t part = 0;
    put_subject(&subject, place);
    bool good = str_starts(text, buf_str(&subject));
    struct str rest =
        good ? (struct str){text.ptr + subject.len, text.len - subject.len} : (struct str){0};
    buf_free(&subject);
    good = good && read_number(&rest, "began", &place->began_us) &&
           read_number(&rest, "part", &part) && part >= -1 && part < WARM_PARTS &&
           read_number(&rest, "index", &place->index) && place->index >= 0;
    for (int i = 0; good && i < WARM_PARTS; i++) {
        good = read_number(&rest, warm_part_names[i], &place->done[i]) && place->done[i] >= 0;
    }
    if (!good || !str_is(str_cut(&rest, ' '), "key") || rest.len == 0) {
        return false;
    }
    place->part = (int)part;
    buf_clear(&place->key);
    buf_put(&place->key, rest); /* to the end of the file, whatever bytes it is of */
    return true;
}

enum kol_status warm_place_read(const char *folder, struct warm_place *place, struct kol_error *err)
{
    struct buf text = {0};
    char *path = file_join(folder, FILE_NAME);
    enum kol_status status = file_read(path, FILE_MAX, &text, err);
    if (status == KOL_INVALID || (status == KOL_OK && !read_place(buf_str(&text), place))) {
        status = kol_fail(err, KOL_NOT_FOUND, "%s is of another warm", path);
    }
    buf_free(&text);
    free(path);
    return status;
}

enum kol_status warm_place_write(const char *folder, const struct warm_place *place,
                                 struct kol_error *err)
{
    struct buf text = {0};
    char *path = file_join(folder, FILE_NAME);
    put_subject(&text, place);
    buf_printf(&text, "began %lld\npart %d\nindex %lld\n", (long long)place->began_us, place->part,
               (long long)place->index);
    for (int i = 0; i < WARM_PARTS; i++) {
        buf_printf(&text, "%s %lld\n", warm_part_names[i], (long long)place->done[i]);
    }
    buf_puts(&text, "key ");
    buf_put(&text, buf_str(&place->key));
    const enum kol_status status = file_replace(path, buf_str(&text), err);
    buf_free(&text);
    free(path);
    return status;
}

void warm_place_remove(const char *folder)
{
    char *path = file_join(folder, FILE_NAME);
    unlink(path);
    free(path);
}
