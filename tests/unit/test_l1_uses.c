/* test_l1_uses.c: the cache in the process tells what it is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cache/l1.h"

enum { KEYS = 200 };

static int64_t now_us = 1000000;

static int64_t tell_now(void *user)
{
    (void)user;
    return now_us;
}

static struct l1 *make(void)
{
    return l1_new(&(struct l1_options){.max_bytes = 1 << 20, .now_us = tell_now});
}

static struct str name_of(char *out, int key)
{
    return (struct str){out, (size_t)snprintf(out, 24, "key:%d", key)};
}

static void fill(struct l1 *l1, int key)
{
    static const struct l1_life life = {.fresh_us = 1000, .stale_us = 1000};
    char text[24], tag_text[24];
    struct l1_load *load = NULL;
    struct l1_entry *entry = NULL;
    const struct str name = name_of(text, key);
    const struct str own[] = {STR("all"),
                              {tag_text, (size_t)snprintf(tag_text, 24, "tag:%d", key)}};
    assert_int_equal(l1_join(l1, name, NULL, &load, &entry), L1_LOAD);
    assert_null(l1_fill(load, (struct l1_value){.bytes = 10}, &life, own, 2));
}

static enum l1_found get(struct l1 *l1, int key)
{
    char text[24];
    struct l1_entry *entry;
    const enum l1_found found = l1_get(l1, name_of(text, key), &entry);
    if (entry) {
        l1_release(entry);
    }
    return found;
}

struct told {
    double uses[KEYS];
    double sum;
    int count;
};

static void tell(struct str key, const struct str *tags, size_t tag_count, double uses, void *user)
{
    struct told *told = user;
    char text[24], tag[24];
    int number = -1;
    assert_true(key.len < 24);
    memcpy(text, key.ptr, key.len);
    text[key.len] = '\0';
    assert_int_equal(sscanf(text, "key:%d", &number), 1);
    snprintf(tag, sizeof tag, "tag:%d", number);
    assert_int_equal(tag_count, 2);
    assert_true(str_is(tags[0], "all"));
    assert_true(str_is(tags[1], tag));
    assert_true(told->uses[number] == 0);
    told->uses[number] = uses;
    told->sum += uses;
    told->count++;
}

static struct told take(struct l1 *l1)
{
    struct told told = {0};
    l1_take_uses(l1, tell, &told);
    return told;
}

static void few_uses_are_told_exactly_and_once(void **state)
{
    struct l1 *l1 = make();
    (void)state;
    assert_int_equal(take(l1).count, 0);
    fill(l1, 1);
    fill(l1, 2);
    fill(l1, 3);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(get(l1, 1), L1_HIT);
    }
    assert_int_equal(get(l1, 3), L1_HIT);
    struct told told = take(l1);
    assert_int_equal(told.count, 2);
    assert_true(told.uses[1] == 5 && told.uses[3] == 1);
    assert_int_equal(take(l1).count, 0);
    /* And again after that. */
    assert_int_equal(get(l1, 2), L1_HIT);
    told = take(l1);
    assert_int_equal(told.count, 1);
    assert_true(told.uses[2] == 1);
    l1_free(&l1);
}

static void misses_that_were_filled_and_stale_hits_are_uses(void **state)
{
    struct l1 *l1 = make();
    (void)state;
    assert_int_equal(get(l1, 1), L1_MISS);
    assert_int_equal(get(l1, 2), L1_MISS);
    fill(l1, 1);
    now_us += 1500;
    assert_int_equal(get(l1, 1), L1_REFRESH);
    struct told told = take(l1);
    assert_int_equal(told.count, 1); /* what came to nothing is not told */
    assert_true(told.uses[1] == 2);
    l1_free(&l1);
}

static void many_uses_are_told_by_a_sample(void **state)
{
    struct l1 *l1 = make();
    (void)state;
    for (int i = 0; i < KEYS; i++) {
        fill(l1, i);
    }
    for (int round = 0; round < 3; round++) {
        /* A tenth of the keys get half of the requests; always in the same order of 32, of which a
         * fixed step would see one. */
        int sum = 0;
        for (int i = 0; i < 200000; i++, sum++) {
            const int key = i % 32 < 16 ? i % 16 : 16 + i / 32 % (KEYS - 16);
            assert_int_equal(get(l1, key), L1_HIT);
        }
        struct told told = take(l1);
        double hot = 0;
        for (int i = 0; i < 16; i++) {
            assert_true(told.uses[i] > 1000);
            hot += told.uses[i];
        }
        assert_true(fabs(told.sum - sum) < 200);
        assert_true(hot > 0.4 * sum && hot < 0.6 * sum);
    }
    l1_free(&l1);
}

/* ---- threads ---- */

static struct l1 *shared;
static atomic_bool stop;
static _Atomic int64_t asked;

static void *ask(void *user)
{
    (void)user;
    while (!atomic_load(&stop)) {
        for (int i = 0; i < 1000; i++) {
            get(shared, i % KEYS);
        }
        atomic_fetch_add(&asked, 1000);
    }
    return NULL;
}

static void threads_are_asked_while_their_notes_are_gathered(void **state)
{
    pthread_t threads[3];
    double sum = 0;
    (void)state;
    shared = make();
    for (int i = 0; i < KEYS; i++) {
        fill(shared, i);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
    }
    while (atomic_load(&asked) < 600000) {
        sum += take(shared).sum;
        l1_drop_key(shared, STR("key:7"));
        fill(shared, 7);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    sum += take(shared).sum;
    const double total = (double)atomic_load(&asked);
    /* A key that is out when it is told of is lost, and a round may have ended half. */
    assert_true(sum > 0.7 * total && sum < 1.1 * total + 4000);
    l1_free(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_uses_are_told_exactly_and_once),
        cmocka_unit_test(misses_that_were_filled_and_stale_hits_are_uses),
        cmocka_unit_test(many_uses_are_told_by_a_sample),
        cmocka_unit_test(threads_are_asked_while_their_notes_are_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
