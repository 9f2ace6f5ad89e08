/*
 * lmdb_group.c: consumer groups: who is in, who reads what, how far each group has come.
 *
 * Members may be threads or processes; all that they know of each other is in the log. A group has
 * a generation, which goes up when a member comes, leaves, or is given up because its lease is
 * over.
 *
 *   - A member that sees a newer generation lets go of its partitions (on_revoke) and acknowledges
 *     that generation in its row.
 *   - Once every member has acknowledged the generation, its shares are in effect. Each computes
 * them by itself: they follow from the members and topics alone, and those are the same for all
 *     within one generation.
 *   - So nobody is given a partition while another still holds it, unless that one's lease is over;
 *     its row is gone then, and a commit of places without a row is refused (KOL_FENCED).
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/logger.h"
#include "base/mem.h"
#include "log/lmdb_bus.h"

enum {
    SUFFIX = 8,
    GROUP_KEY_MAX = BUS_MAX_NAME + 1 + SUFFIX,
    BEATS_PER_LEASE = 3,
    STEPS_MAX = 16, /* changes of state in one poll; the next one goes on */
};

/* ---- keys and rows ---- */

static struct str member_key(unsigned char *bytes, const char *group, uint64_t member)
{
    size_t len = strlen(group) + 1;
    uint64_t suffix = htobe64(member);
    memcpy(bytes, group, len);
    memcpy(bytes + len, &suffix, SUFFIX);
    return (struct str){(const char *)bytes, len + SUFFIX};
}

static struct str place_key(unsigned char *bytes, const char *group, uint32_t topic,
                            int32_t partition)
{
    return member_key(bytes, group, (uint64_t)topic << 32 | (uint32_t)partition);
}

static enum kol_status read_group(struct lmdb_bus *bus, MDB_txn *txn, const char *group,
                                  struct group_row *out, struct kol_error *err)
{
    bool found;
    *out = (struct group_row){.next_member = 1};
    return env_get(bus->env, txn, DB_GROUPS, str_of(group), out, sizeof *out, &found, err);
}

static enum kol_status write_group(struct lmdb_bus *bus, MDB_txn *txn, const char *group,
                                   const struct group_row *row, struct kol_error *err)
{
    return env_put(bus->env, txn, DB_GROUPS, str_of(group), row, sizeof *row, err);
}

/* A lease that ends impossibly late was written before the clock was set back: its owner, if it
 * lives, has renewed it since. */
static bool lease_is_over(const struct member_row *row, int64_t now_us)
{
    return now_us >= row->until_us || row->until_us > now_us + 2 * row->lease_us;
}

/* A group as one transaction sees it. */
struct group_view {
    struct group_row group;
    struct seen_member {
        uint64_t id;
        struct member_row row;
        const unsigned char *topics; /* row.topic_count ids, in the map */
    } * members;                     /* by id */
    size_t count;
};

static enum kol_status view_add(struct group_view *view, const MDB_val *key, const MDB_val *value,
                                struct kol_error *err)
{
    struct seen_member member;
    if (value->mv_size < sizeof member.row) {
        return kol_fail(err, KOL_CORRUPT, "a member of a group has a row of %zu bytes",
                        value->mv_size);
    }
    uint64_t id;
    memcpy(&id, (const char *)key->mv_data + key->mv_size - SUFFIX, SUFFIX);
    memcpy(&member.row, value->mv_data, sizeof member.row);
    if ((value->mv_size - sizeof member.row) / sizeof(uint32_t) < member.row.topic_count) {
        return kol_fail(err, KOL_CORRUPT, "a member of a group lacks topics in its row");
    }
    member.id = be64toh(id);
    member.topics = (const unsigned char *)value->mv_data + sizeof member.row;
    view->members = mem_realloc(view->members, (view->count + 1) * sizeof *view->members);
    view->members[view->count++] = member;
    return KOL_OK;
}

