/* Sorting of numbers, and the quantiles of what is sorted. */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void sort_doubles(double *values, size_t count)
{
    if (count)
        qsort(values, count, sizeof *values, compare_doubles);
}

void sort_floats(float *values, size_t count)
{
    if (count)
        qsort(values, count, sizeof *values, compare_floats);
}

double median_of_doubles(double *values, size_t count)
{
    sort_doubles(values, count);
    return count ? (values[(count - 1) / 2] + values[count / 2]) / 2 : NAN;
}

double quantile_of_doubles(const double *sorted, size_t count, double q)
{
    if (count == 0)
        return NAN;
    const double at = q * (double)(count - 1);
    const size_t k = (size_t)at;
    if (k + 1 >= count)
        return sorted[count - 1];
    return sorted[k] + (at - (double)k) * (sorted[k + 1] - sorted[k]);
}

double quantile_of_floats(const float *sorted, size_t count, double q)
{
    if (count == 0)
        return NAN;
    const double at = q * (double)(count - 1);
    const size_t k = (size_t)at;
    if (k + 1 >= count)
        return sorted[count - 1];
    return sorted[k] + (at - (double)k) * ((double)sorted[k + 1] - sorted[k]);
}
