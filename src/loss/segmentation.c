/* The losses of segmentation and their gradients: cross-entropy, soft Dice, regions. METHOD 2,
 * "DS".
 *
 * Two passes over memory: the first turns logits into probabilities in place and sums what the loss
 * needs, the second turns probabilities into gradients. Sums are double, over a fixed number of
 * parts that are added in order, so that threads change no bit. */
#include "loss/loss.h"

#include <math.h>
#include <string.h>

enum { PARTS = 64, CLASSES_MAX = 4, SCORED_MAX = 3 };

static const double smooth = 1e-5; /* nnU-Net's, in the Dice */

/* Of one part, later of all: log-likelihood and the three sums of a soft Dice per scored channel.
 */
typedef struct {
    double log_likelihood;
    double both[SCORED_MAX], predicted[SCORED_MAX], truth[SCORED_MAX];
} sums;

typedef struct {
    loss_kind kind;
    float *logits;
    const uint8_t *labels;
    int64_t n, voxels;
    sums parts[PARTS];
    double likelihood_factor; /* d loss / d (mean log-likelihood terms) */
    float dice_both[SCORED_MAX], dice_predicted[SCORED_MAX]; /* d loss / d probability */
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

/* Is a voxel of this label in region WT (0), TC (1), ET (2)? */
static bool in_region(int label, int region)
{
    return region == 0 ? label > 0 : region == 1 ? label == 1 || label == 3 : label == 3;
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

enum { BLOCK = 64 }; /* voxels whose classes lie in arrays at once, for the vectoriser */

/* exp(x) for x <= 0, to a few 1e-7 of the result while x > -8, 5e-6 at -80; below -87 it stays as
 * there. NaN stays NaN.
 * x = (n + f) ln 2 with |f| <= 1/2; 2^f by its Taylor series, 2^n by the bits of the exponent. */
static inline float exp_negative(float x)
{
    const float magic = 0x1.8p23f; /* adding it rounds to a whole number in the low bits */
    const float t = (x < -87 ? -87 : x) * 0x1.715476p0f, rounded = t + magic;
    const float f = (t - (rounded - magic)) * 0x1.62e430p-1f;
    union {
        float value;
        uint32_t bits;
    } whole = {rounded}, power;
    power.bits = (whole.bits + 127) << 23;
    return power.value *
           (1 + f * (1 + f * (1.0f / 2 +
                              f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 + f / 720))))));
}

/* Softmax of `count` voxels whose classes lie `voxels` apart, in place; truth as 0 or 1 of each
 * class. The logarithms of the sums of exponentials (1 to 4 each) are taken once, of their product:
 * at most 4^64. */
static void softmax_block(float *z, int64_t voxels, const uint8_t *labels, int count, sums *s)
{
    float e[CLASSES_MAX][BLOCK], truth[CLASSES_MAX][BLOCK], top[BLOCK], sum[BLOCK];
    float likelihood[BLOCK];
    double product = 1;
    for (int v = 0; v < count; v++) {
        const float ab = z[v] > z[v + voxels] ? z[v] : z[v + voxels];
        const float cd =
            z[v + 2 * voxels] > z[v + 3 * voxels] ? z[v + 2 * voxels] : z[v + 3 * voxels];
        top[v] = ab > cd ? ab : cd;
        sum[v] = likelihood[v] = 0;
    }
    for (int k = 0; k < CLASSES_MAX; k++)
        for (int v = 0; v < count; v++) {
            const float x = z[v + k * voxels] - top[v];
            truth[k][v] = labels[v] == k ? 1.0f : 0.0f;
            sum[v] += e[k][v] = exp_negative(x);
            likelihood[v] += truth[k][v] * x;
        }
    for (int v = 0; v < count; v++) {
        product *= sum[v];
        s->log_likelihood += likelihood[v];
        sum[v] = 1 / sum[v];
    }
    s->log_likelihood -= log(product);
    for (int k = 0; k < CLASSES_MAX; k++) {
        float predicted[16] = {0}, both[16] = {0}, there[16] = {0}; /* four voxels a lane */
        for (int v = 0; v < count; v++)
            z[v + k * voxels] = e[k][v] *= sum[v];
        for (int v = count; v < BLOCK; v++)
            e[k][v] = truth[k][v] = 0;
        for (int v = 0; v < BLOCK; v += 16)
            for (int lane = 0; lane < 16; lane++) {
                predicted[lane] += e[k][v + lane];
                both[lane] += e[k][v + lane] * truth[k][v + lane];
                there[lane] += truth[k][v + lane];
            }
        for (int lane = 0; lane < 16 && k > 0; lane++) {
            s->predicted[k - 1] += predicted[lane];
            s->both[k - 1] += both[lane];
            s->truth[k - 1] += there[lane];
        }
    }
}

static void softmax_stretch(job *j, int64_t part, int64_t sample, int64_t begin, int64_t end)
{
    float *const z = j->logits + sample * CLASSES_MAX * j->voxels;
    for (int64_t v = begin; v < end; v += BLOCK)
        softmax_block(z + v, j->voxels, j->labels + sample * j->voxels + v,
                      (int)(end - v < BLOCK ? end - v : BLOCK), &j->parts[part]);
}

