/*
 * l1_tags.c: which entries carry a tag, taking out by key, tag and prefix, and outdating by tag.
 *
 * What takes out many entries lets go of the lock after every few of them. What is put in meanwhile
 * is newer than the drop (a load that began before it is fenced) and stays.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cache/l1_parts.h"

enum { FIRST_BUCKETS = 256 };

/* ---- tags ---- */

static uint64_t tag_hash(const struct l1 *l1, struct str text)
{
    return hash_seeded(text, ~l1->seed);
}

void l1_tags_init(struct l1_tags *tags)
{
    tags->mask = FIRST_BUCKETS - 1;
    tags->buckets = mem_zalloc(FIRST_BUCKETS, sizeof *tags->buckets);
}

/* Where the address of the tag stands, or of the one that would follow it. */
static struct l1_tag **find_tag(const struct l1_tags *tags, struct str text, uint64_t hash)
{
    struct l1_tag **at = &tags->buckets[hash & tags->mask];
    while (*at && !((*at)->hash == hash && (*at)->len == text.len &&
                    memcmp((*at)->text, text.ptr, text.len) == 0)) {
        at = &(*at)->next;
    }
    return at;
}

static void grow(struct l1_tags *tags)
{
    struct l1_tag **old = tags->buckets;
    const size_t buckets = tags->mask + 1;
    tags->mask = 2 * buckets - 1;
    tags->buckets = mem_zalloc(2 * buckets, sizeof *tags->buckets);
    for (size_t i = 0; i < buckets; i++) {
        for (struct l1_tag *tag = old[i], *next; tag; tag = next) {
            struct l1_tag **at = &tags->buckets[tag->hash & tags->mask];
            next = tag->next;
            tag->next = *at;
            *at = tag;
        }
    }
    free(old);
}

static struct l1_tag *take_tag(struct l1 *l1, struct str text)
{
    struct l1_tags *tags = &l1->tags;
    const uint64_t hash = tag_hash(l1, text);
    struct l1_tag **at = find_tag(tags, text, hash);
    if (*at) {
        return *at;
    }
    if (tags->count > tags->mask) {
        grow(tags);
        at = find_tag(tags, text, hash);
    }
    struct l1_tag *tag = mem_zalloc(1, sizeof *tag + text.len);
    tag->hash = hash;
    tag->len = text.len;
    if (text.len) {
        memcpy(tag->text, text.ptr, text.len);
    }
    *at = tag;
    tags->count++;
    return tag;
}

void l1_tags_put(struct l1 *l1, struct l1_entry *entry, const struct str *texts)
{
    for (size_t i = 0; i < entry->tag_count; i++) {
        struct l1_tag *tag = take_tag(l1, texts[i]);
        struct l1_tag_link *link = &entry->tags[i];
        *link = (struct l1_tag_link){.tag = tag, .entry = entry, .older = tag->newest};
        *(tag->newest ? &tag->newest->newer : &tag->oldest) = link;
        tag->newest = link;
    }
}

static void free_tag(struct l1_tags *tags, struct l1_tag *tag)
{
    struct l1_tag **at = find_tag(tags, (struct str){tag->text, tag->len}, tag->hash);
    *at = tag->next;
    tags->count--;
    free(tag);
}

/* Takes a link out of the list of its tag, which goes with the last one. */
static void unlink_tag(struct l1 *l1, struct l1_tag_link *link)
{
    struct l1_tag *tag = link->tag;
    *(link->newer ? &link->newer->older : &tag->newest) = link->older;
    *(link->older ? &link->older->newer : &tag->oldest) = link->newer;
    if (!tag->newest) {
        free_tag(&l1->tags, tag);
    }
}

void l1_tags_remove(struct l1 *l1, struct l1_entry *entry)
{
    for (size_t i = 0; i < entry->tag_count; i++) {
        unlink_tag(l1, &entry->tags[i]);
    }
    entry->tag_count = 0;
}

bool l1_tags_fence(const struct l1 *l1, const uint64_t drops[L1_TAG_FENCES], uint64_t began,
                   const struct str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (drops[tag_hash(l1, texts[i]) % L1_TAG_FENCES] > began) {
            return true;
        }
    }
    return false;
}

uint64_t l1_drops(struct l1 *l1)
{
    pthread_mutex_lock(&l1->lock);
    const uint64_t drops = l1->tags.drops;
    pthread_mutex_unlock(&l1->lock);
    return drops;
}

bool l1_dropped_since(struct l1 *l1, uint64_t drops, const struct str *tags, size_t tag_count)
{
    pthread_mutex_lock(&l1->lock);
    const bool dropped = l1->tags.untagged > drops ||
                         l1_tags_fence(l1, l1->tags.dropped, drops, tags, tag_count) ||
                         l1_tags_fence(l1, l1->tags.outdated, drops, tags, tag_count);
    pthread_mutex_unlock(&l1->lock);
    return dropped;
}

/* ---- taking out ---- */

/* Ends a step of a drop: lets go of the lock and of what was taken out. */
static void unlock_and_settle(struct l1 *l1, struct l1_entry **taken_out)
{
    pthread_mutex_unlock(&l1->lock);
    l1_settle(*taken_out);
    *taken_out = NULL;
}

static size_t drop(struct l1 *l1, struct l1_entry *entry, struct l1_entry **taken_out)
{
    l1_take_out(l1, entry, taken_out);
    l1->stats.dropped++;
    return 1;
}

