/*
 * redis_route.c: running a pipe on a Redis Cluster.
 *
 * The commands are dealt out to the nodes that have their slots, sent to all of them, and then all
 * are read, so that a pipe takes as long as its slowest node. What a node redirects (MOVED, ASK),
 * or cannot do yet (TRYAGAIN, LOADING, CLUSTERDOWN), goes into another round with what is left,
 * until the time is up; whatever was answered last is then the answer.
 *
 * A node that takes no connection has run nothing: if the cluster says that another one has its
 * slots now, the commands go there. A connection that is lost after commands were sent fails the
 * pipe, since nobody knows what was run, as with one server.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cache/redis_parts.h"

enum {
    FIRST_PAUSE_US = 2 * 1000,
    LONGEST_PAUSE_US = 50 * 1000,
    ROUNDS_AT_ONCE = 5, /* of redirections, before there are pauses between them too */
};

/* How far one command is. */
struct step {
    bool done;
    bool answered; /* if only by what is followed */
    bool asking;   /* it goes to a node that does not have its slot yet */
    bool whole;    /* the node does not know its script */
};

/* What goes to one node in a round. */
struct part {
    struct redis_node *node;
    struct buf out;
    size_t *places; /* of the commands; NO_PLACE: ASKING, of which the answer says nothing */
    size_t count, room;
    struct redis_link *link; /* NULL: there was no connection */
    struct redis_reading reading;
    enum kol_status status;
    struct kol_error err;
};

static const size_t NO_PLACE = SIZE_MAX;

struct routing {
    struct redis_pipe *pipe;
    struct redis_cluster *cluster;
    struct redis_answer *answers;
    struct step *steps;
    struct redis_node **nodes; /* of each command, held; NULL: to be found */
    size_t left;               /* commands that are not done */
    size_t budget;             /* bytes of answers, of each node */
    struct part *parts;        /* of this round */
    size_t part_count, part_room;
    bool pausing, doubting; /* before the next round */
    int64_t reserve_ns;     /* before the limit, in which no round begins */
    enum kol_status status; /* what ends all of it */
    struct kol_error err;
    enum kol_status unreachable; /* why commands were not even sent, if only for now */
    struct kol_error unreachable_err;
};

/* ---- dealing out ---- */

static struct part *part_of(struct routing *routing, struct redis_node *node)
{
    for (size_t i = 0; i < routing->part_count; i++) {
        if (routing->parts[i].node == node) {
            return &routing->parts[i];
        }
    }
    if (routing->part_count == routing->part_room) {
        routing->part_room = routing->part_room ? 2 * routing->part_room : 8;
        routing->parts = mem_realloc(routing->parts, routing->part_room * sizeof *routing->parts);
    }
    struct part *part = &routing->parts[routing->part_count++];
    *part = (struct part){.node = node};
    return part;
}

static void add_place(struct part *part, size_t place)
{
    if (part->count == part->room) {
        part->room = part->room ? 2 * part->room : 64;
        part->places = mem_realloc(part->places, part->room * sizeof *part->places);
    }
    part->places[part->count++] = place;
}

static void add_command(struct routing *routing, size_t place)
{
    const struct redis_pipe *pipe = routing->pipe;
    const struct step *step = &routing->steps[place];
    struct part *part = part_of(routing, routing->nodes[place]);
    if (step->asking) {
        redis_put_head(&part->out, 1);
        redis_put_argument(&part->out, STR("ASKING"));
        add_place(part, NO_PLACE);
    }
    if (step->whole) {
        redis_put_whole(pipe, redis_run_at(pipe, place), &part->out);
    } else {
        const struct redis_command *command = &pipe->routes[place];
        buf_append(&part->out, pipe->out.ptr + command->from, command->to - command->from);
    }
    add_place(part, place);
}

/* As if a node had said it. */
static void nobody_has(struct routing *routing, size_t place)
{
    routing->answers[place] = (struct redis_answer){
        .kind = REDIS_ERROR, .text = STR("CLUSTERDOWN no node is known to have the slot")};
    routing->steps[place].answered = true;
    routing->pausing = routing->doubting = true;
}

static void deal_out(struct routing *routing)
{
    const struct redis_pipe *pipe = routing->pipe;
    redis_cluster_take(routing->cluster, pipe->routes, pipe->commands, routing->nodes);
    for (size_t i = 0; i < pipe->commands; i++) {
        if (routing->steps[i].done) {
            continue;
        }
        if (routing->nodes[i]) {
            add_command(routing, i);
        } else {
            nobody_has(routing, i);
        }
    }
}

static void free_parts(struct routing *routing)
{
    for (size_t i = 0; i < routing->part_count; i++) {
        buf_free(&routing->parts[i].out);
        free(routing->parts[i].places);
    }
    routing->part_count = 0;
}

/* ---- asking ---- */

/* The first failure is the one that is told. */
static void fail(struct routing *routing, enum kol_status status, const struct kol_error *err)
{
    if (routing->status == KOL_OK) {
        routing->status = status;
        routing->err = *err;
    }
}

