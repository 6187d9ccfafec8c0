/* The pool: threads that wait for a job and take its indices one by one.
 *
 * Tasks of neighbouring indices read much of the same memory: neighbouring planes of a tensor. So
 * each thread begins with a range of indices of its own, from its start on, and what it reads again
 * is in its processor's caches; when its range is empty it helps with the others'. A counter that
 * all threads share instead hands every second task to another processor: layers at 64^3 reach 74 %
 * of the roof on two threads in place of 88.
 *
 * A step of training is several hundred jobs of about a millisecond with little between them, and
 * a thread of a virtual machine takes some 50 microseconds to sleep and be woken: a waiting thread
 * spins for SPINS pauses (some 100 microseconds) before it sleeps. In a pool with more threads than
 * processors a spinning thread would keep a working one from running: there all waiting threads
 * sleep at once, and only as many work on a job as there are processors. */
#include "base/base.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPINS 4000

/* WebAssembly has one thread: a pool there is a plain loop. */
#if defined(__wasm__)
#define MOST_THREADS 1
#else
#define MOST_THREADS INT_MAX
#endif

struct worker {
    pool *owner;
    int index;
    pthread_t thread;
};

/* Of the indices of one range, how many were taken; each on a cache line of its own. */
typedef struct {
    atomic_llong taken;
    char apart[64 - sizeof(atomic_llong)];
} range;

struct pool {
    int threads, started;
    struct worker *workers; /* threads - 1 */
    bool crowded;           /* more threads than processors */
    int most;               /* workers on a job at a time */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_ullong job; /* counts jobs; a change wakes the workers */
    atomic_bool open;  /* the job may be entered; changes to true under the lock */
    atomic_int active; /* workers within the job; changes under the lock */
    bool quit;
    void (*task)(void *, int64_t, int);
    void *context;
    int64_t count;
    range *ranges; /* most + 1 */

    pool_observer observer; /* or NULL */
    void *observed;         /* its context */
};

static int64_t range_begin(const pool *p, int r)
{
    return p->count * r / (p->most + 1);
}

static bool range_left(pool *p, int r)
{
    return range_begin(p, r) + atomic_load(&p->ranges[r].taken) < range_begin(p, r + 1);
}

