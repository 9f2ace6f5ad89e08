/* docs_cache.c: the page on the keys in Redis, from the tables of serve/ and the schemas of the
 * API.
 */
#include <string.h>

#include "api/api.h"
#include "base/mem.h"
#include "cmd/docs.h"
#include "serve/acl.h"
#include "serve/keys.h"
#include "serve/warm.h"

static const char *const type_names[] = {
    [SERVE_HASH] = "HASH", [SERVE_STRING] = "STRING", [SERVE_ZSET] = "ZSET", [SERVE_LIST] = "LIST"};

static const char head[] =
    "# Keys in Redis\n\n"
    "What kol keeps in Redis is there for other programs too: they read it with the commands of "
    "its type, and what they write in the same shapes kol reads. Redis is never the only place of "
    "what the lake knows: `kol warm` makes it anew.\n\n"
    "- A value is text: `true` and `false`, times in RFC 3339 (UTC), numbers in their shortest "
    "exact form, lists and objects as JSON. What is unknown (null) is a field that is not there. "
    "Fields that a reader does not know it leaves alone.\n"
    "- Where a key names no platform, it is that of the KOL with most followers, or the content "
    "with most views, of all who share the id.\n"
    "- Every key has a TTL, which is set in the same step as its value.\n"
    "- What kol writes out of the lake says in `snapshot` which online copy it is of, and in "
    "`cached_at` when it was written; what a program writes between two snapshots says in "
    "`event_time` when it came to be, and in `version` that it is newer: kol replaces a value "
    "only by one of a greater `version`, or of the same and a greater `snapshot`. Versions and "
    "snapshots are whole numbers up to 2^53.\n"
    "- A ZSET has a sibling, a HASH under the same key in braces and `:meta` behind it "
    "(`{kol:top:followers:tiktok:100}:meta`), with `snapshot`, `as_of`, `cached_at` and "
    "`members`. Both are replaced in one step. Members over the platform `all` are `platform:id`, "
    "else ids.\n"
    "- Another type under a key, a value that is not what its field says, or one that is too "
    "large is taken for missing and written anew; it is never an error.\n\n"
    "```python\n"
    "import redis\n\n"
    "r = redis.Redis(decode_responses=True)\n"
    "r.hgetall('kol:profile:tiktok:ana')                                  # a profile\n"
    "r.zrevrange('kol:top:followers:tiktok:100', 0, 9, withscores=True)   # ten of the top list\n"
    "r.hget('{kol:top:followers:tiktok:100}:meta', 'snapshot')            # what it is of\n"
    "r.zrangebylex('search:autocomplete', '[an', '[an\\xff', 0, 20)          # names that "
    "begin so\n"
    "```\n\n";

/* The schema that the fields of a kind begin with, or NULL. */
static const struct http_schema *schema_of(const struct serve_key_kind *kind)
{
    const struct http_app *app = api_app(NULL);
    struct str rest = str_of(kind->fields), name = str_cut(&rest, ' ');
    for (size_t i = 0; i < app->schema_count && name.len; i++) {
        if (str_is(name, app->schemas[i].name)) {
            return &app->schemas[i];
        }
    }
    return NULL;
}

static void put_key_row(struct buf *out, const struct serve_key_kind *kind)
{
    const struct http_schema *schema = schema_of(kind);
    buf_puts(out, "| `");
    docs_put_cell(out, kind->pattern);
    buf_printf(out, "` | %s | ", type_names[kind->type]);
    if (kind->ttl_s) {
        buf_printf(out, "%d", kind->ttl_s);
    } else {
        buf_puts(out, "its own");
    }
    buf_puts(out, " | ");
    docs_put_cell(out, kind->holds);
    buf_puts(out, " | ");
    if (schema) {
        buf_printf(out, "[%s](#%s)", schema->name, schema->name);
    }
    buf_printf(out, " | %s | %s |\n", kind->writers, kind->readers);
}

