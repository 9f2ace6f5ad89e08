/*
 * answer.c: ready answers: counted, constant, in each coding that pays, with their ETags and their
 * Cache-Control made once; and what a handler leaves, made into one.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/logger.h"
#include "base/mem.h"
#include "http/call.h"

enum { COMPRESS_FROM = 1000 }; /* bytes: below, the saving is less than a packet */

/* Types that get smaller. */
static bool is_text(const char *type)
{
    return strncmp(type, "text/", 5) == 0 || strstr(type, "json") || strstr(type, "javascript") ||
           strstr(type, "xml");
}

static void make_etag(struct http_form *form, struct str hash, enum http_coding coding)
{
    if (coding == CODING_IDENTITY) { /* made for each answer: without printf */
        KOL_ASSERT(hash.len + 3 <= sizeof form->etag);
        form->etag[0] = '"';
        memcpy(form->etag + 1, hash.ptr, hash.len);
        memcpy(form->etag + 1 + hash.len, "\"", 2);
    } else {
        snprintf(form->etag, sizeof form->etag, "\"%.*s-%s\"", STR_FORMAT(hash),
                 http_coding_names[coding]);
    }
}

static void copy_form(struct http_answer *answer, enum http_coding coding, struct str bytes)
{
    struct http_form *form = &answer->forms[coding];
    form->len = bytes.len;
    form->bytes = mem_alloc(bytes.len + 1);
    if (bytes.len) {
        memcpy(form->bytes, bytes.ptr, bytes.len);
    }
    form->bytes[bytes.len] = '\0';
}

static void take_form(struct http_answer *answer, enum http_coding coding, struct buf *bytes)
{
    copy_form(answer, coding, buf_str(bytes));
    buf_free(bytes);
}

const char *http_number(int64_t number, char text[HTTP_NUMBER_MAX])
{
    char *at = text + HTTP_NUMBER_MAX - 1;
    *at = '\0';
    uint64_t rest = number > 0 ? (uint64_t)number : 0;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    return at;
}

/* Appends a directive with its seconds. */
static char *put_seconds(char *at, const char *directive, int seconds)
{
    char digits[HTTP_NUMBER_MAX];
    return stpcpy(stpcpy(at, directive), http_number(seconds, digits));
}

/* The longest is "private, max-age=2147483647, stale-while-revalidate=2147483647,
 * stale-if-error=2147483647". */
static void make_cache_control(const char *scope, const struct http_policy *policy,
                               char out[HTTP_CACHE_CONTROL_MAX])
{
    if (policy->fresh <= 0 && policy->stale <= 0 && policy->error <= 0) {
        strcpy(out, "no-store");
        return;
    }
    char *at = put_seconds(stpcpy(out, scope), ", max-age=", policy->fresh);
    if (policy->stale > 0) {
        at = put_seconds(at, ", stale-while-revalidate=", policy->stale);
    }
    if (policy->error > 0) {
        put_seconds(at, ", stale-if-error=", policy->error);
    }
}

/* "Name: value\n"... becomes name NUL value NUL ... NUL. A line that is none, or that would begin
 * another, is left out: no header of ours is made of what a client sent. */
static char *split_headers(const char *lines)
{
    if (!lines || !*lines) {
        return NULL;
    }
    char *out = mem_alloc(strlen(lines) + 2), *end = out;
    struct str rest = str_of(lines);
    while (rest.len) {
        struct str line = str_cut(&rest, '\n'), value = line;
        struct str name = str_trim(str_cut(&value, ':'));
        value = str_trim(value);
        if (!name.len || !value.len || memchr(line.ptr, '\r', line.len)) {
            continue;
        }
        memcpy(end, name.ptr, name.len);
        end += name.len;
        *end++ = '\0';
        memcpy(end, value.ptr, value.len);
        end += value.len;
        *end++ = '\0';
    }
    *end = '\0';
    return out;
}

/* Bytes of what split_headers() made. */
static size_t headers_size(const char *headers)
{
    const char *at = headers;
    while (at && *at) {
        at += strlen(at) + 1;
    }
    return at ? (size_t)(at - headers) + 1 : 0;
}

