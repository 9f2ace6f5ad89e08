/*
 * test_decode_differential.c: the decoder beside jansson and a slow reader of its trees, on
 * generated events and on mutations of them: both accept the same, with the same values.
 *
 * KOL_TEST_SEED (default 1) and KOL_TEST_EVENTS (default 100000 mutated events) change a run. A
 * difference prints the seed and the bytes.
 */
#include "event_generator.h"
#include "event_reference.h"

enum { MUTANTS = 4 }; /* of each generated event */

static struct tally {
    size_t events, accepted, refused;
    size_t overflowed; /* left out: jansson refuses numbers that it cannot hold */
    size_t unclear;    /* left out: the tree has lost what decides */
    size_t nul_keys;   /* left out: jansson refuses keys with NUL */
} generated, mutated;

static void show_bytes(struct str json)
{
    for (size_t i = 0; i < json.len; i++) {
        unsigned char c = (unsigned char)json.ptr[i];
        if (c >= 0x20 && c < 0x7F) {
            fputc(c, stderr);
        } else {
            fprintf(stderr, "\\x%02x", c);
        }
    }
    fputc('\n', stderr);
}

#define DIFFER(json, ...)                                                                          \
    do {                                                                                           \
        show_bytes(json);                                                                          \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

static bool same_tags(const struct str_list *tags, const struct reference_value *wanted)
{
    struct buf text = {0};
    for (size_t i = 0; i < tags->count; i++) {
        buf_append(&text, &tags->items[i].len, sizeof tags->items[i].len);
        buf_put(&text, tags->items[i]);
    }
    bool same = tags->count == wanted->items && str_equal(buf_str(&text), buf_str(&wanted->text));
    buf_free(&text);
    return same;
}

static bool same_value(const struct field *field, const void *value,
                       const struct reference_value *wanted)
{
    switch (field->kind) {
    case FIELD_INT:
    case FIELD_TIME: return *(const int64_t *)value == wanted->integer;
    case FIELD_REAL:
        return *(const double *)value == wanted->real && !signbit(*(const double *)value);
    case FIELD_BOOL: return *(const bool *)value == (wanted->integer != 0);
    case FIELD_CHOICE: return *(const int *)value == wanted->integer;
    case FIELD_TAGS: return same_tags(value, wanted);
    default: return str_equal(*(const struct str *)value, buf_str(&wanted->text));
    }
}

/* An event that came without an id has one now; otherwise all values are those of the reference. */
static void compare_values(struct str json, const struct reference *wanted)
{
    struct field_table table = event_fields(wanted->type);
    if (event.type != wanted->type) {
        DIFFER(json, "type %d, wanted %d", event.type, wanted->type);
    }
    for (size_t i = 0; i < table.count; i++) {
        const struct field *field = &table.fields[i];
        const struct reference_value *value = &wanted->values[i];
        if (i == COMMON_FIELD_event_id && !value->known) {
            assert_int_equal(event.event_id.len, 32);
            continue;
        }
        if (event_has(&event, (int)i) != value->known) {
            DIFFER(json, "%s is %s, wanted the contrary", field->name,
                   value->known ? "unknown" : "known");
        }
        if (value->known && !same_value(field, event_value(&event, field), value)) {
            DIFFER(json, "%s differs", field->name);
        }
    }
}

/* What was accepted can be written and read again, with the same bytes in the end. */
static void check_round_trip(struct str json)
{
    static struct buf first, second;
    struct event before = event;
    buf_clear(&first);
    buf_clear(&second);
    event_encode(&first, &event);
    char *kept = input;
    struct arena kept_arena = arena;
    input = NULL;
    arena_init(&arena, 4096);
    if (decode(buf_str(&first)) != KOL_OK) {
        DIFFER(json, "its canonical form is refused: %s\n%s", reason.message, first.ptr);
    }
    event_encode(&second, &event);
    if (event.known != before.known || !str_equal(buf_str(&first), buf_str(&second))) {
        DIFFER(json, "its canonical form changes:\n%s\n%s", first.ptr, second.ptr);
    }
    arena_free(&arena);
    arena = kept_arena;
    free(kept);
}

/* What the event should be; UNCLEAR, and counted, where jansson cannot tell. */
static enum verdict expect(struct str json, struct tally *tally, struct reference *wanted)
{
    json_error_t error;
    if (memchr(json.ptr, '\0', json.len)) {
        return REFUSED; /* jansson overlooks a NUL behind a number */
    }
    json_t *root = json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, &error);
    enum verdict verdict = REFUSED;
    if (root) {
        verdict = reference_decode(json, root, NOW, wanted);
        tally->unclear += verdict == UNCLEAR;
    } else if (json_error_code(&error) == json_error_numeric_overflow) {
        tally->overflowed++;
        verdict = UNCLEAR;
    } else if (json_error_code(&error) == json_error_null_byte_in_key) {
        tally->nul_keys++;
        verdict = UNCLEAR;
    }
    json_decref(root);
    return verdict;
}

