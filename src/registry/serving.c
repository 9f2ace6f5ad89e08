/*
 * serving.c: the models that serve now, taken without a wait and swapped under those who use them.
 *
 * All versions that somebody still uses stand in slots. One atomic word names the slot of now and
 * counts who took it, so that taking is one addition:
 *
 *     word = slot number << 48 | takes since the slot became the one of now
 *
 * A swap puts in a new word at once and learns from the old one how often the old slot was taken.
 * That count goes into the slot's balance, from which every drop takes one: the balance is below or
 * at 0 while the slot is the one of now, and reaches 0 again with the last drop afterwards. Who
 * brings it there frees the models. (Differential reference counting; the usual names are split or
 * external counts.)
 *
 * A model is shared by the slots that hold it, so that a swap of one kind loads only that.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/backend.h"

enum { SLOTS = 64, COUNT_BITS = 48 };

#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

/* A loaded model, counted by the slots that hold it and by `current` of its kind. */
struct held_model {
    atomic_int holders;
    struct score_model model;
};

struct slot {
    struct score_models models; /* first: a taken pointer is a pointer to its slot */
    struct held_model *held[SCORE_KINDS];
    _Atomic int64_t balance; /* see above */
    atomic_bool used;        /* set by refresh, cleared by who frees */
};

/* One kind as it was looked at last; for serving_refresh() alone. */
struct watched {
    struct registry_stamp aliases, version; /* of the try that is remembered */
    char tried[REGISTRY_NAME_BYTES];        /* the version of that try */
    bool again;                             /* it failed for what may pass without a change */
    struct held_model *current;
};

struct serving {
    _Atomic uint64_t word;
    struct slot slots[SLOTS];
    pthread_mutex_t refreshing; /* of all below, and of changing `word` */
    struct registry *registry;  /* borrowed */
    bool pending;               /* `current` of a kind is not yet in the slot of now */
    struct watched kinds[SCORE_KINDS];
};

/* ---- holding ---- */

static void let_go(struct held_model *held)
{
    if (held && atomic_fetch_sub(&held->holders, 1) == 1) {
        gbdt_free(&held->model.gbdt);
        free(held);
    }
}

static void free_slot(struct slot *slot)
{
    for (size_t kind = 0; kind < SCORE_KINDS; kind++) {
        let_go(slot->held[kind]);
        slot->held[kind] = NULL;
    }
    atomic_store(&slot->used, false);
}

const struct score_models *serving_take(struct serving *serving)
{
    uint64_t word = atomic_fetch_add(&serving->word, 1);
    return &serving->slots[word >> COUNT_BITS].models;
}

void serving_drop(struct serving *serving, const struct score_models *models)
{
    struct slot *slot = (struct slot *)models;
    KOL_ASSERT(slot >= serving->slots && slot < serving->slots + SLOTS);
    if (atomic_fetch_sub(&slot->balance, 1) == 1) {
        free_slot(slot);
    }
}

/* The slot of before is no longer the one of now, and was taken so often. */
static void retire(struct serving *serving, uint64_t word)
{
    struct slot *slot = &serving->slots[word >> COUNT_BITS];
    int64_t takes = (int64_t)(word & COUNT_MASK);
    if (atomic_fetch_add(&slot->balance, takes) + takes == 0) {
        free_slot(slot);
    }
}

/* ---- swapping ---- */

static struct slot *find_free(struct serving *serving)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (!atomic_load(&serving->slots[i].used)) {
            return &serving->slots[i];
        }
    }
    return NULL;
}

static enum kol_status put_slot(struct serving *serving, bool first, struct kol_error *err)
{
    struct slot *slot = find_free(serving);
    if (!slot) {
        return kol_fail(err, KOL_CONFLICT,
                        "%d versions of the models are still in use; the newest is taken once one "
                        "is let go",
                        SLOTS);
    }
    for (size_t kind = 0; kind < SCORE_KINDS; kind++) {
        struct held_model *held = serving->kinds[kind].current;
        atomic_fetch_add(&held->holders, 1);
        slot->held[kind] = held;
        slot->models.by_kind[kind] = held->model;
    }
    atomic_store(&slot->balance, 0);
    atomic_store(&slot->used, true);
    uint64_t word = (uint64_t)(slot - serving->slots) << COUNT_BITS;
    word = atomic_exchange(&serving->word, word);
    if (!first) {
        retire(serving, word);
    }
    return KOL_OK;
}

/* ---- looking ---- */