static void put_fields(struct buf *out, const struct serve_key_kind *kind)
{
    const struct http_schema *schema = schema_of(kind);
    struct str rest = str_of(kind->fields);
    (void)str_cut(&rest, ' ');
    buf_printf(out, "### <a id=\"%s\"></a>%s\n\n", schema->name, schema->name);
    docs_put_cell(out, schema->help);
    buf_puts(out, ".\n\n| field | value | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct http_field *field = &schema->fields[i];
        buf_printf(out, "| `%s`%s | ", field->name,
                   field->required && !field->nullable ? "" : " ?");
        docs_put_value(out, field, "api.md");
        buf_puts(out, " | ");
        docs_put_cell(out, field->help);
        buf_puts(out, " |\n");
    }
    buf_puts(out, "\nBeside these: `snapshot`");
    while (rest.len) {
        const struct str word = str_cut(&rest, ' ');
        buf_printf(out, ", `%.*s`", STR_FORMAT(word));
    }
    buf_puts(out, ".\n\n");
}

static void put_all_fields(struct buf *out)
{
    buf_puts(out, "\n## Fields\n\nA `?` behind a field means that it may be missing: unknown.\n\n");
    for (size_t i = 0; i < SERVE_KEYS; i++) {
        bool first = schema_of(&serve_keys[i]) != NULL;
        for (size_t k = 0; k < i; k++) {
            first &= strcmp(serve_keys[k].fields, serve_keys[i].fields) != 0;
        }
        if (first) {
            put_fields(out, &serve_keys[i]);
        }
    }
}

static void put_metadata(struct buf *out)
{
    buf_printf(out,
               "### %s\n\nOf the last warm that came to its end, or to the end of the room:\n\n"
               "| field | meaning |\n|---|---|\n"
               "| `last_warm` | when it ended |\n"
               "| `version` | of the program that did it |\n"
               "| `snapshot` | the number of the online copy that all of it is of |\n"
               "| `as_of` ? | the time up to which events are in that copy |\n",
               serve_keys[SERVE_KEY_METADATA].pattern);
    for (size_t i = 0; i < WARM_PARTS; i++) {
        buf_printf(out,
                   "| `keys_%s` ? | how many keys of this part; missing where it was left "
                   "aside |\n",
                   warm_part_names[i]);
    }
    buf_puts(out, "| `left_out` | keys that there was no room for, or beyond its limit |\n"
                  "| `seconds` | how long it took |\n\n");
}

static void put_channel(struct buf *out)
{
    buf_printf(
        out,
        "## Telling all processes\n\n"
        "Who writes or deletes a key needs to tell nobody: each server is told by Redis (client "
        "tracking) and forgets what it made of the key. A message on the channel `%s` makes all "
        "servers forget more than that:\n\n"
        "| message | what is forgotten |\n|---|---|\n"
        "| `key K` | answers made from the key K |\n"
        "| `prefix P` | answers made from keys that begin with P |\n"
        "| `tag T` | answers that carry the tag T (`kol:tiktok:ana`) |\n"
        "| `all` | all answers |\n\n"
        "`kol cache purge` does that, and takes the keys out of Redis before.\n\n",
        SERVE_CHANNEL);
}

static void put_acl(struct buf *out)
{
    buf_puts(out, "## A user of its own\n\n"
                  "This is all that kol needs to be allowed, for `redis-cli` or, without the first "
                  "two words' `ACL SETUSER` as `user`, for the ACL file:\n\n```\n");
    serve_put_acl(out, "kol", "PASSWORD");
    buf_puts(out, "\n```\n\nWithout `restore` hashes are written field by field, which takes Redis "
                  "more time; without `info` a warm does not know how full Redis is. Programs that "
                  "only read need `~kol:* ~content:* ~stats:* ~search:autocomplete +@read`.\n");
}

enum kol_status docs_cache(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    (void)call, (void)err;
    buf_puts(out, head);
    buf_puts(out, "## Keys\n\n"
                  "| key | type | TTL, s | holds | fields | written by | read by |\n"
                  "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < SERVE_KEYS; i++) {
        put_key_row(out, &serve_keys[i]);
    }
    put_all_fields(out);
    put_metadata(out);
    put_channel(out);
    put_acl(out);
    return KOL_OK;
}
