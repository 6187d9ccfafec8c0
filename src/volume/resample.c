/* Resampling to another grid over the same extent, edges aligned: voxel i of the new grid lies at
 * (i + 0.5) * in/out - 0.5 of the old, kept within it. Cubic: interpolating B-splines, axis by
 * axis, the values and edges of scipy.ndimage.zoom(order=3, mode="nearest", grid_mode=True), which
 * is what skimage's resize and nnU-Net call. */
#include "volume/volume.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where a new voxel falls on an old axis: between `low` and the next, `part` of the way. */
typedef struct {
    int64_t low;
    double part;
} place;

static place place_of(int64_t i, int64_t in, int64_t out)
{
    const double at = ((double)i + 0.5) * (double)in / (double)out - 0.5, low = floor(at);
    return (place){(int64_t)low, at - low};
}

/* The same, kept to the voxels that are there. */
static place place_within(int64_t i, int64_t in, int64_t out)
{
    const place p = place_of(i, in, out);
    if (p.low < 0 || in == 1)
        return (place){0, 0};
    if (p.low > in - 2)
        return (place){in - 2, 1};
    return p;
}

/* ---- one axis, linear or cubic -------------------------------------------------------------- */

enum { PAD = 12 }; /* old voxels repeated before the spline filter: its reach at 1e-7 */

/* The lines of a volume along one axis: element k of line l lies at start(l) + k * stride. */
typedef struct {
    const float *in;
    float *out;
    int64_t before; /* product of the extents of faster axes: the stride */
    int64_t lines, length_in, length_out;
    bool cubic;
    double *work; /* [threads][length_in + 2 PAD] */
} axis_job;

/* Coefficients of the cubic B-spline through `count` values, in place: a causal and an anticausal
 * first-order filter with the pole sqrt(3) - 2 (Unser 1993). */
static void spline_coefficients(double *c, int64_t count)
{
    const double pole = -0.26794919243112270647;
    double sum = c[0], power = pole;
    for (int64_t k = 1; k < count && k < 40; k++, power *= pole)
        sum += power * c[k];
    c[0] = 6 * sum;
    for (int64_t k = 1; k < count; k++)
        c[k] = 6 * c[k] + pole * c[k - 1];
    c[count - 1] = pole / (pole * pole - 1) * (c[count - 1] + pole * c[count - 2]);
    for (int64_t k = count - 2; k >= 0; k--)
        c[k] = pole * (c[k + 1] - c[k]);
}

static double spline_value(const double *c, place p)
{
    const double t = p.part, u = 1 - t;
    const double w[4] = {u * u * u / 6, 2.0 / 3 - t * t * (2 - t) / 2,
                         2.0 / 3 - u * u * (2 - u) / 2, t * t * t / 6};
    return w[0] * c[p.low - 1] + w[1] * c[p.low] + w[2] * c[p.low + 1] + w[3] * c[p.low + 2];
}

static void resample_line(void *context, int64_t line, int thread)
{
    const axis_job *j = context;
    const int64_t n = j->length_in, stride = j->before;
    const float *in = j->in + line / stride * n * stride + line % stride;
    float *out = j->out + line / stride * j->length_out * stride + line % stride;
    double *values = j->work + thread * (n + 2 * PAD) + PAD;
    for (int64_t k = -PAD; k < n + PAD; k++)
        values[k] = in[(k < 0 ? 0 : k >= n ? n - 1 : k) * stride];
    if (j->cubic)
        spline_coefficients(values - PAD, n + 2 * PAD);
    for (int64_t i = 0; i < j->length_out; i++) {
        const place p =
            j->cubic ? place_of(i, n, j->length_out) : place_within(i, n, j->length_out);
        out[i * stride] =
            (float)(j->cubic ? spline_value(values, p)
                             : (1 - p.part) * values[p.low] + p.part * values[p.low + 1]);
    }
}

