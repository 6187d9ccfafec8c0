/* The intensity augmentations (docs/method.md, "Sampling and augmentation"), one channel at a time,
 * as batchgeneratorsv2 computes them for nnU-Net 2.
 *
 * Sums are LANES partial sums in a fixed order, which vectorise and have the same bits everywhere.
 * The two transcendental loops (noise, gamma) use short polynomials instead of libm: 1e-6 relative
 * is far below what an augmentation needs, and they take about 3 ns a voxel instead of 15. */
#include "sample/transform.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, NOISE_BLOCK = 512 };

/* ---- arithmetic ------------------------------------------------------------------------- */

/* log2 of a positive, normal x: exponent, then the series of artanh about 1 on [0.7, 1.41]. */
static inline float log2_fast(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int32_t exponent = (bits - 0x3f3504f3) >> 23;
    bits -= exponent * (1 << 23);
    float mantissa;
    memcpy(&mantissa, &bits, sizeof mantissa);
    const float s = (mantissa - 1) / (mantissa + 1), s2 = s * s;
    const float series = 1 + s2 * (1 / 3.0f + s2 * (1 / 5.0f + s2 * (1 / 7.0f + s2 / 9.0f)));
    return (float)exponent + 2.88539008f * s * series;
}

/* 2^x for -126 < x < 126: whole part into the exponent, Taylor for the rest on [-0.5, 0.5]. */
static inline float exp2_fast(float x)
{
    const int32_t whole = (int32_t)(x + (x < 0 ? -0.5f : 0.5f));
    const float t = (x - (float)whole) * 0.693147181f;
    const float e =
        1 +
        t * (1 + t * (1 / 2.0f + t * (1 / 6.0f + t * (1 / 24.0f + t * (1 / 120.0f + t / 720)))));
    const int32_t bits = (whole + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return e * power;
}

static double sum_of(const float *x, size_t count)
{
    double lanes[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += x[i + j];
    for (; i < count; i++)
        lanes[0] += x[i];
    for (size_t j = 0; j < LANES; j++)
        sum += lanes[j];
    return sum;
}

static double mean_of(const float *x, size_t count)
{
    return sum_of(x, count) / (double)count;
}

static double deviation_of(const float *x, size_t count, double mean)
{
    const float centre = (float)mean;
    double lanes[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            const float d = x[i + j] - centre;
            lanes[j] += (double)(d * d);
        }
    for (; i < count; i++)
        lanes[0] += (double)((x[i] - centre) * (x[i] - centre));
    for (size_t j = 0; j < LANES; j++)
        sum += lanes[j];
    return sqrt(sum / (double)count);
}

static void range_of(const float *x, size_t count, float *low, float *high)
{
    float lows[LANES], highs[LANES];
    for (size_t j = 0; j < LANES; j++)
        lows[j] = highs[j] = x[0];
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            lows[j] = x[i + j] < lows[j] ? x[i + j] : lows[j];
            highs[j] = x[i + j] > highs[j] ? x[i + j] : highs[j];
        }
    for (; i < count; i++) {
        lows[0] = x[i] < lows[0] ? x[i] : lows[0];
        highs[0] = x[i] > highs[0] ? x[i] : highs[0];
    }
    *low = lows[0];
    *high = highs[0];
    for (size_t j = 1; j < LANES; j++) {
        *low = lows[j] < *low ? lows[j] : *low;
        *high = highs[j] > *high ? highs[j] : *high;
    }
}

/* ---- noise ------------------------------------------------------------------------------ */

/* Box-Muller, both of the pair: words[j] gives the radius (24 bits: up to 5.9 deviations),
 * words[j + pairs] the angle as an eighth of a turn and three bits that place it. */
static void add_normals(float *x, size_t pairs, float deviation, const uint32_t *words)
{
    for (size_t j = 0; j < pairs; j++) {
        const float u = ((float)(int32_t)(words[j] >> 8) + 0.5f) * 0x1p-24f;
        const float radius = deviation * sqrtf(-1.38629436f * log2_fast(u)); /* -2 ln u */
        const uint32_t angle = words[j + pairs];
        const float t = (float)(int32_t)(angle >> 8) * (0x1p-24f * 0.785398163f), t2 = t * t;
        const float sine =
            t * (1 - t2 * (1 / 6.0f - t2 * (1 / 120.0f - t2 * (1 / 5040.0f - t2 / 362880))));
        const float cosine =
            1 - t2 * (1 / 2.0f - t2 * (1 / 24.0f - t2 * (1 / 720.0f - t2 / 40320)));
        const float first = angle & 1 ? sine : cosine, second = angle & 1 ? cosine : sine;
        x[j] += radius * (angle & 2 ? -first : first);
        x[j + pairs] += radius * (angle & 4 ? -second : second);
    }
}

void augment_noise(float *x, size_t count, double deviation, random_stream *r)
{
    uint32_t words[NOISE_BLOCK];
    float last[NOISE_BLOCK];
    for (size_t at = 0; at < count; at += NOISE_BLOCK) {
        const size_t length = count - at < NOISE_BLOCK ? count - at : NOISE_BLOCK;
        for (size_t j = 0; j < NOISE_BLOCK; j++)
            words[j] = random_u32(r);
        if (length == NOISE_BLOCK) {
            add_normals(x + at, NOISE_BLOCK / 2, (float)deviation, words);
            continue;
        }
        memset(last, 0, sizeof last);
        memcpy(last, x + at, length * sizeof *x);
        add_normals(last, NOISE_BLOCK / 2, (float)deviation, words);
        memcpy(x + at, last, length * sizeof *x);
    }
}

/* ---- blur ------------------------------------------------------------------------------- */

enum { BLUR_RADIUS_MAX = 32 };

/* The kernel's odd length is the nearest to 6 sigma + 0.5; returns its half, without the centre. */
static int64_t blur_kernel(double sigma, float kernel[2 * BLUR_RADIUS_MAX + 1])
{
    int64_t radius = (int64_t)(3 * sigma + 0.25);
    double sum = 0;
    radius = radius > BLUR_RADIUS_MAX ? BLUR_RADIUS_MAX : radius;
    for (int64_t i = -radius; i <= radius; i++)
        sum += exp(-0.5 * (double)(i * i) / (sigma * sigma));
    for (int64_t i = -radius; i <= radius; i++)
        kernel[i + radius] = (float)(exp(-0.5 * (double)(i * i) / (sigma * sigma)) / sum);
    return radius;
}

/* Reflection at the edge voxel, which is not repeated: -1 is 1, n is n - 2. */
static int64_t reflect(int64_t i, int64_t n)
{
    while (n > 1 && (i < 0 || i >= n))
        i = i < 0 ? -i : 2 * (n - 1) - i;
    return n > 1 ? i : 0;
}

/* Along an axis whose neighbours lie `inner` floats apart: whole rows of `inner` are added up. */
static void blur_rows(const float *in, float *out, int64_t outer, int64_t n, int64_t inner,
                      const float *kernel, int64_t radius)
{
    for (int64_t o = 0; o < outer; o++, in += n * inner)
        for (int64_t i = 0; i < n; i++, out += inner) {
            memset(out, 0, (size_t)inner * sizeof *out);
            for (int64_t k = -radius; k <= radius; k++) {
                const float *row = in + reflect(i + k, n) * inner;
                const float weight = kernel[k + radius];
                for (int64_t j = 0; j < inner; j++)
                    out[j] += weight * row[j];
            }
        }
}

/* Along w itself, through a row with its reflected ends; line: n + 2 * radius floats. */
static void blur_line(const float *in, float *out, int64_t rows, int64_t n, const float *kernel,
                      int64_t radius, float *line)
{
    for (int64_t row = 0; row < rows; row++, in += n, out += n) {
        for (int64_t i = -radius; i < n + radius; i++)
            line[i + radius] = in[reflect(i, n)];
        memset(out, 0, (size_t)n * sizeof *out);
        for (int64_t k = 0; k <= 2 * radius; k++)
            for (int64_t j = 0; j < n; j++)
                out[j] += kernel[k] * line[j + k];
    }
}

void augment_blur(float *x, const int64_t shape[3], const double sigma[3], float *scratch)
{
    float kernel[2 * BLUR_RADIUS_MAX + 1], line[512 + 2 * BLUR_RADIUS_MAX];
    const int64_t plane = shape[1] * shape[2], voxels = shape[0] * plane;
    float *second = scratch + voxels;
    int64_t radius = blur_kernel(sigma[0], kernel);
    blur_rows(x, scratch, 1, shape[0], plane, kernel, radius);
    radius = blur_kernel(sigma[1], kernel);
    blur_rows(scratch, second, shape[0], shape[1], shape[2], kernel, radius);
    radius = blur_kernel(sigma[2], kernel);
    blur_line(second, x, shape[0] * shape[1], shape[2], kernel, radius, line);
}

/* ---- brightness and contrast ------------------------------------------------------------ */

void augment_brightness(float *x, size_t count, double factor)
{
    const float f = (float)factor;
    for (size_t i = 0; i < count; i++)
        x[i] *= f;
}

void augment_contrast(float *x, size_t count, double factor)
{
    const float mean = (float)mean_of(x, count), f = (float)factor;
    float low, high;
    range_of(x, count, &low, &high);
    for (size_t i = 0; i < count; i++) {
        const float v = (x[i] - mean) * f + mean;
        x[i] = v < low ? low : v > high ? high : v;
    }
}

/* ---- low resolution --------------------------------------------------------------------- */

/* Where output i of n reads from m inputs when both grids share their outer edges: two neighbours
 * and the second's weight; beyond the outermost centres the outermost value. */
static void upsample_place(int64_t i, int64_t n, int64_t m, int64_t *first, int64_t *second,
                           float *weight)
{
    double at = ((double)i + 0.5) * (double)m / (double)n - 0.5;
    at = at < 0 ? 0 : at;
    *first = (int64_t)at;
    *second = *first + 1 < m ? *first + 1 : *first;
    *weight = (float)(at - (double)*first);
}

static void upsample_rows(const float *in, float *out, int64_t outer, int64_t m, int64_t n,
                          int64_t inner)
{
    for (int64_t o = 0; o < outer; o++, in += m * inner)
        for (int64_t i = 0; i < n; i++, out += inner) {
            int64_t first, second;
            float weight;
            upsample_place(i, n, m, &first, &second, &weight);
            const float *a = in + first * inner, *b = in + second * inner;
            for (int64_t j = 0; j < inner; j++)
                out[j] = a[j] + weight * (b[j] - a[j]);
        }
}

/* Nearest voxel by centres (PyTorch's `nearest-exact`) and along w linear at once: out is
 * [small d][small h][w]. */
static void shrink(const float *x, const int64_t shape[3], const int64_t small[3], float *out)
{
    float line[512];
    for (int64_t z = 0; z < small[0]; z++)
        for (int64_t y = 0; y < small[1]; y++, out += shape[2]) {
            const int64_t from_z = (2 * z + 1) * shape[0] / (2 * small[0]);
            const int64_t from_y = (2 * y + 1) * shape[1] / (2 * small[1]);
            const float *row = x + (from_z * shape[1] + from_y) * shape[2];
            for (int64_t i = 0; i < small[2]; i++)
                line[i] = row[(2 * i + 1) * shape[2] / (2 * small[2])];
            upsample_rows(line, out, 1, small[2], shape[2], 1);
        }
}

void augment_low_resolution(float *x, const int64_t shape[3], double zoom, float *scratch)
{
    int64_t small[3];
    for (int i = 0; i < 3; i++) {
        small[i] = (int64_t)nearbyint((double)shape[i] * zoom);
        small[i] = small[i] < 1 ? 1 : small[i];
    }
    float *second = scratch + shape[0] * shape[1] * shape[2];
    shrink(x, shape, small, scratch);
    upsample_rows(scratch, second, small[0], small[1], shape[1], shape[2]);
    upsample_rows(second, x, 1, small[0], shape[0], shape[1] * shape[2]);
}

/* ---- gamma ------------------------------------------------------------------------------ */

/* Maps the range to [0, 1], applies the power, maps it back and restores mean and deviation. For
 * inverted intensities the image is negated before and after. */
void augment_gamma(float *x, size_t count, double gamma, bool inverted)
{
    const float sign = inverted ? -1 : 1, exponent = (float)gamma;
    const double mean = mean_of(x, count), deviation = deviation_of(x, count, mean);
    float low, high;
    range_of(x, count, &low, &high);
    const float start = inverted ? high : low, range = high - low;
    const float scale = sign / (range > 1e-7f ? range : 1e-7f);
    for (size_t i = 0; i < count; i++) {
        const float unit = (x[i] - start) * scale;
        x[i] = unit > 1e-30f ? exp2_fast(exponent * log2_fast(unit)) * range : 0;
    }
    const double mean_now = mean_of(x, count), deviation_now = deviation_of(x, count, mean_now);
    const float factor = sign * (float)(deviation / fmax(deviation_now, 1e-7));
    const float centre = (float)mean_now, target = (float)mean;
    for (size_t i = 0; i < count; i++)
        x[i] = (x[i] - centre) * factor + target;
}

void augment_mask(float *x, size_t count, const uint8_t *brain, modality_set bit)
{
    for (size_t i = 0; i < count; i++)
        x[i] = brain[i] & bit ? x[i] : 0;
}
