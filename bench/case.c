/* twinseg-bench case: four volumes to a label file, whole, by a network of random weights, beside
 * the memory that the predictor planned. preprocess and score: its two ends. */
#include "bench.h"

#include "dataset/dataset.h"
#include "evaluate/evaluate.h"
#include "predict/predict.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int fail(const ts_error *error)
{
    fprintf(stderr, "twinseg-bench: %s\n", error->text);
    return 1;
}

/* Times, peak memory, and up to three figures of the command's own (names NULL: none). */
static void report(const char *what, const bench_options *o, double *seconds,
                   const char *const names[3], const double figures[3])
{
    const spread s = spread_of(seconds, (size_t)o->repeats);
    const double peak = (double)memory_peak_bytes() * 1e-6;
    if (!o->json) {
        printf("%s: median %.1f ms (%.1f to %.1f), peak %.0f MB", what, s.median * 1e3,
               s.least * 1e3, s.most * 1e3, peak);
        for (int i = 0; i < 3 && names[i]; i++)
            printf(", %s %.6g", names[i], figures[i]);
        printf("\n");
        return;
    }
    json_t *json = json_pack("{s:f, s:f, s:f, s:f}", "median_ms", s.median * 1e3, "min_ms",
                             s.least * 1e3, "max_ms", s.most * 1e3, "peak_mb", peak);
    for (int i = 0; i < 3 && names[i]; i++)
        json_object_set_new(json, names[i], json_real(figures[i]));
    char *line = json_dumps(json, JSON_REAL_PRECISION(6));
    printf("%s\n", line);
    free(line);
    json_decref(json);
}

static ts_status open_case(const bench_options *o, dataset *d, ts_error *error)
{
    const ts_status status = dataset_open(o->words[0], LABELS_AUTO, d, error);
    if (status == TS_OK && d->count != 1)
        fprintf(stderr, "twinseg-bench: of %zu cases in '%s' the first is taken, %s\n", d->count,
                o->words[0], d->cases[0].id);
    return status;
}

/* ---- case ------------------------------------------------------------------------------ */

/* All four modalities at 1 mm, with the weights that training would begin with. */
static ts_status random_model(const bench_options *o, model *m, ts_error *error)
{
    const int64_t patch[3] = {o->patch, o->patch, o->patch};
    engine *e = NULL;
    net *n = NULL;
    *m = (model){.channels = ALL_MODALITIES, .role = "teacher"};
    plan_defaults(&m->plan);
    m->plan.student = ALL_MODALITIES;
    m->plan.spacing_mm = 1;
    m->plan.base = o->base;
    m->plan.cap = o->cap;
    m->plan.stages = o->stages;
    m->plan.threads = o->threads;
    m->plan.dtype = (int)o->dtype;
    m->plan.prediction = (int)o->prediction;
    memcpy(m->plan.patch, patch, sizeof patch);
    m->config = net_config_of(&m->plan, m->channels);
    ts_status status = engine_create(1, o->dtype, NULL, &e, error);
    if (status != TS_OK)
        return status;
    status = net_create(&m->config, 1, patch, NET_PREDICT, e, &n, error);
    if (status != TS_OK)
        goto done;
    net_initialise(n, 1);
    m->weight_count = net_weight_count(n);
    m->weights = memory_allocate((size_t)m->weight_count, sizeof(float), "weights", error);
    status = m->weights ? TS_OK : TS_MEMORY;
    if (status == TS_OK)
        memcpy(m->weights, net_weights(n), (size_t)m->weight_count * sizeof(float));
done:
    net_destroy(n);
    engine_destroy(e);
    return status;
}

/* The memory that the predictor plans for the case, in MB, and its windows. */
static ts_status size_case(const dataset_case *c, predictor *p, double figures[3], ts_error *error)
{
    preprocessed ready;
    const ts_status status =
        preprocess_case(c, predictor_channels(p), 1, BRAIN_OWN, false, NULL, &ready, error);
    if (status != TS_OK)
        return status;
    figures[0] = (double)predictor_bytes(p, &ready.geometry) * 1e-6;
    figures[1] = (double)predictor_windows(p, ready.geometry.shape);
    preprocessed_free(&ready);
    return TS_OK;
}

static ts_status make_predictor(const bench_options *o, predictor **p, ts_error *error)
{
    model m = {0};
    ts_status status = random_model(o, &m, error);
    if (status == TS_OK)
        status = predictor_create(&m, 1, &m.plan, p, error);
    model_free(&m);
    return status;
}

