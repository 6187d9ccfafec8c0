/* Small linear algebra on features [n][c][voxels], of which every (sample, voxel) is one sample of
 * a c-vector. Each result is one index's own, or a sum in a fixed order. */
#ifndef TWINSEG_LOSS_FEATURES_H
#define TWINSEG_LOSS_FEATURES_H

#include "base/base.h"

typedef struct {
    const float *data;
    int64_t n, c, voxels;
} features;

static inline int64_t feature_samples(const features *f)
{
    return f->n * f->voxels;
}

/* Channel `c` of sample `n`: `voxels` floats. */
static inline const float *feature_row(const features *f, int64_t n, int64_t c)
{
    return f->data + (n * f->c + c) * f->voxels;
}

/* Mean and 1 / sqrt(biased variance + 1e-5) of every channel. */
void features_moments(const features *f, double *mean, double *scale, pool *p);

/* out[i][j] = sum over samples of a_i * b_j. out: [a.c][b.c], double. */
void features_products(const features *a, const features *b, double *out, pool *p);

/* Entry (i, j) at data[i * row + j * column]: a matrix, or, with row and column exchanged, its
 * transpose. */
typedef struct {
    const float *data;
    int64_t row, column;
} matrix_view;

/* out[n][i][v] = sum_j m(i, j) * f[n][j][v], for i below `rows`. */
void features_transform(const features *f, matrix_view m, int64_t rows, float *out, pool *p);

#endif
