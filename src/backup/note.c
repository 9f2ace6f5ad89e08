/*
 * note.c: backup.json: what is in a backup, and that it is complete.
 *
 * For people and other programs too, so names are plain and times are RFC 3339.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "backup/parts.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

void backup_note_init(struct backup_note *note)
{
    *note = (struct backup_note){.format = BACKUP_FORMAT};
    arena_init(&note->arena, 0);
}

void backup_note_free(struct backup_note *note)
{
    arena_free(&note->arena);
    backup_names_free(&note->names);
    free(note->tables);
    free(note->places);
    *note = (struct backup_note){0};
}

struct backup_note_table *backup_note_add_table(struct backup_note *note, const char *name)
{
    if (note->table_count == note->table_room) {
        note->table_room = note->table_room ? note->table_room * 2 : 64;
        note->tables = mem_realloc(note->tables, note->table_room * sizeof *note->tables);
    }
    struct backup_note_table *table = &note->tables[note->table_count++];
    *table = (struct backup_note_table){.name = arena_copy(&note->arena, str_of(name)).ptr,
                                        .snapshot_id = -1};
    return table;
}

void backup_note_add_place(struct backup_note *note, const char *topic, int32_t partition,
                           int64_t start, int64_t end)
{
    if (note->place_count == note->place_room) {
        note->place_room = note->place_room ? note->place_room * 2 : 64;
        note->places = mem_realloc(note->places, note->place_room * sizeof *note->places);
    }
    note->places[note->place_count++] = (struct backup_note_place){
        arena_copy(&note->arena, str_of(topic)).ptr, partition, start, end};
}

/* ---- writing ---- */

static json_t *part_json(const struct backup_part *part)
{
    return json_pack("{s:I, s:I}", "files", (json_int_t)part->files, "bytes",
                     (json_int_t)part->bytes);
}

static json_t *tables_json(const struct backup_note *note)
{
    json_t *array = json_array();
    for (size_t i = 0; i < note->table_count; i++) {
        const struct backup_note_table *table = &note->tables[i];
        json_t *item = json_pack(
            "{s:s, s:o, s:I, s:I}", "table", table->name, "snapshot_id",
            table->snapshot_id == -1 ? json_null() : json_integer((json_int_t)table->snapshot_id),
            "files", (json_int_t)table->files, "bytes", (json_int_t)table->bytes);
        if (table->left_out) {
            json_object_set_new(item, "left_out", json_string(table->left_out));
        }
        json_array_append_new(array, item);
    }
    return array;
}

static json_t *places_json(const struct backup_note *note)
{
    json_t *array = json_array();
    for (size_t i = 0; i < note->place_count; i++) {
        const struct backup_note_place *place = &note->places[i];
        json_array_append_new(array,
                              json_pack("{s:s, s:i, s:I, s:I}", "topic", place->topic, "partition",
                                        (int)place->partition, "start", (json_int_t)place->start,
                                        "end", (json_int_t)place->end));
    }
    return array;
}

static json_t *names_json(const struct backup_note *note)
{
    json_t *array = json_array();
    for (size_t i = 0; i < note->names.count; i++) {
        json_array_append_new(array, json_string(note->names.items[i]));
    }
    return array;
}

static json_t *note_json(const struct backup_note *note)
{
    struct buf time = {0};
    clock_format(&time, note->made_us);
    json_t *root =
        json_pack("{s:I, s:s, s:s, s:s, s:s}", "format", (json_int_t)note->format, "id", note->id,
                  "program", note->program, "made_at", time.ptr, "source", note->source);
    json_object_set_new(root, "lake", part_json(&note->lake));
    json_object_set_new(root, "log", part_json(&note->log));
    json_object_set_new(root, "live", part_json(&note->live));
    json_object_set_new(root, "files", part_json(&note->files));
    json_object_set_new(root, "tables", tables_json(note));
    json_object_set_new(root, "partitions", places_json(note));
    json_object_set_new(root, "names", names_json(note));
    buf_free(&time);
    return root;
}

