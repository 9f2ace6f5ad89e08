/* train_set.c: rows to learn from, as they come in, and which part each of them is in. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "registry/train.h"

static const char *const part_names[TRAIN_PARTS] = {"train", "validation", "test"};

const char *train_part_name(enum train_part part)
{
    return part_names[part];
}

void train_set_init(struct train_set *set, enum score_kind kind)
{
    *set = (struct train_set){.kind = kind};
    set->columns = kind == SCORE_TRUST ? TRUST_FEATURES : SUCCESS_FEATURES;
    arena_init(&set->arena, 0);
}

void train_set_free(struct train_set *set)
{
    free(set->features);
    free(set->labels);
    free(set->masked);
    free(set->parts);
    free(set->accounts);
    free(set->names);
    buf_free(&set->source);
    arena_free(&set->arena);
    *set = (struct train_set){0};
}

static void grow(struct train_set *set)
{
    set->row_cap = set->row_cap ? set->row_cap * 2 : 1024;
    size_t cap = set->row_cap;
    set->features = mem_realloc(set->features, cap * set->columns * sizeof *set->features);
    set->labels = mem_realloc(set->labels, cap);
    set->masked = mem_realloc(set->masked, cap);
    set->parts = mem_realloc(set->parts, cap);
    set->accounts = mem_realloc(set->accounts, cap * sizeof *set->accounts);
}

static uint32_t account_number(struct train_set *set, struct str name)
{
    if (set->account_count && str_equal(set->names[set->account_count - 1], name)) {
        return (uint32_t)set->account_count - 1;
    }
    if (set->account_count == set->name_cap) {
        set->name_cap = set->name_cap ? set->name_cap * 2 : 1024;
        set->names = mem_realloc(set->names, set->name_cap * sizeof *set->names);
    }
    set->names[set->account_count] = arena_copy(&set->arena, name);
    return (uint32_t)set->account_count++;
}

void train_set_add(struct train_set *set, struct str account, bool masked, uint8_t label,
                   enum train_part part, const double *features)
{
    if (set->rows == set->row_cap) {
        grow(set);
    }
    size_t row = set->rows++;
    memcpy(set->features + row * set->columns, features, set->columns * sizeof *features);
    set->labels[row] = label;
    set->masked[row] = masked;
    set->parts[row] = (uint8_t)part;
    set->accounts[row] = account_number(set, account);
}

/* ---- parts ---- */

enum { PERCENT_TEST = 15, PERCENT_VALIDATION = 15 };

struct ticket {
    uint64_t hash;
    uint32_t account;
};

static int by_hash(const void *left, const void *right)
{
    const struct ticket *a = left, *b = right;
    if (a->hash != b->hash) {
        return a->hash < b->hash ? -1 : 1;
    }
    return a->account < b->account ? -1 : a->account > b->account;
}

/* The tickets of the accounts whose first row has `label`, in order; returns how many. */
static size_t draw_tickets(const struct train_set *set, int64_t seed, uint8_t label,
                           struct ticket *out)
{
    struct buf text = {0};
    size_t count = 0;
    for (size_t row = 0; row < set->rows; row++) {
        uint32_t account = set->accounts[row];
        bool first = row == 0 || set->accounts[row - 1] != account;
        if (first && set->labels[row] == label) {
            buf_clear(&text);
            buf_put_int64(&text, seed);
            buf_putc(&text, '/');
            buf_put(&text, set->names[account]);
            out[count++] = (struct ticket){hash_checksum(buf_str(&text)), account};
        }
    }
    qsort(out, count, sizeof *out, by_hash);
    buf_free(&text);
    return count;
}

static void split_class(const struct train_set *set, int64_t seed, uint8_t label,
                        struct ticket *tickets, uint8_t *of_account)
{
    size_t count = draw_tickets(set, seed, label, tickets);
    size_t test = (count * PERCENT_TEST + 50) / 100;
    size_t validation = (count * PERCENT_VALIDATION + 50) / 100;
    for (size_t i = 0; i < count; i++) {
        of_account[tickets[i].account] = i < test                ? PART_TEST
                                         : i < test + validation ? PART_VALIDATION
                                                                 : PART_TRAIN;
    }
}

static void split_by_seed(const struct train_set *set, int64_t seed, uint8_t *parts)
{
    struct ticket *tickets = mem_alloc((set->account_count + 1) * sizeof *tickets);
    uint8_t *of_account = mem_zalloc(set->account_count + 1, 1);
    split_class(set, seed, 0, tickets, of_account);
    split_class(set, seed, 1, tickets, of_account);
    for (size_t row = 0; row < set->rows; row++) {
        parts[row] = of_account[set->accounts[row]];
    }
    free(of_account);
    free(tickets);
}

static enum kol_status take_given(const struct train_set *set, uint8_t *parts,
                                  struct kol_error *err)
{
    for (size_t row = 0; row < set->rows; row++) {
        struct str name = set->names[set->accounts[row]];
        if (set->parts[row] >= TRAIN_PARTS) {
            return kol_fail(err, KOL_INVALID, "%.*s is in no part, others are", STR_FORMAT(name));
        }
        if (row && set->accounts[row] == set->accounts[row - 1] &&
            set->parts[row] != set->parts[row - 1]) {
            return kol_fail(err, KOL_INVALID, "%.*s is in two parts, %s and %s", STR_FORMAT(name),
                            part_names[set->parts[row - 1]], part_names[set->parts[row]]);
        }
        parts[row] = set->parts[row];
    }
    return KOL_OK;
}

static enum kol_status check_parts(const struct train_set *set, const uint8_t *parts,
                                   struct kol_error *err)
{
    size_t found[TRAIN_PARTS][2] = {{0}};
    for (size_t row = 0; row < set->rows; row++) {
        found[parts[row]][set->labels[row]]++;
    }
    for (size_t part = 0; part < TRAIN_PARTS; part++) {
        for (int label = 0; label < 2; label++) {
            if (found[part][label] == 0) {
                return kol_fail(err, KOL_INVALID,
                                "the %s part has no row of class %d: %zu rows of %zu accounts are "
                                "too few, or of one class alone",
                                part_names[part], label, set->rows, set->account_count);
            }
        }
    }
    return KOL_OK;
}

enum kol_status train_split(const struct train_set *set, int64_t seed, uint8_t *parts,
                            struct kol_error *err)
{
    if (set->rows && set->parts[0] < TRAIN_PARTS) {
        enum kol_status status = take_given(set, parts, err);
        if (status != KOL_OK) {
            return status;
        }
    } else {
        split_by_seed(set, seed, parts);
    }
    return check_parts(set, parts, err);
}
