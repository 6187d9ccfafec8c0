/* The loops of softmax.h for vectors of VL floats; the including file sets VL and NAME. */
#include "loss/softmax.h"

#include <math.h>
#include <string.h>

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef double vd __attribute__((vector_size(8 * VL)));
typedef uint8_t vb __attribute__((vector_size(VL)));
typedef float vf_unaligned __attribute__((vector_size(4 * VL), aligned(4), may_alias));

/* Voxels whose sums of exponentials (1 to 4 each) are multiplied before the product's logarithm is
 * taken: a lane's product stays below 4^64, and sums of floats are at most 64 long. */
#define STRETCH (64 * VL)

static inline vf splat(float value)
{
    return value - (vf){0};
}

static inline vf choose(vi mask, vf yes, vf no)
{
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

/* exp(x) for x <= 0, to a few 1e-7 of the result while x > -8, 5e-6 at -80; below -87 it stays as
 * there. NaN stays NaN.
 * x = (n + f) ln 2 with |f| <= 1/2; 2^f by its Taylor series, 2^n by the bits of the exponent. */
static inline vf exp_negative(vf x)
{
    const vf magic = splat(0x1.8p23f); /* adding it rounds to a whole number in the low bits */
    const vf t = choose(x < -87, splat(-87), x) * 0x1.715476p0f, rounded = t + magic;
    const vf f = (t - (rounded - magic)) * 0x1.62e430p-1f;
    const vf power = (vf)(((vi)rounded + 127) << 23);
    return power *
           (1 +
            f * (1 + f * (1.0f / 2 +
                          f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 + f * (1.0f / 720)))))));
}

/* The first `count` (at most VL) of a vector at p; zeros behind. */
static inline vf load(const float *p, int64_t count)
{
    if (count >= VL)
        return *(const vf_unaligned *)p;
    vf value = {0};
    memcpy(&value, p, (size_t)count * sizeof *p);
    return value;
}

static inline void store(float *p, vf value, int64_t count)
{
    if (count >= VL)
        *(vf_unaligned *)p = value;
    else
        memcpy(p, &value, (size_t)count * sizeof *p);
}

/* Labels of `count` voxels; behind them a label that no class has. */
static inline vi load_labels(const uint8_t *labels, int64_t count)
{
    vb bytes = CLASSES_MAX - (vb){0};
    memcpy(&bytes, labels, count >= VL ? VL : (size_t)count);
    return __builtin_convertvector(bytes, vi);
}

static double total(vf v)
{
    double sum = 0;
    for (int i = 0; i < VL; i++)
        sum += (double)v[i];
    return sum;
}

static void probabilities_stretch(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                                  loss_sums *s)
{
    vf likelihood = {0}, predicted[SCORED_MAX] = {{0}}, both[SCORED_MAX] = {{0}};
    vf there[SCORED_MAX] = {{0}};
    vd product = 1 - (vd){0};
    for (int64_t v = 0; v < count; v += VL) {
        const int64_t left = count - v;
        const vi label = load_labels(labels + v, left);
        vf x[CLASSES_MAX], e[CLASSES_MAX], sum = {0};
        for (int k = 0; k < CLASSES_MAX; k++)
            x[k] = load(z + v + k * stride, left);
        const vf low = choose(x[0] > x[1], x[0], x[1]), high = choose(x[2] > x[3], x[2], x[3]);
        const vf top = choose(low > high, low, high);
        for (int k = 0; k < CLASSES_MAX; k++) {
            e[k] = exp_negative(x[k] - top);
            sum += e[k];
            likelihood += choose(label == k, x[k] - top, splat(0));
        }
        product *= __builtin_convertvector(
            left < VL ? choose(label < CLASSES_MAX, sum, splat(1)) : sum, vd);
        for (int k = 0; k < CLASSES_MAX; k++) {
            const vf p = e[k] / sum;
            store(z + v + k * stride, p, left);
            if (k == 0)
                continue;
            const vi truth = label == k;
            predicted[k - 1] += choose(label < CLASSES_MAX, p, splat(0));
            both[k - 1] += choose(truth, p, splat(0));
            there[k - 1] += choose(truth, splat(1), splat(0));
        }
    }
    s->log_likelihood += total(likelihood);
    for (int i = 0; i < VL; i++)
        s->log_likelihood -= log(product[i]);
    for (int c = 0; c < SCORED_MAX; c++) {
        s->predicted[c] += total(predicted[c]);
        s->both[c] += total(both[c]);
        s->truth[c] += total(there[c]);
    }
}

static void probabilities(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                          loss_sums *s)
{
    for (int64_t v = 0; v < count; v += STRETCH)
        probabilities_stretch(z + v, stride, labels + v, count - v < STRETCH ? count - v : STRETCH,
                              s);
}

/* d loss / d logit_k = p_k (g_k - sum_m g_m p_m) with g = d loss / d p, plus cross-entropy's
 * (p - one-hot). */
static void gradient(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                     const loss_factors *f)
{
    for (int64_t v = 0; v < count; v += VL) {
        const int64_t left = count - v;
        const vi label = load_labels(labels + v, left);
        vf p[CLASSES_MAX], g[CLASSES_MAX] = {{0}}, mean = {0};
        for (int k = 0; k < CLASSES_MAX; k++) {
            p[k] = load(z + v + k * stride, left);
            if (k == 0)
                continue;
            g[k] =
                f->dice_predicted[k - 1] + choose(label == k, splat(f->dice_both[k - 1]), splat(0));
            mean += g[k] * p[k];
        }
        for (int k = 0; k < CLASSES_MAX; k++) {
            const vf distance = p[k] - choose(label == k, splat(1), splat(0));
            store(z + v + k * stride, f->likelihood * distance + p[k] * (g[k] - mean), left);
        }
    }
}

const softmax_kernels NAME = {probabilities, gradient};
