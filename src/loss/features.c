/* Sums and products over features, shared out by output row. */
#include "loss/features.h"

#include <math.h>

enum { LANES = 16 };

static const double epsilon = 1e-5;

/* Sum over v of a[v] * b[v]: sixteen running sums of up to 1024 products each in float, the rest in
 * double. */
static double dot(const float *a, const float *b, int64_t count)
{
    enum { STRETCH = LANES * 1024 };
    double sum = 0;
    for (int64_t begin = 0; begin < count; begin += STRETCH) {
        const int64_t end = begin + STRETCH < count ? begin + STRETCH : count;
        float lanes[LANES] = {0};
        int64_t v = begin;
        for (; v + LANES <= end; v += LANES)
            for (int k = 0; k < LANES; k++)
                lanes[k] += a[v + k] * b[v + k];
        for (; v < end; v++)
            sum += (double)a[v] * b[v];
        for (int k = 0; k < LANES; k++)
            sum += lanes[k];
    }
    return sum;
}

typedef struct {
    const features *a, *b;
    double *out, *scale;
} product_job;

static void channel_moments(void *context, int64_t c, int thread)
{
    const product_job *j = context;
    const features *f = j->a;
    double sum = 0, squares = 0;
    (void)thread;
    for (int64_t n = 0; n < f->n; n++)
        for (int64_t v = 0; v < f->voxels; v++)
            sum += feature_row(f, n, c)[v];
    const double mean = sum / (double)feature_samples(f);
    for (int64_t n = 0; n < f->n; n++)
        for (int64_t v = 0; v < f->voxels; v++) {
            const double x = feature_row(f, n, c)[v] - mean;
            squares += x * x;
        }
    j->out[c] = mean;
    j->scale[c] = 1 / sqrt(squares / (double)feature_samples(f) + epsilon);
}

void features_moments(const features *f, double *mean, double *scale, pool *p)
{
    product_job j = {.a = f, .out = mean, .scale = scale};
    pool_run(p, channel_moments, &j, f->c);
}

static void product_row(void *context, int64_t i, int thread)
{
    const product_job *job = context;
    const features *a = job->a, *b = job->b;
    (void)thread;
    for (int64_t k = 0; k < b->c; k++) {
        double sum = 0;
        for (int64_t n = 0; n < a->n; n++)
            sum += dot(feature_row(a, n, i), feature_row(b, n, k), a->voxels);
        job->out[i * b->c + k] = sum;
    }
}

void features_products(const features *a, const features *b, double *out, pool *p)
{
    product_job j = {.a = a, .b = b, .out = out};
    pool_run(p, product_row, &j, a->c);
}

typedef struct {
    const features *f;
    matrix_view m;
    int64_t rows;
    float *out;
} transform_job;

/* index = n * rows + i: one row of the result, four rows of the input a pass. */
static void transform_row(void *context, int64_t index, int thread)
{
    const transform_job *j = context;
    const int64_t n = index / j->rows, i = index % j->rows, voxels = j->f->voxels;
    float *restrict out = j->out + index * voxels;
    const float *factors = j->m.data + i * j->m.row;
    const int64_t column = j->m.column;
    int64_t c = 0;
    (void)thread;
    for (int64_t v = 0; v < voxels; v++)
        out[v] = 0;
    for (; c + 4 <= j->f->c; c += 4) {
        const float *restrict x = feature_row(j->f, n, c);
        const float a0 = factors[c * column], a1 = factors[(c + 1) * column];
        const float a2 = factors[(c + 2) * column], a3 = factors[(c + 3) * column];
        for (int64_t v = 0; v < voxels; v++)
            out[v] +=
                a0 * x[v] + a1 * x[v + voxels] + a2 * x[v + 2 * voxels] + a3 * x[v + 3 * voxels];
    }
    for (; c < j->f->c; c++) {
        const float *restrict x = feature_row(j->f, n, c);
        for (int64_t v = 0; v < voxels; v++)
            out[v] += factors[c * column] * x[v];
    }
}

void features_transform(const features *f, matrix_view m, int64_t rows, float *out, pool *p)
{
    transform_job j = {f, m, rows, out};
    pool_run(p, transform_row, &j, f->n * rows);
}
