/* test_bus_group.c: consumer groups, retention and transactions of the event log. */
#include "bus_fixture.h"

static const int64_t second_us = 1000000;

/* ---- members ---- */

/* What the callbacks of a consumer have said. */
struct heard {
    int assigned, revoked; /* calls */
    size_t holds;          /* places of the last on_assign */
    bool commit_on_revoke;
    enum kol_status committed; /* what that commit answered */
    int64_t lost_from, lost_next;
};

static void on_assign(struct bus_consumer *consumer, const struct bus_place *places, size_t count,
                      void *user)
{
    struct heard *heard = user;
    (void)consumer, (void)places;
    heard->assigned++;
    heard->holds = count;
}

static void on_revoke(struct bus_consumer *consumer, const struct bus_place *places, size_t count,
                      void *user)
{
    struct heard *heard = user;
    (void)places;
    assert_int_equal(count, heard->holds);
    heard->revoked++;
    heard->holds = 0;
    if (heard->commit_on_revoke) {
        heard->committed = bus_commit(consumer, &err);
    }
}

static void on_lost(struct bus_consumer *consumer, const char *topic, int32_t partition,
                    int64_t from, int64_t next, void *user)
{
    struct heard *heard = user;
    (void)consumer;
    assert_string_equal(topic, "t");
    assert_int_equal(partition, 0);
    heard->lost_from = from;
    heard->lost_next = next;
}

static struct bus_consumer *join(struct bus *bus, struct heard *heard, enum bus_start start)
{
    struct bus_consumer *consumer;
    const struct bus_consumer_options options = {
        .group = "g",
        .start = start,
        .user = heard,
        .on_assign = on_assign,
        .on_revoke = on_revoke,
        .on_lost = on_lost,
    };
    static const char *const topics[] = {"t"};
    assert_ok(bus_consumer_open(bus, &options, &consumer, &err));
    assert_ok(bus_subscribe(consumer, topics, 1, &err));
    return consumer;
}

/* Polls all of them in turn until nothing changes any more. */
static void settle(struct bus_consumer **consumers, size_t count)
{
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++) {
            (void)poll_now(consumers[i], 1);
        }
    }
}

static int64_t place_of(struct bus *bus, int32_t partition)
{
    int64_t next, lag;
    assert_ok(bus_group_place(bus, "g", "t", partition, &next, &lag, &err));
    return next;
}

static void test_group_goes_on_where_it_committed(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard = {0};
    int64_t next, lag;
    make_topic(fixture->bus, "t", 2);
    append_numbers(fixture->bus, "t", 0, 0, 10);
    struct bus_consumer *consumer = join(fixture->bus, &heard, BUS_EARLIEST);
    assert_int_equal(poll_now(consumer, 4).count, 4);
    assert_int_equal(heard.holds, 2);
    assert_ok(bus_group_place(fixture->bus, "g", "t", 0, &next, &lag, &err));
    assert_int_equal(next, -1);
    assert_int_equal(lag, 10);
    assert_ok(bus_commit(consumer, &err));
    assert_int_equal(poll_now(consumer, 3).count, 3); /* polled, not committed */
    bus_consumer_close(&consumer);
    assert_int_equal(heard.revoked, 1);
    assert_ok(bus_group_place(fixture->bus, "g", "t", 0, &next, &lag, &err));
    assert_int_equal(next, 4);
    assert_int_equal(lag, 6);

    reopen_log(fixture);
    consumer = join(fixture->bus, &heard, BUS_EARLIEST);
    struct bus_batch batch = poll_now(consumer, 0);
    assert_int_equal(batch.count, 6);
    assert_int_equal(number_of(&batch.records[0]), 4);
    bus_consumer_close(&consumer);
}

static void test_group_without_a_place_may_begin_at_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard = {0};
    make_topic(fixture->bus, "t", 1);
    append_numbers(fixture->bus, "t", 0, 0, 5);
    struct bus_consumer *consumer = join(fixture->bus, &heard, BUS_LATEST);
    assert_int_equal(poll_now(consumer, 0).count, 0);
    append_numbers(fixture->bus, "t", 0, 5, 1);
    struct bus_batch batch = poll_now(consumer, 0);
    assert_int_equal(batch.count, 1);
    assert_int_equal(number_of(&batch.records[0]), 5);
    bus_consumer_close(&consumer);
}