struct http_answer *http_answer_new(const struct http_answer_options *options, struct str body)
{
    struct http_answer *answer = mem_zalloc(1, sizeof *answer);
    answer->holds = 1;
    answer->status = options->status ? options->status : 200;
    const struct str type = str_of(options->type ? options->type : "application/json");
    memcpy(answer->type, type.ptr,
           type.len < sizeof answer->type ? type.len : sizeof answer->type - 1);
    answer->html = strncmp(answer->type, "text/html", 9) == 0;
    answer->policy = options->policy;
    answer->headers = split_headers(options->headers);
    make_cache_control("public", &options->policy, answer->cache_public);
    make_cache_control("private", &options->policy, answer->cache_private);
    struct buf hash = {0};
    copy_form(answer, CODING_IDENTITY, body);
    if (answer->status == 200) {
        hash_put_hex128(&hash, body);
        make_etag(&answer->forms[CODING_IDENTITY], buf_str(&hash), CODING_IDENTITY);
    }
    answer->varies = options->compress && is_text(answer->type);
    for (size_t i = 0;
         answer->varies && body.len >= COMPRESS_FROM && i < ARRAY_LEN(http_answer_codings); i++) {
        struct buf bytes = {0};
        enum http_coding coding = http_answer_codings[i];
        if (http_encode(coding, body, false, &bytes)) {
            take_form(answer, coding, &bytes);
            if (answer->status == 200) {
                make_etag(&answer->forms[coding], buf_str(&hash), coding);
            }
        }
        buf_free(&bytes);
    }
    buf_free(&hash);
    return answer;
}

/* The same answer without a body: what lies between `holds`, which others count meanwhile, and the
 * forms. */
static struct http_answer *copy_head(const struct http_answer *answer)
{
    const size_t from = offsetof(struct http_answer, status);
    struct http_answer *copy = mem_zalloc(1, sizeof *copy);
    memcpy((char *)copy + from, (const char *)answer + from,
           offsetof(struct http_answer, forms) - from);
    copy->holds = 1;
    if (answer->headers) {
        size_t size = headers_size(answer->headers);
        copy->headers = memcpy(mem_alloc(size), answer->headers, size);
    }
    return copy;
}

struct http_answer *http_answer_recoded(const struct http_answer *answer, enum http_coding coding,
                                        struct buf *bytes)
{
    struct http_answer *coded = copy_head(answer);
    coded->varies = true;
    take_form(coded, coding, bytes);
    const char *etag = answer->forms[CODING_IDENTITY].etag;
    if (etag[0]) {
        struct str hash = {etag + 1, strlen(etag) - 2};
        make_etag(&coded->forms[coding], hash, coding);
    }
    return coded;
}

struct http_answer *http_answer_named(struct http_answer *answer, struct str id)
{
    const struct http_form *form = &answer->forms[CODING_IDENTITY];
    const size_t at = answer->instance_at;
    if (!at) {
        return answer;
    }
    struct http_answer *named = copy_head(answer);
    struct buf body = {0};
    buf_append(&body, form->bytes, at);
    buf_put(&body, id);
    buf_append(&body, form->bytes + at, form->len - at);
    take_form(named, CODING_IDENTITY, &body);
    named->instance_at = 0;
    http_answer_release(answer);
    return named;
}

void http_answer_hold(struct http_answer *answer)
{
    atomic_fetch_add_explicit(&answer->holds, 1, memory_order_relaxed);
}

void http_answer_release(struct http_answer *answer)
{
    if (atomic_fetch_sub_explicit(&answer->holds, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < CODING_COUNT; i++) {
        free(answer->forms[i].bytes);
    }
    free(answer->headers);
    free(answer);
}

size_t http_answer_bytes(const struct http_answer *answer)
{
    size_t bytes = sizeof *answer;
    for (size_t i = 0; i < CODING_COUNT; i++) {
        bytes += answer->forms[i].bytes ? answer->forms[i].len + 17 : 0; /* NUL, malloc's head */
    }
    return bytes + headers_size(answer->headers);
}

int http_answer_status(const struct http_answer *answer)
{
    return answer->status;
}

/* ---- what a handler leaves ---- */

void http_take_json(struct http_call *call, struct buf *text)
{
    buf_free(&call->text);
    call->text = *text;
    *text = (struct buf){0};
}

void http_json(struct http_call *call, struct str text)
{
    buf_clear(&call->text);
    buf_put(&call->text, text);
}

void http_put_header(struct http_call *call, const char *name, const char *format, ...)
{
    va_list args;
    struct buf value = {0};
    va_start(args, format);
    buf_vprintf(&value, format, args);
    va_end(args);
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f) {
            value.ptr[i] = ' ';
        }
    }
    buf_printf(&call->headers, "%s: %.*s\n", name, STR_FORMAT(buf_str(&value)));
    buf_free(&value);
}

