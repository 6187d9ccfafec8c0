/* SGD on flat arrays, in chunks that a pool shares out. */
#include "train/optimiser.h"

#include <math.h>

enum { CHUNK = 1 << 14 }; /* floats; 64 KiB, so that one thread's three arrays stay in its cache */

typedef struct {
    const sgd *settings;
    float factor;
    const float *gradient;
    float *weight, *velocity;
    int64_t count;
} update;

double poly_learning_rate(double learning_rate, int64_t step, int64_t steps)
{
    return learning_rate * pow(1.0 - (double)step / (double)steps, 0.9);
}

enum { NORM_PARTS = 256 };

typedef struct {
    const float *gradient;
    int64_t count;
    double sums[NORM_PARTS];
} norm_job;

static void sum_squares(void *context, int64_t part, int thread)
{
    norm_job *job = context;
    const int64_t end = job->count * (part + 1) / NORM_PARTS;
    double sum = 0;
    (void)thread;
    for (int64_t i = job->count * part / NORM_PARTS; i < end; i++)
        sum += (double)job->gradient[i] * job->gradient[i];
    job->sums[part] = sum;
}

double gradient_norm(const float *gradient, int64_t count, pool *p)
{
    norm_job job = {.gradient = gradient, .count = count};
    double sum = 0;
    pool_run(p, sum_squares, &job, NORM_PARTS);
    for (int part = 0; part < NORM_PARTS; part++)
        sum += job.sums[part];
    return sqrt(sum);
}

float clip_factor(double norm, double limit)
{
    const double factor = limit / (norm + 1e-6);
    return limit > 0 && factor < 1 ? (float)factor : 1.0f;
}

static void update_chunk(void *context, int64_t chunk, int thread)
{
    const update *u = context;
    const float rate = (float)u->settings->learning_rate, momentum = (float)u->settings->momentum;
    const float decay = (float)u->settings->weight_decay, factor = u->factor;
    const int64_t end = u->count < (chunk + 1) * CHUNK ? u->count : (chunk + 1) * CHUNK;
    (void)thread;
    for (int64_t i = chunk * CHUNK; i < end; i++) {
        const float g = factor * u->gradient[i] + decay * u->weight[i];
        u->velocity[i] = momentum * u->velocity[i] + g;
        u->weight[i] -= rate * (g + momentum * u->velocity[i]);
    }
}

void sgd_step(const sgd *s, float factor, const float *gradient, float *weight, float *velocity,
              int64_t count, pool *p)
{
    update u = {s, factor, gradient, weight, velocity, count};
    pool_run(p, update_chunk, &u, (count + CHUNK - 1) / CHUNK);
}
