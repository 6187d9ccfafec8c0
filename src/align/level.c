/* Images at one resolution, and how alike they are: a joint histogram of the fixed image's points
 * and the moving image's trilinear values, each shared between its two neighbouring bins, so that
 * the result is a continuous function of the transform. */
#include "align/level.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 150000, CHUNKS = 16 }; /* chunks: of the points, a histogram each, added in order */

static const double margin_mm = 10; /* around what is not background: its edge tells most */

/* ---- intensities ---------------------------------------------------------------------------- */

/* From the least value to the 99.5th percentile of what exceeds it, from about 100,000 voxels. */
static ts_status intensity_range(const float *data, int64_t count, float *low, float *high,
                                 ts_error *error)
{
    const int64_t stride = count / 100003 + 1;
    float *values =
        memory_allocate((size_t)(count / stride + 1), sizeof *values, "a histogram", error);
    int64_t n = 0;
    if (!values)
        return TS_MEMORY;
    *low = data[0];
    for (int64_t i = 0; i < count; i++)
        *low = data[i] < *low ? data[i] : *low;
    for (int64_t i = 0; i < count; i += stride)
        if (data[i] > *low)
            values[n++] = data[i];
    sort_floats(values, (size_t)n);
    *high = n ? values[(n - 1) * 995 / 1000] : *low;
    free(values);
    return TS_OK;
}

/* 0 to BINS - 1, kept just below so that the next bin exists. */
static float bin_of(float value, float low, float high)
{
    const float scaled = high > low ? (value - low) / (high - low) * (BINS - 1) : 0;
    return scaled < 0 ? 0 : scaled > BINS - 1.001f ? BINS - 1.001f : scaled;
}

/* ---- the moving image ------------------------------------------------------------------------ */

/* Averages pairs along an axis; a last voxel without a partner is left out. */
static void halve(level_image *l, int axis)
{
    const int64_t before = axis == 0 ? 1 : axis == 1 ? l->shape[0] : l->shape[0] * l->shape[1];
    const int64_t n = l->shape[axis], outer = voxel_count(l->shape) / before / n;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < n / 2; i++)
            for (int64_t b = 0; b < before; b++) {
                const float *from = l->data + (o * n + 2 * i) * before + b;
                l->data[(o * (n / 2) + i) * before + b] = (from[0] + from[before]) / 2;
            }
    l->shape[axis] = n / 2;
    for (int i = 0; i < 3; i++) {
        l->affine[i][3] += l->affine[i][axis] / 2;
        l->affine[i][axis] *= 2;
    }
}

static double axis_mm(const double affine[4][4], int axis)
{
    return sqrt(affine[0][axis] * affine[0][axis] + affine[1][axis] * affine[1][axis] +
                affine[2][axis] * affine[2][axis]);
}

ts_status level_image_make(const volume *v, double spacing_mm, level_image *out, ts_error *error)
{
    float low, high;
    int64_t voxels = voxel_count(v->header.shape);
    *out = (level_image){0};
    out->data = memory_allocate((size_t)voxels, sizeof *out->data, "a smaller image", error);
    if (!out->data)
        return TS_MEMORY;
    memcpy(out->data, v->data, (size_t)voxels * sizeof *out->data);
    memcpy(out->shape, v->header.shape, sizeof out->shape);
    memcpy(out->affine, v->header.affine, sizeof out->affine);
    for (int axis = 0; axis < 3; axis++)
        while (axis_mm(out->affine, axis) < 0.7 * spacing_mm && out->shape[axis] >= 8)
            halve(out, axis);
    voxels = voxel_count(out->shape);
    const ts_status status = intensity_range(out->data, voxels, &low, &high, error);
    for (int64_t i = 0; status == TS_OK && i < voxels; i++)
        out->data[i] = bin_of(out->data[i], low, high);
    if (status != TS_OK)
        level_image_free(out);
    return status;
}

void level_image_free(level_image *l)
{
    free(l->data);
    *l = (level_image){0};
}

void level_centre(const level_image *l, double centre[3])
{
    double sum = 0, at[3] = {0};
    int64_t i = 0;
    for (int64_t z = 0; z < l->shape[2]; z++)
        for (int64_t y = 0; y < l->shape[1]; y++)
            for (int64_t x = 0; x < l->shape[0]; x++, i++) {
                const double weight = (double)l->data[i];
                sum += weight;
                at[0] += weight * (double)x;
                at[1] += weight * (double)y;
                at[2] += weight * (double)z;
            }
    for (int k = 0; k < 3; k++)
        at[k] = sum > 0 ? at[k] / sum : (double)l->shape[k] / 2;
    volume_affine_apply(l->affine, at, centre);
}

