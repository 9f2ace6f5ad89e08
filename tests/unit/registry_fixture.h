/*
 * registry_fixture.h: small models made as text, and a data folder for each test.
 *
 * Version n of a made model answers the same for every row: each of its trees adds n, so that the
 * raw score tells which version it came from, and a mix of two would be no multiple.
 */
#ifndef REGISTRY_FIXTURE_H
#define REGISTRY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "registry/registry.h"

enum { MADE_TREES = 7 };

static struct kol_error err;
static char folder[64];

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != KOL_OK) {                                                                    \
            fail_msg("%s: %s", #call, err.message);                                                \
        }                                                                                          \
    } while (0)

static inline int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kol-registry-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static inline int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static inline void put_tree(struct buf *trees, struct buf *sizes, int number, double value)
{
    size_t start = trees->len;
    buf_printf(trees,
               "Tree=%d\nnum_leaves=2\nnum_cat=0\nsplit_feature=%d\nsplit_gain=1\nthreshold=5.5\n"
               "decision_type=10\nleft_child=-1\nright_child=-2\nleaf_value=%.17g %.17g\n"
               "leaf_weight=10 30\nleaf_count=10 30\ninternal_value=0\ninternal_weight=40\n"
               "internal_count=40\nis_linear=0\nshrinkage=1\n\n\n",
               number, number % 5, value, value);
    buf_printf(sizes, "%s%zu", number ? " " : "", trees->len - start);
}

/* A LightGBM text model over the features of the kind, of which each tree adds `value`. */
static inline struct buf make_model(enum score_kind kind, double value)
{
    bool trust = kind == SCORE_TRUST;
    size_t count = trust ? (size_t)TRUST_FEATURES : (size_t)SUCCESS_FEATURES;
    const char *const *names = trust ? trust_feature_names : success_feature_names;
    struct buf text = {0}, trees = {0}, sizes = {0};
    for (int i = 0; i < MADE_TREES; i++) {
        put_tree(&trees, &sizes, i, value);
    }
    buf_printf(&text,
               "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
               "max_feature_idx=%zu\nobjective=binary sigmoid:1\nfeature_names=",
               count - 1);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text, "%s%s", i ? " " : "", names[i]);
    }
    buf_puts(&text, "\nfeature_infos=");
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text, "%s[0:10]", i ? " " : "");
    }
    buf_printf(&text,
               "\ntree_sizes=%s\n\n%send of trees\n\nfeature_importances:\n\nparameters:\n"
               "end of parameters\n\npandas_categorical:[]\n",
               sizes.ptr, trees.ptr);
    buf_free(&trees);
    buf_free(&sizes);
    return text;
}

static inline struct registry *open_registry(void)
{
    struct registry *registry;
    assert_ok(registry_open(&(struct registry_options){.data = folder}, &registry, &err));
    return registry;
}

/* Adds a model that answers `value`; `version` gets its number. */
static inline enum kol_status add_model(struct registry *registry, enum score_kind kind,
                                        double value, char version[32])
{
    struct buf text = make_model(kind, value);
    const struct registry_file files[] = {{"model.txt", buf_str(&text)},
                                          {"metadata.json", STR("{\"note\": \"made\"}")}};
    enum kol_status status = registry_add(registry, score_kind_name(kind), "trained", files,
                                          ARRAY_LEN(files), version, &err);
    buf_free(&text);
    return status;
}

#endif