enum kol_status backup_note_write(const struct backup_note *note, const char *folder,
                                  struct kol_error *err)
{
    char *path = file_join(folder, BACKUP_NOTE);
    json_t *root = note_json(note);
    char *text = json_dumps(root, JSON_INDENT(1));
    enum kol_status status =
        text ? file_replace(path, str_of(text), err)
             : kol_fail(err, KOL_INVALID, "%s: a name in %s is no UTF-8 text", path, note->source);
    free(text);
    json_decref(root);
    free(path);
    return status;
}

/* ---- reading ---- */

static const char *text_of(struct backup_note *note, const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));
    return text ? arena_copy(&note->arena, str_of(text)).ptr : NULL;
}

static bool read_part(const json_t *root, const char *key, struct backup_part *part)
{
    const json_t *item = json_object_get(root, key);
    const json_t *files = json_object_get(item, "files"), *bytes = json_object_get(item, "bytes");
    part->files = json_integer_value(files);
    part->bytes = json_integer_value(bytes);
    return json_is_integer(files) && json_is_integer(bytes);
}

static void read_tables(struct backup_note *note, const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        const char *name = json_string_value(json_object_get(item, "table"));
        struct backup_note_table *table = backup_note_add_table(note, name ? name : "?");
        table->files = json_integer_value(json_object_get(item, "files"));
        table->bytes = json_integer_value(json_object_get(item, "bytes"));
        table->left_out = text_of(note, item, "left_out");
    }
}

/* A name leads nowhere but into the folder. */
static bool is_inside(const char *name)
{
    struct str rest = str_of(name);
    bool inside = name[0] != '\0';
    while (inside && rest.ptr) {
        struct str step = str_cut(&rest, '/');
        inside = step.len && !str_is(step, "..") && !str_is(step, ".");
    }
    return inside;
}

static bool read_names(struct backup_note *note, const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *name = json_string_value(json_array_get(array, i));
        if (!name || !is_inside(name)) {
            return false;
        }
        backup_names_add(&note->names, str_of(name));
    }
    return json_is_array(array);
}

static enum kol_status read_root(struct backup_note *note, const json_t *root, const char *path,
                                 struct kol_error *err)
{
    const json_t *format = json_object_get(root, "format");
    note->format = json_integer_value(format);
    if (json_is_integer(format) && note->format > BACKUP_FORMAT) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "%s: has format %lld, made by a newer kol; this one reads up to %d", path,
                        (long long)note->format, BACKUP_FORMAT);
    }
    note->id = text_of(note, root, "id");
    note->program = text_of(note, root, "program");
    note->source = text_of(note, root, "source");
    const char *made = json_string_value(json_object_get(root, "made_at"));
    bool good = note->format == BACKUP_FORMAT && note->id && note->program && note->source &&
                made && clock_parse(str_of(made), &note->made_us) &&
                read_part(root, "lake", &note->lake) && read_part(root, "log", &note->log) &&
                read_part(root, "live", &note->live) && read_part(root, "files", &note->files) &&
                read_names(note, json_object_get(root, "names"));
    if (!good) {
        return kol_fail(err, KOL_CORRUPT, "%s: is not as kol wrote it; make the backup again",
                        path);
    }
    read_tables(note, json_object_get(root, "tables"));
    return KOL_OK;
}

enum kol_status backup_note_read(struct backup_note *note, const char *folder,
                                 struct kol_error *err)
{
    char *path = file_join(folder, BACKUP_NOTE), *unfinished = file_join(folder, BACKUP_UNFINISHED);
    struct buf text = {0};
    enum kol_status status;
    backup_note_init(note);
    if (!file_exists(path)) {
        status =
            file_exists(unfinished)
                ? kol_fail(err, KOL_NOT_FOUND,
                           "%s: the backup here was not finished; `kol backup` again "
                           "completes it",
                           folder)
                : kol_fail(err, KOL_NOT_FOUND, "%s: holds no backup (no %s)", folder, BACKUP_NOTE);
    } else {
        status = file_read(path, BACKUP_MAX_NOTE, &text, err);
    }
    if (status == KOL_OK) {
        json_t *root = json_loadb(text.ptr, text.len, 0, NULL);
        status = read_root(note, root, path, err);
        json_decref(root);
    }
    if (status != KOL_OK) {
        backup_note_free(note);
    }
    buf_free(&text);
    free(unfinished);
    free(path);
    return status;
}
