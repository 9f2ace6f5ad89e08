/* test_config.c: values, where they come from, and what a typo gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"

enum { HOST, PORT, SIZE, WAIT, MODE, FLAG, PASSWORD, COUNT };

static const struct config_option options[COUNT] = {
    [HOST] = {.name = "redis.host", .kind = CONFIG_TEXT, .alias = "REDIS_HOST"},
    [PORT] = {.name = "redis.port", .kind = CONFIG_INT, .fallback = "6379", .min = 1, .max = 65535},
    [SIZE] = {.name = "log.map_size", .kind = CONFIG_SIZE, .fallback = "1k"},
    [WAIT] = {.name = "log.linger", .kind = CONFIG_DURATION, .fallback = "20ms"},
    [MODE] = {.name = "mode", .kind = CONFIG_CHOICE, .fallback = "b", .choices = "a b c"},
    [FLAG] = {.name = "strict", .kind = CONFIG_BOOL},
    [PASSWORD] = {.name = "redis.password", .kind = CONFIG_TEXT, .secret = true},
};

static struct kol_error err;

static int setup(void **state)
{
    *state = config_new(options, COUNT);
    return 0;
}

static int teardown(void **state)
{
    config_free((struct config **)state);
    return 0;
}

static enum kol_status set(struct config *config, const char *name, const char *value)
{
    return config_set(config, str_of(name), str_of(value), CONFIG_FROM_FLAG, "test", &err);
}

static void test_defaults_are_there_and_say_so(void **state)
{
    assert_null(config_text(*state, HOST));
    assert_string_equal(config_origin(*state, HOST), "not set");
    assert_int_equal(config_int(*state, PORT), 6379);
    assert_string_equal(config_origin(*state, PORT), "default");
    assert_int_equal(config_int(*state, MODE), 1);
}

static void test_stronger_sources_win_in_any_order(void **state)
{
    const char *environment[] = {"KOL_REDIS_PORT=2", "PATH=/bin", NULL};
    assert_int_equal(set(*state, "redis.port", "3"), KOL_OK);
    assert_int_equal(config_read_environment(*state, environment, &err), KOL_OK);
    assert_int_equal(config_read_text(*state, STR("redis.port = 1\n"), "f", &err), KOL_OK);
    assert_int_equal(config_int(*state, PORT), 3);
    assert_int_equal(config_source_of(*state, PORT), CONFIG_FROM_FLAG);
}

static void test_users_own_names_work_and_ours_win_over_them(void **state)
{
    const char *theirs[] = {"REDIS_HOST=theirs", NULL};
    const char *both[] = {"KOL_REDIS_HOST=ours", "REDIS_HOST=theirs", NULL};
    assert_int_equal(config_read_environment(*state, theirs, &err), KOL_OK);
    assert_string_equal(config_text(*state, HOST), "theirs");
    assert_string_equal(config_origin(*state, HOST), "REDIS_HOST");
    assert_int_equal(config_read_environment(*state, both, &err), KOL_OK);
    assert_string_equal(config_text(*state, HOST), "ours");
}

static void test_a_typo_names_the_nearest_option(void **state)
{
    const char *environment[] = {"KOL_REDIS_PROT=2", NULL};
    const char *for_tests[] = {"KOL_TEST_NOW=2025-01-01T00:00:00Z", NULL};
    assert_int_equal(set(*state, "redis.prot", "1"), KOL_USAGE);
    assert_non_null(strstr(err.message, "did you mean 'redis.port'?"));
    assert_int_equal(config_read_environment(*state, environment, &err), KOL_USAGE);
    assert_non_null(strstr(err.message, "did you mean KOL_REDIS_PORT?"));
    assert_int_equal(config_read_text(*state, STR("\n[redis]\nprot = 1\n"), "kol.conf", &err),
                     KOL_USAGE);
    assert_non_null(strstr(err.message, "kol.conf:3: "));
    assert_int_equal(config_read_environment(*state, for_tests, &err), KOL_OK);
}

static void test_values_are_checked_by_kind_and_bounds(void **state)
{
    static const char *const bad[][2] = {
        {"redis.port", "0"},
        {"redis.port", "65536"},
        {"redis.port", "six"},
        {"redis.port", ""},
        {"log.map_size", "1.5k"},
        {"log.map_size", "-1"},
        {"log.map_size", "9999999999t"},
        {"log.linger", "20"},
        {"log.linger", "ms"},
        {"mode", "d"},
        {"mode", ""},
        {"strict", "maybe"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(set(*state, bad[i][0], bad[i][1]), KOL_USAGE);
        assert_non_null(strstr(err.message, bad[i][0]));
    }
    assert_int_equal(config_int(*state, PORT), 6379); /* a refused value changes nothing */
}

static void test_sizes_and_times_take_their_units(void **state)
{
    static const struct {
        const char *name, *value;
        size_t option;
        int64_t expected;
    } cases[] = {
        {"log.map_size", "10MB", SIZE, 10 << 20},
        {"log.map_size", "2 GiB", SIZE, INT64_C(2) << 30},
        {"log.map_size", "17", SIZE, 17},
        {"log.linger", "250ms", WAIT, 250000},
        {"log.linger", "7d", WAIT, INT64_C(604800000000)},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(set(*state, cases[i].name, cases[i].value), KOL_OK);
        assert_true(config_int(*state, cases[i].option) == cases[i].expected);
    }
}

static void test_files_take_sections_comments_and_quotes(void **state)
{
    static const char text[] = "\xef\xbb\xbf# comment\r\n"
                               "mode = c   # behind the value\r\n"
                               "[redis]\n"
                               "host = \"a # \\\"b\\\" \\\\ c\" # quoted\n"
                               "password = p#w\n";
    assert_int_equal(config_read_text(*state, str_of(text), "f", &err), KOL_OK);
    assert_int_equal(config_int(*state, MODE), 2);
    assert_string_equal(config_text(*state, HOST), "a # \"b\" \\ c");
    assert_string_equal(config_text(*state, PASSWORD), "p#w");
    assert_string_equal(config_origin(*state, HOST), "f:4");
}

static void test_broken_lines_name_their_place(void **state)
{
    static const char *const bad[] = {
        "mode", "= b", "[redis", "mode = \"b", "mode = \"b\" c", "mode = \"\xff\""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(config_read_text(*state, str_of(bad[i]), "f", &err), KOL_USAGE);
        assert_non_null(strstr(err.message, "f:"));
    }
}

static void test_secrets_are_never_shown(void **state)
{
    assert_int_equal(set(*state, "redis.password", "hush"), KOL_OK);
    assert_string_equal(config_text(*state, PASSWORD), "hush");
    assert_string_equal(config_shown(*state, PASSWORD), "********");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults_are_there_and_say_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stronger_sources_win_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_users_own_names_work_and_ours_win_over_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_typo_names_the_nearest_option, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_are_checked_by_kind_and_bounds, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sizes_and_times_take_their_units, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_take_sections_comments_and_quotes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_broken_lines_name_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secrets_are_never_shown, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
