/*
 * names.c: an index of folded names: all texts in one pool by popularity, and their places by
 * alphabet.
 *
 *     pool    name NUL id NUL [kol_id NUL]   name NUL id NUL ...   the most popular KOL first
 *     rows    where each of them begins, by popularity
 *     sorted  rank of a KOL x 2 + (1: its name, 0: its id), by text, equal texts by popularity
 *
 * What begins with a prefix is one run of `sorted`; the smallest numbers of the run are the most
 * popular of them. The best of long runs are noted when it is made. What holds a text anywhere is
 * found by running through the pool, which gives them by popularity.
 */
#include "api/names.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    NOTED_POINTS = 50,     /* prefixes of so many characters */
    NOTED_FROM = 4096,     /* whose runs are longer; a shorter one is looked at as a whole */
    BEST = 2 * NAMES_MOST, /* places: a KOL may be there by its name and by its id */
    NEAR_TEXT = 64,        /* bytes of a text that near ones are looked for */
    NEAR_EDITS = 2,        /* how far they may be */
    NEAR_RUN = NOTED_FROM, /* the longest run that is looked at as a whole for it */
    NEAR_FIRST = 3,        /* letters that are also tried as others */
    NEAR_AROUND = 4        /* places on either side of where an altered text would stand */
};

struct name_row {
    uint32_t at; /* in the pool: the name, then the id, then, where it differs, the kol_id */
    uint16_t name_len, id_len, key_len;
    int8_t platform;
};

/* The most popular of a long run, by number. */
struct noted {
    uint32_t from, to; /* the run */
    uint32_t best[BEST];
};

struct api_names {
    struct buf pool;
    struct name_row *rows;
    uint32_t count, room;
    uint32_t *sorted;
    uint32_t sorted_count;
    struct noted *noted; /* by `from`, then by `to`, the longer first */
    size_t noted_count;
};

struct run {
    uint32_t from, to;
};

const char *const names_match_words[NAMES_NOT] = {"exact", "prefix", "word", "part"};

struct api_names *api_names_new(void)
{
    return mem_zalloc(1, sizeof(struct api_names));
}

void api_names_free(void *value)
{
    struct api_names *names = value;
    if (!names) {
        return;
    }
    buf_free(&names->pool);
    free(names->rows);
    free(names->sorted);
    free(names->noted);
    free(names);
}

size_t api_names_count(const struct api_names *names)
{
    return names->count;
}

size_t api_names_bytes(const struct api_names *names)
{
    return sizeof *names + names->pool.cap + names->room * sizeof *names->rows +
           names->sorted_count * sizeof *names->sorted + names->noted_count * sizeof *names->noted;
}

/* ---- the texts of a row ---- */

static struct str name_of(const struct api_names *names, const struct name_row *row)
{
    return (struct str){names->pool.ptr + row->at, row->name_len};
}

static struct str id_of(const struct api_names *names, const struct name_row *row)
{
    return (struct str){names->pool.ptr + row->at + row->name_len + 1, row->id_len};
}

static struct str kol_id_of(const struct api_names *names, const struct name_row *row)
{
    struct str id = id_of(names, row);
    return row->key_len ? (struct str){id.ptr + id.len + 1, row->key_len} : id;
}

static struct str text_of(const struct api_names *names, uint32_t place)
{
    const struct name_row *row = &names->rows[place >> 1];
    return place & 1 ? name_of(names, row) : id_of(names, row);
}

/* ---- filling ---- */

static struct str cut(struct str text)
{
    return text.len > NAMES_TEXT ? (struct str){text.ptr, NAMES_TEXT} : text;
}

static void put_text(struct api_names *names, struct str text)
{
    buf_put(&names->pool, text);
    buf_putc(&names->pool, '\0');
}