static enum kol_status load(struct registry *registry, enum score_kind kind, const char *version,
                            struct held_model **out, struct kol_error *err)
{
    struct held_model *held = mem_zalloc(1, sizeof *held);
    enum kol_status status = KOL_OK;
    atomic_init(&held->holders, 1);
    if (version[0]) {
        status = registry_load(registry, kind, version, &held->model, err);
    } else {
        memcpy(held->model.version, "none", sizeof "none");
    }
    if (status != KOL_OK) {
        let_go(held);
        held = NULL;
    }
    *out = held;
    return status;
}

static bool is_same(const struct registry_stamp *a, const struct registry_stamp *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Takes the version that the aliases mean now. The stamp is taken before what it stands for is
 * read: a change in between is seen by the next call. */
static enum kol_status take(struct serving *serving, enum score_kind kind, bool *changed,
                            struct kol_error *err)
{
    struct watched *watched = &serving->kinds[kind];
    struct registry *registry = serving->registry;
    struct held_model *held;
    char serves[REGISTRY_NAME_BYTES];
    enum kol_status status = registry_which_serves(registry, kind, serves, err);
    if (status != KOL_OK) {
        return status;
    }
    memcpy(watched->tried, serves, sizeof serves);
    registry_stamp(registry, kind, serves, &watched->version);
    status = load(registry, kind, serves, &held, err);
    if (status == KOL_OK) {
        if (watched->current) {
            *changed |= strcmp(watched->current->model.version, held->model.version) != 0;
            let_go(watched->current);
        }
        watched->current = held;
    }
    return status;
}

/* Takes it unless the last try was of the same, and failed, if it did, for a reason that lies in
 * the files. */
static enum kol_status look(struct serving *serving, enum score_kind kind, bool *changed,
                            struct kol_error *err)
{
    struct watched *watched = &serving->kinds[kind];
    struct registry_stamp aliases, version;
    registry_stamp(serving->registry, kind, NULL, &aliases);
    registry_stamp(serving->registry, kind, watched->tried, &version);
    if (watched->current && !watched->again && is_same(&aliases, &watched->aliases) &&
        is_same(&version, &watched->version)) {
        return KOL_OK;
    }
    watched->aliases = aliases;
    enum kol_status status = take(serving, kind, changed, err);
    watched->again = status == KOL_IO;
    return status;
}

enum kol_status serving_refresh(struct serving *serving, bool *swapped, struct kol_error *err)
{
    enum kol_status worst = KOL_OK;
    bool changed = false;
    *swapped = false;
    pthread_mutex_lock(&serving->refreshing);
    for (enum score_kind kind = 0; kind < SCORE_KINDS; kind++) {
        struct kol_error why = {0};
        enum kol_status status = look(serving, kind, &changed, &why);
        if (status != KOL_OK && worst == KOL_OK) { /* the other kind may still be swapped */
            worst = kol_fail(err, status, "the %s model cannot be swapped, %s goes on serving: %s",
                             score_kind_name(kind), serving->kinds[kind].current->model.version,
                             why.message);
        }
    }
    serving->pending |= changed;
    if (serving->pending) {
        enum kol_status status = put_slot(serving, false, worst == KOL_OK ? err : NULL);
        *swapped = status == KOL_OK;
        serving->pending = !*swapped;
        worst = worst == KOL_OK ? status : worst;
    }
    pthread_mutex_unlock(&serving->refreshing);
    return worst;
}

/* ---- opening ---- */

enum kol_status serving_open(struct registry *registry, struct serving **out, struct kol_error *err)
{
    struct serving *serving = mem_zalloc(1, sizeof *serving);
    enum kol_status status = KOL_OK;
    bool changed = false;
    serving->registry = registry;
    pthread_mutex_init(&serving->refreshing, NULL);
    for (enum score_kind kind = 0; kind < SCORE_KINDS && status == KOL_OK; kind++) {
        status = look(serving, kind, &changed, err);
    }
    if (status == KOL_OK) {
        status = put_slot(serving, true, err);
    }
    *out = serving;
    if (status != KOL_OK) {
        serving_close(out);
    }
    return status;
}

void serving_close(struct serving **serving)
{
    if (!*serving) {
        return;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (atomic_load(&(*serving)->slots[i].used)) {
            free_slot(&(*serving)->slots[i]);
        }
    }
    for (size_t kind = 0; kind < SCORE_KINDS; kind++) {
        let_go((*serving)->kinds[kind].current);
    }
    pthread_mutex_destroy(&(*serving)->refreshing);
    free(*serving);
    *serving = NULL;
}
