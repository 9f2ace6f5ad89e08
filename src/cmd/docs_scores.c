/*
 * docs_scores.c: the page on the scores: its text by hand, the features from their table.
 *
 * A line "<!-- features of trust -->" of the text stands for the table of that score.
 */
#include <string.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "cmd/docs.h"
#include "score/features.h"

extern const struct embedded_file embedded_docs[];
extern const size_t embedded_docs_count;

static void put_features(struct buf *out, const struct score_feature *features, size_t count)
{
    buf_puts(out, "| # | feature | formula | unit | what it says |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "| %zu | `%s` | %s | ", i, features[i].name,
                   *features[i].formula ? features[i].formula : "as it is");
        docs_put_cell(out, features[i].unit);
        buf_puts(out, " | ");
        docs_put_cell(out, features[i].doc);
        buf_puts(out, " |\n");
    }
}

enum kol_status docs_scores(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    struct str text = {NULL, 0};
    (void)call, (void)err;
    for (size_t i = 0; i < embedded_docs_count; i++) {
        if (strcmp(embedded_docs[i].name, "scores") == 0) {
            text = str_of((const char *)embedded_docs[i].bytes);
        }
    }
    while (text.len) {
        const struct str line = str_cut(&text, '\n');
        if (str_is(line, "<!-- features of trust -->")) {
            put_features(out, trust_feature_table, TRUST_FEATURES);
        } else if (str_is(line, "<!-- features of success -->")) {
            put_features(out, success_feature_table, SUCCESS_FEATURES);
        } else {
            buf_put(out, line);
            buf_putc(out, '\n');
        }
    }
    return KOL_OK;
}