/* Trilinear at voxel (x, y, z); false outside of the image. */
static inline bool value_at(const level_image *l, const float at[3], float *value)
{
    int64_t i = 0, step[3] = {1, l->shape[0], l->shape[0] * l->shape[1]};
    float part[3];
    for (int k = 0; k < 3; k++) {
        if (!(at[k] >= 0) || at[k] > (float)(l->shape[k] - 1))
            return false;
        const int64_t low = at[k] < (float)(l->shape[k] - 1) ? (int64_t)at[k] : l->shape[k] - 1;
        part[k] = at[k] - (float)low;
        i += low * step[k];
        step[k] = low < l->shape[k] - 1 ? step[k] : 0;
    }
    const float *p = l->data + i;
    const int64_t x = step[0], y = step[1], z = step[2];
    const float a = p[0] + part[0] * (p[x] - p[0]);
    const float b = p[y] + part[0] * (p[x + y] - p[y]);
    const float c = p[z] + part[0] * (p[x + z] - p[z]);
    const float d = p[y + z] + part[0] * (p[x + y + z] - p[y + z]);
    const float e = a + part[1] * (b - a), f = c + part[1] * (d - c);
    *value = e + part[2] * (f - e);
    return true;
}

/* ---- the fixed image's points ---------------------------------------------------------------- */

/* The box of what exceeds a tenth of the range, with the margin, in voxels. */
static void foreground_box(const level_image *l, double low[3], double high[3])
{
    int64_t i = 0, begin[3], end[3] = {-1, -1, -1};
    memcpy(begin, l->shape, sizeof begin);
    for (int64_t z = 0; z < l->shape[2]; z++)
        for (int64_t y = 0; y < l->shape[1]; y++)
            for (int64_t x = 0; x < l->shape[0]; x++, i++) {
                const int64_t at[3] = {x, y, z};
                for (int k = 0; k < 3 && l->data[i] > BINS / 10.0f; k++) {
                    begin[k] = at[k] < begin[k] ? at[k] : begin[k];
                    end[k] = at[k] > end[k] ? at[k] : end[k];
                }
            }
    for (int k = 0; k < 3; k++) {
        const double margin = margin_mm / axis_mm(l->affine, k);
        low[k] = end[k] < 0 ? 0 : fmax((double)begin[k] - margin, 0);
        high[k] = end[k] < 0 ? (double)(l->shape[k] - 1)
                             : fmin((double)end[k] + margin, (double)(l->shape[k] - 1));
    }
}

ts_status level_points_make(const volume *fixed, double spacing_mm, level_points *out,
                            ts_error *error)
{
    level_image l;
    double low[3], high[3], extent_mm[3], volume_mm3 = 1, middle[3];
    int64_t cells[3], room = 1;
    *out = (level_points){0};
    ts_status status = level_image_make(fixed, spacing_mm, &l, error);
    if (status != TS_OK)
        return status;
    foreground_box(&l, low, high);
    for (int k = 0; k < 3; k++) {
        extent_mm[k] = (high[k] - low[k]) * axis_mm(l.affine, k);
        volume_mm3 *= fmax(extent_mm[k], spacing_mm);
        middle[k] = (low[k] + high[k]) / 2;
    }
    volume_affine_apply(l.affine, middle, out->centre);
    const double cell_mm = fmax(spacing_mm, cbrt(volume_mm3 / POINTS));
    for (int k = 0; k < 3; k++)
        room *= cells[k] = (int64_t)fmax(extent_mm[k] / cell_mm, 1);
    out->at = memory_allocate((size_t)room, sizeof *out->at, "points of an image", error);
    out->bin = memory_allocate((size_t)room, 1, "points of an image", error);
    status = out->at && out->bin ? TS_OK : TS_MEMORY;
    random_stream r = random_open(0, RANDOM_ALIGN, (uint32_t)(spacing_mm * 1000), 0);
    for (int64_t i = 0; status == TS_OK && i < room; i++) {
        const int64_t cell[3] = {i % cells[0], i / cells[0] % cells[1], i / cells[0] / cells[1]};
        double at[3], world[3];
        float voxel[3], value;
        for (int k = 0; k < 3; k++) {
            const double share = ((double)cell[k] + random_uniform(&r, 0, 1)) / (double)cells[k];
            voxel[k] = (float)(at[k] = low[k] + share * (high[k] - low[k]));
        }
        if (!value_at(&l, voxel, &value))
            continue;
        volume_affine_apply(l.affine, at, world);
        for (int k = 0; k < 3; k++)
            out->at[out->count][k] = (float)(world[k] - out->centre[k]);
        out->bin[out->count++] = (uint8_t)(value + 0.5f);
    }
    level_image_free(&l);
    if (status != TS_OK)
        level_points_free(out);
    return status;
}

