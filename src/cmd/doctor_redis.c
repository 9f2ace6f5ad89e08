/*
 * doctor_redis.c: what `kol doctor` says of Redis: whether it answers, and what of its settings
 * does not suit a cache, with the line that changes it.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "cmd/doctor.h"
#include "cmd/redis.h"
#include "cmd/redis_nodes.h"

enum { LEAST_VERSION = 6, SLOW_US = 50000 };

/* What is found so far: the worst of it, what is so, and what should be otherwise. */
struct findings {
    enum doctor_finding worst;
    struct buf *says;
    struct buf faults;
};

static void find(struct findings *findings, enum doctor_finding finding, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void find(struct findings *findings, enum doctor_finding finding, const char *format, ...)
{
    va_list args;
    buf_puts(&findings->faults, "; ");
    va_start(args, format);
    buf_vprintf(&findings->faults, format, args);
    va_end(args);
    findings->worst = finding > findings->worst ? finding : findings->worst;
}

static struct str text_of(struct str info, const char *name)
{
    struct str text = {0};
    (void)redis_info_text(info, name, &text);
    return text;
}

static void look_at_server(struct findings *findings, struct str info)
{
    const struct str version = text_of(info, "redis_version");
    struct str rest = version;
    int64_t major = 0;
    if (str_to_int64(str_cut(&rest, '.'), &major) && major < LEAST_VERSION) {
        find(findings, DOCTOR_WRONG,
             "version %.*s cannot tell what changes (client tracking): take %d or later, 7 is best",
             STR_FORMAT(version), LEAST_VERSION);
    }
    if (str_is(text_of(info, "role"), "slave")) {
        find(findings, DOCTOR_WRONG, "it is a replica and takes no writes: name its primary");
    }
    if (redis_info_number(info, "loading")) {
        find(findings, DOCTOR_NOTE, "it is still reading its file");
    }
}

static void look_at_memory(struct findings *findings, struct str info)
{
    const int64_t used = redis_info_number(info, "used_memory");
    const int64_t most = redis_info_number(info, "maxmemory");
    const int64_t evicted = redis_info_number(info, "evicted_keys");
    const struct str policy = text_of(info, "maxmemory_policy");
    buf_printf(findings->says, ", %lld MiB in use", (long long)(used >> 20));
    if (!most) {
        find(findings, DOCTOR_NOTE,
             "it has no maxmemory and may take all that the machine has: CONFIG SET maxmemory "
             "512mb");
        return;
    }
    buf_printf(findings->says, " of %lld", (long long)(most >> 20));
    if (!str_starts(policy, STR("allkeys-"))) {
        find(findings, str_is(policy, "noeviction") ? DOCTOR_WRONG : DOCTOR_NOTE,
             "with %.*s it refuses writes when it is full: CONFIG SET maxmemory-policy allkeys-lru",
             STR_FORMAT(policy));
    }
    if (evicted) {
        find(findings, DOCTOR_NOTE,
             "it has evicted %lld keys since its start: more maxmemory would keep them",
             (long long)evicted);
    }
    if (used > most / 10 * 9) {
        find(findings, DOCTOR_NOTE, "it is nearly full: a warm leaves out what does not fit");
    }
}

static void look_at_persistence(struct findings *findings, struct str info)
{
    const bool appends = redis_info_number(info, "aof_enabled") != 0;
    if (str_is(text_of(info, "rdb_last_bgsave_status"), "err")) {
        find(findings, DOCTOR_WRONG,
             "its last snapshot to disk failed, and then it refuses writes: look into its log, or "
             "CONFIG SET stop-writes-on-bgsave-error no");
    }
    if (appends && str_is(text_of(info, "aof_last_write_status"), "err")) {
        find(findings, DOCTOR_WRONG, "it cannot write its append-only file: look into its log");
    }
    buf_puts(findings->says, appends ? ", with an append-only file"
                                     : ", without an append-only file (cold after a crash)");
}

static enum kol_status look_at_node(struct findings *findings, struct redis_nodes *nodes,
                                    size_t node, struct kol_error *err)
{
    struct buf info = {0};
    const int64_t began_ns = clock_mono_ns();
    enum kol_status status = redis_nodes_info(nodes, node, "everything", &info, err);
    const int64_t took_us = (clock_mono_ns() - began_ns) / 1000;
    if (status == KOL_OK) {
        buf_printf(findings->says, "%s%.*s answers in %.1f ms", node ? " | " : ", version ",
                   STR_FORMAT(text_of(buf_str(&info), "redis_version")), (double)took_us / 1000);
        look_at_memory(findings, buf_str(&info));
        look_at_persistence(findings, buf_str(&info));
        look_at_server(findings, buf_str(&info));
        if (took_us > SLOW_US) {
            find(findings, DOCTOR_NOTE, "%.0f ms is slow: is it near, and is nothing else on it?",
                 (double)took_us / 1000);
        }
    } else if (status == KOL_UNSUPPORTED) {
        find(findings, DOCTOR_NOTE,
             "this user may not ask for memory (INFO): a warm cannot stop before it is full");
        status = KOL_OK;
    }
    buf_free(&info);
    return status;
}

enum doctor_finding doctor_redis(const struct invocation *call, struct buf *says)
{
    struct redis *redis = NULL;
    struct redis_nodes nodes;
    struct kol_error err;
    struct findings findings = {.says = says};
    if (redis_from_config_patient(call->config, 0, &redis, &err) != KOL_OK) {
        buf_puts(says, err.message);
        return DOCTOR_WRONG;
    }
    if (!redis) {
        buf_printf(says,
                   "none is configured (--redis-url): every process caches for itself; this build "
                   "has hiredis %s",
                   redis_library());
        return DOCTOR_NOTE;
    }
    enum kol_status status =
        redis_nodes_find(redis, config_bool(call->config, OPTION_REDIS_CLUSTER), &nodes, &err);
    buf_puts(says, redis_name(redis));
    if (config_bool(call->config, OPTION_REDIS_TLS_INSECURE)) {
        find(&findings, DOCTOR_NOTE,
             "nobody looks at its certificate, so that TLS keeps out nobody who is in between: "
             "take --redis-tls-insecure out");
    }
    for (size_t i = 0; i < nodes.count && status == KOL_OK; i++) {
        status = look_at_node(&findings, &nodes, i, &err);
    }
    if (status != KOL_OK) {
        find(&findings, DOCTOR_WRONG, "%s", err.message);
    }
    buf_put(says, buf_str(&findings.faults));
    buf_free(&findings.faults);
    redis_nodes_free(&nodes);
    redis_close(&redis);
    return findings.worst;
}
