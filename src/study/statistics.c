/* Wilcoxon's signed-rank test and the bootstrap. */
#include "study/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_MOST = 50, RESAMPLES = 10000 };

typedef struct {
    double size; /* |difference| */
    bool positive;
} signed_size;

static int compare_sizes(const void *a, const void *b)
{
    const double x = ((const signed_size *)a)->size, y = ((const signed_size *)b)->size;
    return (x > y) - (x < y);
}

/* Twice the mean rank of each (a whole number also where ties share a rank), differences sorted by
 * size. *plus: twice the sum of the ranks of the positive; *ties: sum of t^3 - t over groups of
 * t. */
static void rank(const signed_size *d, size_t n, int64_t *twice, int64_t *plus, double *ties)
{
    *plus = 0;
    *ties = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && d[end].size == d[i].size; end++)
            ;
        const double t = (double)(end - i);
        *ties += t * t * t - t;
        for (size_t k = i; k < end; k++) {
            twice[k] = (int64_t)(i + 1 + end);
            *plus += d[k].positive ? twice[k] : 0;
        }
    }
}

/* Of the 2^n ways to give the ranks their signs, the shares with a sum of at most and of at least
 * `plus`; the smaller, doubled. The counts of sums grow rank by rank. */
static double exact_p(const int64_t *twice, size_t n, int64_t plus)
{
    const int64_t most = (int64_t)(n * (n + 1)); /* twice the sum of all ranks */
    double *share = calloc((size_t)most + 1, sizeof *share);
    double below = 0, above = 0;
    if (!share)
        return NAN;
    share[0] = 1;
    for (size_t i = 0; i < n; i++)
        for (int64_t sum = most; sum >= 0; sum--)
            share[sum] = 0.5 * (share[sum] + (sum >= twice[i] ? share[sum - twice[i]] : 0));
    for (int64_t sum = 0; sum <= most; sum++) {
        below += sum <= plus ? share[sum] : 0;
        above += sum >= plus ? share[sum] : 0;
    }
    free(share);
    return fmin(1, 2 * fmin(below, above));
}

static double normal_p(size_t count, int64_t plus, double ties)
{
    const double n = (double)count, mean = n * (n + 1) / 4;
    const double variance = (n * (n + 1) * (2 * n + 1) - ties / 2) / 24;
    return erfc(fabs((double)plus / 2 - mean) / sqrt(variance) / sqrt(2));
}

double study_wilcoxon(const double *differences, size_t count)
{
    signed_size *d = malloc((count + 1) * sizeof *d);
    int64_t *twice = malloc((count + 1) * sizeof *twice), plus;
    double ties, p = NAN;
    size_t n = 0;
    for (size_t i = 0; d && i < count; i++)
        if (differences[i] != 0)
            d[n++] = (signed_size){fabs(differences[i]), differences[i] > 0};
    if (d && twice) {
        qsort(d, n, sizeof *d, compare_sizes);
        rank(d, n, twice, &plus, &ties);
        p = n == 0 ? 1 : n <= EXACT_MOST ? exact_p(twice, n, plus) : normal_p(n, plus, ties);
    }
    free(d);
    free(twice);
    return p;
}

ts_status study_bootstrap(const double *differences, size_t count, double *low, double *high,
                          ts_error *error)
{
    double *means = memory_allocate(RESAMPLES, sizeof *means, "the resamples", error);
    *low = *high = NAN;
    if (!means)
        return TS_MEMORY;
    for (uint32_t r = 0; count && r < RESAMPLES; r++) {
        random_stream draw = random_open(1, RANDOM_STATISTICS, r, 0);
        for (size_t i = 0; i < count; i++)
            means[r] += differences[random_below(&draw, (int64_t)count)] / (double)count;
    }
    if (count) {
        sort_doubles(means, RESAMPLES);
        *low = quantile_of_doubles(means, RESAMPLES, 0.025);
        *high = quantile_of_doubles(means, RESAMPLES, 0.975);
    }
    free(means);
    return TS_OK;
}