static ts_status predict_repeatedly(const bench_options *o, predictor *p, const dataset_case *c,
                                    double *seconds, ts_error *error)
{
    const char *out = "build/bench-case.nii.gz";
    ts_status status = TS_OK;
    for (int64_t i = 0; status == TS_OK && i < o->repeats; i++) {
        const double start = clock_seconds();
        predict_outcome outcome = {0};
        status = predict_case(p, c, &(predict_outputs){.labels = out}, &outcome, error);
        seconds[i] = clock_seconds() - start;
        predict_outcome_free(&outcome);
    }
    remove(out);
    return status;
}

int bench_case(const bench_options *o)
{
    static const char *const names[3] = {"planned_mb", "windows"};
    double seconds[64], figures[3] = {0};
    dataset d = {0};
    predictor *p = NULL;
    ts_error error;
    ts_status status = open_case(o, &d, &error);
    if (status != TS_OK)
        goto done;
    status = make_predictor(o, &p, &error);
    if (status != TS_OK)
        goto done;
    status = predict_repeatedly(o, p, &d.cases[0], seconds, &error);
    if (status != TS_OK)
        goto done;
    status = size_case(&d.cases[0], p, figures, &error);
    if (status == TS_OK)
        report("case", o, seconds, names, figures);
done:
    predictor_destroy(p);
    dataset_close(&d);
    return status == TS_OK ? 0 : fail(&error);
}

/* ---- its two ends ---------------------------------------------------------------------- */

/* One run to warm up, then those that count. */
static ts_status preprocess_repeatedly(const bench_options *o, const dataset_case *c, pool *p,
                                       double *seconds, ts_error *error)
{
    for (int64_t i = -1; i < o->repeats; i++) {
        preprocessed ready;
        const double start = clock_seconds();
        const ts_status status =
            preprocess_case(c, ALL_MODALITIES, 1, BRAIN_OWN, false, p, &ready, error);
        if (status != TS_OK)
            return status;
        if (i >= 0)
            seconds[i] = clock_seconds() - start;
        preprocessed_free(&ready);
    }
    return TS_OK;
}

int bench_preprocess(const bench_options *o)
{
    static const char *const names[3] = {NULL};
    double seconds[64];
    dataset d = {0};
    pool *p = NULL;
    ts_error error;
    ts_status status = open_case(o, &d, &error);
    if (status != TS_OK)
        goto done;
    status = pool_create((int)o->threads, &p, &error);
    if (status != TS_OK)
        goto done;
    status = preprocess_repeatedly(o, &d.cases[0], p, seconds, &error);
    if (status == TS_OK)
        report("preprocess", o, seconds, names, NULL);
done:
    pool_destroy(p);
    dataset_close(&d);
    return status == TS_OK ? 0 : fail(&error);
}

static ts_status score_repeatedly(const bench_options *o, const evaluate_pair *pair, convention c,
                                  pool *p, double *seconds, ts_error *error)
{
    double scores[REGIONS_ALL * EVALUATE_FIGURES_MAX];
    for (int64_t i = -1; i < o->repeats; i++) {
        const double start = clock_seconds();
        const ts_status status =
            evaluate_pair_figures(pair, c, LABELS_AUTO, LABELS_AUTO, p, scores, error);
        if (status != TS_OK)
            return status;
        if (i >= 0)
            seconds[i] = clock_seconds() - start;
    }
    return TS_OK;
}

int bench_score(const bench_options *o)
{
    static const char *const names[3] = {NULL};
    double seconds[64];
    evaluate_list list = {0};
    pool *p = NULL;
    ts_error error;
    convention c = CONVENTION_LEGACY;
    ts_status status = evaluate_list_open(o->words[1], o->words[2], &list, &error);
    if (status != TS_OK)
        goto done;
    if (!evaluate_convention(o->words[0], &c)) {
        status = error_set(&error, TS_BAD_INPUT, "no convention '%s': legacy, lesion, panoptic",
                           o->words[0]);
        goto done;
    }
    status = pool_create((int)o->threads, &p, &error);
    if (status != TS_OK)
        goto done;
    status = score_repeatedly(o, &list.pairs[0], c, p, seconds, &error);
    if (status == TS_OK)
        report("score", o, seconds, names, NULL);
done:
    pool_destroy(p);
    evaluate_list_free(&list);
    return status == TS_OK ? 0 : fail(&error);
}
