/*
 * redis_cluster_fixture.h: a Redis Cluster of the test's own: three primaries with a replica each.
 *
 * It is put together by hand, which takes a second; `redis-cli --cluster create` takes ten.
 */
#ifndef REDIS_CLUSTER_FIXTURE_H
#define REDIS_CLUSTER_FIXTURE_H

#include "redis_fixture.h"

enum { PRIMARIES = 3, NODES = 6, SLOTS = 16384 };

struct member {
    char folder[64], id[41];
    int port, bus_port;
    pid_t pid; /* 0: not running */
};

struct member_cluster {
    struct member members[NODES]; /* the primaries first; the replica of i is i + PRIMARIES */
};

/* Runs one command on one member alone, as a server; the words have no % in them. The number that
 * it answers; a text goes into `text`, if that is not NULL. */
static inline int64_t tell_member(const struct member *member, const char *words, struct buf *text)
{
    const struct redis_options options = {
        .port = member->port, .connect_us = 20000000, .answer_us = 20000000};
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    redis_addf(pipe, words);
    run_pipe(pipe);
    const struct redis_answer *answer = redis_answer(pipe, 0);
    if (answer->kind == REDIS_ERROR) {
        fail_msg("%d: %s: %s", member->port, words, answer->text.ptr);
    }
    const int64_t number = answer->number;
    if (text) {
        buf_clear(text);
        buf_put(text, answer->text);
    }
    redis_pipe_free(&pipe);
    redis_close(&redis);
    return number;
}

#define tell_memberf(member, ...)                                                                  \
    do {                                                                                           \
        char words_[256];                                                                          \
        snprintf(words_, sizeof words_, __VA_ARGS__);                                              \
        tell_member(member, words_, NULL);                                                         \
    } while (0)

/* Waits until the answer to a command has a text in it. */
static inline void await_member(const struct member *member, const char *words, const char *part)
{
    struct buf text = {0};
    const int64_t deadline_ns = in_ms(60000);
    for (;;) {
        tell_member(member, words, &text);
        if (strstr(text.ptr, part)) {
            break;
        }
        if (clock_mono_ns() > deadline_ns) {
            fail_msg("%d: %s never said %s: %s", member->port, words, part, text.ptr);
        }
        nap();
    }
    buf_free(&text);
}

static inline void start_member(struct member *member)
{
    char port[16], bus[16];
    snprintf(port, sizeof port, "%d", member->port);
    snprintf(bus, sizeof bus, "%d", member->bus_port);
    const pid_t parent = getpid();
    member->pid = fork();
    KOL_ASSERT(member->pid >= 0);
    if (member->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        execlp("redis-server", "redis-server", "--port", port, "--cluster-port", bus, "--bind",
               "127.0.0.1", "--dir", member->folder, "--save", "", "--logfile", "redis.log",
               "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
               "--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0",
               "--cluster-migration-barrier", "9", "--repl-diskless-sync-delay", "0",
               "--repl-ping-replica-period", "1", (char *)NULL);
        _exit(127);
    }
}

static inline void await_port(const struct member *member)
{
    const struct redis_options options = {.port = member->port, .connect_us = 20000000};
    struct redis *redis = open_redis(&options);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    const int64_t deadline_ns = in_ms(30000);
    redis_addf(pipe, "PING");
    while (redis_run(pipe, deadline_ns, NULL) != KOL_OK) {
        KOL_ASSERT(clock_mono_ns() < deadline_ns);
        nap();
    }
    redis_pipe_free(&pipe);
    redis_close(&redis);
}

static inline void kill_member(struct member *member)
{
    if (member->pid) {
        kill(member->pid, SIGKILL);
        waitpid(member->pid, NULL, 0);
        member->pid = 0;
    }
}

static inline void make_cluster(struct member_cluster *cluster)
{
    struct member *members = cluster->members;
    struct buf text = {0};
    for (int i = 0; i < NODES; i++) {
        strcpy(members[i].folder, "/tmp/kol-redis-XXXXXX");
        KOL_ASSERT(mkdtemp(members[i].folder));
        close(listen_anywhere(&members[i].port));
        close(listen_anywhere(&members[i].bus_port));
        start_member(&members[i]);
    }
    for (int i = 0; i < NODES; i++) {
        await_port(&members[i]);
        tell_member(&members[i], "CLUSTER MYID", &text);
        snprintf(members[i].id, sizeof members[i].id, "%s", text.ptr);
        tell_memberf(&members[i], "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
        if (i < PRIMARIES) {
            tell_memberf(&members[i], "CLUSTER ADDSLOTSRANGE %d %d", i * SLOTS / PRIMARIES,
                         (i + 1) * SLOTS / PRIMARIES - 1);
        }
    }
    for (int i = 1; i < NODES; i++) {
        tell_memberf(&members[0], "CLUSTER MEET 127.0.0.1 %d %d", members[i].port,
                     members[i].bus_port);
    }
    for (int i = 0; i < NODES; i++) {
        await_member(&members[i], "CLUSTER INFO", "cluster_known_nodes:6");
    }
    for (int i = PRIMARIES; i < NODES; i++) {
        await_member(&members[i], "CLUSTER NODES", members[i - PRIMARIES].id);
        tell_memberf(&members[i], "CLUSTER REPLICATE %s", members[i - PRIMARIES].id);
    }
    for (int i = 0; i < NODES; i++) {
        await_member(&members[i], "CLUSTER INFO", "cluster_state:ok");
        await_member(&members[i], "CLUSTER INFO", "cluster_slots_ok:16384");
        await_member(&members[i], "INFO replication",
                     i < PRIMARIES ? "connected_slaves:1" : "master_link_status:up");
    }
    buf_free(&text);
}

static inline void remove_cluster(struct member_cluster *cluster)
{
    static const char *const files[] = {"redis.log", "nodes.conf"};
    for (int i = 0; i < NODES; i++) {
        struct member *member = &cluster->members[i];
        kill_member(member);
        for (size_t j = 0; j < sizeof files / sizeof *files; j++) {
            char path[96];
            snprintf(path, sizeof path, "%s/%s", member->folder, files[j]);
            unlink(path);
        }
        rmdir(member->folder);
    }
}

static inline struct redis_options over_cluster(const struct member *seed)
{
    return (struct redis_options){
        .port = seed->port, .cluster = true, .connect_us = 20000000, .answer_us = 20000000};
}

#endif
