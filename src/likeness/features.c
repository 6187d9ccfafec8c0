/* The numbers that describe an image, and a pair. Of an image: nine quantiles; the mean at five
 * depths below the brain's surface (cortex and its fluid, white matter, ventricles); four quantiles
 * and the skewness of the fine structure, that is of what a voxel is above the mean of the 3x3x3
 * around it (dark sulci in T1, bright vessels after contrast, bright fluid in T2). Of a pair: the
 * correlation, and the mean of each where the other is brightest or darkest (fluid is bright in T2
 * where it is dark in the other three). */
#include "likeness/likeness.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Quantiles are taken of every so-manieth voxel where there are more than these. */
enum { SAMPLES_MAX = 32768, QUANTILES = 9, DEPTHS = 5, FINE_QUANTILES = 4 };

static const double quantiles[QUANTILES] = {0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99};
static const double fine_quantiles[FINE_QUANTILES] = {0.01, 0.1, 0.9, 0.99};
static const double depths_mm[DEPTHS] = {5, 10, 18, 30, INFINITY}; /* upper ends */
static const double bright = 0.97, dark = 0.05;                    /* quantiles, for pairs */

typedef struct {
    int64_t n[3]; /* x y z */
    int64_t voxels;
    float *samples; /* [voxels]: what a quantile is taken of */
    int32_t *depth; /* [voxels]: city-block distance to the outside, in voxels */
} space;

static double quantile(const float *sorted, int64_t count, double q)
{
    return count ? quantile_of_floats(sorted, (size_t)count, q) : 0;
}

static int64_t stride_of(int64_t count)
{
    return count > SAMPLES_MAX ? (count + SAMPLES_MAX - 1) / SAMPLES_MAX : 1;
}

/* Every stride'th of `count` samples, sorted, in place; returns how many. */
static int64_t thin_and_sort(float *samples, int64_t count)
{
    const int64_t stride = stride_of(count);
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i += stride)
        samples[kept++] = samples[i];
    sort_floats(samples, (size_t)kept);
    return kept;
}

/* One sweep of the distances along an axis, up or down: a voxel is one further than the one before,
 * and the first one behind the edge of the volume is outside. */
static void sweep(const space *s, int axis, bool down)
{
    const int64_t step[3] = {1, s->n[0], s->n[0] * s->n[1]};
    const int64_t lines = s->voxels / s->n[axis], d = step[axis];
    for (int64_t line = 0; line < lines; line++) {
        int64_t at = line / d * d * s->n[axis] + line % d;
        at += down ? d * (s->n[axis] - 1) : 0;
        int32_t before = 0;
        for (int64_t i = 0; i < s->n[axis]; i++, at += down ? -d : d) {
            if (s->depth[at] > before + 1)
                s->depth[at] = before + 1;
            before = s->depth[at];
        }
    }
}

static void measure_depth(const space *s, const float *image)
{
    for (int64_t v = 0; v < s->voxels; v++)
        s->depth[v] = image[v] != 0 ? INT32_MAX - 1 : 0;
    for (int axis = 0; axis < 3; axis++) {
        sweep(s, axis, false);
        sweep(s, axis, true);
    }
}

static void measure_profile(const space *s, const float *image, double spacing_mm,
                            double out[DEPTHS])
{
    int64_t counts[DEPTHS] = {0};
    memset(out, 0, DEPTHS * sizeof *out);
    for (int64_t v = 0; v < s->voxels; v++) {
        if (image[v] == 0)
            continue;
        int bin = 0;
        while (s->depth[v] * spacing_mm > depths_mm[bin])
            bin++;
        out[bin] += image[v];
        counts[bin]++;
    }
    for (int bin = 0; bin < DEPTHS; bin++)
        out[bin] = counts[bin] ? out[bin] / (double)counts[bin] : 0;
}

/* A voxel less the mean of the 27 around it, of those that all lie in the brain. Returns how
 * many. */
static int64_t measure_fine(const space *s, const float *image, float *out)
{
    int64_t count = 0;
    for (int64_t z = 1; z + 1 < s->n[2]; z++)
        for (int64_t y = 1; y + 1 < s->n[1]; y++)
            for (int64_t x = 1; x + 1 < s->n[0]; x++) {
                const int64_t v = (z * s->n[1] + y) * s->n[0] + x;
                float sum = 0;
                bool inside = s->depth[v] > 1;
                for (int64_t k = -1; inside && k <= 1; k++)
                    for (int64_t j = -1; inside && j <= 1; j++) {
                        const float *row = image + v + (k * s->n[1] + j) * s->n[0];
                        inside = row[-1] != 0 && row[0] != 0 && row[1] != 0;
                        sum += row[-1] + row[0] + row[1];
                    }
                if (inside)
                    out[count++] = image[v] - sum / 27;
            }
    return count;
}

