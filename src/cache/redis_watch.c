/*
 * redis_watch.c: being told what changes in Redis.
 *
 * A connection that redirects its tracking to itself and then subscribes gets both kinds of news in
 * RESP2. From then on it is a stream: the server speaks when something happened, and answers PING
 * in between. All connections are read by one thread, in one poll().
 *
 * In a cluster each primary tells of its own keys, but every node tells of every message: one
 * connection alone subscribes to the channel. As often as a silent connection is pinged, the
 * cluster is asked who its primaries are.
 *
 * Keys that come close together are handed on together, since who hears of them may ask the server
 * something about each. Their order among flushes and messages stays as it came.
 *
 * The pause between two tries to connect doubles until `retry_us`, and begins anew only after a
 * connection that lasted that long: a server that takes connections and breaks them at once is not
 * asked all the time.
 */
#include "cache/redis_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cache/redis_parts.h"

enum {
    DEFAULT_PING_US = 500 * 1000,
    DEFAULT_RETRY_US = 1000 * 1000,
    FIRST_PAUSE_US = 20 * 1000,
    READ_BYTES = 32 * 1024,
    READS_AT_ONCE = 16,    /* before other connections, and a stop, have their turn */
    KEYS_AT_ONCE = 4096,   /* that are handed on together */
    STREAM_MAX = 16 << 20, /* bytes of one message; a longer one costs the connection */
};

static const struct str invalidations = {"__redis__:invalidate", 20};

/* One server and the connection to it. Times are of clock_mono_ns(). */
struct node {
    struct redis_watch *watch;
    struct redis_node *member; /* of a cluster, held; NULL: the one server */
    const struct redis_options *options;
    const char *name;
    struct redis_link *link; /* NULL: not there; all below it is of the connection alone */
    bool carries;            /* the messages of the channel too */
    size_t acknowledged;     /* subscriptions */
    bool pinged;             /* and nothing came since */
    struct arena arena;      /* of the message that is being read */
    struct redis_reading reading;
    int64_t since_ns; /* complete since then; 0: not yet */
    int64_t pause_us; /* before the next try */
    /* When something is to be done though nothing comes: to try again, to ping, or to give up. */
    int64_t due_ns;
};

struct redis_watch {
    struct redis_watch_options options;
    struct arena arena;    /* of the texts of the options */
    struct buf tracking;   /* the arguments of CLIENT TRACKING behind the number to redirect to */
    size_t tracking_count; /* of all of that command's arguments */
    /* Commands as they are sent: for the keys, and for the channel. */
    struct buf subscribing, joining;
    pthread_t thread;
    int wake; /* an eventfd that stays readable once a stop is asked for */
    atomic_bool stopping, ready;
    bool told_lost;
    struct node **nodes;
    size_t node_count;
    struct pollfd *waiting; /* for each of them, and for `wake` */
    bool mapped;            /* the nodes are all that have slots */
    int64_t map_due_ns;     /* when the cluster is to be asked */
    /* Keys that were not handed on yet. */
    struct arena key_arena;
    struct str *keys;
    size_t key_count;
};

/* ---- telling ---- */

static void hand_on_keys(struct redis_watch *watch)
{
    if (watch->key_count > 0) {
        watch->options.on_keys(watch->keys, watch->key_count, watch->options.user);
        watch->key_count = 0;
        arena_reset(&watch->key_arena);
    }
}

static void add_key(struct redis_watch *watch, struct str key)
{
    if (watch->key_count == KEYS_AT_ONCE) {
        hand_on_keys(watch);
    }
    watch->keys[watch->key_count++] = arena_copy(&watch->key_arena, key);
}

static void tell_lost(struct redis_watch *watch, const struct kol_error *err)
{
    atomic_store(&watch->ready, false);
    if (!watch->told_lost) {
        watch->told_lost = true;
        watch->options.on_lost(err, watch->options.user);
    }
}

static bool is_carried(const struct redis_watch *watch)
{
    bool carried = watch->options.channel == NULL;
    for (size_t i = 0; i < watch->node_count; i++) {
        carried |= watch->nodes[i]->link && watch->nodes[i]->carries;
    }
    return carried;
}

