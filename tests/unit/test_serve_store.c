/*
 * test_serve_store.c: hashes and texts in a real Redis: what is written is read again, newer stays,
 * garbage is healed, and nothing is without a TTL.
 */
#include "serve_store_fixture.h"

/* ---- hashes ---- */

static void test_a_hash_is_read_as_it_was_written(void **state)
{
    (void)state;
    static char long_text[5000], huge[20000];
    memset(long_text, 'x', sizeof long_text);
    memset(huge, 'y', sizeof huge);
    /* Small ones go packed, with texts around each border of the form; large ones one by one. */
    const struct serve_field fields[] = {
        {STR("kol_id"), STR("ana")},        {STR("empty"), STR("")},
        {STR("number"), STR("123456")},     {STR("binary"), {"a\0b\r\n\xff", 6}},
        {STR("n63"), {long_text, 63}},      {STR("n64"), {long_text, 64}},
        {STR("n125"), {long_text, 125}},    {STR("n126"), {long_text, 126}},
        {STR("n127"), {long_text, 127}},    {STR("n128"), {long_text, 128}},
        {STR("n4000"), {long_text, 4000}},  {STR("n4096"), {long_text, 4096}},
        {STR("huge"), {huge, sizeof huge}},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) { /* each alone */
        struct serve_hash hash;
        const struct serve_write write = hash_of(7, 20 + (int64_t)i, &fields[i]);
        assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
        assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
        assert_int_equal(hash.count, 4);
        assert_true(str_equal(value_of(&hash, fields[i].name.ptr), fields[i].value));
    }
    for (size_t count = 1; count <= ARRAY_LEN(fields); count++) { /* the first ones together */
        clear_values(NULL);
        struct serve_hash hash;
        struct serve_write write = hash_of(7, 12, fields);
        write.field_count = count;
        assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
        assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
        assert_int_equal(hash.count, count + 3);
        assert_int_equal(hash.version, 7);
        assert_int_equal(hash.snapshot, 12);
        assert_false(hash.older_form);
        for (size_t i = 0; i < count; i++) {
            assert_true(str_equal(serve_field(hash.fields, hash.count, fields[i].name.ptr)->value,
                                  fields[i].value));
        }
        assert_str(value_of(&hash, "cached_at"), "2023-11-14T22:13:20.123456Z");
        assert_ttls(3600 * 1000);
        assert_str(tell("OBJECT ENCODING kol:profile:tiktok:ana")->text,
                   count < 12 ? "listpack" : "hashtable");
    }
}

/* What was put in place whole is a hash like any other: it is changed, and turns into the larger
 * form. The server is told to check what it restores entry by entry. */
static void test_a_packed_hash_is_one_like_any_other(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    static char room[COUNT][2][200];
    struct serve_field fields[COUNT];
    struct serve_hash hash;
    tell("CONFIG SET sanitize-dump-payload yes");
    for (int i = 0; i < COUNT; i++) {
        const int name = snprintf(room[i][0], sizeof room[i][0], "name%d", i);
        const int value = snprintf(room[i][1], sizeof room[i][1], "%d%0*d", i, i == 5 ? 0 : i, i);
        fields[i] = (struct serve_field){{room[i][0], (size_t)name}, {room[i][1], (size_t)value}};
    }
    struct serve_write write = hash_of(0, 1, fields);
    for (size_t count = 1; count <= 60; count++) {
        write.field_count = count;
        write.snapshot++;
        assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    }
    assert_int_equal(tell("CONFIG RESETSTAT")->kind, REDIS_TEXT);
    assert_str(tell("OBJECT ENCODING kol:profile:tiktok:ana")->text, "listpack");
    assert_int_equal(tell("HINCRBY kol:profile:tiktok:ana name5 10")->number, 65);
    assert_int_equal(tell("HDEL kol:profile:tiktok:ana name0 name59")->number, 2);
    assert_int_equal(tell("HSET kol:profile:tiktok:ana name0 z more 1")->number, 2);
    TELL(STR("HSET"), KEY, STR("long"), {room[99][1], 100});
    assert_str(tell("OBJECT ENCODING kol:profile:tiktok:ana")->text, "hashtable");
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_int_equal(hash.count, 60 + 2 - 2 + 2 + 1);
    assert_str(value_of(&hash, "name5"), "65");
    assert_str(value_of(&hash, "name0"), "z");
    assert_str(value_of(&hash, "name58"), room[58][1]);
}

