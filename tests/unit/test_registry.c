/*
 * test_registry.c: versions appear whole, aliases lose no move, and what is broken is named.
 */
#include "registry_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>

static char version[32];

static int number(const char *text)
{
    int64_t value;
    assert_true(str_to_int64(str_of(text), &value));
    return (int)value;
}

static void write_file(const char *name, const char *text)
{
    char *path = file_join(folder, name);
    assert_ok(file_replace(path, str_of(text), &err));
    free(path);
}

static struct registry_version find(struct registry *registry, struct arena *arena,
                                    const char *which)
{
    struct registry_version found;
    assert_ok(registry_find(registry, "trust", which, arena, &found, &err));
    return found;
}

/* Whether something ships depends on the project; numbered versions only. */
static size_t list_numbered(struct registry *registry, struct arena *arena,
                            struct registry_version **out)
{
    size_t count;
    assert_ok(registry_list(registry, "trust", arena, out, &count, &err));
    while (count && strcmp((*out)[count - 1].version, REGISTRY_SHIPPED) == 0) {
        count--;
    }
    return count;
}

static void test_versions_are_numbered_and_never_change(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct registry_version *all;
    struct arena arena;
    struct str bytes;
    arena_init(&arena, 0);
    assert_int_equal(list_numbered(registry, &arena, &all), 0);
    for (int i = 1; i <= 3; i++) {
        assert_ok(add_model(registry, SCORE_TRUST, i, version));
        assert_int_equal(number(version), i);
    }
    assert_int_equal(list_numbered(registry, &arena, &all), 3);
    assert_string_equal(all[0].version, "3");
    assert_string_equal(all[2].version, "1");
    assert_string_equal(all[2].source, "trained");
    assert_true(all[2].created_us > 0);
    assert_null(all[2].problem);
    assert_true(str_is(all[2].metadata, "{\"note\": \"made\"}"));
    struct buf text = make_model(SCORE_TRUST, 1);
    assert_ok(registry_file(registry, &all[2], "model.txt", &arena, &bytes, &err));
    assert_true(str_equal(bytes, buf_str(&text)));
    assert_int_equal(registry_file(registry, &all[2], "report.html", &arena, &bytes, &err),
                     KOL_NOT_FOUND);
    buf_free(&text);
    arena_free(&arena);
    registry_close(&registry);
}

static void test_a_number_is_not_given_twice(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    char command[160];
    assert_ok(add_model(registry, SCORE_TRUST, 1, version));
    assert_ok(add_model(registry, SCORE_TRUST, 2, version));
    assert_ok(registry_alias(registry, "trust", "candidate", "2", &err));
    snprintf(command, sizeof command, "rm -r '%s/models/trust/2'", folder);
    assert_int_equal(system(command), 0);
    assert_ok(add_model(registry, SCORE_TRUST, 3, version));
    assert_string_equal(version, "3");
    registry_close(&registry);
}

static void assert_refused(struct registry *registry, const char *model, const char *name,
                           const char *text, enum kol_status status, const char *why)
{
    struct buf good = make_model(SCORE_TRUST, 1);
    struct registry_file files[] = {
        {"model.txt", buf_str(&good)}, {"metadata.json", STR("{}")}, {"report.html", STR("<p>")}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (strcmp(files[i].name, name) == 0) {
            files[i].bytes = str_of(text);
        }
    }
    if (!strchr(text, '\n') && strcmp(name, "metadata.json") != 0) {
        files[2].name = name; /* a file by a name that it may not have */
    }
    assert_int_equal(
        registry_add(registry, model, "trained", files, ARRAY_LEN(files), version, &err), status);
    if (!strstr(err.message, why)) {
        fail_msg("'%s' does not say '%s'", err.message, why);
    }
    buf_free(&good);
}

static void test_what_is_no_model_for_the_name_is_refused(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct registry_version *all;
    struct arena arena;
    arena_init(&arena, 0);
    struct buf other = make_model(SCORE_SUCCESS, 1);
    assert_refused(registry, "trust", "model.txt", other.ptr, KOL_INVALID, "trust");
    assert_refused(registry, "trust", "model.txt", "no\nmodel\n", KOL_INVALID, "model.txt");
    assert_refused(registry, "trust", "metadata.json", "[]", KOL_INVALID, "metadata.json");
    assert_refused(registry, "trust", "metadata.json", "{\"a\":1,\"a\":2}", KOL_INVALID,
                   "metadata.json");
    assert_refused(registry, "trust", "../x", "x", KOL_INVALID, "../x");
    assert_refused(registry, "trust", "version.json", "x", KOL_INVALID, "version.json");
    assert_refused(registry, "trending", "report.html", "x\n", KOL_NOT_FOUND, "trust, success");
    assert_int_equal(list_numbered(registry, &arena, &all), 0);
    buf_free(&other);
    arena_free(&arena);
    registry_close(&registry);
}