enum kol_status http_problem(struct http_call *call, const char *code, const char *detail, ...)
{
    const struct http_problem_kind *kind = http_problem_find(call->server->app, code);
    if (!kind) {
        kol_panic("http_problem: %s is in no table of problems", code);
    }
    struct buf text = {0};
    va_list args;
    va_start(args, detail);
    buf_vprintf(&text, detail, args);
    va_end(args);
    call->problem = kind->code;
    call->problem_detail = arena_copy(&call->arena, buf_str(&text));
    buf_free(&text);
    return kind->status == 404 ? KOL_NOT_FOUND : kind->status == 504 ? KOL_TIMEOUT : KOL_INVALID;
}

/* An empty `id` is filled in by http_answer_named(): a problem may go to many requests. */
static struct http_answer *problem_answer(const struct http_app *app, const char *code,
                                          struct str detail, struct str id, const char *headers,
                                          int missing)
{
    const struct http_problem_kind *kind = http_problem_find(app, code);
    KOL_ASSERT(kind);
    struct buf body = {0};
    http_problem_put(kind, detail, id, STR(""), &body);
    struct http_answer_options options = {
        .status = kind->status,
        .type = "application/problem+json",
        .headers = headers,
        .policy.fresh = kind->status == 404 ? missing : 0,
    };
    struct http_answer *answer = http_answer_new(&options, buf_str(&body));
    if (!id.len) {
        answer->instance_at = body.len - 2; /* "instance" is the last member */
        KOL_ASSERT(body.ptr[body.len - 3] == '"' && body.ptr[body.len - 2] == '"');
    }
    buf_free(&body);
    return answer;
}

struct http_answer *http_problem_answer(const struct http_app *app, const char *code,
                                        struct str detail, struct str id, const char *headers)
{
    return problem_answer(app, code, detail, id, headers, 0);
}

/* A failure that named no problem: what the client may know of it. */
static void explain(struct http_call *call, enum kol_status status, const struct kol_error *err)
{
    const char *code = http_problem_of_status(status);
    const char *message = err && err->message[0] ? err->message : kol_status_meaning(status);
    if (status == KOL_INTERRUPTED) {
        http_problem(call, "busy", "The server is stopping.");
    } else if (strcmp(code, "internal") == 0) {
        log_error("%s (request %s): %s: %s", call->match.route->name, call->id,
                  kol_status_text(status), message);
        http_problem(call, code, "It is in the log under request %s.", call->id);
    } else {
        http_problem(call, code, "%s", message);
    }
}

struct http_answer *http_take_answer(struct http_call *call, enum kol_status status,
                                     const struct kol_error *err)
{
    const struct http_route *route = call->match.route;
    const struct http_policy policy = http_call_policy(call);
    if (status != KOL_OK && !call->problem) {
        explain(call, status, err);
    }
    if (call->problem) {
        return problem_answer(call->server->app, call->problem, call->problem_detail, STR(""),
                              call->headers.ptr, policy.missing);
    }
    /* What nobody keeps is only compressed for whoever takes it. */
    bool kept = call->server->app->keeps && policy.fresh > 0;
    bool compress = kept || http_header(call, "Accept-Encoding").len;
    struct http_answer_options options = {
        .status = route->status,
        .type = call->type,
        .compress = compress,
        .policy = policy,
        .headers = call->headers.ptr,
    };
    struct http_answer *answer = http_answer_new(&options, buf_str(&call->text));
    /* Others may keep it, and another request may be answered in another coding. */
    answer->varies |= policy.fresh > 0 && is_text(answer->type);
    return answer;
}