/* x, then y, then z; axes that keep their extent are left alone. */
static ts_status resample(const float *in, const int64_t shape_in[3], float *out,
                          const int64_t shape_out[3], bool cubic, pool *p, ts_error *error)
{
    int64_t shape[3] = {shape_in[0], shape_in[1], shape_in[2]};
    const float *from = in;
    float *held = NULL; /* the result so far, where it is not `in` */
    ts_status status = TS_OK;
    for (int axis = 0; status == TS_OK && axis < 3; axis++) {
        if (shape[axis] == shape_out[axis])
            continue;
        axis_job j = {.in = from,
                      .before = 1,
                      .lines = 1,
                      .length_in = shape[axis],
                      .length_out = shape_out[axis],
                      .cubic = cubic};
        for (int i = 0; i < 3; i++) {
            j.before *= i < axis ? shape[i] : 1;
            j.lines *= i != axis ? shape[i] : 1;
        }
        shape[axis] = shape_out[axis];
        j.out = memory_allocate((size_t)(j.lines * j.length_out), sizeof(float),
                                "a resampled image", error);
        j.work = memory_allocate((size_t)(pool_threads(p) * (j.length_in + 2 * PAD)),
                                 sizeof(double), "a resampled image", error);
        if (j.out && j.work)
            pool_run(p, resample_line, &j, j.lines);
        else
            status = TS_MEMORY;
        free(j.work);
        free(held);
        from = held = j.out;
    }
    if (status == TS_OK)
        memcpy(out, from, (size_t)(shape_out[0] * shape_out[1] * shape_out[2]) * sizeof *out);
    free(held);
    return status;
}

ts_status volume_resample_cubic(const float *in, const int64_t shape_in[3], float *out,
                                const int64_t shape_out[3], pool *p, ts_error *error)
{
    return resample(in, shape_in, out, shape_out, true, p, error);
}

ts_status volume_resample_linear(const float *in, const int64_t shape_in[3], float *out,
                                 const int64_t shape_out[3], pool *p, ts_error *error)
{
    return resample(in, shape_in, out, shape_out, false, p, error);
}

/* ---- labels --------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *in;
    uint8_t *out;
    const int64_t *shape_in, *shape_out;
} label_job;

/* The label with the greatest weight among the eight corners; ties go to the lower. */
static uint8_t vote(const uint8_t corners[8], const double weights[8])
{
    double best_weight = -1;
    uint8_t best = 0;
    for (int i = 0; i < 8; i++) {
        double sum = 0;
        for (int k = 0; k < 8; k++)
            sum += corners[k] == corners[i] ? weights[k] : 0;
        if (sum > best_weight || (sum == best_weight && corners[i] < best)) {
            best_weight = sum;
            best = corners[i];
        }
    }
    return best;
}

static void label_plane(void *context, int64_t z, int thread)
{
    const label_job *j = context;
    const int64_t nx = j->shape_in[0], ny = j->shape_in[1], nz = j->shape_in[2];
    const place pz = place_within(z, nz, j->shape_out[2]);
    uint8_t *out = j->out + z * j->shape_out[0] * j->shape_out[1];
    (void)thread;
    for (int64_t y = 0; y < j->shape_out[1]; y++) {
        const place py = place_within(y, ny, j->shape_out[1]);
        for (int64_t x = 0; x < j->shape_out[0]; x++) {
            const place px = place_within(x, nx, j->shape_out[0]);
            uint8_t corners[8];
            double weights[8];
            for (int k = 0; k < 8; k++) {
                const int64_t cx = px.low + (k & 1 && nx > 1), cy = py.low + (k & 2 && ny > 1);
                const int64_t cz = pz.low + (k & 4 && nz > 1);
                corners[k] = j->in[(cz * ny + cy) * nx + cx];
                weights[k] = (k & 1 ? px.part : 1 - px.part) * (k & 2 ? py.part : 1 - py.part) *
                             (k & 4 ? pz.part : 1 - pz.part);
            }
            *out++ = vote(corners, weights);
        }
    }
}

ts_status volume_resample_labels(const uint8_t *in, const int64_t shape_in[3], uint8_t *out,
                                 const int64_t shape_out[3], pool *p, ts_error *error)
{
    label_job j = {in, out, shape_in, shape_out};
    (void)error;
    pool_run(p, label_plane, &j, shape_out[2]);
    return TS_OK;
}