static double skewness(const float *x, int64_t count)
{
    double mean = 0, second = 0, third = 0;
    for (int64_t i = 0; i < count; i++)
        mean += x[i] / (double)count;
    for (int64_t i = 0; i < count; i++) {
        const double d = x[i] - mean;
        second += d * d / (double)count;
        third += d * d * d / (double)count;
    }
    return second > 0 ? third / (second * sqrt(second)) : 0;
}

static void measure_single(const space *s, const float *image, double spacing_mm, double *out)
{
    int64_t count = 0;
    for (int64_t v = 0; v < s->voxels; v++)
        if (image[v] != 0)
            s->samples[count++] = image[v];
    count = thin_and_sort(s->samples, count);
    for (int i = 0; i < QUANTILES; i++)
        *out++ = quantile(s->samples, count, quantiles[i]);
    measure_depth(s, image);
    measure_profile(s, image, spacing_mm, out);
    out += DEPTHS;
    count = measure_fine(s, image, s->samples);
    out[FINE_QUANTILES] = skewness(s->samples, count);
    count = thin_and_sort(s->samples, count);
    for (int i = 0; i < FINE_QUANTILES; i++)
        *out++ = quantile(s->samples, count, fine_quantiles[i]);
}

/* Where both are in the brain: the quantiles of a that make it bright and dark. */
static void pair_limits(const space *s, const float *a, const float *b, double limits[2])
{
    int64_t count = 0;
    for (int64_t v = 0; v < s->voxels; v++)
        if (a[v] != 0 && b[v] != 0)
            s->samples[count++] = a[v];
    count = thin_and_sort(s->samples, count);
    limits[0] = quantile(s->samples, count, bright);
    limits[1] = quantile(s->samples, count, dark);
}

/* correlation; b where a is bright, where it is dark; a where b is bright, where it is dark */
static void measure_pair(const space *s, const float *a, const float *b, double out[LIKENESS_PAIR])
{
    double of_a[2], of_b[2], sum[LIKENESS_PAIR] = {0}, n[LIKENESS_PAIR] = {0};
    double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0, count = 0;
    pair_limits(s, a, b, of_a);
    pair_limits(s, b, a, of_b);
    for (int64_t v = 0; v < s->voxels; v++) {
        const double x = a[v], y = b[v];
        if (a[v] == 0 || b[v] == 0)
            continue;
        count++;
        sa += x, sb += y, saa += x * x, sbb += y * y, sab += x * y;
        const bool in[LIKENESS_PAIR] = {false, x >= of_a[0], x <= of_a[1], y >= of_b[0],
                                        y <= of_b[1]};
        for (int i = 1; i < LIKENESS_PAIR; i++) {
            sum[i] += in[i] ? (i < 3 ? y : x) : 0;
            n[i] += in[i];
        }
    }
    const double va = saa - sa * sa / count, vb = sbb - sb * sb / count;
    out[0] = count > 0 && va > 0 && vb > 0 ? (sab - sa * sb / count) / sqrt(va * vb) : 0;
    for (int i = 1; i < LIKENESS_PAIR; i++)
        out[i] = n[i] > 0 ? sum[i] / n[i] : 0;
}

static double brain_ml(const space *s, const preprocessed *c, double spacing_mm)
{
    int64_t voxels = 0;
    for (int64_t v = 0; v < s->voxels; v++) {
        bool inside = false;
        for (int m = 0; m < MODALITIES; m++)
            inside = inside || (c->present >> m & 1 && c->images[m * s->voxels + v] != 0);
        voxels += inside;
    }
    return (double)voxels * spacing_mm * spacing_mm * spacing_mm / 1000;
}

ts_status likeness_measure(const preprocessed *c, double spacing_mm, likeness_features *out,
                           ts_error *error)
{
    const int64_t *n = c->geometry.shape;
    space s = {.n = {n[0], n[1], n[2]}, .voxels = voxel_count(n)};
    *out = (likeness_features){.present = c->present};
    s.samples = memory_allocate((size_t)s.voxels, sizeof *s.samples, "the look of an image", error);
    s.depth = memory_allocate((size_t)s.voxels, sizeof *s.depth, "the look of an image", error);
    const bool there = s.samples && s.depth;
    for (int a = 0; there && a < MODALITIES; a++) {
        const float *image = c->images + a * s.voxels;
        if (!(c->present >> a & 1))
            continue;
        measure_single(&s, image, spacing_mm, out->single[a]);
        for (int b = 0; b < a; b++) {
            double *p = out->pair[a][b], *q = out->pair[b][a];
            if (!(c->present >> b & 1))
                continue;
            measure_pair(&s, image, c->images + b * s.voxels, p);
            q[0] = p[0], q[1] = p[3], q[2] = p[4], q[3] = p[1], q[4] = p[2];
        }
    }
    for (int axis = 0; there && axis < 3; axis++)
        out->zoom_mm = fmax(out->zoom_mm, c->geometry.header.zooms[axis]);
    if (there)
        out->brain_ml = brain_ml(&s, c, spacing_mm);
    free(s.samples);
    free(s.depth);
    return there ? TS_OK : TS_MEMORY;
}
