/* test_api_cached.c: one load for each key, stale answers, failures, and calls that leave. */
#include "api_fixture.h"

enum { CLIENTS = 1000, ROOM = 2048 };

static int64_t joined(struct served *served)
{
    struct l1_stats stats;
    l1_stats(served->api.l1, &stats);
    return stats.joined;
}

/* All ask before the load may end. */
static void ask_together(struct served *served, int *fds, const char *path)
{
    atomic_store(&loader.closed, true);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_open(served);
        client_send(fds[i], path);
    }
    WAIT_FOR(joined(served) >= CLIENTS - 1);
    atomic_store(&loader.closed, false);
}

static void test_a_thousand_calls_are_one_load(void **state)
{
    (void)state;
    struct served served;
    static int fds[CLIENTS];
    char answer[ROOM];
    served_start(&served, 20000000);
    ask_together(&served, fds, "/things/1");
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(client_read(fds[i], answer, sizeof answer), 200);
        assert_non_null(strstr(answer, "{\"load\":1}"));
    }
    assert_int_equal(loader.loads, 1);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "Cache-Status: kol-l1; hit; ttl="));
    assert_int_equal(loader.loads, 1);
    served_stop(&served);
}

static void test_a_failed_load_ends_all_and_is_kept_by_nobody(void **state)
{
    (void)state;
    struct served served;
    static int fds[CLIENTS];
    char answer[ROOM];
    served_start(&served, 20000000);
    atomic_store(&loader.answer, 503);
    ask_together(&served, fds, "/things/1");
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(client_read(fds[i], answer, sizeof answer), 503);
        assert_null(strstr(answer, "the origin is down")); /* goes to the log alone */
    }
    assert_int_equal(loader.loads, 1);
    atomic_store(&loader.answer, 200);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 200);
    assert_int_equal(loader.loads, 2);
    served_stop(&served);
}

static void test_a_stale_answer_goes_out_while_one_load_runs(void **state)
{
    (void)state;
    struct served served;
    char answer[ROOM];
    const int64_t start_us = INT64_C(1750000000000000);
    served_start(&served, 20000000);
    clock_fix(start_us);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 200);
    clock_fix(start_us + 70 * CLOCK_US_PER_SECOND);
    atomic_store(&loader.closed, true);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 200);
        assert_non_null(strstr(answer, "{\"load\":1}"));
        assert_non_null(strstr(answer, "kol-l1; hit; ttl=-"));
    }
    WAIT_FOR(loader.loads == 2);
    atomic_store(&loader.closed, false);
    WAIT_FOR(ask(&served, "/things/1", answer, sizeof answer) == 200 &&
             strstr(answer, "{\"load\":2}"));
    assert_int_equal(loader.loads, 2);
    served_stop(&served);
}

static void test_a_stale_answer_stands_in_for_a_failed_load(void **state)
{
    (void)state;
    struct served served;
    static int fds[CLIENTS];
    char answer[ROOM];
    const int64_t start_us = INT64_C(1750000000000000);
    served_start(&served, 20000000);
    clock_fix(start_us);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 200);
    clock_fix(start_us + 300 * CLOCK_US_PER_SECOND); /* behind fresh and stale */
    atomic_store(&loader.answer, 503);
    ask_together(&served, fds, "/things/1");
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(client_read(fds[i], answer, sizeof answer), 200);
        assert_non_null(strstr(answer, "{\"load\":1}"));
        assert_non_null(strstr(answer, "detail=load-failed"));
    }
    assert_int_equal(loader.loads, 2);
    clock_fix(start_us + 800 * CLOCK_US_PER_SECOND); /* behind all of it */
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 503);
    served_stop(&served);
}

static void test_a_404_is_kept_for_a_moment_other_problems_not(void **state)
{
    (void)state;
    struct served served;
    char answer[ROOM];
    const int64_t start_us = INT64_C(1750000000000000);
    served_start(&served, 20000000);
    clock_fix(start_us);
    atomic_store(&loader.answer, 404);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 404);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 404);
    assert_int_equal(loader.loads, 1);
    clock_fix(start_us + 6 * CLOCK_US_PER_SECOND); /* not stale for ever either */
    atomic_store(&loader.answer, 422);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 422);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 422);
    assert_int_equal(loader.loads, 3);
    served_stop(&served);
}