static bool all_open(const struct redis_watch *watch)
{
    for (size_t i = 0; i < watch->node_count; i++) {
        if (!watch->nodes[i]->since_ns) {
            return false;
        }
    }
    return watch->node_count > 0;
}

static bool is_complete(const struct redis_watch *watch)
{
    return watch->mapped && all_open(watch) && is_carried(watch);
}

static void tell_ready(struct redis_watch *watch)
{
    if (!atomic_load(&watch->ready) && is_complete(watch)) {
        watch->told_lost = false;
        watch->options.on_ready(watch->options.user);
        atomic_store(&watch->ready, true);
    }
}

/* ---- messages ---- */

static bool is_text(const struct redis_answer *answer, const char *text)
{
    return answer->kind == REDIS_TEXT && str_is(answer->text, text);
}

static enum kol_status take_keys(struct redis_watch *watch, const struct redis_answer *keys,
                                 struct kol_error *err)
{
    if (keys->kind == REDIS_NIL) {
        hand_on_keys(watch);
        watch->options.on_keys(NULL, 0, watch->options.user);
        return KOL_OK;
    }
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->items[i].kind != REDIS_TEXT) {
            return kol_fail(err, KOL_CORRUPT, "a changed key is no text");
        }
        add_key(watch, keys->items[i].text);
    }
    return keys->kind == REDIS_LIST
               ? KOL_OK
               : kol_fail(err, KOL_CORRUPT, "changed keys came as something else than a list");
}

/* How many subscriptions a connection has. */
static size_t wanted(const struct node *node)
{
    return node->carries ? 2 : 1;
}

/* Takes ["message", channel, what]. */
static enum kol_status take_message(struct redis_watch *watch, const struct redis_answer *items,
                                    struct kol_error *err)
{
    if (items[1].kind == REDIS_TEXT && str_equal(items[1].text, invalidations)) {
        return take_keys(watch, &items[2], err);
    }
    if (watch->options.channel && is_text(&items[1], watch->options.channel) &&
        items[2].kind == REDIS_TEXT) {
        hand_on_keys(watch);
        watch->options.on_message(items[2].text, watch->options.user);
        return KOL_OK;
    }
    return kol_fail(err, KOL_CORRUPT, "a message came on a channel that nobody subscribed to");
}

static enum kol_status take_answer(const struct redis_answer *answer, void *user,
                                   struct kol_error *err)
{
    struct node *node = user;
    const struct redis_answer *items = answer->items;
    if (answer->kind == REDIS_ERROR) {
        const struct str said = redis_link_said(answer, node->options);
        return kol_fail(err, redis_is_error(answer, "NOPERM") ? KOL_USAGE : KOL_IO,
                        "the server refused to tell what changes: %.*s", STR_FORMAT(said));
    }
    if (answer->kind == REDIS_LIST && answer->count == 3 && is_text(&items[0], "message")) {
        return take_message(node->watch, items, err);
    }
    if (answer->kind == REDIS_LIST && answer->count == 3 && is_text(&items[0], "subscribe") &&
        node->acknowledged < wanted(node)) {
        node->acknowledged++;
        return KOL_OK;
    }
    if (answer->kind == REDIS_LIST && answer->count == 2 && is_text(&items[0], "pong")) {
        return KOL_OK;
    }
    return kol_fail(err, KOL_CORRUPT, "something came that nobody asked for");
}

/* ---- connections ---- */

static void give_up(struct node *node, const struct kol_error *err)
{
    const int64_t now_ns = clock_mono_ns(), longest_us = node->watch->options.retry_us;
    const bool lasted = node->since_ns && now_ns - node->since_ns >= longest_us * 1000;
    redis_link_free(&node->link);
    node->carries = false;
    node->since_ns = 0;
    node->pause_us = lasted || !node->pause_us ? FIRST_PAUSE_US : 2 * node->pause_us;
    node->pause_us = node->pause_us < longest_us ? node->pause_us : longest_us;
    node->due_ns = now_ns + node->pause_us * 1000;
    if (!atomic_load(&node->watch->stopping)) {
        tell_lost(node->watch, err);
    }
}