static void take_indices(pool *p, int thread)
{
    for (int i = 0; i <= p->most; i++) {
        const int r = (thread + i) % (p->most + 1);
        const int64_t first = range_begin(p, r), end = range_begin(p, r + 1);
        int64_t index;
        while ((index = first + atomic_fetch_add(&p->ranges[r].taken, 1)) < end)
            p->task(p->context, index, thread);
    }
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Enters the job, under the lock; false where it is over or has workers enough. */
static bool enter(pool *p)
{
    int r = 0;
    while (r <= p->most && !range_left(p, r))
        r++;
    if (!atomic_load(&p->open) || atomic_load(&p->active) >= p->most || r > p->most)
        return false;
    if (atomic_fetch_add(&p->active, 1) + 1 < p->most && p->crowded)
        pthread_cond_signal(&p->wake); /* one wakes the next, as long as there is work */
    return true;
}

static void *work(void *argument)
{
    struct worker *w = argument;
    pool *p = w->owner;
    uint64_t seen = 0;
    for (;;) {
        for (int i = 0; !p->crowded && i < SPINS && atomic_load(&p->job) == seen; i++)
            pause_briefly();
        pthread_mutex_lock(&p->lock);
        while (atomic_load(&p->job) == seen && !p->quit)
            pthread_cond_wait(&p->wake, &p->lock);
        seen = atomic_load(&p->job);
        const bool quit = p->quit, entered = !quit && enter(p);
        pthread_mutex_unlock(&p->lock);
        if (quit)
            return NULL;
        if (!entered)
            continue;
        take_indices(p, w->index);
        pthread_mutex_lock(&p->lock);
        if (atomic_fetch_sub(&p->active, 1) == 1)
            pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
}

ts_status pool_create(int threads, pool **out, ts_error *error)
{
    *out = NULL;
    threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    pool *p = memory_allocate(1, sizeof *p, "the thread pool", error);
    if (!p)
        return TS_MEMORY;
    const int processors = processor_count();
    p->threads = threads;
    p->crowded = threads > processors;
    p->most = (p->crowded ? processors : threads) - 1;
    p->workers = memory_allocate((size_t)threads, sizeof *p->workers, "the thread pool", error);
    p->ranges = memory_allocate((size_t)p->most + 1, sizeof *p->ranges, "the thread pool", error);
    if (!p->workers || !p->ranges) {
        free(p->ranges);
        free(p->workers);
        free(p);
        return TS_MEMORY;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    for (; p->started < threads - 1; p->started++) {
        struct worker *w = &p->workers[p->started];
        *w = (struct worker){.owner = p, .index = p->started + 1};
        const int failure = pthread_create(&w->thread, NULL, work, w);
        if (failure) {
            pool_destroy(p);
            return error_set(error, TS_MEMORY, "cannot start %d threads: %s", threads,
                             strerror(failure));
        }
    }
    *out = p;
    return TS_OK;
}

void pool_destroy(pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p->ranges);
    free(p->workers);
    free(p);
}

int pool_threads(const pool *p)
{
    return p ? p->threads : 1;
}

static void open_job(pool *p, void (*task)(void *, int64_t, int), void *context, int64_t count)
{
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->context = context;
    p->count = count;
    for (int r = 0; r <= p->most; r++)
        atomic_store(&p->ranges[r].taken, 0);
    atomic_store(&p->open, true);
    atomic_fetch_add(&p->job, 1);
    if (!p->crowded)
        pthread_cond_broadcast(&p->wake);
    else if (p->most)
        pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* Once no index is left: no worker may enter any more, and those within leave. */
static void close_job(pool *p)
{
    atomic_store(&p->open, false);
    for (int i = 0; !p->crowded && i < SPINS && atomic_load(&p->active) > 0; i++)
        pause_briefly();
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->active) > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void pool_observe(pool *p, pool_observer observer, void *context)
{
    p->observer = observer;
    p->observed = context;
}

static void run_observed(pool *p, void (*task)(void *, int64_t, int), void *context, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const double start = clock_seconds();
        task(context, i, 0);
        p->observer(p->observed, i, count, clock_seconds() - start);
    }
}

void pool_run(pool *p, void (*task)(void *context, int64_t index, int thread), void *context,
              int64_t count)
{
    if (p && p->observer) {
        run_observed(p, task, context, count);
        return;
    }
    if (!p || p->threads == 1 || count <= 1) {
        for (int64_t i = 0; i < count; i++)
            task(context, i, 0);
        return;
    }
    open_job(p, task, context, count);
    take_indices(p, 0);
    close_job(p);
}

/* ---- tasks that can fail -------------------------------------------------------------------- */

typedef struct {
    pool_task task;
    void *context;
    pthread_mutex_t lock;
    atomic_llong failed; /* the lowest index that failed so far; INT64_MAX: none */
    ts_error error;      /* its */
} failing_run;

static void run_one(void *context, int64_t index, int thread)
{
    failing_run *r = context;
    ts_error error = {0};
    if (index > atomic_load(&r->failed))
        return;
    const ts_status status = r->task(r->context, index, thread, &error);
    if (status == TS_OK)
        return;
    pthread_mutex_lock(&r->lock);
    if (index < atomic_load(&r->failed)) {
        atomic_store(&r->failed, index);
        error.status = status;
        r->error = error;
    }
    pthread_mutex_unlock(&r->lock);
}

ts_status pool_run_status(pool *p, pool_task task, void *context, int64_t count, ts_error *error)
{
    failing_run r = {
        .task = task, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER, .failed = INT64_MAX};
    pool_run(p, run_one, &r, count);
    pthread_mutex_destroy(&r.lock);
    if (atomic_load(&r.failed) == INT64_MAX)
        return TS_OK;
    if (error)
        *error = r.error;
    return r.error.status;
}

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
