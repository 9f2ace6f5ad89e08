/*
 * docs.h: pages of the reference, each printed from the table that the program itself runs on.
 *
 * docs/<page>.md are these pages as files; a test compares them, so neither can go its own way.
 */
#ifndef CMD_DOCS_H
#define CMD_DOCS_H

#include "base/error.h"
#include "base/str.h"
#include "cmd/command.h"

/* One page: appends its text. */
typedef enum kol_status (*docs_page)(struct buf *out, const struct invocation *call,
                                     struct kol_error *err);

enum kol_status docs_api(struct buf *out, const struct invocation *call, struct kol_error *err);
enum kol_status docs_cache(struct buf *out, const struct invocation *call, struct kol_error *err);
enum kol_status docs_events(struct buf *out, const struct invocation *call, struct kol_error *err);
enum kol_status docs_lake(struct buf *out, const struct invocation *call, struct kol_error *err);
enum kol_status docs_presets(struct buf *out, const struct invocation *call, struct kol_error *err);
enum kol_status docs_scores(struct buf *out, const struct invocation *call, struct kol_error *err);
enum kol_status docs_man(struct buf *out, const struct invocation *call, struct kol_error *err);
enum kol_status docs_bash(struct buf *out, const struct invocation *call, struct kol_error *err);
enum kol_status docs_zsh(struct buf *out, const struct invocation *call, struct kol_error *err);

/* The section on the problems of the API, with an anchor for each code. */
void docs_put_problems(struct buf *out);

/* "INT 1..65535", "one of a b", as tables show what a value may be. */
void docs_put_kind(struct buf *out, const struct config_option *option);

/* "whole number, 1 to 100": what a parameter or a member of JSON may be; schemas are explained on
 * `page` ("": the same). */
struct http_field;
void docs_put_value(struct buf *out, const struct http_field *field, const char *page);

/* Appends `text` as a cell of a Markdown table: '|' escaped, nothing for NULL. */
void docs_put_cell(struct buf *out, const char *text);

#endif
