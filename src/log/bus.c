/* bus.c: the event log's interface: checks that all back ends share, then the back end's function.
 */
#include "log/bus.h"

#include <string.h>

#include "base/mem.h"
#include "log/bus_ops.h"

enum { MARK_NAME_MAX = 500, MARK_VALUE_MAX = 64 << 10 };

enum kol_status bus_open(const struct bus_options *options, struct bus **out, struct kol_error *err)
{
    *out = NULL;
    if (options->default_partitions < 0 || options->default_partitions > BUS_MAX_PARTITIONS) {
        return kol_fail(err, KOL_INVALID, "a topic has 1 to %d partitions, not %d",
                        BUS_MAX_PARTITIONS, options->default_partitions);
    }
    enum kol_status status = lmdb_bus_open(options, out, err);
    if (status == KOL_OK) {
        (*out)->read_only = options->read_only;
    }
    return status;
}

void bus_close(struct bus **bus)
{
    if (*bus) {
        (*bus)->ops->close(*bus);
        *bus = NULL;
    }
}

static enum kol_status check_writable(const struct bus *bus, struct kol_error *err)
{
    if (bus->read_only) {
        return kol_fail(err, KOL_INVALID, "the event log is open for reading only");
    }
    return KOL_OK;
}

enum kol_status bus_check_topic(const char *name, struct kol_error *err)
{
    size_t len = strlen(name);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (len == 0 || len > BUS_MAX_NAME || good != len || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0) {
        return kol_fail(err, KOL_INVALID,
                        "topic \"%.300s\": a name is 1 to %d letters, digits, '.', '_' or '-'",
                        name, BUS_MAX_NAME);
    }
    return KOL_OK;
}

static enum kol_status check_name(const char *what, const char *name, size_t max,
                                  struct kol_error *err)
{
    size_t len = strlen(name);
    if (len == 0 || len > max) {
        return kol_fail(err, KOL_INVALID, "%s \"%.300s\": a name has 1 to %zu bytes", what, name,
                        max);
    }
    return KOL_OK;
}

enum kol_status bus_topic_create(struct bus *bus, const char *name,
                                 const struct bus_topic_config *config, struct kol_error *err)
{
    enum kol_status status = check_writable(bus, err);
    status = status == KOL_OK ? bus_check_topic(name, err) : status;
    if (status != KOL_OK) {
        return status;
    }
    if (config->partitions < 0 || config->partitions > BUS_MAX_PARTITIONS) {
        return kol_fail(err, KOL_INVALID, "topic %s: 1 to %d partitions, not %d", name,
                        BUS_MAX_PARTITIONS, config->partitions);
    }
    return bus->ops->topic_create(bus, name, config, err);
}

enum kol_status bus_topics(struct bus *bus, struct bus_topic **out, size_t *count,
                           struct kol_error *err)
{
    return bus->ops->topics(bus, out, count, err);
}

enum kol_status bus_topic_get(struct bus *bus, const char *name, struct bus_topic *out,
                              struct kol_error *err)
{
    enum kol_status status = bus_check_topic(name, err);
    return status == KOL_OK ? bus->ops->topic_get(bus, name, out, err) : status;
}

enum kol_status bus_partition_get(struct bus *bus, const char *topic, int32_t partition,
                                  struct bus_partition *out, struct kol_error *err)
{
    enum kol_status status = bus_check_topic(topic, err);
    return status == KOL_OK ? bus->ops->partition_get(bus, topic, partition, out, err) : status;
}

enum kol_status bus_retain(struct bus *bus, int64_t now_us, int64_t *dropped, struct kol_error *err)
{
    *dropped = 0;
    enum kol_status status = check_writable(bus, err);
    return status == KOL_OK ? bus->ops->retain(bus, now_us, dropped, err) : status;
}

enum kol_status bus_copy(struct bus *bus, const char *folder, struct bus_copying *copying,
                         struct kol_error *err)
{
    if (!bus->ops->copy) {
        return kol_fail(err, KOL_UNSUPPORTED, "this event log cannot be copied into a folder");
    }
    return bus->ops->copy(bus, folder, copying, err);
}

enum kol_status bus_producer_open(struct bus *bus, const struct bus_producer_options *options,
                                  struct bus_producer **out, struct kol_error *err)
{
    *out = NULL;
    enum kol_status status = check_writable(bus, err);
    if (status == KOL_OK && options->transactional_id) {
        status = check_name("transactional id", options->transactional_id, BUS_MAX_NAME, err);
    }
    return status == KOL_OK ? bus->ops->producer_open(bus, options, out, err) : status;
}

void bus_producer_close(struct bus_producer **producer)
{
    if (*producer) {
        (*producer)->bus->ops->producer_close(*producer);
        *producer = NULL;
    }
}

enum kol_status bus_produce(struct bus_producer *producer, const char *topic, int32_t partition,
                            struct str key, struct str value, int64_t timestamp_us,
                            struct kol_error *err)
{
    if (key.len > BUS_MAX_RECORD || value.len > BUS_MAX_RECORD - key.len) {
        return kol_fail(err, KOL_INVALID, "topic %s: a record of %zu bytes, %d are allowed", topic,
                        key.len + value.len, BUS_MAX_RECORD);
    }
    return producer->bus->ops->produce(producer, topic, partition, key, value, timestamp_us, err);
}

