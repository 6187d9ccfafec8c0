/* nnU-Net's sliding window: positions and importance (its compute_steps_for_sliding_window and
 * compute_gaussian). nnU-Net keeps the map in 16 bits, where the corners vanish and are raised to
 * the least positive value; in 32 bits the least, e^-24, is positive by itself for any patch. */
#include "predict/windows.h"

#include <float.h>
#include <math.h>

int64_t window_count(int64_t size, int64_t patch, double step)
{
    if (size <= patch)
        return 1;
    return (int64_t)ceil((double)(size - patch) / ((double)patch * step)) + 1;
}

int64_t window_begin(int64_t size, int64_t patch, double step, int64_t index)
{
    if (size <= patch)
        return -((patch - size) / 2);
    const double apart = (double)(size - patch) / (double)(window_count(size, patch, step) - 1);
    return (int64_t)nearbyint(apart * (double)index);
}

static double gaussian(int64_t i, int64_t patch)
{
    const double distance = (double)(i - patch / 2) / ((double)patch / 8);
    return exp(-0.5 * distance * distance);
}

void window_importance(const int64_t patch[3], float *importance)
{
    for (int64_t z = 0; z < patch[0]; z++)
        for (int64_t y = 0; y < patch[1]; y++)
            for (int64_t x = 0; x < patch[2]; x++) {
                const double value =
                    gaussian(z, patch[0]) * gaussian(y, patch[1]) * gaussian(x, patch[2]);
                *importance++ = (float)fmax(value, (double)FLT_MIN);
            }
}
