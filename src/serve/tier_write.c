/* tier_write.c: writing back what was loaded from elsewhere, and whose turn it is to load. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/random.h"
#include "serve/tier_parts.h"

enum {
    AT_ONCE = 64,        /* writes of one exchange */
    TRIP_MS = 1000,      /* its time */
    BYTES_MAX = 4 << 20, /* of one value that is taken into the queue */
};

/* ---- the queue ---- */

void tier_write_free(struct tier_write *write)
{
    struct arena arena = write->arena; /* it lies in itself */
    arena_free(&arena);
}

static void copy_fields(struct tier_write *to, const struct serve_write *write)
{
    struct serve_field *fields = arena_alloc(&to->arena, (write->field_count + 1) * sizeof *fields);
    for (size_t i = 0; i < write->field_count; i++) {
        fields[i].name = arena_copy(&to->arena, write->fields[i].name);
        fields[i].value = arena_copy(&to->arena, write->fields[i].value);
    }
    to->write.fields = fields;
}

static void copy_members(struct tier_write *to, const struct serve_write *write)
{
    struct serve_member *members =
        arena_alloc(&to->arena, (write->member_count + 1) * sizeof *members);
    for (size_t i = 0; i < write->member_count; i++) {
        members[i] = write->members[i];
        members[i].name = arena_copy(&to->arena, write->members[i].name);
    }
    to->write.members = members;
}

static struct tier_write *copy_of(const struct serve_write *write, const struct tier_turn *turn)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct tier_write *copy = arena_alloc(&arena, sizeof *copy);
    *copy = (struct tier_write){.write = *write, .arena = arena};
    if (turn) {
        copy->turn = *turn;
    }
    copy->write.key = arena_copy(&copy->arena, write->key);
    copy->write.text = arena_copy(&copy->arena, write->text);
    copy->write.as_of = arena_copy(&copy->arena, write->as_of);
    copy_fields(copy, write);
    copy_members(copy, write);
    return copy;
}

static size_t bytes_of(const struct serve_write *write)
{
    size_t bytes = write->text.len;
    for (size_t i = 0; i < write->field_count; i++) {
        bytes += write->fields[i].name.len + write->fields[i].value.len;
    }
    for (size_t i = 0; i < write->member_count; i++) {
        bytes += write->members[i].name.len + sizeof write->members[i];
    }
    return bytes;
}

/* What a reader of a written hash will see, with the fields that the write adds; 0: not known. */
static uint64_t print_of(const struct serve_write *write)
{
    char version[24], snapshot[24];
    if (serve_keys[write->kind].type != SERVE_HASH || write->text.len) {
        return 0;
    }
    struct serve_field *fields = mem_zalloc(write->field_count + 2, sizeof *fields);
    size_t count = write->field_count;
    if (count) {
        memcpy(fields, write->fields, count * sizeof *fields);
    }
    snprintf(version, sizeof version, "%lld", (long long)write->version);
    snprintf(snapshot, sizeof snapshot, "%lld", (long long)write->snapshot);
    if (write->version) {
        fields[count++] = (struct serve_field){STR("version"), str_of(version)};
    }
    if (write->snapshot) {
        fields[count++] = (struct serve_field){STR("snapshot"), str_of(snapshot)};
    }
    const uint64_t print = serve_print(fields, count);
    free(fields);
    return print;
}

/* What comes back as a change of our own is told by it. */
static void saw_written(struct tier *tier, const struct serve_write *write)
{
    const uint64_t print = print_of(write);
    if (print) {
        tier_saw(tier, write->key, print);
    } else {
        tier_saw_not(tier, write->key);
    }
}

void tier_write_back(struct tier *tier, const struct serve_write *write,
                     const struct tier_turn *turn)
{
    bool taken = false;
    if (breaker_closed(&tier->breaker) && bytes_of(write) <= BYTES_MAX) {
        struct tier_write *copy = copy_of(write, turn);
        pthread_mutex_lock(&tier->queue_lock);
        if (tier->waiting < tier->options.queue) {
            *tier->last_write = copy;
            tier->last_write = &copy->next;
            tier->waiting++;
            taken = true;
            pthread_cond_signal(&tier->queue_ready);
        }
        pthread_mutex_unlock(&tier->queue_lock);
        if (!taken) {
            tier_write_free(copy);
        }
    }
    if (taken) {
        saw_written(tier, write);
    } else {
        atomic_fetch_add_explicit(&tier->dropped, 1, memory_order_relaxed);
        tier_saw_not(tier, write->key);
    }
}

