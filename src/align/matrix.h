/* 4x4 matrices of positions (the last row 0 0 0 1). */
#ifndef TWINSEG_ALIGN_MATRIX_H
#define TWINSEG_ALIGN_MATRIX_H

#include <math.h>
#include <string.h>

static inline void matrix_multiply(const double a[4][4], const double b[4][4], double out[4][4])
{
    double product[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            product[i][j] = 0;
            for (int k = 0; k < 4; k++)
                product[i][j] += a[i][k] * b[k][j];
        }
    memcpy(out, product, sizeof product);
}

static inline void matrix_apply(const double a[4][4], const double in[3], double out[3])
{
    double result[3];
    for (int i = 0; i < 3; i++)
        result[i] = a[i][0] * in[0] + a[i][1] * in[1] + a[i][2] * in[2] + a[i][3];
    memcpy(out, result, sizeof result);
}

#endif