static void test_what_depends_on_a_user_is_made_each_time(void **state)
{
    (void)state;
    struct served served;
    char answer[ROOM];
    served_start(&served, 20000000);
    assert_int_equal(ask(&served, "/things/1?note=ana", answer, sizeof answer), 200);
    assert_int_equal(ask(&served, "/things/1?note=ana", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "Cache-Status: kol-l1; fwd=bypass"));
    assert_non_null(strstr(answer, "Cache-Control: no-store"));
    assert_int_equal(loader.loads, 2);
    served_stop(&served);
}

static void test_a_dropped_tag_takes_the_answer_along(void **state)
{
    (void)state;
    struct served served;
    char answer[ROOM];
    served_start(&served, 20000000);
    atomic_store(&loader.tagged, true);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 200);
    assert_int_equal(l1_drop_tag(served.api.l1, STR("thing:1")), 1);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "{\"load\":2}"));
    served_stop(&served);
}

static void assert_thing(struct served *served, const char *body, const char *said)
{
    char answer[ROOM];
    assert_int_equal(ask(served, "/things/1", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, body));
    assert_non_null(strstr(answer, said));
}

/* A weak answer is given where the one from before tells of nothing newer, else that one is. */
static void test_a_weak_answer_takes_back_nothing(void **state)
{
    (void)state;
    struct served served;
    const int64_t start_us = INT64_C(1750000000000000);
    served_start(&served, 20000000);
    clock_fix(start_us);
    atomic_store(&loader.tagged, true);
    atomic_store(&loader.of, 5);
    assert_thing(&served, "{\"load\":1}", "kol-l1; fwd=miss; stored");
    clock_fix(start_us + 3 * CLOCK_US_PER_SECOND);
    assert_int_equal(l1_outdate_tag(served.api.l1, STR("thing:1")), 1);
    atomic_store(&loader.weak, true);
    atomic_store(&loader.of, 4);
    assert_thing(&served, "{\"load\":1}", "kol-l1; hit; ttl=0; detail=redis-not-asked\r\n");
    assert_int_equal(loader.loads, 2);
    clock_fix(start_us + 3050000);
    assert_thing(&served, "{\"load\":1}", "kol-l1; hit; ttl=-1\r\n"); /* for a tenth of a second */
    assert_thing(&served, "{\"load\":1}", "Cache-Control: no-cache\r\n");
    assert_thing(&served, "{\"load\":1}", "Age: 3\r\n");
    assert_int_equal(loader.loads, 2);
    clock_fix(start_us + 3100000);
    atomic_store(&loader.of, 6);
    assert_thing(&served, "{\"load\":3}", "kol-l1; fwd=miss; stored");
    assert_thing(&served, "{\"load\":3}", "kol-l1; hit; ttl=");
    served_stop(&served);
}

/* The tag is known only when the load ends: who asked behind the drop must not get its answer. */
static void test_a_drop_during_a_load_gives_later_calls_another(void **state)
{
    (void)state;
    struct served served;
    char answer[ROOM];
    served_start(&served, 20000000);
    atomic_store(&loader.tagged, true);
    atomic_store(&loader.closed, true);
    int before = client_open(&served), behind = client_open(&served);
    client_send(before, "/things/1");
    WAIT_FOR(loader.loads == 1);
    l1_drop_tag(served.api.l1, STR("thing:1"));
    client_send(behind, "/things/1");
    WAIT_FOR(joined(&served) == 1);
    atomic_store(&loader.closed, false);
    assert_int_equal(client_read(before, answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "{\"load\":1}"));
    assert_int_equal(client_read(behind, answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "{\"load\":2}"));
    served_stop(&served);
}

static void test_each_call_keeps_its_own_deadline(void **state)
{
    (void)state;
    struct served served;
    char answer[ROOM];
    int fds[20];
    served_start(&served, 400000);
    atomic_store(&loader.closed, true);
    for (int i = 0; i < 20; i++) {
        fds[i] = client_open(&served);
        client_send(fds[i], "/things/1");
    }
    for (int i = 0; i < 20; i++) { /* the load still runs */
        assert_int_equal(client_read(fds[i], answer, sizeof answer), 504);
    }
    int late = client_open(&served);
    client_send(late, "/things/1");
    WAIT_FOR(joined(&served) == 20);
    atomic_store(&loader.closed, false);
    assert_int_equal(client_read(late, answer, sizeof answer), 200);
    assert_int_equal(loader.loads, 1);
    served_stop(&served);
}

