/* info.c: meta.json: what a copy is of, and how its records are laid out. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "online/parts.h"

enum { MAX_META = 4 << 20, MAX_SNAPSHOTS = 10000 };

const char *const online_kind_names[ONLINE_KINDS] = {"kol", "content"};

static const char *const type_names[] = {
    [ONLINE_BOOL] = "bool", [ONLINE_INT] = "int",     [ONLINE_REAL] = "real",
    [ONLINE_TEXT] = "text", [ONLINE_TEXTS] = "texts",
};

/* ---- writing ---- */

static void put_columns(struct buf *out, const struct online_layout *layout)
{
    for (size_t i = 0; i < layout->count; i++) {
        const struct online_column *column = &layout->columns[i];
        buf_puts(out, i ? ",\n    {\"name\": " : "\n    {\"name\": ");
        text_put_json(out, str_of(column->name));
        buf_puts(out, ", \"type\": ");
        text_put_json(out, str_of(column->declared));
        buf_printf(out, ", \"kept\": \"%s\"}", type_names[column->type]);
    }
}

enum kol_status online_meta_write(const char *folder, const struct online_meta *meta,
                                  struct kol_error *err)
{
    const struct online_info *info = &meta->info;
    struct buf out = {0};
    buf_printf(&out, "{\n\"format\": %d,\n\"number\": %lld,\n\"run\": ", ONLINE_FORMAT,
               (long long)info->number);
    text_put_json(&out, str_of(info->run_id));
    buf_printf(&out,
               ",\n\"built_us\": %lld,\n\"as_of_us\": %lld,\n\"kols\": %lld,\n\"contents\": %lld,"
               "\n\"snapshots\": {",
               (long long)info->built_us, (long long)info->as_of_us, (long long)info->kols,
               (long long)info->contents);
    for (size_t i = 0; i < info->snapshot_count; i++) {
        buf_puts(&out, i ? ",\n    " : "\n    ");
        text_put_json(&out, str_of(info->snapshots[i].table));
        buf_printf(&out, ": %lld", (long long)info->snapshots[i].snapshot_id);
    }
    buf_puts(&out, "},\n\"columns\": {");
    for (int kind = 0; kind < ONLINE_KINDS; kind++) {
        buf_printf(&out, "%s\n  \"%s\": [", kind ? "," : "", online_kind_names[kind]);
        put_columns(&out, &meta->layouts[kind]);
        buf_putc(&out, ']');
    }
    buf_puts(&out, "}\n}\n");
    char *path = file_join(folder, "meta.json");
    enum kol_status status = file_replace(path, buf_str(&out), err);
    free(path);
    buf_free(&out);
    return status;
}

/* ---- reading ---- */

static const char *copy_text(struct arena *arena, const json_t *value)
{
    return arena_copy(arena, (struct str){json_string_value(value), json_string_length(value)}).ptr;
}

static bool read_number(const json_t *root, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(root, name);
    *out = json_integer_value(value);
    return json_is_integer(value);
}

static bool read_snapshots(json_t *object, struct online_meta *out)
{
    struct online_info *info = &out->info;
    const char *table;
    json_t *id;
    if (!json_is_object(object) || json_object_size(object) > MAX_SNAPSHOTS) {
        return false;
    }
    info->snapshots = arena_alloc(&out->arena, json_object_size(object) * sizeof *info->snapshots);
    json_object_foreach(object, table, id)
    {
        if (!json_is_integer(id)) {
            return false;
        }
        info->snapshots[info->snapshot_count++] = (struct online_snapshot){
            arena_copy(&out->arena, str_of(table)).ptr, json_integer_value(id)};
    }
    return true;
}

static bool read_column(const json_t *object, struct arena *arena, struct online_column *out)
{
    const json_t *name = json_object_get(object, "name"), *type = json_object_get(object, "type"),
                 *kept = json_object_get(object, "kept");
    if (!json_is_string(name) || !json_is_string(type) || !json_is_string(kept)) {
        return false;
    }
    out->name = copy_text(arena, name);
    out->declared = copy_text(arena, type);
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
        if (!strcmp(type_names[i], json_string_value(kept))) {
            out->type = (enum online_type)i;
            return true;
        }
    }
    return false;
}

static bool read_layout(const json_t *array, struct arena *arena, struct online_layout *out)
{
    const size_t count = json_array_size(array);
    if (!json_is_array(array) || count == 0 || count > ONLINE_MAX_COLUMNS) {
        return false;
    }
    struct online_column *columns = arena_alloc(arena, count * sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        if (!read_column(json_array_get(array, i), arena, &columns[i])) {
            return false;
        }
    }
    record_layout_init(out, columns, count);
    return true;
}

static bool read_all(json_t *root, struct online_meta *out)
{
    struct online_info *info = &out->info;
    const json_t *run = json_object_get(root, "run"), *columns = json_object_get(root, "columns");
    bool good = json_is_string(run) && read_number(root, "number", &info->number) &&
                read_number(root, "built_us", &info->built_us) &&
                read_number(root, "as_of_us", &info->as_of_us) &&
                read_number(root, "kols", &info->kols) &&
                read_number(root, "contents", &info->contents) &&
                read_snapshots(json_object_get(root, "snapshots"), out);
    for (int kind = 0; good && kind < ONLINE_KINDS; kind++) {
        good = read_layout(json_object_get(columns, online_kind_names[kind]), &out->arena,
                           &out->layouts[kind]);
    }
    if (good) {
        info->run_id = copy_text(&out->arena, run);
    }
    return good;
}

enum kol_status online_meta_parse(struct str json, const char *path, struct online_meta *out,
                                  struct kol_error *err)
{
    int64_t format = 0;
    enum kol_status status = KOL_OK;
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    *out = (struct online_meta){0};
    arena_init(&out->arena, 0);
    if (root && read_number(root, "format", &format) && format != ONLINE_FORMAT) {
        status = kol_fail(err, KOL_UNSUPPORTED,
                          "%s has format %lld, made by another kol; `kol online build` makes the "
                          "copy again",
                          path, (long long)format);
    } else if (!root || format != ONLINE_FORMAT || !read_all(root, out)) {
        status = kol_fail(err, KOL_CORRUPT,
                          "%s is damaged; `kol online build --force` makes the copy again", path);
    }
    json_decref(root);
    if (status != KOL_OK) {
        online_meta_free(out);
    }
    return status;
}

enum kol_status online_meta_read(const char *folder, struct online_meta *out, struct kol_error *err)
{
    struct buf text = {0};
    char *path = file_join(folder, "meta.json");
    enum kol_status status = file_read(path, MAX_META, &text, err);
    if (status == KOL_OK) {
        status = online_meta_parse(buf_str(&text), path, out, err);
    }
    free(path);
    buf_free(&text);
    return status;
}

void online_meta_free(struct online_meta *meta)
{
    arena_free(&meta->arena);
}