static size_t take_some(struct tier *tier, struct tier_write *out[AT_ONCE])
{
    size_t count = 0;
    pthread_mutex_lock(&tier->queue_lock);
    while (tier->first_write && count < AT_ONCE) {
        out[count] = tier->first_write;
        tier->first_write = out[count++]->next;
        tier->waiting--;
    }
    if (!tier->first_write) {
        tier->last_write = &tier->first_write;
    }
    pthread_mutex_unlock(&tier->queue_lock);
    return count;
}

static void put_lock_key(struct buf *out, struct str key)
{
    serve_key_put(out, SERVE_KEY_LOCK, &key);
}

static void count_written(struct tier *tier, const struct redis_pipe *pipe, size_t place)
{
    struct str why = {0};
    switch (serve_written(pipe, place, &why)) {
    case SERVE_WRITTEN: atomic_fetch_add(&tier->written, 1); break;
    case SERVE_KEPT: atomic_fetch_add(&tier->kept, 1); break;
    default:
        atomic_fetch_add(&tier->refused, 1);
        log_warn("redis %s refuses a value: %.*s", redis_name(tier->redis), STR_FORMAT(why));
        break;
    }
}

bool tier_write_some(struct tier *tier)
{
    struct tier_write *writes[AT_ONCE];
    size_t places[AT_ONCE];
    const size_t count = take_some(tier, writes);
    if (!count) {
        return false;
    }
    struct kol_error err;
    struct buf key = {0};
    struct redis_pipe *pipe = redis_pipe_new(tier->redis);
    for (size_t i = 0; i < count; i++) {
        places[i] = serve_put(pipe, &writes[i]->write);
        if (*writes[i]->turn.token) {
            buf_clear(&key);
            put_lock_key(&key, writes[i]->write.key);
            serve_unlock(pipe, buf_str(&key), str_of(writes[i]->turn.token));
        }
    }
    const int64_t deadline_ns = clock_mono_ns() + TRIP_MS * INT64_C(1000000);
    const bool well = redis_run(pipe, deadline_ns, &err) == KOL_OK;
    if (breaker_tell(&tier->breaker, well)) {
        log_warn("redis %s is left alone until it answers again: %s", redis_name(tier->redis),
                 err.message);
    }
    for (size_t i = 0; i < count; i++) {
        if (well) {
            count_written(tier, pipe, places[i]);
        } else {
            atomic_fetch_add(&tier->failed_writes, 1);
        }
        tier_write_free(writes[i]);
    }
    redis_pipe_free(&pipe);
    buf_free(&key);
    return well;
}

/* ---- turns ---- */

static void make_token(struct tier_turn *turn)
{
    uint64_t chance[2];
    random_fill(chance, sizeof chance);
    snprintf(turn->token, sizeof turn->token, "%016llx%016llx", (unsigned long long)chance[0],
             (unsigned long long)chance[1]);
}

enum tier_turns tier_take_turn(struct tier *tier, struct str key, int64_t deadline_ns,
                               struct tier_turn *out)
{
    struct redis_pipe *pipe = tier_pipe(tier);
    enum tier_turns turn = TIER_NOBODYS;
    struct buf lock_key = {0};
    *out = (struct tier_turn){0};
    if (!pipe) {
        return turn;
    }
    make_token(out);
    put_lock_key(&lock_key, key);
    const int64_t ttl_ms = serve_keys[SERVE_KEY_LOCK].ttl_s * INT64_C(1000);
    const size_t place = serve_lock(pipe, buf_str(&lock_key), str_of(out->token), ttl_ms);
    if (tier_run(tier, pipe, deadline_ns)) {
        const struct redis_answer *answer = redis_answer(pipe, place);
        turn = serve_locked(pipe, place)     ? TIER_MINE
               : answer->kind == REDIS_ERROR ? TIER_NOBODYS /* no memory, no right */
                                             : TIER_OTHERS;
    }
    if (turn != TIER_MINE) {
        *out->token = '\0';
    }
    tier_pipe_done(tier, &pipe);
    buf_free(&lock_key);
    return turn;
}

void tier_give_up(struct tier *tier, struct str key, const struct tier_turn *turn)
{
    struct redis_pipe *pipe = *turn->token ? tier_pipe(tier) : NULL;
    struct buf lock_key = {0};
    if (!pipe) {
        return;
    }
    put_lock_key(&lock_key, key);
    serve_unlock(pipe, buf_str(&lock_key), str_of(turn->token));
    /* Where it cannot be told the lock expires. */
    (void)tier_run(tier, pipe, clock_mono_ns() + tier->options.ask_us * 1000);
    tier_pipe_done(tier, &pipe);
    buf_free(&lock_key);
}