/* The query behind a load runs as long as one call waits for it, whoever began it. */
static void test_a_load_is_given_up_when_the_last_call_left(void **state)
{
    (void)state;
    struct served served;
    char answer[ROOM];
    served_start(&served, 500000);
    atomic_store(&loader.closed, true);
    atomic_store(&loader.heeds, true);
    int first = client_open(&served), second = client_open(&served);
    client_send(first, "/things/1");
    WAIT_FOR(loader.loads == 1);
    sleep_ms(200);
    client_send(second, "/things/1");
    assert_int_equal(client_read(first, answer, sizeof answer), 504);
    assert_int_equal(loader.given_up, 0);
    assert_int_equal(client_read(second, answer, sizeof answer), 504);
    WAIT_FOR(loader.given_up == 1);
    atomic_store(&loader.closed, false);
    assert_int_equal(ask(&served, "/things/1", answer, sizeof answer), 200);
    assert_int_equal(loader.loads, 2);
    served_stop(&served);
}

enum { RACERS = 8, RACES = 300 };

struct race {
    struct served *served;
    pthread_barrier_t start;
};

static void *run_races(void *user)
{
    struct race *race = user;
    char answer[ROOM], path[32];
    for (int i = 0; i < RACES; i++) {
        snprintf(path, sizeof path, "/things/race%d", i);
        int fd = client_open(race->served);
        pthread_barrier_wait(&race->start);
        client_send(fd, path);
        assert_int_equal(client_read(fd, answer, sizeof answer), 200);
    }
    return NULL;
}

/* Loads that end while others are about to wait for them: nobody is forgotten. */
static void test_a_load_that_ends_at_once_forgets_nobody(void **state)
{
    (void)state;
    struct served served;
    struct race race = {.served = &served};
    pthread_t threads[RACERS];
    served_start(&served, 20000000);
    pthread_barrier_init(&race.start, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_races, &race), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(loader.loads, RACES);
    pthread_barrier_destroy(&race.start);
    served_stop(&served);
}

static void test_clients_that_leave_hold_nothing_up(void **state)
{
    (void)state;
    struct served served;
    char answer[ROOM];
    served_start(&served, 20000000);
    for (int round = 0; round < 20; round++) {
        int fds[50];
        char path[32];
        snprintf(path, sizeof path, "/things/%d", round);
        atomic_store(&loader.closed, true);
        for (int i = 0; i < 50; i++) {
            fds[i] = client_open(&served);
            client_send(fds[i], path);
        }
        WAIT_FOR(loader.loads == round + 1);
        for (int i = 0; i < 50; i++) {
            if (i % 10) { /* the loader's own among them, most times */
                close(fds[i]);
            }
        }
        atomic_store(&loader.closed, false);
        for (int i = 0; i < 50; i += 10) {
            assert_int_equal(client_read(fds[i], answer, sizeof answer), 200);
        }
    }
    assert_int_equal(loader.loads, 20);
    served_stop(&served); /* would wait for ever where a call was lost */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thousand_calls_are_one_load),
        cmocka_unit_test(test_a_failed_load_ends_all_and_is_kept_by_nobody),
        cmocka_unit_test(test_a_stale_answer_goes_out_while_one_load_runs),
        cmocka_unit_test(test_a_stale_answer_stands_in_for_a_failed_load),
        cmocka_unit_test(test_a_404_is_kept_for_a_moment_other_problems_not),
        cmocka_unit_test(test_what_depends_on_a_user_is_made_each_time),
        cmocka_unit_test(test_a_dropped_tag_takes_the_answer_along),
        cmocka_unit_test(test_a_weak_answer_takes_back_nothing),
        cmocka_unit_test(test_a_drop_during_a_load_gives_later_calls_another),
        cmocka_unit_test(test_each_call_keeps_its_own_deadline),
        cmocka_unit_test(test_a_load_is_given_up_when_the_last_call_left),
        cmocka_unit_test(test_a_load_that_ends_at_once_forgets_nobody),
        cmocka_unit_test(test_clients_that_leave_hold_nothing_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
