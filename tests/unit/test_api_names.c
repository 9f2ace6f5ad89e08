/* test_api_names.c: names by prefix and part, against a look at each of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "base/random.h"

enum { KOLS = 20000, TEXT = 24 };

/* What is asked, kept a second time as plain texts by popularity. */
struct world {
    char id[KOLS][TEXT], name[KOLS][TEXT];
    int platform[KOLS];
    struct api_names *names;
};

/* Few letters, so that all kinds of matches happen, and long runs of common beginnings. */
static void put_word(struct random_stream *random, char *out, size_t most)
{
    static const char letters[] = "aaaaabbc1_. ";
    size_t len = 1 + random_below(random, most);
    for (size_t i = 0; i < len; i++) {
        out[i] = letters[random_below(random, sizeof letters - 1)];
    }
    out[0] = "ab\xc3"[random_below(random, 3)];
    out[len] = '\0';
    if (out[0] == '\xc3') { /* a character of two bytes */
        memmove(out + 2, out + 1, len);
        out[1] = '\xa9';
    }
}

static struct world *make_world(size_t most)
{
    struct world *world = mem_zalloc(1, sizeof *world);
    struct random_stream random;
    random_seed(&random, (const uint64_t[]){7}, 1);
    world->names = api_names_new();
    for (size_t i = 0; i < KOLS; i++) {
        char key[TEXT + 1];
        put_word(&random, world->id[i], most);
        put_word(&random, world->name[i], most);
        if (random_below(&random, 4) == 0) {
            memcpy(world->name[i], world->id[i], TEXT);
        } else if (random_below(&random, 10) == 0) {
            world->name[i][0] = '\0';
        }
        world->platform[i] = (int)random_below(&random, 4);
        snprintf(key, sizeof key, "%s%s", i % 3 ? "" : "K", world->id[i]);
        assert_true(api_names_add(world->names, world->platform[i], str_of(key),
                                  str_of(world->id[i]), str_of(world->name[i])));
    }
    api_names_finish(world->names);
    return world;
}

static void free_world(struct world *world)
{
    api_names_free(world->names);
    free(world);
}

static enum names_match plain_match(const char *text, const char *wanted)
{
    enum names_match match = NAMES_NOT;
    for (const char *at = text; (at = strstr(at, wanted)); at++) {
        enum names_match here = at == text ? (strcmp(text, wanted) ? NAMES_PREFIX : NAMES_EXACT)
                                : strchr(" ._", at[-1]) ? NAMES_WORD
                                                        : NAMES_PART;
        match = here < match ? here : match;
    }
    return match;
}

static void assert_hit(const struct world *world, size_t kol, const struct names_hit *hit)
{
    char key[TEXT + 1];
    snprintf(key, sizeof key, "%s%s", kol % 3 ? "" : "K", world->id[kol]);
    assert_true(str_is(hit->kol_id, key));
    assert_int_equal(hit->platform, world->platform[kol]);
}

static void check_suggest(const struct world *world, const char *prefix, size_t max)
{
    struct names_hit hits[NAMES_MOST];
    size_t len = strlen(prefix), at = 0;
    size_t count = api_names_suggest(world->names, str_of(prefix), max, hits);
    for (size_t i = 0; i < KOLS && at < max; i++) {
        const bool in_id = !strncmp(world->id[i], prefix, len);
        const bool in_name = !strncmp(world->name[i], prefix, len);
        if (in_id || in_name) {
            assert_true(at < count);
            assert_hit(world, i, &hits[at]);
            assert_int_equal(hits[at].in_id, in_id);
            assert_int_equal(hits[at].in_name, in_name);
            at++;
        }
    }
    assert_int_equal(at, count);
}

static void check_search(const struct world *world, const char *text, int platform, size_t max)
{
    struct names_hit hits[NAMES_MOST];
    size_t at = 0, count = api_names_search(world->names, str_of(text), platform, max, hits);
    for (enum names_match match = NAMES_EXACT; match < NAMES_NOT; match++) {
        for (size_t i = 0; i < KOLS && at < max; i++) {
            enum names_match id = plain_match(world->id[i], text);
            enum names_match name = plain_match(world->name[i], text);
            if ((id < name ? id : name) != match ||
                (platform != NAMES_ANYWHERE && world->platform[i] != platform)) {
                continue;
            }
            assert_true(at < count);
            assert_hit(world, i, &hits[at]);
            assert_int_equal(hits[at].match, match);
            assert_int_equal(hits[at].in_id, id != NAMES_NOT);
            assert_int_equal(hits[at].in_name, name != NAMES_NOT);
            at++;
        }
    }
    assert_int_equal(at, count);
}

