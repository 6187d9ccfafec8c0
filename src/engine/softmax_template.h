/* Softmax over four classes and the gradient of a loss behind it, in place, once per target.
 * Included by kernel_template.h behind head_template.h, whose load_plain and store_plain it
 * uses. */

typedef double vd_wide __attribute__((vector_size(8 * VL)));
typedef uint8_t vb __attribute__((vector_size(VL)));

/* Voxels whose sums of exponentials (1 to 4 each) are multiplied before the product's logarithm is
 * taken: a lane's product stays below 4^64, and sums of floats are at most 64 long. */
#define SOFTMAX_STRETCH (64 * VL)

INLINE vf pick(vi mask, vf yes, vf no)
{
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

/* exp(x) for x <= 0, to a few 1e-7 of the result while x > -8, 5e-6 at -80; below -87 it stays as
 * there. NaN stays NaN.
 * x = (n + f) ln 2 with |f| <= 1/2; 2^f by its Taylor series, 2^n by the bits of the exponent. */
INLINE vf exp_negative(vf x)
{
    const vf magic = splat(0x1.8p23f); /* adding it rounds to a whole number in the low bits */
    const vf t = pick(x < -87, splat(-87), x) * 0x1.715476p0f, rounded = t + magic;
    const vf f = (t - (rounded - magic)) * 0x1.62e430p-1f;
    const vf power = (vf)(((vi)rounded + 127) << 23);
    return power *
           (1 +
            f * (1 + f * (1.0f / 2 +
                          f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 + f * (1.0f / 720)))))));
}

/* Labels of `count` voxels; behind them a label that no class has. */
INLINE vi load_labels(const uint8_t *labels, int64_t count)
{
    vb bytes = SOFTMAX_CLASSES - (vb){0};
    memcpy(&bytes, labels, count >= VL ? VL : (size_t)count);
    return __builtin_convertvector(bytes, vi);
}

/* The lanes' sum in their order. */
static double total_in_order(vf v)
{
    double sum = 0;
    for (int i = 0; i < VL; i++)
        sum += (double)v[i];
    return sum;
}

static void softmax_stretch(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                            softmax_sums *s)
{
    vf likelihood = {0}, predicted[SOFTMAX_SCORED] = {{0}}, both[SOFTMAX_SCORED] = {{0}};
    vf there[SOFTMAX_SCORED] = {{0}};
    vd_wide sums_product = 1 - (vd_wide){0};
    for (int64_t v = 0; v < count; v += VL) {
        const int64_t left = count - v;
        const vi label = load_labels(labels + v, left);
        vf x[SOFTMAX_CLASSES], e[SOFTMAX_CLASSES], sum = {0};
        for (int k = 0; k < SOFTMAX_CLASSES; k++)
            x[k] = load_plain(z + v + k * stride, left);
        const vf low = pick(x[0] > x[1], x[0], x[1]), high = pick(x[2] > x[3], x[2], x[3]);
        const vf top = pick(low > high, low, high);
        for (int k = 0; k < SOFTMAX_CLASSES; k++) {
            e[k] = exp_negative(x[k] - top);
            sum += e[k];
            likelihood += pick(label == k, x[k] - top, splat(0));
        }
        sums_product *= __builtin_convertvector(
            left < VL ? pick(label < SOFTMAX_CLASSES, sum, splat(1)) : sum, vd_wide);
        for (int k = 0; k < SOFTMAX_CLASSES; k++) {
            const vf p = e[k] / sum;
            store_plain(z + v + k * stride, p, left);
            if (k == 0)
                continue;
            const vi truth = label == k;
            predicted[k - 1] += pick(label < SOFTMAX_CLASSES, p, splat(0));
            both[k - 1] += pick(truth, p, splat(0));
            there[k - 1] += pick(truth, splat(1), splat(0));
        }
    }
    s->log_likelihood += total_in_order(likelihood);
    for (int i = 0; i < VL; i++)
        s->log_likelihood -= log(sums_product[i]);
    for (int c = 0; c < SOFTMAX_SCORED; c++) {
        s->predicted[c] += total_in_order(predicted[c]);
        s->both[c] += total_in_order(both[c]);
        s->truth[c] += total_in_order(there[c]);
    }
}

static void softmax_probabilities_range(float *z, int64_t stride, const uint8_t *labels,
                                        int64_t count, softmax_sums *s)
{
    for (int64_t v = 0; v < count; v += SOFTMAX_STRETCH)
        softmax_stretch(z + v, stride, labels + v,
                        count - v < SOFTMAX_STRETCH ? count - v : SOFTMAX_STRETCH, s);
}

/* d loss / d logit_k = p_k (g_k - sum_m g_m p_m) with g = d loss / d p, plus cross-entropy's
 * (p - one-hot). */
static void softmax_gradient_range(float *z, int64_t stride, const uint8_t *labels, int64_t count,
                                   const softmax_factors *f)
{
    for (int64_t v = 0; v < count; v += VL) {
        const int64_t left = count - v;
        const vi label = load_labels(labels + v, left);
        vf p[SOFTMAX_CLASSES], g[SOFTMAX_CLASSES] = {{0}}, mean = {0};
        for (int k = 0; k < SOFTMAX_CLASSES; k++) {
            p[k] = load_plain(z + v + k * stride, left);
            if (k == 0)
                continue;
            g[k] =
                f->dice_predicted[k - 1] + pick(label == k, splat(f->dice_both[k - 1]), splat(0));
            mean += g[k] * p[k];
        }
        for (int k = 0; k < SOFTMAX_CLASSES; k++) {
            const vf distance = p[k] - pick(label == k, splat(1), splat(0));
            store_plain(z + v + k * stride, f->likelihood * distance + p[k] * (g[k] - mean), left);
        }
    }
}
