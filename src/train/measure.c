/* What a plan will take: its memory, part by part, and its time by trying. */
#include "loss/loss.h"
#include "model/model.h"
#include "train/barlow.h"
#include "train/iteration.h"
#include "train/loading.h"
#include "train/optimiser.h"
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static ts_status measure_role(const plan *p, const engine *e, int role, int64_t *parameters,
                              size_t *packed, size_t *workspace, ts_error *error)
{
    net_parameter *table;
    size_t count;
    const net_config config = net_config_of(p, role_channels(p, role));
    const ts_status status = net_layout(&config, &table, &count, parameters, error);
    if (status != TS_OK)
        return status;
    free(table);
    *packed += net_packed_bytes(&config, NET_TRAIN, e);
    *workspace = net_workspace_bytes(&config, p->batch, p->patch, NET_TRAIN, e);
    return TS_OK;
}

/* Latents, and what trainer_create lays beside them: softened labels, and truth for the heads below
 * the first. */
static ts_status measure_features(const plan *p, train_memory *m, ts_error *error)
{
    const size_t voxels = (size_t)(p->batch * p->patch[0] * p->patch[1] * p->patch[2]);
    const net_config config = net_config_of(p, plan_student_channels(p));
    const int heads = net_head_count(&config);
    if (method_has_barlow(p)) {
        const ts_status status = barlow_bytes(p, &m->features, &m->loss, error);
        if (status != TS_OK)
            return status;
    }
    if (method_soft_weight(p) > 0)
        m->features += voxels * (size_t)loss_classes((loss_kind)p->loss) * sizeof(float);
    for (int h = 1; h < heads; h++)
        m->features += voxels >> 3 * h;
    return TS_OK;
}

ts_status train_plan_memory(const plan *p, train_memory *m, ts_error *error)
{
    engine *e;
    size_t workspace[ROLES] = {0};
    int64_t parameters[ROLES] = {0};
    const int threads = p->threads ? (int)p->threads : processor_count();
    *m = (train_memory){0};
    ts_status status = engine_create(threads, (compute_dtype)p->dtype, NULL, &e, error);
    if (status != TS_OK)
        return status;
    for (int role = 0; status == TS_OK && role < ROLES; role++)
        if (method_has(p, role))
            status =
                measure_role(p, e, role, &parameters[role], &m->packed, &workspace[role], error);
    if (method_averages(p)) {
        const net_config config = net_config_of(p, ALL_MODALITIES);
        m->packed += net_packed_bytes(&config, NET_TRAIN, e);
    }
    engine_destroy(e);
    if (status == TS_OK)
        status = measure_features(p, m, error);
    if (status != TS_OK)
        return status;
    m->student_parameters = parameters[STUDENT];
    m->teacher_parameters = parameters[TEACHER];
    const size_t once = (size_t)(parameters[STUDENT] + parameters[TEACHER]) * sizeof(float);
    m->momentum = once * (size_t)optimiser_moments((optimiser_kind)p->optimiser);
    m->weights = once + (method_averages(p) ? (size_t)parameters[TEACHER] * sizeof(float) : 0);
    m->gradients = m->weights;
    m->workspace = p->teacher_gradient ? workspace[STUDENT] + workspace[TEACHER]
                                       : larger(workspace[STUDENT], workspace[TEACHER]);
    m->batches = (size_t)(loading_ahead(threads) + 1) *
                 (size_t)(p->batch * p->patch[0] * p->patch[1] * p->patch[2]) *
                 (MODALITIES * sizeof(float) + 1);
    return TS_OK;
}

size_t train_memory_total(const train_memory *m)
{
    return m->weights + m->packed + m->gradients + m->momentum + m->workspace + m->features +
           m->loss + m->batches;
}

/* ---- time --------------------------------------------------------------------------------- */

/* Noise with a ball of each class in it: a step costs the same whatever the patches show. */
static void fill_batch(const plan *p, batch *b)
{
    const int64_t d = p->patch[0], h = p->patch[1], w = p->patch[2];
    random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < p->batch * MODALITIES * d * h * w; i++)
        b->images[i] = (float)random_uniform(&r, -1.7, 1.7);
    for (int64_t n = 0, i = 0; n < p->batch; n++)
        for (int64_t z = 0; z < d; z++)
            for (int64_t y = 0; y < h; y++)
                for (int64_t x = 0; x < w; x++, i++) {
                    const int64_t a = 2 * z - d, c = 2 * y - h, e = 2 * x - w;
                    const int64_t ring = 4 * (a * a + c * c + e * e) / (d * d);
                    b->labels[i] = ring < 3 ? (uint8_t)(3 - ring) : 0;
                }
}

/* The median over `steps` steps at one place of the schedule, after one that warms up. */
static ts_status measure_at(trainer *t, const batch *b, int64_t step, int steps, double *median,
                            ts_error *error)
{
    enum { STEPS_MAX = 32 };
    double seconds[STEPS_MAX];
    step_result result;
    steps = steps < STEPS_MAX ? steps : STEPS_MAX;
    ts_status status = trainer_step(t, b, step, &result, error);
    for (int i = 0; status == TS_OK && i < steps; i++) {
        const double start = clock_seconds();
        status = trainer_step(t, b, step, &result, error);
        seconds[i] = clock_seconds() - start;
    }
    if (status == TS_OK)
        *median = median_of_doubles(seconds, (size_t)steps);
    return status;
}

ts_status train_measure(const plan *p, int steps, double *seconds_per_step, ts_error *error)
{
    trainer *t = NULL;
    double sum = 0;
    const int stages = (int)(train_steps(p) / p->steps); /* two-stage's cost differs */
    const size_t voxels = (size_t)(p->batch * p->patch[0] * p->patch[1] * p->patch[2]);
    batch b = {.images = memory_allocate(voxels, MODALITIES * sizeof(float), "a batch", error),
               .labels = memory_allocate(voxels, 1, "a batch", error)};
    ts_status status = b.images && b.labels ? trainer_create(p, &t, error) : TS_MEMORY;
    if (status == TS_OK)
        fill_batch(p, &b);
    for (int stage = 0; status == TS_OK && stage < stages; stage++) {
        /* Late in the schedule: the rate is near 0, and noise cannot make the loss diverge. */
        double median = 0;
        status = measure_at(t, &b, (stage + 1) * p->steps - 1, steps, &median, error);
        sum += median;
    }
    *seconds_per_step = sum / stages;
    trainer_destroy(t);
    free(b.images);
    free(b.labels);
    return status;
}