size_t bus_pending_bytes(const struct bus_producer *producer)
{
    return producer->bus->ops->pending_bytes(producer);
}

enum kol_status bus_flush(struct bus_producer *producer, struct kol_error *err)
{
    return producer->bus->ops->commit(producer, err);
}

int64_t bus_last_offset(const struct bus_producer *producer, const char *topic, int32_t partition)
{
    return producer->bus->ops->last_offset(producer, topic, partition);
}

enum kol_status bus_txn_offsets(struct bus_producer *producer, struct bus_consumer *consumer,
                                struct kol_error *err)
{
    KOL_ASSERT(producer->bus == consumer->bus);
    if (!consumer->in_group) {
        return kol_fail(err, KOL_INVALID, "a consumer without a group has no place to commit");
    }
    return producer->bus->ops->txn_offsets(producer, consumer, err);
}

enum kol_status bus_txn_mark(struct bus_producer *producer, const char *name, struct str value,
                             struct kol_error *err)
{
    enum kol_status status = check_name("mark", name, MARK_NAME_MAX, err);
    if (status != KOL_OK) {
        return status;
    }
    if (value.len > MARK_VALUE_MAX) {
        return kol_fail(err, KOL_INVALID, "mark %.200s: %zu bytes, %d are allowed", name, value.len,
                        MARK_VALUE_MAX);
    }
    return producer->bus->ops->txn_mark(producer, name, value, err);
}

enum kol_status bus_txn_commit(struct bus_producer *producer, struct kol_error *err)
{
    return producer->bus->ops->commit(producer, err);
}

void bus_txn_abort(struct bus_producer *producer)
{
    producer->bus->ops->abort(producer);
}

enum kol_status bus_mark_get(struct bus *bus, const char *name, struct buf *out,
                             struct kol_error *err)
{
    enum kol_status status = check_name("mark", name, MARK_NAME_MAX, err);
    return status == KOL_OK ? bus->ops->mark_get(bus, name, out, err) : status;
}

enum kol_status bus_consumer_open(struct bus *bus, const struct bus_consumer_options *options,
                                  struct bus_consumer **out, struct kol_error *err)
{
    *out = NULL;
    enum kol_status status = KOL_OK;
    if (options->group) {
        status = check_name("group", options->group, BUS_MAX_NAME, err);
    }
    status = status == KOL_OK ? bus->ops->consumer_open(bus, options, out, err) : status;
    if (status == KOL_OK) {
        (*out)->in_group = options->group != NULL;
    }
    return status;
}

void bus_consumer_close(struct bus_consumer **consumer)
{
    if (*consumer) {
        (*consumer)->bus->ops->consumer_close(*consumer);
        *consumer = NULL;
    }
}

enum kol_status bus_assign(struct bus_consumer *consumer, const struct bus_place *places,
                           size_t count, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = bus_check_topic(places[i].topic, err);
    }
    return status == KOL_OK ? consumer->bus->ops->assign(consumer, places, count, err) : status;
}

enum kol_status bus_subscribe(struct bus_consumer *consumer, const char *const *topics,
                              size_t count, struct kol_error *err)
{
    enum kol_status status = check_writable(consumer->bus, err);
    if (status == KOL_OK && !consumer->in_group) {
        status = kol_fail(err, KOL_INVALID, "a consumer without a group cannot subscribe");
    }
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = bus_check_topic(topics[i], err);
    }
    return status == KOL_OK ? consumer->bus->ops->subscribe(consumer, topics, count, err) : status;
}

enum kol_status bus_poll(struct bus_consumer *consumer, size_t max_records, size_t max_bytes,
                         int timeout_ms, struct bus_batch *out, struct kol_error *err)
{
    *out = (struct bus_batch){NULL, 0};
    return consumer->bus->ops->poll(consumer, max_records, max_bytes, timeout_ms, out, err);
}

enum kol_status bus_commit(struct bus_consumer *consumer, struct kol_error *err)
{
    enum kol_status status = check_writable(consumer->bus, err);
    if (status == KOL_OK && !consumer->in_group) {
        status = kol_fail(err, KOL_INVALID, "a consumer without a group has no place to commit");
    }
    return status == KOL_OK ? consumer->bus->ops->consumer_commit(consumer, err) : status;
}

size_t bus_position(struct bus_consumer *consumer, const struct bus_place **out)
{
    return consumer->bus->ops->position(consumer, out);
}

enum kol_status bus_group_place(struct bus *bus, const char *group, const char *topic,
                                int32_t partition, int64_t *next, int64_t *lag,
                                struct kol_error *err)
{
    enum kol_status status = check_name("group", group, BUS_MAX_NAME, err);
    status = status == KOL_OK ? bus_check_topic(topic, err) : status;
    return status == KOL_OK ? bus->ops->group_place(bus, group, topic, partition, next, lag, err)
                            : status;
}

enum kol_status bus_groups(struct bus *bus, char (**out)[BUS_MAX_NAME + 1], size_t *count,
                           struct kol_error *err)
{
    return bus->ops->groups(bus, out, count, err);
}
