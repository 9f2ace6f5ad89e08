/*
 * bus_ops.h: what a back end of the event log fills in.
 *
 * bus.c checks the arguments that every back end would check alike and calls through this table.
 * Each back end embeds the three base structs as the first member of its own.
 */
#ifndef LOG_BUS_OPS_H
#define LOG_BUS_OPS_H

#include "log/bus.h"

/* Functions as in bus.h, arguments already checked: names are well-formed, sizes are in bounds, and
 * a log that is open for reading only gets no call that writes. */
struct bus_ops {
    void (*close)(struct bus *bus);

    enum kol_status (*topic_create)(struct bus *bus, const char *name,
                                    const struct bus_topic_config *config, struct kol_error *err);
    enum kol_status (*topics)(struct bus *bus, struct bus_topic **out, size_t *count,
                              struct kol_error *err);
    enum kol_status (*topic_get)(struct bus *bus, const char *name, struct bus_topic *out,
                                 struct kol_error *err);
    enum kol_status (*partition_get)(struct bus *bus, const char *topic, int32_t partition,
                                     struct bus_partition *out, struct kol_error *err);
    enum kol_status (*retain)(struct bus *bus, int64_t now_us, int64_t *dropped,
                              struct kol_error *err);

    enum kol_status (*copy)(struct bus *bus, const char *folder, struct bus_copying *copying,
                            struct kol_error *err); /* NULL: unsupported */

    enum kol_status (*producer_open)(struct bus *bus, const struct bus_producer_options *options,
                                     struct bus_producer **out, struct kol_error *err);
    void (*producer_close)(struct bus_producer *producer);
    enum kol_status (*produce)(struct bus_producer *producer, const char *topic, int32_t partition,
                               struct str key, struct str value, int64_t timestamp_us,
                               struct kol_error *err);
    size_t (*pending_bytes)(const struct bus_producer *producer);
    enum kol_status (*commit)(struct bus_producer *producer, struct kol_error *err); /* and flush */
    void (*abort)(struct bus_producer *producer);
    int64_t (*last_offset)(const struct bus_producer *producer, const char *topic,
                           int32_t partition);
    enum kol_status (*txn_offsets)(struct bus_producer *producer, struct bus_consumer *consumer,
                                   struct kol_error *err);
    enum kol_status (*txn_mark)(struct bus_producer *producer, const char *name, struct str value,
                                struct kol_error *err);
    enum kol_status (*mark_get)(struct bus *bus, const char *name, struct buf *out,
                                struct kol_error *err);

    enum kol_status (*consumer_open)(struct bus *bus, const struct bus_consumer_options *options,
                                     struct bus_consumer **out, struct kol_error *err);
    void (*consumer_close)(struct bus_consumer *consumer);
    enum kol_status (*assign)(struct bus_consumer *consumer, const struct bus_place *places,
                              size_t count, struct kol_error *err);
    enum kol_status (*subscribe)(struct bus_consumer *consumer, const char *const *topics,
                                 size_t count, struct kol_error *err);
    enum kol_status (*poll)(struct bus_consumer *consumer, size_t max_records, size_t max_bytes,
                            int timeout_ms, struct bus_batch *out, struct kol_error *err);
    enum kol_status (*consumer_commit)(struct bus_consumer *consumer, struct kol_error *err);
    size_t (*position)(struct bus_consumer *consumer, const struct bus_place **out);

    enum kol_status (*group_place)(struct bus *bus, const char *group, const char *topic,
                                   int32_t partition, int64_t *next, int64_t *lag,
                                   struct kol_error *err);
    enum kol_status (*groups)(struct bus *bus, char (**out)[BUS_MAX_NAME + 1], size_t *count,
                              struct kol_error *err);
};

struct bus {
    const struct bus_ops *ops;
    bool read_only;
};

struct bus_producer {
    struct bus *bus;
};

struct bus_consumer {
    struct bus *bus;
    bool in_group; /* opened with a group */
};

/* KOL_INVALID unless `name` can be a topic's. bus_produce() leaves this to the back end, which
 * knows most names already. */
enum kol_status bus_check_topic(const char *name, struct kol_error *err) KOL_CHECKED;

/* The back ends. Each opens by the options that are its own. */
enum kol_status lmdb_bus_open(const struct bus_options *options, struct bus **out,
                              struct kol_error *err) KOL_CHECKED;

#endif
