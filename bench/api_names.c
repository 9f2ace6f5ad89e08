/*
 * api_names.c: the names of a copy: time and memory to make them, suggestions, searches.
 *
 *   bench_api_names [KOLS]
 *
 * CPU time, so that a busy machine shows the same. By default 1000000 KOLs with names of two or
 * three syllables out of a few hundred, so that long runs share a beginning, and ids made of them.
 * Prefixes and parts are taken from names at random; the longest runs of four characters and more
 * are asked for one by one. The peer is the same search in SQL (bench_online): 2 ms and more for
 * its planning alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "base/clock.h"
#include "base/random.h"

enum { ASKED = 20000, SEARCHED = 300, SYLLABLES = 400, NAME = 64 };

static char syllables[SYLLABLES][8];
static struct random_stream stream;

static void make_syllables(void)
{
    static const char *const heads[] = {"ng", "th", "tr", "kh", "ph", "nh", "l",  "m",
                                        "b",  "d",  "h",  "c",  "v",  "qu", "gi", ""};
    static const char *const tails[] = {"a",   "an", "anh", "ang", "e",    "i",
                                        "inh", "o",  "ong", "u",   "uyen", "y"};
    for (size_t i = 0; i < SYLLABLES; i++) {
        snprintf(syllables[i], sizeof syllables[i], "%s%s%s", heads[random_below(&stream, 16)],
                 tails[random_below(&stream, 12)], i % 5 ? "" : "h");
    }
}

/* Early syllables come more often, as names do. */
static const char *some_syllable(void)
{
    uint64_t at = random_below(&stream, SYLLABLES);
    return syllables[at * random_below(&stream, SYLLABLES) / SYLLABLES];
}

static void make_kol(char name[NAME], char id[NAME])
{
    const char *a = some_syllable(), *b = some_syllable(), *c = some_syllable();
    const unsigned number = (unsigned)random_below(&stream, 10000);
    if (random_below(&stream, 4) == 0) {
        snprintf(name, NAME, "user %s %u", a, number);
        snprintf(id, NAME, "user%u%s", number, a);
    } else {
        snprintf(name, NAME, "%s %s %s", a, b, c);
        snprintf(id, NAME, "%s%s_%s%u", b, c, a, number);
    }
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, int64_t *times_ns, size_t count)
{
    qsort(times_ns, count, sizeof *times_ns, compare_times);
    const int64_t median = times_ns[count / 2], high = times_ns[count * 99 / 100];
    printf("%-28s p50 %9.1f us  p99 %9.1f us  worst %9.1f us\n", what, (double)median / 1e3,
           (double)high / 1e3, (double)times_ns[count - 1] / 1e3);
}

static struct names_hit hits[NAMES_MOST];

static int64_t ask(const struct api_names *names, struct str text, bool suggest, size_t max)
{
    const int64_t start_ns = clock_cpu_ns();
    if (suggest) {
        api_names_suggest(names, text, max, hits);
    } else {
        api_names_search(names, text, NAMES_ANYWHERE, max, hits);
    }
    return clock_cpu_ns() - start_ns;
}

static void ask_prefixes(const struct api_names *names, const char *what, size_t least, size_t most,
                         size_t max)
{
    static int64_t times_ns[ASKED];
    for (size_t i = 0; i < ASKED; i++) {
        char name[NAME], id[NAME];
        make_kol(name, id);
        size_t len = least + random_below(&stream, most - least + 1);
        struct str text = str_of(i % 2 ? name : id);
        times_ns[i] =
            ask(names, (struct str){text.ptr, len < text.len ? len : text.len}, true, max);
    }
    report(what, times_ns, ASKED);
}

static void ask_parts(const struct api_names *names, const char *what, bool known)
{
    static int64_t times_ns[SEARCHED];
    for (size_t i = 0; i < SEARCHED; i++) {
        char name[NAME], id[NAME];
        make_kol(name, id);
        struct str text = str_of(name);
        size_t from = random_below(&stream, text.len - 3);
        size_t len = 3 + random_below(&stream, 4);
        text = (struct str){name + from, from + len < text.len ? len : text.len - from};
        times_ns[i] = ask(names, known ? text : STR("zqxw"), false, 20);
    }
    report(what, times_ns, SEARCHED);
}

int main(int argc, char **argv)
{
    const size_t kols = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    struct api_names *names = api_names_new();
    random_seed(&stream, (const uint64_t[]){1}, 1);
    make_syllables();
    for (size_t i = 0; i < kols; i++) {
        char name[NAME], id[NAME];
        make_kol(name, id);
        if (!api_names_add(names, (int)random_below(&stream, 4), str_of(id), str_of(id),
                           str_of(name))) {
            return 1;
        }
    }
    const int64_t start_ns = clock_cpu_ns();
    api_names_finish(names);
    printf("%zu KOLs: sorted in %.2f s, %.1f bytes a KOL, %.1f MB\n", kols,
           (double)(clock_cpu_ns() - start_ns) / 1e9, (double)api_names_bytes(names) / (double)kols,
           (double)api_names_bytes(names) / 1e6);
    ask_prefixes(names, "suggest 1..3 letters", 1, 3, 10);
    ask_prefixes(names, "suggest 4..12 letters", 4, 12, 10);
    ask_prefixes(names, "suggest 4 letters, 100", 4, 4, 100);
    ask_parts(names, "search a part", true);
    ask_parts(names, "search what is nowhere", false);
    api_names_free(names);
    return 0;
}
