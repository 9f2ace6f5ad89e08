/*
 * test_serve_ahead.c: keys that will be asked for are written anew before they expire, with a real
 * redis-server.
 */
#include "redis_server_fixture.h"

#include "serve/ahead.h"

static int64_t asked; /* values that the source made */

static enum kol_status by_key(void *user, struct str key, struct arena *arena,
                              struct warm_item *out, struct kol_error *err)
{
    static const struct serve_field fields[] = {{STR("kol_id"), STR("x")},
                                                {STR("followers_count"), STR("7")}};
    (void)user;
    (void)arena;
    if (str_is(key, "kol:profile:nobody")) {
        return kol_fail(err, KOL_NOT_FOUND, "nobody");
    }
    asked++;
    if (str_starts(key, STR("kol:top:"))) { /* a list of nobody */
        *out = (struct warm_item){.kind = SERVE_KEY_TOP_FOLLOWERS, .key = key};
        return KOL_OK;
    }
    *out = (struct warm_item){
        .kind = SERVE_KEY_PROFILE, .key = key, .fields = fields, .field_count = ARRAY_LEN(fields)};
    return KOL_OK;
}

static const struct warm_source source = {.snapshot = 3, .by_key = by_key};

/* A key of the fixture's, spelled for the test alone. */
static struct str profile(char *room, size_t size, const char *id)
{
    struct buf text = {0};
    const struct str part = str_of(id);
    serve_key_put(&text, SERVE_KEY_PROFILE, &part);
    snprintf(room, size, "%s", text.ptr);
    buf_free(&text);
    return str_of(room);
}

static int64_t number_of(struct redis *redis, const char *words, struct str key)
{
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, words, key);
    run_pipe(pipe);
    const int64_t number = redis_answer(pipe, 0)->number;
    redis_pipe_free(&pipe);
    return number;
}

static struct ahead_report run(struct redis *redis, const struct heat *heat, size_t keys)
{
    struct kol_error err;
    struct ahead_report report;
    const struct ahead_options options = {
        .redis = redis, .heat = heat, .keys = keys, .horizon_us = INT64_C(120) * 1000000};
    assert_int_equal(ahead_run(&source, &options, &report, &err), KOL_OK);
    return report;
}

/* Two uses, a second apart: the next one is expected at once. */
static int64_t test_now_us;

static int64_t test_clock(void *user)
{
    (void)user;
    return test_now_us;
}

static struct heat *hot(const char *const *ids, size_t count)
{
    char room[64];
    struct heat *heat = heat_new(&(struct heat_options){.now_us = test_clock});
    test_now_us = clock_now_us() - 1000000;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            heat_add(heat, profile(room, sizeof room, ids[i]), 5);
        }
        test_now_us += 1000000;
    }
    return heat;
}

static void test_what_ends_soon_and_is_wanted_lives_on(void **state)
{
    (void)state;
    static const char *const ids[] = {"ending", "gone", "nobody"};
    char ending[64], gone[64], nobody[64];
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    struct heat *heat = hot(ids, 3);
    profile(ending, sizeof ending, "ending");
    profile(gone, sizeof gone, "gone");
    profile(nobody, sizeof nobody, "nobody");
    number_of(redis, "HSET %S snapshot 3", str_of(ending));
    number_of(redis, "PEXPIRE %S 30000", str_of(ending));
    const struct ahead_report report = run(redis, heat, 0);
    assert_int_equal(report.looked_at, 3);
    assert_int_equal(report.kept, 1);    /* as new was there: it lives on */
    assert_int_equal(report.written, 1); /* the one that was gone */
    assert_true(number_of(redis, "PTTL %S", str_of(ending)) > 3000000);
    assert_true(number_of(redis, "PTTL %S", str_of(gone)) > 3000000);
    assert_int_equal(number_of(redis, "EXISTS %S", str_of(nobody)), 0);
    heat_free(&heat);
    redis_close(&redis);
}

static void test_what_lives_long_enough_is_left_alone(void **state)
{
    (void)state;
    static const char *const ids[] = {"long"};
    char room[64];
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    struct heat *heat = hot(ids, 1);
    const struct str key = profile(room, sizeof room, "long");
    number_of(redis, "HSET %S snapshot 3", key);
    number_of(redis, "PEXPIRE %S 600000", key);
    asked = 0;
    const struct ahead_report report = run(redis, heat, 0);
    assert_int_equal(report.looked_at, 1);
    assert_int_equal(report.kept + report.written, 0);
    assert_int_equal(asked, 0);
    assert_true(number_of(redis, "PTTL %S", key) <= 600000);
    heat_free(&heat);
    redis_close(&redis);
}