static void test_members_share_the_partitions_and_take_over_from_one_that_leaves(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard[3] = {{0}};
    struct bus_consumer *members[3];
    make_topic(fixture->bus, "t", 8);
    members[0] = join(fixture->bus, &heard[0], BUS_EARLIEST);
    settle(members, 1);
    assert_int_equal(heard[0].holds, 8);
    members[1] = join(fixture->bus, &heard[1], BUS_EARLIEST);
    members[2] = join(fixture->bus, &heard[2], BUS_EARLIEST);
    settle(members, 3);
    assert_int_equal(heard[0].holds + heard[1].holds + heard[2].holds, 8);
    for (int i = 0; i < 3; i++) {
        assert_in_range(heard[i].holds, 2, 3);
    }
    assert_int_equal(heard[0].revoked, 1);
    bus_consumer_close(&members[1]);
    struct bus_consumer *rest[] = {members[0], members[2]};
    settle(rest, 2);
    assert_int_equal(heard[0].holds, 4);
    assert_int_equal(heard[2].holds, 4);
    bus_consumer_close(&members[0]);
    bus_consumer_close(&members[2]);
}

static void test_nobody_is_given_a_partition_that_another_still_holds(void **state)
{
    struct fixture *fixture = *state;
    struct heard first = {.commit_on_revoke = true, .committed = KOL_INVALID}, second = {0};
    make_topic(fixture->bus, "t", 2);
    append_numbers(fixture->bus, "t", 0, 0, 4);
    append_numbers(fixture->bus, "t", 1, 0, 4);
    struct bus_consumer *holder = join(fixture->bus, &first, BUS_EARLIEST);
    assert_int_equal(poll_now(holder, 8).count, 8);
    struct bus_consumer *joiner = join(fixture->bus, &second, BUS_EARLIEST);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(poll_now(joiner, 0).count, 0);
    }
    assert_int_equal(second.assigned, 0);
    /* The holder lets go in its next poll, and commits what it had read at the last moment. */
    assert_int_equal(poll_now(holder, 0).count, 0);
    assert_int_equal(first.revoked, 1);
    assert_int_equal(first.committed, KOL_OK);
    assert_int_equal(poll_now(joiner, 0).count, 0); /* nothing is read twice */
    assert_int_equal(second.holds, 1);
    assert_int_equal(place_of(fixture->bus, 0), 4);
    assert_int_equal(place_of(fixture->bus, 1), 4);
    bus_consumer_close(&holder);
    bus_consumer_close(&joiner);
}

static void test_silent_member_is_given_up_and_fenced(void **state)
{
    struct fixture *fixture = *state;
    struct heard silent = {.commit_on_revoke = true}, lively = {0};
    make_topic(fixture->bus, "t", 2);
    append_numbers(fixture->bus, "t", 0, 0, 4);
    append_numbers(fixture->bus, "t", 1, 0, 4);
    clock_fix(1700000000 * INT64_C(1000000));
    struct bus_consumer *a = join(fixture->bus, &silent, BUS_EARLIEST);
    assert_int_equal(poll_now(a, 8).count, 8);
    struct bus_consumer *b = join(fixture->bus, &lively, BUS_EARLIEST);
    clock_fix(1700000009 * INT64_C(1000000)); /* within the lease of 10 s */
    assert_int_equal(poll_now(b, 0).count, 0);
    clock_fix(1700000011 * INT64_C(1000000));
    assert_int_equal(poll_now(b, 0).count, 8); /* not committed by `a`: read again */
    assert_int_equal(lively.holds, 2);
    assert_status(bus_commit(a, &err), KOL_FENCED);
    assert_ok(bus_commit(b, &err));
    assert_int_equal(poll_now(a, 0).count, 0); /* joins again */
    assert_int_equal(silent.revoked, 1);
    assert_int_equal(silent.committed, KOL_FENCED);
    struct bus_consumer *both[] = {a, b};
    settle(both, 2);
    assert_int_equal(silent.holds, 1);
    assert_int_equal(lively.holds, 1);
    bus_consumer_close(&a);
    bus_consumer_close(&b);
}

