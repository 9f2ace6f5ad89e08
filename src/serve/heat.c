/*
 * heat.c: counts by key that halve over time, the hottest of which are known.
 *
 * Two counts that were taken at different times compare without a clock: a count u of the time t is
 * as hot as log2(u) + t / half, for what is half as much is as hot as what is one half-life older.
 * So the order never changes by time passing, and only what is added to is touched.
 *
 * The entries lie in one array, found through open addressing. Nothing is removed singly: when the
 * array is full the coldest eighth goes at once, and the cells are made anew.
 */
#include "serve/heat.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/text.h"

enum {
    DEFAULT_KEYS = 100000,
    LEAST_KEYS = 8, /* so that an eighth is one */
    MOST_KEYS = 100 * 1000 * 1000,
    KEY_MAX = 600, /* bytes */
    FILE_MAX = 1 << 28,
};

#define DEFAULT_HALF_US (6 * CLOCK_US_PER_HOUR)
#define MOST_USES 1e15
#define HEADER "kol-heat 1"

struct entry {
    char *key;
    size_t len;
    uint64_t hash;
    double uses; /* as of last_us */
    int64_t first_us, last_us;
};

struct heat {
    struct heat_options options;
    uint64_t seed;
    pthread_mutex_t lock; /* of what follows */
    struct entry *entries;
    size_t count;
    uint32_t *cells; /* place of an entry + 1; 0: free */
    size_t mask;
};

/* ---- making and ending ---- */

struct heat *heat_new(const struct heat_options *options)
{
    struct heat *heat = mem_zalloc(1, sizeof *heat);
    heat->options = *options;
    struct heat_options *own = &heat->options;
    own->keys = own->keys ? own->keys : DEFAULT_KEYS;
    own->keys = own->keys < LEAST_KEYS ? LEAST_KEYS : own->keys;
    own->keys = own->keys > MOST_KEYS ? MOST_KEYS : own->keys;
    own->half_us = own->half_us > 0 ? own->half_us : DEFAULT_HALF_US;
    random_fill(&heat->seed, sizeof heat->seed);
    size_t cells = 16;
    while (cells < own->keys * 2) {
        cells *= 2;
    }
    heat->mask = cells - 1;
    heat->cells = mem_zalloc(cells, sizeof *heat->cells);
    heat->entries = mem_zalloc(own->keys, sizeof *heat->entries);
    KOL_ASSERT(pthread_mutex_init(&heat->lock, NULL) == 0);
    return heat;
}

void heat_free(struct heat **heat)
{
    struct heat *old = *heat;
    if (!old) {
        return;
    }
    for (size_t i = 0; i < old->count; i++) {
        free(old->entries[i].key);
    }
    free(old->entries);
    free(old->cells);
    pthread_mutex_destroy(&old->lock);
    free(old);
    *heat = NULL;
}

static int64_t now_of(const struct heat *heat)
{
    return heat->options.now_us ? heat->options.now_us(heat->options.user) : clock_now_us();
}

/* The lock is no part of what is constant. */
static struct heat *lock(const struct heat *heat)
{
    struct heat *open = (struct heat *)(uintptr_t)heat;
    pthread_mutex_lock(&open->lock);
    return open;
}

/* ---- counting ---- */

/* What is left of a count after some time. */
static double decay(const struct heat *heat, double uses, int64_t elapsed_us)
{
    return elapsed_us <= 0 ? uses
                           : uses * exp2(-(double)elapsed_us / (double)heat->options.half_us);
}

static double rank_of(const struct heat *heat, const struct entry *entry)
{
    return log2(entry->uses) + (double)entry->last_us / (double)heat->options.half_us;
}

struct ranked {
    const struct entry *entry;
    double rank;
};

/* The hottest first; of equal ones those that were used last, then by their bytes. */
static int compare_ranked(const void *a_ptr, const void *b_ptr)
{
    const struct ranked *a = a_ptr, *b = b_ptr;
    if (a->rank != b->rank) {
        return a->rank > b->rank ? -1 : 1;
    }
    if (a->entry->last_us != b->entry->last_us) {
        return a->entry->last_us > b->entry->last_us ? -1 : 1;
    }
    return str_compare((struct str){a->entry->key, a->entry->len},
                       (struct str){b->entry->key, b->entry->len});
}

