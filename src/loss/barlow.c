/* Barlow Twins (Zbontar et al. 2021) between two feature maps, every voxel a sample
 * (docs/method.md, "Barlow Twins").
 *
 * With z the standardised features, C_ij = mean(zT_i zS_j), L = (1/C)[sum_i (1 - C_ii)^2 + lambda
 * sum_{i != j} C_ij^2] and G = dL/dC:
 *     dL/dxS_j = (1 / (S sigma_j)) [ sum_i G_ij zT_i - zS_j sum_i G_ij C_ij ]
 * and the same for the teacher with G transposed. (Standardising has a third term, the mean of
 * dL/dz, which is 0 here because zT has mean 0.) */
#include "loss/features.h"
#include "loss/loss.h"
#include "loss/projector.h"

#include <stdlib.h>
#include <string.h>

/* The standardised copy of features: z = scale * (x - mean). */
typedef struct {
    const features *from;
    const double *mean, *scale;
    float *out;
} standardise_job;

static void standardise_row(void *context, int64_t index, int thread)
{
    const standardise_job *j = context;
    const int64_t c = index % j->from->c, voxels = j->from->voxels;
    const float *x = j->from->data + index * voxels;
    const float mean = (float)j->mean[c], scale = (float)j->scale[c];
    (void)thread;
    for (int64_t v = 0; v < voxels; v++)
        j->out[index * voxels + v] = (x[v] - mean) * scale;
}

static void standardise(const features *f, const double *mean, const double *scale, float *out,
                        pool *p)
{
    standardise_job j = {f, mean, scale, out};
    pool_run(p, standardise_row, &j, f->n * f->c);
}

/* The loss of C [c][c], which becomes weight * dL/dC; corrections[j] of the student's channels,
 * [c + i] of the teacher's: the sums of G_ij C_ij above. */
static double loss_of_correlations(double *c, int64_t channels, double lambda, double weight,
                                   double *corrections)
{
    double loss = 0;
    memset(corrections, 0, (size_t)(2 * channels) * sizeof *corrections);
    for (int64_t i = 0; i < channels; i++)
        for (int64_t j = 0; j < channels; j++) {
            double *entry = &c[i * channels + j], value = *entry;
            const double off = i == j ? 1 - value : value, share = i == j ? 1 : lambda;
            loss += share * off * off / (double)channels;
            *entry = weight * 2 * share * (i == j ? -off : off) / (double)channels;
            corrections[j] += *entry * value;
            corrections[channels + i] += *entry * value;
        }
    return loss;
}

/* Gradient of `own` features: sum over the other's channels of G, less the correction, scaled. */
typedef struct {
    const features *own;
    const double *correction, *scale;
    float *gradient;
} finish_job;

static void finish_row(void *context, int64_t index, int thread)
{
    const finish_job *j = context;
    const int64_t c = index % j->own->c, voxels = j->own->voxels;
    const float *z = j->own->data + index * voxels;
    const float correction = (float)j->correction[c];
    const float factor = (float)(j->scale[c] / (double)feature_samples(j->own));
    (void)thread;
    for (int64_t v = 0; v < voxels; v++) {
        float *g = &j->gradient[index * voxels + v];
        *g = factor * (*g - correction * z[v]);
    }
}

/* other: standardised features of the other network; g: G as floats, or transposed. */
static void gradient_of(const features *own, const features *other, matrix_view g,
                        const double *correction, const double *scale, float *gradient, pool *p)
{
    finish_job j = {own, correction, scale, gradient};
    features_transform(other, g, own->c, gradient, p);
    pool_run(p, finish_row, &j, own->n * own->c);
}

/* Memory of one call: two standardised maps, and per channel what `small` lists. */
typedef struct {
    float *z[2], *matrix;
    double *correlations, *small; /* mean T, S; scale T, S; corrections S, T: 6 [c] */
} scratch;

static ts_status allocate_scratch(scratch *s, size_t floats, size_t channels, ts_error *error)
{
    *s = (scratch){
        .z = {memory_allocate(floats, sizeof(float), "the latents", error),
              memory_allocate(floats, sizeof(float), "the latents", error)},
        .matrix = memory_allocate(channels * channels, sizeof(float), "the correlations", error),
        .correlations =
            memory_allocate(channels * channels, sizeof(double), "the correlations", error),
        .small = memory_allocate(channels, 6 * sizeof(double), "the correlations", error),
    };
    return s->z[0] && s->z[1] && s->matrix && s->correlations && s->small ? TS_OK : TS_MEMORY;
}

static void free_scratch(scratch *s)
{
    free(s->z[0]);
    free(s->z[1]);
    free(s->matrix);
    free(s->correlations);
    free(s->small);
}

static void compare(const barlow_pair *b, scratch *s, pool *p, double *loss)
{
    const int64_t n = b->n, c = b->channels, voxels = b->voxels;
    const features x[2] = {{b->teacher, n, c, voxels}, {b->student, n, c, voxels}};
    const features z[2] = {{s->z[0], n, c, voxels}, {s->z[1], n, c, voxels}};
    double *mean = s->small, *scale = s->small + 2 * c, *corrections = s->small + 4 * c;
    for (int i = 0; i < 2; i++) {
        features_moments(&x[i], mean + i * c, scale + i * c, p);
        standardise(&x[i], mean + i * c, scale + i * c, s->z[i], p);
    }
    features_products(&z[0], &z[1], s->correlations, p);
    for (int64_t i = 0; i < c * c; i++)
        s->correlations[i] /= (double)(n * voxels);
    *loss = loss_of_correlations(s->correlations, c, b->lambda, b->weight, corrections);
    for (int64_t i = 0; i < c * c; i++)
        s->matrix[i] = (float)s->correlations[i];
    gradient_of(&z[1], &z[0], (matrix_view){s->matrix, 1, c}, corrections, scale + c,
                b->student_gradient, p);
    if (b->teacher_gradient)
        gradient_of(&z[0], &z[1], (matrix_view){s->matrix, c, 1}, corrections + c, scale,
                    b->teacher_gradient, p);
}

ts_status loss_barlow(const barlow_pair *b, pool *p, double *loss, ts_error *error)
{
    if (b->width > 0)
        return barlow_projected(b, p, loss, error);
    scratch s;
    const ts_status status =
        allocate_scratch(&s, (size_t)(b->n * b->channels * b->voxels), (size_t)b->channels, error);
    if (status == TS_OK)
        compare(b, &s, p, loss);
    free_scratch(&s);
    return status;
}
