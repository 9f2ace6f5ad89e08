/* window.c: keeps what is being looked at in one piece. */
#include "import/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { WINDOW_BYTES = 256 * 1024 };

void window_init(struct window *window, struct source *source)
{
    *window = (struct window){.source = source, .position = source_position(source)};
    window->cap = WINDOW_BYTES;
    window->bytes = mem_alloc(window->cap);
}

void window_free(struct window *window)
{
    free(window->bytes);
    *window = (struct window){0};
}

/* Room behind `end`: moves the rest to the front once most of the window is used up, and grows only
 * where one record fills it all. */
static void make_room(struct window *window)
{
    size_t len = window_len(window);
    if (window->end == window->cap && window->begin >= window->cap / 2) {
        memmove(window->bytes, window->bytes + window->begin, len);
        window->begin = 0;
        window->end = len;
    } else if (window->end == window->cap) {
        char *larger = mem_alloc(window->cap * 2);
        memcpy(larger, window->bytes + window->begin, len);
        free(window->bytes);
        window->bytes = larger;
        window->cap *= 2;
        window->begin = 0;
        window->end = len;
    }
}

enum kol_status window_more(struct window *window, struct kol_error *err)
{
    size_t got = 0;
    if (window->at_end) {
        return KOL_OK;
    }
    if (window->begin == window->end) {
        window->begin = window->end = 0;
    }
    make_room(window);
    enum kol_status status = source_read(window->source, window->bytes + window->end,
                                         window->cap - window->end, &got, err);
    window->end += got;
    window->at_end = status == KOL_OK && got == 0;
    return status;
}

void window_take(struct window *window, size_t len)
{
    KOL_ASSERT(len <= window_len(window));
    window->begin += len;
    window->position += (int64_t)len;
}

enum kol_status window_seek(struct window *window, int64_t position, struct kol_error *err)
{
    KOL_ASSERT(position >= window->position);
    int64_t ahead = position - window->position;
    if ((uint64_t)ahead <= window_len(window)) {
        window_take(window, (size_t)ahead);
        return KOL_OK;
    }
    enum kol_status status = source_skip_to(window->source, position, err);
    window->begin = window->end = 0;
    window->position = source_position(window->source);
    window->at_end = false;
    return status;
}