/* All entries in their order, in memory for free(). */
static struct ranked *rank_all(const struct heat *heat)
{
    struct ranked *ranked = mem_alloc((heat->count + 1) * sizeof *ranked);
    for (size_t i = 0; i < heat->count; i++) {
        ranked[i] = (struct ranked){&heat->entries[i], rank_of(heat, &heat->entries[i])};
    }
    if (heat->count) {
        qsort(ranked, heat->count, sizeof *ranked, compare_ranked);
    }
    return ranked;
}

static size_t free_cell(const struct heat *heat, uint64_t hash)
{
    size_t i = hash & heat->mask;
    while (heat->cells[i]) {
        i = (i + 1) & heat->mask;
    }
    return i;
}

static void drop_coldest(struct heat *heat)
{
    struct ranked *ranked = rank_all(heat);
    const size_t kept = heat->count - heat->count / 8;
    struct entry *entries = mem_zalloc(heat->options.keys, sizeof *entries);
    memset(heat->cells, 0, (heat->mask + 1) * sizeof *heat->cells);
    for (size_t i = 0; i < heat->count; i++) {
        if (i < kept) {
            entries[i] = *ranked[i].entry;
            heat->cells[free_cell(heat, entries[i].hash)] = (uint32_t)i + 1;
        } else {
            free(ranked[i].entry->key);
        }
    }
    free(ranked);
    free(heat->entries);
    heat->entries = entries;
    heat->count = kept;
}

