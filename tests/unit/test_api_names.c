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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_prefix_gives_its_most_popular),
        cmocka_unit_test(test_each_part_is_found_the_best_match_first),
        cmocka_unit_test(test_nothing_is_found_in_nothing),
        cmocka_unit_test(test_a_long_name_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