/* Whether a write over a held one is done. Both orders of each pair. */
static void check_guard(int64_t held_version, int64_t held_snapshot, int64_t version,
                        int64_t snapshot, bool force, enum serve_done expected)
{
    struct serve_hash hash;
    const struct serve_field old = {STR("bio"), STR("old")}, fresh = {STR("bio"), STR("new")};
    clear_values(NULL);
    struct serve_write write = hash_of(held_version, held_snapshot, &old);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(tell("PEXPIRE kol:profile:tiktok:ana 1000")->number, 1);
    write = hash_of(version, snapshot, &fresh);
    write.force = force;
    const enum serve_done done = put(&write, NULL);
    if (done != expected) {
        fail_msg("%lld.%lld over %lld.%lld%s: %d", (long long)version, (long long)snapshot,
                 (long long)held_version, (long long)held_snapshot, force ? " by force" : "", done);
    }
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_str(value_of(&hash, "bio"), expected == SERVE_WRITTEN ? "new" : "old");
    assert_true(tell("PTTL kol:profile:tiktok:ana")->number > 3000000); /* anew in any case */
}

static void test_newer_is_written_and_older_is_not(void **state)
{
    (void)state;
    static const int64_t orders[][2] = {{0, 0},  {0, 1},  {0, 2},
                                        {1, 0},  {1, 9},  {2, 3},
                                        {10, 1}, {10, 2}, {INT64_C(1) << 53, INT64_C(1) << 53}};
    for (size_t held = 0; held < ARRAY_LEN(orders); held++) {
        for (size_t given = 0; given < ARRAY_LEN(orders); given++) {
            const int64_t *a = orders[held], *b = orders[given];
            check_guard(a[0], a[1], b[0], b[1], false, given > held ? SERVE_WRITTEN : SERVE_KEPT);
            check_guard(a[0], a[1], b[0], b[1], true, b[0] < a[0] ? SERVE_KEPT : SERVE_WRITTEN);
        }
    }
}

/* What another program wrote since it was found missing names no version and no snapshot. */
static void test_what_was_missing_does_not_replace_what_came_meanwhile(void **state)
{
    (void)state;
    struct serve_hash hash;
    const struct serve_field field = {STR("bio"), STR("ours")};
    struct serve_write write = hash_of(5, 7, &field);
    write.absent = true;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN); /* nothing was there */
    assert_ttls(3600000);
    clear_values(NULL);
    assert_int_equal(tell("HSET kol:profile:tiktok:ana bio theirs")->number, 1);
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_str(value_of(&hash, "bio"), "theirs");
    assert_int_equal(tell("PTTL kol:profile:tiktok:ana")->number, -1); /* theirs, too */
    clear_values(NULL);
    assert_str(tell("SET kol:profile:tiktok:ana theirs")->text, "OK");
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    assert_str(tell("GET kol:profile:tiktok:ana")->text, "theirs");
    TELL(STR("SET"), KEY, STR("")); /* that is told as nothing, and is healed */
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
}

