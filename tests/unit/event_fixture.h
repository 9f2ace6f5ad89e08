/*
 * event_fixture.h: what the tests of the decoder and the encoder share: one event at a time,
 * decoded from memory of the exact size, at a fixed time.
 */
#ifndef TESTS_UNIT_EVENT_FIXTURE_H
#define TESTS_UNIT_EVENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "domain/decode.h"
#include "domain/encode.h"

#define NOW (INT64_C(1748736000) * CLOCK_US_PER_SECOND) /* 2025-06-01T00:00:00Z */

/* Members that make a whole event of the type, but for its closing brace. */
#define COMMON "\"event_time\":\"2025-05-14T21:17:24Z\",\"platform\":\"tiktok\",\"username\":\"an\""
#define PROFILE "{\"event_type\":\"profile\"," COMMON
#define VIDEO "{\"event_type\":\"video\",\"video_id\":\"v1\"," COMMON
#define PRODUCT "{\"event_type\":\"product\"," COMMON

/* What the last call of decode() left. The texts of `event` live until the next one. */
static struct arena arena;
static struct event event;
static struct kol_error reason;
static char *input;

/* Copies the text, so that a sanitizer sees a read past its end, and spoils the old event. */
static inline enum kol_status decode(struct str json)
{
    free(input);
    input = mem_alloc(json.len ? json.len : 1);
    if (json.len) {
        memcpy(input, json.ptr, json.len);
    }
    arena_reset(&arena);
    memset(&event, 0xA5, sizeof event);
    memset(&reason, 0, sizeof reason);
    return event_decode((struct str){input, json.len}, NOW, &arena, &event, &reason);
}

static inline void accept_bytes(struct str json)
{
    if (decode(json) != KOL_OK) {
        fail_msg("refused: %s\n%.*s", reason.message, STR_FORMAT(json));
    }
}

static inline void accept(const char *json)
{
    accept_bytes(str_of(json));
}

static inline void refuse_bytes(struct str json, const char *wanted)
{
    if (decode(json) == KOL_OK) {
        fail_msg("accepted, wanted: %s\n%.*s", wanted, STR_FORMAT(json));
    }
    assert_int_equal(reason.status, KOL_INVALID);
    assert_string_equal(reason.message, wanted);
    assert_true(text_is_utf8(str_of(reason.message)));
}

static inline void refuse(const char *json, const char *wanted)
{
    refuse_bytes(str_of(json), wanted);
}

static inline void check_text(struct str text, const char *wanted)
{
    if (!str_is(text, wanted)) {
        fail_msg("\"%.*s\", wanted \"%s\"", STR_FORMAT(text), wanted);
    }
}

/* One more member of a profile, video or product; the name says which kinds it has. */
static inline void accept_profile(const char *member)
{
    struct buf json = {0};
    buf_printf(&json, PROFILE ",%s}", member);
    accept_bytes(buf_str(&json));
    buf_free(&json);
}

static inline void refuse_profile(const char *member, const char *wanted)
{
    struct buf json = {0};
    buf_printf(&json, PROFILE ",%s}", member);
    refuse_bytes(buf_str(&json), wanted);
    buf_free(&json);
}

static inline void accept_video(const char *member)
{
    struct buf json = {0};
    buf_printf(&json, VIDEO ",%s}", member);
    accept_bytes(buf_str(&json));
    buf_free(&json);
}

static inline void refuse_video(const char *member, const char *wanted)
{
    struct buf json = {0};
    buf_printf(&json, VIDEO ",%s}", member);
    refuse_bytes(buf_str(&json), wanted);
    buf_free(&json);
}

static inline void accept_product(const char *member)
{
    struct buf json = {0};
    buf_printf(&json, PRODUCT ",%s}", member);
    accept_bytes(buf_str(&json));
    buf_free(&json);
}

static inline void refuse_product(const char *member, const char *wanted)
{
    struct buf json = {0};
    buf_printf(&json, PRODUCT ",%s}", member);
    refuse_bytes(buf_str(&json), wanted);
    buf_free(&json);
}

static inline int teardown_events(void **state)
{
    (void)state;
    arena_free(&arena);
    free(input);
    input = NULL;
    return 0;
}

#endif
