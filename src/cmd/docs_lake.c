/* docs_lake.c: the page on the lake: how it is read, then every table from its
 * declaration. */
#include <string.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "cmd/docs.h"
#include "lake/report.h"

extern const struct embedded_file embedded_docs[];
extern const size_t embedded_docs_count;

enum kol_status docs_lake(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    size_t count;
    const char *space = "";
    const struct lake_table *tables = lake_tables(&count);
    (void)call, (void)err;
    for (size_t i = 0; i < embedded_docs_count; i++) {
        if (strcmp(embedded_docs[i].name, "lake") == 0) {
            buf_puts(out, (const char *)embedded_docs[i].bytes);
        }
    }
    buf_puts(out, "\n# The tables\n\nA `?` behind a column means that it may be "
                  "null: unknown.\n\n");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(space, tables[i].name_space) != 0) {
            space = tables[i].name_space;
            buf_printf(out, "## %s\n\n", space);
        }
        lake_describe(out, &tables[i]);
    }
    return KOL_OK;
}
