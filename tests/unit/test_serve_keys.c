/* test_serve_keys.c: each key of the table is spelled and told again; none is taken for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "domain/event.h"
#include "serve/keys.h"

static bool is_platform(struct str text)
{
    bool found = str_is(text, "all");
    for (int i = PLATFORM_TIKTOK; i <= PLATFORM_INSTAGRAM; i++) {
        found = found || str_is(text, platform_name((enum platform)i));
    }
    return found;
}

static size_t parts_of(const char *pattern)
{
    size_t count = 0;
    for (; (pattern = strchr(pattern, '{')) != NULL; pattern++) {
        count++;
    }
    return count;
}

/* Parts that fit a pattern: a platform where it asks for one, else `other`. */
static void fill(const char *pattern, struct str other, struct str parts[SERVE_PARTS])
{
    for (; (pattern = strchr(pattern, '{')) != NULL; pattern++) {
        *parts++ = strncmp(pattern, "{platform}", 10) == 0 ? STR("twitter") : other;
    }
}

static void check_round_trip(enum serve_key key, struct str other)
{
    struct buf text = {0};
    struct str parts[SERVE_PARTS] = {0}, found[SERVE_PARTS];
    enum serve_key kind;
    const size_t count = parts_of(serve_keys[key].pattern);
    fill(serve_keys[key].pattern, other, parts);
    serve_key_put(&text, key, parts);
    assert_true(serve_key_read(buf_str(&text), is_platform, &kind, found));
    assert_int_equal(kind, key);
    for (size_t i = 0; i < count; i++) {
        assert_true(str_equal(found[i], parts[i]));
    }
    buf_free(&text);
}

static void test_every_key_is_told_again(void **state)
{
    (void)state;
    for (int key = 0; key < SERVE_KEYS; key++) {
        assert_true(parts_of(serve_keys[key].pattern) <= SERVE_PARTS);
        check_round_trip((enum serve_key)key, STR("ana"));
        check_round_trip((enum serve_key)key, STR("{a} b*?\xff"));
    }
}

static void test_the_last_part_may_hold_colons(void **state)
{
    (void)state;
    check_round_trip(SERVE_KEY_PROFILE, STR("my:own:name"));
    check_round_trip(SERVE_KEY_PROFILE_ON, STR("twitter:ana"));
    check_round_trip(SERVE_KEY_RECENT, STR(":"));
}

static void check_read(const char *text, int wanted, const char *first, const char *second)
{
    enum serve_key key;
    struct str parts[SERVE_PARTS];
    const bool found = serve_key_read(str_of(text), is_platform, &key, parts);
    assert_int_equal(found ? (int)key : -1, wanted);
    if (first) {
        assert_true(str_is(parts[0], first));
    }
    if (second) {
        assert_true(str_is(parts[1], second));
    }
}

static void test_what_a_key_is_of(void **state)
{
    (void)state;
    check_read("kol:profile:ana", SERVE_KEY_PROFILE, "ana", NULL);
    check_read("kol:profile:tiktok:ana", SERVE_KEY_PROFILE_ON, "tiktok", "ana");
    check_read("kol:profile:myspace:ana", SERVE_KEY_PROFILE, "myspace:ana", NULL);
    check_read("kol:profile:tiktok:", SERVE_KEY_PROFILE, "tiktok:", NULL);
    check_read("kol:top:followers:all:100", SERVE_KEY_TOP_FOLLOWERS, "all", "100");
    check_read("stats:platform", SERVE_KEY_STATS_PLATFORM, NULL, NULL);
    check_read("ratelimit:read:ana:7", SERVE_KEY_RATE_LIMIT, "read", "ana:7");
    static const char *const none[] = {"",
                                       ":",
                                       "kol",
                                       "kol:profile",
                                       "kol:profile:",
                                       "kol:profiles:list:",
                                       "kol:profiles:list:nowhere",
                                       "kol:top:followers:all",
                                       "kol:top:followers:all:",
                                       "stats:platforms",
                                       "stats:platform:",
                                       "cache:lock:",
                                       "trending:tiktok",
                                       "{kol:top:followers:all:100}:meta",
                                       "KOL:PROFILE:ana"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        check_read(none[i], -1, NULL, NULL);
    }
}

/* Redis refuses to track two prefixes of which one begins with the other. */
static void test_no_prefix_begins_with_another(void **state)
{
    (void)state;
    for (int i = 0; i < SERVE_KEYS; i++) {
        for (int j = 0; j < SERVE_KEYS; j++) {
            struct buf a = {0}, b = {0};
            serve_key_put_prefix(&a, (enum serve_key)i);
            serve_key_put_prefix(&b, (enum serve_key)j);
            assert_true(str_equal(buf_str(&a), buf_str(&b)) ||
                        !str_starts(buf_str(&a), buf_str(&b)));
            buf_free(&a);
            buf_free(&b);
        }
    }
}

static void test_the_sibling_lies_in_the_same_slot(void **state)
{
    (void)state;
    struct buf meta = {0};
    serve_key_put_meta(&meta, STR("kol:top:followers:all:100"));
    assert_string_equal(meta.ptr, "{kol:top:followers:all:100}:meta");
    buf_free(&meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_told_again),
        cmocka_unit_test(test_the_last_part_may_hold_colons),
        cmocka_unit_test(test_what_a_key_is_of),
        cmocka_unit_test(test_no_prefix_begins_with_another),
        cmocka_unit_test(test_the_sibling_lies_in_the_same_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
