/* test_ingest_offsets.c: places in the log as a table keeps them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lake/ingest_parts.h"

static void expect_written(const char *json, const char *topic,
                           const struct ingest_offsets *offsets, const char *wanted)
{
    struct buf out = {0};
    ingest_offsets_write(json, topic, offsets, &out);
    assert_string_equal(out.ptr, wanted);
    buf_free(&out);
}

static void test_written_places_are_read_back(void **state)
{
    struct ingest_offsets offsets = {0}, back = {0};
    struct kol_error err;
    struct buf json = {0};
    (void)state;
    ingest_offsets_set(&offsets, 11, INT64_MAX);
    ingest_offsets_set(&offsets, 0, 7);
    ingest_offsets_set(&offsets, BUS_MAX_PARTITIONS - 1, 1);
    ingest_offsets_write(NULL, "kol.videos.raw", &offsets, &json);
    assert_int_equal(ingest_offsets_read(json.ptr, "kol.videos.raw", &back, &err), KOL_OK);
    assert_true(ingest_offsets_equal(&offsets, &back));
    assert_int_equal(ingest_offsets_get(&back, 11), INT64_MAX);
    assert_int_equal(ingest_offsets_get(&back, 5), 0);
    assert_int_equal(ingest_offsets_get(&back, 5000), 0);
    assert_int_equal(ingest_offsets_read(json.ptr, "kol.comments.raw", &back, &err), KOL_OK);
    assert_int_equal(back.count, 0);
    buf_free(&json);
    ingest_offsets_free(&offsets);
    ingest_offsets_free(&back);
}

static void test_other_topics_keep_their_places(void **state)
{
    struct ingest_offsets offsets = {0};
    (void)state;
    ingest_offsets_set(&offsets, 1, 5);
    expect_written("{\"a\":{\"0\":1},\"b\":{\"2\":3}}", "b", &offsets,
                   "{\"a\":{\"0\":1},\"b\":{\"1\":5}}");
    expect_written("{}", "b", &offsets, "{\"b\":{\"1\":5}}");
    ingest_offsets_free(&offsets);
    expect_written(NULL, "b", &offsets, "{\"b\":{}}");
}

static void test_places_are_equal_by_value_whatever_is_left_out(void **state)
{
    struct ingest_offsets a = {0}, b = {0};
    (void)state;
    assert_true(ingest_offsets_equal(&a, &b));
    ingest_offsets_set(&a, 3, 0);
    assert_true(ingest_offsets_equal(&a, &b));
    assert_true(ingest_offsets_equal(&b, &a));
    ingest_offsets_set(&b, 2, 1);
    assert_false(ingest_offsets_equal(&a, &b));
    assert_false(ingest_offsets_equal(&b, &a));
    ingest_offsets_copy(&a, &b);
    assert_true(ingest_offsets_equal(&a, &b));
    /* What was copied over is gone. */
    ingest_offsets_set(&a, 9, 9);
    ingest_offsets_copy(&a, &b);
    assert_int_equal(ingest_offsets_get(&a, 9), 0);
    ingest_offsets_set(&a, 10, 1);
    assert_int_equal(ingest_offsets_get(&a, 9), 0);
    ingest_offsets_free(&a);
    ingest_offsets_free(&b);
}

static void test_what_is_no_map_of_places_is_corrupt(void **state)
{
    static const char *const broken[] = {
        "",
        "[]",
        "{",
        "7",
        "{\"t\":1}",
        "{\"t\":[]}",
        "{\"t\":{\"x\":1}}",
        "{\"t\":{\"-1\":1}}",
        "{\"t\":{\"1024\":1}}",
        "{\"t\":{\"99999999999999999999\":1}}",
        "{\"t\":{\"0\":-1}}",
        "{\"t\":{\"0\":1.5}}",
        "{\"t\":{\"0\":\"1\"}}",
        "{\"t\":{\"0\":null}}",
        "{\"t\":{\"0\":1,\"0\":2}}",
        "{\"t\":{\"0\":9223372036854775808}}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct ingest_offsets offsets = {0};
        struct kol_error err = {0};
        if (ingest_offsets_read(broken[i], "t", &offsets, &err) != KOL_CORRUPT) {
            fail_msg("%s was taken", broken[i]);
        }
        assert_non_null(strstr(err.message, "kol.next-offsets"));
        ingest_offsets_free(&offsets);
    }
}

static void test_from_names_a_place_of_an_input_topic(void **state)
{
    static const char *const broken[] = {
        "",
        "kol.videos.raw",
        "kol.videos.raw:1",
        "kol.videos.raw:1:",
        "kol.videos.raw::1",
        "kol.videos.raw:1:2:3",
        "kol.videos.raw:-1:2",
        "kol.videos.raw:1024:2",
        "kol.videos.raw:1:-2",
        "kol.dead:1:2",
        "scores.stream:1:2",
        "videos:1:2",
    };
    enum topic topic;
    int32_t partition;
    int64_t offset;
    struct kol_error err;
    (void)state;
    assert_int_equal(
        ingest_read_from("kol.videos.raw:3:9000000000", &topic, &partition, &offset, &err), KOL_OK);
    assert_int_equal(topic, TOPIC_VIDEOS);
    assert_int_equal(partition, 3);
    assert_int_equal(offset, INT64_C(9000000000));
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        if (ingest_read_from(broken[i], &topic, &partition, &offset, &err) != KOL_USAGE) {
            fail_msg("%s was taken", broken[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_places_are_read_back),
        cmocka_unit_test(test_other_topics_keep_their_places),
        cmocka_unit_test(test_places_are_equal_by_value_whatever_is_left_out),
        cmocka_unit_test(test_what_is_no_map_of_places_is_corrupt),
        cmocka_unit_test(test_from_names_a_place_of_an_input_topic),
    };
    return cmocka_run_group_tests_name("ingest_offsets", tests, NULL, NULL);
}