bool api_names_add(struct api_names *names, int platform, struct str kol_id, struct str id_folded,
                   struct str name_folded)
{
    const struct str name = cut(name_folded), id = cut(id_folded);
    const bool same = str_equal(kol_id, id);
    if (kol_id.len > UINT16_MAX) {
        return true;
    }
    if (names->pool.len + name.len + id.len + kol_id.len + 3 > UINT32_MAX ||
        names->count > UINT32_MAX / 4) {
        return false;
    }
    if (names->count == names->room) {
        names->room = names->room ? names->room + names->room / 2 : 1024;
        names->rows = mem_realloc(names->rows, names->room * sizeof *names->rows);
    }
    names->rows[names->count++] = (struct name_row){
        .at = (uint32_t)names->pool.len,
        .name_len = (uint16_t)name.len,
        .id_len = (uint16_t)id.len,
        .key_len = same ? 0 : (uint16_t)kol_id.len,
        .platform = (int8_t)platform,
    };
    put_text(names, name);
    put_text(names, id);
    if (!same) {
        put_text(names, kol_id);
    }
    return true;
}

/* A place while it is sorted: its first bytes decide nearly always, without a look at the pool. */
struct sorting {
    uint64_t first, second;
    uint32_t place;
};

static int compare_sorting(const void *a_at, const void *b_at, void *user)
{
    const struct sorting *a = a_at, *b = b_at;
    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    if (a->second != b->second) {
        return a->second < b->second ? -1 : 1;
    }
    int order = str_compare(text_of(user, a->place), text_of(user, b->place));
    return order ? order : (a->place > b->place) - (a->place < b->place);
}

/* Eight bytes of a text as a number that sorts as they do. */
static uint64_t eight_bytes(struct str text, size_t from)
{
    uint64_t bytes = 0;
    for (size_t i = from; i < from + sizeof bytes; i++) {
        bytes = bytes << 8 | (i < text.len ? (unsigned char)text.ptr[i] : 0);
    }
    return bytes;
}

static void put_place(const struct api_names *names, uint32_t place, struct sorting *places,
                      uint32_t *count)
{
    const struct str text = text_of(names, place);
    if (!text.len) {
        return;
    }
    places[*count] = (struct sorting){eight_bytes(text, 0), eight_bytes(text, 8), place};
    ++*count;
}

static void sort_places(struct api_names *names)
{
    struct sorting *places = mem_alloc((2 * (size_t)names->count + 1) * sizeof *places);
    uint32_t count = 0;
    for (uint32_t rank = 0; rank < names->count; rank++) {
        const struct name_row *row = &names->rows[rank];
        put_place(names, rank << 1, places, &count);
        if (!str_equal(name_of(names, row), id_of(names, row))) {
            put_place(names, rank << 1 | 1, places, &count);
        }
    }
    qsort_r(places, count, sizeof *places, compare_sorting, names);
    names->sorted = mem_alloc((count + 1) * sizeof *names->sorted);
    names->sorted_count = count;
    for (uint32_t i = 0; i < count; i++) {
        names->sorted[i] = places[i].place;
    }
    free(places);
}

/* ---- runs ---- */

/* The first place at or behind `from` whose text is not below `text` (`behind`: whose text is above
 * and does not begin with it). Steps double from `from` on, since runs are short. */
