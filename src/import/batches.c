/* batches.c: the thread that commits. */
#include "import/batches.h"

#include <string.h>

#include "base/mem.h"

static void *commit_all(void *argument)
{
    struct batches *batches = argument;
    pthread_mutex_lock(&batches->lock);
    for (;;) {
        while (!batches->committing && !batches->stop) {
            pthread_cond_wait(&batches->changed, &batches->lock);
        }
        struct batch *batch = batches->committing;
        if (!batch) {
            break;
        }
        pthread_mutex_unlock(&batches->lock);
        struct kol_error why = {0};
        enum kol_status status = submit_flush(&batch->submit, &why);
        pthread_mutex_lock(&batches->lock);
        if (status == KOL_OK) {
            batches->durable = batch->position;
        } else {
            batches->failure = why;
            batches->failure.status = status;
        }
        batches->committing = NULL;
        pthread_cond_broadcast(&batches->changed);
    }
    pthread_mutex_unlock(&batches->lock);
    return NULL;
}

enum kol_status batches_open(struct batches *batches, struct bus *bus, struct kol_error *err)
{
    const struct bus_producer_options plain = {0};
    enum kol_status status = KOL_OK;
    memset(batches, 0, sizeof *batches);
    pthread_mutex_init(&batches->lock, NULL);
    pthread_cond_init(&batches->changed, NULL);
    batches->filling = &batches->slots[0];
    for (int i = 0; status == KOL_OK && i < 2; i++) {
        struct batch *batch = &batches->slots[i];
        status = bus_producer_open(bus, &plain, &batch->producer, err);
        submit_init(&batch->submit, batch->producer);
    }
    if (status == KOL_OK) {
        int failed = pthread_create(&batches->thread, NULL, commit_all, batches);
        batches->running = failed == 0;
        status = failed ? kol_fail_errno(err, failed, "no thread for the commits") : KOL_OK;
    }
    return status;
}

void batches_close(struct batches *batches)
{
    pthread_mutex_lock(&batches->lock);
    batches->stop = true;
    pthread_cond_broadcast(&batches->changed);
    pthread_mutex_unlock(&batches->lock);
    if (batches->running) {
        pthread_join(batches->thread, NULL);
    }
    for (int i = 0; i < 2; i++) {
        submit_free(&batches->slots[i].submit);
        if (batches->slots[i].producer) {
            bus_producer_close(&batches->slots[i].producer);
        }
    }
    pthread_mutex_destroy(&batches->lock);
    pthread_cond_destroy(&batches->changed);
}

/* Waits for the thread; the lock is held before and after. */
static enum kol_status wait_for_thread(struct batches *batches, struct kol_error *err)
{
    while (batches->committing) {
        pthread_cond_wait(&batches->changed, &batches->lock);
    }
    const struct kol_error *failure = &batches->failure;
    return failure->status == KOL_OK ? KOL_OK
                                     : kol_fail(err, failure->status, "%s", failure->message);
}

enum kol_status batches_hand_over(struct batches *batches, const char *name,
                                  const struct position *position, struct kol_error *err)
{
    struct batch *batch = batches->filling;
    batch->position = *position;
    enum kol_status status = name ? position_put(batch->producer, name, position, err) : KOL_OK;
    if (status != KOL_OK) {
        return status;
    }
    pthread_mutex_lock(&batches->lock);
    status = wait_for_thread(batches, err);
    if (status == KOL_OK) {
        batches->committing = batch;
        batches->filling = &batches->slots[batch == &batches->slots[0]];
        pthread_cond_broadcast(&batches->changed);
    }
    pthread_mutex_unlock(&batches->lock);
    return status;
}

enum kol_status batches_wait(struct batches *batches, struct kol_error *err)
{
    pthread_mutex_lock(&batches->lock);
    enum kol_status status = wait_for_thread(batches, err);
    pthread_mutex_unlock(&batches->lock);
    return status;
}

/* Adds one reason to those of `out`, keeping the place that was seen first. */
static void add_reason(struct submit *out, const struct submit_reason *reason)
{
    for (size_t i = 0; i < out->reason_count; i++) {
        struct submit_reason *row = &out->reasons[i];
        if (strcmp(row->text, reason->text) == 0) {
            bool earlier = strcmp(row->file, reason->file) == 0 && reason->line < row->line;
            row->line = earlier ? reason->line : row->line;
            row->count += reason->count;
            return;
        }
    }
    if (out->reason_count < SUBMIT_REASONS) {
        out->reasons[out->reason_count++] = *reason;
    } else {
        out->other_reasons += reason->count;
    }
}

void batches_sum(const struct batches *batches, struct submit *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 2; i++) {
        const struct submit *submit = &batches->slots[i].submit;
        out->accepted_total += submit->accepted_total;
        out->dead_total += submit->dead_total;
        out->bytes += submit->bytes;
        out->other_reasons += submit->other_reasons;
        for (int topic = 0; topic < TOPIC_COUNT; topic++) {
            out->accepted[topic] += submit->accepted[topic];
        }
        for (size_t row = 0; row < submit->reason_count; row++) {
            add_reason(out, &submit->reasons[row]);
        }
    }
}