static void test_each_prefix_gives_its_most_popular(void **state)
{
    (void)state;
    struct world *world = make_world(8);
    struct random_stream random;
    random_seed(&random, (const uint64_t[]){11}, 1);
    check_suggest(world, "a", 100);
    check_suggest(world, "a", 10);
    check_suggest(world, "aa", 100);
    check_suggest(world, "\xc3\xa9", 100);
    for (size_t i = 0; i < 300; i++) {
        char prefix[TEXT];
        put_word(&random, prefix, 1 + random_below(&random, 8));
        check_suggest(world, prefix, 1 + random_below(&random, 100));
    }
    free_world(world);
}

static void test_each_part_is_found_the_best_match_first(void **state)
{
    (void)state;
    struct world *world = make_world(8);
    struct random_stream random;
    random_seed(&random, (const uint64_t[]){13}, 1);
    for (size_t i = 0; i < 200; i++) {
        char text[TEXT];
        put_word(&random, text, 1 + random_below(&random, 8));
        const char *from = i % 2 && text[0] != '\xc3' && text[1] ? text + 1 : text;
        check_search(world, from, (int)random_below(&random, 5) - 1,
                     1 + random_below(&random, 100));
    }
    free_world(world);
}

static void test_nothing_is_found_in_nothing(void **state)
{
    (void)state;
    struct names_hit hits[NAMES_MOST];
    struct api_names *names = api_names_new();
    api_names_finish(names);
    assert_int_equal(api_names_suggest(names, STR("a"), 10, hits), 0);
    assert_int_equal(api_names_search(names, STR("a"), NAMES_ANYWHERE, 10, hits), 0);
    api_names_free(names);
    names = api_names_new();
    assert_true(api_names_add(names, 0, STR("Ann"), STR("ann"), STR("")));
    api_names_finish(names);
    assert_int_equal(api_names_suggest(names, STR(""), 10, hits), 0);
    assert_int_equal(api_names_search(names, STR(""), NAMES_ANYWHERE, 10, hits), 0);
    assert_int_equal(api_names_search(names, STR("Ann"), NAMES_ANYWHERE, 10, hits),
                     0); /* the key */
    assert_int_equal(api_names_search(names, STR("ann"), NAMES_ANYWHERE, 10, hits), 1);
    api_names_free(names);
}

static void test_a_long_name_is_cut(void **state)
{
    (void)state;
    struct names_hit hits[NAMES_MOST];
    struct api_names *names = api_names_new();
    struct buf name = {0};
    for (size_t i = 0; i < NAMES_TEXT; i++) {
        buf_putc(&name, 'x');
    }
    buf_puts(&name, "end");
    assert_true(api_names_add(names, 2, STR("a"), STR("a"), buf_str(&name)));
    assert_true(api_names_add(names, 2, STR("b"), STR("b"), STR("end")));
    api_names_finish(names);
    assert_int_equal(api_names_search(names, STR("xx"), NAMES_ANYWHERE, 10, hits), 1);
    assert_int_equal(api_names_search(names, STR("end"), NAMES_ANYWHERE, 10, hits), 1);
    assert_true(str_is(hits[0].kol_id, "b"));
    api_names_free(names);
    buf_free(&name);
}

/* Edits between two texts, by the definition: of all ways to begin, the cheapest. */
static size_t plain_edits(const char *a, const char *b, size_t most)
{
    if (!*a || !*b) {
        return strlen(a) + strlen(b);
    }
    if (*a == *b) {
        return plain_edits(a + 1, b + 1, most);
    }
    if (!most) {
        return 1;
    }
    size_t best = plain_edits(a + 1, b + 1, most - 1);
    size_t more = plain_edits(a + 1, b, most - 1), less = plain_edits(a, b + 1, most - 1);
    best = more < best ? more : best;
    best = less < best ? less : best;
    if (a[1] == b[0] && a[0] == b[1]) {
        size_t swapped = plain_edits(a + 2, b + 2, most - 1);
        best = swapped < best ? swapped : best;
    }
    return best + 1;
}