/* Makes the connections. Where one is refused by login, nothing will be better elsewhere. */
static void connect_parts(struct routing *routing, int64_t deadline_ns)
{
    for (size_t i = 0; i < routing->part_count; i++) {
        struct part *part = &routing->parts[i];
        part->status = redis_cluster_connect(routing->cluster, part->node, deadline_ns, &part->link,
                                             &part->err);
        if (part->status == KOL_OK) {
            redis_reading_begin(&part->reading, &routing->pipe->arena, part->count,
                                routing->budget);
        } else if (part->status != KOL_IO && part->status != KOL_TIMEOUT &&
                   part->status != KOL_NOT_FOUND) {
            fail(routing, part->status, &part->err);
        }
    }
    for (size_t i = 0; i < routing->part_count && routing->status != KOL_OK; i++) {
        struct part *part = &routing->parts[i];
        if (part->link) { /* nothing was said over it */
            redis_pool_put(&part->node->pool, part->link, 0, KOL_OK);
        }
    }
}

/* Sends and reads all parts that have a connection, and gives the connections back. */
static void talk(struct routing *routing, int64_t limit_ns)
{
    struct redis_talk *talks = mem_zalloc(routing->part_count + 1, sizeof *talks);
    size_t count = 0;
    for (size_t i = 0; i < routing->part_count; i++) {
        struct part *part = &routing->parts[i];
        if (part->link) {
            talks[count++] = (struct redis_talk){.link = part->link,
                                                 .name = part->node->name,
                                                 .out = buf_str(&part->out),
                                                 .reading = &part->reading};
        }
    }
    redis_talk_all(talks, count, limit_ns);
    count = 0;
    for (size_t i = 0; i < routing->part_count; i++) {
        struct part *part = &routing->parts[i];
        if (part->link) {
            part->status = talks[count].status;
            part->err = talks[count++].err;
            if (part->status == KOL_IO) {
                redis_add_last_words(&part->reading, &part->node->options, part->node->name,
                                     &part->err);
            }
            redis_pool_put(&part->node->pool, part->link, part->count, part->status);
        }
    }
    free(talks);
}

/* ---- what came ---- */

static void let_go(struct routing *routing, size_t place)
{
    redis_cluster_release(routing->cluster, &routing->nodes[place], 1);
}

/* Follows "MOVED slot host:port" and "ASK slot host:port". False: it cannot be followed. */
static bool redirect(struct routing *routing, size_t place, const struct part *part, struct str to)
{
    struct str host;
    int port;
    struct step *step = &routing->steps[place];
    const struct str word = str_cut(&to, ' ');
    const bool moved = str_is(word, "MOVED");
    str_cut(&to, ' ');
    if (!redis_read_endpoint(to, &host, &port)) {
        return false;
    }
    struct redis_node *node =
        redis_cluster_take_at(routing->cluster, host.len ? host : str_of(part->node->host), port);
    if (!node) {
        return false;
    }
    let_go(routing, place);
    routing->nodes[place] = node;
    step->asking = !moved;
    if (moved) {
        redis_cluster_moved(routing->cluster, routing->pipe->routes[place].slot, node);
    }
    return true;
}

/* True: the answer says that the command is to be sent once more. */
static bool follow(struct routing *routing, size_t place, const struct part *part,
                   const struct redis_answer *answer)
{
    struct step *step = &routing->steps[place];
    if (redis_is_error(answer, "MOVED") || redis_is_error(answer, "ASK")) {
        return redirect(routing, place, part, answer->text);
    }
    if (redis_is_error(answer, "NOSCRIPT") && !step->whole && redis_run_at(routing->pipe, place)) {
        step->whole = true;
        return true;
    }
    if (redis_is_error(answer, "CLUSTERDOWN") || redis_is_error(answer, "LOADING")) {
        let_go(routing, place);
        step->asking = false;
        routing->pausing = routing->doubting = true;
        return true;
    }
    if (redis_is_error(answer, "TRYAGAIN")) {
        routing->pausing = true;
        return true;
    }
    return false;
}

static void take_answers(struct routing *routing, const struct part *part)
{
    for (size_t i = 0; i < part->count; i++) {
        const size_t place = part->places[i];
        const struct redis_answer *answer = &part->reading.answers[i];
        if (redis_is_error(answer, "NOAUTH")) {
            struct kol_error err;
            const enum kol_status status = kol_fail(
                &err, KOL_USAGE, "redis %s asks for a password and none is set: set that of Redis",
                part->node->name);
            fail(routing, status, &err);
            return;
        }
        if (place == NO_PLACE) {
            continue;
        }
        struct step *step = &routing->steps[place];
        routing->answers[place] = *answer;
        step->answered = true;
        step->done = !(answer->kind == REDIS_ERROR && follow(routing, place, part, answer));
        routing->left -= step->done;
    }
}