/* Runs one command of a connection that is no stream yet. */
static enum kol_status ask(struct node *node, const struct buf *command, int64_t deadline_ns,
                           struct redis_answer *out, struct kol_error *err)
{
    arena_reset(&node->arena);
    redis_reading_begin(&node->reading, &node->arena, 1, READ_BYTES);
    const enum kol_status status = redis_link_exchange(node->link, node->name, buf_str(command),
                                                       &node->reading, deadline_ns, err);
    *out = node->reading.answers[0];
    if (status != KOL_OK || out->kind != REDIS_ERROR) {
        return status;
    }
    const struct str said = redis_link_said(out, node->options);
    if (redis_is_error(out, "NOAUTH")) {
        return kol_fail(err, KOL_USAGE,
                        "redis %s asks for a password and none is set: set that of Redis",
                        node->name);
    }
    return kol_fail(err, redis_is_error(out, "NOPERM") ? KOL_USAGE : KOL_UNSUPPORTED,
                    "redis %s does not tell what changes (it needs version 6 or later, and a user "
                    "who may CLIENT ID, CLIENT TRACKING, PING and SUBSCRIBE): %.*s",
                    node->name, STR_FORMAT(said));
}

/* Turns tracking on, redirected to this same connection. */
static enum kol_status track(struct node *node, int64_t deadline_ns, struct kol_error *err)
{
    const struct redis_watch *watch = node->watch;
    struct buf command = {0}, number = {0};
    struct redis_answer answer;
    redis_put_head(&command, 2);
    redis_put_argument(&command, STR("CLIENT"));
    redis_put_argument(&command, STR("ID"));
    enum kol_status status = ask(node, &command, deadline_ns, &answer, err);
    if (status == KOL_OK) {
        buf_clear(&command);
        buf_put_int64(&number, answer.number);
        redis_put_head(&command, watch->tracking_count);
        redis_put_argument(&command, STR("CLIENT"));
        redis_put_argument(&command, STR("TRACKING"));
        redis_put_argument(&command, STR("ON"));
        redis_put_argument(&command, STR("REDIRECT"));
        redis_put_argument(&command, buf_str(&number));
        buf_put(&command, buf_str(&watch->tracking));
        status = ask(node, &command, deadline_ns, &answer, err);
    }
    buf_free(&command);
    buf_free(&number);
    return status;
}

/* Sends something so short that the socket always has room for it, unless nobody reads. */
static enum kol_status send_short(struct node *node, struct str bytes, struct kol_error *err)
{
    size_t count = 0;
    if (redis_link_send(node->link, bytes, &count, NULL) == KOL_OK && count == bytes.len) {
        return KOL_OK;
    }
    return kol_fail(err, KOL_IO, "redis %s: the connection that tells of changes was lost",
                    node->name);
}

/* Connects and asks for the news; the subscriptions are acknowledged later, in the stream. */
static void open_node(struct node *node)
{
    struct kol_error err = {0};
    const int64_t deadline_ns = clock_mono_ns() + node->options->connect_us * 1000;
    enum kol_status status = redis_link_open(node->options, node->watch->options.redis->tls,
                                             node->name, deadline_ns, &node->link, &err);
    if (status == KOL_OK) {
        status = track(node, deadline_ns, &err);
    }
    if (status == KOL_OK) {
        node->carries = !is_carried(node->watch);
        status = send_short(node, buf_str(&node->watch->subscribing), &err);
    }
    if (status == KOL_OK && node->carries) {
        status = send_short(node, buf_str(&node->watch->joining), &err);
    }
    if (status != KOL_OK) {
        give_up(node, &err);
        return;
    }
    node->acknowledged = 0;
    node->pinged = false;
    node->due_ns = deadline_ns;
    arena_reset(&node->arena);
    redis_reading_begin(&node->reading, &node->arena, 1, STREAM_MAX);
}

