/* log.c: `kol log`: topics, groups, create; tail, produce and redrive have files of their own. */
#include "cmd/log.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Sums of a topic, or of one partition. */
struct extent {
    int64_t records, bytes;
    int64_t first_us, last_us; /* 0: empty */
};

static void extent_add(struct extent *extent, const struct bus_partition *partition)
{
    extent->records += partition->end - partition->start;
    extent->bytes += partition->bytes;
    if (partition->first_us && (!extent->first_us || partition->first_us < extent->first_us)) {
        extent->first_us = partition->first_us;
    }
    if (partition->last_us > extent->last_us) {
        extent->last_us = partition->last_us;
    }
}

static void put_time(struct rows *rows, int64_t time_us)
{
    if (time_us) {
        rows_time(rows, time_us);
    } else {
        rows_null(rows);
    }
}

static void put_extent(struct rows *rows, const struct extent *extent)
{
    rows_int(rows, extent->records);
    rows_int(rows, extent->bytes);
    put_time(rows, extent->first_us);
    put_time(rows, extent->last_us);
}

/* One row a topic. */
static enum kol_status put_topic(struct bus *bus, const struct bus_topic *topic, struct rows *rows,
                                 struct kol_error *err)
{
    struct extent extent = {0};
    for (int32_t p = 0; p < topic->partitions; p++) {
        struct bus_partition partition;
        enum kol_status status = bus_partition_get(bus, topic->name, p, &partition, err);
        if (status != KOL_OK) {
            return status;
        }
        extent_add(&extent, &partition);
    }
    rows_text(rows, str_of(topic->name));
    rows_int(rows, topic->partitions);
    put_extent(rows, &extent);
    return KOL_OK;
}

/* One row a partition: `only`, or all of them where it is -1. */
static enum kol_status put_partitions(struct bus *bus, const struct bus_topic *topic, int64_t only,
                                      struct rows *rows, struct kol_error *err)
{
    for (int32_t p = 0; p < topic->partitions; p++) {
        struct bus_partition partition;
        struct extent extent = {0};
        if (only >= 0 && p != only) {
            continue;
        }
        enum kol_status status = bus_partition_get(bus, topic->name, p, &partition, err);
        if (status != KOL_OK) {
            return status;
        }
        extent_add(&extent, &partition);
        rows_text(rows, str_of(topic->name));
        rows_int(rows, p);
        rows_int(rows, partition.start);
        rows_int(rows, partition.end);
        put_extent(rows, &extent);
    }
    return KOL_OK;
}

static enum kol_status log_topics(const struct invocation *call, struct kol_error *err)
{
    static const char *const topic_names[] = {"topic", "partitions",   "records",
                                              "bytes", "first_append", "last_append"};
    static const char *const partition_names[] = {
        "topic", "partition", "start", "end", "records", "bytes", "first_append", "last_append"};
    const bool detail = flag_given(call, "partition");
    struct bus *bus;
    struct bus_topic *topics = NULL;
    size_t count = 0;
    enum kol_status status = command_open_bus(call, true, &bus, err);
    if (status != KOL_OK) {
        return status;
    }
    status = bus_topics(bus, &topics, &count, err);
    struct rows *rows = rows_begin(stdout, call->format, detail ? partition_names : topic_names,
                                   detail ? ARRAY_LEN(partition_names) : ARRAY_LEN(topic_names));
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = detail ? put_partitions(bus, &topics[i], flag_int(call, "partition"), rows, err)
                        : put_topic(bus, &topics[i], rows, err);
    }
    status = rows_finish(&rows, status, err);
    free(topics);
    bus_close(&bus);
    return status;
}

static enum kol_status put_group(struct bus *bus, const char *group, const struct bus_topic *topic,
                                 struct rows *rows, struct kol_error *err)
{
    for (int32_t p = 0; p < topic->partitions; p++) {
        int64_t next, lag;
        enum kol_status status = bus_group_place(bus, group, topic->name, p, &next, &lag, err);
        if (status != KOL_OK) {
            return status;
        }
        if (next >= 0) {
            rows_text(rows, str_of(group));
            rows_text(rows, str_of(topic->name));
            rows_int(rows, p);
            rows_int(rows, next);
            rows_int(rows, lag);
        }
    }
    return KOL_OK;
}

static enum kol_status log_groups(const struct invocation *call, struct kol_error *err)
{
    static const char *const names[] = {"group", "topic", "partition", "next", "lag"};
    struct bus *bus;
    struct bus_topic *topics = NULL;
    char(*groups)[BUS_MAX_NAME + 1] = NULL;
    size_t topic_count = 0, group_count = 0;
    enum kol_status status = command_open_bus(call, true, &bus, err);
    if (status != KOL_OK) {
        return status;
    }
    status = bus_topics(bus, &topics, &topic_count, err);
    status = status == KOL_OK ? bus_groups(bus, &groups, &group_count, err) : status;
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    for (size_t g = 0; g < group_count && status == KOL_OK; g++) {
        for (size_t t = 0; t < topic_count && status == KOL_OK; t++) {
            status = put_group(bus, groups[g], &topics[t], rows, err);
        }
    }
    status = rows_finish(&rows, status, err);
    free(groups);
    free(topics);
    bus_close(&bus);
    return status;
}

static enum kol_status log_create(const struct invocation *call, struct kol_error *err)
{
    const struct bus_topic_config config = {
        .partitions = flag_given(call, "partitions") ? (int32_t)flag_int(call, "partitions") : 0,
        .retention_us = flag_given(call, "retention") ? flag_int(call, "retention") : -1,
        .retention_bytes =
            flag_given(call, "retention-bytes") ? flag_int(call, "retention-bytes") : -1,
    };
    struct bus *bus;
    enum kol_status status = command_open_bus(call, false, &bus, err);
    if (status == KOL_OK) {
        status = bus_topic_create(bus, call->args[1], &config, err);
        bus_close(&bus);
    }
    return status;
}

static const struct {
    const char *name;
    size_t min_args, max_args; /* its own name counted */
    const char *usage;
    enum kol_status (*run)(const struct invocation *call, struct kol_error *err);
} subcommands[] = {
    {"topics", 1, 1, "", log_topics},       {"groups", 1, 1, "", log_groups},
    {"tail", 2, 2, " TOPIC", log_tail},     {"produce", 2, 2, " TOPIC", log_produce},
    {"create", 2, 2, " TOPIC", log_create}, {"redrive", 1, 2, " [FILE]", log_redrive},
};

enum kol_status cmd_log(const struct invocation *call, struct kol_error *err)
{
    const char *names[ARRAY_LEN(subcommands)];
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        names[i] = subcommands[i].name;
        if (strcmp(call->args[0], names[i]) != 0) {
            continue;
        }
        if (call->arg_count < subcommands[i].min_args ||
            call->arg_count > subcommands[i].max_args) {
            return kol_fail(err, KOL_USAGE, "usage: kol log %s%s (`kol help log` explains it)",
                            names[i], subcommands[i].usage);
        }
        return subcommands[i].run(call, err);
    }
    const char *nearest = str_nearest(str_of(call->args[0]), names, ARRAY_LEN(names));
    return kol_fail(err, KOL_USAGE, "no such thing as `kol log %s`%s%s%s", call->args[0],
                    nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}
