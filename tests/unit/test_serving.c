/*
 * test_serving.c: models are swapped under those who use them: none fails, none sees a mix, and a
 * broken version leaves the old one serving.
 */
#include "registry_fixture.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

static char version[32];

/* Raw scores name the version they came from: made models add `value` in each tree. */
static bool answers(const struct score_model *model, enum score_kind kind)
{
    double row[TRUST_FEATURES] = {1, 9, NAN, 5.5, 0};
    char name[80];
    double raw = gbdt_raw(model->gbdt, row);
    snprintf(name, sizeof name, "%s/%d", score_kind_name(kind), (int)lround(raw / MADE_TREES));
    return strcmp(name, model->version) == 0;
}

static void add_and_promote(struct registry *registry, enum score_kind kind, double value)
{
    assert_ok(add_model(registry, kind, value, version));
    assert_ok(registry_alias(registry, score_kind_name(kind), REGISTRY_PRODUCTION, version, &err));
}

static void assert_serves(struct serving *serving, const char *trust, const char *success)
{
    const struct score_models *models = serving_take(serving);
    assert_string_equal(models->by_kind[SCORE_TRUST].version, trust);
    assert_string_equal(models->by_kind[SCORE_SUCCESS].version, success);
    serving_drop(serving, models);
}

static void test_a_moved_alias_swaps_and_what_was_taken_stays(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct serving *serving;
    bool swapped;
    add_and_promote(registry, SCORE_TRUST, 1);
    assert_ok(serving_open(registry, &serving, &err));
    assert_serves(serving, "trust/1", "none");
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_false(swapped);
    const struct score_models *old = serving_take(serving);
    add_and_promote(registry, SCORE_TRUST, 2);
    add_and_promote(registry, SCORE_SUCCESS, 1);
    assert_serves(serving, "trust/1", "none"); /* not before a refresh */
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_true(swapped);
    assert_serves(serving, "trust/2", "success/1");
    assert_string_equal(old->by_kind[SCORE_TRUST].version, "trust/1");
    assert_true(answers(&old->by_kind[SCORE_TRUST], SCORE_TRUST));
    serving_drop(serving, old);
    assert_ok(registry_rollback(registry, "trust", REGISTRY_PRODUCTION, version, NULL, &err));
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_true(swapped);
    assert_serves(serving, "trust/1", "success/1");
    serving_close(&serving);
    registry_close(&registry);
}

static void break_file(const char *name)
{
    char *path = file_join(folder, name);
    assert_ok(file_replace(path, STR("broken\n"), &err));
    free(path);
}

static void test_a_broken_version_leaves_the_old_one_and_is_said_once(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct serving *serving;
    bool swapped;
    add_and_promote(registry, SCORE_TRUST, 1);
    assert_ok(serving_open(registry, &serving, &err));
    add_and_promote(registry, SCORE_TRUST, 2);
    add_and_promote(registry, SCORE_SUCCESS, 1);
    break_file("models/trust/2/model.txt");
    assert_int_equal(serving_refresh(serving, &swapped, &err), KOL_CORRUPT);
    assert_non_null(strstr(err.message, "models/trust/2/model.txt"));
    assert_non_null(strstr(err.message, "trust/1 goes on serving"));
    assert_true(swapped); /* the other kind is not held up */
    assert_serves(serving, "trust/1", "success/1");
    assert_ok(serving_refresh(serving, &swapped, &err)); /* said once */
    assert_false(swapped);
    assert_serves(serving, "trust/1", "success/1");
    struct buf text = make_model(SCORE_TRUST, 2); /* mended */
    char *path = file_join(folder, "models/trust/2/model.txt");
    assert_ok(file_replace(path, buf_str(&text), &err));
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_true(swapped);
    assert_serves(serving, "trust/2", "success/1");
    break_file("models/trust/aliases.json");
    assert_int_equal(serving_refresh(serving, &swapped, &err), KOL_CORRUPT);
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_serves(serving, "trust/2", "success/1");
    buf_free(&text);
    free(path);
    serving_close(&serving);
    assert_int_equal(serving_open(registry, &serving, &err), KOL_CORRUPT);
    assert_null(serving);
    registry_close(&registry);
}

static void test_a_note_that_is_mended_is_seen(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct serving *serving;
    struct buf note = {0};
    bool swapped;
    add_and_promote(registry, SCORE_TRUST, 1);
    assert_ok(serving_open(registry, &serving, &err));
    add_and_promote(registry, SCORE_TRUST, 2);
    char *path = file_join(folder, "models/trust/2/version.json");
    assert_ok(file_read(path, 1 << 20, &note, &err));
    break_file("models/trust/2/version.json");
    assert_int_equal(serving_refresh(serving, &swapped, &err), KOL_CORRUPT);
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_serves(serving, "trust/1", "none");
    assert_ok(file_replace(path, buf_str(&note), &err));
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_true(swapped);
    assert_serves(serving, "trust/2", "none");
    buf_free(&note);
    free(path);
    serving_close(&serving);
    registry_close(&registry);
}