/* The same by the script that is given fields one by one. */
static void test_a_large_hash_is_guarded_and_loses_the_fields_of_before(void **state)
{
    (void)state;
    static char large[10000];
    memset(large, 'x', sizeof large);
    struct serve_hash hash;
    const struct serve_field old[] = {
        {STR("bio"), {large, sizeof large}}, {STR("gone"), STR("1")}, {STR("tier"), STR("Mid")}};
    const struct serve_field fresh[] = {{STR("bio"), {large, sizeof large}},
                                        {STR("tier"), STR("Mega")}};
    struct serve_write write = hash_of(1, 5, old);
    write.field_count = 3;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    write.fields = fresh;
    write.field_count = 2;
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    write.snapshot = 6;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_int_equal(hash.count, 5);
    assert_str(value_of(&hash, "gone"), "(none)");
    assert_str(value_of(&hash, "tier"), "Mega");
    assert_ttls(3600 * 1000);
    write.version = 0;
    write.snapshot = 99;
    write.force = true;
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
}

static void test_fields_of_one_name_come_to_the_last(void **state)
{
    (void)state;
    struct serve_hash hash;
    const struct serve_field twice[] = {
        {STR("a"), STR("1")}, {STR("b"), STR("2")}, {STR("a"), STR("3")}};
    struct serve_write write = hash_of(0, 1, twice);
    write.field_count = 3;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_int_equal(hash.count, 4);
    assert_str(value_of(&hash, "a"), "3");
}

static void test_names_of_every_value_are_passed_over_among_the_fields(void **state)
{
    (void)state;
    struct serve_hash hash;
    const struct serve_field fields[] = {{STR("snapshot"), STR("77")},
                                         {STR("version"), STR("0.7.1")},
                                         {STR("cached_at"), STR("never")},
                                         {STR("last_warm"), STR("now")}};
    struct serve_write write = hash_of(0, 5, fields);
    write.field_count = 4;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_int_equal(hash.count, 3);
    assert_int_equal(hash.snapshot, 5);
    write.kind = SERVE_KEY_METADATA;
    write.key = STR("cache:metadata");
    for (int round = 0; round < 2; round++) { /* the last one to write it is right */
        assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
        assert_int_equal(take(SERVE_KEY_METADATA, write.key, &hash), SERVE_HELD);
        assert_str(value_of(&hash, "version"), "0.7.1");
        assert_str(value_of(&hash, "snapshot"), "5");
    }
}

/* ---- garbage ---- */

static void test_garbage_under_a_hash_is_healed(void **state)
{
    (void)state;
    const struct serve_field field = {STR("bio"), STR("new")};
    struct serve_hash hash;
    for (int kind = 0; kind < GARBAGE; kind++) {
        clear_values(NULL);
        make_garbage(kind, KEY);
        assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_GARBAGE);
        assert_int_equal(hash.count, 0);
        const struct serve_write write = hash_of(0, 1, &field);
        assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
        assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
        assert_int_equal(hash.count, 3);
        assert_ttls(3600 * 1000);
    }
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, STR("kol:profile:tiktok:nobody"), &hash),
                     SERVE_ABSENT);
}

static void test_too_much_is_garbage(void **state)
{
    (void)state;
    struct serve_hash hash;
    struct serve_text text;
    const struct serve_field field = {STR("bio"), STR("new")};
    redis_clear(pipe_);
    redis_addf(pipe_, "EVAL %s 2 %S %S",
               "for i=1,513 do redis.call('HSET',KEYS[1],'field'..i,i) end "
               "return redis.call('SET',KEYS[2],'{\"a\":\"'..string.rep('x',1048576)..'\"}')",
               KEY, LIST);
    run_pipe(pipe_);
    assert_str(redis_answer(pipe_, 0)->text, "OK");
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_GARBAGE);
    assert_int_equal(take_text(&text), SERVE_GARBAGE);
    tell("HDEL kol:profile:tiktok:ana field513");
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    redis_clear(pipe_);
    redis_addf(pipe_, "EVAL %s 1 %S",
               "redis.call('DEL',KEYS[1]) return redis.call('HSET',KEYS[1],'a',"
               "string.rep('x',1048577))",
               KEY);
    run_pipe(pipe_);
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_GARBAGE);
    const struct serve_write write = hash_of(0, 1, &field);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN); /* it names no snapshot: older */
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
}