/* ---- the stream ---- */

static enum kol_status read_once(struct node *node, bool *more, struct kol_error *err)
{
    char bytes[READ_BYTES];
    size_t count = 0;
    enum kol_status status = redis_link_receive(node->link, bytes, sizeof bytes, &count, err);
    if (status != KOL_OK) {
        kol_wrap(err, "redis %s, which tells of changes", node->name);
        return status;
    }
    *more = count > 0;
    if (!*more) {
        return KOL_OK;
    }
    node->pinged = false;
    const struct redis_stream stream = {STREAM_MAX, take_answer, node};
    status = redis_stream_feed(&node->reading, node->link->reader, (struct str){bytes, count},
                               &stream, err);
    return status == KOL_OK ? KOL_OK : kol_wrap(err, "redis %s", node->name);
}

/* Reads what came. Some may be left: poll() says so at once. */
static void read_node(struct node *node)
{
    struct kol_error err = {0};
    enum kol_status status = KOL_OK;
    bool more = true;
    for (int i = 0; i < READS_AT_ONCE && more && status == KOL_OK; i++) {
        status = read_once(node, &more, &err);
    }
    hand_on_keys(node->watch);
    if (status != KOL_OK) {
        give_up(node, &err);
        return;
    }
    if (node->acknowledged == wanted(node)) {
        node->due_ns = clock_mono_ns() + node->watch->options.ping_us * 1000;
        node->since_ns = node->since_ns ? node->since_ns : clock_mono_ns();
    }
}

/* What is due though nothing came. */
static void nudge(struct node *node)
{
    struct kol_error err = {0};
    if (!node->link) {
        open_node(node);
    } else if (node->pinged || !node->since_ns) {
        kol_fail(&err, KOL_TIMEOUT, "redis %s: the connection that tells of changes is silent",
                 node->name);
        give_up(node, &err);
    } else if (send_short(node, STR("*1\r\n$4\r\nPING\r\n"), &err) != KOL_OK) {
        give_up(node, &err);
    } else {
        node->pinged = true;
        node->due_ns = clock_mono_ns() + node->watch->options.ping_us * 1000;
    }
}

/* ---- nodes ---- */

static void add_node(struct redis_watch *watch, struct redis_node *member,
                     const struct redis_options *options, const char *name)
{
    const size_t count = watch->node_count + 1;
    struct node *node = mem_zalloc(1, sizeof *node);
    *node = (struct node){.watch = watch, .member = member, .options = options, .name = name};
    arena_init(&node->arena, 0);
    watch->nodes = mem_realloc(watch->nodes, count * sizeof *watch->nodes);
    watch->nodes[count - 1] = node;
    watch->node_count = count;
    watch->waiting = mem_realloc(watch->waiting, (count + 1) * sizeof *watch->waiting);
}

static void remove_node(struct redis_watch *watch, size_t place)
{
    struct node *node = watch->nodes[place];
    watch->nodes[place] = watch->nodes[--watch->node_count];
    redis_link_free(&node->link);
    if (node->member) {
        redis_cluster_release(watch->options.redis->cluster, &node->member, 1);
    }
    arena_free(&node->arena);
    free(node);
}

static bool is_among(const struct redis_node *member, struct redis_node *const *members,
                     size_t count)
{
    while (count > 0 && members[count - 1] != member) {
        count--;
    }
    return count > 0;
}

/* Watches these primaries and no others. They are held; those that are not needed are released. */
static void take_primaries(struct redis_watch *watch, struct redis_node **members, size_t count)
{
    for (size_t i = watch->node_count; i-- > 0;) {
        if (!is_among(watch->nodes[i]->member, members, count)) {
            remove_node(watch, i);
        }
    }
    const size_t before = watch->node_count;
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t j = 0; j < before; j++) {
            known |= watch->nodes[j]->member == members[i];
        }
        if (!known) {
            add_node(watch, members[i], &members[i]->options, members[i]->name);
            members[i] = NULL;
        }
    }
    redis_cluster_release(watch->options.redis->cluster, members, count);
}

