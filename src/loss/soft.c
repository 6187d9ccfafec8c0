/* Softened labels: what the teacher gives each class at a temperature T, and how far the student is
 * from it. With q and p the softened probabilities of teacher and student and z the student's
 * logits L = T^2 mean(sum_k q_k log(q_k / p_k)),    dL/dz_k = T (p_k - q_k) / voxels. T^2 keeps the
 * gradient's size as T grows (Hinton et al. 2015). With regions every class is a distribution of
 * its own, (q, 1 - q), and the mean is over regions too.
 *
 * Sums are double, over a fixed number of parts that are added in order. */
#include "loss/loss.h"

#include <math.h>

enum { PARTS = 64, CLASSES_MAX = 4 };

typedef struct {
    loss_kind kind;
    const float *logits;
    float *soft;
    int64_t n, voxels;
    float sharpness; /* 1 / temperature */
    float factor;    /* of p - q in the gradient */
    double sums[PARTS];
} job;

/* log softmax of one voxel's classes, which lie `stride` apart. */
static void log_softmax(const float *z, int64_t stride, int classes, float sharpness,
                        float out[CLASSES_MAX])
{
    float top = z[0] * sharpness, sum = 0;
    for (int k = 0; k < classes; k++) {
        out[k] = z[k * stride] * sharpness;
        top = out[k] > top ? out[k] : top;
    }
    for (int k = 0; k < classes; k++)
        sum += expf(out[k] - top);
    const float shift = top + logf(sum);
    for (int k = 0; k < classes; k++)
        out[k] -= shift;
}

/* log sigmoid(x) without overflow. */
static float log_sigmoid(float x)
{
    return fminf(x, 0) - log1pf(expf(-fabsf(x)));
}

/* q log(q / p), 0 where q is 0; logp is finite for finite logits. */
static double divergence(float q, float logp)
{
    return q > 0 ? (double)q * ((double)logf(q) - logp) : isnan(q) ? NAN : 0;
}

/* The voxels of a part lie in one sample or more; calls `body` for each stretch of one sample. */
static void over_part(job *j, int64_t part,
                      double (*body)(const job *, const float *z, float *soft, int64_t count))
{
    const int64_t total = j->n * j->voxels, stop = total * (part + 1) / PARTS;
    const int classes = loss_classes(j->kind);
    j->sums[part] = 0;
    for (int64_t at = total * part / PARTS; at < stop;) {
        const int64_t sample = at / j->voxels, next = (sample + 1) * j->voxels;
        const int64_t end = next < stop ? next : stop;
        const int64_t place = at + sample * (classes - 1) * j->voxels;
        j->sums[part] += body(j, j->logits + place, j->soft + place, end - at);
        at = end;
    }
}

static double soften(const job *j, const float *z, float *soft, int64_t count)
{
    const int64_t stride = j->voxels;
    const int classes = loss_classes(j->kind);
    for (int64_t v = 0; v < count; v++) {
        float logp[CLASSES_MAX];
        if (j->kind != LOSS_REGIONS)
            log_softmax(z + v, stride, classes, j->sharpness, logp);
        for (int k = 0; k < classes; k++)
            soft[v + k * stride] = expf(
                j->kind == LOSS_REGIONS ? log_sigmoid(z[v + k * stride] * j->sharpness) : logp[k]);
    }
    return 0;
}

static double compare(const job *j, const float *z, float *soft, int64_t count)
{
    const int64_t stride = j->voxels;
    const int classes = loss_classes(j->kind);
    double sum = 0;
    for (int64_t v = 0; v < count; v++) {
        float logp[CLASSES_MAX];
        if (j->kind != LOSS_REGIONS)
            log_softmax(z + v, stride, classes, j->sharpness, logp);
        for (int k = 0; k < classes; k++) {
            float *q = &soft[v + k * stride];
            if (j->kind == LOSS_REGIONS) {
                const float x = z[v + k * stride] * j->sharpness;
                logp[k] = log_sigmoid(x);
                sum += divergence(1 - *q, log_sigmoid(-x));
            }
            sum += divergence(*q, logp[k]);
            *q = j->factor * (expf(logp[k]) - *q);
        }
    }
    return sum;
}

static void soften_part(void *context, int64_t part, int thread)
{
    (void)thread;
    over_part(context, part, soften);
}

static void compare_part(void *context, int64_t part, int thread)
{
    (void)thread;
    over_part(context, part, compare);
}

void loss_soften(loss_kind kind, const float *logits, int64_t n, int64_t voxels, double temperature,
                 float *soft, pool *p)
{
    job j = {.kind = kind,
             .logits = logits,
             .soft = soft,
             .n = n,
             .voxels = voxels,
             .sharpness = (float)(1 / temperature)};
    pool_run(p, soften_part, &j, PARTS);
}

double loss_soft(loss_kind kind, const float *logits, float *soft, int64_t n, int64_t voxels,
                 double temperature, double weight, pool *p)
{
    const double terms = (double)n * (double)voxels * (kind == LOSS_REGIONS ? 3 : 1);
    job j = {.kind = kind,
             .logits = logits,
             .soft = soft,
             .n = n,
             .voxels = voxels,
             .sharpness = (float)(1 / temperature),
             .factor = (float)(weight * temperature / terms)};
    double sum = 0;
    pool_run(p, compare_part, &j, PARTS);
    for (int part = 0; part < PARTS; part++)
        sum += j.sums[part];
    return temperature * temperature * sum / terms;
}
