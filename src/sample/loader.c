/* The loader: threads that make batches ahead of the training step.
 *
 * A ring of ahead + 1 batches: the one that the caller holds and those that are made meanwhile.
 * Step s lives in slot s mod (ahead + 1); threads take step numbers in order, and a batch is a
 * function of its step alone, whichever thread makes it. */
#include "sample/sample.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    batch batch;
    bool ready;
    ts_status status;
    ts_error error;
} slot;

struct loader {
    const plan *plan;
    const preprocessed *cases;
    size_t count;
    slot *slots;
    int64_t slot_count;
    pthread_t *threads;
    int started;
    pthread_mutex_t lock;
    pthread_cond_t made, room;
    int64_t next_made, next_given; /* steps */
    bool quit;
};

/* The caller holds the batch of next_given - 1; its slot must not be filled again yet. */
static bool has_room(const loader *l)
{
    return l->next_made < l->next_given + l->slot_count - 1;
}

static void *make_batches(void *argument)
{
    loader *l = argument;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->quit && !has_room(l))
            pthread_cond_wait(&l->room, &l->lock);
        if (l->quit)
            break;
        const int64_t step = l->next_made++;
        slot *s = &l->slots[step % l->slot_count];
        pthread_mutex_unlock(&l->lock);
        s->status = sample_batch(l->plan, l->cases, l->count, step, &s->batch, &s->error);
        pthread_mutex_lock(&l->lock);
        s->ready = true;
        pthread_cond_signal(&l->made);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static ts_status allocate_slots(loader *l, ts_error *error)
{
    const plan *p = l->plan;
    const size_t voxels = (size_t)(p->batch * p->patch[0] * p->patch[1] * p->patch[2]);
    l->slots = memory_allocate((size_t)l->slot_count, sizeof *l->slots, "the loader", error);
    for (int64_t i = 0; l->slots && i < l->slot_count; i++) {
        batch *b = &l->slots[i].batch;
        b->images =
            memory_allocate(voxels, MODALITIES * sizeof *b->images, "batches in advance", error);
        if (!b->images || !(b->labels = memory_allocate(voxels, 1, "batches in advance", error)))
            return TS_MEMORY;
    }
    return l->slots ? TS_OK : TS_MEMORY;
}

ts_status loader_create(const plan *p, const preprocessed *cases, size_t count, int64_t first,
                        int threads, int ahead, loader **out, ts_error *error)
{
    *out = NULL;
    loader *l = memory_allocate(1, sizeof *l, "the loader", error);
    if (!l)
        return TS_MEMORY;
    *l = (loader){.plan = p,
                  .cases = cases,
                  .count = count,
                  .next_made = first,
                  .next_given = first,
                  .slot_count = (ahead < 1 ? 1 : ahead) + 1};
    threads = threads < 1 ? 1 : threads;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->made, NULL);
    pthread_cond_init(&l->room, NULL);
    ts_status status = allocate_slots(l, error);
    if (status == TS_OK &&
        !(l->threads = memory_allocate((size_t)threads, sizeof *l->threads, "the loader", error)))
        status = TS_MEMORY;
    for (; status == TS_OK && l->started < threads; l->started++) {
        const int failure = pthread_create(&l->threads[l->started], NULL, make_batches, l);
        if (failure) {
            status = error_set(error, TS_MEMORY, "cannot start %d loader threads: %s", threads,
                               strerror(failure));
            break;
        }
    }
    if (status != TS_OK)
        loader_destroy(l);
    else
        *out = l;
    return status;
}

ts_status loader_next(loader *l, const batch **out, double *waited_seconds, ts_error *error)
{
    const double start = clock_seconds();
    pthread_mutex_lock(&l->lock);
    slot *s = &l->slots[l->next_given % l->slot_count];
    while (!s->ready)
        pthread_cond_wait(&l->made, &l->lock);
    s->ready = false; /* for the step that takes this slot next */
    l->next_given++;
    pthread_cond_signal(&l->room);
    pthread_mutex_unlock(&l->lock);
    if (waited_seconds)
        *waited_seconds = clock_seconds() - start;
    *out = &s->batch;
    if (s->status != TS_OK && error)
        *error = s->error;
    return s->status;
}

void loader_destroy(loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started; i++)
        pthread_join(l->threads[i], NULL);
    for (int64_t i = 0; l->slots && i < l->slot_count; i++) {
        free(l->slots[i].batch.images);
        free(l->slots[i].batch.labels);
    }
    pthread_cond_destroy(&l->made);
    pthread_cond_destroy(&l->room);
    pthread_mutex_destroy(&l->lock);
    free(l->threads);
    free(l->slots);
    free(l);
}