/* Asks the cluster who its primaries are. */
static void find_primaries(struct redis_watch *watch)
{
    struct redis *redis = watch->options.redis;
    struct kol_error err = {0};
    const int64_t deadline_ns = redis_earlier(INT64_MAX, redis->options.connect_us);
    const enum kol_status status = redis_cluster_refresh(redis->cluster, true, deadline_ns, &err);
    watch->map_due_ns = clock_mono_ns() + watch->options.ping_us * 1000;
    watch->mapped = status == KOL_OK;
    if (status != KOL_OK) {
        if (!atomic_load(&watch->stopping)) {
            tell_lost(watch, &err);
        }
        return;
    }
    struct redis_node **members = NULL;
    const size_t count = redis_cluster_take_primaries(redis->cluster, &members);
    take_primaries(watch, members, count);
    free(members);
    kol_fail(&err, KOL_IO, "redis %s: the cluster has other nodes now", redis->name);
    if (atomic_load(&watch->ready) && !is_complete(watch)) {
        tell_lost(watch, &err);
    }
    if (!is_carried(watch) && all_open(watch)) {
        /* Who hears the channel is settled as a connection opens. */
        give_up(watch->nodes[0], &err);
    }
}

/* ---- the thread ---- */

/* Waits for something to read, to do, or for the stop. */
static void wait_for_news(struct redis_watch *watch)
{
    const bool clustered = watch->options.redis->cluster != NULL;
    int64_t due_ns = clustered ? watch->map_due_ns : INT64_MAX;
    for (size_t i = 0; i < watch->node_count; i++) {
        const struct node *node = watch->nodes[i];
        watch->waiting[i] =
            (struct pollfd){.fd = node->link ? node->link->fd : -1, .events = POLLIN};
        due_ns = node->due_ns < due_ns ? node->due_ns : due_ns;
    }
    watch->waiting[watch->node_count] = (struct pollfd){.fd = watch->wake, .events = POLLIN};
    int64_t left = due_ns - clock_mono_ns();
    left = left > 0 ? left : 0;
    const struct timespec longest = {left / 1000000000, left % 1000000000};
    const int count = ppoll(watch->waiting, watch->node_count + 1, &longest, NULL);
    KOL_ASSERT(count >= 0 || errno == EINTR);
    for (size_t i = 0; i < watch->node_count && count <= 0; i++) {
        watch->waiting[i].revents = 0;
    }
}

/* Does what is due. What came is read first, and once more after anything that may have taken its
 * time: who was kept from reading has not met silence. */
static void do_due(struct redis_watch *watch)
{
    for (size_t i = 0; i < watch->node_count; i++) {
        if (watch->waiting[i].revents) {
            read_node(watch->nodes[i]);
        }
    }
    for (size_t i = 0; i < watch->node_count; i++) {
        struct node *node = watch->nodes[i];
        if (!watch->waiting[i].revents && clock_mono_ns() >= node->due_ns) {
            const bool opens = node->link == NULL;
            nudge(node);
            if (opens) {
                return;
            }
        }
    }
    if (watch->options.redis->cluster && clock_mono_ns() >= watch->map_due_ns) {
        find_primaries(watch);
    }
}

static void *watch_main(void *argument)
{
    struct redis_watch *watch = argument;
    redis_link_interrupt(watch->wake);
    while (!atomic_load(&watch->stopping)) {
        wait_for_news(watch);
        do_due(watch);
        tell_ready(watch);
    }
    return NULL;
}

/* ---- starting and ending ---- */

