/* Mean and deviation of a channel out of the sums of the tasks that computed it. */
#include "engine/moments.h"

#include <math.h>

typedef struct {
    int64_t channels, tasks;
    const double *partial;
    float *moments;
} job;

/* Joins the tasks' sums (Chan, Golub, LeVeque 1983) in the order of the tasks. */
static void join_channel(void *context, int64_t i, int thread)
{
    (void)thread;
    const job *j = context;
    const int64_t stride = j->channels * 3;
    const double *p = j->partial + i / j->channels * j->tasks * stride + i % j->channels * 3;
    double count = 0, mean = 0, squares = 0;
    for (int64_t k = 0; k < j->tasks; k++, p += stride) {
        if (p[0] == 0)
            continue;
        const double distance = p[1] / p[0] - mean;
        squares += p[2] + distance * distance * count * p[0] / (count + p[0]);
        mean += distance * p[0] / (count + p[0]);
        count += p[0];
    }
    j->moments[i * 2] = (float)mean;
    j->moments[i * 2 + 1] = (float)(1 / sqrt((squares > 0 ? squares : 0) / count + NORM_EPSILON));
}

void moments_join(engine *e, int64_t samples, int64_t channels, int64_t tasks,
                  const double *partial, float *moments)
{
    job j = {channels, tasks, partial, moments};
    pool_run(e->threads, join_channel, &j, samples * channels);
}