size_t l1_drop_key(struct l1 *l1, struct str key)
{
    struct l1_entry *taken_out = NULL;
    const uint64_t hash = l1_hash(l1, key);
    pthread_mutex_lock(&l1->lock);
    l1->tags.untagged = ++l1->tags.drops;
    l1_fence_key(l1, key, hash);
    struct l1_entry *entry = l1_table_find(l1, key, hash);
    const size_t dropped = entry ? drop(l1, entry, &taken_out) : 0;
    unlock_and_settle(l1, &taken_out);
    return dropped;
}

static struct l1_entry *oldest_entry(const struct l1_tag *tag)
{
    const struct l1_tag_link *link = tag->oldest;
    while (link && !link->entry) {
        link = link->newer;
    }
    return link ? link->entry : NULL;
}

size_t l1_drop_tag(struct l1 *l1, struct str text)
{
    struct l1_entry *taken_out = NULL;
    const uint64_t hash = tag_hash(l1, text);
    size_t dropped = 0, step;
    pthread_mutex_lock(&l1->lock);
    const uint64_t number = ++l1->sequence;
    l1->tags.dropped[hash % L1_TAG_FENCES] = ++l1->tags.drops;
    do {
        for (step = 0; step < L1_STEP; step++) {
            struct l1_tag *tag = *find_tag(&l1->tags, text, hash);
            struct l1_entry *oldest = tag ? oldest_entry(tag) : NULL;
            if (!oldest || oldest->number > number) {
                break;
            }
            dropped += drop(l1, oldest, &taken_out);
        }
        unlock_and_settle(l1, &taken_out);
        pthread_mutex_lock(&l1->lock);
    } while (step == L1_STEP);
    pthread_mutex_unlock(&l1->lock);
    return dropped;
}

/* Outdates entries from `link` on towards the newer ones, up to `number` of the sequence; returns
 * the link to go on from, or NULL at the end. */
static struct l1_tag_link *outdate_some(struct l1 *l1, struct l1_tag_link *link, uint64_t number,
                                        size_t *outdated, struct l1_entry **taken_out)
{
    const int64_t now_us = l1_now_us(l1);
    for (size_t step = 0; step < L1_STEP && link; step++) {
        struct l1_entry *entry = link->entry;
        if (entry && entry->number > number) {
            return NULL;
        }
        do { /* an entry may have named the tag twice, and all its links go with it */
            link = link->newer;
        } while (entry && link && link->entry == entry);
        if (!entry || l1_outdated_us(entry)) {
            continue;
        }
        l1->stats.outdated++;
        *outdated += 1;
        l1_outdate(entry, now_us);
        if (now_us >= l1_gone_us(entry)) {
            l1_take_out(l1, entry, taken_out);
        }
    }
    return link;
}

/* Stands before `at` in the list of its tag while others may change it; returns what then follows.
 */
static struct l1_tag_link *wait_before(struct l1 *l1, struct l1_tag_link *at,
                                       struct l1_entry **taken_out)
{
    struct l1_tag *tag = at->tag;
    struct l1_tag_link mine = {.tag = tag, .newer = at, .older = at->older};
    *(mine.older ? &mine.older->newer : &tag->oldest) = &mine;
    at->older = &mine;
    unlock_and_settle(l1, taken_out);
    pthread_mutex_lock(&l1->lock);
    unlink_tag(l1, &mine);
    return mine.newer;
}

size_t l1_outdate_tag(struct l1 *l1, struct str text)
{
    struct l1_entry *taken_out = NULL;
    const uint64_t hash = tag_hash(l1, text);
    size_t outdated = 0;
    pthread_mutex_lock(&l1->lock);
    const uint64_t number = ++l1->sequence;
    l1->tags.outdated[hash % L1_TAG_FENCES] = ++l1->tags.drops;
    const struct l1_tag *tag = *find_tag(&l1->tags, text, hash);
    struct l1_tag_link *link = tag ? tag->oldest : NULL;
    while ((link = outdate_some(l1, link, number, &outdated, &taken_out))) {
        link = wait_before(l1, link, &taken_out);
    }
    unlock_and_settle(l1, &taken_out);
    return outdated;
}

/* Goes from `place` towards the newer ones, up to `number` of the sequence, and drops what has the
 * prefix. Returns the place to go on from, or NULL at the end. */
static struct l1_place *drop_some(struct l1 *l1, struct l1_place *place, uint64_t number,
                                  struct str prefix, size_t *dropped, struct l1_entry **taken_out)
{
    for (size_t step = 0; step < L1_STEP; step++) {
        if (place == &l1->ages || (place->entry && place->entry->number > number)) {
            return NULL;
        }
        struct l1_entry *entry = place->entry;
        place = place->newer;
        if (entry && str_starts(l1_key(entry), prefix)) {
            *dropped += drop(l1, entry, taken_out);
        }
    }
    return place;
}

size_t l1_drop_prefix(struct l1 *l1, struct str key_prefix)
{
    struct l1_entry *taken_out = NULL;
    size_t dropped = 0;
    pthread_mutex_lock(&l1->lock);
    const uint64_t number = ++l1->sequence;
    l1->tags.untagged = ++l1->tags.drops;
    l1_fence_prefix(l1, key_prefix);
    struct l1_place *place = l1->ages.newer;
    while ((place = drop_some(l1, place, number, key_prefix, &dropped, &taken_out))) {
        struct l1_place mine = {.newer = place, .older = place->older};
        place->older = mine.older->newer = &mine;
        unlock_and_settle(l1, &taken_out);
        pthread_mutex_lock(&l1->lock);
        place = mine.newer;
        place->older = mine.older;
        mine.older->newer = place;
    }
    unlock_and_settle(l1, &taken_out);
    return dropped;
}

size_t l1_drop_all(struct l1 *l1)
{
    return l1_drop_prefix(l1, STR(""));
}
