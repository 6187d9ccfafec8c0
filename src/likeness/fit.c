/* A training set as Gaussians: a mean for every modality and for every ordered pair of them, and
 * one covariance within all modalities, another within all pairs; each drawn by a tenth towards its
 * diagonal, so that few cases give one that can be inverted. */
#include "likeness/likeness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CASES_MAX = 64 };

static const double shrinkage = 0.1, least_variance = 1e-4;

/* Adds (x - mean)(x - mean)^T to a covariance of size n. */
static void add_scatter(double *covariance, const double *x, const double *mean, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            covariance[i * n + j] += (x[i] - mean[i]) * (x[j] - mean[j]);
}

/* Scatter with so many degrees of freedom to the inverse of the shrunk covariance, in place, by
 * Gauss-Jordan; a positive definite matrix needs no pivoting. */
static void invert(double *a, int n, double freedom)
{
    for (int i = 0; i < n * n; i++)
        a[i] *= (i % (n + 1) ? 1 - shrinkage : 1) / freedom;
    for (int i = 0; i < n; i++)
        a[i * n + i] += least_variance;
    for (int k = 0; k < n; k++) {
        const double pivot = 1 / a[k * n + k];
        a[k * n + k] = 1;
        for (int j = 0; j < n; j++)
            a[k * n + j] *= pivot;
        for (int i = 0; i < n; i++) {
            const double factor = a[i * n + k];
            if (i == k)
                continue;
            a[i * n + k] = 0;
            for (int j = 0; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
        }
    }
}

static double distance(const double *x, const double *mean, const double *precision, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            sum += (x[i] - mean[i]) * precision[i * n + j] * (x[j] - mean[j]);
    return sum;
}

/* Means and precision of single images, without case `left` (SIZE_MAX: of all). */
static void fit_single(const likeness_features *cases, size_t count, size_t left, likeness *l)
{
    double used = 0, modalities = modality_count(l->known);
    memset(l->mean, 0, sizeof l->mean);
    memset(l->precision, 0, sizeof l->precision);
    for (size_t c = 0; c < count; c++)
        used += c != left;
    for (size_t c = 0; c < count; c++)
        for (int m = 0; m < MODALITIES; m++)
            for (int i = 0; i < LIKENESS_SINGLE && c != left; i++)
                l->mean[m][i] += cases[c].single[m][i] / used;
    for (size_t c = 0; c < count; c++)
        for (int m = 0; m < MODALITIES; m++)
            if (l->known >> m & 1 && c != left)
                add_scatter(l->precision[0], cases[c].single[m], l->mean[m], LIKENESS_SINGLE);
    invert(l->precision[0], LIKENESS_SINGLE, modalities * (used - 1));
}

static void fit_pairs(const likeness_features *cases, size_t count, likeness *l)
{
    double pairs = 0;
    for (int a = 0; a < MODALITIES; a++)
        for (int b = 0; b < MODALITIES; b++) {
            if (a == b || !(l->known >> a & 1) || !(l->known >> b & 1))
                continue;
            pairs++;
            for (size_t c = 0; c < count; c++)
                for (int i = 0; i < LIKENESS_PAIR; i++)
                    l->pair_mean[a][b][i] += cases[c].pair[a][b][i] / (double)count;
            for (size_t c = 0; c < count; c++)
                add_scatter(l->pair_precision[0], cases[c].pair[a][b], l->pair_mean[a][b],
                            LIKENESS_PAIR);
        }
    if (pairs > 0)
        invert(l->pair_precision[0], LIKENESS_PAIR, pairs * (double)(count - 1));
}

ts_status likeness_fit(const likeness_features *cases, size_t count, likeness *out, ts_error *error)
{
    *out = (likeness){.known = ALL_MODALITIES, .brain_ml = {INFINITY, 0}};
    for (size_t c = 0; c < count; c++)
        out->known &= cases[c].present;
    if (count < LIKENESS_CASES_MIN || !out->known) {
        *out = (likeness){0};
        return TS_OK;
    }
    likeness *without = memory_allocate(1, sizeof *without, "the look of the training set", error);
    if (!without)
        return TS_MEMORY;
    without->known = out->known;
    for (size_t c = 0; c < count; c++) {
        fit_single(cases, count, c, without);
        for (int m = 0; m < MODALITIES; m++)
            if (out->known >> m & 1)
                out->usual_distance =
                    fmax(out->usual_distance, distance(cases[c].single[m], without->mean[m],
                                                       without->precision[0], LIKENESS_SINGLE));
        out->zoom_mm = fmax(out->zoom_mm, cases[c].zoom_mm);
        out->brain_ml[0] = fmin(out->brain_ml[0], cases[c].brain_ml);
        out->brain_ml[1] = fmax(out->brain_ml[1], cases[c].brain_ml);
    }
    free(without);
    out->cases = (int64_t)count;
    fit_single(cases, count, SIZE_MAX, out);
    fit_pairs(cases, count, out);
    return TS_OK;
}

typedef struct {
    const preprocessed **cases;
    size_t count, used;
    double spacing_mm;
    likeness_features *out;
} measure_job;

static ts_status measure_one(void *context, int64_t index, int thread, ts_error *error)
{
    const measure_job *j = context;
    const size_t place = (size_t)index * j->count / j->used;
    (void)thread;
    return likeness_measure(j->cases[place], j->spacing_mm, &j->out[index], error);
}

/* Those that have all modalities, where they are enough to tell what images look like: what some
 * case lacks would be unknown. Else all. */
static size_t choose(const preprocessed *cases, size_t count, const preprocessed **chosen)
{
    size_t complete = 0, used = 0;
    for (size_t i = 0; i < count; i++)
        complete += cases[i].present == ALL_MODALITIES;
    for (size_t i = 0; i < count; i++)
        if (complete < LIKENESS_CASES_MIN || cases[i].present == ALL_MODALITIES)
            chosen[used++] = &cases[i];
    return used;
}

ts_status likeness_of_cases(const preprocessed *cases, size_t count, double spacing_mm, pool *p,
                            likeness *out, ts_error *error)
{
    *out = (likeness){0};
    if (count < LIKENESS_CASES_MIN)
        return TS_OK;
    const preprocessed **chosen =
        memory_allocate(count, sizeof *chosen, "the look of the training set", error);
    if (!chosen)
        return TS_MEMORY;
    measure_job j = {.cases = chosen, .spacing_mm = spacing_mm};
    j.count = choose(cases, count, chosen);
    j.used = j.count < CASES_MAX ? j.count : CASES_MAX;
    j.out = memory_allocate(j.used, sizeof *j.out, "the look of the training set", error);
    ts_status status = TS_MEMORY;
    if (j.out)
        status = pool_run_status(p, measure_one, &j, (int64_t)j.used, error);
    if (status == TS_OK)
        status = likeness_fit(j.out, j.used, out, error);
    free(j.out);
    free(chosen);
    return status;
}

/* ---- judging ------------------------------------------------------------------------------ */

static const double margin = 2, strange_factor = 1.5, coarse_factor = 1.5;
static const double small_factor = 0.6, large_factor = 1.5; /* half a brain; a head */

/* Log-likelihood of a case whose image i is taken for modality as[i]; the images are those of
 * `given`. */
static double likelihood(const likeness *l, const likeness_features *f, modality_set given,
                         const int as[MODALITIES])
{
    double sum = 0;
    for (int a = 0; a < MODALITIES; a++) {
        if (!(given >> a & 1))
            continue;
        sum -= distance(f->single[a], l->mean[as[a]], l->precision[0], LIKENESS_SINGLE) / 2;
        for (int b = 0; b < a; b++)
            if (given >> b & 1)
                sum -= distance(f->pair[a][b], l->pair_mean[as[a]][as[b]], l->pair_precision[0],
                                LIKENESS_PAIR) /
                       2;
    }
    return sum;
}

/* All ways to name the images from `at` on with modalities not in `taken`. */
static void search(const likeness *l, const likeness_features *f, modality_set given, int at,
                   modality_set taken, int as[MODALITIES], double *best, int best_as[MODALITIES])
{
    while (at < MODALITIES && !(given >> at & 1))
        at++;
    if (at == MODALITIES) {
        const double value = likelihood(l, f, given, as);
        if (value > *best) {
            *best = value;
            memcpy(best_as, as, MODALITIES * sizeof *as);
        }
        return;
    }
    for (int m = 0; m < MODALITIES; m++)
        if (l->known >> m & 1 && !(taken >> m & 1)) {
            as[at] = m;
            search(l, f, given, at + 1, taken | 1u << m, as, best, best_as);
        }
}

void likeness_judge(const likeness *l, const likeness_features *f, likeness_verdict *v)
{
    const modality_set given = f->present & l->known;
    int as[MODALITIES] = {0, 1, 2, 3}, best_as[MODALITIES] = {0, 1, 2, 3};
    *v = (likeness_verdict){.looks_like = {0, 1, 2, 3}};
    if (l->cases == 0 || !given)
        return;
    const double as_given = likelihood(l, f, given, as);
    double best = as_given;
    search(l, f, given, 0, 0, as, &best, best_as);
    v->misnamed = best > as_given + margin;
    for (int m = 0; m < MODALITIES; m++) {
        if (!(given >> m & 1))
            continue;
        v->looks_like[m] = v->misnamed ? best_as[m] : m;
        v->strange[m] = distance(f->single[m], l->mean[v->looks_like[m]], l->precision[0],
                                 LIKENESS_SINGLE) > strange_factor * l->usual_distance;
    }
    v->coarse = f->zoom_mm > coarse_factor * l->zoom_mm;
    v->small = f->brain_ml < small_factor * l->brain_ml[0];
    v->large = f->brain_ml > large_factor * l->brain_ml[1];
}