static void test_polls_and_commits_renew_the_lease(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard[2] = {{0}};
    int64_t now = 1700000000 * INT64_C(1000000);
    make_topic(fixture->bus, "t", 2);
    clock_fix(now);
    struct bus_consumer *a = join(fixture->bus, &heard[0], BUS_EARLIEST);
    struct bus_consumer *b = join(fixture->bus, &heard[1], BUS_EARLIEST);
    struct bus_consumer *both[] = {a, b};
    settle(both, 2);
    for (int i = 0; i < 6; i++) {
        clock_fix(now += 4 * second_us);
        (void)poll_now(a, 0);
        assert_ok(bus_commit(b, &err)); /* never polls */
    }
    assert_int_equal(heard[0].revoked + heard[1].revoked, 0);
    bus_consumer_close(&a);
    bus_consumer_close(&b);
}

static void test_clock_that_was_set_back_keeps_no_dead_member_alive(void **state)
{
    struct fixture *fixture = *state;
    struct heard dead = {0}, heir = {0};
    make_topic(fixture->bus, "t", 1);
    clock_fix(1700003600 * INT64_C(1000000));
    struct bus_consumer *a = join(fixture->bus, &dead, BUS_EARLIEST);
    (void)poll_now(a, 0);
    clock_fix(1700000000 * INT64_C(1000000));
    struct bus_consumer *b = join(fixture->bus, &heir, BUS_EARLIEST);
    (void)poll_now(b, 0);
    assert_int_equal(heir.holds, 1);
    bus_consumer_close(&a);
    bus_consumer_close(&b);
}

static void test_place_by_hand_is_committed_only_where_the_group_has_no_members(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard = {0};
    append_numbers(fixture->bus, "t", 0, 0, 5);
    struct bus_consumer *by_hand = open_consumer(fixture->bus, "g");
    assign_one(by_hand, "t", 0, 0);
    assert_int_equal(poll_now(by_hand, 3).count, 3);
    assert_ok(bus_commit(by_hand, &err));
    assert_int_equal(place_of(fixture->bus, 0), 3);
    struct bus_consumer *member = join(fixture->bus, &heard, BUS_EARLIEST);
    assert_int_equal(poll_now(by_hand, 1).count, 1);
    assert_status(bus_commit(by_hand, &err), KOL_FENCED);
    assert_int_equal(place_of(fixture->bus, 0), 3);
    bus_consumer_close(&member);
    assert_ok(bus_commit(by_hand, &err));
    bus_consumer_close(&by_hand);

    struct bus_consumer *no_group = open_consumer(fixture->bus, NULL);
    assert_status(bus_commit(no_group, &err), KOL_INVALID);
    bus_consumer_close(&no_group);
}

static void test_groups_are_listed(void **state)
{
    struct fixture *fixture = *state;
    char(*names)[BUS_MAX_NAME + 1];
    size_t count;
    append_numbers(fixture->bus, "t", 0, 0, 5);
    static const char *const groups[] = {"zeta", "alpha"};
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        struct bus_consumer *consumer = open_consumer(fixture->bus, groups[i]);
        assign_one(consumer, "t", 0, 0);
        assert_ok(bus_commit(consumer, &err));
        bus_consumer_close(&consumer);
    }
    assert_ok(bus_groups(fixture->bus, &names, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "alpha");
    assert_string_equal(names[1], "zeta");
    free(names);
}

/* ---- transactions ---- */

static struct bus_consumer *reader_of(struct bus *bus, const char *topic)
{
    struct bus_consumer *consumer = open_consumer(bus, NULL);
    assign_one(consumer, topic, 0, BUS_FROM_START);
    return consumer;
}

static void test_records_places_and_marks_become_visible_as_one(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard = {0};
    struct buf mark = {0};
    make_topic(fixture->bus, "t", 1);
    make_topic(fixture->bus, "out", 1);
    append_numbers(fixture->bus, "t", 0, 0, 3);
    struct bus_consumer *consumer = join(fixture->bus, &heard, BUS_EARLIEST);
    struct bus_consumer *reader = reader_of(fixture->bus, "out");
    struct bus_producer *producer = open_producer(fixture->bus, "scorer");
    assert_int_equal(poll_now(consumer, 2).count, 2);
    put(producer, "out", 0, "0");
    assert_ok(bus_txn_offsets(producer, consumer, &err));
    assert_ok(bus_txn_mark(producer, "m", STR("1"), &err));
    assert_int_equal(poll_now(reader, 0).count, 0);
    assert_int_equal(place_of(fixture->bus, 0), -1);
    assert_ok(bus_txn_commit(producer, &err));
    assert_int_equal(poll_now(reader, 0).count, 1);
    assert_int_equal(place_of(fixture->bus, 0), 2);
    assert_ok(bus_mark_get(fixture->bus, "m", &mark, &err));

    put(producer, "out", 0, "1");
    assert_ok(bus_txn_offsets(producer, consumer, &err));
    bus_txn_abort(producer);
    assert_ok(bus_txn_commit(producer, &err));
    assert_int_equal(poll_now(reader, 0).count, 0);
    assert_int_equal(place_of(fixture->bus, 0), 2);
    bus_consumer_close(&consumer);
    bus_consumer_close(&reader);
    bus_producer_close(&producer);
    buf_free(&mark);
}