/* ---- scores in their older form ---- */

static enum serve_held take_score(struct serve_hash *out)
{
    return take(SERVE_KEY_SCORE_ON, SCORE, out);
}

static void test_a_score_in_its_older_form_is_read(void **state)
{
    (void)state;
    struct serve_hash hash;
    const struct serve_field field = {STR("trust_score"), STR("81")};
    TELL(STR("SET"), SCORE,
         STR("{\"trust_score\": 72.50, \"trust_label\": \"high\", \"risk_level\": \"low\", "
             "\"timestamp\": \"2025-05-14T21:17:24+07:00\"}"));
    assert_int_equal(take_score(&hash), SERVE_HELD);
    assert_true(hash.older_form);
    assert_int_equal(hash.count, 2);
    assert_str(value_of(&hash, "trust_score"), "72.5");
    assert_str(value_of(&hash, "timestamp"), "2025-05-14T21:17:24+07:00");
    assert_int_equal(hash.snapshot, 0);
    assert_int_not_equal(hash.print, 0);
    struct serve_write write = hash_of(3, 0, &field);
    write.kind = SERVE_KEY_SCORE_ON;
    write.key = SCORE;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take_score(&hash), SERVE_HELD);
    assert_false(hash.older_form);
    assert_int_equal(hash.version, 3);
    static const char *const garbage[] = {
        "", "7", "[]", "{}", "{\"trust_label\":\"low\"}", "{", "{\"a\":1,\"a\":2}", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        TELL(STR("SET"), SCORE, str_of(garbage[i]));
        assert_int_equal(take_score(&hash), i ? SERVE_GARBAGE : SERVE_ABSENT);
    }
    TELL(STR("DEL"), SCORE);
    make_garbage(1, SCORE);
    assert_int_equal(take_score(&hash), SERVE_GARBAGE);
    assert_int_not_equal(tell("DEL kol:score:tiktok:ana")->number, 0);
    assert_int_equal(take_score(&hash), SERVE_ABSENT);
}

static void test_a_score_can_be_written_in_its_older_form(void **state)
{
    (void)state;
    struct serve_hash hash;
    const struct serve_field field = {STR("trust_score"), STR("81")};
    struct serve_write write = hash_of(3, 7, &field);
    write.kind = SERVE_KEY_SCORE_ON;
    write.key = SCORE;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    write.text = STR("{\"trust_score\":50,\"version\":3,\"snapshot\":7}");
    write.fields = NULL;
    write.field_count = 0;
    assert_int_equal(put(&write, NULL), SERVE_KEPT); /* the hash tells how old it is */
    write.version = 4;
    write.text = STR("{\"trust_score\":50,\"version\":4,\"snapshot\":7}");
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(put(&write, NULL), SERVE_KEPT); /* and so does the text */
    assert_int_equal(take_score(&hash), SERVE_HELD);
    assert_true(hash.older_form);
    assert_int_equal(hash.version, 4);
    assert_ttls(3600 * 1000);
}

/* ---- texts ---- */

static void test_texts_are_guarded_by_their_snapshot(void **state)
{
    (void)state;
    struct serve_text text;
    struct serve_write write = {.kind = SERVE_KEY_PROFILES_LIST, .key = LIST, .snapshot = 5};
    write.text = STR("{\"data\":[{\"snapshot\":900}],\"snapshot\":5}");
    assert_int_equal(take_text(&text), SERVE_ABSENT);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    assert_int_equal(take_text(&text), SERVE_HELD);
    assert_int_equal(text.snapshot, 5);
    assert_true(str_equal(text.json, write.text));
    const uint64_t print = text.print;
    write.snapshot = 6;
    write.text = STR("{\"data\":[],\"snapshot\":6}");
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take_text(&text), SERVE_HELD);
    assert_int_equal(text.snapshot, 6);
    assert_true(text.print && print && text.print != print);
    write.snapshot = 5;
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    write.force = true;
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_ttls(900 * 1000);
    for (int kind = 0; kind < GARBAGE; kind++) {
        clear_values(NULL);
        make_garbage(kind, LIST);
        assert_int_equal(take_text(&text), SERVE_GARBAGE);
        write.force = false;
        write.snapshot = 100;
        assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
        assert_int_equal(take_text(&text), SERVE_HELD);
        assert_ttls(900 * 1000);
    }
}

