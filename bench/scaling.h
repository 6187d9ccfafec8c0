/* How far work shares out among more threads than the machine has: the times of the tasks of every
 * job, measured on one thread, handed out on paper as the pool hands them out. Memory that threads
 * want at once is not in it. */
#ifndef TWINSEG_BENCH_SCALING_H
#define TWINSEG_BENCH_SCALING_H

#include "base/base.h"

enum { SCALING_MOST = 64 }; /* threads */

/* The jobs of one run; of several runs of the same work each task's least time. */
typedef struct {
    double *seconds;          /* of all tasks, a job's behind those of the one before */
    int64_t *jobs;            /* tasks of each job */
    int64_t tasks, job_count; /* of this run so far */
    int64_t room, job_room;   /* allocated */
    int64_t runs;
    double began, within; /* of this run: its start, and the seconds of its tasks */
    double between;       /* least seconds of a run outside its tasks */
    bool failed;          /* no memory */
} recording;

/* Between the two the pool runs on the caller's thread and tells the recording of its tasks. With
 * NULL neither does anything. */
void recording_begin(recording *r, pool *p);
void recording_end(recording *r, pool *p);
void recording_free(recording *r);

/* Seconds that so many threads take: each job's tasks shared out in ranges as in base/threads.c,
 * `barrier` more for every job of more than one task, and what lies between jobs. */
double recording_predict(const recording *r, int threads, double barrier);

/* One line: how much faster 2 to 64 threads are. */
void recording_print(const recording *r);

/* Seconds of a job of two tasks on two threads that do nothing but meet; 0 on one processor. */
double measure_barrier(void);

/* Tasks of the job that takes longest. */
int64_t recording_largest(const recording *r);

#endif
