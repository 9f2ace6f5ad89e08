/* preset_pick.c: which layout a file has, found by its header. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "import/preset.h"

/* The index of a column in the header; `count` where it is missing, or `*twice` set. */
static size_t find_column(struct str name, const struct str *header, size_t count, bool *twice)
{
    size_t found = count;
    for (size_t i = 0; i < count; i++) {
        if (str_equal(name, header[i])) {
            *twice = found != count;
            found = found == count ? i : found;
        }
    }
    return found;
}

static size_t count_missing(const struct preset_layout *layout, const struct str *header,
                            size_t count)
{
    size_t missing = 0;
    bool twice;
    for (size_t i = 0; i < layout->column_count; i++) {
        missing += find_column(layout->columns[i], header, count, &twice) == count;
    }
    return missing;
}

/* Appends the missing columns, each with the column of the header that may be meant. */
static void put_missing(struct buf *out, const struct preset_layout *layout,
                        const struct str *header, size_t count)
{
    char **names = mem_alloc((count + 1) * sizeof *names);
    const char *comma = "";
    bool twice;
    for (size_t i = 0; i < count; i++) {
        names[i] = mem_strndup(header[i].ptr ? header[i].ptr : "", header[i].len);
    }
    for (size_t i = 0; i < layout->column_count; i++) {
        struct str name = layout->columns[i];
        if (find_column(name, header, count, &twice) != count) {
            continue;
        }
        const char *near = str_nearest(name, (const char *const *)names, count);
        buf_printf(out, "%s%.*s", comma, STR_FORMAT(name));
        if (near) {
            buf_printf(out, " (is \"%.60s\" meant?)", near);
        }
        comma = ", ";
    }
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

static enum kol_status fail_no_layout(const struct preset *preset, const struct str *header,
                                      size_t count, struct kol_error *err)
{
    const struct preset_layout *nearest = &preset->layouts[0];
    size_t least = count_missing(nearest, header, count);
    for (size_t i = 1; i < preset->layout_count; i++) {
        size_t missing = count_missing(&preset->layouts[i], header, count);
        if (missing < least) {
            nearest = &preset->layouts[i];
            least = missing;
        }
    }
    struct buf missing = {0};
    put_missing(&missing, nearest, header, count);
    enum kol_status status =
        kol_fail(err, KOL_INVALID,
                 "the header fits no layout of preset %.*s; nearest is %.*s, which also needs: %s",
                 STR_FORMAT(preset->name), STR_FORMAT(nearest->name), missing.ptr);
    buf_free(&missing);
    return status;
}

enum kol_status preset_pick(const struct preset *preset, const struct str *header, size_t count,
                            const struct preset_layout **layout, size_t **places,
                            struct kol_error *err)
{
    const struct preset_layout *found = NULL;
    KOL_ASSERT(preset->layouts && header); /* the preset is of CSV */
    *places = NULL;
    for (size_t i = 0; i < preset->layout_count && !found; i++) {
        if (count_missing(&preset->layouts[i], header, count) == 0) {
            found = &preset->layouts[i];
        }
    }
    if (!found) {
        return fail_no_layout(preset, header, count, err);
    }
    size_t *indices = mem_alloc((found->column_count + 1) * sizeof *indices);
    for (size_t i = 0; i < found->column_count; i++) {
        bool twice = false;
        indices[i] = find_column(found->columns[i], header, count, &twice);
        if (twice) {
            free(indices);
            return kol_fail(err, KOL_INVALID, "the header has column \"%.*s\" twice",
                            STR_FORMAT(found->columns[i]));
        }
    }
    *layout = found;
    *places = indices;
    return KOL_OK;
}