static void test_an_alias_goes_back_move_by_move(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 1; i <= 3; i++) {
        assert_ok(add_model(registry, SCORE_TRUST, i, version));
    }
    assert_int_equal(registry_rollback(registry, "trust", "production", version, NULL, &err),
                     KOL_NOT_FOUND);
    assert_ok(registry_alias(registry, "trust", "production", "1", &err));
    assert_ok(registry_alias(registry, "trust", "candidate", "3", &err));
    assert_ok(registry_alias(registry, "trust", "production", "2", &err));
    assert_ok(registry_alias(registry, "trust", "production", "2", &err)); /* is no move */
    assert_ok(registry_alias(registry, "trust", "production", "candidate", &err));
    struct registry_version found = find(registry, &arena, "production");
    assert_string_equal(found.version, "3");
    assert_true(found.serves);
    assert_non_null(strstr(found.aliases, "production"));
    assert_non_null(strstr(found.aliases, "candidate"));
    assert_ok(registry_rollback(registry, "trust", "production", version, NULL, &err));
    assert_string_equal(version, "2");
    assert_ok(registry_rollback(registry, "trust", "production", version, NULL, &err));
    assert_string_equal(version, "1");
    assert_string_equal(find(registry, &arena, "production").version, "1");
    assert_ok(registry_rollback(registry, "trust", "production", version, NULL, &err));
    assert_true(version[0] == '\0' || strcmp(version, REGISTRY_SHIPPED) == 0);
    assert_false(find(registry, &arena, "1").serves);
    assert_int_equal(registry_rollback(registry, "trust", "production", version, NULL, &err),
                     KOL_NOT_FOUND);
    arena_free(&arena);
    registry_close(&registry);
}

static void remove_version(const char *number)
{
    char command[160];
    snprintf(command, sizeof command, "rm -r '%s/models/trust/%s'", folder, number);
    assert_int_equal(system(command), 0);
}

static void test_a_rollback_passes_over_what_is_gone_or_broken(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct arena arena;
    struct buf skipped = {0};
    arena_init(&arena, 0);
    for (int i = 1; i <= 4; i++) {
        assert_ok(add_model(registry, SCORE_TRUST, i, version));
        assert_ok(registry_alias(registry, "trust", "production", version, &err));
    }
    remove_version("3");
    write_file("models/trust/2/model.txt", "broken\n");
    assert_ok(registry_rollback(registry, "trust", "production", version, &skipped, &err));
    assert_string_equal(version, "1");
    assert_string_equal(find(registry, &arena, "production").version, "1");
    assert_non_null(strstr(skipped.ptr, "trust/3 is passed over: "));
    assert_non_null(strstr(skipped.ptr, "trust/2 is passed over: "));
    assert_null(strstr(skipped.ptr, "trust/1 is passed over"));
    /* 1, 4, 1, and 4 goes: there is no going back from 1 to 1. */
    assert_ok(registry_alias(registry, "trust", "other", "1", &err));
    assert_ok(registry_alias(registry, "trust", "other", "4", &err));
    assert_ok(registry_alias(registry, "trust", "other", "1", &err));
    remove_version("4");
    assert_ok(registry_rollback(registry, "trust", "other", version, NULL, &err));
    assert_string_equal(version, "");
    assert_int_equal(
        registry_find(registry, "trust", "other", &arena, &(struct registry_version){0}, &err),
        KOL_NOT_FOUND);
    buf_free(&skipped);
    arena_free(&arena);
    registry_close(&registry);
}

static void test_a_name_that_is_not_there_says_what_is(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct registry_version found;
    struct arena arena;
    arena_init(&arena, 0);
    assert_ok(add_model(registry, SCORE_TRUST, 1, version));
    assert_ok(registry_alias(registry, "trust", "candidate", "1", &err));
    assert_int_equal(registry_find(registry, "trust", "7", &arena, &found, &err), KOL_NOT_FOUND);
    assert_non_null(strstr(err.message, "1 (candidate)"));
    assert_int_equal(registry_alias(registry, "trust", "production", "../1", &err), KOL_NOT_FOUND);
    assert_int_equal(registry_alias(registry, "trust", "12", "1", &err), KOL_INVALID);
    assert_int_equal(registry_alias(registry, "trust", "a/b", "1", &err), KOL_INVALID);
    assert_int_equal(registry_alias(registry, "trust", "shipped", "1", &err), KOL_INVALID);
    arena_free(&arena);
    registry_close(&registry);
}

/* ---- what is broken ---- */