static size_t kol_edits(const struct world *world, const struct names_hit *hit, const char *text)
{
    for (size_t i = 0; i < KOLS; i++) {
        char key[TEXT + 1];
        snprintf(key, sizeof key, "%s%s", i % 3 ? "" : "K", world->id[i]);
        if (str_is(hit->kol_id, key) && world->platform[i] == hit->platform) {
            size_t id = plain_edits(world->id[i], text, 2);
            size_t name = plain_edits(world->name[i], text, 2);
            size_t least = id < name || !world->name[i][0] ? id : name;
            if (least <= 2) {
                return least;
            }
        }
    }
    return 3;
}

/* A name with one edit is found again: left out and swapped anywhere, replaced behind the run of
 * alike beginnings. */
static void test_near(void **state)
{
    struct world *world = make_world(TEXT - 2);
    struct random_stream random;
    (void)state;
    random_seed(&random, (const uint64_t[]){8}, 1);
    for (int turn = 0, asked = 0; asked < 60; turn++) {
        struct names_hit hits[NAMES_MOST];
        char text[TEXT];
        strcpy(text, world->id[random_below(&random, KOLS)]);
        const size_t len = strlen(text);
        if (len < 16) {
            continue;
        }
        const size_t at = 2 + random_below(&random, len - 3); /* within no character */
        if (asked % 3 == 0) {
            memmove(text + at, text + at + 1, len - at);
        } else if (asked % 3 == 1) {
            char kept = text[at];
            text[at] = text[at + 1];
            text[at + 1] = kept;
        } else {
            text[len - 1 - at / 4] = 'x';
        }
        asked++;
        size_t count = api_names_near(world->names, str_of(text), NAMES_ANYWHERE, 3, hits);
        assert_true(count >= 1 && count <= 3);
        size_t before = 0;
        for (size_t i = 0; i < count; i++) {
            size_t edits = kol_edits(world, &hits[i], text);
            assert_true(edits >= before && edits <= 2);
            assert_true(i > 0 || edits <= 1);
            before = edits;
        }
        count = api_names_near(world->names, str_of(text), 2, 3, hits);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(hits[i].platform, 2);
        }
    }
    free_world(world);
}

/* What is near nothing begins something, or is nothing at all. */
static void test_near_nothing(void **state)
{
    struct names_hit hits[3];
    char text[100];
    struct api_names *names = api_names_new();
    (void)state;
    assert_true(api_names_add(names, 0, str_of("ly.sport"), str_of("ly.sport"), str_of("ly")));
    assert_true(api_names_add(names, 1, str_of("x"), str_of("x"), str_of("")));
    api_names_finish(names);
    assert_int_equal(api_names_near(names, str_of("ly.s"), NAMES_ANYWHERE, 3, hits), 1);
    assert_int_equal(api_names_near(names, str_of("ly.sprot"), NAMES_ANYWHERE, 3, hits), 1);
    assert_true(str_is(hits[0].kol_id, "ly.sport"));
    assert_int_equal(api_names_near(names, str_of("ly.sprot"), 1, 3, hits), 0);
    assert_int_equal(api_names_near(names, str_of("nobody"), NAMES_ANYWHERE, 3, hits), 0);
    assert_int_equal(api_names_near(names, str_of(""), NAMES_ANYWHERE, 3, hits), 0);
    memset(text, 'a', sizeof text);
    for (size_t len = 60; len < sizeof text; len++) {
        struct str long_one = {text, len};
        assert_int_equal(api_names_near(names, long_one, NAMES_ANYWHERE, 3, hits), 0);
    }
    api_names_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_prefix_gives_its_most_popular),
        cmocka_unit_test(test_each_part_is_found_the_best_match_first),
        cmocka_unit_test(test_nothing_is_found_in_nothing),
        cmocka_unit_test(test_a_long_name_is_cut),
        cmocka_unit_test(test_near),
        cmocka_unit_test(test_near_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
