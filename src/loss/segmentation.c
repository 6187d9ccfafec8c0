/* The losses of segmentation and their gradients: cross-entropy, soft Dice, regions
 * (docs/method.md, "One iteration").
 *
 * Two passes over memory: the first turns logits into probabilities in place and sums what the
 * loss needs, the second turns probabilities into gradients. Sums are double, over a fixed
 * number of parts that are added in order, so that threads change no bit. */
#include "labels/labels.h"
#include "loss/loss.h"

#include <math.h>
#include <string.h>

enum { PARTS = 64 };

static const double smooth = 1e-5; /* nnU-Net's, in the Dice */

typedef struct {
    loss_kind kind;
    float *logits;
    const uint8_t *labels;
    int64_t n, voxels;
    const engine *engine;
    softmax_sums parts[PARTS];
    softmax_factors factors;
} job;

int loss_classes(loss_kind kind)
{
    return kind == LOSS_REGIONS ? 3 : 4;
}

void loss_head_weights(int heads, double *weights)
{
    double sum = 0;
    for (int s = 0; s < heads; s++)
        sum += weights[s] = ldexp(1.0, -s);
    for (int s = 0; s < heads; s++)
        weights[s] /= sum;
}

void loss_halve_labels(const uint8_t *labels, int64_t n, const int64_t shape[3], uint8_t *out)
{
    const int64_t d = shape[0], h = shape[1], w = shape[2];
    for (int64_t i = 0; i < n; i++)
        for (int64_t z = 0; z + 1 < d; z += 2)
            for (int64_t y = 0; y + 1 < h; y += 2) {
                const uint8_t *row = labels + ((i * d + z) * h + y) * w;
                for (int64_t x = 0; x + 1 < w; x += 2)
                    *out++ = row[x];
            }
}

/* Calls `body` for every stretch of one sample that the part covers. */
static void over_part(job *j, int64_t part,
                      void (*body)(job *, int64_t part, int64_t sample, int64_t begin, int64_t end))
{
    const int64_t total = j->n * j->voxels;
    int64_t at = total * part / PARTS;
    const int64_t stop = total * (part + 1) / PARTS;
    while (at < stop) {
        const int64_t sample = at / j->voxels, next = (sample + 1) * j->voxels;
        const int64_t end = next < stop ? next : stop;
        body(j, part, sample, at - sample * j->voxels, end - sample * j->voxels);
        at = end;
    }
}

/* ---- softmax over four classes -------------------------------------------------------------- */

static void softmax_forward(job *j, int64_t part, int64_t sample, int64_t begin, int64_t end)
{
    softmax_probabilities(j->engine, j->logits + sample * SOFTMAX_CLASSES * j->voxels + begin,
                          j->voxels, j->labels + sample * j->voxels + begin, end - begin,
                          &j->parts[part]);
}

static void softmax_backward(job *j, int64_t part, int64_t sample, int64_t begin, int64_t end)
{
    (void)part;
    softmax_gradient(j->engine, j->logits + sample * SOFTMAX_CLASSES * j->voxels + begin, j->voxels,
                     j->labels + sample * j->voxels + begin, end - begin, &j->factors);
}

/* ---- sigmoids of three regions -------------------------------------------------------------- */

static void sigmoid_forward(job *j, int64_t part, int64_t sample, int64_t begin, int64_t end)
{
    const uint8_t *labels = j->labels + sample * j->voxels;
    softmax_sums *s = &j->parts[part];
    for (int r = 0; r < SOFTMAX_SCORED; r++) {
        float *z = j->logits + (sample * SOFTMAX_SCORED + r) * j->voxels;
        for (int64_t v = begin; v < end; v++) {
            const bool inside = region_holds(r, labels[v]);
            /* log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)), of the side that is true */
            const float x = inside ? z[v] : -z[v], small = expf(-fabsf(z[v]));
            s->log_likelihood += fminf(x, 0) - log1pf(small);
            z[v] = (z[v] >= 0 ? 1 : small) / (1 + small);
            s->predicted[r] += z[v];
            s->truth[r] += inside;
            s->both[r] += inside ? z[v] : 0;
        }
    }
}

static void sigmoid_backward(job *j, int64_t part, int64_t sample, int64_t begin, int64_t end)
{
    const uint8_t *labels = j->labels + sample * j->voxels;
    const float cross = j->factors.likelihood;
    (void)part;
    for (int r = 0; r < SOFTMAX_SCORED; r++) {
        float *z = j->logits + (sample * SOFTMAX_SCORED + r) * j->voxels;
        for (int64_t v = begin; v < end; v++) {
            const float p = z[v], inside = region_holds(r, labels[v]) ? 1 : 0;
            z[v] = cross * (p - inside) +
                   p * (1 - p) * (j->factors.dice_predicted[r] + inside * j->factors.dice_both[r]);
        }
    }
}

/* ---- both passes ---------------------------------------------------------------------------- */

static void first_pass(void *context, int64_t part, int thread)
{
    job *j = context;
    (void)thread;
    over_part(j, part, j->kind == LOSS_REGIONS ? sigmoid_forward : softmax_forward);
}

static void second_pass(void *context, int64_t part, int thread)
{
    job *j = context;
    (void)thread;
    over_part(j, part, j->kind == LOSS_REGIONS ? sigmoid_backward : softmax_backward);
}

static softmax_sums add_parts(const job *j)
{
    softmax_sums all = {0};
    for (int part = 0; part < PARTS; part++) {
        const softmax_sums *s = &j->parts[part];
        all.log_likelihood += s->log_likelihood;
        for (int c = 0; c < SOFTMAX_SCORED; c++) {
            all.both[c] += s->both[c];
            all.predicted[c] += s->predicted[c];
            all.truth[c] += s->truth[c];
        }
    }
    return all;
}

/* 1 - the mean soft Dice of the scored channels, over the whole batch; its derivative by a voxel's
 * probability is dice_predicted, plus dice_both where the truth is there. */
static double dice_loss(job *j, const softmax_sums *s, double weight)
{
    double mean = 0;
    for (int c = 0; c < SOFTMAX_SCORED; c++) {
        const double above = 2 * s->both[c] + smooth;
        const double below = s->predicted[c] + s->truth[c] + smooth;
        mean += above / below / SOFTMAX_SCORED;
        j->factors.dice_both[c] = (float)(-weight / SOFTMAX_SCORED * 2 / below);
        j->factors.dice_predicted[c] = (float)(weight / SOFTMAX_SCORED * above / (below * below));
    }
    return 1 - mean;
}

double loss_segmentation(loss_kind kind, float *logits, const uint8_t *labels, int64_t n,
                         int64_t voxels, double weight, engine *e)
{
    pool *p = engine_pool(e);
    job j = {
        .kind = kind, .logits = logits, .labels = labels, .n = n, .voxels = voxels, .engine = e};
    /* Cross-entropy is a mean over voxels, that of the sigmoids over voxels and regions. */
    const double terms = (double)n * (double)voxels * (kind == LOSS_REGIONS ? SOFTMAX_SCORED : 1);
    pool_run(p, first_pass, &j, PARTS);
    const softmax_sums s = add_parts(&j);
    double loss = -s.log_likelihood / terms;
    j.factors.likelihood = (float)(weight / terms);
    if (kind != LOSS_CE)
        loss += dice_loss(&j, &s, weight);
    pool_run(p, second_pass, &j, PARTS);
    return loss;
}