static void assert_broken(const char *file, const char *text)
{
    struct registry *registry = open_registry();
    struct registry_version *all;
    struct score_model model;
    struct arena arena;
    arena_init(&arena, 0);
    assert_ok(add_model(registry, SCORE_TRUST, 1, version));
    assert_ok(add_model(registry, SCORE_TRUST, 2, version));
    char *name = file_join("models/trust/2", file);
    if (text) {
        write_file(name, text);
    } else {
        char *path = file_join(folder, name);
        assert_int_equal(unlink(path), 0);
        free(path);
    }
    assert_int_equal(list_numbered(registry, &arena, &all), 2);
    assert_string_equal(all[0].version, "2");
    assert_null(all[1].problem);
    assert_int_equal(registry_load(registry, SCORE_TRUST, "2", &model, &err), KOL_CORRUPT);
    assert_non_null(strstr(err.message, name));
    if (strcmp(file, "model.txt") != 0) { /* which a list does not read */
        assert_non_null(strstr(all[0].problem, name));
    }
    assert_ok(registry_load(registry, SCORE_TRUST, "1", &model, &err));
    gbdt_free(&model.gbdt);
    free(name);
    arena_free(&arena);
    registry_close(&registry);
    assert_int_equal(remove_folder(NULL), 0);
    assert_int_equal(make_folder(NULL), 0);
}

static void test_a_broken_version_is_named_and_the_others_go_on(void **state)
{
    (void)state;
    assert_broken("model.txt", "tree\n");
    assert_broken("model.txt", NULL);
    struct buf other = make_model(SCORE_TRUST, 3); /* a good model of the same length */
    assert_broken("model.txt", other.ptr);
    buf_free(&other);
    assert_broken("version.json", "{");
    assert_broken("version.json", "[]");
    assert_broken("version.json", "{\"format\":1,\"model\":\"trust\",\"version\":\"1\"}");
    assert_broken("version.json", NULL);
}

static void test_broken_aliases_are_named_and_nobody_guesses_what_serves(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{",
        "[]",
        "{}",
        "{\"format\":1}",
        "{\"format\":1,\"aliases\":{\"production\":3},\"history\":[]}",
        "{\"format\":1,\"aliases\":{\"production\":{\"version\":\"1\"}},\"history\":[]}",
    };
    struct registry *registry = open_registry();
    struct registry_version *all;
    struct score_models models;
    struct arena arena;
    arena_init(&arena, 0);
    assert_ok(add_model(registry, SCORE_TRUST, 1, version));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        write_file("models/trust/aliases.json", texts[i]);
        assert_int_equal(registry_serving(registry, &models, &err), KOL_CORRUPT);
        assert_non_null(strstr(err.message, "models/trust/aliases.json"));
        assert_int_equal(registry_alias(registry, "trust", "production", "1", &err), KOL_CORRUPT);
        assert_int_equal(list_numbered(registry, &arena, &all), 1);
        assert_non_null(strstr(all[0].problem, "aliases.json"));
        size_t others;
        assert_ok(registry_list(registry, "success", &arena, &all, &others, &err));
    }
    arena_free(&arena);
    registry_close(&registry);
}

static void test_what_a_dead_writer_left_is_no_version_and_goes(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct registry_version *all;
    struct arena arena;
    arena_init(&arena, 0);
    char *path = file_join(folder, "models/trust/adding.tmp");
    assert_ok(file_make_dir(path, &err));
    write_file("models/trust/adding.tmp/model.txt", "half");
    assert_int_equal(list_numbered(registry, &arena, &all), 0);
    assert_ok(add_model(registry, SCORE_TRUST, 1, version));
    assert_false(file_exists(path));
    assert_int_equal(list_numbered(registry, &arena, &all), 1);
    free(path);
    arena_free(&arena);
    registry_close(&registry);
}

/* ---- what serves ---- */

static void test_what_serves_without_a_promotion(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct score_models models;
    struct score_model model;
    assert_ok(add_model(registry, SCORE_SUCCESS, 1, version));
    assert_ok(registry_serving(registry, &models, &err));
    assert_null(models.by_kind[SCORE_SUCCESS].gbdt);
    assert_string_equal(models.by_kind[SCORE_SUCCESS].version, "none");
    registry_serving_free(&models);
    assert_int_equal(registry_load(registry, SCORE_SUCCESS, "production", &model, &err),
                     KOL_NOT_FOUND);
    assert_non_null(strstr(err.message, "no success model"));
    assert_ok(registry_alias(registry, "success", "production", "1", &err));
    assert_ok(registry_serving(registry, &models, &err));
    assert_string_equal(models.by_kind[SCORE_SUCCESS].version, "success/1");
    registry_serving_free(&models);
    registry_close(&registry);
}