/* Looks where the commands of a node that cannot be reached belong now. */
static void find_others(struct routing *routing, const struct part *part, int64_t deadline_ns)
{
    struct kol_error ignored;
    redis_cluster_doubt(routing->cluster);
    const enum kol_status status =
        redis_cluster_refresh(routing->cluster, true, deadline_ns, &ignored);
    for (size_t i = 0; i < part->count; i++) {
        if (part->places[i] != NO_PLACE) {
            let_go(routing, part->places[i]);
            routing->steps[part->places[i]].asking = false;
        }
    }
    redis_cluster_take(routing->cluster, routing->pipe->routes, routing->pipe->commands,
                       routing->nodes);
    for (size_t i = 0; i < part->count; i++) {
        if (part->places[i] != NO_PLACE &&
            (status != KOL_OK || routing->nodes[part->places[i]] == part->node)) {
            fail(routing, part->status, &part->err);
            return;
        }
    }
    routing->unreachable = part->status;
    routing->unreachable_err = part->err;
}

static void take_parts(struct routing *routing, int64_t limit_ns)
{
    for (size_t i = 0; i < routing->part_count; i++) {
        struct part *part = &routing->parts[i];
        if (part->status == KOL_OK) {
            take_answers(routing, part);
        } else if (part->link) {
            redis_cluster_doubt(routing->cluster);
            fail(routing, part->status, &part->err);
        }
    }
    for (size_t i = 0; i < routing->part_count && routing->status == KOL_OK; i++) {
        if (!routing->parts[i].link) {
            find_others(routing, &routing->parts[i], limit_ns);
        }
    }
}

/* ---- rounds ---- */

/* Waits before the next round; false: there is no time for another. */
static bool rest(struct routing *routing, int round, int64_t limit_ns)
{
    /* A round that the limit cuts off would leave nobody knowing what was run: none is begun in the
     * last part of the time. */
    limit_ns -= routing->reserve_ns;
    if (routing->pausing || round >= ROUNDS_AT_ONCE) {
        const int doublings = round < 5 ? round : 5;
        int64_t pause_ns = (int64_t)FIRST_PAUSE_US * 1000 << doublings;
        if (pause_ns > LONGEST_PAUSE_US * INT64_C(1000)) {
            pause_ns = LONGEST_PAUSE_US * INT64_C(1000);
        }
        if (clock_mono_ns() + pause_ns >= limit_ns) {
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
    }
    if (routing->doubting) {
        struct kol_error ignored;
        redis_cluster_doubt(routing->cluster);
        if (redis_cluster_refresh(routing->cluster, true, limit_ns, &ignored) != KOL_OK) {
            routing->pausing = true; /* the next round finds out what that means */
        }
    }
    routing->pausing = routing->doubting = false;
    return clock_mono_ns() < limit_ns;
}

/* Commands that were never sent have no answer to leave. */
static void judge_unanswered(struct routing *routing)
{
    for (size_t i = 0; i < routing->pipe->commands; i++) {
        if (!routing->steps[i].answered) {
            fail(routing, routing->unreachable, &routing->unreachable_err);
            return;
        }
    }
}

static void run_rounds(struct routing *routing, int64_t deadline_ns)
{
    int64_t limit_ns = 0;
    for (int round = 0; routing->status == KOL_OK && routing->left > 0; round++) {
        deal_out(routing);
        connect_parts(routing, limit_ns ? limit_ns : deadline_ns);
        limit_ns = limit_ns ? limit_ns
                            : redis_earlier(deadline_ns, routing->pipe->redis->options.answer_us);
        if (round == 0) {
            routing->reserve_ns = (limit_ns - clock_mono_ns()) / 4;
        }
        if (routing->status == KOL_OK) {
            talk(routing, limit_ns);
            take_parts(routing, limit_ns);
        }
        free_parts(routing);
        if (routing->status == KOL_OK && routing->left > 0 && !rest(routing, round, limit_ns)) {
            judge_unanswered(routing);
            return;
        }
    }
}

enum kol_status redis_cluster_run(struct redis_pipe *pipe, int64_t deadline_ns,
                                  struct kol_error *err)
{
    struct redis *redis = pipe->redis;
    if (redis_cluster_is_doubted(redis->cluster)) {
        const enum kol_status status = redis_cluster_refresh(
            redis->cluster, false, redis_earlier(deadline_ns, redis->options.connect_us), err);
        if (status != KOL_OK && redis_cluster_version(redis->cluster) == 0) {
            return status;
        }
    }
    arena_reset(&pipe->arena);
    struct routing routing = {
        .pipe = pipe,
        .cluster = redis->cluster,
        .answers = arena_alloc(&pipe->arena, pipe->commands * sizeof *routing.answers),
        .steps = mem_zalloc(pipe->commands, sizeof *routing.steps),
        .nodes = mem_zalloc(pipe->commands, sizeof *routing.nodes),
        .left = pipe->commands,
        .budget = redis->options.answer_max,
    };
    run_rounds(&routing, deadline_ns);
    redis_cluster_release(redis->cluster, routing.nodes, pipe->commands);
    free(routing.steps);
    free(routing.nodes);
    free(routing.parts);
    if (routing.status != KOL_OK) {
        if (err) {
            *err = routing.err;
        }
        return routing.status;
    }
    pipe->answers = routing.answers;
    pipe->answered = pipe->commands;
    return KOL_OK;
}
