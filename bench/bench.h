/* bench: what the benchmark program's commands share. */
#ifndef TWINSEG_BENCH_H
#define TWINSEG_BENCH_H

#include "engine/engine.h"

/* The measured limits of this machine, all of an engine's threads at once (roof.c): multiply-adds
 * on registers alone, and a[i] = b[i] + c * d[i] over arrays far beyond the caches. */
double roof_gflops(engine *e);
double triad_gbytes(engine *e, ts_error *error);

/* Median, least and largest of times; sorts them. */
typedef struct {
    double median, least, most;
} spread;
spread spread_of(double *times, size_t count);

/* Seconds of the wall clock or, with --clock cpu, of processor time per thread: what other programs
 * do changes that little, but it does not see threads that wait for one another. */
double bench_seconds(void);

/* Words and --key value pairs after the command's name. */
typedef struct {
    int64_t base, cap, stages, patch, batch, threads, repeats;
    compute_dtype dtype;
    prediction_kind prediction;
    bool winograd;
    bool json, cpu_clock, scaling;
    const char *words[3];
} bench_options;

int bench_kernels(const bench_options *o);
int bench_step(const bench_options *o);
int bench_window(const bench_options *o);
int bench_case(const bench_options *o);
int bench_preprocess(const bench_options *o);
int bench_score(const bench_options *o);

#endif