static void assert_serves(struct registry *registry, const char *trust)
{
    struct score_models models;
    assert_ok(registry_serving(registry, &models, &err));
    assert_string_equal(models.by_kind[SCORE_TRUST].version, trust);
    assert_non_null(models.by_kind[SCORE_TRUST].gbdt);
    registry_serving_free(&models);
}

/* Says nothing where the project has no model to ship. */
static void test_what_ships_serves_until_a_promotion_and_after_a_rollback(void **state)
{
    (void)state;
    struct registry *registry = open_registry();
    struct registry_version shipped;
    struct arena arena;
    struct str text;
    arena_init(&arena, 0);
    if (registry_find(registry, "trust", REGISTRY_SHIPPED, &arena, &shipped, &err) != KOL_OK) {
        assert_non_null(strstr(err.message, "no such version; there is: none"));
        arena_free(&arena);
        registry_close(&registry);
        skip();
    }
    assert_true(shipped.serves);
    assert_ok(registry_file(registry, &shipped, "model.txt", &arena, &text, &err));
    assert_true(str_starts(text, STR("tree\n")));
    assert_serves(registry, "trust/shipped");
    assert_ok(add_model(registry, SCORE_TRUST, 1, version));
    assert_ok(registry_alias(registry, "trust", "production", "1", &err));
    assert_serves(registry, "trust/1");
    assert_ok(registry_alias(registry, "trust", "production", REGISTRY_SHIPPED, &err));
    assert_serves(registry, "trust/shipped");
    assert_ok(registry_rollback(registry, "trust", "production", version, NULL, &err));
    assert_serves(registry, "trust/1");
    assert_ok(registry_rollback(registry, "trust", "production", version, NULL, &err));
    assert_string_equal(version, REGISTRY_SHIPPED);
    assert_serves(registry, "trust/shipped");
    arena_free(&arena);
    registry_close(&registry);
}

/* ---- several processes ---- */

enum { WRITERS = 4, ROUNDS = 6 };

static void run_writer(int number)
{
    struct registry *registry = open_registry();
    char alias[16], mine[32];
    snprintf(alias, sizeof alias, "w%d", number);
    for (int i = 0; i < ROUNDS; i++) {
        if (add_model(registry, SCORE_TRUST, i, mine) != KOL_OK ||
            registry_alias(registry, "trust", alias, mine, &err) != KOL_OK ||
            registry_alias(registry, "trust", "shared", mine, &err) != KOL_OK) {
            fprintf(stderr, "writer %d: %s\n", number, err.message);
            _exit(1);
        }
    }
    registry_close(&registry);
    _exit(0);
}

static void test_processes_lose_no_version_and_no_move(void **state)
{
    (void)state;
    struct registry_version *all;
    struct arena arena;
    pid_t children[WRITERS];
    int status, back = 0;
    for (int i = 0; i < WRITERS; i++) {
        if ((children[i] = fork()) == 0) {
            run_writer(i);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    struct registry *registry = open_registry();
    arena_init(&arena, 0);
    assert_int_equal(list_numbered(registry, &arena, &all), WRITERS * ROUNDS);
    assert_int_equal(number(all[0].version), WRITERS * ROUNDS);
    bool seen[WRITERS * ROUNDS + 1] = {false};
    seen[number(find(registry, &arena, "shared").version)] = true;
    while (registry_rollback(registry, "trust", "shared", version, NULL, &err) == KOL_OK &&
           version[0]) {
        assert_false(seen[number(version)]);
        seen[number(version)] = true;
        back++;
    }
    assert_int_equal(back, WRITERS * ROUNDS - 1);
    for (int i = 0; i < WRITERS; i++) {
        char alias[16];
        snprintf(alias, sizeof alias, "w%d", i);
        for (back = 0;
             registry_rollback(registry, "trust", alias, version, NULL, &err) == KOL_OK;) {
            back++;
        }
        assert_int_equal(back, ROUNDS);
    }
    arena_free(&arena);
    registry_close(&registry);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_versions_are_numbered_and_never_change),
        TEST(test_a_number_is_not_given_twice),
        TEST(test_what_is_no_model_for_the_name_is_refused),
        TEST(test_an_alias_goes_back_move_by_move),
        TEST(test_a_rollback_passes_over_what_is_gone_or_broken),
        TEST(test_a_name_that_is_not_there_says_what_is),
        TEST(test_a_broken_version_is_named_and_the_others_go_on),
        TEST(test_broken_aliases_are_named_and_nobody_guesses_what_serves),
        TEST(test_what_a_dead_writer_left_is_no_version_and_goes),
        TEST(test_what_serves_without_a_promotion),
        TEST(test_what_ships_serves_until_a_promotion_and_after_a_rollback),
        TEST(test_processes_lose_no_version_and_no_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