void level_points_free(level_points *s)
{
    free(s->at);
    free(s->bin);
    *s = (level_points){0};
}

/* ---- how alike they are ---------------------------------------------------------------------- */

typedef float joint[BINS][BINS]; /* [fixed][moving] */

typedef struct {
    const level_points *points;
    const level_image *moving;
    float place[3][4]; /* a point to a voxel of the moving image */
    joint *histograms; /* [CHUNKS] */
} comparison;

static void count_chunk(void *context, int64_t chunk, int thread)
{
    (void)thread;
    const comparison *c = context;
    const level_points *s = c->points;
    joint *h = &c->histograms[chunk];
    memset(h, 0, sizeof *h);
    for (int64_t i = s->count * chunk / CHUNKS; i < s->count * (chunk + 1) / CHUNKS; i++) {
        float at[3], value;
        for (int k = 0; k < 3; k++)
            at[k] = c->place[k][0] * s->at[i][0] + c->place[k][1] * s->at[i][1] +
                    c->place[k][2] * s->at[i][2] + c->place[k][3];
        if (!value_at(c->moving, at, &value))
            continue;
        const int bin = (int)value;
        float *row = (*h)[s->bin[i]];
        row[bin] += 1 - (value - (float)bin);
        row[bin + 1] += value - (float)bin;
    }
}

static double entropy(const double *share, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum -= share[i] > 0 ? share[i] * log2(share[i]) : 0;
    return sum;
}

/* Of a joint histogram whose entries sum to 1. */
static similarity similarity_of(const double shares[BINS * BINS])
{
    double fixed[BINS] = {0}, moving[BINS] = {0}, f = 0, m = 0, ff = 0, mm = 0, fm = 0;
    for (int i = 0; i < BINS; i++)
        for (int k = 0; k < BINS; k++) {
            const double share = shares[i * BINS + k];
            fixed[i] += share;
            moving[k] += share;
            f += share * i;
            m += share * k;
            ff += share * i * i;
            mm += share * k * k;
            fm += share * i * k;
        }
    const double both = entropy(shares, BINS * BINS);
    const double one = entropy(fixed, BINS) + entropy(moving, BINS);
    const double spread = sqrt((ff - f * f) * (mm - m * m));
    return (similarity){one - both, both > 0 ? one / both : 1,
                        spread > 0 ? (fm - f * m) / spread : 0};
}

similarity level_compare(const level_points *s, const level_image *moving,
                         const double transform[4][4], pool *p)
{
    joint histograms[CHUNKS]; /* 147 kB */
    double to_voxel[4][4], all[4][4], shares[BINS * BINS] = {0}, sum = 0;
    comparison c = {.points = s, .moving = moving, .histograms = histograms};
    volume_affine_invert(moving->affine, to_voxel);
    volume_affine_multiply(to_voxel, transform, all);
    for (int i = 0; i < 3; i++) {
        double from_centre = all[i][3];
        for (int k = 0; k < 3; k++) {
            c.place[i][k] = (float)all[i][k];
            from_centre += all[i][k] * s->centre[k];
        }
        c.place[i][3] = (float)from_centre;
    }
    pool_run(p, count_chunk, &c, CHUNKS);
    for (int chunk = 0; chunk < CHUNKS; chunk++)
        for (int i = 0; i < BINS * BINS; i++)
            shares[i] += (double)histograms[chunk][i / BINS][i % BINS];
    for (int i = 0; i < BINS * BINS; i++)
        sum += shares[i];
    if (sum < 0.25 * (double)s->count || sum == 0)
        return (similarity){0};
    for (int i = 0; i < BINS * BINS; i++)
        shares[i] /= sum;
    return similarity_of(shares);
}
