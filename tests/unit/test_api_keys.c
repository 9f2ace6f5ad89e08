/* test_api_keys.c: keys are made, found, expire, are revoked, and never lie in the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/keys.h"
#include "base/clock.h"
#include "base/file.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kol-keys-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"keys.json", "keys.lock"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = file_join(folder, names[i]);
        unlink(path);
        free(path);
    }
    clock_fix(0);
    return rmdir(folder);
}

static char *create(struct api_key wanted)
{
    struct buf text = {0};
    struct kol_error err;
    if (api_key_create(folder, &wanted, &text, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    return text.ptr;
}

static struct api_keys *open_keys(const char *given)
{
    struct api_keys *keys;
    struct kol_error err;
    if (api_keys_open(folder, given, &keys, &err) != KOL_OK) {
        fail_msg("%s", err.message);
    }
    return keys;
}

static bool is_known(struct api_keys *keys, const char *key, struct http_identity *out)
{
    return api_keys_identify(keys, str_of(key), out);
}

static void refresh(struct api_keys *keys)
{
    bool changed;
    struct kol_error err;
    assert_int_equal(api_keys_refresh(keys, false, &changed, &err), KOL_OK);
    assert_true(changed);
}

static void test_a_key_is_found_by_its_text_alone(void **state)
{
    (void)state;
    struct http_identity identity;
    char *key = create((struct api_key){.id = "app", .scopes = API_READ | API_WRITE, .burst = 7});
    struct api_keys *keys = open_keys(NULL);
    assert_int_equal(strlen(key), 4 + 43);
    assert_true(is_known(keys, key, &identity));
    assert_string_equal(identity.id, "app");
    assert_int_equal(identity.scopes, API_READ | API_WRITE);
    assert_int_equal(identity.burst, 7);
    for (size_t i = 0; i < strlen(key); i++) { /* every character counts */
        key[i] ^= 1;
        assert_false(is_known(keys, key, &identity));
        key[i] ^= 1;
    }
    key[strlen(key) - 1] = '\0';
    assert_false(is_known(keys, key, &identity));
    assert_false(is_known(keys, "", &identity));
    free(key);
    api_keys_close(&keys);
}

static void test_the_file_holds_no_key_and_is_for_its_owner(void **state)
{
    (void)state;
    struct stat stat_of;
    struct buf text = {0};
    struct kol_error err;
    char *key = create((struct api_key){.id = "app", .note = "a \"note\"", .scopes = API_READ});
    char *path = file_join(folder, "keys.json");
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    assert_int_equal(file_read(path, 1 << 20, &text, &err), KOL_OK);
    assert_null(strstr(text.ptr, key + 4));
    assert_non_null(strstr(text.ptr, "sha256"));
    buf_free(&text);
    free(path);
    free(key);
}

static void test_expiry_and_revocation_end_a_key(void **state)
{
    (void)state;
    struct http_identity identity;
    struct kol_error err;
    const int64_t now_us = INT64_C(1750000000000000);
    clock_fix(now_us);
    char *brief = create((struct api_key){
        .id = "brief", .scopes = API_READ, .expires_us = now_us + CLOCK_US_PER_DAY});
    char *lasting = create((struct api_key){.id = "lasting", .scopes = API_READ});
    struct api_keys *keys = open_keys(NULL);
    assert_int_equal(api_keys_count(keys), 2);
    clock_fix(now_us + CLOCK_US_PER_DAY - 1);
    assert_true(is_known(keys, brief, &identity));
    clock_fix(now_us + CLOCK_US_PER_DAY);
    assert_false(is_known(keys, brief, &identity));
    assert_true(is_known(keys, lasting, &identity));
    assert_int_equal(api_key_revoke(folder, "lasting", &err), KOL_OK);
    refresh(keys);
    assert_false(is_known(keys, lasting, &identity));
    assert_int_equal(api_keys_count(keys), 0);
    assert_int_equal(api_key_revoke(folder, "nobody", &err), KOL_NOT_FOUND);
    free(brief);
    free(lasting);
    api_keys_close(&keys);
}

static void test_a_broken_file_leaves_the_keys_of_before(void **state)
{
    (void)state;
    struct http_identity identity;
    struct kol_error err;
    bool changed;
    char *key = create((struct api_key){.id = "app", .scopes = API_READ});
    struct api_keys *keys = open_keys(NULL);
    char *path = file_join(folder, "keys.json");
    static const char *const broken[] = {
        "", "{}", "{\"version\":2,\"keys\":[]}", "{\"version\":1,\"keys\":[{\"id\":\"x\"}]}",
        "{\"version\":1,\"keys\":[{\"id\":\"x\",\"scopes\":[\"all\"],\"sha256\":\"00\"}]}"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        assert_int_equal(file_replace(path, str_of(broken[i]), &err), KOL_OK);
        assert_int_equal(api_keys_refresh(keys, false, &changed, &err), KOL_CORRUPT);
        assert_true(is_known(keys, key, &identity));
        assert_int_equal(api_keys_refresh(keys, false, &changed, &err), KOL_OK); /* said once */
    }
    struct api_keys *other;
    assert_int_equal(api_keys_open(folder, NULL, &other, &err), KOL_CORRUPT);
    free(path);
    free(key);
    api_keys_close(&keys);
}

static void test_two_keys_of_one_id_and_keys_without_scope_are_refused(void **state)
{
    (void)state;
    struct buf text = {0};
    struct kol_error err;
    struct api_key wanted = {.id = "app", .scopes = API_READ};
    free(create(wanted));
    assert_int_equal(api_key_create(folder, &wanted, &text, &err), KOL_EXISTS);
    assert_int_equal(text.len, 0);
    wanted = (struct api_key){.id = "none"};
    assert_int_equal(api_key_create(folder, &wanted, &text, &err), KOL_INVALID);
    wanted = (struct api_key){.scopes = API_READ};
    assert_int_equal(api_key_create(folder, &wanted, &text, &err), KOL_INVALID);
    buf_free(&text);
}

static void test_given_keys_are_long_enough_and_are_no_admins(void **state)
{
    (void)state;
    struct http_identity identity;
    struct kol_error err;
    struct api_keys *keys = open_keys("0123456789abcdef, fedcba9876543210");
    assert_true(is_known(keys, "fedcba9876543210", &identity));
    assert_int_equal(identity.scopes, API_READ | API_PREDICT | API_WRITE);
    assert_null(strstr(identity.id, "fedc"));
    assert_int_equal(api_keys_count(keys), 2);
    api_keys_close(&keys);
    assert_int_equal(api_keys_open(folder, "short", &keys, &err), KOL_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_key_is_found_by_its_text_alone, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_the_file_holds_no_key_and_is_for_its_owner,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_expiry_and_revocation_end_a_key, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_a_broken_file_leaves_the_keys_of_before, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_two_keys_of_one_id_and_keys_without_scope_are_refused,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_given_keys_are_long_enough_and_are_no_admins,
                                        make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