/* ---- refusals ---- */

/* Without RESTORE, as on a server before Redis 7, a hash is written by HSET from the same bytes. */
static void test_a_server_that_does_not_restore_unpacks(void **state)
{
    (void)state;
    struct serve_hash hash;
    struct str why;
    static char text[4000];
    memset(text, 'x', sizeof text);
    struct serve_field fields[40];
    char names[40][8];
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        static const size_t lengths[] = {0, 1, 62, 63, 64, 124, 125, 126, 127, 128, 129, 300};
        snprintf(names[i], sizeof names[i], "f%zu", i);
        fields[i].name = str_of(names[i]);
        fields[i].value = (struct str){text, lengths[i % ARRAY_LEN(lengths)]};
    }
    assert_int_equal(tell("ACL SETUSER default -restore")->kind, REDIS_TEXT);
    make_garbage(1, KEY);
    struct serve_write write = hash_of(0, 1, fields);
    for (size_t count = ARRAY_LEN(fields); count <= ARRAY_LEN(fields); count -= 13) {
        write.field_count = count;
        write.snapshot++;
        assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
        assert_int_equal(put(&write, NULL), SERVE_KEPT);
        assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
        assert_int_equal(hash.count, count + 2);
        for (size_t i = 0; i < count; i++) {
            assert_true(str_equal(value_of(&hash, names[i]), fields[i].value));
        }
        assert_ttls(3600 * 1000);
    }
    assert_int_equal(tell("ACL SETUSER default -hset")->kind, REDIS_TEXT);
    write.snapshot++;
    assert_int_equal(put(&write, &why), SERVE_REFUSED);
    assert_int_not_equal(why.len, 0);
    assert_int_equal(tell("ACL SETUSER default -evalsha")->kind, REDIS_TEXT);
    assert_int_equal(put(&write, &why), SERVE_REFUSED);
    assert_str(why, "NOPERM");
    assert_int_equal(tell("ACL SETUSER default +@all")->kind, REDIS_TEXT);
}

/* ---- two versions ---- */

/* Texts lie side by side in a block that ends with the last of them: a sanitizer sees who reads on.
 */
static void test_the_last_text_of_a_hash_ends_where_it_ends(void **state)
{
    (void)state;
    char filling[64]; /* longer ones, and Redis would give the fields in an order of its own */
    memset(filling, 'f', sizeof filling);
    for (size_t more = 0; more < 16; more++) {
        struct arena own;
        struct serve_hash hash;
        arena_init(&own, 64);
        redis_clear(pipe_);
        redis_addf(pipe_, "DEL kol:profile:tiktok:full");
        for (int64_t i = 0; i < 50; i++) {
            const struct str text = {filling, i ? sizeof filling : sizeof filling - more};
            redis_addf(pipe_, "HSET kol:profile:tiktok:full %d %S", 100 + i, text);
        }
        redis_addf(pipe_, "HSET kol:profile:tiktok:full version 7");
        const size_t place = serve_ask(pipe_, SERVE_KEY_PROFILE_ON, STR("kol:profile:tiktok:full"));
        run_pipe(pipe_);
        assert_int_equal(serve_take_hash(pipe_, place, SERVE_KEY_PROFILE_ON, &own, &hash),
                         SERVE_HELD);
        assert_int_equal(hash.version, 7);
        arena_free(&own);
    }
}

