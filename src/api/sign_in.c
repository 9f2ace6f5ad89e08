/*
 * sign_in.c: signing in with a key, and out: what the form of the dashboard does, so that no page
 * needs to keep a key.
 *
 * The browser keeps a token instead, in a cookie that no script can read and that goes to this
 * server's own pages alone. What the token stands for is signed_in.c.
 */
#include <stdio.h>

#include "api/keys.h"
#include "base/clock.h"
#include "base/metrics.h"

#define ATTRIBUTES "; Path=/; HttpOnly; SameSite=Strict"

enum {
    TOKENS_MOST = 8,        /* of one request: each is looked up */
    SIGN_INS_A_MINUTE = 30, /* with one key: */
    SIGN_INS_AT_ONCE = 30   /* so at most 43,230 live at once */
};

/* Ends what the browser has of sessions before: each of them, for a page of another host of this
 * domain may have put a cookie of the same name beside ours. False: one may go on. */
static bool end_all(struct http_call *call)
{
    struct str header = http_header(call, "Cookie"), token;
    bool over = true;
    for (int i = 0; http_cookie_next(&header, API_COOKIE, &token); i++) {
        over = i < TOKENS_MOST &&
               api_signed_end(api_of(call), token, http_call_deadline_ns(call)) && over;
    }
    return over;
}

static void put_cookie(struct http_call *call, struct str token, int64_t seconds)
{
    http_put_header(call, "Set-Cookie", API_COOKIE "=%.*s; Max-Age=%lld" ATTRIBUTES "%s",
                    STR_FORMAT(token), (long long)seconds,
                    http_call_secure(call) ? "; Secure" : "");
}

/* Who signs in: by the key of the body, or that of the header, which is checked already. */
static enum kol_status identify(struct http_call *call, struct http_identity *out)
{
    const struct json_value *key = json_value_get(http_json_body(call), "key");
    *out = (struct http_identity){.scopes = http_caller_scopes(call)};
    if (!key && http_caller(call).len) {
        snprintf(out->id, sizeof out->id, "%.*s", STR_FORMAT(http_caller(call)));
        return KOL_OK;
    }
    if (key && api_keys_identify(api_of(call)->keys, json_value_text(key), out)) {
        return KOL_OK;
    }
    metrics_add(METRIC_SIGN_INS, "refused", 1);
    http_put_header(call, "WWW-Authenticate", "ApiKey realm=\"api\"");
    return key ? http_problem(call, "key_invalid", "The key is unknown, revoked or expired.")
               : http_problem(call, "key_required",
                              "Sign in with a key: as `key` of the body, or in X-API-Key.");
}

/* Who has a key may sign in again and again, and each time a row is kept for a day: so often. */
static int64_t count(struct http_call *call, const struct http_identity *who)
{
    const struct http_use use = {.kind = API_USE_SIGN_IN,
                                 .id = str_of(who->id),
                                 .per_minute = SIGN_INS_A_MINUTE,
                                 .burst = SIGN_INS_AT_ONCE};
    return http_use(call, &use);
}

static enum kol_status refuse(struct http_call *call, int64_t retry_s)
{
    metrics_add(METRIC_SIGN_INS, "limited", 1);
    http_put_header(call, "Retry-After", "%lld", (long long)retry_s);
    return http_problem(call, "too_many_sign_ins",
                        "At most %d sign-ins a minute are taken with a key, %d at once.",
                        SIGN_INS_A_MINUTE, SIGN_INS_AT_ONCE);
}

static enum kol_status answer(struct http_call *call, const struct http_identity *who,
                              int64_t expires_us)
{
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_text(&json, "key", str_of(who->id));
    api_put_scopes(&json, who->scopes);
    js_member_time(&json, "expires_at", expires_us);
    js_close(&json, '}');
    return api_answer(call, &body);
}

enum kol_status api_sign_in(struct http_call *call, struct kol_error *err)
{
    struct api *api = api_of(call);
    struct http_identity who;
    struct api_key key = {0};
    struct buf token = {0};
    if (api->options.open) {
        return http_problem(call, "no_key_needed", "No key is asked for here: all is open.");
    }
    enum kol_status status = identify(call, &who);
    if (status != KOL_OK) {
        return status;
    }
    const int64_t retry_s = count(call, &who);
    if (retry_s) {
        return refuse(call, retry_s);
    }
    int64_t now_us = clock_now_us(), expires_us = now_us + API_SESSION_US;
    if (api_keys_find(api->keys, str_of(who.id), &key) && key.expires_us &&
        key.expires_us < expires_us) {
        expires_us = key.expires_us;
    }
    status = api_signed_begin(api, &who, expires_us, http_call_deadline_ns(call), &token, err);
    if (status == KOL_OK) {
        metrics_add(METRIC_SIGN_INS, "done", 1);
        (void)end_all(call); /* that of before */
        put_cookie(call, buf_str(&token), (expires_us - now_us) / CLOCK_US_PER_SECOND);
        status = answer(call, &who, expires_us);
    }
    buf_free(&token);
    return status;
}

enum kol_status api_sign_out(struct http_call *call, struct kol_error *err)
{
    (void)err;
    if (!api_of(call)->options.open && !end_all(call)) {
        http_put_header(call, "Retry-After", "1");
        return http_problem(call, "session_untold",
                            "What sessions are kept in does not answer: this one may go on.");
    }
    put_cookie(call, STR(""), 0);
    return KOL_OK;
}
