/* The pool on paper (scaling.h). */
#include "scaling.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- recordings ---------------------------------------------------------------------------- */

static bool grow(void **memory, int64_t *room, int64_t needed, size_t size)
{
    if (needed <= *room)
        return true;
    const int64_t larger = needed * 2;
    void *place = realloc(*memory, (size_t)larger * size);
    if (!place)
        return false;
    *memory = place;
    *room = larger;
    return true;
}

static void note_task(void *context, int64_t index, int64_t count, double seconds)
{
    recording *r = context;
    void *all = r->seconds, *jobs = r->jobs;
    const bool room = grow(&all, &r->room, r->tasks + 1, sizeof *r->seconds) &&
                      grow(&jobs, &r->job_room, r->job_count + 1, sizeof *r->jobs);
    r->seconds = all;
    r->jobs = jobs;
    if (!room) {
        r->failed = true;
        return;
    }
    r->within += seconds;
    if (index == 0)
        r->jobs[r->job_count++] = count;
    double *least = &r->seconds[r->tasks++];
    *least = r->runs && *least < seconds ? *least : seconds;
}

void recording_begin(recording *r, pool *p)
{
    if (!r)
        return;
    r->tasks = r->job_count = 0;
    r->within = 0;
    pool_observe(p, note_task, r);
    r->began = clock_seconds();
}

void recording_end(recording *r, pool *p)
{
    if (!r)
        return;
    const double between = clock_seconds() - r->began - r->within;
    pool_observe(p, NULL, NULL);
    r->between = r->runs && r->between < between ? r->between : between;
    r->runs++;
}

void recording_free(recording *r)
{
    free(r->seconds);
    free(r->jobs);
    *r = (recording){0};
}

/* ---- the pool on paper --------------------------------------------------------------------- */

/* When the last of the threads is done with a job. The thread that is free first takes the next
 * task of its own range or, where that is empty, of the next range that is not. */
static double job_seconds(const double *task, int64_t count, int threads)
{
    double free_at[SCALING_MOST] = {0};
    int64_t next[SCALING_MOST], last = 0;
    for (int t = 0; t < threads; t++)
        next[t] = count * t / threads;
    for (int64_t i = 0; i < count; i++) {
        int first = 0;
        for (int t = 1; t < threads; t++)
            first = free_at[t] < free_at[first] ? t : first;
        int range = first;
        while (next[range] == count * (range + 1) / threads)
            range = (range + 1) % threads;
        free_at[first] += task[next[range]++];
    }
    for (int t = 1; t < threads; t++)
        last = free_at[t] > free_at[last] ? t : last;
    return free_at[last];
}

double recording_predict(const recording *r, int threads, double barrier)
{
    double seconds = r->between;
    const double *task = r->seconds;
    for (int64_t j = 0; j < r->job_count; task += r->jobs[j++])
        seconds +=
            job_seconds(task, r->jobs[j], threads) + (threads > 1 && r->jobs[j] > 1 ? barrier : 0);
    return seconds;
}

/* Each of the two tasks of a job waits until the other one has begun. */
static void meet(void *context, int64_t index, int thread)
{
    atomic_int *begun = context;
    (void)index;
    (void)thread;
    const int both = atomic_fetch_add(begun, 1) / 2 * 2 + 2;
    while (atomic_load(begun) < both)
        ;
}

double measure_barrier(void)
{
    enum { JOBS = 2000, TRIES = 10 };
    pool *p;
    atomic_int begun = 0;
    double least = 1;
    if (processor_count() < 2 || pool_create(2, &p, NULL) != TS_OK)
        return 0;
    for (int try = 0; try < TRIES; try++) {
        const double start = clock_seconds();
        for (int i = 0; i < JOBS; i++)
            pool_run(p, meet, &begun, 2);
        const double seconds = (clock_seconds() - start) / JOBS;
        least = seconds < least ? seconds : least;
    }
    pool_destroy(p);
    return least;
}

void recording_print(const recording *r)
{
    if (r->failed) {
        fprintf(stderr, "twinseg-bench: no memory for the tasks' times\n");
        return;
    }
    const double barrier = measure_barrier(), one = recording_predict(r, 1, 0);
    printf("on paper, from %lld tasks of %lld jobs, %.1f us a barrier, %.1f %% between jobs:",
           (long long)r->tasks, (long long)r->job_count, barrier * 1e6, 100 * r->between / one);
    for (int threads = 2; threads <= SCALING_MOST; threads *= 2)
        printf(" %d: %.2f%s", threads, one / recording_predict(r, threads, barrier),
               threads < SCALING_MOST ? "," : "\n");
}

int64_t recording_largest(const recording *r)
{
    const double *task = r->seconds;
    double most = -1;
    int64_t tasks = 0;
    for (int64_t j = 0; j < r->job_count; task += r->jobs[j++]) {
        const double seconds = job_seconds(task, r->jobs[j], 1);
        if (seconds > most) {
            most = seconds;
            tasks = r->jobs[j];
        }
    }
    return tasks;
}