static void test_newer_producer_of_the_same_name_fences_the_older(void **state)
{
    struct fixture *fixture = *state;
    make_topic(fixture->bus, "out", 1);
    struct bus_producer *old = open_producer(fixture->bus, "scorer");
    put(old, "out", 0, "0");
    struct bus_producer *young = open_producer(fixture->bus, "scorer");
    struct bus_producer *other = open_producer(fixture->bus, "another");
    assert_status(bus_txn_commit(old, &err), KOL_FENCED);
    assert_int_equal(extent_of(fixture->bus, "out", 0).end, 0);
    put(young, "out", 0, "1");
    assert_ok(bus_txn_commit(young, &err));
    put(other, "out", 0, "2");
    assert_ok(bus_txn_commit(other, &err));
    bus_txn_abort(old);
    assert_status(bus_txn_commit(old, &err), KOL_FENCED); /* also with nothing to say */
    bus_producer_close(&old);
    bus_producer_close(&young);
    bus_producer_close(&other);
    assert_int_equal(extent_of(fixture->bus, "out", 0).end, 2);
}

static void test_transaction_of_a_member_that_was_replaced_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard[2] = {{0}};
    make_topic(fixture->bus, "t", 1);
    make_topic(fixture->bus, "out", 1);
    append_numbers(fixture->bus, "t", 0, 0, 3);
    clock_fix(1700000000 * INT64_C(1000000));
    struct bus_consumer *slow = join(fixture->bus, &heard[0], BUS_EARLIEST);
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    assert_int_equal(poll_now(slow, 0).count, 3);
    put(producer, "out", 0, "from the slow one");
    assert_ok(bus_txn_offsets(producer, slow, &err));
    clock_fix(1700000020 * INT64_C(1000000));
    struct bus_consumer *heir = join(fixture->bus, &heard[1], BUS_EARLIEST);
    assert_int_equal(poll_now(heir, 0).count, 3);
    assert_status(bus_txn_commit(producer, &err), KOL_FENCED);
    assert_int_equal(extent_of(fixture->bus, "out", 0).end, 0);
    bus_consumer_close(&slow);
    bus_consumer_close(&heir);
    bus_producer_close(&producer);
}

/* ---- retention ---- */

static void append_at(struct bus *bus, int64_t second, int from, int count)
{
    clock_fix((1700000000 + second) * INT64_C(1000000));
    append_numbers(bus, "t", 0, from, count);
}

static void test_old_records_go_and_readers_are_told(void **state)
{
    struct fixture *fixture = *state;
    struct heard heard = {0};
    int64_t dropped;
    const struct bus_topic_config config = {1, 100 * second_us, 0};
    assert_ok(bus_topic_create(fixture->bus, "t", &config, &err));
    append_at(fixture->bus, 0, 0, 10);
    append_at(fixture->bus, 50, 10, 10);
    struct bus_consumer *consumer = join(fixture->bus, &heard, BUS_EARLIEST);
    assert_int_equal(poll_now(consumer, 4).count, 4);
    assert_ok(bus_retain(fixture->bus, clock_now_us(), &dropped, &err));
    assert_int_equal(dropped, 0);
    assert_ok(bus_retain(fixture->bus, clock_now_us() + 60 * second_us, &dropped, &err));
    assert_int_equal(dropped, 10);
    struct bus_partition extent = extent_of(fixture->bus, "t", 0);
    assert_int_equal(extent.start, 10);
    assert_int_equal(extent.end, 20);
    assert_int_equal(extent.bytes, 10 * 5);
    struct bus_batch batch = poll_now(consumer, 0);
    assert_int_equal(batch.count, 10);
    assert_int_equal(batch.records[0].offset, 10);
    assert_int_equal(heard.lost_from, 4);
    assert_int_equal(heard.lost_next, 10);

    assert_ok(bus_retain(fixture->bus, clock_now_us() + 1000 * second_us, &dropped, &err));
    assert_int_equal(dropped, 10);
    extent = extent_of(fixture->bus, "t", 0);
    assert_int_equal(extent.start, 20); /* offsets are never given again */
    assert_int_equal(extent.bytes, 0);
    assert_int_equal(extent.first_us, 0);
    append_at(fixture->bus, 1100, 20, 1);
    batch = poll_now(consumer, 0);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.records[0].offset, 20);
    bus_consumer_close(&consumer);
}