/* d loss / d logit_k = p_k (g_k - sum_m g_m p_m) with g = d loss / d p, plus cross-entropy's
 * (p - one-hot). */
static void softmax_gradient(job *j, int64_t part, int64_t sample, int64_t begin, int64_t end)
{
    float *const z = j->logits + sample * CLASSES_MAX * j->voxels;
    const uint8_t *labels = j->labels + sample * j->voxels;
    const float cross = (float)j->likelihood_factor;
    (void)part;
    for (int64_t v = begin; v < end; v++) {
        const int label = labels[v];
        float p[CLASSES_MAX], g[CLASSES_MAX] = {0}, mean = 0;
        for (int k = 0; k < CLASSES_MAX; k++)
            p[k] = z[v + k * j->voxels];
        for (int k = 1; k < CLASSES_MAX; k++) {
            g[k] = j->dice_predicted[k - 1] + (label == k ? j->dice_both[k - 1] : 0);
            mean += g[k] * p[k];
        }
        for (int k = 0; k < CLASSES_MAX; k++)
            z[v + k * j->voxels] =
                cross * (p[k] - (label == k ? 1.0f : 0.0f)) + p[k] * (g[k] - mean);
    }
}

/* ---- sigmoids of three regions -------------------------------------------------------------- */

static void sigmoid_stretch(job *j, int64_t part, int64_t sample, int64_t begin, int64_t end)
{
    const uint8_t *labels = j->labels + sample * j->voxels;
    sums *s = &j->parts[part];
    for (int r = 0; r < SCORED_MAX; r++) {
        float *z = j->logits + (sample * SCORED_MAX + r) * j->voxels;
        for (int64_t v = begin; v < end; v++) {
            const bool inside = in_region(labels[v], r);
            /* log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)), of the side that is true */
            const float x = inside ? z[v] : -z[v], small = expf(-fabsf(z[v]));
            s->log_likelihood += fminf(x, 0) - log1pf(small);
            const float p = (z[v] >= 0 ? 1 : small) / (1 + small);
            z[v] = isnan(x) ? x : p;
            s->predicted[r] += z[v];
            s->truth[r] += inside;
            s->both[r] += inside ? z[v] : 0;
        }
    }
}

static void sigmoid_gradient(job *j, int64_t part, int64_t sample, int64_t begin, int64_t end)
{
    const uint8_t *labels = j->labels + sample * j->voxels;
    const float cross = (float)j->likelihood_factor;
    (void)part;
    for (int r = 0; r < SCORED_MAX; r++) {
        float *z = j->logits + (sample * SCORED_MAX + r) * j->voxels;
        for (int64_t v = begin; v < end; v++) {
            const float p = z[v], inside = in_region(labels[v], r) ? 1 : 0;
            z[v] = cross * (p - inside) +
                   p * (1 - p) * (j->dice_predicted[r] + inside * j->dice_both[r]);
        }
    }
}

/* ---- both passes ---------------------------------------------------------------------------- */

static void first_pass(void *context, int64_t part, int thread)
{
    job *j = context;
    (void)thread;
    over_part(j, part, j->kind == LOSS_REGIONS ? sigmoid_stretch : softmax_stretch);
}

static void second_pass(void *context, int64_t part, int thread)
{
    job *j = context;
    (void)thread;
    over_part(j, part, j->kind == LOSS_REGIONS ? sigmoid_gradient : softmax_gradient);
}

static sums add_parts(const job *j)
{
    sums all = {0};
    for (int part = 0; part < PARTS; part++) {
        const sums *s = &j->parts[part];
        all.log_likelihood += s->log_likelihood;
        for (int c = 0; c < SCORED_MAX; c++) {
            all.both[c] += s->both[c];
            all.predicted[c] += s->predicted[c];
            all.truth[c] += s->truth[c];
        }
    }
    return all;
}

/* 1 - the mean soft Dice of the scored channels, over the whole batch; its derivative by a voxel's
 * probability is dice_predicted, plus dice_both where the truth is there. */
static double dice_loss(job *j, const sums *s, double weight)
{
    double mean = 0;
    for (int c = 0; c < SCORED_MAX; c++) {
        const double above = 2 * s->both[c] + smooth;
        const double below = s->predicted[c] + s->truth[c] + smooth;
        mean += above / below / SCORED_MAX;
        j->dice_both[c] = (float)(-weight / SCORED_MAX * 2 / below);
        j->dice_predicted[c] = (float)(weight / SCORED_MAX * above / (below * below));
    }
    return 1 - mean;
}

double loss_segmentation(loss_kind kind, float *logits, const uint8_t *labels, int64_t n,
                         int64_t voxels, double weight, pool *p)
{
    job j = {.kind = kind, .logits = logits, .labels = labels, .n = n, .voxels = voxels};
    /* Cross-entropy is a mean over voxels, that of the sigmoids over voxels and regions. */
    const double terms = (double)n * (double)voxels * (kind == LOSS_REGIONS ? SCORED_MAX : 1);
    pool_run(p, first_pass, &j, PARTS);
    const sums s = add_parts(&j);
    double loss = -s.log_likelihood / terms;
    j.likelihood_factor = weight / terms;
    if (kind != LOSS_CE)
        loss += dice_loss(&j, &s, weight);
    pool_run(p, second_pass, &j, PARTS);
    return loss;
}