/* Valid while the transaction is, and nothing is written in it. `view->members` is for free(). */
static enum kol_status view_read(struct lmdb_bus *bus, MDB_txn *txn, const char *group,
                                 struct group_view *view, struct kol_error *err)
{
    unsigned char bytes[GROUP_KEY_MAX];
    struct str prefix = member_key(bytes, group, 0);
    MDB_val key = {prefix.len, bytes}, value;
    MDB_cursor *cursor;
    *view = (struct group_view){0};
    enum kol_status status = read_group(bus, txn, group, &view->group, err);
    if (status != KOL_OK) {
        return status;
    }
    int rc = mdb_cursor_open(txn, bus->env->dbi[DB_MEMBERS], &cursor);
    if (rc) {
        return env_fail(bus->env, rc, "read a group", err);
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && status == KOL_OK && key.mv_size == prefix.len &&
           memcmp(key.mv_data, prefix.ptr, prefix.len - SUFFIX) == 0) {
        status = view_add(view, &key, &value, err);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND) {
        return env_fail(bus->env, rc, "read a group", err);
    }
    return status;
}

static const struct seen_member *view_find(const struct group_view *view, uint64_t id)
{
    for (size_t i = 0; i < view->count; i++) {
        if (view->members[i].id == id) {
            return &view->members[i];
        }
    }
    return NULL;
}

/* ---- what a member writes ---- */

enum member_change { MEMBER_JOIN, MEMBER_RENEW, MEMBER_LEAVE };

static enum kol_status delete_member(struct lmdb_bus *bus, MDB_txn *txn, const char *group,
                                     uint64_t id, struct kol_error *err)
{
    unsigned char bytes[GROUP_KEY_MAX];
    struct str key = member_key(bytes, group, id);
    MDB_val k = {key.len, bytes};
    int rc = mdb_del(txn, bus->env->dbi[DB_MEMBERS], &k, NULL);
    return rc && rc != MDB_NOTFOUND ? env_fail(bus->env, rc, "change a group", err) : KOL_OK;
}

/* Deletes the rows of members whose lease is over, but for the consumer's own. */
static enum kol_status give_up_dead(const struct lmdb_consumer *consumer, MDB_txn *txn,
                                    struct group_row *group, int64_t now_us, struct kol_error *err)
{
    struct group_view view;
    enum kol_status status = view_read(consumer->bus, txn, consumer->options.group, &view, err);
    /* Deleting moves what the view points to: ids and leases are copies, topics are not used. */
    for (size_t i = 0; i < view.count && status == KOL_OK; i++) {
        const struct seen_member *member = &view.members[i];
        if (member->id != consumer->member && lease_is_over(&member->row, now_us)) {
            log_info("group %s: member %llu is given up, its lease is over",
                     consumer->options.group, (unsigned long long)member->id);
            status = delete_member(consumer->bus, txn, consumer->options.group, member->id, err);
            group->generation++;
        }
    }
    free(view.members);
    return status;
}

static enum kol_status put_member(const struct lmdb_consumer *consumer, MDB_txn *txn, uint64_t id,
                                  struct member_row row, struct kol_error *err)
{
    unsigned char bytes[GROUP_KEY_MAX];
    struct str key = member_key(bytes, consumer->options.group, id);
    struct buf value = {0};
    row.topic_count = consumer->topic_count;
    buf_append(&value, &row, sizeof row);
    buf_append(&value, consumer->topic_ids, consumer->topic_count * sizeof(uint32_t));
    enum kol_status status =
        env_put(consumer->bus->env, txn, DB_MEMBERS, key, value.ptr, value.len, err);
    buf_free(&value);
    return status;
}

/* The change inside its transaction. `*lost`: the member's row is gone, nothing was written. */
static enum kol_status change_in_txn(const struct lmdb_consumer *consumer, MDB_txn *txn,
                                     enum member_change change, struct member_row *row,
                                     uint64_t *member, bool *lost, struct kol_error *err)
{
    const char *name = consumer->options.group;
    struct lmdb_bus *bus = consumer->bus;
    unsigned char bytes[GROUP_KEY_MAX];
    struct group_row group;
    bool found = true;
    enum kol_status status = read_group(bus, txn, name, &group, err);
    if (status == KOL_OK && change != MEMBER_JOIN) {
        status = env_get(bus->env, txn, DB_MEMBERS, member_key(bytes, name, *member), row,
                         sizeof *row, &found, err);
        *lost = !found;
    }
    if (status != KOL_OK || !found) {
        return status;
    }
    const int64_t now_us = clock_now_us();
    status = give_up_dead(consumer, txn, &group, now_us, err);
    if (change == MEMBER_JOIN) {
        *member = group.next_member++;
    }
    group.generation += change != MEMBER_RENEW;
    if (status == KOL_OK) {
        status = write_group(bus, txn, name, &group, err);
    }
    if (status != KOL_OK || change == MEMBER_LEAVE) {
        return status == KOL_OK ? delete_member(bus, txn, name, *member, err) : status;
    }
    *row = (struct member_row){
        /* One that holds nothing has nothing to let go of. */
        .acked = consumer->holds ? consumer->generation : group.generation,
        .until_us = now_us + consumer->options.lease_us,
        .lease_us = consumer->options.lease_us,
    };
    return put_member(consumer, txn, *member, *row, err);
}