/* With no descriptor left nothing can be opened, while the files stay as they are. */
static void test_what_the_system_refused_is_tried_again(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct serving *serving;
    struct rlimit limit;
    bool swapped;
    add_and_promote(registry, SCORE_TRUST, 1);
    assert_ok(serving_open(registry, &serving, &err));
    add_and_promote(registry, SCORE_TRUST, 2);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, limit.rlim_max}), 0);
    enum kol_status first = serving_refresh(serving, &swapped, &err);
    enum kol_status second = serving_refresh(serving, &swapped, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(first, KOL_IO);
    assert_int_equal(second, KOL_IO);
    assert_serves(serving, "trust/1", "none");
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_true(swapped);
    assert_serves(serving, "trust/2", "none");
    /* A model that is a folder for a while can be opened and not be read. */
    add_and_promote(registry, SCORE_TRUST, 3);
    char *path = file_join(folder, "models/trust/3/model.txt");
    char *aside = file_join(folder, "aside");
    assert_int_equal(rename(path, aside), 0);
    assert_ok(file_make_dir(path, &err));
    assert_int_equal(serving_refresh(serving, &swapped, &err), KOL_IO);
    assert_int_equal(serving_refresh(serving, &swapped, &err), KOL_IO);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_serves(serving, "trust/3", "none");
    assert_ok(serving_refresh(serving, &swapped, &err));
    assert_false(swapped);
    free(aside);
    free(path);
    serving_close(&serving);
    registry_close(&registry);
}

static void test_more_versions_in_use_than_there_is_room_for_wait(void **state)
{
    (void)state;
    enum { HELD = 90 }; /* the room is for 64 */
    const struct score_models *held[HELD];
    struct registry *registry = open_registry();
    struct serving *serving;
    bool swapped;
    int full = 0;
    add_and_promote(registry, SCORE_SUCCESS, 1);
    add_and_promote(registry, SCORE_SUCCESS, 2);
    assert_ok(serving_open(registry, &serving, &err));
    for (int i = 0; i < HELD; i++) {
        held[i] = serving_take(serving);
        assert_ok(
            registry_alias(registry, "success", REGISTRY_PRODUCTION, i % 2 ? "2" : "1", &err));
        enum kol_status status = serving_refresh(serving, &swapped, &err);
        assert_true(swapped == (status == KOL_OK));
        full += status == KOL_CONFLICT;
    }
    assert_true(full > 0 && full < HELD / 2);
    for (int i = 0; i < HELD; i++) {
        assert_true(answers(&held[i]->by_kind[SCORE_SUCCESS], SCORE_SUCCESS));
        serving_drop(serving, held[i]);
    }
    assert_ok(serving_refresh(serving, &swapped, &err));
    const struct score_models *now = serving_take(serving);
    assert_string_equal(now->by_kind[SCORE_SUCCESS].version, "success/2");
    serving_drop(serving, now);
    serving_close(&serving);
    registry_close(&registry);
}

/* ---- threads ---- */

enum { READERS = 3, SWAPS = 60 };

struct load {
    struct serving *serving;
    atomic_bool stop;
    atomic_int predictions, mixed;
};

static void *predict(void *user)
{
    struct load *load = user;
    while (!atomic_load(&load->stop)) {
        const struct score_models *models = serving_take(load->serving);
        bool good = answers(&models->by_kind[SCORE_TRUST], SCORE_TRUST) &&
                    answers(&models->by_kind[SCORE_SUCCESS], SCORE_SUCCESS);
        atomic_fetch_add(&load->mixed, !good);
        serving_drop(load->serving, models);
        atomic_fetch_add(&load->predictions, 1);
    }
    return NULL;
}

static void *refresh(void *user)
{
    struct load *load = user;
    bool swapped;
    while (!atomic_load(&load->stop)) {
        if (serving_refresh(load->serving, &swapped, NULL) != KOL_OK) {
            atomic_fetch_add(&load->mixed, 1);
        }
        usleep(500);
    }
    return NULL;
}

/* Both kinds move while readers predict, so that old versions are let go by any thread. */
static void test_promotions_under_load_fail_no_prediction_and_mix_none(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct load load = {0};
    pthread_t threads[READERS + 2];
    int swaps = 0;
    for (int i = 1; i <= 3; i++) {
        assert_ok(add_model(registry, SCORE_TRUST, i, version));
        assert_ok(add_model(registry, SCORE_SUCCESS, i, version));
    }
    assert_ok(registry_alias(registry, "trust", REGISTRY_PRODUCTION, "1", &err));
    assert_ok(registry_alias(registry, "success", REGISTRY_PRODUCTION, "1", &err));
    assert_ok(serving_open(registry, &load.serving, &err));
    for (int i = 0; i < READERS + 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i < READERS ? predict : refresh, &load),
                         0);
    }
    for (int i = 0; i < SWAPS || atomic_load(&load.predictions) < 1000; i++) {
        bool swapped;
        char which[8];
        snprintf(which, sizeof which, "%d", i % 3 + 1);
        assert_ok(registry_alias(registry, i % 2 ? "trust" : "success", REGISTRY_PRODUCTION, which,
                                 &err));
        assert_ok(serving_refresh(load.serving, &swapped, &err));
        swaps += swapped;
    }
    atomic_store(&load.stop, true);
    for (int i = 0; i < READERS + 2; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&load.mixed), 0);
    assert_true(atomic_load(&load.predictions) >= 1000);
    assert_true(swaps > 0);
    serving_close(&load.serving);
    registry_close(&registry);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_a_moved_alias_swaps_and_what_was_taken_stays),
        TEST(test_a_broken_version_leaves_the_old_one_and_is_said_once),
        TEST(test_a_note_that_is_mended_is_seen),
        TEST(test_what_the_system_refused_is_tried_again),
        TEST(test_more_versions_in_use_than_there_is_room_for_wait),
        TEST(test_promotions_under_load_fail_no_prediction_and_mix_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