static uint32_t find(const struct api_names *names, uint32_t from, struct str text, bool behind)
{
    uint32_t low = from, high = from, step = 1;
    while (low < names->sorted_count) {
        high = names->sorted_count - low > step ? low + step : names->sorted_count;
        struct str at = text_of(names, names->sorted[high - 1]);
        if (str_compare(at, text) >= 0 && !(behind && str_starts(at, text))) {
            break;
        }
        low = high;
        step *= 2;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct str at = text_of(names, names->sorted[middle]);
        if (str_compare(at, text) >= 0 && !(behind && str_starts(at, text))) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static struct run run_of(const struct api_names *names, struct str prefix)
{
    uint32_t from = find(names, 0, prefix, false);
    return (struct run){from, find(names, from, prefix, true)};
}

/* Equal texts come first in a run. */
static uint32_t end_of_equal(const struct api_names *names, struct run run, struct str text)
{
    uint32_t low = run.from, high = run.to;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (text_of(names, names->sorted[middle]).len > text.len) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Which places are wanted. */
struct wanted {
    const struct api_names *names;
    int platform; /* or NAMES_ANYWHERE */
};

static bool is_wanted(const struct wanted *wanted, uint32_t place)
{
    return wanted->platform == NAMES_ANYWHERE ||
           wanted->names->rows[place >> 1].platform == wanted->platform;
}

/* Lets the largest number of a heap sink to where it belongs. */
static void sink(uint32_t *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && heap[child + 1] > heap[child];
        if (heap[at] >= heap[child]) {
            return;
        }
        uint32_t value = heap[at];
        heap[at] = heap[child];
        heap[child] = value;
    }
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The `max` smallest numbers of a run, in order. */
static size_t smallest(const struct wanted *wanted, struct run run, size_t max, uint32_t *out)
{
    size_t count = 0;
    for (uint32_t i = run.from; i < run.to; i++) {
        const uint32_t place = wanted->names->sorted[i];
        if (count == max && place >= out[0]) {
            continue;
        }
        if (!is_wanted(wanted, place)) {
            continue;
        }
        if (count < max) {
            out[count++] = place;
            for (size_t at = count / 2; count == max && at-- > 0;) {
                sink(out, count, at);
            }
        } else {
            out[0] = place;
            sink(out, count, 0);
        }
    }
    qsort(out, count, sizeof *out, compare_numbers);
    return count;
}

/* ---- the best of long runs ---- */

/* The first characters of a text; all of it where it has fewer. */
static struct str first_points(struct str text, size_t points)
{
    size_t len = 0;
    while (len < text.len && points--) {
        len++;
        while (len < text.len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80) {
            len++;
        }
    }
    return (struct str){text.ptr, len};
}

static int compare_noted(const void *a_at, const void *b_at)
{
    const struct noted *a = a_at, *b = b_at;
    if (a->from != b->from) {
        return a->from < b->from ? -1 : 1;
    }
    return (a->to < b->to) - (a->to > b->to);
}

static const struct noted *find_noted(const struct api_names *names, struct run run)
{
    const struct noted key = {.from = run.from, .to = run.to};
    return names->noted_count ? bsearch(&key, names->noted, names->noted_count,
                                        sizeof *names->noted, compare_noted)
                              : NULL;
}

/* Notes the long runs within a run whose texts are alike in their first points - 1 characters, and
 * those within these. One that is as long as that around it is there already. */
static void note_runs(struct api_names *names, struct run around, size_t points, size_t *room)
{
    const struct wanted all = {names, NAMES_ANYWHERE};
    struct run run = around;
    for (; run.from < around.to; run.from = run.to) {
        struct str text = text_of(names, names->sorted[run.from]);
        run.to = find(names, run.from, first_points(text, points), true);
        if (run.to - run.from <= NOTED_FROM) {
            continue;
        }
        if (points == 1 || run.to - run.from < around.to - around.from) {
            if (names->noted_count == *room) {
                *room = *room ? *room * 2 : 64;
                names->noted = mem_realloc(names->noted, *room * sizeof *names->noted);
            }
            struct noted *noted = &names->noted[names->noted_count++];
            noted->from = run.from;
            noted->to = run.to;
            KOL_ASSERT(smallest(&all, run, BEST, noted->best) == BEST);
        }
        if (points < NOTED_POINTS) {
            note_runs(names, run, points + 1, room);
        }
    }
}

static void note_all_runs(struct api_names *names)
{
    size_t room = 0;
    note_runs(names, (struct run){0, names->sorted_count}, 1, &room);
    if (names->noted_count) {
        qsort(names->noted, names->noted_count, sizeof *names->noted, compare_noted);
        names->noted = mem_realloc(names->noted, names->noted_count * sizeof *names->noted);
    }
}

void api_names_finish(struct api_names *names)
{
    names->pool.cap = names->pool.len + 1;
    names->pool.ptr = mem_realloc(names->pool.ptr, names->pool.cap);
    names->pool.ptr[names->pool.len] = '\0';
    names->room = names->count;
    names->rows = mem_realloc(names->rows, (names->count + 1) * sizeof *names->rows);
    sort_places(names);
    note_all_runs(names);
}

/* The most popular of a run. */
static size_t best_of(const struct wanted *wanted, struct run run, size_t max, uint32_t out[BEST])
{
    const struct noted *noted =
        wanted->platform == NAMES_ANYWHERE ? find_noted(wanted->names, run) : NULL;
    if (noted) {
        memcpy(out, noted->best, sizeof noted->best);
        return BEST;
    }
    return smallest(wanted, run, 2 * max, out);
}

/* ---- what matches how ---- */

static bool is_letter(char c)
{
    return (unsigned char)c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c >= 'A' && c <= 'Z');
}

static enum names_match match_of(struct str text, struct str wanted)
{
    enum names_match match = NAMES_NOT;
    const char *end = text.ptr + text.len;
    if (str_starts(text, wanted)) {
        return text.len == wanted.len ? NAMES_EXACT : NAMES_PREFIX;
    }
    for (const char *at = text.ptr; match != NAMES_WORD; at++) {
        at = memmem(at, (size_t)(end - at), wanted.ptr, wanted.len);
        if (!at) {
            break;
        }
        match = is_letter(at[-1]) ? NAMES_PART : NAMES_WORD;
    }
    return match;
}

static struct names_hit hit_of(const struct api_names *names, uint32_t rank, struct str wanted)
{
    const struct name_row *row = &names->rows[rank];
    enum names_match id = match_of(id_of(names, row), wanted);
    enum names_match name = match_of(name_of(names, row), wanted);
    return (struct names_hit){
        .platform = row->platform,
        .kol_id = kol_id_of(names, row),
        .match = id < name ? id : name,
        .in_id = id != NAMES_NOT,
        .in_name = name != NAMES_NOT,
    };
}

/* ---- asking ---- */

/* What was found up to now; ranks tell KOLs apart. */
struct found {
    size_t count, max;
    uint32_t ranks[NAMES_MOST];
};

static bool is_found(const struct found *found, uint32_t rank)
{
    for (size_t i = 0; i < found->count; i++) {
        if (found->ranks[i] == rank) {
            return true;
        }
    }
    return false;
}

static void add_run(const struct wanted *wanted, struct run run, struct found *found)
{
    uint32_t places[BEST];
    size_t count = best_of(wanted, run, found->max, places);
    for (size_t i = 0; i < count && found->count < found->max; i++) {
        if (!is_found(found, places[i] >> 1)) {
            found->ranks[found->count++] = places[i] >> 1;
        }
    }
}

size_t api_names_suggest(const struct api_names *names, struct str prefix, size_t max,
                         struct names_hit *out)
{
    const struct wanted wanted = {names, NAMES_ANYWHERE};
    struct found found = {.max = max < NAMES_MOST ? max : NAMES_MOST};
    if (!prefix.len) {
        return 0;
    }
    add_run(&wanted, run_of(names, prefix), &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct name_row *row = &names->rows[found.ranks[i]];
        out[i] = hit_of(names, found.ranks[i], prefix);
        out[i].in_id = str_starts(id_of(names, row), prefix);
        out[i].in_name = str_starts(name_of(names, row), prefix);
    }
    return found.count;
}

/* memmem() for a short text in a long one, asked over and over: first and last byte are compared at
 * 16 places at once, without preparation. */
static const char *find_text(const char *at, const char *end, struct str text)
{
#ifdef __SSE2__
    const __m128i first = _mm_set1_epi8(text.ptr[0]), last = _mm_set1_epi8(text.ptr[text.len - 1]);
    for (; end - at >= (ptrdiff_t)(text.len + 15); at += 16) {
        const __m128i here = _mm_loadu_si128((const __m128i *)at);
        const __m128i there = _mm_loadu_si128((const __m128i *)(at + text.len - 1));
        unsigned places = (unsigned)_mm_movemask_epi8(
            _mm_and_si128(_mm_cmpeq_epi8(here, first), _mm_cmpeq_epi8(there, last)));
        for (; places; places &= places - 1) {
            const char *place = at + __builtin_ctz(places);
            if (memcmp(place, text.ptr, text.len) == 0) {
                return place;
            }
        }
    }
#endif
    return memmem(at, (size_t)(end - at), text.ptr, text.len);
}

/* The row at whose texts the pool's byte `at` lies; not before `rank`, and mostly near. */
static uint32_t rank_at(const struct api_names *names, size_t at, uint32_t rank)
{
    uint32_t low = rank, high = rank + 1, step = 1;
    while (high < names->count && names->rows[high].at <= at) {
        low = high;
        step *= 2;
        high = names->count - low > step ? low + step : names->count;
    }
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (names->rows[middle].at <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Whether a text that stands there makes its row one of those that are still looked for: any, or
 * only one that begins a word. What stands at the beginning was found before. */
static bool may_count(const struct api_names *names, const char *at, bool words_only)
{
    return at > names->pool.ptr && at[-1] != '\0' && !(words_only && is_letter(at[-1]));
}

/* Adds those that hold the text at a word or elsewhere, in two lists by popularity, until there are
 * enough words. */
static void run_through(const struct wanted *wanted, struct str text, struct found *words,
                        struct found *parts)
{
    const struct api_names *names = wanted->names;
    const char *end = names->pool.ptr + names->pool.len, *at = names->pool.ptr;
    uint32_t rank = 0;
    while (words->count < words->max && (at = find_text(at, end, text))) {
        if (!may_count(names, at, parts->count == parts->max)) {
            at++;
            continue;
        }
        rank = rank_at(names, (size_t)(at - names->pool.ptr), rank);
        at = rank + 1 < names->count ? names->pool.ptr + names->rows[rank + 1].at : end;
        if (!is_wanted(wanted, rank << 1)) {
            continue;
        }
        enum names_match match = hit_of(names, rank, text).match;
        struct found *list = match == NAMES_WORD ? words : match == NAMES_PART ? parts : NULL;
        if (list && list->count < list->max) {
            list->ranks[list->count++] = rank;
        }
    }
}

static void append(struct found *found, const struct found *more)
{
    for (size_t i = 0; i < more->count && found->count < found->max; i++) {
        found->ranks[found->count++] = more->ranks[i];
    }
}

size_t api_names_search(const struct api_names *names, struct str text, int platform, size_t max,
                        struct names_hit *out)
{
    const struct wanted wanted = {names, platform};
    struct found found = {.max = max < NAMES_MOST ? max : NAMES_MOST};
    if (!text.len) {
        return 0;
    }
    const struct run run = run_of(names, text);
    const uint32_t longer = end_of_equal(names, run, text);
    add_run(&wanted, (struct run){run.from, longer}, &found);
    add_run(&wanted, (struct run){longer, run.to}, &found);
    if (found.count < found.max) {
        struct found words = {.max = found.max - found.count}, parts = words;
        run_through(&wanted, text, &words, &parts);
        append(&found, &words);
        append(&found, &parts);
    }
    for (size_t i = 0; i < found.count; i++) {
        out[i] = hit_of(names, found.ranks[i], text);
    }
    return found.count;
}

/* ---- names that are nearly so ---- */

struct near {
    const struct wanted *wanted;
    struct str text;
    size_t most; /* edits */
    size_t count, max;
    struct near_name {
        uint32_t rank;
        size_t edits;
    } best[NAMES_MOST];
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many edits make b of a: bytes put in, left out, replaced, and neighbours swapped. Above
 * `most` it may be any number above it. */
static size_t edits_between(struct str a, struct str b, size_t most)
{
    size_t rows[3][NEAR_TEXT + NEAR_EDITS + 1];
    if (a.len > b.len + most || b.len > a.len + most || b.len > NEAR_TEXT + NEAR_EDITS) {
        return most + 1;
    }
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], smallest_here = i;
        const size_t *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            const bool same = a.ptr[i - 1] == b.ptr[j - 1];
            row[j] = least(above[j - 1] + !same, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1]) {
                row[j] = least(row[j], before[j - 2] + 1);
            }
            smallest_here = least(smallest_here, row[j]);
        }
        if (smallest_here > most) {
            return most + 1;
        }
    }
    return rows[a.len % 3][b.len];
}

static bool is_nearer(const struct near_name *a, const struct near_name *b)
{
    return a->edits != b->edits ? a->edits < b->edits : a->rank < b->rank;
}

/* Puts a KOL where it belongs among the best; one that is there by its other text keeps the nearer
 * place. */
static void consider(struct near *near, uint32_t place)
{
    const struct near_name one = {
        place >> 1, edits_between(near->text, text_of(near->wanted->names, place), near->most)};
    size_t at = 0;
    if (one.edits > near->most || !is_wanted(near->wanted, place)) {
        return;
    }
    while (at < near->count && near->best[at].rank != one.rank) {
        at++;
    }
    if (at == near->count) {
        if (near->count == near->max && !is_nearer(&one, &near->best[--at])) {
            return;
        }
        near->count += near->count < near->max;
    } else if (!is_nearer(&one, &near->best[at])) {
        return;
    }
    for (; at > 0 && is_nearer(&one, &near->best[at - 1]); at--) {
        near->best[at] = near->best[at - 1];
    }
    near->best[at] = one;
}

/* Where an edit is not among the first letters: what begins as the text does, as far as there are
 * not too many of them; else the most popular of these. */
static void consider_beginnings(struct near *near)
{
    const struct api_names *names = near->wanted->names;
    struct run run = {0, names->sorted_count};
    for (size_t len = 1; len <= near->text.len && run.to - run.from > NEAR_RUN; len++) {
        const struct run longer = run_of(names, (struct str){near->text.ptr, len});
        if (longer.from == longer.to) {
            break;
        }
        run = longer;
    }
    if (run.to - run.from <= NEAR_RUN) {
        for (uint32_t i = run.from; i < run.to; i++) {
            consider(near, names->sorted[i]);
        }
        return;
    }
    const struct noted *noted = find_noted(names, run);
    for (size_t i = 0; noted && i < BEST; i++) {
        consider(near, noted->best[i]);
    }
}

static void consider_around(struct near *near, struct str text)
{
    const struct api_names *names = near->wanted->names;
    const uint32_t at = find(names, 0, text, false);
    const uint32_t from = at > NEAR_AROUND ? at - NEAR_AROUND : 0;
    for (uint32_t i = from; i < names->sorted_count && i < at + NEAR_AROUND; i++) {
        consider(near, names->sorted[i]);
    }
}

/* The text with one letter left out, and with two of them swapped: an edit among the first letters
 * sends it to another place of the alphabet. */
static void consider_less(struct near *near)
{
    char altered[NEAR_TEXT];
    const size_t len = near->text.len;
    for (size_t i = 0; i + 1 < len; i++) {
        memcpy(altered, near->text.ptr, len);
        altered[i] = near->text.ptr[i + 1];
        altered[i + 1] = near->text.ptr[i];
        consider_around(near, (struct str){altered, len});
        memmove(altered + i + 1, near->text.ptr + i + 2, len - i - 2);
        consider_around(near, (struct str){altered, len - 1});
    }
}

/* The text with another letter in place of one of the first, and with one put in before it. Behind
 * the first letters a run of alike beginnings holds these. */
static void consider_more(struct near *near)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._- ";
    char altered[NEAR_TEXT + 1];
    const size_t len = near->text.len;
    for (size_t i = 0; i < NEAR_FIRST && i < len; i++) {
        for (const char *letter = letters; *letter; letter++) {
            memcpy(altered, near->text.ptr, len);
            altered[i] = *letter;
            consider_around(near, (struct str){altered, len});
            memcpy(altered + i + 1, near->text.ptr + i, len - i);
            consider_around(near, (struct str){altered, len + 1});
        }
    }
}

size_t api_names_near(const struct api_names *names, struct str text, int platform, size_t max,
                      struct names_hit *out)
{
    const struct wanted wanted = {names, platform};
    struct near near = {
        .wanted = &wanted, .text = text, .max = max < NAMES_MOST ? max : NAMES_MOST};
    if (!text.len || text.len > NEAR_TEXT || !near.max) {
        return 0;
    }
    near.most = text.len < NAMES_NEAR_TWO ? 1 : NEAR_EDITS;
    consider_beginnings(&near);
    consider_around(&near, text);
    consider_less(&near);
    consider_more(&near);
    if (!near.count) {
        struct found found = {.max = near.max};
        add_run(&wanted, run_of(names, text), &found);
        for (; near.count < found.count; near.count++) {
            near.best[near.count].rank = found.ranks[near.count];
        }
    }
    for (size_t i = 0; i < near.count; i++) {
        out[i] = hit_of(names, near.best[i].rank, text);
    }
    return near.count;
}
