/* Updates of flat arrays, in chunks that a pool shares out. */
#include "train/optimiser.h"

#include <math.h>

enum { CHUNK = 1 << 14 }; /* floats; 64 KiB, so that one thread's arrays stay in its cache */

typedef struct {
    const update_rule *rule;
    float factor;
    const float *gradient;
    float *weight, *first, *second;
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

int optimiser_moments(optimiser_kind kind)
{
    return kind == OPTIMISER_ADAMW ? 2 : 1;
}

float *optimiser_second(optimiser_kind kind, float *moments, int64_t count)
{
    return moments + (optimiser_moments(kind) - 1) * count;
}

static void sgd_chunk(const update *u, int64_t begin, int64_t end)
{
    const float rate = (float)u->rule->learning_rate, momentum = (float)u->rule->momentum;
    const float decay = (float)u->rule->weight_decay, factor = u->factor;
    for (int64_t i = begin; i < end; i++) {
        const float g = factor * u->gradient[i] + decay * u->weight[i];
        u->first[i] = momentum * u->first[i] + g;
        u->weight[i] -= rate * (g + momentum * u->first[i]);
    }
}

static void adamw_chunk(const update *u, int64_t begin, int64_t end)
{
    const double beta1 = 0.9, beta2 = 0.999, updates = (double)(u->rule->step + 1);
    const float one = (float)(1 - beta1), two = (float)(1 - beta2), factor = u->factor;
    const float decay = (float)(u->rule->learning_rate * u->rule->weight_decay);
    const float rate = (float)(u->rule->learning_rate / (1 - pow(beta1, updates)));
    const float scale = (float)(1 / sqrt(1 - pow(beta2, updates)));
    for (int64_t i = begin; i < end; i++) {
        const float g = factor * u->gradient[i];
        u->first[i] += one * (g - u->first[i]);
        u->second[i] += two * (g * g - u->second[i]);
        u->weight[i] -=
            decay * u->weight[i] + rate * u->first[i] / (scale * sqrtf(u->second[i]) + 1e-8f);
    }
}

static void update_chunk(void *context, int64_t chunk, int thread)
{
    const update *u = context;
    const int64_t begin = chunk * CHUNK, end = u->count < begin + CHUNK ? u->count : begin + CHUNK;
    (void)thread;
    (u->rule->kind == OPTIMISER_ADAMW ? adamw_chunk : sgd_chunk)(u, begin, end);
}

void optimiser_step(const update_rule *rule, float factor, const float *gradient, float *weight,
                    float *first, float *second, int64_t count, pool *p)
{
    update u = {rule, factor, gradient, weight, first, second, count};
    pool_run(p, update_chunk, &u, (count + CHUNK - 1) / CHUNK);
}
