/* twinseg-bench step: a training step whole (teacher, student, losses, update), as `train` runs it.
 * twinseg-bench window: one window's prediction. Both on random patches, with the operations that
 * the mathematics needs, so that gflops / roof_gflops is the share of the machine. */
#include "bench.h"
#include "scaling.h"

#include "model/model.h"
#include "train/iteration.h"

#include <jansson.h>
#include <stdlib.h>

static int fail(const ts_error *error)
{
    fprintf(stderr, "twinseg-bench: %s\n", error->text);
    return 1;
}

static void fill_random(float *values, size_t count)
{
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * 0x1p-23f - 1;
    }
}

/* Medians and extremes of the measured seconds beside the roof (the median of those measured
 * before each). */
static void report(const char *what, const bench_options *o, const char *target, double *seconds,
                   double *roofs, double flops)
{
    const spread s = spread_of(seconds, (size_t)o->repeats);
    const double roof = spread_of(roofs, (size_t)o->repeats).median;
    const double gflops = flops * 1e-9 / s.median, peak = (double)memory_peak_bytes() * 1e-6;
    if (!o->json) {
        printf("%s, %s, %s: median %.1f ms (%.1f to %.1f), peak %.0f MB, %.1f GFLOP, "
               "%.0f GFLOP/s, %.0f %% of the roof of %.0f\n",
               what, target, o->dtype == DTYPE_BF16 ? "bf16" : "fp32", s.median * 1e3,
               s.least * 1e3, s.most * 1e3, peak, flops * 1e-9, gflops, 100 * gflops / roof, roof);
        return;
    }
    json_t *json =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "median_ms", s.median * 1e3, "min_ms",
                  s.least * 1e3, "max_ms", s.most * 1e3, "peak_mb", peak, "gflop", flops * 1e-9,
                  "gflops", gflops, "roof_gflops", roof, "target", target);
    char *line = json_dumps(json, JSON_REAL_PRECISION(6));
    printf("%s\n", line);
    free(line);
    json_decref(json);
}

/* ---- step ------------------------------------------------------------------------------ */

static void plan_of(const bench_options *o, plan *p)
{
    plan_defaults(p);
    p->optimiser = OPTIMISER_SGD; /* as the peer */
    p->learning_rate = 0.01;
    p->student = 1u << FLAIR | 1u << T1CE;
    p->base = o->base;
    p->cap = o->cap;
    p->stages = o->stages;
    p->batch = o->batch;
    p->threads = o->threads;
    p->dtype = (int)o->dtype;
    p->winograd = o->winograd;
    for (int i = 0; i < 3; i++)
        p->patch[i] = o->patch;
}

/* Forward, and twice that backward, less the data gradient that the first layer does not need. */
static double step_flops(const trainer *t, const plan *p)
{
    double flops = 0;
    for (int role = 0; role < ROLES; role++) {
        const double in = modality_count(role_channels(p, role));
        const double voxels = (double)(p->batch * p->patch[0] * p->patch[1] * p->patch[2]);
        flops +=
            3 * net_forward_flops(trainer_net(t, role)) - 2 * voxels * 27 * in * (double)p->base;
    }
    return flops;
}

static ts_status run_steps(trainer *t, const batch *b, engine *roof_engine, double *seconds,
                           double *roofs, int64_t repeats, recording *r, ts_error *error)
{
    for (int64_t i = -1; i < repeats; i++) {
        step_result result;
        const double roof = roof_gflops(roof_engine), start = bench_seconds();
        recording_begin(r, trainer_pool(t));
        const ts_status status = trainer_step(t, b, i + 1, &result, error);
        recording_end(r, trainer_pool(t));
        if (status != TS_OK)
            return status;
        if (i < 0)
            continue;
        seconds[i] = bench_seconds() - start;
        roofs[i] = roof;
    }
    return TS_OK;
}

int bench_step(const bench_options *o)
{
    plan p;
    plan_of(o, &p);
    trainer *t = NULL;
    engine *e = NULL;
    recording r = {0};
    ts_error error;
    double seconds[64], roofs[64];
    const size_t voxels = (size_t)(p.batch * p.patch[0] * p.patch[1] * p.patch[2]);
    float *images = memory_allocate(voxels * MODALITIES, sizeof *images, "a batch", &error);
    uint8_t *labels = images ? memory_allocate(voxels, 1, "a batch", &error) : NULL;
    ts_status status = labels ? plan_check(&p, &error) : TS_MEMORY;
    if (status != TS_OK)
        goto done;
    status = engine_create((int)o->threads, o->dtype, NULL, &e, &error);
    if (status != TS_OK)
        goto done;
    status = trainer_create(&p, &t, &error);
    if (status != TS_OK)
        goto done;
    fill_random(images, voxels * MODALITIES);
    for (size_t i = 0; i < voxels; i++)
        labels[i] = (uint8_t)(i / 7 % 4);
    const batch b = {.images = images, .labels = labels};
    status = run_steps(t, &b, e, seconds, roofs, o->repeats, o->scaling ? &r : NULL, &error);
    if (status == TS_OK)
        report("step", o, engine_target(e), seconds, roofs, step_flops(t, &p));
    if (status == TS_OK && o->scaling)
        recording_print(&r);
done:
    recording_free(&r);
    trainer_destroy(t);
    engine_destroy(e);
    free(images);
    free(labels);
    return status == TS_OK ? 0 : fail(&error);
}

/* ---- window ---------------------------------------------------------------------------- */

static ts_status run_windows(net *n, engine *e, const float *image, double *seconds, double *roofs,
                             int64_t repeats, recording *r, ts_error *error)
{
    for (int64_t i = -1; i < repeats; i++) {
        const double roof = roof_gflops(e), start = bench_seconds();
        recording_begin(r, engine_pool(e));
        const ts_status status = net_forward(n, image, error);
        recording_end(r, engine_pool(e));
        if (status != TS_OK)
            return status;
        if (i < 0)
            continue;
        seconds[i] = bench_seconds() - start;
        roofs[i] = roof;
    }
    return TS_OK;
}

int bench_window(const bench_options *o)
{
    plan p;
    plan_of(o, &p);
    const net_config config = net_config_of(&p, p.student);
    net *n = NULL;
    engine *e = NULL;
    recording r = {0};
    ts_error error;
    double seconds[64], roofs[64];
    const size_t count = (size_t)(o->patch * o->patch * o->patch * config.in_channels);
    void *workspace = NULL;
    float *image = memory_allocate(count, sizeof *image, "a window", &error);
    ts_status status =
        image ? engine_create((int)o->threads, o->dtype, NULL, &e, &error) : TS_MEMORY;
    if (status != TS_OK)
        goto done;
    status = net_create(&config, 1, p.patch, NET_PREDICT, e, &n, &error);
    if (status != TS_OK)
        goto done;
    workspace = memory_allocate(net_workspace_bytes(&config, 1, p.patch, NET_PREDICT, e), 1,
                                "a window", &error);
    if (!workspace) {
        status = TS_MEMORY;
        goto done;
    }
    fill_random(image, count);
    net_bind(n, workspace);
    net_initialise(n, 1);
    status = run_windows(n, e, image, seconds, roofs, o->repeats, o->scaling ? &r : NULL, &error);
    if (status == TS_OK)
        report("window", o, engine_target(e), seconds, roofs, net_forward_flops(n));
    if (status == TS_OK && o->scaling)
        recording_print(&r);
done:
    recording_free(&r);
    net_destroy(n);
    engine_destroy(e);
    free(workspace);
    free(image);
    return status == TS_OK ? 0 : fail(&error);
}
