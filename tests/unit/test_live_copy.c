/*
 * test_live_copy.c: a copy of the live store holds the values of one moment, whoever writes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "online/live.h"

static struct kol_error err;

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != KOL_OK) {                                                                    \
            fail_msg("%s: %s", #call, err.message);                                                \
        }                                                                                          \
    } while (0)

static char *make_folder(void)
{
    char *folder = mem_strdup("/tmp/kol-live-copy-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static void remove_folder(char *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    free(folder);
}

/* The number that both keys hold; they are always written together. */
static int number_in(struct live *live)
{
    static const char *const keys[] = {"a", "b"};
    int numbers[2];
    for (int i = 0; i < 2; i++) {
        struct buf bytes = {0};
        assert_ok(live_get(live, 0, str_of(keys[i]), &bytes, NULL, &err));
        numbers[i] = atoi(bytes.ptr);
        buf_free(&bytes);
    }
    assert_int_equal(numbers[0], numbers[1]);
    return numbers[0];
}

static void put_number(struct live *live, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    struct live_write writes[] = {
        {.kind = 0, .key = STR("a"), .bytes = str_of(text)},
        {.kind = 0, .key = STR("b"), .bytes = str_of(text)},
    };
    assert_ok(live_write(live, writes, ARRAY_LEN(writes), &err));
}

struct writer {
    struct live *live;
    _Atomic int done, stop;
};

static void *write_on(void *user)
{
    struct writer *writer = user;
    while (!writer->stop) {
        put_number(writer->live, writer->done + 1);
        writer->done++;
    }
    return NULL;
}

static void test_copy_beside_a_writer_is_of_one_moment(void **state)
{
    (void)state;
    char *data = make_folder(), *copy = make_folder(), *folder = file_join(copy, "live");
    struct writer writer = {0};
    pthread_t thread;
    assert_ok(live_open(data, &writer.live, &err));
    put_number(writer.live, 0);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    for (int round = 0; round < 5; round++) { /* each takes the place of the one before */
        struct live *copied;
        int before = writer.done;
        assert_ok(live_copy(writer.live, folder, &err));
        int after = writer.done + 1;
        assert_ok(live_open(copy, &copied, &err));
        assert_in_range(number_in(copied), before, after);
        put_number(copied, -1); /* it is a store like any other */
        live_close(&copied);
    }
    writer.stop = 1;
    pthread_join(thread, NULL);
    live_close(&writer.live);
    free(folder);
    remove_folder(copy);
    remove_folder(data);
}

static void test_copy_that_cannot_be_written_leaves_the_older_one(void **state)
{
    (void)state;
    char *data = make_folder(), *copy = make_folder(), *folder = file_join(copy, "live");
    char *part = file_join(folder, "live.mdb.tmp");
    struct live *live, *copied;
    assert_ok(live_open(data, &live, &err));
    put_number(live, 1);
    assert_ok(live_copy(live, folder, &err));
    put_number(live, 2);
    assert_ok(file_make_dir(part, &err)); /* in the way */
    assert_int_equal(live_copy(live, folder, &err), KOL_IO);
    assert_non_null(strstr(err.message, "live.mdb.tmp"));
    assert_ok(live_open(copy, &copied, &err));
    assert_int_equal(number_in(copied), 1);
    live_close(&copied);
    live_close(&live);
    free(part);
    free(folder);
    remove_folder(copy);
    remove_folder(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_beside_a_writer_is_of_one_moment),
        cmocka_unit_test(test_copy_that_cannot_be_written_leaves_the_older_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
