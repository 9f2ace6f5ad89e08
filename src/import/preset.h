/*
 * preset.h: what the columns of a data set mean, as data.
 *
 * A preset is a JSON file:
 *
 *   {"name": "my-set", "help": "...", "source": "where it comes from, under which licence",
 *    "format": "csv", "delimiter": ",",
 *    "layouts": [{"name": "profiles", "help": "...", "events": [
 *      {"type": "profile", "when": {"column": "followers", "not_empty": true}, "set": {
 *        "platform":   {"constant": "tiktok"},
 *        "username":   {"column": "user"},
 *        "event_time": {"column": "day", "transforms": ["date"]},
 *        "bio":        {"column": "about", "empty": "value",
 *                       "empty_when": {"column": "complete", "equals": "yes"}}}}]}]}
 *
 * The first layout whose columns are all in a file's header is the file's. An empty cell is unknown
 * unless the rule says "empty": "value", where `empty_when` may narrow that down. A field may have
 * a list of rules: the first whose `when` holds is taken. Format "ndjson" has no layouts: the lines
 * are events already.
 *
 * Everything is checked when it is loaded; a preset that loads makes no surprises later than at the
 * header of a file. A loaded preset is constant and may be shared by threads.
 */
#ifndef IMPORT_PRESET_H
#define IMPORT_PRESET_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "domain/event.h"
#include "import/transform.h"

enum preset_format { PRESET_CSV, PRESET_NDJSON };

enum preset_test { TEST_ALWAYS, TEST_EQUALS, TEST_CONTAINS, TEST_NOT_EMPTY, TEST_EMPTY };

struct preset_condition {
    enum preset_test test; /* TEST_ALWAYS: no condition was given */
    size_t column;         /* index in the layout's columns */
    struct str text;       /* of EQUALS and CONTAINS */
};

/* One way to a field's value. */
struct preset_rule {
    int field; /* index in event_fields() of the event's type */
    struct preset_condition when;
    bool is_constant;
    struct str constant;
    size_t column;       /* index in the layout's columns, where it is no constant */
    bool empty_is_value; /* an empty cell is a fact, where `empty_when` holds */
    struct preset_condition empty_when;
    const struct transform_step *steps;
    size_t step_count;
};

/* One event that a record gives. Rules of one field stand side by side, the best first. */
struct preset_event {
    enum event_type type;
    struct preset_condition when;
    const struct preset_rule *rules;
    size_t rule_count;
};

struct preset_layout {
    struct str name, help;
    struct str *columns; /* every column that the layout names, each once */
    size_t column_count;
    const struct preset_event *events;
    size_t event_count;
};

struct preset {
    struct str name, help, source;
    enum preset_format format;
    char delimiter;
    const struct preset_layout *layouts;
    size_t layout_count;
    struct str text;    /* the JSON that it was made from */
    struct arena arena; /* holds all of the above */
};

enum { PRESET_MAX_BYTES = 1 << 20, PRESET_MAX_LAYOUTS = 64, PRESET_MAX_EVENTS = 64 };

/* Reads a preset. `file` is named in messages: KOL_INVALID with "file: $.place: reason". */
enum kol_status preset_parse(struct str json, const char *file, struct preset **out,
                             struct kol_error *err) KOL_CHECKED;
void preset_free(struct preset **preset);

/*
 * Picks the layout for a header and finds its columns in it. `places` gets, for each column of the
 * layout, its index in the header; it is memory for free(). KOL_INVALID where none fits, with what
 * the nearest layout misses and the columns that may be meant.
 */
enum kol_status preset_pick(const struct preset *preset, const struct str *header, size_t count,
                            const struct preset_layout **layout, size_t **places,
                            struct kol_error *err) KOL_CHECKED;

/* ---- where presets are found ---- */

/* Loads a preset: a path (with a / or ending in .json), else NAME.json in `folder` (NULL: none),
 * else one that comes with the program. KOL_USAGE with the nearest name where there is none. */
enum kol_status preset_find(const char *name, const char *folder, struct preset **out,
                            struct kol_error *err) KOL_CHECKED;

/* Calls `each` for every preset by name; `origin` is its file, or "built in". One that is broken
 * ends the list with its error. */
enum kol_status preset_list(const char *folder,
                            void (*each)(const struct preset *preset, const char *origin,
                                         void *user),
                            void *user, struct kol_error *err) KOL_CHECKED;

/* ---- for people ---- */

const char *preset_format_name(enum preset_format format);

/* Appends where a rule takes its value from: `"twitter"`, `followers`, `tags (split "|")`. */
void preset_put_rule(struct buf *out, const struct preset_layout *layout,
                     const struct preset_rule *rule);

#endif