static void test_what_nobody_will_ask_for_may_end(void **state)
{
    (void)state;
    char room[64];
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    struct heat *heat = heat_new(&(struct heat_options){.now_us = test_clock});
    const struct str key = profile(room, sizeof room, "rare");
    test_now_us = clock_now_us() - INT64_C(36) * 3600 * 1000000;
    heat_add(heat, key, 1);
    test_now_us = clock_now_us(); /* once in 36 hours */
    heat_add(heat, key, 1);
    number_of(redis, "HSET %S snapshot 3", key);
    number_of(redis, "PEXPIRE %S 30000", key);
    asked = 0;
    run(redis, heat, 0);
    assert_int_equal(asked, 0);
    heat_free(&heat);
    redis_close(&redis);
}

static void test_what_is_always_to_be_there_lives_on(void **state)
{
    (void)state;
    char always[3][64];
    const struct str keys[] = {profile(always[0], 64, "quiet"), profile(always[1], 64, "away"),
                               profile(always[2], 64, "lasting")};
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    struct heat *heat = hot(NULL, 0);
    struct kol_error err;
    struct ahead_report report;
    const struct ahead_options how = {.redis = redis,
                                      .heat = heat,
                                      .horizon_us = INT64_C(120) * 1000000,
                                      .always = keys,
                                      .always_count = ARRAY_LEN(keys)};
    number_of(redis, "HSET %S snapshot 3", keys[0]);
    number_of(redis, "PEXPIRE %S 30000", keys[0]);
    number_of(redis, "HSET %S snapshot 3", keys[2]);
    number_of(redis, "PEXPIRE %S 200000", keys[2]);
    assert_int_equal(ahead_run(&source, &how, &report, &err), KOL_OK);
    assert_int_equal(report.looked_at, 3);
    assert_int_equal(report.kept, 1);
    assert_int_equal(report.written, 1);
    assert_true(number_of(redis, "PTTL %S", keys[0]) > 3000000);
    assert_true(number_of(redis, "PTTL %S", keys[1]) > 3000000);
    assert_true(number_of(redis, "PTTL %S", keys[2]) <= 200000);
    heat_free(&heat);
    redis_close(&redis);
}

static void test_an_empty_set_is_there_by_its_sibling(void **state)
{
    (void)state;
    struct buf set = {0}, meta = {0};
    const struct str parts[] = {STR("tiktok"), STR("100")};
    const struct redis_options options = over_socket(&server);
    struct redis *redis = open_redis(&options);
    struct heat *heat = hot(NULL, 0);
    struct kol_error err;
    struct ahead_report report;
    serve_key_put(&set, SERVE_KEY_TOP_FOLLOWERS, parts);
    serve_key_put_meta(&meta, buf_str(&set));
    const struct str key = buf_str(&set);
    const struct ahead_options how = {
        .redis = redis, .heat = heat, .horizon_us = 120000000, .always = &key, .always_count = 1};
    asked = 0;
    for (int round = 0; round < 3; round++) { /* made once */
        assert_int_equal(ahead_run(&source, &how, &report, &err), KOL_OK);
        assert_int_equal(report.written, round == 0);
        assert_int_equal(asked, 1);
        assert_int_equal(number_of(redis, "EXISTS %S", key), 0);
        assert_true(number_of(redis, "PTTL %S", buf_str(&meta)) > 800000);
    }
    number_of(redis, "PEXPIRE %S 30000", buf_str(&meta)); /* it ends soon */
    assert_int_equal(ahead_run(&source, &how, &report, &err), KOL_OK);
    assert_int_equal(asked, 2);
    assert_true(number_of(redis, "PTTL %S", buf_str(&meta)) > 800000);
    number_of(redis, "HSET %S members 3", buf_str(&meta)); /* its members are gone */
    assert_int_equal(ahead_run(&source, &how, &report, &err), KOL_OK);
    assert_int_equal(asked, 3);
    heat_free(&heat);
    redis_close(&redis);
    buf_free(&set);
    buf_free(&meta);
}

static void test_redis_that_is_gone_is_told(void **state)
{
    (void)state;
    static const char *const ids[] = {"ending"};
    struct kol_error err;
    struct ahead_report report;
    const struct redis_options options = {.path = "/nonexistent/redis.sock"};
    struct redis *redis = open_redis(&options);
    struct heat *heat = hot(ids, 1);
    const struct ahead_options how = {.redis = redis, .heat = heat, .horizon_us = 120000000};
    assert_int_not_equal(ahead_run(&source, &how, &report, &err), KOL_OK);
    heat_free(&heat);
    redis_close(&redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_ends_soon_and_is_wanted_lives_on),
        cmocka_unit_test(test_what_lives_long_enough_is_left_alone),
        cmocka_unit_test(test_what_nobody_will_ask_for_may_end),
        cmocka_unit_test(test_what_is_always_to_be_there_lives_on),
        cmocka_unit_test(test_an_empty_set_is_there_by_its_sibling),
        cmocka_unit_test(test_redis_that_is_gone_is_told),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