static enum kol_status change_member(struct lmdb_consumer *consumer, enum member_change change,
                                     bool *lost, struct kol_error *err)
{
    MDB_txn *txn;
    struct member_row row = {0};
    uint64_t member = consumer->member;
    *lost = false;
    enum kol_status status = env_begin(consumer->bus->env, 0, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    status = change_in_txn(consumer, txn, change, &row, &member, lost, err);
    if (status != KOL_OK || *lost) {
        env_abort(consumer->bus->env, &txn);
        return status;
    }
    status = env_commit(consumer->bus->env, txn, err);
    if (status == KOL_OK) {
        consumer->member = change == MEMBER_LEAVE ? 0 : member;
        consumer->generation = row.acked;
        consumer->beat_us = row.until_us - consumer->options.lease_us +
                            consumer->options.lease_us / BEATS_PER_LEASE;
    }
    return status;
}

/* ---- shares ---- */

static bool wants_topic(const struct seen_member *member, uint32_t topic)
{
    for (uint64_t i = 0; i < member->row.topic_count; i++) {
        uint32_t id;
        memcpy(&id, member->topics + i * sizeof id, sizeof id);
        if (id == topic) {
            return true;
        }
    }
    return false;
}

/* The member that reads partition number `turn` of all that are shared out, among those that want
 * the topic. */
static uint64_t owner_of(const struct group_view *view, uint32_t topic, size_t turn)
{
    size_t wanting = 0;
    for (size_t i = 0; i < view->count; i++) {
        wanting += wants_topic(&view->members[i], topic);
    }
    if (wanting == 0) {
        return 0;
    }
    size_t pick = turn % wanting;
    for (size_t i = 0; i < view->count; i++) {
        if (wants_topic(&view->members[i], topic) && pick-- == 0) {
            return view->members[i].id;
        }
    }
    return 0;
}

static enum kol_status first_offset(struct lmdb_consumer *consumer, MDB_txn *txn,
                                    const struct lmdb_topic *topic, int32_t partition,
                                    int64_t *next, struct kol_error *err)
{
    unsigned char bytes[GROUP_KEY_MAX];
    struct partition_row row;
    bool found;
    struct str key = place_key(bytes, consumer->options.group, topic->row.id, partition);
    enum kol_status status =
        env_get(consumer->bus->env, txn, DB_PLACES, key, next, sizeof *next, &found, err);
    if (status == KOL_OK && !found) {
        status = lmdb_partition_read(consumer->bus, txn, topic->row.id, partition, &row, err);
        *next = consumer->options.start == BUS_LATEST ? row.end : row.start;
    }
    return status;
}

/* Topic id and partition together pick the owner, so that several topics of one partition do not
 * all go to the same member. */
static enum kol_status take_share(struct lmdb_consumer *consumer, MDB_txn *txn,
                                  const struct group_view *view, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    lmdb_places_clear(consumer);
    for (size_t i = 0; i < consumer->topic_count && status == KOL_OK; i++) {
        struct lmdb_topic *topic = lmdb_topic_of_id(consumer->bus, consumer->topic_ids[i]);
        for (int32_t p = 0; p < topic->row.partitions && status == KOL_OK; p++) {
            int64_t next;
            if (owner_of(view, topic->row.id, topic->row.id + (size_t)p) != consumer->member) {
                continue;
            }
            status = first_offset(consumer, txn, topic, p, &next, err);
            if (status == KOL_OK) {
                lmdb_place_add(consumer, topic, p, next);
            }
        }
    }
    consumer->holds = status == KOL_OK;
    return status;
}

static void tell(struct lmdb_consumer *consumer,
                 void (*callback)(struct bus_consumer *, const struct bus_place *, size_t, void *))
{
    const struct bus_place *places;
    size_t count = lmdb_position(&consumer->base, &places);
    if (callback) {
        callback(&consumer->base, places, count, consumer->options.user);
    }
}

static void let_go(struct lmdb_consumer *consumer)
{
    if (consumer->holds) {
        tell(consumer, consumer->options.on_revoke);
        consumer->holds = false;
    }
    lmdb_places_clear(consumer);
}

/* ---- the steps of a member ---- */

enum next_step { STEP_NONE, STEP_LOST, STEP_LET_GO, STEP_TAKE, STEP_RENEW };

static enum next_step decide(const struct lmdb_consumer *consumer, const struct group_view *view)
{
    const int64_t now_us = clock_now_us();
    bool dead = false, all_acked = true;
    if (!view_find(view, consumer->member)) {
        return STEP_LOST;
    }
    if (view->group.generation != consumer->generation) {
        return STEP_LET_GO;
    }
    for (size_t i = 0; i < view->count; i++) {
        const struct seen_member *member = &view->members[i];
        all_acked = all_acked && member->row.acked == view->group.generation;
        dead = dead || (member->id != consumer->member && lease_is_over(&member->row, now_us));
    }
    if (dead || now_us >= consumer->beat_us) {
        return STEP_RENEW;
    }
    return !consumer->holds && all_acked ? STEP_TAKE : STEP_NONE;
}

/* Looks at the group and decides; a share is taken from the same view that said it is due. */
static enum kol_status look_at_group(struct lmdb_consumer *consumer, enum next_step *step,
                                     uint64_t *seen, struct kol_error *err)
{
    MDB_txn *txn;
    struct group_view view;
    enum kol_status status = env_begin(consumer->bus->env, MDB_RDONLY, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    status = view_read(consumer->bus, txn, consumer->options.group, &view, err);
    if (status == KOL_OK) {
        *step = decide(consumer, &view);
        if (*step == STEP_TAKE) {
            status = take_share(consumer, txn, &view, err);
        }
    }
    *seen = mdb_txn_id(txn);
    free(view.members);
    env_abort(consumer->bus->env, &txn);
    return status;
}

static enum kol_status take_step(struct lmdb_consumer *consumer, enum next_step step,
                                 struct kol_error *err)
{
    bool lost = false;
    enum kol_status status = KOL_OK;
    switch (step) {
    case STEP_NONE: return KOL_OK;
    case STEP_TAKE: tell(consumer, consumer->options.on_assign); return KOL_OK;
    case STEP_LOST: lost = true; break;
    case STEP_LET_GO:
        let_go(consumer); /* and acknowledge: */
        __attribute__((fallthrough));
    case STEP_RENEW: status = change_member(consumer, MEMBER_RENEW, &lost, err); break;
    }
    if (status == KOL_OK && lost) {
        log_warn("group %s: this member was given up, it was not heard of for longer than its "
                 "lease; it joins again",
                 consumer->options.group);
        let_go(consumer);
        consumer->member = 0;
        status = change_member(consumer, MEMBER_JOIN, &lost, err);
    }
    return status;
}

enum kol_status lmdb_group_step(struct lmdb_consumer *consumer, uint64_t *seen,
                                struct kol_error *err)
{
    enum next_step step = STEP_RENEW;
    enum kol_status status = KOL_OK;
    for (int i = 0; i < STEPS_MAX && status == KOL_OK && step != STEP_NONE; i++) {
        status = look_at_group(consumer, &step, seen, err);
        if (status == KOL_OK) {
            status = take_step(consumer, step, err);
        }
    }
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

enum kol_status lmdb_subscribe(struct bus_consumer *base, const char *const *topics, size_t count,
                               struct kol_error *err)
{
    struct lmdb_consumer *consumer = (struct lmdb_consumer *)base;
    env_abort(consumer->bus->env, &consumer->txn);
    if (consumer->subscribed) {
        lmdb_group_leave(consumer);
    }
    lmdb_places_clear(consumer);
    consumer->topic_ids =
        mem_realloc(consumer->topic_ids, (count + 1) * sizeof *consumer->topic_ids);
    consumer->topic_count = 0;
    for (size_t i = 0; i < count; i++) {
        /* Made where it is missing: the shares depend on how many partitions it has. */
        struct lmdb_topic *topic;
        enum kol_status status = lmdb_topic_need(consumer->bus, topics[i], &topic, err);
        if (status != KOL_OK) {
            return status;
        }
        bool twice = false;
        for (size_t j = 0; j < consumer->topic_count; j++) {
            twice = twice || consumer->topic_ids[j] == topic->row.id;
        }
        if (!twice) {
            consumer->topic_ids[consumer->topic_count++] = topic->row.id;
        }
    }
    qsort(consumer->topic_ids, consumer->topic_count, sizeof *consumer->topic_ids, compare_ids);
    bool lost;
    enum kol_status status = change_member(consumer, MEMBER_JOIN, &lost, err);
    consumer->subscribed = status == KOL_OK;
    return status;
}

void lmdb_group_leave(struct lmdb_consumer *consumer)
{
    struct kol_error err;
    bool lost;
    let_go(consumer);
    if (consumer->member && change_member(consumer, MEMBER_LEAVE, &lost, &err) != KOL_OK) {
        log_warn("group %s: the others will wait for the end of this member's lease: %s",
                 consumer->options.group, err.message);
    }
    consumer->member = 0;
    consumer->subscribed = false;
}

/* ---- places ---- */

struct place_commit *lmdb_places_snapshot(const struct lmdb_consumer *consumer)
{
    struct place_commit *commit =
        mem_alloc(sizeof *commit + consumer->place_count * sizeof commit->places[0]);
    commit->group = mem_strdup(consumer->options.group);
    commit->member = consumer->subscribed ? consumer->member : 0;
    commit->generation = consumer->generation;
    commit->count = consumer->place_count;
    for (size_t i = 0; i < commit->count; i++) {
        commit->places[i].topic = consumer->places[i].topic->row.id;
        commit->places[i].partition = consumer->places[i].partition;
        commit->places[i].next = consumer->places[i].next;
    }
    return commit;
}

void place_commit_free(struct place_commit *commit)
{
    free(commit->group);
    free(commit);
}

/* A consumer that was assigned by hand may commit for a group that nobody is a member of. */
static enum kol_status check_no_members(struct lmdb_bus *bus, MDB_txn *txn,
                                        const struct place_commit *commit, struct kol_error *err)
{
    struct group_view view;
    const int64_t now_us = clock_now_us();
    enum kol_status status = view_read(bus, txn, commit->group, &view, err);
    for (size_t i = 0; i < view.count && status == KOL_OK; i++) {
        if (!lease_is_over(&view.members[i].row, now_us)) {
            status = kol_fail(err, KOL_FENCED,
                              "group %s has members, which share its partitions; a place that was "
                              "assigned by hand is not committed",
                              commit->group);
        }
    }
    free(view.members);
    return status;
}

enum kol_status lmdb_places_check(struct lmdb_bus *bus, MDB_txn *txn,
                                  const struct place_commit *commit, struct kol_error *err)
{
    unsigned char bytes[GROUP_KEY_MAX];
    struct member_row row;
    bool found;
    if (!commit->member) {
        return check_no_members(bus, txn, commit, err);
    }
    enum kol_status status =
        env_get(bus->env, txn, DB_MEMBERS, member_key(bytes, commit->group, commit->member), &row,
                sizeof row, &found, err);
    if (status == KOL_OK && (!found || row.acked != commit->generation)) {
        status = kol_fail(err, KOL_FENCED,
                          "group %s has given this member's partitions to others; what it read "
                          "since its last commit is read again by them",
                          commit->group);
    }
    return status;
}

/* A commit is a sign of life. */
static enum kol_status renew_lease(struct lmdb_bus *bus, MDB_txn *txn,
                                   const struct place_commit *commit, struct kol_error *err)
{
    unsigned char bytes[GROUP_KEY_MAX];
    struct str key = member_key(bytes, commit->group, commit->member);
    MDB_val k = {key.len, bytes}, v;
    int rc = mdb_get(txn, bus->env->dbi[DB_MEMBERS], &k, &v);
    if (rc) {
        return env_fail(bus->env, rc, "renew a lease", err);
    }
    struct buf value = {0};
    struct member_row row;
    buf_append(&value, v.mv_data, v.mv_size);
    memcpy(&row, value.ptr, sizeof row);
    row.until_us = clock_now_us() + row.lease_us;
    memcpy(value.ptr, &row, sizeof row);
    enum kol_status status = env_put(bus->env, txn, DB_MEMBERS, key, value.ptr, value.len, err);
    buf_free(&value);
    return status;
}

enum kol_status lmdb_places_write(struct lmdb_bus *bus, MDB_txn *txn,
                                  const struct place_commit *commit, struct kol_error *err)
{
    unsigned char bytes[GROUP_KEY_MAX];
    struct group_row group;
    /* The row makes the group one that bus_groups() lists. */
    enum kol_status status = read_group(bus, txn, commit->group, &group, err);
    status = status == KOL_OK ? write_group(bus, txn, commit->group, &group, err) : status;
    for (size_t i = 0; i < commit->count && status == KOL_OK; i++) {
        struct str key =
            place_key(bytes, commit->group, commit->places[i].topic, commit->places[i].partition);
        status = env_put(bus->env, txn, DB_PLACES, key, &commit->places[i].next,
                         sizeof commit->places[i].next, err);
    }
    return status == KOL_OK && commit->member ? renew_lease(bus, txn, commit, err) : status;
}

enum kol_status lmdb_consumer_commit(struct bus_consumer *base, struct kol_error *err)
{
    struct lmdb_consumer *consumer = (struct lmdb_consumer *)base;
    struct place_commit *commit = lmdb_places_snapshot(consumer);
    struct commit_request request = {.offsets = &commit, .offset_count = 1};
    enum kol_status status = commit->count ? lmdb_commit(consumer->bus, &request, err) : KOL_OK;
    place_commit_free(commit);
    return status;
}

enum kol_status lmdb_group_place(struct bus *base, const char *group, const char *name,
                                 int32_t partition, int64_t *next, int64_t *lag,
                                 struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    unsigned char bytes[GROUP_KEY_MAX];
    struct partition_row row;
    struct lmdb_topic *topic;
    MDB_txn *txn;
    bool found;
    *next = -1;
    *lag = 0;
    enum kol_status status = lmdb_topic_find(bus, name, &topic, err);
    status = status == KOL_OK ? lmdb_check_partition(topic, partition, err) : status;
    status = status == KOL_OK ? env_begin(bus->env, MDB_RDONLY, &txn, err) : status;
    if (status != KOL_OK) {
        return status;
    }
    status = env_get(bus->env, txn, DB_PLACES, place_key(bytes, group, topic->row.id, partition),
                     next, sizeof *next, &found, err);
    if (status == KOL_OK) {
        status = lmdb_partition_read(bus, txn, topic->row.id, partition, &row, err);
    }
    env_abort(bus->env, &txn);
    if (status == KOL_OK) {
        const int64_t from = *next > row.start ? *next : row.start;
        *lag = row.end > from ? row.end - from : 0;
    }
    return status;
}

enum kol_status lmdb_groups(struct bus *base, char (**out)[BUS_MAX_NAME + 1], size_t *count,
                            struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    *out = NULL;
    *count = 0;
    enum kol_status status = env_begin(bus->env, MDB_RDONLY, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    int rc = mdb_cursor_open(txn, bus->env->dbi[DB_GROUPS], &cursor);
    rc = rc ? rc : mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        *out = mem_realloc(*out, (*count + 1) * sizeof **out);
        char *name = (*out)[(*count)++];
        size_t len = key.mv_size < BUS_MAX_NAME ? key.mv_size : BUS_MAX_NAME;
        memcpy(name, key.mv_data, len);
        name[len] = '\0';
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (cursor) {
        mdb_cursor_close(cursor);
    }
    env_abort(bus->env, &txn);
    if (rc != MDB_NOTFOUND) {
        free(*out);
        *out = NULL;
        *count = 0;
        return env_fail(bus->env, rc, "list the groups", err);
    }
    return KOL_OK;
}