static void check_event(struct str json, struct tally *tally)
{
    struct reference wanted = {0};
    enum verdict verdict = expect(json, tally, &wanted);
    enum kol_status status = decode(json);
    if (verdict != UNCLEAR && (status == KOL_OK) != (verdict == ACCEPTED)) {
        DIFFER(json, "%s by the decoder, %s by the reference: %s",
               status == KOL_OK ? "accepted" : "refused",
               verdict == ACCEPTED ? "accepted" : "refused", reason.message);
    }
    if (status != KOL_OK) {
        assert_int_equal(reason.status, KOL_INVALID);
        assert_true(text_is_utf8(str_of(reason.message)));
    } else {
        if (verdict == ACCEPTED) {
            compare_values(json, &wanted);
        }
        check_round_trip(json);
    }
    tally->events++;
    tally->accepted += verdict == ACCEPTED;
    tally->refused += verdict == REFUSED;
    reference_free(&wanted);
}

static size_t number_from(const char *variable, size_t otherwise)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void show_tally(const char *name, const struct tally *tally)
{
    print_message(
        "# %zu %s events: %zu accepted, %zu refused; left out: %zu overflow, %zu unclear, "
        "%zu with NUL in a key\n",
        tally->events, name, tally->accepted, tally->refused, tally->overflowed, tally->unclear,
        tally->nul_keys);
}

static void test_decoder_agrees_with_jansson_on_generated_and_mutated_events(void **state)
{
    (void)state;
    struct buf event_text = {0}, mutant = {0}, other = {0};
    size_t seed = number_from("KOL_TEST_SEED", 1), wanted = number_from("KOL_TEST_EVENTS", 100000);
    random_state = seed;
    print_message("# seed %zu\n", seed);
    generate_event(&other);
    while (mutated.events < wanted) {
        buf_clear(&event_text);
        generate_event(&event_text);
        check_event(buf_str(&event_text), &generated);
        buf_clear(&mutant);
        buf_put(&mutant, buf_str(&event_text));
        for (int i = 0; i < MUTANTS; i++) {
            mutate(&mutant, &other);
            check_event(buf_str(&mutant), &mutated);
            if (one_in(2)) { /* from the whole event again, else one change more */
                buf_clear(&mutant);
                buf_put(&mutant, buf_str(&event_text));
            }
        }
        struct buf old = other;
        other = event_text;
        event_text = old;
    }
    show_tally("generated", &generated);
    show_tally("mutated", &mutated);
    /* The comparison says something only if both answers are common and few events are left out. */
    assert_true(generated.accepted * 4 > generated.events);
    assert_true(mutated.accepted * 10 > mutated.events && mutated.refused * 4 > mutated.events);
    assert_true((generated.overflowed + generated.unclear + generated.nul_keys) * 20 <
                generated.events);
    assert_true((mutated.overflowed + mutated.unclear + mutated.nul_keys) * 20 < mutated.events);
    buf_free(&event_text);
    buf_free(&mutant);
    buf_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoder_agrees_with_jansson_on_generated_and_mutated_events),
    };
    return cmocka_run_group_tests(tests, NULL, teardown_events);
}