static void test_appends_drop_what_is_too_old(void **state)
{
    struct fixture *fixture = *state;
    const struct bus_topic_config config = {1, 100 * second_us, 0};
    assert_ok(bus_topic_create(fixture->bus, "t", &config, &err));
    for (int i = 0; i < 20; i++) {
        append_at(fixture->bus, INT64_C(20) * i, i, 1);
        assert_true(extent_of(fixture->bus, "t", 0).start >= i - 5);
    }
}

static void test_partition_is_kept_below_its_bytes(void **state)
{
    struct fixture *fixture = *state;
    static char bytes[1000];
    int64_t dropped;
    const struct bus_topic_config config = {1, 0, 10000};
    assert_ok(bus_topic_create(fixture->bus, "t", &config, &err));
    struct bus_producer *producer = open_producer(fixture->bus, NULL);
    for (int i = 0; i < 30; i++) {
        const struct str value = {bytes, sizeof bytes};
        assert_ok(bus_produce(producer, "t", 0, (struct str){NULL, 0}, value, 0, &err));
        assert_ok(bus_flush(producer, &err));
        assert_true(extent_of(fixture->bus, "t", 0).bytes <= 10000);
    }
    assert_int_equal(extent_of(fixture->bus, "t", 0).start, 20);
    for (int i = 0; i < 50; i++) { /* one chunk that alone is too large stays, as the newest */
        const struct str value = {bytes, sizeof bytes};
        assert_ok(bus_produce(producer, "t", 0, (struct str){NULL, 0}, value, 0, &err));
    }
    assert_ok(bus_flush(producer, &err));
    bus_producer_close(&producer);
    assert_ok(bus_retain(fixture->bus, clock_now_us(), &dropped, &err));
    assert_int_equal(extent_of(fixture->bus, "t", 0).start, 30);
    assert_int_equal(extent_of(fixture->bus, "t", 0).bytes, 50000);
}

static void test_batch_stays_readable_while_its_records_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    int64_t dropped;
    const struct bus_topic_config config = {1, second_us, 0};
    assert_ok(bus_topic_create(fixture->bus, "t", &config, &err));
    append_at(fixture->bus, 0, 0, 5000);
    struct bus_consumer *consumer = open_consumer(fixture->bus, NULL);
    assign_one(consumer, "t", 0, 0);
    struct bus_batch batch = poll_now(consumer, 0);
    assert_ok(bus_retain(fixture->bus, clock_now_us() + 10 * second_us, &dropped, &err));
    assert_int_equal(dropped, 5000);
    for (int i = 0; i < 20; i++) { /* would use the pages again */
        append_at(fixture->bus, 10 + i * 2, 100000, 5000);
    }
    for (size_t i = 0; i < batch.count; i++) {
        assert_int_equal(number_of(&batch.records[i]), (int)i);
    }
    bus_consumer_close(&consumer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_log(test_group_goes_on_where_it_committed),
        with_log(test_group_without_a_place_may_begin_at_the_end),
        with_log(test_members_share_the_partitions_and_take_over_from_one_that_leaves),
        with_log(test_nobody_is_given_a_partition_that_another_still_holds),
        with_log(test_silent_member_is_given_up_and_fenced),
        with_log(test_polls_and_commits_renew_the_lease),
        with_log(test_clock_that_was_set_back_keeps_no_dead_member_alive),
        with_log(test_place_by_hand_is_committed_only_where_the_group_has_no_members),
        with_log(test_groups_are_listed),
        with_log(test_records_places_and_marks_become_visible_as_one),
        with_log(test_newer_producer_of_the_same_name_fences_the_older),
        with_log(test_transaction_of_a_member_that_was_replaced_leaves_nothing),
        with_log(test_old_records_go_and_readers_are_told),
        with_log(test_appends_drop_what_is_too_old),
        with_log(test_partition_is_kept_below_its_bytes),
        with_log(test_batch_stays_readable_while_its_records_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