static enum kol_status check(const struct redis_watch_options *options, struct kol_error *err)
{
    if (options->prefix_count == 0) {
        return kol_fail(err, KOL_INVALID, "no beginning of keys to watch was given");
    }
    for (size_t i = 0; i < options->prefix_count; i++) {
        for (size_t j = 0; j < options->prefix_count; j++) {
            if (i != j && str_starts(options->prefixes[i], options->prefixes[j])) {
                return kol_fail(err, KOL_INVALID,
                                "of the watched beginnings of keys, `%.*s` begins with `%.*s`: "
                                "name the shorter one alone",
                                STR_FORMAT(options->prefixes[i]), STR_FORMAT(options->prefixes[j]));
            }
        }
    }
    if (options->ping_us < 0 || options->ping_us > CLOCK_US_PER_DAY || options->retry_us < 0 ||
        options->retry_us > CLOCK_US_PER_DAY) {
        return kol_fail(err, KOL_INVALID, "a time of the watch of Redis is below 0 or over a day");
    }
    return KOL_OK;
}

static void put_subscribe(struct buf *out, struct str channel)
{
    redis_put_head(out, 2);
    redis_put_argument(out, STR("SUBSCRIBE"));
    redis_put_argument(out, channel);
}

/* Spells what each connection says, which is always the same. */
static void prepare(struct redis_watch *watch)
{
    const struct redis_watch_options *options = &watch->options;
    redis_put_argument(&watch->tracking, STR("BCAST"));
    for (size_t i = 0; i < options->prefix_count; i++) {
        redis_put_argument(&watch->tracking, STR("PREFIX"));
        redis_put_argument(&watch->tracking, options->prefixes[i]);
    }
    watch->tracking_count = 6 + 2 * options->prefix_count;
    put_subscribe(&watch->subscribing, invalidations);
    put_subscribe(&watch->joining, str_of(options->channel));
}

/* The signals of the process are for its own threads. */
static int start_thread(struct redis_watch *watch)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failure = pthread_create(&watch->thread, NULL, watch_main, watch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static void free_watch(struct redis_watch *watch)
{
    if (watch->wake >= 0) {
        close(watch->wake);
    }
    buf_free(&watch->tracking);
    buf_free(&watch->subscribing);
    buf_free(&watch->joining);
    while (watch->node_count > 0) {
        remove_node(watch, watch->node_count - 1);
    }
    free(watch->nodes);
    free(watch->waiting);
    arena_free(&watch->key_arena);
    arena_free(&watch->arena);
    free(watch->keys);
    free(watch);
}

enum kol_status redis_watch_start(const struct redis_watch_options *options,
                                  struct redis_watch **out, struct kol_error *err)
{
    *out = NULL;
    const enum kol_status status = check(options, err);
    if (status != KOL_OK) {
        return status;
    }
    struct redis_watch *watch = mem_zalloc(1, sizeof *watch);
    arena_init(&watch->arena, 1024);
    arena_init(&watch->key_arena, 0);
    watch->options = *options;
    if (options->channel) {
        watch->options.channel = arena_copy(&watch->arena, str_of(options->channel)).ptr;
    }
    watch->options.ping_us = options->ping_us ? options->ping_us : DEFAULT_PING_US;
    watch->options.retry_us = options->retry_us ? options->retry_us : DEFAULT_RETRY_US;
    prepare(watch);
    watch->options.prefixes = NULL; /* they are spelled, and may go */
    watch->keys = mem_alloc(KEYS_AT_ONCE * sizeof *watch->keys);
    if (options->redis->cluster) {
        watch->waiting = mem_alloc(sizeof *watch->waiting);
    } else {
        add_node(watch, NULL, &options->redis->options, redis_name(options->redis));
        watch->mapped = true;
    }
    watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int failure = watch->wake < 0 ? errno : start_thread(watch);
    if (failure) {
        free_watch(watch);
        return kol_fail_errno(err, failure, "cannot start the watch of Redis");
    }
    *out = watch;
    return KOL_OK;
}

void redis_watch_stop(struct redis_watch **watch)
{
    struct redis_watch *stopping = *watch;
    if (!stopping) {
        return;
    }
    atomic_store(&stopping->stopping, true);
    KOL_ASSERT(eventfd_write(stopping->wake, 1) == 0);
    pthread_join(stopping->thread, NULL);
    free_watch(stopping);
    *watch = NULL;
}

bool redis_watch_ready(const struct redis_watch *watch)
{
    return atomic_load(&watch->ready);
}
