/* Mean and deviation of a channel out of the sums of the tasks that computed it. */
#include "engine/moments.h"

#include <math.h>

/* Joins the tasks' sums (Chan, Golub, LeVeque 1983) in the order of the tasks. */
void moments_join(int64_t samples, int64_t channels, int64_t tasks, const double *partial,
                  float *moments)
{
    const int64_t stride = channels * 3;
    for (int64_t i = 0; i < samples * channels; i++) {
        const double *p = partial + i / channels * tasks * stride + i % channels * 3;
        double count = 0, mean = 0, squares = 0;
        for (int64_t k = 0; k < tasks; k++, p += stride) {
            if (p[0] == 0)
                continue;
            const double distance = p[1] / p[0] - mean;
            squares += p[2] + distance * distance * count * p[0] / (count + p[0]);
            mean += distance * p[0] / (count + p[0]);
            count += p[0];
        }
        moments[i * 2] = (float)mean;
        moments[i * 2 + 1] = (float)(1 / sqrt((squares > 0 ? squares : 0) / count + NORM_EPSILON));
    }
}
