/*
 * test_redis_url.c: addresses of Redis, good and bad ones; none of the bad ones is repeated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "cache/redis.h"

static void assert_same(const char *got, const char *expected)
{
    if (got && expected) {
        assert_string_equal(got, expected);
    } else {
        assert_true(got == expected);
    }
}

static void test_good_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        struct redis_options expected; /* NULL and 0: as it was */
    } cases[] = {
        {"redis://cache", {.host = "cache"}},
        {"redis://cache/", {.host = "cache"}},
        {"redis://10.0.0.7:7000", {.host = "10.0.0.7", .port = 7000}},
        {"redis://my-cache.example_1.net:1/1023",
         {.host = "my-cache.example_1.net", .port = 1, .db = 1023}},
        {"redis://:secret@cache:6380/2",
         {.host = "cache", .port = 6380, .db = 2, .password = "secret"}},
        {"redis://me:secret@cache", {.host = "cache", .user = "me", .password = "secret"}},
        {"redis://me:a:b@cache", {.host = "cache", .user = "me", .password = "a:b"}},
        {"redis://m%40e:%2F%25%c3%A9@cache",
         {.host = "cache", .user = "m@e", .password = "/%\xc3\xa9"}},
        {"redis://:p@ss@cache", {.host = "cache", .password = "p@ss"}},
        {"redis://[::1]", {.host = "::1"}},
        {"redis://[fe80::1:2]:65535/0", {.host = "fe80::1:2", .port = 65535}},
        {" redis://cache\n", {.host = "cache"}},
        {"rediss://me:secret@cache:6380",
         {.host = "cache", .port = 6380, .user = "me", .password = "secret", .tls = true}},
        {"unix:///run/redis.sock", {.path = "/run/redis.sock"}},
        {"unix:///run/a%20b@c?db=12", {.path = "/run/a b@c", .db = 12}},
        {"unix://:secret@/run/redis.sock", {.path = "/run/redis.sock", .password = "secret"}},
        {"unix://me:s%2F@/r?db=", {.path = "/r", .user = "me", .password = "s/"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct redis_options *expected = &cases[i].expected;
        struct redis_options read = {.host = "old", .port = 9, .user = "u", .password = "p"};
        struct kol_error err = {0};
        struct arena arena;
        arena_init(&arena, 0);
        char *url = mem_strdup(cases[i].url);
        if (redis_read_url(str_of(url), &arena, &read, &err) != KOL_OK) {
            fail_msg("%s: %s", cases[i].url, err.message);
        }
        memset(url, 'x', strlen(url)); /* nothing points into it */
        assert_same(read.path, expected->path);
        assert_same(read.host, expected->host ? expected->host : "old");
        assert_same(read.user, expected->user ? expected->user : "u");
        assert_same(read.password, expected->password ? expected->password : "p");
        assert_int_equal(read.port, expected->port ? expected->port : 9);
        assert_int_equal(read.db, expected->db);
        assert_int_equal(read.tls, expected->tls);
        free(url);
        arena_free(&arena);
    }
}

static void test_bad_addresses_are_explained_and_not_repeated(void **state)
{
    (void)state;
    static const struct {
        const char *url, *expected;
    } cases[] = {
        {"", "begins with"},
        {"s3cret", "begins with"},
        {"http://s3cret@cache", "begins with"},
        {"redis:/s3cret", "begins with"},
        {"REDIS://:s3cret@cache", "begins with"},
        {"redis://", "a host"},
        {"redis:///1", "a host"},
        {"redis://:s3cret@", "a host"},
        {"redis://:s3cret@:6379", "a host"},
        {"redis://:s3cret@ca che", "a host"},
        {"redis://:s3cret@cache?db=1", "a host"},
        {"redis://s3cret@cache", "user:password"},
        {"redis://s3cret:@cache", "is empty"},
        {"redis://:s3cret%@cache", "hexadecimal"},
        {"redis://:s3cret%2@cache", "hexadecimal"},
        {"redis://:s3cret%g0@cache", "hexadecimal"},
        {"redis://:s3cret%00@cache", "hexadecimal"},
        {"redis://us%er:s3cret@cache", "hexadecimal"},
        {"redis://:s3/cret@cache", "%2F"},
        {"redis://:s3cret@cache:", "the port"},
        {"redis://:s3cret@cache:0", "the port"},
        {"redis://:s3cret@cache:65536", "the port"},
        {"redis://:s3cret@cache:+1", "the port"},
        {"redis://:s3cret@cache:99999999999999999999", "the port"},
        {"redis://me:s3cret", "the port"},
        {"redis://:s3cret@::1", "a host"},
        {"redis://:s3cret@fe80::1", "the port"},
        {"redis://:s3cret@[::1", "IPv6"},
        {"redis://:s3cret@[::1]6379", "IPv6"},
        {"redis://:s3cret@[]:6379", "IPv6"},
        {"redis://:s3cret@cache/1024", "the database"},
        {"redis://:s3cret@cache/-1", "the database"},
        {"redis://:s3cret@cache/one", "the database"},
        {"redis://:s3cret@cache/1/2", "the database"},
        {"unix://", "whole path"},
        {"unix://s3cret", "whole path"},
        {"unix://s3cret@/run", "user:password"},
        {"unix://:s3/cret@/run", "no host"},
        {"unix:///run?s3cret", "db=N alone"},
        {"unix:///run?db=s3cret", "the database"},
        {"unix:///run%zz", "in the path"},
        {"unix:///"
         "0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
         "2345678901234567890123456",
         "107 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct redis_options read = {.host = "old", .port = 9};
        const struct redis_options before = read;
        struct kol_error err = {0};
        struct arena arena;
        arena_init(&arena, 0);
        assert_int_equal(redis_read_url(str_of(cases[i].url), &arena, &read, &err), KOL_INVALID);
        if (!strstr(err.message, cases[i].expected)) {
            fail_msg("%s: %s", cases[i].url, err.message);
        }
        assert_null(strstr(err.message, "s3"));
        assert_memory_equal(&read, &before, sizeof read);
        arena_free(&arena);
    }
}

static void test_options_that_cannot_be_meant(void **state)
{
    (void)state;
    static const struct {
        struct redis_options options;
        enum kol_status expected;
    } cases[] = {
        {{.port = -1}, KOL_INVALID},
        {{.port = 65536}, KOL_INVALID},
        {{.db = -1}, KOL_INVALID},
        {{.connect_us = -1}, KOL_INVALID},
        {{.answer_us = INT64_MAX}, KOL_INVALID},
        {{.connections = -1}, KOL_INVALID},
        /* Nobody who speaks of certificates is left without TLS. */
        {{.tls_ca = "ca.pem"}, KOL_INVALID},
        {{.tls_name = "cache"}, KOL_INVALID},
        {{.tls_insecure = true}, KOL_INVALID},
        {{.tls_certificate = "own.pem", .tls_key = "own.key"}, KOL_INVALID},
        {{.tls = true, .tls_key = "own.key"}, KOL_INVALID},
        {{.tls = true, .tls_certificate = "own.pem"}, KOL_INVALID},
        {{.tls = true, .path = "/run/redis.sock"}, KOL_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kol_error err = {0};
        struct redis *redis = NULL;
        assert_int_equal(redis_open(&cases[i].options, &redis, &err), cases[i].expected);
        assert_null(redis);
        assert_true(strlen(err.message) > 10);
    }
}

static void test_tls_is_refused_where_it_is_not_built_in(void **state)
{
    (void)state;
    const bool built_in = redis_speaks_tls();
    struct kol_error err = {0};
    struct redis *redis = NULL;
    assert_int_equal(redis_open(&(struct redis_options){.tls = true}, &redis, &err),
                     built_in ? KOL_OK : KOL_UNSUPPORTED);
    assert_non_null(strstr(redis_library(), built_in ? " with TLS" : " without TLS"));
    if (built_in) {
        assert_string_equal(redis_name(redis), "tls:127.0.0.1:6379/0");
    } else {
        assert_non_null(strstr(err.message, "TLS"));
        assert_null(redis);
    }
    redis_close(&redis);
    const struct redis_options nowhere = {.tls = true, .tls_ca = "/nonexistent/ca.pem"};
    assert_int_equal(redis_open(&nowhere, &redis, &err), built_in ? KOL_INVALID : KOL_UNSUPPORTED);
    assert_null(redis);
    assert_true(!built_in || strstr(err.message, "/nonexistent/ca.pem"));
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        struct redis_options options;
        const char *expected;
    } cases[] = {
        {{.password = "s3cret"}, "127.0.0.1:6379/0"},
        {{.host = "cache", .port = 7000, .db = 3, .user = "me"}, "cache:7000/3"},
        {{.host = "::1"}, "[::1]:6379/0"},
        {{.path = "/run/redis.sock", .host = "cache", .db = 1}, "unix:/run/redis.sock/1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct redis *redis = NULL;
        assert_int_equal(redis_open(&cases[i].options, &redis, NULL), KOL_OK);
        assert_string_equal(redis_name(redis), cases[i].expected);
        redis_close(&redis);
        redis_close(&redis);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_addresses),
        cmocka_unit_test(test_bad_addresses_are_explained_and_not_repeated),
        cmocka_unit_test(test_options_that_cannot_be_meant),
        cmocka_unit_test(test_tls_is_refused_where_it_is_not_built_in),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