static struct entry *find(const struct heat *heat, struct str key, uint64_t hash)
{
    for (size_t i = hash & heat->mask; heat->cells[i]; i = (i + 1) & heat->mask) {
        struct entry *entry = &heat->entries[heat->cells[i] - 1];
        if (entry->hash == hash && entry->len == key.len &&
            memcmp(entry->key, key.ptr, key.len) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* Adds uses of which the first was at one time and the last, to which they are decayed, at
 * another. Under the lock. */
static void add(struct heat *heat, struct str key, double uses, int64_t first_us, int64_t last_us)
{
    const uint64_t hash = hash_seeded(key, heat->seed);
    struct entry *entry = find(heat, key, hash);
    if (!entry) {
        if (heat->count == heat->options.keys) {
            drop_coldest(heat);
        }
        entry = &heat->entries[heat->count++];
        heat->cells[free_cell(heat, hash)] = (uint32_t)heat->count;
        *entry = (struct entry){.key = mem_strndup(key.ptr, key.len),
                                .len = key.len,
                                .hash = hash,
                                .first_us = first_us,
                                .last_us = last_us};
    }
    const int64_t now_us = entry->last_us > last_us ? entry->last_us : last_us;
    entry->uses =
        decay(heat, entry->uses, now_us - entry->last_us) + decay(heat, uses, now_us - last_us);
    entry->uses = entry->uses > MOST_USES ? MOST_USES : entry->uses;
    entry->first_us = first_us < entry->first_us ? first_us : entry->first_us;
    entry->last_us = now_us;
}

static bool is_key(struct str key)
{
    return key.len > 0 && key.len <= KEY_MAX;
}

static bool is_count(double uses)
{
    return uses >= 1e-30 && uses <= MOST_USES; /* and no NaN */
}

void heat_add(struct heat *heat, struct str key, double uses)
{
    if (is_key(key) && is_count(uses)) {
        const int64_t now_us = now_of(heat);
        lock(heat);
        add(heat, key, uses, now_us, now_us);
        pthread_mutex_unlock(&heat->lock);
    }
}

/* ---- what is hot ---- */

/*
 * The mean time between two uses, of what is known: uses that come at an even rate r from some time
 * on leave a count of r times the integral of 2^(-age / half) over that time. A key that was seen
 * once is taken for one that is seen once in the whole of that integral.
 */
static int64_t gap_of(const struct heat *heat, const struct entry *entry)
{
    const double life_us = (double)heat->options.half_us / M_LN2;
    const double age_us = (double)(entry->last_us - entry->first_us);
    const double window_us = age_us > 0 ? life_us * -expm1(-age_us / life_us) : life_us;
    const double gap_us = window_us / entry->uses;
    return gap_us < 1 ? 1 : gap_us > 1e15 ? (int64_t)1e15 : (int64_t)gap_us;
}

size_t heat_hottest(const struct heat *heat, size_t max, struct arena *arena, struct heat_key **out)
{
    const int64_t now_us = now_of(heat);
    struct heat *open = lock(heat);
    struct ranked *ranked = rank_all(open);
    const size_t count = open->count < max ? open->count : max;
    struct heat_key *keys = arena_alloc(arena, (count + 1) * sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = ranked[i].entry;
        keys[i] = (struct heat_key){
            .key = arena_copy(arena, (struct str){entry->key, entry->len}),
            .uses = decay(open, entry->uses, now_us - entry->last_us),
            .last_us = entry->last_us,
            .next_us = entry->last_us + gap_of(open, entry),
        };
    }
    pthread_mutex_unlock(&open->lock);
    free(ranked);
    *out = keys;
    return count;
}

/* ---- the file ---- */

/* The key with all that could end a line or a word percent-encoded. */
static void put_key(struct buf *out, const struct entry *entry)
{
    for (size_t i = 0; i < entry->len; i++) {
        const unsigned char c = (unsigned char)entry->key[i];
        if (c <= ' ' || c == '%' || c == 0x7f) {
            buf_printf(out, "%%%02x", c);
        } else {
            buf_putc(out, (char)c);
        }
    }
}

enum kol_status heat_save(const struct heat *heat, const char *path, struct kol_error *err)
{
    struct buf text = {0};
    buf_puts(&text, HEADER "\n");
    struct heat *open = lock(heat);
    struct ranked *ranked = rank_all(open);
    /* The hottest first: what cannot be read to its end has them. */
    for (size_t i = 0; i < open->count; i++) {
        const struct entry *entry = ranked[i].entry;
        buf_put_double(&text, entry->uses);
        buf_printf(&text, " %lld %lld ", (long long)entry->first_us, (long long)entry->last_us);
        put_key(&text, entry);
        buf_putc(&text, '\n');
    }
    pthread_mutex_unlock(&open->lock);
    free(ranked);
    const enum kol_status status = file_replace(path, buf_str(&text), err);
    buf_free(&text);
    return status;
}

static bool read_key(struct str text, struct buf *out)
{
    buf_clear(out);
    return text_put_percent_decoded(out, text) && is_key(buf_str(out));
}

static bool read_line(struct heat *heat, struct str line, int64_t now_us, struct buf *key)
{
    double uses;
    int64_t first_us, last_us;
    const struct str uses_text = str_cut(&line, ' ');
    const struct str first_text = str_cut(&line, ' ');
    const struct str last_text = str_cut(&line, ' ');
    if (!str_to_double(uses_text, &uses) || !is_count(uses) ||
        !str_to_int64(first_text, &first_us) || !str_to_int64(last_text, &last_us) ||
        first_us < 0 || first_us > last_us || !read_key(line, key)) {
        return false;
    }
    /* A clock that was set back must not make keys hot for ever. */
    last_us = last_us > now_us ? now_us : last_us;
    lock(heat);
    add(heat, buf_str(key), uses, first_us < last_us ? first_us : last_us, last_us);
    pthread_mutex_unlock(&heat->lock);
    return true;
}

enum kol_status heat_load(struct heat *heat, const char *path, struct kol_error *err)
{
    struct buf text = {0}, key = {0};
    int64_t number = 1;
    const int64_t now_us = now_of(heat);
    enum kol_status status = file_read(path, FILE_MAX, &text, err);
    struct str rest = buf_str(&text);
    if (status == KOL_OK && !str_is(str_cut(&rest, '\n'), HEADER)) {
        status = kol_fail(err, KOL_CORRUPT, "%s:1: this is no list of hot keys", path);
    }
    while (status == KOL_OK && rest.len) {
        const struct str line = str_cut(&rest, '\n');
        number++;
        /* A line that nothing ends was cut off, and may be the beginning of another key. */
        if (!rest.ptr || !read_line(heat, line, now_us, &key)) {
            status = kol_fail(err, KOL_CORRUPT,
                              "%s:%lld: not a count, two times and a key; remove the file to begin "
                              "anew",
                              path, (long long)number);
        }
    }
    buf_free(&text);
    buf_free(&key);
    return status;
}