static void test_fields_of_another_version_are_read_and_told_apart(void **state)
{
    (void)state;
    struct serve_hash hash;
    const struct serve_field field = {STR("bio"), STR("new")};
    const struct serve_write write = hash_of(0, 5, &field);
    assert_int_equal(put(&write, NULL), SERVE_WRITTEN);
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    const uint64_t print = hash.print;
    tell("HSET kol:profile:tiktok:ana cached_at later");
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_true(hash.print == print);
    tell("HSET kol:profile:tiktok:ana unheard_of 1");
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_true(hash.print != print);
    assert_str(value_of(&hash, "unheard_of"), "1");
    assert_int_equal(put(&write, NULL), SERVE_KEPT);
    assert_int_equal(take(SERVE_KEY_PROFILE_ON, KEY, &hash), SERVE_HELD);
    assert_str(value_of(&hash, "unheard_of"), "1"); /* it stays */
}

/* ---- the lock ---- */

static void test_a_lock_is_had_by_one_and_given_back_by_it(void **state)
{
    (void)state;
    const struct str lock = STR("cache:lock:kol:profile:x");
    redis_clear(pipe_);
    const size_t mine = serve_lock(pipe_, lock, STR("mine"), 5000);
    const size_t yours = serve_lock(pipe_, lock, STR("yours"), 5000);
    const size_t wrong = serve_unlock(pipe_, lock, STR("yours"));
    const size_t held = redis_addf(pipe_, "PTTL %S", lock);
    run_pipe(pipe_);
    assert_true(serve_locked(pipe_, mine));
    assert_false(serve_locked(pipe_, yours));
    assert_int_equal(redis_answer(pipe_, wrong)->number, 0);
    assert_true(redis_answer(pipe_, held)->number > 0);
    redis_clear(pipe_);
    const size_t unlocked = serve_unlock(pipe_, lock, STR("mine"));
    run_pipe(pipe_);
    assert_int_equal(redis_answer(pipe_, unlocked)->number, 1);
    redis_clear(pipe_);
    const size_t again = serve_lock(pipe_, lock, STR("yours"), 5000);
    run_pipe(pipe_);
    assert_true(serve_locked(pipe_, again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_hash_is_read_as_it_was_written, clear_values),
        cmocka_unit_test_setup(test_a_packed_hash_is_one_like_any_other, clear_values),
        cmocka_unit_test_setup(test_newer_is_written_and_older_is_not, clear_values),
        cmocka_unit_test_setup(test_what_was_missing_does_not_replace_what_came_meanwhile,
                               clear_values),
        cmocka_unit_test_setup(test_a_large_hash_is_guarded_and_loses_the_fields_of_before,
                               clear_values),
        cmocka_unit_test_setup(test_fields_of_one_name_come_to_the_last, clear_values),
        cmocka_unit_test_setup(test_names_of_every_value_are_passed_over_among_the_fields,
                               clear_values),
        cmocka_unit_test_setup(test_garbage_under_a_hash_is_healed, clear_values),
        cmocka_unit_test_setup(test_too_much_is_garbage, clear_values),
        cmocka_unit_test_setup(test_a_score_in_its_older_form_is_read, clear_values),
        cmocka_unit_test_setup(test_a_score_can_be_written_in_its_older_form, clear_values),
        cmocka_unit_test_setup(test_texts_are_guarded_by_their_snapshot, clear_values),
        cmocka_unit_test_setup(test_a_server_that_does_not_restore_unpacks, clear_values),
        cmocka_unit_test_setup(test_the_last_text_of_a_hash_ends_where_it_ends, clear_values),
        cmocka_unit_test_setup(test_fields_of_another_version_are_read_and_told_apart,
                               clear_values),
        cmocka_unit_test_setup(test_a_lock_is_had_by_one_and_given_back_by_it, clear_values),
    };
    if (!server_is_installed()) {
        puts("1..0 # SKIP redis-server is not installed: run tools/install.sh test");
        return 0;
    }
    arena_init(&arena, 0);
    const int failed = cmocka_run_group_tests(tests, start, stop);
    arena_free(&arena);
    return failed;
}
