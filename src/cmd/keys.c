/* keys.c: `kol keys`: makes, lists and revokes the keys of the API. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cmd/command.h"

static enum kol_status read_scopes(const char *text, http_scopes *out, struct kol_error *err)
{
    struct str rest = str_of(text);
    *out = 0;
    while (rest.len) {
        struct str name = str_trim(str_cut(&rest, ','));
        size_t bit = 0;
        while (bit < ARRAY_LEN(api_scope_names) && !str_is(name, api_scope_names[bit])) {
            bit++;
        }
        if (bit == ARRAY_LEN(api_scope_names)) {
            return kol_fail(err, KOL_USAGE,
                            "no scope '%.*s': there are read, predict, write, admin",
                            STR_FORMAT(name));
        }
        *out |= 1U << bit;
    }
    return *out ? KOL_OK
                : kol_fail(err, KOL_USAGE,
                           "--scope says what the key may do: read, predict, "
                           "write, admin, comma-separated");
}

static void put_scopes(struct rows *rows, http_scopes scopes)
{
    struct buf names = {0};
    for (size_t i = 0; i < ARRAY_LEN(api_scope_names); i++) {
        if (scopes >> i & 1) {
            buf_printf(&names, "%s%s", names.len ? "," : "", api_scope_names[i]);
        }
    }
    rows_text(rows, buf_str(&names));
    buf_free(&names);
}

static void put_time(struct rows *rows, int64_t time_us)
{
    if (time_us) {
        rows_time(rows, time_us);
    } else {
        rows_null(rows);
    }
}

/* ---- create ---- */

/* A name that no key has yet. */
static enum kol_status choose_id(const struct invocation *call, struct api_key *key,
                                 struct kol_error *err)
{
    struct arena arena;
    struct api_key *keys;
    size_t count;
    arena_init(&arena, 0);
    enum kol_status status = api_key_list(call->data, &arena, &keys, &count, err);
    for (size_t number = 1; status == KOL_OK && number <= count + 1; number++) {
        bool taken = false;
        snprintf(key->id, sizeof key->id, "key-%zu", number);
        for (size_t i = 0; i < count; i++) {
            taken = taken || strcmp(keys[i].id, key->id) == 0;
        }
        if (!taken) {
            break;
        }
    }
    arena_free(&arena);
    return status;
}

static enum kol_status describe(const struct invocation *call, struct api_key *key,
                                struct kol_error *err)
{
    const char *note = flag_text(call, "note");
    enum kol_status status = read_scopes(flag_text(call, "scope"), &key->scopes, err);
    if (status != KOL_OK) {
        return status;
    }
    if (call->arg_count > 1 && strlen(call->args[1]) >= sizeof key->id) {
        return kol_fail(err, KOL_USAGE, "the name of a key has at most %zu bytes",
                        sizeof key->id - 1);
    }
    if (note && strlen(note) >= sizeof key->note) {
        return kol_fail(err, KOL_USAGE, "--note takes at most %zu bytes", sizeof key->note - 1);
    }
    snprintf(key->note, sizeof key->note, "%s", note ? note : "");
    if (flag_given(call, "expires")) {
        key->expires_us = clock_now_us() + flag_int(call, "expires");
    }
    key->rate_per_minute = flag_int(call, "rate");
    key->burst = flag_int(call, "burst");
    if (call->arg_count > 1) {
        snprintf(key->id, sizeof key->id, "%s", call->args[1]);
        return KOL_OK;
    }
    return choose_id(call, key, err);
}

static enum kol_status run_create(const struct invocation *call, struct kol_error *err)
{
    static const char *const columns[] = {"id", "key", "scopes", "expires_at"};
    struct api_key key = {0};
    struct buf text = {0};
    enum kol_status status = describe(call, &key, err);
    if (status == KOL_OK) {
        status = api_key_create(call->data, &key, &text, err);
    }
    if (status == KOL_OK) {
        struct rows *rows = rows_begin(stdout, call->format, columns, ARRAY_LEN(columns));
        rows_text(rows, str_of(key.id));
        rows_text(rows, buf_str(&text));
        put_scopes(rows, key.scopes);
        put_time(rows, key.expires_us);
        status = rows_end(&rows, err);
        fputs("The key is kept nowhere and shown this once: send it as the header X-API-Key.\n",
              stderr);
    }
    buf_free(&text);
    return status;
}

/* ---- list, revoke ---- */

static enum kol_status run_list(const struct invocation *call, struct kol_error *err)
{
    static const char *const columns[] = {
        "id",         "scopes",          "state", "created_at", "expires_at",
        "revoked_at", "rate_per_minute", "burst", "note"};
    struct arena arena;
    struct api_key *keys;
    size_t count;
    arena_init(&arena, 0);
    enum kol_status status = api_key_list(call->data, &arena, &keys, &count, err);
    if (status == KOL_OK) {
        struct rows *rows = rows_begin(stdout, call->format, columns, ARRAY_LEN(columns));
        for (size_t i = 0; i < count; i++) {
            const struct api_key *key = &keys[i];
            bool expired = key->expires_us && key->expires_us <= clock_now_us();
            rows_text(rows, str_of(key->id));
            put_scopes(rows, key->scopes);
            rows_text(rows, key->revoked_us ? STR("revoked")
                            : expired       ? STR("expired")
                                            : STR("valid"));
            put_time(rows, key->created_us);
            put_time(rows, key->expires_us);
            put_time(rows, key->revoked_us);
            rows_int(rows, key->rate_per_minute);
            rows_int(rows, key->burst);
            rows_text(rows, str_of(key->note));
        }
        status = rows_end(&rows, err);
    }
    arena_free(&arena);
    return status;
}

static enum kol_status run_revoke(const struct invocation *call, struct kol_error *err)
{
    return api_key_revoke(call->data, call->args[1], err);
}

static const struct subcommand {
    const char *name;
    size_t least, most; /* arguments, its name among them */
    enum kol_status (*run)(const struct invocation *call, struct kol_error *err);
} subcommands[] = {
    {"create", 1, 2, run_create},
    {"list", 1, 1, run_list},
    {"revoke", 2, 2, run_revoke},
};

enum kol_status cmd_keys(const struct invocation *call, struct kol_error *err)
{
    const char *names[ARRAY_LEN(subcommands)];
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        const struct subcommand *subcommand = &subcommands[i];
        names[i] = subcommand->name;
        if (strcmp(call->args[0], names[i]) != 0) {
            continue;
        }
        if (call->arg_count < subcommand->least || call->arg_count > subcommand->most) {
            return kol_fail(err, KOL_USAGE, "usage: kol keys %s%s (`kol help keys` explains it)",
                            names[i],
                            i == 0   ? " [ID]"
                            : i == 2 ? " ID"
                                     : "");
        }
        return subcommand->run(call, err);
    }
    const char *nearest = str_nearest(str_of(call->args[0]), names, ARRAY_LEN(names));
    return kol_fail(err, KOL_USAGE, "no such thing as `kol keys %s`%s%s%s", call->args[0],
                    nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}
